/* SPDX-License-Identifier: MIT */
/* What zeroing shares with writing: the edges of sectors of a differencing image. */
#ifndef VD_DISK_RW_H
#define VD_DISK_RW_H

#include "disk/disk.h"

/** A range as part of a sector, whole sectors, part of a sector. Without a parent it is all
 *  `middle`. */
struct vd_split {
	uint64_t head, middle, tail;
};
void vd_disk_split(const struct vd_disk *disk, uint64_t offset, uint64_t len,
		   struct vd_split *split);
/** Write zeros inside one sector of a differencing image. */
int vd_disk_zero_edge(struct vd_disk *disk, size_t len, uint64_t offset, struct vd_error *err);

#endif
