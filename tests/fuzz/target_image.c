/* SPDX-License-Identifier: MIT */
/*
 * A whole image. Input: which valid image, which checksums to leave wrong, then records of 16
 * bytes that change it anywhere; the other checksums are made right again.
 * Property: no bytes crash the library. Opening and the check agree: what the check calls clean
 * opens, can be read and written, and is clean after that; what doesn't open isn't clean. Opening
 * for reading shows, of a dirty image, what opening for writing leaves.
 */
#include <stdlib.h>
#include <string.h>

#include <vdisk/map.h>

#include "fuzz_image.h"
#include "vhdxgen.h"

#define MAX_EXTENTS 200u
#define MAX_BLOCKS  65536u

static bool is_small(struct vd_disk *disk)
{
	struct vd_disk_info info = {.size = sizeof(info)};

	vd_disk_get_info(disk, &info);
	FUZZ_CHECK(info.virtual_size && info.block_size, "an open disk of no size");
	FUZZ_CHECK(fuzz_is_utf8(info.creator), "creator");
	return info.virtual_size / info.block_size < MAX_BLOCKS;
}

static void look(struct vd_disk *disk, bool is_clean)
{
	struct vd_parent_hint hint;
	struct vd_block_counts counts;
	int rc = vd_disk_get_parent_hint(disk, &hint, NULL);

	FUZZ_CHECK(rc == 0 || rc == VD_ENOENT, "the hint answers %d", rc);
	if (!fuzz_walk(disk, MAX_EXTENTS))
		FUZZ_CHECK(!is_clean, "a clean image has parts that can't be read");
	if (!is_small(disk))
		return;
	rc = vd_disk_count_blocks(disk, &counts, NULL);
	FUZZ_CHECK(rc == 0 || !is_clean, "counting answers %d", rc);
}

/* Of a hostile image anything may fail; of a clean one only for want of space. */
static void must(int rc, bool is_clean, const char *what, const struct vd_error *err)
{
	FUZZ_CHECK(rc == 0 || rc == VD_ENOSPC || !is_clean, "%s answers %d on a clean image: %s",
		   what, rc, err->text);
	FUZZ_CHECK(rc != VD_ENOMEM && rc != VD_EINVAL && rc != VD_EPOISONED, "%s answers %d", what,
		   rc);
}

/* Writes, zeros, discards; answers whether all went well. */
static bool use(struct vd_disk *disk, bool is_clean, const uint8_t bytes[4096])
{
	struct vd_error err = VD_ERROR_INIT;
	uint64_t size = vd_disk_size(disk), far = (size - 1) / 4096 * 4096 / 2;
	size_t len = size < 4096 ? (size_t)size : 4096;
	int rc, ret = 0;

	far -= far % 4096;
	ret |= rc = vd_disk_write(disk, bytes, len, 0, &err);
	must(rc, is_clean, "a write", &err);
	if (far + len <= size) {
		ret |= rc = vd_disk_write(disk, bytes, len, far, &err);
		must(rc, is_clean, "a write in the middle", &err);
	}
	ret |= rc = vd_disk_flush(disk, &err);
	must(rc, is_clean, "a flush", &err);
	if (size > 16 * GEN_MIB) {
		ret |= rc = vd_disk_discard(disk, 4 * GEN_MIB, 2 * GEN_MIB, &err);
		must(rc, is_clean, "a discard", &err);
		ret |= rc = vd_disk_write_zeroes(disk, 10 * GEN_MIB + 4096, 3 * GEN_MIB, 0, &err);
		must(rc, is_clean, "a zeroing", &err);
	}
	return ret == 0;
}

static void expect(struct vd_disk *disk, const uint8_t bytes[4096])
{
	uint64_t size = vd_disk_size(disk);
	size_t len = size < 4096 ? (size_t)size : 4096;
	uint8_t found[4096];

	FUZZ_CHECK(vd_disk_read(disk, found, len, 0, NULL) == 0 && memcmp(found, bytes, len) == 0,
		   "what was written isn't there");
}

/* What a read-only opening of a clean image showed must be what a writable one finds. */
static void compare(struct vd_disk *a, struct vd_disk *b)
{
	uint8_t *x = malloc(65536), *y = malloc(65536);
	uint64_t size = vd_disk_size(a);

	FUZZ_CHECK(x && y && size == vd_disk_size(b), "sizes");
	for (uint64_t at = 0; at < size && at < 16 * GEN_MIB; at += GEN_MIB) {
		size_t len = size - at < 65536 ? (size_t)(size - at) : 65536;
		int rc = vd_disk_read(a, x, len, at, NULL);

		FUZZ_CHECK(rc == vd_disk_read(b, y, len, at, NULL) && (rc || !memcmp(x, y, len)),
			   "reading and writing openings show different content at %llu",
			   (unsigned long long)at);
	}
	free(x);
	free(y);
}

