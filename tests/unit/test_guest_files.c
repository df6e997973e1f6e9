/* SPDX-License-Identifier: MIT */
/* Files in a guest's file system: paths, links, walks and free space of ext2/3/4 made by mke2fs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <vdisk/disk.h>
#include <vdisk/guest.h>

#include "scratch.h"

static struct vd_error err;

static struct vd_guest_fs *open_image(struct vd_disk **disk, const char *name)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_guest_fs *fs;

	opts.format = "raw";
	if (vd_disk_open(disk, scratch_path(name), &opts, &err) ||
	    vd_guest_fs_open(&fs, *disk, 0, vd_disk_size(*disk), &err))
		fail_msg("%s: %s", name, err.text);
	return fs;
}

static void close_image(struct vd_guest_fs *fs, struct vd_disk *disk)
{
	vd_guest_fs_close(fs);
	assert_int_equal(vd_disk_close(disk, &err), 0);
}

/* A tree as a guest has it, and file systems that hold it. */
static int make_images(void **state)
{
	(void)state;
	if (scratch_run(
		"cd '%s' && rm -rf tree && mkdir -p tree/usr/bin tree/usr/lib tree/etc "
		"tree/var/empty && ln -s usr/bin tree/bin && ln -s usr/lib tree/lib && "
		"printf 'ID=debian\\n' > tree/usr/lib/os-release && "
		"ln -s ../usr/lib/os-release tree/etc/os-release && "
		"ln -s loop2 tree/etc/loop1 && ln -s loop1 tree/etc/loop2 && "
		"ln -s /etc/os-release tree/usr/absolute && "
		"ln -s ../../../../etc tree/usr/lib/above && "
		"ln -s $(printf %%0100d 7) tree/etc/long && "
		"head -c 300000 /dev/urandom > tree/usr/bin/sh && "
		"printf x > tree/etc/a && printf y > tree/etc/a.c && mkdir tree/etc/a.d && "
		"truncate -s 5G tree/var/sparse && printf end >> tree/var/sparse && "
		"printf odd > \"$(printf 'tree/etc/n\\377me')\" && "
		"printf tab > \"$(printf 'tree/etc/t\\tab')\" && "
		"d=tree/deep && for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; "
		"do d=$d/d$i; done && mkdir -p $d && printf deep > $d/file",
		scratch_dir()) ||
	    scratch_run(
		"cd '%s' && for t in ext2 ext3 ext4; do rm -f $t.img; "
		"mke2fs -q -F -t $t -d tree $t.img 24M || exit 1; done && rm -f small.img && "
		"mke2fs -q -F -t ext4 -b 1024 -O inline_data,metadata_csum -I 256 -d tree "
		"small.img 24M",
		scratch_dir()))
		return -1;
	return 0;
}

static const char *const images[] = {"ext2.img", "ext3.img", "ext4.img", "small.img"};

static void expect_text(struct vd_guest_fs *fs, const char *path, const char *text)
{
	char *bytes;
	size_t len;

	if (vd_guest_fs_slurp(fs, path, 1000, &bytes, &len, &err))
		fail_msg("%s", err.text);
	assert_int_equal(len, strlen(text));
	assert_string_equal(bytes, text);
	vd_guest_free(bytes);
}

