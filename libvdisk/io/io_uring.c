/* SPDX-License-Identifier: MIT */
/*
 * The ring: reads and writes through io_uring, if the library was built with liburing and the
 * kernel has it and lets us (containers and seccomp filters often don't).
 *
 * A program may forbid itself io_uring while a ring is in use. Then what the kernel has not taken
 * yet comes back as interrupted, to be done by the pool, and the ring takes nothing any more; what
 * the kernel has taken still finishes.
 */
#include "io/io_engine.h"

#include <limits.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/deadline.h"

bool vd_ring_can(const struct vd_transfer *transfer)
{
	const struct vd_io *io = transfer->io;

	return !io->under && io->ops.descriptor && transfer->len <= VD_TRANSFER_MAX &&
	       transfer->n_iov <= IOV_MAX && vd_io_is_sane(transfer->offset, transfer->len) &&
	       vd_io_is_aligned(io, transfer->iov, transfer->n_iov, transfer->offset) &&
	       io->ops.descriptor(io->state) >= 0;
}

#ifdef VD_HAVE_URING

#include <liburing.h>
#include <poll.h>

#define MAX_LINE 1024u /* entries to submit at once */

struct vd_ring {
	struct io_uring uring;
	bool is_dead; /* the kernel refuses to be called */
	/* Once it is dead: the entries that the kernel has not taken, as they stand in line. */
	unsigned left, n_left;
};

static uint32_t to_pow2(uint32_t n)
{
	uint32_t p = 1;

	while (p < n)
		p *= 2;
	return p;
}

int vd_ring_open(struct vd_ring **out, uint32_t depth, int eventfd, struct vd_error *err)
{
	const unsigned needed = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG;
	struct io_uring_params params = {
	    .flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
	    .cq_entries = to_pow2(8 * depth), /* all transfers, and their cancellations */
	};
	struct vd_ring *ring = vd_calloc(1, sizeof(*ring));
	char buf[128];
	int ret;

	if (!ring)
		return vd_no_memory(err, sizeof(*ring), "a ring");
	ret = io_uring_queue_init_params((unsigned)vd_min64(to_pow2(depth), MAX_LINE), &ring->uring,
					 &params);
	if (ret) {
		vd_free(ring);
		return vd_error_set(err, VD_EUNSUPPORTED, -ret, VD_NO_OFFSET,
				    "io_uring can't be had: %s",
				    strerror_r(-ret, buf, sizeof(buf)));
	}
	if ((params.features & needed) != needed)
		ret = -ENOSYS;
	else if (eventfd >= 0)
		ret = io_uring_register_eventfd(&ring->uring, eventfd);
	if (ret) {
		vd_ring_close(ring);
		return vd_error_set(err, VD_EUNSUPPORTED, -ret, VD_NO_OFFSET,
				    "io_uring of this kernel lacks what is needed: %s",
				    strerror_r(-ret, buf, sizeof(buf)));
	}
	*out = ring;
	return 0;
}

void vd_ring_close(struct vd_ring *ring)
{
	if (!ring)
		return;
	io_uring_queue_exit(&ring->uring);
	vd_free(ring);
}

/* Is it a refusal that goes away by itself? */
static bool is_passing(int result)
{
	return result == -EINTR || result == -EAGAIN || result == -EBUSY || result == -ENOMEM;
}

static void give_up(struct vd_ring *ring)
{
	ring->is_dead = true;
	ring->left = *ring->uring.sq.khead;
	ring->n_left = io_uring_sq_ready(&ring->uring);
}

void vd_ring_submit(struct vd_ring *ring)
{
	int ret;

	if (ring->is_dead || !io_uring_sq_ready(&ring->uring))
		return;
	ret = io_uring_submit(&ring->uring);
	if (ret < 0 && !is_passing(ret))
		give_up(ring);
}

static struct io_uring_sqe *next_entry(struct vd_ring *ring)
{
	struct io_uring_sqe *sqe = ring->is_dead ? NULL : io_uring_get_sqe(&ring->uring);

	if (!sqe && !ring->is_dead) {
		vd_ring_submit(ring);
		sqe = ring->is_dead ? NULL : io_uring_get_sqe(&ring->uring);
	}
	return sqe;
}

