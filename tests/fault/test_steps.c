/* SPDX-License-Identifier: MIT */
/*
 * Steps of the write path that a random life doesn't show, each by itself: which GUID changes
 * when, that both headers learn of it, what children make of that, region tables that differ,
 * bits and bytes that somebody else has left.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
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
#include "vhdxgen.h"

#define MIB  ((uint64_t)1 << 20)
#define SEED 45u

/* The two headers as they stand in a store. */
struct headers {
	bool is_valid[2];
	uint64_t seq[2];
	uint8_t file_id[2][16], data_id[2][16], log_id[2][16];
};

static void read_headers(const struct store *store, struct headers *headers)
{
	for (int i = 0; i < 2; i++) {
		uint8_t bytes[4096];
		uint32_t crc = 0;

		store_read(store, bytes, sizeof(bytes), (uint64_t)(i + 1) << 16);
		for (int n = 4; n-- > 0;)
			crc = crc << 8 | bytes[4 + n];
		memset(bytes + 4, 0, 4);
		headers->is_valid[i] =
		    !memcmp(bytes, "head", 4) && gen_crc32c(bytes, sizeof(bytes)) == crc;
		headers->seq[i] = 0;
		for (int n = 8; n-- > 0;)
			headers->seq[i] = headers->seq[i] << 8 | bytes[8 + n];
		memcpy(headers->file_id[i], bytes + 16, 16);
		memcpy(headers->data_id[i], bytes + 32, 16);
		memcpy(headers->log_id[i], bytes + 48, 16);
	}
}

/* Both are valid, say the same, and one is the newer one. */
static void expect_pair(const struct headers *headers)
{
	assert_true(headers->is_valid[0] && headers->is_valid[1]);
	assert_memory_equal(headers->file_id[0], headers->file_id[1], 16);
	assert_memory_equal(headers->data_id[0], headers->data_id[1], 16);
	assert_memory_equal(headers->log_id[0], headers->log_id[1], 16);
	assert_true(headers->seq[0] + 1 == headers->seq[1] ||
		    headers->seq[1] + 1 == headers->seq[0]);
}

static void make(struct store *store)
{
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_io *io = store_io(store, true);

	create.virtual_size = 64 * MIB;
	create.block_size = (uint32_t)MIB;
	create.log_size = (uint32_t)MIB;
	if (vd_disk_create_io(io, &create, &err) < 0)
		fail_msg("create: %s", err.text);
	vd_io_close(io);
}

static struct vd_disk *open_io(struct vd_io *io, uint32_t flags)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk = NULL;

	opts.flags = flags;
	if (vd_disk_open_io(&disk, io, &opts, &err) < 0)
		fail_msg("open: %s", err.text);
	return disk;
}

static struct vd_disk *open_store(struct store *store, uint32_t flags)
{
	struct vd_io *io = store_io(store, flags != 0);
	struct vd_disk *disk = open_io(io, flags);

	vd_io_close(io);
	return disk;
}

static void write_stamp(struct vd_disk *disk, uint64_t at, size_t len, uint64_t generation)
{
	struct vd_error err = VD_ERROR_INIT;
	uint8_t *buf = malloc(len);

	stamp_fill(buf, len, at, generation, SEED);
	if (vd_disk_write(disk, buf, len, at, &err) < 0)
		fail_msg("write: %s", err.text);
	free(buf);
}

static void finish(struct vd_disk *disk)
{
	struct vd_error err = VD_ERROR_INIT;

	if (vd_disk_close(disk, &err) < 0)
		fail_msg("close: %s", err.text);
}

static void opening_and_looking_changes_nothing(void **state)
{
	struct store *store = store_new(NULL);
	struct vd_disk *disk;
	uint8_t buf[4096];
	uint64_t hash;

	(void)state;
	make(store);
	hash = store_hash(store);
	disk = open_store(store, VD_OPEN_WRITE);
	assert_int_equal(vd_disk_read(disk, buf, sizeof(buf), 0, NULL), 0);
	assert_int_equal(vd_disk_flush(disk, NULL), 0);
	finish(disk);
	assert_true(store_hash(store) == hash);
	store_free(store);
}

