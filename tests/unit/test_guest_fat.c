/* SPDX-License-Identifier: MIT */
/* The FAT and exFAT readers, through their tables: names, chains, free space, and what hostile
 * volumes may not do to them. Volumes that mtools wrote are read by tests/meta/guest_fat.sh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <vdisk/disk.h>

#include "guest/guest_fs.h"
#include "guestgen.h"

/* An open volume. */
struct volume {
	const struct vd_guest_fs_ops *ops;
	struct vd_disk *disk;
	void *fs;
	uint64_t root;
};

static const enum guest_kind kinds[] = {GUEST_FAT12, GUEST_FAT16, GUEST_FAT32, GUEST_EXFAT};
#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void open_volume(struct volume *v, const struct guestgen *g)
{
	struct vd_filesystem info = {.type = "vfat"};
	struct vd_guest_view view;
	struct vd_error err = VD_ERROR_INIT;

	v->ops = g->kind == GUEST_EXFAT ? &vd_guest_exfat_ops : &vd_guest_fat_ops;
	v->disk = guestgen_open(g);
	assert_non_null(v->disk);
	assert_int_equal(vd_guest_view_init(&view, v->disk, 0, g->len, NULL), 0);
	if (v->ops->open(&v->fs, &view, &info, &v->root, &err) != 0)
		fail_msg("%s", err.text);
}

static void close_volume(struct volume *v)
{
	v->ops->close(v->fs);
	vd_disk_close(v->disk, NULL);
}

static int append_name(void *user, const char *name, uint64_t inode, enum vd_file_type type)
{
	char *text = user;

	(void)inode;
	snprintf(text + strlen(text), 2000 - strlen(text), "%s%s|", name,
		 type == VD_FILE_FOLDER ? "/" : "");
	return 0;
}

static uint64_t look_up(struct volume *v, uint64_t folder, const char *name)
{
	uint64_t inode = 0;

	if (v->ops->lookup(v->fs, folder, name, &inode, NULL) != 0)
		fail_msg("%s isn't found", name);
	return inode;
}

static const char *long_name(const struct guestgen *g)
{
	return g->kind == GUEST_EXFAT ? "a long name in pieces" : GUEST_LONG;
}

static void lists_folders(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_KINDS; i++) {
		char names[2000] = "";
		struct guestgen g;
		struct volume v;

		guestgen_make(&g, kinds[i]);
		open_volume(&v, &g);
		assert_int_equal(v.ops->list(v.fs, v.root, append_name, names, NULL), 0);
		assert_string_equal(names, kinds[i] == GUEST_EXFAT
					       ? "HELLO.TXT|a long name in pieces|folder/|"
					       : "HELLO.TXT|" GUEST_LONG "|EMPTY|FOLDER/|");
		names[0] = '\0';
		assert_int_equal(
		    v.ops->list(v.fs, look_up(&v, v.root, "folder"), append_name, names, NULL), 0);
		assert_string_equal(names, "inner.txt|");
		assert_int_equal(
		    v.ops->list(v.fs, look_up(&v, v.root, "hello.txt"), append_name, names, NULL),
		    VD_EINVAL);
		close_volume(&v);
		guestgen_free(&g);
	}
}

