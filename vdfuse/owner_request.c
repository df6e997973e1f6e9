/* SPDX-License-Identifier: MIT */
/* Requests of the control channel, from a message to an answer. The list stands in docs/control.md.
 */
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "layout_document.h"
#include "owner_content.h"
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

static json_t *answer_start(struct owner *owner, const json_t *request, int content_fd)
{
	const json_t *params = json_object_get(request, "params");
	const json_t *layout = json_object_get(params, "layout");
	const char *name = control_text(request, "job");
	struct vd_error err = VD_ERROR_INIT;
	char *content = NULL;
	size_t len = 0;
	int rc = 0;

	if (!name)
		rc = vd_error_set(&err, VD_EINVAL, 0, VD_NO_OFFSET, "start: which \"job\"?");
	else if (layout)
		rc = owner_content_copy(content_fd, layout, LAYOUT_DOCUMENT_MAX, &content, &len,
					&err);
	if (!rc)
		rc = owner_job_ask(owner, name, request, &err);
	if (!rc)
		rc = owner_job_start(owner, name, params, content, len, &err);
	else
		free(content);
	return rc ? refuse(rc, &err) : answer_job(owner);
}

/* From now on it is known what is written. Where nobody writes, it follows from the file's name. */
static json_t *answer_generation(struct owner *owner)
{
	struct vd_disk_info info = {.size = sizeof(info)};
	struct vd_error err = VD_ERROR_INIT;
	uint8_t id[16];
	json_t *reply;
	int rc = 0;

	vd_disk_get_info(owner->disk, &info);
	layout_document_at_rest(&info, id);
	if (owner->generation) {
		rc = vd_generation_begin(owner->generation, id, &err);
		pthread_mutex_lock(&owner->lock);
		owner->has_generation |= !rc;
		memcpy(owner->generation_id, id, 16);
		pthread_mutex_unlock(&owner->lock);
	} else if (info.has_dirty_log) {
		rc = vd_error_set(&err, VD_EROFS, 0, VD_NO_OFFSET, LAYOUT_DIRTY_LOG);
	}
	if (rc)
		return refuse(rc, &err);
	reply = control_reply_new();
	layout_document_head(reply, &info, id);
	return reply;
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
		return answer_start(owner, request, content_fd);
	if (!strcmp(what, "generation"))
		return answer_generation(owner);
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
	const char *what = control_request_what(request);

	return !strcmp(what, "meta.set") || !strcmp(what, "start");
}
