/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing. The straight way, a whole transfer by one call of the store, is a check of
 * the flags word, one of the deadline and the call. All else is in the loops: short transfers,
 * EINTR, the end of the store. In a store with alignment a transfer may stop at an odd place; it
 * goes on from the aligned place before.
 */
#include "io/io.h"

#include <limits.h>
#include <string.h>

#include "base/checked.h"
#include "base/deadline.h"

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

static inline ssize_t call_read(struct vd_io *io, void *buf, size_t len, uint64_t offset)
{
	ssize_t n = io->ops.read(io->state, buf, len, offset);
	struct vd_io_stripe *own = vd_io_own_stripe(io);

	vd_io_count(&own->n_reads, 1);
	if (LIKELY(n > 0))
		vd_io_count(&own->bytes_read, (uint64_t)n);
	return n;
}

static inline ssize_t call_write(struct vd_io *io, const void *buf, size_t len, uint64_t offset)
{
	ssize_t n = io->ops.write(io->state, buf, len, offset);
	struct vd_io_stripe *own = vd_io_own_stripe(io);

	vd_io_count(&own->n_writes, 1);
	if (LIKELY(n > 0))
		vd_io_count(&own->bytes_written, (uint64_t)n);
	return n;
}

static int too_much(const struct vd_io *io, const char *doing, uint64_t offset,
		    struct vd_error *err)
{
	return vd_error_set(err, VD_EIO, 0, offset,
			    "%s: the store claims to have %s more than it was asked for", io->name,
			    doing);
}

/* Go on after a call of the store came back with `n`, which wasn't all. */
static int read_rest(struct vd_io *io, uint8_t *buf, size_t len, uint64_t offset, ssize_t n,
		     struct vd_error *err)
{
	size_t done = 0, from = 0;
	int ret;

	for (;;) {
		if (n < 0 && n != -EINTR)
			return vd_io_fail(io, "read", offset + from, len - from, (int)n, err);
		if (n >= 0) {
			if ((size_t)n > len - from)
				return too_much(io, "read", offset + from, err);
			if (from + (size_t)n <= done) { /* the end of the store */
				memset(buf + done, 0, len - done);
				return 0;
			}
			done = from + (size_t)n;
			if (done == len)
				return 0;
			from = done & ~((size_t)io->align - 1);
		}
		ret = vd_io_check_go_on(io, err);
		if (ret)
			return ret;
		n = call_read(io, buf + from, len - from, offset + from);
	}
}

static int write_rest(struct vd_io *io, const uint8_t *buf, size_t len, uint64_t offset, ssize_t n,
		      struct vd_error *err)
{
	size_t done = 0, from = 0;
	int ret;

	for (;;) {
		if (n < 0 && n != -EINTR)
			return vd_io_fail(io, "write", offset + from, len - from, (int)n, err);
		if (n >= 0) {
			if ((size_t)n > len - from)
				return too_much(io, "written", offset + from, err);
			if (from + (size_t)n <= done)
				return vd_error_set(err, VD_EIO, 0, offset + done,
						    "%s: the store takes no more bytes at offset "
						    "%llu, and tells no reason",
						    io->name, (unsigned long long)(offset + done));
			done = from + (size_t)n;
			if (done == len)
				return 0;
			from = done & ~((size_t)io->align - 1);
		}
		ret = vd_io_check_change(io, err);
		if (ret)
			return ret;
		n = call_write(io, buf + from, len - from, offset + from);
	}
}

int vd_io_read_run(struct vd_io *io, void *buf, size_t len, uint64_t offset, struct vd_error *err)
{
	ssize_t n = call_read(io, buf, len, offset);

	return LIKELY((size_t)n == len) ? 0 : read_rest(io, buf, len, offset, n, err);
}

int vd_io_write_run(struct vd_io *io, const void *buf, size_t len, uint64_t offset,
		    struct vd_error *err)
{
	ssize_t n = call_write(io, buf, len, offset);

	return LIKELY((size_t)n == len) ? 0 : write_rest(io, buf, len, offset, n, err);
}

/* No store has bytes behind VD_IO_MAX_OFFSET. */
static int read_far(struct vd_io *io, uint8_t *buf, size_t len, uint64_t offset,
		    struct vd_error *err)
{
	size_t n = offset < VD_IO_MAX_OFFSET ? (size_t)(VD_IO_MAX_OFFSET - offset) : 0;

	if (n > len)
		n = len;
	memset(buf + n, 0, len - n);
	return n ? vd_io_read(io, buf, n, offset, err) : 0;
}

