/* SPDX-License-Identifier: MIT */
/*
 * The inside of a struct vd_meta: what is stored, as far as it was read, and beside it what is to
 * be stored. The files of this folder:
 *
 *   meta_open.c      handles, information       meta_list.c      records as callers see them
 *   meta_load.c      from items to records      meta_document.c  documents
 *   meta_directory.c the same, the short way    meta_copy.c      image to image
 *   meta_read.c      bytes of items, of records meta_field.c     fields, facts
 *   meta_commit.c    writing, reverting         meta_attach.c    files
 *   meta_sidecar.c   IMAGE.vdmeta               meta_history.c   history
 *   pure:  meta_envelope.c meta_pack.c  meta_facts.c  meta_chain.c meta_chain_xml.c
 */
#ifndef VD_META_HANDLE_H
#define VD_META_HANDLE_H

#include <vdisk/disk.h>

#include "meta/meta_chain.h"
#include "meta/meta_envelope.h"
#include "meta/meta_facts.h"
#include "xml/doc.h"

/* What a commit puts side by side, and an opening reads at once. */
#define META_RUN_MAX (512u << 10)
/* Documents up to this size move along into the run of each commit. */
#define META_SMALL_MAX (64u << 10)

struct meta_record {
	struct vd_record pub; /* its texts lie below */
	char *kind, *name, *media, *damage_text;
	char *told_media; /* what the directory said instead of `media`; callers may hold it */

	/* What is stored. */
	bool is_stored;
	bool is_vouched; /* only the directory in the facts says so: no head was read yet */
	bool is_disk_scope;
	struct vd_item *parts; /* in order; those that are there */
	uint32_t n_stored, n_parts;
	uint64_t stored_len, raw_len;
	uint8_t digest[32];

	/* What is to be stored. */
	bool is_changed, is_removed;
	bool has_base, was_stored; /* what was there when the change began */
	uint8_t base_digest[32];
	struct meta_content fresh; /* if is_changed */
	/* A document being edited field by field; packed into `fresh` when that is asked for. */
	struct vd_doc *doc;
	bool is_doc_ahead; /* of `fresh` */
};

struct vd_meta {
	struct vd_disk *disk; /* borrowed */
	struct vd_disk *own;  /* the sidecar, or a newer look at the image; or NULL */
	struct vd_meta_opts opts;
	char *sidecar_dir, *sidecar; /* sidecar: its path; NULL for items */
	enum vd_meta_place place;
	bool is_writable;
	char *mismatch;
	char *trouble;   /* why the sidecar can't be read; then nothing is written */
	bool is_partial; /* the last reading of the directory failed on its way */

	struct vd_item *items;
	size_t n_items;
	uint64_t stored_bytes;
	struct { /* a stretch of the file that was read at once */
		uint8_t *bytes;
		uint64_t off;
		uint32_t len;
	} window;

	struct meta_record **records;
	size_t n_records, n_room;
	struct meta_facts stored;  /* from the facts record; nothing if there is none */
	bool has_stored, is_stale; /* stale: they don't fit the documents */
	struct meta_facts derived;
	bool has_derived;
	const struct meta_record **shown_of; /* vd_meta_record */
	size_t n_shown;
	bool is_shown;

	struct meta_link *pending;   /* entries for the history */
	size_t n_pending, n_settled; /* settled: those that a commit under way has put in */
	unsigned n_looks;            /* times that a look was taken again */
};

/* meta_read.c */
/** Where records are read: the sidecar, a newer look, or the disk itself; NULL: nowhere. */
struct vd_disk *meta_source(const struct vd_meta *meta);
/** Read the stretch that begins with item `first` (NULL: with the first of the file) at once. */
void meta_read_window(struct vd_meta *meta, const struct vd_item *first);
/** The first bytes of an item, META_HEAD_MAX or all. *head points into the window or `buf`. */
int meta_read_head(struct vd_meta *meta, const struct vd_item *item, uint8_t buf[META_HEAD_MAX],
		   struct vd_span *head, struct vd_error *err);
/** All stored bytes of an item; *own (vd_free) holds them if they aren't in the window. */
int meta_read_item(struct vd_meta *meta, const struct vd_item *item, uint8_t **own,
		   struct vd_span *bytes, struct vd_error *err);
/** The raw bytes of a stored record, part by part, each checked; the digest of the whole, last. */
int meta_read_parts(struct vd_meta *meta, struct meta_record *record, vd_sink_fn sink, void *user,
		    struct vd_error *err);
/** The raw bytes of a record as it is to be, or as it is stored. NUL behind; vd_free. */
int meta_read_record(struct vd_meta *meta, struct meta_record *record, uint8_t **raw, size_t *len,
		     struct vd_error *err);
/** Only the directory in the facts spoke for a record: read what the head of its first part says.
 */
int meta_confirm(struct vd_meta *meta, struct meta_record *record, struct vd_error *err);
/** The same for an item that is to be stored. */
int meta_unpack_blobs(const struct meta_content *content, vd_sink_fn sink, void *user,
		      struct vd_error *err);
