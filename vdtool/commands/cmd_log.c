/* SPDX-License-Identifier: MIT */
/* vdtool log: what was done to an image, by whom. */
#include <inttypes.h>
#include <string.h>

#include "metadata.h"
#include "output.h"

struct log {
	const char *path;
	uint64_t n, n_told;
	bool is_verifying;
};

static void put_text(json_t *item, const char *key, const char *text)
{
	tool_json_set_text(item, key, text && *text ? text : NULL);
}

static void put_entry(const struct vd_history_entry *e)
{
	json_t *item = tool_json_object(NULL);
	char time[TOOL_TIME_TEXT], digest[65];

	tool_json_set_number(item, "number", e->number);
	tool_json_set_text(item, "time", tool_time_format(e->op.time, time));
	put_text(item, "actor", e->op.actor);
	put_text(item, "host", e->op.host);
	put_text(item, "tool", e->op.tool);
	put_text(item, "operation", e->op.operation);
	put_text(item, "parameters", e->op.parameters);
	put_text(item, "outcome", e->op.outcome);
	tool_json_set_number(item, "rolled_up", e->n_rolled_up);
	tool_hex(e->previous, sizeof(e->previous), digest);
	tool_json_set_text(item, "previous", digest);
	tool_hex(e->digest, sizeof(e->digest), digest);
	tool_json_set_text(item, "digest", digest);
	json_object_set_new(item, "linked", json_boolean(e->is_linked));
	tool_json_stream_item(item);
}

static void print_entry(const struct vd_history_entry *e)
{
	const struct vd_operation *op = &e->op;
	char time[TOOL_TIME_TEXT];

	printf("%6" PRIu64 "  %s  ", e->number, tool_time_format(op->time, time));
	tool_print_safe(stdout, op->actor && *op->actor ? op->actor : "-");
	if (op->host && *op->host) {
		putchar('@');
		tool_print_safe(stdout, op->host);
	}
	fputs("  ", stdout);
	tool_print_safe(stdout, op->operation ? op->operation : "-");
	if (op->parameters && *op->parameters) {
		putchar(' ');
		tool_print_safe(stdout, op->parameters);
	}
	if (op->outcome && *op->outcome && strcmp(op->outcome, "ok") != 0) {
		fputs("  [", stdout);
		tool_print_safe(stdout, op->outcome);
		putchar(']');
	}
	if (e->n_rolled_up)
		printf("  (stands for %" PRIu64 " older entries)", e->n_rolled_up);
	if (!e->is_linked)
		fputs("  BROKEN", stdout);
	putchar('\n');
}

static int hear_entry(void *user, const struct vd_history_entry *entry)
{
	struct log *log = user;

	log->n++;
	if (tool_json_is_on())
		put_entry(entry);
	else if (!log->is_verifying)
		print_entry(entry);
	if (log->is_verifying && !entry->is_linked) {
		log->n_told++;
		tool_say(TOOL_CORRUPT, log->path,
			 "entry %" PRIu64 " of the history was changed, or doesn't follow from the "
			 "one before",
			 entry->number);
	}
	return 0;
}

static int show_log(const char *path, const struct tool_args *args)
{
	struct log log = {.path = path, .is_verifying = args->is_set[OPT_VERIFY]};
	struct vd_error err = VD_ERROR_INIT;
	struct vd_meta_info info = {.size = sizeof(info)};
	struct vd_image *image;
	uint64_t n_broken = 0;
	int rc;

	if (tool_meta_look(&image, path, args, &err))
		return tool_fail_image(path, &err);
	if (tool_json_is_on())
		tool_json_stream_begin(path, "entries");
	else if (args->n_operands > 1 && !log.is_verifying) {
		tool_print_safe(stdout, path);
		puts(":");
	}
	rc = vd_meta_read_history(vd_image_meta(image), hear_entry, &log, &n_broken, &err);
	if (rc == VD_ENOENT) {
		/* None: nothing to show, and nothing wrong unless there was one. */
		vd_meta_get_info(vd_image_meta(image), &info);
		n_broken = info.n_history > 0;
		rc = 0;
	}
	if (tool_json_is_on()) {
		json_t *more = tool_json_object(NULL);

		tool_json_set_number(more, "broken", n_broken);
		if (rc)
			tool_json_set_error(more, &err);
		tool_json_stream_end(more);
	} else if (!rc && log.is_verifying && !n_broken) {
		tool_print_safe(stdout, path);
		printf(": %" PRIu64 " entr%s, every link is right\n", log.n,
		       log.n == 1 ? "y" : "ies");
	}
	if (!rc && log.is_verifying && n_broken > log.n_told)
		tool_say(TOOL_CORRUPT, path, "history: %s", TOOL_HISTORY_CUT);
	vd_image_close(image, NULL);
	if (rc)
		return tool_fail(path, &err);
	return log.is_verifying && n_broken ? TOOL_CORRUPT : TOOL_DONE;
}

int cmd_log(const struct tool_args *args)
{
	return tool_each_image(args, show_log);
}
