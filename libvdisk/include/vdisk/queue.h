/* SPDX-License-Identifier: MIT */
/*
 * queue.h - many requests on a disk in flight, without a thread for each.
 *
 * A struct vd_queue belongs to one disk; a disk may have any number of queues, and the calls of
 * disk.h may be used beside them. A queue is used by one thread at a time: give each thread its
 * own. It carries out requests with io_uring, and with a small pool of threads that it starts
 * itself, which does all that might have to wait: blocks that get their space, flushes, zeroing,
 * pages of the map that aren't in memory, sectors that are written in part, stores without a
 * descriptor. Where io_uring can't be had the pool does everything. Both keep the promises of the
 * calls of disk.h: a request is done as a whole or fails, deadlines and vd_disk_cancel hold, a
 * full host may be tried again, after a failed sync nothing is written any more.
 *
 * Order: requests in flight at the same time are not ordered. If two of them overlap and one of
 * them changes the disk, what the sectors of both hold is undefined (on O_DIRECT stores: the units
 * of vd_io_align); wait for the first. A flush makes durable what was complete (in the sense
 * of vd_queue_reap) before it was submitted; what is in flight beside it may be durable or not.
 * Crash promise and fork rule are those of disk.h.
 */
#ifndef VDISK_QUEUE_H
#define VDISK_QUEUE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <vdisk/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vd_disk;
struct vd_queue;

/** What carries out the requests of a queue. */
enum vd_engine {
	VD_ENGINE_AUTO = 0,     /**< io_uring, or threads where that can't be had (said once through
				   the message hook) */
	VD_ENGINE_IO_URING = 1, /**< VD_EUNSUPPORTED where it can't be had */
	VD_ENGINE_THREADS = 2,  /**< the pool does everything */
};

/** "auto", "io_uring", "threads". A static string. */
VD_API const char *vd_engine_name(enum vd_engine engine);

#define VD_QUEUE_MAX_DEPTH   4096u
#define VD_QUEUE_MAX_THREADS 256u

/** Options of vd_queue_open. Start from VD_QUEUE_OPTS_INIT; NULL means just that. */
struct vd_queue_opts {
	uint32_t size;  /**< sizeof(struct vd_queue_opts) */
	uint32_t depth; /**< requests that may be in flight; 0: 128 */
	enum vd_engine engine;
	uint32_t n_threads; /**< of the pool; 0: 4 beside io_uring, else 16 or the depth if less */
	/** An eventfd of the caller's, or -1. Something is added to it whenever vd_queue_reap may
	 *  have something to do. Several queues may share one. Borrowed until vd_queue_close. */
	int eventfd;
};
#define VD_QUEUE_OPTS_INIT                                                                         \
	{                                                                                          \
		sizeof(struct vd_queue_opts), 0, VD_ENGINE_AUTO, 0, -1                             \
	}

/**
 * Make a queue and start its pool. *out is the caller's, to be closed by vd_queue_close before the
 * disk is. The threads of the pool block all signals.
 * Errors: VD_EINVAL, VD_ENOMEM, VD_EUNSUPPORTED (VD_ENGINE_IO_URING), VD_EIO (no thread to be had).
 */
VD_API int vd_queue_open(struct vd_queue **out, struct vd_disk *disk,
			 const struct vd_queue_opts *opts, struct vd_error *err);
/**
 * Cancel what has not begun, wait for the rest, end the threads. Nothing is reported any more, no
 * callback is called. Doesn't flush. NULL is allowed.
 */
VD_API void vd_queue_close(struct vd_queue *queue);

/** What the queue runs on: VD_ENGINE_IO_URING or VD_ENGINE_THREADS. */
VD_API enum vd_engine vd_queue_engine(const struct vd_queue *queue);

/** What is asked for. */
enum vd_request_op {
	VD_REQUEST_READ = 1,         /**< as vd_disk_readv */
	VD_REQUEST_WRITE = 2,        /**< as vd_disk_writev */
	VD_REQUEST_WRITE_ZEROES = 3, /**< as vd_disk_write_zeroes */
	VD_REQUEST_DISCARD = 4,      /**< as vd_disk_discard */
	VD_REQUEST_FLUSH = 5,        /**< as vd_disk_flush */
};

#define VD_REQUEST_FUA                                                                             \
	0x1u /**< of a write or write-zeroes: it is durable when it is complete, by a flush after  \
		it, which makes durable too what was complete before */
#define VD_REQUEST_KEEP_SPACE 0x2u /**< of write-zeroes: VD_ZERO_KEEP_SPACE */
#define VD_REQUEST_MORE                                                                            \
	0x4u /**< more requests follow at once: this one may wait for the next submit without this \
		flag, or for vd_queue_reap, so that all of them cost one system call */

