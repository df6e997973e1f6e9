/* SPDX-License-Identifier: MIT */
/* Check the file type identifier and both headers (MS-VHDX 2.2.1, 2.2.2). */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/crc32c.h"
#include "base/utf16.h"
#include "format/vhdx/vhdx_check.h"
#include "format/vhdx/vhdx_ondisk.h"

#define SECTION "MS-VHDX 2.2.2"

static void check_ident(struct vhdx_checker *c, const struct vhdx_disk_ident *ident)
{
	char creator[3 * sizeof(ident->creator) / 2 + 1];

	if (memcmp(ident->signature, VHDX_IDENT_SIGNATURE, 8) != 0)
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-ident-signature", "MS-VHDX 2.2.1", 0,
			    "the signature \"vhdxfile\"", "another signature");
	if (!vd_utf16_to_utf8(vd_span(ident->creator, sizeof(ident->creator)), true, creator,
			      sizeof(creator)))
		vhdx_report(c, VD_FINDING_NOTE, "vhdx-ident-creator", "MS-VHDX 2.2.1", 8, "UTF-16",
			    "a creator that isn't valid UTF-16");
}

/* Space that belongs to nobody: what is in it says that a writer did something unusual. */
static void check_spare(struct vhdx_checker *c, const uint8_t *bytes, uint64_t off, uint64_t end,
			const char *rule, const char *section, const char *where)
{
	uint64_t at = off;

	if (vd_is_zero(bytes + off, end - off))
		return;
	while (!bytes[at])
		at++;
	vhdx_report(c, VD_FINDING_NOTE, rule, section, at, "zeros",
		    "bytes that aren't zero in the reserved space behind %s", where);
}

static void check_spares(struct vhdx_checker *c, const uint8_t *bytes)
{
	check_spare(c, bytes, sizeof(struct vhdx_disk_ident), VHDX_HEADER_OFF(0),
		    "vhdx-ident-reserved", "MS-VHDX 2.2.1", "the file type identifier");
	check_spare(c, bytes, VHDX_HEADER_OFF(0) + VHDX_HEADER_SIZE, VHDX_HEADER_OFF(1),
		    "vhdx-header-space", SECTION, "header 1");
	check_spare(c, bytes, VHDX_HEADER_OFF(1) + VHDX_HEADER_SIZE, VHDX_REGIONS_OFF(0),
		    "vhdx-header-space", SECTION, "header 2");
	check_spare(c, bytes, VHDX_REGIONS_OFF(1) + VHDX_REGIONS_SIZE, VHDX_HEAD_END,
		    "vhdx-head-space", "MS-VHDX 2.2", "the region tables");
}

/* Signature and checksum. A header torn by a crash is what the other one is there for. */
static bool check_valid(struct vhdx_checker *c, const struct vhdx_disk_header *disk, int slot,
			enum vd_severity severity)
{
	uint64_t at = VHDX_HEADER_OFF(slot);
	uint32_t found = vd_get32(disk->checksum), crc;

	if (memcmp(disk->signature, VHDX_HEADER_SIGNATURE, 4) != 0) {
		vhdx_report(c, severity, "vhdx-header-signature", SECTION, at,
			    "the signature \"head\"", "header %d has another signature", slot + 1);
		return false;
	}
	crc = vd_crc32c_without(disk, sizeof(*disk), offsetof(struct vhdx_disk_header, checksum));
	if (crc == found)
		return true;
	vhdx_report(c, severity, "vhdx-header-checksum", SECTION, at + 4,
		    "the CRC-32C of its 4,096 bytes",
		    "header %d has checksum %08" PRIx32 ", its bytes give %08" PRIx32, slot + 1,
		    found, crc);
	return false;
}

/* The fields of a valid header. Those of the one that doesn't count only make a warning. */
static void check_fields(struct vhdx_checker *c, const struct vhdx_disk_header *disk, int slot,
			 enum vd_severity severity)
{
	uint64_t at = VHDX_HEADER_OFF(slot);
	struct vhdx_header h;

	vhdx_header_decode(vd_span(disk, sizeof(*disk)), &h);
	if (h.version != 1)
		vhdx_report(c, severity, "vhdx-header-version", SECTION, at + 66, "version 1",
			    "header %d has version %u", slot + 1, h.version);
	if (h.log_version != 0)
		vhdx_report(c, severity, "vhdx-header-log-version", SECTION, at + 64,
			    "log version 0", "header %d has log version %u", slot + 1,
			    h.log_version);
	if (h.log_len % VD_MIB || (!h.log_len && !vd_guid_is_nil(h.log_id)))
		vhdx_report(c, severity, "vhdx-header-log-length", SECTION, at + 68,
			    "a multiple of 1 MiB, not 0", "header %d has log length %" PRIu32,
			    slot + 1, h.log_len);
	if (h.log_len && (h.log_off % VD_MIB || h.log_off < VHDX_HEAD_END || h.log_off > INT64_MAX))
		vhdx_report(c, severity, "vhdx-header-log-offset", SECTION, at + 72,
			    "a multiple of 1 MiB, at least 1 MiB",
			    "header %d has log offset %" PRIu64, slot + 1, h.log_off);
	if (vd_guid_is_nil(h.file_write_id) || vd_guid_is_nil(h.data_write_id))
		vhdx_report(c, VD_FINDING_WARNING, "vhdx-header-guid", SECTION,
			    at + (vd_guid_is_nil(h.file_write_id) ? 16 : 32), "unique GUIDs",
			    "header %d has a %s of zeros", slot + 1,
			    vd_guid_is_nil(h.file_write_id) ? "FileWriteGuid" : "DataWriteGuid");
	if (!vd_is_zero(disk->reserved, sizeof(disk->reserved)))
		vhdx_report(c, VD_FINDING_WARNING, "vhdx-header-reserved", SECTION, at + 80,
			    "zeros", "reserved bytes of header %d aren't zero", slot + 1);
}

