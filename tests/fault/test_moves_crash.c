/* SPDX-License-Identifier: MIT */
/*
 * Power cuts while blocks and bitmap blocks move, are dropped and punched, the file is cut and
 * compacted, beside payload that is written, freed and flushed. None of that may be seen in what
 * the disk holds: all that test_crash asks of it, at each moment. VD_CRASH_STATES=N aims for N
 * states. test-timeout: 600
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include <vdisk/compact.h>
#include <vdisk/disk.h>
#include <vdisk/sys/space.h>

#include "powercut.h"
#include "stamp.h"
#include "vhdxgen.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

/* What has to move. Of the steps, some 45 % are about space; where there are threads, all. */
struct own {
	unsigned min_moved, min_bitmaps;
	unsigned min_together; /* compactions that commit several copies at once */
	bool is_foreign;       /* with an unknown region and soft anchors, made by vhdxgen */
};

static const struct powercut_life lives[] = {
    {.name = "moves",
     .size = 7 * MIB + 1536,
     .windows = {{0, 7 * MIB + 1536}},
     .n_steps = 60,
     .is_for_qemu = true,
     .own = &(const struct own){.min_moved = 4}},
    {.name = "moves, laps of the log",
     .size = 5 * GIB,
     .windows =
	 {{0, MIB}, {600 * MIB, MIB}, {1200 * MIB, MIB}, {2300 * MIB, MIB}, {4200 * MIB, MIB}},
     .n_steps = 70,
     .cache_bytes = 64 << 10,
     .min_laps = 3,
     .never_reopen = true,
     .is_for_qemu = true,
     .own = &(const struct own){.min_moved = 10}},
    {.name = "moves, 4096-byte sectors",
     .sector = 4096,
     .block = 2 << 20,
     .size = 9 * MIB,
     .windows = {{0, 9 * MIB}},
     .n_steps = 36,
     .own = &(const struct own){.min_moved = 5}},
    {.name = "moves, differencing",
     .type = VD_TYPE_DIFFERENCING,
     .size = 5 * GIB,
     .windows = {{0, 3 * MIB}, {4094 * MIB, 4 * MIB}},
     .n_steps = 60,
     .own = &(const struct own){.min_moved = 2, .min_bitmaps = 1}},
    {.name = "moves, differencing, 4096-byte sectors",
     .type = VD_TYPE_DIFFERENCING,
     .sector = 4096,
     .size = 6 * MIB,
     .windows = {{0, 6 * MIB}},
     .n_steps = 36,
     .own = &(const struct own){.min_moved = 3}},
    {.name = "moves, a host without holes",
     .size = 5 * MIB,
     .windows = {{0, 5 * MIB}},
     .n_steps = 36,
     .is_for_qemu = true,
     .cant_punch = true,
     .own = &(const struct own){.min_moved = 5}},
    {.name = "moves, an image by others",
     .block = 2 << 20,
     .size = 64 * MIB,
     .windows = {{0, 16 * MIB}},
     .n_steps = 40,
     .is_for_qemu = true,
     .own = &(const struct own){.min_moved = 5, .is_foreign = true}},
    {.name = "moves, threads",
     .size = 5 * GIB,
     .windows = {{0, 2 * MIB}, {700 * MIB, 2 * MIB}, {4200 * MIB, 4 * MIB}},
     .n_steps = 24,
     .is_for_qemu = true,
     .has_threads = true,
     .own = &(const struct own){.min_moved = 1}},
    {.name = "moves, differencing, threads",
     .type = VD_TYPE_DIFFERENCING,
     .size = 5 * GIB,
     .windows = {{0, 2 * MIB}, {4093 * MIB, 6 * MIB}},
     .n_steps = 24,
     .has_threads = true,
     .own = &(const struct own){.min_moved = 1}},
    {.name = "moves, several in a commit",
     .size = 12 * MIB,
     .log = 8 << 20,
     .windows = {{0, 12 * MIB}},
     .n_steps = 40,
     .discard_percent = 30,
     .is_for_qemu = true,
     .own = &(const struct own){.min_moved = 4, .min_together = 2}},
};
#define N_LIVES       (sizeof(lives) / sizeof(lives[0]))
#define SPACE_PERCENT 45