static __attribute__((noinline)) int read_slow(struct vd_io *io, void *buf, size_t len,
					       uint64_t offset, struct vd_error *err)
{
	struct iovec iov = {buf, len};
	int ret = vd_io_check_go_on(io, err);

	if (ret || !len)
		return ret;
	if (!vd_io_is_sane(offset, len))
		return read_far(io, buf, len, offset, err);
	if (io->under)
		return vd_io_window_readv(io, &iov, 1, offset, err);
	if (!vd_io_is_aligned(io, &iov, 1, offset))
		return vd_io_bounce_read(io, &iov, 1, offset, err);
	return vd_io_read_run(io, buf, len, offset, err);
}

int vd_io_read(struct vd_io *io, void *buf, size_t len, uint64_t offset, struct vd_error *err)
{
	uint32_t flags = atomic_load_explicit(&io->flags, memory_order_relaxed);
	int ret;

	if (UNLIKELY((flags & VD_IO_SLOW_READ) || !vd_io_is_sane(offset, len)))
		return read_slow(io, buf, len, offset, err);
	ret = vd_deadline_check(err);
	if (UNLIKELY(ret))
		return ret;
	return vd_io_read_run(io, buf, len, offset, err);
}

static int check_far_write(const struct vd_io *io, uint64_t offset, size_t len,
			   struct vd_error *err)
{
	if (vd_io_is_sane(offset, len))
		return 0;
	return vd_error_set(err, VD_ERANGE, 0, offset,
			    "%s: a write of %zu bytes at offset %llu ends where no store can reach",
			    io->name, len, (unsigned long long)offset);
}

static __attribute__((noinline)) int write_slow(struct vd_io *io, const void *buf, size_t len,
						uint64_t offset, struct vd_error *err)
{
	struct iovec iov = {(void *)(uintptr_t)buf, len};
	struct vd_io_range range;
	int ret = vd_io_check_change(io, err);

	if (!ret)
		ret = check_far_write(io, offset, len, err);
	if (ret || !len)
		return ret;
	if (io->under)
		return vd_io_window_writev(io, &iov, 1, offset, err);
	if (!vd_io_is_aligned(io, &iov, 1, offset))
		return vd_io_bounce_write(io, &iov, 1, offset, err);
	ret = vd_io_range_enter(io, &range, offset, offset + len, false, err);
	if (ret)
		return ret;
	ret = vd_io_write_run(io, buf, len, offset, err);
	vd_io_range_leave(io, &range);
	return ret;
}

int vd_io_write(struct vd_io *io, const void *buf, size_t len, uint64_t offset,
		struct vd_error *err)
{
	uint32_t flags = atomic_load_explicit(&io->flags, memory_order_relaxed);
	int ret;

	if (UNLIKELY((flags & VD_IO_SLOW_WRITE) || !vd_io_is_sane(offset, len) || !len))
		return write_slow(io, buf, len, offset, err);
	ret = vd_deadline_check(err);
	if (UNLIKELY(ret))
		return ret;
	return vd_io_write_run(io, buf, len, offset, err);
}

bool vd_iov_total(const struct iovec *iov, int n_iov, size_t *total)
{
	size_t sum = 0;

	*total = 0;
	if (n_iov < 0)
		return false;
	for (int i = 0; i < n_iov; i++)
		if (__builtin_add_overflow(sum, iov[i].iov_len, &sum))
			return false;
	*total = sum;
	return sum <= SSIZE_MAX;
}

/* The pieces of iov behind its first `done` bytes, one by one. */
static int read_pieces(struct vd_io *io, const struct iovec *iov, int n_iov, size_t done,
		       uint64_t offset, struct vd_error *err)
{
	for (int i = 0; i < n_iov; i++) {
		size_t skip = done < iov[i].iov_len ? done : iov[i].iov_len;
		size_t n = iov[i].iov_len - skip;
		int ret;

		done -= skip;
		offset += skip;
		if (!n)
			continue;
		ret = vd_io_read(io, (uint8_t *)iov[i].iov_base + skip, n, offset, err);
		if (ret)
			return ret;
		offset += n;
	}
	return 0;
}

static int write_pieces(struct vd_io *io, const struct iovec *iov, int n_iov, size_t done,
			uint64_t offset, struct vd_error *err)
{
	for (int i = 0; i < n_iov; i++) {
		size_t skip = done < iov[i].iov_len ? done : iov[i].iov_len;
		size_t n = iov[i].iov_len - skip;
		int ret;

		done -= skip;
		offset += skip;
		if (!n)
			continue;
		ret = vd_io_check_change(io, err);
		if (!ret)
			ret =
			    vd_io_write_run(io, (uint8_t *)iov[i].iov_base + skip, n, offset, err);
		if (ret)
			return ret;
		offset += n;
	}
	return 0;
}

