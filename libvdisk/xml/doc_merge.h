/* SPDX-License-Identifier: MIT */
/*
 * Putting a document that a program made into one that people may have edited. What the program
 * wrote is marked where it stands, by an attribute in a namespace of its own, so that the next
 * time replaces that and nothing else.
 */
#ifndef VD_XML_DOC_MERGE_H
#define VD_XML_DOC_MERGE_H

#include "xml/doc.h"

/** The marks: scan:wrote="NAME ..." names the attributes that were written, "." the element. */
#define VD_MERGE_XMLNS "urn:libvdisk:scan:1"

/**
 * `fresh` is of the same category as `doc`. What an earlier merge marked in doc and fresh no longer
 * has goes; what fresh has comes or is changed, unless people said it already (`overrules`: theirs
 * is replaced all the same). Entries of lists are told apart by their text, or by the number of
 * their partition.
 */
int vd_doc_merge(struct vd_doc *doc, const struct vd_doc *fresh, bool overrules,
		 struct vd_error *err);

#endif
