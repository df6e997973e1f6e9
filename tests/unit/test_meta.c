/* SPDX-License-Identifier: MIT */
/* Metadata of an image: documents, fields, tags; committed, reverted, stripped, copied. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vdisk/sys/io.h>

#include "metabox.h"
#include "scratch.h"

static struct vd_meta_info info_of(struct metabox *box)
{
	struct vd_meta_info info = {.size = sizeof(info)};

	vd_meta_get_info(box->meta, &info);
	return info;
}

static void test_image_without_metadata(void **state)
{
	struct metabox box;
	const struct vd_fact *facts;
	uint64_t n_broken;
	char *bytes;
	size_t n;

	(void)state;
	metabox_create(&box, "none.vhdx", "vhdx");
	assert_null(vd_meta_record(box.meta, 0));
	assert_false(info_of(&box).has_ours);
	assert_int_equal(info_of(&box).place, VD_META_ITEMS);
	assert_int_equal(vd_meta_get_document(box.meta, "tags", &bytes, &n, &box.err), VD_ENOENT);
	assert_int_equal(vd_meta_get_facts(box.meta, false, &facts, &n, &box.err), 0);
	assert_int_equal(n, 0);
	assert_int_equal(vd_meta_read_history(box.meta, NULL, NULL, &n_broken, &box.err),
			 VD_ENOENT);
	assert_int_equal(vd_meta_commit(box.meta, &box.err), 0);
	assert_string_equal(metabox_get(&box, "tag"), "");
	metabox_close(&box);
}

static void test_fields_survive_a_commit(void **state)
{
	struct metabox box;

	(void)state;
	metabox_create(&box, "fields.vhdx", "vhdx");
	metabox_add(&box, "tag", "web");
	metabox_add(&box, "tag", "env=prod");
	metabox_set(&box, "hardware.memory", "4G");
	assert_true(info_of(&box).has_changes);
	assert_string_equal(metabox_get(&box, "tag"), "web|env=prod|");
	metabox_commit(&box);
	assert_false(info_of(&box).has_changes);
	assert_string_equal(metabox_get(&box, "tag"), "web|env=prod|");
	metabox_look(&box);
	assert_string_equal(metabox_get(&box, "tag"), "web|env=prod|");
	assert_string_equal(metabox_get(&box, "hardware.memory"), "4294967296|");
	assert_true(info_of(&box).has_ours);
	assert_false(info_of(&box).has_stale_facts);
	assert_int_equal(info_of(&box).n_damaged, 0);
	assert_int_equal(vd_meta_set_field(box.meta, "tag", VD_FIELD_ADD, "x", &box.err), VD_EROFS);
	metabox_close(&box);
}

static void test_documents_round_trip(void **state)
{
	static const char *const bodies[] = {"content",       "hardware", "host",    "validity",
					     "rights",        "patches",  "network", "tags",
					     "configuration", "state"};
	static const char vendor[] = "<v:thing xmlns:v=\"https://example.com/ns/1\"><v:a>1</v:a>"
				     "<!-- kept --></v:thing>";
	char xml[256], *bytes;
	struct metabox box;
	size_t len;

	(void)state;
	metabox_create(&box, "documents.vhdx", "vhdx");
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		snprintf(xml, sizeof(xml), "<%s xmlns=\"%s\">\n\n</%s>", bodies[i],
			 vd_category_find(bodies[i])->xmlns, bodies[i]);
		if (vd_meta_set_document(box.meta, bodies[i], xml, strlen(xml), &box.err))
			fail_msg("%s: %s", bodies[i], box.err.text);
	}
	assert_int_equal(vd_meta_set_document(box.meta, NULL, vendor, strlen(vendor), &box.err), 0);
	metabox_commit(&box);
	metabox_look(&box);
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		const struct vd_category *category = vd_category_find(bodies[i]);
		const struct vd_record *r;

		snprintf(xml, sizeof(xml), "<%s xmlns=\"%s\">\n\n</%s>", bodies[i], category->xmlns,
			 bodies[i]);
		assert_int_equal(
		    vd_meta_get_document(box.meta, category->xmlns, &bytes, &len, &box.err), 0);
		assert_string_equal(bytes, xml);
		assert_int_equal(len, strlen(xml));
		vd_meta_free(bytes);
		r = metabox_record(&box, VD_RECORD_DOCUMENT, bodies[i]);
		assert_non_null(r);
		assert_int_equal(r->is_disk_scope, category->is_disk_scope);
	}
	assert_int_equal(
	    vd_meta_get_document(box.meta, "https://example.com/ns/1", &bytes, &len, &box.err), 0);
	assert_string_equal(bytes, vendor);
	vd_meta_free(bytes);
	assert_false(info_of(&box).has_stale_facts);
	metabox_close(&box);
}

static void test_documents_that_are_refused(void **state)
{
	static const struct {
		const char *kind, *xml;
		int code;
	} cases[] = {
	    {NULL, "<tags xmlns=\"urn:libvdisk:tags:1\"><nonsense/></tags>", VD_ECORRUPT},
	    {NULL, "<tags xmlns=\"urn:libvdisk:tags:1\">", VD_ECORRUPT},
	    {NULL, "<x/>", VD_EINVAL},
	    {NULL, "<x xmlns=\"facts\"/>", VD_EINVAL},
	    {NULL, "<x xmlns=\"attachment:y\"/>", VD_EINVAL},
	    {"content", "<tags xmlns=\"urn:libvdisk:tags:1\"/>", VD_EINVAL},
	    {"urn:other", "<x xmlns=\"urn:this\"/>", VD_EINVAL},
	    {NULL, "<history xmlns=\"urn:libvdisk:history:1\"/>", VD_EINVAL},
	};
	struct metabox box;

	(void)state;
	metabox_create(&box, "refused.vhdx", "vhdx");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int ret = vd_meta_set_document(box.meta, cases[i].kind, cases[i].xml,
					       strlen(cases[i].xml), &box.err);

		if (ret != cases[i].code)
			fail_msg("%s: %d, %s", cases[i].xml, ret, box.err.text);
	}
	assert_false(info_of(&box).has_changes);
	assert_int_equal(vd_meta_remove(box.meta, "tags", &box.err), VD_ENOENT);
	assert_int_equal(vd_meta_remove(box.meta, "attachment:x", &box.err), VD_ENOENT);
	assert_int_equal(vd_meta_remove(box.meta, "history", &box.err), VD_ENOENT);
	metabox_close(&box);
}

static void test_reverting_and_removing(void **state)
{
	struct metabox box;

	(void)state;
	metabox_create(&box, "revert.vhdx", "vhdx");
	metabox_add(&box, "tag", "one");
	metabox_commit(&box);
	metabox_add(&box, "tag", "two");
	metabox_set(&box, "hardware.memory", "1G");
	assert_int_equal(vd_meta_revert(box.meta, &box.err), 0);
	assert_string_equal(metabox_get(&box, "tag"), "one|");
	assert_string_equal(metabox_get(&box, "hardware.memory"), "");
	assert_int_equal(vd_meta_remove(box.meta, "tags", &box.err), 0);
	assert_string_equal(metabox_get(&box, "tag"), "");
	metabox_add(&box, "tag", "three");
	assert_string_equal(metabox_get(&box, "tag"), "three|");
	assert_int_equal(vd_meta_remove(box.meta, "tags", &box.err), 0);
	metabox_commit(&box);
	/* Nothing of ours is left: no facts about nothing. */
	assert_null(vd_meta_record(box.meta, 0));
	assert_false(info_of(&box).has_ours);
	metabox_close(&box);
}

