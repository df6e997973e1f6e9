/* SPDX-License-Identifier: MIT */
/* Documents that want more than to be read: refused in bounded time, without a look elsewhere. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <libxml/parser.h>

#include "base/alloc.h"
#include "xml/doc.h"
#include "xml/doc_guard.h"

#define TAGS "urn:libvdisk:tags:1"

static struct vd_error err;

static int parse_bytes(const char *bytes, size_t len)
{
	struct vd_doc *doc = NULL;
	int ret;

	err = (struct vd_error)VD_ERROR_INIT;
	ret = vd_doc_parse(&doc, bytes, len, &err);
	vd_doc_free(doc);
	return ret;
}

static int parse(const char *text)
{
	return parse_bytes(text, strlen(text));
}

static void assert_refused(const char *text, const char *why)
{
	assert_int_equal(parse(text), VD_ECORRUPT);
	if (!strstr(err.text, why))
		fail_msg("\"%s\" doesn't say \"%s\"", err.text, why);
}

/* `head`, `piece` again and again, `tail`. */
static char *repeat(const char *head, const char *piece, size_t n, const char *tail)
{
	size_t size = strlen(head) + n * strlen(piece) + strlen(tail) + 1;
	char *text = malloc(size), *p;

	assert_non_null(text);
	p = stpcpy(text, head);
	for (size_t i = 0; i < n; i++)
		p = stpcpy(p, piece);
	stpcpy(p, tail);
	return text;
}

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void document_types_are_refused(void **state)
{
	(void)state;
	assert_refused("<!DOCTYPE a><a/>", "line 1: a document type declaration");
	assert_refused("<?xml version='1.0'?>\n<!-- x -->\n<!DOCTYPE a SYSTEM 'a.dtd'>\n<a/>",
		       "line 3: a document type declaration");
	/* Billion laughs, quadratic blow-up, and files. */
	assert_refused("<!DOCTYPE a [<!ENTITY a 'ha'><!ENTITY b '&a;&a;'>]><a>&b;</a>",
		       "document type");
	assert_refused("<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>",
		       "document type");
	assert_refused("<!DOCTYPE a [<!ENTITY % p SYSTEM 'http://127.0.0.1/x'> %p;]><a/>",
		       "document type");
	assert_refused("<a><!DOCTYPE a></a>", "document type");
	/* Where it is but text, it is nothing. */
	assert_int_equal(parse("<a><!-- <!DOCTYPE a> --><![CDATA[<!DOCTYPE a>]]></a>"), 0);
}

static void entities_are_refused(void **state)
{
	(void)state;
	assert_refused("<a>\n&nbsp;</a>", "line 2: an entity");
	assert_refused("<a b='&xxe;'/>", "an entity");
	assert_refused("<a>& </a>", "an entity");
	assert_int_equal(parse("<a b='&lt;'>&amp;&gt;&quot;&apos;&#65;&#x41;</a>"), 0);
	assert_refused("<a>&#0;</a>", "line 1");
}

static void depth_is_bounded(void **state)
{
	char *fits = repeat("", "<a>", VD_DOC_MAX_DEPTH, "");
	char *ends = repeat("", "</a>", VD_DOC_MAX_DEPTH, "");
	char *text = repeat(fits, "", 0, ends), *over;

	(void)state;
	assert_int_equal(parse(text), 0);
	over = repeat("<a>", text, 1, "</a>");
	assert_refused(over, "nested over 64 deep");
	free(over);
	over = repeat("", "<a>", 300000, "");
	assert_refused(over, "nested over 64 deep");
	free(over);
	free(text);
	free(ends);
	free(fits);
}

static void attributes_and_namespaces_are_bounded(void **state)
{
	char text[64 * 1024] = "<a";
	size_t n = 2;

	(void)state;
	for (int i = 0; i < VD_DOC_MAX_ATTRIBUTES; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, " a%d=''", i);
	strcpy(text + n, "/>");
	assert_int_equal(parse(text), 0);
	strcpy(text + n, " b=''/>");
	assert_refused(text, "over 256 attributes");

	n = 0;
	for (int i = 0; i < VD_DOC_MAX_NAMESPACES + 1; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%sxmlns:n%d='u:%d'%s",
				      i % 10 ? "" : "<a", i % 2 ? "\n" : " ", i, i,
				      i % 10 == 9 ? ">" : "");
	strcpy(text + n, "/>");
	assert_refused(text, "over 128 declarations");
	/* Side by side they are not in force together. */
	n = (size_t)snprintf(text, sizeof(text), "<a>");
	for (int i = 0; i < 1000; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      "<b xmlns:x='u'></b><c xmlns='u'/>");
	strcpy(text + n, "</a>");
	assert_int_equal(parse(text), 0);
}

