/* SPDX-License-Identifier: MIT */
/* The table's part about images in use: options of mount, umount, ctl; see options.h. */
#include "option_rows.h"

const struct tool_option tool_mount_options[] = {
    {OPT_READ_WRITE, 'w', VALUE_NONE, "read-write", NULL, "mount for writing too",
     "Without it nothing can change the image."},
    {OPT_MOUNT_OPTIONS, 'o', VALUE_TEXT, "options", "OPTION[,...]", "options of vdfuse(1)", NULL},
    {OPT_FOREGROUND, 'f', VALUE_NONE, "foreground", NULL, "stay in the foreground", NULL},
    SOURCE_FORMAT(0),
    PARENT_ROOT,
    POLICED,
    QUIET,
    HELP,
    END,
};

const struct tool_option tool_umount_options[] = {
    {OPT_LAZY, 'l', VALUE_NONE, "lazy", NULL, "also while files of the mount are open",
     "What isn't flushed by those who have them open is lost, as when a disk is pulled out."},
    QUIET,
    HELP,
    END,
};

const struct tool_option tool_ctl_options[] = {
    COMPACT_HOW, COMPACT_GUEST, OVERRIDE, PROGRESS, JSON, QUIET, HELP, END,
};
