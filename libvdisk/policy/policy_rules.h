/* SPDX-License-Identifier: MIT */
/*
 * The inside of a policy.
 *
 *   policy_load.c     files -> rules                     purpose.c         names of actions
 *   policy_decide.c   the first rule that holds          policy_hits.c     facts that it rests on
 *   policy_builtin.c  the built-in rules, and those on metadata, validity and patches
 *   policy_hardware.c, policy_cpu.c   alternatives of machines against a host
 *   policy_host.c     its OS and hypervisors             policy_facts.c    looking facts up
 *
 * Rules are read once and never written again, so any number of threads may decide by them. A
 * compiled XPath is for one thread, so those are compiled anew for each decision.
 */
#ifndef VD_POLICY_POLICY_RULES_H
#define VD_POLICY_POLICY_RULES_H

#include <vdisk/policy.h>

#include "policy/policy_text.h"

#define POLICY_FILE_MAX  (1u << 20)
#define POLICY_BYTES_MAX (16u << 20) /* of all files */
#define POLICY_FILES_MAX 256u
#define POLICY_NAMES_MAX 4096u /* in the folder, others included */
#define POLICY_RULES_MAX 4096u

/** What a rule says of an image. Texts are taken over if it denies. */
struct policy_verdict {
	enum vd_rule_outcome outcome;
	struct policy_text detail, reason, facts, remedy, nearest;
};
void policy_verdict_free(struct policy_verdict *verdict);

/** A built-in rule: fills a zeroed verdict. Errors: VD_ENOMEM. */
typedef int (*policy_builtin_fn)(const struct vd_policy_input *input,
				 struct policy_verdict *verdict, struct vd_error *err);
struct policy_builtin {
	const char *id, *when, *reason;
	policy_builtin_fn ask;
};
#define POLICY_N_BUILTINS 5
extern const struct policy_builtin policy_builtins[POLICY_N_BUILTINS];
#define POLICY_BUILTIN_ACTIONS "run mount-ro mount-rw"

int policy_ask_metadata(const struct vd_policy_input *input, struct policy_verdict *verdict,
			struct vd_error *err);
int policy_ask_validity(const struct vd_policy_input *input, struct policy_verdict *verdict,
			struct vd_error *err);
int policy_ask_hardware(const struct vd_policy_input *input, struct policy_verdict *verdict,
			struct vd_error *err);
int policy_ask_host(const struct vd_policy_input *input, struct policy_verdict *verdict,
		    struct vd_error *err);
int policy_ask_patches(const struct vd_policy_input *input, struct policy_verdict *verdict,
		       struct vd_error *err);

struct policy_rule {
	struct vd_rule view;  /* its texts are the rule's own, unless it is built in */
	uint32_t action_bits; /* 1 << enum vd_purpose */
	bool is_off, is_xpath;
	struct vd_query *query;
	const char *remedy;                   /* "": none */
	const struct policy_builtin *builtin; /* NULL: a site's */
};

struct vd_policy {
	struct policy_rule *rules; /* those that are asked, in order */
	size_t n_rules, room;
	char **files; /* their names, which the rules borrow */
	size_t n_files;
	char *fault;
};

/** vd_policy_load of the text of one file, by the name `file`, which has to stay. */
int policy_load_text(struct vd_policy **out, const char *file, const char *bytes, size_t len,
		     struct vd_error *err);

/** What the query asks that no policy is told, so that it would never be true; NULL: nothing. */
const char *policy_query_wrong(const struct vd_query_node *node);
/** Could more facts of documents make it false, where it is true? is_negated: the other way
 *  round. A cautious answer. */
bool policy_query_rests_on_absence(const struct vd_query_node *node, bool is_negated);
bool policy_query_asks(const struct vd_query_node *node, const char *field);

/* ---- facts (policy_facts.c) ---- */

/** The next fact of a field from *at on, which is 0 at first; NULL: no more. */
const struct vd_fact *policy_fact_next(struct vd_fact_run run, const char *field, size_t *at);
/** Its first value, or NULL. */
const char *policy_fact_value(struct vd_fact_run run, const char *field);

/** The facts of a list, entry by entry. */
struct policy_entries {
	const struct vd_fact **facts; /* sorted by group, field, value */
	size_t n;
};
/** All facts whose field is `prefix`, or begins with it and ".". VD_ENOMEM. */
int policy_entries_gather(struct policy_entries *out, struct vd_fact_run run, const char *prefix,
			  struct vd_error *err);
void policy_entries_free(struct policy_entries *entries);
/** The next entry from *at on, which is 0 at first; false: no more. Facts of group 0 are one
 *  entry. */
bool policy_entries_next(const struct policy_entries *entries, size_t *at,
			 struct policy_entries *entry);
/** The first value of a field of an entry, or NULL. */
const char *policy_entry_value(const struct policy_entries *entry, const char *field);
/** A number as facts have it; false: none. */
bool policy_number(const char *value, uint64_t *number);
/** Equal, without regard to case (ASCII). */
bool policy_is_word(const char *a, const char *b);
/** A package URL's own name: "openssl" of "pkg:deb/debian/openssl@3.0.11". */
void policy_text_package(struct policy_text *text, const char *purl);
/** How an open CVE is mended, as a line more; either may be NULL. */
void policy_text_cve_remedy(struct policy_text *text, const char *package, const char *fixed);

/* ---- processors (policy_cpu.c) ---- */

/** How a processor model fits a host. */
enum policy_fit { POLICY_FITS, POLICY_FITS_NOT, POLICY_UNKNOWN };
/** Has the host the feature? Names may differ in case and in . _ -; some have two. */
bool policy_cpu_has(struct vd_fact_run host, const char *feature);
/** Is the host's processor that model, or has all that tells the model from older ones? `missing`
 *  becomes a feature that it lacks, or "". */
enum policy_fit policy_cpu_fits(struct vd_fact_run host, const char *model, char missing[32]);

/* ---- what a condition rests on (policy_hits.c) ---- */

#define POLICY_HITS_MAX  32u
#define POLICY_HEARD_MAX 256u
struct policy_hits {
	const struct vd_policy_input *input;
	const struct vd_fact *seen[POLICY_HITS_MAX]; /* what was told: of an entry, its head */
	size_t n, n_heard;
	bool has_more;
	struct policy_text facts, remedy;
};
/** A vd_query_hit_fn; `user` is a struct policy_hits. */
void policy_hits_hear(void *user, const struct vd_query_node *node, const struct vd_fact *fact);

#endif
