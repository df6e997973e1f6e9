/* SPDX-License-Identifier: MIT */
/* Documents, as bytes and parsed. */
#include <string.h>

#include "base/cleanup.h"
#include "meta/meta_handle.h"

bool meta_kind_is_vendor(const char *kind)
{
	return strchr(kind, ':') && strncmp(kind, "attachment:", 11) != 0;
}

/* The kind that documents of this namespace have: a category's name, or the namespace itself. */
static const char *kind_of(const char *xmlns)
{
	const struct vd_category *category = vd_category_find(xmlns);

	return category ? category->name : xmlns;
}

static int refuse_history(struct vd_error *err)
{
	return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
			    "the history can't be set: each operation adds to it by itself");
}

/* The record of a document; damaged or not there at all is an error. */
static int find_document(struct vd_meta *meta, const char *kind, struct meta_record **out,
			 struct vd_error *err)
{
	struct meta_record *r = meta_find(meta, VD_RECORD_DOCUMENT, kind_of(kind), "");

	if (!r || !meta_is_there(r))
		return vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET,
				    "there is no document of category or namespace %.200s", kind);
	*out = r;
	return 0;
}

static int get_history(struct vd_meta *meta, char **bytes, size_t *len, struct vd_error *err)
{
	VD_AUTO_FREE uint8_t *raw = NULL;
	bool is_whole;
	size_t n;
	int ret = meta_read_chain(meta, &raw, &n, &is_whole, err);

	return ret ? ret : meta_chain_xml(vd_span(raw, n), bytes, len, err);
}

int vd_meta_get_document(struct vd_meta *meta, const char *kind, char **bytes, size_t *len,
			 struct vd_error *err)
{
	VD_AUTO_FREE char *own_kind = NULL;
	struct meta_record *r;
	uint8_t *raw;
	int ret;

	if (!strcmp(kind_of(kind), "history"))
		return get_history(meta, bytes, len, err);
	ret = find_document(meta, kind, &r, err);
	if (!ret)
		ret = meta_settle_doc(meta, r, err);
	if (ret)
		return ret;
	ret = meta_read_record(meta, r, &raw, len, err);
	if (ret == VD_ECORRUPT && !meta_has_changes(meta) && meta_look_again(meta)) {
		/* The kind may be that of the record, which goes. */
		own_kind = vd_strdup(kind);
		if (!own_kind)
			return vd_no_memory(err, strlen(kind), "a kind");
		ret = meta_load(meta, err);
		if (!ret)
			ret = find_document(meta, own_kind, &r, err);
		if (!ret)
			ret = meta_read_record(meta, r, &raw, len, err);
	}
	if (!ret)
		*bytes = (char *)raw;
	return ret;
}

void meta_put(struct vd_meta *meta, struct meta_record *record, struct meta_content *content)
{
	meta_begin_change(record);
	meta_content_free(&record->fresh);
	record->fresh = *content;
	memset(content, 0, sizeof(*content));
	record->is_changed = true;
	record->is_removed = false;
	meta_touch(meta);
}

void meta_drop_doc(struct meta_record *record)
{
	vd_doc_free(record->doc);
	record->doc = NULL;
	record->is_doc_ahead = false;
}

/* What a later version wrote isn't replaced by what this one knows. */
int meta_check_replaceable(const struct meta_record *record, struct vd_error *err)
{
	if (!record->is_stored || record->is_removed || record->pub.damage != VD_EUNSUPPORTED)
		return 0;
	return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
			    "%s: %s; it is kept as it is (remove it first to replace it)",
			    record->kind, record->damage_text);
}

static bool scope_of(const char *kind)
{
	const struct vd_category *category = vd_category_find(kind);

	/* A vendor's document is about the disk's content unless nobody knows better. */
	return category ? category->is_disk_scope : true;
}

static int put_bytes(struct vd_meta *meta, const char *kind, const char *bytes, size_t len,
		     struct vd_error *err)
{
	struct meta_content content;
	struct meta_record *r;
	int ret = meta_require(meta, VD_RECORD_DOCUMENT, kind, "", "", &r, err);

	if (!ret)
		ret = meta_check_replaceable(r, err);
	if (!ret)
		ret =
		    meta_pack(VD_RECORD_DOCUMENT, kind, scope_of(kind), bytes, len, &content, err);
	if (ret)
		return ret;
	meta_drop_doc(r);
	meta_put(meta, r, &content);
	return 0;
}

/* Parse and validate; *kind is what its root says (borrowed from *doc). */
static int parse_checked(struct vd_doc **doc, const char **kind, const char *bytes, size_t len,
			 vd_wrong_fn fn, void *user, struct vd_error *err)
{
	int ret = vd_doc_parse(doc, bytes, len, err);

	if (ret)
		return ret;
	*kind = kind_of(vd_doc_xmlns(*doc));
	ret = vd_doc_validate(*doc, fn, user, err);
	if (ret == VD_ENOENT) /* a vendor's: well-formed is all that is asked */
		ret = 0;
	if (ret) {
		vd_doc_free(*doc);
		*doc = NULL;
	}
	return ret;
}

