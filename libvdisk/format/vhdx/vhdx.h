/* SPDX-License-Identifier: MIT */
/*
 * An open VHDX, and who may touch which part of it.
 *
 * Lock order: move.role > session.lock > the committer's role (commit.is_running) > map_lock. The
 * store's own locks come last. Lock-free readers use nothing but the gate, the page cache's tags,
 * sequences and words, and members that don't change after the opening.
 */
#ifndef VD_VHDX_H
#define VD_VHDX_H

#include <pthread.h>
#include <stdatomic.h>

#include <vdisk/item.h>

#include "base/gate.h"
#include "format/vhdx/vhdx_layout.h"

#define VHDX_WORDS_PER_PAGE (VHDX_PAGE / 8)

/*
 * A page of the BAT or of a sector bitmap in memory. Words are kept as on disk (little-endian)
 * and are read without a lock: tag, sequence, word, sequence again. Never freed before the close.
 */
struct vhdx_slot {
	_Atomic uint32_t seq;  /* odd while the page is replaced by another */
	_Atomic bool was_used; /* since the clock's hand passed */
	bool is_dirty;         /* has changes that no log entry holds yet */
	bool is_frozen;   /* has changes that were copied for a commit and aren't in place yet */
	bool is_reserved; /* the host has space for it */
	uint32_t n_holds; /* changers that need it resident */
	uint64_t page;    /* file offset / 4096 */
	_Atomic uint64_t *words;
};

#define VHDX_WAYS 8 /* slots that a page may be in; their tags share a cache line */

struct vhdx_cache {
	_Atomic uint64_t *tags; /* page + 1, or 0 */
	struct vhdx_slot *slots;
	uint32_t set_bits;
	uint32_t hand;
	struct vhdx_slot **dirty; /* room for twice max_dirty */
	uint32_t n_dirty, max_dirty;
	uint64_t n_applied; /* changes when pages are written in place */
	_Atomic uint64_t n_misses, n_bytes;
};

/** Pages that one change needs, held resident until vhdx_txn_end. Under map_lock. */
struct vhdx_txn {
	struct vhdx_slot *held[40];
	uint32_t n_held;
};

/** Stretches of the file, in MiB. */
struct vhdx_run {
	uint64_t at, n;
};
struct vhdx_runs {
	struct vhdx_run *run;
	size_t n, room;
};

/*
 * Which MiB of the file are taken. Freed space goes dirty -> frozen -> committed -> draining ->
 * free, so that it is reused only when the commit that frees it is durable (I7) and nobody who
 * resolved it before still holds it.
 */
struct vhdx_space {
	bool is_built;
	uint64_t *used;       /* a bit per MiB of the file */
	uint64_t *zeroed;     /* known to read as zero */
	uint64_t n_mib, room; /* of file; of the bitmaps */
	uint64_t opened_mib;  /* length at the opening: a close never cuts below it */
	uint64_t first_try;   /* no free run of least_fail or more below here */
	uint64_t least_fail;
	struct vhdx_runs dirty, frozen, committed, draining;
	struct vhdx_runs logged, frozen_logged; /* as dirty and frozen, but entries of the log
						   write there */
	struct vhdx_runs quarantine; /* free, but entries of this lap of the log write there */
	struct vd_grace grace;
	bool is_punching;
};

/*
 * A block that is being written for the first time: it has space, but no BAT entry says so until
 * a write to it is released as written.
 */
struct vhdx_pending {
	struct vhdx_pending *next;
	uint64_t block, off;
	uint32_t n_refs;
	bool is_zeroing;   /* its space isn't zero yet: wait */
	bool is_published; /* the BAT entry has it */
	bool is_dead;      /* was published and then freed by a discard */
	bool is_anchor;    /* the space was the entry's own soft anchor */
	int zero_result;   /* VD_E* if zeroing failed */
};
#define VHDX_PENDING_BUCKETS 256

/*
 * Stretches of structures that change together, in one log entry: from `was` to `will`. The pages
 * are held from vhdx_edit_stage to vhdx_edit_end, so that the change can be taken back.
 */
#define VHDX_EDIT_PARTS 2
struct vhdx_edit {
	struct {
		uint64_t off; /* of whole pages */
		size_t len;
		const uint8_t *was, *will;
	} part[VHDX_EDIT_PARTS];
	int n_parts;
	bool is_staged, is_committed;
	struct vhdx_txn txn;
};

#define VHDX_WRITER_SHIFT                                                                          \
	16 /* of a writer's pin: its ticket of the writers' gate, and the other                    \
	    */
#define VHDX_READER_MASK 0xffffu

