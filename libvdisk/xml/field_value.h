/* SPDX-License-Identifier: MIT */
/* Values of fields in their normal forms. */
#ifndef VD_XML_FIELD_VALUE_H
#define VD_XML_FIELD_VALUE_H

#include "xml/schema.h"

/** A value and the memory that it is worked on in, for one after the other. Starts zeroed. */
struct vd_value {
	const char *normal; /* the result; lies in one of the next two */
	char *text;
	char small[64];
	size_t size;
};

/**
 * Bring `raw` into the normal form of the field's type, or tell what is wrong. is_typed: a person
 * may have typed it ("4G", "+90d" from `now` on), and faults are VD_EINVAL; else it stands in a
 * document, in the form that the schema allows, and faults are VD_ECORRUPT.
 */
int vd_value_read(struct vd_value *value, const struct vd_field *field, const char *raw,
		  bool is_typed, int64_t now, struct vd_error *err);
void vd_value_free(struct vd_value *value);

/** Times and lengths of time as text. NULL if all is well, else what is wrong. */
const char *vd_time_parse(const char *text, bool is_typed, int64_t now, int64_t *time);
#define VD_TIME_TEXT 32
void vd_time_format(int64_t time, char text[VD_TIME_TEXT]);
/** "7d", "12h", "30m", "90s", "2w"; a plain number is seconds. */
const char *vd_duration_parse(const char *text, bool is_typed, uint64_t *seconds);

#endif
