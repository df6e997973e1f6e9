/* SPDX-License-Identifier: MIT */
/* The life of an image: opening, looking at it dirty, cuts, children, QEMU. See life.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "life.h"
#include "record.h"
#include "scratch.h"
#include "stamp.h"
#include "store.h"

#define MAX_QEMU (96u << 10)
#define N_LOOKS  8 /* states looked at in one recording */

static const char *folder;

static struct vd_open_opts opts_for(struct life *life, uint32_t flags)
{
	static const size_t caches[] = {0, 64 << 10, 128 << 10, 1 << 20};
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;

	folder = scratch_dir();
	opts.flags = flags;
	opts.cache_bytes = caches[rnd_below(&life->random, 4)];
	opts.parent_roots = &folder;
	opts.n_parent_roots = 1;
	return opts;
}

static bool open_path(struct life *life, struct vd_disk **disk, const char *path, uint32_t flags)
{
	struct vd_open_opts opts = opts_for(life, flags);
	struct vd_error err = VD_ERROR_INIT;

	if (rnd_below(&life->random, 4) == 0)
		opts.flags |= VD_OPEN_DIRECT;
	life_tell(life, "open for %s%s, cache %zu", flags & VD_OPEN_WRITE ? "writing" : "reading",
		  opts.flags & VD_OPEN_DIRECT ? ", O_DIRECT" : "", opts.cache_bytes);
	return vd_disk_open(disk, path, &opts, &err) == 0 ||
	       life_fail(life, "open: %s: %s", vd_code_name(err.code), err.text);
}

bool life_open(struct life *life)
{
	return open_path(life, &life->w.disk, life_path(life, 0), VD_OPEN_WRITE);
}

static void note_finding(void *user, const struct vd_finding *finding)
{
	struct life *life = user;

	if (finding->severity == VD_FINDING_ERROR)
		life_fail(life, "check: %s at 0x%" PRIx64 ": %s; %s", finding->rule,
			  finding->offset, finding->found, finding->expected);
}

bool life_check_file(struct life *life, const char *path)
{
	struct vd_open_opts opts = opts_for(life, 0);
	struct vd_error err = VD_ERROR_INIT;
	uint64_t n_errors = 0;

	life->count->checks++;
	if (vd_disk_check(path, &opts, note_finding, life, &n_errors, &err) < 0)
		return life_fail(life, "check: %s", err.text);
	return n_errors == 0;
}

bool life_close(struct life *life)
{
	life_tell(life, "close");
	if (!workload_close(&life->w))
		return life_fail(life, "%s", life->w.text);
	return life_check_file(life, life_path(life, 0));
}

static bool check_disk(struct life *life, enum model_moment moment, struct vd_disk *disk,
		       const char *what)
{
	char text[800];

	return model_check_disk(life->w.model, moment, disk, text, sizeof(text)) ||
	       life_fail(life, "%s: %s", what, text);
}

/* Closed, looked at read-only, opened again. */
bool life_reopen(struct life *life)
{
	bool ok = check_disk(life, MODEL_LIVE, life->w.disk, "before closing") &&
		  life_close(life) && open_path(life, &life->w.disk, life_path(life, 0), 0) &&
		  check_disk(life, MODEL_LIVE, life->w.disk, "read-only");

	if (ok && rnd(&life->random) & 1)
		ok = life_map(life);
	if (ok) {
		vd_disk_close(life->w.disk, NULL);
		life->w.disk = NULL;
		ok = life_open(life) && check_disk(life, MODEL_LIVE, life->w.disk, "opened again");
	}
	life->count->reopenings++;
	return ok;
}

/* What is in the file while it is open, perhaps just after a flush: sound, and as flushed. */
bool life_view(struct life *life)
{
	struct store *store = store_new(NULL);
	struct vd_disk_info info = {.size = sizeof(info)};
	struct vd_open_opts opts = opts_for(life, 0);
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk = NULL;
	struct vd_io *io = NULL;
	uint64_t hash = 0, n_errors = 0;
	bool ok = true;

	if (rnd(&life->random) & 1) {
		life_tell(life, "flush");
		ok = workload_flush(&life->w) || life_fail(life, "%s", life->w.text);
	}
	life_tell(life, "look at a copy as it is");
	if (ok && !store_load(store, life_path(life, 0)))
		ok = life_fail(life, "the file can't be copied");
	if (ok) {
		hash = store_hash(store);
		io = store_io(store, false);
		if (vd_disk_check_io(io, &opts, note_finding, life, &n_errors, &err) < 0)
			ok = life_fail(life, "check of the copy: %s", err.text);
		else if (n_errors || vd_disk_open_io(&disk, io, &opts, &err) < 0)
			ok = n_errors ? false : life_fail(life, "open the copy: %s", err.text);
	}
	ok = ok && check_disk(life, MODEL_CRASH, disk, "the copy");
	if (ok && (vd_disk_get_info(disk, &info), store_hash(store) != hash))
		ok = life_fail(life, "a read-only opening changed the copy");
	life->count->views++;
	life->count->dirty_views += info.has_dirty_log;
	vd_disk_close(disk, NULL);
	vd_io_close(io);
	store_free(store);
	return ok;
}

