/* SPDX-License-Identifier: MIT */
/* The write path on images that aren't as we would have made them, and on a host that is full. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <vdisk/disk.h>
#include <vdisk/sys/io.h>

#include "vhdxgen.h"

#define BLOCK (2 * GEN_MIB)

static struct vd_disk *open_store(struct store *store, struct vd_io **io)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk;

	*io = store_io(store, true);
	opts.flags = VD_OPEN_WRITE | VD_OPEN_NO_PARENTS;
	if (vd_disk_open_io(&disk, *io, &opts, &err))
		fail_msg("open: %s", err.text);
	return disk;
}

/* How many rules the store breaks as it is now: what a crash would leave. */
static uint64_t count_errors(struct store *store)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct store *copy = store_new(store);
	struct vd_io *io = store_io(copy, false);
	uint64_t n_errors;

	opts.flags = VD_OPEN_NO_PARENTS;
	if (vd_disk_check_io(io, &opts, NULL, NULL, &n_errors, &err))
		fail_msg("check: %s", err.text);
	vd_io_close(io);
	store_free(copy);
	return n_errors;
}

static uint64_t first_entry(struct store *store)
{
	uint8_t bytes[8];
	uint64_t entry = 0;

	store_read(store, bytes, sizeof(bytes), 3 * GEN_MIB);
	for (int i = 7; i >= 0; i--)
		entry = entry << 8 | bytes[i];
	return entry;
}

/* Elsewhere UNDEFINED and UNMAPPED may read as the old data (MS-VHDX 2.5.1.1). */
static void zeroes_make_unmapped_blocks_zero(void **state)
{
	(void)state;
	for (unsigned was = 1; was <= 3; was++) {
		for (uint64_t len = 4096; len <= BLOCK; len += BLOCK - 4096) {
			struct store *store = store_new(NULL);
			struct vhdxgen g;
			struct vd_disk *disk;
			struct vd_io *io;

			vhdxgen_init(&g);
			g.bat[0].entry = was | (was == 2 ? 0 : 4 * GEN_MIB);
			vhdxgen_emit(&g, store);
			disk = open_store(store, &io);
			assert_int_equal(vd_disk_write_zeroes(disk, 0, len, 0, NULL), 0);
			assert_int_equal(vd_disk_close(disk, NULL), 0);
			assert_int_equal(first_entry(store), 2);
			assert_int_equal(count_errors(store), 0);
			vd_io_close(io);
			store_free(store);
		}
	}
}

/* A soft anchor is taken over by a writer: zeroing the block meanwhile must not free it too. */
static void zeroes_leave_a_writer_its_anchor(void **state)
{
	struct store *store = store_new(NULL);
	struct vd_mapping mapping, other;
	struct vhdxgen g;
	struct vd_disk *disk;
	struct vd_io *io;
	char sector[512] = {1};

	(void)state;
	vhdxgen_init(&g);
	g.bat[0].entry = 3 | 4 * GEN_MIB;
	vhdxgen_emit(&g, store);
	disk = open_store(store, &io);
	assert_int_equal(vd_disk_resolve(disk, 0, 512, VD_ACCESS_WRITE, &mapping, NULL), 0);
	assert_int_equal(vd_disk_write_zeroes(disk, 0, BLOCK, 0, NULL), 0);
	assert_int_equal(vd_disk_flush(disk, NULL), 0);
	assert_int_equal(vd_disk_resolve(disk, 3 * BLOCK, 512, VD_ACCESS_WRITE, &other, NULL), 0);
	assert_int_not_equal(mapping.io_offset, other.io_offset);
	assert_int_equal(vd_io_write(mapping.io, sector, 512, mapping.io_offset, NULL), 0);
	assert_int_equal(vd_disk_release(disk, &mapping, VD_OUTCOME_WRITTEN, NULL), 0);
	assert_int_equal(vd_disk_release(disk, &other, VD_OUTCOME_WRITTEN, NULL), 0);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
	assert_int_equal(count_errors(store), 0);
	vd_io_close(io);
	store_free(store);
}

