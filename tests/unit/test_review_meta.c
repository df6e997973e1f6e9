/* SPDX-License-Identifier: MIT */
/*
 * Metadata in bad company: reads that fail after a commit, no room left, records of a later
 * version, programs that know no facts, a disk under the name of a sidecar.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vdisk/image.h>

#include "hook.h"
#include "meta/meta_envelope.h"
#include "metabox.h"
#include "store.h"

#define MIB ((uint64_t)1 << 20)

struct rig {
	struct hook hook;
	struct store *store;
	bool fails_soon, fails; /* reads, once the log has its entry; all of them */
};

static int before(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len)
{
	const struct rig *rig = hook->user;

	(void)offset;
	(void)len;
	return rig->fails && call == HOOK_READ ? -EIO : 0;
}

static int after(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len)
{
	struct rig *rig = hook->user;

	(void)len;
	if (rig->fails_soon && call == HOOK_WRITE && offset >= MIB && offset < 2 * MIB)
		rig->fails = true;
	return 0;
}

static void open_rig(struct rig *rig, struct metabox *box)
{
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_meta_opts meta = VD_META_OPTS_INIT;
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_io *io;

	memset(box, 0, sizeof(*box));
	rig->hook = (struct hook){.before = before, .after = after, .user = rig};
	rig->store = store_new(NULL);
	rig->hook.under = store_io(rig->store, true);
	create.virtual_size = 64 * MIB;
	create.log_size = (uint32_t)MIB;
	assert_int_equal(vd_disk_create_io(rig->hook.under, &create, &box->err), 0);
	io = hook_io(&rig->hook);
	opts.flags = VD_OPEN_WRITE;
	meta.flags = VD_META_WRITE;
	assert_int_equal(vd_disk_open_io(&box->disk, io, &opts, &box->err), 0);
	assert_int_equal(vd_meta_open(&box->meta, box->disk, &meta, &box->err), 0);
	vd_io_close(io);
}

static int hear(void *user, const struct vd_history_entry *entry)
{
	strcat(strcat(user, entry->op.operation), "|");
	return 0;
}

static void assert_history(struct metabox *box, const char *operations, uint64_t n_broken)
{
	char heard[1000] = "";
	uint64_t n;

	assert_int_equal(vd_meta_read_history(box->meta, hear, heard, &n, &box->err), 0);
	assert_string_equal(heard, operations);
	assert_int_equal(n, n_broken);
}

/* What couldn't be read again after a commit isn't taken for gone by the next one. */
static void reads_that_fail_after_a_commit_lose_nothing(void **state)
{
	struct rig rig = {.fails = false};
	struct metabox box;

	(void)state;
	open_rig(&rig, &box);
	metabox_add(&box, "tag", "web");
	metabox_log(&box, "one");
	metabox_commit(&box);
	metabox_set(&box, "os.id", "debian");
	rig.fails_soon = true;
	assert_int_equal(vd_meta_commit(box.meta, &box.err), VD_EIO);
	/* While it lasts, nothing can be changed on top of what isn't known. */
	assert_int_equal(vd_meta_set_field(box.meta, "tag", VD_FIELD_ADD, "no", &box.err), VD_EIO);
	rig.fails_soon = rig.fails = false;
	assert_int_equal(vd_meta_revert(box.meta, &box.err), 0);
	metabox_add(&box, "tag", "db");
	metabox_log(&box, "two");
	metabox_commit(&box);
	assert_string_equal(metabox_get(&box, "tag"), "web|db|");
	assert_string_equal(metabox_get(&box, "os.id"), "debian|");
	assert_history(&box, "one|two|", 0);
	metabox_close(&box);
	vd_io_close(rig.hook.under);
	store_free(rig.store);
}

/* All that the library's bound allows, taken by others. */
static void fill_up(struct metabox *box)
{
	uint8_t *bytes = calloc(1, VD_ITEM_MAX);
	struct vd_meta_info info = {.size = sizeof(info)};
	uint64_t left;
	char key[20];

	vd_meta_get_info(box->meta, &info);
	left = VD_ITEM_TOTAL_MAX - info.stored_bytes;
	for (int i = 0; left; i++) {
		uint32_t n = left < VD_ITEM_MAX ? (uint32_t)left : VD_ITEM_MAX;

		snprintf(key, sizeof(key), "foreign %d", i);
		metabox_put_item(box, key, bytes, n, VD_ITEM_USER);
		left -= n;
	}
	free(bytes);
}

