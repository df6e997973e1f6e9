/* SPDX-License-Identifier: MIT */
/* vdtool meta import: take in a folder that meta export wrote, and anybody may have touched. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "folder.h"
#include "image.h"
#include "metadata.h"
#include "output.h"
#include "remote_edits.h"

#define MANIFEST_MAX ((size_t)8 << 20)

struct importing {
	const struct tool_args *args;
	const char *path;
	struct tool_folder folder;
	struct vd_meta *meta;
	struct tool_remote_edits *edits; /* else: another process makes the changes */
	struct tool_attached seen;
	json_t *manifest;
};

static const char *text_of(json_t *item, const char *key)
{
	return json_string_value(json_object_get(item, key));
}

static int wrong(const struct importing *im, const char *file, const char *what)
{
	return tool_say(TOOL_FAILED, im->folder.path, "%s: %s", file ? file : "manifest.json",
			what);
}

/** A small file of the folder, whole. */
static int slurp(struct importing *im, const char *name, size_t max, char **bytes, size_t *len)
{
	int fd = tool_folder_open_file(&im->folder, name), failed;

	if (fd < 0)
		return wrong(im, name, fd == -EINVAL ? "isn't a regular file" : strerror(-fd));
	*bytes = malloc(max + 2);
	if (!*bytes) {
		close(fd);
		return wrong(im, name, "out of memory");
	}
	failed = tool_read_fd(fd, *bytes, max + 1, len);
	close(fd);
	if (!failed && *len <= max) {
		(*bytes)[*len] = '\0';
		return TOOL_DONE;
	}
	free(*bytes);
	*bytes = NULL;
	return wrong(im, name, failed ? strerror(failed) : "is too long");
}

static int read_manifest(struct importing *im)
{
	json_error_t error;
	char *bytes;
	size_t len;
	const char *format;
	int exit_code = slurp(im, "manifest.json", MANIFEST_MAX, &bytes, &len);

	if (exit_code)
		return exit_code;
	im->manifest = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, &error);
	free(bytes);
	if (!im->manifest)
		return tool_say(TOOL_FAILED, im->folder.path, "manifest.json: line %d: %s",
				error.line, error.text);
	format = text_of(im->manifest, "format");
	if (!format || strcmp(format, "vdisk-metadata") != 0 ||
	    json_integer_value(json_object_get(im->manifest, "version")) != 1 ||
	    !json_is_array(json_object_get(im->manifest, "records")))
		return wrong(im, NULL, "isn't a manifest of version 1, as meta export writes it");
	return TOOL_DONE;
}

/** Is what came in what the manifest says? An entry without a digest says nothing. */
static int check_digest(const struct importing *im, json_t *item, enum vd_record_type type,
			const char *key)
{
	const char *want = text_of(item, "blake2b");
	const struct vd_record *r;
	char have[65];

	if (!want || !im->meta || im->args->is_set[OPT_FORCE])
		return TOOL_DONE;
	for (size_t i = 0; (r = vd_meta_record(im->meta, i)); i++) {
		if (r->type != type ||
		    strcmp(type == VD_RECORD_ATTACHMENT ? r->name : r->kind, key) != 0)
			continue;
		tool_hex(r->digest, sizeof(r->digest), have);
		return strcmp(want, have) == 0
			   ? TOOL_DONE
			   : wrong(im, text_of(item, "file"),
				   "was changed since the export: its digest isn't that of the "
				   "manifest; --force takes it as it is");
	}
	return wrong(im, text_of(item, "file"), "didn't arrive");
}

/** An edit for the other process, which looks at the digest itself. */
static json_t *add_edit(struct importing *im, json_t *item, const char *op)
{
	json_t *edit = tool_remote_add(im->edits, op);
	const char *want = text_of(item, "blake2b");

	if (want && !im->args->is_set[OPT_FORCE])
		control_set_text(edit, "blake2b", want);
	return edit;
}

static int put_document(struct importing *im, json_t *item, const char *kind, const char *bytes,
			size_t len, struct vd_error *err)
{
	json_t *edit;

	if (im->meta)
		return vd_meta_set_document(im->meta, kind, bytes, len, err);
	edit = add_edit(im, item, "document");
	control_set_text(edit, "category", kind);
	return tool_remote_add_bytes(im->edits, edit, bytes, len, err);
}

static int put_attachment(struct importing *im, json_t *item, const char *name, int fd,
			  struct vd_error *err)
{
	const char *media_type = text_of(item, "media_type"), *kind = text_of(item, "kind");
	json_t *edit;

	if (!media_type)
		media_type = tool_media_type(name);
	if (im->meta)
		return tool_attach(im->meta, kind, name, media_type, fd, &im->seen, err);
	edit = add_edit(im, item, "attach");
	control_set_text(edit, "kind", kind);
	control_set_text(edit, "name", name);
	control_set_text(edit, "media_type", media_type);
	im->seen.fd = fd;
	return tool_remote_add_file(im->edits, edit, &im->seen, err);
}

