/* SPDX-License-Identifier: MIT */
/* Small files read whole, folders listed: at, below and above what is allowed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/lent.h"
#include "scratch.h"

static const size_t lengths[] = {0, 1, 4095, 4096, 4097, 8192, 20000};
#define N_LENGTHS (sizeof(lengths) / sizeof(lengths[0]))

static const char *make_file(size_t len)
{
	const char *path = scratch_path("file");
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	for (size_t i = 0; i < len; i++)
		fputc('a' + (int)(i % 23), file);
	fclose(file);
	return path;
}

static void check_bytes(const char *bytes, size_t len, size_t expected)
{
	assert_int_equal(len, expected);
	assert_int_equal(bytes[len], 0);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(bytes[i], 'a' + (int)(i % 23));
}

static void a_file_is_read_whole_or_not_at_all(void **state)
{
	struct vd_error err = VD_ERROR_INIT;
	char *bytes;
	size_t len;

	(void)state;
	for (size_t i = 0; i < N_LENGTHS; i++) {
		const char *path = make_file(lengths[i]);

		assert_int_equal(vd_io_slurp(path, lengths[i], &bytes, &len, &err), 0);
		check_bytes(bytes, len, lengths[i]);
		vd_free(bytes);
		assert_int_equal(vd_io_slurp(path, lengths[i] + 5000, &bytes, &len, &err), 0);
		check_bytes(bytes, len, lengths[i]);
		vd_free(bytes);
		if (lengths[i])
			assert_int_equal(vd_io_slurp(path, lengths[i] - 1, &bytes, &len, &err),
					 VD_ERANGE);
	}
	/* The kernel tells no size of this one. */
	assert_int_equal(vd_io_slurp("/proc/self/status", 1 << 20, &bytes, &len, &err), 0);
	assert_int_equal(strlen(bytes), len);
	assert_true(len > 100);
	vd_free(bytes);
}

static void a_file_of_a_tree_is_read_as_far_as_asked(void **state)
{
	struct vd_io_tree *tree;
	char *bytes;
	size_t len;

	(void)state;
	assert_int_equal(vd_io_tree_open(&tree, scratch_dir(), NULL), 0);
	for (size_t i = 0; i < N_LENGTHS; i++) {
		size_t n = lengths[i];

		make_file(n);
		assert_int_equal(vd_io_tree_read(tree, "file", n + 5000, &bytes, &len, NULL), 0);
		check_bytes(bytes, len, n);
		vd_free(bytes);
		assert_int_equal(vd_io_tree_read(tree, "file", n / 2, &bytes, &len, NULL), 0);
		check_bytes(bytes, len, n / 2);
		vd_free(bytes);
	}
	vd_io_tree_close(tree);
}

static void only_plain_files_are_read(void **state)
{
	const char *fifo = scratch_path("fifo"), *link = scratch_path("link");
	struct vd_error err = VD_ERROR_INIT;
	struct vd_io_tree *tree;
	char *bytes;
	size_t len;

	(void)state;
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(symlink("nowhere", link), 0);
	assert_int_equal(vd_io_slurp(fifo, 10, &bytes, &len, &err), VD_EINVAL);
	assert_int_equal(vd_io_slurp(scratch_dir(), 10, &bytes, &len, &err), VD_EINVAL);
	assert_int_equal(vd_io_slurp(link, 10, &bytes, &len, &err), VD_ENOENT);
	assert_int_equal(err.sys_errno, ENOENT);
	assert_int_equal(vd_io_tree_open(&tree, scratch_dir(), &err), 0);
	assert_int_equal(vd_io_tree_read(tree, "fifo", 10, &bytes, &len, &err), VD_EINVAL);
	assert_int_equal(vd_io_tree_read(tree, "link", 10, &bytes, &len, &err), VD_ENOENT);
	vd_io_tree_close(tree);
}

#define N_FILES 150u

struct listed {
	unsigned n, stop_at;
	char last[16];
};

