/* SPDX-License-Identifier: MIT */
/*
 * How changes become durable: headers, sessions, and the group commit through the log.
 *
 * Invariants (docs/vhdx.md has them in full):
 *   I1  before anything else is written, both headers get a new FileWriteGuid, and before the
 *       first change that a guest can see a new DataWriteGuid        vhdx_session_begin_slow
 *   I2  a header goes to the slot that isn't current, with the next sequence number, and is
 *       synced before the other is touched                           vhdx_headers_update
 *   I3  a header names a LogGuid only when the log holds a durable entry of it   write_entry
 *   I4  Tail: each entry is its own, since F2 synced all that earlier ones put in place
 *   I5  under one LogGuid the log isn't wrapped and nothing in it is overwritten   end_lap
 *   I6  the file is as long, durably, as the entry says
 *   I8  one commit is one entry, so that what changes together is replayed together
 *
 *            dirty --freeze--> frozen --write_entry, F4--> committed --apply--> clean
 *              ^                  |
 *              +------thaw--------+  (the entry could not be written)
 *
 * One thread at a time has the committer's role (commit.is_running); flushes that arrive
 * while it runs wait for the next commit and share it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/deadline.h"
#include "base/message.h"
#include "base/sabotage.h"
#include "format/vhdx/vhdx.h"

#define MAX_TRIES 1000 /* commits to make room for one change; one is enough but for races */

int vhdx_commit_init(struct vhdx *v, struct vd_error *err)
{
	struct vhdx_commit *c = &v->commit;
	size_t room = 2 * (size_t)v->cache.max_dirty;

	c->header = v->headers.slot[v->headers.current];
	c->slot = v->headers.current;
	c->is_half = !v->headers.is_valid[!c->slot];
	/* A lap has its own LogGuid, so its numbers may start anywhere, but must not wrap to 0. */
	c->log_seq = v->log_seq_seen < UINT64_MAX / 2 ? v->log_seq_seen + 1 : 1;
	c->frozen = vd_calloc(room, sizeof(struct vhdx_slot *));
	c->offs = vd_calloc(room, sizeof(*c->offs));
	if (!c->frozen || !c->offs)
		return vd_no_memory(err, room * sizeof(*c->offs), "the commit");
	c->frozen_room = room;
	return 0;
}

void vhdx_commit_free(struct vhdx *v)
{
	vd_free_aligned(v->commit.entry);
	vd_free_aligned(v->commit.pages);
	vd_free(v->commit.frozen);
	vd_free(v->commit.offs);
}

/* Get the committer's role. */
int vhdx_role_enter(struct vhdx *v, struct vd_error *err)
{
	int ret = 0;

	pthread_mutex_lock(&v->commit.lock);
	while (v->commit.is_running && !ret)
		ret = vd_deadline_wait(&v->commit.cond, &v->commit.lock, err);
	if (!ret)
		v->commit.is_running = true;
	pthread_mutex_unlock(&v->commit.lock);
	return ret;
}

void vhdx_role_leave(struct vhdx *v)
{
	pthread_mutex_lock(&v->commit.lock);
	v->commit.is_running = false;
	pthread_cond_broadcast(&v->commit.cond);
	pthread_mutex_unlock(&v->commit.lock);
}

int vhdx_file_sync(struct vhdx *v, struct vd_error *err)
{
	int ret;

	atomic_store_explicit(&v->has_unsynced, false, memory_order_seq_cst);
	ret = vd_io_sync(v->file, err);
	if (ret)
		atomic_store_explicit(&v->has_unsynced, true, memory_order_seq_cst);
	else if (VD_SABOTAGED(F2_RACE))
		atomic_store_explicit(&v->has_unsynced, false, memory_order_seq_cst);
	return ret;
}

static int by_page(const void *a, const void *b)
{
	const struct vhdx_slot *x = *(struct vhdx_slot *const *)a;
	const struct vhdx_slot *y = *(struct vhdx_slot *const *)b;

	return x->page < y->page ? -1 : x->page > y->page;
}

