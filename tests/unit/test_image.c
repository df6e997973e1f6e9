/* SPDX-License-Identifier: MIT */
/* Images opened for a purpose: what enters the history and when, and what is never written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include <vdisk/image.h>
#include <vdisk/item.h>
#include <vdisk/sys/io.h>

#include "scratch.h"

#define MIB (1u << 20)

static const enum vd_purpose read_only[] = {
    VD_PURPOSE_INSPECT,  VD_PURPOSE_SEARCH,  VD_PURPOSE_MAP,    VD_PURPOSE_CHECK,
    VD_PURPOSE_MOUNT_RO, VD_PURPOSE_CONVERT, VD_PURPOSE_EXPORT,
};
#define N_READ_ONLY (sizeof(read_only) / sizeof(read_only[0]))

/* ---- making and looking ---- */

static const char *make(const char *name, const char *format, uint64_t size)
{
	struct vd_create_opts opts = VD_CREATE_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	const char *path = scratch_path(name);

	remove(path);
	opts.format = format;
	opts.virtual_size = size;
	if (vd_disk_create(path, &opts, &err))
		fail_msg("%s", err.text);
	return path;
}

static struct vd_image *open_with(const char *path, enum vd_purpose purpose,
				  const struct vd_image_opts *opts)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_image *image = NULL;

	if (vd_image_open(&image, path, purpose, NULL, opts, &err))
		fail_msg("%s: %s", path, err.text);
	return image;
}

static struct vd_image *open_for(const char *path, enum vd_purpose purpose)
{
	return open_with(path, purpose, NULL);
}

static void close_ok(struct vd_image *image)
{
	struct vd_error err = VD_ERROR_INIT;

	if (vd_image_close(image, &err))
		fail_msg("%s", err.text);
}

static void tag(const char *path)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_image *image = open_for(path, VD_PURPOSE_EDIT);

	if (vd_meta_set_field(vd_image_meta(image), "tag", VD_FIELD_ADD, "web", &err) ||
	    vd_image_commit(image, "tag", "+web", &err))
		fail_msg("%s", err.text);
	close_ok(image);
}

static void write_at(struct vd_image *image, uint64_t offset)
{
	struct vd_error err = VD_ERROR_INIT;

	if (vd_disk_write(vd_image_disk(image), "guest", 5, offset, &err))
		fail_msg("%s", err.text);
}

struct history {
	unsigned n;
	char operations[512]; /* joined by commas */
	char last_actor[64], last_host[64], last_parameters[128];
};

static int keep_entry(void *user, const struct vd_history_entry *entry)
{
	struct history *h = user;
	size_t len = strlen(h->operations);

	assert_true(entry->is_linked);
	snprintf(h->operations + len, sizeof(h->operations) - len, "%s%s", h->n++ ? "," : "",
		 entry->op.operation);
	snprintf(h->last_actor, sizeof(h->last_actor), "%s",
		 entry->op.actor ? entry->op.actor : "");
	snprintf(h->last_host, sizeof(h->last_host), "%s", entry->op.host ? entry->op.host : "");
	snprintf(h->last_parameters, sizeof(h->last_parameters), "%s",
		 entry->op.parameters ? entry->op.parameters : "");
	return 0;
}

/** The history as another program would see it now. */
static struct history look(const char *path)
{
	struct vd_image *image = open_for(path, VD_PURPOSE_INSPECT);
	struct history h = {0};
	int rc = vd_meta_read_history(vd_image_meta(image), keep_entry, &h, NULL, NULL);

	assert_true(rc == 0 || rc == VD_ENOENT);
	close_ok(image);
	return h;
}

static void assert_history(const char *path, const char *operations)
{
	struct history h = look(path);

	assert_string_equal(h.operations, operations);
}

static int count_value(void *user, const char *field, const char *value)
{
	(void)field;
	(void)value;
	++*(unsigned *)user;
	return 0;
}

