/* SPDX-License-Identifier: MIT */
/*
 * A block goes to another place in the file while guests use it.
 *
 * Writers count themselves at a gate of their own and look which block is watched:
 *
 *   watch -> drain -> copy -> hold -> drain -> [copy again] -> new entry -> let go
 *              |        |       |                  |
 *              |        |       |                  a write came during the copy
 *              |        |       new writers to this block wait; those inside end
 *              |        a writer that comes now says so, and goes on
 *              whoever came before the watch, and so said nothing, has left
 *
 * The entry is changed in memory only. The group commit makes the copy durable before the entry
 * (F2), and the old place is given back as that of any freed block: after the commit, when nobody
 * who resolved it before is left. Until then it keeps its bytes, so that a crash finds either (M3).
 */
#include <string.h>
#include <time.h>

#include "base/deadline.h"
#include "base/sabotage.h"
#include "format/vhdx/vhdx_move.h"

#define NAP_NS    20000
#define DRAIN_MS  1000 /* for writers that hold nobody up */
#define MAX_TRIES 8

int vhdx_move_init(struct vhdx *v)
{
	pthread_mutex_init(&v->move.role, NULL);
	pthread_mutex_init(&v->move.lock, NULL);
	return vd_cond_init(&v->move.cond);
}

void vhdx_move_free(struct vhdx *v)
{
	pthread_mutex_destroy(&v->move.role);
	pthread_mutex_destroy(&v->move.lock);
	pthread_cond_destroy(&v->move.cond);
}

/* Wait until the block isn't held any more. */
static int wait_for_mover(struct vhdx *v, uint64_t block, struct vd_error *err)
{
	int ret = 0;

	pthread_mutex_lock(&v->move.lock);
	while (atomic_load(&v->move.block) == block + 1 && atomic_load(&v->move.is_held) && !ret)
		ret = vd_deadline_wait(&v->move.cond, &v->move.lock, err);
	pthread_mutex_unlock(&v->move.lock);
	return ret;
}

int vhdx_writer_enter(struct vhdx *v, uint64_t block, uint32_t *pin, struct vd_error *err)
{
	uint32_t ticket;
	int ret;

	for (;;) {
		ticket = vd_gate_enter(&v->move.writers);
		/* Counted before looking: the mover, who first sets and then drains, waits for us
		 * or is seen. */
		if (__builtin_expect(atomic_load(&v->move.block) != block + 1, 1))
			break;
		if (!atomic_load(&v->move.is_held) || VD_SABOTAGED(M1_HOLD)) {
			if (!VD_SABOTAGED(M1_WATCH))
				atomic_store(&v->move.was_written, true);
			break;
		}
		vd_gate_leave(&v->move.writers, ticket);
		if (vd_no_wait)
			return VD_WOULD_WAIT;
		ret = wait_for_mover(v, block, err);
		if (ret)
			return ret;
	}
	*pin = (vd_gate_enter(&v->gate) + 1) | (ticket + 1) << VHDX_WRITER_SHIFT;
	return 0;
}

void vhdx_writer_leave(struct vhdx *v, uint32_t *pin)
{
	if (!*pin)
		return;
	vd_gate_leave(&v->gate, (*pin & VHDX_READER_MASK) - 1);
	vd_gate_leave(&v->move.writers, (*pin >> VHDX_WRITER_SHIFT) - 1);
	*pin = 0;
}

void vhdx_nap(void)
{
	const struct timespec nap = {0, NAP_NS};

	nanosleep(&nap, NULL);
}

/* Until all writers that are inside now have left. */
static int drain(struct vhdx *v, uint64_t block, uint32_t limit_ms, struct vd_error *err)
{
	uint64_t until = vd_now_ns() + (uint64_t)limit_ms * 1000000;
	struct vd_grace grace;

	vd_grace_begin(&v->move.writers, &grace);
	while (!vd_grace_poll(&v->move.writers, &grace)) {
		if (vd_now_ns() >= until)
			return vd_error_set(err, VD_EBUSY, 0, VD_NO_OFFSET,
					    "writes were in flight for over %u ms, so block %llu "
					    "was left as it is; try again later",
					    limit_ms, (unsigned long long)block);
		vhdx_nap();
	}
	return 0;
}

