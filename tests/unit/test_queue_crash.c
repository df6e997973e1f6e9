/* SPDX-License-Identifier: MIT */
/*
 * Power cuts under a queue: writes, zeroes, flushes and FUA writes in flight together on a store
 * that records. At moments of the recording, files are built as a power cut may leave them; what
 * was complete before a completed flush was submitted must be there, and nothing that was never
 * written.
 */
#include "queue_rig.h"

#include "model.h"
#include "record.h"
#include "workload.h"

#define DEPTH    12
#define N_STEPS  330
#define N_STATES 500
#define PIECE    (64u << 10)

struct flight {
	struct trace_op op;
	bool is_used, has_fua;
	uint8_t buf[PIECE];
};

struct life {
	struct record *record;
	struct vd_disk *disk;
	struct vd_queue *queue;
	struct flight flights[DEPTH];
	struct trace_op trace[3 * N_STEPS];
	size_t n_trace;
	uint64_t random, order;
	uint32_t generation, n_flying, most_flying, n_flushes, n_fua;
};

static bool meets_another(const struct life *life, const struct trace_op *op)
{
	for (int i = 0; i < DEPTH; i++) {
		const struct flight *f = &life->flights[i];

		if (f->is_used && f->op.offset < op->offset + op->len &&
		    op->offset < f->op.offset + f->op.len)
			return true;
	}
	return false;
}

static void submit(struct life *life, struct flight *f)
{
	uint64_t dice = rnd_below(&life->random, 100);
	struct vd_request request = VD_REQUEST_INIT;
	struct trace_op *op = &f->op;

	*op = (struct trace_op){.kind = TRACE_CHANGE};
	f->has_fua = false;
	request.op = dice < 15   ? VD_REQUEST_FLUSH
		     : dice < 25 ? VD_REQUEST_WRITE_ZEROES
				 : VD_REQUEST_WRITE;
	if (request.op == VD_REQUEST_FLUSH) {
		op->kind = TRACE_FLUSH;
	} else {
		op->offset = rnd_below(&life->random, (RIG_SIZE - PIECE) / 4096) * 4096;
		op->len = (rnd_below(&life->random, PIECE / 512) + 1) * 512;
		if (meets_another(life, op))
			return;
	}
	if (request.op == VD_REQUEST_WRITE) {
		op->generation = ++life->generation;
		stamp_fill(f->buf, op->len, op->offset, op->generation, 1);
		request.buf = f->buf;
		/* Alone, so that the model knows what its flush covers. */
		f->has_fua = dice >= 60 && !life->n_flying;
		request.flags = f->has_fua ? VD_REQUEST_FUA : 0;
	}
	request.offset = op->offset;
	request.length = op->len;
	request.user = f;
	op->first = ++life->order;
	op->begin = record_now(life->record);
	rig_submit(life->queue, request);
	f->is_used = true;
	if (++life->n_flying > life->most_flying)
		life->most_flying = life->n_flying;
}

static void reap(struct life *life, uint32_t min)
{
	struct vd_completion done[DEPTH];
	uint32_t n = vd_queue_reap(life->queue, done, DEPTH, min, 20000);

	for (uint32_t i = 0; i < n; i++) {
		struct flight *f = done[i].user;

		assert_int_equal(done[i].result, 0);
		f->op.last = ++life->order;
		f->op.end = record_now(life->record);
		life->n_flushes += f->op.kind == TRACE_FLUSH;
		life->trace[life->n_trace++] = f->op;
		f->is_used = false;
		life->n_flying--;
		if (!f->has_fua)
			continue;
		/* To the model, a flush that began and ended now. */
		life->n_fua++;
		f->op.kind = TRACE_FLUSH;
		f->op.first = ++life->order;
		f->op.last = ++life->order;
		f->op.begin = f->op.end;
		life->trace[life->n_trace++] = f->op;
	}
}

