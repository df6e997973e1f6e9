/* SPDX-License-Identifier: MIT */
/* File systems by their superblocks; damaged ones, cut off ones, and which of two counts. What the
 * real mkfs programs write is tests/meta/guest_probe.sh's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <vdisk/disk.h>
#include <vdisk/guest.h>

#include "guestgen.h"

#define UUID "00112233-4455-6677-8899-aabbccddeeff"

static void probe(const struct guestgen *g, struct vd_filesystem *fs)
{
	struct vd_disk *disk = guestgen_open(g);

	assert_non_null(disk);
	memset(fs, 0x55, sizeof(*fs));
	assert_int_equal(vd_guest_probe(disk, 0, g->len, fs, NULL), 0);
	vd_disk_close(disk, NULL);
}

static const struct {
	enum guest_kind kind;
	const char *type, *version, *label, *uuid;
	uint32_t block_size;
	uint64_t size, used;
} known[] = {
    {GUEST_FAT12, "vfat", "FAT12", "LABEL", "1234-ABCD", 512, 209 * 512, VD_UNKNOWN},
    {GUEST_FAT16, "vfat", "FAT16", "LABEL", "1234-ABCD", 512, 4237 * 512, VD_UNKNOWN},
    {GUEST_FAT32, "vfat", "FAT32", "LABEL", "1234-ABCD", 512, 212 * 512, 7 * 512},
    {GUEST_EXFAT, "exfat", "1.0", "label", "1234-ABCD", 512, 232 * 512, VD_UNKNOWN},
    {GUEST_EXT4, "ext4", "1.0", "label", UUID, 1024, 1000 * 1024, 600 * 1024},
    {GUEST_XFS, "xfs", "V5", "label", UUID, 4096, 1000 * 4096, 600 * 4096},
    {GUEST_BTRFS, "btrfs", "", "label", UUID, 4096, 1000 * 4096, 600 * 4096},
    {GUEST_NTFS, "ntfs", "3.1", "label", "0123456789ABCDEF", 4096, 2000 * 512, VD_UNKNOWN},
    {GUEST_SWAP, "swap", "1", "label", UUID, 4096, 100 * 4096, VD_UNKNOWN},
    {GUEST_LVM2, "lvm2", "LVM2 001", "", "abcdef-0123-abcd-4567-efgh-89AB-ijklmn", 0, 1000 * 4096,
     VD_UNKNOWN},
    {GUEST_LUKS2, "luks", "LUKS2", "label", UUID, 0, 0, VD_UNKNOWN},
    {GUEST_MDRAID, "mdraid", "1.2", "label", UUID, 0, 0, VD_UNKNOWN},
    {GUEST_ISO9660, "iso9660", "", "label", "2001-02-03-04-05-06-07", 2048, 100 * 2048, 100 * 2048},
    {GUEST_SQUASHFS, "squashfs", "4.0", "", "", 131072, 5000, 5000},
    {GUEST_BITLOCKER, "bitlocker", "7", "", "", 0, 0, VD_UNKNOWN},
    {GUEST_REFS, "refs", "3.4", "", "0123456789ABCDEF", 4096, 2000 * 512, VD_UNKNOWN},
    {GUEST_ZFS, "zfs", "5000", "label", "1234567890123456789", 0, 0, VD_UNKNOWN},
};
#define N_KNOWN (sizeof(known) / sizeof(known[0]))

static void recognises_each_by_its_superblock(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_KNOWN; i++) {
		struct vd_filesystem fs;
		struct guestgen g;

		guestgen_make(&g, known[i].kind);
		probe(&g, &fs);
		assert_string_equal(fs.type, known[i].type);
		assert_string_equal(fs.version, known[i].version);
		assert_string_equal(fs.label, known[i].label);
		assert_string_equal(fs.uuid, known[i].uuid);
		assert_int_equal(fs.block_size, known[i].block_size);
		assert_int_equal(fs.size, known[i].size);
		assert_int_equal(fs.used, known[i].used);
		assert_false(fs.is_dirty);
		guestgen_free(&g);
	}
}

static void finds_nothing_in_zeros_or_noise(void **state)
{
	struct vd_filesystem fs;
	struct guestgen g;

	(void)state;
	guestgen_make(&g, GUEST_ZFS);
	memset(g.bytes, 0, g.len);
	probe(&g, &fs);
	assert_string_equal(fs.type, "");
	assert_true(fs.used == VD_UNKNOWN);
	for (size_t i = 0; i < g.len; i++)
		g.bytes[i] = (uint8_t)(i * i >> 7 ^ i);
	probe(&g, &fs);
	assert_string_equal(fs.type, "");
	guestgen_free(&g);
}

/* Damage that a checksum or the sense of a field shows; sealed: the checksum is right again. */
static const struct {
	enum guest_kind kind;
	size_t at;
	uint64_t value;
	int n_bytes;
	bool is_sealed;
} wrongs[] = {
    {GUEST_EXT4, 1024 + 120, 'X', 1, false},       /* a byte of the label */
    {GUEST_EXT4, 1024 + 24, 7, 4, true},           /* blocks of 128 KiB */
    {GUEST_EXT4, 1024 + 24, 0xffffffff, 4, true},  /* a shift beyond all bounds */
    {GUEST_EXT4, 1024 + 4, 0, 4, true},            /* no blocks */
    {GUEST_EXT4, 1024 + 336, 0xffffffff, 4, true}, /* more bytes than a number holds */
    {GUEST_XFS, 108, 'X', 1, false},
    {GUEST_XFS, 4, 0, -4, true},
    {GUEST_XFS, 4, 4097, -4, true},
    {GUEST_XFS, 102, 0, -2, true},
    {GUEST_XFS, 102, 32768, -2, true}, /* a sector larger than the stretch */
    {GUEST_XFS, 8, 1ull << 60, -8, true},
    {GUEST_BTRFS, 65536 + 299, 'X', 1, false},
    {GUEST_BTRFS, 65536 + 48, 0, 8, true}, /* a copy of another place */
    {GUEST_NTFS, 11, 0, 2, true},
    {GUEST_NTFS, 13, 0, 1, true},
    {GUEST_NTFS, 13, 0x81, 1, true}, /* a shift beyond all bounds */
    {GUEST_NTFS, 64, 0x81, 1, true},
    {GUEST_NTFS, 64, 0, 1, true},
    {GUEST_NTFS, 40, 0, 8, true},
    {GUEST_NTFS, 48, UINT64_MAX, 8, true}, /* its MFT beyond the end */
    {GUEST_SWAP, 1024, 2, 4, true},
    {GUEST_SWAP, 1028, 0, 4, true},
    {GUEST_LVM2, 544, 'X', 1, false},
    {GUEST_LVM2, 532, 500, 4, true},
    {GUEST_LVM2, 532, 0xffffffff, 4, true},
    {GUEST_LVM2, 520, 2, 8, true}, /* not in its place */
    {GUEST_LUKS2, 6, 3, -2, true},
    {GUEST_MDRAID, 4128, 'X', 1, false},
    {GUEST_MDRAID, 4096 + 144, 16, 8, true},
    {GUEST_MDRAID, 4096 + 220, 0xffffffff, 4, false},
    {GUEST_ISO9660, 32768, 2, 1, true},
    {GUEST_SQUASHFS, 28, 3, 2, true},
    {GUEST_SQUASHFS, 12, 0, 4, true},
    {GUEST_BITLOCKER, 510, 0, 2, true},
    {GUEST_REFS, 32, 0, 4, true},
    {GUEST_REFS, 36, 0xffffffff, 4, true},
    {GUEST_REFS, 24, UINT64_MAX, 8, true},
    {GUEST_ZFS, 131072 + 4096, 0, 8, true}, /* too few of them left */
    {GUEST_ZFS, 131072 + 1024, 0, 8, true},
    {GUEST_FAT16, 0, 0, 1, true},
    {GUEST_FAT16, 11, 511, 2, true},
    {GUEST_FAT16, 11, 0, 2, true},
    {GUEST_FAT16, 13, 0, 1, true},
    {GUEST_FAT16, 13, 3, 1, true},
    {GUEST_FAT16, 14, 0, 2, true},
    {GUEST_FAT16, 16, 0, 1, true},
    {GUEST_FAT16, 17, 0, 2, true},
    {GUEST_FAT16, 19, 36, 2, true}, /* all taken by what comes before the clusters */
    {GUEST_FAT16, 21, 0, 1, true},
    {GUEST_FAT16, 22, 0xffff, 2, true},
    {GUEST_FAT32, 36, 0, 4, true},
    {GUEST_FAT32, 36, 0xffffffff, 4, true},
    {GUEST_FAT32, 42, 1, 2, true}, /* a version to come */
    {GUEST_EXFAT, 0, 0, 1, false},
    {GUEST_EXFAT, 108, 8, 1, true},
    {GUEST_EXFAT, 108, 13, 1, true},
    {GUEST_EXFAT, 109, 200, 1, true},
    {GUEST_EXFAT, 72, UINT64_MAX, 8, true},
    {GUEST_EXFAT, 88, 0xffffffff, 4, true},
    {GUEST_EXFAT, 92, 0xfffffff5, 4, true},
    {GUEST_EXFAT, 96, 1, 4, true},
    {GUEST_EXFAT, 96, 202, 4, true},
    {GUEST_EXFAT, 84, 1, 4, true}, /* a FAT too short for all clusters */
    {GUEST_EXFAT, 110, 0, 1, true},
};

