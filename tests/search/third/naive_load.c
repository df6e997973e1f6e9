/* SPDX-License-Identifier: MIT */
/* The lists that the generator wrote, and memory that goes when a question is answered. */
#include "naive_load.h"
#include "naive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK ((size_t)4 << 20)

struct naive naive;

static struct chunk {
	struct chunk *before;
	size_t size, used;
	char bytes[];
} * last;

void naive_die(const char *what, const char *why)
{
	fprintf(stderr, "naive: %s: %s\n", what, why);
	exit(2);
}

void *naive_memory(size_t size)
{
	char *p;

	size = (size + 15) & ~(size_t)15;
	if (!last || last->size - last->used < size) {
		size_t n = size > CHUNK ? size : CHUNK;
		struct chunk *chunk = malloc(sizeof(*chunk) + n);

		if (!chunk)
			naive_die("memory", "none left");
		chunk->before = last;
		chunk->size = n;
		chunk->used = 0;
		last = chunk;
	}
	p = last->bytes + last->used;
	last->used += size;
	return memset(p, 0, size);
}

char *naive_text(const char *from, size_t len)
{
	char *copy = naive_memory(len + 1);

	return memcpy(copy, from, len);
}

struct naive_mark naive_mark(void)
{
	naive_memory(1); /* so that there is a chunk */
	return (struct naive_mark){last, last->used};
}

void naive_release(struct naive_mark mark)
{
	while (last != (struct chunk *)mark.chunk) {
		struct chunk *before = last->before;

		free(last);
		last = before;
	}
	last->used = mark.used;
}

/* ---- lists ---- */

/* Lines of a file, each cut at tabs into `n` columns, what follows a backslash undone. */
struct list {
	FILE *f;
	char *line, *column[4];
	size_t room;
};

static void open_list(struct list *list, const char *folder, const char *name)
{
	char path[4096];

	memset(list, 0, sizeof(*list));
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	list->f = fopen(path, "r");
	if (!list->f)
		naive_die(path, "can't be read");
}

static void undo_backslashes(char *text)
{
	char *out = text;

	for (; *text; text++) {
		if (*text == '\\') {
			text++;
			*out++ = *text == 'n' ? '\n' : *text == 't' ? '\t' : *text;
		} else {
			*out++ = *text;
		}
	}
	*out = '\0';
}

static bool next_line(struct list *list)
{
	ssize_t len = getline(&list->line, &list->room, list->f);
	char *p = list->line;

	if (len <= 0) {
		free(list->line);
		fclose(list->f);
		return false;
	}
	p[strcspn(p, "\n")] = '\0';
	for (int k = 0; k < 4; k++) {
		char *tab = strchr(p, '\t');

		list->column[k] = p;
		if (tab)
			*tab = '\0';
		p = tab ? tab + 1 : p + strlen(p);
	}
	for (int k = 0; k < 4; k++)
		undo_backslashes(list->column[k]);
	return true;
}

static char *copy(const char *text)
{
	return naive_text(text, strlen(text));
}

static void *grow(void *array, size_t n, size_t size)
{
	if (n & (n - 1))
		return array;
	array = realloc(array, (n ? 2 * n : 1) * size);
	if (!array)
		naive_die("memory", "none left");
	memset((char *)array + n * size, 0, (n ? n : 1) * size);
	return array;
}

static void load_fields(const char *path)
{
	struct list list;

	open_list(&list, path, "fields");
	while (next_line(&list)) {
		struct naive_field *f;

		naive.fields = grow(naive.fields, naive.n_fields, sizeof(*f));
		f = &naive.fields[naive.n_fields++];
		f->name = copy(list.column[0]);
		f->type = copy(list.column[1]);
		f->choices = copy(list.column[2]);
	}
}

static unsigned field_of(const char *name)
{
	for (size_t k = 0; k < naive.n_fields; k++)
		if (!strcmp(naive.fields[k].name, name))
			return (unsigned)k;
	naive_die(name, "no such field");
}

static struct naive_image *image_of(const char *number)
{
	size_t i = strtoul(number, NULL, 10);

	if (i >= naive.n_images)
		naive_die(number, "no such image");
	return &naive.images[i];
}

void naive_load(const char *folder, const char *fields)
{
	struct list list;

	load_fields(fields);
	open_list(&list, folder, "paths");
	while (next_line(&list)) {
		naive.images = grow(naive.images, naive.n_images, sizeof(*naive.images));
		naive.images[naive.n_images++].path = copy(list.column[0]);
	}
	open_list(&list, folder, "facts");
	while (next_line(&list)) {
		struct naive_image *image = image_of(list.column[0]);
		struct naive_fact *fact;

		image->facts = grow(image->facts, image->n_facts, sizeof(*fact));
		fact = &image->facts[image->n_facts++];
		fact->field = field_of(list.column[1]);
		fact->value = copy(list.column[2]);
		fact->key = naive_key(fact->value);
		fact->group = (unsigned)strtoul(list.column[3], NULL, 10);
	}
	open_list(&list, folder, "files");
	while (next_line(&list)) {
		struct naive_image *image = image_of(list.column[0]);
		struct naive_file *file;

		image->files = grow(image->files, image->n_files, sizeof(*file));
		file = &image->files[image->n_files++];
		file->path = copy(list.column[1]);
		file->key = naive_key(file->path);
		file->sha256 = copy(list.column[2]);
	}
}
