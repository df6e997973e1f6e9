/* SPDX-License-Identifier: MIT */
/* What a compaction asks for and answers, there and back as JSON, and what others may send. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "compact_report.h"

static struct vd_error err;

static int read_params(const char *text, struct vd_compact_opts *opts)
{
	json_t *params = json_loads(text, JSON_DECODE_ANY, NULL);
	int rc;

	*opts = (struct vd_compact_opts)VD_COMPACT_OPTS_INIT;
	memset(&err, 0, sizeof(err));
	rc = compact_params_read(params, opts, &err);
	json_decref(params);
	return rc;
}

static void a_request_comes_back_as_it_was(void **state)
{
	struct vd_compact_opts opts = VD_COMPACT_OPTS_INIT, got = VD_COMPACT_OPTS_INIT;
	json_t *params;

	(void)state;
	opts.level = VD_COMPACT_DEFRAG;
	opts.flags = VD_COMPACT_ZERO_SCAN | VD_COMPACT_DRY_RUN;
	opts.max_rate = UINT64_C(1) << 40;
	opts.max_time_s = UINT32_MAX;
	opts.max_latency_us = INT64_MAX;
	params = compact_params_new(&opts);
	assert_int_equal(compact_params_read(params, &got, &err), 0);
	json_decref(params);
	assert_int_equal(got.level, opts.level);
	assert_int_equal(got.flags, opts.flags);
	assert_int_equal(got.max_rate, opts.max_rate);
	assert_int_equal(got.max_time_s, opts.max_time_s);
	assert_int_equal(got.max_latency_us, opts.max_latency_us);
}

static void nothing_asked_for_means_the_defaults(void **state)
{
	struct vd_compact_opts got;

	(void)state;
	assert_int_equal(read_params("{}", &got), 0);
	assert_int_equal(got.level, VD_COMPACT_PACK);
	assert_int_equal(got.flags, 0);
	assert_int_equal(read_params("7", &got), 0);
	assert_int_equal(got.level, VD_COMPACT_PACK);
}

static void wrong_requests_are_named(void **state)
{
	static const char *const wrong[][2] = {
	    {"{\"level\": \"squeeze\"}", "level"},
	    {"{\"level\": 2}", "level"},
	    {"{\"zero_scan\": 1}", "zero_scan"},
	    {"{\"dry_run\": \"yes\"}", "dry_run"},
	    {"{\"max_rate\": -1}", "max_rate"},
	    {"{\"max_rate\": 1.5}", "max_rate"},
	    {"{\"max_time\": 4294967296}", "max_time"},
	    {"{\"max_latency_us\": \"7\"}", "max_latency_us"},
	};
	struct vd_compact_opts got;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(read_params(wrong[i][0], &got), VD_EINVAL);
		assert_non_null(strstr(err.text, wrong[i][1]));
	}
}

static void free_space_is_never_taken_while_guests_write(void **state)
{
	struct vd_compact_opts got;

	(void)state;
	assert_int_equal(read_params("{\"free_space\": true}", &got), VD_EBUSY);
	assert_int_equal(read_params("{\"free_space\": false}", &got), 0);
	assert_int_equal(got.flags & VD_COMPACT_FREE_SPACE, 0);
}

static void a_result_comes_back_as_it_was(void **state)
{
	struct vd_compact_result result = {.size = sizeof(result)}, got;
	json_t *object = json_object();

	(void)state;
	result.file_before = 1;
	result.file_after = 2;
	result.allocated_before = UINT64_MAX; /* the host doesn't tell */
	result.n_moves = 77;
	result.shared_extents = INT64_MAX;
	result.is_complete = true;
	compact_report_put(object, &result);
	assert_true(json_is_null(json_object_get(object, "allocated_before")));
	compact_report_get(object, &got);
	json_decref(object);
	assert_int_equal(got.file_before, 1);
	assert_int_equal(got.file_after, 2);
	assert_true(got.allocated_before == UINT64_MAX);
	assert_int_equal(got.n_moves, 77);
	assert_int_equal(got.shared_extents, INT64_MAX);
	assert_true(got.is_complete);
}

static void a_result_of_nonsense_is_zero(void **state)
{
	struct vd_compact_result got;
	json_t *object = json_loads("{\"moves\": -3, \"file_after\": \"x\", \"punched\": [1], "
				    "\"complete\": 1}",
				    0, NULL);

	(void)state;
	compact_report_get(object, &got);
	json_decref(object);
	assert_int_equal(got.n_moves, 0);
	assert_int_equal(got.file_after, 0);
	assert_int_equal(got.punched, 0);
	assert_false(got.is_complete);
	compact_report_get(NULL, &got);
	assert_int_equal(got.file_before, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_request_comes_back_as_it_was),
	    cmocka_unit_test(nothing_asked_for_means_the_defaults),
	    cmocka_unit_test(wrong_requests_are_named),
	    cmocka_unit_test(free_space_is_never_taken_while_guests_write),
	    cmocka_unit_test(a_result_comes_back_as_it_was),
	    cmocka_unit_test(a_result_of_nonsense_is_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
