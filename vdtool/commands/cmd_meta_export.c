/* SPDX-License-Identifier: MIT */
/* vdtool meta export: documents, attachments and history as files, with a manifest of them. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "folder.h"
#include "image.h"
#include "metadata.h"
#include "output.h"
#include "tempfile.h"

struct exporting {
	const char *path;
	struct vd_meta *meta;
	struct tool_folder folder;
	json_t *records;
	unsigned n_vendors, n_unnamed;
};

static int write_failed(const struct exporting *e, const char *name, int sys_errno)
{
	return tool_say(tool_exit_for(vd_code_from_errno(sys_errno)), e->folder.path, "%s: %s",
			name, strerror(sys_errno));
}

static int finish_file(const struct exporting *e, const char *name, int fd)
{
	int sys_errno = fsync(fd) != 0 ? errno : 0;

	if (close(fd) != 0 && !sys_errno)
		sys_errno = errno;
	return sys_errno ? write_failed(e, name, sys_errno) : TOOL_DONE;
}

static int write_file(struct exporting *e, const char *name, const char *bytes, size_t len)
{
	int fd = tool_folder_new_file(&e->folder, name), failed;

	if (fd < 0)
		return write_failed(e, name, -fd);
	failed = tool_write_fd(fd, bytes, len);
	if (failed) {
		close(fd);
		return write_failed(e, name, failed);
	}
	return finish_file(e, name, fd);
}

/** A line of the manifest. */
static void add_record(struct exporting *e, const struct vd_record *r, const char *file)
{
	json_t *item = tool_json_object(NULL);
	char digest[65];

	tool_json_set_text(item, "type", tool_record_name(r->type));
	if (r->type == VD_RECORD_ATTACHMENT)
		tool_json_set_text(item, "name", r->name);
	if (r->kind[0])
		tool_json_set_text(item, "kind", r->kind);
	tool_json_set_text(item, "file", file);
	if (r->media_type[0])
		tool_json_set_text(item, "media_type", r->media_type);
	tool_json_set_text(item, "scope", r->is_disk_scope ? "disk" : "file");
	tool_json_set_number(item, "length", r->raw_len);
	tool_hex(r->digest, sizeof(r->digest), digest);
	tool_json_set_text(item, "blake2b", digest);
	json_array_append_new(e->records, item);
}

static int export_document(struct exporting *e, const struct vd_record *r)
{
	struct vd_error err = VD_ERROR_INIT;
	char *bytes, file[64];
	size_t len;
	int exit_code;

	if (vd_meta_get_document(e->meta, r->kind, &bytes, &len, &err))
		return tool_fail(e->path, &err);
	if (vd_category_find(r->kind))
		snprintf(file, sizeof(file), "%s.xml", r->kind);
	else
		snprintf(file, sizeof(file), "vendor-%u.xml", ++e->n_vendors);
	exit_code = write_file(e, file, bytes, len);
	vd_meta_free(bytes);
	if (!exit_code)
		add_record(e, r, file);
	return exit_code;
}

/** Under its own name beneath attachments/, or under a number where that can't be. */
static int new_attachment(struct exporting *e, const char *name, char *file, size_t size)
{
	int fd = -EINVAL;

	if (tool_is_plain_path(name) && (size_t)snprintf(file, size, "attachments/%s", name) < size)
		fd = tool_folder_new_file(&e->folder, file);
	if (fd >= 0)
		return fd;
	snprintf(file, size, "attachment-%u", ++e->n_unnamed);
	return tool_folder_new_file(&e->folder, file);
}

static int export_attachment(struct exporting *e, const struct vd_record *r)
{
	struct vd_error err = VD_ERROR_INIT;
	char file[PATH_MAX];
	int fd = new_attachment(e, r->name, file, sizeof(file)), rc, exit_code;

	if (fd < 0)
		return write_failed(e, file, -fd);
	rc = vd_meta_extract(e->meta, r->name, tool_extract_to_fd, &fd, &err);
	exit_code = finish_file(e, file, fd);
	if (rc) {
		/* Part of a file isn't the file. */
		unlinkat(e->folder.fd, file, 0);
		exit_code = tool_fail(e->path, &err);
	}
	if (!exit_code)
		add_record(e, r, file);
	return exit_code;
}

