/* SPDX-License-Identifier: MIT */
/* See metadata.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "image.h"
#include "metadata.h"
#include "output.h"
#include "policed.h"

const char *tool_sidecar_dir(const struct tool_args *args)
{
	return args->text[OPT_SIDECAR];
}

/** One that is being made has nothing yet to judge by. */
static bool asks_nobody(const struct tool_command *command)
{
	return strcmp(command->name, "create") == 0;
}

static int open_image(struct vd_image **out, const char *path, enum vd_purpose purpose,
		      const struct tool_args *args, uint32_t disk_flags, uint32_t flags,
		      const char *parameters, struct vd_error *err)
{
	struct vd_open_opts disk = VD_OPEN_OPTS_INIT;
	struct vd_image_opts opts = VD_IMAGE_OPTS_INIT;

	disk.flags = disk_flags;
	disk.format = args->text[OPT_SOURCE_FORMAT];
	disk.parent_roots = args->parent_roots;
	disk.n_parent_roots = args->n_parent_roots;
	opts.disk = &disk;
	opts.sidecar_dir =
	    purpose == VD_PURPOSE_CONVERT ? args->text[OPT_SOURCE_SIDECAR] : tool_sidecar_dir(args);
	opts.actor = args->text[OPT_ACTOR];
	opts.tool = "vdtool " VD_VERSION;
	opts.operation = args->command->name;
	opts.parameters = parameters;
	opts.flags = flags;
	if (asks_nobody(args->command))
		return vd_image_open(out, path, purpose, NULL, &opts, err);
	return tool_policed_open(out, path, purpose, args, &opts, err);
}

int tool_open_for(struct vd_image **out, const char *path, enum vd_purpose purpose,
		  const struct tool_args *args, uint32_t disk_flags, const char *parameters,
		  struct vd_error *err)
{
	return open_image(out, path, purpose, args, disk_flags, 0, parameters, err);
}

int tool_meta_look(struct vd_image **out, const char *path, const struct tool_args *args,
		   struct vd_error *err)
{
	return open_image(out, path, VD_PURPOSE_INSPECT, args, VD_OPEN_NO_PARENTS, 0, NULL, err);
}

int tool_meta_hand_out(struct vd_image **out, const char *path, const struct tool_args *args,
		       struct vd_error *err)
{
	return open_image(out, path, VD_PURPOSE_EXPORT, args, VD_OPEN_NO_PARENTS,
			  VD_IMAGE_METADATA_ONLY, NULL, err);
}

int tool_meta_edit(struct vd_image **out, const char *path, const struct tool_args *args,
		   struct vd_error *err)
{
	return open_image(out, path, VD_PURPOSE_EDIT, args, VD_OPEN_NO_PARENTS,
			  VD_IMAGE_METADATA_ONLY, NULL, err);
}

int tool_meta_scan(struct vd_image **out, const char *path, const struct tool_args *args,
		   struct vd_error *err)
{
	return open_image(out, path, VD_PURPOSE_EDIT, args, 0, VD_IMAGE_METADATA_ONLY, NULL, err);
}

int tool_meta_commit(struct vd_image *image, const struct tool_args *args, const char *parameters,
		     struct vd_error *err)
{
	struct vd_meta_info info = {.size = sizeof(info)};

	vd_meta_get_info(vd_image_meta(image), &info);
	if (info.mismatch)
		tool_note("%s: %s", info.sidecar, info.mismatch);
	if (!info.has_changes)
		return 0;
	return vd_image_commit(image, args->command->name, parameters, err);
}

int tool_image_end(struct vd_image *image, const char *path, int exit_code)
{
	struct vd_error err = VD_ERROR_INIT;

	if (vd_image_close(image, &err))
		exit_code = tool_exit_worse(exit_code, tool_fail(path, &err));
	return exit_code;
}

void tool_join(char *text, size_t size, char *const *words, int n)
{
	size_t len = 0;

	text[0] = '\0';
	for (int i = 0; i < n; i++) {
		size_t more = strlen(words[i]) + (i > 0);

		if (more + sizeof(" ...") > size - len) {
			snprintf(text + len, size - len, "%s...", i ? " " : "");
			return;
		}
		snprintf(text + len, size - len, "%s%s", i ? " " : "", words[i]);
		len += more;
	}
}

int tool_each_image(const struct tool_args *args,
		    int (*one)(const char *path, const struct tool_args *args))
{
	int exit_code = TOOL_DONE;

	for (int i = 0; i < args->n_operands; i++)
		exit_code = tool_exit_worse(exit_code, one(args->operands[i], args));
	return exit_code;
}

