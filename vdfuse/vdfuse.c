/* SPDX-License-Identifier: MIT */
/*
 * vdfuse: an image as files. Opens it (owner.h), mounts it (door.h), lets others talk to it (the
 * control channel), and on unmounting or SIGTERM flushes and closes it. Manual: vdfuse(1).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "background.h"
#include "door.h"
#include "fuse_options.h"
#include "log.h"
#include "owner.h"
#include "pressure.h"

static const char help[] =
    "Usage: vdfuse [OPTIONS] IMAGE MOUNTPOINT\n"
    "\n"
    "Shows the virtual disk as MOUNTPOINT/disk, its partitions as p1, p2 ..., its metadata\n"
    "below meta/, and what it is in info.json. Read-only unless -o rw is given.\n"
    "\n"
    "  -o OPTION[,OPTION...]   rw, ro; uid=N, gid=N, umask=OCTAL; allow_other; format=NAME;\n"
    "                          parent-root=DIR (repeatable); policy=DIR; override=REASON;\n"
    "                          direct_io; threads=N; no_control;\n"
    "                          and mount options that the kernel knows (nosuid, noexec ...)\n"
    "      --parent-root DIR   parents may lie beneath DIR too (repeatable)\n"
    "      --source-format F   what the image is (vhdx, raw), instead of probing it\n"
    "      --policy DIR        rules are in DIR (default /etc/vdisk/policy.d)\n"
    "      --override REASON   mount although a rule denies it\n"
    "  -f, --foreground        stay in the foreground\n"
    "  -d                      tell each request on stderr; implies -f\n"
    "  -h, --help              show this\n"
    "  -V, --version           show the version\n"
    "\n"
    "To unmount: umount MOUNTPOINT, fusermount3 -u MOUNTPOINT, or vdtool umount, which waits\n"
    "until the image is closed. Exit: 0 done, 1 failed, 2 usage, 3 corrupt, 4 denied, 5 in use.\n";

static int exit_for(int code)
{
	switch (code) {
	case VD_OK:
		return 0;
	case VD_EINVAL:
		return 2;
	case VD_ECORRUPT:
		return 3;
	case VD_EDENIED:
		return 4;
	case VD_EBUSY:
		return 5;
	default:
		return 1;
	}
}

static int fail(const char *image, const struct vd_error *err)
{
	log_failure(image, NULL, err);
	return exit_for(err->code);
}

static void on_ready(void *user)
{
	(void)user;
	background_notify("READY=1");
	background_ready();
}

/* A closed stdin, stdout or stderr would let an image's descriptor take its number. */
static void fill_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

static int make_absolute(char **path, const char *given)
{
	struct statvfs fs;
	struct stat st;

	*path = realpath(given, NULL);
	/* What stat says may be remembered; statvfs asks who serves it, if he is still there. */
	if (*path && !statvfs(*path, &fs) && !stat(*path, &st) && S_ISDIR(st.st_mode))
		return 0;
	log_error("mount point %s: %s%s", given,
		  *path && errno != ENOTCONN ? "not a folder" : strerror(errno),
		  errno == ENOTCONN ? " (a vdfuse that has ended left it: umount it first)" : "");
	free(*path);
	*path = NULL;
	return 1;
}

static int serve(struct owner *owner, const struct fuse_options *o, const char *mount_point)
{
	struct door_opts opts = {.mount_point = mount_point,
				 .fuse_options = o->pass_on ? o->pass_on : "",
				 .source = o->source,
				 .uid = o->uid,
				 .gid = o->gid,
				 .umask = o->umask,
				 .allow_other = o->allow_other,
				 .direct_io = o->direct_io,
				 .no_splice = o->no_splice,
				 .debug = o->is_debugging,
				 .n_threads = o->n_threads};
	struct vd_error err = VD_ERROR_INIT;
	struct door *door;
	int rc;

	rc = door_open(&door, owner, &opts, &err);
	if (rc)
		return fail(o->image, &err);
	if (!o->no_control && owner_listen(owner, &err))
		log_note("%s: no control channel: %s", o->image, err.text);
	rc = door_serve(door, on_ready, NULL, &err);
	background_notify("STOPPING=1");
	door_leave(door);
	owner_pause(owner);
	door_close(door);
	return rc ? fail(o->image, &err) : 0;
}

/* Memory for us mustn't be had by writing to the disk that we serve. */
static void prepare_for_pressure(const struct fuse_options *o)
{
	if (pressure_mark())
		return;
	log_debug("PR_SET_IO_FLUSHER: %s", strerror(errno));
	if (pressure_is_limited())
		log_note("%s: the memory of this process is limited and CAP_SYS_RESOURCE is "
			 "missing: if those who write to the mount share its cgroup, all of them "
			 "may wait for each other for ever; give it a cgroup of its own",
			 o->image);
}

static int run(const struct fuse_options *o)
{
	struct owner_opts opts = {.path = o->image,
				  .is_writable = o->is_writable,
				  .format = o->format,
				  .parent_roots = (const char *const *)o->parent_roots,
				  .n_parent_roots = o->n_parent_roots,
				  .sidecar_dir = o->sidecar_dir,
				  .policy_dir = o->policy_dir,
				  .override_reason = o->override_reason};
	struct vd_error err = VD_ERROR_INIT;
	char *mount_point, *path;
	struct owner *owner;
	int exit_code, rc;

	if (make_absolute(&mount_point, o->mount_point))
		return 1;
	if (o->is_writable)
		prepare_for_pressure(o);
	rc = owner_open(&owner, &opts, &err);
	if (rc) {
		free(mount_point);
		return fail(o->image, &err);
	}
	path = strdup(owner_path(owner));
	exit_code = serve(owner, o, mount_point);
	rc = owner_close(owner, &err);
	if (rc)
		exit_code = fail(path ? path : o->image, &err);
	free(path);
	free(mount_point);
	return exit_code;
}

int main(int argc, char **argv)
{
	struct fuse_options options;
	int exit_code;

	fill_standard_descriptors();
	log_hear_messages();
	signal(SIGPIPE, SIG_IGN);
	exit_code = fuse_options_parse(&options, argc, argv);
	if (!exit_code && options.wants_help) {
		fputs(help, stdout);
	} else if (!exit_code && options.wants_version) {
		printf("vdfuse %s\n", vd_version());
	} else if (!exit_code) {
		log_debugging(options.is_debugging);
		if (!options.is_foreground)
			background_begin();
		exit_code = run(&options);
	}
	fuse_options_free(&options);
	return exit_code;
}
