/* SPDX-License-Identifier: MIT */
/* Check both copies of the region table and what they say (MS-VHDX 2.2.3). */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/crc32c.h"
#include "format/vhdx/vhdx_check.h"
#include "format/vhdx/vhdx_ondisk.h"

#define TABLE "MS-VHDX 2.2.3.1"
#define ENTRY "MS-VHDX 2.2.3.2"

static bool check_table(struct vhdx_checker *c, const uint8_t *bytes, int copy)
{
	const struct vhdx_disk_regions *disk = (const void *)bytes;
	uint64_t at = VHDX_REGIONS_OFF(copy);
	uint32_t found = vd_get32(disk->checksum), crc;

	if (memcmp(disk->signature, VHDX_REGIONS_SIGNATURE, 4) != 0) {
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-regions-signature", TABLE, at,
			    "the signature \"regi\"", "region table %d has another signature",
			    copy + 1);
		return false;
	}
	crc = vd_crc32c_without(disk, VHDX_REGIONS_SIZE,
				offsetof(struct vhdx_disk_regions, checksum));
	if (crc != found) {
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-regions-checksum", TABLE, at + 4,
			    "the CRC-32C of its 65,536 bytes",
			    "region table %d has checksum %08" PRIx32 ", its bytes give %08" PRIx32,
			    copy + 1, found, crc);
		return false;
	}
	if (vd_get32(disk->reserved))
		vhdx_report(c, VD_FINDING_WARNING, "vhdx-regions-reserved", TABLE, at + 12, "0",
			    "region table %d has %" PRIu32 " in its reserved field", copy + 1,
			    vd_get32(disk->reserved));
	return true;
}

/* What a region is called. */
static const char *region_name(struct vd_guid id, char text[VD_GUID_TEXT])
{
	if (vd_guid_is_equal(id, vhdx_region_bat))
		return "BAT";
	if (vd_guid_is_equal(id, vhdx_region_metadata))
		return "metadata";
	vd_guid_format(id, text);
	return text;
}

static void check_place(struct vhdx_checker *c, const struct vhdx_region *r, const char *name,
			bool is_known, uint64_t at)
{
	if (r->off % VD_MIB || r->off < VHDX_HEAD_END)
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-region-offset", ENTRY, at + 16,
			    "a multiple of 1 MiB, at least 1 MiB", "region %s has offset %" PRIu64,
			    name, r->off);
	if (r->len % VD_MIB || !r->len)
		vhdx_report(c, r->len || is_known ? VD_FINDING_ERROR : VD_FINDING_NOTE,
			    "vhdx-region-length", ENTRY, at + 24, "a multiple of 1 MiB, not 0",
			    "region %s has length %" PRIu32, name, r->len);
	if (!vd_is_within(r->off, r->len, c->len))
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-region-beyond-end", ENTRY, at + 16,
			    "a region within the file",
			    "region %s is [%" PRIu64 ", +%" PRIu32 ") in a file of %" PRIu64
			    " bytes",
			    name, r->off, r->len, c->len);
	if (r->off > c->last_off || r->len > c->last_off - r->off)
		vhdx_report(c, VD_FINDING_WARNING, "vhdx-log-last-offset", "MS-VHDX 2.3.1.1",
			    at + 16, "a LastFileOffset that all structures fit into",
			    "region %s ends behind %" PRIu64
			    ", the LastFileOffset of the newest log entry",
			    name, c->last_off);
	if (c->has_header && r->off <= INT64_MAX &&
	    vd_is_overlap(r->off, r->len, c->header.log_off, c->header.log_len))
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-region-overlap", ENTRY, at + 16,
			    "space of its own",
			    "region %s at %" PRIu64 " overlaps the log at %" PRIu64, name, r->off,
			    c->header.log_off);
}

static void check_required(struct vhdx_checker *c, const struct vhdx_disk_region *disk,
			   const char *name, bool is_known, uint64_t at)
{
	uint32_t required = vd_get32(disk->required);

	if (required & ~VHDX_REGION_REQUIRED)
		vhdx_report(c, VD_FINDING_WARNING, "vhdx-region-reserved", ENTRY, at + 28, "0 or 1",
			    "region %s has %08" PRIx32 " as flags", name, required);
	if (is_known && !(required & VHDX_REGION_REQUIRED))
		vhdx_report(c, VD_FINDING_WARNING, "vhdx-region-not-required", ENTRY, at + 28,
			    "Required set", "region %s isn't marked as required", name);
	if (!is_known && (required & VHDX_REGION_REQUIRED))
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-region-unknown", ENTRY, at,
			    "only required regions that are known",
			    "unknown region %s is marked as required", name);
	else if (!is_known)
		vhdx_report(c, VD_FINDING_NOTE, "vhdx-region-unknown", ENTRY, at,
			    "BAT and metadata", "unknown region %s, carried along", name);
}

