/* SPDX-License-Identifier: MIT */
/*
 * The zero scan, which looks at several blocks at a time, while threads write: stamps over zeros
 * and zeros over stamps. Every page reads as its owner wrote it last. A run in which the scan gave
 * nothing back, or nobody wrote meanwhile, fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vdisk/compact.h>
#include <vdisk/disk.h>
#include <vdisk/sys/io.h>

#include "hook.h"
#include "stamp.h"
#include "store.h"

#define MIB       ((uint64_t)1 << 20)
#define SEED      81u
#define N_BLOCKS  72u /* more than are looked at between two pauses */
#define PAGE      65536u
#define N_PAGES   (N_BLOCKS * MIB / PAGE)
#define PER_BLOCK (MIB / PAGE)
#define N_WRITERS 2u
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define N_ROUNDS 4u
#else
#define N_ROUNDS 30u
#endif

struct run {
	struct vd_disk *disk;
	_Atomic bool is_over, has_failed;
	_Atomic uint64_t n_written;
	uint32_t stamp[N_PAGES]; /* each of one thread; 0: zeros */
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
	run->is_over = true;
}

static void fill(uint8_t *buf, uint64_t page, uint32_t stamp)
{
	memset(buf, 0, PAGE);
	if (stamp)
		stamp_fill(buf, PAGE, page * PAGE, stamp, SEED);
}

static void check_page(struct run *run, uint64_t page, uint8_t *buf, uint8_t *want)
{
	struct vd_error err = VD_ERROR_INIT;

	fill(want, page, run->stamp[page]);
	if (vd_disk_read(run->disk, buf, PAGE, page * PAGE, &err))
		give_up(run, "read", err.text);
	else if (memcmp(buf, want, PAGE) != 0)
		give_up(run, "a page", "reads differently");
}

/* Blocks go to the threads in turns; of each, most pages are zeros, so that whole blocks get so. */
static void *work(void *user)
{
	struct worker *w = user;
	struct run *run = w->run;
	struct vd_error err = VD_ERROR_INIT;
	uint8_t *buf = malloc(PAGE), *want = malloc(PAGE);
	uint64_t random = w->number + 1;

	for (uint32_t n = 1; !run->is_over; n++) {
		uint64_t block, page;

		random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
		block = (random >> 33) % (N_BLOCKS / N_WRITERS) * N_WRITERS + w->number;
		page = block * PER_BLOCK + (random >> 50) % PER_BLOCK;
		check_page(run, page, buf, want);
		run->stamp[page] = run->stamp[page] || (random >> 60) % 4 ? 0 : n;
		fill(buf, page, run->stamp[page]);
		if (vd_disk_write(run->disk, buf, PAGE, page * PAGE, &err))
			give_up(run, "write", err.text);
		run->n_written++;
		if (n % 32 == 0)
			usleep(300);
	}
	for (uint64_t page = 0; page < N_PAGES; page++)
		if (page / PER_BLOCK % N_WRITERS == w->number)
			check_page(run, page, buf, want);
	free(buf);
	free(want);
	return NULL;
}

static void zeros_go_and_stamps_stay(void **state)
{
	struct vd_compact_opts opts = VD_COMPACT_OPTS_INIT;
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_open_opts open = VD_OPEN_OPTS_INIT;
	struct run *run = calloc(1, sizeof(*run));
	struct worker workers[N_WRITERS];
	struct store *store = store_new(NULL);
	struct vd_io *io = store_io(store, true);
	struct vd_error err = VD_ERROR_INIT;
	uint64_t n_gained = 0, n_meanwhile = 0;

	(void)state;
	create.virtual_size = N_BLOCKS * MIB;
	create.block_size = (uint32_t)MIB;
	open.flags = VD_OPEN_WRITE;
	assert_int_equal(vd_disk_create_io(io, &create, &err), 0);
	assert_int_equal(vd_disk_open_io(&run->disk, io, &open, &err), 0);
	for (uint32_t i = 0; i < N_WRITERS; i++) {
		workers[i] = (struct worker){.run = run, .number = i};
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	}
	opts.level = VD_COMPACT_PUNCH;
	opts.flags = VD_COMPACT_ZERO_SCAN;
	opts.hold_ms = 5000;
	for (unsigned i = 0; i < N_ROUNDS && !run->is_over; i++) {
		struct vd_compact_result result = {.size = sizeof(result)};
		uint64_t before = run->n_written;

		if (vd_compact(run->disk, &opts, &result, &err))
			give_up(run, "compaction", err.text);
		n_gained += result.dropped_zero + result.punched;
		n_meanwhile += run->n_written - before;
		usleep(2000);
	}
	run->is_over = true;
	for (uint32_t i = 0; i < N_WRITERS; i++)
		pthread_join(workers[i].thread, NULL);
	if (run->has_failed)
		fail_msg("%s", run->text);
	assert_true(n_gained > 0 && n_meanwhile > N_ROUNDS);
	printf("count: MiB of zeros given back under load %llu\n",
	       (unsigned long long)(n_gained >> 20));
	assert_int_equal(vd_disk_close(run->disk, &err), 0);
	vd_io_close(io);
	store_free(store);
	free(run);
}

struct signals {
	pthread_t caller;
	_Atomic unsigned n_others, n_open; /* reads by other threads; with a signal not blocked */
};

static int look_at_mask(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len)
{
	struct signals *s = hook->user;
	sigset_t mask;

	(void)call, (void)offset, (void)len;
	usleep(200); /* so that all of them come to look */
	if (pthread_equal(pthread_self(), s->caller))
		return 0;
	s->n_others++;
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	s->n_open += !sigismember(&mask, SIGTERM) || !sigismember(&mask, SIGUSR1);
	return 0;
}

/* A program's signals go to its own threads. */
static void its_threads_take_no_signals(void **state)
{
	struct signals signals = {.caller = pthread_self()};
	struct vd_compact_opts opts = VD_COMPACT_OPTS_INIT;
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct store *store = store_new(NULL);
	struct vd_io *under = store_io(store, true), *io;
	struct hook hook = {.under = under, .before = look_at_mask, .user = &signals};
	struct vd_open_opts open = VD_OPEN_OPTS_INIT;
	struct vd_disk *disk = NULL;
	sigset_t mask;
	uint8_t *buf = malloc(PAGE);

	(void)state;
	create.virtual_size = N_BLOCKS * MIB;
	create.block_size = (uint32_t)MIB;
	open.flags = VD_OPEN_WRITE;
	io = hook_io(&hook);
	fill(buf, 0, 1);
	assert_int_equal(vd_disk_create_io(under, &create, NULL), 0);
	assert_int_equal(vd_disk_open_io(&disk, io, &open, NULL), 0);
	for (uint64_t i = 0; i < N_BLOCKS; i++)
		assert_int_equal(vd_disk_write(disk, buf, PAGE, i * MIB, NULL), 0);
	opts.flags = VD_COMPACT_ZERO_SCAN | VD_COMPACT_DRY_RUN;
	/* The caller alone may have looked at all of it. */
	for (int i = 0; i < 500 && !signals.n_others; i++)
		assert_int_equal(vd_compact(disk, &opts, NULL, NULL), 0);
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	assert_false(sigismember(&mask, SIGTERM));
	assert_true(signals.n_others > 0 || sysconf(_SC_NPROCESSORS_ONLN) < 2);
	assert_int_equal(signals.n_open, 0);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
	vd_io_close(io);
	vd_io_close(under);
	store_free(store);
	free(buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(zeros_go_and_stamps_stay),
	    cmocka_unit_test(its_threads_take_no_signals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
