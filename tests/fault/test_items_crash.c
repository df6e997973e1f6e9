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
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vdisk/disk.h>
#include <vdisk/item.h>

#include "itemset.h"
#include "model.h"
#include "record.h"
#include "scene.h"
#include "scratch.h"
#include "stamp.h"
#include "store.h"
#include "vhdxgen.h"
#include "workload.h"

#define MIB       ((uint64_t)1 << 20)
#define GIB       ((uint64_t)1 << 30)
#define N_FOREIGN 140u /* more than a page of the table has room for */

struct life {
	const char *name;
	enum vd_disk_type type;
	uint64_t size;
	struct window windows[5];
	size_t n_windows;
	unsigned n_steps, item_percent;
	uint32_t n_foreign, n_names, max_len, huge_len;
	uint64_t min_moves; /* of the region */
	bool is_for_qemu, cant_punch, has_threads, never_reopen;
	bool has_small_region; /* of 1 MiB, made by vhdxgen */
};

static const struct life lives[] = {
    {"items",
     VD_TYPE_DYNAMIC,
     8 * MIB,
     {{0, 8 * MIB}},
     1,
     90,
     45,
     N_FOREIGN,
     20,
     20000,
     0,
     0,
     .is_for_qemu = true},
    {"items, the region grows",
     VD_TYPE_DYNAMIC,
     64 * MIB,
     {{0, 8 * MIB}},
     1,
     70,
     45,
     30,
     10,
     20000,
     450000,
     1,
     .is_for_qemu = true,
     .has_small_region = true},
    {"items, the region grows, laps of the log",
     VD_TYPE_DYNAMIC,
     5 * GIB,
     {{0, MIB}, {600 * MIB, MIB}, {1200 * MIB, MIB}, {2300 * MIB, MIB}, {4200 * MIB, MIB}},
     5,
     130,
     40,
     N_FOREIGN,
     16,
     30000,
     900000,
     1,
     .is_for_qemu = true,
     .never_reopen = true},
    {"items, differencing",
     VD_TYPE_DIFFERENCING,
     5 * GIB,
     {{0, 2 * MIB}, {4094 * MIB, 4 * MIB}},
     2,
     80,
     40,
     20,
     10,
     40000,
     900000,
     .min_moves = 1},
    {"items, a host without holes",
     VD_TYPE_DYNAMIC,
     6 * MIB,
     {{0, 6 * MIB}},
     1,
     60,
     40,
     20,
     10,
     40000,
     900000,
     1,
     .is_for_qemu = true,
     .cant_punch = true},
    {"items, threads",
     VD_TYPE_DYNAMIC,
     5 * GIB,
     {{0, MIB}, {700 * MIB, 2 * MIB}, {4200 * MIB, 4 * MIB}},
     3,
     40,
     100,
     30,
     12,
     30000,
     900000,
     1,
     .is_for_qemu = true,
     .has_threads = true},
};
#define N_LIVES (sizeof(lives) / sizeof(lives[0]))

static struct scene_count count;
static uint64_t n_changes, n_moves;

static const char *make_parent(const struct life *life)
{
	const char *path = scratch_path("items-parent.vhdx");
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;

	create.virtual_size = life->size;
	create.block_size = (uint32_t)MIB;
	unlink(path);
	if (vd_disk_create(path, &create, &err) < 0)
		fail_msg("parent: %s", err.text);
	return path;
}

/* Items of others, as a program that we don't know has left them. */
static void add_foreign(const struct life *life, struct vd_disk *disk, struct itemset *set)
{
	struct vd_item_change changes[N_FOREIGN];
	struct vd_error err = VD_ERROR_INIT;

	for (uint32_t i = 0; i < life->n_foreign; i++) {
		const struct itemset_one one = {i, VD_ITEM_USER, i * 37 % 150, 1};

		itemset_apply(set, &one, false);
	}
	for (uint32_t i = 0; i < life->n_foreign; i++)
		changes[i] = itemset_put(&set->at[i]);
	if (vd_disk_change_items(disk, changes, life->n_foreign, &err) < 0)
		fail_msg("items of others: %s", err.text);
}