static void refuses_what_cannot_be(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
		struct vd_filesystem fs;
		struct guestgen g;

		guestgen_make(&g, wrongs[i].kind);
		if (wrongs[i].kind == GUEST_ZFS) /* two of five, as four make one */
			guestgen_put(&g, 131072 + 2048, 0, 8);
		guestgen_put(&g, wrongs[i].at, wrongs[i].value, wrongs[i].n_bytes);
		if (wrongs[i].is_sealed)
			guestgen_seal(&g);
		probe(&g, &fs);
		if (fs.type[0])
			fail_msg("%s with %llu at %zu is taken for %s", g.name,
				 (unsigned long long)wrongs[i].value, wrongs[i].at, fs.type);
		guestgen_free(&g);
	}
}

static const struct {
	enum guest_kind kind;
	size_t at;
	uint64_t value;
	int n_bytes;
} dirt[] = {
    {GUEST_EXT4, 1024 + 58, 0, 2},      /* mounted */
    {GUEST_EXT4, 1024 + 58, 3, 2},      /* with errors */
    {GUEST_EXT4, 1024 + 96, 0x2c6, 4},  /* a journal to be replayed */
    {GUEST_BTRFS, 65536 + 96, 4096, 8}, /* a log tree */
    {GUEST_XFS, 216, 0x10, -4},
    {GUEST_NTFS, 16 * 4096 + 3 * 1024 + 130, 1, 1},
    {GUEST_FAT12, 37, 1, 1},
    {GUEST_FAT16, 37, 1, 1},
    {GUEST_FAT16, 514, 0x7fff, 2},
    {GUEST_FAT16, 514, 0xbfff, 2},
    {GUEST_FAT32, 65, 1, 1},
    {GUEST_FAT32, 4100, 0x07ffffff, 4},
    {GUEST_EXFAT, 106, 2, 2},
};

