/* SPDX-License-Identifier: MIT */
/*
 * Reading. A range resolves to stretches of files; these are handed to the kernel as descriptor
 * and offset, and stay pinned until the answer is out. What has no descriptor (a log replayed in
 * memory), lies behind the end of its file, comes in too many pieces, or is small is copied.
 */
#include "door_own.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vdisk/map.h>
#include <vdisk/sys/io.h>

#include "latency.h"

#define PIECES_MAX 16
/* Below this a copy costs less than the calls of a splice. */
#define SPLICE_MIN (64u << 10)
#define READ_MAX   (1u << 20)

static const char zeros[READ_MAX];

struct pieces {
	struct vd_mapping held[PIECES_MAX];
	size_t n_held;
	union { /* room for the elements behind the one that the structure has */
		struct fuse_bufvec vec;
		char room[sizeof(struct fuse_bufvec) + PIECES_MAX * sizeof(struct fuse_buf)];
	};
};

static void let_go(struct vd_disk *disk, struct pieces *p)
{
	for (size_t i = 0; i < p->n_held; i++)
		vd_disk_release(disk, &p->held[i], VD_OUTCOME_READ, NULL);
	p->n_held = 0;
}

/* The file may end before its last block does: what lies behind the end reads as zero. */
static bool is_within_file(int fd, const struct vd_mapping *map)
{
	struct stat st;

	if (fstat(fd, &st))
		return false;
	return S_ISBLK(st.st_mode) || map->io_offset + map->length <= (uint64_t)st.st_size;
}

/* 1: it can be handed over; 0: better copied; < 0: failed. */
static int gather(struct vd_disk *disk, struct pieces *p, uint64_t start, size_t len,
		  struct vd_error *err)
{
	p->n_held = 0;
	p->vec = (struct fuse_bufvec){.count = 0};
	while (len) {
		struct fuse_buf *buf = &p->vec.buf[p->vec.count];
		struct vd_mapping map;
		int fd, rc;

		if (p->vec.count == PIECES_MAX)
			return 0;
		rc = vd_disk_resolve(disk, start, len, VD_ACCESS_READ, &map, err);
		if (rc)
			return rc;
		if (map.state == VD_STATE_DATA) {
			p->held[p->n_held++] = map;
			fd = vd_io_descriptor(map.io);
			if (fd < 0 || !is_within_file(fd, &map))
				return 0;
			*buf = (struct fuse_buf){.size = map.length,
						 .flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK |
							  FUSE_BUF_FD_RETRY,
						 .fd = fd,
						 .pos = (off_t)map.io_offset};
		} else {
			vd_disk_release(disk, &map, VD_OUTCOME_READ, NULL);
			*buf =
			    (struct fuse_buf){.size = map.length, .mem = (void *)(uintptr_t)zeros};
		}
		p->vec.count++;
		start += map.length;
		len -= map.length;
	}
	return 1;
}

static pthread_key_t buffer_key;

static void make_buffer_key(void)
{
	pthread_key_create(&buffer_key, free);
}

/* One for each thread of the loop, kept: fresh pages for each read would cost more than it. */
static void *own_buffer(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	void *buf;

	pthread_once(&once, make_buffer_key);
	buf = pthread_getspecific(buffer_key);
	if (!buf && !posix_memalign(&buf, 4096, READ_MAX))
		pthread_setspecific(buffer_key, buf);
	return buf;
}

static void read_by_copy(fuse_req_t req, struct vd_disk *disk, uint64_t start, size_t len)
{
	struct vd_error err = VD_ERROR_INIT;
	void *buf = own_buffer();
	int rc;

	if (!buf) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	rc = vd_disk_read(disk, buf, len, start, &err);
	if (rc)
		door_refuse(req, "read", rc, &err);
	else
		fuse_reply_buf(req, buf, len);
}

static void read_window(fuse_req_t req, uint64_t start, size_t len)
{
	struct door *door = door_of(req);
	struct vd_error err = VD_ERROR_INIT;
	struct pieces p;
	int rc;

	if (len < SPLICE_MIN || door->opts.no_splice) {
		read_by_copy(req, door->disk, start, len);
		return;
	}
	rc = gather(door->disk, &p, start, len, &err);
	if (rc > 0)
		fuse_reply_data(req, &p.vec, 0);
	let_go(door->disk, &p);
	if (rc == 0)
		read_by_copy(req, door->disk, start, len);
	else if (rc < 0)
		door_refuse(req, "read", rc, &err);
}

void door_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct door_handle *handle = door_handle(fi);
	uint64_t length = handle->window ? handle->window->length : handle->len;
	uint64_t at = off < 0 ? length : (uint64_t)off;

	(void)ino;
	if (at >= length || !size) {
		fuse_reply_buf(req, NULL, 0);
		return;
	}
	if (size > length - at)
		size = (size_t)(length - at);
	if (size > READ_MAX)
		size = READ_MAX;
	if (handle->window) {
		struct latency *latency = owner_latency(door_of(req)->owner);
		uint64_t began = latency_now_ns();

		read_window(req, handle->window->start + at, size); /* the request is gone then */
		latency_note(latency, began, latency_now_ns());
	} else {
		fuse_reply_buf(req, handle->bytes + at, size);
	}
}

/* The next data, or the next hole; a hole is also what is stored as zeros. */
static int seek(struct door *door, const struct owner_window *w, uint64_t at, bool for_data,
		uint64_t *found, struct vd_error *err)
{
	uint64_t end = w->start + w->length;
	struct vd_extent extent;

	for (at += w->start; at < end; at += extent.length) {
		int rc = vd_disk_map(door->disk, at, end - at, &extent, err);

		if (rc)
			return rc;
		if ((extent.state == VD_STATE_DATA) == for_data)
			break;
	}
	*found = at < end ? at - w->start : w->length;
	return 0;
}

void door_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi)
{
	struct door_handle *handle = door_handle(fi);
	uint64_t length = handle->window ? handle->window->length : handle->len, found;
	struct vd_error err = VD_ERROR_INIT;
	int rc;

	(void)ino;
	if (whence != SEEK_DATA && whence != SEEK_HOLE) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	if (off < 0 || (uint64_t)off >= length) {
		fuse_reply_err(req, ENXIO);
		return;
	}
	if (!handle->window) {
		fuse_reply_lseek(req, whence == SEEK_DATA ? off : (off_t)length);
		return;
	}
	rc = seek(door_of(req), handle->window, (uint64_t)off, whence == SEEK_DATA, &found, &err);
	if (rc)
		door_refuse(req, "lseek", rc, &err);
	else if (whence == SEEK_DATA && found == length)
		fuse_reply_err(req, ENXIO);
	else
		fuse_reply_lseek(req, (off_t)found);
}