static void test_stripping_leaves_foreign_items(void **state)
{
	static const char foreign[] = "what a vendor keeps here";
	struct vd_item item;
	struct metabox box;
	uint8_t *bytes;

	(void)state;
	metabox_create(&box, "strip.vhdx", "vhdx");
	metabox_put_item(&box, "somebody else's", foreign, sizeof(foreign), VD_ITEM_USER);
	metabox_edit(&box);
	assert_int_equal(info_of(&box).n_foreign, 1);
	assert_false(info_of(&box).has_ours);
	metabox_add(&box, "tag", "x");
	metabox_log(&box, "tag");
	assert_int_equal(metabox_attach(&box, NULL, "file", 3000000, 1, &box.err), 0);
	metabox_commit(&box);
	assert_true(info_of(&box).has_ours);
	assert_int_equal(vd_meta_strip(box.meta, &box.err), 0);
	metabox_commit(&box);
	assert_false(info_of(&box).has_ours);
	assert_int_equal(info_of(&box).n_records, 1);
	assert_int_equal(info_of(&box).stored_bytes, sizeof(foreign));
	bytes = metabox_item(&box, "somebody else's", &item);
	assert_non_null(bytes);
	assert_memory_equal(bytes, foreign, sizeof(foreign));
	free(bytes);
	metabox_close(&box);
}

