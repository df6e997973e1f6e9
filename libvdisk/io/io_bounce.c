/* SPDX-License-Identifier: MIT */
/*
 * Transfers that aren't aligned in a store that wants alignment (O_DIRECT) go through an aligned
 * buffer, a chunk of at most 1 MiB at a time. A write that covers a unit in part reads the unit
 * first; while it does, nothing else may change the range (struct vd_io_range). The unit at the
 * end of the store may be a short one, and stays as short as it was or as the write makes it.
 */
#include "io/io.h"

#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/deadline.h"

/* Where in a vector the transfer is. */
struct cursor {
	const struct iovec *iov;
	size_t at; /* within iov[0] */
};

static void copy_from(struct cursor *c, uint8_t *to, size_t len)
{
	while (len) {
		size_t n = c->iov->iov_len - c->at;

		if (n > len)
			n = len;
		if (n)
			memcpy(to, (const uint8_t *)c->iov->iov_base + c->at, n);
		to += n;
		len -= n;
		c->at += n;
		if (c->at == c->iov->iov_len) {
			c->iov++;
			c->at = 0;
		}
	}
}

static void copy_to(struct cursor *c, const uint8_t *from, size_t len)
{
	while (len) {
		size_t n = c->iov->iov_len - c->at;

		if (n > len)
			n = len;
		if (n)
			memcpy((uint8_t *)c->iov->iov_base + c->at, from, n);
		from += n;
		len -= n;
		c->at += n;
		if (c->at == c->iov->iov_len) {
			c->iov++;
			c->at = 0;
		}
	}
}

bool vd_io_is_aligned(const struct vd_io *io, const struct iovec *iov, int n_iov, uint64_t offset)
{
	uint64_t lengths = offset, memory = 0;

	if (io->align == 1)
		return true;
	for (int i = 0; i < n_iov; i++) {
		if (!iov[i].iov_len)
			continue;
		lengths |= iov[i].iov_len;
		memory |= (uintptr_t)iov[i].iov_base;
	}
	return !(lengths & (io->align - 1)) && !(memory & (io->mem_align - 1));
}

/* A buffer for chunks of a transfer over [start, end), both aligned. */
static uint8_t *take_buffer(struct vd_io *io, uint64_t start, uint64_t end, size_t *size,
			    struct vd_error *err)
{
	uint8_t *buf = NULL;

	*size = end - start < VD_IO_BOUNCE_MAX ? (size_t)(end - start) : VD_IO_BOUNCE_MAX;
	/* Small ones come and go cheaply; of the large ones one is kept. */
	if (*size > VD_IO_BOUNCE_MAX / 16) {
		*size = VD_IO_BOUNCE_MAX;
		buf = atomic_exchange(&io->spare, NULL);
	}
	if (!buf)
		buf = vd_malloc_aligned(io->align, *size);
	if (!buf)
		vd_no_memory(err, *size, "an aligned copy");
	return buf;
}

static void give_buffer(struct vd_io *io, uint8_t *buf, size_t size)
{
	void *none = NULL;

	if (size < VD_IO_BOUNCE_MAX || !atomic_compare_exchange_strong(&io->spare, &none, buf))
		vd_free_aligned(buf);
}

int vd_io_bounce_read(struct vd_io *io, const struct iovec *iov, int n_iov, uint64_t offset,
		      struct vd_error *err)
{
	struct cursor to = {iov, 0};
	uint64_t end, stop;
	size_t total, size;
	uint8_t *buf;
	int ret = 0;

	if (!vd_iov_total(iov, n_iov, &total))
		return VD_EINVAL;
	end = offset + total;
	stop = vd_align_up(end, io->align);
	buf = take_buffer(io, vd_align_down(offset, io->align), stop, &size, err);
	if (!buf)
		return VD_ENOMEM;
	vd_io_count(&vd_io_own_stripe(io)->n_bounced, 1);
	while (offset < end && !ret) {
		uint64_t start = vd_align_down(offset, io->align);
		size_t n = (size_t)vd_min64(size, stop - start);
		size_t wanted = (size_t)(vd_min64(start + n, end) - offset);

		ret = vd_io_check_go_on(io, err);
		if (!ret)
			ret = vd_io_read_run(io, buf, n, start, err);
		if (!ret)
			copy_to(&to, buf + (offset - start), wanted);
		offset += wanted;
	}
	give_buffer(io, buf, size);
	return ret;
}

/* Read one unit; *n_there is how much of it lies before the end of the store. */
static int read_unit(struct vd_io *io, uint8_t *buf, uint64_t start, size_t *n_there,
		     struct vd_error *err)
{
	uint64_t length;
	int ret = vd_io_length(io, &length, err);

	if (!ret)
		ret = vd_io_read_run(io, buf, io->align, start, err);
	*n_there = length > start ? (size_t)vd_min64(length - start, io->align) : 0;
	return ret;
}

/* The unit at `start` reaches beyond the end of the store, which must end at start + len. */
static int write_last_unit(struct vd_io *io, const uint8_t *buf, size_t len, uint64_t start,
			   struct vd_error *err)
{
	int result;
	ssize_t n;
	int ret;

