// SPDX-License-Identifier: MIT
/*
 * Reading the file index as it comes, piece by piece: memory for one chunk, whatever its length.
 * It is as hostile as any metadata. A length is bounded before it is believed, and what an entry
 * says is checked before anybody hears of it: paths are absolute, valid UTF-8 without control
 * characters, and in order.
 */
#include <inttypes.h>
#include <string.h>
#include <utf8proc.h>
#include <zlib.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/span.h"
#include "image/fileindex.h"

/* What is awaited next. */
enum awaited { HEADER, CHUNK, BODY, NOTHING };

struct vd_index_reader {
	vd_index_fn fn;
	void *user;
	enum awaited awaited;
	size_t wanted, have; /* bytes of it */
	uint8_t stored[VD_INDEX_STORED_MAX];
	uint8_t raw[VD_INDEX_CHUNK_MAX];
	struct vd_index_chunk chunk;
	uint32_t partition, n_sections;
	uint64_t n_entries;
	/* The path of the entry before, behind the mount point. */
	char full[2 * VD_INDEX_PATH_MAX];
	size_t mount_len, path_len;
	char last[VD_INDEX_PATH_MAX]; /* of the section, for the order; "" at its start */
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

static int broken(const struct vd_index_reader *reader, const char *what, struct vd_error *err)
{
	return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
			    "file index, behind entry %" PRIu64 ": %s (`meta scan --files` writes "
			    "it anew)",
			    reader->n_entries, what);
}

/* "/" stands before all else that a name may hold, so a folder's content follows it at once. */
int vd_index_compare(const char *a, const char *b)
{
	const unsigned char *p = (const unsigned char *)a, *q = (const unsigned char *)b;
	int x, y;

	for (; *p && *p == *q; p++, q++)
		;
	x = *p == '/' ? 1 : *p ? *p + 1 : 0;
	y = *q == '/' ? 1 : *q ? *q + 1 : 0;
	return x - y;
}

/* ---- the inside of a chunk ---- */

static bool get_number(struct vd_span *s, uint64_t *x)
{
	*x = 0;
	for (unsigned int shift = 0; shift < 64 && s->len; shift += 7) {
		uint8_t byte = *s->p++;

		s->len--;
		if (shift == 63 && byte > 1)
			return false;
		*x |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

static bool get_bytes(struct vd_span *s, uint64_t len, struct vd_span *part)
{
	if (!vd_span_sub(*s, 0, len, part))
		return false;
	s->p += len;
	s->len -= (size_t)len;
	return true;
}

/* UTF-8 that can be shown: no control characters. */
static bool is_text(const char *text, size_t len)
{
	const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)text;

	for (size_t i = 0; i < len;) {
		utf8proc_int32_t c;
		utf8proc_ssize_t n = utf8proc_iterate(p + i, (utf8proc_ssize_t)(len - i), &c);

		if (n <= 0 || c < 0x20 || (c >= 0x7f && c < 0xa0))
			return false;
		i += (size_t)n;
	}
	return true;
}

static int read_section(struct vd_index_reader *reader, struct vd_span s, struct vd_error *err)
{
	uint64_t partition, len;
	struct vd_span mount;

	if (!get_number(&s, &partition) || partition > UINT32_MAX || !get_number(&s, &len) ||
	    len > VD_INDEX_PATH_MAX / 2 || !get_bytes(&s, len, &mount) || s.len)
		return broken(reader, "a section's head isn't a partition and a mount point", err);
	if (len && (mount.p[0] != '/' || !is_text((const char *)mount.p, mount.len)))
		return broken(reader, "a mount point that isn't an absolute path", err);
	while (mount.len && mount.p[mount.len - 1] == '/')
		mount.len--;
	memcpy(reader->full, mount.p, mount.len);
	reader->mount_len = mount.len;
	reader->partition = (uint32_t)partition;
	reader->last[0] = '\0';
	reader->n_sections++;
	return 0;
}

/* The path that follows from the one before in the chunk; checked. */
static int read_path(struct vd_index_reader *reader, struct vd_span *s, struct vd_error *err)
{
	char *path = reader->full + reader->mount_len;
	struct vd_span suffix;
	uint64_t shared, len;

	if (!get_number(s, &shared) || shared > reader->path_len || !get_number(s, &len) ||
	    len >= VD_INDEX_PATH_MAX - shared || !get_bytes(s, len, &suffix))
		return broken(reader, "a path that doesn't continue the one before", err);
	memcpy(path + shared, suffix.p, suffix.len);
	reader->path_len = (size_t)(shared + len);
	path[reader->path_len] = '\0';
	if (path[0] != '/' || !is_text(path, reader->path_len))
		return broken(reader, "a path that isn't absolute, or isn't text", err);
	if (vd_index_compare(reader->last, path) > 0)
		return broken(reader, "paths that aren't in order", err);
	memcpy(reader->last, path, reader->path_len + 1);
	return 0;
}

static int read_entries(struct vd_index_reader *reader, struct vd_span s, struct vd_error *err)
{
	uint32_t n = vd_get32(reader->chunk.n_entries);
	uint64_t mtime = 0, delta;
	int rc = 0;

	if (!reader->n_sections)
		return broken(reader, "entries before a section", err);
	reader->path_len = 0;
	for (uint32_t i = 0; i < n && !rc; i++) {
		struct vd_indexed_file file = {.partition = reader->partition};
		struct vd_span kind, digest = {NULL, 0};

		rc = read_path(reader, &s, err);
		if (rc)
			return rc;
		if (!get_bytes(&s, 1, &kind) || kind.p[0] > 7 || !get_number(&s, &file.file_size) ||
		    !get_number(&s, &delta) || ((kind.p[0] & 4) && !get_bytes(&s, 32, &digest)))
			return broken(reader, "an entry that is cut off", err);
		mtime += delta >> 1 ^ (0 - (delta & 1));
		file.path = reader->full;
		file.type = kind.p[0] & 3u;
		file.mtime = (int64_t)mtime;
		file.sha256 = digest.p;
		reader->n_entries++;
		rc = reader->fn(reader->user, &file);
	}
	if (!rc && s.len)
		return broken(reader, "bytes behind the last entry of a chunk", err);
	return rc;
}

static int read_end(struct vd_index_reader *reader, struct vd_span s, struct vd_error *err)
{
	uint64_t n_sections, n_entries;

	if (!get_number(&s, &n_sections) || !get_number(&s, &n_entries) || s.len ||
	    n_sections != reader->n_sections || n_entries != reader->n_entries)
		return broken(reader, "its end counts other entries than there were", err);
	return 0;
}

/* ---- chunk by chunk ---- */

static int inflate_chunk(struct vd_index_reader *reader, struct vd_error *err)
{
	z_stream z = {.zalloc = zlib_alloc, .zfree = zlib_free};
	uint32_t raw_len = vd_get32(reader->chunk.raw_len);
	bool is_right;

	if (inflateInit(&z) != Z_OK)
		return vd_no_memory(err, 0, "inflating the file index");
	z.next_in = reader->stored;
	z.avail_in = (unsigned int)reader->have;
	z.next_out = reader->raw;
	z.avail_out = raw_len;
	is_right = inflate(&z, Z_FINISH) == Z_STREAM_END && !z.avail_in && z.total_out == raw_len;
	inflateEnd(&z);
	return is_right ? 0 : broken(reader, "a chunk doesn't inflate to its length", err);
}

static int take_header(struct vd_index_reader *reader, struct vd_error *err)
{
	struct vd_index_header head;

	memcpy(&head, reader->stored, sizeof(head));
	if (memcmp(head.magic, VD_INDEX_MAGIC, sizeof(head.magic)) != 0)
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "file index: it doesn't begin with " VD_INDEX_MAGIC);
	if (vd_get32(head.version) != 1)
		return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
				    "file index: version %u, this library reads 1",
				    vd_get32(head.version));
	return 0;
}

