/* SPDX-License-Identifier: MIT */
/* Images that Windows and QEMU wrote (the folder VD_IMAGES): decoded, replayed, checked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "format/vhdx/vhdx_layout.h"
#include "scratch.h"

static const char *folder(void)
{
	const char *named = getenv("VD_IMAGES");

	return named && *named ? named : "../shared/images";
}

/* Unpack an image; skips the test where there is none. */
static struct vd_io *unpack(const char *name)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_io *io;
	char packed[1024];

	snprintf(packed, sizeof(packed), "%s/%s.bz2", folder(), name);
	if (access(packed, R_OK) != 0 || !scratch_has("bunzip2")) {
		print_message("no %s, or no bunzip2: skipped\n", packed);
		skip();
	}
	if (scratch_run("bunzip2 -c '%s' | cp --sparse=always /dev/stdin '%s'", packed,
			scratch_path(name)))
		fail_msg("can't unpack %s", packed);
	if (vd_io_open_file(&io, scratch_path(name), 0, &err))
		fail_msg("%s", err.text);
	return io;
}

static uint64_t n_present(struct vd_io *io, const struct vhdx_regions *regions,
			  const struct vhdx_params *params)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vhdx_geometry g;
	uint64_t n = 0;

	vhdx_geometry_init(&g, params);
	for (uint64_t block = 0; block < g.n_blocks; block++) {
		uint8_t entry[8];

		assert_int_equal(vd_io_read(io, entry, 8,
					    regions->bat.off + 8 * vhdx_payload_index(&g, block),
					    &err),
				 0);
		n += (entry[0] & 7) == VHDX_PRESENT;
	}
	return n;
}

static void no_errors(void *user, const struct vd_finding *finding)
{
	(void)user;
	if (finding->severity == VD_FINDING_ERROR)
		fail_msg("%s: %s", finding->rule, finding->found);
}

/* What the image says of itself, and that it breaks no rule. */
static void assert_image(const char *name, bool is_dirty, uint64_t size, uint32_t block_size,
			 uint64_t present, const char *creator)
{
	struct vd_io *io = unpack(name), *view = vd_io_ref(io);
	struct vd_error err = VD_ERROR_INIT;
	struct vhdx_headers headers;
	struct vhdx_regions regions;
	struct vhdx_params params;
	struct vhdx_replay *replay;
	char made_by[257];
	uint64_t n_errors;

	assert_int_equal(vhdx_headers_read(io, &headers, &err), 0);
	assert_int_equal(!vd_guid_is_nil(headers.slot[headers.current].log_id), is_dirty);
	if (is_dirty) {
		vd_io_close(view);
		assert_int_equal(
		    vhdx_replay_scan(&replay, io, &headers.slot[headers.current], &err), 0);
		assert_int_equal(vhdx_replay_view(&view, replay, io, &err), 0);
	}
	assert_int_equal(vhdx_regions_read(view, &headers.slot[headers.current], &regions, &err),
			 0);
	assert_int_equal(vhdx_params_read(view, &regions, &params, &err), 0);
	assert_int_equal(vhdx_creator_read(view, made_by, sizeof(made_by), &err), 0);
	assert_int_equal(params.virtual_size, size);
	assert_int_equal(params.block_size, block_size);
	assert_int_equal(n_present(view, &regions, &params), present);
	assert_string_equal(made_by, creator);
	assert_int_equal(vhdx_check(io, no_errors, NULL, &n_errors, &err), 0);
	assert_int_equal(n_errors, 0);
	vhdx_regions_free(&regions);
	vhdx_params_free(&params);
	vd_io_close(view);
	vd_io_close(io);
}

static void image_of_windows_server_2012(void **state)
{
	(void)state;
	assert_image("iotest-dynamic-1G.vhdx", false, (uint64_t)1 << 30, 32 << 20, 3,
		     "Microsoft Windows 6.2.9200.16384");
}

/* Its entries: present, not present, zero, zero. */
static void image_with_a_partial_last_block(void **state)
{
	(void)state;
	assert_image("config2_base.vhdx", false, 100 << 20, 32 << 20, 1,
		     "Microsoft Windows 6.3.9600.16521");
}

/* One valid entry, six stale ones: 17 blocks before the replay, 18 after it. */
static void dirty_image_of_qemu(void **state)
{
	(void)state;
	assert_image("iotest-dirtylog-10G-4M.vhdx", true, (uint64_t)10 << 30, 1 << 20, 18,
		     "QEMU v1.6.50");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(image_of_windows_server_2012),
	    cmocka_unit_test(image_with_a_partial_last_block),
	    cmocka_unit_test(dirty_image_of_qemu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
