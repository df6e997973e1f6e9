/* SPDX-License-Identifier: MIT */
/* Blocks that move by vdisk/sys/space.h, one call at a time: whom a move waits for, what it
 * refuses, and the partial, freed and bitmap blocks of a child. */
#include <vdisk/item.h>

#include "space_rig.h"

static void a_move_that_makes_no_sense_changes_nothing(void **state)
{
	struct image image;
	uint64_t from, after;

	(void)state;
	make(&image, VD_TYPE_DYNAMIC, 10 * MIB, NULL);
	put(image.disk, 0, 2 * MIB, 1);
	must(vd_disk_flush(image.disk, &err));
	from = place_of(image.disk, VD_USE_BLOCK, 0);
	after = cut(image.disk, 0);
	assert_int_equal(move(image.disk, 0, after + 1), VD_EINVAL);
	assert_int_equal(move(image.disk, 0, place_of(image.disk, VD_USE_BLOCK, 1)), VD_EEXIST);
	assert_int_equal(move(image.disk, 0, MIB), VD_EEXIST);
	assert_int_equal(move(image.disk, 0, after + MIB), VD_EEXIST);
	assert_int_equal(
	    vd_disk_move_block(image.disk, VD_USE_BLOCK, 0, from + MIB, after, 1, NULL, &err),
	    VD_ENOENT);
	assert_int_equal(
	    vd_disk_move_block(image.disk, VD_USE_BLOCK, 5, from, after, 1, NULL, &err), VD_ENOENT);
	assert_int_equal(
	    vd_disk_move_block(image.disk, VD_USE_BLOCK, 10, from, after, 1, NULL, &err),
	    VD_ERANGE);
	assert_int_equal(
	    vd_disk_move_block(image.disk, VD_USE_BITMAP, 0, from, after, 1, NULL, &err),
	    VD_ERANGE);
	assert_int_equal(
	    vd_disk_move_block(image.disk, VD_USE_STRUCTURE, 0, MIB, after, 1, NULL, &err),
	    VD_EINVAL);
	assert_int_equal(place_of(image.disk, VD_USE_BLOCK, 0), from);
	assert_int_equal(cut(image.disk, 0), after);
	expect(image.disk, 0, 2 * MIB, 1);
	drop_image(&image);
}

static void a_moved_block_is_the_same_elsewhere(void **state)
{
	struct vd_move_result result = {.size = sizeof(result)};
	struct image image;
	uint64_t from, to, start, end;

	(void)state;
	make(&image, VD_TYPE_DYNAMIC, 10 * MIB, NULL);
	put(image.disk, PAGE, 2 * PAGE, 1);
	put(image.disk, MIB, PAGE, 1);
	must(vd_disk_flush(image.disk, &err));
	close_image(&image);
	open_image(&image);
	from = place_of(image.disk, VD_USE_BLOCK, 0);
	to = file_size(image.disk);
	must(vd_disk_move_block(image.disk, VD_USE_BLOCK, 0, from, to, HOLD, &result, &err));
	assert_int_equal(result.n_copied + result.n_shared, 2 * PAGE); /* holes aren't copied */
	assert_int_equal(result.n_recopied, 0);
	assert_int_equal(place_of(image.disk, VD_USE_BLOCK, 0), to);
	must(vd_disk_flush(image.disk, &err));
	assert_true(has_same_id(&image));
	/* The host has its space back. */
	assert_true(store_next_data(image.store, from, &start, &end));
	assert_true(start >= from + MIB);
	for (int i = 0; i < 2; i++) {
		expect(image.disk, 0, PAGE, 0);
		expect(image.disk, PAGE, 2 * PAGE, 1);
		expect(image.disk, 3 * PAGE, MIB - 3 * PAGE, 0);
		expect(image.disk, MIB, PAGE, 1);
		close_image(&image);
		open_image(&image);
		assert_int_equal(place_of(image.disk, VD_USE_BLOCK, 0), to);
	}
	drop_image(&image);
}

