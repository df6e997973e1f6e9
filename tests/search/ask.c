/* SPDX-License-Identifier: MIT */
/*
 * ask FOLDER NOW < QUERIES: the images of FOLDER (made by generate_images) that fit each query, by
 * the library: a line a query, numbers of images or "error BYTE" (as naive). Each image is opened
 * once, its facts are kept; with "-d" in front they are derived from the documents, as policy does.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <vdisk/image.h>
#include <vdisk/query.h>

struct file {
	char *path;
	bool has_sha256;
	uint8_t sha256[32];
};
struct subject {
	struct vd_fact *facts; /* of the documents */
	size_t n_facts;
	struct vd_fact_set *own; /* of the file itself */
	struct file *files;
	size_t n_files;
	bool has_index;
};

static _Noreturn void die(const char *what, const char *why)
{
	fprintf(stderr, "ask: %s: %s\n", what, why);
	exit(2);
}

static void *grow(void *array, size_t n, size_t size)
{
	if (n & (n - 1))
		return array;
	array = realloc(array, (n ? 2 * n : 1) * size);
	if (!array)
		die("memory", "none left");
	return array;
}

static int keep_file(void *user, const struct vd_indexed_file *file)
{
	struct subject *s = user;
	struct file *f;

	s->files = grow(s->files, s->n_files, sizeof(*f));
	f = &s->files[s->n_files++];
	f->path = strdup(file->path);
	f->has_sha256 = file->sha256 != NULL;
	if (file->sha256)
		memcpy(f->sha256, file->sha256, 32);
	return 0;
}

/* What the metadata lends only while it is open. */
static void keep_facts(struct subject *s, const struct vd_fact *facts, size_t n)
{
	s->facts = calloc(n + 1, sizeof(*facts));
	s->n_facts = n;
	for (size_t k = 0; k < n; k++) {
		s->facts[k].field = strdup(facts[k].field);
		s->facts[k].value = strdup(facts[k].value);
		s->facts[k].key = strdup(facts[k].key);
		s->facts[k].group = facts[k].group;
	}
}

/* Who looks at the file tells when it was changed (as vdtool does). */
static void add_modified(struct subject *s, const char *path)
{
	struct vd_error err = VD_ERROR_INIT;
	struct stat st;
	char text[64];
	struct tm tm;

	if (stat(path, &st))
		die(path, "is gone");
	gmtime_r(&st.st_mtime, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (vd_fact_set_add(s->own, "image.modified", text, 0, &err))
		die(path, err.text);
}

static void look_at(struct subject *s, const char *path, bool derive)
{
	struct vd_error err = VD_ERROR_INIT;
	const struct vd_fact *facts;
	struct vd_image *image;
	size_t n;
	int rc;

	if (vd_image_open(&image, path, VD_PURPOSE_INSPECT, NULL, NULL, &err) ||
	    vd_meta_get_facts(vd_image_meta(image), derive, &facts, &n, &err) ||
	    vd_fact_set_create(&s->own, &err))
		die(path, err.text);
	keep_facts(s, facts, n);
	rc = vd_meta_read_file_index(vd_image_meta(image), keep_file, s, &err);
	s->has_index = rc == 0;
	if ((rc && rc != VD_ENOENT) ||
	    vd_image_add_facts(vd_image_disk(image), vd_image_meta(image), s->own, &err))
		die(path, err.text);
	vd_image_close(image, NULL);
	add_modified(s, path);
}

static int ask_files(void *user, const struct vd_query_node *node, char *path, size_t size,
		     struct vd_error *err)
{
	const struct subject *s = user;

	(void)err;
	for (size_t k = 0; k < s->n_files; k++) {
		const struct file *f = &s->files[k];

		if (vd_query_match_file(node, f->path, NULL, f->has_sha256 ? f->sha256 : NULL)) {
			snprintf(path, size, "%s", f->path);
			return 1;
		}
	}
	return s->has_index ? 0 : VD_ENOENT;
}

/* The signs for line feed and tab in a line of queries, and \n in one of paths. */
static void undo_signs(char *text)
{
	char *out = text;

	for (; *text; text++) {
		if (!strncmp(text, "\xe2\x90\x8a", 3) || !strncmp(text, "\xe2\x90\x89", 3)) {
			*out++ = text[2] == '\x8a' ? '\n' : '\t';
			text += 2;
		} else {
			*out++ = *text;
		}
	}
	*out = '\0';
}

static void answer(const char *text, struct subject *subjects, size_t n, int64_t now)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_query *query, *again;

	if (vd_query_parse(&query, text, NULL, &err)) {
		printf("error %" PRIi64 "\n", (int64_t)err.offset);
		return;
	}
	/* What it is written anew as has to mean the same, and to be written so again. */
	if (vd_query_parse(&again, vd_query_text(query), NULL, &err)) {
		printf("error: written anew as %s: %s\n", vd_query_text(query), err.text);
		return;
	}
	if (strcmp(vd_query_text(query), vd_query_text(again)) != 0) {
		printf("error: written anew as %s, then as %s\n", vd_query_text(query),
		       vd_query_text(again));
		return;
	}
	for (size_t i = 0; i < n; i++) {
		struct vd_query_answer first = {.size = sizeof(first)}, second = first;
		struct vd_query_subject subject = {.size = sizeof(subject), .n_runs = 2};

		subject.runs[0].facts = subjects[i].facts;
		subject.runs[0].n = subjects[i].n_facts;
		subject.runs[1].facts = vd_fact_set_facts(subjects[i].own, &subject.runs[1].n);
		subject.now = now;
		subject.files = ask_files;
		subject.user = &subjects[i];
		if (vd_query_match(query, &subject, &first, &err) ||
		    vd_query_match(again, &subject, &second, &err))
			die(text, err.text);
		if (first.is_match != second.is_match)
			die(text, "written anew it means something else");
		if (first.is_match)
			printf(" %zu", i);
	}
	putchar('\n');
	vd_query_free(query);
	vd_query_free(again);
}

static size_t read_paths(const char *folder, struct subject **subjects, bool derive)
{
	char path[4096], *line = NULL;
	size_t room = 0, n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/paths", folder);
	f = fopen(path, "r");
	if (!f)
		die(path, "can't be read");
	for (; getline(&line, &room, f) > 0; n++) {
		char *feed = strstr(line, "\\n");

		line[strcspn(line, "\n")] = '\0';
		if (feed) {
			*feed = '\n';
			memmove(feed + 1, feed + 2, strlen(feed + 2) + 1);
		}
		*subjects = grow(*subjects, n, sizeof(**subjects));
		memset(&(*subjects)[n], 0, sizeof(**subjects));
		look_at(&(*subjects)[n], line, derive);
	}
	free(line);
	fclose(f);
	return n;
}

int main(int argc, char **argv)
{
	bool derive = argc > 1 && !strcmp(argv[1], "-d");
	struct subject *subjects = NULL;
	char *line = NULL;
	size_t room = 0, n;

	if (argc != 3 + derive)
		die("operands", "which folder, and when?");
	n = read_paths(argv[1 + derive], &subjects, derive);
	while (getline(&line, &room, stdin) > 0) {
		line[strcspn(line, "\n")] = '\0';
		undo_signs(line);
		answer(line, subjects, n, strtoll(argv[2 + derive], NULL, 10));
	}
	free(line);
	return 0;
}
