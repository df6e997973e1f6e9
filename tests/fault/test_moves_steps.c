/* SPDX-License-Identifier: MIT */
/*
 * Steps of a compaction that meet something, at a moment of the test's choice: a write while its
 * block is copied, while it changes its place, while it is looked at; a discard while zeros are
 * punched; the host's cut. Each case fails when the step that it is about is left out.
 */
#include "moves_bench.h"

/* A read of the block's first bytes has ended: the n-th. 0: it was another call. */
static unsigned count_read(struct bench *b, enum hook_call call, uint64_t offset)
{
	return b->is_armed && call == HOOK_READ && offset == b->from ? ++b->n_seen : 0;
}

static void *write_page(void *arg)
{
	struct bench *b = arg;

	put(b->disk, b->page, PAGE, 7);
	atomic_store(&b->is_written, true);
	return NULL;
}

static void start_writer(struct bench *b, uint64_t page)
{
	b->page = page;
	b->has_thread = true;
	assert_int_equal(pthread_create(&b->thread, NULL, write_page, b), 0);
}

/* For something that may not happen at all. */
static void wait_a_while(_Atomic bool *flag)
{
	for (int i = 0; i < 50 && !atomic_load(flag); i++)
		usleep(1000);
}

static void move(struct bench *b, struct vd_move_result *result)
{
	struct vd_error err = VD_ERROR_INIT;

	*result = (struct vd_move_result){.size = sizeof(*result)};
	must(vd_disk_move_block(b->disk, VD_USE_BLOCK, 1, b->from, b->to, HOLD, result, &err),
	     &err);
	atomic_store(&b->is_moved, true);
	if (b->has_thread)
		pthread_join(b->thread, NULL);
	b->has_thread = false;
	assert_int_equal(place_of(b->disk, VD_USE_BLOCK, 1), b->to);
}

static int write_during_copy(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len)
{
	(void)len;
	if (count_read(of(hook), call, offset) == 1)
		put(of(hook)->disk, MIB, PAGE, 7);
	return 0;
}

static void a_write_during_the_copy_is_copied_again(void **state)
{
	struct bench *b = begin(NULL, write_during_copy);
	struct vd_move_result result;

	(void)state;
	move(b, &result);
	assert_int_equal(result.n_recopied, 1);
	expect(b->disk, MIB, PAGE, 7);
	expect(b->disk, MIB + PAGE, MIB - PAGE, 1);
	end(b);
}

/* Also what was punched must not come back. */
static int discard_during_copy(struct hook *hook, enum hook_call call, uint64_t offset,
			       uint64_t len)
{
	struct vd_error err = VD_ERROR_INIT;

	(void)len;
	if (count_read(of(hook), call, offset) == 1)
		must(vd_disk_discard(of(hook)->disk, MIB + PAGE, 4 * PAGE, &err), &err);
	return 0;
}

static void a_discard_during_the_copy_is_copied_again(void **state)
{
	struct bench *b = begin(NULL, discard_during_copy);
	struct vd_move_result result;

	(void)state;
	move(b, &result);
	expect(b->disk, MIB, PAGE, 1);
	expect(b->disk, MIB + PAGE, 4 * PAGE, 0);
	expect(b->disk, MIB + 5 * PAGE, MIB - 5 * PAGE, 1);
	end(b);
}

/* The first copy is outdated by a write; when the second one has read the page, another comes. */
static int write_while_held(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len)
{
	struct bench *b = of(hook);
	unsigned n = count_read(b, call, offset);

	(void)len;
	if (n == 1)
		put(b->disk, MIB + PAGE, PAGE, 6);
	if (n == 2) {
		start_writer(b, MIB);
		wait_a_while(&b->is_written);
	}
	return 0;
}

static void writers_wait_while_their_block_changes_its_place(void **state)
{
	struct bench *b = begin(NULL, write_while_held);
	struct vd_move_result result;

	(void)state;
	move(b, &result);
	assert_int_equal(b->n_seen, 2);
	expect(b->disk, MIB, PAGE, 7);
	expect(b->disk, MIB + PAGE, PAGE, 6);
	end(b);
}

static int start_during_copy(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len)
{
	struct bench *b = of(hook);

	(void)len;
	if (count_read(b, call, offset) == 1) {
		start_writer(b, MIB);
		while (!atomic_load(&b->is_inside))
			usleep(1000);
	}
	return 0;
}

