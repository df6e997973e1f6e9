/* SPDX-License-Identifier: MIT */
/*
 * Who serves a disk mustn't wait for memory that only becomes free when that disk is written.
 * PR_SET_IO_FLUSHER tells the kernel so, but needs CAP_SYS_RESOURCE. Without it a daemon that
 * shares a small memory cgroup with those who write to its mount can come to wait for itself;
 * neither O_DIRECT nor locked memory helps, since the kernel's own needs are charged to the group,
 * too.
 */
#ifndef VDFUSE_PRESSURE_H
#define VDFUSE_PRESSURE_H

#include <stdbool.h>

/** Mark this process and the threads that it will start; false, and errno, if it may not. */
bool pressure_mark(void);
/** Is the memory of this process's cgroup, or of one above it, limited? */
bool pressure_is_limited(void);

#endif
