// SPDX-License-Identifier: MIT
/*
 * Merging what a program wrote into a document (doc_merge.h). Marks are taken off the old tree
 * first and kept at its nodes (_private); nodes that the fresh document has, too, get a new mark,
 * and what is left with an old one at the end is swept away.
 */
#include <string.h>

#include <libxml/hash.h>
#include <libxml/xmlstring.h>

#include "base/alloc.h"
#include "xml/doc_merge.h"
#include "xml/doc_tree.h"

#define WROTE "wrote"

struct merge {
	xmlNode *root; /* of the document that grows */
	xmlNs *marks;  /* namespace of the marks there */
	bool overrules, is_out_of_memory;
};

static const xmlChar *utf8(const char *text)
{
	return (const xmlChar *)text;
}

/* ---- marks ---- */

static bool has_word(const xmlChar *words, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = (const char *)words; p && *p;) {
		size_t n = strcspn(p, " ");

		if (n == len && memcmp(p, word, n) == 0)
			return true;
		p += n + (p[n] == ' ');
	}
	return false;
}

static void add_word(struct merge *merge, xmlChar **words, const char *word)
{
	if (*words)
		*words = xmlStrcat(*words, utf8(" "));
	*words = *words ? xmlStrcat(*words, utf8(word)) : xmlStrdup(utf8(word));
	merge->is_out_of_memory |= !*words;
}

/* The next node in document order, below `top`. */
static xmlNode *next_node(xmlNode *node, const xmlNode *top)
{
	if (node->type == XML_ELEMENT_NODE && node->children)
		return node->children;
	while (node != top && !node->next)
		node = node->parent;
	return node == top ? NULL : node->next;
}

static void lift_marks(struct merge *merge)
{
	for (xmlNode *n = merge->root; n; n = next_node(n, merge->root)) {
		xmlAttr *mark;

		n->_private = NULL;
		if (n->type != XML_ELEMENT_NODE)
			continue;
		mark = xmlHasNsProp(n, utf8(WROTE), utf8(VD_MERGE_XMLNS));
		if (mark && mark->type == XML_ATTRIBUTE_NODE) {
			n->_private = xmlNodeListGetString(n->doc, mark->children, 1);
			xmlRemoveProp(mark);
		}
	}
}

static void set_mark(struct merge *merge, xmlNode *node, xmlChar *words)
{
	if (words && !xmlNewNsProp(node, merge->marks, utf8(WROTE), words))
		merge->is_out_of_memory = true;
	xmlFree(words);
}

/* ---- where things stand ---- */

static int depth_of(const xmlNode *node)
{
	int depth = 0;

	for (; node->parent && node->parent->type == XML_ELEMENT_NODE; node = node->parent)
		depth++;
	return depth;
}

static xmlNode *new_indent(const xmlNode *in, int depth)
{
	static const char blanks[] = "\n                                ";

	return xmlNewDocTextLen(in->doc, utf8(blanks), 1 + (depth < 16 ? 2 * depth : 32));
}

static bool is_blank(const xmlNode *node)
{
	return node && node->type == XML_TEXT_NODE && xmlIsBlankNode(node);
}

/* Put `node` before `before`, or last, on a line of its own. */
static void insert_node(xmlNode *parent, xmlNode *node, xmlNode *before)
{
	int depth = depth_of(parent) + 1;

	if (before) {
		xmlAddPrevSibling(before, node);
		xmlAddNextSibling(node, new_indent(parent, depth));
		return;
	}
	if (is_blank(parent->last)) {
		xmlNode *blank = parent->last;

		xmlUnlinkNode(blank);
		xmlFreeNode(blank);
	}
	xmlAddChild(parent, new_indent(parent, depth));
	xmlAddChild(parent, node);
	xmlAddChild(parent, new_indent(parent, depth - 1));
}

static void remove_node(xmlNode *node)
{
	xmlNode *blank = node->prev;

	if (is_blank(blank)) {
		xmlUnlinkNode(blank);
		xmlFreeNode(blank);
	}
	xmlUnlinkNode(node);
	xmlFreeNode(node);
}

/* Which of the children that the schema gives to `element` the node is; -1: none of ours. */
static int schema_child(const struct merge *merge, const struct schema_element *element,
			const xmlNode *node)
{
	for (int i = 0; i < element->n_children; i++)
		if (vd_node_is(node, merge->root,
			       vd_schema_element(element->first_child + i)->name))
			return element->first_child + i;
	return -1;
}

