/* SPDX-License-Identifier: MIT */
/*
 * Headers and region tables: from bytes to meaning (MS-VHDX 2.2). The order is always the same:
 * signature, checksum, bounds, then what the fields mean.
 */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/crc32c.h"
#include "base/sabotage.h"
#include "format/vhdx/vhdx_layout.h"
#include "format/vhdx/vhdx_ondisk.h"

bool vhdx_header_decode(struct vd_span bytes, struct vhdx_header *header)
{
	const struct vhdx_disk_header *disk = (const void *)bytes.p;

	memset(header, 0, sizeof(*header));
	if (bytes.len < sizeof(*disk))
		return false;
	header->checksum = vd_get32(disk->checksum);
	header->seq = vd_get64(disk->seq);
	header->file_write_id = vd_guid_from_disk(disk->file_write_id);
	header->data_write_id = vd_guid_from_disk(disk->data_write_id);
	header->log_id = vd_guid_from_disk(disk->log_id);
	header->log_version = vd_get16(disk->log_version);
	header->version = vd_get16(disk->version);
	header->log_len = vd_get32(disk->log_len);
	header->log_off = vd_get64(disk->log_off);
	return memcmp(disk->signature, VHDX_HEADER_SIGNATURE, 4) == 0 &&
	       vd_crc32c_without(disk, sizeof(*disk),
				 offsetof(struct vhdx_disk_header, checksum)) == header->checksum;
}

/* Byte for byte the same: the checksum stands for the reserved part. */
static bool is_same_header(const struct vhdx_header *a, const struct vhdx_header *b)
{
	return a->seq == b->seq && a->checksum == b->checksum &&
	       vd_guid_is_equal(a->file_write_id, b->file_write_id) &&
	       vd_guid_is_equal(a->data_write_id, b->data_write_id) &&
	       vd_guid_is_equal(a->log_id, b->log_id) && a->log_version == b->log_version &&
	       a->version == b->version && a->log_len == b->log_len && a->log_off == b->log_off;
}

static int check_header(const struct vhdx_header *header, uint64_t at, struct vd_error *err)
{
	if (header->version != 1)
		return vd_error_set(err, VD_EUNSUPPORTED, 0, at + 66,
				    "header at %" PRIu64 ": format version %u, only 1 is known", at,
				    header->version);
	if (header->log_version != 0)
		return vd_error_set(err, VD_EUNSUPPORTED, 0, at + 64,
				    "header at %" PRIu64 ": log version %u, only 0 is known", at,
				    header->log_version);
	if (header->log_len == 0 && vd_guid_is_nil(header->log_id))
		return 0;
	if (header->log_len == 0 || header->log_len % VD_MIB)
		return vd_error_set(err, VD_ECORRUPT, 0, at + 68,
				    "header at %" PRIu64 ": log length %" PRIu32
				    " isn't a multiple of 1 MiB",
				    at, header->log_len);
	if (header->log_len > VHDX_MAX_LOG)
		return vd_error_set(err, VD_EUNSUPPORTED, 0, at + 68,
				    "header at %" PRIu64 ": a log of %" PRIu32
				    " bytes, at most %u are supported",
				    at, header->log_len, VHDX_MAX_LOG);
	if (VD_SABOTAGED(DECODE_HEADER_LOG))
		return 0;
	if (header->log_off % VD_MIB || header->log_off < VHDX_HEAD_END ||
	    header->log_off > INT64_MAX - (uint64_t)header->log_len)
		return vd_error_set(err, VD_ECORRUPT, 0, at + 72,
				    "header at %" PRIu64 ": log offset %" PRIu64
				    ", expected a multiple of 1 MiB, at least 1 MiB",
				    at, header->log_off);
	return 0;
}

int vhdx_headers_choose(struct vhdx_headers *headers, struct vd_error *err)
{
	const struct vhdx_header *slot = headers->slot;

	if (!headers->is_valid[0] && !headers->is_valid[1])
		return vd_error_set(err, VD_ECORRUPT, 0, VHDX_HEADER_OFF(0),
				    "neither header (at 64 KiB and 128 KiB) has a valid signature "
				    "and checksum");
	if (headers->is_valid[0] && headers->is_valid[1]) {
		/* Disk2VHD writes the same header twice; then it doesn't matter which counts. */
		if (slot[0].seq == slot[1].seq && !is_same_header(&slot[0], &slot[1]))
			return vd_error_set(err, VD_ECORRUPT, 0, VHDX_HEADER_OFF(0) + 8,
					    "both headers have sequence number %" PRIu64
					    " but differ: which one counts can't be told",
					    slot[0].seq);
		headers->current = slot[1].seq > slot[0].seq;
		headers->current ^= VD_SABOTAGED(DECODE_HEADER_SEQ);
	} else {
		headers->current = headers->is_valid[1];
	}
	return check_header(&slot[headers->current], VHDX_HEADER_OFF(headers->current), err);
}

