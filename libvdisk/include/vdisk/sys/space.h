/* SPDX-License-Identifier: MIT */
/*
 * sys/space.h - the space of an image file, for those who make it smaller while it is in use.
 *
 * What lies where in the file, and the few moves from which a compaction is made: let go of a block
 * that holds nothing, punch the zeros inside a block, move a block, cut the file. Each keeps to the
 * invariants of the write path (docs/vhdx.md, I, M and T) whatever guests do meanwhile; which moves
 * to make is the caller's business (compactor/).
 *
 * All functions are thread-safe beside reads, writes, discards and flushes of the same handle; of
 * themselves they run one at a time. The disk must be open for writing. VD_EUNSUPPORTED: its format
 * can't do it. None of them changes what a guest reads, or DataWriteGuid, unless it says so.
 */
#ifndef VDISK_SYS_SPACE_H
#define VDISK_SYS_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include <vdisk/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vd_disk;

/** What a stretch of the file is used for. */
enum vd_use {
	VD_USE_FREE = 0,
	VD_USE_STRUCTURE = 1, /**< headers, log, regions: stays where it is */
	VD_USE_BLOCK = 2,     /**< a payload block; may be moved */
	VD_USE_BITMAP = 3,    /**< a sector bitmap block; may be moved */
	VD_USE_ANCHOR = 4, /**< space that a block without content still claims; may be dropped */
	VD_USE_BUSY = 5,   /**< being allocated or given back just now */
};
/** "free", "structure", ... A static string. */
VD_API const char *vd_use_name(enum vd_use use);

struct vd_use_range {
	uint64_t offset, length; /**< in the file, bytes */
	enum vd_use use;
	uint64_t number; /**< of the payload block or bitmap chunk; else 0 */
	bool is_whole;   /**< VD_USE_BLOCK: nothing of it is the parent's, so that it may be dropped
			    when it is all zero */
};

/** The space as a whole. */
struct vd_space_info {
	uint32_t size;       /**< set by the caller */
	uint64_t file_size;  /**< length of the file */
	uint64_t allocated;  /**< host bytes (st_blocks * 512); UINT64_MAX: unknown */
	uint64_t granule;    /**< what offsets of blocks are multiples of: 1 MiB */
	uint64_t block_size; /**< of a payload block */
	uint64_t bitmap_size;
	uint64_t n_blocks; /**< of the virtual disk */
	bool can_drop;     /**< blocks may lose their space (not on fixed disks) */
};
VD_API int vd_disk_get_space(struct vd_disk *disk, struct vd_space_info *info,
			     struct vd_error *err);

/**
 * All that is used, in no order, and what is free between it left out. A snapshot per entry: while
 * guests write, what is told may be outdated; the moves below look again. A non-zero answer of fn
 * ends it and is returned.
 */
typedef int (*vd_use_fn)(void *user, const struct vd_use_range *range);
VD_API int vd_disk_list_use(struct vd_disk *disk, vd_use_fn fn, void *user, struct vd_error *err);

/** What a move cost. */
struct vd_move_result {
	uint32_t size;       /**< set by the caller */
	uint64_t n_copied;   /**< bytes read and written, or copied by the host */
	uint64_t n_shared;   /**< bytes shared with their old place (reflink) */
	uint64_t held_ns;    /**< how long writes to the block were held back */
	uint32_t n_recopied; /**< how often the copy was made again because a guest wrote */
};
/**
 * Move a payload block (VD_USE_BLOCK) or a bitmap block from `from` to `to`, both multiples of the
 * granule (invariants M1-M3). Reads go on throughout; writes to this block wait only while what
 * they changed during the copy is copied again, and no longer than the writes in flight need to
 * end. Durable with the next flush; until then, and until all who read there have let go, the old
 * place keeps its bytes; then it is given back to the host. A crash leaves the old place or the new
 * one. VD_ENOENT: it isn't at `from` any more. VD_EEXIST: `to` isn't free any more. VD_EBUSY:
 * writes to the block didn't end within `hold_ms`; try again later. VD_ENOSPC. In all these cases
 * nothing has changed.
 */
VD_API int vd_disk_move_block(struct vd_disk *disk, enum vd_use use, uint64_t number, uint64_t from,
			      uint64_t to, uint32_t hold_ms, struct vd_move_result *result,
			      struct vd_error *err);

/** When a block may lose its space. */
enum vd_drop {
	VD_DROP_HOLE = 0, /**< if the host holds nothing for it (SEEK_HOLE: nothing is read) */
	VD_DROP_ZERO = 1, /**< if all its bytes are zero (reads it) */
	VD_DROP_FREE = 2, /**< whatever it holds: the guest's file system says that it is free. What
			     a guest reads there changes to zero, and DataWriteGuid with it */
};
/**
 * Let block `number` read as zero and own nothing. *n_dropped: the bytes of file that become free
 * with the next flush; 0 if the block holds something, or is partly the parent's, or the disk is
 * fixed. Writes to the block wait while it is looked at. Errors as vd_disk_move_block.
 */
VD_API int vd_disk_drop_block(struct vd_disk *disk, uint64_t number, enum vd_drop how,
			      uint32_t hold_ms, uint64_t *n_dropped, struct vd_error *err);

/**
 * Give back the zeros inside a stored block, in units of `unit` bytes (a power of two, at least
 * 4096). *n_punched: bytes that became holes. Writes to the block wait only if there is something
 * to punch.
 */
VD_API int vd_disk_punch_block(struct vd_disk *disk, uint64_t number, uint32_t unit,
			       uint32_t hold_ms, uint64_t *n_punched, struct vd_error *err);

/**
 * Cut the file behind the last thing in it (invariants T1-T4): commits, empties the log, truncates,
 * syncs. Never below `keep`. *length: what the file's length is afterwards.
 */
VD_API int vd_disk_cut(struct vd_disk *disk, uint64_t keep, uint64_t *length, struct vd_error *err);

#ifdef __cplusplus
}
#endif
#endif
