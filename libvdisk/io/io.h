/* SPDX-License-Identifier: MIT */
/*
 * The inside of a vd_io, shared by the files of this folder, and the few things that only
 * libvdisk itself needs of them (drafts: new files that get their name when they are complete).
 *
 *   io.c           life, sync, length, truncate, counters      io_file*.c    files and devices
 *   io_transfer.c  read and write: loops over short transfers  io_memory.c   a sparse store in
 * memory io_bounce.c    what isn't aligned for O_DIRECT             io_window.c   a part of a store
 *   io_space.c     zero, punch, allocate, next_data            io_lock.c     QEMU's locks
 *   io_copy.c      copying                                     io_holder.c   who has the file
 */
#ifndef VD_IO_IO_H
#define VD_IO_IO_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include <vdisk/sys/io.h>

#include "base/gate.h"
#include "base/lent.h"

/* The flags word: what makes a transfer leave the straight way. */
#define VD_IO_F_CANCELED 0x01u
#define VD_IO_F_POISONED 0x02u
#define VD_IO_F_ALIGN    0x04u /* align > 1 */
#define VD_IO_F_WINDOW   0x08u
#define VD_IO_F_READONLY 0x10u

#define VD_IO_SLOW_READ  (VD_IO_F_CANCELED | VD_IO_F_ALIGN | VD_IO_F_WINDOW)
#define VD_IO_SLOW_WRITE (VD_IO_SLOW_READ | VD_IO_F_POISONED | VD_IO_F_READONLY)

/* What the host turned out not to have: asked once, said once. */
#define VD_IO_LACKS_PUNCH    0x01u
#define VD_IO_LACKS_ZERO     0x02u
#define VD_IO_LACKS_ALLOCATE 0x04u
#define VD_IO_LACKS_HOLES    0x08u
#define VD_IO_LACKS_LOCKS    0x10u

#define VD_IO_BOUNCE_MAX     ((size_t)1 << 20)
#define VD_IO_MAX_OFFSET     ((uint64_t)INT64_MAX)

#define VD_IO_STRIPES        16

/* The counters of the threads that share this stripe; their sum is what vd_io_get_stats tells. */
struct vd_io_stripe {
	_Alignas(64) _Atomic uint64_t n_reads;
	_Atomic uint64_t bytes_read, n_writes, bytes_written, n_syncs, n_punches, n_truncates,
	    n_bounced;
};

/* A change in flight to a store with an alignment, in the caller's frame. */
struct vd_io_range {
	uint64_t start, end;
	bool is_alone; /* reads before it writes: nothing else may change the range meanwhile */
	struct vd_io_range *next;
};

struct vd_io {
	/* Read by every transfer, hardly ever written. */
	_Atomic uint32_t flags;
	uint32_t align;     /* of offsets and lengths, a power of two */
	uint32_t mem_align; /* of memory, <= align */
	uint32_t granule;   /* punch and zero of the store take multiples of it */
	void *state;
	struct vd_io_ops ops;
	/** Write that may end anywhere, for the end of a store of odd length; or NULL. */
	ssize_t (*write_odd)(void *state, const void *buf, size_t len, uint64_t offset);
	struct vd_io *under; /* of a window: [base, base + length) of this */
	uint64_t base, length;
	char *name;
	bool is_device;

	_Alignas(64) _Atomic uint32_t n_refs;
	_Atomic uint32_t lacks;
	_Atomic int poison_errno;
	_Atomic(void *) spare;  /* a bounce buffer of VD_IO_BOUNCE_MAX */
	pthread_mutex_t mutex;  /* over the members below */
	pthread_cond_t changed; /* one of them */
	struct vd_io_range *ranges;
	bool is_syncing;

	struct vd_io_stripe stripes[VD_IO_STRIPES];
};

static inline struct vd_io_stripe *vd_io_own_stripe(struct vd_io *io)
{
	return &io->stripes[vd_gate_stripe() % VD_IO_STRIPES];
}

static inline void vd_io_count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static inline bool vd_io_lacks(const struct vd_io *io, uint32_t what)
{
	return (atomic_load_explicit(&io->lacks, memory_order_relaxed) & what) != 0;
}

/** [offset, offset + len) can be told to a system call. */
static inline bool vd_io_is_sane(uint64_t offset, uint64_t len)
{
	return offset <= VD_IO_MAX_OFFSET && len <= VD_IO_MAX_OFFSET - offset;
}

static inline bool vd_io_is_unsupported(int negative_errno)
{
	return negative_errno == -EOPNOTSUPP || negative_errno == -ENOSYS ||
	       negative_errno == -ENOTTY || negative_errno == -ENODEV;
}