static void size_is_bounded(void **state)
{
	size_t len = VD_META_DOCUMENT_MAX;
	char *text = malloc(len + 1);

	(void)state;
	memset(text, ' ', len + 1);
	memcpy(text, "<a/>", 4);
	assert_int_equal(parse_bytes(text, len), 0);
	assert_int_equal(parse_bytes(text, len + 1), VD_ERANGE);
	assert_int_equal(parse_bytes(text, 0), VD_ECORRUPT);
	free(text);
}

static void only_utf8_is_read(void **state)
{
	(void)state;
	assert_refused("<a>\n\xff</a>", "line 2: not UTF-8");
	assert_refused("<a>\xc0\x80</a>", "not UTF-8");
	assert_refused("<a>\xed\xa0\x80</a>", "not UTF-8");
	assert_refused("<?xml version='1.0' encoding='ISO-8859-1'?><a/>", "encoding isn't UTF-8");
	assert_refused("<?xml version='1.0' encoding = \"UTF-16\"?><a/>", "encoding isn't UTF-8");
	assert_refused("\xff\xfe<\0a\0/\0>\0", "not UTF-8");
	assert_int_equal(parse_bytes("<a>\0</a>", 8), VD_ECORRUPT);
	assert_int_equal(parse_bytes("<\0a\0/\0>\0", 8), VD_ECORRUPT);
	assert_refused("<a>\x01</a>", "line 1");
	assert_int_equal(
	    parse("\xef\xbb\xbf<?xml version='1.0' encoding=\"utf-8\"?><a>\xc3\xa4</a>"), 0);
}

static void what_is_no_xml_says_where(void **state)
{
	static const char *const broken[] = {
	    "",
	    " ",
	    "text",
	    "<a>",
	    "<a></b>",
	    "<a/><b/>",
	    "</a>",
	    "<a b=c/>",
	    "<a b='1' b='2'/>",
	    "<a b='<'/>",
	    "<a",
	    "<a b='",
	    "<!-- ",
	    "<a><![CDATA[</a>",
	    "<?x",
	    "<a>]]></a>",
	    "<a/>x",
	    "<x:a/>",
	    "<a x:b=''/>",
	    "<a:b:c xmlns:a='u'/>",
	    "< a/>",
	    "<a/ >",
	    "<1/>",
	    "<a xmlns:x=''/>",
	    "<a xmlns:xml='u'/>",
	    "<?xml version='1.0'",
	    "<a><!ELEMENT a></a>",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++) {
		if (parse(broken[i]) != VD_ECORRUPT || !strstr(err.text, "line 1"))
			fail_msg("%s: %d, %s", broken[i], err.code, err.text);
	}
	assert_refused("<a>\n<b>\n</a>\n</b>", "line 3: Opening and ending tag mismatch");
}

static int n_asked;
static xmlParserInputPtr count_asked(const char *url, const char *id, xmlParserCtxtPtr ctxt)
{
	(void)url;
	(void)id;
	(void)ctxt;
	n_asked++;
	return NULL;
}

/* Whatever a document names as a place, nobody goes there. */
static void no_other_file_is_asked_for(void **state)
{
	static const char *const texts[] = {
	    "<tags xmlns='" TAGS "' xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'"
	    " xsi:schemaLocation='" TAGS " /tmp/x.xsd urn:x http://127.0.0.1/x.xsd'>"
	    "<x:a xmlns:x='urn:x' xsi:type='x:t'/></tags>",
	    "<tags xmlns='" TAGS "' xmlns:xi='http://www.w3.org/2001/XInclude'>"
	    "<xi:include href='/etc/passwd' parse='text'/></tags>",
	    "<?xml-stylesheet href='http://127.0.0.1/x.xsl'?><?xml-model href='/x.rng'?>"
	    "<tags xmlns='" TAGS "' xml:base='http://127.0.0.1/'/>",
	};
	xmlExternalEntityLoader usual = xmlGetExternalEntityLoader();
	struct vd_doc *doc;
	char *bytes;
	size_t len;

	(void)state;
	xmlSetExternalEntityLoader(count_asked);
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		assert_int_equal(vd_doc_parse(&doc, texts[i], strlen(texts[i]), NULL), 0);
		vd_doc_validate(doc, NULL, NULL, NULL);
		assert_int_equal(vd_doc_format(doc, &bytes, &len, NULL), 0);
		assert_null(strstr(bytes, "root:"));
		vd_free(bytes);
		vd_doc_free(doc);
	}
	xmlSetExternalEntityLoader(usual);
	assert_int_equal(n_asked, 0);
}

/* ---- what libxml2 holds ---- */

static size_t held, most_held;

static void *counted(void *p)
{
	held += malloc_usable_size(p);
	if (held > most_held)
		most_held = held;
	return p;
}

static void *count_malloc(size_t size)
{
	return counted(malloc(size));
}

static void *count_realloc(void *old, size_t size)
{
	held -= malloc_usable_size(old);
	return counted(realloc(old, size));
}

static char *count_strdup(const char *s)
{
	return counted(strdup(s));
}

