/* SPDX-License-Identifier: MIT */
/*
 * What one call does while another is half done. A hook under the disk stops the library at a
 * chosen call to its store and lets the other thing happen just then, so that no luck is needed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vdisk/disk.h>

#include "hook.h"
#include "record.h"
#include "scratch.h"
#include "stamp.h"
#include "store.h"

#define MIB     ((uint64_t)1 << 20)
#define SEED    44u
#define N_PAGES 512u        /* of the BAT: far more than the smallest cache holds */
#define SPAN    (512 * MIB) /* of the disk, that a page of the BAT tells of; about */

static struct place {
	struct hook hook;
	struct store *before, *store;
	struct record *record;
	struct vd_io *under, *io;
	struct vd_disk *disk;
	const char *root; /* of parents */
	/* what the hooks of the tests share */
	bool is_armed;
	unsigned n_met, n_wrong;
	size_t moment;
} here;

static void write_stamp(uint64_t at, size_t len, uint64_t generation)
{
	struct vd_error err = VD_ERROR_INIT;
	uint8_t *buf = malloc(len);

	stamp_fill(buf, len, at, generation, SEED);
	if (vd_disk_write(here.disk, buf, len, at, &err) < 0)
		fail_msg("write: %s", err.text);
	free(buf);
}

static void expect_on(struct vd_disk *disk, uint64_t at, uint64_t generation, const char *when)
{
	struct vd_error err = VD_ERROR_INIT;
	uint8_t buf[4096];
	char text[300];

	if (vd_disk_read(disk, buf, sizeof(buf), at, &err) < 0)
		fail_msg("%s: read: %s", when, err.text);
	if (!stamp_verify(buf, sizeof(buf), at, generation, SEED, text, sizeof(text)))
		fail_msg("%s: %s", when, text);
}

static void expect(uint64_t at, uint64_t generation, const char *when)
{
	expect_on(here.disk, at, generation, when);
}

/* In a hook nothing may fail: the library is in the middle of something. */
static bool shows(uint64_t at, uint64_t generation)
{
	uint8_t buf[4096];
	char text[300];

	return vd_disk_read(here.disk, buf, sizeof(buf), at, NULL) == 0 &&
	       stamp_verify(buf, sizeof(buf), at, generation, SEED, text, sizeof(text));
}

static void flush(void)
{
	struct vd_error err = VD_ERROR_INIT;

	if (vd_disk_flush(here.disk, &err) < 0)
		fail_msg("flush: %s", err.text);
}

/* After a power cut at `moment` that took all that no sync covers. */
static void expect_after_cut(size_t moment, uint64_t at, uint64_t generation)
{
	struct crash *crash = crash_new(here.record, here.before);
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk = NULL;
	struct store *cut;
	struct vd_io *io;
	uint64_t random = 1;

	crash_advance(crash, moment);
	cut = crash_state(crash, CRASH_LOST, &random);
	io = store_io(cut, false);
	opts.parent_roots = &here.root;
	opts.n_parent_roots = 1;
	if (vd_disk_open_io(&disk, io, &opts, &err) < 0)
		fail_msg("after a power cut: %s", err.text);
	expect_on(disk, at, generation, "flushed, then a power cut");
	assert_int_equal(vd_disk_close(disk, NULL), 0);
	vd_io_close(io);
	store_free(cut);
	crash_free(crash);
}

/* A disk of many BAT pages with the smallest cache, on a recording store, beneath a hook. */
static void open_over(const char *parent)
{
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_io *io;

	memset(&here, 0, sizeof(here));
	here.root = scratch_dir();
	here.before = store_new(NULL);
	io = store_io(here.before, true);
	create.virtual_size = parent ? 0 : N_PAGES * SPAN;
	create.parent = parent;
	create.block_size = (uint32_t)MIB;
	create.log_size = (uint32_t)MIB;
	if (vd_disk_create_io(io, &create, &err) < 0)
		fail_msg("create: %s", err.text);
	vd_io_close(io);
	here.store = store_new(here.before);
	here.record = record_new(here.store);
	here.under = record_io(here.record);
	here.hook.under = here.under;
	here.io = hook_io(&here.hook);
	opts.flags = VD_OPEN_WRITE;
	opts.cache_bytes = 1;
	opts.parent_roots = &here.root;
	opts.n_parent_roots = 1;
	if (vd_disk_open_io(&here.disk, here.io, &opts, &err) < 0)
		fail_msg("open: %s", err.text);
}

static int open_place(void **state)
{
	(void)state;
	open_over(NULL);
	return 0;
}

