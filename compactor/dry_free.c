/* SPDX-License-Identifier: MIT */
/*
 * The dry run of free_space.c: which blocks discards would drop, and which they would empty piece
 * by piece so that nothing is left for the host to hold. Exact for the latter, too: a block counts
 * if each piece of it that the host holds is free as a whole, or zero where zeros are looked for.
 * Free stretches come in the order of the disk, so one block at a time is looked at in pieces.
 */
#include <stdlib.h>
#include <string.h>

#include <vdisk/sys/io.h>

#include "compact.h"

#define UNIT 4096u /* what a host's file system holds or doesn't */
#define NONE UINT64_MAX

struct dry_free {
	uint8_t *is_free, *is_emptied; /* a bit per block */
	struct vd_use_range *stored;   /* blocks, by number */
	size_t n_stored;
	uint64_t block;  /* the one that is looked at in pieces */
	uint8_t *pieces; /* of it: a bit per UNIT that is free */
	uint8_t unit[UNIT];
};

static bool has_bit(const uint8_t *bits, uint64_t i)
{
	return bits[i / 8] >> i % 8 & 1;
}

static void set_bit(uint8_t *bits, uint64_t i)
{
	bits[i / 8] |= (uint8_t)(1u << i % 8);
}

static int by_number(const void *a, const void *b)
{
	const struct vd_use_range *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

static void list_stored(struct dry_free *d, const struct compaction *c)
{
	for (size_t i = 0; i < c->n_uses; i++)
		if (c->uses[i].use == VD_USE_BLOCK && c->uses[i].is_whole)
			d->stored[d->n_stored++] = c->uses[i];
	qsort(d->stored, d->n_stored, sizeof(*d->stored), by_number);
}

int dry_free_begin(struct compaction *c, struct vd_error *err)
{
	int ret = compact_list(c, err);
	struct dry_free *d;

	if (ret)
		return ret;
	d = c->dry_free = calloc(1, sizeof(*d));
	if (d) {
		d->block = NONE;
		d->is_free = calloc(c->space.n_blocks / 8 + 1, 1);
		d->is_emptied = calloc(c->space.n_blocks / 8 + 1, 1);
		d->stored = calloc(c->n_uses + 1, sizeof(*d->stored));
		d->pieces = calloc(c->space.block_size / UNIT / 8 + 1, 1);
	}
	if (!d || !d->is_free || !d->is_emptied || !d->stored || !d->pieces)
		return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "no memory for a map");
	list_stored(d, c);
	return 0;
}

void dry_free_drop(struct compaction *c)
{
	if (!c->dry_free)
		return;
	free(c->dry_free->is_free);
	free(c->dry_free->is_emptied);
	free(c->dry_free->stored);
	free(c->dry_free->pieces);
	free(c->dry_free);
	c->dry_free = NULL;
}

bool dry_free_has(const struct compaction *c, uint64_t block)
{
	return c->dry_free && block < c->space.n_blocks && has_bit(c->dry_free->is_free, block);
}

bool dry_free_empties(const struct compaction *c, uint64_t block)
{
	return c->dry_free && block < c->space.n_blocks && has_bit(c->dry_free->is_emptied, block);
}

/* Would the piece be gone, or zero? */
static int look_at_piece(struct compaction *c, uint64_t file_off, bool *is_gone,
			 struct vd_error *err)
{
	struct dry_free *d = c->dry_free;
	int ret;

	*is_gone = false;
	if (!(c->opts.flags & VD_COMPACT_ZERO_SCAN))
		return 0;
	ret = vd_io_read(vd_disk_io(c->disk), d->unit, UNIT, file_off, err);
	*is_gone = !ret && d->unit[0] == 0 && memcmp(d->unit, d->unit + 1, UNIT - 1) == 0;
	return ret;
}

/* What would be left of the block that was looked at? */
static int settle(struct compaction *c, struct vd_error *err)
{
	struct dry_free *d = c->dry_free;
	struct vd_use_range key = {.number = d->block};
	const struct vd_use_range *use =
	    d->block == NONE ? NULL : bsearch(&key, d->stored, d->n_stored, sizeof(key), by_number);
	uint64_t at = use ? use->offset : 0, limit = use ? use->offset + use->length : 0;
	bool is_gone = true;
	int ret = 0;

	while (at < limit && is_gone && !ret) {
		uint64_t start, end;

		ret = vd_io_next_data(vd_disk_io(c->disk), at, limit, &start, &end, err);
		if (ret || start >= limit)
			break;
		for (at = start / UNIT * UNIT; at < end && is_gone && !ret; at += UNIT)
			if (!has_bit(d->pieces, (at - use->offset) / UNIT))
				ret = look_at_piece(c, at, &is_gone, err);
	}
	if (use && is_gone && !ret)
		set_bit(d->is_emptied, d->block);
	d->block = NONE;
	memset(d->pieces, 0, c->space.block_size / UNIT / 8 + 1);
	return ret;
}

/* [start, end) lies in `block` and isn't all of it. */
static int mark_pieces(struct compaction *c, uint64_t block, uint64_t start, uint64_t end,
		       struct vd_error *err)
{
	struct dry_free *d = c->dry_free;
	uint64_t base = block * c->space.block_size;
	int ret = d->block == block ? 0 : settle(c, err);

	d->block = block;
	for (uint64_t i = (start - base + UNIT - 1) / UNIT; i < (end - base) / UNIT; i++)
		set_bit(d->pieces, i);
	return ret;
}

int dry_free_mark(struct compaction *c, uint64_t start, uint64_t end, struct vd_error *err)
{
	uint64_t size = c->space.block_size, disk = vd_disk_size(c->disk);
	int ret = 0;

	end = end < disk ? end : disk;
	while (start < end && !ret) {
		uint64_t block = start / size, next = (block + 1) * size;
		uint64_t whole = next < disk ? next : disk;

		next = next < end ? next : end;
		if (start == block * size && next == whole)
			set_bit(c->dry_free->is_free, block);
		else
			ret = mark_pieces(c, block, start, next, err);
		start = next;
	}
	return ret;
}

int dry_free_end(struct compaction *c, struct vd_error *err)
{
	return settle(c, err);
}
