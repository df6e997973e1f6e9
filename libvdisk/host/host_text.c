/* SPDX-License-Identifier: MIT */
/*
 * A host as text: "field = value" lines, "#" comments, an empty line behind each entry. A value
 * that has a "#", or begins or ends with a quote, stands in double quotes with \" and \\.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "host/host_facts.h"

/* ---- reading ---- */

struct parsing {
	struct vd_host *host;
	uint32_t n_groups, group;
	enum host_entry entry;        /* which kind of entry is open; HOST_SINGLE: none */
	uint64_t seen, seen_in_entry; /* bits by number of field */
	size_t n_facts;
	unsigned line;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static int wrong(const struct parsing *p, struct vd_error *err, const char *fmt, ...)
    VD_PRINTF(3, 4);
static int wrong(const struct parsing *p, struct vd_error *err, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "line %u: %s", p->line, text);
}

static unsigned number_of(const struct host_field *field)
{
	unsigned i = 0;

	while (host_field_at(i) != field)
		i++;
	return i;
}

/** Which entry it belongs to, and whether it may come (again). */
static int place(struct parsing *p, const struct host_field *field, struct vd_error *err)
{
	uint64_t bit = 1ull << number_of(field);
	bool is_again;

	if (field->entry == HOST_SINGLE) {
		p->entry = HOST_SINGLE;
		if ((p->seen & bit) && !field->field.is_list)
			return wrong(p, err, "%s for the second time; a host has one",
				     field->field.name);
		p->seen |= bit;
		p->group = 0;
		return 0;
	}
	is_again = p->entry == field->entry && (p->seen_in_entry & bit) && !field->field.is_list;
	/* Each name of a hypervisor is one more: they are often just listed. */
	if (is_again && strcmp(field->field.name, "host.hypervisor") != 0)
		return wrong(p, err, "%s for the second time; an empty line ends an entry",
			     field->field.name);
	if (p->entry != field->entry || is_again) {
		p->entry = field->entry;
		p->seen_in_entry = 0;
		p->n_groups++;
	}
	p->seen_in_entry |= bit;
	p->group = p->n_groups;
	return 0;
}

static int add(struct parsing *p, const struct host_field *field, const char *value,
	       struct vd_error *err)
{
	struct vd_error why = VD_ERROR_INIT;
	int rc;

	if (++p->n_facts > HOST_FACTS_MAX)
		return wrong(p, err, "more than %u facts", HOST_FACTS_MAX);
	rc = host_add(p->host, field->field.name, value, p->group, &why);
	if (rc == VD_ENOMEM)
		return vd_no_memory(err, strlen(value), "facts of a host");
	return rc ? wrong(p, err, "%s", why.text) : 0;
}

/* The value up to a comment, without blanks at its ends, without its quotes; in place. */
static int cut_value(struct parsing *p, char *value, char **out, struct vd_error *err)
{
	char *end, *to;

	value += strspn(value, " \t\r");
	*out = value;
	if (*value != '"') {
		for (end = value; *end && !(*end == '#' && (end == value || is_blank(end[-1])));)
			end++;
		while (end > value && is_blank(end[-1]))
			end--;
		*end = '\0';
		return 0;
	}
	for (to = value, end = value + 1; *end && *end != '"'; end++) {
		if (*end == '\\' && (end[1] == '"' || end[1] == '\\'))
			end++;
		*to++ = *end;
	}
	if (*end != '"')
		return wrong(p, err, "a quote that doesn't end");
	end++;
	end += strspn(end, " \t\r");
	if (*end && *end != '#')
		return wrong(p, err, "more behind the value in quotes");
	*to = '\0';
	return 0;
}

static int parse_line(struct parsing *p, char *line, struct vd_error *err)
{
	const struct host_field *field;
	char *equals, *end, *value, *word;
	int rc;

	line += strspn(line, " \t\r");
	if (!*line) {
		p->entry = HOST_SINGLE;
		return 0;
	}
	if (*line == '#')
		return 0;
	equals = strchr(line, '=');
	if (!equals)
		return wrong(p, err, "\"%.60s\": write \"field = value\"", line);
	for (end = equals; end > line && is_blank(end[-1]);)
		end--;
	*end = '\0';
	field = host_field_find(line);
	if (!field)
		return wrong(p, err, "there is no field \"%.60s\" (say host.arch, host.memory ...)",
			     line);
	rc = cut_value(p, equals + 1, &value, err);
	if (!rc && !*value)
		return wrong(p, err, "%s has no value", line);
	if (!rc)
		rc = place(p, field, err);
	if (!field->is_words)
		return rc ? rc : add(p, field, value, err);
	while (!rc && (word = strsep(&value, " \t")))
		if (*word)
			rc = add(p, field, word, err);
	return rc;
}

