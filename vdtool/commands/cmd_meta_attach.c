/* SPDX-License-Identifier: MIT */
/* vdtool meta attach, meta extract: files that travel in the image. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "image.h"
#include "metadata.h"
#include "output.h"
#include "remote_edits.h"
#include "tempfile.h"

const char *tool_media_type(const char *name)
{
	static const struct {
		const char *ending, *type;
	} known[] = {
	    {".xml", "application/xml"},
	    {".ovf", "application/xml"},
	    {".json", "application/json"},
	    {".yaml", "application/yaml"},
	    {".yml", "application/yaml"},
	    {".txt", "text/plain"},
	    {".conf", "text/plain"},
	    {".cfg", "text/plain"},
	    {".ini", "text/plain"},
	    {".log", "text/plain"},
	    {".md", "text/markdown"},
	    {".sh", "application/x-sh"},
	    {".pem", "application/x-pem-file"},
	    {".gz", "application/gzip"},
	    {".tar", "application/x-tar"},
	    {".zip", "application/zip"},
	    {".pdf", "application/pdf"},
	    {".png", "image/png"},
	};
	size_t len = strlen(name);

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		size_t n = strlen(known[i].ending);

		if (len > n && strcasecmp(name + len - n, known[i].ending) == 0)
			return known[i].type;
	}
	return "application/octet-stream";
}

bool tool_is_plain_path(const char *path)
{
	const char *part = path;

	for (;;) {
		size_t n = strcspn(part, "/");

		if (n == 0 || (n == 1 && part[0] == '.') || (n == 2 && memcmp(part, "..", 2) == 0))
			return false;
		if (part[n] == '\0')
			return true;
		part += n + 1;
	}
}

int64_t tool_attached_read(void *user, void *buf, size_t len, struct vd_error *err)
{
	struct tool_attached *seen = user;
	size_t n_read, room = sizeof(seen->head) - seen->head_len;

	seen->sys_errno = tool_read_fd(seen->fd, buf, len, &n_read);
	if (seen->sys_errno)
		return vd_error_set(err, vd_code_from_errno(seen->sys_errno), seen->sys_errno,
				    VD_NO_OFFSET, "the file can't be read: %s",
				    strerror(seen->sys_errno));
	memcpy(seen->head + seen->head_len, buf, n_read < room ? n_read : room);
	seen->head_len += n_read < room ? n_read : room;
	seen->length += n_read;
	return (int64_t)n_read;
}

int tool_attach(struct vd_meta *meta, const char *kind, const char *name, const char *media_type,
		int fd, struct tool_attached *seen, struct vd_error *err)
{
	seen->fd = fd;
	seen->head_len = 0;
	seen->length = 0;
	return vd_meta_attach(meta, kind, name, media_type, tool_attached_read, seen, err);
}

void tool_warn_of_secrets(const char *file, const struct tool_attached *seen)
{
	const char *what = vd_meta_looks_secret(seen->head, seen->head_len);

	if (what)
		tool_say(TOOL_DONE, file,
			 "warning: looks like it holds a private key (%s); whoever gets the image "
			 "gets it too",
			 what);
}

/* ---- attach ---- */