int vhdx_watch_begin(struct vhdx *v, uint64_t block, struct vd_error *err)
{
	int ret;

	atomic_store(&v->move.is_held, false);
	atomic_store(&v->move.was_written, false);
	atomic_store(&v->move.block, block + 1);
	ret = drain(v, block, DRAIN_MS, err);
	if (ret)
		vhdx_watch_end(v);
	return ret;
}

int vhdx_watch_hold(struct vhdx *v, uint64_t block, uint32_t limit_ms, uint64_t *since,
		    struct vd_error *err)
{
	if (atomic_load(&v->move.is_held))
		return 0;
	*since = vd_now_ns();
	atomic_store(&v->move.is_held, true);
	return VD_SABOTAGED(M1_DRAIN) ? 0 : drain(v, block, limit_ms, err);
}

bool vhdx_watch_was_written(struct vhdx *v)
{
	return atomic_exchange(&v->move.was_written, false);
}

/* Let waiting writers go on, with the block still watched or not. */
static void let_go(struct vhdx *v, bool is_watched)
{
	pthread_mutex_lock(&v->move.lock);
	atomic_store(&v->move.is_held, false);
	if (!is_watched)
		atomic_store(&v->move.block, 0);
	pthread_cond_broadcast(&v->move.cond);
	pthread_mutex_unlock(&v->move.lock);
}

void vhdx_watch_end(struct vhdx *v)
{
	let_go(v, false);
}

/* The data extents of [from, from + len) to `to`, which reads as zero: holes stay holes. */
static int copy_extents(struct vhdx *v, uint64_t from, uint64_t to, uint64_t len,
			struct vd_move_result *result, struct vd_error *err)
{
	uint64_t at = from, end = from + len, start, stop, n_shared;
	int ret = 0;

	while (at < end && !ret) {
		ret = vd_io_next_data(v->file, at, end, &start, &stop, err);
		if (ret || start >= end)
			break;
		stop = vd_min64(stop, end);
		n_shared = 0;
		ret = vd_io_copy(v->file, start, v->file, to + (start - from), stop - start,
				 &n_shared, err);
		result->n_shared += n_shared;
		result->n_copied += stop - start - vd_min64(n_shared, stop - start);
		at = stop;
	}
	atomic_store_explicit(&v->has_unsynced, true, memory_order_seq_cst);
	return ret;
}

/* Under map_lock: the target becomes ours, if it is free. */
static int reserve(struct vhdx *v, uint64_t to, uint64_t len, bool *is_zero, struct vd_error *err)
{
	if (to % VD_MIB)
		return vd_error_set(err, VD_EINVAL, 0, to,
				    "blocks lie at multiples of 1 MiB, %llu isn't one",
				    (unsigned long long)to);
	return vhdx_space_take(v, to, len / VD_MIB, is_zero, err);
}

/* Under map_lock: the entry at `at` still says `state` at `from`. */
static int still_there(uint64_t entry, uint64_t from, uint64_t number, struct vd_error *err)
{
	if (vhdx_is_stored(VHDX_ENTRY_STATE(entry)) && VHDX_ENTRY_OFF(entry) == from)
		return 0;
	return vd_error_set(err, VD_ENOENT, 0, from,
			    "block %llu isn't at file offset %llu any more",
			    (unsigned long long)number, (unsigned long long)from);
}

