/* SPDX-License-Identifier: MIT */
/* From words to struct tool_args, by the table. getopt_long does the splitting. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "output.h"

const struct tool_command *tool_command_find(const char *name)
{
	for (const struct tool_command *c = tool_commands; c->name; c++) {
		if (strcmp(c->name, name) == 0 || (c->alias && strcmp(c->alias, name) == 0))
			return c;
	}
	return NULL;
}

const char *tool_verb_name(const struct tool_command *verb)
{
	const char *blank = strrchr(verb->name, ' ');

	return blank ? blank + 1 : verb->name;
}

const struct tool_command *tool_verb_find(const struct tool_command *command, const char *word)
{
	for (const struct tool_command *v = command->verbs; v && v->name; v++) {
		if (strcmp(tool_verb_name(v), word) == 0)
			return v;
	}
	return NULL;
}

bool tool_is_later(const char *name)
{
	for (const char *const *later = tool_later; *later; later++) {
		if (strcmp(*later, name) == 0)
			return true;
	}
	return false;
}

/** The factor behind "", "K", "KiB", "KB" ...; 0: unknown. */
static uint64_t unit_factor(const char *unit)
{
	static const char letters[] = "KMGTPE";
	const char *at;
	uint64_t base = 1024, factor = 1;

	if (*unit == '\0' || strcmp(unit, "B") == 0)
		return 1;
	at = strchr(letters, *unit & ~0x20);
	if (!at)
		return 0;
	if (strcmp(unit + 1, "B") == 0)
		base = 1000;
	else if (unit[1] != '\0' && strcmp(unit + 1, "iB") != 0)
		return 0;
	for (const char *p = letters; p <= at; p++)
		factor *= base;
	return factor;
}

const char *tool_size_parse(const char *text, uint64_t *bytes)
{
	unsigned __int128 whole = 0, part = 0, scale = 1, sum;
	const char *p = text;
	uint64_t factor;

	if (*p == '+' || *p == '-')
		return "relative sizes have no meaning here";
	if (*p < '0' || *p > '9')
		return "not a size (say 10G, 10GB or a number of bytes)";
	for (; *p >= '0' && *p <= '9'; p++) {
		whole = whole * 10 + (unsigned)(*p - '0');
		if (whole > INT64_MAX)
			return "too big";
	}
	if (*p == '.') {
		for (p++; *p >= '0' && *p <= '9'; p++) {
			if (scale > 1000000000000000u)
				return "too many decimals";
			part = part * 10 + (unsigned)(*p - '0');
			scale *= 10;
		}
		if (scale == 1)
			return "not a size (no digits behind the point)";
	}
	factor = unit_factor(p);
	if (!factor)
		return "not a size (unknown unit; say K, M, G, T for powers of 1024, KB, MB ... of "
		       "1000)";
	if (part * factor % scale)
		return "not a whole number of bytes";
	sum = whole * factor + part * factor / scale;
	if (sum > INT64_MAX)
		return "too big";
	*bytes = (uint64_t)sum;
	return NULL;
}

static bool is_choice(const char *choices, const char *text)
{
	size_t len = strlen(text);

	while (*choices) {
		size_t n = strcspn(choices, "|");

		if (n == len && memcmp(choices, text, n) == 0)
			return true;
		choices += n + (choices[n] == '|');
	}
	return false;
}

/** 32 hex digits in 8-4-4-4-12, in braces or not. */
static bool parse_uuid(const char *text, uint8_t uuid[16])
{
	size_t len = strlen(text), n = 0;

	if (len == 38 && text[0] == '{' && text[37] == '}')
		text++;
	else if (len != 36)
		return false;
	for (size_t i = 0; i < 36; i++) {
		static const char hex[] = "0123456789abcdef";
		bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
		const char *digit;

		if (is_dash != (text[i] == '-'))
			return false;
		if (is_dash)
			continue;
		digit = strchr(hex, text[i] >= 'A' && text[i] <= 'F' ? text[i] | 0x20 : text[i]);
		if (!digit)
			return false;
		uuid[n / 2] = (uint8_t)(n % 2 ? uuid[n / 2] << 4 | (digit - hex) : digit - hex);
		n++;
	}
	return true;
}

static bool parse_number(const char *text, int base, uint64_t max, uint64_t *number)
{
	char *end;
	unsigned long long value;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	value = strtoull(text, &end, base);
	if (errno || *end || value > max)
		return false;
	*number = value;
	return true;
}

/** One more of those that may be given more than once. */
static const char *add_text(const char ***list, size_t *n, const char *text)
{
	const char **more = realloc(*list, (*n + 1) * sizeof(*more));

	if (!more)
		return "out of memory";
	*list = more;
	more[(*n)++] = text;
	return NULL;
}

