/* SPDX-License-Identifier: MIT */
/* What the files of xml/ share about a document: libxml2's tree, and keeping libxml2 quiet. */
#ifndef VD_XML_DOC_TREE_H
#define VD_XML_DOC_TREE_H

#include <libxml/tree.h>
#include <libxml/xmlerror.h>

#include "xml/doc.h"
#include "xml/schema.h"

struct vd_doc {
	xmlDoc *xml;
	int category; /* -1: a vendor's */
};

/**
 * While one of these lives, libxml2 tells this thread's errors to nobody but it: neither to stderr
 * nor to a hook of the program that uses the library. Made by vd_quiet_begin.
 */
struct vd_quiet {
	xmlStructuredErrorFunc structured;
	void *structured_user;
	xmlGenericErrorFunc generic;
	void *generic_user;
	bool is_out;                  /* of memory: nothing else that was said counts */
	int line;                     /* of the first error; 0: none yet */
	char text[VD_ERROR_TEXT_MAX]; /* what it said, in one line */
};
void vd_quiet_begin(struct vd_quiet *quiet);
void vd_quiet_end(struct vd_quiet *quiet);
#define VD_AUTO_QUIET __attribute__((cleanup(vd_quiet_end)))

/** Once per process; the other functions of xml/ call it. */
void vd_xml_init(void);
/** What libxml2 says, as a line of ours. */
void vd_xml_text(const xmlError *error, int category, char text[VD_ERROR_TEXT_MAX]);

/** The root, if it is that of its category; else NULL with a text. */
xmlNode *vd_doc_root(const struct vd_doc *doc, struct vd_error *err);
/** The node is the element of ours called `name`. */
bool vd_node_is(const xmlNode *node, const xmlNode *root, const char *name);
/** Text of an element or value of an attribute, borrowed where it stands in one piece; else put
 *  together in *own (vd_free). NULL: no memory. */
const char *vd_node_text(const xmlNode *first, char **own);

#endif
