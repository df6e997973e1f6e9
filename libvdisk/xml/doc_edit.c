/* SPDX-License-Identifier: MIT */
/*
 * Changing documents by fields. A field's place is a path of elements; one of them may repeat (an
 * entry of a list), and below that one another (a list within an entry). What is made comes where
 * the schema wants it, and each value is first tried in a document of its own, so that a document
 * that was valid is valid afterwards; nothing else in it changes.
 */
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "xml/doc_place.h"
#include "xml/field_value.h"

#define MAX_PATH 8

/** The way to a field: elements from below the root to the one that has it. */
struct path {
	const struct schema_field *field;
	int elements[MAX_PATH];
	int n;
	int entry; /* the first that repeats; n: none does */
	int inner; /* the next that repeats; n: none does */
};

static void find_path(struct path *path, const struct schema_field *field)
{
	int depth = 0, index;

	*path = (struct path){.field = field};
	for (index = field->element; vd_schema_element(index)->parent >= 0 && depth < MAX_PATH;
	     index = vd_schema_element(index)->parent)
		depth++;
	path->n = path->entry = path->inner = depth;
	for (index = field->element; depth > 0; index = vd_schema_element(index)->parent) {
		path->elements[--depth] = index;
		if (vd_schema_element(index)->repeats) {
			path->inner = path->entry;
			path->entry = depth;
		}
	}
}

static int refuse(struct vd_error *err, const struct path *path, const char *why)
{
	return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "%s: %s", path->field->field.name,
			    why);
}

/** Go down the path from element `from` to before `to`; missing ones are made if `make`, else *node
 *  becomes NULL. */
static int descend(xmlNode **node, const xmlNode *root, const struct path *path, int from, int to,
		   bool make, struct vd_error *err)
{
	for (int i = from; i < to && *node; i++) {
		xmlNode *parent = *node;
		int ret;

		*node = vd_place_find(root, parent->children, path->elements[i]);
		if (!*node && make) {
			ret = vd_place_make(node, parent, path->elements[i], err);
			if (ret)
				return ret;
		}
	}
	return 0;
}

static const struct schema_field *key_of(int element)
{
	int key = vd_schema_element(element)->key;

	return key < 0 ? NULL : vd_schema_field(key);
}

/* ---- is the value all right? ---- */

/** Try the value in a document that holds nothing else: what its schema says against it. */
static int try_value(const struct vd_doc *doc, const struct path *path, const char *value,
		     const char *key, struct vd_error *err)
{
	const struct schema_field *key_field =
	    path->entry < path->n ? key_of(path->elements[path->entry]) : NULL;
	struct vd_error why = VD_ERROR_INIT;
	struct vd_doc *trial;
	xmlNode *root, *node;
	int ret;

	ret = vd_doc_create(&trial, &vd_schema_category(doc->category)->category, err);
	if (ret)
		return ret;
	root = node = xmlDocGetRootElement(trial->xml);
	ret = descend(&node, root, path, 0, path->entry + (path->entry < path->n), true, err);
	if (!ret && key && key_field && key_field != path->field)
		ret = vd_place_set(node, key_field, key, err);
	if (!ret)
		ret = descend(&node, root, path, path->entry + 1, path->n, true, err);
	if (!ret)
		ret = vd_place_set(node, path->field, value, err);
	if (!ret) {
		ret = vd_doc_validate(trial, NULL, NULL, &why);
		if (ret == VD_ECORRUPT)
			ret = vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "%s: %s",
					   path->field->field.name, why.text);
		else if (ret)
			vd_no_memory(err, sizeof(*trial), "a value");
	}
	vd_doc_free(trial);
	return ret;
}

/* ---- lists whose elements are the values ---- */

/** Do both begin with the same "key="? */
static bool is_same_key(const char *a, const char *b)
{
	size_t n = strcspn(a, "=");

	return a[n] == '=' && strncmp(a, b, n + 1) == 0;
}

/** Take away the elements `index` below `parent` that have this value of the field (NULL: all), but
 *  `but`. */
