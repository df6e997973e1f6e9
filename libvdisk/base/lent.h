/* SPDX-License-Identifier: MIT */
/*
 * What io/ lends to the rooms above the core, which see of the core only base/ and the public
 * headers: new files that appear complete or not at all, and questions about places.
 */
#ifndef VD_BASE_LENT_H
#define VD_BASE_LENT_H

#include "base/private.h"
#include <stdbool.h>
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

#endif
