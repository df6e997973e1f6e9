/* SPDX-License-Identifier: MIT */
/* Stores that want alignment: whatever is asked of them, they behave like a plain array. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <vdisk/sys/io.h>

#include "scratch.h"

#define MAX_SIZE ((size_t)3 << 20)

/* The flat model of what the store holds. */
static uint8_t flat[MAX_SIZE];
static uint64_t flat_length;

static uint64_t seed = 12345;
static uint64_t dice(uint64_t sides)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (seed >> 33) % sides;
}

/* A store in an array that refuses what isn't aligned, as O_DIRECT does. */
#define STRICT_ALIGN 4096
struct strict {
	uint8_t data[MAX_SIZE + STRICT_ALIGN];
	uint64_t length;
};

static ssize_t strict_read(void *state, void *buf, size_t len, uint64_t offset)
{
	struct strict *s = state;

	if ((offset | len | (uintptr_t)buf) % STRICT_ALIGN)
		return -EINVAL;
	if (offset >= s->length)
		return 0;
	if (len > s->length - offset)
		len = (size_t)(s->length - offset);
	memcpy(buf, s->data + offset, len);
	return (ssize_t)len;
}

static ssize_t strict_write(void *state, const void *buf, size_t len, uint64_t offset)
{
	struct strict *s = state;

	if ((offset | len | (uintptr_t)buf) % STRICT_ALIGN)
		return -EINVAL;
	if (offset + len > sizeof(s->data))
		return -ENOSPC;
	if (len > 3 * STRICT_ALIGN)
		len = 3 * STRICT_ALIGN; /* and short ones */
	memcpy(s->data + offset, buf, len);
	if (s->length < offset + len)
		s->length = offset + len;
	return (ssize_t)len;
}

static int strict_sync(void *state)
{
	(void)state;
	return 0;
}

static int strict_length(void *state, uint64_t *length)
{
	*length = ((struct strict *)state)->length;
	return 0;
}

static int strict_truncate(void *state, uint64_t length)
{
	struct strict *s = state;

	if (length < s->length)
		memset(s->data + length, 0, (size_t)(s->length - length));
	s->length = length;
	return 0;
}

static void strict_close(void *state)
{
	free(state);
}

static const struct vd_io_ops strict_ops = {
    .size = sizeof(struct vd_io_ops),
    .align = STRICT_ALIGN,
    .read = strict_read,
    .write = strict_write,
    .sync = strict_sync,
    .length = strict_length,
    .truncate = strict_truncate,
    .close = strict_close,
};

/* Lengths and offsets of all kinds: aligned, nearly, odd, beyond the end. */
static uint64_t odd_number(uint64_t below)
{
	uint64_t n = dice(below);

	switch (dice(4)) {
	case 0:
		return n & ~(uint64_t)4095;
	case 1:
		return n & ~(uint64_t)511;
	case 2:
		return n % 20000;
	default:
		return n;
	}
}

static void one_write(struct vd_io *io, uint8_t *buf, uint64_t offset, size_t len)
{
	size_t cut = len ? (size_t)dice(len) : 0;
	struct iovec iov[2] = {{buf, cut}, {buf + cut, len - cut}};
	struct vd_error err;

	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)dice(256);
	if (dice(4))
		assert_int_equal(vd_io_write(io, buf, len, offset, &err), 0);
	else
		assert_int_equal(vd_io_writev(io, iov, 2, offset, &err), 0);
	memcpy(flat + offset, buf, len);
	if (len && flat_length < offset + len)
		flat_length = offset + len;
}

static void one_read(struct vd_io *io, uint8_t *buf, uint64_t offset, size_t len)
{
	size_t cut = len ? (size_t)dice(len) : 0;
	struct iovec iov[2] = {{buf, cut}, {buf + cut, len - cut}};
	struct vd_error err;

	memset(buf, 0xee, len);
	if (dice(4))
		assert_int_equal(vd_io_read(io, buf, len, offset, &err), 0);
	else
		assert_int_equal(vd_io_readv(io, iov, 2, offset, &err), 0);
	assert_memory_equal(buf, flat + offset, len);
}

static void one_step(struct vd_io *io, uint8_t *memory)
{
	uint64_t offset = odd_number(MAX_SIZE), length;
	size_t len = (size_t)odd_number(dice(8) ? 30000 : MAX_SIZE);
	uint8_t *buf = memory + (dice(2) ? 0 : dice(5000));
	struct vd_error err;

	if (len > MAX_SIZE - offset)
		len = (size_t)(MAX_SIZE - offset);
	switch (dice(10)) {
	case 0:
		assert_int_equal(vd_io_truncate(io, offset, &err), 0);
		if (offset < flat_length)
			memset(flat + offset, 0, (size_t)(flat_length - offset));
		flat_length = offset;
		break;
	case 1:
		if (offset + len <= flat_length) {
			assert_int_equal(vd_io_zero(io, offset, len, VD_IO_ZERO_PUNCH, &err), 0);
			memset(flat + offset, 0, len);
		}
		break;
	case 2:
	case 3:
	case 4:
	case 5:
		one_write(io, buf, offset, len);
		break;
	default:
		one_read(io, buf, offset, len);
	}
	assert_int_equal(vd_io_length(io, &length, &err), 0);
	assert_int_equal(length, flat_length);
}