/* Setting bits allocates nothing, but its log entry still says how long the file is (I6). */
static void bits_alone_commit_a_whole_length(void **state)
{
	(void)state;
	for (int beyond = 0; beyond < 2; beyond++) {
		struct store *store = store_new(NULL);
		struct vhdxgen g;
		struct vd_disk *disk;
		struct vd_io *io;
		char sector[512] = {1};

		vhdxgen_init_child(&g);
		if (beyond)
			g.bat[0].entry = 20 * GEN_MIB | 6;
		else
			g.file_len += 512;
		vhdxgen_emit(&g, store);
		disk = open_store(store, &io);
		assert_int_equal(vd_disk_write(disk, sector, 512, 5 * BLOCK + 65536, NULL), 0);
		assert_int_equal(vd_disk_flush(disk, NULL), 0);
		assert_int_equal(count_errors(store), 0);
		assert_int_equal(store_length(store) % GEN_MIB, 0);
		assert_true(!beyond || store_length(store) >= 22 * GEN_MIB);
		assert_int_equal(vd_disk_close(disk, NULL), 0);
		vd_io_close(io);
		store_free(store);
	}
}

static void a_bitmap_in_the_log_takes_no_bits(void **state)
{
	struct store *store = store_new(NULL);
	struct vd_error err = VD_ERROR_INIT;
	struct vhdxgen g;
	struct vd_disk *disk;
	struct vd_io *io;
	char sector[512] = {1};

	(void)state;
	vhdxgen_init_child(&g);
	g.bat[2].entry = 1 * GEN_MIB | 6;
	vhdxgen_emit(&g, store);
	disk = open_store(store, &io);
	assert_int_equal(vd_disk_write(disk, sector, 512, 5 * BLOCK + 65536, &err), VD_ECORRUPT);
	assert_non_null(strstr(err.text, "sector bitmap block 0"));
	assert_non_null(strstr(err.text, "overlaps"));
	vd_disk_close(disk, NULL);
	vd_io_close(io);
	store_free(store);
}

/* Reserved bits of an entry mean nothing, so they don't make it another one. */
static void reserved_bits_of_an_entry_lose_no_write(void **state)
{
	struct store *store = store_new(NULL);
	struct vhdxgen g;
	struct vd_disk *disk;
	struct vd_io *io;
	char sector[512] = {1}, found[512];

	(void)state;
	vhdxgen_init_child(&g);
	g.bat[1].entry |= 0x4740;
	vhdxgen_emit(&g, store);
	disk = open_store(store, &io);
	assert_int_equal(vd_disk_write(disk, sector, 512, 5 * BLOCK + 65536, NULL), 0);
	assert_int_equal(vd_disk_read(disk, found, 512, 5 * BLOCK + 65536, NULL), 0);
	assert_memory_equal(sector, found, 512);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
	vd_io_close(io);
	store_free(store);
}

static void a_log_at_its_last_number_is_followed_by_another(void **state)
{
	static const struct gen_desc desc[] = {{.off = 3 * GEN_MIB + 65536}};
	struct store *store = store_new(NULL);
	struct gen_entry entry = {.seq = UINT64_MAX, .descs = desc, .n_descs = 1};
	struct vhdxgen g;
	struct vd_disk *disk;
	struct vd_io *io;
	char sector[512] = {1};

	(void)state;
	vhdxgen_init(&g);
	entry.flushed_off = entry.last_off = g.file_len;
	g.header[0].log_id = g.header[1].log_id = GEN_UNKNOWN;
	g.entries = &entry;
	g.n_entries = 1;
	vhdxgen_emit(&g, store);
	disk = open_store(store, &io);
	assert_int_equal(vd_disk_write(disk, sector, 512, 3 * BLOCK, NULL), 0);
	assert_int_equal(vd_disk_flush(disk, NULL), 0);
	assert_int_equal(count_errors(store), 0);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
	vd_io_close(io);
	store_free(store);
}

/* A store whose log can't be written while is_full, and that gives others time meanwhile. */
static struct {
	struct store *store;
	_Atomic bool is_full;
	_Atomic uint32_t n_refused;
} host;

static ssize_t host_read(void *state, void *buf, size_t len, uint64_t offset)
{
	uint64_t end = store_length(host.store);

	(void)state;
	if (offset >= end)
		return 0;
	len = len < end - offset ? len : (size_t)(end - offset);
	store_read(host.store, buf, len, offset);
	return (ssize_t)len;
}

