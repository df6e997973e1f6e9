/* SPDX-License-Identifier: MIT */
/*
 * A window: a fixed part of another store. It has no table; the functions of sys/io.h see
 * io->under and pass on to it, so that errors, poison and locks are those of the real store.
 */
#include "io/io.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"

static const struct vd_io_ops no_ops = {.size = sizeof(struct vd_io_ops)};

int vd_io_open_window(struct vd_io **out, struct vd_io *under, uint64_t offset, uint64_t length,
		      struct vd_error *err)
{
	char name[256];
	struct vd_io *io;
	int ret;

	if (!vd_io_is_sane(offset, length))
		return vd_error_set(err, VD_EINVAL, 0, offset,
				    "%s: a window of %llu bytes ends where no store can reach",
				    under->name, (unsigned long long)length);
	if (under->under) {
		ret = vd_io_window_check(under, offset, length, err);
		if (ret)
			return ret;
	}
	snprintf(name, sizeof(name), "%s (from offset %llu)", under->name,
		 (unsigned long long)offset);
	ret = vd_io_new(&io, &no_ops, NULL, name, vd_io_is_writable(under), err);
	if (ret)
		return ret;
	io->under = vd_io_ref(under);
	io->base = offset;
	io->length = length;
	/* What is aligned here has to be aligned below; else nothing is gained by aligning. */
	io->align = offset & (under->align - 1) ? 1 : under->align;
	atomic_fetch_or(&io->flags, VD_IO_F_WINDOW);
	*out = io;
	return 0;
}

int vd_io_window_check(const struct vd_io *io, uint64_t offset, uint64_t len, struct vd_error *err)
{
	if (vd_is_within(offset, len, io->length))
		return 0;
	return vd_error_set(err, VD_ERANGE, 0, offset,
			    "%s: %llu bytes at offset %llu don't lie within its %llu bytes",
			    io->name, (unsigned long long)len, (unsigned long long)offset,
			    (unsigned long long)io->length);
}

/* Zero what of the vector lies behind its first `skip` bytes. */
static void zero_behind(const struct iovec *iov, int n_iov, size_t skip)
{
	for (int i = 0; i < n_iov; i++) {
		size_t kept = skip < iov[i].iov_len ? skip : iov[i].iov_len;

		if (iov[i].iov_len > kept)
			memset((uint8_t *)iov[i].iov_base + kept, 0, iov[i].iov_len - kept);
		skip -= kept;
	}
}

int vd_io_window_readv(struct vd_io *io, const struct iovec *iov, int n_iov, uint64_t offset,
		       struct vd_error *err)
{
	size_t total, inside;
	uint64_t at = offset;
	int ret = 0;

	if (!vd_iov_total(iov, n_iov, &total))
		return VD_EINVAL;
	inside = at < io->length ? (size_t)vd_min64(total, io->length - at) : 0;
	if (inside == total) {
		ret = vd_io_readv(io->under, iov, n_iov, io->base + offset, err);
	} else {
		size_t left = inside;

		for (int i = 0; i < n_iov && left && !ret; i++) {
			size_t n = iov[i].iov_len < left ? iov[i].iov_len : left;

			ret = vd_io_read(io->under, iov[i].iov_base, n, io->base + at, err);
			at += n;
			left -= n;
		}
		if (!ret)
			zero_behind(iov, n_iov, inside);
	}
	if (!ret) {
		vd_io_count(&vd_io_own_stripe(io)->n_reads, 1);
		vd_io_count(&vd_io_own_stripe(io)->bytes_read, inside);
	}
	return ret;
}

int vd_io_window_writev(struct vd_io *io, const struct iovec *iov, int n_iov, uint64_t offset,
			struct vd_error *err)
{
	size_t total;
	int ret;

	if (!vd_iov_total(iov, n_iov, &total))
		return VD_EINVAL;
	ret = vd_io_window_check(io, offset, total, err);
	if (!ret)
		ret = vd_io_writev(io->under, iov, n_iov, io->base + offset, err);
	if (!ret) {
		vd_io_count(&vd_io_own_stripe(io)->n_writes, 1);
		vd_io_count(&vd_io_own_stripe(io)->bytes_written, total);
	}
	return ret;
}

int vd_io_window_next_data(struct vd_io *io, uint64_t offset, uint64_t limit, uint64_t *start,
			   uint64_t *end, struct vd_error *err)
{
	uint64_t stop = vd_min64(limit, io->length);
	int ret;

	*start = *end = limit;
	if (offset >= stop)
		return 0;
	ret = vd_io_next_data(io->under, io->base + offset, io->base + stop, start, end, err);
	*start -= io->base;
	*end -= io->base;
	if (ret || *start == *end)
		*start = *end = limit;
	return ret;
}
