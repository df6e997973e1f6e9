/* SPDX-License-Identifier: MIT */
/* Calls that the test hears of: see hook.h. */
#include "hook.h"

#include <errno.h>
#include <stddef.h>

static int before(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len)
{
	return hook->before ? hook->before(hook, call, offset, len) : 0;
}

static int after(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len, int rc)
{
	if (rc < 0)
		return -EIO;
	return hook->after ? hook->after(hook, call, offset, len) : 0;
}

static ssize_t on_read(void *state, void *buf, size_t len, uint64_t offset)
{
	struct hook *hook = state;
	int rc = before(hook, HOOK_READ, offset, len);

	if (!rc)
		rc = after(hook, HOOK_READ, offset, len,
			   vd_io_read(hook->under, buf, len, offset, NULL));
	return rc ? rc : (ssize_t)len;
}

static ssize_t on_write(void *state, const void *buf, size_t len, uint64_t offset)
{
	struct hook *hook = state;
	int rc = before(hook, HOOK_WRITE, offset, len);

	if (!rc)
		rc = after(hook, HOOK_WRITE, offset, len,
			   vd_io_write(hook->under, buf, len, offset, NULL));
	return rc ? rc : (ssize_t)len;
}

static int on_sync(void *state)
{
	struct hook *hook = state;
	int rc = before(hook, HOOK_SYNC, 0, 0);

	return rc ? rc : after(hook, HOOK_SYNC, 0, 0, vd_io_sync(hook->under, NULL));
}

static int on_length(void *state, uint64_t *length)
{
	return vd_io_length(((struct hook *)state)->under, length, NULL) < 0 ? -EIO : 0;
}

static int on_truncate(void *state, uint64_t length)
{
	struct hook *hook = state;
	int rc = before(hook, HOOK_TRUNCATE, length, 0);

	return rc ? rc
		  : after(hook, HOOK_TRUNCATE, length, 0,
			  vd_io_truncate(hook->under, length, NULL));
}

static int zero(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len)
{
	int rc = before(hook, call, offset, len);

	return rc ? rc
		  : after(hook, call, offset, len,
			  vd_io_zero(hook->under, offset, len, VD_IO_ZERO_PUNCH, NULL));
}

static int on_punch(void *state, uint64_t offset, uint64_t len)
{
	return zero(state, HOOK_PUNCH, offset, len);
}

static int on_zero(void *state, uint64_t offset, uint64_t len)
{
	return zero(state, HOOK_ZERO, offset, len);
}

static void on_close(void *state)
{
	(void)state;
}

struct vd_io *hook_io(struct hook *hook)
{
	static const struct vd_io_ops ops = {
	    .size = sizeof(ops),
	    .read = on_read,
	    .write = on_write,
	    .sync = on_sync,
	    .length = on_length,
	    .truncate = on_truncate,
	    .close = on_close,
	    .punch = on_punch,
	    .zero = on_zero,
	};
	struct vd_io *io = NULL;

	return vd_io_open_ops(&io, &ops, hook, "hooked", true, NULL) == 0 ? io : NULL;
}
