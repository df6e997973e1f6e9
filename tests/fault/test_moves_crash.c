/* SPDX-License-Identifier: MIT */
/*
 * Power cuts while blocks and bitmap blocks move, are dropped and punched, the file is cut and
 * compacted, beside payload that is written, freed and flushed. None of that may be seen in what
 * the disk holds: all that test_crash asks of it, at each moment. VD_CRASH_STATES=N aims for N
 * states. test-timeout: 600
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vdisk/compact.h>
#include <vdisk/disk.h>
#include <vdisk/sys/space.h>

#include "model.h"
#include "record.h"
#include "scene.h"
#include "scratch.h"
#include "stamp.h"
#include "store.h"
#include "vhdxgen.h"
#include "workload.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

struct life {
	const char *name;
	enum vd_disk_type type;
	uint32_t sector, block;
	uint64_t size;
	struct window windows[6];
	size_t n_windows;
	unsigned n_steps, space_percent;
	unsigned min_moved, min_bitmaps;
	uint64_t min_laps;
	bool is_for_qemu, cant_punch, has_threads, never_reopen;
	bool is_foreign; /* with an unknown region and soft anchors, made by vhdxgen */
};

static const struct life lives[] = {
    {"moves",
     VD_TYPE_DYNAMIC,
     512,
     1u << 20,
     7 * MIB + 1536,
     {{0, 7 * MIB + 1536}},
     1,
     60,
     45,
     4,
     .is_for_qemu = true},
    {"moves, laps of the log",
     VD_TYPE_DYNAMIC,
     512,
     1u << 20,
     5 * GIB,
     {{0, MIB}, {600 * MIB, MIB}, {1200 * MIB, MIB}, {2300 * MIB, MIB}, {4200 * MIB, MIB}},
     5,
     70,
     45,
     10,
     .min_laps = 3,
     .is_for_qemu = true,
     .never_reopen = true},
    {"moves, 4096-byte sectors",
     VD_TYPE_DYNAMIC,
     4096,
     2u << 20,
     9 * MIB,
     {{0, 9 * MIB}},
     1,
     36,
     45,
     .min_moved = 5},
    {"moves, differencing",
     VD_TYPE_DIFFERENCING,
     512,
     1u << 20,
     5 * GIB,
     {{0, 3 * MIB}, {4094 * MIB, 4 * MIB}},
     2,
     60,
     45,
     .min_moved = 2,
     .min_bitmaps = 1},
    {"moves, differencing, 4096-byte sectors",
     VD_TYPE_DIFFERENCING,
     4096,
     1u << 20,
     6 * MIB,
     {{0, 6 * MIB}},
     1,
     36,
     45,
     .min_moved = 3},
    {"moves, a host without holes",
     VD_TYPE_DYNAMIC,
     512,
     1u << 20,
     5 * MIB,
     {{0, 5 * MIB}},
     1,
     36,
     45,
     5,
     .is_for_qemu = true,
     .cant_punch = true},
    {"moves, an image by others",
     VD_TYPE_DYNAMIC,
     512,
     2u << 20,
     64 * MIB,
     {{0, 16 * MIB}},
     1,
     40,
     45,
     5,
     .is_for_qemu = true,
     .is_foreign = true},
    {"moves, threads",
     VD_TYPE_DYNAMIC,
     512,
     1u << 20,
     5 * GIB,
     {{0, 2 * MIB}, {700 * MIB, 2 * MIB}, {4200 * MIB, 4 * MIB}},
     3,
     24,
     100,
     1,
     .is_for_qemu = true,
     .has_threads = true},
    {"moves, differencing, threads",
     VD_TYPE_DIFFERENCING,
     512,
     1u << 20,
     5 * GIB,
     {{0, 2 * MIB}, {4093 * MIB, 6 * MIB}},
     2,
     24,
     100,
     1,
     .has_threads = true},
};
#define N_LIVES (sizeof(lives) / sizeof(lives[0]))

static struct scene_count count;
static struct tally {
	unsigned n_moved, n_bitmaps, n_dropped, n_punched, n_cut, n_compacted;
} all_done;