static void tells_what_was_not_unmounted(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(dirt) / sizeof(dirt[0]); i++) {
		struct vd_filesystem fs;
		struct guestgen g;

		guestgen_make(&g, dirt[i].kind);
		guestgen_put(&g, dirt[i].at, dirt[i].value, dirt[i].n_bytes);
		guestgen_seal(&g);
		probe(&g, &fs);
		assert_true(fs.type[0]);
		if (!fs.is_dirty)
			fail_msg("%s with %llu at %zu passes for clean", g.name,
				 (unsigned long long)dirt[i].value, dirt[i].at);
		guestgen_free(&g);
	}
}

/* Cut off anywhere: an answer, and no byte read from behind the end. */
static void short_stretches_are_safe(void **state)
{
	(void)state;
	for (int kind = 0; kind < N_GUESTS; kind++) {
		struct vd_filesystem fs;
		struct vd_disk *disk;
		struct guestgen g;

		guestgen_make(&g, (enum guest_kind)kind);
		disk = guestgen_open(&g);
		for (size_t len = 0; len < g.len; len += 1 + len / 8)
			assert_int_equal(vd_guest_probe(disk, 0, len, &fs, NULL), 0);
		assert_int_equal(vd_guest_probe(disk, g.len, 0, &fs, NULL), 0);
		assert_int_equal(vd_guest_probe(disk, 1, g.len, &fs, NULL), VD_ERANGE);
		assert_int_equal(vd_guest_probe(disk, UINT64_MAX, 2, &fs, NULL), VD_ERANGE);
		vd_disk_close(disk, NULL);
		guestgen_free(&g);
	}
}

