/* SPDX-License-Identifier: MIT */
/* FAT12, FAT16, FAT32 (Microsoft's fatgen103) and exFAT (its specification, revision 1.00) as they
 * stand on disk. */
#ifndef VD_FAT_ONDISK_H
#define VD_FAT_ONDISK_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* What FAT12 and FAT16 have at 36, FAT32 at 64. */
struct fat_ondisk_extra {
	uint8_t drive;
	uint8_t state;     /* bit 0: mounted by Linux, and not unmounted */
	uint8_t signature; /* 0x29: the rest is there; 0x28: only the serial number */
	struct vd_le32 serial;
	uint8_t label[11];
	uint8_t type[8];
} __attribute__((packed));
static_assert(sizeof(struct fat_ondisk_extra) == 26, "FAT: extended boot record");

struct fat_ondisk_boot {
	uint8_t jump[3];
	uint8_t oem[8];
	struct vd_le16 sector_size;
	uint8_t cluster_sectors;
	struct vd_le16 n_reserved;
	uint8_t n_fats;
	struct vd_le16 n_root_entries;
	struct vd_le16 n_sectors_16;
	uint8_t media;
	struct vd_le16 fat_sectors_16;
	struct vd_le16 track_sectors;
	struct vd_le16 n_heads;
	struct vd_le32 n_hidden;
	struct vd_le32 n_sectors_32;
	union {
		struct fat_ondisk_extra fat16;
		struct {
			struct vd_le32 fat_sectors_32;
			struct vd_le16 flags; /* bit 7: only the FAT of bits 0-3 is kept */
			struct vd_le16 version;
			struct vd_le32 root_cluster;
			struct vd_le16 info_sector;
			struct vd_le16 backup_sector;
			uint8_t reserved[12];
			struct fat_ondisk_extra extra;
		} fat32;
		uint8_t code[474];
	} u;
	uint8_t mark[2];
} __attribute__((packed));
static_assert(offsetof(struct fat_ondisk_boot, n_sectors_16) == 19, "FAT: boot sector");
static_assert(offsetof(struct fat_ondisk_boot, u.fat16) == 36, "FAT: boot sector");
static_assert(offsetof(struct fat_ondisk_boot, u.fat32.extra) == 64, "FAT: boot sector");
static_assert(sizeof(struct fat_ondisk_boot) == 512, "FAT: boot sector");

#define FAT_ATTR_READ_ONLY 0x01u
#define FAT_ATTR_LABEL     0x08u
#define FAT_ATTR_FOLDER    0x10u
#define FAT_ATTR_LONG      0x0fu
#define FAT_CASE_BASE      0x08u /* shown in lower case */
#define FAT_CASE_EXT       0x10u

struct fat_ondisk_entry {
	uint8_t name[11];
	uint8_t attr;
	uint8_t name_case;
	uint8_t ctime_tenths;
	struct vd_le16 ctime, cdate, adate;
	struct vd_le16 cluster_high;
	struct vd_le16 mtime, mdate;
	struct vd_le16 cluster_low;
	struct vd_le32 size;
};
static_assert(sizeof(struct fat_ondisk_entry) == 32, "FAT: entry");
static_assert(offsetof(struct fat_ondisk_entry, size) == 28, "FAT: entry");

#define FAT_LONG_LAST  0x40u
#define FAT_LONG_UNITS 13u

struct fat_ondisk_long {
	uint8_t number;
	uint8_t units_1[10];
	uint8_t attr;
	uint8_t type;
	uint8_t checksum; /* of the short name that follows */
	uint8_t units_2[12];
	struct vd_le16 cluster;
	uint8_t units_3[4];
};
static_assert(sizeof(struct fat_ondisk_long) == 32, "FAT: long name");
static_assert(offsetof(struct fat_ondisk_long, units_3) == 28, "FAT: long name");

struct exfat_ondisk_boot {
	uint8_t jump[3];
	uint8_t oem[8];
	uint8_t zero[53];
	struct vd_le64 partition_offset;
	struct vd_le64 n_sectors;
	struct vd_le32 fat_sector;
	struct vd_le32 fat_sectors;
	struct vd_le32 heap_sector;
	struct vd_le32 n_clusters;
	struct vd_le32 root_cluster;
	struct vd_le32 serial;
	uint8_t minor, major;
	struct vd_le16 flags; /* bit 0: the second FAT counts; bit 1: dirty; bit 2: bad media */
	uint8_t sector_shift;
	uint8_t cluster_shift;
	uint8_t n_fats;
	uint8_t drive;
	uint8_t percent;
	uint8_t reserved[7];
	uint8_t code[390];
	uint8_t mark[2];
} __attribute__((packed));
static_assert(offsetof(struct exfat_ondisk_boot, n_sectors) == 72, "exFAT: boot sector");
static_assert(offsetof(struct exfat_ondisk_boot, flags) == 106, "exFAT: boot sector");
static_assert(sizeof(struct exfat_ondisk_boot) == 512, "exFAT: boot sector");

#define EXFAT_BITMAP     0x81u
#define EXFAT_LABEL      0x83u
#define EXFAT_FILE       0x85u
#define EXFAT_STREAM     0xc0u
#define EXFAT_NAME       0xc1u
#define EXFAT_NO_CHAIN   0x02u /* the clusters lie in a row, the FAT says nothing */
#define EXFAT_NAME_UNITS 15u

struct exfat_ondisk_file {
	uint8_t type;
	uint8_t n_more;
	struct vd_le16 checksum;
	struct vd_le16 attr;
	struct vd_le16 reserved;
	struct vd_le32 ctime, mtime, atime;
	uint8_t ctime_10ms, mtime_10ms, ctime_zone, mtime_zone, atime_zone;
	uint8_t reserved2[7];
};
static_assert(sizeof(struct exfat_ondisk_file) == 32, "exFAT: file");
static_assert(offsetof(struct exfat_ondisk_file, mtime_zone) == 23, "exFAT: file");

struct exfat_ondisk_stream {
	uint8_t type;
	uint8_t flags;
	uint8_t reserved;
	uint8_t n_name; /* UTF-16 units */
	struct vd_le16 name_hash;
	uint8_t reserved2[2];
	struct vd_le64 valid_len; /* behind it the file reads as zero */
	uint8_t reserved3[4];
	struct vd_le32 cluster;
	struct vd_le64 len;
};
static_assert(sizeof(struct exfat_ondisk_stream) == 32, "exFAT: stream");
static_assert(offsetof(struct exfat_ondisk_stream, cluster) == 20, "exFAT: stream");

/* The allocation bitmap's entry; the flags' bit 0 says of which FAT. */
struct exfat_ondisk_bitmap {
	uint8_t type;
	uint8_t flags;
	uint8_t reserved[18];
	struct vd_le32 cluster;
	struct vd_le64 len;
};
static_assert(sizeof(struct exfat_ondisk_bitmap) == 32, "exFAT: bitmap");

#endif