/* Bounds of one region on its own. */
static int check_region(const struct vhdx_region *region, uint64_t at, struct vd_error *err)
{
	char id[VD_GUID_TEXT];

	vd_guid_format(region->id, id);
	if (region->off % VD_MIB || region->off < VHDX_HEAD_END)
		return vd_error_set(err, VD_ECORRUPT, 0, at + 16,
				    "region %s: offset %" PRIu64
				    ", expected a multiple of 1 MiB, at least 1 MiB",
				    id, region->off);
	if (region->len % VD_MIB)
		return vd_error_set(err, VD_ECORRUPT, 0, at + 24,
				    "region %s: length %" PRIu32 " isn't a multiple of 1 MiB", id,
				    region->len);
	if (region->off > INT64_MAX - (uint64_t)region->len)
		return vd_error_set(err, VD_ECORRUPT, 0, at + 16,
				    "region %s: offset %" PRIu64 " lies beyond any file", id,
				    region->off);
	return 0;
}

static int check_pair(const struct vhdx_region *a, const struct vhdx_region *b, uint64_t at,
		      struct vd_error *err)
{
	char id_a[VD_GUID_TEXT], id_b[VD_GUID_TEXT];

	vd_guid_format(a->id, id_a);
	if (vd_guid_is_equal(a->id, b->id))
		return vd_error_set(err, VD_ECORRUPT, 0, at, "region %s is in the table twice",
				    id_a);
	if (vd_is_overlap(a->off, a->len, b->off, b->len) && !VD_SABOTAGED(DECODE_REGION_APART)) {
		vd_guid_format(b->id, id_b);
		return vd_error_set(err, VD_ECORRUPT, 0, at + 16,
				    "region %s at %" PRIu64 " overlaps region %s at %" PRIu64, id_a,
				    a->off, id_b, b->off);
	}
	return 0;
}

/* Put one entry where it belongs. */
static int take_region(const struct vhdx_region *region, uint64_t at, struct vhdx_regions *regions,
		       struct vd_error *err)
{
	if (vd_guid_is_equal(region->id, vhdx_region_bat)) {
		regions->bat = *region;
	} else if (vd_guid_is_equal(region->id, vhdx_region_metadata)) {
		regions->metadata = *region;
	} else if (region->is_required) {
		char id[VD_GUID_TEXT];

		vd_guid_format(region->id, id);
		return vd_error_set(err, VD_EUNSUPPORTED, 0, at,
				    "region %s is marked as required and isn't known: the image "
				    "needs a newer program",
				    id);
	} else {
		regions->unknown[regions->n_unknown++] = *region;
	}
	return 0;
}

/* All entries, each against those before it. */
static int decode_regions(const struct vhdx_disk_region *disk, uint32_t n, uint64_t at,
			  struct vhdx_region *all, struct vhdx_regions *regions,
			  struct vd_error *err)
{
	for (uint32_t i = 0; i < n; i++, at += sizeof(*disk)) {
		int rc;

		all[i].id = vd_guid_from_disk(disk[i].id);
		all[i].off = vd_get64(disk[i].off);
		all[i].len = vd_get32(disk[i].len);
		all[i].is_required = vd_get32(disk[i].required) & VHDX_REGION_REQUIRED;
		rc = check_region(&all[i], at, err);
		for (uint32_t j = 0; !rc && j < i; j++)
			rc = check_pair(&all[i], &all[j], at, err);
		if (!rc)
			rc = take_region(&all[i], at, regions, err);
		if (rc)
			return rc;
	}
	return 0;
}

bool vhdx_regions_is_valid(struct vd_span bytes)
{
	const struct vhdx_disk_regions *disk = (const void *)bytes.p;

	return bytes.len >= VHDX_REGIONS_SIZE &&
	       memcmp(disk->signature, VHDX_REGIONS_SIGNATURE, 4) == 0 &&
	       (vd_crc32c_without(disk, VHDX_REGIONS_SIZE,
				  offsetof(struct vhdx_disk_regions, checksum)) ==
		    vd_get32(disk->checksum) ||
		VD_SABOTAGED(DECODE_REGION_CRC));
}

int vhdx_regions_decode(struct vd_span bytes, uint64_t at, struct vhdx_regions *regions,
			bool *is_valid, struct vd_error *err)
{
	const struct vhdx_disk_regions *disk = (const void *)bytes.p;
	VD_AUTO_FREE struct vhdx_region *all = NULL;
	uint32_t n;
	int rc;

	*is_valid = vhdx_regions_is_valid(bytes);
	if (!*is_valid)
		return 0;
	n = vd_get32(disk->n_entries);
	if (n > VHDX_REGIONS_MAX)
		return vd_error_set(err, VD_ECORRUPT, 0, at + 8,
				    "region table at %" PRIu64 ": %" PRIu32
				    " entries, at most 2047 are allowed",
				    at, n);
	all = vd_calloc(n + 1, sizeof(*all));
	vd_free(regions->unknown);
	regions->unknown = vd_calloc(n + 1, sizeof(*all));
	regions->n_unknown = 0;
	memset(&regions->bat, 0, sizeof(regions->bat));
	memset(&regions->metadata, 0, sizeof(regions->metadata));
	if (!all || !regions->unknown)
		return vd_no_memory(err, n * sizeof(*all), "the region table");
	rc = decode_regions((const void *)(bytes.p + sizeof(*disk)), n, at + sizeof(*disk), all,
			    regions, err);
	if (rc)
		return rc;
	if (!regions->bat.len || !regions->metadata.len)
		return vd_error_set(err, VD_ECORRUPT, 0, at,
				    "region table at %" PRIu64 " names no %s region", at,
				    regions->bat.len ? "metadata" : "BAT");
	return 0;
}
