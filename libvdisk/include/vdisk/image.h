/* SPDX-License-Identifier: MIT */
/*
 * image.h - an image with all that belongs to it: the disk, its metadata, its history.
 *
 * vd_disk_* is mechanism and knows no metadata; vd_meta_* is metadata and knows no purpose. This
 * is where they meet: an image is opened *for something*, what is done to it is entered in its
 * history (if it has one), and a policy may forbid it.
 *
 * Threads: the disk of an image may be used by many, its metadata by one at a time (vd_image_meta).
 * Texts that are handed in are copied. The fork rule of vdisk/disk.h holds.
 */
#ifndef VDISK_IMAGE_H
#define VDISK_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdisk/disk.h>
#include <vdisk/error.h>
#include <vdisk/host.h>
#include <vdisk/meta.h>
#include <vdisk/policy.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vd_image;

#define VD_IMAGE_METADATA_ONLY                                                                     \
	0x1u /**< only its metadata is used. With VD_PURPOSE_EDIT, where that lies in a sidecar,   \
	      * the image itself is opened without a lock and never written; with a purpose that   \
	      * doesn't write, the image is looked at without a lock */

/** Hears the decision of the policy before the image is used: allowed, denied, or denied and
 *  overridden. `is_recorded`: the override stands durably in the history; if it doesn't, whoever
 * overrides has to record it elsewhere. Valid during the call. */
typedef void (*vd_decided_fn)(void *user, const struct vd_decision *decision, bool is_overridden,
			      bool is_recorded);

/** Options of vd_image_open. Start from VD_IMAGE_OPTS_INIT; NULL means just that. */
struct vd_image_opts {
	uint32_t size;                   /**< sizeof(struct vd_image_opts) */
	const struct vd_open_opts *disk; /**< format, parents, cache ...; VD_OPEN_WRITE and _LOOK
					    follow from the purpose */
	const char *sidecar_dir;         /**< as in struct vd_meta_opts */
	const char *actor;           /**< who, for the history; NULL: as the OS says; "": leave it
					out, and the host's name */
	const char *tool;            /**< "vdtool 0.1.0"; NULL: "libvdisk VERSION" */
	const char *operation;       /**< what history calls it; NULL: the purpose's name */
	const char *parameters;      /**< for people; may be NULL */
	uint32_t flags;              /**< VD_IMAGE_* */
	const struct vd_host *host;  /**< where it is to be used, for the policy; NULL: this
					machine, looked at when a policy is asked */
	const char *override_reason; /**< go on although the policy denies it, for this reason; not
					empty */
	vd_decided_fn decided;       /**< may be NULL */
	void *user;
};
#define VD_IMAGE_OPTS_INIT                                                                         \
	{                                                                                          \
		sizeof(struct vd_image_opts), NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL,   \
		    NULL, NULL                                                                     \
	}

/**
 * Open an image for a purpose. *out is the caller's, to be closed by vd_image_close. `policy` (read
 * during the call) NULL asks nothing. Otherwise it is asked, if the purpose asks one, after the
 * image and its metadata are open (and locked, as the purpose wants it) and before anything is
 * written: of facts derived anew from the documents. If it denies, nothing is opened, and no byte
 * of the image or its sidecar has changed: with a writing purpose it is asked twice, of what can be
 * read first and then under the lock, so that a log is replayed only of an image that may be
 * written. What can't be told in facts (more of them than VD_META_FACTS_MAX) is denied. Only the
 * image itself is asked, not its parents; and only now: a program that keeps it open for long may
 * ask again with vd_image_ask, as time passes.
 *
 * With an override_reason a denial doesn't keep it closed. If the purpose writes (but
 * VD_PURPOSE_RUN) and the image carries metadata of ours, that is entered in its history (operation
 * "override", with action, rule and reason), durable before this returns; if that fails, so does
 * the opening, unless the metadata is too damaged or too full to be written. Other overrides are
 * the caller's to record (`decided` says which).
 *
 * With a writing
 * purpose and an image that carries metadata of ours, the first change of this opening that a guest
 * can see, or the close after a compaction, enters one line in the history, durable before the
 * change (and with it the changes of vd_image_meta that weren't committed yet); if that fails, so
 * does the change. Nothing is added to an image that carries none, or whose metadata is too damaged
 * or too full to be written. Errors: those of vd_disk_open and vd_meta_open; VD_EDENIED with the
 * reason if the policy forbids it. Damaged metadata is no error: the disk opens, and
 * vd_meta_get_info tells.
 */