/** Remember what is wrong with a record. */
void meta_set_damage(struct meta_record *record, const struct vd_error *why);

/* meta_load.c */
/** Read the directory anew; changes that wait stay. */
int meta_load(struct vd_meta *meta, struct vd_error *err);
/** The image may have changed below a look: open it anew. False: it is as before, or it can't be
 *  told. */
bool meta_look_again(struct vd_meta *meta);
/** A record by its key; NULL. Removed ones too. */
struct meta_record *meta_find(const struct vd_meta *meta, enum vd_record_type type,
			      const char *kind, const char *name);
/** Find or add one, not stored yet. */
int meta_require(struct vd_meta *meta, enum vd_record_type type, const char *kind, const char *name,
		 const char *media, struct meta_record **out, struct vd_error *err);
int meta_add_record(struct vd_meta *meta, enum vd_record_type type, struct vd_span kind,
		    struct vd_span name, struct vd_span media, struct meta_record **out,
		    struct vd_error *err);
void meta_record_free(struct meta_record *record);
/** It will be there after a commit. */
static inline bool meta_is_there(const struct meta_record *r)
{
	return !r->is_removed && (r->is_stored || r->is_changed || r->is_doc_ahead);
}
static inline bool meta_is_damaged(const struct meta_record *r)
{
	return r->pub.damage && !r->is_changed && !r->is_doc_ahead;
}

/* meta_list.c */
/** Something changed: what was derived or shown before doesn't hold any more. */
void meta_touch(struct vd_meta *meta);
/** VD_EROFS unless it may be changed; VD_EIO while the directory isn't known (is_partial). */
int meta_check_writable(const struct vd_meta *meta, struct vd_error *err);
/** Read the directory if that failed before; records and their texts go then. */
int meta_complete(struct vd_meta *meta, struct vd_error *err);
bool meta_has_changes(const struct vd_meta *meta);
/** A change of this record begins: remember what it stands upon. */
void meta_begin_change(struct meta_record *record);

/* meta_document.c */
bool meta_kind_is_vendor(const char *kind);
/** VD_EUNSUPPORTED: a later version wrote it. */
int meta_check_replaceable(const struct meta_record *record, struct vd_error *err);
/** Pack a document that is ahead. */
int meta_settle_doc(struct vd_meta *meta, struct meta_record *record, struct vd_error *err);
/** The document of a record, parsed; borrowed: it stays with the record. */
int meta_parse(struct vd_meta *meta, struct meta_record *record, struct vd_doc **doc,
	       struct vd_error *err);
/** Forget the parsed document. */
void meta_drop_doc(struct meta_record *record);
/** Put content in. Takes over *content. */
void meta_put(struct vd_meta *meta, struct meta_record *record, struct meta_content *content);

/* meta_field.c */
int meta_derive(struct vd_meta *meta, struct vd_error *err);
/** The record and document (r->doc) of a category that a field is to be written to; made if need
 * be. */
int meta_require_doc(struct vd_meta *meta, const struct vd_category *category,
		     struct meta_record **out, struct vd_error *err);
/** record->doc was changed. */
void meta_set_ahead(struct vd_meta *meta, struct meta_record *record);

/* meta_attach.c */
/** Take `name` out of the document that names it. */
int meta_forget_file(struct vd_meta *meta, const char *name, struct vd_error *err);

/* meta_history.c */
/** Raw bytes of the history, also if its digest is wrong; *is_whole: it is right. */
int meta_read_chain(struct vd_meta *meta, uint8_t **raw, size_t *len, bool *is_whole,
		    struct vd_error *err);
/** Pack the entries that wait into the history record. */
int meta_settle_history(struct vd_meta *meta, struct vd_error *err);

/* meta_sidecar.c */
/** Decide where the metadata lives, and where its sidecar is or would be. */
int meta_place(struct vd_meta *meta, struct vd_error *err);
/** Open the sidecar to look at; no error if there is none. */
int meta_open_sidecar(struct vd_meta *meta, struct vd_error *err);
/** Compare the subject with the image; sets meta->mismatch. VD_ENOMEM: it isn't known. */
int meta_check_subject(struct vd_meta *meta, struct vd_error *err);
/** Put the subject in, if it isn't there as it should be. */
int meta_settle_subject(struct vd_meta *meta, struct vd_error *err);
/** Open the sidecar for a commit, locked. *disk NULL: there is none yet. */
int meta_lock_sidecar(struct vd_meta *meta, struct vd_disk **disk, struct vd_error *err);
/** Make it with these items, complete or not at all. VD_EEXIST: somebody else was faster. */
int meta_create_sidecar(struct vd_meta *meta, const struct vd_item_change *changes, size_t n,
			struct vd_error *err);
/** It holds nothing any more: take it away. Keeps its lock until then. */
int meta_remove_sidecar(struct vd_meta *meta, struct vd_disk *disk, struct vd_error *err);

#endif
