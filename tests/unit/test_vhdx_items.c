/* SPDX-License-Identifier: MIT */
/*
 * User metadata items: listing, reading, changing; what becomes of the items of others; bounds;
 * tables that somebody has made to do harm.
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

#include <vdisk/disk.h>
#include <vdisk/item.h>

#include "scratch.h"
#include "store.h"
#include "vhdxgen.h"

#define KIB 1024u
#define MIB ((uint64_t)1 << 20)

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

static size_t cache_bytes; /* 0: as usual */

static struct vd_disk *open_store(struct store *store, uint32_t flags)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_io *io = store_io(store, flags & VD_OPEN_WRITE);
	struct vd_disk *disk = NULL;

	opts.flags = flags;
	opts.cache_bytes = cache_bytes;
	if (vd_disk_open_io(&disk, io, &opts, &err) < 0)
		fail_msg("open: %s", err.text);
	vd_io_close(io);
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
	if (finding->severity != VD_FINDING_NOTE)
		fail_msg("check: %s at 0x%" PRIx64 ": %s", finding->rule, finding->offset,
			 finding->found);
}

static void check_clean(struct store *store)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_io *io = store_io(store, false);
	uint64_t n_errors = 0;

	if (vd_disk_check_io(io, NULL, tell_finding, NULL, &n_errors, &err) < 0)
		fail_msg("check: %s", err.text);
	assert_int_equal(n_errors, 0);
	vd_io_close(io);
}

/* Content of an item: bytes that its number, its generation and their place give. */
static void fill_bytes(uint8_t *buf, uint32_t len, uint32_t offset, uint8_t id, uint8_t generation)
{
	for (uint32_t i = 0; i < len; i++)
		buf[i] = (uint8_t)((offset + i) * 7 + (offset + i) / 251 + id * 31 +
				   generation * 101 + 1);
}

static struct vd_item_change change_of(uint8_t id, uint32_t flags, const void *data, uint32_t len)
{
	struct vd_item_change change = {.flags = flags, .length = len, .data = data};

	memset(change.id, id, sizeof(change.id));
	change.id[0] = 0x10; /* not the same whatever the byte order */
	return change;
}

static uint8_t generations[256];

static int bring(void *user, void *buf, uint32_t len, uint32_t offset, struct vd_error *err)
{
	uint8_t id = (uint8_t)(uintptr_t)user;

	(void)err;
	fill_bytes(buf, len, offset, id, generations[id]);
	return 0;
}

static struct vd_item_change filled(uint8_t id, uint32_t len, uint8_t generation)
{
	struct vd_item_change change = change_of(id, VD_ITEM_USER, NULL, len);

	generations[id] = generation;
	change.fill = bring;
	change.user = (void *)(uintptr_t)id;
	return change;
}

static struct vd_item_change removal(uint8_t id)
{
	struct vd_item_change change = change_of(id, 0, NULL, 0);

	change.is_removal = true;
	return change;
}

static void must_change(struct vd_disk *disk, const struct vd_item_change *changes, size_t n)
{
	struct vd_error err = VD_ERROR_INIT;

	if (vd_disk_change_items(disk, changes, n, &err) < 0)
		fail_msg("change: %s", err.text);
}

static const struct vd_item *find(const struct vd_item *items, size_t n, uint8_t id)
{
	struct vd_item_change wanted = change_of(id, 0, NULL, 0);

	for (size_t i = 0; i < n; i++)
		if (!memcmp(items[i].id, wanted.id, 16))
			return &items[i];
	return NULL;
}