/* The writer's bytes are on their way until the block has moved, or for a while. */
static int linger(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len)
{
	struct bench *b = of(hook);

	(void)len;
	if (b->is_armed && call == HOOK_WRITE && offset >= b->from && offset < b->from + MIB &&
	    !atomic_exchange(&b->is_inside, true))
		wait_a_while(&b->is_moved);
	return 0;
}

static void a_block_waits_for_writes_in_flight(void **state)
{
	struct bench *b = begin(linger, start_during_copy);
	struct vd_move_result result;

	(void)state;
	move(b, &result);
	expect(b->disk, MIB, PAGE, 7);
	expect(b->disk, MIB + PAGE, MIB - PAGE, 1);
	end(b);
}

/* Nobody waits for ever: the move gives up, and nothing has changed. */
static void a_write_that_takes_too_long_is_left_alone(void **state)
{
	struct bench *b = begin(linger, start_during_copy);
	struct vd_error err = VD_ERROR_INIT;

	(void)state;
	assert_int_equal(
	    vd_disk_move_block(b->disk, VD_USE_BLOCK, 1, b->from, b->to, 1, NULL, &err), VD_EBUSY);
	assert_true(err.text[0] != '\0');
	pthread_join(b->thread, NULL);
	b->has_thread = false;
	assert_int_equal(place_of(b->disk, VD_USE_BLOCK, 1), b->from);
	expect(b->disk, MIB, PAGE, 7);
	b->is_armed = false;
	must(vd_disk_move_block(b->disk, VD_USE_BLOCK, 1, b->from, b->to, HOLD, NULL, &err), &err);
	expect(b->disk, MIB, PAGE, 7);
	expect(b->disk, MIB + PAGE, MIB - PAGE, 1);
	end(b);
}

static void space_with_old_bytes_is_zeroed_before_a_block_moves_there(void **state)
{
	struct store *store = store_new(NULL);
	struct vd_io *io = store_io(store, true);
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk;
	uint8_t *old = malloc(MIB);
	uint64_t end_of_file;

	(void)state;
	create.virtual_size = DISK;
	create.block_size = (uint32_t)MIB;
	must(vd_disk_create_io(io, &create, &err), &err);
	disk = open_io(io, VD_OPEN_WRITE);
	put(disk, MIB, PAGE, 1);
	must(vd_disk_close(disk, &err), &err);
	end_of_file = store_length(store);
	store_truncate(store, end_of_file + 4 * MIB);
	memset(old, 'o', MIB);
	store_write(store, old, MIB, end_of_file + MIB);
	disk = open_io(io, VD_OPEN_WRITE);
	must(vd_disk_move_block(disk, VD_USE_BLOCK, 1, place_of(disk, VD_USE_BLOCK, 1),
				end_of_file + MIB, HOLD, NULL, &err),
	     &err);
	expect(disk, MIB, PAGE, 1);
	expect(disk, MIB + PAGE, MIB - PAGE, 0);
	must(vd_disk_close(disk, &err), &err);
	vd_io_close(io);
	store_free(store);
	free(old);
}

/* As if the power were cut: what the file shows without what is in memory. */
static void expect_after_a_cut(struct bench *b, uint32_t generation)
{
	struct store *copy = store_new(NULL);
	struct vd_error err = VD_ERROR_INIT;
	struct vd_io *io;
	struct vd_disk *disk;

	store_save(b->store, scratch_path("cut.vhdx"));
	store_load(copy, scratch_path("cut.vhdx"));
	io = store_io(copy, false);
	disk = open_io(io, 0);
	expect(disk, MIB, MIB, generation);
	must(vd_disk_close(disk, &err), &err);
	vd_io_close(io);
	store_free(copy);
}

static void the_old_place_keeps_its_bytes_until_the_commit(void **state)
{
	struct bench *b = begin(NULL, NULL);
	struct vd_error err = VD_ERROR_INIT;
	struct vd_move_result result;

	(void)state;
	move(b, &result);
	expect_after_a_cut(b, 1);
	must(vd_disk_flush(b->disk, &err), &err);
	expect_after_a_cut(b, 1);
	expect(b->disk, 0, 4 * MIB, 1);
	end(b);
}

/* A commit puts bits in place; the next ones are set before it has ended. */
static int set_bits_meanwhile(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len)
{
	struct bench *b = of(hook);

	(void)len;
	if (b->is_armed && call == HOOK_WRITE && offset / MIB == b->from / MIB && !b->n_seen++)
		put(b->disk, 5 * MIB + 8 * PAGE, PAGE, 7);
	return 0;
}

