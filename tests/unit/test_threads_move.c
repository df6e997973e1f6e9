/* SPDX-License-Identifier: MIT */
/*
 * Blocks are moved, dropped, punched and the file is cut while threads write, discard, read and
 * flush. Each thread owns every fourth page of 4 KiB, so that they meet in all blocks, and knows
 * what its pages hold. A run in which nothing met fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vdisk/compact.h>
#include <vdisk/disk.h>
#include <vdisk/sys/io.h>
#include <vdisk/sys/space.h>

#include "stamp.h"
#include "store.h"

#define MIB       ((uint64_t)1 << 20)
#define SEED      77u
#define N_BLOCKS  24u
#define DISK      (N_BLOCKS * MIB)
#define PAGE      4096u
#define N_WRITERS 3u
#define DENSE     (18 * MIB / PAGE) /* behind it almost all pages are zero */
#define N_PAGES   (DISK / PAGE)
#define N_TURNS   40000u
#define MOST      (20 * N_TURNS) /* where little has met by then */

struct run {
	struct vd_disk *disk;
	_Atomic uint32_t n_writing;
	_Atomic bool has_failed, is_enough;
	uint32_t generation[N_PAGES]; /* each by its owner */
	char text[1024];
};

struct worker {
	struct run *run;
	uint32_t number;
	pthread_t thread;
};

static void give_up(struct run *run, const char *what, const char *why)
{
	if (!atomic_exchange(&run->has_failed, true))
		snprintf(run->text, sizeof(run->text), "%s: %s", what, why);
}

static bool check_page(struct run *run, uint64_t page)
{
	struct vd_error err = VD_ERROR_INIT;
	uint8_t buf[PAGE];
	char text[300];

	if (vd_disk_read(run->disk, buf, PAGE, page * PAGE, &err)) {
		give_up(run, "read", err.text);
		return false;
	}
	if (stamp_verify(buf, PAGE, page * PAGE, run->generation[page], SEED, text, sizeof(text)))
		return true;
	give_up(run, "content", text);
	return false;
}

static void *write_pages(void *arg)
{
	struct worker *worker = arg;
	struct run *run = worker->run;
	uint64_t random = 1000 + worker->number;
	uint32_t generation = 0;
	uint8_t buf[PAGE];

	for (uint32_t i = 0;
	     i < (atomic_load(&run->is_enough) ? N_TURNS : MOST) && !atomic_load(&run->has_failed);
	     i++) {
		struct vd_error err = VD_ERROR_INIT;
		/* Mostly in a few blocks, so that writes meet the moves. */
		uint64_t range = rnd_below(&random, 4) ? 4 * MIB : DISK;
		uint64_t page =
		    rnd_below(&random, range / PAGE / N_WRITERS) * N_WRITERS + worker->number;
		int ret;

		if (page >= N_PAGES)
			continue;
		if (!check_page(run, page))
			break;
		atomic_fetch_add(&run->n_writing, 1);
		if (rnd_below(&random, 32) < (page < DENSE ? 8 : 31)) {
			run->generation[page] = 0;
			memset(buf, 0, PAGE);
			ret = rnd_below(&random, 2)
				  ? vd_disk_write(run->disk, buf, PAGE, page * PAGE, &err)
				  : vd_disk_write_zeroes(run->disk, page * PAGE, PAGE, 0, &err);
		} else {
			run->generation[page] = ++generation;
			stamp_fill(buf, PAGE, page * PAGE, generation, SEED);
			ret = vd_disk_write(run->disk, buf, PAGE, page * PAGE, &err);
		}
		atomic_fetch_sub(&run->n_writing, 1);
		if (!ret && rnd_below(&random, 64) == 0)
			ret = vd_disk_flush(run->disk, &err);
		if (ret)
			give_up(run, "write", err.text);
		else if (!check_page(run, page))
			break;
	}
	return NULL;
}

struct uses {
	struct vd_use_range range[4 * N_BLOCKS];
	size_t n;
};

static int gather(void *user, const struct vd_use_range *range)
{
	struct uses *uses = user;

	if (uses->n < sizeof(uses->range) / sizeof(uses->range[0]))
		uses->range[uses->n++] = *range;
	return 0;
}

/* Some place in the file where nothing lies, or behind its end. */
static uint64_t find_free(const struct uses *uses, uint64_t file_size, uint64_t *random)
{
	for (int i = 0; i < 100; i++) {
		uint64_t at = rnd_below(random, file_size / MIB) * MIB;
		bool is_free = true;

		for (size_t k = 0; k < uses->n; k++)
			is_free &= at + MIB <= uses->range[k].offset ||
				   at >= uses->range[k].offset + uses->range[k].length;
		if (is_free)
			return at;
	}
	return file_size;
}