/* The same over a parent that is full of generation 1 at its start. */
static int open_child(void **state)
{
	const char *path = scratch_path("meetings-parent.vhdx");
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;

	(void)state;
	create.virtual_size = 8 * MIB;
	create.block_size = (uint32_t)MIB;
	opts.flags = VD_OPEN_WRITE;
	unlink(path);
	assert_int_equal(vd_disk_create(path, &create, NULL), 0);
	assert_int_equal(vd_disk_open(&here.disk, path, &opts, NULL), 0);
	write_stamp(0, 4 * MIB, 1);
	assert_int_equal(vd_disk_close(here.disk, NULL), 0);
	open_over(path);
	return 0;
}

static int close_place(void **state)
{
	(void)state;
	here.hook.before = here.hook.after = NULL;
	(void)vd_disk_close(here.disk, NULL);
	vd_io_close(here.io);
	vd_io_close(here.under);
	record_free(here.record);
	store_free(here.store);
	store_free(here.before);
	return 0;
}

/* Read a sector under each page of the BAT: whatever may leave the cache has left it then. */
static void walk_through_the_bat(void)
{
	uint8_t buf[512];

	for (uint64_t i = 0; i < N_PAGES; i++)
		here.n_wrong +=
		    vd_disk_read(here.disk, buf, sizeof(buf), i * SPAN + 300 * MIB, NULL) != 0;
}

static int walk_before_sync(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len)
{
	(void)hook;
	(void)offset;
	(void)len;
	if (call == HOOK_SYNC && here.is_armed) {
		here.is_armed = false;
		walk_through_the_bat();
		here.n_wrong += !shows(SPAN, 1);
		here.is_armed = true;
		here.n_met++;
	}
	return 0;
}

static void pages_of_a_commit_stay_until_they_are_in_place(void **state)
{
	(void)state;
	here.hook.before = walk_before_sync;
	write_stamp(SPAN, 4096, 1);
	write_stamp(7 * SPAN, 4096, 1);
	here.is_armed = true;
	flush();
	here.is_armed = false;
	assert_true(here.n_met >= 2);
	assert_int_equal(here.n_wrong, 0);
	write_stamp(SPAN + 4 * MIB, 4096, 1);
	flush();
	walk_through_the_bat();
	expect(SPAN, 1, "after the commit");
	expect(7 * SPAN, 1, "after the commit");
	expect(SPAN + 4 * MIB, 1, "after the commit");
}

/* A page of the BAT was read; before the cache has it, it is changed and put in place. */
static int change_after_read(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len)
{
	(void)hook;
	(void)offset;
	if (call == HOOK_READ && len == 4096 && here.is_armed) {
		here.is_armed = false;
		write_stamp(SPAN, 4096, 1);
		flush();
		walk_through_the_bat();
		here.n_met++;
	}
	return 0;
}

static void a_page_that_was_read_too_early_is_read_again(void **state)
{
	uint8_t buf[512];

	(void)state;
	write_stamp(9 * SPAN, 4096, 1);
	flush();
	walk_through_the_bat();
	here.hook.after = change_after_read;
	here.is_armed = true;
	assert_int_equal(vd_disk_read(here.disk, buf, sizeof(buf), SPAN + 2 * MIB, NULL), 0);
	assert_int_equal(here.n_met, 1);
	expect(SPAN, 1, "after a miss during which it was written");
}

/* Another thread's flush comes when a new block has its space, but not yet its data. */
static int flush_before_data(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len)
{
	(void)hook;
	(void)offset;
	if (call == HOOK_WRITE && len == 12288 && here.is_armed) {
		here.is_armed = false;
		here.n_wrong += vd_disk_flush(here.disk, NULL) != 0;
		here.moment = record_now(here.record);
		here.n_met++;
	}
	return 0;
}

static void a_commit_has_no_write_that_is_under_way(void **state)
{
	(void)state;
	write_stamp(MIB, 4096, 2);
	flush();
	here.hook.before = flush_before_data;
	for (unsigned i = 0; i < 2; i++) { /* a block that is partly here already; a new one */
		uint64_t at = (i ? 2 * MIB : MIB) + 65536;

		here.is_armed = true;
		write_stamp(MIB + 8192, 4096, 2); /* for the flush to have something to do */
		write_stamp(at, 12288, 3);
		assert_int_equal(here.n_met, i + 1);
		assert_int_equal(here.n_wrong, 0);
		expect_after_cut(here.moment, at, 1);
		expect_after_cut(here.moment, MIB, 2);
		flush();
		expect_after_cut(record_now(here.record), at + 8192, 3);
	}
}

static int write_after_sync(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len)
{
	(void)hook;
	(void)offset;
	(void)len;
	if (call == HOOK_SYNC && here.is_armed) {
		here.is_armed = false;
		write_stamp(0, 4096, 2);
		here.n_met++;
	}
	return 0;
}

