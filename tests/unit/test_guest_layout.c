/* SPDX-License-Identifier: MIT */
/* Partition tables: right ones, and each kind of wrong one beside its right twin. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <vdisk/disk.h>
#include <vdisk/guest.h>
#include <vdisk/sys/io.h>

#include "guestgen.h"

static struct vd_layout *read_disk(struct vd_disk *disk)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_layout *layout = NULL;

	assert_non_null(disk);
	if (vd_guest_read_layout(&layout, disk, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
	return layout;
}

static struct vd_layout *read_guest(const struct guestgen *g)
{
	return read_disk(guestgen_open(g));
}

static void is_partition(const struct vd_partition *p, uint32_t number, uint64_t first,
			 uint64_t count, const char *type)
{
	assert_int_equal(p->number, number);
	assert_int_equal(p->start, first * 512);
	assert_int_equal(p->length, count * 512);
	assert_string_equal(p->type, type);
}

static void reads_an_mbr_with_logical_partitions(void **state)
{
	struct vd_layout *layout;
	struct guestgen g;

	(void)state;
	guestgen_make(&g, GUEST_MBR);
	layout = read_guest(&g);
	assert_int_equal(layout->scheme, VD_SCHEME_MBR);
	assert_string_equal(layout->disk_uuid, "1234abcd");
	assert_null(layout->problem);
	assert_int_equal(layout->n_partitions, 5);
	is_partition(&layout->partitions[0], 1, 64, 300, "0x83");
	is_partition(&layout->partitions[1], 3, 400, 200, "0x07");
	is_partition(&layout->partitions[2], 2, 700, 900, "0x0f");
	is_partition(&layout->partitions[3], 5, 702, 100, "0x82");
	is_partition(&layout->partitions[4], 6, 902, 200, "0x8e");
	assert_int_equal(layout->partitions[0].attributes, 1);
	assert_int_equal(layout->partitions[1].attributes, 0);
	assert_string_equal(layout->partitions[0].type_name, "Linux");
	assert_string_equal(layout->partitions[0].uuid, "");
	vd_layout_free(layout);
	guestgen_free(&g);
}

static void is_gpt(const struct vd_layout *layout, uint64_t per_sector)
{
	assert_string_equal(layout->disk_uuid, "33221100-5544-7766-8899-aabbccddeeff");
	assert_int_equal(layout->n_partitions, 2);
	is_partition(&layout->partitions[0], 3, 50 * per_sector, 50 * per_sector,
		     "0fc63daf-8483-4772-8e79-3d69d8477de4");
	is_partition(&layout->partitions[1], 1, 120 * per_sector, 30 * per_sector,
		     "0fc63daf-8483-4772-8e79-3d69d8477de4");
	assert_string_equal(layout->partitions[0].name, "first on disk");
	assert_string_equal(layout->partitions[0].type_name, "Linux filesystem data");
	assert_string_equal(layout->partitions[0].uuid, "33221100-5544-7766-8899-aabbccddee32");
	assert_int_equal(layout->partitions[0].attributes, 4);
}

static void reads_a_gpt_and_tells_a_hybrid(void **state)
{
	static const enum guest_kind kinds[] = {GUEST_GPT, GUEST_HYBRID};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct vd_layout *layout;
		struct guestgen g;

		guestgen_make(&g, kinds[i]);
		layout = read_guest(&g);
		assert_int_equal(layout->scheme, i ? VD_SCHEME_HYBRID : VD_SCHEME_GPT);
		assert_null(layout->problem);
		is_gpt(layout, 1);
		vd_layout_free(layout);
		guestgen_free(&g);
	}
}

/* On a disk with such sectors, and in a raw image, which has lost their size. */
static void reads_a_gpt_of_large_sectors(void **state)
{
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_open_opts open = VD_OPEN_OPTS_INIT;
	struct vd_layout *layout;
	struct vd_disk *disk;
	struct guestgen g;
	struct vd_io *io;

	(void)state;
	guestgen_make(&g, GUEST_GPT_4K);
	create.virtual_size = g.len;
	create.logical_sector_size = 4096;
	open.flags = VD_OPEN_WRITE;
	assert_int_equal(vd_io_open_memory(&io, 0, NULL), 0);
	assert_int_equal(vd_disk_create_io(io, &create, NULL), 0);
	assert_int_equal(vd_disk_open_io(&disk, io, &open, NULL), 0);
	vd_io_close(io);
	assert_int_equal(vd_disk_write(disk, g.bytes, g.len, 0, NULL), 0);
	layout = read_disk(disk);
	assert_int_equal(layout->scheme, VD_SCHEME_GPT);
	assert_null(layout->problem);
	is_gpt(layout, 8);
	vd_layout_free(layout);
	layout = read_guest(&g);
	assert_string_equal(layout->problem,
			    "the GPT was made for sectors of 4096 bytes, the disk's have 512");
	is_gpt(layout, 8);
	vd_layout_free(layout);
	guestgen_free(&g);
}

