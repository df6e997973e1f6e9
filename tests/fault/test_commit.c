/* SPDX-License-Identifier: MIT */
/*
 * Group commit, counted: syncs and log bytes that flushes cost, what many threads save by
 * flushing at once, and that each flush's data was durable at the moment it returned. Counts
 * come from a recording of the calls to the store, not from the library's own statistics.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <endian.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vdisk/disk.h>

#include "record.h"
#include "scratch.h"
#include "stamp.h"
#include "store.h"

#define MIB       ((uint64_t)1 << 20)
#define PAGE      4096u
#define BLOCK     (2 * MIB)
#define SIZE      (8192 * BLOCK)
#define SEED      77u
#define PER_PAGE  (PAGE / 8)
#define N_THREADS 16
#define N_FLUSHES 50 /* each thread's */

/* An image whose calls are recorded. */
struct rig {
	struct store *before, *store;
	struct record *record;
	struct vd_io *io;
	struct vd_disk *disk;
	uint64_t log_off, log_len;
	size_t seen; /* calls that were counted */
};

struct cost {
	unsigned syncs, idle_syncs; /* idle: right after another one */
	uint64_t log_bytes;
};

static uint32_t word_at(const struct store *store, uint64_t offset)
{
	uint32_t word;

	store_read(store, &word, sizeof(word), offset);
	return le32toh(word);
}

static void rig_open(struct rig *rig, const char *parent, uint32_t log_size)
{
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	const char *folder = scratch_dir();
	struct vd_io *io;

	memset(rig, 0, sizeof(*rig));
	rig->before = store_new(NULL);
	io = store_io(rig->before, true);
	create.virtual_size = SIZE;
	create.block_size = (uint32_t)BLOCK;
	create.log_size = log_size;
	create.parent = parent;
	if (vd_disk_create_io(io, &create, &err) < 0)
		fail_msg("create: %s", err.text);
	vd_io_close(io);
	rig->log_len = word_at(rig->before, (64 << 10) + 68);
	rig->log_off = word_at(rig->before, (64 << 10) + 72);
	assert_int_equal(rig->log_len, log_size);
	rig->store = store_new(rig->before);
	rig->record = record_new(rig->store);
	rig->io = record_io(rig->record);
	opts.flags = VD_OPEN_WRITE;
	opts.parent_roots = &folder;
	opts.n_parent_roots = 1;
	if (vd_disk_open_io(&rig->disk, rig->io, &opts, &err) < 0)
		fail_msg("open: %s", err.text);
}

static void rig_close(struct rig *rig)
{
	struct vd_error err = VD_ERROR_INIT;

	if (vd_disk_close(rig->disk, &err) < 0)
		fail_msg("close: %s", err.text);
	vd_io_close(rig->io);
	record_free(rig->record);
	store_free(rig->store);
	store_free(rig->before);
}

static void rig_write(struct rig *rig, uint64_t offset, size_t len, uint64_t generation)
{
	struct vd_error err = VD_ERROR_INIT;
	uint8_t *buf = malloc(len);

	assert_non_null(buf);
	stamp_fill(buf, len, offset, generation, SEED);
	if (vd_disk_write(rig->disk, buf, len, offset, &err) < 0)
		fail_msg("write: %s", err.text);
	free(buf);
}

/* What the calls since the last time cost. */
static struct cost rig_cost(struct rig *rig)
{
	size_t now = record_now(rig->record);
	struct cost cost = {0};
	bool was_sync = false;
	char line[200];

	for (; rig->seen < now; rig->seen++) {
		uint64_t offset, len;

		record_describe(rig->record, rig->seen, line, sizeof(line));
		if (strstr(line, "sync of")) {
			cost.syncs++;
			cost.idle_syncs += was_sync;
			was_sync = true;
			continue;
		}
		was_sync = false;
		if (sscanf(line, "%*u: write %" SCNx64 " +%" SCNx64, &offset, &len) == 2 &&
		    offset >= rig->log_off && offset < rig->log_off + rig->log_len)
			cost.log_bytes += len;
	}
	return cost;
}

static struct cost rig_flush(struct rig *rig)
{
	struct vd_error err = VD_ERROR_INIT;

	if (vd_disk_flush(rig->disk, &err) < 0)
		fail_msg("flush: %s", err.text);
	return rig_cost(rig);
}

static uint64_t rig_laps(struct rig *rig)
{
	struct vd_disk_stats stats = {.size = sizeof(stats)};

	vd_disk_get_stats(rig->disk, &stats);
	return stats.n_log_laps;
}

