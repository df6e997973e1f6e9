/* SPDX-License-Identifier: MIT */
/*
 * Patterns with * ? [ ], against keys. A pattern is made into a row of tokens, each of which takes
 * one character, or any number of them. Matching takes at most (tokens x characters) steps: with
 * one kind of star, only the last one has to be tried again; with "**" in paths, all places in the
 * pattern are followed at the same time.
 */
#include <string.h>

#include <utf8proc.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "query/query_tree.h"
#include "xml/doc.h"

enum token_kind {
	TOKEN_CHAR,
	TOKEN_ANY,  /* ? */
	TOKEN_SET,  /* [...] */
	TOKEN_STAR, /* *, in paths without "/" */
	TOKEN_DEEP, /* ** in paths */
	TOKEN_DIRS, /* **\/ in paths: nothing, or anything that ends in "/" */
};
struct range {
	int32_t low, high;
};
struct token {
	enum token_kind kind;
	int32_t c;
	bool is_not;
	struct range *ranges;
	size_t n_ranges;
};
struct query_glob {
	struct token *tokens;
	size_t n, n_slashes;
	bool is_path, is_deep;
	bool is_anywhere; /* of a path: matches behind any "/" */
};

size_t query_char(const char *p, const char *end, int32_t *c)
{
	utf8proc_ssize_t n;

	if ((unsigned char)*p < 0x80) {
		*c = *p;
		return 1;
	}
	n = utf8proc_iterate((const utf8proc_uint8_t *)p, end - p, c);
	if (n > 0)
		return (size_t)n;
	*c = (int32_t)0x200000 + (unsigned char)*p;
	return 1;
}

bool query_is_letter(int32_t c)
{
	utf8proc_category_t category;

	if (c < 0x80)
		return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
	category = utf8proc_category(c);
	return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NO;
}

/* ---- compiling ---- */

struct compiling {
	struct query_glob *glob;
	struct vd_query *query;
	struct vd_error *err;
};

static void put(struct compiling *c, enum token_kind kind, int32_t character)
{
	struct token *t = &c->glob->tokens[c->glob->n++];

	t->kind = kind;
	t->c = character;
	c->glob->n_slashes += kind == TOKEN_CHAR && character == '/';
	c->glob->is_deep |= kind == TOKEN_DEEP || kind == TOKEN_DIRS;
}

/** Where the characters that stand for themselves end. */
static const char *literal_end(const char *p)
{
	while (*p && !strchr("*?[", *p))
		p += p[0] == '\\' && p[1] ? 2 : 1;
	return p;
}

/** Characters that stand for themselves, folded as keys are. */
static int put_literal(struct compiling *c, const char *from, const char *to)
{
	VD_AUTO_FREE char *plain = vd_malloc((size_t)(to - from) + 1), *key = NULL;
	size_t n = 0;
	int ret;

	if (!plain)
		return vd_no_memory(c->err, (size_t)(to - from) + 1, "a pattern");
	for (const char *p = from; p < to; p++) {
		if (*p == '\\' && p + 1 < to)
			p++;
		plain[n++] = *p;
	}
	plain[n] = '\0';
	ret = vd_field_key(plain, &key, c->err);
	if (ret)
		return ret;
	for (const char *p = key, *end = key + strlen(key); p < end;) {
		int32_t character;

		p += query_char(p, end, &character);
		put(c, TOKEN_CHAR, character);
	}
	return 0;
}

/** A character of a set, folded if it remains one. */
static int take_of_set(struct compiling *c, const char **p, int32_t *character)
{
	VD_AUTO_FREE char *key = NULL;
	char one[8] = "";
	size_t n;
	int ret;

	if (**p == '\\' && (*p)[1])
		(*p)++;
	n = query_char(*p, *p + strlen(*p), character);
	memcpy(one, *p, n);
	*p += n;
	ret = vd_field_key(one, &key, c->err);
	if (!ret && *key) {
		int32_t folded;

		if (query_char(key, key + strlen(key), &folded) == strlen(key))
			*character = folded;
	}
	return ret;
}

/** How many characters a set has at most. */
static size_t set_len(const char *p)
{
	size_t n = 0;

	for (; p[n] && p[n] != ']'; n++)
		n += p[n] == '\\' && p[n + 1];
	return n;
}

/** From behind "[" to behind "]". */
static int put_set(struct compiling *c, const char **p)
{
	struct token *t = &c->glob->tokens[c->glob->n];
	int ret = 0;

	put(c, TOKEN_SET, 0);
	t->is_not = **p == '!';
	*p += t->is_not;
	t->ranges = query_alloc(c->query, (set_len(*p) + 1) * sizeof(*t->ranges), c->err);
	if (!t->ranges)
		return VD_ENOMEM;
	while (!ret && **p && **p != ']') {
		struct range *r = &t->ranges[t->n_ranges++];

		ret = take_of_set(c, p, &r->low);
		r->high = r->low;
		if (!ret && **p == '-' && (*p)[1] && (*p)[1] != ']') {
			(*p)++;
			ret = take_of_set(c, p, &r->high);
		}
	}
	*p += **p == ']';
	return ret;
}

static void put_star(struct compiling *c, const char **p)
{
	struct query_glob *glob = c->glob;

	(*p)++;
	if (!glob->is_path) {
		/* Two of them are no more than one. */
		if (!glob->n || glob->tokens[glob->n - 1].kind != TOKEN_STAR)
			put(c, TOKEN_STAR, 0);
	} else if (**p != '*') {
		put(c, TOKEN_STAR, 0);
	} else if ((*p)[1] == '/') {
		*p += 2;
		put(c, TOKEN_DIRS, 0);
	} else {
		(*p)++;
		put(c, TOKEN_DEEP, 0);
	}
}