static void live(struct life *life)
{
	for (int i = 0; i < N_STEPS; i++) {
		struct flight *f = NULL;
		bool is_lonely = rnd_below(&life->random, 12) == 0;

		while (is_lonely && life->n_flying)
			reap(life, 1);

		for (int k = 0; k < DEPTH && !f; k++)
			if (!life->flights[k].is_used)
				f = &life->flights[k];
		if (f)
			submit(life, f);
		while (f && f->is_used && f->has_fua)
			reap(life, 1);
		if (!f || rnd_below(&life->random, 6) == 0)
			reap(life, f ? 0 : 1 + (uint32_t)rnd_below(&life->random, 4));
	}
	while (life->n_flying)
		reap(life, 1);
}

static void examine(struct store *state, const struct model *model, size_t moment,
		    enum crash_kind kind)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	uint64_t n_errors = 0;
	struct vd_io *io = store_io(state, true);
	struct vd_disk *disk;
	char text[800];

	if (vd_disk_check_io(io, NULL, NULL, NULL, &n_errors, &err) || n_errors)
		fail_msg("call %zu, %s: the check found %llu errors", moment, crash_kind_name(kind),
			 (unsigned long long)n_errors);
	opts.flags = VD_OPEN_WRITE;
	if (vd_disk_open_io(&disk, io, &opts, &err))
		fail_msg("call %zu, %s: %s", moment, crash_kind_name(kind), err.text);
	if (!model_check_disk(model, MODEL_CRASH, disk, text, sizeof(text)))
		fail_msg("call %zu, %s: %s", moment, crash_kind_name(kind), text);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
	vd_io_close(io);
}

static void cut_the_power(struct life *life, const struct store *before)
{
	struct crash *crash = crash_new(life->record, before);
	struct model *model = model_new(RIG_SIZE, 1);
	struct trace_player player = {.trace = life->trace, .n = life->n_trace, .model = model};
	size_t n = record_now(life->record), n_states = 0;
	uint64_t random = 5;

	for (size_t moment = 0; moment <= n; moment++) {
		enum crash_kind kind = (enum crash_kind)rnd_below(&random, CRASH_N_KINDS);
		struct store *state;

		crash_advance(crash, moment);
		trace_advance(&player, moment);
		if (rnd_below(&random, n) >= N_STATES && moment < n)
			continue;
		state = crash_state(crash, kind, &random);
		examine(state, model, moment, kind);
		store_free(state);
		n_states++;
	}
	print_message("%zu calls recorded, %u flushes, up to %u requests in flight, %zu states\n",
		      n, life->n_flushes, life->most_flying, n_states);
	assert_true(n_states > 100);
	trace_finish(&player);
	model_free(model);
	crash_free(crash);
}

static void flushed_requests_outlive_power_cuts(void **state)
{
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct store *before = store_new(NULL), *store;
	struct life *life = calloc(1, sizeof(*life));
	struct vd_io *io = store_io(before, true);

	(void)state;
	create.virtual_size = RIG_SIZE;
	create.block_size = 1 << 20;
	create.log_size = 1 << 20;
	assert_int_equal(vd_disk_create_io(io, &create, NULL), 0);
	vd_io_close(io);
	store = store_new(before);
	life->record = record_new(store);
	record_slow_sync(life->record, 300);
	life->random = 3;
	io = record_io(life->record);
	opts.flags = VD_OPEN_WRITE;
	assert_int_equal(vd_disk_open_io(&life->disk, io, &opts, NULL), 0);
	life->queue = rig_queue(life->disk, VD_ENGINE_AUTO, DEPTH, 4);
	live(life);
	vd_queue_close(life->queue);
	assert_true(life->n_flushes > 5);
	assert_true(life->n_fua > 5);
	assert_true(life->most_flying > 4);
	assert_int_equal(vd_disk_close(life->disk, NULL), 0);
	vd_io_close(io);
	cut_the_power(life, before);
	record_free(life->record);
	store_free(store);
	store_free(before);
	free(life);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(flushed_requests_outlive_power_cuts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
