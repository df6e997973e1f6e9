/* SPDX-License-Identifier: MIT */
/*
 * Check the BAT (MS-VHDX 2.5): every entry on its own, and that no two things of the file share
 * space. Memory is bounded: one bit for each MiB of file that is used, in pages made on demand.
 */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "format/vhdx/vhdx_check.h"
#include "format/vhdx/vhdx_replay.h"

#define ENTRY         "MS-VHDX 2.5.1"
#define PAYLOAD       "MS-VHDX 2.5.1.1"
#define BITMAP        "MS-VHDX 2.5.1.2"

#define CHUNK_ENTRIES 8192u
#define UNITS         (VHDX_MAX_FILE / VD_MIB)
#define PAGE_UNITS    32768u /* bits of 4 KiB */
#define N_PAGES       (UNITS / PAGE_UNITS)
#define MAX_RATIO     32768u /* blocks of 1 MiB, sectors of 4,096 bytes */

struct bat_check {
	struct vhdx_checker *c;
	struct vhdx_geometry g;
	uint8_t *used[N_PAGES];
	/* Blocks of the current chunk that need its sector bitmap. */
	uint64_t n_partial, first_partial;
	uint8_t partial[MAX_RATIO / 8];
	uint8_t *bits;      /* of a sector bitmap */
	uint64_t n_claimed; /* payload blocks that aren't NOT_PRESENT */
	bool has_slack;
};

/* Mark [off, off + len), multiples of 1 MiB; *is_free: nobody had any of it. */
static int take(struct bat_check *b, uint64_t off, uint64_t len, bool *is_free,
		struct vd_error *err)
{
	*is_free = true;
	for (uint64_t unit = off / VD_MIB; unit < (off + len) / VD_MIB; unit++) {
		uint8_t **page = &b->used[unit / PAGE_UNITS], bit = (uint8_t)(1 << unit % 8);

		if (!*page)
			*page = vd_calloc(1, PAGE_UNITS / 8);
		if (!*page)
			return vd_no_memory(err, PAGE_UNITS / 8, "the space map");
		*is_free &= !((*page)[unit % PAGE_UNITS / 8] & bit);
		(*page)[unit % PAGE_UNITS / 8] |= bit;
	}
	return 0;
}

/* Regions and the log have been checked against each other. */
static int take_structure(struct bat_check *b, uint64_t off, uint64_t len, struct vd_error *err)
{
	bool is_free;

	if (!vd_is_within(off, len, VHDX_MAX_FILE))
		return 0;
	return take(b, off, len, &is_free, err);
}

static int take_structures(struct bat_check *b, struct vd_error *err)
{
	const struct vhdx_checker *c = b->c;
	int rc = take_structure(b, 0, VHDX_HEAD_END, err);

	if (!rc && c->has_header)
		rc = take_structure(b, c->header.log_off, c->header.log_len, err);
	if (!rc)
		rc = take_structure(b, c->regions.bat.off, c->regions.bat.len, err);
	if (!rc)
		rc = take_structure(b, c->regions.metadata.off, c->regions.metadata.len, err);
	for (uint32_t i = 0; !rc && i < c->regions.n_unknown; i++)
		rc = take_structure(b, c->regions.unknown[i].off, c->regions.unknown[i].len, err);
	return rc;
}

static uint64_t entry_at(const struct bat_check *b, uint64_t index)
{
	return b->c->regions.bat.off + index * 8;
}

/* What lies at `off`, for a person. */
static const char *holder(const struct bat_check *b, uint64_t off, uint64_t len)
{
	const struct vhdx_checker *c = b->c;

	if (off < VHDX_HEAD_END)
		return "the headers";
	if (c->has_header && vd_is_overlap(off, len, c->header.log_off, c->header.log_len))
		return "the log";
	if (vd_is_overlap(off, len, c->regions.bat.off, c->regions.bat.len))
		return "the BAT";
	if (vd_is_overlap(off, len, c->regions.metadata.off, c->regions.metadata.len))
		return "the metadata region";
	for (uint32_t i = 0; i < c->regions.n_unknown; i++)
		if (vd_is_overlap(off, len, c->regions.unknown[i].off, c->regions.unknown[i].len))
			return "an unknown region";
	return "another block";
}

