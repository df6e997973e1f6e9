/* SPDX-License-Identifier: MIT */
/* Attached files and references, and the history as an image keeps it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metabox.h"

static struct vd_meta_info info_of(struct metabox *box)
{
	struct vd_meta_info info = {.size = sizeof(info)};

	vd_meta_get_info(box->meta, &info);
	return info;
}

static void test_files_round_trip(void **state)
{
	/* 900 KiB incompressible; just a part, one byte more; several MiB; very compressible. */
	static const struct {
		const char *name;
		size_t len;
		uint32_t seed, n_parts;
	} files[] = {
	    {"empty", 0, 1, 1},
	    {"one", 1, 1, 1},
	    {"nine", 900 << 10, 2, 1},
	    {"just", (1 << 20) - 4096, 3, 1},
	    {"more", (1 << 20) - 4095, 4, 2},
	    {"dir/several.bin", 5000000, 5, 5},
	    {"zeros", 20000000, 0, 20},
	};
	struct metabox box;

	(void)state;
	metabox_create(&box, "files.vhdx", "vhdx");
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
			const struct vd_record *r;

			if (!round && metabox_attach(&box, NULL, files[i].name, files[i].len,
						     files[i].seed, &box.err))
				fail_msg("%s: %s", files[i].name, box.err.text);
			r = metabox_record(&box, VD_RECORD_ATTACHMENT, files[i].name);
			assert_non_null(r);
			assert_int_equal(r->raw_len, files[i].len);
			assert_int_equal(r->n_parts, files[i].n_parts);
			assert_string_equal(r->media_type, "application/x-test");
			assert_true(
			    metabox_holds(&box, files[i].name, files[i].len, files[i].seed));
		}
		if (!round)
			metabox_commit(&box);
		else if (round == 1)
			metabox_look(&box);
	}
	assert_true(metabox_record(&box, VD_RECORD_ATTACHMENT, "zeros")->stored_len < 100000);
	assert_false(info_of(&box).has_stale_facts);
	metabox_close(&box);
}

static void test_files_are_named_by_their_document(void **state)
{
	struct metabox box;

	(void)state;
	metabox_create(&box, "named.vhdx", "vhdx");
	assert_int_equal(metabox_attach(&box, "configuration", "vm.xml", 1000, 1, &box.err), 0);
	assert_int_equal(metabox_attach(&box, "configuration", "b.yaml", 10, 2, &box.err), 0);
	assert_int_equal(metabox_attach(&box, "state", "ram.sav", 100, 3, &box.err), 0);
	metabox_commit(&box);
	assert_string_equal(metabox_get(&box, "configuration.file"), "vm.xml|b.yaml|");
	assert_string_equal(metabox_get(&box, "configuration.file.size"), "1000|10|");
	assert_string_equal(metabox_get(&box, "state.file"), "ram.sav|");
	assert_true(metabox_record(&box, VD_RECORD_ATTACHMENT, "vm.xml")->is_disk_scope);
	assert_false(metabox_record(&box, VD_RECORD_ATTACHMENT, "ram.sav")->is_disk_scope);
	/* Again: the same line, with the new size; smaller, so that parts go. */
	assert_int_equal(metabox_attach(&box, "configuration", "vm.xml", 3000000, 4, &box.err), 0);
	metabox_commit(&box);
	assert_int_equal(metabox_attach(&box, "configuration", "vm.xml", 500, 5, &box.err), 0);
	metabox_commit(&box);
	assert_string_equal(metabox_get(&box, "configuration.file"), "vm.xml|b.yaml|");
	assert_string_equal(metabox_get(&box, "configuration.file.size"), "500|10|");
	assert_int_equal(info_of(&box).n_damaged, 0);
	assert_true(info_of(&box).stored_bytes < 10000);
	assert_true(metabox_holds(&box, "vm.xml", 500, 5));
	/* Under another category it leaves the first one's list. */
	assert_int_equal(metabox_attach(&box, "state", "b.yaml", 20, 2, &box.err), 0);
	assert_string_equal(metabox_get(&box, "configuration.file"), "vm.xml|");
	assert_string_equal(metabox_get(&box, "state.file"), "ram.sav|b.yaml|");
	assert_int_equal(vd_meta_remove(box.meta, "attachment:vm.xml", &box.err), 0);
	assert_string_equal(metabox_get(&box, "configuration.file"), "");
	metabox_commit(&box);
	assert_null(metabox_record(&box, VD_RECORD_ATTACHMENT, "vm.xml"));
	assert_int_equal(info_of(&box).n_damaged, 0);
	assert_false(metabox_record(&box, VD_RECORD_ATTACHMENT, "b.yaml")->is_disk_scope);
	assert_true(metabox_holds(&box, "b.yaml", 20, 2));
	assert_int_equal(vd_meta_extract(box.meta, "vm.xml", NULL, NULL, &box.err), VD_ENOENT);
	metabox_close(&box);
}

