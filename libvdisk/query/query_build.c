/* SPDX-License-Identifier: MIT */
/* Words and terms: their nodes, with the values that they compare with. */
#include <string.h>

#include "base/alloc.h"
#include "query/query_parse.h"

struct query_node *build_node(struct parser *p, enum vd_query_kind kind, size_t offset)
{
	struct query_node *node = query_alloc(p->query, sizeof(*node), p->err);

	if (!node)
		return NULL;
	node->index = p->query->n_nodes++;
	node->pub.kind = kind;
	node->pub.offset = offset;
	node->pub.field = node->pub.value = node->pub.key = node->pub.pair_value = "";
	return node;
}

int build_count(struct parser *p, size_t offset)
{
	if (++p->query->n_terms > VD_QUERY_TERMS_MAX)
		return parse_fail(p, VD_ERANGE, offset, "more than %u terms", VD_QUERY_TERMS_MAX);
	return 0;
}

/** The value into the node, as text or, where it may be one, as a pattern. */
static int take_value(struct parser *p, struct query_node *node, bool may_glob, bool is_path)
{
	struct vd_query_node *n = &node->pub;
	const char *pattern = NULL;
	size_t where;
	int ret;

	n->is_phrase = memchr(p->raw.bytes, ' ', p->raw.n) ||
		       memchr(p->raw.bytes, '\t', p->raw.n) ||
		       memchr(p->raw.bytes, '\n', p->raw.n) || memchr(p->raw.bytes, '\r', p->raw.n);
	if (!may_glob || !lex_has_glob(p, &where)) {
		n->value = lex_text(p);
		return n->value ? 0 : VD_ENOMEM;
	}
	n->is_glob = true;
	ret = lex_pattern(p, &pattern);
	if (ret)
		return ret;
	n->value = pattern;
	ret = query_glob_compile(p->query, &node->glob, pattern, is_path, p->err);
	return ret ? parse_fail_at(p, ret, p->raw.offset) : 0;
}

int build_word(struct parser *p, struct query_node **out)
{
	struct query_node *node;
	size_t offset = p->pos;
	enum vd_query_op op;
	int ret;

	if (lex_op(p, p->pos, &op) || p->text[p->pos] == ':')
		return parse_fail(p, VD_EINVAL, offset,
				  "an operator without a field before it (quoted, it is a text)");
	ret = lex_value(p, SPLIT_NONE);
	if (ret)
		return ret;
	if (!p->raw.is_quoted && p->raw.n == 1 && *p->raw.bytes == '*' && !*p->raw.is_plain) {
		*out = build_node(p, VD_QUERY_ALL, offset);
		return *out ? 0 : VD_ENOMEM;
	}
	if (p->entry)
		return parse_fail(p, VD_EINVAL, offset,
				  "words can't stand in {}: say field:value, with a field below "
				  "%.*s",
				  (int)strlen(p->entry) - 1, p->entry);
	node = build_node(p, VD_QUERY_WORD, offset);
	if (!node)
		return VD_ENOMEM;
	ret = take_value(p, node, true, false);
	if (!ret && !node->pub.is_glob) {
		ret = query_keep_words(p->query, node->pub.value, &node->words, p->err);
		if (ret)
			return parse_fail_at(p, ret, offset);
		node->pub.key = node->words;
	}
	*out = node;
	return ret;
}

/* ---- file terms ---- */

static int read_digest(struct parser *p, struct query_node *node)
{
	const char *s = node->pub.value;
	size_t n = strlen(s);

	if (n != 64 || strspn(s, "0123456789abcdefABCDEF") != 64)
		return parse_fail(p, VD_EINVAL, p->raw.offset,
				  "a SHA-256 digest has 64 hexadecimal digits");
	for (size_t i = 0; i < 64; i++) {
		int digit = s[i] <= '9' ? s[i] - '0' : (s[i] | 0x20) - 'a' + 10;

		node->digest[i / 2] = (uint8_t)(node->digest[i / 2] << 4 | digit);
	}
	return 0;
}

