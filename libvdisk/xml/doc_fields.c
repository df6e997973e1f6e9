/* SPDX-License-Identifier: MIT */
/* From a document to the values of its fields. */
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "xml/doc_tree.h"
#include "xml/field_value.h"

struct walk {
	const xmlNode *root;
	vd_doc_value_fn fn;
	void *user;
	uint32_t n_groups;
	struct vd_value value;
	struct vd_error *err;
};

static int emit(struct walk *walk, const xmlNode *node, const xmlNode *first, int field,
		uint32_t group)
{
	const struct vd_field *f = &vd_schema_field(field)->field;
	VD_AUTO_FREE char *own = NULL;
	const char *text = vd_node_text(first, &own);
	int ret;

	if (!text)
		return vd_no_memory(walk->err, sizeof(*node), "a value");
	ret = vd_value_read(&walk->value, f, text, false, 0, walk->err);
	if (ret == VD_ECORRUPT)
		return vd_error_prefix(walk->err, ret, "line %ld", xmlGetLineNo(node));
	return ret ? ret : walk->fn(walk->user, f, walk->value.normal, group);
}

static int walk_element(struct walk *walk, const xmlNode *node, int index, uint32_t group)
{
	const struct schema_element *e = vd_schema_element(index);
	int ret = 0;

	if (e->is_entry)
		group = ++walk->n_groups;
	if (e->field >= 0)
		ret = emit(walk, node, node->children, e->field, group);
	for (const xmlAttr *a = node->properties; a && !ret; a = a->next) {
		for (int i = 0; i < e->n_attrs && !ret; i++) {
			const struct schema_attr *attr = vd_schema_attr(e->first_attr + i);

			if (!a->ns && strcmp((const char *)a->name, attr->name) == 0)
				ret = emit(walk, node, a->children, attr->field, group);
		}
	}
	/* The tables are no deeper than the schemas. */
	for (const xmlNode *n = node->children; n && !ret; n = n->next) {
		for (int i = 0; i < e->n_children; i++) {
			if (vd_node_is(n, walk->root,
				       vd_schema_element(e->first_child + i)->name)) {
				ret = walk_element(walk, n, e->first_child + i, group);
				break;
			}
		}
	}
	return ret;
}

int vd_doc_each_value(const struct vd_doc *doc, vd_doc_value_fn fn, void *user,
		      struct vd_error *err)
{
	struct walk walk = {.fn = fn, .user = user, .err = err};
	int ret;

	if (doc->category < 0)
		return 0; /* a vendor's: no fields */
	walk.root = vd_doc_root(doc, err);
	if (!walk.root)
		return VD_ECORRUPT;
	ret = walk_element(&walk, walk.root, vd_schema_category(doc->category)->root, 0);
	vd_value_free(&walk.value);
	return ret;
}
