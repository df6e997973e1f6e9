/* SPDX-License-Identifier: MIT */
/* vdtool --generate man|completion: roff and bash, from the table. */
#include <stdio.h>
#include <string.h>

#include "options.h"
#include "output.h"

/** One character of running text for roff. */
static void put_char(char c, char before, char after)
{
	/* Options keep their ASCII hyphens, so that they can be copied; words get real ones. */
	bool is_option =
	    c == '-' && (before == ' ' || before == '(' || before == '-' || after == '-');

	if (c == '\\')
		fputs("\\e", stdout);
	else if (is_option)
		fputs("\\-", stdout);
	else
		putchar(c);
}

/** Text into lines of at most ~90 characters; an empty line becomes a new paragraph. */
static void put_text(const char *text)
{
	size_t column = 0;

	for (const char *p = text; *p; p++) {
		if (p[0] == '\n' && p[1] == '\n') {
			puts("\n.PP");
			column = 0;
			p++;
			continue;
		}
		if (*p == ' ' && (column > 72 || strchr(".:;", p[-1]))) {
			putchar('\n');
			column = 0;
			continue;
		}
		if (column == 0 && (*p == '.' || *p == '\''))
			fputs("\\&", stdout);
		put_char(*p, p == text ? ' ' : p[-1], p[1]);
		column++;
	}
	putchar('\n');
}

/** Text to be shown as it stands. */
static void put_literal(const char *text)
{
	for (const char *p = text; *p; p++) {
		bool is_line_start = p == text || p[-1] == '\n';

		if (is_line_start && (*p == '.' || *p == '\''))
			fputs("\\&", stdout);
		if (*p == '-')
			fputs("\\-", stdout);
		else if (*p == '\'')
			fputs("\\(aq", stdout);
		else if (*p == '\\')
			fputs("\\e", stdout);
		else
			putchar(*p);
	}
	putchar('\n');
}

static void put_option(const struct tool_option *o)
{
	puts(".TP");
	fputs("\\fB", stdout);
	if (o->letter)
		printf("\\-%c\\fR, \\fB", o->letter);
	fputs("\\-\\-", stdout);
	for (const char *p = o->name; *p; p++) {
		if (*p == '-')
			putchar('\\');
		putchar(*p);
	}
	if (o->value == VALUE_CHOICE)
		printf("\\fR %s\n", o->arg);
	else
		printf("\\fR%s%s%s\n", o->arg ? " \\fI" : "", o->arg ? o->arg : "",
		       o->arg ? "\\fR" : "");
	putchar(o->help[0] >= 'a' && o->help[0] <= 'z' ? o->help[0] & ~0x20 : o->help[0]);
	for (const char *p = o->help + 1; *p; p++)
		put_char(*p, p[-1], p[1]);
	puts(".");
	if (o->more)
		put_text(o->more);
}

static void put_command(const struct tool_command *c)
{
	if (c->verbs)
		printf(".SS vdtool %s %s\n", c->name, c->operands);
	else
		printf(".SS vdtool %s [OPTIONS]%s%s\n", c->name, *c->operands ? " " : "",
		       c->operands);
	put_text(c->text);
	for (const struct tool_option *o = c->options; o->name; o++)
		put_option(o);
}

/** The table in one row, verbs behind their command. */
static void for_each(void (*put)(const struct tool_command *))
{
	for (const struct tool_command *c = tool_commands; c->name; c++) {
		put(c);
		for (const struct tool_command *v = c->verbs; v && v->name; v++)
			put(v);
	}
}

static void generate_man(void)
{
	printf(
	    ".\\\" SPDX-License-Identifier: MIT\n"
	    ".\\\" Made by `vdtool --generate man`: change the table in vdtool/, not this file.\n"
	    ".TH VDTOOL 1 2026-11-23 \"libvdisk\" \"User Commands\"\n"
	    ".SH NAME\nvdtool \\- make, look into, check, copy and change virtual disk images\n"
	    ".SH SYNOPSIS\n.B vdtool\n.I SUBCOMMAND\n.RI [ OPTIONS ]\n.IR IMAGE ...\n"
	    ".PP\n.B vdtool help\n.RI [ SUBCOMMAND ]\n"
	    ".PP\n.B vdtool \\-\\-version\n"
	    ".SH DESCRIPTION\n");
	put_text("vdtool works on virtual disk images in the formats VHDX (fixed, dynamic and "
		 "differencing) and raw. Other formats are recognised and refused, never taken for "
		 "raw. Options may stand before or behind the operands; -- ends them.");
	puts(".SH SUBCOMMANDS");
	for_each(put_command);
	puts(".SS Not supported yet");
	for (const char *const *later = tool_later; *later; later++)
		printf("%s%s\n", *later, later[1] ? "," : ".");
	puts(".SH EXIT STATUS");
	for (const struct tool_exit_text *e = tool_exit_texts; e->text; e++) {
		printf(".TP\n.B %d\n", e->code);
		put_text(e->text);
	}
	puts(".TP\n.B 128+n\nended by signal n.\n.PP\n"
	     "With several images it is the worst, in the order 2, 3, 1, 5, 4, 6, 0.");
	for (const struct tool_section *s = tool_sections; s->title; s++) {
		printf(".SH %s\n", s->title);
		if (s->is_literal) {
			puts(".nf");
			put_literal(s->text);
			puts(".fi");
		} else {
			put_text(s->text);
		}
	}
}

