/* SPDX-License-Identifier: MIT */
/*
 * Plan, move, cut; and again, as long as that gains something: beside guests a plan is outdated
 * when it is made. What a move finds changed it leaves alone, and the next plan sees it as it is.
 *
 * A move that copies is committed before the next one, so that its old place is given back and no
 * more than one block is there twice. Where nobody else uses the disk several are committed at a
 * time, as long as the host holds no more than before, one block and the length of the log. Moves
 * that share their extents cost no space and are committed together.
 */
#include <stdlib.h>
#include <string.h>

#include "compact.h"

#define MAX_ROUNDS  16
#define SHARED_ONCE 64                   /* moves by reflink between two commits */
#define COPIED_ONCE ((uint64_t)32 << 20) /* bytes at most; more per sync gains nothing */
#define TRIES       3 /* for one move: what its target was freed by may have to be committed */

/* Items of the plan, from what was listed. Returns how many; NULL: no memory. */
static struct plan_item *items_from(const struct compaction *c, size_t *n, bool *has_busy)
{
	struct plan_item *items = calloc(c->n_uses + 1, sizeof(*items));
	uint64_t granule = c->space.granule;

	*n = 0;
	*has_busy = false;
	for (size_t i = 0; items && i < c->n_uses; i++) {
		const struct vd_use_range *use = &c->uses[i];

		if (use->use == VD_USE_FREE || !use->length)
			continue;
		*has_busy |= use->use == VD_USE_BUSY;
		items[(*n)++] = (struct plan_item){.at = use->offset / granule,
						   .n = (use->length + granule - 1) / granule,
						   .kind = use->use == VD_USE_BLOCK    ? PLAN_BLOCK
							   : use->use == VD_USE_BITMAP ? PLAN_BITMAP
										       : PLAN_FIXED,
						   .number = use->number};
	}
	return items;
}

/* While guests write, a listing may show a block at both of its places, or space on its way to or
 * from one, which is in the way for now. Later ones are right. */
static int make_plan(struct compaction *c, struct plan *plan, bool *is_blurred,
		     struct vd_error *err)
{
	size_t n;
	struct plan_item *items = items_from(c, &n, is_blurred);
	uint64_t block_n = c->space.block_size / c->space.granule;
	int rc;

	if (!items)
		return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET,
				    "no memory for a plan of %zu blocks", c->n_uses);
	rc = c->opts.level == VD_COMPACT_DEFRAG ? plan_defrag(plan, items, n, block_n)
						: plan_pack(plan, items, n, block_n);
	free(items);
	*is_blurred |= rc == -2;
	plan->is_known = !rc;
	if (rc == -1)
		return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET,
				    "no memory for a plan of %zu blocks", c->n_uses);
	return 0;
}

static bool may_pass(int ret)
{
	return ret == VD_EEXIST || ret == VD_ENOENT || ret == VD_EBUSY;
}

/* How many bytes may be there twice until the next commit, besides one block. A MiB is left for
 * what the commit itself writes. */
static uint64_t room_for_copies(struct compaction *c)
{
	uint64_t limit;

	if (!(c->opts.flags & VD_COMPACT_ALONE) || vd_disk_get_space(c->disk, &c->space, NULL) ||
	    c->space.allocated == UINT64_MAX || c->result->allocated_before == UINT64_MAX)
		return 0;
	limit = c->result->allocated_before + c->space.log_size;
	if (c->space.allocated + c->space.granule >= limit)
		return 0;
	limit -= c->space.allocated + c->space.granule;
	return limit < COPIED_ONCE ? limit : COPIED_ONCE;
}

/* What is in the way of a move and goes away by a commit: its target isn't given back yet, or what
 * waits for the commit has filled the host. */
static bool may_try_again(int ret, uint64_t n_waiting)
{
	return ret == VD_EEXIST || (ret == VD_ENOSPC && n_waiting);
}

/* One move. What is in its way is brought to its end once: by a commit, and then by the end of the
 * lap, for the place of a bitmap block. *n_waiting: bytes copied that aren't committed yet. */
static int make_move(struct compaction *c, const struct plan_move *move, uint64_t *n_waiting,
		     struct vd_error *err)
{
	struct vd_move_result result = {.size = sizeof(result)};
	uint64_t granule = c->space.granule;
	int ret = VD_EEXIST;

