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

#define PATH_ROOM    4096
#define DISCARD_ONCE ((uint64_t)1 << 30)

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

int compact_refuse_children(struct compaction *c, struct vd_error *err)
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

/* Stretches of free space on the way to their use, adjacent ones joined: groups of a file system
 * tell them one by one, and only together they may fill a block. */
struct walk {
	struct compaction *c;
	struct vd_error *err;
	int ret;
	uint64_t start, end; /* the stretch so far */
	uint64_t n_free;
	int (*use)(struct walk *walk, uint64_t start, uint64_t end);
};

static int use_stretch(struct walk *walk)
{
	uint64_t start = walk->start, end = walk->end;

	walk->start = walk->end = 0;
	if (start == end)
		return 0;
	walk->n_free += end - start;
	if (walk->use)
		walk->ret = walk->use(walk, start, end);
	return walk->ret;
}

static int take_free(void *user, uint64_t start, uint64_t length)
{
	struct walk *walk = user;
	int ret = 0;

	if (start != walk->end) {
		ret = use_stretch(walk);
		walk->start = start;
	}
	walk->end = start + length;
	return ret;
}

/* Piece by piece, so that it can be stopped. */
static int discard(struct walk *walk, uint64_t start, uint64_t end)
{
	struct compaction *c = walk->c;
	int ret = 0;

	while (start < end && !ret) {
		uint64_t next = (start / DISCARD_ONCE + 1) * DISCARD_ONCE;

		next = next < end ? next : end;
		ret = vd_disk_discard(c->disk, start, next - start, walk->err);
		if (!ret)
			ret = compact_pause(c, walk->err);
		start = next;
	}
	return ret;
}

static int note_for_dry_run(struct walk *walk, uint64_t start, uint64_t end)
{
	int ret = dry_free_mark(walk->c, start, end, walk->err);

	return ret ? ret : compact_pause(walk->c, walk->err);
}

/* Once to see that all of it can be believed, and only then to act on it. */
static int use_filesystem(struct compaction *c, struct vd_guest_fs *fs, uint64_t *n_free,
			  struct vd_error *why, struct vd_error *err)
{
	struct walk walk = {.c = c, .err = err};
	int ret = vd_guest_fs_free_space(fs, take_free, &walk, why);

	if (ret)
		return ret;
	use_stretch(&walk);
	*n_free = walk.n_free;
	walk = (struct walk){.c = c, .err = err};
	walk.use = c->opts.flags & VD_COMPACT_DRY_RUN ? note_for_dry_run : discard;
	ret = vd_guest_fs_free_space(fs, take_free, &walk, why);
	if (!ret)
		use_stretch(&walk);
	if (walk.ret)
		c->free_failed = walk.ret;
	else if (!ret)
		c->result->n_filesystems++;
	return ret;
}

/* Where partitions lie across each other, what one calls free may be used by the other. */
static const struct vd_partition *find_overlap(const struct vd_layout *layout, size_t i)
{
	const struct vd_partition *a = &layout->partitions[i];

	for (size_t k = 0; k < layout->n_partitions; k++) {
		const struct vd_partition *b = &layout->partitions[k];

		if (k != i && a->start < b->start + b->length && b->start < a->start + a->length)
			return b;
	}
	return NULL;
}

static int one_partition(struct compaction *c, const struct vd_layout *layout, size_t i,
			 struct vd_error *err)
{
	const struct vd_partition *part = &layout->partitions[i], *other = find_overlap(layout, i);
	struct vd_compact_fs told = {.number = part->number,
				     .type = part->filesystem.type,
				     .start = part->start,
				     .length = part->length};
	struct vd_error why = VD_ERROR_INIT;
	struct vd_guest_fs *fs = NULL;
	int ret = 0;

	c->free_failed = 0;
	if (layout->problem)
		ret = vd_error_set(&why, VD_ECORRUPT, 0, VD_NO_OFFSET, "%s", layout->problem);
	else if (other)
		ret = vd_error_set(&why, VD_ECORRUPT, 0, VD_NO_OFFSET, "it overlaps partition %u",
				   other->number);
	if (!ret)
		ret = vd_guest_fs_open(&fs, c->disk, part->start, part->length, &why);
	if (!ret)
		ret = use_filesystem(c, fs, &told.n_free, &why, err);
	vd_guest_fs_close(fs);
	if (ret && !c->free_failed)
		told.why = why.text[0] ? why.text : "it can't be read";
	if (c->opts.file_system)
		c->opts.file_system(c->opts.user, &told);
	return c->free_failed;
}

static int all_partitions(struct compaction *c, struct vd_error *err)
{
	struct vd_layout *layout = NULL;
	int ret = vd_guest_read_layout(&layout, c->disk, err);

	if (ret)
		return ret;
	c->progress.total = layout->n_partitions;
	for (size_t i = 0; i < layout->n_partitions && !ret; i++) {
		c->progress.done = i;
		ret = one_partition(c, layout, i, err);
	}
	vd_layout_free(layout);
	return ret;
}

int compact_free_space(struct compaction *c, struct vd_error *err)
{
	struct vd_disk_stats before = {.size = sizeof(before)}, after = {.size = sizeof(after)};
	bool is_dry = c->opts.flags & VD_COMPACT_DRY_RUN;
	int ret = compact_refuse_children(c, err);

	c->progress.phase = "free";
	if (!ret && is_dry)
		ret = dry_free_begin(c, err);
	if (ret)
		return ret;
	vd_disk_get_stats(c->disk, &before);
	ret = all_partitions(c, err);
	if (!ret && is_dry)
		ret = dry_free_end(c, err);
	vd_disk_get_stats(c->disk, &after);
	c->result->freed_guest =
	    (after.n_blocks_freed - before.n_blocks_freed) * c->space.block_size;
	return ret;
}
