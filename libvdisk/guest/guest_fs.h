/* SPDX-License-Identifier: MIT */
/*
 * What a file system brings to be read: a table of functions over inode numbers. Paths, symbolic
 * links, "..", depth, sorting, loops of folders and the refusal of dirty ones are the same for all
 * and live once, in guest_fs.c. A new file system is a table of its own and a line in the list
 * there.
 *
 * All is read through a vd_guest_view. A function answers 0 or a negative VD_E*: VD_ENOENT where a
 * name isn't there, VD_ECORRUPT where the file system contradicts itself, VD_EUNSUPPORTED where it
 * is right but more than we read. Every loop ends by a bound of its own, whatever the disk says.
 */
#ifndef VD_GUEST_FS_H
#define VD_GUEST_FS_H

#include <vdisk/guest.h>

#include "guest/guest_disk.h"

/** Longest name of one file, with its NUL, as UTF-8 (255 UTF-16 units are 765 bytes). */
#define VD_GUEST_NAME_MAX 1024u

/** One name of a folder; never "." or "..", never with "/" or NUL in it, always valid UTF-8 (what
 *  isn't is shown with U+FFFD). `type` may be VD_FILE_OTHER where only info() would know. A
 *  non-zero answer ends the listing, which then returns it. */
typedef int (*vd_guest_entry_fn)(void *user, const char *name, uint64_t inode,
				 enum vd_file_type type);

struct vd_guest_fs_ops {
	/** The values of vd_filesystem.type that it reads, ended by NULL. */
	const char *const *types;
	bool ignores_case; /**< lookup() does; paths are compared so too */

	/** Look at the superblock and make *state. `fs` is what the probe found, and may be
	 *  amended (`used`, `is_dirty`). The view is copied. *root is the top folder's inode. */
	int (*open)(void **state, const struct vd_guest_view *view, struct vd_filesystem *fs,
		    uint64_t *root, struct vd_error *err);
	void (*close)(void *state);

	/** The inode that `name` (one part of a path, not "." or "..") has in `folder`; VD_ENOENT.
	 *  NULL: there's no quicker way than list(). */
	int (*lookup)(void *state, uint64_t folder, const char *name, uint64_t *inode,
		      struct vd_error *err);
	int (*info)(void *state, uint64_t inode, struct vd_file_info *info, struct vd_error *err);
	/** The target, NUL-terminated; VD_ERANGE if it doesn't fit. NULL: it has no links. */
	int (*readlink)(void *state, uint64_t inode, char *target, size_t size,
			struct vd_error *err);
	/** Read at offset; *n_read is less than len only at the end of the file. Reading on where
	 *  the last call ended is cheap. */
	int (*read)(void *state, uint64_t inode, void *buf, size_t len, uint64_t offset,
		    size_t *n_read, struct vd_error *err);
	/** All names, in the order of the disk. fn may call the other functions, not list(). */
	int (*list)(void *state, uint64_t folder, vd_guest_entry_fn fn, void *user,
		    struct vd_error *err);
	/** Free stretches in order, in bytes from the start of the *view*, not of the disk. NULL:
	 *  unknown here. */
	int (*free_space)(void *state, vd_free_fn fn, void *user, struct vd_error *err);
};

extern const struct vd_guest_fs_ops vd_guest_fat_ops;
extern const struct vd_guest_fs_ops vd_guest_exfat_ops;
extern const struct vd_guest_fs_ops vd_guest_ext_ops;
extern const struct vd_guest_fs_ops vd_guest_ntfs_ops;

#endif
