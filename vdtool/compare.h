/* SPDX-License-Identifier: MIT */
/* Are two disks the same, byte for byte? For compare, and for convert --verify. */
#ifndef VDTOOL_COMPARE_H
#define VDTOOL_COMPARE_H

#include <stdbool.h>
#include <stdint.h>

#include <vdisk/disk.h>

#include "progress.h"

struct tool_difference {
	bool is_different;
	uint64_t offset;     /**< of the first byte that differs */
	uint64_t bytes_read; /**< from both, together */
};

/** Beyond its end the shorter disk counts as zero. *which is 0 or 1: the disk that *err is
 *  about. Returns 0 or VD_E*. */
int tool_compare(struct vd_disk *const disks[2], struct tool_progress *progress,
		 struct tool_difference *difference, int *which, struct vd_error *err);

#endif
