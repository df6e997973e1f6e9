/* SPDX-License-Identifier: MIT */
/*
 * The vocabulary as tables: categories, the elements of their documents, and which element or
 * attribute holds which field. Made from metadata-schema/ while building; see vocabulary.c.
 */
#ifndef VD_XML_SCHEMA_H
#define VD_XML_SCHEMA_H

#include <vdisk/meta.h>

struct schema_attr {
	const char *name;
	int16_t field;
	bool is_required;
};

/** An element, as its schema has it. Children and attributes are runs of their tables. */
struct schema_element {
	const char *name;
	int16_t parent; /* -1: root */
	int16_t first_child, n_children;
	int16_t first_attr, n_attrs;
	int16_t field; /* its text; -1: none */
	int16_t key;   /* the field that tells entries apart; -1: none */
	bool repeats;
	bool is_entry; /* the outermost that repeats, with several fields below: they share a group
			*/
};

struct schema_field {
	struct vd_field field;
	int16_t element;
	int16_t attr;      /* which of the element's; -1: its text */
	bool is_duration;  /* a number of seconds, "7d" */
	bool is_keyed;     /* a list that has "key=..." once for each key */
	bool is_multiline; /* its white space is kept */
	bool is_ordered;   /* its words stand in order, the least first */
};

struct schema_category {
	struct vd_category category;
	const char *text; /* the schema */
	size_t text_len;
	int16_t root;
};

#define VD_N_CATEGORIES 11

const struct schema_element *vd_schema_element(int index);
const struct schema_attr *vd_schema_attr(int index);
const struct schema_field *vd_schema_field(int index);
/** Of a field of ours; NULL: it isn't. */
const struct schema_field *vd_schema_field_of(const struct vd_field *field);
const struct schema_category *vd_schema_category(int index);
int vd_schema_category_of(const struct vd_category *category);
/** By namespace; -1: none of ours. */
int vd_schema_category_by_xmlns(const char *xmlns);

#endif
