/* SPDX-License-Identifier: MIT */
/*
 * Envelopes of items, from bytes to meaning. Order of trust: magic, version, length of the head,
 * digest of the head, then its fields; then the stored bytes, whose raw length is known before
 * they are inflated; then the digest of what came out.
 */
#include "meta/meta_envelope.h"

#include <string.h>
#include <utf8proc.h>
#include <zlib.h>

#include "base/alloc.h"
#include "base/checked.h"

const uint8_t meta_magic[8] = {'v', 'd', 'i', 's', 'k', 0x1a, 'm', 'd'};

/* The namespace of the ids of our items: bfdfeaad-6dde-40f2-af3c-a2b2e53c68ba. */
static const struct vd_guid id_space = {{0xbf, 0xdf, 0xea, 0xad, 0x6d, 0xde, 0x40, 0xf2, 0xaf, 0x3c,
					 0xa2, 0xb2, 0xe5, 0x3c, 0x68, 0xba}};

int meta_digest_init(struct vd_error *err)
{
	if (sodium_init() >= 0)
		return 0;
	return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
			    "libsodium can't be used here: no source of randomness");
}

void meta_digest(const void *bytes, size_t len, uint8_t digest[32])
{
	crypto_generichash(digest, 32, bytes, len, NULL, 0);
}

bool meta_text_is_clean(const char *text, size_t len)
{
	utf8proc_ssize_t n, at = 0;
	utf8proc_int32_t c;

	while ((size_t)at < len) {
		n = utf8proc_iterate((const utf8proc_uint8_t *)text + at,
				     (utf8proc_ssize_t)len - at, &c);
		if (n <= 0 || c < 0x20 || (c >= 0x7f && c < 0xa0))
			return false;
		at += n;
	}
	return true;
}

bool meta_path_is_safe(const char *path, size_t len)
{
	const char *end = path + len, *slash;

	if (!len || len > META_NAME_MAX || !meta_text_is_clean(path, len))
		return false;
	for (;; path = slash + 1) {
		size_t n;

		slash = memchr(path, '/', (size_t)(end - path));
		n = (size_t)((slash ? slash : end) - path);
		if (!n || (n == 1 && path[0] == '.') || (n == 2 && !memcmp(path, "..", 2)))
			return false;
		if (!slash)
			return true;
	}
}

void meta_key(enum vd_record_type type, const char *kind, const char *name, char key[META_KEY_MAX])
{
	const char *prefix = "", *text = kind;

	if (type == VD_RECORD_FACTS)
		text = "facts";
	else if (type == VD_RECORD_HISTORY)
		text = "history";
	else if (type == VD_RECORD_SUBJECT)
		text = "subject";
	else if (type == VD_RECORD_ATTACHMENT) {
		prefix = "attachment:";
		text = name;
	}
	strcpy(key, prefix);
	strncat(key, text, META_NAME_MAX);
}

struct vd_guid meta_part_id(const char *key, uint32_t part)
{
	char text[META_KEY_MAX + 16], digits[16];
	size_t n = sizeof(digits) - 1;

	if (part == 1)
		return vd_guid_derive(id_space, key);
	digits[n] = '\0';
	for (; part; part /= 10)
		digits[--n] = (char)('0' + part % 10);
	strcpy(text, key);
	strcat(text, "\n#");
	strcat(text, digits + n);
	return vd_guid_derive(id_space, text);
}

uint64_t meta_raw_max(enum vd_record_type type)
{
	switch (type) {
	case VD_RECORD_DOCUMENT:
		return VD_META_DOCUMENT_MAX;
	case VD_RECORD_FACTS:
		return META_FACTS_RAW;
	case VD_RECORD_HISTORY:
		return META_HISTORY_RAW;
	case VD_RECORD_SUBJECT:
		return META_SUBJECT_RAW;
	case VD_RECORD_ATTACHMENT:
		return (uint64_t)META_PARTS_MAX * META_PART_MAX;
	case VD_RECORD_FOREIGN:
		break;
	}
	return 0;
}

static int corrupt(struct vd_error *err, const char *what)
{
	return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET, "envelope: %s", what);
}

bool meta_is_envelope(struct vd_span head)
{
	return head.len >= sizeof(meta_magic) && !memcmp(head.p, meta_magic, sizeof(meta_magic));
}

/* Everything of the head but its first 120 bytes and its texts is left out: that is the digest. */
void meta_head_digest(const uint8_t *head, uint32_t head_len, uint8_t digest[32])
{
	const size_t at = offsetof(struct meta_disk_head, head_digest);
	crypto_generichash_state state;

	crypto_generichash_init(&state, NULL, 0, 32);
	crypto_generichash_update(&state, head, at);
	crypto_generichash_update(&state, head + META_HEAD_MIN, head_len - META_HEAD_MIN);
	crypto_generichash_final(&state, digest, 32);
}

