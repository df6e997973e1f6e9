/* SPDX-License-Identifier: MIT */
/* The chain of the history as bytes: links, tampering, rolling up, the XML that is handed out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "meta/meta_chain.h"
#include "meta/meta_envelope.h"
#include "xml/doc.h"

static void add(uint8_t **raw, size_t *len, const char *parameters)
{
	struct meta_link link = {.time = 1790000000 + (int64_t)*len};
	struct vd_error err = VD_ERROR_INIT;

	meta_link_set(&link, 0, "alice");
	meta_link_set(&link, 3, "tag");
	meta_link_set(&link, 4, parameters);
	if (meta_chain_add(raw, len, &link, &err))
		fail_msg("%s", err.text);
}

/* Entries, how many of them don't fit, and what ended it. */
static size_t walk(const uint8_t *raw, size_t len, size_t *n_broken, int *end)
{
	uint8_t *exact = malloc(len + 1);
	struct meta_walk w;
	struct meta_link link;
	bool is_linked;
	size_t n = 0;

	assert_non_null(exact);
	memcpy(exact, raw, len);
	*n_broken = 0;
	meta_walk_begin(&w, vd_span(exact, len));
	while (!(*end = meta_walk_next(&w, &link, &is_linked, NULL))) {
		n++;
		*n_broken += !is_linked;
	}
	free(exact);
	return n;
}

static void test_entries_hold_each_other(void **state)
{
	uint8_t *raw = NULL, digest[32];
	size_t len = 0, n_broken;
	uint64_t number;
	int end;

	(void)state;
	for (int i = 0; i < 5; i++)
		add(&raw, &len, "+web");
	assert_int_equal(walk(raw, len, &n_broken, &end), 5);
	assert_int_equal(n_broken, 0);
	assert_int_equal(end, VD_ENOENT);
	meta_chain_head(vd_span(raw, len), &number, digest);
	assert_int_equal(number, 5);
	assert_memory_equal(digest, raw + len - 32, 32);
	vd_free(raw);
}

static void test_each_changed_byte_breaks_the_chain(void **state)
{
	uint8_t *raw = NULL;
	size_t len = 0, n_broken;
	int end;

	(void)state;
	for (int i = 0; i < 3; i++)
		add(&raw, &len, "env=prod");
	for (size_t i = 0; i < len; i++) {
		raw[i] ^= 1;
		walk(raw, len, &n_broken, &end);
		if (!n_broken && end == VD_ENOENT)
			fail_msg("byte %zu", i);
		raw[i] ^= 1;
	}
	vd_free(raw);
}

static void test_an_entry_taken_out_is_missed(void **state)
{
	uint8_t *raw = NULL;
	size_t len = 0, n_broken, one;
	int end;

	(void)state;
	add(&raw, &len, "x");
	one = len;
	add(&raw, &len, "x");
	add(&raw, &len, "x");
	assert_int_equal(len, 3 * one);
	memmove(raw + one, raw + 2 * one, one);
	assert_int_equal(walk(raw, 2 * one, &n_broken, &end), 2);
	assert_int_equal(n_broken, 1);
	/* The first one, too. */
	assert_int_equal(walk(raw + one, one, &n_broken, &end), 1);
	assert_int_equal(n_broken, 1);
	vd_free(raw);
}

static void test_bytes_may_end_anywhere(void **state)
{
	uint8_t *raw = NULL;
	size_t len = 0, n_broken;
	int end;

	(void)state;
	add(&raw, &len, "one");
	add(&raw, &len, "two");
	for (size_t n = 1; n < len; n++) {
		walk(raw, n, &n_broken, &end);
		assert_int_equal(end, n == len / 2 ? VD_ENOENT : VD_ECORRUPT);
	}
	vd_free(raw);
}

static void test_lengths_that_lie(void **state)
{
	static const uint32_t lengths[] = {0, 1, 111, 113, 7000, 0x7fffffff, UINT32_MAX};
	uint8_t *raw = NULL;
	size_t len = 0, n_broken;
	int end;

	(void)state;
	add(&raw, &len, "one");
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		uint8_t bad[256];

		memcpy(bad, raw, len);
		memcpy(bad, &lengths[i], 4);
		walk(bad, len, &n_broken, &end);
		assert_int_equal(end, VD_ECORRUPT);
	}
	for (size_t i = 0; i < META_N_TEXTS; i++) {
		uint8_t bad[256];

		memcpy(bad, raw, len);
		bad[64 + 2 * i] = 0xff;
		bad[65 + 2 * i] = 0xff;
		walk(bad, len, &n_broken, &end);
		assert_int_equal(end, VD_ECORRUPT);
	}
	vd_free(raw);
}

