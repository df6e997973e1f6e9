/* SPDX-License-Identifier: MIT */
/* Looking things up in an image's facts, and its tags. */
#ifndef VDTOOL_FACTS_H
#define VDTOOL_FACTS_H

#include <jansson.h>
#include <stdio.h>

#include <vdisk/meta.h>

struct tool_facts {
	const struct vd_fact *all;
	size_t n;
};

/** The next fact of that field from *at on, or NULL. */
const struct vd_fact *tool_fact_next(const struct tool_facts *facts, const char *field, size_t *at);
/** The first value of the field, or NULL. */
const char *tool_fact_value(const struct tool_facts *facts, const char *field);
size_t tool_fact_count(const struct tool_facts *facts, const char *field);
/** The value of `field` in the entry of a list that `of` belongs to, or NULL. */
const char *tool_fact_beside(const struct tool_facts *facts, const struct vd_fact *of,
			     const char *field);

/** {words: [...], pairs: {...}} of the tags. */
json_t *tool_tags_to_json(const struct tool_facts *facts);
/** The tags in one line, words first, without its end; how many there were. */
size_t tool_tags_print(FILE *f, const struct tool_facts *facts);

#endif
