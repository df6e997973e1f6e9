/* SPDX-License-Identifier: MIT */
/*
 * Compactions by layouts while threads write: each page belongs to a thread, which takes it into
 * use, writes it, looks at it and lets it go again. A layout names the pages that were in use when
 * it was made, a moment after its generation began. No page in use may ever show anything but what
 * was written to it last. A run in which nothing was dropped, or nothing was spared, fails.
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
#include <unistd.h>

#include <vdisk/compact.h>
#include <vdisk/disk.h>
#include <vdisk/sys/io.h>

#include "stamp.h"
#include "store.h"

#define MIB       ((uint64_t)1 << 20)
#define SEED      78u
#define N_BLOCKS  24u
#define DISK      (N_BLOCKS * MIB)
#define PAGE      65536u
#define N_PAGES   (DISK / PAGE)
#define N_WRITERS 3u
#define N_ROUNDS  400u

struct run {
	struct vd_disk *disk;
	struct vd_generation *generation;
	_Atomic bool is_over, has_failed;
	_Atomic uint64_t n_written;
	_Atomic uint32_t in_use[N_PAGES]; /* what its owner wrote; 0: not in use */
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

static void check_page(struct run *run, uint64_t page, uint8_t *buf, uint8_t *want)
{
	struct vd_error err = VD_ERROR_INIT;

	if (vd_disk_read(run->disk, buf, PAGE, page * PAGE, &err)) {
		give_up(run, "read", err.text);
		return;
	}
	stamp_fill(want, PAGE, page * PAGE, run->in_use[page], SEED);
	if (memcmp(buf, want, PAGE) != 0)
		give_up(run, "a page in use", "reads differently");
}

static void write_page(struct run *run, uint64_t page, uint32_t stamp, uint8_t *buf)
{
	struct vd_error err = VD_ERROR_INIT;

	/* In use from before it is written, as a guest's file system has it. */
	run->in_use[page] = stamp;
	stamp_fill(buf, PAGE, page * PAGE, stamp, SEED);
	vd_generation_write_begin(run->generation, page * PAGE, PAGE);
	if (vd_disk_write(run->disk, buf, PAGE, page * PAGE, &err))
		give_up(run, "write", err.text);
	vd_generation_write_end(run->generation, page * PAGE, PAGE);
	run->n_written++;
}

static void *work(void *user)
{
	struct worker *w = user;
	struct run *run = w->run;
	uint8_t *buf = malloc(PAGE), *want = malloc(PAGE);
	uint64_t random = w->number + 1;

	for (uint32_t n = 1; !run->is_over; n++) {
		uint64_t page;

		random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
		page = (random >> 33) % (N_PAGES / N_WRITERS) * N_WRITERS + w->number;
		if (!run->in_use[page])
			write_page(run, page, n, buf);
		else
			check_page(run, page, buf, want);
		/* Most are let go soon, so that whole blocks become free. */
		if (run->in_use[page] && n % 8)
			run->in_use[page] = 0;
		if (n % 16 == 0)
			usleep(500);
	}
	for (uint64_t page = w->number; page < N_PAGES; page += N_WRITERS)
		if (run->in_use[page])
			check_page(run, page, buf, want);
	free(buf);
	free(want);
	return NULL;
}

static void one_round(struct run *run, struct vd_compact_extent *extents, uint64_t *n_dropped,
		      uint64_t *n_spared)
{
	struct vd_compact_opts opts = VD_COMPACT_OPTS_INIT;
	struct vd_compact_result result = {.size = sizeof(result)};
	struct vd_error err = VD_ERROR_INIT;
	size_t n = 0;

	if (vd_generation_begin(run->generation, opts.generation_id, &err))
		give_up(run, "generation", err.text);
	/* Something is always in use: the first page. */
	for (uint64_t page = 0; page < N_PAGES; page++)
		if (!page || run->in_use[page])
			extents[n++] = (struct vd_compact_extent){page * PAGE, PAGE};
	usleep(300);
	opts.level = VD_COMPACT_PUNCH;
	opts.flags = VD_COMPACT_LAYOUT;
	opts.in_use = extents;
	opts.n_in_use = n;
	opts.generation = run->generation;
	opts.hold_ms = 5000;
	if (vd_compact(run->disk, &opts, &result, &err))
		give_up(run, "compaction", err.text);
	*n_dropped += result.freed_guest;
	*n_spared += vd_generation_written(run->generation);
}

static void nothing_that_was_written_is_lost(void **state)
{
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_open_opts open = VD_OPEN_OPTS_INIT;
	struct vd_compact_extent *extents = calloc(N_PAGES, sizeof(*extents));
	struct run *run = calloc(1, sizeof(*run));
	struct worker workers[N_WRITERS];
	struct store *store = store_new(NULL);
	struct vd_io *io = store_io(store, true);
	struct vd_error err = VD_ERROR_INIT;
	uint64_t n_dropped = 0, n_spared = 0;

	(void)state;
	create.virtual_size = DISK;
	create.block_size = (uint32_t)MIB;
	open.flags = VD_OPEN_WRITE;
	assert_int_equal(vd_disk_create_io(io, &create, &err), 0);
	assert_int_equal(vd_disk_open_io(&run->disk, io, &open, &err), 0);
	assert_int_equal(vd_generation_new(&run->generation, run->disk, &err), 0);
	for (uint32_t i = 0; i < N_WRITERS; i++) {
		workers[i] = (struct worker){.run = run, .number = i};
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	}
	for (unsigned i = 0; i < N_ROUNDS && !run->is_over; i++)
		one_round(run, extents, &n_dropped, &n_spared);
	run->is_over = true;
	for (uint32_t i = 0; i < N_WRITERS; i++)
		pthread_join(workers[i].thread, NULL);
	if (run->has_failed)
		fail_msg("%s", run->text);
	assert_true(n_dropped > 0 && n_spared > 0);
	printf("count: layouts acted upon under load %u\n", N_ROUNDS);
	printf("count: MiB dropped by them %llu\n", (unsigned long long)(n_dropped >> 20));
	vd_generation_free(run->generation);
	assert_int_equal(vd_disk_close(run->disk, &err), 0);
	vd_io_close(io);
	store_free(store);
	free(run);
	free(extents);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_that_was_written_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
