/* SPDX-License-Identifier: MIT */
/* The facts record, from and to bytes. Hostile when it comes from an image. */
#include "meta/meta_facts.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "meta/meta_envelope.h"

#define POOL_MAX ((size_t)META_FACTS_RAW)

void meta_facts_free(struct meta_facts *facts)
{
	vd_free(facts->pool);
	vd_free(facts->facts);
	vd_free(facts->entries);
	memset(facts, 0, sizeof(*facts));
}

int meta_fact_compare(const struct vd_fact *a, const struct vd_fact *b)
{
	int order = strcmp(a->field, b->field);

	if (!order)
		order = strcmp(a->key, b->key);
	if (!order)
		order = strcmp(a->value, b->value);
	if (!order)
		order = (a->group > b->group) - (a->group < b->group);
	return order;
}

static int corrupt(struct vd_error *err, const char *what)
{
	return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET, "facts: %s", what);
}

/* The places of the three tables; everything fits just so. */
static int check_lengths(struct vd_span raw, const struct meta_disk_facts **head,
			 struct vd_error *err)
{
	const struct meta_disk_facts *h = (const void *)raw.p;
	uint64_t want;

	if (raw.len < sizeof(*h))
		return corrupt(err, "shorter than their head");
	if (vd_get32(h->version) != META_FACTS_VERSION)
		return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
				    "facts: version %u, this library knows version %u only",
				    vd_get32(h->version), META_FACTS_VERSION);
	if (vd_get32(h->n_facts) > VD_META_FACTS_MAX)
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "facts: there are %u, at most %u are allowed",
				    vd_get32(h->n_facts), VD_META_FACTS_MAX);
	if (vd_get32(h->n_records) > META_PARTS_MAX)
		return corrupt(err, "more records than an image may have");
	want = sizeof(*h) + (uint64_t)vd_get32(h->n_records) * sizeof(struct meta_disk_entry) +
	       (uint64_t)vd_get32(h->n_facts) * sizeof(struct meta_disk_fact) +
	       vd_get32(h->strings_len);
	if (vd_get32(h->head_len) != sizeof(*h) || vd_get32(h->reserved) || want != raw.len)
		return corrupt(err, "the lengths in their head don't add up");
	if (!vd_get32(h->strings_len) || raw.p[raw.len - 1])
		return corrupt(err, "their texts don't end in a NUL");
	*head = h;
	return 0;
}

struct pool {
	const char *p;
	uint32_t len;
	bool is_bad;
};

static const char *pooled(struct pool *pool, struct vd_le32 at)
{
	if (vd_get32(at) < pool->len)
		return pool->p + vd_get32(at);
	pool->is_bad = true;
	return "";
}

/* Well-formed UTF-8 such as XML can have: no control characters but tab and ends of lines. */
static bool is_text(const char *p, size_t len)
{
	utf8proc_int32_t c;

	for (size_t i = 0; i < len;) {
		unsigned char byte = (unsigned char)p[i];
		utf8proc_ssize_t n = 1;

		if (byte >= 0x80)
			n = utf8proc_iterate((const utf8proc_uint8_t *)p + i,
					     (utf8proc_ssize_t)(len - i), &c);
		else if (byte < 0x20 && byte && byte != '\t' && byte != '\n' && byte != '\r')
			return false;
		if (n <= 0)
			return false;
		i += (size_t)n;
	}
	return true;
}

static bool is_entry_clean(const struct meta_entry *e)
{
	size_t kind = strlen(e->kind), name = strlen(e->name), media = strlen(e->media);

	if (kind > META_KIND_MAX || media > META_MEDIA_MAX || !meta_text_is_clean(e->kind, kind) ||
	    !meta_text_is_clean(e->media, media))
		return false;
	return e->type == VD_RECORD_ATTACHMENT ? meta_path_is_safe(e->name, name) : !name;
}

