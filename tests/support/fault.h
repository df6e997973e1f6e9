/* SPDX-License-Identifier: MIT */
/*
 * Failing calls: a vd_io over a store whose n-th call of a kind fails, and an allocator that
 * counts, finds leaks, and fails at the n-th request.
 */
#ifndef TEST_FAULT_H
#define TEST_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdisk/error.h>
#include <vdisk/sys/io.h>

#include "store.h"

enum fault_call {
	FAULT_READ,
	FAULT_WRITE,
	FAULT_SYNC,
	FAULT_TRUNCATE,
	FAULT_PUNCH, /* punch and zero */
	FAULT_ALLOCATE,
	FAULT_LENGTH,
	FAULT_N_CALLS
};
const char *fault_call_name(enum fault_call call);

/** Which call fails. Thread-safe: set it while nobody is inside. */
struct fault {
	struct store *store;
	enum fault_call call; /* FAULT_N_CALLS: none */
	uint64_t nth;         /* 1: the next one of that kind */
	int error;            /* the errno it gives */
	bool is_sticky;       /* all that follow fail too, as on a full disk */
	bool is_short;        /* a failing write leaves its first half in the store */
	uint64_t n_hit;
	uint64_t n_calls[FAULT_N_CALLS];
};

void fault_arm(struct fault *fault, enum fault_call call, uint64_t nth, int error);
void fault_disarm(struct fault *fault);
/** A vd_io on fault->store. NULL if the library fails. */
struct vd_io *fault_io(struct fault *fault);

/** Count what the library allocates, from now on. */
void fault_memory_watch(void);
/** Blocks not given back yet. */
size_t fault_memory_blocks(void);
/** The n-th request from now on fails (0: none), and all after it if `is_sticky`. */
void fault_memory_fail(uint64_t nth, bool is_sticky);
/** Requests that failed since then. */
uint64_t fault_memory_hits(void);

/**
 * The committed numbers of calls: a line an operation in tests/fault/injection_points.txt, "NAME: 7
 * read, 0 write, ..., 14 memory". Fails the test where there are fewer now: calls have moved out of
 * its sight (or the library needs fewer: then the file is made anew from the lines that this
 * prints).
 */
void fault_hold_minimum(const char *name, const unsigned points[FAULT_N_CALLS], unsigned memory);

/** One failure among all that an operation can meet. */
struct fault_strike {
	enum fault_call call; /* FAULT_N_CALLS: a request for memory */
	uint64_t nth;
	int error;
	bool is_sticky;
};
/** From here on it waits for what calls fault->store. */
void fault_strike_begin(struct fault *fault, const struct fault_strike *strike);
/** Nothing fails any more. Has anything? */
bool fault_strike_end(struct fault *fault, const struct fault_strike *strike);
/** The operation `name` answered `failure` (NULL: it got through), which has to be right: fails the
 *  test. */
void fault_strike_judge(const struct fault_strike *strike, bool is_hit, const char *name,
			const struct vd_error *failure);
/** Try it with nth = 1, 2, 3 ... until `once` says that nothing was hit. How many there are. */
unsigned fault_strike_all(struct fault_strike strike,
			  bool (*once)(const struct fault_strike *strike, const void *operation),
			  const void *operation);

#endif