static int take_chunk(struct vd_index_reader *reader, struct vd_error *err)
{
	uint32_t kind, stored, raw;

	memcpy(&reader->chunk, reader->stored, sizeof(reader->chunk));
	kind = vd_get32(reader->chunk.kind);
	stored = vd_get32(reader->chunk.stored_len);
	raw = vd_get32(reader->chunk.raw_len);
	if (kind < VD_INDEX_SECTION || kind > VD_INDEX_END)
		return broken(reader, "a chunk of no known kind", err);
	if (!stored || stored > VD_INDEX_STORED_MAX || raw > VD_INDEX_CHUNK_MAX)
		return broken(reader, "a chunk that is too long", err);
	reader->wanted = stored;
	return 0;
}

static int take_body(struct vd_index_reader *reader, struct vd_error *err)
{
	struct vd_span raw = vd_span(reader->raw, vd_get32(reader->chunk.raw_len));
	int rc = inflate_chunk(reader, err);

	if (rc)
		return rc;
	switch (vd_get32(reader->chunk.kind)) {
	case VD_INDEX_SECTION:
		return read_section(reader, raw, err);
	case VD_INDEX_ENTRIES:
		return read_entries(reader, raw, err);
	default:
		return read_end(reader, raw, err);
	}
}

/* What was awaited is here. */
static int advance(struct vd_index_reader *reader, struct vd_error *err)
{
	int rc = 0;

	switch (reader->awaited) {
	case HEADER:
		rc = take_header(reader, err);
		reader->awaited = CHUNK;
		reader->wanted = sizeof(struct vd_index_chunk);
		break;
	case CHUNK:
		rc = take_chunk(reader, err);
		reader->awaited = BODY;
		break;
	case BODY:
		rc = take_body(reader, err);
		reader->awaited = vd_get32(reader->chunk.kind) == VD_INDEX_END ? NOTHING : CHUNK;
		reader->wanted = sizeof(struct vd_index_chunk);
		break;
	case NOTHING:
		break;
	}
	reader->have = 0;
	return rc;
}

int vd_index_reader_open(struct vd_index_reader **out, vd_index_fn fn, void *user,
			 struct vd_error *err)
{
	struct vd_index_reader *reader = vd_calloc(1, sizeof(*reader));

	*out = reader;
	if (!reader)
		return vd_no_memory(err, sizeof(*reader), "reading the file index");
	reader->fn = fn;
	reader->user = user;
	reader->awaited = HEADER;
	reader->wanted = sizeof(struct vd_index_header);
	return 0;
}

void vd_index_reader_close(struct vd_index_reader *reader)
{
	vd_free(reader);
}

int vd_index_feed(struct vd_index_reader *reader, const void *bytes, size_t len,
		  struct vd_error *err)
{
	struct vd_span s = vd_span(bytes, len);
	int rc = 0;

	while (s.len && !rc) {
		size_t n = (size_t)vd_min64(s.len, reader->wanted - reader->have);

		if (reader->awaited == NOTHING)
			return broken(reader, "bytes behind its end", err);
		memcpy(reader->stored + reader->have, s.p, n);
		reader->have += n;
		s.p += n;
		s.len -= n;
		if (reader->have == reader->wanted)
			rc = advance(reader, err);
	}
	return rc;
}

int vd_index_end(struct vd_index_reader *reader, struct vd_error *err)
{
	return reader->awaited == NOTHING ? 0 : broken(reader, "it is cut off", err);
}
