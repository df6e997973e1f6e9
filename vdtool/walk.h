/* SPDX-License-Identifier: MIT */
/*
 * Which images are there? Walks folders and tells each file that is a disk image: what search and
 * catalog sync look at. Symbolic links aren't followed below an operand.
 */
#ifndef VDTOOL_WALK_H
#define VDTOOL_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/** How to walk. */
struct walk_opts {
	bool stays_on_fs;            /**< -x */
	const char *const *excludes; /**< globs: of the whole path, or of the last part if there is
					no slash in them */
	size_t n_excludes;
	uint64_t *n_seen; /**< NULL, or counted up (atomically) with each thing that is looked at,
			      for those who watch that the walk goes on */
};
/** An image. Valid during the call. */
struct walk_image {
	const char *path;
	struct stat st;
	bool has_sidecar;
	struct stat sidecar; /**< of "PATH.vdmeta", if there is one */
};
/** A non-zero answer ends the walk and is returned. Called in the caller's thread. */
typedef int (*walk_image_fn)(void *user, const struct walk_image *image);
/** Hears what couldn't be looked into: an errno. */
typedef void (*walk_problem_fn)(void *user, const char *path, int error);

/** Is a file of this name taken for an image when a folder is walked? By its ending; others by
 *  their first bytes (walk_tree). A sidecar never is. */
bool walk_is_image_name(const char *name);
/** Would a walk leave out what lies at `path`, whose first `from` bytes are an operand? */
bool walk_is_left_out(const char *path, size_t from, const char *const *excludes, size_t n);
/** Each image at or below `paths`, folders in the order of their names. A file that is named itself
 *  is an image whatever its name. `problem` may be NULL. Returns 0, fn's answer, or -1 without
 *  memory. */
int walk_tree(const char *const *paths, size_t n_paths, const struct walk_opts *opts,
	      walk_image_fn fn, walk_problem_fn problem, void *user);

#endif
