/* SPDX-License-Identifier: MIT */
/*
 * disk.h - open, create, read and write virtual disks.
 *
 * A struct vd_disk is an open image with its chain of parents. It is pure mechanism: it reads no
 * policy, no environment, no configuration. All functions on one handle may be called from many
 * threads at once, except vd_disk_close. Offsets and lengths are bytes of the virtual disk.
 *
 * Crash promise (VHDX): what was written before a call of vd_disk_flush that returned 0 survives
 * a crash. Any other sector then reads as before or as written, and a discarded one as before or
 * as zero, never as a third thing.
 *
 * Fork rule: a handle belongs to the process that opened it; after fork() the child must not
 * touch it, not even to close it. The library starts no threads (but those of vdisk/queue.h),
 * handles no signals, prints nothing and never exits.
 */
#ifndef VDISK_DISK_H
#define VDISK_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <vdisk/error.h>
#include <vdisk/map.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vd_disk;
struct vd_io;

/** Formats by name: "vhdx", "raw". */
#define VD_FORMAT_VHDX "vhdx"
#define VD_FORMAT_RAW  "raw"

enum vd_disk_type {
	VD_TYPE_UNKNOWN = 0,
	VD_TYPE_FIXED = 1,        /**< all blocks have their space from the start */
	VD_TYPE_DYNAMIC = 2,      /**< blocks get space when they are written */
	VD_TYPE_DIFFERENCING = 3, /**< dynamic, over a parent */
};

/** "fixed", "dynamic", "differencing". A static string. */
VD_API const char *vd_disk_type_name(enum vd_disk_type type);

#define VD_OPEN_WRITE 0x1u /**< for reading and writing; otherwise reading only */
#define VD_OPEN_LOOK                                                                                    \
	0x2u                     /**< take no lock at all (not with VD_OPEN_WRITE): for looking at      \
				    structure while another program may write. What it reads is checked \
				    against the headers afterwards and tried again. */
#define VD_OPEN_NO_PARENTS 0x4u  /**< don't open the parents of a differencing image */
#define VD_OPEN_DIRECT     0x8u  /**< O_DIRECT, with alignment done by the library */
#define VD_OPEN_NO_LOCK    0x10u /**< the caller excludes others by its own means */
#define VD_OPEN_TRY_PARENTS                                                                        \
	0x20u /**< for looking (not with VD_OPEN_WRITE): parents that can't be opened are left     \
		 out, as with VD_OPEN_NO_PARENTS, and vd_disk_get_parent_error tells why */
#define VD_OPEN_NO_SYNC                                                                            \
	0x40u /**< nothing is ever synced: a flush promises nothing, and a crash of the host may   \
		 spoil the whole image. For new files that can be made again. */

/** Options of vd_disk_open. Start from VD_OPEN_OPTS_INIT; NULL means just that. */
struct vd_open_opts {
	uint32_t size;  /**< sizeof(struct vd_open_opts) */
	uint32_t flags; /**< VD_OPEN_* */
	/** Format of the image, NULL: probe it. Forcing "raw" lifts the guard that a probed raw
	 * image has against a guest that writes another format's signature into it. */
	const char *format;
	/** Folders beneath which parents may be opened, besides the folder of the image itself.
	 *  Symbolic links, ".." and absolute paths don't lead out of them. */
	const char *const *parent_roots;
	size_t n_parent_roots;
	uint32_t max_depth;  /**< parents in a chain at most; 0: 256 */
	uint32_t timeout_ms; /**< for each call; 0: none. See vd_disk_set_timeout. */
	size_t cache_bytes;  /**< bound of the cache of BAT and bitmap pages per image; 0: 16 MiB */
};
#define VD_OPEN_OPTS_INIT                                                                          \
	{                                                                                          \
		sizeof(struct vd_open_opts), 0, NULL, NULL, 0, 0, 0, 0                             \
	}

