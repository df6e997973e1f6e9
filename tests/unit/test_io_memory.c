/* SPDX-License-Identifier: MIT */
/* The sparse store in memory, and windows into a store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <vdisk/sys/io.h>

#include "base/checked.h"

#define MAX_SIZE ((size_t)1 << 21)
#define PAGE     4096

static uint8_t flat[MAX_SIZE];
static bool is_written[MAX_SIZE / PAGE];
static uint64_t flat_length;
static struct vd_error err;

static uint64_t seed = 99;
static uint64_t dice(uint64_t sides)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (seed >> 33) % sides;
}

static void model_zero(uint64_t start, uint64_t end)
{
	memset(flat + start, 0, (size_t)(end - start));
	for (uint64_t page = vd_div_up(start, PAGE); (page + 1) * PAGE <= end; page++)
		is_written[page] = false;
}

/* What next_data says is exactly the pages that were written and not freed. */
static void check_holes(struct vd_io *io, uint64_t base)
{
	uint64_t at = 0, start, end, n_pages = 0, used;

	while (at < flat_length) {
		assert_int_equal(
		    vd_io_next_data(io, base + at, base + flat_length, &start, &end, &err), 0);
		for (uint64_t i = at; i < start - base; i += PAGE)
			assert_false(is_written[i / PAGE]);
		for (uint64_t i = start - base; i < end - base; i += PAGE) {
			assert_true(is_written[i / PAGE]);
			n_pages++;
		}
		if (start == end)
			break;
		at = end - base;
	}
	assert_int_equal(vd_io_allocated(io, &used, &err), 0);
	assert_int_equal(used, n_pages * PAGE);
}

static void one_step(struct vd_io *io, uint64_t base, uint8_t *buf)
{
	uint64_t offset = dice(3) ? dice(MAX_SIZE) : dice(MAX_SIZE / PAGE) * PAGE;
	size_t len = (size_t)vd_min64(dice(20) ? dice(20000) : dice(MAX_SIZE), MAX_SIZE - offset);

	switch (dice(8)) {
	case 0:
		assert_int_equal(vd_io_truncate(io, base + offset, &err), 0);
		if (offset < flat_length)
			model_zero(offset, vd_align_up(flat_length, PAGE));
		flat_length = offset;
		break;
	case 1:
	case 2:
		len = (size_t)vd_min64(len, flat_length > offset ? flat_length - offset : 0);
		assert_int_equal(vd_io_punch(io, base + (len ? offset : 0), len, &err), 0);
		if (len)
			model_zero(offset, offset + len);
		break;
	case 3:
	case 4:
	case 5:
		for (size_t i = 0; i < len; i++)
			buf[i] = (uint8_t)dice(256);
		assert_int_equal(vd_io_write(io, buf, len, base + offset, &err), 0);
		memcpy(flat + offset, buf, len);
		if (len) {
			flat_length = vd_max64(flat_length, offset + len);
			for (uint64_t i = offset / PAGE; i <= (offset + len - 1) / PAGE; i++)
				is_written[i] = true;
		}
		break;
	default:
		memset(buf, 0xee, len);
		assert_int_equal(vd_io_read(io, buf, len, base + offset, &err), 0);
		assert_memory_equal(buf, flat + offset, len);
	}
}

static void random_steps(uint64_t base)
{
	uint8_t *buf = malloc(MAX_SIZE);
	struct vd_io *io;
	uint64_t length;

	assert_int_equal(vd_io_open_memory(&io, base, &err), 0);
	memset(flat, 0, sizeof(flat));
	memset(is_written, 0, sizeof(is_written));
	flat_length = 0;
	for (int i = 0; i < 3000; i++) {
		one_step(io, base, buf);
		assert_int_equal(vd_io_length(io, &length, &err), 0);
		assert_int_equal(length, base + flat_length);
		if (i % 50 == 0)
			check_holes(io, base);
	}
	assert_int_equal(vd_io_read(io, buf, MAX_SIZE, base, &err), 0);
	assert_memory_equal(buf, flat, MAX_SIZE);
	vd_io_close(io);
	free(buf);
}

static void memory_behaves_like_an_array(void **state)
{
	(void)state;
	random_steps(0);
}

static void memory_behaves_like_an_array_far_out(void **state)
{
	(void)state;
	random_steps(64 * VD_TIB - VD_MIB);
	random_steps(INT64_MAX / PAGE * PAGE - 2 * MAX_SIZE);
}

