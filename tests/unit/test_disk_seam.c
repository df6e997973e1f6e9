/* SPDX-License-Identifier: MIT */
/* The seam between the disk layer and a format: which calls a format gets, and what becomes of its
 * answers. */
#include "fake_format.h"

static void short_mappings_make_one_transfer(void **state)
{
	struct vd_disk *disk = open_fake(false);
	static char bytes[20000], back[20000];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 7 + i / 256);
	fake.max_length = 3000;
	assert_int_equal(vd_disk_write(disk, bytes, sizeof(bytes), 100, NULL), 0);
	assert_int_equal(fake.n_written, 7);
	assert_int_equal(vd_disk_read(disk, back, sizeof(back), 100, NULL), 0);
	assert_memory_equal(bytes, back, sizeof(bytes));
	close_fake(disk);
}

static void vectors_are_split_where_mappings_end(void **state)
{
	struct vd_disk *disk = open_fake(false);
	static char bytes[30000], back[30000];
	struct iovec out[40], in[3] = {{back, 1}, {back + 1, 0}, {back + 1, 29999}};

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 11 + i / 256);
	for (size_t i = 0; i < 40; i++)
		out[i] = (struct iovec){bytes + i * 750, 750};
	fake.max_length = 7001;
	assert_int_equal(vd_disk_writev(disk, out, 40, 333, NULL), 0);
	assert_int_equal(vd_disk_readv(disk, in, 3, 333, NULL), 0);
	assert_memory_equal(bytes, back, sizeof(bytes));
	memset(back, 0, sizeof(back));
	fake.max_length = 0;
	for (size_t i = 0; i < 40; i++)
		out[i].iov_base = back + i * 750;
	assert_int_equal(vd_disk_readv(disk, out, 40, 333, NULL), 0);
	assert_memory_equal(bytes, back, sizeof(bytes));
	assert_int_equal(vd_disk_readv(disk, out, -1, 0, NULL), VD_EINVAL);
	assert_int_equal(vd_disk_readv(disk, out, 0, 0, NULL), 0);
	close_fake(disk);
}

static void what_is_not_stored_reads_as_zero(void **state)
{
	struct vd_disk *disk = open_fake(false);
	char back[1536], zero[512] = {0};
	struct iovec iov = {back, sizeof(back)};

	(void)state;
	fill_sectors(disk, 'a', 512, 512);
	for (int i = 0; i < 2; i++) {
		memset(back, 1, sizeof(back));
		assert_int_equal(i ? vd_disk_readv(disk, &iov, 1, 0, NULL)
				   : vd_disk_read(disk, back, sizeof(back), 0, NULL),
				 0);
		assert_memory_equal(back, zero, 512);
		assert_int_equal(back[512], 'a');
		assert_memory_equal(back + 1024, zero, 512);
	}
	close_fake(disk);
}

static void edges_of_a_child_keep_the_rest_of_their_sector(void **state)
{
	struct vd_disk *disk = open_fake(true);
	char bytes[2000], back[2560];
	struct iovec iov[2] = {{bytes, 100}, {bytes + 100, 1900}};

	(void)state;
	fill_sectors(disk, 'a', 0, 2560);
	memset(bytes, 'b', sizeof(bytes));
	assert_int_equal(vd_disk_writev(disk, iov, 2, 300, NULL), 0);
	assert_int_equal(vd_disk_read(disk, back, 2560, 0, NULL), 0);
	for (int i = 0; i < 2560; i++)
		assert_int_equal(back[i], i >= 300 && i < 2300 ? 'b' : 'a');
	assert_int_equal(vd_disk_write(disk, "c", 1, 700, NULL), 0);
	assert_int_equal(vd_disk_read(disk, back, 2560, 0, NULL), 0);
	for (int i = 0; i < 2560; i++)
		assert_int_equal(back[i], i == 700 ? 'c' : i >= 300 && i < 2300 ? 'b' : 'a');
	close_fake(disk);
}

static void an_edge_over_an_unopened_parent_is_refused(void **state)
{
	struct vd_disk *disk = open_fake(true);
	struct vd_error err = VD_ERROR_INIT;
	char c;

	(void)state;
	assert_int_equal(vd_disk_read(disk, &c, 1, 0, &err), VD_EINVAL);
	assert_non_null(strstr(err.text, "VD_OPEN_NO_PARENTS"));
	assert_int_equal(vd_disk_write(disk, "x", 1, 3, NULL), VD_EINVAL);
	assert_int_equal(fake.n_written, 0);
	fill_sectors(disk, 'a', 0, 512);
	assert_int_equal(vd_disk_write(disk, "x", 1, 3, NULL), 0);
	close_fake(disk);
}

