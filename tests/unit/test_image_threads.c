/* SPDX-License-Identifier: MIT */
/* Threads that write first at the same moment, while another one edits the metadata. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <vdisk/image.h>

#include "scratch.h"

#define N_WRITERS 4
#define N_WRITES  20
#define N_EDITS   3

static pthread_barrier_t start;

struct writer {
	struct vd_image *image;
	unsigned number;
	int rc;
};

static void *write_some(void *arg)
{
	struct writer *w = arg;

	pthread_barrier_wait(&start);
	for (unsigned i = 0; i < N_WRITES && !w->rc; i++)
		w->rc = vd_disk_write(vd_image_disk(w->image), "guest", 5,
				      (uint64_t)(w->number * N_WRITES + i) << 16, NULL);
	return NULL;
}

static int count_entry(void *user, const struct vd_history_entry *entry)
{
	unsigned *n = user;

	assert_true(entry->is_linked);
	n[strcmp(entry->op.operation, "run") == 0]++;
	return 0;
}

static void an_opening_enters_once_whoever_writes_first(void **state)
{
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	const char *path = scratch_path("threads.vhdx");
	struct vd_error err = VD_ERROR_INIT;
	struct writer writers[N_WRITERS];
	pthread_t threads[N_WRITERS];
	unsigned n[2] = {0, 0};
	struct vd_image *image;
	char title[16];

	(void)state;
	remove(path);
	create.virtual_size = 16 << 20;
	assert_int_equal(vd_disk_create(path, &create, &err), 0);
	assert_int_equal(vd_image_open(&image, path, VD_PURPOSE_EDIT, NULL, NULL, &err), 0);
	assert_int_equal(vd_image_commit(image, "begin", NULL, &err), 0);
	assert_int_equal(vd_image_close(image, &err), 0);

	assert_int_equal(vd_image_open(&image, path, VD_PURPOSE_RUN, NULL, NULL, &err), 0);
	pthread_barrier_init(&start, NULL, N_WRITERS + 1);
	for (unsigned i = 0; i < N_WRITERS; i++) {
		writers[i] = (struct writer){image, i, 0};
		assert_int_equal(pthread_create(&threads[i], NULL, write_some, &writers[i]), 0);
	}
	pthread_barrier_wait(&start);
	for (unsigned i = 0; i < N_EDITS; i++) {
		vd_image_lock_meta(image);
		snprintf(title, sizeof(title), "T%u", i);
		assert_int_equal(
		    vd_meta_set_field(vd_image_meta(image), "title", VD_FIELD_SET, title, &err), 0);
		assert_int_equal(vd_image_commit(image, "edit", NULL, &err), 0);
		vd_image_unlock_meta(image);
	}
	for (unsigned i = 0; i < N_WRITERS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(writers[i].rc, 0);
	}
	pthread_barrier_destroy(&start);
	assert_int_equal(vd_image_close(image, &err), 0);

	assert_int_equal(vd_image_open(&image, path, VD_PURPOSE_INSPECT, NULL, NULL, &err), 0);
	assert_int_equal(vd_meta_read_history(vd_image_meta(image), count_entry, n, NULL, &err), 0);
	assert_int_equal(n[1], 1);
	assert_int_equal(n[0], 1 + N_EDITS);
	assert_int_equal(vd_image_close(image, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_opening_enters_once_whoever_writes_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
