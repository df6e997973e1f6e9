/* SPDX-License-Identifier: MIT */
/*
 * Guests' disks, with the first, second, third ... read and request for memory failing: the right
 * code with words, or the same as without the fault, or less and a word about it; nothing leaks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vdisk/disk.h>
#include <vdisk/guest.h>

#include "fault.h"
#include "guestgen.h"
#include "scratch.h"

/* What was found, in a number, and how much was told to be missing. */
struct found {
	uint64_t sum;
	unsigned n_problems;
	struct vd_error err;
};

static void add(struct found *found, const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		found->sum = (found->sum ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3;
}

static void add_text(struct found *found, const char *text)
{
	add(found, text, strlen(text) + 1);
}

static int read_layout(struct vd_disk *disk, struct found *found)
{
	struct vd_layout *layout = NULL;
	int rc = vd_guest_read_layout(&layout, disk, &found->err);

	if (rc)
		return rc;
	found->n_problems += layout->problem != NULL;
	add(found, &layout->scheme, sizeof(layout->scheme));
	add_text(found, layout->disk_uuid);
	for (size_t i = 0; i < layout->n_partitions; i++) {
		const struct vd_partition *p = &layout->partitions[i];

		add(found, &p->number, sizeof(p->number));
		add(found, &p->start, sizeof(p->start));
		add(found, &p->length, sizeof(p->length));
		add_text(found, p->type);
		add_text(found, p->uuid);
		add_text(found, p->filesystem.type);
		add_text(found, p->filesystem.label);
		add_text(found, p->filesystem.uuid);
	}
	vd_layout_free(layout);
	return 0;
}

static void hear_problem(void *user, const char *path, const struct vd_error *why)
{
	(void)path;
	assert_true(why->text[0] != '\0');
	((struct found *)user)->n_problems++;
}

static int hear_file(void *user, const char *path, const struct vd_file_info *info,
		     struct vd_guest_file *file)
{
	struct found *found = user;
	char bytes[4096];
	size_t n = 0;
	int rc;

	add_text(found, path);
	add(found, &info->type, sizeof(info->type));
	add(found, &info->size, sizeof(info->size));
	if (!file)
		return 0;
	rc = vd_guest_file_read(file, bytes, sizeof(bytes), 0, &n, &found->err);
	if (!rc)
		add(found, bytes, n);
	return rc;
}

static int hear_free(void *user, uint64_t start, uint64_t length)
{
	add(user, &start, sizeof(start));
	add(user, &length, sizeof(length));
	return 0;
}

static int read_files(struct vd_disk *disk, struct found *found)
{
	struct vd_guest_fs *fs = NULL;
	int rc = vd_guest_fs_open(&fs, disk, 0, vd_disk_size(disk), &found->err);

	if (!rc)
		rc = vd_guest_fs_walk(fs, "/", hear_file, hear_problem, found, &found->err);
	if (!rc)
		rc = vd_guest_fs_free_space(fs, hear_free, found, &found->err);
	vd_guest_fs_close(fs);
	return rc;
}

/* ---- a fault */

static struct store *disk_bytes;

static int run(int (*look)(struct vd_disk *, struct found *), struct fault *fault,
	       struct found *found)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_io *io = fault_io(fault);
	struct vd_disk *disk;
	enum fault_call call = fault->call;
	uint64_t nth = fault->nth;
	int rc;

	memset(found, 0, sizeof(*found));
	opts.format = "raw";
	fault_disarm(fault);
	assert_int_equal(vd_disk_open_io(&disk, io, &opts, NULL), 0);
	if (call == FAULT_READ)
		fault_arm(fault, call, nth, EIO);
	else
		fault_memory_fail(nth, false);
	rc = look(disk, found);
	fault_disarm(fault);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
	vd_io_close(io);
	return rc;
}

static unsigned strike_all(const char *name, int (*look)(struct vd_disk *, struct found *),
			   enum fault_call call)
{
	struct fault fault = {.store = disk_bytes, .call = FAULT_N_CALLS};
	size_t blocks = fault_memory_blocks();
	struct found want, found;
	int rc = run(look, &fault, &want), code = call == FAULT_READ ? VD_EIO : VD_ENOMEM;

	if (rc)
		fail_msg("%s: without a fault: %s", name, want.err.text);
	for (uint64_t n = 1;; n++) {
		bool is_hit;

		fault.call = call;
		fault.nth = n;
		fault.n_hit = 0;
		rc = run(look, &fault, &found);
		is_hit = call == FAULT_READ ? fault.n_hit > 0 : fault_memory_hits() > 0;
		fault_memory_fail(0, false);
		if (rc && (!is_hit || rc != code || found.err.code != rc || !found.err.text[0]))
			fail_msg("%s: %s %" PRIu64 ": the answer is %d (%s)", name,
				 fault_call_name(call), n, rc, found.err.text);
		if (!rc && found.sum != want.sum && found.n_problems <= want.n_problems)
			fail_msg("%s: %s %" PRIu64 " failed, what was found is other than "
				 "before, and nothing is said",
				 name, fault_call_name(call), n);
		if (fault_memory_blocks() != blocks)
			fail_msg("%s: %s %" PRIu64 ": memory is never given back", name,
				 fault_call_name(call), n);
		if (!is_hit)
			return (unsigned)n - 1;
		assert_true(n < 5000);
	}
}

static unsigned strike_both(const char *name, int (*look)(struct vd_disk *, struct found *))
{
	unsigned n = strike_all(name, look, FAULT_READ);

	assert_true(n > 0);
	return n + strike_all(name, look, FAULT_N_CALLS);
}

static void tables_and_superblocks(void **state)
{
	unsigned n = 0;

	(void)state;
	for (enum guest_kind kind = GUEST_MBR; kind < N_GUESTS; kind++) {
		struct guestgen g;

		guestgen_make(&g, kind);
		disk_bytes = store_new(NULL);
		store_write(disk_bytes, g.bytes, g.len, 0);
		n += strike_both(g.name, read_layout);
		store_free(disk_bytes);
		guestgen_free(&g);
	}
	print_message("count: injection points, layouts of guests %u\n", n);
}

static void files_of_fat(void **state)
{
	static const enum guest_kind kinds[] = {GUEST_FAT12, GUEST_FAT16, GUEST_FAT32, GUEST_EXFAT};
	unsigned n = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct guestgen g;

		guestgen_make(&g, kinds[i]);
		disk_bytes = store_new(NULL);
		store_write(disk_bytes, g.bytes, g.len, 0);
		n += strike_both(g.name, read_files);
		store_free(disk_bytes);
		guestgen_free(&g);
	}
	print_message("count: injection points, files of FAT and exFAT %u\n", n);
}

static void files_of_ext4(void **state)
{
	(void)state;
	if (scratch_run("cd '%s' && mkdir -p tree/a/b && echo one >tree/a/one && "
			"seq 2000 >tree/a/b/two && ln -sf one tree/a/link && "
			"mke2fs -q -F -t ext4 -d tree ext4.img 1M >/dev/null 2>&1",
			scratch_dir()))
		skip();
	disk_bytes = store_new(NULL);
	assert_true(store_load(disk_bytes, scratch_path("ext4.img")));
	print_message("count: injection points, files of ext4 %u\n",
		      strike_both("ext4", read_files));
	store_free(disk_bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tables_and_superblocks),
	    cmocka_unit_test(files_of_fat),
	    cmocka_unit_test(files_of_ext4),
	};

	fault_memory_watch();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
