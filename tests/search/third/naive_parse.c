/* SPDX-License-Identifier: MIT */
/* The grammar of docs/search.md, a function a rule. What is wrong leaves by longjmp. */
#include "naive.h"

#include <ctype.h>
#include <setjmp.h>
#include <string.h>
#include <strings.h>

struct parser {
	const char *text;
	size_t at;
	const char *scope; /* inside of "scope{...}", or NULL */
	jmp_buf wrong;
};

static struct naive_query *parse_or(struct parser *p);

static _Noreturn void wrong(struct parser *p, size_t offset)
{
	p->at = offset;
	longjmp(p->wrong, 1);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_blanks(struct parser *p)
{
	while (is_blank(p->text[p->at]))
		p->at++;
}

static bool ends_bare(char c)
{
	return !c || is_blank(c) || strchr("(){}\"", c);
}

static struct naive_query *make(enum naive_kind kind, struct naive_query *a, struct naive_query *b)
{
	struct naive_query *q = naive_memory(sizeof(*q));

	q->kind = kind;
	q->a = a;
	q->b = b;
	return q;
}

/* ---- values ---- */

static void finish_value(struct parser *p, struct naive_value *v)
{
	for (size_t k = 0; k < v->len; k++)
		v->is_glob |= v->is_plain[k] && strchr("*?[", v->text[k]);
	v->text[v->len] = '\0';
	v->key = naive_key(v->text);
	if (!v->key)
		wrong(p, v->offset);
}

/* `stops`: bytes that end a bare text, too. */
static struct naive_value parse_value(struct parser *p, const char *stops)
{
	const char *t = p->text;
	struct naive_value v = {0};

	v.offset = p->at;
	v.text = naive_memory(strlen(t + p->at) + 1);
	v.is_plain = naive_memory(strlen(t + p->at) + 1);
	if (t[p->at] == '"') {
		v.is_quoted = true;
		for (p->at++; t[p->at] != '"'; p->at++) {
			if (t[p->at] == '\\')
				p->at++;
			if (!t[p->at])
				wrong(p, v.offset);
			v.text[v.len++] = t[p->at];
		}
		p->at++;
		if (!v.len)
			wrong(p, v.offset);
		finish_value(p, &v);
		return v;
	}
	while (!ends_bare(t[p->at])) {
		bool is_escaped = t[p->at] == '\\' && t[p->at + 1];

		if (strchr(stops, t[p->at]) ||
		    (t[p->at] == '!' && *stops == '=' && t[p->at + 1] == '='))
			break;
		p->at += is_escaped;
		v.is_plain[v.len] = !is_escaped;
		v.text[v.len++] = t[p->at++];
	}
	if (!v.len)
		wrong(p, p->at);
	finish_value(p, &v);
	return v;
}

static void check_brackets(struct parser *p, const struct naive_value *v)
{
	size_t open = v->is_glob ? naive_open_bracket(v) : (size_t)-1;

	/* Exact where nothing before it was escaped. */
	if (open != (size_t)-1)
		wrong(p, v->offset + open);
}

/* ---- fields ---- */

static size_t count_name(const char *t)
{
	size_t n = 0;

	if (!isalpha((unsigned char)*t) || (unsigned char)*t > 127)
		return 0;
	while (t[n] && (isalnum((unsigned char)t[n]) || strchr(".-_", t[n])))
		n++;
	if (t[n] == '*' && t[n - 1] == '.')
		n++;
	return n;
}

/* The fields that a full name means; false: none. */
static bool find_fields(const char *name, bool *fields)
{
	size_t len = strlen(name);
	bool is_found = false, is_pattern = len > 2 && !strcmp(name + len - 2, ".*");

	for (size_t k = 0; !is_pattern && k < naive.n_fields; k++)
		if (!strcasecmp(naive.fields[k].name, name))
			return fields[k] = true;
	len -= is_pattern ? 2 : 0;
	for (size_t k = 0; k < naive.n_fields; k++) {
		const char *other = naive.fields[k].name;

		if (!strncasecmp(other, name, len) && other[len] == '.')
			is_found = fields[k] = true;
	}
	return is_found;
}

static char *join(const char *a, const char *b)
{
	size_t len = strlen(a) + 1 + strlen(b);
	char *out = naive_memory(len + 1);

	strcat(strcat(strcpy(out, a), "."), b);
	return out;
}

/* The full name that a name means here; NULL: none. */
static char *resolve(struct parser *p, const char *name, bool *fields)
{
	char *full;

	if (!p->scope) {
		full = naive_text(name, strlen(name));
		return find_fields(full, fields) ? full : NULL;
	}
	full = join(p->scope, name);
	if (!strcmp(name, "."))
		full = naive_text(p->scope, strlen(p->scope));
	if (find_fields(full, fields))
		return full;
	full = naive_text(name, strlen(name));
	if (strcasecmp(name, p->scope) != 0 &&
	    (strncasecmp(name, p->scope, strlen(p->scope)) != 0 || name[strlen(p->scope)] != '.'))
		return NULL;
	return find_fields(full, fields) ? full : NULL;
}

static bool any_of_type(const bool *fields, const char *type)
{
	for (size_t k = 0; k < naive.n_fields; k++)
		if (fields[k] && !strcmp(naive.fields[k].type, type))
			return true;
	return false;
}

static bool is_tag(const bool *fields)
{
	for (size_t k = 0; k < naive.n_fields; k++)
		if (fields[k])
			return !strcmp(naive.fields[k].name, "tag");
	return false;
}

/* ---- operators ---- */

static enum naive_op read_symbol(struct parser *p)
{
	const char *t = p->text + p->at;
	enum naive_op op = 0;
	size_t len = 1;

	if (!strncmp(t, "!=", 2) || !strncmp(t, "<=", 2) || !strncmp(t, ">=", 2)) {
		op = *t == '!' ? NE : *t == '<' ? LE : GE;
		len = 2;
	} else if (*t == '=' || *t == '<' || *t == '>') {
		op = *t == '=' ? EQ : *t == '<' ? LT : GT;
	}
	p->at += op ? len : 0;
	return op;
}

static bool is_keyword(const struct parser *p, const char *word)
{
	size_t len = strlen(word);

	return !strncmp(p->text + p->at, word, len) && ends_bare(p->text[p->at + len]);
}

/* What stands here, behind white space, can be a value. */
static bool is_value(const struct parser *p)
{
	return p->text[p->at] && !strchr("(){}", p->text[p->at]) && !is_keyword(p, "AND") &&
	       !is_keyword(p, "OR") && !is_keyword(p, "NOT");
}

/* A word operator with a value behind it; 0 and nothing read otherwise. */
static enum naive_op read_wordop(struct parser *p, bool is_tag)
{
	static const char *const words[] = {"eq", "ne", "lt", "le", "gt", "ge", "before", "after"};
	static const enum naive_op ops[] = {EQ, NE, LT, LE, GT, GE, LT, GT};
	size_t from = p->at, len;

	skip_blanks(p);
	for (size_t k = is_tag ? 2 : 0; from != p->at && k < 8; k++) {
		len = strlen(words[k]);
		if (!strncmp(p->text + p->at, words[k], len) && is_blank(p->text[p->at + len])) {
			p->at += len;
			skip_blanks(p);
			if (is_value(p))
				return ops[k];
			break;
		}
	}
	p->at = from;
	return 0;
}

/* The operator is one for a type of these fields, and the value can be read by one. */
static void check_term(struct parser *p, struct naive_query *q, size_t op_at)
{
	bool has_op = q->op <= NE, is_read = false;

	for (size_t k = 0; k < naive.n_fields; k++) {
		const struct naive_field *f = &naive.fields[k];
		bool is_ordered =
		    strstr("number size time version", f->type) != NULL ||
		    (!strcmp(f->type, "word") && !strncmp(f->choices, "unknown|none|low", 16));

		if (!q->fields[k] || (q->op > NE && !is_ordered))
			continue;
		has_op = true;
		is_read |= naive_is_readable(f, &q->value, q->op);
	}
	if (!has_op)
		wrong(p, op_at);
	if (q->op > NE && q->value.is_glob)
		wrong(p, q->value.offset);
	if (!is_read)
		wrong(p, q->value.offset);
}

static void parse_pair(struct parser *p, struct naive_query *q, bool is_tag, bool is_split)
{
	if (is_split)
		q->pair_op = read_symbol(p);
	if (!q->pair_op)
		q->pair_op = read_wordop(p, is_tag);
	if (q->pair_op)
		q->pair_value = parse_value(p, "");
}

static void parse_has(struct parser *p, struct naive_query *q)
{
	bool is_purl = any_of_type(q->fields, "purl"), tag = is_tag(q->fields);
	/* Bare package URLs may hold what splits names. */
	bool is_whole = !strncasecmp(p->text + p->at, "pkg:", 4);

	q->value = parse_value(p, is_purl && !is_whole ? "=<>" : tag ? "<>" : "");
	check_brackets(p, &q->value);
	check_term(p, q, 0);
	if (is_purl || tag)
		parse_pair(p, q, tag, !is_whole);
}

static struct naive_query *parse_special(struct parser *p, bool is_file)
{
	struct naive_query *q = make(is_file ? FILES : SHA256, NULL, NULL);

	if (p->scope)
		wrong(p, p->at);
	p->at += is_file ? 5 : 7;
	q->value = parse_value(p, "");
	if (is_file)
		check_brackets(p, &q->value);
	else if (q->value.len != 64 ||
		 q->value.text[strspn(q->value.text, "0123456789abcdefABCDEF")])
		wrong(p, q->value.offset);
	return q;
}

static struct naive_query *parse_entry(struct parser *p, char *prefix)
{
	struct naive_query *q = make(ENTRY, NULL, NULL);
	const char *outer = p->scope;

	p->at++;
	p->scope = q->prefix = prefix;
	q->a = parse_or(p);
	skip_blanks(p);
	if (p->text[p->at] != '}')
		wrong(p, p->at);
	p->at++;
	p->scope = outer;
	return q;
}

/* A term or entry, if a name and what belongs to one stand here; else NULL and nothing is read. */
static struct naive_query *parse_term(struct parser *p)
{
	size_t from = p->at, op_at, len = count_name(p->text + from);
	struct naive_query *q = make(TERM, NULL, NULL);
	bool is_here;
	char *full;

	if (p->scope && p->text[from] == '.' && !len)
		len = 1;
	if (!len)
		return NULL;
	q->fields = naive_memory(naive.n_fields);
	full = resolve(p, naive_text(p->text + from, len), q->fields);
	if (!full && len == 4 && !strncasecmp(p->text + from, "file:", 5))
		return parse_special(p, true);
	if (!full && len == 6 && !strncasecmp(p->text + from, "sha256:", 7))
		return parse_special(p, false);
	p->at += len;
	is_here = !ends_bare(p->text[p->at]) || p->text[p->at] == '{';
	if (p->text[p->at] == '{' || p->text[p->at] == ':') {
		if (!full)
			wrong(p, from);
		if (p->text[p->at] == '{')
			return p->scope ? wrong(p, from), NULL : parse_entry(p, full);
		p->at++;
		q->op = HAS;
		parse_has(p, q);
		return q;
	}
	if (!is_here && !full) {
		p->at = from;
		return NULL;
	}
	skip_blanks(p);
	op_at = p->at;
	q->op = read_symbol(p);
	if (q->op && !full)
		wrong(p, from);
	if (!q->op) {
		p->at = from + len;
		q->op = full && !is_here ? read_wordop(p, false) : 0;
	}
	if (!q->op) {
		p->at = from;
		return NULL;
	}
	skip_blanks(p);
	if (!is_value(p))
		wrong(p, p->at);
	q->value = parse_value(p, "");
	if (q->op <= NE)
		q->value.is_glob = false; /* stars stand for themselves */
	check_term(p, q, op_at);
	return q;
}

/* ---- the rest ---- */

static struct naive_query *parse_primary(struct parser *p)
{
	struct naive_query *q;
	char c = p->text[p->at];

	if (!c || strchr("){}", c) || is_keyword(p, "AND") || is_keyword(p, "OR"))
		wrong(p, p->at);
	if (c == '(') {
		p->at++;
		q = parse_or(p);
		skip_blanks(p);
		if (p->text[p->at] != ')')
			wrong(p, p->at);
		p->at++;
		return q;
	}
	if (is_keyword(p, "*")) {
		p->at++;
		return make(ALL, NULL, NULL);
	}
	q = c == '"' ? NULL : parse_term(p);
	if (q)
		return q;
	if (p->scope)
		wrong(p, p->at);
	if (strchr(":=<>", c) || !strncmp(p->text + p->at, "!=", 2))
		wrong(p, p->at);
	q = make(WORD, NULL, NULL);
	q->value = parse_value(p, "");
	check_brackets(p, &q->value);
	return q;
}

static struct naive_query *parse_not(struct parser *p)
{
	skip_blanks(p);
	if (!is_keyword(p, "NOT"))
		return parse_primary(p);
	p->at += 3;
	return make(NOT, parse_not(p), NULL);
}

static struct naive_query *parse_and(struct parser *p)
{
	struct naive_query *q = parse_not(p);

	for (;;) {
		skip_blanks(p);
		if (is_keyword(p, "AND"))
			p->at += 3;
		else if (!p->text[p->at] || strchr(")}", p->text[p->at]) || is_keyword(p, "OR"))
			return q;
		q = make(AND, q, parse_not(p));
	}
}

static struct naive_query *parse_or(struct parser *p)
{
	struct naive_query *q = parse_and(p);

	while (is_keyword(p, "OR")) {
		p->at += 2;
		q = make(OR, q, parse_and(p));
	}
	return q;
}

struct naive_query *naive_parse(const char *text, size_t *offset)
{
	struct parser p = {text, 0, NULL, {{{0}, 0, {{0}}}}};
	struct naive_query *volatile q = NULL;

	if (!setjmp(p.wrong)) {
		q = parse_or(&p);
		if (text[p.at])
			wrong(&p, p.at);
		return q;
	}
	*offset = p.at;
	return NULL;
}
