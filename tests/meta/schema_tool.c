/* SPDX-License-Identifier: MIT */
/*
 * What the schemas' tests ask the library: schema_tool fields | categories | validate FILE... |
 * values FILE | set FILE FIELD[+-]=VALUE... | bench N FILE...
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "xml/doc.h"

static struct vd_error err = VD_ERROR_INIT;

static int fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, err.text);
	return 1;
}

static int show_fields(void)
{
	const struct vd_field *f;

	for (size_t i = 0; (f = vd_field_at(i)); i++)
		printf("%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f->name, vd_field_type_name(f->type),
		       f->category->name, f->is_list ? "list" : "one",
		       f->is_derived ? "derived" : "set", f->choices ? f->choices : "", f->summary);
	return 0;
}

static int show_categories(void)
{
	const struct vd_category *c;

	for (size_t i = 0; (c = vd_category_at(i)); i++)
		printf("%s\t%s\t%s\t%s\n", c->name, c->xmlns, c->is_disk_scope ? "disk" : "file",
		       c->summary);
	return 0;
}

static int load(struct vd_doc **doc, const char *path)
{
	static char bytes[(2 << 20) + 1];
	FILE *file = fopen(path, "rb");
	size_t n;

	if (!file) {
		perror(path);
		exit(2);
	}
	n = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	return vd_doc_parse(doc, bytes, n, &err);
}

static void show_fault(void *user, int line, const char *text)
{
	printf("%s:%d: %s\n", (const char *)user, line, text);
}

static int show_value(void *user, const struct vd_field *field, const char *value, uint32_t group)
{
	(void)user;
	printf("%s=%s", field->name, value);
	if (group)
		printf("\t[%u]", group);
	putchar('\n');
	return 0;
}

/** Valid, and all its values can be read: "ok PATH", else "wrong PATH". */
static int validate(char *path)
{
	struct vd_doc *doc = NULL;
	int ret = load(&doc, path);

	if (ret)
		printf("%s: %s\n", path, err.text);
	else
		ret = vd_doc_validate(doc, show_fault, path, &err);
	if (ret == VD_ENOENT)
		ret = 0; /* a vendor's: that it is XML is all */
	vd_doc_free(doc);
	printf("%s %s\n", ret ? "wrong" : "ok", path);
	return ret != 0;
}

static int values(const char *path)
{
	struct vd_doc *doc;

	if (load(&doc, path) || vd_doc_each_value(doc, show_value, NULL, &err))
		return fail(path);
	vd_doc_free(doc);
	return 0;
}

/** FIELD=VALUE, FIELD+=VALUE, FIELD-=VALUE, FIELD-= */
static int set_one(struct vd_doc *doc, char *edit)
{
	char *equals = strchr(edit, '='), *value;
	enum vd_field_edit how = VD_FIELD_SET;
	const struct vd_field *field;

	if (!equals)
		exit(2);
	value = equals + 1;
	if (equals > edit && equals[-1] == '+')
		how = VD_FIELD_ADD;
	else if (equals > edit && equals[-1] == '-')
		how = VD_FIELD_REMOVE;
	equals[how == VD_FIELD_SET ? 0 : -1] = '\0';
	field = vd_field_find(edit);
	return vd_doc_set_field(doc, field, how, how == VD_FIELD_REMOVE && !*value ? NULL : value,
				&err);
}

static int set(const char *path, char **edits, int n)
{
	struct vd_doc *doc;
	char *bytes;
	size_t len;

	if (strchr(path, '/') || strchr(path, '.')
		? load(&doc, path)
		: vd_doc_create(&doc, vd_category_find(path), &err))
		return fail(path);
	for (int i = 0; i < n; i++) {
		if (set_one(doc, edits[i]))
			return fail(path);
	}
	if (vd_doc_format(doc, &bytes, &len, &err))
		return fail(path);
	fwrite(bytes, 1, len, stdout);
	vd_free(bytes);
	vd_doc_free(doc);
	return 0;
}

static int count_value(void *user, const struct vd_field *field, const char *value, uint32_t group)
{
	(void)field;
	(void)value;
	(void)group;
	++*(size_t *)user;
	return 0;
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/** All files as the documents of one image: how long one takes to be read, in microseconds. */
static int bench(int n, char **paths, int n_paths)
{
	double start = now_us(), parse = 0, valid = 0, each = 0, first = 0;
	static char bytes[16][1 << 20];
	size_t len[16], total = 0, n_values = 0;

	for (int i = 0; i < n_paths && i < 16; i++) {
		FILE *file = fopen(paths[i], "rb");

		if (!file)
			return 2;
		len[i] = fread(bytes[i], 1, sizeof(bytes[i]), file);
		total += len[i];
		fclose(file);
	}
	for (int round = 0; round <= n; round++) {
		if (round == 1) {
			first = now_us() - start;
			parse = valid = each = 0;
			n_values = 0;
		}
		for (int i = 0; i < n_paths && i < 16; i++) {
			struct vd_doc *doc;
			double t[4];

			t[0] = now_us();
			if (vd_doc_parse(&doc, bytes[i], len[i], &err))
				return fail(paths[i]);
			t[1] = now_us();
			if (vd_doc_validate(doc, NULL, NULL, &err))
				return fail(paths[i]);
			t[2] = now_us();
			if (vd_doc_each_value(doc, count_value, &n_values, &err))
				return fail(paths[i]);
			t[3] = now_us();
			vd_doc_free(doc);
			parse += t[1] - t[0] + (now_us() - t[3]);
			valid += t[2] - t[1];
			each += t[3] - t[2];
		}
	}
	printf(
	    "%d documents, %zu bytes, %zu values: parse %.1f us, validate %.1f us, values %.1f us; "
	    "the first time %.0f us\n",
	    n_paths, total, n_values / (size_t)n, parse / n, valid / n, each / n, first);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int bad = 0;

	if (strcmp(what, "fields") == 0)
		return show_fields();
	if (strcmp(what, "categories") == 0)
		return show_categories();
	if (strcmp(what, "values") == 0 && argc == 3)
		return values(argv[2]);
	if (strcmp(what, "set") == 0 && argc > 2)
		return set(argv[2], argv + 3, argc - 3);
	if (strcmp(what, "bench") == 0 && argc > 3)
		return bench(atoi(argv[2]), argv + 3, argc - 3);
	if (strcmp(what, "validate") != 0)
		return 2;
	for (int i = 2; i < argc; i++)
		bad |= validate(argv[i]);
	return bad;
}
