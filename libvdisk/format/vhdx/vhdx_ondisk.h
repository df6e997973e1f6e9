/* SPDX-License-Identifier: MIT */
/*
 * The bytes of a VHDX: structures as MS-VHDX 2 lays them out, and the GUIDs that it names.
 * Members are byte arrays, so these structures have no padding and no alignment.
 */
#ifndef VD_VHDX_ONDISK_H
#define VD_VHDX_ONDISK_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/guid.h"

#define VHDX_IDENT_SIGNATURE     "vhdxfile"
#define VHDX_HEADER_SIGNATURE    "head"
#define VHDX_REGIONS_SIGNATURE   "regi"
#define VHDX_METADATA_SIGNATURE  "metadata"
#define VHDX_ENTRY_SIGNATURE     "loge"
#define VHDX_ZERO_DESC_SIGNATURE "zero"
#define VHDX_DATA_DESC_SIGNATURE "desc"
#define VHDX_DATA_SIGNATURE      "data"
#define VHDX_REGION_REQUIRED     1u
#define VHDX_REGIONS_MAX         2047u
#define VHDX_TABLE_SIZE          65536u /* of the metadata table */
#define VHDX_ITEMS_MAX           2047u
#define VHDX_USER_ITEMS_MAX      1024u
#define VHDX_PARAMS_LEAVE_BLOCKS 1u
#define VHDX_PARAMS_HAS_PARENT   2u

/* 2.2.1 File Type Identifier. */
struct vhdx_disk_ident {
	uint8_t signature[8];
	uint8_t creator[512]; /* UTF-16LE */
};
static_assert(sizeof(struct vhdx_disk_ident) == 520, "identifier");

/* 2.2.2 Headers. */
struct vhdx_disk_header {
	uint8_t signature[4];
	struct vd_le32 checksum;
	struct vd_le64 seq;
	uint8_t file_write_id[16];
	uint8_t data_write_id[16];
	uint8_t log_id[16];
	struct vd_le16 log_version;
	struct vd_le16 version;
	struct vd_le32 log_len;
	struct vd_le64 log_off;
	uint8_t reserved[4016];
};
static_assert(sizeof(struct vhdx_disk_header) == 4096, "header");
static_assert(offsetof(struct vhdx_disk_header, seq) == 8, "seq");
static_assert(offsetof(struct vhdx_disk_header, file_write_id) == 16, "file_write_id");
static_assert(offsetof(struct vhdx_disk_header, data_write_id) == 32, "data_write_id");
static_assert(offsetof(struct vhdx_disk_header, log_id) == 48, "log_id");
static_assert(offsetof(struct vhdx_disk_header, log_version) == 64, "log_version");
static_assert(offsetof(struct vhdx_disk_header, version) == 66, "version");
static_assert(offsetof(struct vhdx_disk_header, log_len) == 68, "log_len");
static_assert(offsetof(struct vhdx_disk_header, log_off) == 72, "log_off");
static_assert(offsetof(struct vhdx_disk_header, reserved) == 80, "reserved");

/* 2.2.3.1 Region Table Header. */
struct vhdx_disk_regions {
	uint8_t signature[4];
	struct vd_le32 checksum; /* over 64 KiB */
	struct vd_le32 n_entries;
	struct vd_le32 reserved;
};
static_assert(sizeof(struct vhdx_disk_regions) == 16, "region table header");

/* 2.2.3.2 Region Table Entry. */
struct vhdx_disk_region {
	uint8_t id[16];
	struct vd_le64 off;
	struct vd_le32 len;
	struct vd_le32 required; /* bit 0 */
};
static_assert(sizeof(struct vhdx_disk_region) == 32, "region table entry");
static_assert(offsetof(struct vhdx_disk_region, off) == 16, "off");
static_assert(offsetof(struct vhdx_disk_region, len) == 24, "len");
static_assert(offsetof(struct vhdx_disk_region, required) == 28, "required");

