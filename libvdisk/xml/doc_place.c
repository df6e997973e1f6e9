/* SPDX-License-Identifier: MIT */
/* Surgery on the tree: see doc_place.h. */
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "xml/doc_place.h"
#include "xml/field_value.h"

static int no_memory(struct vd_error *err)
{
	return vd_no_memory(err, sizeof(xmlNode), "changing a document");
}

static bool is_white(const xmlNode *node)
{
	return node && node->type == XML_TEXT_NODE && xmlIsBlankNode(node);
}

xmlNode *vd_place_find(const xmlNode *root, xmlNode *node, int index)
{
	const char *name = vd_schema_element(index)->name;

	while (node && !vd_node_is(node, root, name))
		node = node->next;
	return node;
}

/* ---- white space ---- */

/** Add "\n" and two blanks a level between two nodes, `next` or behind `prev`. */
static bool add_white(xmlNode *parent, xmlNode *prev, xmlNode *next, const xmlNode *like, int level)
{
	char text[2 + 2 * 64 + 1] = "\n";
	xmlNode *white;

	if (level > 64)
		level = 64;
	memset(text + 1, ' ', (size_t)(2 * level));
	text[1 + 2 * level] = '\0';
	white = like ? xmlNewDocText(parent->doc, like->content)
		     : xmlNewDocText(parent->doc, (const xmlChar *)text);
	if (!white)
		return false;
	if (next)
		return xmlAddPrevSibling(next, white) != NULL;
	return (prev ? xmlAddNextSibling(prev, white) : xmlAddChild(parent, white)) != NULL;
}

static int level_of(const xmlNode *node)
{
	int level = -1;

	for (; node && node->type == XML_ELEMENT_NODE; node = node->parent)
		level++;
	return level;
}

static bool insert_first(xmlNode *parent, xmlNode *node)
{
	int level = level_of(parent);

	if (!parent->children)
		return xmlAddChild(parent, node) &&
		       add_white(parent, NULL, node, NULL, level + 1) &&
		       add_white(parent, node, NULL, NULL, level);
	/* Comments and blanks only. */
	if (is_white(parent->last))
		return xmlAddPrevSibling(parent->last, node) &&
		       (is_white(node->prev) || add_white(parent, NULL, node, NULL, level + 1));
	return xmlAddChild(parent, node) != NULL;
}

static bool insert_behind(xmlNode *parent, xmlNode *anchor, xmlNode *node)
{
	const xmlNode *white = is_white(anchor->prev) ? anchor->prev : NULL;

	return xmlAddNextSibling(anchor, node) &&
	       (!white || add_white(parent, NULL, node, white, 0));
}

static bool insert_before(xmlNode *parent, xmlNode *next, xmlNode *node)
{
	const xmlNode *white = is_white(next->prev) ? next->prev : NULL;

	return xmlAddPrevSibling(next, node) && (!white || add_white(parent, node, NULL, white, 0));
}

/* ---- elements ---- */

int vd_place_insert(xmlNode *parent, xmlNode *node, int parent_index, int index,
		    struct vd_error *err)
{
	const struct schema_element *e = vd_schema_element(parent_index);
	xmlNode *anchor = parent->last, *first = parent->children;
	bool is_done;

	/* Behind the last one that comes before it or is its like: mostly the last of all. */
	for (; anchor; anchor = anchor->prev) {
		int i = index;

		while (i >= e->first_child && !vd_node_is(anchor, node, vd_schema_element(i)->name))
			i--;
		if (i >= e->first_child)
			break;
	}
	while (first && first->type != XML_ELEMENT_NODE)
		first = first->next;
	if (anchor)
		is_done = insert_behind(parent, anchor, node);
	else
		is_done = first ? insert_before(parent, first, node) : insert_first(parent, node);
	if (is_done)
		return 0;
	if (!node->parent)
		xmlFreeNode(node);
	return no_memory(err);
}

int vd_place_make(xmlNode **out, xmlNode *parent, int index, struct vd_error *err)
{
	const struct schema_element *e = vd_schema_element(index);
	xmlNode *node = xmlNewDocNode(parent->doc, parent->ns, (const xmlChar *)e->name, NULL);

	if (!node || !node->name) {
		xmlFreeNode(node);
		return no_memory(err);
	}
	*out = node;
	return vd_place_insert(parent, node, e->parent, index, err);
}

static void free_node(xmlNode *node)
{
	xmlUnlinkNode(node);
	xmlFreeNode(node);
}

/** Only white space between its tags? */
static bool is_hollow(const xmlNode *node)
{
	for (const xmlNode *n = node->children; n; n = n->next) {
		if (!is_white(n))
			return false;
	}
	return true;
}

/** The root stays. */
static void prune(xmlNode *node)
{
	while (node->type == XML_ELEMENT_NODE && is_hollow(node)) {
		xmlNode *parent = node->parent;

		while (node->children)
			free_node(node->children);
		if (node->properties || node->nsDef || parent->type != XML_ELEMENT_NODE)
			return;
		if (is_white(node->prev))
			free_node(node->prev);
		free_node(node);
		node = parent;
	}
}

void vd_place_remove(xmlNode *node)
{
	xmlNode *parent = node->parent;

	if (is_white(node->prev))
		free_node(node->prev);
	free_node(node);
	prune(parent);
}

/* ---- values ---- */

static const char *attr_of(const struct schema_field *field)
{
	return vd_schema_attr(vd_schema_element(field->element)->first_attr + field->attr)->name;
}

int vd_place_get(const xmlNode *node, const struct schema_field *field, char **own,
		 struct vd_error *err)
{
	const xmlNode *first = node->children;
	VD_AUTO_FREE char *joined = NULL;
	struct vd_value value = {0};
	const xmlAttr *attr;
	const char *text;
	int ret;

	*own = NULL;
	if (field->attr >= 0) {
		attr = xmlHasNsProp(node, (const xmlChar *)attr_of(field), NULL);
		if (!attr)
			return 0;
		first = attr->children;
	}
	text = vd_node_text(first, &joined);
	if (!text)
		return no_memory(err);
	ret = vd_value_read(&value, &field->field, text, false, 0, NULL);
	if (ret != VD_ENOMEM) {
		/* What isn't in order is still there, and may be replaced. */
		*own = vd_strdup(ret ? text : value.normal);
		ret = *own ? 0 : VD_ENOMEM;
	}
	vd_value_free(&value);
	return ret ? no_memory(err) : 0;
}

int vd_place_set(xmlNode *node, const struct schema_field *field, const char *value,
		 struct vd_error *err)
{
	xmlNode *text, *next;

	if (field->attr >= 0)
		return xmlSetNsProp(node, NULL, (const xmlChar *)attr_of(field),
				    (const xmlChar *)value)
			   ? 0
			   : no_memory(err);
	text = xmlNewDocText(node->doc, (const xmlChar *)value);
	if (!text || (*value && !text->content)) {
		xmlFreeNode(text);
		return no_memory(err);
	}
	for (xmlNode *n = node->children; n; n = next) {
		next = n->next;
		if (n->type == XML_TEXT_NODE || n->type == XML_CDATA_SECTION_NODE)
			free_node(n);
	}
	return xmlAddChild(node, text) ? 0 : no_memory(err);
}

void vd_place_clear(xmlNode *node, const struct schema_field *field)
{
	const struct schema_element *e = vd_schema_element(field->element);

	if (field->attr < 0 || vd_schema_attr(e->first_attr + field->attr)->is_required) {
		vd_place_remove(node);
		return;
	}
	xmlUnsetNsProp(node, NULL, (const xmlChar *)attr_of(field));
	prune(node);
}