static void a_failed_write_is_released_as_failed(void **state)
{
	struct vd_disk *disk = open_fake(false);
	struct vd_error err = VD_ERROR_INIT;

	(void)state;
	store.write_error = ENOSPC;
	assert_int_equal(vd_disk_write(disk, "x", 1, 0, &err), VD_ENOSPC);
	assert_int_equal(fake.n_failed, 1);
	assert_int_equal(fake.n_written, 0);
	store.write_error = 0;
	assert_int_equal(vd_disk_write(disk, "x", 1, 0, NULL), 0);
	fake.release_result = VD_ENOMEM;
	assert_int_equal(vd_disk_write(disk, "x", 1, 0, &err), VD_ENOMEM);
	assert_string_equal(err.text, "told to fail");
	close_fake(disk);
}

static void a_failed_sync_poisons_the_handle(void **state)
{
	struct vd_disk *disk = open_fake(false);
	struct vd_error err = VD_ERROR_INIT;

	(void)state;
	store.sync_error = EIO;
	assert_true(vd_disk_flush(disk, NULL) < 0);
	store.sync_error = 0;
	assert_int_equal(vd_disk_flush(disk, &err), VD_EPOISONED);
	assert_int_equal(fake.n_flush, 1);
	assert_int_equal(vd_disk_write(disk, "x", 1, 0, NULL), VD_EPOISONED);
	assert_int_equal(vd_disk_write_zeroes(disk, 0, 512, 0, NULL), VD_EPOISONED);
	assert_int_equal(vd_disk_discard(disk, 0, 512, NULL), VD_EPOISONED);
	close_fake(disk);
}

static void zeroing_goes_in_steps(void **state)
{
	struct vd_disk *disk = open_fake(false);
	uint64_t size = (uint64_t)64 << 40;

	(void)state;
	vd_disk_close(disk, NULL);
	memset(&fake, 0, sizeof(fake));
	fake.size = size;
	assert_int_equal(try_open(&disk, VD_OPEN_WRITE, NULL), 0);
	assert_int_equal(vd_disk_write_zeroes(disk, 1000, size - 1000, VD_ZERO_KEEP_SPACE, NULL),
			 0);
	assert_true(fake.zero_start == 1000);
	assert_true(fake.zero_total == size - 1000);
	assert_true(fake.zero_longest == (uint64_t)1 << 30);
	assert_int_equal(fake.n_zero, 65536);
	assert_int_equal(fake.zero_flags, VD_ZERO_KEEP_SPACE);
	assert_int_equal(vd_disk_write_zeroes(disk, 0, 1, 0x80, NULL), VD_EINVAL);
	close_fake(disk);
}

static void zeroing_a_child_writes_its_edges(void **state)
{
	struct vd_disk *disk = open_fake(true);
	char back[2048];

	(void)state;
	fill_sectors(disk, 'a', 0, 2048);
	assert_int_equal(vd_disk_write_zeroes(disk, 500, 1100, 0, NULL), 0);
	assert_int_equal(fake.n_zero, 1);
	assert_true(fake.zero_start == 512 && fake.zero_total == 1024);
	assert_int_equal(vd_disk_read(disk, back, 2048, 0, NULL), 0);
	for (int i = 0; i < 512; i++)
		assert_int_equal(back[i], i >= 500 ? 0 : 'a');
	for (int i = 1536; i < 2048; i++)
		assert_int_equal(back[i], i < 1600 ? 0 : 'a');
	/* Within one sector there is nothing but an edge. */
	assert_int_equal(vd_disk_write_zeroes(disk, 10, 20, 0, NULL), 0);
	assert_int_equal(fake.n_zero, 1);
	assert_int_equal(vd_disk_read(disk, back, 512, 0, NULL), 0);
	assert_int_equal(back[9], 'a');
	assert_int_equal(back[10], 0);
	assert_int_equal(back[30], 'a');
	close_fake(disk);
}

