/* SPDX-License-Identifier: MIT */
/* The door to a stretch of a guest's disk. */
#include "guest/guest_disk.h"

#include "base/checked.h"

int vd_guest_view_init(struct vd_guest_view *view, struct vd_disk *disk, uint64_t start,
		       uint64_t length, struct vd_error *err)
{
	uint64_t size = vd_disk_size(disk);

	if (!vd_is_within(start, length, size))
		return vd_error_set(err, VD_ERANGE, 0, VD_NO_OFFSET,
				    "the stretch of %llu bytes at %llu isn't within the disk of "
				    "%llu bytes",
				    (unsigned long long)length, (unsigned long long)start,
				    (unsigned long long)size);
	view->disk = disk;
	view->start = start;
	view->length = length;
	view->sector_size = vd_disk_sector_size(disk);
	return 0;
}

bool vd_guest_view_has(const struct vd_guest_view *view, uint64_t offset, uint64_t len)
{
	return vd_is_within(offset, len, view->length);
}

int vd_guest_view_read(const struct vd_guest_view *view, void *buf, size_t len, uint64_t offset,
		       const char *what, struct vd_error *err)
{
	if (!vd_guest_view_has(view, offset, len))
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "%s: %zu bytes at %llu are wanted of a file system or table "
				    "that has %llu bytes",
				    what, len, (unsigned long long)offset,
				    (unsigned long long)view->length);
	return vd_disk_read(view->disk, buf, len, view->start + offset, err);
}