struct tally {
	uint32_t n_moved, n_beside, n_recopied, n_dropped, n_punched, n_cut;
};

static int is_expected(int ret)
{
	return ret == VD_ENOENT || ret == VD_EEXIST || ret == VD_EBUSY;
}

static void disturb(struct run *run, uint64_t *random, struct tally *tally)
{
	struct vd_space_info info = {.size = sizeof(info)};
	struct vd_move_result result = {.size = sizeof(result)};
	struct vd_error err = VD_ERROR_INIT;
	const struct vd_use_range *use;
	struct uses uses = {.n = 0};
	uint64_t to, n = 0;
	int ret = vd_disk_list_use(run->disk, gather, &uses, &err);

	if (!ret)
		ret = vd_disk_get_space(run->disk, &info, &err);
	if (ret) {
		give_up(run, "list", err.text);
		return;
	}
	use = &uses.range[rnd_below(random, uses.n)];
	if (use->use != VD_USE_BLOCK)
		return;
	switch (rnd_below(random, 8)) {
	case 0:
		ret = vd_disk_drop_block(run->disk, use->number,
					 rnd_below(random, 2) ? VD_DROP_ZERO : VD_DROP_HOLE, 50, &n,
					 &err);
		tally->n_dropped += n != 0;
		break;
	case 1:
		ret = vd_disk_punch_block(run->disk, use->number, PAGE, 50, &n, &err);
		tally->n_punched += n != 0;
		break;
	case 2:
		ret = vd_disk_cut(run->disk, 0, &n, &err);
		tally->n_cut += n < info.file_size;
		break;
	default:
		to = find_free(&uses, info.file_size, random);
		tally->n_beside += atomic_load(&run->n_writing) > 0;
		ret = vd_disk_move_block(run->disk, VD_USE_BLOCK, use->number, use->offset, to, 50,
					 &result, &err);
		tally->n_moved += !ret;
		tally->n_recopied += result.n_recopied;
	}
	if (ret && !is_expected(ret))
		give_up(run, "space", err.text);
}

static bool is_enough(const struct tally *tally)
{
	return tally->n_moved > 20 && tally->n_beside > 5 && tally->n_cut > 0;
}

static void open_disk(struct run *run, struct vd_io *io)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;

	opts.flags = VD_OPEN_WRITE;
	if (vd_disk_open_io(&run->disk, io, &opts, &err))
		fail_msg("%s", err.text);
}

static void test_moves_beside_writes(void **state)
{
	struct store *store = store_new(NULL);
	struct vd_io *io = store_io(store, true);
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct run *run = calloc(1, sizeof(*run));
	struct worker workers[N_WRITERS];
	struct tally tally = {0, 0, 0, 0, 0, 0};
	uint64_t random = 5, n_errors = 0;
	uint32_t n_left = N_WRITERS;

	(void)state;
	create.virtual_size = DISK;
	create.block_size = (uint32_t)MIB;
	create.log_size = (uint32_t)MIB;
	assert_int_equal(vd_disk_create_io(io, &create, &err), 0);
	open_disk(run, io);
	for (uint32_t i = 0; i < N_WRITERS; i++) {
		workers[i] = (struct worker){.run = run, .number = i};
		pthread_create(&workers[i].thread, NULL, write_pages, &workers[i]);
	}
	while (n_left) {
		disturb(run, &random, &tally);
		atomic_store(&run->is_enough, is_enough(&tally));
		if (atomic_load(&run->has_failed) ||
		    !pthread_tryjoin_np(workers[n_left - 1].thread, NULL))
			n_left--;
	}
	if (run->has_failed)
		fail_msg("%s", run->text);
	print_message(
	    "%u moved (%u beside writes, %u copied again), %u dropped, %u punched, %u cut\n",
	    tally.n_moved, tally.n_beside, tally.n_recopied, tally.n_dropped, tally.n_punched,
	    tally.n_cut);
	assert_true(is_enough(&tally));
	for (int i = 0; i < 2; i++) {
		for (uint64_t page = 0; page < N_PAGES; page++)
			if (!check_page(run, page))
				fail_msg("at the end: %s", run->text);
		if (i == 0) {
			assert_int_equal(vd_disk_close(run->disk, &err), 0);
			assert_int_equal(vd_disk_check_io(io, NULL, NULL, NULL, &n_errors, &err),
					 0);
			assert_int_equal(n_errors, 0);
			open_disk(run, io);
		}
	}
	assert_int_equal(vd_disk_close(run->disk, &err), 0);
	vd_io_close(io);
	store_free(store);
	free(run);
}

