/* SPDX-License-Identifier: MIT */
/*
 * Outputs that appear whole or not at all: written under a temporary name in the folder of their
 * final name, then renamed. A process has at most one. Signals that end the process remove it.
 */
#ifndef VDTOOL_TEMPFILE_H
#define VDTOOL_TEMPFILE_H

#include <signal.h>
#include <stdbool.h>

/** SIGINT, SIGTERM, SIGHUP, SIGPIPE remove the temporary file and exit with 128+n. */
void tool_signals_catch(void);
/** From now on the first of these signals only sets tool_stop_signal, the second one exits. */
void tool_signals_defer(void);
extern volatile sig_atomic_t tool_stop_signal;
/** Wait until `fd` can be read, or tool_stop_signal is set: then false. */
bool tool_wait_readable(int fd);

/**
 * Choose the temporary name for `path`. An existing file is refused unless `may_replace`, and in
 * any case while another process uses it. Returns an exit code, after saying what is wrong.
 */
int tool_temp_begin(const char *path, bool may_replace);
/** Where to make the file. It doesn't exist yet. */
const char *tool_temp_path(void);
/** Give the file its name, and make that durable. Returns an exit code, after saying. */
int tool_temp_commit(void);
/** Give it its name, and leave the rest to the kernel: a crash may undo it. */
int tool_temp_commit_unsynced(void);
/** Remove it, if there is one. */
void tool_temp_abandon(void);

#endif
