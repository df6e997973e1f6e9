/* SPDX-License-Identifier: MIT */
/* Files and block devices: what is opened and what isn't, holes, copies, full hosts, drafts. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/io.h"
#include "scratch.h"

static struct vd_error err;

static struct vd_io *make(const char *name, uint64_t length)
{
	const char *path = scratch_path(name);
	struct vd_io *io;

	unlink(path);
	assert_int_equal(vd_io_open_file(&io, path, VD_IO_CREATE, &err), 0);
	assert_int_equal(vd_io_truncate(io, length, &err), 0);
	return io;
}

static char said[2048];
static void hear(void *user, enum vd_message_level level, const char *text)
{
	(void)user;
	(void)level;
	snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s\n", text);
}

static void refused(const char *path, int code, const char *words)
{
	struct vd_io *io = NULL;

	assert_int_equal(vd_io_open_file(&io, path, 0, &err), code);
	assert_non_null(strstr(err.text, words));
	assert_int_equal(vd_io_open_file(&io, path, VD_IO_WRITE, &err), code);
	assert_null(io);
}

static void only_files_and_block_devices_are_opened(void **state)
{
	const char *fifo = scratch_path("fifo"), *sock = scratch_path("sock");
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	unlink(fifo);
	unlink(sock);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	refused(fifo, VD_EUNSUPPORTED, "is a FIFO");
	refused(scratch_dir(), VD_EUNSUPPORTED, "is a folder");
	refused("/dev/null", VD_EUNSUPPORTED, "is a character device");
	refused(scratch_path("nothing"), VD_ENOENT, "No such file");
	if (strlen(sock) < sizeof(addr.sun_path)) {
		strcpy(addr.sun_path, sock);
		assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
		refused(sock, VD_EUNSUPPORTED, "is a socket");
	}
	close(fd);
}

static void creating_never_takes_over_a_file(void **state)
{
	struct vd_io *io = make("create.img", 5);
	struct stat st;

	(void)state;
	assert_true(vd_io_is_writable(io));
	assert_int_equal(fcntl(vd_io_descriptor(io), F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(vd_io_descriptor(io), F_GETFL) & O_NONBLOCK, 0);
	vd_io_close(io);
	assert_int_equal(vd_io_open_file(&io, scratch_path("create.img"), VD_IO_CREATE, &err),
			 VD_EEXIST);
	assert_int_equal(stat(scratch_path("create.img"), &st), 0);
	assert_int_equal(st.st_size, 5);
}

static void a_descriptor_is_duplicated_and_checked(void **state)
{
	const char *path = scratch_path("fd.img");
	struct vd_io *io;
	char got[3] = "";
	int fd, pipes[2];

	(void)state;
	unlink(path);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	assert_int_equal(vd_io_open_fd(&io, fd, "mine", VD_IO_WRITE, &err), 0);
	assert_string_equal(vd_io_name(io), "mine");
	assert_int_equal(vd_io_write(io, "ab", 2, 0, &err), 0);
	vd_io_close(io);
	assert_int_equal(pread(fd, got, 2, 0), 2); /* still the caller's */
	assert_string_equal(got, "ab");
	assert_int_equal(vd_io_open_fd(&io, fd, "mine", VD_IO_CREATE, &err), VD_EINVAL);
	close(fd);
	assert_int_equal(vd_io_open_fd(&io, fd, NULL, 0, &err), VD_EIO);
	fd = open(path, O_RDONLY);
	assert_int_equal(vd_io_open_fd(&io, fd, NULL, VD_IO_WRITE, &err), VD_EROFS);
	close(fd);
	fd = open(path, O_WRONLY);
	assert_int_equal(vd_io_open_fd(&io, fd, NULL, 0, &err), VD_EDENIED);
	close(fd);
	fd = open(path, O_RDWR | O_APPEND);
	assert_int_equal(vd_io_open_fd(&io, fd, NULL, VD_IO_WRITE, &err), VD_EINVAL);
	assert_non_null(strstr(err.text, "appending"));
	close(fd);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(vd_io_open_fd(&io, pipes[0], NULL, 0, &err), VD_EUNSUPPORTED);
	close(pipes[0]);
	close(pipes[1]);
}

