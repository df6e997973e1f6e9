/* SPDX-License-Identifier: MIT */
/* Locks: QEMU and we keep each other out, we ourselves too, and whoever it is gets named. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <vdisk/sys/io.h>

#include "scratch.h"

static struct vd_error err;

static const char *image(void)
{
	return scratch_path("lock.img");
}

static struct vd_io *open_as(enum vd_io_lock lock, int expected)
{
	uint32_t flags = lock == VD_IO_LOCK_EXCLUSIVE ? VD_IO_WRITE : 0;
	struct vd_io *io;

	assert_int_equal(vd_io_open_file(&io, image(), flags, &err), 0);
	assert_int_equal(vd_io_lock(io, lock, &err), expected);
	return io;
}

static int setup(void **state)
{
	(void)state;
	return scratch_run("rm -f '%s'; truncate -s 1M '%s'", image(), image());
}

/* As a VHDX QEMU keeps writers out while it reads; of a raw image it shares even that. */
static int setup_vhdx(void **state)
{
	(void)state;
	return scratch_has("qemu-img")
		   ? scratch_run("rm -f '%s'; qemu-img create -q -f vhdx '%s' 64M", image(),
				 image())
		   : 0;
}

/* In every order, of two openings in this process. */
static void our_own_openings_keep_each_other_out(void **state)
{
	static const struct {
		enum vd_io_lock first, second;
		bool is_busy;
	} cases[] = {
	    {VD_IO_LOCK_SHARED, VD_IO_LOCK_SHARED, false},
	    {VD_IO_LOCK_SHARED, VD_IO_LOCK_EXCLUSIVE, true},
	    {VD_IO_LOCK_EXCLUSIVE, VD_IO_LOCK_SHARED, true},
	    {VD_IO_LOCK_EXCLUSIVE, VD_IO_LOCK_EXCLUSIVE, true},
	    {VD_IO_LOCK_EXCLUSIVE, VD_IO_LOCK_NONE, false},
	    {VD_IO_LOCK_NONE, VD_IO_LOCK_EXCLUSIVE, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vd_io *a = open_as(cases[i].first, 0), *b, *c;
		char want[64];

		b = open_as(cases[i].second, cases[i].is_busy ? VD_EBUSY : 0);
		snprintf(want, sizeof(want), "in use by this process (pid %d)", (int)getpid());
		if (cases[i].is_busy)
			assert_non_null(strstr(err.text, want));
		/* Who was there holds all as before. */
		if (cases[i].is_busy) {
			c = open_as(cases[i].second, VD_EBUSY);
			vd_io_close(c);
		}
		vd_io_close(a);
		if (cases[i].is_busy)
			assert_int_equal(vd_io_lock(b, cases[i].second, &err), 0);
		vd_io_close(b);
	}
}

/* Bytes that it held for a moment would keep out whom the first one lets in. */
static void who_was_refused_holds_nothing(void **state)
{
	struct vd_io *a = open_as(VD_IO_LOCK_SHARED, 0),
		     *b = open_as(VD_IO_LOCK_EXCLUSIVE, VD_EBUSY);
	struct vd_io *c = open_as(VD_IO_LOCK_SHARED, 0);

	(void)state;
	vd_io_close(a);
	vd_io_close(b);
	vd_io_close(c);
}

static void a_lock_can_be_raised_lowered_and_dropped(void **state)
{
	struct vd_io *a, *b;

	(void)state;
	assert_int_equal(vd_io_open_file(&a, image(), VD_IO_WRITE, &err), 0);
	assert_int_equal(vd_io_lock(a, VD_IO_LOCK_SHARED, &err), 0);
	b = open_as(VD_IO_LOCK_SHARED, 0);
	assert_int_equal(vd_io_lock(a, VD_IO_LOCK_EXCLUSIVE, &err), VD_EBUSY);
	vd_io_close(b);
	/* The failed try left the shared lock in place. */
	b = open_as(VD_IO_LOCK_EXCLUSIVE, VD_EBUSY);
	vd_io_close(b);
	assert_int_equal(vd_io_lock(a, VD_IO_LOCK_EXCLUSIVE, &err), 0);
	b = open_as(VD_IO_LOCK_SHARED, VD_EBUSY);
	assert_int_equal(vd_io_lock(a, VD_IO_LOCK_SHARED, &err), 0);
	assert_int_equal(vd_io_lock(b, VD_IO_LOCK_SHARED, &err), 0);
	assert_int_equal(vd_io_lock(b, VD_IO_LOCK_NONE, &err), 0);
	assert_int_equal(vd_io_lock(a, VD_IO_LOCK_EXCLUSIVE, &err), 0);
	vd_io_close(a);
	vd_io_close(b);
}

/* qemu-io on the image, run by the shell: its exit status, its words in qemu.txt. */
static int qemu(const char *flags, const char *command)
{
	return scratch_run("cd '%s' && qemu-io -f %s -c '%s' lock.img >qemu.txt 2>&1",
			   scratch_dir(), flags, command);
}

static bool qemu_said(const char *words)
{
	return scratch_run("grep -q '%s' '%s'", words, scratch_path("qemu.txt")) == 0;
}

static void qemu_is_kept_out_by_us(void **state)
{
	struct vd_io *io;

	(void)state;
	if (!scratch_has("qemu-io"))
		skip();
	assert_int_equal(qemu("vhdx", "write 0 512"), 0);
	io = open_as(VD_IO_LOCK_EXCLUSIVE, 0);
	assert_int_not_equal(qemu("vhdx", "write 0 512"), 0);
	assert_true(qemu_said("Failed to get .* lock"));
	assert_int_not_equal(qemu("vhdx -r", "read 0 512"), 0);
	assert_true(qemu_said("Failed to get .* lock"));
	vd_io_close(io);
	io = open_as(VD_IO_LOCK_SHARED, 0);
	assert_int_not_equal(qemu("vhdx", "write 0 512"), 0);
	assert_true(qemu_said("Failed to get .* lock"));
	assert_int_equal(qemu("vhdx -r", "read 0 512"), 0);
	vd_io_close(io);
	io = open_as(VD_IO_LOCK_NONE, 0);
	assert_int_equal(qemu("vhdx", "write 0 512"), 0);
	vd_io_close(io);
	assert_int_equal(qemu("vhdx", "write 0 512"), 0);
}

static void qemu_with_a_raw_image_is_kept_out_too(void **state)
{
	struct vd_io *io;

	(void)state;
	if (!scratch_has("qemu-io"))
		skip();
	io = open_as(VD_IO_LOCK_EXCLUSIVE, 0);
	assert_int_not_equal(qemu("raw", "write 0 512"), 0);
	assert_true(qemu_said("Failed to get .* lock"));
	vd_io_close(io);
	io = open_as(VD_IO_LOCK_SHARED, 0);
	assert_int_not_equal(qemu("raw", "write 0 512"), 0);
	assert_int_equal(qemu("raw -r", "read 0 512"), 0);
	vd_io_close(io);
	assert_int_equal(qemu("raw", "write 0 512"), 0);
}

/* A qemu-io that has the image open until its input ends. */
static pid_t qemu_start(const char *format, const char *flags, int *input)
{
	int in[2], out[2];
	char line[256] = "";
	const char *path = image();
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		execlp("qemu-io", "qemu-io", "-f", format, path, flags, (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	/* It answers only once it has the image open. */
	assert_int_equal(write(in[1], "length\n", 7), 7);
	for (size_t at = 0; at < sizeof(line) - 1 && !strstr(line, "MiB"); at += (size_t)n) {
		n = read(out[0], line + at, sizeof(line) - 1 - at);
		assert_true(n > 0);
	}
	close(out[0]);
	*input = in[1];
	return pid;
}

static void qemu_stop(pid_t pid, int input)
{
	close(input);
	waitpid(pid, NULL, 0);
}

static void we_are_kept_out_by_a_writing_qemu(const char *format)
{
	struct vd_io *io;
	char want[64], who[64];
	int input;
	pid_t pid;

	pid = qemu_start(format, NULL, &input);
	snprintf(want, sizeof(want), "qemu-io (pid %d)", (int)pid);
	io = open_as(VD_IO_LOCK_EXCLUSIVE, VD_EBUSY);
	assert_non_null(strstr(err.text, want));
	assert_non_null(strstr(err.text, "lock.img: in use by "));
	vd_io_close(io);
	io = open_as(VD_IO_LOCK_SHARED, VD_EBUSY);
	assert_non_null(strstr(err.text, want));
	vd_io_close(io);
	io = open_as(VD_IO_LOCK_NONE, 0);
	vd_io_holder(io, who, sizeof(who));
	assert_string_equal(who, want);
	qemu_stop(pid, input);
	vd_io_holder(io, who, sizeof(who));
	assert_string_equal(who, "");
	assert_int_equal(vd_io_lock(io, VD_IO_LOCK_SHARED, &err), 0);
	vd_io_close(io);
}

static void we_are_kept_out_by_qemu(void **state)
{
	struct vd_io *io;
	char want[64], who[64];
	int input;
	pid_t pid;

	(void)state;
	if (!scratch_has("qemu-io"))
		skip();
	we_are_kept_out_by_a_writing_qemu("vhdx");
	we_are_kept_out_by_a_writing_qemu("raw");
	pid = qemu_start("vhdx", "-r", &input);
	snprintf(want, sizeof(want), "qemu-io (pid %d)", (int)pid);
	io = open_as(VD_IO_LOCK_SHARED, 0);
	vd_io_holder(io, who, sizeof(who));
	assert_string_equal(who, "");
	vd_io_close(io);
	io = open_as(VD_IO_LOCK_EXCLUSIVE, VD_EBUSY);
	assert_non_null(strstr(err.text, want));
	vd_io_close(io);
	qemu_stop(pid, input);
}

static void a_writer_without_locks_is_named(void **state)
{
	struct vd_io *io = open_as(VD_IO_LOCK_NONE, 0), *copy;
	char want[64], who[64];
	int fd, writer;

	(void)state;
	vd_io_holder(io, who, sizeof(who));
	assert_string_equal(who, "");
	fd = open(image(), O_RDONLY);
	vd_io_holder(io, who, sizeof(who));
	assert_string_equal(who, "");
	writer = open(image(), O_WRONLY);
	snprintf(want, sizeof(want), "this process (pid %d)", (int)getpid());
	vd_io_holder(io, who, sizeof(who));
	assert_string_equal(who, want);
	close(writer);
	vd_io_close(io);
	/* One's own descriptor, and duplicates of it, are oneself. */
	writer = open(image(), O_RDWR);
	assert_int_equal(vd_io_open_fd(&copy, writer, NULL, VD_IO_WRITE, &err), 0);
	vd_io_holder(copy, who, sizeof(who));
	assert_string_equal(who, "");
	vd_io_close(copy);
	close(writer);
	close(fd);
}

/* Not of QEMU's kind: a lock of the whole file that a program took for writing. */
static void a_foreign_write_lock_is_respected(void **state)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct vd_io *io;
	int fd = open(image(), O_RDWR);

	(void)state;
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	io = open_as(VD_IO_LOCK_SHARED, VD_EBUSY);
	assert_non_null(strstr(err.text, "this process"));
	close(fd);
	assert_int_equal(vd_io_lock(io, VD_IO_LOCK_SHARED, &err), 0);
	vd_io_close(io);
}

static void locks_last_as_long_as_a_window(void **state)
{
	struct vd_io *io = open_as(VD_IO_LOCK_EXCLUSIVE, 0), *window;

	(void)state;
	assert_int_equal(vd_io_open_window(&window, io, 512, 512, &err), 0);
	vd_io_close(io);
	vd_io_close(open_as(VD_IO_LOCK_SHARED, VD_EBUSY));
	vd_io_close(window);
	vd_io_close(open_as(VD_IO_LOCK_SHARED, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(our_own_openings_keep_each_other_out),
	    cmocka_unit_test(who_was_refused_holds_nothing),
	    cmocka_unit_test(a_lock_can_be_raised_lowered_and_dropped),
	    cmocka_unit_test_setup(qemu_is_kept_out_by_us, setup_vhdx),
	    cmocka_unit_test_setup(we_are_kept_out_by_qemu, setup_vhdx),
	    cmocka_unit_test_setup(qemu_with_a_raw_image_is_kept_out_too, setup),
	    cmocka_unit_test(a_writer_without_locks_is_named),
	    cmocka_unit_test(a_foreign_write_lock_is_respected),
	    cmocka_unit_test(locks_last_as_long_as_a_window),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, setup, NULL);
}