/* The item is there with this content; `len` VD_ITEM_MAX + 1: it isn't there. */
static void expect(struct vd_disk *disk, uint8_t id, uint32_t len, uint8_t generation)
{
	struct vd_item_change wanted = change_of(id, 0, NULL, 0);
	struct vd_error err = VD_ERROR_INIT;
	uint8_t *got = malloc(VD_ITEM_MAX + 1), *should = malloc(VD_ITEM_MAX + 1);
	const struct vd_item *item;
	struct vd_item *items;
	size_t n;

	assert_int_equal(vd_disk_list_items(disk, &items, &n, &err), 0);
	item = find(items, n, id);
	if (len > VD_ITEM_MAX) {
		assert_null(item);
		assert_int_equal(vd_disk_read_item(disk, wanted.id, got, 0, 0, &err), VD_ENOENT);
	} else {
		assert_non_null(item);
		assert_int_equal(item->length, len);
		assert_true(item->flags & VD_ITEM_USER);
		assert_true((item->offset == 0) == (len == 0));
		assert_int_equal(vd_disk_read_item(disk, wanted.id, got, len, 0, &err), 0);
		fill_bytes(should, len, 0, id, generation);
		if (len)
			assert_memory_equal(got, should, len);
		assert_int_equal(vd_disk_read_item(disk, wanted.id, got, 1, len, &err), VD_ERANGE);
		if (len > 100) {
			assert_int_equal(vd_disk_read_item(disk, wanted.id, got, 50, 33, &err), 0);
			assert_memory_equal(got, should + 33, 50);
		}
	}
	vd_items_free(items);
	free(got);
	free(should);
}
#define GONE (VD_ITEM_MAX + 1)

static void items_are_there_after_a_change(void **state)
{
	struct store *store = store_new(NULL);
	struct vd_disk *disk;
	struct vd_item *items;
	size_t n = 7;

	(void)state;
	make(store);
	disk = open_store(store, VD_OPEN_WRITE);
	assert_int_equal(vd_disk_list_items(disk, &items, &n, NULL), 0);
	assert_null(items);
	assert_int_equal(n, 0);
	must_change(
	    disk,
	    (struct vd_item_change[]){filled(1, 100, 1), filled(2, 0, 1), filled(3, 300 * KIB, 1)},
	    3);
	expect(disk, 1, 100, 1);
	expect(disk, 2, 0, 1);
	expect(disk, 3, 300 * KIB, 1);
	must_change(disk, (struct vd_item_change[]){filled(3, 5, 2), removal(1), removal(9)}, 3);
	finish(disk);
	check_clean(store);
	disk = open_store(store, 0);
	expect(disk, 1, GONE, 0);
	expect(disk, 2, 0, 1);
	expect(disk, 3, 5, 2);
	finish(disk);
	store_free(store);
}

/* A file as it is when we are killed right after a change. */
static void a_change_is_durable_when_it_returns(void **state)
{
	struct store *store = store_new(NULL), *killed = store_new(NULL);
	struct vd_disk *disk;

	(void)state;
	make(store);
	disk = open_store(store, VD_OPEN_WRITE);
	must_change(disk, (struct vd_item_change[]){filled(1, 5000, 1)}, 1);
	must_change(disk, (struct vd_item_change[]){filled(1, 6000, 2)}, 1);
	store_save(store, scratch_path("killed.vhdx"));
	finish(disk);
	store_load(killed, scratch_path("killed.vhdx"));
	check_clean(killed);
	disk = open_store(killed, 0);
	expect(disk, 1, 6000, 2);
	finish(disk);
	disk = open_store(killed, VD_OPEN_LOOK);
	expect(disk, 1, 6000, 2);
	finish(disk);
	disk = open_store(killed, VD_OPEN_WRITE);
	expect(disk, 1, 6000, 2);
	finish(disk);
	store_free(killed);
	store_free(store);
}

static void what_is_new_stands_in_one_run_in_its_order(void **state)
{
	struct store *store = store_new(NULL);
	struct vd_item_change changes[12];
	struct vd_disk *disk;
	struct vd_item *items;
	uint64_t end = 0;
	size_t n;

	(void)state;
	make(store);
	disk = open_store(store, VD_OPEN_WRITE);
	for (uint8_t i = 0; i < 12; i++)
		changes[i] = filled((uint8_t)(20 - i), 3000 + i * 1000u, 1);
	must_change(disk, changes, 12);
	assert_int_equal(vd_disk_list_items(disk, &items, &n, NULL), 0);
	assert_int_equal(n, 12);
	for (size_t i = 0; i < n; i++) {
		assert_memory_equal(items[i].id, changes[i].id, 16);
		assert_true(!end || items[i].offset == end);
		end = (items[i].offset + items[i].length + 4095) & ~(uint64_t)4095;
	}
	vd_items_free(items);
	finish(disk);
	store_free(store);
}