/* 2.3.1.1 Log Entry Header. */
struct vhdx_disk_entry {
	uint8_t signature[4];
	struct vd_le32 checksum; /* over len bytes */
	struct vd_le32 len;
	struct vd_le32 tail;
	struct vd_le64 seq;
	struct vd_le32 n_descs;
	struct vd_le32 reserved;
	uint8_t log_id[16];
	struct vd_le64 flushed_off;
	struct vd_le64 last_off;
};
static_assert(sizeof(struct vhdx_disk_entry) == 64, "log entry header");
static_assert(offsetof(struct vhdx_disk_entry, len) == 8, "len");
static_assert(offsetof(struct vhdx_disk_entry, tail) == 12, "tail");
static_assert(offsetof(struct vhdx_disk_entry, seq) == 16, "seq");
static_assert(offsetof(struct vhdx_disk_entry, n_descs) == 24, "n_descs");
static_assert(offsetof(struct vhdx_disk_entry, log_id) == 32, "log_id");
static_assert(offsetof(struct vhdx_disk_entry, flushed_off) == 48, "flushed_off");
static_assert(offsetof(struct vhdx_disk_entry, last_off) == 56, "last_off");

/* 2.3.1.2 Zero Descriptor, 2.3.1.3 Data Descriptor: the same frame. */
struct vhdx_disk_desc {
	uint8_t signature[4];
	uint8_t trailing[4]; /* of data; reserved in a zero descriptor */
	union {
		uint8_t leading[8];      /* of data */
		struct vd_le64 zero_len; /* of a zero descriptor */
	};
	struct vd_le64 off;
	struct vd_le64 seq;
};
static_assert(sizeof(struct vhdx_disk_desc) == 32, "descriptor");
static_assert(offsetof(struct vhdx_disk_desc, leading) == 8, "leading");
static_assert(offsetof(struct vhdx_disk_desc, off) == 16, "off");
static_assert(offsetof(struct vhdx_disk_desc, seq) == 24, "seq");

/* 2.3.1.4 Data Sector: bytes 8 to 4091 of a page. */
struct vhdx_disk_data {
	uint8_t signature[4];
	struct vd_le32 seq_high;
	uint8_t data[4084];
	struct vd_le32 seq_low;
};
static_assert(sizeof(struct vhdx_disk_data) == 4096, "data sector");
static_assert(offsetof(struct vhdx_disk_data, seq_low) == 4092, "seq_low");

/* 2.6.1.1 Metadata Table Header. */
struct vhdx_disk_table {
	uint8_t signature[8];
	struct vd_le16 reserved;
	struct vd_le16 n_entries;
	uint8_t reserved2[20];
};
static_assert(sizeof(struct vhdx_disk_table) == 32, "metadata table header");
static_assert(offsetof(struct vhdx_disk_table, n_entries) == 10, "n_entries");

/* 2.6.1.2 Metadata Table Entry. */
struct vhdx_disk_item {
	uint8_t id[16];
	struct vd_le32 off; /* from the start of the region */
	struct vd_le32 len;
	struct vd_le32 flags;
	struct vd_le32 reserved;
};
static_assert(sizeof(struct vhdx_disk_item) == 32, "metadata table entry");
static_assert(offsetof(struct vhdx_disk_item, off) == 16, "off");
static_assert(offsetof(struct vhdx_disk_item, flags) == 24, "flags");

/* 2.6.2.1 File Parameters. The other known items are single numbers or GUIDs. */
struct vhdx_disk_params {
	struct vd_le32 block_size;
	struct vd_le32 flags;
};
static_assert(sizeof(struct vhdx_disk_params) == 8, "file parameters");

/* 2.6.2.6.1 Parent Locator Header, 2.6.2.6.2 Parent Locator Entry. */
struct vhdx_disk_locator {
	uint8_t type[16];
	struct vd_le16 reserved;
	struct vd_le16 n_pairs;
};
static_assert(sizeof(struct vhdx_disk_locator) == 20, "parent locator header");