	if (io->write_odd) {
		do {
			n = io->write_odd(io->state, buf, len, start);
			vd_io_count(&vd_io_own_stripe(io)->n_writes, 1);
		} while (n == -EINTR || (n > 0 && (size_t)n < len));
		if (n == (ssize_t)len) {
			vd_io_count(&vd_io_own_stripe(io)->bytes_written, len);
			return 0;
		}
		if (n != -EOPNOTSUPP)
			return vd_io_fail(io, "write", start, len, n < 0 ? (int)n : -EIO, err);
	}
	ret = vd_io_write_run(io, buf, io->align, start, err);
	if (ret || len == io->align)
		return ret;
	do {
		result = io->ops.truncate(io->state, start + len);
		vd_io_count(&vd_io_own_stripe(io)->n_truncates, 1);
	} while (result == -EINTR);
	return result ? vd_io_fail(io, "set the length", VD_NO_OFFSET, 0, result, err) : 0;
}

/* Write [offset, offset + len) by way of buf, which has room for the units it touches. */
static int write_chunk(struct vd_io *io, uint8_t *buf, struct cursor *from, uint64_t offset,
		       size_t len, struct vd_error *err)
{
	const uint64_t mask = io->align - 1;
	uint64_t start = offset & ~mask, end = offset + len;
	uint64_t last = (end - 1) & ~mask;
	size_t n_whole = (size_t)(vd_align_up(end, io->align) - start);
	size_t n_there = 0;
	int ret = 0;

	if (offset & mask)
		ret = read_unit(io, buf, start, &n_there, err);
	if (!ret && (end & mask) && !((offset & mask) && last == start))
		ret = read_unit(io, buf + (last - start), last, &n_there, err);
	if (ret)
		return ret;
	copy_from(from, buf + (offset - start), len);
	if (!(end & mask) || n_there == io->align)
		return vd_io_write_run(io, buf, n_whole, start, err);

	n_there = (size_t)vd_max64(n_there, end - last);
	if (n_whole > io->align)
		ret = vd_io_write_run(io, buf, n_whole - io->align, start, err);
	return ret ? ret : write_last_unit(io, buf + (last - start), n_there, last, err);
}

int vd_io_bounce_write(struct vd_io *io, const struct iovec *iov, int n_iov, uint64_t offset,
		       struct vd_error *err)
{
	struct cursor from = {iov, 0};
	struct vd_io_range range;
	uint64_t end, stop;
	size_t total, size;
	uint8_t *buf;
	int ret = 0;

	if (!vd_iov_total(iov, n_iov, &total))
		return VD_EINVAL;
	end = offset + total;
	stop = vd_align_up(end, io->align);
	buf = take_buffer(io, vd_align_down(offset, io->align), stop, &size, err);
	if (!buf)
		return VD_ENOMEM;
	vd_io_count(&vd_io_own_stripe(io)->n_bounced, 1);
	while (offset < end && !ret) {
		uint64_t start = vd_align_down(offset, io->align);
		uint64_t chunk_end = vd_min64(start + size, end);
		bool is_odd_end = (chunk_end & (io->align - 1)) != 0;
		bool is_partial = is_odd_end || (offset & (io->align - 1));
		uint64_t stop_at = vd_align_up(chunk_end, io->align);

		/* It may have to set the length, which no other change may meet. */
		if (is_odd_end && !io->write_odd)
			stop_at = UINT64_MAX;
		ret = vd_io_check_change(io, err);
		if (!ret)
			ret = vd_io_range_enter(io, &range, start, stop_at, is_partial, err);
		if (ret)
			break;
		ret = write_chunk(io, buf, &from, offset, (size_t)(chunk_end - offset), err);
		vd_io_range_leave(io, &range);
		offset = chunk_end;
	}
	give_buffer(io, buf, size);
	return ret;
}

/* One that came earlier and that `own` must not meet. */
static bool has_to_wait(const struct vd_io *io, const struct vd_io_range *own)
{
	for (const struct vd_io_range *r = io->ranges; r && r != own; r = r->next)
		if ((r->is_alone || own->is_alone) && r->start < own->end && own->start < r->end)
			return true;
	return false;
}

static void unlink_range(struct vd_io *io, struct vd_io_range *range)
{
	struct vd_io_range **at = &io->ranges;

	while (*at != range)
		at = &(*at)->next;
	*at = range->next;
	pthread_cond_broadcast(&io->changed);
}

/* First come, first served: so a stream of aligned writes can't starve one that has to be alone. */
int vd_io_range_enter(struct vd_io *io, struct vd_io_range *range, uint64_t start, uint64_t end,
		      bool is_alone, struct vd_error *err)
{
	struct vd_io_range **at;
	int ret = 0;

	if (io->align == 1)
		return 0;
	*range = (struct vd_io_range){start, end, is_alone, NULL};
	pthread_mutex_lock(&io->mutex);
	for (at = &io->ranges; *at; at = &(*at)->next)
		;
	*at = range;
	while (!ret && has_to_wait(io, range)) {
		ret = vd_deadline_wait(&io->changed, &io->mutex, err);
		if (!ret)
			ret = vd_io_check_go_on(io, err);
	}
	if (ret)
		unlink_range(io, range);
	pthread_mutex_unlock(&io->mutex);
	return ret;
}

void vd_io_range_leave(struct vd_io *io, struct vd_io_range *range)
{
	if (io->align == 1)
		return;
	pthread_mutex_lock(&io->mutex);
	unlink_range(io, range);
	pthread_mutex_unlock(&io->mutex);
}
