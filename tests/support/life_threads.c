/* SPDX-License-Identifier: MIT */
/* The life of an image: many threads, apart and in each other's way. See life.h. */
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "life.h"
#include "stamp.h"

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

#define N_THREADS     4
#define N_THREAD_OPS  16
#define THREAD_UNIT   16384u
#define THREAD_SHARES (N_THREADS * THREAD_UNIT)

/* Each thread owns every fourth stretch of 16 KiB of a window. */
struct thread_life {
	struct vd_disk *disk;
	struct window window;
	uint64_t seed, random;
	unsigned nth;
	uint32_t generation; /* of its first change */
	struct {
		uint64_t offset, len;
		uint32_t generation;
	} ops[N_THREAD_OPS];
	struct vd_error err;
	int rc;
};

static void *thread_main(void *arg)
{
	struct thread_life *t = arg;
	uint8_t *buf = must(malloc(THREAD_UNIT));

	for (uint32_t i = 0; i < N_THREAD_OPS && !t->rc; i++) {
		uint64_t share = rnd_below(&t->random, t->window.len / THREAD_SHARES);
		uint64_t in = rnd_below(&t->random, THREAD_UNIT / 512) * 512;
		uint64_t len = (rnd_below(&t->random, (THREAD_UNIT - in) / 512) + 1) * 512;
		uint64_t at =
		    t->window.offset + share * THREAD_SHARES + t->nth * (uint64_t)THREAD_UNIT + in;
		uint64_t dice = rnd_below(&t->random, 8);

		t->ops[i].offset = at;
		t->ops[i].len = len;
		t->ops[i].generation = dice ? t->generation + i : 0;
		stamp_fill(buf, (size_t)len, at, t->ops[i].generation, t->seed);
		if (dice)
			t->rc = vd_disk_write(t->disk, buf, (size_t)len, at, &t->err);
		else
			t->rc = vd_disk_write_zeroes(t->disk, at, len, 0, &t->err);
		if (!t->rc && dice == 1)
			t->rc = vd_disk_flush(t->disk, &t->err);
		if (!t->rc)
			t->rc = vd_disk_read(t->disk, buf, (size_t)len, at, &t->err);
		if (!t->rc && !stamp_verify(buf, (size_t)len, at, t->ops[i].generation, t->seed,
					    t->err.text, sizeof(t->err.text)))
			t->rc = VD_EIO;
	}
	free(buf);
	return NULL;
}

bool life_threads(struct life *life)
{
	struct thread_life *threads = must(calloc(N_THREADS, sizeof(*threads)));
	const struct window *window = &life->windows[rnd_below(&life->random, life->w.n_windows)];
	pthread_t ids[N_THREADS];
	bool ok = true;

	life_tell(life, "%d threads at %" PRIu64 " +%" PRIu64 ", generations from %" PRIu32,
		  N_THREADS, window->offset, window->len, life->w.generation + 1);
	for (unsigned i = 0; window->len >= THREAD_SHARES && i < N_THREADS; i++) {
		threads[i] = (struct thread_life){.disk = life->w.disk,
						  .window = *window,
						  .seed = life->seed,
						  .random = rnd(&life->random),
						  .nth = i,
						  .generation = life->w.generation + 1,
						  .err = VD_ERROR_INIT};
		life->w.generation += N_THREAD_OPS;
		if (pthread_create(&ids[i], NULL, thread_main, &threads[i]) != 0)
			abort();
	}
	for (unsigned i = 0; window->len >= THREAD_SHARES && i < N_THREADS; i++) {
		pthread_join(ids[i], NULL);
		if (threads[i].rc < 0)
			ok = life_fail(life, "thread %u: %s", i, threads[i].err.text);
		for (unsigned k = 0; ok && k < N_THREAD_OPS; k++)
			model_write(life->w.model, threads[i].ops[k].offset, threads[i].ops[k].len,
				    threads[i].ops[k].generation);
		life->count->thread_steps += !i;
	}
	free(threads);
	if (ok && !workload_check(&life->w))
		ok = life_fail(life, "after the threads: %s", life->w.text);
	return ok;
}

