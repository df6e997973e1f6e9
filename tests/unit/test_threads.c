/* SPDX-License-Identifier: MIT */
/*
 * Many threads on one handle. Made to be run under ThreadSanitizer too. Each test asserts that
 * its threads did meet: a race that was never run proves nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vdisk/disk.h>
#include <vdisk/sys/io.h>

#include "scratch.h"
#include "stamp.h"

#define KIB       ((uint64_t)1 << 10)
#define MIB       ((uint64_t)1 << 20)
#define SEED      42u
#define N_WRITERS 4u
#define REGION    (3 * MIB)
#define MAX_TURNS 20000u

/* What all threads of a test see. */
struct scene {
	struct vd_disk *disk;
	atomic_uint n_writing, n_met_write, n_met_flush, n_met_discard, n_met_read;
	atomic_bool is_over;
	atomic_int n_failures;
	atomic_uint n_arrived; /* of a barrier that spins, so that its threads leave it together */
};

struct worker {
	struct scene *scene;
	unsigned id;
	uint64_t random;
	uint32_t *generation; /* of each 4 KiB of its region; writers only */
};

static void meet(struct scene *scene, unsigned n_threads, unsigned round)
{
	atomic_fetch_add(&scene->n_arrived, 1);
	for (unsigned spins = 0; atomic_load(&scene->n_arrived) < n_threads * round;)
		if (++spins % 65536 == 0)
			sched_yield();
}

static void complain(struct scene *scene, const char *what, const char *text)
{
	if (atomic_fetch_add(&scene->n_failures, 1) == 0)
		print_error("%s: %s\n", what, text);
	atomic_store(&scene->is_over, true);
}

static void make_disk(struct vd_io *io, uint64_t size, struct vd_disk **disk)
{
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;

	create.virtual_size = size;
	create.block_size = (uint32_t)MIB;
	create.log_size = (uint32_t)MIB;
	opts.flags = VD_OPEN_WRITE;
	if (vd_disk_create_io(io, &create, &err) < 0 || vd_disk_open_io(disk, io, &opts, &err) < 0)
		fail_msg("%s", err.text);
}

/* The region's 4 KiB pieces are written, zeroed and discarded by nobody else. */
static void *writer(void *arg)
{
	struct worker *w = arg;
	struct scene *s = w->scene;
	struct vd_error err = VD_ERROR_INIT;
	uint8_t buf[4096];
	char text[300];

	for (uint32_t turn = 1; turn < MAX_TURNS && !atomic_load(&s->is_over); turn++) {
		uint64_t piece = rnd_below(&w->random, REGION / 4096), dice;
		uint64_t at = w->id * REGION + piece * 4096;
		int rc;

		dice = rnd_below(&w->random, 16);
		if (atomic_fetch_add(&s->n_writing, 1) > 0)
			atomic_fetch_add(&s->n_met_write, 1);
		if (dice == 0) { /* a whole block */
			uint64_t block = piece * 4096 / MIB;

			if (atomic_load(&s->n_writing) > 1)
				atomic_fetch_add(&s->n_met_discard, 1);
			rc = turn & 1
				 ? vd_disk_discard(s->disk, w->id * REGION + block * MIB, MIB, &err)
				 : vd_disk_write_zeroes(s->disk, w->id * REGION + block * MIB, MIB,
							0, &err);
			for (uint64_t i = 0; i < MIB / 4096; i++)
				w->generation[block * (MIB / 4096) + i] = 0;
		} else {
			stamp_fill(buf, sizeof(buf), at, turn, SEED);
			rc = vd_disk_write(s->disk, buf, sizeof(buf), at, &err);
			w->generation[piece] = turn;
		}
		atomic_fetch_sub(&s->n_writing, 1);
		if (rc < 0)
			complain(s, "writer", err.text);
		piece = rnd_below(&w->random, REGION / 4096);
		at = w->id * REGION + piece * 4096;
		if (vd_disk_read(s->disk, buf, sizeof(buf), at, &err) < 0)
			complain(s, "reading what was written", err.text);
		else if (!stamp_verify(buf, sizeof(buf), at, w->generation[piece], SEED, text,
				       sizeof(text)))
			complain(s, "reading what was written", text);
	}
	return NULL;
}

