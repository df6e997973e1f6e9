/* SPDX-License-Identifier: MIT */
/*
 * An image as it would be after the replay of its log, without a byte written: a store of its own
 * that reads through to the image except where the log has something newer.
 */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "format/vhdx/vhdx_replay.h"

/* A provider speaks in errnos. */
static int to_errno(int rc, const struct vd_error *err)
{
	if (err->sys_errno > 0)
		return -err->sys_errno;
	switch (rc) {
	case VD_ECANCELED:
		return -ECANCELED;
	case VD_ETIMEDOUT:
		return -ETIMEDOUT;
	case VD_ENOMEM:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

static int read_page(const struct vhdx_replay *replay, const struct vhdx_patch *patch, uint8_t *out,
		     uint64_t offset, size_t len, struct vd_error *err)
{
	uint8_t page[VHDX_PAGE];
	int rc = vhdx_patch_load(replay, patch, page, err);

	if (!rc)
		memcpy(out, page + (offset - patch->off), len);
	return rc;
}

static ssize_t view_read(void *state, void *buf, size_t len, uint64_t offset)
{
	const struct vhdx_replay *replay = state;
	const struct vhdx_patch *patch, *end = replay->patches + replay->n_patches;
	struct vd_error err = VD_ERROR_INIT;
	uint8_t *out = buf;
	size_t done = 0;

	if (offset >= replay->len)
		return 0;
	len = (size_t)vd_min64(len, replay->len - offset);
	for (patch = vhdx_patch_find(replay, offset); done < len;) {
		uint64_t at = offset + done;
		size_t run;
		int rc = 0;

		if (!patch || patch == end || patch->off > at) {
			run = len - done;
			if (patch && patch != end)
				run = (size_t)vd_min64(run, patch->off - at);
			rc = vd_io_read(replay->io, out + done, run, at, &err);
		} else {
			run = (size_t)vd_min64(len - done, patch->end - at);
			if (patch->is_data)
				rc = read_page(replay, patch, out + done, at, run, &err);
			else
				memset(out + done, 0, run);
			patch++;
		}
		if (rc)
			return done ? (ssize_t)done : to_errno(rc, &err);
		done += run;
	}
	return (ssize_t)done;
}

static ssize_t view_write(void *state, const void *buf, size_t len, uint64_t offset)
{
	(void)state;
	(void)buf;
	(void)len;
	(void)offset;
	return -EROFS;
}

static int view_sync(void *state)
{
	(void)state;
	return 0;
}

static int view_length(void *state, uint64_t *length)
{
	*length = ((const struct vhdx_replay *)state)->len;
	return 0;
}

static int view_truncate(void *state, uint64_t length)
{
	(void)state;
	(void)length;
	return -EROFS;
}

static void view_close(void *state)
{
	vhdx_replay_free(state);
}

static int view_next_data(void *state, uint64_t offset, uint64_t *start, uint64_t *end)
{
	const struct vhdx_replay *replay = state;

	while (offset < replay->len) {
		const struct vhdx_patch *patch = vhdx_patch_find(replay, offset);
		uint64_t gap_end = replay->len;
		struct vd_error err = VD_ERROR_INIT;
		int rc;

		if (patch && patch->off <= offset) {
			if (patch->is_data) {
				*start = offset;
				*end = patch->end;
				return 0;
			}
			offset = patch->end;
			continue;
		}
		if (patch)
			gap_end = vd_min64(gap_end, patch->off);
		rc = vd_io_next_data(replay->io, offset, gap_end, start, end, &err);
		if (rc)
			return to_errno(rc, &err);
		if (*start < *end)
			return 0;
		offset = gap_end;
	}
	return -ENXIO;
}

static int view_allocated(void *state, uint64_t *bytes)
{
	struct vd_error err = VD_ERROR_INIT;
	int rc = vd_io_allocated(((const struct vhdx_replay *)state)->io, bytes, &err);

	return rc ? to_errno(rc, &err) : 0;
}

static const struct vd_io_ops view_ops = {
    .size = sizeof(struct vd_io_ops),
    .read = view_read,
    .write = view_write,
    .sync = view_sync,
    .length = view_length,
    .truncate = view_truncate,
    .close = view_close,
    .next_data = view_next_data,
    .allocated = view_allocated,
};

int vhdx_replay_view(struct vd_io **out, struct vhdx_replay *replay, struct vd_io *io,
		     struct vd_error *err)
{
	/* Reads go to `io`, which may be another door to the same bytes than the scan had. */
	vd_io_ref(io);
	vd_io_close(replay->io);
	replay->io = io;
	return vd_io_open_ops(out, &view_ops, replay, vd_io_name(io), false, err);
}
