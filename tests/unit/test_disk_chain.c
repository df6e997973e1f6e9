/* SPDX-License-Identifier: MIT */
/* Chains of VHDX images: what the parents give, and parents that must not be opened. */
#include "chain_images.h"

static void a_child_shows_its_parents(void **state)
{
	struct vd_extent extent;
	struct vd_mapping mapping;
	struct vd_disk *disk;

	(void)state;
	create("a.vhdx", NULL, SIZE);
	write_at("a.vhdx", NULL, 'a', 3 << 20, 0);
	create("b.vhdx", "a.vhdx", 0);
	write_at("b.vhdx", NULL, 'b', 1 << 20, 1 << 20);
	create("c.vhdx", "b.vhdx", 0);
	write_at("c.vhdx", NULL, 'c', 700, (2 << 20) + 100);
	disk = open_ok("c.vhdx", 0, NULL);
	assert_int_equal(byte_at(disk, 0), 'a');
	assert_int_equal(byte_at(disk, 1 << 20), 'b');
	assert_int_equal(byte_at(disk, (2 << 20) + 99), 'a');
	assert_int_equal(byte_at(disk, (2 << 20) + 100), 'c');
	assert_int_equal(byte_at(disk, (2 << 20) + 799), 'c');
	assert_int_equal(byte_at(disk, (2 << 20) + 800), 'a');
	assert_int_equal(byte_at(disk, (3 << 20)), 0);
	assert_non_null(vd_disk_parent(vd_disk_parent(disk)));
	assert_null(vd_disk_parent(vd_disk_parent(vd_disk_parent(disk))));

	assert_int_equal(vd_disk_map(disk, 0, UINT64_MAX, &extent, NULL), 0);
	assert_true(extent.state == VD_STATE_DATA && extent.depth == 2);
	assert_int_equal(extent.length, 1 << 20);
	assert_int_equal(vd_disk_map(disk, 1 << 20, UINT64_MAX, &extent, NULL), 0);
	assert_true(extent.state == VD_STATE_DATA && extent.depth == 1);
	assert_int_equal(vd_disk_map(disk, 2 << 20, UINT64_MAX, &extent, NULL), 0);
	assert_true(extent.state == VD_STATE_DATA && extent.depth == 0);
	assert_int_equal(extent.length, 1024);
	assert_int_equal(vd_disk_map(disk, 3 << 20, UINT64_MAX, &extent, NULL), 0);
	assert_true(extent.state == VD_STATE_HOLE && extent.depth == 2);
	assert_int_equal(extent.length, 5 << 20);

	assert_int_equal(vd_disk_resolve(disk, 0, SIZE, VD_ACCESS_READ, &mapping, NULL), 0);
	assert_int_equal(mapping.depth, 2);
	assert_ptr_equal(mapping.io, vd_disk_io(vd_disk_parent(vd_disk_parent(disk))));
	assert_int_equal(vd_disk_release(disk, &mapping, VD_OUTCOME_READ, NULL), 0);
	vd_disk_close(disk, NULL);
}

static void a_discard_does_not_show_the_parent(void **state)
{
	struct vd_disk *disk;

	(void)state;
	create("a.vhdx", NULL, SIZE);
	write_at("a.vhdx", NULL, 'a', SIZE, 0);
	create("b.vhdx", "a.vhdx", 0);
	disk = open_ok("b.vhdx", VD_OPEN_WRITE, NULL);
	assert_int_equal(vd_disk_discard(disk, 0, 1 << 20, NULL), 0);
	assert_int_equal(byte_at(disk, 0), 0);
	assert_int_equal(vd_disk_write_zeroes(disk, (1 << 20) + 300, 3 << 20, 0, NULL), 0);
	assert_int_equal(byte_at(disk, (1 << 20) + 299), 'a');
	assert_int_equal(byte_at(disk, (1 << 20) + 300), 0);
	assert_int_equal(byte_at(disk, (4 << 20) + 299), 0);
	assert_int_equal(byte_at(disk, (4 << 20) + 300), 'a');
	assert_int_equal(vd_disk_close(disk, NULL), 0);
	disk = open_ok("b.vhdx", 0, NULL);
	assert_int_equal(byte_at(disk, (1 << 20) + 299), 'a');
	assert_int_equal(byte_at(disk, (1 << 20) + 300), 0);
	vd_disk_close(disk, NULL);
}

