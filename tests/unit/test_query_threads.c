/* SPDX-License-Identifier: MIT */
/* One query, asked by many threads at once; others are parsed meanwhile. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <vdisk/query.h>

#define N_THREADS 6
#define N_ROUNDS  400

static const char text[] = "title:*server* package:openssl<3.1 cve.open{severity>=high} "
			   "patched<now-1d (file:etc/* OR nothing) NOT expires<now";

static struct vd_query *query;
static pthread_barrier_t start;
static _Atomic int n_wrong;

static int has_file(void *user, const struct vd_query_node *node, char *path, size_t size,
		    struct vd_error *err)
{
	(void)user;
	(void)err;
	snprintf(path, size, "/etc/passwd");
	return vd_query_match_file(node, path, NULL, NULL);
}

static void count(void *user, const struct vd_query_node *node, const struct vd_fact *fact)
{
	(void)node;
	*(int *)user += *fact->value != '\0';
}

static bool one_round(struct vd_fact_set *set, int64_t now)
{
	struct vd_query_answer answer = {.size = sizeof(answer)};
	struct vd_query_subject subject = {.size = sizeof(subject), .n_runs = 1, .now = now};
	struct vd_query *own;
	int n_hits = 0;
	bool is_right;

	subject.runs[0].facts = vd_fact_set_facts(set, &subject.runs[0].n);
	subject.files = has_file;
	subject.hit = count;
	subject.user = &n_hits;
	if (vd_query_match(query, &subject, &answer, NULL))
		return false;
	/* It isn't patched long enough for the threads whose clock is behind. */
	is_right = answer.is_match == (now > 200000) && n_hits == (answer.is_match ? 5 : 0);
	if (vd_query_parse(&own, vd_query_text(query), NULL, NULL))
		return false;
	is_right &= strcmp(vd_query_text(own), vd_query_text(query)) == 0;
	vd_query_free(own);
	return is_right;
}

static void *work(void *user)
{
	size_t number = (size_t)user;
	struct vd_fact_set *set;

	if (vd_fact_set_create(&set, NULL))
		return NULL;
	vd_fact_set_add(set, "title", "A Server", 0, NULL);
	vd_fact_set_add(set, "package", "pkg:deb/debian/openssl@3.0.11", 0, NULL);
	vd_fact_set_add(set, "cve.open", "CVE-2026-1", 1, NULL);
	vd_fact_set_add(set, "cve.open.severity", "critical", 1, NULL);
	vd_fact_set_add(set, "patched", "1970-01-02T00:00:00Z", 0, NULL);
	pthread_barrier_wait(&start);
	for (int i = 0; i < N_ROUNDS; i++)
		n_wrong += !one_round(set, number % 2 ? 100000 : 300000);
	vd_fact_set_free(set);
	return NULL;
}

static void threads_share_a_query(void **state)
{
	pthread_t threads[N_THREADS];

	(void)state;
	assert_int_equal(vd_query_parse(&query, text, NULL, NULL), 0);
	assert_int_equal(pthread_barrier_init(&start, NULL, N_THREADS), 0);
	for (size_t i = 0; i < N_THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, (void *)i), 0);
	for (size_t i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(n_wrong, 0);
	vd_query_free(query);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(threads_share_a_query),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
