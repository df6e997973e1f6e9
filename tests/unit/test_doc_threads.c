/* SPDX-License-Identifier: MIT */
/* Many threads read and change documents at once, from the first use of the library on. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "xml/doc.h"

#define N_THREADS 4
#define N_ROUNDS  30

static pthread_barrier_t start;
static _Atomic int n_wrong;

static int same_value(void *user, const struct vd_field *field, const char *value, uint32_t group)
{
	(void)group;
	return strcmp(field->name, "tag") != 0 || strcmp(value, user) != 0;
}

static bool one_round(size_t thread, int round)
{
	const struct vd_category *category = vd_category_at((thread + (size_t)round) % 11);
	char tag[64], *bytes = NULL;
	struct vd_doc *doc, *again;
	struct vd_error err;
	bool is_right;
	size_t len;

	if (vd_doc_create(&doc, category, NULL) || vd_doc_validate(doc, NULL, NULL, NULL))
		return false;
	vd_doc_free(doc);
	snprintf(tag, sizeof(tag), "thread=%zu-%d", thread, round);
	if (vd_doc_create(&doc, vd_category_find("tags"), NULL))
		return false;
	is_right =
	    !vd_doc_set_field(doc, vd_field_find("tag"), VD_FIELD_ADD, tag, NULL) &&
	    vd_doc_set_field(doc, vd_field_find("tag"), VD_FIELD_ADD, "a b", &err) == VD_EINVAL &&
	    strstr(err.text, "a b") && !vd_doc_format(doc, &bytes, &len, NULL);
	vd_doc_free(doc);
	if (!is_right || vd_doc_parse(&doc, "<a></b>", 7, &err) != VD_ECORRUPT ||
	    !strstr(err.text, "mismatch") || vd_doc_parse(&again, bytes, len, NULL))
		return false;
	vd_free(bytes);
	is_right = !vd_doc_validate(again, NULL, NULL, NULL) &&
		   !vd_doc_each_value(again, same_value, tag, NULL);
	vd_doc_free(again);
	return is_right;
}

static void *work(void *user)
{
	pthread_barrier_wait(&start);
	for (int round = 0; round < N_ROUNDS; round++) {
		if (!one_round((size_t)(uintptr_t)user, round))
			atomic_fetch_add(&n_wrong, 1);
	}
	return NULL;
}

static void threads_do_not_disturb_each_other(void **state)
{
	pthread_t threads[N_THREADS];

	(void)state;
	assert_int_equal(pthread_barrier_init(&start, NULL, N_THREADS), 0);
	for (size_t i = 0; i < N_THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)i), 0);
	for (size_t i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(n_wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(threads_do_not_disturb_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
