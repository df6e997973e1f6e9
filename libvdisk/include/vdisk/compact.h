/* SPDX-License-Identifier: MIT */
/*
 * compact.h - an image file becomes smaller, while its disk is in use or not.
 *
 * What isn't needed is let go (blocks that hold nothing, zeros inside blocks, what the guest's file
 * systems call free), what lies behind is moved into the room, and the file is cut. Guests go on
 * reading and writing meanwhile: a write waits only while its own block changes place. Nothing a
 * guest can read changes, unless VD_COMPACT_FREE_SPACE is asked for. No second file; on the host
 * it takes one block and the length of the log at most, besides what it held before.
 *
 * Crash promise: as vdisk/disk.h. An interrupted compaction leaves a valid image that is some of
 * the way; running it again goes on from there, and running it on a compact image does nothing.
 */
#ifndef VDISK_COMPACT_H
#define VDISK_COMPACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdisk/disk.h>
#include <vdisk/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How far it goes; each does what those before it do. */
enum vd_compact_level {
	VD_COMPACT_PUNCH = 1,  /**< give space back inside the file: its length stays */
	VD_COMPACT_PACK = 2,   /**< move what lies behind into the gaps, cut the file */
	VD_COMPACT_DEFRAG = 3, /**< order of the blocks = order on the disk, few extents */
};
/** "punch", "pack", "defrag". A static string; "unknown" for other values. */
VD_API const char *vd_compact_level_name(enum vd_compact_level level);

#define VD_COMPACT_ZERO_SCAN 0x1u /**< also find zeros by reading */
#define VD_COMPACT_FREE_SPACE                                                                      \
	0x2u /**< also drop what clean file systems on the disk call free: only where nobody else  \
		can write. Changes DataWriteGuid; refused where a child lies in the same folder.   \
		Of children elsewhere the caller must know. */
#define VD_COMPACT_DRY_RUN 0x4u /**< change nothing, tell what would be gained */
#define VD_COMPACT_LAYOUT                                                                          \
	0x8u /**< also drop all that `in_use` doesn't name: where nobody else can write, or with   \
		a `generation`. Changes DataWriteGuid, and is refused as FREE_SPACE is; not        \
		together with that. */
#define VD_COMPACT_ALONE                                                                           \
	0x10u /**< nobody else uses the disk, so that nobody waits: copies are committed several   \
		 at a time, as far as the bound of extra space allows */

/** What it is doing now. Valid during the call. */
struct vd_compact_progress {
	const char *phase;    /**< "look" (of a dry run), "free", "move", "cut"; a phase may
				 come again */
	uint64_t done, total; /**< of this phase: blocks, moves or file systems */
	uint64_t n_moved, bytes_copied; /**< so far, in all */
};

/** A stretch of the disk that is in use. Bytes. */
struct vd_compact_extent {
	uint64_t start, length;
};

/**
 * What was written since a moment, a bit per block: so that a list of what is in use, made after
 * that moment, can be acted upon while guests go on writing. Who hands their writes to the disk
 * calls write_begin before and write_end after each, from the first on; discards and writes of
 * zeros needn't be told. Thread-safe, but for new and free.
 */
struct vd_generation;
/** For this disk; none has begun yet. VD_ENOMEM. */
VD_API int vd_generation_new(struct vd_generation **out, const struct vd_disk *disk,
			     struct vd_error *err);
/** NULL is allowed. */
VD_API void vd_generation_free(struct vd_generation *generation);
/** Begin a new one, which gets a random name: nothing was written since. Waits for the writes that
 *  are being made, as these do for it. */
VD_API int vd_generation_begin(struct vd_generation *generation, uint8_t id[16],
			       struct vd_error *err);
/** Is it the present one? */
VD_API bool vd_generation_is(struct vd_generation *generation, const uint8_t id[16]);
/** Bytes of blocks that were written since it began. */
VD_API uint64_t vd_generation_written(struct vd_generation *generation);
/** A write of [offset, offset + len) begins; it waits while space of the same blocks is being given
 *  back. Between these two the thread makes one write, and calls nothing else here. */
VD_API void vd_generation_write_begin(struct vd_generation *generation, uint64_t offset,
				      uint64_t len);
/** It is made, or failed: the same range. */
VD_API void vd_generation_write_end(struct vd_generation *generation, uint64_t offset,
				    uint64_t len);

/** A file system that VD_COMPACT_FREE_SPACE came by. Strings are valid during the call. */
struct vd_compact_fs {
	uint32_t number;        /**< of the partition; 0: the whole disk */
	const char *type;       /**< "ext4", ...; "": none was recognised */
	uint64_t start, length; /**< on the disk */
	uint64_t n_free;        /**< bytes that it calls free */
	const char *why;        /**< NULL, or why it was left alone */
};

