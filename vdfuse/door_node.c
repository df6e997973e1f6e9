/* SPDX-License-Identifier: MIT */
/* Names and attributes: disk, p1 p2 ..., info.json, meta/. */
#include "door_own.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include <vdisk/sys/io.h>

/* Partitions come and go with the table, and documents with edits. */
#define TIMEOUT 1.0

struct owner_window *door_window(struct door *door, fuse_ino_t ino)
{
	if (ino < INODE_WINDOW || ino >= INODE_NAME)
		return NULL;
	return owner_window_numbered(door->owner, (uint32_t)(ino - INODE_WINDOW));
}

static void fill_common(const struct door *door, fuse_ino_t ino, struct stat *st)
{
	*st = (struct stat){.st_ino = ino,
			    .st_uid = door->opts.uid,
			    .st_gid = door->opts.gid,
			    .st_nlink = 1,
			    .st_blksize = 4096,
			    .st_atim = door->image.st_atim,
			    .st_mtim = door->image.st_mtim,
			    .st_ctim = door->image.st_ctim};
}

static void fill_folder(const struct door *door, fuse_ino_t ino, struct stat *st)
{
	fill_common(door, ino, st);
	st->st_mode = S_IFDIR | (0555 & ~door->opts.umask);
	st->st_nlink = 2;
}

static void fill_bytes(const struct door *door, fuse_ino_t ino, uint64_t size, struct stat *st)
{
	fill_common(door, ino, st);
	st->st_mode = S_IFREG | (0444 & ~door->opts.umask);
	st->st_size = (off_t)size;
	st->st_blocks = (blkcnt_t)((size + 511) / 512);
}

static int fill_window(const struct door *door, const struct owner_window *window, struct stat *st)
{
	uint64_t allocated, length;

	if (!owner_window_length(door->owner, window, &length))
		return ENOENT;
	fill_common(door, INODE_WINDOW + window->number, st);
	st->st_mode =
	    S_IFREG | ((owner_is_writable(door->owner) ? 0666 : 0444) & ~door->opts.umask);
	st->st_size = (off_t)length;
	/* Of the whole disk, what its file takes; how that divides isn't known. */
	if (window->number || vd_io_allocated(vd_disk_io(door->disk), &allocated, NULL) ||
	    allocated > length || vd_disk_parent(door->disk))
		allocated = length;
	st->st_blocks = (blkcnt_t)(allocated / 512);
	return 0;
}

static int fill_stat(struct door *door, fuse_ino_t ino, struct stat *st)
{
	struct owner_window *window = door_window(door, ino);
	struct door_meta_file file;
	bool attachments;
	const char *name;
	size_t len = 0;
	char *bytes;

	if (ino == FUSE_ROOT_ID || ino == INODE_META || ino == INODE_ATTACHMENTS) {
		fill_folder(door, ino, st);
		return 0;
	}
	if (window)
		return fill_window(door, window, st);
	if (ino == INODE_INFO) {
		if (door_info_read(door, &bytes, &len, NULL))
			return ENOMEM;
		free(bytes);
		fill_bytes(door, ino, len, st);
		return 0;
	}
	if (!door_meta_name(door, ino, &attachments, &name) ||
	    !door_meta_find(door, attachments, name, &file))
		return ENOENT;
	fill_bytes(door, ino, file.size, st);
	return 0;
}

static fuse_ino_t find(struct door *door, fuse_ino_t parent, const char *name)
{
	bool attachments = parent == INODE_ATTACHMENTS;
	struct owner_window *window;
	struct door_meta_file file;

	if (parent == FUSE_ROOT_ID && !strcmp(name, "info.json"))
		return INODE_INFO;
	if (parent == FUSE_ROOT_ID && !strcmp(name, "meta"))
		return INODE_META;
	if (parent == INODE_META && !strcmp(name, "attachments") &&
	    door_meta_at(door, true, 0, &file))
		return INODE_ATTACHMENTS;
	if (parent == FUSE_ROOT_ID) {
		window = owner_window_find(door->owner, name);
		return window ? INODE_WINDOW + window->number : 0;
	}
	if ((parent == INODE_META || attachments) && door_meta_find(door, attachments, name, &file))
		return door_meta_inode(door, attachments, name);
	return 0;
}

