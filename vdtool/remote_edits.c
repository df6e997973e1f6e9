/* SPDX-License-Identifier: MIT */
/* See remote_edits.h. */

#include "remote_edits.h"
#include "remote.h"

/* Compressing and committing all that one request may hold takes a while on a busy machine. */
#define TIMEOUT_MS 120000

bool tool_remote_begin(struct tool_remote_edits *edits, const char *path, struct vd_error *err)
{
	*edits = (struct tool_remote_edits){.content = {.fd = -1}};
	if (!tool_remote_find(&edits->peer, path, err))
		return false;
	edits->list = json_array();
	return true;
}

json_t *tool_remote_add(struct tool_remote_edits *edits, const char *op)
{
	json_t *edit = json_object();

	control_set_text(edit, "op", op);
	json_array_append_new(edits->list, edit);
	return edit;
}

/* Content begins with the first edit that has some. */
static int begin_stretch(struct tool_remote_edits *edits, json_t *edit, struct vd_error *err)
{
	int rc = edits->content.fd < 0 ? control_content_new(&edits->content, err) : 0;

	control_set_number(edit, "at", edits->content.length);
	return rc;
}

int tool_remote_add_bytes(struct tool_remote_edits *edits, json_t *edit, const void *bytes,
			  size_t len, struct vd_error *err)
{
	int rc = begin_stretch(edits, edit, err);

	control_set_number(edit, "length", len);
	return rc ? rc : control_content_add(&edits->content, bytes, len, err);
}

int tool_remote_add_file(struct tool_remote_edits *edits, json_t *edit, struct tool_attached *seen,
			 struct vd_error *err)
{
	char buf[65536];
	int64_t n;
	int rc = begin_stretch(edits, edit, err);

	seen->head_len = 0;
	seen->length = 0;
	while (!rc && (n = tool_attached_read(seen, buf, sizeof(buf), err)) != 0)
		rc = n < 0 ? (int)n : control_content_add(&edits->content, buf, (size_t)n, err);
	control_set_number(edit, "length", seen->length);
	return rc;
}

int tool_remote_send(struct tool_remote_edits *edits, const char *parameters,
		     const struct tool_args *args, json_t **reply, struct vd_error *err)
{
	bool has_content = edits->content.fd >= 0;
	int rc = has_content ? control_content_seal(&edits->content, err) : 0;
	json_t *request;

	if (rc)
		return rc;
	request = control_request_new("meta.set");
	json_object_set(request, "edits", edits->list);
	tool_remote_sign(request, parameters, args);
	return control_call_with(&edits->peer, request, has_content ? &edits->content : NULL, reply,
				 TIMEOUT_MS, err);
}

void tool_remote_end(struct tool_remote_edits *edits)
{
	control_peer_close(&edits->peer);
	control_content_close(&edits->content);
	json_decref(edits->list);
	edits->list = NULL;
}
