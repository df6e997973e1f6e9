/* SPDX-License-Identifier: MIT */
/* The session: mounting, the loop, unmounting. */
#include "door_own.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"

extern char **environ;

int door_errno(int code)
{
	switch (code) {
	case VD_OK:
		return 0;
	case VD_EINVAL:
	case VD_ERANGE:
		return EINVAL;
	case VD_ENOMEM:
		return ENOMEM;
	case VD_ENOSPC:
		return ENOSPC;
	case VD_EUNSUPPORTED:
		return EOPNOTSUPP;
	case VD_EDENIED:
		return EACCES;
	case VD_EBUSY:
		return EBUSY;
	case VD_ENOENT:
		return ENOENT;
	case VD_EEXIST:
		return EEXIST;
	case VD_EROFS:
		return EROFS;
	case VD_ETIMEDOUT:
		return ETIMEDOUT;
	default:
		return EIO;
	}
}

void door_refuse(fuse_req_t req, const char *what, int code, const struct vd_error *err)
{
	const char *path = owner_path(door_of(req)->owner);
	int sys_errno = door_errno(code);

	if (sys_errno == EIO || sys_errno == ENOSPC || sys_errno == ENOMEM)
		log_failure(path, what, err);
	else
		log_debug("%s: %s", what, err->text);
	fuse_reply_err(req, sys_errno);
}

static void want(struct fuse_conn_info *conn, unsigned int caps)
{
	conn->want |= conn->capable & caps;
}

static void on_init(void *user, struct fuse_conn_info *conn)
{
	struct door *door = user;

	/* A device isn't cut to nothing because somebody opens it to write. Its caches are ours to
	 * judge, not the times'. And requests come in memory: from a pipe they would be copied as
	 * often, with more calls. */
	conn->want &= ~(unsigned int)(FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_AUTO_INVAL_DATA |
				      FUSE_CAP_SPLICE_READ | FUSE_CAP_WRITEBACK_CACHE);
	if (!door->opts.no_splice)
		want(conn, FUSE_CAP_SPLICE_WRITE);
	want(conn, FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO | FUSE_CAP_PARALLEL_DIROPS);
	conn->max_write = 1 << 20;
	conn->max_background = 64;
	conn->congestion_threshold = 48;
	if (door->ready)
		door->ready(door->ready_user);
}

static const struct fuse_lowlevel_ops door_ops = {
    .init = on_init,
    .lookup = door_lookup,
    .getattr = door_getattr,
    .setattr = door_setattr,
    .readdir = door_readdir,
    .statfs = door_statfs,
    .open = door_open_file,
    .flush = door_flush_file,
    .release = door_release_file,
    .read = door_read,
    .lseek = door_lseek,
    .write_buf = door_write_buf,
    .fsync = door_fsync,
    .fallocate = door_fallocate,
};

/* libfuse takes a comma for the end unless a backslash stands before it. */
static void append_escaped(FILE *f, const char *text)
{
	for (; *text; text++) {
		if (*text == ',' || *text == '\\')
			fputc('\\', f);
		fputc(*text, f);
	}
}

static char *session_options(const struct door *door)
{
	const struct door_opts *o = &door->opts;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	fprintf(f, "default_permissions,subtype=vdfuse,%s%s%s,fsname=",
		owner_is_writable(door->owner) ? "rw" : "ro", o->allow_other ? ",allow_other" : "",
		o->debug ? ",debug" : "");
	append_escaped(f, o->source ? o->source : owner_path(door->owner));
	if (o->fuse_options[0])
		fprintf(f, ",%s", o->fuse_options);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}

/* What is mounted at a path, without asking who serves it; 0: that can't be told. */
static dev_t device_at(const char *path)
{
	struct statx st;

	if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &st))
		return 0;
	return makedev(st.stx_dev_major, st.stx_dev_minor);
}

static int start_session(struct door *door, struct vd_error *err)
{
	char *options = session_options(door);
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);

	if (!options || fuse_opt_add_arg(&args, "vdfuse") || fuse_opt_add_arg(&args, "-o") ||
	    fuse_opt_add_arg(&args, options)) {
		free(options);
		fuse_opt_free_args(&args);
		return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
	}
	door->session = fuse_session_new(&args, &door_ops, sizeof(door_ops), door);
	free(options);
	fuse_opt_free_args(&args);
	if (!door->session)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "libfuse doesn't take these mount options");
	if (fuse_set_signal_handlers(door->session))
		return vd_error_set(err, VD_EIO, errno, VD_NO_OFFSET, "signal handlers: %s",
				    strerror(errno));
	errno = 0;
	if (fuse_session_mount(door->session, door->mount_point))
		return vd_error_set(err, errno == EPERM || errno == EACCES ? VD_EDENIED : VD_EIO,
				    errno, VD_NO_OFFSET, "can't be mounted on %s%s%s",
				    door->mount_point, errno ? ": " : "",
				    errno ? strerror(errno) : "");
	door->device = device_at(door->mount_point);
	return 0;
}

