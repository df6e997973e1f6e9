/* SPDX-License-Identifier: MIT */
/* vdtool meta validate: are documents, digests and facts what they should be? */
#include <stdlib.h>
#include <string.h>

#include "metadata.h"
#include "output.h"

struct finding {
	const char *path;
	const char *what; /* "content", "attachment kernel.cfg" */
	size_t n;
	bool has_damaged_document; /* then the facts can't follow from the documents */
	bool has_damaged_history;
};

static void report(struct finding *f, int line, const char *text)
{
	f->n++;
	if (tool_json_is_on()) {
		json_t *item = tool_json_object(NULL);

		tool_json_set_text(item, "what", f->what);
		tool_json_set_number(item, "line", line > 0 ? (uint64_t)line : VD_NO_OFFSET);
		tool_json_set_text(item, "text", text);
		tool_json_stream_item(item);
		return;
	}
	tool_print_safe(stdout, f->path);
	if (*f->what) {
		fputs(": ", stdout);
		tool_print_safe(stdout, f->what);
	}
	if (line > 0)
		printf(": line %d", line);
	fputs(": ", stdout);
	tool_print_safe(stdout, text);
	putchar('\n');
}

static void hear_wrong(void *user, int line, const char *text)
{
	report(user, line, text);
}

static void check_document(struct finding *f, struct vd_meta *meta, const char *kind)
{
	struct vd_error err = VD_ERROR_INIT;
	size_t len, before = f->n;
	char *bytes;

	if (vd_meta_get_document(meta, kind, &bytes, &len, &err)) {
		report(f, 0, err.text);
		return;
	}
	if (vd_meta_validate(kind, bytes, len, hear_wrong, f, &err) && f->n == before)
		report(f, 0, err.text);
	vd_meta_free(bytes);
}

/* What the directory in the facts told of a file, and what its own head says. */
static void check_attachment(struct finding *f, struct vd_meta *meta, const struct vd_record *told)
{
	struct vd_error err = VD_ERROR_INIT;
	const struct vd_record *r;

	if (vd_meta_extract(meta, told->name, tool_extract_nowhere, NULL, &err)) {
		report(f, 0, err.text);
		return;
	}
	for (size_t i = 0; (r = vd_meta_record(meta, i)); i++) {
		if (r->type != told->type || strcmp(r->name, told->name) != 0)
			continue;
		if (r->raw_len != told->raw_len || memcmp(r->digest, told->digest, 32) != 0 ||
		    strcmp(r->media_type, told->media_type) != 0)
			report(
			    f, 0,
			    "the facts tell of another length, digest or media type than it has");
	}
}

static void check_record(struct finding *f, struct vd_meta *meta, const struct vd_record *r)
{
	size_t before = f->n;
	const char *type = tool_record_name(r->type), *name = r->name[0] ? r->name : r->kind;
	bool has_name = *name && strcmp(name, type) != 0;
	char what[256];

	snprintf(what, sizeof(what), "%s%s%s", type, has_name ? " " : "", has_name ? name : "");
	f->what = what;
	if (r->damage)
		report(f, 0, r->damage_text ? r->damage_text : vd_code_name(r->damage));
	else if (r->type == VD_RECORD_DOCUMENT)
		check_document(f, meta, r->kind);
	else if (r->type == VD_RECORD_ATTACHMENT)
		check_attachment(f, meta, r);
	f->has_damaged_document |= r->type == VD_RECORD_DOCUMENT && f->n > before;
	f->has_damaged_history |= r->type == VD_RECORD_HISTORY && f->n > before;
	f->what = "";
}

static void check_records(struct finding *f, struct vd_meta *meta)
{
	struct vd_record *r;

	for (size_t i = 0; (r = tool_record_copy(meta, i)); i++) {
		check_record(f, meta, r);
		free(r);
	}
}