/**
 * Open an image. Nothing is written by opening, except that a writable opening of a VHDX with a
 * dirty log replays it (MS-VHDX 2.3.3); a read-only one replays in memory.
 * Errors: VD_ENOENT, VD_EDENIED, VD_EBUSY (in use, named), VD_ECORRUPT, VD_EUNSUPPORTED, ...
 * *out is the caller's, to be closed by vd_disk_close.
 */
VD_API int vd_disk_open(struct vd_disk **out, const char *path, const struct vd_open_opts *opts,
			struct vd_error *err);
/** The same on a store of the caller's (kept by reference; the caller may close its own). Parents
 *  are found only beneath opts->parent_roots. */
VD_API int vd_disk_open_io(struct vd_disk **out, struct vd_io *io, const struct vd_open_opts *opts,
			   struct vd_error *err);

/** What vd_disk_create makes. Start from VD_CREATE_OPTS_INIT. */
struct vd_create_opts {
	uint32_t size;
	const char *format; /**< NULL: vhdx */
	enum vd_disk_type
	    type; /**< VD_TYPE_UNKNOWN: dynamic, or differencing if there is a parent */
	uint64_t
	    virtual_size;    /**< multiple of the logical sector; may be 0 with a parent: as that */
	uint32_t block_size; /**< power of two, 1 MiB to 256 MiB; 0: 2 MiB */
	uint32_t logical_sector_size;  /**< 512 or 4096; 0: 512, or the parent's */
	uint32_t physical_sector_size; /**< 512 or 4096; 0: 4096 */
	const char *parent;            /**< path of the parent, or NULL */
	const char *const *parent_roots;
	size_t n_parent_roots;
	/** 16 bytes in RFC 4122 order; NULL: random. Other GUIDs of the new image derive from it,
	 * so that equal options make equal files. */
	const uint8_t *disk_id;
	uint32_t log_size; /**< multiple of 1 MiB; 0: 8 MiB */
};
#define VD_CREATE_OPTS_INIT                                                                        \
	{                                                                                          \
		sizeof(struct vd_create_opts), NULL, VD_TYPE_UNKNOWN, 0, 0, 0, 0, NULL, NULL, 0,   \
		    NULL, 0                                                                        \
	}

/** Make a new image file at `path` (it must not exist) and sync it. It isn't left open. On failure
 *  nothing is left behind. */
VD_API int vd_disk_create(const char *path, const struct vd_create_opts *opts,
			  struct vd_error *err);
/** The same in an empty store of the caller's. opts->parent isn't possible with it unless it is an
 *  absolute path. */
VD_API int vd_disk_create_io(struct vd_io *io, const struct vd_create_opts *opts,
			     struct vd_error *err);

/**
 * Flush, mark the image clean, let go of everything. NULL is allowed. The handle is gone also if
 * this fails; an error means that unflushed writes may be lost (flushed ones are not). Mappings
 * must have been released.
 */
VD_API int vd_disk_close(struct vd_disk *disk, struct vd_error *err);

/** What an image says of itself. Read when the image was opened: costs nothing to ask. */
struct vd_disk_info {
	uint32_t size; /**< sizeof(struct vd_disk_info), set by the caller */
	enum vd_disk_type type;
	const char *format; /**< static */
	uint64_t virtual_size;
	uint32_t block_size; /**< 0 if the format has none */
	uint32_t logical_sector_size, physical_sector_size;
	uint8_t disk_id[16]; /**< RFC 4122 order, as the other GUIDs; zero if there is none */
	uint8_t data_write_id[16];
	uint8_t file_write_id[16];
	bool has_parent;    /**< differencing */
	bool has_dirty_log; /**< a log was there to replay when the image was opened */
	bool is_read_only;
	bool was_probed;   /**< the format was recognised, not told */
	char creator[257]; /**< the program that made the file, UTF-8, may be "" */
	uint64_t
	    n_bytes_beyond_end; /**< block space that the BAT claims behind the end of the file */
	uint32_t n_unknown_items, n_unknown_regions; /**< carried along */
};
VD_API void vd_disk_get_info(const struct vd_disk *disk, struct vd_disk_info *info);