/* F1: copy what is dirty, in the order of the file. *len is the file's length at that moment. */
static int freeze(struct vhdx *v, uint64_t *len, struct vd_error *err)
{
	struct vhdx_commit *c = &v->commit;
	struct vhdx_cache *cache = &v->cache;
	int ret = 0;

	pthread_mutex_lock(&v->map_lock);
	/* I6 needs to know how far the blocks reach, and that nothing overlaps the log. */
	if (cache->n_dirty)
		ret = vhdx_space_build(v, err);
	*len = atomic_load(&v->file_len);
	if (!ret && cache->n_dirty && vhdx_entry_size(cache->n_dirty) > c->entry_room) {
		size_t n = vd_min64(2 * (size_t)cache->n_dirty, c->frozen_room);

		vd_free_aligned(c->entry);
		vd_free_aligned(c->pages);
		c->entry = vd_malloc_aligned(VHDX_PAGE, vhdx_entry_size(n));
		c->pages = vd_malloc_aligned(VHDX_PAGE, n * VHDX_PAGE);
		c->entry_room = c->entry && c->pages ? vhdx_entry_size(n) : 0;
		if (!c->entry_room)
			ret = vd_no_memory(err, vhdx_entry_size(n), "a log entry");
	}
	if (!ret) {
		qsort(cache->dirty, cache->n_dirty, sizeof(*cache->dirty), by_page);
		for (uint32_t i = 0; i < cache->n_dirty; i++) {
			struct vhdx_slot *slot = cache->dirty[i];
			uint64_t words[VHDX_WORDS_PER_PAGE];

			for (uint32_t w = 0; w < VHDX_WORDS_PER_PAGE; w++)
				words[w] =
				    atomic_load_explicit(&slot->words[w], memory_order_relaxed);
			memcpy(c->pages[i], words, VHDX_PAGE);
			c->offs[i] = slot->page * VHDX_PAGE;
			c->frozen[i] = slot;
			slot->is_dirty = false;
			slot->is_frozen = true;
		}
		c->n_frozen = cache->n_dirty;
		cache->n_dirty = 0;
		vhdx_space_freeze(v);
	}
	pthread_mutex_unlock(&v->map_lock);
	return ret;
}

/* The entry could not be written: all is as before the freeze. */
static void thaw(struct vhdx *v)
{
	struct vhdx_commit *c = &v->commit;

	pthread_mutex_lock(&v->map_lock);
	for (size_t i = 0; i < c->n_frozen; i++) {
		c->frozen[i]->is_frozen = false;
		if (!VD_SABOTAGED(THAW))
			vhdx_slot_redirty(v, c->frozen[i]);
	}
	c->n_frozen = 0;
	if (VD_SABOTAGED(I7_THAW))
		vhdx_space_committed(v);
	vhdx_space_thaw(v);
	pthread_mutex_unlock(&v->map_lock);
}

/* Write the frozen pages where they belong; neighbours in one write. */
static int put_in_place(struct vhdx *v, struct vd_error *err)
{
	struct vhdx_commit *c = &v->commit;
	size_t n;
	int ret = 0;

	for (size_t i = 0; i < c->n_frozen && !ret; i += n) {
		for (n = 1; i + n < c->n_frozen && c->offs[i + n] == c->offs[i] + n * VHDX_PAGE;)
			n++;
		ret = vd_io_write(v->file, c->pages[i], n * VHDX_PAGE, c->offs[i], err);
	}
	return ret;
}

/* F5: what is committed goes in place. Not synced: the next F2, or the end of the lap, does. */
static int apply(struct vhdx *v, struct vd_error *err)
{
	struct vhdx_commit *c = &v->commit;
	int ret;

	pthread_mutex_lock(&v->map_lock);
	v->cache.n_applied++;
	pthread_mutex_unlock(&v->map_lock);
	ret = put_in_place(v, err);
	if (ret)
		return ret;
	pthread_mutex_lock(&v->map_lock);
	for (size_t i = 0; i < c->n_frozen; i++)
		c->frozen[i]->is_frozen = false;
	c->n_frozen = 0;
	c->is_unapplied = false;
	pthread_mutex_unlock(&v->map_lock);
	return 0;
}

