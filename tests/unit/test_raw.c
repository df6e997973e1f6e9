/* SPDX-License-Identifier: MIT */
/* Raw images through the disk layer: lengths, the guard of probed ones, holes, creating. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <vdisk/disk.h>
#include <vdisk/sys/io.h>

#include "scratch.h"

static struct vd_io *memory(uint64_t length)
{
	struct vd_io *io;

	assert_int_equal(vd_io_open_memory(&io, length, NULL), 0);
	return io;
}

static struct vd_disk *open_io(struct vd_io *io, uint32_t flags, const char *format)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk = NULL;

	opts.flags = flags;
	opts.format = format;
	if (vd_disk_open_io(&disk, io, &opts, &err))
		fail_msg("open: %s", err.text);
	return disk;
}

static void close_ok(struct vd_disk *disk)
{
	struct vd_error err = VD_ERROR_INIT;

	if (vd_disk_close(disk, &err))
		fail_msg("close: %s", err.text);
}

static void reads_what_it_wrote_at_any_alignment(void **state)
{
	struct vd_io *io = memory(1 << 20);
	struct vd_disk *disk = open_io(io, VD_OPEN_WRITE, NULL);
	char bytes[] = "seventeen bytes.", back[17];

	(void)state;
	assert_int_equal(vd_disk_write(disk, bytes, 17, 70001, NULL), 0);
	assert_int_equal(vd_disk_read(disk, back, 17, 70001, NULL), 0);
	assert_memory_equal(bytes, back, 17);
	assert_int_equal(vd_io_read(io, back, 17, 70001, NULL), 0);
	assert_memory_equal(bytes, back, 17);
	assert_int_equal(vd_disk_flush(disk, NULL), 0);
	close_ok(disk);
	vd_io_close(io);
}

static void rounds_an_odd_length_up_to_sectors(void **state)
{
	struct vd_io *io = memory(1000);
	struct vd_disk *disk;
	char bytes[1024], zero[24] = {0};
	uint64_t length;

	(void)state;
	memset(bytes, 'x', 1000);
	assert_int_equal(vd_io_write(io, bytes, 1000, 0, NULL), 0);
	disk = open_io(io, VD_OPEN_WRITE, NULL);
	assert_int_equal(vd_disk_size(disk), 1024);
	assert_int_equal(vd_disk_read(disk, bytes, 1024, 0, NULL), 0);
	assert_memory_equal(bytes + 1000, zero, 24);
	assert_int_equal(bytes[999], 'x');
	assert_int_equal(vd_disk_write_zeroes(disk, 512, 512, 0, NULL), 0);
	assert_int_equal(vd_io_length(io, &length, NULL), 0);
	assert_int_equal(length, 1000);
	assert_int_equal(vd_disk_write(disk, "y", 1, 1023, NULL), 0);
	assert_int_equal(vd_disk_read(disk, bytes, 512, 512, NULL), 0);
	assert_int_equal(bytes[511], 'y');
	assert_int_equal(bytes[0], 0);
	close_ok(disk);
	vd_io_close(io);
}

static void refuses_what_lies_behind_the_end(void **state)
{
	struct vd_io *io = memory(4096);
	struct vd_disk *disk = open_io(io, VD_OPEN_WRITE, NULL);
	struct vd_error err = VD_ERROR_INIT;
	char c = 0;

	(void)state;
	assert_int_equal(vd_disk_read(disk, &c, 1, 4096, &err), VD_ERANGE);
	assert_string_equal(err.text, "1 bytes at 4096 lie beyond the end of the disk, which has "
				      "4096");
	assert_int_equal(vd_disk_write(disk, &c, 1, UINT64_MAX, NULL), VD_ERANGE);
	assert_int_equal(vd_disk_write_zeroes(disk, 1, 4096, 0, NULL), VD_ERANGE);
	assert_int_equal(vd_disk_discard(disk, 1, UINT64_MAX, NULL), VD_ERANGE);
	assert_int_equal(vd_disk_read(disk, &c, 0, 4096, NULL), 0);
	assert_int_equal(vd_disk_write(disk, &c, 0, 4096, NULL), 0);
	assert_int_equal(vd_disk_discard(disk, 4096, 0, NULL), 0);
	close_ok(disk);
	vd_io_close(io);
}

static void read_only_refuses_changes(void **state)
{
	struct vd_io *io = memory(4096);
	struct vd_disk *disk = open_io(io, 0, NULL);
	struct vd_mapping mapping;

	(void)state;
	assert_int_equal(vd_disk_write(disk, "x", 1, 0, NULL), VD_EROFS);
	assert_int_equal(vd_disk_write_zeroes(disk, 0, 512, 0, NULL), VD_EROFS);
	assert_int_equal(vd_disk_discard(disk, 0, 512, NULL), VD_EROFS);
	assert_int_equal(vd_disk_resolve(disk, 0, 512, VD_ACCESS_WRITE, &mapping, NULL), VD_EROFS);
	assert_int_equal(vd_disk_flush(disk, NULL), 0);
	close_ok(disk);
	vd_io_close(io);
}

static void a_probed_image_refuses_signatures(void **state)
{
	struct vd_io *io = memory(1 << 20);
	struct vd_disk *disk = open_io(io, VD_OPEN_WRITE, NULL);
	struct vd_error err = VD_ERROR_INIT;
	char bytes[8192] = "vhdxfile", back[8] = {1};

	(void)state;
	assert_int_equal(vd_disk_write(disk, bytes, sizeof(bytes), 0, &err), VD_EDENIED);
	assert_non_null(strstr(err.text, "format \"raw\" allows them"));
	assert_int_equal(vd_disk_read(disk, back, 8, 0, NULL), 0);
	assert_int_equal(back[0], 0);
	assert_int_equal(vd_disk_write(disk, "QFI\xfb", 4, 0, NULL), VD_EDENIED);
	assert_int_equal(vd_disk_write(disk, "conectix", 8, (1 << 20) - 512, NULL), VD_EDENIED);
	/* In the middle it is just content, and so are other bytes at the start. */
	assert_int_equal(vd_disk_write(disk, "conectix", 8, 65536, NULL), 0);
	assert_int_equal(vd_disk_write(disk, "\xeb\x3c\x90MSDOS", 8, 0, NULL), 0);
	close_ok(disk);
	vd_io_close(io);
}

