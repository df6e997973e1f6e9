/* SPDX-License-Identifier: MIT */
/* vdtool compact: the image file becomes smaller. Where another process has the image, it asks that
 * (compact_remote.c). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "compact_report.h"
#include "compacting.h"
#include "image.h"
#include "metadata.h"
#include "output.h"
#include "policed.h"
#include "progress.h"
#include "remote.h"
#include "tempfile.h"

struct watch {
	struct tool_progress bar;
	const char *phase;
	uint64_t block_size;
	json_t *file_systems;
};

/* Counted in bytes of blocks that were dealt with. */
static int show(void *user, const struct vd_compact_progress *now)
{
	struct watch *watch = user;

	if (watch->phase != now->phase || watch->bar.total != now->total * watch->block_size) {
		watch->phase = now->phase;
		watch->bar.total = now->total * watch->block_size;
		watch->bar.start = tool_now();
	}
	if (watch->bar.total)
		tool_progress_update(&watch->bar, now->done * watch->block_size);
	return tool_stop_signal != 0;
}

/* Each file system: whether its free space counted. */
static void tell_file_system(void *user, const struct vd_compact_fs *fs)
{
	struct watch *watch = user;
	char name[24] = "the disk";
	json_t *object;

	if (fs->number)
		snprintf(name, sizeof(name), "partition %u", fs->number);
	if (tool_json_is_on()) {
		object = json_object();
		tool_json_set_number(object, "partition", fs->number);
		tool_json_set_text(object, "type", fs->type);
		tool_json_set_number(object, "start", fs->start);
		tool_json_set_number(object, "length", fs->length);
		tool_json_set_number(object, "free", fs->n_free);
		tool_json_set_text(object, "left_alone", fs->why);
		json_array_append_new(watch->file_systems, object);
		return;
	}
	if (!fs->type[0] && fs->why)
		return;
	tool_progress_end(&watch->bar);
	if (fs->why)
		tool_note("%s (%s) was left alone: %s", name, fs->type, fs->why);
	else
		tool_note("%s (%s): %" PRIu64 " MiB are free in it", name, fs->type,
			  fs->n_free >> 20);
}

void tool_compact_opts(const struct tool_args *args, struct vd_compact_opts *opts)
{
	if (args->is_set[OPT_LEVEL])
		opts->level = compact_level_find(args->text[OPT_LEVEL]);
	if (args->is_set[OPT_ZERO_SCAN])
		opts->flags |= VD_COMPACT_ZERO_SCAN;
	if (args->is_set[OPT_FREE_SPACE])
		opts->flags |= VD_COMPACT_FREE_SPACE;
	if (args->is_set[OPT_DRY_RUN])
		opts->flags |= VD_COMPACT_DRY_RUN;
	opts->max_rate = args->number[OPT_MAX_RATE];
	opts->max_time_s = (uint32_t)args->number[OPT_MAX_TIME];
	opts->max_latency_us = args->number[OPT_MAX_LATENCY] * 1000;
	if (args->is_set[OPT_LAYOUT])
		opts->flags |= VD_COMPACT_LAYOUT;
}

static int run(struct vd_image *image, const char *path, const struct tool_args *args,
	       struct vd_compact_opts *opts)
{
	struct vd_compact_result result = {.size = sizeof(result)};
	struct vd_disk_info info = {.size = sizeof(info)};
	struct watch watch = {.block_size = 1};
	struct layout_document layout = {0};
	struct vd_error err = VD_ERROR_INIT;
	double start = tool_now();
	int rc;

	vd_disk_get_info(vd_image_disk(image), &info);
	if (info.block_size)
		watch.block_size = info.block_size;
	if (opts->flags & VD_COMPACT_FREE_SPACE)
		watch.file_systems = json_array();
	opts->flags |= VD_COMPACT_ALONE; /* the lock of a writer says so */
	opts->progress = show;
	opts->file_system = tell_file_system;
	opts->user = &watch;
	tool_progress_begin(&watch.bar, args, "compact", 0);
	rc = tool_compact_layout(args, vd_image_disk(image), &layout, opts, &err);
	if (!rc)
		rc = vd_compact(vd_image_disk(image), opts, &result, &err);
	layout_document_free(&layout);
	tool_progress_end(&watch.bar);
	if (rc && rc != VD_ETIMEDOUT && !(rc == VD_ECANCELED && tool_stop_signal)) {
		json_decref(watch.file_systems);
		return tool_fail_image(path, &err);
	}
	tool_compact_print(path, opts, &result, NULL, tool_now() - start, watch.file_systems);
	if (rc)
		tool_note("%s: %s", path, err.text);
	return TOOL_DONE;
}

