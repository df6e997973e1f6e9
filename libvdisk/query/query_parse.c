/* SPDX-License-Identifier: MIT */
/*
 * The grammar of docs/search.md, read from left to right by one function for each of its rules.
 * Recursion is bounded by VD_QUERY_DEPTH_MAX. AND within AND and OR within OR become one.
 */
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "query/query_parse.h"
#include "xml/doc.h"

#define CHUNK 2048

/* ---- memory ---- */

void *query_alloc(struct vd_query *query, size_t size, struct vd_error *err)
{
	struct query_chunk *chunk = query->chunks;
	size_t room = (size + 15) & ~(size_t)15;
	void *p;

	if (!chunk || chunk->size - chunk->used < room) {
		size_t fresh = room > CHUNK ? room : CHUNK;

		chunk = vd_calloc(1, sizeof(*chunk) + fresh);
		if (!chunk) {
			vd_no_memory(err, fresh, "a query");
			return NULL;
		}
		chunk->size = fresh;
		chunk->next = query->chunks;
		query->chunks = chunk;
	}
	p = chunk->bytes + chunk->used;
	chunk->used += room;
	return p;
}

char *query_keep(struct vd_query *query, const char *text, size_t len, struct vd_error *err)
{
	char *own = query_alloc(query, len + 1, err);

	if (own)
		memcpy(own, text, len);
	return own;
}

void vd_query_free(struct vd_query *query)
{
	struct query_chunk *next;

	if (!query)
		return;
	for (struct query_chunk *chunk = query->chunks; chunk; chunk = next) {
		next = chunk->next;
		vd_free(chunk);
	}
	vd_free(query);
}

/* ---- errors ---- */

int parse_fail(struct parser *p, int code, size_t offset, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vd_error_vset(p->err, code, 0, offset, fmt, ap);
	va_end(ap);
	return code;
}

int parse_fail_at(struct parser *p, int code, size_t offset)
{
	if (p->err && code != VD_ENOMEM) {
		p->err->code = code;
		p->err->offset = offset;
	}
	return code;
}

/* ---- the rules ---- */

/** Nodes that wait for their parent. */
struct list {
	const struct vd_query_node **nodes;
	size_t n, room;
};

static int add(struct parser *p, struct list *list, const struct query_node *node)
{
	if (list->n == list->room) {
		size_t room = list->room ? 2 * list->room : 4;
		const struct vd_query_node **more =
		    query_alloc(p->query, room * sizeof(const struct vd_query_node *), p->err);

		if (!more)
			return VD_ENOMEM;
		if (list->n)
			memcpy(more, list->nodes, list->n * sizeof(*more));
		list->nodes = more;
		list->room = room;
	}
	list->nodes[list->n++] = &node->pub;
	return 0;
}

/** Add a node, or the children of one of the kind that is being made. */
static int add_flat(struct parser *p, struct list *list, enum vd_query_kind kind,
		    const struct query_node *node)
{
	int ret = 0;

	if (node->pub.kind != kind)
		return add(p, list, node);
	for (size_t i = 0; i < node->pub.n_children && !ret; i++)
		ret = add(p, list, query_child(node, i));
	return ret;
}

static int join(struct parser *p, enum vd_query_kind kind, const struct list *list, size_t offset,
		struct query_node **out)
{
	struct query_node *node = build_node(p, kind, offset);

	if (!node)
		return VD_ENOMEM;
	node->pub.children = list->nodes;
	node->pub.n_children = list->n;
	for (size_t i = 0; i < list->n; i++)
		node->has_files |= query_child(node, i)->has_files;
	*out = node;
	return 0;
}

static int deeper(struct parser *p, size_t offset)
{
	if (++p->depth > VD_QUERY_DEPTH_MAX)
		return parse_fail(p, VD_ERANGE, offset, "more than %u levels within each other",
				  VD_QUERY_DEPTH_MAX);
	return 0;
}

static int parse_or(struct parser *p, struct query_node **out);