static void tells_what_files_are(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_KINDS; i++) {
		struct vd_file_info info;
		struct guestgen g;
		struct volume v;
		uint64_t inode;

		guestgen_make(&g, kinds[i]);
		open_volume(&v, &g);
		inode = look_up(&v, v.root, long_name(&g));
		assert_int_equal(v.ops->info(v.fs, inode, &info, NULL), 0);
		assert_int_equal(info.type, VD_FILE_REGULAR);
		assert_int_equal(info.size, GUEST_LONG_LEN);
		assert_int_equal(info.inode, inode);
		/* 2024-02-29 12:34:56; exFAT's was written an hour east of UTC. */
		assert_int_equal(info.mtime, kinds[i] == GUEST_EXFAT ? 1709206496 : 1709210096);
		assert_int_equal(v.ops->info(v.fs, v.root, &info, NULL), 0);
		assert_int_equal(info.type, VD_FILE_FOLDER);
		inode = look_up(&v, look_up(&v, v.root, "FOLDER"), "INNER.TXT");
		assert_int_equal(v.ops->info(v.fs, inode, &info, NULL), 0);
		assert_int_equal(info.size, 5);
		assert_true(v.ops->info(v.fs, inode + 5, &info, NULL) < 0);
		assert_true(v.ops->info(v.fs, UINT64_MAX, &info, NULL) < 0);
		assert_true(v.ops->info(v.fs, UINT64_MAX >> 2, &info, NULL) < 0);
		close_volume(&v);
		guestgen_free(&g);
	}
}

static void lookups_ignore_case_and_know_short_names(void **state)
{
	struct guestgen g;
	struct volume v;
	uint64_t inode;

	(void)state;
	guestgen_make(&g, GUEST_FAT16);
	open_volume(&v, &g);
	inode = look_up(&v, v.root, GUEST_LONG);
	assert_int_equal(
	    look_up(&v, v.root, "a LONGER name, with \xc3\xbcMLAUT \xf0\x9f\x98\x80.TXT"), inode);
	assert_int_equal(look_up(&v, v.root, "alonge~1.txt"), inode);
	assert_int_equal(v.ops->lookup(v.fs, v.root, "\xe5LD.TXT", &inode, NULL), VD_ENOENT);
	assert_int_equal(v.ops->lookup(v.fs, v.root, "HELLO", &inode, NULL), VD_ENOENT);
	assert_int_equal(v.ops->lookup(v.fs, v.root, "LABEL", &inode, NULL), VD_ENOENT);
	close_volume(&v);
	guestgen_free(&g);
}

static void reads_files_in_pieces(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_KINDS; i++) {
		uint8_t bytes[2000], *end;
		struct guestgen g;
		struct volume v;
		uint64_t inode;
		size_t n;

		guestgen_make(&g, kinds[i]);
		/* What an earlier file has left behind the end of this one is nobody's to read. */
		end = memmem(g.bytes, g.len, "hello world", 11);
		assert_non_null(end);
		memset(end + 11, 0xee, 89);
		open_volume(&v, &g);
		inode = look_up(&v, v.root, long_name(&g));
		assert_int_equal(v.ops->read(v.fs, inode, bytes, sizeof(bytes), 0, &n, NULL), 0);
		assert_int_equal(n, GUEST_LONG_LEN);
		for (size_t k = 0; k < n; k++)
			assert_int_equal(bytes[k], guestgen_byte(k));
		for (size_t at = GUEST_LONG_LEN + 100; at > 0; at -= 100) {
			assert_int_equal(v.ops->read(v.fs, inode, bytes, 90, at, &n, NULL), 0);
			assert_int_equal(n, at >= GUEST_LONG_LEN       ? 0
					    : GUEST_LONG_LEN - at < 90 ? GUEST_LONG_LEN - at
								       : 90);
			for (size_t k = 0; k < n; k++)
				assert_int_equal(bytes[k], guestgen_byte(at + k));
		}
		inode = look_up(&v, v.root, "hello.txt");
		memset(bytes, 0x55, sizeof(bytes));
		assert_int_equal(v.ops->read(v.fs, inode, bytes, sizeof(bytes), 0, &n, NULL), 0);
		assert_memory_equal(bytes, "hello world", 11);
		assert_int_equal(n, kinds[i] == GUEST_EXFAT ? 100 : 11);
		for (size_t k = 11; k < n; k++)
			assert_int_equal(bytes[k], 0);
		assert_int_equal(
		    v.ops->read(v.fs, look_up(&v, v.root, "folder"), bytes, 10, 0, &n, NULL),
		    VD_EINVAL);
		close_volume(&v);
		guestgen_free(&g);
	}
}