static int decode_texts(struct vd_span head, const struct meta_disk_head *disk,
			struct meta_head *out, struct vd_error *err)
{
	const uint8_t *at = head.p + META_HEAD_MIN;
	size_t room = out->head_len - META_HEAD_MIN, used;

	out->kind = vd_span(at, vd_get16(disk->kind_len));
	out->name = vd_span(at + out->kind.len, vd_get16(disk->name_len));
	out->media = vd_span(at + out->kind.len + out->name.len, vd_get16(disk->media_len));
	used = out->kind.len + out->name.len + out->media.len;
	if (out->kind.len > META_KIND_MAX || out->name.len > META_NAME_MAX ||
	    out->media.len > META_MEDIA_MAX || used > room)
		return corrupt(err, "a text is longer than its bound or than the head");
	if (room - used >= 8 || !vd_is_zero(at + used, room - used))
		return corrupt(err, "the head doesn't end where its texts do");
	if (!meta_text_is_clean((const char *)out->kind.p, out->kind.len) ||
	    !meta_text_is_clean((const char *)out->name.p, out->name.len) ||
	    !meta_text_is_clean((const char *)out->media.p, out->media.len))
		return corrupt(err, "kind, name or media type isn't clean UTF-8");
	return 0;
}

static bool span_is(struct vd_span s, const char *text)
{
	return s.len == strlen(text) && !memcmp(s.p, text, s.len);
}

/* What each type asks of its texts. */
static int check_type(const struct meta_head *h, struct vd_error *err)
{
	bool is_fine = false;

	switch (h->type) {
	case VD_RECORD_DOCUMENT:
		is_fine = h->kind.len && !span_is(h->kind, "facts") &&
			  !span_is(h->kind, "history") && !span_is(h->kind, "subject") &&
			  !(h->kind.len >= 11 && !memcmp(h->kind.p, "attachment:", 11));
		break;
	case VD_RECORD_FACTS:
		is_fine = span_is(h->kind, "facts") && !h->is_disk_scope;
		break;
	case VD_RECORD_HISTORY:
		is_fine = span_is(h->kind, "history") && !h->is_disk_scope;
		break;
	case VD_RECORD_SUBJECT:
		is_fine = span_is(h->kind, "subject") && !h->is_disk_scope;
		break;
	case VD_RECORD_ATTACHMENT:
		is_fine = meta_path_is_safe((const char *)h->name.p, h->name.len);
		break;
	case VD_RECORD_FOREIGN:
		break;
	}
	if (!is_fine)
		return corrupt(err, "kind, name or scope doesn't fit the type of the record");
	if (h->type != VD_RECORD_ATTACHMENT && (h->name.len || h->media.len))
		return corrupt(err, "only attachments have a name and a media type");
	return 0;
}

static int check_lengths(const struct meta_head *h, const struct meta_disk_head *disk,
			 uint32_t item_len, struct vd_error *err)
{
	uint64_t raw = vd_get64(disk->raw_len), stored = vd_get64(disk->stored_len);

	if (stored != item_len - h->head_len)
		return corrupt(err, "the stored length isn't that of the item");
	if (raw > META_PART_MAX)
		return corrupt(err, "a part of more than 1 MiB - 4 KiB raw bytes");
	if (h->packing == META_PLAIN && raw != stored)
		return corrupt(err, "not deflated, but raw and stored length differ");
	if (h->packing == META_DEFLATED && stored >= raw)
		return corrupt(err, "deflated, but not shorter than the raw bytes");
	if (h->packing > META_DEFLATED)
		return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
				    "envelope: packing %u isn't known to this version", h->packing);
	if (!h->n_parts || h->n_parts > META_PARTS_MAX || !h->part || h->part > h->n_parts)
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "envelope: part %u of %u (at most %u)", h->part, h->n_parts,
				    META_PARTS_MAX);
	if (h->whole_len > meta_raw_max(h->type) || h->whole_len < raw)
		return vd_error_set(
		    err, VD_ECORRUPT, 0, VD_NO_OFFSET,
		    "envelope: a record of %llu raw bytes, at most %llu are allowed",
		    (unsigned long long)h->whole_len, (unsigned long long)meta_raw_max(h->type));
	if (h->n_parts == 1 &&
	    (h->whole_len != raw || memcmp(disk->digest, disk->whole_digest, 32) != 0))
		return corrupt(err, "a single part that isn't the whole");
	return 0;
}

static int decode_fields(const struct meta_disk_head *disk, uint32_t item_flags,
			 struct meta_head *out, struct vd_error *err)
{
	uint16_t flags = vd_get16(disk->flags);

