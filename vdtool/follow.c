/* SPDX-License-Identifier: MIT */
/* See follow.h. */
#include <string.h>
#include <unistd.h>

#include "follow.h"
#include "image.h"
#include "progress.h"
#include "tempfile.h"

#define LOOK_EVERY_US 200000
#define FIRST_LOOKS   10 /* short work shouldn't take longer for being watched */
#define FIRST_LOOK_US 10000

static bool is_running(const json_t *reply)
{
	const char *state = control_text(json_object_get(reply, "job"), "state");

	return state && (strcmp(state, "running") == 0 || strcmp(state, "cancelling") == 0);
}

static uint64_t number_of(const json_t *job, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(job, key));

	return n > 0 ? (uint64_t)n : 0;
}

static void show(struct tool_progress *progress, const json_t *job)
{
	uint64_t done = number_of(job, "done"), total = number_of(job, "total");

	if (!total)
		return;
	/* The next part of the work. */
	if (total != progress->total) {
		progress->total = total;
		progress->start = tool_now();
	}
	tool_progress_update(progress, done < total ? done : total);
}

static int code_of(const char *name)
{
	for (int code = VD_EINVAL; name && code >= VD_ERANGE; code--)
		if (!strcmp(vd_code_name(code), name))
			return code;
	return VD_EIO;
}

static int outcome_of(const json_t *job, struct vd_error *err)
{
	const char *state = control_text(job, "state"), *text = control_text(job, "error");
	const char *code = control_text(job, "code");

	if (state && strcmp(state, "done") == 0)
		return 0;
	return vd_error_set(err,
			    state && strcmp(state, "cancelled") == 0 ? VD_ECANCELED : code_of(code),
			    0, VD_NO_OFFSET, "%s",
			    text    ? text
			    : state ? state
				    : "no such job");
}

/* Ask once; the answer to a request that a signal cut short is taken with the next. */
static int look(struct control_peer *peer, bool *is_cut_short, json_t **reply, struct vd_error *err)
{
	json_t *now = NULL;
	int rc = *is_cut_short ? control_wait(peer, &now, CONTROL_TIMEOUT_MS, err)
			       : control_call(peer, control_request_new("job"), &now,
					      CONTROL_TIMEOUT_MS, err);

	*is_cut_short = rc == VD_ECANCELED && tool_stop_signal;
	if (*is_cut_short)
		rc = 0;
	if (now) {
		json_decref(*reply);
		*reply = now;
	}
	return rc;
}

static int watch(struct control_peer *peer, const struct tool_args *args, const char *name,
		 json_t **reply, struct vd_error *err)
{
	bool is_cancelled = false, is_cut_short = false;
	struct tool_progress progress;
	int rc = 0, n_looks = 0;

	tool_progress_begin(&progress, args, name, 0);
	while (!rc && (is_cut_short || is_running(*reply))) {
		if (tool_stop_signal && !is_cancelled && !is_cut_short) {
			is_cancelled = true;
			/* It may have ended just now. */
			control_call(peer, control_request_new("cancel"), NULL, CONTROL_TIMEOUT_MS,
				     NULL);
		}
		usleep(n_looks++ < FIRST_LOOKS ? FIRST_LOOK_US : LOOK_EVERY_US);
		rc = look(peer, &is_cut_short, reply, err);
		show(&progress, json_object_get(*reply, "job"));
	}
	tool_progress_end(&progress);
	return rc;
}

int tool_follow(struct control_peer *peer, const struct tool_args *args, const char *name,
		json_t *params, const struct control_content *content, json_t **reply,
		struct vd_error *err)
{
	json_t *request = control_request_new("start");
	int rc;

	*reply = NULL;
	control_set_text(request, "job", name);
	json_object_set_new(request, "params", params);
	if (args->is_set[OPT_OVERRIDE])
		control_set_text(request, "override", args->text[OPT_OVERRIDE]);
	tool_signals_defer();
	rc = control_call_with(peer, request, content, reply, CONTROL_TIMEOUT_MS, err);
	if (rc) {
		/* A refusal has an answer too, but no job. */
		json_decref(*reply);
		*reply = NULL;
		return rc;
	}
	rc = watch(peer, args, name, reply, err);
	return rc ? rc : outcome_of(json_object_get(*reply, "job"), err);
}