static void paths_lead_through_links(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct vd_file_info info;
		struct vd_disk *disk;
		struct vd_guest_fs *fs = open_image(&disk, images[i]);
		char target[200];

		expect_text(fs, "/etc/os-release", "ID=debian\n");
		expect_text(fs, "/lib/os-release", "ID=debian\n");
		expect_text(fs, "/usr/absolute", "ID=debian\n");
		expect_text(fs, "/usr/lib/above/a", "x");
		expect_text(fs, "//etc/../etc/./a.c", "y");
		expect_text(fs, "/../../etc/a", "x");
		expect_text(fs,
			    "/deep/d1/d2/d3/d4/d5/d6/d7/d8/d9/d10/d11/d12/d13/d14/d15/d16/d17/"
			    "d18/d19/d20/file",
			    "deep");
		assert_int_equal(
		    vd_guest_fs_readlink(fs, "/etc/os-release", target, sizeof(target), &err), 0);
		assert_string_equal(target, "../usr/lib/os-release");
		assert_int_equal(
		    vd_guest_fs_readlink(fs, "/etc/long", target, sizeof(target), &err), 0);
		assert_int_equal(strlen(target), 100);
		assert_int_equal(vd_guest_fs_readlink(fs, "/etc/long", target, 100, &err),
				 VD_ERANGE);
		assert_int_equal(vd_guest_fs_stat(fs, "/bin", &info, &err), 0);
		assert_int_equal(info.type, VD_FILE_FOLDER);
		assert_int_equal(vd_guest_fs_stat(fs, "/", &info, &err), 0);
		assert_int_equal(info.type, VD_FILE_FOLDER);
		close_image(fs, disk);
	}
}

static void what_isnt_there_is_said(void **state)
{
	struct vd_disk *disk;
	struct vd_guest_fs *fs = open_image(&disk, "ext4.img");
	struct vd_file_info info;
	char *bytes;
	size_t len;

	(void)state;
	assert_int_equal(vd_guest_fs_stat(fs, "/etc/none", &info, &err), VD_ENOENT);
	assert_non_null(strstr(err.text, "/etc/none"));
	assert_int_equal(vd_guest_fs_stat(fs, "/etc/a/b", &info, &err), VD_ENOENT);
	assert_int_equal(vd_guest_fs_stat(fs, "etc", &info, &err), VD_EINVAL);
	assert_int_equal(vd_guest_fs_stat(fs, "/etc/loop1", &info, &err), VD_ECORRUPT);
	assert_non_null(strstr(err.text, "circle"));
	assert_int_equal(vd_guest_fs_slurp(fs, "/etc", 10, &bytes, &len, &err), VD_EINVAL);
	assert_int_equal(vd_guest_fs_slurp(fs, "/usr/bin/sh", 1000, &bytes, &len, &err), VD_ERANGE);
	assert_int_equal(vd_guest_fs_stat(fs, "/etc/none", &info, NULL), VD_ENOENT);
	close_image(fs, disk);
}

static void names_that_are_no_text_can_be_opened_as_shown(void **state)
{
	struct vd_disk *disk;
	struct vd_guest_fs *fs = open_image(&disk, "ext4.img");

	(void)state;
	expect_text(fs, "/etc/n\xef\xbf\xbdme", "odd");
	expect_text(fs,
		    "/etc/t\xef\xbf\xbd"
		    "ab",
		    "tab");
	close_image(fs, disk);
}

static void files_read_at_any_offset(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct vd_disk *disk;
		struct vd_guest_fs *fs = open_image(&disk, images[i]);
		char *whole = malloc(300000), *copy = malloc(300001), end[10];
		FILE *file = fopen(scratch_path("tree/usr/bin/sh"), "rb");
		size_t n;

		assert_int_equal(fread(copy, 1, 300000, file), 300000);
		fclose(file);
		for (size_t at = 0; at < 300000; at += 7777) {
			assert_int_equal(vd_guest_fs_read(fs, "/bin/sh", whole, 7777, at, &n, &err),
					 0);
			assert_int_equal(n, at + 7777 < 300000 ? 7777 : 300000 - at);
			assert_memory_equal(whole, copy + at, n);
		}
		assert_int_equal(vd_guest_fs_read(fs, "/bin/sh", whole, 10, 300000, &n, &err), 0);
		assert_int_equal(n, 0);
		assert_int_equal(vd_guest_fs_read(fs, "/bin/sh", whole, 10, UINT64_MAX, &n, &err),
				 0);
		assert_int_equal(n, 0);
		/* A hole of 5 GiB costs no memory and no time. */
		assert_int_equal(
		    vd_guest_fs_read(fs, "/var/sparse", end, 10, 5368709120u - 4, &n, &err), 0);
		assert_int_equal(n, 7);
		assert_memory_equal(end, "\0\0\0\0end", 7);
		free(whole);
		free(copy);
		close_image(fs, disk);
	}
}

