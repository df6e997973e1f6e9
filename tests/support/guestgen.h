/* SPDX-License-Identifier: MIT */
/*
 * Small disks as guests make them: partition tables, FAT and exFAT with files, and superblocks of
 * the other file systems, right to the last checksum. Tests and fuzz targets then change bytes, and
 * seal them again. Written from the formats' documents, independently of the readers.
 */
#ifndef TEST_GUESTGEN_H
#define TEST_GUESTGEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vd_disk;

enum guest_kind {
	GUEST_MBR,
	GUEST_GPT,
	GUEST_GPT_4K,
	GUEST_HYBRID,
	GUEST_FAT12,
	GUEST_FAT16,
	GUEST_FAT32,
	GUEST_EXFAT,
	GUEST_EXT4,
	GUEST_XFS,
	GUEST_BTRFS,
	GUEST_NTFS,
	GUEST_SWAP,
	GUEST_LVM2,
	GUEST_LUKS2,
	GUEST_MDRAID,
	GUEST_ISO9660,
	GUEST_SQUASHFS,
	GUEST_BITLOCKER,
	GUEST_REFS,
	GUEST_ZFS,
	N_GUESTS
};

#define GUEST_REGIONS 8u

struct guestgen {
	enum guest_kind kind;
	const char *name;
	uint8_t *bytes;
	size_t len;
	/* Where what a reader looks at lies. */
	struct {
		size_t at, len;
	} regions[GUEST_REGIONS];
	size_t n_regions;
	/* FAT and exFAT */
	size_t fat, heap, root; /* bytes; clusters have 512 */
	uint32_t bits;
};

/* Of the sectors of the MBR's kind. */
#define GUEST_EBR_1 700u
#define GUEST_EBR_2 900u
/* Of the FATs: what lies in which cluster. */
#define GUEST_HELLO    10u
#define GUEST_PIECES   20u /* then 30, then 25 */
#define GUEST_FOLDER   40u
#define GUEST_INNER    41u
#define GUEST_LONG_LEN 1300u
#define GUEST_LONG     "A longer name, with \xc3\x9cmlaut \xf0\x9f\x98\x80.txt"

/** The caller frees it. Never fails: a test without memory ends. */
void guestgen_make(struct guestgen *guest, enum guest_kind kind);
void guestgen_free(struct guestgen *guest);
/** Make all checksums right again. */
void guestgen_seal(struct guestgen *guest);
/** Little-endian, or big-endian for n_bytes < 0. */
void guestgen_put(struct guestgen *guest, size_t at, uint64_t value, int n_bytes);
/** Set the FAT's entry of a cluster, in each copy. */
void guestgen_chain(struct guestgen *guest, uint32_t cluster, uint32_t value);
/** Where a cluster lies. */
size_t guestgen_cluster(const struct guestgen *guest, uint32_t cluster);
/** A byte of the long file. */
uint8_t guestgen_byte(size_t offset);
/** A raw disk in memory with these bytes. NULL: the library failed. */
struct vd_disk *guestgen_open(const struct guestgen *guest);

#endif
