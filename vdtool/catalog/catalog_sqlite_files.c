/* SPDX-License-Identifier: MIT */
/*
 * The catalog in SQLite: file indexes, in parts that images share; see catalog_sqlite.h.
 *
 * A part is one blob: how many files, whether they have digests, then for each the step from the
 * number of the path before, and the digest (32 bytes, behind a 1; or a 0).
 */
#include <stdlib.h>
#include <string.h>

#include "catalog_sqlite.h"

static struct lite_store *lite_of(struct catalog_store *store)
{
	return (struct lite_store *)store;
}

/* ---- in ---- */

int lite_find_part(struct catalog_store *store, const uint8_t digest[32], int64_t *id,
		   struct vd_error *err)
{
	sqlite3_stmt *statement = lite_statement(lite_of(store), LITE_PART_FIND, err);

	if (!statement)
		return VD_EIO;
	sqlite3_bind_blob(statement, 1, digest, 32, SQLITE_STATIC);
	return lite_find_id(lite_of(store), statement, id, err);
}

int lite_put_path_word(struct lite_store *lite, int64_t id, const char *path, struct vd_error *err)
{
	sqlite3_stmt *statement = lite_statement(lite, LITE_PATH_WORD_PUT, err);
	char *key = NULL;
	int rc;

	if (!statement)
		return VD_EIO;
	rc = vd_query_key(path, &key, err);
	if (rc)
		return rc == VD_EINVAL ? 0 : rc; /* nobody can ask for it */
	sqlite3_bind_int64(statement, 1, id);
	lite_bind_text(statement, 2, key);
	rc = lite_run(lite, statement, err);
	vd_meta_free(key);
	return rc;
}

static int path_id(struct lite_store *lite, const char *path, int64_t *id, struct vd_error *err)
{
	sqlite3_stmt *statement = lite_statement(lite, LITE_PATH_FIND, err);
	int rc;

	if (!statement)
		return VD_EIO;
	lite_bind_text(statement, 1, path);
	rc = lite_find_id(lite, statement, id, err);
	if (rc || *id)
		return rc;
	statement = lite_statement(lite, LITE_PATH_PUT, err);
	if (!statement)
		return VD_EIO;
	lite_bind_text(statement, 1, path);
	rc = lite_add_row(lite, statement, id, err);
	return rc ? rc : lite_put_path_word(lite, *id, path, err);
}

static int64_t digest_start(const uint8_t digest[32])
{
	int64_t start;

	memcpy(&start, digest, sizeof(start));
	return start;
}

static int put_pair(struct lite_store *lite, enum lite_statement which, int64_t a, int64_t b,
		    struct vd_error *err)
{
	sqlite3_stmt *statement = lite_statement(lite, which, err);

	if (!statement)
		return VD_EIO;
	sqlite3_bind_int64(statement, 1, a);
	sqlite3_bind_int64(statement, 2, b);
	return lite_run(lite, statement, err);
}

/** The row of the part, when the numbers of its paths are known. */
static int put_row(struct lite_store *lite, const uint8_t digest[32],
		   const struct catalog_pack *pack, int64_t *id, struct vd_error *err)
{
	sqlite3_stmt *statement = lite_statement(lite, LITE_PART_PUT, err);

	if (!statement)
		return VD_EIO;
	if (pack->has_failed)
		return lite_no_memory(err);
	sqlite3_bind_blob(statement, 1, digest, 32, SQLITE_STATIC);
	sqlite3_bind_blob64(statement, 2, pack->bytes, pack->len, SQLITE_STATIC);
	return lite_add_row(lite, statement, id, err);
}

int lite_put_part(struct catalog_store *store, const uint8_t digest[32],
		  const struct catalog_file *files, size_t n, int64_t *id, struct vd_error *err)
{
	struct lite_store *lite = lite_of(store);
	struct catalog_pack pack = {NULL, 0, 0, false};
	int64_t *paths = calloc(n ? n : 1, sizeof(*paths)), last = 0;
	int rc = paths ? 0 : lite_no_memory(err);

	for (size_t i = 0; !rc && i < n; i++) {
		rc = path_id(lite, files[i].path, &paths[i], err);
		catalog_pack_step(&pack, last, paths[i]);
		catalog_pack_number(&pack, files[i].has_digest);
		if (files[i].has_digest)
			catalog_pack_bytes(&pack, files[i].digest, 32);
		last = paths[i];
	}
	if (!rc)
		rc = put_row(lite, digest, &pack, id, err);
	for (size_t i = 0; !rc && i < n; i++) {
		rc = put_pair(lite, LITE_PART_PATH_PUT, paths[i], *id, err);
		if (!rc && files[i].has_digest)
			rc = put_pair(lite, LITE_PART_DIGEST_PUT, digest_start(files[i].digest),
				      *id, err);
	}
	free(pack.bytes);
	free(paths);
	return rc;
}

/* ---- out ---- */

#define MATCH_MAX 64u /* trigrams of a question: more would hardly find less */

static size_t char_len(const char *s)
{
	size_t n = 1;

	while (((unsigned char)s[n] & 0xc0) == 0x80)
		n++;
	return n;
}

