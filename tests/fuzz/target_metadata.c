/* SPDX-License-Identifier: MIT */
/*
 * The metadata region, by way of vhdx_params_read. Input: flags, length of the region in MiB, four
 * records that place content (offset behind the table, length, content in order), then the table:
 * its header and entries of 32 bytes; then the content.
 * Property: what is accepted has a table whose items lie behind it and within the region, overlap
 * nowhere, are there once; parameters keep the limits of MS-VHDX 2.6.2; the BAT has room for the
 * disk; unknown items that are required are refused.
 */
#include <stdlib.h>
#include <string.h>

#include "format/vhdx/vhdx_layout.h"
#include "format/vhdx/vhdx_ondisk.h"
#include "fuzz.h"
#include "vhdxgen.h"

#define AT      (2 * GEN_MIB)
#define HEAD    20u
#define ENTRIES 32u

static void check_items(const struct vhdx_params *p, const uint8_t *table, uint32_t region_len)
{
	FUZZ_CHECK(p->n_items == fuzz_get(table + 10, 2), "%u items", p->n_items);
	for (uint32_t i = 0; i < p->n_items; i++) {
		const struct vhdx_item *a = &p->items[i];

		if (a->len)
			FUZZ_CHECK(a->off >= VHDX_TABLE_SIZE && a->len <= VHDX_MAX_ITEM &&
				       (uint64_t)a->off + a->len <= region_len,
				   "item %u is [%u, +%u)", i, a->off, a->len);
		else
			FUZZ_CHECK(!a->off, "item %u is empty but has an offset", i);
		for (uint32_t j = 0; j < i; j++) {
			const struct vhdx_item *b = &p->items[j];

			FUZZ_CHECK(!a->len || !b->len || a->off + a->len <= b->off ||
				       b->off + b->len <= a->off,
				   "items %u and %u overlap", i, j);
			FUZZ_CHECK(!vd_guid_is_equal(a->id, b->id) ||
				       ((a->flags ^ b->flags) & VHDX_ITEM_USER),
				   "items %u and %u are the same", i, j);
		}
	}
}

static void check_params(const struct vhdx_params *p, uint64_t bat_len)
{
	struct vhdx_geometry g;
	uint64_t ratio;

	FUZZ_CHECK(p->block_size >= GEN_MIB && p->block_size <= 256 * GEN_MIB &&
		       !(p->block_size & (p->block_size - 1)),
		   "block size %u", p->block_size);
	FUZZ_CHECK(p->logical_sector_size == 512 || p->logical_sector_size == 4096,
		   "logical sector %u", p->logical_sector_size);
	FUZZ_CHECK(p->physical_sector_size == 512 || p->physical_sector_size == 4096,
		   "physical sector %u", p->physical_sector_size);
	FUZZ_CHECK(p->virtual_size && p->virtual_size <= VHDX_MAX_SIZE &&
		       p->virtual_size % p->logical_sector_size == 0,
		   "virtual size %llu", (unsigned long long)p->virtual_size);
	FUZZ_CHECK(p->has_parent == (p->parent != NULL), "parent or no parent");
	vhdx_geometry_init(&g, p);
	/* The formulas of MS-VHDX 2.5, once more. */
	ratio = ((uint64_t)1 << 23) * p->logical_sector_size / p->block_size;
	FUZZ_CHECK(g.n_blocks == (p->virtual_size + p->block_size - 1) / p->block_size, "blocks");
	FUZZ_CHECK(g.n_chunks == (g.n_blocks + ratio - 1) / ratio, "chunks");
	FUZZ_CHECK(g.n_entries == (p->has_parent ? g.n_chunks * (ratio + 1)
						 : g.n_blocks + (g.n_blocks - 1) / ratio),
		   "%llu entries", (unsigned long long)g.n_entries);
	FUZZ_CHECK(g.n_entries * 8 <= bat_len, "a BAT too short was accepted");
	fuzz_deep();
}

/* Lay the input out as a metadata region. */
static void lay_out(struct feed *feed, struct store *store, uint8_t *table)
{
	struct {
		uint64_t off, len;
	} place[4];
	uint64_t n;

	for (int i = 0; i < 4; i++) {
		place[i].off = VHDX_TABLE_SIZE + feed_int(feed, 3) % (2 * GEN_MIB);
		place[i].len = feed_int(feed, 1);
	}
	n = feed_int(feed, 1) % ENTRIES;
	feed_bytes(feed, table, 32 + 32 * n);
	for (int i = 0; i < 4; i++) {
		uint8_t bytes[256] = {0};

		feed_bytes(feed, bytes, place[i].len);
		store_write(store, bytes, place[i].len, AT + place[i].off);
	}
}

