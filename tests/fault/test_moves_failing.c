/* SPDX-License-Identifier: MIT */
/*
 * Failing calls while blocks move, are dropped and punched, the file is cut and compacted: the n-th
 * read, write, sync, truncation, punch or request for memory fails, for every n. The answer is the
 * right one, the content stays, nothing leaks, and no space is lost: afterwards a compaction gets
 * as far as one that nothing happened to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vdisk/compact.h>
#include <vdisk/disk.h>
#include <vdisk/sys/space.h>

#include "fault.h"
#include "model.h"
#include "scratch.h"
#include "stamp.h"
#include "store.h"

#define MIB  ((uint64_t)1 << 20)
#define SIZE (8 * MIB)
#define HOLD 1000u

struct base {
	bool has_parent;
	struct store *store;
	struct model *model;
	uint64_t least; /* length that a compaction leaves */
};
static struct base dynamic = {.has_parent = false};
static struct base differencing = {.has_parent = true};

struct job {
	struct base *base;
	struct store *store;
	struct fault fault;
	struct vd_io *io;
	struct vd_disk *disk;
	struct vd_error err;
	size_t n_blocks;
};

struct operation {
	const char *name;
	struct base *base;
	int (*run)(struct job *job);
};

struct place {
	enum vd_use use;
	uint64_t number, offset, end;
};

static int find(void *user, const struct vd_use_range *range)
{
	struct place *place = user;

	if (range->use == place->use && range->number == place->number)
		place->offset = range->offset;
	if (range->offset + range->length > place->end)
		place->end = range->offset + range->length;
	return 0;
}

static int move(struct job *job, enum vd_use use, uint64_t number)
{
	struct place place = {use, number, 0, 0};
	int ret = vd_disk_list_use(job->disk, find, &place, &job->err);

	if (!ret)
		ret = vd_disk_move_block(job->disk, use, number, place.offset, place.end, HOLD,
					 NULL, &job->err);
	return ret ? ret : vd_disk_flush(job->disk, &job->err);
}

static int do_move(struct job *job)
{
	return move(job, VD_USE_BLOCK, 1);
}

static int do_move_bitmap(struct job *job)
{
	return move(job, VD_USE_BITMAP, 0);
}

static int do_list(struct job *job)
{
	struct vd_space_info info = {.size = sizeof(info)};
	struct place place = {VD_USE_BLOCK, 0, 0, 0};
	int ret = vd_disk_get_space(job->disk, &info, &job->err);

	return ret ? ret : vd_disk_list_use(job->disk, find, &place, &job->err);
}

static int do_drop(struct job *job)
{
	uint64_t n;
	int ret = vd_disk_drop_block(job->disk, 2, VD_DROP_ZERO, HOLD, &n, &job->err);

	return ret ? ret : vd_disk_flush(job->disk, &job->err);
}

static int do_punch(struct job *job)
{
	uint64_t n;
	int ret = vd_disk_punch_block(job->disk, 3, 4096, HOLD, &n, &job->err);

	return ret ? ret : vd_disk_flush(job->disk, &job->err);
}

static int do_cut(struct job *job)
{
	uint64_t length;

	return vd_disk_cut(job->disk, 0, &length, &job->err);
}

static int do_compact(struct job *job)
{
	struct vd_compact_opts opts = VD_COMPACT_OPTS_INIT;

	opts.flags = VD_COMPACT_ZERO_SCAN;
	return vd_compact(job->disk, &opts, NULL, &job->err);
}

#define BOTH(name, run)                                                                            \
	{name, &dynamic, run},                                                                     \
	{                                                                                          \
		name " (child)", &differencing, run                                                \
	}

static const struct operation operations[] = {
    BOTH("space: list", do_list),
    BOTH("space: move", do_move),
    BOTH("space: drop", do_drop),
    BOTH("space: punch", do_punch),
    BOTH("space: cut", do_cut),
    BOTH("space: compact", do_compact),
    {"space: move a bitmap", &differencing, do_move_bitmap},
};

