/* SPDX-License-Identifier: MIT */
/* The most things that can stay where they are in a stretch of the file (a part of plan.c). */
#ifndef COMPACT_PLAN_KEEP_H
#define COMPACT_PLAN_KEEP_H

#include "plan.h"

struct keep_task {
	uint64_t start, end; /* granules; all items lie within, in order */
	uint64_t b;          /* granules of a payload block */
	uint64_t budget;     /* end - start - b * blocks that the stretch is to hold in the end */
	const struct plan_item *items;
	size_t n;
};

/** keeps[i]: item i stays. Returns blocks << 32 | bitmaps that stay; negative: no memory, or even
 *  keeping nothing is over the budget. */
int64_t keep_most(const struct keep_task *task, bool *keeps);

#endif
