/* SPDX-License-Identifier: MIT */
/*
 * Envelopes of metadata items. Input: flags (bit 0: seal the head, bit 1: make the digests of the
 * content right, bit 2: the item's scope is the disk), then the item.
 * Property: what is accepted keeps the bounds of docs/metadata-format.md; its content has the
 * declared length and digest; packed again, it comes out the same.
 */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "fuzz.h"
#include "meta/meta_envelope.h"

static void seal_content(uint8_t *item, size_t size)
{
	size_t head = (size_t)fuzz_get(item + 10, 2), raw_len = (size_t)fuzz_get(item + 24, 8);
	uint8_t *raw = NULL;
	uLongf n = raw_len;

	if (head < 152 || head > size || raw_len > META_PART_MAX)
		return;
	if (item[13] == 0 && raw_len == size - head) {
		meta_digest(item + head, raw_len, item + 48);
	} else {
		raw = malloc(raw_len + 1);
		FUZZ_CHECK(raw, "no memory");
		if (uncompress(raw, &n, item + head, size - head) == Z_OK)
			meta_digest(raw, n, item + 48);
		free(raw);
	}
	if (fuzz_get(item + 20, 4) == 1)
		memcpy(item + 80, item + 48, 32);
}

static void seal_head(uint8_t *item, size_t size)
{
	size_t head = (size_t)fuzz_get(item + 10, 2);
	uint8_t bytes[META_HEAD_MAX];

	if (head < 152 || head > size || head > META_HEAD_MAX)
		return;
	memcpy(bytes, item, 120);
	memcpy(bytes + 120, item + 152, head - 152);
	meta_digest(bytes, head - 32, item + 120);
}

static void check_head(const struct meta_head *h, size_t size)
{
	FUZZ_CHECK(h->head_len >= 152 && h->head_len + (size_t)h->stored_len == size, "lengths");
	FUZZ_CHECK(h->raw_len <= META_PART_MAX && h->whole_len >= h->raw_len, "raw length");
	FUZZ_CHECK(h->whole_len <= meta_raw_max(h->type), "whole length");
	FUZZ_CHECK(h->part && h->part <= h->n_parts && h->n_parts <= 1000, "part");
	FUZZ_CHECK(h->type >= VD_RECORD_DOCUMENT && h->type <= VD_RECORD_SUBJECT, "type");
	FUZZ_CHECK(h->kind.len <= 1024 && h->name.len <= 1024 && h->media.len <= 255, "texts");
	FUZZ_CHECK(!memchr(h->kind.p, 0, h->kind.len) && !memchr(h->name.p, '\n', h->name.len),
		   "unclean texts");
	FUZZ_CHECK(h->type != VD_RECORD_ATTACHMENT || h->name.len, "a file without a name");
}

static void check_again(const struct meta_head *h, const uint8_t *raw)
{
	struct meta_content c;
	struct meta_head again;
	char kind[1025];
	uint8_t *back = malloc(h->raw_len + 1);

	FUZZ_CHECK(back, "no memory");
	memcpy(kind, h->kind.p, h->kind.len);
	kind[h->kind.len] = '\0';
	FUZZ_CHECK(!meta_pack(h->type, kind, h->is_disk_scope, raw, h->raw_len, &c, NULL), "pack");
	FUZZ_CHECK(c.n == 1, "%u parts", c.n);
	FUZZ_CHECK(!meta_head_decode(
		       vd_span(c.blobs[0].bytes,
			       c.blobs[0].len < META_HEAD_MAX ? c.blobs[0].len : META_HEAD_MAX),
		       c.blobs[0].len, h->is_disk_scope ? VD_ITEM_VIRTUAL_DISK : 0, &again, NULL),
		   "packed, but not accepted");
	FUZZ_CHECK(!meta_part_unpack(vd_span(c.blobs[0].bytes, c.blobs[0].len), &again, back, NULL),
		   "packed, but not unpacked");
	FUZZ_CHECK(again.raw_len == h->raw_len && !memcmp(back, raw, h->raw_len), "other bytes");
	FUZZ_CHECK(!memcmp(again.digest, h->digest, 32), "another digest");
	meta_content_free(&c);
	free(back);
}

