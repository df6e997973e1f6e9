/* SPDX-License-Identifier: MIT */
/*
 * A format for tests of the disk layer: it keeps its sectors in memory, logs its calls, and fails
 * on demand. It stands in the table as "vhdx", in the place of the real one, so that a program
 * which includes this is linked without that.
 */
#ifndef TEST_FAKE_FORMAT_H
#define TEST_FAKE_FORMAT_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/deadline.h"
#include "format/formats.h"

#define SIZE   ((uint64_t)1 << 20)
#define SECTOR 512u

/* The one image that there is. */
static struct fake {
	struct vd_io *io; /* byte n of the disk is byte n of it */
	bool is_here[SIZE / SECTOR];
	bool has_parent;
	uint64_t size;
	uint64_t max_length; /* of a mapping */
	const struct vd_format_open *how;
	struct vd_format_open how_copy;
	/* what happened */
	int n_open, n_close, n_zero, n_flush, n_pins, n_failed, n_written, n_looks;
	uint64_t zero_start, zero_length, zero_total, zero_longest;
	uint32_t zero_flags;
	uint64_t longest_write;
	/* what shall happen */
	int release_result, flush_result, zero_fails_at, n_changes, open_result;
	uint64_t n_commits;
} fake;

static int fake_open(void **state, struct vd_io *io, const struct vd_format_open *how,
		     struct vd_error *err)
{
	fake.n_open++;
	if (fake.open_result)
		return vd_error_set(err, fake.open_result, 0, 0, "told to fail");
	fake.io = vd_io_ref(io);
	fake.how_copy = *how;
	*state = &fake;
	return 0;
}

static int fake_close(void *state, struct vd_error *err)
{
	(void)state;
	(void)err;
	assert_int_equal(fake.n_pins, 0);
	fake.n_close++;
	vd_io_close(fake.io);
	return 0;
}

static void fake_info(void *state, struct vd_disk_info *info)
{
	(void)state;
	info->type = fake.has_parent ? VD_TYPE_DIFFERENCING : VD_TYPE_DYNAMIC;
	info->virtual_size = fake.size;
	info->logical_sector_size = SECTOR;
	info->physical_sector_size = SECTOR;
	info->has_parent = fake.has_parent;
}

static void fake_stats(void *state, struct vd_disk_stats *stats)
{
	(void)state;
	stats->n_commits = fake.n_commits;
}

static int fake_resolve(void *state, uint64_t start, uint64_t length, enum vd_access access,
			struct vd_mapping *m, struct vd_error *err)
{
	uint64_t first = start / SECTOR, n = 1, last = (start + length - 1) / SECTOR;
	bool is_here = fake.is_here[first % (SIZE / SECTOR)];

	(void)state;
	(void)err;
	assert_true(length > 0);
	assert_true(start + length <= fake.size);
	if (access == VD_ACCESS_WRITE) {
		if (fake.has_parent)
			assert_int_equal((start | length) % SECTOR, 0);
		is_here = true;
		n = last - first + 1;
	} else {
		while (first + n <= last && fake.is_here[(first + n) % (SIZE / SECTOR)] == is_here)
			n++;
	}
	if (length > (first + n) * SECTOR - start)
		length = (first + n) * SECTOR - start;
	if (fake.max_length && length > fake.max_length)
		length = fake.max_length;
	*m = (struct vd_mapping){.start = start,
				 .length = length,
				 .state = is_here           ? VD_STATE_DATA
					  : fake.has_parent ? VD_STATE_PARENT
							    : VD_STATE_ZERO,
				 .io = is_here ? fake.io : NULL,
				 .io_offset = start % SIZE,
				 .access = access,
				 .token = {0x5eed, start, length}};
	if (access == VD_ACCESS_WRITE && length > fake.longest_write)
		fake.longest_write = length;
	fake.n_pins++;
	return 0;
}

static int fake_release(void *state, struct vd_mapping *m, enum vd_outcome outcome,
			struct vd_error *err)
{
	(void)state;
	assert_int_equal(m->token[0], 0x5eed);
	fake.n_pins--;
	if (outcome == VD_OUTCOME_FAILED)
		fake.n_failed++;
	if (outcome != VD_OUTCOME_WRITTEN)
		return 0;
	fake.n_written++;
	if (fake.release_result)
		return vd_error_set(err, fake.release_result, 0, 0, "told to fail");
	for (uint64_t at = m->start / SECTOR * SECTOR; at < m->start + m->length; at += SECTOR)
		fake.is_here[at / SECTOR] = true;
	return 0;
}

static int fake_extent(void *state, uint64_t start, uint64_t limit, struct vd_extent *extent,
		       struct vd_error *err)
{
	struct vd_mapping m;
	int ret = fake_resolve(state, start, limit, VD_ACCESS_READ, &m, err);