static void a_full_metadata_region_keeps_no_guest_from_writing(void **state)
{
	struct vd_image *image;
	struct metabox box;

	(void)state;
	metabox_create(&box, "full.vhdx", "vhdx");
	metabox_add(&box, "tag", "web");
	metabox_log(&box, "one");
	metabox_commit(&box);
	fill_up(&box);
	metabox_close(&box);
	assert_int_equal(vd_image_open(&image, box.path, VD_PURPOSE_RUN, NULL, NULL, &box.err), 0);
	if (vd_disk_write(vd_image_disk(image), "x", 1, 0, &box.err))
		fail_msg("%s", box.err.text);
	assert_int_equal(vd_image_close(image, &box.err), 0);
	metabox_look(&box);
	assert_history(&box, "one|", 0);
	metabox_close(&box);
}

static void make_later(struct metabox *box, const char *key)
{
	struct vd_item item;
	uint8_t *bytes = metabox_item(box, key, &item);

	assert_non_null(bytes);
	bytes[8] = 2;
	metabox_put_item(box, key, bytes, item.length, item.flags);
	free(bytes);
	metabox_edit(box);
}

static void assert_later(struct metabox *box, const char *key)
{
	struct vd_item item;
	uint8_t *bytes = metabox_item(box, key, &item);

	assert_non_null(bytes);
	assert_int_equal(bytes[8], 2);
	free(bytes);
}

static const char vendor[] = "<v xmlns=\"urn:example:v\"/>";

/* The head of a later version can't be read, so only the id tells what is there. */
static void a_later_version_is_not_replaced_under_its_id(void **state)
{
	struct metabox box, from;

	(void)state;
	metabox_create(&box, "later.vhdx", "vhdx");
	assert_int_equal(metabox_attach(&box, NULL, "file", 5000, 1, &box.err), 0);
	metabox_add(&box, "tag", "web");
	assert_int_equal(vd_meta_set_document(box.meta, NULL, vendor, strlen(vendor), &box.err), 0);
	metabox_commit(&box);
	make_later(&box, "attachment:file");
	make_later(&box, "urn:example:v");
	make_later(&box, "tags");
	if (!metabox_attach(&box, NULL, "file", 5000, 2, &box.err))
		assert_int_equal(vd_meta_commit(box.meta, &box.err), VD_EUNSUPPORTED);
	vd_meta_revert(box.meta, NULL);
	if (!vd_meta_set_document(box.meta, NULL, vendor, strlen(vendor), &box.err))
		assert_int_equal(vd_meta_commit(box.meta, &box.err), VD_EUNSUPPORTED);
	vd_meta_revert(box.meta, NULL);
	metabox_create(&from, "from.vhdx", "vhdx");
	metabox_add(&from, "tag", "db");
	if (!vd_meta_copy(box.meta, from.meta, false, &box.err))
		assert_int_equal(vd_meta_commit(box.meta, &box.err), VD_EUNSUPPORTED);
	vd_meta_revert(box.meta, NULL);
	assert_later(&box, "attachment:file");
	assert_later(&box, "urn:example:v");
	assert_later(&box, "tags");
	/* Unless the user removes it first; all in one commit. */
	assert_int_equal(vd_meta_strip(box.meta, &box.err), 0);
	assert_int_equal(vd_meta_set_document(box.meta, NULL, vendor, strlen(vendor), &box.err), 0);
	metabox_commit(&box);
	assert_non_null(metabox_record(&box, VD_RECORD_DOCUMENT, "urn:example:v"));
	metabox_close(&from);
	metabox_close(&box);
}

/* Put back facts that are older than what lies beside them, as a program leaves them that changes
 * records and knows no facts. */
static void change_below(struct metabox *box, void (*change)(struct metabox *box))
{
	struct vd_item item;
	uint8_t *facts = metabox_item(box, "facts", &item);

	assert_non_null(facts);
	change(box);
	metabox_commit(box);
	metabox_put_item(box, "facts", facts, item.length, item.flags);
	free(facts);
	metabox_edit(box);
}

static void log_more(struct metabox *box)
{
	metabox_log(box, "two");
}

static void attach_other(struct metabox *box)
{
	assert_int_equal(metabox_attach(box, NULL, "file", 5000, 2, &box->err), 0);
}

