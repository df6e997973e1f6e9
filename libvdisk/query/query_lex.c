/* SPDX-License-Identifier: MIT */
/* The smallest pieces of a query: operators, names, values. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include <utf8proc.h>

#include "base/alloc.h"
#include "query/query_parse.h"

int lex_begin(struct parser *p)
{
	size_t room = p->len + 1;

	p->raw.bytes = query_alloc(p->query, room, p->err);
	p->raw.is_plain = query_alloc(p->query, room, p->err);
	p->raw.at = query_alloc(p->query, room * sizeof(*p->raw.at), p->err);
	return p->raw.bytes && p->raw.is_plain && p->raw.at ? 0 : VD_ENOMEM;
}

int lex_check(struct parser *p)
{
	const utf8proc_uint8_t *s = (const utf8proc_uint8_t *)p->text;
	utf8proc_ssize_t n;
	utf8proc_int32_t c;

	for (size_t i = 0; i < p->len; i += (size_t)n) {
		n = utf8proc_iterate(s + i, (utf8proc_ssize_t)(p->len - i), &c);
		if (n < 1)
			return parse_fail(p, VD_EINVAL, i, "the query isn't UTF-8");
		if ((c < ' ' && !query_is_blank((char)c)) || c == 0xfffe || c == 0xffff)
			return parse_fail(p, VD_EINVAL, i, "a control character in the query");
	}
	return 0;
}

bool lex_is_end(char c)
{
	return !c || query_is_blank(c) || strchr("(){}\"", c);
}

void lex_skip_blanks(struct parser *p)
{
	while (query_is_blank(p->text[p->pos]))
		p->pos++;
}

size_t lex_op(const struct parser *p, size_t pos, enum vd_query_op *op)
{
	const char *s = p->text + pos;

	if (s[0] == '=') {
		*op = VD_QUERY_EQ;
		return 1;
	}
	if (s[0] == '!' && s[1] == '=') {
		*op = VD_QUERY_NE;
		return 2;
	}
	if (s[0] != '<' && s[0] != '>')
		return 0;
	if (s[1] == '=') {
		*op = s[0] == '<' ? VD_QUERY_LE : VD_QUERY_GE;
		return 2;
	}
	*op = s[0] == '<' ? VD_QUERY_LT : VD_QUERY_GT;
	return 1;
}

static size_t bare_len(const struct parser *p, size_t pos)
{
	size_t n = 0;

	while (!lex_is_end(p->text[pos + n]))
		n += p->text[pos + n] == '\\' && p->text[pos + n + 1] ? 2 : 1;
	return n;
}

bool lex_is_keyword(const struct parser *p, size_t pos, const char *which)
{
	size_t n = bare_len(p, pos);

	if (!which)
		return query_is_keyword(p->text + pos, n);
	return n == strlen(which) && memcmp(p->text + pos, which, n) == 0;
}

size_t lex_wordop(const struct parser *p, size_t pos, enum vd_query_op *op)
{
	size_t n = bare_len(p, pos), behind = pos + n;
	char c;

	*op = query_wordop(p->text + pos, n);
	if (!*op || !query_is_blank(p->text[behind]))
		return 0;
	while (query_is_blank(p->text[behind]))
		behind++;
	c = p->text[behind];
	return !c || strchr("(){}", c) || lex_is_keyword(p, behind, NULL) ? 0 : n;
}

/* ---- names ---- */

bool lex_name(const struct parser *p, struct name *name)
{
	const char *s = p->text + p->pos;
	size_t n = 0;

	*name = (struct name){.offset = p->pos};
	if (p->entry && s[0] == '.' && !isalnum((unsigned char)s[1]))
		n = 1;
	else if (isascii(*s) && isalpha((unsigned char)*s))
		while (isascii(s[n]) && s[n] &&
		       (isalnum((unsigned char)s[n]) || strchr(".-_", s[n])))
			n++;
	if (!n)
		return false;
	name->is_starred = n > 1 && s[n - 1] == '.' && s[n] == '*';
	name->len = n + name->is_starred;
	return true;
}

/** A field, or all below a prefix? `full` without a "." at its end. */
static bool look_up(const struct parser *p, struct name *name)
{
	size_t n = strlen(name->full), next = 0;

	name->field = name->is_starred ? NULL : query_field(name->full, p->query->flags);
	if (name->field)
		return true;
	name->full[n] = '.';
	name->full[n + 1] = '\0';
	return query_field_below(name->full, p->query->flags, &next) != NULL;
}

