/* SPDX-License-Identifier: MIT */
/* The history of an image: read, verified, added to. */
#include <pwd.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "meta/meta_handle.h"

#define PENDING_MAX 64u /* entries of one commit */

struct chain {
	uint8_t *p;
	size_t len, room;
};

static int to_chain(void *user, const void *bytes, size_t len, struct vd_error *err)
{
	struct chain *chain = user;

	if (len > chain->room - chain->len)
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "history: more bytes than its head tells of");
	memcpy(chain->p + chain->len, bytes, len);
	chain->len += len;
	return 0;
}

/* What lies there, whatever digests say: a damaged history is shown as far as it goes. */
static int read_torn(struct vd_meta *meta, const struct meta_record *r, uint8_t *raw, size_t room,
		     size_t *len, struct vd_error *err)
{
	VD_AUTO_FREE uint8_t *own = NULL;
	struct meta_head head;
	struct vd_span item, first;
	int ret;

	if (r->n_stored != 1)
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET, "history: %s",
				    r->damage_text ? r->damage_text : "damaged");
	ret = meta_read_item(meta, &r->parts[0], &own, &item, err);
	if (ret)
		return ret;
	first = vd_span(item.p, item.len < META_HEAD_MAX ? item.len : META_HEAD_MAX);
	ret = meta_head_decode(first, r->parts[0].length, r->parts[0].flags, &head, NULL);
	if (!ret && (head.packing != META_PLAIN || head.raw_len > room))
		ret = VD_ECORRUPT;
	if (ret)
		return vd_error_set(err, ret == VD_ENOENT ? VD_ECORRUPT : ret, 0, VD_NO_OFFSET,
				    "history: %s", r->damage_text ? r->damage_text : "damaged");
	memcpy(raw, item.p + head.head_len, head.raw_len);
	*len = head.raw_len;
	return 0;
}

int meta_read_chain(struct vd_meta *meta, uint8_t **raw, size_t *len, bool *is_whole,
		    struct vd_error *err)
{
	struct meta_record *r = meta_find(meta, VD_RECORD_HISTORY, "history", "");
	VD_AUTO_FREE uint8_t *buf = NULL;
	struct chain at = {0};
	uint64_t size;
	int ret;

	*is_whole = true;
	if (!r || !meta_is_there(r))
		return vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET, "the image has no history");
	/* Both lengths are within META_HISTORY_RAW: heads were checked. */
	size = r->is_changed ? r->fresh.raw_len : r->raw_len;
	buf = vd_malloc((size_t)size + 1);
	if (!buf)
		return vd_no_memory(err, (size_t)size, "the history");
	at.p = buf;
	at.room = (size_t)size;
	ret = r->is_changed ? meta_unpack_blobs(&r->fresh, to_chain, &at, err)
			    : meta_read_parts(meta, r, to_chain, &at, err);
	*len = at.len;
	if (ret == VD_ECORRUPT) {
		*is_whole = false;
		ret = read_torn(meta, r, buf, (size_t)size, len, err);
	}
	if (ret)
		return ret;
	*raw = VD_TAKE(buf);
	return 0;
}

static void show(const struct meta_link *link, bool is_linked, struct vd_history_entry *entry)
{
	memset(entry, 0, sizeof(*entry));
	entry->op =
	    (struct vd_operation){link->time,    link->text[0], link->text[1], link->text[2],
				  link->text[3], link->text[4], link->text[5]};
	entry->number = link->number;
	entry->n_rolled_up = link->n_rolled_up;
	memcpy(entry->previous, link->previous, 32);
	memcpy(entry->digest, link->digest, 32);
	entry->is_linked = is_linked;
}

/* Entries that were cut off at the end are missed by the head that the facts hold. More entries
 * than the facts know are none that miss: who added them knows no facts. */
static bool is_cut_off(const struct vd_meta *meta, struct vd_span raw)
{
	const struct meta_record *r = meta_find(meta, VD_RECORD_HISTORY, "history", "");
	struct meta_walk walk;
	struct meta_link link;
	bool is_linked;

	if (!meta->has_stored || r->is_changed)
		return false;
	if (!meta->stored.history_len)
		return !meta->is_stale && raw.len;
	meta_walk_begin(&walk, raw);
	while (!meta_walk_next(&walk, &link, &is_linked, NULL))
		if (link.number >= meta->stored.history_len)
			return link.number == meta->stored.history_len
				   ? memcmp(walk.previous, meta->stored.history_head, 32) != 0
				   : !link.n_rolled_up;
	return true;
}

int vd_meta_read_history(struct vd_meta *meta, vd_history_fn fn, void *user, uint64_t *n_broken,
			 struct vd_error *err)
{
	VD_AUTO_FREE uint8_t *raw = NULL;
	struct vd_history_entry entry;
	struct meta_link link;
	struct meta_walk walk;
	uint64_t broken = 0;
	bool is_linked, is_whole;
	size_t len;
	int ret = meta_read_chain(meta, &raw, &len, &is_whole, err);

