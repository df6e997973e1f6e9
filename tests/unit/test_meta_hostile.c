/* SPDX-License-Identifier: MIT */
/*
 * Items that were damaged, forged or written by others: they are reported, the rest stays usable,
 * and facts that don't fit are not believed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "meta/meta_envelope.h"
#include "meta/meta_facts.h"
#include "metabox.h"

static struct vd_meta_info info_of(struct metabox *box)
{
	struct vd_meta_info info = {.size = sizeof(info)};

	vd_meta_get_info(box->meta, &info);
	return info;
}

static void make(struct metabox *box, const char *name)
{
	metabox_create(box, name, "vhdx");
	metabox_add(box, "tag", "web");
	metabox_set(box, "os.id", "debian");
	metabox_log(box, "tag");
	assert_int_equal(metabox_attach(box, NULL, "file", 2100000, 5, &box->err), 0);
	metabox_commit(box);
}

static uint8_t *take(struct metabox *box, const char *key, struct vd_item *item)
{
	uint8_t *bytes = metabox_item(box, key, item);

	assert_non_null(bytes);
	return bytes;
}

/* Change a byte of an item (from its end if at < 0), past the metadata layer, and look. */
static void tamper(struct metabox *box, const char *key, int at)
{
	struct vd_item item;
	uint8_t *bytes = take(box, key, &item);

	bytes[at < 0 ? (int)item.length + at : at] ^= 1;
	metabox_put_item(box, key, bytes, item.length, item.flags);
	free(bytes);
	metabox_look(box);
}

static void test_a_changed_document_is_named(void **state)
{
	const struct vd_fact *facts;
	struct metabox box;
	size_t len;
	char *bytes;

	(void)state;
	make(&box, "document.vhdx");
	tamper(&box, "tags", -3);
	assert_int_equal(vd_meta_get_document(box.meta, "tags", &bytes, &len, &box.err),
			 VD_ECORRUPT);
	assert_non_null(strstr(box.err.text, "tags"));
	assert_non_null(strstr(box.err.text, "digest"));
	assert_int_equal(info_of(&box).n_damaged, 1);
	/* Others are as good as before. */
	assert_string_equal(metabox_get(&box, "os.id"), "debian|");
	assert_true(metabox_holds(&box, "file", 2100000, 5));
	/* Who derives the facts doesn't see what can't be proven. */
	assert_int_equal(vd_meta_get_facts(box.meta, true, &facts, &len, &box.err), 0);
	assert_int_equal(len, 2);
	metabox_close(&box);
}

static void test_a_damaged_document_can_be_replaced(void **state)
{
	static const char xml[] = "<tags xmlns=\"urn:libvdisk:tags:1\"><tag>new</tag></tags>";
	struct metabox box;

	(void)state;
	make(&box, "replace.vhdx");
	tamper(&box, "tags", 20); /* in its head */
	assert_int_equal(info_of(&box).n_damaged, 1);
	assert_true(info_of(&box).has_stale_facts);
	metabox_edit(&box);
	/* Not in part: what it held isn't known. */
	assert_int_equal(vd_meta_set_field(box.meta, "tag", VD_FIELD_ADD, "x", &box.err),
			 VD_ECORRUPT);
	/* A change of something else leaves it as it is. */
	metabox_set(&box, "os.id", "alpine");
	metabox_commit(&box);
	assert_int_equal(info_of(&box).n_damaged, 1);
	assert_false(info_of(&box).has_stale_facts);
	assert_int_equal(vd_meta_set_document(box.meta, "tags", xml, strlen(xml), &box.err), 0);
	metabox_commit(&box);
	assert_int_equal(info_of(&box).n_damaged, 0);
	metabox_look(&box);
	assert_string_equal(metabox_get(&box, "tag"), "new|");
	assert_string_equal(metabox_get(&box, "os.id"), "alpine|");
	metabox_close(&box);
}

