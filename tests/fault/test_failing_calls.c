/* SPDX-License-Identifier: MIT */
/*
 * Failing calls. Each public operation is run again and again; the first, second, third ... call
 * to the store of each kind fails, or the n-th request for memory, until an operation gets
 * through untouched. It must answer with the right code, leak nothing, keep what was flushed, and
 * leave an image that passes the check. A full disk may be tried again, a failed sync may not.
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

#include <vdisk/disk.h>

#include "fault.h"
#include "itemset.h"
#include "model.h"
#include "scratch.h"
#include "stamp.h"
#include "store.h"
#include "workload.h"

#define KIB  1024u
#define MIB  ((uint64_t)1 << 20)
#define SIZE (8 * MIB)

/* Images that operations start from. */
struct base {
	enum vd_disk_type type;
	struct store *clean, *dirty; /* dirty: as if killed after a flush */
	struct model *clean_model, *dirty_model;
	const char *parent;
};
static struct base dynamic = {.type = VD_TYPE_DYNAMIC};
static struct base differencing = {.type = VD_TYPE_DIFFERENCING};

/* One run of one operation. */
struct job {
	struct base *base;
	struct store *store;
	struct fault fault;
	struct workload w;
	size_t n_blocks; /* of memory that the library held before */
	bool is_poisoned;
	const struct itemset *items, *items_after; /* what may be there; NULL: as in the base */
};

struct operation {
	const char *name;
	struct base *base;
	bool is_on_dirty;   /* starts from base->dirty */
	bool is_open_first; /* the handle is opened before the fault is armed */
	bool (*prepare)(struct job *job);
	bool (*run)(struct job *job); /* false: job->w.err holds the failure */
};

static bool with(struct job *job, int rc, const struct vd_error *err)
{
	if (rc < 0)
		job->w.err = *err;
	return rc >= 0;
}

static bool do_open(struct job *job)
{
	return workload_open(&job->w);
}

static bool do_open_read_only(struct job *job)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_open_opts opts = job->w.opts;

	opts.flags = 0;
	return with(job, vd_disk_open_io(&job->w.disk, job->w.io, &opts, &err), &err);
}

static bool do_create(struct job *job)
{
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;

	create.type = job->base->type;
	create.virtual_size = SIZE;
	create.block_size = (uint32_t)MIB;
	create.log_size = (uint32_t)MIB;
	create.parent = job->base->parent;
	create.parent_roots = job->w.opts.parent_roots;
	create.n_parent_roots = job->w.opts.n_parent_roots;
	store_truncate(job->store, 0);
	return with(job, vd_disk_create_io(job->w.io, &create, &err), &err);
}

static void note_rule(void *user, const struct vd_finding *finding)
{
	if (finding->severity == VD_FINDING_ERROR)
		snprintf(user, 800, "%s: %s", finding->rule, finding->found);
}

static bool do_check(struct job *job)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_open_opts opts = job->w.opts;
	uint64_t n_errors = 0;
	int rc;

	opts.flags = VD_OPEN_NO_PARENTS;
	rc = vd_disk_check_io(job->w.io, &opts, note_rule, job->w.text, &n_errors, &err);
	if (rc >= 0 && n_errors)
		fail_msg("the check takes a failing call (%s) for a broken rule: %s",
			 fault_call_name(job->fault.n_hit ? job->fault.call : FAULT_N_CALLS),
			 job->w.text);
	return with(job, rc, &err);
}

static bool do_read(struct job *job)
{
	struct vd_error err = VD_ERROR_INIT;
	uint8_t *buf = malloc(SIZE);
	int rc = vd_disk_read(job->w.disk, buf, SIZE, 0, &err);

	if (rc >= 0 &&
	    !model_allows(job->w.model, MODEL_LIVE, buf, SIZE, 0, job->w.text, sizeof(job->w.text)))
		fail_msg("read: %s", job->w.text);
	free(buf);
	return with(job, rc, &err);
}