int query_glob_compile(struct vd_query *query, struct query_glob **out, const char *pattern,
		       bool is_path, struct vd_error *err)
{
	struct compiling c = {query_alloc(query, sizeof(*c.glob), err), query, err};
	size_t len = strlen(pattern);
	const char *p = pattern;
	size_t room = 1;
	int ret = 0;

	if (!c.glob)
		return VD_ENOMEM;
	if (len > QUERY_GLOB_MAX)
		return vd_error_set(err, VD_ERANGE, 0, VD_NO_OFFSET,
				    "a pattern of %zu bytes; at most %u are allowed", len,
				    QUERY_GLOB_MAX);
	/* Folding makes at most 18 characters of one (U+FDFA), which has three bytes; none more of
	 * ASCII. */
	for (size_t i = 0; i < len; i++)
		room += (unsigned char)p[i] < 0x80 ? 1 : 6;
	c.glob->tokens = query_alloc(query, room * sizeof(struct token), err);
	if (!c.glob->tokens)
		return VD_ENOMEM;
	c.glob->is_path = is_path;
	c.glob->is_anywhere = is_path && *p != '/' && strncmp(p, "**", 2) != 0;
	while (!ret && *p) {
		const char *end = literal_end(p);

		if (end > p) {
			ret = put_literal(&c, p, end);
			p = end;
		} else if (*p == '*') {
			put_star(&c, &p);
		} else if (*p++ == '?') {
			put(&c, TOKEN_ANY, 0);
		} else {
			ret = put_set(&c, &p);
		}
	}
	*out = c.glob;
	return ret;
}

/* ---- matching ---- */

/** Does a token that takes one character take this one? */
static bool takes(const struct token *t, int32_t c, bool is_path)
{
	bool is_in = false;

	if (t->kind == TOKEN_CHAR)
		return t->c == c;
	if (t->kind != TOKEN_ANY && t->kind != TOKEN_SET)
		return false;
	if (is_path && c == '/')
		return false;
	for (size_t i = 0; i < t->n_ranges && !is_in; i++)
		is_in = c >= t->ranges[i].low && c <= t->ranges[i].high;
	return t->kind == TOKEN_ANY || is_in != t->is_not;
}

/** With one kind of star. */
static bool match_simple(const struct query_glob *glob, const char *p, const char *end)
{
	size_t at = 0, star = SIZE_MAX;
	const char *mark = p;
	int32_t c;

	while (p < end) {
		size_t n;

		if (at < glob->n && glob->tokens[at].kind == TOKEN_STAR) {
			star = at++;
			mark = p;
			continue;
		}
		n = query_char(p, end, &c);
		if (at < glob->n && takes(&glob->tokens[at], c, glob->is_path)) {
			at++;
			p += n;
			continue;
		}
		if (star == SIZE_MAX)
			return false;
		n = query_char(mark, end, &c);
		if (glob->is_path && c == '/')
			return false;
		mark += n;
		p = mark;
		at = star + 1;
	}
	while (at < glob->n && glob->tokens[at].kind == TOKEN_STAR)
		at++;
	return at == glob->n;
}

/** Places in the pattern that can be reached without a character. */
static void enter(const struct query_glob *glob, uint8_t *places, size_t at)
{
	for (; at <= glob->n; at++) {
		places[at] = 1;
		if (at == glob->n || glob->tokens[at].kind < TOKEN_STAR)
			return;
	}
}

static void step(const struct query_glob *glob, const uint8_t *from, uint8_t *to, int32_t c)
{
	for (size_t at = 0; at < glob->n; at++) {
		const struct token *t = &glob->tokens[at];

		if (!from[at])
			continue;
		if (t->kind == TOKEN_DEEP || (t->kind == TOKEN_STAR && c != '/')) {
			enter(glob, to, at);
		} else if (t->kind == TOKEN_DIRS) {
			to[at] = 1;
			if (c == '/')
				enter(glob, to, at + 1);
		} else if (takes(t, c, true)) {
			enter(glob, to, at + 1);
		}
	}
}

/** With "**": all places at once. */
static bool match_deep(const struct query_glob *glob, const char *p, const char *end)
{
	uint8_t places[2][6 * QUERY_GLOB_MAX + 21];
	uint8_t *now = places[0], *then = places[1], *other;
	bool is_start = true;
	int32_t c;

	memset(now, 0, glob->n + 1);
	enter(glob, now, 0);
	while (p < end) {
		p += query_char(p, end, &c);
		memset(then, 0, glob->n + 1);
		step(glob, now, then, c);
		/* Behind any "/" it may begin anew. */
		is_start = glob->is_anywhere && c == '/';
		if (is_start)
			enter(glob, then, 0);
		other = now;
		now = then;
		then = other;
	}
	return now[glob->n];
}

/** Where the last `n` + 1 parts of a path begin: as many as the pattern has. */
static const char *last_parts(const char *p, const char *end, size_t n)
{
	for (const char *q = end; q > p; q--) {
		if (q[-1] == '/' && n-- == 0)
			return q;
	}
	return p;
}

bool query_glob_match(const struct query_glob *glob, const char *key, size_t len)
{
	const char *end = key + len;

	if (glob->is_deep)
		return match_deep(glob, key, end);
	if (glob->is_anywhere)
		key = last_parts(key, end, glob->n_slashes);
	return match_simple(glob, key, end);
}
