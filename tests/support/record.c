/* SPDX-License-Identifier: MIT */
/* Recording and crash states: see record.h. */
#include "record.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stamp.h"

#define SECTOR STAMP_SECTOR

enum kind { K_WRITE, K_ZERO, K_TRUNCATE, K_SYNC };

struct entry {
	enum kind kind;
	uint64_t offset; /* K_TRUNCATE: the new length */
	uint64_t len;
	size_t n_covered; /* K_SYNC: entries that were complete when it began */
	uint8_t *data;    /* K_WRITE */
};

struct record {
	pthread_mutex_t lock;
	struct store *store;
	struct entry *entries;
	size_t n, cap;
	unsigned sync_us;
	bool cant_punch;
};

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

struct record *record_new(struct store *store)
{
	struct record *record = must(calloc(1, sizeof(*record)));

	pthread_mutex_init(&record->lock, NULL);
	record->store = store;
	return record;
}

void record_free(struct record *record)
{
	if (!record)
		return;
	for (size_t i = 0; i < record->n; i++)
		free(record->entries[i].data);
	free(record->entries);
	pthread_mutex_destroy(&record->lock);
	free(record);
}

void record_slow_sync(struct record *record, unsigned microseconds)
{
	record->sync_us = microseconds;
}

void record_refuse_punch(struct record *record)
{
	record->cant_punch = true;
}

size_t record_now(struct record *record)
{
	size_t n;

	pthread_mutex_lock(&record->lock);
	n = record->n;
	pthread_mutex_unlock(&record->lock);
	return n;
}

char *record_describe(struct record *record, size_t entry, char *text, size_t size)
{
	static const char *const names[] = {"write", "zero", "truncate to", "sync of"};
	const struct entry *e;

	text[0] = '\0';
	if (entry >= record->n)
		return text;
	e = &record->entries[entry];
	if (e->kind == K_SYNC)
		snprintf(text, size, "%zu: sync of the first %zu", entry, e->n_covered);
	else
		snprintf(text, size, "%zu: %s 0x%" PRIx64 " +0x%" PRIx64, entry, names[e->kind],
			 e->offset, e->len);
	return text;
}

static void apply(struct store *store, const struct entry *e)
{
	switch (e->kind) {
	case K_WRITE:
		store_write(store, e->data, (size_t)e->len, e->offset);
		break;
	case K_ZERO:
		store_zero(store, e->offset, e->len);
		break;
	case K_TRUNCATE:
		store_truncate(store, e->offset);
		break;
	case K_SYNC:
		break;
	}
}

/* The change and its place in the log are one step. */
static void log_and_apply(struct record *record, struct entry e)
{
	pthread_mutex_lock(&record->lock);
	if (record->n == record->cap) {
		record->cap = record->cap ? record->cap * 2 : 256;
		record->entries =
		    must(realloc(record->entries, record->cap * sizeof(*record->entries)));
	}
	record->entries[record->n++] = e;
	apply(record->store, &e);
	pthread_mutex_unlock(&record->lock);
}

static ssize_t rec_read(void *state, void *buf, size_t len, uint64_t offset)
{
	struct record *record = state;
	uint64_t length = store_length(record->store);

	if (offset >= length)
		return 0;
	if (len > length - offset)
		len = (size_t)(length - offset);
	store_read(record->store, buf, len, offset);
	return (ssize_t)len;
}

static ssize_t rec_write(void *state, const void *buf, size_t len, uint64_t offset)
{
	struct entry e = {.kind = K_WRITE, .offset = offset, .len = len, .data = must(malloc(len))};

	memcpy(e.data, buf, len);
	log_and_apply(state, e);
	return (ssize_t)len;
}

static int rec_sync(void *state)
{
	struct entry e = {.kind = K_SYNC, .n_covered = record_now(state)};
	unsigned us = ((struct record *)state)->sync_us;

	if (us)
		usleep(us);
	log_and_apply(state, e);
	return 0;
}

static int rec_length(void *state, uint64_t *length)
{
	*length = store_length(((struct record *)state)->store);
	return 0;
}

static int rec_truncate(void *state, uint64_t length)
{
	log_and_apply(state, (struct entry){.kind = K_TRUNCATE, .offset = length});
	return 0;
}

static int rec_zero(void *state, uint64_t offset, uint64_t len)
{
	log_and_apply(state, (struct entry){.kind = K_ZERO, .offset = offset, .len = len});
	return 0;
}

static int rec_punch(void *state, uint64_t offset, uint64_t len)
{
	return ((struct record *)state)->cant_punch ? -EOPNOTSUPP : rec_zero(state, offset, len);
}

