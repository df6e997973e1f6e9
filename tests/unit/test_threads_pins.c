/* SPDX-License-Identifier: MIT */
/*
 * Mappings that are held while the disk changes beneath them, and flushes that many threads
 * share: what a pin promises, and what a flush that returned promises to the thread that asked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vdisk/disk.h>
#include <vdisk/sys/io.h>

#include "record.h"
#include "stamp.h"
#include "store.h"

#define MIB       ((uint64_t)1 << 20)
#define SEED      43u
#define N_THREADS 4u
#define N_TURNS   60u

static struct vd_disk *make_disk(struct vd_io *io, uint64_t size)
{
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk = NULL;

	create.virtual_size = size;
	create.block_size = (uint32_t)MIB;
	create.log_size = (uint32_t)MIB;
	opts.flags = VD_OPEN_WRITE;
	if (vd_disk_create_io(io, &create, &err) < 0 || vd_disk_open_io(&disk, io, &opts, &err) < 0)
		fail_msg("%s", err.text);
	return disk;
}

static void write_stamp(struct vd_disk *disk, uint64_t at, size_t len, uint64_t generation)
{
	struct vd_error err = VD_ERROR_INIT;
	uint8_t *buf = malloc(len);

	stamp_fill(buf, len, at, generation, SEED);
	if (vd_disk_write(disk, buf, len, at, &err) < 0)
		fail_msg("%s", err.text);
	free(buf);
}

/* The place of a discarded block isn't reused, punched or cut off under a reader who holds it. */
static void test_pinned_place_stays_the_readers(void **state)
{
	struct store *store = store_new(NULL);
	struct vd_io *io = store_io(store, true);
	struct vd_disk *disk = make_disk(io, 64 * MIB);
	struct vd_error err = VD_ERROR_INIT;
	struct vd_mapping mapping;
	uint8_t *buf = malloc(MIB);
	uint64_t reused_at = 0;
	char text[300];

	(void)state;
	write_stamp(disk, 0, MIB, 1);
	assert_int_equal(vd_disk_flush(disk, &err), 0);
	assert_int_equal(vd_disk_resolve(disk, 0, MIB, VD_ACCESS_READ, &mapping, &err), 0);
	assert_int_equal(mapping.state, VD_STATE_DATA);
	assert_int_equal(mapping.length, MIB);
	assert_int_equal(vd_disk_discard(disk, 0, MIB, &err), 0);
	for (uint64_t block = 1; block < 20; block++) {
		write_stamp(disk, block * MIB, 4096, 2);
		assert_int_equal(vd_disk_flush(disk, &err), 0);
	}
	assert_int_equal(vd_io_read(mapping.io, buf, MIB, mapping.io_offset, &err), 0);
	if (!stamp_verify(buf, MIB, 0, 1, SEED, text, sizeof(text)))
		fail_msg("under the pin: %s", text);
	assert_int_equal(vd_disk_read(disk, buf, MIB, 0, &err), 0);
	assert_true(stamp_verify(buf, MIB, 0, 0, SEED, text, sizeof(text)));
	assert_int_equal(vd_disk_release(disk, &mapping, VD_OUTCOME_READ, &err), 0);
	/* Once it is let go, it is used again before the file grows for long. */
	for (uint64_t block = 20; block < 40 && !reused_at; block++) {
		struct vd_extent extent;

		write_stamp(disk, block * MIB, 4096, 3);
		assert_int_equal(vd_disk_flush(disk, &err), 0);
		assert_int_equal(vd_disk_map(disk, block * MIB, 4096, &extent, &err), 0);
		if (extent.offset == mapping.io_offset)
			reused_at = block;
		assert_int_equal(vd_disk_read(disk, buf, MIB, block * MIB, &err), 0);
		assert_true(stamp_verify(buf, 4096, block * MIB, 3, SEED, text, sizeof(text)));
		if (!stamp_verify(buf + 4096, MIB - 4096, block * MIB + 4096, 0, SEED, text,
				  sizeof(text)))
			fail_msg("old data shows in a block that took its place: %s", text);
	}
	assert_true(reused_at > 0);
	assert_int_equal(vd_disk_close(disk, &err), 0);
	vd_io_close(io);
	store_free(store);
	free(buf);
}

