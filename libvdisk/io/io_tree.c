/* SPDX-License-Identifier: MIT */
/*
 * Small files of a tree: what a machine tells of itself in /proc, /sys and /etc, or a folder that
 * stands for a machine. Within a folder links are followed as if it were "/"; where the kernel
 * can't do that (openat2), not at all.
 */
#include "io/io.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "io/io_place.h"
#include "io/io_small.h"

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

int vd_io_tree_read(const struct vd_io_tree *tree, const char *path, size_t max, char **text,
		    size_t *len, struct vd_error *err)
{
	return vd_small_read(open_in(tree, path), path, max, text, len, err);
}

int vd_io_tree_list(const struct vd_io_tree *tree, const char *path, size_t max, vd_io_name_fn fn,
		    void *user, struct vd_error *err)
{
	char **names = NULL;
	size_t n = 0;
	int rc = vd_small_list(open_in(tree, path), path, max, &names, &n, err);

	for (size_t i = 0; !rc && i < n; i++)
		rc = fn(user, names[i]);
	vd_io_free_names(names);
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
