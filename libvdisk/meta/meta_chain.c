/* SPDX-License-Identifier: MIT */
/*
 * The chain of the history. An entry ends with the digest of all its bytes before it, and the next
 * one holds that digest. Entries that are rolled up leave one that holds the digest of the last of
 * them in their place, so that what follows stays as it was, digests and all.
 */
#include "meta/meta_chain.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <utf8proc.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "meta/meta_envelope.h"

#define ENTRY_MIN ((uint32_t)sizeof(struct meta_disk_entry_head) + 32)
#define ENTRY_MAX (ENTRY_MIN + META_N_TEXTS * META_CHAIN_TEXT)

void meta_walk_begin(struct meta_walk *walk, struct vd_span raw)
{
	memset(walk, 0, sizeof(*walk));
	walk->rest = raw;
	walk->is_first = true;
}

static int corrupt(struct vd_error *err, const char *what)
{
	return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET, "history: %s", what);
}

static int decode(struct vd_span rest, struct meta_link *link, uint32_t *entry_len,
		  struct vd_error *err)
{
	const struct meta_disk_entry_head *head = (const void *)rest.p;
	const uint8_t *at = rest.p + sizeof(*head);
	uint32_t len, used = ENTRY_MIN;

	memset(link, 0, sizeof(*link));
	if (rest.len < ENTRY_MIN)
		return corrupt(err, "it ends within an entry");
	len = vd_get32(head->len);
	if (len < ENTRY_MIN || len > ENTRY_MAX || len > rest.len)
		return corrupt(err, "an entry is longer than its bound or than what is there");
	for (unsigned i = 0; i < META_N_TEXTS; i++) {
		uint32_t n = vd_get16(head->text_len[i]);

		if (n > META_CHAIN_TEXT || n > len - used)
			return corrupt(err, "a text of an entry is longer than the entry");
		/* A text with a NUL or another control character shows as far as it is clean. */
		if (meta_text_is_clean((const char *)at, n))
			memcpy(link->text[i], at, n);
		else
			strcpy(link->text[i], "?");
		at += n;
		used += n;
	}
	if (used != len)
		return corrupt(err, "an entry doesn't end where its texts do");
	link->number = vd_get64(head->number);
	link->n_rolled_up = vd_get64(head->n_rolled_up);
	link->time = (int64_t)vd_get64(head->time);
	memcpy(link->previous, head->previous, 32);
	memcpy(link->digest, rest.p + len - 32, 32);
	*entry_len = len;
	return 0;
}

/* Are number and link those that have to come now? */
static bool fits(const struct meta_walk *walk, const struct meta_link *link)
{
	if (!link->number || link->number > INT64_MAX || link->n_rolled_up > link->number)
		return false;
	if (link->n_rolled_up)
		return walk->is_first && link->n_rolled_up == link->number;
	if (walk->is_first)
		return link->number == 1 && vd_is_zero(link->previous, 32);
	return link->number == walk->next_number && !memcmp(link->previous, walk->previous, 32);
}

int meta_walk_next(struct meta_walk *walk, struct meta_link *link, bool *is_linked,
		   struct vd_error *err)
{
	uint8_t digest[32];
	uint32_t len = 0;
	int ret;

	if (!walk->rest.len)
		return vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET, "the history ends here");
	ret = decode(walk->rest, link, &len, err);
	if (ret)
		return ret;
	meta_digest(walk->rest.p, len - 32, digest);
	*is_linked = !memcmp(digest, link->digest, 32) && fits(walk, link);
	memcpy(walk->previous, link->n_rolled_up ? link->previous : link->digest, 32);
	walk->next_number = link->number + 1;
	walk->is_first = false;
	walk->rest.p += len;
	walk->rest.len -= len;
	return 0;
}

void meta_chain_head(struct vd_span raw, uint64_t *number, uint8_t digest[32])
{
	struct meta_walk walk;
	struct meta_link link;
	bool is_linked;

	*number = 0;
	memset(digest, 0, 32);
	meta_walk_begin(&walk, raw);
	while (!meta_walk_next(&walk, &link, &is_linked, NULL)) {
		*number = link.number;
		memcpy(digest, walk.previous, 32);
	}
}

