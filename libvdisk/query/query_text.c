/* SPDX-License-Identifier: MIT */
/* A query written anew in its canonical form: parsing that gives the same query. */
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "query/query_tree.h"

struct writer {
	char *to; /* NULL: only counting */
	size_t len;
	uint32_t flags;
	const char *entry; /* NULL: not in one */
};

static void put_char(struct writer *w, char c)
{
	if (w->to)
		w->to[w->len] = c;
	w->len++;
}

static void put(struct writer *w, const char *text)
{
	while (*text)
		put_char(w, *text++);
}

/* ---- values ---- */

bool query_is_keyword(const char *text, size_t len)
{
	return (len == 3 && (memcmp(text, "AND", 3) == 0 || memcmp(text, "NOT", 3) == 0)) ||
	       (len == 2 && memcmp(text, "OR", 2) == 0);
}

static const struct {
	const char *word, *symbol;
	enum vd_query_op op;
} ops[] = {
    {"eq", "=", VD_QUERY_EQ},     {"ne", "!=", VD_QUERY_NE},   {"lt", "<", VD_QUERY_LT},
    {"le", "<=", VD_QUERY_LE},    {"gt", ">", VD_QUERY_GT},    {"ge", ">=", VD_QUERY_GE},
    {"before", "<", VD_QUERY_LT}, {"after", ">", VD_QUERY_GT},
};

enum vd_query_op query_wordop(const char *text, size_t len)
{
	for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
		if (strlen(ops[i].word) == len && memcmp(ops[i].word, text, len) == 0)
			return ops[i].op;
	}
	return 0;
}

static void put_op(struct writer *w, enum vd_query_op op, bool is_word)
{
	for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
		if (ops[i].op == op) {
			put(w, is_word ? ops[i].word : ops[i].symbol);
			return;
		}
	}
	put_char(w, ':');
}

static void put_quoted(struct writer *w, const char *value)
{
	put_char(w, '"');
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			put_char(w, '\\');
		put_char(w, *value);
	}
	put_char(w, '"');
}

/** Quoted where it would end early, mean a pattern or an operator; `more`: or holds one of these.
 */
static void put_value(struct writer *w, const char *value, const char *more)
{
	size_t len = strlen(value);

	if (strpbrk(value, " \t\n\r(){}\"\\*?[") || strpbrk(value, more) ||
	    strchr("=<>!", *value) || query_is_keyword(value, len) || query_wordop(value, len))
		put_quoted(w, value);
	else
		put(w, value);
}

/** A pattern can't be quoted: what would end it gets a backslash. */
static void put_glob(struct writer *w, const char *value, const char *more)
{
	bool is_in_set = false;

	for (; *value; value++) {
		if (*value == '\\' && value[1]) {
			put_char(w, *value++);
		} else if (strchr(" \t\n\r(){}\"", *value) ||
			   (!is_in_set && strchr(more, *value))) {
			put_char(w, '\\');
		} else if (*value == '[' && !is_in_set) {
			is_in_set = true;
		} else if (*value == ']') {
			is_in_set = false;
		}
		put_char(w, *value);
	}
}

/* ---- terms ---- */

static void put_name(struct writer *w, const struct query_node *node)
{
	const char *name = node->pub.field;
	size_t len = strlen(name), n_entry = w->entry ? strlen(w->entry) : 0;
	char full[128];
	bool is_own;

	if (w->entry && len + 1 == n_entry && memcmp(name, w->entry, len) == 0) {
		put_char(w, '.');
		return;
	}
	is_own = w->entry && strcmp(name, w->entry) == 0;
	for (size_t i = is_own ? 0 : n_entry; name[i] && name[i + (name[i] == '.')]; i++)
		put_char(w, name[i]);
	if (!node->pub.is_prefix || len >= sizeof(full))
		return;
	/* "package" is a field itself: what lies below is "package.*". */
	memcpy(full, name, len);
	full[len - 1] = '\0';
	if (is_own || query_field(full, w->flags))
		put(w, ".*");
}

