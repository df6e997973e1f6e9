/* SPDX-License-Identifier: MIT */
/*
 * Who has a file? The kernel tells no pid for a lock of an open file description, so all of
 * /proc/PID/fdinfo is searched: it shows for each descriptor how it was opened, the inode, and
 * the locks. Only descriptors that may be the one are looked at themselves, for a stat of a file
 * on a dead network mount could hang.
 */
#include "io/io.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

struct search {
	int fd;       /* whose file it is about */
	int odd_fd;   /* another of our own on it, or -1 */
	int64_t byte; /* who locks this byte; -1: who writes, or keeps readers out */
	struct stat st;
};

/* What fdinfo says of one descriptor. */
struct facts {
	bool may_be_it;
	bool is_writer;
	bool has_lock;
};

/* "lock:\t1: OFDLCK  ADVISORY  READ -1 fe:00:1234 100 100" */
static bool is_lock_of_byte(const char *line, int64_t byte)
{
	unsigned long long inode, first, last;
	char end[32];
	const char *at = strchr(line, ':');
	int n;

	at = at ? strstr(at + 1, ": ") : NULL;
	if (!at)
		return false;
	n = sscanf(at + 2, "%*s %*s %*s %*d %*x:%*x:%llu %llu %31s", &inode, &first, end);
	if (n != 3)
		return false;
	last = strcmp(end, "EOF") ? strtoull(end, NULL, 10) : UINT64_MAX;
	return (uint64_t)byte >= first && (uint64_t)byte <= last;
}

static void read_line(struct facts *facts, const struct search *s, const char *line)
{
	if (!strncmp(line, "flags:", 6)) {
		unsigned long flags = strtoul(line + 6, NULL, 8);

		facts->is_writer = (flags & O_ACCMODE) != O_RDONLY && !(flags & O_PATH);
	} else if (!strncmp(line, "ino:", 4)) {
		/* Of a device it is the node's, of which there can be many. */
		facts->may_be_it = S_ISBLK(s->st.st_mode) ||
				   strtoull(line + 4, NULL, 10) == (uint64_t)s->st.st_ino;
	} else if (!strncmp(line, "lock:", 5)) {
		if (s->byte >= 0 ? is_lock_of_byte(line, s->byte) : is_lock_of_byte(line, 200))
			facts->has_lock = true;
	}
}

static bool read_facts(struct facts *facts, const struct search *s, int info_fd, const char *number)
{
	char text[16384], *line, *rest = text;
	ssize_t n;
	VD_AUTO_FD int fd = openat(info_fd, number, O_RDONLY | O_CLOEXEC);

	*facts = (struct facts){.may_be_it = true}; /* before Linux 5.14 there is no "ino:" */
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	while ((line = strsep(&rest, "\n")))
		read_line(facts, s, line);
	return n > 0;
}

/* A duplicate of our own descriptor, here or inherited by a child, is ourselves. */
static bool is_own(const struct search *s, pid_t pid, int number)
{
	if (pid == getpid() && (number == s->fd || number == s->odd_fd))
		return true;
	return syscall(SYS_kcmp, getpid(), pid, KCMP_FILE, s->fd, number) == 0;
}

static bool is_holder(const struct search *s, pid_t pid, int fds, int infos, const char *number)
{
	struct facts facts;
	struct stat st;

	if (!read_facts(&facts, s, infos, number) || !facts.may_be_it)
		return false;
	if (!facts.has_lock && (s->byte >= 0 || !facts.is_writer))
		return false;
	if (fstatat(fds, number, &st, 0) || (st.st_mode & S_IFMT) != (s->st.st_mode & S_IFMT))
		return false;
	if (S_ISBLK(st.st_mode) ? st.st_rdev != s->st.st_rdev
				: st.st_dev != s->st.st_dev || st.st_ino != s->st.st_ino)
		return false;
	return !is_own(s, pid, atoi(number));
}

static DIR *open_folder(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && !dir)
		close(fd);
	return dir;
}

static bool search_process(const struct search *s, int proc, const char *name)
{
	char path[64];
	bool is_found = false;
	struct dirent *e;
	DIR *infos, *fds;

	snprintf(path, sizeof(path), "%.20s/fdinfo", name);
	infos = open_folder(proc, path);
	if (!infos)
		return false;
	snprintf(path, sizeof(path), "%.20s/fd", name);
	fds = open_folder(proc, path);
	while (fds && !is_found && (e = readdir(infos)))
		is_found = isdigit((unsigned char)e->d_name[0]) &&
			   is_holder(s, (pid_t)atoi(name), dirfd(fds), dirfd(infos), e->d_name);
	if (fds)
		closedir(fds);
	closedir(infos);
	return is_found;
}

static void describe(int proc, const char *name, char *text, size_t size)
{
	char path[64], comm[64];
	ssize_t n = -1;
	VD_AUTO_FD int fd = -1;

	if (atoi(name) == getpid()) {
		snprintf(text, size, "this process (pid %d)", (int)getpid());
		return;
	}
	snprintf(path, sizeof(path), "%.20s/comm", name);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		n = read(fd, comm, sizeof(comm) - 1);
	comm[n > 0 ? n : 0] = '\0';
	comm[strcspn(comm, "\n")] = '\0';
	snprintf(text, size, "%s (pid %.20s)", comm[0] ? comm : "a program", name);
}

bool vd_holder_find(int fd, int odd_fd, int64_t byte, char *text, size_t size)
{
	struct search s = {.fd = fd, .odd_fd = odd_fd, .byte = byte};
	bool is_found = false;
	struct dirent *e;
	DIR *proc;

	if (fstat(fd, &s.st))
		return false;
	proc = open_folder(AT_FDCWD, "/proc");
	if (!proc)
		return false;
	while (!is_found && (e = readdir(proc))) {
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		is_found = search_process(&s, dirfd(proc), e->d_name);
		if (is_found)
			describe(dirfd(proc), e->d_name, text, size);
	}
	closedir(proc);
	return is_found;
}
