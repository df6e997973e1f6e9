// SPDX-License-Identifier: MIT
/*
 * The file index of a scan: each file system that can be read, walked from its root. Digests are
 * read to a bound, so that a sparse file of exabytes, or a thousand files that share their blocks,
 * can't keep a scan for ever.
 */
#include <inttypes.h>
#include <sodium.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "image/fileindex.h"
#include "image/scan.h"

#define BUFFER_SIZE (256u << 10)
/* A broken tree of folders may hold more names than a disk has bytes. */
#define FILES_MAX (50u << 20)

struct indexing {
	struct vd_scan *scan;
	const struct vd_scan_fs *fs;
	struct vd_index_writer *writer;
	uint8_t *buffer;        /* NULL: no digests are wanted */
	uint64_t digest_budget; /* bytes that may still be read for them */
	bool is_budget_told;
	uint64_t n_entries;
	struct vd_error why;
};

static int digest_file(struct indexing *indexing, const char *path, uint64_t size,
		       struct vd_guest_file *file, uint8_t digest[32], bool *has_digest)
{
	struct vd_error why = VD_ERROR_INIT;
	crypto_hash_sha256_state state;
	int rc = 0;

	if (size > indexing->digest_budget) {
		if (!indexing->is_budget_told)
			vd_scan_tell(indexing->scan,
				     "%.200s and what is like it gets no digest: the files of its "
				     "file system are longer than twice its partition",
				     path);
		indexing->is_budget_told = true;
		return 0;
	}
	indexing->digest_budget -= size;
	crypto_hash_sha256_init(&state);
	for (uint64_t at = 0; at < size && !rc;) {
		size_t n;

		rc = vd_guest_file_read(file, indexing->buffer, BUFFER_SIZE, at, &n, &why);
		if (!rc && !n)
			break;
		crypto_hash_sha256_update(&state, indexing->buffer, n);
		at += n;
		if (!rc && at % (64 * VD_MIB) == 0)
			rc = vd_scan_progress(indexing->scan, path, &indexing->why);
	}
	if (rc == VD_ECANCELED || rc == VD_ETIMEDOUT || rc == VD_ENOMEM) {
		if (rc != VD_ECANCELED)
			indexing->why = why;
		return rc;
	}
	if (rc)
		vd_scan_tell(indexing->scan, "%.200s: no digest: %s", path, why.text);
	crypto_hash_sha256_final(&state, digest);
	*has_digest = rc == 0;
	return 0;
}

static int index_one(void *user, const char *path, const struct vd_file_info *info,
		     struct vd_guest_file *file)
{
	struct indexing *indexing = user;
	struct vd_indexed_file entry = {
	    .path = path, .file_size = info->size, .mtime = info->mtime, .type = info->type};
	bool has_digest = false;
	uint8_t digest[32];
	int rc = 0;

	if (file) {
		indexing->scan->result->n_files++;
		if (indexing->buffer)
			rc = digest_file(indexing, path, info->size, file, digest, &has_digest);
	}
	if (!rc && ++indexing->n_entries > FILES_MAX)
		rc = vd_error_set(&indexing->why, VD_ENOSPC, 0, VD_NO_OFFSET, "more than %u names",
				  FILES_MAX);
	if (!rc && indexing->n_entries % 1024 == 0)
		rc = vd_scan_progress(indexing->scan, path, &indexing->why);
	if (rc)
		return rc;
	entry.sha256 = has_digest ? digest : NULL;
	return vd_index_add(indexing->writer, &entry, &indexing->why);
}

static void tell_problem(void *user, const char *path, const struct vd_error *why)
{
	struct indexing *indexing = user;

	vd_scan_tell(indexing->scan, "%.200s: %s", path, why->text);
}

