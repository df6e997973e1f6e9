/* SPDX-License-Identifier: MIT */
/*
 * Random lives of images against a raw model: see support/life.h for what happens in them. Seeds
 * are the same in each run, unless it is made longer: then some follow from the time of day. A
 * failure prints the command that repeats it.
 *
 *   VD_LIFECYCLE_SEED=N     only the life of this seed
 *   VD_LIFECYCLE_STEPS=N    its length (150)
 *   VD_LIFECYCLE_SECONDS=N  go on with new seeds until that time has passed (15)
 *   VD_LIFECYCLE_NO_QEMU=1  as if QEMU weren't installed
 *   VD_LIFECYCLE_TRACE=1    print each step
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "life.h"
#include "scratch.h"

#define N_FIXED 5 /* seeds that are always tried */
#define N_NEW   2 /* at least that many others */
#define N_MOST  100

static struct life_count count;
static uint64_t n_lives;
static const char *program;

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

static void report(struct life *life, uint32_t n_steps)
{
	unsigned first = life->n_lines > LIFE_N_LINES ? life->n_lines - LIFE_N_LINES : 0;

	print_error("seed %" PRIu64 ", step %" PRIu32 ": %s\n  the last things done:\n", life->seed,
		    life->step, life->text);
	for (unsigned i = first; i < life->n_lines; i++)
		print_error("    %s\n", life->lines[i % LIFE_N_LINES]);
	print_error("  the image is %s\n  again: %sVD_LIFECYCLE_SEED=%" PRIu64
		    " VD_LIFECYCLE_STEPS=%" PRIu32 " %s\n",
		    life_path(life, 0), life->has_qemu ? "" : "VD_LIFECYCLE_NO_QEMU=1 ", life->seed,
		    n_steps, program);
}

static void live(uint64_t seed)
{
	uint32_t n_steps = (uint32_t)number("VD_LIFECYCLE_STEPS", 150);
	struct life life;
	bool ok = life_begin(&life, seed, &count);

	while (ok && life.step < n_steps)
		ok = life_step(&life);
	if (!ok || !life_end(&life)) {
		report(&life, n_steps);
		life_free(&life, true);
		fail();
	}
	life_free(&life, false);
	n_lives++;
}

/* A run in which nothing interesting happened proves nothing: then some more lives. */
static bool has_all_happened(void)
{
	bool has_qemu = scratch_has("qemu-io") && !getenv("VD_LIFECYCLE_NO_QEMU");

	return count.dirty_views && count.dirty_cuts && count.children && count.thread_steps &&
	       count.clashes && count.resized && (!has_qemu || (count.qemu && count.qemu_replays));
}

static void test_lives(void **state)
{
	uint64_t seconds = number("VD_LIFECYCLE_SECONDS", 15), only, seed;
	struct timespec start, now;

	(void)state;
	only = number("VD_LIFECYCLE_SEED", 0);
	if (only) {
		live(only);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (seed = 1; seed <= N_FIXED; seed++)
		live(seed);
	if (getenv("VD_LIFECYCLE_SECONDS")) {
		clock_gettime(CLOCK_REALTIME, &now);
		seed = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	}
	print_message("seeds 1 to %d, and from %" PRIu64 " on\n", N_FIXED, seed);
	do {
		live(seed++);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (n_lives < N_FIXED + N_NEW || (uint64_t)(now.tv_sec - start.tv_sec) < seconds ||
		 (!has_all_happened() && n_lives < N_MOST));
}

static void test_what_happened(void **state)
{
	const struct {
		const char *what;
		uint64_t n;
	} rows[] = {
	    {"lives", n_lives},
	    {"reopenings", count.reopenings},
	    {"checks", count.checks},
	    {"extents of maps", count.extents},
	    {"copies of open images", count.views},
	    {"of them dirty", count.dirty_views},
	    {"states that cuts left", count.states},
	    {"images that went on after a cut", count.cuts},
	    {"of them dirty", count.dirty_cuts},
	    {"children", count.children},
	    {"of a dirty parent", count.dirty_children},
	    {"of another size", count.resized},
	    {"threads side by side", count.thread_steps},
	    {"clashes of threads", count.clashes},
	    {"turns of QEMU", count.qemu},
	    {"replays by QEMU", count.qemu_replays},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		print_message("%s%" PRIu64 " %s", i ? ", " : "", rows[i].n, rows[i].what);
	print_message("\ncount: lifecycle steps %" PRIu64 "\n", count.steps);
	if (!scratch_has("qemu-io"))
		print_message("QEMU isn't installed: it took no turns\n");
	if (number("VD_LIFECYCLE_SEED", 0))
		return;
	assert_true(has_all_happened());
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lives),
	    cmocka_unit_test(test_what_happened),
	};

	(void)argc;
	program = argv[0];
	return cmocka_run_group_tests_name("lifecycle", tests, NULL, NULL);
}
