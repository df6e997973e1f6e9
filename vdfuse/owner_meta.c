/* SPDX-License-Identifier: MIT */
/*
 * Requests about metadata. Edits are one request each: all of it is committed, with a line in the
 * history, or nothing stays changed.
 */
#include <stdlib.h>
#include <string.h>

#include <vdisk/meta.h>

#include "control.h"
#include "owner_content.h"
#include "owner_own.h"
#include "owner_tag.h"

/* What fits an answer with room to spare. */
#define HISTORY_MAX 1000

struct values {
	json_t *list;
};

static int add_value(void *user, const char *field, const char *value)
{
	struct values *values = user;
	json_t *o = json_object();

	control_set_text(o, "field", field);
	control_set_text(o, "value", value);
	json_array_append_new(values->list, o);
	return json_array_size(values->list) >= CONTROL_ITEMS_MAX / 8;
}

static int get(struct vd_meta *meta, const json_t *request, json_t *reply, struct vd_error *err)
{
	const char *field = control_text(request, "field");
	const char *kind = control_text(request, "category");
	struct values values;
	size_t len;
	char *bytes;
	int rc;

	if (kind) {
		rc = vd_meta_get_document(meta, kind, &bytes, &len, err);
		if (rc)
			return rc;
		control_set_text(reply, "document", bytes);
		vd_meta_free(bytes);
		return 0;
	}
	if (!field)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "meta.get: which \"field\" or \"category\"?");
	values.list = json_array();
	json_object_set_new(reply, "values", values.list);
	rc = vd_meta_get_field(meta, field, add_value, &values, err);
	return rc < 0 ? rc : 0;
}

static const char *record_type_name(enum vd_record_type type)
{
	static const char *const names[] = {
	    [VD_RECORD_FOREIGN] = "foreign",       [VD_RECORD_DOCUMENT] = "document",
	    [VD_RECORD_FACTS] = "facts",           [VD_RECORD_HISTORY] = "history",
	    [VD_RECORD_ATTACHMENT] = "attachment", [VD_RECORD_SUBJECT] = "subject",
	};

	return (size_t)type < sizeof(names) / sizeof(names[0]) ? names[type] : "unknown";
}

static int list(struct vd_meta *meta, json_t *reply)
{
	json_t *records = json_array();
	const struct vd_record *r;

	for (size_t i = 0; (r = vd_meta_record(meta, i)) && i < CONTROL_ITEMS_MAX / 16; i++) {
		json_t *o = json_object();

		control_set_text(o, "type", record_type_name(r->type));
		control_set_text(o, "kind", r->kind);
		control_set_text(o, "name", r->name);
		control_set_text(o, "media_type", r->media_type);
		control_set_number(o, "stored_len", r->stored_len);
		control_set_number(o, "raw_len", r->raw_len);
		control_set_text(o, "damage", r->damage_text);
		json_array_append_new(records, o);
	}
	json_object_set_new(reply, "records", records);
	return 0;
}

static int add_entry(void *user, const struct vd_history_entry *entry)
{
	json_t *entries = user, *o = json_object();

	control_set_number(o, "number", entry->number);
	json_object_set_new(o, "time", json_integer(entry->op.time));
	control_set_text(o, "actor", entry->op.actor);
	control_set_text(o, "host", entry->op.host);
	control_set_text(o, "tool", entry->op.tool);
	control_set_text(o, "operation", entry->op.operation);
	control_set_text(o, "parameters", entry->op.parameters);
	control_set_text(o, "outcome", entry->op.outcome);
	json_object_set_new(o, "is_linked", json_boolean(entry->is_linked));
	json_array_append_new(entries, o);
	/* The newest ones are what people ask for. */
	if (json_array_size(entries) > HISTORY_MAX)
		json_array_remove(entries, 0);
	return 0;
}

static int read_log(struct vd_meta *meta, json_t *reply, struct vd_error *err)
{
	json_t *entries = json_array();
	uint64_t n_broken = 0;
	int rc = vd_meta_read_history(meta, add_entry, entries, &n_broken, err);

	json_object_set_new(reply, "entries", entries);
	control_set_number(reply, "n_broken", n_broken);
	return rc == VD_ENOENT ? 0 : rc;
}

static int edit_field(struct vd_meta *meta, const json_t *edit, struct owner_content *content,
		      struct vd_error *err)
{
	const char *op = control_text(edit, "op"), *field = control_text(edit, "field");
	const char *value = control_text(edit, "value");
	enum vd_field_edit how;