static void a_child_may_be_longer_than_its_parent(void **state)
{
	struct vd_extent extent;
	struct vd_disk *disk;
	char bytes[1024];

	(void)state;
	create("a.vhdx", NULL, (1 << 20) + 512);
	write_at("a.vhdx", NULL, 'a', (1 << 20) + 512, 0);
	create("b.vhdx", "a.vhdx", 4 << 20);
	disk = open_ok("b.vhdx", 0, NULL);
	assert_int_equal(vd_disk_size(disk), 4 << 20);
	assert_int_equal(vd_disk_read(disk, bytes, 1024, 1 << 20, NULL), 0);
	assert_int_equal(bytes[511], 'a');
	assert_int_equal(bytes[512], 0);
	assert_int_equal(vd_disk_map(disk, (1 << 20) + 512, UINT64_MAX, &extent, NULL), 0);
	assert_int_equal(extent.state, VD_STATE_HOLE);
	assert_int_equal(extent.length, (3 << 20) - 512);
	vd_disk_close(disk, NULL);
}

static void without_parents_their_part_is_not_readable(void **state)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_extent extent;
	struct vd_disk *disk;
	char c;

	(void)state;
	create("a.vhdx", NULL, SIZE);
	create("b.vhdx", "a.vhdx", 0);
	unlink(at("a.vhdx"));
	refuses("b.vhdx", NULL, VD_ENOENT, "a.vhdx", "No such file");
	disk = open_ok("b.vhdx", VD_OPEN_NO_PARENTS, NULL);
	assert_int_equal(vd_disk_read(disk, &c, 1, 0, &err), VD_EINVAL);
	assert_non_null(strstr(err.text, "VD_OPEN_NO_PARENTS"));
	assert_int_equal(vd_disk_map(disk, 0, UINT64_MAX, &extent, NULL), 0);
	assert_int_equal(extent.state, VD_STATE_PARENT);
	assert_int_equal(extent.length, SIZE);
	vd_disk_close(disk, NULL);
}

static void parents_outside_need_a_root(void **state)
{
	struct vd_disk *disk;

	(void)state;
	create("other/a.vhdx", NULL, SIZE);
	write_at("other/a.vhdx", NULL, 'a', 512, 0);
	create("up/b.vhdx", "other/a.vhdx", 0);
	refuses("up/b.vhdx", NULL, VD_EDENIED, "lies outside of", "--parent-root");
	refuses("up/b.vhdx", NULL, VD_EDENIED, "other/a.vhdx", "relative_path");
	refuses("up/b.vhdx", "/usr", VD_EDENIED, "lies outside of", "/usr");
	refuses("up/b.vhdx", "/there/is/none", VD_ENOENT, "/there/is/none", "");
	disk = open_ok("up/b.vhdx", 0, "other");
	assert_int_equal(byte_at(disk, 0), 'a');
	vd_disk_close(disk, NULL);
	/* The upper folder permits the way up, too. */
	disk = open_ok("up/b.vhdx", 0, ".");
	vd_disk_close(disk, NULL);
	/* A root that is named by a link is the folder that it leads to. */
	assert_int_equal(symlink("other", at("link")), 0);
	disk = open_ok("up/b.vhdx", 0, "link");
	vd_disk_close(disk, NULL);
}

static void the_first_folder_counts_for_the_whole_chain(void **state)
{
	struct vd_disk *disk;

	(void)state;
	create("a.vhdx", NULL, SIZE);
	create("up/b.vhdx", "a.vhdx", 0);
	/* c in the folder above may open up/b, whose own parent is in that folder, too. */
	craft("c.vhdx", "up/b.vhdx", "", "up/b.vhdx");
	disk = open_ok("c.vhdx", 0, NULL);
	vd_disk_close(disk, NULL);
	refuses("up/b.vhdx", NULL, VD_EDENIED, "lies outside of", "--parent-root");
}

