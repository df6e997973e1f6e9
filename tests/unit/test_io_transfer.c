/* SPDX-License-Identifier: MIT */
/* Transfers over a store that misbehaves: short, interrupted, full, failing, lying. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <vdisk/sys/io.h>

#include "base/deadline.h"

#define SIZE 10000

/* A store of SIZE bytes that moves at most `most` bytes a call. */
struct odd {
	uint8_t data[SIZE];
	uint64_t length;
	size_t most;
	int n_eintr;    /* so many calls are interrupted first */
	int fail_write; /* this errno from the `fail_after`th write on */
	int fail_after;
	int fail_sync;
	bool takes_nothing; /* writes return 0 */
	bool lies;          /* claims one byte more */
	int n_closed, n_cancelled, n_syncs;
	struct vd_io *cancel_me; /* during the first call */
};

static ssize_t odd_read(void *state, void *buf, size_t len, uint64_t offset)
{
	struct odd *o = state;
	size_t n = len;

	if (o->n_eintr && o->n_eintr--)
		return -EINTR;
	if (o->lies)
		return (ssize_t)len + 1;
	if (o->cancel_me)
		vd_io_cancel(o->cancel_me);
	if (offset >= o->length)
		return 0;
	if (n > o->length - offset)
		n = (size_t)(o->length - offset);
	if (n > o->most)
		n = o->most;
	memcpy(buf, o->data + offset, n);
	return (ssize_t)n;
}

static ssize_t odd_write(void *state, const void *buf, size_t len, uint64_t offset)
{
	struct odd *o = state;
	size_t n = len < o->most ? len : o->most;

	if (o->n_eintr && o->n_eintr--)
		return -EINTR;
	if (o->fail_write && !o->fail_after--)
		return -o->fail_write;
	if (o->takes_nothing)
		return 0;
	if (offset + n > SIZE)
		return -ENOSPC;
	memcpy(o->data + offset, buf, n);
	if (o->length < offset + n)
		o->length = offset + n;
	return (ssize_t)n;
}

static ssize_t odd_readv(void *state, const struct iovec *iov, int n_iov, uint64_t offset)
{
	ssize_t sum = 0;

	for (int i = 0; i < n_iov; i++) {
		ssize_t n = odd_read(state, iov[i].iov_base, iov[i].iov_len, offset);

		if (n < 0)
			return sum ? sum : n;
		sum += n;
		offset += (uint64_t)n;
		if ((size_t)n < iov[i].iov_len)
			break;
	}
	return sum;
}

static ssize_t odd_writev(void *state, const struct iovec *iov, int n_iov, uint64_t offset)
{
	ssize_t sum = 0;

	for (int i = 0; i < n_iov; i++) {
		ssize_t n = odd_write(state, iov[i].iov_base, iov[i].iov_len, offset);

		if (n < 0)
			return sum ? sum : n;
		sum += n;
		offset += (uint64_t)n;
		if ((size_t)n < iov[i].iov_len)
			break;
	}
	return sum;
}

static int odd_sync(void *state)
{
	struct odd *o = state;

	o->n_syncs++;
	return -o->fail_sync;
}

static int odd_length(void *state, uint64_t *length)
{
	struct odd *o = state;

	if (o->n_eintr && o->n_eintr--)
		return -EINTR;
	*length = o->length;
	return 0;
}

static int odd_truncate(void *state, uint64_t length)
{
	struct odd *o = state;

	if (o->n_eintr && o->n_eintr--)
		return -EINTR;
	if (length > SIZE)
		return -EDQUOT;
	o->length = length;
	return 0;
}

static void odd_close(void *state)
{
	((struct odd *)state)->n_closed++;
}

static void odd_cancel(void *state)
{
	((struct odd *)state)->n_cancelled++;
}

static const struct vd_io_ops odd_ops = {
    .size = sizeof(struct vd_io_ops),
    .read = odd_read,
    .write = odd_write,
    .sync = odd_sync,
    .length = odd_length,
    .truncate = odd_truncate,
    .close = odd_close,
    .cancel = odd_cancel,
};

static struct odd odd;
static struct vd_error err;

static void fill(uint8_t *buf, size_t len)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(i * 7 + i / 251 + 1);
}

