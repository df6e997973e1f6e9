/* SPDX-License-Identifier: MIT */
/* Edits with content (documents, files) for the process that has the image open: collected, and
 * sent as one request, so that all are made or none. */
#ifndef VDTOOL_REMOTE_EDITS_H
#define VDTOOL_REMOTE_EDITS_H

#include <jansson.h>

#include "control.h"
#include "metadata.h"
#include "options/options.h"

struct tool_remote_edits {
	struct control_peer peer;
	struct control_content content;
	json_t *list;
};

/** Begin; false if opening `path` failed with *err for another reason than that somebody has it
 *  who listens. */
bool tool_remote_begin(struct tool_remote_edits *edits, const char *path, struct vd_error *err);
/** One more, to be filled by the caller; borrowed. */
json_t *tool_remote_add(struct tool_remote_edits *edits, const char *op);
/** Content for `edit`. */
int tool_remote_add_bytes(struct tool_remote_edits *edits, json_t *edit, const void *bytes,
			  size_t len, struct vd_error *err);
/** The same from what seen->fd has; *seen as tool_attach leaves it. */
int tool_remote_add_file(struct tool_remote_edits *edits, json_t *edit, struct tool_attached *seen,
			 struct vd_error *err);
/** Send. *reply (may be NULL) is the caller's. */
int tool_remote_send(struct tool_remote_edits *edits, const char *parameters,
		     const struct tool_args *args, json_t **reply, struct vd_error *err);
/** Free what it has, sent or not. */
void tool_remote_end(struct tool_remote_edits *edits);

#endif