/* The child has another size than its parent. All that isn't zero lies in the windows. */
static bool resize_model(struct life *life, uint64_t size)
{
	struct model *model = model_new(size, life->seed);
	uint64_t n = (size < life->create.virtual_size ? size : life->create.virtual_size) / 512;
	char text[800];
	bool ok = open_path(life, &life->w.disk, life_path(life, 0), 0);

	if (ok && !model_adopt(life->w.model, life->w.disk, text, sizeof(text)))
		ok = life_fail(life, "before the child: %s", text);
	for (size_t i = 0; ok && i < life->w.n_windows; i++) {
		const struct window *window = &life->windows[i];
		uint64_t lba = window->offset / 512, end = (window->offset + window->len) / 512,
			 next;

		for (; lba < end && lba < n; lba = next) {
			uint32_t generation = model_now(life->w.model, lba);

			for (next = lba + 1; next < end && next < n &&
					     model_now(life->w.model, next) == generation;)
				next++;
			model_write(model, lba * 512, (next - lba) * 512, generation);
		}
	}
	vd_disk_close(life->w.disk, NULL);
	life->w.disk = NULL;
	model_flushed(model);
	model_free(life->w.model);
	life->w.model = model;
	life->create.virtual_size = size;
	life->was_resized = true;
	life->count->resized++;
	life_choose_windows(life);
	return ok;
}

/* Sometimes smaller or larger than the parent; only where nothing is unsettled. */
static bool choose_child_size(struct life *life, struct vd_create_opts *create)
{
	uint64_t size = life->create.virtual_size, sector = life->create.logical_sector_size, by;

	if (life->was_resized || rnd(&life->random) & 1)
		return true;
	by = rnd_below(&life->random, (6u << 20) / sector) * sector;
	create->virtual_size = rnd(&life->random) & 1 || by >= size ? size + by : size - by;
	return resize_model(life, create->virtual_size);
}

bool life_make_child(struct life *life)
{
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct store *store;

	if (life->depth == LIFE_MAX_DEPTH)
		return true;
	if (life->w.disk && (!life_close(life) || !choose_child_size(life, &create)))
		return false;
	create.parent = life_path(life, 0);
	create.block_size = (uint32_t)1 << (20 + rnd_below(&life->random, 4));
	create.log_size = (uint32_t)1 << (20 + rnd_below(&life->random, 2));
	store = store_new(NULL);
	if (!store_load(store, create.parent))
		abort();
	life->parent_hash[life->depth] = store_hash(store);
	store_free(store);
	life->depth++;
	life->create.block_size = create.block_size;
	life->is_for_qemu = false;
	unlink(life_path(life, 0));
	life_tell(life, "a child at depth %u, blocks %u MiB, %" PRIu64 " bytes", life->depth,
		  create.block_size >> 20, life->create.virtual_size);
	if (vd_disk_create(life_path(life, 0), &create, &err) < 0)
		return life_fail(life, "create the child: %s", err.text);
	life->count->children++;
	return life_check_file(life, life_path(life, 0)) && life_open(life) &&
	       check_disk(life, MODEL_CRASH, life->w.disk, "the new child");
}

/* QEMU opens it for writing, and runs these commands. */
static bool run_qemu(struct life *life, const char *commands)
{
	const char *out = scratch_path("qemu.out");
	char said[400] = "";
	FILE *file;

	if (scratch_run("qemu-io -f vhdx %s '%s' >'%s' 2>&1 </dev/null && "
			"! grep -qi -e fail -e error '%s'",
			commands, life_path(life, 0), out, out) == 0)
		return true;
	file = fopen(out, "r");
	if (file) {
		said[fread(said, 1, sizeof(said) - 1, file)] = '\0';
		fclose(file);
	}
	return life_fail(life, "QEMU refuses %s: %s", commands, said);
}