static void discarding_leaves_the_edges_of_a_child(void **state)
{
	struct vd_disk *disk = open_fake(true);
	int n_written;

	(void)state;
	fill_sectors(disk, 'a', 0, 2048);
	n_written = fake.n_written;
	assert_int_equal(vd_disk_discard(disk, 500, 1100, NULL), 0);
	assert_true(fake.zero_start == 512 && fake.zero_total == 1024);
	assert_int_equal(fake.zero_flags, VD_FORMAT_ZERO_DISCARD);
	assert_int_equal(vd_disk_discard(disk, 10, 20, NULL), 0);
	assert_int_equal(fake.n_zero, 1);
	assert_int_equal(fake.n_written, n_written);
	close_fake(disk);
}

static struct {
	int n[8];
	uint64_t start, length;
	int answer;
	const char *text;
} heard;

static int listen(void *user, struct vd_disk *disk, const struct vd_event *event,
		  struct vd_error *err)
{
	(void)user;
	(void)disk;
	heard.n[event->kind]++;
	heard.start = event->start;
	heard.length = event->length;
	if (heard.text)
		vd_error_set(err, heard.answer, 0, VD_NO_OFFSET, "%s", heard.text);
	return heard.answer;
}

static void listeners_hear_what_happens(void **state)
{
	struct vd_disk *disk = open_fake(true);

	(void)state;
	memset(&heard, 0, sizeof(heard));
	assert_int_equal(vd_disk_add_listener(disk, listen, NULL, NULL), 0);
	fill_sectors(disk, 'a', 0, 4096);
	assert_int_equal(heard.n[VD_EVENT_WILL_WRITE], 1);
	assert_int_equal(vd_disk_flush(disk, NULL), 0);
	assert_int_equal(heard.n[VD_EVENT_FLUSHED], 1);
	assert_int_equal(vd_disk_discard(disk, 100, 2000, NULL), 0);
	assert_int_equal(heard.n[VD_EVENT_DISCARDED], 1);
	assert_true(heard.start == 512 && heard.length == 1536);
	fake.zero_total = 0;
	assert_int_equal(vd_disk_write_zeroes(disk, 100, 2000, 0, NULL), 0);
	assert_int_equal(heard.n[VD_EVENT_DISCARDED], 2);
	assert_true(heard.start == 100 && heard.length == 2000);
	fake.zero_fails_at = fake.n_zero + 1;
	assert_int_equal(vd_disk_discard(disk, 0, 4096, NULL), VD_EIO);
	assert_int_equal(heard.n[VD_EVENT_DISCARDED], 2);
	close_fake(disk);
	assert_int_equal(heard.n[VD_EVENT_CLOSING], 1);
}

static void a_listener_can_refuse_the_first_write(void **state)
{
	struct vd_disk *disk = open_fake(false);
	struct vd_error err = VD_ERROR_INIT;

	(void)state;
	memset(&heard, 0, sizeof(heard));
	for (int i = 0; i < 8; i++)
		assert_int_equal(vd_disk_add_listener(disk, listen, NULL, NULL), 0);
	assert_int_equal(vd_disk_add_listener(disk, listen, NULL, NULL), VD_EINVAL);
	heard.answer = VD_EBUSY;
	heard.text = "not on a Sunday";
	assert_int_equal(vd_disk_write(disk, "x", 1, 0, &err), VD_EBUSY);
	assert_string_equal(err.text, "not on a Sunday");
	assert_int_equal(heard.n[VD_EVENT_WILL_WRITE], 1);
	heard.answer = 1;
	heard.text = NULL;
	assert_int_equal(vd_disk_write(disk, "x", 1, 0, &err), VD_EDENIED);
	heard.answer = 0;
	assert_int_equal(vd_disk_write(disk, "x", 1, 0, NULL), 0);
	close_fake(disk);
}

static int write_from_within(void *user, struct vd_disk *disk, const struct vd_event *event,
			     struct vd_error *err)
{
	char c;

	if (event->kind != VD_EVENT_WILL_WRITE)
		return 0;
	assert_int_equal(vd_disk_read(disk, &c, 1, 0, err), 0);
	*(int *)user = vd_disk_write(disk, "y", 1, 10, err);
	return 0;
}

static void a_listener_that_writes_does_not_hang(void **state)
{
	struct vd_disk *disk = open_fake(true);
	int inner = 1;

	(void)state;
	fake.is_here[0] = true;
	assert_int_equal(vd_disk_add_listener(disk, write_from_within, &inner, NULL), 0);
	assert_int_equal(vd_disk_write(disk, "x", 1, 5, NULL), 0);
	assert_int_equal(inner, VD_EINVAL);
	assert_int_equal(vd_disk_write(disk, "x", 1, 5, NULL), 0);
	close_fake(disk);
}

