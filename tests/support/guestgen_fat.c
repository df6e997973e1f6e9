/* SPDX-License-Identifier: MIT */
/*
 * Small FATs and exFATs with the same files: HELLO.TXT; one with a long name, in three pieces that
 * aren't in order; an empty one; a folder with one in it; and what is left of a deleted one.
 */
#include <string.h>

#include "guestgen_kinds.h"

#define CLUSTER 512u
#define N_FEW   200u
#define N_FAT16 4200u

static const char hello[] = "hello world";

/* What differs between the kinds, in sectors. */
struct shape {
	uint32_t bits, n_reserved, fat_sectors, root_sectors, n_clusters;
};

static struct shape shape_of(enum guest_kind kind)
{
	static const struct shape fat12 = {12, 1, 3, 2, N_FEW}, fat16 = {16, 1, 17, 2, N_FAT16};
	static const struct shape fat32 = {32, 8, 2, 0, N_FEW}, exfat = {32, 24, 4, 0, N_FEW};

	return kind == GUEST_FAT12   ? fat12
	       : kind == GUEST_FAT16 ? fat16
	       : kind == GUEST_FAT32 ? fat32
				     : exfat;
}

size_t guestgen_fat_len(enum guest_kind kind)
{
	struct shape s = shape_of(kind);

	return (s.n_reserved + 2 * s.fat_sectors + s.root_sectors + s.n_clusters) * CLUSTER;
}

size_t guestgen_cluster(const struct guestgen *g, uint32_t cluster)
{
	return g->heap + (cluster - 2) * (size_t)CLUSTER;
}

uint8_t guestgen_byte(size_t offset)
{
	return (uint8_t)(offset * 7 + offset / 256 + 1);
}

void guestgen_chain(struct guestgen *g, uint32_t cluster, uint32_t value)
{
	struct shape s = shape_of(g->kind);

	for (size_t copy = 0; copy < (g->kind == GUEST_EXFAT ? 1 : 2); copy++) {
		size_t at = g->fat + copy * s.fat_sectors * CLUSTER + cluster * (size_t)g->bits / 8;
		uint64_t old = guestgen_get(g, at, 2);

		if (g->bits != 12)
			guestgen_put(g, at, value, (int)g->bits / 8);
		else if (cluster & 1)
			guestgen_put(g, at, (old & 0xf) | (uint64_t)(value & 0xfff) << 4, 2);
		else
			guestgen_put(g, at, (old & 0xf000) | (value & 0xfff), 2);
	}
}

static void chains(struct guestgen *g, uint32_t end)
{
	guestgen_chain(g, 0, end - 7);
	guestgen_chain(g, 1, end);
	guestgen_chain(g, GUEST_HELLO, end);
	guestgen_chain(g, 20, 30);
	guestgen_chain(g, 30, 25);
	guestgen_chain(g, 25, end);
	guestgen_chain(g, GUEST_FOLDER, end);
	guestgen_chain(g, GUEST_INNER, end);
}

static void contents(struct guestgen *g)
{
	static const uint32_t pieces[] = {20, 30, 25};

	guestgen_text(g, guestgen_cluster(g, GUEST_HELLO), hello);
	guestgen_text(g, guestgen_cluster(g, GUEST_INNER), "inner");
	for (size_t i = 0; i < 3 * CLUSTER; i++)
		g->bytes[guestgen_cluster(g, pieces[i / CLUSTER]) + i % CLUSTER] = guestgen_byte(i);
}

/* ---- FAT */

static size_t entry(struct guestgen *g, size_t at, const char *name, unsigned int attr,
		    uint32_t cluster, uint32_t size)
{
	guestgen_text(g, at, name);
	guestgen_put(g, at + 11, attr, 1);
	guestgen_put(g, at + 22, 12 << 11 | 34 << 5 | 28, 2);
	guestgen_put(g, at + 24, (2024 - 1980) << 9 | 2 << 5 | 29, 2);
	guestgen_put(g, at + 26, cluster, 2);
	guestgen_put(g, at + 28, size, 4);
	return at + 32;
}

/* GUEST_LONG as UTF-16. */
static size_t long_units(uint16_t units[64])
{
	const unsigned char *p = (const unsigned char *)GUEST_LONG;
	size_t n = 0;

	while (*p) {
		if (*p == 0xc3) {
			units[n++] = (uint16_t)(0xc0 | (p[1] & 0x3f));
			p += 2;
		} else if (*p == 0xf0) {
			units[n++] = 0xd83d;
			units[n++] = 0xde00;
			p += 4;
		} else {
			units[n++] = *p++;
		}
	}
	return n;
}

