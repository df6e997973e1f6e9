/* SPDX-License-Identifier: MIT */
/* See folder.h. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "folder.h"
#include "metadata.h"
#include "output.h"

static int failed(const char *path, int sys_errno)
{
	return tool_say(tool_exit_for(vd_code_from_errno(sys_errno)), path, "%s",
			strerror(sys_errno));
}

/** The path without slashes at its end. */
static int take_path(struct tool_folder *folder, const char *path)
{
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	if (len == 0 || len >= sizeof(folder->path))
		return failed(path, len ? ENAMETOOLONG : ENOENT);
	memcpy(folder->path, path, len);
	folder->path[len] = '\0';
	folder->temp[0] = '\0';
	folder->fd = -1;
	return TOOL_DONE;
}

int tool_folder_create(struct tool_folder *folder, const char *path)
{
	const char *slash, *name;
	struct stat st;
	int exit_code = take_path(folder, path);

	if (exit_code)
		return exit_code;
	if (lstat(folder->path, &st) == 0)
		return tool_say(TOOL_FAILED, path,
				"exists already; it would have to be a new folder");
	slash = strrchr(folder->path, '/');
	name = slash ? slash + 1 : folder->path;
	if ((size_t)snprintf(folder->temp, sizeof(folder->temp), "%.*s.%.200s.XXXXXX.tmp",
			     (int)(name - folder->path), folder->path,
			     name) >= sizeof(folder->temp))
		return failed(path, ENAMETOOLONG);
	/* mkdtemp wants its X at the end. */
	folder->temp[strlen(folder->temp) - 4] = '\0';
	if (!mkdtemp(folder->temp)) {
		folder->temp[0] = '\0';
		return failed(path, errno);
	}
	folder->fd = open(folder->temp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder->fd < 0) {
		exit_code = failed(path, errno);
		tool_folder_abandon(folder);
	}
	return exit_code;
}

/** The folder in which the last part of `name` stands: a descriptor of its own, or -errno. */
static int open_parent(struct tool_folder *folder, const char *name, bool may_make,
		       const char **last)
{
	int at = fcntl(folder->fd, F_DUPFD_CLOEXEC, 0);

	*last = name;
	for (const char *slash; at >= 0 && (slash = strchr(*last, '/')); *last = slash + 1) {
		char part[NAME_MAX + 1];
		size_t n = (size_t)(slash - *last);
		int next = -1;

		errno = ENAMETOOLONG;
		if (n <= NAME_MAX) {
			memcpy(part, *last, n);
			part[n] = '\0';
			if (may_make && mkdirat(at, part, 0777) != 0 && errno != EEXIST) {
				n = (size_t)errno;
				close(at);
				return -(int)n;
			}
			next = openat(at, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		}
		n = (size_t)errno;
		close(at);
		if (next < 0)
			return -(int)n;
		at = next;
	}
	return at < 0 ? -errno : at;
}

int tool_folder_new_file(struct tool_folder *folder, const char *name)
{
	const char *last;
	int at = open_parent(folder, name, true, &last), fd;

	if (at < 0)
		return at;
	fd = openat(at, last, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (fd < 0)
		fd = -errno;
	close(at);
	return fd;
}

int tool_folder_commit(struct tool_folder *folder)
{
	mode_t mask = umask(0);
	int sys_errno = 0;

	umask(mask);
	if (fchmod(folder->fd, 0777 & ~mask) != 0)
		tool_note("%s: %s", folder->path, strerror(errno));
	if (renameat2(AT_FDCWD, folder->temp, AT_FDCWD, folder->path, RENAME_NOREPLACE) != 0)
		sys_errno = errno;
	/* Without that flag an empty folder could be replaced, no other. */
	if ((sys_errno == EINVAL || sys_errno == ENOSYS) && rename(folder->temp, folder->path) == 0)
		sys_errno = 0;
	if (sys_errno) {
		tool_folder_abandon(folder);
		return failed(folder->path, sys_errno);
	}
	folder->temp[0] = '\0';
	tool_folder_close(folder);
	return TOOL_DONE;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	remove(path);
	return 0;
}

void tool_folder_abandon(struct tool_folder *folder)
{
	tool_folder_close(folder);
	if (folder->temp[0])
		nftw(folder->temp, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	folder->temp[0] = '\0';
}

int tool_folder_open(struct tool_folder *folder, const char *path)
{
	int exit_code = take_path(folder, path);

	if (exit_code)
		return exit_code;
	folder->fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return folder->fd < 0 ? failed(path, errno) : TOOL_DONE;
}

int tool_folder_open_file(struct tool_folder *folder, const char *name)
{
	const char *last;
	int at = open_parent(folder, name, false, &last), fd;
	struct stat st;

	if (at < 0)
		return at;
	fd = openat(at, last, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	close(at);
	if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))) {
		close(fd);
		fd = -EINVAL;
	}
	return fd;
}

void tool_folder_close(struct tool_folder *folder)
{
	if (folder->fd >= 0)
		close(folder->fd);
	folder->fd = -1;
}
