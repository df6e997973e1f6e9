/* SPDX-License-Identifier: MIT */
/* Small disks as guests make them: see guestgen.h. FAT and exFAT are in guestgen_fat.c. */
#include "guestgen.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <vdisk/disk.h>
#include <vdisk/sys/io.h>

#include "base/crc32c.h"
#include "guestgen_kinds.h"

void guestgen_put(struct guestgen *g, size_t at, uint64_t value, int n_bytes)
{
	size_t n = (size_t)abs(n_bytes);

	for (size_t i = 0; i < n; i++)
		g->bytes[at + (n_bytes > 0 ? i : n - 1 - i)] = (uint8_t)(value >> 8 * i);
}

uint64_t guestgen_get(const struct guestgen *g, size_t at, size_t n_bytes)
{
	uint64_t value = 0;

	for (size_t i = n_bytes; i-- > 0;)
		value = value << 8 | g->bytes[at + i];
	return value;
}

void guestgen_text(struct guestgen *g, size_t at, const char *text)
{
	memcpy(g->bytes + at, text, strlen(text));
}

void guestgen_region(struct guestgen *g, size_t at, size_t len)
{
	g->regions[g->n_regions].at = at;
	g->regions[g->n_regions++].len = len;
}

/* 16 bytes that can be told from each other. */
static void uuid(struct guestgen *g, size_t at)
{
	for (size_t i = 0; i < 16; i++)
		g->bytes[at + i] = (uint8_t)(i * 0x11);
}

/* ---- tables */

static void mbr_entry(struct guestgen *g, size_t at, unsigned int type, uint64_t first,
		      uint64_t count)
{
	guestgen_put(g, at + 4, type, 1);
	guestgen_put(g, at + 8, first, 4);
	guestgen_put(g, at + 12, count, 4);
}

static void make_mbr(struct guestgen *g)
{
	guestgen_put(g, 440, 0x1234abcd, 4);
	mbr_entry(g, 446, 0x83, 64, 300);
	g->bytes[446] = 0x80;
	mbr_entry(g, 462, 0x0f, GUEST_EBR_1, 900);
	mbr_entry(g, 478, 0x07, 400, 200);
	guestgen_put(g, 510, 0xaa55, 2);
	mbr_entry(g, GUEST_EBR_1 * 512 + 446, 0x82, 2, 100);
	mbr_entry(g, GUEST_EBR_1 * 512 + 462, 0x05, GUEST_EBR_2 - GUEST_EBR_1, 300);
	guestgen_put(g, GUEST_EBR_1 * 512 + 510, 0xaa55, 2);
	mbr_entry(g, GUEST_EBR_2 * 512 + 446, 0x8e, 2, 200);
	guestgen_put(g, GUEST_EBR_2 * 512 + 510, 0xaa55, 2);
	guestgen_region(g, 440, 72);
	guestgen_region(g, GUEST_EBR_1 * 512 + 446, 66);
	guestgen_region(g, GUEST_EBR_2 * 512 + 446, 66);
}

#define GPT_ENTRIES 128u

static size_t gpt_sector(const struct guestgen *g)
{
	return g->kind == GUEST_GPT_4K ? 4096 : 512;
}

static void gpt_header(struct guestgen *g, uint64_t own, uint64_t other, uint64_t entries)
{
	size_t sector = gpt_sector(g), at = own * sector, last = g->len / sector - 1;

	guestgen_text(g, at, "EFI PART");
	guestgen_put(g, at + 8, 0x10000, 4);
	guestgen_put(g, at + 12, 92, 4);
	guestgen_put(g, at + 24, own, 8);
	guestgen_put(g, at + 32, other, 8);
	guestgen_put(g, at + 40, 34, 8);
	guestgen_put(g, at + 48, last - 33, 8);
	uuid(g, at + 56);
	guestgen_put(g, at + 72, entries, 8);
	guestgen_put(g, at + 80, GPT_ENTRIES, 4);
	guestgen_put(g, at + 84, 128, 4);
}

