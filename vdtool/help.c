/* SPDX-License-Identifier: MIT */
/* --help, from the table. The whole of it fits a screen of 24 x 80. */
#include <stdio.h>
#include <string.h>

#include "options.h"

#define SCREEN_WIDTH 80

void tool_help_print(void)
{
	size_t column = 0;

	puts("Usage: vdtool SUBCOMMAND [OPTIONS] IMAGE...    virtual disk images: VHDX and raw\n");
	for (const struct tool_command *c = tool_commands; c->name; c++)
		printf("  %-8s %-14s %s\n", c->name, c->operands, c->summary);
	fputs("\nNot supported yet:", stdout);
	column = strlen("Not supported yet:");
	for (const char *const *later = tool_later; *later; later++) {
		column += strlen(*later) + 1;
		if (column >= SCREEN_WIDTH) {
			fputs("\n ", stdout);
			column = strlen(*later) + 2;
		}
		printf(" %s", *later);
	}
	puts("\n\n`vdtool SUBCOMMAND --help` (or `vdtool help SUBCOMMAND`) shows its options,\n"
	     "`vdtool --version` the version. Manual: vdtool(1).");
	fputs("Exit: ", stdout);
	puts("0 done, 1 failed, 2 usage, 3 corrupt, 4 denied, 5 in use, 6 they differ.");
}

/** "-s, --buffer-size SIZE" */
static void format_option(const struct tool_option *o, char *text, size_t size)
{
	char letter[8] = "    ";

	if (o->letter)
		snprintf(letter, sizeof(letter), "-%c, ", o->letter);
	snprintf(text, size, "%s--%s%s%s", letter, o->name, o->arg ? " " : "",
		 o->arg ? o->arg : "");
}

void tool_help_print_command(const struct tool_command *command)
{
	char text[128];
	size_t width = 0;

	printf("Usage: vdtool %s [OPTIONS] %s\n", command->name, command->operands);
	printf("%c%s.\n\n", command->summary[0] & ~0x20, command->summary + 1);
	for (const struct tool_option *o = command->options; o->name; o++) {
		format_option(o, text, sizeof(text));
		if (strlen(text) > width && strlen(text) <= 32)
			width = strlen(text);
	}
	for (const struct tool_option *o = command->options; o->name; o++) {
		format_option(o, text, sizeof(text));
		if (strlen(text) > width)
			printf("  %s\n  %*s  %s\n", text, (int)width, "", o->help);
		else
			printf("  %-*s  %s\n", (int)width, text, o->help);
	}
}
