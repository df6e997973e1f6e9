/* SPDX-License-Identifier: MIT */
/*
 * Making changes durable: everything that changed, with the facts that follow from it, in one
 * change of items. Invariants:
 *
 *  C1  One vd_disk_change_items a commit: all of it is there afterwards, or nothing.
 *  C2  Facts, history and small documents go out side by side, facts first, so that one read
 *      brings them (META_RUN_MAX); documents that didn't change go along, byte for byte.
 *  C3  Of a sidecar that somebody else changed meanwhile, the new state is read under the lock,
 *      and what was changed on both sides is refused, not overwritten.
 *  C4  Items without our envelope, and records that can't be read, stay as they are.
 */
#include <string.h>

#include "base/cleanup.h"
#include "meta/meta_handle.h"

struct commit {
	struct vd_meta *meta;
	struct vd_item_change *changes;
	size_t n, n_room;
	uint8_t **kept; /* bytes of documents that go along */
	size_t n_kept;
};

static void drop_commit(struct commit *c)
{
	for (size_t i = 0; i < c->n_kept; i++)
		vd_free(c->kept[i]);
	vd_free(c->kept);
	vd_free(c->changes);
}

static int add_change(struct commit *c, const struct vd_item_change *change, struct vd_error *err)
{
	if (c->n == c->n_room) {
		size_t room = c->n_room ? 2 * c->n_room : 32;
		struct vd_item_change *more = vd_realloc(c->changes, room * sizeof(*more));

		if (!more)
			return vd_no_memory(err, room * sizeof(*more), "a commit");
		c->changes = more;
		c->n_room = room;
	}
	c->changes[c->n++] = *change;
	return 0;
}

static uint32_t flags_of(bool is_disk_scope)
{
	return VD_ITEM_USER | (is_disk_scope ? VD_ITEM_VIRTUAL_DISK : 0);
}

/* What a later version wrote may lie there, known by its id only. */
static int check_place(const struct commit *c, const uint8_t id[16], struct vd_error *err)
{
	for (size_t i = 0; i < c->meta->n_records; i++) {
		const struct meta_record *r = c->meta->records[i];

		if (r->pub.damage != VD_EUNSUPPORTED || r->is_changed || r->is_removed)
			continue;
		for (uint32_t j = 0; j < r->n_stored; j++)
			if (!memcmp(r->parts[j].id, id, 16))
				return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
						    "a record of a later version is in the "
						    "place of the new one: %s",
						    r->damage_text);
	}
	return 0;
}

static int add_fresh(struct commit *c, const struct meta_record *r, struct vd_error *err)
{
	int ret = 0;

	for (uint32_t i = 0; !ret && i < r->fresh.n; i++) {
		struct vd_item_change change = {.flags = flags_of(r->fresh.is_disk_scope),
						.length = r->fresh.blobs[i].len,
						.data = r->fresh.blobs[i].bytes};

		memcpy(change.id, r->fresh.blobs[i].id, 16);
		ret = check_place(c, change.id, err);
		if (!ret)
			ret = add_change(c, &change, err);
	}
	return ret;
}

/* Also of another record: of what is damaged the id may be all that is known. */
static bool is_put(const struct vd_meta *meta, const uint8_t id[16])
{
	for (size_t i = 0; i < meta->n_records; i++) {
		const struct meta_record *r = meta->records[i];

		for (uint32_t j = 0; r->is_changed && j < r->fresh.n; j++)
			if (!memcmp(r->fresh.blobs[j].id, id, 16))
				return true;
	}
	return false;
}

/* Stored parts that no new content replaces. */
static int add_removals(struct commit *c, const struct meta_record *r, struct vd_error *err)
{
	int ret = 0;

	for (uint32_t i = 0; !ret && i < r->n_stored; i++) {
		struct vd_item_change change = {.flags = VD_ITEM_USER, .is_removal = true};

		memcpy(change.id, r->parts[i].id, 16);
		if (!is_put(c->meta, change.id))
			ret = add_change(c, &change, err);
	}
	return ret;
}

