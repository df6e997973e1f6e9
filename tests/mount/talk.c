/* SPDX-License-Identifier: MIT */
/*
 * A client of the control channel with bad manners. talk IMAGE ...
 *   say LINE...        send the lines, print an answer to each
 *   garbage SEED       64 KiB of noise with newlines; print what comes back until it hangs up
 *   huge               3 MiB without a newline
 *   half SECONDS       half a line, then nothing
 *   unread SECONDS     requests without end, no answer read
 *   with FILE LINE     say the line 50 times, two descriptors of the file beside it each time
 *   many N             N connections at once; print how many were turned away
 * talk SOCKET hear     be a service manager: print what comes until STOPPING=1, at most two minutes
 * talk SOCKET deaf     listen, with as many clients waiting as there may be, and accept none
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control.h"

static int dial(const char *image)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char folder[CONTROL_PATH_MAX], name[64];
	struct stat st;
	int fd;

	if (stat(image, &st)) {
		perror(image);
		exit(2);
	}
	control_folder(geteuid(), folder);
	if (getenv("TALK_FOLDER"))
		snprintf(folder, sizeof(folder), "%s", getenv("TALK_FOLDER"));
	control_name(&st, 0, name);
	if (chdir(folder)) {
		perror(folder);
		exit(2);
	}
	snprintf(address.sun_path, sizeof(address.sun_path), "%s.sock", name);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		perror("connect");
		exit(3);
	}
	return fd;
}

/* Until a newline, the end, or ten seconds without a byte. */
static ssize_t print_answer(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ssize_t n_all = 0;
	char c;

	while (poll(&p, 1, 10000) == 1 && recv(fd, &c, 1, 0) == 1) {
		putchar(c);
		n_all++;
		if (c == '\n')
			return n_all;
	}
	return n_all ? n_all : -1;
}

static void say(int fd, const char *line)
{
	if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0 || send(fd, "\n", 1, MSG_NOSIGNAL) < 0)
		perror("send");
	if (print_answer(fd) < 0)
		printf("hung up\n");
}

static void with(int fd, const char *file, const char *line)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(2 * sizeof(int))];
	} extra = {.head = {.cmsg_len = CMSG_LEN(2 * sizeof(int)),
			    .cmsg_level = SOL_SOCKET,
			    .cmsg_type = SCM_RIGHTS}};
	int beside[2] = {open(file, O_RDWR | O_NONBLOCK), 0};
	struct iovec bytes = {(void *)(uintptr_t)line, strlen(line)};
	struct msghdr message = {.msg_iov = &bytes,
				 .msg_iovlen = 1,
				 .msg_control = &extra,
				 .msg_controllen = sizeof(extra)};

	beside[1] = beside[0];
	memcpy(CMSG_DATA(&extra.head), beside, sizeof(beside));
	for (int i = 0; i < 50; i++) {
		if (beside[0] < 0 || sendmsg(fd, &message, MSG_NOSIGNAL) < 0)
			perror(file);
		say(fd, "");
	}
	close(beside[0]);
}

static void garbage(int fd, unsigned int seed)
{
	char noise[65536];

	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (char)(rand_r(&seed) % 200 == 0 ? '\n' : rand_r(&seed));
	noise[sizeof(noise) - 1] = '\n';
	for (size_t sent = 0; sent < sizeof(noise);) {
		ssize_t n =
		    send(fd, noise + sent, sizeof(noise) - sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0)
			sent += (size_t)n;
		else if (print_answer(fd) < 0)
			return;
	}
	shutdown(fd, SHUT_WR);
	while (print_answer(fd) > 0)
		;
}

static void huge(int fd)
{
	char *line = malloc(3u << 20);

	if (!line)
		exit(2);
	memset(line, ' ', 3u << 20);
	for (size_t sent = 0; sent < 3u << 20;) {
		ssize_t n = send(fd, line + sent, (3u << 20) - sent, MSG_NOSIGNAL);

		if (n <= 0)
			break;
		sent += (size_t)n;
	}
	free(line);
	if (print_answer(fd) < 0)
		printf("hung up\n");
}

static void unread(int fd, unsigned int seconds)
{
	static const char line[] = "{\"v\":1,\"do\":\"status\"}\n";

	for (int i = 0; i < 20000; i++)
		if (send(fd, line, sizeof(line) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			break;
	sleep(seconds);
}

static void many(const char *image, int n)
{
	int *fds = calloc((size_t)n, sizeof(*fds)), n_refused;
	struct pollfd p = {.events = POLLIN};

	for (int i = 0; fds && i < n; i++)
		fds[i] = dial(image);
	/* Most of them are: as long as that takes, on a busy machine. */
	for (int tries = 0; tries < 200; tries++) {
		n_refused = 0;
		for (int i = 0; fds && i < n; i++) {
			p.fd = fds[i];
			n_refused += poll(&p, 1, 0) == 1;
		}
		if (n_refused >= n / 2)
			break;
		usleep(100000);
	}
	printf("%d turned away\n", n_refused);
	free(fds);
}

static int hear(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char text[256] = "";

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)))
		return 2;
	while (!strstr(text, "STOPPING=1") && poll(&p, 1, 120000) == 1) {
		ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

		text[n > 0 ? n : 0] = '\0';
		printf("%s\n", text);
		fflush(stdout);
	}
	return 0;
}

static int be_deaf(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), client;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 0))
		return 2;
	do
		client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	while (client >= 0 && !connect(client, (struct sockaddr *)&address, sizeof(address)));
	printf("deaf\n");
	fflush(stdout);
	sleep(60);
	return 0;
}

int main(int argc, char **argv)
{
	const char *how = argc > 2 ? argv[2] : "";
	const char *what = argc > 3 ? argv[3] : "0";
	char *image = argc > 2 ? realpath(argv[1], NULL) : NULL; /* dial() changes the folder */
	int fd;

	if (argc == 3 && !strcmp(how, "hear"))
		return hear(argv[1]);
	if (argc == 3 && !strcmp(how, "deaf"))
		return be_deaf(argv[1]);
	if (!image)
		return 2;
	if (!strcmp(how, "many")) {
		many(image, atoi(what));
		return 0;
	}
	fd = dial(image);
	if (!strcmp(how, "say"))
		for (int i = 3; i < argc; i++)
			say(fd, argv[i]);
	else if (!strcmp(how, "with") && argc > 4)
		with(fd, what, argv[4]);
	else if (!strcmp(how, "garbage"))
		garbage(fd, (unsigned int)atoi(what));
	else if (!strcmp(how, "huge"))
		huge(fd);
	else if (!strcmp(how, "half"))
		(void)(send(fd, "{\"v\":1,", 7, MSG_NOSIGNAL) == 7 &&
		       sleep((unsigned int)atoi(what)));
	else if (!strcmp(how, "unread"))
		unread(fd, (unsigned int)atoi(what));
	else
		return 2;
	close(fd);
	return 0;
}
