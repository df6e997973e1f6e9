/* SPDX-License-Identifier: MIT */
/*
 * A replay in memory shows what a replay on disk leaves: random logs against a model. And logs
 * that were made to cost much.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fault.h"
#include "stamp.h"
#include "vhdxlog.h"

static uint8_t byte_at(const struct image *image, uint64_t off)
{
	uint8_t byte;

	store_read(image->store, &byte, 1, off);
	return byte;
}

static void zeros_of_terabytes_take_no_time(void **state)
{
	const struct gen_desc descs[] = {
	    {.is_zero = true, .off = TARGET, .len = (uint64_t)100 << 40}};
	struct image image;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_io *view;
	uint8_t bytes[16];

	(void)state;
	image_make(&image, 1 << 20);
	image_add(&image, &(struct gen_entry){.seq = 3, .descs = descs, .n_descs = 1});
	view = image_view(&image);
	assert_int_equal(vd_io_read(view, bytes, sizeof(bytes), TARGET, &err), 0);
	assert_int_equal(bytes[15], 0);
	vd_io_close(view);
	image_apply(&image);
	assert_int_equal(byte_at(&image, TARGET), 0);
	assert_int_equal(store_length(image.store), 8 * GEN_MIB);
	image_drop(&image);
}

/* A random log, and the file as it should be afterwards. */
#define AREA     (2 * GEN_MIB) /* from TARGET on */
#define N_RANDOM 8
struct random_log {
	struct gen_desc descs[N_RANDOM][12];
	struct gen_entry entries[N_RANDOM];
	uint32_t n, tail;
};

static void fill_entry(struct random_log *log, uint32_t i, uint64_t *random)
{
	struct gen_entry *entry = &log->entries[i];

	entry->n_descs = (uint32_t)rnd_below(random, 12);
	entry->descs = log->descs[i];
	for (uint32_t d = 0; d < entry->n_descs; d++) {
		uint64_t page = rnd_below(random, 64), most = AREA / 4096 - page;

		log->descs[i][d] = (struct gen_desc){
		    .is_zero = rnd_below(random, 3) == 0,
		    .off = TARGET + page * 4096,
		    .len = rnd_below(random, most < 40 ? most : 40) * 4096,
		    .fill = (uint8_t)rnd(random),
		};
	}
}

static void random_log(struct image *image, struct random_log *log, uint64_t *random)
{
	uint32_t at = (uint32_t)rnd_below(random, 256) * 4096;
	uint64_t seq = 1000 + rnd_below(random, 1000);

	/* What earlier laps left. */
	for (int i = 0; i < 20; i++) {
		uint32_t where = (uint32_t)rnd_below(random, 256) * 4096;

		fill_entry(log, 0, random);
		log->entries[0].at = where;
		log->entries[0].tail = where;
		log->entries[0].seq = 1 + rnd_below(random, 900);
		image_add(image, &log->entries[0]);
	}
	log->n = 1 + (uint32_t)rnd_below(random, N_RANDOM);
	log->tail = (uint32_t)rnd_below(random, log->n);
	for (uint32_t i = 0; i < log->n; i++) {
		memset(&log->entries[i], 0, sizeof(log->entries[i]));
		fill_entry(log, i, random);
		log->entries[i].at = at;
		log->entries[i].seq = seq + i;
		log->entries[i].tail = log->entries[i < log->tail ? i : log->tail].at;
		image_add(image, &log->entries[i]);
		at = (uint32_t)((at + gen_entry_size(&log->entries[i])) % (1 << 20));
	}
}

static void model_of(const struct random_log *log, uint8_t *area)
{
	for (uint32_t i = log->tail; i < log->n; i++)
		for (uint32_t d = 0; d < log->entries[i].n_descs; d++) {
			const struct gen_desc *desc = &log->descs[i][d];

			memset(area + (desc->off - TARGET), desc->is_zero ? 0 : desc->fill,
			       desc->is_zero ? desc->len : 4096);
		}
}

