/* SPDX-License-Identifier: MIT */
/* Going into the background once all works, and telling the service manager. */
#ifndef VDFUSE_BACKGROUND_H
#define VDFUSE_BACKGROUND_H

#include <stdbool.h>

/** Fork. The child returns; the parent stays until the child is ready or has failed, and exits
 *  with its exit code. Before anything is opened: an image belongs to one process. */
void background_begin(void);
/** All works: the parent may go, and words go to syslog from now on. Nothing without
 *  background_begin. */
void background_ready(void);
/** A line for the service manager (sd_notify's protocol), if there is one. */
void background_notify(const char *state);

#endif
