/* SPDX-License-Identifier: MIT */
/*
 * The catalog in SQLite: images in and out; see catalog_sqlite.h.
 *
 * An image's facts are one blob: for each run, for each field: its number, how many bytes follow,
 * and then numbers of values and groups; a field 0 ends the run. `posting` says the same the other
 * way round, without groups.
 */
#include <stdlib.h>
#include <string.h>

#include "catalog_sqlite.h"

static struct lite_store *lite_of(struct catalog_store *store)
{
	return (struct lite_store *)store;
}

/* ---- numbers of rows ---- */

int lite_find_id(struct lite_store *lite, sqlite3_stmt *statement, int64_t *id,
		 struct vd_error *err)
{
	int rc = lite_row(lite, statement, err);

	*id = rc == 1 ? sqlite3_column_int64(statement, 0) : 0;
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return rc < 0 ? rc : 0;
}

int lite_add_row(struct lite_store *lite, sqlite3_stmt *statement, int64_t *id,
		 struct vd_error *err)
{
	int rc = lite_run(lite, statement, err);

	*id = rc ? 0 : sqlite3_last_insert_rowid(lite->db);
	return rc;
}

/* ---- fields and values ---- */

static bool field_has_words(const char *name)
{
	const struct vd_field *field = vd_query_field_find(name);

	return field && catalog_has_words(field->type);
}

static int remember_field(struct lite_store *lite, const char *name, int64_t id,
			  struct vd_error *err)
{
	struct lite_field *more = realloc(lite->fields, (lite->n_fields + 1) * sizeof(*more));

	if (!more)
		return lite_no_memory(err);
	lite->fields = more;
	more[lite->n_fields].name = strdup(name);
	more[lite->n_fields].id = id;
	more[lite->n_fields].has_words = field_has_words(name);
	if (!more[lite->n_fields].name)
		return lite_no_memory(err);
	lite->n_fields++;
	return 0;
}

int lite_field(struct lite_store *lite, const char *name, bool makes, int64_t *id, bool *has_words,
	       struct vd_error *err)
{
	sqlite3_stmt *statement;
	int rc;

	*id = 0;
	for (size_t i = 0; i < lite->n_fields; i++) {
		if (strcmp(lite->fields[i].name, name) == 0) {
			*id = lite->fields[i].id;
			*has_words = lite->fields[i].has_words;
			return 0;
		}
	}
	statement = lite_statement(lite, LITE_FIELD_GET, err);
	if (!statement)
		return VD_EIO;
	lite_bind_text(statement, 1, name);
	rc = lite_find_id(lite, statement, id, err);
	if (!rc && !*id && makes) {
		statement = lite_statement(lite, LITE_FIELD_PUT, err);
		if (!statement)
			return VD_EIO;
		lite_bind_text(statement, 1, name);
		rc = lite_add_row(lite, statement, id, err);
	}
	if (rc || !*id)
		return rc;
	*has_words = field_has_words(name);
	/* Names that no vocabulary has may come by the thousand. */
	return lite->n_fields < 1024 ? remember_field(lite, name, *id, err) : 0;
}

int lite_field_id(struct catalog_store *store, const char *name, int64_t *id, struct vd_error *err)
{
	bool has_words;

	return lite_field(lite_of(store), name, false, id, &has_words, err);
}

