/* SPDX-License-Identifier: MIT */
/* Small files and folders, lent to the rooms above the core: see io_small.h and base/lent.h. */
#include "io/io_small.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/lent.h"

#define FIRST_ROOM  4096u
#define FIRST_NAMES 64u

static int failed(struct vd_error *err, const char *path, const char *what, int why)
{
	char text[128];

	return vd_error_set(err, vd_code_from_errno(why), why, VD_NO_OFFSET, "%s: %s: %s", path,
			    what, strerror_r(why, text, sizeof(text)));
}

static ssize_t read_on(int fd, void *to, size_t len)
{
	ssize_t n;

	do
		n = read(fd, to, len);
	while (n < 0 && errno == EINTR);
	return n;
}

int vd_small_read(int fd, const char *path, size_t max, char **bytes, size_t *len,
		  struct vd_error *err)
{
	VD_AUTO_FD int own = fd;
	VD_AUTO_FREE char *text = NULL;
	size_t room = 0, n = 0;
	struct stat st;
	ssize_t got;

	if (fd < 0)
		return failed(err, path, "open", -fd);
	if (fstat(own, &st))
		return failed(err, path, "stat", errno);
	if (!S_ISREG(st.st_mode))
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "%s: is no plain file", path);
	/* What the kernel makes up as it is read has no size: to the end, whatever that says. */
	do {
		char *more = text;

		if (n == room) {
			room = room ? 2 * room : FIRST_ROOM;
			if (room > max)
				room = max;
			more = vd_realloc(text, room + 1);
		}
		if (!more)
			return vd_no_memory(err, room, path);
		text = more;
		got = read_on(own, text + n, room - n);
		if (got < 0)
			return failed(err, path, "read", errno);
		n += (size_t)got;
	} while (got && n < max);
	text[n] = '\0';
	*bytes = VD_TAKE(text);
	*len = n;
	return 0;
}

void vd_io_free_names(char **names)
{
	for (char **name = names; name && *name; name++)
		vd_free(*name);
	vd_free(names);
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* *names ends with a NULL at any moment. */
static int gather(DIR *dir, const char *path, size_t max, char ***names, size_t *n_names,
		  struct vd_error *err)
{
	size_t n = 0, room = 0;
	struct dirent *entry;

	for (errno = 0; n < max && (entry = readdir(dir)); errno = 0) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (n == room) {
			size_t more = room ? 2 * room : FIRST_NAMES;
			char **larger = vd_realloc(*names, (more + 1) * sizeof(**names));

			if (!larger)
				return vd_no_memory(err, more * sizeof(**names), path);
			*names = larger;
			room = more;
		}
		(*names)[n] = vd_strdup(entry->d_name);
		if (!(*names)[n])
			return vd_no_memory(err, strlen(entry->d_name) + 1, path);
		(*names)[++n] = NULL;
	}
	*n_names = n;
	return errno ? failed(err, path, "read", errno) : 0;
}

int vd_small_list(int fd, const char *path, size_t max, char ***names, size_t *n,
		  struct vd_error *err)
{
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	int why = fd < 0 ? -fd : errno, ret;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return failed(err, path, "open", why);
	}
	*names = vd_calloc(1, sizeof(**names));
	ret = *names ? gather(dir, path, max, names, n, err)
		     : vd_no_memory(err, sizeof(**names), path);
	closedir(dir);
	if (ret) {
		vd_io_free_names(*names);
		*names = NULL;
		return ret;
	}
	qsort(*names, *n, sizeof(**names), by_bytes);
	return 0;
}

static int open_or_why(const char *path, int flags)
{
	int fd = open(path, flags | O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int vd_io_slurp(const char *path, size_t max, char **bytes, size_t *len, struct vd_error *err)
{
	/* A FIFO of that name must not make us wait for its writer. */
	int fd = open_or_why(path, O_NOCTTY | O_NONBLOCK);
	VD_AUTO_FREE char *text = NULL;
	int ret = vd_small_read(fd, path, max + 1, &text, len, err);

	if (ret)
		return ret;
	if (*len > max)
		return vd_error_set(err, VD_ERANGE, 0, VD_NO_OFFSET,
				    "%s: has more than %zu bytes, the most allowed here", path,
				    max);
	*bytes = VD_TAKE(text);
	return 0;
}

int vd_io_list_folder(const char *path, size_t max, char ***names, size_t *n, struct vd_error *err)
{
	int fd = open_or_why(path, O_DIRECTORY);
	struct stat st;
	int ret;

	/* That isn't a folder that doesn't exist: somebody meant one to be there. */
	if (fd == -ENOENT && lstat(path, &st) == 0)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "%s: is a link that leads nowhere", path);
	ret = vd_small_list(fd, path, max + 1, names, n, err);
	if (!ret && *n > max) {
		vd_io_free_names(*names);
		*names = NULL;
		ret = vd_error_set(err, VD_ERANGE, 0, VD_NO_OFFSET,
				   "%s: has more than %zu files, the most allowed here", path, max);
	}
	return ret;
}