static int decode_entries(struct meta_facts *out, const struct meta_disk_entry *disk,
			  struct pool *pool, struct vd_error *err)
{
	for (size_t i = 0; i < out->n_entries; i++) {
		struct meta_entry *e = &out->entries[i];

		e->type = disk[i].type;
		e->is_disk_scope = disk[i].flags & META_F_DISK;
		e->n_parts = vd_get32(disk[i].n_parts);
		e->raw_len = vd_get64(disk[i].raw_len);
		e->stored_len = vd_get64(disk[i].stored_len);
		memcpy(e->digest, disk[i].digest, 32);
		e->kind = pooled(pool, disk[i].kind);
		e->name = pooled(pool, disk[i].name);
		e->media = pooled(pool, disk[i].media);
		if (e->type < VD_RECORD_DOCUMENT || e->type > VD_RECORD_SUBJECT ||
		    disk[i].flags & ~META_F_DISK || !e->n_parts || e->n_parts > META_PARTS_MAX ||
		    e->raw_len > meta_raw_max(e->type) || vd_get16(disk[i].reserved) ||
		    vd_get32(disk[i].reserved2))
			return corrupt(err, "an entry of the directory breaks its bounds");
		if (!pool->is_bad && !is_entry_clean(e))
			return corrupt(err, "a text of the directory breaks its bounds");
	}
	return 0;
}

/** Names that no document's field has: a record that holds one would speak for the file or the
 * host. */
static bool is_reserved(const char *field)
{
	return !strncmp(field, "host.", 5) || !strncmp(field, "image.", 6) ||
	       !strncmp(field, "metadata.", 9) || !strcmp(field, "action");
}

static int decode_facts(struct meta_facts *out, const struct meta_disk_fact *disk,
			struct pool *pool, struct vd_error *err)
{
	for (size_t i = 0; i < out->n_facts; i++) {
		struct vd_fact *f = &out->facts[i];

		f->field = pooled(pool, disk[i].field);
		f->value = pooled(pool, disk[i].value);
		f->key = pooled(pool, disk[i].key);
		f->group = vd_get32(disk[i].group);
		if (i && !pool->is_bad && meta_fact_compare(f - 1, f) >= 0)
			return corrupt(err, "they aren't sorted");
		if (!pool->is_bad && is_reserved(f->field))
			return corrupt(err, "one of them is of a field that no document has");
	}
	return 0;
}

int meta_facts_decode(struct meta_facts *out, struct vd_span raw, struct vd_error *err)
{
	const struct meta_disk_entry *entries;
	const struct meta_disk_facts *head = NULL;
	const struct meta_disk_fact *facts;
	struct pool pool = {0};
	int ret;

	memset(out, 0, sizeof(*out));
	ret = check_lengths(raw, &head, err);
	if (ret)
		return ret;
	entries = (const void *)(raw.p + sizeof(*head));
	out->n_entries = vd_get32(head->n_records);
	facts = (const void *)(entries + out->n_entries);
	out->n_facts = vd_get32(head->n_facts);
	pool.len = vd_get32(head->strings_len);
	out->pool = vd_malloc(pool.len);
	out->entries = vd_calloc(out->n_entries + 1, sizeof(*out->entries));
	out->facts = vd_calloc(out->n_facts + 1, sizeof(*out->facts));
	if (!out->pool || !out->entries || !out->facts) {
		ret = vd_no_memory(err, raw.len, "facts");
	} else {
		memcpy(out->pool, facts + out->n_facts, pool.len);
		pool.p = out->pool;
		if (!is_text(pool.p, pool.len))
			ret = corrupt(err, "their texts aren't UTF-8");
		out->history_len = vd_get64(head->history_len);
		memcpy(out->history_head, head->history_head, 32);
	}
	if (!ret)
		ret = decode_entries(out, entries, &pool, err);
	if (!ret)
		ret = decode_facts(out, facts, &pool, err);
	if (!ret && pool.is_bad)
		ret = corrupt(err, "a text lies outside of their texts");
	if (ret)
		meta_facts_free(out);
	return ret;
}

