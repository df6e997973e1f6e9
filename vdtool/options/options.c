/* SPDX-License-Identifier: MIT */
/* The table of subcommands and options; see options.h. Sections of the man page: manual.c. */
#include "option_rows.h"

static const struct tool_option create_options[] = {
    {OPT_FORMAT, 0, VALUE_CHOICE, "format", "vhdx|raw", "format of the new image (default vhdx)",
     NULL},
    TYPE,
    {OPT_PARENT, 0, VALUE_FILE, "parent", "IMAGE", "make a differencing image over IMAGE",
     "SIZE may be left out then. The parent must not change afterwards."},
    PARENT_ROOT,
    BLOCK_SIZE,
    {OPT_SECTOR_SIZE, 0, VALUE_CHOICE, "sector-size", "512|4096", "logical sectors (default 512)",
     NULL},
    {OPT_PHYSICAL_SECTOR_SIZE, 0, VALUE_CHOICE, "physical-sector-size", "512|4096",
     "physical sectors (default 4096)", NULL},
    UUID("disk id; makes the file reproducible",
	 "All other ids of the file derive from it, and a VHDX holds no times: equal options then "
	 "make equal files, with or without SOURCE_DATE_EPOCH. Without it ids are random."),
    FORCE,
    {OPT_HISTORY, 0, VALUE_NONE, "history", NULL, "begin the history of the image",
     "Without it the history begins with the first edit of metadata (meta, tag)."},
    ACTOR,
    JSON,
    QUIET,
    HELP,
    END,
};

static const struct tool_option inspect_options[] = {
    {OPT_BLOCKS, 0, VALUE_NONE, "blocks", NULL, "also count blocks by state",
     "Reads the whole BAT."},
    PARENT_ROOT,
    SIDECAR,
    SOURCE_FORMAT(0),
    JSON,
    QUIET,
    HELP,
    END,
};

static const struct tool_option check_options[] = {
    PARENT_ROOT, SOURCE_FORMAT(0), JSON, QUIET, HELP, END,
};

static const struct tool_option map_options[] = {
    {OPT_OFFSET, 'o', VALUE_SIZE, "offset", "SIZE", "begin here (default 0)", NULL},
    {OPT_LENGTH, 'l', VALUE_SIZE, "length", "SIZE", "so many bytes (default: to the end)", NULL},
    {OPT_NO_PARENTS, 0, VALUE_NONE, "no-parents", NULL, "show only what this file holds", NULL},
    PARENT_ROOT,
    SOURCE_FORMAT(0),
    JSON,
    QUIET,
    HELP,
    END,
};

static const struct tool_option convert_options[] = {
    {OPT_FORMAT, 'O', VALUE_CHOICE, "format", "vhdx|raw",
     "format of DST (default vhdx; for -: raw)", NULL},
    SOURCE_FORMAT('f'),
    TYPE,
    BLOCK_SIZE,
    {OPT_SECTOR_SIZE, 0, VALUE_CHOICE, "sector-size", "512|4096",
     "logical sectors (default: as SRC)", NULL},
    {OPT_PHYSICAL_SECTOR_SIZE, 0, VALUE_CHOICE, "physical-sector-size", "512|4096",
     "physical sectors (default: as SRC)", NULL},
    {OPT_SIZE, 0, VALUE_SIZE, "size", "SIZE", "size of the disk that comes on stdin",
     "Needed if SRC is - and a pipe: the size stands in the new image before its data."},
    {OPT_VERIFY, 0, VALUE_NONE, "verify", NULL, "compare with SRC before DST gets its name", NULL},
    {OPT_NO_SYNC, 0, VALUE_NONE, "no-sync", NULL, "leave DST to the kernel, as cp and qemu-img do",
     "Faster: vdtool ends while the kernel still writes. If the host crashes soon after, DST may "
     "be "
     "damaged, and an older one that --force has replaced is lost all the same."},
    PARENT_ROOT,
    UUID("disk id of DST (default: random)", NULL),
    FORCE,
    {OPT_NO_METADATA, 0, VALUE_NONE, "no-metadata", NULL, "leave the metadata of SRC behind", NULL},
    {OPT_SOURCE_SIDECAR, 0, VALUE_FOLDER, "source-sidecar", "DIR",
     "the metadata of SRC is in a file in DIR", NULL},
    SIDECAR,
    ACTOR,
    POLICED,
    PROGRESS,
    JSON,
    QUIET,
    HELP,
    END,
};