/* Random reads of a view, and what next_data says of it, against the model. */
static void check_view(struct vd_io *view, const uint8_t *area, uint64_t *random)
{
	static uint8_t bytes[AREA];
	struct vd_error err = VD_ERROR_INIT;
	uint64_t start, end;

	assert_int_equal(vd_io_read(view, bytes, AREA, TARGET, &err), 0);
	assert_memory_equal(bytes, area, AREA);
	for (int i = 0; i < 20; i++) {
		uint64_t off = rnd_below(random, AREA);
		size_t len = (size_t)rnd_below(random, AREA - off < 20000 ? AREA - off : 20000);

		assert_int_equal(vd_io_read(view, bytes, len, TARGET + off, &err), 0);
		assert_memory_equal(bytes, area + off, len);
	}
	for (uint64_t at = 0; at < AREA; at = end) {
		assert_int_equal(
		    vd_io_next_data(view, TARGET + at, TARGET + AREA, &start, &end, &err), 0);
		start -= TARGET;
		end -= TARGET;
		for (uint64_t i = at; i < start; i++)
			assert_int_equal(area[i], 0);
		assert_true(end > at);
	}
}

static void view_and_apply_show_what_a_model_says(void **state)
{
	static uint8_t area[AREA], bytes[AREA];
	uint64_t random = 20240423;

	(void)state;
	for (int round = 0; round < 150; round++) {
		struct random_log log;
		struct image image;
		struct vd_io *view;
		uint64_t hash;

		memset(&log, 0, sizeof(log));
		image_make(&image, 1 << 20);
		random_log(&image, &log, &random);
		memset(area, 0xee, sizeof(area));
		model_of(&log, area);
		hash = store_hash(image.store);
		view = image_view(&image);
		check_view(view, area, &random);
		vd_io_close(view);
		assert_true(store_hash(image.store) == hash);

		assert_true(image_apply(&image) == log.entries[log.n - 1].seq);
		store_read(image.store, bytes, sizeof(bytes), TARGET);
		assert_memory_equal(bytes, area, sizeof(bytes));
		/* Doing it again changes nothing. */
		hash = store_hash(image.store);
		image_apply(&image);
		assert_true(store_hash(image.store) == hash);
		image_drop(&image);
	}
}

static void view_is_read_only(void **state)
{
	struct image image;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_io *view;

	(void)state;
	image_make(&image, 1 << 20);
	image_add(&image, &(struct gen_entry){.seq = 3, .last_off = 9 * GEN_MIB});
	view = image_view(&image);
	assert_false(vd_io_is_writable(view));
	assert_int_equal(vd_io_write(view, "x", 1, TARGET, &err), VD_EROFS);
	assert_int_equal(vd_io_descriptor(view), -1);
	/* It is as long as the file would be, and keeps the store by itself. */
	vd_io_close(image.io);
	{
		uint64_t len;
		uint8_t byte = 1;

		assert_int_equal(vd_io_length(view, &len, &err), 0);
		assert_int_equal(len, 9 * GEN_MIB);
		assert_int_equal(vd_io_read(view, &byte, 1, 9 * GEN_MIB - 1, &err), 0);
		assert_int_equal(byte, 0);
		assert_int_equal(vd_io_read(view, &byte, 1, TARGET, &err), 0);
		assert_int_equal(byte, 0xee);
	}
	vd_io_close(view);
	store_free(image.store);
}

/* Whatever stands in a log, looking through it reads it about once. */
static void assert_linear(struct image *image)
{
	struct vhdx_replay *replay;
	struct vd_io_stats before, after;
	struct vd_error err = VD_ERROR_INIT;

	vd_io_get_stats(image->io, &before);
	assert_int_equal(vhdx_replay_scan(&replay, image->io, &image->header, &err), VD_ECORRUPT);
	vd_io_get_stats(image->io, &after);
	assert_true(after.bytes_read - before.bytes_read <= (uint64_t)3 * image->header.log_len);
}