static void hostile_paths_are_refused(void **state)
{
	(void)state;
	craft("x.vhdx", "../../../../../../../../../../../../../../../../../etc/passwd", "", NULL);
	refuses("x.vhdx", NULL, VD_EDENIED, "parent /etc/passwd", "lies outside of");
	craft("x.vhdx", "", "/etc/passwd", NULL);
	refuses("x.vhdx", NULL, VD_EDENIED, "parent /etc/passwd (absolute_win32_path)", "outside");
	craft("x.vhdx", "up/../../../a.vhdx", "", NULL);
	refuses("x.vhdx", NULL, VD_EDENIED, "lies outside of", "--parent-root");
	craft("x.vhdx", "d:/images/base.vhdx", "d:/images/base.vhdx", NULL);
	refuses("x.vhdx", NULL, VD_ENOENT, "base.vhdx", "");
	craft("x.vhdx", "", "//server/share/base.vhdx", NULL);
	refuses("x.vhdx", NULL, VD_ENOENT, "\\\\server\\share\\base.vhdx", "mean nothing");
	craft("x.vhdx", "gone.vhdx", "", NULL);
	refuses("x.vhdx", NULL, VD_ENOENT, "gone.vhdx", "relative_path");
	craft("x.vhdx", "up", "", NULL);
	refuses("x.vhdx", NULL, VD_EUNSUPPORTED, "neither a file nor", "up");
}

static void links_do_not_lead_out(void **state)
{
	struct vd_disk *disk;

	(void)state;
	create("other/a.vhdx", NULL, SIZE);
	assert_int_equal(symlink("../other/a.vhdx", at("up/a.vhdx")), 0);
	craft("up/x.vhdx", "a.vhdx", "", "other/a.vhdx");
	refuses("up/x.vhdx", NULL, VD_EDENIED, "by a link that leads out of", "--parent-root");
	/* Inside of a root a link may be followed. */
	disk = open_ok("up/x.vhdx", 0, ".");
	vd_disk_close(disk, NULL);
}

static void devices_and_fifos_are_no_parents(void **state)
{
	(void)state;
	assert_int_equal(mkfifo(at("fifo"), 0600), 0);
	craft("x.vhdx", "fifo", "", NULL);
	refuses("x.vhdx", NULL, VD_EUNSUPPORTED, "neither a file nor", "fifo");
	craft("x.vhdx", "null", "/dev/null", NULL);
	refuses("x.vhdx", "/dev", VD_EUNSUPPORTED, "/dev/null", "neither a file nor");
}

static void cycles_are_found(void **state)
{
	(void)state;
	craft("a.vhdx", "a.vhdx", "", NULL);
	refuses("a.vhdx", NULL, VD_ECORRUPT, "cycle of 1 images", "a.vhdx");
	craft("b.vhdx", "a.vhdx", "", NULL);
	craft("a.vhdx", "b.vhdx", "", "b.vhdx");
	refuses("a.vhdx", NULL, VD_ECORRUPT, "cycle of 2 images", "a.vhdx");
	/* Also under another name. */
	assert_int_equal(link(at("a.vhdx"), at("alias.vhdx")), 0);
	craft("b.vhdx", "alias.vhdx", "", NULL);
	craft("c.vhdx", "b.vhdx", "", "b.vhdx");
	assert_int_equal(rename(at("c.vhdx"), at("d.vhdx")), 0);
	craft("e.vhdx", "d.vhdx", "", "d.vhdx");
	craft("b.vhdx", "e.vhdx", "", NULL);
	craft("d.vhdx", "b.vhdx", "", "b.vhdx");
	craft("e.vhdx", "d.vhdx", "", "d.vhdx");
	refuses("e.vhdx", NULL, VD_ECORRUPT, "cycle of 3 images", "e.vhdx");
}

