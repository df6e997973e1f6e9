/* SPDX-License-Identifier: MIT */
/*
 * A file of rules, read strictly: what stands in it, as texts with their lines. Its structure is
 * that of metadata-schema/policy.xsd; what the texts mean is for policy/ to judge.
 */
#ifndef VD_XML_POLICY_DOC_H
#define VD_XML_POLICY_DOC_H

#include <stdbool.h>
#include <stddef.h>

#include <vdisk/error.h>

#define VD_POLICY_XMLNS    "urn:libvdisk:policy:1"
#define VD_POLICY_ID_MAX   100u
#define VD_POLICY_TEXT_MAX 4096u /* characters of a reason, a remedy */

/** A rule. Texts that aren't there are NULL. */
struct vd_policy_entry {
	int line;
	char *id, *actions, *effect;
	char *when; /* without the white space around it */
	bool is_xpath;
	int when_line;
	char *reason, *remedy; /* runs of white space became one blank */
};
/** A rule that is switched off. */
struct vd_policy_off {
	int line;
	char *rule;
};
struct vd_policy_doc {
	struct vd_policy_entry *entries;
	size_t n_entries;
	struct vd_policy_off *offs;
	size_t n_offs;
};

/** Read `len` bytes. VD_ECORRUPT: no XML, or against the schema; VD_ERANGE: too long, or more than
 *  `max` rules and offs; *line says where (0: nowhere in particular), the text doesn't. */
int vd_policy_doc_read(struct vd_policy_doc *out, const char *bytes, size_t len, size_t max,
		       int *line, struct vd_error *err);
void vd_policy_doc_free(struct vd_policy_doc *doc);

#endif
