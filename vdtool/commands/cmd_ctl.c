/* SPDX-License-Identifier: MIT */
/* vdtool ctl: talk to the process that has the image open. */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vdisk/meta.h>
#include <vdisk/sys/io.h>

#include "compacting.h"
#include "control.h"
#include "follow.h"
#include "image.h"
#include "output.h"
#include "progress.h"
#include "remote.h"
#include "tempfile.h"

/** Nobody to talk to: because it isn't in use, or because who uses it doesn't listen. */
static int say_nobody(const char *path)
{
	struct vd_error err = VD_ERROR_INIT, more = VD_ERROR_INIT;
	struct vd_io *io;
	int rc = vd_io_open_file(&io, path, 0, &err);

	if (!rc) {
		rc = vd_io_lock(io, VD_IO_LOCK_EXCLUSIVE, &err);
		vd_io_close(io);
		if (!rc)
			vd_error_set(&err, VD_ENOENT, 0, VD_NO_OFFSET,
				     "not in use: there is nobody to talk to");
	}
	tool_remote_explain(path, &err);
	if (err.code == VD_EBUSY && strstr(err.text, "(pid ")) {
		vd_error_set(&more, VD_EBUSY, 0, VD_NO_OFFSET, "%s; it has no control channel",
			     err.text);
		err = more;
	}
	tool_json_put_error(path, &err);
	return tool_fail(path, &err);
}

static void print_member(const json_t *object, const char *key, const char *label)
{
	const json_t *value = json_object_get(object, key);
	char size[TOOL_SIZE_TEXT];

	if (json_is_string(value)) {
		printf("  %-12s ", label);
		tool_print_safe(stdout, json_string_value(value));
		putchar('\n');
	} else if (json_is_integer(value)) {
		bool is_size = strstr(key, "size") || strstr(key, "bytes");
		json_int_t n = json_integer_value(value);

		if (is_size && n >= 0)
			printf("  %-12s %s\n", label, tool_size_format((uint64_t)n, size));
		else
			printf("  %-12s %" JSON_INTEGER_FORMAT "\n", label, n);
	}
}

static void print_job(const json_t *job)
{
	json_int_t done, total;

	if (!json_is_object(job))
		return;
	done = json_integer_value(json_object_get(job, "done"));
	total = json_integer_value(json_object_get(job, "total"));
	fputs("  job          ", stdout);
	tool_print_safe(stdout, control_text(job, "name") ? control_text(job, "name") : "?");
	fputs(": ", stdout);
	tool_print_safe(stdout, control_text(job, "state") ? control_text(job, "state") : "?");
	if (total > 0)
		printf(", %d %%", (int)((double)done * 100 / (double)total));
	putchar('\n');
}

static void print_status(const char *path, const json_t *reply)
{
	static const char *const rows[][2] = {
	    {"program", "program"},   {"pid", "pid"},
	    {"mode", "mode"},         {"mount_point", "mounted"},
	    {"since", "since"},       {"format", "format"},
	    {"virtual_size", "size"}, {"allocated_size", "on disk"},
	};
	static const char *const counts[][2] = {
	    {"reads", "reads"},           {"bytes_read", "read"}, {"writes", "writes"},
	    {"bytes_written", "written"}, {"flushes", "flushes"}, {"discards", "discards"},
	};
	const json_t *statistics = json_object_get(reply, "statistics"), *latency;

	tool_print_safe(stdout, path);
	putchar('\n');
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		print_member(reply, rows[i][0], rows[i][1]);
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		print_member(statistics, counts[i][0], counts[i][1]);
	latency = json_object_get(reply, "latency");
	if (json_is_integer(json_object_get(latency, "p99_us")))
		printf("  %-12s p50 %.1f ms, p99 %.1f ms\n", "latency",
		       (double)json_integer_value(json_object_get(latency, "p50_us")) / 1000,
		       (double)json_integer_value(json_object_get(latency, "p99_us")) / 1000);
	print_job(json_object_get(reply, "job"));
}

