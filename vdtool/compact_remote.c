/* SPDX-License-Identifier: MIT */
/* Compaction by the process that has the image, while it is in use. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compact_report.h"
#include "compacting.h"
#include "follow.h"
#include "image.h"
#include "metadata.h"
#include "output.h"
#include "tempfile.h"

/* Who it is, as the status says. */
static void say_whom(struct control_peer *peer)
{
	struct vd_error err = VD_ERROR_INIT;
	json_t *status = NULL;
	char program[32] = "another process";
	const char *text;

	if (tool_json_is_on() || tool_is_quiet)
		return;
	if (!control_call(peer, control_request_new("status"), &status, CONTROL_TIMEOUT_MS, &err) &&
	    (text = control_text(status, "program")))
		snprintf(program, sizeof(program), "%.*s", (int)strcspn(text, " "), text);
	json_decref(status);
	fputs("in use by ", stdout);
	tool_print_safe(stdout, program);
	printf(" (pid %ld): asking it\n", (long)peer->pid);
	fflush(stdout);
}

/* The document goes along as it is: who has the image judges it. */
static int load_layout(struct control_content *content, json_t *params,
		       const struct tool_args *args)
{
	struct vd_error err = VD_ERROR_INIT;
	json_t *where;
	char *bytes;
	size_t len;
	int rc = tool_slurp(args->text[OPT_LAYOUT], LAYOUT_DOCUMENT_MAX, &bytes, &len);

	if (rc)
		return rc;
	rc = control_content_new(content, &err);
	if (!rc)
		rc = control_content_add(content, bytes, len, &err);
	if (!rc)
		rc = control_content_seal(content, &err);
	free(bytes);
	if (rc) {
		control_content_close(content);
		return tool_fail(args->text[OPT_LAYOUT], &err);
	}
	where = json_object();
	control_set_number(where, "at", 0);
	control_set_number(where, "length", len);
	json_object_set_new(params, "layout", where);
	return TOOL_DONE;
}

int tool_compact_layout(const struct tool_args *args, const struct vd_disk *disk,
			struct layout_document *layout, struct vd_compact_opts *opts,
			struct vd_error *err)
{
	struct vd_disk_info info = {.size = sizeof(info)};
	char *bytes;
	size_t len;
	int rc;

	if (!args->is_set[OPT_LAYOUT])
		return 0;
	if (tool_slurp(args->text[OPT_LAYOUT], LAYOUT_DOCUMENT_MAX, &bytes, &len))
		return vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET,
				    "there is no layout to go by: nothing was done");
	rc = layout_document_parse(layout, bytes, len, err);
	free(bytes);
	vd_disk_get_info(disk, &info);
	if (!rc)
		rc = layout_document_is_of(layout, &info, err);
	if (!rc)
		rc = layout_document_is_present(layout, &info, err);
	opts->in_use = layout->extents;
	opts->n_in_use = layout->n_extents;
	return rc;
}

int tool_compact_remote(struct control_peer *peer, const char *path, const struct tool_args *args)
{
	struct vd_compact_opts opts = VD_COMPACT_OPTS_INIT;
	struct control_content content = {.fd = -1};
	struct vd_compact_result result;
	struct compact_guest guest;
	struct vd_error err = VD_ERROR_INIT;
	double start = tool_now();
	json_t *reply = NULL, *params;
	const json_t *report;
	int rc = 0;

	tool_compact_opts(args, &opts);
	params = compact_params_new(&opts);
	if (args->is_set[OPT_LAYOUT])
		rc = load_layout(&content, params, args);
	if (rc) {
		json_decref(params);
		return rc;
	}
	say_whom(peer);
	rc = tool_follow(peer, args, "compact", params, content.fd < 0 ? NULL : &content, &reply,
			 &err);
	control_content_close(&content);
	report = json_object_get(json_object_get(reply, "job"), "result");
	if (rc && rc != VD_ETIMEDOUT && !(rc == VD_ECANCELED && json_object_size(report))) {
		json_decref(reply);
		return tool_fail_image(path, &err);
	}
	compact_report_get(report, &result);
	compact_guest_get(report, &guest);
	tool_compact_print(path, &opts, &result, &guest, tool_now() - start, NULL);
	json_decref(reply);
	if (rc)
		tool_note("%s: %s", path, err.text);
	/* Cancelled, but not by us. */
	return rc == VD_ECANCELED ? TOOL_FAILED : TOOL_DONE;
}
