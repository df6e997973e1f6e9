/* SPDX-License-Identifier: MIT */
/* The table's part about policy; see options.h. */
#include "option_rows.h"

#define ACTION                                                                                     \
	{                                                                                          \
		OPT_ACTION, 0, VALUE_CHOICE, "action",                                             \
		    "run|mount-ro|mount-rw|convert|export|compact|edit",                           \
		    "what is to be done (default run)", NULL                                       \
	}
#define AT                                                                                         \
	{                                                                                          \
		OPT_AT, 0, VALUE_TEXT, "at", "TIME", "as if it were then: 2027-01-31, +90d",       \
		    "A day or time of RFC 3339, or a length of time from now on: +12h, -7d."       \
	}

static const struct tool_option check_options[] = {
    ACTION, AT, HOST, POLICY, SIDECAR, SOURCE_FORMAT(0), JSON, QUIET, HELP, END,
};
static const struct tool_option explain_options[] = {
    ACTION,
    AT,
    HOST,
    POLICY,
    {OPT_SAVE, 0, VALUE_FILE, "save", "FILE", "keep all that it depends on, for policy test",
     "FILE holds the facts of image and host, the action, the time, digests of the files of rules, "
     "documents that an XPath may ask, and the decision. It must not exist."},
    {OPT_VERBOSE, 0, VALUE_NONE, "verbose", NULL, "every rule that was asked", NULL},
    SIDECAR,
    SOURCE_FORMAT(0),
    JSON,
    QUIET,
    HELP,
    END,
};
static const struct tool_option rule_options[] = {POLICY, JSON, QUIET, HELP, END};

#define VERB(name, operands, n_min, n_max, summary, text, options, run)                            \
	{                                                                                          \
		"policy " name, operands, n_min, n_max, summary, text, options, run, NULL, NULL,   \
		    false                                                                          \
	}

const struct tool_command tool_policy_verbs[] = {
    VERB(
	"check", "IMAGE...", 1, -1, "may it be done? exit 0 or 4",
	"Asks the rules of --policy and the built-in ones, as run, mount and the other commands do "
	"before they use an image, and prints a line for each image. The images are only looked "
	"at.",
	check_options, cmd_policy_check),
    VERB("explain", "IMAGE...", 1, -1, "why, and what would have to change",
	 "The rule that decides, where it stands, the facts that it rests on, what would have to "
	 "change, and of several machines that the image can run on the one that comes nearest.",
	 explain_options, cmd_policy_explain),
    VERB("test", "FILE...", 1, -1, "decide saved cases again; exit 6 if one differs",
	 "Each FILE is what explain --save wrote. It is decided anew by the rules of now; a case "
	 "that "
	 "another rule decides, or that comes out differently, is told. So a site keeps the "
	 "decisions "
	 "that its rules are for.",
	 rule_options, cmd_policy_test),
    VERB("list", "", 0, 0, "the rules, in the order in which they are asked",
	 "Says what is wrong with them, if anything is: then everything that is asked is denied.",
	 rule_options, cmd_policy_list),
    {NULL, NULL, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, false},
};
