/* SPDX-License-Identifier: MIT */
/*
 * UTF-16 and UTF-8. Input: a byte that says how much room there is, then text.
 * Property: what comes out is well-formed, ends within its room, and goes back to the same bytes;
 * what is refused is refused for a reason that an independent look finds too.
 */
#include <stdlib.h>
#include <string.h>

#include "base/utf16.h"
#include "fuzz.h"

/* Well-formed UTF-16 without U+0000. */
static bool is_utf16(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i + 1 < n; i += 2) {
		uint64_t c = fuzz_get(p + i, 2);

		if (!c || (c >= 0xdc00 && c < 0xe000))
			return false;
		if (c < 0xd800 || c >= 0xe000)
			continue;
		i += 2;
		if (i + 1 >= n || fuzz_get(p + i, 2) < 0xdc00 || fuzz_get(p + i, 2) >= 0xe000)
			return false;
	}
	return n % 2 == 0;
}

static void from_utf16(const uint8_t *data, size_t n, size_t room, bool stop_at_nul)
{
	char *utf8 = (char *)fuzz_exact(data, 0);
	uint8_t back[4096];
	size_t len;
	bool ok;

	free(utf8);
	utf8 = malloc(room ? room : 1);
	FUZZ_CHECK(utf8, "no memory");
	ok = vd_utf16_to_utf8(vd_span(data, n), stop_at_nul, utf8, room);
	if (room)
		FUZZ_CHECK(memchr(utf8, 0, room) && fuzz_is_utf8(utf8), "not a text");
	if (ok && !stop_at_nul) {
		FUZZ_CHECK(is_utf16(data, n), "ill-formed UTF-16 was accepted");
		FUZZ_CHECK(vd_utf8_to_utf16(utf8, back, sizeof(back), &len), "no way back");
		FUZZ_CHECK(len == n && memcmp(back, data, n) == 0, "another text came back");
		fuzz_deep();
	}
	if (!ok && !stop_at_nul && room > n / 2 * 3)
		FUZZ_CHECK(!is_utf16(data, n), "well-formed UTF-16 was refused");
	free(utf8);
}

static void from_utf8(const uint8_t *data, size_t n, size_t room)
{
	char *text = malloc(n + 1), back[8192];
	uint8_t *utf16 = malloc(room ? room : 1);
	size_t len;

	FUZZ_CHECK(text && utf16, "no memory");
	if (n)
		memcpy(text, data, n);
	text[n] = '\0';
	if (vd_utf8_to_utf16(text, utf16, room, &len)) {
		FUZZ_CHECK(fuzz_is_utf8(text), "ill-formed UTF-8 was accepted");
		FUZZ_CHECK(len <= room, "%zu bytes in %zu", len, room);
		FUZZ_CHECK(vd_utf16_to_utf8(vd_span(utf16, len), false, back, sizeof(back)) &&
			       strcmp(back, text) == 0,
			   "another text came back");
		fuzz_deep();
	} else {
		FUZZ_CHECK(!fuzz_is_utf8(text) || room < 2 * n, "well-formed UTF-8 was refused");
	}
	free(utf16);
	free(text);
}

static void run(const uint8_t *data, size_t size)
{
	struct feed feed = {data, size};
	size_t room = feed_int(&feed, 1);

	if (feed.n > 1024)
		feed.n = 1024;
	room = room < 128 ? room : 4096;
	from_utf16(feed.p, feed.n, room, false);
	from_utf16(feed.p, feed.n, room, true);
	from_utf8(feed.p, feed.n, room);
}

static void seed(void)
{
	fuzz_seed("utf16",
		  "\xff"
		  "a\0\xe4\0\xac\x20\x3d\xd8\xbe\xdc",
		  11);
	fuzz_seed("utf8",
		  "\xff"
		  "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x92\xbe",
		  11);
	fuzz_seed("lone",
		  "\xff"
		  "\x3d\xd8"
		  "a\0",
		  5);
	fuzz_seed("low",
		  "\xff"
		  "\xbe\xdc"
		  "a\0",
		  5);
	fuzz_seed("cut",
		  "\xff"
		  "a\0\x3d\xd8",
		  5);
	fuzz_seed("nul",
		  "\xff"
		  "a\0\0\0b\0",
		  7);
	fuzz_seed("odd",
		  "\xff"
		  "a\0b",
		  4);
	fuzz_seed("overlong",
		  "\xff"
		  "\xc0\xaf",
		  3);
	fuzz_seed("surrogate8",
		  "\xff"
		  "\xed\xa0\x80",
		  4);
	fuzz_seed("beyond",
		  "\xff"
		  "\xf4\x90\x80\x80",
		  5);
	fuzz_seed("no-room",
		  "\2"
		  "a\0\xe4\0\xac\x20\x3d\xd8\xbe\xdc",
		  11);
	fuzz_seed("nothing",
		  "\0"
		  "a\0b\0",
		  5);
}

const struct fuzz_target fuzz_utf16 = {.name = "utf16", .run = run, .seed = seed, .max_memory = 0};
