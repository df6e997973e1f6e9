/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing. Both are the same loop: resolve a stretch, do the transfer, release it.
 *
 * A differencing image stores whole sectors, so a write that begins or ends inside one reads the
 * rest of that sector through the chain and writes all of it (disk->edge_lock: two such writes
 * to one sector don't lose each other's bytes). Images without a parent take any bytes.
 */
#include <string.h>

#include "disk/disk_rw.h"
#include "io/io.h"

#define N_PARTS 16 /* iovecs for one transfer that is a part of the caller's */

static int parent_not_open(uint64_t offset, struct vd_error *err)
{
	return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
			    "what lies at %llu is in the parent, which was not opened "
			    "(VD_OPEN_NO_PARENTS)",
			    (unsigned long long)offset);
}

static inline int read_run(struct vd_disk *disk, void *buf, size_t len, uint64_t offset,
			   struct vd_error *err)
{
	for (;;) {
		struct vd_mapping mapping;
		struct vd_disk *holder;
		size_t n;
		int ret = vd_chain_resolve(disk, offset, len, &mapping, &holder, err);

		if (vd_unlikely(ret))
			return ret;
		n = (size_t)mapping.length;
		if (vd_likely(mapping.state == VD_STATE_DATA))
			ret = vd_io_read(mapping.io, buf, n, mapping.io_offset, err);
		else if (mapping.state == VD_STATE_PARENT)
			ret = parent_not_open(offset, err);
		else
			memset(buf, 0, n);
		holder->ops->release(holder->state, &mapping, VD_OUTCOME_READ, NULL);
		if (vd_unlikely(ret))
			return ret;
		if (vd_likely(n == len))
			return 0;
		buf = (char *)buf + n;
		offset += n;
		len -= n;
		ret = vd_call_check(disk, err);
		if (ret)
			return ret;
	}
}

int vd_disk_read(struct vd_disk *disk, void *buf, size_t len, uint64_t offset, struct vd_error *err)
{
	struct vd_call call;
	int ret;

	if (vd_unlikely(!vd_is_within(offset, len, disk->size)))
		return vd_range_error(disk, offset, len, err);
	ret = vd_call_begin(disk, &call, err);
	if (vd_unlikely(ret))
		return ret;
	if (vd_likely(len))
		ret = read_run(disk, buf, len, offset, err);
	vd_call_end(&call);
	if (vd_likely(!ret))
		vd_gate_count(&disk->tallies, VD_TALLY_READS, VD_TALLY_READ_BYTES, len);
	return ret;
}

/* Between the caller's memory and `buf`. */
static void copy_out(struct vd_cursor *at, void *buf, size_t len)
{
	while (len) {
		struct iovec parts[N_PARTS];
		int n;
		size_t total = vd_cursor_cut(at, len, parts, N_PARTS, &n);

		for (int i = 0; i < n; i++) {
			memcpy(buf, parts[i].iov_base, parts[i].iov_len);
			buf = (char *)buf + parts[i].iov_len;
		}
		vd_cursor_advance(at, total);
		len -= total;
	}
}

/* Transfer one resolved stretch from or to where `at` stands. */
static int transfer(const struct vd_mapping *mapping, struct vd_cursor *at, struct vd_error *err)
{
	uint64_t offset = mapping->io_offset, left = mapping->length;

	while (left) {
		struct iovec parts[N_PARTS];
		int n, ret;
		size_t total = vd_cursor_cut(at, (size_t)left, parts, N_PARTS, &n);

		if (mapping->access == VD_ACCESS_WRITE)
			ret = n == 1
				  ? vd_io_write(mapping->io, parts[0].iov_base, total, offset, err)
				  : vd_io_writev(mapping->io, parts, n, offset, err);
		else
			ret = n == 1
				  ? vd_io_read(mapping->io, parts[0].iov_base, total, offset, err)
				  : vd_io_readv(mapping->io, parts, n, offset, err);
		if (ret)
			return ret;
		vd_cursor_advance(at, total);
		offset += total;
		left -= total;
	}
	return 0;
}

static int readv_run(struct vd_disk *disk, struct vd_cursor *at, uint64_t len, uint64_t offset,
		     struct vd_error *err)
{
	while (len) {
		struct vd_mapping mapping;
		struct vd_disk *holder;
		uint64_t n;
		int ret = vd_chain_resolve(disk, offset, len, &mapping, &holder, err);

		if (ret)
			return ret;
		n = mapping.length;
		mapping.access = VD_ACCESS_READ;
		if (mapping.state == VD_STATE_DATA)
			ret = transfer(&mapping, at, err);
		else if (mapping.state == VD_STATE_PARENT)
			ret = parent_not_open(offset, err);
		else
			vd_cursor_zero(at, (size_t)n);
		holder->ops->release(holder->state, &mapping, VD_OUTCOME_READ, NULL);
		len -= n;
		offset += n;
		if (!ret && len)
			ret = vd_call_check(disk, err);
		if (ret)
			return ret;
	}
	return 0;
}

int vd_disk_readv(struct vd_disk *disk, const struct iovec *iov, int n_iov, uint64_t offset,
		  struct vd_error *err)
{
	struct vd_cursor at = {iov, n_iov, 0};
	struct vd_call call;
	size_t len;
	int ret;

