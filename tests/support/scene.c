/* SPDX-License-Identifier: MIT */
/* One file after a power cut: see scene.h. */
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

#include "scene.h"
#include "scratch.h"
#include "stamp.h"

static void fail_scene(struct scene *s, const char *text)
{
	char line[200];

	print_error("%s: %s\n  %s, moment %zu (%s), %zu changes pending; the last ones:\n", s->step,
		    text, s->name, s->moment, crash_kind_name(s->kind), crash_n_pending(s->crash));
	for (size_t i = s->moment > 12 ? s->moment - 12 : 0; i < s->moment; i++)
		print_error("    %s\n", record_describe(s->record, i, line, sizeof(line)));
	/* What QEMU is asked later lies in files of its own by then. */
	if (s->state && store_save(s->state, scratch_path("failed-state.vhdx")))
		print_error("  the state is kept as %s\n", scratch_path("failed-state.vhdx"));
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

static void look_also(struct scene *s, struct vd_disk *disk)
{
	char text[800];

	if (s->also && !s->also(s->also_user, s->moment, disk, text, sizeof(text)))
		fail_scene(s, text);
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
	look_also(s, disk);
	hash = model_hash_disk(s->model, disk);
	vd_disk_get_info(disk, &info);
	*is_dirty = info.has_dirty_log;
	if (hash != s->first_hash && !memcmp(info.data_write_id, s->first_id, 16))
		fail_scene(s, "the content has changed, the DataWriteGuid hasn't");
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
			s->count->nested++;
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
			     .windows = s->windows,
			     .n_windows = s->n_windows,
			     .random = s->random,
			     .generation = 1u << 24};
	bool ok;

	s->step = "going on after the replay";
	ok = workload_open(&w) && model_adopt(w.model, w.disk, w.text, sizeof(w.text));
	for (int i = 0; ok && i < 12; i++)
		ok = workload_step(&w);
	if (!ok || !workload_check(&w))
		fail_scene(s, w.text);
	look_also(s, w.disk);
	if (!workload_close(&w))
		fail_scene(s, w.text);
	check_clean(s, store);
	workload_free_trace(&w);
	model_free(w.model);
	vd_io_close(io);
	store_free(store);
	s->count->went_on++;
}

#define N_BATCH 16
#define MAX_RAW ((uint64_t)64 << 20) /* of the disk, for a copy by QEMU */

struct scene_batch {
	unsigned n;
	struct {
		uint64_t hash;
		bool is_dirty;
		size_t moment;
		enum crash_kind kind;
	} at[N_BATCH];
};

static bool has_qemu(void)
{
	static int answer = -1;

	if (answer < 0)
		answer = scratch_has("qemu-io") && scratch_has("qemu-img");
	return answer;
}

static const char *batch_path(unsigned i)
{
	char name[40];

	snprintf(name, sizeof(name), "state-%u.vhdx", i);
	return scratch_path(name);
}

/* The disk as QEMU's own reader shows it. */
static void compare_by_qemu(struct scene *s, const char *image, uint64_t hash)
{
	const char *raw = scratch_path("state.raw");
	char text[800];

	if (scratch_run("qemu-img convert -f vhdx -O raw '%s' '%s' >&2", image, raw) != 0)
		fail_scene(s, "qemu-img convert refuses it");
	if (model_hash_raw(s->model, raw) != hash) {
		if (!model_check_raw(s->model, MODEL_CRASH, raw, text, sizeof(text)))
			fail_scene(s, text);
		fail_scene(s, "QEMU's replay gives another content than ours");
	}
	unlink(raw);
}

/* One process opens them all for writing, which replays; then we look again, with `hash` as what
 * our view of the state showed. */
static void ask_qemu(struct scene *s)
{
	struct scene_batch *batch = s->batch;
	char command[N_BATCH * 200] = "";
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk_info info = {.size = sizeof(info)};
	size_t n = 0;

	for (unsigned i = 0; i < batch->n; i++)
		n += (size_t)snprintf(command + n, sizeof(command) - n,
				      " -c 'open -o driver=vhdx %s' -c 'read 0 512' -c close",
				      batch_path(i));
	s->step = "QEMU";
	if (batch->n && scratch_run("timeout 120 qemu-io%s >'%s' 2>&1 </dev/null && "
				    "[ $(grep -c '^read 512/512' '%s') = %u ]",
				    command, scratch_path("qemu.out"), scratch_path("qemu.out"),
				    batch->n) != 0) {
		(void)scratch_run("cat '%s' >&2", scratch_path("qemu.out"));
		fail_scene(s, "qemu-io refuses one of the last states (state-N.vhdx, kept)");
	}
	for (unsigned i = 0; i < batch->n; i++) {
		struct vd_disk *disk = NULL;

		s->moment = batch->at[i].moment;
		s->kind = batch->at[i].kind;
		s->step = "after QEMU's replay";
		if (vd_disk_open(&disk, batch_path(i), &s->opts, &err) < 0)
			fail_scene(s, err.text);
		vd_disk_get_info(disk, &info);
		if (info.has_dirty_log)
			fail_scene(s, "QEMU hasn't replayed the log");
		if (model_hash_disk(s->model, disk) != batch->at[i].hash)
			fail_scene(s, "we read another content than before");
		look_also(s, disk);
		close_state(s, disk);
		if (i % 4 == 0 && model_size(s->model) <= MAX_RAW)
			compare_by_qemu(s, batch_path(i), batch->at[i].hash);
		unlink(batch_path(i));
		s->count->qemu++;
		s->count->qemu_dirty += batch->at[i].is_dirty;
	}
	batch->n = 0;
}

