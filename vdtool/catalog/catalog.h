/* SPDX-License-Identifier: MIT */
/*
 * The catalog: what is known of many images, in one place. `catalog sync` fills it, `search
 * --catalog` asks it. Where it is kept is behind struct catalog_ops: a file of SQLite today
 * (catalog_sqlite*.c), a server for a fleet later. Docs: docs/catalog.md.
 *
 * A store only remembers and pre-selects. Whether an image fits a query, vd_query_match decides.
 * One thread at a time per store. Functions return 0 or a negative VD_E*, with *err filled.
 */
#ifndef VDTOOL_CATALOG_H
#define VDTOOL_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdisk/error.h>
#include <vdisk/query.h>

/* ---- sets of numbers ---- */

/** A set of numbers from 0, a bit each. Zeros make an empty one. */
struct catalog_bits {
	uint64_t *words;
	size_t n_words;
};
#define CATALOG_BITS_MAX (1u << 30) /**< numbers at and above it can't be kept */
/** false: no memory, or the number is too large. */
bool catalog_bits_set(struct catalog_bits *bits, int64_t n);
bool catalog_bits_has(const struct catalog_bits *bits, int64_t n);
/** The first one at or above `n`; -1: none. */
int64_t catalog_bits_next(const struct catalog_bits *bits, int64_t n);
uint64_t catalog_bits_count(const struct catalog_bits *bits);
/** Also those of `more`; false: no memory. */
bool catalog_bits_unite(struct catalog_bits *bits, const struct catalog_bits *more);
/** Only those that are in both. */
void catalog_bits_intersect(struct catalog_bits *bits, const struct catalog_bits *other);
void catalog_bits_free(struct catalog_bits *bits);

/* ---- bytes of variable length: how lists are packed ---- */

struct catalog_pack {
	uint8_t *bytes;
	size_t len, room;
	bool has_failed; /**< no memory */
};
void catalog_pack_number(struct catalog_pack *pack, uint64_t n);
/** Numbers that are near to the one before, in both directions. */
void catalog_pack_step(struct catalog_pack *pack, int64_t from, int64_t to);
void catalog_pack_bytes(struct catalog_pack *pack, const void *bytes, size_t len);

/** Reads them back; never beyond `end`. */
struct catalog_unpack {
	const uint8_t *at, *end;
	bool is_wrong; /**< it ended in the middle, or held a number that can't be */
};
uint64_t catalog_unpack_number(struct catalog_unpack *unpack);
int64_t catalog_unpack_step(struct catalog_unpack *unpack, int64_t from);

/* ---- what is remembered ---- */

/** A file as stat(2) shows it; times in nanoseconds. As long as it is the same, the file is. */
struct catalog_stamp {
	uint64_t device, inode, size;
	int64_t mtime, ctime;
};
/** An image and its sidecar, if it has one (else all is 0). */
struct catalog_key {
	struct catalog_stamp image, sidecar;
	bool has_sidecar;
};

/** An image. Texts are borrowed until the next call of the store. */
struct catalog_image {
	int64_t id;
	const char *path; /**< absolute */
	struct catalog_key key;
	int code;          /**< 0, or VD_E*: why it couldn't be read */
	const char *error; /**< in words, or "" */
	int files; /**< 1: it has a file index; 0; or VD_E*: which can't be read (to its end) */
	uint64_t folder;   /**< device of the folder that it is in */
	bool is_unsettled; /**< changed so lately that a later change might not show in its times */
};

/** What an image says, as it is stored: facts by the numbers of their values, parts of the file
 * index by theirs. Borrowed likewise. */
struct catalog_known {
	const uint8_t *facts;
	size_t facts_len;
	const uint8_t *parts;
	size_t parts_len;
};

/** A folder that was synced. */
struct catalog_root {
	const char *path;
	int64_t synced; /**< seconds since 1970 */
	bool is_complete;
	uint64_t n_images; /**< met */
};

struct catalog_counts {
	uint64_t n_images, n_unreadable, n_indexed, n_values, n_paths, n_parts, bytes;
};

/** A file of a part of a file index. */
struct catalog_file {
	const char *path;
	bool has_digest;
	uint8_t digest[32];
};

struct catalog_store;

typedef int (*catalog_image_fn)(void *user, const struct catalog_image *image,
				struct vd_error *err);
typedef int (*catalog_root_fn)(void *user, const struct catalog_root *root, struct vd_error *err);
/** A value that occurs: its number, field, and texts. */
typedef int (*catalog_value_fn)(void *user, int64_t id, const struct vd_fact *value,
				struct vd_error *err);
typedef int (*catalog_number_fn)(void *user, int64_t n, struct vd_error *err);
typedef int (*catalog_path_fn)(void *user, int64_t id, const char *path, struct vd_error *err);
/** `digest` may be NULL. */
typedef int (*catalog_file_fn)(void *user, int64_t path_id, const char *path, const uint8_t *digest,
			       struct vd_error *err);