static void look(struct vd_disk *disk, const struct model *model, const char *when)
{
	char text[800];

	if (!model_check_disk(model, MODEL_LIVE, disk, text, sizeof(text)))
		fail_msg("%s: %s", when, text);
}

/* What is in the store passes the check and shows the same content. */
static void examine(const struct job *job, const char *when)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_io *io = store_io(job->store, false);
	struct vd_disk *disk;
	uint64_t n_errors = 0;

	opts.flags = VD_OPEN_NO_PARENTS;
	assert_int_equal(vd_disk_check_io(io, &opts, NULL, NULL, &n_errors, &err), 0);
	if (n_errors)
		fail_msg("%s: the check finds %d errors", when, (int)n_errors);
	disk = scratch_open_io(io, 0);
	look(disk, job->base->model, when);
	assert_int_equal(vd_disk_close(disk, &err), 0);
	vd_io_close(io);
}

static void job_start(struct job *job, struct base *base)
{
	memset(job, 0, sizeof(*job));
	job->base = base;
	job->n_blocks = fault_memory_blocks();
	job->store = store_new(base->store);
	job->fault = (struct fault){.store = job->store, .call = FAULT_N_CALLS};
	job->io = fault_io(&job->fault);
	job->disk = scratch_open_io(job->io, VD_OPEN_WRITE);
}

static void reopen(struct job *job, bool is_poisoned)
{
	struct vd_error err = VD_ERROR_INIT;

	if (vd_disk_close(job->disk, &err) && !is_poisoned)
		fail_msg("close: %s", err.text);
	vd_io_close(job->io);
	examine(job, "closed");
	job->io = fault_io(&job->fault);
	job->disk = scratch_open_io(job->io, VD_OPEN_WRITE);
}

/* Compacted once more it is as small as if nothing had happened. */
static void job_end(struct job *job, const struct operation *op, const struct fault_strike *strike)
{
	struct vd_error err = VD_ERROR_INIT;
	bool is_poisoned = vd_io_is_poisoned(job->io);

	examine(job, "killed here");
	look(job->disk, job->base->model, "still open");
	if (is_poisoned)
		assert_int_equal(do_cut(job), VD_EPOISONED);
	/* Space for whose list there was no memory comes back with the next opening. */
	if (is_poisoned || strike->call == FAULT_N_CALLS)
		reopen(job, is_poisoned);
	if (do_compact(job))
		fail_msg("%s: compacting afterwards: %s", op->name, job->err.text);
	if (job->base->least && store_length(job->store) != job->base->least)
		fail_msg("%s: after %s %" PRIu64 ", %d%s: space is lost: %d MiB instead of %d",
			 op->name, fault_call_name(strike->call), strike->nth, strike->error,
			 strike->is_sticky ? " from then on" : "",
			 (int)(store_length(job->store) / MIB), (int)(job->base->least / MIB));
	look(job->disk, job->base->model, "compacted");
	if (vd_disk_close(job->disk, &err))
		fail_msg("%s: close: %s", op->name, err.text);
	vd_io_close(job->io);
	examine(job, "at the end");
	store_free(job->store);
	if (fault_memory_blocks() != job->n_blocks)
		fail_msg("%s: %zu blocks of memory are never given back", op->name,
			 fault_memory_blocks() - job->n_blocks);
}

static bool strike_once(const struct fault_strike *strike, const void *what)
{
	const struct operation *op = what;
	struct job job;
	bool is_hit;
	int ret;

	job_start(&job, op->base);
	fault_strike_begin(&job.fault, strike);
	ret = op->run(&job);
	is_hit = fault_strike_end(&job.fault, strike);
	fault_strike_judge(strike, is_hit, op->name, ret ? &job.err : NULL);
	assert_true(!ret || ret == job.err.code);
	job_end(&job, op, strike);
	return is_hit;
}

static unsigned strike_all(const struct operation *op, enum fault_call call, int error,
			   bool is_sticky)
{
	struct fault_strike strike = {.call = call, .error = error, .is_sticky = is_sticky};

	return fault_strike_all(strike, strike_once, op);
}