int build_file(struct parser *p, const struct name *name, struct query_node **out)
{
	bool is_digest = name->len == 6;
	struct query_node *node =
	    build_node(p, is_digest ? VD_QUERY_SHA256 : VD_QUERY_FILE, name->offset);
	int ret;

	if (!node)
		return VD_ENOMEM;
	*out = node;
	node->has_files = true;
	node->file_index = p->query->n_files++;
	ret = lex_value(p, SPLIT_NONE);
	if (!ret)
		ret = take_value(p, node, !is_digest, true);
	if (!ret && is_digest)
		ret = read_digest(p, node);
	if (!ret && !node->pub.is_glob) {
		ret = query_keep_key(p->query, node->pub.value, &node->pub.key, p->err);
		ret = ret ? parse_fail_at(p, ret, p->raw.offset) : 0;
	}
	return ret;
}

/* ---- terms ---- */

/** "3.0.11" of "package:openssl<3.0.11". */
static int take_pair_value(struct parser *p, struct query_node *node, enum vd_query_op op)
{
	size_t where;
	int ret = lex_value(p, SPLIT_NONE);

	if (ret)
		return ret;
	if (op >= VD_QUERY_LT && lex_has_glob(p, &where))
		return parse_fail(p, VD_EINVAL, p->raw.offset,
				  "a pattern can't be compared; quoted, it is a version");
	node->pub.pair_op = op;
	node->pub.pair_value = lex_text(p);
	return node->pub.pair_value ? 0 : VD_ENOMEM;
}

/** What makes a pair of a term. */
static int take_pair(struct parser *p, struct query_node *node, enum split split)
{
	size_t pos = p->pos, n;
	enum vd_query_op op;

	n = lex_op(p, pos, &op);
	if (n && (split == SPLIT_PURL || op >= VD_QUERY_LT)) {
		p->pos += n;
		return take_pair_value(p, node, op);
	}
	while (query_is_blank(p->text[pos]))
		pos++;
	n = pos > p->pos ? lex_wordop(p, pos, &op) : 0;
	if (!n || (split != SPLIT_PURL && op < VD_QUERY_LT))
		return 0;
	p->pos = pos + n;
	lex_skip_blanks(p);
	return take_pair_value(p, node, op);
}

/** The operator behind the name, and the white space around it. */
static void take_op(struct parser *p, const struct name *name, struct vd_query_node *n,
		    size_t *op_offset)
{
	size_t len;

	p->pos = name->offset + name->len;
	if (p->text[p->pos] == ':') {
		n->op = VD_QUERY_HAS;
		*op_offset = p->pos++;
		return;
	}
	lex_skip_blanks(p);
	*op_offset = p->pos;
	len = lex_op(p, p->pos, &n->op);
	if (!len)
		len = lex_wordop(p, p->pos, &n->op);
	p->pos += len;
	lex_skip_blanks(p);
}

int build_term(struct parser *p, const struct name *name, struct query_node **out)
{
	struct query_node *node = build_node(p, VD_QUERY_TERM, name->offset);
	enum split split = SPLIT_NONE;
	size_t op_offset, offset;
	struct vd_query_node *n;
	int ret;

	if (!node)
		return VD_ENOMEM;
	*out = node;
	n = &node->pub;
	n->field = query_keep(p->query, name->full, strlen(name->full), p->err);
	if (!n->field)
		return VD_ENOMEM;
	n->is_prefix = !name->field;
	take_op(p, name, n, &op_offset);
	if (query_is_blank(p->text[p->pos - 1]) && lex_is_keyword(p, p->pos, NULL))
		return parse_fail(p, VD_EINVAL, p->pos, "a value is missing here");
	if (n->op == VD_QUERY_HAS && name->field && name->field->type == VD_FIELD_PURL)
		split = SPLIT_PURL;
	else if (n->op == VD_QUERY_HAS && name->field && strcmp(n->field, "tag") == 0)
		split = SPLIT_TAG;
	ret = lex_value(p, split);
	offset = p->raw.offset;
	if (!ret)
		ret = take_value(p, node, n->op == VD_QUERY_HAS, false);
	if (ret)
		return ret;
	n->is_presence = n->is_glob && strcmp(n->value, "*") == 0;
	ret = query_read_operands(p->query, node, name->field, p->err);
	if (ret == VD_EUNSUPPORTED)
		return parse_fail_at(p, VD_EINVAL, op_offset);
	if (ret)
		return parse_fail_at(p, ret, offset);
	if (n->op >= VD_QUERY_LT && lex_has_glob(p, &op_offset))
		return parse_fail(p, VD_EINVAL, offset, "a pattern can't be compared");
	return split == SPLIT_NONE ? 0 : take_pair(p, node, split);
}