static void readers_keep_the_place_that_they_hold(void **state)
{
	struct vd_mapping mapping;
	struct image image;
	uint64_t from, end;
	uint8_t buf[PAGE];
	char text[300];

	(void)state;
	make(&image, VD_TYPE_DYNAMIC, 10 * MIB, NULL);
	put(image.disk, 0, 2 * MIB, 1);
	cut(image.disk, 0);
	from = place_of(image.disk, VD_USE_BLOCK, 1);
	end = file_size(image.disk);
	must(drop(image.disk, 0, VD_DROP_FREE) != MIB);
	must(vd_disk_resolve(image.disk, MIB, PAGE, VD_ACCESS_READ, &mapping, &err));
	cut(image.disk, UINT64_MAX);
	must(move(image.disk, 1, end));
	must(vd_disk_flush(image.disk, &err));
	assert_true(find(image.disk, VD_USE_BUSY, 0) != NULL);
	must(vd_io_read(mapping.io, buf, PAGE, mapping.io_offset, &err));
	assert_true(stamp_verify(buf, PAGE, MIB, 1, SEED, text, sizeof(text)));
	assert_int_equal(mapping.io_offset, from);
	must(vd_disk_release(image.disk, &mapping, VD_OUTCOME_READ, &err));
	cut(image.disk, 0);
	assert_true(find(image.disk, VD_USE_BUSY, 0) == NULL);
	expect(image.disk, MIB, MIB, 1);
	drop_image(&image);
}

/* Who writes for long isn't waited for, and what was taken for the move is given back. */
static void a_write_in_flight_holds_a_move_up(void **state)
{
	struct vd_mapping mapping;
	struct image image;
	uint64_t end, start, stop;

	(void)state;
	make(&image, VD_TYPE_DYNAMIC, 10 * MIB, NULL);
	put(image.disk, 0, 2 * MIB, 1);
	end = cut(image.disk, 0);
	must(vd_disk_resolve(image.disk, 0, PAGE, VD_ACCESS_WRITE, &mapping, &err));
	assert_int_equal(move(image.disk, 0, end), VD_EBUSY);
	must(vd_disk_release(image.disk, &mapping, VD_OUTCOME_FAILED, &err));
	assert_false(store_next_data(image.store, end, &start, &stop));
	must(move(image.disk, 0, end));
	expect(image.disk, 0, 2 * MIB, 1);
	drop_image(&image);
}

/* A file that is shorter than its blocks, and ends anywhere. */
static void blocks_behind_the_end_of_the_file(void **state)
{
	struct image image;
	struct vhdxgen g;

	(void)state;
	vhdxgen_init(&g);
	g.file_len = 4 * MIB + 12345;
	make_foreign(&image, &g);
	assert_int_equal(drop(image.disk, 5, VD_DROP_ZERO), BLOCK);
	must(move(image.disk, 0, 6 * MIB) == VD_EEXIST ? 0 : 1);
	must(vd_disk_flush(image.disk, &err));
	must(move(image.disk, 0, 6 * MIB));
	expect(image.disk, 0, BLOCK, 0);
	put(image.disk, MIB, PAGE, 3);
	assert_int_equal(cut(image.disk, 0), 8 * MIB);
	expect(image.disk, MIB, PAGE, 3);
	drop_image(&image);
}

/* A child of a parent full of stamps: block 0 partly its own, block 1 all, block 2 by sectors. */
static void make_child(struct image *image)
{
	make(image, VD_TYPE_DIFFERENCING, 5 * ((uint64_t)1 << 30),
	     make_parent(5 * ((uint64_t)1 << 30)));
	put(image->disk, PAGE, PAGE, 2);
	put(image->disk, MIB, MIB, 2);
	for (uint64_t i = 0; i < 16; i++)
		put(image->disk, 2 * MIB + i * 65536, 65536, 0);
	must(vd_disk_flush(image->disk, &err));
	memset(image->id, 0, 16);
}

static void expect_child(struct image *image)
{
	expect(image->disk, 0, PAGE, 1);
	expect(image->disk, PAGE, PAGE, 2);
	expect(image->disk, 2 * PAGE, MIB - 2 * PAGE, 1);
	expect(image->disk, MIB, MIB, 2);
	expect(image->disk, 3 * MIB, MIB, 1);
}

static void a_partial_block_moves_with_its_bits(void **state)
{
	struct image image;

	(void)state;
	make_child(&image);
	must(move(image.disk, 0, file_size(image.disk)));
	expect_child(&image);
	put(image.disk, 5 * PAGE, PAGE, 3);
	must(vd_disk_flush(image.disk, &err));
	close_image(&image);
	open_image(&image);
	expect(image.disk, 4 * PAGE, PAGE, 1);
	expect(image.disk, 5 * PAGE, PAGE, 3);
	put(image.disk, 5 * PAGE, PAGE, 1);
	expect_child(&image);
	drop_image(&image);
}