/** The answer as this image's JSON object. */
static void put_reply(const char *path, json_t *reply)
{
	json_t *object = tool_json_object(path);

	json_object_del(reply, "v");
	json_object_del(reply, "ok");
	json_object_del(reply, "path");
	json_object_update_missing(object, reply);
	tool_json_put(object);
}

/* The head of a layout. */
static void print_generation(const char *path, const json_t *reply)
{
	(void)path;
	print_member(reply, "generation", "generation");
	print_member(reply, "disk_id", "disk id");
	print_member(reply, "data_write_id", "data id");
	print_member(reply, "sector_size", "sector");
}

/* Nobody has it: the generation follows from the name of its file's content. */
static int own_generation(const char *path, const struct tool_args *args)
{
	struct vd_disk_info info = {.size = sizeof(info)};
	struct vd_error err = VD_ERROR_INIT;
	json_t *head = json_object();
	struct vd_disk *disk;
	uint8_t id[16];
	int rc = tool_image_open(&disk, path, args, VD_OPEN_NO_PARENTS, &err);

	if (!rc) {
		vd_disk_get_info(disk, &info);
		vd_disk_close(disk, NULL);
		if (info.has_dirty_log)
			rc = vd_error_set(&err, VD_EROFS, 0, VD_NO_OFFSET, LAYOUT_DIRTY_LOG);
	}
	layout_document_at_rest(&info, id);
	layout_document_head(head, &info, id);
	tool_remote_explain(path, &err);
	if (rc)
		tool_json_put_error(path, &err);
	else if (tool_json_is_on())
		put_reply(path, head);
	else
		print_generation(path, head);
	json_decref(head);
	return rc ? tool_fail(path, &err) : TOOL_DONE;
}

static int ask(struct control_peer *peer, const char *path, json_t *request, int timeout_ms,
	       void (*print)(const char *path, const json_t *reply))
{
	struct vd_error err = VD_ERROR_INIT;
	json_t *reply = NULL;
	int rc = control_call(peer, request, &reply, timeout_ms, &err);

	if (rc)
		tool_json_put_error(path, &err);
	else if (tool_json_is_on())
		put_reply(path, reply);
	else if (print)
		print(path, reply);
	json_decref(reply);
	return rc ? tool_fail(path, &err) : TOOL_DONE;
}

/* ---- metadata ---- */

static void print_values(const char *path, const json_t *reply)
{
	const json_t *values = json_object_get(reply, "values"), *value;
	size_t i;

	(void)path;
	if (control_text(reply, "document"))
		tool_print_safe(stdout, control_text(reply, "document"));
	json_array_foreach(values, i, value)
	{
		const char *text = control_text(value, "value");

		tool_print_safe(stdout, text ? text : "");
		putchar('\n');
	}
}

static void print_records(const char *path, const json_t *reply)
{
	const json_t *records = json_object_get(reply, "records"), *record;
	size_t i;

	(void)path;
	json_array_foreach(records, i, record)
	{
		static const char *const keys[] = {"type", "kind", "name"};

		for (size_t k = 0; k < 3; k++) {
			const char *text = control_text(record, keys[k]);

			tool_print_safe(stdout, text ? text : "");
			putchar(k < 2 ? '\t' : '\n');
		}
	}
}

static int set_fields(struct control_peer *peer, const struct tool_args *args)
{
	json_t *request = control_request_new("meta.set"), *edits = json_array();

	for (int i = 3; i < args->n_operands; i++) {
		char *equals = strchr(args->operands[i], '=');

		if (!equals || equals == args->operands[i]) {
			json_decref(request);
			json_decref(edits);
			return tool_usage(args->command, "\"%s\" isn't FIELD=VALUE",
					  args->operands[i]);
		}
		*equals = '\0';
		json_array_append_new(edits,
				      tool_remote_edit("set", args->operands[i], equals + 1));
	}
	json_object_set_new(request, "edits", edits);
	control_set_text(request, "operation", "ctl meta set");
	if (args->is_set[OPT_OVERRIDE])
		control_set_text(request, "override", args->text[OPT_OVERRIDE]);
	return ask(peer, args->operands[0], request, CONTROL_TIMEOUT_MS, NULL);
}