/* A document that didn't change goes along; if it can't be read, it stays where it is. */
static int add_unchanged(struct commit *c, const struct meta_record *r, struct vd_error *err)
{
	struct vd_item_change change = {.flags = flags_of(r->is_disk_scope)};
	uint8_t **more, *own, *copy;
	struct vd_span bytes;
	int ret = 0;

	for (uint32_t i = 0; !ret && i < r->n_stored; i++) {
		if (meta_read_item(c->meta, &r->parts[i], &own, &bytes, NULL))
			return 0;
		copy = own ? own : vd_malloc(bytes.len + 1);
		more = vd_realloc(c->kept, (c->n_kept + 1) * sizeof(*more));
		c->kept = more ? more : c->kept;
		if (!copy || !more) {
			vd_free(copy);
			return vd_no_memory(err, bytes.len, "a document");
		}
		if (!own)
			memcpy(copy, bytes.p, bytes.len);
		c->kept[c->n_kept++] = copy;
		change.length = (uint32_t)bytes.len;
		change.data = copy;
		memcpy(change.id, r->parts[i].id, 16);
		ret = add_change(c, &change, err);
	}
	return ret;
}

static uint64_t size_of(const struct meta_record *r)
{
	return r->is_changed ? r->fresh.stored_len : r->stored_len;
}

static bool is_small(const struct meta_record *r)
{
	return r->pub.type == VD_RECORD_DOCUMENT && size_of(r) <= META_SMALL_MAX;
}

/* What goes out first: facts, then history and subject, then documents, small ones first. */
static unsigned turn_of(const struct meta_record *r)
{
	switch (r->pub.type) {
	case VD_RECORD_FACTS:
		return 0;
	case VD_RECORD_SUBJECT:
		return 1;
	case VD_RECORD_HISTORY:
		return 2;
	case VD_RECORD_DOCUMENT:
		return is_small(r) ? 3 : 4;
	default:
		return 5;
	}
}

/* C2: do all of these fit the stretch that is read at once? */
static bool fits_run(const struct vd_meta *meta)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < meta->n_records; i++) {
		const struct meta_record *r = meta->records[i];

		if (meta_is_there(r) && !meta_is_damaged(r) && turn_of(r) < 4)
			sum += size_of(r) + 4096;
	}
	return sum <= META_RUN_MAX;
}

static int gather_changes(struct commit *c, struct vd_error *err)
{
	struct vd_meta *meta = c->meta;
	bool is_run = fits_run(meta);
	int ret = 0;

	for (size_t i = 0; !ret && i < meta->n_records; i++)
		if (meta->records[i]->is_changed || meta->records[i]->is_removed)
			ret = add_removals(c, meta->records[i], err);
	for (unsigned turn = 0; turn < 6; turn++) {
		for (size_t i = 0; !ret && i < meta->n_records; i++) {
			const struct meta_record *r = meta->records[i];

			if (turn_of(r) != turn || !meta_is_there(r))
				continue;
			if (r->is_changed)
				ret = add_fresh(c, r, err);
			else if (is_run && turn < 4 && !r->pub.damage)
				ret = add_unchanged(c, r, err);
		}
	}
	return ret;
}

/* ---- what follows from the changes ---- */

static bool holds_something(const struct vd_meta *meta)
{
	for (size_t i = 0; i < meta->n_records; i++) {
		const struct meta_record *r = meta->records[i];

		if (meta_is_there(r) && r->pub.type != VD_RECORD_FOREIGN &&
		    r->pub.type != VD_RECORD_FACTS && r->pub.type != VD_RECORD_SUBJECT)
			return true;
	}
	return false;
}

