/* SPDX-License-Identifier: MIT */
/* The facts record as bytes: what goes in comes out sorted, and each broken rule is refused. */
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

static void add(struct meta_gather *g, const char *field, const char *value, const char *key,
		uint32_t group)
{
	struct vd_error err = VD_ERROR_INIT;

	if (meta_gather_add(g, field, value, key, group, &err))
		fail_msg("%s", err.text);
}

/* Five facts and two records; *len bytes, to be freed by vd_free. */
static uint8_t *example(size_t *len)
{
	static const struct meta_entry entries[] = {
	    {VD_RECORD_DOCUMENT, true, 1, 100, 260, {1, 2, 3}, "tags", "", ""},
	    {VD_RECORD_ATTACHMENT, false, 3, 3000000, 2000000, {4}, "state", "vm.sav", "x/y"},
	};
	struct meta_gather g = {0};
	struct meta_facts f;
	uint8_t *raw;

	add(&g, "tag", "Web", "web", 0);
	add(&g, "package", "pkg:deb/a@1", "pkg:deb/a@1", 1);
	add(&g, "package.state", "ok", "ok", 1);
	meta_gather_next(&g);
	add(&g, "os.id", "debian", "debian", 1);
	add(&g, "tag", "App", "app", 0);
	add(&g, "tag", "App", "app", 0); /* a double */
	assert_int_equal(meta_gather_finish(&g, &f, NULL), 0);
	f.entries = (struct meta_entry *)(uintptr_t)entries;
	f.n_entries = 2;
	f.history_len = 77;
	f.history_head[31] = 9;
	assert_int_equal(meta_facts_encode(&f, &raw, len, NULL), 0);
	f.entries = NULL;
	meta_facts_free(&f);
	return raw;
}

static int decode(const uint8_t *raw, size_t len, struct vd_error *err)
{
	uint8_t *exact = malloc(len + 1);
	struct meta_facts f;
	int ret;

	assert_non_null(exact);
	memcpy(exact, raw, len);
	ret = meta_facts_decode(&f, vd_span(exact, len), err);
	if (!ret)
		meta_facts_free(&f);
	free(exact);
	return ret;
}

static void test_facts_come_out_sorted(void **state)
{
	static const char *const want[][3] = {{"os.id", "debian", "debian"},
					      {"package", "pkg:deb/a@1", "pkg:deb/a@1"},
					      {"package.state", "ok", "ok"},
					      {"tag", "App", "app"},
					      {"tag", "Web", "web"}};
	static const uint32_t groups[] = {2, 1, 1, 0, 0};
	struct meta_facts f;
	uint8_t *raw;
	size_t len;

	(void)state;
	raw = example(&len);
	assert_int_equal(meta_facts_decode(&f, vd_span(raw, len), NULL), 0);
	assert_int_equal(f.n_facts, 5);
	for (size_t i = 0; i < 5; i++) {
		assert_string_equal(f.facts[i].field, want[i][0]);
		assert_string_equal(f.facts[i].value, want[i][1]);
		assert_string_equal(f.facts[i].key, want[i][2]);
		assert_int_equal(f.facts[i].group, groups[i]);
	}
	assert_int_equal(f.n_entries, 2);
	assert_string_equal(f.entries[1].name, "vm.sav");
	assert_string_equal(f.entries[1].media, "x/y");
	assert_int_equal(f.entries[1].n_parts, 3);
	assert_int_equal(f.entries[1].stored_len, 2000000);
	assert_true(f.entries[0].is_disk_scope);
	assert_false(f.entries[1].is_disk_scope);
	assert_int_equal(f.history_len, 77);
	assert_int_equal(f.history_head[31], 9);
	meta_facts_free(&f);
	vd_free(raw);
}

