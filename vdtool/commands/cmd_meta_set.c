/* SPDX-License-Identifier: MIT */
/* vdtool meta set, meta remove, meta strip. */
#include <stdlib.h>
#include <string.h>

#include "metadata.h"
#include "output.h"
#include "remote.h"
#include "remote_edits.h"

/** What an operand like "hardware.memory=2G" asks for. */
struct assignment {
	char field[128];
	enum vd_field_edit edit;
	const char *value;
};

/** FIELD=VALUE, FIELD+=VALUE, FIELD-=VALUE? The name has the characters of a field's only, so that
 *  a vendor's namespace isn't taken for one. */
static bool parse_assignment(const char *text, struct assignment *a)
{
	size_t n =
	    strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
	const char *p = text + n;

	a->edit = VD_FIELD_SET;
	if (*p == '+') {
		a->edit = VD_FIELD_ADD;
		p++;
	} else if (*p == '=' && n && text[n - 1] == '-') {
		a->edit = VD_FIELD_REMOVE;
		n--;
	}
	if (*p != '=' || n == 0 || n >= sizeof(a->field))
		return false;
	memcpy(a->field, text, n);
	a->field[n] = '\0';
	a->value = p + 1;
	return true;
}

static int set_fields(struct vd_meta *meta, const struct tool_args *args, struct vd_error *err)
{
	struct assignment a;
	int rc = 0;

	for (int i = 1; i < args->n_operands && !rc; i++) {
		if (parse_assignment(args->operands[i], &a))
			rc = vd_meta_set_field(meta, a.field, a.edit, a.value, err);
	}
	return rc;
}

/** Lines about what is wrong with a document. */
static void hear_wrong(void *user, int line, const char *text)
{
	const char *name = user;

	tool_say(TOOL_CORRUPT, strcmp(name, "-") == 0 ? "standard input" : name, "line %d: %s",
		 line, text);
}

/** Bring the document into memory and look at it, before any image is opened. */
static int read_document(const char *kind, const char *file, char **bytes, size_t *len)
{
	struct vd_error err = VD_ERROR_INIT;
	int exit_code = tool_slurp(file, VD_META_DOCUMENT_MAX, bytes, len);

	if (exit_code)
		return exit_code;
	if (vd_meta_validate(kind, *bytes, *len, hear_wrong, (void *)(uintptr_t)file, &err)) {
		free(*bytes);
		*bytes = NULL;
		return tool_fail(strcmp(file, "-") == 0 ? "standard input" : file, &err);
	}
	return TOOL_DONE;
}

/** A document, put in by the process that has the image open; as tool_remote_set. */
static bool put_remotely(const struct tool_args *args, const char *bytes, size_t len, int *rc,
			 struct vd_error *err)
{
	struct tool_remote_edits edits;
	json_t *edit;

	if (!tool_remote_begin(&edits, args->operands[0], err))
		return false;
	edit = tool_remote_add(&edits, "document");
	control_set_text(edit, "category", args->operands[1]);
	*rc = tool_remote_add_bytes(&edits, edit, bytes, len, err);
	if (!*rc)
		*rc = tool_remote_send(&edits, args->operands[1], args, NULL, err);
	tool_remote_end(&edits);
	return true;
}

/** The process that has the image open makes the change. */
static bool set_remotely(const struct tool_args *args, const char *document, size_t len, int *rc,
			 struct vd_error *err)
{
	static const char *const ops[] = {
	    [VD_FIELD_SET] = "set", [VD_FIELD_ADD] = "add", [VD_FIELD_REMOVE] = "remove"};
	char parameters[512];
	struct assignment a;
	json_t *edits;

	if (document)
		return put_remotely(args, document, len, rc, err);
	edits = json_array();
	for (int i = 1; i < args->n_operands; i++)
		if (parse_assignment(args->operands[i], &a))
			json_array_append_new(edits,
					      tool_remote_edit(ops[a.edit], a.field, a.value));
	tool_join(parameters, sizeof(parameters), args->operands + 1, args->n_operands - 1);
	return tool_remote_set(args->operands[0], edits, parameters, args, rc, err);
}

static int check_usage(const struct tool_args *args, bool *is_document)
{
	struct assignment a;

	*is_document = args->n_operands == 3 && !parse_assignment(args->operands[1], &a);
	if (*is_document) {
		const char *kind = args->operands[1];

		if (!vd_category_find(kind) && !strchr(kind, ':'))
			return tool_usage(
			    args->command,
			    "\"%s\" is neither a category nor a namespace, and holds no "
			    "=",
			    kind);
		return TOOL_DONE;
	}
	for (int i = 1; i < args->n_operands; i++) {
		if (!parse_assignment(args->operands[i], &a))
			return tool_usage(args->command, "\"%s\" isn't FIELD=VALUE",
					  args->operands[i]);
		if (!vd_field_find(a.field))
			return tool_usage(args->command,
					  "there is no field \"%s\"; `vdtool fields` lists them",
					  a.field);
	}
	return TOOL_DONE;
}

