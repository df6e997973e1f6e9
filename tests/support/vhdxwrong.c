/* SPDX-License-Identifier: MIT */
#include "vhdxwrong.h"

#include <string.h>

#define MIB GEN_MIB
#define C   VD_ECORRUPT
#define U   VD_EUNSUPPORTED
#define E   VD_FINDING_ERROR
#define W   VD_FINDING_WARNING
#define N   VD_FINDING_NOTE

static const struct gen_desc page_of_bat[] = {{.off = 3 * GEN_MIB, .fill = 0}};
static const struct gen_desc into_header[] = {{.off = 65536}};
static const struct gen_desc into_log[] = {{.off = GEN_MIB + 8192}};
static const struct gen_desc unaligned[] = {{.off = 3 * GEN_MIB + 512}};
static const struct gen_desc far_away[] = {{.off = (uint64_t)1 << 62}};
static const struct gen_desc odd_zeros[] = {{.is_zero = true, .off = 3 * GEN_MIB, .len = 100}};

static const struct gen_desc page_of_bat_2[] = {{.off = 3 * GEN_MIB + 4096}};
static const struct gen_desc into_block[] = {{.off = 7 * GEN_MIB}};
static const struct gen_desc zeros_block[] = {
    {.is_zero = true, .off = 5 * GEN_MIB + 1044480, .len = 8192}};
static const struct gen_desc zeros_reserved[] = {
    {.is_zero = true, .off = 3 * GEN_MIB + 4096, .len = 4096, .reserved = 1}};

static void both(struct vhdxgen *g, const char *log_id)
{
	g->header[0].log_id = g->header[1].log_id = log_id;
}

/* A dirty log of one entry. */
static struct gen_entry *dirty(struct vhdxgen *g, const struct gen_desc *descs)
{
	static struct gen_entry entry;

	both(g, "a0000000-0001-4002-8003-000000000004");
	entry = (struct gen_entry){.seq = 9,
				   .flushed_off = g->file_len,
				   .last_off = g->file_len,
				   .descs = descs,
				   .n_descs = 1};
	g->entries = &entry;
	g->n_entries = 1;
	return &entry;
}

static void region(struct vhdxgen *g, int i, uint64_t off, uint32_t len)
{
	for (int copy = 0; copy < 2; copy++) {
		g->regions[copy].at[i].off = off;
		g->regions[copy].at[i].len = len;
	}
}

