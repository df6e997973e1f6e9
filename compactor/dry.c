/* SPDX-License-Identifier: MIT */
/*
 * The dry run's look at a block: what reclaim.c would let go of it, and what it would punch. By the
 * same rules as the library's own looks, but that nothing is changed.
 */
#include <stdlib.h>
#include <string.h>

#include <vdisk/sys/io.h>

#include "compact.h"

#define SCAN_CHUNK (1u << 20)

struct look {
	struct vd_io *io;
	uint64_t at;      /* of the block in the file */
	uint64_t n_bytes; /* that the disk has of it */
	uint8_t *chunk;   /* NULL: nothing is read */
	struct dry_block *block;
};

static bool is_zero(const uint8_t *bytes, uint64_t n)
{
	return !n || (!bytes[0] && !memcmp(bytes, bytes + 1, (size_t)n - 1));
}

/* A unit that the host stores, `n` bytes from `at` on in the block; its bytes, if they were read.
 */
static void take_unit(struct look *look, uint64_t at, uint64_t n, const uint8_t *bytes)
{
	uint64_t mine = at < look->n_bytes ? look->n_bytes - at : 0;

	mine = mine < n ? mine : n;
	if (mine)
		look->block->is_hole = false;
	if (!bytes || !is_zero(bytes, mine))
		look->block->is_zero = look->block->is_zero && !mine;
	if (bytes && is_zero(bytes, n))
		look->block->n_punched += n;
}

static int look_at(struct look *look, uint64_t start, uint64_t stop, struct vd_error *err)
{
	while (start < stop) {
		uint64_t n = stop - start < SCAN_CHUNK ? stop - start : SCAN_CHUNK;
		int ret = look->chunk ? vd_io_read(look->io, look->chunk, n, start, err) : 0;

		if (ret)
			return ret;
		for (uint64_t i = 0; i < n; i += PUNCH_UNIT)
			take_unit(look, start + i - look->at,
				  n - i < PUNCH_UNIT ? n - i : PUNCH_UNIT,
				  look->chunk ? look->chunk + i : NULL);
		start += n;
	}
	return 0;
}

int dry_look(struct compaction *c, const struct vd_use_range *use, struct dry_block *block,
	     struct vd_error *err)
{
	struct look look = {.io = vd_disk_io(c->disk), .at = use->offset, .block = block};
	uint64_t from = use->offset, end = use->offset + use->length, start, stop, size;
	int ret = 0;

	size = vd_disk_size(c->disk) - use->number * c->space.block_size;
	look.n_bytes = size < c->space.block_size ? size : c->space.block_size;
	end = end < c->space.file_size ? end : c->space.file_size;
	*block = (struct dry_block){true, true, 0};
	if (c->opts.flags & VD_COMPACT_ZERO_SCAN) {
		look.chunk = malloc(SCAN_CHUNK);
		if (!look.chunk)
			return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET,
					    "no memory to look for zeros");
	}
	while (from < end && !ret) {
		ret = vd_io_next_data(look.io, from, end, &start, &stop, err);
		if (ret || start >= end)
			break;
		start = start / PUNCH_UNIT * PUNCH_UNIT;
		stop = (stop + PUNCH_UNIT - 1) / PUNCH_UNIT * PUNCH_UNIT;
		from = stop < end ? stop : end;
		ret = look_at(&look, start, from, err);
	}
	free(look.chunk);
	return ret;
}