	if (ret)
		return ret;
	meta_walk_begin(&walk, vd_span(raw, len));
	while (!(ret = meta_walk_next(&walk, &link, &is_linked, NULL))) {
		broken += !is_linked;
		show(&link, is_linked, &entry);
		if (fn && (ret = fn(user, &entry)))
			break;
	}
	if (ret == VD_ECORRUPT)
		broken++;
	if (ret == VD_ENOENT || ret == VD_ECORRUPT)
		ret = 0;
	if (!broken && (!is_whole || is_cut_off(meta, vd_span(raw, len))))
		broken = 1;
	if (n_broken)
		*n_broken = broken;
	return ret;
}

static void set_actor(struct meta_link *link, const char *actor)
{
	struct passwd pw, *found = NULL;
	char buf[4096], number[32];
	uid_t uid = geteuid();
	size_t n = sizeof(number) - 1;

	if (!actor && !getpwuid_r(uid, &pw, buf, sizeof(buf), &found) && found) {
		actor = found->pw_name;
	} else if (!actor) {
		number[n] = '\0';
		do {
			number[--n] = (char)('0' + uid % 10);
		} while (uid /= 10);
		number[--n] = '#';
		actor = number + n;
	}
	meta_link_set(link, 0, actor);
}

static void set_host(struct meta_link *link, const char *host)
{
	char name[256] = "";

	if (!host && !gethostname(name, sizeof(name) - 1))
		host = name;
	meta_link_set(link, 1, host);
}

int vd_meta_log(struct vd_meta *meta, const struct vd_operation *op, struct vd_error *err)
{
	struct meta_link *more, *link;
	int ret = meta_complete(meta, err);

	if (!ret)
		ret = meta_check_writable(meta, err);
	if (ret)
		return ret;
	if (meta->n_pending == PENDING_MAX)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "%u entries wait for a commit already", PENDING_MAX);
	more = vd_realloc(meta->pending, (meta->n_pending + 1) * sizeof(*more));
	if (!more)
		return vd_no_memory(err, sizeof(*more), "an entry of the history");
	meta->pending = more;
	link = &more[meta->n_pending++];
	memset(link, 0, sizeof(*link));
	link->time = op->time ? op->time : (int64_t)time(NULL);
	set_actor(link, op->actor);
	set_host(link, op->host);
	meta_link_set(link, 2, op->tool);
	meta_link_set(link, 3, op->operation);
	meta_link_set(link, 4, op->parameters);
	meta_link_set(link, 5, op->outcome);
	return 0;
}

/* Of a chain that is damaged, what can be told apart as entries stays; the rest can't be kept. */
static void cut_to_entries(struct vd_span raw, size_t *len)
{
	struct meta_walk walk;
	struct meta_link link;
	bool is_linked;

	meta_walk_begin(&walk, raw);
	while (!meta_walk_next(&walk, &link, &is_linked, NULL))
		;
	*len = raw.len - walk.rest.len;
}

static int add_pending(struct vd_meta *meta, uint8_t **raw, size_t *len, size_t n_lost,
		       struct vd_error *err)
{
	int ret = 0;

	if (n_lost) {
		struct meta_link lost = {.time = meta->pending[0].time};

		meta_link_set(&lost, 3, "damaged");
		meta_link_set(&lost, 4, "the entries from here on could not be read any more");
		ret = meta_chain_add(raw, len, &lost, err);
	}
	for (size_t i = 0; !ret && i < meta->n_pending; i++) {
		struct meta_link link = meta->pending[i];

		ret = meta_chain_add(raw, len, &link, err);
	}
	return ret;
}

int meta_settle_history(struct vd_meta *meta, struct vd_error *err)
{
	VD_AUTO_FREE uint8_t *raw = NULL;
	struct vd_error why = VD_ERROR_INIT;
	struct meta_content content;
	struct meta_record *r;
	size_t len = 0, before = 0;
	bool is_whole = true;
	int ret;

	if (!meta->n_pending)
		return 0;
	ret = meta_read_chain(meta, &raw, &len, &is_whole, &why);
	before = len;
	if (ret == VD_ECORRUPT)
		before = 1; /* nothing of it can be read */
	else if (ret && ret != VD_ENOENT)
		return vd_error_set(err, ret, why.sys_errno, why.offset, "%s", why.text);
	cut_to_entries(vd_span(raw, len), &len);
	ret = add_pending(meta, &raw, &len, before > len ? before - len : 0, err);
	if (!ret)
		ret = meta_require(meta, VD_RECORD_HISTORY, "history", "", "", &r, err);
	if (!ret)
		ret = meta_pack(VD_RECORD_HISTORY, "history", false, raw, len, &content, err);
	if (ret)
		return ret;
	/* They are in the record now; if the commit fails, they wait again. */
	meta->n_settled = r->is_changed ? 0 : meta->n_pending;
	meta->n_pending = 0;
	meta_put(meta, r, &content);
	return 0;
}
