/* SPDX-License-Identifier: MIT */
/*
 * File indexes into the catalog. Images that were made from one base share nearly all paths, so an
 * index is cut into parts where the paths themselves say so: a path that differs changes the part
 * that it is in, and no other. A part is known by its digest and kept once. Of an index of 60,000
 * files whose base is known, only the digests of a thousand parts are looked up.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include <vdisk/image.h>

#include "catalog.h"

#define PART_MEAN   64u          /* files; a power of two */
#define PART_FILES  1024u        /* at most */
#define PART_BYTES  (256u << 10) /* of paths; a path is at most 32 KiB */
#define INDEX_BYTES (512u << 20) /* of an index, as paths: hostile ones unfold without end */
#define INDEX_FILES (8u << 20)

struct part_file {
	size_t path; /* in `text` */
	bool has_digest;
	uint8_t digest[32];
};
struct cutter {
	struct catalog_indexing *indexing;
	struct vd_error *err;
	struct part_file files[PART_FILES];
	size_t n;
	char *text;
	size_t len;
	uint64_t n_bytes;
	int64_t last;    /* part */
	bool has_failed; /* the store, not the index */
};

static void digest_part(const struct cutter *cutter, uint8_t digest[32])
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, NULL, 0, 32);
	for (size_t i = 0; i < cutter->n; i++) {
		const struct part_file *f = &cutter->files[i];
		const char *path = cutter->text + f->path;
		uint8_t has_digest = f->has_digest;

		crypto_generichash_update(&state, (const uint8_t *)path, strlen(path) + 1);
		crypto_generichash_update(&state, &has_digest, 1);
		if (f->has_digest)
			crypto_generichash_update(&state, f->digest, 32);
	}
	crypto_generichash_final(&state, digest, 32);
}

static int put_part(struct cutter *cutter, const uint8_t digest[32], int64_t *id)
{
	struct catalog_store *store = cutter->indexing->store;
	struct catalog_file *files = calloc(cutter->n, sizeof(*files));
	int rc;

	if (!files)
		return vd_error_set(cutter->err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
	for (size_t i = 0; i < cutter->n; i++) {
		files[i].path = cutter->text + cutter->files[i].path;
		files[i].has_digest = cutter->files[i].has_digest;
		memcpy(files[i].digest, cutter->files[i].digest, 32);
	}
	rc = store->ops->put_part(store, digest, files, cutter->n, id, cutter->err);
	free(files);
	return rc;
}

static int end_part(struct cutter *cutter)
{
	struct catalog_store *store = cutter->indexing->store;
	uint8_t digest[32];
	int64_t id;
	int rc;

	if (!cutter->n)
		return 0;
	digest_part(cutter, digest);
	rc = store->ops->find_part(store, digest, &id, cutter->err);
	if (!rc && !id)
		rc = put_part(cutter, digest, &id);
	cutter->has_failed |= rc != 0;
	if (rc)
		return rc;
	catalog_pack_step(&cutter->indexing->parts, cutter->last, id);
	cutter->last = id;
	cutter->n = 0;
	cutter->len = 0;
	return 0;
}

/** Does a part end with this path? One in PART_MEAN does, whatever stands around it. */
static bool is_end(const char *path)
{
	uint32_t hash = 2166136261u;

	for (; *path; path++)
		hash = (hash ^ (unsigned char)*path) * 16777619u;
	hash ^= hash >> 15;
	hash *= 2246822519u;
	return (hash >> 13) % PART_MEAN == 0;
}

static int take_file(void *user, const struct vd_indexed_file *file)
{
	struct cutter *cutter = user;
	struct part_file *f;
	size_t n = strlen(file->path) + 1;
	int rc;

	cutter->n_bytes += n;
	if (cutter->n_bytes > INDEX_BYTES || ++cutter->indexing->n_files > INDEX_FILES)
		return vd_error_set(cutter->err, VD_ERANGE, 0, VD_NO_OFFSET,
				    "the file index has more than %u files or %u MiB of paths: a "
				    "catalog doesn't take it, a search without catalog does",
				    INDEX_FILES, INDEX_BYTES >> 20);
	if (n > PART_BYTES)
		return vd_error_set(cutter->err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "the file index has a path of %zu bytes", n);
	if (cutter->n == PART_FILES || cutter->len + n > PART_BYTES) {
		rc = end_part(cutter);
		if (rc)
			return rc;
	}
	f = &cutter->files[cutter->n++];
	f->path = cutter->len;
	f->has_digest = file->sha256 != NULL;
	memset(f->digest, 0, 32);
	if (file->sha256)
		memcpy(f->digest, file->sha256, 32);
	memcpy(cutter->text + cutter->len, file->path, n);
	cutter->len += n;
	return is_end(file->path) ? end_part(cutter) : 0;
}

int catalog_index_files(struct catalog_indexing *indexing, struct vd_meta *meta,
			struct vd_error *err)
{
	struct cutter *cutter = calloc(1, sizeof(*cutter));
	int rc;

	if (cutter)
		cutter->text = malloc(PART_BYTES);
	if (!cutter || !cutter->text) {
		free(cutter);
		return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
	}
	cutter->indexing = indexing;
	cutter->err = err;
	rc = vd_meta_read_file_index(meta, take_file, cutter, err);
	/* Of one that is damaged, what came before the damage is known. */
	if (!rc || (!cutter->has_failed && rc != VD_ENOENT && cutter->n)) {
		int end_rc = end_part(cutter);

		rc = end_rc ? end_rc : rc;
	}
	if (!rc && indexing->parts.has_failed)
		rc = vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
	indexing->has_failed = cutter->has_failed;
	free(cutter->text);
	free(cutter);
	return rc == VD_ENOENT ? 0 : rc ? rc : 1;
}
