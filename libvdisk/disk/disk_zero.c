/* SPDX-License-Identifier: MIT */
/* Zeroing, discarding and flushing. */
#include "disk/disk_rw.h"

/* One step of a long range: between two of them the deadline is looked at. Larger than any block,
 * and a multiple of each, so that no block is cut in two. */
#define STEP ((uint64_t)1 << 30)

/* The aligned part, in steps. *n_done: how much was zeroed when it stopped. */
static int zero_steps(struct vd_disk *disk, uint64_t offset, uint64_t len, uint32_t flags,
		      uint64_t *n_done, struct vd_error *err)
{
	int ret = 0;

	*n_done = 0;
	while (!ret && *n_done < len) {
		uint64_t start = offset + *n_done;
		uint64_t n = vd_min64(len - *n_done, STEP - start % STEP);

		ret = disk->ops->zero(disk->state, start, n, flags, err);
		if (!ret) {
			*n_done += n;
			ret = *n_done < len ? vd_call_check(disk, err) : 0;
		}
	}
	return ret;
}

static int zero_range(struct vd_disk *disk, uint64_t offset, uint64_t len, uint32_t flags,
		      struct vd_error *err)
{
	bool is_discard = flags & VD_FORMAT_ZERO_DISCARD;
	struct vd_split split;
	uint64_t n_done;
	int ret = 0;

	vd_disk_split(disk, offset, len, &split);
	/* A discard is a hint: it leaves what isn't a whole sector of a child. */
	if (split.head && !is_discard)
		ret = vd_disk_zero_edge(disk, (size_t)split.head, offset, err);
	if (ret)
		return ret;
	ret = zero_steps(disk, offset + split.head, split.middle, flags, &n_done, err);
	if (!ret && split.tail && !is_discard)
		ret = vd_disk_zero_edge(disk, (size_t)split.tail, offset + len - split.tail, err);
	if (vd_disk_has_listeners(disk)) {
		uint64_t start = is_discard ? offset + split.head : offset;
		uint64_t end = !ret && !is_discard ? offset + len : offset + split.head + n_done;

		if (end > start)
			vd_disk_tell(disk, VD_EVENT_DISCARDED, start, end - start, NULL);
	}
	return ret;
}

static int zero_call(struct vd_disk *disk, uint64_t offset, uint64_t len, uint32_t flags,
		     _Atomic uint64_t *counter, struct vd_error *err)
{
	struct vd_call call;
	int ret;

	if (!vd_is_within(offset, len, disk->size))
		return vd_range_error(disk, offset, len, err);
	ret = vd_disk_may_write(disk, err);
	if (!ret)
		ret = vd_call_begin(disk, &call, err);
	if (ret)
		return ret;
	if (len)
		ret = vd_disk_announce(disk, err);
	if (len && !ret)
		ret = zero_range(disk, offset, len, flags, err);
	vd_call_end(&call);
	if (!ret)
		atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
	return ret;
}

int vd_disk_write_zeroes(struct vd_disk *disk, uint64_t offset, uint64_t len, uint32_t flags,
			 struct vd_error *err)
{
	if (flags & ~VD_ZERO_KEEP_SPACE)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "flags 0x%x of vd_disk_write_zeroes are not known", flags);
	return zero_call(disk, offset, len, flags, &disk->n_zeroes, err);
}

int vd_disk_discard(struct vd_disk *disk, uint64_t offset, uint64_t len, struct vd_error *err)
{
	return zero_call(disk, offset, len, VD_FORMAT_ZERO_DISCARD, &disk->n_discards, err);
}

static uint64_t count_commits(struct vd_disk *disk)
{
	struct vd_disk_stats stats = {.size = sizeof(stats)};

	vd_disk_get_stats(disk, &stats);
	return stats.n_commits;
}

static int flush(struct vd_disk *disk, struct vd_error *err)
{
	bool is_heard = vd_disk_has_listeners(disk);
	uint64_t n_before = is_heard ? count_commits(disk) : 0;
	int ret = disk->ops->flush(disk->state, err);

	if (ret == VD_EPOISONED || vd_io_is_poisoned(disk->io))
		atomic_store(&disk->is_poisoned, true);
	if (!ret && is_heard && count_commits(disk) != n_before)
		vd_disk_tell(disk, VD_EVENT_FLUSHED, 0, 0, NULL);
	return ret;
}

int vd_disk_flush(struct vd_disk *disk, struct vd_error *err)
{
	struct vd_call call;
	int ret;

	if (!disk->is_writable)
		return 0; /* nothing to make durable */
	if (vd_io_is_poisoned(disk->io))
		atomic_store(&disk->is_poisoned, true);
	ret = vd_disk_may_write(disk, err);
	if (!ret)
		ret = vd_call_begin(disk, &call, err);
	if (ret)
		return ret;
	ret = flush(disk, err);
	vd_call_end(&call);
	if (!ret)
		atomic_fetch_add_explicit(&disk->n_flushes, 1, memory_order_relaxed);
	return ret;
}