static void run(const uint8_t *data, size_t size)
{
	struct feed feed = {data, size};
	uint8_t flags = (uint8_t)feed_int(&feed, 1), mib = (uint8_t)feed_int(&feed, 1);
	uint8_t *table = calloc(1, VHDX_TABLE_SIZE);
	struct store *store = store_new(NULL);
	struct vhdx_regions regions = {0};
	struct vhdx_params params = {0};
	struct vd_error err = VD_ERROR_INIT;
	struct vd_io *io;

	FUZZ_CHECK(table, "no memory");
	(void)feed_int(&feed, 1);
	regions.metadata.off = AT;
	regions.metadata.len = (uint32_t)((1 + mib % 4u) * GEN_MIB);
	regions.bat.len = (uint32_t)GEN_MIB << (flags & 7);
	lay_out(&feed, store, table);
	store_write(store, table, VHDX_TABLE_SIZE, AT);
	io = store_io(store, false);
	if (flags & 128)
		FUZZ_CHECK(
		    vhdx_items_decode(vd_span(data, size), &regions.metadata, &params, NULL) != 0,
		    "a short table was accepted");
	vhdx_params_free(&params);
	if (vhdx_params_read(io, &regions, &params, &err) == 0) {
		check_items(&params, table, regions.metadata.len);
		check_params(&params, regions.bat.len);
		vhdx_params_free(&params);
	} else {
		FUZZ_CHECK(err.text[0], "refused without a reason");
	}
	vd_io_close(io);
	store_free(store);
	free(table);
}

static void seed_image(const char *name, const struct vhdxgen *g, uint32_t locator_len)
{
	struct store *store = store_new(NULL);
	uint8_t data[4096] = {0}, *at = data + HEAD;
	size_t n = 32 + 32 * (size_t)g->n_items;

	vhdxgen_emit(g, store);
	/* Items without the locator at 64 KiB, locator at 68 KiB. */
	fuzz_put(data + 3, 0, 3);
	data[6] = 64;
	fuzz_put(data + 7, 4096, 3);
	data[10] = (uint8_t)(locator_len < 250 ? locator_len : 250);
	fuzz_put(data + 11, 4096 + 250, 3);
	data[14] = (uint8_t)(locator_len < 250 ? 0 : locator_len - 250);
	data[19] = (uint8_t)g->n_items;
	store_read(store, at, n, g->metadata_off);
	at += n;
	store_read(store, at, 64, g->metadata_off + 65536);
	at += 64;
	store_read(store, at, locator_len, g->metadata_off + 69632);
	at += locator_len;
	fuzz_seed(name, data, (size_t)(at - data));
	store_free(store);
}

static void seed(void)
{
	struct vhdxgen g;

	vhdxgen_init(&g);
	seed_image("dynamic", &g, 0);
	g.metadata_signature[0] = 'M';
	seed_image("signature", &g, 0);
	vhdxgen_init(&g);
	g.logical_sector_size = 4096;
	vhdxgen_add_item(&g, GEN_UNKNOWN, 69632, 16, 1);
	vhdxgen_add_item(&g, GEN_UNKNOWN, 0, 0, 0);
	seed_image("unknown", &g, 0);
	g.item[5].off = (1 << 20) - 16; /* up to the last byte of the region */
	seed_image("at-end", &g, 0);
	g.item[5].off++;
	seed_image("one-beyond", &g, 0);
	g.n_extra_items = 4000;
	seed_image("too-many", &g, 0);
	vhdxgen_init_child(&g);
	seed_image("child", &g, 300);
	vhdxgen_item(&g, GEN_LOCATOR)->len = 100000;
	seed_image("long-locator", &g, 300);
	g.params_flags = 0;
	seed_image("no-child", &g, 300);
	vhdxgen_init(&g);
	g.params_flags = 2;
	seed_image("no-locator", &g, 0);
	vhdxgen_init(&g);
	g.virtual_size += 1;
	seed_image("odd-size", &g, 0);
	g.virtual_size = (uint64_t)64 << 40;
	seed_image("bat", &g, 0);
	g.virtual_size = 0;
	seed_image("no-size", &g, 0);
	g.logical_sector_size = 1000;
	seed_image("sector", &g, 0);
	g.block_size = 3 << 20;
	seed_image("block", &g, 0);
	vhdxgen_init(&g);
	g.n_items = 4;
	seed_image("missing", &g, 0);
	vhdxgen_init(&g);
	vhdxgen_item(&g, GEN_SIZE)->len = 4;
	seed_image("short", &g, 0);
	vhdxgen_item(&g, GEN_SIZE)->off = 65536;
	seed_image("overlap", &g, 0);
	vhdxgen_item(&g, GEN_SIZE)->off = 4096;
	seed_image("in-table", &g, 0);
	vhdxgen_item(&g, GEN_SIZE)->off = (1 << 20) - 7; /* one byte too far */
	vhdxgen_item(&g, GEN_SIZE)->len = 8;
	seed_image("behind", &g, 0);
	vhdxgen_item(&g, GEN_SIZE)->len = 2 << 20;
	seed_image("huge", &g, 0);
	vhdxgen_item(&g, GEN_SIZE)->len = 0;
	seed_image("empty", &g, 0);
	vhdxgen_init(&g);
	vhdxgen_add_item(&g, GEN_UNKNOWN, 70000, 16, 4);
	seed_image("required", &g, 0);
	vhdxgen_init(&g);
	vhdxgen_add_item(&g, "71cc85f0-1b69-4e28-9558-c3bf83ae75d3", 70000, 16, 4);
	seed_image("incomplete", &g, 0);
	vhdxgen_init(&g);
	vhdxgen_add_item(&g, GEN_DISK_ID, 70000, 16, 4);
	seed_image("twice", &g, 0);
}

const struct fuzz_target fuzz_metadata = {.name = "metadata",
					  .run = run,
					  .record = 32,
					  .head = HEAD,
					  .seed = seed,
					  .max_memory = 4 << 20};
