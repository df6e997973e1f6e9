/* SPDX-License-Identifier: MIT */
/* vdtool search: which images fit a question? Looks into each, or asks a catalog. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "image.h"
#include "metadata.h"
#include "output.h"
#include "policy_case.h"
#include "search/search_print.h"

#define WINDOW_BEFORE 48 /* bytes of a query that are shown before and behind a fault */
#define WINDOW_AFTER  24

/** A copy of the bytes, harmless. */
static char *harmless(const char *text, size_t len)
{
	char *plain = strndup(text, len), *safe = plain ? tool_safe_text(plain) : NULL;

	free(plain);
	return safe;
}

/** The text with a caret beneath the byte at `offset`. */
static void point_at(const char *text, uint64_t offset)
{
	size_t len = strlen(text), at = offset > len ? len : (size_t)offset;
	size_t from = at > WINDOW_BEFORE ? at - WINDOW_BEFORE : 0;
	size_t to = len - at > WINDOW_AFTER ? at + WINDOW_AFTER : len;
	const char *left = from ? "..." : "", *right = to < len ? "..." : "";
	char *before, *behind;

	/* Not within a letter. */
	while (from < at && ((unsigned char)text[from] & 0xc0) == 0x80)
		from++;
	while (to > at && to < len && ((unsigned char)text[to] & 0xc0) == 0x80)
		to--;
	before = harmless(text + from, at - from);
	behind = harmless(text + at, to - at);
	if (before && behind)
		fprintf(stderr, "  %s%s%s%s\n  %*s^\n", left, before, behind, right,
			(int)(strlen(left) + search_text_width(before)), "");
	free(before);
	free(behind);
}

/** The question can't be understood. Returns an exit code, after saying. */
static int bad_question(const struct tool_args *args, const char *text, const struct vd_error *err)
{
	bool is_fault = err->code == VD_EINVAL || err->code == VD_ERANGE;

	tool_say(TOOL_USAGE, args->command->name, "%s", err->text);
	if (is_fault && err->offset != VD_NO_OFFSET)
		point_at(text, err->offset);
	if (tool_json_is_on()) {
		json_t *object = tool_json_object(NULL);

		tool_json_set_text(object, "query", text);
		tool_json_set_error(object, err);
		tool_json_set_number(object, "offset", err->offset);
		tool_json_put(object);
	}
	return is_fault ? TOOL_USAGE : tool_exit_for(err->code);
}

static int parse_question(const struct tool_args *args, struct vd_query **query)
{
	bool is_xpath = args->is_set[OPT_XPATH];
	const char *text = is_xpath ? "*" : args->operands[0];
	struct vd_error err = VD_ERROR_INIT;
	struct vd_xpath *xpath = NULL;

	if (vd_query_parse(query, text, NULL, &err))
		return bad_question(args, text, &err);
	/* Each thread compiles its own; here only to hear whether it can be. */
	if (is_xpath && vd_xpath_compile(&xpath, args->text[OPT_XPATH], &err))
		return bad_question(args, args->text[OPT_XPATH], &err);
	vd_xpath_free(xpath);
	return TOOL_DONE;
}

/** QUERY PATH..., or with --xpath PATH...; a catalog has its own paths. */
static int check_operands(const struct tool_args *args)
{
	int n_questions = args->is_set[OPT_XPATH] ? 0 : 1;

	if (args->is_set[OPT_XPATH] && args->is_set[OPT_CATALOG])
		return tool_usage(args->command,
				  "--xpath looks into images, and a catalog has only their facts");
	if (args->is_set[OPT_CATALOG] && (args->is_set[OPT_ONE_FS] || args->is_set[OPT_SIDECAR]))
		return tool_usage(args->command,
				  "%s is for looking into images; for a catalog it is the sync "
				  "that did",
				  args->is_set[OPT_ONE_FS] ? "-x" : "--sidecar");
	if (args->n_operands < n_questions)
		return tool_usage(args->command, "what is searched for?");
	if (args->n_operands == n_questions && !args->is_set[OPT_CATALOG])
		return tool_usage(args->command, "where? %s",
				  n_questions ? "it takes QUERY PATH..."
					      : "with --xpath it takes PATH...");
	return TOOL_DONE;
}

