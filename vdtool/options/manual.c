/* SPDX-License-Identifier: MIT */
/* Sections of vdtool(1) that belong to no subcommand; see options.h. */
#include "options.h"

const struct tool_exit_text tool_exit_texts[] = {
    {0, "done"},
    {1, "failed"},
    {2, "wrong usage, or not supported yet"},
    {3, "the image is corrupt, or breaks a rule (check, meta validate, log --verify)"},
    {4, "denied by rights, or by the folders that parents may come from"},
    {5, "in use by another process, which is named"},
    {6, "contents differ (compare, convert --verify, meta diff)"},
    {0, NULL},
};

const struct tool_section tool_sections[] = {
    {"SIZE",
     "A plain number is bytes. K, M, G, T, P, E (also KiB, MiB, ...) are powers of 1024; KB, MB, "
     "GB, ... are powers of 1000: 10G is 10 x 2^30 bytes, 10GB is 10 x 10^9. Decimals are allowed "
     "(1.5G) if the result is a whole number of bytes. Relative sizes (+5G) have no meaning in "
     "the subcommands that exist so far.",
     false},
    {"OUTPUT",
     "Text is for people and may change; JSON is for programs and its keys are stable. --json "
     "prints one array with one object per image, also for an image that could not be opened: it "
     "then has the keys path and error {code, text}. Sizes are in bytes. A path that isn't UTF-8 "
     "comes with U+FFFD for the bytes in question, and as path_b64. In text, control characters "
     "from names and images are shown as \\xNN.\n\n"
     "Errors go to standard error: the image, what was found and where, what can be done.",
     false},
    {"ENVIRONMENT",
     "VISUAL or EDITOR names the editor of meta edit; without them it is vi. TMPDIR is where the "
     "text "
     "that is edited lies meanwhile (default /tmp).",
     false},
    {"FILES",
     "New images are written as .NAME.XXXXXXXX.tmp in the folder of NAME and renamed when "
     "complete. A process that was killed with SIGKILL may leave such a file; it can be "
     "removed.\n\n"
     "IMAGE.vdmeta is the sidecar of an image that can't hold metadata itself: a small VHDX whose "
     "metadata it is. With --sidecar DIR it is DIR/NAME-XXXXXXXX.vdmeta, where XXXXXXXX comes from "
     "the "
     "path of the image.",
     false},
    {"EXAMPLES",
     "vdtool create disk.vhdx 40G\n"
     "vdtool create --parent base.vhdx child.vhdx\n"
     "vdtool inspect --json *.vhdx | jq '.[] | .path, .virtual_size'\n"
     "vdtool convert --verify disk.raw disk.vhdx\n"
     "vdtool convert disk.vhdx - | zstd > disk.raw.zst\n"
     "vdtool read --offset 1M --length 512 disk.vhdx | hexdump -C\n"
     "vdtool compare disk.vhdx disk.raw && echo same\n"
     "vdtool compact --dry-run disk.vhdx && vdtool compact disk.vhdx\n"
     "vdtool meta scan web.vhdx --files\n"
     "vdtool tag *.vhdx +web env=prod\n"
     "vdtool meta set web.vhdx hardware.memory=2G expires=+180d\n"
     "vdtool meta attach web.vhdx domain.xml",
     true},
    {"SEE ALSO", "qemu-img(1), vhdiinfo(1). The format: MS-VHDX, by Microsoft.", false},
    {NULL, NULL, false},
};
