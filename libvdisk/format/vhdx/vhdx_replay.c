/* SPDX-License-Identifier: MIT */
/*
 * Replay of a log (MS-VHDX 2.3.3):
 *
 *   vhdx_replay_scan   finds the active sequence and indexes what it writes; changes nothing
 *     |-> vhdx_replay_apply  writes it into the file, extends it, syncs. May be cut off anywhere:
 *     |                      the log is untouched, so the next opening does it again
 *     '-> vhdx_replay_view   shows it without writing
 *
 * The headers around a replay (a new FileWriteGuid before, LogGuid 0 after) are the engine's.
 */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/sabotage.h"
#include "format/vhdx/vhdx_replay.h"

#define BATCH_PAGES 64u

/* How long the file is afterwards. */
static int settle_length(struct vhdx_replay *replay, struct vd_error *err)
{
	uint64_t len, end = replay->head.last_off;
	int rc = vd_io_length(replay->io, &len, err);

	if (rc)
		return rc;
	if (len < replay->head.flushed_off)
		return vd_error_set(err, VD_ECORRUPT, 0, len,
				    "the file was cut off: it has %" PRIu64 " bytes, but %" PRIu64
				    " were there when its log was written",
				    len, replay->head.flushed_off);
	if (end > VHDX_MAX_FILE)
		return vd_error_set(err, VD_ECORRUPT, 0,
				    replay->log_off + (uint64_t)replay->head.sector * VHDX_PAGE,
				    "log entry %" PRIu64 " wants a file of %" PRIu64
				    " bytes: no VHDX is that long",
				    replay->head.seq, end);
	/* Zeros behind the end are there without being written. */
	for (size_t i = replay->n_patches; i-- > 0;) {
		if (replay->patches[i].is_data) {
			end = vd_max64(end, replay->patches[i].end);
			break;
		}
	}
	replay->len = end > len ? vd_align_up(end, VD_MIB) : len;
	return 0;
}

/* Index what the entries from Tail to head write. */
static int index_sequence(struct vhdx_replay *replay, const struct vhdx_log_entry *entries,
			  uint32_t first, uint32_t head, struct vd_error *err)
{
	struct vhdx_patches patches = {0};
	int rc = 0;

	replay->first = entries[first];
	replay->head = entries[head];
	for (uint32_t i = first; !rc; i = entries[i].next) {
		rc = vhdx_patches_add(&patches, replay, &entries[i], err);
		replay->n_active++;
		if (i == head)
			break;
	}
	if (!rc)
		rc = vhdx_patches_settle(&patches, replay, err);
	vd_free(patches.all);
	return rc ? rc : settle_length(replay, err);
}

static int scan_log(struct vhdx_replay *replay, const struct vhdx_header *header,
		    struct vd_error *err)
{
	VD_AUTO_FREE struct vhdx_log_entry *entries = NULL;
	uint32_t n, first, head;
	int rc = vhdx_log_scan(replay->io, header, &entries, &n, err);

	if (rc)
		return rc;
	if (!vhdx_log_choose(entries, n, replay->n_sectors, &first, &head))
		return vd_error_set(err, VD_ECORRUPT, 0, header->log_off,
				    "the image wasn't closed, and its log at %" PRIu64
				    " holds no valid sequence to replay (%" PRIu32
				    " valid entries)",
				    header->log_off, n);
	return index_sequence(replay, entries, first, head, err);
}

int vhdx_replay_scan(struct vhdx_replay **out, struct vd_io *io, const struct vhdx_header *header,
		     struct vd_error *err)
{
	struct vhdx_replay *replay = vd_calloc(1, sizeof(*replay));
	int rc;

	*out = NULL;
	if (!replay)
		return vd_no_memory(err, sizeof(*replay), "the replay of the log");
	replay->io = vd_io_ref(io);
	replay->log_off = header->log_off;
	replay->n_sectors = header->log_len / VHDX_PAGE;
	rc = scan_log(replay, header, err);
	if (rc) {
		vhdx_replay_free(replay);
		return rc;
	}
	*out = replay;
	return 0;
}

void vhdx_replay_free(struct vhdx_replay *replay)
{
	if (!replay)
		return;
	vd_free(replay->patches);
	vd_io_close(replay->io);
	vd_free(replay);
}

uint64_t vhdx_replay_seq(const struct vhdx_replay *replay)
{
	return replay->head.seq;
}

/* Write the pages of `patch` and of those behind it that follow in the file; *n: how many. */
static int apply_pages(const struct vhdx_replay *replay, const struct vhdx_patch *patch,
		       size_t n_left, struct vd_io *io, uint8_t (*pages)[VHDX_PAGE], size_t *n,
		       struct vd_error *err)
{
	for (*n = 0; *n < n_left && *n < BATCH_PAGES && patch[*n].is_data &&
		     patch[*n].off == patch->off + *n * VHDX_PAGE;
	     (*n)++) {
		int rc = vhdx_patch_load(replay, &patch[*n], pages[*n], err);

		if (rc)
			return rc;
	}
	return vd_io_write(io, pages, *n * VHDX_PAGE, patch->off, err);
}

static int apply_patches(const struct vhdx_replay *replay, struct vd_io *io, struct vd_error *err)
{
	VD_AUTO_FREE uint8_t(*pages)[VHDX_PAGE] = vd_calloc(BATCH_PAGES, VHDX_PAGE);
	size_t n;

	if (!pages)
		return vd_no_memory(err, (size_t)BATCH_PAGES * VHDX_PAGE, "the replay of the log");
	for (size_t i = 0; i < replay->n_patches; i += n) {
		const struct vhdx_patch *patch = &replay->patches[i];
		uint64_t end = vd_min64(patch->end, replay->len);
		int rc = 0;

		n = 1;
		if (patch->is_data)
			rc = apply_pages(replay, patch, replay->n_patches - i, io, pages, &n, err);
		else if (patch->off < end)
			rc = vd_io_zero(io, patch->off, end - patch->off, VD_IO_ZERO_PUNCH, err);
		if (rc)
			return rc;
	}
	return 0;
}

int vhdx_replay_apply(struct vhdx_replay *replay, struct vd_io *io, struct vd_error *err)
{
	uint64_t len;
	int rc = vd_io_length(io, &len, err);

	if (!rc && len < replay->len && !VD_SABOTAGED(REPLAY_EXTEND))
		rc = vd_io_truncate(io, replay->len, err);
	if (!rc)
		rc = apply_patches(replay, io, err);
	if (!rc)
		rc = VD_SABOTAGED(REPLAY_SYNC) ? 0 : vd_io_sync(io, err);
	return rc ? vd_error_prefix(err, rc, "replaying the log") : 0;
}