int tool_fail_image(const char *path, const struct vd_error *err)
{
	tool_json_put_error(path, err);
	return tool_fail(path, err);
}

const char *tool_record_name(enum vd_record_type type)
{
	switch (type) {
	case VD_RECORD_FOREIGN:
		return "foreign";
	case VD_RECORD_DOCUMENT:
		return "document";
	case VD_RECORD_FACTS:
		return "facts";
	case VD_RECORD_HISTORY:
		return "history";
	case VD_RECORD_ATTACHMENT:
		return "attachment";
	case VD_RECORD_SUBJECT:
		return "subject";
	}
	return "unknown";
}

void tool_hex(const uint8_t *bytes, size_t len, char *text)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		*text++ = digits[bytes[i] >> 4];
		*text++ = digits[bytes[i] & 15];
	}
	*text = '\0';
}

const char *tool_time_format(int64_t seconds, char text[TOOL_TIME_TEXT])
{
	time_t when = (time_t)seconds;
	struct tm utc;

	if (!gmtime_r(&when, &utc) || !strftime(text, TOOL_TIME_TEXT, "%Y-%m-%dT%H:%M:%SZ", &utc))
		strcpy(text, "(no time)");
	return text;
}

int tool_slurp(const char *path, size_t max, char **bytes, size_t *len)
{
	bool is_stdin = strcmp(path, "-") == 0;
	int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	const char *name = is_stdin ? "standard input" : path;
	int failed;

	if (fd < 0)
		return tool_say(tool_exit_for(vd_code_from_errno(errno)), name, "%s",
				strerror(errno));
	*bytes = malloc(max + 2);
	if (!*bytes) {
		if (!is_stdin)
			close(fd);
		return tool_say(TOOL_FAILED, name, "out of memory");
	}
	failed = tool_read_fd(fd, *bytes, max + 1, len);
	if (!is_stdin)
		close(fd);
	if (!failed && *len <= max) {
		(*bytes)[*len] = '\0';
		return TOOL_DONE;
	}
	free(*bytes);
	*bytes = NULL;
	if (failed)
		return tool_say(TOOL_FAILED, name, "%s", strerror(failed));
	return tool_say(TOOL_FAILED, name,
			"has more than %zu bytes, the most that is possible here", max);
}

void tool_print_document(const char *text, size_t len)
{
	if (!isatty(STDOUT_FILENO)) {
		fwrite(text, 1, len, stdout);
	} else {
		char *copy = strndup(text, len);

		for (char *line = copy, *next; line; line = next) {
			next = strchr(line, '\n');
			if (next)
				*next++ = '\0';
			/* A tab is the one control character that does no harm. */
			for (char *part = line, *tab; part; part = tab) {
				tab = strchr(part, '\t');
				if (tab)
					*tab++ = '\0';
				tool_print_safe(stdout, part);
				if (tab)
					putchar('\t');
			}
			if (next)
				putchar('\n');
		}
		free(copy);
	}
	if (len && text[len - 1] != '\n')
		putchar('\n');
}

struct vd_record *tool_record_copy(struct vd_meta *meta, size_t i)
{
	const struct vd_record *r = vd_meta_record(meta, i);
	const char *texts[4];
	size_t len = sizeof(*r);
	struct vd_record *copy;
	char *at;

	if (!r)
		return NULL;
	texts[0] = r->kind;
	texts[1] = r->name;
	texts[2] = r->media_type;
	texts[3] = r->damage_text ? r->damage_text : "";
	for (int k = 0; k < 4; k++)
		len += strlen(texts[k]) + 1;
	copy = malloc(len);
	if (!copy)
		return NULL;
	*copy = *r;
	at = (char *)(copy + 1);
	for (int k = 0; k < 4; k++) {
		strcpy(at, texts[k]);
		texts[k] = at;
		at += strlen(at) + 1;
	}
	copy->kind = texts[0];
	copy->name = texts[1];
	copy->media_type = texts[2];
	copy->damage_text = r->damage_text ? texts[3] : NULL;
	return copy;
}

int tool_extract_to_fd(void *user, const void *buf, size_t len, struct vd_error *err)
{
	int failed = tool_write_fd(*(int *)user, buf, len);

	return failed ? vd_error_set(err, vd_code_from_errno(failed), failed, VD_NO_OFFSET, "%s",
				     strerror(failed))
		      : 0;
}

int tool_extract_nowhere(void *user, const void *buf, size_t len, struct vd_error *err)
{
	(void)user;
	(void)buf;
	(void)len;
	(void)err;
	return 0;
}
