/* SPDX-License-Identifier: MIT */
/* Temporary outputs and the signals that end us; see tempfile.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vdisk/sys/io.h>

#include "output.h"
#include "tempfile.h"

volatile sig_atomic_t tool_stop_signal;
static volatile sig_atomic_t is_deferred;

/* What the signal handler removes, while has_temp is set. */
static volatile sig_atomic_t has_temp;
static int folder_fd = -1;
static char temp_name[NAME_MAX + 1];

static char final_path[PATH_MAX];
static char temp_path[PATH_MAX + NAME_MAX + 2];
static const char *final_name; /* within final_path */
static bool is_replacing;
static struct stat replaced;
static struct vd_io *replaced_io; /* holds the lock on what is going to be replaced */

static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};

static void on_signal(int number)
{
	if (is_deferred && !tool_stop_signal) {
		tool_stop_signal = number;
		return;
	}
	if (has_temp)
		unlinkat(folder_fd, temp_name, 0);
	_exit(128 + number);
}

static void caught_set(sigset_t *set)
{
	sigemptyset(set);
	for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
		sigaddset(set, caught[i]);
}

void tool_signals_catch(void)
{
	struct sigaction action = {.sa_handler = on_signal}, old;

	caught_set(&action.sa_mask);
	for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++) {
		/* What our starter ignores (nohup, a shell's background job) stays ignored. */
		if (sigaction(caught[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(caught[i], &action, NULL);
	}
	signal(SIGXFSZ, SIG_IGN); /* the write fails with EFBIG instead */
}

void tool_signals_defer(void)
{
	is_deferred = 1;
}

bool tool_wait_readable(int fd)
{
	struct pollfd waiting = {.fd = fd, .events = POLLIN};
	sigset_t all, old;
	int rc;

	/* Unblocked only while it waits: a signal can't slip in between look and wait. */
	caught_set(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	do
		rc = tool_stop_signal ? 1 : ppoll(&waiting, 1, NULL, &old);
	while (rc < 0 && errno == EINTR && !tool_stop_signal);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return !tool_stop_signal;
}

/** Hold a lock on the file that is to be replaced: nobody uses it, nobody begins to. */
static int lock_replaced(const char *named_as)
{
	struct vd_error err = VD_ERROR_INIT;
	int rc;

	if (access(final_path, R_OK) != 0)
		return TOOL_DONE; /* only the folder's rights count for replacing it */
	rc = vd_io_open_file(&replaced_io, final_path, 0, &err);
	if (!rc)
		rc = vd_io_lock(replaced_io, VD_IO_LOCK_EXCLUSIVE, &err);
	return rc == VD_EBUSY ? tool_fail(named_as, &err) : TOOL_DONE;
}

static int look_at_existing(const char *path, bool may_replace)
{
	if (!may_replace)
		return tool_say(TOOL_FAILED, path, "exists already; --force replaces it");
	/* A symbolic link stays; what it points to is replaced. */
	if (!realpath(path, final_path) || stat(final_path, &replaced) != 0)
		return tool_say(TOOL_FAILED, path, "%s", strerror(errno));
	if (!S_ISREG(replaced.st_mode))
		return tool_say(TOOL_FAILED, path,
				"isn't a regular file: it can't be replaced by an image");
	is_replacing = true;
	return lock_replaced(path);
}

static int open_folder(void)
{
	char *slash = strrchr(final_path, '/');
	char folder[PATH_MAX];

	final_name = slash ? slash + 1 : final_path;
	if (!slash)
		strcpy(folder, ".");
	else
		snprintf(folder, sizeof(folder), "%.*s", (int)(slash - final_path) + 1, final_path);
	if (*final_name == '\0')
		return tool_say(TOOL_USAGE, final_path, "names a folder, not a file");
	folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder_fd < 0) {
		int code = vd_code_from_errno(errno);

		return tool_say(tool_exit_for(code), final_path, "folder %s: %s", folder,
				strerror(errno));
	}
	return TOOL_DONE;
}

int tool_temp_begin(const char *path, bool may_replace)
{
	uint32_t tag;
	struct stat st;
	int exit_code;

	if (strlen(path) >= sizeof(final_path))
		return tool_say(TOOL_FAILED, path, "%s", strerror(ENAMETOOLONG));
	strcpy(final_path, path);
	if (lstat(path, &st) == 0) {
		exit_code = look_at_existing(path, may_replace);
		if (exit_code)
			return exit_code;
	}
	exit_code = open_folder();
	if (exit_code)
		return exit_code;
	do {
		if (getrandom(&tag, sizeof(tag), 0) != sizeof(tag))
			tag = (uint32_t)getpid();
		snprintf(temp_name, sizeof(temp_name), ".%.200s.%08" PRIx32 ".tmp", final_name,
			 tag);
	} while (fstatat(folder_fd, temp_name, &st, AT_SYMLINK_NOFOLLOW) == 0);
	snprintf(temp_path, sizeof(temp_path), "%.*s%s", (int)(final_name - final_path), final_path,
		 temp_name);
	has_temp = 1;
	return TOOL_DONE;
}

const char *tool_temp_path(void)
{
	return temp_path;
}

static void forget(void)
{
	has_temp = 0;
	vd_io_close(replaced_io);
	replaced_io = NULL;
	if (folder_fd >= 0)
		close(folder_fd);
	folder_fd = -1;
}

void tool_temp_abandon(void)
{
	if (has_temp)
		unlinkat(folder_fd, temp_name, 0);
	forget();
}

/** The new file is for the same people as the one that it replaces. */
static void take_over_rights(void)
{
	if (fchownat(folder_fd, temp_name, replaced.st_uid, replaced.st_gid, 0) != 0)
		tool_note("%s: owner and group of the old file can't be kept: %s", final_path,
			  strerror(errno));
	if (fchmodat(folder_fd, temp_name, replaced.st_mode & 07777, 0) != 0)
		tool_note("%s: access rights of the old file can't be kept: %s", final_path,
			  strerror(errno));
}

/** Rename, but not over a file that has come meanwhile. */
static int rename_new(void)
{
	if (renameat2(folder_fd, temp_name, folder_fd, final_name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	/* A file system that can't do it: a second name can't be made over an existing one. */
	if (linkat(folder_fd, temp_name, folder_fd, final_name, 0) != 0)
		return -1;
	return unlinkat(folder_fd, temp_name, 0);
}

static int give_name(void)
{
	sigset_t all, old;
	int rc, sys_errno;

	if (is_replacing)
		take_over_rights();
	caught_set(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	rc = is_replacing ? renameat(folder_fd, temp_name, folder_fd, final_name) : rename_new();
	sys_errno = errno;
	if (rc == 0)
		has_temp = 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0) {
		tool_temp_abandon();
		return tool_say(TOOL_FAILED, final_path, "can't be named so: %s",
				strerror(sys_errno));
	}
	return TOOL_DONE;
}

int tool_temp_commit_unsynced(void)
{
	int exit_code = give_name();

	forget();
	return exit_code;
}

int tool_temp_commit(void)
{
	int rc, sys_errno, exit_code = give_name();

	if (exit_code)
		return exit_code;
	rc = fsync(folder_fd);
	sys_errno = errno;
	forget();
	if (rc != 0 && sys_errno != EINVAL)
		return tool_say(TOOL_FAILED, final_path, "its folder can't be synced: %s",
				strerror(sys_errno));
	return TOOL_DONE;
}