/* Nothing of a write that was resolved but not released is committed; a failed one is undone. */
static void test_resolved_write_counts_with_its_release(void **state)
{
	struct store *store = store_new(NULL);
	struct vd_io *io = store_io(store, true);
	struct vd_disk *disk = make_disk(io, 64 * MIB), *other = NULL;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_mapping mapping;
	struct vd_io *view;
	uint8_t buf[4096];
	char text[300];

	(void)state;
	assert_int_equal(vd_disk_resolve(disk, 8192, 4096, VD_ACCESS_WRITE, &mapping, &err), 0);
	assert_int_equal(mapping.state, VD_STATE_DATA);
	assert_int_equal(mapping.length, 4096);
	write_stamp(disk, 5 * MIB, 4096, 1);
	assert_int_equal(vd_disk_flush(disk, &err), 0);
	view = store_io(store, false);
	assert_int_equal(vd_disk_open_io(&other, view, NULL, &err), 0);
	assert_int_equal(vd_disk_read(other, buf, 4096, 5 * MIB, &err), 0);
	assert_true(stamp_verify(buf, 4096, 5 * MIB, 1, SEED, text, sizeof(text)));
	assert_int_equal(vd_disk_read(other, buf, 4096, 8192, &err), 0);
	assert_true(stamp_verify(buf, 4096, 8192, 0, SEED, text, sizeof(text)));
	assert_int_equal(vd_disk_close(other, &err), 0);
	stamp_fill(buf, sizeof(buf), 8192, 2, SEED);
	assert_int_equal(vd_io_write(mapping.io, buf, 4096, mapping.io_offset, &err), 0);
	assert_int_equal(vd_disk_release(disk, &mapping, VD_OUTCOME_WRITTEN, &err), 0);
	assert_int_equal(vd_disk_flush(disk, &err), 0);
	assert_int_equal(vd_disk_open_io(&other, view, NULL, &err), 0);
	assert_int_equal(vd_disk_read(other, buf, 4096, 8192, &err), 0);
	if (!stamp_verify(buf, 4096, 8192, 2, SEED, text, sizeof(text)))
		fail_msg("%s", text);
	assert_int_equal(vd_disk_close(other, &err), 0);
	vd_io_close(view);

	assert_int_equal(vd_disk_resolve(disk, 9 * MIB, 4096, VD_ACCESS_WRITE, &mapping, &err), 0);
	assert_int_equal(vd_disk_release(disk, &mapping, VD_OUTCOME_FAILED, &err), 0);
	assert_int_equal(vd_disk_read(disk, buf, 4096, 9 * MIB, &err), 0);
	assert_true(stamp_verify(buf, 4096, 9 * MIB, 0, SEED, text, sizeof(text)));
	assert_int_equal(vd_disk_close(disk, &err), 0);
	vd_io_close(io);
	store_free(store);
}

/* One thread's promise: at `moment` of the recording, `generation` had been flushed. */
struct promise {
	size_t moment;
	uint32_t generation;
};

struct flusher {
	struct vd_disk *disk;
	struct record *record;
	unsigned id;
	pthread_barrier_t *barrier;
	struct promise promises[N_TURNS];
};
static atomic_uint n_inside, n_met;

static uint64_t place_of(unsigned id, uint32_t turn)
{
	return (id + turn % 7 * N_THREADS) * MIB + turn % 3 * 4096;
}

static void *write_and_flush(void *arg)
{
	struct flusher *f = arg;

	for (uint32_t turn = 0; turn < N_TURNS; turn++) {
		struct vd_error err = VD_ERROR_INIT;
		uint8_t buf[STAMP_SECTOR];

		stamp_fill(buf, sizeof(buf), place_of(f->id, turn), turn + 1, SEED);
		if (turn % 8 == 0)
			pthread_barrier_wait(f->barrier);
		if (vd_disk_write(f->disk, buf, sizeof(buf), place_of(f->id, turn), &err) < 0)
			abort();
		if (atomic_fetch_add(&n_inside, 1) > 0)
			atomic_fetch_add(&n_met, 1);
		if (vd_disk_flush(f->disk, &err) < 0)
			abort();
		atomic_fetch_sub(&n_inside, 1);
		f->promises[turn] = (struct promise){record_now(f->record), turn + 1};
	}
	return NULL;
}