/* Switch the entry; VHDX_NO_SLOT: commit first. */
static int publish(struct vhdx *v, uint64_t block, uint64_t from, uint64_t to, struct vd_error *err)
{
	uint64_t at = vhdx_block_entry_off(v, block), entry;
	struct vhdx_txn txn = {{NULL}, 0};
	int ret;

	pthread_mutex_lock(&v->map_lock);
	ret = vhdx_space_reserve(v, err);
	if (!ret)
		ret = vhdx_txn_hold(v, &txn, at, err);
	if (!ret) {
		entry = vhdx_txn_get(&txn, at);
		ret = still_there(entry, from, block, err);
	}
	if (!ret) {
		vhdx_txn_set(v, &txn, at, to | VHDX_ENTRY_STATE(entry));
		vhdx_space_moved(v, from, v->params.block_size / VD_MIB, false);
	}
	vhdx_txn_end(&txn);
	pthread_mutex_unlock(&v->map_lock);
	return ret;
}

/* Watched and drained: copy, hold, copy again if somebody wrote meanwhile, switch. */
static int copy_and_switch(struct vhdx *v, uint64_t block, uint64_t from, uint64_t to,
			   uint32_t hold_ms, struct vd_move_result *result, struct vd_error *err)
{
	uint64_t len = v->params.block_size, since = 0;
	int ret = copy_extents(v, from, to, len, result, err);

	for (int i = 0; !ret && i < MAX_TRIES; i++) {
		ret = vhdx_watch_hold(v, block, hold_ms, &since, err);
		if (!ret && vhdx_watch_was_written(v)) {
			result->n_recopied++;
			/* Also what was punched meanwhile must not stay. */
			ret = vd_io_zero(v->file, to, len, VD_IO_ZERO_PUNCH, err);
			if (!ret)
				ret = copy_extents(v, from, to, len, result, err);
		}
		if (!ret)
			ret = publish(v, block, from, to, err);
		if (ret != VHDX_NO_SLOT)
			break;
		let_go(v, true);
		result->held_ns += vd_now_ns() - since;
		since = 0;
		ret = vhdx_commit(v, err);
		if (!ret && i == MAX_TRIES - 1)
			ret = vd_error_set(err, VD_EBUSY, 0, from,
					   "the log is too busy to move block %llu now",
					   (unsigned long long)block);
	}
	vhdx_watch_end(v);
	if (since)
		result->held_ns += vd_now_ns() - since;
	return ret;
}

static int move_payload(struct vhdx *v, uint64_t block, uint64_t from, uint64_t to,
			uint32_t hold_ms, struct vd_move_result *result, struct vd_error *err)
{
	uint64_t len = v->params.block_size, entry;
	bool is_zero = false, is_taken = false;
	uint32_t pin;
	int ret;

	if (block >= v->geo.n_blocks)
		return vd_error_set(err, VD_ERANGE, 0, VD_NO_OFFSET,
				    "the disk has %llu blocks; there is no number %llu",
				    (unsigned long long)v->geo.n_blocks, (unsigned long long)block);
	/* If the block is freed meanwhile its old place stays what it is until we have let go. */
	pin = vd_gate_enter(&v->gate);
	pthread_mutex_lock(&v->map_lock);
	ret = vhdx_space_build(v, err);
	if (!ret)
		ret = vhdx_word_get_locked(v, vhdx_block_entry_off(v, block), &entry, err);
	if (!ret)
		ret = still_there(entry, from, block, err);
	if (!ret)
		ret = reserve(v, to, len, &is_zero, err);
	is_taken = !ret;
	pthread_mutex_unlock(&v->map_lock);
	if (!ret)
		ret = vhdx_watch_begin(v, block, err);
	if (!ret && !is_zero && !VD_SABOTAGED(M2_ZERO)) {
		ret = vd_io_zero(v->file, to, len, VD_IO_ZERO_PUNCH, err);
		if (ret)
			vhdx_watch_end(v);
	}
	if (!ret)
		ret = copy_and_switch(v, block, from, to, hold_ms, result, err);
	if (ret && is_taken)
		vhdx_space_give_back(v, to, len / VD_MIB);
	vd_gate_leave(&v->gate, pin);
	return ret;
}