static int mark_free(void *user, uint64_t start, uint64_t length)
{
	uint8_t *is_free = user;

	assert_int_equal(start % 512, 0);
	assert_int_equal(length % 512, 0);
	assert_true(length > 0);
	for (uint64_t i = 0; i < length / 512; i++)
		assert_int_equal(is_free[start / 512 + i]++, 0);
	return 0;
}

static int count_stretch(void *user, uint64_t start, uint64_t length)
{
	(void)start;
	(void)length;
	return ++*(int *)user == 2 ? 77 : 0;
}

static void free_space_is_what_no_file_has(void **state)
{
	static const uint8_t used[] = {10, 20, 25, 30, 40, 41};

	(void)state;
	for (size_t i = 0; i < N_KINDS; i++) {
		uint8_t is_free[8192] = {0};
		struct guestgen g;
		struct volume v;
		int n = 0;

		guestgen_make(&g, kinds[i]);
		open_volume(&v, &g);
		assert_int_equal(v.ops->free_space(v.fs, mark_free, is_free, NULL), 0);
		for (uint32_t c = 2; guestgen_cluster(&g, c) < g.len; c++) {
			bool is_used = memchr(used, (int)c, sizeof(used)) && c < 256;

			is_used |= kinds[i] == GUEST_FAT32 && c == 2;
			is_used |= kinds[i] == GUEST_EXFAT && c >= 2 && c <= 4;
			assert_int_equal(is_free[guestgen_cluster(&g, c) / 512], !is_used);
		}
		for (size_t s = 0; s < g.heap / 512; s++)
			assert_int_equal(is_free[s], 0);
		/* Whoever listens may have had enough. */
		assert_int_equal(v.ops->free_space(v.fs, count_stretch, &n, NULL), 77);
		assert_int_equal(n, 2);
		close_volume(&v);
		guestgen_free(&g);
	}
}

static void fats_that_disagree_give_no_free_space(void **state)
{
	struct vd_error err = VD_ERROR_INIT;
	struct guestgen g;
	struct volume v;
	uint8_t is_free[8192] = {0};

	(void)state;
	guestgen_make(&g, GUEST_FAT16);
	guestgen_put(&g, g.fat + 17 * 512 + 2 * 50, 0xffff, 2);
	open_volume(&v, &g);
	assert_int_equal(v.ops->free_space(v.fs, mark_free, is_free, &err), VD_ECORRUPT);
	assert_string_equal(err.text, "the two FATs disagree about cluster 50");
	close_volume(&v);
	guestgen_free(&g);
}

static void a_volume_beyond_its_partition_gives_no_free_space(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_KINDS; i++) {
		uint8_t is_free[8192] = {0};
		struct guestgen g;
		struct volume v;

		guestgen_make(&g, kinds[i]);
		g.len -= 512;
		open_volume(&v, &g);
		assert_int_equal(v.ops->free_space(v.fs, mark_free, is_free, NULL), VD_ECORRUPT);
		close_volume(&v);
		guestgen_free(&g);
	}
}

