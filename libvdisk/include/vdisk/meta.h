/* SPDX-License-Identifier: MIT */
/*
 * meta.h - the metadata of an image: documents, fields, tags, facts, attachments, history.
 *
 * A struct vd_meta is the metadata of one open image. A VHDX carries it in its own metadata
 * region; every other image has a sidecar, IMAGE.vdmeta. Setters change it in memory;
 * vd_meta_commit makes all changes durable at once, or none. The storage form is specified in
 * docs/metadata-format.md, the documents in docs/metadata-documents.md.
 *
 * Metadata is hostile until proven otherwise: everything is bounded before it is used. Broken
 * records are reported and skipped; they never keep others, or the disk, from being read.
 * Threads: one at a time per handle, the disk below may be used by others meanwhile; functions
 * without a handle are thread-safe. Callbacks run in the caller's thread and must not call into the
 * handle that calls them. Texts are UTF-8, lengths are bytes. Besides the errors named, setters
 * give VD_EROFS without VD_META_WRITE, and all may give VD_ENOMEM and what reading the image gives.
 */
#ifndef VDISK_META_H
#define VDISK_META_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdisk/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vd_disk;
struct vd_meta;

#define VD_META_DOCUMENT_MAX (1u << 20) /**< bytes of a document as XML */
#define VD_META_FACTS_MAX    65536u     /**< facts of one image */

/* ---- the vocabulary: categories and fields ---- */

/** A category of documents: "content", "hardware", ... */
struct vd_category {
	const char *name;
	const char *xmlns;   /**< namespace of its documents */
	const char *summary; /**< a few words for people */
	bool is_disk_scope;  /**< belongs to the disk's content: copied into children */
};
/** Category `i` of this library, from 0; NULL behind the last one. Static. */
VD_API const struct vd_category *vd_category_at(size_t i);
/** By name or namespace; NULL: none of ours (a vendor's namespace). Static. */
VD_API const struct vd_category *vd_category_find(const char *name);

/** What the values of a field are, and so how they are checked, written and compared. */
enum vd_field_type {
	VD_FIELD_TEXT = 1,
	VD_FIELD_WORD,    /**< one of a closed list: vd_field.choices */
	VD_FIELD_NUMBER,  /**< non-negative integer */
	VD_FIELD_SIZE,    /**< bytes; "4G" is understood */
	VD_FIELD_TIME,    /**< RFC 3339 UTC; "+90d", "2027-01-31" are understood */
	VD_FIELD_VERSION, /**< compared as versions */
	VD_FIELD_BOOL,
	VD_FIELD_PURL, /**< package URL; compared by its version */
	VD_FIELD_UUID,
};
/** "text", "size", ... A static string; "unknown" for other values. */
VD_API const char *vd_field_type_name(enum vd_field_type type);

/** A dotted, typed name for a place in the documents; declared in the schemas. */
struct vd_field {
	const char *name; /**< "os.id", "hardware.memory", "expires", "package", "tag" */
	enum vd_field_type type;
	const struct vd_category *category;
	bool is_list;        /**< may have many values */
	bool is_derived;     /**< can be asked but not set */
	const char *choices; /**< "a|b|c" for VD_FIELD_WORD, else NULL */
	const char *summary;
};
/** Field `i`, from 0, by category; NULL behind the last one. Static. */
VD_API const struct vd_field *vd_field_at(size_t i);
/** By its full name; NULL: there is none. Static. */
VD_API const struct vd_field *vd_field_find(const char *name);

/* ---- opening ---- */

#define VD_META_WRITE                                                                              \
	0x1u /**< to be changed (the disk must be open for writing, unless its metadata            \
		lies in a sidecar) */

