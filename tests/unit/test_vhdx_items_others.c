/* SPDX-License-Identifier: MIT */
/*
 * Items and images of others: what they keep in the metadata region and beside it stays, byte for
 * byte, whatever we change and wherever the region goes; children, QEMU, readers that only look;
 * tables that are full, or made to do harm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vdisk/disk.h>
#include <vdisk/item.h>

#include "itemset.h"
#include "scratch.h"
#include "store.h"
#include "vhdxgen.h"

#define KIB 1024u
#define MIB ((uint64_t)1 << 20)

static struct vd_disk *open_store(struct store *store, uint32_t flags)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_io *io = store_io(store, flags & VD_OPEN_WRITE);
	struct vd_disk *disk = NULL;

	opts.flags = flags;
	if (vd_disk_open_io(&disk, io, &opts, &err) < 0)
		fail_msg("open: %s", err.text);
	vd_io_close(io);
	return disk;
}

static struct vd_disk *open_path(const char *path, uint32_t flags)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk = NULL;

	opts.flags = flags;
	if (vd_disk_open(&disk, path, &opts, &err) < 0)
		fail_msg("open: %s", err.text);
	return disk;
}

static void finish(struct vd_disk *disk)
{
	struct vd_error err = VD_ERROR_INIT;

	if (vd_disk_close(disk, &err) < 0)
		fail_msg("close: %s", err.text);
}

static void tell_finding(void *user, const struct vd_finding *finding)
{
	(void)user;
	if (finding->severity == VD_FINDING_ERROR)
		fail_msg("check: %s at 0x%" PRIx64 ": %s", finding->rule, finding->offset,
			 finding->found);
}

static void check_clean(struct store *store)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_io *io = store_io(store, false);

	if (vd_disk_check_io(io, NULL, tell_finding, NULL, NULL, &err) < 0)
		fail_msg("check: %s", err.text);
	vd_io_close(io);
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

	if (itemset_change(set, 999, disk, &err) < 0)
		fail_msg("change: %s", err.text);
}

static uint64_t get(const uint8_t *bytes, int n)
{
	uint64_t x = 0;

	while (n-- > 0)
		x = x << 8 | bytes[n];
	return x;
}

/* The table entry of an item as it stands in the file; its content's place. */
static uint64_t find_entry(const struct store *store, const char *id, uint8_t entry[32])
{
	uint8_t wanted[16], region[32];
	uint64_t at = 0;

	gen_guid(GEN_METADATA, wanted);
	for (int i = 0; i < 24 && !at; i++) {
		store_read(store, region, 32, (192u << 10) + 16 + 32 * (uint64_t)i);
		if (!memcmp(region, wanted, 16))
			at = get(region + 16, 8);
	}
	gen_guid(id, wanted);
	for (int i = 0; i < 2047; i++) {
		store_read(store, entry, 32, at + 32 + 32 * (uint64_t)i);
		if (!memcmp(entry, wanted, 16))
			return at + get(entry + 16, 4);
	}
	fail_msg("%s isn't in the table", id);
	return 0;
}

#define FOREIGN   "aaaaaaaa-0000-0000-0000-000000000001"
#define FOREIGN_2 "aaaaaaaa-0000-0000-0000-000000000002"
#define FOREIGN_3 "aaaaaaaa-0000-0000-0000-000000000003"

static const struct foreign {
	const char *id;
	uint32_t len;
	uint8_t fill;
} foreign[] = {{FOREIGN, 100, 0x5a}, {FOREIGN_2, 5000, 0xa5}, {FOREIGN_3, 64, 0x77}};

/* As found, but for the place. */
static void expect_foreign(const struct store *store, const struct store *before, bool has_moved)
{
	for (size_t i = 0; i < 3; i++) {
		uint8_t now[32], then[32], content[5000];
		uint64_t at = find_entry(store, foreign[i].id, now);
		uint64_t was = find_entry(before, foreign[i].id, then);

		assert_true(has_moved || at == was);
		memset(now + 16, 0, 4);
		memset(then + 16, 0, 4);
		assert_memory_equal(now, then, 32);
		store_read(store, content, foreign[i].len, at);
		for (uint32_t k = 0; k < foreign[i].len; k++)
			assert_int_equal(content[k], foreign[i].fill);
	}
}

