/* SPDX-License-Identifier: MIT */
/* What the two halves of the space map share: which MiB are taken (vhdx_space.c), and how freed
 * ones come back (vhdx_space_free.c). All under map_lock. */
#ifndef VD_VHDX_SPACE_H
#define VD_VHDX_SPACE_H

#include "format/vhdx/vhdx.h"

static inline bool vhdx_bit_get(const uint64_t *bits, uint64_t i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

void vhdx_bits_put(uint64_t *bits, uint64_t at, uint64_t n, bool on);
/** From now on it may be allocated; *is_zero: it is known to read as zero. */
void vhdx_space_make_free(struct vhdx_space *space, uint64_t at, uint64_t n, bool is_zero);

#endif