static unsigned count(struct vd_image *image, const char *field)
{
	unsigned n = 0;

	vd_meta_get_field(vd_image_meta(image), field, count_value, &n, NULL);
	return n;
}

/* ---- purposes ---- */

static void purposes_have_names_and_say_whether_they_write(void **state)
{
	(void)state;
	assert_string_equal(vd_purpose_name(VD_PURPOSE_MOUNT_RW), "mount-rw");
	assert_string_equal(vd_purpose_name(VD_PURPOSE_EDIT), "edit");
	assert_string_equal(vd_purpose_name((enum vd_purpose)99), "unknown");
	assert_true(vd_purpose_writes(VD_PURPOSE_RUN));
	assert_true(vd_purpose_writes(VD_PURPOSE_COMPACT));
	assert_false(vd_purpose_writes((enum vd_purpose)0));
	for (size_t i = 0; i < N_READ_ONLY; i++)
		assert_false(vd_purpose_writes(read_only[i]));
}

static void wrong_options_are_refused(void **state)
{
	struct vd_image_opts opts = VD_IMAGE_OPTS_INIT;
	const char *path = make("a.vhdx", NULL, 8 * MIB);
	struct vd_error err = VD_ERROR_INIT;
	struct vd_image *image;

	(void)state;
	assert_int_equal(vd_image_open(&image, path, (enum vd_purpose)0, NULL, NULL, &err),
			 VD_EINVAL);
	opts.flags = 0x80;
	assert_int_equal(vd_image_open(&image, path, VD_PURPOSE_EDIT, NULL, &opts, &err),
			 VD_EINVAL);
	opts.flags = 0;
	opts.size = 1;
	assert_int_equal(vd_image_open(&image, path, VD_PURPOSE_EDIT, NULL, &opts, &err),
			 VD_EINVAL);
	assert_int_equal(
	    vd_image_open(&image, scratch_path("none.vhdx"), VD_PURPOSE_EDIT, NULL, NULL, &err),
	    VD_ENOENT);
	assert_int_equal(vd_image_close(NULL, NULL), 0);
}

static void read_only_purposes_write_nothing(void **state)
{
	const char *path = make("a.vhdx", NULL, 8 * MIB), *copy = scratch_path("copy");
	struct stat before, after;

	(void)state;
	tag(path);
	assert_int_equal(scratch_run("cp %s %s", path, copy), 0);
	assert_int_equal(stat(path, &before), 0);
	for (size_t i = 0; i < N_READ_ONLY; i++) {
		struct vd_image *image = open_for(path, read_only[i]);
		struct vd_error err = VD_ERROR_INIT;
		struct vd_io_stats io = {0};

		assert_int_equal(vd_disk_write(vd_image_disk(image), "x", 1, 0, &err), VD_EROFS);
		assert_int_equal(count(image, "tag"), 1);
		assert_int_not_equal(
		    vd_meta_set_field(vd_image_meta(image), "title", VD_FIELD_SET, "T", &err) ||
			vd_image_commit(image, NULL, NULL, &err),
		    0);
		vd_io_get_stats(vd_disk_io(vd_image_disk(image)), &io);
		assert_int_equal(io.n_writes + io.n_truncates + io.n_punches + io.n_syncs, 0);
		close_ok(image);
	}
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
	assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
	assert_int_equal(scratch_run("cmp -s %s %s", path, copy), 0);
}

/* ---- history ---- */

static void the_first_write_of_an_opening_is_an_entry(void **state)
{
	const char *path = make("a.vhdx", NULL, 8 * MIB);
	struct vd_image *image;

	(void)state;
	tag(path);
	image = open_for(path, VD_PURPOSE_RUN);
	assert_history(path, "tag");
	write_at(image, 0);
	/* Durable before the change, and not only at the end. */
	assert_history(path, "tag,run");
	write_at(image, 4 * MIB);
	assert_int_equal(vd_disk_discard(vd_image_disk(image), 0, 2 * MIB, NULL), 0);
	close_ok(image);
	assert_history(path, "tag,run");
	image = open_for(path, VD_PURPOSE_MOUNT_RW);
	close_ok(image);
	assert_history(path, "tag,run");
	image = open_for(path, VD_PURPOSE_MOUNT_RW);
	assert_int_equal(vd_disk_write_zeroes(vd_image_disk(image), 0, 4 * MIB, 0, NULL), 0);
	close_ok(image);
	assert_history(path, "tag,run,mount-rw");
}