static void changes_that_make_no_sense_are_refused(void **state)
{
	static const uint8_t bytes[16];
	const struct vd_item_change good = change_of(1, VD_ITEM_USER, bytes, 16);
	struct store *store = store_new(NULL);
	struct vd_error err = VD_ERROR_INIT;
	struct vd_item_change bad[6];
	struct vd_disk *disk;
	uint64_t hash;

	(void)state;
	make(store);
	hash = store_hash(store);
	for (size_t i = 0; i < 6; i++)
		bad[i] = good;
	bad[0].flags = VD_ITEM_USER | VD_ITEM_REQUIRED;
	bad[1].flags = 0;
	bad[2].flags = VD_ITEM_USER | 8;
	bad[3].length = VD_ITEM_MAX + 1;
	bad[4].data = NULL;
	disk = open_store(store, VD_OPEN_WRITE);
	for (size_t i = 0; i < 5; i++) {
		err = (struct vd_error)VD_ERROR_INIT;
		assert_int_equal(vd_disk_change_items(disk, &bad[i], 1, &err), VD_EINVAL);
		assert_non_null(strstr(err.text, "metadata item 10010101-"));
	}
	assert_int_equal(vd_disk_change_items(
			     disk, (struct vd_item_change[]){good, filled(2, 1, 1), good}, 3, &err),
			 VD_EINVAL);
	assert_int_equal(vd_disk_change_items(disk, NULL, 0, &err), 0);
	must_change(disk, (struct vd_item_change[]){removal(1)}, 1);
	finish(disk);
	assert_true(store_hash(store) == hash);
	disk = open_store(store, 0);
	assert_int_equal(vd_disk_change_items(disk, &good, 1, &err), VD_EROFS);
	finish(disk);
	store_free(store);
}

static int refuse_to_bring(void *user, void *buf, uint32_t len, uint32_t offset,
			   struct vd_error *err)
{
	(void)user;
	memset(buf, 0xee, len);
	if (offset < 256 * KIB)
		return 0;
	return vd_error_set(err, VD_ETIMEDOUT, 0, VD_NO_OFFSET, "the source is gone");
}

static void content_that_does_not_come_ends_the_whole_change(void **state)
{
	struct store *store = store_new(NULL);
	struct vd_error err = VD_ERROR_INIT;
	struct vd_item_change changes[3];
	struct vd_disk *disk;

	(void)state;
	make(store);
	disk = open_store(store, VD_OPEN_WRITE);
	must_change(disk, (struct vd_item_change[]){filled(1, 700, 1)}, 1);
	changes[0] = filled(1, 700, 2);
	changes[1] = filled(2, 600 * KIB, 2);
	changes[1].fill = refuse_to_bring;
	changes[2] = removal(3);
	assert_int_equal(vd_disk_change_items(disk, changes, 3, &err), VD_ETIMEDOUT);
	assert_string_equal(err.text, "the source is gone");
	expect(disk, 1, 700, 1);
	expect(disk, 2, GONE, 0);
	finish(disk);
	check_clean(store);
	disk = open_store(store, 0);
	expect(disk, 1, 700, 1);
	finish(disk);
	store_free(store);
}

static int change_from_within(void *user, void *buf, uint32_t len, uint32_t offset,
			      struct vd_error *err)
{
	struct vd_disk *disk = user;
	const struct vd_item_change inner = removal(5);
	struct vd_item *items;
	size_t n;

	(void)offset;
	memset(buf, 1, len);
	assert_int_equal(vd_disk_list_items(disk, &items, &n, err), 0);
	vd_items_free(items);
	return vd_disk_change_items(disk, &inner, 1, err);
}

static void who_brings_content_cannot_change_items(void **state)
{
	struct store *store = store_new(NULL);
	struct vd_error err = VD_ERROR_INIT;
	struct vd_item_change change = filled(1, 10, 1);
	struct vd_disk *disk;

	(void)state;
	make(store);
	disk = open_store(store, VD_OPEN_WRITE);
	change.fill = change_from_within;
	change.user = disk;
	assert_int_equal(vd_disk_change_items(disk, &change, 1, &err), VD_EINVAL);
	must_change(disk, (struct vd_item_change[]){filled(2, 10, 1)}, 1);
	finish(disk);
	store_free(store);
}

static void guid_at(const struct store *store, uint64_t offset, uint8_t id[2][16])
{
	for (int i = 0; i < 2; i++)
		store_read(store, id[i], 16, ((uint64_t)(i + 1) << 16) + offset);
}

