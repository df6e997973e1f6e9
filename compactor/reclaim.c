/* SPDX-License-Identifier: MIT */
/*
 * What can go without a look at the guest: blocks for which the host holds nothing, blocks and
 * parts of blocks that are zero, claims of blocks without content.
 */
#include "compact.h"

static bool is_dry(const struct compaction *c)
{
	return c->opts.flags & VD_COMPACT_DRY_RUN;
}

static int look_only(struct compaction *c, struct vd_use_range *use, struct vd_error *err)
{
	bool scans = c->opts.flags & VD_COMPACT_ZERO_SCAN;
	struct dry_block block;
	int ret;

	if (dry_free_has(c, use->number)) {
		c->result->freed_guest += use->length;
		use->use = VD_USE_FREE;
		return 0;
	}
	ret = dry_look(c, use, &block, err);
	if (ret)
		return ret;
	block.is_hole |= dry_free_empties(c, use->number);
	if (use->is_whole && block.is_hole)
		c->result->dropped_hole += use->length;
	else if (use->is_whole && block.is_zero && scans)
		c->result->dropped_zero += use->length;
	else
		c->result->punched += block.n_punched;
	if (use->is_whole && (block.is_hole || (block.is_zero && scans)))
		use->use = VD_USE_FREE;
	return 0;
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

	/* A fixed disk keeps its space, as it does when it is discarded. */
	if (!c->space.can_drop)
		return 0;
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