/* Items of others side by side in one page, one that isn't a user's, a region of somebody. */
static void what_others_keep_stays(void **state)
{
	static struct vhdxgen g;
	static struct itemset small = {.at = {{1, VD_ITEM_USER, 100, 1}}, .n = 1};
	static const struct itemset large = {
	    .at = {{2, VD_ITEM_USER, 900 * KIB, 1}, {3, VD_ITEM_USER, 900 * KIB, 1}}, .n = 2};
	struct store *before = store_new(NULL), *store;
	uint8_t region[4096], wanted[4096], buf[512];
	struct vd_disk *disk;
	struct vd_item *items;
	size_t n;

	(void)state;
	vhdxgen_init(&g);
	for (uint32_t i = 0, off = 0x14000; i < 3; off += foreign[i].len, i++) {
		struct gen_item *item = vhdxgen_add_item(&g, foreign[i].id, off, foreign[i].len,
							 i == 2 ? 0 : 1 + i * 2);

		item->fill = foreign[i].fill;
		item->reserved = 0x1234;
	}
	vhdxgen_add_region(&g, GEN_UNKNOWN, 8 * MIB, (uint32_t)MIB, 0);
	g.file_len = 9 * MIB;
	vhdxgen_emit(&g, before);
	memset(wanted, 0xc3, sizeof(wanted));
	store_write(before, wanted, sizeof(wanted), 8 * MIB + 12288);
	store = store_new(before);
	disk = open_store(store, VD_OPEN_WRITE);
	for (uint32_t i = 0; i < 40; i++) {
		small.at[0].generation++;
		small.at[0].len += 1111;
		must_change(&small, disk);
	}
	finish(disk);
	expect_foreign(store, before, false);
	check_clean(store);
	disk = open_store(store, VD_OPEN_WRITE);
	must_change(&large, disk);
	memset(buf, 1, sizeof(buf));
	for (uint64_t at = 0; at < 16 * MIB; at += MIB)
		assert_int_equal(vd_disk_write(disk, buf, sizeof(buf), at, NULL), 0);
	finish(disk);
	expect_foreign(store, before, true);
	check_clean(store);
	store_read(store, region, sizeof(region), 8 * MIB + 12288);
	assert_memory_equal(region, wanted, sizeof(region));
	disk = open_store(store, 0);
	assert_int_equal(vd_disk_list_items(disk, &items, &n, NULL), 0);
	assert_int_equal(n, 5);
	assert_int_equal(items[0].flags, VD_ITEM_USER);
	assert_int_equal(items[1].flags, VD_ITEM_USER | VD_ITEM_VIRTUAL_DISK);
	vd_items_free(items);
	finish(disk);
	store_free(store);
	store_free(before);
}

/* Behind the items of a region that got a new place nothing of the file's past is to be seen. */
static void a_new_region_holds_nothing_else(void **state)
{
	static struct vhdxgen g;
	static const struct itemset large = {
	    .at = {{2, VD_ITEM_USER, 1000 * KIB + 3, 1}, {3, VD_ITEM_USER, 5, 1}}, .n = 2};
	struct store *store = store_new(NULL);
	uint8_t *junk = malloc(16 * MIB), entry[32];
	struct vd_disk *disk;
	uint64_t at = 0;

	(void)state;
	vhdxgen_init(&g);
	vhdxgen_emit(&g, store);
	memset(junk, 0xdb, 16 * MIB);
	store_write(store, junk, 16 * MIB, 8 * MIB); /* space that no block names */
	disk = open_store(store, VD_OPEN_WRITE);
	must_change(&large, disk);
	must_show(&large, disk);
	finish(disk);
	for (int i = 0; i < 2; i++) {
		store_read(store, entry, 32, (192u << 10) + 16 + 32 * (uint64_t)i);
		if (entry[0] == 0x06) /* 8B7CA206 */
			at = get(entry + 16, 8);
	}
	assert_true(at >= 4 * MIB);
	store_read(store, junk, 2 * MIB, at);
	for (uint64_t i = 1200 * KIB; i < 2 * MIB; i++)
		assert_int_equal(junk[i], 0);
	check_clean(store);
	free(junk);
	store_free(store);
}

