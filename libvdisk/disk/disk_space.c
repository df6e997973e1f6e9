/* SPDX-License-Identifier: MIT */
/* The space of the image file (vdisk/sys/space.h): what may be asked of which handle. */
#include <string.h>

#include <vdisk/sys/space.h>

#include "disk/disk.h"

const char *vd_use_name(enum vd_use use)
{
	switch (use) {
	case VD_USE_FREE:
		return "free";
	case VD_USE_STRUCTURE:
		return "structure";
	case VD_USE_BLOCK:
		return "block";
	case VD_USE_BITMAP:
		return "bitmap";
	case VD_USE_ANCHOR:
		return "anchor";
	case VD_USE_BUSY:
		return "busy";
	}
	return "unknown";
}

static int has_space(const struct vd_disk *disk, struct vd_error *err)
{
	if (disk->ops->move)
		return 0;
	return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
			    "a %s image has no blocks that could be moved or dropped",
			    disk->ops->name);
}

/* A call that changes something: may it, and its deadline. */
static int begin(struct vd_disk *disk, struct vd_call *call, struct vd_error *err)
{
	int ret = has_space(disk, err);

	if (!ret)
		ret = vd_disk_may_write(disk, err);
	return ret ? ret : vd_call_begin(disk, call, err);
}

int vd_disk_get_space(struct vd_disk *disk, struct vd_space_info *info, struct vd_error *err)
{
	struct vd_space_info own = {.size = sizeof(own)};
	uint32_t size = info->size;
	int ret = has_space(disk, err);

	if (!ret && (size < sizeof(uint64_t) || size > sizeof(own)))
		ret = vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				   "vd_space_info.size is %u, this library knows up to %zu", size,
				   sizeof(own));
	if (!ret)
		ret = disk->ops->get_space(disk->state, &own, err);
	if (ret)
		return ret;
	own.size = size;
	memcpy(info, &own, size);
	return 0;
}

int vd_disk_list_use(struct vd_disk *disk, vd_use_fn fn, void *user, struct vd_error *err)
{
	struct vd_call call;
	int ret = has_space(disk, err);

	if (!ret)
		ret = vd_call_begin(disk, &call, err);
	if (ret)
		return ret;
	ret = disk->ops->list_use(disk->state, fn, user, err);
	vd_call_end(&call);
	return ret;
}

int vd_disk_move_block(struct vd_disk *disk, enum vd_use use, uint64_t number, uint64_t from,
		       uint64_t to, uint32_t hold_ms, struct vd_move_result *result,
		       struct vd_error *err)
{
	struct vd_move_result own = {.size = sizeof(own)};
	struct vd_call call;
	int ret = begin(disk, &call, err);

	if (ret)
		return ret;
	ret = disk->ops->move(disk->state, use, number, from, to, hold_ms, &own, err);
	vd_call_end(&call);
	if (result) {
		own.size = result->size;
		memcpy(result, &own, vd_min64(result->size, sizeof(own)));
	}
	if (!ret && use == VD_USE_BLOCK && vd_disk_has_listeners(disk)) {
		uint64_t start = number * disk->info.block_size;

		vd_disk_tell(disk, VD_EVENT_MOVED, start,
			     vd_min64(disk->info.block_size, disk->size - start), NULL);
	}
	return ret;
}

int vd_disk_drop_block(struct vd_disk *disk, uint64_t number, enum vd_drop how, uint32_t hold_ms,
		       uint64_t *n_dropped, struct vd_error *err)
{
	struct vd_call call;
	int ret = begin(disk, &call, err);

	*n_dropped = 0;
	if (ret)
		return ret;
	if (how == VD_DROP_FREE)
		ret = vd_disk_announce(disk, err);
	if (!ret)
		ret = disk->ops->drop(disk->state, number, how, hold_ms, n_dropped, err);
	vd_call_end(&call);
	return ret;
}

int vd_disk_punch_block(struct vd_disk *disk, uint64_t number, uint32_t unit, uint32_t hold_ms,
			uint64_t *n_punched, struct vd_error *err)
{
	struct vd_call call;
	int ret = begin(disk, &call, err);

	*n_punched = 0;
	if (ret)
		return ret;
	ret = disk->ops->punch(disk->state, number, unit, hold_ms, n_punched, err);
	vd_call_end(&call);
	return ret;
}

int vd_disk_cut(struct vd_disk *disk, uint64_t keep, uint64_t *length, struct vd_error *err)
{
	struct vd_call call;
	int ret = begin(disk, &call, err);

	if (ret)
		return ret;
	ret = disk->ops->cut(disk->state, keep, length, err);
	vd_call_end(&call);
	return ret;
}
