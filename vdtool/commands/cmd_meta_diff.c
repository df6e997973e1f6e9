/* SPDX-License-Identifier: MIT */
/* vdtool meta diff: two images' metadata, field by field. */
#include <stdlib.h>
#include <string.h>

#include "metadata.h"
#include "output.h"

struct side {
	const char *path;
	struct vd_image *image;
	const struct vd_fact *facts;
	size_t n;
};

static uint64_t n_differences;
/* Categories of which a field was told: nobody needs the digests of their documents, too. */
#define N_TOLD 16
static const struct vd_category *told[N_TOLD];

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

static bool was_told(const struct vd_category *category)
{
	for (size_t i = 0; i < N_TOLD && told[i]; i++)
		if (told[i] == category)
			return true;
	return false;
}

static void report_fact(bool is_in_a, const struct vd_fact *fact)
{
	const struct vd_field *field = vd_field_find(fact->field);
	size_t i = 0;

	/* The history is the file's own: every two differ. */
	if (strncmp(fact->field, "history.", 8) == 0)
		return;
	while (i < N_TOLD && told[i])
		i++;
	if (field && i < N_TOLD && !was_told(field->category))
		told[i] = field->category;
	report(is_in_a, fact->field, fact->value);
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
		if (by < 0)
			report_fact(true, a);
		if (by > 0)
			report_fact(false, b);
	}
}

/** Attachments, and documents whose difference no field has told: vendors', and what vendors have
 *  put into the others. */
static bool is_compared_whole(const struct vd_record *r)
{
	const struct vd_category *category;

	if (r->type != VD_RECORD_DOCUMENT)
		return r->type == VD_RECORD_ATTACHMENT;
	category = vd_category_find(r->kind);
	return !category || !was_told(category);
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

/** A digest speaks for a record only if its bytes have it. */
static int check_record(const char *path, struct vd_meta *meta, const struct vd_record *r)
{
	struct vd_error err = VD_ERROR_INIT;
	char *bytes = NULL;
	size_t len;
	int rc = 0;

	if (r->type == VD_RECORD_ATTACHMENT)
		rc = vd_meta_extract(meta, r->name, tool_extract_nowhere, NULL, &err);
	else if (r->type == VD_RECORD_DOCUMENT)
		rc = vd_meta_get_document(meta, r->kind, &bytes, &len, &err);
	vd_meta_free(bytes);
	return rc ? tool_fail(path, &err) : TOOL_DONE;
}

/** What is damaged is told; it must not pass for the same. */
static int check_side(const struct side *side)
{
	struct vd_meta *meta = vd_image_meta(side->image);
	int exit_code = TOOL_DONE;
	struct vd_record *r;

	for (size_t i = 0; (r = tool_record_copy(meta, i)); i++) {
		exit_code = tool_exit_worse(exit_code, check_record(side->path, meta, r));
		free(r);
	}
	return exit_code;
}

/** Another code than TOOL_DONE with an image: it is open, but something in it is damaged. */
static int open_side(struct side *side, const struct tool_args *args)
{
	struct vd_error err = VD_ERROR_INIT;
	int exit_code;

	if (tool_meta_look(&side->image, side->path, args, &err))
		return tool_fail_image(side->path, &err);
	exit_code = check_side(side);
	if (!vd_meta_get_facts(vd_image_meta(side->image), true, &side->facts, &side->n, &err))
		return exit_code;
	vd_image_close(side->image, NULL);
	side->image = NULL;
	return tool_fail_image(side->path, &err);
}

int cmd_meta_diff(const struct tool_args *args)
{
	struct side sides[2] = {{.path = args->operands[0]}, {.path = args->operands[1]}};
	int exit_code = open_side(&sides[0], args);

	if (sides[0].image)
		exit_code = tool_exit_worse(exit_code, open_side(&sides[1], args));
	if (sides[1].image) {
		if (tool_json_is_on())
			tool_json_stream_begin(sides[0].path, "differences");
		diff_facts(sides);
		diff_records(vd_image_meta(sides[0].image), vd_image_meta(sides[1].image));
		if (tool_json_is_on()) {
			json_t *more = tool_json_object(NULL);

			tool_json_set_path(more, "other", sides[1].path);
			json_object_set_new(more, "equal",
					    json_boolean(!n_differences && !exit_code));
			tool_json_stream_end(more);
		}
		if (n_differences)
			exit_code = tool_exit_worse(exit_code, TOOL_DIFFERS);
	}
	vd_image_close(sides[0].image, NULL);
	vd_image_close(sides[1].image, NULL);
	return exit_code;
}