VD_API int vd_image_open(struct vd_image **out, const char *path, enum vd_purpose purpose,
			 const struct vd_policy *policy, const struct vd_image_opts *opts,
			 struct vd_error *err);
/**
 * Ask a policy about an open image: whether it may be used for something else as well (edited,
 * while it is mounted), or whether it still may. Nothing is opened or closed. Of `opts` only host,
 * override_reason, actor, tool, decided and user count; NULL leaves all of them out. An override of
 * a writing action is entered in the history as by vd_image_open, if the image is open for writing
 * (changes of vd_image_meta that weren't committed yet become durable with it). VD_EDENIED with the
 * reason; other errors as of the asking in vd_image_open. Takes the lock of the metadata by itself.
 */
VD_API int vd_image_ask(struct vd_image *image, enum vd_purpose action,
			const struct vd_policy *policy, const struct vd_image_opts *opts,
			struct vd_error *err);
/** Flush and close, by one thread, when no other uses the image. Changes of its metadata that
 * weren't committed are dropped. NULL is allowed; the handle is gone also if this fails. After a
 * compaction it enters the line, so it may fail as vd_image_commit does. */
VD_API int vd_image_close(struct vd_image *image, struct vd_error *err);

/** The disk of the image, for the calls of vdisk/disk.h. Borrowed until the close; never NULL. */
VD_API struct vd_disk *vd_image_disk(struct vd_image *image);
/** Its metadata. Borrowed until the close; never NULL. It is for one thread at a time, and the
 * image may need it from the thread that writes first: hold vd_image_lock_meta around its use if
 * there are several threads. Who holds that must not write to the disk while other threads may:
 * they could be waiting for it. */
VD_API struct vd_meta *vd_image_meta(struct vd_image *image);
/** Wait until no other thread has the metadata, and keep it. A thread that has it may lock it
 * again; it ends with as many unlocks, by the same thread. */
VD_API void vd_image_lock_meta(struct vd_image *image);
/** Let other threads have the metadata. */
VD_API void vd_image_unlock_meta(struct vd_image *image);
/** Commit metadata with an entry of the history that says `operation` (NULL: what the image was
 * opened for) and `parameters` (may be NULL). This starts the history if there was none, and adds
 * the entry also if nothing else has changed. Durable, all or none, when it returns 0; errors as
 * vd_meta_commit, and VD_EROFS if the purpose doesn't write. After a failure the changes and the
 * entry wait for the next commit. Takes the lock by itself. */
VD_API int vd_image_commit(struct vd_image *image, const char *operation, const char *parameters,
			   struct vd_error *err);

/**
 * What the file itself says, as facts of the fields image.* and metadata.* (vdisk/query.h), into
 * *set. Reads no payload and no BAT. The thread rule of vdisk/meta.h holds. `meta` may be NULL.
 */
VD_API int vd_image_add_facts(struct vd_disk *disk, struct vd_meta *meta, struct vd_fact_set *set,
			      struct vd_error *err);
/** vd_document_fn over a struct vd_meta (`user`). */
VD_API int vd_meta_bring_document(void *meta, const char *kind, char **bytes, size_t *len,
				  struct vd_error *err);

/* ---- the first filling ---- */