/** What a store can do. A non-zero answer of a callback ends the asking and is returned. */
struct catalog_ops {
	void (*close)(struct catalog_store *store);

	/* Changes come in batches: all of it is kept, or nothing. */
	int (*begin)(struct catalog_store *store, struct vd_error *err);
	int (*commit)(struct catalog_store *store, struct vd_error *err);
	void (*rollback)(struct catalog_store *store);
	/* Reading between these sees one state, whatever is written meanwhile. The end may be
	 * that it didn't (VD_EBUSY): who can't lock the catalog hears so. */
	int (*begin_reading)(struct catalog_store *store, struct vd_error *err);
	int (*end_reading)(struct catalog_store *store, struct vd_error *err);

	/* Images. 1: there is one, 0: there is none. */
	int (*find_path)(struct catalog_store *store, const char *path, struct catalog_image *image,
			 struct vd_error *err);
	/* Each image that was this file (there may be hard links). */
	int (*find_inode)(struct catalog_store *store, uint64_t device, uint64_t inode,
			  catalog_image_fn fn, void *user, struct vd_error *err);
	/* Each image at or below a folder (NULL: all), in the order of their numbers. */
	int (*each_image)(struct catalog_store *store, const char *folder, catalog_image_fn fn,
			  void *user, struct vd_error *err);
	int (*each_unreadable)(struct catalog_store *store, catalog_image_fn fn, void *user,
			       struct vd_error *err);
	int (*n_images)(struct catalog_store *store, int64_t *n, struct vd_error *err);
	int (*last_id)(struct catalog_store *store, int64_t *id, struct vd_error *err);
	/* Put in, in place of one of that path. `parts` may be NULL. */
	int (*put)(struct catalog_store *store, const struct catalog_image *image,
		   const struct vd_fact_run *runs, size_t n_runs, const struct catalog_pack *parts,
		   struct vd_error *err);
	/* It has another path and stamp now, and so another value of image.name. 1: that can't be
	 * noted, it has to be looked at. */
	int (*move)(struct catalog_store *store, const struct catalog_image *image,
		    struct vd_error *err);
	int (*drop)(struct catalog_store *store, int64_t id, struct vd_error *err);
	/* The number of the part of a file index that has this digest: 0, none. */
	int (*find_part)(struct catalog_store *store, const uint8_t digest[32], int64_t *id,
			 struct vd_error *err);
	int (*put_part)(struct catalog_store *store, const uint8_t digest[32],
			const struct catalog_file *files, size_t n, int64_t *id,
			struct vd_error *err);

	int (*put_root)(struct catalog_store *store, const struct catalog_root *root,
			struct vd_error *err);
	int (*each_root)(struct catalog_store *store, catalog_root_fn fn, void *user,
			 struct vd_error *err);
	int (*drop_root)(struct catalog_store *store, const char *path, struct vd_error *err);
	int (*count)(struct catalog_store *store, struct catalog_counts *counts,
		     struct vd_error *err);
	/* Let go of what no image needs any more, and of the space. Not within a batch. */
	int (*clean)(struct catalog_store *store, struct vd_error *err);

	int (*each_field)(struct catalog_store *store, catalog_path_fn fn, void *user,
			  struct vd_error *err);
	/* Pre-selection. The number of a field; 0: no image has it. */
	int (*field_id)(struct catalog_store *store, const char *name, int64_t *id,
			struct vd_error *err);
	/* Each value of a field. `key`: only that one; is_prefix: that begin so. */
	int (*each_value)(struct catalog_store *store, int64_t field, const char *key,
			  bool is_prefix, catalog_value_fn fn, void *user, struct vd_error *err);
	/* Each value of a field of words (0: of all such fields) whose key holds all of the texts,
	 * and perhaps others. */
	int (*each_holding)(struct catalog_store *store, int64_t field, const char *const *texts,
			    size_t n_texts, catalog_value_fn fn, void *user, struct vd_error *err);
	/* The images that have a value, `max` of them at most; *n counts up. */
	int (*add_images)(struct catalog_store *store, int64_t value, struct catalog_bits *images,
			  uint64_t max, uint64_t *n, struct vd_error *err);
	/* Each path of a file index (whose key holds all of the texts, and perhaps others). */
	int (*each_path)(struct catalog_store *store, const char *const *texts, size_t n_texts,
			 catalog_path_fn fn, void *user, struct vd_error *err);
	/* The parts that have a path; that may have a file of this digest. */
	int (*parts_of_path)(struct catalog_store *store, int64_t path, catalog_number_fn fn,
			     void *user, struct vd_error *err);
	int (*parts_of_digest)(struct catalog_store *store, const uint8_t digest[32],
			       catalog_number_fn fn, void *user, struct vd_error *err);
	int (*each_file)(struct catalog_store *store, int64_t part, catalog_file_fn fn, void *user,
			 struct vd_error *err);

