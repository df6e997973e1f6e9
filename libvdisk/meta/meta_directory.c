/* SPDX-License-Identifier: MIT */
/*
 * The directory that the facts record holds: what lies beside it, so that an opening needn't read
 * the head of each item. Does it fit what is there now? Documents and history are proven by their
 * heads, which lie in the stretch that was read anyhow; of attachments id, flags and length have
 * to do.
 */
#include <string.h>

#include "base/cleanup.h"
#include "meta/meta_loading.h"

/* The items of an entry are there, with the flags and the lengths that it tells of. */
static bool find_parts(struct loading *ld, const struct meta_entry *e, size_t *index)
{
	struct vd_meta *meta = ld->meta;
	uint64_t stored = 0;
	char key[META_KEY_MAX];

	meta_key(e->type, e->kind, e->name, key);
	for (uint32_t part = 1; part <= e->n_parts; part++) {
		size_t i = meta_find_item(meta, meta_part_id(key, part));

		if (i == meta->n_items || ld->is_claimed[i] ||
		    e->is_disk_scope != !!(meta->items[i].flags & VD_ITEM_VIRTUAL_DISK))
			return false;
		ld->is_claimed[i] = true;
		stored += meta->items[i].length;
		if (part == 1)
			*index = i;
	}
	return stored == e->stored_len;
}

static bool is_text(struct vd_span s, const char *text)
{
	return s.len == strlen(text) && !memcmp(s.p, text, s.len);
}

/* The head of its first part tells the same as the entry. */
static bool is_proven(struct vd_meta *meta, const struct meta_entry *e, const struct vd_item *item)
{
	uint8_t buf[META_HEAD_MAX];
	struct meta_head head;
	struct vd_span bytes;

	return !meta_read_head(meta, item, buf, &bytes, NULL) &&
	       !meta_head_decode(bytes, item->length, item->flags, &head, NULL) &&
	       head.type == e->type && head.part == 1 && head.n_parts == e->n_parts &&
	       head.whole_len == e->raw_len && !memcmp(head.whole_digest, e->digest, 32) &&
	       is_text(head.kind, e->kind) && is_text(head.name, e->name) &&
	       is_text(head.media, e->media);
}

static int add_entry(struct loading *ld, const struct meta_entry *e, size_t index,
		     struct vd_error *err)
{
	struct vd_meta *meta = ld->meta;
	struct meta_record *r;
	char key[META_KEY_MAX];
	int ret = meta_begin_record(ld, e->type, vd_span(e->kind, strlen(e->kind)),
				    vd_span(e->name, strlen(e->name)),
				    vd_span(e->media, strlen(e->media)), index, &r, err);

	if (ret)
		return ret;
	meta_key(e->type, e->kind, e->name, key);
	r->n_parts = e->n_parts;
	r->raw_len = e->raw_len;
	memcpy(r->digest, e->digest, 32);
	r->is_vouched = e->type == VD_RECORD_ATTACHMENT;
	for (uint32_t part = 2; !ret && part <= e->n_parts; part++)
		ret = meta_add_part(r, &meta->items[meta_find_item(meta, meta_part_id(key, part))],
				    err);
	return ret;
}

/* True: the directory fits. Attachments are taken by id, flags and length; all else is proven. */
static bool check_directory(struct loading *ld, size_t *index)
{
	const struct meta_facts *f = &ld->meta->stored;

	for (size_t i = 0; i < f->n_entries; i++) {
		const struct meta_entry *e = &f->entries[i];

		if (e->type == VD_RECORD_FACTS || !find_parts(ld, e, &index[i]))
			return false;
		if (e->type != VD_RECORD_ATTACHMENT &&
		    !is_proven(ld->meta, e, &ld->meta->items[index[i]]))
			return false;
	}
	return true;
}

int meta_use_directory(struct loading *ld, bool *fits, struct vd_error *err)
{
	const struct meta_facts *f = &ld->meta->stored;
	size_t n_items = ld->meta->n_items;
	VD_AUTO_FREE size_t *index = vd_calloc(f->n_entries + 1, sizeof(*index));
	VD_AUTO_FREE bool *before = vd_calloc(n_items + 1, sizeof(*before));
	int ret = 0;

	if (!index || !before)
		return vd_no_memory(err, f->n_entries * sizeof(*index), "a directory");
	memcpy(before, ld->is_claimed, n_items * sizeof(*before));
	*fits = check_directory(ld, index);
	if (!*fits)
		memcpy(ld->is_claimed, before, n_items * sizeof(*before));
	for (size_t i = 0; *fits && !ret && i < f->n_entries; i++)
		ret = add_entry(ld, &f->entries[i], index[i], err);
	return ret;
}
