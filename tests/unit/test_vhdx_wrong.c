/* SPDX-License-Identifier: MIT */
/* Each wrong image is refused, or coped with, and vhdx_check names the rule; its twin is fine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fault.h"
#include "format/vhdx/vhdx_layout.h"
#include "vhdxwrong.h"

/* As the engine opens: headers, then through the log, then the rest. */
static int decode(struct vd_io *io, struct vd_error *err)
{
	struct vhdx_headers headers;
	struct vhdx_regions regions;
	struct vhdx_params params;
	struct vhdx_replay *replay;
	struct vd_io *view = NULL;
	int rc = vhdx_headers_read(io, &headers, err);

	if (rc)
		return rc;
	if (vd_guid_is_nil(headers.slot[headers.current].log_id)) {
		view = vd_io_ref(io);
	} else {
		rc = vhdx_replay_scan(&replay, io, &headers.slot[headers.current], err);
		if (!rc)
			rc = vhdx_replay_view(&view, replay, io, err);
	}
	if (!rc)
		rc = vhdx_regions_read(view, &headers.slot[headers.current], &regions, err);
	if (!rc) {
		rc = vhdx_params_read(view, &regions, &params, err);
		if (!rc)
			vhdx_params_free(&params);
		vhdx_regions_free(&regions);
	}
	vd_io_close(view);
	return rc;
}

struct heard {
	const char *rule;
	enum vd_severity severity;
	uint64_t offset; /* VD_NO_OFFSET: wherever it is */
	bool is_there;
	uint64_t n_errors;
	char text[400]; /* of the last error */
};

static void hear(void *user, const struct vd_finding *finding)
{
	struct heard *heard = user;

	if (heard->rule && strcmp(finding->rule, heard->rule) == 0 &&
	    finding->severity == heard->severity &&
	    (heard->offset == VD_NO_OFFSET || finding->offset == heard->offset))
		heard->is_there = true;
	assert_true(finding->found && finding->found[0]);
	assert_true(finding->expected && finding->expected[0]);
	assert_int_equal(strncmp(finding->section, "MS-VHDX 2.", 10), 0);
	if (finding->severity != VD_FINDING_ERROR)
		return;
	heard->n_errors++;
	snprintf(heard->text, sizeof(heard->text), "%s: %s", finding->rule, finding->found);
}

static void check(struct vd_io *io, struct heard *heard)
{
	struct vd_error err = VD_ERROR_INIT;
	uint64_t n_errors;

	if (vhdx_check(io, hear, heard, &n_errors, &err))
		fail_msg("the check failed: %s", err.text);
	/* Floods are cut off, but counted. */
	if (heard->n_errors < 100)
		assert_int_equal(n_errors, heard->n_errors);
	else
		assert_true(n_errors >= 100);
}

static void one_image(const struct vhdx_wrong *wrong, bool is_twin)
{
	struct store *store = store_new(NULL);
	struct vd_io *io = store_io(store, false);
	struct vd_error err = VD_ERROR_INIT;
	struct heard heard = {.rule = wrong->rule,
			      .severity = wrong->severity,
			      .offset = is_twin ? VD_NO_OFFSET : wrong->offset};
	int expected = is_twin ? 0 : wrong->code, rc;
	struct vhdxgen g;

	vhdx_wrong_make(wrong, is_twin, &g);
	vhdxgen_emit(&g, store);
	rc = decode(io, &err);
	if (rc != expected)
		fail_msg("%s%s: code %d, expected %d (%s)", wrong->name, is_twin ? " twin" : "", rc,
			 expected, err.text);
	if (rc && !strstr(err.text, wrong->text))
		fail_msg("%s: \"%s\" doesn't say \"%s\"", wrong->name, err.text, wrong->text);
	check(io, &heard);
	if (is_twin && heard.n_errors)
		fail_msg("%s twin: %s", wrong->name, heard.text);
	if (is_twin && heard.is_there)
		fail_msg("%s twin: %s is found there too", wrong->name, wrong->rule);
	if (!is_twin && !heard.is_there)
		fail_msg("%s: no finding %s at %#llx (%s)", wrong->name, wrong->rule,
			 (unsigned long long)wrong->offset, heard.text);
	/* What can't be opened has an error; what has none can be opened. */
	if (rc && !heard.n_errors)
		fail_msg("%s: can't be opened, but the check found no error", wrong->name);
	vd_io_close(io);
	store_free(store);
}

static void wrong_images_are_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_vhdx_wrongs; i++)
		one_image(&vhdx_wrongs[i], false);
}

static void valid_twins_pass(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_vhdx_wrongs; i++)
		one_image(&vhdx_wrongs[i], true);
}

static void there_are_enough_of_them(void **state)
{
	(void)state;
	assert_true(n_vhdx_wrongs >= 80);
}