static void test_an_overwritten_item_is_damage(void **state)
{
	struct metabox box;
	const struct vd_record *r;

	(void)state;
	make(&box, "overwritten.vhdx");
	metabox_put_item(&box, "content", "by a program that knows no envelope", 35,
			 VD_ITEM_USER | VD_ITEM_VIRTUAL_DISK);
	metabox_look(&box);
	r = metabox_record(&box, VD_RECORD_DOCUMENT, "content");
	assert_non_null(r);
	assert_int_equal(r->damage, VD_ECORRUPT);
	assert_non_null(strstr(r->damage_text, "no envelope"));
	assert_true(info_of(&box).has_stale_facts);
	metabox_close(&box);
}

static void test_changed_facts_are_not_used(void **state)
{
	const struct vd_fact *facts;
	struct metabox box;
	size_t n;

	(void)state;
	make(&box, "facts.vhdx");
	tamper(&box, "facts", -3);
	assert_true(info_of(&box).has_stale_facts);
	assert_int_equal(info_of(&box).n_damaged, 1);
	assert_int_equal(vd_meta_get_facts(box.meta, false, &facts, &n, &box.err), 0);
	assert_int_equal(n, 3);
	assert_string_equal(facts[2].value, "web");
	metabox_edit(&box);
	metabox_add(&box, "tag", "x");
	metabox_commit(&box);
	assert_int_equal(info_of(&box).n_damaged, 0);
	assert_false(info_of(&box).has_stale_facts);
	metabox_close(&box);
}

/* Who computes digests anew forges facts; who derives them again sees it. */
static void test_forged_facts_are_seen_by_who_derives(void **state)
{
	const struct vd_fact *facts;
	struct vd_item item;
	struct metabox box;
	uint8_t *bytes, *at;
	size_t n;

	(void)state;
	make(&box, "forged.vhdx");
	bytes = take(&box, "facts", &item);
	at = memmem(bytes, item.length, "web", 4);
	assert_non_null(at);
	memcpy(at, "wxb", 3);
	metabox_seal(bytes, item.length);
	metabox_put_item(&box, "facts", bytes, item.length, item.flags);
	free(bytes);
	metabox_look(&box);
	assert_false(info_of(&box).has_stale_facts);
	assert_int_equal(vd_meta_get_facts(box.meta, false, &facts, &n, &box.err), 0);
	assert_string_equal(facts[2].value, "wxb");
	assert_int_equal(vd_meta_get_facts(box.meta, true, &facts, &n, &box.err), 0);
	assert_string_equal(facts[2].value, "web");
	metabox_close(&box);
}

/* A document written by a program that leaves the facts as they were. */
static void test_facts_of_another_document_are_stale(void **state)
{
	const struct vd_fact *facts;
	struct vd_item item;
	struct metabox box;
	uint8_t *bytes, *at;
	size_t n;

	(void)state;
	make(&box, "stale.vhdx");
	bytes = take(&box, "tags", &item);
	at = memmem(bytes, item.length, "web", 3);
	assert_non_null(at);
	memcpy(at, "wob", 3);
	metabox_seal(bytes, item.length);
	metabox_put_item(&box, "tags", bytes, item.length, item.flags);
	free(bytes);
	metabox_look(&box);
	assert_true(info_of(&box).has_stale_facts);
	assert_int_equal(info_of(&box).n_damaged, 0);
	assert_int_equal(vd_meta_get_facts(box.meta, false, &facts, &n, &box.err), 0);
	assert_string_equal(facts[2].value, "wob");
	metabox_close(&box);
}

static void remove_item(struct metabox *box, const char *key)
{
	struct vd_item_change change = {.flags = VD_ITEM_USER, .is_removal = true};

	metabox_key_id(key, change.id);
	assert_int_equal(vd_disk_change_items(box->disk, &change, 1, &box->err), 0);
}

