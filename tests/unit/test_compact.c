/* SPDX-License-Identifier: MIT */
/*
 * vd_compact: what each level does, that a dry run tells what the real one does, and that a second
 * one finds nothing. Content and the DataWriteGuid stay throughout. Where it ends:
 * test_compact_end.c.
 */
#include "compact_rig.h"

struct order {
	uint64_t end, n, n_out_of_order, last, n_blocks;
};

static int look_at_order(void *user, const struct vd_use_range *range)
{
	struct order *order = user;

	order->end =
	    range->offset + range->length > order->end ? range->offset + range->length : order->end;
	if (range->use != VD_USE_BLOCK)
		return 0;
	order->n_out_of_order += range->offset < order->last;
	order->last = range->offset;
	order->n_blocks++;
	return 0;
}

static struct order order_of(struct image *image)
{
	struct order order = {0, 0, 0, 0, 0};

	must(vd_disk_list_use(image->disk, look_at_order, &order, &err));
	return order;
}

static void punching_leaves_the_length_alone(void **state)
{
	struct vd_compact_result result;
	struct image image;

	(void)state;
	make_used(&image);
	result = compact(&image, VD_COMPACT_PUNCH, 0);
	assert_int_equal(result.dropped_zero + result.punched + result.n_moves, 0);
	result = compact(&image, VD_COMPACT_PUNCH, VD_COMPACT_ZERO_SCAN);
	assert_int_equal(result.file_after, result.file_before);
	assert_int_equal(result.n_moves, 0);
	assert_true(result.dropped_zero > 0 && result.punched > 0 && result.is_complete);
	result = compact(&image, VD_COMPACT_PUNCH, VD_COMPACT_ZERO_SCAN);
	assert_int_equal(result.dropped_zero + result.dropped_hole + result.punched, 0);
	drop_image(&image);
}

static void packing_ends_the_file_behind_what_there_is(void **state)
{
	struct vd_compact_result result;
	struct image image;
	struct order order;

	(void)state;
	make_used(&image);
	result = compact(&image, VD_COMPACT_PACK, VD_COMPACT_ZERO_SCAN);
	order = order_of(&image);
	assert_true(result.file_after < result.file_before && result.n_moves > 0);
	assert_int_equal(result.file_after, order.end);
	assert_int_equal(result.file_after, result.file_least);
	assert_int_equal(result.file_after, store_length(image.store));
	/* Nothing lies between the structures and the end but blocks. */
	assert_int_equal(order.n_blocks * MIB, order.end - 5 * MIB);
	assert_int_equal(result.n_moves, result.n_moves_planned);
	assert_int_equal(result.n_deferred, 0);
	assert_true(result.is_complete);
	result = compact(&image, VD_COMPACT_PACK, VD_COMPACT_ZERO_SCAN);
	assert_int_equal(result.n_moves + result.dropped_zero + result.dropped_hole +
			     result.punched + result.bytes_copied,
			 0);
	assert_int_equal(result.file_after, result.file_before);
	assert_true(result.is_complete);
	drop_image(&image);
}

static void defragmenting_puts_blocks_in_order(void **state)
{
	struct vd_compact_result result;
	struct image image;
	struct order order;

	(void)state;
	make_used(&image);
	assert_true(order_of(&image).n_out_of_order > 0);
	result = compact(&image, VD_COMPACT_DEFRAG, VD_COMPACT_ZERO_SCAN);
	order = order_of(&image);
	assert_int_equal(order.n_out_of_order, 0);
	assert_int_equal(order.end, result.file_after);
	assert_int_equal(result.n_moves, result.n_moves_planned);
	result = compact(&image, VD_COMPACT_DEFRAG, VD_COMPACT_ZERO_SCAN);
	assert_int_equal(result.n_moves, 0);
	assert_true(result.is_complete);
	drop_image(&image);
}

static void expect_same(const struct vd_compact_result *told, const struct vd_compact_result *done)
{
	assert_int_equal(told->file_before, done->file_before);
	assert_int_equal(told->file_after, done->file_after);
	assert_int_equal(told->dropped_hole, done->dropped_hole);
	assert_int_equal(told->dropped_zero, done->dropped_zero);
	assert_int_equal(told->dropped_anchor, done->dropped_anchor);
	assert_int_equal(told->punched, done->punched);
	assert_int_equal(told->n_moves_planned, done->n_moves_planned);
	assert_int_equal(told->n_moves_planned, done->n_moves);
	assert_int_equal(told->file_least, done->file_least);
}

/* Also of one who may only read; and nothing is changed by it. */
static void a_dry_run_tells_what_comes(void **state)
{
	(void)state;
	for (int level = VD_COMPACT_PUNCH; level <= VD_COMPACT_DEFRAG; level++) {
		for (uint32_t flags = 0; flags <= VD_COMPACT_ZERO_SCAN; flags++) {
			struct vd_compact_result told = {.size = sizeof(told)}, done;
			struct vd_compact_opts opts = VD_COMPACT_OPTS_INIT;
			struct image image;
			struct vd_io *io;
			struct vd_disk *disk;
			uint64_t hash;

			make_used(&image);
			close_image(&image);
			hash = store_hash(image.store);
			io = store_io(image.store, false);
			disk = scratch_open_io(io, 0);
			opts.level = (enum vd_compact_level)level;
			opts.flags = flags | VD_COMPACT_DRY_RUN;
			must(vd_compact(disk, &opts, &told, &err));
			must(vd_disk_close(disk, &err));
			vd_io_close(io);
			assert_int_equal(store_hash(image.store), hash);
			open_image(&image);
			done = compact(&image, (enum vd_compact_level)level, flags);
			expect_same(&told, &done);
			drop_image(&image);
		}
	}
}

