/* SPDX-License-Identifier: MIT */
/* The catalog in SQLite: looking up images, fields, values; see catalog_sqlite.h. */
#include <stdlib.h>
#include <string.h>

#include "catalog_sqlite.h"

static struct lite_store *lite_of(struct catalog_store *store)
{
	return (struct lite_store *)store;
}

/* ---- images ---- */

static void take_stamp(sqlite3_stmt *statement, int column, struct catalog_stamp *stamp)
{
	stamp->device = (uint64_t)sqlite3_column_int64(statement, column);
	stamp->inode = (uint64_t)sqlite3_column_int64(statement, column + 1);
	stamp->size = (uint64_t)sqlite3_column_int64(statement, column + 2);
	stamp->mtime = sqlite3_column_int64(statement, column + 3);
	stamp->ctime = sqlite3_column_int64(statement, column + 4);
}

void lite_take_image(sqlite3_stmt *statement, struct catalog_image *image)
{
	image->id = sqlite3_column_int64(statement, 0);
	image->path = lite_text(statement, 1); /* a NUL follows a blob that is asked as text */
	take_stamp(statement, 2, &image->key.image);
	image->key.has_sidecar = sqlite3_column_int(statement, 7) != 0;
	take_stamp(statement, 8, &image->key.sidecar);
	image->code = sqlite3_column_int(statement, 13);
	image->error = lite_text(statement, 14);
	image->files = sqlite3_column_int(statement, 15);
	image->is_unsettled = sqlite3_column_int(statement, 16) != 0;
	image->folder = (uint64_t)sqlite3_column_int64(statement, 17);
}

int lite_find_path(struct catalog_store *store, const char *path, struct catalog_image *image,
		   struct vd_error *err)
{
	sqlite3_stmt *statement = lite_statement(lite_of(store), LITE_IMAGE_BY_PATH, err);
	int rc;

	if (!statement)
		return VD_EIO;
	lite_bind_path(statement, 1, path);
	rc = lite_row(lite_of(store), statement, err);
	if (rc == 1)
		lite_take_image(statement, image);
	return rc;
}

static int each_row_image(struct lite_store *lite, sqlite3_stmt *statement, catalog_image_fn fn,
			  void *user, struct vd_error *err)
{
	struct catalog_image image;
	int rc;

	while ((rc = lite_row(lite, statement, err)) == 1) {
		lite_take_image(statement, &image);
		rc = fn(user, &image, err);
		if (rc)
			break;
	}
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return rc;
}

int lite_find_inode(struct catalog_store *store, uint64_t device, uint64_t inode,
		    catalog_image_fn fn, void *user, struct vd_error *err)
{
	sqlite3_stmt *statement = lite_statement(lite_of(store), LITE_IMAGES_BY_INODE, err);

	if (!statement)
		return VD_EIO;
	sqlite3_bind_int64(statement, 1, (int64_t)inode);
	sqlite3_bind_int64(statement, 2, (int64_t)device);
	return each_row_image(lite_of(store), statement, fn, user, err);
}

/** All paths below a folder lie between "FOLDER/" and "FOLDER0", as 0 follows / in ASCII. */
static int bind_folder(sqlite3_stmt *statement, const char *folder, struct vd_error *err)
{
	size_t n = strlen(folder);
	char *text = malloc(n + 2);

	if (!text)
		return lite_no_memory(err);
	while (n && folder[n - 1] == '/')
		n--;
	memcpy(text, folder, n);
	sqlite3_bind_blob64(statement, 1, text, n, SQLITE_TRANSIENT);
	text[n] = '/';
	sqlite3_bind_blob64(statement, 2, text, n + 1, SQLITE_TRANSIENT);
	text[n] = '/' + 1;
	sqlite3_bind_blob64(statement, 3, text, n + 1, SQLITE_TRANSIENT);
	free(text);
	return 0;
}

int lite_each_image(struct catalog_store *store, const char *folder, catalog_image_fn fn,
		    void *user, struct vd_error *err)
{
	sqlite3_stmt *statement =
	    lite_statement(lite_of(store), folder ? LITE_IMAGES_BELOW : LITE_IMAGES, err);
	int rc = 0;

	if (!statement)
		return VD_EIO;
	if (folder)
		rc = bind_folder(statement, folder, err);
	return rc ? rc : each_row_image(lite_of(store), statement, fn, user, err);
}

int lite_each_unreadable(struct catalog_store *store, catalog_image_fn fn, void *user,
			 struct vd_error *err)
{
	sqlite3_stmt *statement = lite_statement(lite_of(store), LITE_IMAGES_UNREADABLE, err);

