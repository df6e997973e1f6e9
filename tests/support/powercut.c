/* SPDX-License-Identifier: MIT */
/* Power cuts in the life of an image: see powercut.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "powercut.h"
#include "scratch.h"
#include "stamp.h"

#define MIB       ((uint64_t)1 << 20)
#define MAX_LIVES 32

void powercut_begin(struct powercut *cut, const struct powercut_life *life, uint64_t model_seed)
{
	size_t n = 0;

	while (n < POWERCUT_MAX_WINDOWS && life->windows[n].len)
		n++;
	*cut = (struct powercut){.life = life,
				 .before = store_new(NULL),
				 .folder = scratch_dir(),
				 .block = life->block ? life->block : (uint32_t)MIB,
				 .w = {.opts = VD_OPEN_OPTS_INIT,
				       .model = model_new(life->size, model_seed),
				       .windows = life->windows,
				       .n_windows = n,
				       .generation = 1000,
				       .max_write = life->max_write,
				       .flush_percent = life->flush_percent,
				       .discard_percent = life->discard_percent,
				       .never_reopen = life->never_reopen}};
	cut->w.opts.parent_roots = &cut->folder;
	cut->w.opts.n_parent_roots = 1;
	cut->w.opts.cache_bytes = life->cache_bytes;
}

static struct vd_create_opts shape_of(const struct powercut *cut)
{
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;

	create.virtual_size = cut->life->size;
	create.block_size = cut->block;
	create.logical_sector_size = cut->life->sector;
	return create;
}

/* A stretch of a random window is full of stamps, in the model too. */
static void fill_one(struct powercut *cut, struct vd_disk *disk, uint64_t *random,
		     uint32_t generation)
{
	static uint8_t buf[256 << 10];
	const struct window *w = &cut->w.windows[rnd_below(random, cut->w.n_windows)];
	uint64_t at = rnd_below(random, w->len / 4096) * 4096;
	size_t n = (size_t)(rnd_below(random, sizeof(buf) / 4096) + 1) * 4096;
	struct vd_error err = VD_ERROR_INIT;

	if (n > w->len - at)
		n = (size_t)(w->len - at);
	stamp_fill(buf, n, w->offset + at, generation, model_seed(cut->w.model));
	if (vd_disk_write(disk, buf, n, w->offset + at, &err) < 0)
		fail_msg("parent: %s", err.text);
	model_write(cut->w.model, w->offset + at, n, generation);
}

void powercut_make_parent(struct powercut *cut, unsigned n_writes)
{
	struct vd_create_opts create = shape_of(cut);
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk = NULL;
	uint64_t random = 7;

	if (cut->life->type != VD_TYPE_DIFFERENCING)
		return;
	opts.flags = VD_OPEN_WRITE;
	cut->parent = scratch_path("parent.vhdx");
	unlink(cut->parent);
	if (vd_disk_create(cut->parent, &create, &err) < 0 ||
	    vd_disk_open(&disk, cut->parent, &opts, &err) < 0)
		fail_msg("parent: %s", err.text);
	for (uint32_t i = 0; i < n_writes; i++)
		fill_one(cut, disk, &random, i + 1);
	if (vd_disk_close(disk, &err) < 0)
		fail_msg("parent: %s", err.text);
	model_flushed(cut->w.model);
}

void powercut_make_image(struct powercut *cut)
{
	struct vd_create_opts create = shape_of(cut);
	struct vd_error err = VD_ERROR_INIT;
	struct vd_io *io = store_io(cut->before, true);

	create.type = cut->life->type;
	create.log_size = cut->life->log ? cut->life->log : (uint32_t)MIB;
	create.parent = cut->parent;
	create.parent_roots = cut->w.opts.parent_roots;
	create.n_parent_roots = cut->w.opts.n_parent_roots;
	if (vd_disk_create_io(io, &create, &err) < 0)
		fail_msg("create: %s", err.text);
	vd_io_close(io);
}

struct vd_disk *powercut_open_image(struct powercut *cut)
{
	struct vd_io *io = store_io(cut->before, true);
	struct vd_disk *disk = scratch_open_io(io, VD_OPEN_WRITE);

	vd_io_close(io);
	return disk;
}

void powercut_record(struct powercut *cut, uint64_t random)
{
	cut->first = model_copy(cut->w.model);
	cut->after = store_new(cut->before);
	cut->w.record = record_new(cut->after);
	if (cut->life->cant_punch)
		record_refuse_punch(cut->w.record);
	cut->w.io = record_io(cut->w.record);
	cut->w.random = random;
	if (!workload_open(&cut->w))
		fail_msg("%s: %s", cut->life->name, cut->w.text);
}

void powercut_stop(struct powercut *cut, bool ok)
{
	struct workload *w = &cut->w;

	/* Of what threads wrote, only the trace knows. */
	if (!ok || (!cut->had_threads && !workload_check(w)) || !workload_close(w))
		fail_msg("%s: while recording: %s", cut->life->name, w->text);
	vd_io_close(w->io);
	print_message("%s: %zu calls recorded, %" PRIu64 " commits, %" PRIu64 " laps, %" PRIu64
		      " blocks freed\n",
		      cut->life->name, record_now(w->record), w->n_commits, w->n_laps, w->n_freed);
	assert_true(w->n_laps >= cut->life->min_laps);
}

