/* SPDX-License-Identifier: MIT */
/*
 * The catalog in a file of SQLite, inside: what catalog_sqlite*.c share. Only they see sqlite3.h.
 *
 * Every statement is written down here, prepared once, and gets its values bound: no text from
 * outside ever becomes SQL. The journal is a write-ahead log, so that readers don't wait for a sync
 * nor it for them. docs/catalog.md has the tables.
 */
#ifndef VDTOOL_CATALOG_SQLITE_H
#define VDTOOL_CATALOG_SQLITE_H

#include <sqlite3.h>
#include <sys/stat.h>

#include "catalog.h"

#define LITE_APPLICATION 0x56444361 /* "VDCa" */
#define LITE_VERSION     1
#define LITE_BUSY_MS     10000 /* for other writers, whose batches are short */

enum lite_statement {
	LITE_BEGIN_WRITING,
	LITE_BEGIN_READING,
	LITE_COMMIT,
	LITE_ROLLBACK,
	LITE_IMAGE_BY_PATH,
	LITE_IMAGES_BY_INODE,
	LITE_IMAGES,
	LITE_IMAGES_BELOW,
	LITE_IMAGES_UNREADABLE,
	LITE_LAST_IMAGE,
	LITE_IMAGE_PUT,
	LITE_IMAGE_CHANGE,
	LITE_IMAGE_MOVE,
	LITE_IMAGE_DROP,
	LITE_KNOWN_GET,
	LITE_KNOWN_PUT,
	LITE_KNOWN_SET_FACTS,
	LITE_KNOWN_DROP,
	LITE_FIELD_GET,
	LITE_FIELD_PUT,
	LITE_FIELDS,
	LITE_FIELD_IS_LARGE,
	LITE_VALUE_FIND,
	LITE_VALUE_PUT,
	LITE_VALUE_WORD_PUT,
	LITE_VALUE_GET,
	LITE_VALUES,
	LITE_VALUES_ALL,
	LITE_VALUES_KEY,
	LITE_VALUES_PREFIX,
	LITE_VALUES_HOLDING,
	LITE_VALUES_HOLDING_ALL,
	LITE_POSTING_PUT,
	LITE_POSTING_DROP,
	LITE_POSTINGS,
	LITE_PATH_FIND,
	LITE_PATH_PUT,
	LITE_PATH_WORD_PUT,
	LITE_PATH_GET,
	LITE_PATHS,
	LITE_PATHS_HOLDING,
	LITE_PART_FIND,
	LITE_PART_PUT,
	LITE_PART_GET,
	LITE_PART_PATH_PUT,
	LITE_PART_DIGEST_PUT,
	LITE_PARTS_OF_PATH,
	LITE_PARTS_OF_DIGEST,
	LITE_ROOT_PUT,
	LITE_ROOTS,
	LITE_ROOT_DROP,
	LITE_KNOWN_ALL,
	LITE_KNOWN_ONE,
	LITE_N_IMAGES_GET,
	LITE_N_IMAGES_ADD,
	LITE_COUNTS,
	LITE_N_STATEMENTS
};

/** Fields that were met, by name. */
struct lite_field {
	char *name;
	int64_t id;
	bool has_words;
};

struct lite_store {
	struct catalog_store store;
	sqlite3 *db;
	char *path;
	sqlite3_stmt *statements[LITE_N_STATEMENTS];
	struct lite_field *fields;
	size_t n_fields;
	bool is_reading, is_writing;
	/* Opened without its log, since none can be made here; what the file was then. */
	bool is_apart;
	struct stat apart;
};

/* catalog_sqlite_texts.c */
extern const char lite_schema[];
extern const char *const lite_texts[LITE_N_STATEMENTS];

/** What SQLite last said, with the code that fits. `what`: "reading", ... */
int lite_fail(const struct lite_store *lite, const char *what, struct vd_error *err);
/** The statement, without values. NULL: *err says why. */
sqlite3_stmt *lite_statement(struct lite_store *lite, enum lite_statement which,
			     struct vd_error *err);
/** Run a statement that gives no rows, and let go of its values. */
int lite_run(struct lite_store *lite, sqlite3_stmt *statement, struct vd_error *err);
/** The next row: 1; 0 at the end, when the statement is reset. */
int lite_row(struct lite_store *lite, sqlite3_stmt *statement, struct vd_error *err);
/** Texts are never NULL. */
const char *lite_text(sqlite3_stmt *statement, int column);
void lite_bind_text(sqlite3_stmt *statement, int at, const char *text);
/** A path is bytes. */
void lite_bind_path(sqlite3_stmt *statement, int at, const char *path);
void lite_forget_fields(struct lite_store *lite);
int lite_no_memory(struct vd_error *err);
/** "the catalog is damaged: WHAT; ...". */
int lite_damaged(struct vd_error *err, const char *what);

/* catalog_sqlite_write.c */
/** The number in the first row, 0 if there is none; lets go of the values. */
int lite_find_id(struct lite_store *lite, sqlite3_stmt *statement, int64_t *id,
		 struct vd_error *err);