static void make_image(const struct life *life, struct store *store, const char *parent,
		       struct vd_open_opts opts, struct itemset *set)
{
	static struct vhdxgen g;
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_io *io = store_io(store, true);
	struct vd_disk *disk = NULL;

	create.type = life->type;
	create.virtual_size = life->size;
	create.block_size = (uint32_t)MIB;
	create.log_size = (uint32_t)MIB;
	create.parent = parent;
	create.parent_roots = opts.parent_roots;
	create.n_parent_roots = opts.n_parent_roots;
	opts.flags = VD_OPEN_WRITE;
	if (life->has_small_region) {
		vhdxgen_init(&g);
		g.block_size = (uint32_t)MIB; /* one fits where the region was */
		vhdxgen_emit(&g, store);
	} else if (vd_disk_create_io(io, &create, &err) < 0) {
		fail_msg("create: %s", err.text);
	}
	if (vd_disk_open_io(&disk, io, &opts, &err) < 0)
		fail_msg("open: %s", err.text);
	add_foreign(life, disk, set);
	assert_int_equal(vd_disk_close(disk, &err), 0);
	vd_io_close(io);
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

#define N_THREADS 2u

static void *live_in_thread(void *arg)
{
	struct workload *w = arg;

	for (unsigned i = 0; i < 50; i++)
		if (!workload_step(w))
			return w->text;
	return NULL;
}

/* Two threads write, discard and flush, each in its half of each window; items change in this one.
 */
static bool run_threads(struct workload *all, const struct life *life, struct item_life *items)
{
	static struct window windows[N_THREADS][5];
	static struct workload one[N_THREADS];
	pthread_t threads[N_THREADS];
	bool ok = true;

	record_slow_sync(all->record, 200);
	for (unsigned i = 0; i < N_THREADS; i++) {
		one[i] = *all;
		one[i].trace = NULL;
		one[i].n_trace = one[i].cap_trace = 0;
		one[i].model = model_copy(all->model);
		one[i].windows = windows[i];
		one[i].random += i;
		one[i].generation += i * 10000;
		one[i].never_reopen = true;
		for (size_t k = 0; k < life->n_windows; k++) {
			uint64_t part = life->windows[k].len / N_THREADS;

			windows[i][k] = (struct window){life->windows[k].offset + i * part, part};
		}
		pthread_create(&threads[i], NULL, live_in_thread, &one[i]);
	}
	for (unsigned i = 0; ok && i < life->n_steps; i++)
		ok = item_life_change(items, all->disk);
	for (unsigned i = 0; i < N_THREADS; i++) {
		void *text;

		pthread_join(threads[i], &text);
		if (text)
			snprintf(all->text, sizeof(all->text), "%s", (char *)text);
		ok = ok && !text;
		workload_take_trace(all, &one[i]);
		model_free(one[i].model);
	}
	record_slow_sync(all->record, 0);
	return ok;
}

static bool run_steps(struct workload *w, const struct life *life, struct item_life *items,
		      const struct store *store)
{
	uint64_t place = region_place(store);
	bool ok = true;

	for (unsigned i = 0; ok && i < life->n_steps; i++) {
		if (rnd_below(&w->random, 100) < life->item_percent)
			ok = item_life_change(items, w->disk) &&
			     itemset_is_shown(&items->now, w->disk, items->text,
					      sizeof(items->text));
		else
			ok = workload_step(w);
		n_moves += region_place(store) != place;
		place = region_place(store);
	}
	return ok;
}

static bool may_show(void *user, size_t moment, struct vd_disk *disk, char *text, size_t size)
{
	return item_life_allows(user, moment, disk, text, size);
}

static uint64_t n_states_in_all(void)
{
	const char *wanted = getenv("VD_CRASH_STATES");

	return wanted && *wanted ? strtoull(wanted, NULL, 10) : 2200;
}

static void walk(const struct life *life, struct workload *w, struct item_life *items,
		 struct store *before, struct model *first)
{
	struct trace_player player = {.trace = w->trace, .n = w->n_trace, .model = first};
	struct scene scene = {.name = life->name,
			      .windows = life->windows,
			      .n_windows = life->n_windows,
			      .is_for_qemu = life->is_for_qemu,
			      .state = before,
			      .count = &count,
			      .record = w->record,
			      .crash = crash_new(w->record, before),
			      .model = first,
			      .opts = w->opts,
			      .random = 1,
			      .also = may_show,
			      .also_user = items};

