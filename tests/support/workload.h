/* SPDX-License-Identifier: MIT */
/*
 * A random but repeatable life of a disk: writes, zeroes, discards, flushes, reopening. Every
 * step is checked against the model at once and kept in a trace, so that the model can be taken
 * back to any moment of a recording.
 */
#ifndef TEST_WORKLOAD_H
#define TEST_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdisk/disk.h>

#include "model.h"
#include "record.h"

/** A part of the disk where things happen. */
struct window {
	uint64_t offset, len;
};

struct trace_op {
	enum { TRACE_CHANGE, TRACE_UNSURE, TRACE_FLUSH } kind;
	uint64_t offset, len;
	uint32_t generation;
	size_t begin, end;    /* moments: record_now before and after */
	uint64_t first, last; /* its beginning and its end in the order of all threads */
};

struct workload {
	/* set by the caller */
	struct record *record; /* NULL: times are all 0 */
	struct vd_io *io;      /* borrowed */
	struct vd_open_opts opts;
	struct model *model;
	const struct window *windows;
	size_t n_windows;
	uint64_t random;
	uint32_t max_write;       /* bytes; 0: 64 KiB */
	uint32_t flush_percent;   /* of the steps; 0: 20 */
	uint32_t discard_percent; /* half of them are write-zeroes; 0: 20 */
	bool never_reopen;
	/* its own */
	struct vd_disk *disk;
	uint32_t generation;
	struct trace_op *trace;
	size_t n_trace, cap_trace;
	uint64_t n_laps, n_commits, n_freed; /* from the statistics of closed handles */
	struct vd_error err;                 /* of the call that failed */
	char text[800];                      /* what went wrong */
};

/** Each is false when something went wrong, and workload->text tells what. */
bool workload_open(struct workload *w);
bool workload_close(struct workload *w);
bool workload_write(struct workload *w, uint64_t offset, size_t len);
/** Write zeros that the host doesn't know to be zeros. */
bool workload_blank(struct workload *w, uint64_t offset, size_t len);
bool workload_zero(struct workload *w, uint64_t offset, uint64_t len, uint32_t flags);
bool workload_discard(struct workload *w, uint64_t offset, uint64_t len);
bool workload_flush(struct workload *w);
/** One random step. */
bool workload_step(struct workload *w);
/** All that the disk shows is what was written. */
bool workload_check(struct workload *w);
void workload_free_trace(struct workload *w);
/** Put the trace of `from` behind that of `w`. */
void workload_take_trace(struct workload *w, struct workload *from);

/** The model at a moment of the recording: start with the model as it was when the recording
 *  began, then go on. The traces of several workloads may stand behind one another. */
struct trace_player {
	const struct trace_op *trace;
	size_t n;
	struct model *model;
	/* its own */
	struct trace_event *events;
	size_t at;
};
void trace_advance(struct trace_player *player, size_t moment);
void trace_finish(struct trace_player *player);

#endif