/* ---- to bytes ---- */

/* Texts on their way out; those that stand one behind the other and are equal are written once. */
struct texts {
	char *p;
	size_t len;
};

static struct vd_le32 put_text(struct texts *t, const char *text)
{
	size_t n = strlen(text) + 1, at = t->len;

	if (t->p)
		memcpy(t->p + at, text, n);
	t->len += n;
	return vd_put32((uint32_t)at);
}

/* Once to count (t->p NULL), once to write. */
static void put_all(const struct meta_facts *f, struct texts *t, struct meta_disk_entry *entries,
		    struct meta_disk_fact *facts)
{
	struct meta_disk_entry entry;
	struct meta_disk_fact fact;

	put_text(t, "");
	for (size_t i = 0; i < f->n_entries; i++) {
		const struct meta_entry *e = &f->entries[i];

		memset(&entry, 0, sizeof(entry));
		entry.type = (uint8_t)e->type;
		entry.flags = e->is_disk_scope ? META_F_DISK : 0;
		entry.n_parts = vd_put32(e->n_parts);
		entry.raw_len = vd_put64(e->raw_len);
		entry.stored_len = vd_put64(e->stored_len);
		memcpy(entry.digest, e->digest, 32);
		entry.kind = *e->kind ? put_text(t, e->kind) : vd_put32(0);
		entry.name = *e->name ? put_text(t, e->name) : vd_put32(0);
		entry.media = *e->media ? put_text(t, e->media) : vd_put32(0);
		if (entries)
			entries[i] = entry;
	}
	memset(&fact, 0, sizeof(fact));
	for (size_t i = 0; i < f->n_facts; i++) {
		const struct vd_fact *a = &f->facts[i];

		if (!i || strcmp(a->field, a[-1].field) != 0)
			fact.field = put_text(t, a->field);
		fact.value = put_text(t, a->value);
		fact.key = strcmp(a->key, a->value) != 0 ? put_text(t, a->key) : fact.value;
		fact.group = vd_put32(a->group);
		if (facts)
			facts[i] = fact;
	}
}

int meta_facts_encode(const struct meta_facts *facts, uint8_t **raw, size_t *len,
		      struct vd_error *err)
{
	struct meta_disk_facts *head;
	struct meta_disk_entry *entries;
	struct texts texts = {0};
	size_t size;

	put_all(facts, &texts, NULL, NULL);
	size = sizeof(*head) + facts->n_entries * sizeof(struct meta_disk_entry) +
	       facts->n_facts * sizeof(struct meta_disk_fact) + texts.len;
	if (facts->n_facts > VD_META_FACTS_MAX || size > META_FACTS_RAW)
		return vd_error_set(err, VD_ENOSPC, 0, VD_NO_OFFSET,
				    "the documents make %zu facts of %zu bytes, at most %u of "
				    "16 MiB are kept",
				    facts->n_facts, size, VD_META_FACTS_MAX);
	head = vd_calloc(1, size);
	if (!head)
		return vd_no_memory(err, size, "facts");
	head->version = vd_put32(META_FACTS_VERSION);
	head->head_len = vd_put32(sizeof(*head));
	head->n_records = vd_put32((uint32_t)facts->n_entries);
	head->n_facts = vd_put32((uint32_t)facts->n_facts);
	head->strings_len = vd_put32((uint32_t)texts.len);
	head->history_len = vd_put64(facts->history_len);
	memcpy(head->history_head, facts->history_head, 32);
	entries = (void *)(head + 1);
	texts = (struct texts){(char *)head + size - texts.len, 0};
	put_all(facts, &texts, entries, (void *)(entries + facts->n_entries));
	*raw = (void *)head;
	*len = size;
	return 0;
}

/* ---- gathering ---- */