/* ---- walks ---- */

struct seen {
	FILE *out;
	size_t n, n_problems;
	char problem[600];
};

static int see(void *user, const char *path, const struct vd_file_info *info,
	       struct vd_guest_file *file)
{
	struct seen *seen = user;
	static const char types[] = "ofdl";

	assert_int_equal(file != NULL, info->type == VD_FILE_REGULAR);
	seen->n++;
	/* As find prints it: the size of what has one. */
	fprintf(seen->out, "%c %llu %lld %o %s\n", types[info->type],
		info->type == VD_FILE_FOLDER ? 0ull : (unsigned long long)info->size,
		(long long)info->mtime, info->mode, path);
	return 0;
}

static void hear_problem(void *user, const char *path, const struct vd_error *why)
{
	struct seen *seen = user;

	seen->n_problems++;
	snprintf(seen->problem, sizeof(seen->problem), "%s: %.500s", path, why->text);
}

static void walk_lists_what_find_lists(void **state)
{
	(void)state;
	/* Names that aren't text differ, as they are shown with U+FFFD. */
	assert_int_equal(
	    scratch_run("cd '%s/tree' && find . -mindepth 1 ! -name 't*ab' ! -name 'n?me' "
			"-printf '%%y %%s %%Ts %%m %%P\\n' | "
			"sed -e 's/^\\([dfl]\\) \\([0-9]*\\) \\([0-9]*\\) \\([0-7]*\\) /\\1 \\2 "
			"\\3 \\4 \\//' "
			"-e 's/^d [0-9]*/d 0/' | "
			"LC_ALL=C sort > ../find.txt",
			scratch_dir()),
	    0);
	for (size_t i = 0; i < 4; i++) {
		struct vd_disk *disk;
		struct vd_guest_fs *fs = open_image(&disk, images[i]);
		struct seen seen = {.out = fopen(scratch_path("walk.txt"), "w")};

		assert_int_equal(vd_guest_fs_walk(fs, "/", see, hear_problem, &seen, &err), 0);
		fclose(seen.out);
		assert_int_equal(seen.n_problems, 0);
		assert_int_equal(
		    scratch_run(
			"cd '%s' && grep -v -e lost+found -e '/t.*ab$' -e '/n.*me$' walk.txt | "
			"LC_ALL=C sort > sorted.txt && diff find.txt sorted.txt",
			scratch_dir()),
		    0);
		/* A folder, what is in it, then what follows it: "a", "a.c", "a.d" as names. */
		assert_int_equal(
		    scratch_run("cd '%s' && sed 's/^[^/]*//' walk.txt | tr / '\\001' | "
				"LC_ALL=C sort -c",
				scratch_dir()),
		    0);
		close_image(fs, disk);
	}
}

static void loop_of_folders_is_walked_once(void **state)
{
	struct seen seen = {.out = fopen(scratch_path("walk.txt"), "w")};
	struct vd_disk *disk;
	struct vd_guest_fs *fs;

	(void)state;
	assert_int_equal(
	    scratch_run("cd '%s' && cp ext4.img loop.img && "
			"debugfs -w -R 'ln /usr /usr/lib/again' loop.img 2>/dev/null && "
			"debugfs -w -R 'ln / /etc/root' loop.img 2>/dev/null",
			scratch_dir()),
	    0);
	fs = open_image(&disk, "loop.img");
	assert_int_equal(vd_guest_fs_walk(fs, "/", see, hear_problem, &seen, &err), 0);
	fclose(seen.out);
	assert_int_equal(seen.n_problems, 2);
	assert_non_null(strstr(seen.problem, "another path"));
	assert_in_range(seen.n, 20, 100);
	close_image(fs, disk);
}

