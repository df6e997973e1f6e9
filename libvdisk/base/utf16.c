/* SPDX-License-Identifier: MIT */
/* UTF-16LE <-> UTF-8, strict: nothing is replaced silently. */
#include "base/utf16.h"

#include "base/sabotage.h"

static size_t put_utf8(uint32_t c, char out[4])
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

bool vd_utf16_to_utf8(struct vd_span utf16, bool stop_at_nul, char *utf8, size_t size)
{
	size_t n = 0;
	bool is_ok = utf16.len % 2 == 0;

	for (size_t i = 0; i + 1 < utf16.len; i += 2) {
		uint32_t c = (uint32_t)(utf16.p[i] | utf16.p[i + 1] << 8);
		char bytes[4];
		size_t n_bytes;

		if (c == 0) {
			is_ok = is_ok && stop_at_nul;
			break;
		}
		if (c >= 0xd800 && c < 0xe000 && !VD_SABOTAGED(DECODE_UTF16_LONE)) {
			uint32_t low = 0;

			if (c < 0xdc00 && i + 3 < utf16.len)
				low = (uint32_t)(utf16.p[i + 2] | utf16.p[i + 3] << 8);
			if (low < 0xdc00 || low >= 0xe000) {
				is_ok = false;
				break;
			}
			c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
			i += 2;
		}
		n_bytes = put_utf8(c, bytes);
		if (n + n_bytes >= size) {
			is_ok = false;
			break;
		}
		for (size_t b = 0; b < n_bytes; b++)
			utf8[n++] = bytes[b];
	}
	if (size)
		utf8[n] = '\0';
	return is_ok && size;
}

/* Decode one character at *at (NUL-terminated); false if it isn't valid UTF-8. */
static bool get_utf8(const unsigned char **at, uint32_t *c)
{
	static const uint32_t least[4] = {0, 0x80, 0x800, 0x10000};
	const unsigned char *p = *at;
	int n_more;

	if (p[0] < 0x80) {
		*c = p[0];
		n_more = 0;
	} else if ((p[0] & 0xe0) == 0xc0) {
		*c = p[0] & 0x1f;
		n_more = 1;
	} else if ((p[0] & 0xf0) == 0xe0) {
		*c = p[0] & 0x0f;
		n_more = 2;
	} else if ((p[0] & 0xf8) == 0xf0) {
		*c = p[0] & 0x07;
		n_more = 3;
	} else {
		return false;
	}
	for (int i = 1; i <= n_more; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return false;
		*c = *c << 6 | (p[i] & 0x3f);
	}
	if (*c < least[n_more] || *c > 0x10ffff || (*c >= 0xd800 && *c < 0xe000))
		return false;
	*at = p + n_more + 1;
	return true;
}

bool vd_utf8_to_utf16(const char *utf8, uint8_t *utf16, size_t size, size_t *len)
{
	const unsigned char *at = (const unsigned char *)utf8;
	size_t n = 0;

	while (*at) {
		uint32_t c, units[2];
		size_t n_units = 1;

		if (!get_utf8(&at, &c))
			return false;
		units[0] = c;
		if (c >= 0x10000) {
			units[0] = 0xd800 + ((c - 0x10000) >> 10);
			units[1] = 0xdc00 + ((c - 0x10000) & 0x3ff);
			n_units = 2;
		}
		if (n + 2 * n_units > size)
			return false;
		for (size_t u = 0; u < n_units; u++) {
			utf16[n++] = (uint8_t)units[u];
			utf16[n++] = (uint8_t)(units[u] >> 8);
		}
	}
	*len = n;
	return true;
}
