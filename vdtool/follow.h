/* SPDX-License-Identifier: MIT */
/* Long work that another process does on its open image: start it, watch it, cancel it. */
#ifndef VDTOOL_FOLLOW_H
#define VDTOOL_FOLLOW_H

#include <jansson.h>

#include "control.h"
#include "options/options.h"

/**
 * Have the process do the job `name` with `params` (freed), and follow that to its end. Ctrl-C and
 * SIGTERM cancel it; tool_stop_signal then says which. Returns 0, or the error that the job ended
 * with, VD_ECANCELED also if somebody else cancelled it. *reply (NULL if it never started) is the
 * last answer about it, with a member "job", the caller's to free.
 */
int tool_follow(struct control_peer *peer, const struct tool_args *args, const char *name,
		json_t *params, const struct control_content *content, json_t **reply,
		struct vd_error *err);

#endif
