/* SPDX-License-Identifier: MIT */
/* What the BAT says, for people and planners: extents and counts. Pins nothing. */
#include "base/deadline.h"
#include "format/vhdx/vhdx.h"

/* One stretch, within one block. */
static int extent_in_block(struct vhdx *v, uint64_t start, uint64_t length, struct vd_extent *x,
			   struct vd_error *err)
{
	struct vd_mapping m;
	int ret = vhdx_resolve(v, start, length, VD_ACCESS_READ, &m, err);

	if (ret)
		return ret;
	x->start = start;
	x->length = m.length;
	x->depth = 0;
	x->state = m.state == VD_STATE_ZERO ? VD_STATE_HOLE : m.state;
	x->offset = m.state == VD_STATE_DATA ? m.io_offset : VD_NO_OFFSET;
	return vhdx_release(v, &m, VD_OUTCOME_READ, err);
}

int vhdx_extent(void *state, uint64_t start, uint64_t limit, struct vd_extent *x,
		struct vd_error *err)
{
	struct vhdx *v = state;
	struct vd_extent next;
	int ret = extent_in_block(v, start, limit, x, err);

	while (!ret && x->length < limit) {
		ret = extent_in_block(v, start + x->length, limit - x->length, &next, err);
		if (ret || next.state != x->state)
			break;
		if (x->state == VD_STATE_DATA && next.offset != x->offset + x->length)
			break;
		x->length += next.length;
		if ((start + x->length) >> v->geo.block_bits & 0xfff)
			continue;
		ret = vd_deadline_check(err);
	}
	return ret;
}

int vhdx_count_blocks(void *state, struct vd_block_counts *counts, struct vd_error *err)
{
	struct vhdx *v = state;
	uint64_t entry;
	int ret;

	*counts = (struct vd_block_counts){.n_blocks = v->geo.n_blocks};
	for (uint64_t block = 0; block < v->geo.n_blocks; block++) {
		ret = vhdx_word_get(v, vhdx_block_entry_off(v, block), &entry, err);
		if (!ret && block % 4096 == 0)
			ret = vd_deadline_check(err);
		if (ret)
			return ret;
		switch (VHDX_ENTRY_STATE(entry)) {
		case VHDX_NOT_PRESENT:
			counts->n_not_present++;
			break;
		case VHDX_UNDEFINED:
			counts->n_undefined++;
			break;
		case VHDX_ZERO:
			counts->n_zero++;
			break;
		case VHDX_PRESENT:
			counts->n_present++;
			break;
		case VHDX_PARTIAL:
			counts->n_partial++;
			break;
		default:
			counts->n_unmapped++;
		}
	}
	return 0;
}
