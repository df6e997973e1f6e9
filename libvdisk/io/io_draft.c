/* SPDX-License-Identifier: MIT */
/* New files that appear complete or not at all. */
#include "io/io.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "io/io_place.h"

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif

struct vd_io_draft {
	struct vd_io *io;
	int folder; /* kept open: it is the same one at the end, wherever it is moved to */
	bool may_replace;
	char *path, *name; /* as given; and its last component, within it */
	char temp[64];
};

static int fail(const char *path, const char *doing, int sys_errno, struct vd_error *err)
{
	char buf[128];

	return vd_error_set(err, vd_code_from_errno(sys_errno), sys_errno, VD_NO_OFFSET,
			    "%s: can't %s: %s", path, doing,
			    strerror_r(sys_errno, buf, sizeof(buf)));
}

static int open_folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	VD_AUTO_FREE char *folder = NULL;
	int fd;

	if (!slash)
		return open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	folder = vd_strdup(path);
	if (!folder) {
		errno = ENOMEM;
		return -1;
	}
	folder[slash == path ? 1 : slash - path] = '\0';
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd;
}

/* File systems that can't sync a folder say EINVAL; there is nothing more to be done then. */
static int sync_folder(int folder, const char *path, struct vd_error *err)
{
	if (!fsync(folder) || errno == EINVAL || errno == EROFS)
		return 0;
	return fail(path, "sync its folder, so its name may not survive a crash", errno, err);
}

int vd_io_sync_folder(const char *path, struct vd_error *err)
{
	VD_AUTO_FD int folder = open_folder_of(path);

	if (folder < 0)
		return fail(path, "open its folder", errno, err);
	return sync_folder(folder, path, err);
}

/* May the name be taken? Only a plain file is ever replaced. */
static int check_name(const struct vd_io_draft *d, struct vd_error *err)
{
	struct stat st;

	if (fstatat(d->folder, d->name, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : fail(d->path, "look at it", errno, err);
	if (!d->may_replace)
		return vd_error_set(err, VD_EEXIST, EEXIST, VD_NO_OFFSET, "%s: exists already",
				    d->path);
	if (!S_ISREG(st.st_mode))
		return vd_error_set(err, VD_EEXIST, EEXIST, VD_NO_OFFSET,
				    "%s: exists and isn't a plain file: it isn't replaced",
				    d->path);
	return 0;
}

static void draft_free(struct vd_io_draft *d)
{
	if (d->io)
		vd_io_close(d->io);
	if (d->folder >= 0)
		close(d->folder);
	vd_free(d->path);
	vd_free(d);
}

static int make_file(struct vd_io_draft *d, uint32_t flags, struct vd_error *err)
{
	uint64_t number;
	int fd = -1, ret;

	for (int tries = 0; fd < 0 && tries < 100; tries++) {
		if (getrandom(&number, sizeof(number), 0) != sizeof(number))
			number = (uint64_t)getpid() * 1000 + (uint64_t)tries;
		snprintf(d->temp, sizeof(d->temp), ".%.32s.%016llx.new", d->name,
			 (unsigned long long)number);
		fd = openat(d->folder, d->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY,
			    0644);
		if (fd < 0 && errno != EEXIST)
			return fail(d->path, "create it", errno, err);
	}
	if (fd < 0)
		return fail(d->path, "create it", EEXIST, err);
	ret = vd_io_open_fd(&d->io, fd, d->path, VD_IO_WRITE | (flags & VD_IO_DIRECT), err);
	close(fd);
	if (ret)
		unlinkat(d->folder, d->temp, 0);
	return ret;
}

int vd_io_create_beside(struct vd_io_draft **out, const char *path, uint32_t flags,
			bool may_replace, struct vd_error *err)
{
	struct vd_io_draft *d = vd_calloc(1, sizeof(*d));
	char *slash;
	int ret;

	if (!d)
		return vd_no_memory(err, sizeof(*d), "a new file");
	d->may_replace = may_replace;
	d->folder = open_folder_of(path);
	d->path = vd_strdup(path);
	if (d->folder < 0) {
		ret = fail(path, "open its folder", errno, err);
	} else if (!d->path) {
		ret = vd_no_memory(err, strlen(path), "a name");
	} else {
		slash = strrchr(d->path, '/');
		d->name = slash ? slash + 1 : d->path;
		if (!d->name[0] || !strcmp(d->name, ".") || !strcmp(d->name, "..") ||
		    strlen(d->name) > NAME_MAX)
			ret = vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
					   "%s: isn't a name that a file can have", path);
		else
			ret = check_name(d, err);
	}
	if (!ret)
		ret = make_file(d, flags, err);
	if (ret) {
		draft_free(d);
		return ret;
	}
	*out = d;
	return 0;
}

struct vd_io *vd_io_draft_io(struct vd_io_draft *draft)
{
	return draft->io;
}

/* Where renameat2 can't keep from replacing, a second link can. */
static int name_new(const struct vd_io_draft *d)
{
	if (!renameat2(d->folder, d->temp, d->folder, d->name, RENAME_NOREPLACE))
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (linkat(d->folder, d->temp, d->folder, d->name, 0))
		return -errno;
	unlinkat(d->folder, d->temp, 0);
	return 0;
}

static int give_name(const struct vd_io_draft *d, struct vd_error *err)
{
	int ret = check_name(d, err);

	if (ret)
		return ret;
	if (d->may_replace)
		ret = renameat(d->folder, d->temp, d->folder, d->name) ? -errno : 0;
	else
		ret = name_new(d);
	if (ret == -EEXIST)
		return vd_error_set(err, VD_EEXIST, EEXIST, VD_NO_OFFSET,
				    "%s: was made by somebody else meanwhile", d->path);
	return ret ? fail(d->path, "give the new file its name", -ret, err) : 0;
}

int vd_io_publish(struct vd_io_draft *draft, struct vd_error *err)
{
	int ret = vd_io_sync(draft->io, err);

	if (!ret)
		ret = give_name(draft, err);
	if (ret) {
		vd_io_discard(draft);
		return ret;
	}
	ret = sync_folder(draft->folder, draft->path, err);
	draft_free(draft);
	return ret;
}

void vd_io_discard(struct vd_io_draft *draft)
{
	if (!draft)
		return;
	unlinkat(draft->folder, draft->temp, 0);
	draft_free(draft);
}

/* ---- questions about places, lent to the rooms above ---- */

int vd_io_real_path(const char *path, char **real, struct vd_error *err)
{
	char text[PATH_MAX];
	int ret = vd_place_real(path, text);

	if (ret)
		return fail(path, "find out where it lies", -ret, err);
	*real = vd_strdup(text);
	return *real ? 0 : vd_no_memory(err, strlen(text) + 1, "a path");
}

int vd_io_remove(const char *path, struct vd_error *err)
{
	struct stat st;

	if (lstat(path, &st))
		return fail(path, "remove it", errno, err);
	if (!S_ISREG(st.st_mode))
		return vd_error_set(err, VD_EDENIED, 0, VD_NO_OFFSET,
				    "%s: isn't a plain file: it isn't removed", path);
	if (unlink(path))
		return fail(path, "remove it", errno, err);
	return vd_io_sync_folder(path, err);
}

bool vd_io_has_name(const struct vd_io *io)
{
	int fd = vd_io_descriptor(io);
	struct stat st;

	return fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_nlink > 0;
}
