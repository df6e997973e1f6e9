/* SPDX-License-Identifier: MIT */
/*
 * The one table behind vdtool: its subcommands, their options and the words about them. The
 * parser, --help, the man page and the bash completion are all made from it.
 */
#ifndef VDTOOL_OPTIONS_H
#define VDTOOL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Every option there is. A subcommand lists those that it takes. */
enum tool_option_id {
	OPT_HELP,
	OPT_QUIET,
	OPT_JSON,
	OPT_JSONL,
	OPT_PROGRESS,
	OPT_FORMAT,
	OPT_SOURCE_FORMAT,
	OPT_TYPE,
	OPT_PARENT,
	OPT_PARENT_ROOT,
	OPT_NO_PARENTS,
	OPT_BLOCK_SIZE,
	OPT_SECTOR_SIZE,
	OPT_PHYSICAL_SECTOR_SIZE,
	OPT_FORCE,
	OPT_UUID,
	OPT_SIZE,
	OPT_BLOCKS,
	OPT_VERIFY,
	OPT_NO_SYNC,
	OPT_STRICT,
	OPT_OFFSET,
	OPT_LENGTH,
	OPT_COUNT,
	OPT_DEPTH,
	OPT_BUFFER_SIZE,
	OPT_STEP_SIZE,
	OPT_WRITE,
	OPT_CACHE,
	OPT_NATIVE,
	OPT_FLUSH_INTERVAL,
	OPT_NO_DRAIN,
	OPT_PATTERN,
	OPT_SIDECAR,
	OPT_SOURCE_SIDECAR,
	OPT_ACTOR,
	OPT_HISTORY,
	OPT_NO_METADATA,
	OPT_NAME,
	OPT_KIND,
	OPT_MEDIA_TYPE,
	OPT_BY_REFERENCE,
	OPT_DOCUMENT,
	OPT_FILES,
	OPT_DIGESTS,
	OPT_READ_WRITE,
	OPT_MOUNT_OPTIONS,
	OPT_FOREGROUND,
	OPT_LAZY,
	OPT_MAX_RATE,
	OPT_MAX_TIME,
	OPT_DRY_RUN,
	OPT_LEVEL,
	OPT_ZERO_SCAN,
	OPT_FREE_SPACE,
	OPT_QGA,
	OPT_MAX_LATENCY,
	OPT_LAYOUT,
	OPT_POLICY,
	OPT_OVERRIDE,
	OPT_HOST,
	OPT_ACTION,
	OPT_AT,
	OPT_SAVE,
	OPT_VERBOSE,
	OPT_CATALOG,
	OPT_SORT,
	OPT_PRINT0,
	OPT_EXEC,
	OPT_ONE_FS,
	OPT_EXCLUDE,
	OPT_TIMEOUT,
	OPT_XPATH,
	OPT_JOBS,
	OPT_RETRY,
	OPT_PRINT,
	OPT_DISK,
	OPT_NETWORK,
	OPT_ACCEL,
	N_TOOL_OPTIONS
};

/** What an option's argument is. The parser checks it, so that subcommands needn't. */
enum tool_value {
	VALUE_NONE,    /**< a flag */
	VALUE_TEXT,    /**< anything */
	VALUE_FILE,    /**< a file name */
	VALUE_FOLDER,  /**< a folder */
	VALUE_FOLDERS, /**< a folder; may be given more than once */
	VALUE_GLOBS,   /**< anything; may be given more than once: `excludes` */
	VALUE_PAIRS,   /**< NAME=VALUE; may be given more than once: `pairs` */
	VALUE_COMMAND, /**< all words that follow are a command: `exec` */
	VALUE_CHOICE,  /**< one of `arg`, which reads "a|b|c" */
	VALUE_SIZE,    /**< bytes, with SIZE syntax */
	VALUE_NUMBER,  /**< a plain number > 0 */
	VALUE_BYTE,    /**< 0 to 255, also 0xNN */
	VALUE_UUID,
};

struct tool_option {
	enum tool_option_id id;
	char letter; /**< 0: none */
	enum tool_value value;
	const char *name; /**< long name; NULL ends a list */
	const char *arg;  /**< what help calls the argument */
	const char *help; /**< a few words, for --help and completion */
	const char *more; /**< sentences that only the man page adds, or NULL */
};

struct tool_args;

struct tool_command {
	const char *name;     /**< NULL ends the list */
	const char *operands; /**< "IMAGE SIZE", for the usage line */
	int n_min, n_max;     /**< how many operands; n_max -1: any number */
	const char *summary;  /**< after the name in a list, lower case */
	const char *text;     /**< for the man page; paragraphs parted by an empty line */
	const struct tool_option *options;
	int (*run)(const struct tool_args *args); /**< NULL if there are verbs */
	/** A second word follows ("meta get"): its commands, whose names begin with this one's. */
	const struct tool_command *verbs;
	const char *alias;     /**< another name, or NULL */
	bool stops_at_operand; /**< options stand before the operands only */
};