static void put_term(struct writer *w, const struct query_node *node)
{
	const struct vd_query_node *n = &node->pub;
	bool is_purl = !n->is_prefix && node->operands->field->type == VD_FIELD_PURL;
	bool is_tag = !n->is_prefix && node->operands->is_tag;
	bool is_whole = is_purl && node->operands->is_whole;
	const char *split = "";

	if (is_purl && !is_whole)
		split = "=<>!";
	else if (is_tag)
		split = "<>";
	put_name(w, node);
	put_op(w, n->op, false);
	if (n->op != VD_QUERY_HAS)
		put_value(w, n->value, "");
	else if (n->is_glob)
		put_glob(w, n->value, split);
	else
		put_value(w, n->value, split);
	if (!n->pair_op)
		return;
	/* What begins with "pkg:" isn't split at a symbol. */
	if (is_whole)
		put_char(w, ' ');
	put_op(w, n->pair_op, is_whole);
	if (is_whole)
		put_char(w, ' ');
	put_value(w, n->pair_value, "");
}

static void put_leaf(struct writer *w, const struct query_node *node)
{
	const struct vd_query_node *n = &node->pub;
	const char *more = "";

	if (n->kind == VD_QUERY_TERM) {
		put_term(w, node);
		return;
	}
	if (n->kind == VD_QUERY_ALL) {
		put_char(w, '*');
		return;
	}
	if (n->kind == VD_QUERY_FILE)
		put(w, "file:");
	else if (n->kind == VD_QUERY_SHA256)
		put(w, "sha256:");
	else
		more = ":=<>!";
	if (n->is_glob)
		put_glob(w, n->value, more);
	else
		put_value(w, n->value, more);
}

/* ---- the tree ---- */

static void put_node(struct writer *w, const struct query_node *node);

static void put_child(struct writer *w, const struct query_node *node, size_t i)
{
	const struct query_node *child = query_child(node, i);
	bool is_loose = child->pub.kind == VD_QUERY_OR ||
			(child->pub.kind == VD_QUERY_AND && node->pub.kind == VD_QUERY_NOT);

	if (is_loose)
		put_char(w, '(');
	put_node(w, child);
	if (is_loose)
		put_char(w, ')');
}

static void put_node(struct writer *w, const struct query_node *node)
{
	switch (node->pub.kind) {
	case VD_QUERY_AND:
	case VD_QUERY_OR:
		for (size_t i = 0; i < node->pub.n_children; i++) {
			if (i)
				put(w, node->pub.kind == VD_QUERY_OR ? " OR " : " ");
			if (node->pub.kind == VD_QUERY_OR)
				put_node(w, query_child(node, i));
			else
				put_child(w, node, i);
		}
		break;
	case VD_QUERY_NOT:
		put(w, "NOT ");
		put_child(w, node, 0);
		break;
	case VD_QUERY_ENTRY:
		put_name(w, node);
		put_char(w, '{');
		w->entry = node->pub.field;
		put_node(w, query_child(node, 0));
		w->entry = NULL;
		put_char(w, '}');
		break;
	default:
		put_leaf(w, node);
	}
}

int query_write(struct vd_query *query, struct vd_error *err)
{
	struct writer w = {NULL, 0, query->flags, NULL};
	char *text;

	put_node(&w, query->root);
	if (w.len > VD_QUERY_TEXT_MAX)
		return vd_error_set(err, VD_ERANGE, 0, 0,
				    "the query has %zu bytes when each value is quoted that has to "
				    "be; at most %u are allowed",
				    w.len, VD_QUERY_TEXT_MAX);
	text = query_alloc(query, w.len + 1, err);
	if (!text)
		return VD_ENOMEM;
	w = (struct writer){text, 0, query->flags, NULL};
	put_node(&w, query->root);
	query->text = text;
	return 0;
}

const char *vd_query_text(const struct vd_query *query)
{
	return query->text;
}