bool lex_resolve(const struct parser *p, struct name *name)
{
	size_t n = name->is_starred ? name->len - 2 : name->len;
	size_t n_entry = p->entry ? strlen(p->entry) : 0;
	char own[sizeof(name->full)];

	if (n + n_entry + 2 > sizeof(name->full))
		return false;
	for (size_t i = 0; i < n; i++)
		own[i] = (char)tolower((unsigned char)p->text[name->offset + i]);
	own[n] = '\0';
	memcpy(name->full, own, n + 1);
	if (!p->entry)
		return look_up(p, name);
	if (strcmp(own, ".") == 0) {
		memcpy(name->full, p->entry, n_entry - 1);
		name->full[n_entry - 1] = '\0';
		return look_up(p, name) && name->field;
	}
	memcpy(name->full, p->entry, n_entry);
	memcpy(name->full + n_entry, own, n + 1);
	if (look_up(p, name))
		return true;
	/* The list itself, or a field below it, by its full name. */
	memcpy(name->full, own, n + 1);
	return ((n + 1 == n_entry && memcmp(own, p->entry, n) == 0) ||
		strncmp(own, p->entry, n_entry) == 0) &&
	       look_up(p, name);
}

/* ---- values ---- */

static void take_byte(struct parser *p, bool is_plain)
{
	struct raw_value *raw = &p->raw;

	raw->bytes[raw->n] = p->text[p->pos];
	raw->is_plain[raw->n] = is_plain;
	raw->at[raw->n++] = (uint32_t)p->pos++;
}

static int take_quoted(struct parser *p)
{
	for (p->pos++; p->text[p->pos] != '"'; take_byte(p, true)) {
		if (p->text[p->pos] == '\\')
			p->pos++;
		if (p->pos >= p->len)
			return parse_fail(p, VD_EINVAL, p->raw.offset,
					  "a quoted text without its second \"");
	}
	p->pos++;
	return 0;
}

static bool is_split(const struct parser *p, enum split split)
{
	enum vd_query_op op;

	if (split == SPLIT_NONE || !lex_op(p, p->pos, &op))
		return false;
	return split == SPLIT_PURL || op >= VD_QUERY_LT;
}

int lex_value(struct parser *p, enum split split)
{
	struct raw_value *raw = &p->raw;

	raw->n = 0;
	raw->offset = p->pos;
	raw->is_quoted = p->text[p->pos] == '"';
	if (raw->is_quoted) {
		int ret = take_quoted(p);

		return ret || raw->n ? ret : parse_fail(p, VD_EINVAL, raw->offset, "an empty text");
	}
	if (split == SPLIT_PURL && strncasecmp(p->text + p->pos, "pkg:", 4) == 0)
		split = SPLIT_NONE;
	while (!lex_is_end(p->text[p->pos]) && !is_split(p, split)) {
		bool is_plain = p->text[p->pos] == '\\';

		p->pos += is_plain;
		if (p->pos >= p->len)
			return parse_fail(p, VD_EINVAL, p->len,
					  "the query ends with \\, which takes the next character "
					  "as it is");
		take_byte(p, is_plain);
	}
	/* What follows a backslash may have more bytes, which are like any others. */
	return raw->n ? 0 : parse_fail(p, VD_EINVAL, p->pos, "a value is missing here");
}

char *lex_text(struct parser *p)
{
	return query_keep(p->query, p->raw.bytes, p->raw.n, p->err);
}

bool lex_has_glob(const struct parser *p, size_t *where)
{
	for (size_t i = 0; i < p->raw.n; i++) {
		if (!p->raw.is_plain[i] && strchr("*?[", p->raw.bytes[i])) {
			*where = p->raw.at[i];
			return true;
		}
	}
	return false;
}

static bool has_set_end(const struct raw_value *raw, size_t i)
{
	while (i < raw->n && (raw->is_plain[i] || raw->bytes[i] != ']'))
		i++;
	return i < raw->n;
}

int lex_pattern(struct parser *p, const char **out)
{
	const struct raw_value *raw = &p->raw;
	char *pattern = query_alloc(p->query, 2 * raw->n + 1, p->err);
	bool is_in_set = false;
	size_t n = 0;

	if (!pattern)
		return VD_ENOMEM;
	for (size_t i = 0; i < raw->n; i++) {
		char c = raw->bytes[i];

		if (raw->is_plain[i] && strchr(is_in_set ? "]\\-!" : "*?[\\", c))
			pattern[n++] = '\\';
		pattern[n++] = c;
		if (raw->is_plain[i])
			continue;
		if (is_in_set) {
			is_in_set = c != ']';
		} else if (c == '[') {
			if (!has_set_end(raw, i + 1))
				return parse_fail(p, VD_EINVAL, raw->at[i],
						  "a [ without its ]; \\[ means the character");
			is_in_set = true;
		}
	}
	*out = pattern;
	return 0;
}
