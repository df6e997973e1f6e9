/* SPDX-License-Identifier: MIT */
/* New images: they read back as they were ordered, break no rule, and cost no more than they must.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fault.h"
#include "format/vhdx/vhdx_layout.h"
#include "store.h"

static const struct vd_format_parent parent = {
    .virtual_size = 96 << 20,
    .logical_sector_size = 512,
    .physical_sector_size = 4096,
    .block_size = 2 << 20,
    .data_write_id = {0xd0, 1, 2, 3},
    .disk_id = {0xc0, 1, 2, 3},
    .relative_path = "../base/my disk.vhdx",
    .absolute_path = "/srv/base/my disk.vhdx",
};

/* What a reader finds. */
struct found {
	struct vhdx_headers headers;
	struct vhdx_regions regions;
	struct vhdx_params params;
	struct vhdx_geometry geometry;
	char creator[257];
};

static void look(struct vd_io *io, struct found *found)
{
	struct vd_error err = VD_ERROR_INIT;

	if (vhdx_headers_read(io, &found->headers, &err) ||
	    vhdx_regions_read(io, &found->headers.slot[found->headers.current], &found->regions,
			      &err) ||
	    vhdx_params_read(io, &found->regions, &found->params, &err) ||
	    vhdx_creator_read(io, found->creator, sizeof(found->creator), &err))
		fail_msg("%s", err.text);
	vhdx_geometry_init(&found->geometry, &found->params);
}

static void forget(struct found *found)
{
	vhdx_regions_free(&found->regions);
	vhdx_params_free(&found->params);
}

static void complain(void *user, const struct vd_finding *finding)
{
	(void)user;
	fail_msg("%s: %s", finding->rule, finding->found);
}

static struct store *make(const struct vd_create_opts *opts, const struct vd_format_parent *over)
{
	struct store *store = store_new(NULL);
	struct vd_io *io = store_io(store, true);
	struct vd_error err = VD_ERROR_INIT;
	uint64_t n_errors;

	if (vhdx_create(io, opts, over, &err) || vhdx_check(io, complain, NULL, &n_errors, &err))
		fail_msg("%s", err.text);
	vd_io_close(io);
	return store;
}

static void every_kind_reads_back_and_breaks_no_rule(void **state)
{
	static const uint64_t sizes[] = {4096,
					 1 << 20,
					 (1 << 20) + 4096,
					 (100 << 20) + 4096,
					 (uint64_t)5 << 30,
					 (uint64_t)1 << 40,
					 (uint64_t)64 << 40};

	(void)state;
	for (uint32_t block = 1 << 20; block <= 256 << 20; block *= 2)
		for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
			for (int kind = 0; kind < 6; kind++) {
				struct vd_create_opts opts = VD_CREATE_OPTS_INIT;
				struct vd_format_parent over = parent;
				struct store *store;
				struct vd_io *io;
				struct found found;

				opts.type = kind / 2 == 0   ? VD_TYPE_DYNAMIC
					    : kind / 2 == 1 ? VD_TYPE_FIXED
							    : VD_TYPE_DIFFERENCING;
				opts.virtual_size = sizes[s];
				opts.block_size = block;
				opts.logical_sector_size = kind % 2 ? 4096 : 512;
				over.logical_sector_size = opts.logical_sector_size;
				/* The BAT of a huge fixed disk is huge too. */
				if (opts.type == VD_TYPE_FIXED && sizes[s] > (uint64_t)1 << 40)
					continue;
				store = make(&opts, kind / 2 == 2 ? &over : NULL);
				io = store_io(store, false);
				look(io, &found);
				assert_int_equal(found.params.virtual_size, sizes[s]);
				assert_int_equal(found.params.block_size, block);
				assert_int_equal(found.params.logical_sector_size,
						 opts.logical_sector_size);
				assert_int_equal(found.params.physical_sector_size, 4096);
				assert_int_equal(found.params.leave_allocated,
						 opts.type == VD_TYPE_FIXED);
				assert_int_equal(found.params.has_parent, kind / 2 == 2);
				assert_int_equal(store_length(store) % VD_MIB, 0);
				if (opts.type != VD_TYPE_FIXED)
					assert_true(store_n_pages(store) < 64);
				forget(&found);
				vd_io_close(io);
				store_free(store);
			}
}