/* One change to a right disk, and what is said then. */
struct wrong {
	const char *problem; /* part of it */
	size_t at;
	uint64_t value;
	int n_bytes;
	size_t n_partitions;
	bool is_sealed;
};

static void check_wrong(enum guest_kind kind, const struct wrong *w, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct vd_layout *layout;
		struct guestgen g;

		guestgen_make(&g, kind);
		guestgen_put(&g, w[i].at, w[i].value, w[i].n_bytes);
		if (w[i].is_sealed)
			guestgen_seal(&g);
		layout = read_guest(&g);
		if (!layout->problem || !strstr(layout->problem, w[i].problem))
			fail_msg("\"%s\" isn't said, but \"%s\"", w[i].problem,
				 layout->problem ? layout->problem : "");
		if (layout->n_partitions != w[i].n_partitions)
			fail_msg("\"%s\": %zu partitions", w[i].problem, layout->n_partitions);
		for (size_t k = 0; k < layout->n_partitions; k++)
			assert_true(layout->partitions[k].start < g.len &&
				    layout->partitions[k].length <=
					g.len - layout->partitions[k].start);
		vd_layout_free(layout);
		guestgen_free(&g);
	}
}

#define LINK_1 (GUEST_EBR_1 * 512 + 462)
#define LINK_2 (GUEST_EBR_2 * 512 + 462)

static void wrong_mbrs_are_told(void **state)
{
	/* An entry in two halves: type, and a start with a length. */
	static const struct wrong wrongs[] = {
	    {"back into itself", LINK_1 + 8, 0, 4, 4, false},
	    {"out of the extended one", LINK_1 + 8, 900, 4, 4, false},
	    {"out of the extended one", LINK_1 + 8, 0xffffffff, 4, 4, false},
	    {"sector 900 isn't an extended boot record", GUEST_EBR_2 * 512 + 510, 0, 2, 4, false},
	    {"logical partition 5 isn't within", GUEST_EBR_1 * 512 + 458, 1000, 4, 5, false},
	    {"partition 1 begins beyond the end", 446 + 8, 2048, 4, 4, false},
	    {"partition 1 begins beyond the end", 446 + 8, 0xffffffff, 4, 4, false},
	    {"partition 3 ends beyond the end", 478 + 12, 0xffffffff, 4, 5, false},
	    {"partitions 1 and 3 overlap", 478 + 8, 363, 4, 5, false},
	    {"partitions 3 and 5 overlap", 478 + 12, 303, 4, 5, false},
	    {"out of the extended one", 462 + 8, 0xffffffff, 4, 2, false},
	};

	(void)state;
	check_wrong(GUEST_MBR, wrongs, sizeof(wrongs) / sizeof(wrongs[0]));
}

/* Three records in a circle. */
static void a_circle_of_logical_partitions_ends(void **state)
{
	struct vd_layout *layout;
	struct guestgen g;

	(void)state;
	guestgen_make(&g, GUEST_MBR);
	guestgen_put(&g, LINK_2 + 4, 0x05, 1);
	guestgen_put(&g, LINK_2 + 12, 10, 4);
	layout = read_guest(&g);
	assert_string_equal(layout->problem,
			    "the chain of logical partitions leads back into itself");
	assert_int_equal(layout->n_partitions, 5);
	vd_layout_free(layout);
	guestgen_free(&g);
}

#define LAST    ((128u << 10) - 512)
#define TABLE_2 (LAST - 128 * 128)