static int rec_next_data(void *state, uint64_t offset, uint64_t *start, uint64_t *end)
{
	return store_next_data(((struct record *)state)->store, offset, start, end) ? 0 : -ENXIO;
}

static int rec_allocated(void *state, uint64_t *bytes)
{
	uint64_t start, end = 0;

	*bytes = 0;
	while (store_next_data(((struct record *)state)->store, end, &start, &end))
		*bytes += end - start;
	return 0;
}

static void rec_close(void *state)
{
	(void)state;
}

struct vd_io *record_io(struct record *record)
{
	static const struct vd_io_ops ops = {
	    .size = sizeof(ops),
	    .read = rec_read,
	    .write = rec_write,
	    .sync = rec_sync,
	    .length = rec_length,
	    .truncate = rec_truncate,
	    .close = rec_close,
	    .punch = rec_punch,
	    .zero = rec_zero,
	    .next_data = rec_next_data,
	    .allocated = rec_allocated,
	};
	struct vd_io *io = NULL;

	return vd_io_open_ops(&io, &ops, record, "record", true, NULL) == 0 ? io : NULL;
}

struct crash {
	struct record *record;
	struct store *base; /* entries [0, n_base), which syncs cover */
	size_t n_base, n_now;
};

struct crash *crash_new(struct record *record, const struct store *before)
{
	struct crash *crash = must(calloc(1, sizeof(*crash)));

	crash->record = record;
	crash->base = store_new(before);
	return crash;
}

void crash_free(struct crash *crash)
{
	if (!crash)
		return;
	store_free(crash->base);
	free(crash);
}

void crash_advance(struct crash *crash, size_t n)
{
	for (; crash->n_now < n; crash->n_now++) {
		const struct entry *e = &crash->record->entries[crash->n_now];

		if (e->kind != K_SYNC)
			continue;
		for (; crash->n_base < e->n_covered; crash->n_base++)
			apply(crash->base, &crash->record->entries[crash->n_base]);
	}
}

size_t crash_n_pending(const struct crash *crash)
{
	size_t n = 0;

	for (size_t i = crash->n_base; i < crash->n_now; i++)
		n += crash->record->entries[i].kind != K_SYNC;
	return n;
}

/* Some of its sectors: a run from the front, a run to the end, or each by itself. */
static void apply_torn(struct store *store, const struct entry *e, uint64_t *random)
{
	/* A header may be cut anywhere, its checksum has to tell; sectors of the rest are whole. */
	uint64_t unit = e->offset < 192u << 10 ? 16 : SECTOR;
	uint64_t n = (e->len + unit - 1) / unit, how = rnd_below(random, 3);
	uint64_t cut = n ? rnd_below(random, n + 1) : 0;

	if (e->kind == K_TRUNCATE) {
		if (how)
			apply(store, e);
		return;
	}
	for (uint64_t i = 0; i < n; i++) {
		struct entry part = *e;
		bool is_there = how == 0 ? i < cut : how == 1 ? i >= cut : rnd(random) & 1;

		if (!is_there)
			continue;
		part.offset += i * unit;
		part.len = part.len - i * unit < unit ? part.len - i * unit : unit;
		part.data = e->data ? e->data + i * unit : NULL;
		apply(store, &part);
	}
}

struct store *crash_state(struct crash *crash, enum crash_kind kind, uint64_t *random)
{
	struct store *state = store_new(crash->base);
	size_t last = crash->n_now;

	while (last > crash->n_base && crash->record->entries[last - 1].kind == K_SYNC)
		last--;
	for (size_t i = crash->n_base; i < last && kind != CRASH_LOST; i++) {
		const struct entry *e = &crash->record->entries[i];
		bool is_last = i + 1 == last;

		if (kind == CRASH_PREFIX || (kind == CRASH_LAST && !is_last))
			apply(state, e);
		else if (kind == CRASH_LAST || (kind == CRASH_TORN && rnd(random) & 1))
			apply_torn(state, e, random);
		else if (rnd(random) & 1)
			apply(state, e);
	}
	return state;
}

const char *crash_kind_name(enum crash_kind kind)
{
	static const char *const names[CRASH_N_KINDS] = {"prefix", "lost", "subset", "last torn",
							 "torn"};

	return kind < CRASH_N_KINDS ? names[kind] : "?";
}

struct store *crash_subset(struct crash *crash, uint64_t mask)
{
	struct store *state = store_new(crash->base);

	for (size_t i = crash->n_base; i < crash->n_now; i++) {
		if (crash->record->entries[i].kind == K_SYNC)
			continue;
		if (mask & 1)
			apply(state, &crash->record->entries[i]);
		mask >>= 1;
	}
	return state;
}