/* The first child of `parent` that has to stand behind a new one of schema element `child`. */
static xmlNode *place_for(const struct merge *merge, const struct schema_element *element,
			  const xmlNode *parent, int child)
{
	for (xmlNode *n = parent->children; n; n = n->next) {
		int other = schema_child(merge, element, n);

		/* A vendor's elements stand behind ours. */
		if (n->type == XML_ELEMENT_NODE && (other < 0 || other > child))
			return n;
	}
	return NULL;
}

/* ---- entries of lists ---- */

/* What tells an entry apart; xmlFree. NULL: nothing. */
static xmlChar *key_of(xmlNode *node, const struct schema_element *element)
{
	static const char *const numbers[] = {"partition", "number"};

	if (element->field >= 0) {
		xmlChar *text = xmlNodeGetContent(node), *token;

		token = text ? xmlStrdup(text + strspn((char *)text, " \t\r\n")) : NULL;
		if (token)
			for (size_t n = strlen((char *)token);
			     n && strchr(" \t\r\n", token[n - 1]);)
				token[--n] = '\0';
		xmlFree(text);
		return token;
	}
	for (size_t i = 0; i < 2; i++) {
		xmlChar *key = xmlGetNoNsProp(node, utf8(numbers[i]));

		if (key)
			return key;
	}
	return NULL;
}

static xmlHashTable *index_entries(const struct merge *merge, const xmlNode *parent,
				   const struct schema_element *element)
{
	xmlHashTable *table = xmlHashCreate(256);

	for (xmlNode *n = table ? parent->children : NULL; n; n = n->next) {
		xmlChar *key =
		    vd_node_is(n, merge->root, element->name) ? key_of(n, element) : NULL;

		if (key)
			xmlHashAddEntry(table, key, n);
		xmlFree(key);
	}
	return table;
}

/* ---- merging ---- */

static void merge_attributes(struct merge *merge, xmlNode *to, const xmlNode *from,
			     const xmlChar *old, xmlChar **words)
{
	for (const xmlAttr *attr = from->properties; attr; attr = attr->next) {
		const char *name = (const char *)attr->name;
		xmlAttr *there = xmlHasNsProp(to, attr->name, NULL);
		xmlChar *value;

		if (attr->ns || (there && !merge->overrules && !has_word(old, name)))
			continue;
		value = xmlNodeListGetString(from->doc, attr->children, 1);
		if (!value || !xmlSetNsProp(to, NULL, attr->name, value))
			merge->is_out_of_memory = true;
		xmlFree(value);
		add_word(merge, words, name);
	}
	/* What was written once and is no longer known. */
	for (xmlAttr *attr = to->properties, *next; attr; attr = next) {
		next = attr->next;
		if (!attr->ns && has_word(old, (const char *)attr->name) &&
		    !has_word(*words, (const char *)attr->name))
			xmlRemoveProp(attr);
	}
}

static xmlNode *make_child(struct merge *merge, const struct schema_element *element,
			   xmlNode *parent, int child, const xmlNode *from)
{
	xmlNode *node =
	    xmlNewDocNode(parent->doc, merge->root->ns, utf8(vd_schema_element(child)->name), NULL);

	if (!node || !node->name) {
		xmlFreeNode(node);
		merge->is_out_of_memory = true;
		return NULL;
	}
	if (vd_schema_element(child)->field >= 0) {
		xmlChar *text = xmlNodeGetContent(from);
		xmlNode *content = text ? xmlNewDocText(parent->doc, text) : NULL;

		xmlFree(text);
		if (content)
			xmlAddChild(node, content);
		else
			merge->is_out_of_memory = true;
	}
	insert_node(parent, node, place_for(merge, element, parent, child));
	return node;
}

static xmlNode *find_single(const struct merge *merge, const xmlNode *parent, const char *name)
{
	for (xmlNode *n = parent->children; n; n = n->next)
		if (vd_node_is(n, merge->root, name))
			return n;
	return NULL;
}

static void merge_node(struct merge *merge, int element, xmlNode *to, const xmlNode *from,
		       bool is_new);