static void fake_entries_cost_little(void **state)
{
	const uint32_t log_len = 16 << 20, last = log_len - 8192, elsewhere = log_len - 4096;
	struct image image;

	(void)state;
	/* Each sector claims to begin an entry as long as the log. */
	image_make(&image, log_len);
	for (uint32_t at = 0; at < log_len; at += 4096) {
		static const uint8_t claim[4] = {0, 0, 0, 1};

		image_add(&image, &(struct gen_entry){.at = at, .tail = at, .seq = 1 + at});
		store_write(image.store, claim, sizeof(claim), image.header.log_off + at + 8);
	}
	assert_linear(&image);
	/* One chain through all of it; the Tail of its head leads out of it. */
	for (uint32_t at = 0; at <= last; at += 4096)
		image_add(&image, &(struct gen_entry){.at = at,
						      .tail = at == last ? elsewhere : at,
						      .seq = 1 + at / 4096});
	assert_linear(&image);
	image_drop(&image);
}

/* Zero descriptors take 32 bytes of log each; of memory they get no more than their share. */
static void too_many_zeros_are_refused(void **state)
{
	enum { N = 80000 };
	static uint8_t full[4 * 4096];
	struct vd_error err = VD_ERROR_INIT;
	struct vhdx_replay *replay;
	struct gen_desc *descs = calloc(N, sizeof(*descs));
	struct image image;

	(void)state;
	for (uint64_t i = 0; i < N; i++)
		descs[i] =
		    (struct gen_desc){.is_zero = true, .off = 32 * GEN_MIB + i * 8192, .len = 4096};
	image_make(&image, 4 << 20);
	memset(full, 0xee, sizeof(full));
	store_write(image.store, full, sizeof(full), 32 * GEN_MIB);
	image_add(&image, &(struct gen_entry){.seq = 1, .descs = descs, .n_descs = N});
	assert_int_equal(vhdx_replay_scan(&replay, image.io, &image.header, &err), VD_EUNSUPPORTED);
	assert_non_null(strstr(err.text, "the log zeroes more than"));
	image_add(&image, &(struct gen_entry){.seq = 1, .descs = descs, .n_descs = 60000});
	image_apply(&image);
	assert_int_equal(byte_at(&image, 32 * GEN_MIB + 4095), 0);
	assert_int_equal(byte_at(&image, 32 * GEN_MIB + 4096), 0xee);
	assert_int_equal(byte_at(&image, 32 * GEN_MIB + 8192), 0);
	image_drop(&image);
	free(descs);
}

/* Each read, write, sync may fail: an error comes back, nothing leaks, and the next try works. */
static void failing_calls_are_told(void **state)
{
	const struct gen_desc descs[] = {{.off = TARGET, .fill = 1},
					 {.is_zero = true, .off = TARGET + 8192, .len = 4096}};
	static const enum fault_call calls[] = {FAULT_READ, FAULT_WRITE, FAULT_SYNC,
						FAULT_TRUNCATE};

	(void)state;
	for (size_t c = 0; c < sizeof(calls) / sizeof(calls[0]); c++)
		for (uint64_t nth = 1;; nth++) {
			struct fault fault = {0};
			struct image image;
			struct vhdx_replay *replay;
			struct vd_error err = VD_ERROR_INIT;
			struct vd_io *io;
			int rc;

			image_make(&image, 1 << 20);
			image_add(&image, &(struct gen_entry){.seq = 3,
							      .last_off = 9 * GEN_MIB,
							      .descs = descs,
							      .n_descs = 2});
			fault.store = image.store;
			io = fault_io(&fault);
			fault_arm(&fault, calls[c], nth, 5);
			rc = vhdx_replay_scan(&replay, io, &image.header, &err);
			if (!rc) {
				rc = vhdx_replay_apply(replay, io, &err);
				vhdx_replay_free(replay);
			}
			assert_int_equal(rc, fault.n_hit ? VD_EIO : 0);
			vd_io_close(io);
			image_apply(&image);
			assert_int_equal(byte_at(&image, TARGET + 4095), 1);
			assert_int_equal(byte_at(&image, TARGET + 8192), 0);
			image_drop(&image);
			if (fault.n_hit)
				continue;
			/* Each of them is called at least once. */
			assert_true(nth > 1);
			break;
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(zeros_of_terabytes_take_no_time),
	    cmocka_unit_test(view_and_apply_show_what_a_model_says),
	    cmocka_unit_test(view_is_read_only),
	    cmocka_unit_test(fake_entries_cost_little),
	    cmocka_unit_test(too_many_zeros_are_refused),
	    cmocka_unit_test(failing_calls_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
