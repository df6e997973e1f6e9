/* SPDX-License-Identifier: MIT */
/* From the size of a disk and of its blocks to the numbers of its BAT (MS-VHDX 2.5). */
#include "format/vhdx/vhdx_layout.h"

static uint32_t log2_of(uint64_t pow2)
{
	return (uint32_t)__builtin_ctzll(pow2);
}

void vhdx_geometry_init(struct vhdx_geometry *g, const struct vhdx_params *params)
{
	g->sector_bits = log2_of(params->logical_sector_size);
	g->block_bits = log2_of(params->block_size);
	/* One bitmap block holds 2^23 bits, one for each sector of its chunk. */
	g->ratio_bits = 23 + g->sector_bits - g->block_bits;
	g->n_blocks = vd_div_up(params->virtual_size, params->block_size);
	g->n_chunks = vd_div_up(g->n_blocks, (uint64_t)1 << g->ratio_bits);
	if (params->has_parent)
		g->n_entries = vhdx_bitmap_index(g, g->n_chunks - 1) + 1;
	else
		g->n_entries = vhdx_payload_index(g, g->n_blocks - 1) + 1;
}