void powercut_walk(struct powercut *cut, uint64_t n_wanted, struct scene_count *count)
{
	struct trace_player player = {
	    .trace = cut->w.trace, .n = cut->w.n_trace, .model = cut->first};
	struct scene scene = {.name = cut->life->name,
			      .windows = cut->w.windows,
			      .n_windows = cut->w.n_windows,
			      .is_for_qemu = cut->life->is_for_qemu,
			      .state = cut->before,
			      .count = count,
			      .record = cut->w.record,
			      .crash = crash_new(cut->w.record, cut->before),
			      .model = cut->first,
			      .opts = cut->w.opts,
			      .random = 1,
			      .also = cut->also,
			      .also_user = cut->also_user};
	uint64_t n_before = count->states;

	scene.opts.flags = 0;
	scene_begin(&scene);
	scene_walk(&scene, &player, n_wanted);
	scene_end(&scene);
	trace_finish(&player);
	crash_free(scene.crash);
	print_message("%s: %" PRIu64 " states\n", cut->life->name, count->states - n_before);
}

void powercut_end(struct powercut *cut)
{
	record_free(cut->w.record);
	workload_free_trace(&cut->w);
	model_free(cut->first);
	model_free(cut->w.model);
	store_free(cut->after);
	store_free(cut->before);
}

static void *live_in_thread(void *arg)
{
	struct powercut_thread *one = arg;
	struct powercut_threads *all = one->all;
	unsigned n = all->n_steps;
	bool ok = true;

	for (unsigned i = 0;
	     ok && (i < n || (i < n + all->n_more && !atomic_load(&all->is_enough))); i++)
		ok = workload_step(&one->w);
	atomic_fetch_sub(&all->n_living, 1);
	return ok ? NULL : one->w.text;
}

void powercut_start_threads(struct powercut_threads *threads, struct powercut *cut)
{
	assert_true(threads->n <= POWERCUT_MAX_THREADS);
	cut->had_threads = true;
	record_slow_sync(cut->w.record, 200); /* so that they meet in it */
	atomic_store(&threads->n_living, threads->n);
	for (unsigned i = 0; i < threads->n; i++) {
		struct window *windows = threads->windows[i];
		struct workload *w = &threads->one[i].w;

		threads->one[i].all = threads;
		*w = cut->w;
		w->trace = NULL;
		w->n_trace = w->cap_trace = 0;
		w->model = model_copy(cut->w.model);
		w->windows = windows;
		w->random += i;
		w->generation += i * 10000;
		w->never_reopen = true;
		for (size_t k = 0; k < w->n_windows; k++) {
			windows[k] = cut->w.windows[k];
			windows[k].len /= threads->n;
			windows[k].offset += i * windows[k].len;
		}
		pthread_create(&threads->ids[i], NULL, live_in_thread, &threads->one[i]);
	}
}

bool powercut_join_threads(struct powercut_threads *threads, struct powercut *cut)
{
	bool ok = true;

	for (unsigned i = 0; i < threads->n; i++) {
		void *text;

		pthread_join(threads->ids[i], &text);
		if (text)
			snprintf(cut->w.text, sizeof(cut->w.text), "%s", (char *)text);
		ok = ok && !text;
		workload_take_trace(&cut->w, &threads->one[i].w);
		model_free(threads->one[i].w.model);
	}
	record_slow_sync(cut->w.record, 0);
	return ok;
}

uint64_t powercut_n_states(uint64_t usual)
{
	const char *wanted = getenv("VD_CRASH_STATES");

	return wanted && *wanted ? strtoull(wanted, NULL, 10) : usual;
}

uint64_t powercut_share(uint64_t n_states, size_t n_lives)
{
	return n_states * 33 / 32 / n_lives + 1;
}

void powercut_count(const struct scene_count *count, const char *what, uint64_t min_states,
		    uint64_t min_qemu)
{
	print_message("%" PRIu64 " states (", count->states);
	for (int i = 0; i < CRASH_N_KINDS; i++)
		print_message("%s%" PRIu64 " %s", i ? ", " : "", count->by_kind[i],
			      crash_kind_name((enum crash_kind)i));
	print_message("), %" PRIu64 " with a dirty log, up to %" PRIu64 " changes pending; %" PRIu64
		      " cuts in a replay; %" PRIu64 " used further; %" PRIu64
		      " replayed by QEMU (%" PRIu64 " dirty)\n",
		      count->dirty, count->max_pending, count->nested, count->went_on, count->qemu,
		      count->qemu_dirty);
	assert_true(count->dirty >= count->states / 10);
	assert_true(count->by_kind[CRASH_TORN] && count->by_kind[CRASH_SUBSET]);
	assert_true(count->nested > 0);
	print_message("count: %s, states examined %" PRIu64 "\n", what, count->states);
	print_message("count: %s, states that QEMU replayed %" PRIu64 "\n", what, count->qemu);
	assert_true(count->states >= min_states);
	if (scratch_has("qemu-io"))
		assert_true(count->qemu >= min_qemu);
	else
		print_message("QEMU isn't installed: its replay wasn't compared\n");
}

int powercut_main(const char *group, const struct powercut_life *lives, size_t n,
		  void (*test)(void **life), void (*at_end)(void **state), int argc, char **argv)
{
	struct CMUnitTest tests[MAX_LIVES + 1];

	if (n > MAX_LIVES)
		abort();
	for (size_t i = 0; i < n; i++)
		tests[i] = (struct CMUnitTest){lives[i].name, test, NULL, NULL,
					       (void *)(uintptr_t)&lives[i]};
	tests[n] = (struct CMUnitTest){"enough states", at_end, NULL, NULL, NULL};
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return _cmocka_run_group_tests(group, tests, n + 1, NULL, NULL);
}
