/* SPDX-License-Identifier: MIT */
/*
 * A metadata document in memory: parsed safely, validated, read and changed by fields. The only
 * place that knows libxml2.
 *
 * Parsing: no network, no document type declaration at all, no entities but the five of XML, depth
 * and size bounded. What a reader doesn't know (foreign namespaces, comments) stays where it is.
 */
#ifndef VD_XML_DOC_H
#define VD_XML_DOC_H

#include <vdisk/meta.h>

struct vd_doc;

/** Parse `len` bytes. VD_ECORRUPT with line and reason; VD_ERANGE over VD_META_DOCUMENT_MAX. */
int vd_doc_parse(struct vd_doc **out, const char *bytes, size_t len, struct vd_error *err);
/** An empty, valid document of a category. */
int vd_doc_create(struct vd_doc **out, const struct vd_category *category, struct vd_error *err);
void vd_doc_free(struct vd_doc *doc);
/** Namespace of the root element, "" if it has none. Borrowed. */
const char *vd_doc_xmlns(const struct vd_doc *doc);
/** As bytes (UTF-8, two blanks of indentation where we made it); the caller frees with vd_free. */
int vd_doc_format(const struct vd_doc *doc, char **bytes, size_t *len, struct vd_error *err);
/** Against the schema of its namespace. 0; VD_ECORRUPT after telling each fault to `fn` (may be
 *  NULL), with the first in *err; VD_ENOENT: no schema of ours (a vendor's). */
int vd_doc_validate(const struct vd_doc *doc, vd_wrong_fn fn, void *user, struct vd_error *err);

/** Each value that a field of the document's category has, in document order, in the type's normal
 *  form. group: fields of one entry of a list share a number > 0, which counts the entries of this
 *  document (other documents begin at 1 again). VD_ECORRUPT with the line: a value breaks its type.
 *  A non-zero answer of fn ends it. */
typedef int (*vd_doc_value_fn)(void *user, const struct vd_field *field, const char *value,
			       uint32_t group);
int vd_doc_each_value(const struct vd_doc *doc, vd_doc_value_fn fn, void *user,
		      struct vd_error *err);
/** As vd_meta_set_field, for a field of this document's category. */
int vd_doc_set_field(struct vd_doc *doc, const struct vd_field *field, enum vd_field_edit edit,
		     const char *value, struct vd_error *err);

/** Several fields of one entry of a list (a partition, a CVE, an attached file) at once. The first
 *  is the one that tells entries apart (partition.number, cve.open, file, hardware.name): the entry
 *  with this value is changed, or a new one is made. A value NULL takes a field out of it. */
struct vd_doc_pair {
	const char *field, *value;
};
int vd_doc_set_entry(struct vd_doc *doc, const struct vd_doc_pair *pairs, size_t n,
		     struct vd_error *err);
/** The value in its normal form ("4G" -> "4294967296", "+90d" -> RFC 3339); VD_EINVAL with what is
 *  wrong. The caller frees *normal with vd_free. `now`: seconds since 1970. */
int vd_field_normalize(const struct vd_field *field, const char *value, int64_t now, char **normal,
		       struct vd_error *err);
/** Case-folded and normalised for looking up (Unicode NFKC). The caller frees with vd_free. */
int vd_field_key(const char *value, char **key, struct vd_error *err);

#endif
