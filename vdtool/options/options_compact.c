/* SPDX-License-Identifier: MIT */
/* The table's part about compaction; see options.h. */
#include "option_rows.h"

const struct tool_option tool_compact_options[] = {
    COMPACT_HOW,
    COMPACT_GUEST,
    {OPT_FREE_SPACE, 0, VALUE_NONE, "free-space", NULL,
     "also what clean file systems on the disk call free",
     "Changes what the disk reads there: to zero. Only while nobody else has the image, and never "
     "if another image in its folder has it as its parent. File systems that can't be read or "
     "weren't unmounted cleanly are named and left alone."},
    {OPT_QGA, 0, VALUE_FILE, "qga", "SOCKET", "have the guest trim first, by QEMU's agent",
     "SOCKET is the UNIX socket of the machine's guest agent. It runs fstrim on all file systems "
     "of the guest; if that fails, nothing is compacted."},
    PARENT_ROOT,
    SIDECAR,
    ACTOR,
    POLICED,
    SOURCE_FORMAT(0),
    PROGRESS,
    JSON,
    QUIET,
    HELP,
    END,
};
