/* SPDX-License-Identifier: MIT */
/*
 * Blocks that hold nothing lose their space, zeros inside a block become holes, and the file is
 * cut behind the last thing in it.
 *
 * That a block is zero is found out while writers go on, and known when they are held back and
 * none of them has come since (vhdx_move.c): a block is never let go because of what it held
 * before a write. The cut keeps to T1-T4: all is committed and in place, the log is empty, so that
 * no entry asks for the length that the file had; a crash finds it long and clean or short and
 * clean.
 */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/deadline.h"
#include "base/sabotage.h"
#include "base/span.h"
#include "format/vhdx/vhdx_move.h"

#define SCAN_CHUNK (1u << 20)
#define MIN_UNIT   4096u
#define MAX_NAPS   5000 /* for readers of freed space to let go, before a cut: about 0.1 s */

/* [off, off + len) of the file is zero; without reading, if `only_holes`. */
static int is_range_zero(struct vhdx *v, uint64_t off, uint64_t len, bool only_holes, bool *is_zero,
			 struct vd_error *err)
{
	VD_AUTO_FREE uint8_t *chunk = NULL;
	uint64_t at = off, end = off + len, start, stop;
	int ret;

	*is_zero = false;
	while (at < end) {
		ret = vd_io_next_data(v->file, at, end, &start, &stop, err);
		if (ret)
			return ret;
		if (start >= end)
			break;
		if (only_holes)
			return 0;
		if (!chunk)
			chunk = vd_malloc(SCAN_CHUNK);
		if (!chunk)
			return vd_no_memory(err, SCAN_CHUNK, "looking for zeros");
		for (at = start; at < vd_min64(stop, end);) {
			uint64_t n = vd_min64(vd_min64(stop, end) - at, SCAN_CHUNK);

			ret = vd_io_read(v->file, chunk, n, at, err);
			if (ret || !vd_is_zero(chunk, n))
				return ret;
			at += n;
		}
	}
	*is_zero = true;
	return 0;
}

/* All bits of the block are 1, so that nothing of it is the parent's. */
static int is_all_here(struct vhdx *v, uint64_t block, bool *is_whole, struct vd_error *err)
{
	uint32_t shift = v->geo.block_bits - v->geo.sector_bits;
	uint64_t n = vhdx_block_bytes(v, block) >> v->geo.sector_bits, n_same = 0;
	bool is_here = false;
	int ret = vhdx_bitmap_run(v, block << shift, n, &is_here, &n_same, err);

	*is_whole = !ret && is_here && n_same == n;
	return ret;
}

static int check_number(const struct vhdx *v, uint64_t number, struct vd_error *err)
{
	if (number < v->geo.n_blocks)
		return 0;
	return vd_error_set(err, VD_ERANGE, 0, VD_NO_OFFSET,
			    "the disk has %llu blocks; there is no number %llu",
			    (unsigned long long)v->geo.n_blocks, (unsigned long long)number);
}

/* Bytes of the block that the disk has and the file may hold. */
static uint64_t stored_bytes(const struct vhdx *v, uint64_t block, uint64_t off)
{
	uint64_t file_len = atomic_load(&v->file_len);

	return vd_min64(vhdx_block_bytes(v, block), file_len > off ? file_len - off : 0);
}

/* The block as its entry is now. *off: where its space is; 0: it has none. *may_go: what it holds
 * would not be missed, as far as that can be told while others write. */
static int look(struct vhdx *v, uint64_t block, enum vd_drop how, uint64_t *off, bool *may_go,
		struct vd_error *err)
{
	uint64_t entry;
	enum vhdx_state state;
	int ret = vhdx_word_get(v, vhdx_block_entry_off(v, block), &entry, err);

	*off = 0;
	*may_go = false;
	if (!ret)
		ret = vhdx_entry_check(v, block, entry, err);
	if (ret)
		return ret;
	state = VHDX_ENTRY_STATE(entry);
	if (state == VHDX_NOT_PRESENT || state == VHDX_ZERO || !VHDX_ENTRY_OFF(entry))
		return 0;
	*off = VHDX_ENTRY_OFF(entry);
	*may_go = true;
	/* A soft anchor holds nothing that anybody can read. */
	if (!vhdx_is_stored(state) || how == VD_DROP_FREE)
		return 0;
	if (state == VHDX_PARTIAL)
		ret = is_all_here(v, block, may_go, err);
	/* What lies behind the end of the disk, or of the file, says nothing. */
	if (!ret && *may_go)
		ret = is_range_zero(v, *off, stored_bytes(v, block, *off), how == VD_DROP_HOLE,
				    may_go, err);
	return ret;
}