/* Who has it asks by its rules; before that ours hold, as they do for an image that nobody has. */
static int ask_here(const char *path, const struct tool_args *args)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_image *image = NULL;
	int rc = tool_meta_look(&image, path, args, &err);

	if (!rc)
		rc = tool_policed_use(image, path, VD_PURPOSE_COMPACT, args, &err);
	vd_image_close(image, NULL);
	return rc ? tool_fail_image(path, &err) : TOOL_DONE;
}

/* Nobody who could be asked, or nothing that could be asked of him. */
static int in_use(const char *path, const struct tool_args *args, struct vd_error *err)
{
	struct control_peer peer;
	int exit_code;

	if (!tool_remote_find(&peer, path, err)) {
		tool_remote_explain(path, err);
		return tool_fail_image(path, err);
	}
	exit_code = args->is_set[OPT_DRY_RUN] ? TOOL_DONE : ask_here(path, args);
	if (exit_code) {
		control_peer_close(&peer);
		return exit_code;
	}
	if (args->is_set[OPT_FREE_SPACE]) {
		vd_error_set(err, VD_EBUSY, 0, VD_NO_OFFSET,
			     "in use by process %ld: --free-space can only be had while nobody "
			     "writes; trim in the guest does the same while it runs",
			     (long)peer.pid);
		control_peer_close(&peer);
		return tool_fail_image(path, err);
	}
	exit_code = tool_compact_remote(&peer, path, args);
	control_peer_close(&peer);
	return exit_code;
}

static int compact(const char *path, const struct tool_args *args)
{
	struct vd_compact_opts opts = VD_COMPACT_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_image *image;
	char parameters[64];
	bool is_dry;
	int rc;

	tool_compact_opts(args, &opts);
	is_dry = opts.flags & VD_COMPACT_DRY_RUN;
	snprintf(parameters, sizeof(parameters), "--level %s%s%s%s",
		 vd_compact_level_name(opts.level),
		 opts.flags & VD_COMPACT_ZERO_SCAN ? " --zero-scan" : "",
		 opts.flags & VD_COMPACT_FREE_SPACE ? " --free-space" : "",
		 opts.flags & VD_COMPACT_LAYOUT ? " --layout" : "");
	/* A child's file systems can't be read without its parents; the rest needs none. */
	rc = tool_open_for(&image, path, is_dry ? VD_PURPOSE_CHECK : VD_PURPOSE_COMPACT, args,
			   opts.flags & VD_COMPACT_FREE_SPACE ? 0 : VD_OPEN_NO_PARENTS, parameters,
			   &err);
	if (rc == VD_EBUSY)
		return in_use(path, args, &err);
	if (rc)
		return tool_fail_image(path, &err);
	return tool_image_end(image, path, run(image, path, args, &opts));
}

int cmd_compact(const struct tool_args *args)
{
	int exit_code = TOOL_DONE;

	if (args->number[OPT_MAX_TIME] > UINT32_MAX)
		return tool_usage(args->command, "--max-time: so long nothing takes");
	if (args->is_set[OPT_QGA] && args->is_set[OPT_DRY_RUN])
		return tool_usage(args->command,
				  "--qga changes what the guest's disk holds, --dry-run nothing");
	if (args->is_set[OPT_LAYOUT] &&
	    (args->n_operands > 1 || args->is_set[OPT_FREE_SPACE] || args->is_set[OPT_QGA]))
		return tool_usage(args->command,
				  "--layout is of one image, and says all: neither another image "
				  "nor --free-space or --qga beside it");
	tool_signals_defer();
	if (args->is_set[OPT_QGA]) {
		exit_code = tool_guest_trim(args->text[OPT_QGA], args);
		if (exit_code)
			return tool_stop_signal ? 128 + tool_stop_signal : exit_code;
	}
	for (int i = 0; i < args->n_operands && !tool_stop_signal; i++)
		exit_code = tool_exit_worse(exit_code, compact(args->operands[i], args));
	return tool_stop_signal ? 128 + tool_stop_signal : exit_code;
}