/** A section of the man page; `is_literal` text is shown as it stands. */
struct tool_section {
	const char *title; /**< NULL ends the list */
	const char *text;
	bool is_literal;
};

/** A line of "NAME  meaning" in EXIT STATUS. */
struct tool_exit_text {
	int code;
	const char *text;
};

extern const struct tool_command tool_commands[];
/** Names that are kept for what is to come; NULL ends the list. */
extern const char *const tool_later[];
extern const struct tool_section tool_sections[];
extern const struct tool_exit_text tool_exit_texts[]; /* text NULL ends it */

/** A parsed command line. */
struct tool_args {
	const struct tool_command *command;
	bool is_set[N_TOOL_OPTIONS];
	const char *text[N_TOOL_OPTIONS]; /**< the argument as given */
	uint64_t number[N_TOOL_OPTIONS];  /**< for VALUE_SIZE, VALUE_NUMBER, VALUE_BYTE */
	uint8_t uuid[16];                 /**< of --uuid */
	const char **parent_roots;
	size_t n_parent_roots;
	const char **excludes; /**< of --exclude */
	size_t n_excludes;
	const char **pairs; /**< of --network */
	size_t n_pairs;
	char **exec; /**< of --exec; NULL: not given */
	int n_exec;
	char **operands;
	int n_operands;
};

/** The subcommand of that name or alias, or NULL. */
const struct tool_command *tool_command_find(const char *name);
/** The verb of that name, of a command that has verbs; or NULL. */
const struct tool_command *tool_verb_find(const struct tool_command *command, const char *word);
/** The last word of its name: "get" of "meta get". */
const char *tool_verb_name(const struct tool_command *verb);
bool tool_is_later(const char *name);
/** Fill *args from the words after the subcommand's name (argv[0] is that name). Returns 0, or
 *  the exit code after saying what is wrong. --help stops the parsing. */
int tool_args_parse(struct tool_args *args, const struct tool_command *command, int argc,
		    char **argv);
void tool_args_free(struct tool_args *args);
/** "10G", "10GB", "4096" to bytes. NULL if good, else what is wrong with it. */
const char *tool_size_parse(const char *text, uint64_t *bytes);

void tool_help_print(void);
void tool_help_print_command(const struct tool_command *command);
/** "man" or "completion" to stdout. Returns an exit code. */
int tool_generate(const char *what);

int cmd_create(const struct tool_args *args);
int cmd_inspect(const struct tool_args *args);
int cmd_check(const struct tool_args *args);
int cmd_map(const struct tool_args *args);
int cmd_convert(const struct tool_args *args);
int cmd_compare(const struct tool_args *args);
int cmd_read(const struct tool_args *args);
int cmd_write(const struct tool_args *args);
int cmd_discard(const struct tool_args *args);
int cmd_bench(const struct tool_args *args);
int cmd_mount(const struct tool_args *args);
int cmd_umount(const struct tool_args *args);
int cmd_ctl(const struct tool_args *args);
int cmd_compact(const struct tool_args *args);
int cmd_tag(const struct tool_args *args);
int cmd_log(const struct tool_args *args);
int cmd_fields(const struct tool_args *args);
int cmd_meta_get(const struct tool_args *args);
int cmd_meta_set(const struct tool_args *args);
int cmd_meta_remove(const struct tool_args *args);
int cmd_meta_list(const struct tool_args *args);
int cmd_meta_edit(const struct tool_args *args);
int cmd_meta_validate(const struct tool_args *args);
int cmd_meta_export(const struct tool_args *args);
int cmd_meta_import(const struct tool_args *args);
int cmd_meta_strip(const struct tool_args *args);
int cmd_meta_attach(const struct tool_args *args);
int cmd_meta_extract(const struct tool_args *args);
int cmd_meta_scan(const struct tool_args *args);
int cmd_meta_diff(const struct tool_args *args);
int cmd_search(const struct tool_args *args);
int cmd_host(const struct tool_args *args);
int cmd_run(const struct tool_args *args);
int cmd_catalog_sync(const struct tool_args *args);
int cmd_catalog_status(const struct tool_args *args);
int cmd_catalog_prune(const struct tool_args *args);
int cmd_host(const struct tool_args *args);
int cmd_run(const struct tool_args *args);
int cmd_policy_check(const struct tool_args *args);
int cmd_policy_explain(const struct tool_args *args);
int cmd_policy_test(const struct tool_args *args);
int cmd_policy_list(const struct tool_args *args);

#endif