static void nothing_is_added_to_an_image_without_records(void **state)
{
	const char *path = make("a.vhdx", NULL, 8 * MIB), *raw = make("r.raw", "raw", MIB);
	static const enum vd_purpose writing[] = {VD_PURPOSE_RUN, VD_PURPOSE_EDIT,
						  VD_PURPOSE_COMPACT};
	struct vd_item *items;
	struct stat st;
	size_t n;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct vd_image *image = open_for(path, writing[i]);

		write_at(image, 0);
		close_ok(image);
		image = open_for(raw, writing[i]);
		write_at(image, 0);
		close_ok(image);
	}
	assert_int_not_equal(stat(scratch_path("r.raw.vdmeta"), &st), 0);
	struct vd_image *image = open_for(path, VD_PURPOSE_INSPECT);

	assert_int_equal(vd_disk_list_items(vd_image_disk(image), &items, &n, NULL), 0);
	assert_int_equal(n, 0);
	vd_items_free(items);
	close_ok(image);
}

static void a_commit_begins_the_history_and_says_what_it_was_told(void **state)
{
	struct vd_image_opts opts = VD_IMAGE_OPTS_INIT;
	const char *path = make("a.vhdx", NULL, 8 * MIB);
	struct vd_error err = VD_ERROR_INIT;
	struct vd_image *image;
	struct history h;

	(void)state;
	opts.actor = "Jane Doe";
	opts.operation = "import";
	opts.parameters = "from x";
	image = open_with(path, VD_PURPOSE_EDIT, &opts);
	assert_int_equal(vd_image_commit(image, NULL, NULL, &err), 0);
	close_ok(image);
	h = look(path);
	assert_string_equal(h.operations, "import");
	assert_string_equal(h.last_actor, "Jane Doe");
	assert_string_equal(h.last_parameters, "from x");
	opts.actor = "";
	image = open_with(path, VD_PURPOSE_EDIT, &opts);
	assert_int_equal(vd_image_commit(image, "tag", "+a", &err), 0);
	close_ok(image);
	h = look(path);
	assert_string_equal(h.operations, "import,tag");
	assert_string_equal(h.last_actor, "");
	assert_string_equal(h.last_host, "");
	assert_string_equal(h.last_parameters, "+a");
}

static void a_compaction_enters_at_the_close(void **state)
{
	const char *path = make("a.vhdx", NULL, 8 * MIB);
	struct vd_image *image;

	(void)state;
	tag(path);
	image = open_for(path, VD_PURPOSE_COMPACT);
	assert_history(path, "tag");
	close_ok(image);
	assert_history(path, "tag,compact");
	/* Whoever entered more than that himself isn't entered again. */
	image = open_for(path, VD_PURPOSE_COMPACT);
	assert_int_equal(vd_image_commit(image, NULL, "moved 7 blocks", NULL), 0);
	close_ok(image);
	assert_history(path, "tag,compact,compact");
}

static void what_waits_is_committed_with_the_first_write(void **state)
{
	const char *path = make("a.vhdx", NULL, 8 * MIB);
	struct vd_error err = VD_ERROR_INIT;
	struct vd_image *image;

	(void)state;
	tag(path);
	image = open_for(path, VD_PURPOSE_EDIT);
	vd_image_lock_meta(image);
	assert_int_equal(vd_meta_set_field(vd_image_meta(image), "title", VD_FIELD_SET, "T", &err),
			 0);
	write_at(image, 0); /* by the thread that holds the lock */
	vd_image_unlock_meta(image);
	close_ok(image);
	image = open_for(path, VD_PURPOSE_INSPECT);
	assert_int_equal(count(image, "title"), 1);
	close_ok(image);
	assert_history(path, "tag,edit");
}