/* Chains that lead elsewhere, where a file's length wants them to go on. */
static void broken_chains_are_told(void **state)
{
	static const struct {
		uint32_t cluster, next;
		const char *text;
	} cases[] = {
	    {25, 20, "back into itself"},
	    {20, 20, "back into itself"},
	    {30, 20, "back into itself"},
	    {25, 0, "no cluster"},
	    {25, 1, "no cluster"},
	    {20, 0xf00, "no cluster"},
	    {20, 0xfff, "ends after 1 clusters"},
	    {25, 0xfff, "ends after 3 clusters"},
	};

	(void)state;
	for (size_t i = 0; i < N_KINDS; i++) {
		for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
			struct vd_error err = VD_ERROR_INIT;
			uint32_t next = cases[k].next;
			uint8_t bytes[60000];
			struct guestgen g;
			struct volume v;
			size_t n;

			guestgen_make(&g, kinds[i]);
			if (next >= 0xf00 && g.bits > 12) /* ends and such have more digits there */
				next = (g.bits == 16 ? 0xf000u : 0xfffff000u) | next;
			guestgen_chain(&g, cases[k].cluster, next);
			/* The length, of the third set or of the fifth entry behind the label. */
			if (kinds[i] == GUEST_EXFAT) {
				guestgen_put(&g, g.root + 64 + 96 + 32 + 8, 50000, 8);
				guestgen_put(&g, g.root + 64 + 96 + 32 + 24, 50000, 8);
				guestgen_seal(&g);
			} else {
				guestgen_put(&g, g.root + 6 * 32 + 28, 50000, 4);
			}
			open_volume(&v, &g);
			assert_int_equal(v.ops->read(v.fs, look_up(&v, v.root, long_name(&g)),
						     bytes, sizeof(bytes), 0, &n, &err),
					 VD_ECORRUPT);
			if (!strstr(err.text, cases[k].text))
				fail_msg("%s: %s", cases[k].text, err.text);
			close_volume(&v);
			guestgen_free(&g);
		}
	}
}

static void endless_folders_end(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_KINDS; i++) {
		char names[2000] = "";
		struct guestgen g;
		struct volume v;
		size_t at;

		guestgen_make(&g, kinds[i]);
		at = guestgen_cluster(&g, GUEST_FOLDER);
		for (size_t k = 0; k < 16; k++) {
			if (kinds[i] == GUEST_EXFAT) {
				guestgen_put(&g, at + 32 * k, 0x05, 1); /* unused */
				continue;
			}
			memcpy(g.bytes + at + 32 * k, "AAAAAAAAAAA", 11);
			g.bytes[at + 32 * k + 11] = 0x20;
		}
		guestgen_chain(&g, GUEST_FOLDER, GUEST_FOLDER);
		if (kinds[i] == GUEST_EXFAT) {
			guestgen_put(&g, g.root + 64 + 96 + 128 + 33, 1, 1); /* in a chain */
			guestgen_put(&g, g.root + 64 + 96 + 128 + 40, 5000, 8);
			guestgen_put(&g, g.root + 64 + 96 + 128 + 56, 5000, 8);
			guestgen_seal(&g);
		}
		open_volume(&v, &g);
		assert_int_equal(
		    v.ops->list(v.fs, look_up(&v, v.root, "folder"), append_name, names, NULL),
		    VD_ECORRUPT);
		close_volume(&v);
		guestgen_free(&g);
	}
}

static void list_root(const struct guestgen *g, char names[2000])
{
	struct volume v;

	names[0] = '\0';
	open_volume(&v, g);
	assert_int_equal(v.ops->list(v.fs, v.root, append_name, names, NULL), 0);
	close_volume(&v);
}

/* A long name that doesn't belong, or that nobody may have, gives way to the short one. */
static void wrong_long_names_give_way(void **state)
{
	static const struct {
		size_t part, at;
		uint8_t value;
	} cases[] = {
	    {0, 13, 0x99},                             /* the checksum of another name */
	    {0, 0, 0x42},                              /* the number of another part */
	    {1, 0, 0x03},                              /* a part twice */
	    {2, 0, 0x02},  {2, 13, 0x99}, {2, 1, '/'}, /* "/ longer name" */
	    {0, 11, 0x20},                             /* a part that isn't one */
	};
	char names[2000];
	struct guestgen g;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		guestgen_make(&g, GUEST_FAT16);
		g.bytes[g.root + (3 + cases[i].part) * 32 + cases[i].at] = cases[i].value;
		list_root(&g, names);
		assert_non_null(strstr(names, "ALONGE~1.TXT|"));
		guestgen_free(&g);
	}
}