static int hear_entry(void *user, const struct vd_history_entry *entry)
{
	char text[96];

	if (entry->is_linked)
		return 0;
	snprintf(text, sizeof(text),
		 "entry %llu was changed, or doesn't follow from the one before",
		 (unsigned long long)entry->number);
	report(user, 0, text);
	return 0;
}

static void check_history(struct finding *f, struct vd_meta *meta, uint64_t n_history)
{
	struct vd_error err = VD_ERROR_INIT;
	uint64_t n_broken = 0;
	size_t before = f->n;
	int rc;

	f->what = "history";
	rc = vd_meta_read_history(meta, hear_entry, f, &n_broken, &err);
	if (f->has_damaged_history)
		return; /* that was told already */
	if (rc && rc != VD_ENOENT)
		report(f, 0, err.text);
	else if (rc ? n_history > 0 : n_broken > f->n - before)
		report(f, 0, TOOL_HISTORY_CUT);
}

static bool is_same_fact(const struct vd_fact *a, const struct vd_fact *b)
{
	return strcmp(a->field, b->field) == 0 && strcmp(a->value, b->value) == 0 &&
	       strcmp(a->key, b->key) == 0;
}

static struct vd_fact *copy_facts(const struct vd_fact *facts, size_t n)
{
	struct vd_fact *copy = calloc(n + 1, sizeof(*copy));

	for (size_t i = 0; copy && i < n; i++) {
		copy[i].field = strdup(facts[i].field);
		copy[i].value = strdup(facts[i].value);
		copy[i].key = strdup(facts[i].key);
		copy[i].group = facts[i].group;
		if (!copy[i].field || !copy[i].value || !copy[i].key)
			return NULL; /* the process ends soon */
	}
	return copy;
}

static void free_facts(struct vd_fact *facts)
{
	for (struct vd_fact *f = facts; f && f->field; f++) {
		free((void *)(uintptr_t)f->field);
		free((void *)(uintptr_t)f->value);
		free((void *)(uintptr_t)f->key);
	}
	free(facts);
}

struct group_pair {
	uint32_t a, b;
};

static int compare_pairs(const void *p, const void *q)
{
	const struct group_pair *x = p, *y = q;

	return x->a != y->a ? (x->a > y->a) - (x->a < y->a) : (x->b > y->b) - (x->b < y->b);
}

/* Each a goes with one b only, and 0 with 0. */
static bool is_function(struct group_pair *pairs, size_t n)
{
	qsort(pairs, n, sizeof(*pairs), compare_pairs);
	for (size_t i = 0; i < n; i++)
		if (!pairs[i].a != !pairs[i].b ||
		    (i && pairs[i].a == pairs[i - 1].a && pairs[i].b != pairs[i - 1].b))
			return false;
	return true;
}

/* The numbers of groups mean nothing, but what belongs together must be the same. */
static bool are_same_groups(const struct vd_fact *x, const struct vd_fact *y, size_t n)
{
	struct group_pair *pairs = calloc(n + 1, sizeof(*pairs));
	bool ok;

	if (!pairs)
		return false;
	for (size_t i = 0; i < n; i++)
		pairs[i] = (struct group_pair){x[i].group, y[i].group};
	ok = is_function(pairs, n);
	for (size_t i = 0; i < n; i++)
		pairs[i] = (struct group_pair){pairs[i].b, pairs[i].a};
	ok = ok && is_function(pairs, n);
	free(pairs);
	return ok;
}