static void a_write_during_a_sync_gets_its_own(void **state)
{
	(void)state;
	write_stamp(0, 4096, 1);
	flush();
	write_stamp(4096, 4096, 1);
	here.hook.after = write_after_sync;
	here.is_armed = true;
	flush();
	assert_int_equal(here.n_met, 1);
	flush();
	expect_after_cut(record_now(here.record), 0, 2);
}

/* Threads that come while a flush is stopped in the store. */
struct guest {
	pthread_t thread;
	uint64_t at;
	atomic_bool is_coming;
	int result;
	size_t moment; /* when its flush returned */
};
static struct guest guests[2];

static void *write_then_flush(void *arg)
{
	struct guest *guest = arg;

	write_stamp(guest->at, 4096, 3);
	atomic_store(&guest->is_coming, true);
	guest->result = vd_disk_flush(here.disk, NULL);
	guest->moment = record_now(here.record);
	return NULL;
}

/* Let them come, and give them time to wait for the one that is stopped here. */
static void receive_guests(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		guests[i] = (struct guest){.at = (20 + i) * SPAN};
		assert_int_equal(
		    pthread_create(&guests[i].thread, NULL, write_then_flush, &guests[i]), 0);
	}
	for (unsigned i = 0; i < n; i++)
		while (!atomic_load(&guests[i].is_coming))
			usleep(1000);
	usleep(200000);
	here.n_met++;
}

static int guests_before_sync(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len)
{
	(void)hook;
	(void)offset;
	(void)len;
	if (call == HOOK_SYNC && here.is_armed) {
		here.is_armed = false;
		receive_guests(2);
	}
	return 0;
}

static void a_flush_waits_for_a_commit_that_has_its_writes(void **state)
{
	(void)state;
	write_stamp(0, 4096, 1);
	flush();
	write_stamp(MIB, 4096, 1);
	here.hook.before = guests_before_sync;
	here.is_armed = true;
	flush();
	assert_int_equal(here.n_met, 1);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(guests[i].thread, NULL), 0);
		assert_int_equal(guests[i].result, 0);
		expect_after_cut(guests[i].moment, guests[i].at, 3);
	}
}

/* No room for the log: it lies in front of all blocks. */
static int full_log(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len)
{
	(void)hook;
	if (call != HOOK_WRITE || offset < MIB || offset >= 2 * MIB || len < 8192)
		return 0;
	if (here.is_armed) {
		here.is_armed = false;
		receive_guests(2);
	}
	return -ENOSPC;
}

static void who_shares_a_failed_commit_hears_of_it(void **state)
{
	(void)state;
	write_stamp(0, 4096, 1);
	flush();
	write_stamp(MIB, 4096, 1);
	here.hook.before = full_log;
	here.is_armed = true;
	assert_int_equal(vd_disk_flush(here.disk, NULL), VD_ENOSPC);
	assert_int_equal(here.n_met, 1);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(guests[i].thread, NULL), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(guests[i].result, VD_ENOSPC);
	here.hook.before = NULL;
	flush();
	for (int i = 0; i < 2; i++)
		expect_after_cut(record_now(here.record), guests[i].at, 3);
}

/* A host that can't punch, but zeroes slowly. */
static int slow_zeroing(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len)
{
	(void)hook;
	(void)offset;
	(void)len;
	if (call == HOOK_PUNCH)
		return -EOPNOTSUPP;
	if (call == HOOK_ZERO && here.is_armed) {
		here.is_armed = false;
		guests[0] = (struct guest){.at = 9 * MIB + 8192};
		assert_int_equal(
		    pthread_create(&guests[0].thread, NULL, write_then_flush, &guests[0]), 0);
		usleep(200000);
		here.n_met++;
	}
	return 0;
}

static void the_second_writer_waits_until_new_space_is_zero(void **state)
{
	(void)state;
	here.hook.before = slow_zeroing;
	write_stamp(0, MIB, 1);
	flush();
	assert_int_equal(vd_disk_discard(here.disk, 0, MIB, NULL), 0);
	flush();
	here.is_armed = true;
	write_stamp(9 * MIB, 4096, 2);
	assert_int_equal(here.n_met, 1);
	assert_int_equal(pthread_join(guests[0].thread, NULL), 0);
	expect(9 * MIB, 2, "the first writer");
	expect(9 * MIB + 4096, 0, "between them");
	expect(9 * MIB + 8192, 3, "the second writer");
	expect(9 * MIB + 12288, 0, "behind them");
}

/* A write that the host takes and then fails. */
static int fail_after_write(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len)
{
	(void)hook;
	(void)offset;
	(void)len;
	if (call != HOOK_WRITE || !here.is_armed)
		return 0;
	here.is_armed = false;
	return -EIO;
}