/*
 * The race for space: two threads free a block and at once write another one, 1,000 times each, so
 * that they take what moves, cuts and compactions have just set free, or were about to take.
 */
#define N_OWN    8u
#define N_RACERS 2u
#define N_ROUNDS 1000u
#define N_MARKED 3u /* pages of a block that are written */

struct race {
	struct vd_disk *disk;
	_Atomic uint32_t n_writing, n_done, n_reused;
	_Atomic bool has_failed, is_enough, was_freed[256]; /* by MiB of the file */
	uint32_t generation[N_RACERS][N_OWN];               /* 0: freed */
	char text[1024];
};

struct racer {
	struct race *race;
	uint32_t number;
	uint64_t random;
	pthread_t thread;
};

static const uint64_t marked[N_MARKED] = {0, 7 * PAGE, MIB - PAGE};

static bool lose(struct race *race, const char *what, const char *why)
{
	if (!atomic_exchange(&race->has_failed, true))
		snprintf(race->text, sizeof(race->text), "%s: %s", what, why);
	return false;
}

static uint64_t start_of(const struct racer *racer, uint32_t own)
{
	return (own * N_RACERS + racer->number) * MIB;
}

static bool is_kept(struct racer *racer, uint32_t own)
{
	struct race *race = racer->race;
	struct vd_error err = VD_ERROR_INIT;
	uint8_t buf[PAGE];
	char text[300];

	for (uint32_t i = 0; i < N_MARKED; i++) {
		uint64_t at = start_of(racer, own) + marked[i];

		if (vd_disk_read(race->disk, buf, PAGE, at, &err))
			return lose(race, "read", err.text);
		if (!stamp_verify(buf, PAGE, at, race->generation[racer->number][own], SEED, text,
				  sizeof(text)))
			return lose(race, "content", text);
	}
	return true;
}

/* Where it is now; UINT64_MAX: nowhere. */
static uint64_t place_now(struct racer *racer, uint32_t own)
{
	struct vd_mapping mapping;
	uint64_t place = UINT64_MAX;

	if (vd_disk_resolve(racer->race->disk, start_of(racer, own), PAGE, VD_ACCESS_READ, &mapping,
			    NULL))
		return place;
	if (mapping.state == VD_STATE_DATA)
		place = mapping.io_offset / MIB;
	vd_disk_release(racer->race->disk, &mapping, VD_OUTCOME_READ, NULL);
	return place;
}

static bool let_go(struct racer *racer, uint32_t own)
{
	struct race *race = racer->race;
	struct vd_error err = VD_ERROR_INIT;
	uint64_t place = place_now(racer, own);

	if (vd_disk_discard(race->disk, start_of(racer, own), MIB, &err) ||
	    vd_disk_flush(race->disk, &err))
		return lose(race, "free", err.text);
	race->generation[racer->number][own] = 0;
	if (place < 256)
		atomic_store(&race->was_freed[place], true);
	return true;
}

static bool take(struct racer *racer, uint32_t own, uint32_t generation)
{
	struct race *race = racer->race;
	struct vd_error err = VD_ERROR_INIT;
	uint8_t buf[PAGE];
	uint64_t place;
	int ret = 0;

	race->generation[racer->number][own] = generation;
	for (uint32_t i = 0; i < N_MARKED && !ret; i++) {
		uint64_t at = start_of(racer, own) + marked[i];

		stamp_fill(buf, PAGE, at, generation, SEED);
		ret = vd_disk_write(race->disk, buf, PAGE, at, &err);
	}
	if (ret)
		return lose(race, "write", err.text);
	place = place_now(racer, own);
	if (place < 256 && atomic_exchange(&race->was_freed[place], false))
		atomic_fetch_add(&race->n_reused, 1);
	return true;
}

static void *run_rounds(void *arg)
{
	struct racer *racer = arg;
	bool ok = true;

	/* Until enough has met, but not for ever. */
	for (uint32_t i = 1;
	     ok && !atomic_load(&racer->race->has_failed) &&
	     (i <= N_ROUNDS || (i <= 20 * N_ROUNDS && !atomic_load(&racer->race->is_enough)));
	     i++) {
		uint32_t one = (uint32_t)rnd_below(&racer->random, N_OWN);
		uint32_t other = (uint32_t)rnd_below(&racer->random, N_OWN);

		atomic_fetch_add(&racer->race->n_writing, 1);
		ok = is_kept(racer, one) && let_go(racer, one) && take(racer, other, i);
		atomic_fetch_sub(&racer->race->n_writing, 1);
		ok = ok && is_kept(racer, other) && is_kept(racer, one);
	}
	atomic_fetch_add(&racer->race->n_done, 1);
	return NULL;
}