/* The short ones in the letters of DOS; never a path, never the folder itself. */
static void short_names_are_text(void **state)
{
	char names[2000];
	struct guestgen g;

	(void)state;
	guestgen_make(&g, GUEST_FAT16);
	memcpy(g.bytes + g.root + 32, "\x05\x81\xe1/     \n.", 11);
	list_root(&g, names);
	assert_memory_equal(names, "\xcf\x83\xc3\xbc\xc3\x9f\xef\xbf\xbd.", 10);
	assert_null(strchr(names, '/') < strstr(names, "FOLDER") ? strchr(names, '/') : NULL);
	memcpy(g.bytes + g.root + 32, "..         ", 11);
	list_root(&g, names);
	assert_int_equal(strncmp(names, GUEST_LONG, strlen(GUEST_LONG)), 0);
	guestgen_free(&g);
}

static void wrong_sets_are_told(void **state)
{
	static const struct {
		size_t at;
		uint64_t value;
		int n_bytes;
		bool is_sealed;
		const char *text;
	} cases[] = {
	    {4, 0x21, 2, false, "checksum"},
	    {1, 1, 1, true, "number of parts"},
	    {1, 200, 1, true, "number of parts"},
	    {32, 0xc1, 1, true, "a part is missing"},
	    {35, 200, 1, true, "a part is missing"},
	    {64, 0xc0, 1, true, "part of its name"},
	    {35, 0, 1, true, "name can't be one"},
	    {66, '/', 2, true, "name can't be one"},
	    {40, 101, 8, true, "longer than the volume"},
	    {56, 1ull << 40, 8, true, "longer than the volume"},
	    {52, 0, 4, true, "begins with a cluster"},
	    {52, 202, 4, true, "begins with a cluster"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vd_error err = VD_ERROR_INIT;
		char names[2000] = "";
		struct guestgen g;
		struct volume v;

		guestgen_make(&g, GUEST_EXFAT);
		guestgen_put(&g, g.root + 64 + cases[i].at, cases[i].value, cases[i].n_bytes);
		if (cases[i].is_sealed)
			guestgen_seal(&g);
		open_volume(&v, &g);
		assert_int_equal(v.ops->list(v.fs, v.root, append_name, names, &err), VD_ECORRUPT);
		if (!strstr(err.text, cases[i].text))
			fail_msg("%s: %s", cases[i].text, err.text);
		close_volume(&v);
		guestgen_free(&g);
	}
}

static void a_row_beyond_the_heap_is_told(void **state)
{
	struct vd_error err = VD_ERROR_INIT;
	uint8_t bytes[8192];
	struct guestgen g;
	struct volume v;
	size_t n;

	(void)state;
	guestgen_make(&g, GUEST_EXFAT);
	guestgen_put(&g, g.root + 64 + 40, 4096, 8);
	guestgen_put(&g, g.root + 64 + 56, 4096, 8);
	guestgen_put(&g, g.root + 64 + 52, 198, 4);
	guestgen_seal(&g);
	open_volume(&v, &g);
	assert_int_equal(
	    v.ops->read(v.fs, look_up(&v, v.root, "hello.txt"), bytes, sizeof(bytes), 0, &n, &err),
	    VD_ECORRUPT);
	assert_non_null(strstr(err.text, "beyond the last one, 201"));
	close_volume(&v);
	guestgen_free(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lists_folders),
	    cmocka_unit_test(tells_what_files_are),
	    cmocka_unit_test(lookups_ignore_case_and_know_short_names),
	    cmocka_unit_test(reads_files_in_pieces),
	    cmocka_unit_test(free_space_is_what_no_file_has),
	    cmocka_unit_test(fats_that_disagree_give_no_free_space),
	    cmocka_unit_test(a_volume_beyond_its_partition_gives_no_free_space),
	    cmocka_unit_test(broken_chains_are_told),
	    cmocka_unit_test(endless_folders_end),
	    cmocka_unit_test(wrong_long_names_give_way),
	    cmocka_unit_test(short_names_are_text),
	    cmocka_unit_test(wrong_sets_are_told),
	    cmocka_unit_test(a_row_beyond_the_heap_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
