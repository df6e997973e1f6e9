/* SPDX-License-Identifier: MIT */
/*
 * Power cuts. Each "life" records a random workload; at each moment of the recording, files are
 * built as a power cut may leave them, and each must pass the check, open, hold what was flushed
 * and nothing that was never written, in our read-only view, after our replay, after a cut in
 * the middle of the replay, and after QEMU's replay. VD_CRASH_STATES=N aims for N states.
 * test-timeout: 400
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

#include "model.h"
#include "record.h"
#include "scene.h"
#include "scratch.h"
#include "stamp.h"
#include "store.h"
#include "workload.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

struct life {
	const char *name;
	enum vd_disk_type type;
	uint32_t sector, block;
	uint64_t size;
	struct window windows[10];
	size_t n_windows;
	unsigned n_steps;
	uint32_t flush_percent, discard_percent, max_write;
	bool never_reopen;
	uint64_t min_laps;
	bool is_for_qemu; /* QEMU knows the kind */
	bool cant_punch;  /* the host */
	bool has_threads; /* several write, discard and flush at once */
};

static const struct life lives[] = {
    {"dynamic",
     VD_TYPE_DYNAMIC,
     512,
     1u << 20,
     7 * MIB + 1536,
     {{0, 7 * MIB + 1536}},
     1,
     130,
     .is_for_qemu = true},
    {"dynamic, two chunks",
     VD_TYPE_DYNAMIC,
     512,
     1u << 20,
     5 * GIB,
     {{0, 2 * MIB}, {511 * MIB, 2 * MIB}, {4095 * MIB, 2 * MIB}, {5 * GIB - MIB, MIB}},
     4,
     110,
     .is_for_qemu = true},
    {"dynamic, laps of the log",
     VD_TYPE_DYNAMIC,
     512,
     1u << 20,
     5 * GIB,
     {{0, MIB},
      {600 * MIB, MIB},
      {1200 * MIB, MIB},
      {2300 * MIB, MIB},
      {3300 * MIB, MIB},
      {4200 * MIB, MIB}},
     6,
     800,
     40,
     30,
     4096,
     .never_reopen = true,
     .min_laps = 2,
     .is_for_qemu = true},
    {"dynamic, 4096-byte sectors",
     VD_TYPE_DYNAMIC,
     4096,
     2u << 20,
     9 * MIB,
     {{0, 9 * MIB}},
     1,
     110,
     .is_for_qemu = false},
    {"fixed", VD_TYPE_FIXED, 512, 1u << 20, 6 * MIB, {{0, 6 * MIB}}, 1, 90, .is_for_qemu = true},
    {"differencing",
     VD_TYPE_DIFFERENCING,
     512,
     1u << 20,
     6 * MIB + 512,
     {{0, 6 * MIB + 512}},
     1,
     130,
     .is_for_qemu = false},
    {"differencing, two chunks",
     VD_TYPE_DIFFERENCING,
     512,
     2u << 20,
     5 * GIB,
     {{0, 3 * MIB}, {4094 * MIB, 4 * MIB}},
     2,
     120,
     .is_for_qemu = false},
    {"differencing, 4096-byte sectors",
     VD_TYPE_DIFFERENCING,
     4096,
     1u << 20,
     6 * MIB,
     {{0, 6 * MIB}},
     1,
     110,
     .is_for_qemu = false},
    {"differencing, laps of the log",
     VD_TYPE_DIFFERENCING,
     512,
     1u << 20,
     5 * GIB,
     {{0, MIB}, {700 * MIB, MIB}, {1500 * MIB, MIB}, {2500 * MIB, MIB}, {4200 * MIB, MIB}},
     5,
     700,
     40,
     35,
     4096,
     .never_reopen = true,
     .min_laps = 1},
    {"dynamic, a host without holes",
     VD_TYPE_DYNAMIC,
     512,
     1u << 20,
     5 * MIB,
     {{0, 5 * MIB}},
     1,
     90,
     .discard_percent = 30,
     .is_for_qemu = true,
     .cant_punch = true},
    {"dynamic, four threads",
     VD_TYPE_DYNAMIC,
     512,
     1u << 20,
     5 * GIB,
     {{0, MIB}, {700 * MIB, 2 * MIB}, {2300 * MIB, MIB}, {4200 * MIB, 4 * MIB}},
     4,
     160,
     35,
     .max_write = 16384,
     .is_for_qemu = true,
     .has_threads = true},
    {"differencing, four threads",
     VD_TYPE_DIFFERENCING,
     512,
     1u << 20,
     5 * GIB,
     {{0, MIB}, {700 * MIB, 2 * MIB}, {2300 * MIB, MIB}, {4200 * MIB, 4 * MIB}},
     4,
     160,
     35,
     .max_write = 16384,
     .has_threads = true},
};
#define N_LIVES (sizeof(lives) / sizeof(lives[0]))