/** Options of vd_meta_open. Start from VD_META_OPTS_INIT; NULL means just that. */
struct vd_meta_opts {
	uint32_t size;           /**< sizeof(struct vd_meta_opts) */
	uint32_t flags;          /**< VD_META_* */
	const char *sidecar_dir; /**< keep or seek the sidecar here, also for a VHDX; NULL: beside
				    the image, for images that have no items */
	uint32_t timeout_ms;     /**< for waiting on another writer of the sidecar; 0: none */
};
#define VD_META_OPTS_INIT                                                                          \
	{                                                                                          \
		sizeof(struct vd_meta_opts), 0, NULL, 0                                            \
	}

/**
 * The metadata of `disk` (borrowed: it must stay open longer). Reads the directory and the facts,
 * no payload and no BAT. An image without metadata opens too. *out is the caller's, to be closed
 * by vd_meta_close. A disk that was opened with VD_OPEN_LOOK gives metadata that is looked at
 * without locks: what another program changes meanwhile is noticed by digests and read again.
 * Errors: VD_EINVAL (options; a sidecar for an image without a path), VD_EROFS (VD_META_WRITE, and
 * the metadata lies in an image that was opened for reading). Damage is none: vd_meta_get_info.
 */
VD_API int vd_meta_open(struct vd_meta **out, struct vd_disk *disk, const struct vd_meta_opts *opts,
			struct vd_error *err);
/** Let go of the metadata; changes that weren't committed are dropped, the disk stays open. What
 * was borrowed of it ends here. NULL is allowed. */
VD_API void vd_meta_close(struct vd_meta *meta);
/** Give back what a function of this header handed out for freeing. NULL is allowed. */
VD_API void vd_meta_free(void *p);

/** Where the records of an image lie. */
enum vd_meta_place {
	VD_META_NOWHERE = 0, /**< no items and no path to stand beside: nothing can be committed */
	VD_META_ITEMS = 1,   /**< in the image itself (vdisk/item.h) */
	VD_META_SIDECAR = 2, /**< in a file of its own, a small VHDX */
};
/** The metadata as a whole, with the changes not committed yet. Strings: borrowed until the next
 *  commit, revert or close. */
struct vd_meta_info {
	uint32_t size; /**< set by the caller */
	enum vd_meta_place place;
	const char *sidecar;  /**< its path, also if it doesn't exist yet; NULL for items */
	const char *mismatch; /**< the sidecar names another image or can't be read, in words;
				 NULL: it fits */
	size_t n_records, n_foreign, n_damaged;
	uint64_t stored_bytes; /**< of all user items */
	bool has_ours;         /**< a record of ours is stored */
	bool has_stale_facts; /**< the stored facts didn't fit the documents; they were derived anew
			       */
	bool has_changes;     /**< not committed yet */
	uint64_t
	    n_history; /**< entries of the history, those rolled up counted, as the facts say */
};
/** Fill *info, as much of it as info->size says. Reads nothing, so it can't fail. */
VD_API void vd_meta_get_info(struct vd_meta *meta, struct vd_meta_info *info);

/* ---- records: what is stored ---- */

/** What a record is. */
enum vd_record_type {
	VD_RECORD_FOREIGN = 0,  /**< somebody else's item, without our envelope */
	VD_RECORD_DOCUMENT = 1, /**< of one of our categories, or a vendor's */
	VD_RECORD_FACTS = 2,
	VD_RECORD_HISTORY = 3,
	VD_RECORD_ATTACHMENT = 4, /**< a file; all parts together */
	VD_RECORD_SUBJECT = 5,    /**< in a sidecar: the image that it belongs to */
};
/** A record: a document, the history, a file, or an item of somebody else's. */
struct vd_record {
	enum vd_record_type type;
	const char *kind;        /**< category name, a vendor's namespace, or "" */
	const char *name;        /**< of an attachment, or "" */
	const char *media_type;  /**< of an attachment, or "" */
	uint8_t id[16];          /**< of the item, or of the first part */
	bool is_disk_scope;      /**< belongs to the disk's content: copied into new children */
	uint32_t n_parts;        /**< items that it is stored in */
	uint64_t stored_len;     /**< bytes that these items have */
	uint64_t raw_len;        /**< bytes of what they hold, not compressed */
	uint8_t digest[32];      /**< BLAKE2b-256 of the raw bytes */
	int damage;              /**< 0, or VD_ECORRUPT / VD_EUNSUPPORTED */
	const char *damage_text; /**< what is wrong, or NULL */
};
/** Record `i`, from 0, with the changes not committed yet: documents first, in the order of
 *  categories. NULL behind the last (and without memory). Borrowed until the next change, commit,
 *  revert or close; of an image opened for reading also until the next document, field or
 * attachment is read, which may have to load everything anew. */
