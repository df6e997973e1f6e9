/* SPDX-License-Identifier: MIT */
/* Rows of the table that several subcommands have; see options.h. Only for the tables. */
#ifndef VDTOOL_OPTION_ROWS_H
#define VDTOOL_OPTION_ROWS_H

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

#define SIDECAR                                                                                    \
	{                                                                                          \
		OPT_SIDECAR, 0, VALUE_FOLDER, "sidecar", "DIR",                                    \
		    "metadata in a file in DIR, not in the image",                                 \
		    "For evidence and read-only media: the image itself isn't written. Images "    \
		    "that can't hold metadata have their sidecar, IMAGE.vdmeta, beside them "      \
		    "without this."                                                                \
	}
#define ACTOR                                                                                      \
	{                                                                                          \
		OPT_ACTOR, 0, VALUE_TEXT, "actor", "NAME",                                         \
		    "who the history says did it (\"\": nobody)",                                  \
		    "The default is the user's name. An empty name leaves out the host too."       \
	}

/* Whose policy is asked, and on what host. */
#define POLICY                                                                                     \
	{                                                                                          \
		OPT_POLICY, 0, VALUE_FOLDER, "policy", "DIR",                                      \
		    "rules are in DIR (default /etc/vdisk/policy.d)",                              \
		    "Its files *.xml, in the order of their names. Without that folder there are " \
		    "the built-in rules alone."                                                    \
	}
#define HOST                                                                                       \
	{                                                                                          \
		OPT_HOST, 0, VALUE_FILE, "host", "FILE",                                           \
		    "what `vdtool host` says of another machine", NULL                             \
	}
#define OVERRIDE                                                                                   \
	{                                                                                          \
		OPT_OVERRIDE, 0, VALUE_TEXT, "override", "REASON",                                 \
		    "go on although a rule denies it",                                             \
		    "The reason goes into the history of the image if the command writes to it, "  \
		    "else to syslog."                                                              \
	}
/* What every command takes that asks a policy (policed.h). */
#define POLICED POLICY, OVERRIDE

/* How a compaction goes about it. */
#define COMPACT_HOW                                                                                \
	{OPT_DRY_RUN, 0, VALUE_NONE, "dry-run", NULL, "change nothing, tell what would be gained", \
	 NULL},                                                                                    \
	    {OPT_LEVEL,                                                                            \
	     0,                                                                                    \
	     VALUE_CHOICE,                                                                         \
	     "level",                                                                              \
	     "punch|pack|defrag",                                                                  \
	     "how far to go (default pack)",                                                       \
	     "punch gives space back inside the file; pack also moves what lies behind into the "  \
	     "gaps and cuts the file; defrag brings the blocks into the order of the disk."},      \
	    {OPT_ZERO_SCAN, 0, VALUE_NONE, "zero-scan", NULL, "also find zeros by reading", NULL}, \
	    {OPT_MAX_RATE, 0, VALUE_SIZE, "max-rate", "SIZE", "bytes to copy a second, at most",   \
	     NULL},                                                                                \
	{                                                                                          \
		OPT_MAX_TIME, 0, VALUE_NUMBER, "max-time", "SECONDS",                              \
		    "stop after so long; what is done stays", NULL                                 \
	}
/* And how gently, and by what layout. */
#define COMPACT_GUEST                                                                              \
	{OPT_MAX_LATENCY,                                                                          \
	 0,                                                                                        \
	 VALUE_NUMBER,                                                                             \
	 "max-latency",                                                                            \
	 "MS",                                                                                     \
	 "slow down while a guest's requests take longer (ms)",                                    \
	 "Counts 99 of 100 requests of the last second, where another process has the image; "     \
	 "nobody else's are known. A step a second is made all the same."},                        \
	{                                                                                          \
		OPT_LAYOUT, 0, VALUE_FILE, "layout", "FILE",                                       \
		    "drop all that FILE doesn't say is in use",                                    \
		    "A JSON document with the extents that are in use and the generation that "    \
		    "they are of (`vdtool ctl IMAGE generation`); what was written after that "    \
		    "counts as in use. Changes what the disk reads there: to zero."                \
	}

/* Of options_meta.c. */
extern const struct tool_option tool_no_options[], tool_tag_options[], tool_log_options[],
    tool_fields_options[];
extern const struct tool_command tool_meta_verbs[];

/* Of options_search.c. */
extern const struct tool_option tool_search_options[];

/* Of options_catalog.c. */
extern const struct tool_command tool_catalog_verbs[];

/* Of options_policy.c. */
extern const struct tool_command tool_policy_verbs[];

/* Of options_run.c. */
extern const struct tool_option tool_host_options[], tool_run_options[];

/* Of options_mount.c. */
extern const struct tool_option tool_mount_options[], tool_umount_options[], tool_ctl_options[];

/* Of options_compact.c. */
extern const struct tool_option tool_compact_options[];

#endif