static void a_signature_in_pieces_is_refused_too(void **state)
{
	struct vd_io *io = memory(1 << 20);
	struct vd_disk *disk = open_io(io, VD_OPEN_WRITE, NULL);
	struct iovec iov[2] = {{(void *)"KD", 2}, {(void *)"MV", 2}};

	(void)state;
	assert_int_equal(vd_disk_write(disk, "conec", 5, 0, NULL), 0);
	assert_int_equal(vd_disk_write(disk, "tix", 3, 5, NULL), VD_EDENIED);
	assert_int_equal(vd_disk_writev(disk, iov, 2, 0, NULL), VD_EDENIED);
	/* Zeros finish a signature as well as any other bytes. */
	assert_int_equal(vd_disk_write(disk, "QEDx", 4, 0, NULL), 0);
	assert_int_equal(vd_disk_write_zeroes(disk, 3, 1, 0, NULL), VD_EDENIED);
	assert_int_equal(vd_disk_discard(disk, 3, 1, NULL), VD_EDENIED);
	assert_int_equal(vd_disk_write_zeroes(disk, 0, 1 << 20, 0, NULL), 0);
	close_ok(disk);
	vd_io_close(io);
}

static void a_resolved_write_meets_the_guard(void **state)
{
	struct vd_io *io = memory(1 << 20);
	struct vd_disk *disk = open_io(io, VD_OPEN_WRITE, NULL);
	struct vd_mapping mapping;
	char sector[512] = "QFI\xfb";

	(void)state;
	assert_int_equal(vd_disk_resolve(disk, 0, 1 << 20, VD_ACCESS_WRITE, &mapping, NULL), 0);
	assert_int_equal(mapping.length, 4096);
	assert_int_equal(vd_io_descriptor(mapping.io), -1);
	assert_int_equal(vd_io_write(mapping.io, sector, 512, mapping.io_offset, NULL), VD_EDENIED);
	assert_int_equal(vd_disk_release(disk, &mapping, VD_OUTCOME_FAILED, NULL), 0);
	assert_int_equal(vd_disk_resolve(disk, 4096, 1 << 19, VD_ACCESS_WRITE, &mapping, NULL), 0);
	assert_ptr_equal(mapping.io, vd_disk_io(disk));
	assert_int_equal(mapping.length, 1 << 19);
	assert_int_equal(vd_disk_release(disk, &mapping, VD_OUTCOME_WRITTEN, NULL), 0);
	close_ok(disk);
	vd_io_close(io);
}

