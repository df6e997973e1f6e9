/* SPDX-License-Identifier: MIT */
/* One store, many threads: neighbours in one unit don't lose each other's bytes, counters count. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <vdisk/sys/io.h>

#include "scratch.h"

#define N_THREADS 4
#define N_STEPS   400
#define AREA      20000

static struct vd_io *io;
static _Atomic int n_failed;

/* Each thread owns every N_THREADS-th byte group and rewrites it; nobody else's may change. */
#define GROUP 100
static void *write_groups(void *arg)
{
	unsigned own = (unsigned)(uintptr_t)arg, seed = own;
	uint8_t mine[AREA / GROUP], buf[GROUP], got[GROUP];
	struct vd_error err;

	memset(mine, 0, sizeof(mine));
	for (int i = 0; i < N_STEPS; i++) {
		unsigned n = (unsigned)rand_r(&seed) % (AREA / GROUP / N_THREADS);
		uint64_t group = n * N_THREADS + own;

		memset(got, (int)mine[n], GROUP);
		if (vd_io_read(io, buf, GROUP, group * GROUP, &err) || memcmp(buf, got, GROUP))
			n_failed++;
		mine[n] = (uint8_t)(i + 1);
		memset(buf, (int)mine[n], GROUP);
		if (vd_io_write(io, buf, GROUP, group * GROUP, &err))
			n_failed++;
		if (i % 50 == 0 && vd_io_sync(io, &err))
			n_failed++;
	}
	return NULL;
}

static void run(void *(*fn)(void *))
{
	pthread_t threads[N_THREADS];

	n_failed = 0;
	for (uintptr_t i = 0; i < N_THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, fn, (void *)i), 0);
	for (size_t i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(n_failed, 0);
}

static void check_counters(void)
{
	struct vd_io_stats stats;

	vd_io_get_stats(io, &stats);
	assert_true(stats.n_syncs == N_THREADS * N_STEPS / 50);
	assert_true(stats.bytes_written >= N_THREADS * N_STEPS * GROUP);
	assert_true(stats.n_writes >= N_THREADS * N_STEPS);
}

static void neighbours_in_a_file_keep_their_bytes(void **state)
{
	struct vd_error err;
	uint32_t flags[] = {VD_IO_CREATE, VD_IO_CREATE | VD_IO_DIRECT};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		unlink(scratch_path("threads.img"));
		assert_int_equal(vd_io_open_file(&io, scratch_path("threads.img"), flags[i], &err),
				 0);
		run(write_groups);
		check_counters();
		vd_io_close(io);
	}
}

static void neighbours_in_memory_keep_their_bytes(void **state)
{
	struct vd_io_stats stats;
	struct vd_error err;

	(void)state;
	assert_int_equal(vd_io_open_memory(&io, AREA, &err), 0);
	run(write_groups);
	vd_io_get_stats(io, &stats);
	assert_true(stats.bytes_written == N_THREADS * N_STEPS * GROUP);
	assert_true(stats.n_reads == N_THREADS * N_STEPS);
	vd_io_close(io);
}

/* A store over memory that wants alignment: its calls overlap in time, unlike a file system's. */
#define UNIT 4096
static uint8_t slow_data[64 * UNIT];
static _Atomic uint64_t slow_length;
static pthread_mutex_t slow_lock = PTHREAD_MUTEX_INITIALIZER;

static ssize_t slow_read(void *state, void *buf, size_t len, uint64_t offset)
{
	uint64_t there = slow_length;

	(void)state;
	if (offset >= there)
		return 0;
	if (len > there - offset)
		len = (size_t)(there - offset);
	pthread_mutex_lock(&slow_lock);
	memcpy(buf, slow_data + offset, len);
	pthread_mutex_unlock(&slow_lock);
	usleep(20);
	return (ssize_t)len;
}

static ssize_t slow_write(void *state, const void *buf, size_t len, uint64_t offset)
{
	(void)state;
	usleep(20);
	pthread_mutex_lock(&slow_lock);
	memcpy(slow_data + offset, buf, len);
	if (slow_length < offset + len)
		slow_length = offset + len;
	pthread_mutex_unlock(&slow_lock);
	return (ssize_t)len;
}

static int slow_sync(void *state)
{
	(void)state;
	return 0;
}

static int slow_get_length(void *state, uint64_t *length)
{
	(void)state;
	*length = slow_length;
	return 0;
}

static int slow_truncate(void *state, uint64_t length)
{
	(void)state;
	usleep(20);
	pthread_mutex_lock(&slow_lock);
	if (length < slow_length)
		memset(slow_data + length, 0, (size_t)(slow_length - length));
	slow_length = length;
	pthread_mutex_unlock(&slow_lock);
	return 0;
}

