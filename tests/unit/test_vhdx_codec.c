/* SPDX-License-Identifier: MIT */
/* Geometry, and what is encoded decodes to the same; byte for byte as MS-VHDX has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/vhdx/vhdx_layout.h"
#include "format/vhdx/vhdx_ondisk.h"
#include "stamp.h"
#include "vhdxgen.h"

static void geometry_of(struct vhdx_geometry *g, uint64_t size, uint32_t block, uint32_t sector,
			bool has_parent)
{
	struct vhdx_params params = {.virtual_size = size,
				     .block_size = block,
				     .logical_sector_size = sector,
				     .has_parent = has_parent};

	vhdx_geometry_init(g, &params);
}

static void chunk_ratio_follows_from_block_and_sector(void **state)
{
	struct vhdx_geometry g;

	(void)state;
	geometry_of(&g, 1 << 20, 1 << 20, 512, false);
	assert_int_equal(1 << g.ratio_bits, 4096);
	geometry_of(&g, 1 << 20, 256 << 20, 512, false);
	assert_int_equal(1 << g.ratio_bits, 16);
	geometry_of(&g, 1 << 20, 1 << 20, 4096, false);
	assert_int_equal(1 << g.ratio_bits, 32768);
	geometry_of(&g, 1 << 20, 32 << 20, 4096, false);
	assert_int_equal(1 << g.ratio_bits, 1024);
}

static void number_of_entries(void **state)
{
	struct vhdx_geometry g;

	(void)state;
	/* 64 TiB in blocks of 1 MiB: 2^26 of them and 16,383 bitmaps between them. */
	geometry_of(&g, 64 * VD_TIB, 1 << 20, 512, false);
	assert_int_equal(g.n_blocks, 1 << 26);
	assert_int_equal(g.n_entries, (1 << 26) + 16383);
	geometry_of(&g, 64 * VD_TIB, 1 << 20, 512, true);
	assert_int_equal(g.n_entries, (1 << 26) + 16384);
	/* One block: a child needs the bitmap entry behind a whole chunk. */
	geometry_of(&g, 512, 1 << 20, 512, false);
	assert_int_equal(g.n_blocks, 1);
	assert_int_equal(g.n_entries, 1);
	geometry_of(&g, 512, 1 << 20, 512, true);
	assert_int_equal(g.n_entries, 4097);
	/* Exactly one chunk, and one block more. */
	geometry_of(&g, 4096 * VD_MIB, 1 << 20, 512, false);
	assert_int_equal(g.n_entries, 4096);
	geometry_of(&g, 4097 * VD_MIB, 1 << 20, 512, false);
	assert_int_equal(g.n_entries, 4098);
	assert_int_equal(vhdx_payload_index(&g, 4095), 4095);
	assert_int_equal(vhdx_payload_index(&g, 4096), 4097);
	assert_int_equal(vhdx_bitmap_index(&g, 0), 4096);
	assert_int_equal(vhdx_bitmap_index(&g, 1), 8193);
}