/* Before anything behind the headers is written, both have their new GUIDs, durably. */
static const struct headers *expected_before;
static struct store *watched;
static unsigned n_watched, n_too_early;
static bool was_synced, has_unsynced_header;

static int watch(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len)
{
	struct headers now;

	(void)hook;
	(void)len;
	if (call == HOOK_READ)
		return 0;
	if (call == HOOK_SYNC) {
		was_synced = true;
		has_unsynced_header = false;
		return 0;
	}
	if (call == HOOK_WRITE && offset < 3u << 16) {
		n_too_early += has_unsynced_header; /* the other one isn't durable yet */
		has_unsynced_header = true;
		was_synced = false;
		return 0;
	}
	read_headers(watched, &now);
	n_watched++;
	for (int i = 0; i < 2; i++)
		if (!now.is_valid[i] || !was_synced ||
		    !memcmp(now.file_id[i], expected_before->file_id[i], 16) ||
		    !memcmp(now.data_id[i], expected_before->data_id[i], 16))
			n_too_early++;
	return 0;
}

enum change { WRITE_NEW, WRITE_OVER, ZERO, DISCARD, N_CHANGES };

static void change(struct vd_disk *disk, enum change what)
{
	switch (what) {
	case WRITE_NEW:
		write_stamp(disk, 9 * MIB, 4096, 2);
		break;
	case WRITE_OVER:
		write_stamp(disk, 0, 4096, 2);
		break;
	case ZERO:
		assert_int_equal(vd_disk_write_zeroes(disk, 4096, 4096, 0, NULL), 0);
		break;
	default:
		assert_int_equal(vd_disk_discard(disk, 0, MIB, NULL), 0);
	}
}

static void the_first_change_gives_new_guids_to_both_headers(void **state)
{
	(void)state;
	for (enum change what = 0; what < N_CHANGES; what++) {
		struct store *store = store_new(NULL);
		struct headers before, after, later;
		struct vd_io *under, *io;
		struct hook hook;
		struct vd_disk *disk;

		make(store);
		disk = open_store(store, VD_OPEN_WRITE);
		write_stamp(disk, 0, MIB, 1);
		finish(disk);
		read_headers(store, &before);
		expect_pair(&before);
		under = store_io(store, true);
		hook = (struct hook){.under = under, .before = watch};
		io = hook_io(&hook);
		watched = store;
		expected_before = &before;
		n_watched = n_too_early = 0;
		was_synced = has_unsynced_header = false;
		disk = open_io(io, VD_OPEN_WRITE);
		change(disk, what);
		assert_int_equal(n_too_early, 0);
		assert_int_equal(vd_disk_flush(disk, NULL), 0);
		hook.before = NULL;
		assert_true(n_watched > 0);
		read_headers(store, &after);
		expect_pair(&after);
		assert_memory_not_equal(after.file_id[0], before.file_id[0], 16);
		assert_memory_not_equal(after.data_id[0], before.data_id[0], 16);
		assert_memory_not_equal(after.data_id[0], after.file_id[0], 16);
		/* Once a session is enough. */
		write_stamp(disk, 20 * MIB, 4096, 3);
		finish(disk);
		read_headers(store, &later);
		expect_pair(&later);
		assert_memory_equal(later.file_id[0], after.file_id[0], 16);
		assert_memory_equal(later.data_id[0], after.data_id[0], 16);
		vd_io_close(io);
		vd_io_close(under);
		store_free(store);
	}
}

static int refuse(void *user, struct vd_disk *disk, const struct vd_event *event,
		  struct vd_error *err)
{
	(void)disk;
	if (event->kind != VD_EVENT_WILL_WRITE)
		return 0;
	++*(unsigned *)user;
	return vd_error_set(err, VD_EDENIED, 0, VD_NO_OFFSET, "not this disk");
}

static void the_first_change_is_announced_and_can_be_refused(void **state)
{
	struct store *store = store_new(NULL);
	struct vd_disk *disk;
	uint64_t hash;
	unsigned n = 0;

	(void)state;
	make(store);
	hash = store_hash(store);
	disk = open_store(store, VD_OPEN_WRITE);
	assert_int_equal(vd_disk_add_listener(disk, refuse, &n, NULL), 0);
	assert_int_equal(vd_disk_write(disk, "x", 1, 0, NULL), VD_EDENIED);
	assert_int_equal(n, 1);
	finish(disk);
	assert_true(store_hash(store) == hash);
	store_free(store);
}

