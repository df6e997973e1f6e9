/* SPDX-License-Identifier: MIT */
/*
 * The facts that a rule's condition rests on, for people: "cve.open = CVE-2026-1234 (critical,
 * openssl)". Of an entry of a list its head is told, once, with what else matters of it; and if it
 * says how it is mended, that becomes the remedy. And what a condition can't rest on.
 */
#include <string.h>

#include "policy/policy_rules.h"

/** The run that holds the fact. */
static const struct vd_fact_run *run_of(const struct vd_policy_input *input,
					const struct vd_fact *fact)
{
	const struct vd_fact_run *runs[] = {&input->metadata, &input->image, &input->host};

	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++)
		if (runs[i]->n && fact >= runs[i]->facts && fact < runs[i]->facts + runs[i]->n)
			return runs[i];
	return NULL;
}

/** The fact of the same entry whose field the others' begin with: cve.open of
 *  cve.open.severity; the fact itself if there is none. */
static const struct vd_fact *head_of(const struct vd_fact_run *run, const struct vd_fact *fact)
{
	const struct vd_fact *head = fact;

	for (size_t i = 0; i < run->n; i++) {
		const struct vd_fact *f = &run->facts[i];
		size_t len = strlen(f->field);

		if (f->group == fact->group && len < strlen(head->field) &&
		    strncmp(f->field, fact->field, len) == 0 && fact->field[len] == '.')
			head = f;
	}
	return head;
}

/** The value of HEAD.part in the entry of `head`, or NULL. */
static const char *part_of(const struct vd_fact_run *run, const struct vd_fact *head,
			   const char *part)
{
	size_t len = strlen(head->field);

	for (size_t i = 0; i < run->n; i++) {
		const struct vd_fact *f = &run->facts[i];

		if (f->group == head->group && strncmp(f->field, head->field, len) == 0 &&
		    f->field[len] == '.' && strcmp(f->field + len + 1, part) == 0)
			return f->value;
	}
	return NULL;
}

static void add_detail(struct policy_text *text, const char *value, bool is_package, size_t *n)
{
	policy_text_add(text, "%s", (*n)++ ? ", " : " (");
	if (is_package)
		policy_text_package(text, value);
	else
		policy_text_value(text, value);
}

/** "(critical, openssl)": what is asked of the entry, how bad it is, which package it is of. */
static void add_entry(struct policy_text *text, const struct vd_fact_run *run,
		      const struct vd_fact *head, const struct vd_fact *fact)
{
	static const char *const parts[] = {"severity", "package", "name"};
	size_t n = 0;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		const char *value = part_of(run, head, parts[i]);

		if (value)
			add_detail(text, value, strcmp(parts[i], "package") == 0, &n);
		if (value && value == fact->value)
			fact = head;
	}
	if (fact != head)
		add_detail(text, fact->value, false, &n);
	policy_text_add(text, "%s", n ? ")" : "");
}

/** An open CVE that is fixed in a version that is known. */
static void add_remedy(struct policy_text *text, const struct vd_fact_run *run,
		       const struct vd_fact *head)
{
	const char *package, *fixed;

	if (strcmp(head->field, "cve.open") != 0)
		return;
	package = part_of(run, head, "package");
	fixed = part_of(run, head, "fixed-in");
	policy_text_cve_remedy(text, package, fixed);
}

void policy_hits_hear(void *user, const struct vd_query_node *node, const struct vd_fact *fact)
{
	struct policy_hits *hits = user;
	const struct vd_fact_run *run = run_of(hits->input, fact);
	const struct vd_fact *head = fact;

	(void)node;
	/* The action is what was asked for; to repeat it tells nothing. A long condition can be
	 * told the same facts again and again. */
	if (hits->has_more || strcmp(fact->field, "action") == 0 ||
	    hits->n_heard++ >= POLICY_HEARD_MAX)
		return;
	if (run && fact->group)
		head = head_of(run, fact);
	for (size_t i = 0; i < hits->n; i++)
		if (hits->seen[i] == head)
			return;
	if (hits->n == POLICY_HITS_MAX) {
		hits->has_more = true;
		policy_text_add(&hits->facts, "\nand more");
		return;
	}
	hits->seen[hits->n++] = head;
	policy_text_line(&hits->facts);
	policy_text_value(&hits->facts, head->field);
	policy_text_add(&hits->facts, " = ");
	policy_text_value(&hits->facts, head->value);
	if (run && head->group) {
		add_entry(&hits->facts, run, head, fact);
		add_remedy(&hits->remedy, run, head);
	}
}

const char *policy_query_wrong(const struct vd_query_node *node)
{
	const char *wrong = NULL;

	if (node->kind == VD_QUERY_FILE || node->kind == VD_QUERY_SHA256)
		return "file: and sha256: can't be asked by a rule; they need the file index, "
		       "which no policy reads";
	if (node->kind == VD_QUERY_TERM && strcmp(node->field, "image.modified") == 0)
		return "image.modified can't be asked by a rule: opening an image may change it";
	/* The depth of a query is bounded by VD_QUERY_DEPTH_MAX. */
	for (size_t i = 0; i < node->n_children && !wrong; i++)
		wrong = policy_query_wrong(node->children[i]);
	return wrong;
}

/** Of the documents, and not of the file, the host or the action. */
static bool is_of_documents(const char *field)
{
	return strncmp(field, "host.", 5) != 0 && strncmp(field, "image.", 6) != 0 &&
	       strncmp(field, "metadata.", 9) != 0 && strcmp(field, "action") != 0;
}

bool policy_query_rests_on_absence(const struct vd_query_node *node, bool is_negated)
{
	switch (node->kind) {
	case VD_QUERY_NOT:
		return policy_query_rests_on_absence(node->children[0], !is_negated);
	case VD_QUERY_TERM:
		return (is_negated || node->op == VD_QUERY_NE) && is_of_documents(node->field);
	case VD_QUERY_ENTRY: /* an entry is there as a whole, or not at all */
		return is_negated && is_of_documents(node->field);
	case VD_QUERY_WORD:
		return is_negated;
	default:
		break;
	}
	for (size_t i = 0; i < node->n_children; i++)
		if (policy_query_rests_on_absence(node->children[i], is_negated))
			return true;
	return false;
}

bool policy_query_asks(const struct vd_query_node *node, const char *field)
{
	if (node->kind == VD_QUERY_TERM && strcmp(node->field, field) == 0)
		return true;
	for (size_t i = 0; i < node->n_children; i++)
		if (policy_query_asks(node->children[i], field))
			return true;
	return false;
}
