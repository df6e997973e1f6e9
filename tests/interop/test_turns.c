/* SPDX-License-Identifier: MIT */
/*
 * QEMU and we take turns writing on one image, against a raw model: what one leaves, the other
 * finds. One image was made by us, one by QEMU. test-timeout: 240
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vdisk/disk.h>

#include "model.h"
#include "scratch.h"
#include "stamp.h"
#include "workload.h"

#define MIB      ((uint64_t)1 << 20)
#define N_ROUNDS 110
#define MAX_DATA (192u << 10)

static struct workload w;
static uint64_t n_qemu_writes, n_compared;

static void write_pattern(const char *path, uint64_t offset, size_t len, uint32_t generation)
{
	uint8_t *buf = malloc(len);
	FILE *file = fopen(path, "wb");

	assert_non_null(file);
	stamp_fill(buf, len, offset, generation, model_seed(w.model));
	assert_int_equal(fwrite(buf, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
	free(buf);
}

/* One process, several commands; it replays, writes, and closes the image. */
static void qemu_turn(const char *image)
{
	char command[6000];
	int n = snprintf(command, sizeof(command), "qemu-io -f vhdx");

	for (int i = 0; i < 5; i++) {
		const struct window *window = &w.windows[rnd_below(&w.random, w.n_windows)];
		uint64_t at = rnd_below(&w.random, window->len / STAMP_SECTOR) * STAMP_SECTOR;
		uint64_t len = (rnd_below(&w.random, MAX_DATA / 4096) + 1) * 4096;
		uint64_t dice = rnd_below(&w.random, 8);
		char name[32];

		if (rnd(&w.random) & 1)
			at &= ~(uint64_t)4095;
		if (len > window->len - at)
			len = window->len - at;
		at += window->offset;
		if (dice == 0) {
			n += snprintf(command + n, sizeof(command) - (size_t)n,
				      " -c 'write -z %" PRIu64 " %" PRIu64 "'", at, len);
			model_write(w.model, at, len, 0);
		} else {
			snprintf(name, sizeof(name), "turn-%d", i);
			write_pattern(scratch_path(name), at, (size_t)len, ++w.generation);
			n += snprintf(command + n, sizeof(command) - (size_t)n,
				      " -c 'write -s %s %" PRIu64 " %" PRIu64 "'",
				      scratch_path(name), at, len);
			model_write(w.model, at, len, w.generation);
		}
		if (dice == 1)
			n += snprintf(command + n, sizeof(command) - (size_t)n, " -c flush");
		n_qemu_writes++;
	}
	snprintf(command + n, sizeof(command) - (size_t)n, " '%s' >'%s' 2>&1 </dev/null", image,
		 scratch_path("qemu.out"));
	if (system(command) != 0 ||
	    scratch_run("! grep -qi -e fail -e error '%s'", scratch_path("qemu.out")) != 0) {
		(void)scratch_run("cat '%s' >&2", scratch_path("qemu.out"));
		fail_msg("QEMU refuses: %s", command);
	}
	model_flushed(w.model);
}

static void our_turn(int round)
{
	bool ok = workload_open(&w) && workload_check(&w);

	for (int i = 0; ok && i < 8; i++)
		ok = workload_step(&w);
	if (!ok || !workload_check(&w) || !workload_close(&w))
		fail_msg("round %d: %s", round, w.text);
}

static void compare_all(const char *image, int round)
{
	const char *raw = scratch_path("turns.raw");
	char text[800];

	if (scratch_run("qemu-img check -q -f vhdx '%s' >&2 && "
			"qemu-img convert -f vhdx -O raw '%s' '%s' >&2",
			image, image, raw) != 0)
		fail_msg("round %d: QEMU refuses what we left", round);
	if (!model_check_raw(w.model, MODEL_LIVE, raw, text, sizeof(text)))
		fail_msg("round %d: QEMU reads: %s", round, text);
	n_compared++;
}

static void print_finding(void *user, const struct vd_finding *finding)
{
	(void)user;
	if (finding->severity == VD_FINDING_ERROR)
		print_error("%s at 0x%" PRIx64 ": %s\n", finding->rule, finding->offset,
			    finding->found);
}

static void take_turns(const char *image, uint64_t size, const struct window *windows,
		       size_t n_windows)
{
	struct vd_error err = VD_ERROR_INIT;
	uint64_t n_errors = 0;
	struct vd_io *io = NULL;

	n_qemu_writes = n_compared = 0;
	w = (struct workload){.opts = VD_OPEN_OPTS_INIT,
			      .model = model_new(size, size),
			      .windows = windows,
			      .n_windows = n_windows,
			      .random = size};
	for (int round = 0; round < N_ROUNDS; round++) {
		if (round % 2) {
			qemu_turn(image);
		} else {
			if (vd_io_open_file(&io, image, VD_IO_WRITE, &err) < 0)
				fail_msg("%s", err.text);
			w.io = io;
			our_turn(round);
			vd_io_close(io);
		}
		if (round % 6 == 0)
			compare_all(image, round);
		if (round % 10 == 0 || round == N_ROUNDS - 1) {
			assert_int_equal(
			    vd_disk_check(image, NULL, print_finding, NULL, &n_errors, &err), 0);
			assert_int_equal(n_errors, 0);
		}
	}
	compare_all(image, N_ROUNDS);
	print_message("%d rounds, %" PRIu64 " writes by QEMU, %" PRIu64
		      " comparisons of the whole disk\n",
		      N_ROUNDS, n_qemu_writes, n_compared);
	model_free(w.model);
	workload_free_trace(&w);
	unlink(image);
}

static void skip_without_qemu(void)
{
	if (!scratch_has("qemu-io") || !scratch_has("qemu-img")) {
		print_message("qemu-utils isn't installed\n");
		skip();
	}
}

static void test_turns_on_our_image(void **state)
{
	static const struct window windows[] = {
	    {0, 3 * MIB}, {4095 * MIB, 3 * MIB}, {5119 * MIB, MIB + 512}};
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	const char *image = scratch_path("turns-ours.vhdx");
	struct vd_error err = VD_ERROR_INIT;

	(void)state;
	skip_without_qemu();
	create.virtual_size = 5120 * MIB + 512;
	create.block_size = (uint32_t)MIB;
	create.log_size = (uint32_t)MIB;
	unlink(image);
	if (vd_disk_create(image, &create, &err) < 0)
		fail_msg("%s", err.text);
	take_turns(image, create.virtual_size, windows, 3);
}

static void test_turns_on_qemus_image(void **state)
{
	static const struct window windows[] = {{0, 20 * MIB}};
	const char *image = scratch_path("turns-qemu.vhdx");

	(void)state;
	skip_without_qemu();
	unlink(image);
	assert_int_equal(
	    scratch_run("qemu-img create -q -f vhdx -o block_size=2M '%s' 20M >&2", image), 0);
	take_turns(image, 20 * MIB, windows, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_turns_on_our_image),
	    cmocka_unit_test(test_turns_on_qemus_image),
	};

	return cmocka_run_group_tests_name("turns with QEMU", tests, NULL, NULL);
}