static int import_document(struct importing *im, json_t *item, const char *file)
{
	const char *kind = text_of(item, "kind");
	struct vd_error err = VD_ERROR_INIT;
	char *bytes;
	size_t len;
	int rc, exit_code;

	if (!kind)
		return wrong(im, file, "the manifest gives no kind");
	exit_code = slurp(im, file, VD_META_DOCUMENT_MAX, &bytes, &len);
	if (exit_code)
		return exit_code;
	rc = put_document(im, item, kind, bytes, len, &err);
	free(bytes);
	return rc ? tool_fail(file, &err) : check_digest(im, item, VD_RECORD_DOCUMENT, kind);
}

static int import_attachment(struct importing *im, json_t *item, const char *file)
{
	const char *name = text_of(item, "name");
	struct vd_error err = VD_ERROR_INIT;
	int fd, rc;

	if (!name)
		return wrong(im, file, "the manifest gives no name");
	fd = tool_folder_open_file(&im->folder, file);
	if (fd < 0)
		return wrong(im, file, fd == -EINVAL ? "isn't a regular file" : strerror(-fd));
	rc = put_attachment(im, item, name, fd, &err);
	close(fd);
	if (!rc)
		tool_warn_of_secrets(file, &im->seen);
	return rc ? tool_fail(file, &err) : check_digest(im, item, VD_RECORD_ATTACHMENT, name);
}

static int import_record(struct importing *im, json_t *item)
{
	const char *type = text_of(item, "type"), *file = text_of(item, "file");

	if (!type || !file)
		return wrong(im, NULL, "a record has no type or no file");
	if (!tool_is_plain_path(file))
		return wrong(im, file, "leads out of the folder");
	if (strcmp(type, "document") == 0)
		return import_document(im, item, file);
	if (strcmp(type, "attachment") == 0)
		return import_attachment(im, item, file);
	return wrong(im, file, "is of a type that can't be imported");
}

/** Attachments first: the documents that name them, with more than their names, come over what the
 *  attaching wrote. */
static int import_records(struct importing *im)
{
	json_t *records = json_object_get(im->manifest, "records");
	int exit_code = TOOL_DONE;

	for (int pass = 0; pass < 2 && !exit_code; pass++) {
		for (size_t i = 0; i < json_array_size(records) && !exit_code; i++) {
			json_t *item = json_array_get(records, i);
			const char *type = text_of(item, "type");
			bool is_document = type && strcmp(type, "document") == 0;

			if (is_document == (pass == 1))
				exit_code = import_record(im, item);
		}
	}
	return exit_code;
}

static int import_remotely(struct importing *im, const char *parameters, struct vd_error *err)
{
	struct tool_remote_edits edits;
	int exit_code, rc = 0;

	if (!tool_remote_begin(&edits, im->path, err))
		return tool_fail(im->path, err);
	im->edits = &edits;
	exit_code = import_records(im);
	if (!exit_code && json_array_size(edits.list))
		rc = tool_remote_send(&edits, parameters, im->args, NULL, err);
	if (rc == VD_EINVAL) /* something in the folder, not a wrong command */
		exit_code = tool_say(TOOL_FAILED, im->folder.path, "%s", err->text);
	else if (rc)
		exit_code = tool_fail(im->path, err);
	tool_remote_end(&edits);
	return exit_code;
}

static int import_all(struct importing *im)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_image *image;
	char parameters[512];
	int exit_code = read_manifest(im);

	if (exit_code)
		return exit_code;
	tool_join(parameters, sizeof(parameters), im->args->operands + 1, 1);
	if (tool_meta_edit(&image, im->path, im->args, &err))
		return import_remotely(im, parameters, &err);
	im->meta = vd_image_meta(image);
	exit_code = import_records(im);
	if (!exit_code && tool_meta_commit(image, im->args, parameters, &err))
		exit_code = tool_fail(im->path, &err);
	return tool_image_end(image, im->path, exit_code);
}

int cmd_meta_import(const struct tool_args *args)
{
	struct importing *im = calloc(1, sizeof(*im));
	int exit_code;

	if (!im)
		return tool_say(TOOL_FAILED, NULL, "out of memory");
	im->args = args;
	im->path = args->operands[0];
	exit_code = tool_folder_open(&im->folder, args->operands[1]);
	if (!exit_code) {
		exit_code = import_all(im);
		tool_folder_close(&im->folder);
	}
	if (!exit_code && tool_json_is_on()) {
		json_t *object = tool_json_object(im->path);

		tool_json_set_path(object, "folder", im->folder.path);
		tool_json_put(object);
	}
	json_decref(im->manifest);
	free(im);
	return exit_code;
}