static void test_flush_that_has_nothing_to_do_syncs_nothing(void **state)
{
	struct rig rig;
	uint8_t buf[PAGE];

	(void)state;
	rig_open(&rig, NULL, (uint32_t)MIB);
	assert_int_equal(rig_flush(&rig).syncs, 0);
	rig_write(&rig, 0, PAGE, 1);
	rig_flush(&rig);
	rig_flush(&rig); /* what the commit put in place */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(vd_disk_read(rig.disk, buf, PAGE, (uint64_t)i * BLOCK, NULL), 0);
		assert_int_equal(rig_flush(&rig).syncs, 0);
	}
	rig_close(&rig);
}

static void test_first_commit_costs_at_most_four_more(void **state)
{
	struct rig rig;
	struct cost cost;

	(void)state;
	rig_open(&rig, NULL, (uint32_t)MIB);
	rig_write(&rig, 0, PAGE, 1);
	cost = rig_flush(&rig);
	print_message("count: syncs up to the first flush %u\n", cost.syncs);
	assert_in_range(cost.syncs, 2, 6);
	assert_int_equal(cost.idle_syncs, 0);
	rig_close(&rig);
}

/* The page of the BAT that has the block. After each 2048 there is the entry of a bitmap. */
static uint64_t bat_page(uint64_t block)
{
	return (block + block / 2048) / PER_PAGE;
}

/* Two for each flush, four more for a lap, never more than a page of log for each dirty one. */
static void test_allocating_flushes(void **state)
{
	uint64_t n_flushes = 0, n_syncs = 0, n_log = 0, n_pages = 0, laps, n_laps = 0;
	struct rig rig;

	(void)state;
	rig_open(&rig, NULL, (uint32_t)MIB);
	rig_write(&rig, 0, PAGE, 1);
	rig_flush(&rig);
	laps = rig_laps(&rig);
	for (uint64_t i = 0; i < 400; i++) {
		/* Up to 15 pages of the BAT, one to four neighbours in each. */
		uint64_t n_touched = 0, last = UINT64_MAX;
		struct cost cost;
		bool is_lap;

		for (uint64_t p = 0; p <= i % 15; p++) {
			for (uint64_t k = 0; k <= i % 4; k++) {
				uint64_t block = i * 4 % 500 + k + p * PER_PAGE;

				rig_write(&rig, block * BLOCK, 512, i + 2);
				n_touched += bat_page(block) != last;
				last = bat_page(block);
			}
		}
		cost = rig_flush(&rig);
		is_lap = rig_laps(&rig) != laps;
		laps = rig_laps(&rig);
		assert_in_range(cost.syncs, 1, is_lap ? 6 : 2);
		assert_int_equal(cost.idle_syncs, 0);
		assert_true(cost.log_bytes <= PAGE + n_touched * PAGE);
		n_flushes++;
		n_laps += is_lap;
		n_syncs += cost.syncs;
		n_log += cost.log_bytes;
		n_pages += n_touched;
	}
	assert_true(n_laps > 1);
	print_message("count: allocating flushes %" PRIu64 ", syncs %" PRIu64 ", laps %" PRIu64
		      ", log bytes %" PRIu64 " for at most %" PRIu64 " pages\n",
		      n_flushes, n_syncs, n_laps, n_log, n_pages);
	assert_true(n_syncs <= 2 * n_flushes + 4 * n_laps);
	rig_close(&rig);
}

/* One page each: the block's BAT entry; the log has it and the header. */
static void test_one_block_costs_two_pages_of_log(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, NULL, (uint32_t)(8 * MIB));
	rig_write(&rig, 0, PAGE, 1);
	rig_flush(&rig);
	for (uint64_t i = 1; i < 100; i++) {
		struct cost cost;

		rig_write(&rig, i * BLOCK + 512, 512, i);
		cost = rig_flush(&rig);
		assert_int_equal(cost.syncs, 2);
		assert_int_equal(cost.log_bytes, 2 * PAGE);
	}
	rig_close(&rig);
}

static void test_overwriting_flushes_sync_once(void **state)
{
	struct vd_error err = VD_ERROR_INIT;
	struct rig rig;

	(void)state;
	rig_open(&rig, NULL, (uint32_t)MIB);
	rig_write(&rig, 0, (size_t)BLOCK, 1);
	rig_flush(&rig);
	rig_flush(&rig);
	for (uint64_t i = 0; i < 100; i++) {
		struct cost cost;

		if (i % 3)
			rig_write(&rig, i * PAGE, PAGE, i + 2);
		else if (vd_disk_write_zeroes(rig.disk, i * PAGE, PAGE, 0, &err) < 0)
			fail_msg("%s", err.text);
		cost = rig_flush(&rig);
		assert_int_equal(cost.syncs, 1);
		assert_int_equal(cost.log_bytes, 0);
	}
	rig_close(&rig);
}