static void new_image_is_clean_and_says_who_made_it(void **state)
{
	struct vd_create_opts opts = VD_CREATE_OPTS_INIT;
	struct store *store;
	struct vd_io *io;
	struct found found;
	char creator[64];

	(void)state;
	opts.virtual_size = 1 << 30;
	store = make(&opts, NULL);
	io = store_io(store, false);
	look(io, &found);
	snprintf(creator, sizeof(creator), "libvdisk %s", vd_version());
	assert_string_equal(found.creator, creator);
	assert_true(found.headers.is_valid[0] && found.headers.is_valid[1]);
	assert_true(vd_guid_is_nil(found.headers.slot[0].log_id));
	assert_true(vd_guid_is_nil(found.headers.slot[1].log_id));
	assert_int_equal(found.headers.slot[0].log_len, 8 << 20);
	assert_true(found.regions.is_valid[0] && found.regions.is_valid[1]);
	assert_true(found.regions.bat.is_required && found.regions.metadata.is_required);
	assert_false(vd_guid_is_nil(found.params.disk_id));
	forget(&found);
	vd_io_close(io);
	store_free(store);
}

static void fixed_image_has_all_blocks_in_order(void **state)
{
	struct vd_create_opts opts = VD_CREATE_OPTS_INIT;
	struct store *store;
	struct vd_io *io;
	struct found found;
	uint64_t next;

	(void)state;
	/* 34 blocks of 256 MiB, 16 to a chunk: two bitmap entries among them. */
	opts.type = VD_TYPE_FIXED;
	opts.virtual_size = ((uint64_t)33 * 256 << 20) + 512;
	opts.block_size = 256 << 20;
	store = make(&opts, NULL);
	io = store_io(store, false);
	look(io, &found);
	assert_int_equal(found.geometry.n_entries, 36);
	next = found.regions.bat.off + found.regions.bat.len;
	for (uint64_t block = 0; block < 34; block++, next += opts.block_size) {
		uint64_t index = vhdx_payload_index(&found.geometry, block), entry = 0;
		uint8_t bytes[8];

		store_read(store, bytes, 8, found.regions.bat.off + 8 * index);
		for (int i = 7; i >= 0; i--)
			entry = entry << 8 | bytes[i];
		assert_true(entry == (next | 6));
	}
	assert_true(store_length(store) == next);
	forget(&found);
	vd_io_close(io);
	store_free(store);
}

static void child_knows_its_parent(void **state)
{
	struct vd_create_opts opts = VD_CREATE_OPTS_INIT;
	struct store *store = make(&opts, &parent);
	struct vd_io *io = store_io(store, false);
	struct found found;

	(void)state;
	look(io, &found);
	assert_int_equal(found.params.virtual_size, parent.virtual_size);
	assert_string_equal(found.params.parent->linkage, "{d0010203-0000-0000-0000-000000000000}");
	assert_string_equal(found.params.parent->relative_path, "..\\base\\my disk.vhdx");
	assert_string_equal(found.params.parent->absolute_win32_path,
			    "\\\\?\\srv\\base\\my disk.vhdx");
	/* The same disk in the eyes of a guest, but another file. */
	assert_memory_equal(found.params.disk_id.b, parent.disk_id, 16);
	assert_memory_not_equal(found.headers.slot[0].data_write_id.b, parent.data_write_id, 16);
	forget(&found);
	vd_io_close(io);
	store_free(store);
}

static void path_without_dots_gets_one(void **state)
{
	struct vd_create_opts opts = VD_CREATE_OPTS_INIT;
	struct vd_format_parent over = parent;
	struct store *store;
	struct vd_io *io;
	struct found found;

	(void)state;
	over.relative_path = "base.vhdx";
	over.absolute_path = "/a\\b/base.vhdx"; /* can't be said, isn't needed */
	store = make(&opts, &over);
	io = store_io(store, false);
	look(io, &found);
	assert_string_equal(found.params.parent->relative_path, ".\\base.vhdx");
	assert_string_equal(found.params.parent->absolute_win32_path, "");
	forget(&found);
	vd_io_close(io);
	store_free(store);
}

static void equal_options_make_equal_files(void **state)
{
	static const uint8_t id[16] = {1, 2, 3};
	struct vd_create_opts opts = VD_CREATE_OPTS_INIT;
	struct store *a, *b, *c, *d;

	(void)state;
	opts.virtual_size = 64 << 20;
	opts.disk_id = id;
	a = make(&opts, NULL);
	b = make(&opts, NULL);
	assert_true(store_hash(a) == store_hash(b));
	c = make(&opts, &parent);
	d = make(&opts, &parent);
	assert_true(store_hash(c) == store_hash(d));
	store_free(d);
	opts.disk_id = NULL;
	d = make(&opts, NULL);
	assert_true(store_hash(a) != store_hash(d));
	store_free(a);
	store_free(b);
	store_free(c);
	store_free(d);
}

