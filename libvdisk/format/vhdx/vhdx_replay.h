/* SPDX-License-Identifier: MIT */
/*
 * The inside of a replay, shared by those who make it (vhdx_replay.c finds the entries,
 * vhdx_replay_index.c orders what they write) and those who use it (vhdx_view.c).
 */
#ifndef VD_VHDX_REPLAY_H
#define VD_VHDX_REPLAY_H

#include "format/vhdx/vhdx_layout.h"

/* No VHDX is longer: 64 TiB of blocks, their bitmaps, all regions and room to spare. Bounds what
 * a hostile log can make of a file. */
#define VHDX_MAX_FILE (128 * VD_TIB)
/* Zero descriptors in an active sequence: they take little of the log and more of our memory. */
#define VHDX_MAX_ZEROS(n_sectors) (65536u + (n_sectors))

/** A stretch of the file that the replay gives new content. */
struct vhdx_patch {
	uint64_t off, end; /* in the file */
	uint32_t order;    /* the higher one of two that overlap counts */
	bool is_data;      /* one page from the log; else zeros */
	uint32_t sector;   /* of the log, where the page is */
	uint8_t leading[8], trailing[4];
};

/** A valid entry of the log. */
struct vhdx_log_entry {
	uint64_t seq, flushed_off, last_off;
	uint32_t sector, n_sectors; /* where it begins, how long it is: may wrap */
	uint32_t tail;              /* sector */
	uint32_t n_descs;
	uint32_t next; /* index of the entry that continues it, or VHDX_NO_ENTRY */
	uint32_t head; /* index of the last one that continues it */
};
#define VHDX_NO_ENTRY UINT32_MAX

struct vhdx_replay {
	struct vd_io *io;
	uint64_t log_off;
	uint32_t n_sectors; /* of the log */
	struct vhdx_log_entry first, head;
	uint32_t n_active;          /* entries in the active sequence from Tail to head */
	struct vhdx_patch *patches; /* by offset, disjoint */
	size_t n_patches;
	uint64_t len; /* of the file after the replay */
};

/* vhdx_replay_index.c */
/** Read the descriptors of one entry of the active sequence and add what they write. */
struct vhdx_patches {
	struct vhdx_patch *all;
	size_t n, room;
	uint32_t n_zeros;
};
int vhdx_patches_add(struct vhdx_patches *patches, const struct vhdx_replay *replay,
		     const struct vhdx_log_entry *entry, struct vd_error *err);
/** Turn patches that may overlap into disjoint ones in replay->patches. */
int vhdx_patches_settle(struct vhdx_patches *patches, struct vhdx_replay *replay,
			struct vd_error *err);

/** The first patch that ends behind `off`, or NULL. */
const struct vhdx_patch *vhdx_patch_find(const struct vhdx_replay *replay, uint64_t off);
/** The page that a data patch writes. */
int vhdx_patch_load(const struct vhdx_replay *replay, const struct vhdx_patch *patch,
		    uint8_t page[VHDX_PAGE], struct vd_error *err);
/** Read `n` sectors of the log from `sector` on, round the end of the ring. */
int vhdx_log_read(const struct vhdx_replay *replay, uint32_t sector, uint32_t n, uint8_t *bytes,
		  struct vd_error *err);

/**
 * All valid entries of the log with the GUID of `header`, in the order in which they begin; one
 * pass over the log. For the replay and for vhdx_check. vd_free takes *entries back.
 */
int vhdx_log_scan(struct vd_io *io, const struct vhdx_header *header,
		  struct vhdx_log_entry **entries, uint32_t *n, struct vd_error *err);
/** Index of the first entry and of the head of the active sequence. False: there is none. */
bool vhdx_log_choose(struct vhdx_log_entry *entries, uint32_t n, uint32_t n_sectors,
		     uint32_t *first, uint32_t *head);

#endif
