/* SPDX-License-Identifier: MIT */
/*
 * Discard and write-zeroes. Whole blocks of a dynamic or differencing disk become ZERO with
 * offset 0, and their space is freed by the commit that says so. In smaller parts, and on fixed
 * disks, the bytes are zeroed in place. A child's block never falls back to the parent.
 */
#include "base/deadline.h"
#include "base/sabotage.h"
#include "format/vhdx/vhdx.h"

#define MAX_TRIES 1000

/* Under map_lock: let the block read as zero and own nothing. */
static int free_block(struct vhdx *v, struct vhdx_txn *txn, uint64_t block, struct vd_error *err)
{
	uint64_t at = vhdx_block_entry_off(v, block), entry;
	bool is_theirs;
	int ret = vhdx_space_build(v, err);

	if (!ret)
		ret = vhdx_space_reserve(v, err);
	if (!ret)
		ret = vhdx_txn_hold(v, txn, at, err);
	if (ret)
		return ret;
	entry = vhdx_txn_get(txn, at);
	is_theirs = vhdx_pending_kill(v, block);
	vhdx_txn_set(v, txn, at, VD_SABOTAGED(CHILD_TRIM) ? VHDX_NOT_PRESENT : VHDX_ZERO);
	if (VHDX_ENTRY_STATE(entry) != VHDX_NOT_PRESENT && VHDX_ENTRY_STATE(entry) != VHDX_ZERO &&
	    VHDX_ENTRY_OFF(entry) && !is_theirs)
		vhdx_space_release(v, VHDX_ENTRY_OFF(entry), v->params.block_size / VD_MIB);
	return 0;
}

/*
 * The state as it is now. *is_done: nothing is to be done. That an absent block reads as zero is
 * enough for both calls; UNMAPPED and UNDEFINED may read as anything elsewhere (MS-VHDX 2.5.1.1)
 * and may still own space, so write-zeroes makes them ZERO.
 */
static int look(struct vhdx *v, uint64_t block, uint32_t flags, enum vhdx_state *state,
		bool *is_done, struct vd_error *err)
{
	uint64_t entry = 0;
	int ret = vhdx_word_get(v, vhdx_block_entry_off(v, block), &entry, err);

	if (!ret)
		ret = vhdx_entry_check(v, block, entry, err);
	*state = VHDX_ENTRY_STATE(entry);
	if (vhdx_is_stored(*state))
		*is_done = false;
	else if (*state == VHDX_NOT_PRESENT)
		*is_done = !v->params.has_parent;
	else
		*is_done = *state == VHDX_ZERO || (flags & VD_FORMAT_ZERO_DISCARD);
	return ret;
}

int vhdx_zero_whole(struct vhdx *v, uint64_t block, struct vd_error *err)
{
	struct vhdx_txn txn = {{NULL}, 0};
	int ret = VHDX_NO_SLOT;

	for (int i = 0; i < MAX_TRIES && ret == VHDX_NO_SLOT; i++) {
		pthread_mutex_lock(&v->map_lock);
		ret = free_block(v, &txn, block, err);
		vhdx_txn_end(&txn);
		pthread_mutex_unlock(&v->map_lock);
		if (ret == VHDX_NO_SLOT) {
			ret = vhdx_commit(v, err);
			if (!ret)
				ret = VHDX_NO_SLOT;
		}
	}
	if (ret == VHDX_NO_SLOT)
		ret = vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET,
				   "the cache of BAT pages is too small for this change");
	return ret;
}

/* Zero part of a block where it is; what is the parent's gets space and bits first. */
static int zero_in_place(struct vhdx *v, uint64_t start, uint64_t length, enum vd_io_zero how,
			 struct vd_error *err)
{
	struct vd_mapping m;
	int ret, ret2;