/* The space that an entry claims. `is_stored`: it has content, not just a claim. */
static int check_space(struct bat_check *b, uint64_t index, uint64_t off, uint64_t len,
		       const char *what, uint64_t number, bool is_stored, struct vd_error *err)
{
	bool is_free;
	int rc;

	if (off < VHDX_HEAD_END || !vd_is_within(off, len, VHDX_MAX_FILE)) {
		vhdx_report(b->c, VD_FINDING_ERROR, "vhdx-bat-offset", ENTRY, entry_at(b, index),
			    "an offset from 1 MiB to 128 TiB", "%s %" PRIu64 " has offset %" PRIu64,
			    what, number, off);
		return 0;
	}
	rc = take(b, off, len, &is_free, err);
	if (rc)
		return rc;
	if (!is_free)
		vhdx_report(b->c, VD_FINDING_ERROR, "vhdx-bat-overlap", ENTRY, entry_at(b, index),
			    "space of its own", "%s %" PRIu64 " at %" PRIu64 " overlaps %s", what,
			    number, off, holder(b, off, len));
	if (is_stored && off + len > b->c->last_off)
		vhdx_report(b->c, VD_FINDING_WARNING, "vhdx-log-last-offset", "MS-VHDX 2.3.1.1",
			    entry_at(b, index), "a LastFileOffset that all structures fit into",
			    "%s %" PRIu64 " at %" PRIu64 " ends behind %" PRIu64
			    ", the LastFileOffset of the newest log entry",
			    what, number, off, b->c->last_off);
	if (is_stored && off >= b->c->len)
		vhdx_report(b->c, VD_FINDING_WARNING, "vhdx-bat-beyond-end", ENTRY,
			    entry_at(b, index), "a block within the file",
			    "%s %" PRIu64 " at %" PRIu64
			    " lies behind the end of the file (%" PRIu64 "); it reads as zero",
			    what, number, off, b->c->len);
	else if (is_stored && off + len > b->c->len)
		vhdx_report(b->c, VD_FINDING_WARNING, "vhdx-bat-beyond-end", ENTRY,
			    entry_at(b, index), "a file that holds whole blocks",
			    "the file ends (at %" PRIu64 ") within %s %" PRIu64 " at %" PRIu64,
			    b->c->len, what, number, off);
	return 0;
}

/* What is logged is written again by every replay: payload must not be. */
static void check_logged(struct bat_check *b, uint64_t index, uint64_t block, uint64_t off)
{
	const struct vhdx_patch *patch = b->c->replay ? vhdx_patch_find(b->c->replay, off) : NULL;

	if (patch && patch->off < off + b->c->params.block_size)
		vhdx_report(b->c, VD_FINDING_ERROR, "vhdx-log-payload", "MS-VHDX 2.3",
			    entry_at(b, index), "a log that leaves payload blocks alone",
			    "the log writes to %" PRIu64 ", into block %" PRIu64 " at %" PRIu64,
			    vd_max64(patch->off, off), block, off);
}

static int check_payload(struct bat_check *b, uint64_t index, uint64_t block, uint64_t entry,
			 struct vd_error *err)
{
	uint64_t at = entry_at(b, index), off = VHDX_ENTRY_OFF(entry);
	enum vhdx_state state = VHDX_ENTRY_STATE(entry);
	uint64_t ratio = (uint64_t)1 << b->g.ratio_bits;
	uint32_t len = b->c->params.block_size;