static int stop_at_third(void *user, const char *path, const struct vd_file_info *info,
			 struct vd_guest_file *file)
{
	(void)path, (void)info, (void)file;
	return ++*(int *)user == 3 ? 42 : 0;
}

static void walk_ends_when_told(void **state)
{
	struct vd_disk *disk;
	struct vd_guest_fs *fs = open_image(&disk, "ext4.img");
	int n = 0;

	(void)state;
	assert_int_equal(vd_guest_fs_walk(fs, "/", stop_at_third, NULL, &n, &err), 42);
	assert_int_equal(n, 3);
	close_image(fs, disk);
}

/* ---- free space ---- */

static int print_blocks(void *user, uint64_t start, uint64_t length)
{
	assert_int_equal(start % 1024, 0);
	for (uint64_t at = start; at < start + length; at += 1024)
		fprintf(user, "%llu\n", (unsigned long long)(at / 1024));
	return 0;
}

static void free_space_is_what_dumpe2fs_calls_free(void **state)
{
	static const char *const more[] = {"ext2.img",  "ext3.img",    "ext4.img",
					   "small.img", "cluster.img", "old.img"};

	(void)state;
	assert_int_equal(
	    scratch_run(
		"cd '%s' && rm -f cluster.img old.img && "
		"mke2fs -q -F -t ext4 -O bigalloc,^has_journal -C 16384 -d tree cluster.img 40M "
		"2>/dev/null && "
		/* Groups that were never used, with copies of the superblock in some. */
		"mke2fs -q -F -t ext4 -b 1024 -g 1024 -O uninit_bg,^flex_bg,^metadata_csum "
		"-d tree old.img 60M",
		scratch_dir()),
	    0);
	for (size_t i = 0; i < 6; i++) {
		FILE *out = fopen(scratch_path("free.txt"), "w");
		struct vd_disk *disk;
		struct vd_guest_fs *fs = open_image(&disk, more[i]);

		assert_int_equal(vd_guest_fs_free_space(fs, print_blocks, out, &err), 0);
		fclose(out);
		close_image(fs, disk);
		/* In units of 1 KiB: dumpe2fs counts blocks, or clusters in the bitmap. */
		assert_int_equal(
		    scratch_run(
			"cd '%s' && dumpe2fs %s 2>/dev/null | awk '"
			"/^Block size:/ { k = c = $3 / 1024 } "
			/* It names the last cluster by its first block. */
			"/^Cluster size:/ { c = $3 / 1024 } "
			"/^  Free blocks: ./ { sub(/^  Free blocks: /, \"\"); "
			"n = split($0, runs, /, */); for (i = 1; i <= n; i++) { "
			"m = split(runs[i], r, \"-\"); if (m == 1) r[2] = r[1]; "
			"e = (r[2] + 1) * k; if (e %% c && c > k) e += c - k; for (b = r[1] * k; b "
			"< e; b++) print b } }' "
			"> expected.txt && [ -s expected.txt ] && cmp expected.txt free.txt",
			scratch_dir(), more[i]),
		    0);
	}
}

static int count_calls(void *user, uint64_t start, uint64_t length)
{
	(void)start, (void)length;
	++*(int *)user;
	return 0;
}

static void free_space_of_a_dirty_one_is_refused(void **state)
{
	static const char *const how[] = {"feature needs_recovery", "ssv state 0", "ssv state 3"};
	struct vd_file_info info;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct vd_disk *disk;
		struct vd_guest_fs *fs;
		int n = 0;

		assert_int_equal(scratch_run("cd '%s' && cp ext4.img dirty.img && "
					     "debugfs -w -R '%s' dirty.img >/dev/null 2>&1",
					     scratch_dir(), how[i]),
				 0);
		fs = open_image(&disk, "dirty.img");
		assert_true(vd_guest_fs_is_dirty(fs));
		assert_int_equal(vd_guest_fs_free_space(fs, count_calls, &n, &err), VD_EBUSY);
		assert_int_equal(n, 0);
		assert_int_equal(vd_guest_fs_stat(fs, "/etc/a", &info, &err), 0);
		close_image(fs, disk);
	}
}

