/* SPDX-License-Identifier: MIT */
/*
 * The region tables, by way of vhdx_regions_read. Input: flags (bits 0, 1: wrong checksum of a
 * copy; bit 2: copies differ; bit 3: a short span), then the first bytes of the table: header and
 * entries of 32 bytes.
 * Property: what is accepted has both regions; they lie in whole MiB behind the first, share no
 * byte with each other, the log, or an unknown region; no unknown region is required; all entries
 * are accounted for; encoding them again gives the same meaning.
 */
#include <stdlib.h>
#include <string.h>

#include "format/vhdx/vhdx_layout.h"
#include "fuzz.h"
#include "vhdxgen.h"

#define LOG_OFF GEN_MIB
#define LOG_LEN (2 * GEN_MIB)

static void check_one(const struct vhdx_region *r)
{
	FUZZ_CHECK(r->off % GEN_MIB == 0 && r->off >= GEN_MIB && r->len % GEN_MIB == 0 &&
		       r->off + r->len <= INT64_MAX,
		   "region [%llu, +%u)", (unsigned long long)r->off, r->len);
	FUZZ_CHECK(!r->len || r->off + r->len <= LOG_OFF || r->off >= LOG_OFF + LOG_LEN,
		   "a region in the log, at %llu", (unsigned long long)r->off);
}

static void check_pair(const struct vhdx_region *a, const struct vhdx_region *b)
{
	FUZZ_CHECK(!a->len || !b->len || a->off + a->len <= b->off || b->off + b->len <= a->off,
		   "regions at %llu and %llu overlap", (unsigned long long)a->off,
		   (unsigned long long)b->off);
	FUZZ_CHECK(!vd_guid_is_equal(a->id, b->id), "one region twice");
}

static void check_all(const struct vhdx_regions *regions, uint32_t n_entries)
{
	uint8_t *bytes = malloc(VHDX_REGIONS_SIZE);
	struct vhdx_regions again = {0};
	bool is_valid;

	FUZZ_CHECK(bytes, "no memory");
	FUZZ_CHECK(regions->n_unknown + 2 == n_entries, "%u entries, %u of them unknown", n_entries,
		   regions->n_unknown);
	FUZZ_CHECK(regions->bat.len && regions->metadata.len, "a region is missing");
	check_one(&regions->bat);
	check_one(&regions->metadata);
	check_pair(&regions->bat, &regions->metadata);
	for (uint32_t i = 0; i < regions->n_unknown; i++) {
		const struct vhdx_region *r = &regions->unknown[i];

		FUZZ_CHECK(!r->is_required, "an unknown required region was accepted");
		check_one(r);
		check_pair(r, &regions->bat);
		check_pair(r, &regions->metadata);
		for (uint32_t j = 0; j < i; j++)
			check_pair(r, &regions->unknown[j]);
	}
	vhdx_regions_encode(regions, bytes);
	FUZZ_CHECK(vhdx_regions_decode(vd_span(bytes, VHDX_REGIONS_SIZE), 0, &again, &is_valid,
				       NULL) == 0 &&
		       is_valid,
		   "what was encoded isn't accepted");
	FUZZ_CHECK(again.bat.off == regions->bat.off && again.bat.len == regions->bat.len &&
		       again.metadata.off == regions->metadata.off &&
		       again.n_unknown == regions->n_unknown,
		   "encoding changes the table");
	vhdx_regions_free(&again);
	free(bytes);
	fuzz_deep();
}