static struct vd_io *odd_open(const struct vd_io_ops *ops)
{
	struct vd_io *io;

	memset(&odd, 0, sizeof(odd));
	memset(&err, 0, sizeof(err));
	odd.length = SIZE;
	odd.most = SIZE;
	fill(odd.data, SIZE);
	assert_int_equal(vd_io_open_ops(&io, ops, &odd, "odd", true, &err), 0);
	return io;
}

static void short_and_interrupted_transfers_are_completed(void **state)
{
	struct vd_io *io = odd_open(&odd_ops);
	uint8_t want[SIZE], got[SIZE];
	struct vd_io_stats stats;

	(void)state;
	fill(want, SIZE);
	odd.most = 7;
	odd.n_eintr = 3;
	assert_int_equal(vd_io_read(io, got, 5000, 13, &err), 0);
	assert_memory_equal(got, want + 13, 5000);
	odd.n_eintr = 3;
	assert_int_equal(vd_io_write(io, want, 4001, 4000, &err), 0);
	assert_memory_equal(odd.data + 4000, want, 4001);
	vd_io_get_stats(io, &stats);
	assert_int_equal(stats.bytes_read, 5000);
	assert_int_equal(stats.n_reads, 3 + (5000 + 6) / 7);
	assert_int_equal(stats.bytes_written, 4001);
	odd.n_eintr = 2;
	assert_int_equal(vd_io_truncate(io, 100, &err), 0);
	assert_int_equal(odd.length, 100);
	vd_io_close(io);
	assert_int_equal(odd.n_closed, 1);
}

static void what_lies_behind_the_end_reads_as_zero(void **state)
{
	struct vd_io *io = odd_open(&odd_ops);
	uint8_t want[300], got[300];

	(void)state;
	memset(want, 0, sizeof(want));
	odd.length = 1000;
	odd.most = 33;
	memcpy(want, odd.data + 900, 100);
	memset(got, 0xee, sizeof(got));
	assert_int_equal(vd_io_read(io, got, 300, 900, &err), 0);
	assert_memory_equal(got, want, 300);
	memset(want, 0, sizeof(want));
	memset(got, 0xee, sizeof(got));
	assert_int_equal(vd_io_read(io, got, 300, UINT64_MAX - 10, &err), 0);
	assert_memory_equal(got, want, 300);
	memset(got, 0xee, sizeof(got));
	assert_int_equal(vd_io_read(io, got, 300, INT64_MAX - 10, &err), 0);
	assert_memory_equal(got, want, 300);
	vd_io_close(io);
}

/* By each way a table may offer. */
static void vectors(const struct vd_io_ops *ops, size_t most)
{
	struct vd_io *io = odd_open(ops);
	uint8_t a[10], b[1000], c[1], want[SIZE];
	struct iovec iov[5] = {{a, 10}, {NULL, 0}, {b, 1000}, {c, 1}, {NULL, 0}};

	fill(want, SIZE);
	odd.most = most;
	odd.n_eintr = 1;
	assert_int_equal(vd_io_readv(io, iov, 5, 77, &err), 0);
	assert_memory_equal(a, want + 77, 10);
	assert_memory_equal(b, want + 87, 1000);
	assert_memory_equal(c, want + 1087, 1);
	odd.n_eintr = 1;
	assert_int_equal(vd_io_writev(io, iov, 5, 5000, &err), 0);
	assert_memory_equal(odd.data + 5000, want + 77, 1011);
	odd.length = 5500;
	memset(b, 1, sizeof(b));
	assert_int_equal(vd_io_readv(io, iov, 5, 5495, &err), 0);
	assert_int_equal(b[0] | b[999] | c[0], 0);
	assert_int_equal(vd_io_readv(io, iov, -1, 0, &err), VD_EINVAL);
	vd_io_close(io);
}

static void vectors_are_transferred_whole(void **state)
{
	struct vd_io_ops ops = odd_ops;

	(void)state;
	vectors(&ops, SIZE);
	vectors(&ops, 7);
	ops.readv = odd_readv;
	ops.writev = odd_writev;
	vectors(&ops, SIZE);
	vectors(&ops, 7);
}

