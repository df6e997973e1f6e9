/* SPDX-License-Identifier: MIT */
/*
 * Envelopes: what goes in comes out, and a wrong value of each field is refused although the
 * digest of the head is right.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "meta/meta_envelope.h"

static uint8_t text[5000];

static void pack(struct meta_content *c, enum vd_record_type type, const char *kind,
		 const void *raw, size_t len)
{
	struct vd_error err = VD_ERROR_INIT;

	if (meta_pack(type, kind, true, raw, len, c, &err))
		fail_msg("%s", err.text);
}

static int decode(const uint8_t *bytes, uint32_t len, uint32_t flags, struct meta_head *head,
		  struct vd_error *err)
{
	return meta_head_decode(vd_span(bytes, len < META_HEAD_MAX ? len : META_HEAD_MAX), len,
				flags, head, err);
}

static void round_trip(const void *raw, size_t len, uint8_t packing)
{
	uint8_t *out = malloc(META_PART_MAX);
	struct vd_error err = VD_ERROR_INIT;
	struct meta_content c;
	struct meta_head head;
	size_t at = 0;

	assert_non_null(out);
	pack(&c, VD_RECORD_DOCUMENT, "urn:x:y", raw, len);
	assert_int_equal(c.raw_len, len);
	for (uint32_t i = 0; i < c.n; i++) {
		struct meta_blob *b = &c.blobs[i];

		assert_true(b->len <= VD_ITEM_MAX);
		assert_int_equal(decode(b->bytes, b->len, VD_ITEM_VIRTUAL_DISK, &head, &err), 0);
		assert_int_equal(head.packing, packing);
		assert_int_equal(head.part, i + 1);
		assert_int_equal(head.n_parts, c.n);
		assert_int_equal(head.whole_len, len);
		assert_int_equal(head.kind.len, 7);
		assert_memory_equal(b->id, meta_part_id("urn:x:y", i + 1).b, 16);
		assert_int_equal(meta_part_unpack(vd_span(b->bytes, b->len), &head, out, &err), 0);
		assert_true(at + head.raw_len <= len);
		assert_memory_equal(out, (const uint8_t *)raw + at, head.raw_len);
		at += head.raw_len;
	}
	assert_int_equal(at, len);
	meta_content_free(&c);
	free(out);
}

static void test_what_goes_in_comes_out(void **state)
{
	uint8_t *big = malloc(VD_META_DOCUMENT_MAX);
	uint64_t x = 1;

	(void)state;
	assert_non_null(big);
	for (size_t i = 0; i < VD_META_DOCUMENT_MAX; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		big[i] = (uint8_t)(x >> 33);
	}
	round_trip("", 0, META_PLAIN);
	round_trip("<a/>", 4, META_PLAIN);
	round_trip(text, sizeof(text), META_DEFLATED);
	round_trip(big, 5000, META_PLAIN); /* doesn't pay */
	round_trip(big, META_PART_MAX, META_PLAIN);
	round_trip(big, META_PART_MAX + 1, META_PLAIN);
	round_trip(big, VD_META_DOCUMENT_MAX, META_PLAIN);
	free(big);
}

