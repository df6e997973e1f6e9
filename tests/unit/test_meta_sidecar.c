/* SPDX-License-Identifier: MIT */
/* Sidecars: made when there is something to hold, never for nothing; shared between editors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vdisk/sys/io.h>

#include "metabox.h"
#include "scratch.h"

static struct vd_meta_info info_of(struct metabox *box)
{
	struct vd_meta_info info = {.size = sizeof(info)};

	vd_meta_get_info(box->meta, &info);
	return info;
}

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static char *side_of(const struct metabox *box)
{
	static char path[600];

	snprintf(path, sizeof(path), "%s.vdmeta", box->path);
	return path;
}

/* Open the image as a look, its metadata for writing. */
static void edit_beside(struct metabox *box, const char *dir)
{
	metabox_close(box);
	metabox_open(box, VD_OPEN_LOOK, true, dir);
}

static void make(struct metabox *box, const char *name)
{
	char path[600];

	snprintf(path, sizeof(path), "%s/%s.vdmeta", scratch_dir(), name);
	remove(path);
	metabox_create(box, name, "raw");
	edit_beside(box, NULL);
}

static void test_no_sidecar_for_nothing(void **state)
{
	struct metabox box;

	(void)state;
	make(&box, "nothing.raw");
	assert_string_equal(box.err.text, ""); /* that it has no items is no error */
	assert_int_equal(info_of(&box).place, VD_META_SIDECAR);
	assert_string_equal(info_of(&box).sidecar, side_of(&box));
	metabox_commit(&box);
	metabox_add(&box, "tag", "x");
	assert_int_equal(vd_meta_revert(box.meta, &box.err), 0);
	metabox_commit(&box);
	assert_int_equal(vd_meta_strip(box.meta, &box.err), 0);
	metabox_commit(&box);
	metabox_add(&box, "tag", "x");
	assert_int_equal(vd_meta_remove(box.meta, "tags", &box.err), 0);
	metabox_commit(&box);
	assert_false(exists(side_of(&box)));
	metabox_close(&box);
}

static void test_sidecar_holds_metadata(void **state)
{
	struct vd_disk *disk;
	struct metabox box;

	(void)state;
	make(&box, "some.raw");
	metabox_add(&box, "tag", "x");
	metabox_log(&box, "tag");
	metabox_commit(&box);
	assert_true(exists(side_of(&box)));
	assert_null(info_of(&box).mismatch);
	metabox_add(&box, "tag", "y");
	assert_int_equal(metabox_attach(&box, NULL, "file", 3000000, 3, &box.err), 0);
	metabox_commit(&box);
	metabox_look(&box);
	assert_string_equal(metabox_get(&box, "tag"), "x|y|");
	assert_true(metabox_holds(&box, "file", 3000000, 3));
	assert_int_equal(info_of(&box).n_history, 1);
	assert_false(info_of(&box).has_stale_facts);
	assert_non_null(metabox_record(&box, VD_RECORD_SUBJECT, "subject"));
	/* It is a VHDX like any other, as large as the image. */
	assert_int_equal(vd_disk_open(&disk, side_of(&box), NULL, &box.err), 0);
	assert_int_equal(vd_disk_size(disk), 64 << 20);
	assert_int_equal(vd_disk_close(disk, &box.err), 0);
	metabox_close(&box);
}

static void test_an_empty_sidecar_goes(void **state)
{
	struct metabox box;

	(void)state;
	make(&box, "gone.raw");
	metabox_add(&box, "tag", "x");
	metabox_commit(&box);
	assert_true(exists(side_of(&box)));
	assert_int_equal(vd_meta_strip(box.meta, &box.err), 0);
	metabox_commit(&box);
	assert_false(exists(side_of(&box)));
	assert_null(vd_meta_record(box.meta, 0));
	metabox_add(&box, "tag", "again");
	metabox_commit(&box);
	assert_true(exists(side_of(&box)));
	metabox_close(&box);
}

static void test_a_sidecar_of_another_image_is_told(void **state)
{
	char other[700];
	struct metabox box;

	(void)state;
	make(&box, "mine.raw");
	metabox_add(&box, "tag", "x");
	metabox_commit(&box);
	metabox_close(&box);
	snprintf(other, sizeof(other), "%s/renamed%%.raw", scratch_dir());
	assert_int_equal(scratch_run("cp '%s' '%s' && cp '%s.vdmeta' '%s.vdmeta'", box.path, other,
				     box.path, other),
			 0);
	strcpy(box.path, other);
	metabox_open(&box, VD_OPEN_LOOK, true, NULL);
	assert_non_null(info_of(&box).mismatch);
	assert_non_null(strstr(info_of(&box).mismatch, "mine.raw"));
	assert_string_equal(metabox_get(&box, "tag"), "x|");
	/* The next edit takes it over. */
	metabox_add(&box, "tag", "y");
	metabox_commit(&box);
	assert_null(info_of(&box).mismatch);
	metabox_close(&box);
	assert_int_equal(truncate(other, 128 << 20), 0);
	metabox_open(&box, VD_OPEN_LOOK, false, NULL);
	assert_non_null(strstr(info_of(&box).mismatch, "67108864"));
	assert_non_null(strstr(info_of(&box).mismatch, "134217728"));
	metabox_close(&box);
}