static void report(const char *path)
{
	if (tool_json_is_on())
		tool_json_put(tool_json_object(path));
}

int cmd_meta_set(const struct tool_args *args)
{
	const char *path = args->operands[0];
	struct vd_error err = VD_ERROR_INIT;
	struct vd_image *image;
	char *bytes = NULL, parameters[512];
	size_t len = 0;
	bool is_document;
	int rc, exit_code = check_usage(args, &is_document);

	if (!exit_code && is_document)
		exit_code = read_document(args->operands[1], args->operands[2], &bytes, &len);
	if (exit_code)
		return exit_code;
	rc = tool_meta_edit(&image, path, args, &err);
	if (rc) {
		set_remotely(args, bytes, len, &rc, &err);
		free(bytes);
		if (!rc)
			report(path);
		return rc ? tool_fail(path, &err) : TOOL_DONE;
	}
	if (is_document)
		rc =
		    vd_meta_set_document(vd_image_meta(image), args->operands[1], bytes, len, &err);
	else
		rc = set_fields(vd_image_meta(image), args, &err);
	tool_join(parameters, sizeof(parameters), args->operands + 1,
		  is_document ? 1 : args->n_operands - 1);
	if (!rc)
		rc = tool_meta_commit(image, args, parameters, &err);
	free(bytes);
	exit_code = tool_image_end(image, path, rc ? tool_fail(path, &err) : TOOL_DONE);
	if (!exit_code)
		report(path);
	return exit_code;
}

/* ---- remove ---- */

static bool is_field_name(const char *name)
{
	return !vd_category_find(name) && vd_field_find(name);
}

static bool remove_remotely(const struct tool_args *args, int *rc, struct vd_error *err)
{
	json_t *edits = json_array();
	char parameters[512];

	for (int i = 1; i < args->n_operands; i++) {
		const char *name = args->operands[i];

		json_array_append_new(edits, is_field_name(name)
						 ? tool_remote_edit("remove", name, NULL)
						 : tool_remote_edit("drop", NULL, name));
	}
	tool_join(parameters, sizeof(parameters), args->operands + 1, args->n_operands - 1);
	return tool_remote_set(args->operands[0], edits, parameters, args, rc, err);
}

int cmd_meta_remove(const struct tool_args *args)
{
	const char *path = args->operands[0];
	struct vd_error err = VD_ERROR_INIT;
	struct vd_image *image;
	char parameters[512];
	int rc = 0, exit_code;

	for (int i = 1; i < args->n_operands; i++) {
		const char *name = args->operands[i];

		if (!vd_category_find(name) && !vd_field_find(name) && !strchr(name, ':'))
			return tool_usage(args->command,
					  "\"%s\" is neither a category, a namespace, a field nor "
					  "attachment:NAME",
					  name);
	}
	rc = tool_meta_edit(&image, path, args, &err);
	if (rc) {
		remove_remotely(args, &rc, &err);
		if (!rc)
			report(path);
		return rc ? tool_fail(path, &err) : TOOL_DONE;
	}
	for (int i = 1; i < args->n_operands && !rc; i++) {
		const char *name = args->operands[i];

		if (is_field_name(name))
			rc = vd_meta_set_field(vd_image_meta(image), name, VD_FIELD_REMOVE, NULL,
					       &err);
		else
			rc = vd_meta_remove(vd_image_meta(image), name, &err);
	}
	tool_join(parameters, sizeof(parameters), args->operands + 1, args->n_operands - 1);
	if (!rc)
		rc = tool_meta_commit(image, args, parameters, &err);
	exit_code = tool_image_end(image, path, rc ? tool_fail(path, &err) : TOOL_DONE);
	if (!exit_code)
		report(path);
	return exit_code;
}

/* ---- strip ---- */

static int strip(const char *path, const struct tool_args *args)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_image *image;
	int rc, exit_code;

	rc = tool_meta_edit(&image, path, args, &err);
	if (rc) {
		tool_remote_strip(path, args, &rc, &err);
		if (!rc)
			report(path);
		return rc ? tool_fail_image(path, &err) : TOOL_DONE;
	}
	/* No entry of the history: that would be the first of a new one. */
	rc = vd_meta_strip(vd_image_meta(image), &err);
	if (!rc)
		rc = vd_meta_commit(vd_image_meta(image), &err);
	exit_code = tool_image_end(image, path, rc ? tool_fail_image(path, &err) : TOOL_DONE);
	if (!exit_code)
		report(path);
	return exit_code;
}

int cmd_meta_strip(const struct tool_args *args)
{
	return tool_each_image(args, strip);
}