/* The one block that is watched while it is moved, freed or punched (vhdx_move.c). */
struct vhdx_watch {
	pthread_mutex_t role; /* whoever moves; taken before all other locks */
	struct vd_gate writers;
	_Atomic uint64_t block; /* + 1; 0: none */
	_Atomic bool is_held, was_written;
	pthread_mutex_t lock; /* for those who wait */
	pthread_cond_t cond;
};

struct vhdx_commit {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool is_running;
	uint64_t n_started, n_done;
	/* From here on: whoever has the committer's role. */
	struct vhdx_header header; /* as the current slot on disk holds it */
	int slot;
	bool is_half;     /* the other slot is older, or torn */
	uint64_t log_pos; /* where the next entry of this lap goes */
	uint64_t log_seq; /* of the next entry */
	uint8_t *entry;
	size_t entry_room;
	struct vhdx_slot **frozen;
	uint64_t *offs;
	uint8_t (*pages)[VHDX_PAGE];
	size_t n_frozen; /* changes under map_lock */
	size_t frozen_room;
	bool is_unapplied; /* the frozen pages are committed, but not all are in place */
	/* The log ends with an entry that was written, but given up before it was known to count: a
	 * power cut may bring it, until the next entry stands in its place. */
	_Atomic bool is_doubtful;
	_Atomic uint64_t n_commits, n_log_bytes, n_laps;
};

/*
 * User metadata items. The table as it is (params.items, regions.metadata) changes only when a
 * change is committed, under `lock` and map_lock; who has either sees a whole one. One change at a
 * time has the turn, and with it the pages of the table and the unused space of the region.
 */
struct vhdx_item_state {
	pthread_rwlock_t lock;
	pthread_mutex_t turn_lock;
	pthread_cond_t turn;
	bool is_changing;
	pthread_t changer;
};

enum vhdx_session { VHDX_SESSION_NONE = 0, VHDX_SESSION_FILE = 1, VHDX_SESSION_DATA = 2 };

struct vhdx {
	struct vd_io *io;   /* what is read: the file, or its view after replay */
	struct vd_io *file; /* the file itself */
	bool is_writable;
	bool had_dirty_log;
	uint64_t log_seq_seen;       /* newest entry at the opening, for look_again */
	struct vhdx_headers headers; /* as at the opening */
	struct vhdx_regions regions;
	struct vhdx_params params;
	struct vhdx_geometry geo;
	char creator[257];
	bool is_fixed;
	uint64_t structures_end; /* behind this there are only blocks */
	_Atomic uint64_t file_len;
	_Atomic bool has_unsynced; /* payload was written since the last sync; what the commit puts
				      in place doesn't count, the log has it */

	struct vd_gate gate;
	pthread_mutex_t map_lock;
	pthread_cond_t map_cond; /* a pending block's space is zero now */
	struct vhdx_cache cache;
	struct vhdx_space space;
	struct vhdx_pending *pending[VHDX_PENDING_BUCKETS];
	uint64_t n_allocated, n_freed, bytes_beyond_end;

	/* Where the metadata region is, for those who have no lock: offset | length, both in MiB.
	 */
	_Atomic uint64_t metadata_place;
	struct vhdx_item_state items;

	struct vhdx_commit commit;
	struct vhdx_watch move;
	struct {
		pthread_mutex_t lock;
		_Atomic int level; /* enum vhdx_session */
		bool
		    has_repaired; /* the region tables are alike, or will be with the next commit */
	} session;
};

/* vhdx_cache.c: pages of BAT and bitmaps */
int vhdx_cache_init(struct vhdx *v, size_t bytes, struct vd_error *err);
void vhdx_cache_free(struct vhdx *v);
/** The 8-byte word at file offset `off` (a multiple of 8), host order. Takes no lock on a hit. */
int vhdx_word_get(struct vhdx *v, uint64_t off, uint64_t *word, struct vd_error *err);
/** The same under map_lock. */
int vhdx_word_get_locked(struct vhdx *v, uint64_t off, uint64_t *word, struct vd_error *err);
/** Under map_lock: have the page of `off` resident until vhdx_txn_end. VHDX_NO_SLOT: commit, then
 *  begin anew. */
