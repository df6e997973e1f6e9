/* SPDX-License-Identifier: MIT */
/* vdtool discard */

#include <inttypes.h>

#include <vdisk/sys/io.h>

#include "image.h"
#include "metadata.h"
#include "output.h"

static uint64_t allocated(const struct vd_disk *disk)
{
	uint64_t bytes = 0;

	return vd_io_allocated(vd_disk_io(disk), &bytes, NULL) ? 0 : bytes;
}

int cmd_discard(const struct tool_args *args)
{
	const char *path = args->operands[0];
	struct vd_error err = VD_ERROR_INIT;
	uint64_t offset, length, before;
	struct vd_image *image;
	struct vd_disk *disk;
	char parameters[96];
	int exit_code;

	if (!args->is_set[OPT_OFFSET] || !args->is_set[OPT_LENGTH])
		return tool_usage(args->command, "what to discard? Give --offset and --length");
	snprintf(parameters, sizeof(parameters), "--offset %" PRIu64 " --length %" PRIu64,
		 args->number[OPT_OFFSET], args->number[OPT_LENGTH]);
	if (tool_open_for(&image, path, VD_PURPOSE_EDIT, args, 0, parameters, &err))
		return tool_fail(path, &err);
	disk = vd_image_disk(image);
	before = allocated(disk);
	exit_code = tool_image_range(args, disk, path, &offset, &length);
	if (!exit_code && length &&
	    (vd_disk_discard(disk, offset, length, &err) || vd_disk_flush(disk, &err)))
		exit_code = tool_fail(path, &err);
	if (!exit_code && tool_json_is_on()) {
		json_t *object = tool_json_object(path);
		uint64_t after = allocated(disk);

		tool_json_set_number(object, "offset", offset);
		tool_json_set_number(object, "length", length);
		tool_json_set_number(object, "freed", before > after ? before - after : 0);
		tool_json_put(object);
	}
	return tool_image_end(image, path, exit_code);
}