static void write_entries(struct store *store, uint64_t region, uint32_t from, uint32_t to,
			  uint32_t n_user)
{
	uint8_t count[2] = {(uint8_t)to, (uint8_t)(to >> 8)};

	for (uint32_t i = from; i < to; i++) {
		uint8_t entry[32] = {0xbb, 1, (uint8_t)i, (uint8_t)(i >> 8)};

		entry[24] = i >= to - n_user;
		store_write(store, entry, sizeof(entry), region + 32 + 32 * (uint64_t)i);
	}
	store_write(store, count, 2, region + 10);
}

/* Tables that somebody has filled to the brim. */
static void a_full_table_is_full(void **state)
{
	static const struct itemset one = {.at = {{1, VD_ITEM_USER, 100, 1}}, .n = 1};
	static struct vhdxgen g;

	(void)state;
	for (uint32_t n_user = 1; n_user <= 1024; n_user += 1023) {
		struct store *store = store_new(NULL);
		struct vd_error err = VD_ERROR_INIT;
		struct vd_item *items;
		struct vd_disk *disk;
		struct vd_item_change changes[2] = {{.is_removal = true}, itemset_put(&one.at[0])};
		size_t n;

		vhdxgen_init(&g);
		vhdxgen_emit(&g, store);
		write_entries(store, g.metadata_off, g.n_items, 2047, n_user);
		disk = open_store(store, VD_OPEN_WRITE);
		assert_int_equal(itemset_change(&one, 999, disk, &err), VD_ENOSPC);
		assert_non_null(strstr(err.text, "2047"));
		assert_int_equal(vd_disk_list_items(disk, &items, &n, NULL), 0);
		assert_int_equal(n, n_user);
		memcpy(changes[0].id, items[n_user / 2].id, 16);
		vd_items_free(items);
		if (vd_disk_change_items(disk, changes, 2, &err) < 0)
			fail_msg("one goes, one comes: %s", err.text);
		finish(disk);
		disk = open_store(store, 0);
		assert_int_equal(vd_disk_list_items(disk, &items, &n, NULL), 0);
		assert_int_equal(n, n_user);
		assert_int_equal(items[n - 1].length, 100);
		vd_items_free(items);
		finish(disk);
		check_clean(store);
		store_free(store);
	}
}

/* A block that lies in the metadata region: nothing is written over it. */
static void a_region_that_a_block_overlaps_is_not_written(void **state)
{
	static const struct itemset one = {.at = {{1, VD_ITEM_USER, 100, 1}}, .n = 1};
	static struct vhdxgen g;
	struct store *store = store_new(NULL);
	struct vd_error err = VD_ERROR_INIT;
	uint8_t then[64 * KIB], now[64 * KIB];
	struct vd_disk *disk;

	(void)state;
	vhdxgen_init(&g);
	g.bat[0].entry = 2 * MIB | 6;
	vhdxgen_emit(&g, store);
	store_read(store, then, sizeof(then), 2 * MIB + 64 * KIB);
	disk = open_store(store, VD_OPEN_WRITE);
	assert_int_equal(itemset_change(&one, 999, disk, &err), VD_ECORRUPT);
	assert_non_null(strstr(err.text, "overlaps"));
	vd_disk_close(disk, NULL);
	store_read(store, now, sizeof(now), 2 * MIB + 64 * KIB);
	assert_memory_equal(now, then, sizeof(then));
	store_free(store);
}