/* One call of the store for as many pieces as it takes, then by pieces what it left. */
static int readv_batch(struct vd_io *io, const struct iovec *iov, int n_iov, size_t total,
		       uint64_t offset, struct vd_error *err)
{
	struct vd_io_stripe *own = vd_io_own_stripe(io);
	ssize_t n = io->ops.readv(io->state, iov, n_iov, offset);

	vd_io_count(&own->n_reads, 1);
	if (n > 0)
		vd_io_count(&own->bytes_read, (uint64_t)n);
	if ((size_t)n == total)
		return 0;
	if (n < 0 && n != -EINTR && n != -EOPNOTSUPP)
		return vd_io_fail(io, "read", offset, total, (int)n, err);
	if (n > 0 && (size_t)n > total)
		return too_much(io, "read", offset, err);
	n = n < 0 ? 0 : n & ~((ssize_t)io->align - 1);
	return read_pieces(io, iov, n_iov, (size_t)n, offset, err);
}

static int writev_batch(struct vd_io *io, const struct iovec *iov, int n_iov, size_t total,
			uint64_t offset, struct vd_error *err)
{
	struct vd_io_stripe *own = vd_io_own_stripe(io);
	ssize_t n = io->ops.writev(io->state, iov, n_iov, offset);

	vd_io_count(&own->n_writes, 1);
	if (n > 0)
		vd_io_count(&own->bytes_written, (uint64_t)n);
	if ((size_t)n == total)
		return 0;
	if (n < 0 && n != -EINTR && n != -EOPNOTSUPP)
		return vd_io_fail(io, "write", offset, total, (int)n, err);
	if (n > 0 && (size_t)n > total)
		return too_much(io, "written", offset, err);
	n = n < 0 ? 0 : n & ~((ssize_t)io->align - 1);
	return write_pieces(io, iov, n_iov, (size_t)n, offset, err);
}

static int write_batches(struct vd_io *io, const struct iovec *iov, int n_iov, uint64_t offset,
			 struct vd_error *err)
{
	int ret = 0;

	if (!io->ops.writev || n_iov == 1)
		return write_pieces(io, iov, n_iov, 0, offset, err);
	while (n_iov && !ret) {
		int n = n_iov < IOV_MAX ? n_iov : IOV_MAX;
		size_t total;

		vd_iov_total(iov, n, &total);
		ret = total ? writev_batch(io, iov, n, total, offset, err) : 0;
		iov += n;
		n_iov -= n;
		offset += total;
	}
	return ret;
}

static int check_iov(const struct vd_io *io, const struct iovec *iov, int n_iov, size_t *total,
		     struct vd_error *err)
{
	if (vd_iov_total(iov, n_iov, total))
		return 0;
	return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
			    "%s: a vector of %d pieces, or its sum, makes no sense", io->name,
			    n_iov);
}

int vd_io_readv(struct vd_io *io, const struct iovec *iov, int n_iov, uint64_t offset,
		struct vd_error *err)
{
	size_t total;
	int ret = check_iov(io, iov, n_iov, &total, err);

	if (!ret)
		ret = vd_io_check_go_on(io, err);
	if (ret || !total)
		return ret;
	if (offset > UINT64_MAX - total)
		return vd_error_set(err, VD_ERANGE, 0, offset, "%s: a read wraps around", io->name);
	if (!vd_io_is_sane(offset, total))
		return read_pieces(io, iov, n_iov, 0, offset, err);
	if (io->under)
		return vd_io_window_readv(io, iov, n_iov, offset, err);
	if (!vd_io_is_aligned(io, iov, n_iov, offset))
		return vd_io_bounce_read(io, iov, n_iov, offset, err);
	if (!io->ops.readv)
		return read_pieces(io, iov, n_iov, 0, offset, err);
	while (n_iov && !ret) {
		int n = n_iov < IOV_MAX ? n_iov : IOV_MAX;

		vd_iov_total(iov, n, &total);
		ret = total ? readv_batch(io, iov, n, total, offset, err) : 0;
		iov += n;
		n_iov -= n;
		offset += total;
	}
	return ret;
}

int vd_io_writev(struct vd_io *io, const struct iovec *iov, int n_iov, uint64_t offset,
		 struct vd_error *err)
{
	struct vd_io_range range;
	size_t total;
	int ret = check_iov(io, iov, n_iov, &total, err);

	if (!ret)
		ret = vd_io_check_change(io, err);
	if (!ret)
		ret = check_far_write(io, offset, total, err);
	if (ret || !total)
		return ret;
	if (io->under)
		return vd_io_window_writev(io, iov, n_iov, offset, err);
	if (!vd_io_is_aligned(io, iov, n_iov, offset))
		return vd_io_bounce_write(io, iov, n_iov, offset, err);
	/* An aligned write must not come between the read and the write of another one. */
	ret = vd_io_range_enter(io, &range, offset, offset + total, false, err);
	if (ret)
		return ret;
	ret = write_batches(io, iov, n_iov, offset, err);
	vd_io_range_leave(io, &range);
	return ret;
}