static void run(const uint8_t *data, size_t size)
{
	struct feed feed = {data, size};
	uint8_t flags = (uint8_t)feed_int(&feed, 1), *item = fuzz_exact(feed.p, feed.n), *raw;
	struct vd_error err = VD_ERROR_INIT;
	struct meta_head head;
	int ret;

	FUZZ_CHECK(!meta_digest_init(NULL), "no libsodium");
	if (flags & 2 && feed.n >= 152)
		seal_content(item, feed.n);
	if (flags & 1 && feed.n >= 152)
		seal_head(item, feed.n);
	ret = meta_head_decode(vd_span(item, feed.n < META_HEAD_MAX ? feed.n : META_HEAD_MAX),
			       (uint32_t)feed.n, flags & 4 ? VD_ITEM_VIRTUAL_DISK : 0, &head, &err);
	FUZZ_CHECK(!ret || err.text[0], "refused without a reason");
	if (!ret) {
		check_head(&head, feed.n);
		raw = malloc(head.raw_len + 1);
		FUZZ_CHECK(raw, "no memory");
		if (!meta_part_unpack(vd_span(item, feed.n), &head, raw, &err)) {
			fuzz_deep();
			if (head.n_parts == 1 && head.type != VD_RECORD_ATTACHMENT)
				check_again(&head, raw);
		}
		free(raw);
	}
	free(item);
}

static void seed_record(const char *name, enum vd_record_type type, const char *kind,
			const char *file, bool is_disk, const void *raw, uint32_t len)
{
	struct meta_packer p;
	struct meta_content c;
	uint8_t data[4096];

	if (meta_packer_init(&p, type, kind, file, *file ? "text/plain" : "", is_disk, NULL) ||
	    meta_packer_add(&p, raw, len, NULL) || meta_packer_finish(&p, &c, NULL))
		abort();
	data[0] = (uint8_t)(3 | (is_disk ? 4 : 0));
	memcpy(data + 1, c.blobs[0].bytes, c.blobs[0].len);
	fuzz_seed(name, data, c.blobs[0].len + 1);
	meta_content_free(&c);
}

static void seed(void)
{
	static const char xml[] = "<tags xmlns=\"urn:libvdisk:tags:1\"><tag>web</tag></tags>";
	char longer[3000];

	FUZZ_CHECK(!meta_digest_init(NULL), "no libsodium");
	for (size_t i = 0; i < sizeof(longer); i++)
		longer[i] = (char)('a' + i * i % 13);
	seed_record("tags", VD_RECORD_DOCUMENT, "tags", "", true, xml, sizeof(xml) - 1);
	seed_record("vendor", VD_RECORD_DOCUMENT, "urn:x:y", "", true, xml, sizeof(xml) - 1);
	seed_record("deflated", VD_RECORD_DOCUMENT, "content", "", true, longer, sizeof(longer));
	seed_record("facts", VD_RECORD_FACTS, "facts", "", false, longer, 100);
	seed_record("history", VD_RECORD_HISTORY, "history", "", false, longer, 200);
	seed_record("subject", VD_RECORD_SUBJECT, "subject", "", false, "name: x\n", 8);
	seed_record("file", VD_RECORD_ATTACHMENT, "configuration", "a/b.txt", true, longer, 1000);
	seed_record("empty", VD_RECORD_DOCUMENT, "host", "", true, "", 0);
	fuzz_seed("short", "\7vdisk\x1amd", 9);
}

const struct fuzz_target fuzz_envelope = {
    .name = "envelope", .run = run, .seed = seed, .max_memory = 4 << 20};
