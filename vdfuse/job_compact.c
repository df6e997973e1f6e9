/* SPDX-License-Identifier: MIT */
/* The job "compact": the image becomes smaller while guests use it. Parameters and result:
 * control/compact_report.h. An image that carries metadata gets a line in its history. */
#include <stdio.h>
#include <string.h>

#include <vdisk/compact.h>
#include <vdisk/meta.h>

#include "compact_report.h"
#include "job.h"
#include "latency.h"
#include "layout_document.h"

#define SECOND_NS UINT64_C(1000000000)

struct run {
	struct owner_job *job;
	struct latency *latency;
	uint64_t block_size;
	const char *phase;
	struct latency_sum begin; /* all that was counted before */
	struct compact_guest guest;
};

/* Counted in bytes of blocks that were dealt with. */
static int show(void *user, const struct vd_compact_progress *now)
{
	struct run *run = user;
	const char *what = run->phase == now->phase ? NULL : now->phase;

	run->phase = now->phase;
	owner_job_progress(run->job, now->done * run->block_size, now->total * run->block_size,
			   what);
	return owner_job_is_cancelled(run->job);
}

static uint64_t p99_us(const struct latency_sum *sum)
{
	return (latency_quantile(sum, 990) + 999) / 1000;
}

/* What guests feel just now: of the last second. */
static uint64_t latency_us(void *user)
{
	const struct run *run = user;
	struct latency_sum sum;

	latency_recent(run->latency, latency_now_ns(), SECOND_NS, &sum);
	return p99_us(&sum);
}

static void begin_watch(struct run *run)
{
	struct latency_sum sum;

	latency_recent(run->latency, latency_now_ns(), 10 * SECOND_NS, &sum);
	run->guest.p99_before_us = p99_us(&sum);
	latency_all(run->latency, &run->begin);
}

static void end_watch(struct run *run)
{
	struct latency_sum sum;

	latency_all(run->latency, &sum);
	latency_since(&sum, &run->begin);
	run->guest.p99_us = p99_us(&sum);
}

/* Also after it was cancelled: what is done stays. */
static int enter_history(struct owner *owner, const struct vd_compact_opts *opts,
			 struct vd_error *err)
{
	struct vd_image *image = owner_image(owner);
	struct vd_meta_info info = {.size = sizeof(info)};
	char parameters[64];

	vd_image_lock_meta(image);
	vd_meta_get_info(vd_image_meta(image), &info);
	vd_image_unlock_meta(image);
	if (!info.has_ours)
		return 0;
	snprintf(parameters, sizeof(parameters), "--level %s%s%s",
		 vd_compact_level_name(opts->level),
		 opts->flags & VD_COMPACT_ZERO_SCAN ? " --zero-scan" : "",
		 opts->flags & VD_COMPACT_LAYOUT ? " --layout" : "");
	return vd_image_commit(image, "compact", parameters, err);
}

/* What is in use, by a layout that came along; what was written since its generation is added. */
static int take_layout(struct owner_job *job, const struct vd_disk_info *info,
		       struct layout_document *layout, struct vd_compact_opts *opts,
		       struct vd_error *err)
{
	size_t len;
	const char *bytes = owner_job_content(job, &len);
	int rc = bytes ? layout_document_parse(layout, bytes, len, err) : 0;

	if (!rc && bytes)
		rc = layout_document_is_of(layout, info, err);
	if (rc || !bytes)
		return rc;
	opts->flags |= VD_COMPACT_LAYOUT;
	opts->in_use = layout->extents;
	opts->n_in_use = layout->n_extents;
	opts->generation = owner_generation(owner_job_owner(job));
	memcpy(opts->generation_id, layout->generation, 16);
	return opts->generation ? 0 : layout_document_is_present(layout, info, err);
}

static void report(struct owner_job *job, const struct vd_compact_result *result,
		   const struct compact_guest *guest, bool is_dry)
{
	json_t *members = json_object(), *value;
	const char *key;

	compact_report_put(members, result);
	compact_guest_put(members, guest);
	json_object_foreach(members, key, value)
	{
		owner_job_result(job, key, json_incref(value));
	}
	owner_job_result(job, "dry_run", json_boolean(is_dry));
	json_decref(members);
}

static int compact(struct run *run, struct vd_compact_opts *opts, struct vd_error *err)
{
	struct owner *owner = owner_job_owner(run->job);
	struct vd_compact_result result = {.size = sizeof(result)};
	bool is_dry = opts->flags & VD_COMPACT_DRY_RUN;
	int rc, rc2 = 0;

	opts->progress = show;
	opts->latency_us = latency_us;
	opts->user = run;
	begin_watch(run);
	rc = vd_compact(owner_disk(owner), opts, &result, err);
	end_watch(run);
	/* Also if it failed: some of it is gone, and the kernel may have it cached. */
	if (opts->flags & VD_COMPACT_LAYOUT)
		owner_windows_outdate(owner);
	if (!rc)
		owner_job_progress(run->job, result.file_after, result.file_after, "done");
	if (!is_dry && rc != VD_EUNSUPPORTED)
		rc2 = enter_history(owner, opts, rc ? NULL : err);
	report(run->job, &result, &run->guest, is_dry);
	return rc ? rc : rc2;
}

static int run(struct owner_job *job, struct vd_error *err)
{
	struct owner *owner = owner_job_owner(job);
	struct vd_disk_info info = {.size = sizeof(info)};
	struct vd_compact_opts opts = VD_COMPACT_OPTS_INIT;
	struct layout_document layout = {0};
	struct run run = {.job = job, .latency = owner_latency(owner)};
	int rc = compact_params_read(owner_job_params(job), &opts, err);

	if (rc)
		return rc;
	if (!(opts.flags & VD_COMPACT_DRY_RUN) && !owner_is_writable(owner))
		return vd_error_set(err, VD_EROFS, 0, VD_NO_OFFSET,
				    "compact needs the image open for writing");
	vd_disk_get_info(owner_disk(owner), &info);
	run.block_size = info.block_size ? info.block_size : 1;
	rc = take_layout(job, &info, &layout, &opts, err);
	if (!rc)
		rc = compact(&run, &opts, err);
	layout_document_free(&layout);
	return rc;
}

/* Looking asks nothing. */
static enum vd_purpose action(const json_t *params)
{
	return json_is_true(json_object_get(params, "dry_run")) ? (enum vd_purpose)0
								: VD_PURPOSE_COMPACT;
}

const struct owner_job_ops job_compact = {
    .name = "compact", .needs_writing = false, .action = action, .run = run};