static void count_free(void *p)
{
	held -= malloc_usable_size(p);
	free(p);
}

static int pass_on(void *user, const struct vd_field *field, const char *value, uint32_t group)
{
	(void)user;
	(void)field;
	(void)value;
	(void)group;
	return 0;
}

/* The dearest documents that get in: parsed, validated, read. */
static void time_and_memory_are_bounded(void **state)
{
	static const struct {
		const char *head, *piece, *tail;
	} dear[] = {
	    {"<tags xmlns='" TAGS "'>", "<tag>a</tag>", "</tags>"},
	    {"<tags xmlns='" TAGS "'><tag>", "a=", "</tag></tags>"},
	    {"<tags xmlns='" TAGS "'><tag>", "<!---->x", "</tag></tags>"},
	    {"<tags xmlns='" TAGS "'>", "<x:a xmlns:x='u' b='' c='' d=''/>", "</tags>"},
	    {"<tags xmlns='" TAGS "'>", "<?a?>\n", "</tags>"},
	    {"<tags xmlns='" TAGS "'>", "&#10;", "</tags>"},
	    {"<tags xmlns='" TAGS "' a='", "&amp;", "'/>"},
	    {"<content xmlns='urn:libvdisk:content:1'><software>",
	     "<package>pkg:deb/debian/a@1</package>", "</software></content>"},
	    {"<content xmlns='urn:libvdisk:content:1'><software><package>pkg:a/", "%25.",
	     "</package></software></content>"},
	    {"<content xmlns='urn:libvdisk:content:1'><os version='1", "a.b-c~d:e^f_",
	     "'/></content>"},
	    {"<configuration xmlns='urn:libvdisk:configuration:1'><file name='a' digest='", "a.b-",
	     "'/></configuration>"},
	    {"<configuration xmlns='urn:libvdisk:configuration:1'><file name='a' media-type='a/b;",
	     "; ;", "'/></configuration>"},
	};
	double start = cpu_seconds();

	(void)state;
	for (size_t i = 0; i < sizeof(dear) / sizeof(*dear); i++) {
		size_t room = VD_META_DOCUMENT_MAX - strlen(dear[i].head) - strlen(dear[i].tail);
		size_t n = room / strlen(dear[i].piece);
		struct vd_doc *doc;
		char *text;

		if (dear[i].piece[0] == '<' && n >= VD_DOC_MAX_ELEMENTS)
			n = VD_DOC_MAX_ELEMENTS - 10;
		text = repeat(dear[i].head, dear[i].piece, n, dear[i].tail);
		assert_int_equal(vd_doc_parse(&doc, text, strlen(text), &err), 0);
		vd_doc_validate(doc, NULL, NULL, NULL);
		vd_doc_each_value(doc, pass_on, NULL, NULL);
		vd_doc_free(doc);
		free(text);
	}
	/* A sanitizer may multiply the seconds by ten. */
	print_message("%.2f s, %zu KiB\n", cpu_seconds() - start, most_held / 1024);
	assert_true(cpu_seconds() - start < 30);
	assert_true(most_held > 1024 * 1024 && most_held < 64 * 1024 * 1024);
}

static int n_heard;
static void hear(void *user, xmlErrorPtr error)
{
	(void)user;
	(void)error;
	n_heard++;
}

/* The program around the library may use libxml2 itself. */
static void hooks_of_the_program_are_left_alone(void **state)
{
	struct vd_doc *doc;

	(void)state;
	xmlSetStructuredErrorFunc(&n_heard, hear);
	assert_refused("<a></b>", "mismatch");
	assert_int_equal(vd_doc_create(&doc, vd_category_find("tags"), NULL), 0);
	assert_int_equal(vd_doc_validate(doc, NULL, NULL, NULL), 0);
	assert_int_equal(vd_doc_set_field(doc, vd_field_find("tag"), VD_FIELD_ADD, "a b", NULL),
			 VD_EINVAL);
	vd_doc_free(doc);
	assert_int_equal(n_heard, 0);
	assert_ptr_equal(xmlStructuredErrorContext, &n_heard);
	xmlFreeDoc(xmlReadMemory("<a></b>", 7, NULL, NULL, XML_PARSE_RECOVER));
	assert_true(n_heard > 0);
	xmlSetStructuredErrorFunc(NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(document_types_are_refused),
	    cmocka_unit_test(entities_are_refused),
	    cmocka_unit_test(depth_is_bounded),
	    cmocka_unit_test(attributes_and_namespaces_are_bounded),
	    cmocka_unit_test(size_is_bounded),
	    cmocka_unit_test(only_utf8_is_read),
	    cmocka_unit_test(what_is_no_xml_says_where),
	    cmocka_unit_test(no_other_file_is_asked_for),
	    cmocka_unit_test(time_and_memory_are_bounded),
	    cmocka_unit_test(hooks_of_the_program_are_left_alone),
	};

	xmlMemSetup(count_free, count_malloc, count_realloc, count_strdup);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