	if (disk->type < VD_RECORD_DOCUMENT || disk->type > VD_RECORD_SUBJECT)
		return vd_error_set(err, disk->type ? VD_EUNSUPPORTED : VD_ECORRUPT, 0,
				    VD_NO_OFFSET, "envelope: records of type %u aren't known",
				    disk->type);
	if (flags & ~META_F_DISK || vd_get16(disk->reserved))
		return corrupt(err, "reserved bits are set");
	out->type = disk->type;
	out->packing = disk->packing;
	out->is_disk_scope = flags & META_F_DISK;
	if (out->is_disk_scope != !!(item_flags & VD_ITEM_VIRTUAL_DISK))
		return corrupt(err, "its scope isn't the one that the metadata table has");
	out->part = vd_get32(disk->part);
	out->n_parts = vd_get32(disk->n_parts);
	out->raw_len = (uint32_t)vd_min64(vd_get64(disk->raw_len), UINT32_MAX);
	out->stored_len = (uint32_t)vd_min64(vd_get64(disk->stored_len), UINT32_MAX);
	out->whole_len = vd_get64(disk->whole_len);
	memcpy(out->digest, disk->digest, 32);
	memcpy(out->whole_digest, disk->whole_digest, 32);
	return 0;
}

int meta_head_decode(struct vd_span head, uint32_t item_len, uint32_t item_flags,
		     struct meta_head *out, struct vd_error *err)
{
	const struct meta_disk_head *disk = (const void *)head.p;
	uint8_t digest[32];
	uint32_t version;
	int ret;

	memset(out, 0, sizeof(*out));
	if (!meta_is_envelope(head))
		return vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET, "no envelope of this library");
	if (head.len < META_HEAD_MIN || head.len > item_len)
		return corrupt(err, "the item ends within its head");
	version = vd_get16(disk->version);
	if (version != META_VERSION)
		return vd_error_set(err, version ? VD_EUNSUPPORTED : VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "envelope: version %u, this library knows version %u only",
				    version, META_VERSION);
	out->head_len = vd_get16(disk->head_len);
	if (out->head_len < META_HEAD_MIN || out->head_len % 8 || out->head_len > META_HEAD_MAX ||
	    out->head_len > head.len)
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "envelope: a head of %u bytes in an item of %u", out->head_len,
				    item_len);
	meta_head_digest(head.p, out->head_len, digest);
	if (memcmp(digest, disk->head_digest, 32) != 0)
		return corrupt(err, "the head was changed: its digest is wrong");
	ret = decode_fields(disk, item_flags, out, err);
	if (!ret)
		ret = check_lengths(out, disk, item_len, err);
	if (!ret)
		ret = decode_texts(head, disk, out, err);
	return ret ? ret : check_type(out, err);
}

/* zlib takes memory where everything else does. */
void *meta_z_alloc(void *user, unsigned n, unsigned size)
{
	(void)user;
	return vd_calloc(n, size);
}

void meta_z_free(void *user, void *p)
{
	(void)user;
	vd_free(p);
}

static int inflate_all(struct vd_span stored, uint8_t *raw, uint32_t raw_len, struct vd_error *err)
{
	z_stream z = {.zalloc = meta_z_alloc, .zfree = meta_z_free};
	bool is_whole;
	int ret;

	if (inflateInit(&z) != Z_OK)
		return vd_no_memory(err, 65536, "inflating");
	z.next_in = (z_const Bytef *)(uintptr_t)stored.p;
	z.avail_in = (uInt)stored.len;
	z.next_out = raw;
	z.avail_out = raw_len;
	ret = inflate(&z, Z_FINISH);
	is_whole = ret == Z_STREAM_END && !z.avail_in && !z.avail_out;
	inflateEnd(&z);
	if (ret == Z_MEM_ERROR)
		return vd_no_memory(err, 65536, "inflating");
	if (!is_whole)
		return corrupt(err, "the stored bytes don't inflate to just the length declared");
	return 0;
}

int meta_part_unpack(struct vd_span item, const struct meta_head *head, uint8_t *raw,
		     struct vd_error *err)
{
	struct vd_span stored;
	uint8_t digest[32];
	int ret = 0;

	if (!vd_span_sub(item, head->head_len, head->stored_len, &stored))
		return corrupt(err, "the item ends within its stored bytes");
	if (head->packing == META_DEFLATED)
		ret = inflate_all(stored, raw, head->raw_len, err);
	else
		memcpy(raw, stored.p, head->raw_len);
	if (ret)
		return ret;
	meta_digest(raw, head->raw_len, digest);
	if (memcmp(digest, head->digest, 32) != 0)
		return corrupt(err, "the bytes were changed: their digest is wrong");
	return 0;
}
