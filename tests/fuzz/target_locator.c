/* SPDX-License-Identifier: MIT */
/*
 * The parent locator. Input: its bytes, as they are.
 * Property: what is accepted has a GUID as linkage, well-formed UTF-8 texts that end within their
 * room, and means the same after it was encoded and decoded again. An independent reading finds
 * that each text of the hint is the value of that key, or too long for it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/guid.h"
#include "base/utf16.h"
#include "format/vhdx/vhdx_layout.h"
#include "fuzz.h"
#include "vhdxgen.h"

/* How many of the keys in these bytes are `name`; *value: that of the last one. */
static uint32_t count_key(const uint8_t *data, size_t size, const char *name, struct vd_span *value)
{
	uint32_t n = (uint32_t)fuzz_get(data + 18, 2), n_found = 0;

	FUZZ_CHECK(20 + 12 * (size_t)n <= size, "%u pairs in %zu bytes were accepted", n, size);
	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *pair = data + 20 + 12 * (size_t)i;
		uint64_t off = fuzz_get(pair, 4), len = fuzz_get(pair + 8, 2);
		uint64_t value_off = fuzz_get(pair + 4, 4), value_len = fuzz_get(pair + 10, 2);
		bool is_it = len == 2 * strlen(name);

		FUZZ_CHECK(len && off + len <= size, "key %u behind the end was accepted", i);
		FUZZ_CHECK(value_len && value_off + value_len <= size,
			   "value %u behind the end was accepted", i);
		for (size_t c = 0; is_it && c < strlen(name); c++)
			is_it = data[off + 2 * c] == (uint8_t)name[c] && !data[off + 2 * c + 1];
		if (!is_it)
			continue;
		n_found++;
		*value = vd_span(data + value_off, value_len);
	}
	return n_found;
}

static void check_text(const uint8_t *data, size_t size, const char *name, const char *text,
		       size_t room)
{
	uint32_t n;
	struct vd_span value = {NULL, 0};
	uint8_t utf16[2048];
	size_t len;

	FUZZ_CHECK(memchr(text, 0, room), "%s doesn't end", name);
	FUZZ_CHECK(fuzz_is_utf8(text), "%s isn't UTF-8", name);
	n = count_key(data, size, name, &value);
	FUZZ_CHECK(n <= 1, "key %s is there %u times", name, n);
	if (!text[0]) {
		FUZZ_CHECK(!n || value.len / 2 * 3 >= room, "%s got lost", name);
		return;
	}
	FUZZ_CHECK(n == 1, "%s comes from nowhere", name);
	FUZZ_CHECK(vd_utf8_to_utf16(text, utf16, sizeof(utf16), &len) && len == value.len &&
		       memcmp(utf16, value.p, len) == 0,
		   "%s isn't the value", name);
}

static void check_hint(const uint8_t *data, size_t size, const struct vd_parent_hint *hint)
{
	static uint8_t bytes[65536];
	struct vd_parent_hint again;
	struct vd_guid guid;
	size_t len;

	FUZZ_CHECK(vd_guid_parse(hint->linkage, &guid), "linkage %s", hint->linkage);
	check_text(data, size, "parent_linkage", hint->linkage, sizeof(hint->linkage));
	check_text(data, size, "parent_linkage2", hint->linkage2, sizeof(hint->linkage2));
	check_text(data, size, "relative_path", hint->relative_path, sizeof(hint->relative_path));
	check_text(data, size, "volume_path", hint->volume_path, sizeof(hint->volume_path));
	check_text(data, size, "absolute_win32_path", hint->absolute_win32_path,
		   sizeof(hint->absolute_win32_path));
	FUZZ_CHECK(vhdx_locator_encode(hint, bytes, sizeof(bytes), &len), "it can't be encoded");
	FUZZ_CHECK(vhdx_locator_decode(vd_span(bytes, len), 0, &again, NULL) == 0,
		   "what was encoded isn't accepted");
	FUZZ_CHECK(memcmp(&again, hint, sizeof(again)) == 0, "encoding changes it");
	fuzz_deep();
}