static void an_image_told_to_be_raw_takes_signatures(void **state)
{
	struct vd_io *io = memory(1 << 20);
	struct vd_disk *disk = open_io(io, VD_OPEN_WRITE, "raw");
	const char *name;

	(void)state;
	assert_int_equal(vd_disk_write(disk, "QFI\xfb", 4, 0, NULL), 0);
	close_ok(disk);
	assert_int_equal(vd_probe(io, &name, NULL), 0);
	assert_string_equal(name, "qcow2");
	vd_io_close(io);
}

static void other_formats_are_refused_by_name(void **state)
{
	struct vd_io *io = memory(1 << 20);
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk;

	(void)state;
	assert_int_equal(vd_io_write(io, "QFI\xfb\0\0\0\3", 8, 0, NULL), 0);
	assert_int_equal(vd_disk_open_io(&disk, io, NULL, &err), VD_EUNSUPPORTED);
	assert_non_null(strstr(err.text, "qcow2"));
	assert_non_null(strstr(err.text, "--source-format raw"));
	opts.format = "vhdx";
	assert_int_equal(vd_disk_open_io(&disk, io, &opts, &err), VD_EINVAL);
	assert_string_equal(err.text,
			    "told to open it as vhdx, but its signature is that of qcow2");
	opts.format = "qcow2";
	assert_int_equal(vd_disk_open_io(&disk, io, &opts, &err), VD_EUNSUPPORTED);
	opts.format = "raw";
	assert_int_equal(vd_disk_open_io(&disk, io, &opts, NULL), 0);
	close_ok(disk);
	vd_io_close(io);
}

static void maps_holes_of_the_file(void **state)
{
	const char *path = scratch_path("holes.raw");
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_extent extent;
	struct vd_disk *disk;
	char *block = test_calloc(1, 65536);

	(void)state;
	memset(block, 'd', 65536);
	create.format = "raw";
	create.virtual_size = 4 << 20;
	assert_int_equal(vd_disk_create(path, &create, NULL), 0);
	assert_int_equal(vd_disk_create(path, &create, NULL), VD_EEXIST);
	opts.flags = VD_OPEN_WRITE;
	assert_int_equal(vd_disk_open(&disk, path, &opts, NULL), 0);
	assert_int_equal(vd_disk_write(disk, block, 65536, 1 << 20, NULL), 0);
	assert_int_equal(vd_disk_map(disk, 0, UINT64_MAX, &extent, NULL), 0);
	assert_int_equal(extent.state, VD_STATE_HOLE);
	assert_int_equal(extent.length, 1 << 20);
	assert_true(extent.offset == VD_NO_OFFSET);
	assert_int_equal(vd_disk_map(disk, 1 << 20, UINT64_MAX, &extent, NULL), 0);
	assert_int_equal(extent.state, VD_STATE_DATA);
	assert_int_equal(extent.length, 65536);
	assert_int_equal(extent.offset, 1 << 20);
	assert_int_equal(vd_disk_map(disk, (1 << 20) + 512, 1024, &extent, NULL), 0);
	assert_int_equal(extent.length, 1024);
	assert_int_equal(vd_disk_map(disk, 4 << 20, 1, &extent, NULL), VD_ERANGE);
	assert_int_equal(vd_disk_discard(disk, 1 << 20, 65536, NULL), 0);
	assert_int_equal(vd_disk_map(disk, 0, UINT64_MAX, &extent, NULL), 0);
	assert_int_equal(extent.state, VD_STATE_HOLE);
	assert_int_equal(extent.length, 4 << 20);
	close_ok(disk);
	test_free(block);
	unlink(path);
}