static void test_old_entries_are_rolled_up(void **state)
{
	uint8_t *raw = NULL;
	size_t len = 0, n_broken, most = 0;
	struct meta_walk w;
	struct meta_link link;
	bool is_linked;
	char text[1000];
	int end;

	(void)state;
	memset(text, 'p', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (int i = 1; i <= 1000; i++) {
		add(&raw, &len, text);
		most = len > most ? len : most;
	}
	assert_true(most <= META_CHAIN_MAX);
	assert_true(walk(raw, len, &n_broken, &end) > 30);
	assert_int_equal(n_broken, 0);
	meta_walk_begin(&w, vd_span(raw, len));
	assert_int_equal(meta_walk_next(&w, &link, &is_linked, NULL), 0);
	assert_int_equal(link.n_rolled_up, link.number);
	assert_true(link.number > 800);
	assert_string_equal(link.text[3], "rolled-up");
	assert_int_equal(link.time, 1790000000); /* when the first of them was made */
	while (!meta_walk_next(&w, &link, &is_linked, NULL))
		;
	assert_int_equal(link.number, 1000);
	vd_free(raw);
}

/* What was signed stays provable: rolling up changes no digest of what is left. */
static void test_rolling_up_leaves_the_rest(void **state)
{
	uint8_t *raw = NULL, before[32], after[32];
	size_t len = 0, was;
	uint64_t number;
	char text[1000];

	(void)state;
	memset(text, 'p', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	do {
		was = len;
		meta_chain_head(vd_span(raw, len), &number, before);
		add(&raw, &len, text);
	} while (len > was);
	/* The last but one is the head of before. */
	meta_chain_head(vd_span(raw, len - 80 - 32 - 5 - 3 - 999), &number, after);
	assert_memory_equal(before, after, 32);
	vd_free(raw);
}

static void test_a_broken_chain_is_not_rolled_up(void **state)
{
	struct meta_link link = {0};
	uint8_t *raw = NULL;
	size_t len = 0, n_broken;
	char text[1000];
	int end, ret = 0;

	(void)state;
	memset(text, 'p', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	add(&raw, &len, text);
	raw[90] ^= 1;
	meta_link_set(&link, 4, text);
	for (int i = 0; i < 400 && !ret; i++)
		ret = meta_chain_add(&raw, &len, &link, NULL);
	assert_int_equal(ret, VD_ECORRUPT);
	walk(raw, len, &n_broken, &end);
	assert_int_equal(n_broken, 1);
	vd_free(raw);
}

static void test_texts_are_made_clean(void **state)
{
	struct meta_link link;
	char longer[3 * META_CHAIN_TEXT];

	(void)state;
	meta_link_set(&link, 0, "a\nb\x1b\xff\xc3\xa4");
	assert_string_equal(link.text[0], "a\xef\xbf\xbd"
					  "b\xef\xbf\xbd\xef\xbf\xbd\xc3\xa4");
	for (size_t i = 0; i < sizeof(longer) - 1; i++)
		longer[i] = i % 2 ? '\xa4' : '\xc3';
	longer[sizeof(longer) - 1] = '\0';
	meta_link_set(&link, 0, longer);
	assert_int_equal(strlen(link.text[0]), META_CHAIN_TEXT);
	meta_link_set(&link, 0, longer + 1);
	assert_true(strlen(link.text[0]) <= META_CHAIN_TEXT);
	meta_link_set(&link, 0, NULL);
	assert_string_equal(link.text[0], "");
}

static void test_the_xml_is_valid(void **state)
{
	uint8_t *raw = NULL;
	struct vd_error err = VD_ERROR_INIT;
	struct meta_link link = {.time = INT64_MIN};
	struct vd_doc *doc;
	size_t len = 0, n;
	char *xml;

	(void)state;
	add(&raw, &len, "<a href=\"x\">&amp;\xef\xbf\xbe\xef\xbf\xbf\xef\xac\x81</a>");
	assert_int_equal(meta_chain_add(&raw, &len, &link, NULL), 0);
	for (int i = 0; i < 900; i++)
		add(&raw, &len, i % 2 ? "&&&&&&&&&&" : "");
	assert_int_equal(meta_chain_xml(vd_span(raw, len), &xml, &n, &err), 0);
	assert_int_equal(strlen(xml), n);
	if (vd_doc_parse(&doc, xml, n, &err) || vd_doc_validate(doc, NULL, NULL, &err))
		fail_msg("%s", err.text);
	assert_string_equal(vd_doc_xmlns(doc), vd_category_find("history")->xmlns);
	vd_doc_free(doc);
	vd_free(xml);
	vd_free(raw);
}

/* The longest XML that a history can have is one that the parser takes. */
static void test_the_xml_fits_a_document(void **state)
{
	char text[META_CHAIN_TEXT + 1];
	uint8_t *raw = NULL;
	size_t len = 0, n;
	char *xml;

	(void)state;
	memset(text, '"', META_CHAIN_TEXT);
	text[META_CHAIN_TEXT] = '\0';
	for (int i = 0; i < 300; i++) {
		struct meta_link link = {0};

		for (unsigned j = 0; j < META_N_TEXTS; j++)
			meta_link_set(&link, j, text);
		assert_int_equal(meta_chain_add(&raw, &len, &link, NULL), 0);
	}
	assert_int_equal(meta_chain_xml(vd_span(raw, len), &xml, &n, NULL), 0);
	assert_true(n <= VD_META_DOCUMENT_MAX);
	vd_free(xml);
	vd_free(raw);
}

static int setup(void **state)
{
	(void)state;
	return meta_digest_init(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_entries_hold_each_other),
	    cmocka_unit_test(test_each_changed_byte_breaks_the_chain),
	    cmocka_unit_test(test_an_entry_taken_out_is_missed),
	    cmocka_unit_test(test_bytes_may_end_anywhere),
	    cmocka_unit_test(test_lengths_that_lie),
	    cmocka_unit_test(test_old_entries_are_rolled_up),
	    cmocka_unit_test(test_rolling_up_leaves_the_rest),
	    cmocka_unit_test(test_a_broken_chain_is_not_rolled_up),
	    cmocka_unit_test(test_texts_are_made_clean),
	    cmocka_unit_test(test_the_xml_is_valid),
	    cmocka_unit_test(test_the_xml_fits_a_document),
	};

	return cmocka_run_group_tests_name("meta_chain", tests, setup, NULL);
}
