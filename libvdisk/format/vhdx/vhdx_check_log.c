/* SPDX-License-Identifier: MIT */
/* Check the log (MS-VHDX 2.3), and let the later checks look at the image as it is behind it. */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "format/vhdx/vhdx_check.h"
#include "format/vhdx/vhdx_ondisk.h"
#include "format/vhdx/vhdx_replay.h"

/* Reserved fields of the zero descriptors of an entry. */
static int check_descs(struct vhdx_checker *c, const struct vhdx_log_entry *entry,
		       struct vd_error *err)
{
	const uint32_t per_sector = VHDX_PAGE / sizeof(struct vhdx_disk_desc);
	const struct vhdx_replay ring = {
	    .io = c->io, .log_off = c->header.log_off, .n_sectors = c->header.log_len / VHDX_PAGE};
	uint8_t page[VHDX_PAGE];

	/* The header takes the place of two. */
	for (uint32_t i = 2; i < entry->n_descs + 2; i++) {
		const struct vhdx_disk_desc *desc =
		    (const struct vhdx_disk_desc *)(const void *)page + i % per_sector;
		uint32_t sector = entry->sector + i / per_sector;
		int rc = 0;

		if (i == 2 || i % per_sector == 0)
			rc = vhdx_log_read(&ring, sector, 1, page, err);
		if (rc)
			return rc;
		if (memcmp(desc->signature, VHDX_ZERO_DESC_SIGNATURE, 4) == 0 &&
		    !vd_is_zero(desc->trailing, 4))
			vhdx_report(c, VD_FINDING_WARNING, "vhdx-log-desc-reserved",
				    "MS-VHDX 2.3.1.2",
				    ring.log_off + (uint64_t)(sector % ring.n_sectors) * VHDX_PAGE +
					i % per_sector * sizeof(*desc) + 4,
				    "0",
				    "a zero descriptor of log entry %" PRIu64
				    " has a reserved field that isn't 0",
				    entry->seq);
	}
	return 0;
}

/* Fields of an entry of the active sequence that no replay depends on. */
static int check_entry(struct vhdx_checker *c, const struct vhdx_log_entry *entry,
		       struct vd_error *err)
{
	uint64_t at = c->header.log_off + (uint64_t)entry->sector * VHDX_PAGE;
	struct vhdx_disk_entry disk;
	int rc = vd_io_read(c->io, &disk, sizeof(disk), at, err);

	if (rc)
		return rc;
	if (vd_get32(disk.reserved))
		vhdx_report(c, VD_FINDING_WARNING, "vhdx-log-reserved", "MS-VHDX 2.3.1.1", at + 28,
			    "0", "log entry %" PRIu64 " has %" PRIu32 " in its reserved field",
			    entry->seq, vd_get32(disk.reserved));
	if (entry->flushed_off % VD_MIB || entry->last_off % VD_MIB)
		vhdx_report(c, VD_FINDING_WARNING, "vhdx-log-file-offset", "MS-VHDX 2.3.1.1",
			    at + 48, "multiples of 1 MiB",
			    "log entry %" PRIu64 " has FlushedFileOffset %" PRIu64
			    " and LastFileOffset %" PRIu64,
			    entry->seq, entry->flushed_off, entry->last_off);
	return check_descs(c, entry, err);
}

/* The view of the image as it is after the replay; a log that can't be replayed is a finding. */
static int make_view(struct vhdx_checker *c, struct vd_error *err)
{
	struct vd_error why = VD_ERROR_INIT;
	struct vhdx_replay *replay;
	struct vd_io *view;
	int rc = vhdx_replay_scan(&replay, c->io, &c->header, &why);

	if (rc == VD_ECORRUPT || rc == VD_EUNSUPPORTED) {
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-log-replay", "MS-VHDX 2.3.3", why.offset,
			    "a log that can be replayed", "%s", why.text);
		return 0;
	}
	if (rc)
		return vd_error_set(err, rc, why.sys_errno, why.offset, "%s", why.text);
	rc = vhdx_replay_view(&view, replay, c->io, err);
	if (rc)
		return rc;
	vd_io_close(c->view);
	c->view = view;
	c->replay = replay;
	c->last_off = replay->head.last_off;
	return 0;
}

static int check_dirty(struct vhdx_checker *c, struct vd_error *err)
{
	VD_AUTO_FREE struct vhdx_log_entry *entries = NULL;
	uint32_t n, first, head;
	int rc = vhdx_log_scan(c->io, &c->header, &entries, &n, err);

	if (rc)
		return rc;
	if (!vhdx_log_choose(entries, n, c->header.log_len / VHDX_PAGE, &first, &head)) {
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-log-sequence", "MS-VHDX 2.3.3",
			    c->header.log_off, "a valid sequence, since LogGuid isn't zero",
			    "%" PRIu32 " valid entries, no valid sequence", n);
		return 0;
	}
	vhdx_report(c, VD_FINDING_NOTE, "vhdx-log-dirty", "MS-VHDX 2.3.3", c->header.log_off,
		    "an empty log",
		    "log entries to replay, up to number %" PRIu64
		    "; the rest was checked as it is after that",
		    entries[head].seq);
	for (uint32_t i = first; !rc; i = entries[i].next) {
		rc = check_entry(c, &entries[i], err);
		if (i == head)
			break;
	}
	return rc ? rc : make_view(c, err);
}

int vhdx_check_log(struct vhdx_checker *c, struct vd_error *err)
{
	uint64_t len;
	int rc = vd_io_length(c->io, &len, err);

	if (rc || !c->header.log_len)
		return rc;
	if (!vd_is_within(c->header.log_off, c->header.log_len, len))
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-log-beyond-end", "MS-VHDX 2.3",
			    c->header.log_off, "a log within the file",
			    "log [%" PRIu64 ", +%" PRIu32 ") in a file of %" PRIu64 " bytes",
			    c->header.log_off, c->header.log_len, len);
	return vd_guid_is_nil(c->header.log_id) ? 0 : check_dirty(c, err);
}
