// SPDX-License-Identifier: MIT
/*
 * Files by path, over inodes: what is the same for each file system. "..", symbolic links and
 * their bounds live here. A path never leaves its file system: "/.." is "/", an absolute link
 * begins at the root.
 */
#include <inttypes.h>
#include <string.h>
#include <utf8proc.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "guest/guest_bytes.h"
#include "guest/guest_handle.h"

#define LINKS_MAX  40u
#define DEPTH_MAX  1024u
#define TARGET_MAX 4096u

bool vd_guest_name(char name[static VD_GUEST_NAME_MAX], const void *bytes, size_t len)
{
	vd_guest_text(name, VD_GUEST_NAME_MAX, bytes, len);
	return name[0] && strcmp(name, ".") && strcmp(name, "..") && !strchr(name, '/');
}

/* ---- one name ---- */

static bool is_same_name(const char *a, const char *b, bool ignores_case)
{
	const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)a, *q = (const utf8proc_uint8_t *)b;

	if (!ignores_case)
		return strcmp(a, b) == 0;
	while (*p && *q) {
		utf8proc_int32_t c, d;
		utf8proc_ssize_t n = utf8proc_iterate(p, -1, &c), m = utf8proc_iterate(q, -1, &d);

		if (n <= 0 || m <= 0 || utf8proc_toupper(c) != utf8proc_toupper(d))
			return false;
		p += n;
		q += m;
	}
	return *p == *q;
}

struct sought {
	const char *name;
	bool ignores_case;
	uint64_t inode;
	bool is_found;
};

static int is_sought(void *user, const char *name, uint64_t inode, enum vd_file_type type)
{
	struct sought *sought = user;

	(void)type;
	if (!is_same_name(name, sought->name, sought->ignores_case))
		return 0;
	sought->inode = inode;
	sought->is_found = true;
	return 1;
}

static int find_name(struct vd_guest_fs *fs, uint64_t folder, const char *name, uint64_t *inode,
		     struct vd_error *err)
{
	struct sought sought = {name, fs->ops->ignores_case, 0, false};
	int rc;

	if (fs->ops->lookup) {
		rc = fs->ops->lookup(fs->state, folder, name, inode, err);
		/* A name that was shown with U+FFFD is another one on the disk. */
		if (rc != VD_ENOENT || !strstr(name, "\xef\xbf\xbd"))
			return rc;
	}
	rc = fs->ops->list(fs->state, folder, is_sought, &sought, err);
	*inode = sought.inode;
	if (sought.is_found)
		return 0;
	return rc ? rc : vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET, "not found");
}

/* ---- paths ---- */

struct way {
	struct vd_guest_fs *fs;
	uint64_t folders[DEPTH_MAX]; /* from the root to where we are */
	size_t depth;
	unsigned int n_links;
	char *rest; /* VD_GUEST_PATH_MAX bytes: what is still to go */
};

/* The link at the current place stands before the rest of the path. */
static int follow_link(struct way *way, uint64_t inode, struct vd_error *err)
{
	char target[TARGET_MAX];
	size_t len, rest_len = strlen(way->rest);
	int rc;

	if (++way->n_links > LINKS_MAX)
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "more than %u symbolic links, perhaps in a circle", LINKS_MAX);
	rc = way->fs->ops->readlink(way->fs->state, inode, target, sizeof(target), err);
	if (rc)
		return rc;
	len = strlen(target);
	if (!len || len + 1 + rest_len >= VD_GUEST_PATH_MAX)
		return vd_error_set(err, VD_ERANGE, 0, VD_NO_OFFSET,
				    "a symbolic link of %zu bytes makes the path too long", len);
	memmove(way->rest + len + 1, way->rest, rest_len + 1);
	memcpy(way->rest, target, len);
	way->rest[len] = '/';
	if (target[0] == '/')
		way->depth = 1;
	return 0;
}

/* Take the first part off the rest; false at the end. */
static bool next_part(struct way *way, char part[static VD_GUEST_NAME_MAX], bool *is_too_long)
{
	size_t skip = strspn(way->rest, "/"), len = strcspn(way->rest + skip, "/");

	*is_too_long = len >= VD_GUEST_NAME_MAX;
	if (!len || *is_too_long)
		return *is_too_long;
	memcpy(part, way->rest + skip, len);
	part[len] = '\0';
	memmove(way->rest, way->rest + skip + len, strlen(way->rest + skip + len) + 1);
	return true;
}

static int go(struct way *way, const char *part, bool follow, struct vd_error *err)
{
	bool is_last = way->rest[strspn(way->rest, "/")] == '\0';
	struct vd_file_info info;
	uint64_t inode;
	int rc;

	if (strcmp(part, ".") == 0)
		return 0;
	if (strcmp(part, "..") == 0) {
		way->depth -= way->depth > 1;
		return 0;
	}
	if (way->depth == DEPTH_MAX)
		return vd_error_set(err, VD_ERANGE, 0, VD_NO_OFFSET, "deeper than %u folders",
				    DEPTH_MAX);
	rc = find_name(way->fs, way->folders[way->depth - 1], part, &inode, err);
	if (!rc)
		rc = way->fs->ops->info(way->fs->state, inode, &info, err);
	if (rc)
		return rc;
	if (info.type == VD_FILE_SYMLINK && way->fs->ops->readlink && (follow || !is_last))
		return follow_link(way, inode, err);
	if (!is_last && info.type != VD_FILE_FOLDER)
		return vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET, "not a folder");
	way->folders[way->depth++] = inode;
	return 0;
}

