/* SPDX-License-Identifier: MIT */
/* vdtool discard */

#include <vdisk/sys/io.h>

#include "image.h"
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
	struct vd_disk *disk;
	int exit_code;

	if (!args->is_set[OPT_OFFSET] || !args->is_set[OPT_LENGTH])
		return tool_usage(args->command, "what to discard? Give --offset and --length");
	if (tool_image_open(&disk, path, args, VD_OPEN_WRITE, &err))
		return tool_fail(path, &err);
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
	return tool_exit_worse(exit_code, tool_image_close(disk, path));
}