static void wrong_gpts_are_told(void **state)
{
	static const struct wrong wrongs[] = {
	    {"first GPT header is damaged (its CRC); the second one was used", 512 + 56, 1, 1, 2,
	     false},
	    {"first GPT header is missing; the second", 512, 0, 1, 2, false},
	    {"first GPT header is without its table (whose CRC is wrong)", 1024 + 40, 9, 1, 2,
	     false},
	    {"first GPT header is damaged (its length)", 512 + 12, 91, 4, 2, true},
	    {"first GPT header is damaged (its length)", 512 + 12, 0xffffffff, 4, 2, true},
	    {"first GPT header is not in its place", 512 + 24, 2, 8, 2, true},
	    {"first GPT header is broken (the size", 512 + 84, 64, 4, 2, true},
	    {"first GPT header is broken (the size", 512 + 84, 129, 4, 2, true},
	    {"first GPT header is broken (the size", 512 + 80, 0xffffffff, 4, 2, true},
	    {"first GPT header is broken (its table", 512 + 72, 0xffffffffffffff, 8, 2, true},
	    {"first GPT header is broken (its table", 512 + 72, 250, 8, 2, true},
	    {"second GPT header is damaged (its CRC)", LAST + 56, 1, 1, 2, false},
	    {"second GPT header is without its table", TABLE_2 + 40, 1, 1, 2, false},
	    {"the two GPT headers disagree; the first", TABLE_2 + 40, 148, 8, 2, true},
	    {"partition 3 ends before it begins", 1024 + 256 + 40, 0, 8, 1, true},
	    {"partition 3 ends before it begins", 1024 + 256 + 40, UINT64_MAX, 8, 1, true},
	    {"partition 1 ends beyond the end of the disk", 1024 + 40, 1ull << 40, 8, 2, true},
	    {"partition 3 ends beyond the end of the disk", 1024 + 256 + 40, UINT64_MAX - 1, 8, 2,
	     true},
	    {"partitions 3 and 1 overlap", 1024 + 256 + 40, 120, 8, 2, true},
	    {"no protective MBR", 450, 0, 1, 2, false},
	};

	(void)state;
	check_wrong(GUEST_GPT, wrongs, sizeof(wrongs) / sizeof(wrongs[0]));
}

static void a_gpt_without_a_header_shows_its_mbr(void **state)
{
	struct vd_layout *layout;
	struct guestgen g;

	(void)state;
	guestgen_make(&g, GUEST_GPT);
	guestgen_put(&g, 512, 0, 1);
	guestgen_put(&g, LAST, 0, 1);
	layout = read_guest(&g);
	assert_int_equal(layout->scheme, VD_SCHEME_MBR);
	assert_string_equal(layout->problem,
			    "the MBR announces a GPT, of which no header can be used");
	assert_int_equal(layout->n_partitions, 1);
	assert_string_equal(layout->partitions[0].type, "0xee");
	vd_layout_free(layout);
	guestgen_free(&g);
}

static void a_gpt_on_a_disk_that_grew_is_found(void **state)
{
	struct vd_layout *layout;
	struct guestgen g, grown;

	(void)state;
	guestgen_make(&g, GUEST_GPT);
	guestgen_make(&grown, GUEST_GPT_4K); /* a larger one */
	memset(grown.bytes, 0, grown.len);
	memcpy(grown.bytes, g.bytes, g.len);
	layout = read_guest(&grown);
	assert_string_equal(layout->problem, "the second GPT header isn't at the end of the disk");
	is_gpt(layout, 1);
	vd_layout_free(layout);
	guestgen_free(&grown);
	guestgen_free(&g);
}

/* A real MBR over what an earlier GPT left: guests see the MBR. */
static void an_mbr_that_names_no_gpt_counts(void **state)
{
	struct vd_layout *layout;
	struct guestgen g;

	(void)state;
	guestgen_make(&g, GUEST_GPT);
	guestgen_put(&g, 450, 0x83, 1);
	layout = read_guest(&g);
	assert_int_equal(layout->scheme, VD_SCHEME_MBR);
	assert_int_equal(layout->n_partitions, 1);
	vd_layout_free(layout);
	guestgen_free(&g);
}