/* io.c */
/** A vd_io around a table; closes `state` if it fails. Takes what vd_io_open_ops checks. */
int vd_io_new(struct vd_io **out, const struct vd_io_ops *ops, void *state, const char *name,
	      bool is_writable, struct vd_error *err);
/** Cancelled, or the deadline of this thread has passed? */
int vd_io_check_go_on(struct vd_io *io, struct vd_error *err);
/** That, and: read-only, poisoned? */
int vd_io_check_change(struct vd_io *io, struct vd_error *err);
/** The code of a failed call of the store (negative errno `result`) and a text. */
int vd_io_fail(const struct vd_io *io, const char *doing, uint64_t offset, uint64_t len, int result,
	       struct vd_error *err);
/** Remember that the host lacks something. True for the first who notices. */
bool vd_io_note_lack(struct vd_io *io, uint32_t what);

/* io_transfer.c */
/** The loops; offset, length and memory are aligned, permission was checked. */
int vd_io_read_run(struct vd_io *io, void *buf, size_t len, uint64_t offset, struct vd_error *err);
int vd_io_write_run(struct vd_io *io, const void *buf, size_t len, uint64_t offset,
		    struct vd_error *err);
/** Sum of the lengths. False: more than a signed size, or n_iov < 0. */
bool vd_iov_total(const struct iovec *iov, int n_iov, size_t *total);

/* io_bounce.c */
bool vd_io_is_aligned(const struct vd_io *io, const struct iovec *iov, int n_iov, uint64_t offset);
int vd_io_bounce_read(struct vd_io *io, const struct iovec *iov, int n_iov, uint64_t offset,
		      struct vd_error *err);
int vd_io_bounce_write(struct vd_io *io, const struct iovec *iov, int n_iov, uint64_t offset,
		       struct vd_error *err);
/** Announce a change of [start, end); waits for those in flight that it must not meet. Does
 *  nothing for a store without alignment. */
int vd_io_range_enter(struct vd_io *io, struct vd_io_range *range, uint64_t start, uint64_t end,
		      bool is_alone, struct vd_error *err);
void vd_io_range_leave(struct vd_io *io, struct vd_io_range *range);

/* io_window.c */
int vd_io_window_readv(struct vd_io *io, const struct iovec *iov, int n_iov, uint64_t offset,
		       struct vd_error *err);
int vd_io_window_writev(struct vd_io *io, const struct iovec *iov, int n_iov, uint64_t offset,
			struct vd_error *err);
/** VD_ERANGE unless [offset, offset + len) lies within the window. */
int vd_io_window_check(const struct vd_io *io, uint64_t offset, uint64_t len, struct vd_error *err);
int vd_io_window_next_data(struct vd_io *io, uint64_t offset, uint64_t limit, uint64_t *start,
			   uint64_t *end, struct vd_error *err);

/* io_file_space.c: the members of the file's table that deal with space; state is this. */
struct vd_file {
	int fd;
	_Atomic int odd_fd; /* the same file without O_DIRECT, opened when needed; else -1 */
	bool is_device;
	bool is_direct;
	bool is_unsynced; /* the owner doesn't care for a crash */
	enum vd_io_lock lock;
};
int vd_file_punch(void *state, uint64_t offset, uint64_t len);
int vd_file_zero(void *state, uint64_t offset, uint64_t len);
int vd_file_allocate(void *state, uint64_t offset, uint64_t len);
int vd_file_next_data(void *state, uint64_t offset, uint64_t *start, uint64_t *end);
int vd_file_clone(void *state, uint64_t offset, void *to_state, uint64_t to_offset, uint64_t len);
ssize_t vd_file_copy(void *state, uint64_t offset, void *to_state, uint64_t to_offset,
		     uint64_t len);
int vd_file_allocated(void *state, uint64_t *bytes);

/* io_direct.c */
/** Switch fd to O_DIRECT (or find it there) and tell the alignment. False: it can't be had. */
bool vd_direct_begin(int fd, bool is_device, uint32_t *align, uint32_t *mem_align);
/** A write that may end anywhere, around O_DIRECT. */
ssize_t vd_file_write_odd(void *state, const void *buf, size_t len, uint64_t offset);

/* io_lock.c */
int vd_file_lock(void *state, enum vd_io_lock lock, struct vd_error *err);

/* io_holder.c */
/** In words who but `fd` (and `odd_fd`, or -1) itself has its file open for writing, or (byte >= 0)
 * locks that byte of it. False: nobody, or it can't be told. */
bool vd_holder_find(int fd, int odd_fd, int64_t byte, char *text, size_t size);

/* io_draft.c: see base/lent.h, for what the upper rooms use too. */
/** fsync the folder that holds `path`, so that a name made or removed there is durable. */
int vd_io_sync_folder(const char *path, struct vd_error *err);

#endif
