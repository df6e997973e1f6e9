/* SPDX-License-Identifier: MIT */
/*
 * Plans of compactions against brute force: for files of up to eight things that can move, all
 * sets of them that could stay are tried. And each plan is played, move by move.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan.h"
#include "stamp.h"

#define MAX_ITEMS 16
#define MAX_END   128

struct file {
	struct plan_item items[MAX_ITEMS];
	size_t n, n_movable;
	uint64_t b, end;
};

/* Things with random gaps between them. `sizes` > 0: also bitmap blocks. */
static void make_file(struct file *file, uint64_t *random, bool has_bitmaps, bool has_obstacles)
{
	uint64_t at = 0, number = 0;
	size_t n = 1 + rnd_below(random, 8);

	memset(file, 0, sizeof(*file));
	file->b = 1 + rnd_below(random, 4);
	file->items[file->n++] = (struct plan_item){0, 1 + rnd_below(random, 3), PLAN_FIXED, 0};
	at = file->items[0].n;
	while (file->n_movable < n) {
		struct plan_item *item = &file->items[file->n++];

		if (rnd_below(random, 2))
			at += rnd_below(random, 2 * file->b + 2);
		*item = (struct plan_item){at, file->b, PLAN_BLOCK, number++};
		if (has_bitmaps && rnd_below(random, 4) == 0)
			item->kind = PLAN_BITMAP, item->n = 1;
		if (has_obstacles && file->n < MAX_ITEMS - 9 && rnd_below(random, 6) == 0)
			item->kind = PLAN_FIXED, item->n = 1 + rnd_below(random, 3);
		file->n_movable += item->kind != PLAN_FIXED;
		at += item->n;
	}
	file->end = at;
}

/* Does the rest fit below `end` if these stay? Bits of `stay` count movable things. */
static bool is_possible(const struct file *file, uint32_t stay, uint64_t end)
{
	uint64_t at = 0, slots = 0, room = 0, blocks = 0, bitmaps = 0;
	uint32_t bit = 1;

	for (size_t i = 0; i < file->n; i++) {
		const struct plan_item *item = &file->items[i];
		bool stays = item->kind == PLAN_FIXED || (stay & bit);

		if (item->kind != PLAN_FIXED)
			bit <<= 1;
		if (!stays) {
			blocks += item->kind == PLAN_BLOCK;
			bitmaps += item->kind == PLAN_BITMAP;
			continue;
		}
		if (item->at + item->n > end)
			return false;
		slots += (item->at - at) / file->b;
		room += item->at - at;
		at = item->at + item->n;
	}
	slots += (end - at) / file->b;
	room += end - at;
	return slots >= blocks && room >= blocks * file->b + bitmaps;
}

/* The fewest blocks (<< 8, and bitmaps) that have to move; UINT32_MAX: no way. */
static uint32_t fewest_moves(const struct file *file, uint64_t end)
{
	uint32_t best = UINT32_MAX;

	for (uint32_t stay = 0; stay < 1u << file->n_movable; stay++) {
		uint32_t moved = 0, bit = 1;

		if (!is_possible(file, stay, end))
			continue;
		for (size_t i = 0; i < file->n; i++) {
			if (file->items[i].kind == PLAN_FIXED)
				continue;
			if (!(stay & bit))
				moved += file->items[i].kind == PLAN_BLOCK ? 256 : 1;
			bit <<= 1;
		}
		best = moved < best ? moved : best;
	}
	return best;
}

/* Make the moves. Returns how many things are elsewhere now (blocks << 8, and bitmaps). */
static uint32_t play(const struct file *file, const struct plan *plan, uint64_t *end)
{
	struct plan_item now[MAX_ITEMS];
	uint32_t changed = 0;

	memcpy(now, file->items, sizeof(now));
	for (size_t m = 0; m < plan->n_moves; m++) {
		const struct plan_move *move = &plan->moves[m];
		struct plan_item *item = NULL;

		for (size_t i = 0; i < file->n; i++)
			if (now[i].kind == move->kind && now[i].number == move->number)
				item = &now[i];
		assert_non_null(item);
		assert_int_not_equal(item->kind, PLAN_FIXED);
		assert_int_equal(item->at, move->from);
		for (size_t i = 0; i < file->n; i++) /* itself included */
			if (move->to < now[i].at + now[i].n && now[i].at < move->to + item->n)
				fail_msg("move %zu: %llu isn't free", m,
					 (unsigned long long)move->to);
		item->at = move->to;
	}
	*end = 0;
	for (size_t i = 0; i < file->n; i++) {
		if (now[i].at + now[i].n > *end)
			*end = now[i].at + now[i].n;
		if (now[i].at != file->items[i].at)
			changed += now[i].kind == PLAN_BLOCK ? 256 : 1;
	}
	return changed;
}

struct tally {
	uint32_t n_files, n_shorter, n_aside, n_rather_longer;
};