/* Where the last entry of the log ended, and of which lap it was. */
static struct {
	uint64_t log_off, end;
	uint8_t id[16];
	unsigned n_entries, n_laps, n_wrong;
} ring;

static int watch_log(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len)
{
	static const uint8_t nil[16];
	struct headers now;
	uint8_t id[16];

	(void)hook;
	if (call != HOOK_WRITE || offset < ring.log_off || offset >= ring.log_off + MIB)
		return 0;
	store_read(watched, id, sizeof(id), offset + 32);
	read_headers(watched, &now);
	ring.n_entries++;
	if (!memcmp(id, ring.id, 16)) { /* the same lap goes on */
		ring.n_wrong += offset != ring.end;
	} else { /* a new one, after the last was declared over */
		ring.n_laps++;
		ring.n_wrong += offset != ring.log_off;
		for (int i = 0; i < 2; i++)
			ring.n_wrong += !now.is_valid[i] || memcmp(now.log_id[i], nil, 16);
	}
	memcpy(ring.id, id, 16);
	ring.end = offset + len;
	ring.n_wrong += ring.end > ring.log_off + MIB;
	return 0;
}

static void a_lap_of_the_log_has_its_own_guid_and_never_wraps(void **state)
{
	struct store *store = store_new(NULL);
	struct vd_io *under, *io;
	struct vd_disk *disk;
	struct hook hook;
	uint8_t off[8];

	(void)state;
	make(store);
	memset(&ring, 0, sizeof(ring));
	store_read(store, off, sizeof(off), 65536 + 72);
	for (int i = 8; i-- > 0;)
		ring.log_off = ring.log_off << 8 | off[i];
	under = store_io(store, true);
	hook = (struct hook){.under = under, .after = watch_log};
	watched = store;
	io = hook_io(&hook);
	disk = open_io(io, VD_OPEN_WRITE);
	for (uint64_t i = 0; i < 300; i++) {
		if (i / 60 & 1)
			assert_int_equal(vd_disk_discard(disk, i % 60 * MIB, MIB, NULL), 0);
		else
			write_stamp(disk, i % 60 * MIB, 512, 1);
		assert_int_equal(vd_disk_flush(disk, NULL), 0);
	}
	finish(disk);
	assert_int_equal(ring.n_entries, 300);
	assert_true(ring.n_laps >= 3);
	assert_int_equal(ring.n_wrong, 0);
	vd_io_close(io);
	vd_io_close(under);
	store_free(store);
}

/* A file as it is when we are killed after a flush. */
static void make_dirty(struct store *store)
{
	struct store *copy;
	struct vd_disk *disk;

	make(store);
	copy = store_new(store);
	disk = open_store(copy, VD_OPEN_WRITE);
	write_stamp(disk, 0, 2 * MIB, 1);
	assert_int_equal(vd_disk_flush(disk, NULL), 0);
	store_save(copy, scratch_path("dirty.vhdx"));
	finish(disk);
	store_free(copy);
	store_truncate(store, 0);
	store_load(store, scratch_path("dirty.vhdx"));
}

static void a_replay_changes_the_file_not_its_data(void **state)
{
	struct store *store = store_new(NULL);
	struct headers before = {0}, after = {0};
	struct vd_disk *disk;
	static const uint8_t nil[16];

	(void)state;
	make_dirty(store);
	read_headers(store, &before);
	expect_pair(&before);
	assert_memory_not_equal(before.log_id[0], nil, 16);
	finish(open_store(store, 0));
	read_headers(store, &after);
	assert_memory_equal(&after, &before, sizeof(after));
	disk = open_store(store, VD_OPEN_WRITE);
	read_headers(store, &after);
	expect_pair(&after);
	assert_memory_equal(after.log_id[0], nil, 16);
	assert_memory_not_equal(after.file_id[0], before.file_id[0], 16);
	assert_memory_equal(after.data_id[0], before.data_id[0], 16);
	finish(disk);
	read_headers(store, &after);
	assert_memory_equal(after.data_id[0], before.data_id[0], 16);
	store_free(store);
}