struct vhdx_disk_pair {
	struct vd_le32 key_off; /* from the start of the item */
	struct vd_le32 value_off;
	struct vd_le16 key_len; /* bytes */
	struct vd_le16 value_len;
};
static_assert(sizeof(struct vhdx_disk_pair) == 12, "parent locator entry");

/* A GUID as it is printed, in five groups. */
#define VHDX_GUID(a, b, c, d, e)                                                                   \
	{                                                                                          \
		{                                                                                  \
			(uint8_t)((uint32_t)(a) >> 24), (uint8_t)((uint32_t)(a) >> 16),            \
			    (uint8_t)((uint32_t)(a) >> 8), (uint8_t)(a), (uint8_t)((b) >> 8),      \
			    (uint8_t)(b), (uint8_t)((c) >> 8), (uint8_t)(c), (uint8_t)((d) >> 8),  \
			    (uint8_t)(d), (uint8_t)((uint64_t)(e) >> 40),                          \
			    (uint8_t)((uint64_t)(e) >> 32), (uint8_t)((uint64_t)(e) >> 24),        \
			    (uint8_t)((uint64_t)(e) >> 16), (uint8_t)((uint64_t)(e) >> 8),         \
			    (uint8_t)(e)                                                           \
		}                                                                                  \
	}

/* clang-format off */
/* Regions (2.2.3.2). */
static const struct vd_guid vhdx_region_bat =
    VHDX_GUID(0x2DC27766, 0xF623, 0x4200, 0x9D64, 0x115E9BFD4A08);
static const struct vd_guid vhdx_region_metadata =
    VHDX_GUID(0x8B7CA206, 0x4790, 0x4B9A, 0xB8FE, 0x575F050F886E);

/* Items (2.6.2). */
static const struct vd_guid vhdx_item_params =
    VHDX_GUID(0xCAA16737, 0xFA36, 0x4D43, 0xB3B6, 0x33F0AA44E76B);
static const struct vd_guid vhdx_item_virtual_size =
    VHDX_GUID(0x2FA54224, 0xCD1B, 0x4876, 0xB211, 0x5DBED83BF4B8);
static const struct vd_guid vhdx_item_disk_id =
    VHDX_GUID(0xBECA12AB, 0xB2E6, 0x4523, 0x93EF, 0xC309E000C746);
static const struct vd_guid vhdx_item_logical_sector =
    VHDX_GUID(0x8141BF1D, 0xA96F, 0x4709, 0xBA47, 0xF233A8FAAB5F);
static const struct vd_guid vhdx_item_physical_sector =
    VHDX_GUID(0xCDA348C7, 0x445D, 0x4471, 0x9CC9, 0xE9885251C556);
static const struct vd_guid vhdx_item_locator =
    VHDX_GUID(0xA8D35F2D, 0xB30B, 0x454D, 0xABF7, 0xD3D84834AB0C);

/* Items that Windows writes and the specification doesn't name. */
static const struct vd_guid vhdx_item_chs =
    VHDX_GUID(0xDA02D7BC, 0x3D3A, 0x423C, 0xAC88, 0x2A36AB21479B);
static const struct vd_guid vhdx_item_incomplete =
    VHDX_GUID(0x71CC85F0, 0x1B69, 0x4E28, 0x9558, 0xC3BF83AE75D3);
static const struct vd_guid vhdx_item_pmem_label =
    VHDX_GUID(0x10E1AE8A, 0x4B7E, 0x4169, 0xA40F, 0xCD70DE928393);

/* The only type of parent locator (2.6.2.6.3). */
static const struct vd_guid vhdx_locator_type =
    VHDX_GUID(0xB04AEFB7, 0xD19E, 0x4A81, 0xB789, 0x25B8E9445913);
/* clang-format on */

#endif
