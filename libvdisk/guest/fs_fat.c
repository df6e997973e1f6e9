/* SPDX-License-Identifier: MIT */
/*
 * Files of FAT12, FAT16 and FAT32, which have no inodes: a file's number is the place of its short
 * entry on the volume, in units of 32 bytes; that of the top folder is 1, which lies in the boot
 * sector.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "guest/fat_names.h"
#include "guest/guest_bytes.h"

#define ROOT 1u
/* Of the FAT, read at once: whole entries of each width. */
#define CHUNK (48 * VD_KIB)

struct fat_fs {
	struct fat_volume volume;
	uint64_t last; /* the file that was read last, and how far */
	struct fat_chain chain;
};

static int open_fat(void **state, const struct vd_guest_view *view, struct vd_filesystem *info,
		    uint64_t *root, struct vd_error *err)
{
	VD_AUTO_FREE struct fat_fs *fs = vd_calloc(1, sizeof(*fs));
	struct fat_ondisk_boot boot;
	int ret;

	(void)info;
	if (!fs)
		return vd_no_memory(err, sizeof(*fs), "a FAT");
	fs->volume.view = *view;
	ret = vd_guest_view_read(view, &boot, sizeof(boot), 0, "boot sector", err);
	if (ret)
		return ret;
	if (!fat_decode(&fs->volume.geo, &boot))
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "the boot sector isn't that of a FAT12, FAT16 or FAT32");
	*root = ROOT;
	*state = VD_TAKE(fs);
	return 0;
}

static void close_fat(void *state)
{
	vd_free(state);
}

static int read_entry(struct fat_fs *fs, uint64_t inode, struct fat_ondisk_entry *entry,
		      struct vd_error *err)
{
	uint64_t at;
	int ret;

	if (!vd_mul64(inode, sizeof(*entry), &at))
		at = UINT64_MAX;
	ret = vd_guest_view_read(&fs->volume.view, entry, sizeof(*entry), at, "entry of a folder",
				 err);
	if (!ret && !fat_entry_is_item(entry))
		ret = vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET,
				   "number %llu isn't that of a file", (unsigned long long)inode);
	return ret;
}

static void fill_info(struct vd_file_info *info, uint64_t inode,
		      const struct fat_ondisk_entry *entry)
{
	bool is_folder = entry->attr & FAT_ATTR_FOLDER;

	memset(info, 0, sizeof(*info));
	info->inode = inode;
	info->type = is_folder ? VD_FILE_FOLDER : VD_FILE_REGULAR;
	info->size = is_folder ? 0 : vd_get32(entry->size);
	info->mtime = fat_time(vd_get16(entry->mdate), vd_get16(entry->mtime));
}

static int info_fat(void *state, uint64_t inode, struct vd_file_info *info, struct vd_error *err)
{
	struct fat_ondisk_entry entry = {.attr = FAT_ATTR_FOLDER};
	int ret = inode == ROOT ? 0 : read_entry(state, inode, &entry, err);

	if (!ret)
		fill_info(info, inode, &entry);
	return ret;
}

static int start_folder(struct fat_fs *fs, uint64_t inode, struct fat_folder *folder,
			struct vd_error *err)
{
	struct fat_ondisk_entry entry;
	uint32_t cluster;
	int ret;

	if (inode == ROOT) {
		fat_folder_init(folder, &fs->volume, 0);
		return 0;
	}
	ret = read_entry(fs, inode, &entry, err);
	if (ret)
		return ret;
	cluster = fat_entry_cluster(&fs->volume, &entry);
	if (!(entry.attr & FAT_ATTR_FOLDER))
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "it isn't a folder");
	if (!cluster)
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "a folder has no cluster of its own");
	fat_folder_init(folder, &fs->volume, cluster);
	return 0;
}

static int lookup_fat(void *state, uint64_t inode, const char *name, uint64_t *found,
		      struct vd_error *err)
{
	struct fat_folder folder;
	struct fat_item item;
	int ret = start_folder(state, inode, &folder, err);

	while (!ret) {
		ret = fat_folder_next(&folder, &item, err);
		if (!ret &&
		    (fat_is_same_name(item.name, name) || fat_is_same_name(item.alias, name))) {
			*found = item.at / sizeof(item.entry);
			return 0;
		}
		if (ret == VD_ENOENT)
			return vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET,
					    "there is no \"%s\" in its folder", name);
	}
	return ret;
}

static int list_fat(void *state, uint64_t inode, vd_guest_entry_fn fn, void *user,
		    struct vd_error *err)
{
	struct fat_folder folder;
	struct fat_item item;
	int ret = start_folder(state, inode, &folder, err);