static void a_write_waits_for_its_entry(void **state)
{
	const char *raw = make("r.raw", "raw", MIB), *sidecar = scratch_path("r.raw.vdmeta");
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *other;
	struct vd_image *image;
	char byte = 1;

	(void)state;
	remove(sidecar);
	tag(raw);
	image = open_for(raw, VD_PURPOSE_RUN);
	opts.flags = VD_OPEN_WRITE;
	assert_int_equal(vd_disk_open(&other, sidecar, &opts, &err), 0);
	/* The history is held by somebody: then the disk stays as it is. */
	assert_int_equal(vd_disk_write(vd_image_disk(image), "guest", 5, 0, &err), VD_EBUSY);
	assert_non_null(strstr(err.text, "history"));
	assert_int_equal(vd_disk_read(vd_image_disk(image), &byte, 1, 0, &err), 0);
	assert_int_equal(byte, 0);
	vd_disk_close(other, NULL);
	write_at(image, 0);
	close_ok(image);
	assert_history(raw, "tag,run");
}

/* ---- metadata only ---- */

static void metadata_beside_an_image_is_edited_without_it(void **state)
{
	const char *raw = make("r.raw", "raw", MIB), *path = make("a.vhdx", NULL, 8 * MIB);
	struct vd_image_opts opts = VD_IMAGE_OPTS_INIT;
	struct vd_image *user, *image;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_io_stats io = {0};

	(void)state;
	remove(scratch_path("r.raw.vdmeta"));
	opts.flags = VD_IMAGE_METADATA_ONLY;
	user = open_for(raw, VD_PURPOSE_RUN); /* holds the lock on the image */
	image = open_with(raw, VD_PURPOSE_EDIT, &opts);
	assert_int_equal(vd_meta_set_field(vd_image_meta(image), "tag", VD_FIELD_ADD, "web", &err),
			 0);
	assert_int_equal(vd_image_commit(image, NULL, NULL, &err), 0);
	vd_io_get_stats(vd_disk_io(vd_image_disk(image)), &io);
	assert_int_equal(io.n_writes, 0);
	assert_int_equal(vd_disk_write(vd_image_disk(image), "x", 1, 0, &err), VD_EROFS);
	close_ok(image);
	close_ok(user);
	/* In items it is written into the image: nobody else may have that. */
	user = open_for(path, VD_PURPOSE_RUN);
	assert_int_equal(vd_image_open(&image, path, VD_PURPOSE_EDIT, NULL, &opts, &err), VD_EBUSY);
	opts.sidecar_dir = scratch_dir();
	image = open_with(path, VD_PURPOSE_EDIT, &opts);
	close_ok(image);
	close_ok(user);
}

/* ---- damage ---- */

/** Turn over a byte in the middle of each item. */
static void spoil_items(const char *path)
{
	struct vd_image *image = open_for(path, VD_PURPOSE_INSPECT);
	FILE *f = fopen(path, "r+b");
	struct vd_item *items;
	size_t n;

	assert_non_null(f);
	assert_int_equal(vd_disk_list_items(vd_image_disk(image), &items, &n, NULL), 0);
	assert_true(n > 2);
	for (size_t i = 0; i < n; i++) {
		long at = (long)items[i].offset + (long)items[i].length / 2;
		int c;

		fseek(f, at, SEEK_SET);
		c = fgetc(f);
		fseek(f, at, SEEK_SET);
		fputc(c ^ 0x40, f);
	}
	assert_int_equal(fclose(f), 0);
	vd_items_free(items);
	close_ok(image);
}

