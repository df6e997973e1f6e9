/* SPDX-License-Identifier: MIT */
#include "corpus.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void corpus_die(const char *what, const char *why)
{
	fprintf(stderr, "generate_images: %s: %s\n", what, why);
	exit(1);
}

enum corpus_place corpus_place(unsigned i)
{
	switch (i % 20) {
	case 16:
		return CORPUS_DAMAGED;
	case 17:
		return i % 40 == 17 ? CORPUS_NAKED : CORPUS_ALIEN;
	case 18:
		return CORPUS_SIDECAR;
	case 19:
		return CORPUS_BARE;
	default:
		return i % 2 ? CORPUS_ITEMS : CORPUS_COMMITTED;
	}
}

bool corpus_has_metadata(unsigned i)
{
	return corpus_place(i) < CORPUS_NAKED;
}

bool corpus_has_index(unsigned i)
{
	return corpus_has_metadata(i) && corpus_place(i) != CORPUS_DAMAGED &&
	       (i % 8 == 5 || i % 8 == 2);
}

static void write_fact(struct corpus_doc *doc, const char *field, unsigned group, const char *value)
{
	if (!doc->facts)
		return;
	fprintf(doc->facts, "%u\t%s\t", doc->i, field);
	for (const char *p = value; *p; p++) {
		if (*p == '\n')
			fputs("\\n", doc->facts);
		else if (*p == '\t')
			fputs("\\t", doc->facts);
		else if (*p == '\\')
			fputs("\\\\", doc->facts);
		else
			fputc(*p, doc->facts);
	}
	fprintf(doc->facts, "\t%u\n", group);
}

void corpus_fact(struct corpus_doc *doc, const char *field, unsigned group, const char *fmt, ...)
{
	char value[4096];
	va_list args;

	va_start(args, fmt);
	vsnprintf(value, sizeof(value), fmt, args);
	va_end(args);
	write_fact(doc, field, group, value);
}

static void escape(FILE *xml, const char *text, bool is_attr)
{
	for (const char *p = text; *p; p++) {
		if (*p == '&')
			fputs("&amp;", xml);
		else if (*p == '<')
			fputs("&#60;", xml);
		else if (*p == '>')
			fputs("&gt;", xml);
		else if (*p == '"' && is_attr)
			fputs("&quot;", xml);
		else
			fputc(*p, xml);
	}
}

void corpus_text(struct corpus_doc *doc, const char *text)
{
	if (doc->i % 3 == 2 && !strstr(text, "]]>"))
		fprintf(doc->xml, "<![CDATA[%s]]>", text);
	else
		escape(doc->xml, text, false);
}

void corpus_element_as(struct corpus_doc *doc, const char *tag, const char *field,
		       const char *written, const char *value)
{
	fprintf(doc->xml, "  <%s>", tag);
	corpus_text(doc, written);
	fprintf(doc->xml, "</%s>\n", tag);
	write_fact(doc, field, 0, value);
}

void corpus_element(struct corpus_doc *doc, const char *tag, const char *field, const char *value)
{
	corpus_element_as(doc, tag, field, value, value);
}

void corpus_attr(struct corpus_doc *doc, const char *name, const char *field, unsigned group,
		 const char *fmt, ...)
{
	char value[4096];
	va_list args;

	va_start(args, fmt);
	vsnprintf(value, sizeof(value), fmt, args);
	va_end(args);
	fprintf(doc->xml, " %s=\"", name);
	escape(doc->xml, value, true);
	fputc('"', doc->xml);
	write_fact(doc, field, group, value);
}

static const char *format_time(int64_t seconds, const char *zone)
{
	static char buf[4][48];
	static unsigned turn;
	char *out = buf[turn++ % 4];
	time_t t = seconds;
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(out, 40, "%Y-%m-%dT%H:%M:%S", &tm);
	strcat(out, zone);
	return out;
}

const char *corpus_time(int64_t seconds, unsigned how)
{
	switch (how % 4) {
	case 1:
		return format_time(seconds + 7200, "+02:00");
	case 2:
		return format_time(seconds, ".999Z");
	case 3:
		return format_time(seconds - 41400, "-11:30");
	default:
		return format_time(seconds, "Z");
	}
}

const char *corpus_time_normal(int64_t seconds)
{
	return format_time(seconds, "Z");
}
