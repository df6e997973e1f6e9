/* SPDX-License-Identifier: MIT */
/*
 * Pre-selection: from a query's tree, a set of images that holds all that fit, and the facts that
 * could make a term of it true. Both may be larger than needed, never smaller. The images of AND
 * are those of all its parts, of OR those of any; what NOT leaves can't be known before. Values are
 * asked with the evaluator's own test of one fact, so that there is one opinion of what fits.
 */
#include <stdlib.h>
#include <string.h>

#include "catalog.h"

/* Values whose images are looked up one by one; and images that are soon looked at. */
#define VALUES_MAX 50000u
#define FEW        2000u
/* Terms that no index answers, each of which looks at all values of a field. What a stranger's
 * query has of them beyond that is left to the evaluator. */
#define SCANS_MAX 32u

struct set {
	bool is_all;
	struct catalog_bits bits;
};

struct selecting {
	struct catalog_store *store;
	struct catalog_selection *selection;
	int64_t now;
	uint64_t max; /* images that a term may lead to; more count as all. 0: any number */
	unsigned n_scans;
	struct vd_error *err;
};

static int no_memory(struct selecting *s)
{
	return vd_error_set(s->err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
}

static void make_all(struct set *set)
{
	catalog_bits_free(&set->bits);
	set->is_all = true;
}

/* ---- fields ---- */

struct field_asking {
	struct selecting *s;
	const char *prefix;
	bool has_words;
	int (*fn)(struct field_asking *asking, int64_t id, const char *name);
	const struct vd_query_node *node;
	struct set *out;
};

static int ask_field(void *user, int64_t id, const char *name, struct vd_error *err)
{
	struct field_asking *asking = user;
	const struct vd_field *field;

	(void)err;
	if (asking->prefix && strncmp(name, asking->prefix, strlen(asking->prefix)) != 0)
		return 0;
	if (asking->has_words) {
		field = vd_query_field_find(name);
		if (!field || !catalog_has_words(field->type))
			return 0;
	}
	return asking->fn(asking, id, name);
}

static int each_field(struct field_asking *asking)
{
	struct selecting *s = asking->s;

	return s->store->ops->each_field(s->store, ask_field, asking, s->err);
}

static int need_field(struct field_asking *asking, int64_t id, const char *name)
{
	(void)name;
	return catalog_bits_set(&asking->s->selection->fields, id) ? 0 : no_memory(asking->s);
}

/** An entry needs all its facts, since they are asked together: those below the name, its own. */
static int need_entry(struct selecting *s, const struct vd_query_node *node)
{
	struct field_asking asking = {.s = s, .fn = need_field, .prefix = node->field};
	size_t n = strlen(node->field);
	int64_t id = 0;
	int rc = each_field(&asking);
	char *name = rc || !n ? NULL : strdup(node->field);

	if (rc)
		return rc;
	if (!name)
		return no_memory(s);
	if (name[n - 1] == '.')
		name[n - 1] = '\0';
	rc = s->store->ops->field_id(s->store, name, &id, s->err);
	if (!rc && id)
		rc = need_field(&asking, id, NULL);
	free(name);
	return rc;
}

/** All values of the fields that a node asks for are needed. */
static int need_all(struct selecting *s, const struct vd_query_node *node)
{
	struct field_asking asking = {.s = s, .fn = need_field};
	int64_t id;
	int rc = 0;

	switch (node->kind) {
	case VD_QUERY_WORD:
		asking.has_words = true;
		return each_field(&asking);
	case VD_QUERY_ENTRY:
		rc = need_entry(s, node);
		break;
	case VD_QUERY_TERM:
		asking.prefix = node->field;
		if (node->is_prefix)
			return each_field(&asking);
		rc = s->store->ops->field_id(s->store, node->field, &id, s->err);
		return rc || !id ? rc : need_field(&asking, id, NULL);
	default:
		break;
	}
	for (size_t i = 0; !rc && i < node->n_children; i++)
		rc = need_all(s, node->children[i]);
	return rc;
}

/* ---- values ---- */

struct value_asking {
	struct selecting *s;
	const struct vd_query_node *node;
	struct set *out;
	bool is_any; /* every value will do */
	size_t n;
	uint64_t n_images;
};

static int take_value(void *user, int64_t id, const struct vd_fact *value, struct vd_error *err)
{
	struct value_asking *asking = user;
	struct selecting *s = asking->s;
	int rc = asking->is_any ? 1 : vd_query_test_fact(asking->node, value, s->now, err);

	if (rc <= 0)
		return rc;
	if (!asking->is_any && !catalog_bits_set(&s->selection->values, id))
		return no_memory(s);
	if (asking->out->is_all)
		return 0;
	rc = ++asking->n > VALUES_MAX ? 0
				      : s->store->ops->add_images(s->store, id, &asking->out->bits,
								  s->max ? s->max + 1 : UINT64_MAX,
								  &asking->n_images, err);
	if (!rc && (asking->n > VALUES_MAX || (s->max && asking->n_images > s->max)))
		make_all(asking->out);
	return rc;
}

/** How the values of a term are found. */
enum way { WAY_KEY, WAY_TEXTS, WAY_ALL };

/** For a field of this type; texts are filled for WAY_TEXTS. */
static enum way way_of(const struct vd_query_node *node, enum vd_field_type type,
		       struct catalog_texts *texts)
{
	bool is_equal = node->op == VD_QUERY_HAS || node->op == VD_QUERY_EQ;

	if (node->is_presence || !is_equal)
		return WAY_ALL;
	if (!node->is_glob && node->key[0] &&
	    (type == VD_FIELD_UUID || type == VD_FIELD_BOOL || type == VD_FIELD_WORD ||
	     (node->op == VD_QUERY_EQ && !node->pair_op &&
	      (type == VD_FIELD_TEXT || type == VD_FIELD_PURL))))
		return WAY_KEY;
	if (type != VD_FIELD_TEXT && type != VD_FIELD_PURL && type != VD_FIELD_WORD)
		return WAY_ALL;
	if (node->is_glob)
		catalog_texts_of_glob(texts, node->value);
	else
		catalog_texts_of_words(texts, node->key);
	return texts->n ? WAY_TEXTS : WAY_ALL;
}

static bool is_cheap_term(const struct vd_query_node *node)
{
	const struct vd_field *field = vd_query_field_find(node->field);
	struct catalog_texts texts;

	return !node->is_prefix && field && !catalog_is_unstored(field->name) &&
	       way_of(node, field->type, &texts) != WAY_ALL;
}

/** The images that a field's values lead to. */
static int select_field(struct field_asking *field_asking, int64_t id, const char *name)
{
	struct selecting *s = field_asking->s;
	const struct vd_query_node *node = field_asking->node;
	const struct vd_field *field = vd_query_field_find(name);
	struct value_asking asking = {s, node, field_asking->out, false, 0, 0};
	struct catalog_texts texts;
	enum way way = field ? way_of(node, field->type, &texts) : WAY_ALL;

	if (node->is_prefix && way == WAY_KEY)
		way = WAY_ALL; /* its key is read anew for each field */
	/* "!=" is true of an image by all its values together. */
	if ((node->is_presence && !node->pair_op) || node->op == VD_QUERY_NE) {
		asking.is_any = true;
		if (need_field(field_asking, id, name))
			return VD_ENOMEM;
		if (asking.out->is_all)
			return 0;
	}
	if (way == WAY_KEY)
		return s->store->ops->each_value(s->store, id, node->key, false, take_value,
						 &asking, s->err);
	return s->store->ops->each_holding(s->store, id, texts.at, way == WAY_TEXTS ? texts.n : 0,
					   take_value, &asking, s->err);
}

static bool is_cheap(const struct vd_query_node *node);

static bool is_one_too_many(struct selecting *s, const struct vd_query_node *node)
{
	return !is_cheap(node) && ++s->n_scans > SCANS_MAX;
}

static int select_term(struct selecting *s, const struct vd_query_node *node, struct set *out)
{
	struct field_asking asking = {.s = s, .fn = select_field, .node = node, .out = out};
	int64_t id;
	int rc;

	if (is_one_too_many(s, node)) {
		make_all(out);
		return need_all(s, node);
	}
	if (node->is_prefix) {
		asking.prefix = node->field;
		/* Of the file itself something is always there. */
		if (strncmp("image.", node->field, strlen(node->field)) == 0)
			make_all(out);
		return each_field(&asking);
	}
	if (catalog_is_unstored(node->field))
		make_all(out); /* a document's facts may be called so too */
	rc = s->store->ops->field_id(s->store, node->field, &id, s->err);
	return rc || !id ? rc : select_field(&asking, id, node->field);
}

static int select_word(struct selecting *s, const struct vd_query_node *node, struct set *out)
{
	struct value_asking asking = {s, node, out, false, 0, 0};
	struct catalog_texts texts;

	if (is_one_too_many(s, node)) {
		make_all(out);
		return need_all(s, node);
	}
	if (node->is_glob)
		catalog_texts_of_glob(&texts, node->value);
	else
		catalog_texts_of_words(&texts, node->key);
	return s->store->ops->each_holding(s->store, 0, texts.at, texts.n, take_value, &asking,
					   s->err);
}

/* ---- the tree ---- */

static int select_node(struct selecting *s, const struct vd_query_node *node, struct set *out);

static bool is_cheap(const struct vd_query_node *node)
{
	struct catalog_texts texts;

	switch (node->kind) {
	case VD_QUERY_TERM:
		return is_cheap_term(node);
	case VD_QUERY_WORD:
		if (node->is_glob)
			catalog_texts_of_glob(&texts, node->value);
		else
			catalog_texts_of_words(&texts, node->key);
		return texts.n > 0;
	case VD_QUERY_AND:
	case VD_QUERY_OR:
	case VD_QUERY_ENTRY:
	case VD_QUERY_NOT:
		for (size_t i = 0; i < node->n_children; i++) {
			if (!is_cheap(node->children[i]))
				return false;
		}
		return true;
	default:
		return true;
	}
}

/** One more part of AND. */
static int narrow(struct selecting *s, const struct vd_query_node *node, struct set *out)
{
	struct set part = {false, {NULL, 0}};
	int rc = select_node(s, node, &part);

	if (!rc && !part.is_all) {
		if (out->is_all) {
			*out = part;
			return 0;
		}
		catalog_bits_intersect(&out->bits, &part.bits);
	}
	catalog_bits_free(&part.bits);
	return rc;
}

static int narrow_cheap(struct selecting *s, const struct vd_query_node *node, struct set *out)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < node->n_children; i++) {
		if (is_cheap(node->children[i]))
			rc = narrow(s, node->children[i], out);
	}
	return rc;
}

