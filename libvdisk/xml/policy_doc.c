/* SPDX-License-Identifier: MIT */
/*
 * See policy_doc.h. Strict, because a rule that was misspelt and passed over would allow what it
 * was to deny: whatever is in our namespace, or in none, must be known and in its place. Other
 * namespaces may add what they like, where the schema leaves room.
 */
#include <stdlib.h>
#include <string.h>

#include <libxml/tree.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "xml/doc_tree.h"
#include "xml/policy_doc.h"

#define XSI "http://www.w3.org/2001/XMLSchema-instance"

struct reader {
	struct vd_policy_doc *doc;
	size_t max, room_entries, room_offs;
	int *line;
	struct vd_error *err;
};

static void free_doc(struct vd_doc **doc)
{
	vd_doc_free(*doc);
}

static VD_PRINTF(3, 4) int refuse(const struct reader *r, const xmlNode *node, const char *fmt, ...)
{
	va_list ap;
	int ret;

	*r->line = (int)xmlGetLineNo(node);
	va_start(ap, fmt);
	ret = vd_error_vset(r->err, VD_ECORRUPT, 0, VD_NO_OFFSET, fmt, ap);
	va_end(ap);
	return ret;
}

static bool is_blank(const char *s)
{
	return s[strspn(s, " \t\r\n")] == '\0';
}

static bool is_ours(const xmlNs *ns)
{
	return ns && ns->href && strcmp((const char *)ns->href, VD_POLICY_XMLNS) == 0;
}

static bool is_foreign(const xmlNs *ns)
{
	return ns && ns->href && !is_ours(ns);
}

static bool is_element(const xmlNode *node, const char *name)
{
	return node->type == XML_ELEMENT_NODE && is_ours(node->ns) &&
	       strcmp((const char *)node->name, name) == 0;
}

/** Comments, instructions, white space. `node` may have any type. */
static bool is_nothing(const xmlNode *node)
{
	switch (node->type) {
	case XML_COMMENT_NODE:
	case XML_PI_NODE:
		return true;
	case XML_TEXT_NODE:
		return !node->content || is_blank((const char *)node->content);
	default:
		return false;
	}
}

/** What stands at a place where it must not. */
static int refuse_node(const struct reader *r, const xmlNode *node, const char *where)
{
	if (node->type != XML_ELEMENT_NODE)
		return refuse(r, node, "text in <%s>, where only elements may be", where);
	if (is_foreign(node->ns))
		return refuse(r, node, "<%s> of another namespace has no place there in <%s>",
			      (const char *)node->name, where);
	if (!node->ns)
		return refuse(r, node, "<%s> in <%s> is in no namespace; rules are in %s",
			      (const char *)node->name, where, VD_POLICY_XMLNS);
	return refuse(r, node, "<%s> is unknown in <%s>, or in the wrong place, or there twice",
		      (const char *)node->name, where);
}

/** Without the white space around it, where `collapse` also with runs of it as one blank. */
static char *tidy(char *text, bool collapse)
{
	char *to = text, *from = text + strspn(text, " \t\r\n");
	size_t len = strlen(from);

	while (len && strchr(" \t\r\n", from[len - 1]))
		len--;
	if (!collapse) {
		memmove(text, from, len);
		text[len] = '\0';
		return text;
	}
	for (const char *end = from + len; from < end; from++) {
		if (!strchr(" \t\r\n", *from))
			*to++ = *from;
		else if (to > text && to[-1] != ' ')
			*to++ = ' ';
	}
	*to = '\0';
	return text;
}

/** Values of the attributes `names`, each of which has to be there; nothing else of ours may. */
static int read_attributes(const struct reader *r, const xmlNode *node, const char *const *names,
			   char **values, size_t n)
{
	for (const xmlAttr *attr = node->properties; attr; attr = attr->next) {
		VD_AUTO_FREE char *own = NULL;
		const char *name = (const char *)attr->name, *text;
		size_t i = 0;

		/* They would change what a schema makes of the element. */
		if (attr->ns && strcmp((const char *)attr->ns->href, XSI) == 0 &&
		    (strcmp(name, "type") == 0 || strcmp(name, "nil") == 0))
			return refuse(r, node, "xsi:%s has no place in rules", name);
		if (is_foreign(attr->ns))
			continue;
		while (i < n && (attr->ns || strcmp(name, names[i]) != 0))
			i++;
		if (i == n)
			return refuse(r, node, "<%s> knows no attribute \"%s\"",
				      (const char *)node->name, name);
		text = vd_node_text(attr->children, &own);
		values[i] = text ? vd_strdup(text) : NULL;
		if (!values[i])
			return vd_no_memory(r->err, 0, "a rule");
		tidy(values[i], true);
	}
	for (size_t i = 0; i < n; i++) {
		if (!values[i])
			return refuse(r, node, "<%s> lacks the attribute \"%s\"",
				      (const char *)node->name, names[i]);
	}
	return 0;
}

