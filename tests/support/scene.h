/* SPDX-License-Identifier: MIT */
/*
 * One file as a power cut left it, and all that it has to pass: the check, our read-only view,
 * our replay, a cut in the middle of the replay, further use, QEMU's replay. A failure ends the
 * cmocka test with a report, and keeps the file.
 */
#ifndef TEST_SCENE_H
#define TEST_SCENE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdisk/disk.h>

#include "model.h"
#include "record.h"
#include "store.h"
#include "workload.h"

/** What was done so far. */
struct scene_count {
	uint64_t states, by_kind[CRASH_N_KINDS], dirty, nested, went_on, qemu, qemu_dirty;
	uint64_t max_pending;
};

struct scene {
	const char *name;
	const struct window *windows;
	size_t n_windows;
	bool is_for_qemu; /* QEMU knows the kind */
	struct crash *crash;
	struct record *record;
	struct model *model; /* at this moment */
	struct vd_open_opts opts;
	size_t moment;
	enum crash_kind kind;
	struct store *state;
	struct scene_count *count;
	uint64_t random;
	uint64_t first_hash; /* content before the recording, and its DataWriteGuid */
	uint8_t first_id[16];
	const char *step;
	struct scene_batch *batch; /* files that QEMU is yet to see */
	/** What else must be true of the open disk at s->moment; NULL: nothing. */
	bool (*also)(void *user, size_t moment, struct vd_disk *disk, char *text, size_t size);
	void *also_user;
};

/** Remember scene->state as what was there before. */
void scene_begin(struct scene *scene);
void scene_examine(struct scene *scene);
/** Examine what may be left at all moments of the recording: prefixes and small subsets of what is
 *  pending; torn ones as often as the wanted number of states asks for. */
void scene_walk(struct scene *scene, struct trace_player *player, uint64_t n_wanted);
/** Finish what was put off: once, at the end. */
void scene_end(struct scene *scene);

#endif
