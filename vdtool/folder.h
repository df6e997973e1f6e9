/* SPDX-License-Identifier: MIT */
/*
 * A folder of files: one that appears whole or not at all when it is written, and one of somebody
 * else's that is read without being led out of it.
 */
#ifndef VDTOOL_FOLDER_H
#define VDTOOL_FOLDER_H

#include <limits.h>
#include <stddef.h>

struct tool_folder {
	int fd;
	char path[PATH_MAX];
	char temp[PATH_MAX + 32]; /**< where it is written until it gets its name; "" if read */
};

/** Begin a new folder. It must not exist. Returns an exit code, after saying what is wrong. */
int tool_folder_create(struct tool_folder *folder, const char *path);
/** A new file in it, in sub-folders that are made as needed. The descriptor, or -errno. `name` is a
 *  plain path (tool_is_plain_path). */
int tool_folder_new_file(struct tool_folder *folder, const char *name);
/** Give it its name. Returns an exit code, after saying. */
int tool_folder_commit(struct tool_folder *folder);
/** Remove all that was written. */
void tool_folder_abandon(struct tool_folder *folder);

/** Open an existing one. Returns an exit code, after saying. */
int tool_folder_open(struct tool_folder *folder, const char *path);
/** A regular file in it, without following a symbolic link. The descriptor, or -errno. */
int tool_folder_open_file(struct tool_folder *folder, const char *name);
void tool_folder_close(struct tool_folder *folder);

#endif