static int look_pinned(struct vhdx *v, uint64_t block, enum vd_drop how, uint64_t *off,
		       bool *may_go, struct vd_error *err)
{
	uint32_t pin = vd_gate_enter(&v->gate);
	int ret = look(v, block, how, off, may_go, err);

	vd_gate_leave(&v->gate, pin);
	return ret;
}

static int drop_watched(struct vhdx *v, uint64_t block, enum vd_drop how, uint32_t hold_ms,
			uint64_t *n_dropped, struct vd_error *err)
{
	uint64_t off, since;
	bool may_go;
	int ret = look_pinned(v, block, how, &off, &may_go, err);

	if (ret || !may_go)
		return ret;
	ret = vhdx_watch_hold(v, block, hold_ms, &since, err);
	/* What a write that came meanwhile has done counts; and what was free isn't any more. */
	if (!ret && vhdx_watch_was_written(v) && !VD_SABOTAGED(DROP_LOOK))
		ret = look_pinned(v, block, how == VD_DROP_FREE ? VD_DROP_ZERO : how, &off, &may_go,
				  err);
	if (ret || !may_go || !off)
		return ret;
	ret = vhdx_zero_whole(v, block, err);
	if (!ret)
		*n_dropped = v->params.block_size;
	return ret;
}

int vhdx_drop(void *state, uint64_t number, enum vd_drop how, uint32_t hold_ms, uint64_t *n_dropped,
	      struct vd_error *err)
{
	struct vhdx *v = state;
	uint64_t off;
	bool may_go;
	int ret = check_number(v, number, err);

	*n_dropped = 0;
	if (ret || v->is_fixed || v->params.leave_allocated)
		return ret;
	/* Most blocks hold something: see that before anything is written or anybody waits. */
	ret = look_pinned(v, number, how, &off, &may_go, err);
	if (ret || !may_go)
		return ret;
	ret =
	    vhdx_session_begin(v, how == VD_DROP_FREE ? VHDX_SESSION_DATA : VHDX_SESSION_FILE, err);
	if (ret)
		return ret;
	pthread_mutex_lock(&v->move.role);
	ret = vhdx_watch_begin(v, number, err);
	if (!ret) {
		ret = drop_watched(v, number, how, hold_ms, n_dropped, err);
		vhdx_watch_end(v);
	}
	pthread_mutex_unlock(&v->move.role);
	return ret;
}

/* Runs of zero units, found while others write. */
struct zeros {
	struct vhdx_run run[256]; /* bytes of the file */
	size_t n;
};

/* False: no room for more. */
static bool add_zero(struct zeros *zeros, uint64_t at, uint64_t n)
{
	struct vhdx_run *last = zeros->n ? &zeros->run[zeros->n - 1] : NULL;

	if (last && last->at + last->n == at) {
		last->n += n;
		return true;
	}
	if (zeros->n == sizeof(zeros->run) / sizeof(zeros->run[0]))
		return false;
	zeros->run[zeros->n++] = (struct vhdx_run){at, n};
	return true;
}

/* Units of zeros in what the host stores of [off, off + len), from *from on. */
static int find_zeros(struct vhdx *v, uint64_t *from, uint64_t end, uint32_t unit,
		      struct zeros *zeros, struct vd_error *err)
{
	VD_AUTO_FREE uint8_t *chunk = vd_malloc(SCAN_CHUNK);
	uint64_t start, stop;
	int ret;

	if (!chunk)
		return vd_no_memory(err, SCAN_CHUNK, "looking for zeros");
	while (*from < end) {
		ret = vd_io_next_data(v->file, *from, end, &start, &stop, err);
		if (ret)
			return ret;
		if (start >= end) {
			*from = end;
			break;
		}
		start = vd_align_down(start, unit);
		stop = vd_min64(vd_align_up(stop, unit), end);
		while (start < stop) {
			uint64_t n = vd_min64(stop - start, SCAN_CHUNK);

			ret = vd_io_read(v->file, chunk, n, start, err);
			if (ret)
				return ret;
			for (uint64_t i = 0; i < n; i += unit) {
				*from = start + i;
				if (vd_is_zero(chunk + i, vd_min64(unit, n - i)) &&
				    !add_zero(zeros, start + i, vd_min64(unit, n - i)))
					return 0;
			}
			start += n;
			*from = start;
		}
	}
	return 0;
}