/* I5: everything of the lap is in place and synced; say so, and the log may be overwritten. */
static int end_lap(struct vhdx *v, struct vd_error *err)
{
	struct vhdx_header want = v->commit.header;
	int ret;

	memset(&want.log_id, 0, sizeof(want.log_id));
	ret = vhdx_headers_update(v, &want, err);
	if (ret)
		return ret;
	pthread_mutex_lock(&v->map_lock);
	vhdx_space_lap_ended(v);
	pthread_mutex_unlock(&v->map_lock);
	return 0;
}

/* F3 and F4 for pages [from, from + n) of the frozen ones, under `log_id`. */
static int write_pages(struct vhdx *v, size_t from, size_t n, uint64_t len, struct vd_guid log_id,
		       struct vd_error *err)
{
	struct vhdx_commit *c = &v->commit;
	size_t size = vhdx_entry_size(n);
	int ret;

	vhdx_entry_encode(c->entry, c->log_seq, (uint32_t)c->log_pos, log_id,
			  VD_SABOTAGED(I6_FLUSHED) ? len + VD_MIB : len, len, c->offs + from,
			  (const uint8_t(*)[VHDX_PAGE])c->pages + from, n);
	ret = vd_io_write(v->file, c->entry, size, c->header.log_off + c->log_pos, err);
	if (!ret && !VD_SABOTAGED(F4_SYNC))
		ret = vhdx_file_sync(v, err);
	return ret;
}

static void advance_log(struct vhdx_commit *c, size_t n_pages)
{
	c->log_pos += vhdx_entry_size(n_pages);
	c->log_seq += !VD_SABOTAGED(F5_SEQ);
	atomic_fetch_add(&c->n_commits, 1);
	atomic_fetch_add(&c->n_log_bytes, vhdx_entry_size(n_pages));
}

/* F3, F4 and, for the first entry of a lap, the headers (I3). *is_committed: the commit point has
 * been passed, even if an error is returned. */
static int write_entry(struct vhdx *v, uint64_t len, bool *is_committed, struct vd_error *err)
{
	struct vhdx_commit *c = &v->commit;
	struct vhdx_header want = c->header;
	bool is_first = vd_guid_is_nil(c->header.log_id);
	size_t from = 0;
	int ret = 0;

	if (is_first) {
		want.log_id = vd_guid_random();
		c->log_pos = 0;
	}
	if (VD_SABOTAGED(F5_EARLY))
		ret = put_in_place(v, err);
	if (VD_SABOTAGED(I3_HEADER) && is_first)
		ret = vhdx_headers_update(v, &want, err);
	if (VD_SABOTAGED(I8_SPLIT) && c->n_frozen > 1 && !is_first) {
		from = c->n_frozen / 2;
		ret = write_pages(v, 0, from, len, want.log_id, err);
		if (!ret)
			advance_log(c, from);
	}
	if (!ret)
		ret = write_pages(v, from, c->n_frozen - from, len, want.log_id, err);
	if (ret)
		return ret;
	if (is_first && !VD_SABOTAGED(I3_HEADER)) {
		ret = vhdx_headers_update(v, &want, err);
		if (!vd_guid_is_equal(c->header.log_id, want.log_id))
			return ret;
	}
	if (is_first)
		atomic_fetch_add(&c->n_laps, 1);
	*is_committed = true;
	advance_log(c, c->n_frozen - from);
	return ret;
}

/* H3: where the host is full behind the last entry, the start of the log has space. */
static int write_somewhere(struct vhdx *v, uint64_t len, bool *is_committed, struct vd_error *err)
{
	int ret = write_entry(v, len, is_committed, err);

	if (ret != VD_ENOSPC || *is_committed || vd_guid_is_nil(v->commit.header.log_id) ||
	    VD_SABOTAGED(H3_START))
		return ret;
	ret = end_lap(v, err);
	return ret ? ret : write_entry(v, len, is_committed, err);
}