static const struct tool_option compare_options[] = {
    {OPT_STRICT, 's', VALUE_NONE, "strict", NULL, "disks of different sizes always differ",
     "Without it the longer disk may end in zeros."},
    SOURCE_FORMAT('f'),
    PARENT_ROOT,
    PROGRESS,
    JSON,
    QUIET,
    HELP,
    END,
};

static const struct tool_option read_options[] = {
    {OPT_OFFSET, 'o', VALUE_SIZE, "offset", "SIZE", "begin here (default 0)", NULL},
    {OPT_LENGTH, 'l', VALUE_SIZE, "length", "SIZE", "so many bytes (default: to the end)", NULL},
    SOURCE_FORMAT('f'),
    PARENT_ROOT,
    SIDECAR,
    POLICED,
    QUIET,
    HELP,
    END,
};

static const struct tool_option write_options[] = {
    {OPT_OFFSET, 'o', VALUE_SIZE, "offset", "SIZE", "begin here (default 0)", NULL},
    {OPT_LENGTH, 'l', VALUE_SIZE, "length", "SIZE", "so many bytes (default: all of stdin)",
     "If stdin ends before, that is an error."},
    SOURCE_FORMAT('f'),
    PARENT_ROOT,
    SIDECAR,
    ACTOR,
    POLICED,
    JSON,
    QUIET,
    HELP,
    END,
};

static const struct tool_option discard_options[] = {
    {OPT_OFFSET, 'o', VALUE_SIZE, "offset", "SIZE", "begin here", NULL},
    {OPT_LENGTH, 'l', VALUE_SIZE, "length", "SIZE", "so many bytes", NULL},
    SOURCE_FORMAT('f'),
    PARENT_ROOT,
    SIDECAR,
    ACTOR,
    POLICED,
    JSON,
    QUIET,
    HELP,
    END,
};

static const struct tool_option bench_options[] = {
    {OPT_COUNT, 'c', VALUE_NUMBER, "count", "N", "requests in all (default 75000)", NULL},
    {OPT_DEPTH, 'd', VALUE_NUMBER, "depth", "N", "requests in flight (default 64)",
     "By io_uring or, where that can't be had, by threads; with 1, by a plain loop."},
    {OPT_BUFFER_SIZE, 's', VALUE_SIZE, "buffer-size", "SIZE", "bytes a request (default 4096)",
     NULL},
    {OPT_STEP_SIZE, 'S', VALUE_SIZE, "step-size", "SIZE", "from one to the next (default: -s)",
     "At the end of the disk it goes on from the beginning; a request that would reach beyond the "
     "end is shorter."},
    {OPT_OFFSET, 'o', VALUE_SIZE, "offset", "SIZE", "of the first request (default 0)", NULL},
    {OPT_WRITE, 'w', VALUE_NONE, "write", NULL, "write instead of reading",
     "This overwrites the disk's content."},
    {OPT_PATTERN, 0, VALUE_BYTE, "pattern", "BYTE", "byte that is written (default 0)", NULL},
    {OPT_CACHE, 't', VALUE_CHOICE, "cache", "writeback|none|writethrough|directsync|unsafe",
     "host cache (default writeback)",
     "none and directsync go past the host's page cache (O_DIRECT), writethrough and directsync "
     "flush after each write, unsafe never flushes."},
    {OPT_FLUSH_INTERVAL, 0, VALUE_NUMBER, "flush-interval", "N", "flush after each N writes", NULL},
    {OPT_NO_DRAIN, 0, VALUE_NONE, "no-drain", NULL, "flush while other writes go on", NULL},
    {OPT_NATIVE, 'n', VALUE_NONE, "native", NULL, "native AIO: taken, but makes no difference",
     NULL},
    SOURCE_FORMAT('f'),
    PARENT_ROOT,
    SIDECAR,
    ACTOR,
    POLICED,
    JSON,
    QUIET,
    HELP,
    END,
};