static int to_nowhere(void *user, const void *buf, size_t len, struct vd_error *err)
{
	(void)user;
	(void)buf;
	(void)len;
	(void)err;
	return 0;
}

/* Change the last byte of an item, past the metadata layer. */
static void damage_item(struct metabox *box, const char *key)
{
	struct vd_item item;
	uint8_t *bytes = metabox_item(box, key, &item);

	assert_non_null(bytes);
	bytes[item.length - 1] ^= 1;
	metabox_put_item(box, key, bytes, item.length, item.flags);
	free(bytes);
}

/* What is damaged is looked at anew; the name it was asked by belongs to a record that goes then.
 */
static void test_damage_is_asked_for_by_a_borrowed_name(void **state)
{
	static const char xml[] = "<v xmlns=\"urn:test:vendor\">text</v>";
	const struct vd_record *r;
	struct metabox box;
	char *bytes = NULL;
	size_t len;

	(void)state;
	metabox_create(&box, "borrowed.vhdx", "vhdx");
	assert_int_equal(metabox_attach(&box, NULL, "file", 5000, 7, &box.err), 0);
	assert_int_equal(vd_meta_set_document(box.meta, NULL, xml, strlen(xml), &box.err), 0);
	metabox_commit(&box);
	damage_item(&box, "attachment:file");
	damage_item(&box, "urn:test:vendor");
	metabox_look(&box);
	r = metabox_record(&box, VD_RECORD_ATTACHMENT, "file");
	assert_non_null(r);
	assert_int_equal(vd_meta_extract(box.meta, r->name, to_nowhere, NULL, &box.err),
			 VD_ECORRUPT);
	metabox_look(&box);
	r = metabox_record(&box, VD_RECORD_DOCUMENT, "urn:test:vendor");
	assert_non_null(r);
	assert_int_equal(vd_meta_get_document(box.meta, r->kind, &bytes, &len, &box.err),
			 VD_ECORRUPT);
	metabox_close(&box);
}

static void test_names_that_are_refused(void **state)
{
	static const char *const names[] = {"",     "/etc/passwd", "../x", "a/../b", "a//b",
					    "a/",   ".",           "a/.",  "a\nb",   "\xff",
					    "a/..", "..",          "./a"};
	struct metabox box;

	(void)state;
	metabox_create(&box, "names.vhdx", "vhdx");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (metabox_attach(&box, NULL, names[i], 1, 1, &box.err) != VD_EINVAL)
			fail_msg("%s", names[i]);
	assert_int_equal(metabox_attach(&box, "tags", "x", 1, 1, &box.err), VD_EINVAL);
	assert_int_equal(metabox_attach(&box, NULL, "..x", 1, 1, &box.err), 0);
	assert_int_equal(metabox_attach(&box, NULL, ".hidden/..b", 1, 1, &box.err), 0);
	metabox_close(&box);
}

static void test_too_much_is_refused(void **state)
{
	struct metabox box;

	(void)state;
	metabox_create(&box, "much.vhdx", "vhdx");
	metabox_add(&box, "tag", "x");
	metabox_commit(&box);
	assert_int_equal(metabox_attach(&box, "state", "huge", 34 << 20, 9, &box.err), VD_ENOSPC);
	assert_non_null(strstr(box.err.text, "32 MiB"));
	assert_false(info_of(&box).has_changes);
	/* Two that fit each, but not together: the commit says so and nothing is lost. */
	assert_int_equal(metabox_attach(&box, NULL, "a", 20 << 20, 9, &box.err), 0);
	assert_int_equal(metabox_attach(&box, NULL, "b", 20 << 20, 8, &box.err), 0);
	assert_int_equal(vd_meta_commit(box.meta, &box.err), VD_ENOSPC);
	assert_true(info_of(&box).has_changes);
	assert_int_equal(vd_meta_remove(box.meta, "attachment:b", &box.err), 0);
	metabox_commit(&box);
	assert_true(metabox_holds(&box, "a", 20 << 20, 9));
	assert_string_equal(metabox_get(&box, "tag"), "x|");
	metabox_close(&box);
}

