/* SPDX-License-Identifier: MIT */
/*
 * XPath 1.0 expressions over metadata documents, bounded: length, nesting, operations and time
 * of an evaluation. Only the functions of XPath 1.0 itself, none of which reaches outside the
 * document; no variables. Prefixes of names are the names of categories.
 */
#ifndef VD_XML_XPATH_H
#define VD_XML_XPATH_H

#include "xml/doc.h"

#define VD_XPATH_TEXT_MAX  (16u << 10)
#define VD_XPATH_DEPTH_MAX 64u /* parentheses and brackets within each other */

struct vd_expression;

/** VD_EINVAL with err->offset; VD_ERANGE: too long or too deep. */
int vd_expression_compile(struct vd_expression **out, const char *text, struct vd_error *err);
void vd_expression_free(struct vd_expression *expression);
/** Is it true of the document (as XPath's boolean() has it)? VD_ERANGE: too many operations, or
 *  too much time. One thread at a time. */
int vd_expression_match(struct vd_expression *expression, const struct vd_doc *doc, bool *is_match,
			struct vd_error *err);

#endif