static void check_pairs(struct vhdx_checker *c, const struct vhdx_region *all, uint32_t index,
			uint64_t at)
{
	const struct vhdx_region *a = &all[index];
	bool is_twice = false, is_over = a->off > INT64_MAX;
	char text_a[VD_GUID_TEXT], text_b[VD_GUID_TEXT];

	/* One of each is enough to say. */
	for (const struct vhdx_region *b = all; b < a; b++) {
		if (!is_twice && vd_guid_is_equal(a->id, b->id)) {
			is_twice = true;
			vhdx_report(c, VD_FINDING_ERROR, "vhdx-region-duplicate", ENTRY, at,
				    "each region once", "region %s is there again",
				    region_name(a->id, text_a));
		}
		if (!is_over && b->off <= INT64_MAX &&
		    vd_is_overlap(a->off, a->len, b->off, b->len)) {
			is_over = true;
			vhdx_report(c, VD_FINDING_ERROR, "vhdx-region-overlap", ENTRY, at + 16,
				    "space of its own",
				    "region %s at %" PRIu64 " overlaps region %s at %" PRIu64,
				    region_name(a->id, text_a), a->off, region_name(b->id, text_b),
				    b->off);
		}
	}
}

static int check_entries(struct vhdx_checker *c, const uint8_t *bytes, int copy,
			 struct vd_error *err)
{
	const struct vhdx_disk_regions *table = (const void *)bytes;
	const struct vhdx_disk_region *disk = (const void *)(bytes + sizeof(*table));
	uint32_t n = vd_get32(table->n_entries);
	uint64_t at = VHDX_REGIONS_OFF(copy) + sizeof(*table);
	VD_AUTO_FREE struct vhdx_region *all = NULL;
	bool has_bat = false, has_metadata = false;

	if (n > VHDX_REGIONS_MAX) {
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-regions-count", TABLE, at - 8,
			    "at most 2,047", "region table with %" PRIu32 " entries", n);
		return 0;
	}
	all = vd_calloc(n + 1, sizeof(*all));
	if (!all)
		return vd_no_memory(err, n * sizeof(*all), "the region table");
	for (uint32_t i = 0; i < n; i++, at += sizeof(*disk)) {
		char text[VD_GUID_TEXT];
		const char *name;
		bool is_bat, is_metadata;

		all[i].id = vd_guid_from_disk(disk[i].id);
		all[i].off = vd_get64(disk[i].off);
		all[i].len = vd_get32(disk[i].len);
		name = region_name(all[i].id, text);
		has_bat |= is_bat = vd_guid_is_equal(all[i].id, vhdx_region_bat);
		has_metadata |= is_metadata = vd_guid_is_equal(all[i].id, vhdx_region_metadata);
		check_place(c, &all[i], name, is_bat || is_metadata, at);
		check_required(c, &disk[i], name, is_bat || is_metadata, at);
		check_pairs(c, all, i, at);
	}
	if (!vd_is_zero(disk + n, VHDX_REGIONS_SIZE - sizeof(*table) - n * sizeof(*disk)))
		vhdx_report(c, VD_FINDING_NOTE, "vhdx-regions-space", ENTRY, at, "zeros",
			    "bytes that aren't zero behind the last entry of region table %d",
			    copy + 1);
	if (!has_bat || !has_metadata)
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-region-missing", ENTRY,
			    VHDX_REGIONS_OFF(copy), "a BAT and a metadata region", "no %s region",
			    has_bat ? "metadata" : "BAT");
	return 0;
}

/* The tables as a reader takes them. What keeps it from that must have been found above. */
static int read_regions(struct vhdx_checker *c, uint64_t n_errors_before, struct vd_error *err)
{
	const struct vhdx_header none = {0};
	struct vd_error why = VD_ERROR_INIT;
	int rc = vhdx_regions_read(c->view, c->has_header ? &c->header : &none, &c->regions, &why);

	c->has_regions = rc == 0;
	if (!rc)
		return 0;
	if (rc != VD_ECORRUPT && rc != VD_EUNSUPPORTED)
		return vd_error_set(err, rc, why.sys_errno, why.offset, "%s", why.text);
	if (c->n_errors == n_errors_before)
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-regions", ENTRY, why.offset,
			    "a region table that can be used", "%s", why.text);
	return 0;
}

int vhdx_check_regions(struct vhdx_checker *c, struct vd_error *err)
{
	const size_t len = (size_t)2 * VHDX_REGIONS_SIZE;
	VD_AUTO_FREE uint8_t *bytes = vd_malloc(len);
	uint64_t n_errors_before = c->n_errors;
	bool is_valid[2];
	int rc;

	if (!bytes)
		return vd_no_memory(err, len, "the region tables");
	rc = vd_io_read(c->view, bytes, len, VHDX_REGIONS_OFF(0), err);
	if (rc)
		return rc;
	for (int copy = 0; copy < 2; copy++)
		is_valid[copy] = check_table(c, bytes + (size_t)copy * VHDX_REGIONS_SIZE, copy);
	if (is_valid[0] && is_valid[1] &&
	    memcmp(bytes, bytes + VHDX_REGIONS_SIZE, VHDX_REGIONS_SIZE) != 0)
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-regions-differ", "MS-VHDX 2.2.3",
			    VHDX_REGIONS_OFF(1), "two equal copies",
			    "both region tables are valid and differ; the first counts");
	if (is_valid[0])
		rc = check_entries(c, bytes, 0, err);
	else if (is_valid[1])
		rc = check_entries(c, bytes + VHDX_REGIONS_SIZE, 1, err);
	return rc ? rc : read_regions(c, n_errors_before, err);
}
