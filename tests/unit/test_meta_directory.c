/* SPDX-License-Identifier: MIT */
/*
 * The directory in the facts is believed only as far as the table of items bears it out: of
 * attached files, whose heads nobody reads at an opening, ids, flags and lengths have to be right.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "metabox.h"

#define PART_2 "attachment:file\n#2"

static bool is_stale(struct metabox *box)
{
	struct vd_meta_info info = {.size = sizeof(info)};

	metabox_look(box);
	vd_meta_get_info(box->meta, &info);
	return info.has_stale_facts;
}

static void make(struct metabox *box, const char *name)
{
	metabox_create(box, name, "vhdx");
	metabox_add(box, "tag", "web");
	assert_int_equal(metabox_attach(box, NULL, "file", 2100000, 5, &box->err), 0);
	metabox_commit(box);
	assert_false(is_stale(box));
}

static void test_parts_of_another_length_or_scope_make_facts_stale(void **state)
{
	struct vd_item item;
	struct metabox box;
	uint8_t *bytes;

	(void)state;
	make(&box, "part.vhdx");
	bytes = metabox_item(&box, PART_2, &item);
	assert_non_null(bytes);
	metabox_edit(&box);
	metabox_put_item(&box, PART_2, bytes, item.length - 1, item.flags);
	assert_true(is_stale(&box));
	assert_false(metabox_holds(&box, "file", 2100000, 5));
	metabox_edit(&box);
	metabox_put_item(&box, PART_2, bytes, item.length, item.flags ^ VD_ITEM_VIRTUAL_DISK);
	assert_true(is_stale(&box));
	metabox_edit(&box);
	metabox_put_item(&box, PART_2, bytes, item.length, item.flags);
	assert_false(is_stale(&box));
	assert_true(metabox_holds(&box, "file", 2100000, 5));
	free(bytes);
	metabox_close(&box);
}

static void add_to(uint8_t *at, uint32_t n)
{
	struct vd_le32 le;

	memcpy(&le, at, sizeof(le));
	le = vd_put32(vd_get32(le) + n);
	memcpy(at, &le, sizeof(le));
}

/* The first entry twice, all else as it was. */
static void test_an_item_belongs_to_one_record_only(void **state)
{
	uint8_t *bytes, *more, *entry;
	struct vd_item item;
	struct metabox box;

	(void)state;
	make(&box, "twice.vhdx");
	bytes = metabox_item(&box, "facts", &item);
	assert_non_null(bytes);
	more = realloc(bytes, item.length + 72);
	assert_non_null(more);
	entry = more + (more[10] | more[11] << 8) + 64;
	memmove(entry + 72, entry, item.length - (size_t)(entry - more));
	add_to(entry - 64 + 8, 1); /* entries */
	for (int at = 24; at <= 40; at += 8)
		add_to(more + at, 72); /* lengths: the part's, raw and stored, and the whole's */
	metabox_seal(more, item.length + 72);
	metabox_edit(&box);
	metabox_put_item(&box, "facts", more, item.length + 72, item.flags);
	free(more);
	assert_true(is_stale(&box));
	assert_int_equal(metabox_record(&box, VD_RECORD_FACTS, "facts")->damage, 0);
	assert_string_equal(metabox_get(&box, "tag"), "web|");
	metabox_close(&box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_parts_of_another_length_or_scope_make_facts_stale),
	    cmocka_unit_test(test_an_item_belongs_to_one_record_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
