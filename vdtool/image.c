/* SPDX-License-Identifier: MIT */
/* See image.h. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <vdisk/sys/io.h>

#include "image.h"
#include "output.h"

int tool_image_open(struct vd_disk **out, const char *path, const struct tool_args *args,
		    uint32_t flags, struct vd_error *err)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;

	opts.flags = flags;
	opts.format = args->text[OPT_SOURCE_FORMAT];
	opts.parent_roots = args->parent_roots;
	opts.n_parent_roots = args->n_parent_roots;
	return vd_disk_open(out, path, &opts, err);
}

int tool_image_create(const char *path, const struct vd_create_opts *opts, bool is_unsynced,
		      struct vd_error *err)
{
	sigset_t all, old;
	struct vd_io *io;
	int rc;

	if (!opts->parent) {
		rc = vd_io_open_file(&io, path, VD_IO_CREATE | (is_unsynced ? VD_IO_NO_SYNC : 0),
				     err);
		if (rc)
			return rc;
		rc = vd_disk_create_io(io, opts, err);
		vd_io_close(io);
		return rc;
	}
	/* The way to the parent is told from a path, and that call has a temporary file of its own.
	 */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	rc = vd_disk_create(path, opts, err);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

int tool_image_close(struct vd_disk *disk, const char *path)
{
	struct vd_error err = VD_ERROR_INIT;

	return vd_disk_close(disk, &err) ? tool_fail(path, &err) : TOOL_DONE;
}

int tool_image_range(const struct tool_args *args, const struct vd_disk *disk, const char *path,
		     uint64_t *offset, uint64_t *length)
{
	uint64_t size = vd_disk_size(disk);

	*offset = args->number[OPT_OFFSET];
	if (*offset > size)
		return tool_say(TOOL_USAGE, path,
				"offset %" PRIu64 " lies beyond the end of the disk, at %" PRIu64,
				*offset, size);
	*length = size - *offset;
	if (!args->is_set[OPT_LENGTH])
		return TOOL_DONE;
	if (args->number[OPT_LENGTH] > *length)
		return tool_say(TOOL_USAGE, path,
				"offset %" PRIu64 " + length %" PRIu64
				" reach beyond the end of the disk, at %" PRIu64,
				*offset, args->number[OPT_LENGTH], size);
	*length = args->number[OPT_LENGTH];
	return TOOL_DONE;
}

void tool_image_describe(const struct vd_disk_info *info, char *text, size_t size)
{
	char bytes[TOOL_SIZE_TEXT], format[16];
	bool is_raw = strcmp(info->format, VD_FORMAT_RAW) == 0;

	snprintf(format, sizeof(format), "%s", info->format);
	for (char *p = format; *p && !is_raw; p++)
		*p = (char)toupper((unsigned char)*p);
	snprintf(text, size, "%s%s%s, %s", format, is_raw ? "" : " ",
		 is_raw ? "" : vd_disk_type_name(info->type),
		 tool_size_format(info->virtual_size, bytes));
}

bool tool_is_zero(const void *p, size_t len)
{
	typedef uint64_t words __attribute__((vector_size(64), aligned(1), may_alias));
	const uint8_t *s = p;

	/* Data mostly shows in its first bytes: look there before the loop warms up. */
	for (; len >= 256; s += 256, len -= 256) {
		const words *w = (const words *)s;
		words any = w[0] | w[1] | w[2] | w[3];

		if ((any[0] | any[1] | any[2] | any[3] | any[4] | any[5] | any[6] | any[7]) != 0)
			return false;
	}
	for (; len; s++, len--) {
		if (*s)
			return false;
	}
	return true;
}

int tool_write_fd(int fd, const void *buf, size_t len)
{
	const uint8_t *p = buf;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int tool_read_fd(int fd, void *buf, size_t len, size_t *n_read)
{
	*n_read = 0;
	while (*n_read < len) {
		ssize_t n = read(fd, (uint8_t *)buf + *n_read, len - *n_read);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		if (n == 0)
			break;
		*n_read += (size_t)n;
	}
	return 0;
}

double tool_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}