/* The parts of the long name, the last first, before the short entry at their end. */
static size_t long_entry(struct guestgen *g, size_t at, const char *name, uint32_t cluster,
			 uint32_t size)
{
	static const uint8_t places[13] = {1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30};
	size_t n_parts, n_units;
	uint16_t units[64];
	uint8_t sum = 0;

	memset(units, 0xff, sizeof(units));
	n_units = long_units(units);
	units[n_units] = 0;
	n_parts = (n_units + 12) / 13;
	for (size_t i = 0; i < 11; i++)
		sum = (uint8_t)((uint8_t)(sum << 7 | sum >> 1) + (uint8_t)name[i]);
	for (size_t part = n_parts; part > 0; part--, at += 32) {
		guestgen_put(g, at, part | (part == n_parts ? 0x40 : 0), 1);
		guestgen_put(g, at + 11, 0x0f, 1);
		guestgen_put(g, at + 13, sum, 1);
		for (size_t i = 0; i < 13; i++)
			guestgen_put(g, at + places[i], units[(part - 1) * 13 + i], 2);
	}
	return entry(g, at, name, 0x20, cluster, size);
}

static void folders(struct guestgen *g)
{
	size_t at = entry(g, g->root, "LABEL      ", 0x08, 0, 0);

	at = entry(g, at, "HELLO   TXT", 0x20, GUEST_HELLO, sizeof(hello) - 1);
	at = entry(g, at, "\xe5LD     TXT", 0x20, 99, 99);
	at = long_entry(g, at, "ALONGE~1TXT", GUEST_PIECES, GUEST_LONG_LEN);
	at = entry(g, at, "EMPTY      ", 0x20, 0, 0);
	entry(g, at, "FOLDER     ", 0x10, GUEST_FOLDER, 0);
	at = entry(g, guestgen_cluster(g, GUEST_FOLDER), ".          ", 0x10, GUEST_FOLDER, 0);
	at = entry(g, at, "..         ", 0x10, 0, 0);
	entry(g, at, "INNER   TXT", 0x20, GUEST_INNER, 5);
	g->bytes[at + 12] = 0x18; /* both parts in lower case */
}

void guestgen_make_fat(struct guestgen *g)
{
	struct shape s = shape_of(g->kind);
	size_t extra = s.bits == 32 ? 64 : 36;

	g->bits = s.bits;
	g->fat = s.n_reserved * CLUSTER;
	g->root = g->fat + 2 * s.fat_sectors * CLUSTER;
	g->heap = g->root + s.root_sectors * CLUSTER;
	memcpy(g->bytes, "\xeb\x3c\x90MSDOS5.0", 11);
	guestgen_put(g, 11, 512, 2);
	guestgen_put(g, 13, 1, 1);
	guestgen_put(g, 14, s.n_reserved, 2);
	guestgen_put(g, 16, 2, 1);
	guestgen_put(g, 17, s.root_sectors * 16, 2);
	guestgen_put(g, 19, g->len / CLUSTER, 2);
	guestgen_put(g, 21, 0xf8, 1);
	if (s.bits == 32) {
		guestgen_put(g, 36, s.fat_sectors, 4);
		guestgen_put(g, 44, 2, 4);
		guestgen_put(g, 48, 1, 2);
		guestgen_text(g, 512, "RRaA");
		guestgen_text(g, 512 + 484, "rrAa");
		guestgen_put(g, 512 + 488, N_FEW - 7, 4);
	} else {
		guestgen_put(g, 22, s.fat_sectors, 2);
	}
	guestgen_put(g, extra + 2, 0x29, 1);
	guestgen_put(g, extra + 3, 0x1234abcd, 4);
	guestgen_text(g, extra + 7, "LABEL      ");
	guestgen_put(g, 510, 0xaa55, 2);
	chains(g, s.bits == 12 ? 0xfff : s.bits == 16 ? 0xffff : 0x0fffffff);
	if (s.bits == 32)
		guestgen_chain(g, 2, 0x0fffffff);
	folders(g);
	contents(g);
	guestgen_region(g, 0, 90);
	guestgen_region(g, g->fat, 64 * s.bits / 8);
	guestgen_region(g, g->root, 352);
	guestgen_region(g, guestgen_cluster(g, GUEST_FOLDER), 128);
	guestgen_region(g, g->fat + s.fat_sectors * CLUSTER, 64 * s.bits / 8);
}

/* ---- exFAT */

#define BITMAP 2u
#define ROOT   4u

