/* SPDX-License-Identifier: MIT */
/*
 * naive FOLDER NOW < QUERIES: the images of FOLDER (made by generate_images, with a list `fields`)
 * that fit each query, a line a query: their numbers, or "error BYTE". In a query, the signs for
 * line feed and tab (U+240A, U+2409) stand for these.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "third/naive.h"
#include "third/naive_load.h"

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

static void answer(const char *text)
{
	struct naive_mark before = naive_mark(), mark;
	size_t offset = 0;
	struct naive_query *query = naive_parse(text, &offset);

	mark = naive_mark();
	if (!query)
		printf("error %zu", offset);
	for (size_t i = 0; query && i < naive.n_images; i++) {
		if (naive_match(query, &naive.images[i]))
			printf(" %zu", i);
		naive_release(mark);
	}
	putchar('\n');
	naive_release(before);
}

int main(int argc, char **argv)
{
	char *line = NULL;
	size_t room = 0;

	if (argc != 3)
		naive_die("operands", "which folder, and when?");
	naive_load(argv[1], argv[1]);
	naive.now = strtoll(argv[2], NULL, 10);
	while (getline(&line, &room, stdin) > 0) {
		line[strcspn(line, "\n")] = '\0';
		undo_signs(line);
		answer(line);
	}
	free(line);
	return 0;
}