#define VHDX_NO_SLOT 1
int vhdx_txn_hold(struct vhdx *v, struct vhdx_txn *txn, uint64_t off, struct vd_error *err);
/** Under map_lock, the page being held: read, change. A change makes the page dirty. */
uint64_t vhdx_txn_get(const struct vhdx_txn *txn, uint64_t off);
void vhdx_txn_set(struct vhdx *v, struct vhdx_txn *txn, uint64_t off, uint64_t word);
void vhdx_txn_end(struct vhdx_txn *txn);
/** Under map_lock: put a slot back on the dirty list. */
void vhdx_slot_redirty(struct vhdx *v, struct vhdx_slot *slot);
/** Under map_lock: pages of [off, off + len) wait for a commit. */
bool vhdx_cache_is_dirty(const struct vhdx *v, uint64_t off, uint64_t len);
/** Bytes of structures as they are now, committed in place or not. Multiples of 8. */
int vhdx_words_read(struct vhdx *v, void *buf, size_t len, uint64_t off, struct vd_error *err);
/** Under map_lock: let the pages of the edit have their new content. VHDX_NO_SLOT as above. */
int vhdx_edit_stage(struct vhdx *v, struct vhdx_edit *edit, struct vd_error *err);
/** Let the pages go; what wasn't committed is taken back. Not under map_lock. */
void vhdx_edit_end(struct vhdx *v, struct vhdx_edit *edit);
/** Under map_lock: forget pages of space that becomes free. */
void vhdx_cache_forget(struct vhdx *v, uint64_t off, uint64_t len);

/* vhdx_space.c: the space map. All under map_lock unless said otherwise. */
/** Read the BAT once and see what is taken; VD_ECORRUPT on overlaps. */
int vhdx_space_build(struct vhdx *v, struct vd_error *err);
/** Take n MiB; *is_zero tells whether they are known to be zero. Grows the file if needed. */
int vhdx_space_alloc(struct vhdx *v, uint64_t n, bool must_be_zero, uint64_t *off, bool *is_zero,
		     struct vd_error *err);
/** Give back what no BAT entry ever named. */
void vhdx_space_cancel(struct vhdx *v, uint64_t off, uint64_t n);
/** Room for one more vhdx_space_release that can't fail. */
int vhdx_space_reserve(struct vhdx *v, struct vd_error *err);
/** An entry in memory no longer names it: free after the commit. */
void vhdx_space_release(struct vhdx *v, uint64_t off, uint64_t n);
/** Take this place, if all of it is free (else VD_EEXIST). */
int vhdx_space_take(struct vhdx *v, uint64_t off, uint64_t n, bool *is_zero, struct vd_error *err);
/** Not under map_lock: what was taken, and perhaps written to, isn't used after all. */
void vhdx_space_give_back(struct vhdx *v, uint64_t off, uint64_t n);
/** As release, but the block lives on elsewhere. is_logged: the log may have pages of the old
 * place, which is free with the end of the lap. */
void vhdx_space_moved(struct vhdx *v, uint64_t off, uint64_t n, bool is_logged);
/** Not under map_lock: freed space still waits for readers. */
bool vhdx_space_is_draining(struct vhdx *v);
/** Cut off what is free at the end, but not below `keep` MiB. The log is empty. Doesn't sync. */
int vhdx_space_cut(struct vhdx *v, uint64_t keep, struct vd_error *err);
/** Not under map_lock: let the host have what is free in the file. */
void vhdx_space_punch_free(struct vhdx *v);
void vhdx_space_freeze(struct vhdx *v);
void vhdx_space_thaw(struct vhdx *v);
void vhdx_space_committed(struct vhdx *v);
/** Free once the lap of the log is over, and for good: the log may have pages of it. */
void vhdx_space_quarantine(struct vhdx *v, uint64_t off, uint64_t n);
void vhdx_space_lap_ended(struct vhdx *v);
/** Not under map_lock: punch and free what is committed and drained; wait = nobody is left inside.
 */
void vhdx_space_reap(struct vhdx *v, bool is_closing);
/** Not under map_lock, clean image: cut off what this opening grew and didn't use. */
int vhdx_space_trim(struct vhdx *v, struct vd_error *err);
void vhdx_space_free(struct vhdx *v);
/** Make sure that the file reaches to `end`. */
int vhdx_space_extend(struct vhdx *v, uint64_t end, struct vd_error *err);

/* vhdx_session.c, vhdx_log.c: headers, sessions, group commit (F1-F5, I1-I6) */
int vhdx_commit_init(struct vhdx *v, struct vd_error *err);
void vhdx_commit_free(struct vhdx *v);
/** I1: announce a change of the file, or of what a guest reads. Cheap once done. No lock held. */
int vhdx_session_begin_slow(struct vhdx *v, enum vhdx_session level, struct vd_error *err);
static inline int vhdx_session_begin(struct vhdx *v, enum vhdx_session level, struct vd_error *err)
{
	if (atomic_load_explicit(&v->session.level, memory_order_acquire) >= (int)level)
		return 0;
	return vhdx_session_begin_slow(v, level, err);
}
/** Make everything released before durable. Callers share commits. No lock held. */
int vhdx_commit(struct vhdx *v, struct vd_error *err);
/** The same, and `edit` with it: all of it, in one entry, or (edit->is_committed false) nothing. */
int vhdx_commit_edit(struct vhdx *v, struct vhdx_edit *edit, struct vd_error *err);
/** The committer's role. */
int vhdx_role_enter(struct vhdx *v, struct vd_error *err);
void vhdx_role_leave(struct vhdx *v);
/** Everything written so far is durable. */
int vhdx_file_sync(struct vhdx *v, struct vd_error *err);
/** Commit, put all in place, declare the log empty; then, still alone, `then`. */
int vhdx_commit_alone(struct vhdx *v, int (*then)(struct vhdx *v, void *user, struct vd_error *err),
		      void *user, struct vd_error *err);
