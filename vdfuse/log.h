/* SPDX-License-Identifier: MIT */
/* What vdfuse says: on stderr until it is in the background, to syslog from then on. */
#ifndef VDFUSE_LOG_H
#define VDFUSE_LOG_H

#include <stdbool.h>

#include <vdisk/error.h>

void log_to_syslog(void);
void log_debugging(bool on);
void log_error(const char *fmt, ...) VD_PRINTF(1, 2);
void log_note(const char *fmt, ...) VD_PRINTF(1, 2);
void log_debug(const char *fmt, ...) VD_PRINTF(1, 2);
/** "IMAGE: WHAT: text"; the text may begin with the image's name itself. `what` may be NULL. */
void log_failure(const char *image, const char *what, const struct vd_error *err);
/** To syslog, for those who watch over who does what (LOG_AUTH), whatever else is told where. */
void log_override(const char *fmt, ...) VD_PRINTF(1, 2);
/** The library's messages come here too. */
void log_hear_messages(void);

#endif