static void canceled_calls_end_until_resumed(void **state)
{
	struct vd_disk *disk = open_fake(false);
	struct vd_error err = VD_ERROR_INIT;
	char c;

	(void)state;
	vd_disk_cancel(disk);
	assert_int_equal(vd_disk_read(disk, &c, 1, 0, &err), VD_ECANCELED);
	assert_non_null(strstr(err.text, "vd_disk_resume"));
	assert_int_equal(vd_disk_write(disk, "x", 1, 0, NULL), VD_ECANCELED);
	assert_int_equal(vd_disk_flush(disk, NULL), VD_ECANCELED);
	vd_disk_resume(disk);
	assert_int_equal(vd_disk_write(disk, "x", 1, 0, NULL), 0);
	assert_int_equal(vd_disk_read(disk, &c, 1, 0, NULL), 0);
	assert_int_equal(c, 'x');
	close_fake(disk);
}

static void a_deadline_ends_a_long_call(void **state)
{
	struct vd_disk *disk = open_fake(false);
	uint64_t before = vd_now_ns();

	(void)state;
	vd_disk_close(disk, NULL);
	memset(&fake, 0, sizeof(fake));
	fake.size = UINT64_MAX >> 1;
	assert_int_equal(try_open(&disk, VD_OPEN_WRITE, NULL), 0);
	vd_disk_set_timeout(disk, 20);
	assert_int_equal(vd_disk_write_zeroes(disk, 0, fake.size, 0, NULL), VD_ETIMEDOUT);
	assert_true(vd_now_ns() - before >= 20000000);
	assert_true(fake.n_zero > 0);
	assert_true(vd_deadline == 0);
	vd_disk_set_timeout(disk, 0);
	assert_int_equal(vd_disk_write(disk, "x", 1, 0, NULL), 0);
	close_fake(disk);
}

static void a_look_is_repeated_while_the_image_changes(void **state)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk;

	(void)state;
	memset(&fake, 0, sizeof(fake));
	fake.size = SIZE;
	fake.n_changes = 3;
	assert_int_equal(try_open(&disk, VD_OPEN_LOOK, NULL), 0);
	assert_int_equal(fake.n_open, 4);
	assert_int_equal(fake.n_looks, 4);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
	assert_int_equal(fake.n_close, 4);
	fake.n_changes = 1000;
	assert_int_equal(try_open(&disk, VD_OPEN_LOOK, &err), VD_EBUSY);
	assert_int_equal(fake.n_open, fake.n_close);
	fake.open_result = VD_ECORRUPT;
	fake.n_open = 0;
	assert_int_equal(try_open(&disk, VD_OPEN_LOOK, &err), VD_ECORRUPT);
	assert_int_equal(fake.n_open, 5);
	assert_int_equal(try_open(&disk, VD_OPEN_LOOK | VD_OPEN_WRITE, &err), VD_EINVAL);
	/* Other openings don't ask. */
	fake.open_result = 0;
	fake.n_looks = 0;
	assert_int_equal(try_open(&disk, 0, &err), 0);
	assert_int_equal(fake.n_looks, 0);
	vd_disk_close(disk, NULL);
}

static void resolving_for_writing_wants_whole_sectors(void **state)
{
	struct vd_disk *disk = open_fake(false);
	struct vd_mapping m;

	(void)state;
	assert_int_equal(vd_disk_resolve(disk, 100, 512, VD_ACCESS_WRITE, &m, NULL), VD_EINVAL);
	assert_int_equal(vd_disk_resolve(disk, 0, 100, VD_ACCESS_WRITE, &m, NULL), VD_EINVAL);
	assert_int_equal(vd_disk_resolve(disk, 0, 0, VD_ACCESS_READ, &m, NULL), VD_EINVAL);
	assert_int_equal(vd_disk_resolve(disk, SIZE, 512, VD_ACCESS_READ, &m, NULL), VD_ERANGE);
	assert_int_equal(vd_disk_resolve(disk, 7, 10, VD_ACCESS_READ, &m, NULL), 0);
	assert_int_equal(m.state, VD_STATE_ZERO);
	assert_int_equal(m.length, 10);
	assert_null(m.io);
	assert_int_equal(vd_disk_release(disk, &m, VD_OUTCOME_READ, NULL), 0);
	assert_int_equal(vd_disk_resolve(disk, 512, 512, VD_ACCESS_WRITE, &m, NULL), 0);
	assert_int_equal(m.state, VD_STATE_DATA);
	assert_int_equal(vd_io_write(m.io, "z", 1, m.io_offset, NULL), 0);
	assert_int_equal(vd_disk_release(disk, &m, VD_OUTCOME_WRITTEN, NULL), 0);
	assert_int_equal(fake.n_pins, 0);
	close_fake(disk);
}

