/* SPDX-License-Identifier: MIT */
/* One handle, many threads: what each wrote is there, also where two share a sector. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <vdisk/disk.h>
#include <vdisk/sys/io.h>

#include "scratch.h"
#include "stamp.h"

#define SIZE      ((uint64_t)16 << 20)
#define N_THREADS 4
#define N_ROUNDS  200
#define PIECE     100 /* bytes; not a divisor of the sector, so that threads share sectors */

/* Threads write pieces in turn: piece k is thread k % N_THREADS's own. */
struct worker {
	pthread_t thread;
	struct vd_disk *disk;
	uint32_t number;
	_Atomic int *n_failed;
	char text[VD_ERROR_TEXT_MAX];
};

static void fail_worker(struct worker *w, const struct vd_error *err)
{
	snprintf(w->text, sizeof(w->text), "%s", err->text);
	atomic_fetch_add(w->n_failed, 1);
}

static void *write_pieces(void *arg)
{
	struct worker *w = arg;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_extent extent;
	uint8_t bytes[PIECE], back[PIECE];
	uint64_t random = w->number;

	memset(bytes, (int)w->number + 1, sizeof(bytes));
	for (uint64_t i = 0; i < N_ROUNDS; i++) {
		uint64_t offset = (i * N_THREADS + w->number) * PIECE + (i / 50 << 20);
		int ret = vd_disk_write(w->disk, bytes, PIECE, offset, &err);

		if (!ret)
			ret = vd_disk_read(w->disk, back, PIECE, offset, &err);
		if (!ret && memcmp(bytes, back, PIECE) != 0)
			ret =
			    vd_error_set(&err, VD_EIO, 0, offset, "a piece isn't what was written");
		if (!ret && i % 40 == 39)
			ret = vd_disk_flush(w->disk, &err);
		if (!ret && i % 16 == 0)
			ret = vd_disk_map(w->disk, rnd_below(&random, SIZE), SIZE, &extent, &err);
		if (ret) {
			fail_worker(w, &err);
			break;
		}
	}
	return NULL;
}

static void run_all(struct vd_disk *disk)
{
	struct worker workers[N_THREADS];
	struct vd_disk_stats stats = {.size = sizeof(stats)};
	_Atomic int n_failed = 0;
	uint8_t bytes[PIECE];

	for (uint32_t i = 0; i < N_THREADS; i++) {
		workers[i] = (struct worker){.disk = disk, .number = i, .n_failed = &n_failed};
		assert_int_equal(
		    pthread_create(&workers[i].thread, NULL, write_pieces, &workers[i]), 0);
	}
	for (uint32_t i = 0; i < N_THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		if (workers[i].text[0])
			print_error("thread %u: %s\n", i, workers[i].text);
	}
	assert_int_equal(n_failed, 0);
	for (uint64_t i = 0; i < (uint64_t)N_ROUNDS * N_THREADS; i++) {
		uint64_t round = i / N_THREADS;

		assert_int_equal(
		    vd_disk_read(disk, bytes, PIECE, i * PIECE + (round / 50 << 20), NULL), 0);
		for (int k = 0; k < PIECE; k++)
			assert_int_equal(bytes[k], i % N_THREADS + 1);
	}
	vd_disk_get_stats(disk, &stats);
	assert_int_equal(stats.n_writes, N_ROUNDS * N_THREADS);
	assert_int_equal(stats.n_reads, 2 * N_ROUNDS * N_THREADS);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
}

static void threads_share_a_raw_image(void **state)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_disk *disk;
	struct vd_io *io;

	(void)state;
	opts.flags = VD_OPEN_WRITE;
	assert_int_equal(vd_io_open_memory(&io, SIZE, NULL), 0);
	assert_int_equal(vd_disk_open_io(&disk, io, &opts, NULL), 0);
	vd_io_close(io);
	run_all(disk);
}

static void threads_share_a_vhdx(void **state)
{
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_disk *disk;
	struct vd_io *io;

	(void)state;
	create.virtual_size = SIZE;
	create.block_size = 1 << 20;
	opts.flags = VD_OPEN_WRITE;
	assert_int_equal(vd_io_open_memory(&io, 0, NULL), 0);
	assert_int_equal(vd_disk_create_io(io, &create, NULL), 0);
	assert_int_equal(vd_disk_open_io(&disk, io, &opts, NULL), 0);
	vd_io_close(io);
	run_all(disk);
}

static void threads_share_sectors_of_a_child(void **state)
{
	const char *base = scratch_path("threads-base.vhdx"), *child = scratch_path("threads.vhdx");
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_disk *disk;

	(void)state;
	unlink(base);
	unlink(child);
	create.virtual_size = SIZE;
	create.block_size = 1 << 20;
	opts.flags = VD_OPEN_WRITE;
	assert_int_equal(vd_disk_create(base, &create, NULL), 0);
	create.parent = base;
	assert_int_equal(vd_disk_create(child, &create, NULL), 0);
	assert_int_equal(vd_disk_open(&disk, child, &opts, NULL), 0);
	run_all(disk);
	unlink(base);
	unlink(child);
}

struct canceler {
	struct vd_disk *disk;
	_Atomic bool is_over;
};

static void *cancel_and_resume(void *arg)
{
	struct canceler *c = arg;

	while (!atomic_load(&c->is_over)) {
		vd_disk_cancel(c->disk);
		vd_disk_set_timeout(c->disk, 100000);
		vd_disk_resume(c->disk);
		vd_disk_set_timeout(c->disk, 0);
	}
	return NULL;
}

static void canceling_comes_from_any_thread(void **state)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct canceler canceler = {0};
	uint8_t bytes[4096] = {0};
	int n_canceled = 0, n_done = 0;
	pthread_t thread;
	struct vd_io *io;

	(void)state;
	opts.flags = VD_OPEN_WRITE;
	assert_int_equal(vd_io_open_memory(&io, SIZE, NULL), 0);
	assert_int_equal(vd_disk_open_io(&canceler.disk, io, &opts, NULL), 0);
	vd_io_close(io);
	assert_int_equal(pthread_create(&thread, NULL, cancel_and_resume, &canceler), 0);
	for (int i = 0; i < 2000000 && (!n_canceled || !n_done); i++) {
		int ret = vd_disk_read(canceler.disk, bytes, sizeof(bytes), 8192, NULL);

		if (ret == VD_ECANCELED)
			n_canceled++;
		else if (!ret)
			n_done++;
		else
			fail_msg("reading gave %d", ret);
	}
	atomic_store(&canceler.is_over, true);
	pthread_join(thread, NULL);
	assert_true(n_canceled > 0);
	assert_true(n_done > 0);
	assert_int_equal(vd_disk_write(canceler.disk, bytes, 512, 0, NULL), 0);
	assert_int_equal(vd_disk_close(canceler.disk, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(threads_share_a_raw_image),
	    cmocka_unit_test(threads_share_a_vhdx),
	    cmocka_unit_test(threads_share_sectors_of_a_child),
	    cmocka_unit_test(canceling_comes_from_any_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
