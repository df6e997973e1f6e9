/* SPDX-License-Identifier: MIT */
/*
 * random_query FOLDER SEED N: N queries, a line each, made of what the images of FOLDER
 * (generate_images) say, so that most of them fit some and not all. Equal seeds, equal queries.
 * random_query FOLDER SEED N INDEX: each part of query INDEX (from 1) as a query of its own, the
 * whole last: who looks for the smallest one that two engines answer differently asks these.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "third/naive.h"

#define TEXT_MAX 1024

static uint64_t state;
static char **parts;
static size_t n_parts;

static unsigned roll(unsigned n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)((state * 0x2545f4914f6cdd1dull) >> 33) % n;
}

static char *format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static char *format(const char *fmt, ...)
{
	char *out = NULL;
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&out, fmt, args) < 0)
		naive_die("memory", "none left");
	va_end(args);
	return out;
}

static char *keep(char *query)
{
	parts = realloc(parts, (n_parts + 1) * sizeof(*parts));
	if (!parts)
		naive_die("memory", "none left");
	return parts[n_parts++] = query;
}

/* ---- texts of queries ---- */

static bool is_control(const char *text)
{
	return strpbrk(text, "\n\t\r") != NULL;
}

static char *quote(const char *text)
{
	char out[2 * TEXT_MAX + 3];
	size_t n = 0;

	out[n++] = '"';
	for (; *text && n < 2 * TEXT_MAX; text++) {
		if (*text == '"' || *text == '\\')
			out[n++] = '\\';
		out[n++] = *text;
	}
	out[n++] = '"';
	out[n] = '\0';
	return format("%s", out);
}

/* Bare, with a backslash before all that could mean something, or quoted. */
static char *literal(const char *text)
{
	char out[2 * TEXT_MAX + 3];
	size_t n = 0;

	if (!*text || roll(2) || is_control(text))
		return quote(text);
	for (; *text && n < 2 * TEXT_MAX; text++) {
		if (strchr(" (){}\"\\*?[]<>=!:", *text))
			out[n++] = '\\';
		out[n++] = *text;
	}
	out[n] = '\0';
	return format("%s", out);
}

static size_t char_len(const char *text)
{
	size_t n = 1;

	while ((text[n] & 0xc0) == 0x80)
		n++;
	return n;
}

/* The text with some of it replaced by "*", "?" and sets. */
static char *pattern(const char *text)
{
	char out[4 * TEXT_MAX];
	size_t n = 0, len = strlen(text), gap = roll((unsigned)len + 1), width = roll(12);
	bool has_gap = roll(3) > 0;

	for (size_t k = 0; k < len && n < 3 * TEXT_MAX;) {
		size_t size = char_len(text + k);

		if (has_gap && k >= gap) {
			out[n++] = '*';
			has_gap = false;
			while (k < len && k < gap + width)
				k += char_len(text + k);
			continue;
		}
		if (roll(12) == 0) {
			n += (size_t)sprintf(out + n, "%s",
					     roll(2)                        ? "?"
					     : *text >= 'a' && *text <= 'z' ? "[a-z]"
									    : "[!qx]");
		} else {
			if (strchr(" (){}\"\\*?[]<>=!:", text[k]))
				out[n++] = '\\';
			memcpy(out + n, text + k, size);
			n += size;
		}
		k += size;
	}
	if (has_gap)
		out[n++] = '*';
	out[n] = '\0';
	return format("%s", out);
}

static char *swap_case(const char *text)
{
	char *out = format("%s", text);

	for (char *p = out; *p && roll(4); p++)
		if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z'))
			*p ^= 0x20;
	return out;
}

/* One word of a text, or some neighbours. */
static char *some_words(const char *text)
{
	char *copy = format("%s", text), *word = copy, *end;
	unsigned skip = roll(4), n = 1 + roll(2);

	while (skip-- && strpbrk(word, " \t\n"))
		word = strpbrk(word, " \t\n") + 1;
	for (end = word; n-- && *end;)
		end += strcspn(end, " \t\n") + (n > 0 && *end != '\0');
	if (end > word + strlen(word))
		end = word + strlen(word);
	while (end > word && strchr(" \t\n", end[-1]))
		end--;
	*end = '\0';
	return *word ? word : format("%s", text);
}

static const char *symbol(void)
{
	static const char *const ops[] = {"<", "<=", ">", ">=", "=", "!="};

	return ops[roll(6)];
}

/* ---- terms ---- */

static bool is_avoided(const char *name)
{
	return !strcmp(name, "image.path");
}

static const struct naive_fact *random_fact(void)
{
	for (;;) {
		const struct naive_image *image = &naive.images[roll((unsigned)naive.n_images)];
		const struct naive_fact *fact = &image->facts[roll((unsigned)image->n_facts)];

		if (!is_avoided(naive.fields[fact->field].name))
			return fact;
	}
}