static void slow_close(void *state)
{
	(void)state;
}

static const struct vd_io_ops slow_ops = {
    .size = sizeof(struct vd_io_ops),
    .align = UNIT,
    .read = slow_read,
    .write = slow_write,
    .sync = slow_sync,
    .length = slow_get_length,
    .truncate = slow_truncate,
    .close = slow_close,
};

static void neighbours_in_an_aligned_store_keep_their_bytes(void **state)
{
	struct vd_error err;
	uint64_t length;

	(void)state;
	assert_int_equal(vd_io_open_ops(&io, &slow_ops, NULL, "slow", true, &err), 0);
	run(write_groups); /* also while the store grows by odd lengths */
	check_counters();
	assert_int_equal(vd_io_length(io, &length, &err), 0);
	assert_int_equal(length % GROUP, 0);
	vd_io_close(io);
}

static bool is_all(const uint8_t *buf, size_t len, int value)
{
	for (size_t i = 0; i < len; i++)
		if (buf[i] != (uint8_t)value)
			return false;
	return true;
}

/* Thread 0 writes a whole unit, others pieces at the edges of units: a read-modify-write that
 * began before must not bring back what thread 0 has replaced since. */
static void *write_units(void *arg)
{
	static _Alignas(UNIT) uint8_t whole[UNIT];
	unsigned own = (unsigned)(uintptr_t)arg;
	uint8_t buf[50], got[50];
	struct vd_error err;

	memset(buf, (int)own, sizeof(buf));
	for (int i = 0; i < N_STEPS; i++) {
		if (own) {
			/* the last 50 bytes of unit own - 1 and the first 50 of the next */
			if (vd_io_write(io, buf, 50, own * UNIT - 50, &err) ||
			    vd_io_write(io, buf, 50, own * UNIT, &err))
				n_failed++;
			continue;
		}
		memset(whole, i, UNIT);
		if (vd_io_write(io, whole, UNIT, 0, &err))
			n_failed++;
		usleep(50);
		if (vd_io_read(io, got, 50, 0, &err) || !is_all(got, 50, i))
			n_failed++;
	}
	return NULL;
}

static void whole_units_are_not_torn_by_odd_pieces(void **state)
{
	struct vd_error err;
	uint8_t got[UNIT];

	(void)state;
	memset(slow_data, 0, sizeof(slow_data));
	slow_length = 0;
	assert_int_equal(vd_io_open_ops(&io, &slow_ops, NULL, "slow", true, &err), 0);
	run(write_units);
	/* What all wrote for certain: units 1 to N_THREADS - 1 begin with their thread's bytes. */
	for (unsigned i = 1; i < N_THREADS; i++) {
		assert_int_equal(vd_io_read(io, got, UNIT, i * UNIT, &err), 0);
		assert_int_equal(got[0], i);
		assert_int_equal(got[49], i);
		if (i + 1 < N_THREADS) {
			assert_int_equal(got[UNIT - 1], i + 1);
			assert_int_equal(got[UNIT - 50], i + 1);
		}
		assert_int_equal(got[50], 0);
	}
	vd_io_close(io);
}

static void *cancel_and_resume(void *arg)
{
	unsigned own = (unsigned)(uintptr_t)arg;
	struct vd_error err;
	char buf[300];

	for (int i = 0; i < N_STEPS; i++) {
		int ret;

		if (!own) {
			vd_io_cancel(io);
			vd_io_resume(io);
			continue;
		}
		memset(buf, (int)own, sizeof(buf));
		ret = vd_io_write(io, buf, sizeof(buf), own * 1000, &err);
		if (ret && ret != VD_ECANCELED)
			n_failed++;
		ret = vd_io_sync(io, &err);
		if (ret && ret != VD_ECANCELED)
			n_failed++;
	}
	return NULL;
}

static void cancelling_from_beside_is_safe(void **state)
{
	struct vd_error err;

	(void)state;
	assert_int_equal(vd_io_open_ops(&io, &slow_ops, NULL, "slow", true, &err), 0);
	run(cancel_and_resume);
	assert_false(vd_io_is_poisoned(io));
	vd_io_close(io);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(neighbours_in_a_file_keep_their_bytes),
	    cmocka_unit_test(neighbours_in_memory_keep_their_bytes),
	    cmocka_unit_test(neighbours_in_an_aligned_store_keep_their_bytes),
	    cmocka_unit_test(whole_units_are_not_torn_by_odd_pieces),
	    cmocka_unit_test(cancelling_from_beside_is_safe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
