/* SPDX-License-Identifier: MIT */
/* Requests of the control channel, from a message to an answer. The list stands in docs/control.md.
 */
#include <string.h>

#include "control.h"
#include "owner_own.h"

static json_t *refuse(int rc, struct vd_error *err)
{
	if (!err->code)
		err->code = rc;
	return control_reply_error(err);
}

static json_t *answer_status(struct owner *owner)
{
	json_t *reply = control_reply_new(), *status = owner_status(owner);

	json_object_update(reply, status);
	json_decref(status);
	return reply;
}

static json_t *answer_detach(struct owner *owner, const json_t *request, bool *wait_for_end)
{
	bool lazy = json_is_true(json_object_get(request, "lazy"));
	struct vd_error err = VD_ERROR_INIT;
	int rc;

	if (!owner->door.detach)
		rc = vd_error_set(&err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET, "nothing to detach");
	else
		rc = owner->door.detach(owner->door.user, lazy, &err);
	*wait_for_end = !rc;
	return rc ? refuse(rc, &err) : NULL;
}

static json_t *answer_job(struct owner *owner)
{
	json_t *reply = control_reply_new();

	json_object_set_new(reply, "job", owner_job_status(owner));
	return reply;
}

static json_t *answer_start(struct owner *owner, const json_t *request)
{
	const char *name = control_text(request, "job");
	struct vd_error err = VD_ERROR_INIT;
	int rc;

	if (!name)
		rc = vd_error_set(&err, VD_EINVAL, 0, VD_NO_OFFSET, "start: which \"job\"?");
	else
		rc = owner_job_start(owner, name, json_object_get(request, "params"), &err);
	return rc ? refuse(rc, &err) : answer_job(owner);
}

static json_t *answer_cancel(struct owner *owner)
{
	struct vd_error err = VD_ERROR_INIT;
	int rc = owner_job_cancel(owner, &err);

	return rc ? refuse(rc, &err) : answer_job(owner);
}

json_t *owner_answer(struct owner *owner, const json_t *request, int content_fd, bool *wait_for_end)
{
	const char *what = control_request_what(request);
	struct vd_error err = VD_ERROR_INIT;
	json_t *reply;

	*wait_for_end = false;
	if (!strcmp(what, "status"))
		return answer_status(owner);
	if (!strcmp(what, "detach"))
		return answer_detach(owner, request, wait_for_end);
	if (!strcmp(what, "job"))
		return answer_job(owner);
	if (!strcmp(what, "start"))
		return answer_start(owner, request);
	if (!strcmp(what, "cancel"))
		return answer_cancel(owner);
	reply = owner_answer_meta(owner, what, request, content_fd);
	if (reply)
		return reply;
	vd_error_set(&err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET, "no such request: \"%.40s\"", what);
	return control_reply_error(&err);
}

bool owner_takes_content(const json_t *request)
{
	return !strcmp(control_request_what(request), "meta.set");
}
