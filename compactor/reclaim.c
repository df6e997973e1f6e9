/* SPDX-License-Identifier: MIT */
/*
 * What can go without a look at the guest: blocks for which the host holds nothing, blocks and
 * parts of blocks that are zero, claims of blocks without content.
 */
#include <stdlib.h>

#include "compact.h"

static bool is_dry(const struct compaction *c)
{
	return c->opts.flags & VD_COMPACT_DRY_RUN;
}

static int look_only(struct compaction *c, struct vd_use_range *use, const struct scan_result *seen,
		     struct vd_error *err)
{
	bool scans = c->opts.flags & VD_COMPACT_ZERO_SCAN;
	struct dry_block block = seen->block;

	if (dry_free_has(c, use->number)) {
		c->result->freed_guest += use->length;
		use->use = VD_USE_FREE;
		return 0;
	}
	if (seen->code) {
		if (err)
			*err = seen->err;
		return seen->code;
	}
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

/* A block in which the first look saw no zeros needs no second one. */
static bool is_worth_it(const struct scan_result *seen)
{
	return seen->code || seen->block.is_zero || seen->block.n_punched;
}

static int reclaim_block(struct compaction *c, const struct vd_use_range *use,
			 const struct scan_result *seen, struct vd_error *err)
{
	uint64_t n = 0;
	bool scans = c->opts.flags & VD_COMPACT_ZERO_SCAN && is_worth_it(seen);
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

static int reclaim_one(struct compaction *c, struct vd_use_range *use,
		       const struct scan_result *seen, struct vd_error *err)
{
	uint64_t n = 0;
	int ret;

	/* A fixed disk keeps its space, as it does when it is discarded. */
	if (!c->space.can_drop)
		return 0;
	if (use->use == VD_USE_BLOCK)
		return is_dry(c) ? look_only(c, use, seen, err) : reclaim_block(c, use, seen, err);
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

/* Some of the uses; in a dry run and for the zero scan with a first look at all of them. */
static int reclaim_some(struct compaction *c, size_t first, size_t n, struct scan_result *seen,
			struct vd_error *err)
{
	int ret = 0;

	if (c->space.can_drop && (is_dry(c) || c->opts.flags & VD_COMPACT_ZERO_SCAN))
		scan_look(c, &c->uses[first], n, seen);
	for (size_t i = 0; i < n && !ret; i++) {
		c->progress.done = first + i;
		ret = (c->opts.flags & VD_COMPACT_ZERO_SCAN) || i == 0 ? compact_pause(c, err) : 0;
		if (!ret)
			ret = reclaim_one(c, &c->uses[first + i], &seen[i], err);
	}
	return ret;
}

int compact_reclaim(struct compaction *c, struct vd_error *err)
{
	struct scan_result *seen = calloc(SCAN_BATCH, sizeof(*seen));
	int ret =
	    seen ? compact_list(c, err)
		 : vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "no memory to look at blocks");
	size_t step = scan_batch_size(c);

	c->progress.phase = c->opts.flags & VD_COMPACT_DRY_RUN ? "look" : "free";
	c->progress.total = c->n_uses;
	for (size_t i = 0; i < c->n_uses && !ret; i += step)
		ret = reclaim_some(c, i, c->n_uses - i < step ? c->n_uses - i : step, seen, err);
	if (!ret && !is_dry(c))
		ret = vd_disk_flush(c->disk, err);
	free(seen);
	return ret;
}
