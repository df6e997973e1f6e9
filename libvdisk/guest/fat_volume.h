/* SPDX-License-Identifier: MIT */
/*
 * What FAT12, FAT16, FAT32 and exFAT share: a heap of clusters and a table that chains them. Chains
 * come from the disk and may lead anywhere, also in a circle; a struct fat_chain ends all the same.
 */
#ifndef VD_FAT_VOLUME_H
#define VD_FAT_VOLUME_H

#include "guest/fat_ondisk.h"
#include "guest/guest_fs.h"

/** Where the parts lie, in bytes from the start of the view. */
struct fat_geometry {
	unsigned int bits; /* of a FAT entry: 12, 16, 32; exFAT has 32 too */
	bool is_exfat;
	uint32_t sector_size, cluster_size;
	uint64_t size;           /* of the whole */
	uint64_t fat, fat_len;   /* the one that counts */
	uint64_t other_fat;      /* its copy, 0: none is kept */
	uint64_t root, root_len; /* FAT12 and FAT16: the top folder */
	uint32_t root_cluster;   /* the others: its first cluster */
	uint64_t heap;           /* cluster 2 */
	uint32_t n_clusters;
	uint64_t info; /* FAT32's counts; 0: none */
};

/** Understand a boot sector of 512 bytes. False: it isn't one, or contradicts itself. */
bool fat_decode(struct fat_geometry *geo, const struct fat_ondisk_boot *boot);
bool exfat_decode(struct fat_geometry *geo, const struct exfat_ondisk_boot *boot);

#define FAT_WINDOW 4096u

struct fat_volume {
	struct vd_guest_view view;
	struct fat_geometry geo;
	uint64_t window_at; /* of the FAT: the piece that is held */
	size_t window_len;
	uint8_t window[FAT_WINDOW];
};

/** A cluster that holds something: 2 .. n_clusters + 1. */
bool fat_is_cluster(const struct fat_geometry *geo, uint32_t cluster);
uint64_t fat_cluster_at(const struct fat_geometry *geo, uint32_t cluster);
/** The FAT's entry of a cluster (or of 0 and 1), as it stands there. */
int fat_entry(struct fat_volume *volume, uint32_t cluster, uint32_t *value, struct vd_error *err);
/** What says that a chain ends here, or a cluster is broken, in an entry of this FAT. */
bool fat_is_end(const struct fat_geometry *geo, uint32_t value);
/** The FAT's own mark that it was left dirty or had errors. */
int fat_read_dirty(struct fat_volume *volume, bool *is_dirty, struct vd_error *err);

/** A place in the clusters of one file. */
struct fat_chain {
	uint32_t first;
	bool is_row;      /* exFAT: in a row, without a chain */
	uint64_t length;  /* bytes that it may be asked for; UINT64_MAX: to the end of the chain */
	uint32_t cluster; /* now */
	uint32_t index;   /* of it in the chain */
	uint32_t mark;    /* one that was passed, to find circles by */
};
void fat_chain_init(struct fat_chain *chain, uint32_t first, bool is_row, uint64_t length);
/** Go to the cluster that holds `offset`. VD_ENOENT, and no text: the chain ends before.
 *  VD_ECORRUPT: it leads out of the volume or back into itself. */
int fat_chain_seek(struct fat_volume *volume, struct fat_chain *chain, uint64_t offset,
		   struct vd_error *err);
/** Read through a chain; *n_read is less only at its end. */
int fat_chain_read(struct fat_volume *volume, struct fat_chain *chain, void *buf, size_t len,
		   uint64_t offset, size_t *n_read, struct vd_error *err);

/** DOS date and time as if it were UTC; 0 where there is none. */
int64_t fat_time(uint16_t date, uint16_t time);
/** One name equals another but for case. Both valid UTF-8. */
bool fat_is_same_name(const char *a, const char *b);
/** A name that a listing may show: not empty, no "/", not "." or "..". */
bool fat_is_good_name(const char *name);

#endif
