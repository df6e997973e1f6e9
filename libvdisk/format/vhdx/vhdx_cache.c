/* SPDX-License-Identifier: MIT */
/*
 * Pages of the BAT and of sector bitmaps, loaded when they are asked for, in bounded memory.
 *
 * A page may stand in one of eight slots that its number chooses. Readers take no lock: they
 * find the tag, note the slot's sequence, read the word, and look whether the sequence is still
 * the same. Whoever replaces a page (under map_lock) makes the sequence odd first. Only pages
 * that are neither dirty, frozen nor held are replaced: what is in memory only stays there.
 */
#include <endian.h>
#include <string.h>

#include "base/alloc.h"
#include "base/deadline.h"
#include "base/sabotage.h"
#include "format/vhdx/vhdx.h"

static uint32_t first_slot(const struct vhdx_cache *cache, uint64_t page)
{
	uint64_t mixed = page * 0x9E3779B97F4A7C15u;

	return cache->set_bits ? (uint32_t)(mixed >> (64 - cache->set_bits)) * VHDX_WAYS : 0;
}

int vhdx_cache_init(struct vhdx *v, size_t bytes, struct vd_error *err)
{
	struct vhdx_cache *cache = &v->cache;
	uint64_t n_pages = vd_div_up(v->geo.n_entries * 8, VHDX_PAGE) + 1;
	uint64_t most, n_slots;
	uint32_t capacity = v->headers.slot[v->headers.current].log_len / VHDX_PAGE;

	/* Bitmap pages, the region tables' 32, and elbow room for unlucky sets. */
	if (v->params.has_parent)
		n_pages += v->geo.n_chunks * (VHDX_BITMAP_SIZE / VHDX_PAGE);
	most = vd_max64(bytes / VHDX_PAGE, 64);
	while (((uint64_t)VHDX_WAYS << cache->set_bits) < 2 * n_pages + 128 &&
	       ((uint64_t)VHDX_WAYS << (cache->set_bits + 1)) <= most)
		cache->set_bits++;
	n_slots = (uint64_t)VHDX_WAYS << cache->set_bits;

	/* One log entry holds all dirty pages, also when a failed commit adds its own again. */
	capacity -= (capacity + 127) / 128 + 1;
	cache->max_dirty = (uint32_t)vd_min64(capacity / 2, vd_max64(n_slots / 4, 48));
	cache->tags = vd_malloc_aligned(64, n_slots * sizeof(*cache->tags));
	cache->slots = vd_calloc(n_slots, sizeof(*cache->slots));
	if (v->is_writable)
		cache->dirty = vd_calloc(2 * (size_t)cache->max_dirty, sizeof(struct vhdx_slot *));
	if (!cache->tags || !cache->slots || (v->is_writable && !cache->dirty))
		return vd_no_memory(err, n_slots * sizeof(*cache->slots), "the page cache");
	for (uint64_t i = 0; i < n_slots; i++)
		atomic_init(&cache->tags[i], 0);
	return 0;
}

void vhdx_cache_free(struct vhdx *v)
{
	struct vhdx_cache *cache = &v->cache;

	for (size_t i = 0; cache->slots && i < (size_t)VHDX_WAYS << cache->set_bits; i++)
		vd_free(cache->slots[i].words);
	vd_free(cache->slots);
	vd_free_aligned(cache->tags);
	vd_free(cache->dirty);
}

/* The slot that holds the page, or NULL. Under map_lock the answer stays true. */
static struct vhdx_slot *find(const struct vhdx_cache *cache, uint64_t page)
{
	uint32_t first = first_slot(cache, page);

	for (uint32_t i = first; i < first + VHDX_WAYS; i++)
		if (atomic_load_explicit(&cache->tags[i], memory_order_acquire) == page + 1)
			return &cache->slots[i];
	return NULL;
}

/* Lock-free. False: not here, or it was being replaced. */
static inline bool try_get(struct vhdx_cache *cache, uint64_t page, uint32_t index, uint64_t *word)
{
	struct vhdx_slot *slot = find(cache, page);
	uint32_t seq;
	uint64_t value;

	if (!slot)
		return false;
	seq = atomic_load_explicit(&slot->seq, memory_order_acquire);
	if (seq & 1)
		return false;
	/* The tag again, now that a sequence is noted: the slot may have changed hands before. */
	if (atomic_load_explicit(&cache->tags[slot - cache->slots], memory_order_acquire) !=
	    page + 1)
		return false;
	value = atomic_load_explicit(&slot->words[index], memory_order_acquire);
	if (atomic_load_explicit(&slot->seq, memory_order_relaxed) != seq)
		return false;
	if (!atomic_load_explicit(&slot->was_used, memory_order_relaxed))
		atomic_store_explicit(&slot->was_used, true, memory_order_relaxed);
	*word = le64toh(value);
	return true;
}

