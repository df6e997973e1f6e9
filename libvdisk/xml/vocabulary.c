/* SPDX-License-Identifier: MIT */
/*
 * The categories and fields that everybody speaks of. They stand in the schemas and nowhere else:
 * the tables are made from metadata-schema/ by the build (metadata-schema/schema.mk).
 */
#include <string.h>

#include "xml/schema.h"

#include <metadata-schema/tables.inc>

#define N_OF(table) (sizeof(table) / sizeof(*(table)))

_Static_assert(N_OF(categories) == VD_N_CATEGORIES, "a category came or went");

const struct schema_element *vd_schema_element(int index)
{
	return &elements[index];
}

const struct schema_attr *vd_schema_attr(int index)
{
	return &attrs[index];
}

const struct schema_field *vd_schema_field(int index)
{
	return &fields[index];
}

const struct schema_category *vd_schema_category(int index)
{
	return &categories[index];
}

const struct schema_field *vd_schema_field_of(const struct vd_field *field)
{
	uintptr_t at = (uintptr_t)field - (uintptr_t)fields;

	return at < sizeof(fields) && at % sizeof(*fields) == 0 ? &fields[at / sizeof(*fields)]
								: NULL;
}

int vd_schema_category_of(const struct vd_category *category)
{
	for (int i = 0; i < VD_N_CATEGORIES; i++) {
		if (&categories[i].category == category)
			return i;
	}
	return -1;
}

int vd_schema_category_by_xmlns(const char *xmlns)
{
	for (int i = 0; i < VD_N_CATEGORIES; i++) {
		if (strcmp(categories[i].category.xmlns, xmlns) == 0)
			return i;
	}
	return -1;
}

const struct vd_category *vd_category_at(size_t i)
{
	return i < N_OF(categories) ? &categories[i].category : NULL;
}

const struct vd_category *vd_category_find(const char *name)
{
	for (size_t i = 0; name && i < N_OF(categories); i++) {
		const struct vd_category *category = &categories[i].category;

		if (strcmp(category->name, name) == 0 || strcmp(category->xmlns, name) == 0)
			return category;
	}
	return NULL;
}

const struct vd_field *vd_field_at(size_t i)
{
	return i < N_OF(fields) ? &fields[i].field : NULL;
}

const struct vd_field *vd_field_find(const char *name)
{
	size_t low = 0, high = N_OF(fields_by_name);

	while (name && low < high) {
		size_t middle = (low + high) / 2;
		const struct vd_field *field = &fields[fields_by_name[middle]].field;
		int order = strcmp(name, field->name);

		if (!order)
			return field;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const char *vd_field_type_name(enum vd_field_type type)
{
	static const char *const names[] = {
	    [VD_FIELD_TEXT] = "text",       [VD_FIELD_WORD] = "word", [VD_FIELD_NUMBER] = "number",
	    [VD_FIELD_SIZE] = "size",       [VD_FIELD_TIME] = "time", [VD_FIELD_BOOL] = "bool",
	    [VD_FIELD_VERSION] = "version", [VD_FIELD_PURL] = "purl", [VD_FIELD_UUID] = "uuid",
	};

	return (size_t)type < N_OF(names) && names[type] ? names[type] : "unknown";
}