	fake.n_pins--;
	*extent =
	    (struct vd_extent){start, m.length, m.state, 0, m.io ? m.io_offset : VD_NO_OFFSET};
	return ret;
}

static int fake_zero(void *state, uint64_t start, uint64_t length, uint32_t flags,
		     struct vd_error *err)
{
	(void)state;
	if (++fake.n_zero == fake.zero_fails_at)
		return vd_error_set(err, VD_EIO, EIO, 0, "told to fail");
	if (fake.has_parent)
		assert_int_equal((start | length) % SECTOR, 0);
	if (!fake.zero_total)
		fake.zero_start = start;
	assert_true(start == fake.zero_start + fake.zero_total);
	fake.zero_total += length;
	fake.zero_flags = flags;
	if (length > fake.zero_longest)
		fake.zero_longest = length;
	return 0;
}

static int fake_flush(void *state, struct vd_error *err)
{
	(void)state;
	fake.n_flush++;
	if (fake.flush_result)
		return vd_error_set(err, fake.flush_result, 0, 0, "told to fail");
	fake.n_commits++;
	return vd_io_sync(fake.io, err);
}

static int fake_look(void *state, bool *has_changed, struct vd_error *err)
{
	(void)state;
	(void)err;
	fake.n_looks++;
	*has_changed = fake.n_changes-- > 0;
	return 0;
}

static bool fake_probe(const uint8_t *head, size_t n_head, const uint8_t *tail, size_t n_tail)
{
	(void)head;
	(void)tail;
	(void)n_head;
	(void)n_tail;
	return true;
}

static int fake_hint(void *state, struct vd_parent_hint *hint, struct vd_error *err)
{
	(void)state;
	(void)hint;
	return vd_error_set(err, VD_ENOENT, 0, 0, "no hint");
}

const struct vd_format_ops vhdx_format_ops = {
    .size = sizeof(struct vd_format_ops),
    .name = "vhdx",
    .probe = fake_probe,
    .open = fake_open,
    .close = fake_close,
    .get_info = fake_info,
    .get_stats = fake_stats,
    .get_parent_hint = fake_hint,
    .resolve = fake_resolve,
    .release = fake_release,
    .extent = fake_extent,
    .zero = fake_zero,
    .flush = fake_flush,
    .look_again = fake_look,
};

/* A store whose writes and syncs fail on demand. */
static struct {
	struct vd_io *under;
	int write_error, sync_error;
} store;

static ssize_t store_do_read(void *state, void *buf, size_t len, uint64_t offset)
{
	(void)state;
	return vd_io_read(store.under, buf, len, offset, NULL) ? -EIO : (ssize_t)len;
}

static ssize_t store_do_write(void *state, const void *buf, size_t len, uint64_t offset)
{
	(void)state;
	if (store.write_error)
		return -store.write_error;
	return vd_io_write(store.under, buf, len, offset, NULL) ? -EIO : (ssize_t)len;
}

static int store_do_sync(void *state)
{
	(void)state;
	return -store.sync_error;
}

static int store_do_length(void *state, uint64_t *length)
{
	(void)state;
	*length = SIZE;
	return 0;
}

static int store_do_truncate(void *state, uint64_t length)
{
	(void)state;
	(void)length;
	return -EINVAL;
}

static void store_do_close(void *state)
{
	(void)state;
	vd_io_close(store.under);
}

static const struct vd_io_ops store_ops = {.size = sizeof(struct vd_io_ops),
					   .read = store_do_read,
					   .write = store_do_write,
					   .sync = store_do_sync,
					   .length = store_do_length,
					   .truncate = store_do_truncate,
					   .close = store_do_close};

static int try_open(struct vd_disk **disk, uint32_t flags, struct vd_error *err)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_io *io;
	int ret;

	memset(&store, 0, sizeof(store));
	assert_int_equal(vd_io_open_memory(&store.under, SIZE, NULL), 0);
	assert_int_equal(vd_io_open_ops(&io, &store_ops, NULL, "store", true, NULL), 0);
	opts.flags = flags | VD_OPEN_NO_PARENTS;
	ret = vd_disk_open_io(disk, io, &opts, err);
	vd_io_close(io);
	return ret;
}

static struct vd_disk *open_fake(bool has_parent)
{
	struct vd_disk *disk;

	memset(&fake, 0, sizeof(fake));
	fake.has_parent = has_parent;
	fake.size = SIZE;
	assert_int_equal(try_open(&disk, VD_OPEN_WRITE, NULL), 0);
	return disk;
}

static void close_fake(struct vd_disk *disk)
{
	assert_int_equal(vd_disk_close(disk, NULL), 0);
	assert_int_equal(fake.n_close, 1);
}

static void fill_sectors(struct vd_disk *disk, char c, uint64_t start, size_t len)
{
	static char bytes[65536];

	memset(bytes, c, len);
	assert_int_equal(vd_disk_write(disk, bytes, len, start, NULL), 0);
}

#endif
