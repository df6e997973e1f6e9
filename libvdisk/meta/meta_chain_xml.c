/* SPDX-License-Identifier: MIT */
/* The history in the form that is handed out: a document as metadata-schema/history.xsd has it. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "meta/meta_chain.h"

struct out {
	char *p;
	size_t len, room;
	bool is_bad; /* no memory */
};

static void put(struct out *o, const char *text, size_t n)
{
	if (o->len + n + 1 > o->room) {
		size_t room = 2 * (o->len + n) + 4096;
		char *more = o->is_bad ? NULL : vd_realloc(o->p, room);

		if (!more) {
			o->is_bad = true;
			return;
		}
		o->p = more;
		o->room = room;
	}
	memcpy(o->p + o->len, text, n);
	o->len += n;
	o->p[o->len] = '\0';
}

static void put_text(struct out *o, const char *text)
{
	put(o, text, strlen(text));
}

__attribute__((format(printf, 2, 3))) static void put_format(struct out *o, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	put_text(o, text);
}

/* The texts are clean UTF-8; U+FFFE and U+FFFF alone have no place in XML. */
static void put_escaped(struct out *o, const char *text)
{
	for (size_t n; *text; text += n) {
		n = strcspn(text, "<>&\"\xef");
		put(o, text, n);
		if (!text[n])
			break;
		text += n;
		n = 1;
		if (*text == '<')
			put_text(o, "&lt;");
		else if (*text == '>')
			put_text(o, "&gt;");
		else if (*text == '&')
			put_text(o, "&amp;");
		else if (*text == '"')
			put_text(o, "&quot;");
		else if (!strncmp(text, "\xef\xbf\xbe", 3) || !strncmp(text, "\xef\xbf\xbf", 3))
			put(o, "\xef\xbf\xbd", n = 3);
		else
			put(o, text, 1);
	}
}

static void put_attribute(struct out *o, const char *name, const char *value)
{
	if (!*value)
		return;
	put_format(o, " %s=\"", name);
	put_escaped(o, value);
	put_text(o, "\"");
}

static void put_digest(struct out *o, const char *name, const uint8_t digest[32])
{
	put_format(o, " %s=\"blake2b-256:", name);
	for (int i = 0; i < 32; i++)
		put_format(o, "%02x", digest[i]);
	put_text(o, "\"");
}

static void put_entry(struct out *o, const struct meta_link *link)
{
	const char *operation = link->text[3][strspn(link->text[3], " ")] ? link->text[3] : "?";
	char when[META_TIME_TEXT];

	meta_format_time(link->time, when);
	put_format(o, "  <entry number=\"%llu\" time=\"%s\"", (unsigned long long)link->number,
		   when);
	put_attribute(o, "operation", operation);
	put_attribute(o, "actor", link->text[0]);
	put_attribute(o, "host", link->text[1]);
	put_attribute(o, "tool", link->text[2]);
	put_attribute(o, "outcome", link->text[5]);
	if (link->n_rolled_up)
		put_format(o, " rolled-up=\"%llu\"", (unsigned long long)link->n_rolled_up);
	put_digest(o, "previous", link->previous);
	put_digest(o, "digest", link->digest);
	if (!link->text[4][0]) {
		put_text(o, "/>\n");
		return;
	}
	put_text(o, ">\n    <parameters>");
	put_escaped(o, link->text[4]);
	put_text(o, "</parameters>\n  </entry>\n");
}

int meta_chain_xml(struct vd_span raw, char **xml, size_t *len, struct vd_error *err)
{
	struct out o = {0};
	struct meta_walk walk;
	struct meta_link link;
	uint8_t digest[32];
	uint64_t number;
	bool is_linked;
	int ret;

	meta_chain_head(raw, &number, digest);
	put_text(&o, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
	put_format(&o, "<history xmlns=\"urn:libvdisk:history:1\" length=\"%llu\">\n",
		   (unsigned long long)number);
	meta_walk_begin(&walk, raw);
	while (!(ret = meta_walk_next(&walk, &link, &is_linked, err)))
		put_entry(&o, &link);
	put_text(&o, "</history>\n");
	if (ret == VD_ENOENT)
		ret = o.is_bad ? vd_no_memory(err, o.len, "the history") : 0;
	if (ret) {
		vd_free(o.p);
		return ret;
	}
	*xml = o.p;
	*len = o.len;
	return 0;
}