static void space_of_a_failed_write_is_not_zero(void **state)
{
	uint8_t buf[16384];

	(void)state;
	write_stamp(0, 4096, 1);
	flush();
	here.hook.after = fail_after_write;
	here.is_armed = true;
	stamp_fill(buf, sizeof(buf), MIB, 2, SEED);
	assert_int_equal(vd_disk_write(here.disk, buf, sizeof(buf), MIB, NULL), VD_EIO);
	assert_false(here.is_armed);
	expect(MIB, 0, "the block of a first write that failed");
	write_stamp(5 * MIB + 4096, 4096, 3);
	expect(5 * MIB, 0, "a block in the space of a write that failed");
	expect(5 * MIB + 4096, 3, "a block in the space of a write that failed");
	expect(5 * MIB + 8192, 0, "a block in the space of a write that failed");
	flush();
	expect_after_cut(record_now(here.record), 5 * MIB, 0);
}

/* The log takes nothing for a while; space that a discard gave back is in demand meanwhile. */
static int no_log(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len)
{
	(void)hook;
	return call == HOOK_WRITE && here.is_armed && offset >= MIB && offset < 2 * MIB &&
		       len >= 8192
		   ? -ENOSPC
		   : 0;
}

static void a_failed_commit_frees_nothing(void **state)
{
	(void)state;
	write_stamp(0, MIB, 1);
	write_stamp(2 * MIB, 4096, 1);
	flush();
	here.hook.before = no_log;
	here.is_armed = true;
	assert_int_equal(vd_disk_discard(here.disk, 0, MIB, NULL), 0);
	assert_int_equal(vd_disk_flush(here.disk, NULL), VD_ENOSPC);
	for (uint64_t i = 4; i < 8; i++)
		write_stamp(i * MIB, MIB, 2);
	/* As if killed here: the discard may not have happened, but nobody else's data shows. */
	{
		struct vd_io *io = store_io(here.store, false);
		struct vd_error err = VD_ERROR_INIT;
		struct vd_disk *disk = NULL;
		struct stamp found = {0, 0, 0};
		uint8_t buf[512];

		if (vd_disk_open_io(&disk, io, NULL, &err) < 0)
			fail_msg("%s", err.text);
		assert_int_equal(vd_disk_read(disk, buf, sizeof(buf), 8192, NULL), 0);
		if (stamp_read(buf, &found) != STAMP_ZERO && found.lba != 16)
			fail_msg("a discarded sector shows LBA %u of another block",
				 (unsigned)found.lba);
		assert_int_equal(vd_disk_close(disk, NULL), 0);
		vd_io_close(io);
	}
	here.is_armed = false;
	flush();
	expect_after_cut(record_now(here.record), 4 * MIB, 2);
	expect_after_cut(record_now(here.record), 0, 0);
}

/* What the log holds can't be put in place at once. */
static int no_bat(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len)
{
	(void)hook;
	return call == HOOK_WRITE && here.is_armed && offset >= 2 * MIB && len == 4096 &&
		       offset < 8 * MIB
		   ? -EIO
		   : 0;
}

static void committed_pages_get_in_place_later(void **state)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk = NULL;
	struct vd_io *io;

	(void)state;
	write_stamp(0, MIB, 1);
	write_stamp(3 * SPAN, MIB, 1);
	flush();
	write_stamp(MIB, MIB, 1);
	write_stamp(3 * SPAN + MIB, MIB, 1);
	here.hook.before = no_bat;
	here.is_armed = true;
	flush(); /* it is durable all the same */
	here.is_armed = false;
	expect_after_cut(record_now(here.record), MIB, 1);
	assert_int_equal(vd_disk_close(here.disk, NULL), 0);
	here.disk = NULL;
	io = store_io(here.store, false);
	if (vd_disk_open_io(&disk, io, NULL, &err) < 0)
		fail_msg("%s", err.text);
	expect_on(disk, MIB, 1, "closed and opened again");
	expect_on(disk, 3 * SPAN + MIB, 1, "closed and opened again");
	assert_int_equal(vd_disk_close(disk, NULL), 0);
	vd_io_close(io);
}

#define MEETING(name) cmocka_unit_test_setup_teardown(name, open_place, close_place)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    MEETING(pages_of_a_commit_stay_until_they_are_in_place),
	    MEETING(a_page_that_was_read_too_early_is_read_again),
	    cmocka_unit_test_setup_teardown(a_commit_has_no_write_that_is_under_way, open_child,
					    close_place),
	    MEETING(a_write_during_a_sync_gets_its_own),
	    MEETING(a_flush_waits_for_a_commit_that_has_its_writes),
	    MEETING(who_shares_a_failed_commit_hears_of_it),
	    MEETING(the_second_writer_waits_until_new_space_is_zero),
	    MEETING(space_of_a_failed_write_is_not_zero),
	    MEETING(a_failed_commit_frees_nothing),
	    MEETING(committed_pages_get_in_place_later),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("meetings", tests, NULL, NULL);
}
