/* SPDX-License-Identifier: MIT */
/* vdtool check */
#include <inttypes.h>

#include "image.h"
#include "output.h"

struct tally {
	const char *path;
	uint64_t n[3]; /* by severity */
};

static const char *const severity_names[] = {"note", "warning", "error"};

static void put_finding(const struct vd_finding *f, const char *severity)
{
	json_t *item = tool_json_object(NULL);

	tool_json_set_text(item, "severity", severity);
	tool_json_set_text(item, "rule", f->rule);
	tool_json_set_text(item, "section", f->section);
	tool_json_set_number(item, "offset", f->offset);
	tool_json_set_text(item, "found", f->found);
	tool_json_set_text(item, "expected", f->expected);
	tool_json_stream_item(item);
}

static void hear_finding(void *user, const struct vd_finding *f)
{
	struct tally *tally = user;
	unsigned severity = f->severity <= VD_FINDING_ERROR ? f->severity : VD_FINDING_ERROR;

	tally->n[severity]++;
	if (tool_json_is_on()) {
		put_finding(f, severity_names[severity]);
		return;
	}
	tool_print_safe(stdout, tally->path);
	printf(": %s: ", severity_names[severity]);
	if (f->offset != VD_NO_OFFSET)
		printf("offset %" PRIu64 ": ", f->offset);
	tool_print_safe(stdout, f->found ? f->found : "");
	if (f->expected && *f->expected) {
		fputs("; expected ", stdout);
		tool_print_safe(stdout, f->expected);
	}
	fputs("  [", stdout);
	tool_print_safe(stdout, f->section ? f->section : "");
	fputs(f->section && *f->section ? ", " : "", stdout);
	tool_print_safe(stdout, f->rule ? f->rule : "");
	puts("]");
}

static void print_result(const struct tally *tally)
{
	tool_print_safe(stdout, tally->path);
	if (!tally->n[0] && !tally->n[1] && !tally->n[2]) {
		puts(": every rule is kept");
		return;
	}
	printf(": %" PRIu64 " error%s, %" PRIu64 " warning%s, %" PRIu64 " note%s\n",
	       tally->n[VD_FINDING_ERROR], tally->n[VD_FINDING_ERROR] == 1 ? "" : "s",
	       tally->n[VD_FINDING_WARNING], tally->n[VD_FINDING_WARNING] == 1 ? "" : "s",
	       tally->n[VD_FINDING_NOTE], tally->n[VD_FINDING_NOTE] == 1 ? "" : "s");
}

static int check(const char *path, const struct tool_args *args)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct tally tally = {.path = path};
	uint64_t n_errors = 0;
	int rc;

	opts.format = args->text[OPT_SOURCE_FORMAT];
	opts.parent_roots = args->parent_roots;
	opts.n_parent_roots = args->n_parent_roots;
	if (tool_json_is_on())
		tool_json_stream_begin(path, "findings");
	rc = vd_disk_check(path, &opts, hear_finding, &tally, &n_errors, &err);
	if (tool_json_is_on()) {
		json_t *more = tool_json_object(NULL);

		tool_json_set_number(more, "errors", tally.n[VD_FINDING_ERROR]);
		tool_json_set_number(more, "warnings", tally.n[VD_FINDING_WARNING]);
		tool_json_set_number(more, "notes", tally.n[VD_FINDING_NOTE]);
		if (rc)
			tool_json_set_error(more, &err);
		tool_json_stream_end(more);
	}
	if (rc)
		return tool_fail(path, &err);
	if (!tool_json_is_on())
		print_result(&tally);
	return n_errors ? TOOL_CORRUPT : TOOL_DONE;
}

int cmd_check(const struct tool_args *args)
{
	int exit_code = TOOL_DONE;

	for (int i = 0; i < args->n_operands; i++)
		exit_code = tool_exit_worse(exit_code, check(args->operands[i], args));
	return exit_code;
}
