/* SPDX-License-Identifier: MIT */
/*
 * What can go without a look at the guest: blocks for which the host holds nothing, blocks and
 * parts of blocks that are zero, claims of blocks without content.
 */
#include <stdlib.h>

#include <vdisk/sys/io.h>

#include "compact.h"

#define PUNCH_UNIT 4096u
#define SCAN_CHUNK (1u << 20)

static bool is_dry(const struct compaction *c)
{
	return c->opts.flags & VD_COMPACT_DRY_RUN;
}

/* For the dry run: the block is a hole of the file, or zero if that is asked for. */
static int would_go(struct compaction *c, const struct vd_use_range *use, bool *is_hole,
		    bool *is_zero, struct vd_error *err)
{
	struct vd_io *io = vd_disk_io(c->disk);
	uint64_t start, end, at = use->number * c->space.block_size, limit;
	uint8_t *chunk;
	int ret = vd_io_next_data(io, use->offset, use->offset + use->length, &start, &end, err);

	*is_hole = !ret && start >= use->offset + use->length;
	*is_zero = false;
	if (ret || *is_hole || !(c->opts.flags & VD_COMPACT_ZERO_SCAN))
		return ret;
	chunk = malloc(SCAN_CHUNK);
	if (!chunk)
		return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "no memory to look for zeros");
	limit = at + c->space.block_size < vd_disk_size(c->disk) ? at + c->space.block_size
								 : vd_disk_size(c->disk);
	*is_zero = true;
	while (at < limit && !ret && *is_zero) {
		uint64_t n = limit - at < SCAN_CHUNK ? limit - at : SCAN_CHUNK;

		ret = vd_disk_read(c->disk, chunk, n, at, err);
		for (uint64_t i = 0; i < n && *is_zero; i++)
			*is_zero = chunk[i] == 0;
		at += n;
	}
	free(chunk);
	return ret;
}

static int look_only(struct compaction *c, struct vd_use_range *use, struct vd_error *err)
{
	bool is_hole = false, is_zero = false;
	int ret = 0;

	if (!c->space.can_drop)
		return 0;
	if (c->is_free && c->is_free[use->number / 8] & 1u << use->number % 8) {
		c->result->freed_guest += use->length;
		use->use = VD_USE_FREE;
		return 0;
	}
	if (!use->is_whole)
		return 0;
	ret = would_go(c, use, &is_hole, &is_zero, err);
	if (is_hole)
		c->result->dropped_hole += use->length;
	else if (is_zero)
		c->result->dropped_zero += use->length;
	if (is_hole || is_zero)
		use->use = VD_USE_FREE;
	return ret;
}

/* Too busy is no failure: it stays for the next time. */
static int excuse(struct compaction *c, int ret)
{
	if (ret != VD_EBUSY)
		return ret;
	c->result->n_deferred++;
	return 0;
}

static int reclaim_block(struct compaction *c, const struct vd_use_range *use, struct vd_error *err)
{
	uint64_t n = 0;
	bool scans = c->opts.flags & VD_COMPACT_ZERO_SCAN;
	int ret = 0;

	if (use->is_whole) {
		ret = excuse(c, vd_disk_drop_block(c->disk, use->number, VD_DROP_HOLE,
						   c->opts.hold_ms, &n, err));
		c->result->dropped_hole += n;
	}
	if (!ret && !n && scans && use->is_whole) {
		ret = excuse(c, vd_disk_drop_block(c->disk, use->number, VD_DROP_ZERO,
						   c->opts.hold_ms, &n, err));
		c->result->dropped_zero += n;
	}
	if (!ret && !n && scans) {
		ret = excuse(c, vd_disk_punch_block(c->disk, use->number, PUNCH_UNIT,
						    c->opts.hold_ms, &n, err));
		c->result->punched += n;
		/* A host without holes: nothing to be had inside blocks. */
		if (ret == VD_EUNSUPPORTED)
			ret = 0;
	}
	return ret;
}

static int reclaim_one(struct compaction *c, struct vd_use_range *use, struct vd_error *err)
{
	uint64_t n = 0;
	int ret;

	if (use->use == VD_USE_BLOCK)
		return is_dry(c) ? look_only(c, use, err) : reclaim_block(c, use, err);
	if (use->use != VD_USE_ANCHOR)
		return 0;
	if (is_dry(c)) {
		c->result->dropped_anchor += use->length;
		use->use = VD_USE_FREE;
		return 0;
	}
	ret = excuse(
	    c, vd_disk_drop_block(c->disk, use->number, VD_DROP_HOLE, c->opts.hold_ms, &n, err));
	c->result->dropped_anchor += n;
	return ret;
}

int compact_reclaim(struct compaction *c, struct vd_error *err)
{
	int ret = compact_list(c, err);

	c->progress.phase = c->opts.flags & VD_COMPACT_DRY_RUN ? "look" : "free";
	c->progress.total = c->n_uses;
	for (size_t i = 0; i < c->n_uses && !ret; i++) {
		c->progress.done = i;
		ret = i % 64 == 0 || (c->opts.flags & VD_COMPACT_ZERO_SCAN) ? compact_pause(c, err)
									    : 0;
		if (!ret)
			ret = reclaim_one(c, &c->uses[i], err);
	}
	if (!ret && !is_dry(c))
		ret = vd_disk_flush(c->disk, err);
	return ret;
}