int vd_meta_set_document(struct vd_meta *meta, const char *kind, const char *bytes, size_t len,
			 struct vd_error *err)
{
	struct vd_doc *doc = NULL;
	const char *is;
	int ret = meta_check_writable(meta, err);

	if (!ret)
		ret = parse_checked(&doc, &is, bytes, len, NULL, NULL, err);
	if (ret)
		return ret;
	if (!strcmp(is, "history"))
		ret = refuse_history(err);
	else if (kind && strcmp(kind_of(kind), is) != 0)
		ret = vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				   "the document's root element is of %s, not of %.200s",
				   *is ? is : "no namespace", kind);
	else if (!vd_category_find(is) && !meta_kind_is_vendor(is))
		ret = vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				   "a vendor's document needs a namespace that is a URI, for "
				   "example \"https://example.com/ns/1\"; its root has \"%.200s\"",
				   is);
	else
		ret = put_bytes(meta, is, bytes, len, err);
	vd_doc_free(doc);
	return ret;
}

int vd_meta_validate(const char *kind, const char *bytes, size_t len, vd_wrong_fn fn, void *user,
		     struct vd_error *err)
{
	struct vd_doc *doc = NULL;
	struct vd_error why = VD_ERROR_INIT;
	const char *is;
	int ret = vd_doc_parse(&doc, bytes, len, &why);

	if (ret) {
		if (fn)
			fn(user, 0, why.text);
		return vd_error_set(err, ret, 0, VD_NO_OFFSET, "%s", why.text);
	}
	is = kind_of(vd_doc_xmlns(doc));
	if (kind && strcmp(kind_of(kind), is) != 0)
		ret = vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				   "the root element is of %s, expected %.200s",
				   *is ? is : "no namespace", kind);
	if (ret && fn)
		fn(user, 1, "the root element is of another namespace");
	if (!ret)
		ret = vd_doc_validate(doc, fn, user, err);
	vd_doc_free(doc);
	return ret == VD_ENOENT ? 0 : ret;
}

int meta_settle_doc(struct vd_meta *meta, struct meta_record *record, struct vd_error *err)
{
	VD_AUTO_FREE char *bytes = NULL;
	struct meta_content content;
	size_t len;
	int ret;

	if (!record->is_doc_ahead)
		return 0;
	ret = vd_doc_format(record->doc, &bytes, &len, err);
	if (!ret)
		ret = vd_doc_validate(record->doc, NULL, NULL, err);
	if (ret == VD_ENOENT)
		ret = 0;
	if (!ret)
		ret = meta_pack(VD_RECORD_DOCUMENT, record->kind, scope_of(record->kind), bytes,
				len, &content, err);
	if (ret)
		return ret;
	/* The same content in another form: facts that were derived from it hold. */
	meta_content_free(&record->fresh);
	record->fresh = content;
	record->is_changed = true;
	record->is_doc_ahead = meta->is_shown = false;
	return 0;
}

int meta_parse(struct vd_meta *meta, struct meta_record *record, struct vd_doc **doc,
	       struct vd_error *err)
{
	VD_AUTO_FREE uint8_t *raw = NULL;
	size_t len;
	int ret;

	if (!record->doc) {
		ret = meta_check_replaceable(record, err);
		if (!ret)
			ret = meta_read_record(meta, record, &raw, &len, err);
		if (!ret)
			ret = vd_doc_parse(&record->doc, (const char *)raw, len, err);
		if (ret)
			return ret;
	}
	*doc = record->doc;
	return 0;
}

static void remove_record(struct vd_meta *meta, struct meta_record *r)
{
	meta_begin_change(r);
	meta_drop_doc(r);
	meta_content_free(&r->fresh);
	r->is_changed = false;
	r->is_removed = true;
	meta_touch(meta);
}

int vd_meta_remove(struct vd_meta *meta, const char *kind, struct vd_error *err)
{
	struct meta_record *r;
	int ret = meta_check_writable(meta, err);

	if (ret)
		return ret;
	if (!strncmp(kind, "attachment:", 11)) {
		r = meta_find(meta, VD_RECORD_ATTACHMENT, "", kind + 11);
		if (!r || !meta_is_there(r))
			return vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET,
					    "no file %.200s is attached", kind + 11);
		ret = meta_forget_file(meta, kind + 11, err);
	} else if (!strcmp(kind_of(kind), "history")) {
		r = meta_find(meta, VD_RECORD_HISTORY, "history", "");
		if (!r || !meta_is_there(r))
			return vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET, "there is no history");
	} else {
		ret = find_document(meta, kind, &r, err);
	}
	if (!ret)
		remove_record(meta, r);
	return ret;
}

int vd_meta_strip(struct vd_meta *meta, struct vd_error *err)
{
	int ret = meta_check_writable(meta, err);

	if (ret)
		return ret;
	for (size_t i = 0; i < meta->n_records; i++)
		if (meta->records[i]->pub.type != VD_RECORD_FOREIGN)
			remove_record(meta, meta->records[i]);
	meta->n_pending = 0;
	return 0;
}