static void gpt_entry(struct guestgen *g, size_t at, uint64_t first, uint64_t last,
		      const char *name)
{
	static const uint8_t linux_data[16] = {0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47,
					       0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4};

	memcpy(g->bytes + at, linux_data, 16);
	uuid(g, at + 16);
	g->bytes[at + 31] = (uint8_t)first;
	guestgen_put(g, at + 32, first, 8);
	guestgen_put(g, at + 40, last, 8);
	guestgen_put(g, at + 48, 4, 8);
	for (size_t i = 0; name[i]; i++)
		g->bytes[at + 56 + 2 * i] = (uint8_t)name[i];
}

static void make_gpt(struct guestgen *g)
{
	size_t sector = gpt_sector(g), last = g->len / sector - 1;
	size_t n = GPT_ENTRIES * 128 / sector;

	mbr_entry(g, 446, 0xee, 1, last);
	if (g->kind == GUEST_HYBRID)
		mbr_entry(g, 462, 0x83, 50, 50);
	guestgen_put(g, 510, 0xaa55, 2);
	gpt_header(g, 1, last, 2);
	gpt_header(g, last, 1, last - n);
	for (size_t copy = 0; copy < 2; copy++) {
		size_t at = (copy ? last - n : 2) * sector;

		gpt_entry(g, at, 120, 149, "second on disk");
		gpt_entry(g, at + 2 * 128, 50, 99, "first on disk");
	}
	guestgen_region(g, 446, 66);
	guestgen_region(g, sector, 92);
	guestgen_region(g, 2 * sector, 3 * 128);
	guestgen_region(g, last * sector, 92);
	guestgen_region(g, (last - n) * sector, 3 * 128);
}

static void seal_gpt(struct guestgen *g)
{
	size_t sector = gpt_sector(g), last = g->len / sector - 1;

	for (size_t copy = 0; copy < 2; copy++) {
		size_t at = (copy ? last : 1) * sector;
		uint64_t entries = guestgen_get(g, at + 72, 8) * sector;
		uint64_t len = guestgen_get(g, at + 80, 4) * guestgen_get(g, at + 84, 4);
		uint64_t n = guestgen_get(g, at + 12, 4);

		if (entries <= g->len && len <= g->len - entries)
			guestgen_put(g, at + 88, crc32(0, g->bytes + entries, (uInt)len), 4);
		guestgen_put(g, at + 16, 0, 4);
		if (n <= sector)
			guestgen_put(g, at + 16, crc32(0, g->bytes + at, (uInt)n), 4);
	}
}

/* ---- superblocks */

static void make_ext4(struct guestgen *g)
{
	guestgen_put(g, 1024 + 4, 1000, 4);
	guestgen_put(g, 1024 + 12, 400, 4);
	guestgen_put(g, 1024 + 24, 0, 4);
	guestgen_put(g, 1024 + 56, 0xef53, 2);
	guestgen_put(g, 1024 + 58, 1, 2);
	guestgen_put(g, 1024 + 76, 1, 4);
	guestgen_put(g, 1024 + 92, 0x4, 4);
	guestgen_put(g, 1024 + 96, 0x2c2, 4);
	guestgen_put(g, 1024 + 100, 0x46b, 4);
	uuid(g, 1024 + 104);
	guestgen_text(g, 1024 + 120, "label");
	guestgen_region(g, 1024, 1024);
}

static void make_xfs(struct guestgen *g)
{
	guestgen_text(g, 0, "XFSB");
	guestgen_put(g, 4, 4096, -4);
	guestgen_put(g, 8, 1000, -8);
	uuid(g, 32);
	guestgen_put(g, 100, 0xb4a5, -2);
	guestgen_put(g, 102, 512, -2);
	guestgen_text(g, 108, "label");
	guestgen_put(g, 144, 400, -8);
	guestgen_region(g, 0, 264);
}

static void make_btrfs(struct guestgen *g)
{
	size_t at = 65536;

	uuid(g, at + 32);
	guestgen_put(g, at + 48, 65536, 8);
	guestgen_text(g, at + 64, "_BHRfS_M");
	guestgen_put(g, at + 112, 1000 * 4096, 8);
	guestgen_put(g, at + 120, 600 * 4096, 8);
	guestgen_put(g, at + 144, 4096, 4);
	guestgen_text(g, at + 299, "label");
	guestgen_region(g, at, 560);
}

