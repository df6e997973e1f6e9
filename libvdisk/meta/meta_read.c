/* SPDX-License-Identifier: MIT */
/*
 * Bytes of items and records. A commit puts facts, history and small documents side by side, so
 * an opening reads that stretch of the file at once (the window) and most records come from it.
 */
#include <string.h>

#include <vdisk/sys/io.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "meta/meta_handle.h"

#define GAP_MAX (16u << 10) /* between items of one window */

struct vd_disk *meta_source(const struct vd_meta *meta)
{
	if (meta->own)
		return meta->own;
	return meta->place == VD_META_ITEMS ? meta->disk : NULL;
}

static int by_offset(const struct vd_item *a, const struct vd_item *b)
{
	return (a->offset > b->offset) - (a->offset < b->offset);
}

/* How far the stretch that begins at `start` goes: items close to each other, up to the bound. */
static uint64_t stretch_end(const struct vd_meta *meta, uint64_t start)
{
	uint64_t end = start;

	for (;;) {
		const struct vd_item *next = NULL;

		for (size_t i = 0; i < meta->n_items; i++) {
			const struct vd_item *item = &meta->items[i];

			if (item->length && item->offset >= end &&
			    (!next || by_offset(item, next) < 0))
				next = item;
		}
		if (!next || next->offset - end > GAP_MAX ||
		    next->offset + next->length - start > META_RUN_MAX)
			return end;
		end = next->offset + next->length;
	}
}

void meta_read_window(struct vd_meta *meta, const struct vd_item *first)
{
	struct vd_disk_info info = {.size = sizeof(info)};
	struct vd_disk *disk = meta_source(meta);
	uint64_t start = first ? first->offset : UINT64_MAX, end;

	vd_free(meta->window.bytes);
	memset(&meta->window, 0, sizeof(meta->window));
	vd_disk_get_info(disk, &info);
	/* Read-only over a log that wasn't replayed, the file itself is not the truth. */
	if (info.is_read_only && info.has_dirty_log)
		return;
	for (size_t i = 0; !first && i < meta->n_items; i++)
		if (meta->items[i].length && meta->items[i].offset < start)
			start = meta->items[i].offset;
	if (start == UINT64_MAX)
		return;
	end = stretch_end(meta, start);
	if (end == start)
		return;
	meta->window.bytes = vd_malloc(end - start);
	if (!meta->window.bytes ||
	    vd_io_read(vd_disk_io(disk), meta->window.bytes, end - start, start, NULL)) {
		/* Items are read one by one then, which says what is wrong. */
		vd_free(meta->window.bytes);
		meta->window.bytes = NULL;
		return;
	}
	meta->window.off = start;
	meta->window.len = (uint32_t)(end - start);
}

static bool in_window(const struct vd_meta *meta, const struct vd_item *item, uint32_t len,
		      struct vd_span *bytes)
{
	if (!meta->window.bytes || item->offset < meta->window.off)
		return false;
	return vd_span_sub(vd_span(meta->window.bytes, meta->window.len),
			   item->offset - meta->window.off, len, bytes);
}

int meta_read_head(struct vd_meta *meta, const struct vd_item *item, uint8_t buf[META_HEAD_MAX],
		   struct vd_span *head, struct vd_error *err)
{
	uint32_t len = (uint32_t)vd_min64(item->length, META_HEAD_MAX);
	int ret;

	if (in_window(meta, item, len, head))
		return 0;
	*head = vd_span(buf, len);
	ret = len ? vd_disk_read_item(meta_source(meta), item->id, buf, len, 0, err) : 0;
	return ret;
}

int meta_read_item(struct vd_meta *meta, const struct vd_item *item, uint8_t **own,
		   struct vd_span *bytes, struct vd_error *err)
{
	VD_AUTO_FREE uint8_t *buf = NULL;
	int ret;

	*own = NULL;
	if (in_window(meta, item, item->length, bytes))
		return 0;
	if (item->length > VD_ITEM_MAX)
		return vd_error_set(err, VD_ECORRUPT, 0, item->offset, "an item of %u bytes",
				    item->length);
	buf = vd_malloc(item->length + 1);
	if (!buf)
		return vd_no_memory(err, item->length, "an item");
	ret = vd_disk_read_item(meta_source(meta), item->id, buf, item->length, 0, err);
	if (ret)
		return ret;
	*bytes = vd_span(buf, item->length);
	*own = VD_TAKE(buf);
	return 0;
}

