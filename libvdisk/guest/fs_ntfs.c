// SPDX-License-Identifier: MIT
/*
 * Files of NTFS, by The Sleuth Kit (fs_ntfs_tsk.h), where that was there to build with and is there
 * to load. Deleted files, alternate streams and DOS names aren't shown; a junction is an empty
 * folder. A Windows that hibernates, or merely "shut down" in its fast way, holds what isn't on the
 * disk: then the file system isn't clean.
 */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "guest/fs_ntfs_tsk.h"
#include "guest/guest_handle.h"

static const char *const ntfs_types[] = {"ntfs", NULL};

#ifdef VD_HAS_TSK

#define ROOT_INODE   5u
#define BITMAP_INODE 6u
/* Below it, NTFS keeps its own files: no names of the guest. */
#define FIRST_INODE 24u
/* Readings of one call; libtsk reads 64 KiB at a time, and looks at all of the MFT once. */
#define BUDGET      (4u << 20)
#define ENTRIES_MAX (4u << 20)

struct ntfs_fs {
	TSK_IMG_INFO image; /* first: libtsk hands its address to our functions */
	struct vd_guest_view view;
	const struct ntfs_tsk *tsk;
	TSK_FS_INFO *fs;
	uint64_t budget;
	bool is_exhausted;
	int failure;
	struct vd_error why;
	TSK_FS_FILE *file; /* the one that was asked for last */
	TSK_FS_DIR *folder;
	uint64_t folder_inode;
};

static ssize_t read_image(TSK_IMG_INFO *image, TSK_OFF_T offset, char *buf, size_t len)
{
	struct ntfs_fs *ntfs = (struct ntfs_fs *)image;

	if (offset < 0 || (uint64_t)offset >= ntfs->view.length)
		return -1;
	if (!ntfs->budget) {
		ntfs->is_exhausted = true;
		return -1;
	}
	ntfs->budget--;
	len = (size_t)vd_min64(len, ntfs->view.length - (uint64_t)offset);
	ntfs->failure =
	    vd_guest_view_read(&ntfs->view, buf, len, (uint64_t)offset, "NTFS", &ntfs->why);
	return ntfs->failure ? -1 : (ssize_t)len;
}

static void close_image(TSK_IMG_INFO *image)
{
	(void)image;
}

static void describe_image(TSK_IMG_INFO *image, FILE *file)
{
	(void)image, (void)file;
}

static void start(struct ntfs_fs *ntfs)
{
	ntfs->budget = BUDGET;
	ntfs->is_exhausted = false;
	ntfs->failure = 0;
	ntfs->tsk->error_reset();
}

static int fail(struct ntfs_fs *ntfs, struct vd_error *err, const char *what, uint64_t inode)
{
	const char *text = ntfs->tsk->error_text();

	if (ntfs->is_exhausted)
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "%s (MFT entry %" PRIu64 "): more to read than it can have",
				    what, inode);
	if (ntfs->failure)
		return vd_error_set(err, ntfs->failure, ntfs->why.sys_errno, ntfs->why.offset,
				    "%s (MFT entry %" PRIu64 "): %s", what, inode, ntfs->why.text);
	return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET, "%s (MFT entry %" PRIu64 "): %s",
			    what, inode, text ? text : "broken");
}

static void ntfs_close(void *state)
{
	struct ntfs_fs *ntfs = state;

	if (!ntfs)
		return;
	if (ntfs->folder)
		ntfs->tsk->dir_close(ntfs->folder);
	if (ntfs->file)
		ntfs->tsk->file_close(ntfs->file);
	if (ntfs->fs)
		ntfs->tsk->fs_close(ntfs->fs);
	vd_free(ntfs);
}

static int open_file(struct ntfs_fs *ntfs, uint64_t inode, struct vd_error *err)
{
	start(ntfs);
	if (ntfs->file && ntfs->file->meta && ntfs->file->meta->addr == inode)
		return 0;
	if (ntfs->file)
		ntfs->tsk->file_close(ntfs->file);
	ntfs->file = NULL;
	if (inode > ntfs->fs->last_inum)
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "there is no MFT entry %" PRIu64, inode);
	ntfs->file = ntfs->tsk->file_open(ntfs->fs, NULL, inode);
	if (!ntfs->file || !ntfs->file->meta)
		return fail(ntfs, err, "file", inode);
	return 0;
}

