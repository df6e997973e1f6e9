/* SPDX-License-Identifier: MIT */
/* Envelopes, the other way: records taken in part by part and made ready to be written. */
#include <string.h>
#include <zlib.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "meta/meta_envelope.h"

void meta_content_free(struct meta_content *content)
{
	for (uint32_t i = 0; i < content->n; i++)
		vd_free(content->blobs[i].bytes);
	vd_free(content->blobs);
	memset(content, 0, sizeof(*content));
}

void meta_packer_drop(struct meta_packer *packer)
{
	meta_content_free(&packer->content);
}

int meta_packer_init(struct meta_packer *packer, enum vd_record_type type, const char *kind,
		     const char *name, const char *media, bool is_disk_scope, struct vd_error *err)
{
	size_t kind_len = strlen(kind), name_len = strlen(name), media_len = strlen(media);

	memset(packer, 0, sizeof(*packer));
	if (kind_len > META_KIND_MAX || name_len > META_NAME_MAX || media_len > META_MEDIA_MAX)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "%.60s%s%.60s: kind and name of a record are at most 1024 "
				    "bytes long, a media type 255",
				    kind, *name ? ", " : "", name);
	if (!meta_text_is_clean(kind, kind_len) || !meta_text_is_clean(name, name_len) ||
	    !meta_text_is_clean(media, media_len))
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "kind, name or media type of a record has control characters "
				    "or isn't UTF-8");
	packer->type = type;
	packer->kind = kind;
	packer->name = name;
	packer->media = media;
	packer->least = type == VD_RECORD_FACTS || type == VD_RECORD_HISTORY ? 65536 : 512;
	packer->content.is_disk_scope = is_disk_scope;
	packer->head_len =
	    (uint32_t)vd_align_up(META_HEAD_MIN + kind_len + name_len + media_len, 8);
	crypto_generichash_init(&packer->state, NULL, 0, 32);
	return 0;
}

/* Deflate into `to`, which has room for `room` bytes; 0: it doesn't pay. */
static int deflate_all(const void *raw, uint32_t len, uint8_t *to, uint32_t room, uint32_t *n,
		       struct vd_error *err)
{
	z_stream z = {.zalloc = meta_z_alloc, .zfree = meta_z_free};
	int ret;

	*n = 0;
	if (deflateInit(&z, 6) != Z_OK)
		return vd_no_memory(err, 300000, "deflating");
	z.next_in = (z_const Bytef *)(uintptr_t)raw;
	z.avail_in = len;
	z.next_out = to;
	z.avail_out = room;
	ret = deflate(&z, Z_FINISH);
	if (ret == Z_STREAM_END)
		*n = (uint32_t)z.total_out;
	deflateEnd(&z);
	return 0;
}

static int make_blob(struct meta_packer *packer, const void *raw, uint32_t len,
		     struct meta_blob *blob, uint8_t *packing, struct vd_error *err)
{
	/* Deflating has to save an eighth. */
	uint32_t head = packer->head_len, room = len - len / 8, n = 0;
	uint8_t *bytes = vd_malloc(head + len), *less;
	int ret;

	if (!bytes)
		return vd_no_memory(err, head + len, "a record");
	if (len >= packer->least && room < len) {
		ret = deflate_all(raw, len, bytes + head, room, &n, err);
		if (ret) {
			vd_free(bytes);
			return ret;
		}
	}
	*packing = n ? META_DEFLATED : META_PLAIN;
	if (!n && len)
		memcpy(bytes + head, raw, len);
	if (n) {
		less = vd_realloc(bytes, head + n);
		bytes = less ? less : bytes;
	}
	blob->bytes = bytes;
	blob->len = head + (n ? n : len);
	return 0;
}