void meta_set_damage(struct meta_record *record, const struct vd_error *why)
{
	record->pub.damage = why->code ? why->code : VD_ECORRUPT;
	vd_free(record->damage_text);
	record->damage_text = vd_strdup(why->text[0] ? why->text : "damaged");
	record->pub.damage_text = record->damage_text ? record->damage_text : "damaged";
}

static bool span_is(struct vd_span s, const char *text)
{
	return s.len == strlen(text) && !memcmp(s.p, text, s.len);
}

/* The head that was read now has to be that of the record as it was found. */
static int check_part(const struct meta_record *r, const struct meta_head *head, uint32_t part,
		      struct vd_error *err)
{
	if (head->type == r->pub.type && head->part == part && head->n_parts == r->n_parts &&
	    head->whole_len == r->raw_len && !memcmp(head->whole_digest, r->digest, 32) &&
	    span_is(head->kind, r->pub.kind) && span_is(head->name, r->pub.name))
		return 0;
	return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
			    "part %u belongs to another record than the one that is listed", part);
}

struct taking {
	uint8_t *raw; /* of a part, with room for the longest so far */
	uint32_t room;
	crypto_generichash_state state;
	uint64_t n, limit; /* bytes so far, and in all */
	vd_sink_fn sink;
	void *user;
};

static int take_part(struct taking *t, struct vd_span item, const struct meta_head *head,
		     struct vd_error *err)
{
	int ret;

	if (head->raw_len > t->limit - t->n)
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "its parts are longer than the whole is said to be");
	if (head->raw_len >= t->room) {
		vd_free(t->raw);
		t->room = head->raw_len + 1;
		t->raw = vd_malloc(t->room);
	}
	if (!t->raw)
		return vd_no_memory(err, t->room, "a record");
	ret = meta_part_unpack(item, head, t->raw, err);
	if (ret)
		return ret;
	crypto_generichash_update(&t->state, t->raw, head->raw_len);
	t->n += head->raw_len;
	return head->raw_len ? t->sink(t->user, t->raw, head->raw_len, err) : 0;
}

static void begin_taking(struct taking *t, uint64_t limit, vd_sink_fn sink, void *user)
{
	memset(t, 0, sizeof(*t));
	t->limit = limit;
	t->sink = sink;
	t->user = user;
	crypto_generichash_init(&t->state, NULL, 0, 32);
}

static int end_taking(struct taking *t, uint64_t raw_len, const uint8_t digest[32],
		      struct vd_error *err)
{
	uint8_t is[32];

	crypto_generichash_final(&t->state, is, 32);
	if (t->n == raw_len && !memcmp(is, digest, 32))
		return 0;
	return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
			    "its parts don't make the whole that their heads tell of");
}

static int read_one(struct vd_meta *meta, const struct meta_record *r, uint32_t i, struct taking *t,
		    struct vd_error *err)
{
	VD_AUTO_FREE uint8_t *own = NULL;
	struct meta_head head;
	struct vd_span bytes;
	int ret = meta_read_item(meta, &r->parts[i], &own, &bytes, err);

	if (!ret) {
		struct vd_span first = bytes;

		if (first.len > META_HEAD_MAX)
			first.len = META_HEAD_MAX;
		ret = meta_head_decode(first, r->parts[i].length, r->parts[i].flags, &head, err);
		if (ret == VD_ENOENT)
			ret = vd_error_set(err, VD_ECORRUPT, 0, r->parts[i].offset,
					   "the item has no envelope any more");
	}
	if (!ret)
		ret = check_part(r, &head, i + 1, err);
	if (!ret)
		ret = take_part(t, bytes, &head, err);
	return ret;
}

static const char *label_of(const struct meta_record *r)
{
	return *r->name ? r->name : *r->kind ? r->kind : "a record";
}

static int set_media(struct meta_record *r, struct vd_span media, struct vd_error *err)
{
	char *text;

	if (span_is(media, r->media))
		return 0;
	text = vd_malloc(media.len + 1);
	if (!text)
		return vd_no_memory(err, media.len + 1, "a media type");
	memcpy(text, media.p, media.len);
	text[media.len] = '\0';
	vd_free(r->told_media);
	r->told_media = r->media;
	r->pub.media_type = r->media = text;
	return 0;
}

