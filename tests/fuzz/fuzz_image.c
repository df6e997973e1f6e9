/* SPDX-License-Identifier: MIT */
/* Images for fuzzing: see fuzz_image.h. */
#include "fuzz_image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <vdisk/map.h>
#include <vdisk/sys/io.h>

#include "vhdxgen.h"

#define BITMAP_OFF (8 * GEN_MIB) /* of vhdxgen's child */

static const char *const names[FUZZ_BASES] = {"dynamic", "child", "sectors", "fixed",
					      "dirty",   "made",  "used"};

static void make_dirty(struct vhdxgen *g)
{
	static const struct gen_desc descs[] = {
	    {.off = 4 * GEN_MIB, .fill = 0xaa},
	    {.is_zero = true, .off = 6 * GEN_MIB, .len = 65536},
	    {.off = 7 * GEN_MIB, .fill = 0xbb},
	};
	static const struct gen_entry entries[] = {
	    {.seq = 1,
	     .flushed_off = 8 * GEN_MIB,
	     .last_off = 8 * GEN_MIB,
	     .descs = descs,
	     .n_descs = 2},
	    {.at = 8192,
	     .seq = 2,
	     .flushed_off = 8 * GEN_MIB,
	     .last_off = 9 * GEN_MIB,
	     .descs = descs + 1,
	     .n_descs = 2},
	};

	for (int i = 0; i < 2; i++)
		g->header[i].log_id = "a0000000-0001-4002-8003-000000000004";
	g->entries = entries;
	g->n_entries = 2;
}

/* Made by the library; if `is_used`, as a power cut left it after some writes. */
static void make_by_library(struct store *store, bool is_used)
{
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct store *copy = store_new(NULL);
	struct vd_io *io = store_io(store, true);
	uint8_t bytes[4096], id[16];
	struct vd_disk *disk;

	memset(bytes, 0x5a, sizeof(bytes));
	memset(id, 0x1d, sizeof(id));
	create.virtual_size = 12 * GEN_MIB + 512 * 3;
	create.block_size = 1 << 20;
	create.log_size = 1 << 20;
	create.disk_id = id;
	FUZZ_CHECK(vd_disk_create_io(io, &create, NULL) == 0, "create");
	if (is_used) {
		uint64_t start, end, at = 0;

		opts.flags = VD_OPEN_WRITE;
		FUZZ_CHECK(vd_disk_open_io(&disk, io, &opts, NULL) == 0, "open");
		for (uint64_t i = 0; i < 5; i++)
			FUZZ_CHECK(vd_disk_write(disk, bytes, sizeof(bytes),
						 i * (2 * GEN_MIB + 4096), NULL) == 0,
				   "write");
		FUZZ_CHECK(vd_disk_flush(disk, NULL) == 0, "flush");
		store_truncate(copy, store_length(store));
		for (; store_next_data(store, at, &start, &end); at = end)
			for (at = start; at < end; at += sizeof(bytes)) {
				store_read(store, bytes, sizeof(bytes), at);
				store_write(copy, bytes, sizeof(bytes), at);
			}
		FUZZ_CHECK(vd_disk_close(disk, NULL) == 0, "close");
		store_truncate(store, 0);
		store_truncate(store, store_length(copy));
		for (at = 0; store_next_data(copy, at, &start, &end); at = end)
			for (at = start; at < end; at += sizeof(bytes)) {
				store_read(copy, bytes, sizeof(bytes), at);
				store_write(store, bytes, sizeof(bytes), at);
			}
	}
	vd_io_close(io);
	store_free(copy);
}

static void make_generated(struct store *store, unsigned int which)
{
	struct vhdxgen g;

	if (which == 1)
		vhdxgen_init_child(&g);
	else
		vhdxgen_init(&g);
	if (which == 2)
		g.logical_sector_size = 4096;
	if (which == 3) {
		g.params_flags = 1;
		g.virtual_size = 4 * GEN_MIB;
		g.bat[1] = (struct gen_bat){1, 6 * GEN_MIB | 6};
	}
	if (which == 4)
		make_dirty(&g);
	vhdxgen_emit(&g, store);
}