static void damaged_metadata_never_keeps_the_disk_from_use(void **state)
{
	const char *path = make("a.vhdx", NULL, 8 * MIB), *raw = make("r.raw", "raw", MIB);
	const char *sidecar = scratch_path("r.raw.vdmeta");
	struct vd_image *image;
	char back[5];

	(void)state;
	tag(path);
	spoil_items(path);
	for (int purpose = VD_PURPOSE_INSPECT; purpose <= VD_PURPOSE_EDIT; purpose++) {
		image = open_for(path, (enum vd_purpose)purpose);
		if (vd_purpose_writes((enum vd_purpose)purpose))
			write_at(image, MIB);
		close_ok(image);
	}
	image = open_for(path, VD_PURPOSE_MOUNT_RO);
	assert_int_equal(vd_disk_read(vd_image_disk(image), back, 5, MIB, NULL), 0);
	assert_memory_equal(back, "guest", 5);
	close_ok(image);

	remove(sidecar);
	tag(raw);
	assert_int_equal(scratch_run("head -c 200K /dev/urandom >%s", sidecar), 0);
	for (int purpose = VD_PURPOSE_INSPECT; purpose <= VD_PURPOSE_EDIT; purpose++) {
		image = open_for(raw, (enum vd_purpose)purpose);
		if (vd_purpose_writes((enum vd_purpose)purpose))
			write_at(image, 0);
		close_ok(image);
	}
	remove(sidecar);
}

/* ---- cost ---- */

static int64_t bring(void *user, void *buf, size_t len, struct vd_error *err)
{
	size_t *left = user, n = len < *left ? len : *left;

	(void)err;
	for (size_t i = 0; i < n; i++)
		((uint8_t *)buf)[i] = (uint8_t)rand();
	*left -= n;
	return (int64_t)n;
}

static void looking_costs_a_handful_of_reads(void **state)
{
	const char *path = make("big.vhdx", NULL, (uint64_t)64 << 40);
	struct vd_error err = VD_ERROR_INIT;
	struct vd_io_stats io = {0};
	const struct vd_fact *facts;
	struct vd_image *image;
	size_t n, left = 900000;

	(void)state;
	tag(path);
	image = open_for(path, VD_PURPOSE_EDIT);
	assert_int_equal(
	    vd_meta_attach(vd_image_meta(image), "state", "ram", NULL, bring, &left, &err), 0);
	for (int i = 0; i < 500; i++) {
		char purl[64];

		snprintf(purl, sizeof(purl), "pkg:deb/debian/lib%d@1.%d", i, i);
		assert_int_equal(
		    vd_meta_set_field(vd_image_meta(image), "package", VD_FIELD_ADD, purl, &err),
		    0);
	}
	assert_int_equal(vd_image_commit(image, NULL, NULL, &err), 0);
	close_ok(image);

	image = open_for(path, VD_PURPOSE_INSPECT);
	assert_int_equal(vd_meta_get_facts(vd_image_meta(image), false, &facts, &n, &err), 0);
	assert_true(n >= 500);
	vd_io_get_stats(vd_disk_io(vd_image_disk(image)), &io);
	print_message("%llu reads, %llu bytes\n", (unsigned long long)io.n_reads,
		      (unsigned long long)io.bytes_read);
	assert_true(io.n_reads <= 12);
	assert_true(io.bytes_read <= MIB);
	close_ok(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(purposes_have_names_and_say_whether_they_write),
	    cmocka_unit_test(wrong_options_are_refused),
	    cmocka_unit_test(read_only_purposes_write_nothing),
	    cmocka_unit_test(the_first_write_of_an_opening_is_an_entry),
	    cmocka_unit_test(nothing_is_added_to_an_image_without_records),
	    cmocka_unit_test(a_commit_begins_the_history_and_says_what_it_was_told),
	    cmocka_unit_test(a_compaction_enters_at_the_close),
	    cmocka_unit_test(what_waits_is_committed_with_the_first_write),
	    cmocka_unit_test(a_write_waits_for_its_entry),
	    cmocka_unit_test(metadata_beside_an_image_is_edited_without_it),
	    cmocka_unit_test(damaged_metadata_never_keeps_the_disk_from_use),
	    cmocka_unit_test(looking_costs_a_handful_of_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
