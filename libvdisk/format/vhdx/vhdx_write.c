/* SPDX-License-Identifier: MIT */
/*
 * The write path. A write to a block that is stored goes to its place, without a lock. Any other
 * gets space that reads as zero, in a pending block that no BAT entry names:
 *
 *   resolve -> pending --release(written)--> BAT entry, bitmap bits (dirty pages) --> next commit
 *                      --release(failed)---> space free again
 *
 * so that a commit never holds a change whose payload isn't written yet (F1). In a differencing
 * disk a block whose sectors partly stay the parent's becomes PARTIALLY_PRESENT: its bits, its
 * chunk's bitmap block and its entry change together, under map_lock, and thus stand in one log
 * entry (I8). Bits are set before the entry that makes them count.
 */
#include "base/alloc.h"
#include "base/deadline.h"
#include "base/sabotage.h"
#include "format/vhdx/vhdx.h"

/* mapping->token[0]: what vhdx_release_write has to do. token[1] is the block, token[2] the
 * pending block or the place of a partial one. */
enum { TOKEN_IN_PLACE = 0, TOKEN_PENDING = 1, TOKEN_SET_BITS = 2 };

#define MAX_TRIES 1000 /* commits to make room for one change; one is enough but for races */

static struct vhdx_pending **bucket(struct vhdx *v, uint64_t block)
{
	return &v->pending[block % VHDX_PENDING_BUCKETS];
}

static struct vhdx_pending *find_pending(struct vhdx *v, uint64_t block)
{
	struct vhdx_pending *p = *bucket(v, block);

	while (p && p->block != block)
		p = p->next;
	return p;
}

static void unlink_pending(struct vhdx *v, struct vhdx_pending *p)
{
	struct vhdx_pending **at = bucket(v, p->block);

	while (*at && *at != p)
		at = &(*at)->next;
	if (*at)
		*at = p->next;
}

bool vhdx_pending_kill(struct vhdx *v, uint64_t block)
{
	struct vhdx_pending *p = find_pending(v, block);
	bool is_theirs = p && p->is_anchor && !p->is_published;

	if (is_theirs)
		p->is_anchor = false;
	if (p && p->is_published) {
		p->is_dead = true;
		unlink_pending(v, p);
	}
	return is_theirs;
}

void vhdx_pending_free(struct vhdx *v)
{
	for (int i = 0; i < VHDX_PENDING_BUCKETS; i++) {
		while (v->pending[i]) {
			struct vhdx_pending *p = v->pending[i];

			v->pending[i] = p->next;
			vd_free(p);
		}
	}
}

static uint64_t block_mib(const struct vhdx *v)
{
	return v->params.block_size / VD_MIB;
}

/* One user less; the last one takes back space that was never published. */
static void drop_pending(struct vhdx *v, struct vhdx_pending *p)
{
	if (--p->n_refs)
		return;
	if (!p->is_dead)
		unlink_pending(v, p);
	if (!p->is_published && !p->is_anchor)
		vhdx_space_cancel(v, p->off, block_mib(v));
	vd_free(p);
}

static uint32_t chunk_bits(const struct vhdx *v)
{
	return v->geo.ratio_bits + v->geo.block_bits - v->geo.sector_bits;
}

/*
 * Under map_lock: where the bitmap block of the block's chunk is; a new one is made of zeros and
 * named by its entry at once (all bits 0 says nothing). The entry's page is held.
 */
static int have_bitmap(struct vhdx *v, struct vhdx_txn *txn, uint64_t block, uint64_t *off,
		       struct vd_error *err)
{
	uint64_t index = vhdx_bitmap_index(&v->geo, block >> v->geo.ratio_bits), entry;
	uint64_t at = vhdx_entry_off(v, index);
	bool is_zero;
	int ret = vhdx_txn_hold(v, txn, at, err);

