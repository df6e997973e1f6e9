/* SPDX-License-Identifier: MIT */
/*
 * Files of exFAT. A file is a set of entries: what it is, where it lies, its name in parts. Its
 * number is the place of the first one on the volume, in units of 32 bytes; a set may go on in the
 * folder's next cluster, which IN_ROW says how to find. That of the top folder is 1.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "guest/fat_volume.h"
#include "guest/guest_bytes.h"

#define ROOT       1u
#define IN_ROW     ((uint64_t)1 << 62)
#define ENTRY      32u
#define MAX_SET    19u
#define MAX_FOLDER (256 * VD_MIB)
#define CHUNK      16384u

struct exfat_fs {
	struct fat_volume volume;
	uint64_t last; /* the file that was read last, and how far */
	struct fat_chain chain;
};

struct exfat_item {
	uint64_t inode;
	bool is_folder, is_row;
	uint32_t cluster;
	uint64_t len, valid_len;
	int64_t mtime;
	char name[VD_GUEST_NAME_MAX];
};

static int open_exfat(void **state, const struct vd_guest_view *view, struct vd_filesystem *info,
		      uint64_t *root, struct vd_error *err)
{
	VD_AUTO_FREE struct exfat_fs *fs = vd_calloc(1, sizeof(*fs));
	struct exfat_ondisk_boot boot;
	int ret;

	(void)info;
	if (!fs)
		return vd_no_memory(err, sizeof(*fs), "an exFAT");
	fs->volume.view = *view;
	ret = vd_guest_view_read(view, &boot, sizeof(boot), 0, "boot sector", err);
	if (ret)
		return ret;
	if (!exfat_decode(&fs->volume.geo, &boot))
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "the boot sector isn't that of an exFAT");
	*root = ROOT;
	*state = VD_TAKE(fs);
	return 0;
}

static void close_exfat(void *state)
{
	vd_free(state);
}

static int64_t exfat_time(struct vd_le32 stamp, uint8_t zone)
{
	uint32_t t = vd_get32(stamp);
	int64_t quarters = zone & 0x7f;

	if (!(zone & 0x80))
		quarters = 0;
	else if (quarters >= 64)
		quarters -= 128;
	return fat_time((uint16_t)(t >> 16), (uint16_t)t) - quarters * 900;
}

static uint16_t set_checksum(const uint8_t *set, size_t len)
{
	uint16_t sum = 0;

	for (size_t i = 0; i < len; i++)
		if (i != 2 && i != 3)
			sum = (uint16_t)((uint16_t)(sum >> 1 | sum << 15) + set[i]);
	return sum;
}

/* Understand a set of n entries whose bounds were checked. */
static const char *decode_set(const struct fat_geometry *geo, const uint8_t *set, size_t n,
			      struct exfat_item *item)
{
	struct exfat_ondisk_stream stream;
	struct exfat_ondisk_file file;
	uint8_t units[2 * 255 + 2 * EXFAT_NAME_UNITS];
	size_t n_units;

	memcpy(&file, set, sizeof(file));
	memcpy(&stream, set + ENTRY, sizeof(stream));
	n_units = stream.n_name;
	if (set_checksum(set, n * ENTRY) != vd_get16(file.checksum))
		return "its checksum is wrong";
	if (stream.type != EXFAT_STREAM || n < 2 + vd_div_up(n_units, EXFAT_NAME_UNITS))
		return "a part is missing";
	for (size_t i = 0; i < n_units; i += EXFAT_NAME_UNITS) {
		const uint8_t *part = set + (2 + i / EXFAT_NAME_UNITS) * ENTRY;

		if (part[0] != EXFAT_NAME)
			return "a part of its name is missing";
		memcpy(units + 2 * i, part + 2, 2 * EXFAT_NAME_UNITS);
	}
	vd_guest_text_utf16(item->name, sizeof(item->name), units, 2 * n_units, false);
	if (!fat_is_good_name(item->name))
		return "its name can't be one";
	item->is_folder = vd_get16(file.attr) & FAT_ATTR_FOLDER;
	item->is_row = stream.flags & EXFAT_NO_CHAIN;
	item->cluster = vd_get32(stream.cluster);
	item->len = vd_get64(stream.len);
	item->valid_len = vd_get64(stream.valid_len);
	item->mtime = exfat_time(file.mtime, file.mtime_zone);
	if (item->len > (uint64_t)geo->n_clusters * geo->cluster_size ||
	    item->valid_len > item->len)
		return "it is longer than the volume";
	if (item->is_folder && item->len > MAX_FOLDER)
		return "it is longer than a folder may be";
	if (item->len && !fat_is_cluster(geo, item->cluster))
		return "it begins with a cluster that the volume doesn't have";
	return NULL;
}

static int set_broken(struct vd_error *err, uint64_t at, const char *why)
{
	return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
			    "the file whose entry lies at %llu of the exFAT can't be read: %s",
			    (unsigned long long)at, why);
}

