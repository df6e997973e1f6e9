/* SPDX-License-Identifier: MIT */
/*
 * Validation against the schemas, which are part of the library. Each is compiled when it is first
 * needed and kept; libxml2 only reads a compiled schema while it validates, so threads share them,
 * each with a context of its own. A place for schemas that a document names (xsi:schemaLocation) is
 * never followed: libxml2 does that only when it validates without a schema.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <libxml/xmlschemas.h>

#include "base/alloc.h"
#include "xml/doc_tree.h"

/* A document can have as many faults as it has elements. */
#define MAX_TOLD 100

static int compile(xmlSchema **out, int category, struct vd_error *err)
{
	const struct schema_category *c = vd_schema_category(category);
	VD_AUTO_QUIET struct vd_quiet quiet;
	xmlSchemaParserCtxt *ctxt;

	vd_quiet_begin(&quiet);
	ctxt = xmlSchemaNewMemParserCtxt(c->text, (int)c->text_len);
	*out = ctxt ? xmlSchemaParse(ctxt) : NULL;
	xmlSchemaFreeParserCtxt(ctxt);
	/* One that lacks a part would be kept for good. */
	if (quiet.is_out) {
		xmlSchemaFree(*out);
		*out = NULL;
	}
	/* They compiled when the library was tested. */
	return *out ? 0 : vd_no_memory(err, c->text_len, "a schema");
}

static int get_schema(xmlSchema **out, int category, struct vd_error *err)
{
	static _Atomic(xmlSchema *) schemas[VD_N_CATEGORIES];
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	int ret = 0;

	*out = atomic_load_explicit(&schemas[category], memory_order_acquire);
	if (*out)
		return 0;
	pthread_mutex_lock(&lock);
	*out = atomic_load_explicit(&schemas[category], memory_order_relaxed);
	if (!*out) {
		ret = compile(out, category, err);
		atomic_store_explicit(&schemas[category], *out, memory_order_release);
	}
	pthread_mutex_unlock(&lock);
	return ret;
}

struct teller {
	vd_wrong_fn fn;
	void *user;
	int category, n_told, first_line;
	bool is_out; /* of memory */
	char first[VD_ERROR_TEXT_MAX];
};

static void tell(void *user, xmlError *error)
{
	struct teller *teller = (struct teller *)user;
	char text[VD_ERROR_TEXT_MAX];

	if (error->code == XML_ERR_NO_MEMORY)
		teller->is_out = true;
	if (error->level < XML_ERR_ERROR || teller->is_out || teller->n_told++ >= MAX_TOLD)
		return;
	vd_xml_text(error, teller->category, text);
	if (teller->n_told == 1) {
		teller->first_line = error->line;
		strcpy(teller->first, text);
	}
	if (teller->fn)
		teller->fn(teller->user, error->line, text);
}

int vd_doc_validate(const struct vd_doc *doc, vd_wrong_fn fn, void *user, struct vd_error *err)
{
	struct teller teller = {.fn = fn, .user = user, .category = doc->category};
	VD_AUTO_QUIET struct vd_quiet quiet;
	xmlSchemaValidCtxt *ctxt;
	xmlSchema *schema;
	int ret, n;

	if (doc->category < 0)
		return vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET,
				    "there is no schema for \"%s\"", vd_doc_xmlns(doc));
	vd_quiet_begin(&quiet);
	ret = get_schema(&schema, doc->category, err);
	if (ret)
		return ret;
	ctxt = xmlSchemaNewValidCtxt(schema);
	if (!ctxt)
		return vd_no_memory(err, sizeof(void *), "validating a document");
	xmlSchemaSetValidStructuredErrors(ctxt, tell, &teller);
	n = xmlSchemaValidateDoc(ctxt, doc->xml);
	xmlSchemaFreeValidCtxt(ctxt);
	if (n < 0 || quiet.is_out || teller.is_out)
		return vd_no_memory(err, sizeof(void *), "validating a document");
	if (!n)
		return 0;
	if (fn && teller.n_told > MAX_TOLD)
		fn(user, 0, "and more");
	if (teller.first_line > 0)
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET, "line %d: %s",
				    teller.first_line, teller.first);
	return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET, "%s",
			    n ? teller.first : "it breaks its schema");
}