static const char *make_parent(const struct life *life, struct model *model)
{
	const char *path = scratch_path("moves-parent.vhdx");
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk = NULL;
	uint64_t random = 7;
	uint8_t *buf = malloc(64 << 10);

	create.virtual_size = life->size;
	create.block_size = life->block;
	create.logical_sector_size = life->sector;
	opts.flags = VD_OPEN_WRITE;
	unlink(path);
	if (vd_disk_create(path, &create, &err) < 0 || vd_disk_open(&disk, path, &opts, &err) < 0)
		fail_msg("parent: %s", err.text);
	for (uint32_t i = 0; i < 30; i++) {
		const struct window *w = &life->windows[rnd_below(&random, life->n_windows)];
		uint64_t at = w->offset + rnd_below(&random, w->len / 65536) * 65536;

		stamp_fill(buf, 65536, at, i + 1, model_seed(model));
		assert_int_equal(vd_disk_write(disk, buf, 65536, at, &err), 0);
		model_write(model, at, 65536, i + 1);
	}
	assert_int_equal(vd_disk_close(disk, &err), 0);
	model_flushed(model);
	free(buf);
	return path;
}

/* A region that nobody knows behind two gaps, and blocks that claim space without content. */
static void make_foreign(struct store *store)
{
	static struct vhdxgen g;

	vhdxgen_init(&g);
	vhdxgen_add_region(&g, GEN_UNKNOWN, 17 * MIB, (uint32_t)MIB, 0);
	vhdxgen_add_bat(&g, 2, 10 * MIB | 3);
	vhdxgen_add_bat(&g, 3, 14 * MIB | 1);
	vhdxgen_add_bat(&g, 4, 20 * MIB | 6);
	g.file_len = 23 * MIB;
	vhdxgen_emit(&g, store);
}

static void make_image(const struct life *life, struct store *store, const char *parent)
{
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_io *io = store_io(store, true);

	create.type = life->type;
	create.virtual_size = life->size;
	create.block_size = life->block;
	create.logical_sector_size = life->sector;
	create.log_size = (uint32_t)MIB;
	create.parent = parent;
	if (life->is_foreign)
		make_foreign(store);
	else if (vd_disk_create_io(io, &create, &err) < 0)
		fail_msg("create: %s", err.text);
	vd_io_close(io);
}

struct uses {
	struct vd_use_range range[100];
	size_t n;
};

static int gather(void *user, const struct vd_use_range *range)
{
	struct uses *uses = user;

	if (uses->n < sizeof(uses->range) / sizeof(uses->range[0]))
		uses->range[uses->n++] = *range;
	return 0;
}

/* Some place of len bytes where nothing lies, or right behind the end. */
static uint64_t find_free(const struct uses *uses, uint64_t file_size, uint64_t len,
			  uint64_t *random)
{
	for (int i = 0; i < 40; i++) {
		uint64_t at = (1 + rnd_below(random, file_size / MIB - 1)) * MIB;
		bool is_free = true;

		for (size_t k = 0; k < uses->n; k++)
			is_free &= at + len <= uses->range[k].offset ||
				   at >= uses->range[k].offset + uses->range[k].length;
		if (is_free)
			return at;
	}
	return file_size;
}

static bool is_expected(int ret)
{
	return !ret || ret == VD_ENOENT || ret == VD_EEXIST || ret == VD_EBUSY;
}

static int compact(struct vd_disk *disk, uint64_t *random, struct vd_error *err)
{
	struct vd_compact_opts opts = VD_COMPACT_OPTS_INIT;

	opts.level = (enum vd_compact_level)(1 + rnd_below(random, 3));
	opts.flags = rnd_below(random, 2) ? VD_COMPACT_ZERO_SCAN : 0;
	return vd_compact(disk, &opts, NULL, err);
}

static int move_one(struct vd_disk *disk, const struct uses *uses, uint64_t file_size,
		    uint64_t *random, struct tally *tally, struct vd_error *err)
{
	const struct vd_use_range *use = &uses->range[rnd_below(random, uses->n)];
	int ret;

	/* Of bitmap blocks there are few. */
	for (int i = 0; i < 12 && use->use != VD_USE_BITMAP; i++)
		use = use->use == VD_USE_BLOCK && i > 2 ? use
							: &uses->range[rnd_below(random, uses->n)];
	if (use->use != VD_USE_BLOCK && use->use != VD_USE_BITMAP)
		return 0;
	ret = vd_disk_move_block(disk, use->use, use->number, use->offset,
				 find_free(uses, file_size, use->length, random), 1000, NULL, err);
	tally->n_moved += !ret && use->use == VD_USE_BLOCK;
	tally->n_bitmaps += !ret && use->use == VD_USE_BITMAP;
	return ret;
}