static void vectors_may_have_more_pieces_than_a_system_call_takes(void **state)
{
	struct vd_io_ops ops = odd_ops;
	static struct iovec iov[5000];
	uint8_t got[5000], want[5000];
	struct vd_io *io;

	(void)state;
	ops.readv = odd_readv;
	ops.writev = odd_writev;
	io = odd_open(&ops);
	for (size_t i = 0; i < 5000; i++)
		iov[i] = (struct iovec){got + i, 1};
	fill(want, 5000);
	assert_int_equal(vd_io_readv(io, iov, 5000, 0, &err), 0);
	assert_memory_equal(got, want, 5000);
	assert_int_equal(vd_io_writev(io, iov, 5000, 4000, &err), 0);
	assert_memory_equal(odd.data + 4000, want, 5000);
	vd_io_close(io);
}

static void a_full_host_can_be_tried_again(void **state)
{
	struct vd_io *io = odd_open(&odd_ops);
	uint8_t buf[100] = {0};

	(void)state;
	odd.most = 10;
	odd.fail_write = ENOSPC;
	odd.fail_after = 3;
	assert_int_equal(vd_io_write(io, buf, 100, 50, &err), VD_ENOSPC);
	assert_int_equal(err.sys_errno, ENOSPC);
	assert_int_equal(err.offset, 80);
	assert_non_null(strstr(err.text, "odd: can't write 70 bytes at offset 80"));
	odd.fail_after = 0;
	odd.fail_write = EDQUOT;
	assert_int_equal(vd_io_write(io, buf, 100, 50, &err), VD_ENOSPC);
	assert_int_equal(vd_io_truncate(io, SIZE + 1, &err), VD_ENOSPC);
	odd.fail_write = 0;
	assert_int_equal(vd_io_write(io, buf, 100, 50, &err), 0);
	assert_int_equal(vd_io_sync(io, &err), 0);
	assert_false(vd_io_is_poisoned(io));
	vd_io_close(io);
}

static void a_store_that_takes_nothing_is_an_error(void **state)
{
	struct vd_io *io = odd_open(&odd_ops);

	(void)state;
	odd.takes_nothing = true;
	assert_int_equal(vd_io_write(io, "x", 1, 0, &err), VD_EIO);
	odd.takes_nothing = false;
	odd.lies = true;
	assert_int_equal(vd_io_read(io, odd.data, 1, 0, &err), VD_EIO);
	vd_io_close(io);
}

static void a_failed_sync_poisons(int with)
{
	struct vd_io *io = odd_open(&odd_ops);
	uint8_t buf[10];
	struct iovec iov = {buf, 10};

	odd.fail_sync = with;
	assert_int_equal(vd_io_sync(io, &err), VD_EIO);
	assert_int_equal(err.sys_errno, with);
	odd.fail_sync = 0;
	assert_true(vd_io_is_poisoned(io));
	assert_int_equal(vd_io_sync(io, &err), VD_EPOISONED);
	assert_non_null(strstr(err.text, "an earlier sync failed"));
	assert_int_equal(odd.n_syncs, 1);
	assert_int_equal(vd_io_write(io, buf, 10, 0, &err), VD_EPOISONED);
	assert_int_equal(vd_io_writev(io, &iov, 1, 0, &err), VD_EPOISONED);
	assert_int_equal(vd_io_truncate(io, 5, &err), VD_EPOISONED);
	assert_int_equal(vd_io_zero(io, 0, 5, VD_IO_ZERO_KEEP, &err), VD_EPOISONED);
	assert_int_equal(vd_io_punch(io, 0, 5, &err), VD_EPOISONED);
	assert_int_equal(vd_io_allocate(io, 0, 5, &err), VD_EPOISONED);
	assert_int_equal(vd_io_copy(io, 0, io, 100, 5, NULL, &err), VD_EPOISONED);
	assert_int_equal(vd_io_read(io, buf, 10, 0, &err), 0);
	vd_io_close(io);
}

static void a_failed_sync_poisons_whatever_the_errno(void **state)
{
	(void)state;
	a_failed_sync_poisons(EIO);
	a_failed_sync_poisons(ENOSPC);
	a_failed_sync_poisons(EINTR);
	a_failed_sync_poisons(EOPNOTSUPP);
}