/* The opening that changes items has a FileWriteGuid of its own, one; the data stays the same. */
static void a_change_gives_a_new_file_write_guid_only(void **state)
{
	struct store *store = store_new(NULL);
	uint8_t file[3][2][16], data[3][2][16];
	struct vd_disk *disk;

	(void)state;
	make(store);
	guid_at(store, 16, file[0]);
	guid_at(store, 32, data[0]);
	disk = open_store(store, VD_OPEN_WRITE);
	must_change(disk, (struct vd_item_change[]){filled(1, 10, 1)}, 1);
	guid_at(store, 16, file[1]);
	guid_at(store, 32, data[1]);
	must_change(disk, (struct vd_item_change[]){filled(1, 10, 2)}, 1);
	finish(disk);
	guid_at(store, 16, file[2]);
	guid_at(store, 32, data[2]);
	assert_memory_equal(file[1][0], file[1][1], 16);
	assert_memory_not_equal(file[0][0], file[1][0], 16);
	assert_memory_equal(file[1], file[2], 32);
	assert_memory_equal(data[0], data[1], 32);
	assert_memory_equal(data[0], data[2], 32);
	disk = open_store(store, VD_OPEN_WRITE);
	must_change(disk, (struct vd_item_change[]){filled(1, 10, 3)}, 1);
	assert_int_equal(vd_disk_write(disk, "x", 1, 0, NULL), 0);
	finish(disk);
	guid_at(store, 16, file[0]);
	guid_at(store, 32, data[0]);
	assert_memory_not_equal(file[0][0], file[1][0], 16);
	assert_memory_not_equal(data[0][0], data[1][0], 16);
	store_free(store);
}

static void region_of(const struct store *store, uint64_t *off, uint64_t *len)
{
	struct vd_item *items;
	size_t n;

	(void)items;
	(void)n;
	*off = *len = 0;
	for (int i = 0; i < 8 && !*off; i++) {
		uint8_t entry[32], wanted[16];

		store_read(store, entry, sizeof(entry), (192u << 10) + 16 + (uint64_t)i * 32);
		gen_guid(GEN_METADATA, wanted);
		if (memcmp(entry, wanted, 16) != 0)
			continue;
		for (int k = 8; k-- > 0;)
			*off = *off << 8 | entry[16 + k];
		for (int k = 4; k-- > 0;)
			*len = *len << 8 | entry[24 + k];
	}
}

/* Items that need more than the region has; payload stays, the old place is used again. */
static void the_region_grows(void **state)
{
	struct store *store = store_new(NULL);
	struct vd_item_change changes[8];
	uint64_t off[3], len[3];
	struct vd_disk *disk;
	uint8_t block[512], got[512];

	(void)state;
	make(store);
	memset(block, 0xab, sizeof(block));
	region_of(store, &off[0], &len[0]);
	assert_int_equal(len[0], 2 * MIB);
	disk = open_store(store, VD_OPEN_WRITE);
	assert_int_equal(vd_disk_write(disk, block, sizeof(block), 0, NULL), 0);
	must_change(disk, (struct vd_item_change[]){filled(1, 100, 1), filled(2, 300 * KIB, 1)}, 2);
	region_of(store, &off[1], &len[1]);
	assert_int_equal(off[1], off[0]);
	for (uint8_t i = 0; i < 8; i++)
		changes[i] = filled((uint8_t)(10 + i), (uint32_t)MIB - i * 777, 1);
	must_change(disk, changes, 8);
	region_of(store, &off[1], &len[1]);
	assert_true(off[1] > off[0] && len[1] >= 16 * MIB);
	for (uint8_t i = 0; i < 8; i++)
		expect(disk, (uint8_t)(10 + i), (uint32_t)MIB - i * 777, 1);
	expect(disk, 1, 100, 1);
	expect(disk, 2, 300 * KIB, 1);
	/* There is room for the next ones. */
	for (uint8_t round = 2; round < 6; round++) {
		for (uint8_t i = 0; i < 8; i++)
			changes[i] = filled((uint8_t)(10 + i), (uint32_t)MIB - i * 777, round);
		must_change(disk, changes, 8);
	}
	region_of(store, &off[2], &len[2]);
	assert_true(off[2] == off[1] && len[2] == len[1]);
	finish(disk);
	check_clean(store);
	disk = open_store(store, VD_OPEN_WRITE);
	expect(disk, 17, (uint32_t)MIB - 7 * 777, 5);
	expect(disk, 2, 300 * KIB, 1);
	/* New blocks fill the old place first. */
	for (uint64_t i = 1; i < 4; i++)
		assert_int_equal(vd_disk_write(disk, block, sizeof(block), i * MIB, NULL), 0);
	finish(disk);
	check_clean(store);
	disk = open_store(store, 0);
	for (uint64_t i = 0; i < 4; i++) {
		assert_int_equal(vd_disk_read(disk, got, sizeof(got), i * MIB, NULL), 0);
		assert_memory_equal(got, block, sizeof(got));
	}
	expect(disk, 2, 300 * KIB, 1);
	finish(disk);
	store_read(store, got, sizeof(got), off[0]);
	assert_memory_equal(got, block, sizeof(got));
	store_free(store);
}