/* The set that begins at `offset` of a folder's chain, whose first entry is in `set` already. */
static int read_set(struct exfat_fs *fs, struct fat_chain *chain, uint64_t offset,
		    struct exfat_item *item, struct vd_error *err)
{
	uint32_t cluster_size = fs->volume.geo.cluster_size;
	uint8_t set[MAX_SET * ENTRY];
	const char *why;
	uint64_t at;
	size_t n, n_read;
	int ret = fat_chain_read(&fs->volume, chain, set, ENTRY, offset, &n_read, err);

	if (ret)
		return ret;
	at = fat_cluster_at(&fs->volume.geo, chain->cluster) + offset % cluster_size;
	n = 1u + set[1];
	if (n_read < ENTRY || set[0] != EXFAT_FILE || n < 3 || n > MAX_SET)
		return set_broken(err, at, "its number of parts is wrong");
	ret = fat_chain_read(&fs->volume, chain, set + ENTRY, (n - 1) * ENTRY, offset + ENTRY,
			     &n_read, err);
	if (ret)
		return ret;
	if (n_read < (n - 1) * ENTRY)
		return set_broken(err, at, "the folder ends within it");
	why = decode_set(&fs->volume.geo, set, n, item);
	if (why)
		return set_broken(err, at, why);
	item->inode = at / ENTRY | (chain->is_row ? IN_ROW : 0);
	return 0;
}

static int read_item(struct exfat_fs *fs, uint64_t inode, struct exfat_item *item,
		     struct vd_error *err)
{
	const struct fat_geometry *geo = &fs->volume.geo;
	uint64_t at = (inode & ~IN_ROW) * ENTRY;
	struct fat_chain chain;

	if ((inode & ~IN_ROW) >= IN_ROW / ENTRY || at < geo->heap ||
	    (at - geo->heap) / geo->cluster_size >= geo->n_clusters)
		return vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET,
				    "number %llu isn't that of a file", (unsigned long long)inode);
	fat_chain_init(&chain, 2 + (uint32_t)((at - geo->heap) / geo->cluster_size), inode & IN_ROW,
		       UINT64_MAX);
	return read_set(fs, &chain, (at - geo->heap) % geo->cluster_size, item, err);
}

/* A folder being read. */
struct exfat_folder {
	struct fat_chain chain;
	uint64_t at;
};

static int start_folder(struct exfat_fs *fs, uint64_t inode, struct exfat_folder *folder,
			struct vd_error *err)
{
	struct exfat_item item;
	int ret;

	folder->at = 0;
	if (inode == ROOT) {
		fat_chain_init(&folder->chain, fs->volume.geo.root_cluster, false, UINT64_MAX);
		return 0;
	}
	ret = read_item(fs, inode, &item, err);
	if (ret)
		return ret;
	if (!item.is_folder)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "it isn't a folder");
	fat_chain_init(&folder->chain, item.cluster, item.is_row, item.len);
	return 0;
}

/* The next entry of any type; VD_ENOENT, and no text, behind the last. */
static int next_entry(struct exfat_fs *fs, struct exfat_folder *folder, uint8_t entry[ENTRY],
		      struct vd_error *err)
{
	size_t n_read;
	int ret;

	if (folder->at >= MAX_FOLDER)
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "the folder that begins with cluster %u is longer than 256 MiB",
				    folder->chain.first);
	ret = fat_chain_read(&fs->volume, &folder->chain, entry, ENTRY, folder->at, &n_read, err);
	if (ret)
		return ret;
	if (n_read < ENTRY || !entry[0])
		return VD_ENOENT;
	folder->at += ENTRY;
	return 0;
}

static int next_item(struct exfat_fs *fs, struct exfat_folder *folder, struct exfat_item *item,
		     struct vd_error *err)
{
	uint8_t entry[ENTRY];
	int ret;

	do
		ret = next_entry(fs, folder, entry, err);
	while (!ret && entry[0] != EXFAT_FILE);
	if (ret)
		return ret;
	folder->at -= ENTRY;
	ret = read_set(fs, &folder->chain, folder->at, item, err);
	folder->at += (1u + entry[1]) * (uint64_t)ENTRY;
	return ret;
}

static int lookup_exfat(void *state, uint64_t inode, const char *name, uint64_t *found,
			struct vd_error *err)
{
	struct exfat_folder folder;
	struct exfat_item item;
	int ret = start_folder(state, inode, &folder, err);

	while (!ret) {
		ret = next_item(state, &folder, &item, err);
		if (!ret && fat_is_same_name(item.name, name)) {
			*found = item.inode;
			return 0;
		}
		if (ret == VD_ENOENT)
			return vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET,
					    "there is no \"%s\" in its folder", name);
	}
	return ret;
}

