/* SPDX-License-Identifier: MIT */
/* Places of the control channel: who may sit where, and what a dead process leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "control.h"
#include "scratch.h"

static struct stat image;

static int set_up(void **state)
{
	(void)state;
	setenv("VDISK_RUNTIME_DIR", scratch_path("run"), 1);
	scratch_run("rm -rf %s; : > %s", scratch_path("run"), scratch_path("image"));
	return stat(scratch_path("image"), &image);
}

static bool is_there(const struct control_seat *seat, const char *ending)
{
	char path[1024];

	snprintf(path, sizeof(path), "%s/%s%s", scratch_path("run"), seat->name, ending);
	return access(path, F_OK) == 0;
}

static void the_folder_is_private(void **state)
{
	struct vd_error err = VD_ERROR_INIT;
	struct control_seat seat;
	struct stat st;

	(void)state;
	assert_int_equal(control_seat_take(&seat, &image, NULL), 0);
	assert_int_equal(stat(scratch_path("run"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	control_seat_leave(&seat);
	control_seat_leave(&seat);
	assert_int_equal(chmod(scratch_path("run"), 0755), 0);
	assert_int_equal(control_seat_take(&seat, &image, &err), VD_EDENIED);
	assert_non_null(strstr(err.text, "755"));
}

static void each_process_has_a_name_of_its_own(void **state)
{
	struct control_seat first, second;

	(void)state;
	assert_int_equal(control_seat_take(&first, &image, NULL), 0);
	assert_int_equal(control_seat_take(&second, &image, NULL), 0);
	assert_string_not_equal(first.name, second.name);
	assert_true(is_there(&first, ".sock") && is_there(&second, ".sock"));
	control_seat_leave(&first);
	assert_false(is_there(&first, ".sock") || is_there(&first, ".lock"));
	control_seat_leave(&second);
	assert_false(is_there(&second, ".sock") || is_there(&second, ".lock"));
}

static void what_a_dead_process_left_is_taken_over(void **state)
{
	struct control_seat dead, seat;
	struct control_peer peer;

	(void)state;
	assert_int_equal(control_seat_take(&dead, &image, NULL), 0);
	/* As the kernel does it for one that was killed: descriptors go, names stay. */
	close(dead.lock_fd);
	close(dead.socket_fd);
	close(dead.folder_fd);
	assert_true(is_there(&dead, ".sock"));
	assert_int_equal(control_find(&peer, scratch_path("image"), false, NULL), VD_ENOENT);
	assert_int_equal(control_seat_take(&seat, &image, NULL), 0);
	assert_string_equal(seat.name, dead.name);
	assert_int_equal(control_find(&peer, scratch_path("image"), false, NULL), 0);
	assert_int_equal(peer.pid, getpid());
	control_peer_close(&peer);
	control_seat_leave(&seat);
}

static void a_silent_owner_is_given_up(void **state)
{
	struct vd_error err = VD_ERROR_INIT;
	struct control_seat seat;
	struct control_peer peer;
	int fd;

	(void)state;
	assert_int_equal(control_seat_take(&seat, &image, NULL), 0);
	assert_int_equal(control_find(&peer, scratch_path("image"), false, NULL), 0);
	assert_int_equal(control_call(&peer, control_request_new("status"), NULL, 50, &err),
			 VD_ETIMEDOUT);
	fd = accept(seat.socket_fd, NULL, NULL);
	assert_true(fd >= 0);
	assert_int_equal(send(fd, "{\"v\":1,", 7, 0), 7);
	close(fd);
	assert_int_equal(control_wait(&peer, NULL, 1000, &err), VD_EIO);
	assert_non_null(strstr(err.text, "hung up"));
	control_peer_close(&peer);
	control_seat_leave(&seat);
}

static void names_tell_images_apart(void **state)
{
	struct stat other = image, device = image;
	char a[64], b[64];

	(void)state;
	other.st_ino++;
	control_name(&image, 0, a);
	control_name(&other, 0, b);
	assert_string_not_equal(a, b);
	/* A device is the same through each of its nodes. */
	device.st_mode = S_IFBLK | 0600;
	other.st_mode = S_IFBLK | 0600;
	control_name(&device, 0, a);
	control_name(&other, 0, b);
	assert_string_equal(a, b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(the_folder_is_private, set_up),
	    cmocka_unit_test_setup(each_process_has_a_name_of_its_own, set_up),
	    cmocka_unit_test_setup(what_a_dead_process_left_is_taken_over, set_up),
	    cmocka_unit_test_setup(a_silent_owner_is_given_up, set_up),
	    cmocka_unit_test_setup(names_tell_images_apart, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