const struct tool_command tool_commands[] = {
    {"create", "IMAGE [SIZE]", 1, 2, "make a new, empty image",
     "Makes a virtual disk of SIZE bytes that reads as zero. The file appears under its name when "
     "it is complete and synced; an existing one is replaced only with --force.",
     create_options, cmd_create, NULL, NULL, false},
    {"inspect", "IMAGE...", 1, -1, "show what an image is, and who has it open",
     "Shows format, sizes, ids, the chain of parents, the state of the log and who has the file "
     "open. Takes no lock and never reads payload, so it works on images in use. A parent that "
     "can't be opened is named with the reason; that isn't a failure.",
     inspect_options, cmd_inspect, NULL, NULL, false},
    {"check", "IMAGE...", 1, -1, "check every rule of the format",
     "Each finding names the section of the specification, what was found, where, and what was "
     "expected. Nothing is changed; a dirty log is replayed in memory.",
     check_options, cmd_check, NULL, NULL, false},
    {"map", "IMAGE...", 1, -1, "show where the data lies",
     "Extents of the virtual disk, in order. State: data (stored, at offset in the file at depth), "
     "zero (reads as zero, space may exist), hole (reads as zero, no space in the file), parent "
     "(not here, and the parent wasn't opened). Depth 0 is the image itself, 1 its parent. Takes "
     "no lock.",
     map_options, cmd_map, NULL, NULL, false},
    {"convert", "SRC DST", 2, 2, "copy a disk into a new image",
     "Holes and zeros of the source take no space in the copy. - stands for stdin or stdout (raw). "
     "The copy is written under a temporary name in its folder, synced (but see --no-sync), and "
     "then renamed; Ctrl-C leaves nothing behind. The source never changes. A size that isn't a "
     "multiple of the sector is rounded up with zeros, with a note. On file systems that can share "
     "extents, data isn't "
     "copied but shared. Metadata travels along, with its history: into a VHDX, or "
     "the sidecar of other formats.",
     convert_options, cmd_convert, NULL, NULL, false},
    {"compare", "A B", 2, 2, "compare the content of two disks",
     "Content counts, holes don't: exit 0 if all bytes are the same, 6 with the first offset that "
     "differs. The longer of two disks may end in zeros.",
     compare_options, cmd_compare, NULL, NULL, false},
    {"read", "IMAGE", 1, 1, "bytes of the disk to stdout",
     "Writes [offset, offset + length) of the virtual disk to standard output.", read_options,
     cmd_read, NULL, NULL, false},
    {"write", "IMAGE", 1, 1, "bytes from stdin to the disk",
     "Writes standard input to the virtual disk, then flushes it. Ctrl-C stops between two pieces "
     "and closes the image properly; what was written until then stays.",
     write_options, cmd_write, NULL, NULL, false},
    {"discard", "IMAGE", 1, 1, "give back space, as a guest's TRIM does",
     "The range isn't needed any more: whole blocks then read as zero and their space goes back to "
     "the host. Both --offset and --length must be given.",
     discard_options, cmd_discard, NULL, NULL, false},
    {"meta", "VERB IMAGE ...", 1, -1, "documents, fields and files that an image carries",
     "Metadata lies in the image itself (VHDX), or beside it in IMAGE.vdmeta (raw), and is read "
     "without touching the disk's content. Documents are XML with a schema each, one a category; "
     "their contents go by the names of fields (vdtool fields). Editing begins a history of the "
     "image (vdtool log).",
     tool_no_options, NULL, tool_meta_verbs, NULL, false},
    {"tag", "IMAGE... [EDIT...]", 1, -1, "show or change tags: +word key=value -word",
     "Without an EDIT the tags are shown. +WORD adds a word, KEY=VALUE or +KEY=VALUE sets a "
     "pair in place of others of that key, -WORD removes a word, or the pair of that key, "
     "-KEY=VALUE only that pair. Edits begin at the first operand that starts with + or - or "
     "holds =; put ./ before a file of such a name. Options must stand before the first operand. "
     "All edits of an image are made, or none.",
     tool_tag_options, cmd_tag, NULL, NULL, true},
    {"log", "IMAGE...", 1, -1, "what was done to an image (also: history)",
     "Shows the history, oldest entry first. Each entry holds the digest of the one before. "
     "--verify recomputes them, and exits with 3 if one is wrong. That proves that nothing was "
     "changed by accident; who changes an entry and recomputes all that follow isn't noticed.",
     tool_log_options, cmd_log, NULL, "history", false},
    {"fields", "[NAME...]", 0, -1, "the fields that can be set, shown and asked",
     "Each field with its type, the category of documents that holds it, and its meaning; with "
     "NAME only those fields, or those of a category. Fields of (image) and (host) stand in no "
     "document: searches and policies ask them.",
     tool_fields_options, cmd_fields, NULL, NULL, false},
    {"search", "QUERY PATH...", 0, -1, "find images by what they say of themselves",
     "Looks into each image at or below the PATHs, several at once, and prints those that fit "
     "QUERY, with what made them fit. Only metadata is read, no payload and no BAT, and no lock "
     "is taken. QUERY is made of words, FIELD:VALUE, comparisons, AND, OR, NOT and parentheses: "
     "tag:env=prod AND package:openssl<3.0.12. vdtool fields lists the fields; the language is "
     "specified in docs/search.md.\n\n"
     "In folders, files that end in .vhdx, .avhdx, .raw or .img are images, those that have "
     "a sidecar, and others that begin as a VHDX does. Symbolic links below a PATH aren't "
     "followed. "
     "Images and folders that can't be read are told on standard error and skipped. Exit 0 if "
     "something was found, 6 if not; --strict makes it 1 if something was skipped.",
     tool_search_options, cmd_search, NULL, NULL, false},
    {"catalog", "VERB ...", 1, -1, "an index of many images, for search --catalog",
     "What 100,000 images say, in one file: searches ask it in milliseconds. It holds nothing that "
     "the images don't: when it is gone, sync makes it anew.",
     tool_no_options, NULL, tool_catalog_verbs, NULL, false},
    {"policy", "VERB ...", 1, -1, "may it be done with that image? rules and reasons",
     "Before an image is run, mounted, converted, exported, compacted or edited, rules are asked: "
     "those of a site, from files in a folder, and then built-in ones about damaged metadata, "
     "validity, hardware, host and open vulnerabilities. The language of rules is specified in "
     "docs/policy.md.",
     tool_no_options, NULL, tool_policy_verbs, NULL, false},
    {"bench", "IMAGE", 1, 1, "time reads or writes",
     "Request sizes and order as qemu-img bench has them. Prints the time, the engine that ran and "
     "a checksum of what was read, which depends on content and requests only. The time of a write "
     "benchmark includes a flush at the end.",
     bench_options, cmd_bench, NULL, NULL, false},
    {"compact", "IMAGE...", 1, -1, "make an image file smaller, also one in use",
     "Gives back blocks that hold nothing, moves what lies behind into the gaps, and cuts the "
     "file; "
     "what a guest reads stays the same. Needs no second file; beside "
     "guests at most one block of extra space, else no more than that and the length of the log. "
     "An image that vdfuse(1) has open is compacted by that process, while it is in use; Ctrl-C "
     "cancels that. Stopping it at any time leaves a good image, and running it again goes on from "
     "there. What is reported as gained is space of the host, not only length of the file.",
     tool_compact_options, cmd_compact, NULL, NULL, false},
    {"mount", "IMAGE MOUNTPOINT", 2, 2, "the disk as a file, for other programs",
     "Runs vdfuse(1), which shows the virtual disk as MOUNTPOINT/disk, its partitions as p1, p2 "
     "and "
     "so on, and its metadata below meta/; read-only unless -w is given. Returns when the mount "
     "works.",
     tool_mount_options, cmd_mount, NULL, NULL, false},
    {"umount", "MOUNTPOINT...", 1, -1, "end a mount, wait until the image is closed",
     "Unlike umount(8) it waits for the last flush, and fails if that fails. IMAGE will do in "
     "place "
     "of MOUNTPOINT. Exit 5 while files of "
     "the mount are open.",
     tool_umount_options, cmd_umount, NULL, NULL, false},
    {"ctl", "IMAGE [REQUEST]", 1, -1,
     "ask who has the image: status, detach, scrub, compact, cancel, generation, meta",
     "REQUEST is status (the default), detach, cancel, scrub, compact, generation (the head of a "
     "layout for compact --layout), or meta list, meta get FIELD, "
     "meta set FIELD=VALUE... Long work is followed to its end; Ctrl-C cancels it. scrub reads all "
     "that is stored. Exit 5 if the image is in use by a process that has no control channel, or "
     "on "
     "another host.",
     tool_ctl_options, cmd_ctl, NULL, NULL, false},
    {"host", "", 0, 0, "what this machine is and has, as policies see it",
     "Architecture, processor, memory, firmware, OS, hypervisors, GPUs and networks, from the "
     "files "
     "of the kernel and the OS; no program is started. What --save writes stands for this machine "
     "elsewhere: --host FILE of policy and run.",
     tool_host_options, cmd_host, NULL, NULL, false},
    {"run", "--print IMAGE", 1, 1, "the machine that an image asks for, for QEMU or libvirt",
     "Prints a command line of QEMU or the XML of a libvirt domain, made of what the image says of "
     "hardware and networks, after the policy has allowed the action run. Of several alternatives "
     "the one is taken that fits the host best. What the image doesn't say is told on stderr, with "
     "what was taken instead. Nothing is started, locked or written. Only with --print.",
     tool_run_options, cmd_run, NULL, NULL, false},
    {NULL, NULL, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, false},
};

const char *const tool_later[] = {
    "resize", "snapshot", "merge", "rebase", "key", "sign", "verify", "rights", "clone", NULL,
};
