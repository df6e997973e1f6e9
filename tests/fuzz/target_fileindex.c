/* SPDX-License-Identifier: MIT */
/*
 * The file index. Input: a byte of flags, then bytes as they come, or chunks (kind, number of
 * entries, two bytes of length, content) that are deflated and framed here, so that what is inside
 * is reached. Property: entries are absolute paths in UTF-8, in order within their file system; it
 * doesn't matter how the bytes are cut; and what is accepted goes through the writer and comes
 * back.
 */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "fuzz.h"
#include "image/fileindex.h"

struct entries {
	uint64_t hash, n;
	uint32_t partition;
	char last[2 * VD_INDEX_PATH_MAX];
	struct vd_index_writer *writer;
	bool is_unwritable;
};

static void mix(struct entries *entries, const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		entries->hash = (entries->hash ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3u;
}

static int take(void *user, const struct vd_indexed_file *file)
{
	struct entries *entries = user;

	FUZZ_CHECK(file->path[0] == '/' && fuzz_is_utf8(file->path), "no path");
	FUZZ_CHECK(strlen(file->path) < sizeof(entries->last), "too long a path");
	mix(entries, file->path, strlen(file->path) + 1);
	mix(entries, &file->file_size, sizeof(file->file_size));
	mix(entries, &file->mtime, sizeof(file->mtime));
	mix(entries, &file->type, sizeof(file->type));
	if (file->sha256)
		mix(entries, file->sha256, 32);
	/* One section is enough to write again: its entries are in order. */
	if (entries->n++ && entries->partition != file->partition)
		entries->is_unwritable = true;
	entries->partition = file->partition;
	if (entries->writer && !entries->is_unwritable) {
		entries->is_unwritable = vd_index_compare(entries->last, file->path) > 0 ||
					 strlen(file->path) >= VD_INDEX_PATH_MAX;
		strcpy(entries->last, file->path);
	}
	if (entries->writer && !entries->is_unwritable)
		FUZZ_CHECK(vd_index_add(entries->writer, file, NULL) == 0, "can't be written");
	return 0;
}

static int read_all(const uint8_t *bytes, size_t len, size_t piece, struct entries *entries)
{
	struct vd_index_reader *reader;
	int rc = vd_index_reader_open(&reader, take, entries, NULL);

	for (size_t at = 0; at < len && !rc; at += piece)
		rc = vd_index_feed(reader, bytes + at, len - at < piece ? len - at : piece, NULL);
	if (!rc)
		rc = vd_index_end(reader, NULL);
	vd_index_reader_close(reader);
	return rc;
}

static void check_index(const uint8_t *bytes, size_t len)
{
	struct entries *whole = calloc(1, sizeof(*whole)), *cut = calloc(1, sizeof(*cut)),
		       *again = calloc(1, sizeof(*again));
	const uint8_t *written;
	size_t n;
	int rc;

	FUZZ_CHECK(whole && cut && again, "no memory");
	FUZZ_CHECK(!vd_index_writer_open(&whole->writer, 0, true, VD_INDEX_MAX, NULL) &&
		       !vd_index_begin(whole->writer, 0, "", NULL),
		   "no writer");
	rc = read_all(bytes, len, len ? len : 1, whole);
	FUZZ_CHECK(rc == 0 || rc == VD_ECORRUPT || rc == VD_EUNSUPPORTED, "answer %d", rc);
	FUZZ_CHECK(read_all(bytes, len, 13, cut) == rc && cut->hash == whole->hash,
		   "pieces make another index");
	if (!rc && !whole->is_unwritable) {
		FUZZ_CHECK(!vd_index_finish(whole->writer, &written, &n, NULL), "not finished");
		FUZZ_CHECK(!read_all(written, n, 4096, again) && again->hash == whole->hash,
			   "another index came back");
		if (whole->n)
			fuzz_deep();
	}
	vd_index_writer_close(whole->writer);
	free(whole);
	free(cut);
	free(again);
}

static size_t put_chunk(uint8_t *to, size_t room, uint32_t kind, uint32_t n, const uint8_t *raw,
			size_t raw_len)
{
	struct vd_index_chunk head;
	uLongf len = room - sizeof(head);

	FUZZ_CHECK(compress2(to + sizeof(head), &len, raw, raw_len, 1) == Z_OK, "no room");
	head.kind = vd_put32(kind);
	head.n_entries = vd_put32(n);
	head.raw_len = vd_put32((uint32_t)raw_len);
	head.stored_len = vd_put32((uint32_t)len);
	memcpy(to, &head, sizeof(head));
	return sizeof(head) + len;
}

static void run(const uint8_t *data, size_t size)
{
	struct feed feed = {data, size};
	uint64_t flags = feed_int(&feed, 1), n_entries = 0;
	uint8_t raw[1024], bytes[65536], end[12], n_sections = 0;
	struct vd_index_header head = {.version = vd_put32(1)};
	size_t len = sizeof(head), n = 0;

	if (flags & 1) {
		uint8_t *exact = fuzz_exact(feed.p, feed.n);

		check_index(exact, feed.n);
		free(exact);
		return;
	}
	memcpy(head.magic, VD_INDEX_MAGIC, sizeof(head.magic));
	memcpy(bytes, &head, sizeof(head));
	for (int i = 0; i < 16 && feed.n; i++) {
		uint32_t kind = (uint32_t)feed_int(&feed, 1), count = (uint32_t)feed_int(&feed, 1);
		size_t raw_len = feed_bytes(&feed, raw, feed_int(&feed, 2) % sizeof(raw));

		n_sections = (uint8_t)(n_sections + (kind == VD_INDEX_SECTION));
		n_entries += kind == VD_INDEX_ENTRIES ? count : 0;
		len += put_chunk(bytes + len, sizeof(bytes) - len, kind, count, raw, raw_len);
	}
	/* The end counts what there was, unless the input brings one of its own. */
	if (!(flags & 2)) {
		end[n++] = n_sections & 0x7f;
		for (; n_entries >= 0x80; n_entries >>= 7)
			end[n++] = (uint8_t)(n_entries | 0x80);
		end[n++] = (uint8_t)n_entries;
		len += put_chunk(bytes + len, sizeof(bytes) - len, VD_INDEX_END, 0, end, n);
	}
	check_index(bytes, len);
}

#define SECTION "\1\0\3\0\2\1/"
static void seed(void)
{
	static const char entries[] = SECTION "\2\3\43\0\0\2/a\2\0\2\2\2/b\1\5\3\1\2.c\5\7\1"
					      "0123456789abcdef0123456789abcdef";
	static const char *const names[] = {"whole", "raw", "no-end"};
	char bytes[sizeof(entries)];

	for (int i = 0; i < 3; i++) {
		bytes[0] = (char)i;
		memcpy(bytes + 1, entries, sizeof(entries) - 1);
		bytes[1 + 7 + 2] = (char)(sizeof(entries) - 1 - 7 - 4);
		fuzz_seed(names[i], bytes, sizeof(entries));
	}
	fuzz_seed("plain", "\0" SECTION "\2\1\7\0\0\2/a\1\0\0", 19);
	fuzz_seed("folder", "\0" SECTION "\2\2\16\0\0\2/a\2\0\0\2\2/b\1\3\1", 26);
	fuzz_seed("numbers", "\0" SECTION "\2\1\14\0\0\2/a\1\377\377\377\1\377\177", 24);
	fuzz_seed("odd-type", "\0" SECTION "\2\1\7\0\0\2/a\0\0\0", 19);
	fuzz_seed("link", "\0" SECTION "\2\1\11\0\0\4/bin\3\7\2", 21);
	fuzz_seed("empty", "\0", 1);
	fuzz_seed("section", "\0" SECTION, 8);
	fuzz_seed("two", "\0" SECTION "\2\1\7\0\0\2/a\1\0\0" SECTION "\2\1\7\0\0\2/a\1\0\0", 37);
	fuzz_seed("no-section", "\0\2\1\7\0\0\2/a\1\0\0", 12);
	fuzz_seed("far", "\0" SECTION "\2\1\7\0\0\377\377\177/a\1", 19);
	fuzz_seed("shared", "\0" SECTION "\2\2\14\0\0\2/a\1\0\0\3\0\1\0\0", 24);
	fuzz_seed("order", "\0" SECTION "\2\2\16\0\0\2/b\1\0\0\0\2/a\1\0\0", 26);
	fuzz_seed("text", "\0" SECTION "\2\1\7\0\0\2/\n\1\0\0", 19);
	fuzz_seed("raw-magic", "\1VDFILES1\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2\0\0\0", 29);
	fuzz_seed("raw-long",
		  "\1VDFILES1\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2\0\0\0\1\0\0\0"
		  "\377\377\377\377\377\377\377\377",
		  41);
}

const struct fuzz_target fuzz_fileindex = {
    .name = "fileindex", .run = run, .seed = seed, .max_memory = 4u << 20};
