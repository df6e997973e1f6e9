/* SPDX-License-Identifier: MIT */
/* Entries of FAT's folders: short names, long names, and one folder's entries in their order. */
#ifndef VD_FAT_NAMES_H
#define VD_FAT_NAMES_H

#include "guest/fat_volume.h"

/** 65536 entries: what the format allows a folder. */
#define FAT_MAX_FOLDER (65536u * 32u)

/** One file or folder. */
struct fat_item {
	uint64_t at; /**< of its entry, bytes from the start of the view */
	struct fat_ondisk_entry entry;
	char name[VD_GUEST_NAME_MAX];
	char alias[64]; /**< the short name, as it stands there */
};

/** A folder being read. */
struct fat_folder {
	struct fat_volume *volume;
	bool is_fixed; /**< the top folder of FAT12 and FAT16, which has no clusters */
	struct fat_chain chain;
	uint64_t at;       /**< of the next entry */
	uint64_t piece_at; /**< where on the view the piece lies */
	uint8_t piece[512];
	uint8_t units[20 * 2 * FAT_LONG_UNITS]; /**< of a long name that was begun */
	unsigned int n_parts, n_missing;
	uint8_t checksum;
};

/** The folder that begins with a cluster; 0: the top one. */
void fat_folder_init(struct fat_folder *folder, struct fat_volume *volume, uint32_t cluster);
/** The next file or folder; VD_ENOENT, and no text, behind the last. */
int fat_folder_next(struct fat_folder *folder, struct fat_item *item, struct vd_error *err);
/** It stands for a file or a folder, and not "." or "..". */
bool fat_entry_is_item(const struct fat_ondisk_entry *entry);
uint32_t fat_entry_cluster(const struct fat_volume *volume, const struct fat_ondisk_entry *entry);

#endif