/* Whatever a reader meets is zero or a whole stamp of that place. */
static void *reader(void *arg)
{
	struct worker *w = arg;
	struct scene *s = w->scene;
	struct vd_error err = VD_ERROR_INIT;
	struct stamp found;
	uint8_t buf[STAMP_SECTOR];
	char text[300];

	while (!atomic_load(&s->is_over)) {
		uint64_t lba = rnd_below(&w->random, N_WRITERS * REGION / STAMP_SECTOR);
		struct vd_extent extent;
		enum stamp_kind kind;

		if (vd_disk_read(s->disk, buf, sizeof(buf), lba * STAMP_SECTOR, &err) < 0) {
			complain(s, "reader", err.text);
			break;
		}
		if (atomic_load(&s->n_writing))
			atomic_fetch_add(&s->n_met_read, 1);
		kind = stamp_read(buf, &found);
		/* A sector being written may be torn; one that belongs elsewhere is a fault. */
		if (kind == STAMP_WHOLE && (found.lba != lba || found.seed != SEED))
			complain(s, "reader", stamp_describe(buf, lba, text, sizeof(text)));
		if (lba % 8 == 0 &&
		    vd_disk_map(s->disk, lba * STAMP_SECTOR, MIB, &extent, &err) < 0)
			complain(s, "map", err.text);
	}
	return NULL;
}

static void *flusher(void *arg)
{
	struct worker *w = arg;
	struct scene *s = w->scene;
	struct vd_error err = VD_ERROR_INIT;

	while (!atomic_load(&s->is_over)) {
		bool is_met = atomic_load(&s->n_writing) > 0;

		if (vd_disk_flush(s->disk, &err) < 0)
			complain(s, "flush", err.text);
		if (is_met || atomic_load(&s->n_writing) > 0)
			atomic_fetch_add(&s->n_met_flush, 1);
		sched_yield();
	}
	return NULL;
}

static void run_together(struct scene *scene, struct worker *workers)
{
	pthread_t writers[N_WRITERS], others[4];
	void *(*const work[4])(void *) = {reader, reader, flusher, flusher};

	for (unsigned i = 0; i < N_WRITERS; i++)
		assert_int_equal(pthread_create(&writers[i], NULL, writer, &workers[i]), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&others[i], NULL, work[i], &workers[N_WRITERS + i]),
				 0);
	/* Long enough for all to have met often, whatever the machine. */
	for (int ms = 0; ms < 20000 && !atomic_load(&scene->is_over); ms += 10) {
		usleep(10000);
		if (ms >= 1500 && atomic_load(&scene->n_met_write) > 100 &&
		    atomic_load(&scene->n_met_flush) > 100 &&
		    atomic_load(&scene->n_met_read) > 100 &&
		    atomic_load(&scene->n_met_discard) > 10)
			break;
	}
	atomic_store(&scene->is_over, true);
	for (unsigned i = 0; i < N_WRITERS; i++)
		pthread_join(writers[i], NULL);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(others[i], NULL);
}

static void verify_regions(struct vd_disk *disk, struct worker *workers)
{
	uint8_t buf[4096];
	char text[300];

	for (unsigned i = 0; i < N_WRITERS; i++) {
		for (uint64_t piece = 0; piece < REGION / 4096; piece++) {
			uint64_t at = i * REGION + piece * 4096;

			assert_int_equal(vd_disk_read(disk, buf, sizeof(buf), at, NULL), 0);
			if (!stamp_verify(buf, sizeof(buf), at, workers[i].generation[piece], SEED,
					  text, sizeof(text)))
				fail_msg("%s", text);
		}
	}
}

static void print_finding(void *user, const struct vd_finding *finding)
{
	(void)user;
	if (finding->severity == VD_FINDING_ERROR)
		print_error("%s: %s\n", finding->rule, finding->found);
}

static void disjoint_on(struct vd_io *io)
{
	struct scene scene = {.disk = NULL};
	struct worker workers[N_WRITERS + 4];
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk;
	uint64_t n_errors = 0;

	make_disk(io, N_WRITERS * REGION, &scene.disk);
	for (unsigned i = 0; i < N_WRITERS + 4; i++)
		workers[i] =
		    (struct worker){&scene, i, 1000 + i, calloc(REGION / 4096, sizeof(uint32_t))};
	run_together(&scene, workers);
	assert_int_equal(atomic_load(&scene.n_failures), 0);
	print_message("met: %u writers, %u readers, %u flushes, %u discards\n",
		      atomic_load(&scene.n_met_write), atomic_load(&scene.n_met_read),
		      atomic_load(&scene.n_met_flush), atomic_load(&scene.n_met_discard));
	assert_true(atomic_load(&scene.n_met_write) > 0);
	assert_true(atomic_load(&scene.n_met_read) > 0);
	assert_true(atomic_load(&scene.n_met_flush) > 0);
	assert_true(atomic_load(&scene.n_met_discard) > 0);
	verify_regions(scene.disk, workers);
	assert_int_equal(vd_disk_close(scene.disk, &err), 0);
	assert_int_equal(vd_disk_check_io(io, NULL, print_finding, NULL, &n_errors, &err), 0);
	assert_int_equal(n_errors, 0);
	if (vd_disk_open_io(&disk, io, &opts, &err) < 0)
		fail_msg("%s", err.text);
	verify_regions(disk, workers);
	assert_int_equal(vd_disk_close(disk, &err), 0);
	for (unsigned i = 0; i < N_WRITERS + 4; i++)
		free(workers[i].generation);
}