/** From "(" or "{" to behind its partner. */
static int parse_inner(struct parser *p, char partner, struct query_node **out)
{
	int ret = deeper(p, p->pos);

	p->pos++;
	if (!ret)
		ret = parse_or(p, out);
	if (ret)
		return ret;
	if (p->text[p->pos] != partner)
		return parse_fail(p, VD_EINVAL, p->pos, "a %c is missing here", partner);
	p->pos++;
	p->depth--;
	return 0;
}

static int no_field(struct parser *p, const struct name *name)
{
	if (p->entry)
		return parse_fail(p, VD_EINVAL, name->offset, "there is no field %.*s below %.*s",
				  (int)name->len, p->text + name->offset, (int)strlen(p->entry) - 1,
				  p->entry);
	return parse_fail(p, VD_EINVAL, name->offset,
			  "there is no field %.*s that can be asked here; `vdtool fields` lists "
			  "them (a text with an operator in it is quoted)",
			  (int)name->len, p->text + name->offset);
}

static int parse_entry(struct parser *p, struct name *name, struct query_node **out)
{
	struct query_node *node, *inner = NULL;
	struct list list = {0};
	size_t n;
	int ret;

	if (p->entry)
		return parse_fail(p, VD_EINVAL, name->offset, "an entry can't stand in an entry");
	if (name->is_starred || !lex_resolve(p, name))
		return no_field(p, name);
	ret = build_count(p, name->offset);
	if (ret)
		return ret;
	n = strlen(name->full);
	if (name->field)
		memcpy(name->full + n, ".", 2);
	p->entry = name->full;
	p->pos = name->offset + name->len;
	ret = parse_inner(p, '}', &inner);
	p->entry = NULL;
	if (!ret)
		ret = add(p, &list, inner);
	if (!ret)
		ret = join(p, VD_QUERY_ENTRY, &list, name->offset, &node);
	if (ret)
		return ret;
	node->pub.field = query_keep(p->query, name->full, strlen(name->full), p->err);
	*out = node;
	return node->pub.field ? 0 : VD_ENOMEM;
}

static bool is_file_name(const struct parser *p, const struct name *name)
{
	const char *s = p->text + name->offset;

	return !p->entry && s[name->len] == ':' &&
	       ((name->len == 4 && strncasecmp(s, "file", 4) == 0) ||
		(name->len == 6 && strncasecmp(s, "sha256", 6) == 0));
}

/** An operator behind white space, which counts only behind the name of a field. */
static bool has_far_op(const struct parser *p, struct name *name)
{
	size_t pos = name->offset + name->len;
	enum vd_query_op op;

	if (!query_is_blank(p->text[pos]) || !lex_resolve(p, name))
		return false;
	while (query_is_blank(p->text[pos]))
		pos++;
	return lex_op(p, pos, &op) || lex_wordop(p, pos, &op);
}

static int parse_token(struct parser *p, struct query_node **out)
{
	struct name name;
	enum vd_query_op op;
	size_t behind;
	int ret;

	if (!lex_name(p, &name)) {
		ret = build_count(p, p->pos);
		return ret ? ret : build_word(p, out);
	}
	behind = name.offset + name.len;
	if (p->text[behind] == '{')
		return parse_entry(p, &name, out);
	ret = build_count(p, p->pos);
	if (ret)
		return ret;
	if (is_file_name(p, &name)) {
		p->pos = behind + 1;
		return build_file(p, &name, out);
	}
	if (p->text[behind] == ':' || lex_op(p, behind, &op))
		return lex_resolve(p, &name) ? build_term(p, &name, out) : no_field(p, &name);
	return has_far_op(p, &name) ? build_term(p, &name, out) : build_word(p, out);
}

