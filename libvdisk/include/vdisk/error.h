/* SPDX-License-Identifier: MIT */
/*
 * error.h - how libvdisk tells what went wrong.
 *
 * Every function that can fail returns 0 or one of the negative codes below. If its last
 * argument `err` isn't NULL, it is filled with the same code and one line of text for people:
 * what was found, where, what was expected or can be done. On success *err is left alone.
 * Nothing here allocates, and no text needs freeing.
 */
#ifndef VDISK_ERROR_H
#define VDISK_ERROR_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define VD_API               __attribute__((visibility("default")))
#define VD_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define VD_WARN_UNUSED       __attribute__((warn_unused_result))
#else
#define VD_API
#define VD_PRINTF(fmt, args)
#define VD_WARN_UNUSED
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** What kind of failure it was. The values are part of the ABI: new ones are only added. */
enum vd_code {
	VD_OK = 0,
	VD_EINVAL = -1,   /**< the caller's argument or order of calls is wrong */
	VD_ENOMEM = -2,   /**< no memory; the handle is unchanged */
	VD_EIO = -3,      /**< storage failed (see sys_errno) */
	VD_ENOSPC = -4,   /**< the host has no room or quota; nothing flushed is lost, try again */
	VD_ECORRUPT = -5, /**< the image breaks a rule of its format */
	VD_EUNSUPPORTED = -6, /**< well-formed, but this library can't do it */
	VD_EDENIED = -7,      /**< rights, parent roots or a guard forbid it */
	VD_EBUSY = -8,        /**< another process uses the image (named in the text) */
	VD_ENOENT = -9,       /**< there is no such file or thing */
	VD_EEXIST = -10,      /**< it exists already */
	VD_EROFS = -11,       /**< the handle was opened read-only */
	VD_ECANCELED = -12,   /**< vd_disk_cancel() ended it */
	VD_ETIMEDOUT = -13,   /**< the deadline that the caller set has passed */
	VD_EPOISONED = -14,   /**< an earlier sync failed: this handle writes and flushes no more */
	VD_ERANGE = -15,      /**< the request lies beyond the end of the disk */
};

#define VD_ERROR_TEXT_MAX 512
#define VD_NO_OFFSET      UINT64_MAX

/** A failure, in the caller's memory. */
struct vd_error {
	int32_t code;                 /**< enum vd_code */
	int32_t sys_errno;            /**< errno of the system call behind it, or 0 */
	uint64_t offset;              /**< byte offset in the image file, or VD_NO_OFFSET */
	char text[VD_ERROR_TEXT_MAX]; /**< one line, NUL-terminated, control characters escaped */
};

#define VD_ERROR_INIT                                                                              \
	{                                                                                          \
		0, 0, VD_NO_OFFSET, ""                                                             \
	}

/**
 * Fill *err (if not NULL) and return `code`, so that `return vd_error_set(...)` reads well.
 * `sys_errno` is an errno or 0; `offset` a file offset or VD_NO_OFFSET. Bytes of the text that
 * are control characters are written as \xNN. Thread-safe. Also for authors of vd_io_ops.
 */
VD_API int vd_error_set(struct vd_error *err, int code, int sys_errno, uint64_t offset,
			const char *fmt, ...) VD_PRINTF(5, 6);
VD_API int vd_error_vset(struct vd_error *err, int code, int sys_errno, uint64_t offset,
			 const char *fmt, va_list ap) VD_PRINTF(5, 0);

/** Put "context: " before the text of *err. Returns err->code (or `code` if err is NULL). */
VD_API int vd_error_prefix(struct vd_error *err, int code, const char *fmt, ...) VD_PRINTF(3, 4);

/** The code that fits an errno: ENOSPC and EDQUOT give VD_ENOSPC, EACCES VD_EDENIED, ... */
VD_API int vd_code_from_errno(int sys_errno);

/** "corrupt", "busy", ... A static string; "unknown" for other values. */
VD_API const char *vd_code_name(int code);

/** The library's version as "MAJOR.MINOR.PATCH". A static string. */
VD_API const char *vd_version(void);

/**
 * Allocator hooks: replace malloc, realloc and free for everything that the library allocates
 * itself (not for what libuuid, libc allocate). Aligned memory is taken from `alloc` too, with
 * room to align it. Call once, before anything else; not thread-safe. NULL restores libc's.
 */
struct vd_allocator {
	void *(*alloc)(void *user, size_t size);
	void *(*resize)(void *user, void *old, size_t size);
	void (*release)(void *user, void *old);
	void *user;
};
VD_API void vd_set_allocator(const struct vd_allocator *allocator);

/**
 * Message hook: the library prints nothing. What a person should know though no call failed
 * (a fall-back where the file system lacks something, a warning about an image) goes to this
 * function, from whatever thread noticed it. NULL (the default) drops messages. Set it before
 * other threads use the library. The hook must not call back into the handle it hears about.
 */
enum vd_message_level { VD_MESSAGE_WARNING = 1, VD_MESSAGE_INFO = 2, VD_MESSAGE_DEBUG = 3 };
typedef void (*vd_message_fn)(void *user, enum vd_message_level level, const char *text);
VD_API void vd_set_message_hook(vd_message_fn fn, void *user);

#ifdef __cplusplus
}
#endif
#endif