static void who_knows_no_facts_does_no_harm(void **state)
{
	struct metabox box;

	(void)state;
	metabox_create(&box, "nofacts.vhdx", "vhdx");
	metabox_log(&box, "one");
	assert_int_equal(metabox_attach(&box, NULL, "file", 5000, 1, &box.err), 0);
	metabox_commit(&box);
	change_below(&box, log_more);
	assert_history(&box, "one|two|", 0);
	metabox_add(&box, "tag", "x");
	metabox_commit(&box);
	change_below(&box, attach_other);
	assert_true(metabox_holds(&box, "file", 5000, 2));
	metabox_close(&box);
}

/* A disk with data that bears the name of a sidecar isn't thrown away with its last record. */
static void a_disk_in_the_place_of_a_sidecar_stays(void **state)
{
	struct metabox box, disk;
	char name[sizeof(box.path) + 8];
	FILE *file;

	(void)state;
	metabox_create(&disk, "image.raw.vdmeta", "vhdx");
	assert_int_equal(vd_disk_write(disk.disk, "data", 4, 0, &disk.err), 0);
	metabox_close(&disk);
	metabox_create(&box, "image.raw", "raw");
	metabox_add(&box, "tag", "x");
	metabox_commit(&box);
	assert_int_equal(vd_meta_strip(box.meta, &box.err), 0);
	metabox_commit(&box);
	metabox_close(&box);
	snprintf(name, sizeof(name), "%s.vdmeta", box.path);
	file = fopen(name, "r");
	assert_non_null(file);
	fclose(file);
}

static void *let_go(void *user)
{
	usleep(200000);
	vd_disk_close(user, NULL);
	return NULL;
}

/* Somebody who edits the sidecar at this moment is waited for. */
static void a_first_write_waits_for_who_edits_the_sidecar(void **state)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_image *image;
	struct vd_disk *other;
	struct metabox box;
	pthread_t thread;
	char name[sizeof(box.path) + 8];

	(void)state;
	metabox_create(&box, "busy.raw", "raw");
	metabox_add(&box, "tag", "x");
	metabox_commit(&box);
	metabox_close(&box);
	snprintf(name, sizeof(name), "%s.vdmeta", box.path);
	opts.flags = VD_OPEN_WRITE;
	assert_int_equal(vd_disk_open(&other, name, &opts, &box.err), 0);
	assert_int_equal(vd_image_open(&image, box.path, VD_PURPOSE_RUN, NULL, NULL, &box.err), 0);
	assert_int_equal(pthread_create(&thread, NULL, let_go, other), 0);
	if (vd_disk_write(vd_image_disk(image), "x", 1, 0, &box.err))
		fail_msg("%s", box.err.text);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(vd_image_close(image, &box.err), 0);
}

/* A value that no key is made of, put there by a program that has no such bound. */
static void a_value_too_long_keeps_no_guest_from_writing(void **state)
{
	struct meta_content content;
	struct vd_image *image;
	struct metabox box;
	const size_t long_one = 400000, room = 500000;
	char *xml = calloc(1, room);

	(void)state;
	strcpy(xml, "<tags xmlns=\"urn:libvdisk:tags:1\"><tag>");
	memset(xml + strlen(xml), 'a', long_one);
	strcat(xml, "</tag></tags>");
	metabox_create(&box, "long.vhdx", "vhdx");
	assert_int_equal(
	    meta_pack(VD_RECORD_DOCUMENT, "tags", true, xml, strlen(xml), &content, &box.err), 0);
	metabox_put_item(&box, "tags", content.blobs[0].bytes, content.blobs[0].len,
			 VD_ITEM_USER | VD_ITEM_VIRTUAL_DISK);
	meta_content_free(&content);
	free(xml);
	metabox_close(&box);
	assert_int_equal(vd_image_open(&image, box.path, VD_PURPOSE_RUN, NULL, NULL, &box.err), 0);
	if (vd_disk_write(vd_image_disk(image), "x", 1, 0, &box.err))
		fail_msg("%s", box.err.text);
	assert_int_equal(vd_image_close(image, &box.err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_that_fail_after_a_commit_lose_nothing),
	    cmocka_unit_test(a_full_metadata_region_keeps_no_guest_from_writing),
	    cmocka_unit_test(a_later_version_is_not_replaced_under_its_id),
	    cmocka_unit_test(who_knows_no_facts_does_no_harm),
	    cmocka_unit_test(a_disk_in_the_place_of_a_sidecar_stays),
	    cmocka_unit_test(a_first_write_waits_for_who_edits_the_sidecar),
	    cmocka_unit_test(a_value_too_long_keeps_no_guest_from_writing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
