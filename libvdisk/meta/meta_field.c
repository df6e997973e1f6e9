/* SPDX-License-Identifier: MIT */
/* Documents by fields, and the facts that follow from them. */
#include <string.h>

#include "base/cleanup.h"
#include "meta/meta_handle.h"

/* "hardware" (which is no field itself) and "hardware.*" name all that is below; a field, itself.
 */
struct asked {
	const char *name;
	size_t len;
	bool is_exact;
};

static bool is_asked(const struct asked *asked, const char *name)
{
	return !strncmp(name, asked->name, asked->len) &&
	       (!name[asked->len] || (!asked->is_exact && name[asked->len] == '.'));
}

struct asking {
	struct asked asked;
	vd_value_fn fn;
	void *user;
	uint64_t n;
	int answer;
};

static int hear_value(void *user, const struct vd_field *field, const char *value, uint32_t group)
{
	struct asking *asking = user;

	(void)group;
	if (!is_asked(&asking->asked, field->name))
		return 0;
	asking->n++;
	asking->answer = asking->fn ? asking->fn(asking->user, field->name, value) : 0;
	return asking->answer;
}

/* The document of a category, parsed: kept with its record, or made for this (the history). */
static int get_doc(struct vd_meta *meta, const struct vd_category *category, struct vd_doc **doc,
		   struct vd_doc **own, struct vd_error *err)
{
	struct meta_record *r = meta_find(meta, VD_RECORD_DOCUMENT, category->name, "");
	VD_AUTO_FREE char *xml = NULL;
	size_t len;
	int ret;

	*own = NULL;
	if (strcmp(category->name, "history") != 0) {
		if (!r || !meta_is_there(r))
			return VD_ENOENT;
		return meta_parse(meta, r, doc, err);
	}
	ret = vd_meta_get_document(meta, "history", &xml, &len, err);
	if (!ret)
		ret = vd_doc_parse(own, xml, len, err);
	*doc = *own;
	return ret;
}

static int ask_category(struct vd_meta *meta, const struct vd_category *category,
			struct asking *asking, struct vd_error *err)
{
	struct vd_error why = VD_ERROR_INIT;
	struct vd_doc *doc, *own;
	int ret = get_doc(meta, category, &doc, &own, &why);

	if (ret == VD_ENOENT)
		return 0;
	if (ret)
		return vd_error_set(err, ret, why.sys_errno, why.offset, "%s", why.text);
	ret = vd_doc_each_value(doc, hear_value, asking, err);
	vd_doc_free(own);
	return ret;
}

int vd_meta_get_field(struct vd_meta *meta, const char *field, vd_value_fn fn, void *user,
		      struct vd_error *err)
{
	struct asking asking = {
	    {field, strlen(field), vd_field_find(field) != NULL}, fn, user, 0, 0};
	const struct vd_category *category;
	const struct vd_field *known;
	bool is_known = false;
	int ret = 0;

	if (asking.asked.len > 2 && !strcmp(field + asking.asked.len - 2, ".*"))
		asking.asked.len -= 2;
	for (size_t c = 0; !ret && !asking.answer && (category = vd_category_at(c)); c++) {
		bool is_here = false;

		for (size_t i = 0; !is_here && (known = vd_field_at(i)); i++)
			is_here =
			    known->category == category && is_asked(&asking.asked, known->name);
		if (is_here)
			ret = ask_category(meta, category, &asking, err);
		is_known |= is_here;
	}
	if (!is_known)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "there is no field %.200s; see \"vdtool fields\"", field);
	if (ret || asking.answer)
		return ret ? ret : asking.answer;
	if (!asking.n)
		return vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET, "%.200s has no value", field);
	return 0;
}

void meta_set_ahead(struct vd_meta *meta, struct meta_record *record)
{
	meta_begin_change(record);
	record->is_doc_ahead = true;
	record->is_removed = false;
	meta_touch(meta);
}

/* The document that a field is to be written to: there, or made now. */
int meta_require_doc(struct vd_meta *meta, const struct vd_category *category,
		     struct meta_record **out, struct vd_error *err)
{
	struct meta_record *r;
	int ret = meta_require(meta, VD_RECORD_DOCUMENT, category->name, "", "", &r, err);

	if (ret)
		return ret;
	*out = r;
	if (meta_is_there(r))
		return meta_parse(meta, r, &r->doc, err);
	ret = r->doc ? 0 : vd_doc_create(&r->doc, category, err);
	return ret;
}

int vd_meta_set_field(struct vd_meta *meta, const char *field, enum vd_field_edit edit,
		      const char *value, struct vd_error *err)
{
	const struct vd_field *known = vd_field_find(field);
	struct meta_record *r;
	int ret = meta_check_writable(meta, err);

	if (ret)
		return ret;
	if (!known)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "there is no field %.200s; see \"vdtool fields\"", field);
	if (known->is_derived)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "%s follows from other things and can't be set", known->name);
	r = meta_find(meta, VD_RECORD_DOCUMENT, known->category->name, "");
	if (edit == VD_FIELD_REMOVE && (!r || !meta_is_there(r)))
		return vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET, "%s has no value",
				    known->name);
	ret = meta_require_doc(meta, known->category, &r, err);
	if (ret)
		return ret;
	ret = vd_doc_set_field(r->doc, known, edit, value, err);
	/* What was half done isn't to come with the next edit. */
	if (ret == VD_ENOMEM && !r->is_doc_ahead) {
		vd_doc_free(r->doc);
		r->doc = NULL;
	}
	if (ret)
		return ret;
	meta_set_ahead(meta, r);
	return 0;
}