static void test_no_facts_at_all(void **state)
{
	struct meta_gather g = {0};
	struct meta_facts f, back;
	uint8_t *raw;
	size_t len;

	(void)state;
	assert_int_equal(meta_gather_finish(&g, &f, NULL), 0);
	assert_int_equal(meta_facts_encode(&f, &raw, &len, NULL), 0);
	assert_int_equal(len, 65);
	assert_int_equal(meta_facts_decode(&back, vd_span(raw, len), NULL), 0);
	assert_int_equal(back.n_facts, 0);
	meta_facts_free(&back);
	meta_facts_free(&f);
	vd_free(raw);
}

static void test_each_wrong_field_is_refused(void **state)
{
	/* Head of 64 bytes, two entries of 72, five facts of 16, texts. */
	static const struct {
		const char *name;
		size_t at, n;
		uint64_t value;
		int code;
		const char *words;
	} wrongs[] = {
	    {"version", 0, 4, 2, VD_EUNSUPPORTED, "version 2"},
	    {"head", 4, 4, 65, VD_ECORRUPT, "add up"},
	    {"records", 8, 4, 3, VD_ECORRUPT, "add up"},
	    {"many records", 8, 4, UINT32_MAX, VD_ECORRUPT, "more records"},
	    {"facts", 12, 4, 4, VD_ECORRUPT, "add up"},
	    {"a fact too many", 12, 4, VD_META_FACTS_MAX + 1, VD_ECORRUPT, "at most 65536"},
	    {"texts", 16, 4, UINT32_MAX, VD_ECORRUPT, "add up"},
	    {"reserved", 20, 4, 1, VD_ECORRUPT, "add up"},
	    {"type", 64, 1, 0, VD_ECORRUPT, "bounds"},
	    {"later type", 64, 1, 6, VD_ECORRUPT, "bounds"},
	    {"flags", 65, 1, 2, VD_ECORRUPT, "bounds"},
	    {"reserved of an entry", 66, 2, 1, VD_ECORRUPT, "bounds"},
	    {"no parts", 68, 4, 0, VD_ECORRUPT, "bounds"},
	    {"parts", 68, 4, 1001, VD_ECORRUPT, "bounds"},
	    {"raw length", 72, 8, VD_META_DOCUMENT_MAX + 1, VD_ECORRUPT, "bounds"},
	    {"kind", 120, 4, 100000, VD_ECORRUPT, "outside"},
	    {"name", 124, 4, UINT32_MAX, VD_ECORRUPT, "outside"},
	    {"media type", 128, 4, 0x80000000u, VD_ECORRUPT, "outside"},
	    {"reserved at the end", 132, 4, 1, VD_ECORRUPT, "bounds"},
	    {"a file without a name", 196, 4, 0, VD_ECORRUPT, "directory"},
	    {"a document with a name", 124, 4, 1, VD_ECORRUPT, "directory"},
	    {"a fact's field", 208, 4, 100000, VD_ECORRUPT, "outside"},
	    {"a fact's value", 212, 4, 100000, VD_ECORRUPT, "outside"},
	    {"a fact's key", 216, 4, 100000, VD_ECORRUPT, "outside"},
	    {"order", 208, 4, 0, 0, NULL}, /* "" comes first: that is allowed */
	    {"wrong order", 224, 4, 0, VD_ECORRUPT, "sorted"},
	};
	uint8_t *raw;
	size_t len;

	(void)state;
	raw = example(&len);
	assert_int_equal(decode(raw, len, NULL), 0);
	for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
		struct vd_error err = VD_ERROR_INIT;
		uint8_t *bad = malloc(len);
		int ret;

		assert_non_null(bad);
		memcpy(bad, raw, len);
		for (size_t j = 0; j < wrongs[i].n; j++)
			bad[wrongs[i].at + j] = (uint8_t)(wrongs[i].value >> 8 * j);
		ret = decode(bad, len, &err);
		if (ret != wrongs[i].code || (ret && !strstr(err.text, wrongs[i].words)))
			fail_msg("%s: %d, %s", wrongs[i].name, ret, err.text);
		free(bad);
	}
	raw[len - 2] = '\x1b';
	assert_int_equal(decode(raw, len, NULL), VD_ECORRUPT);
	raw[len - 2] = 0xff;
	assert_int_equal(decode(raw, len, NULL), VD_ECORRUPT);
	raw[len - 2] = '\n';
	assert_int_equal(decode(raw, len, NULL), 0);
	raw[len - 1] = 'x';
	assert_int_equal(decode(raw, len, NULL), VD_ECORRUPT);
	vd_free(raw);
}

