/* SPDX-License-Identifier: MIT */
/*
 * Behind struct vd_guest_fs: an open file system, its table of functions, and what the generic
 * parts (paths, walks) share. File systems themselves know only guest_fs.h.
 */
#ifndef VD_GUEST_HANDLE_H
#define VD_GUEST_HANDLE_H

#include "guest/guest_fs.h"

/** Bytes of a path, with its NUL; longer ones are refused, or told as a problem of a walk. */
#define VD_GUEST_PATH_MAX 32768u

struct vd_guest_fs {
	const struct vd_guest_fs_ops *ops;
	void *state;
	struct vd_guest_view view;
	struct vd_filesystem info;
	uint64_t root;
};

struct vd_guest_file {
	struct vd_guest_fs *fs;
	uint64_t inode;
};

/** A file's name as the guest stores it, to what vd_guest_entry_fn may see. False: it is no name
 *  ("", ".", "..", one with a slash), the entry is to be left out. */
bool vd_guest_name(char name[static VD_GUEST_NAME_MAX], const void *bytes, size_t len);

/** Resolve a path. `follow`: also a symbolic link that is its last part. */
int vd_guest_resolve(struct vd_guest_fs *fs, const char *path, bool follow, uint64_t *inode,
		     struct vd_error *err);

/** The names of one folder, sorted by bytes. */
struct vd_guest_names {
	char *text; /**< all names, each with its NUL */
	size_t text_len, text_size;
	struct vd_guest_named {
		size_t name; /**< where in text */
		uint64_t inode;
		enum vd_file_type type;
	} * entries;
	size_t n, n_max;
};
/** VD_EUNSUPPORTED if there are too many to be held. `names` is to be zeroed, and freed in any
 *  case. */
int vd_guest_names_read(struct vd_guest_names *names, struct vd_guest_fs *fs, uint64_t folder,
			struct vd_error *err);
void vd_guest_names_free(struct vd_guest_names *names);

#endif
