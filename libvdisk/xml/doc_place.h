/* SPDX-License-Identifier: MIT */
/*
 * Changes of the tree in places that the schema knows. Elements are put where their schema wants
 * them, lines and indentation follow those around; what belongs to others stays.
 */
#ifndef VD_XML_DOC_PLACE_H
#define VD_XML_DOC_PLACE_H

#include "xml/doc_tree.h"

/** The next element `index` of the schema among `node` and its next siblings; NULL: none. */
xmlNode *vd_place_find(const xmlNode *root, xmlNode *node, int index);
/** Put `node` (not linked yet) under `parent`, which is element `parent_index`. */
int vd_place_insert(xmlNode *parent, xmlNode *node, int parent_index, int index,
		    struct vd_error *err);
/** A new element of the schema under `parent`. */
int vd_place_make(xmlNode **out, xmlNode *parent, int index, struct vd_error *err);
/** Take an element away, with its line, and its parents as far as they become empty. */
void vd_place_remove(xmlNode *node);
/** The value of a field in the element that has it, white space collapsed as in its normal form;
 *  NULL: it has none. In *own for vd_free. */
int vd_place_get(const xmlNode *node, const struct schema_field *field, char **own,
		 struct vd_error *err);
int vd_place_set(xmlNode *node, const struct schema_field *field, const char *value,
		 struct vd_error *err);
/** Take the field's value out of its element; what becomes empty goes. */
void vd_place_clear(xmlNode *node, const struct schema_field *field);

#endif
