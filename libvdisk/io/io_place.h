/* SPDX-License-Identifier: MIT */
/*
 * Where files lie, for the search of parents: folders that hold what is opened beneath them,
 * which file a descriptor is, real paths.
 */
#ifndef VD_IO_PLACE_H
#define VD_IO_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Which file it is, whatever its names are. */
struct vd_identity {
	bool is_known;
	uint64_t dev, ino;
};

/** Tell a descriptor's file; all false for -1. *is_image (may be NULL): a file or block device. */
struct vd_identity vd_place_identity(int fd, bool *is_image);
static inline bool vd_identity_is_equal(struct vd_identity a, struct vd_identity b)
{
	return a.is_known && b.is_known && a.dev == b.dev && a.ino == b.ino;
}

/** The real path of the file or folder `path`, of PATH_MAX bytes. 0 or -errno. */
int vd_place_real(const char *path, char *real);
/** `path` made absolute with the current folder, but otherwise as it is named. 0 or -errno. */
int vd_place_absolute(const char *path, char *absolute, size_t size);
/** Where the open file lies now; leaves `path` alone if that can't be told. */
void vd_place_of_fd(int fd, char *path, size_t size);

/** A descriptor of the folder, to open beneath. -errno if it can't be had. */
int vd_place_open_folder(const char *path);
/**
 * Open `below` (relative, without "." and "..") read-only without leaving the folder. Returns a
 * descriptor or -errno; -EXDEV or -ELOOP: a link leads out. `is_plain`: do without openat2, and
 * follow no links at all.
 */
int vd_place_open_beneath(int folder, const char *below, bool is_plain);

#endif
