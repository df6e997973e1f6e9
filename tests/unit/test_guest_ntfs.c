/* SPDX-License-Identifier: MIT */
/* Files and free space of NTFS made by mkntfs, where The Sleuth Kit's library is installed. */
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
	struct vd_guest_fs *fs = NULL;
	int rc;

	opts.format = "raw";
	if (vd_disk_open(disk, scratch_path(name), &opts, &err))
		fail_msg("%s: %s", name, err.text);
	rc = vd_guest_fs_open(&fs, *disk, 0, vd_disk_size(*disk), &err);
	if (rc == VD_EUNSUPPORTED) {
		/* The text is to name the package that helps. */
		assert_non_null(strstr(err.text, "libtsk"));
		assert_int_equal(vd_disk_close(*disk, &err), 0);
		skip();
	}
	if (rc)
		fail_msg("%s: %s", name, err.text);
	return fs;
}

static void close_image(struct vd_guest_fs *fs, struct vd_disk *disk)
{
	vd_guest_fs_close(fs);
	assert_int_equal(vd_disk_close(disk, &err), 0);
}

static int make_image(void **state)
{
	(void)state;
	return scratch_run("cd '%s' && rm -f n.img && truncate -s 16M n.img && "
			   "mkntfs -q -F -L winvol n.img 2>/dev/null && "
			   "head -c 100000 /dev/urandom > big && printf small > small && "
			   "printf hibr > hiber && ntfscp -qf n.img big Big.bin && "
			   "ntfscp -qf n.img small 'Caf\303\251.txt' && "
			   "cp n.img sleeping.img && ntfscp -qf sleeping.img hiber hiberfil.sys",
			   scratch_dir());
}

static int add_name(void *user, const char *name, const struct vd_file_info *info)
{
	assert_int_equal(info->type, VD_FILE_REGULAR);
	strcat(user, name);
	strcat(user, "|");
	return 0;
}

static void files_are_those_of_the_guest(void **state)
{
	struct vd_disk *disk;
	struct vd_guest_fs *fs = open_image(&disk, "n.img");
	char names[1000] = "", *bytes;
	size_t len;
	FILE *out;

	(void)state;
	assert_string_equal(vd_guest_fs_info(fs)->label, "winvol");
	assert_int_equal(vd_guest_fs_list(fs, "/", add_name, names, &err), 0);
	assert_string_equal(names, "Big.bin|Caf\303\251.txt|");
	/* Case doesn't matter, not even that of an accent. */
	if (vd_guest_fs_slurp(fs, "/BIG.BIN", 1 << 20, &bytes, &len, &err))
		fail_msg("%s", err.text);
	out = fopen(scratch_path("copy"), "wb");
	fwrite(bytes, 1, len, out);
	fclose(out);
	vd_guest_free(bytes);
	assert_int_equal(scratch_run("cd '%s' && cmp big copy", scratch_dir()), 0);
	assert_int_equal(vd_guest_fs_slurp(fs, "/CAF\303\211.TXT", 100, &bytes, &len, &err), 0);
	assert_string_equal(bytes, "small");
	vd_guest_free(bytes);
	assert_int_equal(vd_guest_fs_slurp(fs, "/none", 100, &bytes, &len, &err), VD_ENOENT);
	close_image(fs, disk);
}

static int add_length(void *user, uint64_t start, uint64_t length)
{
	(void)start;
	*(uint64_t *)user += length;
	return 0;
}

static void free_space_is_what_ntfscluster_calls_free(void **state)
{
	struct vd_disk *disk;
	struct vd_guest_fs *fs = open_image(&disk, "n.img");
	uint64_t n = 0;

	(void)state;
	assert_int_equal(vd_guest_fs_free_space(fs, add_length, &n, &err), 0);
	assert_int_equal(scratch_run("cd '%s' && [ \"$(ntfscluster -if n.img 2>/dev/null | "
				     "sed -n 's/^bytes of free space *: //p')\" = %llu ]",
				     scratch_dir(), (unsigned long long)n),
			 0);
	close_image(fs, disk);
}

static void sleeping_windows_isnt_clean(void **state)
{
	struct vd_disk *disk;
	struct vd_guest_fs *fs = open_image(&disk, "sleeping.img");
	uint64_t n = 0;

	(void)state;
	assert_true(vd_guest_fs_is_dirty(fs));
	assert_int_equal(vd_guest_fs_free_space(fs, add_length, &n, &err), VD_EBUSY);
	assert_int_equal(n, 0);
	close_image(fs, disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(files_are_those_of_the_guest),
	    cmocka_unit_test(free_space_is_what_ntfscluster_calls_free),
	    cmocka_unit_test(sleeping_windows_isnt_clean),
	};

	if (!scratch_has("mkntfs") || !scratch_has("ntfscp")) {
		printf("ntfs-3g isn't installed\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, make_image, NULL);
}
