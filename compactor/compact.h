/* SPDX-License-Identifier: MIT */
/* A compaction under way, shared by the parts of compactor/. */
#ifndef COMPACTOR_COMPACT_H
#define COMPACTOR_COMPACT_H

#include <vdisk/compact.h>
#include <vdisk/sys/space.h>

#include "plan.h"

struct compaction {
	struct vd_disk *disk;
	struct vd_compact_opts opts;
	struct vd_compact_result *result; /* our own, whole */
	struct vd_space_info space;
	uint64_t started_ns, busy_ns; /* of it, spent on steps */
	uint64_t step_ns;             /* when the present step began */
	struct vd_compact_progress progress;
	/* What is in the file, as listed last. */
	uint8_t *is_free; /* dry run: a bit per block that the guest calls free; else NULL */
	struct vd_use_range *uses;
	size_t n_uses, uses_room;
};

uint64_t compact_now_ns(void);
/** Between two steps: tell, pause as the options want. VD_ECANCELED, VD_ETIMEDOUT or 0. */
int compact_pause(struct compaction *c, struct vd_error *err);
/** List the uses of the file anew. */
int compact_list(struct compaction *c, struct vd_error *err);

/* reclaim.c: let go of what isn't needed. */
int compact_reclaim(struct compaction *c, struct vd_error *err);

/* free_space.c: what the guest's file systems call free. */
int compact_free_space(struct compaction *c, struct vd_error *err);

/* pack.c: plan, move, cut. */
int compact_pack(struct compaction *c, struct vd_error *err);

/* extents.c: bytes of the file that a snapshot shares; 0 if the host doesn't tell. */
uint64_t compact_shared_extents(struct vd_disk *disk);

#endif
