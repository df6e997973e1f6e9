/* SPDX-License-Identifier: MIT */
/* Patterns: a table over pattern and text says which beginnings of both fit each other. */
#include "naive.h"

#include <string.h>
#include <utf8proc.h>

enum part_kind { POINT, ONE, STAR, DEEP, DEEP_FOLDER, SET };
struct part {
	enum part_kind kind;
	int32_t point;
	int32_t *set;   /* folded, -1 behind them */
	bool *is_plain; /* of these: not escaped */
	bool is_not;
};

int32_t *naive_points(const char *text)
{
	size_t len = strlen(text), n = 0;
	int32_t *points = naive_memory((len + 1) * sizeof(*points));

	while (*text) {
		text += utf8proc_iterate((const uint8_t *)text, -1, &points[n]);
		n++;
	}
	points[n] = -1;
	return points;
}

bool naive_is_alnum(int32_t point)
{
	utf8proc_category_t c = utf8proc_category(point);

	return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_NO;
}

size_t naive_open_bracket(const struct naive_value *v)
{
	for (size_t k = 0; k < v->len; k++) {
		size_t from = k;

		if (!v->is_plain[k] || v->text[k] != '[')
			continue;
		while (k < v->len && !(v->is_plain[k] && v->text[k] == ']'))
			k++;
		if (k >= v->len)
			return from;
	}
	return (size_t)-1;
}

static bool is_special(const struct naive_value *v, size_t k, char c)
{
	return k < v->len && v->is_plain[k] && v->text[k] == c;
}

/* A set ends at its first "]"; each of its characters is folded by itself, if it remains one. */
static size_t read_set(const struct naive_value *v, size_t k, struct part *part)
{
	size_t n = 0;

	k++;
	part->kind = SET;
	part->is_not = is_special(v, k, '!');
	k += part->is_not;
	part->set = naive_memory((v->len + 1) * sizeof(*part->set));
	part->is_plain = naive_memory(v->len + 1);
	while (!is_special(v, k, ']')) {
		size_t len = 1;
		int32_t *points, *folded;

		while ((v->text[k + len] & 0xc0) == 0x80)
			len++;
		points = naive_points(naive_text(v->text + k, len));
		folded = naive_points(naive_key(naive_text(v->text + k, len)));
		part->is_plain[n] = v->is_plain[k];
		part->set[n++] = folded[0] != -1 && folded[1] == -1 ? folded[0] : points[0];
		k += len;
	}
	part->set[n] = -1;
	return k + 1;
}

static size_t read_literal(const struct naive_value *v, size_t k, struct part *parts, size_t *n)
{
	size_t from = k;
	int32_t *points;

	while (k < v->len &&
	       !(v->is_plain[k] && (v->text[k] == '*' || v->text[k] == '?' || v->text[k] == '[')))
		k++;
	points = naive_points(naive_key(naive_text(v->text + from, k - from)));
	for (; *points != -1; points++) {
		parts[*n].kind = POINT;
		parts[(*n)++].point = *points;
	}
	return k;
}

static size_t read_parts(const struct naive_value *v, struct part *parts, bool is_path)
{
	size_t n = 0, k = 0;

	while (k < v->len) {
		if (is_special(v, k, '?')) {
			parts[n++].kind = ONE;
			k++;
		} else if (is_special(v, k, '[')) {
			k = read_set(v, k, &parts[n++]);
		} else if (is_path && is_special(v, k, '*') && is_special(v, k + 1, '*')) {
			bool is_folder = k + 2 < v->len && v->text[k + 2] == '/';

			parts[n++].kind = is_folder ? DEEP_FOLDER : DEEP;
			k += is_folder ? 3 : 2;
		} else if (is_special(v, k, '*')) {
			parts[n++].kind = is_path ? STAR : DEEP;
			k++;
		} else {
			k = read_literal(v, k, parts, &n);
		}
	}
	return n;
}

static bool is_in_set(const struct part *part, int32_t point)
{
	const int32_t *set = part->set;
	bool is_in = false;

	for (size_t k = 0; set[k] != -1; k++) {
		if (set[k + 1] == '-' && part->is_plain[k + 1] && set[k + 2] != -1) {
			is_in |= point >= set[k] && point <= set[k + 2];
			k += 2;
		} else {
			is_in |= point == set[k];
		}
	}
	return *set != -1 && is_in != part->is_not;
}

/* Parts [0, p) fit the first t points: of a row over t, for p, from that for p - 1. */
static void next_row(const struct part *part, const int32_t *text, size_t len, const bool *before,
		     bool *row, bool is_path)
{
	for (size_t t = 0; t <= len; t++) {
		int32_t c = t ? text[t - 1] : 0;

		row[t] = false;
		switch (part->kind) {
		case POINT:
			row[t] = t && before[t - 1] && c == part->point;
			break;
		case ONE:
			row[t] = t && before[t - 1] && !(is_path && c == '/');
			break;
		case SET:
			row[t] = t && before[t - 1] && is_in_set(part, c) && !(is_path && c == '/');
			break;
		case STAR:
			row[t] = before[t] || (t && row[t - 1] && c != '/');
			break;
		case DEEP:
			row[t] = before[t] || (t && row[t - 1]);
			break;
		case DEEP_FOLDER:
			row[t] = before[t];
			for (size_t s = 0; s < t && c == '/'; s++)
				row[t] |= before[s];
			break;
		}
	}
}

static bool fits(const struct part *parts, size_t n, const int32_t *text, bool is_path)
{
	size_t len = 0;
	bool *row, *before;

	while (text[len] != -1)
		len++;
	before = naive_memory(len + 1);
	before[0] = true;
	for (size_t p = 0; p < n; p++) {
		row = naive_memory(len + 1);
		next_row(&parts[p], text, len, before, row, is_path);
		before = row;
	}
	return before[len];
}

bool naive_glob(const struct naive_value *v, const char *key, bool is_path)
{
	/* A folded character is at most 18 points. */
	struct part *parts = naive_memory((v->len + 1) * 18 * sizeof(*parts));
	size_t n = read_parts(v, parts, is_path);
	const int32_t *text = naive_points(key);

	if (fits(parts, n, text, is_path))
		return true;
	if (!is_path || (v->len && v->text[0] == '/') ||
	    (is_special(v, 0, '*') && is_special(v, 1, '*')))
		return false;
	for (; *text != -1; text++)
		if (*text == '/' && fits(parts, n, text + 1, is_path))
			return true;
	return false;
}
