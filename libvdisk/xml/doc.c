/* SPDX-License-Identifier: MIT */
/*
 * A document in memory. What may come in is decided by doc_guard.c; then libxml2 parses it without
 * network, document types and entities.
 */
#include <pthread.h>
#include <string.h>

#include <libxml/parser.h>
#include <libxml/xmlsave.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "xml/doc_guard.h"
#include "xml/doc_tree.h"

static void init_once(void)
{
	xmlInitParser();
}

void vd_xml_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, init_once);
}

/* ---- errors ---- */

void vd_xml_text(const xmlError *error, int category, char text[VD_ERROR_TEXT_MAX])
{
	const char *s = error->message ? error->message : "libxml2 gives no reason";
	const char *space = category < 0 ? "" : vd_schema_category(category)->category.xmlns;
	size_t n = 0, n_space = strlen(space);

	/* "{urn:...}name" of our own namespace reads better as "name". */
	for (; *s && n + 1 < VD_ERROR_TEXT_MAX; s++) {
		if (n_space && *s == '{' && strncmp(s + 1, space, n_space) == 0 &&
		    s[n_space + 1] == '}')
			s += n_space + 1;
		else
			text[n++] = *s == '\n' ? ' ' : *s;
	}
	while (n && (text[n - 1] == ' ' || text[n - 1] == '.'))
		n--;
	text[n] = '\0';
}

static void keep_first(void *user, xmlError *error)
{
	struct vd_quiet *quiet = (struct vd_quiet *)user;

	if (error->code == XML_ERR_NO_MEMORY)
		quiet->is_out = true;
	if (quiet->line || error->level < XML_ERR_ERROR)
		return;
	quiet->line = error->line > 0 ? error->line : 1;
	vd_xml_text(error, -1, quiet->text);
}

static void say_nothing(void *user, const char *fmt, ...)
{
	(void)user;
	(void)fmt;
}

void vd_quiet_begin(struct vd_quiet *quiet)
{
	vd_xml_init();
	quiet->structured = xmlStructuredError;
	quiet->structured_user = xmlStructuredErrorContext;
	quiet->generic = xmlGenericError;
	quiet->generic_user = xmlGenericErrorContext;
	quiet->is_out = false;
	quiet->line = 0;
	quiet->text[0] = '\0';
	xmlSetStructuredErrorFunc(quiet, keep_first);
	xmlSetGenericErrorFunc(NULL, say_nothing);
}

void vd_quiet_end(struct vd_quiet *quiet)
{
	xmlSetStructuredErrorFunc(quiet->structured_user, quiet->structured);
	xmlSetGenericErrorFunc(quiet->generic_user, quiet->generic);
}

/* ---- parse, create, free ---- */

static void free_parser(xmlParserCtxt **ctxt)
{
	xmlFreeParserCtxt(*ctxt);
}

/** Take over a tree. */
static int wrap(struct vd_doc **out, xmlDoc *xml, struct vd_error *err)
{
	struct vd_doc *doc = vd_malloc(sizeof(*doc));
	const char *space;

	if (!doc) {
		xmlFreeDoc(xml);
		return vd_no_memory(err, sizeof(*doc), "a document");
	}
	doc->xml = xml;
	space = vd_doc_xmlns(doc);
	doc->category = vd_schema_category_by_xmlns(space);
	*out = doc;
	return 0;
}

int vd_doc_parse(struct vd_doc **out, const char *bytes, size_t len, struct vd_error *err)
{
	__attribute__((cleanup(free_parser))) xmlParserCtxt *ctxt = NULL;
	VD_AUTO_QUIET struct vd_quiet quiet;
	xmlDoc *xml;
	int ret = vd_doc_guard(bytes, len, err);

	vd_quiet_begin(&quiet);
	if (ret)
		return ret;
	ctxt = xmlNewParserCtxt();
	if (!ctxt)
		return vd_no_memory(err, len, "parsing a document");
	/* What got here is UTF-8, whatever it declares; to say so would cost a conversion. */
	xml = xmlCtxtReadMemory(ctxt, bytes, (int)len, NULL, NULL,
				XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING |
				    XML_PARSE_COMPACT | XML_PARSE_BIG_LINES | XML_PARSE_IGNORE_ENC);
	if (quiet.is_out || ctxt->errNo == XML_ERR_NO_MEMORY) {
		xmlFreeDoc(xml);
		return vd_no_memory(err, len, "parsing a document");
	}
	/* A prefix without its namespace is told as a mere error. */
	if (!xml || !ctxt->wellFormed || !ctxt->nsWellFormed || !xmlDocGetRootElement(xml) ||
	    xml->intSubset || xml->extSubset) {
		xmlFreeDoc(xml);
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET, "line %d: %s",
				    quiet.line ? quiet.line : 1,
				    quiet.line ? quiet.text : "this is no XML");
	}
	return wrap(out, xml, err);
}