/* Zeros in a block that is to be dropped or punched, so that something comes of it. */
static bool blank(struct workload *w, const struct life *life, uint64_t block, bool is_whole)
{
	uint64_t start = block * life->block;

	if (life->has_threads || start + life->block > life->size)
		return true;
	return is_whole ? workload_blank(w, start, life->block)
			: workload_blank(w, start + 65536, 131072);
}

static bool space_step(struct workload *w, const struct life *life, uint64_t *random,
		       struct tally *tally)
{
	struct vd_space_info info = {.size = sizeof(info)};
	struct vd_error err = VD_ERROR_INIT;
	struct uses uses = {.n = 0};
	const struct vd_use_range *use = uses.range;
	uint64_t n = 0, dice = rnd_below(random, 100);
	int ret = vd_disk_list_use(w->disk, gather, &uses, &err);

	if (!ret)
		ret = vd_disk_get_space(w->disk, &info, &err);
	for (int i = 0; i < 20 && (!i || (use->use != VD_USE_BLOCK && use->use != VD_USE_ANCHOR));
	     i++)
		use = &uses.range[rnd_below(random, uses.n)];
	if (!ret && dice < 48) {
		ret = move_one(w->disk, &uses, info.file_size, random, tally, &err);
	} else if (!ret && dice < 64 && (use->use == VD_USE_BLOCK || use->use == VD_USE_ANCHOR)) {
		if (dice % 4 && use->use == VD_USE_BLOCK && !blank(w, life, use->number, true))
			return false;
		ret = vd_disk_drop_block(w->disk, use->number,
					 dice & 1 ? VD_DROP_ZERO : VD_DROP_HOLE, 1000, &n, &err);
		tally->n_dropped += n != 0;
	} else if (!ret && dice < 76 && use->use == VD_USE_BLOCK) {
		if (!blank(w, life, use->number, false))
			return false;
		ret = vd_disk_punch_block(w->disk, use->number, 4096, 1000, &n, &err);
		ret = ret == VD_EUNSUPPORTED ? 0 : ret;
		tally->n_punched += n != 0;
	} else if (!ret && dice < 90) {
		ret = vd_disk_cut(w->disk, 0, &n, &err);
		tally->n_cut += n < info.file_size;
	} else if (!ret) {
		ret = compact(w->disk, random, &err);
		tally->n_compacted += !ret;
	}
	if (!is_expected(ret))
		snprintf(w->text, sizeof(w->text), "space: %s", err.text);
	return is_expected(ret);
}

#define N_THREADS 2u
#define MAX_ALONE 2000u /* steps after the threads have ended; one of them moves something */

static _Atomic unsigned n_living;
static _Atomic bool has_moved;

static void *live_in_thread(void *arg)
{
	struct workload *w = arg;
	bool ok = true;

	for (unsigned i = 0; ok && (i < 30 || (i < 60 && !atomic_load(&has_moved))); i++)
		ok = workload_step(w);
	atomic_fetch_sub(&n_living, 1);
	return ok ? NULL : w->text;
}

/* Two threads write, discard and flush, each in its half of each window, while blocks move in this
 * one; and a while longer if it came late and none has moved. */
static bool run_threads(struct workload *all, const struct life *life, uint64_t *random,
			struct tally *tally)
{
	static struct window windows[N_THREADS][6];
	static struct workload one[N_THREADS];
	pthread_t threads[N_THREADS];
	unsigned n_alone = 0;
	bool ok = true;

	record_slow_sync(all->record, 200);
	atomic_store(&n_living, N_THREADS);
	atomic_store(&has_moved, false);
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
	for (unsigned i = 0; ok && (atomic_load(&n_living) || i < life->n_steps ||
				    (tally->n_moved < life->min_moved && n_alone < MAX_ALONE));
	     i++) {
		ok = space_step(all, life, random, tally);
		atomic_store(&has_moved, tally->n_moved != 0);
		n_alone += !atomic_load(&n_living);
		usleep(500);
	}
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

/* Zeros now and then, for something to be dropped or punched. */
static bool other_step(struct workload *w, const struct life *life, uint64_t *random)
{
	const struct window *window = &life->windows[rnd_below(random, life->n_windows)];

	uint64_t dice = rnd_below(random, 5);

	if (dice > 1 || window->len < life->block || window->offset % life->block)
		return workload_step(w);
	if (dice == 1)
		return workload_blank(w, window->offset + 65536, 131072);
	return workload_zero(w, window->offset, life->block, VD_ZERO_KEEP_SPACE);
}

static bool run_steps(struct workload *w, const struct life *life, uint64_t *random,
		      struct tally *tally)
{
	bool ok = true;