static void odd_ranges_are_zeroed_to_the_byte(void **state)
{
	static uint8_t want[300000], got[300000];
	enum vd_io_zero how[] = {VD_IO_ZERO_PUNCH, VD_IO_ZERO_KEEP};

	(void)state;
	for (size_t h = 0; h < 2; h++) {
		struct vd_io *io = make("zero.img", 0);
		uint64_t length;

		memset(want, 0xaa, sizeof(want));
		assert_int_equal(vd_io_write(io, want, sizeof(want), 0, &err), 0);
		assert_int_equal(vd_io_sync(io, &err), 0);
		for (uint64_t at = 13; at < 290000; at = at * 2 + 777) {
			uint64_t len = at / 3 + 1;

			if (len > 300000 - at)
				len = 300000 - at;
			assert_int_equal(vd_io_zero(io, at, len, how[h], &err), 0);
			memset(want + at, 0, len);
			assert_int_equal(vd_io_read(io, got, sizeof(got), 0, &err), 0);
			assert_memory_equal(got, want, sizeof(got));
		}
		assert_int_equal(vd_io_zero(io, 299999, 2, how[h], &err), VD_ERANGE);
		assert_int_equal(vd_io_length(io, &length, &err), 0);
		assert_int_equal(length, 300000);
		vd_io_close(io);
	}
}

static void holes_are_found_and_made(void **state)
{
	struct vd_io *io = make("holes.img", 16 << 20);
	uint64_t start, end, used;
	static uint8_t data[1 << 20];

	(void)state;
	memset(data, 1, sizeof(data));
	assert_int_equal(vd_io_write(io, data, sizeof(data), 4 << 20, &err), 0);
	assert_int_equal(vd_io_write(io, data, sizeof(data), 8 << 20, &err), 0);
	assert_int_equal(vd_io_sync(io, &err), 0);
	assert_int_equal(vd_io_next_data(io, 0, 64 << 20, &start, &end, &err), 0);
	if (start == 0) {
		vd_io_close(io);
		skip(); /* a file system without holes */
	}
	assert_true(start == 4 << 20 && end == 5 << 20);
	assert_int_equal(vd_io_next_data(io, (4 << 20) + 5, (4 << 20) + 9, &start, &end, &err), 0);
	assert_true(start == (4 << 20) + 5 && end == (4 << 20) + 9);
	assert_int_equal(vd_io_next_data(io, 5 << 20, 8 << 20, &start, &end, &err), 0);
	assert_true(start == 8 << 20 && end == 8 << 20);
	assert_int_equal(vd_io_next_data(io, 9 << 20, 64 << 20, &start, &end, &err), 0);
	assert_true(start == 64 << 20 && end == 64 << 20);
	assert_int_equal(vd_io_next_data(io, 40 << 20, 64 << 20, &start, &end, &err), 0);
	assert_true(start == 64 << 20 && end == 64 << 20);
	assert_int_equal(vd_io_next_data(io, UINT64_MAX - 1, UINT64_MAX, &start, &end, &err), 0);
	assert_true(start == UINT64_MAX);

	assert_int_equal(vd_io_punch(io, 4 << 20, 1 << 20, &err), 0);
	assert_int_equal(vd_io_next_data(io, 0, 64 << 20, &start, &end, &err), 0);
	assert_true(start == 8 << 20);
	assert_int_equal(vd_io_allocated(io, &used, &err), 0);
	assert_in_range(used, 1 << 20, (1 << 20) + 65536);
	assert_int_equal(vd_io_allocate(io, 0, 4 << 20, &err), 0);
	assert_int_equal(vd_io_allocated(io, &used, &err), 0);
	assert_in_range(used, 5 << 20, (5 << 20) + 65536);
	assert_int_equal(vd_io_allocate(io, 15 << 20, 4 << 20, &err), 0);
	assert_int_equal(vd_io_length(io, &end, &err), 0);
	assert_int_equal(end, 16 << 20);
	vd_io_close(io);
}

static void copies_are_whole_within_and_between_files(void **state)
{
	struct vd_io *a = make("copy-a.img", 0), *b = make("copy-b.img", 0);
	static uint8_t data[3000001], got[3000001];
	uint64_t shared;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 31 + i / 4096);
	assert_int_equal(vd_io_write(a, data, sizeof(data), 0, &err), 0);
	assert_int_equal(vd_io_copy(a, 0, b, 4096, sizeof(data), &shared, &err), 0);
	print_message("%llu of %zu bytes shared\n", (unsigned long long)shared, sizeof(data));
	assert_int_equal(vd_io_read(b, got, sizeof(got), 4096, &err), 0);
	assert_memory_equal(got, data, sizeof(data));
	assert_int_equal(vd_io_copy(a, 5, a, 2000007, 1000003, NULL, &err), 0);
	assert_int_equal(vd_io_read(a, got, 1000003, 2000007, &err), 0);
	assert_memory_equal(got, data + 5, 1000003);
	assert_int_equal(vd_io_copy(a, 5, a, 6, 10, NULL, &err), VD_EINVAL);
	/* What lies behind the end of the source comes as zeros. */
	assert_int_equal(vd_io_copy(a, 3000000, b, 0, 100000, NULL, &err), 0);
	assert_int_equal(vd_io_read(b, got, 100000, 0, &err), 0);
	assert_int_equal(got[99999] | got[50000] | got[20], 0);
	vd_io_close(a);
	vd_io_close(b);
}