static void test_sidecar_dir_names_it_by_the_path(void **state)
{
	char dir[600], want[800], *real;
	struct metabox box;
	uint8_t digest[32];

	(void)state;
	snprintf(dir, sizeof(dir), "%s/evidence", scratch_dir());
	scratch_run("rm -rf '%s'", dir);
	assert_int_equal(mkdir(dir, 0755), 0);
	/* Also a VHDX that has items of its own is left as it is. */
	metabox_create(&box, "in-dir.vhdx", "vhdx");
	metabox_add(&box, "tag", "inside");
	metabox_commit(&box);
	edit_beside(&box, dir);
	real = realpath(box.path, NULL);
	crypto_generichash(digest, 32, (const uint8_t *)real, strlen(real), NULL, 0);
	free(real);
	snprintf(want, sizeof(want), "%s/in-dir.vhdx-%02x%02x%02x%02x.vdmeta", dir, digest[0],
		 digest[1], digest[2], digest[3]);
	assert_string_equal(info_of(&box).sidecar, want);
	assert_string_equal(metabox_get(&box, "tag"), "");
	metabox_add(&box, "tag", "beside");
	metabox_commit(&box);
	assert_true(exists(want));
	metabox_look(&box);
	assert_string_equal(metabox_get(&box, "tag"), "inside|");
	metabox_close(&box);
	metabox_open(&box, VD_OPEN_LOOK, false, dir);
	assert_string_equal(metabox_get(&box, "tag"), "beside|");
	metabox_close(&box);
}

static void test_a_link_shares_the_sidecar(void **state)
{
	char link[700];
	struct metabox box;

	(void)state;
	make(&box, "linked.raw");
	metabox_add(&box, "tag", "x");
	metabox_commit(&box);
	metabox_close(&box);
	snprintf(link, sizeof(link), "%s/link.raw", scratch_dir());
	remove(link);
	assert_int_equal(symlink("linked.raw", link), 0);
	strcpy(box.path, link);
	metabox_open(&box, VD_OPEN_LOOK, false, NULL);
	assert_string_equal(metabox_get(&box, "tag"), "x|");
	assert_null(info_of(&box).mismatch);
	metabox_close(&box);
}

static void test_two_editors(void **state)
{
	struct metabox a, b;

	(void)state;
	make(&a, "two.raw");
	b = a;
	metabox_open(&b, VD_OPEN_LOOK, true, NULL);
	/* Both make it: the second finds what the first one wrote. */
	metabox_add(&a, "tag", "a");
	metabox_set(&b, "os.id", "debian");
	metabox_commit(&a);
	metabox_commit(&b);
	assert_string_equal(metabox_get(&b, "tag"), "a|");
	assert_string_equal(metabox_get(&b, "os.id"), "debian|");
	/* Different documents: both stay. History: both lines. */
	metabox_add(&a, "tag", "a2");
	metabox_log(&a, "a");
	metabox_set(&b, "hardware.memory", "1G");
	metabox_log(&b, "b");
	metabox_commit(&a);
	metabox_commit(&b);
	assert_string_equal(metabox_get(&b, "tag"), "a|a2|");
	assert_string_equal(metabox_get(&b, "hardware.memory"), "1073741824|");
	assert_int_equal(info_of(&b).n_history, 2);
	/* The same document: the second is told. */
	metabox_add(&a, "tag", "a3");
	metabox_add(&b, "tag", "b3");
	metabox_commit(&a);
	assert_int_equal(vd_meta_commit(b.meta, &b.err), VD_EBUSY);
	assert_non_null(strstr(b.err.text, "meanwhile"));
	assert_true(info_of(&b).has_changes);
	assert_int_equal(vd_meta_revert(b.meta, &b.err), 0);
	metabox_add(&b, "tag", "b3");
	metabox_commit(&b);
	assert_string_equal(metabox_get(&b, "tag"), "a|a2|a3|b3|");
	metabox_close(&a);
	metabox_close(&b);
}

static void test_a_locked_sidecar_is_busy(void **state)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_disk *lock;
	struct metabox box;

	(void)state;
	make(&box, "locked.raw");
	metabox_add(&box, "tag", "x");
	metabox_commit(&box);
	opts.flags = VD_OPEN_WRITE;
	assert_int_equal(vd_disk_open(&lock, side_of(&box), &opts, &box.err), 0);
	metabox_add(&box, "tag", "y");
	assert_int_equal(vd_meta_commit(box.meta, &box.err), VD_EBUSY);
	assert_non_null(strstr(box.err.text, "in use"));
	assert_string_equal(metabox_get(&box, "tag"), "x|y|");
	assert_int_equal(vd_disk_close(lock, &box.err), 0);
	metabox_commit(&box);
	assert_string_equal(metabox_get(&box, "tag"), "x|y|");
	metabox_close(&box);
}

