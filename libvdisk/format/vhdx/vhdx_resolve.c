/* SPDX-License-Identifier: MIT */
/*
 * The read path: a virtual offset to a place in the file, without a lock. Also what both paths
 * need: looking an entry over, and runs of equal bits in a sector bitmap.
 */
#include "base/sabotage.h"
#include "format/vhdx/vhdx.h"

#define MAX_BLOCK_END (128 * VD_TIB)

int vhdx_entry_check(const struct vhdx *v, uint64_t block, uint64_t entry, struct vd_error *err)
{
	enum vhdx_state state = VHDX_ENTRY_STATE(entry);
	uint64_t off = VHDX_ENTRY_OFF(entry);
	uint64_t at = vhdx_block_entry_off(v, block);

	if (state == 4 || (state == VHDX_PARTIAL && !v->params.has_parent))
		return vd_error_set(
		    err, VD_ECORRUPT, 0, at,
		    "BAT entry of block %llu: state %d isn't one that a %s disk has "
		    "(MS-VHDX 2.5.1.1)",
		    (unsigned long long)block, (int)state,
		    v->params.has_parent ? "differencing" : "fixed or dynamic");
	if (!vhdx_is_stored(state))
		return 0;
	if (VD_SABOTAGED(DECODE_BAT_BOUND))
		return 0;
	if (off < VHDX_HEAD_END || off > MAX_BLOCK_END)
		return vd_error_set(err, VD_ECORRUPT, 0, at,
				    "BAT entry of block %llu: file offset %llu isn't one where a "
				    "block can be",
				    (unsigned long long)block, (unsigned long long)off);
	return 0;
}

int vhdx_bitmap_run(struct vhdx *v, uint64_t sector, uint64_t n, bool *is_here, uint64_t *n_same,
		    struct vd_error *err)
{
	uint32_t chunk_bits = v->geo.ratio_bits + v->geo.block_bits - v->geo.sector_bits;
	uint64_t chunk = sector >> chunk_bits, entry, bit, word, done = 0;
	uint64_t index = vhdx_bitmap_index(&v->geo, chunk);
	int ret = vhdx_word_get(v, vhdx_entry_off(v, index), &entry, err);

	if (ret)
		return ret;
	if (VHDX_ENTRY_STATE(entry) != VHDX_PRESENT || VHDX_ENTRY_OFF(entry) < VHDX_HEAD_END ||
	    VHDX_ENTRY_OFF(entry) > MAX_BLOCK_END)
		return vd_error_set(err, VD_ECORRUPT, 0, vhdx_entry_off(v, index),
				    "BAT entry of sector bitmap %llu: 0x%llx, but a block of its "
				    "chunk is partially present (MS-VHDX 2.5.1.2)",
				    (unsigned long long)chunk, (unsigned long long)entry);
	bit = sector & (((uint64_t)1 << chunk_bits) - 1);
	while (done < n) {
		uint64_t in_word = bit % 64, same;

		ret = vhdx_word_get(v, VHDX_ENTRY_OFF(entry) + bit / 64 * 8, &word, err);
		if (ret)
			return ret;
		if (!done)
			*is_here = word >> in_word & 1;
		/* Ones where the bit differs from the first: count the zeros before them. */
		word = (*is_here ? ~word : word) >> in_word;
		same = word ? (uint64_t)__builtin_ctzll(word) : 64 - in_word;
		done += vd_min64(same, 64 - in_word);
		bit += same;
		if (word)
			break;
	}
	*n_same = vd_min64(done + VD_SABOTAGED(DECODE_BITMAP_RUN), n);
	return 0;
}

/* The stretch of a partially present block that is all here or all the parent's. */
static int resolve_partial(struct vhdx *v, struct vd_mapping *m, struct vd_error *err)
{
	uint64_t first = m->start >> v->geo.sector_bits, n_same;
	uint64_t last = (m->start + m->length - 1) >> v->geo.sector_bits;
	bool is_here;
	int ret = vhdx_bitmap_run(v, first, last - first + 1, &is_here, &n_same, err);

	if (ret)
		return ret;
	m->length = vd_min64(m->length, ((first + n_same) << v->geo.sector_bits) - m->start);
	m->state = is_here ? VD_STATE_DATA : VD_STATE_PARENT;
	return 0;
}

/* Neither present nor absent. A block that isn't stored may hold a claim on space, which says
 * nothing about what it reads as. */
static int resolve_rare(struct vhdx *v, uint64_t block, uint64_t entry, struct vd_mapping *m,
			struct vd_error *err)
{
	int ret = vhdx_entry_check(v, block, entry, err);

	if (ret)
		return ret;
	if (VHDX_ENTRY_STATE(entry) == VHDX_PARTIAL)
		return resolve_partial(v, m, err);
	m->state = VD_STATE_ZERO;
	return 0;
}

int vhdx_resolve(void *state, uint64_t start, uint64_t length, enum vd_access access,
		 struct vd_mapping *m, struct vd_error *err)
{
	struct vhdx *v = state;
	uint64_t block = start >> v->geo.block_bits;
	uint64_t in_block = start & (v->params.block_size - 1), entry;
	int ret;

	m->start = start;
	m->length = vd_min64(length, v->params.block_size - in_block);
	m->access = access;
	m->depth = 0;
	m->token[0] = 0;
	m->pin = 0;
	if (access == VD_ACCESS_WRITE)
		return vhdx_resolve_write(v, m, err);

	/* Only a writer moves or frees blocks: a read-only image needs no pins. */
	if (v->is_writable)
		m->pin = VD_SABOTAGED(PIN) ? 0 : vd_gate_enter(&v->gate) + 1;
	ret = vhdx_word_get(v, vhdx_block_entry_off(v, block), &entry, err);
	if (__builtin_expect(!ret, 1)) {
		if (VHDX_ENTRY_STATE(entry) == VHDX_NOT_PRESENT)
			m->state = v->params.has_parent ? VD_STATE_PARENT : VD_STATE_ZERO;
		else if (VHDX_ENTRY_STATE(entry) == VHDX_PRESENT &&
			 (VHDX_ENTRY_OFF(entry) - VHDX_HEAD_END < MAX_BLOCK_END ||
			  VD_SABOTAGED(DECODE_BAT_BOUND)))
			m->state = VD_STATE_DATA;
		else
			ret = resolve_rare(v, block, entry, m, err);
		if (!ret && m->state == VD_STATE_DATA) {
			m->io = v->io;
			m->io_offset = VHDX_ENTRY_OFF(entry) + in_block;
			return 0;
		}
	}
	if (m->pin)
		vd_gate_leave(&v->gate, m->pin - 1);
	m->pin = 0;
	m->io = NULL;
	m->io_offset = VD_NO_OFFSET;
	return ret;
}

int vhdx_release(void *state, struct vd_mapping *m, enum vd_outcome outcome, struct vd_error *err)
{
	struct vhdx *v = state;
	int ret = 0;

	if (m->access == VD_ACCESS_WRITE)
		ret = vhdx_release_write(v, m, outcome == VD_OUTCOME_WRITTEN, err);
	if (m->access == VD_ACCESS_WRITE)
		vhdx_writer_leave(v, &m->pin);
	else if (m->pin)
		vd_gate_leave(&v->gate, m->pin - 1);
	m->pin = 0;
	return ret;
}