/* Another value of the same field, from anywhere. */
static const char *other_value(const struct naive_fact *fact)
{
	for (int tries = 0; tries < 200; tries++) {
		const struct naive_image *image = &naive.images[roll((unsigned)naive.n_images)];

		for (size_t k = 0; k < image->n_facts; k++)
			if (image->facts[k].field == fact->field && roll(3) == 0)
				return image->facts[k].value;
	}
	return fact->value;
}

static char *time_value(const char *value)
{
	static const char *const units[] = {"h", "d", "d", "w"};

	switch (roll(4)) {
	case 0:
		return format("%.10s", value);
	case 1:
		return format("now%c%u%s", "+-"[roll(2)], roll(300), units[roll(4)]);
	case 2:
		return format("+%ud", roll(400));
	default:
		return format("%s", value);
	}
}

static char *package_term(const char *name, const char *value, const char *other)
{
	struct naive_purl p = naive_purl(value), q = naive_purl(other);
	char *package = roll(3) == 0 || !p.namespace ? format("%s", p.name)
			: roll(2)                    ? format("%s/%s", p.namespace, p.name)
				  : format("%s/%s/%s", p.type, p.namespace, p.name);
	const char *version = roll(2) && p.version ? p.version : q.version;

	switch (roll(6)) {
	case 0:
		return format("%s:%s", name, literal(swap_case(package)));
	case 1:
		return format("%s:%s", name, pattern(package));
	case 2:
		return format("%s:%s", name, p.before_version);
	case 3:
		return format("%s%s%s", name, roll(2) ? "=" : "!=", quote(value));
	default:
		if (!version)
			version = "1";
		return format("%s:%s%s%s", name, roll(3) ? literal(package) : pattern(package),
			      symbol(), literal(version));
	}
}

static char *tag_term(const char *name, const char *value, const char *other)
{
	const char *equals = strchr(value, '='), *ops[] = {"<", "<=", ">", ">="};

	if (equals && roll(2)) {
		char *key = format("%.*s", (int)(equals - value), value);
		const char *than = strchr(other, '=') ? strchr(other, '=') + 1 : "1";

		return roll(3) && *than ? format("%s:%s%s%s", name, literal(key), ops[roll(4)],
						 literal(roll(2) && equals[1] ? equals + 1 : than))
					: format("%s:%s", name, literal(swap_case(key)));
	}
	return format("%s:%s", name, literal(swap_case(value)));
}

static char *text_term(const char *name, const char *value)
{
	switch (roll(5)) {
	case 0:
		return format("%s:%s", name, literal(swap_case(value)));
	case 1:
		return format("%s:%s", name, literal(some_words(value)));
	case 2:
		return format("%s%s%s", name, roll(2) ? "=" : "!=", literal(value));
	case 3:
		return format("%s %s %s", name, roll(2) ? "eq" : "ne", quote(value));
	default:
		return is_control(value) ? format("%s:*", name)
					 : format("%s:%s", name, pattern(value));
	}
}

/* A term about a field that is called `name` here. */
static char *field_term(const struct naive_fact *fact, const char *name)
{
	static const char *const words[] = {"lt", "le", "gt", "ge", "before", "after"};
	const struct naive_field *f = &naive.fields[fact->field];
	const char *value = roll(2) ? fact->value : other_value(fact);
	bool is_ordered = strcmp(f->type, "word") != 0 || !strncmp(f->choices, "unknown", 7);

	if (roll(14) == 0)
		return format("%s:*", name);
	if (!strcmp(f->name, "tag") && roll(3))
		return tag_term(name, fact->value, value);
	if (!strcmp(f->type, "text"))
		return text_term(name, value);
	if (!strcmp(f->type, "purl"))
		return package_term(name, fact->value, other_value(fact));
	if (!strcmp(f->type, "time"))
		value = time_value(value);
	if (roll(8) == 0 && strcmp(f->type, "time") != 0)
		return format("%s:%s", name, pattern(value));
	if (!strcmp(f->type, "bool") || !strcmp(f->type, "uuid") || !is_ordered)
		return format("%s%s%s", name, roll(3) ? ":" : roll(2) ? "=" : "!=", literal(value));
	if (roll(6) == 0)
		return format("%s:%s", name, literal(value));
	if (roll(5) == 0)
		return format("%s %s %s", name, words[roll(6)], literal(value));
	return format("%s%s%s", name, symbol(), literal(value));
}

/* Prefixes are asked for what texts have. */
static char *prefix_term(void)
{
	const struct naive_fact *fact = random_fact();
	const struct naive_field *f = &naive.fields[fact->field];
	const char *dot = strchr(f->name, '.');

	if (!dot || strcmp(f->type, "text") != 0 || !strncmp(f->name, "image", 5))
		return field_term(fact, f->name);
	return format("%.*s%s:%s", (int)(dot - f->name), f->name,
		      roll(2) && *f->name != 't' ? ".*" : "", quote(some_words(fact->value)));
}

static char *word(void)
{
	const struct naive_fact *fact;
	char *text;

	do {
		fact = random_fact();
	} while (strstr("number size time bool uuid", naive.fields[fact->field].type));
	text = some_words(fact->value);
	if (roll(5) == 0 && !is_control(text))
		return format("\\%s*",
			      strchr("abcdefghijklmnopqrstuvwxyz*?[]", *text) ? text : "x");
	return roll(2) ? quote(swap_case(text)) : literal(text);
}