/* Punch what was found, if no write has come since. */
static int punch_found(struct vhdx *v, uint64_t block, uint32_t hold_ms, const struct zeros *zeros,
		       uint64_t *n_punched, struct vd_error *err)
{
	uint64_t since;
	int ret = vhdx_watch_hold(v, block, hold_ms, &since, err);

	if (!ret && vhdx_watch_was_written(v) && !VD_SABOTAGED(PUNCH_LOOK))
		ret = vd_error_set(err, VD_EBUSY, 0, VD_NO_OFFSET,
				   "block %llu was written to meanwhile; try again later",
				   (unsigned long long)block);
	for (size_t i = 0; i < zeros->n && !ret; i++) {
		ret = vd_io_punch(v->file, zeros->run[i].at, zeros->run[i].n, err);
		if (!ret)
			*n_punched += zeros->run[i].n;
		atomic_store_explicit(&v->has_unsynced, true, memory_order_seq_cst);
	}
	return ret;
}

static int punch_watched(struct vhdx *v, uint64_t block, uint32_t unit, uint32_t hold_ms,
			 uint64_t *n_punched, struct vd_error *err)
{
	struct zeros zeros;
	uint64_t entry, from, end;
	int ret = vhdx_word_get(v, vhdx_block_entry_off(v, block), &entry, err);

	if (!ret)
		ret = vhdx_entry_check(v, block, entry, err);
	if (ret || !vhdx_is_stored(VHDX_ENTRY_STATE(entry)))
		return ret;
	from = VHDX_ENTRY_OFF(entry);
	end = vd_min64(from + v->params.block_size, atomic_load(&v->file_len));
	while (from < end && !ret) {
		zeros.n = 0;
		ret = vhdx_watch_begin(v, block, err);
		if (ret)
			return ret;
		ret = find_zeros(v, &from, end, unit, &zeros, err);
		if (!ret && zeros.n)
			ret = punch_found(v, block, hold_ms, &zeros, n_punched, err);
		vhdx_watch_end(v);
	}
	return ret;
}

int vhdx_punch(void *state, uint64_t number, uint32_t unit, uint32_t hold_ms, uint64_t *n_punched,
	       struct vd_error *err)
{
	struct vhdx *v = state;
	uint32_t pin;
	int ret = check_number(v, number, err);

	*n_punched = 0;
	if (!ret && (!vd_is_pow2(unit) || unit < MIN_UNIT || unit > SCAN_CHUNK))
		ret = vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				   "zeros are punched in units of a power of two from 4 KiB to "
				   "1 MiB, not of %u bytes",
				   unit);
	if (!ret)
		ret = vhdx_session_begin(v, VHDX_SESSION_FILE, err);
	if (ret)
		return ret;
	/* Nobody else moves the block between the look at its entry and the punch; and should it be
	 * discarded, nobody else gets its place. */
	pthread_mutex_lock(&v->move.role);
	pin = vd_gate_enter(&v->gate);
	ret = punch_watched(v, number, unit, hold_ms, n_punched, err);
	vd_gate_leave(&v->gate, pin);
	pthread_mutex_unlock(&v->move.role);
	return ret;
}

static int nothing_more(struct vhdx *v, void *user, struct vd_error *err)
{
	(void)v;
	(void)user;
	(void)err;
	return 0;
}

/* In the committer's role, the log being empty (T3). */
static int cut_now(struct vhdx *v, void *user, struct vd_error *err)
{
	uint64_t keep = *(const uint64_t *)user;
	int ret;

	pthread_mutex_lock(&v->map_lock);
	ret = vhdx_space_build(v, err);
	if (!ret)
		ret = vhdx_space_cut(v, keep / VD_MIB + (keep % VD_MIB != 0), err);
	pthread_mutex_unlock(&v->map_lock);
	return ret ? ret : vd_io_sync(v->file, err);
}

int vhdx_cut(void *state, uint64_t keep, uint64_t *length, struct vd_error *err)
{
	struct vhdx *v = state;
	int ret = vhdx_session_begin(v, VHDX_SESSION_FILE, err);

	/* What was freed becomes free when the lap is over and its last readers have let go. */
	if (!ret)
		ret = vhdx_commit_alone(v, nothing_more, NULL, err);
	for (int i = 0; !ret && i < MAX_NAPS && vhdx_space_is_draining(v); i++) {
		vhdx_nap();
		vhdx_space_reap(v, false);
	}
	if (!ret)
		vhdx_space_punch_free(v);
	if (!ret)
		ret = vhdx_commit_alone(v, cut_now, &keep, err);
	*length = atomic_load(&v->file_len);
	return ret;
}