static void wrong_options_are_refused_before_anything_is_written(void **state)
{
	static const struct {
		struct vd_create_opts opts;
		bool has_parent;
		const char *text;
	} cases[] = {
	    {{.virtual_size = 0}, false, "virtual disk size 0"},
	    {{.virtual_size = 1000}, false, "virtual disk size 1000"},
	    {{.virtual_size = 4096 + 512, .logical_sector_size = 4096}, false, "multiple of 4096"},
	    {{.virtual_size = ((uint64_t)64 << 40) + 512}, false, "to 70368744177664"},
	    {{.virtual_size = 4096, .block_size = 3 << 20}, false, "block size 3145728"},
	    {{.virtual_size = 4096, .block_size = 512 << 20}, false, "block size 536870912"},
	    {{.virtual_size = 4096, .block_size = 4096}, false, "block size 4096"},
	    {{.virtual_size = 4096, .logical_sector_size = 1024}, false, "logical sector size"},
	    {{.virtual_size = 4096, .physical_sector_size = 1}, false, "physical sector size"},
	    {{.virtual_size = 4096, .log_size = 4096}, false, "log size 4096"},
	    {{.virtual_size = 4096, .log_size = 2047u << 20}, false, "log size"},
	    {{.virtual_size = 4096, .type = VD_TYPE_DIFFERENCING}, false, "needs a parent"},
	    {{.virtual_size = 4096, .type = VD_TYPE_FIXED}, true, "has a parent"},
	    {{.logical_sector_size = 4096}, true, "the parent has 512"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct store *store = store_new(NULL);
		struct vd_io *io = store_io(store, true);
		struct vd_error err = VD_ERROR_INIT;

		assert_int_equal(
		    vhdx_create(io, &cases[i].opts, cases[i].has_parent ? &parent : NULL, &err),
		    VD_EINVAL);
		if (!strstr(err.text, cases[i].text))
			fail_msg("\"%s\" doesn't say \"%s\"", err.text, cases[i].text);
		assert_int_equal(store_length(store), 0);
		vd_io_close(io);
		store_free(store);
	}
}

static void parent_that_has_no_name_is_refused(void **state)
{
	static char long_path[1100];
	const char *const paths[] = {"a\\b.vhdx", "gr\xfc\xdf.vhdx", long_path};

	(void)state;
	memset(long_path, 'x', sizeof(long_path) - 1);
	for (size_t i = 0; i < 3; i++) {
		struct vd_create_opts opts = VD_CREATE_OPTS_INIT;
		struct vd_format_parent over = parent;
		struct store *store = store_new(NULL);
		struct vd_io *io = store_io(store, true);
		struct vd_error err = VD_ERROR_INIT;

		over.relative_path = paths[i];
		assert_int_equal(vhdx_create(io, &opts, &over, &err), VD_EUNSUPPORTED);
		assert_non_null(strstr(err.text, "a VHDX can't name its parent"));
		vd_io_close(io);
		store_free(store);
	}
}

/* Whichever call fails, an error comes back; and what is left is never taken for a VHDX. */
static void failing_calls_leave_no_image(void **state)
{
	static const enum fault_call calls[] = {FAULT_WRITE, FAULT_SYNC, FAULT_TRUNCATE};
	struct vd_create_opts opts = VD_CREATE_OPTS_INIT;

	(void)state;
	opts.virtual_size = 64 << 20;
	opts.type = VD_TYPE_FIXED;
	for (size_t c = 0; c < sizeof(calls) / sizeof(calls[0]); c++)
		for (uint64_t nth = 1;; nth++) {
			struct fault fault = {.store = store_new(NULL)};
			struct vd_io *io = fault_io(&fault);
			struct vd_error err = VD_ERROR_INIT;
			uint8_t first;
			int rc;

			fault_arm(&fault, calls[c], nth, 28);
			rc = vhdx_create(io, &opts, NULL, &err);
			store_read(fault.store, &first, 1, 0);
			if (!fault.n_hit) {
				assert_int_equal(rc, 0);
				assert_int_equal(first, 'v');
			} else {
				assert_int_not_equal(rc, 0);
				/* The last sync comes behind the identifier. */
				assert_true(first == 0 || (calls[c] == FAULT_SYNC && nth == 2));
			}
			vd_io_close(io);
			store_free(fault.store);
			if (!fault.n_hit)
				break;
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_kind_reads_back_and_breaks_no_rule),
	    cmocka_unit_test(new_image_is_clean_and_says_who_made_it),
	    cmocka_unit_test(fixed_image_has_all_blocks_in_order),
	    cmocka_unit_test(child_knows_its_parent),
	    cmocka_unit_test(path_without_dots_gets_one),
	    cmocka_unit_test(equal_options_make_equal_files),
	    cmocka_unit_test(wrong_options_are_refused_before_anything_is_written),
	    cmocka_unit_test(parent_that_has_no_name_is_refused),
	    cmocka_unit_test(failing_calls_leave_no_image),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
