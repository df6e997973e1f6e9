/* SPDX-License-Identifier: MIT */
/* vdtool write */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image.h"
#include "metadata.h"
#include "output.h"
#include "tempfile.h"

#define PIECE ((size_t)1 << 20)

/** Fill buf from stdin; less than `len` at its end, or when a signal wants us to stop. */
static int fill(uint8_t *buf, size_t len, size_t *n_read)
{
	*n_read = 0;
	while (*n_read < len && tool_wait_readable(STDIN_FILENO)) {
		ssize_t n = read(STDIN_FILENO, buf + *n_read, len - *n_read);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return errno;
		if (n == 0)
			break;
		*n_read += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/** More on stdin than the disk has room for? Said before anything is written, if it can be. */
static int check_room(const struct tool_args *args, const char *path, uint64_t room)
{
	struct stat st;
	off_t at = lseek(STDIN_FILENO, 0, SEEK_CUR);

	if (args->is_set[OPT_LENGTH] || at < 0 || fstat(STDIN_FILENO, &st) != 0 ||
	    !S_ISREG(st.st_mode) || st.st_size <= at || (uint64_t)(st.st_size - at) <= room)
		return TOOL_DONE;
	return tool_say(TOOL_FAILED, path,
			"standard input has %" PRIu64
			" bytes, and from the offset to the end of the "
			"disk there are %" PRIu64 "; nothing was written",
			(uint64_t)(st.st_size - at), room);
}

static int stdin_failed(int sys_errno)
{
	return tool_say(TOOL_FAILED, "standard input", "%s", strerror(sys_errno));
}

/** Write up to `room` bytes of stdin. */
static int copy_in(struct vd_disk *disk, const struct tool_args *args, uint8_t *buf,
		   uint64_t offset, uint64_t room, uint64_t *done)
{
	const char *path = args->operands[0];
	struct vd_error err = VD_ERROR_INIT;
	size_t n_read = 1;
	int rc;

	while (*done < room && n_read && !tool_stop_signal) {
		/* Pieces end at multiples of their size, as blocks do. */
		size_t len = PIECE - (size_t)((offset + *done) % PIECE);

		if (len > room - *done)
			len = (size_t)(room - *done);
		rc = fill(buf, len, &n_read);
		if (rc)
			return stdin_failed(rc);
		if (n_read && vd_disk_write(disk, buf, n_read, offset + *done, &err))
			return tool_fail(path, &err);
		*done += n_read;
	}
	if (tool_stop_signal)
		return 128 + tool_stop_signal;
	if (args->is_set[OPT_LENGTH] && *done < room)
		return tool_say(TOOL_FAILED, "standard input",
				"ended after %" PRIu64 " bytes of %" PRIu64, *done, room);
	if (args->is_set[OPT_LENGTH])
		return TOOL_DONE;
	rc = fill(buf, 1, &n_read);
	if (rc)
		return stdin_failed(rc);
	if (n_read)
		return tool_say(
		    TOOL_FAILED, path,
		    "the end of the disk was reached, but standard input goes on; %" PRIu64
		    " bytes were written",
		    *done);
	return TOOL_DONE;
}

int cmd_write(const struct tool_args *args)
{
	const char *path = args->operands[0];
	struct vd_error err = VD_ERROR_INIT;
	uint64_t offset, room, done = 0;
	uint8_t *buf = aligned_alloc(4096, PIECE);
	struct vd_image *image;
	struct vd_disk *disk;
	char parameters[64];
	int exit_code;

	if (!buf)
		return tool_say(TOOL_FAILED, path, "out of memory");
	tool_signals_defer();
	snprintf(parameters, sizeof(parameters), "--offset %" PRIu64, args->number[OPT_OFFSET]);
	if (tool_open_for(&image, path, VD_PURPOSE_EDIT, args, 0, parameters, &err)) {
		free(buf);
		return tool_fail(path, &err);
	}
	disk = vd_image_disk(image);
	exit_code = tool_image_range(args, disk, path, &offset, &room);
	if (!exit_code)
		exit_code = check_room(args, path, room);
	if (!exit_code)
		exit_code = copy_in(disk, args, buf, offset, room, &done);
	exit_code = tool_image_end(image, path, exit_code);
	free(buf);
	if (!exit_code && tool_json_is_on()) {
		json_t *object = tool_json_object(path);

		tool_json_set_number(object, "offset", offset);
		tool_json_set_number(object, "length", done);
		tool_json_put(object);
	}
	return exit_code;
}