static void test_ids_are_those_of_the_documentation(void **state)
{
	/* UUIDv5 as any other tool makes it; docs/metadata-format.md lists them. */
	static const struct {
		const char *key;
		uint32_t part;
		const char *id;
	} ids[] = {
	    {"facts", 1, "40c14fa0-8434-5bc8-9f0c-781b519132e0"},
	    {"content", 1, "3cc497c5-7356-5548-8ef1-7f9a95941bad"},
	    {"content", 2, "7fa6fda1-3052-56a5-a056-6e704d91bad2"},
	    {"attachment:domain.xml", 1, "3d50491e-1bb1-5eec-9ef2-ba385866df56"},
	    {"https://example.com/ns/1", 1, "bf974a85-4fac-5eef-8135-9bc7695a3abc"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		char is[VD_GUID_TEXT];

		vd_guid_format(meta_part_id(ids[i].key, ids[i].part), is);
		assert_string_equal(is, ids[i].id);
	}
}

/* ---- one field wrong, the digest of the head right ---- */

struct wrong {
	const char *name;
	size_t at, n;
	uint64_t value;
	int code;
	const char *words;
	bool is_unsealed;
};

static void seal(uint8_t *head, size_t item_len)
{
	uint8_t input[META_HEAD_MAX];
	uint32_t len = (uint32_t)(head[10] | head[11] << 8);

	/* The rule of the documentation, once more: bytes 0 to 119, then those from 152 on. */
	if (len < 152 || len > META_HEAD_MAX || len > item_len)
		return;
	memcpy(input, head, 120);
	memcpy(input + 120, head + 152, len - 152);
	crypto_generichash(head + 120, 32, input, len - 32, NULL, 0);
}

static const struct wrong wrongs[] = {
    {"magic", 0, 1, 'V', VD_ENOENT, "no envelope", false},
    {"magic's end", 7, 1, 'x', VD_ENOENT, "no envelope", false},
    {"version 0", 8, 2, 0, VD_ECORRUPT, "version 0", false},
    {"a later version", 8, 2, 2, VD_EUNSUPPORTED, "version 2", false},
    {"short head", 10, 2, 144, VD_ECORRUPT, "a head of 144", false},
    {"odd head", 10, 2, 153, VD_ECORRUPT, "a head of 153", false},
    {"long head", 10, 2, 4104, VD_ECORRUPT, "a head of 4104", false},
    {"head behind the item", 10, 2, 4096, VD_ECORRUPT, "a head of 4096", false},
    {"longer head", 10, 2, 168, VD_ECORRUPT, "isn't that of the item", false},
    {"digest of the head", 120, 1, 0xff, VD_ECORRUPT, "its digest is wrong", true},
    {"a field without its digest", 24, 1, 0xff, VD_ECORRUPT, "its digest is wrong", true},
    {"type 0", 12, 1, 0, VD_ECORRUPT, "type 0", false},
    {"type 6", 12, 1, 6, VD_EUNSUPPORTED, "type 6", false},
    {"packing", 13, 1, 2, VD_EUNSUPPORTED, "packing 2", false},
    {"not deflated", 13, 1, 0, VD_ECORRUPT, "differ", false},
    {"flags", 14, 2, 3, VD_ECORRUPT, "reserved", false},
    {"scope", 14, 2, 0, VD_ECORRUPT, "scope", false},
    {"part 0", 16, 4, 0, VD_ECORRUPT, "part 0 of 1", false},
    {"part 2 of 1", 16, 4, 2, VD_ECORRUPT, "part 2 of 1", false},
    {"no parts", 20, 4, 0, VD_ECORRUPT, "part 1 of 0", false},
    {"too many parts", 20, 4, 1001, VD_ECORRUPT, "part 1 of 1001", false},
    {"raw length", 24, 8, 4999, VD_ECORRUPT, "isn't the whole", false},
    {"huge raw length", 24, 8, UINT64_MAX, VD_ECORRUPT, "1 MiB - 4 KiB", false},
    {"raw length one too long", 24, 8, META_PART_MAX + 1, VD_ECORRUPT, "1 MiB - 4 KiB", false},
    {"stored length", 32, 8, 1, VD_ECORRUPT, "isn't that of the item", false},
    {"huge stored length", 32, 8, UINT64_MAX, VD_ECORRUPT, "isn't that of the item", false},
    {"whole length", 40, 8, 5001, VD_ECORRUPT, "isn't the whole", false},
    {"whole length over the bound", 40, 8, VD_META_DOCUMENT_MAX + 1, VD_ECORRUPT, "at most 1048576",
     false},
    {"whole shorter than the part", 40, 8, 4999, VD_ECORRUPT, "at most", false},
    {"digest of the whole", 80, 1, 0, VD_ECORRUPT, "isn't the whole", false},
    {"kind's length", 112, 2, 60000, VD_ECORRUPT, "longer than", false},
    {"no kind", 112, 2, 0, VD_ECORRUPT, "where its texts do", false},
    {"name's length", 114, 2, 200, VD_ECORRUPT, "longer than", false},
    {"media type's length", 116, 2, 65535, VD_ECORRUPT, "longer than", false},
    {"a NUL as name", 114, 2, 1, VD_ECORRUPT, "UTF-8", false},
    {"reserved", 118, 2, 1, VD_ECORRUPT, "reserved", false},
    {"control character", 152, 1, 7, VD_ECORRUPT, "UTF-8", false},
    {"no UTF-8", 152, 1, 0xff, VD_ECORRUPT, "UTF-8", false},
    {"filling", 159, 1, 1, VD_ECORRUPT, "where its texts do", false},
};

static void test_each_wrong_field_is_refused(void **state)
{
	struct vd_error err = VD_ERROR_INIT;
	struct meta_content c;
	struct meta_head head;

	(void)state;
	pack(&c, VD_RECORD_DOCUMENT, "content", text, sizeof(text));
	assert_int_equal(c.n, 1);
	assert_int_equal(decode(c.blobs[0].bytes, c.blobs[0].len, 2, &head, &err), 0);
	assert_int_equal(decode(c.blobs[0].bytes, c.blobs[0].len, 0, &head, &err), VD_ECORRUPT);
	for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
		const struct wrong *w = &wrongs[i];
		uint8_t *bytes = malloc(c.blobs[0].len);
		int ret;

		assert_non_null(bytes);
		memcpy(bytes, c.blobs[0].bytes, c.blobs[0].len);
		for (size_t j = 0; j < w->n; j++)
			bytes[w->at + j] = (uint8_t)(w->value >> 8 * j);
		if (!w->is_unsealed)
			seal(bytes, c.blobs[0].len);
		err = (struct vd_error)VD_ERROR_INIT;
		ret = decode(bytes, c.blobs[0].len, 2, &head, &err);
		if (ret != w->code || !strstr(err.text, w->words))
			fail_msg("%s: %d, %s (wanted %d, \"%s\")", w->name, ret, err.text, w->code,
				 w->words);
		free(bytes);
	}
	meta_content_free(&c);
}