static void make_ntfs(struct guestgen *g)
{
	size_t volume = 16 * 4096 + 3 * 1024;

	guestgen_text(g, 3, "NTFS    ");
	guestgen_put(g, 11, 512, 2);
	guestgen_put(g, 13, 8, 1);
	guestgen_put(g, 40, 2000, 8);
	guestgen_put(g, 48, 16, 8);
	guestgen_put(g, 64, 0xf6, 1);
	guestgen_put(g, 72, 0x0123456789abcdef, 8);
	guestgen_put(g, 510, 0xaa55, 2);
	guestgen_text(g, volume, "FILE");
	guestgen_put(g, volume + 4, 48, 2);
	guestgen_put(g, volume + 6, 3, 2);
	guestgen_put(g, volume + 20, 56, 2);
	guestgen_put(g, volume + 24, 200, 4);
	guestgen_put(g, volume + 48, 7, 2); /* what both sectors end with */
	guestgen_put(g, volume + 510, 7, 2);
	guestgen_put(g, volume + 1022, 7, 2);
	guestgen_put(g, volume + 56, 0x60, 4);
	guestgen_put(g, volume + 60, 40, 4);
	guestgen_put(g, volume + 72, 10, 4);
	guestgen_put(g, volume + 76, 24, 2);
	for (size_t i = 0; i < 5; i++)
		g->bytes[volume + 80 + 2 * i] = (uint8_t) "label"[i];
	guestgen_put(g, volume + 96, 0x70, 4);
	guestgen_put(g, volume + 100, 40, 4);
	guestgen_put(g, volume + 112, 12, 4);
	guestgen_put(g, volume + 116, 24, 2);
	guestgen_put(g, volume + 128, 0x0103, 2);
	guestgen_put(g, volume + 136, 0xffffffff, 4);
	guestgen_region(g, 0, 90);
	guestgen_region(g, volume, 200);
}

static void make_swap(struct guestgen *g)
{
	guestgen_put(g, 1024, 1, 4);
	guestgen_put(g, 1028, 99, 4);
	uuid(g, 1036);
	guestgen_text(g, 1052, "label");
	guestgen_text(g, 4086, "SWAPSPACE2");
	guestgen_region(g, 1024, 48);
	guestgen_region(g, 4086, 10);
}

static void make_lvm2(struct guestgen *g)
{
	guestgen_text(g, 512, "LABELONE");
	guestgen_put(g, 520, 1, 8);
	guestgen_put(g, 532, 32, 4);
	guestgen_text(g, 536, "LVM2 001");
	guestgen_text(g, 544, "abcdef0123abcd4567efgh89ABijklmn");
	guestgen_put(g, 576, 1000 * 4096, 8);
	guestgen_region(g, 512, 80);
}

static void make_luks2(struct guestgen *g)
{
	memcpy(g->bytes, "LUKS\xba\xbe\0\2", 8);
	guestgen_text(g, 24, "label");
	guestgen_text(g, 168, "00112233-4455-6677-8899-aabbccddeeff");
	guestgen_region(g, 0, 208);
}

static void make_mdraid(struct guestgen *g)
{
	guestgen_put(g, 4096, 0xa92b4efc, 4);
	guestgen_put(g, 4100, 1, 4);
	uuid(g, 4112);
	guestgen_text(g, 4128, "label");
	guestgen_put(g, 4096 + 144, 8, 8);
	guestgen_put(g, 4096 + 220, 3, 4); /* an odd number of half words */
	guestgen_put(g, 4096 + 256, 0x00010000, 4);
	guestgen_put(g, 4096 + 260, 0xfffe, 2);
	guestgen_region(g, 4096, 262);
}

