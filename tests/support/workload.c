/* SPDX-License-Identifier: MIT */
/* A random life of a disk: see workload.h. */
#include "workload.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stamp.h"

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

/* A moment, and its place in the order of all that begins and ends. */
static size_t moment(const struct workload *w, uint64_t *order)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static uint64_t n;
	size_t now;

	pthread_mutex_lock(&lock);
	*order = ++n;
	now = w->record ? record_now(w->record) : 0;
	pthread_mutex_unlock(&lock);
	return now;
}

static struct trace_op begin(const struct workload *w, struct trace_op op)
{
	op.begin = moment(w, &op.first);
	return op;
}

static void trace_add(struct workload *w, struct trace_op op)
{
	if (w->n_trace == w->cap_trace) {
		w->cap_trace = w->cap_trace ? w->cap_trace * 2 : 256;
		w->trace = must(realloc(w->trace, w->cap_trace * sizeof(*w->trace)));
	}
	op.end = moment(w, &op.last);
	w->trace[w->n_trace++] = op;
}

static bool failed(struct workload *w, const char *what, uint64_t offset, uint64_t len,
		   const struct vd_error *err)
{
	w->err = *err;
	snprintf(w->text, sizeof(w->text), "%s [%" PRIu64 ", +%" PRIu64 "): %s: %s", what, offset,
		 len, vd_code_name(err->code), err->text);
	return false;
}

bool workload_open(struct workload *w)
{
	struct vd_error err = VD_ERROR_INIT;

	w->opts.flags |= VD_OPEN_WRITE;
	if (vd_disk_open_io(&w->disk, w->io, &w->opts, &err) < 0)
		return failed(w, "open", 0, 0, &err);
	return true;
}

bool workload_close(struct workload *w)
{
	struct vd_disk_stats stats = {.size = sizeof(stats)};
	struct trace_op op = begin(w, (struct trace_op){.kind = TRACE_FLUSH});
	struct vd_error err = VD_ERROR_INIT;
	int rc;

	vd_disk_get_stats(w->disk, &stats);
	w->n_laps += stats.n_log_laps;
	w->n_commits += stats.n_commits;
	w->n_freed += stats.n_blocks_freed;
	rc = vd_disk_close(w->disk, &err);
	w->disk = NULL;
	if (rc < 0)
		return failed(w, "close", 0, 0, &err);
	model_flushed(w->model);
	trace_add(w, op);
	return true;
}

bool workload_write(struct workload *w, uint64_t offset, size_t len)
{
	struct trace_op op =
	    begin(w, (struct trace_op){TRACE_CHANGE, offset, len, ++w->generation, 0, 0, 0, 0});
	struct vd_error err = VD_ERROR_INIT;
	uint8_t *buf = must(malloc(len));
	int rc;

	stamp_fill(buf, len, offset, op.generation, model_seed(w->model));
	rc = vd_disk_write(w->disk, buf, len, offset, &err);
	free(buf);
	if (rc < 0) {
		model_unsure(w->model, offset, len, op.generation);
		return failed(w, "write", offset, len, &err);
	}
	model_write(w->model, offset, len, op.generation);
	trace_add(w, op);
	return true;
}

bool workload_blank(struct workload *w, uint64_t offset, size_t len)
{
	struct trace_op op = begin(w, (struct trace_op){TRACE_CHANGE, offset, len, 0, 0, 0, 0, 0});
	struct vd_error err = VD_ERROR_INIT;
	uint8_t *buf = must(calloc(1, len));
	int rc = vd_disk_write(w->disk, buf, len, offset, &err);

	free(buf);
	if (rc < 0) {
		model_unsure(w->model, offset, len, 0);
		return failed(w, "write of zeros", offset, len, &err);
	}
	model_write(w->model, offset, len, 0);
	trace_add(w, op);
	return true;
}

bool workload_zero(struct workload *w, uint64_t offset, uint64_t len, uint32_t flags)
{
	struct trace_op op = begin(w, (struct trace_op){TRACE_CHANGE, offset, len, 0, 0, 0, 0, 0});
	struct vd_error err = VD_ERROR_INIT;

	if (vd_disk_write_zeroes(w->disk, offset, len, flags, &err) < 0) {
		model_unsure(w->model, offset, len, 0);
		return failed(w, "write_zeroes", offset, len, &err);
	}
	model_write(w->model, offset, len, 0);
	trace_add(w, op);
	return true;
}

/* Each sector now reads as before or as zero; which of them, the disk decides, and keeps to it,
 * except that what wasn't dropped may turn out as zero after all. */
bool workload_discard(struct workload *w, uint64_t offset, uint64_t len)
{
	struct trace_op start = begin(w, (struct trace_op){0});
	struct vd_error err = VD_ERROR_INIT;
	uint8_t *buf;

	if (vd_disk_discard(w->disk, offset, len, &err) < 0) {
		model_unsure(w->model, offset, len, 0);
		return failed(w, "discard", offset, len, &err);
	}
	buf = must(malloc((size_t)len));
	if (vd_disk_read(w->disk, buf, (size_t)len, offset, &err) < 0) {
		model_unsure(w->model, offset, len, 0);
		free(buf);
		return failed(w, "read after discard", offset, len, &err);
	}
	for (uint64_t at = 0, n; at < len; at += n) {
		bool is_zero = stamp_is(buf + at, 0, 0, 0);
		struct trace_op op = start;

		op.kind = is_zero ? TRACE_CHANGE : TRACE_UNSURE;
		op.offset = offset + at;

		for (n = STAMP_SECTOR; at + n < len && stamp_is(buf + at + n, 0, 0, 0) == is_zero;)
			n += STAMP_SECTOR;
		op.len = n;
		if (is_zero)
			model_write(w->model, op.offset, n, 0);
		else
			model_unsure(w->model, op.offset, n, 0);
		trace_add(w, op);
	}
	if (!model_allows(w->model, MODEL_LIVE, buf, (size_t)len, offset, w->text,
			  sizeof(w->text))) {
		free(buf);
		return false;
	}
	free(buf);
	return true;
}

