/* SPDX-License-Identifier: MIT */
/*
 * Copying. The kernel does it where both ends are of the same kind: a reflink costs nothing, a copy
 * no buffer. What it can't do, or not to the end, goes through one.
 */
#include "io/io.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/cleanup.h"

/* A step through the kernel is bounded, so that a cancelled copy ends soon. A reflink of a long
 * range takes no longer than one of a short one, but has a few more steps then. */
#define KERNEL_STEP (VD_MIB * 64)
#define BUFFER_SIZE VD_IO_BOUNCE_MAX

struct copy {
	struct vd_io *from, *to;
	uint64_t offset, to_offset, len;
};

/* The store behind windows; the offset goes along. */
static struct vd_io *resolve(struct vd_io *io, uint64_t *offset)
{
	for (; io->under; io = io->under)
		*offset += io->base;
	return io;
}

static void advance(struct copy *c, uint64_t n)
{
	c->offset += n;
	c->to_offset += n;
	c->len -= n;
}

/* The kernel's step: how far it came, or -errno. */
static ssize_t step(const struct copy *c, uint64_t n, uint64_t *n_shared)
{
	const struct vd_io_ops *ops = &c->from->ops;

	if (ops->clone && ops->clone == c->to->ops.clone &&
	    !ops->clone(c->from->state, c->offset, c->to->state, c->to_offset, n)) {
		*n_shared += n;
		return (ssize_t)n;
	}
	return ops->copy(c->from->state, c->offset, c->to->state, c->to_offset, n);
}

static int copy_by_kernel(struct copy *c, uint64_t *n_shared, struct vd_error *err)
{
	struct vd_io *from = c->from, *to = c->to;

	if (!from->ops.copy || from->ops.copy != to->ops.copy)
		return 0;
	while (c->len) {
		uint64_t n = vd_min64(c->len, KERNEL_STEP);
		struct vd_io_range range;
		ssize_t done;
		int ret = vd_io_check_go_on(from, err);

		if (!ret)
			ret = vd_io_check_change(to, err);
		if (!ret)
			ret = vd_io_range_enter(to, &range, c->to_offset, c->to_offset + n, false,
						err);
		if (ret)
			return ret;
		done = step(c, n, n_shared);
		vd_io_range_leave(to, &range);
		if (done == -EINTR)
			continue;
		if (done == 0 || done == -EOPNOTSUPP || done == -EXDEV || done == -EINVAL)
			return 0; /* the end of the source, or not like this */
		if (done < 0 || (uint64_t)done > n)
			return vd_io_fail(to, "copy to it", c->to_offset, n,
					  done < 0 ? (int)done : -EIO, err);
		vd_io_count(&vd_io_own_stripe(to)->n_writes, 1);
		vd_io_count(&vd_io_own_stripe(to)->bytes_written, (uint64_t)done);
		advance(c, (uint64_t)done);
	}
	return 0;
}

static int copy_by_buffer(struct copy *c, struct vd_error *err)
{
	VD_AUTO_FREE_ALIGNED uint8_t *buf = NULL;
	size_t size = (size_t)vd_min64(c->len, BUFFER_SIZE);

	if (!c->len)
		return 0;
	buf = vd_malloc_aligned(c->from->align > 4096 ? c->from->align : 4096, size);
	if (!buf)
		return vd_no_memory(err, size, "copying");
	while (c->len) {
		size_t n = (size_t)vd_min64(c->len, size);
		int ret = vd_io_read(c->from, buf, n, c->offset, err);

		if (!ret)
			ret = vd_io_write(c->to, buf, n, c->to_offset, err);
		if (ret)
			return ret;
		advance(c, n);
	}
	return 0;
}

int vd_io_copy(struct vd_io *io, uint64_t offset, struct vd_io *to, uint64_t to_offset,
	       uint64_t len, uint64_t *n_shared, struct vd_error *err)
{
	struct copy c = {io, to, offset, to_offset, len};
	uint64_t shared = 0;
	int ret = vd_io_check_go_on(io, err);

	if (n_shared)
		*n_shared = 0;
	if (!ret)
		ret = vd_io_check_change(to, err);
	if (!ret && (!vd_io_is_sane(offset, len) || !vd_io_is_sane(to_offset, len)))
		ret = vd_error_set(err, VD_ERANGE, 0, offset,
				   "%s: a copy of %llu bytes ends where no store can reach",
				   io->name, (unsigned long long)len);
	if (!ret && io->under)
		ret = vd_io_window_check(io, offset, len, err);
	if (!ret && to->under)
		ret = vd_io_window_check(to, to_offset, len, err);
	if (ret || !len)
		return ret;
	c.from = resolve(io, &c.offset);
	c.to = resolve(to, &c.to_offset);
	if (c.from == c.to && vd_is_overlap(c.offset, len, c.to_offset, len))
		return vd_error_set(err, VD_EINVAL, 0, offset, "%s: the ranges of a copy overlap",
				    io->name);
	ret = copy_by_kernel(&c, &shared, err);
	if (n_shared)
		*n_shared = shared;
	return ret ? ret : copy_by_buffer(&c, err);
}
