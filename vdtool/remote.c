/* SPDX-License-Identifier: MIT */
/* See remote.h. */
#include <string.h>

#include "metadata.h"
#include "output.h"
#include "remote.h"

bool tool_remote_find(struct control_peer *peer, const char *path, struct vd_error *err)
{
	if (err->code == VD_EBUSY && !control_find(peer, path, true, NULL))
		return true;
	tool_remote_explain(path, err);
	return false;
}

void tool_remote_sign(json_t *request, const char *parameters, const struct tool_args *args)
{
	control_set_text(request, "operation", args->command->name);
	control_set_text(request, "parameters", parameters);
	control_set_text(request, "tool", "vdtool " VD_VERSION);
	if (args->is_set[OPT_OVERRIDE])
		control_set_text(request, "override", args->text[OPT_OVERRIDE]);
	if (args->is_set[OPT_ACTOR])
		control_set_text(request, "actor", args->text[OPT_ACTOR]);
}

static void finish(struct control_peer *peer, json_t *request, const char *parameters,
		   const struct tool_args *args, int *rc, struct vd_error *err)
{
	tool_remote_sign(request, parameters, args);
	*rc = control_call(peer, request, NULL, CONTROL_TIMEOUT_MS, err);
	control_peer_close(peer);
}

bool tool_remote_tag(const char *path, char *const *edits, int n, const struct tool_args *args,
		     int *rc, struct vd_error *err)
{
	struct control_peer peer;
	char parameters[512];
	json_t *request, *list;

	if (!tool_remote_find(&peer, path, err))
		return false;
	list = json_array();
	for (int i = 0; i < n; i++)
		json_array_append_new(list, tool_remote_edit("tag", NULL, edits[i]));
	request = control_request_new("meta.set");
	json_object_set_new(request, "edits", list);
	tool_join(parameters, sizeof(parameters), edits, n);
	finish(&peer, request, parameters, args, rc, err);
	return true;
}

bool tool_remote_set(const char *path, json_t *edits, const char *parameters,
		     const struct tool_args *args, int *rc, struct vd_error *err)
{
	struct control_peer peer;
	json_t *request;

	if (!tool_remote_find(&peer, path, err)) {
		json_decref(edits);
		return false;
	}
	request = control_request_new("meta.set");
	json_object_set_new(request, "edits", edits);
	finish(&peer, request, parameters, args, rc, err);
	return true;
}

bool tool_remote_strip(const char *path, const struct tool_args *args, int *rc,
		       struct vd_error *err)
{
	struct control_peer peer;

	if (!tool_remote_find(&peer, path, err))
		return false;
	finish(&peer, control_request_new("meta.strip"), NULL, args, rc, err);
	return true;
}

json_t *tool_remote_edit(const char *op, const char *field, const char *value)
{
	json_t *edit = json_object();

	control_set_text(edit, "op", op);
	if (field)
		control_set_text(edit, "field", field);
	if (value)
		control_set_text(edit, "value", value);
	return edit;
}

void tool_remote_explain(const char *path, struct vd_error *err)
{
	(void)path; /* so far the text needs no name */
	if (err->code != VD_EBUSY || strstr(err->text, "(pid "))
		return;
	/* The lock is held, and no process of this host that we may look into has the file. */
	vd_error_set(err, VD_EBUSY, err->sys_errno, err->offset,
		     "in use, and by no process that can be seen here: by another host, another "
		     "user or within a container");
}
