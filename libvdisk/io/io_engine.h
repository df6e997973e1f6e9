/* SPDX-License-Identifier: MIT */
/*
 * What carries out the requests of a queue (vdisk/queue.h): a pool of threads, which runs whatever
 * may wait, and a ring, which is io_uring, for transfers between memory and a descriptor. Both
 * belong to one queue and, but for the pool's own threads, to one thread at a time.
 */
#ifndef VD_IO_IO_ENGINE_H
#define VD_IO_IO_ENGINE_H

#include "io/io.h"

struct vd_pool;
struct vd_ring;

/** Something to run, in the caller's memory. */
struct vd_job {
	void (*run)(struct vd_job *job); /* in a thread of the pool */
	struct vd_job *next;             /* the pool's */
};

/* io_pool.c */
/** `eventfd`: add to it whenever a job is finished; or -1. */
int vd_pool_open(struct vd_pool **out, uint32_t n_threads, int eventfd, struct vd_error *err);
/** Runs what is left, ends the threads. NULL is allowed. */
void vd_pool_close(struct vd_pool *pool);
void vd_pool_add(struct vd_pool *pool, struct vd_job *job);
/** True: the job has not begun and won't; it is the caller's again. */
bool vd_pool_take_back(struct vd_pool *pool, struct vd_job *job);
/** The jobs that are finished, oldest first. */
struct vd_job *vd_pool_take(struct vd_pool *pool);
/** Wait until a job is finished, or (unless NULL) the ring has finished something, or the moment
 *  has come (CLOCK_MONOTONIC; 0: never). May return early. */
void vd_pool_wait(struct vd_pool *pool, struct vd_ring *ring, uint64_t until);
/** Add to the eventfd, if there is one. */
void vd_pool_notify(struct vd_pool *pool);

/** One read or write of a stretch of a store. */
struct vd_transfer {
	struct vd_io *io;
	uint64_t offset;
	size_t len;
	const struct iovec *iov; /* n_iov pieces, len bytes together */
	int n_iov;
	int buffer; /* index of the registered buffer that iov[0], the only one, lies in; or -1 */
	bool is_write;
	int32_t result; /* the kernel's: bytes or -errno */
	void *user;
};

/** More than the kernel is asked for at once. */
#define VD_TRANSFER_MAX ((size_t)1 << 30)
/** An answer of vd_transfer_settle: the transfer has to be done by vd_transfer_do. */
#define VD_TRANSFER_AGAIN 1

/* io_uring.c; without liburing, vd_ring_open always answers VD_EUNSUPPORTED. */
int vd_ring_open(struct vd_ring **out, uint32_t depth, int eventfd, struct vd_error *err);
/** Nothing may be in the kernel any more. NULL is allowed. */
void vd_ring_close(struct vd_ring *ring);
/** The transfer is one for a ring: its store has a descriptor, and nothing has to be bounced. */
bool vd_ring_can(const struct vd_transfer *transfer);
/** Put it in line. False: the ring can't; the transfer is still the caller's. */
bool vd_ring_add(struct vd_ring *ring, struct vd_transfer *transfer);
/** Tell the kernel of what is in line. */
void vd_ring_submit(struct vd_ring *ring);
/** A transfer that is finished, or NULL. Doesn't wait. */
struct vd_transfer *vd_ring_take(struct vd_ring *ring);
/** Submit, and wait until something is finished or the moment has come (0: never). */
void vd_ring_wait(struct vd_ring *ring, uint64_t until);
/** Ask the kernel to take back what it can of this transfer. It finishes all the same. */
void vd_ring_cancel(struct vd_ring *ring, struct vd_transfer *transfer);
/** Replace the registered buffers. False: none are registered now. */
bool vd_ring_register(struct vd_ring *ring, const struct iovec *buffers, uint32_t n);
/** Readable when something is finished. */
int vd_ring_descriptor(const struct vd_ring *ring);

/* io_settle.c: what the kernel's answers mean, as in the loops of io_transfer.c. */
/** May it begin? Cancelled, poisoned, read-only, too late? */
int vd_transfer_check(const struct vd_transfer *transfer, struct vd_error *err);
/** 0, a negative code with a text, or VD_TRANSFER_AGAIN: it was cut short or interrupted, or this
 *  store can't be used so. */
int vd_transfer_settle(const struct vd_transfer *transfer, struct vd_error *err);
/** All of it, by calls of the store. Waits. */
int vd_transfer_do(const struct vd_transfer *transfer, struct vd_error *err);

#endif
