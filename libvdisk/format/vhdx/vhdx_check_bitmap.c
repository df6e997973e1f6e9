/* SPDX-License-Identifier: MIT */
/* Look into a sector bitmap (MS-VHDX 2.4): blocks whose bits are all alike needn't be partial. */
#include <inttypes.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "format/vhdx/vhdx_check.h"

/* Are bits [0, n) all equal to the first? */
static bool is_uniform(const uint8_t *bits, uint64_t n)
{
	uint8_t first = bits[0] & 1 ? 0xff : 0;

	for (uint64_t i = 0; i < n / 8; i++)
		if (bits[i] != first)
			return false;
	return n % 8 == 0 || ((bits[n / 8] ^ first) & ((1 << n % 8) - 1)) == 0;
}

int vhdx_check_bits(struct vhdx_checker *c, const struct vhdx_geometry *g, uint64_t chunk,
		    uint64_t off, const uint8_t *partial, uint8_t **bits, struct vd_error *err)
{
	const uint64_t ratio = (uint64_t)1 << g->ratio_bits;
	const size_t n_bytes = (size_t)1 << (g->block_bits - g->sector_bits - 3);
	int rc;

	if (!*bits)
		*bits = vd_malloc(VHDX_BITMAP_SIZE);
	if (!*bits)
		return vd_no_memory(err, VHDX_BITMAP_SIZE, "a sector bitmap");
	rc = vd_io_read(c->view, *bits, VHDX_BITMAP_SIZE, off, err);
	if (rc)
		return rc;
	for (uint64_t i = 0; i < ratio; i++) {
		uint64_t block = chunk * ratio + i, start = block << g->block_bits, len;
		const uint8_t *own = *bits + i * n_bytes;

		if (!(partial[i / 8] >> i % 8 & 1))
			continue;
		len = vd_min64(c->params.block_size, c->params.virtual_size - start);
		if (is_uniform(own, len >> g->sector_bits))
			vhdx_report(c, VD_FINDING_NOTE, "vhdx-bitmap-uniform", "MS-VHDX 2.4",
				    off + i * n_bytes, "sectors of this image and of its parent",
				    "block %" PRIu64 " is partially present, but all of its "
				    "sectors are %s",
				    block, own[0] & 1 ? "here" : "the parent's");
	}
	return 0;
}