/** A request that is complete. */
struct vd_completion {
	void *user;     /**< of the request */
	int32_t result; /**< 0 or VD_E* */
	/** Text and details if result isn't 0, else NULL. Valid until the next call on the queue;
	 * in a callback, until it returns. */
	const struct vd_error *err;
};
/** Hears of a request that is complete; see vd_request.done. */
typedef void (*vd_completion_fn)(void *user, const struct vd_completion *completion);

/** A request. Start from VD_REQUEST_INIT; the queue copies it. Memory that it points to (data, and
 *  the vector itself) must stay until the request is complete. */
struct vd_request {
	uint32_t size; /**< sizeof(struct vd_request) */
	enum vd_request_op op;
	uint32_t flags;  /**< VD_REQUEST_* */
	uint32_t buffer; /**< 1 + index of the registered buffer that `buf` lies in; 0: none */
	uint64_t offset, length; /**< on the disk; any alignment; 0 for a flush */
	void *buf;               /**< `length` bytes to read into or write from; or NULL and: */
	const struct iovec *iov; /**< `n_iov` pieces, `length` bytes together */
	int n_iov;
	/** Called by vd_queue_reap, in its thread, when the request is complete. It may submit.
	 *  NULL: the completion is put into the array. */
	vd_completion_fn done;
	void *user;
};
#define VD_REQUEST_INIT                                                                            \
	{                                                                                          \
		sizeof(struct vd_request), VD_REQUEST_READ, 0, 0, 0, 0, NULL, NULL, 0, NULL, NULL  \
	}

/**
 * Begin a request. 0: it is in flight, and whatever comes of it (also VD_ERANGE, VD_EROFS ...) is
 * told by its completion. Else it was not taken: VD_EINVAL, it makes no sense; VD_EBUSY, `depth`
 * requests are in flight, reap some.
 *
 * Waits for no other thread and, with a format of this library, for no transfer. The kernel may
 * copy data from or to the page cache before it returns, and take its time for that when memory is
 * short.
 */
VD_API int vd_queue_submit(struct vd_queue *queue, const struct vd_request *request,
			   struct vd_error *err);

/**
 * Report requests that are complete: at most `max`, in `completions` or to their callbacks; wait
 * until there are `min` of them (or as many as are in flight), but not longer than `timeout_ms`
 * (negative: no limit). Returns how many were reported, callbacks included. `completions` may be
 * NULL: then those without a callback are forgotten. A change is visible to readers, and covered
 * by later flushes, when its completion was reported. Must not be called from a callback.
 */
VD_API uint32_t vd_queue_reap(struct vd_queue *queue, struct vd_completion *completions,
			      uint32_t max, uint32_t min, int timeout_ms);
/** Wait until no request is in flight. Their completions then wait for vd_queue_reap. */
VD_API void vd_queue_drain(struct vd_queue *queue);
/**
 * Requests with this `user` (NULL: all) shall end with VD_ECANCELED, if they have not begun or the
 * kernel can still take them back; others go on. Each of them is reported as ever. What a write
 * that ended so has changed is undefined, as with any that failed. Returns at once.
 */
VD_API void vd_queue_cancel(struct vd_queue *queue, const void *user);

/**
 * Memory that requests will often use (vd_request.buffer): the kernel then needn't look up its
 * pages each time. Replaces what was registered before; n 0: nothing is. No request may be in
 * flight (VD_EBUSY). Where the kernel can't, or RLIMIT_MEMLOCK is too low, the buffers are used
 * like any others. At most 1024, of at most 1 GiB each (VD_EINVAL).
 */
VD_API int vd_queue_register_buffers(struct vd_queue *queue, const struct iovec *buffers,
				     uint32_t n, struct vd_error *err);

/** Counters since the opening. */
struct vd_queue_stats {
	uint32_t size;                /**< set by the caller */
	uint32_t n_in_flight;         /**< now: submitted and not reported */
	uint64_t n_submitted;         /**< requests */
	uint64_t n_inline;            /**< of these: done by the submit itself (zeros, refusals) */
	uint64_t n_kernel;            /**< ... by io_uring */
	uint64_t n_pool;              /**< ... by the pool */
	uint64_t n_transfers;         /**< that io_uring did; a request may need several */
	uint64_t n_completed_by_pool; /**< transfers that io_uring began and the pool finished */
};
/** Fill *stats, as much of it as stats->size says. By the thread that uses the queue. */
VD_API void vd_queue_get_stats(const struct vd_queue *queue, struct vd_queue_stats *stats);

#ifdef __cplusplus
}
#endif
#endif