static void test_a_document_taken_away_or_added_makes_facts_stale(void **state)
{
	struct vd_item item;
	struct metabox box, other;
	uint8_t *bytes;

	(void)state;
	make(&box, "taken.vhdx");
	remove_item(&box, "tags");
	metabox_look(&box);
	assert_true(info_of(&box).has_stale_facts);
	metabox_close(&box);

	make(&box, "added.vhdx");
	metabox_create(&other, "other.vhdx", "vhdx");
	metabox_set(&other, "hardware.memory", "1G");
	metabox_commit(&other);
	bytes = take(&other, "hardware", &item);
	metabox_put_item(&box, "hardware", bytes, item.length, item.flags);
	free(bytes);
	metabox_look(&box);
	assert_true(info_of(&box).has_stale_facts);
	assert_string_equal(metabox_get(&box, "hardware.memory"), "1073741824|");
	metabox_close(&other);
	metabox_close(&box);
}

static void test_a_child_without_facts_derives_them(void **state)
{
	const struct vd_fact *facts;
	struct metabox box;
	size_t n;

	(void)state;
	make(&box, "child.vhdx");
	remove_item(&box, "facts");
	remove_item(&box, "history");
	metabox_look(&box);
	assert_true(info_of(&box).has_stale_facts);
	assert_int_equal(vd_meta_get_facts(box.meta, false, &facts, &n, &box.err), 0);
	assert_int_equal(n, 2);
	metabox_close(&box);
}

static void test_the_same_record_twice(void **state)
{
	const struct vd_record *r;
	struct vd_item item;
	struct metabox box;
	uint8_t *bytes;

	(void)state;
	make(&box, "twice.vhdx");
	bytes = take(&box, "tags", &item);
	metabox_put_item(&box, "somewhere else", bytes, item.length, item.flags);
	metabox_put_item(&box, "host", bytes, item.length, item.flags);
	free(bytes);
	metabox_look(&box);
	assert_int_equal(info_of(&box).n_damaged, 2);
	assert_string_equal(metabox_get(&box, "tag"), "web|");
	r = metabox_record(&box, VD_RECORD_DOCUMENT, "tags");
	assert_int_equal(r->damage, 0);
	metabox_edit(&box);
	metabox_add(&box, "tag", "x");
	metabox_commit(&box);
	assert_int_equal(info_of(&box).n_damaged, 2);
	assert_string_equal(metabox_get(&box, "tag"), "web|x|");
	/* They are of ours all the same, and go with the rest. */
	assert_int_equal(vd_meta_strip(box.meta, &box.err), 0);
	metabox_commit(&box);
	assert_int_equal(info_of(&box).n_records, 0);
	metabox_close(&box);
}

static void test_a_later_version_is_kept(void **state)
{
	static const char xml[] = "<tags xmlns=\"urn:libvdisk:tags:1\"/>";
	const struct vd_record *r;
	struct vd_item item;
	struct metabox box;
	uint8_t *bytes;

	(void)state;
	make(&box, "later.vhdx");
	bytes = take(&box, "tags", &item);
	bytes[8] = 2;
	metabox_put_item(&box, "tags", bytes, item.length, item.flags);
	metabox_edit(&box);
	r = metabox_record(&box, VD_RECORD_DOCUMENT, "tags");
	assert_non_null(r);
	assert_int_equal(r->damage, VD_EUNSUPPORTED);
	assert_int_equal(vd_meta_set_document(box.meta, "tags", xml, strlen(xml), &box.err),
			 VD_EUNSUPPORTED);
	assert_int_equal(vd_meta_set_field(box.meta, "tag", VD_FIELD_ADD, "x", &box.err),
			 VD_EUNSUPPORTED);
	metabox_set(&box, "os.id", "alpine");
	metabox_commit(&box);
	free(bytes);
	bytes = take(&box, "tags", &item);
	assert_int_equal(bytes[8], 2);
	free(bytes);
	metabox_close(&box);
}