static void test_types_have_their_kinds(void **state)
{
	static const struct {
		enum vd_record_type type;
		const char *kind;
		int code;
	} cases[] = {
	    {VD_RECORD_DOCUMENT, "facts", VD_ECORRUPT},
	    {VD_RECORD_DOCUMENT, "history", VD_ECORRUPT},
	    {VD_RECORD_DOCUMENT, "subject", VD_ECORRUPT},
	    {VD_RECORD_DOCUMENT, "attachment:x", VD_ECORRUPT},
	    {VD_RECORD_DOCUMENT, "urn:x", 0},
	    {VD_RECORD_FACTS, "facts", VD_ECORRUPT}, /* in the scope of the disk */
	    {VD_RECORD_HISTORY, "content", VD_ECORRUPT},
	    {VD_RECORD_ATTACHMENT, "", VD_ECORRUPT}, /* without a name */
	};
	struct vd_error err = VD_ERROR_INIT;
	struct meta_content c;
	struct meta_head head;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		pack(&c, cases[i].type, cases[i].kind, "x", 1);
		assert_int_equal(decode(c.blobs[0].bytes, c.blobs[0].len, 2, &head, &err),
				 cases[i].code);
		meta_content_free(&c);
	}
}

/* Names that would lead out of the folder that somebody writes files to. */
static void test_names_of_files_stay_below(void **state)
{
	static const char *const names[] = {"../x", "/x", "a/../../x", "a//x", "a/", ".", ".."};
	struct vd_error err = VD_ERROR_INIT;
	struct meta_packer p;
	struct meta_content c;
	struct meta_head head;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(
		    meta_packer_init(&p, VD_RECORD_ATTACHMENT, "", names[i], "", true, &err), 0);
		assert_int_equal(meta_packer_finish(&p, &c, &err), 0);
		assert_int_equal(decode(c.blobs[0].bytes, c.blobs[0].len, 2, &head, &err),
				 VD_ECORRUPT);
		meta_content_free(&c);
	}
}

static void test_items_may_end_anywhere(void **state)
{
	struct vd_error err = VD_ERROR_INIT;
	struct meta_content c;
	struct meta_head head;

	(void)state;
	pack(&c, VD_RECORD_DOCUMENT, "content", text, sizeof(text));
	for (uint32_t len = 0; len < c.blobs[0].len; len++) {
		uint8_t *exact = malloc(len + 1); /* malloc(0) may be NULL */
		int ret;

		assert_non_null(exact);
		memcpy(exact, c.blobs[0].bytes, len);
		ret = decode(exact, len, 2, &head, &err);
		assert_int_equal(ret, len < 8 ? VD_ENOENT : VD_ECORRUPT);
		free(exact);
	}
	meta_content_free(&c);
}

/* ---- what is behind the head ---- */

static int unpack(const uint8_t *bytes, uint32_t len, struct vd_error *err)
{
	uint8_t *out = malloc(META_PART_MAX), *exact = malloc(len);
	struct meta_head head;
	int ret;

	assert_non_null(out);
	assert_non_null(exact);
	memcpy(exact, bytes, len);
	ret = decode(exact, len, 2, &head, err);
	if (!ret)
		ret = meta_part_unpack(vd_span(exact, len), &head, out, err);
	free(out);
	free(exact);
	return ret;
}

static void put64(uint8_t *at, uint64_t x)
{
	for (int i = 0; i < 8; i++)
		at[i] = (uint8_t)(x >> 8 * i);
}

static void test_a_changed_byte_is_noticed(void **state)
{
	struct vd_error err = VD_ERROR_INIT;
	struct meta_content c;
	size_t n_unnoticed = 0;

	(void)state;
	/* As they are, then deflated: there a few bits behind the last block mean nothing. */
	for (size_t len = 100; len <= sizeof(text); len += sizeof(text) - 100) {
		n_unnoticed = 0;
		pack(&c, VD_RECORD_DOCUMENT, "content", text, len);
		for (uint32_t i = 0; i < c.blobs[0].len; i++) {
			c.blobs[0].bytes[i] ^= 0x10;
			n_unnoticed += !unpack(c.blobs[0].bytes, c.blobs[0].len, &err);
			c.blobs[0].bytes[i] ^= 0x10;
		}
		assert_int_equal(unpack(c.blobs[0].bytes, c.blobs[0].len, &err), 0);
		assert_true(n_unnoticed <= (len > 100));
		meta_content_free(&c);
	}
}