static void check_choice(struct vhdx_checker *c, const struct vhdx_headers *headers,
			 const uint8_t *bytes)
{
	if (!headers->is_valid[0] || !headers->is_valid[1] ||
	    headers->slot[0].seq != headers->slot[1].seq)
		return;
	if (memcmp(bytes + VHDX_HEADER_OFF(0), bytes + VHDX_HEADER_OFF(1), VHDX_HEADER_SIZE) == 0)
		vhdx_report(c, VD_FINDING_WARNING, "vhdx-header-sequence", SECTION,
			    VHDX_HEADER_OFF(1) + 8, "different sequence numbers",
			    "both headers are the same, with sequence number %" PRIu64,
			    headers->slot[0].seq);
	else
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-header-sequence", SECTION,
			    VHDX_HEADER_OFF(1) + 8, "different sequence numbers",
			    "both headers have sequence number %" PRIu64 " and differ",
			    headers->slot[0].seq);
}

/* Both are to say the same, so that the image outlives the loss of one. */
static void check_stale(struct vhdx_checker *c, const struct vhdx_headers *headers)
{
	const struct vhdx_header *a = &headers->slot[headers->current];
	const struct vhdx_header *b = &headers->slot[!headers->current];
	const char *what = NULL;

	if (!headers->is_valid[0] || !headers->is_valid[1] || a->seq == b->seq)
		return;
	if (!vd_guid_is_equal(a->file_write_id, b->file_write_id))
		what = "FileWriteGuid";
	else if (!vd_guid_is_equal(a->data_write_id, b->data_write_id))
		what = "DataWriteGuid";
	else if (!vd_guid_is_equal(a->log_id, b->log_id))
		what = "LogGuid";
	else if (a->log_off != b->log_off || a->log_len != b->log_len)
		what = "log";
	if (what)
		vhdx_report(c, VD_FINDING_NOTE, "vhdx-header-stale", "MS-VHDX 2.2.2.1",
			    VHDX_HEADER_OFF(!headers->current), "two headers of the same content",
			    "header %d is older than the other and has another %s",
			    !headers->current + 1, what);
}

int vhdx_check_headers(struct vhdx_checker *c, struct vd_error *err)
{
	const size_t len = VHDX_HEAD_END;
	VD_AUTO_FREE uint8_t *bytes = vd_malloc(len);
	struct vhdx_headers headers = {0};
	int rc, current;

	if (!bytes)
		return vd_no_memory(err, len, "the header section");
	rc = vd_io_read(c->io, bytes, len, 0, err);
	if (rc)
		return rc;
	check_ident(c, (const void *)bytes);
	for (int slot = 0; slot < 2; slot++)
		headers.is_valid[slot] = vhdx_header_decode(
		    vd_span(bytes + VHDX_HEADER_OFF(slot), VHDX_HEADER_SIZE), &headers.slot[slot]);
	c->has_header = vhdx_headers_choose(&headers, NULL) == 0;
	current = headers.current;
	c->header = headers.slot[current];
	for (int slot = 0; slot < 2; slot++) {
		const void *disk = bytes + VHDX_HEADER_OFF(slot);
		bool has_other = headers.is_valid[!slot];

		if (check_valid(c, disk, slot, has_other ? VD_FINDING_WARNING : VD_FINDING_ERROR))
			check_fields(c, disk, slot,
				     slot == current || !has_other ? VD_FINDING_ERROR
								   : VD_FINDING_WARNING);
	}
	check_choice(c, &headers, bytes);
	check_stale(c, &headers);
	check_spares(c, bytes);
	if (c->has_header && c->header.log_len == 0)
		vhdx_report(c, VD_FINDING_WARNING, "vhdx-header-no-log", SECTION,
			    VHDX_HEADER_OFF(current) + 68, "a log",
			    "no log: the image can only be read");
	if (headers.is_valid[current] && c->header.log_len > VHDX_MAX_LOG)
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-header-log-length", SECTION,
			    VHDX_HEADER_OFF(current) + 68, "at most 1 GiB (a bound of libvdisk)",
			    "a log of %" PRIu32 " bytes", c->header.log_len);
	return 0;
}
