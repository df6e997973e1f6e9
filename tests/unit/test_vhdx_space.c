/* SPDX-License-Identifier: MIT */
/* What vdisk/sys/space.h tells of a file, drops, punches and cuts, what it leaves alone, and what
 * it refuses. Moves: test_vhdx_move.c. */
#include "space_rig.h"

static void the_list_tells_all_that_is_there(void **state)
{
	static const struct vd_use_range wanted[] = {
	    {0, MIB, VD_USE_STRUCTURE, 0, false},        {MIB, MIB, VD_USE_STRUCTURE, 0, false},
	    {2 * MIB, MIB, VD_USE_STRUCTURE, 0, false},  {3 * MIB, MIB, VD_USE_STRUCTURE, 0, false},
	    {17 * MIB, MIB, VD_USE_STRUCTURE, 0, false}, {4 * MIB, BLOCK, VD_USE_BLOCK, 0, true},
	    {10 * MIB, BLOCK, VD_USE_ANCHOR, 2, false},  {6 * MIB, BLOCK, VD_USE_BLOCK, 5, false},
	    {8 * MIB, MIB, VD_USE_BITMAP, 0, false},
	};
	struct store *store = store_new(NULL);
	struct uses uses = {.n = 0};
	struct vhdxgen g;
	struct vd_io *io;
	struct vd_disk *disk;

	(void)state;
	vhdxgen_init_child(&g);
	vhdxgen_add_region(&g, GEN_UNKNOWN, 17 * MIB, (uint32_t)MIB, 0);
	vhdxgen_add_bat(&g, 2, 10 * MIB | 3);
	g.file_len = 18 * MIB;
	vhdxgen_emit(&g, store);
	io = store_io(store, false);
	disk = scratch_open_io(io, VD_OPEN_NO_PARENTS);
	must(vd_disk_list_use(disk, gather, &uses, &err));
	assert_int_equal(uses.n, sizeof(wanted) / sizeof(wanted[0]));
	for (size_t i = 0; i < uses.n; i++) {
		bool is_there = false;

		for (size_t k = 0; k < uses.n; k++)
			is_there |= uses.range[k].offset == wanted[i].offset &&
				    uses.range[k].length == wanted[i].length &&
				    uses.range[k].use == wanted[i].use &&
				    uses.range[k].number == wanted[i].number &&
				    uses.range[k].is_whole == wanted[i].is_whole;
		if (!is_there)
			fail_msg("%s at %d MiB isn't told", vd_use_name(wanted[i].use),
				 (int)(wanted[i].offset / MIB));
	}
	assert_int_equal(move(disk, 0, 12 * MIB), VD_EROFS);
	must(vd_disk_close(disk, &err));
	vd_io_close(io);
	store_free(store);
}

static void the_image_as_a_whole(void **state)
{
	struct vd_space_info space = {.size = sizeof(space)};
	struct image image;

	(void)state;
	make(&image, VD_TYPE_DYNAMIC, 10 * MIB + 512, NULL);
	must(vd_disk_get_space(image.disk, &space, &err));
	assert_int_equal(space.file_size, store_length(image.store));
	assert_int_equal(space.granule, MIB);
	assert_int_equal(space.block_size, MIB);
	assert_int_equal(space.n_blocks, 11);
	assert_true(space.can_drop);
	space.size = 7;
	assert_int_equal(vd_disk_get_space(image.disk, &space, &err), VD_EINVAL);
	drop_image(&image);
}

static void a_raw_image_has_no_such_space(void **state)
{
	struct vd_space_info space = {.size = sizeof(space)};
	struct store *store = store_new(NULL);
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_disk *disk = NULL;
	struct vd_io *io;
	uint64_t n;

	(void)state;
	store_truncate(store, MIB);
	io = store_io(store, true);
	opts.flags = VD_OPEN_WRITE;
	opts.format = "raw";
	must(vd_disk_open_io(&disk, io, &opts, &err));
	assert_int_equal(vd_disk_get_space(disk, &space, &err), VD_EUNSUPPORTED);
	assert_int_equal(vd_disk_list_use(disk, gather, NULL, &err), VD_EUNSUPPORTED);
	assert_int_equal(vd_disk_move_block(disk, VD_USE_BLOCK, 0, 0, MIB, 1, NULL, &err),
			 VD_EUNSUPPORTED);
	assert_int_equal(vd_disk_drop_block(disk, 0, VD_DROP_ZERO, 1, &n, &err), VD_EUNSUPPORTED);
	assert_int_equal(vd_disk_punch_block(disk, 0, PAGE, 1, &n, &err), VD_EUNSUPPORTED);
	assert_int_equal(vd_disk_cut(disk, 0, &n, &err), VD_EUNSUPPORTED);
	must(vd_disk_close(disk, &err));
	vd_io_close(io);
	store_free(store);
}