static int next_name(void *user, const char *name)
{
	struct listed *listed = user;

	assert_true(strcmp(listed->last, name) < 0);
	snprintf(listed->last, sizeof(listed->last), "%s", name);
	return ++listed->n == listed->stop_at ? 42 : 0;
}

static void a_folder_is_listed_in_order(void **state)
{
	const char *folder = scratch_path("folder");
	struct vd_error err = VD_ERROR_INIT;
	struct listed all = {0}, some = {.stop_at = 3}, few = {0};
	struct vd_io_tree *tree;
	char path[4096], **names;
	size_t n;

	(void)state;
	assert_int_equal(mkdir(folder, 0700), 0);
	for (unsigned i = 0; i < N_FILES; i++) {
		snprintf(path, sizeof(path), "%s/%u", folder, i * 7919 % 1000 + 1000);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	assert_int_equal(vd_io_list_folder(folder, N_FILES, &names, &n, &err), 0);
	assert_int_equal(n, N_FILES);
	assert_null(names[n]);
	for (size_t i = 1; i < n; i++)
		assert_true(strcmp(names[i - 1], names[i]) < 0);
	vd_io_free_names(names);
	assert_int_equal(vd_io_list_folder(folder, N_FILES - 1, &names, &n, &err), VD_ERANGE);

	assert_int_equal(vd_io_tree_open(&tree, scratch_dir(), &err), 0);
	assert_int_equal(vd_io_tree_list(tree, "folder", 1000, next_name, &all, &err), 0);
	assert_int_equal(all.n, N_FILES);
	assert_int_equal(vd_io_tree_list(tree, "folder", 1000, next_name, &some, &err), 42);
	assert_int_equal(some.n, 3);
	assert_int_equal(vd_io_tree_list(tree, "folder", 10, next_name, &few, &err), 0);
	assert_int_equal(few.n, 10);
	vd_io_tree_close(tree);
}

static void what_is_no_folder_is_not_listed(void **state)
{
	const char *empty = scratch_path("empty"), *dangling = scratch_path("dangling");
	struct vd_error err = VD_ERROR_INIT;
	struct listed none = {0};
	struct vd_io_tree *tree;
	char **names;
	size_t n;

	(void)state;
	make_file(1);
	assert_int_equal(mkdir(empty, 0700), 0);
	assert_int_equal(symlink("nowhere", dangling), 0);
	assert_int_equal(vd_io_list_folder(empty, 0, &names, &n, &err), 0);
	assert_int_equal(n, 0);
	assert_null(names[0]);
	vd_io_free_names(names);
	assert_true(vd_io_list_folder(scratch_path("file"), 9, &names, &n, &err) < 0);
	assert_int_equal(err.sys_errno, ENOTDIR);
	assert_int_equal(vd_io_list_folder(dangling, 9, &names, &n, &err), VD_EINVAL);
	assert_int_equal(vd_io_list_folder(scratch_path("none"), 9, &names, &n, &err), VD_ENOENT);
	assert_int_equal(err.sys_errno, ENOENT);
	assert_int_equal(vd_io_tree_open(&tree, scratch_dir(), &err), 0);
	assert_true(vd_io_tree_list(tree, "file", 9, next_name, &none, &err) < 0);
	assert_int_equal(err.sys_errno, ENOTDIR);
	assert_int_equal(vd_io_tree_list(tree, "none", 9, next_name, &none, &err), VD_ENOENT);
	assert_int_equal(none.n, 0);
	vd_io_tree_close(tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_file_is_read_whole_or_not_at_all),
	    cmocka_unit_test(a_file_of_a_tree_is_read_as_far_as_asked),
	    cmocka_unit_test(only_plain_files_are_read),
	    cmocka_unit_test(a_folder_is_listed_in_order),
	    cmocka_unit_test(what_is_no_folder_is_not_listed),
	};

	return cmocka_run_group_tests_name("small files", tests, NULL, NULL);
}
