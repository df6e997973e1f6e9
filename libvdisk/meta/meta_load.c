/* SPDX-License-Identifier: MIT */
/*
 * From items to records. If there is a facts record whose directory fits the metadata table, and
 * the documents that lie beside it, that is all that is read; what it can't vouch for, and
 * everything if it doesn't fit, is told by the head of each item.
 */
#include <string.h>

#include "base/cleanup.h"
#include "meta/meta_loading.h"

#define LOOKS_MAX 2u

void meta_record_free(struct meta_record *record)
{
	if (!record)
		return;
	vd_free(record->kind);
	vd_free(record->name);
	vd_free(record->media);
	vd_free(record->told_media);
	vd_free(record->damage_text);
	vd_free(record->parts);
	meta_content_free(&record->fresh);
	vd_doc_free(record->doc);
	vd_free(record);
}

static char *dup_span(struct vd_span s)
{
	char *text = vd_malloc(s.len + 1);

	if (!text)
		return NULL;
	if (s.len)
		memcpy(text, s.p, s.len);
	text[s.len] = '\0';
	return text;
}

int meta_add_record(struct vd_meta *meta, enum vd_record_type type, struct vd_span kind,
		    struct vd_span name, struct vd_span media, struct meta_record **out,
		    struct vd_error *err)
{
	struct meta_record *r = vd_calloc(1, sizeof(*r));

	if (!r)
		return vd_no_memory(err, sizeof(*r), "a record");
	r->kind = dup_span(kind);
	r->name = dup_span(name);
	r->media = dup_span(media);
	if (meta->n_records == meta->n_room && r->kind && r->name && r->media) {
		size_t room = meta->n_room ? 2 * meta->n_room : 16;
		void *more = vd_realloc(meta->records, room * sizeof(struct meta_record *));

		if (more) {
			meta->records = more;
			meta->n_room = room;
		}
	}
	if (!r->kind || !r->name || !r->media || meta->n_records == meta->n_room) {
		meta_record_free(r);
		return vd_no_memory(err, sizeof(*r), "a record");
	}
	r->pub.type = type;
	r->pub.kind = r->kind;
	r->pub.name = r->name;
	r->pub.media_type = r->media;
	meta->records[meta->n_records++] = r;
	*out = r;
	return 0;
}

struct meta_record *meta_find(const struct vd_meta *meta, enum vd_record_type type,
			      const char *kind, const char *name)
{
	for (size_t i = 0; i < meta->n_records; i++) {
		struct meta_record *r = meta->records[i];

		if (r->pub.type != type)
			continue;
		if (type == VD_RECORD_ATTACHMENT ? *name && !strcmp(r->name, name)
						 : *kind && !strcmp(r->kind, kind))
			return r;
	}
	return NULL;
}

int meta_require(struct vd_meta *meta, enum vd_record_type type, const char *kind, const char *name,
		 const char *media, struct meta_record **out, struct vd_error *err)
{
	*out = meta_find(meta, type, kind, name);
	if (*out)
		return 0;
	return meta_add_record(meta, type, vd_span(kind, strlen(kind)), vd_span(name, strlen(name)),
			       vd_span(media, strlen(media)), out, err);
}

/* ---- one item, or the parts that follow it ---- */

int meta_add_part(struct meta_record *r, const struct vd_item *item, struct vd_error *err)
{
	struct vd_item *more = vd_realloc(r->parts, (r->n_stored + 1) * sizeof(*more));

	if (!more)
		return vd_no_memory(err, sizeof(*more), "a record");
	r->parts = more;
	r->parts[r->n_stored++] = *item;
	r->stored_len += item->length;
	return 0;
}

int meta_begin_record(struct loading *ld, enum vd_record_type type, struct vd_span kind,
		      struct vd_span name, struct vd_span media, size_t index,
		      struct meta_record **out, struct vd_error *err)
{
	const struct vd_item *item = &ld->meta->items[index];
	VD_AUTO_FREE char *kind_text = dup_span(kind), *name_text = dup_span(name);
	struct meta_record *r;
	int ret = 0;

	if (!kind_text || !name_text)
		return vd_no_memory(err, kind.len + name.len, "a record");
	r = type == VD_RECORD_FOREIGN ? NULL : meta_find(ld->meta, type, kind_text, name_text);
	if (!r || r->is_stored)
		ret = meta_add_record(ld->meta, type, kind, name, media, &r, err);
	if (ret)
		return ret;
	r->is_stored = true;
	r->is_disk_scope = item->flags & VD_ITEM_VIRTUAL_DISK;
	r->n_parts = 1;
	memcpy(r->pub.id, item->id, 16);
	ld->is_claimed[index] = true;
	*out = r;
	return meta_add_part(r, item, err);
}