/* A real full file system, if we may mount one. */
static void a_full_file_system_is_no_space_and_no_poison(void **state)
{
	static uint8_t data[1 << 20];
	struct vd_io *io;
	char path[512];
	int ret = 0;

	(void)state;
	snprintf(path, sizeof(path), "%s/small", scratch_dir());
	mkdir(path, 0700);
	if (scratch_run("mount -t tmpfs -o size=2m none '%s' 2>/dev/null", path))
		skip();
	snprintf(path, sizeof(path), "%s/small/x", scratch_dir());
	assert_int_equal(vd_io_open_file(&io, path, VD_IO_CREATE, &err), 0);
	/* It stays as long as the file is open, and goes even if this test fails. */
	scratch_run("umount -l '%s/small'", scratch_dir());
	for (uint64_t i = 0; i < 4 && !ret; i++)
		ret = vd_io_write(io, data, sizeof(data), i << 20, &err);
	assert_int_equal(ret, VD_ENOSPC);
	assert_int_equal(vd_io_truncate(io, 16 << 20, &err), 0);
	assert_int_equal(vd_io_allocate(io, 0, 16 << 20, &err), VD_ENOSPC);
	assert_int_equal(vd_io_sync(io, &err), 0);
	assert_int_equal(vd_io_punch(io, 0, 1 << 20, &err), 0);
	assert_int_equal(vd_io_write(io, data, 4096, 0, &err), 0);
	/* tmpfs can punch but not zero a range: that is done by writing, and said once. */
	said[0] = '\0';
	vd_set_message_hook(hear, NULL);
	assert_int_equal(vd_io_zero(io, 1, 8000, VD_IO_ZERO_KEEP, &err), 0);
	assert_int_equal(vd_io_zero(io, 1, 8000, VD_IO_ZERO_KEEP, &err), 0);
	vd_set_message_hook(NULL, NULL);
	assert_non_null(strstr(said, "zero a range"));
	assert_null(strstr(strchr(said, '\n'), "zero a range"));
	vd_io_close(io);
}

static void a_block_device_keeps_its_length(void **state)
{
	static uint8_t data[10000], got[10000];
	struct vd_io *io, *second;
	uint64_t length, start, end;
	char dev[64] = "";
	int hold;
	FILE *f;

	(void)state;
	if (scratch_run("cd '%s' && truncate -s 1M loop.img && "
			"losetup -f --show loop.img >loop.txt 2>/dev/null",
			scratch_dir()))
		skip();
	f = fopen(scratch_path("loop.txt"), "r");
	assert_non_null(f);
	assert_non_null(fgets(dev, sizeof(dev), f));
	fclose(f);
	dev[strcspn(dev, "\n")] = '\0';
	hold = open(dev, O_RDONLY | O_CLOEXEC);
	assert_true(hold >= 0);
	scratch_run("losetup -d %s", dev); /* when the last one closes it */
	for (uint32_t flags = VD_IO_WRITE; flags <= (VD_IO_WRITE | VD_IO_DIRECT);
	     flags += VD_IO_DIRECT) {
		assert_int_equal(vd_io_open_file(&io, dev, flags, &err), 0);
		assert_true(vd_io_is_device(io));
		assert_int_equal(vd_io_length(io, &length, &err), 0);
		assert_int_equal(length, 1 << 20);
		assert_int_equal(vd_io_truncate(io, 2 << 20, &err), VD_EUNSUPPORTED);
		assert_int_equal(vd_io_truncate(io, 1 << 20, &err), 0);
		memset(data, 7, sizeof(data));
		assert_int_equal(vd_io_write(io, data, sizeof(data), 1001, &err), 0);
		assert_int_equal(vd_io_zero(io, 2000, 3000, VD_IO_ZERO_PUNCH, &err), 0);
		memset(data + 999, 0, 3000);
		assert_int_equal(vd_io_zero(io, 8001, 3, VD_IO_ZERO_KEEP, &err), 0);
		memset(data + 7000, 0, 3);
		assert_int_equal(vd_io_read(io, got, sizeof(got), 1001, &err), 0);
		assert_memory_equal(got, data, sizeof(got));
		assert_int_equal(vd_io_next_data(io, 0, UINT64_MAX, &start, &end, &err), 0);
		assert_true(start == 0 && end == 1 << 20);
		assert_int_not_equal(vd_io_write(io, data, 100, (1 << 20) - 50, &err), 0);
		assert_int_equal(vd_io_allocate(io, 0, 100, &err), 0);
		assert_int_equal(vd_io_lock(io, VD_IO_LOCK_EXCLUSIVE, &err), 0);
		assert_int_equal(vd_io_open_file(&second, dev, VD_IO_WRITE, &err), VD_EBUSY);
		assert_int_equal(vd_io_open_file(&second, dev, 0, &err), 0);
		assert_int_equal(vd_io_lock(second, VD_IO_LOCK_SHARED, &err), VD_EBUSY);
		assert_non_null(strstr(err.text, "this process"));
		vd_io_close(second);
		assert_int_equal(vd_io_sync(io, &err), 0);
		vd_io_close(io);
	}
	close(hold);
}

