/* SPDX-License-Identifier: MIT */
/* Errors and messages: texts are made safe for a terminal here, once. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <vdisk/error.h>

#include "base/message.h"

/* Copy `raw` into `out`, control characters (also DEL) as \xNN, cut off where it doesn't fit. */
static void copy_printable(char *out, size_t size, const char *raw)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	for (; *raw; raw++) {
		unsigned char c = (unsigned char)*raw;

		if (c >= 0x20 && c != 0x7f) {
			if (n + 1 >= size)
				break;
			out[n++] = *raw;
		} else {
			if (n + 4 >= size)
				break;
			out[n++] = '\\';
			out[n++] = 'x';
			out[n++] = hex[c >> 4];
			out[n++] = hex[c & 15];
		}
	}
	out[n] = '\0';
}

int vd_error_vset(struct vd_error *err, int code, int sys_errno, uint64_t offset, const char *fmt,
		  va_list ap)
{
	char raw[VD_ERROR_TEXT_MAX];

	if (!err)
		return code;
	/* Formatted aside first: an argument may be err->text itself. */
	if (vsnprintf(raw, sizeof(raw), fmt, ap) < 0)
		raw[0] = '\0';
	err->code = code;
	err->sys_errno = sys_errno;
	err->offset = offset;
	copy_printable(err->text, sizeof(err->text), raw);
	return code;
}

int vd_error_set(struct vd_error *err, int code, int sys_errno, uint64_t offset, const char *fmt,
		 ...)
{
	va_list ap;

	va_start(ap, fmt);
	vd_error_vset(err, code, sys_errno, offset, fmt, ap);
	va_end(ap);
	return code;
}

int vd_error_prefix(struct vd_error *err, int code, const char *fmt, ...)
{
	char context[VD_ERROR_TEXT_MAX], raw[2 * VD_ERROR_TEXT_MAX + 2];
	va_list ap;

	if (!err)
		return code;
	va_start(ap, fmt);
	if (vsnprintf(context, sizeof(context), fmt, ap) < 0)
		context[0] = '\0';
	va_end(ap);
	snprintf(raw, sizeof(raw), "%s: %s", context, err->text);
	copy_printable(err->text, sizeof(err->text), raw);
	return err->code;
}

int vd_code_from_errno(int sys_errno)
{
	switch (sys_errno) {
	case 0:
		return VD_OK;
	case ENOSPC:
	case EDQUOT:
		return VD_ENOSPC;
	case ENOMEM:
		return VD_ENOMEM;
	case EACCES:
	case EPERM:
		return VD_EDENIED;
	case EROFS:
		return VD_EROFS;
	case ENOENT:
	case ENOTDIR:
		return VD_ENOENT;
	case EEXIST:
		return VD_EEXIST;
	case EINVAL:
		return VD_EINVAL;
	case EOPNOTSUPP:
		return VD_EUNSUPPORTED;
	case ECANCELED:
		return VD_ECANCELED;
	case ETIMEDOUT:
		return VD_ETIMEDOUT;
	case EBUSY:
	case ETXTBSY:
		return VD_EBUSY;
	default:
		return VD_EIO;
	}
}

const char *vd_code_name(int code)
{
	switch (code) {
	case VD_OK:
		return "ok";
	case VD_EINVAL:
		return "invalid argument";
	case VD_ENOMEM:
		return "out of memory";
	case VD_EIO:
		return "I/O error";
	case VD_ENOSPC:
		return "no space";
	case VD_ECORRUPT:
		return "corrupt";
	case VD_EUNSUPPORTED:
		return "unsupported";
	case VD_EDENIED:
		return "denied";
	case VD_EBUSY:
		return "busy";
	case VD_ENOENT:
		return "not found";
	case VD_EEXIST:
		return "exists";
	case VD_EROFS:
		return "read-only";
	case VD_ECANCELED:
		return "canceled";
	case VD_ETIMEDOUT:
		return "timed out";
	case VD_EPOISONED:
		return "poisoned";
	case VD_ERANGE:
		return "out of range";
	default:
		return "unknown";
	}
}

static vd_message_fn message_fn;
static void *message_user;

void vd_set_message_hook(vd_message_fn fn, void *user)
{
	message_fn = fn;
	message_user = user;
}

void vd_message(enum vd_message_level level, const char *fmt, ...)
{
	char raw[VD_ERROR_TEXT_MAX], text[VD_ERROR_TEXT_MAX];
	va_list ap;

	if (!message_fn)
		return;
	va_start(ap, fmt);
	if (vsnprintf(raw, sizeof(raw), fmt, ap) < 0)
		raw[0] = '\0';
	va_end(ap);
	copy_printable(text, sizeof(text), raw);
	message_fn(message_user, level, text);
}

const char *vd_version(void)
{
	return VD_VERSION;
}