	scene.opts.flags = 0;
	scene_begin(&scene);
	scene_walk(&scene, &player, n_states_in_all() / N_LIVES + 1);
	scene_end(&scene);
	trace_finish(&player);
	crash_free(scene.crash);
}

static void test_life(void **cmocka_state)
{
	const struct life *life = *cmocka_state;
	struct store *before = store_new(NULL), *store;
	struct model *model = model_new(life->size, (uint64_t)(life - lives) + 51), *first;
	const char *dir = scratch_dir(), *parent = NULL;
	struct workload w = {.opts = VD_OPEN_OPTS_INIT, .model = model, .windows = life->windows};
	struct item_life *items = calloc(1, sizeof(*items));
	uint64_t n_before = count.states, moves_before = n_moves;
	bool ok;

	w.opts.parent_roots = &dir;
	w.opts.n_parent_roots = 1;
	if (life->type == VD_TYPE_DIFFERENCING)
		parent = make_parent(life);
	make_image(life, before, parent, w.opts, &items->now);
	first = model_copy(model);
	store = store_new(before);
	w.record = items->record = record_new(store);
	if (life->cant_punch)
		record_refuse_punch(w.record);
	w.io = record_io(w.record);
	w.n_windows = life->n_windows;
	w.random = 2000 + (uint64_t)(life - lives);
	w.generation = 1000;
	w.never_reopen = life->never_reopen;
	w.opts.cache_bytes = life->never_reopen ? 64u << 10 : 0;
	items->random = 3000 + (uint64_t)(life - lives);
	items->n_names = life->n_names;
	items->max_len = life->max_len;
	items->huge_len = life->huge_len;
	item_life_begin(items);
	ok = workload_open(&w);
	ok = ok &&
	     (life->has_threads ? run_threads(&w, life, items) : run_steps(&w, life, items, store));
	if (life->has_threads)
		n_moves += region_place(store) != region_place(before);
	if (!ok || (!life->has_threads && !workload_check(&w)) || !workload_close(&w))
		fail_msg("%s: while recording: %s%s", life->name, w.text, items->text);
	vd_io_close(w.io);
	assert_true(n_moves - moves_before >= life->min_moves);
	n_changes += items->n_moments;
	print_message("%s: %zu calls recorded, %zu changes of items, %" PRIu64 " moves, %" PRIu64
		      " commits, %" PRIu64 " laps\n",
		      life->name, record_now(w.record), items->n_moments - 1,
		      n_moves - moves_before, w.n_commits, w.n_laps);
	walk(life, &w, items, before, first);
	print_message("%s: %" PRIu64 " states\n", life->name, count.states - n_before);
	item_life_end(items);
	free(items);
	record_free(w.record);
	workload_free_trace(&w);
	model_free(first);
	model_free(model);
	store_free(store);
	store_free(before);
}

static void test_enough_states(void **cmocka_state)
{
	(void)cmocka_state;
	assert_true(count.dirty >= count.states / 10);
	assert_true(count.by_kind[CRASH_TORN] && count.by_kind[CRASH_SUBSET]);
	assert_true(count.nested > 0);
	assert_true(n_changes >= 100 && n_moves >= 5);
	print_message("count: power cuts while items change, states examined %" PRIu64 "\n",
		      count.states);
	print_message("count: power cuts while items change, states that QEMU replayed %" PRIu64
		      "\n",
		      count.qemu);
	assert_true(count.states >= n_states_in_all());
	if (scratch_has("qemu-io"))
		assert_true(count.qemu >= 80);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[N_LIVES + 1];
	const char *only = argc > 1 ? argv[1] : NULL;
	size_t n = 0;

	for (size_t i = 0; i < N_LIVES; i++)
		if (!only || strcmp(lives[i].name, only) == 0)
			tests[n++] = (struct CMUnitTest){lives[i].name, test_life, NULL, NULL,
							 (void *)(uintptr_t)&lives[i]};
	if (!only)
		tests[n++] =
		    (struct CMUnitTest){"enough states", test_enough_states, NULL, NULL, NULL};
	return _cmocka_run_group_tests("items crash", tests, n, NULL, NULL);
}
