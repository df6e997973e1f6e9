/* SPDX-License-Identifier: MIT */
/* What the parts of `vdtool compact` share. */
#ifndef VDTOOL_COMPACTING_H
#define VDTOOL_COMPACTING_H

#include <vdisk/compact.h>

#include "compact_report.h"
#include "control.h"
#include "layout_document.h"
#include "options/options.h"

/** What the command line asks for. */
void tool_compact_opts(const struct tool_args *args, struct vd_compact_opts *opts);
/** A line and what stands behind it, or the JSON object. `guest` may be NULL. `file_systems` (JSON
 *  only; may be NULL) is taken. */
void tool_compact_print(const char *path, const struct vd_compact_opts *opts,
			const struct vd_compact_result *result, const struct compact_guest *guest,
			double seconds, json_t *file_systems);
/** The document of --layout, for a compaction here: it must be of the image as it is. VD_E*. */
int tool_compact_layout(const struct tool_args *args, const struct vd_disk *disk,
			struct layout_document *layout, struct vd_compact_opts *opts,
			struct vd_error *err);
/** The process that has the image does it. Returns an exit code, after saying. */
int tool_compact_remote(struct control_peer *peer, const char *path, const struct tool_args *args);

/**
 * Have the guest give back what it doesn't need: QEMU's guest agent on the UNIX socket `path` runs
 * fstrim on all its file systems. Prints what it said. Returns an exit code, after saying.
 */
int tool_guest_trim(const char *path, const struct tool_args *args);

#endif