VD_API const struct vd_record *vd_meta_record(struct vd_meta *meta, size_t i);

/* ---- documents ---- */

/** The XML of a document, by category or vendor's namespace, with the changes not committed yet;
 *  "history" gives the history as a document. VD_ENOENT: there is none; VD_ECORRUPT: digest or
 * bounds are violated; VD_EUNSUPPORTED: of a later version. *bytes is the caller's (vd_meta_free);
 * a NUL follows it, which *len doesn't count. */
VD_API int vd_meta_get_document(struct vd_meta *meta, const char *kind, char **bytes, size_t *len,
				struct vd_error *err);
/** Put a document in, whole, in the place of one of its kind. It is validated against its schema; a
 *  vendor's must be well-formed, in the namespace `kind`. kind NULL: as the root element's
 * namespace says. VD_ECORRUPT: not well-formed, or against the schema; VD_EINVAL: of another kind,
 * the history, or a namespace that is no URI; VD_EUNSUPPORTED: the stored one is of a later
 * version. */
VD_API int vd_meta_set_document(struct vd_meta *meta, const char *kind, const char *bytes,
				size_t len, struct vd_error *err);
/** Take away a document, "history", or an attachment by name ("attachment:NAME"), the latter also
 *  from the document that names it. VD_ENOENT: there is none. */
VD_API int vd_meta_remove(struct vd_meta *meta, const char *kind, struct vd_error *err);
/** Take away all of ours, also the history and its entries that weren't committed. Foreign items
 *  stay. */
VD_API int vd_meta_strip(struct vd_meta *meta, struct vd_error *err);
/** Hears one thing that is wrong with a document; line 0: not of one line. `text` is valid during
 * the call. */
typedef void (*vd_wrong_fn)(void *user, int line, const char *text);
/** Check bytes against the schema of `kind` (NULL: as the root says), or only for being well-formed
 *  for a vendor's. Each thing wrong goes to `fn` (may be NULL). Needs no image; nothing is changed.
 *  VD_ECORRUPT: something was wrong, the first of it stands in *err. */
VD_API int vd_meta_validate(const char *kind, const char *bytes, size_t len, vd_wrong_fn fn,
			    void *user, struct vd_error *err);

/* ---- fields and facts ---- */

/** Hears one value; both texts are valid during the call. A non-zero answer ends the asking. */
typedef int (*vd_value_fn)(void *user, const char *field, const char *value);

/** Each value of a field, in the order of the documents, with the changes not committed yet, read
 * from the documents themselves. "hardware.*", or "hardware" where that is no field itself, means
 * all below. VD_ENOENT: no value; VD_EINVAL: no such field; VD_ECORRUPT: the document can't be
 * read; or the non-zero answer of fn (which may be NULL: is there a value?). */
VD_API int vd_meta_get_field(struct vd_meta *meta, const char *field, vd_value_fn fn, void *user,
			     struct vd_error *err);
/** What is to become of a field. */
enum vd_field_edit {
	VD_FIELD_SET = 0,    /**< this is the value, the only one */
	VD_FIELD_ADD = 1,    /**< one more value of a list */
	VD_FIELD_REMOVE = 2, /**< this value of a list goes, or all if value is NULL */
};
/** Change one field. The document is made if it isn't there; the value is checked by the field's
 *  type and written in its normal form. Everything else in the document stays as it is. VD_EINVAL:
 * no such field, it is derived, or the value isn't of its type; VD_ENOENT: what is to be removed
 * isn't there; VD_ECORRUPT, VD_EUNSUPPORTED: the document can't be read, so it isn't edited either.
 */