	b->n_claimed += state != VHDX_NOT_PRESENT;
	if (VHDX_ENTRY_RESERVED(entry))
		vhdx_report(b->c, VD_FINDING_WARNING, "vhdx-bat-reserved", ENTRY, at,
			    "reserved bits 0", "block %" PRIu64 " has entry %016" PRIx64, block,
			    entry);
	switch (state) {
	case VHDX_PARTIAL:
		if (!b->c->params.has_parent)
			vhdx_report(b->c, VD_FINDING_ERROR, "vhdx-bat-partial", PAYLOAD, at,
				    "partially present blocks only in a differencing image",
				    "block %" PRIu64 " is partially present", block);
		else if (b->n_partial++ == 0)
			b->first_partial = block;
		b->partial[block % ratio / 8] |= (uint8_t)(1 << block % 8);
		check_logged(b, index, block, off);
		return check_space(b, index, off, len, "block", block, true, err);
	case VHDX_PRESENT:
		check_logged(b, index, block, off);
		return check_space(b, index, off, len, "block", block, true, err);
	case VHDX_UNMAPPED_V095:
		vhdx_report(b->c, VD_FINDING_WARNING, "vhdx-bat-old-state", PAYLOAD, at,
			    "state 3 (unmapped)",
			    "block %" PRIu64 " has state 5, which is unmapped in files of v0.95",
			    block);
		return off ? check_space(b, index, off, len, "block", block, false, err) : 0;
	case VHDX_UNDEFINED:
	case VHDX_UNMAPPED:
		return off ? check_space(b, index, off, len, "block", block, false, err) : 0;
	case VHDX_NOT_PRESENT:
	case VHDX_ZERO:
		if (off)
			vhdx_report(b->c, VD_FINDING_WARNING, "vhdx-bat-stray-offset", PAYLOAD, at,
				    "offset 0 in state 0 or 2",
				    "block %" PRIu64 " stores nothing but has offset %" PRIu64,
				    block, off);
		return 0;
	default:
		vhdx_report(b->c, VD_FINDING_ERROR, "vhdx-bat-state", PAYLOAD, at,
			    "state 0, 1, 2, 3, 6 or 7", "block %" PRIu64 " has state %u", block,
			    (unsigned int)state);
		return 0;
	}
}

static int check_bitmap(struct bat_check *b, uint64_t index, uint64_t chunk, uint64_t entry,
			struct vd_error *err)
{
	uint64_t at = entry_at(b, index), off = VHDX_ENTRY_OFF(entry);
	unsigned int state = VHDX_ENTRY_STATE(entry);
	uint64_t n_partial = b->n_partial;
	int rc = 0;

	b->n_partial = 0;
	if (!b->c->params.has_parent) {
		/* Readers have no use for it. Older versions of QEMU leave such entries behind. */
		if (entry)
			vhdx_report(b->c, VD_FINDING_WARNING, "vhdx-bat-stray-bitmap", BITMAP, at,
				    "0 in an image without parent",
				    "sector bitmap %" PRIu64 " has entry %016" PRIx64, chunk,
				    entry);
		return 0;
	}
	if (VHDX_ENTRY_RESERVED(entry))
		vhdx_report(b->c, VD_FINDING_WARNING, "vhdx-bat-reserved", ENTRY, at,
			    "reserved bits 0", "sector bitmap %" PRIu64 " has entry %016" PRIx64,
			    chunk, entry);
	if (n_partial && state != VHDX_PRESENT)
		vhdx_report(b->c, VD_FINDING_ERROR, "vhdx-bat-no-bitmap", BITMAP, at,
			    "a present sector bitmap",
			    "sector bitmap %" PRIu64 " isn't present, but %" PRIu64
			    " blocks from %" PRIu64 " on need it",
			    chunk, n_partial, b->first_partial);
	if (state == VHDX_PRESENT) {
		rc =
		    check_space(b, index, off, VHDX_BITMAP_SIZE, "sector bitmap", chunk, true, err);
		if (!rc && n_partial && vd_is_within(off, VHDX_BITMAP_SIZE, b->c->len))
			rc = vhdx_check_bits(b->c, &b->g, chunk, off, b->partial, &b->bits, err);
		memset(b->partial, 0, sizeof(b->partial));
		return rc;
	}
	memset(b->partial, 0, sizeof(b->partial));
	if (state != VHDX_NOT_PRESENT)
		vhdx_report(b->c, VD_FINDING_ERROR, "vhdx-bat-bitmap-state", BITMAP, at,
			    "state 0 or 6", "sector bitmap %" PRIu64 " has state %u", chunk, state);
	else if (off)
		vhdx_report(b->c, VD_FINDING_WARNING, "vhdx-bat-stray-offset", BITMAP, at,
			    "offset 0 in state 0",
			    "sector bitmap %" PRIu64 " isn't present but has offset %" PRIu64,
			    chunk, off);
	return 0;
}

/* Behind the last block of a child the table goes on up to the last bitmap. */
static void check_slack(struct bat_check *b, uint64_t index, uint64_t entry)
{
	if (!b->has_slack)
		vhdx_report(b->c, VD_FINDING_NOTE, "vhdx-bat-slack", "MS-VHDX 2.5",
			    entry_at(b, index), "zeros behind the entry of the last block",
			    "BAT entry %" PRIu64 ", which belongs to no block, is %016" PRIx64,
			    index, entry);
	b->has_slack = true;
}

