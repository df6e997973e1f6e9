/* SPDX-License-Identifier: MIT */
/*
 * sys/io.h - where the bytes of an image file come from (for those who extend libvdisk).
 *
 * struct vd_io is a byte-addressed store: a file, a block device, memory, a window into another
 * store, or whatever a table of struct vd_io_ops offers (encrypted, remote, recording ...).
 * All functions here are thread-safe on one vd_io unless they say otherwise. Offsets and
 * lengths are bytes.
 *
 * Fork rule: a vd_io (and all that stands on it) belongs to the process that opened it. A child
 * made by fork() must not use it; descriptors are O_CLOEXEC, so exec() drops them.
 */
#ifndef VDISK_SYS_IO_H
#define VDISK_SYS_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <vdisk/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vd_io;

/** What others may do to the image while this opening lasts (see vd_io_lock). */
enum vd_io_lock {
	VD_IO_LOCK_NONE = 0,      /**< take no lock, respect none: for readers that only look */
	VD_IO_LOCK_SHARED = 1,    /**< readers beside us, no writer: for readers of content */
	VD_IO_LOCK_EXCLUSIVE = 2, /**< nobody beside us: for writers */
};

/**
 * The door that a provider fills in. `state` is its own. Members up to `close` must be there,
 * others may be NULL. Calls return what the system call of that name returns, with -errno in
 * place of -1: transfers may be short (the library loops) and -EINTR is retried. They may be
 * called from many threads at once, except close.
 */
struct vd_io_ops {
	uint32_t size;  /**< sizeof(struct vd_io_ops) the provider was compiled with */
	uint32_t align; /**< offsets, lengths and memory must be multiples of it; 0 or 1: any. The
			   library bounces what isn't aligned. */
	ssize_t (*read)(void *state, void *buf, size_t len, uint64_t offset);
	ssize_t (*write)(void *state, const void *buf, size_t len, uint64_t offset);
	/** All completed writes and the length are durable when it returns 0. */
	int (*sync)(void *state);
	int (*length)(void *state, uint64_t *length);
	/** Make the store shorter, or longer with zeros. */
	int (*truncate)(void *state, uint64_t length);
	void (*close)(void *state);

	/* Optional from here on: NULL or -EOPNOTSUPP make the library do without. */
	ssize_t (*readv)(void *state, const struct iovec *iov, int n_iov, uint64_t offset);
	ssize_t (*writev)(void *state, const struct iovec *iov, int n_iov, uint64_t offset);
	/** Give the space back to the host; the range reads as zero afterwards. */
	int (*punch)(void *state, uint64_t offset, uint64_t len);
	/** The range reads as zero afterwards, its space stays or is reserved. */
	int (*zero)(void *state, uint64_t offset, uint64_t len);
	/** Reserve space for the range; contents stay (zero where there were none). */
	int (*allocate)(void *state, uint64_t offset, uint64_t len);
	/** The first data at or behind `offset`: [*start, *end). -ENXIO: none up to the end. */
	int (*next_data)(void *state, uint64_t offset, uint64_t *start, uint64_t *end);
	/** Copy within or between stores of the same ops. */
	ssize_t (*copy)(void *state, uint64_t offset, void *to_state, uint64_t to_offset,
			uint64_t len);
	/** Take `lock` or fail with VD_EBUSY and the holder in *err. */
	int (*lock)(void *state, enum vd_io_lock lock, struct vd_error *err);
	/** A descriptor on which the same offsets mean the same bytes, or -1. */
	int (*descriptor)(void *state);
	/** End waiting transfers with -ECANCELED if that can be done; called by vd_io_cancel. */
	void (*cancel)(void *state);
	/** Host bytes really used (st_blocks * 512). */
	int (*allocated)(void *state, uint64_t *bytes);
	/** As `copy`, but only by sharing extents (a reflink); tried first. All of it, or an error.
	 */
	int (*clone)(void *state, uint64_t offset, void *to_state, uint64_t to_offset,
		     uint64_t len);
};

/** What vd_io_open_file() and vd_io_open_fd() may do. */
#define VD_IO_WRITE     0x1u  /**< open for reading and writing; otherwise reading only */
#define VD_IO_CREATE    0x2u  /**< make the file (it must not exist); implies VD_IO_WRITE */
#define VD_IO_DIRECT    0x4u  /**< O_DIRECT; falls back, with a message, where it can't be had */
#define VD_IO_NO_FOLLOW 0x8u  /**< refuse a path whose last part is a symbolic link (VD_EDENIED) */
#define VD_IO_NO_SYNC   0x10u /**< vd_io_sync does nothing: for files that a crash may spoil */

/**
 * Open a file or a block device. O_CLOEXEC always; never follows into a FIFO, socket, tty or
 * folder (VD_EUNSUPPORTED). *out is the caller's to close.
 */
VD_API int vd_io_open_file(struct vd_io **out, const char *path, uint32_t flags,
			   struct vd_error *err);
/** The same for an open descriptor, which is duplicated: the caller's stays the caller's. `name`
 *  (may be NULL) is what messages call it. */
VD_API int vd_io_open_fd(struct vd_io **out, int fd, const char *name, uint32_t flags,
			 struct vd_error *err);
/** A sparse store in memory of `length` zero bytes; pages appear as they are written. */
VD_API int vd_io_open_memory(struct vd_io **out, uint64_t length, struct vd_error *err);
/** Bytes [offset, offset + length) of `under` as a store of their own, of fixed length. Keeps a
 *  reference to `under`. */
VD_API int vd_io_open_window(struct vd_io **out, struct vd_io *under, uint64_t offset,
			     uint64_t length, struct vd_error *err);
