/* SPDX-License-Identifier: MIT */
/*
 * Blocks in the order of their numbers, from the start of the file on, around what is fixed (bitmap
 * blocks count as that). Place by place: what lies on it goes to the first room behind, then the
 * block that belongs there comes. A block moves twice at most.
 */
#include <stdlib.h>
#include <string.h>

#include "plan_order.h"

#define NOBODY UINT32_MAX
#define FIXED  (UINT32_MAX - 1)

struct ground {
	uint32_t *owner; /* by granule: index of the item, NOBODY or FIXED */
	uint64_t n, room;
	struct plan_item *items; /* sorted by number */
	size_t n_items;
	uint64_t b;
};

static int by_number(const void *a, const void *b)
{
	const struct plan_item *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind == PLAN_BLOCK ? -1 : y->kind == PLAN_BLOCK ? 1 : 0;
	return x->number < y->number ? -1 : x->number > y->number;
}

static int reach(struct ground *g, uint64_t end)
{
	uint64_t room = end + end / 4 + 64;
	uint32_t *grown;

	if (end > g->room) {
		grown = realloc(g->owner, room * sizeof(*grown));
		if (!grown)
			return -1;
		g->owner = grown;
		g->room = room;
	}
	for (; g->n < end; g->n++)
		g->owner[g->n] = NOBODY;
	return 0;
}

static void put(struct ground *g, uint64_t at, uint64_t n, uint32_t who)
{
	for (uint64_t i = at; i < at + n; i++)
		g->owner[i] = who;
}

/* The first room of n granules at or behind `from`. Granules behind the end are free. */
static uint64_t first_free(const struct ground *g, uint64_t from, uint64_t n)
{
	uint64_t start = from;

	for (uint64_t i = from; i < g->n && i - start < n; i++)
		if (g->owner[i] != NOBODY)
			start = i + 1;
	return start;
}

static int move(struct ground *g, struct plan *plan, uint32_t who, uint64_t to)
{
	struct plan_item *item = &g->items[who];

	if (reach(g, to + item->n) || plan_add_move(plan, item->kind, item->number, item->at, to))
		return -1;
	put(g, item->at, item->n, NOBODY);
	put(g, to, item->n, who);
	item->at = to;
	return 0;
}

/* Where the next block belongs: the first b granules without a fixed one. */
static uint64_t next_place(const struct ground *g, uint64_t from)
{
	uint64_t start = from;

	for (uint64_t i = from; i < g->n && i - start < g->b; i++)
		if (g->owner[i] == FIXED)
			start = i + 1;
	return start;
}

static int settle(struct ground *g, struct plan *plan, uint32_t who, uint64_t to)
{
	int rc = 0;

	for (uint64_t i = to; i < to + g->b && i < g->n && !rc; i++) {
		uint32_t other = g->owner[i];

		/* Not to where it would lie on the place again. */
		if (other != NOBODY && other != who)
			rc = move(g, plan, other, first_free(g, to + g->b, g->b));
	}
	/* Lying on its own place, though not rightly: aside first. */
	if (!rc && g->items[who].at != to && g->items[who].at < to + g->b &&
	    to < g->items[who].at + g->b)
		rc = move(g, plan, who, first_free(g, to + g->b, g->b));
	if (!rc && g->items[who].at != to)
		rc = move(g, plan, who, to);
	return rc;
}

int plan_defrag(struct plan *plan, struct plan_item *items, size_t n, uint64_t block_n)
{
	struct ground g = {.items = items, .n_items = n, .b = block_n};
	uint64_t at = 0;
	int rc = n < FIXED ? 0 : -1;

	memset(plan, 0, sizeof(*plan));
	qsort(items, n, sizeof(*items), by_number);
	for (size_t i = 0; i < n && !rc; i++) {
		uint64_t end = items[i].at + items[i].n;

		rc = reach(&g, end);
		for (uint64_t k = items[i].at; k < end && !rc; k++)
			rc = g.owner[k] == NOBODY ? 0 : -2;
		if (!rc)
			put(&g, items[i].at, items[i].n,
			    items[i].kind == PLAN_BLOCK ? (uint32_t)i : FIXED);
		plan->end_now = end > plan->end_now ? end : plan->end_now;
		plan->n_blocks += items[i].kind == PLAN_BLOCK;
		plan->n_bitmaps += items[i].kind == PLAN_BITMAP;
	}
	for (size_t i = 0; i < plan->n_blocks && !rc; i++) {
		at = next_place(&g, at);
		rc = settle(&g, plan, (uint32_t)i, at);
		at += block_n;
	}
	for (uint64_t i = 0; i < g.n && !rc; i++)
		if (g.owner[i] != NOBODY)
			plan->end_then = i + 1;
	plan->end_least = plan->end_then;
	free(g.owner);
	return rc;
}