static void merge_children(struct merge *merge, int index, xmlNode *to, const xmlNode *from)
{
	const struct schema_element *element = vd_schema_element(index);
	xmlHashTable *table = NULL;
	int table_of = -1;

	for (xmlNode *n = from->children; n && !merge->is_out_of_memory; n = n->next) {
		int child = schema_child(merge, element, n);
		const struct schema_element *kind = child < 0 ? NULL : vd_schema_element(child);
		xmlChar *key = NULL;
		xmlNode *there;

		if (!kind)
			continue;
		if (kind->repeats && table_of != child) {
			xmlHashFree(table, NULL);
			table = index_entries(merge, to, kind);
			merge->is_out_of_memory |= !table;
			table_of = child;
		}
		if (kind->repeats)
			key = key_of(n, kind);
		if (kind->repeats)
			there = table && key ? xmlHashLookup(table, key) : NULL;
		else
			there = find_single(merge, to, kind->name);
		if (there) {
			merge_node(merge, child, there, n, false);
		} else {
			there = make_child(merge, element, to, child, n);
			if (there)
				merge_node(merge, child, there, n, true);
			if (there && key && table)
				xmlHashAddEntry(table, key, there);
		}
		xmlFree(key);
	}
	xmlHashFree(table, NULL);
}

static void merge_node(struct merge *merge, int element, xmlNode *to, const xmlNode *from,
		       bool is_new)
{
	xmlChar *old = to->_private, *words = NULL;

	to->_private = NULL;
	if (is_new || has_word(old, "."))
		add_word(merge, &words, ".");
	merge_attributes(merge, to, from, old, &words);
	merge_children(merge, element, to, from);
	set_mark(merge, to, words);
	xmlFree(old);
}

/* ---- what is left of the earlier time ---- */

static bool has_elements(const xmlNode *node)
{
	for (const xmlNode *n = node->children; n; n = n->next)
		if (n->type == XML_ELEMENT_NODE)
			return true;
	return false;
}

static bool has_key(const xmlNode *node)
{
	return xmlHasNsProp(node, utf8("number"), NULL) || xmlHasNsProp(node, utf8("type"), NULL);
}

/* An element goes if it was written, and people put nothing into it that can stand by itself. */
static void sweep_node(xmlNode *node)
{
	xmlChar *old = node->_private;
	bool was_written = has_word(old, "."), is_text;

	node->_private = NULL;
	for (xmlAttr *attr = node->properties, *next; attr; attr = next) {
		next = attr->next;
		if (!attr->ns && has_word(old, (const char *)attr->name))
			xmlRemoveProp(attr);
	}
	xmlFree(old);
	is_text = node->children && !has_elements(node) && !is_blank(node->children);
	if (was_written && !has_elements(node) &&
	    (is_text || !node->properties ||
	     (!has_key(node) && (xmlStrEqual(node->name, utf8("partition")) ||
				 xmlStrEqual(node->name, utf8("filesystem"))))))
		remove_node(node);
}

/* Children before parents, so that a list that became empty goes with its entries. */
static void sweep(xmlNode *node)
{
	for (xmlNode *child = node->children, *next; child; child = next) {
		next = child->next;
		/* The blank before a removed node is freed with it; what follows stays. */
		if (child->type == XML_ELEMENT_NODE)
			sweep(child);
	}
	if (node->_private)
		sweep_node(node);
}

int vd_doc_merge(struct vd_doc *doc, const struct vd_doc *fresh, bool overrules,
		 struct vd_error *err)
{
	VD_AUTO_QUIET struct vd_quiet quiet;
	struct merge merge = {.overrules = overrules};
	const xmlNode *from;

	vd_quiet_begin(&quiet);
	merge.root = vd_doc_root(doc, err);
	from = vd_doc_root(fresh, err);
	if (!merge.root || !from)
		return VD_ECORRUPT;
	if (doc->category != fresh->category)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "documents of two categories can't be merged");
	merge.marks = xmlSearchNsByHref(merge.root->doc, merge.root, utf8(VD_MERGE_XMLNS));
	if (!merge.marks || !merge.marks->prefix)
		merge.marks = xmlNewNs(merge.root, utf8(VD_MERGE_XMLNS), utf8("scan"));
	if (!merge.marks)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "the document uses the prefix \"scan\" for something else");
	lift_marks(&merge);
	merge_children(&merge, vd_schema_category(doc->category)->root, merge.root, from);
	sweep(merge.root);
	return merge.is_out_of_memory || quiet.is_out ? vd_no_memory(err, 0, "merging a document")
						      : 0;
}
