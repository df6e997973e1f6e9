/* SPDX-License-Identifier: MIT */
/*
 * Power cuts. Each life is a random workload that is recorded; at each moment of the recording,
 * files are built as a power cut may leave them, and each must pass the check, open, hold what was
 * flushed and nothing that was never written, in our read-only view, after our replay, after a cut
 * in the middle of the replay, and after QEMU's replay. VD_CRASH_STATES=N aims for N states.
 * test-timeout: 400
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>

#include "powercut.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

static const struct powercut_life lives[] = {
    {.name = "dynamic",
     .size = 7 * MIB + 1536,
     .windows = {{0, 7 * MIB + 1536}},
     .n_steps = 130,
     .is_for_qemu = true},
    {.name = "dynamic, two chunks",
     .size = 5 * GIB,
     .windows = {{0, 2 * MIB}, {511 * MIB, 2 * MIB}, {4095 * MIB, 2 * MIB}, {5 * GIB - MIB, MIB}},
     .n_steps = 110,
     .is_for_qemu = true},
    {.name = "dynamic, laps of the log",
     .size = 5 * GIB,
     .windows = {{0, MIB},
		 {600 * MIB, MIB},
		 {1200 * MIB, MIB},
		 {2300 * MIB, MIB},
		 {3300 * MIB, MIB},
		 {4200 * MIB, MIB}},
     .n_steps = 800,
     .flush_percent = 40,
     .discard_percent = 30,
     .max_write = 4096,
     .cache_bytes = 64 << 10,
     .min_laps = 2,
     .never_reopen = true,
     .is_for_qemu = true},
    {.name = "dynamic, 4096-byte sectors",
     .sector = 4096,
     .block = 2 << 20,
     .size = 9 * MIB,
     .windows = {{0, 9 * MIB}},
     .n_steps = 110},
    {.name = "fixed",
     .type = VD_TYPE_FIXED,
     .size = 6 * MIB,
     .windows = {{0, 6 * MIB}},
     .n_steps = 90,
     .is_for_qemu = true},
    {.name = "differencing",
     .type = VD_TYPE_DIFFERENCING,
     .size = 6 * MIB + 512,
     .windows = {{0, 6 * MIB + 512}},
     .n_steps = 130},
    {.name = "differencing, two chunks",
     .type = VD_TYPE_DIFFERENCING,
     .block = 2 << 20,
     .size = 5 * GIB,
     .windows = {{0, 3 * MIB}, {4094 * MIB, 4 * MIB}},
     .n_steps = 120},
    {.name = "differencing, 4096-byte sectors",
     .type = VD_TYPE_DIFFERENCING,
     .sector = 4096,
     .size = 6 * MIB,
     .windows = {{0, 6 * MIB}},
     .n_steps = 110},
    {.name = "differencing, laps of the log",
     .type = VD_TYPE_DIFFERENCING,
     .size = 5 * GIB,
     .windows =
	 {{0, MIB}, {700 * MIB, MIB}, {1500 * MIB, MIB}, {2500 * MIB, MIB}, {4200 * MIB, MIB}},
     .n_steps = 700,
     .flush_percent = 40,
     .discard_percent = 35,
     .max_write = 4096,
     .cache_bytes = 64 << 10,
     .min_laps = 1,
     .never_reopen = true},
    {.name = "dynamic, a host without holes",
     .size = 5 * MIB,
     .windows = {{0, 5 * MIB}},
     .n_steps = 90,
     .discard_percent = 30,
     .is_for_qemu = true,
     .cant_punch = true},
    {.name = "dynamic, four threads",
     .size = 5 * GIB,
     .windows = {{0, MIB}, {700 * MIB, 2 * MIB}, {2300 * MIB, MIB}, {4200 * MIB, 4 * MIB}},
     .flush_percent = 35,
     .max_write = 16384,
     .is_for_qemu = true,
     .has_threads = true},
    {.name = "differencing, four threads",
     .type = VD_TYPE_DIFFERENCING,
     .size = 5 * GIB,
     .windows = {{0, MIB}, {700 * MIB, 2 * MIB}, {2300 * MIB, MIB}, {4200 * MIB, 4 * MIB}},
     .flush_percent = 35,
     .max_write = 16384,
     .has_threads = true},
};
#define N_LIVES (sizeof(lives) / sizeof(lives[0]))

static struct scene_count count;

static uint64_t n_states_in_all(void)
{
	return powercut_n_states(5000);
}

static bool run_steps(struct powercut *cut)
{
	struct powercut_threads threads = {.n = 4, .n_steps = 40};
	bool ok = true;

	if (cut->life->has_threads) {
		powercut_start_threads(&threads, cut);
		return powercut_join_threads(&threads, cut);
	}
	for (unsigned i = 0; ok && i < cut->life->n_steps; i++)
		ok = workload_step(&cut->w);
	return ok;
}

static void test_life(void **state)
{
	const struct powercut_life *life = *state;
	uint64_t number = (uint64_t)(life - lives);
	struct powercut cut;

	powercut_begin(&cut, life, number + 1);
	powercut_make_parent(&cut, 40);
	powercut_make_image(&cut);
	powercut_record(&cut, number + 1000);
	powercut_stop(&cut, run_steps(&cut));
	powercut_walk(&cut, powercut_share(n_states_in_all(), N_LIVES), &count);
	powercut_end(&cut);
}

static void test_enough_states(void **state)
{
	(void)state;
	powercut_count(&count, "power cuts", n_states_in_all(), 200);
	print_message("count: power cuts during a replay %" PRIu64 "\n", count.nested);
}

int main(int argc, char **argv)
{
	return powercut_main("crash", lives, N_LIVES, test_life, test_enough_states, argc, argv);
}
