/* SPDX-License-Identifier: MIT */
/* Writing, flushing, and making zero. */
#include "door_own.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>

#include "latency.h"

/* The bytes as one piece of memory; *copy is to be freed. NULL: no memory. */
static const char *flatten(struct fuse_bufvec *bufs, size_t len, char **copy)
{
	struct fuse_bufvec flat = FUSE_BUFVEC_INIT(len);

	*copy = NULL;
	if (bufs->count == 1 && !bufs->idx && !(bufs->buf[0].flags & FUSE_BUF_IS_FD))
		return (const char *)bufs->buf[0].mem + bufs->off;
	*copy = flat.buf[0].mem = malloc(len);
	if (!*copy || fuse_buf_copy(&flat, bufs, 0) != (ssize_t)len)
		return NULL;
	return *copy;
}

/* A generation hears of it, and the time it takes is counted. */
static int write_counted(struct owner *owner, const char *bytes, size_t len, uint64_t at,
			 struct vd_error *err)
{
	struct vd_generation *generation = owner_generation(owner);
	uint64_t began = latency_now_ns();
	int rc;

	if (generation)
		vd_generation_write_begin(generation, at, len);
	rc = vd_disk_write(owner_disk(owner), bytes, len, at, err);
	if (generation)
		vd_generation_write_end(generation, at, len);
	latency_note(owner_latency(owner), began, latency_now_ns());
	return rc;
}

void door_write_buf(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *bufs, off_t off,
		    struct fuse_file_info *fi)
{
	struct owner_window *window = door_handle(fi)->window;
	struct vd_error err = VD_ERROR_INIT;
	size_t len = fuse_buf_size(bufs);
	const char *bytes;
	char *copy;
	int rc;

	(void)ino;
	if (!window || off < 0) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	if ((uint64_t)off >= window->length) {
		fuse_reply_err(req, ENOSPC);
		return;
	}
	if (len > window->length - (uint64_t)off)
		len = (size_t)(window->length - (uint64_t)off);
	bytes = flatten(bufs, fuse_buf_size(bufs), &copy);
	if (!bytes) {
		free(copy);
		fuse_reply_err(req, ENOMEM);
		return;
	}
	rc = write_counted(door_of(req)->owner, bytes, len, window->start + (uint64_t)off, &err);
	free(copy);
	if (rc)
		door_refuse(req, "write", rc, &err);
	else
		fuse_reply_write(req, len);
}

void door_fsync(fuse_req_t req, fuse_ino_t ino, int only_data, struct fuse_file_info *fi)
{
	struct door *door = door_of(req);
	struct vd_error err = VD_ERROR_INIT;
	int rc = 0;

	(void)ino;
	(void)only_data;
	(void)fi;
	if (owner_is_writable(door->owner))
		rc = vd_disk_flush(door->disk, &err);
	if (rc)
		door_refuse(req, "flush", rc, &err);
	else
		fuse_reply_err(req, 0);
}

void door_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
		    struct fuse_file_info *fi)
{
	struct owner_window *window = door_handle(fi)->window;
	struct vd_error err = VD_ERROR_INIT;
	uint32_t flags;
	uint64_t room;
	int rc;

	(void)ino;
	if ((mode & ~FALLOC_FL_KEEP_SIZE) == FALLOC_FL_PUNCH_HOLE)
		flags = 0;
	else if ((mode & ~FALLOC_FL_KEEP_SIZE) == FALLOC_FL_ZERO_RANGE)
		flags = VD_ZERO_KEEP_SPACE;
	else {
		fuse_reply_err(req, EOPNOTSUPP);
		return;
	}
	if (!window || off < 0 || len <= 0) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	room = (uint64_t)off < window->length ? window->length - (uint64_t)off : 0;
	if (!(mode & FALLOC_FL_KEEP_SIZE) && (uint64_t)len > room) {
		/* A disk doesn't get longer; who heard that it did would write on. */
		fuse_reply_err(req, ENOSPC);
		return;
	}
	if ((uint64_t)len > room)
		len = (off_t)room;
	if (!len) {
		fuse_reply_err(req, 0);
		return;
	}
	rc = vd_disk_write_zeroes(door_of(req)->disk, window->start + (uint64_t)off, (uint64_t)len,
				  flags, &err);
	if (rc)
		door_refuse(req, "fallocate", rc, &err);
	else
		fuse_reply_err(req, 0);
}
