/* SPDX-License-Identifier: MIT */
/*
 * The client's end. Who listens under an image's name is believed only as far as needed: he must be
 * the user whose folder it is, so that nobody can lead us on to somebody else's process by a link;
 * when root asks a user's process, that must own the image or have it open for writing, or else
 * anybody who can read an image could speak for it. Nobody is waited for without end.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "control.h"

/** Call `fn` with each folder of sockets that this user may look into, until it answers non-zero.
 */
static int each_folder(int (*fn)(void *user, int folder_fd, uid_t uid), void *user)
{
	char path[CONTROL_PATH_MAX];
	struct dirent *e;
	DIR *users;
	int fd, rc;

	control_folder(geteuid(), path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = fd < 0 ? 0 : fn(user, fd, geteuid());
	if (fd >= 0)
		close(fd);
	if (rc || geteuid() != 0 || getenv("VDISK_RUNTIME_DIR") || !(users = opendir("/run/user")))
		return rc;
	while (!rc && (e = readdir(users))) {
		char *end;
		unsigned long uid = strtoul(e->d_name, &end, 10);

		if (*end || end == e->d_name || uid == 0)
			continue;
		snprintf(path, sizeof(path), "/run/user/%lu/vdisk", uid);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			continue;
		rc = fn(user, fd, (uid_t)uid);
		close(fd);
	}
	closedir(users);
	return rc;
}

static bool connect_to(struct control_peer *peer, int folder_fd, const char *file, uid_t uid)
{
	/* One who accepts nobody has a line of clients, which would be waited in. */
	const struct timeval longest = {.tv_sec = 1};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct ucred who;
	socklen_t len = sizeof(who);

	*peer = (struct control_peer){.fd = -1};
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", folder_fd,
		 file);
	peer->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (peer->fd >= 0 &&
	    !setsockopt(peer->fd, SOL_SOCKET, SO_SNDTIMEO, &longest, sizeof(longest)) &&
	    !connect(peer->fd, (struct sockaddr *)&address, sizeof(address)) &&
	    !getsockopt(peer->fd, SOL_SOCKET, SO_PEERCRED, &who, &len) && who.uid == uid) {
		peer->pid = who.pid;
		return true;
	}
	control_peer_close(peer);
	return false;
}

/** Does the process have this file open (for writing)? As far as /proc shows. */
static bool has_open(pid_t pid, const struct stat *image, bool for_writing)
{
	char path[64], number[32];
	bool is_found = false;
	struct dirent *e;
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	fds = opendir(path);
	while (fds && !is_found && (e = readdir(fds))) {
		struct stat st, link;

		snprintf(number, sizeof(number), "%.20s", e->d_name);
		if (number[0] == '.' || fstatat(dirfd(fds), number, &st, 0) ||
		    fstatat(dirfd(fds), number, &link, AT_SYMLINK_NOFOLLOW))
			continue;
		is_found = st.st_dev == image->st_dev && st.st_ino == image->st_ino &&
			   (!for_writing || (link.st_mode & 0200));
	}
	if (fds)
		closedir(fds);
	return is_found;
}

struct look {
	struct control_peer *peer;
	struct stat image;
	const char *mount_point;
	bool want_writer;
};

static bool is_writable(struct control_peer *peer)
{
	json_t *reply = NULL;
	bool is_it = false;
	const char *mode;

	if (!control_call(peer, control_request_new("status"), &reply, CONTROL_TIMEOUT_MS, NULL)) {
		mode = control_text(reply, "mode");
		is_it = mode && !strcmp(mode, "rw");
	}
	json_decref(reply);
	return is_it;
}

static int look_for_image(void *user, int folder_fd, uid_t uid)
{
	struct look *look = user;

	for (unsigned int n = 0; n < CONTROL_SEATS_MAX; n++) {
		char name[64], file[80];

		control_name(&look->image, n, name);
		snprintf(file, sizeof(file), "%s.sock", name);
		if (!connect_to(look->peer, folder_fd, file, uid))
			continue;
		if ((uid == geteuid() || look->image.st_uid == uid ||
		     has_open(look->peer->pid, &look->image, true)) &&
		    (!look->want_writer || is_writable(look->peer)))
			return 1;
		control_peer_close(look->peer);
	}
	return 0;
}

int control_find(struct control_peer *peer, const char *image, bool want_writer,
		 struct vd_error *err)
{
	struct look look = {.peer = peer, .want_writer = want_writer};

	*peer = (struct control_peer){.fd = -1};
	if (stat(image, &look.image))
		return vd_error_set(err, vd_code_from_errno(errno), errno, VD_NO_OFFSET, "%s",
				    strerror(errno));
	if (each_folder(look_for_image, &look))
		return 0;
	return vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET,
			    "no process with a control channel has it open");
}

static bool is_mounted_at(struct control_peer *peer, const char *mount_point)
{
	json_t *reply = NULL;
	bool is_it = false;
	const char *at;

	if (!control_call(peer, control_request_new("status"), &reply, CONTROL_TIMEOUT_MS, NULL)) {
		at = control_text(reply, "mount_point");
		is_it = at && !strcmp(at, mount_point);
	}
	json_decref(reply);
	return is_it;
}

