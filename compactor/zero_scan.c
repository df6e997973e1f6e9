/* SPDX-License-Identifier: MIT */
/*
 * The zero scan's first look, on several processors: which of the next blocks are worth a step that
 * makes guests wait? Only a hint: whoever acts on it looks again, under the lock that this takes
 * not.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "compact.h"

/* Between two pauses so much is read, and at least a block for each thread. */
#define BATCH_BYTES (64u << 20)
#define N_THREADS   4

struct scan {
	struct compaction *c;
	const struct vd_use_range *uses;
	struct scan_result *results;
	size_t n;
	atomic_size_t next;
};

static size_t n_threads(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n < N_THREADS ? (size_t)n : N_THREADS;
}

size_t scan_batch_size(const struct compaction *c)
{
	size_t n = BATCH_BYTES / (c->space.block_size ? c->space.block_size : BATCH_BYTES);

	n = n < n_threads() ? n_threads() : n;
	return n < SCAN_BATCH ? n : SCAN_BATCH;
}

static void *look(void *user)
{
	struct scan *scan = user;
	size_t i;

	while ((i = atomic_fetch_add(&scan->next, 1)) < scan->n) {
		struct scan_result *r = &scan->results[i];

		memset(r, 0, sizeof(*r));
		if (scan->uses[i].use == VD_USE_BLOCK)
			r->code = dry_look(scan->c, &scan->uses[i], &r->block, &r->err);
	}
	return NULL;
}

void scan_look(struct compaction *c, const struct vd_use_range *uses, size_t n,
	       struct scan_result *results)
{
	struct scan scan = {.c = c, .uses = uses, .results = results, .n = n};
	pthread_t threads[N_THREADS];
	size_t n_started = 0, n_wanted = n_threads();
	sigset_t all, own;

	/* Signals are the business of the program's own threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &own);
	/* This thread is one of them; where no other can be had it does all. */
	while (n_started + 1 < n_wanted && n_started + 1 < n &&
	       !pthread_create(&threads[n_started], NULL, look, &scan))
		n_started++;
	pthread_sigmask(SIG_SETMASK, &own, NULL);
	look(&scan);
	for (size_t i = 0; i < n_started; i++)
		pthread_join(threads[i], NULL);
}
