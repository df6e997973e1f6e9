/* SPDX-License-Identifier: MIT */
/* vdtool: virtual disk images on the command line. Finds the subcommand and lets it run. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "options/options.h"
#include "output.h"
#include "tempfile.h"

static int run_command(const struct tool_command *command, int argc, char **argv)
{
	struct tool_args args;
	int exit_code = tool_args_parse(&args, command, argc, argv);

	if (exit_code == TOOL_DONE && args.is_set[OPT_HELP]) {
		tool_help_print_command(command);
	} else if (exit_code == TOOL_DONE) {
		tool_is_quiet = args.is_set[OPT_QUIET];
		tool_json_begin(&args);
		exit_code = command->run(&args);
		tool_json_end(&args, exit_code);
	}
	tool_args_free(&args);
	return tool_stdout_finish(exit_code);
}

/** `meta get ...`: the second word is a subcommand of the first. */
static int run_verb(const struct tool_command *command, int argc, char **argv)
{
	const struct tool_command *verb = argc > 1 ? tool_verb_find(command, argv[1]) : NULL;

	if (verb)
		return run_command(verb, argc - 1, argv + 1);
	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		tool_help_print_command(command);
		return tool_stdout_finish(TOOL_DONE);
	}
	if (argc > 1)
		return tool_usage(command, "there is no %s \"%s\"",
				  argv[1][0] == '-' ? "option" : "verb", argv[1]);
	return tool_usage(command, "which verb?");
}

static int run_help(const char *name, const char *word)
{
	const struct tool_command *command = name ? tool_command_find(name) : NULL;

	if (name && tool_is_later(name))
		return tool_say(TOOL_USAGE, name, "not supported yet");
	if (name && !command)
		return tool_usage(NULL, "there is no subcommand \"%s\"", name);
	if (command && command->verbs && word) {
		const struct tool_command *verb = tool_verb_find(command, word);

		if (!verb)
			return tool_usage(command, "there is no verb \"%s\"", word);
		command = verb;
	}
	if (command)
		tool_help_print_command(command);
	else
		tool_help_print();
	return tool_stdout_finish(TOOL_DONE);
}

/* A closed stdin, stdout or stderr would let an image's descriptor take its number. */
static void fill_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

int main(int argc, char **argv)
{
	const struct tool_command *command;

	fill_standard_descriptors();
	tool_signals_catch();
	tool_hear_messages();
	if (argc < 2)
		return tool_usage(NULL, "which subcommand?");
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return run_help(NULL, NULL);
	if (strcmp(argv[1], "help") == 0)
		return run_help(argc > 2 ? argv[2] : NULL, argc > 3 ? argv[3] : NULL);
	if (strcmp(argv[1], "--version") == 0) {
		printf("vdtool %s\n", vd_version());
		return tool_stdout_finish(TOOL_DONE);
	}
	if (strcmp(argv[1], "--generate") == 0)
		return tool_generate(argc > 2 ? argv[2] : "");
	command = tool_command_find(argv[1]);
	if (command && command->verbs)
		return run_verb(command, argc - 1, argv + 1);
	if (command)
		return run_command(command, argc - 1, argv + 1);
	if (tool_is_later(argv[1]))
		return tool_say(TOOL_USAGE, argv[1], "not supported yet");
	return tool_usage(NULL, "there is no %s \"%s\"",
			  argv[1][0] == '-' ? "option" : "subcommand", argv[1]);
}
