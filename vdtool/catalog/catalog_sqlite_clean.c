/* SPDX-License-Identifier: MIT */
/* The catalog in SQLite: folders that were synced, figures, and getting rid of what no image needs
 * any more; see catalog_sqlite.h. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "catalog_sqlite.h"

static struct lite_store *lite_of(struct catalog_store *store)
{
	return (struct lite_store *)store;
}

int lite_put_root(struct catalog_store *store, const struct catalog_root *root,
		  struct vd_error *err)
{
	sqlite3_stmt *statement = lite_statement(lite_of(store), LITE_ROOT_PUT, err);

	if (!statement)
		return VD_EIO;
	lite_bind_path(statement, 1, root->path);
	sqlite3_bind_int64(statement, 2, root->synced);
	sqlite3_bind_int(statement, 3, root->is_complete);
	sqlite3_bind_int64(statement, 4, (int64_t)root->n_images);
	return lite_run(lite_of(store), statement, err);
}

int lite_each_root(struct catalog_store *store, catalog_root_fn fn, void *user,
		   struct vd_error *err)
{
	sqlite3_stmt *statement = lite_statement(lite_of(store), LITE_ROOTS, err);
	struct catalog_root root;
	int rc;

	if (!statement)
		return VD_EIO;
	while ((rc = lite_row(lite_of(store), statement, err)) == 1) {
		root.path = lite_text(statement, 0);
		root.synced = sqlite3_column_int64(statement, 1);
		root.is_complete = sqlite3_column_int(statement, 2) != 0;
		root.n_images = (uint64_t)sqlite3_column_int64(statement, 3);
		rc = fn(user, &root, err);
		if (rc)
			break;
	}
	sqlite3_reset(statement);
	return rc;
}

int lite_drop_root(struct catalog_store *store, const char *path, struct vd_error *err)
{
	sqlite3_stmt *statement = lite_statement(lite_of(store), LITE_ROOT_DROP, err);

	if (!statement)
		return VD_EIO;
	lite_bind_path(statement, 1, path);
	return lite_run(lite_of(store), statement, err);
}

/** Of the file and its log, if there is one. */
static uint64_t bytes_of(const struct lite_store *lite)
{
	static const char *const endings[] = {"", "-wal"};
	uint64_t bytes = 0;

	for (size_t i = 0; i < 2; i++) {
		char *path = malloc(strlen(lite->path) + 8);
		struct stat st;

		if (!path)
			break;
		strcpy(path, lite->path);
		strcat(path, endings[i]);
		if (stat(path, &st) == 0)
			bytes += (uint64_t)st.st_size;
		free(path);
	}
	return bytes;
}

int lite_count(struct catalog_store *store, struct catalog_counts *counts, struct vd_error *err)
{
	sqlite3_stmt *statement = lite_statement(lite_of(store), LITE_COUNTS, err);
	int rc = statement ? lite_row(lite_of(store), statement, err) : VD_EIO;

	if (rc == 1) {
		counts->n_images = (uint64_t)sqlite3_column_int64(statement, 0);
		counts->n_unreadable = (uint64_t)sqlite3_column_int64(statement, 1);
		counts->n_indexed = (uint64_t)sqlite3_column_int64(statement, 2);
		counts->n_values = (uint64_t)sqlite3_column_int64(statement, 3);
		counts->n_paths = (uint64_t)sqlite3_column_int64(statement, 4);
		counts->n_parts = (uint64_t)sqlite3_column_int64(statement, 5);
		counts->bytes = bytes_of(lite_of(store));
	}
	if (statement)
		sqlite3_reset(statement);
	return rc < 0 ? rc : 0;
}

/* ---- cleaning ---- */

struct parts_use {
	struct catalog_bits used;
};

static int use_parts(void *user, const struct catalog_image *image,
		     const struct catalog_known *known, struct vd_error *err)
{
	struct parts_use *use = user;
	struct catalog_unpack in = {known->parts, known->parts + known->parts_len, false};
	int64_t part = 0;

	(void)image;
	while (in.at < in.end) {
		part = catalog_unpack_step(&in, part);
		if (!in.is_wrong && !catalog_bits_set(&use->used, part))
			return lite_no_memory(err);
	}
	return 0;
}

static int execute(struct lite_store *lite, const char *sql, struct vd_error *err)
{
	return sqlite3_exec(lite->db, sql, NULL, NULL, NULL) == SQLITE_OK
		   ? 0
		   : lite_fail(lite, "cleaning", err);
}