#define VD_SCAN_FILES   0x1u /**< also write the file index */
#define VD_SCAN_DIGESTS 0x2u /**< the same, with SHA-256 of each regular file */

/** What a scan found. */
struct vd_scan_result {
	uint32_t size; /**< set by the caller */
	char os[256];  /**< "Debian GNU/Linux 12 (bookworm)", or "" */
	uint64_t n_packages, n_files;
	uint64_t fs_size, fs_used; /**< bytes of the root file system; or VD_UNKNOWN */
	char root_type[16];        /**< its type: "ext4"; or "" */
	uint32_t n_problems;       /**< told through `problem` */
};
/** What couldn't be read, and why; during the scan. */
typedef void (*vd_scan_problem_fn)(void *user, const char *text);
/** How many files were looked at so far, and what is looked at now (a path, "packages", ...); a
 *  non-zero answer cancels (VD_ECANCELED). */
typedef int (*vd_scan_progress_fn)(void *user, uint64_t n_files, const char *what);
/** How. Set `size` and what is wanted, leave the rest 0; NULL means nothing is. Both functions may
 * be NULL, are called in the caller's thread, and their texts are valid during the call. */
struct vd_scan_opts {
	uint32_t size;  /**< sizeof(struct vd_scan_opts) */
	uint32_t flags; /**< VD_SCAN_* */
	vd_scan_problem_fn problem;
	vd_scan_progress_fn progress;
	void *user;
};
/**
 * Derive the content and patches documents from the disk itself, without running it: partitions,
 * file systems, guest OS, installed packages as purls. Replaces only what an earlier scan wrote;
 * what people entered stays. Changes are in vd_image_meta, to be committed, or after a failure to
 * be reverted. Takes the lock of the metadata for its second half, the files and documents. What
 * can't be read is told as a problem, and the scan goes on. *result (may be NULL) is filled also
 * after a failure. Errors: VD_ECANCELED, VD_EROFS, VD_ECORRUPT (a document that is to be merged
 * with can't be read), VD_ETIMEDOUT, VD_ENOMEM, VD_EIO.
 */
VD_API int vd_image_scan(struct vd_image *image, const struct vd_scan_opts *opts,
			 struct vd_scan_result *result, struct vd_error *err);

/**
 * Take what a libvirt domain XML says of its machine into the documents hardware (fields that it
 * has; others stay) and network (unless there is one already). *n_fields (may be NULL): how many
 * values were taken; what there is no field for is left out. VD_ENOENT: the bytes are XML, but no
 * domain; VD_ECORRUPT: they are no XML. To be committed, as other changes of `meta`; the thread
 * rule of vdisk/meta.h holds.
 */
VD_API int vd_meta_take_libvirt(struct vd_meta *meta, const char *bytes, size_t len,
				size_t *n_fields, struct vd_error *err);

/** An entry of the file index. Valid during the call that tells it. */
struct vd_indexed_file {
	const char *path;      /**< in the guest's tree, absolute; UTF-8 */
	uint32_t partition;    /**< by number, as in struct vd_partition */
	uint64_t file_size;    /**< bytes */
	int64_t mtime;         /**< seconds since 1970 */
	const uint8_t *sha256; /**< 32 bytes, or NULL */
	uint32_t type;         /**< enum vd_file_type of <vdisk/guest.h> */
};
/** Hears one entry. A non-zero answer ends the reading and is returned. */
typedef int (*vd_index_fn)(void *user, const struct vd_indexed_file *file);
/** Each entry of the file index that a scan with VD_SCAN_FILES wrote, file system by file system,
 * by path. VD_ENOENT: there is none; VD_ECORRUPT: it is damaged, perhaps after entries were told.
 * Streams: memory doesn't grow with it. The thread rule of vdisk/meta.h holds. */
VD_API int vd_meta_read_file_index(struct vd_meta *meta, vd_index_fn fn, void *user,
				   struct vd_error *err);

#ifdef __cplusplus
}
#endif
#endif