static void test_disjoint_writers_in_memory(void **state)
{
	struct vd_io *io;

	(void)state;
	assert_int_equal(vd_io_open_memory(&io, 0, NULL), 0);
	disjoint_on(io);
	vd_io_close(io);
}

static void test_disjoint_writers_on_a_file(void **state)
{
	const char *path = scratch_path("threads.vhdx");
	struct vd_error err = VD_ERROR_INIT;
	struct vd_io *io;

	(void)state;
	unlink(path);
	if (vd_io_open_file(&io, path, VD_IO_CREATE | VD_IO_WRITE, &err) < 0)
		fail_msg("%s", err.text);
	disjoint_on(io);
	vd_io_close(io);
	unlink(path);
}

#define N_BLOCKS 400u

/* Each writes its own sector of each block, all at the same moment. */
static void *same_block(void *arg)
{
	struct worker *w = arg;
	struct vd_error err = VD_ERROR_INIT;
	uint8_t buf[STAMP_SECTOR];

	for (uint64_t block = 0; block < N_BLOCKS; block++) {
		uint64_t at = block * MIB + w->id * 64 * KIB + w->id * STAMP_SECTOR;

		stamp_fill(buf, sizeof(buf), at, w->id + 1, SEED);
		meet(w->scene, 2, (unsigned)block + 1);
		if (atomic_fetch_add(&w->scene->n_writing, 1) > 0)
			atomic_fetch_add(&w->scene->n_met_write, 1);
		if (vd_disk_write(w->scene->disk, buf, sizeof(buf), at, &err) < 0)
			complain(w->scene, "write", err.text);
		atomic_fetch_sub(&w->scene->n_writing, 1);
	}
	return NULL;
}

static void run_workers(struct scene *scene, void *(*work)(void *), unsigned n)
{
	struct worker workers[8];
	pthread_t threads[8];

	for (unsigned i = 0; i < n; i++) {
		workers[i] = (struct worker){scene, i, i + 1, NULL};
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&scene->n_failures), 0);
}

static unsigned write_new_blocks_together(void)
{
	struct scene scene = {.disk = NULL};
	struct vd_disk_stats stats = {.size = sizeof(stats)};
	struct vd_io *io;
	uint8_t *buf = malloc(MIB);
	char text[300];

	assert_int_equal(vd_io_open_memory(&io, 0, NULL), 0);
	make_disk(io, N_BLOCKS * MIB, &scene.disk);
	run_workers(&scene, same_block, 2);
	for (uint64_t block = 0; block < N_BLOCKS; block++) {
		assert_int_equal(vd_disk_read(scene.disk, buf, MIB, block * MIB, NULL), 0);
		for (uint64_t lba = 0; lba < MIB / STAMP_SECTOR; lba++) {
			uint64_t generation = lba == 0 ? 1 : lba == 129 ? 2 : 0;

			if (!stamp_verify(buf + lba * STAMP_SECTOR, STAMP_SECTOR,
					  block * MIB + lba * STAMP_SECTOR, generation, SEED, text,
					  sizeof(text)))
				fail_msg("%s", text);
		}
	}
	vd_disk_get_stats(scene.disk, &stats);
	assert_int_equal(stats.n_blocks_allocated - stats.n_blocks_freed, N_BLOCKS);
	assert_int_equal(vd_disk_close(scene.disk, NULL), 0);
	vd_io_close(io);
	free(buf);
	return atomic_load(&scene.n_met_write);
}

/* On a busy machine a round may pass without a meeting. */
static void test_one_new_block_two_writers(void **state)
{
	unsigned n_met = 0;

	(void)state;
	for (int round = 0; round < 20 && !n_met; round++)
		n_met = write_new_blocks_together();
	assert_true(n_met > 0);
}