static void ext_by_its_features(void **state)
{
	static const struct {
		uint32_t compat, incompat, ro_compat;
		const char *type;
	} cases[] = {
	    {0x38, 0x2, 0x3, "ext2"},  {0x3c, 0x2, 0x3, "ext3"}, {0x3c, 0x42, 0x3, "ext4"},
	    {0x38, 0x42, 0x3, "ext4"}, {0x3c, 0x2, 0x8, "ext4"}, {0x0, 0xa, 0x3, "jbd"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vd_filesystem fs;
		struct guestgen g;

		guestgen_make(&g, GUEST_EXT4);
		guestgen_put(&g, 1024 + 92, cases[i].compat, 4);
		guestgen_put(&g, 1024 + 96, cases[i].incompat, 4);
		guestgen_put(&g, 1024 + 100, cases[i].ro_compat, 4);
		probe(&g, &fs);
		assert_string_equal(fs.type, cases[i].type);
		guestgen_free(&g);
	}
}

/* Whatever stands in a label comes out as one line of UTF-8. */
static void labels_are_always_text(void **state)
{
	struct vd_filesystem fs;
	struct guestgen g;

	(void)state;
	guestgen_make(&g, GUEST_EXT4);
	memcpy(g.bytes + 1024 + 120, "a\n\xff\xc3\xbc\xe2\x82", 8);
	guestgen_seal(&g);
	probe(&g, &fs);
	assert_string_equal(fs.label, "a\xef\xbf\xbd\xef\xbf\xbd\xc3\xbc\xef\xbf\xbd\xef\xbf\xbd");
	guestgen_free(&g);
	guestgen_make(&g, GUEST_NTFS);
	/* Half of a pair, and a whole one. */
	memcpy(g.bytes + 16 * 4096 + 3 * 1024 + 80, "\x3d\xd8x\0\x3d\xd8\x00\xde!\0", 10);
	probe(&g, &fs);
	assert_string_equal(fs.label, "\xef\xbf\xbdx\xf0\x9f\x98\x80!");
	guestgen_free(&g);
}

/* The records of NTFS that can't be trusted cost the label, not the type. */
static void broken_records_of_ntfs_are_left_alone(void **state)
{
	static const struct {
		size_t at;
		uint64_t value;
		int n_bytes;
	} cases[] = {
	    {4, 0xffff, 2},      {6, 0xffff, 2},      {510, 0, 2},     {20, 0xffff, 2}, {60, 0, 4},
	    {60, 0xffffffff, 4}, {72, 0xffffffff, 4}, {76, 0xffff, 2}, {0, 0, 4},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vd_filesystem fs;
		struct guestgen g;

		guestgen_make(&g, GUEST_NTFS);
		guestgen_put(&g, 16 * 4096 + 3 * 1024 + cases[i].at, cases[i].value,
			     cases[i].n_bytes);
		probe(&g, &fs);
		assert_string_equal(fs.type, "ntfs");
		assert_string_equal(fs.label, "");
		guestgen_free(&g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(recognises_each_by_its_superblock),
	    cmocka_unit_test(finds_nothing_in_zeros_or_noise),
	    cmocka_unit_test(refuses_what_cannot_be),
	    cmocka_unit_test(tells_what_was_not_unmounted),
	    cmocka_unit_test(short_stretches_are_safe),
	    cmocka_unit_test(ext_by_its_features),
	    cmocka_unit_test(labels_are_always_text),
	    cmocka_unit_test(broken_records_of_ntfs_are_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
