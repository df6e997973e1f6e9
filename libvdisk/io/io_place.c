/* SPDX-License-Identifier: MIT */
/* See io_place.h. What lies beneath a folder is opened by openat2(RESOLVE_BENEATH), which no link
 * leads out of. */
#include "io/io_place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/cleanup.h"

struct vd_identity vd_place_identity(int fd, bool *is_image)
{
	struct vd_identity identity = {false, 0, 0};
	struct stat st;

	if (is_image)
		*is_image = false;
	if (fd < 0 || fstat(fd, &st))
		return identity;
	if (is_image)
		*is_image = S_ISREG(st.st_mode) || S_ISBLK(st.st_mode);
	return (struct vd_identity){true, st.st_dev, st.st_ino};
}

int vd_place_real(const char *path, char *real)
{
	return realpath(path, real) ? 0 : -errno;
}

int vd_place_absolute(const char *path, char *absolute, size_t size)
{
	char cwd[PATH_MAX] = "";
	int n;

	if (path[0] != '/' && !getcwd(cwd, sizeof(cwd)))
		return -errno;
	n = snprintf(absolute, size, "%s%s%s", cwd, cwd[0] ? "/" : "", path);
	return n >= 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
}

void vd_place_of_fd(int fd, char *path, size_t size)
{
	char link[64], real[PATH_MAX];
	struct stat there, here;
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, real, sizeof(real) - 1);
	if (n <= 0 || (size_t)n >= size)
		return;
	real[n] = '\0';
	/* A file whose name is gone shows a name that is another's, or nobody's. */
	if (real[0] == '/' && !stat(real, &there) && !fstat(fd, &here) &&
	    there.st_dev == here.st_dev && there.st_ino == here.st_ino)
		memcpy(path, real, (size_t)n + 1);
}

int vd_place_open_folder(const char *path)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 ? fd : -errno;
}

/* One part at a time, following no link: for kernels and sandboxes without openat2. */
static int walk_beneath(int folder, const char *below)
{
	VD_AUTO_FD int fd = -1;
	int dir = folder;

	for (;;) {
		size_t len = strcspn(below, "/");
		char part[NAME_MAX + 1];
		bool is_last = !below[len];
		int how = is_last ? O_RDONLY | O_NONBLOCK | O_NOCTTY : O_PATH | O_DIRECTORY;
		int next;

		if (len > NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(part, below, len);
		part[len] = '\0';
		next = openat(dir, part, how | O_CLOEXEC | O_NOFOLLOW);
		if (next < 0) {
			struct stat st;
			int why = errno;

			/* O_PATH | O_DIRECTORY calls a link "not a folder". */
			if (why == ENOTDIR && !fstatat(dir, part, &st, AT_SYMLINK_NOFOLLOW) &&
			    S_ISLNK(st.st_mode))
				why = ELOOP;
			return -why;
		}
		if (is_last)
			return next;
		vd_cleanup_fd(&fd);
		dir = fd = next;
		below += len + 1;
	}
}

int vd_place_open_beneath(int folder, const char *below, bool is_plain)
{
	/* O_NONBLOCK: opening a FIFO that lies there mustn't wait for a writer. */
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};

	for (int tries = 0; !is_plain && tries < 16; tries++) {
		long fd = syscall(SYS_openat2, folder, below, &how, sizeof(how));

		if (fd >= 0)
			return (int)fd;
		/* EPERM: how older sandboxes answer calls that they don't know. */
		if (errno == ENOSYS || errno == EPERM)
			return walk_beneath(folder, below);
		/* EAGAIN: something was renamed while ".." of a link was followed. */
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
	}
	return is_plain ? walk_beneath(folder, below) : -EAGAIN;
}