bool workload_flush(struct workload *w)
{
	struct trace_op op = begin(w, (struct trace_op){.kind = TRACE_FLUSH});
	struct vd_error err = VD_ERROR_INIT;

	if (vd_disk_flush(w->disk, &err) < 0)
		return failed(w, "flush", 0, 0, &err);
	model_flushed(w->model);
	trace_add(w, op);
	return true;
}

bool workload_check(struct workload *w)
{
	return model_check_disk(w->model, MODEL_LIVE, w->disk, w->text, sizeof(w->text));
}

static struct window choose_range(struct workload *w, uint64_t max, uint64_t align)
{
	const struct window *window = &w->windows[rnd_below(&w->random, w->n_windows)];
	uint64_t start =
	    window->len < align ? 0 : rnd_below(&w->random, window->len / align) * align;
	uint64_t len = (rnd_below(&w->random, max / align) + 1) * align;

	if (len > window->len - start)
		len = window->len - start;
	return (struct window){window->offset + start, len};
}

/* Whole blocks, or a part at the edge of some. */
static bool step_discard(struct workload *w, bool is_zeroing)
{
	struct window range = choose_range(w, 3u << 20, rnd(&w->random) & 3 ? 1u << 20 : 4096);

	if (!is_zeroing)
		return workload_discard(w, range.offset, range.len);
	return workload_zero(w, range.offset, range.len,
			     rnd(&w->random) & 1 ? VD_ZERO_KEEP_SPACE : 0);
}

bool workload_step(struct workload *w)
{
	uint32_t flush_percent = w->flush_percent ? w->flush_percent : 20;
	uint64_t dice = rnd_below(&w->random, 100);
	uint32_t discard_percent = w->discard_percent ? w->discard_percent : 20;
	uint32_t max = w->max_write ? w->max_write : 65536;
	struct window range;

	if (dice < flush_percent)
		return workload_flush(w);
	if (dice < flush_percent + discard_percent)
		return step_discard(w, dice & 1);
	flush_percent += discard_percent;
	if (dice < flush_percent + 3 && !w->never_reopen)
		return workload_check(w) && workload_close(w) && workload_open(w) &&
		       workload_check(w);
	if (dice < flush_percent + 6) /* crosses blocks */
		range = choose_range(w, (1u << 20) + 65536, 4096);
	else
		range = choose_range(w, rnd(&w->random) & 1 ? max : 4096,
				     rnd(&w->random) & 3 ? 4096 : 512);
	return workload_write(w, range.offset, (size_t)range.len);
}

void workload_take_trace(struct workload *w, struct workload *from)
{
	size_t n = w->n_trace + from->n_trace;

	w->trace = must(realloc(w->trace, (n + 1) * sizeof(*w->trace)));
	if (from->n_trace)
		memcpy(w->trace + w->n_trace, from->trace, from->n_trace * sizeof(*w->trace));
	w->n_trace = n;
	w->cap_trace = n + 1;
	workload_free_trace(from);
}

void workload_free_trace(struct workload *w)
{
	free(w->trace);
	w->trace = NULL;
	w->n_trace = w->cap_trace = 0;
}

/* The beginning or the end of an operation. */
struct trace_event {
	const struct trace_op *op;
	uint64_t order;
	bool is_end;
	uint64_t ticket; /* of a flush that has begun */
};

static int by_order(const void *a, const void *b)
{
	const struct trace_event *x = a, *y = b;

	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	return x->op < y->op ? -1 : x->op > y->op;
}

static void sort_events(struct trace_player *player)
{
	struct trace_event *events = must(calloc(2 * player->n + 1, sizeof(*events)));

	for (size_t i = 0; i < player->n; i++) {
		const struct trace_op *op = &player->trace[i];

		events[2 * i] = (struct trace_event){op, op->first, false, 0};
		events[2 * i + 1] = (struct trace_event){op, op->last, true, 0};
	}
	qsort(events, 2 * player->n, sizeof(*events), by_order);
	player->events = events;
}

static void play_begin(struct trace_player *player, const struct trace_op *op)
{
	uint64_t ticket = model_flush_begin(player->model);

	if (op->kind == TRACE_CHANGE)
		model_begin(player->model, op->offset, op->len, op->generation);
	else if (op->kind == TRACE_UNSURE)
		model_unsure(player->model, op->offset, op->len, op->generation);
	for (size_t i = player->at; op->kind == TRACE_FLUSH; i++) {
		if (player->events[i].op != op || !player->events[i].is_end)
			continue;
		player->events[i].ticket = ticket;
		break;
	}
}

static void play_end(struct trace_player *player, const struct trace_event *event)
{
	const struct trace_op *op = event->op;

	if (op->kind == TRACE_CHANGE)
		model_done(player->model, op->offset, op->len, op->generation);
	else if (op->kind == TRACE_FLUSH)
		model_flush_end(player->model, event->ticket);
}

/* What begins at a moment has done nothing yet; what ends then has done all. */
void trace_advance(struct trace_player *player, size_t now)
{
	if (!player->events)
		sort_events(player);
	for (; player->at < 2 * player->n; player->at++) {
		const struct trace_event *event = &player->events[player->at];

		if (event->is_end ? event->op->end > now : event->op->begin >= now)
			return;
		if (event->is_end)
			play_end(player, event);
		else
			play_begin(player, event->op);
	}
}

void trace_finish(struct trace_player *player)
{
	free(player->events);
	player->events = NULL;
}
