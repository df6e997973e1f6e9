/* SPDX-License-Identifier: MIT */
/* The side of a generation that takes space away (vd_generation_* of vdisk/compact.h is the
 * guests'). */
#ifndef COMPACTOR_GENERATION_H
#define COMPACTOR_GENERATION_H

#include <vdisk/compact.h>

enum claim {
	CLAIM_HAD,     /**< nobody writes to the block until generation_release */
	CLAIM_WRITTEN, /**< it was written since: it is live */
	CLAIM_BUSY,    /**< somebody has been writing to it for longer than hold_ms */
	CLAIM_STALE,   /**< another generation has begun */
};
enum claim generation_claim(struct vd_generation *g, const uint8_t id[16], uint64_t block,
			    uint32_t hold_ms);
void generation_release(struct vd_generation *g, uint64_t block);

#endif
