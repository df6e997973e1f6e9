/* SPDX-License-Identifier: MIT */
/*
 * A walk over the BAT. Input: which base, then records of 8 bytes: an entry (index, state, MiB,
 * reserved bits), or a word of the sector bitmap. Everything else of the image is right.
 * Property: it opens; the map covers the disk without gap, and agrees with resolve; counts add up;
 * the check can be done. If it finds no error, all of the disk can be read, stored extents share
 * no byte with each other or with structures, and the image can be written to.
 */
#include <string.h>

#include <vdisk/map.h>

#include "fuzz_image.h"
#include "vhdxgen.h"

#define RECORD      8u
#define MAX_EXTENTS 512u
#define STRUCTURES  (4 * GEN_MIB) /* of vhdxgen's images: all before it */

static void fill(struct store *store, struct feed *feed)
{
	while (feed->n >= RECORD) {
		uint64_t index = feed_int(feed, 2), state = feed_int(feed, 1);
		uint64_t reserved = feed_int(feed, 1), mib = feed_int(feed, 4);
		uint64_t at = 3 * GEN_MIB + index % 64 * 8, value;
		uint8_t bytes[8];

		if (index & 0x4000) /* the last entries of the table */
			at = 3 * GEN_MIB + (2040 + index % 16) * 8;
		value = (state & 7) | (reserved & 1 ? (uint64_t)reserved << 3 : 0);
		value |= (state & 8 ? mib % 16 : mib % 0x8000000) << 20;
		if (state & 16)
			value |= mib << 44;
		if (index & 0x8000) { /* bits of the bitmap: sectors that are here */
			at = 8 * GEN_MIB + index % 4096 * 8;
			value = mib * 0x100000001;
		}
		fuzz_put(bytes, value, 8);
		store_write(store, bytes, 8, at);
	}
}

/* No two stretches of a clean image share space. */
static void check_apart(struct vd_disk *disk)
{
	static struct vd_extent stored[MAX_EXTENTS];
	uint64_t size = vd_disk_size(disk);
	struct vd_extent e = {0};
	uint32_t n = 0;

	for (uint64_t at = 0; at < size && n < MAX_EXTENTS; at += e.length) {
		FUZZ_CHECK(vd_disk_map(disk, at, size - at, &e, NULL) == 0, "map");
		if (e.state != VD_STATE_DATA)
			continue;
		FUZZ_CHECK(e.offset >= STRUCTURES, "a clean image has data in its structures");
		for (uint32_t i = 0; i < n; i++)
			FUZZ_CHECK(e.offset >= stored[i].offset + stored[i].length ||
				       e.offset + e.length <= stored[i].offset,
				   "a clean image has two stretches at %llu",
				   (unsigned long long)e.offset);
		stored[n++] = e;
	}
}

static void check_counts(struct vd_disk *disk, bool is_clean)
{
	struct vd_block_counts counts;
	int rc = vd_disk_count_blocks(disk, &counts, NULL);

	FUZZ_CHECK(rc == 0 || (rc == VD_ECORRUPT && !is_clean), "counting answers %d", rc);
	if (rc == 0)
		FUZZ_CHECK(counts.n_present + counts.n_partial + counts.n_zero + counts.n_unmapped +
				   counts.n_undefined + counts.n_not_present ==
			       counts.n_blocks,
			   "the counts don't add up");
}

/* A write that needs space, where the file may not become larger than a test can bear. */
static void check_write(const struct store *image, bool is_clean)
{
	struct store *copy = store_new(image);
	struct vd_io *io = fuzz_io(copy, true);
	struct vd_disk *disk;
	uint8_t bytes[512];
	bool is_refused;
	int rc;

	memset(bytes, 0x66, sizeof(bytes));
	disk = fuzz_open(io, VD_OPEN_WRITE, &rc);
	FUZZ_CHECK(disk, "opening answers %d", rc);
	rc = vd_disk_write(disk, bytes, sizeof(bytes), 9 * 2 * GEN_MIB + 4096, NULL);
	FUZZ_CHECK(rc == 0 || rc == VD_ENOSPC || !is_clean, "a clean image refuses a write: %d",
		   rc);
	rc = vd_disk_close(disk, NULL);
	FUZZ_CHECK(rc == 0 || rc == VD_ENOSPC || !is_clean, "closing answers %d", rc);
	if (is_clean)
		FUZZ_CHECK(fuzz_check_image(io, &is_refused) == 0 && !is_refused,
			   "a clean image isn't clean after a write");
	vd_io_close(io);
	store_free(copy);
}

