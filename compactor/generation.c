/* SPDX-License-Identifier: MIT */
/*
 * What was written since a moment: a bit per block. A write holds the lock of its blocks, shared,
 * from before it sets the bits until it is made; who takes space away holds it alone from the look
 * at the bit until the space is gone. So a block either shows that it was written, or the write
 * comes after the discard. A moment begins with all locks held: each write is before it as a
 * whole, or leaves its bits.
 *
 * Many blocks share a lock. All who take more than one take them in the order of their numbers.
 */
#include "generation.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define N_STRIPES 64u
#define NS        1000000000L

struct vd_generation {
	uint64_t block_size, n_blocks;
	bool has_begun; /* written with all stripes held, read with any */
	uint8_t id[16];
	_Atomic uint64_t *words;
	pthread_rwlock_t stripes[N_STRIPES];
};

int vd_generation_new(struct vd_generation **out, const struct vd_disk *disk, struct vd_error *err)
{
	struct vd_disk_info info = {.size = sizeof(info)};
	struct vd_generation *g = calloc(1, sizeof(*g));
	pthread_rwlockattr_t attr;

	*out = NULL;
	vd_disk_get_info(disk, &info);
	if (g) {
		g->block_size = info.block_size ? info.block_size : 1u << 20;
		g->n_blocks = (info.virtual_size + g->block_size - 1) / g->block_size;
		g->words = calloc(g->n_blocks / 64 + 1, sizeof(*g->words));
	}
	if (!g || !g->words) {
		free(g);
		return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET,
				    "no memory for a bit per block of the disk");
	}
	/* Who takes space away mustn't starve behind guests that never pause. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	for (size_t i = 0; i < N_STRIPES; i++)
		pthread_rwlock_init(&g->stripes[i], &attr);
	pthread_rwlockattr_destroy(&attr);
	*out = g;
	return 0;
}

void vd_generation_free(struct vd_generation *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < N_STRIPES; i++)
		pthread_rwlock_destroy(&g->stripes[i]);
	free((void *)g->words);
	free(g);
}

int vd_generation_begin(struct vd_generation *g, uint8_t id[16], struct vd_error *err)
{
	if (getrandom(id, 16, 0) != 16)
		return vd_error_set(err, VD_EIO, 0, VD_NO_OFFSET,
				    "the kernel has no random bytes for a generation's name");
	id[6] = (uint8_t)((id[6] & 0x0f) | 0x40);
	id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
	for (size_t i = 0; i < N_STRIPES; i++)
		pthread_rwlock_wrlock(&g->stripes[i]);
	g->has_begun = true;
	memcpy(g->id, id, 16);
	for (uint64_t i = 0; i <= g->n_blocks / 64; i++)
		atomic_store_explicit(&g->words[i], 0, memory_order_relaxed);
	for (size_t i = 0; i < N_STRIPES; i++)
		pthread_rwlock_unlock(&g->stripes[i]);
	return 0;
}

bool vd_generation_is(struct vd_generation *g, const uint8_t id[16])
{
	bool is;

	pthread_rwlock_rdlock(&g->stripes[0]);
	is = g->has_begun && memcmp(g->id, id, 16) == 0;
	pthread_rwlock_unlock(&g->stripes[0]);
	return is;
}

uint64_t vd_generation_written(struct vd_generation *g)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i <= g->n_blocks / 64; i++)
		n += (uint64_t)__builtin_popcountll(
		    atomic_load_explicit(&g->words[i], memory_order_relaxed));
	return n * g->block_size;
}

struct span {
	uint64_t first, n; /* blocks */
};

static struct span span_of(const struct vd_generation *g, uint64_t offset, uint64_t len)
{
	uint64_t first = offset / g->block_size, end = g->n_blocks;
	struct span span = {first, 0};

	if (first >= end || !len)
		return span;
	if (len <= end * g->block_size - offset)
		end = (offset + len - 1) / g->block_size + 1;
	span.n = end - first;
	return span;
}

static bool has_stripe(const struct span *span, uint64_t stripe)
{
	return (stripe + N_STRIPES - span->first % N_STRIPES) % N_STRIPES < span->n;
}

static void mark(struct vd_generation *g, uint64_t block)
{
	_Atomic uint64_t *word = &g->words[block / 64];
	uint64_t bit = UINT64_C(1) << block % 64;

	if (!(atomic_load_explicit(word, memory_order_relaxed) & bit))
		atomic_fetch_or_explicit(word, bit, memory_order_relaxed);
}

void vd_generation_write_begin(struct vd_generation *g, uint64_t offset, uint64_t len)
{
	struct span span = span_of(g, offset, len);

	if (span.n == 1)
		pthread_rwlock_rdlock(&g->stripes[span.first % N_STRIPES]);
	for (uint64_t i = 0; i < N_STRIPES && span.n > 1; i++)
		if (has_stripe(&span, i))
			pthread_rwlock_rdlock(&g->stripes[i]);
	for (uint64_t i = 0; i < span.n && g->has_begun; i++)
		mark(g, span.first + i);
}

void vd_generation_write_end(struct vd_generation *g, uint64_t offset, uint64_t len)
{
	struct span span = span_of(g, offset, len);

	for (uint64_t i = 0; i < N_STRIPES && i < span.n; i++)
		pthread_rwlock_unlock(&g->stripes[(span.first + i) % N_STRIPES]);
}

enum claim generation_claim(struct vd_generation *g, const uint8_t id[16], uint64_t block,
			    uint32_t hold_ms)
{
	pthread_rwlock_t *stripe = &g->stripes[block % N_STRIPES];
	struct timespec until;
	enum claim claim = CLAIM_HAD;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += hold_ms / 1000;
	until.tv_nsec += (long)(hold_ms % 1000) * 1000000;
	if (until.tv_nsec >= NS) {
		until.tv_nsec -= NS;
		until.tv_sec++;
	}
	if (pthread_rwlock_clockwrlock(stripe, CLOCK_MONOTONIC, &until))
		return CLAIM_BUSY;
	if (!g->has_begun || memcmp(g->id, id, 16) != 0)
		claim = CLAIM_STALE;
	else if (block >= g->n_blocks || g->words[block / 64] >> block % 64 & 1)
		claim = CLAIM_WRITTEN;
	if (claim != CLAIM_HAD)
		pthread_rwlock_unlock(stripe);
	return claim;
}

void generation_release(struct vd_generation *g, uint64_t block)
{
	pthread_rwlock_unlock(&g->stripes[block % N_STRIPES]);
}
