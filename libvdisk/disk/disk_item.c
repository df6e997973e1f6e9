/* SPDX-License-Identifier: MIT */
/*
 * User metadata items of the image itself; those of its parents have handles of their own. A change
 * of items is none that a guest can see, so it isn't announced: a listener of VD_EVENT_WILL_WRITE
 * may make one.
 */
#include "base/alloc.h"
#include "disk/disk.h"

static int no_items(const struct vd_disk *disk, struct vd_error *err)
{
	return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
			    "a %s image has no metadata items", disk->ops->name);
}

int vd_disk_list_items(struct vd_disk *disk, struct vd_item **items, size_t *n,
		       struct vd_error *err)
{
	*items = NULL;
	*n = 0;
	if (!disk->ops->list_items)
		return no_items(disk, err);
	return disk->ops->list_items(disk->state, items, n, err);
}

void vd_items_free(struct vd_item *items)
{
	vd_free(items);
}

int vd_disk_read_item(struct vd_disk *disk, const uint8_t id[16], void *buf, uint32_t len,
		      uint32_t offset, struct vd_error *err)
{
	struct vd_call call;
	int ret;

	if (!disk->ops->read_item)
		return no_items(disk, err);
	ret = vd_call_begin(disk, &call, err);
	if (ret)
		return ret;
	ret = disk->ops->read_item(disk->state, id, buf, len, offset, err);
	vd_call_end(&call);
	return ret;
}

int vd_disk_change_items(struct vd_disk *disk, const struct vd_item_change *changes, size_t n,
			 struct vd_error *err)
{
	struct vd_call call;
	int ret;

	if (!disk->ops->change_items)
		return no_items(disk, err);
	if (vd_io_is_poisoned(disk->io))
		atomic_store(&disk->is_poisoned, true);
	ret = vd_disk_may_write(disk, err);
	if (!ret)
		ret = vd_call_begin(disk, &call, err);
	if (ret)
		return ret;
	ret = disk->ops->change_items(disk->state, changes, n, err);
	if (ret == VD_EPOISONED || vd_io_is_poisoned(disk->io))
		atomic_store(&disk->is_poisoned, true);
	vd_call_end(&call);
	return ret;
}