static int room_for(void **p, size_t *room, size_t want, size_t unit, struct vd_error *err)
{
	size_t more = *room ? *room : 256;
	void *fresh;

	if (want <= *room)
		return 0;
	while (more < want)
		more *= 2;
	fresh = vd_realloc(*p, more * unit);
	if (!fresh)
		return vd_no_memory(err, more * unit, "facts");
	*p = fresh;
	*room = more;
	return 0;
}

static int keep_text(struct meta_gather *g, const char *text, struct vd_le32 *at,
		     struct vd_error *err)
{
	size_t n = strlen(text) + 1;
	void *p = g->pool;
	int ret;

	if (n > POOL_MAX - g->pool_len)
		return vd_error_set(err, VD_ENOSPC, 0, VD_NO_OFFSET,
				    "the facts of the documents are longer than 16 MiB");
	ret = room_for(&p, &g->pool_room, g->pool_len + n, 1, err);
	if (ret)
		return ret;
	g->pool = p;
	memcpy(g->pool + g->pool_len, text, n);
	*at = vd_put32((uint32_t)g->pool_len);
	g->pool_len += n;
	return 0;
}

int meta_gather_add(struct meta_gather *gather, const char *field, const char *value,
		    const char *key, uint32_t group, struct vd_error *err)
{
	struct meta_disk_fact fact;
	void *p = gather->at;
	int ret;

	if (gather->n == VD_META_FACTS_MAX)
		return vd_error_set(err, VD_ENOSPC, 0, VD_NO_OFFSET,
				    "the documents make more than the %u facts that an image may "
				    "have",
				    VD_META_FACTS_MAX);
	ret = room_for(&p, &gather->n_room, gather->n + 1, sizeof(fact), err);
	gather->at = p;
	if (!ret)
		ret = keep_text(gather, field, &fact.field, err);
	if (!ret)
		ret = keep_text(gather, value, &fact.value, err);
	fact.key = fact.value;
	if (!ret && strcmp(key, value) != 0)
		ret = keep_text(gather, key, &fact.key, err);
	if (ret)
		return ret;
	if (group) {
		group += gather->group_base;
		if (group > gather->group_top)
			gather->group_top = group;
	}
	fact.group = vd_put32(group);
	gather->at[gather->n++] = fact;
	return 0;
}

void meta_gather_next(struct meta_gather *gather)
{
	gather->group_base = gather->group_top;
}

void meta_gather_drop(struct meta_gather *gather)
{
	vd_free(gather->pool);
	vd_free(gather->at);
	memset(gather, 0, sizeof(*gather));
}

static int compare(const void *a, const void *b)
{
	return meta_fact_compare(a, b);
}

int meta_gather_finish(struct meta_gather *gather, struct meta_facts *out, struct vd_error *err)
{
	size_t n = 0;

	memset(out, 0, sizeof(*out));
	out->facts = vd_calloc(gather->n + 1, sizeof(*out->facts));
	if (!out->facts) {
		meta_gather_drop(gather);
		return vd_no_memory(err, (gather->n + 1) * sizeof(*out->facts), "facts");
	}
	for (size_t i = 0; i < gather->n; i++)
		out->facts[i] = (struct vd_fact){gather->pool + vd_get32(gather->at[i].field),
						 gather->pool + vd_get32(gather->at[i].value),
						 gather->pool + vd_get32(gather->at[i].key),
						 vd_get32(gather->at[i].group)};
	if (gather->n)
		qsort(out->facts, gather->n, sizeof(*out->facts), compare);
	for (size_t i = 0; i < gather->n; i++)
		if (!n || meta_fact_compare(&out->facts[n - 1], &out->facts[i]) != 0)
			out->facts[n++] = out->facts[i];
	out->n_facts = n;
	out->pool = gather->pool;
	gather->pool = NULL;
	meta_gather_drop(gather);
	return 0;
}
