/* SPDX-License-Identifier: MIT */
/* The histogram of request times: what it tells of known times, that a window forgets, and that
 * threads lose nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>

#include "latency.h"

#define US UINT64_C(1000)
#define MS (1000 * US)
#define S  (1000 * MS)

static struct latency *fresh(void)
{
	return calloc(1, sizeof(struct latency));
}

static uint64_t quantile(struct latency *latency, uint64_t now, uint64_t window, unsigned of_1000)
{
	struct latency_sum sum;

	latency_recent(latency, now, window, &sum);
	return latency_quantile(&sum, of_1000);
}

/* Never less than the truth, and at most an eighth more. */
static void times_are_told_to_an_eighth(void **state)
{
	struct latency *latency;

	(void)state;
	for (uint64_t ns = 100; ns < 60 * S; ns += ns / 7 + 1) {
		uint64_t now = 100 * S, told;

		latency = fresh();
		latency_note(latency, now - ns, now);
		told = quantile(latency, now, S, 500);
		assert_true(told >= ns);
		assert_true(told <= ns + ns / 8 + 128);
		free(latency);
	}
}

static void quantiles_are_of_all_requests(void **state)
{
	struct latency *latency = fresh();
	uint64_t now = 50 * S;

	(void)state;
	assert_int_equal(quantile(latency, now, S, 990), 0);
	for (unsigned i = 0; i < 1000; i++) /* one in fifty is slow */
		latency_note(latency, now - (i % 50 ? 200 * US : 9 * MS), now);
	assert_in_range(quantile(latency, now, S, 500), 200 * US, 225 * US);
	assert_in_range(quantile(latency, now, S, 980), 200 * US, 225 * US);
	assert_in_range(quantile(latency, now, S, 990), 9 * MS, 10125 * US);
	/* Times without end, or that end before they begin. */
	latency_note(latency, 0, UINT64_MAX / 2);
	latency_note(latency, now + S, now);
	free(latency);
}

static void a_window_forgets(void **state)
{
	struct latency *latency = fresh();
	struct latency_sum sum, before;
	uint64_t now = 50 * S;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		latency_note(latency, now - 5 * MS, now);
	latency_all(latency, &before);
	now += 2 * S;
	for (unsigned i = 0; i < 10; i++)
		latency_note(latency, now - 100 * US, now);
	assert_in_range(quantile(latency, now, S, 990), 100 * US, 113 * US);
	assert_in_range(quantile(latency, now, 4 * S, 990), 5 * MS, 5625 * US);
	assert_int_equal(quantile(latency, now + 2 * S, S, 990), 0);
	/* Slices come again after twelve seconds: what is old doesn't count as new. */
	assert_int_equal(quantile(latency, now + 12 * S, 11 * S, 990), 0);
	latency_note(latency, now + 10 * S - 50 * MS, now + 10 * S);
	latency_recent(latency, now + 10 * S, 11 * S, &sum);
	assert_int_equal(sum.n_requests, 11);
	/* What came since. */
	latency_all(latency, &sum);
	assert_int_equal(sum.n_requests, 111);
	latency_since(&sum, &before);
	assert_int_equal(sum.n_requests, 11);
	assert_in_range(latency_quantile(&sum, 990), 50 * MS, 57 * MS);
	free(latency);
}

#define N_THREADS 4
#define N_EACH    50000u

static void *note_many(void *user)
{
	for (uint64_t i = 0; i < N_EACH; i++) /* over all slices, some of them at once */
		latency_note(user, 50 * S + i * MS / 5 - (i % 8) * US, 50 * S + i * MS / 5);
	return NULL;
}

static void threads_lose_nothing(void **state)
{
	struct latency *latency = fresh();
	pthread_t threads[N_THREADS];
	struct latency_sum sum;

	(void)state;
	for (int i = 0; i < N_THREADS; i++)
		pthread_create(&threads[i], NULL, note_many, latency);
	for (int i = 0; i < N_THREADS; i++) {
		latency_recent(latency, 55 * S, S, &sum);
		pthread_join(threads[i], NULL);
	}
	latency_all(latency, &sum);
	assert_int_equal(sum.n_requests, N_THREADS * N_EACH);
	free(latency);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(times_are_told_to_an_eighth),
	    cmocka_unit_test(quantiles_are_of_all_requests),
	    cmocka_unit_test(a_window_forgets),
	    cmocka_unit_test(threads_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