int vd_host_parse(struct vd_host **out, const char *text, size_t len, struct vd_error *err)
{
	VD_AUTO_FREE char *copy = NULL;
	struct parsing p = {0};
	char *rest, *line;
	int rc;

	*out = NULL;
	if (len > HOST_TEXT_MAX)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "%zu bytes; facts of a host are at most %u", len,
				    HOST_TEXT_MAX);
	copy = vd_malloc(len + 1);
	if (!copy)
		return vd_no_memory(err, len + 1, "facts of a host");
	if (len)
		memcpy(copy, text, len);
	copy[len] = '\0';
	rc = host_create(&p.host, err);
	for (rest = copy; !rc && (line = strsep(&rest, "\n"));) {
		p.line++;
		/* Where the line ends by a NUL, another text goes on. */
		if (line + strlen(line) != (rest ? rest - 1 : copy + len))
			rc = wrong(&p, err, "a NUL byte");
		else
			rc = parse_line(&p, line, err);
	}
	if (rc) {
		vd_host_free(p.host);
		return rc;
	}
	host_seal(p.host);
	*out = p.host;
	return 0;
}

/* ---- writing ---- */

struct text {
	char *bytes;
	size_t len, room;
	int rc;
	struct vd_error *err;
};

static void put(struct text *t, const char *bytes, size_t len)
{
	if (!t->rc && t->len + len + 1 > t->room) {
		size_t room = t->room ? t->room : 4096;
		char *larger;

		while (room < t->len + len + 1)
			room *= 2;
		larger = vd_realloc(t->bytes, room);
		if (!larger) {
			t->rc = vd_no_memory(t->err, room, "facts of a host");
			return;
		}
		t->bytes = larger;
		t->room = room;
	}
	if (t->rc)
		return;
	memcpy(t->bytes + t->len, bytes, len);
	t->len += len;
	t->bytes[t->len] = '\0';
}

static void put_text(struct text *t, const char *text)
{
	put(t, text, strlen(text));
}

static void put_value(struct text *t, const char *value)
{
	size_t len = strlen(value);

	if (!strchr(value, '#') && value[0] != '"') {
		put(t, value, len);
		return;
	}
	put_text(t, "\"");
	for (const char *p = value; *p; p++) {
		if (*p == '"' || *p == '\\')
			put_text(t, "\\");
		put(t, p, 1);
	}
	put_text(t, "\"");
}

#define WORDS_WIDTH 90u

/* A fact, and where in the text it stands. */
struct placed {
	const struct vd_fact *fact;
	const struct host_field *field;
	unsigned number;
	size_t index;
};

static int compare_places(const void *a, const void *b)
{
	const struct placed *x = a, *y = b;

	if (x->field->entry != y->field->entry)
		return x->field->entry < y->field->entry ? -1 : 1;
	if (x->fact->group != y->fact->group)
		return x->fact->group < y->fact->group ? -1 : 1;
	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

static void put_placed(struct text *t, const struct placed *facts, size_t n)
{
	size_t column = 0;

	for (size_t i = 0; i < n; i++) {
		const struct vd_fact *fact = facts[i].fact;
		const struct host_field *before = i ? facts[i - 1].field : NULL;
		size_t len = strlen(fact->value);

		if (facts[i].field == before && before->is_words && column + len < WORDS_WIDTH) {
			put_text(t, " ");
			put_text(t, fact->value);
			column += len + 1;
			continue;
		}
		if (before)
			put_text(t, "\n");
		if (before && (before->entry != facts[i].field->entry ||
			       facts[i - 1].fact->group != fact->group))
			put_text(t, "\n");
		put_text(t, fact->field);
		put_text(t, " = ");
		put_value(t, fact->value);
		column = strlen(fact->field) + 3 + len;
	}
	put_text(t, n ? "\n" : "");
}

int vd_host_format(const struct vd_host *host, char **text, size_t *len, struct vd_error *err)
{
	VD_AUTO_FREE struct placed *facts = vd_calloc(host->n + 1, sizeof(*facts));
	struct text t = {.err = err};

	if (!facts)
		return vd_no_memory(err, (host->n + 1) * sizeof(*facts), "facts of a host");
	for (size_t i = 0; i < host->n; i++) {
		const struct host_field *field = host_field_find(host->facts[i].field);

		facts[i] = (struct placed){&host->facts[i], field, number_of(field), i};
	}
	if (host->n)
		qsort(facts, host->n, sizeof(*facts), compare_places);
	put_placed(&t, facts, host->n);
	if (t.rc) {
		vd_free(t.bytes);
		return t.rc;
	}
	*text = t.bytes;
	*len = t.len;
	return 0;
}