/* A slot for a new page: an empty one, else one not used lately. NULL: all are needed. */
static struct vhdx_slot *choose(struct vhdx_cache *cache, uint64_t page)
{
	uint32_t first = first_slot(cache, page);

	for (uint32_t i = first; i < first + VHDX_WAYS; i++)
		if (!atomic_load_explicit(&cache->tags[i], memory_order_relaxed))
			return &cache->slots[i];
	for (uint32_t i = 0; i < 2 * VHDX_WAYS; i++) {
		struct vhdx_slot *slot = &cache->slots[first + cache->hand++ % VHDX_WAYS];

		if (slot->is_dirty || (slot->is_frozen && !VD_SABOTAGED(EVICT)) || slot->n_holds)
			continue;
		if (!atomic_exchange_explicit(&slot->was_used, false, memory_order_relaxed))
			return slot;
	}
	return NULL;
}

/* Under map_lock: put `bytes` of `page` into a slot. VHDX_NO_SLOT if none is to be had. */
static int insert(struct vhdx_cache *cache, uint64_t page,
		  const uint64_t bytes[VHDX_WORDS_PER_PAGE], struct vhdx_slot **out)
{
	struct vhdx_slot *slot = choose(cache, page);
	_Atomic uint64_t *tag;

	if (!slot)
		return VHDX_NO_SLOT;
	if (!slot->words) {
		slot->words = vd_malloc(VHDX_PAGE);
		if (!slot->words)
			return VD_ENOMEM;
		cache->n_bytes += VHDX_PAGE;
	}
	tag = &cache->tags[slot - cache->slots];
	atomic_fetch_add_explicit(&slot->seq, 1, memory_order_acq_rel);
	atomic_store_explicit(tag, 0, memory_order_release);
	/* Release stores: whoever reads one of the new words sees the odd sequence too. */
	for (uint32_t i = 0; i < VHDX_WORDS_PER_PAGE; i++)
		atomic_store_explicit(&slot->words[i], bytes[i], memory_order_release);
	slot->page = page;
	slot->is_reserved = false;
	atomic_store_explicit(tag, page + 1, memory_order_release);
	atomic_fetch_add_explicit(&slot->seq, 1, memory_order_release);
	atomic_store_explicit(&slot->was_used, true, memory_order_relaxed);
	*out = slot;
	return 0;
}

static int load(struct vhdx *v, uint64_t page, uint64_t *bytes, struct vd_error *err)
{
	atomic_fetch_add_explicit(&v->cache.n_misses, 1, memory_order_relaxed);
	return vd_io_read(v->io, bytes, VHDX_PAGE, page * VHDX_PAGE, err);
}

int vhdx_word_get_locked(struct vhdx *v, uint64_t off, uint64_t *word, struct vd_error *err)
{
	uint64_t page = off / VHDX_PAGE, bytes[VHDX_WORDS_PER_PAGE];
	struct vhdx_slot *slot = find(&v->cache, page);
	size_t index = off % VHDX_PAGE / 8;
	int ret;

	if (slot) {
		*word = le64toh(atomic_load_explicit(&slot->words[index], memory_order_relaxed));
		return 0;
	}
	ret = load(v, page, bytes, err);
	if (ret)
		return ret;
	*word = le64toh(bytes[index]);
	/* A full set or no memory only costs the next reader a read. */
	(void)insert(&v->cache, page, bytes, &slot);
	return 0;
}

/*
 * A miss. The page is read without the lock, so that misses run side by side. What was read may
 * be older than what another thread loaded, changed, committed and evicted meanwhile; but then
 * pages were written in place, and the locked way reads again.
 */
static int get_slow(struct vhdx *v, uint64_t off, uint64_t *word, struct vd_error *err)
{
	struct vhdx_cache *cache = &v->cache;
	uint64_t page = off / VHDX_PAGE, bytes[VHDX_WORDS_PER_PAGE], n_applied;
	struct vhdx_slot *slot;
	int ret;

	if (vd_no_wait)
		return VD_WOULD_WAIT;
	pthread_mutex_lock(&v->map_lock);
	n_applied = cache->n_applied;
	slot = find(cache, page);
	if (slot) {
		ret = vhdx_word_get_locked(v, off, word, err);
		pthread_mutex_unlock(&v->map_lock);
		return ret;
	}
	pthread_mutex_unlock(&v->map_lock);
	ret = load(v, page, bytes, err);
	if (ret)
		return ret;
	pthread_mutex_lock(&v->map_lock);
	if (!find(cache, page) && (n_applied == cache->n_applied || VD_SABOTAGED(CACHE_STALE)))
		(void)insert(cache, page, bytes, &slot);
	ret = vhdx_word_get_locked(v, off, word, err);
	pthread_mutex_unlock(&v->map_lock);
	return ret;
}

int vhdx_word_get(struct vhdx *v, uint64_t off, uint64_t *word, struct vd_error *err)
{
	uint64_t page = off / VHDX_PAGE;
	uint32_t index = (uint32_t)(off % VHDX_PAGE / 8);

	if (__builtin_expect(try_get(&v->cache, page, index, word), 1))
		return 0;
	return get_slow(v, off, word, err);
}

