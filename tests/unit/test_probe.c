/* SPDX-License-Identifier: MIT */
/* Which format the first and last bytes show. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "format/formats.h"

/* What a store of `length` bytes is taken for that holds `bytes` at `at`. */
static const char *probe_store(uint64_t length, uint64_t at, const void *bytes, size_t n)
{
	const char *name = NULL;
	struct vd_io *io;

	assert_int_equal(vd_io_open_memory(&io, length, NULL), 0);
	if (n)
		assert_int_equal(vd_io_write(io, bytes, n, at, NULL), 0);
	assert_int_equal(vd_probe(io, &name, NULL), 0);
	vd_io_close(io);
	return name;
}

static const char *probe_head(const char *bytes, size_t n)
{
	return probe_store(1 << 20, 0, bytes, n);
}

static void knows_signatures_at_the_start(void **state)
{
	(void)state;
	assert_string_equal(probe_head("vhdxfile", 8), "vhdx");
	assert_string_equal(probe_head("conectix", 8), "vhd");
	assert_string_equal(probe_head("QFI\xfb\0\0\0\1", 8), "qcow");
	assert_string_equal(probe_head("QFI\xfb\0\0\0\2", 8), "qcow2");
	assert_string_equal(probe_head("QFI\xfb\0\0\0\3", 8), "qcow2");
	assert_string_equal(probe_head("QED\0", 4), "qed");
	assert_string_equal(probe_head("KDMV", 4), "vmdk");
	assert_string_equal(probe_head("COWD", 4), "vmdk");
	assert_string_equal(probe_head("WithoutFreeSpace", 16), "parallels");
	assert_string_equal(probe_head("WithouFreSpacExt", 16), "parallels");
	assert_string_equal(probe_head("Bochs Virtual HD Image", 22), "bochs");
}

static void knows_signatures_elsewhere(void **state)
{
	uint64_t length = 1 << 20;

	(void)state;
	assert_string_equal(probe_store(length, 64, "\x7f\x10\xda\xbe", 4), "vdi");
	assert_string_equal(probe_store(length, length - 512, "conectix", 8), "vhd");
	assert_string_equal(probe_store(length, length - 511, "conectix", 8), "vhd");
	assert_string_equal(probe_store(length, length - 512, "koly", 4), "dmg");
	assert_string_equal(probe_store(length, 512, "conectix", 8), "raw");
}

static void takes_text_for_vmdk_as_qemu_does(void **state)
{
	static const char comment[] = "# some comment\n\n  version=1\nCID=1\n";
	static const char other[] = "# some comment\nversion=9\n";

	(void)state;
	assert_string_equal(probe_head("# Disk DescriptorFile\n", 22), "vmdk");
	assert_string_equal(probe_head(comment, sizeof(comment)), "vmdk");
	assert_string_equal(probe_head("version=3\r\n", 11), "vmdk");
	assert_string_equal(probe_head(other, sizeof(other)), "raw");
}

static void takes_content_for_raw(void **state)
{
	(void)state;
	assert_string_equal(probe_head("", 0), "raw");
	assert_string_equal(probe_head("LUKS\xba\xbe", 6), "raw");
	assert_string_equal(probe_head("vhdxfilf", 8), "raw");
	assert_string_equal(probe_store(1 << 20, 0x8001, "CD001", 5), "raw");
}

static void reads_no_further_than_a_short_store(void **state)
{
	(void)state;
	assert_string_equal(probe_store(0, 0, "", 0), "raw");
	assert_string_equal(probe_store(7, 0, "vhdxfil", 7), "raw");
	assert_string_equal(probe_store(8, 0, "vhdxfile", 8), "vhdx");
	assert_string_equal(probe_store(511, 0, "conectix", 8), "vhd");
	assert_string_equal(probe_store(3, 0, "QED", 3), "raw");
}

static void finds_only_formats_that_it_has(void **state)
{
	(void)state;
	assert_string_equal(vd_format_find("vhdx")->name, "vhdx");
	assert_string_equal(vd_format_find("raw")->name, "raw");
	assert_null(vd_format_find("qcow2"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(knows_signatures_at_the_start),
	    cmocka_unit_test(knows_signatures_elsewhere),
	    cmocka_unit_test(takes_text_for_vmdk_as_qemu_does),
	    cmocka_unit_test(takes_content_for_raw),
	    cmocka_unit_test(reads_no_further_than_a_short_store),
	    cmocka_unit_test(finds_only_formats_that_it_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
