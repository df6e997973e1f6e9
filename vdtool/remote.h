/* SPDX-License-Identifier: MIT */
/*
 * Images that another process has open: edits of their metadata go to that process by the control
 * channel, so that the user needn't know. Every function answers false if there is nobody to ask
 * (*err still says that it is in use), and true with the outcome in *rc and *err if it was asked.
 */
#ifndef VDTOOL_REMOTE_H
#define VDTOOL_REMOTE_H

#include <jansson.h>
#include <stdbool.h>

#include "control.h"
#include "options/options.h"

/** The process that has `path` open for writing, if that is why opening it failed with *err. */
bool tool_remote_find(struct control_peer *peer, const char *path, struct vd_error *err);
/** `vdtool tag`: words as on the command line. */
bool tool_remote_tag(const char *path, char *const *edits, int n, const struct tool_args *args,
		     int *rc, struct vd_error *err);
/** Changes of fields and documents, all or none; `edits` (see tool_remote_edit) is freed in any
 *  case. `parameters` for the history. */
bool tool_remote_set(const char *path, json_t *edits, const char *parameters,
		     const struct tool_args *args, int *rc, struct vd_error *err);
/** `vdtool meta strip`. */
bool tool_remote_strip(const char *path, const struct tool_args *args, int *rc,
		       struct vd_error *err);
/** What tool_remote_set is made of: op "set", "add", "remove" (value NULL: all) of a field,
 *  "drop" of a document, named by `value`. */
json_t *tool_remote_edit(const char *op, const char *field, const char *value);
/** What the history will say of a request: operation, parameters, tool, actor; and --override. */
void tool_remote_sign(json_t *request, const char *parameters, const struct tool_args *args);
/** Where the lock says that it is in use but nobody here has it: say so in *err. */
void tool_remote_explain(const char *path, struct vd_error *err);

#endif