static void a_freed_block_of_a_child_is_never_the_parents(void **state)
{
	struct image image;

	(void)state;
	make_child(&image);
	assert_int_equal(drop(image.disk, 0, VD_DROP_ZERO), 0);   /* partly the parent's */
	assert_int_equal(drop(image.disk, 2, VD_DROP_ZERO), MIB); /* zero, all sectors its own */
	assert_int_equal(drop(image.disk, 1, VD_DROP_FREE), MIB);
	assert_int_equal(drop(image.disk, 3, VD_DROP_FREE), 0); /* not here at all */
	for (int i = 0; i < 2; i++) {
		expect(image.disk, PAGE, PAGE, 2);
		expect(image.disk, MIB, 2 * MIB, 0);
		expect(image.disk, 3 * MIB, MIB, 1);
		close_image(&image);
		open_image(&image);
	}
	drop_image(&image);
}

static void a_bitmap_block_moves(void **state)
{
	struct image image;
	uint64_t from, to;

	(void)state;
	make_child(&image);
	from = place_of(image.disk, VD_USE_BITMAP, 0);
	to = cut(image.disk, 0);
	must(vd_disk_move_block(image.disk, VD_USE_BITMAP, 0, from, to, HOLD, NULL, &err));
	assert_int_equal(place_of(image.disk, VD_USE_BITMAP, 0), to);
	expect_child(&image);
	put(image.disk, 8 * PAGE, PAGE, 5);
	must(vd_disk_flush(image.disk, &err));
	/* The log still writes to the old place: it isn't free before the lap is over. */
	assert_int_equal(move(image.disk, 1, from), VD_EEXIST);
	assert_true(find(image.disk, VD_USE_BUSY, 0) != NULL);
	cut(image.disk, 0);
	must(move(image.disk, 1, from));
	put(image.disk, 8 * PAGE, PAGE, 1);
	for (int i = 0; i < 2; i++) {
		expect_child(&image);
		close_image(&image);
		open_image(&image);
	}
	drop_image(&image);
}

static int move_the_bitmap(void *user, void *buf, uint32_t len, uint32_t offset,
			   struct vd_error *error)
{
	struct image *image = user;
	uint64_t to = file_size(image->disk);

	(void)error;
	if (!offset) /* far from where the region was: it comes back by itself */
		must(vd_disk_move_block(image->disk, VD_USE_BITMAP, 0,
					place_of(image->disk, VD_USE_BITMAP, 0), to, HOLD, NULL,
					&err));
	memset(buf, 'i', len);
	return 0;
}

/* Both wait for the end of the lap, in room that was made for one. */
static void a_bitmap_moves_while_the_metadata_region_does(void **state)
{
	struct vd_item_change changes[4];
	struct image image;

	(void)state;
	make_child(&image);
	memset(changes, 0, sizeof(changes));
	for (int i = 0; i < 4; i++) {
		changes[i].id[0] = (uint8_t)(i + 1);
		changes[i].flags = VD_ITEM_USER;
		changes[i].length = 1 << 20;
		changes[i].fill = move_the_bitmap;
		changes[i].user = &image;
	}
	must(vd_disk_change_items(image.disk, changes, 4, &err));
	for (int i = 0; i < 2; i++) {
		cut(image.disk, 0);
		assert_true(find(image.disk, VD_USE_BUSY, 0) == NULL);
		expect_child(&image);
		close_image(&image);
		open_image(&image);
	}
	drop_image(&image);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_move_that_makes_no_sense_changes_nothing),
	    cmocka_unit_test(a_moved_block_is_the_same_elsewhere),
	    cmocka_unit_test(readers_keep_the_place_that_they_hold),
	    cmocka_unit_test(a_write_in_flight_holds_a_move_up),
	    cmocka_unit_test(blocks_behind_the_end_of_the_file),
	    cmocka_unit_test(a_partial_block_moves_with_its_bits),
	    cmocka_unit_test(a_freed_block_of_a_child_is_never_the_parents),
	    cmocka_unit_test(a_bitmap_block_moves),
	    cmocka_unit_test(a_bitmap_moves_while_the_metadata_region_does),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
