/* SPDX-License-Identifier: MIT */
/* Is a term true of one fact, or one file? Facts are in normal form; what isn't (a damaged or
 * forged record) equals nothing and has no order. */
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "query/query_tree.h"
#include "xml/doc.h"
#include "xml/field_value.h"

static bool holds(enum vd_query_op op, int order)
{
	switch (op) {
	case VD_QUERY_LT:
		return order < 0;
	case VD_QUERY_LE:
		return order <= 0;
	case VD_QUERY_GT:
		return order > 0;
	case VD_QUERY_GE:
		return order >= 0;
	case VD_QUERY_HAS:
	case VD_QUERY_EQ:
	case VD_QUERY_NE:
		break;
	}
	return order == 0;
}

static bool read_number(const char *text, uint64_t *number)
{
	*number = 0;
	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || __builtin_mul_overflow(*number, 10, number) ||
		    __builtin_add_overflow(*number, (uint64_t)(*text - '0'), number))
			return false;
	}
	return true;
}

/** The order of the fact's value against the operand's; false: the value isn't of the type. */
static bool compare(const struct operand *operand, const char *value, int64_t now, int *order)
{
	uint64_t number;
	int64_t time, other = operand->time;

	switch (operand->field->type) {
	case VD_FIELD_NUMBER:
	case VD_FIELD_SIZE:
		if (!read_number(value, &number))
			return false;
		*order = (number > operand->number) - (number < operand->number);
		return true;
	case VD_FIELD_TIME:
		if (vd_time_parse(value, false, 0, &time))
			return false;
		if (operand->is_relative && __builtin_add_overflow(now, operand->time, &other))
			other = now < 0 ? INT64_MIN : INT64_MAX;
		*order = (time > other) - (time < other);
		return true;
	case VD_FIELD_VERSION:
		*order = vd_version_compare(VD_VERSION_PARTS, value, operand->normal);
		return true;
	default:
		*order = strcmp(value, operand->normal) != 0;
		return true;
	}
}

/** Of words whose order is known: by their places among the choices. */
static bool compare_words(const struct operand *operand, const char *value, int *order)
{
	size_t n = strlen(value);
	uint64_t rank = 0;

	for (const char *c = operand->field->choices; *c; rank++) {
		size_t len = strcspn(c, "|");

		if (len == n && memcmp(c, value, n) == 0) {
			*order = (rank > operand->number) - (rank < operand->number);
			return true;
		}
		c += len + (c[len] == '|');
	}
	return false;
}

static bool has_text(const struct operand *operand, const struct vd_fact *fact)
{
	size_t n = strlen(operand->key);

	if (!operand->is_tag)
		return query_has_run(fact->key, operand->words);
	return strncmp(fact->key, operand->key, n) == 0 && (!fact->key[n] || fact->key[n] == '=');
}

/** "tag:KEY<VALUE": the key fits, and the value compares so. */
static bool test_tag_pair(const struct query_node *node, const struct operand *operand,
			  const struct vd_fact *fact)
{
	const char *key_end = strchr(fact->key, '='), *value = strchr(fact->value, '=');

	if (!key_end || !value)
		return false;
	if (node->glob) {
		if (!query_glob_match(node->glob, fact->key, (size_t)(key_end - fact->key)))
			return false;
	} else if (strlen(operand->key) != (size_t)(key_end - fact->key) ||
		   memcmp(operand->key, fact->key, (size_t)(key_end - fact->key)) != 0) {
		return false;
	}
	return holds(node->pub.pair_op,
		     vd_version_compare(VD_VERSION_PARTS, value + 1, node->pub.pair_value));
}

static int test_purl(const struct query_node *node, const struct operand *operand,
		     const struct vd_fact *fact, struct vd_error *err)
{
	int ret, order;

	if (node->pub.is_presence && !node->pub.pair_op)
		return 1;
	ret = query_purl_fits(operand, node->glob, fact, err);
	if (ret <= 0 || !node->pub.pair_op)
		return ret;
	ret = query_purl_compare(fact->value, node->pub.pair_value, &order, err);
	if (ret <= 0)
		return ret;
	return node->pub.pair_op == VD_QUERY_NE ? order != 0 : holds(node->pub.pair_op, order);
}

int query_test(const struct query_node *node, const struct operand *operand,
	       const struct vd_fact *fact, int64_t now, struct vd_error *err)
{
	enum vd_query_op op = node->pub.op;
	enum vd_field_type type = operand->field->type;
	int order;

	if (op == VD_QUERY_HAS && type == VD_FIELD_PURL)
		return test_purl(node, operand, fact, err);
	if (node->pub.pair_op)
		return test_tag_pair(node, operand, fact);
	if (node->pub.is_presence)
		return 1;
	if (node->glob)
		return query_glob_match(node->glob, fact->key, strlen(fact->key));
	if (type == VD_FIELD_PURL)
		return strcmp(fact->key, operand->key) == 0;
	if (type == VD_FIELD_TEXT)
		return op == VD_QUERY_HAS ? has_text(operand, fact)
					  : strcmp(fact->key, operand->key) == 0;
	if (type == VD_FIELD_WORD && op >= VD_QUERY_LT)
		return compare_words(operand, fact->value, &order) && holds(op, order);
	return compare(operand, fact->value, now, &order) && holds(op, order);
}

/* ---- files ---- */

static bool is_path(const struct query_node *node, const char *key)
{
	const char *want = node->pub.key;
	size_t n = strlen(key), n_want = strlen(want);

	if (node->glob)
		return query_glob_match(node->glob, key, n);
	if (n < n_want || memcmp(key + n - n_want, want, n_want) != 0)
		return false;
	return n == n_want || (*want != '/' && key[n - n_want - 1] == '/');
}

bool vd_query_match_file(const struct vd_query_node *node, const char *path, const char *key,
			 const uint8_t *sha256)
{
	const struct query_node *own = (const struct query_node *)(const void *)node;
	VD_AUTO_FREE char *made = NULL;

	if (node->kind == VD_QUERY_SHA256)
		return sha256 && memcmp(sha256, own->digest, sizeof(own->digest)) == 0;
	if (node->kind != VD_QUERY_FILE || !path)
		return false;
	if (!key && vd_field_key(path, &made, NULL))
		return false;
	return is_path(own, key ? key : made);
}
