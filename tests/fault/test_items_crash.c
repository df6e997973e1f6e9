/* SPDX-License-Identifier: MIT */
/*
 * Power cuts while user metadata items change, beside payload that is written, freed and flushed,
 * and while the metadata region gets a larger place. Each change is there as a whole or not at all,
 * items of others stay byte for byte, and all that test_crash asks of the payload holds.
 * VD_CRASH_STATES=N aims for N states. test-timeout: 400
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vdisk/disk.h>
#include <vdisk/item.h>

#include "itemset.h"
#include "powercut.h"
#include "stamp.h"
#include "vhdxgen.h"

#define MIB       ((uint64_t)1 << 20)
#define GIB       ((uint64_t)1 << 30)
#define N_FOREIGN 140u /* more than a page of the table has room for */

/* What becomes of the items. */
struct own {
	unsigned item_percent; /* of the steps; where there are threads, all */
	uint32_t n_foreign, n_names, max_len, huge_len;
	uint64_t min_moves;    /* of the region */
	bool has_small_region; /* of 1 MiB, made by vhdxgen */
};

static const struct powercut_life lives[] = {
    {.name = "items",
     .size = 8 * MIB,
     .windows = {{0, 8 * MIB}},
     .n_steps = 90,
     .is_for_qemu = true,
     .own =
	 &(const struct own){
	     .item_percent = 45, .n_foreign = N_FOREIGN, .n_names = 20, .max_len = 20000}},
    {.name = "items, the region grows",
     .size = 64 * MIB,
     .windows = {{0, 8 * MIB}},
     .n_steps = 70,
     .is_for_qemu = true,
     .own = &(const struct own){.item_percent = 45,
				.n_foreign = 30,
				.n_names = 10,
				.max_len = 20000,
				.huge_len = 450000,
				.min_moves = 1,
				.has_small_region = true}},
    {.name = "items, the region grows, laps of the log",
     .size = 5 * GIB,
     .windows =
	 {{0, MIB}, {600 * MIB, MIB}, {1200 * MIB, MIB}, {2300 * MIB, MIB}, {4200 * MIB, MIB}},
     .n_steps = 130,
     .cache_bytes = 64 << 10,
     .never_reopen = true,
     .is_for_qemu = true,
     .own = &(const struct own){.item_percent = 40,
				.n_foreign = N_FOREIGN,
				.n_names = 16,
				.max_len = 30000,
				.huge_len = 900000,
				.min_moves = 1}},
    {.name = "items, differencing",
     .type = VD_TYPE_DIFFERENCING,
     .size = 5 * GIB,
     .windows = {{0, 2 * MIB}, {4094 * MIB, 4 * MIB}},
     .n_steps = 80,
     .own = &(const struct own){.item_percent = 40,
				.n_foreign = 20,
				.n_names = 10,
				.max_len = 40000,
				.huge_len = 900000,
				.min_moves = 1}},
    {.name = "items, a host without holes",
     .size = 6 * MIB,
     .windows = {{0, 6 * MIB}},
     .n_steps = 60,
     .is_for_qemu = true,
     .cant_punch = true,
     .own = &(const struct own){.item_percent = 40,
				.n_foreign = 20,
				.n_names = 10,
				.max_len = 40000,
				.huge_len = 900000,
				.min_moves = 1}},
    {.name = "items, threads",
     .size = 5 * GIB,
     .windows = {{0, MIB}, {700 * MIB, 2 * MIB}, {4200 * MIB, 4 * MIB}},
     .n_steps = 40,
     .is_for_qemu = true,
     .has_threads = true,
     .own =
	 &(const struct own){
	     .n_foreign = 30, .n_names = 12, .max_len = 30000, .huge_len = 900000, .min_moves = 1}},
};
#define N_LIVES (sizeof(lives) / sizeof(lives[0]))

static struct scene_count count;
static uint64_t n_changes, n_moves;

/* Items of others, as a program that we don't know has left them. */
static void add_foreign(struct powercut *cut, struct itemset *set)
{
	uint32_t n = ((const struct own *)cut->life->own)->n_foreign;
	struct vd_disk *disk = powercut_open_image(cut);
	struct vd_item_change changes[N_FOREIGN];
	struct vd_error err = VD_ERROR_INIT;

	for (uint32_t i = 0; i < n; i++) {
		const struct itemset_one one = {i, VD_ITEM_USER, i * 37 % 150, 1};

		itemset_apply(set, &one, false);
	}
	for (uint32_t i = 0; i < n; i++)
		changes[i] = itemset_put(&set->at[i]);
	if (vd_disk_change_items(disk, changes, n, &err) < 0 || vd_disk_close(disk, &err) < 0)
		fail_msg("items of others: %s", err.text);
}

