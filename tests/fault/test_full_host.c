/* SPDX-License-Identifier: MIT */
/*
 * A host that becomes full: what was written before is flushed all the same, and the image closes.
 * The store is memory with a bit per page: has the host space for it? Full, it gives no page any
 * more, and those that it has can be written on and on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vdisk/disk.h>
#include <vdisk/sys/io.h>

#include "scratch.h"

#define MIB       ((uint64_t)1 << 20)
#define PAGE      4096u
#define ROOM      (512 * MIB)
#define N_PAGES   (ROOM / PAGE)
#define N_FLUSHES 200u

static struct vd_error err;

static void must(int ret)
{
	if (ret)
		fail_msg("%s", err.text);
}

struct host {
	struct vd_io *memory;
	bool is_full;
	unsigned n_refused;
	uint8_t has[N_PAGES];
};

/* Space for a range: all that can be had, as a file system does it. How many bytes. */
static uint64_t take_space(struct host *host, uint64_t offset, uint64_t len)
{
	uint64_t at = offset, end = offset + len;

	while (at < end) {
		if (!host->has[at / PAGE] && host->is_full) {
			host->n_refused++;
			break;
		}
		host->has[at / PAGE] = true;
		at = (at / PAGE + 1) * PAGE;
	}
	return (at < end ? at : end) - offset;
}

static ssize_t on_read(void *state, void *buf, size_t len, uint64_t offset)
{
	struct host *host = state;

	return vd_io_read(host->memory, buf, len, offset, NULL) ? -EIO : (ssize_t)len;
}

static ssize_t on_write(void *state, const void *buf, size_t len, uint64_t offset)
{
	struct host *host = state;
	uint64_t n = take_space(host, offset, len);

	if (!n)
		return -ENOSPC;
	return vd_io_write(host->memory, buf, n, offset, NULL) ? -EIO : (ssize_t)n;
}

static int on_sync(void *state)
{
	(void)state;
	return 0;
}

static int on_length(void *state, uint64_t *length)
{
	return vd_io_length(((struct host *)state)->memory, length, NULL) ? -EIO : 0;
}

static int on_truncate(void *state, uint64_t length)
{
	struct host *host = state;

	for (uint64_t page = (length + PAGE - 1) / PAGE; page < N_PAGES; page++)
		host->has[page] = false;
	return vd_io_truncate(host->memory, length, NULL) ? -EIO : 0;
}

static int on_punch(void *state, uint64_t offset, uint64_t len)
{
	struct host *host = state;

	for (uint64_t page = (offset + PAGE - 1) / PAGE; page < (offset + len) / PAGE; page++)
		host->has[page] = false;
	return vd_io_punch(host->memory, offset, len, NULL) ? -EIO : 0;
}

static int on_allocate(void *state, uint64_t offset, uint64_t len)
{
	return take_space(state, offset, len) < len ? -ENOSPC : 0;
}

static void on_close(void *state)
{
	(void)state;
}

static struct vd_io *open_host(struct host *host)
{
	static const struct vd_io_ops ops = {.size = sizeof(ops),
					     .read = on_read,
					     .write = on_write,
					     .sync = on_sync,
					     .length = on_length,
					     .truncate = on_truncate,
					     .close = on_close,
					     .punch = on_punch,
					     .allocate = on_allocate};
	struct vd_io *io;

	must(vd_io_open_ops(&io, &ops, host, "host", true, &err));
	return io;
}

static struct host *new_host(void)
{
	struct host *host = calloc(1, sizeof(*host));

	must(vd_io_open_memory(&host->memory, 0, &err));
	return host;
}

static void free_host(struct host *host)
{
	vd_io_close(host->memory);
	free(host);
}

static void put(struct vd_disk *disk, uint64_t offset, size_t len, int byte)
{
	uint8_t *buf = malloc(len);

	memset(buf, byte, len);
	must(vd_disk_write(disk, buf, len, offset, &err));
	free(buf);
}

static void expect(struct vd_disk *disk, uint64_t offset, size_t len, int byte)
{
	uint8_t *buf = malloc(len);

	must(vd_disk_read(disk, buf, len, offset, &err));
	for (size_t i = 0; i < len; i++)
		assert_int_equal(buf[i], byte);
	free(buf);
}

static void make(struct vd_io *io, const char *parent)
{
	const char *dir = scratch_dir();
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;

	create.virtual_size = parent ? 0 : (uint64_t)64 << 30;
	create.block_size = (uint32_t)MIB;
	if (parent) {
		create.type = VD_TYPE_DIFFERENCING;
		create.parent = parent;
		create.parent_roots = &dir;
		create.n_parent_roots = 1;
		create.block_size = 0;
	}
	must(vd_disk_create_io(io, &create, &err));
}

