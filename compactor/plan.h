/* SPDX-License-Identifier: MIT */
/*
 * Which moves make a file shorter: a pure function of what lies where. Knows no image and no I/O.
 *
 * Everything is counted in granules (1 MiB in a VHDX). Payload blocks are all of one length, bitmap
 * blocks take one granule; both may go anywhere. Whatever else is in the file is fixed.
 */
#ifndef COMPACT_PLAN_H
#define COMPACT_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum plan_kind { PLAN_FIXED = 0, PLAN_BLOCK = 1, PLAN_BITMAP = 2 };

struct plan_item {
	uint64_t at, n; /* granules */
	enum plan_kind kind;
	uint64_t number; /* of the block or bitmap */
};

struct plan_move {
	enum plan_kind kind;
	uint64_t number, from, to;
};

/** Moves to be made one after the other: each finds its target free. */
struct plan {
	uint64_t end_now;   /* where the last thing ends */
	uint64_t end_then;  /* the same after all moves */
	uint64_t end_least; /* the shortest that any moves could reach */
	uint64_t n_blocks, n_bitmaps;
	size_t n_moves, n_room;
	bool is_known; /* set by the caller */
	struct plan_move *moves;
};

/**
 * The fewest moves that let the file end at plan->end_then: the least end there is, unless it takes
 * more moves than it gains blocks over leaving alone all that lies below the cut; then that.
 * `items` are sorted in place; block_n: granules of a payload block. 0, or -1 (no memory), or -2:
 * items overlap. plan_free in any case.
 */
int plan_pack(struct plan *plan, struct plan_item *items, size_t n, uint64_t block_n);
/** Blocks in the order of their numbers, without holes. Moves as many as that takes. */
int plan_defrag(struct plan *plan, struct plan_item *items, size_t n, uint64_t block_n);
void plan_free(struct plan *plan);

#endif