size_t meta_find_item(const struct vd_meta *meta, struct vd_guid id)
{
	size_t i = 0;

	while (i < meta->n_items && memcmp(meta->items[i].id, id.b, 16) != 0)
		i++;
	return i;
}

/* The head of part `part` has to tell of the same record as that of the first. */
static int check_sibling(struct vd_meta *meta, const struct vd_item *item,
			 const struct meta_head *first, uint32_t part, uint64_t *raw_len,
			 struct vd_error *err)
{
	uint8_t buf[META_HEAD_MAX];
	struct meta_head head;
	struct vd_span bytes;
	int ret = meta_read_head(meta, item, buf, &bytes, err);

	if (!ret)
		ret = meta_head_decode(bytes, item->length, item->flags, &head, err);
	if (ret == VD_ENOENT ||
	    (!ret && (head.part != part || head.type != first->type ||
		      head.n_parts != first->n_parts || head.whole_len != first->whole_len ||
		      memcmp(head.whole_digest, first->whole_digest, 32) != 0)))
		return vd_error_set(err, VD_ECORRUPT, 0, item->offset,
				    "part %u of %u belongs to another record", part,
				    first->n_parts);
	if (!ret)
		*raw_len += head.raw_len;
	return ret;
}

static bool is_fatal(int code)
{
	return code == VD_ENOMEM || code == VD_EIO || code == VD_ECANCELED || code == VD_ETIMEDOUT;
}

/* The parts behind the first one; what is wrong with them is the record's damage. */
static int gather_parts(struct loading *ld, struct meta_record *r, const struct meta_head *head,
			const char *key, struct vd_error *err)
{
	struct vd_error why = VD_ERROR_INIT;
	struct vd_meta *meta = ld->meta;
	uint64_t raw_len = head->raw_len;
	int ret = 0;

	for (uint32_t part = 2; !ret && part <= head->n_parts; part++) {
		size_t i = meta_find_item(meta, meta_part_id(key, part));

		if (i == meta->n_items || ld->is_claimed[i]) {
			ret = vd_error_set(&why, VD_ECORRUPT, 0, VD_NO_OFFSET,
					   "part %u of %u is missing", part, head->n_parts);
			break;
		}
		ret = check_sibling(meta, &meta->items[i], head, part, &raw_len, &why);
		if (is_fatal(ret))
			return vd_error_set(err, ret, why.sys_errno, why.offset, "%s", why.text);
		ld->is_claimed[i] = true;
		if (meta_add_part(r, &meta->items[i], err))
			return VD_ENOMEM;
	}
	if (!ret && raw_len != head->whole_len)
		ret = vd_error_set(&why, VD_ECORRUPT, 0, VD_NO_OFFSET,
				   "the parts are not as long as the whole is said to be");
	if (ret)
		meta_set_damage(r, &why);
	return 0;
}

static int add_broken(struct loading *ld, size_t index, const char *kind, const char *name,
		      enum vd_record_type type, const struct vd_error *why, struct vd_error *err)
{
	const struct vd_span none = {(const uint8_t *)"", 0};
	struct meta_record *r;
	int ret = meta_begin_record(ld, type, vd_span(kind, strlen(kind)),
				    vd_span(name, strlen(name)), none, index, &r, err);

	if (!ret)
		meta_set_damage(r, why);
	return ret;
}

/* An id that only records of ours have. */
static bool is_known_id(const uint8_t id[16], const char **kind, enum vd_record_type *type)
{
	static const struct {
		const char *kind;
		enum vd_record_type type;
	} fixed[] = {{"facts", VD_RECORD_FACTS},
		     {"history", VD_RECORD_HISTORY},
		     {"subject", VD_RECORD_SUBJECT}};
	const struct vd_category *category;

	for (size_t i = 0; i < 3; i++) {
		*kind = fixed[i].kind;
		*type = fixed[i].type;
		if (!memcmp(meta_part_id(*kind, 1).b, id, 16))
			return true;
	}
	*type = VD_RECORD_DOCUMENT;
	for (size_t i = 0; (category = vd_category_at(i)); i++) {
		*kind = category->name;
		if (!memcmp(meta_part_id(*kind, 1).b, id, 16))
			return true;
	}
	*kind = "";
	return false;
}