static void the_map_joins_what_goes_on(void **state)
{
	struct vd_disk *disk = open_fake(false);
	struct vd_extent extent;

	(void)state;
	fill_sectors(disk, 'a', 4096, 8192);
	fake.max_length = 1024;
	assert_int_equal(vd_disk_map(disk, 0, UINT64_MAX, &extent, NULL), 0);
	assert_int_equal(extent.state, VD_STATE_HOLE);
	assert_int_equal(extent.length, 4096);
	assert_int_equal(vd_disk_map(disk, 4096, UINT64_MAX, &extent, NULL), 0);
	assert_int_equal(extent.state, VD_STATE_DATA);
	assert_int_equal(extent.length, 8192);
	assert_int_equal(extent.offset, 4096);
	assert_int_equal(vd_disk_map(disk, 5000, 100, &extent, NULL), 0);
	assert_true(extent.start == 5000 && extent.length == 100 && extent.offset == 5000);
	assert_int_equal(vd_disk_map(disk, 0, 0, &extent, NULL), VD_EINVAL);
	close_fake(disk);
}

static void options_of_an_older_caller_are_taken(void **state)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_disk_info info;
	struct vd_disk *disk;
	struct vd_io *io;

	(void)state;
	memset(&fake, 0, sizeof(fake));
	fake.size = SIZE;
	assert_int_equal(vd_io_open_memory(&io, SIZE, NULL), 0);
	opts.size = offsetof(struct vd_open_opts, format);
	opts.format = (const char *)1; /* behind what the caller knows: never looked at */
	assert_int_equal(vd_disk_open_io(&disk, io, &opts, NULL), 0);
	memset(&info, 0x55, sizeof(info));
	info.size = offsetof(struct vd_disk_info, disk_id);
	vd_disk_get_info(disk, &info);
	assert_true(info.virtual_size == SIZE);
	assert_int_equal(info.size, offsetof(struct vd_disk_info, disk_id));
	assert_int_equal(info.disk_id[0], 0x55);
	vd_disk_close(disk, NULL);
	opts.size = 4;
	assert_int_equal(vd_disk_open_io(&disk, io, &opts, NULL), VD_EINVAL);
	opts = (struct vd_open_opts)VD_OPEN_OPTS_INIT;
	opts.flags = 0x8000;
	assert_int_equal(vd_disk_open_io(&disk, io, &opts, NULL), VD_EINVAL);
	vd_io_close(io);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(short_mappings_make_one_transfer),
	    cmocka_unit_test(vectors_are_split_where_mappings_end),
	    cmocka_unit_test(what_is_not_stored_reads_as_zero),
	    cmocka_unit_test(edges_of_a_child_keep_the_rest_of_their_sector),
	    cmocka_unit_test(an_edge_over_an_unopened_parent_is_refused),
	    cmocka_unit_test(a_failed_write_is_released_as_failed),
	    cmocka_unit_test(a_failed_sync_poisons_the_handle),
	    cmocka_unit_test(zeroing_goes_in_steps),
	    cmocka_unit_test(zeroing_a_child_writes_its_edges),
	    cmocka_unit_test(discarding_leaves_the_edges_of_a_child),
	    cmocka_unit_test(listeners_hear_what_happens),
	    cmocka_unit_test(a_listener_can_refuse_the_first_write),
	    cmocka_unit_test(a_listener_that_writes_does_not_hang),
	    cmocka_unit_test(canceled_calls_end_until_resumed),
	    cmocka_unit_test(a_deadline_ends_a_long_call),
	    cmocka_unit_test(a_look_is_repeated_while_the_image_changes),
	    cmocka_unit_test(resolving_for_writing_wants_whole_sectors),
	    cmocka_unit_test(the_map_joins_what_goes_on),
	    cmocka_unit_test(options_of_an_older_caller_are_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