/* A child's sectors: their bits, the entry of the block, once that of the bitmap. */
static void test_flushes_of_a_child(void **state)
{
	const char *parent = scratch_path("commit-parent.vhdx");
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	uint64_t most = 0;
	struct rig rig;

	(void)state;
	create.virtual_size = SIZE;
	(void)scratch_run("rm -f '%s'", parent);
	assert_int_equal(vd_disk_create(parent, &create, NULL), 0);
	rig_open(&rig, parent, (uint32_t)(8 * MIB));
	rig_write(&rig, 0, PAGE, 1);
	rig_flush(&rig);
	for (uint64_t i = 1; i < 100; i++) {
		struct cost cost;

		rig_write(&rig, i * 7 % 90 * BLOCK + i * 512, 512, i);
		cost = rig_flush(&rig);
		assert_int_equal(cost.syncs, 2);
		assert_true(cost.log_bytes <= 3 * PAGE); /* the header, a bitmap's, the BAT's */
		most = cost.log_bytes > most ? cost.log_bytes : most;
	}
	print_message("count: log bytes of a sector written to a child %" PRIu64 " at most\n",
		      most);
	rig_close(&rig);
}

/* Each thread writes and flushes; when a flush returns, the moment is noted. */
struct storm {
	struct rig *rig;
	unsigned nth, n_flushes;
	bool is_allocating;
	size_t *moments;
	struct vd_error err;
	int rc;
};

static uint64_t storm_offset(const struct storm *s, unsigned nth, unsigned i)
{
	return s->is_allocating ? ((uint64_t)nth * N_FLUSHES + i) * BLOCK + (i % 3) * PAGE
				: (uint64_t)nth * 4 * PAGE + i % 4 * PAGE;
}

static void *storm_main(void *arg)
{
	struct storm *s = arg;
	uint8_t buf[PAGE];

	for (unsigned i = 0; i < s->n_flushes && !s->rc; i++) {
		uint64_t at = storm_offset(s, s->nth, i);

		stamp_fill(buf, PAGE, at, i + 1, SEED);
		s->rc = vd_disk_write(s->rig->disk, buf, PAGE, at, &s->err);
		if (!s->rc)
			s->rc = vd_disk_flush(s->rig->disk, &s->err);
		s->moments[i] = record_now(s->rig->record);
	}
	return NULL;
}

struct returned {
	size_t moment;
	unsigned nth, i;
};

static int by_moment(const void *a, const void *b)
{
	const struct returned *x = a, *y = b;

	return x->moment < y->moment ? -1 : x->moment > y->moment;
}

/* A power cut at the moment when a flush returned, after which nothing unsynced is left. */
static void check_durable(struct storm *storms, const struct returned *at, struct crash *crash,
			  uint64_t *random)
{
	enum crash_kind kind = at->i % 4 ? CRASH_LOST : CRASH_TORN;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk = NULL;
	struct store *state;
	struct vd_io *io;
	uint8_t buf[PAGE];
	char text[200];

	crash_advance(crash, at->moment);
	state = crash_state(crash, kind, random);
	io = store_io(state, false);
	if (vd_disk_open_io(&disk, io, NULL, &err) < 0)
		fail_msg("thread %u's flush %u, then a cut: %s", at->nth, at->i, err.text);
	for (unsigned i = at->i > 3 && at->i % 8 ? at->i - 3 : 0; i <= at->i; i++) {
		uint64_t offset = storm_offset(storms, at->nth, i);

		if (!storms->is_allocating && i + 4 <= at->i)
			continue; /* written over since */
		assert_int_equal(vd_disk_read(disk, buf, PAGE, offset, &err), 0);
		if (!stamp_verify(buf, PAGE, offset, i + 1, SEED, text, sizeof(text)))
			fail_msg("thread %u's flush %u returned, then a cut (%s): write %u: %s",
				 at->nth, at->i, crash_kind_name(kind), i, text);
	}
	vd_disk_close(disk, NULL);
	vd_io_close(io);
	store_free(state);
}

static void check_moments(struct rig *rig, struct storm *storms, unsigned n_threads)
{
	size_t n = 0, room = n_threads * (size_t)storms->n_flushes;
	struct returned *all = calloc(room, sizeof(*all));
	struct crash *crash = crash_new(rig->record, rig->before);
	uint64_t random = 5;

	assert_non_null(all);
	for (unsigned t = 0; t < n_threads; t++)
		for (unsigned i = 0; i < storms[t].n_flushes; i++)
			all[n++] = (struct returned){storms[t].moments[i], t, i};
	qsort(all, n, sizeof(*all), by_moment);
	for (size_t i = 0; i < n; i++)
		check_durable(storms, &all[i], crash, &random);
	crash_free(crash);
	free(all);
}