/** Run `change` with each number that `ask` gives and that isn't used, or isn't there. */
static int drop_each(struct lite_store *lite, const char *ask, const struct catalog_bits *used,
		     const char *const *changes, struct vd_error *err)
{
	sqlite3_stmt *asking = NULL, *changing = NULL;
	struct catalog_bits dropped = {NULL, 0};
	int rc = 0, step = SQLITE_DONE;

	if (sqlite3_prepare_v2(lite->db, ask, -1, &asking, NULL) != SQLITE_OK)
		rc = lite_fail(lite, "cleaning", err);
	while (!rc && (step = sqlite3_step(asking)) == SQLITE_ROW) {
		int64_t id = sqlite3_column_int64(asking, 0);

		if (!(used && catalog_bits_has(used, id)) && !catalog_bits_set(&dropped, id))
			rc = lite_no_memory(err);
	}
	if (!rc && step != SQLITE_DONE)
		rc = lite_fail(lite, "cleaning", err);
	sqlite3_finalize(asking);
	for (; !rc && *changes; changes++) {
		if (sqlite3_prepare_v2(lite->db, *changes, -1, &changing, NULL) != SQLITE_OK)
			rc = lite_fail(lite, "cleaning", err);
		for (int64_t id = catalog_bits_next(&dropped, 0); !rc && id >= 0;
		     id = catalog_bits_next(&dropped, id + 1)) {
			sqlite3_bind_int64(changing, 1, id);
			rc = lite_run(lite, changing, err);
		}
		sqlite3_finalize(changing);
		changing = NULL;
	}
	catalog_bits_free(&dropped);
	return rc;
}

/* A word index that keeps no text is told what it forgets by the text; keys of paths aren't kept,
 * so that index is emptied and filled anew if paths go. */
static int fill_path_words(struct lite_store *lite, struct vd_error *err)
{
	sqlite3_stmt *asking = NULL;
	int rc = execute(lite, "INSERT INTO path_word(path_word) VALUES('delete-all')", err), step;

	if (rc)
		return rc;
	if (sqlite3_prepare_v2(lite->db, "SELECT id, path FROM path", -1, &asking, NULL) !=
	    SQLITE_OK)
		return lite_fail(lite, "cleaning", err);
	while (!rc && (step = sqlite3_step(asking)) == SQLITE_ROW)
		rc = lite_put_path_word(lite, sqlite3_column_int64(asking, 0), lite_text(asking, 1),
					err);
	if (!rc && step != SQLITE_DONE)
		rc = lite_fail(lite, "cleaning", err);
	sqlite3_finalize(asking);
	return rc;
}

static int clean_parts(struct lite_store *lite, struct vd_error *err)
{
	static const char *const changes[] = {"DELETE FROM part WHERE id = ?1", NULL};
	struct parts_use use = {{NULL, 0}};
	int64_t before = sqlite3_total_changes64(lite->db);
	int rc = lite_each_known(&lite->store, NULL, use_parts, &use, err);

	if (!rc)
		rc = drop_each(lite, "SELECT id FROM part", &use.used, changes, err);
	catalog_bits_free(&use.used);
	if (rc || sqlite3_total_changes64(lite->db) == before)
		return rc;
	rc = execute(lite,
		     "DELETE FROM part_path WHERE part NOT IN (SELECT id FROM part);"
		     "DELETE FROM part_digest WHERE part NOT IN (SELECT id FROM part);"
		     "DELETE FROM path WHERE id NOT IN (SELECT path FROM part_path)",
		     err);
	return rc ? rc : fill_path_words(lite, err);
}

static int clean_values(struct lite_store *lite, struct vd_error *err)
{
	static const char *const changes[] = {"DELETE FROM value WHERE id = ?1", NULL};
	int64_t before = sqlite3_total_changes64(lite->db);
	sqlite3_stmt *asking = NULL;
	int rc = drop_each(lite,
			   "SELECT id FROM value WHERE NOT EXISTS"
			   " (SELECT 1 FROM posting p WHERE p.value = value.id)",
			   NULL, changes, err),
	    step = SQLITE_DONE;

	if (rc || sqlite3_total_changes64(lite->db) == before)
		return rc;
	rc = execute(lite, "INSERT INTO value_word(value_word) VALUES('delete-all')", err);
	if (!rc && sqlite3_prepare_v2(lite->db,
				      "SELECT v.id, v.key, f.name FROM value v JOIN field f"
				      " ON f.id = v.field",
				      -1, &asking, NULL) != SQLITE_OK)
		rc = lite_fail(lite, "cleaning", err);
	while (!rc && (step = sqlite3_step(asking)) == SQLITE_ROW)
		rc = lite_put_value_word(lite, sqlite3_column_int64(asking, 0),
					 lite_text(asking, 1), lite_text(asking, 2), err);
	if (!rc && step != SQLITE_DONE)
		rc = lite_fail(lite, "cleaning", err);
	sqlite3_finalize(asking);
	return rc;
}

int lite_clean(struct catalog_store *store, struct vd_error *err)
{
	struct lite_store *lite = lite_of(store);
	int rc = store->ops->begin(store, err);

	if (rc)
		return rc;
	rc = clean_parts(lite, err);
	if (!rc)
		rc = clean_values(lite, err);
	if (rc)
		store->ops->rollback(store);
	else
		rc = store->ops->commit(store, err);
	if (!rc)
		rc = execute(lite, "VACUUM", err);
	/* All of it stands in the log now, too. If somebody reads the old state, it stays there
	 * until the next writer comes: that isn't waited for. */
	sqlite3_busy_timeout(lite->db, 0);
	sqlite3_wal_checkpoint_v2(lite->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	sqlite3_busy_timeout(lite->db, LITE_BUSY_MS);
	return rc;
}