static void test_parts_that_are_missing_or_mixed(void **state)
{
	const struct vd_record *r;
	struct vd_item item;
	struct metabox box;
	uint8_t *bytes;

	(void)state;
	make(&box, "parts.vhdx");
	bytes = take(&box, "attachment:file\n#3", &item);
	remove_item(&box, "attachment:file\n#3");
	metabox_look(&box);
	r = metabox_record(&box, VD_RECORD_ATTACHMENT, "file");
	assert_non_null(r);
	assert_int_equal(r->damage, VD_ECORRUPT);
	assert_non_null(strstr(r->damage_text, "part 3 of 3"));
	assert_int_equal(info_of(&box).n_damaged, 1);

	/* The third part where the second should be. */
	metabox_edit(&box);
	metabox_put_item(&box, "attachment:file\n#3", bytes, item.length, item.flags);
	metabox_put_item(&box, "attachment:file\n#2", bytes, item.length, item.flags);
	metabox_look(&box);
	assert_false(metabox_holds(&box, "file", 2100000, 5));

	/* Only later parts. */
	metabox_edit(&box);
	remove_item(&box, "attachment:file");
	metabox_look(&box);
	assert_int_equal(info_of(&box).n_damaged, 2);
	/* A new one of this name clears that up. */
	metabox_edit(&box);
	assert_int_equal(metabox_attach(&box, NULL, "file", 2100000, 6, &box.err), 0);
	metabox_commit(&box);
	assert_int_equal(info_of(&box).n_damaged, 0);
	assert_true(metabox_holds(&box, "file", 2100000, 6));
	free(bytes);
	metabox_close(&box);
}

static void put_content(struct metabox *box, struct meta_content *c)
{
	struct vd_item_change change = {.flags = VD_ITEM_USER};

	for (uint32_t i = 0; i < c->n; i++) {
		memcpy(change.id, c->blobs[i].id, 16);
		change.length = c->blobs[i].len;
		change.data = c->blobs[i].bytes;
		assert_int_equal(vd_disk_change_items(box->disk, &change, 1, &box->err), 0);
	}
	meta_content_free(c);
}

/* A history of two parts, the first of which says that the whole is 20 bytes long. The directory
 * says so too, so the head of the second isn't read until its bytes are. */
static void test_parts_longer_than_the_whole(void **state)
{
	static const uint8_t zeros[5000];
	struct meta_packer packer;
	struct meta_content c;
	struct meta_facts facts;
	struct vd_item item;
	struct metabox box;
	uint64_t n_broken;
	uint8_t *bytes, *raw;
	size_t len;
	char *xml;

	(void)state;
	make(&box, "longer.vhdx");
	assert_int_equal(
	    meta_packer_init(&packer, VD_RECORD_HISTORY, "history", "", "", false, &box.err), 0);
	assert_int_equal(meta_packer_add(&packer, zeros, 10, &box.err), 0);
	assert_int_equal(meta_packer_add(&packer, zeros, sizeof(zeros), &box.err), 0);
	assert_int_equal(meta_packer_finish(&packer, &c, &box.err), 0);
	bytes = take(&box, "facts", &item);
	assert_int_equal(
	    meta_facts_decode(&facts, vd_span(bytes + 160, item.length - 160), &box.err), 0);
	free(bytes);
	for (size_t i = 0; i < facts.n_entries; i++) {
		if (facts.entries[i].type != VD_RECORD_HISTORY)
			continue;
		facts.entries[i].n_parts = 2;
		facts.entries[i].raw_len = 20;
		facts.entries[i].stored_len = c.stored_len;
		memcpy(facts.entries[i].digest, c.digest, 32);
	}
	for (uint32_t i = 0; i < 2; i++) {
		/* The first one's is believed; the second one's would be refused. */
		c.blobs[i].bytes[40] = i ? 0x88 : 20;
		c.blobs[i].bytes[41] = i ? 0x13 : 0;
		meta_head_digest(c.blobs[i].bytes, 160, c.blobs[i].bytes + 120);
	}
	put_content(&box, &c);
	assert_int_equal(meta_facts_encode(&facts, &raw, &len, &box.err), 0);
	assert_int_equal(meta_pack(VD_RECORD_FACTS, "facts", false, raw, len, &c, &box.err), 0);
	put_content(&box, &c);
	vd_free(raw);
	meta_facts_free(&facts);
	metabox_look(&box);
	assert_false(info_of(&box).has_stale_facts);
	assert_int_equal(vd_meta_read_history(box.meta, NULL, NULL, &n_broken, &box.err),
			 VD_ECORRUPT);
	assert_int_equal(vd_meta_get_document(box.meta, "history", &xml, &len, &box.err),
			 VD_ECORRUPT);
	assert_string_equal(metabox_get(&box, "tag"), "web|");
	metabox_close(&box);
}