int vhdx_move(void *state, enum vd_use use, uint64_t number, uint64_t from, uint64_t to,
	      uint32_t hold_ms, struct vd_move_result *result, struct vd_error *err)
{
	struct vhdx *v = state;
	int ret = vhdx_session_begin(v, VHDX_SESSION_FILE, err);

	if (ret)
		return ret;
	pthread_mutex_lock(&v->move.role);
	if (use == VD_USE_BLOCK)
		ret = move_payload(v, number, from, to, hold_ms, result, err);
	else if (use == VD_USE_BITMAP)
		ret = vhdx_move_bitmap(v, number, from, to, result, err);
	else
		ret = vd_error_set(err, VD_EINVAL, 0, from,
				   "only payload and bitmap blocks can be moved");
	pthread_mutex_unlock(&v->move.role);
	return ret;
}

/* A bitmap block isn't in use by itself: all its changes happen under map_lock, through the log. */
static int copy_bitmap(struct vhdx *v, uint64_t at, uint64_t number, uint64_t from, uint64_t to,
		       bool is_zero, struct vd_move_result *result, struct vd_error *err)
{
	struct vhdx_txn txn = {{NULL}, 0};
	uint64_t entry;
	int ret = vhdx_space_reserve(v, err);

	if (!ret)
		ret = vhdx_txn_hold(v, &txn, at, err);
	if (!ret) {
		entry = vhdx_txn_get(&txn, at);
		ret = still_there(entry, from, number, err);
	}
	/* What the file holds is what counts only when nothing waits to be put in place. */
	if (!ret && !VD_SABOTAGED(M2_BITMAP) &&
	    (v->commit.n_frozen || vhdx_cache_is_dirty(v, from, VHDX_BITMAP_SIZE)))
		ret = VHDX_NO_SLOT;
	if (!ret && !is_zero)
		ret = vd_io_zero(v->file, to, VHDX_BITMAP_SIZE, VD_IO_ZERO_PUNCH, err);
	if (!ret) {
		vhdx_cache_forget(v, to, VHDX_BITMAP_SIZE);
		ret = copy_extents(v, from, to, VHDX_BITMAP_SIZE, result, err);
	}
	if (!ret) {
		vhdx_txn_set(v, &txn, at, to | VHDX_PRESENT);
		/* The log may have pages of the old place: free with the end of the lap (I7). */
		vhdx_space_moved(v, from, VHDX_BITMAP_SIZE / VD_MIB, !VD_SABOTAGED(M3_BITMAP));
	}
	vhdx_txn_end(&txn);
	return ret;
}

int vhdx_move_bitmap(struct vhdx *v, uint64_t chunk, uint64_t from, uint64_t to,
		     struct vd_move_result *result, struct vd_error *err)
{
	uint64_t at;
	bool is_zero = false;
	int ret;

	if (!v->params.has_parent || chunk >= v->geo.n_chunks)
		return vd_error_set(err, VD_ERANGE, 0, VD_NO_OFFSET,
				    "the disk has no sector bitmap %llu",
				    (unsigned long long)chunk);
	at = vhdx_entry_off(v, vhdx_bitmap_index(&v->geo, chunk));
	pthread_mutex_lock(&v->map_lock);
	ret = vhdx_space_build(v, err);
	if (!ret)
		ret = reserve(v, to, VHDX_BITMAP_SIZE, &is_zero, err);
	pthread_mutex_unlock(&v->map_lock);
	if (ret)
		return ret;
	ret = VHDX_NO_SLOT;
	for (int i = 0; i < MAX_TRIES && ret == VHDX_NO_SLOT; i++) {
		ret = vhdx_commit(v, err);
		if (ret)
			break;
		pthread_mutex_lock(&v->map_lock);
		ret = copy_bitmap(v, at, chunk, from, to, is_zero, result, err);
		pthread_mutex_unlock(&v->map_lock);
	}
	if (ret == VHDX_NO_SLOT)
		ret = vd_error_set(err, VD_EBUSY, 0, from,
				   "sector bitmap %llu is too busy to be moved now",
				   (unsigned long long)chunk);
	if (ret)
		vhdx_space_give_back(v, to, VHDX_BITMAP_SIZE / VD_MIB);
	return ret;
}
