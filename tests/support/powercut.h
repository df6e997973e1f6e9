/* SPDX-License-Identifier: MIT */
/*
 * Power cuts in the life of an image: the frame of test_crash and its siblings. They bring lives,
 * what happens in them beside payload, and what else has to hold; a test is
 *
 *	powercut_begin          the disk that is to be, as a model
 *	powercut_make_parent
 *	powercut_make_image     or whatever else puts an image into powercut->before
 *	powercut_record         it is opened; from here on each change is recorded
 *	...                     steps of powercut->w, and others with their text in w.text
 *	powercut_stop           closed
 *	powercut_walk           what power cuts leave of it, at each moment: scene.h
 *	powercut_end
 *
 * All of them fail the test themselves.
 */
#ifndef TEST_POWERCUT_H
#define TEST_POWERCUT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pthread.h>

#include <vdisk/disk.h>

#include "model.h"
#include "scene.h"
#include "store.h"
#include "workload.h"

#define POWERCUT_MAX_WINDOWS 10
#define POWERCUT_MAX_THREADS 4

/** An image, and how it lives. What is 0 is as usual. */
struct powercut_life {
	const char *name;
	enum vd_disk_type type;
	uint32_t sector, block, log; /* 0: 512, 1 MiB, 1 MiB */
	uint64_t size;
	struct window windows[POWERCUT_MAX_WINDOWS]; /* to the first without length */
	unsigned n_steps;
	uint32_t flush_percent, discard_percent, max_write; /* workload.h */
	size_t cache_bytes;
	uint64_t min_laps; /* of the log */
	bool never_reopen;
	bool is_for_qemu; /* QEMU knows the kind */
	bool cant_punch;  /* the host */
	bool has_threads; /* several write, discard and flush at once */
	const void *own;  /* what only this test knows of it */
};

struct powercut {
	const struct powercut_life *life;
	struct store *before; /* the image when the recording began, */
	struct store *after;  /* and as it is */
	struct model *first;  /* what the disk held when the recording began */
	const char *folder, *parent;
	uint32_t block;
	struct workload w; /* the disk, its model and the record */
	bool had_threads;
	/** What else must be true: scene.h. The test sets it before the walk. */
	bool (*also)(void *user, size_t moment, struct vd_disk *disk, char *text, size_t size);
	void *also_user;
};

void powercut_begin(struct powercut *cut, const struct powercut_life *life, uint64_t model_seed);
/** For a differencing life: a file with that many stretches full of stamps. */
void powercut_make_parent(struct powercut *cut, unsigned n_writes);
void powercut_make_image(struct powercut *cut);
/** The image before the recording, to be changed and closed. */
struct vd_disk *powercut_open_image(struct powercut *cut);
void powercut_record(struct powercut *cut, uint64_t random);
/** `ok` false: what happened has gone wrong, as w.text tells. */
void powercut_stop(struct powercut *cut, bool ok);
void powercut_walk(struct powercut *cut, uint64_t n_wanted, struct scene_count *count);
void powercut_end(struct powercut *cut);

/** Steps of n workloads in threads of their own, each in its share of every window, so that blocks
 *  are shared and sectors aren't. */
struct powercut_threads {
	unsigned n;
	unsigned n_steps, n_more; /* of each; and so many more until is_enough */
	_Atomic bool is_enough;
	_Atomic unsigned n_living;
	/* its own */
	pthread_t ids[POWERCUT_MAX_THREADS];
	struct window windows[POWERCUT_MAX_THREADS][POWERCUT_MAX_WINDOWS];
	struct powercut_thread {
		struct powercut_threads *all;
		struct workload w;
	} one[POWERCUT_MAX_THREADS];
};
void powercut_start_threads(struct powercut_threads *threads, struct powercut *cut);
/** False: one has failed, as cut->w.text tells. */
bool powercut_join_threads(struct powercut_threads *threads, struct powercut *cut);

/** How many states all lives together are to come to: VD_CRASH_STATES, or else that many. */
uint64_t powercut_n_states(uint64_t usual);
/** What to ask of each of n lives, so that they come to that: a little more than its share, since
 *  behind the last sync of a recording there is nothing to cut. */
uint64_t powercut_share(uint64_t n_states, size_t n_lives);
/** A crash test that crashed nothing proves nothing: fails if that was little, prints the lines
 *  that are counted, which begin with `what`. */
void powercut_count(const struct scene_count *count, const char *what, uint64_t min_states,
		    uint64_t min_qemu);
/** A cmocka test for each life, its state, and one behind them; or the one that argv names. */
int powercut_main(const char *group, const struct powercut_life *lives, size_t n,
		  void (*test)(void **life), void (*at_end)(void **state), int argc, char **argv);

#endif
