/* SPDX-License-Identifier: MIT */
/*
 * Steps of a change of user metadata items that a random life doesn't show: a change that fails
 * comes with no later commit, what was in memory of a region that moved away, what the listeners
 * of a first write may do.
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
#include <vdisk/item.h>

#include "hook.h"
#include "itemset.h"
#include "scratch.h"
#include "stamp.h"
#include "store.h"

#define MIB  ((uint64_t)1 << 20)
#define SEED 46u

static const struct itemset first = {.at = {{1, VD_ITEM_USER, 3000, 1}}, .n = 1};
static const struct itemset second = {.at = {{1, VD_ITEM_USER, 70, 2}, {3, VD_ITEM_USER, 5, 2}},
				      .n = 2};
static const struct itemset large = {
    .at = {{1, VD_ITEM_USER, 1040000, 3}, {3, VD_ITEM_USER, 1040000, 3}, {4, VD_ITEM_USER, 7, 3}},
    .n = 3};

static void make(struct store *store, const char *parent)
{
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_io *io = store_io(store, true);

	create.virtual_size = 64 * MIB;
	create.block_size = (uint32_t)(parent ? 4 * MIB : MIB); /* only a bitmap fits into 2 MiB */
	create.log_size = (uint32_t)MIB;
	create.parent = parent;
	if (vd_disk_create_io(io, &create, &err) < 0)
		fail_msg("create: %s", err.text);
	vd_io_close(io);
}

static struct vd_disk *open_store(struct store *store, uint32_t flags)
{
	struct vd_io *io = store_io(store, flags != 0);
	struct vd_disk *disk = scratch_open_io(io, flags);

	vd_io_close(io);
	return disk;
}

static void finish(struct vd_disk *disk)
{
	struct vd_error err = VD_ERROR_INIT;

	if (vd_disk_close(disk, &err) < 0)
		fail_msg("close: %s", err.text);
}

static void must_show(const struct itemset *set, struct vd_disk *disk)
{
	char text[400];

	if (!itemset_is_shown(set, disk, text, sizeof(text)))
		fail_msg("%s", text);
}

static void must_change(const struct itemset *set, struct vd_disk *disk)
{
	struct vd_error err = VD_ERROR_INIT;

	if (itemset_change(set, 2, disk, &err) < 0)
		fail_msg("change: %s", err.text);
	must_show(set, disk);
}

static struct {
	uint64_t off, len;
	bool is_armed;
	unsigned n;
} full;

/* The host has no room for a part of the file. */
static int no_room(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len)
{
	(void)hook;
	(void)len;
	if (!full.is_armed || call != HOOK_WRITE || offset < full.off ||
	    offset >= full.off + full.len)
		return 0;
	full.n++;
	return -ENOSPC;
}

/* The entry can't be written; what the next flush commits has nothing of the change. */
static void fail_and_go_on(const struct itemset *to)
{
	struct store *store = store_new(NULL), *killed = store_new(NULL);
	struct vd_error err = VD_ERROR_INIT;
	struct vd_io *under, *io;
	struct hook hook;
	struct vd_disk *disk;
	uint8_t byte = 'x';

	make(store, NULL);
	under = store_io(store, true);
	hook = (struct hook){.under = under, .before = no_room};
	io = hook_io(&hook);
	disk = scratch_open_io(io, VD_OPEN_WRITE);
	must_change(&first, disk);
	full.off = MIB;
	full.len = MIB;
	full.n = 0;
	full.is_armed = true;
	assert_int_equal(itemset_change(to, 2, disk, &err), VD_ENOSPC);
	full.is_armed = false;
	assert_int_equal(full.n, 2); /* behind the last entry, and where the log begins */
	must_show(&first, disk);
	assert_int_equal(vd_disk_write(disk, &byte, 1, 5 * MIB, &err), 0);
	assert_int_equal(vd_disk_flush(disk, &err), 0);
	store_save(store, scratch_path("killed.vhdx"));
	store_load(killed, scratch_path("killed.vhdx"));
	must_show(&first, disk);
	must_change(to, disk);
	finish(disk);
	vd_io_close(io);
	vd_io_close(under);
	disk = open_store(killed, 0);
	must_show(&first, disk);
	finish(disk);
	disk = open_store(store, 0);
	must_show(to, disk);
	finish(disk);
	store_free(killed);
	store_free(store);
}

static void a_change_that_failed_comes_with_no_later_commit(void **state)
{
	(void)state;
	fail_and_go_on(&second);
}

static void a_move_that_failed_comes_with_no_later_commit(void **state)
{
	(void)state;
	fail_and_go_on(&large);
}

static const char *make_parent(void)
{
	const char *path = scratch_path("items-steps-parent.vhdx");
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk = NULL;
	uint8_t *buf = malloc(2 * MIB);

	create.virtual_size = 64 * MIB;
	opts.flags = VD_OPEN_WRITE;
	unlink(path);
	if (vd_disk_create(path, &create, &err) < 0 || vd_disk_open(&disk, path, &opts, &err) < 0)
		fail_msg("parent: %s", err.text);
	stamp_fill(buf, 2 * MIB, 0, 1, SEED);
	assert_int_equal(vd_disk_write(disk, buf, 2 * MIB, 0, &err), 0);
	finish(disk);
	free(buf);
	return path;
}