static void test_copying(void **state)
{
	struct metabox from, to;
	uint64_t n_broken;

	(void)state;
	metabox_create(&from, "from.vhdx", "vhdx");
	metabox_create(&to, "to.vhdx", "vhdx");
	metabox_add(&from, "tag", "x");
	metabox_set(&from, "os.id", "debian");
	metabox_log(&from, "tag");
	assert_int_equal(metabox_attach(&from, "configuration", "a/b.bin", 2500000, 7, &from.err),
			 0);
	metabox_commit(&from);
	metabox_add(&from, "tag", "uncommitted");
	if (vd_meta_copy(to.meta, from.meta, false, &to.err))
		fail_msg("%s", to.err.text);
	metabox_commit(&to);
	metabox_look(&to);
	assert_string_equal(metabox_get(&to, "tag"), "x|uncommitted|");
	assert_string_equal(metabox_get(&to, "os.id"), "debian|");
	assert_string_equal(metabox_get(&to, "configuration.file"), "a/b.bin|");
	assert_true(metabox_holds(&to, "a/b.bin", 2500000, 7));
	assert_int_equal(vd_meta_read_history(to.meta, NULL, NULL, &n_broken, &to.err), VD_ENOENT);
	metabox_edit(&to);
	assert_int_equal(vd_meta_copy(to.meta, from.meta, true, &to.err), 0);
	metabox_commit(&to);
	assert_int_equal(vd_meta_read_history(to.meta, NULL, NULL, &n_broken, &to.err), 0);
	assert_int_equal(n_broken, 0);
	assert_int_equal(info_of(&to).n_history, 1);
	metabox_close(&from);
	metabox_close(&to);
}

static void test_facts_follow_from_documents(void **state)
{
	const struct vd_fact *facts;
	struct metabox box;
	size_t n;

	(void)state;
	metabox_create(&box, "facts.vhdx", "vhdx");
	metabox_add(&box, "tag", "Web");
	metabox_set(&box, "os.id", "debian");
	metabox_log(&box, "tag");
	assert_int_equal(vd_meta_get_facts(box.meta, false, &facts, &n, &box.err), 0);
	assert_int_equal(n, 2);
	metabox_commit(&box);
	metabox_look(&box);
	for (int derive = 0; derive < 2; derive++) {
		assert_int_equal(vd_meta_get_facts(box.meta, derive, &facts, &n, &box.err), 0);
		assert_int_equal(n, 3);
		assert_string_equal(facts[0].field, "history.length");
		assert_string_equal(facts[0].value, "1");
		assert_string_equal(facts[1].field, "os.id");
		assert_string_equal(facts[2].field, "tag");
		assert_string_equal(facts[2].value, "Web");
		assert_string_equal(facts[2].key, "web");
	}
	metabox_close(&box);
}

