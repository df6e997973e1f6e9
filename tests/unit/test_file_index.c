/* SPDX-License-Identifier: MIT */
/* The file index: what is written comes back, in order; what is broken is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "image/fileindex.h"

static struct vd_error err;

/* An index of `n` files in two file systems, the second mounted at /boot. */
static struct vd_index_writer *write_index(size_t n, size_t max, const uint8_t **bytes, size_t *len)
{
	struct vd_index_writer *writer;
	int rc = vd_index_writer_open(&writer, 1700000000, true, max, &err);

	assert_int_equal(rc, 0);
	for (uint32_t part = 1; part <= 2 && !rc; part++) {
		rc = vd_index_begin(writer, part, part == 2 ? "/boot" : "/", &err);
		for (size_t i = 0; i < n && !rc; i++) {
			uint8_t digest[32];
			char path[64];
			struct vd_indexed_file file = {.path = path,
						       .file_size = i * i * i,
						       .mtime = (int64_t)(i % 7) * 1000000000 - 9,
						       .type = (uint32_t)(i % 4)};

			memset(digest, (int)(i & 255), sizeof(digest));
			snprintf(path, sizeof(path), "/dir%04zu/file-%zu", i / 10, i % 10);
			file.sha256 = i % 4 == 1 ? digest : NULL;
			rc = vd_index_add(writer, &file, &err);
		}
	}
	if (!rc)
		rc = vd_index_finish(writer, bytes, len, &err);
	if (rc) {
		vd_index_writer_close(writer);
		return NULL;
	}
	return writer;
}

struct back {
	size_t n, per_section;
};

static int compare_entry(void *user, const struct vd_indexed_file *file)
{
	struct back *back = user;
	size_t i = back->n % back->per_section;
	bool is_second = back->n >= back->per_section;
	char path[80];

	snprintf(path, sizeof(path), "%s/dir%04zu/file-%zu", is_second ? "/boot" : "", i / 10,
		 i % 10);
	assert_string_equal(file->path, path);
	assert_int_equal(file->partition, is_second ? 2 : 1);
	assert_int_equal(file->file_size, i * i * i);
	assert_int_equal(file->mtime, (int64_t)(i % 7) * 1000000000 - 9);
	assert_int_equal(file->type, i % 4);
	assert_int_equal(file->sha256 != NULL, i % 4 == 1);
	if (file->sha256)
		assert_int_equal(file->sha256[31], i & 255);
	back->n++;
	return 0;
}

/* Read an index that comes in pieces. */
static int read_index(const uint8_t *bytes, size_t len, size_t piece, vd_index_fn fn, void *user)
{
	struct vd_index_reader *reader;
	int rc = vd_index_reader_open(&reader, fn, user, &err);

	for (size_t at = 0; at < len && !rc; at += piece)
		rc = vd_index_feed(reader, bytes + at, len - at < piece ? len - at : piece, &err);
	if (!rc)
		rc = vd_index_end(reader, &err);
	vd_index_reader_close(reader);
	return rc;
}

static void entries_come_back_however_they_are_cut(void **state)
{
	static const size_t pieces[] = {1, 7, 4096, 1 << 20};
	const uint8_t *bytes;
	size_t len;
	struct vd_index_writer *writer = write_index(6000, VD_INDEX_MAX, &bytes, &len);

	(void)state;
	assert_non_null(writer);
	for (size_t i = 0; i < 4; i++) {
		struct back back = {0, 6000};

		if (read_index(bytes, len, pieces[i], compare_entry, &back))
			fail_msg("%s", err.text);
		assert_int_equal(back.n, 12000);
	}
	vd_index_writer_close(writer);
}

static int ignore(void *user, const struct vd_indexed_file *file)
{
	(void)file;
	++*(int *)user;
	return 0;
}

static void index_without_entries_is_one(void **state)
{
	const uint8_t *bytes;
	size_t len;
	struct vd_index_writer *writer = write_index(0, VD_INDEX_MAX, &bytes, &len);
	int n = 0;

	(void)state;
	assert_int_equal(read_index(bytes, len, len, ignore, &n), 0);
	assert_int_equal(n, 0);
	vd_index_writer_close(writer);
}

static void each_cut_is_noticed(void **state)
{
	const uint8_t *bytes;
	size_t len;
	struct vd_index_writer *writer = write_index(50, VD_INDEX_MAX, &bytes, &len);

	(void)state;
	for (size_t cut = 0; cut < len; cut++) {
		int n = 0;

		assert_int_equal(read_index(bytes, cut, 4096, ignore, &n), VD_ECORRUPT);
	}
	vd_index_writer_close(writer);
}

static void bytes_behind_the_end_are_refused(void **state)
{
	const uint8_t *bytes;
	size_t len;
	struct vd_index_writer *writer = write_index(5, VD_INDEX_MAX, &bytes, &len);
	uint8_t *longer = malloc(len + 1);
	int n = 0;

	(void)state;
	memcpy(longer, bytes, len);
	longer[len] = 0;
	assert_int_equal(read_index(longer, len + 1, len + 1, ignore, &n), VD_ECORRUPT);
	free(longer);
	vd_index_writer_close(writer);
}

static void index_over_its_bound_is_refused(void **state)
{
	const uint8_t *bytes;
	size_t len;

	(void)state;
	assert_null(write_index(60000, 200000, &bytes, &len));
	assert_int_equal(err.code, VD_ENOSPC);
	assert_non_null(strstr(err.text, "files fitted"));
}