static void cancelling_ends_what_runs_and_what_comes(void **state)
{
	struct vd_io *io = odd_open(&odd_ops);
	uint8_t buf[100];
	uint64_t length;

	(void)state;
	odd.most = 10;
	odd.cancel_me = io;
	assert_int_equal(vd_io_read(io, buf, 100, 0, &err), VD_ECANCELED);
	assert_int_equal(odd.n_cancelled, 1);
	odd.cancel_me = NULL;
	assert_int_equal(vd_io_write(io, buf, 1, 0, &err), VD_ECANCELED);
	assert_int_equal(vd_io_sync(io, &err), VD_ECANCELED);
	assert_int_equal(vd_io_length(io, &length, &err), VD_ECANCELED);
	assert_int_equal(odd.n_syncs, 0);
	vd_io_resume(io);
	assert_int_equal(vd_io_read(io, buf, 100, 0, &err), 0);
	assert_int_equal(vd_io_sync(io, &err), 0);
	vd_io_close(io);
}

static void a_deadline_ends_a_transfer_before_its_next_step(void **state)
{
	struct vd_io *io = odd_open(&odd_ops);
	uint8_t buf[100] = {0};

	(void)state;
	vd_deadline = 1;
	assert_int_equal(vd_io_read(io, buf, 100, 0, &err), VD_ETIMEDOUT);
	assert_int_equal(vd_io_write(io, buf, 100, 0, &err), VD_ETIMEDOUT);
	assert_int_equal(vd_io_sync(io, &err), VD_ETIMEDOUT);
	vd_deadline = vd_now_ns() + 1000000000000u;
	assert_int_equal(vd_io_read(io, buf, 100, 0, &err), 0);
	vd_deadline = 0;
	assert_int_equal(vd_io_sync(io, &err), 0);
	assert_false(vd_io_is_poisoned(io));
	vd_io_close(io);
}

static void a_read_only_store_takes_no_change(void **state)
{
	struct vd_io *io;

	(void)state;
	vd_io_close(odd_open(&odd_ops));
	assert_int_equal(vd_io_open_ops(&io, &odd_ops, &odd, NULL, false, &err), 0);
	assert_false(vd_io_is_writable(io));
	assert_int_equal(vd_io_write(io, "x", 1, 0, &err), VD_EROFS);
	assert_int_equal(vd_io_truncate(io, 0, &err), VD_EROFS);
	assert_int_equal(vd_io_zero(io, 0, 1, VD_IO_ZERO_PUNCH, &err), VD_EROFS);
	assert_int_equal(vd_io_sync(io, &err), 0);
	assert_int_equal(odd.n_syncs, 0);
	vd_io_close(io);
}

static void writes_that_wrap_are_refused(void **state)
{
	struct vd_io *io = odd_open(&odd_ops);

	(void)state;
	assert_int_equal(vd_io_write(io, "xy", 2, UINT64_MAX, &err), VD_ERANGE);
	assert_int_equal(vd_io_write(io, "xy", 2, INT64_MAX, &err), VD_ERANGE);
	assert_int_equal(vd_io_truncate(io, UINT64_MAX, &err), VD_ERANGE);
	assert_int_equal(vd_io_zero(io, 1, UINT64_MAX, VD_IO_ZERO_KEEP, &err), VD_ERANGE);
	assert_int_equal(vd_io_zero(io, SIZE - 1, 2, VD_IO_ZERO_KEEP, &err), VD_ERANGE);
	assert_int_equal(vd_io_copy(io, UINT64_MAX, io, 0, 5, NULL, &err), VD_ERANGE);
	vd_io_close(io);
}