struct attaching {
	const struct tool_args *args;
	const char *path, *file, *name, *kind, *media_type;
	int fd;
	struct tool_attached seen;
};

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int check_usage(struct attaching *a)
{
	const struct tool_args *args = a->args;
	bool is_stdin = strcmp(a->file, "-") == 0;

	a->name = args->is_set[OPT_NAME] ? args->text[OPT_NAME] : last_part(a->file);
	if (is_stdin && !args->is_set[OPT_NAME])
		return tool_usage(args->command, "standard input needs a name: --name NAME");
	if (is_stdin && args->is_set[OPT_BY_REFERENCE])
		return tool_usage(args->command, "--by-reference: standard input can't be named");
	if (!tool_is_plain_path(a->name))
		return tool_usage(args->command,
				  "the name \"%s\" isn't a relative path without \"..\"", a->name);
	a->kind = args->is_set[OPT_KIND] ? args->text[OPT_KIND] : "configuration";
	if (strcmp(a->kind, "none") == 0)
		a->kind = NULL;
	if (!a->kind && args->is_set[OPT_BY_REFERENCE])
		return tool_usage(args->command, "--by-reference: a document has to name it");
	a->media_type =
	    args->is_set[OPT_MEDIA_TYPE] ? args->text[OPT_MEDIA_TYPE] : tool_media_type(a->name);
	a->fd = is_stdin ? STDIN_FILENO : open(a->file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (a->fd < 0)
		return tool_say(tool_exit_for(vd_code_from_errno(errno)), a->file, "%s",
				strerror(errno));
	return TOOL_DONE;
}

/** May it be a libvirt domain? */
static bool looks_like_domain(const struct attaching *a)
{
	return a->kind && strcmp(a->kind, "configuration") == 0 &&
	       a->seen.length == a->seen.head_len &&
	       memmem(a->seen.head, a->seen.head_len, "<domain", 7);
}

static void note_taken(const struct attaching *a, size_t n_fields)
{
	if (n_fields)
		tool_note("%s: %zu field%s of hardware and network taken from it", a->file,
			  n_fields, n_fields == 1 ? "" : "s");
}

/** A libvirt domain says what machine the disk wants. */
static int take_from_libvirt(struct attaching *a, struct vd_meta *meta)
{
	struct vd_error err = VD_ERROR_INIT;
	size_t n_fields = 0;
	int rc;

	if (!looks_like_domain(a))
		return 0;
	rc = vd_meta_take_libvirt(meta, a->seen.head, a->seen.head_len, &n_fields, &err);
	if (rc == VD_ENOENT)
		return 0; /* something else */
	if (rc)
		tool_note("%s: hardware and network weren't taken from it: %s", a->file, err.text);
	else
		note_taken(a, n_fields);
	return 0;
}

/** Where a file that stays outside is found again: by its name beside the image, else by a URI. */
static bool make_uri(const struct attaching *a, char *uri, size_t size)
{
	char image[PATH_MAX], file[PATH_MAX];
	size_t folder, len = 0;

	if (!realpath(a->path, image) || !realpath(a->file, file))
		return false;
	folder = (size_t)(last_part(image) - image);
	if (strncmp(image, file, folder) == 0 && !strchr(file + folder, '/')) {
		snprintf(uri, size, "%s", file + folder);
		return true;
	}
	len = (size_t)snprintf(uri, size, "file://");
	for (const unsigned char *p = (const unsigned char *)file; *p && len + 4 < size; p++) {
		bool is_plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
				(*p >= '0' && *p <= '9') || strchr("/._-~", *p);

		len += (size_t)snprintf(uri + len, size - len, is_plain ? "%c" : "%%%02X", *p);
	}
	return len + 4 < size;
}

#define URI_MAX ((size_t)3 * PATH_MAX)

/** What there is to say of a file that stays outside. `uri` has room for URI_MAX. */
static int make_reference(struct attaching *a, struct vd_reference *out, char *uri,
			  struct vd_error *err)
{
	struct vd_reference ref = {.name = a->name, .media_type = a->media_type};
	crypto_generichash_state state;
	size_t n_read;
	int failed;

	if (sodium_init() < 0 || !make_uri(a, uri, URI_MAX))
		return vd_error_set(err, VD_EIO, errno, VD_NO_OFFSET,
				    "%s: no path to refer to can be found", a->file);
	crypto_generichash_init(&state, NULL, 0, sizeof(ref.digest));
	do {
		failed = tool_read_fd(a->fd, a->seen.head, sizeof(a->seen.head), &n_read);
		if (failed)
			return vd_error_set(err, vd_code_from_errno(failed), failed, VD_NO_OFFSET,
					    "%s: %s", a->file, strerror(failed));
		crypto_generichash_update(&state, (const unsigned char *)a->seen.head, n_read);
		ref.length += n_read;
	} while (n_read == sizeof(a->seen.head));
	crypto_generichash_final(&state, ref.digest, sizeof(ref.digest));
	ref.uri = uri;
	a->seen.length = ref.length;
	*out = ref;
	return 0;
}

static int refer(struct attaching *a, struct vd_meta *meta, struct vd_error *err)
{
	struct vd_reference ref;
	char uri[URI_MAX];
	int rc = make_reference(a, &ref, uri, err);

	return rc ? rc : vd_meta_refer(meta, a->kind, &ref, err);
}

/* ---- the same by the process that has the image open ---- */

static int refer_remotely(struct attaching *a, struct tool_remote_edits *edits,
			  struct vd_error *err)
{
	json_t *edit = tool_remote_add(edits, "refer");
	struct vd_reference ref;
	char uri[URI_MAX], digest[2 * sizeof(ref.digest) + 1];
	int rc = make_reference(a, &ref, uri, err);

	if (rc)
		return rc;
	tool_hex(ref.digest, sizeof(ref.digest), digest);
	control_set_text(edit, "kind", a->kind);
	control_set_text(edit, "name", ref.name);
	control_set_text(edit, "media_type", ref.media_type);
	control_set_text(edit, "uri", ref.uri);
	control_set_text(edit, "blake2b", digest);
	control_set_number(edit, "length", ref.length);
	return 0;
}

static int hand_over(struct attaching *a, struct tool_remote_edits *edits, struct vd_error *err)
{
	json_t *edit = tool_remote_add(edits, "attach"), *domain;
	int rc;

	control_set_text(edit, "kind", a->kind);
	control_set_text(edit, "name", a->name);
	control_set_text(edit, "media_type", a->media_type);
	a->seen.fd = a->fd;
	rc = tool_remote_add_file(edits, edit, &a->seen, err);
	if (rc || !looks_like_domain(a))
		return rc;
	domain = tool_remote_add(edits, "libvirt");
	json_object_set(domain, "at", json_object_get(edit, "at"));
	json_object_set(domain, "length", json_object_get(edit, "length"));
	return 0;
}

static int attach_remotely(struct attaching *a, const char *parameters, struct vd_error *err)
{
	bool by_reference = a->args->is_set[OPT_BY_REFERENCE];
	struct tool_remote_edits edits;
	json_t *reply = NULL;
	int rc;

	if (!tool_remote_begin(&edits, a->path, err))
		return tool_fail(a->path, err);
	rc = by_reference ? refer_remotely(a, &edits, err) : hand_over(a, &edits, err);
	if (!rc)
		rc = tool_remote_send(&edits, parameters, a->args, &reply, err);
	if (!rc) {
		json_int_t n = json_integer_value(json_object_get(reply, "taken"));

		note_taken(a, n > 0 ? (size_t)n : 0);
		if (!by_reference)
			tool_warn_of_secrets(a->file, &a->seen);
	}
	json_decref(reply);
	tool_remote_end(&edits);
	return rc ? tool_fail(a->path, err) : TOOL_DONE;
}

static int attach(struct attaching *a)
{
	bool by_reference = a->args->is_set[OPT_BY_REFERENCE];
	struct vd_error err = VD_ERROR_INIT;
	struct vd_image *image;
	char *words[2] = {(char *)(uintptr_t)a->name, (char *)(uintptr_t) "--by-reference"};
	char parameters[512];
	int rc;

	tool_join(parameters, sizeof(parameters), words, by_reference ? 2 : 1);
	if (tool_meta_edit(&image, a->path, a->args, &err))
		return attach_remotely(a, parameters, &err);
	if (by_reference)
		rc = refer(a, vd_image_meta(image), &err);
	else
		rc = tool_attach(vd_image_meta(image), a->kind, a->name, a->media_type, a->fd,
				 &a->seen, &err);
	if (!rc && !by_reference)
		rc = take_from_libvirt(a, vd_image_meta(image));
	if (!rc)
		rc = tool_meta_commit(image, a->args, parameters, &err);
	if (!rc && !by_reference)
		tool_warn_of_secrets(a->file, &a->seen);
	return tool_image_end(image, a->path, rc ? tool_fail(a->path, &err) : TOOL_DONE);
}

int cmd_meta_attach(const struct tool_args *args)
{
	struct attaching *a = calloc(1, sizeof(*a));
	int exit_code;

	if (!a)
		return tool_say(TOOL_FAILED, NULL, "out of memory");
	*a = (struct attaching){
	    .args = args, .path = args->operands[0], .file = args->operands[1], .fd = -1};
	exit_code = check_usage(a);
	if (!exit_code)
		exit_code = attach(a);
	if (a->fd > STDERR_FILENO)
		close(a->fd);
	if (!exit_code && tool_json_is_on()) {
		json_t *object = tool_json_object(a->path);

		tool_json_set_text(object, "name", a->name);
		tool_json_set_text(object, "media_type", a->media_type);
		tool_json_set_number(object, "length", a->seen.length);
		tool_json_put(object);
	}
	free(a);
	return exit_code;
}

/* ---- extract ---- */

/** Into a file that appears whole or not at all. */
static int extract_to_file(struct vd_meta *meta, const struct tool_args *args, const char *file)
{
	const char *path = args->operands[0];
	struct vd_error err = VD_ERROR_INIT;
	int exit_code = tool_temp_begin(file, args->is_set[OPT_FORCE]);
	int fd = -1, rc;

	if (exit_code)
		return exit_code;
	fd = open(tool_temp_path(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0) {
		exit_code =
		    tool_say(tool_exit_for(vd_code_from_errno(errno)), file, "%s", strerror(errno));
	} else {
		rc = vd_meta_extract(meta, args->operands[1], tool_extract_to_fd, &fd, &err);
		if (rc)
			exit_code = tool_fail(path, &err);
		else if (fsync(fd) != 0)
			exit_code = tool_say(TOOL_FAILED, file, "%s", strerror(errno));
		close(fd);
	}
	if (!exit_code)
		return tool_temp_commit();
	tool_temp_abandon();
	return exit_code;
}

int cmd_meta_extract(const struct tool_args *args)
{
	const char *path = args->operands[0], *name = args->operands[1];
	const char *file = args->n_operands > 2 ? args->operands[2] : last_part(name);
	struct vd_error err = VD_ERROR_INIT;
	struct vd_image *image;
	int fd = STDOUT_FILENO, exit_code = TOOL_DONE;

	if (args->n_operands < 3 && !tool_is_plain_path(file))
		return tool_usage(args->command, "\"%s\" names no file: give FILE", name);
	if (strcmp(file, "-") == 0 && isatty(fd))
		return tool_usage(args->command, "stdout is a terminal");
	if (strcmp(file, "-") == 0 && tool_json_is_on())
		return tool_usage(args->command, "--json: stdout is taken by the file");
	if (tool_meta_hand_out(&image, path, args, &err))
		return tool_fail(path, &err);
	if (strcmp(file, "-") != 0)
		exit_code = extract_to_file(vd_image_meta(image), args, file);
	else if (vd_meta_extract(vd_image_meta(image), name, tool_extract_to_fd, &fd, &err))
		exit_code =
		    err.sys_errno == EPIPE ? tool_stdout_failed(EPIPE) : tool_fail(path, &err);
	vd_image_close(image, NULL);
	if (!exit_code && tool_json_is_on()) {
		json_t *object = tool_json_object(path);

		tool_json_set_text(object, "name", name);
		tool_json_set_path(object, "file", file);
		tool_json_put(object);
	}
	return exit_code;
}