static void test_a_broken_sidecar_leaves_the_image_usable(void **state)
{
	struct metabox box;
	char byte;

	(void)state;
	make(&box, "broken.raw");
	metabox_add(&box, "tag", "x");
	metabox_commit(&box);
	metabox_close(&box);
	assert_int_equal(truncate(side_of(&box), 70000), 0);
	metabox_open(&box, VD_OPEN_LOOK, true, NULL);
	assert_int_equal(info_of(&box).n_damaged, 1);
	assert_non_null(strstr(info_of(&box).mismatch, "can't be read"));
	assert_int_equal(vd_disk_read(box.disk, &byte, 1, 0, &box.err), 0);
	metabox_add(&box, "tag", "y");
	assert_int_equal(vd_meta_commit(box.meta, &box.err), VD_ECORRUPT);
	metabox_close(&box);
}

static void test_items_of_a_read_only_image(void **state)
{
	struct vd_meta_opts opts = VD_META_OPTS_INIT;
	struct vd_meta *meta;
	struct metabox box;

	(void)state;
	metabox_create(&box, "ro.vhdx", "vhdx");
	metabox_look(&box);
	opts.flags = VD_META_WRITE;
	assert_int_equal(vd_meta_open(&meta, box.disk, &opts, &box.err), VD_EROFS);
	assert_non_null(strstr(box.err.text, "sidecar"));
	metabox_close(&box);
}

/* A look that was taken before somebody else changed it shows one state or the other. */
static void test_a_look_follows_changes(void **state)
{
	struct metabox a, b;
	const char *tags;

	(void)state;
	metabox_create(&a, "look.vhdx", "vhdx");
	metabox_add(&a, "tag", "one");
	assert_int_equal(metabox_attach(&a, NULL, "f", 100000, 100, &a.err), 0);
	metabox_commit(&a);
	b = a;
	metabox_open(&b, VD_OPEN_LOOK, false, NULL);
	/* Each change puts the file elsewhere; its old place is used again. */
	for (uint32_t i = 1; i <= 20; i++) {
		metabox_set(&a, "os.id", i % 2 ? "debian" : "alpine");
		assert_int_equal(metabox_attach(&a, NULL, "f", 100000, i, &a.err), 0);
		metabox_commit(&a);
	}
	tags = metabox_get(&b, "tag");
	assert_string_equal(tags, "one|");
	assert_true(metabox_holds(&b, "f", 100000, 100) || metabox_holds(&b, "f", 100000, 20));
	assert_int_equal(vd_meta_revert(b.meta, &b.err), 0);
	assert_int_equal(info_of(&b).n_damaged, 0);
	assert_string_equal(metabox_get(&b, "os.id"), "alpine|");
	assert_true(metabox_holds(&b, "f", 100000, 20));
	metabox_close(&b);
	metabox_close(&a);
}

static void test_an_image_without_a_path(void **state)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_meta_opts mopts = VD_META_OPTS_INIT;
	struct metabox box = {0};
	struct vd_io *io;

	(void)state;
	assert_int_equal(vd_io_open_memory(&io, 1 << 20, &box.err), 0);
	opts.flags = VD_OPEN_WRITE;
	opts.format = "raw";
	assert_int_equal(vd_disk_open_io(&box.disk, io, &opts, &box.err), 0);
	mopts.flags = VD_META_WRITE;
	assert_int_equal(vd_meta_open(&box.meta, box.disk, &mopts, &box.err), 0);
	assert_int_equal(info_of(&box).place, VD_META_NOWHERE);
	metabox_add(&box, "tag", "x");
	assert_int_equal(vd_meta_commit(box.meta, &box.err), VD_EUNSUPPORTED);
	metabox_close(&box);
	vd_io_close(io);
}

static int setup(void **state)
{
	(void)state;
	return sodium_init() < 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_no_sidecar_for_nothing),
	    cmocka_unit_test(test_sidecar_holds_metadata),
	    cmocka_unit_test(test_an_empty_sidecar_goes),
	    cmocka_unit_test(test_a_sidecar_of_another_image_is_told),
	    cmocka_unit_test(test_sidecar_dir_names_it_by_the_path),
	    cmocka_unit_test(test_a_link_shares_the_sidecar),
	    cmocka_unit_test(test_two_editors),
	    cmocka_unit_test(test_a_locked_sidecar_is_busy),
	    cmocka_unit_test(test_a_broken_sidecar_leaves_the_image_usable),
	    cmocka_unit_test(test_items_of_a_read_only_image),
	    cmocka_unit_test(test_a_look_follows_changes),
	    cmocka_unit_test(test_an_image_without_a_path),
	};

	return cmocka_run_group_tests_name("meta_sidecar", tests, setup, NULL);
}
