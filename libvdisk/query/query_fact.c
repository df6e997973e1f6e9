/* SPDX-License-Identifier: MIT */
/* One fact against one node: for those who pre-select by values before they know images. */
#include <string.h>

#include "query/query_tree.h"

static bool has_word(const struct query_node *node, const struct vd_fact *fact)
{
	if (!query_field_has_words(fact->field))
		return false;
	return node->glob ? query_glob_has_word(node->glob, fact->key)
			  : query_has_word(fact->key, node->words);
}

int vd_query_test_fact(const struct vd_query_node *node, const struct vd_fact *fact, int64_t now,
		       struct vd_error *err)
{
	const struct query_node *own = (const struct query_node *)(const void *)node;
	int ret = 0;

	if (node->kind == VD_QUERY_WORD)
		return has_word(own, fact);
	for (size_t i = 0; node->kind == VD_QUERY_TERM && !ret && i < own->n_operands; i++) {
		if (strcmp(own->operands[i].field->name, fact->field) == 0)
			ret = query_test(own, &own->operands[i], fact, now, err);
	}
	return ret;
}