static void fill_entry(struct meta_entry *e, const struct meta_record *r)
{
	e->type = r->pub.type;
	e->kind = r->kind;
	e->name = r->name;
	e->media = r->media;
	e->is_disk_scope = r->is_changed ? r->fresh.is_disk_scope : r->is_disk_scope;
	e->n_parts = r->is_changed ? r->fresh.n : r->n_parts;
	e->raw_len = r->is_changed ? r->fresh.raw_len : r->raw_len;
	e->stored_len = size_of(r);
	memcpy(e->digest, r->is_changed ? r->fresh.digest : r->digest, 32);
}

static int settle_facts(struct vd_meta *meta, struct vd_error *err)
{
	VD_AUTO_FREE struct meta_entry *entries = NULL;
	VD_AUTO_FREE uint8_t *raw = NULL;
	struct meta_content content;
	struct meta_facts facts;
	struct meta_record *r;
	size_t len;
	int ret = meta_derive(meta, err);

	if (ret)
		return ret;
	entries = vd_calloc(meta->n_records + 1, sizeof(*entries));
	if (!entries)
		return vd_no_memory(err, meta->n_records * sizeof(*entries), "facts");
	facts = meta->derived;
	facts.entries = entries;
	for (size_t i = 0; i < meta->n_records; i++) {
		const struct meta_record *one = meta->records[i];

		if (meta_is_there(one) && !meta_is_damaged(one) &&
		    one->pub.type != VD_RECORD_FOREIGN && one->pub.type != VD_RECORD_FACTS)
			fill_entry(&entries[facts.n_entries++], one);
	}
	ret = meta_facts_encode(&facts, &raw, &len, err);
	if (!ret)
		ret = meta_pack(VD_RECORD_FACTS, "facts", false, raw, len, &content, err);
	if (!ret)
		ret = meta_require(meta, VD_RECORD_FACTS, "facts", "", "", &r, err);
	if (ret)
		return ret;
	meta_put(meta, r, &content);
	return 0;
}

static void remove_derived(struct vd_meta *meta)
{
	for (size_t i = 0; i < meta->n_records; i++) {
		struct meta_record *r = meta->records[i];

		if (r->pub.type == VD_RECORD_FACTS || r->pub.type == VD_RECORD_SUBJECT) {
			meta_content_free(&r->fresh);
			r->is_changed = false;
			r->is_removed = true;
		}
	}
}

static int settle(struct vd_meta *meta, struct vd_error *err)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < meta->n_records; i++)
		ret = meta_settle_doc(meta, meta->records[i], err);
	if (!ret)
		ret = meta_settle_history(meta, err);
	if (ret)
		return ret;
	if (!holds_something(meta)) {
		remove_derived(meta);
		return 0;
	}
	ret = meta_settle_subject(meta, err);
	return ret ? ret : settle_facts(meta, err);
}

static bool is_settled(const struct vd_meta *meta, const struct meta_record *r)
{
	return r->pub.type == VD_RECORD_FACTS || r->pub.type == VD_RECORD_SUBJECT ||
	       (r->pub.type == VD_RECORD_HISTORY && meta->n_settled);
}

/* What only follows from other changes isn't one that waits. */
static void unsettle(struct vd_meta *meta)
{
	for (size_t i = 0; i < meta->n_records; i++) {
		struct meta_record *r = meta->records[i];

		if (is_settled(meta, r)) {
			meta_content_free(&r->fresh);
			r->is_changed = r->is_removed = r->has_base = false;
		}
	}
	meta->n_pending += meta->n_settled;
	meta->n_settled = 0;
	meta_touch(meta);
}

static void forget_changes(struct vd_meta *meta)
{
	for (size_t i = 0; i < meta->n_records; i++) {
		struct meta_record *r = meta->records[i];

		r->is_changed = r->is_removed = r->is_doc_ahead = false;
	}
	meta->n_pending = meta->n_settled = 0;
}

/* ---- where it goes ---- */

/* C3. */
static int check_conflicts(const struct vd_meta *meta, struct vd_error *err)
{
	for (size_t i = 0; i < meta->n_records; i++) {
		const struct meta_record *r = meta->records[i];

		if (!r->has_base)
			continue;
		if (r->was_stored == r->is_stored &&
		    (!r->is_stored || !memcmp(r->base_digest, r->digest, 32)))
			continue;
		return vd_error_set(err, VD_EBUSY, 0, VD_NO_OFFSET,
				    "%s: %s%s was changed by somebody else meanwhile; read it "
				    "again and repeat the change",
				    meta->sidecar, r->kind, r->name);
	}
	return 0;
}