	if (ret)
		return ret;
	entry = vhdx_txn_get(txn, at);
	*off = VHDX_ENTRY_OFF(entry);
	if (VHDX_ENTRY_STATE(entry) == VHDX_PRESENT) {
		if (*off < VHDX_HEAD_END ||
		    !vd_is_within(*off, VHDX_BITMAP_SIZE, atomic_load(&v->file_len)))
			return vd_error_set(err, VD_ECORRUPT, 0, at,
					    "BAT entry of a sector bitmap: file offset %llu isn't "
					    "one where it can be",
					    (unsigned long long)*off);
		return 0;
	}
	ret = vhdx_space_alloc(v, VHDX_BITMAP_SIZE / VD_MIB, !VD_SABOTAGED(F1_BITMAP), off,
			       &is_zero, err);
	if (!ret) {
		/* Pages of an earlier life of this space must not be found. */
		vhdx_cache_forget(v, *off, VHDX_BITMAP_SIZE);
		vhdx_txn_set(v, txn, at, *off | VHDX_PRESENT);
	}
	return ret;
}

/* Under map_lock: hold the bitmap pages of sectors [first, first + n). */
static int hold_bits(struct vhdx *v, struct vhdx_txn *txn, uint64_t bitmap, uint64_t first,
		     uint64_t n, struct vd_error *err)
{
	uint64_t bit = first & (((uint64_t)1 << chunk_bits(v)) - 1);
	uint64_t at = vd_align_down(bitmap + bit / 8, VHDX_PAGE);
	int ret = 0;

	for (; at <= bitmap + (bit + n - 1) / 8 && !ret; at += VHDX_PAGE)
		ret = vhdx_txn_hold(v, txn, at, err);
	return ret;
}

/* Under map_lock, pages held: give these bits the value `on`. */
static void put_bits(struct vhdx *v, struct vhdx_txn *txn, uint64_t bitmap, uint64_t first,
		     uint64_t n, bool on)
{
	uint64_t bit = first & (((uint64_t)1 << chunk_bits(v)) - 1), end = bit + n;

	while (bit < end) {
		uint64_t in_word = bit % 64, n_here = vd_min64(64 - in_word, end - bit);
		uint64_t mask = (n_here == 64 ? UINT64_MAX : ((uint64_t)1 << n_here) - 1)
				<< in_word;
		uint64_t at = bitmap + bit / 64 * 8, old = vhdx_txn_get(txn, at);
		uint64_t new = on ? old | mask : old & ~mask;

		if (new != old)
			vhdx_txn_set(v, txn, at, new);
		bit += n_here;
	}
}

static bool is_whole(const struct vhdx *v, const struct vd_mapping *m, uint64_t block)
{
	return m->start == block << v->geo.block_bits && m->length == vhdx_block_bytes(v, block);
}

/* Under map_lock: the sectors of m are written; let the bitmap say so, and with `entry` (if not 0)
 * the block become PARTIALLY_PRESENT. Pages: up to 2 of the BAT, up to 17 of the bitmap. */
static int publish_partial(struct vhdx *v, struct vhdx_txn *txn, const struct vd_mapping *m,
			   uint64_t block, uint64_t entry, struct vd_error *err)
{
	uint64_t first = m->start >> v->geo.sector_bits, n = m->length >> v->geo.sector_bits;
	uint64_t block_first = block << (v->geo.block_bits - v->geo.sector_bits), bitmap;
	uint64_t n_block = v->params.block_size >> v->geo.sector_bits;
	int ret = have_bitmap(v, txn, block, &bitmap, err);

	if (!ret && entry)
		ret = hold_bits(v, txn, bitmap, block_first, n_block, err);
	else if (!ret)
		ret = hold_bits(v, txn, bitmap, first, n, err);
	if (ret)
		return ret;
	if (entry && !VD_SABOTAGED(F1_OLD_BITS)) { /* bits of an earlier life don't count */
		put_bits(v, txn, bitmap, block_first, first - block_first, false);
		put_bits(v, txn, bitmap, first + n, block_first + n_block - first - n, false);
	}
	put_bits(v, txn, bitmap, first, n, true);
	if (entry)
		vhdx_txn_set(v, txn, vhdx_block_entry_off(v, block), entry);
	return 0;
}

/* Under map_lock: a write to a pending block is complete; the entry that it leads to. */
static int publish(struct vhdx *v, struct vhdx_txn *txn, const struct vd_mapping *m,
		   struct vhdx_pending *p, struct vd_error *err)
{
	uint64_t at = vhdx_block_entry_off(v, p->block), entry;
	enum vhdx_state state;
	int ret;