VD_API int vd_meta_set_field(struct vd_meta *meta, const char *field, enum vd_field_edit edit,
			     const char *value, struct vd_error *err);

/** One fact: what a document says, as a field. */
struct vd_fact {
	const char *field;
	const char *value; /**< as the document has it, in the type's normal form */
	const char *key;   /**< for looking up: case-folded and normalised (Unicode NFKC) */
	uint32_t group; /**< facts of one entry of a list (a package, a CVE) share a number > 0; 0:
			   none */
};
/**
 * All facts, sorted by field, key, value. From the stored record where that fits the documents by
 * their digests, else derived from the documents. `derive`: always from the documents (what policy
 * wants). Damaged documents have none. Borrowed for as long as a record (vd_meta_record).
 * VD_ENOSPC, VD_ECORRUPT: the documents make more than VD_META_FACTS_MAX.
 */
VD_API int vd_meta_get_facts(struct vd_meta *meta, bool derive, const struct vd_fact **facts,
			     size_t *n, struct vd_error *err);

/** Facts that no document says: of a file, of a host. One thread at a time until it is asked. */
struct vd_fact_set;
/** *out is the caller's, to be given back by vd_fact_set_free. */
VD_API int vd_fact_set_create(struct vd_fact_set **out, struct vd_error *err);
/** NULL is allowed. */
VD_API void vd_fact_set_free(struct vd_fact_set *set);
/** Add one; the texts are copied, the key is made. The value is stored as it is given, so it must
 * be in the normal form of its type. `group` as in struct vd_fact. VD_EINVAL: not UTF-8; VD_ENOSPC:
 * more than VD_META_FACTS_MAX. */
VD_API int vd_fact_set_add(struct vd_fact_set *set, const char *field, const char *value,
			   uint32_t group, struct vd_error *err);
/** All, sorted by field, key, value, group, without doubles; valid until the next one is added.
 *  NULL if there is none. */
VD_API const struct vd_fact *vd_fact_set_facts(struct vd_fact_set *set, size_t *n);

/* ---- attachments ---- */

/** Bring up to `len` next bytes of what is attached; returns how many, 0 at the end, or a negative
 *  VD_E* (with *err filled), which ends the attaching with that code. */
typedef int64_t (*vd_source_fn)(void *user, void *buf, size_t len, struct vd_error *err);
/** Take the next `len` bytes, valid during the call. A non-zero answer ends it and is returned. */
typedef int (*vd_sink_fn)(void *user, const void *buf, size_t len, struct vd_error *err);
/**
 * Attach a file under a name (UTF-8, a relative path without ".."), taken in at once and stored
 * compressed where that pays. `kind`: the category whose document names it ("configuration",
 * "state", or NULL: none). Replaces one of the same name. `media_type` may be NULL. The content
 * waits for the commit in memory, compressed. VD_ENOSPC: over the bounds (32 MiB, as stored); keep
 * it by reference then. VD_EINVAL: the name, or the kind.
 */
VD_API int vd_meta_attach(struct vd_meta *meta, const char *kind, const char *name,
			  const char *media_type, vd_source_fn source, void *user,
			  struct vd_error *err);
/** Give an attachment to `sink`, piece by piece, from its beginning. Its digest is checked before 0
 * is returned: until then, what was given is not to be trusted. VD_ENOENT; VD_ECORRUPT. */
VD_API int vd_meta_extract(struct vd_meta *meta, const char *name, vd_sink_fn sink, void *user,
			   struct vd_error *err);
/** A file that stays outside of the image. */
struct vd_reference {
	const char *name;       /**< as that of an attachment */
	const char *media_type; /**< may be NULL */
	const char *uri;        /**< a URI, or a path beside the image */
	uint64_t length;        /**< bytes */
	uint8_t digest[32];     /**< BLAKE2b-256 of its content */
};
/** Name such a file in the document of `kind` ("configuration", "state"). Nobody looks whether it
 *  is there. VD_EINVAL: another kind, no URI, or the name; VD_EEXIST: one of this name is attached.
 */