static void make_image(struct powercut *cut)
{
	static struct vhdxgen g;

	if (!((const struct own *)cut->life->own)->has_small_region) {
		powercut_make_image(cut);
		return;
	}
	vhdxgen_init(&g);
	g.block_size = cut->block; /* one fits where the region was */
	vhdxgen_emit(&g, cut->before);
}

static uint64_t region_place(const struct store *store)
{
	static const uint8_t metadata[4] = {0x06, 0xa2, 0x7c, 0x8b};
	uint8_t entry[32];
	uint64_t off = 0;

	for (uint64_t i = 0; i < 2; i++) {
		store_read(store, entry, sizeof(entry), (192u << 10) + 16 + 32 * i);
		if (!memcmp(entry, metadata, 4))
			break;
	}
	for (int i = 8; i-- > 0;)
		off = off << 8 | entry[16 + i];
	return off;
}

static bool change_items(struct powercut *cut, struct item_life *items)
{
	bool ok = item_life_change(items, cut->w.disk);

	if (ok && !cut->had_threads)
		ok = itemset_is_shown(&items->now, cut->w.disk, items->text, sizeof(items->text));
	if (!ok)
		snprintf(cut->w.text, sizeof(cut->w.text), "%s", items->text);
	return ok;
}

/* Items change here, while two threads write, discard and flush. */
static bool run_threads(struct powercut *cut, struct item_life *items)
{
	struct powercut_threads threads = {.n = 2, .n_steps = 50};
	bool ok = true;

	powercut_start_threads(&threads, cut);
	for (unsigned i = 0; ok && i < cut->life->n_steps; i++)
		ok = change_items(cut, items);
	ok &= powercut_join_threads(&threads, cut);
	n_moves += region_place(cut->after) != region_place(cut->before);
	return ok;
}

static bool run_steps(struct powercut *cut, struct item_life *items)
{
	uint64_t place = region_place(cut->after);
	const struct own *own = cut->life->own;
	bool ok = true;

	for (unsigned i = 0; ok && i < cut->life->n_steps; i++) {
		ok = rnd_below(&cut->w.random, 100) < own->item_percent ? change_items(cut, items)
									: workload_step(&cut->w);
		n_moves += region_place(cut->after) != place;
		place = region_place(cut->after);
	}
	return ok;
}

static bool may_show(void *user, size_t moment, struct vd_disk *disk, char *text, size_t size)
{
	return item_life_allows(user, moment, disk, text, size);
}

static uint64_t n_states_in_all(void)
{
	return powercut_n_states(2200);
}

static void begin_items(struct item_life *items, const struct powercut *cut, uint64_t random)
{
	const struct own *own = cut->life->own;

	items->record = cut->w.record;
	items->random = random;
	items->n_names = own->n_names;
	items->max_len = own->max_len;
	items->huge_len = own->huge_len;
	item_life_begin(items);
}

static void test_life(void **state)
{
	const struct powercut_life *life = *state;
	const struct own *own = life->own;
	struct item_life *items = calloc(1, sizeof(*items));
	uint64_t number = (uint64_t)(life - lives), moves_before = n_moves;
	struct powercut cut;

	powercut_begin(&cut, life, number + 51);
	powercut_make_parent(&cut, 0);
	make_image(&cut);
	add_foreign(&cut, &items->now);
	powercut_record(&cut, number + 2000);
	begin_items(items, &cut, number + 3000);
	powercut_stop(&cut, life->has_threads ? run_threads(&cut, items) : run_steps(&cut, items));
	assert_true(n_moves - moves_before >= own->min_moves);
	n_changes += items->n_moments;
	print_message("%s: %zu changes of items, %" PRIu64 " moves\n", life->name,
		      items->n_moments - 1, n_moves - moves_before);
	cut.also = may_show;
	cut.also_user = items;
	powercut_walk(&cut, powercut_share(n_states_in_all(), N_LIVES), &count);
	powercut_end(&cut);
	item_life_end(items);
	free(items);
}

static void test_enough_states(void **state)
{
	(void)state;
	assert_true(n_changes >= 100 && n_moves >= 5);
	powercut_count(&count, "power cuts while items change", n_states_in_all(), 80);
}

int main(int argc, char **argv)
{
	return powercut_main("items crash", lives, N_LIVES, test_life, test_enough_states, argc,
			     argv);
}
