/* SPDX-License-Identifier: MIT */
/*
 * The one door to the bytes of a guest: a stretch of the disk, out of which nobody reads. What
 * stands in partition tables and superblocks is hostile, so offsets and lengths come here unchecked
 * and are refused here.
 */
#ifndef VD_GUEST_DISK_H
#define VD_GUEST_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdisk/disk.h>
#include <vdisk/error.h>

/** [start, start + length) of the disk. Borrowed: the disk stays the caller's. */
struct vd_guest_view {
	struct vd_disk *disk;
	uint64_t start, length;
	uint32_t sector_size; /**< logical, of the disk */
};

/** A view of a stretch of the disk; VD_ERANGE if it isn't within the disk. */
int vd_guest_view_init(struct vd_guest_view *view, struct vd_disk *disk, uint64_t start,
		       uint64_t length, struct vd_error *err);
/** Read len bytes at `offset` of the view, not aligned to anything. VD_ECORRUPT if they aren't all
 *  within it: whoever pointed there is broken. `what` names it in the text ("inode table"). */
int vd_guest_view_read(const struct vd_guest_view *view, void *buf, size_t len, uint64_t offset,
		       const char *what, struct vd_error *err);
/** [offset, offset + len) lies within the view. */
bool vd_guest_view_has(const struct vd_guest_view *view, uint64_t offset, uint64_t len);

#endif