void meta_link_set(struct meta_link *link, unsigned which, const char *text)
{
	char *to = link->text[which];
	size_t len = text ? strlen(text) : 0, n = 0, at = 0;

	while (at < len) {
		utf8proc_int32_t c;
		utf8proc_ssize_t step =
		    utf8proc_iterate((const utf8proc_uint8_t *)text + at,
				     (utf8proc_ssize_t)vd_min64(len - at, 4), &c);
		bool is_clean = step > 0 && c >= 0x20 && (c < 0x7f || c >= 0xa0);
		const char *from = is_clean ? text + at : "\xef\xbf\xbd";
		size_t size = is_clean ? (size_t)step : 3;

		if (n + size > META_CHAIN_TEXT)
			break;
		memcpy(to + n, from, size);
		n += size;
		at += step > 0 ? (size_t)step : 1;
	}
	to[n] = '\0';
}

/* Write an entry to `at`, which has room for ENTRY_MAX; sets its digest. */
static uint32_t encode(struct meta_link *link, uint8_t *at)
{
	struct meta_disk_entry_head *head = (void *)at;
	uint32_t used = sizeof(*head);

	memset(head, 0, sizeof(*head));
	for (unsigned i = 0; i < META_N_TEXTS; i++) {
		size_t n = strlen(link->text[i]);

		head->text_len[i] = vd_put16((uint16_t)n);
		memcpy(at + used, link->text[i], n);
		used += (uint32_t)n;
	}
	head->len = vd_put32(used + 32);
	head->number = vd_put64(link->number);
	head->n_rolled_up = vd_put64(link->n_rolled_up);
	head->time = vd_put64((uint64_t)link->time);
	memcpy(head->previous, link->previous, 32);
	meta_digest(at, used, link->digest);
	memcpy(at + used, link->digest, 32);
	return used + 32;
}

void meta_format_time(int64_t when, char text[META_TIME_TEXT])
{
	time_t t = (time_t)when;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || tm.tm_year < -1898 || tm.tm_year > 8099 ||
	    !strftime(text, META_TIME_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm))
		strcpy(text, "1970-01-01T00:00:00Z");
}

/* Replace the older entries, as many as leave half of the room, by one that stands for them. */
static void roll_up(uint8_t *raw, size_t *len)
{
	uint8_t entry[ENTRY_MAX];
	struct meta_link link, sum = {0};
	struct meta_walk walk;
	char until[META_TIME_TEXT], text[128];
	uint32_t n;
	bool is_linked;

	meta_walk_begin(&walk, vd_span(raw, *len));
	while (walk.rest.len > META_CHAIN_MAX / 2 &&
	       !meta_walk_next(&walk, &link, &is_linked, NULL)) {
		/* A chain that is broken keeps the broken place in sight: roll up no further. */
		if (!is_linked)
			return;
		if (!sum.number)
			sum.time = link.time;
		sum.number = sum.n_rolled_up = link.number;
		memcpy(sum.previous, walk.previous, 32);
		meta_format_time(link.time, until);
	}
	if (!sum.number)
		return;
	snprintf(text, sizeof(text), "entries 1 to %llu, until %s", (unsigned long long)sum.number,
		 until);
	meta_link_set(&sum, 3, "rolled-up");
	meta_link_set(&sum, 4, text);
	n = encode(&sum, entry);
	if (n > *len - walk.rest.len)
		return;
	memmove(raw + n, walk.rest.p, walk.rest.len);
	*len = n + walk.rest.len;
	memcpy(raw, entry, n);
}

int meta_chain_add(uint8_t **raw, size_t *len, struct meta_link *link, struct vd_error *err)
{
	uint8_t *more = vd_realloc(*raw, *len + ENTRY_MAX);
	uint64_t number;

	if (!more)
		return vd_no_memory(err, *len + ENTRY_MAX, "the history");
	*raw = more;
	meta_chain_head(vd_span(more, *len), &number, link->previous);
	if (*len + ENTRY_MAX > META_CHAIN_MAX)
		roll_up(more, len);
	if (number >= INT64_MAX)
		return corrupt(err, "its numbers leave no room to go on counting");
	link->number = number + 1;
	link->n_rolled_up = 0;
	*len += encode(link, more + *len);
	if (*len > META_HISTORY_RAW)
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "the history is full and, as its chain is broken, can't be "
				    "rolled up");
	return 0;
}