static void test_a_source_that_fails_changes_nothing(void **state)
{
	struct metabox box;

	(void)state;
	metabox_create(&box, "source.vhdx", "vhdx");
	assert_int_equal(metabox_attach(&box, "state", "x", 34 << 20, 1, &box.err), VD_ENOSPC);
	assert_string_equal(metabox_get(&box, "state.file"), "");
	assert_false(info_of(&box).has_changes);
	metabox_close(&box);
}

static void test_references(void **state)
{
	struct vd_reference ref = {"ram.sav", NULL, "ram%20of%20vm.sav", 5000000000, {1, 2}};
	struct metabox box;

	(void)state;
	metabox_create(&box, "refer.vhdx", "vhdx");
	if (vd_meta_refer(box.meta, "state", &ref, &box.err))
		fail_msg("%s", box.err.text);
	metabox_commit(&box);
	metabox_look(&box);
	assert_string_equal(metabox_get(&box, "state.file"), "ram.sav|");
	assert_string_equal(metabox_get(&box, "state.file.uri"), "ram%20of%20vm.sav|");
	assert_string_equal(metabox_get(&box, "state.file.size"), "5000000000|");
	assert_null(metabox_record(&box, VD_RECORD_ATTACHMENT, "ram.sav"));
	metabox_edit(&box);
	ref.uri = NULL;
	assert_int_equal(vd_meta_refer(box.meta, "state", &ref, &box.err), VD_EINVAL);
	ref.uri = "x";
	assert_int_equal(vd_meta_refer(box.meta, NULL, &ref, &box.err), VD_EINVAL);
	metabox_close(&box);
}

/* ---- history ---- */

struct heard {
	uint64_t n, last, n_unlinked;
	char operations[256];
};

static int hear(void *user, const struct vd_history_entry *e)
{
	struct heard *h = user;

	h->n++;
	h->last = e->number;
	h->n_unlinked += !e->is_linked;
	if (strlen(h->operations) + strlen(e->op.operation) < 200)
		strcat(strcat(h->operations, e->op.operation), "|");
	return 0;
}

static void test_history_is_added_to(void **state)
{
	const struct vd_operation by_os = {.operation = "by the OS"};
	const struct vd_operation unnamed = {.operation = "by nobody", .actor = "", .host = ""};
	struct heard h = {0};
	struct metabox box;
	uint64_t n_broken;
	char *xml;
	size_t len;

	(void)state;
	metabox_create(&box, "history.vhdx", "vhdx");
	metabox_log(&box, "one");
	metabox_log(&box, "two");
	assert_true(info_of(&box).has_changes);
	metabox_commit(&box);
	assert_int_equal(vd_meta_log(box.meta, &by_os, &box.err), 0);
	assert_int_equal(vd_meta_log(box.meta, &unnamed, &box.err), 0);
	metabox_commit(&box);
	metabox_look(&box);
	assert_int_equal(vd_meta_read_history(box.meta, hear, &h, &n_broken, &box.err), 0);
	assert_string_equal(h.operations, "one|two|by the OS|by nobody|");
	assert_int_equal(h.n_unlinked + n_broken, 0);
	assert_int_equal(info_of(&box).n_history, 4);
	assert_string_equal(metabox_get(&box, "history.length"), "4|");
	assert_int_equal(vd_meta_get_document(box.meta, "history", &xml, &len, &box.err), 0);
	assert_int_equal(vd_meta_validate("history", xml, len, NULL, NULL, &box.err), 0);
	assert_non_null(strstr(xml, "by the OS\" actor=\""));
	assert_non_null(strstr(xml, "by nobody\" previous=\""));
	vd_meta_free(xml);
	assert_int_equal(vd_meta_log(box.meta, &by_os, &box.err), VD_EROFS);
	metabox_close(&box);
}

