/* SPDX-License-Identifier: MIT */
/* Which entries of a log are replayed, and what they do, as MS-VHDX 2.3.3 has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "vhdxlog.h"

static int refused(struct image *image, const char *text)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vhdx_replay *replay;
	int rc = vhdx_replay_scan(&replay, image->io, &image->header, &err);

	assert_null(replay);
	assert_non_null(strstr(err.text, text));
	return rc;
}

/* All 4,096 bytes of a page. */
static void assert_page(const struct image *image, uint64_t off, uint8_t value)
{
	uint8_t page[VHDX_PAGE], expected[VHDX_PAGE];

	store_read(image->store, page, sizeof(page), off);
	memset(expected, value, sizeof(expected));
	assert_memory_equal(page, expected, sizeof(page));
}

static void one_entry_is_written(void **state)
{
	const struct gen_desc descs[] = {{.off = TARGET, .fill = 1},
					 {.off = TARGET + 8192, .fill = 2}};
	struct image image;

	(void)state;
	image_make(&image, 1 << 20);
	image_add(&image, &(struct gen_entry){.seq = 7, .descs = descs, .n_descs = 2});
	assert_int_equal(image_apply(&image), 7);
	assert_page(&image, TARGET, 1);
	assert_page(&image, TARGET + 4096, 0xee);
	assert_page(&image, TARGET + 8192, 2);
	image_drop(&image);
}

static void entries_follow_in_order_and_the_later_one_counts(void **state)
{
	const struct gen_desc first[] = {{.off = TARGET, .fill = 1},
					 {.off = TARGET + 4096, .fill = 1}};
	const struct gen_desc second[] = {{.off = TARGET, .fill = 2}};
	struct image image;

	(void)state;
	image_make(&image, 1 << 20);
	image_add(&image, &(struct gen_entry){.seq = 7, .descs = first, .n_descs = 2});
	image_add(&image,
		  &(struct gen_entry){.at = 12288, .seq = 8, .descs = second, .n_descs = 1});
	assert_int_equal(image_apply(&image), 8);
	assert_page(&image, TARGET, 2);
	assert_page(&image, TARGET + 4096, 1);
	image_drop(&image);
}

static void entries_before_tail_are_left_alone(void **state)
{
	const struct gen_desc first[] = {{.off = TARGET, .fill = 1}};
	const struct gen_desc second[] = {{.off = TARGET + 4096, .fill = 2}};
	struct image image;

	(void)state;
	image_make(&image, 1 << 20);
	image_add(&image, &(struct gen_entry){.seq = 7, .descs = first, .n_descs = 1});
	image_add(&image, &(struct gen_entry){
			      .at = 8192, .tail = 8192, .seq = 8, .descs = second, .n_descs = 1});
	assert_int_equal(image_apply(&image), 8);
	assert_page(&image, TARGET, 0xee);
	assert_page(&image, TARGET + 4096, 2);
	image_drop(&image);
}

static void stale_entries_end_the_sequence(void **state)
{
	const struct gen_desc fresh[] = {{.off = TARGET, .fill = 1}};
	const struct gen_desc stale[] = {{.off = TARGET + 4096, .fill = 2}};
	struct image image;

	(void)state;
	image_make(&image, 1 << 20);
	image_add(&image, &(struct gen_entry){.seq = 70, .descs = fresh, .n_descs = 1});
	/* Of the lap before: a gap in the numbers, another GUID, a torn one. */
	image_add(&image, &(struct gen_entry){
			      .at = 8192, .tail = 8192, .seq = 40, .descs = stale, .n_descs = 1});
	assert_int_equal(image_apply(&image), 70);
	assert_page(&image, TARGET, 1);
	assert_page(&image, TARGET + 4096, 0xee);
	image_add(&image,
		  &(struct gen_entry){
		      .at = 8192, .seq = 71, .log_id = GEN_UNKNOWN, .descs = stale, .n_descs = 1});
	assert_int_equal(image_apply(&image), 70);
	image_add(&image, &(struct gen_entry){
			      .at = 8192, .seq = 71, .is_bad = true, .descs = stale, .n_descs = 1});
	assert_int_equal(image_apply(&image), 70);
	image_add(&image, &(struct gen_entry){
			      .at = 8192, .seq = 71, .data_seq = 40, .descs = stale, .n_descs = 1});
	assert_int_equal(image_apply(&image), 70);
	assert_page(&image, TARGET + 4096, 0xee);
	image_add(&image, &(struct gen_entry){.at = 8192, .seq = 71, .descs = stale, .n_descs = 1});
	assert_int_equal(image_apply(&image), 71);
	assert_page(&image, TARGET + 4096, 2);
	image_drop(&image);
}