static void the_wrong_parent_is_refused(void **state)
{
	(void)state;
	create("a.vhdx", NULL, SIZE);
	craft("x.vhdx", "a.vhdx", "", NULL);
	refuses("x.vhdx", NULL, VD_ECORRUPT, "has DataWriteGuid {",
		"made on {01000000-0000-0000-0000-000000000000}");
	/* Whoever writes to a parent makes it another image. */
	create("b.vhdx", "a.vhdx", 0);
	write_at("a.vhdx", NULL, 'x', 512, 0);
	refuses("b.vhdx", NULL, VD_ECORRUPT, "the parent was changed since", "a.vhdx");
}

static void a_parent_must_be_a_vhdx(void **state)
{
	(void)state;
	scratch_run("truncate -s 1M '%s'", at("raw.vhdx"));
	craft("x.vhdx", "raw.vhdx", "", NULL);
	refuses("x.vhdx", NULL, VD_ECORRUPT, "parent ", "raw.vhdx");
	scratch_run("printf 'QFI\\373' | dd of='%s' conv=notrunc status=none", at("raw.vhdx"));
	refuses("x.vhdx", NULL, VD_EINVAL, "qcow2", "raw.vhdx");
}

static void a_later_hint_is_used_if_the_first_fails(void **state)
{
	char absolute[4096];
	struct vd_disk *disk;

	(void)state;
	create("other/a.vhdx", NULL, SIZE);
	assert_non_null(realpath(at("other/a.vhdx"), absolute));
	craft("up/x.vhdx", "gone.vhdx", absolute, "other/a.vhdx");
	disk = open_ok("up/x.vhdx", 0, "other");
	vd_disk_close(disk, NULL);
	/* Of two failures the one that can be helped is told. */
	refuses("up/x.vhdx", NULL, VD_EDENIED, "absolute_win32_path", "--parent-root");
	create("up/gone.vhdx", NULL, SIZE);
	disk = open_ok("up/x.vhdx", 0, "other");
	assert_non_null(strstr(vd_disk_path(vd_disk_parent(disk)), "other/a.vhdx"));
	vd_disk_close(disk, NULL);
}

static void depth_is_bounded(void **state)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk;
	char name[32], above[32] = "d0.vhdx";

	(void)state;
	create("d0.vhdx", NULL, SIZE);
	write_at("d0.vhdx", NULL, 'a', 512, 0);
	for (int i = 1; i <= 300; i++) {
		snprintf(name, sizeof(name), "d%d.vhdx", i);
		craft(name, above, "", above);
		memcpy(above, name, sizeof(above));
	}
	disk = open_ok("d256.vhdx", 0, NULL);
	assert_int_equal(byte_at(disk, 0), 'a');
	vd_disk_close(disk, NULL);
	refuses("d257.vhdx", NULL, VD_EUNSUPPORTED, "more than 256 parents", "max_depth");
	refuses("d300.vhdx", NULL, VD_EUNSUPPORTED, "more than 256 parents", "max_depth");
	opts.max_depth = 3;
	assert_int_equal(vd_disk_open(&disk, at("d4.vhdx"), &opts, &err), VD_EUNSUPPORTED);
	assert_int_equal(vd_disk_open(&disk, at("d3.vhdx"), &opts, &err), 0);
	vd_disk_close(disk, NULL);
	opts.max_depth = 400;
	assert_int_equal(vd_disk_open(&disk, at("d300.vhdx"), &opts, &err), 0);
	assert_int_equal(byte_at(disk, 0), 'a');
	vd_disk_close(disk, NULL);
}