	return statement ? each_row_image(lite_of(store), statement, fn, user, err) : VD_EIO;
}

static int ask_number(struct lite_store *lite, enum lite_statement which, int64_t *n,
		      struct vd_error *err)
{
	sqlite3_stmt *statement = lite_statement(lite, which, err);
	int rc = statement ? lite_row(lite, statement, err) : VD_EIO;

	*n = rc == 1 ? sqlite3_column_int64(statement, 0) : 0;
	if (statement)
		sqlite3_reset(statement);
	return rc < 0 ? rc : 0;
}

int lite_last_id(struct catalog_store *store, int64_t *id, struct vd_error *err)
{
	return ask_number(lite_of(store), LITE_LAST_IMAGE, id, err);
}

int lite_n_images(struct catalog_store *store, int64_t *n, struct vd_error *err)
{
	return ask_number(lite_of(store), LITE_N_IMAGES_GET, n, err);
}

/* ---- values ---- */

int lite_each_field(struct catalog_store *store, catalog_path_fn fn, void *user,
		    struct vd_error *err)
{
	sqlite3_stmt *statement = lite_statement(lite_of(store), LITE_FIELDS, err);
	int rc;

	if (!statement)
		return VD_EIO;
	while ((rc = lite_row(lite_of(store), statement, err)) == 1) {
		rc = fn(user, sqlite3_column_int64(statement, 0), lite_text(statement, 1), err);
		if (rc)
			break;
	}
	sqlite3_reset(statement);
	return rc;
}

static void take_value(sqlite3_stmt *statement, struct vd_fact *value)
{
	value->field = lite_text(statement, 1);
	value->value = lite_text(statement, 2);
	value->key = lite_text(statement, 3);
	value->group = 0;
}

static int each_row_value(struct lite_store *lite, sqlite3_stmt *statement, catalog_value_fn fn,
			  void *user, struct vd_error *err)
{
	struct vd_fact value;
	int rc;

	while ((rc = lite_row(lite, statement, err)) == 1) {
		take_value(statement, &value);
		rc = fn(user, sqlite3_column_int64(statement, 0), &value, err);
		if (rc)
			break;
	}
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return rc;
}

int lite_each_value(struct catalog_store *store, int64_t field, const char *key, bool is_prefix,
		    catalog_value_fn fn, void *user, struct vd_error *err)
{
	size_t n = key ? strlen(key) : 0;
	enum lite_statement which = LITE_VALUES;
	sqlite3_stmt *statement;
	char *behind = NULL;
	int rc;

	/* The first key behind those that begin so: the last byte counted up, which ASCII can. */
	if (key && is_prefix) {
		if (!n || (unsigned char)key[n - 1] >= 0x7f)
			key = NULL;
		else
			which = LITE_VALUES_PREFIX;
	} else if (key) {
		which = LITE_VALUES_KEY;
	}
	statement = lite_statement(lite_of(store), which, err);
	if (!statement)
		return VD_EIO;
	sqlite3_bind_int64(statement, 1, field);
	if (which != LITE_VALUES)
		lite_bind_text(statement, 2, key);
	if (which == LITE_VALUES_PREFIX) {
		behind = strdup(key);
		if (!behind)
			return lite_no_memory(err);
		behind[n - 1]++;
		lite_bind_text(statement, 3, behind);
	}
	rc = each_row_value(lite_of(store), statement, fn, user, err);
	free(behind);
	return rc;
}

/** Of a few values each is looked at sooner than the words of all fields. */
static int is_large(struct lite_store *lite, int64_t field, struct vd_error *err)
{
	sqlite3_stmt *statement = lite_statement(lite, LITE_FIELD_IS_LARGE, err);
	int rc;

	if (!statement)
		return VD_EIO;
	sqlite3_bind_int64(statement, 1, field);
	rc = lite_row(lite, statement, err);
	sqlite3_reset(statement);
	return rc;
}

