/* SPDX-License-Identifier: MIT */
/* What reads partition tables: MBR and GPT as they stand on disk, and the layout in the making. */
#ifndef VD_PARTITION_TABLE_H
#define VD_PARTITION_TABLE_H

#include <assert.h>

#include <vdisk/guest.h>

#include "base/bytes.h"
#include "guest/guest_disk.h"

struct mbr_ondisk_entry {
	uint8_t status; /* 0x80: active */
	uint8_t first_chs[3];
	uint8_t type;
	uint8_t last_chs[3];
	struct vd_le32 first, count; /* sectors */
};
static_assert(sizeof(struct mbr_ondisk_entry) == 16, "MBR: entry");

struct mbr_ondisk {
	uint8_t code[440];
	struct vd_le32 signature;
	uint8_t reserved[2];
	struct mbr_ondisk_entry entries[4];
	uint8_t mark[2];
};
static_assert(offsetof(struct mbr_ondisk, entries) == 446, "MBR: entries");
static_assert(sizeof(struct mbr_ondisk) == 512, "MBR: sector");

#define MBR_TYPE_GPT 0xeeu

/* UEFI 2.10, 5.3.2 and 5.3.3. */
struct gpt_ondisk_header {
	uint8_t signature[8]; /* "EFI PART" */
	struct vd_le32 revision;
	struct vd_le32 header_len;
	struct vd_le32 crc; /* of the header, itself counted as zero */
	struct vd_le32 reserved;
	struct vd_le64 own, other; /* sectors, as the next ones */
	struct vd_le64 first_usable, last_usable;
	uint8_t disk_guid[16];
	struct vd_le64 entries;
	struct vd_le32 n_entries;
	struct vd_le32 entry_len;
	struct vd_le32 entries_crc;
};
static_assert(offsetof(struct gpt_ondisk_header, disk_guid) == 56, "GPT: header");
static_assert(sizeof(struct gpt_ondisk_header) == 92, "GPT: header");

struct gpt_ondisk_entry {
	uint8_t type[16];
	uint8_t guid[16];
	struct vd_le64 first, last; /* sectors, inclusive */
	struct vd_le64 attributes;
	uint8_t name[72]; /* UTF-16LE */
};
static_assert(sizeof(struct gpt_ondisk_entry) == 128, "GPT: entry");

/** A layout while it is read. */
struct partition_table {
	struct vd_guest_view disk;
	uint32_t sector_size; /* that the table counts in */
	struct vd_layout layout;
	struct vd_partition partitions[VD_GUEST_MAX_PARTITIONS];
	bool is_container[5]; /* by number: it holds the logical ones; 0 is none */
	char problem[512];
	size_t n_problem;
};

/** Say one more thing that is wrong. */
void partition_problem(struct partition_table *table, const char *fmt, ...) VD_PRINTF(2, 3);
/**
 * Add a partition of `count` sectors from `first` on, or say why not. What goes beyond the end of
 * the disk is cut off, and told. NULL: there's no such place on the disk, or no room for more.
 */
struct vd_partition *partition_add(struct partition_table *table, uint32_t number, uint64_t first,
				   uint64_t count);

/** The four partitions of an MBR's sector and the logical ones in them. */
int mbr_read(struct partition_table *table, const struct mbr_ondisk *mbr, struct vd_error *err);
/** No entry contradicts that it is a table (boot code would). */
bool mbr_is_plausible(const struct mbr_ondisk *mbr);
/** No entry is used. */
bool mbr_is_empty(const struct mbr_ondisk *mbr);
/** An entry says that the disk has a GPT; others, that it is hybrid. */
bool mbr_is_protective(const struct mbr_ondisk *mbr, bool *is_hybrid);

/** Read a GPT counted in sectors of `sector_size`, through its first header or its second.
 *  *is_found: there is one that can be used; problems are told in the table. */
int gpt_read(struct partition_table *table, uint32_t sector_size, bool is_announced, bool *is_found,
	     struct vd_error *err);

/** Names of types, "" if not known. */
const char *mbr_type_name(uint8_t type);
const char *gpt_type_name(const char *guid);

#endif
