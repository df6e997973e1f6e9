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
 * themselves they run one at a time. The disk must be open for writing (VD_EROFS), but for the two
 * that only look. VD_EUNSUPPORTED: its format can't do it. None of them changes what a guest reads,
 * or DataWriteGuid, unless it says so; so the crash promise of vdisk/disk.h holds beside them.
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
/** "free", "structure", ... A static string; "unknown" for other values. */
VD_API const char *vd_use_name(enum vd_use use);

/** A stretch of the file that is used. */
struct vd_use_range {
	uint64_t offset, length; /**< in the file, bytes */
	enum vd_use use;
	uint64_t number; /**< of the payload block or bitmap chunk; else 0 */
	bool is_whole;   /**< VD_USE_BLOCK: nothing of it is the parent's, so that it may be dropped
			    when it is all zero */
};

/** The space as a whole. Bytes. */
struct vd_space_info {
	uint32_t size;        /**< set by the caller */
	uint64_t file_size;   /**< length of the file */
	uint64_t allocated;   /**< host bytes (st_blocks * 512); UINT64_MAX: unknown */
	uint64_t granule;     /**< what offsets of blocks are multiples of: 1 MiB */
	uint64_t block_size;  /**< of a payload block */
	uint64_t bitmap_size; /**< of a sector bitmap block */
	uint64_t n_blocks;    /**< payload blocks of the virtual disk */
	bool can_drop;        /**< blocks may lose their space (not on fixed disks) */
	uint64_t log_size;    /**< of the log */
};
/** Fill *info, as of now. Also of a disk that is open for reading. VD_EINVAL: info->size. */
VD_API int vd_disk_get_space(struct vd_disk *disk, struct vd_space_info *info,
			     struct vd_error *err);

/** Hears one stretch, valid during the call. A non-zero answer ends the listing and is returned. */
typedef int (*vd_use_fn)(void *user, const struct vd_use_range *range);
/**
 * All that is used, in no order, and what is free between it left out. A snapshot per entry: while
 * guests write, what is told may be outdated; the moves below look again. Reads the whole BAT. Also
 * of a disk that is open for reading. fn is called in the caller's thread, without locks held.
 * VD_ECORRUPT: an entry of the BAT makes no sense; VD_EIO.
 */
VD_API int vd_disk_list_use(struct vd_disk *disk, vd_use_fn fn, void *user, struct vd_error *err);

/** What a move cost. */
struct vd_move_result {
	uint32_t size;       /**< set by the caller */
	uint64_t n_copied;   /**< bytes read and written, or copied by the host */
	uint64_t n_shared;   /**< bytes shared with their old place (reflink) */
	uint64_t held_ns;    /**< how long writes to the block were held back, nanoseconds */
	uint32_t n_recopied; /**< how often the copy was made again because a guest wrote */
};
/**
 * Move a payload block (VD_USE_BLOCK) or a bitmap block from `from` to `to`, both multiples of the
 * granule (invariants M1-M3). Reads go on throughout; writes to this block wait only while what
 * they changed during the copy is copied again, and no longer than the writes in flight need to
 * end. Durable with the next flush; until then, and until all who read there have let go, the old
 * place keeps its bytes; then it is given back to the host. A crash leaves the old place or the new
 * one. VD_ENOENT: it isn't at `from` any more. VD_EEXIST: `to` isn't free any more, or lies behind
 * the end of the file. VD_EBUSY: the writes in flight didn't end within `hold_ms` milliseconds, or
 * within a second before the copy; try again later. VD_ENOSPC. VD_EINVAL, VD_ERANGE: no such place
 * or block. In all these cases nothing has changed. *result may be NULL; what a failed move has
 * copied counts in it.
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
 * Let block `number` read as zero and own nothing, if it may go by `how`. *n_dropped: the bytes of
 * file that become free with the next flush; 0 if the block holds something, or is partly the
 * parent's, or the disk is fixed. Writes to the block wait while it goes, and before that while it
 * is looked at again, if one came meanwhile. A crash before that flush leaves it as it was, or
 * dropped.
 * Errors: VD_EBUSY and VD_ERANGE as vd_disk_move_block; with VD_DROP_FREE also what a listener of
 * VD_EVENT_WILL_WRITE answers, who hears of it first. Nothing has changed then.
 */
VD_API int vd_disk_drop_block(struct vd_disk *disk, uint64_t number, enum vd_drop how,
			      uint32_t hold_ms, uint64_t *n_dropped, struct vd_error *err);

/**
 * Give back the zeros inside a stored block, in units of `unit` bytes (a power of two, at least
 * 4096, at most 1 MiB: VD_EINVAL). *n_punched: bytes that became holes, also before a failure.
 * Writes to the block wait only if there is something to punch. The holes read as the zeros did, so
 * a crash loses nothing. VD_EBUSY: the block is written to just now; VD_ERANGE as above;
 * VD_EUNSUPPORTED also if the host has no holes.
 */
VD_API int vd_disk_punch_block(struct vd_disk *disk, uint64_t number, uint32_t unit,
			       uint32_t hold_ms, uint64_t *n_punched, struct vd_error *err);

/**
 * Cut the file behind the last thing in it (invariants T1-T4): commits, empties the log, truncates,
 * syncs. Never below `keep` bytes. *length: what the file's length is afterwards, in bytes. Durable
 * when it returns; a crash leaves the file long or short, and clean. Space whose readers don't let
 * go within about 0.1 s stays for the next time. Errors: VD_EIO, VD_EPOISONED and others of
 * vd_disk_flush.
 */
VD_API int vd_disk_cut(struct vd_disk *disk, uint64_t keep, uint64_t *length, struct vd_error *err);

#ifdef __cplusplus
}
#endif
#endif