	if (!vd_iov_total(iov, n_iov, &len))
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "the lengths of the vector make no sense");
	if (!vd_is_within(offset, len, disk->size))
		return vd_range_error(disk, offset, len, err);
	ret = vd_call_begin(disk, &call, err);
	if (ret)
		return ret;
	ret = readv_run(disk, &at, len, offset, err);
	vd_call_end(&call);
	if (!ret)
		vd_gate_count(&disk->tallies, VD_TALLY_READS, VD_TALLY_READ_BYTES, len);
	return ret;
}

static int write_run(struct vd_disk *disk, struct vd_cursor *at, uint64_t len, uint64_t offset,
		     struct vd_error *err)
{
	while (len) {
		struct vd_mapping mapping;
		uint64_t n;
		int ret =
		    disk->ops->resolve(disk->state, offset, len, VD_ACCESS_WRITE, &mapping, err);

		if (vd_unlikely(ret))
			return ret;
		n = mapping.length;
		mapping.access = VD_ACCESS_WRITE;
		ret = transfer(&mapping, at, err);
		if (vd_unlikely(ret)) {
			disk->ops->release(disk->state, &mapping, VD_OUTCOME_FAILED, NULL);
			return ret;
		}
		ret = disk->ops->release(disk->state, &mapping, VD_OUTCOME_WRITTEN, err);
		len -= n;
		offset += n;
		if (!ret && len)
			ret = vd_call_check(disk, err);
		if (vd_unlikely(ret))
			return ret;
	}
	return 0;
}

static int lock_edges(struct vd_disk *disk, struct vd_error *err)
{
	struct timespec until = {(time_t)(vd_deadline / 1000000000u),
				 (long)(vd_deadline % 1000000000u)};

	if (!vd_deadline)
		return pthread_mutex_lock(&disk->edge_lock);
	if (pthread_mutex_clocklock(&disk->edge_lock, CLOCK_MONOTONIC, &until))
		return vd_deadline_check_slow(err);
	return 0;
}

/* Write `len` bytes inside one sector of a differencing image; at NULL: zeros. */
static int write_edge(struct vd_disk *disk, struct vd_cursor *at, size_t len, uint64_t offset,
		      struct vd_error *err)
{
	uint8_t sector[VD_MAX_SECTOR];
	struct iovec whole = {sector, disk->sector_size};
	struct vd_cursor from = {&whole, 1, 0};
	uint64_t start = vd_align_down(offset, disk->sector_size);
	int ret = lock_edges(disk, err);

	if (ret)
		return ret;
	ret = read_run(disk, sector, disk->sector_size, start, err);
	if (!ret) {
		if (at)
			copy_out(at, sector + (offset - start), len);
		else
			memset(sector + (offset - start), 0, len);
		ret = write_run(disk, &from, disk->sector_size, start, err);
	}
	pthread_mutex_unlock(&disk->edge_lock);
	return ret;
}

int vd_disk_zero_edge(struct vd_disk *disk, size_t len, uint64_t offset, struct vd_error *err)
{
	return write_edge(disk, NULL, len, offset, err);
}

void vd_disk_split(const struct vd_disk *disk, uint64_t offset, uint64_t len,
		   struct vd_split *split)
{
	uint64_t end = offset + len, first, last;

	*split = (struct vd_split){0, len, 0};
	if (!disk->has_parent)
		return;
	first = vd_align_up(offset, disk->sector_size);
	last = vd_align_down(end, disk->sector_size);
	if (first > last) { /* within one sector */
		*split = (struct vd_split){len, 0, 0};
		return;
	}
	*split = (struct vd_split){first - offset, last - first, end - last};
}

static int write_split(struct vd_disk *disk, struct vd_cursor *at, uint64_t len, uint64_t offset,
		       struct vd_error *err)
{
	struct vd_split split;
	int ret = 0;

	vd_disk_split(disk, offset, len, &split);
	if (vd_unlikely(split.head))
		ret = write_edge(disk, at, (size_t)split.head, offset, err);
	if (!ret)
		ret = write_run(disk, at, split.middle, offset + split.head, err);
	if (!ret && vd_unlikely(split.tail))
		ret = write_edge(disk, at, (size_t)split.tail, offset + len - split.tail, err);
	return ret;
}

int vd_disk_writev(struct vd_disk *disk, const struct iovec *iov, int n_iov, uint64_t offset,
		   struct vd_error *err)
{
	struct vd_cursor at = {iov, n_iov, 0};
	struct vd_call call;
	size_t len;
	int ret;

	if (!vd_iov_total(iov, n_iov, &len))
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "the lengths of the vector make no sense");
	if (!vd_is_within(offset, len, disk->size))
		return vd_range_error(disk, offset, len, err);
	ret = vd_disk_may_write(disk, err);
	if (!ret)
		ret = vd_call_begin(disk, &call, err);
	if (ret)
		return ret;
	if (vd_likely(len))
		ret = vd_disk_announce(disk, err);
	if (!ret)
		ret = write_split(disk, &at, len, offset, err);
	vd_call_end(&call);
	if (!ret)
		vd_gate_count(&disk->tallies, VD_TALLY_WRITES, VD_TALLY_WRITE_BYTES, len);
	return ret;
}

int vd_disk_write(struct vd_disk *disk, const void *buf, size_t len, uint64_t offset,
		  struct vd_error *err)
{
	struct iovec iov = {(void *)(uintptr_t)buf, len};

	return vd_disk_writev(disk, &iov, 1, offset, err);
}
