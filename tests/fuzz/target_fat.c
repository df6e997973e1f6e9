/* SPDX-License-Identifier: MIT */
/*
 * Files of FAT and exFAT. Input: which volume (tests/support/guestgen.h), whether its checksums are
 * made right again, then records of 8 bytes: region, offset, width, value.
 * Property: reading all of it ends, after a number of names and bytes that the volume bounds; names
 * are UTF-8 and can be part of a path; a name that is listed is found; sizes are kept; reading is
 * the same in pieces; free space lies within the volume, in order.
 */
#include <stdlib.h>
#include <string.h>

#include <vdisk/disk.h>

#include "fuzz.h"
#include "guest/guest_fs.h"
#include "guestgen.h"

#define RECORD    8u
#define HEAD      2u
#define MAX_DEPTH 3
#define MAX_NAMES 400u
#define MAX_BYTES 70000u

struct reading {
	const struct vd_guest_fs_ops *ops;
	void *fs;
	uint64_t size, folder, last_end;
	int depth;
	unsigned int n_names, n_good;
};

static int walk(struct reading *r, uint64_t folder);

static void read_file(struct reading *r, uint64_t inode, uint64_t size)
{
	static uint8_t whole[MAX_BYTES], piece[1000];
	size_t n, n_whole;
	int rc = r->ops->read(r->fs, inode, whole, sizeof(whole), 0, &n_whole, NULL);

	FUZZ_CHECK(rc == 0 || rc == VD_ECORRUPT || rc == VD_ENOENT, "reading gives %d", rc);
	if (rc != 0)
		return;
	FUZZ_CHECK(n_whole == (size < sizeof(whole) ? size : sizeof(whole)),
		   "%zu of %llu bytes were read", n_whole, (unsigned long long)size);
	for (size_t at = n_whole > 5000 ? n_whole - 5000 : 0; at < n_whole; at += 777) {
		rc = r->ops->read(r->fs, inode, piece, sizeof(piece), at, &n, NULL);
		FUZZ_CHECK(rc == 0 && n <= sizeof(piece), "a piece can't be read: %d", rc);
		if (n > n_whole - at)
			n = n_whole - at;
		FUZZ_CHECK(memcmp(piece, whole + at, n) == 0, "a piece isn't the same");
	}
	r->n_good++;
}

static int see_name(void *user, const char *name, uint64_t inode, enum vd_file_type type)
{
	struct reading *r = user;
	struct vd_file_info info;
	uint64_t found;
	int rc;

	FUZZ_CHECK(name[0] && strlen(name) < VD_GUEST_NAME_MAX && fuzz_is_utf8(name), "no name");
	FUZZ_CHECK(!strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0,
		   "\"%s\" would lead elsewhere", name);
	if (++r->n_names > MAX_NAMES)
		return 1;
	FUZZ_CHECK(r->ops->lookup(r->fs, r->folder, name, &found, NULL) == 0, "\"%s\" isn't found",
		   name);
	rc = r->ops->info(r->fs, inode, &info, NULL);
	FUZZ_CHECK(rc == 0, "info gives %d", rc);
	FUZZ_CHECK(info.inode == inode && info.type == type, "info is of another file");
	if (type == VD_FILE_FOLDER) {
		rc = walk(r, inode);
		FUZZ_CHECK(rc == 0 || rc == VD_ECORRUPT || rc == 1, "a folder gives %d", rc);
	} else {
		read_file(r, inode, info.size);
	}
	return 0;
}

static int walk(struct reading *r, uint64_t folder)
{
	uint64_t before = r->folder;
	int rc = 0;

	if (r->depth < MAX_DEPTH) {
		r->depth++;
		r->folder = folder;
		rc = r->ops->list(r->fs, folder, see_name, r, NULL);
		r->folder = before;
		r->depth--;
	}
	return rc;
}

static int see_free(void *user, uint64_t start, uint64_t length)
{
	struct reading *r = user;

	FUZZ_CHECK(start >= r->last_end && length, "free space isn't in order");
	FUZZ_CHECK(start <= r->size && length <= r->size - start, "free space beyond the volume");
	r->last_end = start + length;
	return 0;
}

