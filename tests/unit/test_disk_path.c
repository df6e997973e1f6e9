/* SPDX-License-Identifier: MIT */
/* Paths that come out of images. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "disk/disk.h"
#include "scratch.h"

static void hints_become_paths(void **state)
{
	char path[64];

	(void)state;
	assert_true(vd_path_from_hint(".\\base.vhdx", path, sizeof(path)));
	assert_string_equal(path, "./base.vhdx");
	assert_true(vd_path_from_hint("..\\a\\b.vhdx", path, sizeof(path)));
	assert_string_equal(path, "../a/b.vhdx");
	assert_true(vd_path_from_hint("/srv/base.vhdx", path, sizeof(path)));
	assert_string_equal(path, "/srv/base.vhdx");
	assert_false(vd_path_from_hint("d:\\base.vhdx", path, sizeof(path)));
	assert_false(vd_path_from_hint("\\\\?\\d:\\base.vhdx", path, sizeof(path)));
	assert_false(vd_path_from_hint("\\\\server\\share\\base.vhdx", path, sizeof(path)));
	assert_false(vd_path_from_hint("\\\\?\\Volume{1}\\base.vhdx", path, sizeof(path)));
	assert_false(vd_path_from_hint("\\\\?\\UNC\\server\\base.vhdx", path, sizeof(path)));
	assert_true(vd_path_from_hint("\\\\?\\srv\\base.vhdx", path, sizeof(path)));
	assert_string_equal(path, "/srv/base.vhdx");
	assert_true(vd_path_from_hint("\\srv\\base.vhdx", path, sizeof(path)));
	assert_string_equal(path, "/srv/base.vhdx");
	assert_false(vd_path_from_hint("", path, sizeof(path)));
	assert_false(vd_path_from_hint("a-path-that-is-longer-than-its-room", path, 16));
}

static void joins_by_the_letter(void **state)
{
	static const char *const cases[][3] = {
	    {"/a/b", "c", "/a/b/c"},
	    {"/a/b", "../c", "/a/c"},
	    {"/a/b", "./c//d/.", "/a/b/c/d"},
	    {"/a/b", "../../../../c", "/c"},
	    {"/a/b", "/c/../d", "/d"},
	    {"/", "c", "/c"},
	    {"/a", "..", "/"},
	    {"/a", "b/../../..", "/"},
	};
	char path[64];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(vd_path_join(cases[i][0], cases[i][1], path, sizeof(path)));
		assert_string_equal(path, cases[i][2]);
	}
	assert_false(vd_path_join("/aaaa", "bbbb", path, 10));
	assert_true(vd_path_join("/aaaa", "bbbb", path, 11));
}

static void below_means_whole_parts(void **state)
{
	(void)state;
	assert_string_equal(vd_path_below("/a", "/a/b/c"), "b/c");
	assert_null(vd_path_below("/a", "/ab/c"));
	assert_null(vd_path_below("/a", "/a"));
	assert_null(vd_path_below("/a/b", "/a/c"));
	assert_string_equal(vd_path_below("/", "/a"), "a");
}

static void finds_the_way_between_folders(void **state)
{
	static const char *const cases[][3] = {
	    {"/a/b", "/a/b/c.vhdx", "c.vhdx"}, {"/a/b", "/a/c.vhdx", "../c.vhdx"},
	    {"/a/b", "/a/bc/d", "../bc/d"},    {"/", "/a/b", "a/b"},
	    {"/a/b/c", "/d", "../../../d"},
	};
	char path[64];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(vd_path_relative(cases[i][0], cases[i][1], path, sizeof(path)));
		assert_string_equal(path, cases[i][2]);
	}
	assert_false(vd_path_relative("/a/b/c", "/d", path, 9));
}

static void touch(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	assert_true(fd >= 0);
	close(fd);
}

/* A folder with links of all kinds, and a file beside it that must stay out of reach. */
static int make_tree(void)
{
	int fd;

	scratch_run("rm -rf '%s'", scratch_path("tree"));
	assert_int_equal(mkdir(scratch_path("tree"), 0700), 0);
	assert_int_equal(mkdir(scratch_path("tree/root"), 0700), 0);
	assert_int_equal(mkdir(scratch_path("tree/root/sub"), 0700), 0);
	touch(scratch_path("tree/outside"));
	touch(scratch_path("tree/root/file"));
	touch(scratch_path("tree/root/sub/file"));
	assert_int_equal(symlink("../outside", scratch_path("tree/root/leak")), 0);
	assert_int_equal(symlink("/etc/passwd", scratch_path("tree/root/absolute")), 0);
	assert_int_equal(symlink("..", scratch_path("tree/root/up")), 0);
	assert_int_equal(symlink("sub/file", scratch_path("tree/root/inner")), 0);
	assert_int_equal(mkfifo(scratch_path("tree/root/fifo"), 0600), 0);
	fd = vd_place_open_folder(scratch_path("tree/root"));
	assert_true(fd >= 0);
	return fd;
}

static void open_and_close(int root, const char *below, bool is_plain)
{
	int fd = vd_place_open_beneath(root, below, is_plain);

	assert_true(fd >= 0);
	close(fd);
}

static void no_link_leads_out(void **state)
{
	int root = make_tree();

	(void)state;
	for (int is_plain = 0; is_plain < 2; is_plain++) {
		int leads_out = is_plain ? -ELOOP : -EXDEV;

		open_and_close(root, "file", is_plain);
		open_and_close(root, "sub/file", is_plain);
		assert_int_equal(vd_place_open_beneath(root, "none", is_plain), -ENOENT);
		assert_int_equal(vd_place_open_beneath(root, "file/x", is_plain), -ENOTDIR);
		assert_int_equal(vd_place_open_beneath(root, "leak", is_plain), leads_out);
		assert_int_equal(vd_place_open_beneath(root, "absolute", is_plain), leads_out);
		assert_int_equal(vd_place_open_beneath(root, "up/outside", is_plain), leads_out);
		/* Opening a FIFO comes back at once. */
		open_and_close(root, "fifo", is_plain);
	}
	/* Without openat2 no link is followed, with it those that stay inside are. */
	open_and_close(root, "inner", false);
	assert_int_equal(vd_place_open_beneath(root, "inner", true), -ELOOP);
	close(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(hints_become_paths),
	    cmocka_unit_test(joins_by_the_letter),
	    cmocka_unit_test(below_means_whole_parts),
	    cmocka_unit_test(finds_the_way_between_folders),
	    cmocka_unit_test(no_link_leads_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