#define N_CLASH_OPS 12
#define MAX_CLASH   (512u << 10)

enum clash_kind { CLASH_WRITE, CLASH_ZERO, CLASH_KEEP, CLASH_DISCARD, CLASH_FLUSH, CLASH_READ };

struct clash_op {
	enum clash_kind kind;
	struct window range;
	uint32_t generation;
	int rc;
	struct vd_error err;
};

struct clash_thread {
	struct vd_disk *disk;
	uint64_t seed;
	struct clash_op ops[N_CLASH_OPS];
};

static void clash_do(struct clash_thread *t, struct clash_op *op, uint8_t *buf)
{
	uint64_t at = op->range.offset, len = op->range.len;

	switch (op->kind) {
	case CLASH_WRITE:
		stamp_fill(buf, (size_t)len, at, op->generation, t->seed);
		op->rc = vd_disk_write(t->disk, buf, (size_t)len, at, &op->err);
		break;
	case CLASH_ZERO:
	case CLASH_KEEP:
		op->rc = vd_disk_write_zeroes(
		    t->disk, at, len, op->kind == CLASH_KEEP ? VD_ZERO_KEEP_SPACE : 0, &op->err);
		break;
	case CLASH_DISCARD:
		op->rc = vd_disk_discard(t->disk, at, len, &op->err);
		break;
	case CLASH_FLUSH:
		op->rc = vd_disk_flush(t->disk, &op->err);
		break;
	case CLASH_READ:
		op->rc = vd_disk_read(t->disk, buf, (size_t)len, at, &op->err);
		break;
	}
}

static void *clash_main(void *arg)
{
	struct clash_thread *t = arg;
	uint8_t *buf = must(malloc(MAX_CLASH));

	for (int i = 0; i < N_CLASH_OPS; i++)
		clash_do(t, &t->ops[i], buf);
	free(buf);
	return NULL;
}

/* A place of up to 512 KiB, or whole blocks of it. */
static struct clash_op clash_choose(struct life *life, struct window area)
{
	struct clash_op op = {.kind = (enum clash_kind)rnd_below(&life->random, 8),
			      .err = VD_ERROR_INIT};
	uint64_t unit = rnd(&life->random) & 1 ? 512 : 4096;
	uint64_t max = area.len < MAX_CLASH ? area.len : MAX_CLASH;

	if (op.kind > CLASH_READ)
		op.kind = CLASH_WRITE;
	op.range.offset = rnd_below(&life->random, (area.len + unit - 1) / unit) * unit;
	op.range.len =
	    (rnd_below(&life->random, rnd(&life->random) & 1 ? 16 : max / unit + 1) + 1) * unit;
	if (op.range.len > max)
		op.range.len = max;
	if (op.range.len > area.len - op.range.offset)
		op.range.len = area.len - op.range.offset;
	op.range.offset += area.offset;
	if (rnd(&life->random) & 1 && (op.kind == CLASH_ZERO || op.kind == CLASH_DISCARD))
		op.range = area;
	if (op.kind == CLASH_WRITE)
		op.generation = ++life->w.generation;
	return op;
}

