/* SPDX-License-Identifier: MIT */
/* The table's part about catalogs; see options.h. */
#include "option_rows.h"

#define CATALOG                                                                                    \
	{                                                                                          \
		OPT_CATALOG, 0, VALUE_FILE, "catalog", "FILE", "the catalog",                      \
		    "A database of SQLite in one file, made by the first sync, for its owner "     \
		    "only."                                                                        \
	}

static const struct tool_option sync_options[] = {
    CATALOG,
    {OPT_ONE_FS, 'x', VALUE_NONE, "one-file-system", NULL, "stay on the file systems of the DIRs",
     NULL},
    {OPT_EXCLUDE, 0, VALUE_GLOBS, "exclude", "GLOB", "leave out such files, folders (repeatable)",
     "As in search. What is left out and was known before leaves the catalog."},
    {OPT_RETRY, 0, VALUE_NONE, "retry", NULL, "also read again what couldn't be read",
     "Without it, an image that was unreadable is read again when it has changed."},
    {OPT_STRICT, 0, VALUE_NONE, "strict", NULL, "exit 1 if something can't be read", NULL},
    {OPT_JOBS, 'j', VALUE_NUMBER, "jobs", "N", "images at once (default: as many as processors)",
     NULL},
    PROGRESS,
    JSON,
    QUIET,
    HELP,
    END,
};
static const struct tool_option status_options[] = {CATALOG, JSON, QUIET, HELP, END};

const struct tool_command tool_catalog_verbs[] = {
    {"catalog sync", "DIR...", 1, -1, "bring the catalog up to what is below the folders",
     "Reads images that are new or have changed, by their inode, size and times and those of their "
     "sidecars; the others aren't opened. Images that were moved are noticed; those that are gone "
     "leave the catalog, unless their folder can't be read or its file system isn't mounted. "
     "Ctrl-C keeps what was done; the next sync goes on. Searches may go on meanwhile.",
     sync_options, cmd_catalog_sync, NULL, NULL, false},
    {"catalog status", "", 0, 0, "what the catalog holds, and since when",
     "Images, those that couldn't be read and why, and when each folder was synced last.",
     status_options, cmd_catalog_status, NULL, NULL, false},
    {"catalog prune", "", 0, 0, "drop images that aren't there any more, and free the space",
     "Looks at the path of each image, wherever it is: have everything mounted. Then values and "
     "paths that no image has any more are removed, and the file is made as small as it can be.",
     status_options, cmd_catalog_prune, NULL, NULL, false},
    {NULL, NULL, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, false},
};