static struct scene_count count;

/* A parent on the disk of the host, some of it full of stamps. */
static void make_parent(const struct life *life, struct model *model, const char *path)
{
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk = NULL;
	uint64_t random = 7;
	uint8_t *buf = malloc(256 << 10);

	create.virtual_size = life->size;
	create.block_size = life->block;
	create.logical_sector_size = life->sector;
	opts.flags = VD_OPEN_WRITE;
	unlink(path);
	if (vd_disk_create(path, &create, &err) < 0 || vd_disk_open(&disk, path, &opts, &err) < 0)
		fail_msg("parent: %s", err.text);
	for (uint32_t i = 0; i < 40; i++) {
		const struct window *w = &life->windows[rnd_below(&random, life->n_windows)];
		uint64_t at = rnd_below(&random, w->len / 4096) * 4096;
		size_t n = (size_t)(rnd_below(&random, 64) + 1) * 4096;

		if (n > w->len - at)
			n = (size_t)(w->len - at);
		stamp_fill(buf, n, w->offset + at, i + 1, model_seed(model));
		assert_int_equal(vd_disk_write(disk, buf, n, w->offset + at, &err), 0);
		model_write(model, w->offset + at, n, i + 1);
	}
	assert_int_equal(vd_disk_close(disk, &err), 0);
	model_flushed(model);
	free(buf);
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
	if (vd_disk_create_io(io, &create, &err) < 0)
		fail_msg("create: %s", err.text);
	vd_io_close(io);
}

#define N_THREADS 4u

static void *live_in_thread(void *arg)
{
	struct workload *w = arg;

	for (unsigned i = 0; i < 40; i++)
		if (!workload_step(w))
			return w->text;
	return NULL;
}