/* One sector: what some thread wrote there last, or what it was if nobody had to change it. */
static bool settle_sector(struct life *life, const struct clash_thread *threads, unsigned n,
			  const uint8_t *sector, uint64_t at)
{
	bool may_stay = true, is_discarded = false, is_found = false;
	uint32_t generation = 0;
	char text[300];

	for (unsigned i = 0; i < n * N_CLASH_OPS; i++) {
		const struct clash_op *op = &threads[i / N_CLASH_OPS].ops[i % N_CLASH_OPS];

		if (op->kind >= CLASH_FLUSH || at < op->range.offset ||
		    at >= op->range.offset + op->range.len)
			continue;
		is_discarded |= op->kind == CLASH_DISCARD || op->rc;
		may_stay &= op->kind == CLASH_DISCARD || op->rc;
		if (!is_found && stamp_is(sector, at / STAMP_SECTOR, op->generation, life->seed)) {
			is_found = true;
			generation = op->generation;
		}
	}
	if (may_stay && !is_found &&
	    model_allows(life->w.model, MODEL_LIVE, sector, STAMP_SECTOR, at, text, sizeof(text))) {
		if (is_discarded)
			model_unsure(life->w.model, at, STAMP_SECTOR, 0);
		return true;
	}
	if (!is_found) {
		stamp_describe(sector, at / STAMP_SECTOR, text, sizeof(text));
		return life_fail(life, "after a clash of threads: %s (%s)", text,
				 may_stay ? "nor is it the old one" : "the old one had to go");
	}
	model_write(life->w.model, at, STAMP_SECTOR, generation);
	if (is_discarded && generation)
		model_unsure(life->w.model, at, STAMP_SECTOR, 0);
	return true;
}

static bool clash_settle(struct life *life, struct clash_thread *threads, unsigned n,
			 struct window area, bool was_canceled)
{
	uint8_t *buf = must(malloc((size_t)area.len));
	struct vd_error err = VD_ERROR_INIT;
	bool ok = true;

	for (unsigned i = 0; ok && i < n * N_CLASH_OPS; i++) {
		const struct clash_op *op = &threads[i / N_CLASH_OPS].ops[i % N_CLASH_OPS];

		if (op->rc && !(was_canceled && op->rc == VD_ECANCELED))
			ok = life_fail(life, "in a clash of threads, step %d: %s", (int)op->kind,
				       op->err.text);
	}
	if (ok && vd_disk_read(life->w.disk, buf, (size_t)area.len, area.offset, &err) < 0)
		ok = life_fail(life, "read after a clash: %s", err.text);
	for (uint64_t at = 0; ok && at < area.len; at += STAMP_SECTOR)
		ok = settle_sector(life, threads, n, buf + at, area.offset + at);
	free(buf);
	if (ok &&
	    (!workload_check(&life->w) || !workload_flush(&life->w) || !workload_check(&life->w)))
		ok = life_fail(life, "after a clash: %s", life->w.text);
	return ok;
}

/* Threads that change the same few blocks at once; perhaps a cancel in the middle of it. */
bool life_clash(struct life *life)
{
	const struct window *window = &life->windows[rnd_below(&life->random, life->w.n_windows)];
	struct clash_thread *threads = must(calloc(N_THREADS, sizeof(*threads)));
	uint64_t block = life->create.block_size;
	bool is_canceling = rnd_below(&life->random, 4) == 0, ok;
	struct window area = *window;
	pthread_t ids[N_THREADS];

	if (area.len > 2 * block && rnd(&life->random) & 1) {
		area.offset = (area.offset + block - 1) / block * block;
		area.len = block;
	}
	life_tell(life, "%d threads clash at %" PRIu64 " +%" PRIu64 "%s, generations from %" PRIu32,
		  N_THREADS, area.offset, area.len, is_canceling ? " with a cancel" : "",
		  life->w.generation + 1);
	for (unsigned t = 0; t < N_THREADS; t++) {
		threads[t].disk = life->w.disk;
		threads[t].seed = life->seed;
		for (int i = 0; i < N_CLASH_OPS; i++)
			threads[t].ops[i] = clash_choose(life, area);
	}
	for (unsigned t = 0; t < N_THREADS; t++)
		if (pthread_create(&ids[t], NULL, clash_main, &threads[t]) != 0)
			abort();
	if (is_canceling) {
		for (int i = 0; i < 3; i++)
			sched_yield();
		vd_disk_cancel(life->w.disk);
		sched_yield();
		vd_disk_resume(life->w.disk);
	}
	for (unsigned t = 0; t < N_THREADS; t++)
		pthread_join(ids[t], NULL);
	ok = clash_settle(life, threads, N_THREADS, area, is_canceling);
	free(threads);
	life->count->clashes++;
	return ok;
}