	if (p->is_dead)
		return 0;
	ret = vhdx_txn_hold(v, txn, at, err);
	if (ret)
		return ret;
	entry = vhdx_txn_get(txn, at);
	state = VHDX_ENTRY_STATE(entry);
	if (state == VHDX_PRESENT) /* another writer has published it */
		return 0;
	if (state == VHDX_PARTIAL && !is_whole(v, m, p->block))
		return publish_partial(v, txn, m, p->block, 0, err);
	if (state == VHDX_NOT_PRESENT && v->params.has_parent && !is_whole(v, m, p->block) &&
	    !VD_SABOTAGED(F1_FULL))
		ret = publish_partial(v, txn, m, p->block, p->off | VHDX_PARTIAL, err);
	else
		vhdx_txn_set(v, txn, at, p->off | VHDX_PRESENT);
	if (!ret && !p->is_published) {
		p->is_published = true;
		v->n_allocated++;
	}
	return ret;
}

/* Under map_lock: sectors of a block that is PARTIALLY_PRESENT since before are written. */
static int publish_bits(struct vhdx *v, struct vhdx_txn *txn, const struct vd_mapping *m,
			struct vd_error *err)
{
	uint64_t block = m->token[1], at = vhdx_block_entry_off(v, block), entry;
	int ret = vhdx_txn_hold(v, txn, at, err);

	if (ret)
		return ret;
	/* Else a discard of the block ran at the same time, and came last. */
	entry = vhdx_txn_get(txn, at);
	if (VHDX_ENTRY_STATE(entry) != VHDX_PARTIAL || VHDX_ENTRY_OFF(entry) != m->token[2])
		return 0;
	if (is_whole(v, m, block) || VD_SABOTAGED(F1_PARTIAL)) {
		vhdx_txn_set(v, txn, at, m->token[2] | VHDX_PRESENT);
		return 0;
	}
	return publish_partial(v, txn, m, block, 0, err);
}

int vhdx_release_write(struct vhdx *v, struct vd_mapping *m, bool is_written, struct vd_error *err)
{
	struct vhdx_txn txn = {{NULL}, 0};
	int ret = 0;

	if (is_written && !atomic_load_explicit(&v->has_unsynced, memory_order_relaxed))
		atomic_store_explicit(&v->has_unsynced, true, memory_order_seq_cst);
	if (m->token[0] == TOKEN_IN_PLACE)
		return 0;
	if (!VD_SABOTAGED(LOCK))
		pthread_mutex_lock(&v->map_lock);
	is_written |= VD_SABOTAGED(F1_FAILED);
	for (int i = 0; is_written && i < MAX_TRIES; i++) {
		if (m->token[0] == TOKEN_PENDING)
			ret =
			    publish(v, &txn, m, (struct vhdx_pending *)(uintptr_t)m->token[2], err);
		else
			ret = publish_bits(v, &txn, m, err);
		vhdx_txn_end(&txn);
		if (ret != VHDX_NO_SLOT)
			break;
		pthread_mutex_unlock(&v->map_lock);
		ret = vhdx_commit(v, err);
		pthread_mutex_lock(&v->map_lock);
		if (ret)
			break;
		ret = vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET,
				   "the cache of BAT pages is too small for this change");
	}
	if (m->token[0] == TOKEN_PENDING)
		drop_pending(v, (struct vhdx_pending *)(uintptr_t)m->token[2]);
	if (!VD_SABOTAGED(LOCK))
		pthread_mutex_unlock(&v->map_lock);
	return ret;
}

/* Under map_lock: a new pending block. Its space may still have to be zeroed. */
static int make_pending(struct vhdx *v, uint64_t block, uint64_t entry, struct vhdx_pending **out,
			bool *is_zero, struct vd_error *err)
{
	struct vhdx_pending *p;
	uint64_t anchor = VHDX_ENTRY_OFF(entry);
	enum vhdx_state state = VHDX_ENTRY_STATE(entry);
	int ret = vhdx_space_build(v, err);

	if (ret)
		return ret;
	p = vd_calloc(1, sizeof(*p));
	if (!p)
		return vd_no_memory(err, sizeof(*p), "a new block");
	*is_zero = false;
	/* UNDEFINED and UNMAPPED entries may own their old space still, with old bytes in it. */
	if (anchor && state != VHDX_NOT_PRESENT && state != VHDX_ZERO) {
		p->off = anchor;
		p->is_anchor = true;
	} else {
		ret = vhdx_space_alloc(v, block_mib(v), false, &p->off, is_zero, err);
		if (ret) {
			vd_free(p);
			return ret;
		}
	}
	p->block = block;
	p->n_refs = 1;
	*is_zero |= VD_SABOTAGED(F1_ZERO);
	p->is_zeroing = !*is_zero;
	p->next = *bucket(v, block);
	*bucket(v, block) = p;
	*out = p;
	return 0;
}

