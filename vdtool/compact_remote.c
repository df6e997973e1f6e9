/* SPDX-License-Identifier: MIT */
/* Compaction by the process that has the image, while it is in use. */
#include <stdio.h>
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

int tool_compact_remote(struct control_peer *peer, const char *path, const struct tool_args *args)
{
	struct vd_compact_opts opts = VD_COMPACT_OPTS_INIT;
	struct vd_compact_result result;
	struct vd_error err = VD_ERROR_INIT;
	double start = tool_now();
	json_t *reply = NULL;
	const json_t *report;
	int rc;

	tool_compact_opts(args, &opts);
	say_whom(peer);
	rc = tool_follow(peer, args, "compact", compact_params_new(&opts), &reply, &err);
	report = json_object_get(json_object_get(reply, "job"), "result");
	if (rc && rc != VD_ETIMEDOUT && !(rc == VD_ECANCELED && json_object_size(report))) {
		json_decref(reply);
		return tool_fail_image(path, &err);
	}
	compact_report_get(report, &result);
	tool_compact_print(path, &opts, &result, tool_now() - start, NULL);
	json_decref(reply);
	if (rc)
		tool_note("%s: %s", path, err.text);
	/* Cancelled, but not by us. */
	return rc == VD_ECANCELED ? TOOL_FAILED : TOOL_DONE;
}
