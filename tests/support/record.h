/* SPDX-License-Identifier: MIT */
/*
 * A vd_io that logs every change made to a store, and what a power cut may leave of them.
 *
 * What was complete before a sync that returned is there. Of the changes after it, each one may
 * be there or not, in part (cut at 512-byte boundaries) or whole, whatever became of the others.
 * Changes to the same sector take effect in their order.
 */
#ifndef TEST_RECORD_H
#define TEST_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdisk/sys/io.h>

#include "store.h"

struct record;

/** Log what is done to `store` (borrowed) from now on. */
struct record *record_new(struct store *store);
void record_free(struct record *record);
/** A vd_io whose changes are logged. Several may be open. */
struct vd_io *record_io(struct record *record);
/** Let each sync take that long, so that threads meet in it. */
void record_slow_sync(struct record *record, unsigned microseconds);
/** A host that can't punch holes: space that is used again has to be zeroed. */
void record_refuse_punch(struct record *record);
/** Entries in the log so far: a moment in time. Thread-safe. */
size_t record_now(struct record *record);
/** One line a log entry, for a failure's report. */
char *record_describe(struct record *record, size_t entry, char *text, size_t size);

/** What the power cut left of the changes that no sync covers. */
enum crash_kind {
	CRASH_PREFIX, /* all */
	CRASH_LOST,   /* none */
	CRASH_SUBSET, /* some, each whole */
	CRASH_LAST,   /* all, but the last one torn */
	CRASH_TORN,   /* some whole, some torn */
	CRASH_N_KINDS
};
const char *crash_kind_name(enum crash_kind kind);

struct crash;

/** Crash states of `record`, whose store showed `before` (borrowed) when the log began. The
 *  record may not change any more. */
struct crash *crash_new(struct record *record, const struct store *before);
void crash_free(struct crash *crash);
/** Go to the moment when the first `n` entries had been issued; n never falls. */
void crash_advance(struct crash *crash, size_t n);
/** Changes that aren't durable at this moment. */
size_t crash_n_pending(const struct crash *crash);
/** One of the 2^n states of whole changes: bit i of `mask`: the i-th pending change is there. */
struct store *crash_subset(struct crash *crash, uint64_t mask);
/** The file after the power cut. The caller's, to be freed before the next crash_advance. */
struct store *crash_state(struct crash *crash, enum crash_kind kind, uint64_t *random);

#endif