static void guid_constants_are_those_of_the_specification(void **state)
{
	static const struct {
		const struct vd_guid *guid;
		const char *text;
	} all[] = {
	    {&vhdx_region_bat, GEN_BAT},
	    {&vhdx_region_metadata, GEN_METADATA},
	    {&vhdx_item_params, GEN_PARAMS},
	    {&vhdx_item_virtual_size, GEN_SIZE},
	    {&vhdx_item_disk_id, GEN_DISK_ID},
	    {&vhdx_item_logical_sector, GEN_LOGICAL},
	    {&vhdx_item_physical_sector, GEN_PHYSICAL},
	    {&vhdx_item_locator, GEN_LOCATOR},
	    {&vhdx_locator_type, GEN_LOC_TYPE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		char text[VD_GUID_TEXT];

		vd_guid_format(*all[i].guid, text);
		assert_string_equal(text, all[i].text);
	}
}

static void header_is_as_the_generator_has_it(void **state)
{
	struct vhdx_header header, again;
	uint8_t bytes[VHDX_HEADER_SIZE], expected[VHDX_HEADER_SIZE];
	struct store *store = store_new(NULL);
	struct vhdxgen g;

	(void)state;
	vhdxgen_init(&g);
	g.header[0].log_id = GEN_UNKNOWN;
	g.header[0].seq = 0x1122334455667788;
	vhdxgen_emit(&g, store);
	store_read(store, expected, sizeof(expected), 65536);
	assert_true(vhdx_header_decode(vd_span(expected, sizeof(expected)), &header));
	assert_true(header.seq == 0x1122334455667788);
	assert_int_equal(header.log_len, 1 << 20);
	vhdx_header_encode(&header, bytes);
	assert_memory_equal(bytes, expected, sizeof(bytes));
	assert_true(vhdx_header_decode(vd_span(bytes, sizeof(bytes)), &again));
	/* Any bit of it is under the checksum. */
	bytes[4095] ^= 1;
	assert_false(vhdx_header_decode(vd_span(bytes, sizeof(bytes)), &again));
	assert_false(vhdx_header_decode(vd_span(bytes, 4095), &again));
	store_free(store);
}

static void region_table_is_as_the_generator_has_it(void **state)
{
	static uint8_t bytes[VHDX_REGIONS_SIZE], expected[VHDX_REGIONS_SIZE];
	struct store *store = store_new(NULL);
	struct vhdx_regions regions = {0};
	struct vd_error err = VD_ERROR_INIT;
	struct vhdxgen g;
	bool is_valid;

	(void)state;
	vhdxgen_init(&g);
	vhdxgen_add_region(&g, GEN_UNKNOWN, 16 * GEN_MIB, 2 << 20, 0);
	vhdxgen_add_region(&g, GEN_UNKNOWN_2, 18 * GEN_MIB, 1 << 20, 0);
	vhdxgen_emit(&g, store);
	store_read(store, expected, sizeof(expected), VHDX_REGIONS_OFF(0));
	assert_int_equal(
	    vhdx_regions_decode(vd_span(expected, sizeof(expected)), 0, &regions, &is_valid, &err),
	    0);
	assert_true(is_valid);
	assert_int_equal(regions.n_unknown, 2);
	assert_int_equal(regions.unknown[0].len, 2 << 20);
	vhdx_regions_encode(&regions, bytes);
	assert_memory_equal(bytes, expected, sizeof(bytes));
	vhdx_regions_free(&regions);
	store_free(store);
}

static void log_entry_is_as_the_generator_has_it(void **state)
{
	static const char log_id[] = "a0000000-0001-4002-8003-000000000004";
	enum { N = 130 }; /* descriptors in two sectors */
	static uint8_t pages[N][VHDX_PAGE];
	static struct gen_desc descs[N];
	static uint64_t offs[N];
	uint64_t random = 1;
	struct vd_guid id;

	(void)state;
	assert_true(vd_guid_parse(log_id, &id));
	for (size_t i = 0; i < N; i++) {
		for (size_t b = 0; b < VHDX_PAGE; b++)
			pages[i][b] = (uint8_t)rnd(&random);
		offs[i] = 3 * VD_MIB + i * VHDX_PAGE;
		descs[i] = (struct gen_desc){.off = offs[i], .page = pages[i]};
	}
	for (size_t n = 0; n <= N; n += n < 124 ? 31 : 1) {
		struct gen_entry entry = {.seq = ((uint64_t)7 << 32) + n,
					  .tail = 8192,
					  .flushed_off = 5 << 20,
					  .last_off = 6 << 20,
					  .descs = descs,
					  .n_descs = (uint32_t)n};
		size_t size = vhdx_entry_size(n);
		struct store *store = store_new(NULL);
		uint8_t *bytes = malloc(size), *expected = malloc(size);

		assert_int_equal(gen_entry_size(&entry), size);
		gen_entry_emit(&entry, log_id, store, 0, 1 << 20);
		store_read(store, expected, size, 0);
		vhdx_entry_encode(bytes, entry.seq, entry.tail, id, entry.flushed_off,
				  entry.last_off, offs, (const uint8_t(*)[VHDX_PAGE])pages, n);
		assert_memory_equal(bytes, expected, size);
		free(bytes);
		free(expected);
		store_free(store);
	}
}

static void locator_comes_back(void **state)
{
	static const struct vd_parent_hint hint = {
	    .linkage = "{d0000000-0001-4002-8003-000000000004}",
	    .linkage2 = "{d0000000-0001-4002-8003-000000000005}",
	    .relative_path = "..\\Bilder\\gr\xc3\xbc\xc3\x9f \xf0\x9f\x92\xbe.vhdx",
	    .volume_path = "\\\\?\\Volume{x}\\a.vhdx",
	    .absolute_win32_path = "C:\\a.vhdx",
	};
	struct vd_parent_hint again;
	struct vd_error err = VD_ERROR_INIT;
	uint8_t bytes[2048];
	size_t len;

	(void)state;
	assert_true(vhdx_locator_encode(&hint, bytes, sizeof(bytes), &len));
	assert_int_equal(vhdx_locator_decode(vd_span(bytes, len), 0, &again, &err), 0);
	assert_memory_equal(&again, &hint, sizeof(hint));
	/* Too little room is an answer, not an overrun. */
	for (size_t size = 0; size < len; size++) {
		uint8_t *exact = malloc(size + 1);
		size_t n;

		assert_false(vhdx_locator_encode(&hint, exact, size, &n));
		free(exact);
	}
	/* Nor is a span that ends early. */
	for (size_t size = 0; size < len; size++) {
		uint8_t *exact = malloc(size + 1);

		memcpy(exact, bytes, size);
		assert_int_equal(vhdx_locator_decode(vd_span(exact, size), 0, &again, &err),
				 VD_ECORRUPT);
		free(exact);
	}
}

static void path_too_long_counts_as_absent(void **state)
{
	static char long_path[1500];
	struct store *store = store_new(NULL);
	struct vd_io *io;
	struct vhdx_headers headers;
	struct vhdx_regions regions;
	struct vhdx_params params;
	struct vd_error err = VD_ERROR_INIT;
	struct vhdxgen g;

	(void)state;
	memset(long_path, 'x', sizeof(long_path) - 1);
	vhdxgen_init_child(&g);
	g.pair[2].key = "volume_path";
	g.pair[2].value = long_path;
	g.n_pairs = 3;
	vhdxgen_item(&g, GEN_LOCATOR)->len = 4096;
	vhdxgen_emit(&g, store);
	io = store_io(store, false);
	assert_int_equal(vhdx_headers_read(io, &headers, &err), 0);
	assert_int_equal(vhdx_regions_read(io, &headers.slot[headers.current], &regions, &err), 0);
	assert_int_equal(vhdx_params_read(io, &regions, &params, &err), 0);
	assert_string_equal(params.parent->relative_path, ".\\base.vhdx");
	assert_string_equal(params.parent->volume_path, "");
	vhdx_params_free(&params);
	vhdx_regions_free(&regions);
	vd_io_close(io);
	store_free(store);
}

/* Looking at an image costs few reads, wherever its items lie. */
static void reading_takes_few_reads(void **state)
{
	struct store *store = store_new(NULL);
	struct vd_io *io;
	struct vd_io_stats stats;
	struct vhdx_headers headers;
	struct vhdx_regions regions;
	struct vhdx_params params;
	struct vd_error err = VD_ERROR_INIT;
	struct vhdxgen g;

	(void)state;
	vhdxgen_init_child(&g);
	for (uint32_t i = 0; i < 6; i++)
		g.item[i].off = 900000 - 130000 * i;
	vhdxgen_emit(&g, store);
	io = store_io(store, false);
	assert_int_equal(vhdx_headers_read(io, &headers, &err), 0);
	assert_int_equal(vhdx_regions_read(io, &headers.slot[headers.current], &regions, &err), 0);
	assert_int_equal(vhdx_params_read(io, &regions, &params, &err), 0);
	assert_int_equal(params.block_size, 2 << 20);
	assert_int_equal(params.virtual_size, 64 * GEN_MIB);
	vd_io_get_stats(io, &stats);
	assert_true(stats.n_reads <= 11);
	assert_true(stats.bytes_read <= 256 << 10);
	vhdx_params_free(&params);
	vhdx_regions_free(&regions);
	vd_io_close(io);
	store_free(store);
}

static void second_region_table_serves_when_the_first_is_bad(void **state)
{
	struct store *store = store_new(NULL);
	struct vd_io *io;
	struct vhdx_headers headers;
	struct vhdx_regions regions;
	struct vd_error err = VD_ERROR_INIT;
	struct vhdxgen g;

	(void)state;
	vhdxgen_init(&g);
	g.regions[0].is_bad = true;
	g.regions[0].at[0].off = 64 * GEN_MIB;
	vhdxgen_emit(&g, store);
	io = store_io(store, false);
	assert_int_equal(vhdx_headers_read(io, &headers, &err), 0);
	assert_int_equal(headers.current, 1);
	assert_int_equal(vhdx_regions_read(io, &headers.slot[1], &regions, &err), 0);
	assert_false(regions.is_valid[0]);
	assert_true(regions.is_valid[1]);
	assert_false(regions.differ);
	assert_int_equal(regions.bat.off, 3 * GEN_MIB);
	vhdx_regions_free(&regions);
	assert_int_equal(vhdx_regions_look(io, &headers.slot[1], &regions, &err), 0);
	assert_false(regions.is_valid[0]);
	assert_true(regions.is_valid[1]);
	assert_int_equal(regions.bat.off, 3 * GEN_MIB);
	vhdx_regions_free(&regions);
	store_write(store, "torn", 4, 262144 + 20);
	assert_int_equal(vhdx_regions_look(io, &headers.slot[1], &regions, &err), VD_ECORRUPT);
	assert_non_null(strstr(err.text, "neither region table"));
	vd_io_close(io);
	store_free(store);
}

static void who_only_looks_reads_one_region_table(void **state)
{
	struct store *store = store_new(NULL);
	struct vd_io *io;
	struct vd_io_stats before, after;
	struct vhdx_headers headers;
	struct vhdx_regions regions;
	struct vd_error err = VD_ERROR_INIT;
	struct vhdxgen g;

	(void)state;
	vhdxgen_init(&g);
	g.regions[1].is_bad = true;
	vhdxgen_emit(&g, store);
	io = store_io(store, false);
	assert_int_equal(vhdx_headers_read(io, &headers, &err), 0);
	vd_io_get_stats(io, &before);
	assert_int_equal(vhdx_regions_look(io, &headers.slot[headers.current], &regions, &err), 0);
	vd_io_get_stats(io, &after);
	assert_int_equal(after.n_reads - before.n_reads, 1);
	assert_int_equal(after.bytes_read - before.bytes_read, 65536);
	assert_true(regions.is_valid[0]);
	vhdx_regions_free(&regions);
	/* Who writes has to know of both. */
	assert_int_equal(vhdx_regions_read(io, &headers.slot[headers.current], &regions, &err), 0);
	assert_true(regions.is_valid[0]);
	assert_false(regions.is_valid[1]);
	vhdx_regions_free(&regions);
	vd_io_close(io);
	store_free(store);
}

static void higher_sequence_number_is_the_current_header(void **state)
{
	struct vhdx_headers headers = {.is_valid = {true, true}};
	struct vd_error err = VD_ERROR_INIT;

	(void)state;
	for (int slot = 0; slot < 2; slot++)
		headers.slot[slot] =
		    (struct vhdx_header){.version = 1, .log_len = 1 << 20, .log_off = 1 << 20};
	for (int slot = 0; slot < 2; slot++) {
		headers.slot[slot].seq = UINT64_MAX;
		headers.slot[!slot].seq = 1;
		assert_int_equal(vhdx_headers_choose(&headers, &err), 0);
		assert_int_equal(headers.current, slot);
		/* But only if it is valid. */
		headers.is_valid[slot] = false;
		assert_int_equal(vhdx_headers_choose(&headers, &err), 0);
		assert_int_equal(headers.current, !slot);
		headers.is_valid[slot] = true;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(chunk_ratio_follows_from_block_and_sector),
	    cmocka_unit_test(number_of_entries),
	    cmocka_unit_test(guid_constants_are_those_of_the_specification),
	    cmocka_unit_test(header_is_as_the_generator_has_it),
	    cmocka_unit_test(region_table_is_as_the_generator_has_it),
	    cmocka_unit_test(log_entry_is_as_the_generator_has_it),
	    cmocka_unit_test(locator_comes_back),
	    cmocka_unit_test(higher_sequence_number_is_the_current_header),
	    cmocka_unit_test(path_too_long_counts_as_absent),
	    cmocka_unit_test(reading_takes_few_reads),
	    cmocka_unit_test(second_region_table_serves_when_the_first_is_bad),
	    cmocka_unit_test(who_only_looks_reads_one_region_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