static int remove_elements(const xmlNode *root, xmlNode *parent, int index,
			   const struct schema_field *field, const char *value, const xmlNode *but,
			   struct vd_error *err)
{
	xmlNode *node = vd_place_find(root, parent->children, index), *next;
	int ret = 0;

	for (; node && !ret; node = next) {
		VD_AUTO_FREE char *own = NULL;

		/* Emptied parents go with the last one. */
		next = vd_place_find(root, node->next, index);
		if (value)
			ret = vd_place_get(node, field, &own, err);
		if (node != but && (!value || (own && strcmp(own, value) == 0)))
			vd_place_remove(node);
	}
	return ret;
}

/** Set or add to a list of elements below `parent` that each have one value of the field. */
static int edit_list(const xmlNode *root, xmlNode *parent, int index,
		     const struct schema_field *field, enum vd_field_edit edit, const char *value,
		     struct vd_error *err)
{
	xmlNode *node = vd_place_find(root, parent->children, index), *same = NULL, *like = NULL;
	int ret = 0;

	for (; node && !same; node = vd_place_find(root, node->next, index)) {
		VD_AUTO_FREE char *own = NULL;
		bool is_like;

		ret = vd_place_get(node, field, &own, err);
		if (ret)
			return ret;
		/* Its place, and what a vendor wrote beside it, go to the new value; not, however,
		 * what else an entry says. */
		is_like = edit == VD_FIELD_SET ? !vd_schema_element(index)->is_entry
					       : field->is_keyed && own && is_same_key(value, own);
		if (own && strcmp(own, value) == 0)
			same = node;
		else if (is_like && !like)
			like = node;
	}
	node = same ? same : like;
	if (!node)
		ret = vd_place_make(&node, parent, index, err);
	if (!ret && node != same)
		ret = vd_place_set(node, field, value, err);
	if (!ret && edit == VD_FIELD_SET)
		ret = remove_elements(root, parent, index, field, NULL, node, err);
	return ret;
}

/* ---- fields ---- */

/** Set or add below `node`, which is before path->elements[from]: nothing but `inner` repeats. */
static int edit_below(const xmlNode *root, xmlNode *node, const struct path *path, int from,
		      int list, enum vd_field_edit edit, const char *value, struct vd_error *err)
{
	VD_AUTO_FREE char *own = NULL;
	xmlNode *there = node;
	int ret = descend(&there, root, path, from, list, false, err);

	if (!ret && there && list == path->n)
		ret = vd_place_get(there, path->field, &own, err);
	if (!ret && edit == VD_FIELD_ADD && own && strcmp(own, value) != 0)
		return refuse(err, path,
			      "there is one already, and it has one value at most (set "
			      "it, or edit the document)");
	if (!ret)
		ret = descend(&node, root, path, from, list, true, err);
	if (ret)
		return ret;
	if (list < path->n)
		return edit_list(root, node, path->elements[list], path->field, edit, value, err);
	return vd_place_set(node, path->field, value, err);
}

/** Take values away below `node`, as edit_below. */
static int remove_below(const xmlNode *root, xmlNode *node, const struct path *path, int from,
			int list, const char *value, struct vd_error *err)
{
	VD_AUTO_FREE char *own = NULL;
	int ret;

	descend(&node, root, path, from, list, false, NULL);
	if (!node)
		return 0;
	if (list < path->n)
		return remove_elements(root, node, path->elements[list], path->field, value, NULL,
				       err);
	ret = vd_place_get(node, path->field, &own, err);
	if (!ret && own && (!value || strcmp(own, value) == 0))
		vd_place_clear(node, path->field);
	return ret;
}

/** Does this field tell the entries of its list apart, or is it all that they say? */
static bool is_key(const struct path *path)
{
	return path->entry < path->n && key_of(path->elements[path->entry]) == path->field;
}

static bool needs_key(int element)
{
	const struct schema_element *e = vd_schema_element(element);

	for (int i = 0; i < e->n_attrs; i++) {
		if (vd_schema_attr(e->first_attr + i)->is_required)
			return true;
	}
	return e->field >= 0;
}

/** A field that isn't the key of its entries: which entry is meant is clear only if there is one.
 */