static void judge(const struct file *file, struct tally *tally)
{
	struct plan_item items[MAX_ITEMS];
	struct plan plan;
	uint64_t least = file->items[0].n, end;
	uint32_t changed, fewest;

	memcpy(items, file->items, sizeof(items));
	assert_int_equal(plan_pack(&plan, items, file->n, file->b), 0);
	while (fewest_moves(file, least) == UINT32_MAX)
		least++;
	if (least > file->end)
		least = file->end;
	assert_int_equal(plan.end_now, file->end);
	assert_int_equal(plan.end_least, least);
	changed = play(file, &plan, &end);
	assert_int_equal(end, plan.end_then);
	fewest = plan.n_moves ? fewest_moves(file, plan.end_then) : 0;
	if (changed >> 8 != fewest >> 8)
		fail_msg("%u blocks moved, %u would do (end %llu)", changed >> 8, fewest >> 8,
			 (unsigned long long)plan.end_then);
	if (plan.end_then > least) {
		/* Not the least end: because that takes more moves than it saves blocks. */
		uint32_t more = (fewest_moves(file, least) >> 8) - (fewest >> 8);

		assert_true(more * file->b > plan.end_then - least);
		tally->n_rather_longer++;
	}
	tally->n_files++;
	tally->n_shorter += plan.end_then < file->end;
	tally->n_aside += plan.n_moves > (changed >> 8) + (changed & 255);
	plan_free(&plan);
}

static void judge_many(uint64_t seed, bool has_bitmaps, bool has_obstacles)
{
	struct tally tally = {0, 0, 0, 0};
	uint64_t random = seed;

	for (int i = 0; i < 20000; i++) {
		struct file file;

		make_file(&file, &random, has_bitmaps, has_obstacles);
		judge(&file, &tally);
	}
	print_message(
	    "%u files, %u become shorter; %u not by the most (not worth it), %u steps aside\n",
	    tally.n_files, tally.n_shorter, tally.n_rather_longer, tally.n_aside);
	assert_true(tally.n_shorter > 5000);
}

static void test_blocks_only(void **state)
{
	(void)state;
	judge_many(1, false, false);
}

static void test_blocks_and_bitmaps(void **state)
{
	(void)state;
	judge_many(2, true, false);
}

/* Between fixed things. */
static void test_obstacles(void **state)
{
	(void)state;
	judge_many(3, false, true);
}

/* A bound for large files: all blocks in one phase, so that each one behind the cut moves, once. */
static void test_large_files_move_what_lies_behind_the_cut(void **state)
{
	uint64_t random = 4;

	(void)state;
	for (int turn = 0; turn < 20; turn++) {
		size_t n = 0, behind = 0;
		struct plan_item *items = calloc(100001, sizeof(*items));
		struct plan plan;

		items[n++] = (struct plan_item){0, 12, PLAN_FIXED, 0};
		for (uint64_t slot = 0; slot < 100000; slot++)
			if (rnd_below(&random, 4))
				items[n++] =
				    (struct plan_item){12 + 2 * slot, 2, PLAN_BLOCK, slot ^ 1};
		assert_int_equal(plan_pack(&plan, items, n, 2), 0);
		assert_int_equal(plan.end_then, 12 + 2 * (n - 1));
		for (size_t i = 0; i < n; i++)
			behind += items[i].at + items[i].n > plan.end_then;
		assert_int_equal(plan.n_moves, behind);
		plan_free(&plan);
		free(items);
	}
}

/* Order of numbers is order in the file, without room for a block between two. */
static void test_defragmented(void **state)
{
	uint64_t random = 5, n_moves = 0;

	(void)state;
	for (int turn = 0; turn < 5000; turn++) {
		struct plan_item items[MAX_ITEMS];
		struct file file;
		struct plan plan;
		uint64_t end;

		make_file(&file, &random, turn % 2, turn % 3 == 0);
		for (size_t i = 0; i < file.n; i++) /* shuffle the numbers */
			for (size_t k = 0; k < i; k++)
				if (file.items[i].kind == PLAN_BLOCK &&
				    file.items[k].kind == PLAN_BLOCK && rnd_below(&random, 2)) {
					uint64_t number = file.items[i].number;

					file.items[i].number = file.items[k].number;
					file.items[k].number = number;
				}
		memcpy(items, file.items, sizeof(items));
		assert_int_equal(plan_defrag(&plan, items, file.n, file.b), 0);
		play(&file, &plan, &end);
		assert_int_equal(end, plan.end_then);
		assert_true(plan.n_moves <= 2 * plan.n_blocks);
		for (size_t i = 1; i < plan.n_blocks; i++) {
			assert_true(items[i].number > items[i - 1].number);
			assert_true(items[i].at >= items[i - 1].at + file.b);
		}
		n_moves += plan.n_moves;
		plan_free(&plan);
	}
	assert_true(n_moves > 5000);
}

static void test_overlaps_are_refused(void **state)
{
	struct plan_item items[] = {{0, 4, PLAN_FIXED, 0}, {3, 2, PLAN_BLOCK, 1}};
	struct plan plan;

	(void)state;
	assert_int_equal(plan_pack(&plan, items, 2, 2), -2);
	plan_free(&plan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_blocks_only),
	    cmocka_unit_test(test_blocks_and_bitmaps),
	    cmocka_unit_test(test_obstacles),
	    cmocka_unit_test(test_large_files_move_what_lies_behind_the_cut),
	    cmocka_unit_test(test_defragmented),
	    cmocka_unit_test(test_overlaps_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
