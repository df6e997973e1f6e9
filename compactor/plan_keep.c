/* SPDX-License-Identifier: MIT */
/*
 * Which things stay where they are, in one stretch of the file between two fixed ones.
 *
 * The stretch of L granules is to hold m blocks of b granules in the end. Let some of what is there
 * stay. A gap of g granules between two that stay has room for g / b blocks, and g mod b of it is
 * lost to blocks (bitmap blocks may fill it). There is room for m blocks if what is lost and the
 * bitmap blocks that stay are together no more than L - m * b, the budget. So: the most that can
 * stay within the budget, over the things in their order, the state being the phase (mod b) of
 * where the last one ends and what is spent. A block saved counts more than any bitmaps saved.
 */
#include <stdlib.h>
#include <string.h>

#include "plan_keep.h"

#define MAX_STATES  ((uint64_t)1 << 24) /* of the search: at 5 bytes each */
#define UNREACHABLE (-1)

static uint64_t cost(uint64_t phase, uint64_t b, const struct plan_item *item)
{
	return (item->at % b + b - phase) % b + (item->kind == PLAN_BITMAP);
}

static int64_t worth(const struct plan_item *item)
{
	return item->kind == PLAN_BLOCK ? (int64_t)1 << 32 : 1;
}

/* What keeping everything costs; UINT64_MAX if it can't be done (something reaches over the end).
 */
static uint64_t cost_of_all(const struct keep_task *t)
{
	uint64_t phase = t->start % t->b, sum = 0;

	for (size_t i = 0; i < t->n; i++) {
		sum += cost(phase, t->b, &t->items[i]);
		phase = (t->items[i].at + t->items[i].n) % t->b;
	}
	return sum + (t->end % t->b + t->b - phase) % t->b;
}

/* Which states follow from which, for the way back: one bit each, "kept". */
struct table {
	int64_t *best, *next; /* [phase][spent] */
	uint8_t *kept;        /* [item][phase][spent]: in this state the item was kept */
	uint32_t *from;       /* [item]... the state before, where it was kept */
	size_t width;
};

static size_t state_of(const struct keep_task *t, uint64_t phase, uint64_t spent)
{
	return (size_t)(phase * (t->budget + 1) + spent);
}

static bool make_table(struct table *table, const struct keep_task *t)
{
	table->width = (size_t)(t->b * (t->budget + 1));
	table->best = malloc(table->width * sizeof(*table->best));
	table->next = malloc(table->width * sizeof(*table->next));
	table->from = malloc(t->n * table->width * sizeof(*table->from));
	table->kept = calloc(t->n, table->width);
	return table->best && table->next && table->from && table->kept;
}

static void drop_table(struct table *table)
{
	free(table->best);
	free(table->next);
	free(table->from);
	free(table->kept);
}

/* One more item: leave it out (same state), or keep it. */
static void step(struct table *table, const struct keep_task *t, size_t i)
{
	const struct plan_item *item = &t->items[i];
	uint64_t phase_after = (item->at + item->n) % t->b;

	memcpy(table->next, table->best, table->width * sizeof(*table->best));
	for (uint64_t phase = 0; phase < t->b; phase++) {
		uint64_t price = cost(phase, t->b, item);

		for (uint64_t spent = 0; spent + price <= t->budget; spent++) {
			size_t from = state_of(t, phase, spent);
			size_t to = state_of(t, phase_after, spent + price);
			int64_t value = table->best[from];

			if (value == UNREACHABLE || value + worth(item) <= table->next[to])
				continue;
			table->next[to] = value + worth(item);
			table->kept[i * table->width + to] = 1;
			table->from[i * table->width + to] = (uint32_t)from;
		}
	}
	memcpy(table->best, table->next, table->width * sizeof(*table->best));
}

/* The best state whose last gap still fits the budget; mark what it kept. */
static int64_t walk_back(const struct table *table, const struct keep_task *t, bool *keeps)
{
	int64_t value = UNREACHABLE;
	size_t state = 0;

	for (uint64_t phase = 0; phase < t->b; phase++) {
		uint64_t last = (t->end % t->b + t->b - phase) % t->b;

		for (uint64_t spent = 0; spent + last <= t->budget; spent++) {
			size_t here = state_of(t, phase, spent);

			if (table->best[here] > value) {
				value = table->best[here];
				state = here;
			}
		}
	}
	for (size_t i = t->n; i-- > 0 && value != UNREACHABLE;) {
		keeps[i] = table->kept[i * table->width + state];
		if (keeps[i])
			state = table->from[i * table->width + state];
	}
	return value;
}

/* Too much to search through: keep what stands in the phase that most of them have. */
static int64_t keep_one_phase(const struct keep_task *t, bool *keeps)
{
	uint64_t *count = calloc(t->b, sizeof(*count)), best = t->start % t->b;
	int64_t value = 0;

	if (!count)
		return UNREACHABLE;
	for (size_t i = 0; i < t->n; i++)
		count[t->items[i].at % t->b] += t->items[i].kind == PLAN_BLOCK;
	for (uint64_t phase = 0; phase < t->b; phase++) {
		uint64_t price =
		    (phase + t->b - t->start % t->b) % t->b + (t->end % t->b + t->b - phase) % t->b;

		if (price <= t->budget && count[phase] > count[best])
			best = phase;
	}
	for (size_t i = 0; i < t->n; i++) {
		keeps[i] = t->items[i].kind == PLAN_BLOCK && t->items[i].at % t->b == best;
		value += keeps[i] ? worth(&t->items[i]) : 0;
	}
	free(count);
	return value;
}

int64_t keep_most(const struct keep_task *task, bool *keeps)
{
	struct keep_task t = *task;
	struct table table;
	uint64_t all = cost_of_all(&t);
	int64_t value = 0;

	memset(keeps, 0, t.n * sizeof(*keeps));
	if (all <= t.budget) {
		for (size_t i = 0; i < t.n; i++) {
			keeps[i] = true;
			value += worth(&t.items[i]);
		}
		return value;
	}
	/* Nothing is gained by more than all would cost; here that is never reached. */
	if (all != UINT64_MAX)
		t.budget = t.budget < all ? t.budget : all;
	if (t.b * (t.budget + 1) * t.n > MAX_STATES)
		return keep_one_phase(&t, keeps);
	if (!make_table(&table, &t)) {
		drop_table(&table);
		return UNREACHABLE;
	}
	for (size_t i = 0; i < table.width; i++)
		table.best[i] = UNREACHABLE;
	table.best[state_of(&t, t.start % t.b, 0)] = 0;
	for (size_t i = 0; i < t.n; i++)
		step(&table, &t, i);
	value = walk_back(&table, &t, keeps);
	drop_table(&table);
	return value;
}