/* What is known when the part comes; the rest is filled in at the end. */
static void begin_head(const struct meta_packer *packer, const struct meta_blob *blob,
		       uint8_t packing, const void *raw, uint32_t len)
{
	struct meta_disk_head *disk = (void *)blob->bytes;
	uint8_t *at = blob->bytes + META_HEAD_MIN;
	size_t kind = strlen(packer->kind), name = strlen(packer->name),
	       media = strlen(packer->media);

	memset(blob->bytes, 0, packer->head_len);
	memcpy(disk->magic, meta_magic, sizeof(meta_magic));
	disk->version = vd_put16(META_VERSION);
	disk->head_len = vd_put16((uint16_t)packer->head_len);
	disk->type = (uint8_t)packer->type;
	disk->packing = packing;
	disk->flags = vd_put16(packer->content.is_disk_scope ? META_F_DISK : 0);
	disk->raw_len = vd_put64(len);
	disk->stored_len = vd_put64(blob->len - packer->head_len);
	meta_digest(raw, len, disk->digest);
	disk->kind_len = vd_put16((uint16_t)kind);
	disk->name_len = vd_put16((uint16_t)name);
	disk->media_len = vd_put16((uint16_t)media);
	memcpy(at, packer->kind, kind);
	memcpy(at + kind, packer->name, name);
	memcpy(at + kind + name, packer->media, media);
}

int meta_packer_add(struct meta_packer *packer, const void *raw, uint32_t len, struct vd_error *err)
{
	struct meta_content *c = &packer->content;
	struct meta_blob blob = {0};
	uint8_t packing = META_PLAIN;
	int ret;

	if (c->n == packer->n_room) {
		uint32_t room = packer->n_room ? 2 * packer->n_room : 1;
		struct meta_blob *more = vd_realloc(c->blobs, room * sizeof(*more));

		if (!more)
			return vd_no_memory(err, room * sizeof(*more), "a record");
		c->blobs = more;
		packer->n_room = room;
	}
	if (len > META_PART_MAX || c->n == META_PARTS_MAX ||
	    c->raw_len + len > meta_raw_max(packer->type))
		return vd_error_set(err, VD_ENOSPC, 0, VD_NO_OFFSET,
				    "more than the %llu bytes that such a record may have",
				    (unsigned long long)meta_raw_max(packer->type));
	ret = make_blob(packer, raw, len, &blob, &packing, err);
	if (ret)
		return ret;
	begin_head(packer, &blob, packing, raw, len);
	crypto_generichash_update(&packer->state, raw, len);
	c->blobs[c->n++] = blob;
	c->raw_len += len;
	c->stored_len += blob.len;
	if (c->stored_len > VD_ITEM_TOTAL_MAX)
		return vd_error_set(err, VD_ENOSPC, 0, VD_NO_OFFSET,
				    "more than 32 MiB, compressed: keep it outside of the image "
				    "and refer to it");
	return 0;
}

int meta_packer_finish(struct meta_packer *packer, struct meta_content *out, struct vd_error *err)
{
	struct meta_content *c = &packer->content;
	char key[META_KEY_MAX];
	int ret = c->n ? 0 : meta_packer_add(packer, "", 0, err);

	if (ret)
		return ret;
	crypto_generichash_final(&packer->state, c->digest, 32);
	meta_key(packer->type, packer->kind, packer->name, key);
	for (uint32_t i = 0; i < c->n; i++) {
		struct meta_disk_head *disk = (void *)c->blobs[i].bytes;

		memcpy(c->blobs[i].id, meta_part_id(key, i + 1).b, 16);
		disk->part = vd_put32(i + 1);
		disk->n_parts = vd_put32(c->n);
		disk->whole_len = vd_put64(c->raw_len);
		memcpy(disk->whole_digest, c->digest, 32);
		meta_head_digest(c->blobs[i].bytes, packer->head_len, disk->head_digest);
	}
	*out = *c;
	memset(c, 0, sizeof(*c));
	return 0;
}

int meta_pack(enum vd_record_type type, const char *kind, bool is_disk_scope, const void *raw,
	      size_t len, struct meta_content *out, struct vd_error *err)
{
	struct meta_packer packer;
	const uint8_t *at = raw;
	int ret = meta_packer_init(&packer, type, kind, "", "", is_disk_scope, err);

	while (!ret && len) {
		uint32_t n = (uint32_t)vd_min64(len, META_PART_MAX);

		ret = meta_packer_add(&packer, at, n, err);
		at += n;
		len -= n;
	}
	if (!ret)
		ret = meta_packer_finish(&packer, out, err);
	if (ret)
		meta_packer_drop(&packer);
	return ret;
}