static struct scene_count count;
static struct tally {
	unsigned n_moved, n_bitmaps, n_dropped, n_punched, n_cut, n_compacted, n_together;
} all_done;

/* A region that nobody knows behind two gaps, and blocks that claim space without content. */
static void make_foreign(struct store *store)
{
	static struct vhdxgen g;

	vhdxgen_init(&g);
	vhdxgen_add_region(&g, GEN_UNKNOWN, 17 * MIB, (uint32_t)MIB, 0);
	vhdxgen_add_bat(&g, 2, 10 * MIB | 3);
	vhdxgen_add_bat(&g, 3, 14 * MIB | 1);
	vhdxgen_add_bat(&g, 4, 20 * MIB | 6);
	g.file_len = 23 * MIB;
	vhdxgen_emit(&g, store);
}

struct uses {
	struct vd_use_range range[100];
	size_t n;
};

static int gather(void *user, const struct vd_use_range *range)
{
	struct uses *uses = user;

	if (uses->n < sizeof(uses->range) / sizeof(uses->range[0]))
		uses->range[uses->n++] = *range;
	return 0;
}

/* Some place of len bytes where nothing lies, or right behind the end. */
static uint64_t find_free(const struct uses *uses, uint64_t file_size, uint64_t len,
			  uint64_t *random)
{
	for (int i = 0; i < 40; i++) {
		uint64_t at = (1 + rnd_below(random, file_size / MIB - 1)) * MIB;
		bool is_free = true;

		for (size_t k = 0; k < uses->n; k++)
			is_free &= at + len <= uses->range[k].offset ||
				   at >= uses->range[k].offset + uses->range[k].length;
		if (is_free)
			return at;
	}
	return file_size;
}

static bool is_expected(int ret)
{
	return !ret || ret == VD_ENOENT || ret == VD_EEXIST || ret == VD_EBUSY;
}

struct watched {
	struct vd_disk *disk;
	uint64_t n_syncs, n_copied; /* when a move was begun */
	bool is_together; /* one was begun before what the last one copied was committed */
};

static int watch(void *user, const struct vd_compact_progress *progress)
{
	struct vd_disk_stats stats = {.size = sizeof(stats)};
	struct watched *watched = user;

	vd_disk_get_stats(watched->disk, &stats);
	watched->is_together |=
	    progress->bytes_copied > watched->n_copied && stats.n_syncs == watched->n_syncs;
	watched->n_copied = progress->bytes_copied;
	watched->n_syncs = stats.n_syncs;
	return 0;
}

/* Beside nobody it may commit several moves at a time. */
static int compact(struct powercut *cut, uint64_t *random, struct tally *tally,
		   struct vd_error *err)
{
	struct watched watched = {.disk = cut->w.disk};
	struct vd_compact_opts opts = VD_COMPACT_OPTS_INIT;
	int ret;

	opts.level = (enum vd_compact_level)(1 + rnd_below(random, 3));
	opts.flags = rnd_below(random, 2) ? VD_COMPACT_ZERO_SCAN : 0;
	opts.flags |= cut->had_threads ? 0 : VD_COMPACT_ALONE;
	opts.progress = watch;
	opts.user = &watched;
	ret = vd_compact(cut->w.disk, &opts, NULL, err);
	tally->n_together += watched.is_together;
	return ret;
}

static int move_one(struct vd_disk *disk, const struct uses *uses, uint64_t file_size,
		    uint64_t *random, struct tally *tally, struct vd_error *err)
{
	const struct vd_use_range *use = &uses->range[rnd_below(random, uses->n)];
	int ret;

	/* Of bitmap blocks there are few. */
	for (int i = 0; i < 12 && use->use != VD_USE_BITMAP; i++)
		use = use->use == VD_USE_BLOCK && i > 2 ? use
							: &uses->range[rnd_below(random, uses->n)];
	if (use->use != VD_USE_BLOCK && use->use != VD_USE_BITMAP)
		return 0;
	ret = vd_disk_move_block(disk, use->use, use->number, use->offset,
				 find_free(uses, file_size, use->length, random), 1000, NULL, err);
	tally->n_moved += !ret && use->use == VD_USE_BLOCK;
	tally->n_bitmaps += !ret && use->use == VD_USE_BITMAP;
	return ret;
}