/** What is stored, and what the documents give. */
static void compare_facts(struct finding *f, const struct vd_fact *stored, size_t n_stored,
			  const struct vd_fact *facts, size_t n)
{
	char text[600];
	size_t i = 0;

	while (i < n && i < n_stored && is_same_fact(&facts[i], &stored[i]))
		i++;
	if (i == n && i == n_stored) {
		if (!are_same_groups(stored, facts, n))
			report(f, 0,
			       "facts that are stored as of one entry are of several in the "
			       "documents, or the other way round");
		return;
	}
	if (i == n_stored)
		snprintf(text, sizeof(text), "%s=%s isn't stored", facts[i].field, facts[i].value);
	else if (i == n)
		snprintf(text, sizeof(text),
			 "stored is %s=%s, but the documents give no more facts", stored[i].field,
			 stored[i].value);
	else if (strcmp(stored[i].field, facts[i].field) == 0 &&
		 strcmp(stored[i].value, facts[i].value) == 0)
		snprintf(text, sizeof(text), "%s=%s is stored to be found as \"%s\"",
			 stored[i].field, stored[i].value, stored[i].key);
	else
		snprintf(text, sizeof(text), "stored is %s=%s, but the documents give %s=%s",
			 stored[i].field, stored[i].value, facts[i].field, facts[i].value);
	report(f, 0, text);
}

/** The facts that are stored against those that follow from the documents: whoever forges facts can
 *  make their digests right too, but not this. */
static void check_facts(struct finding *f, struct vd_meta *meta)
{
	struct vd_error err = VD_ERROR_INIT;
	const struct vd_fact *facts;
	struct vd_fact *stored = NULL;
	size_t n, n_stored;

	f->what = "facts";
	if (vd_meta_get_facts(meta, false, &facts, &n_stored, &err)) {
		report(f, 0, err.text);
		return;
	}
	stored = copy_facts(facts, n_stored);
	if (!stored || vd_meta_get_facts(meta, true, &facts, &n, &err)) {
		report(f, 0, stored ? err.text : "out of memory");
		free_facts(stored);
		return;
	}
	compare_facts(f, stored, n_stored, facts, n);
	free_facts(stored);
}

static int finish(struct finding *f)
{
	if (tool_json_is_on()) {
		json_t *more = tool_json_object(NULL);

		tool_json_set_number(more, "errors", f->n);
		tool_json_stream_end(more);
	} else if (!f->n) {
		tool_print_safe(stdout, f->path);
		puts(": everything is valid");
	}
	return f->n ? TOOL_CORRUPT : TOOL_DONE;
}

static int validate_image(const char *path, const struct tool_args *args)
{
	struct finding f = {.path = path, .what = ""};
	struct vd_meta_info info = {.size = sizeof(info)};
	struct vd_error err = VD_ERROR_INIT;
	struct vd_image *image;
	struct vd_meta *meta;

	if (tool_meta_look(&image, path, args, &err))
		return tool_fail_image(path, &err);
	meta = vd_image_meta(image);
	vd_meta_get_info(meta, &info);
	if (tool_json_is_on())
		tool_json_stream_begin(path, "findings");
	check_records(&f, meta);
	check_history(&f, meta, info.n_history);
	if (info.has_ours && !f.has_damaged_document)
		check_facts(&f, meta);
	if (info.has_stale_facts)
		tool_note("%s: the stored facts are older than the documents; the next edit "
			  "renews them",
			  path);
	f.what = "sidecar";
	if (info.mismatch)
		report(&f, 0, info.mismatch);
	vd_image_close(image, NULL);
	return finish(&f);
}

static int validate_file(const char *path, const struct tool_args *args)
{
	struct finding f = {.path = path, .what = ""};
	struct vd_error err = VD_ERROR_INIT;
	char *bytes;
	size_t len;
	int exit_code = tool_slurp(path, VD_META_DOCUMENT_MAX, &bytes, &len);

	(void)args;
	if (exit_code) {
		tool_json_put_error(path, &tool_last_error);
		return exit_code;
	}
	if (tool_json_is_on())
		tool_json_stream_begin(path, "findings");
	if (vd_meta_validate(NULL, bytes, len, hear_wrong, &f, &err) && f.n == 0)
		report(&f, 0, err.text);
	free(bytes);
	return finish(&f);
}

int cmd_meta_validate(const struct tool_args *args)
{
	return tool_each_image(args, args->is_set[OPT_DOCUMENT] ? validate_file : validate_image);
}
