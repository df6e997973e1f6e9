/* SPDX-License-Identifier: MIT */
/*
 * Places for what moves, and an order. Any block may take any place, so a place is given out as
 * soon as nothing lies on it any more, first to those that lie on places themselves. When nothing
 * is free and something is left, one steps aside behind the end of the file: one more move.
 */
#include <stdlib.h>
#include <string.h>

#include "plan_order.h"

struct place {
	uint64_t at, n;
	enum plan_kind kind; /* what may take it */
	uint32_t n_on_it;    /* movers that lie here still */
	bool is_given;
};

struct mover {
	enum plan_kind kind;
	uint64_t number, at, n;
	bool has_moved;
	uint64_t first_place; /* places that it lies on: these */
	uint32_t n_places;
};

struct order {
	struct plan *plan;
	struct place *places;
	size_t n_places, room;
	struct mover *movers;
	size_t n_movers, next[3];        /* the next of each kind that lies on no place */
	size_t next_on[3];               /* ... that lies on one */
	size_t *ready, n_ready, n_taken; /* places that are free, in the order they became so */
	uint64_t b, aside;
};

int plan_add_move(struct plan *plan, enum plan_kind kind, uint64_t number, uint64_t from,
		  uint64_t to)
{
	if (plan->n_moves == plan->n_room) {
		size_t room = plan->n_room ? 2 * plan->n_room : 64;
		struct plan_move *grown = realloc(plan->moves, room * sizeof(*grown));

		if (!grown)
			return -1;
		plan->moves = grown;
		plan->n_room = room;
	}
	plan->moves[plan->n_moves++] = (struct plan_move){kind, number, from, to};
	return 0;
}

static int add_place(struct order *o, uint64_t at, uint64_t n, enum plan_kind kind)
{
	if (o->n_places == o->room) {
		size_t room = o->room ? 2 * o->room : 64;
		struct place *grown = realloc(o->places, room * sizeof(*grown));

		if (!grown)
			return -1;
		o->places = grown;
		o->room = room;
	}
	o->places[o->n_places++] = (struct place){at, n, kind, 0, false};
	return 0;
}

/* The room [at, end): places for blocks from its start, for bitmaps in what is left. */
static int fill_gap(struct order *o, uint64_t at, uint64_t end, uint64_t *blocks, uint64_t *bitmaps)
{
	int rc = 0;

	for (; !rc && *blocks && end - at >= o->b; at += o->b, (*blocks)--)
		rc = add_place(o, at, o->b, PLAN_BLOCK);
	for (; !rc && *bitmaps && at < end; at++, (*bitmaps)--)
		rc = add_place(o, at, 1, PLAN_BITMAP);
	return rc;
}

static int make_places(struct order *o, const struct plan_item *items, size_t n, const bool *keeps,
		       uint64_t end, uint64_t blocks, uint64_t bitmaps)
{
	uint64_t at = 0;
	int rc = 0;

	for (size_t i = 0; i < n && !rc; i++) {
		if (!keeps[i])
			continue;
		rc = fill_gap(o, at, items[i].at, &blocks, &bitmaps);
		at = items[i].at + items[i].n;
	}
	if (!rc && at < end)
		rc = fill_gap(o, at, end, &blocks, &bitmaps);
	return rc ? rc : blocks || bitmaps ? -2 : 0;
}

/* Which places a mover lies on: a run of them, as they are in the order of the file. */
static void find_places(struct order *o, struct mover *mover)
{
	size_t low = 0, high = o->n_places;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (o->places[middle].at + o->places[middle].n <= mover->at)
			low = middle + 1;
		else
			high = middle;
	}
	mover->first_place = low;
	for (; low < o->n_places && o->places[low].at < mover->at + mover->n; low++) {
		o->places[low].n_on_it++;
		mover->n_places++;
	}
}

/* The next mover of a kind, those that lie on places first. */
static struct mover *choose(struct order *o, enum plan_kind kind)
{
	for (size_t *i = &o->next_on[kind]; *i < o->n_movers; (*i)++) {
		struct mover *mover = &o->movers[*i];

		if (mover->kind == kind && !mover->has_moved && mover->n_places)
			return mover;
	}
	/* From the end of the file on. */
	for (size_t *i = &o->next[kind]; *i < o->n_movers; (*i)++) {
		struct mover *mover = &o->movers[o->n_movers - 1 - *i];

		if (mover->kind == kind && !mover->has_moved)
			return mover;
	}
	return NULL;
}

/* It lies where it lay no longer. */
static void lift(struct order *o, struct mover *mover)
{
	for (uint32_t i = 0; i < mover->n_places; i++) {
		size_t place = mover->first_place + i;

		if (--o->places[place].n_on_it == 0)
			o->ready[o->n_ready++] = place;
	}
	mover->n_places = 0;
}

static int step_aside(struct order *o)
{
	for (size_t i = 0; i < o->n_movers; i++) {
		struct mover *mover = &o->movers[i];
		uint64_t to = o->aside;

		if (mover->has_moved || !mover->n_places)
			continue;
		o->aside += mover->n;
		if (plan_add_move(o->plan, mover->kind, mover->number, mover->at, to))
			return -1;
		lift(o, mover);
		mover->at = to;
		return 0;
	}
	return -2;
}

static int run(struct order *o)
{
	size_t n_left = o->n_movers;
	int rc = 0;

	for (size_t i = 0; i < o->n_places; i++)
		if (!o->places[i].n_on_it)
			o->ready[o->n_ready++] = i;
	while (n_left && !rc) {
		struct place *place;
		struct mover *mover;

		if (o->n_taken == o->n_ready) {
			rc = step_aside(o);
			continue;
		}
		place = &o->places[o->ready[o->n_taken++]];
		mover = choose(o, place->kind);
		if (!mover)
			continue;
		rc = plan_add_move(o->plan, mover->kind, mover->number, mover->at, place->at);
		mover->has_moved = true;
		lift(o, mover);
		n_left--;
	}
	return rc;
}

int order_moves(struct plan *plan, const struct plan_item *items, size_t n, uint64_t b,
		const bool *keeps)
{
	struct order o = {.plan = plan, .b = b, .aside = plan->end_now};
	uint64_t blocks = 0, bitmaps = 0;
	int rc = -1;

	o.movers = calloc(n + 1, sizeof(*o.movers));
	for (size_t i = 0; o.movers && i < n; i++) {
		if (keeps[i])
			continue;
		blocks += items[i].kind == PLAN_BLOCK;
		bitmaps += items[i].kind == PLAN_BITMAP;
		o.movers[o.n_movers++] = (struct mover){.kind = items[i].kind,
							.number = items[i].number,
							.at = items[i].at,
							.n = items[i].n};
	}
	if (o.movers)
		rc = make_places(&o, items, n, keeps, plan->end_then, blocks, bitmaps);
	if (!rc) {
		o.ready = calloc(o.n_places + 1, sizeof(*o.ready));
		rc = o.ready ? 0 : -1;
	}
	for (size_t i = 0; !rc && i < o.n_movers; i++)
		find_places(&o, &o.movers[i]);
	if (!rc)
		rc = run(&o);
	free(o.places);
	free(o.movers);
	free(o.ready);
	return rc;
}