	while (length) {
		ret = vhdx_resolve(v, start, length, VD_ACCESS_WRITE, &m, err);
		if (ret)
			return ret;
		ret = vd_io_zero(m.io, m.io_offset, m.length, how, err);
		ret2 = vhdx_release(v, &m, ret ? VD_OUTCOME_FAILED : VD_OUTCOME_WRITTEN,
				    ret ? NULL : err);
		if (ret || ret2)
			return ret ? ret : ret2;
		start += m.length;
		length -= m.length;
	}
	return 0;
}

/* A hint: punch what is stored here, leave alone what is the parent's. */
static int discard_in_place(struct vhdx *v, uint64_t start, uint64_t length, struct vd_error *err)
{
	struct vd_mapping m;
	uint32_t pin;
	int ret;

	while (length) {
		uint64_t file_len = atomic_load(&v->file_len);

		/* It changes the bytes where they are, so it is a writer to whoever moves. */
		ret = vhdx_writer_enter(v, start >> v->geo.block_bits, &pin, err);
		if (ret)
			return ret;
		ret = vhdx_resolve(v, start, length, VD_ACCESS_READ, &m, err);
		if (ret) {
			vhdx_writer_leave(v, &pin);
			return ret;
		}
		/* What a block has behind the end of the file reads as zero already. */
		if (m.state == VD_STATE_DATA && m.io_offset < file_len) {
			uint64_t n = vd_min64(m.length, file_len - m.io_offset);

			ret = vhdx_session_begin(v, VHDX_SESSION_DATA, err);
			/* Where the host can't, the old data stays: it's only a hint. */
			if (!ret)
				ret = vd_io_punch(v->file, m.io_offset, n, err);
			if (ret == VD_EUNSUPPORTED)
				ret = 0;
			atomic_store_explicit(&v->has_unsynced, true, memory_order_seq_cst);
		}
		vhdx_release(v, &m, VD_OUTCOME_READ, NULL);
		vhdx_writer_leave(v, &pin);
		if (ret)
			return ret;
		start += m.length;
		length -= m.length;
	}
	return 0;
}

static int zero_in_block(struct vhdx *v, uint64_t block, uint64_t start, uint64_t n, uint32_t flags,
			 struct vd_error *err)
{
	bool is_whole = start == block << v->geo.block_bits && n == vhdx_block_bytes(v, block);
	bool keeps = v->is_fixed || v->params.leave_allocated || (flags & VD_ZERO_KEEP_SPACE);
	bool is_done;
	enum vhdx_state state;
	int ret = look(v, block, flags, &state, &is_done, err);

	if (ret || is_done)
		return ret;
	/* A block that is neither stored nor the parent's reads as zero as a whole. */
	if ((is_whole && !(keeps && vhdx_is_stored(state))) ||
	    (!vhdx_is_stored(state) && state != VHDX_NOT_PRESENT)) {
		ret = vhdx_session_begin(v, VHDX_SESSION_DATA, err);
		return ret ? ret : vhdx_zero_whole(v, block, err);
	}
	if (!(flags & VD_FORMAT_ZERO_DISCARD))
		return zero_in_place(v, start, n, keeps ? VD_IO_ZERO_KEEP : VD_IO_ZERO_PUNCH, err);
	if (keeps)
		return 0;
	return discard_in_place(v, start, n, err);
}

int vhdx_zero(void *state, uint64_t start, uint64_t length, uint32_t flags, struct vd_error *err)
{
	struct vhdx *v = state;
	int ret = 0;

	if (!v->is_writable)
		return vd_error_set(err, VD_EROFS, 0, VD_NO_OFFSET,
				    "the image was opened read-only");
	while (length && !ret) {
		uint64_t block = start >> v->geo.block_bits;
		uint64_t in_block = start & (v->params.block_size - 1);
		uint64_t n = vd_min64(length, v->params.block_size - in_block);

		if (block % 4096 == 0)
			ret = vd_deadline_check(err);
		if (!ret)
			ret = zero_in_block(v, block, start, n, flags, err);
		start += n;
		length -= n;
	}
	return ret;
}