/* The directory in the facts doesn't fit, but knows whose id this is. */
static const struct meta_entry *find_told(const struct loading *ld, const uint8_t id[16])
{
	const struct meta_facts *f = &ld->meta->stored;
	char key[META_KEY_MAX];

	for (size_t i = 0; ld->is_misfit && i < f->n_entries; i++) {
		meta_key(f->entries[i].type, f->entries[i].kind, f->entries[i].name, key);
		if (!memcmp(meta_part_id(key, 1).b, id, 16))
			return &f->entries[i];
	}
	return NULL;
}

/* An item whose head can't be used. */
static int take_broken(struct loading *ld, size_t index, int code, struct vd_error *why,
		       struct vd_error *err)
{
	const struct vd_span none = {(const uint8_t *)"", 0};
	const struct vd_item *item = &ld->meta->items[index];
	const struct meta_entry *told = NULL;
	enum vd_record_type type;
	struct meta_record *r;
	const char *kind;
	bool is_known = is_known_id(item->id, &kind, &type);

	if (!is_known && (told = find_told(ld, item->id))) {
		is_known = true;
		kind = told->kind;
		type = told->type;
	}
	if (code == VD_ENOENT && !is_known)
		return meta_begin_record(ld, VD_RECORD_FOREIGN, none, none, none, index, &r, err);
	if (code == VD_ENOENT)
		vd_error_set(why, VD_ECORRUPT, 0, item->offset,
			     "its item has no envelope: it was overwritten, or written by a "
			     "program that knows none");
	return add_broken(ld, index, kind, told ? told->name : "", type, why, err);
}

static int take_first(struct loading *ld, size_t index, const struct meta_head *head,
		      struct vd_error *err)
{
	struct vd_error why = VD_ERROR_INIT;
	struct meta_record *r;
	char key[META_KEY_MAX];
	VD_AUTO_FREE char *kind = dup_span(head->kind), *name = dup_span(head->name);
	int ret;

	if (!kind || !name)
		return vd_no_memory(err, head->kind.len + head->name.len, "a record");
	meta_key(head->type, kind, name, key);
	if (memcmp(meta_part_id(key, 1).b, ld->meta->items[index].id, 16) != 0) {
		vd_error_set(&why, VD_ECORRUPT, 0, ld->meta->items[index].offset,
			     "the item says it is %s, but doesn't lie under the id of that", key);
		return add_broken(ld, index, "", "", head->type, &why, err);
	}
	ret =
	    meta_begin_record(ld, head->type, head->kind, head->name, head->media, index, &r, err);
	if (ret)
		return ret;
	r->n_parts = head->n_parts;
	r->raw_len = head->whole_len;
	memcpy(r->digest, head->whole_digest, 32);
	if (head->type != VD_RECORD_FACTS)
		ld->has_more = true;
	return gather_parts(ld, r, head, key, err);
}

/* Tell what an item is by its head. Parts behind the first wait until `is_last`. */
static int classify(struct loading *ld, size_t index, bool is_last, struct vd_error *err)
{
	const struct vd_item *item = &ld->meta->items[index];
	struct vd_error why = VD_ERROR_INIT;
	uint8_t buf[META_HEAD_MAX];
	struct meta_head head;
	struct vd_span bytes;
	int ret = meta_read_head(ld->meta, item, buf, &bytes, err);

	if (ret)
		return ret;
	ret = meta_head_decode(bytes, item->length, item->flags, &head, &why);
	if (ret)
		return take_broken(ld, index, ret, &why, err);
	if (head.part == 1)
		return take_first(ld, index, &head, err);
	if (!is_last)
		return 0;
	vd_error_set(&why, VD_ECORRUPT, 0, item->offset,
		     "part %u of a record whose others are "
		     "missing",
		     head.part);
	return add_broken(ld, index, "", "", head.type, &why, err);
}

/* ---- all of it ---- */

static int read_facts(struct vd_meta *meta, struct vd_error *err)
{
	struct meta_record *r = meta_find(meta, VD_RECORD_FACTS, "facts", "");
	struct vd_error why = VD_ERROR_INIT;
	VD_AUTO_FREE uint8_t *raw = NULL;
	size_t len;
	int ret;

	if (!r || r->pub.damage)
		return 0;
	ret = meta_read_record(meta, r, &raw, &len, &why);
	if (!ret)
		ret = meta_facts_decode(&meta->stored, vd_span(raw, len), &why);
	if (is_fatal(ret))
		return vd_error_set(err, ret, why.sys_errno, why.offset, "%s", why.text);
	meta->has_stored = !ret;
	if (ret && !r->pub.damage)
		meta_set_damage(r, &why);
	return 0;
}