/* Each thread has its quarter of each window, so that blocks are shared and sectors aren't. */
static bool run_threads(struct workload *all, const struct life *life)
{
	static struct window windows[N_THREADS][10];
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

static uint64_t n_states_in_all(void)
{
	const char *wanted = getenv("VD_CRASH_STATES");

	return wanted && *wanted ? strtoull(wanted, NULL, 10) : 5000;
}

static uint64_t n_states_wanted(void)
{
	uint64_t share = n_states_in_all() / N_LIVES + 1;

	return share + share / 50; /* a life may offer a few less than asked for */
}

static void test_life(void **cmocka_state)
{
	const struct life *life = *cmocka_state;
	struct store *before = store_new(NULL), *store;
	struct model *model = model_new(life->size, (uint64_t)(life - lives) + 1), *first;
	const char *dir = scratch_dir(), *parent = NULL;
	struct workload w = {.opts = VD_OPEN_OPTS_INIT, .model = model, .windows = life->windows};
	uint64_t n_before = count.states;
	bool ok;

	if (life->type == VD_TYPE_DIFFERENCING) {
		parent = scratch_path("parent.vhdx");
		make_parent(life, model, parent);
	}
	make_image(life, before, parent);
	first = model_copy(model);
	store = store_new(before);
	w.record = record_new(store);
	if (life->cant_punch)
		record_refuse_punch(w.record);
	w.io = record_io(w.record);
	w.opts.parent_roots = &dir;
	w.opts.n_parent_roots = 1;
	w.n_windows = life->n_windows;
	w.random = 1000 + (uint64_t)(life - lives);
	w.generation = 1000;
	w.max_write = life->max_write;
	w.flush_percent = life->flush_percent;
	w.discard_percent = life->discard_percent;
	w.never_reopen = life->never_reopen;
	w.opts.cache_bytes = life->never_reopen ? 64u << 10 : 0;
	ok = workload_open(&w);
	if (life->has_threads)
		ok = ok && run_threads(&w, life);
	for (unsigned i = 0; ok && !life->has_threads && i < life->n_steps; i++)
		ok = workload_step(&w);
	if (!ok || (!life->has_threads && !workload_check(&w)) || !workload_close(&w))
		fail_msg("%s: while recording: %s", life->name, w.text);
	vd_io_close(w.io);
	assert_true(w.n_laps >= life->min_laps);

	struct trace_player player = {.trace = w.trace, .n = w.n_trace, .model = first};
	struct scene scene = {.name = life->name,
			      .windows = life->windows,
			      .n_windows = life->n_windows,
			      .is_for_qemu = life->is_for_qemu,
			      .state = before,
			      .count = &count,
			      .record = w.record,
			      .crash = crash_new(w.record, before),
			      .model = first,
			      .opts = w.opts,
			      .random = 1};
	scene.opts.flags = 0;
	scene_begin(&scene);
	scene_walk(&scene, &player, n_states_wanted());
	scene_end(&scene);
	trace_finish(&player);
	print_message("%s: %zu calls recorded, %" PRIu64 " commits, %" PRIu64 " laps, %" PRIu64
		      " blocks freed, %" PRIu64 " states\n",
		      life->name, record_now(w.record), w.n_commits, w.n_laps, w.n_freed,
		      count.states - n_before);
	crash_free(scene.crash);
	record_free(w.record);
	workload_free_trace(&w);
	model_free(first);
	model_free(model);
	store_free(store);
	store_free(before);
}

/* A crash test that crashed nothing proves nothing. */
static void test_enough_states(void **cmocka_state)
{
	(void)cmocka_state;
	print_message("%" PRIu64 " states (", count.states);
	for (int i = 0; i < CRASH_N_KINDS; i++)
		print_message("%s%" PRIu64 " %s", i ? ", " : "", count.by_kind[i],
			      crash_kind_name((enum crash_kind)i));
	print_message("), %" PRIu64 " with a dirty log, up to %" PRIu64 " changes pending; %" PRIu64
		      " cuts in a replay; %" PRIu64 " used further; %" PRIu64
		      " replayed by QEMU (%" PRIu64 " dirty)\n",
		      count.dirty ? count.dirty : 0, count.max_pending, count.nested, count.went_on,
		      count.qemu, count.qemu_dirty);
	assert_true(count.dirty >= count.states / 10);
	assert_true(count.by_kind[CRASH_TORN] && count.by_kind[CRASH_SUBSET]);
	assert_true(count.nested > 0);
	print_message("count: power cuts, states examined %" PRIu64 "\n", count.states);
	print_message("count: power cuts during a replay %" PRIu64 "\n", count.nested);
	print_message("count: power cuts, states that QEMU replayed %" PRIu64 "\n", count.qemu);
	assert_true(count.states >= n_states_in_all());
	if (scratch_has("qemu-io"))
		assert_true(count.qemu >= 200);
	else
		print_message("QEMU isn't installed: its replay wasn't compared\n");
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
	return _cmocka_run_group_tests("crash", tests, n, NULL, NULL);
}