static void highest_sequence_wins_wherever_it_lies(void **state)
{
	const struct gen_desc low[] = {{.off = TARGET, .fill = 1}};
	const struct gen_desc high[] = {{.off = TARGET, .fill = 2}};
	struct image image;

	(void)state;
	for (int swap = 0; swap < 2; swap++) {
		uint32_t a = swap ? 65536 : 0, b = swap ? 0 : 65536;

		image_make(&image, 1 << 20);
		image_add(&image, &(struct gen_entry){
				      .at = a, .tail = a, .seq = 5, .descs = low, .n_descs = 1});
		image_add(&image, &(struct gen_entry){
				      .at = b, .tail = b, .seq = 9, .descs = high, .n_descs = 1});
		assert_int_equal(image_apply(&image), 9);
		assert_page(&image, TARGET, 2);
		image_drop(&image);
	}
}

/* A head whose Tail isn't in its own sequence makes all of it invalid, not just itself. */
static void sequence_without_its_tail_is_invalid(void **state)
{
	const struct gen_desc old[] = {{.off = TARGET, .fill = 1}};
	const struct gen_desc new[] = {{.off = TARGET, .fill = 2}};
	struct image image;

	(void)state;
	image_make(&image, 1 << 20);
	image_add(&image, &(struct gen_entry){.seq = 5, .descs = old, .n_descs = 1});
	image_add(&image, &(struct gen_entry){
			      .at = 65536, .tail = 65536, .seq = 9, .descs = new, .n_descs = 1});
	image_add(&image, &(struct gen_entry){
			      .at = 73728, .tail = 0, .seq = 10, .descs = new, .n_descs = 1});
	assert_int_equal(image_apply(&image), 5);
	assert_page(&image, TARGET, 1);
	/* A Tail that points into the middle of an entry is none either. */
	image_add(&image, &(struct gen_entry){
			      .at = 73728, .tail = 69632, .seq = 10, .descs = new, .n_descs = 1});
	assert_int_equal(image_apply(&image), 5);
	image_add(&image, &(struct gen_entry){
			      .at = 73728, .tail = 65536, .seq = 10, .descs = new, .n_descs = 1});
	assert_int_equal(image_apply(&image), 10);
	assert_page(&image, TARGET, 2);
	image_drop(&image);
}

static void entries_wrap_round_the_end_of_the_log(void **state)
{
	/* Header sector last in the ring, descriptors and data at its start. */
	struct gen_desc many[130];
	const struct gen_desc last[] = {{.off = TARGET + 130 * 4096, .fill = 0x77}};
	uint32_t at = (1 << 20) - 4096, next = 131 * 4096;
	struct image image;

	(void)state;
	for (uint32_t i = 0; i < 130; i++)
		many[i] = (struct gen_desc){.off = TARGET + i * 4096, .fill = (uint8_t)i};
	image_make(&image, 1 << 20);
	image_add(&image, &(struct gen_entry){
			      .at = at, .tail = at, .seq = 7, .descs = many, .n_descs = 130});
	image_add(&image, &(struct gen_entry){
			      .at = next, .tail = at, .seq = 8, .descs = last, .n_descs = 1});
	assert_int_equal(image_apply(&image), 8);
	for (uint32_t i = 0; i < 130; i++)
		assert_page(&image, TARGET + i * 4096, (uint8_t)i);
	assert_page(&image, TARGET + 130 * 4096, 0x77);
	image_drop(&image);
}

static void entry_may_fill_the_whole_log(void **state)
{
	static struct gen_desc many[253];
	struct image image;

	(void)state;
	/* 3 sectors of header and descriptors, 253 of data: 1 MiB. */
	for (uint32_t i = 0; i < 253; i++)
		many[i] = (struct gen_desc){.off = TARGET + i * 4096, .fill = (uint8_t)i};
	image_make(&image, 1 << 20);
	image_add(&image,
		  &(struct gen_entry){
		      .at = 409600, .tail = 409600, .seq = 7, .descs = many, .n_descs = 253});
	assert_int_equal(image_apply(&image), 7);
	for (uint32_t i = 0; i < 253; i++)
		assert_page(&image, TARGET + i * 4096, (uint8_t)i);
	image_drop(&image);
}

static void zeros_and_data_cover_each_other(void **state)
{
	const struct gen_desc descs[] = {
	    {.off = TARGET + 4096, .fill = 1},
	    {.is_zero = true, .off = TARGET, .len = 5 * 4096},
	    {.off = TARGET + 8192, .fill = 2},
	    {.is_zero = true, .off = TARGET + 6 * 4096, .len = 0},
	};
	struct image image;

	(void)state;
	image_make(&image, 1 << 20);
	image_add(&image, &(struct gen_entry){.seq = 7, .descs = descs, .n_descs = 4});
	image_apply(&image);
	assert_page(&image, TARGET, 0);
	assert_page(&image, TARGET + 4096, 0);
	assert_page(&image, TARGET + 8192, 2);
	assert_page(&image, TARGET + 3 * 4096, 0);
	assert_page(&image, TARGET + 4 * 4096, 0);
	assert_page(&image, TARGET + 5 * 4096, 0xee);
	assert_page(&image, TARGET + 6 * 4096, 0xee);
	image_drop(&image);
}