static void make_iso9660(struct guestgen *g)
{
	size_t at = 16 * 2048;

	guestgen_put(g, at, 1, 1);
	guestgen_text(g, at + 1, "CD001");
	guestgen_text(g, at + 40, "LABEL                           ");
	guestgen_put(g, at + 80, 100, 4);
	guestgen_put(g, at + 128, 2048, 2);
	guestgen_text(g, at + 813, "2001020304050607");
	guestgen_text(g, at + 830, "0000000000000000");
	guestgen_put(g, at + 2048, 2, 1);
	guestgen_text(g, at + 2049, "CD001");
	guestgen_text(g, at + 2048 + 88, "%/E");
	for (size_t i = 0; i < 5; i++)
		g->bytes[at + 2048 + 41 + 2 * i] = (uint8_t) "label"[i];
	guestgen_put(g, at + 4096, 255, 1);
	guestgen_text(g, at + 4097, "CD001");
	guestgen_region(g, at, 140);
	guestgen_region(g, at + 813, 34);
	guestgen_region(g, at + 2048, 140);
}

static void make_squashfs(struct guestgen *g)
{
	guestgen_text(g, 0, "hsqs");
	guestgen_put(g, 12, 131072, 4);
	guestgen_put(g, 28, 4, 2);
	guestgen_put(g, 40, 5000, 8);
	guestgen_region(g, 0, 96);
}

static void make_bitlocker(struct guestgen *g)
{
	memcpy(g->bytes, "\xeb\x58\x90-FVE-FS-", 11);
	guestgen_put(g, 510, 0xaa55, 2);
	guestgen_region(g, 0, 16);
	guestgen_region(g, 424, 16);
}

static void make_refs(struct guestgen *g)
{
	guestgen_text(g, 3, "ReFS");
	guestgen_put(g, 24, 2000, 8);
	guestgen_put(g, 32, 512, 4);
	guestgen_put(g, 36, 8, 4);
	guestgen_put(g, 40, 3, 1);
	guestgen_put(g, 41, 4, 1);
	guestgen_put(g, 56, 0x0123456789abcdef, 8);
	guestgen_region(g, 0, 64);
}

/* One pair of the label's list: its size, the size in memory, name, type, count, value. */
static size_t zfs_pair(struct guestgen *g, size_t at, const char *name, const char *text,
		       uint64_t number)
{
	size_t n_name = (strlen(name) + 3) & ~(size_t)3;
	size_t n_text = text ? 4 + ((strlen(text) + 3) & ~(size_t)3) : 8;
	size_t len = 12 + n_name + 8 + n_text;

	guestgen_put(g, at, len, -4);
	guestgen_put(g, at + 4, len, -4);
	guestgen_put(g, at + 8, strlen(name), -4);
	guestgen_text(g, at + 12, name);
	guestgen_put(g, at + 12 + n_name, text ? 9 : 8, -4);
	guestgen_put(g, at + 16 + n_name, 1, -4);
	guestgen_put(g, at + 20 + n_name, text ? strlen(text) : number, text ? -4 : -8);
	if (text)
		guestgen_text(g, at + 24 + n_name, text);
	return at + len;
}

static void make_zfs(struct guestgen *g)
{
	size_t at = 16384 + 12;

	at = zfs_pair(g, at, "version", NULL, 5000);
	at = zfs_pair(g, at, "name", "label", 0);
	at = zfs_pair(g, at, "state", NULL, 0);
	zfs_pair(g, at, "pool_guid", NULL, 1234567890123456789);
	for (size_t i = 0; i < 5; i++) {
		guestgen_put(g, 131072 + i * 1024, 0x00bab10c, 8);
		guestgen_put(g, 131072 + i * 1024 + 8, 5000, 8);
	}
	guestgen_region(g, 16384, 160);
	guestgen_region(g, 131072, 16);
}

/* ---- all */