/* What stands in a boot sector where an MBR has its table may look like one. */
static void boot_sectors_are_no_tables(void **state)
{
	static const enum guest_kind kinds[] = {GUEST_FAT12, GUEST_FAT16, GUEST_FAT32,
						GUEST_EXFAT, GUEST_NTFS,  GUEST_BITLOCKER};

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct vd_layout *layout;
		struct guestgen g;

		guestgen_make(&g, kinds[i]);
		guestgen_put(&g, 450, 0x83, 1);
		guestgen_put(&g, 454, 4, 4);
		guestgen_put(&g, 458, 4, 4);
		guestgen_seal(&g);
		layout = read_guest(&g);
		assert_int_equal(layout->scheme, VD_SCHEME_NONE);
		assert_int_equal(layout->n_partitions, 1);
		assert_int_equal(layout->partitions[0].number, 0);
		assert_int_equal(layout->partitions[0].length, g.len);
		assert_true(layout->partitions[0].filesystem.type[0]);
		vd_layout_free(layout);
		/* Its twin, whose own marks are gone. */
		memset(g.bytes, 0, 128);
		layout = read_guest(&g);
		assert_int_equal(layout->scheme, VD_SCHEME_MBR);
		vd_layout_free(layout);
		guestgen_free(&g);
	}
}

static void boot_code_is_no_table(void **state)
{
	struct vd_layout *layout;
	struct guestgen g;

	(void)state;
	guestgen_make(&g, GUEST_MBR);
	guestgen_put(&g, 446, 0x12, 1);
	layout = read_guest(&g);
	assert_int_equal(layout->scheme, VD_SCHEME_NONE);
	assert_string_equal(layout->partitions[0].filesystem.type, "");
	vd_layout_free(layout);
	guestgen_free(&g);
}

static void an_empty_table_has_no_partitions(void **state)
{
	struct vd_layout *layout;
	struct guestgen g;

	(void)state;
	guestgen_make(&g, GUEST_MBR);
	memset(g.bytes + 446, 0, 64);
	layout = read_guest(&g);
	assert_int_equal(layout->scheme, VD_SCHEME_MBR);
	assert_int_equal(layout->n_partitions, 0);
	vd_layout_free(layout);
	guestgen_free(&g);
}

/* "Nothing there" and "can't be read" are different answers. */
static void a_disk_that_cannot_be_read_is_an_error(void **state)
{
	struct vd_layout *layout = NULL;
	struct vd_disk *disk;
	struct guestgen g;

	(void)state;
	guestgen_make(&g, GUEST_GPT);
	disk = guestgen_open(&g);
	vd_disk_cancel(disk);
	assert_int_equal(vd_guest_read_layout(&layout, disk, NULL), VD_ECANCELED);
	assert_null(layout);
	vd_disk_close(disk, NULL);
	guestgen_free(&g);
}

static void schemes_have_names(void **state)
{
	(void)state;
	assert_string_equal(vd_scheme_name(VD_SCHEME_NONE), "none");
	assert_string_equal(vd_scheme_name(VD_SCHEME_HYBRID), "hybrid");
	assert_string_equal(vd_scheme_name((enum vd_scheme)99), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_an_mbr_with_logical_partitions),
	    cmocka_unit_test(reads_a_gpt_and_tells_a_hybrid),
	    cmocka_unit_test(reads_a_gpt_of_large_sectors),
	    cmocka_unit_test(wrong_mbrs_are_told),
	    cmocka_unit_test(a_circle_of_logical_partitions_ends),
	    cmocka_unit_test(wrong_gpts_are_told),
	    cmocka_unit_test(a_gpt_without_a_header_shows_its_mbr),
	    cmocka_unit_test(a_gpt_on_a_disk_that_grew_is_found),
	    cmocka_unit_test(an_mbr_that_names_no_gpt_counts),
	    cmocka_unit_test(boot_sectors_are_no_tables),
	    cmocka_unit_test(boot_code_is_no_table),
	    cmocka_unit_test(an_empty_table_has_no_partitions),
	    cmocka_unit_test(a_disk_that_cannot_be_read_is_an_error),
	    cmocka_unit_test(schemes_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