static int index_all(struct indexing *indexing, struct vd_error *err)
{
	struct vd_scan *scan = indexing->scan;
	int rc = 0;

	for (size_t i = 0; i < scan->n_fs && !rc; i++) {
		const struct vd_scan_fs *fs = &scan->fs[i];
		uint64_t twice = fs->partition->length;

		if (!fs->guest)
			continue;
		indexing->fs = fs;
		indexing->is_budget_told = false;
		indexing->digest_budget = twice > UINT64_MAX / 2 ? UINT64_MAX : twice * 2;
		rc = vd_index_begin(indexing->writer, fs->partition->number,
				    fs->mount[0] == '/' ? fs->mount : "", err);
		if (!rc) {
			indexing->why = (struct vd_error)VD_ERROR_INIT;
			rc = vd_guest_fs_walk(fs->guest, "/", index_one, tell_problem, indexing,
					      err);
			/* What index_one said; otherwise the walk itself has told. */
			if (rc && indexing->why.code == rc)
				rc = vd_error_set(err, rc, indexing->why.sys_errno,
						  indexing->why.offset, "%s", indexing->why.text);
		}
	}
	return rc;
}

/* ---- into the metadata ---- */

struct source {
	const uint8_t *bytes;
	size_t len;
};

static int64_t next_bytes(void *user, void *buf, size_t len, struct vd_error *err)
{
	struct source *source = user;
	size_t n = (size_t)vd_min64(len, source->len);

	(void)err;
	memcpy(buf, source->bytes, n);
	source->bytes += n;
	source->len -= n;
	return (int64_t)n;
}

int vd_scan_index_files(struct vd_scan *scan, struct vd_meta *meta, struct vd_error *err)
{
	bool has_digests = scan->opts->flags & VD_SCAN_DIGESTS;
	struct vd_index_writer *writer;
	uint8_t *buffer VD_AUTO_FREE = has_digests ? vd_malloc(BUFFER_SIZE) : NULL;
	struct indexing indexing = {.scan = scan, .buffer = buffer};
	struct vd_error why = VD_ERROR_INIT;
	struct source source = {NULL, 0};
	int rc;

	if (has_digests && !buffer)
		return vd_no_memory(err, BUFFER_SIZE, "digests");
	rc = vd_index_writer_open(&writer, scan->now, has_digests, VD_INDEX_MAX, err);
	if (rc)
		return rc;
	indexing.writer = writer;
	rc = index_all(&indexing, &why);
	if (!rc)
		rc = vd_index_finish(writer, &source.bytes, &source.len, &why);
	if (!rc)
		rc = vd_meta_attach(meta, NULL, VD_INDEX_NAME, VD_INDEX_MEDIA_TYPE, next_bytes,
				    &source, &why);
	vd_index_writer_close(writer);
	if (rc == VD_ENOSPC) {
		/* An index of an older scan would now be wrong. */
		vd_meta_remove(meta, "attachment:" VD_INDEX_NAME, NULL);
		vd_scan_tell(scan, "no file index: %s", why.text);
		return 0;
	}
	return rc ? vd_error_set(err, rc, why.sys_errno, why.offset, "file index: %s", why.text)
		  : 0;
}

/* ---- and back ---- */

struct reading {
	struct vd_index_reader *reader;
	int answer;
};

static int feed(void *user, const void *buf, size_t len, struct vd_error *err)
{
	struct reading *reading = user;

	reading->answer = vd_index_feed(reading->reader, buf, len, err);
	return reading->answer;
}

int vd_meta_read_file_index(struct vd_meta *meta, vd_index_fn fn, void *user, struct vd_error *err)
{
	struct reading reading = {NULL, 0};
	int rc = vd_index_reader_open(&reading.reader, fn, user, err);

	if (rc)
		return rc;
	rc = vd_meta_extract(meta, VD_INDEX_NAME, feed, &reading, err);
	if (reading.answer)
		rc = reading.answer;
	else if (!rc)
		rc = vd_index_end(reading.reader, err);
	else if (rc == VD_ENOENT)
		rc = vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET,
				  "no file index (`meta scan --files` writes it)");
	vd_index_reader_close(reading.reader);
	return rc;
}
