/* SPDX-License-Identifier: MIT */
/* vdtool read */
#include <stdlib.h>
#include <unistd.h>

#include "image.h"
#include "metadata.h"
#include "output.h"

#define PIECE ((size_t)1 << 20)

static int copy_out(struct vd_disk *disk, const char *path, uint64_t offset, uint64_t length)
{
	struct vd_error err = VD_ERROR_INIT;
	uint8_t *buf = aligned_alloc(4096, PIECE);
	int exit_code = TOOL_DONE;

	if (!buf)
		return tool_say(TOOL_FAILED, path, "out of memory");
	while (length && !exit_code) {
		size_t len = length < PIECE ? (size_t)length : PIECE;
		int rc = vd_disk_read(disk, buf, len, offset, &err);

		if (rc) {
			exit_code = tool_fail(path, &err);
			break;
		}
		rc = tool_write_fd(STDOUT_FILENO, buf, len);
		if (rc)
			exit_code = tool_stdout_failed(rc);
		offset += len;
		length -= len;
	}
	free(buf);
	return exit_code;
}

int cmd_read(const struct tool_args *args)
{
	const char *path = args->operands[0];
	struct vd_error err = VD_ERROR_INIT;
	uint64_t offset, length;
	struct vd_image *image;
	int exit_code;

	if (isatty(STDOUT_FILENO))
		return tool_usage(args->command, "stdout is a terminal");
	if (tool_open_for(&image, path, VD_PURPOSE_EXPORT, args, 0, NULL, &err))
		return tool_fail(path, &err);
	exit_code = tool_image_range(args, vd_image_disk(image), path, &offset, &length);
	if (!exit_code)
		exit_code = copy_out(vd_image_disk(image), path, offset, length);
	vd_image_close(image, NULL);
	return exit_code;
}