/** Shortcuts for the two facts everybody needs. */
VD_API uint64_t vd_disk_size(const struct vd_disk *disk);
VD_API uint32_t vd_disk_sector_size(const struct vd_disk *disk);
/** The open parent, borrowed, or NULL. */
VD_API const struct vd_disk *vd_disk_parent(const struct vd_disk *disk);
/** Why the parents weren't opened, after VD_OPEN_TRY_PARENTS: fills *err and returns its code. 0:
 * they are open, or there are none, or nobody asked for them. */
VD_API int vd_disk_get_parent_error(const struct vd_disk *disk, struct vd_error *err);
/** The path that the image was opened by ("" for a store of the caller's). Borrowed. */
VD_API const char *vd_disk_path(const struct vd_disk *disk);
/** The store of the image itself, borrowed. */
VD_API struct vd_io *vd_disk_io(const struct vd_disk *disk);

/** What a differencing image says about its parent (MS-VHDX 2.6.2.6): any may be "" if absent. */
struct vd_parent_hint {
	char linkage[40]; /**< parent_linkage, "{...}" */
	char linkage2[40];
	char relative_path[1024];
	char volume_path[1024];
	char absolute_win32_path[1024];
};
/** VD_ENOENT if the image has no parent. */
VD_API int vd_disk_get_parent_hint(const struct vd_disk *disk, struct vd_parent_hint *hint,
				   struct vd_error *err);

/** Read all of [offset, offset + len). Thread-safe; takes no lock that a writer could hold. */
VD_API int vd_disk_read(struct vd_disk *disk, void *buf, size_t len, uint64_t offset,
			struct vd_error *err);
VD_API int vd_disk_readv(struct vd_disk *disk, const struct iovec *iov, int n_iov, uint64_t offset,
			 struct vd_error *err);
/**
 * Write all of it; any alignment. Visible to readers when it returns, durable after the next
 * flush. If it fails, the bytes of the range are undefined (old or new, sector by sector).
 */
VD_API int vd_disk_write(struct vd_disk *disk, const void *buf, size_t len, uint64_t offset,
			 struct vd_error *err);
VD_API int vd_disk_writev(struct vd_disk *disk, const struct iovec *iov, int n_iov, uint64_t offset,
			  struct vd_error *err);
/** The range reads as zero when it returns. Frees space where whole blocks or holes allow it,
 *  unless VD_ZERO_KEEP_SPACE is given. */
#define VD_ZERO_KEEP_SPACE 0x1u
VD_API int vd_disk_write_zeroes(struct vd_disk *disk, uint64_t offset, uint64_t len, uint32_t flags,
				struct vd_error *err);
/**
 * What a guest's TRIM does: the range isn't needed any more. Whole blocks of a dynamic disk then
 * read as zero and their space is given back; of smaller parts, where it can be had. A hint:
 * where the old data can't be dropped it may stay. Never lets a parent's data show through.
 */
VD_API int vd_disk_discard(struct vd_disk *disk, uint64_t offset, uint64_t len,
			   struct vd_error *err);
/** See the crash promise above. Calls from many threads share syncs. After a failed sync every
 *  later flush of this handle fails (VD_EPOISONED). */
VD_API int vd_disk_flush(struct vd_disk *disk, struct vd_error *err);

/**
 * Deadline for each later call on the handle, 0 for none: VD_ETIMEDOUT when it has passed. Looked
 * at before each transfer and while waiting for other threads; a system call that the kernel
 * holds is waited for. A flush that was given up may be called again.
 */
VD_API void vd_disk_set_timeout(struct vd_disk *disk, uint32_t timeout_ms);
/** All calls in progress, and later ones, end with VD_ECANCELED before their next step, until
 *  vd_disk_resume. From any thread. */
VD_API void vd_disk_cancel(struct vd_disk *disk);
VD_API void vd_disk_resume(struct vd_disk *disk);