const struct store *fuzz_base(unsigned int which)
{
	static struct store *made[FUZZ_BASES];

	which %= FUZZ_BASES;
	if (!made[which]) {
		made[which] = store_new(NULL);
		if (which < 5)
			make_generated(made[which], which);
		else
			make_by_library(made[which], which == 6);
	}
	return made[which];
}

const char *fuzz_base_name(unsigned int which)
{
	return names[which % FUZZ_BASES];
}

/* Where the base has it; the library's images have their regions elsewhere: found by the table. */
static uint64_t region_off(const struct store *store, const char *id)
{
	uint8_t table[16 + 32 * 8], guid[16];

	gen_guid(id, guid);
	store_read(store, table, sizeof(table), 196608);
	for (size_t i = 16; i < sizeof(table); i += 32)
		if (memcmp(table + i, guid, 16) == 0)
			return fuzz_get(table + i + 16, 8);
	return 3 * GEN_MIB;
}

static uint64_t log_off(const struct store *store)
{
	uint8_t bytes[8];

	store_read(store, bytes, 8, 65536 + 72);
	return fuzz_get(bytes, 8);
}

static uint64_t place_off(const struct store *store, unsigned int place, uint64_t off)
{
	switch (place) {
	case AT_HEADER_0:
		return 65536 + off % 4096;
	case AT_HEADER_1:
		return 131072 + off % 4096;
	case AT_REGIONS_0:
		return 196608 + off % 65536;
	case AT_REGIONS_1:
		return 262144 + off % 65536;
	case AT_TABLE:
		return region_off(store, GEN_METADATA) + off % 65536;
	case AT_ITEMS:
		return region_off(store, GEN_METADATA) + 65536 + off % 65536;
	case AT_LOCATOR:
		return region_off(store, GEN_METADATA) + 69632 + off % 4096;
	case AT_BAT:
		return region_off(store, GEN_BAT) + off % 65536;
	case AT_BITMAP_ENTRY:
		return region_off(store, GEN_BAT) + (uint64_t)8 * 2048 + off % 64;
	case AT_BITMAP:
		return BITMAP_OFF + off % GEN_MIB;
	case AT_LOG:
		return log_off(store) + off % GEN_MIB;
	case AT_IDENT:
		return off % 520;
	default:
		return off % 65536 * 512;
	}
}

/* Where a changed table says that something lies far away, nothing is written. */
static void write_near(struct store *store, const uint8_t *bytes, size_t n, uint64_t at)
{
	if (at < 64 * GEN_MIB)
		store_write(store, bytes, n, at);
}

void fuzz_patch(struct store *store, struct feed *records)
{
	while (records->n >= FUZZ_RECORD) {
		unsigned int place = (unsigned int)feed_int(records, 1) % AT_N;
		uint64_t shape = feed_int(records, 1), off, value;
		size_t width = shape % 8 + 1, repeat = shape / 8 + 1;
		uint8_t bytes[8];
		bool is_both = place == AT_HEADERS || place == AT_REGIONS;

		feed_int(records, 2);
		off = feed_int(records, 4);
		value = feed_int(records, 8);
		if (place == AT_LENGTH) {
			store_truncate(store, value % (64 * GEN_MIB));
			continue;
		}
		fuzz_put(bytes, value, 8);
		for (size_t i = 0; i < repeat; i++, off += width) {
			if (is_both)
				write_near(store, bytes, width, place_off(store, place - 1, off));
			write_near(store, bytes, width,
				   place_off(store, place - (is_both ? 2 : 0), off));
		}
	}
}

static void fix_one(struct store *store, uint64_t at, size_t len)
{
	static uint8_t bytes[65536];

	store_read(store, bytes, len, at);
	fuzz_seal(bytes, len, 4);
	store_write(store, bytes, len, at);
}