int vd_guest_resolve(struct vd_guest_fs *fs, const char *path, bool follow, uint64_t *inode,
		     struct vd_error *err)
{
	struct way *way VD_AUTO_FREE = vd_calloc(1, sizeof(*way));
	char *rest VD_AUTO_FREE = vd_malloc(VD_GUEST_PATH_MAX);
	char part[VD_GUEST_NAME_MAX];
	bool is_too_long;
	int rc = 0;

	if (!way || !rest)
		return vd_no_memory(err, sizeof(*way) + VD_GUEST_PATH_MAX, "a path");
	if (path[0] != '/')
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "%.200s: a path in a guest begins with /", path);
	if (strlen(path) >= VD_GUEST_PATH_MAX)
		return vd_error_set(err, VD_ERANGE, 0, VD_NO_OFFSET, "%.200s...: too long a path",
				    path);
	memcpy(rest, path, strlen(path) + 1);
	way->fs = fs;
	way->rest = rest;
	way->folders[way->depth++] = fs->root;
	while (!rc && next_part(way, part, &is_too_long))
		rc = is_too_long ? vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET, "too long a name")
				 : go(way, part, follow, err);
	if (rc)
		return vd_error_prefix(err, rc, "%.200s", path);
	*inode = way->folders[way->depth - 1];
	return 0;
}

static int info_of(struct vd_guest_fs *fs, const char *path, bool follow, struct vd_file_info *info,
		   struct vd_error *err)
{
	uint64_t inode;
	int rc = vd_guest_resolve(fs, path, follow, &inode, err);

	if (rc)
		return rc;
	rc = fs->ops->info(fs->state, inode, info, err);
	return rc ? vd_error_prefix(err, rc, "%.200s", path) : 0;
}

int vd_guest_fs_stat(struct vd_guest_fs *fs, const char *path, struct vd_file_info *info,
		     struct vd_error *err)
{
	return info_of(fs, path, true, info, err);
}

int vd_guest_fs_readlink(struct vd_guest_fs *fs, const char *path, char *target, size_t size,
			 struct vd_error *err)
{
	struct vd_file_info info;
	int rc = info_of(fs, path, false, &info, err);

	if (rc)
		return rc;
	if (info.type != VD_FILE_SYMLINK || !fs->ops->readlink)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "%.200s: not a symbolic link",
				    path);
	rc = fs->ops->readlink(fs->state, info.inode, target, size, err);
	return rc ? vd_error_prefix(err, rc, "%.200s", path) : 0;
}

/* ---- content ---- */

static int regular_file(struct vd_guest_fs *fs, const char *path, struct vd_file_info *info,
			struct vd_error *err)
{
	int rc = info_of(fs, path, true, info, err);

	if (!rc && info->type != VD_FILE_REGULAR)
		rc = vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "%.200s: not a regular file",
				  path);
	return rc;
}

int vd_guest_fs_read(struct vd_guest_fs *fs, const char *path, void *buf, size_t len,
		     uint64_t offset, size_t *n_read, struct vd_error *err)
{
	struct vd_file_info info;
	int rc = regular_file(fs, path, &info, err);

	*n_read = 0;
	if (rc)
		return rc;
	rc = fs->ops->read(fs->state, info.inode, buf, len, offset, n_read, err);
	return rc ? vd_error_prefix(err, rc, "%.200s", path) : 0;
}

int vd_guest_file_read(struct vd_guest_file *file, void *buf, size_t len, uint64_t offset,
		       size_t *n_read, struct vd_error *err)
{
	*n_read = 0;
	return file->fs->ops->read(file->fs->state, file->inode, buf, len, offset, n_read, err);
}

int vd_guest_fs_slurp(struct vd_guest_fs *fs, const char *path, size_t max, char **bytes,
		      size_t *len, struct vd_error *err)
{
	char *text VD_AUTO_FREE = NULL;
	struct vd_file_info info;
	int rc = regular_file(fs, path, &info, err);

	*bytes = NULL;
	*len = 0;
	if (rc)
		return rc;
	if (info.size > max || info.size == SIZE_MAX)
		return vd_error_set(err, VD_ERANGE, 0, VD_NO_OFFSET,
				    "%.200s: %" PRIu64 " bytes, at most %zu are read", path,
				    info.size, max);
	text = vd_malloc((size_t)info.size + 1);
	if (!text)
		return vd_no_memory(err, (size_t)info.size + 1, "a file");
	rc = fs->ops->read(fs->state, info.inode, text, (size_t)info.size, 0, len, err);
	if (rc)
		return vd_error_prefix(err, rc, "%.200s", path);
	text[*len] = '\0';
	*bytes = VD_TAKE(text);
	return 0;
}

void vd_guest_free(void *p)
{
	vd_free(p);
}