static bool do_count(struct job *job)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_block_counts counts;

	return with(job, vd_disk_count_blocks(job->w.disk, &counts, &err), &err);
}

static bool do_write_new(struct job *job)
{
	return workload_write(&job->w, 5 * MIB - 4096, 64 * KIB);
}

static bool do_write_over(struct job *job)
{
	return workload_write(&job->w, 512, 8 * KIB);
}

static bool do_write_unaligned(struct job *job)
{
	static const uint8_t bytes[3] = {0, 0, 0};
	struct vd_error err = VD_ERROR_INIT;

	/* Zeros over zeros, across a sector's edge: the model needs no word for it. */
	return with(job, vd_disk_write(job->w.disk, bytes, 3, 7 * MIB + 510, &err), &err);
}

static bool do_zero(struct job *job)
{
	return workload_zero(&job->w, 512, 2 * MIB, 0);
}

static bool do_zero_keep(struct job *job)
{
	return workload_zero(&job->w, 64 * KIB, 5 * MIB, VD_ZERO_KEEP_SPACE);
}

static bool do_discard(struct job *job)
{
	return workload_discard(&job->w, 0, 2 * MIB + 64 * KIB);
}

static bool do_map(struct job *job)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_extent extent;
	int rc = 0;

	for (uint64_t at = 0; at < SIZE && rc >= 0; at = extent.start + extent.length)
		rc = vd_disk_map(job->w.disk, at, SIZE - at, &extent, &err);
	return with(job, rc, &err);
}

static bool do_resolve(struct job *job)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_mapping mapping;
	int rc = vd_disk_resolve(job->w.disk, 5 * MIB, 4096, VD_ACCESS_WRITE, &mapping, &err);

	if (rc >= 0) /* never written: it stays what it was */
		rc = vd_disk_release(job->w.disk, &mapping, VD_OUTCOME_FAILED, &err);
	return with(job, rc, &err);
}

static bool do_probe(struct job *job)
{
	struct vd_error err = VD_ERROR_INIT;
	const char *format = NULL;

	return with(job, vd_probe(job->w.io, &format, &err), &err);
}

static bool do_look(struct job *job)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_open_opts opts = job->w.opts;
	int rc;

	opts.flags = VD_OPEN_LOOK;
	rc = vd_disk_open_io(&job->w.disk, job->w.io, &opts, &err);
	if (rc >= 0)
		return do_map(job);
	return with(job, rc, &err);
}

static bool do_flush(struct job *job)
{
	return workload_flush(&job->w);
}

static bool do_close(struct job *job)
{
	return workload_close(&job->w);
}

/* Items of all bases, those with one change more, and those that need a larger region. */
static struct itemset items_base = {.at = {{1, VD_ITEM_USER, 300000, 1}, {2, VD_ITEM_USER, 0, 1}},
				    .n = 2};
static struct itemset items_changed = {
    .at = {{1, VD_ITEM_USER, 5000, 2}, {3, VD_ITEM_USER | VD_ITEM_VIRTUAL_DISK, 300000, 2}},
    .n = 2};
static struct itemset items_grown = {.at = {{1, VD_ITEM_USER, 300000, 3},
					    {3, VD_ITEM_USER, 1000000, 3},
					    {4, VD_ITEM_USER, 900000, 3}},
				     .n = 3};

/* Item 2 goes, the others become those of the set. */
static bool change_items(struct job *job, const struct itemset *to)
{
	struct vd_error err = VD_ERROR_INIT;
	int rc = itemset_change(to, 2, job->w.disk, &err);

	job->items_after = to;
	if (rc >= 0)
		job->items = to;
	return with(job, rc, &err);
}

static bool do_change_items(struct job *job)
{
	return change_items(job, &items_changed);
}

static bool do_grow_items(struct job *job)
{
	return change_items(job, &items_grown);
}

