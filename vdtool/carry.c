/* SPDX-License-Identifier: MIT */
/* See carry.h. */
#include <string.h>

#include "carry.h"
#include "metadata.h"
#include "output.h"

/** The metadata of the source; NULL if there is none, or it isn't to travel. */
static int open_source(const struct tool_carry *carry, struct vd_meta **meta)
{
	struct vd_meta_opts opts = VD_META_OPTS_INIT;
	struct vd_meta_info info = {.size = sizeof(info)};
	struct vd_error err = VD_ERROR_INIT;

	*meta = NULL;
	if (!carry->from || carry->args->is_set[OPT_NO_METADATA])
		return TOOL_DONE;
	opts.sidecar_dir = carry->args->text[OPT_SOURCE_SIDECAR];
	if (vd_meta_open(meta, carry->from, &opts, &err)) {
		*meta = NULL;
		return tool_fail(carry->source, &err);
	}
	vd_meta_get_info(*meta, &info);
	if (info.mismatch)
		tool_note("%s: %s", info.sidecar, info.mismatch);
	if (info.has_ours)
		return TOOL_DONE;
	vd_meta_close(*meta);
	*meta = NULL;
	return TOOL_DONE;
}

/** All of it, and what was done in the history that goes on in the copy. */
static int copy(const struct tool_carry *carry, struct vd_meta *from, struct vd_meta *to)
{
	struct vd_operation op = {.actor = carry->args->text[OPT_ACTOR],
				  .tool = "vdtool " VD_VERSION,
				  .operation = "convert",
				  .outcome = "ok"};
	struct vd_error err = VD_ERROR_INIT;
	char parameters[512];
	int rc;

	if (op.actor && !*op.actor)
		op.host = "";
	tool_join(parameters, sizeof(parameters), carry->args->operands, 2);
	op.parameters = parameters;
	rc = vd_meta_copy(to, from, true, &err);
	if (rc) {
		tool_say(TOOL_FAILED, carry->source,
			 "the metadata can't be taken along: %s; --no-metadata leaves it behind",
			 err.text);
		return tool_exit_for(rc);
	}
	rc = vd_meta_log(to, &op, &err);
	if (!rc)
		rc = vd_meta_commit(to, &err);
	return rc ? tool_fail(carry->target, &err) : TOOL_DONE;
}

int tool_carry_into(const struct tool_carry *carry, struct vd_disk *disk)
{
	struct vd_meta_opts opts = VD_META_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_meta *from, *to;
	int exit_code = open_source(carry, &from);

	if (exit_code || !from)
		return exit_code;
	opts.flags = VD_META_WRITE;
	if (vd_meta_open(&to, disk, &opts, &err)) {
		exit_code = tool_fail(carry->target, &err);
	} else {
		exit_code = copy(carry, from, to);
		vd_meta_close(to);
	}
	vd_meta_close(from);
	return exit_code;
}

/** Fill the sidecar of the target, or empty one that an older image left behind. */
static int fill_sidecar(const struct tool_carry *carry, struct vd_meta *from, struct vd_meta *to)
{
	struct vd_meta_info info = {.size = sizeof(info)};
	struct vd_error err = VD_ERROR_INIT;
	int rc = 0;

	vd_meta_get_info(to, &info);
	if (info.has_ours)
		rc = vd_meta_strip(to, &err);
	if (!rc && from)
		return copy(carry, from, to);
	if (!rc && info.has_ours)
		rc = vd_meta_commit(to, &err);
	return rc ? tool_fail(carry->target, &err) : TOOL_DONE;
}

int tool_carry_beside(const struct tool_carry *carry)
{
	struct vd_image_opts opts = VD_IMAGE_OPTS_INIT;
	struct vd_open_opts disk = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_image *image;
	struct vd_meta *from;
	int exit_code = open_source(carry, &from);

	if (exit_code || (!from && !carry->is_replacing))
		return exit_code;
	disk.format = carry->args->text[OPT_FORMAT];
	opts.disk = &disk;
	opts.sidecar_dir = carry->args->text[OPT_SIDECAR];
	opts.flags = VD_IMAGE_METADATA_ONLY;
	if (vd_image_open(&image, carry->target, VD_PURPOSE_EDIT, NULL, &opts, &err)) {
		exit_code = tool_fail(carry->target, &err);
	} else {
		exit_code = fill_sidecar(carry, from, vd_image_meta(image));
		exit_code = tool_image_end(image, carry->target, exit_code);
	}
	vd_meta_close(from);
	return exit_code;
}

void tool_carry_nowhere(const struct tool_carry *carry)
{
	struct vd_meta *from;

	if (open_source(carry, &from) || !from)
		return;
	tool_note("%s: its metadata stays behind: stdout holds a disk only", carry->source);
	vd_meta_close(from);
}
