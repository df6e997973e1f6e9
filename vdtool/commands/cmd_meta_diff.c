/* SPDX-License-Identifier: MIT */
/* vdtool meta diff: two images' metadata, field by field. */
#include <stdlib.h>
#include <string.h>

#include "metadata.h"
#include "output.h"

struct side {
	struct vd_image *image;
	const struct vd_fact *facts;
	size_t n;
};

static uint64_t n_differences;

/** One value that only one of them has. */
static void report(bool is_in_a, const char *name, const char *value)
{
	n_differences++;
	if (tool_json_is_on()) {
		json_t *item = tool_json_object(NULL);

		tool_json_set_text(item, "in", is_in_a ? "a" : "b");
		tool_json_set_text(item, "name", name);
		tool_json_set_text(item, "value", value);
		tool_json_stream_item(item);
		return;
	}
	putchar(is_in_a ? '-' : '+');
	putchar(' ');
	tool_print_safe(stdout, name);
	putchar('=');
	tool_print_safe(stdout, value);
	putchar('\n');
}

/** The history is the file's own: every two differ. */
static bool is_of_history(const struct vd_fact *fact)
{
	return strncmp(fact->field, "history.", 8) == 0;
}

/** Facts are sorted by field, key, value: a merge shows the difference. */
static int order(const struct vd_fact *a, const struct vd_fact *b)
{
	int by = strcmp(a->field, b->field);

	if (!by)
		by = strcmp(a->key, b->key);
	return by ? by : strcmp(a->value, b->value);
}

static void diff_facts(const struct side sides[2])
{
	size_t i = 0, k = 0;

	while (i < sides[0].n || k < sides[1].n) {
		const struct vd_fact *a = i < sides[0].n ? &sides[0].facts[i] : NULL;
		const struct vd_fact *b = k < sides[1].n ? &sides[1].facts[k] : NULL;
		int by = !a ? 1 : !b ? -1 : order(a, b);

		if (by <= 0)
			i++;
		if (by >= 0)
			k++;
		if (by < 0 && !is_of_history(a))
			report(true, a->field, a->value);
		if (by > 0 && !is_of_history(b))
			report(false, b->field, b->value);
	}
}

/** What has no fields: vendors' documents, attachments. */
static bool is_compared_whole(const struct vd_record *r)
{
	return r->type == VD_RECORD_ATTACHMENT ||
	       (r->type == VD_RECORD_DOCUMENT && !vd_category_find(r->kind));
}

static const struct vd_record *find_like(struct vd_meta *meta, const struct vd_record *like)
{
	const struct vd_record *r;

	for (size_t i = 0; (r = vd_meta_record(meta, i)); i++) {
		if (r->type == like->type && strcmp(r->name, like->name) == 0 &&
		    (r->type == VD_RECORD_ATTACHMENT || strcmp(r->kind, like->kind) == 0))
			return r;
	}
	return NULL;
}

static void report_record(bool is_in_a, const struct vd_record *r)
{
	char digest[65], name[300];

	tool_hex(r->digest, sizeof(r->digest), digest);
	snprintf(name, sizeof(name), "%s:%s", tool_record_name(r->type),
		 r->type == VD_RECORD_ATTACHMENT ? r->name : r->kind);
	report(is_in_a, name, digest);
}

static void diff_records(struct vd_meta *a, struct vd_meta *b)
{
	const struct vd_record *r, *like;

	for (size_t i = 0; (r = vd_meta_record(a, i)); i++) {
		if (!is_compared_whole(r))
			continue;
		like = find_like(b, r);
		if (like && memcmp(like->digest, r->digest, sizeof(r->digest)) == 0)
			continue;
		report_record(true, r);
		if (like)
			report_record(false, like);
	}
	for (size_t i = 0; (r = vd_meta_record(b, i)); i++) {
		if (is_compared_whole(r) && !find_like(a, r))
			report_record(false, r);
	}
}

static int open_side(struct side *side, const char *path, const struct tool_args *args)
{
	struct vd_error err = VD_ERROR_INIT;

	if (tool_meta_look(&side->image, path, args, &err) ||
	    vd_meta_get_facts(vd_image_meta(side->image), true, &side->facts, &side->n, &err))
		return tool_fail_image(path, &err);
	return TOOL_DONE;
}

int cmd_meta_diff(const struct tool_args *args)
{
	struct side sides[2] = {{NULL, NULL, 0}, {NULL, NULL, 0}};
	int exit_code = TOOL_DONE;

	for (int i = 0; i < 2 && !exit_code; i++)
		exit_code = open_side(&sides[i], args->operands[i], args);
	if (!exit_code) {
		if (tool_json_is_on())
			tool_json_stream_begin(args->operands[0], "differences");
		diff_facts(sides);
		diff_records(vd_image_meta(sides[0].image), vd_image_meta(sides[1].image));
		if (tool_json_is_on()) {
			json_t *more = tool_json_object(NULL);

			tool_json_set_path(more, "other", args->operands[1]);
			json_object_set_new(more, "equal", json_boolean(!n_differences));
			tool_json_stream_end(more);
		}
		exit_code = n_differences ? TOOL_DIFFERS : TOOL_DONE;
	}
	vd_image_close(sides[0].image, NULL);
	vd_image_close(sides[1].image, NULL);
	return exit_code;
}