static void run(const uint8_t *data, size_t size)
{
	struct vd_parent_hint hint;
	struct vd_error err = VD_ERROR_INIT;

	if (vhdx_locator_decode(vd_span(data, size), 4096, &hint, &err) == 0)
		check_hint(data, size, &hint);
	else
		FUZZ_CHECK(err.code && err.text[0], "refused without a reason");
}

struct text_pair {
	const char *key, *value;
};

static size_t put_text(uint8_t *at, const char *text)
{
	size_t len = 0;

	vd_utf8_to_utf16(text, at, 1024, &len);
	return len;
}

static size_t make(uint8_t *data, const struct text_pair *pairs, uint32_t n)
{
	size_t end = 20 + (size_t)12 * n;

	gen_guid(GEN_LOC_TYPE, data);
	fuzz_put(data + 16, 0, 2);
	fuzz_put(data + 18, n, 2);
	for (uint32_t i = 0; i < n; i++) {
		uint8_t *pair = data + 20 + (size_t)12 * i;
		size_t key = put_text(data + end, pairs[i].key);
		size_t value = put_text(data + end + key, pairs[i].value);

		fuzz_put(pair, end, 4);
		fuzz_put(pair + 4, end + key, 4);
		fuzz_put(pair + 8, key, 2);
		fuzz_put(pair + 10, value, 2);
		end += key + value;
	}
	return end;
}

static void seed(void)
{
	static const char linkage[] = "{d0000000-0001-4002-8003-000000000004}";
	static const struct text_pair pairs[] = {
	    {"parent_linkage", linkage},
	    {"relative_path", ".\\a.vhdx"},
	    {"parent_linkage2", "{00000000-0000-0000-0000-000000000000}"},
	    {"volume_path", "\\\\?\\Volume{1}\\a"},
	    {"absolute_win32_path", "C:\\\xc3\xa4\xe2\x82\xac\xf0\x9f\x92\xbe.vhdx"},
	    {"other", "x"},
	};
	static const struct text_pair bad[] = {{"parent_linkage", "nonsense"}};
	static const struct text_pair twice[] = {{"parent_linkage", linkage},
						 {"parent_linkage", linkage}};
	uint8_t data[4096] = {0};
	size_t len = make(data, pairs, 6);

	fuzz_seed("all", data, len);
	data[len - 1] = 0xd8; /* half a surrogate */
	fuzz_seed("surrogate-other", data, len);
	len = make(data, pairs, 5);
	data[len - 1] = 0xd8;
	fuzz_seed("surrogate", data, len);
	len = make(data, pairs, 2);
	fuzz_seed("two", data, len);
	data[len - 2] = 0;
	fuzz_seed("nul", data, len);
	data[18] = 255;
	fuzz_seed("too-many", data, len);
	data[18] = 100;
	fuzz_seed("beyond", data, len);
	data[0] = 0;
	fuzz_seed("type", data, len);
	fuzz_seed("short", data, 19);
	fuzz_seed("no-linkage", data, make(data, pairs + 1, 1));
	fuzz_seed("bad-linkage", data, make(data, bad, 1));
	fuzz_seed("twice", data, make(data, twice, 2));
	len = make(data, pairs, 1);
	fuzz_put(data + 20 + 8, 0, 2);
	fuzz_seed("empty-key", data, len);
	len = make(data, pairs, 1);
	fuzz_put(data + 24, len - 2, 4);
	fuzz_seed("value-beyond", data, len);
	len = make(data, pairs, 2);
	/* A path of one byte more than there is room for. */
	memset(data + len, 0x41, 2600);
	fuzz_put(data + 20 + 12 + 4, len, 4);
	fuzz_put(data + 20 + 12 + 10, 2600, 2);
	fuzz_seed("long", data, len + 2600);
}

const struct fuzz_target fuzz_locator = {
    .name = "locator", .run = run, .seed = seed, .max_memory = 1 << 18};