/* Under map_lock, which it lets go meanwhile: wait for, or do, the zeroing of p's space. */
static int zero_pending(struct vhdx *v, struct vhdx_pending *p, bool is_mine, struct vd_error *err)
{
	int ret = 0;

	if (is_mine) {
		pthread_mutex_unlock(&v->map_lock);
		ret = vd_io_zero(v->file, p->off, v->params.block_size, VD_IO_ZERO_PUNCH, err);
		pthread_mutex_lock(&v->map_lock);
		p->zero_result = ret;
		p->is_zeroing = false;
		pthread_cond_broadcast(&v->map_cond);
		return ret;
	}
	while (p->is_zeroing && !ret && !VD_SABOTAGED(F1_WAIT))
		ret = vd_deadline_wait(&v->map_cond, &v->map_lock, err);
	if (!ret && p->zero_result)
		ret = vd_error_set(err, p->zero_result, 0, p->off,
				   "new space for block %llu could not be zeroed",
				   (unsigned long long)p->block);
	return ret;
}

/* Under map_lock: the block isn't stored; be one of the writers of its pending space. */
static int join_pending(struct vhdx *v, uint64_t block, uint64_t entry, struct vd_mapping *m,
			struct vd_error *err)
{
	struct vhdx_pending *p = find_pending(v, block);
	bool is_zero = true, is_mine = false;
	int ret = 0;

	if (p) {
		p->n_refs++;
	} else {
		ret = make_pending(v, block, entry, &p, &is_zero, err);
		is_mine = !ret && !is_zero;
	}
	if (!ret && (is_mine || p->is_zeroing || p->zero_result)) {
		ret = zero_pending(v, p, is_mine, err);
		if (ret)
			drop_pending(v, p);
	}
	if (ret)
		return ret;
	m->token[0] = TOKEN_PENDING;
	m->token[1] = block;
	m->token[2] = (uintptr_t)p;
	m->io_offset = p->off + (m->start & (v->params.block_size - 1));
	return 0;
}

/* A block's space ends behind the end of the file, or lies where structures are. */
static int check_place(struct vhdx *v, uint64_t block, uint64_t off, struct vd_error *err)
{
	const struct vhdx_header *header = &v->headers.slot[v->headers.current];
	uint64_t n = v->params.block_size;
	uint64_t place = atomic_load_explicit(&v->metadata_place, memory_order_relaxed);
	bool is_bad = vd_is_overlap(off, n, header->log_off, header->log_len) ||
		      vd_is_overlap(off, n, v->regions.bat.off, v->regions.bat.len) ||
		      vd_is_overlap(off, n, (place >> 12) * VD_MIB, (place & 0xfff) * VD_MIB);
	int ret = 0;

	for (uint32_t i = 0; i < v->regions.n_unknown; i++)
		is_bad |=
		    vd_is_overlap(off, n, v->regions.unknown[i].off, v->regions.unknown[i].len);
	if (is_bad)
		return vd_error_set(err, VD_ECORRUPT, 0, vhdx_block_entry_off(v, block),
				    "block %llu at file offset %llu overlaps the log or a region: "
				    "refused to write to it",
				    (unsigned long long)block, (unsigned long long)off);
	if (off + n <= atomic_load_explicit(&v->file_len, memory_order_relaxed))
		return 0;
	/* The file is to end with a whole block, whoever wrote it last. */
	pthread_mutex_lock(&v->map_lock);
	ret = vhdx_space_build(v, err);
	if (!ret)
		ret = vhdx_space_extend(v, off + n, err);
	pthread_mutex_unlock(&v->map_lock);
	return ret;
}