int vd_doc_create(struct vd_doc **out, const struct vd_category *category, struct vd_error *err)
{
	VD_AUTO_QUIET struct vd_quiet quiet;
	xmlNode *root;
	xmlDoc *xml;

	vd_quiet_begin(&quiet);
	xml = xmlNewDoc((const xmlChar *)"1.0");
	root = xml ? xmlNewDocNode(xml, NULL, (const xmlChar *)category->name, NULL) : NULL;
	/* libxml2 makes elements without a name where there is no memory for it. */
	if (root) {
		xmlDocSetRootElement(xml, root);
		xmlSetNs(root, xmlNewNs(root, (const xmlChar *)category->xmlns, NULL));
	}
	if (!root || !root->name || !root->ns || quiet.is_out) {
		xmlFreeDoc(xml);
		return vd_no_memory(err, sizeof(*xml), "a document");
	}
	return wrap(out, xml, err);
}

void vd_doc_free(struct vd_doc *doc)
{
	if (!doc)
		return;
	xmlFreeDoc(doc->xml);
	vd_free(doc);
}

const char *vd_doc_xmlns(const struct vd_doc *doc)
{
	const xmlNode *root = xmlDocGetRootElement(doc->xml);

	return root->ns && root->ns->href ? (const char *)root->ns->href : "";
}

static void free_buffer(xmlBuffer **buffer)
{
	xmlBufferFree(*buffer);
}

int vd_doc_format(const struct vd_doc *doc, char **bytes, size_t *len, struct vd_error *err)
{
	__attribute__((cleanup(free_buffer))) xmlBuffer *buffer = NULL;
	VD_AUTO_QUIET struct vd_quiet quiet;
	xmlSaveCtxt *save;
	bool is_saved;
	size_t n;

	vd_quiet_begin(&quiet);
	buffer = xmlBufferCreate();
	save = buffer ? xmlSaveToBuffer(buffer, "UTF-8", XML_SAVE_AS_XML) : NULL;
	if (!save)
		return vd_no_memory(err, sizeof(*buffer), "writing a document");
	is_saved = xmlSaveDoc(save, doc->xml) >= 0;
	if (xmlSaveClose(save) < 0 || !is_saved || quiet.line)
		return vd_no_memory(err, (size_t)xmlBufferLength(buffer), "writing a document");
	n = (size_t)xmlBufferLength(buffer);
	if (n > VD_META_DOCUMENT_MAX)
		return vd_error_set(err, VD_ERANGE, 0, VD_NO_OFFSET,
				    "the document would have %zu bytes; at most %u are allowed", n,
				    VD_META_DOCUMENT_MAX);
	*bytes = vd_malloc(n + 1);
	if (!*bytes)
		return vd_no_memory(err, n + 1, "a document");
	memcpy(*bytes, xmlBufferContent(buffer), n);
	(*bytes)[n] = '\0';
	*len = n;
	return 0;
}

/* ---- the tree ---- */

xmlNode *vd_doc_root(const struct vd_doc *doc, struct vd_error *err)
{
	xmlNode *root = xmlDocGetRootElement(doc->xml);
	const struct vd_category *category;

	if (doc->category < 0) {
		vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
			     "documents of %s have no fields (it is none of our categories)",
			     vd_doc_xmlns(doc));
		return NULL;
	}
	category = &vd_schema_category(doc->category)->category;
	if (strcmp((const char *)root->name, category->name) != 0) {
		vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
			     "line %ld: the document begins with \"%s\", not with \"%s\"",
			     xmlGetLineNo(root), (const char *)root->name, category->name);
		return NULL;
	}
	return root;
}

bool vd_node_is(const xmlNode *node, const xmlNode *root, const char *name)
{
	return node->type == XML_ELEMENT_NODE && node->ns &&
	       (node->ns == root->ns || xmlStrEqual(node->ns->href, root->ns->href)) &&
	       strcmp((const char *)node->name, name) == 0;
}

static bool is_text(const xmlNode *node)
{
	return node->type == XML_TEXT_NODE || node->type == XML_CDATA_SECTION_NODE;
}

const char *vd_node_text(const xmlNode *first, char **own)
{
	const xmlNode *only = NULL;
	size_t len = 0, n_texts = 0;

	*own = NULL;
	for (const xmlNode *n = first; n; n = n->next) {
		if (!is_text(n) || !n->content)
			continue;
		only = n;
		n_texts++;
		len += strlen((const char *)n->content);
	}
	if (n_texts < 2)
		return only ? (const char *)only->content : "";
	*own = vd_malloc(len + 1);
	if (!*own)
		return NULL;
	len = 0;
	for (const xmlNode *n = first; n; n = n->next) {
		if (is_text(n) && n->content) {
			strcpy(*own + len, (const char *)n->content);
			len += strlen((const char *)n->content);
		}
	}
	return *own;
}
