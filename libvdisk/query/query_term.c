/* SPDX-License-Identifier: MIT */
/* The value of a term, brought into the form in which facts have theirs: once, while parsing. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "query/query_tree.h"
#include "xml/doc.h"
#include "xml/field_value.h"

int query_keep_key(struct vd_query *query, const char *text, const char **key, struct vd_error *err)
{
	VD_AUTO_FREE char *made = NULL;
	int ret = vd_field_key(text, &made, err);

	if (ret)
		return ret;
	*key = query_keep(query, made, strlen(made), err);
	return *key ? 0 : VD_ENOMEM;
}

int query_keep_words(struct vd_query *query, const char *text, const char **words,
		     struct vd_error *err)
{
	VD_AUTO_FREE char *made = NULL;
	int ret = vd_field_key(text, &made, err);
	char *to;

	if (ret)
		return ret;
	to = made;
	for (const char *p = made; *p; p++) {
		if (!query_is_blank(*p))
			*to++ = *p;
		else if (to > made && to[-1] != ' ')
			*to++ = ' ';
	}
	if (to > made && to[-1] == ' ')
		to--;
	if (to == made)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "there is nothing but white space to look for");
	*words = query_keep(query, made, (size_t)(to - made), err);
	return *words ? 0 : VD_ENOMEM;
}

/* ---- which operators a type has ---- */

static bool is_order(enum vd_query_op op)
{
	return op >= VD_QUERY_LT;
}

static bool is_ordered(const struct vd_field *field)
{
	const struct schema_field *own = vd_schema_field_of(field);

	return field->type == VD_FIELD_NUMBER || field->type == VD_FIELD_SIZE ||
	       field->type == VD_FIELD_TIME || field->type == VD_FIELD_VERSION ||
	       (own && own->is_ordered);
}

static int no_order(const struct vd_field *field, struct vd_error *err)
{
	const char *hint = "";

	if (field->type == VD_FIELD_PURL)
		hint = "; the version of a package is asked as FIELD:NAME<VERSION";
	else if (strcmp(field->name, "tag") == 0)
		hint = "; the value of a tag is asked as tag:KEY<VALUE";
	return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
			    "%s is of type %s, which has no order%s", field->name,
			    vd_field_type_name(field->type), hint);
}

/* ---- reading a value ---- */

/** The place of a word among the choices. */
static uint64_t rank_of(const char *word, const char *choices)
{
	size_t n = strlen(word);
	uint64_t rank = 0;

	for (const char *c = choices; *c; rank++) {
		size_t len = strcspn(c, "|");

		if (len == n && memcmp(c, word, n) == 0)
			return rank;
		c += len + (c[len] == '|');
	}
	return UINT64_MAX;
}

static int read_time(struct vd_query *query, struct operand *operand, const char *value,
		     struct vd_error *err)
{
	char text[VD_TIME_TEXT];
	const char *wrong = vd_time_parse(value, true, 0, &operand->time);

	if (wrong)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "%s: \"%.100s\" is %s",
				    operand->field->name, value, wrong);
	operand->is_relative = strncmp(value, "now", 3) == 0 || *value == '+' || *value == '-';
	if (operand->is_relative)
		return 0;
	vd_time_format(operand->time, text);
	operand->normal = query_keep(query, text, strlen(text), err);
	return operand->normal ? query_keep_key(query, text, &operand->key, err) : VD_ENOMEM;
}

static bool is_purl(const char *value)
{
	return strncasecmp(value, "pkg:", 4) == 0;
}

/** A value in the normal form of its type. */
static int read_normal(struct vd_query *query, struct operand *operand, const char *value,
		       struct vd_error *err)
{
	const struct vd_field *field = operand->field;
	VD_AUTO_FREE char *normal = NULL;
	int ret = 0;

	/* Names and paths of files are as they are: blanks in them, too. */
	if (field->type == VD_FIELD_TEXT && !field->category) {
		normal = vd_strdup(value);
		if (!normal)
			return vd_no_memory(err, strlen(value), "a value");
	} else {
		ret = vd_field_normalize(field, value, 0, &normal, err);
	}
	if (ret)
		return ret;
	operand->normal = query_keep(query, normal, strlen(normal), err);
	if (!operand->normal)
		return VD_ENOMEM;
	if (field->type == VD_FIELD_NUMBER || field->type == VD_FIELD_SIZE)
		operand->number = strtoull(normal, NULL, 10);
	if (field->type == VD_FIELD_WORD)
		operand->number = rank_of(normal, field->choices ? field->choices : "");
	ret = query_keep_key(query, normal, &operand->key, err);
	if (!ret && field->type == VD_FIELD_TEXT)
		ret = query_keep_words(query, normal, &operand->words, err);
	return ret;
}

static int read_value(struct vd_query *query, struct query_node *node, struct operand *operand,
		      struct vd_error *err)
{
	const struct vd_field *field = operand->field;
	const char *value = node->pub.value;
	bool is_name = field->type == VD_FIELD_PURL && node->pub.op == VD_QUERY_HAS;

	operand->is_tag = strcmp(field->name, "tag") == 0;
	operand->is_whole = field->type == VD_FIELD_PURL && is_purl(value);
	operand->normal = operand->key = operand->words = "";
	if (is_order(node->pub.op) && !is_ordered(field))
		return no_order(field, err);
	if (node->pub.is_glob)
		return 0;
	if (field->type == VD_FIELD_TIME)
		return read_time(query, operand, value, err);
	if (is_name && !operand->is_whole)
		return query_keep_key(query, value, &operand->key, err);
	return read_normal(query, operand, value, err);
}

/** One operand for each field below a prefix that can read the value. */
static int read_prefix(struct vd_query *query, struct query_node *node, struct vd_error *err)
{
	const struct vd_field *field;
	size_t n = 0, next = 0;
	int ret, worst = 0;

	while (query_field_below(node->pub.field, query->flags, &next))
		n++;
	node->operands = query_alloc(query, n * sizeof(*node->operands), err);
	if (!node->operands)
		return VD_ENOMEM;
	next = 0;
	while ((field = query_field_below(node->pub.field, query->flags, &next))) {
		struct operand *operand = &node->operands[node->n_operands];

		*operand = (struct operand){.field = field};
		ret = read_value(query, node, operand, NULL);
		if (ret == VD_ENOMEM)
			return vd_no_memory(err, sizeof(*operand), "a query");
		if (!ret)
			node->n_operands++;
		else if (worst != VD_EINVAL)
			worst = ret;
	}
	if (node->n_operands)
		return 0;
	return vd_error_set(err, worst, 0, VD_NO_OFFSET,
			    worst == VD_EINVAL ? "no field below %s can have the value \"%.100s\""
					       : "no field below %s has an order (\"%.100s\")",
			    node->pub.field, node->pub.value);
}

int query_read_operands(struct vd_query *query, struct query_node *node,
			const struct vd_field *field, struct vd_error *err)
{
	int ret;

	if (node->pub.is_prefix)
		return read_prefix(query, node, err);
	node->operands = query_alloc(query, sizeof(*node->operands), err);
	if (!node->operands)
		return VD_ENOMEM;
	node->n_operands = 1;
	node->operands->field = field;
	ret = read_value(query, node, node->operands, err);
	if (!ret)
		node->pub.key = node->operands->key;
	return ret;
}