/* The file is as a cut left it, life->w.model knows what may be there. */
static bool recover(struct life *life)
{
	struct vd_disk_info info = {.size = sizeof(info)};
	char text[800];
	bool ok = life_check_file(life, life_path(life, 0)) &&
		  open_path(life, &life->w.disk, life_path(life, 0), 0) &&
		  check_disk(life, MODEL_CRASH, life->w.disk, "read-only after a cut");
	uint64_t hash;

	if (!ok)
		return false;
	hash = model_hash_disk(life->w.model, life->w.disk);
	vd_disk_get_info(life->w.disk, &info);
	vd_disk_close(life->w.disk, NULL);
	life->w.disk = NULL;
	life->count->cuts++;
	life->count->dirty_cuts += info.has_dirty_log;
	if (life->is_for_qemu && rnd_below(&life->random, 3) == 0) {
		life_tell(life, "QEMU replays");
		ok = run_qemu(life, "-c 'read 0 512'") && life_check_file(life, life_path(life, 0));
		life->count->qemu_replays++;
	}
	if (ok && rnd_below(&life->random, 6) == 0) {
		life->count->dirty_children += info.has_dirty_log && life->depth < LIFE_MAX_DEPTH;
		ok = life_make_child(life);
	}
	if (ok && !life->w.disk)
		ok = life_open(life);
	if (!ok)
		return false;
	if (!model_adopt(life->w.model, life->w.disk, text, sizeof(text)))
		return life_fail(life, "after a cut: %s", text);
	if (model_hash_disk(life->w.model, life->w.disk) != hash)
		return life_fail(life, "the replay gives another content than the read-only view");
	return true;
}

/* The machine stops: everything that was issued is in the file, nothing more. */
static bool cut_now(struct life *life)
{
	struct store *store = store_new(NULL);
	bool ok = store_load(store, life_path(life, 0));

	life_tell(life, "cut");
	vd_disk_close(life->w.disk, NULL);
	life->w.disk = NULL;
	unlink(life_path(life, 0));
	ok = ok && store_save(store, life_path(life, 0));
	store_free(store);
	return ok ? recover(life) : life_fail(life, "the file can't be copied");
}

/* Some steps in memory, every call recorded. Returns where a cut would do. */
static bool record_steps(struct life *life, struct record *record, size_t *moment)
{
	unsigned n_steps = (unsigned)rnd_below(&life->random, life->is_calm ? 300 : 40) + 1;
	struct vd_open_opts opts = opts_for(life, VD_OPEN_WRITE);
	struct vd_error err = VD_ERROR_INIT;
	struct vd_io *io = record_io(record);
	bool ok = true;

	life_tell(life, "%u steps in memory, cache %zu", n_steps, opts.cache_bytes);
	life->w.record = record;
	life->w.n_trace = 0;
	if (vd_disk_open_io(&life->w.disk, io, &opts, &err) < 0)
		ok = life_fail(life, "open in memory: %s", err.text);
	for (unsigned i = 0; ok && i < n_steps; i++)
		ok = life_change(life);
	if (ok && rnd(&life->random) & 1) {
		life_tell(life, "close");
		ok = workload_close(&life->w) || life_fail(life, "%s", life->w.text);
	}
	*moment = record_now(record);
	if (rnd(&life->random) & 1)
		*moment -= (size_t)rnd_below(&life->random, *moment + 1);
	vd_disk_close(life->w.disk, NULL);
	life->w.disk = NULL;
	life->w.record = NULL;
	vd_io_close(io);
	return ok;
}

/* One state that a cut may leave: sound, with nothing lost. */
static bool look_at_cut(struct life *life, const struct store *state, struct model *model)
{
	struct vd_open_opts opts = opts_for(life, 0);
	struct store *view = store_new(state);
	struct vd_error err = VD_ERROR_INIT;
	struct vd_io *io = store_io(view, false);
	struct vd_disk *disk = NULL;
	uint64_t n_errors = 0;
	char text[800];
	bool ok = true;

	if (vd_disk_check_io(io, &opts, note_finding, life, &n_errors, &err) < 0)
		ok = life_fail(life, "check: %s", err.text);
	else if (n_errors || vd_disk_open_io(&disk, io, &opts, &err) < 0)
		ok = n_errors ? false : life_fail(life, "open: %s", err.text);
	else if (!model_check_disk(model, MODEL_CRASH, disk, text, sizeof(text)))
		ok = life_fail(life, "after a cut: %s", text);
	vd_disk_close(disk, NULL);
	vd_io_close(io);
	store_free(view);
	life->count->states++;
	return ok;
}