	for (unsigned i = 0; ok && i < life->n_steps; i++)
		ok = rnd_below(random, 100) < life->space_percent
			 ? space_step(w, life, random, tally)
			 : other_step(w, life, random);
	return ok;
}

static uint64_t n_states_in_all(void)
{
	const char *wanted = getenv("VD_CRASH_STATES");

	return wanted && *wanted ? strtoull(wanted, NULL, 10) : 5000;
}

/* Behind the last sync of a recording there is nothing to cut: ask for a little more. */
static uint64_t n_states_wanted(void)
{
	return n_states_in_all() * 33 / 32 / N_LIVES + 1;
}

static void walk(const struct life *life, struct workload *w, struct store *before,
		 struct model *first)
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
			      .random = 1};

	scene.opts.flags = 0;
	scene_begin(&scene);
	scene_walk(&scene, &player, n_states_wanted());
	scene_end(&scene);
	trace_finish(&player);
	crash_free(scene.crash);
}

static void add_up(const struct tally *tally)
{
	all_done.n_moved += tally->n_moved;
	all_done.n_bitmaps += tally->n_bitmaps;
	all_done.n_dropped += tally->n_dropped;
	all_done.n_punched += tally->n_punched;
	all_done.n_cut += tally->n_cut;
	all_done.n_compacted += tally->n_compacted;
}

static void test_life(void **cmocka_state)
{
	const struct life *life = *cmocka_state;
	struct store *before = store_new(NULL), *store;
	struct model *model = model_new(life->size, (uint64_t)(life - lives) + 71), *first;
	const char *dir = scratch_dir(), *parent = NULL;
	struct workload w = {.opts = VD_OPEN_OPTS_INIT, .model = model, .windows = life->windows};
	struct tally tally = {0, 0, 0, 0, 0, 0};
	uint64_t n_before = count.states, random = 4000 + (uint64_t)(life - lives);
	bool ok;

	w.opts.parent_roots = &dir;
	w.opts.n_parent_roots = 1;
	if (life->type == VD_TYPE_DIFFERENCING)
		parent = make_parent(life, model);
	make_image(life, before, parent);
	first = model_copy(model);
	store = store_new(before);
	w.record = record_new(store);
	if (life->cant_punch)
		record_refuse_punch(w.record);
	w.io = record_io(w.record);
	w.n_windows = life->n_windows;
	w.random = random;
	w.generation = 1000;
	w.never_reopen = life->never_reopen;
	w.opts.cache_bytes = life->never_reopen ? 64u << 10 : 0;
	ok = workload_open(&w);
	ok = ok && (life->has_threads ? run_threads(&w, life, &random, &tally)
				      : run_steps(&w, life, &random, &tally));
	if (!ok || (!life->has_threads && !workload_check(&w)) || !workload_close(&w))
		fail_msg("%s: while recording: %s", life->name, w.text);
	vd_io_close(w.io);
	print_message("%s: %zu calls recorded, %u moved, %u bitmaps, %u dropped, %u punched, "
		      "%u cut, %u compacted, %" PRIu64 " commits, %" PRIu64 " laps\n",
		      life->name, record_now(w.record), tally.n_moved, tally.n_bitmaps,
		      tally.n_dropped, tally.n_punched, tally.n_cut, tally.n_compacted, w.n_commits,
		      w.n_laps);
	assert_true(tally.n_moved >= life->min_moved && tally.n_bitmaps >= life->min_bitmaps);
	assert_true(w.n_laps >= life->min_laps);
	add_up(&tally);
	walk(life, &w, before, first);
	print_message("%s: %" PRIu64 " states\n", life->name, count.states - n_before);
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
	/* The lives without threads do this much, and do it each time. */
	assert_true(all_done.n_moved >= 35 && all_done.n_bitmaps >= 5 && all_done.n_dropped >= 5 &&
		    all_done.n_punched >= 5 && all_done.n_cut >= 8 && all_done.n_compacted >= 5);
	print_message("count: power cuts while blocks move, states examined %" PRIu64 "\n",
		      count.states);
	print_message("count: power cuts while blocks move, states that QEMU replayed %" PRIu64
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
	return _cmocka_run_group_tests("moves crash", tests, n, NULL, NULL);
}