static int edit_entry(const struct vd_doc *doc, xmlNode *root, const struct path *path,
		      enum vd_field_edit edit, const char *value, struct vd_error *err)
{
	int index = path->elements[path->entry], ret;
	const struct schema_field *key = key_of(index);
	VD_AUTO_FREE char *key_value = NULL;
	xmlNode *parent = root, *node = NULL;

	descend(&parent, root, path, 0, path->entry, false, NULL);
	if (parent)
		node = vd_place_find(root, parent->children, index);
	if (node && vd_place_find(root, node->next, index))
		return refuse(err, path,
			      "there are several entries that have it, so which one is "
			      "meant isn't clear; edit the document");
	if (!node && needs_key(index))
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "%s: there is no entry that could have it; set %s first",
				    path->field->field.name,
				    key ? key->field.name : "another field");
	if (node && key) {
		ret = vd_place_get(node, key, &key_value, err);
		if (ret)
			return ret;
	}
	ret = try_value(doc, path, value, key_value, err);
	if (!ret && !node) {
		parent = root;
		ret = descend(&parent, root, path, 0, path->entry, true, err);
		if (!ret)
			ret = vd_place_make(&node, parent, index, err);
	}
	return ret ? ret
		   : edit_below(root, node, path, path->entry + 1, path->inner, edit, value, err);
}

/** In each entry, whether they are told apart or not. */
static int remove_in_entries(xmlNode *root, const struct path *path, const char *value,
			     struct vd_error *err)
{
	xmlNode *node = root, *next;
	int index, ret = 0;

	descend(&node, root, path, 0, path->entry, false, NULL);
	if (!node)
		return 0;
	index = path->elements[path->entry];
	for (node = vd_place_find(root, node->children, index); node && !ret; node = next) {
		next = vd_place_find(root, node->next, index);
		ret = remove_below(root, node, path, path->entry + 1, path->inner, value, err);
	}
	return ret;
}

static int edit_field(const struct vd_doc *doc, const struct path *path, enum vd_field_edit edit,
		      const char *value, struct vd_error *err)
{
	xmlNode *root = vd_doc_root(doc, err);
	bool is_inner = path->entry < path->n && !is_key(path);
	int ret;

	if (!root)
		return VD_ECORRUPT;
	if (edit == VD_FIELD_REMOVE)
		return is_inner ? remove_in_entries(root, path, value, err)
				: remove_below(root, root, path, 0, path->entry, value, err);
	if (is_inner)
		return edit_entry(doc, root, path, edit, value, err);
	ret = try_value(doc, path, value, NULL, err);
	return ret ? ret : edit_below(root, root, path, 0, path->entry, edit, value, err);
}

static int check_field(const struct vd_doc *doc, const struct vd_field *field,
		       const struct schema_field **own, struct vd_error *err)
{
	*own = field ? vd_schema_field_of(field) : NULL;
	if (!*own || doc->category < 0 ||
	    field->category != &vd_schema_category(doc->category)->category)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "%s is no field of a document in %s",
				    field ? field->name : "NULL", vd_doc_xmlns(doc));
	if (field->is_derived)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "%s follows from other things and can't be set", field->name);
	return 0;
}

int vd_doc_set_field(struct vd_doc *doc, const struct vd_field *field, enum vd_field_edit edit,
		     const char *value, struct vd_error *err)
{
	const struct schema_field *own;
	VD_AUTO_QUIET struct vd_quiet quiet;
	struct vd_value read = {0};
	struct path path;
	int ret;

	vd_quiet_begin(&quiet);
	ret = check_field(doc, field, &own, err);
	if (ret)
		return ret;
	if (edit != VD_FIELD_SET && edit != VD_FIELD_ADD && edit != VD_FIELD_REMOVE)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "an unknown kind of edit");
	find_path(&path, own);
	if (!value && edit != VD_FIELD_REMOVE)
		return refuse(err, &path, "no value");
	if (edit == VD_FIELD_ADD && !field->is_list)
		return refuse(err, &path, "it has one value at most; set it");
	if (value)
		ret = vd_value_read(&read, field, value, true, (int64_t)time(NULL), err);
	if (!ret)
		ret = edit_field(doc, &path, edit, value ? read.normal : NULL, err);
	if (quiet.is_out)
		ret = vd_no_memory(err, 0, "a document");
	vd_value_free(&read);
	return ret;
}