/* A child is orphaned by what a guest writes to its parent, and by nothing less. */
static void children_outlive_a_replay_but_not_a_write(void **state)
{
	const char *parent = scratch_path("parent.vhdx"), *child = scratch_path("child.vhdx");
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct store *store = store_new(NULL);
	struct vd_disk *disk = NULL;

	(void)state;
	make_dirty(store);
	assert_true(store_save(store, parent));
	unlink(child);
	create.parent = parent;
	if (vd_disk_create(child, &create, &err) < 0)
		fail_msg("child: %s", err.text);
	opts.flags = VD_OPEN_WRITE;
	assert_int_equal(vd_disk_open(&disk, parent, &opts, &err), 0); /* replays */
	finish(disk);
	if (vd_disk_open(&disk, child, NULL, &err) < 0)
		fail_msg("after a replay: %s", err.text);
	finish(disk);
	assert_int_equal(vd_disk_open(&disk, parent, &opts, &err), 0);
	write_stamp(disk, 0, 4096, 2);
	finish(disk);
	assert_int_not_equal(vd_disk_open(&disk, child, NULL, &err), 0);
	assert_non_null(strstr(err.text, "parent"));
	unlink(child);
	unlink(parent);
	store_free(store);
}

/* More than a sector of the table, in another order than ours, without QEMU's forgotten bits. */
static void fill_regions(struct vhdxgen *g)
{
	static char guids[20][37];
	struct gen_region *at = g->regions[0].at, last;

	for (unsigned i = 0; i < 20; i++) {
		snprintf(guids[i], sizeof(guids[i]), "11111111-2222-3333-4444-0000000000%02x", i);
		vhdxgen_add_region(g, guids[i], (16 + i) * MIB, (uint32_t)MIB, 0);
	}
	last = at[21];
	at[21] = at[0];
	at[0] = last;
	at[1].flags = at[21].flags = 0;
	g->regions[1].is_bad = true;
	g->file_len = 64 * MIB;
}

/* Copy 2 is broken; whatever a power cut leaves of the repair opens. */
static void unequal_region_tables_are_repaired_through_the_log(void **state)
{
	static struct vhdxgen g;
	struct store *before = store_new(NULL), *store;
	struct record *record;
	struct crash *crash;
	struct vd_disk *disk;
	struct vd_io *io;
	uint64_t random = 1;
	uint8_t tables[2][65536];

	(void)state;
	vhdxgen_init(&g);
	fill_regions(&g);
	vhdxgen_emit(&g, before);
	store = store_new(before);
	record = record_new(store);
	io = record_io(record);
	disk = open_io(io, VD_OPEN_WRITE);
	write_stamp(disk, 9 * MIB, 4096, 1);
	assert_int_equal(vd_disk_flush(disk, NULL), 0);
	finish(disk);
	vd_io_close(io);
	for (uint64_t i = 0; i < 2; i++)
		store_read(store, tables[i], sizeof(tables[i]), (3 + i) << 16);
	assert_memory_equal(tables[0], tables[1], sizeof(tables[0]));
	crash = crash_new(record, before);
	for (size_t moment = 0; moment <= record_now(record); moment++) {
		crash_advance(crash, moment);
		for (int i = 0; i < 8; i++) {
			struct store *cut = crash_state(crash, CRASH_TORN, &random);

			finish(open_store(cut, 0));
			finish(open_store(cut, VD_OPEN_WRITE));
			store_free(cut);
		}
	}
	crash_free(crash);
	record_free(record);
	store_free(store);
	store_free(before);
}

/* Sectors of `block` that aren't the parent's. */
static unsigned n_own_sectors(struct vd_disk *disk, uint64_t block)
{
	uint64_t at = block * 2 * MIB, end = at + 2 * MIB;
	unsigned n = 0;

	while (at < end) {
		struct vd_extent extent;

		assert_int_equal(vd_disk_map(disk, at, end - at, &extent, NULL), 0);
		if (extent.state != VD_STATE_PARENT)
			n += (unsigned)(extent.length / 512);
		at += extent.length;
	}
	return n;
}

