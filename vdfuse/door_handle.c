/* SPDX-License-Identifier: MIT */
/* Opening and closing files of the mount. */
#include "door_own.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "log.h"

static struct door_handle *make_handle(struct door *door)
{
	struct door_handle *handle = calloc(1, sizeof(*handle));

	if (!handle)
		return NULL;
	pthread_mutex_lock(&door->lock);
	handle->next = door->handles;
	handle->link = &door->handles;
	if (handle->next)
		handle->next->link = &handle->next;
	door->handles = handle;
	pthread_mutex_unlock(&door->lock);
	return handle;
}

static void free_handle(struct door *door, struct door_handle *handle)
{
	pthread_mutex_lock(&door->lock);
	*handle->link = handle->next;
	if (handle->next)
		handle->next->link = handle->link;
	pthread_mutex_unlock(&door->lock);
	free(handle->bytes);
	free(handle);
}

void door_free_handles(struct door *door)
{
	while (door->handles)
		free_handle(door, door->handles);
}

static int open_window(struct door *door, struct door_handle *handle, struct fuse_file_info *fi,
		       struct vd_error *err)
{
	bool keep_cache = false;
	int rc;

	handle->for_writing = (fi->flags & O_ACCMODE) != O_RDONLY;
	if (handle->for_writing && !owner_is_writable(door->owner))
		return vd_error_set(err, VD_EROFS, 0, VD_NO_OFFSET, "mounted read-only");
	rc = owner_window_open(door->owner, handle->window, handle->for_writing, &keep_cache, err);
	if (rc)
		return rc;
	fi->keep_cache = keep_cache;
	fi->direct_io = door->opts.direct_io;
	return 0;
}

static int open_bytes(struct door *door, fuse_ino_t ino, struct door_handle *handle,
		      struct fuse_file_info *fi, struct vd_error *err)
{
	bool attachments;
	const char *name;

	if ((fi->flags & O_ACCMODE) != O_RDONLY)
		return vd_error_set(err, VD_EROFS, 0, VD_NO_OFFSET, "can only be read");
	/* What it says may change with each opening, and its length with it. */
	fi->direct_io = 1;
	if (ino == INODE_INFO)
		return door_info_read(door, &handle->bytes, &handle->len, err);
	if (!door_meta_name(door, ino, &attachments, &name))
		return vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET, "no such file");
	return door_meta_read(door, attachments, name, &handle->bytes, &handle->len, err);
}

void door_open_file(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct door *door = door_of(req);
	struct door_handle *handle = make_handle(door);
	struct vd_error err = VD_ERROR_INIT;
	int rc;

	if (!handle) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	handle->window = door_window(door, ino);
	rc = handle->window ? open_window(door, handle, fi, &err)
			    : open_bytes(door, ino, handle, fi, &err);
	if (rc) {
		door_refuse(req, "open", rc, &err);
		free_handle(door, handle);
		return;
	}
	fi->fh = (uintptr_t)handle;
	/* The one who asked may have been interrupted: then there is nothing that gets released. */
	if (fuse_reply_open(req, fi)) {
		if (handle->window) {
			owner_window_close(door->owner, handle->window, handle->for_writing);
			owner_windows_outdate(door->owner); /* the kernel didn't hear of it */
		}
		free_handle(door, handle);
	}
}

/* Comes with each close() of a descriptor, of which there may be several for one opening. */
void door_flush_file(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct door_handle *handle = door_handle(fi);

	(void)ino;
	if (handle->window && !atomic_exchange(&handle->is_closing, true))
		owner_window_closing(door_of(req)->owner, handle->window);
	fuse_reply_err(req, 0);
}

void door_release_file(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct door_handle *handle = door_handle(fi);
	struct vd_error err = VD_ERROR_INIT;
	struct door *door = door_of(req);

	(void)ino;
	/* Nobody waits for this: what was written without fsync needn't wait for the unmount. */
	if (handle->for_writing && vd_disk_flush(door->disk, &err))
		log_failure(owner_path(door->owner), "flush", &err);
	if (handle->window)
		owner_window_close(door->owner, handle->window, handle->for_writing);
	free_handle(door, handle);
	fuse_reply_err(req, 0);
}
