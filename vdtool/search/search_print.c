/* SPDX-License-Identifier: MIT */
/*
 * See search_print.h. What is found is printed as it comes; with --sort it is kept in memory, as it
 * will be printed, and comes in order at the end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "output.h"
#include "search_print.h"

#define COLUMN       8 /* evidence begins at a multiple of it */
#define COLUMN_MAX   64
#define EVIDENCE_MIN 16

enum print_kind {
	PRINT_TABLE,
	PRINT_NUL,
	PRINT_FORMAT,
	PRINT_JSON,
	PRINT_EXEC,
	PRINT_NOTHING,
};
enum sort_kind { SORT_NOT, SORT_PATH, SORT_NAME, SORT_SIZE, SORT_MODIFIED };

/** A hit that waits for its place. */
struct kept {
	char *path;
	char *text; /* what else is printed */
	json_t *object;
	char *by; /* what it is sorted by, before the path */
	uint64_t number;
};

struct search_print {
	const struct search_plan *plan;
	enum print_kind kind;
	enum sort_kind sort;
	struct search_format *format;
	bool is_terminal, is_streamed;
	size_t columns; /* of the terminal; 0: any number */
	size_t column;  /* where evidence begins */
	struct kept *kept;
	size_t n_kept, room;
	uint64_t n_failed; /* commands of --exec */
	int exit_code;
};

static int no_memory(struct search_print *print)
{
	return print->exit_code = tool_say(TOOL_FAILED, NULL, "out of memory");
}

/* ---- options ---- */

static int check_kind(const struct tool_args *args, enum print_kind *kind)
{
	static const struct {
		enum tool_option_id id;
		enum print_kind kind;
		const char *name;
	} kinds[] = {
	    {OPT_PRINT0, PRINT_NUL, "--print0"}, {OPT_FORMAT, PRINT_FORMAT, "--format"},
	    {OPT_JSON, PRINT_JSON, "--json"},    {OPT_JSONL, PRINT_JSON, "--jsonl"},
	    {OPT_EXEC, PRINT_EXEC, "--exec"},
	};
	const char *first = NULL;

	*kind = PRINT_TABLE;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!args->is_set[kinds[i].id])
			continue;
		if (first && *kind != kinds[i].kind)
			return tool_usage(args->command, "%s and %s: which of them?", first,
					  kinds[i].name);
		first = kinds[i].name;
		*kind = kinds[i].kind;
	}
	if (args->is_set[OPT_COUNT] && first && *kind != PRINT_JSON)
		return tool_usage(args->command, "%s and --count: which of them?", first);
	if (args->is_set[OPT_COUNT])
		*kind = PRINT_NOTHING;
	return TOOL_DONE;
}

static enum sort_kind sort_of(const struct tool_args *args)
{
	static const char *const names[] = {"", "path", "name", "size", "modified"};
	size_t i = sizeof(names) / sizeof(names[0]) - 1;

	if (!args->is_set[OPT_SORT] || args->is_set[OPT_COUNT])
		return SORT_NOT;
	while (i && strcmp(args->text[OPT_SORT], names[i]) != 0)
		i--;
	return (enum sort_kind)i;
}