/* Stored blocks: *is_done unless the block turned out not to be stored. Inside the gate. */
static int resolve_stored(struct vhdx *v, uint64_t block, struct vd_mapping *m, bool *is_done,
			  struct vd_error *err)
{
	uint64_t entry, off, n_same;
	bool is_here, is_beyond;
	int ret = vhdx_word_get(v, vhdx_block_entry_off(v, block), &entry, err);

	if (!ret)
		ret = vhdx_entry_check(v, block, entry, err);
	*is_done = !ret && vhdx_is_stored(VHDX_ENTRY_STATE(entry));
	if (!*is_done)
		return ret;
	off = VHDX_ENTRY_OFF(entry);
	is_beyond =
	    off + v->params.block_size > atomic_load_explicit(&v->file_len, memory_order_relaxed);
	if (off < v->structures_end || is_beyond) {
		if (vd_no_wait && is_beyond)
			return VD_WOULD_WAIT;
		ret = check_place(v, block, off, err);
		if (ret)
			return ret;
	}
	m->io_offset = off + (m->start & (v->params.block_size - 1));
	m->token[0] = TOKEN_IN_PLACE;
	if (VHDX_ENTRY_STATE(entry) == VHDX_PRESENT)
		return 0;
	ret = vhdx_bitmap_run(v, m->start >> v->geo.sector_bits, m->length >> v->geo.sector_bits,
			      &is_here, &n_same, err);
	if (!ret && (!is_here || n_same < m->length >> v->geo.sector_bits)) {
		if (vd_no_wait)
			return VD_WOULD_WAIT;
		/* What a commit will hold is looked over before the caller writes anything. */
		pthread_mutex_lock(&v->map_lock);
		ret = vhdx_space_build(v, err);
		pthread_mutex_unlock(&v->map_lock);
		m->token[0] = TOKEN_SET_BITS;
		m->token[1] = block;
		m->token[2] = off;
	}
	return ret;
}

#ifdef VD_SABOTAGE
/* What F1 forbids: the entry and its bits, before the payload. */
static void publish_early(struct vhdx *v, const struct vd_mapping *m)
{
	struct vhdx_txn txn = {{NULL}, 0};

	(void)publish(v, &txn, m, (struct vhdx_pending *)(uintptr_t)m->token[2], NULL);
	vhdx_txn_end(&txn);
}
#else
#define publish_early(v, m) ((void)(v), (void)(m))
#endif

static int refuse(struct vhdx *v, const struct vd_mapping *m, struct vd_error *err)
{
	if (!v->is_writable)
		return vd_error_set(err, VD_EROFS, 0, VD_NO_OFFSET,
				    "the image was opened read-only");
	if (v->params.has_parent && ((m->start | m->length) & (v->params.logical_sector_size - 1)))
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "a differencing disk is written in whole sectors of %u bytes",
				    v->params.logical_sector_size);
	return 0;
}

int vhdx_resolve_write(struct vhdx *v, struct vd_mapping *m, struct vd_error *err)
{
	uint64_t block = m->start >> v->geo.block_bits, entry;
	bool is_done = false;
	int ret = refuse(v, m, err);

	if (!ret && vd_no_wait && atomic_load(&v->session.level) < VHDX_SESSION_DATA)
		ret = VD_WOULD_WAIT;
	if (!ret)
		ret = vhdx_session_begin(v, VHDX_SESSION_DATA, err);
	if (ret)
		return ret;
	m->state = VD_STATE_DATA;
	m->io = v->file;
	ret = vhdx_writer_enter(v, block, &m->pin, err);
	if (ret)
		return ret;
	while (!ret && !is_done) {
		ret = resolve_stored(v, block, m, &is_done, err);
		if (ret || is_done)
			break;
		if (vd_no_wait) {
			ret = VD_WOULD_WAIT;
			break;
		}
		/* Again, now that nobody can publish it meanwhile. */
		pthread_mutex_lock(&v->map_lock);
		ret = vhdx_word_get_locked(v, vhdx_block_entry_off(v, block), &entry, err);
		if (!ret && !vhdx_is_stored(VHDX_ENTRY_STATE(entry))) {
			ret = join_pending(v, block, entry, m, err);
			is_done = true;
			if (VD_SABOTAGED(F1_EARLY) && !ret)
				publish_early(v, m);
		}
		pthread_mutex_unlock(&v->map_lock);
	}
	if (ret)
		vhdx_writer_leave(v, &m->pin);
	return ret;
}