/* clang-format off */
/* name, child?, code, text, rule, severity, offset of the finding, what to change */
#define CASES(X) \
/* identifier, headers */ \
X(ident_signature, 0, C, "vhdxfile", "vhdx-ident-signature", E, 0x0, g->signature[7] = 'E';) \
X(ident_creator, 0, 0, NULL, "vhdx-ident-creator", N, 0x8, vhdxgen_poke(g, 9, 0xdc);) \
X(ident_reserved, 0, 0, NULL, "vhdx-ident-reserved", N, 0x208, vhdxgen_poke(g, 520, 1);) \
X(header_1_space, 0, 0, NULL, "vhdx-header-space", N, 0x11000, vhdxgen_poke(g, 65536 + 4096, 1);) \
X(header_2_space, 0, 0, NULL, "vhdx-header-space", N, 0x2ffff, vhdxgen_poke(g, 196607, 1);) \
X(head_space, 0, 0, NULL, "vhdx-head-space", N, 0xfffff, vhdxgen_poke(g, 1048575, 1);) \
X(header_file_guid, 0, 0, NULL, "vhdx-header-guid", W, 0x20010, g->header[1].file_write_id = GEN_NIL;) \
X(header_data_guid, 0, 0, NULL, "vhdx-header-guid", W, 0x20020, g->header[1].data_write_id = GEN_NIL;) \
X(header_stale, 0, 0, NULL, "vhdx-header-stale", N, 0x10000, g->header[0].data_write_id = GEN_UNKNOWN;) \
X(header_1_signature, 0, 0, NULL, "vhdx-header-signature", W, 0x10000, g->header[0].signature[0] = 'H';) \
X(header_1_checksum, 0, 0, NULL, "vhdx-header-checksum", W, 0x10004, g->header[0].is_bad = true;) \
X(header_2_checksum, 0, 0, NULL, "vhdx-header-checksum", W, 0x20004, g->header[1].is_bad = true;) \
X(headers_checksum, 0, C, "neither header", "vhdx-header-checksum", E, 0x10004, g->header[0].is_bad = g->header[1].is_bad = true;) \
X(headers_same_sequence, 0, C, "sequence number 8 but differ", "vhdx-header-sequence", E, 0x20008, g->header[0].seq = 8; g->header[0].file_write_id = GEN_UNKNOWN;) \
X(headers_same_but_reserved, 0, C, "sequence number 8 but differ", "vhdx-header-sequence", E, 0x20008, g->header[0].seq = 8; g->header[0].reserved = 1;) \
X(headers_identical, 0, 0, NULL, "vhdx-header-sequence", W, 0x20008, g->header[0].seq = 8;) \
X(header_version, 0, U, "format version 2", "vhdx-header-version", E, 0x20042, g->header[1].version = 2;) \
X(header_version_0, 0, U, "format version 0", "vhdx-header-version", E, 0x20042, g->header[1].version = 0;) \
X(header_old_version, 0, 0, NULL, "vhdx-header-version", W, 0x10042, g->header[0].version = 2;) \
X(header_log_version, 0, U, "log version 1", "vhdx-header-log-version", E, 0x20040, g->header[1].log_version = 1;) \
X(header_log_len, 0, C, "log length 1048577", "vhdx-header-log-length", E, 0x20044, g->header[1].log_len++;) \
X(header_log_len_0_dirty, 0, C, "log length 0", "vhdx-header-log-length", E, 0x20044, g->header[1].log_len = 0; both(g, GEN_UNKNOWN);) \
X(header_no_log, 0, 0, NULL, "vhdx-header-no-log", W, 0x20044, g->header[1].log_len = 0;) \
X(header_log_huge, 0, U, "at most 1073741824", "vhdx-header-log-length", E, 0x20044, g->header[1].log_len = 0x40100000;) \
X(header_log_off, 0, C, "log offset 1048577", "vhdx-header-log-offset", E, 0x20048, g->header[1].log_off++;) \
X(header_log_off_0, 0, C, "log offset 0", "vhdx-header-log-offset", E, 0x20048, g->header[1].log_off = 0;) \
X(header_log_off_wraps, 0, C, "log offset 18446744073708503040", "vhdx-header-log-offset", E, 0x20048, g->header[1].log_off = UINT64_MAX - 0xfffff - 0x100000 + 0x100000;) \
X(header_reserved, 0, 0, NULL, "vhdx-header-reserved", W, 0x20050, g->header[1].reserved = 1;) \
X(log_behind_end, 0, 0, NULL, "vhdx-log-beyond-end", E, 0x4000000, g->header[1].log_off = 64 * MIB;) \
/* log */ \
X(log_dirty, 0, 0, NULL, "vhdx-log-dirty", N, 0x100000, dirty(g, page_of_bat);) \
X(log_empty, 0, C, "holds no valid sequence", "vhdx-log-sequence", E, 0x100000, both(g, GEN_UNKNOWN);) \
X(log_checksum, 0, C, "holds no valid sequence", "vhdx-log-sequence", E, 0x100000, dirty(g, page_of_bat)->is_bad = true;) \
X(log_signature, 0, C, "holds no valid sequence", "vhdx-log-sequence", E, 0x100000, dirty(g, page_of_bat)->signature[0] = 'L';) \
X(log_other_id, 0, C, "holds no valid sequence", "vhdx-log-sequence", E, 0x100000, dirty(g, page_of_bat)->log_id = GEN_UNKNOWN;) \
X(log_seq_0, 0, C, "holds no valid sequence", "vhdx-log-sequence", E, 0x100000, dirty(g, page_of_bat)->seq = 0;) \
X(log_tail_elsewhere, 0, C, "(1 valid entries)", "vhdx-log-sequence", E, 0x100000, dirty(g, page_of_bat)->tail = 4096;) \
X(log_tail_unaligned, 0, C, "(0 valid entries)", "vhdx-log-sequence", E, 0x100000, dirty(g, page_of_bat)->tail = 512;) \
X(log_tail_behind_log, 0, C, "(0 valid entries)", "vhdx-log-sequence", E, 0x100000, dirty(g, page_of_bat)->tail = 1 << 20;) \
X(log_too_many_descs, 0, C, "(0 valid entries)", "vhdx-log-sequence", E, 0x100000, dirty(g, page_of_bat)->n_extra_descs = 1;) \
X(log_descs_wrap, 0, C, "(0 valid entries)", "vhdx-log-sequence", E, 0x100000, dirty(g, page_of_bat)->n_extra_descs = UINT32_MAX - 1;) \
X(log_entry_too_long, 0, C, "(0 valid entries)", "vhdx-log-sequence", E, 0x100000, dirty(g, page_of_bat)->n_extra_bytes = 4096;) \
X(log_entry_odd_length, 0, C, "(0 valid entries)", "vhdx-log-sequence", E, 0x100000, dirty(g, page_of_bat)->n_extra_bytes = 512;) \
X(log_data_seq, 0, C, "(0 valid entries)", "vhdx-log-sequence", E, 0x100000, dirty(g, page_of_bat)->data_seq = 8;) \
X(log_data_seq_high, 0, C, "(0 valid entries)", "vhdx-log-sequence", E, 0x100000, dirty(g, page_of_bat)->data_seq = ((uint64_t)1 << 32) + 9;) \
X(log_into_header, 0, C, "never goes through the log", "vhdx-log-replay", E, 0x100000, dirty(g, into_header);) \
X(log_into_log, 0, C, "into the log itself", "vhdx-log-replay", E, 0x100000, dirty(g, into_log);) \
X(log_target_unaligned, 0, C, "multiples of 4 KiB", "vhdx-log-replay", E, 0x100000, dirty(g, unaligned);) \
X(log_target_far, 0, C, "no VHDX is that long", "vhdx-log-replay", E, 0x100000, dirty(g, far_away);) \
X(log_zeros_odd, 0, C, "multiples of 4 KiB", "vhdx-log-replay", E, 0x100000, dirty(g, odd_zeros);) \
X(log_file_cut_off, 0, C, "the file was cut off", "vhdx-log-replay", E, 0x800000, dirty(g, page_of_bat)->flushed_off = 9 * MIB;) \
X(log_last_far, 0, C, "no VHDX is that long", "vhdx-log-replay", E, 0x100000, dirty(g, page_of_bat)->last_off = (uint64_t)1 << 60;) \
X(log_reserved, 0, 0, NULL, "vhdx-log-reserved", W, 0x10001c, dirty(g, page_of_bat)->reserved = 1;) \
X(log_file_offset_odd, 0, 0, NULL, "vhdx-log-file-offset", W, 0x100030, dirty(g, page_of_bat)->flushed_off -= 512;) \
X(log_zeros_reserved, 0, 0, NULL, "vhdx-log-desc-reserved", W, 0x100044, dirty(g, zeros_reserved);) \
X(log_payload, 0, 0, NULL, "vhdx-log-payload", E, 0x300028, dirty(g, into_block);) \
X(log_payload_zeros, 0, 0, NULL, "vhdx-log-payload", E, 0x300000, dirty(g, zeros_block);) \
X(log_last_offset, 0, 0, NULL, "vhdx-log-last-offset", W, 0x300028, dirty(g, page_of_bat_2)->last_off = 7 * MIB;) \
X(log_last_offset_region, 0, 0, NULL, "vhdx-log-last-offset", W, 0x30020, dirty(g, page_of_bat_2)->last_off = 3 * MIB;) \
/* region tables */ \
X(regions_1_checksum, 0, 0, NULL, "vhdx-regions-checksum", E, 0x30004, g->regions[0].is_bad = true;) \
X(regions_2_signature, 0, 0, NULL, "vhdx-regions-signature", E, 0x40000, g->regions[1].signature[0] = 'R';) \
X(regions_checksum, 0, C, "neither region table", "vhdx-regions-checksum", E, 0x30004, g->regions[0].is_bad = g->regions[1].is_bad = true;) \
X(regions_differ, 0, 0, NULL, "vhdx-regions-differ", E, 0x40000, g->regions[1].at[0].off = 4 * MIB;) \
X(regions_count, 0, C, "at most 2047", "vhdx-regions-count", E, 0x30008, g->regions[0].n_extra = 2046;) \
X(regions_reserved, 0, 0, NULL, "vhdx-regions-reserved", W, 0x3000c, g->regions[0].reserved = g->regions[1].reserved = 1;) \
X(region_offset_odd, 0, C, "expected a multiple of 1 MiB", "vhdx-region-offset", E, 0x30020, region(g, 0, 3 * MIB + 4096, 1 << 20);) \
X(region_offset_low, 0, C, "at least 1 MiB", "vhdx-region-offset", E, 0x30020, region(g, 0, 0, 1 << 20);) \
X(region_offset_wraps, 0, C, "beyond any file", "vhdx-region-beyond-end", E, 0x30020, region(g, 0, UINT64_MAX - MIB + 1, 1 << 20);) \
X(region_length_odd, 0, C, "isn't a multiple of 1 MiB", "vhdx-region-length", E, 0x30028, region(g, 0, 3 * MIB, 4096);) \
X(region_length_0, 0, C, "names no BAT region", "vhdx-region-length", E, 0x30028, region(g, 0, 3 * MIB, 0);) \
X(region_overlap, 0, C, "overlaps region", "vhdx-region-overlap", E, 0x30040, region(g, 0, 2 * MIB, 1 << 20);) \
X(region_in_log, 0, C, "overlaps the log", "vhdx-region-overlap", E, 0x30020, region(g, 0, 1 * MIB, 1 << 20);) \
X(region_behind_end, 0, 0, NULL, "vhdx-region-beyond-end", E, 0x30020, region(g, 0, 64 * MIB, 1 << 20);) \
X(region_twice, 0, C, "in the table twice", "vhdx-region-duplicate", E, 0x30050, vhdxgen_add_region(g, GEN_BAT, 7 * MIB, 1 << 20, 1);) \
X(region_no_bat, 0, C, "names no BAT region", "vhdx-region-missing", E, 0x30000, g->regions[0].at[0].id = g->regions[1].at[0].id = GEN_UNKNOWN; g->regions[0].at[0].flags = g->regions[1].at[0].flags = 0;) \
X(region_no_metadata, 0, C, "names no metadata region", "vhdx-region-missing", E, 0x30000, g->regions[0].n = g->regions[1].n = 1;) \
X(region_unknown_required, 0, U, "region " GEN_UNKNOWN " is marked as required", "vhdx-region-unknown", E, 0x30050, vhdxgen_add_region(g, GEN_UNKNOWN, 5 * MIB, 1 << 20, 1); g->n_bat = 0;) \
X(region_unknown, 0, 0, NULL, "vhdx-region-unknown", N, 0x30050, vhdxgen_add_region(g, GEN_UNKNOWN, 5 * MIB, 1 << 20, 0); g->n_bat = 0;) \
X(region_not_required, 0, 0, NULL, "vhdx-region-not-required", W, 0x3002c, g->regions[0].at[0].flags = g->regions[1].at[0].flags = 0;) \
X(region_reserved, 0, 0, NULL, "vhdx-region-reserved", W, 0x3002c, g->regions[0].at[0].flags = g->regions[1].at[0].flags = 3;) \
X(regions_space, 0, 0, NULL, "vhdx-regions-space", N, 0x30050, g->regions[0].space = g->regions[1].space = 1;) \
X(region_unknown_empty, 0, 0, NULL, "vhdx-region-length", N, 0x30068, vhdxgen_add_region(g, GEN_UNKNOWN, 5 * MIB, 0, 0);) \
X(region_block_inside, 0, 0, NULL, "vhdx-bat-overlap", E, 0x300000, vhdxgen_add_region(g, GEN_UNKNOWN, 5 * MIB, 1 << 20, 0);) \
/* metadata table */ \
X(metadata_signature, 0, C, "no metadata table", "vhdx-metadata-signature", E, 0x200000, g->metadata_signature[0] = 'M';) \
X(metadata_count, 0, C, "at most 2047", "vhdx-metadata-count", E, 0x20000a, g->n_extra_items = 2043;) \
X(metadata_reserved, 0, 0, NULL, "vhdx-metadata-reserved", W, 0x200008, g->metadata_reserved = 1;) \
X(item_offset_low, 0, C, "inside the table", "vhdx-item-offset", E, 0x2000d0, vhdxgen_add_item(g, GEN_UNKNOWN, 65528, 8, 0);) \
X(item_behind_region, 0, C, "ends behind its region", "vhdx-item-beyond-region", E, 0x2000d0, vhdxgen_add_item(g, GEN_UNKNOWN, (1 << 20) - 4, 8, 0);) \
X(item_offset_huge, 0, C, "ends behind its region", "vhdx-item-beyond-region", E, 0x2000d0, vhdxgen_add_item(g, GEN_UNKNOWN, UINT32_MAX, 8, 0);) \
X(item_too_long, 0, C, "at most 1 MiB", "vhdx-item-length", E, 0x2000d4, vhdxgen_add_item(g, GEN_UNKNOWN, 131072, (1 << 20) + 1, 0);) \
X(item_empty_with_offset, 0, C, "is empty but has offset", "vhdx-item-empty", E, 0x2000d0, vhdxgen_add_item(g, GEN_UNKNOWN, 131072, 0, 0);) \
X(item_twice, 0, C, "are both item " GEN_UNKNOWN, "vhdx-item-duplicate", E, 0x2000e0, vhdxgen_add_item(g, GEN_UNKNOWN, 0, 0, 0); vhdxgen_add_item(g, GEN_UNKNOWN, 131072, 8, 2);) \
X(item_overlap, 0, C, "entry 6 overlaps entry 5", "vhdx-item-overlap", E, 0x2000f0, vhdxgen_add_item(g, GEN_UNKNOWN, 131072, 8, 0); vhdxgen_add_item(g, GEN_UNKNOWN_2, 131079, 8, 0);) \
X(item_overlaps_known, 0, C, "entry 5 overlaps entry 1", "vhdx-item-overlap", E, 0x2000d0, vhdxgen_add_item(g, GEN_UNKNOWN, 65544, 1, 0);) \
X(item_unknown, 0, 0, NULL, "vhdx-item-unknown", N, 0x2000c0, vhdxgen_add_item(g, GEN_UNKNOWN, 131072, 8, 2);) \
X(item_unknown_required, 0, U, "metadata item " GEN_UNKNOWN " is marked as required", "vhdx-item-unknown", E, 0x2000c0, vhdxgen_add_item(g, GEN_UNKNOWN, 131072, 8, 4);) \
X(item_user_required, 0, U, "user metadata item " GEN_UNKNOWN, "vhdx-item-user-required", E, 0x2000d8, vhdxgen_add_item(g, GEN_UNKNOWN, 131072, 8, 5);) \
X(item_user_like_known, 0, C, "has no item \"virtual disk size\"", "vhdx-item-missing", E, 0x200000, vhdxgen_item(g, GEN_SIZE)->flags = 1;) \
X(item_incomplete, 0, C, "marked as incomplete", "vhdx-item-incomplete", E, 0x2000c0, vhdxgen_add_item(g, "71cc85f0-1b69-4e28-9558-c3bf83ae75d3", 0, 0, 4);) \
X(item_reserved_flags, 0, 0, NULL, "vhdx-item-reserved", W, 0x200058, vhdxgen_item(g, GEN_SIZE)->flags |= 8;) \
X(item_reserved, 0, 0, NULL, "vhdx-item-reserved", W, 0x20005c, vhdxgen_item(g, GEN_SIZE)->reserved = 1;) \
X(item_wrong_flags, 0, 0, NULL, "vhdx-item-flags", E, 0x200058, vhdxgen_item(g, GEN_SIZE)->flags = 4;) \
X(item_params_of_disk, 0, 0, NULL, "vhdx-item-flags", E, 0x200038, vhdxgen_item(g, GEN_PARAMS)->flags = 6;) \
X(item_missing_params, 0, C, "no item \"file parameters\"", "vhdx-item-missing", E, 0x200000, vhdxgen_item(g, GEN_PARAMS)->id = GEN_UNKNOWN; g->item[0].flags = 0;) \
X(item_missing_disk_id, 0, C, "no item \"virtual disk ID\"", "vhdx-item-missing", E, 0x200000, g->item[2].id = GEN_UNKNOWN; g->item[2].flags = 0;) \
X(item_missing_logical, 0, C, "no item \"logical sector size\"", "vhdx-item-missing", E, 0x200000, g->item[3].id = GEN_UNKNOWN; g->item[3].flags = 0;) \
X(item_missing_physical, 0, C, "no item \"physical sector size\"", "vhdx-item-missing", E, 0x200000, g->item[4].id = GEN_UNKNOWN; g->item[4].flags = 0;) \
X(item_params_short, 0, C, "\"file parameters\" has 7 bytes", "vhdx-item-size", E, 0x210000, vhdxgen_item(g, GEN_PARAMS)->len = 7;) \
X(item_disk_id_short, 0, C, "\"virtual disk ID\" has 15 bytes", "vhdx-item-size", E, 0x210010, vhdxgen_item(g, GEN_DISK_ID)->len = 15;) \
X(item_physical_long, 0, 0, NULL, "vhdx-item-size", W, 0x210024, vhdxgen_item(g, GEN_PHYSICAL)->len = 8;) \
/* values */ \
X(block_size_odd, 0, C, "block size 3145728", "vhdx-item-value", E, 0x210000, g->block_size = 3 << 20;) \
X(block_size_small, 0, C, "block size 524288", "vhdx-item-value", E, 0x210000, g->block_size = 1 << 19;) \
X(block_size_large, 0, C, "block size 536870912", "vhdx-item-value", E, 0x210000, g->block_size = 512 << 20;) \
X(block_size_0, 0, C, "block size 0", "vhdx-item-value", E, 0x210000, g->block_size = 0;) \
X(params_reserved, 0, 0, NULL, "vhdx-params-reserved", W, 0x210004, g->params_flags = 4;) \
X(size_0, 0, C, "virtual disk size 0", "vhdx-item-value", E, 0x210008, g->virtual_size = 0;) \
X(size_huge, 0, C, "virtual disk size 70368744178176", "vhdx-item-value", E, 0x210008, g->virtual_size = ((uint64_t)64 << 40) + 512;) \
X(size_odd, 0, C, "isn't a multiple of the logical sector", "vhdx-size-multiple", E, 0x200000, g->virtual_size -= 1;) \
X(size_odd_for_4096, 0, C, "isn't a multiple of the logical sector", "vhdx-size-multiple", E, 0x200000, g->virtual_size -= 512; g->logical_sector_size = 4096;) \
X(logical_sector, 0, C, "logical sector size 1024", "vhdx-item-value", E, 0x210020, g->logical_sector_size = 1024;) \
X(physical_sector, 0, C, "physical sector size 0", "vhdx-item-value", E, 0x210024, g->physical_sector_size = 0;) \
X(bat_too_short, 0, C, "entries of 8 bytes are needed", "vhdx-bat-length", E, 0x300000, g->virtual_size = (uint64_t)1 << 40;) \
X(disk_id_nil, 0, 0, NULL, "vhdx-disk-id", N, 0x210010, g->disk_id = GEN_NIL;) \
X(fixed_too_short, 0, 0, NULL, "vhdx-fixed-size", W, 0x800000, g->params_flags = 1;) \
X(fixed_absent, 0, 0, NULL, "vhdx-fixed-absent", N, 0x300000, g->params_flags = 1; g->file_len = 72 * MIB;) \
/* parent locator */ \
X(locator_linkage_braces, 1, 0, NULL, "vhdx-locator-linkage", N, 0x211000, g->pair[0].value = "d0000000-0001-4002-8003-000000000004";) \
X(locator_linkage_upper, 1, 0, NULL, "vhdx-locator-linkage", N, 0x211000, g->pair[0].value = "{D0000000-0001-4002-8003-000000000004}";) \
X(locator_linkage_nil, 1, 0, NULL, "vhdx-locator-linkage", W, 0x211000, g->pair[0].value = "{" GEN_NIL "}";) \
X(locator_linkage2, 1, 0, NULL, "vhdx-locator-linkage2", W, 0x211000, g->pair[2] = (struct gen_pair){.key = "parent_linkage2", .value = "{" GEN_UNKNOWN "}"}; g->n_pairs = 3;) \
X(locator_relative_absolute, 1, 0, NULL, "vhdx-locator-relative-path", W, 0x211000, g->pair[1].value = "\\base.vhdx";) \
X(locator_relative_drive, 1, 0, NULL, "vhdx-locator-relative-path", W, 0x211000, g->pair[1].value = "C:base.vhdx";) \
X(locator_relative_slash, 1, 0, NULL, "vhdx-locator-relative-path", W, 0x211000, g->pair[1].value = "../base.vhdx";) \
X(locator_volume, 1, 0, NULL, "vhdx-locator-volume-path", W, 0x211000, g->pair[1].key = "volume_path"; g->pair[1].value = "\\\\?\\d:\\base.vhdx";) \
X(locator_absolute, 1, 0, NULL, "vhdx-locator-absolute-path", W, 0x211000, g->pair[1].key = "absolute_win32_path"; g->pair[1].value = "d:\\base.vhdx";) \
X(locator_unknown_key, 1, 0, NULL, "vhdx-locator-key", N, 0x211012, g->pair[2] = (struct gen_pair){.key = "Relative_path", .value = "x"}; g->n_pairs = 3;) \
X(locator_missing, 0, C, "has no parent locator", "vhdx-locator-missing", E, 0x200000, g->params_flags = 2;) \
X(locator_extra, 1, C, "isn't differencing", "vhdx-locator-extra", E, 0x200000, g->params_flags = 0; g->n_bat = 1;) \
X(locator_type, 1, U, "parent locator of type " GEN_UNKNOWN, "vhdx-locator-value", E, 0x211000, g->locator_type = GEN_UNKNOWN;) \
X(locator_reserved, 1, 0, NULL, "vhdx-locator-reserved", W, 0x211010, g->locator_reserved = 1;) \
X(locator_short, 1, C, "its header alone takes 20", "vhdx-locator-value", E, 0x211000, vhdxgen_item(g, GEN_LOCATOR)->len = 19;) \
X(locator_empty, 1, C, "its header alone takes 20", "vhdx-locator-value", E, 0x200000, vhdxgen_item(g, GEN_LOCATOR)->len = 0; vhdxgen_item(g, GEN_LOCATOR)->off = 0;) \
X(locator_count, 1, C, "don't fit into its 1024 bytes", "vhdx-locator-value", E, 0x211012, g->n_extra_pairs = 90;) \
X(locator_count_huge, 1, U, "at most 128", "vhdx-locator-value", E, 0x211012, g->n_extra_pairs = 60000;) \
X(locator_key_outside, 1, C, "key of pair 1", "vhdx-locator-value", E, 0x211000, g->pair[1].key_off = 1020;) \
X(locator_value_outside, 1, C, "value of pair 1", "vhdx-locator-value", E, 0x211000, g->pair[1].value_len = 2000;) \
X(locator_value_off_wraps, 1, C, "value of pair 1", "vhdx-locator-value", E, 0x211000, g->pair[1].value_off = UINT32_MAX - 1;) \
X(locator_key_empty, 1, C, "key of pair 1", "vhdx-locator-value", E, 0x211000, g->pair[1].key_len = GEN_EMPTY;) \
X(locator_value_odd, 1, C, "value of pair 1", "vhdx-locator-value", E, 0x211000, g->pair[1].value_len = 3;) \
X(locator_value_nul, 1, C, "holds a NUL character", "vhdx-locator-value", E, 0x2110ae, g->pair[1].has_nul = true;) \
X(locator_value_surrogate, 1, C, "isn't valid UTF-16", "vhdx-locator-value", E, 0x2110ae, g->pair[1].is_surrogate = true;) \
X(locator_key_twice, 1, C, "pairs 0 and 1 have the same key", "vhdx-locator-value", E, 0x211000, g->pair[1] = g->pair[0];) \
X(locator_no_linkage, 1, C, "parent_linkage is missing", "vhdx-locator-value", E, 0x211000, g->pair[0].key = "Parent_linkage";) \
X(locator_linkage_text, 1, C, "expected a GUID", "vhdx-locator-value", E, 0x211000, g->pair[0].value = "{not-a-guid}";) \
X(locator_no_path, 1, 0, NULL, "vhdx-locator-path", E, 0x200000, g->n_pairs = 1;) \
/* BAT: read by the engine, so that decoding lets it pass */ \
X(bat_state_4, 0, 0, NULL, "vhdx-bat-state", E, 0x300000, g->bat[0].entry = 4 * MIB | 4;) \
X(bat_state_5, 0, 0, NULL, "vhdx-bat-old-state", W, 0x300000, g->bat[0].entry = 5;) \
X(bat_partial, 0, 0, NULL, "vhdx-bat-partial", E, 0x300000, g->bat[0].entry = 4 * MIB | 7;) \
X(bat_reserved, 0, 0, NULL, "vhdx-bat-reserved", W, 0x300000, g->bat[0].entry |= 8;) \
X(bat_offset_0, 0, 0, NULL, "vhdx-bat-offset", E, 0x300000, g->bat[0].entry = 6;) \
X(bat_offset_far, 0, 0, NULL, "vhdx-bat-offset", E, 0x300000, g->bat[0].entry = ~(uint64_t)0xfffff | 6;) \
X(bat_same_block, 0, 0, NULL, "vhdx-bat-overlap", E, 0x300028, g->bat[0].entry = g->bat[1].entry;) \
X(bat_blocks_overlap, 0, 0, NULL, "vhdx-bat-overlap", E, 0x300028, g->bat[0].entry = 5 * MIB | 6;) \
X(bat_in_log, 0, 0, NULL, "vhdx-bat-overlap", E, 0x300000, g->bat[0].entry = 1 * MIB | 6;) \
X(bat_in_metadata, 0, 0, NULL, "vhdx-bat-overlap", E, 0x300000, g->bat[0].entry = 2 * MIB | 6;) \
X(bat_in_bat, 0, 0, NULL, "vhdx-bat-overlap", E, 0x300000, g->bat[0].entry = 3 * MIB | 6;) \
X(bat_anchor_overlap, 0, 0, NULL, "vhdx-bat-overlap", E, 0x300028, g->bat[0].entry = 6 * MIB | 3;) \
X(bat_behind_end, 0, 0, NULL, "vhdx-bat-beyond-end", W, 0x300000, g->bat[0].entry = 64 * MIB | 6;) \
X(bat_across_end, 0, 0, NULL, "vhdx-bat-beyond-end", W, 0x300028, g->file_len -= MIB;) \
X(bat_zero_with_offset, 0, 0, NULL, "vhdx-bat-stray-offset", W, 0x300000, g->bat[0].entry = 4 * MIB | 2;) \
X(bat_absent_with_offset, 0, 0, NULL, "vhdx-bat-stray-offset", W, 0x300000, g->bat[0].entry = 4 * MIB;) \
X(bat_stray_bitmap, 0, 0, NULL, "vhdx-bat-stray-bitmap", W, 0x304000, g->virtual_size = (uint64_t)8 << 30; vhdxgen_add_bat(g, 2048, 1);) \
X(bat_bitmap_missing, 1, 0, NULL, "vhdx-bat-no-bitmap", E, 0x304000, g->bat[2].entry = 0;) \
X(bat_bitmap_state, 1, 0, NULL, "vhdx-bat-bitmap-state", E, 0x304000, g->bat[2].entry = 8 * MIB | 7;) \
X(bat_bitmap_overlap, 1, 0, NULL, "vhdx-bat-overlap", E, 0x304000, g->bat[2].entry = 7 * MIB | 6;) \
X(bat_bitmap_behind_end, 1, 0, NULL, "vhdx-bat-beyond-end", W, 0x304000, g->bat[2].entry = 9 * MIB | 6;) \
X(bat_slack, 1, 0, NULL, "vhdx-bat-slack", N, 0x300100, vhdxgen_add_bat(g, 32, 20 * MIB | 6);) \
X(bitmap_all_zero, 1, 0, NULL, "vhdx-bitmap-uniform", N, 0x800a00, vhdxgen_poke(g, 8 * MIB + 5 * 512, 0);) \
X(bitmap_all_one, 1, 0, NULL, "vhdx-bitmap-uniform", N, 0x800500, g->block_size = 1 << 20; g->virtual_size = 5 * MIB + 2048; g->bat[2].index = 4096; g->n_pokes = 0; vhdxgen_poke(g, 8 * MIB + 5 * 256, 0x0f);) \
X(file_size_odd, 0, 0, NULL, "vhdx-file-size", N, 0x800200, g->file_len += 512;)

#define CHANGE(name, child, code, text, rule, severity, offset, ...) \
	static void name(struct vhdxgen *g) { __VA_ARGS__ }
CASES(CHANGE)

#define ENTRY(name, child, code, text, rule, severity, offset, ...) \
	{#name, child, name, code, text, rule, severity, offset},
const struct vhdx_wrong vhdx_wrongs[] = {CASES(ENTRY)};
/* clang-format on */

const size_t n_vhdx_wrongs = sizeof(vhdx_wrongs) / sizeof(vhdx_wrongs[0]);

void vhdx_wrong_make(const struct vhdx_wrong *wrong, bool is_twin, struct vhdxgen *g)
{
	if (wrong->is_child)
		vhdxgen_init_child(g);
	else
		vhdxgen_init(g);
	if (!is_twin)
		wrong->change(g);
}
