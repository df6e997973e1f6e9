/* SPDX-License-Identifier: MIT */
/* Which bytes of the image file other files share (reflinks, snapshots of the host): no compaction
 * gives these back to the host. */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/fiemap.h>
#include <linux/fs.h>

#include <vdisk/sys/io.h>

#include "compact.h"

#define N_EXTENTS 256u
#define MAX_CALLS 4096u

uint64_t compact_shared_extents(struct vd_disk *disk)
{
	int fd = vd_io_descriptor(vd_disk_io(disk));
	size_t size = sizeof(struct fiemap) + N_EXTENTS * sizeof(struct fiemap_extent);
	struct fiemap *map = fd < 0 ? NULL : malloc(size);
	uint64_t at = 0, shared = 0;
	bool is_last = !map;

	for (uint32_t i = 0; i < MAX_CALLS && !is_last; i++) {
		memset(map, 0, size);
		map->fm_start = at;
		map->fm_length = FIEMAP_MAX_OFFSET - at;
		map->fm_extent_count = N_EXTENTS;
		if (ioctl(fd, FS_IOC_FIEMAP, map) || !map->fm_mapped_extents)
			break;
		for (uint32_t k = 0; k < map->fm_mapped_extents; k++) {
			const struct fiemap_extent *extent = &map->fm_extents[k];

			if (extent->fe_flags & FIEMAP_EXTENT_SHARED)
				shared += extent->fe_length;
			is_last |= extent->fe_flags & FIEMAP_EXTENT_LAST;
			at = extent->fe_logical + extent->fe_length;
		}
	}
	free(map);
	return shared;
}
