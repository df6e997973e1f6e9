/* SPDX-License-Identifier: MIT */
/*
 * A list of what is in use on the disk, from somebody who knows: all else is discarded. As with
 * free_space.c that changes what a guest reads, and is refused where a child would see it. Where
 * guests write meanwhile, a block that was written since the list's generation began is left alone
 * whole, and one that is being written waits or is left for the next time.
 */
#include <stdlib.h>

#include "compact.h"
#include "generation.h"

struct freeing {
	struct compaction *c;
	uint8_t *is_stored; /* a bit per block that the file had when we began */
	uint64_t live;      /* the block that was last found to be in use, not to ask again */
	struct vd_error *err;
};

static int refuse(const char *what, size_t i, struct vd_error *err)
{
	return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "layout: extent %zu %s", i + 1, what);
}

static int check_extents(const struct compaction *c, struct vd_error *err)
{
	uint64_t disk = vd_disk_size(c->disk), end = 0;

	if (!c->opts.n_in_use)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "layout: there is no extent in it, nothing would be left");
	for (size_t i = 0; i < c->opts.n_in_use; i++) {
		const struct vd_compact_extent *e = &c->opts.in_use[i];

		if (!e->length)
			return refuse("is empty", i, err);
		if (e->start < end)
			return refuse("begins before the one before it ends", i, err);
		if (e->start > disk || e->length > disk - e->start)
			return refuse("ends behind the end of the disk", i, err);
		end = e->start + e->length;
	}
	return 0;
}

static int list_stored(struct freeing *f)
{
	struct compaction *c = f->c;
	int ret = compact_list(c, f->err);

	if (ret)
		return ret;
	f->is_stored = calloc(c->space.n_blocks / 8 + 1, 1);
	if (!f->is_stored)
		return vd_error_set(f->err, VD_ENOMEM, 0, VD_NO_OFFSET, "no memory for a map");
	for (size_t i = 0; i < c->n_uses; i++)
		if (c->uses[i].use == VD_USE_BLOCK && c->uses[i].number < c->space.n_blocks)
			f->is_stored[c->uses[i].number / 8] |=
			    (uint8_t)(1u << c->uses[i].number % 8);
	return 0;
}

static int stale(struct vd_error *err)
{
	return vd_error_set(
	    err, VD_EBUSY, 0, VD_NO_OFFSET,
	    "layout: another generation was begun meanwhile, so that it isn't known "
	    "any more what was written since this one; what is done stays");
}

/* [start, end) of one block. */
static int give_back(struct freeing *f, uint64_t block, uint64_t start, uint64_t end)
{
	struct compaction *c = f->c;
	uint64_t disk = vd_disk_size(c->disk), size = c->space.block_size;
	bool is_dry = c->opts.flags & VD_COMPACT_DRY_RUN;
	bool is_whole = start == block * size && (end == start + size || end == disk);
	int ret;

	if (c->opts.generation) {
		switch (generation_claim(c->opts.generation, c->opts.generation_id, block,
					 c->opts.hold_ms)) {
		case CLAIM_STALE:
			return stale(f->err);
		case CLAIM_BUSY:
			c->result->n_deferred++;
			f->live = block;
			return 0;
		case CLAIM_WRITTEN:
			f->live = block;
			return 0;
		case CLAIM_HAD:
			break;
		}
	}
	ret = is_dry ? dry_free_mark(c, start, end, f->err)
		     : vd_disk_discard(c->disk, start, end - start, f->err);
	if (c->opts.generation)
		generation_release(c->opts.generation, block);
	if (!ret && !is_dry && is_whole)
		c->result->freed_guest += size;
	return ret;
}

/* What lies between two extents. */
static int free_gap(struct freeing *f, uint64_t start, uint64_t end)
{
	struct compaction *c = f->c;
	uint64_t size = c->space.block_size;
	int ret = 0;

	while (start < end && !ret) {
		uint64_t block = start / size, next = (block + 1) * size;

		next = next < end ? next : end;
		if (block != f->live && f->is_stored[block / 8] >> block % 8 & 1) {
			c->progress.done = block;
			ret = give_back(f, block, start, next);
			if (!ret)
				ret = compact_pause(c, f->err);
		}
		start = next;
	}
	return ret;
}

int compact_free_layout(struct compaction *c, struct vd_error *err)
{
	struct freeing f = {.c = c, .live = UINT64_MAX, .err = err};
	bool is_dry = c->opts.flags & VD_COMPACT_DRY_RUN;
	uint64_t at = 0;
	int ret = check_extents(c, err);

	if (!ret && c->opts.generation &&
	    !vd_generation_is(c->opts.generation, c->opts.generation_id))
		ret = vd_error_set(err, VD_EBUSY, 0, VD_NO_OFFSET,
				   "layout: it isn't of the present generation; what was written "
				   "since its own isn't known");
	if (!ret)
		ret = compact_refuse_children(c, err);
	if (!ret)
		ret = list_stored(&f);
	if (!ret && is_dry)
		ret = dry_free_begin(c, err);
	/* A fixed disk keeps its space. */
	if (!ret && !c->space.can_drop)
		at = vd_disk_size(c->disk);
	c->progress.phase = "free";
	c->progress.done = 0;
	c->progress.total = c->space.n_blocks;
	for (size_t i = 0; i < c->opts.n_in_use && !ret && c->space.can_drop; i++) {
		const struct vd_compact_extent *e = &c->opts.in_use[i];

		ret = free_gap(&f, at, e->start);
		at = e->start + e->length;
	}
	if (!ret)
		ret = free_gap(&f, at, vd_disk_size(c->disk));
	if (!ret && is_dry)
		ret = dry_free_end(c, err);
	free(f.is_stored);
	return ret;
}