static int parse_primary(struct parser *p, struct query_node **out)
{
	char c = p->text[p->pos];

	if (c == '(')
		return parse_inner(p, ')', out);
	if (c == '{')
		return parse_fail(p, VD_EINVAL, p->pos,
				  "a { stands right behind the name of a field");
	if (!c || c == ')' || c == '}' || lex_is_keyword(p, p->pos, NULL))
		return parse_fail(p, VD_EINVAL, p->pos,
				  p->len ? "a term is missing here"
					 : "an empty query (* fits every image)");
	if (c == '"') {
		int ret = build_count(p, p->pos);

		return ret ? ret : build_word(p, out);
	}
	return parse_token(p, out);
}

static int parse_not(struct parser *p, struct query_node **out)
{
	struct query_node *inner = NULL;
	struct list list = {0};
	size_t offset;
	int ret;

	lex_skip_blanks(p);
	if (!lex_is_keyword(p, p->pos, "NOT"))
		return parse_primary(p, out);
	offset = p->pos;
	ret = deeper(p, offset);
	p->pos += 3;
	if (!ret)
		ret = parse_not(p, &inner);
	p->depth--;
	if (!ret)
		ret = add(p, &list, inner);
	return ret ? ret : join(p, VD_QUERY_NOT, &list, offset, out);
}

static int parse_and(struct parser *p, struct query_node **out)
{
	struct list list = {0};
	size_t offset = p->pos;
	int ret;

	for (;;) {
		struct query_node *node = NULL;

		ret = parse_not(p, &node);
		if (!ret)
			ret = add_flat(p, &list, VD_QUERY_AND, node);
		if (ret)
			return ret;
		if (list.n == 1)
			*out = node;
		lex_skip_blanks(p);
		if (lex_is_keyword(p, p->pos, "AND"))
			p->pos += 3;
		else if (!p->text[p->pos] || strchr(")}", p->text[p->pos]) ||
			 lex_is_keyword(p, p->pos, "OR"))
			break;
	}
	return list.n == 1 ? 0 : join(p, VD_QUERY_AND, &list, offset, out);
}

static int parse_or(struct parser *p, struct query_node **out)
{
	struct list list = {0};
	size_t offset;
	int ret;

	lex_skip_blanks(p);
	offset = p->pos;
	for (;;) {
		struct query_node *node = NULL;

		ret = parse_and(p, &node);
		if (!ret)
			ret = add_flat(p, &list, VD_QUERY_OR, node);
		if (ret)
			return ret;
		if (list.n == 1)
			*out = node;
		if (!lex_is_keyword(p, p->pos, "OR"))
			break;
		p->pos += 2;
	}
	return list.n == 1 ? 0 : join(p, VD_QUERY_OR, &list, offset, out);
}

static int parse_all(struct parser *p)
{
	struct query_node *root = NULL;
	int ret = lex_check(p);

	if (!ret)
		ret = lex_begin(p);
	if (!ret)
		ret = parse_or(p, &root);
	if (ret)
		return ret;
	if (p->pos < p->len)
		return parse_fail(p, VD_EINVAL, p->pos, "a %c without its partner",
				  p->text[p->pos]);
	p->query->root = root;
	return query_write(p->query, p->err);
}

int vd_query_parse(struct vd_query **out, const char *text, const struct vd_query_opts *opts,
		   struct vd_error *err)
{
	struct parser p = {.text = text, .len = strlen(text), .err = err};
	int ret;

	if (p.len > VD_QUERY_TEXT_MAX)
		return parse_fail(&p, VD_ERANGE, VD_QUERY_TEXT_MAX,
				  "a query of %zu bytes; at most %u are allowed", p.len,
				  VD_QUERY_TEXT_MAX);
	p.query = vd_calloc(1, sizeof(*p.query));
	if (!p.query)
		return vd_no_memory(err, sizeof(*p.query), "a query");
	if (opts && opts->size >= sizeof(*opts))
		p.query->flags = opts->flags;
	ret = parse_all(&p);
	if (ret) {
		vd_query_free(p.query);
		return ret;
	}
	*out = p.query;
	return 0;
}

const struct vd_query_node *vd_query_root(const struct vd_query *query)
{
	return &query->root->pub;
}

int vd_query_key(const char *text, char **key, struct vd_error *err)
{
	return vd_field_key(text, key, err);
}
