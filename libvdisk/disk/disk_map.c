/* SPDX-License-Identifier: MIT */
/* Resolve and release for callers, and the map of extents. */
#include "disk/disk.h"

const char *vd_state_name(enum vd_state state)
{
	switch (state) {
	case VD_STATE_DATA:
		return "data";
	case VD_STATE_ZERO:
		return "zero";
	case VD_STATE_HOLE:
		return "hole";
	case VD_STATE_PARENT:
		return "parent";
	}
	return "unknown";
}

int vd_range_error(const struct vd_disk *disk, uint64_t start, uint64_t len, struct vd_error *err)
{
	return vd_error_set(err, VD_ERANGE, 0, VD_NO_OFFSET,
			    "%llu bytes at %llu lie beyond the end of the disk, which has %llu",
			    (unsigned long long)len, (unsigned long long)start,
			    (unsigned long long)disk->size);
}

int vd_disk_may_write(const struct vd_disk *disk, struct vd_error *err)
{
	if (vd_unlikely(!disk->is_writable))
		return vd_error_set(err, VD_EROFS, 0, VD_NO_OFFSET,
				    "the disk was opened read-only");
	if (vd_unlikely(atomic_load_explicit(&disk->is_poisoned, memory_order_relaxed)))
		return vd_error_set(err, VD_EPOISONED, 0, VD_NO_OFFSET,
				    "an earlier sync of this disk failed: it writes and flushes no "
				    "more; open it again");
	return 0;
}

static int resolve_write(struct vd_disk *disk, uint64_t start, uint64_t length,
			 struct vd_mapping *mapping, struct vd_error *err)
{
	int ret = vd_disk_may_write(disk, err);

	if (ret)
		return ret;
	if ((start | length) & (disk->sector_size - 1))
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "%llu bytes at %llu are not whole sectors of %u bytes, as a "
				    "resolve for writing needs",
				    (unsigned long long)length, (unsigned long long)start,
				    disk->sector_size);
	ret = vd_disk_announce(disk, err);
	if (!ret)
		ret = disk->ops->resolve(disk->state, start, length, VD_ACCESS_WRITE, mapping, err);
	mapping->depth = 0;
	return ret;
}

int vd_disk_resolve(struct vd_disk *disk, uint64_t start, uint64_t length, enum vd_access access,
		    struct vd_mapping *mapping, struct vd_error *err)
{
	struct vd_disk *holder;
	struct vd_call call;
	int ret;

	if (!vd_is_within(start, length, disk->size))
		return vd_range_error(disk, start, length, err);
	if (!length)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "nothing to resolve: length 0");
	ret = vd_call_begin(disk, &call, err);
	if (ret)
		return ret;
	if (access == VD_ACCESS_WRITE)
		ret = resolve_write(disk, start, length, mapping, err);
	else
		ret = vd_chain_resolve(disk, start, length, mapping, &holder, err);
	vd_call_end(&call);
	return ret;
}

int vd_disk_release(struct vd_disk *disk, struct vd_mapping *mapping, enum vd_outcome outcome,
		    struct vd_error *err)
{
	struct vd_disk *holder = disk;

	for (uint32_t depth = mapping->depth; depth; depth--)
		holder = holder->parent;
	return holder->ops->release(holder->state, mapping, outcome, err);
}

/*
 * Stored bytes that lie in a hole of the host file read as zero. Whether the host keeps space for
 * them can't be told from outside (a reserved range looks like a hole), so the type decides: a
 * fixed disk has its space, "zero"; any other has none there, "hole".
 */
static int find_host_hole(struct vd_disk *holder, struct vd_extent *extent, struct vd_error *err)
{
	uint64_t end = extent->offset + extent->length, data, data_end;
	int ret;

	/* A log that is replayed in memory may hold what the file doesn't. */
	if (holder->info.has_dirty_log && !holder->is_writable)
		return 0;
	ret = vd_io_next_data(holder->io, extent->offset, end, &data, &data_end, err);
	if (ret)
		return ret;
	if (data > extent->offset) {
		extent->length = vd_min64(data, end) - extent->offset;
		extent->state = holder->info.type == VD_TYPE_FIXED ? VD_STATE_ZERO : VD_STATE_HOLE;
		extent->offset = VD_NO_OFFSET;
	} else if (data_end < end) {
		extent->length = data_end - extent->offset;
	}
	return 0;
}

/* One stretch, from the image of the chain that has it. */
static int find_extent(struct vd_disk *top, uint64_t start, uint64_t limit,
		       struct vd_extent *extent, struct vd_error *err)
{
	struct vd_disk *disk = top;
	uint32_t depth = 0;

	for (;;) {
		struct vd_disk *parent = disk->parent;
		int ret = disk->ops->extent(disk->state, start, limit, extent, err);

		if (ret)
			return depth ? vd_error_prefix(err, ret, "parent %s", disk->path) : ret;
		extent->start = start;
		extent->length = vd_min64(extent->length, limit);
		if (extent->state != VD_STATE_PARENT || !parent)
			break;
		if (start >= parent->size) {
			extent->state = VD_STATE_HOLE;
			break;
		}
		limit = vd_min64(extent->length, parent->size - start);
		disk = parent;
		depth++;
	}
	extent->depth = depth;
	if (extent->state == VD_STATE_DATA)
		return find_host_hole(disk, extent, err);
	/* A block that reads as zero has space only if the format names a place for it. */
	if (extent->state == VD_STATE_ZERO && extent->offset == VD_NO_OFFSET)
		extent->state = VD_STATE_HOLE;
	extent->offset = VD_NO_OFFSET;
	return 0;
}

static bool goes_on(const struct vd_extent *a, const struct vd_extent *b)
{
	return a->state == b->state && a->depth == b->depth &&
	       (a->state != VD_STATE_DATA || a->offset + a->length == b->offset);
}

static int map(struct vd_disk *disk, uint64_t start, uint64_t limit, struct vd_extent *extent,
	       struct vd_error *err)
{
	int ret = find_extent(disk, start, limit, extent, err);

	while (!ret && extent->length < limit) {
		struct vd_extent next;

		ret = vd_call_check(disk, err);
		if (!ret)
			ret = find_extent(disk, start + extent->length, limit - extent->length,
					  &next, err);
		if (ret || !goes_on(extent, &next))
			break;
		extent->length += next.length;
	}
	return ret;
}

int vd_disk_map(struct vd_disk *disk, uint64_t start, uint64_t limit, struct vd_extent *extent,
		struct vd_error *err)
{
	struct vd_call call;
	int ret;

	if (start >= disk->size)
		return vd_range_error(disk, start, limit, err);
	if (!limit)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "nothing to map: limit 0");
	ret = vd_call_begin(disk, &call, err);
	if (ret)
		return ret;
	ret = map(disk, start, vd_min64(limit, disk->size - start), extent, err);
	vd_call_end(&call);
	return ret;
}

int vd_disk_count_blocks(struct vd_disk *disk, struct vd_block_counts *counts, struct vd_error *err)
{
	struct vd_call call;
	int ret;

	if (!disk->ops->count_blocks)
		return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
				    "a %s image has no blocks to count", disk->ops->name);
	ret = vd_call_begin(disk, &call, err);
	if (ret)
		return ret;
	ret = disk->ops->count_blocks(disk->state, counts, err);
	vd_call_end(&call);
	return ret;
}
