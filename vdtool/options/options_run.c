/* SPDX-License-Identifier: MIT */
/* The table's part about hosts and the machines that run there; see options.h. */
#include "option_rows.h"

const struct tool_option tool_host_options[] = {
    {OPT_SAVE, 0, VALUE_FILE, "save", "FILE", "write it to FILE (-: stdout), for --host",
     "A line \"field = value\" for each fact, an empty line behind each hypervisor, GPU and "
     "network "
     "card. FILE is replaced if it exists."},
    HOST,
    JSON,
    QUIET,
    HELP,
    END,
};

const struct tool_option tool_run_options[] = {
    {OPT_PRINT, 0, VALUE_NONE, "print", NULL, "print it; nothing is started", NULL},
    {OPT_FORMAT, 0, VALUE_CHOICE, "format", "qemu|libvirt", "what to print (default qemu)", NULL},
    {OPT_DISK, 0, VALUE_FILE, "disk", "FILE", "the disk is FILE, raw",
     "The file \"disk\" of a mount that can write (vdtool mount -w). QEMU reads only dynamic and "
     "fixed VHDX with sectors of 512 bytes itself, and libvirt none."},
    {OPT_NETWORK, 0, VALUE_PAIRS, "network", "NAME=HOW", "where a network leads (repeatable)",
     "NAME is a network of the image, or a card that names none. HOW is user (out through the "
     "host; "
     "the default), bridge:BRIDGE, tap:DEVICE, or none (a cable to nowhere)."},
    {OPT_ACCEL, 0, VALUE_CHOICE, "accel", "kvm|tcg", "default: kvm where the host has it", NULL},
    HOST,
    POLICED,
    SIDECAR,
    SOURCE_FORMAT(0),
    JSON,
    QUIET,
    HELP,
    END,
};