/* Bits of blocks that the BAT calls the parent's mean nothing, and don't come to life. */
static void bits_of_an_earlier_life_dont_count(void **state)
{
	static struct vhdxgen g;
	struct store *store = store_new(NULL);
	uint8_t ones[512];
	struct vd_disk *disk;

	(void)state;
	vhdxgen_init_child(&g);
	vhdxgen_emit(&g, store);
	memset(ones, 0xff, sizeof(ones));
	store_write(store, ones, sizeof(ones), 8 * MIB + 3 * 512);
	disk = open_store(store, VD_OPEN_WRITE | VD_OPEN_NO_PARENTS);
	write_stamp(disk, 6 * MIB + 4096, 4096, 1);
	assert_int_equal(n_own_sectors(disk, 3), 8);
	assert_int_equal(n_own_sectors(disk, 5), 4);
	finish(disk);
	disk = open_store(store, VD_OPEN_NO_PARENTS);
	assert_int_equal(n_own_sectors(disk, 3), 8);
	finish(disk);
	store_free(store);
}

static int cant_punch(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len)
{
	(void)hook;
	(void)offset;
	(void)len;
	return call == HOOK_PUNCH ? -EOPNOTSUPP : 0;
}

/* The first bitmap block lands where a freed block was, on a host that can't punch. */
static void a_new_bitmap_block_is_zero(void **state)
{
	static struct vhdxgen g;
	struct store *store = store_new(NULL);
	struct vd_io *under, *io;
	struct hook hook;
	struct vd_disk *disk;
	uint8_t *ones = malloc(2 * MIB), entry[8];
	unsigned n_set = 0;

	(void)state;
	vhdxgen_init_child(&g);
	/* No bitmap, one full block, which is in nobody's way. */
	g.bat[1] = (struct gen_bat){7, 6 * MIB | 6};
	g.n_bat = 2;
	vhdxgen_emit(&g, store);
	memset(ones, 0xff, 2 * MIB);
	store_write(store, ones, 2 * MIB, 6 * MIB);
	under = store_io(store, true);
	hook = (struct hook){.under = under, .before = cant_punch};
	io = hook_io(&hook);
	disk = open_io(io, VD_OPEN_WRITE | VD_OPEN_NO_PARENTS);
	assert_int_equal(vd_disk_discard(disk, 14 * MIB, 2 * MIB, NULL), 0);
	assert_int_equal(vd_disk_flush(disk, NULL), 0);
	write_stamp(disk, 2 * MIB + 512, 512, 1);
	write_stamp(disk, 6 * MIB + 4096, 4096, 1);
	assert_int_equal(n_own_sectors(disk, 1), 1);
	assert_int_equal(n_own_sectors(disk, 3), 8);
	finish(disk);
	vd_io_close(io);
	vd_io_close(under);
	disk = open_store(store, VD_OPEN_NO_PARENTS);
	assert_int_equal(n_own_sectors(disk, 1), 1);
	assert_int_equal(n_own_sectors(disk, 3), 8);
	finish(disk);
	/* Nor bits of blocks that nobody has written yet. */
	store_read(store, entry, sizeof(entry), 3 * MIB + 2048 * 8);
	assert_int_equal(entry[0] & 7, 6);
	store_read(store, ones, MIB,
		   ((uint64_t)entry[3] << 24 | (uint64_t)entry[2] << 16) & ~(MIB - 1));
	for (uint64_t i = 0; i < MIB; i++)
		n_set += ones[i] != 0;
	assert_int_equal(n_set, 2);
	store_free(store);
	free(ones);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(opening_and_looking_changes_nothing),
	    cmocka_unit_test(the_first_change_gives_new_guids_to_both_headers),
	    cmocka_unit_test(the_first_change_is_announced_and_can_be_refused),
	    cmocka_unit_test(a_lap_of_the_log_has_its_own_guid_and_never_wraps),
	    cmocka_unit_test(a_replay_changes_the_file_not_its_data),
	    cmocka_unit_test(children_outlive_a_replay_but_not_a_write),
	    cmocka_unit_test(unequal_region_tables_are_repaired_through_the_log),
	    cmocka_unit_test(bits_of_an_earlier_life_dont_count),
	    cmocka_unit_test(a_new_bitmap_block_is_zero),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("steps", tests, NULL, NULL);
}