static bool do_read_items(struct job *job)
{
	struct vd_error err = VD_ERROR_INIT;
	uint8_t id[16], *buf = malloc(300000);
	struct vd_item *items;
	size_t n;
	int rc = vd_disk_list_items(job->w.disk, &items, &n, &err);

	vd_items_free(items);
	itemset_id(1, id);
	if (rc >= 0)
		rc = vd_disk_read_item(job->w.disk, id, buf, 300000, 0, &err);
	free(buf);
	return with(job, rc, &err);
}

/* Changes of every kind that nothing has flushed. */
static bool make_changes(struct job *job)
{
	return do_write_new(job) && do_write_over(job) && workload_discard(&job->w, 2 * MIB, MIB) &&
	       workload_zero(&job->w, MIB + 4096, 8192, 0);
}

/* A freed block that a write will use again. */
static bool free_a_block(struct job *job)
{
	return workload_discard(&job->w, 0, 2 * MIB) && workload_flush(&job->w) &&
	       workload_write(&job->w, 0, 4096) && workload_flush(&job->w);
}

#define BOTH(name, dirty, open, prepare, run)                                                      \
	{name, &dynamic, dirty, open, prepare, run},                                               \
	{                                                                                          \
		name " (child)", &differencing, dirty, open, prepare, run                          \
	}

static const struct operation operations[] = {
    BOTH("open", false, false, NULL, do_open),
    BOTH("open, replay", true, false, NULL, do_open),
    BOTH("open read-only", false, false, NULL, do_open_read_only),
    BOTH("open read-only, dirty", true, false, NULL, do_open_read_only),
    BOTH("create", false, false, NULL, do_create),
    BOTH("check", true, false, NULL, do_check),
    BOTH("read", false, true, NULL, do_read),
    BOTH("map", false, true, NULL, do_map),
    BOTH("look and map", true, false, NULL, do_look),
    BOTH("probe", false, false, NULL, do_probe),
    BOTH("resolve and release", false, true, NULL, do_resolve),
    BOTH("count blocks", false, true, NULL, do_count),
    BOTH("first write, new block", false, true, NULL, do_write_new),
    BOTH("write, new block", false, true, do_write_over, do_write_new),
    BOTH("write, freed block", false, true, free_a_block, do_write_new),
    BOTH("write over", false, true, do_write_new, do_write_over),
    BOTH("write, unaligned", false, true, do_write_new, do_write_unaligned),
    BOTH("zero", false, true, do_write_new, do_zero),
    BOTH("zero, keep space", false, true, do_write_new, do_zero_keep),
    BOTH("discard", false, true, do_write_new, do_discard),
    BOTH("items: list, read", false, true, NULL, do_read_items),
    BOTH("items: change", false, true, NULL, do_change_items),
    BOTH("items: change, payload", false, true, make_changes, do_change_items),
    BOTH("items: larger region", false, true, NULL, do_grow_items),
    BOTH("flush", false, true, make_changes, do_flush),
    BOTH("flush, nothing to do", false, true, NULL, do_flush),
    BOTH("close", false, true, make_changes, do_close),
};

static void print_finding(void *user, const struct vd_finding *finding)
{
	(void)user;
	if (finding->severity == VD_FINDING_ERROR)
		print_error("check: %s at 0x%" PRIx64 ": %s; %s\n", finding->rule, finding->offset,
			    finding->found, finding->expected);
}