/* Looks at some moments before the last one, and goes on with that. */
static bool cut_recorded(struct life *life, struct record *record, const struct store *before)
{
	struct trace_player player = {.model = model_copy(life->w.model)};
	struct crash *crash;
	size_t last;
	bool ok = record_steps(life, record, &last);
	/* A stream of its own: how much is taken from it depends on what threads did before. */
	uint64_t random = rnd(&life->random);

	player.trace = life->w.trace;
	player.n = life->w.n_trace;
	crash = crash_new(record, before);
	for (unsigned i = 1; ok && i <= N_LOOKS; i++) {
		enum crash_kind kind = (enum crash_kind)rnd_below(&random, CRASH_N_KINDS);
		size_t moment = i < N_LOOKS ? last * i / N_LOOKS : last;
		struct store *state;

		trace_advance(&player, moment);
		crash_advance(crash, moment);
		life_tell(life, "cut at call %zu of %zu, %s of %zu pending", moment,
			  record_now(record), crash_kind_name(kind), crash_n_pending(crash));
		state = crash_state(crash, kind, &random);
		ok = look_at_cut(life, state, player.model);
		if (!ok || i == N_LOOKS) {
			unlink(life_path(life, 0));
			ok = (store_save(state, life_path(life, 0)) ||
			      life_fail(life, "the state can't be written to a file")) &&
			     ok;
		}
		store_free(state);
	}
	trace_finish(&player);
	crash_free(crash);
	model_free(life->w.model);
	life->w.model = player.model;
	return ok && recover(life);
}

bool life_cut(struct life *life)
{
	struct store *before, *store;
	struct record *record;
	bool ok;

	if (rnd(&life->random) & 1)
		return cut_now(life);
	if (!life_close(life))
		return false;
	before = store_new(NULL);
	if (!store_load(before, life_path(life, 0)))
		abort();
	store = store_new(before);
	record = record_new(store);
	ok = cut_recorded(life, record, before);
	record_free(record);
	store_free(store);
	store_free(before);
	return ok;
}

/* One command, and what it does to the model. */
static int add_command(struct life *life, char *text, size_t size, unsigned i)
{
	struct window range = life_range(life, MAX_QEMU);
	uint64_t dice = rnd_below(&life->random, 10);
	uint8_t *buf;
	char name[16];
	FILE *file;

	if (range.len > 1 << 20)
		range.len = 1 << 20;
	if (dice == 0)
		return snprintf(text, size, " -c flush");
	if (dice == 1) { /* only a hint */
		model_unsure(life->w.model, range.offset, range.len, 0);
		return snprintf(text, size, " -c 'discard %" PRIu64 " %" PRIu64 "'", range.offset,
				range.len);
	}
	if (dice == 2) {
		model_write(life->w.model, range.offset, range.len, 0);
		return snprintf(text, size, " -c 'write -z %" PRIu64 " %" PRIu64 "'", range.offset,
				range.len);
	}
	buf = malloc((size_t)range.len);
	snprintf(name, sizeof(name), "qemu-%u", i);
	file = fopen(scratch_path(name), "wb");
	if (!buf || !file)
		abort();
	stamp_fill(buf, (size_t)range.len, range.offset, ++life->w.generation, life->seed);
	if (fwrite(buf, 1, (size_t)range.len, file) != range.len || fclose(file) != 0)
		abort();
	free(buf);
	model_write(life->w.model, range.offset, range.len, life->w.generation);
	return snprintf(text, size, " -c 'write -s %s %" PRIu64 " %" PRIu64 "'", scratch_path(name),
			range.offset, range.len);
}

bool life_qemu(struct life *life)
{
	unsigned n_commands = (unsigned)rnd_below(&life->random, 5) + 1;
	char commands[4096] = "";
	size_t n = 0;

	if (!life->is_for_qemu)
		return true;
	if (!life_close(life))
		return false;
	for (unsigned i = 0; i < n_commands; i++) {
		int k = add_command(life, commands + n, sizeof(commands) - n, i);

		if (k < 0 || n + (size_t)k >= sizeof(commands))
			abort();
		life_tell(life, "QEMU:%s", commands + n);
		n += (size_t)k;
	}
	if (!run_qemu(life, commands))
		return false;
	model_flushed(life->w.model);
	life->count->qemu++;
	return life_check_file(life, life_path(life, 0)) && life_open(life) &&
	       check_disk(life, MODEL_LIVE, life->w.disk, "after QEMU");
}