/* "A handful of reads": an opening of the metadata is one, with what a user asks first. */
static void test_an_opening_reads_once(void **state)
{
	struct vd_io_stats before, after;
	const struct vd_fact *facts;
	struct vd_meta *meta;
	struct metabox box;
	size_t n, len;
	char *bytes;

	(void)state;
	metabox_create(&box, "reads.vhdx", "vhdx");
	metabox_add(&box, "tag", "a");
	metabox_set(&box, "os.id", "debian");
	metabox_set(&box, "hardware.memory", "1G");
	metabox_log(&box, "first");
	assert_int_equal(metabox_attach(&box, NULL, "big", 5000000, 3, &box.err), 0);
	metabox_commit(&box);
	/* Later commits of one document take the others along. */
	for (int i = 0; i < 5; i++) {
		metabox_add(&box, "tag", (char[]){(char)('b' + i), 0});
		metabox_log(&box, "again");
		metabox_commit(&box);
	}
	metabox_look(&box);
	vd_io_get_stats(vd_disk_io(box.disk), &before);
	print_message("opening twice: %llu reads\n", (unsigned long long)before.n_reads);
	assert_true(before.n_reads <= 10);
	assert_int_equal(vd_meta_open(&meta, box.disk, NULL, &box.err), 0);
	assert_int_equal(vd_meta_get_facts(meta, false, &facts, &n, &box.err), 0);
	assert_int_equal(n, 9);
	assert_int_equal(vd_meta_get_document(meta, "tags", &bytes, &len, &box.err), 0);
	vd_meta_free(bytes);
	assert_non_null(vd_meta_record(meta, 5));
	assert_int_equal(vd_meta_record(meta, 3)->n_parts, 5);
	vd_io_get_stats(vd_disk_io(box.disk), &after);
	assert_int_equal(after.n_reads - before.n_reads, 1);
	assert_true(after.bytes_read - before.bytes_read <= 512 << 10);
	vd_meta_close(meta);
	metabox_close(&box);
}

static void test_more_facts_than_allowed(void **state)
{
	static char xml[VD_META_DOCUMENT_MAX];
	size_t n = 0, n_tags;
	struct metabox box;
	int ret;

	(void)state;
	metabox_create(&box, "many.vhdx", "vhdx");
	/* As many tags as a document holds. */
	n = (size_t)snprintf(xml, sizeof(xml), "<tags xmlns=\"urn:libvdisk:tags:1\">");
	for (n_tags = 0; n + 40 < sizeof(xml); n_tags++)
		n += (size_t)snprintf(xml + n, sizeof(xml) - n, "<tag>%zx</tag>", n_tags);
	n += (size_t)snprintf(xml + n, sizeof(xml) - n, "</tags>");
	ret = vd_meta_set_document(box.meta, "tags", xml, n, &box.err);
	if (ret)
		fail_msg("%s", box.err.text);
	print_message("%zu tags\n", n_tags);
	if (n_tags > VD_META_FACTS_MAX) {
		assert_int_equal(vd_meta_commit(box.meta, &box.err), VD_ENOSPC);
		assert_non_null(strstr(box.err.text, "65536"));
		assert_true(info_of(&box).has_changes);
	} else {
		metabox_commit(&box);
	}
	metabox_close(&box);
}

static void test_private_keys_are_recognised(void **state)
{
	static const char *const secret[] = {
	    "x\n-----BEGIN RSA PRIVATE KEY-----\nMIIE",
	    "-----BEGIN PRIVATE KEY-----",
	    "-----BEGIN OPENSSH PRIVATE KEY-----\nb3",
	    "-----BEGIN PGP PRIVATE KEY BLOCK-----",
	    "PuTTY-User-Key-File-3: ssh-ed25519",
	    "AGE-SECRET-KEY-1QQQ",
	    "-----BEGIN CERTIFICATE-----\nx\n-----BEGIN EC PRIVATE KEY-----"};
	static const char *const open[] = {"", "-----BEGIN CERTIFICATE-----", "PRIVATE KEY-----",
					   "-----BEGIN PUBLIC KEY-----", "-----BEGIN "};

	(void)state;
	for (size_t i = 0; i < sizeof(secret) / sizeof(secret[0]); i++)
		assert_non_null(vd_meta_looks_secret(secret[i], strlen(secret[i])));
	for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++)
		assert_null(vd_meta_looks_secret(open[i], strlen(open[i])));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_image_without_metadata),
	    cmocka_unit_test(test_fields_survive_a_commit),
	    cmocka_unit_test(test_documents_round_trip),
	    cmocka_unit_test(test_documents_that_are_refused),
	    cmocka_unit_test(test_reverting_and_removing),
	    cmocka_unit_test(test_stripping_leaves_foreign_items),
	    cmocka_unit_test(test_copying),
	    cmocka_unit_test(test_facts_follow_from_documents),
	    cmocka_unit_test(test_an_opening_reads_once),
	    cmocka_unit_test(test_more_facts_than_allowed),
	    cmocka_unit_test(test_private_keys_are_recognised),
	};

	return cmocka_run_group_tests_name("meta", tests, NULL, NULL);
}
