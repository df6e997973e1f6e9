/* SPDX-License-Identifier: MIT */
/* The job "compact": the image becomes smaller while guests use it. Parameters and result:
 * control/compact_report.h. An image that carries metadata gets a line in its history. */
#include <stdio.h>

#include <vdisk/compact.h>
#include <vdisk/meta.h>

#include "compact_report.h"
#include "job.h"

struct run {
	struct owner_job *job;
	uint64_t block_size;
	const char *phase;
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
	snprintf(parameters, sizeof(parameters), "--level %s%s", vd_compact_level_name(opts->level),
		 opts->flags & VD_COMPACT_ZERO_SCAN ? " --zero-scan" : "");
	return vd_image_commit(image, "compact", parameters, err);
}

static int run(struct owner_job *job, struct vd_error *err)
{
	struct owner *owner = owner_job_owner(job);
	struct vd_compact_result result = {.size = sizeof(result)};
	struct vd_disk_info info = {.size = sizeof(info)};
	struct vd_compact_opts opts = VD_COMPACT_OPTS_INIT;
	struct run run = {.job = job};
	json_t *members;
	const char *key;
	json_t *value;
	int rc = compact_params_read(owner_job_params(job), &opts, err), rc2 = 0;

	if (rc)
		return rc;
	if (!(opts.flags & VD_COMPACT_DRY_RUN) && !owner_is_writable(owner))
		return vd_error_set(err, VD_EROFS, 0, VD_NO_OFFSET,
				    "compact needs the image open for writing");
	vd_disk_get_info(owner_disk(owner), &info);
	run.block_size = info.block_size ? info.block_size : 1;
	opts.progress = show;
	opts.user = &run;
	rc = vd_compact(owner_disk(owner), &opts, &result, err);
	if (!rc)
		owner_job_progress(job, result.file_after, result.file_after, "done");
	if (!(opts.flags & VD_COMPACT_DRY_RUN) && rc != VD_EUNSUPPORTED)
		rc2 = enter_history(owner, &opts, rc ? NULL : err);
	members = json_object();
	compact_report_put(members, &result);
	json_object_foreach(members, key, value)
	{
		owner_job_result(job, key, json_incref(value));
	}
	owner_job_result(job, "dry_run", json_boolean(opts.flags & VD_COMPACT_DRY_RUN));
	json_decref(members);
	return rc ? rc : rc2;
}

const struct owner_job_ops job_compact = {.name = "compact", .needs_writing = false, .run = run};