static void a_fixed_image_has_its_space(void **state)
{
	const char *path = scratch_path("fixed.raw");
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_disk_info info = {.size = sizeof(info)};
	struct vd_extent extent;
	struct vd_disk *disk;
	struct stat st;

	(void)state;
	create.format = "raw";
	create.virtual_size = 1 << 20;
	create.type = VD_TYPE_FIXED;
	assert_int_equal(vd_disk_create(path, &create, NULL), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 1 << 20);
	if (st.st_blocks * 512 < st.st_size)
		skip(); /* the file system can't reserve */
	assert_int_equal(vd_disk_open(&disk, path, NULL, NULL), 0);
	vd_disk_get_info(disk, &info);
	assert_int_equal(info.type, VD_TYPE_FIXED);
	assert_true(info.was_probed);
	/* Space that isn't written yet reads as zero, and isn't called a hole (the kernel calls
	 * parts of it data, if it has them in its cache). */
	for (uint64_t at = 0; at < 1 << 20; at += extent.length) {
		assert_int_equal(vd_disk_map(disk, at, UINT64_MAX, &extent, NULL), 0);
		assert_int_not_equal(extent.state, VD_STATE_HOLE);
	}
	close_ok(disk);
	unlink(path);
}

static void creating_checks_its_options(void **state)
{
	const char *path = scratch_path("never.raw");
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;

	(void)state;
	create.format = "raw";
	create.virtual_size = 1000;
	assert_int_equal(vd_disk_create(path, &create, &err), VD_EINVAL);
	assert_string_equal(err.text, "a size of 1000 bytes is not a multiple of the sector, 512");
	create.virtual_size = 1024;
	create.block_size = 1 << 20;
	assert_int_equal(vd_disk_create(path, &create, &err), VD_EINVAL);
	create.block_size = 0;
	create.parent = "base.vhdx";
	assert_int_equal(vd_disk_create(path, &create, &err), VD_EUNSUPPORTED);
	create.parent = NULL;
	create.type = VD_TYPE_DIFFERENCING;
	assert_int_equal(vd_disk_create(path, &create, &err), VD_EINVAL);
	create.format = "qcow2";
	assert_int_equal(vd_disk_create(path, &create, &err), VD_EUNSUPPORTED);
	assert_non_null(strstr(err.text, "qcow2"));
	assert_int_equal(access(path, F_OK), -1);
}

static void counts_calls_and_bytes(void **state)
{
	struct vd_io *io = memory(1 << 20);
	struct vd_disk *disk = open_io(io, VD_OPEN_WRITE, NULL);
	struct vd_disk_stats stats = {.size = sizeof(stats)};
	char bytes[3000] = {0};

	(void)state;
	assert_int_equal(vd_disk_write(disk, bytes, 3000, 9000, NULL), 0);
	assert_int_equal(vd_disk_read(disk, bytes, 1000, 0, NULL), 0);
	assert_int_equal(vd_disk_read(disk, bytes, 500, 0, NULL), 0);
	assert_int_equal(vd_disk_discard(disk, 0, 512, NULL), 0);
	assert_int_equal(vd_disk_write_zeroes(disk, 0, 512, 0, NULL), 0);
	assert_int_equal(vd_disk_flush(disk, NULL), 0);
	vd_disk_get_stats(disk, &stats);
	assert_int_equal(stats.n_reads, 2);
	assert_int_equal(stats.bytes_read, 1500);
	assert_int_equal(stats.n_writes, 1);
	assert_int_equal(stats.bytes_written, 3000);
	assert_int_equal(stats.n_discards, 1);
	assert_int_equal(stats.n_zeroes, 1);
	assert_int_equal(stats.n_flushes, 1);
	assert_int_equal(stats.n_syncs, 1);
	close_ok(disk);
	vd_io_close(io);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_what_it_wrote_at_any_alignment),
	    cmocka_unit_test(rounds_an_odd_length_up_to_sectors),
	    cmocka_unit_test(refuses_what_lies_behind_the_end),
	    cmocka_unit_test(read_only_refuses_changes),
	    cmocka_unit_test(a_probed_image_refuses_signatures),
	    cmocka_unit_test(a_signature_in_pieces_is_refused_too),
	    cmocka_unit_test(a_resolved_write_meets_the_guard),
	    cmocka_unit_test(an_image_told_to_be_raw_takes_signatures),
	    cmocka_unit_test(other_formats_are_refused_by_name),
	    cmocka_unit_test(maps_holes_of_the_file),
	    cmocka_unit_test(a_fixed_image_has_its_space),
	    cmocka_unit_test(creating_checks_its_options),
	    cmocka_unit_test(counts_calls_and_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