/** "1,204" */
static const char *grouped(uint64_t n, char text[32])
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n), at = 0;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			text[at++] = ',';
		text[at++] = digits[i];
	}
	text[at] = '\0';
	return text;
}

/** The line below the table. */
static void put_summary(const struct search_stats *stats, double seconds)
{
	char found[32], images[32], skipped[32];

	fflush(stdout);
	fprintf(stderr, "%s of %s image%s, %.2f s", grouped(stats->n_found, found),
		grouped(stats->n_images, images), stats->n_images == 1 ? "" : "s", seconds);
	if (stats->n_skipped)
		fprintf(stderr, " (%s skipped)", grouped(stats->n_skipped, skipped));
	fputc('\n', stderr);
}

static bool is_for_people(const struct tool_args *args)
{
	return !args->is_set[OPT_QUIET] && !tool_json_is_on() && !args->is_set[OPT_PRINT0] &&
	       !args->is_set[OPT_FORMAT] && !args->is_set[OPT_EXEC] && !args->is_set[OPT_COUNT];
}

static int run(const struct search_plan *plan, struct search_print *print,
	       struct search_stats *stats)
{
	const struct tool_args *args = plan->args;
	double start = tool_now();
	char n[32];
	int exit_code = args->is_set[OPT_CATALOG]
			    ? search_catalog(plan, search_print_hit, print, stats)
			    : search_direct(plan, search_print_hit, print, stats);

	exit_code = tool_exit_worse(exit_code, search_print_end(print, stats));
	/* A catalog that can't be opened has no figures. */
	if (is_for_people(args) && (!exit_code || stats->n_images))
		put_summary(stats, tool_now() - start);
	if (stats->n_no_index)
		tool_note("%s image%s no file index (vdtool meta scan --files makes one)",
			  grouped(stats->n_no_index, n),
			  stats->n_no_index == 1 ? " has" : "s have");
	if (args->is_set[OPT_STRICT] && stats->n_skipped)
		exit_code = tool_exit_worse(exit_code, TOOL_FAILED);
	return exit_code || stats->n_found ? exit_code : TOOL_DIFFERS;
}

int cmd_search(const struct tool_args *args)
{
	struct search_plan plan = {.args = args, .now = (int64_t)time(NULL)};
	int n_questions = args->is_set[OPT_XPATH] ? 0 : 1;
	struct search_stats stats = {0};
	struct search_print *print = NULL;
	struct vd_query *query = NULL;
	int exit_code = check_operands(args);

	if (!exit_code && args->is_set[OPT_AT] &&
	    !policy_time(args->text[OPT_AT], plan.now, &plan.now))
		exit_code =
		    tool_usage(args->command,
			       "--at %s isn't a time: say 2027-01-31, 2027-01-31T12:00:00Z, +90d",
			       args->text[OPT_AT]);
	if (!exit_code)
		exit_code = parse_question(args, &query);
	plan.query = query;
	plan.paths = (const char *const *)args->operands + n_questions;
	plan.n_paths = (size_t)(args->n_operands - n_questions);
	if (!exit_code)
		exit_code = search_print_begin(&print, &plan);
	if (!exit_code && !args->is_set[OPT_CATALOG])
		search_apart();
	if (!exit_code)
		exit_code = run(&plan, print, &stats);
	/* The frame is closed here: what failed was an image, not the first operand. */
	tool_json_end(args, TOOL_DONE);
	if (stats.has_hung)
		search_apart_leave(tool_stdout_finish(exit_code));
	search_print_free(print);
	vd_query_free(query);
	return exit_code;
}