#define WORDS_BEGIN "mapfile -t COMPREPLY < <(compgen -W '"
#define WORDS_END   "' -- \"$cur\")"

/** "a|b|c" as words. */
static void put_choices(const char *choices)
{
	for (const char *p = choices; *p; p++)
		putchar(*p == '|' ? ' ' : *p);
}

/** What the completion calls a command: "meta_get". */
static const char *completion_name(const struct tool_command *c, char text[64])
{
	snprintf(text, 64, "%s", c->name);
	for (char *p = text; *p; p++) {
		if (*p == ' ')
			*p = '_';
	}
	return text;
}

/** Cases of `--option) words;;` for the options of one command that have an argument. */
static void put_completion_values(const struct tool_command *c)
{
	char name[64];

	completion_name(c, name);
	for (const struct tool_option *o = c->options; o->name; o++) {
		if (o->value == VALUE_NONE)
			continue;
		printf("\t%s:--%s", name, o->name);
		if (o->letter)
			printf("|%s:-%c", name, o->letter);
		fputs(")\n\t\t", stdout);
		if (o->value == VALUE_CHOICE) {
			fputs(WORDS_BEGIN, stdout);
			put_choices(o->arg);
			puts(WORDS_END);
		} else if (o->value == VALUE_FILE || o->value == VALUE_FOLDER ||
			   o->value == VALUE_FOLDERS || o->value == VALUE_COMMAND) {
			printf("compopt -o filenames\n"
			       "\t\tmapfile -t COMPREPLY < <(compgen -%c -- \"$cur\")\n",
			       o->value == VALUE_FILE      ? 'f'
			       : o->value == VALUE_COMMAND ? 'c'
							   : 'd');
		} else {
			puts("COMPREPLY=()");
		}
		puts("\t\treturn\n\t\t;;");
	}
}

/** A case of the options of one command. */
static void put_completion_options(const struct tool_command *c)
{
	char name[64];

	printf("\t\t%s) " WORDS_BEGIN, completion_name(c, name));
	for (const struct tool_option *o = c->options; o->name; o++)
		printf("%s--%s", o == c->options ? "" : " ", o->name);
	puts(WORDS_END " ;;");
}

/** The words that may follow a command with verbs. */
static void put_completion_verbs(const struct tool_command *c)
{
	if (!c->verbs)
		return;
	printf("\t%s)\n\t\tif ((COMP_CWORD == word)); then\n\t\t\t" WORDS_BEGIN, c->name);
	for (const struct tool_command *v = c->verbs; v->name; v++)
		printf("%s%s", v == c->verbs ? "" : " ", tool_verb_name(v));
	puts(WORDS_END "\n\t\t\treturn\n\t\tfi\n\t\tsub+=_${COMP_WORDS[word]} ;;");
}

static void generate_completion(void)
{
	puts("# SPDX-License-Identifier: MIT\n"
	     "# bash completion for vdtool. Made by `vdtool --generate completion`.\n"
	     "_vdtool()\n{\n"
	     "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
	     "\tlocal sub=${COMP_WORDS[1]} word=2\n\n"
	     "\tif ((COMP_CWORD == 1)) || { [[ $sub == help ]] && ((COMP_CWORD == 2)); }; then");
	fputs("\t\t" WORDS_BEGIN, stdout);
	for (const struct tool_command *c = tool_commands; c->name; c++)
		printf("%s %s%s", c->name, c->alias ? c->alias : "", c->alias ? " " : "");
	puts("help --help --version" WORDS_END "\n\t\treturn\n\tfi\n"
	     "\tif [[ $sub == help ]]; then\n\t\tsub=${COMP_WORDS[2]} word=3\n\tfi\n"
	     "\tcase $sub in");
	for (const struct tool_command *c = tool_commands; c->name; c++) {
		if (c->alias)
			printf("\t%s) sub=%s ;;\n", c->alias, c->name);
		put_completion_verbs(c);
	}
	puts("\tesac\n\tcase $sub:$prev in");
	for_each(put_completion_values);
	puts("\tesac\n\tif [[ $cur == -* ]]; then\n\t\tcase $sub in");
	for_each(put_completion_options);
	puts("\t\tesac\n\t\treturn\n\tfi\n"
	     "\tcompopt -o filenames\n"
	     "\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
	     "}\ncomplete -F _vdtool vdtool");
}

int tool_generate(const char *what)
{
	if (strcmp(what, "man") == 0)
		generate_man();
	else if (strcmp(what, "completion") == 0)
		generate_completion();
	else
		return tool_usage(NULL, "--generate makes man or completion");
	return tool_stdout_finish(TOOL_DONE);
}