static void test_records_may_end_anywhere(void **state)
{
	uint8_t *raw;
	size_t len;

	(void)state;
	raw = example(&len);
	for (size_t n = 0; n < len; n++)
		assert_int_equal(decode(raw, n, NULL), VD_ECORRUPT);
	vd_free(raw);
}

static void test_facts_that_no_document_has_are_refused(void **state)
{
	static const char *const fields[] = {"host.arch", "image.path", "metadata.damaged",
					     "action"};

	(void)state;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		struct meta_gather g = {0};
		struct meta_facts f;
		uint8_t *raw;
		size_t len;

		add(&g, fields[i], "x", "x", 0);
		assert_int_equal(meta_gather_finish(&g, &f, NULL), 0);
		assert_int_equal(meta_facts_encode(&f, &raw, &len, NULL), 0);
		assert_int_equal(decode(raw, len, NULL), VD_ECORRUPT);
		meta_facts_free(&f);
		vd_free(raw);
	}
}

static void test_as_many_facts_as_allowed_and_one_more(void **state)
{
	struct vd_error err = VD_ERROR_INIT;
	struct meta_gather g = {0};
	struct meta_facts f, back;
	struct meta_content c;
	char value[32];
	uint8_t *raw;
	size_t len;

	(void)state;
	for (uint32_t i = 0; i < VD_META_FACTS_MAX; i++) {
		snprintf(value, sizeof(value), "%u", i * 2654435761u);
		add(&g, "tag", value, value, 0);
	}
	assert_int_equal(meta_gather_add(&g, "tag", "x", "x", 0, &err), VD_ENOSPC);
	assert_non_null(strstr(err.text, "65536"));
	assert_int_equal(meta_gather_finish(&g, &f, NULL), 0);
	assert_int_equal(f.n_facts, VD_META_FACTS_MAX);
	assert_int_equal(meta_facts_encode(&f, &raw, &len, NULL), 0);
	assert_int_equal(meta_facts_decode(&back, vd_span(raw, len), NULL), 0);
	assert_int_equal(back.n_facts, VD_META_FACTS_MAX);
	/* More than an item holds: they are split, and fit. */
	assert_int_equal(meta_pack(VD_RECORD_FACTS, "facts", false, raw, len, &c, &err), 0);
	assert_true(c.n > 1);
	meta_content_free(&c);
	meta_facts_free(&back);
	meta_facts_free(&f);
	vd_free(raw);
}

static void test_gathering_too_much_text(void **state)
{
	struct vd_error err = VD_ERROR_INIT;
	struct meta_gather g = {0};
	char *big = malloc(1 << 20);
	int ret = 0;

	(void)state;
	assert_non_null(big);
	memset(big, 'x', (1 << 20) - 1);
	big[(1 << 20) - 1] = '\0';
	for (int i = 0; i < 17 && !ret; i++)
		ret = meta_gather_add(&g, "tag", big, big, 0, &err);
	assert_int_equal(ret, VD_ENOSPC);
	meta_gather_drop(&g);
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_facts_come_out_sorted),
	    cmocka_unit_test(test_no_facts_at_all),
	    cmocka_unit_test(test_each_wrong_field_is_refused),
	    cmocka_unit_test(test_records_may_end_anywhere),
	    cmocka_unit_test(test_as_many_facts_as_allowed_and_one_more),
	    cmocka_unit_test(test_facts_that_no_document_has_are_refused),
	    cmocka_unit_test(test_gathering_too_much_text),
	};

	return cmocka_run_group_tests_name("meta_facts", tests, NULL, NULL);
}
