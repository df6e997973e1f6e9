/* SPDX-License-Identifier: MIT */
/* A compaction under way, shared by the parts of compactor/. */
#ifndef COMPACTOR_COMPACT_H
#define COMPACTOR_COMPACT_H

#include <vdisk/compact.h>
#include <vdisk/sys/space.h>

#include "plan.h"

#define PUNCH_UNIT 4096u /* zeros inside blocks are punched in units of so many bytes */

struct compaction {
	struct vd_disk *disk;
	struct vd_compact_opts opts;
	struct vd_compact_result *result; /* our own, whole */
	struct vd_space_info space;
	uint64_t started_ns, busy_ns; /* of it, spent on steps */
	uint64_t step_ns;             /* when the present step began */
	struct vd_compact_progress progress;
	/* What is in the file, as listed last. */
	struct dry_free *dry_free; /* dry run with FREE_SPACE or LAYOUT, else NULL */
	int free_failed;           /* not the file system's fault */
	struct vd_use_range *uses;
	size_t n_uses, uses_room;
};

uint64_t compact_now_ns(void);
/** Between two steps: tell, pause as the options want. VD_ECANCELED, VD_ETIMEDOUT or 0. */
int compact_pause(struct compaction *c, struct vd_error *err);
/** Commit, empty the log, let what was freed become free, and the host have it. */
int compact_settle(struct compaction *c, struct vd_error *err);
/** List the uses of the file anew. */
int compact_list(struct compaction *c, struct vd_error *err);

/* reclaim.c: let go of what isn't needed. */
int compact_reclaim(struct compaction *c, struct vd_error *err);

/* free_space.c: what the guest's file systems call free. */
int compact_free_space(struct compaction *c, struct vd_error *err);
/** VD_EDENIED: a child is known that would see it. */
int compact_refuse_children(struct compaction *c, struct vd_error *err);

/* free_layout.c: what isn't on a list. */
int compact_free_layout(struct compaction *c, struct vd_error *err);

/* dry_free.c: which blocks would go, without discarding anything. */
int dry_free_begin(struct compaction *c, struct vd_error *err);
/** [start, end) of the disk is free. Stretches come in order. */
int dry_free_mark(struct compaction *c, uint64_t start, uint64_t end, struct vd_error *err);
int dry_free_end(struct compaction *c, struct vd_error *err);
/** The block is free as a whole: a discard would drop it. */
bool dry_free_has(const struct compaction *c, uint64_t block);
/** What discards leave of the block is nothing. */
bool dry_free_empties(const struct compaction *c, uint64_t block);
void dry_free_drop(struct compaction *c);

/* dry.c: what would go. */
struct dry_block {
	bool is_hole, is_zero; /* but for what is beyond the disk */
	uint64_t n_punched;    /* bytes of zeros inside */
};
int dry_look(struct compaction *c, const struct vd_use_range *use, struct dry_block *block,
	     struct vd_error *err);

/* zero_scan.c: several blocks looked at on several processors. */
struct scan_result {
	struct dry_block block;
	int code; /* 0, or why it couldn't be looked at */
	struct vd_error err;
};
#define SCAN_BATCH 64u
/** How many blocks to look at between two pauses; at most SCAN_BATCH. */
size_t scan_batch_size(const struct compaction *c);
/** Look at the blocks among `n` uses. */
void scan_look(struct compaction *c, const struct vd_use_range *uses, size_t n,
	       struct scan_result *results);

/* pack.c: plan, move, cut. */
int compact_pack(struct compaction *c, struct vd_error *err);

/* extents.c: bytes of the file that a snapshot shares; 0 if the host doesn't tell. */
uint64_t compact_shared_extents(struct vd_disk *disk);

#endif
