/* SPDX-License-Identifier: MIT */
/* Opening images with the options that subcommands share, and a few helpers on bytes. */
#ifndef VDTOOL_IMAGE_H
#define VDTOOL_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdisk/disk.h>

#include "options/options.h"

/** Open with --source-format and --parent-root of `args`; says nothing. */
int tool_image_open(struct vd_disk **out, const char *path, const struct tool_args *args,
		    uint32_t flags, struct vd_error *err);
/** Make the image at `path`, which is the temporary one: no file of another name is left behind if
 * a signal ends us in between. */
int tool_image_create(const char *path, const struct vd_create_opts *opts, bool is_unsynced,
		      struct vd_error *err);
/** Close after writing: an error means that data is lost. Says so; returns an exit code. */
int tool_image_close(struct vd_disk *disk, const char *path);
/** The range of --offset and --length (default: all). Returns an exit code, after saying. */
int tool_image_range(const struct tool_args *args, const struct vd_disk *disk, const char *path,
		     uint64_t *offset, uint64_t *length);
/** "VHDX dynamic, 40 GiB" of what the library told; into `text`. */
void tool_image_describe(const struct vd_disk_info *info, char *text, size_t size);

bool tool_is_zero(const void *p, size_t len);
/** Write all of it to a descriptor. 0 or an errno. */
int tool_write_fd(int fd, const void *buf, size_t len);
/** Read until `len` bytes or the end; 0 or an errno, *n_read in any case. */
int tool_read_fd(int fd, void *buf, size_t len, size_t *n_read);
/** Seconds on a clock that only goes forward. */
double tool_now(void);

#endif