static int look_for_mount(void *user, int folder_fd, uid_t uid)
{
	struct look *look = user;
	int copy = dup(folder_fd), rc = 0;
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;

	while (dir && !rc && (e = readdir(dir))) {
		size_t len = strlen(e->d_name);

		if (len < 6 || len > 70 || strcmp(e->d_name + len - 5, ".sock") ||
		    !connect_to(look->peer, folder_fd, e->d_name, uid))
			continue;
		rc = is_mounted_at(look->peer, look->mount_point);
		if (!rc)
			control_peer_close(look->peer);
	}
	if (dir)
		closedir(dir);
	else if (copy >= 0)
		close(copy);
	return rc;
}

int control_find_mount(struct control_peer *peer, const char *mount_point, struct vd_error *err)
{
	struct look look = {.peer = peer, .mount_point = mount_point};

	*peer = (struct control_peer){.fd = -1};
	if (each_folder(look_for_mount, &look))
		return 0;
	return vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET,
			    "no process with a control channel has mounted an image there");
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/** Wait until the socket is ready for `events`, until `end` (< 0: however long it takes). */
static int await(int fd, short events, int64_t end, struct vd_error *err)
{
	struct pollfd p = {.fd = fd, .events = events};

	for (;;) {
		int64_t left = end < 0 ? -1 : end - now_ms();
		int n;

		if (end >= 0 && left < 0)
			left = 0;
		n = poll(&p, 1, left > INT_MAX ? INT_MAX : (int)left);
		if (n > 0)
			return 0;
		if (n == 0)
			return vd_error_set(err, VD_ETIMEDOUT, 0, VD_NO_OFFSET,
					    "the process that has the image doesn't answer");
		if (errno == EINTR)
			return vd_error_set(err, VD_ECANCELED, errno, VD_NO_OFFSET, "interrupted");
		return vd_error_set(err, VD_EIO, errno, VD_NO_OFFSET, "control channel: %s",
				    strerror(errno));
	}
}

static int hung_up(int sys_errno, struct vd_error *err)
{
	return vd_error_set(err, VD_EIO, sys_errno, VD_NO_OFFSET,
			    "the process that has the image hung up%s%s", sys_errno ? ": " : "",
			    sys_errno ? strerror(sys_errno) : "");
}

/* A descriptor goes with the first byte, as the kernel wants it. */
static ssize_t send_some(int socket_fd, const char *line, size_t len, int fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} extra = {.head = {.cmsg_len = CMSG_LEN(sizeof(int)),
			    .cmsg_level = SOL_SOCKET,
			    .cmsg_type = SCM_RIGHTS}};
	struct iovec bytes = {(void *)(uintptr_t)line, len};
	struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};

	if (fd >= 0) {
		memcpy(CMSG_DATA(&extra.head), &fd, sizeof(fd));
		message.msg_control = &extra;
		message.msg_controllen = sizeof(extra);
	}
	return sendmsg(socket_fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int send_line(struct control_peer *peer, const char *line, size_t len, int fd, int64_t end,
		     struct vd_error *err)
{
	while (len) {
		int rc = await(peer->fd, POLLOUT, end, err);
		ssize_t n;

		if (rc)
			return rc;
		n = send_some(peer->fd, line, len, fd);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return hung_up(errno, err);
		if (n > 0) {
			fd = -1;
			line += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

static int receive_line(struct control_peer *peer, char **line, size_t *len, int64_t end,
			struct vd_error *err)
{
	char piece[16384];

	while (!(*line = control_lines_next(&peer->in, len))) {
		int rc = await(peer->fd, POLLIN, end, err);
		ssize_t n;

		if (rc)
			return rc;
		n = recv(peer->fd, piece, sizeof(piece), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return hung_up(n ? errno : 0, err);
		rc = n > 0 ? control_lines_put(&peer->in, piece, (size_t)n, err) : 0;
		if (rc)
			return rc;
	}
	return 0;
}

int control_wait(struct control_peer *peer, json_t **reply, int timeout_ms, struct vd_error *err)
{
	json_t *answer = NULL;
	size_t len;
	char *line;
	int rc = receive_line(peer, &line, &len, timeout_ms < 0 ? -1 : now_ms() + timeout_ms, err);

	if (!rc)
		rc = control_reply_parse(&answer, line, len, err);
	if (reply)
		*reply = answer;
	else
		json_decref(answer);
	return rc;
}

int control_call(struct control_peer *peer, json_t *request, json_t **reply, int timeout_ms,
		 struct vd_error *err)
{
	return control_call_with(peer, request, NULL, reply, timeout_ms, err);
}

int control_call_with(struct control_peer *peer, json_t *request,
		      const struct control_content *content, json_t **reply, int timeout_ms,
		      struct vd_error *err)
{
	size_t len;
	char *line = control_message_format(request, &len);
	int rc;

	if (reply)
		*reply = NULL;
	json_decref(request);
	if (!line)
		return vd_error_set(err, VD_ERANGE, 0, VD_NO_OFFSET,
				    "too much for one message of the control channel");
	rc = send_line(peer, line, len, content ? content->fd : -1,
		       timeout_ms < 0 ? -1 : now_ms() + timeout_ms, err);
	free(line);
	return rc ? rc : control_wait(peer, reply, timeout_ms, err);
}

void control_peer_close(struct control_peer *peer)
{
	if (peer->fd >= 0)
		close(peer->fd);
	control_lines_free(&peer->in);
	peer->fd = -1;
}