/* As an ordinary user, through the helper that may. */
static int unmount_by_helper(const char *mount_point, bool lazy)
{
	const char *argv[] = {"fusermount3", "-u", "-q", lazy ? "-z" : "--", mount_point, NULL};
	posix_spawnattr_t attr;
	sigset_t none;
	int status = -1;
	pid_t pid;

	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	if (!posix_spawnp(&pid, "fusermount3", NULL, &attr, (char *const *)argv, environ))
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	posix_spawnattr_destroy(&attr);
	return status;
}

/* Is what lies at the mount point ours? Not if ours was moved, or another was mounted over it. */
static bool is_in_place(const struct door *door)
{
	struct pollfd p = {.fd = fuse_session_fd(door->session)};

	/* An error: it is unmounted already, and the end is near. */
	return !door->device || device_at(door->mount_point) == door->device ||
	       (poll(&p, 1, 0) == 1 && (p.revents & (POLLERR | POLLNVAL)));
}

static int detach(void *user, bool lazy, struct vd_error *err)
{
	struct door *door = user;
	int failed = 0;

	if (!is_in_place(door))
		return vd_error_set(err, VD_EBUSY, 0, VD_NO_OFFSET,
				    "what lies at %s now isn't this mount: that was moved, or "
				    "something is mounted over it; unmount that first, or this one "
				    "by umount(8)",
				    door->mount_point);
	if (umount2(door->mount_point, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)))
		failed = errno;
	if (failed == EPERM && !unmount_by_helper(door->mount_point, lazy))
		failed = 0;
	else if (failed == EPERM)
		failed = EBUSY;
	if (!failed || failed == EINVAL) /* EINVAL: somebody else was quicker */
		return 0;
	if (failed == EBUSY)
		return vd_error_set(err, VD_EBUSY, failed, VD_NO_OFFSET,
				    "%s is in use: files below it are open (by a loop device, "
				    "perhaps)",
				    door->mount_point);
	return vd_error_set(err, vd_code_from_errno(failed), failed, VD_NO_OFFSET,
			    "%s can't be unmounted: %s", door->mount_point, strerror(failed));
}

int door_open(struct door **out, struct owner *owner, const struct door_opts *opts,
	      struct vd_error *err)
{
	struct door *door = calloc(1, sizeof(*door));
	struct owner_door to_owner = {.kind = "fuse", .user = door, .detach = detach};
	int rc;

	if (door)
		door->mount_point = strdup(opts->mount_point);
	if (!door || !door->mount_point) {
		free(door);
		return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
	}
	door->owner = owner;
	door->disk = owner_disk(owner);
	door->image = *owner_stat(owner);
	door->opts = *opts;
	pthread_mutex_init(&door->lock, NULL);
	rc = start_session(door, err);
	if (rc) {
		door_close(door);
		return rc;
	}
	to_owner.mount_point = door->mount_point;
	owner_set_door(owner, &to_owner);
	*out = door;
	return 0;
}

int door_serve(struct door *door, void (*ready)(void *user), void *user, struct vd_error *err)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int rc;

	if (!config)
		return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
	door->ready = ready;
	door->ready_user = user;
	fuse_loop_cfg_set_clone_fd(config, 0);
	fuse_loop_cfg_set_max_threads(config, door->opts.n_threads ? door->opts.n_threads : 16);
	/* > 0: a signal; < 0: the loop failed */
	rc = fuse_session_loop_mt(door->session, config);
	fuse_loop_cfg_destroy(config);
	if (rc < 0)
		return vd_error_set(err, VD_EIO, -rc, VD_NO_OFFSET, "the FUSE loop ended: %s",
				    strerror(-rc));
	return 0;
}

void door_leave(struct door *door)
{
	fuse_session_unmount(door->session);
}

void door_close(struct door *door)
{
	static const struct owner_door nothing;

	if (!door)
		return;
	if (door->session) {
		fuse_session_unmount(door->session);
		fuse_remove_signal_handlers(door->session);
		fuse_session_destroy(door->session);
	}
	owner_set_door(door->owner, &nothing);
	door_free_handles(door);
	for (size_t i = 0; i < door->n_names; i++)
		free(door->names[i]);
	free(door->names);
	pthread_mutex_destroy(&door->lock);
	free(door->mount_point);
	free(door);
}
