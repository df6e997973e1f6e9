/* SPDX-License-Identifier: MIT */
/*
 * The plan of a compaction. What is fixed cuts the file into stretches. The least end of the file
 * is a sum: how many blocks each stretch can hold. What stays is chosen in plan_keep.c; the rest
 * goes to the room between what stays, in an order in which each move finds its target free
 * (plan_order.c).
 */
#include <stdlib.h>
#include <string.h>

#include "plan_keep.h"
#include "plan_order.h"

/* A stretch without fixed things: items [first, first + n) lie in it. */
struct stretch {
	uint64_t start, end; /* the last one has no end: UINT64_MAX */
	size_t first, n;
};

struct view {
	struct plan_item *items; /* sorted by place */
	size_t n;
	uint64_t b, n_blocks, n_bitmaps, end;
	struct stretch *stretches;
	size_t n_stretches;
};

static int by_place(const void *a, const void *b)
{
	const struct plan_item *x = a, *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

static void add_stretch(struct view *view, uint64_t start, uint64_t end, size_t first, size_t n)
{
	if (end > start)
		view->stretches[view->n_stretches++] = (struct stretch){start, end, first, n};
}

/* 0, -1 (no memory) or -2 (things overlap). */
static int make_view(struct view *view, struct plan_item *items, size_t n, uint64_t b)
{
	uint64_t start = 0;
	size_t first = 0;

	*view = (struct view){.items = items, .n = n, .b = b};
	qsort(items, n, sizeof(*items), by_place);
	view->stretches = calloc(n + 1, sizeof(*view->stretches));
	if (!view->stretches)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (items[i].at < view->end || (items[i].kind == PLAN_BLOCK && items[i].n != b))
			return -2;
		view->end = items[i].at + items[i].n;
		view->n_blocks += items[i].kind == PLAN_BLOCK;
		view->n_bitmaps += items[i].kind == PLAN_BITMAP;
		if (items[i].kind != PLAN_FIXED)
			continue;
		add_stretch(view, start, items[i].at, first, i - first);
		start = items[i].at + items[i].n;
		first = i + 1;
	}
	add_stretch(view, start, UINT64_MAX, first, n - first);
	return 0;
}

static uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Where the file ends at least: blocks and bitmaps poured into the stretches. */
static uint64_t least_end(const struct view *view)
{
	const struct stretch *last = &view->stretches[view->n_stretches - 1];
	uint64_t blocks = view->n_blocks, room = 0, end = last->start, n, taken = 0;

	for (size_t i = 0; i + 1 < view->n_stretches; i++) {
		n = min64((view->stretches[i].end - view->stretches[i].start) / view->b, blocks);
		room += view->stretches[i].end - view->stretches[i].start;
		taken += n * view->b;
		blocks -= n;
	}
	/* What blocks leave over takes bitmaps. */
	room -= taken;
	end += blocks * view->b;
	return end + (view->n_bitmaps > room ? view->n_bitmaps - room : 0);
}

/* One way to do it: what stays, when the file is to end at `end`. */
struct option {
	uint64_t end;
	bool *keeps; /* by item */
	uint64_t n_moved, n_bitmaps_moved;
};

/* How many blocks each stretch holds below `end`: all that fit, from the first on. */
static int keep_by_budget(const struct view *view, struct option *option)
{
	uint64_t left = view->n_blocks, n_kept = 0, n_bitmaps_kept = 0;

	for (size_t i = 0; i < view->n_stretches; i++) {
		const struct stretch *s = &view->stretches[i];
		uint64_t end = min64(s->end, option->end), fits, m;
		struct keep_task task = {s->start, end, view->b, 0, view->items + s->first, s->n};
		int64_t value;

		if (end <= s->start)
			continue;
		while (task.n && task.items[task.n - 1].at + task.items[task.n - 1].n > end)
			task.n--;
		fits = (end - s->start) / view->b;
		m = min64(fits, left);
		left -= m;
		task.budget = end - s->start - m * view->b;
		if (!task.n)
			continue;
		value = keep_most(&task, option->keeps + s->first);
		if (value < 0)
			return -1;
		n_kept += (uint64_t)value >> 32;
		n_bitmaps_kept += (uint64_t)value & UINT32_MAX;
	}
	option->n_moved = view->n_blocks - n_kept;
	option->n_bitmaps_moved = view->n_bitmaps - n_bitmaps_kept;
	return 0;
}

