// SPDX-License-Identifier: MIT
/*
 * Writing the file index (docs/scan.md has the format). Entries gather in a chunk; a full chunk is
 * deflated behind those before it. The result is held in memory, up to a bound, because its
 * length has to be known before it is attached.
 */
#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "image/fileindex.h"

/* The longest entry: five numbers of ten bytes each, a path, a digest. */
#define ENTRY_MAX (5 * 10 + VD_INDEX_PATH_MAX + 1 + 32)
_Static_assert(ENTRY_MAX < VD_INDEX_CHUNK_MAX, "each entry fits an empty chunk");

struct vd_index_writer {
	uint8_t *bytes;
	size_t len, size, max;
	bool has_digests, is_in_section;
	uint8_t chunk[VD_INDEX_CHUNK_MAX];
	size_t chunk_len;
	uint32_t n_in_chunk;
	uint64_t n_entries;
	uint32_t n_sections;
	char path[VD_INDEX_PATH_MAX]; /* of the entry before */
	int64_t mtime;
};

static void *zlib_alloc(void *user, unsigned int n, unsigned int size)
{
	(void)user;
	return vd_calloc(n, size);
}

static void zlib_free(void *user, void *p)
{
	(void)user;
	vd_free(p);
}

/* ---- the bytes behind each other ---- */

static int make_room(struct vd_index_writer *writer, size_t len, struct vd_error *err)
{
	size_t size = writer->size ? writer->size : 65536;
	void *larger;

	if (len > writer->max || writer->len > writer->max - len)
		return vd_error_set(err, VD_ENOSPC, 0, VD_NO_OFFSET,
				    "the file index is longer than %zu MiB (%" PRIu64
				    " files fitted)",
				    writer->max >> 20, writer->n_entries);
	while (size < writer->len + len)
		size *= 2;
	if (size == writer->size)
		return 0;
	larger = vd_realloc(writer->bytes, size);
	if (!larger)
		return vd_no_memory(err, size, "the file index");
	writer->bytes = larger;
	writer->size = size;
	return 0;
}

static int deflate_chunk(struct vd_index_writer *writer, uint8_t *to, size_t room, size_t *len,
			 struct vd_error *err)
{
	z_stream z = {.zalloc = zlib_alloc, .zfree = zlib_free};
	int rc;

	if (deflateInit(&z, Z_DEFAULT_COMPRESSION) != Z_OK)
		return vd_no_memory(err, 0, "compressing the file index");
	z.next_in = writer->chunk;
	z.avail_in = (unsigned int)writer->chunk_len;
	z.next_out = to;
	z.avail_out = (unsigned int)room;
	rc = deflate(&z, Z_FINISH);
	*len = z.total_out;
	deflateEnd(&z);
	if (rc != Z_STREAM_END)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "a chunk of the file index can't be compressed (zlib's %d)",
				    rc);
	return 0;
}

static int put_chunk(struct vd_index_writer *writer, enum vd_index_chunk_kind kind,
		     struct vd_error *err)
{
	struct vd_index_chunk head;
	size_t stored = 0;
	int rc = make_room(writer, sizeof(head) + VD_INDEX_STORED_MAX, err);

	if (rc)
		return rc;
	rc = deflate_chunk(writer, writer->bytes + writer->len + sizeof(head), VD_INDEX_STORED_MAX,
			   &stored, err);
	if (rc)
		return rc;
	head.kind = vd_put32(kind);
	head.n_entries = vd_put32(writer->n_in_chunk);
	head.raw_len = vd_put32((uint32_t)writer->chunk_len);
	head.stored_len = vd_put32((uint32_t)stored);
	memcpy(writer->bytes + writer->len, &head, sizeof(head));
	writer->len += sizeof(head) + stored;
	writer->chunk_len = 0;
	writer->n_in_chunk = 0;
	writer->path[0] = '\0';
	writer->mtime = 0;
	return 0;
}

static int flush_entries(struct vd_index_writer *writer, struct vd_error *err)
{
	return writer->n_in_chunk ? put_chunk(writer, VD_INDEX_ENTRIES, err) : 0;
}

