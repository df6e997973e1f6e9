/* SPDX-License-Identifier: MIT */
/* --help, from the table. The whole of it fits a screen of 24 x 80. */
#include <stdio.h>
#include <string.h>

#include "options.h"

#define SCREEN_WIDTH  80
#define SCREEN_HEIGHT 24

/* Commands that belong together share a line: there are more of them than lines. */
static const struct {
	const char *first, *names, *summary;
} shared[] = {
    {"mount", "mount, umount, ctl", "the disk as a file; end it; ask who has it"},
    {"umount", NULL, NULL},
    {"ctl", NULL, NULL},
    {"host", "host, run", "what this machine has; what an image asks for"},
    {"run", NULL, NULL},
};

static void print_row(const struct tool_command *c)
{
	for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++) {
		if (strcmp(shared[i].first, c->name) != 0)
			continue;
		if (shared[i].names)
			printf("  %-27s %s\n", shared[i].names, shared[i].summary);
		return;
	}
	printf("  %-8s %-18s %s\n", c->name, c->operands, c->summary);
}

/** Fits a screen of 24 lines: empty ones only where there is room for them. */
void tool_help_print(void)
{
	const char *gap = "\n";
	size_t column = strlen("Not supported yet:"), n = 0;

	while (tool_commands[n].name)
		n++;
	if (n > 17)
		gap = "";
	printf(
	    "Usage: vdtool SUBCOMMAND [OPTIONS] IMAGE...    virtual disk images: VHDX and raw\n%s",
	    gap);
	for (const struct tool_command *c = tool_commands; c->name; c++)
		print_row(c);
	printf("%sNot supported yet:", gap);
	for (const char *const *later = tool_later; *later; later++) {
		column += strlen(*later) + 1;
		if (column >= SCREEN_WIDTH) {
			fputs("\n ", stdout);
			column = strlen(*later) + 2;
		}
		printf(" %s", *later);
	}
	puts("\n`vdtool help SUBCOMMAND` shows its options. Manual: vdtool(1).");
	puts("Exit: 0 done, 1 failed, 2 usage, 3 corrupt, 4 denied, 5 in use, 6 they differ.");
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

static void print_verbs(const struct tool_command *command)
{
	for (const struct tool_command *v = command->verbs; v->name; v++)
		printf("  %-8s %s\n", tool_verb_name(v), v->summary);
	printf("\n`vdtool %s VERB --help` shows the operands and options of one.\n", command->name);
}

/** It has two lines: beside so long a name there is no room for the help. */
static bool is_two_lines(const struct tool_option *o, const char *text, size_t width)
{
	return strlen(text) > width && 4 + strlen(text) + strlen(o->help) > SCREEN_WIDTH;
}

void tool_help_print_command(const struct tool_command *command)
{
	const struct tool_option *all = command->options;
	char text[128];
	size_t width = 0, n_lines = 0;

	for (const struct tool_option *o = all; o && o->name; o++) {
		format_option(o, text, sizeof(text));
		if (strlen(text) > width && strlen(text) <= 32)
			width = strlen(text);
	}
	for (const struct tool_option *o = all; o && o->name; o++) {
		format_option(o, text, sizeof(text));
		n_lines += is_two_lines(o, text, width) ? 2 : 1;
	}
	printf("Usage: vdtool %s %s%s", command->name, command->verbs ? "" : "[OPTIONS] ",
	       command->operands);
	if (n_lines + 2 > SCREEN_HEIGHT) /* one line for both, then */
		printf("    %s\n", command->summary);
	else
		printf("\n%c%s.\n%s", command->summary[0] & ~0x20, command->summary + 1,
		       n_lines + 3 > SCREEN_HEIGHT ? "" : "\n");
	if (command->verbs) {
		print_verbs(command);
		return;
	}
	for (const struct tool_option *o = all; o->name; o++) {
		format_option(o, text, sizeof(text));
		if (is_two_lines(o, text, width))
			printf("  %s\n  %*s  %s\n", text, (int)width, "", o->help);
		else if (strlen(text) > width)
			printf("  %s  %s\n", text, o->help);
		else
			printf("  %-*s  %s\n", (int)width, text, o->help);
	}
}