static const struct {
	const char *name;
	size_t len;
	void (*make)(struct guestgen *g);
} kinds[N_GUESTS] = {
    [GUEST_MBR] = {"mbr", 1 << 20, make_mbr},
    [GUEST_GPT] = {"gpt", 128 << 10, make_gpt},
    [GUEST_GPT_4K] = {"gpt-4k", 1 << 20, make_gpt},
    [GUEST_HYBRID] = {"hybrid", 128 << 10, make_gpt},
    [GUEST_FAT12] = {"fat12", 0, guestgen_make_fat},
    [GUEST_FAT16] = {"fat16", 0, guestgen_make_fat},
    [GUEST_FAT32] = {"fat32", 0, guestgen_make_fat},
    [GUEST_EXFAT] = {"exfat", 0, guestgen_make_exfat},
    [GUEST_EXT4] = {"ext4", 8192, make_ext4},
    [GUEST_XFS] = {"xfs", 8192, make_xfs},
    [GUEST_BTRFS] = {"btrfs", 69632, make_btrfs},
    [GUEST_NTFS] = {"ntfs", 81920, make_ntfs},
    [GUEST_SWAP] = {"swap", 8192, make_swap},
    [GUEST_LVM2] = {"lvm2", 8192, make_lvm2},
    [GUEST_LUKS2] = {"luks", 8192, make_luks2},
    [GUEST_MDRAID] = {"mdraid", 8192, make_mdraid},
    [GUEST_ISO9660] = {"iso9660", 40960, make_iso9660},
    [GUEST_SQUASHFS] = {"squashfs", 8192, make_squashfs},
    [GUEST_BITLOCKER] = {"bitlocker", 8192, make_bitlocker},
    [GUEST_REFS] = {"refs", 8192, make_refs},
    [GUEST_ZFS] = {"zfs", 1 << 20, make_zfs},
};

void guestgen_make(struct guestgen *g, enum guest_kind kind)
{
	memset(g, 0, sizeof(*g));
	g->kind = kind;
	g->name = kinds[kind].name;
	g->len = kinds[kind].len ? kinds[kind].len : guestgen_fat_len(kind);
	g->bytes = calloc(1, g->len);
	if (!g->bytes)
		abort();
	kinds[kind].make(g);
	guestgen_seal(g);
}

void guestgen_free(struct guestgen *g)
{
	free(g->bytes);
}

void guestgen_seal(struct guestgen *g)
{
	uint8_t *b = g->bytes;
	uint64_t sum = 0;
	size_t n;

	switch (g->kind) {
	case GUEST_GPT:
	case GUEST_GPT_4K:
	case GUEST_HYBRID:
		seal_gpt(g);
		break;
	case GUEST_EXT4:
		guestgen_put(g, 2044, ~vd_crc32c(0, b + 1024, 1020), 4);
		break;
	case GUEST_XFS:
		n = (size_t)b[102] << 8 | b[103];
		guestgen_put(g, 224, 0, 4);
		if (n >= 264 && n <= g->len)
			guestgen_put(g, 224, vd_crc32c(0, b, n), 4);
		break;
	case GUEST_BTRFS:
		guestgen_put(g, 65536, vd_crc32c(0, b + 65568, 4064), 4);
		break;
	case GUEST_LVM2:
		guestgen_put(g, 528, ~crc32(~0xf597a6cfu & 0xffffffffu, b + 532, 492), 4);
		break;
	case GUEST_MDRAID:
		n = 256 + 2 * (size_t)(guestgen_get(g, 4096 + 220, 4) & 0x7ff);
		guestgen_put(g, 4096 + 216, 0, 4);
		for (size_t i = 0; i + 2 <= n; i += 4)
			sum += guestgen_get(g, 4096 + i, n - i >= 4 ? 4 : 2);
		guestgen_put(g, 4096 + 216, (sum & 0xffffffff) + (sum >> 32), 4);
		break;
	case GUEST_EXFAT:
		guestgen_seal_exfat(g);
		break;
	default:
		break;
	}
}

struct vd_disk *guestgen_open(const struct guestgen *g)
{
	static const uint8_t zero[4096];
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_disk *disk = NULL;
	struct vd_io *io;

	opts.format = VD_FORMAT_RAW;
	if (vd_io_open_memory(&io, g->len, NULL) != 0)
		return NULL;
	for (size_t at = 0; at < g->len; at += 4096) {
		size_t n = g->len - at < 4096 ? g->len - at : 4096;

		if (memcmp(g->bytes + at, zero, n) != 0 &&
		    vd_io_write(io, g->bytes + at, n, at, NULL) != 0)
			abort();
	}
	if (vd_disk_open_io(&disk, io, &opts, NULL) != 0)
		disk = NULL;
	vd_io_close(io);
	return disk;
}
