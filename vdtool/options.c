/* SPDX-License-Identifier: MIT */
/* The table of subcommands and options; see options.h. Sections of the man page: manual.c. */
#include "options.h"

#define HELP                                                                                       \
	{                                                                                          \
		OPT_HELP, 'h', VALUE_NONE, "help", NULL, "show this", NULL                         \
	}
#define QUIET                                                                                      \
	{                                                                                          \
		OPT_QUIET, 'q', VALUE_NONE, "quiet", NULL, "no notes, no progress", NULL           \
	}
#define JSON                                                                                       \
	{                                                                                          \
	    OPT_JSON, 0, VALUE_NONE, "json", NULL, "print JSON: one array, an object per image",   \
	    NULL},                                                                                 \
	{                                                                                          \
		OPT_JSONL, 0, VALUE_NONE, "jsonl", NULL, "print JSON: an object a line, as found", \
		    NULL                                                                           \
	}
#define PARENT_ROOT                                                                                \
	{                                                                                          \
		OPT_PARENT_ROOT, 0, VALUE_FOLDERS, "parent-root", "DIR",                           \
		    "parents may lie beneath DIR too (repeatable)",                                \
		    "Without it, parents are opened only beneath the folder of the image that is " \
		    "named on the command line. Neither .. nor absolute paths nor symbolic links " \
		    "lead out of these folders."                                                   \
	}
#define SOURCE_FORMAT(letter)                                                                      \
	{                                                                                          \
		OPT_SOURCE_FORMAT, letter, VALUE_CHOICE, "source-format", "vhdx|raw",              \
		    "what the image is, instead of probing it",                                    \
		    "An image without a known signature is probed as raw. With raw given here, "   \
		    "any file is taken as it is."                                                  \
	}
#define PROGRESS                                                                                   \
	{                                                                                          \
		OPT_PROGRESS, 0, VALUE_CHOICE, "progress", "auto|plain|json|none",                 \
		    "how to show progress on stderr",                                              \
		    "auto draws a bar with rate and time left on a terminal if it takes more "     \
		    "than a second; plain prints lines, json one object a line."                   \
	}
#define TYPE                                                                                       \
	{                                                                                          \
		OPT_TYPE, 0, VALUE_CHOICE, "type", "dynamic|fixed",                                \
		    "dynamic (default): space as it is written", NULL                              \
	}
#define BLOCK_SIZE                                                                                 \
	{                                                                                          \
		OPT_BLOCK_SIZE, 0, VALUE_SIZE, "block-size", "SIZE",                               \
		    "1M to 256M, a power of two (default 2M)", NULL                                \
	}
#define UUID(help, more)                                                                           \
	{                                                                                          \
		OPT_UUID, 0, VALUE_UUID, "uuid", "UUID", help, more                                \
	}
#define FORCE                                                                                      \
	{                                                                                          \
		OPT_FORCE, 0, VALUE_NONE, "force", NULL, "replace an existing file",               \
		    "The old file stays until the new one is complete. One that is in use is not " \
		    "replaced."                                                                    \
	}
#define END                                                                                        \
	{                                                                                          \
		N_TOOL_OPTIONS, 0, VALUE_NONE, NULL, NULL, NULL, NULL                              \
	}

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
    JSON,
    QUIET,
    HELP,
    END,
};

static const struct tool_option inspect_options[] = {
    {OPT_BLOCKS, 0, VALUE_NONE, "blocks", NULL, "also count blocks by state",
     "Reads the whole BAT."},
    PARENT_ROOT,
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
    PARENT_ROOT,
    UUID("disk id of DST (default: random)", NULL),
    FORCE,
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
    JSON,
    QUIET,
    HELP,
    END,
};

static const struct tool_option bench_options[] = {
    {OPT_COUNT, 'c', VALUE_NUMBER, "count", "N", "requests in all (default 75000)", NULL},
    {OPT_DEPTH, 'd', VALUE_NUMBER, "depth", "N", "requests in flight (default 64)",
     "Done by N threads; with 1, by a plain loop."},
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
    JSON,
    QUIET,
    HELP,
    END,
};

const struct tool_command tool_commands[] = {
    {"create", "IMAGE [SIZE]", 1, 2, "make a new, empty image",
     "Makes a virtual disk of SIZE bytes that reads as zero. The file appears under its name when "
     "it is complete and synced; an existing one is replaced only with --force.",
     create_options, cmd_create},
    {"inspect", "IMAGE...", 1, -1, "show what an image is, and who has it open",
     "Shows format, sizes, ids, the chain of parents, the state of the log and who has the file "
     "open. Takes no lock and never reads payload, so it works on images in use. A parent that "
     "can't be opened is named with the reason; that isn't a failure.",
     inspect_options, cmd_inspect},
    {"check", "IMAGE...", 1, -1, "check every rule of the format",
     "Each finding names the section of the specification, what was found, where, and what was "
     "expected. Nothing is changed; a dirty log is replayed in memory.",
     check_options, cmd_check},
    {"map", "IMAGE...", 1, -1, "show where the data lies",
     "Extents of the virtual disk, in order. State: data (stored, at offset in the file at depth), "
     "zero (reads as zero, space may exist), hole (reads as zero, no space in the file), parent "
     "(not here, and the parent wasn't opened). Depth 0 is the image itself, 1 its parent. Takes "
     "no lock.",
     map_options, cmd_map},
    {"convert", "SRC DST", 2, 2, "copy a disk into a new image",
     "Holes and zeros of the source take no space in the copy. - stands for stdin or stdout (raw). "
     "The copy is written under a temporary name in its folder, synced, and then renamed; Ctrl-C "
     "leaves nothing behind. The source never changes. A size that isn't a multiple of the sector "
     "is rounded up with zeros, with a note. On file systems that can share extents, data isn't "
     "copied but shared.",
     convert_options, cmd_convert},
    {"compare", "A B", 2, 2, "compare the content of two disks",
     "Content counts, holes don't: exit 0 if all bytes are the same, 6 with the first offset that "
     "differs. The longer of two disks may end in zeros.",
     compare_options, cmd_compare},
    {"read", "IMAGE", 1, 1, "bytes of the disk to stdout",
     "Writes [offset, offset + length) of the virtual disk to standard output.", read_options,
     cmd_read},
    {"write", "IMAGE", 1, 1, "bytes from stdin to the disk",
     "Writes standard input to the virtual disk, then flushes it. Ctrl-C stops between two pieces "
     "and closes the image properly; what was written until then stays.",
     write_options, cmd_write},
    {"discard", "IMAGE", 1, 1, "give back space, as a guest's TRIM does",
     "The range isn't needed any more: whole blocks then read as zero and their space goes back to "
     "the host. Both --offset and --length must be given.",
     discard_options, cmd_discard},
    {"bench", "IMAGE", 1, 1, "time reads or writes",
     "Request sizes and order as qemu-img bench has them. Prints the time, the engine that ran and "
     "a checksum of what was read, which depends on content and requests only. The time of a write "
     "benchmark includes a flush at the end.",
     bench_options, cmd_bench},
    {NULL, NULL, 0, 0, NULL, NULL, NULL, NULL},
};

const char *const tool_later[] = {
    "meta",   "tag",    "log",     "history", "search", "catalog", "fields", "host",
    "policy", "run",    "compact", "mount",   "umount", "ctl",     "resize", "snapshot",
    "merge",  "rebase", "key",     "sign",    "verify", "rights",  "clone",  NULL,
};