static void all_items_together_are_bounded(void **state)
{
	struct store *store = store_new(NULL);
	struct vd_error err = VD_ERROR_INIT;
	struct vd_item_change changes[32];
	struct vd_disk *disk;

	(void)state;
	make(store);
	disk = open_store(store, VD_OPEN_WRITE);
	for (uint8_t i = 0; i < 32; i++)
		changes[i] = filled(i, VD_ITEM_MAX, 1);
	must_change(disk, changes, 32);
	changes[0] = filled(40, 1, 1);
	assert_int_equal(vd_disk_change_items(disk, changes, 1, &err), VD_ENOSPC);
	assert_non_null(strstr(err.text, "33554433"));
	must_change(disk, (struct vd_item_change[]){filled(3, VD_ITEM_MAX - 1, 2), changes[0]}, 2);
	expect(disk, 40, 1, 1);
	expect(disk, 3, VD_ITEM_MAX - 1, 2);
	expect(disk, 31, VD_ITEM_MAX, 1);
	finish(disk);
	check_clean(store);
	store_free(store);
}

static void a_table_takes_1024_user_items(void **state)
{
	struct store *store = store_new(NULL);
	struct vd_item_change *changes = calloc(1025, sizeof(*changes));
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk;
	struct vd_item *items;
	size_t n;

	(void)state;
	make(store);
	for (size_t i = 0; i < 1025; i++) {
		changes[i] = filled((uint8_t)i, 9, 1);
		changes[i].id[3] = (uint8_t)(i >> 8);
	}
	cache_bytes = 1; /* the least: all pages of the table must fit even so */
	disk = open_store(store, VD_OPEN_WRITE);
	assert_int_equal(vd_disk_change_items(disk, changes, 1025, &err), VD_ENOSPC);
	assert_non_null(strstr(err.text, "1024"));
	must_change(disk, changes, 1024);
	assert_int_equal(vd_disk_change_items(disk, changes + 1024, 1, &err), VD_ENOSPC);
	/* One goes, one comes; all pages of the table change. */
	must_change(
	    disk, (struct vd_item_change[]){{.id = {0x10}, .is_removal = true}, changes[1024]}, 1);
	changes[0].is_removal = true;
	changes[1] = changes[1024];
	must_change(disk, changes, 2);
	finish(disk);
	check_clean(store);
	disk = open_store(store, 0);
	assert_int_equal(vd_disk_list_items(disk, &items, &n, NULL), 0);
	assert_int_equal(n, 1024);
	assert_memory_equal(items[1023].id, changes[1024].id, 16);
	vd_items_free(items);
	finish(disk);
	cache_bytes = 0;
	free(changes);
	store_free(store);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(items_are_there_after_a_change),
	    cmocka_unit_test(a_change_is_durable_when_it_returns),
	    cmocka_unit_test(what_is_new_stands_in_one_run_in_its_order),
	    cmocka_unit_test(changes_that_make_no_sense_are_refused),
	    cmocka_unit_test(content_that_does_not_come_ends_the_whole_change),
	    cmocka_unit_test(who_brings_content_cannot_change_items),
	    cmocka_unit_test(a_change_gives_a_new_file_write_guid_only),
	    cmocka_unit_test(the_region_grows),
	    cmocka_unit_test(all_items_together_are_bounded),
	    cmocka_unit_test(a_table_takes_1024_user_items),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("vhdx items", tests, NULL, NULL);
}