static bool is_there(const char *name)
{
	return access(scratch_path(name), F_OK) == 0;
}

static int n_files(void)
{
	return scratch_run("exit $(ls -A '%s/drafts' | wc -l)", scratch_dir());
}

static void a_draft_gets_its_name_when_it_is_complete(void **state)
{
	struct vd_io_draft *d;
	struct vd_io *io;
	char path[512], got[4] = "";

	(void)state;
	scratch_run("rm -rf '%s/drafts'; mkdir '%s/drafts'", scratch_dir(), scratch_dir());
	snprintf(path, sizeof(path), "%s/drafts/a.vhdx", scratch_dir());
	assert_int_equal(vd_io_create_beside(&d, path, 0, false, &err), 0);
	assert_int_equal(vd_io_write(vd_io_draft_io(d), "new", 3, 0, &err), 0);
	assert_false(is_there("drafts/a.vhdx"));
	assert_int_equal(vd_io_publish(d, &err), 0);
	assert_int_equal(n_files(), 1);
	assert_int_equal(vd_io_create_beside(&d, path, 0, false, &err), VD_EEXIST);
	assert_int_equal(vd_io_create_beside(&d, path, 0, true, &err), 0);
	assert_int_equal(vd_io_write(vd_io_draft_io(d), "two", 3, 0, &err), 0);
	vd_io_discard(d);
	assert_int_equal(n_files(), 1);
	assert_int_equal(vd_io_create_beside(&d, path, 0, true, &err), 0);
	assert_int_equal(vd_io_write(vd_io_draft_io(d), "two", 3, 0, &err), 0);
	assert_int_equal(vd_io_publish(d, &err), 0);
	assert_int_equal(n_files(), 1);
	assert_int_equal(vd_io_open_file(&io, path, 0, &err), 0);
	assert_int_equal(vd_io_read(io, got, 3, 0, &err), 0);
	assert_string_equal(got, "two");
	vd_io_close(io);
	vd_io_discard(NULL);
}

static void a_draft_doesnt_take_a_name_that_was_taken_meanwhile(void **state)
{
	struct vd_io_draft *d;
	char path[512];

	(void)state;
	scratch_run("rm -rf '%s/drafts'; mkdir '%s/drafts'", scratch_dir(), scratch_dir());
	snprintf(path, sizeof(path), "%s/drafts/b", scratch_dir());
	assert_int_equal(vd_io_create_beside(&d, path, 0, false, &err), 0);
	assert_int_equal(scratch_run("echo mine > '%s'", path), 0);
	assert_int_equal(vd_io_publish(d, &err), VD_EEXIST);
	assert_int_equal(n_files(), 1);
	assert_int_equal(scratch_run("grep -q mine '%s'", path), 0);
	assert_int_equal(scratch_run("rm '%s' && ln -s other '%s'", path, path), 0);
	assert_int_equal(vd_io_create_beside(&d, path, 0, true, &err), VD_EEXIST);
	assert_int_equal(vd_io_create_beside(&d, scratch_path("no/where"), 0, true, &err),
			 VD_ENOENT);
	assert_int_equal(vd_io_create_beside(&d, scratch_path("drafts/"), 0, true, &err),
			 VD_EINVAL);
	assert_int_equal(vd_io_sync_folder(path, &err), 0);
	assert_int_equal(vd_io_sync_folder("relative", &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_files_and_block_devices_are_opened),
	    cmocka_unit_test(creating_never_takes_over_a_file),
	    cmocka_unit_test(a_descriptor_is_duplicated_and_checked),
	    cmocka_unit_test(odd_ranges_are_zeroed_to_the_byte),
	    cmocka_unit_test(holes_are_found_and_made),
	    cmocka_unit_test(copies_are_whole_within_and_between_files),
	    cmocka_unit_test(a_full_file_system_is_no_space_and_no_poison),
	    cmocka_unit_test(a_block_device_keeps_its_length),
	    cmocka_unit_test(a_draft_gets_its_name_when_it_is_complete),
	    cmocka_unit_test(a_draft_doesnt_take_a_name_that_was_taken_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