static char *file_term(void)
{
	const struct naive_image *image;
	const struct naive_file *file;
	char *path;

	do {
		image = &naive.images[roll((unsigned)naive.n_images)];
	} while (!image->n_files);
	file = &image->files[roll((unsigned)image->n_files)];
	path = file->path;
	if (strlen(file->sha256) == 64 && roll(5) == 0)
		return format("sha256:%s", file->sha256);
	if (roll(2))
		path = strrchr(path, '/') + (roll(2) ? 0 : 1);
	switch (roll(4)) {
	case 0:
		return format("file:%s", quote(swap_case(path)));
	case 1:
		return format("file:**%s%s", *path == '/' ? "" : "/", pattern(path));
	default:
		return format("file:%s", pattern(path));
	}
}

/* ---- entries ---- */

/* What a field is called within the braces of `prefix`. */
static const char *inner_name(const char *name, const char *prefix)
{
	size_t len = strlen(prefix);

	return name[len] ? name + len + 1 : roll(2) ? "." : name;
}

static char *inner(const struct naive_fact **facts, size_t n, const char *prefix, unsigned depth)
{
	const struct naive_fact *fact;

	switch (depth ? roll(5) : 4) {
	case 0:
		return format("(%s OR %s)", inner(facts, n, prefix, depth - 1),
			      inner(facts, n, prefix, depth - 1));
	case 1:
		return format("NOT %s", inner(facts, n, prefix, 0));
	case 2:
	case 3:
		return format("%s %s", inner(facts, n, prefix, depth - 1),
			      inner(facts, n, prefix, depth - 1));
	default:
		fact = facts[roll((unsigned)n)];
		return field_term(fact, inner_name(naive.fields[fact->field].name, prefix));
	}
}

static char *entry(void)
{
	const struct naive_image *image;
	const struct naive_fact *fact, *mates[256];
	char *prefix, *dot;
	size_t n = 0;

	do {
		image = &naive.images[roll((unsigned)naive.n_images)];
		fact = &image->facts[roll((unsigned)image->n_facts)];
	} while (!fact->group && strcmp(naive.fields[fact->field].name, "tag") != 0);
	prefix = format("%s", naive.fields[fact->field].name);
	dot = strrchr(prefix, '.');
	if (dot && strcmp(prefix, "cve.open") != 0 && strcmp(prefix, "configuration.file") != 0)
		*dot = '\0';
	for (size_t k = 0; k < image->n_facts && n < 256; k++) {
		const struct naive_fact *mate = &image->facts[k];
		const char *name = naive.fields[mate->field].name;

		if ((mate == fact || (mate->group && mate->group == fact->group)) &&
		    !strncmp(name, prefix, strlen(prefix)) &&
		    (!name[strlen(prefix)] || name[strlen(prefix)] == '.'))
			mates[n++] = mate;
	}
	return format("%s{%s}", prefix, inner(mates, n, prefix, roll(3)));
}

/* ---- queries ---- */

static char *leaf(void)
{
	const struct naive_fact *fact;

	switch (roll(12)) {
	case 0:
		return word();
	case 1:
		return file_term();
	case 2:
	case 3:
		return entry();
	case 4:
		return prefix_term();
	case 5:
		return roll(8) ? word() : format("*");
	default:
		fact = random_fact();
		return field_term(fact, naive.fields[fact->field].name);
	}
}

static char *query(unsigned depth)
{
	switch (depth ? roll(8) : 7) {
	case 0:
	case 1:
		return keep(format("(%s OR %s)", query(depth - 1), query(depth - 1)));
	case 2:
		return keep(format("(%s AND %s)", query(depth - 1), query(depth - 1)));
	case 3:
		return keep(format("(%s %s)", query(depth - 1), query(depth - 1)));
	case 4:
		return keep(format("NOT %s", query(depth - 1)));
	case 5:
		return keep(format("%s OR NOT %s", leaf(), leaf()));
	default:
		return keep(leaf());
	}
}

static void print(const char *text)
{
	for (; *text; text++)
		fputs(*text == '\n'   ? "\u240a"
		      : *text == '\t' ? "\u2409"
				      : (char[]){*text, '\0'},
		      stdout);
	putchar('\n');
}

int main(int argc, char **argv)
{
	unsigned long n, index;

	if (argc < 4)
		naive_die("operands", "which folder, which seed, how many?");
	naive_load(argv[1], argv[1]);
	state = (strtoull(argv[2], NULL, 10) + 1) * 0x9e3779b97f4a7c15ull;
	n = strtoul(argv[3], NULL, 10);
	index = argc > 4 ? strtoul(argv[4], NULL, 10) : 0;
	for (unsigned long k = 1; k <= n; k++) {
		char *text;

		n_parts = 0;
		text = query(roll(6));
		for (size_t part = 0; k == index && part < n_parts; part++)
			print(parts[part]);
		if (!index)
			print(text);
	}
	return 0;
}