/** What happened to a disk, for the layers above. */
enum vd_event_kind {
	VD_EVENT_WILL_WRITE = 1, /**< before the first change of this opening that a guest can see;
				    a non-zero answer refuses it with that code */
	VD_EVENT_FLUSHED = 2,    /**< a flush with allocation changes is durable */
	VD_EVENT_RESIZED = 3,    /**< start: old size, length: new size (nothing resizes yet) */
	VD_EVENT_MOVED = 4,      /**< [start, start + length) has another place in the file */
	VD_EVENT_DISCARDED = 5,  /**< [start, start + length) was discarded or zeroed */
	VD_EVENT_CLOSING = 6,    /**< before the last flush of vd_disk_close */
};
struct vd_event {
	enum vd_event_kind kind;
	uint64_t start, length;
};
typedef int (*vd_event_fn)(void *user, struct vd_disk *disk, const struct vd_event *event,
			   struct vd_error *err);
/** Hear of events (up to 8 listeners). Called in the thread that caused it, without locks of the
 *  library held; WILL_WRITE may write to the disk's metadata but not to the disk. Set before other
 *  threads use the handle. */
VD_API int vd_disk_add_listener(struct vd_disk *disk, vd_event_fn fn, void *user,
				struct vd_error *err);

/** Counters of a handle since it was opened (parents not included). */
struct vd_disk_stats {
	uint32_t size; /**< set by the caller */
	uint64_t n_reads, n_writes, n_zeroes, n_discards, n_flushes;
	uint64_t bytes_read, bytes_written;
	uint64_t n_commits;   /**< log entries: flushes that had allocation changes */
	uint64_t n_log_bytes; /**< written to the log */
	uint64_t n_log_laps;
	uint64_t n_syncs; /**< of the image file */
	uint64_t n_blocks_allocated, n_blocks_freed;
	uint64_t n_cache_misses; /**< pages of BAT and bitmaps loaded */
	uint64_t cache_bytes;    /**< memory that these pages hold now */
};
VD_API void vd_disk_get_stats(const struct vd_disk *disk, struct vd_disk_stats *stats);

/** How many payload blocks are in which state. Reads the whole BAT. */
struct vd_block_counts {
	uint64_t n_blocks; /**< in all */
	uint64_t n_present, n_partial, n_zero, n_unmapped, n_undefined, n_not_present;
};
VD_API int vd_disk_count_blocks(struct vd_disk *disk, struct vd_block_counts *counts,
				struct vd_error *err);

/** One rule that an image breaks, or a thing worth knowing. */
enum vd_severity { VD_FINDING_NOTE = 0, VD_FINDING_WARNING = 1, VD_FINDING_ERROR = 2 };
struct vd_finding {
	enum vd_severity severity;
	const char *rule;    /**< stable id, "vhdx-bat-overlap" */
	const char *section; /**< of the specification, "MS-VHDX 2.5.1" */
	uint64_t offset;     /**< in the file, or VD_NO_OFFSET */
	const char *found;   /**< words, one line each, valid during the call */
	const char *expected;
};
typedef void (*vd_finding_fn)(void *user, const struct vd_finding *finding);
/**
 * Check every rule of the image's format without changing a byte; a dirty log is replayed in
 * memory. Findings come through `fn` once all have been found, VD_FINDING_ERROR for broken rules.
 * Returns 0 when the check itself could be done, however much it found; *n_errors (may be NULL)
 * counts findings of VD_FINDING_ERROR. VD_EBUSY, and no findings: another program has the image
 * open for writing, or (one that takes no locks) wrote to it meanwhile. Opens the image by itself,
 * so that it works on images that vd_disk_open refuses. Only opts->flags, format and the parent
 * settings are used.
 */
VD_API int vd_disk_check(const char *path, const struct vd_open_opts *opts, vd_finding_fn fn,
			 void *user, uint64_t *n_errors, struct vd_error *err);
VD_API int vd_disk_check_io(struct vd_io *io, const struct vd_open_opts *opts, vd_finding_fn fn,
			    void *user, uint64_t *n_errors, struct vd_error *err);

/** Name of the format that the first and last bytes show: "vhdx", "vhd", "qcow2", ...; "raw" if
 *  none is known. A static string. */
VD_API int vd_probe(struct vd_io *io, const char **format, struct vd_error *err);

#ifdef __cplusplus
}
#endif
#endif
