/* SPDX-License-Identifier: MIT */
/* The options of search; see options.h. */
#include "option_rows.h"

const struct tool_option tool_search_options[] = {
    {OPT_CATALOG, 0, VALUE_FILE, "catalog", "FILE", "ask a catalog, open no image",
     "What `vdtool catalog sync` wrote. PATHs then only narrow the answer to what lies below "
     "them."},
    {OPT_XPATH, 0, VALUE_TEXT, "xpath", "EXPR", "in place of QUERY: XPath over the documents",
     "XPath 1.0 with the names of categories as prefixes: //patches:open[@severity=\"critical\"]. "
     "An image fits if one of its documents gives a node, true, a number but 0, or some text. All "
     "operands are paths then."},
    {OPT_SORT, 0, VALUE_CHOICE, "sort", "path|name|size|modified",
     "in this order, not as they are found",
     "Bytewise by path or by its last part, smallest file first, oldest first; then by path. "
     "Nothing is printed before the end, and what was found is kept in memory."},
    {OPT_FORMAT, 0, VALUE_TEXT, "format", "FMT", "print FMT for each: %p, %{FIELD}, \\t, \\n",
     "%p is the path, %{FIELD} all values of a field with commas between them, %% a percent sign; "
     "\\t, \\n and \\\\ as usual, with no end of line but those. What could steer a terminal "
     "comes out as \\xNN."},
    {OPT_PRINT0, 0, VALUE_NONE, "print0", NULL, "print paths as they are, a NUL after each", NULL},
    {OPT_COUNT, 0, VALUE_NONE, "count", NULL, "print only how many there are", NULL},
    {OPT_EXEC, 0, VALUE_COMMAND, "exec", "CMD {}...", "run CMD for each; {} is its path",
     "Must come last: all that follows is the command, up to a \";\" at its end. One process an "
     "image, one after the other, without a shell; {} may be part of a word. If one of them "
     "fails, the exit code is 1."},
    {OPT_ONE_FS, 'x', VALUE_NONE, "one-file-system", NULL, "stay on the file systems of the PATHs",
     NULL},
    {OPT_EXCLUDE, 0, VALUE_GLOBS, "exclude", "GLOB", "leave out such files, folders (repeatable)",
     "Against the whole path if there is a slash in GLOB (* matches slashes too), else against "
     "each name. Operands aren't left out."},
    {OPT_AT, 0, VALUE_TEXT, "at", "TIME", "as if it were then: 2027-01-31, +90d",
     "What now means in QUERY."},
    {OPT_TIMEOUT, 0, VALUE_NUMBER, "timeout", "SECONDS", "for an image, at most (default 30)",
     "Then it is skipped, also if the file system doesn't answer at all."},
    {OPT_JOBS, 'j', VALUE_NUMBER, "jobs", "N", "images at once (default: as many as processors)",
     NULL},
    {OPT_STRICT, 0, VALUE_NONE, "strict", NULL, "exit 1 if something had to be skipped", NULL},
    SIDECAR,
    JSON,
    QUIET,
    HELP,
    END,
};
