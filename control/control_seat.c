/* SPDX-License-Identifier: MIT */
/*
 * Where sockets lie, and how the owner of an image takes its place there. Beside each socket lies
 * a lock file; who holds its lock may clear away the socket that a dead process left under the
 * same name. Sockets are bound and connected through a descriptor of their folder, so that
 * neither long paths nor a folder that is swapped meanwhile matter.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "control.h"

void control_folder(uid_t uid, char path[CONTROL_PATH_MAX])
{
	const char *told = getenv("VDISK_RUNTIME_DIR");

	if (told && told[0] == '/')
		snprintf(path, CONTROL_PATH_MAX, "%s", told);
	else if (uid == 0)
		snprintf(path, CONTROL_PATH_MAX, "/run/vdisk");
	else
		snprintf(path, CONTROL_PATH_MAX, "/run/user/%u/vdisk", (unsigned int)uid);
}

void control_name(const struct stat *image, unsigned int n, char name[64])
{
	char end[16] = "";

	if (n)
		snprintf(end, sizeof(end), ".%u", n);
	/* A block device is known by its number, however many nodes lead to it. */
	if (S_ISBLK(image->st_mode))
		snprintf(name, 64, "block-%x-%x%s", major(image->st_rdev), minor(image->st_rdev),
			 end);
	else
		snprintf(name, 64, "%x-%x-%jx%s", major(image->st_dev), minor(image->st_dev),
			 (uintmax_t)image->st_ino, end);
}

static int open_folder(struct control_seat *seat, struct vd_error *err)
{
	struct stat st;

	control_folder(geteuid(), seat->folder);
	if (mkdir(seat->folder, 0700) && errno != EEXIST)
		return vd_error_set(err, vd_code_from_errno(errno), errno, VD_NO_OFFSET,
				    "the folder %s can't be made: %s", seat->folder,
				    strerror(errno));
	seat->folder_fd = open(seat->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (seat->folder_fd < 0 || fstat(seat->folder_fd, &st))
		return vd_error_set(err, vd_code_from_errno(errno), errno, VD_NO_OFFSET,
				    "the folder %s can't be opened: %s", seat->folder,
				    strerror(errno));
	if (st.st_uid != geteuid() || (st.st_mode & 077))
		return vd_error_set(err, VD_EDENIED, 0, VD_NO_OFFSET,
				    "the folder %s has owner %u and mode %03o, not %u and 700",
				    seat->folder, (unsigned int)st.st_uid,
				    (unsigned int)st.st_mode & 0777, (unsigned int)geteuid());
	return 0;
}

/* 1: it is ours; 0: somebody else has it. A lock file whose name was taken away meanwhile doesn't
 * count: the next one would lock another file. */
static int take_lock(struct control_seat *seat)
{
	struct stat mine, there;
	char file[80];
	int fd;

	snprintf(file, sizeof(file), "%s.lock", seat->name);
	for (int tries = 0; tries < 100; tries++) {
		fd = openat(seat->folder_fd, file, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX | LOCK_NB)) {
			int failed = errno;

			close(fd);
			return failed == EWOULDBLOCK ? 0 : -failed;
		}
		if (!fstat(fd, &mine) &&
		    !fstatat(seat->folder_fd, file, &there, AT_SYMLINK_NOFOLLOW) &&
		    mine.st_ino == there.st_ino) {
			seat->lock_fd = fd;
			return 1;
		}
		close(fd);
	}
	return -EBUSY;
}

static int listen_there(struct control_seat *seat)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char file[80];

	snprintf(file, sizeof(file), "%s.sock", seat->name);
	if (unlinkat(seat->folder_fd, file, 0) && errno != ENOENT)
		return -errno;
	seat->socket_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (seat->socket_fd < 0)
		return -errno;
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", seat->folder_fd,
		 file);
	if (bind(seat->socket_fd, (struct sockaddr *)&address, sizeof(address)) ||
	    fchmodat(seat->folder_fd, file, 0600, 0) || listen(seat->socket_fd, 16))
		return -errno;
	return 0;
}

int control_seat_take(struct control_seat *seat, const struct stat *image, struct vd_error *err)
{
	int rc;

	*seat = (struct control_seat){.folder_fd = -1, .lock_fd = -1, .socket_fd = -1};
	rc = open_folder(seat, err);
	if (rc) {
		control_seat_leave(seat);
		return rc;
	}
	rc = 0;
	for (unsigned int n = 0; n < CONTROL_SEATS_MAX && !rc; n++) {
		control_name(image, n, seat->name);
		rc = take_lock(seat);
	}
	if (rc == 1)
		rc = listen_there(seat);
	else if (rc == 0)
		rc = -EBUSY;
	if (!rc)
		return 0;
	control_seat_leave(seat);
	return vd_error_set(err, vd_code_from_errno(-rc), -rc, VD_NO_OFFSET,
			    "no control socket in %s: %s", seat->folder, strerror(-rc));
}

void control_seat_leave(struct control_seat *seat)
{
	char file[80];

	if (seat->lock_fd >= 0) {
		snprintf(file, sizeof(file), "%s.sock", seat->name);
		unlinkat(seat->folder_fd, file, 0);
		snprintf(file, sizeof(file), "%s.lock", seat->name);
		unlinkat(seat->folder_fd, file, 0);
		close(seat->lock_fd);
	}
	if (seat->socket_fd >= 0)
		close(seat->socket_fd);
	if (seat->folder_fd >= 0)
		close(seat->folder_fd);
	seat->folder_fd = seat->lock_fd = seat->socket_fd = -1;
}