static void items_that_overlap_are_refused(void **state)
{
	static struct vhdxgen g;
	struct store *store = store_new(NULL);
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk = NULL;
	struct vd_io *io;

	(void)state;
	vhdxgen_init(&g);
	vhdxgen_add_item(&g, FOREIGN, 0x14000, 100, 1);
	vhdxgen_add_item(&g, FOREIGN_2, 0x14063, 100, 1);
	vhdxgen_emit(&g, store);
	io = store_io(store, true);
	opts.flags = VD_OPEN_WRITE;
	assert_int_equal(vd_disk_open_io(&disk, io, &opts, &err), VD_ECORRUPT);
	assert_non_null(strstr(err.text, "overlap"));
	vd_io_close(io);
	store_free(store);
}

/* 64 TiB: what it costs to see what an image says of itself. */
static void looking_costs_a_handful_of_reads(void **state)
{
	static const struct itemset set = {
	    .at = {{1, VD_ITEM_USER, 64 * KIB, 1}, {2, VD_ITEM_USER, 200 * KIB, 1}}, .n = 2};
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_io_stats stats;
	struct store *store = store_new(NULL);
	struct vd_io *io = store_io(store, true);
	uint8_t id[16], *buf = malloc(64 * KIB);
	struct vd_disk *disk;
	struct vd_item *items;
	size_t n;

	(void)state;
	create.virtual_size = (uint64_t)64 << 40;
	create.block_size = (uint32_t)MIB;
	if (vd_disk_create_io(io, &create, &err) < 0)
		fail_msg("create: %s", err.text);
	vd_io_close(io);
	disk = open_store(store, VD_OPEN_WRITE);
	must_change(&set, disk);
	finish(disk);
	disk = open_store(store, VD_OPEN_LOOK);
	vd_io_get_stats(vd_disk_io(disk), &stats);
	print_message("opening: %" PRIu64 " reads, %" PRIu64 " bytes\n", stats.n_reads,
		      stats.bytes_read);
	assert_int_equal(vd_disk_list_items(disk, &items, &n, NULL), 0);
	vd_items_free(items);
	assert_int_equal(n, 2);
	itemset_id(1, id);
	assert_int_equal(vd_disk_read_item(disk, id, buf, 64 * KIB, 0, NULL), 0);
	vd_io_get_stats(vd_disk_io(disk), &stats);
	print_message("and listing and reading an item of 64 KiB: %" PRIu64 " reads, %" PRIu64
		      " bytes\n",
		      stats.n_reads, stats.bytes_read);
	assert_true(stats.n_reads <= 12);
	assert_true(stats.bytes_read <= MIB);
	finish(disk);
	free(buf);
	store_free(store);
}

static void make_path(const char *path, const char *parent)
{
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;

	create.virtual_size = parent ? 0 : 16 * MIB;
	create.parent = parent;
	unlink(path);
	if (vd_disk_create(path, &create, &err) < 0)
		fail_msg("create: %s", err.text);
}

/* What belongs to the disk goes on in its children, what belongs to the file doesn't. */
static void children_take_over_what_belongs_to_the_disk(void **state)
{
	static const uint32_t of_disk = VD_ITEM_USER | VD_ITEM_VIRTUAL_DISK;
	static const struct itemset parents = {
	    .at = {{1, VD_ITEM_USER, 1000, 1},
		   {2, VD_ITEM_USER | VD_ITEM_VIRTUAL_DISK, 900 * KIB, 1},
		   {3, VD_ITEM_USER | VD_ITEM_VIRTUAL_DISK, 0, 1},
		   {4, VD_ITEM_USER, 0, 1},
		   {5, VD_ITEM_USER | VD_ITEM_VIRTUAL_DISK, 600 * KIB, 1}},
	    .n = 5};
	struct itemset childs = {
	    .at = {{2, of_disk, 900 * KIB, 1}, {3, of_disk, 0, 1}, {5, of_disk, 600 * KIB, 1}},
	    .n = 3};
	const char *parent = scratch_path("items-parent.vhdx");
	const char *child = scratch_path("items-child.vhdx");
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk;
	uint64_t n_errors = 1;

	(void)state;
	make_path(parent, NULL);
	disk = open_path(parent, VD_OPEN_WRITE);
	must_change(&parents, disk);
	finish(disk);
	make_path(child, parent);
	disk = open_path(child, VD_OPEN_WRITE);
	must_show(&childs, disk);
	must_show(&childs, disk);
	childs.at[0].generation = 2;
	must_change(&childs, disk);
	finish(disk);
	/* A change of the parent's items orphans nobody. */
	disk = open_path(parent, VD_OPEN_WRITE);
	must_show(&parents, disk);
	must_change(&childs, disk);
	finish(disk);
	disk = open_path(child, 0);
	must_show(&childs, disk);
	finish(disk);
	assert_int_equal(vd_disk_check(child, NULL, tell_finding, NULL, &n_errors, &err), 0);
	assert_int_equal(n_errors, 0);
	unlink(child);
	unlink(parent);
}

