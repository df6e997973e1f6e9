/* SPDX-License-Identifier: MIT */
/* One pass over the bytes of a document, before a parser sees them: see doc_guard.h. */
#include <string.h>
#include <strings.h>

#include <utf8proc.h>

#include "xml/doc_guard.h"

struct guard {
	const char *start, *p, *end;
	struct vd_error *err;
	int depth;
	uint32_t n_elements;
	uint32_t n_namespaces; /* in force */
	uint32_t declared[VD_DOC_MAX_DEPTH + 1];
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int line_of(const struct guard *g, const char *at)
{
	int line = 1;

	for (const char *p = g->start; (p = memchr(p, '\n', (size_t)(at - p))); p++)
		line++;
	return line;
}

static int refuse(const struct guard *g, const char *what)
{
	return vd_error_set(g->err, VD_ECORRUPT, 0, VD_NO_OFFSET, "line %d: %s", line_of(g, g->p),
			    what);
}

static bool is_next(const struct guard *g, const char *s)
{
	size_t n = strlen(s);

	return (size_t)(g->end - g->p) >= n && memcmp(g->p, s, n) == 0;
}

/** Behind the next `s`; false if there is none. */
static bool skip_to(struct guard *g, const char *s)
{
	const char *found = memmem(g->p, (size_t)(g->end - g->p), s, strlen(s));

	if (!found)
		return false;
	g->p = found + strlen(s);
	return true;
}

static int check_utf8(struct guard *g)
{
	utf8proc_int32_t c;

	for (; g->p < g->end; g->p++) {
		utf8proc_ssize_t n;

		if ((unsigned char)*g->p < 0x80) {
			if (*g->p == '\0')
				return refuse(g, "a NUL byte (documents are UTF-8)");
			continue;
		}
		n = utf8proc_iterate((const utf8proc_uint8_t *)g->p, g->end - g->p, &c);
		if (n < 1)
			return refuse(g, "not UTF-8");
		g->p += n - 1;
	}
	g->p = g->start;
	return 0;
}

/** The XML declaration may name no other encoding. */
static int check_declaration(struct guard *g)
{
	const char *end, *name;
	size_t len;

	if (is_next(g, "\xef\xbb\xbf"))
		g->p += 3;
	if (!is_next(g, "<?xml") || g->end - g->p < 6 || !is_blank(g->p[5]))
		return 0;
	end = memmem(g->p, (size_t)(g->end - g->p), "?>", 2);
	if (!end)
		return refuse(g, "the XML declaration doesn't end");
	name = memmem(g->p, (size_t)(end - g->p), "encoding", 8);
	if (name) {
		name += strlen("encoding");
		while (name < end && (is_blank(*name) || strchr("='\"", *name)))
			name++;
		len = 0;
		while (name + len < end && !strchr(" \t\r\n'\"", name[len]))
			len++;
		if (!(len == 5 && strncasecmp(name, "UTF-8", 5) == 0) &&
		    !(len == 8 && strncasecmp(name, "US-ASCII", 8) == 0))
			return refuse(g, "the encoding isn't UTF-8");
	}
	g->p = end + 2;
	return 0;
}

static int pass_reference(struct guard *g)
{
	static const char *const known[] = {"&lt;", "&gt;", "&amp;", "&quot;", "&apos;", "&#"};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (is_next(g, known[i])) {
			g->p += strlen(known[i]);
			return 0;
		}
	}
	return refuse(g, "an entity that isn't one of XML's five (&lt; &gt; &amp; &quot; &apos;)");
}

static int pass_value(struct guard *g)
{
	char quote = *g->p++;
	int ret = 0;

	while (!ret && g->p < g->end && *g->p != quote) {
		if (*g->p == '<')
			return refuse(g, "\"<\" in the value of an attribute");
		if (*g->p == '&')
			ret = pass_reference(g);
		else
			g->p++;
	}
	if (!ret && g->p == g->end)
		return refuse(g, "the value of an attribute doesn't end");
	g->p++;
	return ret;
}

static int pass_start_tag(struct guard *g)
{
	uint32_t n_attrs = 0, n_declared = 0;
	bool is_name_start = false, is_empty = false;
	int ret;

	if (++g->depth > VD_DOC_MAX_DEPTH)
		return refuse(g, "elements are nested over 64 deep");
	if (++g->n_elements > VD_DOC_MAX_ELEMENTS)
		return refuse(g, "over 100,000 elements");
	for (g->p++; g->p < g->end && *g->p != '>';) {
		if (*g->p == '"' || *g->p == '\'') {
			ret = pass_value(g);
			if (ret)
				return ret;
			is_name_start = true;
			continue;
		}
		if (*g->p == '<')
			return refuse(g, "\"<\" within a tag");
		if (*g->p == '=' && ++n_attrs > VD_DOC_MAX_ATTRIBUTES)
			return refuse(g, "over 256 attributes on one element");
		/* Wherever such a name can begin: rather one too many than one too few. */
		if (is_name_start && is_next(g, "xmlns"))
			n_declared++;
		is_name_start = is_blank(*g->p);
		is_empty = *g->p == '/';
		g->p++;
	}
	if (g->p == g->end)
		return refuse(g, "a tag doesn't end");
	g->p++;
	if (g->n_namespaces + n_declared > VD_DOC_MAX_NAMESPACES)
		return refuse(g, "over 128 declarations of namespaces");
	if (is_empty) {
		g->depth--;
	} else {
		g->declared[g->depth] = n_declared;
		g->n_namespaces += n_declared;
	}
	return 0;
}

static int pass_markup(struct guard *g)
{
	if (is_next(g, "<!--"))
		return skip_to(g, "-->") ? 0 : refuse(g, "a comment doesn't end");
	if (is_next(g, "<![CDATA["))
		return skip_to(g, "]]>") ? 0 : refuse(g, "a CDATA section doesn't end");
	if (is_next(g, "<!"))
		return refuse(g, "a document type declaration, which no document may have");
	if (is_next(g, "<?"))
		return skip_to(g, "?>") ? 0 : refuse(g, "an instruction doesn't end");
	if (!is_next(g, "</"))
		return pass_start_tag(g);
	if (!g->depth)
		return refuse(g, "an end tag without its start tag");
	g->n_namespaces -= g->declared[g->depth--];
	return skip_to(g, ">") ? 0 : refuse(g, "a tag doesn't end");
}

int vd_doc_guard(const char *bytes, size_t len, struct vd_error *err)
{
	struct guard g = {.start = bytes, .p = bytes, .end = bytes + len, .err = err};
	int ret;

	if (len > VD_META_DOCUMENT_MAX)
		return vd_error_set(err, VD_ERANGE, 0, VD_NO_OFFSET,
				    "the document has %zu bytes; at most %u are allowed", len,
				    VD_META_DOCUMENT_MAX);
	ret = check_utf8(&g);
	if (!ret)
		ret = check_declaration(&g);
	while (!ret && g.p < g.end) {
		if (*g.p == '<')
			ret = pass_markup(&g);
		else if (*g.p == '&')
			ret = pass_reference(&g);
		else
			g.p++;
	}
	if (ret)
		return ret;
	if (!g.n_elements)
		return refuse(&g, "no element");
	return g.depth ? refuse(&g, "the document ends within an element") : 0;
}