/* In a child: sectors of one block, dealt out among the threads; and parts of shared sectors. */
static void *child_sectors(void *arg)
{
	struct worker *w = arg;
	struct scene *s = w->scene;
	struct vd_error err = VD_ERROR_INIT;
	uint8_t buf[STAMP_SECTOR];

	for (uint64_t lba = w->id; lba < 2 * MIB / STAMP_SECTOR; lba += N_WRITERS) {
		int rc;

		if (lba % (2 * N_WRITERS) >= N_WRITERS)
			continue; /* stays the parent's */
		if (atomic_fetch_add(&s->n_writing, 1) > 0)
			atomic_fetch_add(&s->n_met_write, 1);
		stamp_fill(buf, sizeof(buf), lba * STAMP_SECTOR, 9, SEED);
		rc = vd_disk_write(s->disk, buf, sizeof(buf), lba * STAMP_SECTOR, &err);
		if (rc >= 0) { /* a quarter of a sector that all share */
			uint64_t at = 2 * MIB + lba / (2 * N_WRITERS) * STAMP_SECTOR + w->id * 128;

			memset(buf, (int)(w->id + 1), 128);
			rc = vd_disk_write(s->disk, buf, 128, at, &err);
		}
		atomic_fetch_sub(&s->n_writing, 1);
		if (rc < 0)
			complain(s, "write", err.text);
		if (w->id == 0 && lba % 64 == 0 && vd_disk_flush(s->disk, &err) < 0)
			complain(s, "flush", err.text);
	}
	return NULL;
}

static void make_full_parent(const char *path)
{
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk;
	uint8_t *buf = malloc(4 * MIB);

	create.virtual_size = 4 * MIB;
	create.block_size = (uint32_t)MIB;
	opts.flags = VD_OPEN_WRITE;
	unlink(path);
	stamp_fill(buf, 4 * MIB, 0, 1, SEED);
	if (vd_disk_create(path, &create, &err) < 0 || vd_disk_open(&disk, path, &opts, &err) < 0 ||
	    vd_disk_write(disk, buf, 4 * MIB, 0, &err) < 0 || vd_disk_close(disk, &err) < 0)
		fail_msg("parent: %s", err.text);
	free(buf);
}

static void verify_child(struct vd_disk *disk)
{
	uint8_t *buf = malloc(4 * MIB);
	char text[300];

	assert_int_equal(vd_disk_read(disk, buf, 4 * MIB, 0, NULL), 0);
	for (uint64_t lba = 0; lba < 4 * MIB / STAMP_SECTOR; lba++) {
		const uint8_t *sector = buf + lba * STAMP_SECTOR;
		bool is_shared = lba >= 2 * MIB / STAMP_SECTOR &&
				 lba < 2 * MIB / STAMP_SECTOR + 2 * MIB / STAMP_SECTOR / 8;

		if (is_shared) {
			for (unsigned i = 0; i < STAMP_SECTOR; i++)
				if (sector[i] != i / 128 + 1)
					fail_msg("byte %u of shared LBA %" PRIu64
						 " is %u: what another thread wrote beside it is "
						 "lost",
						 i, lba, sector[i]);
		} else if (!stamp_verify(sector, STAMP_SECTOR, lba * STAMP_SECTOR,
					 lba < 2 * MIB / STAMP_SECTOR && lba % 8 < 4 ? 9 : 1, SEED,
					 text, sizeof(text))) {
			fail_msg("%s", text);
		}
	}
	free(buf);
}

static void test_child_sectors_of_one_block(void **state)
{
	const char *parent = scratch_path("threads-parent.vhdx"),
		   *path = scratch_path("child.vhdx");
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct scene scene = {.disk = NULL};
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;

	(void)state;
	make_full_parent(parent);
	create.parent = parent;
	create.block_size = (uint32_t)MIB;
	opts.flags = VD_OPEN_WRITE;
	unlink(path);
	if (vd_disk_create(path, &create, &err) < 0 ||
	    vd_disk_open(&scene.disk, path, &opts, &err) < 0)
		fail_msg("%s", err.text);
	run_workers(&scene, child_sectors, N_WRITERS);
	assert_true(atomic_load(&scene.n_met_write) > 0);
	verify_child(scene.disk);
	assert_int_equal(vd_disk_close(scene.disk, NULL), 0);
	opts.flags = 0;
	if (vd_disk_open(&scene.disk, path, &opts, &err) < 0)
		fail_msg("%s", err.text);
	verify_child(scene.disk);
	assert_int_equal(vd_disk_close(scene.disk, NULL), 0);
	unlink(path);
	unlink(parent);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_disjoint_writers_in_memory),
	    cmocka_unit_test(test_disjoint_writers_on_a_file),
	    cmocka_unit_test(test_one_new_block_two_writers),
	    cmocka_unit_test(test_child_sectors_of_one_block),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
