/* SPDX-License-Identifier: MIT */
/* A question to a policy with all that its answer depends on: of an image, or saved in a file. */
#ifndef VDTOOL_POLICY_CASE_H
#define VDTOOL_POLICY_CASE_H

#include <jansson.h>

#include <vdisk/image.h>

#include "options/options.h"

struct policy_case {
	struct vd_policy_input input;
	const char *untold;   /**< why the metadata gives no facts: then it is denied; or NULL */
	bool asked_documents; /**< a rule wanted to see them */
	struct vd_image *image;
	struct vd_fact_set *sets[3]; /**< of the documents, of the file, of the host */
	json_t *saved;               /**< the file that it comes from */
	struct vd_error untold_error;
};
/** Look at an image. Says nothing. *c stays where it is from now on. */
int policy_case_look(struct policy_case *c, const char *path, const struct tool_args *args,
		     struct vd_error *err);
void policy_case_free(struct policy_case *c);
/** vd_policy_decide; what gives no facts is denied, by the rule "policy". *out is given back by
 *  policy_decision_free. */
int policy_case_decide(const struct vd_policy *policy, struct policy_case *c,
		       struct vd_decision **out, struct vd_error *err);
void policy_decision_free(struct policy_case *c, struct vd_decision *decision);

/** The action that --action names, or VD_PURPOSE_RUN. */
enum vd_purpose policy_action(const struct tool_args *args);
/** By name; 0: none that a policy is asked about. */
enum vd_purpose policy_action_named(const char *name);
/** "2027-01-31", "2027-01-31T10:00:00Z", "+90d", "-12h", "now". False: it is none. */
bool policy_time(const char *text, int64_t now, int64_t *time);

/** The keys of a decision, into an object. */
void policy_decision_to_json(json_t *object, const struct vd_decision *decision, bool with_steps);
/** Write the case with its decision to a new file. Returns an exit code, after saying. */
int policy_case_save(const char *file, const char *path, struct policy_case *c,
		     const struct vd_policy *policy, const struct vd_decision *decision);
/** Read such a file. Returns an exit code, after saying what is wrong. */
int policy_case_load(struct policy_case *c, const char *file);

#endif
