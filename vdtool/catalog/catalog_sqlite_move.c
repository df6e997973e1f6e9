/* SPDX-License-Identifier: MIT */
/* The catalog in SQLite: an image that has another path now; see catalog_sqlite.h. */
#include <stdlib.h>
#include <string.h>

#include "catalog_sqlite.h"

/** The value of image.name that follows from a path; *id 0: its name isn't text. */
static int name_value(struct lite_store *lite, int64_t field, bool has_words, const char *path,
		      int64_t *id, struct vd_error *err)
{
	const char *slash = strrchr(path, '/');
	struct vd_fact fact = {"image.name", slash ? slash + 1 : path, NULL, 0};
	char *key = NULL;
	int rc = vd_query_key(fact.value, &key, err);

	*id = 0;
	if (rc)
		return rc == VD_EINVAL ? 0 : rc;
	fact.key = key;
	rc = lite_value_id(lite, field, has_words, &fact, id, err);
	vd_meta_free(key);
	return rc;
}

static void pack_name(struct catalog_pack *out, int64_t field, int64_t name)
{
	struct catalog_pack inner = {NULL, 0, 0, false};

	catalog_pack_number(&inner, (uint64_t)name);
	catalog_pack_number(&inner, 0);
	catalog_pack_number(out, (uint64_t)field);
	catalog_pack_number(out, inner.len);
	catalog_pack_bytes(out, inner.bytes, inner.len);
	out->has_failed |= inner.has_failed;
	free(inner.bytes);
}

/** Copy the facts with another name; *was: the value that stood there. It is looked for behind the
 *  run of the documents. */
static int rename_facts(const struct catalog_pack *old, int64_t field, int64_t name,
			struct catalog_pack *out, int64_t *was, struct vd_error *err)
{
	struct catalog_unpack in = {old->bytes, old->bytes + old->len, false};
	bool is_of_file = false;

	while (in.at < in.end) {
		uint64_t id = catalog_unpack_number(&in);
		size_t n = id ? (size_t)catalog_unpack_number(&in) : 0;

		if (in.is_wrong || n > (size_t)(in.end - in.at))
			return lite_damaged(err, "the facts of an image end too early");
		if (!id) {
			is_of_file = true;
			catalog_pack_number(out, 0);
		} else if (is_of_file && id == (uint64_t)field) {
			struct catalog_unpack inner = {in.at, in.at + n, false};

			*was = (int64_t)catalog_unpack_number(&inner);
			pack_name(out, field, name);
		} else {
			catalog_pack_number(out, id);
			catalog_pack_number(out, n);
			catalog_pack_bytes(out, in.at, n);
		}
		in.at += n;
	}
	return out->has_failed ? lite_no_memory(err) : 0;
}

static int set_facts(struct lite_store *lite, int64_t id, const struct catalog_pack *facts,
		     struct vd_error *err)
{
	sqlite3_stmt *statement = lite_statement(lite, LITE_KNOWN_SET_FACTS, err);

	if (!statement)
		return VD_EIO;
	sqlite3_bind_int64(statement, 1, id);
	sqlite3_bind_blob64(statement, 2, facts->bytes, facts->len, SQLITE_STATIC);
	return lite_run(lite, statement, err);
}

/** 1: it had no name before, or has none now, so that there is no place for it. */
static int change_name(struct lite_store *lite, int64_t id, const char *path, struct vd_error *err)
{
	struct catalog_pack old = {NULL, 0, 0, false}, out = {NULL, 0, 0, false};
	int64_t field, name = 0, was = 0;
	bool has_words = false;
	int rc = lite_field(lite, "image.name", true, &field, &has_words, err);

	if (!rc)
		rc = name_value(lite, field, has_words, path, &name, err);
	if (!rc)
		rc = lite_get_known(lite, id, &old, err);
	if (!rc && old.bytes)
		rc = rename_facts(&old, field, name, &out, &was, err);
	if (!rc && (!name || !was))
		rc = 1;
	if (!rc)
		rc = lite_change_posting(lite, LITE_POSTING_DROP, was, id, err);
	if (!rc)
		rc = lite_change_posting(lite, LITE_POSTING_PUT, name, id, err);
	if (!rc)
		rc = set_facts(lite, id, &out, err);
	free(old.bytes);
	free(out.bytes);
	return rc;
}

int lite_move(struct catalog_store *store, const struct catalog_image *image, struct vd_error *err)
{
	struct lite_store *lite = (struct lite_store *)store;
	int rc = change_name(lite, image->id, image->path, err), at;
	sqlite3_stmt *statement;

	if (rc)
		return rc;
	statement = lite_statement(lite, LITE_IMAGE_MOVE, err);
	if (!statement)
		return VD_EIO;
	lite_bind_path(statement, 1, image->path);
	at = lite_bind_key(statement, 2, &image->key);
	sqlite3_bind_int64(statement, at++, (int64_t)image->folder);
	sqlite3_bind_int64(statement, at, image->id);
	return lite_run(lite, statement, err);
}
