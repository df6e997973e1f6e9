/* SPDX-License-Identifier: MIT */
/* vdtool create */
#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "metadata.h"
#include "output.h"
#include "tempfile.h"

static void fill_opts(const struct tool_args *args, struct vd_create_opts *opts)
{
	const char *type = args->text[OPT_TYPE];

	opts->format = args->text[OPT_FORMAT];
	if (type)
		opts->type = strcmp(type, "fixed") == 0 ? VD_TYPE_FIXED : VD_TYPE_DYNAMIC;
	if (args->is_set[OPT_SECTOR_SIZE])
		opts->logical_sector_size = (uint32_t)atoi(args->text[OPT_SECTOR_SIZE]);
	if (args->is_set[OPT_PHYSICAL_SECTOR_SIZE])
		opts->physical_sector_size = (uint32_t)atoi(args->text[OPT_PHYSICAL_SECTOR_SIZE]);
	opts->block_size = (uint32_t)args->number[OPT_BLOCK_SIZE];
	opts->parent = args->text[OPT_PARENT];
	opts->parent_roots = args->parent_roots;
	opts->n_parent_roots = args->n_parent_roots;
	opts->disk_id = args->is_set[OPT_UUID] ? args->uuid : NULL;
}

static int check_usage(const struct tool_args *args)
{
	const char *format = args->text[OPT_FORMAT];
	const char *wrong = NULL;

	if (args->is_set[OPT_BLOCK_SIZE] && args->number[OPT_BLOCK_SIZE] > UINT32_MAX)
		return tool_usage(args->command, "--block-size %s: more than 256M",
				  args->text[OPT_BLOCK_SIZE]);
	if (args->is_set[OPT_ACTOR] && !args->is_set[OPT_HISTORY])
		return tool_usage(args->command, "--actor: only with --history");
	if (args->n_operands < 2 && !args->is_set[OPT_PARENT])
		return tool_usage(args->command, "SIZE can be left out only with --parent");
	if (args->is_set[OPT_PARENT] && args->is_set[OPT_TYPE])
		return tool_usage(args->command,
				  "--type: an image with a parent is always differencing");
	if (!format || strcmp(format, VD_FORMAT_RAW) != 0)
		return TOOL_DONE;
	wrong = args->is_set[OPT_PARENT]                 ? "--parent"
		: args->is_set[OPT_BLOCK_SIZE]           ? "--block-size"
		: args->is_set[OPT_UUID]                 ? "--uuid"
		: args->is_set[OPT_SECTOR_SIZE]          ? "--sector-size"
		: args->is_set[OPT_PHYSICAL_SECTOR_SIZE] ? "--physical-sector-size"
							 : NULL;
	if (wrong)
		return tool_usage(args->command, "%s: a raw image has none", wrong);
	return TOOL_DONE;
}

/** Show what was made. */
static void report(const char *path, const struct tool_args *args)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk_info info = {.size = sizeof(info)};
	struct vd_disk *disk;
	char uuid[TOOL_UUID_TEXT];
	json_t *object;

	if (!tool_json_is_on())
		return;
	object = tool_json_object(path);
	if (tool_image_open(&disk, path, args, VD_OPEN_LOOK | VD_OPEN_NO_PARENTS, &err) == 0) {
		vd_disk_get_info(disk, &info);
		tool_json_set_text(object, "format", info.format);
		tool_json_set_text(object, "type", vd_disk_type_name(info.type));
		tool_json_set_number(object, "virtual_size", info.virtual_size);
		tool_json_set_text(object, "disk_id",
				   strcmp(info.format, VD_FORMAT_RAW) == 0
				       ? NULL
				       : tool_uuid_format(info.disk_id, uuid));
		vd_disk_close(disk, NULL);
	}
	tool_json_put(object);
}

/** The first entry of the history. In the image under its temporary name where it can hold one;
 *  a sidecar goes by the final name. */
static int begin_history(const char *at, const struct tool_args *args)
{
	const char *path = args->operands[0];
	struct vd_error err = VD_ERROR_INIT;
	struct vd_image *image;
	char parameters[512];
	int rc = tool_meta_edit(&image, at, args, &err);

	if (rc)
		return tool_fail(path, &err);
	/* A sidecar that an older image of that name left behind speaks of another disk. */
	if (strcmp(at, path) == 0)
		rc = vd_meta_strip(vd_image_meta(image), &err);
	tool_join(parameters, sizeof(parameters), args->operands + 1, args->n_operands - 1);
	if (!rc)
		rc = vd_image_commit(image, args->command->name, parameters, &err);
	return tool_image_end(image, path, rc ? tool_fail(path, &err) : TOOL_DONE);
}

int cmd_create(const struct tool_args *args)
{
	const char *path = args->operands[0];
	struct vd_create_opts opts = VD_CREATE_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	int exit_code = check_usage(args);
	bool has_items;

	if (exit_code)
		return exit_code;
	fill_opts(args, &opts);
	if (args->n_operands > 1) {
		const char *wrong = tool_size_parse(args->operands[1], &opts.virtual_size);

		if (wrong)
			return tool_usage(args->command, "SIZE %s: %s", args->operands[1], wrong);
		if (opts.virtual_size == 0)
			return tool_usage(args->command, "SIZE 0: a disk has at least one sector");
	}
	exit_code = tool_temp_begin(path, args->is_set[OPT_FORCE]);
	if (exit_code == TOOL_DONE && tool_image_create(tool_temp_path(), &opts, false, &err))
		exit_code = tool_fail(path, &err);
	has_items = !opts.format || strcmp(opts.format, VD_FORMAT_RAW) != 0;
	if (exit_code == TOOL_DONE && args->is_set[OPT_HISTORY] && has_items)
		exit_code = begin_history(tool_temp_path(), args);
	if (exit_code == TOOL_DONE)
		exit_code = tool_temp_commit();
	else
		tool_temp_abandon();
	if (exit_code == TOOL_DONE && args->is_set[OPT_HISTORY] && !has_items)
		exit_code = begin_history(path, args);
	if (exit_code == TOOL_DONE)
		report(path, args);
	return exit_code;
}