static int keep_entry(void *user, const struct vd_history_entry *entry)
{
	json_t *item = tool_json_object(NULL);
	char time[TOOL_TIME_TEXT], digest[65];

	tool_json_set_number(item, "number", entry->number);
	tool_json_set_text(item, "time", tool_time_format(entry->op.time, time));
	tool_json_set_text(item, "actor", entry->op.actor);
	tool_json_set_text(item, "host", entry->op.host);
	tool_json_set_text(item, "tool", entry->op.tool);
	tool_json_set_text(item, "operation", entry->op.operation);
	tool_json_set_text(item, "parameters", entry->op.parameters);
	tool_json_set_text(item, "outcome", entry->op.outcome);
	tool_json_set_number(item, "rolled_up", entry->n_rolled_up);
	tool_hex(entry->previous, sizeof(entry->previous), digest);
	tool_json_set_text(item, "previous", digest);
	tool_hex(entry->digest, sizeof(entry->digest), digest);
	tool_json_set_text(item, "digest", digest);
	json_array_append_new(user, item);
	return 0;
}

static int write_json(struct exporting *e, const char *name, json_t *value)
{
	char *text = json_dumps(value, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	size_t len = text ? strlen(text) : 0;
	int exit_code;

	if (!text)
		return tool_say(TOOL_FAILED, name, "out of memory");
	text[len] = '\n'; /* in place of the NUL */
	exit_code = write_file(e, name, text, len + 1);
	free(text);
	return exit_code;
}

static int export_history(struct exporting *e)
{
	struct vd_error err = VD_ERROR_INIT;
	json_t *entries = json_array();
	int rc = vd_meta_read_history(e->meta, keep_entry, entries, NULL, &err);
	int exit_code = TOOL_DONE;

	if (rc && rc != VD_ENOENT)
		exit_code = tool_fail(e->path, &err);
	else if (!rc)
		exit_code = write_json(e, "history.json", entries);
	json_decref(entries);
	return exit_code;
}

static int write_manifest(struct exporting *e)
{
	json_t *manifest = tool_json_object(NULL);
	const char *slash = strrchr(e->path, '/');
	int exit_code;

	tool_json_set_text(manifest, "format", "vdisk-metadata");
	tool_json_set_number(manifest, "version", 1);
	tool_json_set_text(manifest, "image", slash ? slash + 1 : e->path);
	tool_json_set_text(manifest, "tool", "vdtool " VD_VERSION);
	json_object_set(manifest, "records", e->records);
	exit_code = write_json(e, "manifest.json", manifest);
	json_decref(manifest);
	return exit_code;
}

/** What is damaged is told and left out; the rest is worth having all the more. */
static int export_record(struct exporting *e, const struct vd_record *r)
{
	if (r->damage)
		return tool_say(TOOL_CORRUPT, e->path, "%s %s is left out: %s",
				tool_record_name(r->type), r->name[0] ? r->name : r->kind,
				r->damage_text ? r->damage_text : "damaged");
	if (r->type == VD_RECORD_DOCUMENT)
		return export_document(e, r);
	if (r->type == VD_RECORD_ATTACHMENT)
		return export_attachment(e, r);
	return TOOL_DONE;
}

static int export_records(struct exporting *e)
{
	int exit_code = TOOL_DONE, worst = TOOL_DONE;
	struct vd_record *r;

	for (size_t i = 0; !exit_code && (r = tool_record_copy(e->meta, i)); i++) {
		exit_code = tool_stop_signal ? 128 + tool_stop_signal : export_record(e, r);
		if (exit_code == TOOL_CORRUPT) {
			worst = exit_code;
			exit_code = TOOL_DONE;
		}
		free(r);
	}
	if (!exit_code)
		exit_code = export_history(e);
	if (exit_code == TOOL_CORRUPT) {
		worst = exit_code;
		exit_code = TOOL_DONE;
	}
	if (!exit_code)
		exit_code = write_manifest(e);
	if (!exit_code)
		exit_code = tool_folder_commit(&e->folder);
	return exit_code ? exit_code : worst;
}

int cmd_meta_export(const struct tool_args *args)
{
	struct exporting e = {.path = args->operands[0]};
	struct vd_error err = VD_ERROR_INIT;
	struct vd_image *image;
	int exit_code;

	if (tool_meta_hand_out(&image, e.path, args, &err))
		return tool_fail(e.path, &err);
	tool_signals_defer();
	e.meta = vd_image_meta(image);
	e.records = json_array();
	exit_code = tool_folder_create(&e.folder, args->operands[1]);
	if (!exit_code) {
		exit_code = export_records(&e);
		tool_folder_abandon(&e.folder);
	}
	if (!exit_code && tool_json_is_on()) {
		json_t *object = tool_json_object(e.path);

		tool_json_set_path(object, "folder", e.folder.path);
		json_object_set(object, "records", e.records);
		tool_json_put(object);
	}
	json_decref(e.records);
	vd_image_close(image, NULL);
	return exit_code;
}