static int load_items(struct loading *ld, struct vd_error *err)
{
	struct vd_meta *meta = ld->meta;
	size_t facts = meta_find_item(meta, meta_part_id("facts", 1));
	bool fits = false, has_documents = false;
	int ret = 0;

	meta_read_window(meta, facts < meta->n_items ? &meta->items[facts] : NULL);
	if (facts < meta->n_items)
		ret = classify(ld, facts, true, err);
	if (!ret)
		ret = read_facts(meta, err);
	if (!ret && meta->has_stored)
		ret = meta_use_directory(ld, &fits, err);
	ld->is_misfit = meta->has_stored && !fits;
	ld->has_more = false;
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; !ret && i < meta->n_items; i++)
			if (!ld->is_claimed[i])
				ret = classify(ld, i, pass == 1, err);
	for (size_t i = 0; i < meta->n_records; i++)
		if (meta->records[i]->is_stored && meta->records[i]->pub.type == VD_RECORD_DOCUMENT)
			has_documents = true;
	meta->is_stale = meta->has_stored ? !fits || ld->has_more : has_documents;
	return ret;
}

/* Forget what was read; records that wait to be stored stay, as new ones. */
static void forget(struct vd_meta *meta)
{
	size_t n = 0;

	meta_facts_free(&meta->stored);
	meta->has_stored = meta->is_stale = false;
	vd_items_free(meta->items);
	meta->items = NULL;
	meta->n_items = 0;
	meta->stored_bytes = 0;
	for (size_t i = 0; i < meta->n_records; i++) {
		struct meta_record *r = meta->records[i];

		if (r->is_changed || r->is_doc_ahead || r->is_removed) {
			vd_free(r->parts);
			r->parts = NULL;
			r->n_stored = 0;
			r->stored_len = 0;
			r->is_stored = r->is_vouched = false;
			r->pub.damage = 0;
			meta->records[n++] = r;
		} else {
			meta_record_free(r);
		}
	}
	meta->n_records = n;
	meta_touch(meta);
}

static bool has_damage(const struct vd_meta *meta)
{
	for (size_t i = 0; i < meta->n_records; i++)
		if (meta->records[i]->is_stored && meta->records[i]->pub.damage == VD_ECORRUPT)
			return true;
	return false;
}

bool meta_look_again(struct vd_meta *meta)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_disk_info info = {.size = sizeof(info)};
	struct vd_disk *fresh, *source = meta_source(meta);

	if (!source || meta->n_looks >= LOOKS_MAX || !*vd_disk_path(source))
		return false;
	vd_disk_get_info(source, &info);
	if (!info.is_read_only)
		return false;
	meta->n_looks++;
	opts.flags = VD_OPEN_LOOK | VD_OPEN_NO_PARENTS;
	opts.format = VD_FORMAT_VHDX;
	if (vd_disk_open(&fresh, vd_disk_path(source), &opts, NULL))
		return false;
	if (meta->own)
		vd_disk_close(meta->own, NULL);
	meta->own = fresh;
	return true;
}

int meta_load(struct vd_meta *meta, struct vd_error *err)
{
	int ret = 0, subject;

	do {
		struct loading ld = {.meta = meta};

		forget(meta);
		meta->is_partial = meta_source(meta);
		if (!meta->is_partial)
			return 0;
		ret = vd_disk_list_items(meta_source(meta), &meta->items, &meta->n_items, err);
		if (ret)
			return ret;
		for (size_t i = 0; i < meta->n_items; i++)
			meta->stored_bytes += meta->items[i].length;
		ld.is_claimed = vd_calloc(meta->n_items + 1, sizeof(bool));
		if (!ld.is_claimed)
			return vd_no_memory(err, meta->n_items, "a directory");
		ret = load_items(&ld, err);
		vd_free(ld.is_claimed);
	} while (!ret && has_damage(meta) && meta_look_again(meta));
	subject = meta_check_subject(meta, ret ? NULL : err);
	ret = ret ? ret : subject;
	meta->is_partial = ret;
	return ret;
}