int lite_each_holding(struct catalog_store *store, int64_t field, const char *const *texts,
		      size_t n_texts, catalog_value_fn fn, void *user, struct vd_error *err)
{
	enum lite_statement which = field ? LITE_VALUES_HOLDING : LITE_VALUES_HOLDING_ALL;
	sqlite3_stmt *statement;
	char *match;
	int rc = n_texts && field ? is_large(lite_of(store), field, err) : 1;

	if (rc < 0)
		return rc;
	if (field && (!n_texts || !rc))
		return lite_each_value(store, field, NULL, false, fn, user, err);
	statement = lite_statement(lite_of(store), n_texts ? which : LITE_VALUES_ALL, err);
	if (!statement)
		return VD_EIO;
	if (!n_texts)
		return each_row_value(lite_of(store), statement, fn, user, err);
	match = lite_match_text(texts, n_texts);
	if (!match)
		return lite_no_memory(err);
	lite_bind_text(statement, 1, match);
	if (field)
		sqlite3_bind_int64(statement, 2, field);
	rc = each_row_value(lite_of(store), statement, fn, user, err);
	free(match);
	return rc;
}

int lite_value(struct catalog_store *store, int64_t id, struct vd_fact *value, struct vd_error *err)
{
	sqlite3_stmt *statement = lite_statement(lite_of(store), LITE_VALUE_GET, err);
	int rc;

	if (!statement)
		return VD_EIO;
	sqlite3_bind_int64(statement, 1, id);
	rc = lite_row(lite_of(store), statement, err);
	if (rc == 1)
		take_value(statement, value);
	if (rc == 0)
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "the catalog is damaged: value %lld isn't there; remove it "
				    "and sync again",
				    (long long)id);
	return rc < 0 ? rc : 0;
}

int lite_add_images(struct catalog_store *store, int64_t value, struct catalog_bits *images,
		    uint64_t max, uint64_t *n, struct vd_error *err)
{
	sqlite3_stmt *statement = lite_statement(lite_of(store), LITE_POSTINGS, err);
	int rc;

	if (!statement)
		return VD_EIO;
	sqlite3_bind_int64(statement, 1, value);
	while ((rc = lite_row(lite_of(store), statement, err)) == 1) {
		if (!max--) {
			rc = 0;
			break;
		}
		++*n;
		if (!catalog_bits_set(images, sqlite3_column_int64(statement, 0))) {
			rc = lite_no_memory(err);
			break;
		}
	}
	sqlite3_reset(statement);
	return rc;
}

/* ---- what is known ---- */

typedef int (*known_fn)(void *user, const struct catalog_image *image,
			const struct catalog_known *known, struct vd_error *err);

static int tell_known(sqlite3_stmt *statement, known_fn fn, void *user, struct vd_error *err)
{
	struct catalog_image image = {.id = sqlite3_column_int64(statement, 0), .error = ""};
	struct catalog_known known;

	image.path = lite_text(statement, 1);
	image.key.image.mtime = sqlite3_column_int64(statement, 2);
	image.code = sqlite3_column_int(statement, 3);
	image.files = sqlite3_column_int(statement, 4);
	known.facts = sqlite3_column_blob(statement, 5);
	known.facts_len = (size_t)sqlite3_column_bytes(statement, 5);
	known.parts = sqlite3_column_blob(statement, 6);
	known.parts_len = (size_t)sqlite3_column_bytes(statement, 6);
	return fn(user, &image, &known, err);
}

/** A few: each by its number. */
static int each_of(struct lite_store *lite, const struct catalog_bits *images, known_fn fn,
		   void *user, struct vd_error *err)
{
	sqlite3_stmt *statement;
	int rc = 0;

	for (int64_t id = catalog_bits_next(images, 0); !rc && id >= 0;
	     id = catalog_bits_next(images, id + 1)) {
		statement = lite_statement(lite, LITE_KNOWN_ONE, err);
		if (!statement)
			return VD_EIO;
		sqlite3_bind_int64(statement, 1, id);
		rc = lite_row(lite, statement, err);
		if (rc == 1)
			rc = tell_known(statement, fn, user, err);
		sqlite3_reset(statement);
	}
	return rc;
}

int lite_each_known(struct catalog_store *store, const struct catalog_bits *images, known_fn fn,
		    void *user, struct vd_error *err)
{
	struct lite_store *lite = lite_of(store);
	sqlite3_stmt *statement;
	int64_t last = 0;
	int rc = images ? lite_last_id(store, &last, err) : 0;

	if (rc)
		return rc;
	if (images && catalog_bits_count(images) < (uint64_t)last / 8)
		return each_of(lite, images, fn, user, err);
	statement = lite_statement(lite, LITE_KNOWN_ALL, err);
	if (!statement)
		return VD_EIO;
	while ((rc = lite_row(lite, statement, err)) == 1) {
		if (images && !catalog_bits_has(images, sqlite3_column_int64(statement, 0)))
			continue;
		rc = tell_known(statement, fn, user, err);
		if (rc)
			break;
	}
	sqlite3_reset(statement);
	return rc;
}
