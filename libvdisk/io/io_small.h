/* SPDX-License-Identifier: MIT */
/*
 * Small files and folders behind a descriptor, for what io/ lends (base/lent.h). Both take over the
 * descriptor, and tell -errno in its place as the reason why it couldn't be opened.
 */
#ifndef VD_IO_SMALL_H
#define VD_IO_SMALL_H

#include <stddef.h>

#include <vdisk/error.h>

/** A plain file (others are VD_EINVAL) until it ends, whatever size it tells, but at most `max`
 *  bytes; a NUL follows. vd_free. */
int vd_small_read(int fd, const char *path, size_t max, char **bytes, size_t *len,
		  struct vd_error *err);
/** Names in a folder but "." and "..", at most `max`, sorted bytewise; a NULL follows.
 *  vd_io_free_names. */
int vd_small_list(int fd, const char *path, size_t max, char ***names, size_t *n,
		  struct vd_error *err);

#endif