/* How many syncs the same writes and flushes take. */
static unsigned run_storm(unsigned n_threads, bool is_allocating, unsigned sync_us)
{
	unsigned n_flushes = N_THREADS * N_FLUSHES / n_threads, n_syncs;
	struct storm storms[N_THREADS];
	pthread_t ids[N_THREADS];
	struct rig rig;

	rig_open(&rig, NULL, (uint32_t)(8 * MIB));
	rig_write(&rig, N_THREADS * N_FLUSHES * BLOCK, PAGE, 1);
	if (!is_allocating)
		rig_write(&rig, 0, PAGE, 1);
	rig_flush(&rig);
	record_slow_sync(rig.record, sync_us);
	for (unsigned t = 0; t < n_threads; t++) {
		storms[t] = (struct storm){.rig = &rig,
					   .nth = t,
					   .n_flushes = n_flushes,
					   .is_allocating = is_allocating,
					   .moments = calloc(n_flushes, sizeof(size_t)),
					   .err = VD_ERROR_INIT};
		assert_non_null(storms[t].moments);
		assert_int_equal(pthread_create(&ids[t], NULL, storm_main, &storms[t]), 0);
	}
	for (unsigned t = 0; t < n_threads; t++) {
		pthread_join(ids[t], NULL);
		if (storms[t].rc < 0)
			fail_msg("thread %u: %s", t, storms[t].err.text);
	}
	n_syncs = rig_cost(&rig).syncs;
	record_slow_sync(rig.record, 0);
	check_moments(&rig, storms, n_threads);
	for (unsigned t = 0; t < n_threads; t++)
		free(storms[t].moments);
	rig_close(&rig);
	return n_syncs;
}

static void compare_storms(const char *what, bool is_allocating)
{
	unsigned one = run_storm(1, is_allocating, 0);
	unsigned many = run_storm(N_THREADS, is_allocating, 2000);

	print_message("count: %d flushes, %s: syncs of 1 thread %u, of %d threads %u\n",
		      N_THREADS * N_FLUSHES, what, one, N_THREADS, many);
	assert_in_range(one, 1, (is_allocating ? 2 : 1) * N_THREADS * N_FLUSHES + 4);
	assert_true(many * 4 <= one);
}

static void test_storm_of_allocating_flushes(void **state)
{
	(void)state;
	compare_storms("allocating", true);
}

static void test_storm_of_overwriting_flushes(void **state)
{
	(void)state;
	compare_storms("overwriting", false);
}

/* QEMU 7.2 replays for ever what fills the log to its last byte. Entries of two sectors would. */
static void test_no_entry_ends_where_the_log_does(void **state)
{
	const uint64_t n_fill = MIB / (2 * PAGE);
	uint8_t last[PAGE], empty[PAGE] = {0};
	struct rig rig;

	(void)state;
	rig_open(&rig, NULL, (uint32_t)MIB);
	for (uint64_t block = 0; block < n_fill; block++) {
		rig_write(&rig, block * BLOCK, PAGE, 1);
		assert_int_equal(rig_flush(&rig).log_bytes, 2 * PAGE);
		assert_int_equal(rig_laps(&rig), block < n_fill - 1 ? 1 : 2);
	}
	store_read(rig.store, last, PAGE, rig.log_off + rig.log_len - PAGE);
	assert_memory_equal(last, empty, PAGE);
	rig_close(&rig);

	/* The same, at the moment before the last flush, to QEMU. */
	if (!scratch_has("qemu-io")) {
		print_message("qemu-io isn't installed: not shown to QEMU\n");
		return;
	}
	rig_open(&rig, NULL, (uint32_t)MIB);
	for (uint64_t block = 0; block < n_fill; block++) {
		rig_write(&rig, block * BLOCK, PAGE, 1);
		rig_flush(&rig);
		if (block < n_fill - 2)
			continue;
		assert_true(
		    store_save(rig.store, scratch_path(block == n_fill - 1 ? "2.vhdx" : "1.vhdx")));
	}
	for (int i = 1; i <= 2; i++)
		assert_int_equal(
		    scratch_run("timeout 60 qemu-io -c 'read 0 4096' %s/%d.vhdx", scratch_dir(), i),
		    0);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_flush_that_has_nothing_to_do_syncs_nothing),
	    cmocka_unit_test(test_first_commit_costs_at_most_four_more),
	    cmocka_unit_test(test_allocating_flushes),
	    cmocka_unit_test(test_one_block_costs_two_pages_of_log),
	    cmocka_unit_test(test_overwriting_flushes_sync_once),
	    cmocka_unit_test(test_no_entry_ends_where_the_log_does),
	    cmocka_unit_test(test_flushes_of_a_child),
	    cmocka_unit_test(test_storm_of_allocating_flushes),
	    cmocka_unit_test(test_storm_of_overwriting_flushes),
	};

	return cmocka_run_group_tests_name("group commit", tests, NULL, NULL);
}