static void fix_log(struct store *store)
{
	static uint8_t bytes[1 << 20];
	uint64_t base = log_off(store), start, end;

	if (base > 64 * GEN_MIB || !store_next_data(store, base, &start, &end))
		return;
	for (uint64_t i = 0; i < 64; i++) {
		uint64_t at = base + i * 4096, len;

		store_read(store, bytes, 16, at);
		len = fuzz_get(bytes + 8, 4);
		if (memcmp(bytes, "loge", 4) != 0 || len < 4096 || len % 4096 ||
		    len > sizeof(bytes) / 4)
			continue;
		store_read(store, bytes, (size_t)len, at);
		fuzz_seal(bytes, (size_t)len, 4);
		store_write(store, bytes, 8, at);
	}
}

void fuzz_fix(struct store *store, unsigned int keep)
{
	for (unsigned int i = 0; i < 2; i++) {
		if (!(keep >> i & 1))
			fix_one(store, i ? 131072 : 65536, 4096);
		if (!(keep >> i & 4))
			fix_one(store, i ? 262144 : 196608, 65536);
	}
	if (!(keep & 16))
		fix_log(store);
}

void fuzz_put_record(uint8_t record[FUZZ_RECORD], enum fuzz_place place, uint32_t off,
		     uint64_t value, unsigned int width, unsigned int repeat)
{
	memset(record, 0, FUZZ_RECORD);
	record[0] = (uint8_t)place;
	record[1] = (uint8_t)(width - 1 + 8 * (repeat - 1));
	fuzz_put(record + 4, off, 4);
	fuzz_put(record + 8, value, 8);
}

static ssize_t small_read(void *state, void *buf, size_t len, uint64_t offset)
{
	uint64_t length = store_length(state);

	if (offset >= length)
		return 0;
	if (len > length - offset)
		len = (size_t)(length - offset);
	store_read(state, buf, len, offset);
	return (ssize_t)len;
}

static ssize_t small_write(void *state, const void *buf, size_t len, uint64_t offset)
{
	if (offset > FUZZ_MAX_FILE || len > FUZZ_MAX_FILE - offset)
		return -ENOSPC;
	store_write(state, buf, len, offset);
	return (ssize_t)len;
}

static int small_sync(void *state)
{
	(void)state;
	return 0;
}

static int small_length(void *state, uint64_t *length)
{
	*length = store_length(state);
	return 0;
}

static int small_truncate(void *state, uint64_t length)
{
	if (length > FUZZ_MAX_FILE)
		return -ENOSPC;
	store_truncate(state, length);
	return 0;
}

static int small_zero(void *state, uint64_t offset, uint64_t len)
{
	store_zero(state, offset, len);
	return 0;
}

static int small_next_data(void *state, uint64_t offset, uint64_t *start, uint64_t *end)
{
	return store_next_data(state, offset, start, end) ? 0 : -ENXIO;
}

static void small_close(void *state)
{
	(void)state;
}

struct vd_io *fuzz_io(struct store *store, bool is_writable)
{
	static const struct vd_io_ops ops = {
	    .size = sizeof(ops),
	    .read = small_read,
	    .write = small_write,
	    .sync = small_sync,
	    .length = small_length,
	    .truncate = small_truncate,
	    .close = small_close,
	    .punch = small_zero,
	    .zero = small_zero,
	    .next_data = small_next_data,
	};
	struct vd_io *io = NULL;

	FUZZ_CHECK(vd_io_open_ops(&io, &ops, store, "store", is_writable, NULL) == 0, "no store");
	return io;
}

static void take_finding(void *user, const struct vd_finding *finding)
{
	(void)user;
	FUZZ_CHECK(finding->rule && finding->section && finding->found && finding->expected,
		   "a finding without words");
	FUZZ_CHECK(fuzz_is_utf8(finding->found) || strlen(finding->found) > 300,
		   "a finding that can't be printed");
}

/* Who asks for VHDX where another format's signature stands is told that the argument is wrong. */
static bool is_wrong_argument(struct vd_io *io, int rc)
{
	const char *format = NULL;

	return rc == VD_EINVAL && vd_probe(io, &format, NULL) == 0 &&
	       strcmp(format, VD_FORMAT_VHDX) != 0;
}

