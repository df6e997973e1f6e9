/* SPDX-License-Identifier: MIT */
/* See policy_text.h. */
#include "policy/policy_text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "xml/field_value.h"

#define FIRST_ROOM 256u

void policy_text_free(struct policy_text *text)
{
	vd_free(text->text);
	*text = (struct policy_text){.text = NULL};
}

/** Room for `n` more bytes and a NUL. */
static bool reserve(struct policy_text *text, size_t n)
{
	size_t room = text->room ? text->room : FIRST_ROOM;
	char *more;

	if (text->is_failed || text->is_full)
		return false;
	/* Room is left for saying that it is full. */
	if (text->len + n + sizeof("...") > POLICY_TEXT_MAX) {
		text->is_full = true;
		n = strlen("...");
	}
	while (room < text->len + n + 1)
		room *= 2;
	if (room > text->room) {
		more = vd_realloc(text->text, room);
		if (!more) {
			text->is_failed = true;
			return false;
		}
		text->text = more;
		text->room = room;
	}
	if (text->is_full) {
		memcpy(text->text + text->len, "...", sizeof("..."));
		text->len += strlen("...");
		return false;
	}
	return true;
}

static void put(struct policy_text *text, const char *bytes, size_t n)
{
	if (!reserve(text, n))
		return;
	memcpy(text->text + text->len, bytes, n);
	text->len += n;
	text->text[text->len] = '\0';
}

void policy_text_add(struct policy_text *text, const char *fmt, ...)
{
	char piece[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(piece, sizeof(piece), fmt, ap);
	va_end(ap);
	if (n > 0)
		put(text, piece, (size_t)n < sizeof(piece) ? (size_t)n : sizeof(piece) - 1);
}

/** The first `len` bytes. */
static void put_escaped(struct policy_text *text, const char *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	size_t from = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c >= 0x20 && c != 0x7f)
			continue;
		put(text, bytes + from, i - from);
		put(text, (char[]){'\\', 'x', digits[c >> 4], digits[c & 15]}, 4);
		from = i + 1;
	}
	put(text, bytes + from, len - from);
}

void policy_text_words(struct policy_text *text, const char *words)
{
	put_escaped(text, words, strlen(words));
}

void policy_text_lines(struct policy_text *text, const struct policy_text *from)
{
	text->is_failed |= from->is_failed;
	put(text, policy_text_string(from), from->len);
}

void policy_text_value(struct policy_text *text, const char *value)
{
	size_t len = strlen(value), end = len;

	if (len > POLICY_VALUE_MAX) {
		end = POLICY_VALUE_MAX;
		while (end && (value[end] & 0xc0) == 0x80)
			end--;
	}
	put_escaped(text, value, end);
	if (end < len)
		put(text, "...", 3);
}

void policy_text_size(struct policy_text *text, uint64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	int unit = -1;
	uint64_t tenths;

	while (unit < 5 && bytes >> 10 * (unit + 2))
		unit++;
	if (unit < 0) {
		policy_text_add(text, "%" PRIu64 " bytes", bytes);
		return;
	}
	/* Cut, not rounded: "needs 4 GiB, the host has 4 GiB" would be of no help. */
	tenths = (bytes >> 10 * unit) * 10 >> 10;
	if (bytes == (tenths / 10) << 10 * (unit + 1))
		policy_text_add(text, "%" PRIu64 " %s", tenths / 10, units[unit]);
	else
		policy_text_add(text, "%" PRIu64 ".%" PRIu64 " %s", tenths / 10, tenths % 10,
				units[unit]);
}

void policy_text_time(struct policy_text *text, int64_t time)
{
	char when[VD_TIME_TEXT];

	vd_time_format(time, when);
	policy_text_add(text, "%s", when);
}

void policy_text_duration(struct policy_text *text, uint64_t seconds)
{
	static const struct {
		uint64_t seconds;
		const char *name;
	} units[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		uint64_t n = seconds / units[i].seconds;

		if (n || i == 3) {
			policy_text_add(text, "%" PRIu64 " %s%s", n, units[i].name,
					n == 1 ? "" : "s");
			return;
		}
	}
}

void policy_text_line(struct policy_text *text)
{
	if (text->len)
		put(text, "\n", 1);
}

const char *policy_text_string(const struct policy_text *text)
{
	return text->text ? text->text : "";
}

char *policy_text_take(struct policy_text *text)
{
	char *own = text->is_failed ? NULL : text->text ? VD_TAKE(text->text) : vd_strdup("");

	policy_text_free(text);
	return own;
}