static void an_older_table_is_enough_and_half_a_table_is_not(void **state)
{
	struct {
		struct vd_io_ops ops;
	} old = {odd_ops};
	struct vd_io *io;
	uint8_t buf[10];
	struct iovec iov = {buf, 10};

	(void)state;
	old.ops.size = offsetof(struct vd_io_ops, readv);
	old.ops.readv = (void *)1; /* not ours to look at: behind its end */
	old.ops.writev = (void *)1;
	old.ops.punch = (void *)1;
	old.ops.cancel = (void *)1;
	io = odd_open(&old.ops);
	assert_int_equal(vd_io_readv(io, &iov, 1, 0, &err), 0);
	assert_int_equal(vd_io_zero(io, 0, 10, VD_IO_ZERO_PUNCH, &err), 0);
	assert_int_equal(vd_io_punch(io, 0, 10, &err), VD_EUNSUPPORTED);
	vd_io_close(io);

	old.ops = odd_ops;
	old.ops.sync = NULL;
	odd.n_closed = 0;
	assert_int_equal(vd_io_open_ops(&io, &old.ops, &odd, "odd", true, &err), VD_EINVAL);
	assert_int_equal(odd.n_closed, 1);
	old.ops = odd_ops;
	old.ops.align = 24;
	assert_int_equal(vd_io_open_ops(&io, &old.ops, &odd, "odd", true, &err), VD_EINVAL);
	assert_int_equal(odd.n_closed, 2);
	old.ops.size = 16;
	assert_int_equal(vd_io_open_ops(&io, &old.ops, &odd, "odd", true, &err), VD_EINVAL);
	assert_int_equal(vd_io_open_ops(&io, NULL, &odd, "odd", true, &err), VD_EINVAL);
}

static void a_store_without_extras_is_done_without(void **state)
{
	struct vd_io *io = odd_open(&odd_ops);
	uint64_t start, end, shared = 1;
	char who[32] = "x";

	(void)state;
	odd.length = 9000;
	assert_int_equal(vd_io_zero(io, 10, 8000, VD_IO_ZERO_KEEP, &err), 0);
	assert_int_equal(odd.data[9], (uint8_t)(9 * 7 + 1));
	for (size_t i = 10; i < 8010; i++)
		assert_int_equal(odd.data[i], 0);
	assert_int_not_equal(odd.data[8010], 0);
	assert_int_equal(vd_io_allocate(io, 0, 100, &err), 0);
	assert_int_equal(vd_io_next_data(io, 20, 30, &start, &end, &err), 0);
	assert_int_equal(start, 20);
	assert_int_equal(end, 30);
	assert_int_equal(vd_io_next_data(io, 20, 20000, &start, &end, &err), 0);
	assert_int_equal(end, 9000);
	assert_int_equal(vd_io_next_data(io, 9000, 20000, &start, &end, &err), 0);
	assert_int_equal(start, 20000);
	assert_int_equal(end, 20000);
	assert_int_equal(vd_io_copy(io, 0, io, 100, 50, &shared, &err), 0);
	assert_int_equal(shared, 0);
	assert_memory_equal(odd.data, odd.data + 100, 50);
	assert_int_equal(vd_io_copy(io, 0, io, 49, 50, NULL, &err), VD_EINVAL);
	assert_int_equal(vd_io_lock(io, VD_IO_LOCK_EXCLUSIVE, &err), 0);
	vd_io_holder(io, who, sizeof(who));
	assert_string_equal(who, "");
	assert_int_equal(vd_io_descriptor(io), -1);
	assert_int_equal(vd_io_allocated(io, &start, &err), VD_EUNSUPPORTED);
	vd_io_close(io);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(short_and_interrupted_transfers_are_completed),
	    cmocka_unit_test(what_lies_behind_the_end_reads_as_zero),
	    cmocka_unit_test(vectors_are_transferred_whole),
	    cmocka_unit_test(vectors_may_have_more_pieces_than_a_system_call_takes),
	    cmocka_unit_test(a_full_host_can_be_tried_again),
	    cmocka_unit_test(a_store_that_takes_nothing_is_an_error),
	    cmocka_unit_test(a_failed_sync_poisons_whatever_the_errno),
	    cmocka_unit_test(cancelling_ends_what_runs_and_what_comes),
	    cmocka_unit_test(a_deadline_ends_a_transfer_before_its_next_step),
	    cmocka_unit_test(a_read_only_store_takes_no_change),
	    cmocka_unit_test(writes_that_wrap_are_refused),
	    cmocka_unit_test(an_older_table_is_enough_and_half_a_table_is_not),
	    cmocka_unit_test(a_store_without_extras_is_done_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