static void check_volume(struct vd_disk *disk)
{
	struct vd_filesystem info;
	struct vd_guest_view view;
	struct reading r = {.size = vd_disk_size(disk)};
	uint64_t root;
	int rc;

	FUZZ_CHECK(vd_guest_probe(disk, 0, r.size, &info, NULL) == 0, "probing fails");
	if (strcmp(info.type, "vfat") == 0)
		r.ops = &vd_guest_fat_ops;
	else if (strcmp(info.type, "exfat") == 0)
		r.ops = &vd_guest_exfat_ops;
	else
		return;
	FUZZ_CHECK(vd_guest_view_init(&view, disk, 0, r.size, NULL) == 0, "no view");
	rc = r.ops->open(&r.fs, &view, &info, &root, NULL);
	FUZZ_CHECK(rc == 0, "what was probed can't be opened: %d", rc);
	rc = walk(&r, root);
	FUZZ_CHECK(rc == 0 || rc == VD_ECORRUPT || rc == 1, "listing gives %d", rc);
	rc = r.ops->free_space(r.fs, see_free, &r, NULL);
	FUZZ_CHECK(rc == 0 || rc == VD_ECORRUPT, "free space gives %d", rc);
	if (rc == 0 && r.n_good)
		fuzz_deep();
	r.ops->close(r.fs);
}

static void run(const uint8_t *data, size_t size)
{
	static const enum guest_kind kinds[] = {GUEST_FAT12, GUEST_FAT32, GUEST_EXFAT, GUEST_FAT16};
	struct feed feed = {data, size};
	uint64_t kind = feed_int(&feed, 1) % 4;
	bool is_sealed = feed_int(&feed, 1) & 1;
	struct vd_disk *disk;
	struct guestgen g;

	guestgen_make(&g, kinds[kind]);
	fuzz_guest_patch(&g, &feed);
	if (is_sealed)
		guestgen_seal(&g);
	disk = guestgen_open(&g);
	FUZZ_CHECK(disk, "no disk");
	check_volume(disk);
	vd_disk_close(disk, NULL);
	guestgen_free(&g);
}

static void one(const char *name, unsigned int kind, unsigned int region, unsigned int off,
		unsigned int width, uint32_t value)
{
	uint8_t bytes[HEAD + RECORD] = {(uint8_t)kind, 1, (uint8_t)region};

	fuzz_put(bytes + 3, off, 2);
	bytes[5] = (uint8_t)width;
	fuzz_put(bytes + 6, value, 4);
	fuzz_seed(name, bytes, sizeof(bytes));
}

static void seed(void)
{
	for (unsigned int kind = 0; kind < 4; kind++) {
		char name[16] = "as-it-is-0";

		name[9] = (char)('0' + kind);
		fuzz_seed(name, (uint8_t[]){(uint8_t)kind, 1}, 2);
	}
	one("fat12-circle", 0, 1, 30, 1, 0x014);
	one("fat12-long-file", 0, 2, 6 * 32 + 28, 2, 50000);
	one("fat12-folder-is-root", 0, 2, 8 * 32 + 26, 1, 0);
	one("fat12-folder-in-itself", 0, 3, 2 * 32 + 11, 0, 0x10);
	one("fat12-state", 0, 0, 37, 0, 1);
	one("fat32-root", 1, 0, 44, 2, 40);
	one("fat32-circle", 1, 1, 8, 2, 2);
	one("fat32-one-fat", 1, 0, 40, 1, 0x81);
	one("fat16-second", 3, 4, 100, 1, 7);
	one("fat16-name", 3, 2, 3 * 32, 0, 0x42);
	one("exfat-chain", 2, 2, 64 + 33, 0, 1);
	one("exfat-bitmap", 2, 2, 52, 2, 10);
	one("exfat-size", 2, 2, 64 + 56, 2, 90000);
	one("exfat-folder", 2, 2, 64 + 96 + 128 + 52, 2, 4);
}

const struct fuzz_target fuzz_fat = {
    .name = "fat", .run = run, .seed = seed, .record = RECORD, .head = HEAD, .max_memory = 8 << 20};