static void test_operation(void **state)
{
	const struct operation *op = *state;
	unsigned points[FAULT_N_CALLS], memory;

	for (enum fault_call call = 0; call < FAULT_N_CALLS; call++) {
		points[call] = strike_all(op, call, EIO, false);
		if (call == FAULT_WRITE || call == FAULT_TRUNCATE || call == FAULT_PUNCH)
			strike_all(op, call, ENOSPC, true);
	}
	memory = strike_all(op, FAULT_N_CALLS, 0, false);
	strike_all(op, FAULT_N_CALLS, 0, true);
	fault_hold_minimum(op->name, points, memory);
}

static void put(struct vd_disk *disk, struct model *model, uint64_t offset, size_t len,
		uint32_t generation)
{
	struct vd_error err = VD_ERROR_INIT;
	uint8_t *buf = calloc(1, len);

	if (generation)
		stamp_fill(buf, len, offset, generation, model_seed(model));
	assert_int_equal(vd_disk_write(disk, buf, len, offset, &err), 0);
	model_write(model, offset, len, generation);
	free(buf);
}

/* Written upside down: 0 partly, 1 whole, 2 zero, 3 half zero, 5 whole; 4 and 6 freed. */
static void base_make(struct base *base)
{
	const char *dir = scratch_dir(), *parent = scratch_path("moves-failing-parent.vhdx");
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	const struct operation whole = {"base", base, do_compact};
	const struct fault_strike none = {.call = FAULT_READ};
	struct vd_disk *disk;
	struct vd_io *io;
	struct job job;

	base->store = store_new(NULL);
	base->model = model_new(SIZE, 33);
	create.virtual_size = SIZE;
	create.block_size = (uint32_t)MIB;
	create.log_size = (uint32_t)MIB;
	if (base->has_parent) {
		unlink(parent);
		assert_int_equal(vd_disk_create(parent, &create, &err), 0);
		create.type = VD_TYPE_DIFFERENCING;
		create.parent = parent;
		create.parent_roots = &dir;
		create.n_parent_roots = 1;
	}
	io = store_io(base->store, true);
	assert_int_equal(vd_disk_create_io(io, &create, &err), 0);
	disk = scratch_open_io(io, VD_OPEN_WRITE);
	for (uint64_t i = 7; i-- > 1;)
		put(disk, base->model, i * MIB, MIB, (uint32_t)i);
	put(disk, base->model, 65536, 65536, 9);
	put(disk, base->model, 2 * MIB, MIB, 0);
	put(disk, base->model, 3 * MIB + 4096, MIB / 2, 0);
	for (uint64_t i = 4; i <= 6; i += 2) {
		assert_int_equal(vd_disk_discard(disk, i * MIB, MIB, &err), 0);
		model_write(base->model, i * MIB, MIB, 0);
	}
	assert_int_equal(vd_disk_close(disk, &err), 0);
	vd_io_close(io);
	job_start(&job, base);
	assert_int_equal(do_compact(&job), 0);
	base->least = store_length(job.store);
	job_end(&job, &whole, &none);
}

static int make_bases(void **state)
{
	(void)state;
	base_make(&dynamic);
	base_make(&differencing);
	return 0;
}

static int free_bases(void **state)
{
	(void)state;
	store_free(dynamic.store);
	model_free(dynamic.model);
	store_free(differencing.store);
	model_free(differencing.model);
	return 0;
}

#define N_OPERATIONS (sizeof(operations) / sizeof(operations[0]))

int main(int argc, char **argv)
{
	struct CMUnitTest tests[N_OPERATIONS];
	size_t n = 0;

	for (size_t i = 0; i < N_OPERATIONS; i++)
		if (argc < 2 || strstr(operations[i].name, argv[1]))
			tests[n++] = (struct CMUnitTest){operations[i].name, test_operation, NULL,
							 NULL, (void *)(uintptr_t)&operations[i]};
	fault_memory_watch();
	return _cmocka_run_group_tests("failing calls while blocks move", tests, n, make_bases,
				       free_bases);
}