static void keep_for_qemu(struct scene *s, uint64_t hash, bool is_dirty)
{
	unsigned i;

	if (!s->batch)
		s->batch = calloc(1, sizeof(*s->batch));
	i = s->batch->n++;
	s->batch->at[i].hash = hash;
	s->batch->at[i].is_dirty = is_dirty;
	s->batch->at[i].moment = s->moment;
	s->batch->at[i].kind = s->kind;
	unlink(batch_path(i));
	if (!store_save(s->state, batch_path(i)))
		fail_scene(s, "the state can't be written to a file");
	if (s->batch->n == N_BATCH)
		ask_qemu(s);
}

void scene_end(struct scene *s)
{
	if (s->batch)
		ask_qemu(s);
	free(s->batch);
	s->batch = NULL;
}

void scene_begin(struct scene *s)
{
	struct vd_disk *disk = open_state(s, s->state, 0);
	struct vd_disk_info info = {.size = sizeof(info)};

	vd_disk_get_info(disk, &info);
	memcpy(s->first_id, info.data_write_id, 16);
	s->first_hash = model_hash_disk(s->model, disk);
	close_state(s, disk);
}

void scene_examine(struct scene *s)
{
	struct store *opened;
	uint64_t hash, file_hash = s->count->states % 16 ? 0 : store_hash(s->state);
	bool is_dirty, still_dirty;

	s->step = "the state as it is";
	check_clean(s, s->state);
	hash = look_at(s, s->state, 0, &is_dirty);
	if (file_hash && store_hash(s->state) != file_hash)
		fail_scene(s, "a read-only opening changed the file");
	if (s->count->states % 97 == 0 && is_dirty)
		cut_recovery(s);
	if (s->count->states % 31 == 0)
		go_on(s);
	if (s->is_for_qemu && s->count->states % 12 == 0 && has_qemu())
		keep_for_qemu(s, hash, is_dirty);
	s->step = "after the replay";
	opened = store_new(s->state);
	if (look_at(s, opened, VD_OPEN_WRITE, &still_dirty) != hash)
		fail_scene(s, "the replay gives another content than the read-only view");
	check_clean(s, opened);
	if (s->count->states % 5 == 0 &&
	    (look_at(s, opened, 0, &still_dirty) != hash || still_dirty))
		fail_scene(s, "closing didn't leave it clean with the same content");
	store_free(opened);
	s->count->dirty += is_dirty;
	s->count->by_kind[s->kind]++;
	s->count->states++;
}

static void try_state(struct scene *s, enum crash_kind kind, struct store *state)
{
	s->kind = kind;
	s->state = state;
	scene_examine(s);
	s->state = NULL;
	store_free(state);
}

/* While few changes are pending, every subset of them that has the last one (those without it
 * were seen a moment before); when there are more, some. */
static void try_subsets(struct scene *s, size_t n_pending)
{
	uint64_t last = (uint64_t)1 << (n_pending - 1);

	if (n_pending <= 3) {
		for (uint64_t mask = 0; mask < last - 1; mask++)
			try_state(s, CRASH_SUBSET, crash_subset(s->crash, mask | last));
		return;
	}
	try_state(s, CRASH_SUBSET, crash_state(s->crash, CRASH_SUBSET, &s->random));
	if (n_pending <= 64) /* the last one has overtaken all others */
		try_state(s, CRASH_SUBSET, crash_subset(s->crash, last));
}

void scene_walk(struct scene *s, struct trace_player *player, uint64_t n_wanted)
{
	size_t n = record_now(s->record), was_pending = 0;
	uint64_t n_before = s->count->states;

	for (size_t moment = 0; moment <= n; moment++) {
		size_t n_pending;

		s->moment = moment;
		crash_advance(s->crash, moment);
		trace_advance(player, moment);
		n_pending = crash_n_pending(s->crash);
		if (n_pending > s->count->max_pending)
			s->count->max_pending = n_pending;
		if (n_pending == was_pending + 1) {
			if (n_pending == 1)
				try_state(s, CRASH_LOST,
					  crash_state(s->crash, CRASH_LOST, &s->random));
			try_state(s, CRASH_PREFIX, crash_state(s->crash, CRASH_PREFIX, &s->random));
			try_subsets(s, n_pending);
			if (moment % 4 == 0 || n_pending == 2)
				try_state(s, CRASH_TORN,
					  crash_state(s->crash, CRASH_TORN, &s->random));
		}
		was_pending = n_pending;
		while (n_pending &&
		       (s->count->states - n_before) * (n + 1) < n_wanted * (moment + 1)) {
			enum crash_kind kind =
			    n_pending == 1 || rnd(&s->random) & 1 ? CRASH_LAST : CRASH_TORN;

			try_state(s, kind, crash_state(s->crash, kind, &s->random));
		}
	}
}