static void run(const uint8_t *data, size_t size)
{
	struct feed feed = {data, size};
	struct store *image = store_new(fuzz_base((unsigned int)feed_int(&feed, 1) % 3));
	struct vd_io *io = fuzz_io(image, false);
	struct vd_disk *disk;
	bool is_refused, is_clean;
	int rc;

	fill(image, &feed);
	is_clean = fuzz_check_image(io, &is_refused) == 0;
	FUZZ_CHECK(!is_refused, "the check gave up");
	disk = fuzz_open(io, 0, &rc);
	FUZZ_CHECK(disk, "opening answers %d", rc);
	if (!fuzz_walk(disk, MAX_EXTENTS))
		FUZZ_CHECK(!is_clean, "a clean image has parts that can't be read");
	check_counts(disk, is_clean);
	if (is_clean)
		check_apart(disk);
	FUZZ_CHECK(vd_disk_close(disk, NULL) == 0, "close");
	check_write(image, is_clean);
	if (is_clean)
		fuzz_deep();
	vd_io_close(io);
	store_free(image);
}

static void put(uint8_t *at, unsigned int index, unsigned int state, unsigned int reserved,
		uint32_t mib)
{
	fuzz_put(at, index, 2);
	at[2] = (uint8_t)state;
	at[3] = (uint8_t)reserved;
	fuzz_put(at + 4, mib, 4);
}

static void seed(void)
{
	uint8_t data[1 + 8 * 8] = {0};

	for (uint8_t base = 0; base < 3; base++) {
		char name[] = "base-0";

		data[0] = base;
		name[5] = (char)('0' + base);
		fuzz_seed(name, data, 1);
		for (unsigned int state = 0; state < 8; state++) {
			char other[] = "state-0-0";

			other[6] = (char)('0' + state);
			other[8] = (char)('0' + base);
			put(data + 1, 3, state, 0, 10);
			put(data + 9, 4, state, 0, 0);
			fuzz_seed(other, data, 17);
		}
	}
	data[0] = 0;
	put(data + 1, 1, 6, 0, 5);
	fuzz_seed("overlap", data, 9);
	put(data + 1, 1, 6, 0, 2);
	fuzz_seed("in-metadata", data, 9);
	put(data + 1, 1, 6, 0, 0);
	fuzz_seed("at-zero", data, 9);
	put(data + 1, 1, 6, 0, 0x7ffffff);
	fuzz_seed("far", data, 9);
	put(data + 1, 1, 6 | 16, 0, 0x7ffffff);
	fuzz_seed("very-far", data, 9);
	put(data + 1, 1, 6, 3, 12);
	fuzz_seed("reserved", data, 9);
	data[0] = 1;
	put(data + 1, 0x8000 + 512 * 5 / 8, 0, 0, 0x0ff0f0f1);
	put(data + 9, 0x8000 + 512 * 5 / 8 + 1, 0, 0, 0xffffffff);
	fuzz_seed("bitmap", data, 17);
	put(data + 17, 0x4000 + 8, 0, 0, 0);
	fuzz_seed("no-bitmap", data, 25);
	put(data + 17, 0x4000 + 8, 6, 0, 0x5000000);
	fuzz_seed("bitmap-far", data, 25);
	put(data + 17, 0x4000 + 8, 5, 0, 0);
	fuzz_seed("bitmap-state", data, 25);
}

const struct fuzz_target fuzz_bat = {
    .name = "bat", .run = run, .record = RECORD, .head = 1, .seed = seed, .max_memory = 48 << 20};