/** The text of an element that has nothing else. */
static int read_text(const struct reader *r, const xmlNode *node, bool collapse, size_t max,
		     char **out)
{
	VD_AUTO_FREE char *own = NULL;
	const char *text;
	size_t n = 0;
	int ret = read_attributes(r, node, NULL, NULL, 0);

	if (ret)
		return ret;
	for (const xmlNode *child = node->children; child; child = child->next) {
		if (child->type == XML_ELEMENT_NODE)
			return refuse(r, child, "<%s> within <%s>, which holds only text",
				      (const char *)child->name, (const char *)node->name);
	}
	text = vd_node_text(node->children, &own);
	*out = text ? vd_strdup(text) : NULL;
	if (!*out)
		return vd_no_memory(r->err, 0, "a rule");
	tidy(*out, collapse);
	for (const char *p = *out; *p; p++)
		n += (*p & 0xc0) != 0x80;
	if (!n)
		return refuse(r, node, "<%s> is empty", (const char *)node->name);
	if (n > max)
		return refuse(r, node, "<%s> has %zu characters; at most %zu are allowed",
			      (const char *)node->name, n, max);
	return 0;
}

static bool is_id(const char *id)
{
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	size_t len = strlen(id);

	return len && len <= VD_POLICY_ID_MAX && strspn(id, LETTERS) &&
	       strspn(id, LETTERS "._-") == len;
}

/** The line on which the text of <when> begins, behind the white space before it. */
static int first_line(const xmlNode *node)
{
	const xmlNode *text = node->children;
	int line = (int)xmlGetLineNo(node);

	if (text && text->type == XML_TEXT_NODE && text->content) {
		const char *s = (const char *)text->content;

		for (size_t n = strspn(s, " \t\r\n"); n; n--)
			line += *s++ == '\n';
	}
	return line;
}

static int read_condition(const struct reader *r, const xmlNode *node,
			  struct vd_policy_entry *entry)
{
	entry->is_xpath = is_element(node, "when-xpath");
	entry->when_line = first_line(node);
	return read_text(r, node, false, VD_META_DOCUMENT_MAX, &entry->when);
}

/** The parts of a rule, in their order: when or when-xpath, reason, remedy, then others' own. */
static int read_parts(const struct reader *r, const xmlNode *rule, struct vd_policy_entry *entry)
{
	int at = 0, ret = 0;

	for (const xmlNode *node = rule->children; node && !ret; node = node->next) {
		if (is_nothing(node))
			continue;
		if (node->type == XML_ELEMENT_NODE && is_foreign(node->ns)) {
			at = 4;
		} else if (at < 1 && (is_element(node, "when") || is_element(node, "when-xpath"))) {
			at = 1;
			ret = read_condition(r, node, entry);
		} else if (at < 2 && is_element(node, "reason")) {
			at = 2;
			ret = read_text(r, node, true, VD_POLICY_TEXT_MAX, &entry->reason);
		} else if (at < 3 && is_element(node, "remedy")) {
			at = 3;
			ret = read_text(r, node, true, VD_POLICY_TEXT_MAX, &entry->remedy);
		} else {
			ret = refuse_node(r, node, "rule");
		}
	}
	return ret;
}

/** Room for one more in a table; the new one is zeroed. */
static void *make_room(const struct reader *r, void *table, size_t n, size_t *room, size_t size)
{
	char *more = table;

	if (n == *room) {
		size_t want = *room ? 2 * *room : 16;

		more = vd_realloc(table, want * size);
		if (!more) {
			vd_no_memory(r->err, want * size, "rules");
			return NULL;
		}
		*room = want;
	}
	memset(more + n * size, 0, size);
	return more;
}

