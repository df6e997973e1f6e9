/* SPDX-License-Identifier: MIT */
/*
 * The FUSE door: an image as files below a mount point (libfuse's low-level API).
 *
 * Cache rules. The kernel's write-back cache stays off: a write that has returned has reached the
 * image's file (the host's page cache), and an fsync is a flush of the disk. So what a file system
 * on a loop device has flushed survives a kill of this process as it survives a power loss on a
 * disk. Pages that were read stay cached as long as nobody wrote the same bytes through another
 * name (owner_window_open tells).
 */
#ifndef VDFUSE_DOOR_H
#define VDFUSE_DOOR_H

#include "owner.h"

struct door_opts {
	const char *mount_point;  /* absolute */
	const char *fuse_options; /* for libfuse and the kernel, commas in between; "" */
	const char *source;       /* what mount(8) shows; NULL: the image's path */
	uid_t uid;
	gid_t gid;
	mode_t umask;
	bool allow_other, direct_io, no_splice, debug;
	unsigned int n_threads; /* 0: as libfuse thinks */
};

struct door;
/** Mount. Nothing is served yet. */
int door_open(struct door **out, struct owner *owner, const struct door_opts *opts,
	      struct vd_error *err);
/** Serve until it is unmounted or a signal comes. `ready` is called once the kernel talks to us. */
int door_serve(struct door *door, void (*ready)(void *user), void *user, struct vd_error *err);
/** Unmount if that has not happened yet: whoever waits for the mount then gets an error. */
void door_leave(struct door *door);
/** Nobody may ask the owner for a detach any more (owner_pause). NULL is allowed. */
void door_close(struct door *door);

#endif
