/* SPDX-License-Identifier: MIT */
/* See latency.h. */
#include "latency.h"

#include <string.h>
#include <time.h>

#define FIRST_OCTAVE 7u /* below 128 ns all is one class */
#define PER_OCTAVE   8u

static unsigned int class_of(uint64_t ns)
{
	unsigned int octave, class;

	if (ns >> FIRST_OCTAVE == 0)
		return 0;
	octave = 63u - (unsigned int)__builtin_clzll(ns);
	class = 1 + (octave - FIRST_OCTAVE) * PER_OCTAVE + (unsigned int)(ns >> (octave - 3) & 7);
	return class < LATENCY_CLASSES ? class : LATENCY_CLASSES - 1;
}

/* The longest that belongs to it. */
static uint64_t end_of(unsigned int class)
{
	unsigned int octave = (class - 1) / PER_OCTAVE + FIRST_OCTAVE;

	if (class == 0)
		return (UINT64_C(1) << FIRST_OCTAVE) - 1;
	return (UINT64_C(1) << octave) +
	       ((class - 1) % PER_OCTAVE + 1) * (UINT64_C(1) << (octave - 3)) - 1;
}

uint64_t latency_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void count(struct latency_counts *counts, unsigned int class)
{
	atomic_fetch_add_explicit(&counts->n[class], 1, memory_order_relaxed);
}

void latency_note(struct latency *latency, uint64_t start_ns, uint64_t now_ns)
{
	unsigned int class = class_of(now_ns > start_ns ? now_ns - start_ns : 0);
	uint64_t number = now_ns / LATENCY_SLICE_NS + 1, old;
	size_t slot = number % LATENCY_SLICES;

	count(&latency->all, class);
	old = atomic_load_explicit(&latency->slices[slot].number, memory_order_acquire);
	/* The first of a slice wipes away what is twelve seconds old. */
	if (old < number &&
	    atomic_compare_exchange_strong(&latency->slices[slot].number, &old, number))
		for (unsigned int i = 0; i < LATENCY_CLASSES; i++)
			atomic_store_explicit(&latency->slices[slot].counts.n[i], 0,
					      memory_order_relaxed);
	if (old <= number)
		count(&latency->slices[slot].counts, class);
}

static void add(struct latency_sum *sum, struct latency_counts *counts)
{
	for (unsigned int i = 0; i < LATENCY_CLASSES; i++) {
		uint32_t n = atomic_load_explicit(&counts->n[i], memory_order_relaxed);

		sum->n[i] += n;
		sum->n_requests += n;
	}
}

void latency_recent(struct latency *latency, uint64_t now_ns, uint64_t window_ns,
		    struct latency_sum *sum)
{
	uint64_t last = now_ns / LATENCY_SLICE_NS + 1;
	uint64_t n = (window_ns + LATENCY_SLICE_NS - 1) / LATENCY_SLICE_NS;

	memset(sum, 0, sizeof(*sum));
	n = n < LATENCY_SLICES ? n : LATENCY_SLICES - 1;
	for (uint64_t number = last > n ? last - n : 0; number <= last; number++) {
		size_t slot = number % LATENCY_SLICES;

		if (number && atomic_load_explicit(&latency->slices[slot].number,
						   memory_order_acquire) == number)
			add(sum, &latency->slices[slot].counts);
	}
}

void latency_all(struct latency *latency, struct latency_sum *sum)
{
	memset(sum, 0, sizeof(*sum));
	add(sum, &latency->all);
}

void latency_since(struct latency_sum *sum, const struct latency_sum *before)
{
	sum->n_requests = 0;
	for (unsigned int i = 0; i < LATENCY_CLASSES; i++) {
		/* 32 bits that have gone round. */
		sum->n[i] = (uint32_t)(sum->n[i] - before->n[i]);
		sum->n_requests += sum->n[i];
	}
}

uint64_t latency_quantile(const struct latency_sum *sum, unsigned int of_1000)
{
	uint64_t want = (sum->n_requests * of_1000 + 999) / 1000, seen = 0;

	for (unsigned int i = 0; i < LATENCY_CLASSES && want; i++) {
		seen += sum->n[i];
		if (seen >= want)
			return end_of(i);
	}
	return 0;
}
