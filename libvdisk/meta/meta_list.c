/* SPDX-License-Identifier: MIT */
/* Records as callers see them: in an order for people, with the changes not committed yet. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "meta/meta_handle.h"

void meta_touch(struct vd_meta *meta)
{
	meta->is_shown = false;
	meta->has_derived = false;
	meta_facts_free(&meta->derived);
}

int meta_complete(struct vd_meta *meta, struct vd_error *err)
{
	return meta->is_partial ? meta_load(meta, err) : 0;
}

int meta_check_writable(const struct vd_meta *meta, struct vd_error *err)
{
	/* What couldn't be read would be taken for gone, and overwritten. */
	if (meta->is_writable && meta->is_partial)
		return vd_error_set(err, VD_EIO, 0, VD_NO_OFFSET,
				    "the metadata couldn't be read again after the last change; "
				    "vd_meta_revert tries once more");
	if (meta->is_writable)
		return 0;
	return vd_error_set(err, VD_EROFS, 0, VD_NO_OFFSET,
			    "the metadata was opened for reading only");
}

bool meta_has_changes(const struct vd_meta *meta)
{
	for (size_t i = 0; i < meta->n_records; i++) {
		const struct meta_record *r = meta->records[i];

		if (r->is_changed || r->is_doc_ahead || (r->is_removed && r->is_stored))
			return true;
	}
	return meta->n_pending > 0;
}

static unsigned rank(const struct vd_record *r)
{
	static const unsigned of_type[] = {
	    [VD_RECORD_FOREIGN] = 2005, [VD_RECORD_DOCUMENT] = 1000,   [VD_RECORD_FACTS] = 2003,
	    [VD_RECORD_HISTORY] = 2001, [VD_RECORD_ATTACHMENT] = 2000, [VD_RECORD_SUBJECT] = 2002,
	};
	const struct vd_category *category;

	if (!*r->kind && !*r->name && r->type != VD_RECORD_FOREIGN)
		return 2004;
	if (r->type == VD_RECORD_DOCUMENT)
		for (unsigned i = 0; (category = vd_category_at(i)); i++)
			if (!strcmp(category->name, r->kind))
				return i;
	return r->type <= VD_RECORD_SUBJECT ? of_type[r->type] : 2004;
}

static int compare(const void *a, const void *b)
{
	const struct vd_record *x = &(*(struct meta_record *const *)a)->pub;
	const struct vd_record *y = &(*(struct meta_record *const *)b)->pub;
	unsigned i = rank(x), j = rank(y);
	int order = (i > j) - (i < j);

	if (!order)
		order = strcmp(x->name, y->name);
	if (!order)
		order = strcmp(x->kind, y->kind);
	return order ? order : memcmp(x->id, y->id, 16);
}

static void show_one(struct meta_record *r)
{
	char key[META_KEY_MAX];

	if (r->is_changed) {
		r->pub.is_disk_scope = r->fresh.is_disk_scope;
		r->pub.n_parts = r->fresh.n;
		r->pub.stored_len = r->fresh.stored_len;
		r->pub.raw_len = r->fresh.raw_len;
		memcpy(r->pub.digest, r->fresh.digest, 32);
		meta_key(r->pub.type, r->kind, r->name, key);
		memcpy(r->pub.id, meta_part_id(key, 1).b, 16);
		r->pub.damage = 0;
		r->pub.damage_text = NULL;
	} else {
		r->pub.is_disk_scope = r->is_disk_scope;
		r->pub.n_parts = r->n_parts;
		r->pub.stored_len = r->stored_len;
		r->pub.raw_len = r->pub.type == VD_RECORD_FOREIGN ? r->stored_len : r->raw_len;
		memcpy(r->pub.digest, r->digest, 32);
		r->pub.damage_text = r->pub.damage ? r->damage_text : NULL;
	}
}

const struct vd_record *vd_meta_record(struct vd_meta *meta, size_t i)
{
	if (!meta->is_shown) {
		const struct meta_record **of =
		    vd_realloc(meta->shown_of, (meta->n_records + 1) * sizeof(*of));

		if (!of)
			return NULL;
		meta->shown_of = of;
		meta->n_shown = 0;
		for (size_t j = 0; j < meta->n_records; j++) {
			struct meta_record *r = meta->records[j];

			/* A document that can't be packed is found out by the commit. */
			if (r->is_doc_ahead)
				meta_settle_doc(meta, r, NULL);
			if (!meta_is_there(r))
				continue;
			show_one(r);
			of[meta->n_shown++] = r;
		}
		if (meta->n_shown)
			qsort(of, meta->n_shown, sizeof(*of), compare);
		meta->is_shown = true;
	}
	return i < meta->n_shown ? &meta->shown_of[i]->pub : NULL;
}

void vd_meta_get_info(struct vd_meta *meta, struct vd_meta_info *info)
{
	struct vd_meta_info own = {0};
	uint32_t size = info->size < sizeof(own) ? info->size : (uint32_t)sizeof(own);

	own.size = size;
	own.place = meta->place;
	own.sidecar = meta->sidecar;
	own.mismatch = meta->trouble ? meta->trouble : meta->mismatch;
	own.stored_bytes = meta->stored_bytes;
	own.has_stale_facts = meta->is_stale;
	own.has_changes = meta_has_changes(meta);
	own.n_history = meta->stored.history_len;
	own.n_damaged = meta->trouble ? 1 : 0;
	for (size_t i = 0; i < meta->n_records; i++) {
		const struct meta_record *r = meta->records[i];

		if (!meta_is_there(r))
			continue;
		own.n_records++;
		if (r->pub.type == VD_RECORD_FOREIGN)
			own.n_foreign++;
		else if (meta_is_damaged(r))
			own.n_damaged++;
		if (r->pub.type != VD_RECORD_FOREIGN && r->is_stored)
			own.has_ours = true;
	}
	memcpy(info, &own, size);
}

void meta_begin_change(struct meta_record *record)
{
	if (record->has_base)
		return;
	record->has_base = true;
	record->was_stored = record->is_stored;
	memcpy(record->base_digest, record->digest, 32);
}