/* Of others: a region that nobody knows, soft anchors, blocks behind the end of the file. */
static void an_image_by_others_is_compacted(void **state)
{
	struct vd_compact_result told, done;
	struct image image = {.store = store_new(NULL), .model = model_new(64 * MIB, 5)};
	struct vhdxgen g;
	uint8_t *page = malloc(PAGE);

	(void)state;
	vhdxgen_init(&g);
	vhdxgen_add_region(&g, GEN_UNKNOWN, 9 * MIB, (uint32_t)MIB, 0);
	vhdxgen_add_bat(&g, 2, 10 * MIB | 3);
	vhdxgen_add_bat(&g, 3, 14 * MIB | 1);
	vhdxgen_add_bat(&g, 4, 18 * MIB | 6);
	vhdxgen_add_bat(&g, 6, 26 * MIB | 6);
	g.file_len = 27 * MIB + 100;
	vhdxgen_emit(&g, image.store);
	for (uint64_t i = 0; i < 5; i++) { /* blocks 0 and 4, the region, and nobody's */
		static const uint64_t at[] = {4, 18, 9, 12, 24};
		uint64_t block = i ? 8 * MIB : 0;

		stamp_fill(page, PAGE, block, 3, 5);
		store_write(image.store, page, PAGE, at[i] * MIB);
		if (i < 2)
			model_write(image.model, block, PAGE, 3);
	}
	open_image(&image);
	told = compact(&image, VD_COMPACT_PACK, VD_COMPACT_DRY_RUN);
	done = compact(&image, VD_COMPACT_PACK, 0);
	expect_same(&told, &done);
	assert_int_equal(done.dropped_anchor, 4 * MIB);
	assert_int_equal(done.dropped_hole, 4 * MIB);
	/* 0: 4 to 6, 4: 6 to 8, then the region. */
	assert_int_equal(done.file_after, 10 * MIB);
	assert_int_equal(done.n_moves, 1);
	store_read(image.store, page, PAGE, 9 * MIB);
	assert_true(stamp_is(page, 8 * MIB / 512, 3, 5));
	drop_image(&image);
	free(page);
}

/* A freed block is zero, never the parent's; partial blocks and bitmap blocks move. */
static void a_child_is_compacted(void **state)
{
	struct model *model = model_new(CHILD, 5);
	const char *parent = make_parent(model);
	struct vd_compact_result told, done;
	struct image image;

	(void)state;
	make(&image, VD_TYPE_DIFFERENCING, parent, model);
	fill(&image, 6);
	put(&image, 4500 * MIB + PAGE, PAGE, 91); /* the second bitmap, behind */
	put(&image, 20 * MIB + PAGE, PAGE, 92);
	discard(&image, 4 * MIB, MIB);
	must(vd_disk_close(image.disk, &err));
	vd_io_close(image.io);
	open_image(&image);
	told = compact(&image, VD_COMPACT_PACK, VD_COMPACT_ZERO_SCAN | VD_COMPACT_DRY_RUN);
	done = compact(&image, VD_COMPACT_PACK, VD_COMPACT_ZERO_SCAN);
	expect_same(&told, &done);
	assert_true(done.n_moves > 0 && done.dropped_zero > 0);
	assert_int_equal(done.file_after, done.file_least);
	done = compact(&image, VD_COMPACT_DEFRAG, VD_COMPACT_ZERO_SCAN);
	assert_true(done.is_complete);
	drop_image(&image);
}

/* What another program reads before and after. */
static void qemu_reads_the_same(void **state)
{
	const char *before = scratch_path("before.vhdx"), *after = scratch_path("after.vhdx");

	(void)state;
	if (!scratch_has("qemu-img"))
		skip();
	for (int level = VD_COMPACT_PUNCH; level <= VD_COMPACT_DEFRAG; level++) {
		struct image image;

		make_used(&image);
		close_image(&image);
		assert_true(store_save(image.store, before));
		open_image(&image);
		compact(&image, (enum vd_compact_level)level, VD_COMPACT_ZERO_SCAN);
		close_image(&image);
		assert_true(store_save(image.store, after));
		assert_int_equal(scratch_run("qemu-img check -q -f vhdx '%s' >&2", after), 0);
		assert_int_equal(
		    scratch_run("qemu-img compare -f vhdx -F vhdx '%s' '%s' >&2", before, after),
		    0);
		model_free(image.model);
		store_free(image.store);
		unlink(before);
		unlink(after);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(punching_leaves_the_length_alone),
	    cmocka_unit_test(packing_ends_the_file_behind_what_there_is),
	    cmocka_unit_test(defragmenting_puts_blocks_in_order),
	    cmocka_unit_test(a_dry_run_tells_what_comes),
	    cmocka_unit_test(an_image_by_others_is_compacted),
	    cmocka_unit_test(a_child_is_compacted),
	    cmocka_unit_test(qemu_reads_the_same),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