uint64_t fuzz_check_image(struct vd_io *io, bool *is_refused)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	uint64_t n_errors = 0;
	int rc;

	opts.flags = VD_OPEN_NO_PARENTS;
	opts.format = VD_FORMAT_VHDX;
	rc = vd_disk_check_io(io, &opts, take_finding, NULL, &n_errors, &err);
	*is_refused = rc != 0;
	FUZZ_CHECK(rc == 0 || rc == VD_EUNSUPPORTED || is_wrong_argument(io, rc),
		   "the check answers %d: %s", rc, err.text);
	return n_errors;
}

struct vd_disk *fuzz_open(struct vd_io *io, uint32_t flags, int *rc)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk = NULL;

	opts.flags = flags | VD_OPEN_NO_PARENTS;
	opts.cache_bytes = 65536; /* so small that pages come and go */
	opts.format = VD_FORMAT_VHDX;
	*rc = vd_disk_open_io(&disk, io, &opts, &err);
	FUZZ_CHECK(*rc == 0 || (err.code == *rc && err.text[0]), "refused without a reason");
	FUZZ_CHECK(*rc != VD_EINVAL || is_wrong_argument(io, *rc), "opening answers %d: %s", *rc,
		   err.text);
	FUZZ_CHECK(*rc != VD_ENOMEM && *rc != VD_EIO, "opening answers %d: %s", *rc, err.text);
	return *rc ? NULL : disk;
}

/* The extent as a data path sees it. */
static void check_resolve(struct vd_disk *disk, const struct vd_extent *extent)
{
	struct vd_mapping mapping;

	FUZZ_CHECK(vd_disk_resolve(disk, extent->start, extent->length, VD_ACCESS_READ, &mapping,
				   NULL) == 0,
		   "what is mapped can't be resolved");
	FUZZ_CHECK(mapping.length && mapping.length <= extent->length, "length");
	if (extent->state == VD_STATE_DATA)
		FUZZ_CHECK(mapping.state == VD_STATE_DATA && mapping.io_offset == extent->offset,
			   "map and resolve disagree at %llu", (unsigned long long)extent->start);
	else if (extent->state == VD_STATE_PARENT)
		FUZZ_CHECK(mapping.state == VD_STATE_PARENT, "map says parent");
	FUZZ_CHECK(vd_disk_release(disk, &mapping, VD_OUTCOME_READ, NULL) == 0, "release");
}

/* Its first and last bytes. */
static void check_bytes(struct vd_disk *disk, const struct vd_extent *extent)
{
	uint8_t bytes[64];
	uint64_t len = extent->length < sizeof(bytes) ? extent->length : sizeof(bytes);
	int rc;

	for (int i = 0; i < 2; i++) {
		uint64_t at = i ? extent->start + extent->length - len : extent->start;

		memset(bytes, 0xff, sizeof(bytes));
		rc = vd_disk_read(disk, bytes, (size_t)len, at, NULL);
		if (extent->state == VD_STATE_PARENT)
			continue; /* there is none */
		FUZZ_CHECK(rc == 0, "what is mapped can't be read: %d", rc);
		for (uint64_t b = 0; b < len && extent->state != VD_STATE_DATA; b++)
			FUZZ_CHECK(!bytes[b], "a hole that isn't zero");
	}
}

bool fuzz_walk(struct vd_disk *disk, uint32_t max)
{
	uint64_t at = 0, size = vd_disk_size(disk);

	while (at < size && max--) {
		struct vd_extent extent;
		struct vd_error err = VD_ERROR_INIT;
		int rc = vd_disk_map(disk, at, size - at, &extent, &err);

		if (rc) {
			FUZZ_CHECK(rc == VD_ECORRUPT && err.text[0], "map answers %d: %s", rc,
				   err.text);
			return false;
		}
		FUZZ_CHECK(extent.start == at && extent.length && extent.length <= size - at,
			   "extent [%llu, +%llu) at %llu", (unsigned long long)extent.start,
			   (unsigned long long)extent.length, (unsigned long long)at);
		FUZZ_CHECK(extent.state != VD_STATE_DATA ||
			       (extent.offset >= GEN_MIB && extent.offset <= ((uint64_t)129 << 40)),
			   "data at %llu", (unsigned long long)extent.offset);
		check_resolve(disk, &extent);
		check_bytes(disk, &extent);
		at += extent.length;
	}
	return true;
}