struct won {
	uint32_t n_moved, n_beside, n_shorter, n_compacted;
};

/* To the first free place, or a random one; then and now the file is cut. */
static void compete(struct race *race, uint64_t *random, struct won *won)
{
	struct vd_compact_result result = {.size = sizeof(result)};
	struct vd_space_info info = {.size = sizeof(info)};
	struct vd_error err = VD_ERROR_INIT;
	struct uses uses = {.n = 0};
	const struct vd_use_range *use;
	uint64_t to, length, dice = rnd_below(random, 48);
	bool is_beside, is_shorter = false;
	int ret = vd_disk_list_use(race->disk, gather, &uses, &err);

	if (!ret)
		ret = vd_disk_get_space(race->disk, &info, &err);
	if (ret) {
		lose(race, "list", err.text);
		return;
	}
	use = &uses.range[rnd_below(random, uses.n)];
	to = find_free(&uses, info.file_size, random);
	to = to ? to : info.file_size;
	if (dice == 0) {
		ret = vd_compact(race->disk, NULL, &result, &err);
		won->n_compacted += !ret;
		is_shorter = !ret && result.file_after < result.file_before;
	} else if (dice < 3) {
		ret = vd_disk_cut(race->disk, 0, &length, &err);
		is_shorter = !ret && length < info.file_size;
	} else if (use->use == VD_USE_BLOCK) {
		is_beside = atomic_load(&race->n_writing) > 0;
		ret = vd_disk_move_block(race->disk, VD_USE_BLOCK, use->number, use->offset, to, 50,
					 NULL, &err);
		is_beside |= atomic_load(&race->n_writing) > 0;
		won->n_moved += !ret;
		won->n_beside += !ret && is_beside;
		if (!ret && use->offset / MIB < 256)
			atomic_store(&race->was_freed[use->offset / MIB], true);
	}
	/* Between the first and the last of the others' writes. */
	won->n_shorter += is_shorter && !atomic_load(&race->n_done);
	atomic_store(&race->is_enough,
		     won->n_beside > 5 && won->n_shorter && atomic_load(&race->n_reused));
	if (ret && !is_expected(ret))
		lose(race, "space", err.text);
}

static void test_freed_space_is_taken_at_once(void **state)
{
	struct store *store = store_new(NULL);
	struct vd_io *io = store_io(store, true);
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct race *race = calloc(1, sizeof(*race));
	struct racer racers[N_RACERS];
	struct won won = {0, 0, 0, 0};
	uint64_t random = 9, n_errors = 0;

	(void)state;
	create.virtual_size = N_RACERS * N_OWN * MIB;
	create.block_size = (uint32_t)MIB;
	create.log_size = (uint32_t)MIB;
	opts.flags = VD_OPEN_WRITE;
	assert_int_equal(vd_disk_create_io(io, &create, &err), 0);
	assert_int_equal(vd_disk_open_io(&race->disk, io, &opts, &err), 0);
	for (uint32_t i = 0; i < N_RACERS; i++) {
		racers[i] = (struct racer){.race = race, .number = i, .random = 100 + i};
		pthread_create(&racers[i].thread, NULL, run_rounds, &racers[i]);
	}
	while (atomic_load(&race->n_done) < N_RACERS)
		compete(race, &random, &won);
	for (uint32_t i = 0; i < N_RACERS; i++)
		pthread_join(racers[i].thread, NULL);
	for (int i = 0; i < 2; i++) {
		for (uint32_t own = 0; own < N_OWN * N_RACERS; own++)
			if (!atomic_load(&race->has_failed))
				is_kept(&racers[own % N_RACERS], own / N_RACERS);
		if (race->has_failed)
			fail_msg("%s", race->text);
		assert_int_equal(vd_disk_close(race->disk, &err), 0);
		assert_int_equal(vd_disk_check_io(io, NULL, NULL, NULL, &n_errors, &err), 0);
		assert_int_equal(n_errors, 0);
		if (i == 0)
			assert_int_equal(vd_disk_open_io(&race->disk, io, &opts, &err), 0);
	}
	print_message("%u moved (%u beside writes), %u times shorter, %u compacted, %u "
		      "allocations in space just freed\n",
		      won.n_moved, won.n_beside, won.n_shorter, won.n_compacted,
		      atomic_load(&race->n_reused));
	assert_true(won.n_beside > 5 && won.n_shorter > 0 && race->n_reused > 0);
	vd_io_close(io);
	store_free(store);
	free(race);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_moves_beside_writes),
	    cmocka_unit_test(test_freed_space_is_taken_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