static int read_rule(struct reader *r, const xmlNode *node)
{
	static const char *const names[] = {"id", "actions", "effect"};
	struct vd_policy_entry *entry;
	char *values[3] = {NULL};
	void *more = make_room(r, r->doc->entries, r->doc->n_entries, &r->room_entries,
			       sizeof(*r->doc->entries));
	int ret;

	if (!more)
		return VD_ENOMEM;
	r->doc->entries = more;
	entry = &r->doc->entries[r->doc->n_entries++];
	entry->line = (int)xmlGetLineNo(node);
	ret = read_attributes(r, node, names, values, 3);
	entry->id = values[0];
	entry->actions = values[1];
	entry->effect = values[2];
	if (!ret && !is_id(entry->id))
		ret = refuse(r, node,
			     "id=\"%s\": ids begin with a letter or digit and have letters, digits "
			     "and . _ -, at most %u of them",
			     entry->id, VD_POLICY_ID_MAX);
	return ret ? ret : read_parts(r, node, entry);
}

static int read_off(struct reader *r, const xmlNode *node)
{
	static const char *const names[] = {"rule"};
	struct vd_policy_off *off;
	void *more =
	    make_room(r, r->doc->offs, r->doc->n_offs, &r->room_offs, sizeof(*r->doc->offs));
	int ret;

	if (!more)
		return VD_ENOMEM;
	r->doc->offs = more;
	off = &r->doc->offs[r->doc->n_offs++];
	off->line = (int)xmlGetLineNo(node);
	ret = read_attributes(r, node, names, &off->rule, 1);
	if (!ret && !is_id(strncmp(off->rule, "builtin:", 8) ? off->rule : off->rule + 8))
		ret = refuse(r, node, "rule=\"%s\" is no id of a rule", off->rule);
	for (const xmlNode *child = node->children; child && !ret; child = child->next) {
		if (!is_nothing(child) &&
		    !(child->type == XML_ELEMENT_NODE && is_foreign(child->ns)))
			ret = refuse_node(r, child, "off");
	}
	return ret;
}

static int read_root(struct reader *r, const xmlNode *root)
{
	int ret;

	if (!is_element(root, "policy"))
		return refuse(r, root, "it begins with <%s>, not with <policy xmlns=\"%s\">",
			      (const char *)root->name, VD_POLICY_XMLNS);
	ret = read_attributes(r, root, NULL, NULL, 0);
	for (const xmlNode *node = root->children; node && !ret; node = node->next) {
		if (is_nothing(node) || (node->type == XML_ELEMENT_NODE && is_foreign(node->ns)))
			continue;
		if (r->doc->n_entries + r->doc->n_offs >= r->max)
			ret = refuse(r, node, "one rule too many: at most %zu are allowed in all",
				     r->max);
		else if (is_element(node, "rule"))
			ret = read_rule(r, node);
		else if (is_element(node, "off"))
			ret = read_off(r, node);
		else
			ret = refuse_node(r, node, "policy");
	}
	return ret;
}

/** "line 7: text" of the parser, as a line and a text. */
static void split_line(struct vd_error *err, int *line)
{
	char text[VD_ERROR_TEXT_MAX];
	char *end;

	if (strncmp(err->text, "line ", 5) != 0)
		return;
	*line = (int)strtol(err->text + 5, &end, 10);
	if (strncmp(end, ": ", 2) != 0)
		return;
	strcpy(text, end + 2);
	strcpy(err->text, text);
}

int vd_policy_doc_read(struct vd_policy_doc *out, const char *bytes, size_t len, size_t max,
		       int *line, struct vd_error *err)
{
	__attribute__((cleanup(free_doc))) struct vd_doc *doc = NULL;
	struct vd_error own = VD_ERROR_INIT;
	struct reader r = {.doc = out, .max = max, .line = line, .err = &own};
	int ret = vd_doc_parse(&doc, bytes, len, &own);

	*out = (struct vd_policy_doc){.entries = NULL};
	*line = 0;
	if (ret)
		split_line(&own, line);
	else
		ret = read_root(&r, xmlDocGetRootElement(doc->xml));
	if (!ret)
		return 0;
	vd_policy_doc_free(out);
	*out = (struct vd_policy_doc){.entries = NULL};
	return vd_error_set(err, ret, own.sys_errno, VD_NO_OFFSET, "%s", own.text);
}

void vd_policy_doc_free(struct vd_policy_doc *doc)
{
	for (size_t i = 0; i < doc->n_entries; i++) {
		vd_free(doc->entries[i].id);
		vd_free(doc->entries[i].actions);
		vd_free(doc->entries[i].effect);
		vd_free(doc->entries[i].when);
		vd_free(doc->entries[i].reason);
		vd_free(doc->entries[i].remedy);
	}
	vd_free(doc->entries);
	for (size_t i = 0; i < doc->n_offs; i++)
		vd_free(doc->offs[i].rule);
	vd_free(doc->offs);
}