#ifdef VD_SABOTAGE
static bool leaves_out_sync(const struct vhdx_edit *edit)
{
	if (!edit)
		return VD_SABOTAGED(F2_SYNC);
	return edit->part[0].off < VHDX_HEAD_END ? VD_SABOTAGED(REGION_SYNC)
						 : VD_SABOTAGED(ITEM_SYNC);
}
#else
#define leaves_out_sync(edit) false
#endif

/* One commit, by whoever has the role; of an edit that was staged, or of others. */
static int commit_once(struct vhdx *v, struct vhdx_edit *edit, struct vd_error *err)
{
	struct vhdx_commit *c = &v->commit;
	bool is_committed = false, is_tried = false;
	uint64_t len;
	int ret = 0;

	if (VD_SABOTAGED(F5_FORGET))
		c->n_frozen = 0;
	if (c->is_unapplied)
		ret = apply(v, err);
	if (!ret)
		ret = freeze(v, &len, err);
	if (ret)
		return ret;
	if (VD_SABOTAGED(F2_OVERWRITE) && !c->n_frozen)
		return 0;
	if (c->n_frozen || atomic_load_explicit(&v->has_unsynced, memory_order_seq_cst) ||
	    vd_io_is_poisoned(v->file))
		ret = leaves_out_sync(edit) && c->n_frozen ? 0 : vhdx_file_sync(v, err); /* F2 */
	if (!c->n_frozen)
		return ret;
	if (!ret && c->is_half)
		ret = vhdx_headers_update(v, &c->header, err);
	/* Nor does an entry end where the log does: QEMU 7.2 would look for the next one at its
	 * start, find the first, and never stop. */
	if (!ret && !vd_guid_is_nil(c->header.log_id) &&
	    c->log_pos + vhdx_entry_size(c->n_frozen) >= c->header.log_len) {
		if (VD_SABOTAGED(I5_LAP))
			c->log_pos = 0;
		else
			ret = end_lap(v, err);
	}
	is_tried = !ret;
	if (!ret)
		ret = write_somewhere(v, len, &is_committed, err);
	if (is_tried)
		atomic_store(&c->is_doubtful, !is_committed);
	if (edit)
		edit->is_committed = is_committed;
	if (!is_committed) {
		thaw(v);
		return ret;
	}
	pthread_mutex_lock(&v->map_lock);
	vhdx_space_committed(v);
	c->is_unapplied = true;
	pthread_mutex_unlock(&v->map_lock);
	if (apply(v, NULL) && !ret)
		vd_message(VD_MESSAGE_WARNING,
			   "%s: committed pages could not be put in place yet; the log has them",
			   vd_io_name(v->file));
	return ret;
}

/* With the role: let the pages of the edit become dirty, then commit them with all others. */
static int commit_edit(struct vhdx *v, struct vhdx_edit *edit, struct vd_error *err)
{
	int ret = VHDX_NO_SLOT;

	for (int i = 0; i < MAX_TRIES && ret == VHDX_NO_SLOT; i++) {
		pthread_mutex_lock(&v->map_lock);
		ret = vhdx_edit_stage(v, edit, err);
		pthread_mutex_unlock(&v->map_lock);
		if (ret == VHDX_NO_SLOT) {
			ret = commit_once(v, NULL, err);
			if (!ret)
				ret = VHDX_NO_SLOT;
		}
	}
	if (ret == VHDX_NO_SLOT)
		ret = vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET,
				   "the cache of BAT pages is too small for this change");
	if (!ret)
		ret = commit_once(v, edit, err);
	/* A header that names the entry may have got to the disk though its write failed: name the
	 * old state again before anybody hears that nothing was changed. */
	if (ret && !edit->is_committed && v->commit.is_half)
		(void)vhdx_headers_update(v, &v->commit.header, NULL);
	vhdx_edit_end(v, edit);
	return ret;
}

