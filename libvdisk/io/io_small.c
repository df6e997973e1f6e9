/* SPDX-License-Identifier: MIT */
/* Small files and folders, lent to the rooms above the core: see base/lent.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/lent.h"

#define FIRST_ROOM 4096u

static int failed(struct vd_error *err, const char *path, const char *what)
{
	int e = errno;

	return vd_error_set(err, vd_code_from_errno(e), e, VD_NO_OFFSET, "%s: %s: %s", path, what,
			    strerror(e));
}

/** The next bytes; errno is 0 at the end. */
static ssize_t read_on(int fd, void *to, size_t len)
{
	ssize_t n;

	do
		n = read(fd, to, len);
	while (n < 0 && errno == EINTR);
	return n;
}

int vd_io_slurp(const char *path, size_t max, char **bytes, size_t *len, struct vd_error *err)
{
	/* A FIFO of that name must not make us wait for its writer. */
	VD_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	VD_AUTO_FREE char *text = NULL;
	size_t room = 0, n = 0;
	struct stat st;
	ssize_t got;

	if (fd < 0)
		return failed(err, path, "open");
	if (fstat(fd, &st))
		return failed(err, path, "stat");
	if (!S_ISREG(st.st_mode))
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "%s: is no plain file", path);
	/* What the kernel makes up as it is read has no size: to the end, whatever that says. */
	do {
		char *more = text;

		if (n == room) {
			room = room ? 2 * room : FIRST_ROOM;
			if (room > max + 1)
				room = max + 1;
			more = vd_realloc(text, room + 1);
		}
		if (!more)
			return vd_no_memory(err, room, path);
		text = more;
		got = read_on(fd, text + n, room - n);
		if (got < 0)
			return failed(err, path, "read");
		n += (size_t)got;
		if (n > max)
			return vd_error_set(err, VD_ERANGE, 0, VD_NO_OFFSET,
					    "%s: has more than %zu bytes, the most allowed here",
					    path, max);
	} while (got);
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

/** All but "." and "..", behind each other, with a NULL at the end. */
static int gather(DIR *dir, const char *path, size_t max, char ***names, size_t *n_names,
		  struct vd_error *err)
{
	size_t n = 0, room = 0;

	for (;;) {
		struct dirent *entry;

		if (n == room) {
			char **more = vd_realloc(*names, (2 * room + 17) * sizeof(**names));

			if (!more)
				return vd_no_memory(err, room * sizeof(**names), path);
			memset(more + n, 0, (2 * room + 17 - n) * sizeof(*more));
			*names = more;
			room = 2 * room + 16;
		}
		errno = 0;
		entry = readdir(dir);
		if (!entry)
			break;
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (n == max)
			return vd_error_set(err, VD_ERANGE, 0, VD_NO_OFFSET,
					    "%s: has more than %zu files, the most allowed here",
					    path, max);
		(*names)[n] = vd_strdup(entry->d_name);
		if (!(*names)[n])
			return vd_no_memory(err, strlen(entry->d_name), path);
		n++;
	}
	*n_names = n;
	return errno ? failed(err, path, "read") : 0;
}

int vd_io_list_folder(const char *path, size_t max, char ***names, size_t *n, struct vd_error *err)
{
	DIR *dir = opendir(path);
	struct stat st;
	int ret;

	/* That isn't a folder that doesn't exist: somebody meant one to be there. */
	if (!dir && errno == ENOENT) {
		if (lstat(path, &st) == 0)
			return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
					    "%s: is a link that leads nowhere", path);
		errno = ENOENT;
	}
	if (!dir)
		return failed(err, path, "open");
	*names = NULL;
	ret = gather(dir, path, max, names, n, err);
	closedir(dir);
	if (ret) {
		vd_io_free_names(*names);
		*names = NULL;
		return ret;
	}
	qsort(*names, *n, sizeof(**names), by_bytes);
	return 0;
}
