/* SPDX-License-Identifier: MIT */
/* Text as guests store it, to valid UTF-8 without control characters. */
#include "guest/guest_bytes.h"

#include <string.h>
#include <utf8proc.h>

#include "base/guid.h"

#define REPLACEMENT 0xfffdu

size_t vd_guest_text_put(char *text, size_t size, size_t n, uint32_t c)
{
	utf8proc_uint8_t bytes[4];
	utf8proc_ssize_t n_bytes;

	if (c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff)
		c = REPLACEMENT;
	n_bytes = utf8proc_encode_char((utf8proc_int32_t)c, bytes);
	if (n_bytes <= 0 || (size_t)n_bytes >= size - n)
		return n;
	memcpy(text + n, bytes, (size_t)n_bytes);
	n += (size_t)n_bytes;
	text[n] = '\0';
	return n;
}

void vd_guest_text(char *text, size_t size, const uint8_t *p, size_t len)
{
	size_t n = 0;

	text[0] = '\0';
	for (size_t i = 0; i < len && p[i];) {
		utf8proc_int32_t c;
		utf8proc_ssize_t used = utf8proc_iterate(p + i, (utf8proc_ssize_t)(len - i), &c);
		size_t after;

		if (used <= 0) {
			used = 1;
			c = REPLACEMENT;
		}
		after = vd_guest_text_put(text, size, n, (uint32_t)c);
		if (after == n)
			return;
		n = after;
		i += (size_t)used;
	}
}

void vd_guest_text_utf16(char *text, size_t size, const uint8_t *p, size_t len, bool is_big)
{
	size_t n = 0;

	text[0] = '\0';
	for (size_t i = 0; i + 2 <= len; i += 2) {
		uint32_t c = is_big ? vd_be16_at(p + i) : vd_le16_at(p + i);
		uint32_t low = 0;
		size_t after;

		if (!c)
			return;
		if (c >= 0xd800 && c < 0xdc00 && i + 4 <= len)
			low = is_big ? vd_be16_at(p + i + 2) : vd_le16_at(p + i + 2);
		if (low >= 0xdc00 && low < 0xe000) {
			c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
			i += 2;
		}
		after = vd_guest_text_put(text, size, n, c);
		if (after == n)
			return;
		n = after;
	}
}

void vd_guest_text_trim(char *text)
{
	size_t n = strlen(text);

	while (n && text[n - 1] == ' ')
		text[--n] = '\0';
}

void vd_guest_text_uuid(char text[static 37], const uint8_t *p)
{
	struct vd_guid guid;

	memcpy(guid.b, p, sizeof(guid.b));
	vd_guid_format(guid, text);
}