static ssize_t host_write(void *state, const void *buf, size_t len, uint64_t offset)
{
	struct timespec some = {0, 20000000};

	(void)state;
	if (host.is_full && offset >= GEN_MIB && offset < 2 * GEN_MIB) {
		host.n_refused++;
		nanosleep(&some, NULL);
		return -ENOSPC;
	}
	store_write(host.store, buf, len, offset);
	return (ssize_t)len;
}

static int host_sync(void *state)
{
	(void)state;
	return 0;
}

static int host_length(void *state, uint64_t *length)
{
	(void)state;
	*length = store_length(host.store);
	return 0;
}

static int host_truncate(void *state, uint64_t length)
{
	(void)state;
	store_truncate(host.store, length);
	return 0;
}

static void host_close(void *state)
{
	(void)state;
}

static void *flush_again(void *arg)
{
	while (host.n_refused < 8)
		(void)vd_disk_flush(arg, NULL);
	return NULL;
}

/* Each of these writes changes another page of the BAT. */
static void *dirty_pages(void *arg)
{
	uint64_t n = 0;

	for (uint64_t page = 1; page < 1200; page++)
		n += !vd_disk_write(arg, "x", 1, page * 512 * GEN_MIB, NULL);
	return (void *)(uintptr_t)n;
}

/* Commits fail one after the other while writers go on: what was frozen comes back to the dirty
 * pages, which must never be more than one entry holds. */
static void a_full_host_loses_no_page(void **state)
{
	static const struct vd_io_ops ops = {
	    .size = sizeof(ops),
	    .read = host_read,
	    .write = host_write,
	    .sync = host_sync,
	    .length = host_length,
	    .truncate = host_truncate,
	    .close = host_close,
	};
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_disk *disk;
	struct vd_io *io;
	pthread_t flusher, writer;
	void *n_written;
	char byte;

	(void)state;
	host.store = store_new(NULL);
	assert_int_equal(vd_io_open_ops(&io, &ops, NULL, "host", true, NULL), 0);
	create.virtual_size = (uint64_t)1 << 40;
	create.block_size = 1 << 20;
	create.log_size = 1 << 20;
	assert_int_equal(vd_disk_create_io(io, &create, NULL), 0);
	opts.flags = VD_OPEN_WRITE;
	assert_int_equal(vd_disk_open_io(&disk, io, &opts, NULL), 0);
	assert_int_equal(vd_disk_write(disk, "x", 1, 0, NULL), 0);
	assert_int_equal(vd_disk_flush(disk, NULL), 0);
	host.is_full = true;
	assert_int_equal(pthread_create(&flusher, NULL, flush_again, disk), 0);
	assert_int_equal(pthread_create(&writer, NULL, dirty_pages, disk), 0);
	pthread_join(flusher, NULL);
	host.is_full = false;
	pthread_join(writer, &n_written);
	assert_true(host.n_refused > 0);
	assert_true((uintptr_t)n_written > 0);
	assert_int_equal(vd_disk_flush(disk, NULL), 0);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
	assert_int_equal(count_errors(host.store), 0);
	assert_int_equal(vd_disk_open_io(&disk, io, &opts, NULL), 0);
	for (uint64_t page = 1; page < 1200; page++) {
		assert_int_equal(vd_disk_read(disk, &byte, 1, page * 512 * GEN_MIB, NULL), 0);
		n_written = (void *)((uintptr_t)n_written - (byte == 'x'));
	}
	assert_int_equal((uintptr_t)n_written, 0);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
	vd_io_close(io);
	store_free(host.store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(zeroes_make_unmapped_blocks_zero),
	    cmocka_unit_test(zeroes_leave_a_writer_its_anchor),
	    cmocka_unit_test(bits_alone_commit_a_whole_length),
	    cmocka_unit_test(a_bitmap_in_the_log_takes_no_bits),
	    cmocka_unit_test(reserved_bits_of_an_entry_lose_no_write),
	    cmocka_unit_test(a_log_at_its_last_number_is_followed_by_another),
	    cmocka_unit_test(a_full_host_loses_no_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
