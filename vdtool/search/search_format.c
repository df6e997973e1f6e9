/* SPDX-License-Identifier: MIT */
/* --format: %p, %{field}, %%, and \t \n \\. Values come out harmless, whatever they hold. */
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "search_print.h"

enum piece_kind { PIECE_TEXT, PIECE_PATH, PIECE_FIELD };

struct piece {
	enum piece_kind kind;
	const char *text; /* of a field its name */
	size_t len;
};

struct search_format {
	char *text; /* what the pieces point into */
	struct piece *pieces;
	size_t n;
};

void search_format_free(struct search_format *format)
{
	if (!format)
		return;
	free(format->text);
	free(format->pieces);
	free(format);
}

static void add(struct search_format *format, enum piece_kind kind, const char *text, size_t len)
{
	struct piece *last = format->n ? &format->pieces[format->n - 1] : NULL;

	if (kind == PIECE_TEXT && last && last->kind == PIECE_TEXT &&
	    last->text + last->len == text)
		last->len += len;
	else
		format->pieces[format->n++] = (struct piece){kind, text, len};
}

/** "\t" at `at`; it is written over by what it means. NULL: nothing that is known. */
static char *take_escape(struct search_format *format, char *at)
{
	static const char letters[] = "tn\\", meant[] = "\t\n\\";
	const char *which = at[1] ? strchr(letters, at[1]) : NULL;

	if (!which)
		return NULL;
	at[1] = meant[which - letters];
	add(format, PIECE_TEXT, at + 1, 1);
	return at + 2;
}

/** What begins with "%" at `at`. NULL: nothing that is known, *bad says what if it isn't NULL. */
static char *take_directive(struct search_format *format, char *at, const char **bad)
{
	char *end;

	if (at[1] == '%')
		add(format, PIECE_TEXT, at + 1, 1);
	else if (at[1] == 'p')
		add(format, PIECE_PATH, at, 0);
	if (at[1] == '%' || at[1] == 'p')
		return at + 2;
	end = at[1] == '{' ? strchr(at, '}') : NULL;
	if (!end)
		return NULL;
	*end = '\0';
	*bad = at + 2;
	if (!vd_query_field_find(at + 2))
		return NULL;
	*bad = NULL;
	add(format, PIECE_FIELD, at + 2, (size_t)(end - at) - 2);
	return end + 1;
}

int search_format_parse(struct search_format **out, const struct tool_command *command,
			const char *text)
{
	struct search_format *format = calloc(1, sizeof(*format));
	const char *bad = NULL;
	char *at = NULL, *before;

	if (format) {
		format->text = at = strdup(text);
		format->pieces = calloc(strlen(text) + 1, sizeof(*format->pieces));
	}
	*out = format;
	if (!at || !format->pieces)
		return tool_say(TOOL_FAILED, NULL, "out of memory");
	for (before = at; at && *at; before = at ? at : before) {
		if (*at == '\\')
			at = take_escape(format, at);
		else if (*at == '%')
			at = take_directive(format, at, &bad);
		else
			add(format, PIECE_TEXT, at, 1), at++;
	}
	if (bad)
		return tool_usage(command, "--format: there is no field \"%s\" (vdtool fields)",
				  bad);
	if (!at)
		return tool_usage(command,
				  "--format: \"%.20s\" isn't known: say %%p, %%{FIELD}, %%%%, \\t, "
				  "\\n or \\\\",
				  before);
	return TOOL_DONE;
}

/** The first fact of a sorted run whose field isn't before `field`. */
static size_t find_field(const struct vd_fact_run *run, const char *field)
{
	size_t low = 0, high = run->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(run->facts[middle].field, field) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void search_each_value(const struct search_hit *hit, const char *field, search_value_fn fn,
		       void *user)
{
	for (size_t r = 0; r < hit->n_runs; r++) {
		const struct vd_fact_run *run = &hit->runs[r];

		for (size_t i = find_field(run, field);
		     i < run->n && strcmp(run->facts[i].field, field) == 0; i++)
			fn(user, run->facts[i].value);
	}
}

struct joined {
	FILE *f;
	const char *before;
};

static void put_value(void *user, const char *value)
{
	struct joined *joined = user;

	fputs(joined->before, joined->f);
	tool_print_safe(joined->f, value);
	joined->before = ",";
}

void search_format_put(FILE *f, const struct search_format *format, const struct search_hit *hit)
{
	for (size_t i = 0; i < format->n; i++) {
		const struct piece *piece = &format->pieces[i];
		struct joined joined = {f, ""};

		if (piece->kind == PIECE_TEXT)
			fwrite(piece->text, 1, piece->len, f);
		else if (piece->kind == PIECE_PATH)
			tool_print_safe(f, hit->path);
		else
			search_each_value(hit, piece->text, put_value, &joined);
	}
}
