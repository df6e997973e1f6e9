/* SPDX-License-Identifier: MIT */
/* vdtool tag: the fastest way to say something about an image. */
#include <stdlib.h>
#include <string.h>

#include "facts.h"
#include "metadata.h"
#include "output.h"
#include "remote.h"

struct tags {
	char **all;
	size_t n;
};

/** A path that begins with "/", "./" or "../" is a file, whatever else is in it. */
static bool is_edit(const char *word)
{
	if (word[0] == '/' || strncmp(word, "./", 2) == 0 || strncmp(word, "../", 3) == 0)
		return false;
	return word[0] == '+' || word[0] == '-' || strchr(word, '=') != NULL;
}

/** "env" of "env=prod" is the key of "env=prod" and of "env=test". */
static bool has_key(const char *tag, const char *key, size_t n)
{
	return strncmp(tag, key, n) == 0 && tag[n] == '=';
}

static int keep_tag(void *user, const char *field, const char *value)
{
	struct tags *tags = user;
	char **all = realloc(tags->all, (tags->n + 1) * sizeof(*all));

	(void)field;
	if (!all)
		return VD_ENOMEM;
	tags->all = all;
	all[tags->n] = strdup(value);
	return all[tags->n] ? (tags->n++, 0) : VD_ENOMEM;
}

static void tags_free(struct tags *tags)
{
	for (size_t i = 0; i < tags->n; i++)
		free(tags->all[i]);
	free(tags->all);
}

/** Tags as they are now, uncommitted edits included. */
static int read_tags(struct vd_meta *meta, struct tags *tags, struct vd_error *err)
{
	int rc = vd_meta_get_field(meta, "tag", keep_tag, tags, err);

	return rc == VD_ENOENT ? 0 : rc;
}

/** Take away the tag `what`, or the pair whose key it is. How many went; or VD_E*. */
static int remove_tag(struct vd_meta *meta, const char *what, struct vd_error *err)
{
	struct tags tags = {NULL, 0};
	size_t n = strlen(what);
	int rc = read_tags(meta, &tags, err), n_gone = 0;

	for (size_t i = 0; i < tags.n && !rc; i++) {
		if (strcmp(tags.all[i], what) != 0 && !has_key(tags.all[i], what, n))
			continue;
		rc = vd_meta_set_field(meta, "tag", VD_FIELD_REMOVE, tags.all[i], err);
		n_gone++;
	}
	tags_free(&tags);
	return rc ? rc : n_gone;
}

/** Add a word, or put a pair in place of the one of its key. What is there already stays as it is:
 *  nothing is written then. */
static int add_tag(struct vd_meta *meta, const char *what, struct vd_error *err)
{
	const char *equals = strchr(what, '=');
	size_t n = equals ? (size_t)(equals - what) : 0;
	struct tags tags = {NULL, 0};
	bool is_there = false;
	int rc = read_tags(meta, &tags, err);

	for (size_t i = 0; i < tags.n && !rc; i++) {
		if (strcmp(tags.all[i], what) == 0)
			is_there = true;
		else if (equals && has_key(tags.all[i], what, n))
			rc = vd_meta_set_field(meta, "tag", VD_FIELD_REMOVE, tags.all[i], err);
	}
	if (!rc && !is_there)
		rc = vd_meta_set_field(meta, "tag", VD_FIELD_ADD, what, err);
	tags_free(&tags);
	return rc;
}

static int edit_one(struct vd_meta *meta, const char *path, const char *edit, struct vd_error *err)
{
	int rc;

	if (edit[0] != '-')
		return add_tag(meta, edit + (edit[0] == '+'), err);
	rc = remove_tag(meta, edit + 1, err);
	if (rc == 0)
		tool_note("%s: has no tag \"%s\"", path, edit + 1);
	return rc < 0 ? rc : 0;
}

static int show_tags(struct vd_image *image, const char *path, struct vd_error *err)
{
	struct tool_facts facts = {NULL, 0};
	int rc = vd_meta_get_facts(vd_image_meta(image), false, &facts.all, &facts.n, err);

	if (rc)
		return rc;
	if (tool_json_is_on()) {
		json_t *object = tool_json_object(path);

		json_object_set_new(object, "tags", tool_tags_to_json(&facts));
		tool_json_put(object);
		return 0;
	}
	tool_print_safe(stdout, path);
	fputs("   ", stdout);
	if (tool_tags_print(stdout, &facts) == 0)
		putchar('-');
	putchar('\n');
	return 0;
}

static int tag(const char *path, char *const *edits, int n_edits, const struct tool_args *args)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_image *image;
	char parameters[512];
	int rc = n_edits ? tool_meta_edit(&image, path, args, &err)
			 : tool_meta_look(&image, path, args, &err);

	if (rc && n_edits && tool_remote_tag(path, edits, n_edits, args, &rc, &err))
		return rc                  ? tool_fail_image(path, &err)
		       : tool_json_is_on() ? tag(path, NULL, 0, args)
					   : TOOL_DONE;
	if (rc)
		return tool_fail_image(path, &err);
	for (int i = 0; i < n_edits && !rc; i++)
		rc = edit_one(vd_image_meta(image), path, edits[i], &err);
	tool_join(parameters, sizeof(parameters), edits, n_edits);
	if (!rc && n_edits)
		rc = tool_meta_commit(image, args, parameters, &err);
	if (!rc && (!n_edits || tool_json_is_on()))
		rc = show_tags(image, path, &err);
	return tool_image_end(image, path, rc ? tool_fail_image(path, &err) : TOOL_DONE);
}

int cmd_tag(const struct tool_args *args)
{
	int n_images = 0, exit_code = TOOL_DONE;

	while (n_images < args->n_operands && !is_edit(args->operands[n_images]))
		n_images++;
	if (n_images == 0)
		return tool_usage(
		    args->command,
		    "which image? \"%s\" is taken for an edit; put ./ before a file of "
		    "that name",
		    args->operands[0]);
	for (int i = n_images; i < args->n_operands; i++) {
		const char *edit = args->operands[i];

		if (!is_edit(edit))
			return tool_usage(args->command,
					  "\"%s\" isn't an edit: +word, key=value or -word", edit);
		if (!edit[1] || edit[0] == '=' ||
		    ((edit[0] == '+' || edit[0] == '-') && edit[1] == '='))
			return tool_usage(args->command, "\"%s\": the tag is missing", edit);
	}
	for (int i = 0; i < n_images; i++)
		exit_code =
		    tool_exit_worse(exit_code, tag(args->operands[i], args->operands + n_images,
						   args->n_operands - n_images, args));
	return exit_code;
}