static void test_a_stream_that_ends_early_is_refused(void **state)
{
	struct vd_error err = VD_ERROR_INIT;
	struct meta_content c;

	(void)state;
	pack(&c, VD_RECORD_DOCUMENT, "content", text, sizeof(text));
	for (uint32_t cut = 1; cut < c.blobs[0].len - 160; cut++) {
		uint8_t *bytes = malloc(c.blobs[0].len);

		assert_non_null(bytes);
		memcpy(bytes, c.blobs[0].bytes, c.blobs[0].len);
		put64(bytes + 32, c.blobs[0].len - 160 - cut);
		seal(bytes, c.blobs[0].len);
		assert_int_equal(unpack(bytes, c.blobs[0].len - cut, &err), VD_ECORRUPT);
		assert_non_null(strstr(err.text, "inflate"));
		free(bytes);
	}
	meta_content_free(&c);
}

/* 1 MiB of zeros behind a head that tells of 5000 bytes, and the other way round. */
static void test_the_declared_length_is_kept_to(void **state)
{
	static uint8_t zeros[1 << 20], item[1 << 16];
	struct vd_error err = VD_ERROR_INIT;
	struct meta_content c;
	uLongf n = sizeof(item) - 160;

	(void)state;
	pack(&c, VD_RECORD_DOCUMENT, "content", text, sizeof(text));
	memcpy(item, c.blobs[0].bytes, 160);
	assert_int_equal(compress2(item + 160, &n, zeros, sizeof(zeros), 9), Z_OK);
	put64(item + 32, n);
	for (uint64_t raw = 4999; raw <= 5001; raw++) {
		put64(item + 24, raw);
		put64(item + 40, raw);
		seal(item, sizeof(item));
		assert_int_equal(unpack(item, (uint32_t)n + 160, &err), VD_ECORRUPT);
	}
	put64(item + 24, META_PART_MAX);
	put64(item + 40, META_PART_MAX);
	seal(item, sizeof(item));
	assert_int_equal(unpack(item, (uint32_t)n + 160, &err), VD_ECORRUPT);
	meta_content_free(&c);
}

static void test_bytes_behind_the_stream_are_refused(void **state)
{
	struct vd_error err = VD_ERROR_INIT;
	struct meta_content c;
	uint8_t item[6000];

	(void)state;
	pack(&c, VD_RECORD_DOCUMENT, "content", text, sizeof(text));
	memcpy(item, c.blobs[0].bytes, c.blobs[0].len);
	item[c.blobs[0].len] = 0;
	put64(item + 32, c.blobs[0].len - 160 + 1);
	seal(item, sizeof(item));
	assert_int_equal(unpack(item, c.blobs[0].len + 1, &err), VD_ECORRUPT);
	meta_content_free(&c);
}

static void test_texts_that_no_head_can_hold(void **state)
{
	char longer[META_NAME_MAX + 2];
	struct vd_error err = VD_ERROR_INIT;
	struct meta_packer p;

	(void)state;
	memset(longer, 'n', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(meta_packer_init(&p, VD_RECORD_ATTACHMENT, "", longer, "", false, &err),
			 VD_EINVAL);
	longer[META_NAME_MAX] = '\0';
	assert_int_equal(meta_packer_init(&p, VD_RECORD_ATTACHMENT, "", longer, "", false, &err),
			 0);
	assert_int_equal(meta_packer_init(&p, VD_RECORD_ATTACHMENT, "", "a\nb", "", false, &err),
			 VD_EINVAL);
	assert_int_equal(
	    meta_packer_init(&p, VD_RECORD_ATTACHMENT, "", "a", "\xff\xff", false, &err),
	    VD_EINVAL);
}

static int setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)('a' + i * i % 17);
	return meta_digest_init(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_goes_in_comes_out),
	    cmocka_unit_test(test_ids_are_those_of_the_documentation),
	    cmocka_unit_test(test_each_wrong_field_is_refused),
	    cmocka_unit_test(test_types_have_their_kinds),
	    cmocka_unit_test(test_names_of_files_stay_below),
	    cmocka_unit_test(test_items_may_end_anywhere),
	    cmocka_unit_test(test_a_changed_byte_is_noticed),
	    cmocka_unit_test(test_a_stream_that_ends_early_is_refused),
	    cmocka_unit_test(test_the_declared_length_is_kept_to),
	    cmocka_unit_test(test_bytes_behind_the_stream_are_refused),
	    cmocka_unit_test(test_texts_that_no_head_can_hold),
	};

	return cmocka_run_group_tests_name("meta_envelope", tests, setup, NULL);
}
