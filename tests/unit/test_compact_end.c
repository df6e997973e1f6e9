/* SPDX-License-Identifier: MIT */
/* A compaction that is stopped, limited, held up or refused: how far it gets, and that the next one
 * gets as far as one that was left alone. */
#include "compact_rig.h"

/* Stops when it is asked to: at which call. */
struct stop {
	uint64_t n, at;
	const char *phase;
};

static int count_calls(void *user, const struct vd_compact_progress *progress)
{
	struct stop *stop = user;

	assert_true(progress->done <= progress->total);
	stop->phase = progress->phase;
	return ++stop->n == stop->at;
}

static void stopped_anywhere_and_run_again_it_gets_as_far(void **state)
{
	struct vd_compact_opts opts = VD_COMPACT_OPTS_INIT;
	struct vd_compact_result result;
	struct stop stop = {0, 0, NULL};
	struct image image;
	uint64_t length;

	(void)state;
	opts.flags = VD_COMPACT_ZERO_SCAN;
	opts.progress = count_calls;
	opts.user = &stop;
	make_used(&image);
	must(vd_compact(image.disk, &opts, NULL, &err));
	length = store_length(image.store);
	drop_image(&image);
	assert_true(stop.n > 20);
	for (uint64_t at = 1; at <= stop.n; at += stop.n / 6) {
		struct stop here = {0, at, NULL};

		make_used(&image);
		opts.user = &here;
		result = (struct vd_compact_result){.size = sizeof(result)};
		assert_int_equal(vd_compact(image.disk, &opts, &result, &err), VD_ECANCELED);
		assert_int_equal(here.n, at);
		assert_false(result.is_complete);
		assert_int_equal(result.file_after, store_length(image.store));
		close_image(&image);
		open_image(&image);
		result = compact(&image, VD_COMPACT_PACK, VD_COMPACT_ZERO_SCAN);
		assert_true(result.is_complete);
		assert_int_equal(store_length(image.store), length);
		drop_image(&image);
	}
}

/* The clock of a test is slow: a rate that would take hours, a second in which to stop. */
static void a_rate_and_a_limit_of_time_are_kept(void **state)
{
	struct vd_compact_opts opts = VD_COMPACT_OPTS_INIT;
	struct vd_compact_result result = {.size = sizeof(result)};
	struct image image;

	(void)state;
	make_used(&image);
	opts.max_rate = 1000;
	opts.max_time_s = 1;
	assert_int_equal(vd_compact(image.disk, &opts, &result, &err), VD_ETIMEDOUT);
	assert_true(err.text[0] != '\0');
	assert_int_equal(result.n_moves, 1);
	assert_int_equal(result.bytes_copied, MIB);
	assert_false(result.is_complete);
	opts.max_rate = 0;
	opts.max_time_s = 0;
	must(vd_compact(image.disk, &opts, &result, &err));
	assert_true(result.is_complete);
	drop_image(&image);
}

static uint64_t slow_guest(void *user)
{
	unsigned *n = user;

	return ++*n < 5 ? 9000 : 10;
}

static void it_waits_while_the_guest_is_slow(void **state)
{
	struct vd_compact_opts opts = VD_COMPACT_OPTS_INIT;
	struct image image;
	unsigned n = 0;

	(void)state;
	make_used(&image);
	opts.latency_us = slow_guest;
	opts.max_latency_us = 1000;
	opts.busy_percent = 90;
	opts.user = &n;
	must(vd_compact(image.disk, &opts, NULL, &err));
	assert_true(n > 5);
	drop_image(&image);
}

static uint64_t always_slow(void *user)
{
	++*(unsigned *)user;
	return 1001;
}

/* Slow for other reasons: a step each second, so that it ends. The limit of time ends this one. */
static void a_guest_that_is_always_slow_gets_a_step_a_second(void **state)
{
	struct vd_compact_opts opts = VD_COMPACT_OPTS_INIT;
	struct vd_compact_result result = {.size = sizeof(result)};
	struct image image;
	unsigned n = 0;

	(void)state;
	make_used(&image);
	opts.latency_us = always_slow;
	opts.max_latency_us = 1000;
	opts.max_time_s = 3;
	opts.user = &n;
	assert_int_equal(vd_compact(image.disk, &opts, &result, &err), VD_ETIMEDOUT);
	/* Two steps of looking what can go without moving come first. */
	assert_in_range(result.n_moves, 1, 3);
	/* Most of the three seconds, each ten milliseconds a question; on a busy machine fewer. */
	assert_in_range(result.waited_ns, UINT64_C(1000000000), UINT64_C(6000000000));
	assert_in_range(n, 20, 320);
	/* At the limit isn't over it. */
	opts.max_latency_us = 1001;
	must(vd_compact(image.disk, &opts, &result, &err));
	assert_int_equal(result.waited_ns, 0);
	assert_true(result.is_complete);
	drop_image(&image);
}