	/* The images of a set (NULL: all), with what is known of them, in the order of numbers. Of
	 * their keys only the image's mtime is told. */
	int (*each_known)(struct catalog_store *store, const struct catalog_bits *images,
			  int (*fn)(void *user, const struct catalog_image *image,
				    const struct catalog_known *known, struct vd_error *err),
			  void *user, struct vd_error *err);
	/* One value; VD_ECORRUPT: there is none. Borrowed until the next call. */
	int (*value)(struct catalog_store *store, int64_t id, struct vd_fact *value,
		     struct vd_error *err);
};
struct catalog_store {
	const struct catalog_ops *ops;
};

enum catalog_mode {
	CATALOG_READ,
	CATALOG_WRITE, /**< it has to be there */
	CATALOG_MAKE,  /**< made if it isn't there */
};
/** Open the catalog at `name`, a file. VD_ENOENT; VD_EUNSUPPORTED: no kind that is built in, or of
 * a later version; VD_EINVAL: something else than a catalog; VD_ECORRUPT; VD_EBUSY. */
int catalog_open(struct catalog_store **out, const char *name, enum catalog_mode mode,
		 struct vd_error *err);
/** NULL is allowed. */
void catalog_close(struct catalog_store *store);
/** The store of SQLite. */
int catalog_sqlite_open(struct catalog_store **out, const char *path, enum catalog_mode mode,
			struct vd_error *err);

/** Is `path` the folder, or below it? */
bool catalog_is_below(const char *path, const char *folder);
/** Fields that aren't stored, since path and times of an image say them. */
bool catalog_is_unstored(const char *field);
/** Words can be looked for in values of this type. */
bool catalog_has_words(enum vd_field_type type);

/** Folders and images that a search is limited to; none: it isn't. The texts are borrowed. */
struct catalog_places;
int catalog_places_create(struct catalog_places **out, const char *const *paths, size_t n,
			  struct vd_error *err);
/** Globs of what is left out below these (as a walk does). Borrowed. */
void catalog_places_exclude(struct catalog_places *places, const char *const *globs, size_t n);
void catalog_places_free(struct catalog_places *places);
/** The only one, absolute; NULL: there are none, or several. */
const char *catalog_places_only(const struct catalog_places *places);
/** A path as it is to be shown, once below each place that it lies in: *next, first 0, counts the
 *  places that were looked at. NULL: in no more of them. Borrowed until the next call. */
const char *catalog_places_show(struct catalog_places *places, const char *path, size_t *next);

/* ---- the file index in parts ---- */

/** The parts that a file index was cut into. */
struct catalog_indexing {
	struct catalog_store *store;
	struct catalog_pack parts; /**< their numbers */
	uint64_t n_files;
	bool has_failed; /**< the store has, not the index */
};
struct vd_meta;
/** Read the file index into the store (within a batch). 1: done, 0: there is none. Of one that
 *  is damaged (VD_ECORRUPT) or larger than a catalog takes (VD_ERANGE), what came before is kept.
 */
int catalog_index_files(struct catalog_indexing *indexing, struct vd_meta *meta,
			struct vd_error *err);

/* ---- answering ---- */

/** How file terms are answered: for each, which parts have what it wants. */
struct catalog_files;
int catalog_files_create(struct catalog_files **out, struct catalog_store *store,
			 struct vd_error *err);
void catalog_files_free(struct catalog_files *files);
/** The image that is asked about. */
void catalog_files_set_image(struct catalog_files *files, int files_code, const uint8_t *parts,
			     size_t parts_len);
/** A vd_query_files_fn's work. An error may be the image's: catalog_files_is_image_wrong. */
int catalog_files_match(struct catalog_files *files, const struct vd_query_node *node, char *path,
			size_t size, struct vd_error *err);

bool catalog_files_is_image_wrong(const struct catalog_files *files);

/** Which images may fit, and what has to be known of them. */
struct catalog_selection {
	bool is_all;                /**< any image may fit */
	struct catalog_bits images; /**< else those */
	struct catalog_bits fields; /**< all values of these are needed */
	struct catalog_bits values; /**< and these */
	bool needs_unstored;        /**< path and times of the image are asked for */
};
int catalog_select(struct catalog_store *store, const struct vd_query *query, int64_t now,
		   struct catalog_selection *selection, struct vd_error *err);
void catalog_selection_free(struct catalog_selection *selection);

/** The texts that a key which fits a glob must hold, of three characters and more, in folded form.
 *  How many; their memory is `room`. */
#define CATALOG_TEXTS_MAX 32u
struct catalog_texts {
	const char *at[CATALOG_TEXTS_MAX];
	size_t n;
	char room[4096];
};
void catalog_texts_of_glob(struct catalog_texts *texts, const char *pattern);
/** The runs of a plain text without white space. */
void catalog_texts_of_words(struct catalog_texts *texts, const char *key);

#endif
