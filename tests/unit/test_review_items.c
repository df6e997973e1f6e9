/* SPDX-License-Identifier: MIT */
/*
 * Changes of items that are given up (cancelled, timed out) when their entry is already written to
 * the log, but not known to be durable: what comes next must not spoil what a power cut may bring.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include <vdisk/disk.h>
#include <vdisk/item.h>

#include "hook.h"
#include "store.h"

#define MIB     ((uint64_t)1 << 20)
#define LOG_OFF MIB /* where vd_disk_create puts it */
#define LEN     20000u
#define HUGE    ((uint32_t)MIB)

struct rig {
	struct hook hook;
	struct store *store, *left; /* left: what a power cut leaves */
	struct vd_disk *disk;
	bool cancel_after_entry, cut_before_entry;
};

static bool is_entry(const struct hook *hook, enum hook_call call, uint64_t offset)
{
	(void)hook;
	return call == HOOK_WRITE && offset >= LOG_OFF && offset < LOG_OFF + MIB;
}

static void cut_power(struct rig *rig)
{
	static uint8_t buf[1 << 20];
	uint64_t length = store_length(rig->store), start, end;

	rig->left = store_new(NULL);
	store_truncate(rig->left, length);
	for (uint64_t at = 0; store_next_data(rig->store, at, &start, &end); at = end)
		for (uint64_t n; start < end; start += n) {
			n = end - start < sizeof(buf) ? end - start : sizeof(buf);
			store_read(rig->store, buf, n, start);
			store_write(rig->left, buf, n, start);
		}
}

static int before(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len)
{
	struct rig *rig = hook->user;

	(void)len;
	if (rig->cut_before_entry && is_entry(hook, call, offset) && !rig->left)
		cut_power(rig);
	return 0;
}

static int after(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len)
{
	struct rig *rig = hook->user;

	(void)len;
	if (rig->cancel_after_entry && is_entry(hook, call, offset)) {
		rig->cancel_after_entry = false;
		vd_disk_cancel(rig->disk);
	}
	return 0;
}

static void begin(struct rig *rig)
{
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_io *io;

	memset(rig, 0, sizeof(*rig));
	rig->store = store_new(NULL);
	rig->hook.under = store_io(rig->store, true);
	rig->hook.before = before;
	rig->hook.after = after;
	rig->hook.user = rig;
	create.virtual_size = 64 * MIB;
	create.block_size = (uint32_t)MIB;
	create.log_size = (uint32_t)MIB;
	if (vd_disk_create_io(rig->hook.under, &create, &err))
		fail_msg("create: %s", err.text);
	io = hook_io(&rig->hook);
	assert_non_null(io);
	opts.flags = VD_OPEN_WRITE;
	if (vd_disk_open_io(&rig->disk, io, &opts, &err))
		fail_msg("open: %s", err.text);
	vd_io_close(io);
}

static void end(struct rig *rig)
{
	struct vd_error err = VD_ERROR_INIT;

	if (vd_disk_close(rig->disk, &err))
		fail_msg("close: %s", err.text);
	vd_io_close(rig->hook.under);
	store_free(rig->left);
	store_free(rig->store);
}

static uint8_t content[HUGE];

static int change(struct rig *rig, uint8_t id, uint8_t byte, uint32_t len)
{
	struct vd_item_change change = {.flags = VD_ITEM_USER, .length = len, .data = content};

	memset(change.id, id, sizeof(change.id));
	memset(content, byte, len);
	return vd_disk_change_items(rig->disk, &change, 1, NULL);
}

/* All of the item is of one byte, one of these two. */
static void expect(struct vd_disk *disk, uint8_t id, uint32_t len, uint8_t one, uint8_t other)
{
	uint8_t key[16];

	memset(key, id, sizeof(key));
	assert_int_equal(vd_disk_read_item(disk, key, content, len, 0, NULL), 0);
	assert_true(content[0] == one || content[0] == other);
	for (uint32_t i = 0; i < len; i++)
		if (content[i] != content[0])
			fail_msg("item %u: byte %u is 0x%02x, the first 0x%02x", id, i, content[i],
				 content[0]);
}

static struct vd_disk *open_left(struct rig *rig)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_io *io = store_io(rig->left, true);
	struct vd_disk *disk = NULL;

	opts.flags = VD_OPEN_WRITE;
	if (vd_disk_open_io(&disk, io, &opts, &err))
		fail_msg("after the power cut: %s", err.text);
	vd_io_close(io);
	return disk;
}

/* The next change must not put its content where the entry of the first one has its own. */
static void content_of_a_change_that_was_given_up_is_not_overwritten(void **state)
{
	struct vd_disk *disk;
	struct rig rig;

	(void)state;
	begin(&rig);
	assert_int_equal(change(&rig, 1, 0x11, LEN), 0);
	assert_int_equal(change(&rig, 2, 0x22, LEN), 0);
	rig.cancel_after_entry = true;
	assert_int_equal(change(&rig, 1, 0x12, LEN), VD_ECANCELED);
	vd_disk_resume(rig.disk);
	expect(rig.disk, 1, LEN, 0x11, 0x11);
	rig.cut_before_entry = true;
	assert_int_equal(change(&rig, 3, 0x33, LEN), 0);
	rig.cut_before_entry = false;
	assert_non_null(rig.left);
	disk = open_left(&rig);
	expect(disk, 1, LEN, 0x11, 0x12);
	expect(disk, 2, LEN, 0x22, 0x22);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
	expect(rig.disk, 1, LEN, 0x11, 0x11);
	end(&rig);
}

/* The same with the first entry of a lap, which the headers have to name. */
static void the_first_entry_of_a_lap_is_no_exception(void **state)
{
	struct vd_disk *disk;
	struct rig rig;

	(void)state;
	begin(&rig);
	rig.cancel_after_entry = true;
	assert_int_equal(change(&rig, 1, 0x12, LEN), VD_ECANCELED);
	vd_disk_resume(rig.disk);
	rig.cut_before_entry = true;
	assert_int_equal(change(&rig, 3, 0x33, LEN), 0);
	rig.cut_before_entry = false;
	disk = open_left(&rig);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
	expect(rig.disk, 3, LEN, 0x33, 0x33);
	end(&rig);
}

/* Nor may the guest's data take the space of a region that the log may bring. */
static void a_region_that_was_given_up_is_not_overwritten(void **state)
{
	struct vd_disk *disk;
	struct rig rig;

	(void)state;
	begin(&rig);
	assert_int_equal(change(&rig, 1, 0x11, HUGE), 0);
	rig.cancel_after_entry = true;
	assert_int_equal(change(&rig, 2, 0x22, HUGE), VD_ECANCELED);
	vd_disk_resume(rig.disk);
	memset(content, 0x99, MIB);
	for (uint64_t i = 0; i < 16; i++)
		assert_int_equal(vd_disk_write(rig.disk, content, MIB, i * MIB, NULL), 0);
	cut_power(&rig);
	disk = open_left(&rig);
	expect(disk, 1, HUGE, 0x11, 0x11);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
	expect(rig.disk, 1, HUGE, 0x11, 0x11);
	assert_int_equal(change(&rig, 2, 0x23, HUGE), 0);
	expect(rig.disk, 2, HUGE, 0x23, 0x23);
	end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(content_of_a_change_that_was_given_up_is_not_overwritten),
	    cmocka_unit_test(the_first_entry_of_a_lap_is_no_exception),
	    cmocka_unit_test(a_region_that_was_given_up_is_not_overwritten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
