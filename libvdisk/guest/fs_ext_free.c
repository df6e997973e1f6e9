// SPDX-License-Identifier: MIT
/*
 * The free space of ext2/3/4 by its block bitmaps, for whoever gives free space back to the host.
 *
 * One bitmap at a time, so memory doesn't grow with the disk. A stretch is only called free if the
 * group's descriptor and its bitmap agree: right checksums, where there are some, and as many free
 * blocks as the descriptor counts. A group whose bitmap was never written (BLOCK_UNINIT) is free
 * but for what mke2fs puts there; if that sum isn't the descriptor's, nothing of it is called free.
 */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "guest/fs_ext.h"

struct free_run {
	vd_free_fn fn;
	void *user;
	uint64_t start, length; /* bytes of the view, gathered over the borders of groups */
	uint64_t limit;
};

static int hand_out(struct free_run *run)
{
	int rc = 0;

	if (run->length && run->start < run->limit)
		rc = run->fn(run->user, run->start, vd_min64(run->length, run->limit - run->start));
	run->length = 0;
	return rc;
}

static int add_free(struct free_run *run, uint64_t start, uint64_t length)
{
	int rc = 0;

	if (run->length && run->start + run->length == start) {
		run->length += length;
		return 0;
	}
	rc = hand_out(run);
	run->start = start;
	run->length = length;
	return rc;
}

static bool is_used(const uint8_t *bitmap, uint64_t i)
{
	return bitmap[i / 8] >> i % 8 & 1;
}

static int broken_group(uint64_t group, const char *what, struct vd_error *err)
{
	return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
			    "block group %" PRIu64 ": %s (run fsck in the guest)", group, what);
}

/* Mark [first, first + n) of absolute blocks, as far as it lies in the group. */
static void mark(uint8_t *bitmap, uint64_t group_first, uint64_t n_bits, uint64_t first, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		uint64_t bit = first + i - group_first;

		if (first + i >= group_first && bit < n_bits)
			bitmap[bit / 8] |= (uint8_t)(1u << bit % 8);
	}
}

/* What stands in a group that has no bitmap yet: copies of the superblock and of the descriptors,
 * its own bitmaps and inode table. Clusters of many blocks: not worked out, all counts as used. */
static bool derive_bitmap(struct ext_fs *ext, dgrp_t group, uint8_t *bitmap, uint64_t n_bits)
{
	ext2_filsys fs = ext->fs;
	uint64_t first = ext2fs_group_first_block2(fs, group);
	blk64_t super, old_desc, new_desc;
	blk_t n_used;
	bool has_super;

	if (EXT2FS_CLUSTER_RATIO(fs) != 1)
		return false;
	memset(bitmap, 0, fs->blocksize);
	if (ext2fs_super_and_bgd_loc2(fs, group, &super, &old_desc, &new_desc, &n_used))
		return false;
	has_super = super || !group;
	if (has_super)
		mark(bitmap, first, n_bits, super, 1);
	if (old_desc)
		mark(bitmap, first, n_bits, old_desc, n_used - has_super - (new_desc != 0));
	if (new_desc)
		mark(bitmap, first, n_bits, new_desc, 1);
	mark(bitmap, first, n_bits, ext2fs_block_bitmap_loc(fs, group), 1);
	mark(bitmap, first, n_bits, ext2fs_inode_bitmap_loc(fs, group), 1);
	mark(bitmap, first, n_bits, ext2fs_inode_table_loc(fs, group), fs->inode_blocks_per_group);
	return true;
}

/* The bitmap of a group, proved. *is_known false: nothing can be said about it. */
static int load_bitmap(struct ext_fs *ext, dgrp_t group, uint8_t *bitmap, uint64_t n_bits,
		       bool *is_known, struct vd_error *err)
{
	ext2_filsys fs = ext->fs;
	uint64_t n_free = 0, counted = ext2fs_bg_free_blocks_count(fs, group);
	bool is_new =
	    ext2fs_has_group_desc_csum(fs) && ext2fs_bg_flags_test(fs, group, EXT2_BG_BLOCK_UNINIT);
	errcode_t code;

	*is_known = false;
	if (!ext2fs_group_desc_csum_verify(fs, group))
		return broken_group(group, "the descriptor's checksum is wrong", err);
	if (is_new) {
		if (!derive_bitmap(ext, group, bitmap, n_bits))
			return 0;
	} else {
		code = io_channel_read_blk64(fs->io, ext2fs_block_bitmap_loc(fs, group), 1, bitmap);
		if (code)
			return ext_fail(&ext->door, code, err, "block bitmap of a group", group);
		if (!ext2fs_block_bitmap_csum_verify(fs, group, (char *)bitmap,
						     (int)(fs->super->s_clusters_per_group / 8)))
			return broken_group(group, "the block bitmap's checksum is wrong", err);
	}
	for (uint64_t i = 0; i < n_bits; i++)
		n_free += !is_used(bitmap, i);
	if (n_free != counted && !is_new)
		return broken_group(group, "bitmap and descriptor count other free blocks", err);
	*is_known = n_free == counted;
	return 0;
}

static int free_of_group(struct ext_fs *ext, dgrp_t group, uint8_t *bitmap, struct free_run *run,
			 struct vd_error *err)
{
	ext2_filsys fs = ext->fs;
	uint64_t first = ext2fs_group_first_block2(fs, group),
		 last = ext2fs_group_last_block2(fs, group);
	uint64_t cluster = (uint64_t)EXT2FS_CLUSTER_RATIO(fs),
		 n_bits = vd_div_up(last - first + 1, cluster), bytes = cluster * fs->blocksize;
	bool is_known;
	int rc;

	if (last < first || n_bits > (uint64_t)fs->blocksize * 8)
		return broken_group(group, "it doesn't fit its bitmap", err);
	ext_door_start(&ext->door, 16);
	rc = load_bitmap(ext, group, bitmap, n_bits, &is_known, err);
	if (rc || !is_known)
		return rc;
	for (uint64_t i = 0, n; i < n_bits && !rc; i += n) {
		bool used = is_used(bitmap, i);

		for (n = 1; i + n < n_bits && is_used(bitmap, i + n) == used; n++)
			;
		if (!used)
			rc = add_free(run, first * fs->blocksize + i * bytes, n * bytes);
	}
	return rc;
}

int ext_free_space(void *state, vd_free_fn fn, void *user, struct vd_error *err)
{
	struct ext_fs *ext = state;
	struct free_run run = {fn, user, 0, 0, 0};
	uint8_t *bitmap VD_AUTO_FREE = NULL;
	uint64_t size = ext2fs_blocks_count(ext->fs->super) * ext->fs->blocksize;
	int rc = 0;

	if (ext->is_dirty)
		return vd_error_set(
		    err, VD_EBUSY, 0, VD_NO_OFFSET,
		    "the file system wasn't cleanly unmounted: its bitmaps may lie");
	if (size > ext->door.view.length)
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "the file system claims %" PRIu64 " bytes, its partition has "
				    "%" PRIu64,
				    size, ext->door.view.length);
	bitmap = vd_malloc(ext->fs->blocksize);
	if (!bitmap)
		return vd_no_memory(err, ext->fs->blocksize, "a block bitmap");
	run.limit = size;
	for (dgrp_t group = 0; group < ext->fs->group_desc_count && !rc; group++)
		rc = free_of_group(ext, group, bitmap, &run, err);
	return rc ? rc : hand_out(&run);
}