static void test_each_byte_of_each_small_item(void **state)
{
	static const char *const keys[] = {"tags", "content", "facts", "history"};
	struct metabox box;

	(void)state;
	make(&box, "bytes.vhdx");
	for (size_t k = 0; k < 4; k++) {
		struct vd_item item;
		uint8_t *bytes = take(&box, keys[k], &item);

		for (uint32_t i = 0; i < item.length; i += 1 + item.length / 40) {
			const struct vd_fact *facts;
			uint64_t n_broken = 0;
			struct vd_meta *meta;
			char *xml = NULL;
			size_t n;
			int ret;

			bytes[i] ^= 0x41;
			metabox_put_item(&box, keys[k], bytes, item.length, item.flags);
			bytes[i] ^= 0x41;
			assert_int_equal(vd_meta_open(&meta, box.disk, NULL, &box.err), 0);
			ret = vd_meta_get_document(meta, keys[k], &xml, &n, &box.err);
			assert_true(ret == VD_ECORRUPT || ret == VD_EUNSUPPORTED || k >= 2);
			vd_meta_free(xml);
			assert_int_equal(vd_meta_get_facts(meta, false, &facts, &n, &box.err), 0);
			ret = vd_meta_read_history(meta, NULL, NULL, &n_broken, &box.err);
			assert_true(k < 3 ? !ret && !n_broken : ret || n_broken);
			assert_true(k != 2 || metabox_get(&box, "tag"));
			vd_meta_close(meta);
		}
		metabox_put_item(&box, keys[k], bytes, item.length, item.flags);
		free(bytes);
	}
	metabox_close(&box);
}

static void test_a_thousand_items_of_others(void **state)
{
	struct vd_item_change *changes = calloc(900, sizeof(*changes));
	struct metabox box;
	char key[32];

	(void)state;
	assert_non_null(changes);
	make(&box, "thousand.vhdx");
	for (int i = 0; i < 900; i++) {
		snprintf(key, sizeof(key), "foreign %d", i);
		changes[i].flags = VD_ITEM_USER;
		changes[i].length = 8;
		changes[i].data = "vdisk\x1amd"; /* looks like ours, and ends */
		metabox_key_id(key, changes[i].id);
	}
	assert_int_equal(vd_disk_change_items(box.disk, changes, 900, &box.err), 0);
	metabox_look(&box);
	assert_int_equal(info_of(&box).n_damaged, 900);
	assert_string_equal(metabox_get(&box, "tag"), "web|");
	metabox_close(&box);
	free(changes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_changed_document_is_named),
	    cmocka_unit_test(test_a_damaged_document_can_be_replaced),
	    cmocka_unit_test(test_an_overwritten_item_is_damage),
	    cmocka_unit_test(test_changed_facts_are_not_used),
	    cmocka_unit_test(test_forged_facts_are_seen_by_who_derives),
	    cmocka_unit_test(test_facts_of_another_document_are_stale),
	    cmocka_unit_test(test_a_document_taken_away_or_added_makes_facts_stale),
	    cmocka_unit_test(test_a_child_without_facts_derives_them),
	    cmocka_unit_test(test_the_same_record_twice),
	    cmocka_unit_test(test_a_later_version_is_kept),
	    cmocka_unit_test(test_parts_that_are_missing_or_mixed),
	    cmocka_unit_test(test_parts_longer_than_the_whole),
	    cmocka_unit_test(test_each_byte_of_each_small_item),
	    cmocka_unit_test(test_a_thousand_items_of_others),
	};

	return cmocka_run_group_tests_name("meta_hostile", tests, NULL, NULL);
}