	if (op && owner_content_has(op))
		return owner_content_edit(content, meta, op, edit, err);
	if (op && !strcmp(op, "tag"))
		return owner_tag_edit(meta, value ? value : "", err);
	if (op && !strcmp(op, "drop"))
		return vd_meta_remove(meta, value ? value : "", err);
	if (op && !strcmp(op, "set"))
		how = VD_FIELD_SET;
	else if (op && !strcmp(op, "add"))
		how = VD_FIELD_ADD;
	else if (op && !strcmp(op, "remove"))
		how = VD_FIELD_REMOVE;
	else
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "an edit's \"op\" is set, add, remove, tag, drop, or one with "
				    "content");
	if (!field || (!value && how != VD_FIELD_REMOVE))
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "an edit needs a \"field\" and a \"value\"");
	return vd_meta_set_field(meta, field, how, value, err);
}

static int edit_fields(struct vd_meta *meta, const json_t *request, struct owner_content *content,
		       struct vd_error *err)
{
	const json_t *edits = json_object_get(request, "edits");
	int rc = 0;

	if (!json_is_array(edits) || !json_array_size(edits))
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "meta.set: there are no \"edits\"");
	for (size_t i = 0; i < json_array_size(edits) && !rc; i++)
		rc = edit_field(meta, json_array_get(edits, i), content, err);
	return rc;
}

static int put(struct vd_meta *meta, const json_t *request, struct vd_error *err)
{
	const json_t *document = json_object_get(request, "document");

	if (!json_is_string(document))
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "meta.put: there is no \"document\"");
	return vd_meta_set_document(meta, control_text(request, "category"),
				    json_string_value(document), json_string_length(document), err);
}

/** Durable, with a line in the history that names the one who asked. */
static int commit(struct vd_meta *meta, const char *what, const json_t *request,
		  struct vd_error *err)
{
	struct vd_meta_info info = {.size = sizeof(info)};
	struct vd_operation op = {.actor = control_text(request, "actor"),
				  .tool = control_text(request, "tool"),
				  .operation = control_text(request, "operation"),
				  .parameters = control_text(request, "parameters"),
				  .outcome = "ok"};
	int rc = 0;

	vd_meta_get_info(meta, &info);
	if (!info.has_changes)
		return 0;
	if (op.actor && !*op.actor)
		op.host = ""; /* who stays unnamed isn't given away by the host */
	if (!op.operation)
		op.operation = what;
	if (!op.tool)
		op.tool = "vdfuse " VD_VERSION;
	/* Where the history was taken away, a line would be the first of a new one. */
	if (strcmp(what, "meta.strip"))
		rc = vd_meta_log(meta, &op, err);
	return rc ? rc : vd_meta_commit(meta, err);
}

/* Would the history go with it? */
static bool forgets(const char *what, const json_t *request)
{
	const json_t *edits = json_object_get(request, "edits");

	for (size_t i = 0; i < json_array_size(edits); i++) {
		const char *op = control_text(json_array_get(edits, i), "op");

		if (op && !strcmp(op, "drop"))
			return true;
	}
	return !strcmp(what, "meta.strip");
}

static int edit(struct owner *owner, const char *what, const json_t *request, int content_fd,
		json_t *reply, struct vd_error *err)
{
	struct owner_content content = {.fd = content_fd};
	struct vd_meta *meta = vd_image_meta(owner->image);
	int rc;

	if (!owner->is_writable)
		return vd_error_set(err, VD_EROFS, 0, VD_NO_OFFSET,
				    "the image is mounted read-only: its metadata can't be changed "
				    "through it");
	rc = owner_policy_ask(owner, VD_PURPOSE_EDIT, request, forgets(what, request), err);
	if (rc)
		return rc;
	if (!strcmp(what, "meta.set"))
		rc = edit_fields(meta, request, &content, err);
	else if (!strcmp(what, "meta.put"))
		rc = put(meta, request, err);
	else
		rc = vd_meta_strip(meta, err);
	if (!rc)
		rc = commit(meta, what, request, err);
	if (rc)
		vd_meta_revert(meta, NULL);
	else if (content.n_taken)
		control_set_number(reply, "taken", content.n_taken);
	return rc;
}

json_t *owner_answer_meta(struct owner *owner, const char *what, const json_t *request,
			  int content_fd)
{
	struct vd_meta *meta = vd_image_meta(owner->image);
	struct vd_error err = VD_ERROR_INIT;
	json_t *reply = control_reply_new();
	int rc;

	vd_image_lock_meta(owner->image);
	if (!strcmp(what, "meta.get"))
		rc = get(meta, request, reply, &err);
	else if (!strcmp(what, "meta.list"))
		rc = list(meta, reply);
	else if (!strcmp(what, "meta.log"))
		rc = read_log(meta, reply, &err);
	else if (!strcmp(what, "meta.set") || !strcmp(what, "meta.put") ||
		 !strcmp(what, "meta.strip"))
		rc = edit(owner, what, request, content_fd, reply, &err);
	else
		rc = 1;
	vd_image_unlock_meta(owner->image);
	if (!rc)
		return reply;
	json_decref(reply);
	return rc == 1 ? NULL : control_reply_error(&err);
}