/* The store as it is passes the check and holds what it must. */
static void examine(struct job *job, const char *when, uint32_t flags)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_open_opts opts = job->w.opts;
	struct vd_io *io = store_io(job->store, flags != 0);
	struct vd_disk *disk = NULL;
	uint64_t n_errors = 0;
	char text[800];

	opts.flags = VD_OPEN_NO_PARENTS;
	assert_int_equal(vd_disk_check_io(io, &opts, print_finding, NULL, &n_errors, &err), 0);
	if (n_errors)
		fail_msg("%s: the check finds %" PRIu64 " errors", when, n_errors);
	opts.flags = flags;
	if (vd_disk_open_io(&disk, io, &opts, &err) < 0)
		fail_msg("%s: open: %s", when, err.text);
	if (!model_check_disk(job->w.model, MODEL_CRASH, disk, text, sizeof(text)))
		fail_msg("%s: %s", when, text);
	if (job->items && !itemset_is_shown(job->items, disk, text, sizeof(text)) &&
	    (!job->items_after || !job->is_poisoned ||
	     !itemset_is_shown(job->items_after, disk, text, sizeof(text))))
		fail_msg("%s: %s", when, text);
	assert_int_equal(vd_disk_close(disk, &err), 0);
	vd_io_close(io);
}

static void job_start(struct job *job, const struct operation *op)
{
	static const char *dir;
	static const struct window all = {0, SIZE};

	dir = scratch_dir();
	memset(job, 0, sizeof(*job));
	job->base = op->base;
	job->items = op->run == do_create || !op->run ? NULL : &items_base;
	job->n_blocks = fault_memory_blocks();
	job->store = store_new(op->is_on_dirty ? op->base->dirty : op->base->clean);
	job->fault = (struct fault){.store = job->store, .call = FAULT_N_CALLS};
	job->w =
	    (struct workload){.opts = VD_OPEN_OPTS_INIT,
			      .model = op->run == do_create || !op->run
					   ? model_new(SIZE, 77)
					   : model_copy(op->is_on_dirty ? op->base->dirty_model
									: op->base->clean_model),
			      .windows = &all,
			      .n_windows = 1,
			      .random = 1,
			      .generation = 5000};
	job->w.opts.parent_roots = &dir;
	job->w.opts.n_parent_roots = 1;
	job->w.io = fault_io(&job->fault);
	if (op->is_open_first && (!workload_open(&job->w) || (op->prepare && !op->prepare(job))))
		fail_msg("%s: before any fault: %s", op->name, job->w.text);
}

/* What the image is worth afterwards: at once, as if we were killed, and after close. */
static void job_end(struct job *job, const struct operation *op, bool is_create_failed)
{
	struct vd_error err = VD_ERROR_INIT;

	job->is_poisoned = vd_io_is_poisoned(job->w.io);
	if (!is_create_failed)
		examine(job, "killed here", 0);
	if (job->w.disk) {
		if (!model_check_disk(job->w.model, MODEL_LIVE, job->w.disk, job->w.text,
				      sizeof(job->w.text)))
			fail_msg("%s: still open: %s", op->name, job->w.text);
		if (vd_disk_close(job->w.disk, &err) < 0 && !job->is_poisoned)
			fail_msg("%s: close after the fault is gone: %s", op->name, err.text);
	}
	vd_io_close(job->w.io);
	if (!is_create_failed) {
		examine(job, "closed", VD_OPEN_WRITE);
		examine(job, "opened again", 0);
	}
	workload_free_trace(&job->w);
	model_free(job->w.model);
	store_free(job->store);
	if (fault_memory_blocks() != job->n_blocks)
		fail_msg("%s: %zu blocks of memory are never given back", op->name,
			 fault_memory_blocks() - job->n_blocks);
}

static void expect_poisoned(struct job *job)
{
	struct vd_error err = VD_ERROR_INIT;

	if (!job->w.disk)
		return;
	assert_int_equal(vd_disk_flush(job->w.disk, &err), VD_EPOISONED);
	assert_int_equal(err.code, VD_EPOISONED);
	assert_true(err.text[0] != '\0');
	assert_false(workload_write(&job->w, 0, 512));
}

