/* SPDX-License-Identifier: MIT */
/* See struct raw_guard in raw.h. The lock makes check and write one step: two guests' writes that
 * are harmless each can't make a signature together. */
#include "format/raw/raw.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/message.h"

/* Put the part of the change [offset, offset + len) that lies in [start, start + n) into `bytes`,
 * which hold the store's content there. */
static void merge(uint8_t *bytes, uint64_t start, size_t n, const void *data, uint64_t len,
		  uint64_t offset)
{
	uint64_t from = vd_max64(start, offset), to = vd_min64(start + n, offset + len);

	if (from >= to)
		return;
	if (data)
		memcpy(bytes + (from - start), (const uint8_t *)data + (from - offset),
		       (size_t)(to - from));
	else
		memset(bytes + (from - start), 0, (size_t)(to - from));
}

/* What the store would look like after the change (data NULL: zeros). 0, or VD_EDENIED. */
static int check_change(struct raw_guard *guard, const void *data, uint64_t len, uint64_t offset,
			struct vd_error *err)
{
	uint8_t head[VD_PROBE_HEAD], tail[VD_PROBE_TAIL];
	size_t n_head, n_tail;
	uint64_t length;
	const char *name;
	int ret = vd_io_length(guard->under, &length, err);

	if (ret)
		return ret;
	if (data)
		length = vd_max64(length, offset + len);
	n_head = (size_t)vd_min64(length, sizeof(head));
	n_tail = (size_t)vd_min64(length, sizeof(tail));
	ret = vd_io_read(guard->under, head, n_head, 0, err);
	if (!ret)
		ret = vd_io_read(guard->under, tail, n_tail, length - n_tail, err);
	if (ret)
		return ret;
	merge(head, 0, n_head, data, len, offset);
	merge(tail, length - n_tail, n_tail, data, len, offset);
	name = vd_format_recognise(head, n_head, tail, n_tail);
	if (!strcmp(name, VD_FORMAT_RAW))
		return 0;
	vd_message(VD_MESSAGE_WARNING,
		   "%s: refused a write at %llu that would make the raw image look like %s",
		   vd_io_name(guard->under), (unsigned long long)offset, name);
	return vd_error_set(err, VD_EDENIED, EPERM, offset,
			    "this change would make the raw image look like %s to whoever probes "
			    "it; open it with format \"raw\" to allow it",
			    name);
}

int raw_guard_zero(struct raw_guard *guard, uint64_t offset, uint64_t len, enum vd_io_zero how,
		   struct vd_error *err)
{
	int ret;

	pthread_mutex_lock(&guard->lock);
	ret = check_change(guard, NULL, len, offset, err);
	if (!ret)
		ret = vd_io_zero(guard->under, offset, len, how, err);
	pthread_mutex_unlock(&guard->lock);
	return ret;
}

/* The errno for a provider's answer: the library turns it into the same code again. */
static int to_errno(int code, const struct vd_error *err)
{
	if (err->sys_errno)
		return err->sys_errno;
	switch (code) {
	case VD_ECANCELED:
		return ECANCELED;
	case VD_ETIMEDOUT:
		return ETIMEDOUT;
	case VD_ENOMEM:
		return ENOMEM;
	case VD_EROFS:
		return EROFS;
	default:
		return EIO;
	}
}

static ssize_t door_read(void *state, void *buf, size_t len, uint64_t offset)
{
	struct raw_guard *guard = state;
	struct vd_error err = VD_ERROR_INIT;
	int ret = vd_io_read(guard->under, buf, len, offset, &err);

	return ret ? -to_errno(ret, &err) : (ssize_t)len;
}

static ssize_t door_write(void *state, const void *buf, size_t len, uint64_t offset)
{
	struct raw_guard *guard = state;
	struct vd_error err = VD_ERROR_INIT;
	int ret;

	pthread_mutex_lock(&guard->lock);
	ret = check_change(guard, buf, len, offset, &err);
	if (!ret)
		ret = vd_io_write(guard->under, buf, len, offset, &err);
	pthread_mutex_unlock(&guard->lock);
	return ret ? -to_errno(ret, &err) : (ssize_t)len;
}

static int door_sync(void *state)
{
	struct raw_guard *guard = state;
	struct vd_error err = VD_ERROR_INIT;
	int ret = vd_io_sync(guard->under, &err);

	return ret ? -to_errno(ret, &err) : 0;
}

static int door_length(void *state, uint64_t *length)
{
	struct raw_guard *guard = state;

	*length = guard->size;
	return 0;
}

static int door_truncate(void *state, uint64_t length)
{
	(void)state;
	(void)length;
	return -EPERM;
}

static void door_close(void *state)
{
	(void)state; /* the guard goes with the image */
}

static const struct vd_io_ops door_ops = {
    .size = sizeof(struct vd_io_ops),
    .read = door_read,
    .write = door_write,
    .sync = door_sync,
    .length = door_length,
    .truncate = door_truncate,
    .close = door_close,
};

int raw_guard_open(struct raw_guard **out, struct vd_io *under, uint64_t size, struct vd_error *err)
{
	struct raw_guard *guard = vd_calloc(1, sizeof(*guard));
	char name[160];
	int ret;

	if (!guard)
		return vd_no_memory(err, sizeof(*guard), "the guard of a raw image");
	guard->under = under;
	guard->size = size;
	guard->head_end = vd_min64(size, VD_PROBE_HEAD);
	/* A file whose last sector isn't whole ends up to a sector before the disk does. */
	guard->tail_start = size - vd_min64(size, VD_PROBE_TAIL + RAW_SECTOR);
	pthread_mutex_init(&guard->lock, NULL);
	/* The name is what the error of a refused write says. */
	snprintf(name, sizeof(name),
		 "a place where signatures of other formats are refused, because the image was "
		 "probed as raw (format \"raw\" allows them)");
	ret = vd_io_open_ops(&guard->door, &door_ops, guard, name, true, err);
	if (ret) {
		raw_guard_close(guard);
		return ret;
	}
	*out = guard;
	return 0;
}

void raw_guard_close(struct raw_guard *guard)
{
	if (!guard)
		return;
	vd_io_close(guard->door);
	pthread_mutex_destroy(&guard->lock);
	vd_free(guard);
}

bool raw_guard_covers(const struct raw_guard *guard, uint64_t start, uint64_t *end)
{
	if (start < guard->head_end) {
		*end = guard->head_end;
		return true;
	}
	*end = start < guard->tail_start ? guard->tail_start : guard->size;
	return start >= guard->tail_start;
}
