/* SPDX-License-Identifier: MIT */
/*
 * The server of the control channel: one thread, one poll, no client waited for. A client may
 * have one message under way in each direction; who doesn't read his answer isn't listened to,
 * and who leaves a message half sent or an answer unread for long is hung up on.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "control.h"
#include "log.h"
#include "owner_own.h"

#define N_CLIENTS        16
#define HALF_SENT_MAX_MS 10000

struct client {
	int fd; /* -1: free */
	struct control_lines in;
	char *out; /* an answer under way */
	size_t out_len, out_done;
	int64_t stuck_since; /* 0: nothing half done */
	int content_fd;      /* -1: none came that waits to be used */
	bool waits_for_end;
};

struct control_server {
	struct owner *owner;
	struct control_seat seat;
	pthread_t thread;
	int stop_fd;
	bool is_paused;
	struct client clients[N_CLIENTS];
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void hang_up(struct client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	if (client->content_fd >= 0)
		close(client->content_fd);
	control_lines_free(&client->in);
	free(client->out);
	*client = (struct client){.fd = -1, .content_fd = -1};
}

static void send_some(struct client *client)
{
	while (client->out_done < client->out_len) {
		ssize_t n = send(client->fd, client->out + client->out_done,
				 client->out_len - client->out_done, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			hang_up(client);
			return;
		}
		client->out_done += (size_t)n;
		client->stuck_since = now_ms();
	}
	free(client->out);
	client->out = NULL;
	client->out_len = client->out_done = 0;
	client->stuck_since = 0;
}

static void answer(struct client *client, json_t *reply)
{
	struct vd_error err = VD_ERROR_INIT;
	size_t len = 0;

	client->out = control_message_format(reply, &len);
	json_decref(reply);
	if (!client->out) {
		vd_error_set(&err, VD_ERANGE, 0, VD_NO_OFFSET,
			     "the answer is too long for the control channel");
		reply = control_reply_error(&err);
		client->out = control_message_format(reply, &len);
		json_decref(reply);
	}
	client->out_len = client->out ? len : 0;
	client->out_done = 0;
	client->stuck_since = now_ms();
	send_some(client);
}

static void answer_line(struct control_server *server, struct client *client, const char *line,
			size_t len)
{
	struct vd_error err = VD_ERROR_INIT;
	json_t *request, *reply;

	if (control_request_parse(&request, line, len, &err)) {
		answer(client, control_reply_error(&err));
		return;
	}
	reply = owner_answer(server->owner, request, client->content_fd, &client->waits_for_end);
	if (client->content_fd >= 0 && owner_takes_content(request)) {
		close(client->content_fd);
		client->content_fd = -1;
	}
	json_decref(request);
	if (!client->waits_for_end)
		answer(client, reply);
}

/* All whole lines that are here, as long as answers go out. */
static void answer_lines(struct control_server *server, struct client *client)
{
	size_t len;
	char *line;

	while (client->fd >= 0 && !client->out && !client->waits_for_end &&
	       (line = control_lines_next(&client->in, &len)))
		answer_line(server, client, line, len);
	if (client->fd >= 0 && !client->out && client->in.len > client->in.n_taken) {
		if (!client->stuck_since)
			client->stuck_since = now_ms();
	}
}

/* Bytes, and perhaps a descriptor beside them: the last one that came is kept. */
static ssize_t receive(struct client *client, void *bytes, size_t len)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} extra;
	struct iovec to = {bytes, len};
	struct msghdr message = {.msg_iov = &to,
				 .msg_iovlen = 1,
				 .msg_control = &extra,
				 .msg_controllen = sizeof(extra)};
	ssize_t n = recvmsg(client->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return n;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
		size_t n_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0;
		     i < n_fds && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS; i++) {
			if (client->content_fd >= 0)
				close(client->content_fd);
			memcpy(&client->content_fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
		}
	}
	return n;
}

static void receive_some(struct control_server *server, struct client *client)
{
	struct vd_error err = VD_ERROR_INIT;
	char piece[16384];
	ssize_t n = receive(client, piece, sizeof(piece));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		hang_up(client);
		return;
	}
	if (control_lines_put(&client->in, piece, (size_t)n, &err)) {
		answer(client, control_reply_error(&err));
		hang_up(client);
		return;
	}
	client->stuck_since = 0;
	answer_lines(server, client);
}