/* The directory in the facts spoke for it; the head of its first part knows better. */
int meta_confirm(struct vd_meta *meta, struct meta_record *r, struct vd_error *err)
{
	uint8_t buf[META_HEAD_MAX];
	struct meta_head head;
	struct vd_span bytes;
	int ret;

	if (!r->is_vouched)
		return 0;
	ret = meta_read_head(meta, &r->parts[0], buf, &bytes, err);
	/* What else is wrong with it is told by who reads it. */
	if (ret || meta_head_decode(bytes, r->parts[0].length, r->parts[0].flags, &head, NULL))
		return ret;
	r->raw_len = head.whole_len;
	memcpy(r->digest, head.whole_digest, 32);
	r->is_vouched = meta->is_shown = false;
	return set_media(r, head.media, err);
}

int meta_read_parts(struct vd_meta *meta, struct meta_record *record, vd_sink_fn sink, void *user,
		    struct vd_error *err)
{
	struct vd_error why = VD_ERROR_INIT;
	struct taking t;
	int ret;

	if (record->pub.damage)
		return vd_error_set(err, record->pub.damage, 0, VD_NO_OFFSET, "%s: %s",
				    label_of(record), record->damage_text);
	ret = meta_confirm(meta, record, err);
	if (ret)
		return ret;
	begin_taking(&t, record->raw_len, sink, user);
	for (uint32_t i = 0; !ret && i < record->n_stored; i++)
		ret = read_one(meta, record, i, &t, &why);
	if (!ret)
		ret = end_taking(&t, record->raw_len, record->digest, &why);
	vd_free(t.raw);
	if (!ret)
		return 0;
	if (ret == VD_ECORRUPT || ret == VD_EUNSUPPORTED)
		meta_set_damage(record, &why);
	return vd_error_set(err, ret, why.sys_errno, why.offset, "%s: %s", label_of(record),
			    why.text);
}

int meta_unpack_blobs(const struct meta_content *content, vd_sink_fn sink, void *user,
		      struct vd_error *err)
{
	struct meta_head head;
	struct taking t;
	int ret = 0;

	begin_taking(&t, content->raw_len, sink, user);
	for (uint32_t i = 0; !ret && i < content->n; i++) {
		struct vd_span bytes = vd_span(content->blobs[i].bytes, content->blobs[i].len);
		struct vd_span first = bytes;

		if (first.len > META_HEAD_MAX)
			first.len = META_HEAD_MAX;
		ret =
		    meta_head_decode(first, content->blobs[i].len,
				     content->is_disk_scope ? VD_ITEM_VIRTUAL_DISK : 0, &head, err);
		if (!ret)
			ret = take_part(&t, bytes, &head, err);
	}
	if (!ret)
		ret = end_taking(&t, content->raw_len, content->digest, err);
	vd_free(t.raw);
	return ret;
}

struct buffer {
	uint8_t *p;
	size_t len, room;
};

static int to_buffer(void *user, const void *bytes, size_t len, struct vd_error *err)
{
	struct buffer *b = user;

	if (len > b->room - b->len)
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "more bytes than its head tells of");
	memcpy(b->p + b->len, bytes, len);
	b->len += len;
	return 0;
}

int meta_read_record(struct vd_meta *meta, struct meta_record *record, uint8_t **raw, size_t *len,
		     struct vd_error *err)
{
	uint64_t want = record->is_changed ? record->fresh.raw_len : record->raw_len;
	struct buffer b = {0};
	int ret;

	if (want > META_FACTS_RAW)
		return vd_error_set(err, VD_ENOSPC, 0, VD_NO_OFFSET,
				    "%s: too long to be held in memory", record->pub.kind);
	b.room = (size_t)want;
	b.p = vd_malloc(b.room + 1);
	if (!b.p)
		return vd_no_memory(err, b.room + 1, "a record");
	ret = record->is_changed ? meta_unpack_blobs(&record->fresh, to_buffer, &b, err)
				 : meta_read_parts(meta, record, to_buffer, &b, err);
	if (ret) {
		vd_free(b.p);
		return ret;
	}
	b.p[b.len] = '\0';
	*raw = b.p;
	*len = b.len;
	return 0;
}