static int ntfs_read(void *state, uint64_t inode, void *buf, size_t len, uint64_t offset,
		     size_t *n_read, struct vd_error *err)
{
	struct ntfs_fs *ntfs = state;
	uint64_t size;
	int rc = open_file(ntfs, inode, err);

	*n_read = 0;
	if (rc)
		return rc;
	size = ntfs->file->meta->size > 0 ? (uint64_t)ntfs->file->meta->size : 0;
	if (offset >= size)
		return 0;
	len = (size_t)vd_min64(len, size - offset);
	while (*n_read < len) {
		ssize_t n = ntfs->tsk->file_read(ntfs->file, (TSK_OFF_T)(offset + *n_read),
						 (char *)buf + *n_read, len - *n_read,
						 TSK_FS_FILE_READ_FLAG_NONE);

		if (n <= 0)
			return fail(ntfs, err, "file", inode);
		*n_read += (size_t)n;
	}
	return 0;
}

static int ntfs_info(void *state, uint64_t inode, struct vd_file_info *info, struct vd_error *err)
{
	struct ntfs_fs *ntfs = state;
	const TSK_FS_META *meta;
	int rc = open_file(ntfs, inode, err);

	if (rc)
		return rc;
	meta = ntfs->file->meta;
	memset(info, 0, sizeof(*info));
	info->type = meta->type == TSK_FS_META_TYPE_REG   ? VD_FILE_REGULAR
		     : meta->type == TSK_FS_META_TYPE_DIR ? VD_FILE_FOLDER
							  : VD_FILE_OTHER;
	if (info->type == VD_FILE_REGULAR && meta->size > 0)
		info->size = (uint64_t)meta->size;
	info->mtime = meta->mtime;
	info->inode = inode;
	return 0;
}

static int open_folder(struct ntfs_fs *ntfs, uint64_t inode, struct vd_error *err)
{
	start(ntfs);
	if (ntfs->folder && ntfs->folder_inode == inode)
		return 0;
	if (ntfs->folder)
		ntfs->tsk->dir_close(ntfs->folder);
	ntfs->folder = ntfs->tsk->dir_open(ntfs->fs, inode);
	if (!ntfs->folder)
		return fail(ntfs, err, "folder", inode);
	ntfs->folder_inode = inode;
	return 0;
}

/* The folder's names are held by libtsk, so fn may look at other files. */
static int ntfs_list(void *state, uint64_t folder, vd_guest_entry_fn fn, void *user,
		     struct vd_error *err)
{
	struct ntfs_fs *ntfs = state;
	char name[VD_GUEST_NAME_MAX];
	size_t n;
	int rc = open_folder(ntfs, folder, err);

	if (rc)
		return rc;
	n = ntfs->tsk->dir_size(ntfs->folder);
	if (n > ENTRIES_MAX)
		return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
				    "MFT entry %" PRIu64 ": a folder of more than %u entries",
				    folder, ENTRIES_MAX);
	for (size_t i = 0; i < n && !rc; i++) {
		const TSK_FS_NAME *entry = ntfs->tsk->dir_name(ntfs->folder, i);

		/* Deleted ones, and the folder that libtsk makes up for files without one. */
		if (!entry || !entry->name || !(entry->flags & TSK_FS_NAME_FLAG_ALLOC) ||
		    entry->meta_addr < FIRST_INODE || entry->meta_addr >= ntfs->fs->last_inum ||
		    !vd_guest_name(name, entry->name, strlen(entry->name)))
			continue;
		rc = fn(user, name, entry->meta_addr,
			entry->type == TSK_FS_NAME_TYPE_DIR   ? VD_FILE_FOLDER
			: entry->type == TSK_FS_NAME_TYPE_REG ? VD_FILE_REGULAR
							      : VD_FILE_OTHER);
	}
	return rc;
}

/* ---- opening ---- */

static int is_hiberfil(void *user, const char *name, uint64_t inode, enum vd_file_type type)
{
	(void)type;
	if (strcasecmp(name, "hiberfil.sys") != 0)
		return 0;
	*(uint64_t *)user = inode;
	return 1;
}