/* A set of entries, its checksum left for the seal. */
static size_t set(struct guestgen *g, size_t at, const char *name, unsigned int attr,
		  uint32_t cluster, uint64_t len, uint64_t valid_len, bool is_row)
{
	size_t n = strlen(name), n_parts = (n + 14) / 15;

	guestgen_put(g, at, 0x85, 1);
	guestgen_put(g, at + 1, 1 + n_parts, 1);
	guestgen_put(g, at + 4, attr, 2);
	guestgen_put(g, at + 12,
		     (uint32_t)((2024 - 1980) << 9 | 2 << 5 | 29) << 16 | 12 << 11 | 34 << 5 | 28,
		     4);
	guestgen_put(g, at + 23, 0x80 + 4, 1); /* an hour east */
	guestgen_put(g, at + 32, 0xc0, 1);
	guestgen_put(g, at + 33, is_row ? 3 : 1, 1);
	guestgen_put(g, at + 35, n, 1);
	guestgen_put(g, at + 40, valid_len, 8);
	guestgen_put(g, at + 52, cluster, 4);
	guestgen_put(g, at + 56, len, 8);
	for (size_t i = 0; i < n; i++) {
		guestgen_put(g, at + 64 + i / 15 * 32, 0xc1, 1);
		guestgen_put(g, at + 64 + i / 15 * 32 + 2 + i % 15 * 2, (uint8_t)name[i], 2);
	}
	return at + 64 + n_parts * 32;
}

/* The checksums of the sets in one cluster, as far as they are there. */
static void seal_sets(struct guestgen *g, size_t at)
{
	for (size_t i = 0; i + 32 <= CLUSTER; i += 32) {
		size_t n = (1u + g->bytes[at + i + 1]) * 32u;
		uint16_t sum = 0;

		if (g->bytes[at + i] != 0x85 || n > CLUSTER - i)
			continue;
		for (size_t k = 0; k < n; k++)
			if (k != 2 && k != 3)
				sum = (uint16_t)((uint16_t)(sum << 15 | sum >> 1) +
						 g->bytes[at + i + k]);
		guestgen_put(g, at + i + 2, sum, 2);
	}
}

void guestgen_seal_exfat(struct guestgen *g)
{
	uint32_t sum = 0;

	seal_sets(g, g->root);
	seal_sets(g, guestgen_cluster(g, GUEST_FOLDER));
	for (size_t i = 0; i < 11 * 512; i++)
		if (i != 106 && i != 107 && i != 112)
			sum = (sum << 31 | sum >> 1) + g->bytes[i];
	for (size_t i = 0; i < 128; i++)
		guestgen_put(g, 11 * 512 + 4 * i, sum, 4);
}

void guestgen_make_exfat(struct guestgen *g)
{
	static const uint8_t used[] = {2, 3, 4, 10, 20, 25, 30, 40, 41};
	struct shape s = shape_of(g->kind);
	size_t at;

	g->bits = 32;
	g->fat = s.n_reserved * CLUSTER;
	g->heap = g->fat + 2 * s.fat_sectors * CLUSTER;
	g->root = guestgen_cluster(g, ROOT);
	memcpy(g->bytes,
	       "\xeb\x76\x90"
	       "EXFAT   ",
	       11);
	guestgen_put(g, 72, g->len / CLUSTER, 8);
	guestgen_put(g, 80, s.n_reserved, 4);
	guestgen_put(g, 84, s.fat_sectors, 4);
	guestgen_put(g, 88, g->heap / CLUSTER, 4);
	guestgen_put(g, 92, s.n_clusters, 4);
	guestgen_put(g, 96, ROOT, 4);
	guestgen_put(g, 100, 0x1234abcd, 4);
	guestgen_put(g, 105, 1, 1);
	guestgen_put(g, 108, 9, 1);
	guestgen_put(g, 110, 1, 1);
	guestgen_put(g, 510, 0xaa55, 2);
	chains(g, 0xffffffff);
	for (uint32_t i = BITMAP; i <= ROOT; i++)
		guestgen_chain(g, i, 0xffffffff);
	for (size_t i = 0; i < sizeof(used); i++)
		g->bytes[guestgen_cluster(g, BITMAP) + (used[i] - 2u) / 8] |=
		    (uint8_t)(1 << (used[i] - 2) % 8);
	at = g->root;
	memcpy(g->bytes + at, "\x83\x05l\0a\0b\0e\0l", 11);
	guestgen_put(g, at + 32, 0x81, 1);
	guestgen_put(g, at + 52, BITMAP, 4);
	guestgen_put(g, at + 56, (s.n_clusters + 7) / 8, 8);
	at = set(g, at + 64, "HELLO.TXT", 0x20, GUEST_HELLO, 100, sizeof(hello) - 1, true);
	at = set(g, at, "a long name in pieces", 0x20, GUEST_PIECES, GUEST_LONG_LEN, GUEST_LONG_LEN,
		 false);
	set(g, at, "folder", 0x10, GUEST_FOLDER, CLUSTER, CLUSTER, true);
	set(g, guestgen_cluster(g, GUEST_FOLDER), "inner.txt", 0x20, GUEST_INNER, 5, 5, true);
	contents(g);
	guestgen_region(g, 64, 56);
	guestgen_region(g, g->fat, 256);
	guestgen_region(g, g->root, 416);
	guestgen_region(g, guestgen_cluster(g, GUEST_FOLDER), 128);
	guestgen_region(g, guestgen_cluster(g, BITMAP), 25);
}