/* ---- facts ---- */

struct gathering {
	struct meta_gather gather;
	struct vd_error *err;
};

static int gather_value(void *user, const struct vd_field *field, const char *value, uint32_t group)
{
	struct gathering *g = user;
	VD_AUTO_FREE char *key = NULL;
	int ret = vd_field_key(value, &key, g->err);

	return ret ? ret : meta_gather_add(&g->gather, field->name, value, key, group, g->err);
}

static int gather_document(struct vd_meta *meta, struct meta_record *r, struct gathering *g)
{
	struct vd_error why = VD_ERROR_INIT, *heard = g->err;
	size_t n_before = g->gather.n;
	struct vd_doc *doc;
	int ret = meta_parse(meta, r, &doc, &why);
	bool is_parsed = !ret;

	if (is_parsed) {
		g->err = &why;
		ret = vd_doc_each_value(doc, gather_value, g, &why);
		g->err = heard;
		meta_gather_next(&g->gather);
	}
	/* What can't be read, or holds a value that can't, has no facts; it is reported as damaged.
	 */
	if ((ret == VD_ECORRUPT && !(is_parsed && (r->is_changed || r->is_doc_ahead))) ||
	    ret == VD_EUNSUPPORTED) {
		g->gather.n = n_before;
		if (!r->pub.damage && !r->is_changed)
			meta_set_damage(r, &why);
		return 0;
	}
	/* Over the bounds already as it is stored: not the fault of who changes something now. */
	if ((ret == VD_ENOSPC || ret == VD_ERANGE) && !r->is_changed && !r->is_doc_ahead)
		ret = vd_error_set(g->err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				   "%s: the documents make more facts than an image may have (%u), "
				   "or such of too long values",
				   r->kind, VD_META_FACTS_MAX);
	else if (ret)
		vd_error_set(g->err, ret, why.sys_errno, why.offset, "%s", why.text);
	return ret;
}

/* Of the history only its length is a fact. */
static int gather_history(struct vd_meta *meta, struct gathering *g, uint64_t *number,
			  uint8_t head[32])
{
	VD_AUTO_FREE uint8_t *raw = NULL;
	struct vd_error why = VD_ERROR_INIT;
	char text[24];
	size_t len, n = sizeof(text) - 1;
	bool is_whole;
	int ret = meta_read_chain(meta, &raw, &len, &is_whole, &why);
	uint64_t rest;

	*number = 0;
	memset(head, 0, 32);
	if (ret == VD_ENOENT || ret == VD_ECORRUPT || ret == VD_EUNSUPPORTED)
		return 0;
	if (ret)
		return vd_error_set(g->err, ret, why.sys_errno, why.offset, "%s", why.text);
	meta_chain_head(vd_span(raw, len), number, head);
	if (!*number || !vd_field_find("history.length"))
		return 0;
	text[n] = '\0';
	for (rest = *number; rest; rest /= 10)
		text[--n] = (char)('0' + rest % 10);
	return meta_gather_add(&g->gather, "history.length", text + n, text + n, 0, g->err);
}

int meta_derive(struct vd_meta *meta, struct vd_error *err)
{
	struct gathering g = {.err = err};
	uint64_t number;
	uint8_t head[32];
	int ret = 0;

	if (meta->has_derived)
		return 0;
	meta_facts_free(&meta->derived);
	for (size_t i = 0; !ret && i < meta->n_records; i++) {
		struct meta_record *r = meta->records[i];

		if (r->pub.type == VD_RECORD_DOCUMENT && meta_is_there(r) && !meta_is_damaged(r) &&
		    vd_category_find(r->kind))
			ret = gather_document(meta, r, &g);
	}
	if (!ret)
		ret = gather_history(meta, &g, &number, head);
	if (ret) {
		meta_gather_drop(&g.gather);
		return ret;
	}
	ret = meta_gather_finish(&g.gather, &meta->derived, err);
	if (ret)
		return ret;
	meta->derived.history_len = number;
	memcpy(meta->derived.history_head, head, 32);
	meta->has_derived = true;
	return 0;
}

int vd_meta_get_facts(struct vd_meta *meta, bool derive, const struct vd_fact **facts, size_t *n,
		      struct vd_error *err)
{
	const struct meta_facts *from = &meta->stored;
	int ret = 0;

	if (derive || !meta->has_stored || meta->is_stale || meta_has_changes(meta)) {
		from = &meta->derived;
		ret = meta_derive(meta, err);
	}
	if (ret)
		return ret;
	*facts = from->facts;
	*n = from->n_facts;
	return 0;
}