static void random_steps(struct vd_io *io, int n)
{
	uint8_t *memory = aligned_alloc(4096, MAX_SIZE + 8192);
	struct vd_io_stats stats;

	assert_non_null(memory);
	memset(flat, 0, sizeof(flat));
	flat_length = 0;
	for (int i = 0; i < n; i++)
		one_step(io, memory);
	one_read(io, memory, 0, MAX_SIZE);
	vd_io_get_stats(io, &stats);
	assert_true(stats.n_bounced > 0);
	free(memory);
}

static void a_table_with_alignment_behaves_like_an_array(void **state)
{
	struct vd_error err;
	struct vd_io *io;

	(void)state;
	assert_int_equal(vd_io_open_ops(&io, &strict_ops, calloc(1, sizeof(struct strict)),
					"strict", true, &err),
			 0);
	assert_int_equal(vd_io_align(io), STRICT_ALIGN);
	random_steps(io, 2000);
	vd_io_close(io);
}

static void a_direct_file_behaves_like_an_array(void **state)
{
	const char *path = scratch_path("direct.img");
	static uint8_t got[MAX_SIZE];
	struct vd_error err;
	struct vd_io *io;
	int fd;

	(void)state;
	unlink(path);
	assert_int_equal(vd_io_open_file(&io, path, VD_IO_CREATE | VD_IO_DIRECT, &err), 0);
	if (vd_io_align(io) == 1) {
		vd_io_close(io);
		skip();
	}
	assert_true(fcntl(vd_io_descriptor(io), F_GETFL) & O_DIRECT);
	random_steps(io, 1500);
	assert_int_equal(vd_io_sync(io, &err), 0);
	vd_io_close(io);
	fd = open(path, O_RDONLY);
	assert_int_equal(pread(fd, got, MAX_SIZE, 0), flat_length);
	assert_memory_equal(got, flat, flat_length);
	close(fd);
}

static void a_buffered_file_behaves_like_an_array(void **state)
{
	const char *path = scratch_path("buffered.img");
	struct vd_io_stats stats;
	struct vd_error err;
	struct vd_io *io;
	uint8_t *memory = malloc(MAX_SIZE + 8192);

	(void)state;
	unlink(path);
	assert_int_equal(vd_io_open_file(&io, path, VD_IO_CREATE, &err), 0);
	memset(flat, 0, sizeof(flat));
	flat_length = 0;
	for (int i = 0; i < 2000; i++)
		one_step(io, memory);
	one_read(io, memory, 0, MAX_SIZE);
	vd_io_get_stats(io, &stats);
	assert_int_equal(stats.n_bounced, 0);
	vd_io_close(io);
	free(memory);
}

static char said[1024];
static void hear(void *user, enum vd_message_level level, const char *text)
{
	(void)user;
	(void)level;
	snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s\n", text);
}

/* /proc files can't do O_DIRECT. */
static void where_o_direct_cant_be_had_it_is_said_and_done_without(void **state)
{
	struct vd_error err;
	struct vd_io *io;
	char buf[8] = "";

	(void)state;
	said[0] = '\0';
	vd_set_message_hook(hear, NULL);
	assert_int_equal(vd_io_open_file(&io, "/proc/version", VD_IO_DIRECT, &err), 0);
	vd_set_message_hook(NULL, NULL);
	assert_int_equal(vd_io_align(io), 1);
	assert_non_null(strstr(said, "/proc/version: O_DIRECT can't be had"));
	assert_int_equal(vd_io_read(io, buf, 5, 0, &err), 0);
	assert_string_equal(buf, "Linux");
	vd_io_close(io);
}

/* The caller's descriptor may be in that mode already. */
static void a_direct_descriptor_is_noticed(void **state)
{
	const char *path = scratch_path("directfd.img");
	struct vd_error err;
	struct vd_io *io;
	char got[5];
	int fd;

	(void)state;
	unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_DIRECT, 0600);
	if (fd < 0)
		skip();
	assert_int_equal(vd_io_open_fd(&io, fd, NULL, VD_IO_WRITE, &err), 0);
	close(fd);
	assert_int_equal(vd_io_write(io, "hello", 5, 3, &err), 0);
	assert_int_equal(vd_io_read(io, got, 5, 3, &err), 0);
	assert_memory_equal(got, "hello", 5);
	vd_io_close(io);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_table_with_alignment_behaves_like_an_array),
	    cmocka_unit_test(a_direct_file_behaves_like_an_array),
	    cmocka_unit_test(a_buffered_file_behaves_like_an_array),
	    cmocka_unit_test(where_o_direct_cant_be_had_it_is_said_and_done_without),
	    cmocka_unit_test(a_direct_descriptor_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