bool vd_ring_add(struct vd_ring *ring, struct vd_transfer *t)
{
	struct io_uring_sqe *sqe = next_entry(ring);
	int fd = t->io->ops.descriptor(t->io->state);
	unsigned len = (unsigned)t->len;

	if (!sqe)
		return false;
	if (t->n_iov > 1 && t->is_write)
		io_uring_prep_writev(sqe, fd, t->iov, (unsigned)t->n_iov, t->offset);
	else if (t->n_iov > 1)
		io_uring_prep_readv(sqe, fd, t->iov, (unsigned)t->n_iov, t->offset);
	else if (t->buffer >= 0 && t->is_write)
		io_uring_prep_write_fixed(sqe, fd, t->iov->iov_base, len, t->offset, t->buffer);
	else if (t->buffer >= 0)
		io_uring_prep_read_fixed(sqe, fd, t->iov->iov_base, len, t->offset, t->buffer);
	else if (t->is_write)
		io_uring_prep_write(sqe, fd, t->iov->iov_base, len, t->offset);
	else
		io_uring_prep_read(sqe, fd, t->iov->iov_base, len, t->offset);
	io_uring_sqe_set_data(sqe, t);
	return true;
}

/* Of a dead ring: what stood in line. Cancellations, which have no transfer, are dropped. */
static struct vd_transfer *take_left(struct vd_ring *ring)
{
	const struct io_uring_sq *sq = &ring->uring.sq;

	while (ring->n_left) {
		const struct io_uring_sqe *sqe = &sq->sqes[ring->left++ & *sq->kring_mask];
		struct vd_transfer *t = (struct vd_transfer *)(uintptr_t)sqe->user_data;

		ring->n_left--;
		if (!t)
			continue;
		t->result = -EINTR;
		return t;
	}
	return NULL;
}

struct vd_transfer *vd_ring_take(struct vd_ring *ring)
{
	struct io_uring_cqe *cqe;

	while (!io_uring_peek_cqe(&ring->uring, &cqe)) {
		struct vd_transfer *t = io_uring_cqe_get_data(cqe);

		if (t)
			t->result = cqe->res;
		io_uring_cqe_seen(&ring->uring, cqe);
		if (t)
			return t;
	}
	return take_left(ring);
}

void vd_ring_wait(struct vd_ring *ring, uint64_t until)
{
	uint64_t now = until ? vd_now_ns() : 0, left = until > now ? until - now : 0;
	struct __kernel_timespec timeout = {(int64_t)(left / 1000000000u),
					    (long long)(left % 1000000000u)};
	struct io_uring_cqe *cqe;
	int ret;

	if (ring->is_dead)
		return;
	ret =
	    io_uring_submit_and_wait_timeout(&ring->uring, &cqe, 1, until ? &timeout : NULL, NULL);
	if (ret < 0 && ret != -ETIME && !is_passing(ret))
		give_up(ring);
}

void vd_ring_cancel(struct vd_ring *ring, struct vd_transfer *transfer)
{
	struct io_uring_sqe *sqe = next_entry(ring);

	if (!sqe)
		return;
	io_uring_prep_cancel64(sqe, (uint64_t)(uintptr_t)transfer, 0);
	io_uring_sqe_set_data(sqe, NULL);
}

bool vd_ring_register(struct vd_ring *ring, const struct iovec *buffers, uint32_t n)
{
	/* That there are none yet is no failure. */
	(void)io_uring_unregister_buffers(&ring->uring);
	return n && !ring->is_dead && !io_uring_register_buffers(&ring->uring, buffers, n);
}

int vd_ring_descriptor(const struct vd_ring *ring)
{
	return ring->uring.ring_fd;
}

#else

int vd_ring_open(struct vd_ring **out, uint32_t depth, int eventfd, struct vd_error *err)
{
	(void)out, (void)depth, (void)eventfd;
	return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
			    "io_uring can't be had: the library was built without liburing");
}

void vd_ring_close(struct vd_ring *ring)
{
	(void)ring;
}

bool vd_ring_add(struct vd_ring *ring, struct vd_transfer *transfer)
{
	(void)ring, (void)transfer;
	return false;
}

void vd_ring_submit(struct vd_ring *ring)
{
	(void)ring;
}

struct vd_transfer *vd_ring_take(struct vd_ring *ring)
{
	(void)ring;
	return NULL;
}

void vd_ring_wait(struct vd_ring *ring, uint64_t until)
{
	(void)ring, (void)until;
}

void vd_ring_cancel(struct vd_ring *ring, struct vd_transfer *transfer)
{
	(void)ring, (void)transfer;
}

bool vd_ring_register(struct vd_ring *ring, const struct iovec *buffers, uint32_t n)
{
	(void)ring, (void)buffers, (void)n;
	return false;
}

int vd_ring_descriptor(const struct vd_ring *ring)
{
	(void)ring;
	return -1;
}

#endif
