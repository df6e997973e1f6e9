/* SPDX-License-Identifier: MIT */
/* The private folder of a test ($T; without it, a new one that goes when the test ends). */
#ifndef TEST_SCRATCH_H
#define TEST_SCRATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdisk/disk.h>

/** The folder. */
const char *scratch_dir(void);
/** FOLDER/name; stays valid. At most 64 names a program; not thread-safe. */
const char *scratch_path(const char *name);
/** Run a shell command; its exit status, or -1. */
int scratch_run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/** Such a program is installed. */
bool scratch_has(const char *program);
/** Open the image in `io`, whose parents lie in the folder; fails the test. */
struct vd_disk *scratch_open_io(struct vd_io *io, uint32_t flags);

#endif