static void write_to(struct vd_disk *reader, const struct store *image, bool is_clean)
{
	struct store *copy = store_new(image);
	struct vd_io *io = fuzz_io(copy, true);
	struct vd_error err = VD_ERROR_INIT;
	uint8_t bytes[4096];
	struct vd_disk *disk;
	bool is_refused, went_well = false;
	int rc;

	memset(bytes, 0x69, sizeof(bytes));
	disk = fuzz_open(io, VD_OPEN_WRITE, &rc);
	/* An image without a log can only be read; replaying may need more space than there is. */
	if (disk) {
		compare(reader, disk);
		went_well = use(disk, is_clean, bytes);
		/* Where blocks overlap, zeroing one may zero the other. */
		if (went_well && is_clean)
			expect(disk, bytes);
		rc = vd_disk_close(disk, &err);
		must(rc, is_clean, "closing", &err);
		went_well = went_well && rc == 0;
	}
	if (is_clean && went_well)
		FUZZ_CHECK(fuzz_check_image(io, &is_refused) == 0 && !is_refused,
			   "a clean image isn't clean any more");
	disk = fuzz_open(io, 0, &rc);
	FUZZ_CHECK(disk || !went_well || !is_clean, "it doesn't open again: %d", rc);
	if (disk && went_well && is_clean)
		expect(disk, bytes);
	if (disk)
		vd_disk_close(disk, NULL);
	vd_io_close(io);
	store_free(copy);
}

static void run(const uint8_t *data, size_t size)
{
	struct feed feed = {data, size};
	struct store *image = store_new(fuzz_base((unsigned int)feed_int(&feed, 1)));
	unsigned int keep = (unsigned int)feed_int(&feed, 1);
	struct vd_io *io = fuzz_io(image, false);
	bool is_refused, is_clean;
	struct vd_disk *disk;
	uint64_t n_errors;
	int rc;

	fuzz_patch(image, &feed);
	fuzz_fix(image, keep);
	n_errors = fuzz_check_image(io, &is_refused);
	is_clean = n_errors == 0 && !is_refused;
	disk = fuzz_open(io, 0, &rc);
	FUZZ_CHECK(disk || !is_clean, "the check finds nothing, opening answers %d", rc);
	if (disk) {
		look(disk, is_clean);
		if (is_small(disk))
			write_to(disk, image, is_clean);
		FUZZ_CHECK(vd_disk_close(disk, NULL) == 0, "close");
		fuzz_deep();
	}
	vd_io_close(io);
	store_free(image);
}

static void seed(void)
{
	static const struct {
		const char *name;
		unsigned int keep;
		enum fuzz_place place;
		uint32_t off;
		uint64_t value;
		unsigned int width;
	} all[] = {
	    {"one-header", 1, AT_HEADER_1, 8, 3, 8},
	    {"no-header", 3, AT_HEADERS, 8, 3, 8},
	    {"one-table", 4, AT_IDENT, 100, 'x', 2},
	    {"no-table", 12, AT_IDENT, 100, 'x', 2},
	    {"log-off", 0, AT_HEADERS, 72, 2 * GEN_MIB, 8},
	    {"log-long", 0, AT_HEADERS, 68, 64 * GEN_MIB, 4},
	    {"no-log", 0, AT_HEADERS, 68, 0, 4},
	    {"dirty", 0, AT_HEADERS, 48, 1, 8},
	    {"bat-far", 0, AT_REGIONS, 32, (uint64_t)1 << 50, 8},
	    {"bat-long", 0, AT_REGIONS, 40, 0xfff00000, 4},
	    {"size", 0, AT_ITEMS, 8, (uint64_t)3 << 30, 8},
	    {"odd-size", 0, AT_ITEMS, 8, 64 * GEN_MIB - 512, 8},
	    {"block", 0, AT_ITEMS, 0, 32 * GEN_MIB, 4},
	    {"parent", 0, AT_ITEMS, 4, 2, 4},
	    {"fixed", 0, AT_ITEMS, 4, 1, 4},
	    {"bat", 0, AT_BAT, 8, 12 * GEN_MIB | 6, 8},
	    {"bat-same", 0, AT_BAT, 8, 4 * GEN_MIB | 6, 8},
	    {"partial", 0, AT_BAT, 0, 4 * GEN_MIB | 7, 8},
	    {"short-file", 0, AT_LENGTH, 0, 5 * GEN_MIB + 4096, 8},
	    {"shorter", 0, AT_LENGTH, 0, GEN_MIB, 8},
	    {"entry-last", 0, AT_LOG, 8192 + 56, (uint64_t)1 << 40, 8},
	    {"entry-flushed", 0, AT_LOG, 8192 + 48, (uint64_t)1 << 40, 8},
	    {"entry-tail", 0, AT_LOG, 8192 + 12, 4096, 4},
	    {"entry-target", 0, AT_LOG, 64 + 16, 3 * GEN_MIB, 8},
	    {"bitmap", 0, AT_BITMAP, 1280, 0x0ff0ff, 8},
	    {"locator", 0, AT_LOCATOR, 18, 3, 2},
	    {"creator", 0, AT_IDENT, 8, 0xd800d800d8000041, 8},
	};
	uint8_t data[2 + FUZZ_RECORD] = {0};

	for (unsigned int base = 0; base < FUZZ_BASES; base++) {
		data[0] = (uint8_t)base;
		fuzz_seed(fuzz_base_name(base), data, 2);
		for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
			char name[64] = "";

			strncat(name, fuzz_base_name(base), 20);
			strncat(name, "-", 2);
			strncat(name, all[i].name, 20);
			data[1] = (uint8_t)all[i].keep;
			fuzz_put_record(data + 2, all[i].place, all[i].off, all[i].value,
					all[i].width, 1);
			fuzz_seed(name, data, sizeof(data));
		}
		data[1] = 0;
	}
}

const struct fuzz_target fuzz_image = {.name = "image",
				       .run = run,
				       .record = FUZZ_RECORD,
				       .head = 2,
				       .seed = seed,
				       .max_memory = 192 << 20};
