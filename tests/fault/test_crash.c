/* SPDX-License-Identifier: MIT */
/*
 * Power cuts. Each "life" records a random workload; at each moment of the recording, files are
 * built as a power cut may leave them, and each must pass the check, open, hold what was flushed
 * and nothing that was never written, in our read-only view, after our replay, after a cut in
 * the middle of the replay, and after QEMU's replay. VD_CRASH_STATES=N aims for N states.
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
#include <unistd.h>

#include <vdisk/disk.h>

#include "model.h"
#include "record.h"
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
	uint32_t flush_percent, max_write;
	uint64_t min_laps;
	bool is_for_qemu; /* QEMU knows the kind */
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
     0,
     0,
     0,
     true},
    {"dynamic, two chunks",
     VD_TYPE_DYNAMIC,
     512,
     1u << 20,
     5 * GIB,
     {{0, 2 * MIB}, {511 * MIB, 2 * MIB}, {4095 * MIB, 2 * MIB}, {5 * GIB - MIB, MIB}},
     4,
     110,
     0,
     0,
     0,
     true},
    {"dynamic, laps of the log",
     VD_TYPE_DYNAMIC,
     512,
     1u << 20,
     5 * GIB,
     {{0, MIB},
      {600 * MIB, MIB},
      {1200 * MIB, MIB},
      {1700 * MIB, MIB},
      {2300 * MIB, MIB},
      {2800 * MIB, MIB},
      {3300 * MIB, MIB},
      {3900 * MIB, MIB},
      {4200 * MIB, MIB}},
     9,
     450,
     35,
     4096,
     2,
     true},
    {"dynamic, 4096-byte sectors",
     VD_TYPE_DYNAMIC,
     4096,
     2u << 20,
     9 * MIB,
     {{0, 9 * MIB}},
     1,
     110,
     0,
     0,
     0,
     false},
    {"fixed", VD_TYPE_FIXED, 512, 1u << 20, 6 * MIB, {{0, 6 * MIB}}, 1, 90, 0, 0, 0, true},
    {"differencing",
     VD_TYPE_DIFFERENCING,
     512,
     1u << 20,
     6 * MIB + 512,
     {{0, 6 * MIB + 512}},
     1,
     130,
     0,
     0,
     0,
     false},
    {"differencing, two chunks",
     VD_TYPE_DIFFERENCING,
     512,
     2u << 20,
     5 * GIB,
     {{0, 3 * MIB}, {4094 * MIB, 4 * MIB}},
     2,
     120,
     0,
     0,
     0,
     false},
    {"differencing, 4096-byte sectors",
     VD_TYPE_DIFFERENCING,
     4096,
     1u << 20,
     6 * MIB,
     {{0, 6 * MIB}},
     1,
     110,
     0,
     0,
     0,
     false},
    {"differencing, laps of the log",
     VD_TYPE_DIFFERENCING,
     512,
     1u << 20,
     5 * GIB,
     {{0, MIB}, {700 * MIB, MIB}, {1500 * MIB, MIB}, {2500 * MIB, MIB}, {4200 * MIB, MIB}},
     5,
     450,
     40,
     4096,
     1,
     false},
};
#define N_LIVES (sizeof(lives) / sizeof(lives[0]))

/* What the whole program did. */
static struct {
	uint64_t states, by_kind[CRASH_N_KINDS], dirty, nested, went_on, qemu, qemu_dirty;
	uint64_t max_pending;
} count;

/* One state under examination, and what a failure's report needs. */
struct scene {
	const struct life *life;
	struct crash *crash;
	struct record *record;
	struct model *model;
	struct vd_open_opts opts;
	size_t moment;
	enum crash_kind kind;
	struct store *state;
	const char *step;
	uint64_t random;
};

static void fail_scene(struct scene *s, const char *text)
{
	char line[200];

	print_error("%s: %s\n  %s, moment %zu (%s), %zu changes pending; the last ones:\n", s->step,
		    text, s->life->name, s->moment, crash_kind_name(s->kind),
		    crash_n_pending(s->crash));
	for (size_t i = s->moment > 12 ? s->moment - 12 : 0; i < s->moment; i++)
		print_error("    %s\n", record_describe(s->record, i, line, sizeof(line)));
	if (store_save(s->state, "/tmp/vdisk-failed-state.vhdx"))
		print_error("  the state is kept as /tmp/vdisk-failed-state.vhdx\n");
	fail();
}

static void tell_finding(void *user, const struct vd_finding *finding)
{
	struct scene *s = user;
	char text[1000];

	if (finding->severity != VD_FINDING_ERROR)
		return;
	snprintf(text, sizeof(text), "check: %s at 0x%" PRIx64 ": %s; %s", finding->rule,
		 finding->offset, finding->found, finding->expected);
	fail_scene(s, text);
}

static void check_clean(struct scene *s, struct store *state)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_open_opts opts = s->opts;
	struct vd_io *io = store_io(state, false);
	uint64_t n_errors = 0;

	opts.flags = VD_OPEN_NO_PARENTS;
	if (vd_disk_check_io(io, &opts, tell_finding, s, &n_errors, &err) < 0)
		fail_scene(s, err.text);
	if (n_errors)
		fail_scene(s, "check counts errors that it didn't tell");
	vd_io_close(io);
}

