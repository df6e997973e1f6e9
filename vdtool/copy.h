/* SPDX-License-Identifier: MIT */
/*
 * Copy the content of a disk (or of stdin) into a new disk that reads as zero (or to stdout).
 * One thread reads and looks for zeros, the caller's thread writes.
 */
#ifndef VDTOOL_COPY_H
#define VDTOOL_COPY_H

#include <stdint.h>

#include <vdisk/disk.h>

#include "progress.h"

struct tool_copy {
	struct vd_disk *from; /**< NULL: stdin */
	struct vd_disk *to;   /**< NULL: stdout */
	uint64_t size;        /**< bytes of the source */
	bool is_unsynced;     /**< the target won't be synced: no need to begin with that early */
	struct tool_progress *progress;
	uint64_t bytes_written, bytes_shared; /**< what came of it */
	bool has_failed_at_source;            /**< whom the error is about */
	int sys_errno; /**< of stdin or stdout, which are nobody's image; else 0 */
};

/** 0 or VD_E*. Doesn't flush. */
int tool_copy_run(struct tool_copy *copy, struct vd_error *err);

#endif