	for (int i = 0; i < TRIES && may_try_again(ret, *n_waiting); i++) {
		ret = !i ? 0 : i == 1 ? vd_disk_flush(c->disk, err) : compact_settle(c, err);
		if (ret)
			return ret;
		ret = vd_disk_move_block(
		    c->disk, move->kind == PLAN_BLOCK ? VD_USE_BLOCK : VD_USE_BITMAP, move->number,
		    move->from * granule, move->to * granule, c->opts.hold_ms, &result, err);
	}
	c->result->bytes_copied += result.n_copied;
	c->result->bytes_shared += result.n_shared;
	c->result->n_recopied += result.n_recopied;
	if (result.held_ns > c->result->longest_hold_ns)
		c->result->longest_hold_ns = result.held_ns;
	*n_waiting += result.n_copied;
	if (!ret)
		c->result->n_moves++;
	return ret;
}

/* *n_missed: moves that couldn't be made. */
static int make_moves(struct compaction *c, const struct plan *plan, size_t *n_missed,
		      struct vd_error *err)
{
	uint64_t n_waiting = 0, room = room_for_copies(c);
	int n_uncommitted = 0, ret = 0;

	*n_missed = 0;
	c->progress.phase = "move";
	c->progress.total = plan->n_moves;
	for (size_t i = 0; i < plan->n_moves; i++) {
		c->progress.done = i;
		ret = compact_pause(c, err);
		if (!ret)
			ret = make_move(c, &plan->moves[i], &n_waiting, err);
		if (may_pass(ret)) {
			ret = 0;
			(*n_missed)++;
		}
		n_uncommitted++;
		if (!ret && (n_waiting > room || n_uncommitted == SHARED_ONCE)) {
			n_uncommitted = 0;
			n_waiting = 0;
			ret = vd_disk_flush(c->disk, err);
			room = room_for_copies(c);
		}
		if (ret)
			break;
	}
	return ret ? ret : vd_disk_flush(c->disk, err);
}

static int cut(struct compaction *c, struct vd_error *err)
{
	uint64_t length;

	c->progress.phase = "cut";
	c->progress.done = 0;
	c->progress.total = 1;
	return vd_disk_cut(c->disk, 0, &length, err);
}

static void tell_dry(struct compaction *c, const struct plan *plan)
{
	uint64_t granule = c->space.granule;

	c->result->n_moves_planned = plan->n_moves;
	for (size_t i = 0; i < plan->n_moves; i++)
		c->result->bytes_copied +=
		    plan->moves[i].kind == PLAN_BLOCK ? c->space.block_size : granule;
	c->result->file_after = plan->end_then * granule;
	c->result->is_complete = plan->n_moves == 0 && c->result->file_after == c->space.file_size;
}

/* One round. *is_done: there is nothing left to do. */
static int round_of_moves(struct compaction *c, int round, bool *is_done, struct vd_error *err)
{
	struct plan plan = {0};
	bool is_blurred;
	size_t n_missed = 0;
	int ret = 0;

	/* The dry run plans with what it would have freed. */
	if (!(c->opts.flags & VD_COMPACT_DRY_RUN))
		ret = compact_list(c, err);
	if (!ret)
		ret = make_plan(c, &plan, &is_blurred, err);
	if (ret)
		return ret;
	if (plan.is_known)
		c->result->file_least = plan.end_least * c->space.granule;
	if (c->opts.flags & VD_COMPACT_DRY_RUN && !plan.is_known) {
		plan_free(&plan);
		return vd_error_set(err, VD_EBUSY, 0, VD_NO_OFFSET,
				    "the image changes too fast for a plan, or blocks overlap "
				    "(`vdtool check` tells)");
	}
	if (c->opts.flags & VD_COMPACT_DRY_RUN) {
		tell_dry(c, &plan);
		plan_free(&plan);
		*is_done = true;
		return 0;
	}
	if (round == 0)
		c->result->n_moves_planned = plan.n_moves;
	*is_done = plan.n_moves == 0 && !is_blurred;
	ret = make_moves(c, &plan, &n_missed, err);
	if (!ret)
		ret = cut(c, err);
	c->result->n_deferred += n_missed;
	plan_free(&plan);
	return ret;
}

int compact_pack(struct compaction *c, struct vd_error *err)
{
	bool is_done = false;
	int ret = c->opts.flags & VD_COMPACT_DRY_RUN ? 0 : compact_settle(c, err);

	for (int round = 0; round < MAX_ROUNDS && !is_done && !ret; round++)
		ret = round_of_moves(c, round, &is_done, err);
	if (!(c->opts.flags & VD_COMPACT_DRY_RUN))
		c->result->is_complete = is_done && !ret;
	return ret;
}