static struct vd_disk *open_state(struct scene *s, struct store *state, uint32_t flags)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_open_opts opts = s->opts;
	struct vd_io *io = store_io(state, (flags & VD_OPEN_WRITE) != 0);
	struct vd_disk *disk = NULL;

	opts.flags = flags;
	if (vd_disk_open_io(&disk, io, &opts, &err) < 0)
		fail_scene(s, err.text);
	vd_io_close(io);
	return disk;
}

static void close_state(struct scene *s, struct vd_disk *disk)
{
	struct vd_error err = VD_ERROR_INIT;

	if (vd_disk_close(disk, &err) < 0)
		fail_scene(s, err.text);
}

/* Content is allowed; its hash, and whether the log was dirty. */
static uint64_t look_at(struct scene *s, struct store *state, uint32_t flags, bool *is_dirty)
{
	struct vd_disk *disk = open_state(s, state, flags);
	struct vd_disk_info info = {.size = sizeof(info)};
	char text[800];
	uint64_t hash;

	if (!model_check_disk(s->model, MODEL_CRASH, disk, text, sizeof(text)))
		fail_scene(s, text);
	hash = model_hash_disk(s->model, disk);
	vd_disk_get_info(disk, &info);
	*is_dirty = info.has_dirty_log;
	close_state(s, disk);
	return hash;
}

/* A power cut in the middle of the recovery, at each of its steps. */
static void cut_recovery(struct scene *s)
{
	struct store *second = store_new(s->state);
	struct record *record = record_new(second);
	struct vd_io *io = record_io(record);
	struct vd_open_opts opts = s->opts;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk = NULL;
	struct crash *crash;
	bool is_dirty;

	opts.flags = VD_OPEN_WRITE;
	if (vd_disk_open_io(&disk, io, &opts, &err) < 0)
		fail_scene(s, err.text);
	close_state(s, disk);
	vd_io_close(io);
	crash = crash_new(record, s->state);
	for (size_t n = 1; n <= record_now(record); n++) {
		crash_advance(crash, n);
		if (!crash_n_pending(crash))
			continue;
		for (int i = 0; i < 2; i++) {
			struct store *state =
			    crash_state(crash, i ? CRASH_TORN : CRASH_PREFIX, &s->random);

			s->step = "after a cut in the replay";
			check_clean(s, state);
			look_at(s, state, VD_OPEN_WRITE, &is_dirty);
			store_free(state);
			count.nested++;
		}
	}
	crash_free(crash);
	record_free(record);
	store_free(second);
}

/* The recovered image is used further. */
static void go_on(struct scene *s)
{
	struct store *store = store_new(s->state);
	struct vd_io *io = store_io(store, true);
	struct workload w = {.io = io,
			     .opts = s->opts,
			     .model = model_copy(s->model),
			     .windows = s->life->windows,
			     .n_windows = s->life->n_windows,
			     .random = s->random,
			     .generation = 1u << 24};
	bool ok;

	s->step = "going on after the replay";
	ok = workload_open(&w) && model_adopt(w.model, w.disk, w.text, sizeof(w.text));
	for (int i = 0; ok && i < 12; i++)
		ok = workload_step(&w);
	if (!ok || !workload_check(&w) || !workload_close(&w))
		fail_scene(s, w.text);
	check_clean(s, store);
	workload_free_trace(&w);
	model_free(w.model);
	vd_io_close(io);
	store_free(store);
	count.went_on++;
}

/* QEMU opens it for writing, which replays, then we look again. */
static void ask_qemu(struct scene *s, uint64_t hash, bool is_dirty)
{
	const char *image = scratch_path("state.vhdx"), *raw = scratch_path("state.raw");
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk = NULL;
	char text[800];

	s->step = "QEMU";
	unlink(image);
	if (!store_save(s->state, image))
		fail_scene(s, "the state can't be written to a file");
	if (scratch_run("qemu-img check -q -r all -f vhdx '%s' >'%s.out' 2>&1 </dev/null", image,
			image) != 0 ||
	    scratch_run("qemu-io -f vhdx -c 'read 0 512' '%s' >>'%s.out' 2>&1 </dev/null", image,
			image) != 0 ||
	    scratch_run("qemu-img convert -f vhdx -O raw '%s' '%s' >>'%s.out' 2>&1", image, raw,
			image) != 0) {
		(void)scratch_run("cat '%s.out' >&2", image);
		fail_scene(s, "qemu-img or qemu-io refuses it");
	}
	if (!model_check_raw(s->model, MODEL_CRASH, raw, text, sizeof(text)))
		fail_scene(s, text);
	if (model_hash_raw(s->model, raw) != hash)
		fail_scene(s, "QEMU's replay gives another content than ours");
	s->step = "after QEMU";
	if (vd_disk_open(&disk, image, &s->opts, &err) < 0)
		fail_scene(s, err.text);
	if (model_hash_disk(s->model, disk) != hash)
		fail_scene(s, "we read another content after QEMU's replay");
	close_state(s, disk);
	unlink(image);
	unlink(raw);
	count.qemu++;
	count.qemu_dirty += is_dirty;
}