/* Entries [first, first + n), read into `chunk`. */
static int check_chunk(struct bat_check *b, const struct vd_le64 *chunk, uint64_t first, uint64_t n,
		       struct vd_error *err)
{
	const uint64_t ratio = (uint64_t)1 << b->g.ratio_bits;
	uint64_t group = first / (ratio + 1), within = first % (ratio + 1);
	int rc = 0;

	for (uint64_t i = 0; !rc && i < n; i++) {
		uint64_t entry = vd_get64(chunk[i]), block = group * ratio + within;

		if (within == ratio) {
			rc = check_bitmap(b, first + i, group, entry, err);
			group++;
			within = 0;
			continue;
		}
		if (entry && block < b->g.n_blocks)
			rc = check_payload(b, first + i, block, entry, err);
		else if (entry)
			check_slack(b, first + i, entry);
		within++;
	}
	return rc;
}

static int check_entries(struct bat_check *b, struct vd_error *err)
{
	VD_AUTO_FREE struct vd_le64 *chunk = vd_malloc(CHUNK_ENTRIES * sizeof(*chunk));
	const struct vhdx_region *bat = &b->c->regions.bat;
	uint64_t data_start = 0, data_end = 0;

	if (!chunk)
		return vd_no_memory(err, CHUNK_ENTRIES * sizeof(*chunk), "the BAT");
	for (uint64_t i = 0, n; i < b->g.n_entries; i += n) {
		uint64_t at = bat->off + i * 8, end;
		int rc = 0;

		n = vd_min64(CHUNK_ENTRIES, b->g.n_entries - i);
		end = at + n * 8;
		/* Holes of the file needn't be read: most of a large disk's BAT may be one. */
		if (data_end <= at)
			rc = vd_io_next_data(b->c->view, at, bat->off + bat->len, &data_start,
					     &data_end, err);
		if (!rc && data_start < end && data_end > at) {
			rc = vd_io_read(b->c->view, chunk, n * 8, at, err);
			if (!rc)
				rc = check_chunk(b, chunk, i, n, err);
		} else if (!rc && b->n_partial) {
			memset(chunk, 0, n * 8);
			rc = check_chunk(b, chunk, i, n, err);
		}
		if (rc)
			return rc;
	}
	return 0;
}

/* An image that is to keep the space of all its blocks (LeaveBlockAllocated). */
static void check_fixed(struct bat_check *b)
{
	const struct vhdx_checker *c = b->c;
	uint64_t needed = VHDX_HEAD_END + c->header.log_len + c->regions.bat.len +
			  c->regions.metadata.len + b->g.n_blocks * c->params.block_size;
	uint64_t n_absent = b->g.n_blocks - b->n_claimed;

	if (!c->params.leave_allocated || c->params.has_parent)
		return;
	if (c->len < needed)
		vhdx_report(b->c, VD_FINDING_WARNING, "vhdx-fixed-size", "MS-VHDX 2.6.2.1", c->len,
			    "a file that holds all blocks of a fixed image",
			    "file of %" PRIu64 " bytes, all blocks need %" PRIu64, c->len, needed);
	if (n_absent)
		vhdx_report(b->c, VD_FINDING_NOTE, "vhdx-fixed-absent", PAYLOAD, c->regions.bat.off,
			    "no block in state 0 in a fixed image",
			    "%" PRIu64 " blocks of a fixed image aren't present", n_absent);
}

int vhdx_check_bat(struct vhdx_checker *c, struct vd_error *err)
{
	struct bat_check *b = vd_calloc(1, sizeof(*b));
	int rc;

	if (!b)
		return vd_no_memory(err, sizeof(*b), "the check of the BAT");
	b->c = c;
	vhdx_geometry_init(&b->g, &c->params);
	rc = take_structures(b, err);
	if (!rc)
		rc = check_entries(b, err);
	if (!rc)
		check_fixed(b);
	vd_free(b->bits);
	for (size_t i = 0; i < N_PAGES; i++)
		vd_free(b->used[i]);
	vd_free(b);
	return rc;
}