/** First the parts that lead to few images: then these may as well be looked at. Else those that
 * are cheap to ask, then all. */
static int select_and(struct selecting *s, const struct vd_query_node *node, struct set *out)
{
	uint64_t max = s->max;
	int rc;

	out->is_all = true;
	s->max = FEW;
	rc = narrow_cheap(s, node, out);
	s->max = max;
	if (!rc && out->is_all && !max)
		rc = narrow_cheap(s, node, out);
	for (size_t i = 0; !rc && i < node->n_children; i++) {
		if (is_cheap(node->children[i]))
			continue;
		if (!out->is_all && catalog_bits_count(&out->bits) <= FEW)
			rc = need_all(s, node->children[i]);
		else
			rc = narrow(s, node->children[i], out);
	}
	return rc;
}

static int select_or(struct selecting *s, const struct vd_query_node *node, struct set *out)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < node->n_children; i++) {
		struct set part = {out->is_all, {NULL, 0}};

		rc = select_node(s, node->children[i], &part);
		if (!rc && part.is_all)
			make_all(out);
		else if (!rc && !out->is_all && !catalog_bits_unite(&out->bits, &part.bits))
			rc = no_memory(s);
		catalog_bits_free(&part.bits);
	}
	return rc;
}

/** What is below isn't known before; but which facts it may ask for is. */
static int select_not(struct selecting *s, const struct vd_query_node *node, struct set *out)
{
	struct set ignored = {true, {NULL, 0}};
	int rc = is_cheap(node->children[0]) ? select_node(s, node->children[0], &ignored)
					     : need_all(s, node->children[0]);

	catalog_bits_free(&ignored.bits);
	make_all(out);
	return rc;
}