static void examine(struct scene *s)
{
	struct store *opened;
	uint64_t hash, file_hash = count.states % 16 ? 0 : store_hash(s->state);
	bool is_dirty, still_dirty;

	s->step = "the state as it is";
	check_clean(s, s->state);
	hash = look_at(s, s->state, 0, &is_dirty);
	if (file_hash && store_hash(s->state) != file_hash)
		fail_scene(s, "a read-only opening changed the file");
	if (count.states % 29 == 0 && is_dirty)
		cut_recovery(s);
	if (count.states % 23 == 0)
		go_on(s);
	if (s->life->is_for_qemu && count.states % 41 == 0 && scratch_has("qemu-io"))
		ask_qemu(s, hash, is_dirty);
	s->step = "after the replay";
	opened = store_new(s->state);
	if (look_at(s, opened, VD_OPEN_WRITE, &still_dirty) != hash)
		fail_scene(s, "the replay gives another content than the read-only view");
	check_clean(s, opened);
	if (count.states % 5 == 0 && (look_at(s, opened, 0, &still_dirty) != hash || still_dirty))
		fail_scene(s, "closing didn't leave it clean with the same content");
	store_free(opened);
	count.dirty += is_dirty;
	count.by_kind[s->kind]++;
	count.states++;
}

static void try_moment(struct scene *s, enum crash_kind kind)
{
	s->kind = kind;
	s->state = crash_state(s->crash, kind, &s->random);
	examine(s);
	store_free(s->state);
}

/* All prefixes; between them, other kinds as often as the wanted number of states asks for. */
static void try_all_moments(struct scene *s, struct trace_player *player, uint64_t n_wanted)
{
	size_t n = record_now(s->record), was_pending = 0;
	uint64_t n_before = count.states;

	for (size_t moment = 0; moment <= n; moment++) {
		size_t n_pending;

		s->moment = moment;
		crash_advance(s->crash, moment);
		trace_advance(player, moment);
		n_pending = crash_n_pending(s->crash);
		if (n_pending > count.max_pending)
			count.max_pending = n_pending;
		if (n_pending == was_pending + 1 || moment == n)
			try_moment(s, CRASH_PREFIX);
		was_pending = n_pending;
		while (n_pending && (count.states - n_before) * (n + 1) < n_wanted * (moment + 1))
			try_moment(s, n_pending == 1
					  ? CRASH_LAST
					  : CRASH_LOST + (enum crash_kind)rnd_below(
							     &s->random, CRASH_N_KINDS - 1));
	}
}

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

static uint64_t n_states_wanted(void)
{
	const char *wanted = getenv("VD_CRASH_STATES");

	return (wanted && *wanted ? strtoull(wanted, NULL, 10) : 3000) / N_LIVES + 1;
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
	w.io = record_io(w.record);
	w.opts.parent_roots = &dir;
	w.opts.n_parent_roots = 1;
	w.n_windows = life->n_windows;
	w.random = 1000 + (uint64_t)(life - lives);
	w.generation = 1000;
	w.max_write = life->max_write;
	w.flush_percent = life->flush_percent;
	ok = workload_open(&w);
	for (unsigned i = 0; ok && i < life->n_steps; i++)
		ok = workload_step(&w);
	if (!ok || !workload_check(&w) || !workload_close(&w))
		fail_msg("%s: while recording: %s", life->name, w.text);
	vd_io_close(w.io);
	assert_true(w.n_laps >= life->min_laps);

	struct trace_player player = {.trace = w.trace, .n = w.n_trace, .model = first};
	struct scene scene = {.life = life,
			      .record = w.record,
			      .crash = crash_new(w.record, before),
			      .model = first,
			      .opts = w.opts,
			      .random = 1};
	scene.opts.flags = 0;
	try_all_moments(&scene, &player, n_states_wanted());
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
	assert_true(count.states >= 1000);
	assert_true(count.dirty >= count.states / 10);
	assert_true(count.by_kind[CRASH_TORN] && count.by_kind[CRASH_SUBSET]);
	assert_true(count.nested > 0);
	if (scratch_has("qemu-io"))
		assert_true(count.qemu >= 30);
	else
		print_message("QEMU isn't installed: its replay wasn't compared\n");
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[N_LIVES + 1];
	const char *only = argc > 1 ? argv[1] : NULL;
	size_t n = 0;

	for (size_t i = 0; i < N_LIVES; i++)
		if (!only || strstr(lives[i].name, only))
			tests[n++] = (struct CMUnitTest){lives[i].name, test_life, NULL, NULL,
							 (void *)(uintptr_t)&lives[i]};
	if (!only)
		tests[n++] =
		    (struct CMUnitTest){"enough states", test_enough_states, NULL, NULL, NULL};
	return _cmocka_run_group_tests("crash", tests, n, NULL, NULL);
}
