/* SPDX-License-Identifier: MIT */
/*
 * What io/ lends to the rooms above the core, which see of the core only base/ and the public
 * headers: new files that appear complete or not at all, and questions about places.
 */
#ifndef VD_BASE_LENT_H
#define VD_BASE_LENT_H

#include "base/private.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdisk/error.h>

struct vd_io;

/*
 * A file that is being made (io/io_draft.c). It stands under a name of its own beside the path it
 * is meant for, and gets that name when it is complete and durable; a crash leaves the old or the
 * new file, never half of one.
 */
struct vd_io_draft;
/** flags: VD_IO_DIRECT or 0. Unless `may_replace`, `path` must not exist (VD_EEXIST, here and
 *  in vd_io_publish). */
VD_PRIVATE int vd_io_create_beside(struct vd_io_draft **out, const char *path, uint32_t flags,
				   bool may_replace, struct vd_error *err);
/** The store to fill. Borrowed. */
VD_PRIVATE struct vd_io *vd_io_draft_io(struct vd_io_draft *draft);
/** Sync it, give it its name, sync the folder. The draft is gone afterwards, whatever comes out;
 *  if it fails, so is the file. */
VD_PRIVATE int vd_io_publish(struct vd_io_draft *draft, struct vd_error *err);
/** Give up: nothing is left behind. NULL is allowed. */
VD_PRIVATE void vd_io_discard(struct vd_io_draft *draft);

/** The real, absolute path of the file `path`; the caller frees with vd_free. */
VD_PRIVATE int vd_io_real_path(const char *path, char **real, struct vd_error *err);
/** Remove the plain file `path`, durably. VD_ENOENT. */
VD_PRIVATE int vd_io_remove(const char *path, struct vd_error *err);
/** The open file still has a name. True for stores that aren't files. */
VD_PRIVATE bool vd_io_has_name(const struct vd_io *io);

/** A small plain file, whole (io/io_small.c); also one that the kernel makes up. *bytes is given
 *  back with vd_free; a NUL follows. VD_ERANGE: it has more than `max`; VD_EINVAL: no plain file.
 *  err->sys_errno tells ENOENT from ENOTDIR. */
VD_PRIVATE int vd_io_slurp(const char *path, size_t max, char **bytes, size_t *len,
			   struct vd_error *err);
/** Names in a folder but "." and "..", sorted bytewise, with a NULL behind the last one; given back
 *  with vd_io_free_names. VD_ERANGE: there are more than `max`. */
VD_PRIVATE int vd_io_list_folder(const char *path, size_t max, char ***names, size_t *n,
				 struct vd_error *err);
/** NULL is allowed. */
VD_PRIVATE void vd_io_free_names(char **names);

/*
 * A tree of small files (io/io_tree.c): /proc, /sys, /etc of this machine, or of a folder that
 * stands for one. Paths in it are relative to its root. For files of unknown length too.
 */
struct vd_io_tree;
VD_PRIVATE int vd_io_tree_open(struct vd_io_tree **out, const char *root, struct vd_error *err);
/** NULL is allowed. */
VD_PRIVATE void vd_io_tree_close(struct vd_io_tree *tree);
/** A plain file from its beginning, at most `max` bytes of it; the caller frees with vd_free. A NUL
 *  follows, which *len doesn't count. */
VD_PRIVATE int vd_io_tree_read(const struct vd_io_tree *tree, const char *path, size_t max,
			       char **text, size_t *len, struct vd_error *err);
/** A non-zero answer ends the listing and is returned. */
typedef int (*vd_io_name_fn)(void *user, const char *name);
/** The names in a folder, at most `max` of them, sorted bytewise. */
VD_PRIVATE int vd_io_tree_list(const struct vd_io_tree *tree, const char *path, size_t max,
			       vd_io_name_fn fn, void *user, struct vd_error *err);
/** There is something of that name. */
VD_PRIVATE bool vd_io_tree_has(const struct vd_io_tree *tree, const char *path);
/** The last part of where a link leads; false: no link. */
VD_PRIVATE bool vd_io_tree_link(const struct vd_io_tree *tree, const char *path, char *name,
				size_t size);

#endif
