/* SPDX-License-Identifier: MIT */
/*
 * The envelope around each part of a record, as docs/metadata-format.md specifies it: a head with
 * a digest of its own, then the bytes, as they are or deflated. Pure: knows no disk.
 */
#ifndef VD_META_ENVELOPE_H
#define VD_META_ENVELOPE_H

#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>

#include <vdisk/item.h>
#include <vdisk/meta.h>

#include "base/bytes.h"
#include "base/guid.h"
#include "base/span.h"

#define META_VERSION  1u
#define META_HEAD_MIN 152u
#define META_HEAD_MAX 4096u
/** Raw bytes of a part: as they are, with the longest head, they still fit an item. */
#define META_PART_MAX    (VD_ITEM_MAX - META_HEAD_MAX)
#define META_PARTS_MAX   1000u /* items of ours in an image, too */
#define META_KIND_MAX    1024u
#define META_NAME_MAX    1024u
#define META_MEDIA_MAX   255u
#define META_FACTS_RAW   (16u << 20) /* bytes of a facts record */
#define META_HISTORY_RAW (256u << 10)
#define META_SUBJECT_RAW 8192u

#define META_PLAIN       0u
#define META_DEFLATED    1u /* a zlib stream, RFC 1950 */

#define META_F_DISK      0x0001u /* scope: the disk's content, else the file */

struct meta_disk_head {
	uint8_t magic[8];
	struct vd_le16 version, head_len;
	uint8_t type, packing;
	struct vd_le16 flags;
	struct vd_le32 part, n_parts;
	struct vd_le64 raw_len, stored_len, whole_len;
	uint8_t digest[32], whole_digest[32];
	struct vd_le16 kind_len, name_len, media_len, reserved;
	uint8_t head_digest[32];
};
_Static_assert(sizeof(struct meta_disk_head) == META_HEAD_MIN, "head of an envelope");
_Static_assert(offsetof(struct meta_disk_head, raw_len) == 24, "lengths");
_Static_assert(offsetof(struct meta_disk_head, digest) == 48, "digests");
_Static_assert(offsetof(struct meta_disk_head, kind_len) == 112, "texts");
_Static_assert(offsetof(struct meta_disk_head, head_digest) == 120, "digest of the head");

/** A head that was checked. The texts lie in the bytes that were decoded, without a NUL. */
struct meta_head {
	enum vd_record_type type;
	uint8_t packing;
	bool is_disk_scope;
	uint32_t part, n_parts; /* from 1 */
	uint32_t head_len, raw_len, stored_len;
	uint64_t whole_len;
	uint8_t digest[32], whole_digest[32];
	struct vd_span kind, name, media;
};

/** The bytes may be an envelope: they begin with the magic. */
bool meta_is_envelope(struct vd_span head);
/**
 * Check the head of an item that is `item_len` bytes long in all, with these flags of the table.
 * `head` holds its first bytes, at least META_HEAD_MAX or all of them. VD_ENOENT: no envelope;
 * VD_EUNSUPPORTED: of a later version; VD_ECORRUPT.
 */
int meta_head_decode(struct vd_span head, uint32_t item_len, uint32_t item_flags,
		     struct meta_head *out, struct vd_error *err);
/** Bring the raw bytes of a part, head.raw_len of them, out of a whole item; checks the digest. */
int meta_part_unpack(struct vd_span item, const struct meta_head *head, uint8_t *raw,
		     struct vd_error *err);
/** Largest raw length that a whole record of this type may have. */
uint64_t meta_raw_max(enum vd_record_type type);

/** Well-formed UTF-8 without control characters. */
bool meta_text_is_clean(const char *text, size_t len);
/** A name that a file can be attached by, and be written out by without leaving its folder: a
 *  clean, relative path without empty parts, "." and "..". */
bool meta_path_is_safe(const char *path, size_t len);
/** BLAKE2b-256. */
void meta_digest(const void *bytes, size_t len, uint8_t digest[32]);
extern const uint8_t meta_magic[8];
/** Of all of a head but the digest itself. */
void meta_head_digest(const uint8_t *head, uint32_t head_len, uint8_t digest[32]);
/** zlib takes memory where everything else does. */
void *meta_z_alloc(void *user, unsigned n, unsigned size);
void meta_z_free(void *user, void *p);
/** Once before anything else here. Thread-safe. */
int meta_digest_init(struct vd_error *err);

#define META_KEY_MAX (META_NAME_MAX + 32)
/** "content", "attachment:NAME" ...: what the id of a record's items derives from. */
void meta_key(enum vd_record_type type, const char *kind, const char *name, char key[META_KEY_MAX]);
/** The id of a record's part (from 1). */
struct vd_guid meta_part_id(const char *key, uint32_t part);

/* ---- the other way ---- */

/** An item ready to be written. */
struct meta_blob {
	uint8_t id[16];
	uint32_t len;
	uint8_t *bytes;
};

/** A record ready to be written. */
struct meta_content {
	struct meta_blob *blobs;
	uint32_t n;
	bool is_disk_scope;
	uint64_t raw_len, stored_len; /* stored: with heads */
	uint8_t digest[32];
};
void meta_content_free(struct meta_content *content);

/** Takes in a record piece by piece. */
struct meta_packer {
	struct meta_content content;
	crypto_generichash_state state;
	enum vd_record_type type;
	const char *kind, *name, *media; /* borrowed until the end */
	uint32_t least; /* shorter parts aren't deflated: they are to be used as they lie */
	uint32_t head_len, n_room;
};
/** VD_EINVAL: texts that an envelope can't hold. */
int meta_packer_init(struct meta_packer *packer, enum vd_record_type type, const char *kind,
		     const char *name, const char *media, bool is_disk_scope, struct vd_error *err);
/** One part of at most META_PART_MAX bytes; all but the last should be that long. */
int meta_packer_add(struct meta_packer *packer, const void *raw, uint32_t len,
		    struct vd_error *err);
/** Hands the content over; the packer is empty afterwards. */
int meta_packer_finish(struct meta_packer *packer, struct meta_content *out, struct vd_error *err);
void meta_packer_drop(struct meta_packer *packer);
/** All at once. */
int meta_pack(enum vd_record_type type, const char *kind, bool is_disk_scope, const void *raw,
	      size_t len, struct meta_content *out, struct vd_error *err);

#endif