static int select_entry(struct selecting *s, const struct vd_query_node *node, struct set *out)
{
	int rc = need_entry(s, node);

	for (size_t i = 0; !rc && i < node->n_children; i++)
		rc = select_node(s, node->children[i], out);
	return rc;
}

/** *out is empty before, or all, which it stays: then only facts are asked for. */
static int select_node(struct selecting *s, const struct vd_query_node *node, struct set *out)
{
	switch (node->kind) {
	case VD_QUERY_TERM:
		return select_term(s, node, out);
	case VD_QUERY_WORD:
		return select_word(s, node, out);
	case VD_QUERY_AND:
		return select_and(s, node, out);
	case VD_QUERY_OR:
		return select_or(s, node, out);
	case VD_QUERY_NOT:
		return select_not(s, node, out);
	case VD_QUERY_ENTRY:
		return select_entry(s, node, out);
	case VD_QUERY_ALL:
	case VD_QUERY_FILE:
	case VD_QUERY_SHA256:
		break;
	}
	make_all(out);
	return 0;
}

/** Is something asked that isn't stored, since path and times of the image say it? */
static bool asks_unstored(const struct vd_query_node *node)
{
	if ((node->kind == VD_QUERY_TERM || node->kind == VD_QUERY_ENTRY) &&
	    (catalog_is_unstored(node->field) ||
	     strncmp("image.", node->field, strlen(node->field)) == 0))
		return true;
	for (size_t i = 0; i < node->n_children; i++) {
		if (asks_unstored(node->children[i]))
			return true;
	}
	return false;
}

int catalog_select(struct catalog_store *store, const struct vd_query *query, int64_t now,
		   struct catalog_selection *selection, struct vd_error *err)
{
	struct selecting s = {store, selection, now, 0, 0, err};
	struct set images = {false, {NULL, 0}};
	int rc;

	memset(selection, 0, sizeof(*selection));
	selection->needs_unstored = asks_unstored(vd_query_root(query));
	rc = select_node(&s, vd_query_root(query), &images);
	selection->is_all = images.is_all;
	selection->images = images.bits;
	if (rc)
		catalog_selection_free(selection);
	return rc;
}

void catalog_selection_free(struct catalog_selection *selection)
{
	catalog_bits_free(&selection->images);
	catalog_bits_free(&selection->fields);
	catalog_bits_free(&selection->values);
}