VD_API int vd_meta_refer(struct vd_meta *meta, const char *kind, const struct vd_reference *ref,
			 struct vd_error *err);
/** The bytes (the beginning of a file) look like a private key: what of, in words; else NULL. A
 *  static string. For a warning before others get to read it in the image. */
VD_API const char *vd_meta_looks_secret(const void *bytes, size_t len);

/* ---- history ---- */

/** One operation on the image. Texts may be NULL; of longer ones the first KiB is kept. */
struct vd_operation {
	int64_t time;           /**< seconds since 1970; 0: now */
	const char *actor;      /**< who: a user name; NULL: as the OS says; "": leave it out */
	const char *host;       /**< NULL: as the OS says; "": leave it out */
	const char *tool;       /**< "vdtool 0.1.0" */
	const char *operation;  /**< "tag", "compact", "mount" ... */
	const char *parameters; /**< for people */
	const char *outcome;    /**< "ok", "failed: ..." */
};
/** An entry as it is stored. */
struct vd_history_entry {
	struct vd_operation op;
	uint64_t number;      /**< from 1, without gaps unless rolled up */
	uint64_t n_rolled_up; /**< > 0: this entry stands for so many older ones */
	uint8_t previous[32]; /**< digest of the entry before */
	uint8_t digest[32];   /**< of this one */
	bool is_linked;       /**< both digests are right */
};
/** Hears one entry, valid during the call. A non-zero answer ends the reading. */
typedef int (*vd_history_fn)(void *user, const struct vd_history_entry *entry);
/** Each stored entry, oldest first; those that wait for a commit aren't shown. VD_ENOENT: there is
 * no history; or the non-zero answer of fn. *n_broken (may be NULL): entries whose links or digests
 * are wrong; a damaged history is shown as far as it goes. The chain shows what was changed by
 * accident or in passing; whoever can write the image can also write another history that fits. */
VD_API int vd_meta_read_history(struct vd_meta *meta, vd_history_fn fn, void *user,
				uint64_t *n_broken, struct vd_error *err);
/** Add an entry with the next commit (there may be several, up to 64: VD_EINVAL). *op is copied. In
 * a long history the oldest entries are rolled up into one. */
VD_API int vd_meta_log(struct vd_meta *meta, const struct vd_operation *op, struct vd_error *err);

/* ---- commit ---- */

/**
 * Make the changes durable, all or none, with the facts that follow from them. No changes: nothing
 * is written. Creates the sidecar if there has to be one, and removes one that holds nothing any
 * more. After a crash at any moment the image has the metadata of before or of after. Guests may
 * write to the disk meanwhile.
 * Errors: VD_EBUSY, somebody else edits the sidecar, or has changed the same record since it was
 * read (revert, and do it again); VD_ENOSPC, the bounds or a full host; VD_EUNSUPPORTED,
 * VD_META_NOWHERE; VD_ECORRUPT; VD_EPOISONED and others of vd_disk_change_items. After a failure
 * the changes are still there, to be tried again or dropped. Only if the metadata is durable, but
 * can't be read again, none is left: setters say VD_EIO then, until vd_meta_revert has read it.
 */
VD_API int vd_meta_commit(struct vd_meta *meta, struct vd_error *err);
/** Forget the changes since the last commit, and read what is stored anew. */
VD_API int vd_meta_revert(struct vd_meta *meta, struct vd_error *err);

/** Copy everything of ours from one image's metadata to another's, to be committed there: documents
 *  and attachments, the history only if asked for and if there is none yet. Damaged records are
 * left out, which the message hook hears. The thread rule holds for both handles. */
VD_API int vd_meta_copy(struct vd_meta *to, struct vd_meta *from, bool with_history,
			struct vd_error *err);

#ifdef __cplusplus
}
#endif
#endif