/* ---- numbers ---- */

static void put_number(struct vd_index_writer *writer, uint64_t x)
{
	for (; x >= 0x80; x >>= 7)
		writer->chunk[writer->chunk_len++] = (uint8_t)(x | 0x80);
	writer->chunk[writer->chunk_len++] = (uint8_t)x;
}

static void put_text(struct vd_index_writer *writer, const char *text, size_t len)
{
	put_number(writer, len);
	memcpy(writer->chunk + writer->chunk_len, text, len);
	writer->chunk_len += len;
}

/* ---- the parts ---- */

int vd_index_writer_open(struct vd_index_writer **out, int64_t time, bool has_digests, size_t max,
			 struct vd_error *err)
{
	struct vd_index_writer *writer = vd_calloc(1, sizeof(*writer));
	struct vd_index_header head = {.version = vd_put32(1)};
	int rc;

	*out = NULL;
	if (!writer)
		return vd_no_memory(err, sizeof(*writer), "the file index");
	writer->max = max;
	writer->has_digests = has_digests;
	memcpy(head.magic, VD_INDEX_MAGIC, sizeof(head.magic));
	head.flags = vd_put32(has_digests ? VD_INDEX_HAS_DIGESTS : 0);
	head.time = vd_put64((uint64_t)time);
	rc = make_room(writer, sizeof(head), err);
	if (rc) {
		vd_index_writer_close(writer);
		return rc;
	}
	memcpy(writer->bytes, &head, sizeof(head));
	writer->len = sizeof(head);
	*out = writer;
	return 0;
}

void vd_index_writer_close(struct vd_index_writer *writer)
{
	if (!writer)
		return;
	vd_free(writer->bytes);
	vd_free(writer);
}

int vd_index_begin(struct vd_index_writer *writer, uint32_t partition, const char *mount,
		   struct vd_error *err)
{
	size_t len = strlen(mount);
	int rc = flush_entries(writer, err);

	if (rc)
		return rc;
	put_number(writer, partition);
	put_text(writer, mount, len < VD_INDEX_PATH_MAX / 2 ? len : 0);
	writer->n_sections++;
	writer->is_in_section = true;
	return put_chunk(writer, VD_INDEX_SECTION, err);
}

int vd_index_add(struct vd_index_writer *writer, const struct vd_indexed_file *file,
		 struct vd_error *err)
{
	size_t len = strlen(file->path), shared = 0;
	int64_t delta;
	int rc = 0;

	if (!writer->is_in_section || len >= VD_INDEX_PATH_MAX || file->path[0] != '/')
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "%.200s: no path for the file index", file->path);
	if (writer->chunk_len + ENTRY_MAX > VD_INDEX_CHUNK_MAX)
		rc = flush_entries(writer, err);
	if (rc)
		return rc;
	while (shared < len && writer->path[shared] == file->path[shared])
		shared++;
	put_number(writer, shared);
	put_text(writer, file->path + shared, len - shared);
	writer->chunk[writer->chunk_len++] =
	    (uint8_t)((file->type & 3u) | (file->sha256 && writer->has_digests ? 4u : 0));
	put_number(writer, file->file_size);
	delta = (int64_t)((uint64_t)file->mtime - (uint64_t)writer->mtime);
	put_number(writer, (uint64_t)delta << 1 ^ (uint64_t)(delta >> 63));
	if (file->sha256 && writer->has_digests) {
		memcpy(writer->chunk + writer->chunk_len, file->sha256, 32);
		writer->chunk_len += 32;
	}
	memcpy(writer->path, file->path, len + 1);
	writer->mtime = file->mtime;
	writer->n_in_chunk++;
	writer->n_entries++;
	return 0;
}

int vd_index_finish(struct vd_index_writer *writer, const uint8_t **bytes, size_t *len,
		    struct vd_error *err)
{
	int rc = flush_entries(writer, err);

	if (rc)
		return rc;
	put_number(writer, writer->n_sections);
	put_number(writer, writer->n_entries);
	rc = put_chunk(writer, VD_INDEX_END, err);
	*bytes = writer->bytes;
	*len = writer->len;
	return rc;
}