static void empty_entry_is_valid(void **state)
{
	struct image image;

	(void)state;
	image_make(&image, 1 << 20);
	image_add(&image, &(struct gen_entry){.seq = 3, .last_off = 9 * GEN_MIB});
	assert_int_equal(image_apply(&image), 3);
	assert_int_equal(store_length(image.store), 9 * GEN_MIB);
	image_drop(&image);
}

static void file_grows_as_the_head_demands(void **state)
{
	const struct gen_desc far[] = {
	    {.off = 20 * GEN_MIB + 4096, .fill = 3},
	    {.is_zero = true, .off = 30 * GEN_MIB, .len = 100 * GEN_MIB}};
	struct image image;

	(void)state;
	image_make(&image, 1 << 20);
	/* Not to the 40 MiB of an entry that isn't the head. */
	image_add(&image, &(struct gen_entry){.seq = 3, .last_off = 40 * GEN_MIB});
	image_add(&image, &(struct gen_entry){.at = 4096, .seq = 4, .last_off = 10 * GEN_MIB});
	image_apply(&image);
	assert_int_equal(store_length(image.store), 10 * GEN_MIB);
	/* As far as data goes, whole MiBs; zeros need no file. */
	image_add(&image, &(struct gen_entry){.at = 8192, .seq = 5, .descs = far, .n_descs = 2});
	image_apply(&image);
	assert_int_equal(store_length(image.store), 21 * GEN_MIB);
	assert_page(&image, 20 * GEN_MIB + 4096, 3);
	/* And never shorter. */
	image_add(&image, &(struct gen_entry){
			      .at = 16384, .tail = 16384, .seq = 6, .last_off = 5 * GEN_MIB});
	image_apply(&image);
	assert_int_equal(store_length(image.store), 21 * GEN_MIB);
	image_drop(&image);
}

static void file_cut_off_is_corrupt(void **state)
{
	struct image image;

	(void)state;
	image_make(&image, 1 << 20);
	image_add(&image, &(struct gen_entry){.seq = 3, .flushed_off = 9 * GEN_MIB});
	assert_int_equal(refused(&image, "the file was cut off"), VD_ECORRUPT);
	/* What an entry before the head demanded doesn't count. */
	image_add(&image, &(struct gen_entry){.at = 4096, .seq = 4});
	assert_int_equal(image_apply(&image), 4);
	image_drop(&image);
}

/* Stale garbage with bad targets is no reason to refuse; the same in the active sequence is. */
static void only_active_entries_are_judged(void **state)
{
	const struct gen_desc bad[] = {{.off = 65536, .fill = 1}};
	const struct gen_desc good[] = {{.off = TARGET, .fill = 2}};
	struct image image;

	(void)state;
	image_make(&image, 1 << 20);
	image_add(&image, &(struct gen_entry){.seq = 3, .descs = bad, .n_descs = 1});
	image_add(&image, &(struct gen_entry){
			      .at = 8192, .tail = 8192, .seq = 4, .descs = good, .n_descs = 1});
	assert_int_equal(image_apply(&image), 4);
	image_add(&image, &(struct gen_entry){
			      .at = 8192, .tail = 0, .seq = 4, .descs = good, .n_descs = 1});
	assert_int_equal(refused(&image, "never goes through the log"), VD_ECORRUPT);
	image_drop(&image);
}

static void last_number_of_all_is_a_number(void **state)
{
	struct image image;

	(void)state;
	image_make(&image, 1 << 20);
	image_add(&image, &(struct gen_entry){.seq = UINT64_MAX - 1});
	image_add(&image, &(struct gen_entry){.at = 4096, .seq = UINT64_MAX});
	assert_true(image_apply(&image) == UINT64_MAX);
	image_drop(&image);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_entry_is_written),
	    cmocka_unit_test(entries_follow_in_order_and_the_later_one_counts),
	    cmocka_unit_test(entries_before_tail_are_left_alone),
	    cmocka_unit_test(stale_entries_end_the_sequence),
	    cmocka_unit_test(highest_sequence_wins_wherever_it_lies),
	    cmocka_unit_test(sequence_without_its_tail_is_invalid),
	    cmocka_unit_test(entries_wrap_round_the_end_of_the_log),
	    cmocka_unit_test(entry_may_fill_the_whole_log),
	    cmocka_unit_test(zeros_and_data_cover_each_other),
	    cmocka_unit_test(empty_entry_is_valid),
	    cmocka_unit_test(file_grows_as_the_head_demands),
	    cmocka_unit_test(file_cut_off_is_corrupt),
	    cmocka_unit_test(only_active_entries_are_judged),
	    cmocka_unit_test(last_number_of_all_is_a_number),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
