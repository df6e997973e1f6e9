/* SPDX-License-Identifier: MIT */
/*
 * A short cut through a long chain. Parents don't change while a chain is open, so what they once
 * said stays true: for a granule of the disk, how many of them leave all of it to the one below.
 * The table remembers that for granules read lately; a read then asks the top image and the
 * holder, and nobody between. A wrong guess of the table is impossible, a missing one costs a walk.
 */
#include "base/alloc.h"
#include "disk/disk.h"

#define GRANULE_BITS 20 /* the smallest block there is */
#define MAX_BITS     16 /* 512 KiB of table */

struct vd_skip {
	uint32_t n_levels, table_bits;
	struct vd_disk **level;  /* 0: the top */
	_Atomic uint64_t *entry; /* granule + 1 in the upper 48 bits, level below; 0: none */
};

int vd_skip_init(struct vd_disk *top, struct vd_error *err)
{
	struct vd_skip *skip;
	uint32_t n_levels = 0;

	for (struct vd_disk *disk = top; disk; disk = disk->parent)
		n_levels++;
	if (n_levels < 3)
		return 0;
	skip = vd_calloc(1, sizeof(*skip));
	if (!skip)
		return vd_no_memory(err, sizeof(*skip), "the chain");
	top->skip = skip;
	skip->n_levels = n_levels;
	while (skip->table_bits < MAX_BITS &&
	       ((uint64_t)1 << (skip->table_bits + GRANULE_BITS)) < 2 * top->size)
		skip->table_bits++;
	skip->level = vd_calloc(n_levels, sizeof(struct vd_disk *));
	skip->entry = vd_calloc((size_t)1 << skip->table_bits, sizeof(*skip->entry));
	if (!skip->level || !skip->entry)
		return vd_no_memory(err, sizeof(*skip->entry) << skip->table_bits, "the chain");
	n_levels = 0;
	for (struct vd_disk *disk = top; disk; disk = disk->parent)
		skip->level[n_levels++] = disk;
	return 0;
}

void vd_skip_free(struct vd_disk *top)
{
	if (!top->skip)
		return;
	vd_free(top->skip->level);
	vd_free(top->skip->entry);
	vd_free(top->skip);
	top->skip = NULL;
}

static _Atomic uint64_t *slot_of(const struct vd_skip *skip, uint64_t granule)
{
	uint64_t mixed = granule * 0x9E3779B97F4A7C15u;

	return &skip->entry[skip->table_bits ? mixed >> (64 - skip->table_bits) : 0];
}

/* The first parent that doesn't leave all of the granule to its own parent. *is_known: it isn't
 * just the first that couldn't answer without waiting. */
static uint32_t find_level(const struct vd_skip *skip, uint64_t granule, bool *is_known)
{
	uint64_t start = granule << GRANULE_BITS, len = (uint64_t)1 << GRANULE_BITS;
	uint32_t level = 1;

	*is_known = true;
	for (; level < skip->n_levels - 1; level++) {
		struct vd_disk *disk = skip->level[level];
		struct vd_mapping mapping;
		bool is_parents;
		int ret;

		if (!vd_is_within(start, len, disk->size) ||
		    !vd_is_within(start, len, skip->level[level + 1]->size))
			break;
		ret = disk->ops->resolve(disk->state, start, len, VD_ACCESS_READ, &mapping, NULL);
		*is_known = ret != VD_WOULD_WAIT;
		if (ret)
			break;
		is_parents = mapping.state == VD_STATE_PARENT && mapping.length == len;
		disk->ops->release(disk->state, &mapping, VD_OUTCOME_READ, NULL);
		if (!is_parents)
			break;
	}
	return level;
}

struct vd_disk *vd_skip_to(const struct vd_disk *top, uint64_t start, uint64_t *len,
			   uint32_t *depth)
{
	const struct vd_skip *skip = top->skip;
	uint64_t granule = start >> GRANULE_BITS;
	_Atomic uint64_t *slot = slot_of(skip, granule);
	uint64_t entry = atomic_load_explicit(slot, memory_order_relaxed);

	if (entry >> 16 != granule + 1) {
		bool is_known;

		entry = (granule + 1) << 16 | find_level(skip, granule, &is_known);
		if (is_known)
			atomic_store_explicit(slot, entry, memory_order_relaxed);
	}
	*depth = (uint32_t)(entry & 0xffff);
	if (*depth > 1) /* what was skipped was asked about this granule only */
		*len = vd_min64(*len, ((granule + 1) << GRANULE_BITS) - start);
	return skip->level[*depth];
}