static void look_at_terminal(struct search_print *print)
{
	struct winsize size = {0};
	struct stat st;

	print->is_terminal = isatty(STDOUT_FILENO);
	if (print->is_terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
		print->columns = size.ws_col;
	/* Somebody waits for what goes into a pipe, nobody for what goes into a file. */
	print->is_streamed = fstat(STDOUT_FILENO, &st) != 0 || !S_ISREG(st.st_mode);
}

int search_print_begin(struct search_print **out, const struct search_plan *plan)
{
	const struct tool_args *args = plan->args;
	struct search_print *print = calloc(1, sizeof(*print));
	int exit_code;

	*out = print;
	if (!print)
		return tool_say(TOOL_FAILED, NULL, "out of memory");
	print->plan = plan;
	exit_code = check_kind(args, &print->kind);
	if (!exit_code)
		exit_code = search_exec_check(args);
	if (!exit_code && print->kind == PRINT_FORMAT)
		exit_code =
		    search_format_parse(&print->format, args->command, args->text[OPT_FORMAT]);
	print->sort = sort_of(args);
	look_at_terminal(print);
	return exit_code;
}

static void kept_free(struct kept *kept)
{
	free(kept->path);
	free(kept->text);
	free(kept->by);
	json_decref(kept->object);
}

void search_print_free(struct search_print *print)
{
	if (!print)
		return;
	for (size_t i = 0; i < print->n_kept; i++)
		kept_free(&print->kept[i]);
	free(print->kept);
	search_format_free(print->format);
	free(print);
}

/* ---- a hit as it will be printed ---- */

static json_t *to_json(const struct vd_query *query, const struct search_hit *hit)
{
	json_t *object = tool_json_object(hit->path), *matches = json_array();

	for (size_t i = 0; i < hit->n_facts; i++) {
		const struct vd_fact *entry = search_entry_of(query, hit, &hit->facts[i]);
		json_t *match = tool_json_object(NULL);

		tool_json_set_text(match, "field", hit->facts[i].field);
		tool_json_set_text(match, "value", hit->facts[i].value);
		if (entry)
			tool_json_set_text(match, "entry", entry->value);
		json_array_append_new(matches, match);
	}
	json_object_set_new(object, "matches", matches);
	return object;
}

static char *to_format(const struct search_print *print, const struct search_hit *hit)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	search_format_put(f, print->format, hit);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

/** Everything about a line for people but the path. */
static char *to_evidence(const struct search_print *print, const struct search_hit *hit)
{
	size_t width = 0;

	if (print->columns) {
		size_t path = (strlen(hit->path) / COLUMN + 1) * COLUMN + COLUMN;

		if (path < print->column)
			path = print->column;
		width = path + EVIDENCE_MIN < print->columns ? print->columns - path : EVIDENCE_MIN;
	}
	return search_evidence_text(print->plan->query, hit, width);
}

static bool fill(const struct search_print *print, const struct search_hit *hit, struct kept *kept)
{
	*kept = (struct kept){0};
	kept->path = strdup(hit->path);
	switch (print->kind) {
	case PRINT_TABLE:
		kept->text = to_evidence(print, hit);
		break;
	case PRINT_FORMAT:
		kept->text = to_format(print, hit);
		break;
	case PRINT_JSON:
		kept->object = to_json(print->plan->query, hit);
		break;
	default:
		return kept->path != NULL;
	}
	return kept->path && (kept->text || kept->object);
}

/* ---- printing ---- */

static void put_row(struct search_print *print, const struct kept *kept)
{
	char *path = tool_safe_text(kept->path);
	size_t width, next;

	if (!path) {
		no_memory(print);
		return;
	}
	width = search_text_width(path);
	next = ((width + 3) / COLUMN + 1) * COLUMN;
	if (next > print->column && next <= COLUMN_MAX)
		print->column = next;
	if (next < print->column)
		next = print->column;
	fputs(path, stdout);
	if (*kept->text)
		printf("%*s%s", (int)(next - width), "", kept->text);
	putchar('\n');
	free(path);
}

static void put(struct search_print *print, struct kept *kept)
{
	const struct tool_args *args = print->plan->args;
	int code;

	switch (print->kind) {
	case PRINT_TABLE:
		put_row(print, kept);
		break;
	case PRINT_NUL:
		if (print->is_terminal)
			tool_print_safe(stdout, kept->path);
		else
			fputs(kept->path, stdout);
		putchar('\0');
		break;
	case PRINT_FORMAT:
		fputs(kept->text, stdout);
		break;
	case PRINT_JSON:
		tool_json_put(kept->object);
		kept->object = NULL;
		break;
	case PRINT_EXEC:
		code = search_exec(args->exec, args->n_exec, kept->path);
		print->n_failed += code > 0;
		if (code < 0)
			print->exit_code = TOOL_FAILED;
		break;
	case PRINT_NOTHING:
		break;
	}
	if (print->is_streamed && print->sort == SORT_NOT)
		fflush(stdout);
	if (ferror(stdout))
		print->exit_code = TOOL_FAILED; /* tool_stdout_finish says why */
}

static void keep_first(void *user, const char *value)
{
	char **by = user;

	if (!*by)
		*by = strdup(value);
}

static bool keep(struct search_print *print, const struct search_hit *hit, struct kept *kept)
{
	const char *slash = strrchr(hit->path, '/');
	char *size = NULL;

	if (print->n_kept == print->room) {
		size_t room = print->room ? 2 * print->room : 64;
		struct kept *more = realloc(print->kept, room * sizeof(*more));

		if (!more)
			return false;
		print->kept = more;
		print->room = room;
	}
	if (print->sort == SORT_NAME)
		kept->by = strdup(slash ? slash + 1 : hit->path);
	if (print->sort == SORT_MODIFIED)
		search_each_value(hit, "image.modified", keep_first, &kept->by);
	if (print->sort == SORT_SIZE)
		search_each_value(hit, "image.file-size", keep_first, &size);
	kept->number = size ? strtoull(size, NULL, 10) : 0;
	free(size);
	print->kept[print->n_kept++] = *kept;
	return true;
}

int search_print_hit(void *user, const struct search_hit *hit)
{
	struct search_print *print = user;
	struct kept kept;

	if (print->kind == PRINT_NOTHING)
		return 0;
	if (!fill(print, hit, &kept)) {
		kept_free(&kept);
		return no_memory(print);
	}
	if (print->sort != SORT_NOT) {
		if (keep(print, hit, &kept))
			return 0;
		no_memory(print);
	} else {
		put(print, &kept);
	}
	kept_free(&kept);
	return print->exit_code;
}

/* ---- the end ---- */

static int in_order(const void *a, const void *b)
{
	const struct kept *x = a, *y = b;
	int by = strcmp(x->by ? x->by : "", y->by ? y->by : "");

	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	return by ? by : strcmp(x->path, y->path);
}

static void put_count(const struct search_stats *stats)
{
	json_t *object;

	if (!tool_json_is_on()) {
		printf("%llu\n", (unsigned long long)stats->n_found);
		return;
	}
	object = tool_json_object(NULL);
	tool_json_set_number(object, "count", stats->n_found);
	tool_json_set_number(object, "images", stats->n_images);
	tool_json_set_number(object, "skipped", stats->n_skipped);
	tool_json_put(object);
}

int search_print_end(struct search_print *print, const struct search_stats *stats)
{
	if (print->n_kept)
		qsort(print->kept, print->n_kept, sizeof(*print->kept), in_order);
	for (size_t i = 0; i < print->n_kept && !print->exit_code; i++)
		put(print, &print->kept[i]);
	if (print->kind == PRINT_NOTHING)
		put_count(stats);
	if (print->n_failed)
		return tool_say(TOOL_FAILED, NULL, "%llu of the commands of --exec failed",
				(unsigned long long)print->n_failed);
	return print->exit_code;
}