/* A child in the same folder would read zeros where it reads old data now. */
static void free_space_is_left_alone_where_a_child_is_known(void **state)
{
	struct model *model = model_new(CHILD, 5);
	const char *parent = make_parent(model), *child = scratch_path("known.vhdx");
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_open_opts open = VD_OPEN_OPTS_INIT;
	struct vd_compact_opts opts = VD_COMPACT_OPTS_INIT;
	struct vd_disk *disk = NULL;

	(void)state;
	unlink(child);
	create.type = VD_TYPE_DIFFERENCING;
	create.parent = parent;
	must(vd_disk_create(child, &create, &err));
	open.flags = VD_OPEN_WRITE;
	must(vd_disk_open(&disk, parent, &open, &err));
	opts.flags = VD_COMPACT_FREE_SPACE;
	assert_int_equal(vd_compact(disk, &opts, NULL, &err), VD_EDENIED);
	assert_true(strstr(err.text, "known.vhdx") != NULL);
	opts.flags = 0;
	must(vd_compact(disk, &opts, NULL, &err));
	must(vd_disk_close(disk, &err));
	/* The child still has its parent. */
	open.flags = 0;
	must(vd_disk_open(&disk, child, &open, &err));
	must(vd_disk_close(disk, &err));
	unlink(child);
	model_free(model);
}

static void what_makes_no_sense_is_refused(void **state)
{
	struct vd_compact_opts opts = VD_COMPACT_OPTS_INIT;
	struct store *raw = store_new(NULL);
	struct vd_io *io;
	struct vd_disk *disk;
	struct image image;

	(void)state;
	make_used(&image);
	opts.level = (enum vd_compact_level)9;
	assert_int_equal(vd_compact(image.disk, &opts, NULL, &err), VD_EINVAL);
	opts = (struct vd_compact_opts)VD_COMPACT_OPTS_INIT;
	opts.flags = 0x80;
	assert_int_equal(vd_compact(image.disk, &opts, NULL, &err), VD_EINVAL);
	opts = (struct vd_compact_opts)VD_COMPACT_OPTS_INIT;
	opts.busy_percent = 101;
	assert_int_equal(vd_compact(image.disk, &opts, NULL, &err), VD_EINVAL);
	opts.size = 5;
	assert_int_equal(vd_compact(image.disk, &opts, NULL, &err), VD_EINVAL);
	drop_image(&image);
	store_truncate(raw, MIB);
	io = store_io(raw, true);
	disk = scratch_open_io(io, VD_OPEN_WRITE);
	assert_int_equal(vd_compact(disk, NULL, NULL, &err), VD_EUNSUPPORTED);
	must(vd_disk_close(disk, &err));
	vd_io_close(io);
	store_free(raw);
}

static void who_may_only_read_may_only_look(void **state)
{
	struct image image;
	struct vd_disk *disk;
	struct vd_io *io;

	(void)state;
	make_used(&image);
	close_image(&image);
	io = store_io(image.store, false);
	disk = scratch_open_io(io, 0);
	assert_int_equal(vd_compact(disk, NULL, NULL, &err), VD_EROFS);
	must(vd_disk_close(disk, &err));
	vd_io_close(io);
	model_free(image.model);
	store_free(image.store);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(stopped_anywhere_and_run_again_it_gets_as_far),
	    cmocka_unit_test(a_rate_and_a_limit_of_time_are_kept),
	    cmocka_unit_test(it_waits_while_the_guest_is_slow),
	    cmocka_unit_test(a_guest_that_is_always_slow_gets_a_step_a_second),
	    cmocka_unit_test(free_space_is_left_alone_where_a_child_is_known),
	    cmocka_unit_test(what_makes_no_sense_is_refused),
	    cmocka_unit_test(who_may_only_read_may_only_look),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