static int list_exfat(void *state, uint64_t inode, vd_guest_entry_fn fn, void *user,
		      struct vd_error *err)
{
	struct exfat_folder folder;
	struct exfat_item item;
	int ret = start_folder(state, inode, &folder, err);

	while (!ret) {
		ret = next_item(state, &folder, &item, err);
		if (ret == VD_ENOENT)
			return 0;
		if (!ret)
			ret = fn(user, item.name, item.inode,
				 item.is_folder ? VD_FILE_FOLDER : VD_FILE_REGULAR);
	}
	return ret;
}

static int info_exfat(void *state, uint64_t inode, struct vd_file_info *info, struct vd_error *err)
{
	struct exfat_item item = {.is_folder = true};
	int ret = inode == ROOT ? 0 : read_item(state, inode, &item, err);

	if (ret)
		return ret;
	memset(info, 0, sizeof(*info));
	info->inode = inode;
	info->type = item.is_folder ? VD_FILE_FOLDER : VD_FILE_REGULAR;
	info->size = item.is_folder ? 0 : item.len;
	info->mtime = item.mtime;
	return 0;
}

static int read_exfat(void *state, uint64_t inode, void *buf, size_t len, uint64_t offset,
		      size_t *n_read, struct vd_error *err)
{
	struct exfat_fs *fs = state;
	struct exfat_item item;
	size_t n_valid = 0;
	int ret = read_item(fs, inode, &item, err);

	*n_read = 0;
	if (ret)
		return ret;
	if (item.is_folder)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "it is a folder, not a file");
	if (offset >= item.len)
		return 0;
	len = (size_t)vd_min64(len, item.len - offset);
	if (fs->last != inode)
		fat_chain_init(&fs->chain, item.cluster, item.is_row, item.valid_len);
	fs->last = inode;
	ret = fat_chain_read(&fs->volume, &fs->chain, buf, len, offset, &n_valid, err);
	if (ret)
		return ret;
	memset((uint8_t *)buf + n_valid, 0, len - n_valid);
	*n_read = len;
	return 0;
}

/* The allocation bitmap's place is told in the top folder. */
static int find_bitmap(struct exfat_fs *fs, struct fat_chain *chain, struct vd_error *err)
{
	uint64_t least = vd_div_up(fs->volume.geo.n_clusters, 8);
	struct exfat_folder folder;
	uint8_t entry[ENTRY];
	int ret = start_folder(fs, ROOT, &folder, err);

	while (!ret) {
		struct exfat_ondisk_bitmap bitmap;

		ret = next_entry(fs, &folder, entry, err);
		if (ret || entry[0] != EXFAT_BITMAP)
			continue;
		memcpy(&bitmap, entry, sizeof(bitmap));
		if (bitmap.flags & 1) /* that of a second FAT */
			continue;
		if (vd_get64(bitmap.len) < least)
			return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
					    "the allocation bitmap has %llu bytes, %u clusters "
					    "need %llu",
					    (unsigned long long)vd_get64(bitmap.len),
					    fs->volume.geo.n_clusters, (unsigned long long)least);
		fat_chain_init(chain, vd_get32(bitmap.cluster), false, least);
		return 0;
	}
	if (ret == VD_ENOENT)
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "the exFAT has no allocation bitmap");
	return ret;
}

static int free_exfat(void *state, vd_free_fn fn, void *user, struct vd_error *err)
{
	struct exfat_fs *fs = state;
	const struct fat_geometry *geo = &fs->volume.geo;
	uint32_t n = geo->n_clusters, n_free = 0;
	uint8_t bits[CHUNK];
	struct fat_chain chain;
	int ret = find_bitmap(fs, &chain, err);

	if (!ret &&
	    !vd_guest_view_has(&fs->volume.view, geo->heap, (uint64_t)n * geo->cluster_size))
		ret = vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				   "the volume is larger than its partition");
	for (uint32_t i = 0; i < n && !ret; i++) {
		size_t n_read;

		if (i % (CHUNK * 8) == 0) {
			ret = fat_chain_read(&fs->volume, &chain, bits, CHUNK, i / 8, &n_read, err);
			if (ret)
				break;
		}
		if (!(bits[i / 8 % CHUNK] >> i % 8 & 1)) {
			n_free++;
		} else if (n_free) {
			ret = fn(user, fat_cluster_at(geo, 2 + i - n_free),
				 (uint64_t)n_free * geo->cluster_size);
			n_free = 0;
		}
	}
	if (!ret && n_free)
		ret = fn(user, fat_cluster_at(geo, 2 + n - n_free),
			 (uint64_t)n_free * geo->cluster_size);
	return ret;
}

static const char *const types[] = {"exfat", NULL};

const struct vd_guest_fs_ops vd_guest_exfat_ops = {
    .types = types,
    .ignores_case = true,
    .open = open_exfat,
    .close = close_exfat,
    .lookup = lookup_exfat,
    .info = info_exfat,
    .read = read_exfat,
    .list = list_exfat,
    .free_space = free_exfat,
};
