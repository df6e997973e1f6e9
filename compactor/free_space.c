/* SPDX-License-Identifier: MIT */
/*
 * What clean file systems on the disk call free is discarded. That changes what a guest reads, so
 * it is only done where asked for, where nobody else has the image (the caller's exclusive lock),
 * and where no child is known that would see it: a VHDX in the same folder that names this one's
 * DataWriteGuid as its parent's. A process that holds the image open as a parent keeps the caller's
 * lock from being had.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <vdisk/guest.h>

#include "compact.h"

#define PATH_ROOM 4096

/* "{...}" of parent_linkage against 16 bytes. */
static bool is_linkage(const char *linkage, const uint8_t id[16])
{
	char text[40];

	snprintf(text, sizeof(text),
		 "{%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x}", id[0],
		 id[1], id[2], id[3], id[4], id[5], id[6], id[7], id[8], id[9], id[10], id[11],
		 id[12], id[13], id[14], id[15]);
	return strcasecmp(linkage, text) == 0;
}

static bool is_child(const char *path, const uint8_t id[16])
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_parent_hint *hint = calloc(1, sizeof(*hint));
	struct vd_disk *disk = NULL;
	bool is = false;

	opts.flags = VD_OPEN_LOOK | VD_OPEN_NO_PARENTS;
	if (hint && !vd_disk_open(&disk, path, &opts, NULL) &&
	    !vd_disk_get_parent_hint(disk, hint, NULL))
		is = is_linkage(hint->linkage, id) || is_linkage(hint->linkage2, id);
	vd_disk_close(disk, NULL);
	free(hint);
	return is;
}

static bool may_be_vhdx(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && (!strcasecmp(dot, ".vhdx") || !strcasecmp(dot, ".avhdx"));
}

static int refuse_children(struct compaction *c, struct vd_error *err)
{
	struct vd_disk_info info = {.size = sizeof(info)};
	const char *path = vd_disk_path(c->disk), *slash = strrchr(path, '/');
	char folder[PATH_ROOM], name[2 * PATH_ROOM];
	const struct dirent *entry;
	DIR *dir;
	int ret = 0;

	if (!path[0])
		return 0;
	vd_disk_get_info(c->disk, &info);
	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) + 1 : 1,
		 slash ? path : ".");
	dir = opendir(folder);
	while (dir && !ret && (entry = readdir(dir))) {
		snprintf(name, sizeof(name), "%s/%s", folder, entry->d_name);
		if (may_be_vhdx(entry->d_name) && is_child(name, info.data_write_id))
			ret = vd_error_set(
			    err, VD_EDENIED, 0, VD_NO_OFFSET,
			    "%s has this image as its parent and would read zeros where "
			    "it reads old data now: free space was left alone",
			    name);
	}
	if (dir)
		closedir(dir);
	return ret;
}

/* A walk through the free space of one file system. */
struct walk {
	struct compaction *c;
	struct vd_error *err;
	int ret;
};

static int take_free(void *user, uint64_t start, uint64_t length)
{
	struct walk *walk = user;
	struct compaction *c = walk->c;
	uint64_t size = c->space.block_size, first = (start + size - 1) / size;
	uint64_t last = (start + length) / size;

	if (c->is_free) {
		for (uint64_t block = first; block < last && block < c->space.n_blocks; block++)
			c->is_free[block / 8] |= (uint8_t)(1u << block % 8);
	} else {
		walk->ret = vd_disk_discard(c->disk, start, length, walk->err);
	}
	if (!walk->ret)
		walk->ret = compact_pause(c, walk->err);
	return walk->ret;
}

static int one_filesystem(struct compaction *c, const struct vd_partition *part,
			  struct vd_error *err)
{
	struct walk walk = {.c = c, .err = err};
	struct vd_guest_fs *fs = NULL;
	int ret = vd_guest_fs_open(&fs, c->disk, part->start, part->length, NULL);

	/* Of a type that can't be read, or not clean: nothing is known to be free. */
	if (!ret && !vd_guest_fs_is_dirty(fs) &&
	    !vd_guest_fs_free_space(fs, take_free, &walk, NULL))
		c->result->n_filesystems++;
	vd_guest_fs_close(fs);
	return walk.ret;
}

int compact_free_space(struct compaction *c, struct vd_error *err)
{
	struct vd_disk_stats before = {.size = sizeof(before)}, after = {.size = sizeof(after)};
	struct vd_layout *layout = NULL;
	int ret = refuse_children(c, err);

	c->progress.phase = "free";
	if (!ret && (c->opts.flags & VD_COMPACT_DRY_RUN)) {
		c->is_free = calloc(c->space.n_blocks / 8 + 1, 1);
		if (!c->is_free)
			ret = vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "no memory for a map");
	}
	if (!ret)
		ret = vd_guest_read_layout(&layout, c->disk, err);
	if (ret)
		return ret;
	vd_disk_get_stats(c->disk, &before);
	c->progress.total = layout->n_partitions;
	for (size_t i = 0; i < layout->n_partitions && !ret; i++) {
		c->progress.done = i;
		ret = one_filesystem(c, &layout->partitions[i], err);
	}
	vd_disk_get_stats(c->disk, &after);
	c->result->freed_guest =
	    (after.n_blocks_freed - before.n_blocks_freed) * c->space.block_size;
	vd_layout_free(layout);
	return ret;
}
