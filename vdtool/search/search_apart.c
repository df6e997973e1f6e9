/* SPDX-License-Identifier: MIT */
/*
 * A process can't end while a file system holds one of its threads (a FUSE daemon that doesn't
 * answer, an NFS server that is gone), not even by a signal. So a search is done by a child, and
 * its parent, which touches no file, ends as soon as the exit code is known.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "output.h"
#include "search_print.h"

static int report = -1; /* the child's way to tell the exit code when it can't end */

static _Noreturn void follow(pid_t child, int fd)
{
	uint8_t code = TOOL_FAILED;
	ssize_t n;
	int status;

	do
		n = read(fd, &code, 1);
	while (n < 0 && errno == EINTR);
	/* What is on its way to stdout is the child's: no exit(). */
	if (n == 1)
		_exit(code);
	while (waitpid(child, &status, 0) < 0) {
		if (errno != EINTR)
			_exit(TOOL_FAILED);
	}
	_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

void search_apart(void)
{
	pid_t parent = getpid(), child;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) != 0)
		return; /* then without */
	fflush(stdout); /* or both would print it */
	child = fork();
	if (child > 0) {
		close(fds[1]);
		follow(child, fds[0]);
	}
	close(fds[0]);
	if (child < 0) {
		close(fds[1]);
		return;
	}
	report = fds[1];
	/* Who ends the parent means us. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(128 + SIGTERM);
}

void search_apart_leave(int exit_code)
{
	uint8_t code = (uint8_t)exit_code;

	if (report >= 0 && write(report, &code, 1) != 1)
		close(report);
	_exit(exit_code);
}
