/* SPDX-License-Identifier: MIT */
/*
 * The life of an image, at random: made, opened, written, discarded, closed, looked at while it is
 * dirty, cut off, put beneath a child, written by QEMU, against a raw model of its content. All
 * follows from one seed (and from what is installed). Files lie in the scratch folder.
 */
#ifndef TEST_LIFE_H
#define TEST_LIFE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdisk/disk.h>

#include "model.h"
#include "workload.h"

#define LIFE_MAX_DEPTH 4
#define LIFE_N_LINES   24

/** What was done so far, in all lives. */
struct life_count {
	uint64_t steps, reopenings, extents, views, dirty_views, cuts, dirty_cuts, children,
	    dirty_children, qemu, qemu_replays, thread_steps, clashes, checks, resized, states;
};

struct life {
	uint64_t seed, random;
	uint32_t step;
	struct vd_create_opts create;
	struct window windows[3];
	unsigned depth; /* parents beneath the image */
	uint64_t parent_hash[LIFE_MAX_DEPTH];
	uint32_t flush_percent, max_write;
	bool has_qemu, is_for_qemu, was_resized;
	bool is_calm;      /* few interruptions: logs get full */
	struct workload w; /* the open disk, and the model */
	struct life_count *count;
	char lines[LIFE_N_LINES][160]; /* the last things done */
	unsigned n_lines;
	char text[1200]; /* what went wrong */
};

/** Each is false when something went wrong, and life->text tells what. */
bool life_begin(struct life *life, uint64_t seed, struct life_count *count);
bool life_step(struct life *life);
/** Close it and look at all of it once more. */
bool life_end(struct life *life);
/** Free everything; with `keep` the files stay. */
void life_free(struct life *life, bool keep);
/** Add a line to the history. */
void life_tell(struct life *life, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** Set life->text, give false. */
bool life_fail(struct life *life, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Between the parts of it (life_*.c). */
/** The file at a depth; 0 is the image itself. */
const char *life_path(const struct life *life, unsigned depth);
void life_choose_windows(struct life *life);
struct window life_range(struct life *life, uint64_t max);
/** A random change through the workload, which traces it. */
bool life_change(struct life *life);
bool life_open(struct life *life);
bool life_close(struct life *life);
bool life_check_file(struct life *life, const char *path);
bool life_write_vector(struct life *life);
bool life_write_pieces(struct life *life);
bool life_read(struct life *life);
bool life_map(struct life *life);
bool life_threads(struct life *life);
bool life_clash(struct life *life);
bool life_reopen(struct life *life);
bool life_view(struct life *life);
bool life_cut(struct life *life);
bool life_make_child(struct life *life);
bool life_qemu(struct life *life);

#endif