/** How. Start from VD_COMPACT_OPTS_INIT; NULL means just that. */
struct vd_compact_opts {
	uint32_t size;               /**< sizeof(struct vd_compact_opts) */
	enum vd_compact_level level; /**< 0: VD_COMPACT_PACK */
	uint32_t flags;              /**< VD_COMPACT_* */
	uint32_t hold_ms; /**< a guest's write waits so long for others to end, at most; 0: 50 ms */
	uint64_t max_rate;     /**< bytes copied a second, 0: no limit */
	uint32_t max_time_s;   /**< stop after this; what is done stays; 0: no limit */
	uint32_t busy_percent; /**< share of the time that is spent moving; 0: 100 */
	/** How long the guest's requests take at present, in microseconds; over max_latency_us it
	 *  pauses, but makes a step each second all the same: what is slow for other reasons isn't
	 * to keep it from ever ending. NULL: not asked. */
	uint64_t (*latency_us)(void *user);
	uint64_t max_latency_us;
	/** Called between steps, as the others here in the thread of vd_compact and without locks
	 *  held; a non-zero answer ends it with VD_ECANCELED. May be NULL. */
	int (*progress)(void *user, const struct vd_compact_progress *progress);
	void *user;
	/** Told each file system that FREE_SPACE looks at. May be NULL. */
	void (*file_system)(void *user, const struct vd_compact_fs *fs);
	/** With LAYOUT: all that is in use, in order, none across another; at least one. */
	const struct vd_compact_extent *in_use;
	size_t n_in_use;
	/** With LAYOUT, where guests write meanwhile: what was written since `in_use` was made
	 * counts as in use. VD_EBUSY if generation_id isn't its present name. NULL: nobody writes.
	 */
	struct vd_generation *generation;
	uint8_t generation_id[16];
};
#define VD_COMPACT_OPTS_INIT                                                                       \
	{                                                                                          \
		sizeof(struct vd_compact_opts), VD_COMPACT_PACK, 0, 0, 0, 0, 0, NULL, 0, NULL,     \
		    NULL, NULL, NULL, 0, NULL,                                                     \
		{                                                                                  \
			0                                                                          \
		}                                                                                  \
	}

/** What came of it; also after VD_ECANCELED and other failures. Bytes. With DRY_RUN: what would. */
struct vd_compact_result {
	uint32_t size;                              /**< set by the caller */
	uint64_t file_before, file_after;           /**< length of the file */
	uint64_t allocated_before, allocated_after; /**< host space (st_blocks * 512); UINT64_MAX:
						       the host doesn't tell */
	uint64_t dropped_hole;                      /**< blocks for which the host held nothing */
	uint64_t dropped_zero;                      /**< blocks full of zeros */
	uint64_t dropped_anchor;           /**< space that blocks without content still claimed */
	uint64_t freed_guest;              /**< free in the guest's file systems or not in
						use by the layout, and given back */
	uint64_t n_filesystems;            /**< whose free space was looked at */
	uint64_t punched;                  /**< zeros inside blocks */
	uint64_t n_moves, n_moves_planned; /**< done; by the first plan */
	uint64_t bytes_copied, bytes_shared;
	uint64_t n_recopied;      /**< copies made again because a guest wrote */
	uint64_t n_deferred;      /**< moves that couldn't be made because the block was too busy */
	uint64_t longest_hold_ns; /**< for which writes to one block waited */
	uint64_t file_least;      /**< the shortest that any moves could reach */
	uint64_t
	    shared_extents; /**< of the file, with snapshots of it: no compaction frees these */
	bool is_complete;   /**< there is nothing left to do at this level */
	uint64_t waited_ns; /**< for which it paused because the guest was slow (max_latency_us) */
};

/**
 * Compact the image of `disk`, which must be open for writing (for a dry run: for reading). Parents
 * aren't touched. Blocks until it is done (a zero scan has up to three threads of its own
 * meanwhile); call it from a thread of its own beside guests, who may
 * use all calls of vdisk/disk.h but vd_disk_close meanwhile. One at a time per disk. *result may be
 * NULL. vd_image_open with VD_PURPOSE_COMPACT gives a disk whose history, if it has one, gets an
 * entry. What is done is durable when it returns, also with VD_ECANCELED and VD_ETIMEDOUT.
 * Errors: VD_EINVAL (options), VD_EROFS, VD_EUNSUPPORTED (the format has nothing to compact),
 * VD_ECANCELED, VD_ETIMEDOUT (max_time_s), VD_ENOSPC (no room for one block), VD_EDENIED
 * (FREE_SPACE or LAYOUT with children), VD_EBUSY (another generation), VD_EIO ...
 */
VD_API int vd_compact(struct vd_disk *disk, const struct vd_compact_opts *opts,
		      struct vd_compact_result *result, struct vd_error *err);

#ifdef __cplusplus
}
#endif
#endif