	while (!ret) {
		ret = fat_folder_next(&folder, &item, err);
		if (ret == VD_ENOENT)
			return 0;
		if (!ret && item.name[0])
			ret = fn(user, item.name, item.at / sizeof(item.entry),
				 item.entry.attr & FAT_ATTR_FOLDER ? VD_FILE_FOLDER
								   : VD_FILE_REGULAR);
	}
	return ret;
}

static int read_fat(void *state, uint64_t inode, void *buf, size_t len, uint64_t offset,
		    size_t *n_read, struct vd_error *err)
{
	struct fat_fs *fs = state;
	struct fat_ondisk_entry entry;
	int ret = read_entry(fs, inode, &entry, err);

	*n_read = 0;
	if (ret)
		return ret;
	if (entry.attr & FAT_ATTR_FOLDER)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "it is a folder, not a file");
	if (fs->last != inode) {
		fat_chain_init(&fs->chain, fat_entry_cluster(&fs->volume, &entry), false,
			       vd_get32(entry.size));
		fs->last = inode;
	}
	return fat_chain_read(&fs->volume, &fs->chain, buf, len, offset, n_read, err);
}

/* A stretch of free clusters that may go on. */
struct free_run {
	const struct fat_geometry *geo;
	vd_free_fn fn;
	void *user;
	uint32_t first, n;
};

static int end_run(struct free_run *run)
{
	uint32_t n = run->n;

	run->n = 0;
	return n ? run->fn(run->user, fat_cluster_at(run->geo, run->first),
			   (uint64_t)n * run->geo->cluster_size)
		 : 0;
}

static uint32_t entry_at(const uint8_t *p, uint32_t i, unsigned int bits)
{
	if (bits == 12)
		return i & 1 ? vd_le16_at(p + i / 2 * 3 + 1) >> 4
			     : vd_le16_at(p + i / 2 * 3) & 0xfff;
	return bits == 16 ? vd_le16_at(p + 2 * (size_t)i)
			  : vd_le32_at(p + 4 * (size_t)i) & 0x0fffffff;
}

/* Entries [first, first + n) of the FAT in `own`; its copy in `other` must say the same. */
static int scan_chunk(struct free_run *run, const uint8_t *own, const uint8_t *other,
		      uint32_t first, uint32_t n, struct vd_error *err)
{
	unsigned int bits = run->geo->bits;

	for (uint32_t i = 0; i < n; i++) {
		bool is_free = !entry_at(own, i, bits);
		int ret;

		if (first + i < 2)
			continue;
		if (other && is_free != !entry_at(other, i, bits))
			return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
					    "the two FATs disagree about cluster %u", first + i);
		if (is_free && !run->n++)
			run->first = first + i;
		ret = is_free ? 0 : end_run(run);
		if (ret)
			return ret;
	}
	return 0;
}

static int free_fat(void *state, vd_free_fn fn, void *user, struct vd_error *err)
{
	struct fat_fs *fs = state;
	const struct fat_geometry *geo = &fs->volume.geo;
	struct free_run run = {geo, fn, user, 0, 0};
	uint32_t n_entries = geo->n_clusters + 2, n_chunk = (uint32_t)(CHUNK * 8 / geo->bits);
	VD_AUTO_FREE uint8_t *own = vd_malloc(2 * CHUNK);
	uint8_t *other;

	if (!own)
		return vd_no_memory(err, 2 * CHUNK, "a FAT");
	if (!vd_guest_view_has(&fs->volume.view, geo->heap,
			       (uint64_t)geo->n_clusters * geo->cluster_size))
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "the volume is larger than its partition");
	other = geo->other_fat ? own + CHUNK : NULL;
	for (uint32_t first = 0; first < n_entries; first += n_chunk) {
		uint32_t n = (uint32_t)vd_min64(n_chunk, n_entries - first);
		uint64_t at = (uint64_t)first * geo->bits / 8;
		size_t len =
		    (size_t)vd_min64(vd_div_up((uint64_t)n * geo->bits, 8), geo->fat_len - at);
		int ret = vd_guest_view_read(&fs->volume.view, own, len, geo->fat + at, "FAT", err);

		if (!ret && other)
			ret = vd_guest_view_read(&fs->volume.view, other, len, geo->other_fat + at,
						 "second FAT", err);
		if (!ret)
			ret = scan_chunk(&run, own, other, first, n, err);
		if (ret)
			return ret;
	}
	return end_run(&run);
}

static const char *const types[] = {"vfat", NULL};

const struct vd_guest_fs_ops vd_guest_fat_ops = {
    .types = types,
    .ignores_case = true,
    .open = open_fat,
    .close = close_fat,
    .lookup = lookup_fat,
    .info = info_fat,
    .read = read_fat,
    .list = list_fat,
    .free_space = free_fat,
};