static void test_a_damaged_history_shows_where(void **state)
{
	struct heard h = {0};
	struct vd_item item;
	struct metabox box;
	uint64_t n_broken;
	uint8_t *bytes, *at;

	(void)state;
	metabox_create(&box, "damaged.vhdx", "vhdx");
	for (int i = 0; i < 5; i++)
		metabox_log(&box, "entry");
	metabox_commit(&box);
	bytes = metabox_item(&box, "history", &item);
	assert_non_null(bytes);
	at = memmem(bytes, item.length, "entry", 5);
	assert_non_null(at);
	at[2] = 'T'; /* the first entry */
	metabox_put_item(&box, "history", bytes, item.length, item.flags);
	free(bytes);
	metabox_edit(&box);
	assert_int_equal(vd_meta_read_history(box.meta, hear, &h, &n_broken, &box.err), 0);
	assert_int_equal(h.n, 5);
	assert_int_equal(h.n_unlinked, 1);
	assert_int_equal(n_broken, 1);
	/* It goes on, and the broken place stays in sight. */
	metabox_log(&box, "later");
	metabox_commit(&box);
	memset(&h, 0, sizeof(h));
	assert_int_equal(vd_meta_read_history(box.meta, hear, &h, &n_broken, &box.err), 0);
	assert_int_equal(h.last, 6);
	assert_int_equal(n_broken, 1);
	metabox_close(&box);
}

static void test_a_history_that_was_cut_off_is_noticed(void **state)
{
	struct vd_item old, item;
	struct metabox box;
	uint64_t n_broken;
	uint8_t *bytes;

	(void)state;
	metabox_create(&box, "cut.vhdx", "vhdx");
	metabox_log(&box, "one");
	metabox_commit(&box);
	bytes = metabox_item(&box, "history", &old);
	metabox_log(&box, "two");
	metabox_commit(&box);
	/* The older one, whole and right in itself. */
	metabox_put_item(&box, "history", bytes, old.length, old.flags);
	free(bytes);
	metabox_look(&box);
	assert_int_equal(vd_meta_read_history(box.meta, NULL, NULL, &n_broken, &box.err), 0);
	assert_int_equal(n_broken, 1);
	bytes = metabox_item(&box, "history", &item);
	assert_int_equal(item.length, old.length);
	free(bytes);
	metabox_close(&box);
}

static void test_a_history_beyond_reading_is_begun_anew(void **state)
{
	struct heard h = {0};
	struct vd_item item;
	struct metabox box;
	uint64_t n_broken;
	uint8_t *bytes;

	(void)state;
	metabox_create(&box, "anew.vhdx", "vhdx");
	metabox_log(&box, "one");
	metabox_log(&box, "two");
	metabox_commit(&box);
	bytes = metabox_item(&box, "history", &item);
	memset(bytes, 0, 64);
	metabox_put_item(&box, "history", bytes, item.length, item.flags);
	free(bytes);
	metabox_edit(&box);
	assert_int_equal(info_of(&box).n_damaged, 1);
	metabox_log(&box, "three");
	metabox_commit(&box);
	assert_int_equal(vd_meta_read_history(box.meta, hear, &h, &n_broken, &box.err), 0);
	assert_string_equal(h.operations, "damaged|three|");
	assert_int_equal(info_of(&box).n_damaged, 0);
	metabox_close(&box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_files_round_trip),
	    cmocka_unit_test(test_files_are_named_by_their_document),
	    cmocka_unit_test(test_damage_is_asked_for_by_a_borrowed_name),
	    cmocka_unit_test(test_names_that_are_refused),
	    cmocka_unit_test(test_too_much_is_refused),
	    cmocka_unit_test(test_a_source_that_fails_changes_nothing),
	    cmocka_unit_test(test_references),
	    cmocka_unit_test(test_history_is_added_to),
	    cmocka_unit_test(test_a_damaged_history_shows_where),
	    cmocka_unit_test(test_a_history_that_was_cut_off_is_noticed),
	    cmocka_unit_test(test_a_history_beyond_reading_is_begun_anew),
	};

	return cmocka_run_group_tests_name("meta_files", tests, NULL, NULL);
}
