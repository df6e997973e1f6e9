/* SPDX-License-Identifier: MIT */
/*
 * What a document may ask of the parser, decided before the parser sees it. libxml2 has no bound on
 * attributes and namespaces, over which it searches linearly, and knows document types; this looks
 * through the bytes once and lets only those pass that it takes a bounded time to parse.
 */
#ifndef VD_XML_DOC_GUARD_H
#define VD_XML_DOC_GUARD_H

#include <vdisk/meta.h>

#define VD_DOC_MAX_DEPTH      64
#define VD_DOC_MAX_ELEMENTS   100000
#define VD_DOC_MAX_ATTRIBUTES 256 /* of one element, declarations of namespaces too */
#define VD_DOC_MAX_NAMESPACES 128 /* in force at one place */

/** VD_ERANGE: over VD_META_DOCUMENT_MAX; VD_ECORRUPT: not UTF-8, or over the bounds above, or a
 *  document type, or an entity other than XML's five; with the line. Not a whole parser: what it
 *  lets pass may still be no XML. */
int vd_doc_guard(const char *bytes, size_t len, struct vd_error *err);

#endif
