/* SPDX-License-Identifier: MIT */
/*
 * Partition tables and superblocks. Input: which disk (tests/support/guestgen.h), whether its
 * checksums are made right again, then records of 8 bytes: region, offset, width, value.
 * Property: the layout is read; partitions lie within the disk, sorted, in bounded number; all text
 * is UTF-8 on one line; what the probe says alone is what the layout says.
 */
#include <stdlib.h>
#include <string.h>

#include <vdisk/disk.h>
#include <vdisk/guest.h>

#include "fuzz.h"
#include "guestgen.h"

#define RECORD 8u
#define HEAD   2u

static void is_text(const char *text, size_t size, const char *what)
{
	FUZZ_CHECK(strnlen(text, size) < size, "%s has no end", what);
	FUZZ_CHECK(fuzz_is_utf8(text), "%s isn't UTF-8", what);
	for (const char *p = text; *p; p++)
		FUZZ_CHECK((unsigned char)*p >= 0x20, "%s has control characters", what);
}

static void check_filesystem(const struct vd_filesystem *fs)
{
	is_text(fs->type, sizeof(fs->type), "type");
	is_text(fs->version, sizeof(fs->version), "version");
	is_text(fs->label, sizeof(fs->label), "label");
	is_text(fs->uuid, sizeof(fs->uuid), "UUID");
	if (!fs->type[0])
		FUZZ_CHECK(!fs->size && !fs->label[0] && fs->used == VD_UNKNOWN,
			   "something is known of nothing");
	if (fs->size && fs->used != VD_UNKNOWN)
		FUZZ_CHECK(fs->used <= fs->size, "more is used than there is");
}

static void check_partition(const struct vd_partition *p, uint64_t size)
{
	FUZZ_CHECK(p->start <= size && p->length <= size - p->start, "beyond the disk");
	is_text(p->type, sizeof(p->type), "partition's type");
	is_text(p->type_name, sizeof(p->type_name), "name of the type");
	is_text(p->uuid, sizeof(p->uuid), "partition's UUID");
	is_text(p->name, sizeof(p->name), "partition's name");
	check_filesystem(&p->filesystem);
}

static void check_layout(struct vd_disk *disk, bool is_kept)
{
	struct vd_layout *layout = NULL;
	uint64_t size = vd_disk_size(disk);
	struct vd_filesystem fs;

	FUZZ_CHECK(vd_guest_read_layout(&layout, disk, NULL) == 0, "reading fails");
	FUZZ_CHECK(layout->n_partitions <= VD_GUEST_MAX_PARTITIONS, "too many");
	is_text(layout->disk_uuid, sizeof(layout->disk_uuid), "disk's UUID");
	if (layout->problem)
		is_text(layout->problem, 4096, "problem");
	for (size_t i = 0; i < layout->n_partitions; i++) {
		check_partition(&layout->partitions[i], size);
		if (i)
			FUZZ_CHECK(layout->partitions[i - 1].start <= layout->partitions[i].start,
				   "not sorted");
	}
	FUZZ_CHECK(vd_guest_probe(disk, 0, size, &fs, NULL) == 0, "probing fails");
	check_filesystem(&fs);
	if (layout->scheme == VD_SCHEME_NONE) {
		FUZZ_CHECK(layout->n_partitions == 1, "not one whole disk");
		FUZZ_CHECK(!strcmp(fs.type, layout->partitions[0].filesystem.type),
			   "probed as %s alone", fs.type);
	}
	if (fs.type[0] || (layout->scheme != VD_SCHEME_NONE && is_kept))
		fuzz_deep();
	vd_layout_free(layout);
}

static void run(const uint8_t *data, size_t size)
{
	struct feed feed = {data, size};
	uint64_t kind = feed_int(&feed, 1) % N_GUESTS;
	bool is_sealed = feed_int(&feed, 1) & 1;
	struct vd_disk *disk;
	struct guestgen g;

	guestgen_make(&g, (enum guest_kind)kind);
	fuzz_guest_patch(&g, &feed);
	if (is_sealed)
		guestgen_seal(&g);
	disk = guestgen_open(&g);
	FUZZ_CHECK(disk, "no disk");
	check_layout(disk, is_sealed);
	vd_disk_close(disk, NULL);
	guestgen_free(&g);
}

void fuzz_guest_patch(struct guestgen *g, struct feed *feed)
{
	while (feed->n >= RECORD) {
		uint64_t region = feed_int(feed, 1) % g->n_regions, off = feed_int(feed, 2);
		size_t n = (size_t)feed_int(feed, 1), at;
		uint64_t value = feed_int(feed, 4);

		if (n & 8) /* a number that is large, or below 0 */
			value |= (uint64_t)0xffffffff << 32;
		at = g->regions[region].at + (size_t)off % g->regions[region].len;
		n = (size_t)1 << (n & 3);
		if (n <= g->len - at)
			guestgen_put(g, at, value, (int)n);
	}
}

static void seed(void)
{
	for (unsigned int kind = 0; kind < N_GUESTS; kind++) {
		uint8_t bytes[HEAD + RECORD] = {(uint8_t)kind, 1};
		struct guestgen g;

		guestgen_make(&g, (enum guest_kind)kind);
		bytes[2] = 0;
		bytes[3] = 17;
		bytes[6] = g.bytes[g.regions[0].at + 17];
		fuzz_seed(g.name, bytes, sizeof(bytes));
		guestgen_free(&g);
	}
}

const struct fuzz_target fuzz_layout = {.name = "layout",
					.run = run,
					.seed = seed,
					.record = RECORD,
					.head = HEAD,
					.max_memory = 8 << 20};