int vhdx_txn_hold(struct vhdx *v, struct vhdx_txn *txn, uint64_t off, struct vd_error *err)
{
	struct vhdx_cache *cache = &v->cache;
	uint64_t page = off / VHDX_PAGE, bytes[VHDX_WORDS_PER_PAGE];
	struct vhdx_slot *slot;
	int ret;

	for (uint32_t i = 0; i < txn->n_held; i++)
		if (txn->held[i]->page == page)
			return 0;
	/* A commit under way may give its pages back; those and the new ones must fit an entry. */
	if (cache->n_dirty + txn->n_held + 1 > cache->max_dirty ||
	    cache->n_dirty + v->commit.n_frozen + txn->n_held + 1 > 2 * (size_t)cache->max_dirty)
		return VHDX_NO_SLOT;
	slot = find(cache, page);
	if (!slot) {
		ret = load(v, page, bytes, err);
		if (ret)
			return ret;
		ret = insert(cache, page, bytes, &slot);
		if (ret)
			return ret == VD_ENOMEM ? vd_no_memory(err, VHDX_PAGE, "a page") : ret;
	}
	/* H2: a commit mustn't meet a full host, so who wants the change does. */
	if (!slot->is_reserved && !VD_SABOTAGED(H2_PAGE)) {
		ret = vd_io_allocate(v->file, page * VHDX_PAGE, VHDX_PAGE, err);
		if (ret)
			return ret;
		slot->is_reserved = true;
	}
	slot->n_holds++;
	txn->held[txn->n_held++] = slot;
	return 0;
}

static struct vhdx_slot *held(const struct vhdx_txn *txn, uint64_t off)
{
	for (uint32_t i = 0; i < txn->n_held; i++)
		if (txn->held[i]->page == off / VHDX_PAGE)
			return txn->held[i];
	return NULL;
}

uint64_t vhdx_txn_get(const struct vhdx_txn *txn, uint64_t off)
{
	struct vhdx_slot *slot = held(txn, off);

	return le64toh(
	    atomic_load_explicit(&slot->words[off % VHDX_PAGE / 8], memory_order_relaxed));
}

void vhdx_slot_redirty(struct vhdx *v, struct vhdx_slot *slot)
{
	if (slot->is_dirty)
		return;
	slot->is_dirty = true;
	v->cache.dirty[v->cache.n_dirty++] = slot;
}

void vhdx_txn_set(struct vhdx *v, struct vhdx_txn *txn, uint64_t off, uint64_t word)
{
	struct vhdx_slot *slot = held(txn, off);

	/* Release: whoever sees a new BAT entry sees the bitmap words that were set before it. */
	atomic_store_explicit(&slot->words[off % VHDX_PAGE / 8], htole64(word),
			      memory_order_release);
	vhdx_slot_redirty(v, slot);
}

void vhdx_txn_end(struct vhdx_txn *txn)
{
	for (uint32_t i = 0; i < txn->n_held; i++)
		txn->held[i]->n_holds--;
	txn->n_held = 0;
}

int vhdx_words_read(struct vhdx *v, void *buf, size_t len, uint64_t off, struct vd_error *err)
{
	uint8_t *out = buf;

	for (size_t at = 0; at < len; at += 8) {
		uint64_t word;
		int ret = vhdx_word_get(v, off + at, &word, err);

		if (ret)
			return ret;
		word = htole64(word);
		memcpy(out + at, &word, 8);
	}
	return 0;
}

void vhdx_cache_forget(struct vhdx *v, uint64_t off, uint64_t len)
{
	struct vhdx_cache *cache = &v->cache;
	size_t n_slots = (size_t)VHDX_WAYS << cache->set_bits;

	if (VD_SABOTAGED(REGION_CACHE))
		return;
	cache->n_applied++; /* a page that is being read now is not to be believed either */
	for (size_t i = 0; i < n_slots; i++) {
		struct vhdx_slot *slot = &cache->slots[i];

		if (!atomic_load_explicit(&cache->tags[i], memory_order_relaxed) ||
		    slot->page < off / VHDX_PAGE || slot->page >= (off + len) / VHDX_PAGE ||
		    slot->is_dirty || slot->is_frozen || slot->n_holds)
			continue;
		atomic_fetch_add_explicit(&slot->seq, 1, memory_order_acq_rel);
		atomic_store_explicit(&cache->tags[i], 0, memory_order_release);
		atomic_fetch_add_explicit(&slot->seq, 1, memory_order_release);
	}
}

bool vhdx_cache_is_dirty(const struct vhdx *v, uint64_t off, uint64_t len)
{
	for (uint32_t i = 0; i < v->cache.n_dirty; i++)
		if (vd_is_within(v->cache.dirty[i]->page * VHDX_PAGE - off, 1, len))
			return true;
	return false;
}