/* Zeros in a block that is to be dropped or punched, so that something comes of it. */
static bool blank(struct powercut *cut, uint64_t block, bool is_whole)
{
	uint64_t start = block * cut->block;

	if (cut->had_threads || start + cut->block > cut->life->size)
		return true;
	return is_whole ? workload_blank(&cut->w, start, cut->block)
			: workload_blank(&cut->w, start + 65536, 131072);
}

/* Every block holds something, then those that lie in front go: the others have to move. */
static int free_the_front(struct powercut *cut, struct vd_error *err)
{
	struct vd_disk *disk = cut->w.disk;
	struct uses uses = {.n = 0};
	uint64_t n = 0, first = UINT64_MAX;
	int ret;

	for (uint64_t at = 0; at < cut->life->size; at += cut->block) {
		if (!workload_write(&cut->w, at + 8192, 4096))
			return VD_EIO;
	}
	ret = vd_disk_list_use(disk, gather, &uses, err);
	for (size_t i = 0; i < uses.n; i++) {
		if (uses.range[i].use == VD_USE_BLOCK && uses.range[i].offset < first)
			first = uses.range[i].offset;
	}
	for (size_t i = 0; i < uses.n && is_expected(ret); i++) {
		const struct vd_use_range *use = &uses.range[i];

		if (use->use != VD_USE_BLOCK || use->offset >= first + cut->life->size / 2)
			continue;
		if (!blank(cut, use->number, true))
			return VD_EIO;
		ret = vd_disk_drop_block(disk, use->number, VD_DROP_ZERO, 1000, &n, err);
	}
	return is_expected(ret) ? 0 : ret;
}

static bool space_step(struct powercut *cut, uint64_t *random, struct tally *tally)
{
	struct vd_space_info info = {.size = sizeof(info)};
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk = cut->w.disk;
	struct uses uses = {.n = 0};
	const struct vd_use_range *use = uses.range;
	const struct own *own = cut->life->own;
	uint64_t n = 0, dice = rnd_below(random, 100);
	int ret = vd_disk_list_use(disk, gather, &uses, &err);

	if (!ret)
		ret = vd_disk_get_space(disk, &info, &err);
	for (int i = 0; i < 20 && (!i || (use->use != VD_USE_BLOCK && use->use != VD_USE_ANCHOR));
	     i++)
		use = &uses.range[rnd_below(random, uses.n)];
	if (!ret && dice < 48) {
		ret = move_one(disk, &uses, info.file_size, random, tally, &err);
	} else if (!ret && dice < 64 && (use->use == VD_USE_BLOCK || use->use == VD_USE_ANCHOR)) {
		if (dice % 4 && use->use == VD_USE_BLOCK && !blank(cut, use->number, true))
			return false;
		ret = vd_disk_drop_block(disk, use->number, dice & 1 ? VD_DROP_ZERO : VD_DROP_HOLE,
					 1000, &n, &err);
		tally->n_dropped += n != 0;
	} else if (!ret && dice < 76 && use->use == VD_USE_BLOCK) {
		if (!blank(cut, use->number, false))
			return false;
		ret = vd_disk_punch_block(disk, use->number, 4096, 1000, &n, &err);
		ret = ret == VD_EUNSUPPORTED ? 0 : ret;
		tally->n_punched += n != 0;
	} else if (!ret && dice < 90 && !own->min_together) {
		ret = vd_disk_cut(disk, 0, &n, &err);
		tally->n_cut += n < info.file_size;
	} else if (!ret) {
		ret = own->min_together ? free_the_front(cut, &err) : 0;
		if (!ret)
			ret = compact(cut, random, tally, &err);
		tally->n_compacted += !ret;
	}
	if (!is_expected(ret))
		snprintf(cut->w.text, sizeof(cut->w.text), "space: %s", err.text);
	return is_expected(ret);
}

#define MAX_ALONE 2000u /* steps after the threads have ended; one of them moves something */

/* Blocks move here, while two threads write, discard and flush; and a while longer if this one came
 * late and none has moved. */