/** Run a statement that makes a row, and tell its number. */
int lite_add_row(struct lite_store *lite, sqlite3_stmt *statement, int64_t *id,
		 struct vd_error *err);
int lite_put(struct catalog_store *store, const struct catalog_image *image,
	     const struct vd_fact_run *runs, size_t n_runs, const struct catalog_pack *parts,
	     struct vd_error *err);
int lite_value_id(struct lite_store *lite, int64_t field, bool has_words,
		  const struct vd_fact *fact, int64_t *id, struct vd_error *err);
/** The key of a value becomes one that words are looked for in, if the field is such. */
int lite_put_value_word(struct lite_store *lite, int64_t id, const char *key, const char *field,
			struct vd_error *err);
/** A copy of the facts of an image; no bytes: nothing is known. */
int lite_get_known(struct lite_store *lite, int64_t image, struct catalog_pack *facts,
		   struct vd_error *err);
int lite_change_posting(struct lite_store *lite, enum lite_statement which, int64_t value,
			int64_t image, struct vd_error *err);
/** Returns the place behind it. */
int lite_bind_key(sqlite3_stmt *statement, int at, const struct catalog_key *key);

/* catalog_sqlite_move.c */
int lite_move(struct catalog_store *store, const struct catalog_image *image, struct vd_error *err);
int lite_drop(struct catalog_store *store, int64_t id, struct vd_error *err);
int lite_field(struct lite_store *lite, const char *name, bool makes, int64_t *id, bool *has_words,
	       struct vd_error *err);
int lite_field_id(struct catalog_store *store, const char *name, int64_t *id, struct vd_error *err);

/* catalog_sqlite_files.c */
int lite_find_part(struct catalog_store *store, const uint8_t digest[32], int64_t *id,
		   struct vd_error *err);
int lite_put_part(struct catalog_store *store, const uint8_t digest[32],
		  const struct catalog_file *files, size_t n, int64_t *id, struct vd_error *err);
int lite_each_path(struct catalog_store *store, const char *const *texts, size_t n_texts,
		   catalog_path_fn fn, void *user, struct vd_error *err);
int lite_parts_of_path(struct catalog_store *store, int64_t path, catalog_number_fn fn, void *user,
		       struct vd_error *err);
int lite_parts_of_digest(struct catalog_store *store, const uint8_t digest[32],
			 catalog_number_fn fn, void *user, struct vd_error *err);
int lite_each_file(struct catalog_store *store, int64_t part, catalog_file_fn fn, void *user,
		   struct vd_error *err);
int lite_put_path_word(struct lite_store *lite, int64_t id, const char *path, struct vd_error *err);
/** The words that FTS5 is to find: all runs of three characters in the texts. free() it. */
char *lite_match_text(const char *const *texts, size_t n_texts);

/* catalog_sqlite_read.c */
void lite_take_image(sqlite3_stmt *statement, struct catalog_image *image);
int lite_find_path(struct catalog_store *store, const char *path, struct catalog_image *image,
		   struct vd_error *err);
int lite_find_inode(struct catalog_store *store, uint64_t device, uint64_t inode,
		    catalog_image_fn fn, void *user, struct vd_error *err);
int lite_each_image(struct catalog_store *store, const char *folder, catalog_image_fn fn,
		    void *user, struct vd_error *err);
int lite_each_unreadable(struct catalog_store *store, catalog_image_fn fn, void *user,
			 struct vd_error *err);
int lite_each_field(struct catalog_store *store, catalog_path_fn fn, void *user,
		    struct vd_error *err);
int lite_last_id(struct catalog_store *store, int64_t *id, struct vd_error *err);
int lite_n_images(struct catalog_store *store, int64_t *n, struct vd_error *err);
int lite_each_value(struct catalog_store *store, int64_t field, const char *key, bool is_prefix,
		    catalog_value_fn fn, void *user, struct vd_error *err);
int lite_each_holding(struct catalog_store *store, int64_t field, const char *const *texts,
		      size_t n_texts, catalog_value_fn fn, void *user, struct vd_error *err);
int lite_add_images(struct catalog_store *store, int64_t value, struct catalog_bits *images,
		    uint64_t max, uint64_t *n, struct vd_error *err);
int lite_each_known(struct catalog_store *store, const struct catalog_bits *images,
		    int (*fn)(void *user, const struct catalog_image *image,
			      const struct catalog_known *known, struct vd_error *err),
		    void *user, struct vd_error *err);
int lite_value(struct catalog_store *store, int64_t id, struct vd_fact *value,
	       struct vd_error *err);

/* catalog_sqlite_clean.c */
int lite_put_root(struct catalog_store *store, const struct catalog_root *root,
		  struct vd_error *err);
int lite_each_root(struct catalog_store *store, catalog_root_fn fn, void *user,
		   struct vd_error *err);
int lite_drop_root(struct catalog_store *store, const char *path, struct vd_error *err);
int lite_count(struct catalog_store *store, struct catalog_counts *counts, struct vd_error *err);
int lite_clean(struct catalog_store *store, struct vd_error *err);

#endif