/* A session that sleeps in hiberfil.sys begins with a word; one that was resumed, with zeros. */
static bool is_hibernated(struct ntfs_fs *ntfs)
{
	uint64_t inode = 0;
	char head[4] = {0};
	size_t n;

	if (ntfs_list(ntfs, ROOT_INODE, is_hiberfil, &inode, NULL) != 1)
		return false;
	return ntfs_read(ntfs, inode, head, sizeof(head), 0, &n, NULL) ||
	       memcmp(head, "\0\0\0\0", sizeof(head)) != 0;
}

static int ntfs_open(void **state, const struct vd_guest_view *view, struct vd_filesystem *fs,
		     uint64_t *root, struct vd_error *err)
{
	const struct ntfs_tsk *tsk = ntfs_tsk();
	struct ntfs_fs *ntfs;
	int rc;

	if (!tsk)
		return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
				    "NTFS found, not read: install The Sleuth Kit's library "
				    "(Debian package libtsk19)");
	ntfs = vd_calloc(1, sizeof(*ntfs));
	if (!ntfs)
		return vd_no_memory(err, sizeof(*ntfs), "a file system");
	ntfs->view = *view;
	ntfs->tsk = tsk;
	start(ntfs);
	if (!tsk->img_open(&ntfs->image, (TSK_OFF_T)view->length, view->sector_size, read_image,
			   close_image, describe_image)) {
		rc = fail(ntfs, err, "NTFS", 0);
		ntfs_close(ntfs);
		return rc;
	}
	ntfs->fs = tsk->fs_open(&ntfs->image, 0, TSK_FS_TYPE_NTFS);
	if (!ntfs->fs) {
		rc = fail(ntfs, err, "NTFS", 0);
		ntfs_close(ntfs);
		return rc;
	}
	if (is_hibernated(ntfs))
		fs->is_dirty = true;
	*root = ROOT_INODE;
	*state = ntfs;
	return 0;
}

/* ---- free space ---- */

/* A bit of $Bitmap for each cluster. What lies behind the last bit isn't called free. */
static int ntfs_free_space(void *state, vd_free_fn fn, void *user, struct vd_error *err)
{
	struct ntfs_fs *ntfs = state;
	uint64_t n_clusters = ntfs->fs->last_block + 1, cluster = ntfs->fs->block_size;
	uint8_t *bits VD_AUTO_FREE = vd_malloc(65536);
	uint64_t run = 0; /* clusters that are free, up to the current one */

	if (!bits)
		return vd_no_memory(err, 65536, "a bitmap");
	if (!cluster || n_clusters > ntfs->view.length / cluster)
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "NTFS claims %" PRIu64 " clusters of %" PRIu64
				    " bytes, its partition has %" PRIu64 " bytes",
				    n_clusters, cluster, ntfs->view.length);
	for (uint64_t at = 0; at < n_clusters;) {
		size_t n = 0;
		int rc = ntfs_read(ntfs, BITMAP_INODE, bits, 65536, at / 8, &n, err);

		if (!rc && !n)
			rc = vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
					  "NTFS's $Bitmap is shorter than its %" PRIu64 " clusters",
					  n_clusters);
		for (uint64_t i = 0; i < n * 8 && at < n_clusters && !rc; i++, at++) {
			bool is_used = bits[i / 8] >> i % 8 & 1;

			if (is_used && run)
				rc = fn(user, (at - run) * cluster, run * cluster);
			run = is_used ? 0 : run + 1;
		}
		if (rc)
			return rc;
	}
	return run ? fn(user, (n_clusters - run) * cluster, run * cluster) : 0;
}

const struct vd_guest_fs_ops vd_guest_ntfs_ops = {
    .types = ntfs_types,
    .ignores_case = true,
    .open = ntfs_open,
    .close = ntfs_close,
    .info = ntfs_info,
    .read = ntfs_read,
    .list = ntfs_list,
    .free_space = ntfs_free_space,
};

#else

static int ntfs_open(void **state, const struct vd_guest_view *view, struct vd_filesystem *fs,
		     uint64_t *root, struct vd_error *err)
{
	(void)state, (void)view, (void)fs, (void)root;
	return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
			    "NTFS found, not read: this build has no reader for it (it wants "
			    "Debian package libtsk-dev when it is made)");
}

static void ntfs_close(void *state)
{
	(void)state;
}

const struct vd_guest_fs_ops vd_guest_ntfs_ops = {
    .types = ntfs_types,
    .ignores_case = true,
    .open = ntfs_open,
    .close = ntfs_close,
};

#endif