/* Blocks whose entries lie in pages of the BAT far apart, written and not yet flushed. */
static void what_was_written_is_committed_on_a_full_host(void **state)
{
	static const uint64_t places[] = {0, (uint64_t)9 << 30, (uint64_t)33 << 30,
					  ((uint64_t)64 << 30) - MIB};
	struct host *host = new_host();
	struct vd_io *io = open_host(host);
	struct vd_disk *disk;
	uint8_t byte = 1;

	(void)state;
	make(io, NULL);
	disk = scratch_open_io(io, VD_OPEN_WRITE);
	for (int i = 0; i < 4; i++)
		put(disk, places[i], MIB, 0x40 + i);
	host->is_full = true;
	must(vd_disk_flush(disk, &err));
	/* And again: the pages of the first commit are in place. */
	put(disk, places[1], 3 * PAGE, 0x51);
	must(vd_disk_flush(disk, &err));
	assert_int_equal(host->n_refused, 0);
	/* What has no space is refused at once, and hinders nobody. */
	assert_int_equal(vd_disk_write(disk, &byte, 1, (uint64_t)20 << 30, &err), VD_ENOSPC);
	assert_true(host->n_refused > 0);
	must(vd_disk_discard(disk, places[2], MIB, &err));
	must(vd_disk_flush(disk, &err));
	must(vd_disk_close(disk, &err));
	disk = scratch_open_io(io, VD_OPEN_WRITE);
	expect(disk, places[0], MIB, 0x40);
	expect(disk, places[1], 3 * PAGE, 0x51);
	expect(disk, places[1] + 3 * PAGE, MIB - 3 * PAGE, 0x41);
	expect(disk, places[2], MIB, 0);
	expect(disk, places[3], MIB, 0x43);
	expect(disk, (uint64_t)20 << 30, PAGE, 0);
	must(vd_disk_close(disk, &err));
	vd_io_close(io);
	free_host(host);
}

/* Each flush goes on in the log, far behind what was reserved of it. */
static void the_log_goes_on_where_it_has_space(void **state)
{
	struct vd_disk_stats before = {.size = sizeof(before)}, after = before;
	struct host *host = new_host();
	struct vd_io *io = open_host(host);
	struct vd_disk *disk;

	(void)state;
	make(io, NULL);
	disk = scratch_open_io(io, VD_OPEN_WRITE);
	for (unsigned i = 0; i < N_FLUSHES; i++) {
		put(disk, i * MIB, PAGE, 0x61);
		must(vd_disk_flush(disk, &err));
	}
	vd_disk_get_stats(disk, &before);
	assert_true(before.n_log_bytes > 3 * MIB / 2);
	put(disk, N_FLUSHES * MIB, PAGE, 0x62);
	host->is_full = true;
	must(vd_disk_flush(disk, &err));
	assert_true(host->n_refused > 0);
	vd_disk_get_stats(disk, &after);
	assert_int_equal(after.n_log_laps, before.n_log_laps + 1);
	must(vd_disk_close(disk, &err));
	disk = scratch_open_io(io, VD_OPEN_WRITE);
	for (unsigned i = 0; i <= N_FLUSHES; i++)
		expect(disk, i * MIB, PAGE, i < N_FLUSHES ? 0x61 : 0x62);
	must(vd_disk_close(disk, &err));
	vd_io_close(io);
	free_host(host);
}

/* Bits of sectors that a child has need space, too. */
static void so_are_the_bits_of_a_child(void **state)
{
	const char *parent = scratch_path("full-parent.vhdx");
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct host *host = new_host();
	struct vd_io *io = open_host(host);
	struct vd_disk *disk;

	(void)state;
	unlink(parent);
	create.virtual_size = (uint64_t)64 << 30;
	must(vd_disk_create(parent, &create, &err));
	make(io, parent);
	disk = scratch_open_io(io, VD_OPEN_WRITE);
	for (uint64_t i = 0; i < 3; i++)
		put(disk, (i * 20 << 30) + 1024, 2048, 0x71 + (int)i);
	host->is_full = true;
	must(vd_disk_flush(disk, &err));
	put(disk, 1024, 512, 0x7f);
	must(vd_disk_flush(disk, &err));
	assert_int_equal(host->n_refused, 0);
	must(vd_disk_close(disk, &err));
	disk = scratch_open_io(io, VD_OPEN_WRITE);
	expect(disk, 1024, 512, 0x7f);
	expect(disk, 1536, 1536, 0x71);
	expect(disk, ((uint64_t)40 << 30) + 1024, 2048, 0x73);
	expect(disk, 0, 1024, 0);
	must(vd_disk_close(disk, &err));
	vd_io_close(io);
	free_host(host);
}

/* Full before the first write: nothing was begun, and with room again all is as ever. */
static void a_host_that_was_full_before_is_told_at_once(void **state)
{
	struct host *host = new_host();
	struct vd_io *io = open_host(host);
	struct vd_disk *disk;
	uint8_t byte = 1;

	(void)state;
	make(io, NULL);
	disk = scratch_open_io(io, VD_OPEN_WRITE);
	host->is_full = true;
	assert_int_equal(vd_disk_write(disk, &byte, 1, 0, &err), VD_ENOSPC);
	must(vd_disk_flush(disk, &err));
	host->is_full = false;
	put(disk, 0, PAGE, 0x11);
	must(vd_disk_flush(disk, &err));
	must(vd_disk_close(disk, &err));
	disk = scratch_open_io(io, VD_OPEN_WRITE);
	expect(disk, 0, PAGE, 0x11);
	must(vd_disk_close(disk, &err));
	vd_io_close(io);
	free_host(host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_was_written_is_committed_on_a_full_host),
	    cmocka_unit_test(the_log_goes_on_where_it_has_space),
	    cmocka_unit_test(so_are_the_bits_of_a_child),
	    cmocka_unit_test(a_host_that_was_full_before_is_told_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