/* Room below `end` when all that ends below it stays, against what doesn't. */
static bool fits_as_it_is(const struct view *view, uint64_t end)
{
	uint64_t at = 0, slots = 0, room = 0, blocks = 0, bitmaps = 0;

	for (size_t i = 0; i < view->n; i++) {
		const struct plan_item *item = &view->items[i];
		uint64_t gap;

		if (item->at + item->n > end && item->kind != PLAN_FIXED) {
			blocks += item->kind == PLAN_BLOCK;
			bitmaps += item->kind == PLAN_BITMAP;
			continue;
		}
		gap = item->at - at;
		slots += gap / view->b;
		room += gap;
		at = item->at + item->n;
	}
	if (at > end)
		return false;
	slots += (end - at) / view->b;
	room += end - at;
	return slots >= blocks && room - blocks * view->b >= bitmaps;
}

/* The least end that is reached by moving only what lies beyond it. */
static uint64_t end_as_it_is(const struct view *view)
{
	uint64_t low = least_end(view), high = view->end;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		if (fits_as_it_is(view, middle))
			high = middle;
		else
			low = middle + 1;
	}
	return high;
}

static void keep_as_it_is(const struct view *view, struct option *option)
{
	for (size_t i = 0; i < view->n; i++) {
		const struct plan_item *item = &view->items[i];

		option->keeps[i] = item->kind == PLAN_FIXED || item->at + item->n <= option->end;
		option->n_moved += !option->keeps[i] && item->kind == PLAN_BLOCK;
		option->n_bitmaps_moved += !option->keeps[i] && item->kind == PLAN_BITMAP;
	}
}

/* The least end, unless it costs more moves than it saves blocks. */
static int choose(const struct view *view, struct option *least, struct option *plain)
{
	int rc;

	least->end = least_end(view);
	plain->end = end_as_it_is(view);
	rc = keep_by_budget(view, least);
	if (rc)
		return rc;
	keep_as_it_is(view, plain);
	if (least->n_moved > plain->n_moved &&
	    (least->n_moved - plain->n_moved) * view->b > plain->end - least->end)
		*least = *plain;
	return 0;
}

static int pack(struct plan *plan, struct view *view)
{
	bool *keeps = calloc(2 * view->n + 2, sizeof(*keeps));
	struct option least = {.keeps = keeps}, plain = {.keeps = keeps + view->n + 1};
	int rc = keeps ? choose(view, &least, &plain) : -1;

	if (!rc) {
		for (size_t i = 0; i < view->n; i++)
			least.keeps[i] |= view->items[i].kind == PLAN_FIXED;
		plan->end_then = least.end;
		plan->end_least = least_end(view);
		if (plan->end_then < view->end)
			rc = order_moves(plan, view->items, view->n, view->b, least.keeps);
		else
			plan->end_then = view->end;
	}
	free(keeps);
	return rc;
}

int plan_pack(struct plan *plan, struct plan_item *items, size_t n, uint64_t block_n)
{
	struct view view;
	int rc;

	memset(plan, 0, sizeof(*plan));
	rc = make_view(&view, items, n, block_n);
	if (!rc) {
		plan->end_now = view.end;
		plan->n_blocks = view.n_blocks;
		plan->n_bitmaps = view.n_bitmaps;
		rc = pack(plan, &view);
	}
	free(view.stretches);
	return rc;
}

void plan_free(struct plan *plan)
{
	free(plan->moves);
	memset(plan, 0, sizeof(*plan));
}
