/* SPDX-License-Identifier: MIT */
/*
 * Small files of a tree: what a machine tells of itself in /proc, /sys and /etc, or a folder that
 * stands for a machine. Their sizes are often told as 0, so they are read until they end. Within a
 * folder links are followed as if it were "/"; where the kernel can't do that (openat2), not at
 * all.
 */
#include "io/io.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "io/io_place.h"

#define FIRST_ROOM 4096u

struct vd_io_tree {
	int folder;
	bool is_everything; /* "/": whatever a link says lies within */
};

int vd_io_tree_open(struct vd_io_tree **out, const char *root, struct vd_error *err)
{
	struct vd_io_tree *tree = vd_calloc(1, sizeof(*tree));
	char text[128];

	if (!tree)
		return vd_no_memory(err, sizeof(*tree), "a tree of files");
	tree->is_everything = strcmp(root, "/") == 0;
	tree->folder = vd_place_open_folder(root);
	if (tree->folder < 0) {
		int why = -tree->folder;

		vd_free(tree);
		return vd_error_set(err, vd_code_from_errno(why), why, VD_NO_OFFSET,
				    "%s: can't open the folder: %s", root,
				    strerror_r(why, text, sizeof(text)));
	}
	*out = tree;
	return 0;
}

void vd_io_tree_close(struct vd_io_tree *tree)
{
	if (!tree)
		return;
	close(tree->folder);
	vd_free(tree);
}

/** A descriptor or -errno. */
static int open_in(const struct vd_io_tree *tree, const char *path)
{
	/* O_NONBLOCK: opening a FIFO that lies there mustn't wait for a writer. */
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	long fd = -1;

	for (int tries = 0; tries < 16; tries++) {
		fd = syscall(SYS_openat2, tree->folder, path, &how, sizeof(how));
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	if (fd >= 0)
		return (int)fd;
	if (errno != ENOSYS && errno != EPERM)
		return -errno;
	if (!tree->is_everything)
		return vd_place_open_beneath(tree->folder, path, true);
	fd = openat(tree->folder, path, (int)how.flags);
	return fd >= 0 ? (int)fd : -errno;
}

static int fail(const char *path, int why, struct vd_error *err)
{
	char text[128];

	return vd_error_set(err, vd_code_from_errno(why), why, VD_NO_OFFSET, "%s: can't read: %s",
			    path, strerror_r(why, text, sizeof(text)));
}

/* Until its end, or `max` bytes. */
static int read_all(int fd, const char *path, size_t max, char **text, size_t *len,
		    struct vd_error *err)
{
	VD_AUTO_FREE char *buf = NULL;
	size_t room = 0, n = 0;

	for (;;) {
		ssize_t got;

		if (n + 1 >= room && room < max + 1) {
			size_t more = room ? 2 * room : FIRST_ROOM;
			char *larger;

			if (more > max + 1)
				more = max + 1;
			larger = vd_realloc(buf, more);
			if (!larger)
				return vd_no_memory(err, more, path);
			buf = larger;
			room = more;
		}
		got = n < max ? read(fd, buf + n, room - 1 - n) : 0;
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail(path, errno, err);
		if (got == 0)
			break;
		n += (size_t)got;
	}
	buf[n] = '\0';
	*text = VD_TAKE(buf);
	*len = n;
	return 0;
}

int vd_io_tree_read(const struct vd_io_tree *tree, const char *path, size_t max, char **text,
		    size_t *len, struct vd_error *err)
{
	VD_AUTO_FD int fd = open_in(tree, path);
	struct stat st;

	if (fd < 0)
		return fail(path, -fd, err);
	if (fstat(fd, &st))
		return fail(path, errno, err);
	if (!S_ISREG(st.st_mode))
		return vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET, "%s: not a plain file", path);
	return read_all(fd, path, max, text, len, err);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names of a folder, at most `max`; a full table of them is no error. */
static int gather_names(DIR *dir, size_t max, char ***names, size_t *n, struct vd_error *err)
{
	size_t room = 0;
	struct dirent *e;

	while (*n < max && (e = readdir(dir))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (*n == room) {
			size_t more = room ? 2 * room : 64;
			char **larger = vd_realloc(*names, more * sizeof(**names));

			if (!larger)
				return vd_no_memory(err, more * sizeof(**names), "names of files");
			*names = larger;
			room = more;
		}
		(*names)[*n] = vd_strdup(e->d_name);
		if (!(*names)[*n])
			return vd_no_memory(err, strlen(e->d_name) + 1, "a file name");
		(*n)++;
	}
	return 0;
}

int vd_io_tree_list(const struct vd_io_tree *tree, const char *path, size_t max, vd_io_name_fn fn,
		    void *user, struct vd_error *err)
{
	int fd = open_in(tree, path);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	char **names = NULL;
	size_t n = 0;
	int rc;

	if (fd < 0)
		return fail(path, -fd, err);
	if (!dir) {
		rc = fail(path, errno, err);
		close(fd);
		return rc;
	}
	rc = gather_names(dir, max, &names, &n, err);
	closedir(dir);
	if (n)
		qsort(names, n, sizeof(*names), compare_names);
	for (size_t i = 0; i < n; i++) {
		if (!rc)
			rc = fn(user, names[i]);
		vd_free(names[i]);
	}
	vd_free(names);
	return rc;
}

/* The folder that holds `path`, opened, and the last part of the path. */
static int open_holder(const struct vd_io_tree *tree, const char *path, const char **last)
{
	const char *slash = strrchr(path, '/');
	char folder[512];

	*last = slash ? slash + 1 : path;
	if (!slash)
		return open_in(tree, ".");
	if ((size_t)(slash - path) >= sizeof(folder))
		return -ENAMETOOLONG;
	memcpy(folder, path, (size_t)(slash - path));
	folder[slash - path] = '\0';
	return open_in(tree, folder);
}

bool vd_io_tree_has(const struct vd_io_tree *tree, const char *path)
{
	const char *last;
	VD_AUTO_FD int fd = open_holder(tree, path, &last);
	struct stat st;

	return fd >= 0 && fstatat(fd, last, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

bool vd_io_tree_link(const struct vd_io_tree *tree, const char *path, char *name, size_t size)
{
	const char *last, *slash;
	VD_AUTO_FD int fd = open_holder(tree, path, &last);
	char target[1024];
	ssize_t n = fd < 0 ? -1 : readlinkat(fd, last, target, sizeof(target) - 1);

	if (n <= 0)
		return false;
	target[n] = '\0';
	slash = strrchr(target, '/');
	snprintf(name, size, "%s", slash ? slash + 1 : target);
	return name[0] != '\0';
}
