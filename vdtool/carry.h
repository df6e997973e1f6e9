/* SPDX-License-Identifier: MIT */
/* Metadata travels with the disk that is converted. */
#ifndef VDTOOL_CARRY_H
#define VDTOOL_CARRY_H

#include <vdisk/disk.h>

#include "options/options.h"

struct tool_carry {
	const struct tool_args *args;
	const char *source, *target; /**< as named by the user */
	struct vd_disk *from;        /**< NULL: stdin, which has none */
	bool to_sidecar;             /**< the target can't hold it, or --sidecar is given */
	bool is_replacing;           /**< what lies beside the target belongs to an older image */
};

/** Into the new image itself, before it gets its name. Returns an exit code, after saying. */
int tool_carry_into(const struct tool_carry *carry, struct vd_disk *to);
/** Into the sidecar of the new image, which has its name. Returns an exit code, after saying. */
int tool_carry_beside(const struct tool_carry *carry);
/** Say what stays behind if the target is stdout. */
void tool_carry_nowhere(const struct tool_carry *carry);

#endif