/** Both headers, one after the other, each synced (I2). Committer's role, or while opening. */
int vhdx_headers_update(struct vhdx *v, const struct vhdx_header *want, struct vd_error *err);
/** Flush, apply, mark clean. */
int vhdx_commit_close(struct vhdx *v, struct vd_error *err);

/* vhdx_resolve.c, vhdx_write.c: virtual offsets to places */
int vhdx_resolve(void *state, uint64_t start, uint64_t length, enum vd_access access,
		 struct vd_mapping *mapping, struct vd_error *err);
int vhdx_release(void *state, struct vd_mapping *mapping, enum vd_outcome outcome,
		 struct vd_error *err);
/** m->start, m->length: a range within one block. */
int vhdx_resolve_write(struct vhdx *v, struct vd_mapping *m, struct vd_error *err);
int vhdx_release_write(struct vhdx *v, struct vd_mapping *mapping, bool is_written,
		       struct vd_error *err);
/** Under map_lock: the block's entry is to own nothing any more. True: its space (a soft anchor)
 *  belongs to writers that are under way, and isn't free. */
bool vhdx_pending_kill(struct vhdx *v, uint64_t block);
void vhdx_pending_free(struct vhdx *v);
int vhdx_entry_check(const struct vhdx *v, uint64_t block, uint64_t entry, struct vd_error *err);
/** How many sectors from `sector` on, at most `n`, have the same bit as it; *is_here is that bit.
 */
int vhdx_bitmap_run(struct vhdx *v, uint64_t sector, uint64_t n, bool *is_here, uint64_t *n_same,
		    struct vd_error *err);

/* vhdx_move.c */
int vhdx_move_init(struct vhdx *v);
void vhdx_move_free(struct vhdx *v);
/** A write to `block`, or anything else that changes its bytes, begins: waits if the block is held
 *  back. *pin is for vhdx_writer_leave, and keeps the place of the block as a reader's pin does. */
int vhdx_writer_enter(struct vhdx *v, uint64_t block, uint32_t *pin, struct vd_error *err);
void vhdx_writer_leave(struct vhdx *v, uint32_t *pin);

/* vhdx_trim.c, vhdx_extent.c */
/** Let the block read as zero and own nothing; the session has begun. */
int vhdx_zero_whole(struct vhdx *v, uint64_t block, struct vd_error *err);
int vhdx_zero(void *state, uint64_t start, uint64_t length, uint32_t flags, struct vd_error *err);
int vhdx_extent(void *state, uint64_t start, uint64_t limit, struct vd_extent *extent,
		struct vd_error *err);
int vhdx_count_blocks(void *state, struct vd_block_counts *counts, struct vd_error *err);

/* vhdx_items.c, vhdx_items_change.c: user metadata items */
int vhdx_items_init(struct vhdx *v, struct vd_error *err);
void vhdx_items_free(struct vhdx *v);
int vhdx_list_items(void *state, struct vd_item **items, size_t *n, struct vd_error *err);
int vhdx_read_item(void *state, const uint8_t id[16], void *buf, uint32_t len, uint32_t offset,
		   struct vd_error *err);
int vhdx_change_items(void *state, const struct vd_item_change *changes, size_t n,
		      struct vd_error *err);

/* Small helpers */
static inline uint64_t vhdx_entry_off(const struct vhdx *v, uint64_t index)
{
	return v->regions.bat.off + 8 * index;
}

static inline uint64_t vhdx_block_entry_off(const struct vhdx *v, uint64_t block)
{
	return vhdx_entry_off(v, vhdx_payload_index(&v->geo, block));
}

/** Bytes of the virtual disk in `block`: the last one may be partial. */
static inline uint64_t vhdx_block_bytes(const struct vhdx *v, uint64_t block)
{
	uint64_t start = block << v->geo.block_bits;

	return vd_min64(v->params.block_size, v->params.virtual_size - start);
}

/** A region in one word: see metadata_place. */
static inline uint64_t vhdx_region_place(const struct vhdx_region *region)
{
	return region->off / VD_MIB << 12 | region->len / VD_MIB;
}

static inline bool vhdx_is_stored(enum vhdx_state state)
{
	return state == VHDX_PRESENT || state == VHDX_PARTIAL;
}

#endif