static void run(const uint8_t *data, size_t size)
{
	struct feed feed = {data, size};
	uint8_t flags = (uint8_t)feed_int(&feed, 1);
	const struct vhdx_header header = {.log_off = LOG_OFF, .log_len = LOG_LEN};
	uint8_t *bytes = calloc(1, VHDX_REGIONS_SIZE);
	struct store *store = store_new(NULL);
	struct vd_io *io = store_io(store, false);
	struct vhdx_regions regions = {0};
	bool is_valid;

	FUZZ_CHECK(bytes && io, "no memory");
	feed_bytes(&feed, bytes, VHDX_REGIONS_SIZE);
	for (int copy = 0; copy < 2; copy++) {
		if (copy && flags & 4)
			bytes[12]++;
		fuzz_seal(bytes, VHDX_REGIONS_SIZE, 4);
		bytes[4] ^= (uint8_t)(flags >> copy & 1);
		store_write(store, bytes, VHDX_REGIONS_SIZE, VHDX_REGIONS_OFF(copy));
	}
	if (flags & 8) {
		uint8_t *some = fuzz_exact(data, size);

		FUZZ_CHECK(vhdx_regions_decode(vd_span(some, size), 0, &regions, &is_valid, NULL) ==
				   0 &&
			       (!is_valid || size >= VHDX_REGIONS_SIZE),
			   "%zu bytes were accepted", size);
		vhdx_regions_free(&regions);
		free(some);
	}
	if (vhdx_regions_read(io, &header, &regions, NULL) == 0) {
		FUZZ_CHECK(!(flags & 1) || !(flags & 2), "two wrong checksums were accepted");
		FUZZ_CHECK(memcmp(bytes, "regi", 4) == 0, "a wrong signature was accepted");
		check_all(&regions, (uint32_t)fuzz_get(bytes + 8, 4));
		vhdx_regions_free(&regions);
	}
	vd_io_close(io);
	store_free(store);
	free(bytes);
}

static void put_region(uint8_t *at, const char *id, uint64_t off, uint64_t len, uint32_t flags)
{
	gen_guid(id, at);
	fuzz_put(at + 16, off, 8);
	fuzz_put(at + 24, len, 4);
	fuzz_put(at + 28, flags, 4);
}

static void seed(void)
{
	uint8_t data[1 + 16 + 4 * 32] = {0};
	uint8_t *entry = data + 1 + 16;

	memcpy(data + 1, "regi", 4);
	data[1 + 8] = 2;
	put_region(entry, GEN_BAT, 4 * GEN_MIB, GEN_MIB, 1);
	put_region(entry + 32, GEN_METADATA, 3 * GEN_MIB, GEN_MIB, 1);
	for (uint8_t flags = 0; flags < 9; flags++) {
		char name[] = "flags-0";

		name[6] = (char)('0' + flags);
		data[0] = flags;
		fuzz_seed(name, data, sizeof(data));
	}
	data[0] = 0;
	data[1 + 8] = 3;
	put_region(entry + 64, GEN_UNKNOWN, 8 * GEN_MIB, GEN_MIB, 0);
	fuzz_seed("unknown", data, sizeof(data));
	entry[64 + 28] = 1;
	fuzz_seed("required", data, sizeof(data));
	put_region(entry + 64, GEN_UNKNOWN, 3 * GEN_MIB, 2 * GEN_MIB, 0);
	fuzz_seed("overlap", data, sizeof(data));
	put_region(entry + 64, GEN_BAT, 8 * GEN_MIB, 2 * GEN_MIB, 0);
	fuzz_seed("twice", data, sizeof(data));
	put_region(entry + 64, GEN_UNKNOWN, 1 * GEN_MIB, 1 * GEN_MIB, 0);
	fuzz_seed("in-log", data, sizeof(data));
	put_region(entry, GEN_BAT, 1 * GEN_MIB, 1 * GEN_MIB, 0);
	fuzz_seed("bat-in-log", data, sizeof(data));
	put_region(entry + 64, GEN_UNKNOWN, 8 * GEN_MIB, 4096, 0);
	fuzz_seed("length", data, sizeof(data));
	put_region(entry + 64, GEN_UNKNOWN, 0x7ffffffffff00000, 0xfff00000, 0);
	fuzz_seed("far", data, sizeof(data));
	put_region(entry + 64, GEN_UNKNOWN, 4096, GEN_MIB, 0);
	fuzz_seed("offset", data, sizeof(data));
	data[1 + 8] = 1;
	fuzz_seed("one", data, sizeof(data));
	fuzz_put(data + 1 + 8, 2048, 4);
	fuzz_seed("too-many", data, sizeof(data));
	fuzz_put(data + 1 + 8, 4, 4);
	put_region(entry + 64, GEN_UNKNOWN, 8 * GEN_MIB, 0, 0);
	put_region(entry + 96, GEN_UNKNOWN_2, 8 * GEN_MIB, 0, 0);
	fuzz_seed("empty", data, sizeof(data));
}

const struct fuzz_target fuzz_regions = {
    .name = "regions", .run = run, .record = 32, .head = 17, .seed = seed, .max_memory = 1 << 20};
