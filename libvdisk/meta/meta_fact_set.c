/* SPDX-License-Identifier: MIT */
/* Facts that no document says: gathered one by one, sorted when they are asked. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "meta/meta_facts.h"
#include "xml/doc.h"

struct own_fact {
	char *field, *value, *key;
	uint32_t group;
};

struct vd_fact_set {
	struct own_fact *own;
	struct vd_fact *facts; /* sorted; made when they are asked */
	size_t n, room, n_facts;
	bool is_sorted;
};

int vd_fact_set_create(struct vd_fact_set **out, struct vd_error *err)
{
	struct vd_fact_set *set = vd_calloc(1, sizeof(*set));

	if (!set)
		return vd_no_memory(err, sizeof(*set), "facts");
	*out = set;
	return 0;
}

void vd_fact_set_free(struct vd_fact_set *set)
{
	if (!set)
		return;
	for (size_t i = 0; i < set->n; i++) {
		vd_free(set->own[i].field);
		vd_free(set->own[i].value);
		vd_free(set->own[i].key);
	}
	vd_free(set->own);
	vd_free(set->facts);
	vd_free(set);
}

/** Room for one more, in both tables: so that sorting can't fail. */
static int make_room(struct vd_fact_set *set, struct vd_error *err)
{
	size_t room = set->room ? 2 * set->room : 32;
	struct own_fact *own;
	struct vd_fact *facts;

	if (set->n >= VD_META_FACTS_MAX)
		return vd_error_set(err, VD_ENOSPC, 0, VD_NO_OFFSET, "more than %u facts",
				    VD_META_FACTS_MAX);
	if (set->n < set->room)
		return 0;
	own = vd_realloc(set->own, room * sizeof(*own));
	if (!own)
		return vd_no_memory(err, room * sizeof(*own), "facts");
	set->own = own;
	facts = vd_realloc(set->facts, room * sizeof(*facts));
	if (!facts)
		return vd_no_memory(err, room * sizeof(*facts), "facts");
	set->facts = facts;
	set->room = room;
	return 0;
}

int vd_fact_set_add(struct vd_fact_set *set, const char *field, const char *value, uint32_t group,
		    struct vd_error *err)
{
	VD_AUTO_FREE char *own_field = NULL, *own_value = NULL, *key = NULL;
	int ret = make_room(set, err);

	if (!ret)
		ret = vd_field_key(value, &key, err);
	if (ret)
		return ret;
	own_field = vd_strdup(field);
	own_value = vd_strdup(value);
	if (!own_field || !own_value)
		return vd_no_memory(err, strlen(field) + strlen(value), "a fact");
	set->own[set->n++] =
	    (struct own_fact){VD_TAKE(own_field), VD_TAKE(own_value), VD_TAKE(key), group};
	set->is_sorted = false;
	return 0;
}

static int compare(const void *a, const void *b)
{
	return meta_fact_compare(a, b);
}

const struct vd_fact *vd_fact_set_facts(struct vd_fact_set *set, size_t *n)
{
	size_t kept = 0;

	if (!set->is_sorted) {
		for (size_t i = 0; i < set->n; i++)
			set->facts[i] = (struct vd_fact){set->own[i].field, set->own[i].value,
							 set->own[i].key, set->own[i].group};
		if (set->n)
			qsort(set->facts, set->n, sizeof(*set->facts), compare);
		for (size_t i = 0; i < set->n; i++)
			if (!kept || compare(&set->facts[kept - 1], &set->facts[i]))
				set->facts[kept++] = set->facts[i];
		set->n_facts = kept;
		set->is_sorted = true;
	}
	*n = set->n_facts;
	return set->n_facts ? set->facts : NULL;
}