/* ---- wrong ones, made by hand ---- */

static size_t put_chunk(uint8_t *to, uint32_t kind, uint32_t n, const void *raw, size_t raw_len)
{
	struct vd_index_chunk head;
	uLongf len = 4000;

	assert_int_equal(compress(to + sizeof(head), &len, raw, raw_len), Z_OK);
	head.kind = vd_put32(kind);
	head.n_entries = vd_put32(n);
	head.raw_len = vd_put32((uint32_t)raw_len);
	head.stored_len = vd_put32((uint32_t)len);
	memcpy(to, &head, sizeof(head));
	return sizeof(head) + len;
}

/* An index whose one chunk of entries holds these bytes. */
static int read_entries(const char *mount, uint32_t n, const void *raw, size_t raw_len)
{
	static const uint8_t head[24] = VD_INDEX_MAGIC "\1";
	uint8_t bytes[16384], section[64];
	uint8_t end[2] = {1, (uint8_t)n};
	size_t len = sizeof(head);
	int calls = 0;

	memcpy(bytes, head, sizeof(head));
	section[0] = 1;
	section[1] = (uint8_t)strlen(mount);
	memcpy(section + 2, mount, strlen(mount));
	len += put_chunk(bytes + len, VD_INDEX_SECTION, 0, section, 2 + strlen(mount));
	len += put_chunk(bytes + len, VD_INDEX_ENTRIES, n, raw, raw_len);
	len += put_chunk(bytes + len, VD_INDEX_END, 0, end, 2);
	return read_index(bytes, len, len, ignore, &calls);
}

static void wrong_entries_are_refused(void **state)
{
	static const struct {
		const char *raw;
		size_t len;
		uint32_t n;
		const char *why;
	} wrong[] = {
	    {"\1\2/a\1\0\0", 7, 1, "continue"},
	    {"\0\2a/\1\0\0", 7, 1, "absolute"},
	    {"\0\2/\n\1\0\0", 7, 1, "text"},
	    {"\0\2/\xff\1\0\0", 7, 1, "text"},
	    {"\0\2/\0\1\0\0", 7, 1, "text"},
	    {"\0\2/b\1\0\0\0\2/a\1\0\0", 14, 2, "order"},
	    {"\0\4/a.c\1\0\0\0\4/a/b\1\0\0", 18, 2, "order"},
	    {"\0\2/a\5\0\0short", 12, 1, "cut off"},
	    {"\0\2/a\10\0\0", 7, 1, "cut off"},
	    {"\0\2/a\1\0\0\0", 8, 1, "behind"},
	    {"\0\2/a\1\0\0", 7, 2, "continue"},
	    {"\0\2/a\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\2\0", 16, 1, "cut off"},
	    {"\0\xff\xff\x7f", 4, 1, "continue"},
	};

	(void)state;
	assert_int_equal(read_entries("/", 1, "\0\2/a\1\0\0", 7), 0);
	assert_int_equal(read_entries("", 2, "\0\4/a/b\1\0\0\0\4/a.c\1\0\0", 18), 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(read_entries("/", wrong[i].n, wrong[i].raw, wrong[i].len),
				 VD_ECORRUPT);
		if (!strstr(err.text, wrong[i].why))
			fail_msg("%zu: %s", i, err.text);
	}
	assert_int_equal(read_entries("boot", 1, "\0\2/a\1\0\0", 7), VD_ECORRUPT);
	assert_int_equal(read_entries("/\033", 1, "\0\2/a\1\0\0", 7), VD_ECORRUPT);
}

static void lengths_are_bounded_before_they_are_believed(void **state)
{
	uint8_t bytes[40] = VD_INDEX_MAGIC "\1";
	int n = 0;

	(void)state;
	bytes[24] = VD_INDEX_ENTRIES;
	memset(bytes + 32, 0xff, 8);
	assert_int_equal(read_index(bytes, sizeof(bytes), 40, ignore, &n), VD_ECORRUPT);
	assert_non_null(strstr(err.text, "too long"));
	bytes[8] = 2;
	assert_int_equal(read_index(bytes, sizeof(bytes), 40, ignore, &n), VD_EUNSUPPORTED);
	bytes[0] = 'x';
	assert_int_equal(read_index(bytes, sizeof(bytes), 40, ignore, &n), VD_ECORRUPT);
}

static void order_is_that_of_names(void **state)
{
	(void)state;
	assert_true(vd_index_compare("/a", "/a/b") < 0);
	assert_true(vd_index_compare("/a/b", "/a.c") < 0);
	assert_true(vd_index_compare("/a.c", "/a/b") > 0);
	assert_true(vd_index_compare("/a", "/a") == 0);
	assert_true(vd_index_compare("/a\xff", "/a/z") > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(entries_come_back_however_they_are_cut),
	    cmocka_unit_test(index_without_entries_is_one),
	    cmocka_unit_test(each_cut_is_noticed),
	    cmocka_unit_test(bytes_behind_the_end_are_refused),
	    cmocka_unit_test(index_over_its_bound_is_refused),
	    cmocka_unit_test(wrong_entries_are_refused),
	    cmocka_unit_test(lengths_are_bounded_before_they_are_believed),
	    cmocka_unit_test(order_is_that_of_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