static bool run_threads(struct powercut *cut, uint64_t *random, struct tally *tally)
{
	struct powercut_threads threads = {.n = 2, .n_steps = 30, .n_more = 30};
	const struct own *own = cut->life->own;
	unsigned n_alone = 0;
	bool ok = true;

	powercut_start_threads(&threads, cut);
	for (unsigned i = 0; ok && (atomic_load(&threads.n_living) || i < cut->life->n_steps ||
				    (tally->n_moved < own->min_moved && n_alone < MAX_ALONE));
	     i++) {
		ok = space_step(cut, random, tally);
		atomic_store(&threads.is_enough, tally->n_moved != 0);
		n_alone += !atomic_load(&threads.n_living);
		usleep(500);
	}
	ok &= powercut_join_threads(&threads, cut);
	return ok;
}

/* Zeros now and then, for something to be dropped or punched. */
static bool other_step(struct powercut *cut, uint64_t *random)
{
	const struct window *window = &cut->w.windows[rnd_below(random, cut->w.n_windows)];
	uint64_t dice = rnd_below(random, 5);

	if (dice > 1 || window->len < cut->block || window->offset % cut->block)
		return workload_step(&cut->w);
	if (dice == 1)
		return workload_blank(&cut->w, window->offset + 65536, 131072);
	return workload_zero(&cut->w, window->offset, cut->block, VD_ZERO_KEEP_SPACE);
}

static bool run_steps(struct powercut *cut, uint64_t *random, struct tally *tally)
{
	bool ok = true;

	for (unsigned i = 0; ok && i < cut->life->n_steps; i++)
		ok = rnd_below(random, 100) < SPACE_PERCENT ? space_step(cut, random, tally)
							    : other_step(cut, random);
	return ok;
}

static void add_up(const struct tally *tally)
{
	all_done.n_moved += tally->n_moved;
	all_done.n_bitmaps += tally->n_bitmaps;
	all_done.n_dropped += tally->n_dropped;
	all_done.n_punched += tally->n_punched;
	all_done.n_cut += tally->n_cut;
	all_done.n_compacted += tally->n_compacted;
	all_done.n_together += tally->n_together;
}

static uint64_t n_states_in_all(void)
{
	return powercut_n_states(5000);
}

static void test_life(void **state)
{
	const struct powercut_life *life = *state;
	const struct own *own = life->own;
	uint64_t number = (uint64_t)(life - lives), random = number + 4000;
	struct tally tally = {.n_moved = 0};
	struct powercut cut;

	powercut_begin(&cut, life, number + 71);
	powercut_make_parent(&cut, 30);
	if (own->is_foreign)
		make_foreign(cut.before);
	else
		powercut_make_image(&cut);
	powercut_record(&cut, random);
	powercut_stop(&cut, life->has_threads ? run_threads(&cut, &random, &tally)
					      : run_steps(&cut, &random, &tally));
	print_message("%s: %u moved, %u bitmaps, %u dropped, %u punched, %u cut, %u compacted, "
		      "%u with several moves in a commit\n",
		      life->name, tally.n_moved, tally.n_bitmaps, tally.n_dropped, tally.n_punched,
		      tally.n_cut, tally.n_compacted, tally.n_together);
	assert_true(tally.n_moved >= own->min_moved && tally.n_bitmaps >= own->min_bitmaps);
	assert_true(tally.n_together >= own->min_together);
	add_up(&tally);
	powercut_walk(&cut, powercut_share(n_states_in_all(), N_LIVES), &count);
	powercut_end(&cut);
}

static void test_enough_states(void **state)
{
	(void)state;
	/* The lives without threads do this much, and do it each time. */
	assert_true(all_done.n_moved >= 35 && all_done.n_bitmaps >= 5 && all_done.n_dropped >= 5 &&
		    all_done.n_punched >= 5 && all_done.n_cut >= 8 && all_done.n_compacted >= 5 &&
		    all_done.n_together >= 4);
	powercut_count(&count, "power cuts while blocks move", n_states_in_all(), 80);
}

int main(int argc, char **argv)
{
	return powercut_main("moves crash", lives, N_LIVES, test_life, test_enough_states, argc,
			     argv);
}
