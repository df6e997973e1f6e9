/* SPDX-License-Identifier: MIT */
/* How far a long run has come, on stderr: a bar for people, lines for logs, JSON for programs. */
#ifndef VDTOOL_PROGRESS_H
#define VDTOOL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "options/options.h"

enum tool_progress_mode { PROGRESS_NONE, PROGRESS_BAR, PROGRESS_PLAIN, PROGRESS_JSON };

struct tool_progress {
	enum tool_progress_mode mode;
	const char *verb; /**< "converting" */
	uint64_t total;
	double start, last;
	bool is_shown; /**< there is a bar on the screen */
};

void tool_progress_begin(struct tool_progress *progress, const struct tool_args *args,
			 const char *verb, uint64_t total);
void tool_progress_update(struct tool_progress *progress, uint64_t done);
/** So many of what nobody can count before: "1204 images, WHAT". */
void tool_progress_count(struct tool_progress *progress, uint64_t done, const char *unit,
			 const char *what);
/** Take the bar away, before something else is printed on stderr. */
void tool_progress_clear(struct tool_progress *progress);
/** Clears the bar. Before anything else is printed, and at the end. */
void tool_progress_end(struct tool_progress *progress);

#endif