/* ---- entries ---- */

/** The entry whose key has this value; made if there is none. */
static int get_entry(xmlNode **entry, xmlNode *root, const struct path *path, const char *key,
		     struct vd_error *err)
{
	xmlNode *parent = root, *node;
	int index = path->elements[path->entry];
	int ret = descend(&parent, root, path, 0, path->entry, true, err);

	if (ret)
		return ret;
	node = vd_place_find(root, parent->children, index);
	for (; node; node = vd_place_find(root, node->next, index)) {
		VD_AUTO_FREE char *own = NULL;

		ret = vd_place_get(node, path->field, &own, err);
		if (ret)
			return ret;
		if (own && strcmp(own, key) == 0)
			break;
	}
	*entry = node;
	if (!node)
		ret = vd_place_make(entry, parent, index, err);
	if (!node && !ret)
		ret = vd_place_set(*entry, path->field, key, err);
	return ret;
}

/** Read pair `i` and look whether it may be. */
static int check_pair(struct vd_doc *doc, const struct vd_doc_pair *pair, const struct path *first,
		      const char *key, struct path *path, struct vd_value *value,
		      struct vd_error *err)
{
	const struct vd_field *field = vd_field_find(pair->field);
	const struct schema_field *own;
	int ret;

	if (!field)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "there is no field \"%s\"",
				    pair->field);
	ret = check_field(doc, field, &own, err);
	if (ret)
		return ret;
	find_path(path, own);
	if (!key && (!is_key(path) || !pair->value))
		return refuse(err, path, "it doesn't tell the entries of a list apart");
	if (key && (path->entry != first->entry || path->entry == path->n || is_key(path) ||
		    path->elements[path->entry] != first->elements[first->entry]))
		return refuse(err, path, "it doesn't belong to this kind of entry");
	if (!pair->value)
		return 0;
	ret = vd_value_read(value, field, pair->value, true, (int64_t)time(NULL), err);
	return ret ? ret : try_value(doc, path, value->normal, key, err);
}

static int set_entry(struct vd_doc *doc, const struct vd_doc_pair *pairs, size_t n,
		     struct vd_value *key, struct vd_value *value, struct vd_error *err)
{
	struct path first, path;
	xmlNode *root = vd_doc_root(doc, err), *node = NULL;
	int ret;

	if (!root)
		return VD_ECORRUPT;
	ret = check_pair(doc, &pairs[0], NULL, NULL, &first, key, err);
	/* All before anything is changed. */
	for (size_t i = 1; i < n && !ret; i++)
		ret = check_pair(doc, &pairs[i], &first, key->normal, &path, value, err);
	if (!ret)
		ret = get_entry(&node, root, &first, key->normal, err);
	for (size_t i = 1; i < n && !ret; i++) {
		const struct vd_field *field = vd_field_find(pairs[i].field);

		find_path(&path, vd_schema_field_of(field));
		if (pairs[i].value)
			ret = vd_value_read(value, field, pairs[i].value, true, (int64_t)time(NULL),
					    err);
		if (!ret && pairs[i].value)
			ret = edit_below(root, node, &path, path.entry + 1, path.inner,
					 VD_FIELD_SET, value->normal, err);
		else if (!ret)
			ret =
			    remove_below(root, node, &path, path.entry + 1, path.inner, NULL, err);
	}
	return ret;
}

int vd_doc_set_entry(struct vd_doc *doc, const struct vd_doc_pair *pairs, size_t n,
		     struct vd_error *err)
{
	struct vd_value key = {0}, value = {0};
	VD_AUTO_QUIET struct vd_quiet quiet;
	int ret;

	vd_quiet_begin(&quiet);
	if (!n)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "an entry without fields");
	ret = set_entry(doc, pairs, n, &key, &value, err);
	if (quiet.is_out)
		ret = vd_no_memory(err, 0, "a document");
	vd_value_free(&key);
	vd_value_free(&value);
	return ret;
}