static void blocks_that_hold_nothing_go(void **state)
{
	struct image image;

	(void)state;
	make(&image, VD_TYPE_DYNAMIC, 4 * MIB + 512, NULL);
	put(image.disk, 0, 3 * MIB, 1);
	put(image.disk, 0, MIB, 0);
	must(vd_disk_write_zeroes(image.disk, MIB, MIB, VD_ZERO_KEEP_SPACE, &err));
	must(vd_disk_flush(image.disk, &err));
	close_image(&image);
	open_image(&image);
	assert_int_equal(drop(image.disk, 0, VD_DROP_HOLE), 0);
	assert_int_equal(drop(image.disk, 1, VD_DROP_HOLE), MIB);
	assert_int_equal(drop(image.disk, 1, VD_DROP_HOLE), 0);
	assert_int_equal(drop(image.disk, 0, VD_DROP_ZERO), MIB);
	assert_int_equal(drop(image.disk, 2, VD_DROP_ZERO), 0);
	assert_int_equal(drop(image.disk, 3, VD_DROP_ZERO), 0);
	assert_true(has_same_id(&image));
	assert_int_equal(drop(image.disk, 2, VD_DROP_FREE), MIB);
	assert_false(has_same_id(&image));
	expect(image.disk, 0, 4 * MIB, 0);
	assert_int_equal(vd_disk_drop_block(image.disk, 5, VD_DROP_ZERO, 1, &(uint64_t){0}, &err),
			 VD_ERANGE);
	drop_image(&image);
}

/* Behind the end of the disk a block may have any bytes. */
static void the_part_of_a_block_behind_the_end_doesnt_count(void **state)
{
	struct image image;
	uint8_t old[PAGE];

	(void)state;
	make(&image, VD_TYPE_DYNAMIC, MIB + 512, NULL);
	put(image.disk, MIB, 512, 1);
	put(image.disk, MIB, 512, 0);
	must(vd_disk_flush(image.disk, &err));
	memset(old, 'o', PAGE);
	store_write(image.store, old, PAGE, place_of(image.disk, VD_USE_BLOCK, 1) + MIB - PAGE);
	assert_int_equal(drop(image.disk, 1, VD_DROP_ZERO), MIB);
	drop_image(&image);
}

static void a_fixed_disk_keeps_its_space(void **state)
{
	struct vd_space_info space = {.size = sizeof(space)};
	struct image image;
	uint64_t length;

	(void)state;
	make(&image, VD_TYPE_FIXED, 4 * MIB, NULL);
	must(vd_disk_get_space(image.disk, &space, &err));
	assert_false(space.can_drop);
	length = store_length(image.store);
	assert_int_equal(drop(image.disk, 0, VD_DROP_ZERO), 0);
	assert_int_equal(drop(image.disk, 1, VD_DROP_HOLE), 0);
	assert_int_equal(drop(image.disk, 2, VD_DROP_FREE), 0);
	assert_int_equal(cut(image.disk, 0), length);
	drop_image(&image);
}

static void claims_of_blocks_without_content_go(void **state)
{
	struct image image;
	struct vhdxgen g;

	(void)state;
	vhdxgen_init(&g);
	vhdxgen_add_bat(&g, 2, 10 * MIB | 3);
	vhdxgen_add_bat(&g, 3, 12 * MIB | 1);
	g.file_len = 14 * MIB;
	make_foreign(&image, &g);
	assert_int_equal(cut(image.disk, 0), 14 * MIB);
	assert_int_equal(drop(image.disk, 2, VD_DROP_HOLE), BLOCK);
	assert_int_equal(drop(image.disk, 3, VD_DROP_ZERO), BLOCK);
	assert_true(has_same_id(&image));
	assert_int_equal(cut(image.disk, 0), 8 * MIB);
	drop_image(&image);
}