/* Entries without content, so that the table has something behind its first KiB. */
static void add_many(struct vd_disk *disk)
{
	struct itemset_one ones[60];
	struct vd_item_change changes[60];

	for (uint32_t i = 0; i < 60; i++) {
		ones[i] = (struct itemset_one){100 + i, VD_ITEM_USER, 0, 1};
		changes[i] = itemset_put(&ones[i]);
	}
	assert_int_equal(vd_disk_change_items(disk, changes, 60, NULL), 0);
}

/*
 * A child's sector bitmap comes to stand where the metadata region was, in one opening: the pages
 * of the old table must not come back as bits.
 */
static void a_bitmap_where_the_region_was_is_zero(void **state)
{
	const char *parent = make_parent();
	struct store *store = store_new(NULL);
	struct vd_disk_stats stats = {.size = sizeof(stats)};
	struct itemset small = first;
	struct vd_disk *disk;
	uint8_t *buf = malloc(2 * MIB), *wanted = malloc(2 * MIB);
	uint64_t n_laps;
	unsigned n_set = 0;

	(void)state;
	make(store, parent);
	disk = open_store(store, VD_OPEN_WRITE);
	add_many(disk);
	assert_int_equal(itemset_change(&large, 2, disk, NULL), 0);
	vd_disk_get_stats(disk, &stats);
	n_laps = stats.n_log_laps;
	small.at[0].name = 9;
	for (int i = 0; i < 400 && stats.n_log_laps == n_laps; i++) {
		assert_int_equal(itemset_change(&small, 2, disk, NULL), 0);
		small.at[0].generation++;
		vd_disk_get_stats(disk, &stats);
	}
	assert_true(stats.n_log_laps > n_laps);
	/* Until nobody can still be reading there. */
	for (int i = 0; i < 4; i++, small.at[0].generation++)
		assert_int_equal(itemset_change(&small, 2, disk, NULL), 0);
	stamp_fill(buf, 512, 0, 2, SEED);
	assert_int_equal(vd_disk_write(disk, buf, 512, 0, NULL), 0);
	assert_int_equal(vd_disk_flush(disk, NULL), 0);
	store_read(store, buf, MIB, 2 * MIB);
	for (uint64_t i = 0; i < MIB; i++)
		n_set += buf[i] != 0;
	assert_int_equal(buf[0], 1); /* it is there */
	assert_int_equal(n_set, 1);
	for (int i = 0; i < 2; i++) {
		stamp_fill(wanted, 2 * MIB, 0, 1, SEED);
		stamp_fill(wanted, 512, 0, 2, SEED);
		assert_int_equal(vd_disk_read(disk, buf, 2 * MIB, 0, NULL), 0);
		assert_memory_equal(buf, wanted, 2 * MIB);
		finish(disk);
		disk = open_store(store, 0);
	}
	finish(disk);
	free(buf);
	free(wanted);
	store_free(store);
	unlink(parent);
}

static struct {
	unsigned n;
	int answer;
} heard;

/* As who writes history does. */
static int write_history(void *user, struct vd_disk *disk, const struct vd_event *event,
			 struct vd_error *err)
{
	if (event->kind != VD_EVENT_WILL_WRITE && event->kind != VD_EVENT_CLOSING)
		return 0;
	heard.n++;
	heard.answer = itemset_change(heard.n == 1 ? &first : &second, 2, disk, err);
	(void)user;
	return heard.answer;
}

static void listeners_of_the_first_write_change_items(void **state)
{
	struct store *store = store_new(NULL);
	struct vd_disk *disk;
	uint64_t hash;

	(void)state;
	make(store, NULL);
	hash = store_hash(store);
	for (int i = 0; i < 3; i++) {
		memset(&heard, 0, sizeof(heard));
		disk = open_store(store, VD_OPEN_WRITE);
		assert_int_equal(vd_disk_add_listener(disk, write_history, NULL, NULL), 0);
		assert_true(store_hash(store) == hash);
		if (i == 0)
			assert_int_equal(vd_disk_write(disk, "x", 1, 7, NULL), 0);
		else if (i == 1)
			assert_int_equal(vd_disk_discard(disk, 0, MIB, NULL), 0);
		else
			assert_int_equal(vd_disk_write_zeroes(disk, 4, MIB, 0, NULL), 0);
		assert_int_equal(heard.n, 1);
		assert_int_equal(heard.answer, 0);
		if (i == 0)
			must_show(&first, disk);
		finish(disk);
		assert_int_equal(heard.n, 2);
		disk = open_store(store, 0);
		must_show(&second, disk);
		finish(disk);
		hash = store_hash(store);
	}
	store_free(store);
}

/* A change of items isn't one that a guest sees: nobody is asked. */
static void a_change_of_items_is_not_announced(void **state)
{
	struct store *store = store_new(NULL);
	struct vd_disk *disk;

	(void)state;
	make(store, NULL);
	memset(&heard, 0, sizeof(heard));
	disk = open_store(store, VD_OPEN_WRITE);
	assert_int_equal(vd_disk_add_listener(disk, write_history, NULL, NULL), 0);
	must_change(&second, disk);
	assert_int_equal(heard.n, 0);
	finish(disk);
	store_free(store);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_change_that_failed_comes_with_no_later_commit),
	    cmocka_unit_test(a_move_that_failed_comes_with_no_later_commit),
	    cmocka_unit_test(a_bitmap_where_the_region_was_is_zero),
	    cmocka_unit_test(listeners_of_the_first_write_change_items),
	    cmocka_unit_test(a_change_of_items_is_not_announced),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("items steps", tests, NULL, NULL);
}