/* Decoding is never surprised, whatever single bit is wrong: no crash, and the check agrees. */
static void flipped_bits_do_no_harm(void **state)
{
	static const struct {
		uint64_t off, len;
	} places[] = {{0, 8},
		      {65536, 80},
		      {131072, 80},
		      {196608, 96},
		      {262144, 96},
		      {1 << 20, 96},
		      {2 << 20, 224},
		      {(2 << 20) + 65536, 40},
		      {(2 << 20) + 69632, 200}};
	struct store *base = store_new(NULL);
	struct vhdxgen g;

	(void)state;
	vhdxgen_init_child(&g);
	vhdxgen_emit(&g, base);
	for (size_t p = 0; p < sizeof(places) / sizeof(places[0]); p++)
		for (uint64_t bit = 0; bit < 8 * places[p].len; bit += 3) {
			struct store *store = store_new(base);
			struct vd_io *io = store_io(store, false);
			struct vd_error err = VD_ERROR_INIT;
			struct heard heard = {0};
			uint8_t byte;
			int rc;

			store_read(store, &byte, 1, places[p].off + bit / 8);
			byte ^= (uint8_t)(1 << bit % 8);
			store_write(store, &byte, 1, places[p].off + bit / 8);
			rc = decode(io, &err);
			check(io, &heard);
			if (rc && !heard.n_errors)
				fail_msg("bit %d of byte %lld: refused (%s), but no finding",
					 (int)(bit % 8), (long long)(places[p].off + bit / 8),
					 err.text);
			vd_io_close(io);
			store_free(store);
		}
	store_free(base);
}

/* Without memory an error comes back, nothing leaks and nothing is called corrupt. */
static void failing_memory_is_told(void **state)
{
	struct store *store = store_new(NULL);
	const struct gen_desc descs[] = {{.off = 3 * GEN_MIB + 65536}};
	struct gen_entry entry = {.seq = 1, .descs = descs, .n_descs = 1};
	struct vd_io *io;
	struct vhdxgen g;

	(void)state;
	vhdxgen_init_child(&g);
	g.header[0].log_id = g.header[1].log_id = GEN_UNKNOWN;
	g.entries = &entry;
	g.n_entries = 1;
	vhdxgen_emit(&g, store);
	fault_memory_watch();
	io = store_io(store, false);
	for (int what = 0; what < 2; what++)
		for (uint64_t nth = 1, hits = 1; hits; nth++) {
			size_t blocks = fault_memory_blocks();
			struct vd_error err = VD_ERROR_INIT;
			int rc;

			fault_memory_fail(nth, false);
			rc = what ? vhdx_check(io, NULL, NULL, NULL, &err) : decode(io, &err);
			hits = fault_memory_hits();
			fault_memory_fail(0, false);
			assert_int_equal(rc, hits ? VD_ENOMEM : 0);
			assert_int_equal(fault_memory_blocks(), blocks);
		}
	vd_io_close(io);
	assert_int_equal(fault_memory_blocks(), 0);
	vd_set_allocator(NULL);
	store_free(store);
}

/* A chunk without partially present blocks needs no bitmap, whatever the one before it holds. */
static void bitmaps_are_asked_for_chunk_by_chunk(void **state)
{
	struct store *store = store_new(NULL);
	struct vd_io *io = store_io(store, false);
	struct heard heard = {.rule = "vhdx-bat-no-bitmap",
			      .severity = VD_FINDING_ERROR,
			      .offset = 3 * GEN_MIB + (3 * 2049 + 2048) * 8};
	struct vhdxgen g;

	(void)state;
	vhdxgen_init_child(&g);
	g.virtual_size = (uint64_t)16 << 30; /* 4 chunks */
	vhdxgen_add_bat(&g, 2049 + 3, 10 * GEN_MIB | 6);
	g.file_len = 12 * GEN_MIB;
	vhdxgen_emit(&g, store);
	check(io, &heard);
	assert_int_equal(heard.n_errors, 0);
	/* The last chunk, behind entries that are a hole of the file. */
	vhdxgen_add_bat(&g, 3 * 2049 + 3, 10 * GEN_MIB | 7);
	g.bat[3].entry = 0;
	vhdxgen_emit(&g, store);
	check(io, &heard);
	assert_int_equal(heard.n_errors, 1);
	assert_true(heard.is_there);
	vd_io_close(io);
	store_free(store);
}

/* At most 1,024 items of the user's; all of them here are empty. */
static void user_items_are_counted(void **state)
{
	(void)state;
	for (unsigned int n = 1024; n <= 1025; n++) {
		struct store *store = store_new(NULL);
		struct vd_io *io = store_io(store, false);
		struct heard heard = {.rule = "vhdx-item-user-count",
				      .severity = VD_FINDING_ERROR,
				      .offset = VD_NO_OFFSET};
		struct vd_error err = VD_ERROR_INIT;
		struct vhdxgen g;
		uint8_t count[2];

		vhdxgen_init(&g);
		vhdxgen_emit(&g, store);
		count[0] = (uint8_t)(g.n_items + n);
		count[1] = (uint8_t)((g.n_items + n) >> 8);
		store_write(store, count, 2, g.metadata_off + 10);
		for (unsigned int i = 0; i < n; i++) {
			uint8_t entry[32] = {(uint8_t)i, (uint8_t)(i >> 8), 1};

			entry[24] = 1;
			store_write(store, entry, sizeof(entry),
				    g.metadata_off + 32 + 32 * (g.n_items + (uint64_t)i));
		}
		assert_int_equal(decode(io, &err), n > 1024 ? VD_ECORRUPT : 0);
		check(io, &heard);
		assert_int_equal(heard.n_errors, n > 1024);
		assert_int_equal(heard.is_there, n > 1024);
		vd_io_close(io);
		store_free(store);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(there_are_enough_of_them),
	    cmocka_unit_test(wrong_images_are_named),
	    cmocka_unit_test(valid_twins_pass),
	    cmocka_unit_test(user_items_are_counted),
	    cmocka_unit_test(flipped_bits_do_no_harm),
	    cmocka_unit_test(bitmaps_are_asked_for_chunk_by_chunk),
	    cmocka_unit_test(failing_memory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