int vhdx_commit_edit(struct vhdx *v, struct vhdx_edit *edit, struct vd_error *err)
{
	struct vhdx_commit *c = &v->commit;
	uint64_t mine;
	int ret = vhdx_role_enter(v, err);

	if (ret)
		return ret;
	pthread_mutex_lock(&c->lock);
	mine = ++c->n_started;
	pthread_mutex_unlock(&c->lock);

	ret = commit_edit(v, edit, err);

	pthread_mutex_lock(&c->lock);
	if (!ret)
		c->n_done = mine;
	pthread_mutex_unlock(&c->lock);
	vhdx_role_leave(v);
	vhdx_space_reap(v, false);
	return ret;
}

int vhdx_commit(struct vhdx *v, struct vd_error *err)
{
	struct vhdx_commit *c = &v->commit;
	uint64_t ticket, mine;
	int ret = 0;

	pthread_mutex_lock(&c->lock);
	ticket = c->n_started + !(VD_SABOTAGED(COALESCE) && c->is_running);
	while (c->is_running && c->n_done < ticket && !ret)
		ret = vd_deadline_wait(&c->cond, &c->lock, err);
	if (ret || c->n_done >= ticket) {
		pthread_mutex_unlock(&c->lock);
		return ret;
	}
	c->is_running = true;
	mine = ++c->n_started;
	pthread_mutex_unlock(&c->lock);

	ret = commit_once(v, NULL, err);

	pthread_mutex_lock(&c->lock);
	c->is_running = false;
	if (!ret || VD_SABOTAGED(COALESCE_ERROR))
		c->n_done = mine;
	pthread_cond_broadcast(&c->cond);
	pthread_mutex_unlock(&c->lock);
	vhdx_space_reap(v, false);
	return ret;
}

int vhdx_commit_alone(struct vhdx *v, int (*then)(struct vhdx *v, void *user, struct vd_error *err),
		      void *user, struct vd_error *err)
{
	struct vhdx_commit *c = &v->commit;
	int ret = vhdx_role_enter(v, err);

	if (ret)
		return ret;
	ret = commit_once(v, NULL, err);
	if (!ret && c->is_unapplied)
		ret = apply(v, err);
	if (!ret && c->is_half)
		ret = vhdx_headers_update(v, &c->header, err);
	if (!ret && !vd_guid_is_nil(c->header.log_id)) {
		if (!VD_SABOTAGED(T1_SYNC))
			ret = vhdx_file_sync(v, err);
		if (!ret && !VD_SABOTAGED(T2_LAP))
			ret = end_lap(v, err);
	} else if (!ret) {
		/* Only the second header of its end may have failed. */
		pthread_mutex_lock(&v->map_lock);
		vhdx_space_lap_ended(v);
		pthread_mutex_unlock(&v->map_lock);
	}
	if (!ret)
		ret = then(v, user, err);
	vhdx_role_leave(v);
	vhdx_space_reap(v, false);
	return ret;
}

int vhdx_commit_close(struct vhdx *v, struct vd_error *err)
{
	struct vhdx_commit *c = &v->commit;
	int ret = vhdx_commit(v, err);

	if (ret)
		return ret;
	vhdx_space_reap(v, true);
	if (c->is_unapplied)
		ret = apply(v, err);
	if (!ret && VD_SABOTAGED(I6_TRIM))
		ret = vhdx_space_trim(v, err);
	if (!ret && !vd_guid_is_nil(c->header.log_id)) {
		if (!VD_SABOTAGED(CLOSE_SYNC))
			ret = vhdx_file_sync(v, err);
		if (!ret)
			ret = end_lap(v, err);
	} else if (!ret && c->is_half && atomic_load(&v->session.level) != VHDX_SESSION_NONE) {
		ret = vhdx_headers_update(v, &c->header, err);
	}
	vhdx_space_reap(v, true);
	if (!ret)
		ret = vhdx_space_trim(v, err);
	return ret;
}