/* A word to one who is turned away, if it goes out at once. */
static void turn_away(int fd, int code, const char *why)
{
	struct vd_error err = VD_ERROR_INIT;
	json_t *reply;
	size_t len;
	char *line;

	vd_error_set(&err, code, 0, VD_NO_OFFSET, "%s", why);
	reply = control_reply_error(&err);
	line = control_message_format(reply, &len);
	if (line && send(fd, line, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("a client was turned away without a word");
	json_decref(reply);
	free(line);
	close(fd);
}

static void accept_one(struct control_server *server)
{
	struct ucred who = {.uid = (uid_t)-1};
	socklen_t len = sizeof(who);
	int fd = accept4(server->seat.socket_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) ||
	    (who.uid != 0 && who.uid != geteuid())) {
		turn_away(fd, VD_EDENIED, "only the user who runs this, and root, may ask");
		return;
	}
	for (size_t i = 0; i < N_CLIENTS; i++) {
		if (server->clients[i].fd < 0) {
			server->clients[i] = (struct client){.fd = fd, .content_fd = -1};
			return;
		}
	}
	turn_away(fd, VD_EBUSY, "too many clients; try again");
}

static void drop_stuck(struct client *client, int64_t now)
{
	if (client->fd >= 0 && client->stuck_since && now - client->stuck_since > HALF_SENT_MAX_MS)
		hang_up(client);
}

static short wanted(const struct client *client)
{
	if (client->out)
		return POLLOUT;
	return client->waits_for_end ? 0 : POLLIN;
}

static void serve_client(struct control_server *server, struct client *client, short events)
{
	if (client->out && (events & POLLOUT)) {
		send_some(client);
		if (client->fd >= 0)
			answer_lines(server, client);
	} else if (events & POLLIN) {
		receive_some(server, client);
	} else if (events & (POLLHUP | POLLERR | POLLNVAL)) {
		hang_up(client);
	}
}

static void *serve(void *user)
{
	struct control_server *server = user;

	for (;;) {
		struct pollfd polls[N_CLIENTS + 2];
		bool is_any_stuck = false;

		for (size_t i = 0; i < N_CLIENTS; i++) {
			struct client *c = &server->clients[i];

			polls[i] = (struct pollfd){.fd = c->fd, .events = wanted(c)};
			is_any_stuck |= c->fd >= 0 && c->stuck_since;
		}
		polls[N_CLIENTS] = (struct pollfd){.fd = server->stop_fd, .events = POLLIN};
		polls[N_CLIENTS + 1] =
		    (struct pollfd){.fd = server->seat.socket_fd, .events = POLLIN};
		if (poll(polls, N_CLIENTS + 2, is_any_stuck ? 1000 : -1) < 0 && errno != EINTR)
			return NULL;
		if (polls[N_CLIENTS].revents)
			return NULL;
		for (size_t i = 0; i < N_CLIENTS; i++) {
			if (polls[i].fd >= 0 && polls[i].revents)
				serve_client(server, &server->clients[i], polls[i].revents);
			drop_stuck(&server->clients[i], now_ms());
		}
		if (polls[N_CLIENTS + 1].revents)
			accept_one(server);
	}
}

int control_server_start(struct control_server **out, struct owner *owner, struct vd_error *err)
{
	struct control_server *server = calloc(1, sizeof(*server));
	sigset_t all, old;
	int rc;

	if (!server)
		return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
	server->owner = owner;
	for (size_t i = 0; i < N_CLIENTS; i++)
		server->clients[i] = (struct client){.fd = -1, .content_fd = -1};
	rc = control_seat_take(&server->seat, owner_stat(owner), err);
	if (rc) {
		free(server);
		return rc;
	}
	server->stop_fd = eventfd(0, EFD_CLOEXEC);
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	rc = server->stop_fd < 0 ? errno : pthread_create(&server->thread, NULL, serve, server);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc) {
		control_seat_leave(&server->seat);
		if (server->stop_fd >= 0)
			close(server->stop_fd);
		free(server);
		return vd_error_set(err, vd_code_from_errno(rc), rc, VD_NO_OFFSET,
				    "no thread for the control channel: %s", strerror(rc));
	}
	*out = server;
	return 0;
}

void control_server_pause(struct control_server *server)
{
	uint64_t one = 1;

	if (!server || server->is_paused)
		return;
	server->is_paused = true;
	if (write(server->stop_fd, &one, sizeof(one)) != sizeof(one))
		log_debug("the control channel can't be told to stop");
	pthread_join(server->thread, NULL);
}

void control_server_end(struct control_server *server, int code, const struct vd_error *why)
{
	if (!server)
		return;
	/* First the name, so that who hears of the end can begin anew. */
	control_seat_leave(&server->seat);
	for (size_t i = 0; i < N_CLIENTS; i++) {
		struct client *client = &server->clients[i];

		if (client->fd >= 0 && client->waits_for_end)
			answer(client, code ? control_reply_error(why) : control_reply_new());
		hang_up(client);
	}
	close(server->stop_fd);
	free(server);
}
