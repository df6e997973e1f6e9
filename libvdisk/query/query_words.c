/* SPDX-License-Identifier: MIT */
/* Words and phrases in keys. White space of any length and kind is as good as one blank. */
#include <string.h>

#include "query/query_tree.h"

/** Where the words end that begin at `p`; NULL: they don't. */
static const char *end_of(const char *p, const char *words)
{
	for (; *words; words++) {
		if (*words == ' ') {
			if (!query_is_blank(*p))
				return NULL;
			while (query_is_blank(*p))
				p++;
		} else if (*p++ != *words) {
			return NULL;
		}
	}
	return p;
}

static bool is_letter_before(const char *key, const char *p)
{
	const char *end = p;
	int32_t c;

	if (p == key)
		return false;
	for (p--; p > key && ((unsigned char)*p & 0xc0) == 0x80; p--)
		;
	query_char(p, end, &c);
	return query_is_letter(c);
}

static bool is_letter_at(const char *p)
{
	int32_t c;

	if (!*p)
		return false;
	/* At most four bytes are looked at, none behind the NUL. */
	query_char(p, p + strnlen(p, 4), &c);
	return query_is_letter(c);
}

bool query_has_word(const char *key, const char *words)
{
	for (const char *p = key; (p = strchr(p, *words)); p++) {
		const char *end = end_of(p, words);

		if (end && !is_letter_at(end) && !is_letter_before(key, p))
			return true;
	}
	return false;
}

bool query_has_run(const char *key, const char *words)
{
	for (const char *p = key; (p = strchr(p, *words)); p++) {
		const char *end;

		if (p > key && !query_is_blank(p[-1]))
			continue;
		end = end_of(p, words);
		if (end && (!*end || query_is_blank(*end)))
			return true;
	}
	return false;
}

bool query_glob_has_word(const struct query_glob *glob, const char *key)
{
	const char *end = key + strlen(key), *from = NULL;

	if (query_glob_match(glob, key, (size_t)(end - key)))
		return true;
	for (const char *p = key; p < end;) {
		int32_t c;
		size_t n = query_char(p, end, &c);

		if (query_is_letter(c)) {
			from = from ? from : p;
		} else {
			if (from && query_glob_match(glob, from, (size_t)(p - from)))
				return true;
			from = NULL;
		}
		p += n;
	}
	return from && query_glob_match(glob, from, (size_t)(end - from));
}