static void bits_that_are_set_while_their_bitmap_moves_go_with_it(void **state)
{
	struct bench *b = begin_over(make_parent(), NULL, set_bits_meanwhile);
	struct vd_error err = VD_ERROR_INIT;

	(void)state;
	b->is_armed = false;
	put(b->disk, 5 * MIB, PAGE, 3);
	must(vd_disk_cut(b->disk, 0, &b->to, &err), &err);
	b->from = place_of(b->disk, VD_USE_BITMAP, 0);
	put(b->disk, 5 * MIB + 2 * PAGE, PAGE, 3);
	b->is_armed = true;
	must(vd_disk_move_block(b->disk, VD_USE_BITMAP, 0, b->from, b->to, HOLD, NULL, &err), &err);
	b->is_armed = false;
	assert_true(b->n_seen > 0);
	assert_int_equal(place_of(b->disk, VD_USE_BITMAP, 0), b->to);
	for (int i = 0; i < 2; i++) {
		expect(b->disk, 5 * MIB, PAGE, 3);
		expect(b->disk, 5 * MIB + PAGE, PAGE, 0);
		expect(b->disk, 5 * MIB + 2 * PAGE, PAGE, 3);
		expect(b->disk, 5 * MIB + 8 * PAGE, PAGE, 7);
		must(vd_disk_close(b->disk, &err), &err);
		b->disk = open_io(b->io, VD_OPEN_WRITE);
	}
	end(b);
}

/* The look before anything is held, and the one that counts. */
static int write_after_look(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len)
{
	(void)len;
	if (count_read(of(hook), call, offset) == 2)
		put(of(hook)->disk, MIB + PAGE, PAGE, 7);
	return 0;
}

static void a_block_that_was_written_since_the_look_stays(void **state)
{
	struct bench *b = begin(NULL, write_after_look);
	struct vd_error err = VD_ERROR_INIT;
	uint64_t n_dropped = 1;

	(void)state;
	put(b->disk, MIB, MIB, 0);
	must(vd_disk_drop_block(b->disk, 1, VD_DROP_ZERO, HOLD, &n_dropped, &err), &err);
	assert_true(b->n_seen >= 2);
	assert_int_equal(n_dropped, 0);
	expect(b->disk, MIB, PAGE, 0);
	expect(b->disk, MIB + PAGE, PAGE, 7);
	end(b);
}

static void a_free_block_is_dropped_whatever_it_holds(void **state)
{
	struct bench *b = begin(NULL, NULL);
	struct vd_error err = VD_ERROR_INIT;
	uint64_t n_dropped = 1;

	(void)state;
	must(vd_disk_drop_block(b->disk, 1, VD_DROP_FREE, HOLD, &n_dropped, &err), &err);
	assert_int_equal(n_dropped, MIB);
	expect(b->disk, MIB, MIB, 0);
	expect(b->disk, 0, MIB, 1);
	end(b);
}

/* The block is discarded and its place given to another, while its zeros are looked for. */
static int replace_during_scan(struct hook *hook, enum hook_call call, uint64_t offset,
			       uint64_t len)
{
	struct bench *b = of(hook);
	struct vd_error err = VD_ERROR_INIT;

	(void)len;
	if (count_read(b, call, offset) == 1) {
		must(vd_disk_discard(b->disk, MIB, MIB, &err), &err);
		must(vd_disk_flush(b->disk, &err), &err);
		put(b->disk, 8 * MIB, MIB, 5);
	}
	return 0;
}

static int write_during_scan(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len)
{
	(void)len;
	if (count_read(of(hook), call, offset) == 1)
		put(of(hook)->disk, MIB + PAGE, PAGE, 7);
	return 0;
}

static void zeros_that_were_written_since_the_look_stay(void **state)
{
	struct bench *b = begin(NULL, write_during_scan);
	uint64_t n_punched = 1;

	(void)state;
	put(b->disk, MIB, MIB / 2, 0);
	assert_int_equal(vd_disk_punch_block(b->disk, 1, PAGE, HOLD, &n_punched, NULL), VD_EBUSY);
	assert_true(b->n_seen > 0);
	assert_int_equal(n_punched, 0);
	expect(b->disk, MIB + PAGE, PAGE, 7);
	expect(b->disk, MIB + 2 * PAGE, MIB / 2 - 2 * PAGE, 0);
	end(b);
}