static int meta(struct control_peer *peer, const struct tool_args *args)
{
	const char *verb = args->n_operands > 2 ? args->operands[2] : "list";
	const char *path = args->operands[0];
	json_t *request;

	if (strcmp(verb, "list") == 0)
		return ask(peer, path, control_request_new("meta.list"), CONTROL_TIMEOUT_MS,
			   print_records);
	if (strcmp(verb, "get") == 0 && args->n_operands == 4) {
		request = control_request_new("meta.get");
		control_set_text(request,
				 vd_category_find(args->operands[3]) ? "category" : "field",
				 args->operands[3]);
		return ask(peer, path, request, CONTROL_TIMEOUT_MS, print_values);
	}
	if (strcmp(verb, "set") == 0 && args->n_operands > 3)
		return set_fields(peer, args);
	return tool_usage(args->command, "meta list, meta get FIELD or meta set FIELD=VALUE...");
}

/* ---- jobs ---- */

static int start(struct control_peer *peer, const struct tool_args *args, const char *name)
{
	struct vd_error err = VD_ERROR_INIT;
	json_t *params = json_object(), *reply = NULL;
	int rc;

	if (args->is_set[OPT_MAX_RATE])
		control_set_number(params, "max_rate", args->number[OPT_MAX_RATE]);
	rc = tool_follow(peer, args, name, params, NULL, &reply, &err);
	if (tool_json_is_on() && reply)
		put_reply(args->operands[0], reply);
	else if (rc)
		tool_json_put_error(args->operands[0], &err);
	json_decref(reply);
	if (rc)
		rc = tool_fail(args->operands[0], &err);
	return tool_stop_signal ? 128 + tool_stop_signal : rc;
}

static int compact(struct control_peer *peer, const struct tool_args *args)
{
	int exit_code;

	tool_signals_defer();
	exit_code = tool_compact_remote(peer, args->operands[0], args);
	return tool_stop_signal ? 128 + tool_stop_signal : exit_code;
}

static int talk(struct control_peer *peer, const struct tool_args *args)
{
	const char *path = args->operands[0];
	const char *verb = args->n_operands > 1 ? args->operands[1] : "status";

	if (strcmp(verb, "meta") == 0)
		return meta(peer, args);
	if (args->n_operands > 2)
		return tool_usage(args->command, "\"%s\" is too much", args->operands[2]);
	if (strcmp(verb, "status") == 0)
		return ask(peer, path, control_request_new("status"), CONTROL_TIMEOUT_MS,
			   print_status);
	if (strcmp(verb, "generation") == 0)
		return ask(peer, path, control_request_new("generation"), CONTROL_TIMEOUT_MS,
			   print_generation);
	if (strcmp(verb, "cancel") == 0)
		return ask(peer, path, control_request_new("cancel"), CONTROL_TIMEOUT_MS, NULL);
	if (strcmp(verb, "detach") == 0)
		return ask(peer, path, control_request_new("detach"), -1, NULL);
	if (strcmp(verb, "scrub") == 0)
		return start(peer, args, verb);
	if (strcmp(verb, "compact") == 0)
		return compact(peer, args);
	return tool_usage(args->command, "there is no request \"%s\"", verb);
}

int cmd_ctl(const struct tool_args *args)
{
	struct vd_error err = VD_ERROR_INIT;
	struct control_peer peer;
	int exit_code, rc = control_find(&peer, args->operands[0], false, &err);

	if (rc && args->n_operands == 2 && strcmp(args->operands[1], "generation") == 0)
		return own_generation(args->operands[0], args);
	if (rc)
		return say_nobody(args->operands[0]);
	exit_code = talk(&peer, args);
	control_peer_close(&peer);
	return exit_code;
}