/* After a power cut at the moment when a flush of this thread had just returned. */
static void hold_promise(const struct flusher *f, uint32_t turn, struct store *cut)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_io *io = store_io(cut, true);
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_disk *disk = NULL;
	uint64_t n_errors = 0;

	assert_int_equal(vd_disk_check_io(io, NULL, NULL, NULL, &n_errors, &err), 0);
	assert_int_equal(n_errors, 0);
	opts.flags = VD_OPEN_WRITE;
	if (vd_disk_open_io(&disk, io, &opts, &err) < 0)
		fail_msg("%s", err.text);
	for (uint32_t t = turn > 21 ? turn - 21 : 0; t <= turn; t++) {
		uint64_t at = place_of(f->id, t);
		struct stamp found = {0, 0, 0};
		uint8_t buf[STAMP_SECTOR];

		assert_int_equal(vd_disk_read(disk, buf, sizeof(buf), at, &err), 0);
		if (stamp_read(buf, &found) == STAMP_WHOLE && found.generation >= t + 1 &&
		    found.lba == at / STAMP_SECTOR)
			continue;
		fail_msg("thread %u, turn %u: a flush returned, but at least generation %u isn't "
			 "at %" PRIu64 " (found %" PRIu64 ")",
			 f->id, turn, t + 1, at, found.generation);
	}
	assert_int_equal(vd_disk_close(disk, &err), 0);
	vd_io_close(io);
}

static int by_moment(const void *a, const void *b)
{
	const struct promise *const *x = a, *const *y = b;

	return (*x)->moment < (*y)->moment ? -1 : (*x)->moment > (*y)->moment;
}

static void test_shared_flushes_keep_their_promise(void **state)
{
	static struct flusher flushers[N_THREADS];
	const struct promise *order[N_THREADS * N_TURNS];
	struct store *before = store_new(NULL), *store;
	struct vd_io *io = store_io(before, true);
	struct vd_disk *disk = make_disk(io, 64 * MIB);
	struct vd_disk_stats stats = {.size = sizeof(stats)};
	pthread_t threads[N_THREADS];
	pthread_barrier_t barrier;
	struct record *record;
	struct crash *crash;
	uint64_t random = 5;

	(void)state;
	assert_int_equal(vd_disk_close(disk, NULL), 0);
	vd_io_close(io);
	store = store_new(before);
	record = record_new(store);
	record_slow_sync(record, 300);
	io = record_io(record);
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	opts.flags = VD_OPEN_WRITE;
	assert_int_equal(vd_disk_open_io(&disk, io, &opts, NULL), 0);
	pthread_barrier_init(&barrier, NULL, N_THREADS);
	for (unsigned i = 0; i < N_THREADS; i++) {
		flushers[i] = (struct flusher){disk, record, i, &barrier, {{0, 0}}};
		pthread_create(&threads[i], NULL, write_and_flush, &flushers[i]);
	}
	for (unsigned i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&barrier);
	assert_true(atomic_load(&n_met) > 0);
	vd_disk_get_stats(disk, &stats);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
	vd_io_close(io);
	for (unsigned i = 0; i < N_THREADS * N_TURNS; i++)
		order[i] = &flushers[i / N_TURNS].promises[i % N_TURNS];
	qsort(order, N_THREADS * N_TURNS, sizeof(order[0]), by_moment);
	crash = crash_new(record, before);
	for (unsigned i = 0; i < N_THREADS * N_TURNS; i++) {
		const struct flusher *f = flushers;
		struct store *cut;

		while (order[i] < f->promises || order[i] >= f->promises + N_TURNS)
			f++;
		crash_advance(crash, order[i]->moment);
		cut = crash_state(crash, i & 1 ? CRASH_TORN : CRASH_LOST, &random);
		hold_promise(f, order[i]->generation - 1, cut);
		store_free(cut);
	}
	print_message("%u flushes, %u of them met another, %" PRIu64 " commits, %" PRIu64
		      " syncs; each kept after a power cut\n",
		      N_THREADS * N_TURNS, atomic_load(&n_met), stats.n_commits, stats.n_syncs);
	crash_free(crash);
	record_free(record);
	store_free(store);
	store_free(before);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pinned_place_stays_the_readers),
	    cmocka_unit_test(test_resolved_write_counts_with_its_release),
	    cmocka_unit_test(test_shared_flushes_keep_their_promise),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("pins and shared flushes", tests, NULL, NULL);
}