static void zeros_arent_punched_where_another_block_lies_now(void **state)
{
	struct bench *b = begin(NULL, replace_during_scan);
	struct vd_error err = VD_ERROR_INIT;
	uint64_t n_punched;

	(void)state;
	put(b->disk, MIB, MIB / 2, 0);
	must(vd_disk_punch_block(b->disk, 1, PAGE, HOLD, &n_punched, &err), &err);
	assert_true(b->n_seen > 0);
	expect(b->disk, 8 * MIB, MIB, 5);
	expect(b->disk, MIB, MIB, 0);
	end(b);
}

/* The same while it is moved: the other block's bytes don't get to this one. */
static void a_block_that_is_discarded_while_it_moves_stays_so(void **state)
{
	struct bench *b = begin(NULL, replace_during_scan);
	struct vd_error err = VD_ERROR_INIT;

	(void)state;
	assert_int_equal(
	    vd_disk_move_block(b->disk, VD_USE_BLOCK, 1, b->from, b->to, HOLD, NULL, &err),
	    VD_ENOENT);
	expect(b->disk, 8 * MIB, MIB, 5);
	expect(b->disk, MIB, MIB, 0);
	end(b);
}

/* What is in place when the headers say that the log is empty. */
static int watch_headers(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len)
{
	struct bench *b = of(hook);

	(void)len;
	if (call == HOOK_SYNC)
		b->n_unsynced = 0;
	else if (call == HOOK_WRITE && offset < 192u << 10)
		b->n_bad += b->is_armed && b->n_unsynced;
	else if (call == HOOK_WRITE)
		b->n_unsynced++;
	return 0;
}

static void the_log_is_emptied_when_all_is_in_place(void **state)
{
	struct bench *b = begin(NULL, watch_headers);
	struct vd_error err = VD_ERROR_INIT;
	uint64_t length;

	(void)state;
	put(b->disk, 6 * MIB, PAGE, 2);
	must(vd_disk_cut(b->disk, 0, &length, &err), &err);
	assert_int_equal(b->n_bad, 0);
	assert_int_equal(length, store_length(b->store));
	end(b);
}

/* Right after the host has cut the file: the check is content with it. */
static int check_after_cut(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len)
{
	struct bench *b = of(hook);
	struct vd_error err = VD_ERROR_INIT;
	uint64_t n_errors = 0;

	(void)len;
	(void)offset;
	if (!b->is_armed || call != HOOK_TRUNCATE)
		return 0;
	b->n_seen++;
	must(vd_disk_check_io(b->under, NULL, NULL, NULL, &n_errors, &err), &err);
	b->n_bad += n_errors > 0;
	return 0;
}

static void the_log_asks_for_no_more_than_the_file_has(void **state)
{
	struct bench *b = begin(NULL, check_after_cut);
	struct vd_error err = VD_ERROR_INIT;
	uint64_t length, was = store_length(b->store);

	(void)state;
	must(vd_disk_discard(b->disk, 2 * MIB, 2 * MIB, &err), &err);
	must(vd_disk_flush(b->disk, &err), &err);
	must(vd_disk_cut(b->disk, 0, &length, &err), &err);
	assert_int_equal(b->n_bad, 0);
	assert_int_equal(b->n_seen, 1);
	assert_true(length < was);
	expect(b->disk, 0, 2 * MIB, 1);
	put(b->disk, 9 * MIB, PAGE, 3);
	must(vd_disk_flush(b->disk, &err), &err);
	end(b);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_write_during_the_copy_is_copied_again),
	    cmocka_unit_test(a_discard_during_the_copy_is_copied_again),
	    cmocka_unit_test(writers_wait_while_their_block_changes_its_place),
	    cmocka_unit_test(a_block_waits_for_writes_in_flight),
	    cmocka_unit_test(a_write_that_takes_too_long_is_left_alone),
	    cmocka_unit_test(space_with_old_bytes_is_zeroed_before_a_block_moves_there),
	    cmocka_unit_test(the_old_place_keeps_its_bytes_until_the_commit),
	    cmocka_unit_test(bits_that_are_set_while_their_bitmap_moves_go_with_it),
	    cmocka_unit_test(a_block_that_was_written_since_the_look_stays),
	    cmocka_unit_test(a_free_block_is_dropped_whatever_it_holds),
	    cmocka_unit_test(zeros_that_were_written_since_the_look_stay),
	    cmocka_unit_test(zeros_arent_punched_where_another_block_lies_now),
	    cmocka_unit_test(a_block_that_is_discarded_while_it_moves_stays_so),
	    cmocka_unit_test(the_log_is_emptied_when_all_is_in_place),
	    cmocka_unit_test(the_log_asks_for_no_more_than_the_file_has),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
