/* SPDX-License-Identifier: MIT */
/* The facts that made an image fit, in memory of their own; see search.h. */
#include <stdlib.h>
#include <string.h>

#include "search.h"

static bool is_known(const struct search_evidence *evidence, const struct vd_fact *fact)
{
	for (size_t i = 0; i < evidence->n; i++) {
		const struct vd_fact *f = &evidence->facts[i];

		if (f->group == fact->group && strcmp(f->field, fact->field) == 0 &&
		    strcmp(f->value, fact->value) == 0)
			return true;
	}
	return false;
}

static bool make_room(struct search_evidence *evidence)
{
	size_t room = evidence->room ? 2 * evidence->room : 8;
	struct vd_fact *more;

	if (evidence->n < evidence->room)
		return true;
	more = realloc(evidence->facts, room * sizeof(*more));
	if (!more)
		return false;
	evidence->facts = more;
	evidence->room = room;
	return true;
}

/** Its three texts in one piece of memory, which begins with the field. */
static bool copy_fact(struct vd_fact *to, const struct vd_fact *from)
{
	size_t n_field = strlen(from->field) + 1, n_value = strlen(from->value) + 1;
	size_t n_key = strlen(from->key) + 1;
	char *texts = malloc(n_field + n_value + n_key);

	if (!texts)
		return false;
	to->field = memcpy(texts, from->field, n_field);
	to->value = memcpy(texts + n_field, from->value, n_value);
	to->key = memcpy(texts + n_field + n_value, from->key, n_key);
	to->group = from->group;
	return true;
}

void search_evidence_add(void *user, const struct vd_query_node *node, const struct vd_fact *fact)
{
	struct search_evidence *evidence = user;

	(void)node;
	if (evidence->is_full || is_known(evidence, fact))
		return;
	if (evidence->n == SEARCH_EVIDENCE_MAX || !make_room(evidence) ||
	    !copy_fact(&evidence->facts[evidence->n], fact))
		evidence->is_full = true;
	else
		evidence->n++;
}

void search_evidence_clear(struct search_evidence *evidence)
{
	for (size_t i = 0; i < evidence->n; i++)
		free((char *)evidence->facts[i].field);
	evidence->n = 0;
	evidence->is_full = false;
}

void search_evidence_free(struct search_evidence *evidence)
{
	search_evidence_clear(evidence);
	free(evidence->facts);
	*evidence = (struct search_evidence){NULL, 0, 0, false};
}