static void a_store_finds_parents_only_beneath_roots(void **state)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	char absolute[4096];
	const char *roots[1];
	struct vd_disk *disk;
	struct vd_io *io;

	(void)state;
	create("a.vhdx", NULL, SIZE);
	assert_non_null(realpath(at("a.vhdx"), absolute));
	craft("x.vhdx", "a.vhdx", absolute, "a.vhdx");
	assert_int_equal(vd_io_open_file(&io, at("x.vhdx"), 0, NULL), 0);
	assert_int_equal(vd_disk_open_io(&disk, io, &opts, &err), VD_EDENIED);
	assert_non_null(strstr(err.text, "(none)"));
	roots[0] = at(".");
	opts.parent_roots = roots;
	opts.n_parent_roots = 1;
	assert_int_equal(vd_disk_open_io(&disk, io, &opts, NULL), 0);
	vd_disk_close(disk, NULL);
	vd_io_close(io);
}

/* Folder and image moved together: only the relative path still leads to the parent. */
static void a_store_tries_a_relative_path_from_each_root(void **state)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	const char *roots[2];
	struct vd_disk *disk;
	struct vd_io *io;

	(void)state;
	create("up/a.vhdx", NULL, SIZE);
	create("up/y.vhdx", "up/a.vhdx", 0);
	scratch_run("mv '%s' '%s'", at("up"), at("moved"));
	assert_int_equal(vd_io_open_file(&io, at("moved/y.vhdx"), 0, NULL), 0);
	roots[0] = at("other");
	roots[1] = at("moved");
	opts.parent_roots = roots;
	opts.n_parent_roots = 1;
	assert_int_equal(vd_disk_open_io(&disk, io, &opts, NULL), VD_EDENIED);
	opts.n_parent_roots = 2;
	assert_int_equal(vd_disk_open_io(&disk, io, &opts, NULL), 0);
	vd_disk_close(disk, NULL);
	vd_io_close(io);
}

static int try_flags(const char *name, uint32_t flags)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_disk *disk;
	int ret;

	opts.flags = flags;
	ret = vd_disk_open(&disk, at(name), &opts, NULL);
	if (!ret)
		vd_disk_close(disk, NULL);
	return ret;
}

static void an_open_chain_keeps_writers_off_its_parents(void **state)
{
	struct vd_disk *disk;

	(void)state;
	create("a.vhdx", NULL, SIZE);
	create("b.vhdx", "a.vhdx", 0);
	create("c.vhdx", "a.vhdx", 0);
	disk = open_ok("b.vhdx", VD_OPEN_WRITE, NULL);
	assert_int_equal(try_flags("a.vhdx", VD_OPEN_WRITE), VD_EBUSY);
	assert_int_equal(try_flags("b.vhdx", 0), VD_EBUSY);
	assert_int_equal(try_flags("b.vhdx", VD_OPEN_LOOK), 0);
	assert_int_equal(try_flags("b.vhdx", VD_OPEN_NO_LOCK), 0);
	/* Other children and readers may share the parent. */
	assert_int_equal(try_flags("a.vhdx", 0), 0);
	assert_int_equal(try_flags("c.vhdx", VD_OPEN_WRITE), 0);
	vd_disk_close(disk, NULL);
	assert_int_equal(try_flags("a.vhdx", VD_OPEN_WRITE), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_child_shows_its_parents),
	    TEST(a_discard_does_not_show_the_parent),
	    TEST(a_child_may_be_longer_than_its_parent),
	    TEST(without_parents_their_part_is_not_readable),
	    TEST(parents_outside_need_a_root),
	    TEST(the_first_folder_counts_for_the_whole_chain),
	    TEST(hostile_paths_are_refused),
	    TEST(links_do_not_lead_out),
	    TEST(devices_and_fifos_are_no_parents),
	    TEST(cycles_are_found),
	    TEST(the_wrong_parent_is_refused),
	    TEST(a_parent_must_be_a_vhdx),
	    TEST(a_later_hint_is_used_if_the_first_fails),
	    TEST(depth_is_bounded),
	    TEST(a_store_finds_parents_only_beneath_roots),
	    TEST(a_store_tries_a_relative_path_from_each_root),
	    TEST(an_open_chain_keeps_writers_off_its_parents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