/* "abc" AND "bcd": FTS5 without places of words can't ask for more than that they all occur. */
char *lite_match_text(const char *const *texts, size_t n_texts)
{
	struct catalog_pack pack = {NULL, 0, 0, false};
	size_t n = 0;

	for (size_t i = 0; i < n_texts; i++) {
		for (const char *s = texts[i]; *s && n < MATCH_MAX; s += char_len(s)) {
			const char *end = s;

			for (int k = 0; k < 3 && *end; k++) {
				end += char_len(end);
				if (!*end && k < 2)
					end = NULL;
				if (!end)
					break;
			}
			if (!end)
				break;
			if (n++)
				catalog_pack_bytes(&pack, " AND ", 5);
			catalog_pack_bytes(&pack, "\"", 1);
			for (const char *c = s; c < end; c++) {
				catalog_pack_bytes(&pack, c, 1);
				if (*c == '"')
					catalog_pack_bytes(&pack, c, 1);
			}
			catalog_pack_bytes(&pack, "\"", 1);
		}
	}
	catalog_pack_bytes(&pack, "", 1);
	if (!pack.has_failed)
		return (char *)pack.bytes;
	free(pack.bytes);
	return NULL;
}

int lite_each_path(struct catalog_store *store, const char *const *texts, size_t n_texts,
		   catalog_path_fn fn, void *user, struct vd_error *err)
{
	sqlite3_stmt *statement =
	    lite_statement(lite_of(store), n_texts ? LITE_PATHS_HOLDING : LITE_PATHS, err);
	char *match = n_texts ? lite_match_text(texts, n_texts) : NULL;
	int rc = n_texts && !match ? lite_no_memory(err) : statement ? 0 : VD_EIO;

	if (!rc && match)
		lite_bind_text(statement, 1, match);
	while (!rc && (rc = lite_row(lite_of(store), statement, err)) == 1)
		rc = fn(user, sqlite3_column_int64(statement, 0), lite_text(statement, 1), err);
	if (statement) {
		sqlite3_reset(statement);
		sqlite3_clear_bindings(statement);
	}
	free(match);
	return rc;
}

static int each_number(struct lite_store *lite, enum lite_statement which, int64_t of,
		       catalog_number_fn fn, void *user, struct vd_error *err)
{
	sqlite3_stmt *statement = lite_statement(lite, which, err);
	int rc;

	if (!statement)
		return VD_EIO;
	sqlite3_bind_int64(statement, 1, of);
	while ((rc = lite_row(lite, statement, err)) == 1) {
		rc = fn(user, sqlite3_column_int64(statement, 0), err);
		if (rc)
			break;
	}
	sqlite3_reset(statement);
	return rc;
}

int lite_parts_of_path(struct catalog_store *store, int64_t path, catalog_number_fn fn, void *user,
		       struct vd_error *err)
{
	return each_number(lite_of(store), LITE_PARTS_OF_PATH, path, fn, user, err);
}

int lite_parts_of_digest(struct catalog_store *store, const uint8_t digest[32],
			 catalog_number_fn fn, void *user, struct vd_error *err)
{
	return each_number(lite_of(store), LITE_PARTS_OF_DIGEST, digest_start(digest), fn, user,
			   err);
}

/** Tell one file of a part, whose path is looked up. */
static int tell_file(struct lite_store *lite, int64_t path, const uint8_t *digest,
		     catalog_file_fn fn, void *user, struct vd_error *err)
{
	sqlite3_stmt *statement = lite_statement(lite, LITE_PATH_GET, err);
	int rc;

	if (!statement)
		return VD_EIO;
	sqlite3_bind_int64(statement, 1, path);
	rc = lite_row(lite, statement, err);
	if (rc == 0)
		return lite_damaged(err, "a path of a file index isn't there");
	if (rc == 1)
		rc = fn(user, path, lite_text(statement, 0), digest, err);
	sqlite3_reset(statement);
	return rc;
}

int lite_each_file(struct catalog_store *store, int64_t part, catalog_file_fn fn, void *user,
		   struct vd_error *err)
{
	struct lite_store *lite = lite_of(store);
	sqlite3_stmt *statement = lite_statement(lite, LITE_PART_GET, err);
	struct catalog_unpack in = {NULL, NULL, false};
	int64_t path = 0;
	int rc;

	if (!statement)
		return VD_EIO;
	sqlite3_bind_int64(statement, 1, part);
	rc = lite_row(lite, statement, err);
	if (rc == 1) {
		in.at = sqlite3_column_blob(statement, 0);
		in.end = in.at + sqlite3_column_bytes(statement, 0);
		rc = 0;
	}
	while (!rc && in.at < in.end) {
		const uint8_t *digest = NULL;

		path = catalog_unpack_step(&in, path);
		if (catalog_unpack_number(&in)) {
			digest = in.at;
			in.is_wrong |= in.end - in.at < 32;
			in.at += in.is_wrong ? 0 : 32;
		}
		rc = in.is_wrong ? lite_damaged(err, "a part of a file index ends too early")
				 : tell_file(lite, path, digest, fn, user, err);
	}
	sqlite3_reset(statement);
	return rc;
}
