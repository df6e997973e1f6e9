/* SPDX-License-Identifier: MIT */
/* See facts.h. */
#include <stdlib.h>
#include <string.h>

#include "facts.h"
#include "output.h"

const struct vd_fact *tool_fact_next(const struct tool_facts *facts, const char *field, size_t *at)
{
	while (*at < facts->n) {
		const struct vd_fact *fact = &facts->all[(*at)++];

		if (strcmp(fact->field, field) == 0)
			return fact;
	}
	return NULL;
}

const char *tool_fact_value(const struct tool_facts *facts, const char *field)
{
	size_t at = 0;
	const struct vd_fact *fact = tool_fact_next(facts, field, &at);

	return fact ? fact->value : NULL;
}

size_t tool_fact_count(const struct tool_facts *facts, const char *field)
{
	size_t at = 0, n = 0;

	while (tool_fact_next(facts, field, &at))
		n++;
	return n;
}

const char *tool_fact_beside(const struct tool_facts *facts, const struct vd_fact *of,
			     const char *field)
{
	const struct vd_fact *fact;
	size_t at = 0;

	while (of->group && (fact = tool_fact_next(facts, field, &at))) {
		if (fact->group == of->group)
			return fact->value;
	}
	return NULL;
}

/* ---- tags ---- */

/** Length of the key of "key=value"; 0: a word. */
static size_t key_length(const char *tag)
{
	const char *equals = strchr(tag, '=');

	return equals ? (size_t)(equals - tag) : 0;
}

static void add_pair(json_t *pairs, const char *tag)
{
	size_t n = key_length(tag);
	char *key = strndup(tag, n);
	json_t *old, *list;

	if (!key)
		return;
	old = json_incref(json_object_get(pairs, key));
	tool_json_set_text(pairs, key, tag + n + 1);
	/* One key has one value, unless somebody else wrote the document. */
	if (old) {
		list = json_is_array(old) ? json_incref(old) : json_array();
		if (!json_is_array(old))
			json_array_append(list, old);
		json_array_append(list, json_object_get(pairs, key));
		json_object_set_new(pairs, key, list);
		json_decref(old);
	}
	free(key);
}

json_t *tool_tags_to_json(const struct tool_facts *facts)
{
	json_t *tags = json_object(), *words = json_array(), *pairs = json_object();
	const struct vd_fact *fact;
	size_t at = 0;

	while ((fact = tool_fact_next(facts, "tag", &at))) {
		if (key_length(fact->value)) {
			add_pair(pairs, fact->value);
		} else {
			json_t *holder = tool_json_object(NULL);

			tool_json_set_text(holder, "word", fact->value);
			json_array_append(words, json_object_get(holder, "word"));
			json_decref(holder);
		}
	}
	json_object_set_new(tags, "words", words);
	json_object_set_new(tags, "pairs", pairs);
	return tags;
}

/** Words first, then pairs; a tag with a blank in it in quotes. */
size_t tool_tags_print(FILE *f, const struct tool_facts *facts)
{
	size_t n = 0;

	for (int is_pair = 0; is_pair < 2; is_pair++) {
		const struct vd_fact *fact;
		size_t at = 0;

		while ((fact = tool_fact_next(facts, "tag", &at))) {
			const char *quote = strchr(fact->value, ' ') ? "'" : "";

			if ((key_length(fact->value) != 0) != is_pair)
				continue;
			fprintf(f, "%s%s", n++ ? " " : "", quote);
			tool_print_safe(f, fact->value);
			fputs(quote, f);
		}
	}
	return n;
}