static void length_costs_nothing(void **state)
{
	uint64_t start, end, used;
	struct vd_io *io;
	char got[3] = "xy";

	(void)state;
	assert_int_equal(vd_io_open_memory(&io, 64 * VD_TIB, &err), 0);
	assert_int_equal(vd_io_next_data(io, 0, UINT64_MAX, &start, &end, &err), 0);
	assert_true(start == UINT64_MAX && end == UINT64_MAX);
	assert_int_equal(vd_io_write(io, "A", 1, 40 * VD_TIB + 5, &err), 0);
	assert_int_equal(vd_io_allocated(io, &used, &err), 0);
	assert_int_equal(used, PAGE);
	assert_int_equal(vd_io_next_data(io, 1, 64 * VD_TIB, &start, &end, &err), 0);
	assert_true(start == 40 * VD_TIB && end == 40 * VD_TIB + PAGE);
	assert_int_equal(vd_io_read(io, got, 2, 40 * VD_TIB + 5, &err), 0);
	assert_string_equal(got, "A");
	assert_int_equal(vd_io_punch(io, 0, 64 * VD_TIB, &err), 0);
	assert_int_equal(vd_io_allocated(io, &used, &err), 0);
	assert_int_equal(used, 0);
	assert_int_equal(vd_io_open_memory(&io, UINT64_MAX, &err), VD_EINVAL);
	vd_io_close(io);
}

static void a_window_shows_its_part_and_no_more(void **state)
{
	struct vd_io *io, *w, *inner;
	uint64_t length, start, end;
	char got[11] = "";

	(void)state;
	assert_int_equal(vd_io_open_memory(&io, 100000, &err), 0);
	assert_int_equal(vd_io_write(io, "0123456789", 10, 5000, &err), 0);
	assert_int_equal(vd_io_open_window(&w, io, 5002, 5, &err), 0);
	vd_io_close(io); /* the window keeps its own */
	memset(got, 'x', 10);
	assert_int_equal(vd_io_read(w, got, 10, 1, &err), 0);
	assert_memory_equal(got, "3456\0\0\0\0\0\0", 10);
	memset(got, 'x', 10);
	assert_int_equal(vd_io_read(w, got, 10, UINT64_MAX - 3, &err), 0);
	assert_memory_equal(got, "\0\0\0\0\0\0\0\0\0\0", 10);
	assert_int_equal(vd_io_length(w, &length, &err), 0);
	assert_int_equal(length, 5);
	assert_int_equal(vd_io_write(w, "abcdef", 6, 0, &err), VD_ERANGE);
	assert_int_equal(vd_io_write(w, "f", 1, 5, &err), VD_ERANGE);
	assert_int_equal(vd_io_write(w, "e", 1, 4, &err), 0);
	assert_int_equal(vd_io_read(io, got, 10, 5000, &err), 0);
	assert_memory_equal(got, "012345e789", 10);
	assert_int_equal(vd_io_zero(w, 0, 6, VD_IO_ZERO_KEEP, &err), VD_ERANGE);
	assert_int_equal(vd_io_zero(w, 0, 2, VD_IO_ZERO_KEEP, &err), 0);
	assert_int_equal(vd_io_truncate(w, 6, &err), VD_EUNSUPPORTED);
	assert_int_equal(vd_io_truncate(w, 5, &err), 0);
	assert_int_equal(vd_io_allocate(w, 0, 6, &err), VD_ERANGE);
	assert_int_equal(vd_io_next_data(w, 0, 100, &start, &end, &err), 0);
	assert_true(start == 0 && end == 5);
	assert_int_equal(vd_io_next_data(w, 5, 100, &start, &end, &err), 0);
	assert_true(start == 100 && end == 100);
	assert_int_equal(vd_io_open_window(&inner, w, 3, 3, &err), VD_ERANGE);
	assert_int_equal(vd_io_open_window(&inner, w, UINT64_MAX, 3, &err), VD_EINVAL);
	assert_int_equal(vd_io_open_window(&inner, w, 3, 2, &err), 0);
	assert_int_equal(vd_io_read(inner, got, 10, 0, &err), 0);
	assert_memory_equal(got, "5e\0\0\0\0\0\0\0\0", 10);
	assert_int_equal(vd_io_copy(inner, 0, w, 0, 2, NULL, &err), 0);
	assert_int_equal(vd_io_copy(inner, 0, w, 4, 1, NULL, &err), 0);
	assert_int_equal(vd_io_copy(inner, 0, w, 3, 1, NULL, &err), VD_EINVAL); /* the same */
	assert_int_equal(vd_io_read(w, got, 5, 0, &err), 0);
	assert_memory_equal(got, "5e455", 5);
	vd_io_close(w);
	vd_io_close(inner);
}

/* Thousands of crash states are made of such stores. */
static void opening_and_closing_is_cheap(void **state)
{
	struct timespec from, to;
	struct vd_io *io;
	double us;

	(void)state;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	for (int i = 0; i < 10000; i++) {
		assert_int_equal(vd_io_open_memory(&io, 64 * VD_TIB, &err), 0);
		assert_int_equal(vd_io_write(io, "x", 1, VD_MIB, &err), 0);
		vd_io_close(io);
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	us = ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) / 1e7;
	print_message("%.2f us each\n", us);
	assert_true(us < 200); /* also under sanitizers on a slow machine */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(memory_behaves_like_an_array),
	    cmocka_unit_test(memory_behaves_like_an_array_far_out),
	    cmocka_unit_test(length_costs_nothing),
	    cmocka_unit_test(a_window_shows_its_part_and_no_more),
	    cmocka_unit_test(opening_and_closing_is_cheap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
