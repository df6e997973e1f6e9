/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the ext2/3/4 reader share: libext2fs over a view of the disk.
 *
 * libext2fs (LGPL-2) knows the formats; ours is the door (fs_ext_io.c), which counts what is read.
 * Its loops over indirect blocks, extents and folders follow the disk, so each of our calls gives
 * it a budget of reads, and a reading beyond that ends it. A handle of it is not re-entrant: it
 * belongs to one struct vd_guest_fs, which is for one thread at a time.
 */
#ifndef VD_GUEST_FS_EXT_H
#define VD_GUEST_FS_EXT_H

#include <ext2fs/ext2fs.h>

#include "guest/guest_disk.h"
#include "guest/guest_fs.h"

#define EXT_CACHE_LINES 64u

struct ext_line {
	uint64_t block;
	bool is_valid;
};

/** The door of one handle. It outlives the io_channel that libext2fs makes of it. */
struct ext_door {
	struct vd_guest_view view;
	uint64_t budget;     /**< reads that are left to this call */
	bool is_exhausted;   /**< there were none left */
	int failure;         /**< what the disk said, or 0 */
	struct vd_error why; /**< with it */
	uint32_t cache_block_size;
	struct ext_line lines[EXT_CACHE_LINES];
	uint8_t *cache; /**< EXT_CACHE_LINES blocks */
};

struct ext_fs {
	struct ext_door door;
	ext2_filsys fs;
	bool is_dirty;
	/* The file that was read last: reading on is cheap. */
	ext2_file_t file;
	ext2_ino_t file_ino;
	uint64_t file_size;
};

/** Open libext2fs's handle over door->view. */
errcode_t ext_door_open(struct ext_door *door, ext2_filsys *fs);
void ext_door_free(struct ext_door *door);
/** A new call begins, which may read so many blocks. */
void ext_door_start(struct ext_door *door, uint64_t budget);
/** The VD_E* of what libext2fs answered, with words: the disk's own where it was the disk. */
int ext_fail(const struct ext_door *door, errcode_t code, struct vd_error *err, const char *what,
	     uint64_t inode);

int ext_free_space(void *state, vd_free_fn fn, void *user, struct vd_error *err);

#endif
