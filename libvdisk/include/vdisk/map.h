/* SPDX-License-Identifier: MIT */
/*
 * map.h - where the bytes of a virtual disk lie: extents for people and planners, and mappings
 * that stay valid while they are held, for those who do the payload I/O themselves.
 */
#ifndef VDISK_MAP_H
#define VDISK_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include <vdisk/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vd_disk;
struct vd_io;

/** What a stretch of the virtual disk is. */
enum vd_state {
	VD_STATE_DATA = 1,   /**< stored bytes, at a file offset */
	VD_STATE_ZERO = 2,   /**< reads as zero; the file may still hold space for it */
	VD_STATE_HOLE = 3,   /**< reads as zero and takes no space in the file */
	VD_STATE_PARENT = 4, /**< not stored here; the parent has it (and wasn't opened) */
};

/** "data", "zero", "hole", "parent". A static string. */
VD_API const char *vd_state_name(enum vd_state state);

/** A stretch of the virtual disk in one state. Bytes. */
struct vd_extent {
	uint64_t start;  /**< on the virtual disk */
	uint64_t length; /**< > 0 */
	enum vd_state state;
	uint32_t depth;  /**< 0: this image, 1: its parent, ... */
	uint64_t offset; /**< of the data in the file at `depth`, or VD_NO_OFFSET */
};

/**
 * The extent that begins at `start`: as long as it goes on in the same state, at the same depth,
 * with the file offsets in a row, but not beyond `start + limit`. Looks at the BAT, never at
 * payload, except that holes of the host file are asked for (SEEK_HOLE), which reads nothing.
 * Thread-safe. While others write to the disk the answer is a snapshot of each block.
 */
VD_API int vd_disk_map(struct vd_disk *disk, uint64_t start, uint64_t limit,
		       struct vd_extent *extent, struct vd_error *err);

/** What the caller will do with the bytes that it resolves. */
enum vd_access { VD_ACCESS_READ = 0, VD_ACCESS_WRITE = 1 };

/**
 * A resolved stretch. With state VD_STATE_DATA the bytes are those of `io` at `io_offset` (see
 * vdisk/sys/io.h; vd_io_descriptor() gives a file descriptor where there is one). With
 * VD_STATE_ZERO (only for reading) they are zeros and io is NULL. VD_STATE_PARENT appears only
 * if the disk was opened without its parents.
 */
struct vd_mapping {
	uint64_t start;  /**< on the virtual disk, as asked */
	uint64_t length; /**< > 0, at most what was asked; resolve again for the rest */
	enum vd_state state;
	uint32_t depth;
	struct vd_io *io; /**< borrowed until the release */
	uint64_t io_offset;
	enum vd_access access;
	uint32_t pin; /* the library's own from here on */
	uint64_t token[3];
};

/** How a resolved stretch was used. */
enum vd_outcome {
	VD_OUTCOME_READ = 0,    /**< it was read, or nothing was done with it */
	VD_OUTCOME_WRITTEN = 1, /**< all its bytes were written (completed, not synced) */
	VD_OUTCOME_FAILED = 2,  /**< a write failed: an allocation for it is taken back */
};

/**
 * Resolve [start, start + length) to one stretch of file, and pin it: until vd_disk_release the
 * bytes at that place stay this block's own. Whoever moves or frees the block waits for the
 * release before the place is punched, reused or cut off. VD_ACCESS_READ never blocks on writers.
 *
 * VD_ACCESS_WRITE allocates where nothing is stored. Then `start` and `length` must be multiples
 * of the logical sector. The new space reads as zero, so the caller writes just its own bytes.
 * What it allocated becomes part of the disk with vd_disk_release(VD_OUTCOME_WRITTEN), and
 * durable with the next vd_disk_flush; with VD_OUTCOME_FAILED it is taken back.
 *
 * Errors: VD_ERANGE beyond the end, VD_EROFS, VD_ENOSPC, VD_EPOISONED, VD_EIO, VD_ECORRUPT.
 * Thread-safe; a mapping may be released by another thread than the one that resolved it. Hold
 * few, and not for long: space that was freed waits for them.
 */
VD_API int vd_disk_resolve(struct vd_disk *disk, uint64_t start, uint64_t length,
			   enum vd_access access, struct vd_mapping *mapping, struct vd_error *err);
/** Let go. Each successful resolve has exactly one release. Fails only for VD_OUTCOME_WRITTEN,
 *  when what was written could not be made part of the disk (VD_EIO, VD_ENOMEM). */
VD_API int vd_disk_release(struct vd_disk *disk, struct vd_mapping *mapping,
			   enum vd_outcome outcome, struct vd_error *err);

#ifdef __cplusplus
}
#endif
#endif