/** What is wrong with the argument of `option`, or NULL; keeps its value. */
static const char *take_value(struct tool_args *args, const struct tool_option *option,
			      const char *text)
{
	switch (option->value) {
	case VALUE_SIZE:
		return tool_size_parse(text, &args->number[option->id]);
	case VALUE_NUMBER:
		return parse_number(text, 10, UINT32_MAX, &args->number[option->id]) &&
			       args->number[option->id]
			   ? NULL
			   : "not a number from 1 to 4294967295";
	case VALUE_BYTE:
		return parse_number(text, 0, 255, &args->number[option->id])
			   ? NULL
			   : "not a byte (0 to 255, or 0x00 to 0xff)";
	case VALUE_CHOICE:
		return is_choice(option->arg, text) ? NULL : "not a choice";
	case VALUE_UUID:
		return parse_uuid(text, args->uuid) ? NULL : "not a UUID";
	case VALUE_FOLDERS:
		return add_text(&args->parent_roots, &args->n_parent_roots, text);
	case VALUE_GLOBS:
		return add_text(&args->excludes, &args->n_excludes, text);
	case VALUE_PAIRS:
		if (!strchr(text, '=') || text[0] == '=')
			return "not of the form NAME=VALUE";
		return add_text(&args->pairs, &args->n_pairs, text);
	default:
		return NULL;
	}
}

/** getopt's view of the table: long options and the string of letters. */
static void fill_getopt(const struct tool_command *command, struct option *longs, char *letters)
{
	const struct tool_option *options = command->options;

	if (command->stops_at_operand)
		*letters++ = '+';
	*letters++ = ':';
	for (size_t i = 0; options[i].name; i++) {
		bool has_arg = options[i].value != VALUE_NONE;

		longs[i] = (struct option){options[i].name, has_arg, NULL, 0x100 + (int)i};
		if (!options[i].letter)
			continue;
		*letters++ = options[i].letter;
		if (has_arg)
			*letters++ = ':';
	}
	*letters = '\0';
}

static const struct tool_option *find_option(const struct tool_option *options, int c)
{
	if (c >= 0x100)
		return &options[c - 0x100];
	for (const struct tool_option *o = options; o->name; o++) {
		if (o->letter == c)
			return o;
	}
	return NULL;
}

/** How the user wrote the option that getopt stumbled over. */
static const char *spelled(const struct tool_option *options, char **argv, char text[64])
{
	const char *word = argv[optind - 1];

	if (optopt && optopt < 0x100 && !(word[0] == '-' && word[1] == '-'))
		snprintf(text, 64, "-%c", optopt);
	else if (optopt >= 0x100)
		snprintf(text, 64, "--%s", options[optopt - 0x100].name);
	else
		snprintf(text, 64, "%.60s", word);
	return text;
}

static int check_operands(const struct tool_args *args)
{
	const struct tool_command *command = args->command;

	if (args->n_operands < command->n_min)
		return tool_usage(command, "it takes %s", command->operands);
	if (command->n_max >= 0 && args->n_operands > command->n_max)
		return tool_usage(command, "\"%s\" is too much: it takes %s",
				  args->operands[command->n_max], command->operands);
	return TOOL_DONE;
}

/** A command and its words are the end of the line, up to a ";" if there is one. Returns how many
 *  words are ours. */
static int take_command(struct tool_args *args, const struct tool_command *command, int argc,
			char **argv)
{
	const struct tool_option *o = command->options;
	int i = 1;

	while (o->name && o->value != VALUE_COMMAND)
		o++;
	for (; o->name && i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strncmp(argv[i], "--", 2) != 0 || strcmp(argv[i] + 2, o->name) != 0)
			continue;
		args->is_set[o->id] = true;
		args->exec = argv + i + 1;
		args->n_exec = argc - i - 1;
		if (args->n_exec && strcmp(argv[argc - 1], ";") == 0)
			args->n_exec--;
		return i;
	}
	return argc;
}

int tool_args_parse(struct tool_args *args, const struct tool_command *command, int argc,
		    char **argv)
{
	struct option longs[N_TOOL_OPTIONS + 1] = {0};
	char letters[2 * N_TOOL_OPTIONS + 3], word[64];
	int c;

	memset(args, 0, sizeof(*args));
	args->command = command;
	argc = take_command(args, command, argc, argv);
	fill_getopt(command, longs, letters);
	optind = 0; /* glibc: start over */
	opterr = 0;
	while ((c = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		const struct tool_option *option;
		const char *wrong;

		if (c == ':')
			return tool_usage(command, "%s wants an argument",
					  spelled(command->options, argv, word));
		option = c == '?' ? NULL : find_option(command->options, c);
		if (!option)
			return tool_usage(command, "unknown or misused option %s",
					  spelled(command->options, argv, word));
		args->is_set[option->id] = true;
		args->text[option->id] = optarg;
		if (option->id == OPT_HELP)
			return TOOL_DONE;
		wrong = optarg ? take_value(args, option, optarg) : NULL;
		if (wrong)
			return tool_usage(command, "--%s %s: %s%s%s", option->name, optarg, wrong,
					  option->value == VALUE_CHOICE ? " of " : "",
					  option->value == VALUE_CHOICE ? option->arg : "");
	}
	args->operands = argv + optind;
	args->n_operands = argc - optind;
	return check_operands(args);
}

void tool_args_free(struct tool_args *args)
{
	free(args->parent_roots);
	args->parent_roots = NULL;
	free(args->excludes);
	args->excludes = NULL;
	free(args->pairs);
	args->pairs = NULL;
}
