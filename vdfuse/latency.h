/* SPDX-License-Identifier: MIT */
/*
 * How long requests take: a histogram of their times, since the beginning and lately. Each octave
 * of nanoseconds has eight classes, so that what is told is right to an eighth. Counting costs a
 * few atomic additions, from any thread; what is counted while somebody looks may be missed by that
 * look.
 */
#ifndef VDFUSE_LATENCY_H
#define VDFUSE_LATENCY_H

#include <stdatomic.h>
#include <stdint.h>

#define LATENCY_CLASSES  240u /* up to 2^36 ns, 69 s; more counts as that */
#define LATENCY_SLICE_NS UINT64_C(250000000)
#define LATENCY_SLICES   48u /* 12 s */

struct latency_counts {
	_Atomic uint32_t n[LATENCY_CLASSES];
};

/** All zero is a new one. */
struct latency {
	struct {
		_Atomic uint64_t number; /* of the slice of time that is counted here, + 1 */
		struct latency_counts counts;
	} slices[LATENCY_SLICES];
	struct latency_counts all;
};

/** What was counted in some time. */
struct latency_sum {
	uint64_t n_requests;
	uint64_t n[LATENCY_CLASSES];
};

/** On the clock that latency_note wants. */
uint64_t latency_now_ns(void);
/** A request that began at `start_ns` has ended now. */
void latency_note(struct latency *latency, uint64_t start_ns, uint64_t now_ns);
/** What ended in the `window_ns` before `now_ns`, counted in whole slices. */
void latency_recent(struct latency *latency, uint64_t now_ns, uint64_t window_ns,
		    struct latency_sum *sum);
/** All since the beginning. */
void latency_all(struct latency *latency, struct latency_sum *sum);
/** What was counted in `sum` and not yet in `before`. */
void latency_since(struct latency_sum *sum, const struct latency_sum *before);
/** So many of a thousand requests took at most so long; 0: there was none. Nanoseconds. */
uint64_t latency_quantile(const struct latency_sum *sum, unsigned int of_1000);

#endif