static void zeros_inside_a_block_become_holes(void **state)
{
	struct image image;
	uint64_t n, at, start, end;

	(void)state;
	make(&image, VD_TYPE_DYNAMIC, 4 * MIB, NULL);
	put(image.disk, 0, MIB, 1);
	for (uint64_t i = 0; i < MIB; i += 2 * PAGE) /* more runs than are remembered at once */
		put(image.disk, i, PAGE, 0);
	must(vd_disk_flush(image.disk, &err));
	at = place_of(image.disk, VD_USE_BLOCK, 0);
	must(vd_disk_punch_block(image.disk, 0, 2 * PAGE, HOLD, &n, &err));
	assert_int_equal(n, 0);
	must(vd_disk_punch_block(image.disk, 0, PAGE, HOLD, &n, &err));
	assert_int_equal(n, MIB / 2);
	assert_true(store_next_data(image.store, at, &start, &end));
	assert_int_equal(start, at + PAGE);
	must(vd_disk_punch_block(image.disk, 0, PAGE, HOLD, &n, &err));
	assert_int_equal(n, 0);
	must(vd_disk_punch_block(image.disk, 1, PAGE, HOLD, &n, &err));
	assert_int_equal(n, 0);
	assert_int_equal(vd_disk_punch_block(image.disk, 0, 512, HOLD, &n, &err), VD_EINVAL);
	assert_int_equal(vd_disk_punch_block(image.disk, 0, 5000, HOLD, &n, &err), VD_EINVAL);
	assert_int_equal(vd_disk_punch_block(image.disk, 4, PAGE, HOLD, &n, &err), VD_ERANGE);
	for (uint64_t i = 0; i < MIB; i += 2 * PAGE) {
		expect(image.disk, i, PAGE, 0);
		expect(image.disk, i + PAGE, PAGE, 1);
	}
	drop_image(&image);
}

static void the_file_is_cut_behind_the_last_thing_in_it(void **state)
{
	struct image image;
	struct vhdxgen g;
	uint8_t old[PAGE];
	uint64_t start, end;

	(void)state;
	vhdxgen_init(&g);
	vhdxgen_add_region(&g, GEN_UNKNOWN, 17 * MIB, (uint32_t)MIB, 0);
	g.file_len = 30 * MIB + 77;
	make_foreign(&image, &g);
	memset(old, 'o', PAGE);
	store_write(image.store, old, PAGE, 9 * MIB);
	store_write(image.store, old, PAGE, 17 * MIB);
	assert_int_equal(cut(image.disk, UINT64_MAX), 31 * MIB);
	assert_int_equal(cut(image.disk, 25 * MIB - 1), 25 * MIB);
	assert_int_equal(cut(image.disk, 0), 18 * MIB);
	assert_int_equal(cut(image.disk, 0), 18 * MIB);
	/* Nobody's bytes inside the file are the host's again; a region isn't nobody's. */
	assert_true(store_next_data(image.store, 4 * MIB, &start, &end));
	assert_int_equal(start, 17 * MIB);
	put(image.disk, 30 * MIB, MIB, 4);
	must(vd_disk_flush(image.disk, &err));
	expect(image.disk, 30 * MIB, MIB, 4);
	drop_image(&image);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_list_tells_all_that_is_there),
	    cmocka_unit_test(the_image_as_a_whole),
	    cmocka_unit_test(a_raw_image_has_no_such_space),
	    cmocka_unit_test(blocks_that_hold_nothing_go),
	    cmocka_unit_test(the_part_of_a_block_behind_the_end_doesnt_count),
	    cmocka_unit_test(a_fixed_disk_keeps_its_space),
	    cmocka_unit_test(claims_of_blocks_without_content_go),
	    cmocka_unit_test(zeros_inside_a_block_become_holes),
	    cmocka_unit_test(the_file_is_cut_behind_the_last_thing_in_it),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