static void free_space_needs_agreeing_counts(void **state)
{
	struct vd_disk *disk;
	struct vd_guest_fs *fs;
	int n = 0;

	(void)state;
	assert_int_equal(scratch_run("cd '%s' && cp ext2.img wrong.img && "
				     "debugfs -w -R 'setb 4000 2' wrong.img >/dev/null 2>&1 && "
				     "debugfs -w -R 'set_bg 0 free_blocks_count 77' wrong.img "
				     ">/dev/null 2>&1",
				     scratch_dir()),
			 0);
	fs = open_image(&disk, "wrong.img");
	assert_int_equal(vd_guest_fs_free_space(fs, count_calls, &n, &err), VD_ECORRUPT);
	assert_non_null(strstr(err.text, "group"));
	close_image(fs, disk);
}

/* ---- hostile ones ---- */

static int read_some(void *user, const char *path, const struct vd_file_info *info,
		     struct vd_guest_file *file)
{
	char buf[5000];
	size_t n;

	(void)path;
	if (file)
		(void)vd_guest_file_read(file, buf, sizeof(buf), info->size / 2, &n, NULL);
	return ++*(int *)user > 5000 ? 1 : 0;
}

/* Bytes of the metadata changed at random: whatever comes of it, it ends. */
static void broken_ones_end(void **state)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	int n_opened = 0;

	(void)state;
	opts.format = "raw";
	opts.flags = VD_OPEN_WRITE;
	assert_int_equal(scratch_run("cd '%s' && cp ext2.img broken.img", scratch_dir()), 0);
	for (unsigned int seed = 1; seed <= 60; seed++) {
		struct vd_disk *disk;
		struct vd_guest_fs *fs;
		unsigned int random = seed;
		int n = 0;

		assert_int_equal(vd_disk_open(&disk, scratch_path("broken.img"), &opts, &err), 0);
		for (int i = 0; i < 40; i++) {
			uint8_t byte = (uint8_t)rand_r(&random);
			uint64_t at = (uint64_t)rand_r(&random) % (seed % 3 ? 65536 : 2 << 20);

			at = seed % 4 || at < 1024 || at >= 2048 ? at : at + 1024;
			assert_int_equal(vd_disk_write(disk, &byte, 1, at, &err), 0);
		}
		if (!vd_guest_fs_open(&fs, disk, 0, vd_disk_size(disk), &err)) {
			n_opened++;
			(void)vd_guest_fs_walk(fs, "/", read_some, NULL, &n, &err);
			(void)vd_guest_fs_free_space(fs, count_calls, &n, &err);
			vd_guest_fs_close(fs);
		}
		assert_int_equal(vd_disk_close(disk, &err), 0);
		if (seed % 5 == 0)
			assert_int_equal(
			    scratch_run("cd '%s' && cp ext2.img broken.img", scratch_dir()), 0);
	}
	assert_in_range(n_opened, 10, 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(paths_lead_through_links),
	    cmocka_unit_test(what_isnt_there_is_said),
	    cmocka_unit_test(names_that_are_no_text_can_be_opened_as_shown),
	    cmocka_unit_test(files_read_at_any_offset),
	    cmocka_unit_test(walk_lists_what_find_lists),
	    cmocka_unit_test(loop_of_folders_is_walked_once),
	    cmocka_unit_test(walk_ends_when_told),
	    cmocka_unit_test(free_space_is_what_dumpe2fs_calls_free),
	    cmocka_unit_test(free_space_of_a_dirty_one_is_refused),
	    cmocka_unit_test(free_space_needs_agreeing_counts),
	    cmocka_unit_test(broken_ones_end),
	};

	return cmocka_run_group_tests(tests, make_images, NULL);
}
