/* SPDX-License-Identifier: MIT */
/*
 * File terms of a query, answered by a catalog: when a term is asked for the first time, all paths
 * that may fit are looked at, and the parts of file indexes noted that have one which does. An
 * image has what is wanted if it has one of these parts.
 */
#include <stdlib.h>
#include <string.h>

#include "catalog.h"

/** A term that was asked. */
struct term {
	const struct vd_query_node *node;
	struct catalog_bits parts;
	struct catalog_files *files;
	struct vd_error *err;
	struct term *next;
	/* The file that was told last, and of which part. */
	int64_t told_part;
	char *told;
};
struct catalog_files {
	struct catalog_store *store;
	struct term *terms;
	int code; /* 1, 0, VD_E*: of the image's file index */
	const uint8_t *parts;
	size_t parts_len;
	bool is_image_wrong;
};

#define FOUND 1

int catalog_files_create(struct catalog_files **out, struct catalog_store *store,
			 struct vd_error *err)
{
	*out = calloc(1, sizeof(**out));
	if (!*out)
		return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
	(*out)->store = store;
	return 0;
}

void catalog_files_free(struct catalog_files *files)
{
	struct term *next;

	for (struct term *t = files ? files->terms : NULL; t; t = next) {
		next = t->next;
		catalog_bits_free(&t->parts);
		free(t->told);
		free(t);
	}
	free(files);
}

void catalog_files_set_image(struct catalog_files *files, int files_code, const uint8_t *parts,
			     size_t parts_len)
{
	files->code = files_code;
	files->is_image_wrong = false;
	files->parts = parts;
	files->parts_len = parts_len;
}

/* ---- all that fit ---- */

static int note_part(void *user, int64_t part, struct vd_error *err)
{
	struct term *term = user;

	return catalog_bits_set(&term->parts, part)
		   ? 0
		   : vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
}

static int look_at_path(void *user, int64_t id, const char *path, struct vd_error *err)
{
	struct term *term = user;
	struct catalog_store *store = term->files->store;

	if (!vd_query_match_file(term->node, path, NULL, NULL))
		return 0;
	return store->ops->parts_of_path(store, id, note_part, term, err);
}

/** 32 bytes of 64 digits, which the parser has checked. */
static void take_digest(const char *hex, uint8_t digest[32])
{
	for (size_t i = 0; i < 64; i++) {
		char c = hex[i];
		unsigned n = (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);

		digest[i / 2] = (uint8_t)((unsigned)digest[i / 2] << 4 | (n & 15));
	}
}

/** Only the beginnings of digests are indexed: look at the files themselves. */
static int is_wanted(void *user, int64_t path_id, const char *path, const uint8_t *digest,
		     struct vd_error *err)
{
	const struct term *term = user;

	(void)path_id;
	(void)err;
	return vd_query_match_file(term->node, path, NULL, digest) ? FOUND : 0;
}

static int look_at_part(void *user, int64_t part, struct vd_error *err)
{
	struct term *term = user;
	struct catalog_store *store = term->files->store;
	int rc = store->ops->each_file(store, part, is_wanted, term, err);

	return rc == FOUND ? note_part(term, part, err) : rc;
}

static int look(struct term *term, struct vd_error *err)
{
	struct catalog_store *store = term->files->store;
	const struct vd_query_node *node = term->node;
	struct catalog_texts texts;

	if (node->kind == VD_QUERY_SHA256) {
		uint8_t digest[32] = {0};

		if (strlen(node->value) != 64)
			return 0;
		take_digest(node->value, digest);
		return store->ops->parts_of_digest(store, digest, look_at_part, term, err);
	}
	if (node->is_glob)
		catalog_texts_of_glob(&texts, node->value);
	else
		catalog_texts_of_words(&texts, node->key);
	return store->ops->each_path(store, texts.at, texts.n, look_at_path, term, err);
}

static int find_term(struct catalog_files *files, const struct vd_query_node *node,
		     struct term **out, struct vd_error *err)
{
	struct term *term;
	int rc;

	for (term = files->terms; term; term = term->next) {
		if (term->node == node) {
			*out = term;
			return 0;
		}
	}
	term = calloc(1, sizeof(*term));
	if (!term)
		return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
	term->node = node;
	term->files = files;
	rc = look(term, err);
	term->next = files->terms;
	files->terms = *out = term; /* given back with the others, also after a failure */
	return rc;
}

/* ---- one image ---- */

/** The first file of the part, in the order of the index. */
static int tell(void *user, int64_t path_id, const char *path, const uint8_t *digest,
		struct vd_error *err)
{
	struct term *term = user;

	(void)path_id;
	if (!vd_query_match_file(term->node, path, NULL, digest))
		return 0;
	free(term->told);
	term->told = strdup(path);
	return term->told ? FOUND : vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
}

static int tell_path(struct term *term, int64_t part, char *path, size_t size, struct vd_error *err)
{
	struct catalog_store *store = term->files->store;
	int rc = FOUND;

	if (!size)
		return FOUND;
	if (term->told_part != part || !term->told) {
		term->told_part = part;
		rc = store->ops->each_file(store, part, tell, term, err);
	}
	if (rc == FOUND) {
		strncpy(path, term->told, size - 1);
		path[size - 1] = '\0';
	}
	return rc < 0 ? rc : FOUND;
}

int catalog_files_match(struct catalog_files *files, const struct vd_query_node *node, char *path,
			size_t size, struct vd_error *err)
{
	struct catalog_unpack in = {files->parts, files->parts + files->parts_len, false};
	struct term *term = NULL;
	int64_t part = 0;
	int rc;

	if (!files->code)
		return VD_ENOENT;
	rc = find_term(files, node, &term, err);
	while (!rc && in.at < in.end) {
		part = catalog_unpack_step(&in, part);
		if (!in.is_wrong && catalog_bits_has(&term->parts, part))
			return tell_path(term, part, path, size, err);
	}
	if (rc || files->code > 0)
		return rc;
	files->is_image_wrong = true;
	return vd_error_set(err, files->code, 0, VD_NO_OFFSET,
			    files->code == VD_ERANGE
				? "its file index is larger than a catalog keeps, and what it "
				  "wants isn't in the part that is kept"
				: "its file index can't be read (to its end)");
}

bool catalog_files_is_image_wrong(const struct catalog_files *files)
{
	return files->is_image_wrong;
}