void door_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = {.attr_timeout = TIMEOUT, .entry_timeout = TIMEOUT};
	struct door *door = door_of(req);
	int failed;

	entry.ino = find(door, parent, name);
	failed = entry.ino ? fill_stat(door, entry.ino, &entry.attr) : ENOENT;
	if (failed)
		fuse_reply_err(req, failed);
	else
		fuse_reply_entry(req, &entry);
}

void door_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;
	int failed = fill_stat(door_of(req), ino, &st);

	(void)fi;
	if (failed)
		fuse_reply_err(req, failed);
	else
		fuse_reply_attr(req, &st, TIMEOUT);
}

void door_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		  struct fuse_file_info *fi)
{
	struct stat st;
	int failed = fill_stat(door_of(req), ino, &st);

	(void)fi;
	if (!failed && (to_set & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)))
		failed = EPERM;
	/* As with a device: opening it with O_TRUNC leaves it as long as it is. */
	if (!failed && (to_set & FUSE_SET_ATTR_SIZE) && attr->st_size &&
	    attr->st_size != st.st_size)
		failed = EPERM;
	if (failed)
		fuse_reply_err(req, failed);
	else
		fuse_reply_attr(req, &st, TIMEOUT);
}

/* Entry `i` of a folder; 0: there are no more. */
static fuse_ino_t entry_at(struct door *door, fuse_ino_t folder, size_t i, char name[300],
			   mode_t *mode)
{
	static const char *const fixed[] = {"info.json", "meta"};
	bool attachments = folder == INODE_ATTACHMENTS;
	struct owner_window *window;
	struct door_meta_file file;

	*mode = i < 2 ? S_IFDIR : S_IFREG;
	if (i < 2) {
		strcpy(name, i ? ".." : ".");
		return folder;
	}
	i -= 2;
	if (folder == FUSE_ROOT_ID) {
		if (i < 2) {
			strcpy(name, fixed[i]);
			*mode = i ? S_IFDIR : S_IFREG;
			return i ? INODE_META : INODE_INFO;
		}
		window = owner_window_at(door->owner, i - 2);
		if (window)
			strcpy(name, window->name);
		return window ? INODE_WINDOW + window->number : 0;
	}
	if (folder == INODE_META) {
		if (i == 0 && door_meta_at(door, true, 0, &file)) {
			strcpy(name, "attachments");
			*mode = S_IFDIR;
			return INODE_ATTACHMENTS;
		}
		i -= door_meta_at(door, true, 0, &file);
	}
	if (!door_meta_at(door, attachments, i, &file))
		return 0;
	strcpy(name, file.name);
	return door_meta_inode(door, attachments, name);
}

void door_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct door *door = door_of(req);
	char *buf = malloc(size), name[300];
	struct stat st = {0};
	size_t used = 0;

	(void)fi;
	if (!buf) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	if (ino != FUSE_ROOT_ID && ino != INODE_META && ino != INODE_ATTACHMENTS) {
		free(buf);
		fuse_reply_err(req, ENOTDIR);
		return;
	}
	for (;; off++) {
		size_t need;

		st.st_ino = entry_at(door, ino, (size_t)off, name, &st.st_mode);
		if (!st.st_ino)
			break;
		need = fuse_add_direntry(req, buf + used, size - used, name, &st, off + 1);
		if (need > size - used)
			break;
		used += need;
	}
	fuse_reply_buf(req, buf, used);
	free(buf);
}

void door_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct door *door = door_of(req);
	struct statvfs st;
	int fd = owner_descriptor(door->owner), failed;

	(void)ino;
	/* The room that writes to a growing image have is the host's. */
	failed = fd >= 0 ? fstatvfs(fd, &st) : statvfs(owner_path(door->owner), &st);
	if (failed) {
		fuse_reply_err(req, errno);
		return;
	}
	st.f_namemax = 255;
	fuse_reply_statfs(req, &st);
}
