/* SPDX-License-Identifier: MIT */
/*
 * Opening an image and scanning a guest's disk with the first, second, third ... request for memory
 * failing: told as that, nothing leaks, and afterwards the same call gives what it should.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vdisk/disk.h>
#include <vdisk/image.h>
#include <vdisk/meta.h>

#include "fault.h"
#include "scratch.h"

static struct vd_error err;
static unsigned n_problems;
static char problems[2000];

/* A Debian of two packages; `change` is a shell command that comes last. 0: it is there. */
static int make_image(const char *change)
{
	static char bytes[1 << 20];
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_disk *disk;
	FILE *file;

	if (scratch_run(
		"cd '%s' && mkdir -p r/etc r/var/lib/dpkg r/lib/modules/6.1.0-9 && "
		"echo 12.5 >r/etc/debian_version && echo web >r/etc/hostname && "
		"printf 'ID=debian\\nVERSION_ID=12\\nNAME=\"Debian\"\\n' >r/etc/os-release && "
		"printf 'Package: a\\nStatus: install ok installed\\nVersion: 1\\n"
		"Architecture: all\\n\\nPackage: b\\nStatus: install ok installed\\n"
		"Version: 2\\nArchitecture: all\\n' >r/var/lib/dpkg/status && "
		"mke2fs -q -F -t ext4 -d r ext4.img 1M >/dev/null 2>&1 && %s",
		scratch_dir(), change))
		return -1;
	file = fopen(scratch_path("ext4.img"), "rb");
	assert_non_null(file);
	assert_int_equal(fread(bytes, 1, sizeof(bytes), file), sizeof(bytes));
	fclose(file);
	create.virtual_size = sizeof(bytes);
	create.block_size = 1 << 20;
	create.log_size = 1 << 20;
	remove(scratch_path("i.vhdx"));
	assert_int_equal(vd_disk_create(scratch_path("i.vhdx"), &create, NULL), 0);
	opts.flags = VD_OPEN_WRITE;
	assert_int_equal(vd_disk_open(&disk, scratch_path("i.vhdx"), &opts, NULL), 0);
	assert_int_equal(vd_disk_write(disk, bytes, sizeof(bytes), 0, NULL), 0);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
	return 0;
}

static int open_for(enum vd_purpose purpose, struct vd_image **image)
{
	return vd_image_open(image, scratch_path("i.vhdx"), purpose, NULL, NULL, &err);
}

static void open_and_close(enum vd_purpose purpose, const char *name)
{
	unsigned n = 0;
	bool is_hit;

	do {
		size_t blocks = fault_memory_blocks();
		struct vd_image *image = NULL;
		int rc;

		err = (struct vd_error)VD_ERROR_INIT;
		fault_memory_fail(n + 1, false);
		rc = open_for(purpose, &image);
		is_hit = fault_memory_hits() > 0;
		fault_memory_fail(0, false);
		if (rc && (!is_hit || rc != VD_ENOMEM || err.code != rc || !err.text[0]))
			fail_msg("%s: request %u: %d (%s)", name, n + 1, rc, err.text);
		assert_int_equal(vd_image_close(image, NULL), 0);
		if (fault_memory_blocks() != blocks)
			fail_msg("%s: request %u: memory is never given back", name, n + 1);
		n += is_hit;
	} while (is_hit);
	assert_true(n > 10);
	print_message("count: injection points, open an image, %s %u\n", name, n);
}

static void an_image_opens_or_says_why(void **state)
{
	(void)state;
	if (make_image("true"))
		skip();
	open_and_close(VD_PURPOSE_INSPECT, "to inspect");
	open_and_close(VD_PURPOSE_EDIT, "to edit");
}

static void hear_problem(void *user, const char *text)
{
	(void)user;
	assert_true(text[0] != '\0');
	n_problems++;
	if (strlen(problems) + strlen(text) + 2 < sizeof(problems))
		strcat(strcat(problems, text), "\n");
}

static int join_value(void *user, const char *field, const char *value)
{
	char *all = user;

	(void)field;
	if (strlen(all) + strlen(value) + 2 < 1000)
		strcat(strcat(all, value), "|");
	return 0;
}

/* All that was to be found is in the documents. */
static bool is_scanned(struct vd_image *image)
{
	static const char *const fields[] = {"os.id", "os.version", "os.hostname", "os.kernel",
					     "package"};
	char all[1000] = "";

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		vd_meta_get_field(vd_image_meta(image), fields[i], join_value, all, NULL);
	return strcmp(all, "debian12|12.5|web|6.1.0-9|pkg:deb/debian/a@1?arch=all|"
			   "pkg:deb/debian/b@2?arch=all|") == 0;
}

static int scan(struct vd_image *image)
{
	struct vd_scan_opts opts = {
	    .size = sizeof(opts), .flags = VD_SCAN_FILES, .problem = hear_problem};

	n_problems = 0;
	problems[0] = '\0';
	err = (struct vd_error)VD_ERROR_INIT;
	return vd_image_scan(image, &opts, NULL, &err);
}

static void a_scan_is_whole_or_says_why(void **state)
{
	unsigned n = 0, n_usual;
	struct vd_image *image;
	bool is_hit;

	(void)state;
	if (make_image("true"))
		skip();
	assert_int_equal(open_for(VD_PURPOSE_EDIT, &image), 0);
	assert_int_equal(scan(image), 0);
	assert_true(is_scanned(image));
	n_usual = n_problems;
	assert_int_equal(vd_image_close(image, NULL), 0);
	do {
		size_t blocks = fault_memory_blocks();
		int rc;

		assert_int_equal(open_for(VD_PURPOSE_EDIT, &image), 0);
		fault_memory_fail(n + 1, false);
		rc = scan(image);
		is_hit = fault_memory_hits() > 0;
		fault_memory_fail(0, false);
		if (rc && (!is_hit || rc != VD_ENOMEM || err.code != rc || !err.text[0]))
			fail_msg("request %u: %d (%s)", n + 1, rc, err.text);
		if (!rc && n_problems <= n_usual && !is_scanned(image))
			fail_msg("request %u: something is missing, and nothing is said", n + 1);
		assert_int_equal(vd_meta_revert(vd_image_meta(image), NULL), 0);
		if (rc && (scan(image) || !is_scanned(image)))
			fail_msg("request %u failed once, again without a fault: %s", n + 1,
				 err.text);
		assert_int_equal(vd_image_close(image, NULL), 0);
		if (fault_memory_blocks() != blocks)
			fail_msg("request %u: memory is never given back", n + 1);
		n += is_hit;
	} while (is_hit && n < 5000);
	assert_true(n > 50);
	print_message("count: injection points, scan %u\n", n);
}

/* A system that can't be read is told; it isn't the same as none. */
static void a_damaged_file_is_told(void **state)
{
	struct vd_image *image;

	(void)state;
	if (make_image("PATH=$PATH:/sbin:/usr/sbin debugfs -w -R 'clri /etc/os-release' "
		       "ext4.img 2>/dev/null"))
		skip();
	assert_int_equal(open_for(VD_PURPOSE_EDIT, &image), 0);
	assert_int_equal(scan(image), 0);
	assert_false(is_scanned(image));
	assert_non_null(strstr(problems, "os-release"));
	assert_int_equal(vd_image_close(image, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_image_opens_or_says_why),
	    cmocka_unit_test(a_scan_is_whole_or_says_why),
	    cmocka_unit_test(a_damaged_file_is_told),
	};

	fault_memory_watch();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