/** A store from the caller's table. `state` is closed by ops->close, also if this call fails.
 *  The table and `name` are copied. */
VD_API int vd_io_open_ops(struct vd_io **out, const struct vd_io_ops *ops, void *state,
			  const char *name, bool is_writable, struct vd_error *err);

/** One more owner. */
VD_API struct vd_io *vd_io_ref(struct vd_io *io);
/** One owner less; the last one closes. NULL is allowed. Doesn't sync. */
VD_API void vd_io_close(struct vd_io *io);

VD_API const char *vd_io_name(const struct vd_io *io);
VD_API bool vd_io_is_writable(const struct vd_io *io);
/** The store is a block device: its length can't be changed. */
VD_API bool vd_io_is_device(const struct vd_io *io);
/** What transfers should be aligned to: 1 if nothing asks for it. */
VD_API uint32_t vd_io_align(const struct vd_io *io);
/** A descriptor to do I/O on at the same offsets, or -1: then use the functions below. Borrowed. */
VD_API int vd_io_descriptor(const struct vd_io *io);

/** Read all of [offset, offset + len); bytes behind the end of the store read as zero. */
VD_API int vd_io_read(struct vd_io *io, void *buf, size_t len, uint64_t offset,
		      struct vd_error *err);
VD_API int vd_io_readv(struct vd_io *io, const struct iovec *iov, int n_iov, uint64_t offset,
		       struct vd_error *err);
/** Write all of it. Durable only after vd_io_sync. VD_ENOSPC may be tried again. */
VD_API int vd_io_write(struct vd_io *io, const void *buf, size_t len, uint64_t offset,
		       struct vd_error *err);
VD_API int vd_io_writev(struct vd_io *io, const struct iovec *iov, int n_iov, uint64_t offset,
			struct vd_error *err);
/**
 * Everything written before, and the length, is durable when it returns 0. If it fails, whatever
 * the errno, the store is poisoned: every later write and sync answers VD_EPOISONED, because the
 * kernel may have dropped the dirty pages and the next fsync would lie.
 */
VD_API int vd_io_sync(struct vd_io *io, struct vd_error *err);
VD_API bool vd_io_is_poisoned(const struct vd_io *io);

VD_API int vd_io_length(struct vd_io *io, uint64_t *length, struct vd_error *err);
VD_API int vd_io_truncate(struct vd_io *io, uint64_t length, struct vd_error *err);
/**
 * Make [offset, offset + len) read as zero: VD_IO_ZERO_PUNCH gives the space back where the host
 * can, VD_IO_ZERO_KEEP keeps or reserves it. Zeros are written where neither can be had. Lies
 * within the current length.
 */
enum vd_io_zero { VD_IO_ZERO_PUNCH, VD_IO_ZERO_KEEP };
VD_API int vd_io_zero(struct vd_io *io, uint64_t offset, uint64_t len, enum vd_io_zero how,
		      struct vd_error *err);
/** Only give space back; VD_EUNSUPPORTED where it can't be had. Reads as zero after 0. */
VD_API int vd_io_punch(struct vd_io *io, uint64_t offset, uint64_t len, struct vd_error *err);
/** Reserve space; 0 also where the host can't (said once through the message hook). */
VD_API int vd_io_allocate(struct vd_io *io, uint64_t offset, uint64_t len, struct vd_error *err);
/**
 * The first stretch at or behind `offset` that may hold data. *start == *end == `limit`: there is
 * none before `limit`. Where holes can't be told, everything is data.
 */
VD_API int vd_io_next_data(struct vd_io *io, uint64_t offset, uint64_t limit, uint64_t *start,
			   uint64_t *end, struct vd_error *err);
/**
 * Copy [offset, offset + len) of `io` to `to` at `to_offset`, sharing extents where the file
 * system can (FICLONERANGE), else by the kernel (copy_file_range), else by read and write.
 * *n_shared (may be NULL) is how many bytes weren't copied, but share their extents.
 */
VD_API int vd_io_copy(struct vd_io *io, uint64_t offset, struct vd_io *to, uint64_t to_offset,
		      uint64_t len, uint64_t *n_shared, struct vd_error *err);
/**
 * Lock against other programs: OFD locks of the bytes that QEMU uses, so that QEMU and we keep
 * each other out. VD_EBUSY names the holder and its pid where /proc shows it. A store without
 * locks answers 0 and says so once through the message hook. Dropped by the last close.
 */
VD_API int vd_io_lock(struct vd_io *io, enum vd_io_lock lock, struct vd_error *err);
/** Who has the file open for writing, or holds a lock of QEMU's kind that keeps readers out, in
 *  words ("qemu-system-x86 (pid 4711)"); "" if nobody or it can't be told. */
VD_API void vd_io_holder(struct vd_io *io, char *text, size_t size);
/** Host bytes really used. */
VD_API int vd_io_allocated(struct vd_io *io, uint64_t *bytes, struct vd_error *err);

/**
 * Slow storage. vd_io_cancel makes all transfers, present and future, end with VD_ECANCELED
 * before their next step, until vd_io_resume; a system call that the kernel holds is waited for.
 */
VD_API void vd_io_cancel(struct vd_io *io);
VD_API void vd_io_resume(struct vd_io *io);

/** Counters since the opening. */
struct vd_io_stats {
	uint64_t n_reads, n_writes, n_syncs; /**< calls to the store (not bytes) */
	uint64_t bytes_read, bytes_written;
	uint64_t n_punches, n_truncates;
	uint64_t n_bounced; /**< transfers that needed an aligned copy */
};
VD_API void vd_io_get_stats(const struct vd_io *io, struct vd_io_stats *stats);

#ifdef __cplusplus
}
#endif
#endif