static void raw_images_have_no_items(void **state)
{
	const char *path = scratch_path("items.raw");
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk = NULL;
	struct vd_item *items = (void *)&err;
	size_t n = 5;
	uint8_t id[16] = {0};

	(void)state;
	create.format = VD_FORMAT_RAW;
	create.virtual_size = MIB;
	unlink(path);
	assert_int_equal(vd_disk_create(path, &create, &err), 0);
	opts.format = VD_FORMAT_RAW;
	opts.flags = VD_OPEN_WRITE;
	assert_int_equal(vd_disk_open(&disk, path, &opts, &err), 0);
	assert_int_equal(vd_disk_list_items(disk, &items, &n, &err), VD_EUNSUPPORTED);
	assert_null(items);
	assert_int_equal(n, 0);
	assert_int_equal(vd_disk_read_item(disk, id, id, 1, 0, &err), VD_EUNSUPPORTED);
	assert_int_equal(vd_disk_change_items(disk, NULL, 0, &err), VD_EUNSUPPORTED);
	finish(disk);
	unlink(path);
}

/* QEMU is content with it, writes into it, and our items are still there. */
static void qemu_carries_items_along(void **state)
{
	static struct itemset set = {.at = {{1, VD_ITEM_USER, 1000, 1},
					    {2, VD_ITEM_USER, 900 * KIB, 1},
					    {3, VD_ITEM_USER, 900 * KIB, 1},
					    {4, VD_ITEM_USER, 300 * KIB, 1}},
				     .n = 4};
	const char *path = scratch_path("items-qemu.vhdx");
	struct vd_disk *disk;
	uint64_t n_errors = 1;

	(void)state;
	if (!scratch_has("qemu-img") || !scratch_has("qemu-io"))
		skip();
	make_path(path, NULL);
	for (uint32_t round = 1; round < 4; round++) {
		disk = open_path(path, VD_OPEN_WRITE);
		for (size_t i = 0; i < set.n; i++)
			set.at[i].generation = round;
		must_change(&set, disk);
		assert_int_equal(vd_disk_write(disk, "payload", 7, round * 4 * MIB, NULL), 0);
		finish(disk);
		assert_int_equal(scratch_run("qemu-img check -q -f vhdx '%s' >&2", path), 0);
		assert_int_equal(
		    scratch_run("qemu-io -f vhdx -c 'write -P 7 %uM 64k' '%s' >/dev/null 2>&1",
				round * 4 - 2, path),
		    0);
		disk = open_path(path, 0);
		must_show(&set, disk);
		finish(disk);
		assert_int_equal(vd_disk_check(path, NULL, tell_finding, NULL, &n_errors, NULL), 0);
	}
	unlink(path);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_others_keep_stays),
	    cmocka_unit_test(a_new_region_holds_nothing_else),
	    cmocka_unit_test(a_full_table_is_full),
	    cmocka_unit_test(a_region_that_a_block_overlaps_is_not_written),
	    cmocka_unit_test(items_that_overlap_are_refused),
	    cmocka_unit_test(looking_costs_a_handful_of_reads),
	    cmocka_unit_test(children_take_over_what_belongs_to_the_disk),
	    cmocka_unit_test(raw_images_have_no_items),
	    cmocka_unit_test(qemu_carries_items_along),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("items of others", tests, NULL, NULL);
}