static int commit_items(struct vd_meta *meta, struct vd_disk *disk, struct vd_error *err)
{
	struct commit c = {.meta = meta};
	int ret = settle(meta, err);

	if (!ret)
		ret = gather_changes(&c, err);
	if (!ret && c.n)
		ret = disk ? vd_disk_change_items(disk, c.changes, c.n, err)
			   : meta_create_sidecar(meta, c.changes, c.n, err);
	drop_commit(&c);
	if (ret)
		unsettle(meta);
	else
		forget_changes(meta);
	return ret;
}

static int look_at_sidecar(struct vd_meta *meta, struct vd_error *err)
{
	int ret = meta->own ? vd_disk_close(meta->own, err) : 0;

	meta->own = NULL;
	return ret ? ret : meta_open_sidecar(meta, err);
}

/* It holds nothing any more, not even items of others: no file for nothing. */
static bool is_empty(const struct vd_meta *meta)
{
	for (size_t i = 0; i < meta->n_records; i++)
		if (meta_is_there(meta->records[i]))
			return false;
	return true;
}

/* A disk that only has the name of a sidecar isn't thrown away. */
static bool holds_payload(struct vd_disk *disk)
{
	struct vd_block_counts counts = {0};

	return vd_disk_count_blocks(disk, &counts, NULL) || counts.n_present || counts.n_partial;
}

static int commit_sidecar(struct vd_meta *meta, struct vd_error *err)
{
	struct vd_disk *disk, *before = meta->own;
	int ret = meta_lock_sidecar(meta, &disk, err), again;

	if (ret)
		return ret;
	if (before)
		vd_disk_close(before, NULL);
	meta->own = disk;
	ret = meta_load(meta, err);
	if (!ret)
		ret = check_conflicts(meta, err);
	if (!ret && !disk && !holds_something(meta) && !meta->n_pending)
		forget_changes(meta);
	else if (!ret)
		ret = commit_items(meta, disk, err);
	if (!ret && disk) {
		ret = meta_load(meta, err);
		if (!ret && is_empty(meta) && !holds_payload(disk)) {
			meta->own = NULL;
			ret = meta_remove_sidecar(meta, disk, err);
		}
	}
	again = look_at_sidecar(meta, ret ? NULL : err);
	if (!ret)
		ret = again;
	again = meta_load(meta, ret ? NULL : err);
	return ret ? ret : again;
}

int vd_meta_commit(struct vd_meta *meta, struct vd_error *err)
{
	int ret;

	if (!meta_has_changes(meta))
		return 0;
	ret = meta_complete(meta, err);
	if (!ret)
		ret = meta_check_writable(meta, err);
	if (ret)
		return ret;
	if (meta->trouble)
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET, "%s", meta->trouble);
	if (meta->place == VD_META_NOWHERE)
		return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
				    "the image has no place for metadata: its format has none, and "
				    "without a path there is no sidecar");
	if (meta->place == VD_META_SIDECAR) {
		/* Somebody else may make it in the same moment. */
		for (int tries = 0; tries < 3; tries++) {
			ret = commit_sidecar(meta, err);
			if (ret != VD_EEXIST)
				break;
		}
		return ret;
	}
	ret = commit_items(meta, meta->disk, err);
	return ret ? ret : meta_load(meta, err);
}

int vd_meta_revert(struct vd_meta *meta, struct vd_error *err)
{
	int ret = 0;

	forget_changes(meta);
	meta->n_looks = 0;
	if (meta->place == VD_META_SIDECAR)
		ret = look_at_sidecar(meta, err);
	else
		meta_look_again(meta);
	return ret ? ret : meta_load(meta, err);
}