/* What can be tried again must then succeed. */
static bool strike_once(const struct fault_strike *strike, const void *what)
{
	bool can_again = strike->call == FAULT_N_CALLS || strike->error == ENOSPC, ok, is_hit;
	const struct operation *op = what;
	struct job job;

	job_start(&job, op);
	fault_strike_begin(&job.fault, strike);
	ok = op->run(&job);
	is_hit = fault_strike_end(&job.fault, strike);
	fault_strike_judge(strike, is_hit, op->name, ok ? NULL : &job.w.err);
	if (is_hit && strike->call == FAULT_SYNC)
		expect_poisoned(&job);
	else if (!ok && op->run != do_close && can_again && !op->run(&job))
		fail_msg("%s: %s %" PRIu64 " failed once, again without a fault: %s", op->name,
			 fault_call_name(strike->call), strike->nth, job.w.err.text);
	else if (!ok && op->run != do_close)
		ok = can_again;
	job_end(&job, op, op->run == do_create && !ok);
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
	unsigned points[FAULT_N_CALLS], memory, all = 0;

	for (enum fault_call call = 0; call < FAULT_N_CALLS; call++) {
		points[call] = strike_all(op, call, EIO, false);
		if (call == FAULT_SYNC)
			strike_all(op, call, EINVAL, false);
		if (call == FAULT_READ || call == FAULT_LENGTH)
			continue;
		strike_all(op, call, ENOSPC, false);
		strike_all(op, call, ENOSPC, true);
	}
	memory = strike_all(op, FAULT_N_CALLS, 0, false);
	strike_all(op, FAULT_N_CALLS, 0, true);
	for (enum fault_call call = 0; call < FAULT_N_CALLS; call++)
		all += points[call];
	print_message("count: injection points, %s %u\n", op->name, all + memory);
	fault_hold_minimum(op->name, points, memory);
}

/* Content in blocks 0 to 3, flushed; the dirty twin has a log to replay. */
static void base_make(struct base *base)
{
	struct operation first = {.name = "base", .base = base};
	struct job job;

	base->clean = store_new(NULL);
	if (base->type == VD_TYPE_DIFFERENCING) {
		struct vd_create_opts create = VD_CREATE_OPTS_INIT;
		struct vd_error err = VD_ERROR_INIT;

		base->parent = scratch_path("failing-parent.vhdx");
		unlink(base->parent);
		create.virtual_size = SIZE;
		create.block_size = (uint32_t)MIB;
		if (vd_disk_create(base->parent, &create, &err) < 0)
			fail_msg("parent: %s", err.text);
	}
	job_start(&job, &first);
	if (!do_create(&job))
		fail_msg("create: %s", job.w.err.text);
	if (!workload_open(&job.w) || !workload_write(&job.w, 0, 3 * MIB + 64 * KIB) ||
	    itemset_change(&items_base, 9, job.w.disk, NULL) || !workload_close(&job.w))
		fail_msg("content: %s", job.w.text);
	store_save(job.store, scratch_path("base.vhdx"));
	store_load(base->clean, scratch_path("base.vhdx"));
	base->clean_model = model_copy(job.w.model);
	if (!workload_open(&job.w) || !workload_write(&job.w, 6 * MIB, 64 * KIB) ||
	    !workload_flush(&job.w))
		fail_msg("content: %s", job.w.text);
	base->dirty = store_new(NULL);
	store_save(job.store, scratch_path("base.vhdx"));
	store_load(base->dirty, scratch_path("base.vhdx"));
	base->dirty_model = model_copy(job.w.model);
	assert_int_equal(vd_disk_close(job.w.disk, NULL), 0);
	vd_io_close(job.w.io);
	workload_free_trace(&job.w);
	model_free(job.w.model);
	store_free(job.store);
}

static void base_free(struct base *base)
{
	model_free(base->clean_model);
	model_free(base->dirty_model);
	store_free(base->clean);
	store_free(base->dirty);
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
	base_free(&dynamic);
	base_free(&differencing);
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
	return _cmocka_run_group_tests("failing calls", tests, n, make_bases, free_bases);
}