static int put_word(struct lite_store *lite, int64_t id, const char *key, struct vd_error *err)
{
	sqlite3_stmt *statement = lite_statement(lite, LITE_VALUE_WORD_PUT, err);

	if (!statement)
		return VD_EIO;
	sqlite3_bind_int64(statement, 1, id);
	lite_bind_text(statement, 2, key);
	return lite_run(lite, statement, err);
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/** Names in package URLs may be written with percents, and are asked for without. */
static char *without_percents(const char *key)
{
	char *plain = malloc(strlen(key) + 1), *to = plain;

	for (; plain && *key; key++) {
		if (*key == '%' && hex(key[1]) >= 0 && hex(key[2]) >= 0 &&
		    (hex(key[1]) || hex(key[2]))) {
			*to++ = (char)(hex(key[1]) << 4 | hex(key[2]));
			key += 2;
		} else {
			*to++ = *key;
		}
	}
	if (plain)
		*to = '\0';
	return plain;
}

/** A key with percents is found in both ways of writing. */
static int put_words(struct lite_store *lite, int64_t id, const char *key, struct vd_error *err)
{
	char *plain = strchr(key, '%') ? without_percents(key) : NULL, *folded = NULL, *both;
	size_t n = strlen(key);
	int rc;

	if (!plain || vd_query_key(plain, &folded, NULL)) {
		free(plain);
		return put_word(lite, id, key, err);
	}
	both = malloc(n + strlen(folded) + 2);
	if (both) {
		memcpy(both, key, n);
		both[n] = '\n';
		strcpy(both + n + 1, folded);
	}
	rc = both ? put_word(lite, id, both, err) : lite_no_memory(err);
	free(both);
	free(plain);
	vd_meta_free(folded);
	return rc;
}

int lite_put_value_word(struct lite_store *lite, int64_t id, const char *key, const char *field,
			struct vd_error *err)
{
	return field_has_words(field) ? put_words(lite, id, key, err) : 0;
}

/** The number of a value of a field, which is made if it isn't there. */
int lite_value_id(struct lite_store *lite, int64_t field, bool has_words,
		  const struct vd_fact *fact, int64_t *id, struct vd_error *err)
{
	sqlite3_stmt *statement = lite_statement(lite, LITE_VALUE_FIND, err);
	int rc;

	if (!statement)
		return VD_EIO;
	sqlite3_bind_int64(statement, 1, field);
	lite_bind_text(statement, 2, fact->key);
	lite_bind_text(statement, 3, fact->value);
	rc = lite_find_id(lite, statement, id, err);
	if (rc || *id)
		return rc;
	statement = lite_statement(lite, LITE_VALUE_PUT, err);
	if (!statement)
		return VD_EIO;
	sqlite3_bind_int64(statement, 1, field);
	lite_bind_text(statement, 2, fact->key);
	lite_bind_text(statement, 3, fact->value);
	rc = lite_add_row(lite, statement, id, err);
	if (!rc && has_words)
		rc = put_words(lite, *id, fact->key, err);
	return rc;
}

int lite_change_posting(struct lite_store *lite, enum lite_statement which, int64_t value,
			int64_t image, struct vd_error *err)
{
	sqlite3_stmt *statement = lite_statement(lite, which, err);

	if (!statement)
		return VD_EIO;
	sqlite3_bind_int64(statement, 1, value);
	sqlite3_bind_int64(statement, 2, image);
	return lite_run(lite, statement, err);
}

/* ---- facts in and out ---- */

static int pack_field(struct lite_store *lite, int64_t image, const struct vd_fact *facts, size_t n,
		      struct catalog_pack *pack, struct vd_error *err)
{
	struct catalog_pack inner = {NULL, 0, 0, false};
	int64_t field, id;
	bool has_words = false;
	int rc = lite_field(lite, facts->field, true, &field, &has_words, err);

	for (size_t i = 0; !rc && i < n; i++) {
		rc = lite_value_id(lite, field, has_words, &facts[i], &id, err);
		if (!rc)
			rc = lite_change_posting(lite, LITE_POSTING_PUT, id, image, err);
		catalog_pack_number(&inner, (uint64_t)id);
		catalog_pack_number(&inner, facts[i].group);
	}
	if (!rc) {
		catalog_pack_number(pack, (uint64_t)field);
		catalog_pack_number(pack, inner.len);
		catalog_pack_bytes(pack, inner.bytes, inner.len);
	}
	pack->has_failed |= inner.has_failed;
	free(inner.bytes);
	return rc;
}

static int pack_run(struct lite_store *lite, int64_t image, const struct vd_fact_run *run,
		    bool is_of_file, struct catalog_pack *pack, struct vd_error *err)
{
	int rc = 0;

	for (size_t i = 0, n; !rc && i < run->n; i += n) {
		const struct vd_fact *facts = run->facts + i;

		for (n = 1; i + n < run->n && strcmp(facts[n].field, facts->field) == 0;)
			n++;
		if (!is_of_file || !catalog_is_unstored(facts->field))
			rc = pack_field(lite, image, facts, n, pack, err);
	}
	catalog_pack_number(pack, 0);
	return rc;
}

/** Each value that a blob of facts names leaves the postings. */
static int drop_postings(struct lite_store *lite, int64_t image, const uint8_t *facts, size_t len,
			 struct vd_error *err)
{
	struct catalog_unpack in = {facts, facts + len, false};
	int rc = 0;

	while (!rc && in.at < in.end) {
		struct catalog_unpack inner;
		size_t n;

		if (!catalog_unpack_number(&in))
			continue;
		n = (size_t)catalog_unpack_number(&in);
		if (in.is_wrong || n > (size_t)(in.end - in.at))
			break;
		inner = (struct catalog_unpack){in.at, in.at + n, false};
		in.at += n;
		while (!rc && inner.at < inner.end) {
			int64_t id = (int64_t)catalog_unpack_number(&inner);

			catalog_unpack_number(&inner);
			rc = lite_change_posting(lite, LITE_POSTING_DROP, id, image, err);
		}
	}
	return rc;
}

/** A copy of what is known of an image; *facts NULL: nothing is. */
int lite_get_known(struct lite_store *lite, int64_t image, struct catalog_pack *facts,
		   struct vd_error *err)
{
	sqlite3_stmt *statement = lite_statement(lite, LITE_KNOWN_GET, err);
	int rc;

	if (!statement)
		return VD_EIO;
	sqlite3_bind_int64(statement, 1, image);
	rc = lite_row(lite, statement, err);
	if (rc == 1)
		catalog_pack_bytes(facts, sqlite3_column_blob(statement, 0),
				   (size_t)sqlite3_column_bytes(statement, 0));
	sqlite3_reset(statement);
	if (facts->has_failed)
		return lite_no_memory(err);
	return rc < 0 ? rc : 0;
}

static int forget_known(struct lite_store *lite, int64_t image, struct vd_error *err)
{
	struct catalog_pack old = {NULL, 0, 0, false};
	sqlite3_stmt *statement;
	int rc = lite_get_known(lite, image, &old, err);

	if (!rc && old.bytes)
		rc = drop_postings(lite, image, old.bytes, old.len, err);
	free(old.bytes);
	if (rc)
		return rc;
	statement = lite_statement(lite, LITE_KNOWN_DROP, err);
	if (!statement)
		return VD_EIO;
	sqlite3_bind_int64(statement, 1, image);
	return lite_run(lite, statement, err);
}

static int put_known(struct lite_store *lite, int64_t image, const struct catalog_pack *facts,
		     const struct catalog_pack *parts, struct vd_error *err)
{
	sqlite3_stmt *statement = lite_statement(lite, LITE_KNOWN_PUT, err);

	if (!statement)
		return VD_EIO;
	if (facts->has_failed || (parts && parts->has_failed))
		return lite_no_memory(err);
	sqlite3_bind_int64(statement, 1, image);
	sqlite3_bind_blob64(statement, 2, facts->bytes ? facts->bytes : (const uint8_t *)"",
			    facts->len, SQLITE_STATIC);
	if (parts)
		sqlite3_bind_blob64(statement, 3, parts->bytes ? parts->bytes : (const uint8_t *)"",
				    parts->len, SQLITE_STATIC);
	return lite_run(lite, statement, err);
}

/* ---- images ---- */

static int bind_stamp(sqlite3_stmt *statement, int at, const struct catalog_stamp *stamp)
{
	sqlite3_bind_int64(statement, at++, (int64_t)stamp->device);
	sqlite3_bind_int64(statement, at++, (int64_t)stamp->inode);
	sqlite3_bind_int64(statement, at++, (int64_t)stamp->size);
	sqlite3_bind_int64(statement, at++, stamp->mtime);
	sqlite3_bind_int64(statement, at++, stamp->ctime);
	return at;
}

int lite_bind_key(sqlite3_stmt *statement, int at, const struct catalog_key *key)
{
	at = bind_stamp(statement, at, &key->image);
	sqlite3_bind_int(statement, at++, key->has_sidecar);
	return bind_stamp(statement, at, &key->sidecar);
}

static int add_to_total(struct lite_store *lite, int n, struct vd_error *err)
{
	sqlite3_stmt *statement = lite_statement(lite, LITE_N_IMAGES_ADD, err);

	if (!statement)
		return VD_EIO;
	sqlite3_bind_int(statement, 1, n);
	return lite_run(lite, statement, err);
}

/** The row of the image; *id is the one that it had, or a new one. */
static int put_row(struct lite_store *lite, const struct catalog_image *image, int64_t *id,
		   struct vd_error *err)
{
	struct catalog_image old;
	sqlite3_stmt *statement;
	int rc = lite_find_path(&lite->store, image->path, &old, err), at;
	bool is_new = rc == 0;

	if (rc < 0)
		return rc;
	statement = lite->statements[LITE_IMAGE_BY_PATH];
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	*id = old.id;
	rc = is_new ? 0 : forget_known(lite, *id, err);
	statement =
	    rc ? NULL : lite_statement(lite, is_new ? LITE_IMAGE_PUT : LITE_IMAGE_CHANGE, err);
	if (!statement)
		return rc ? rc : VD_EIO;
	lite_bind_path(statement, 1, image->path);
	at = lite_bind_key(statement, 2, &image->key);
	sqlite3_bind_int(statement, at++, image->code);
	lite_bind_text(statement, at++, image->error ? image->error : "");
	sqlite3_bind_int(statement, at++, image->files);
	sqlite3_bind_int(statement, at++, image->is_unsettled);
	sqlite3_bind_int64(statement, at++, (int64_t)image->folder);
	if (!is_new) {
		sqlite3_bind_int64(statement, at, *id);
		return lite_run(lite, statement, err);
	}
	rc = lite_add_row(lite, statement, id, err);
	return rc ? rc : add_to_total(lite, 1, err);
}

int lite_put(struct catalog_store *store, const struct catalog_image *image,
	     const struct vd_fact_run *runs, size_t n_runs, const struct catalog_pack *parts,
	     struct vd_error *err)
{
	struct lite_store *lite = lite_of(store);
	struct catalog_pack pack = {NULL, 0, 0, false};
	int64_t id;
	int rc = put_row(lite, image, &id, err);

	for (size_t i = 0; !rc && i < n_runs; i++)
		rc = pack_run(lite, id, &runs[i], i > 0, &pack, err);
	if (!rc && n_runs)
		rc = put_known(lite, id, &pack, parts, err);
	free(pack.bytes);
	return rc;
}

int lite_drop(struct catalog_store *store, int64_t id, struct vd_error *err)
{
	struct lite_store *lite = lite_of(store);
	sqlite3_stmt *statement;
	int rc = forget_known(lite, id, err);

	if (rc)
		return rc;
	statement = lite_statement(lite, LITE_IMAGE_DROP, err);
	if (!statement)
		return VD_EIO;
	sqlite3_bind_int64(statement, 1, id);
	rc = lite_run(lite, statement, err);
	if (!rc && sqlite3_changes(lite->db))
		rc = add_to_total(lite, -1, err);
	return rc;
}
