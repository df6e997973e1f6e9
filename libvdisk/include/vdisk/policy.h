/* SPDX-License-Identifier: MIT */
/*
 * policy.h - may this be done with that image, here and now? Rules, decisions, reasons.
 *
 * A policy is a site's rules, in files of one folder, and behind them the built-in ones (validity,
 * hardware, host, damaged metadata, patch state). The first rule that speaks of the action and
 * whose condition holds decides; none: it is allowed. A decision is a pure function of what is
 * handed in, the time included, and says which rule, which facts, and what would have to change.
 *
 * It fails closed: a policy that can't be read denies everything it is asked, and a condition that
 * can't be evaluated denies. The language of rules is specified in docs/policy.md.
 *
 * A policy is immutable once loaded; vd_policy_decide may be called by any number of threads.
 */
#ifndef VDISK_POLICY_H
#define VDISK_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdisk/error.h>
#include <vdisk/meta.h>
#include <vdisk/query.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vd_policy;

/** What an image is opened for, and what rules call an action. Read-only purposes never write a
 * byte of the image. */
enum vd_purpose {
	VD_PURPOSE_INSPECT =
	    1,             /**< looks at structure and metadata, takes no lock; asks no policy */
	VD_PURPOSE_SEARCH, /**< the same */
	VD_PURPOSE_MAP,    /**< the same */
	VD_PURPOSE_CHECK,  /**< reads, under a shared lock; asks no policy */
	VD_PURPOSE_MOUNT_RO,
	VD_PURPOSE_MOUNT_RW,
	VD_PURPOSE_RUN,     /**< a machine runs from it, writing */
	VD_PURPOSE_CONVERT, /**< its content is read into another image */
	VD_PURPOSE_EXPORT,  /**< its content or metadata is handed out */
	VD_PURPOSE_COMPACT,
	VD_PURPOSE_EDIT, /**< its metadata or content is changed by a tool */
};
/** "mount-ro", "edit", ... A static string; "unknown" for other values. */
VD_API const char *vd_purpose_name(enum vd_purpose purpose);
/** An image that is opened for this is opened for writing. */
VD_API bool vd_purpose_writes(enum vd_purpose purpose);
/** A policy is asked before an image is opened for this. */
VD_API bool vd_purpose_asks(enum vd_purpose purpose);

/**
 * Load the rules of a folder: its files *.xml in the order of their names (bytewise). `dir` NULL,
 * or a folder that doesn't exist: the built-in rules alone; "" is a fault. *out is the caller's,
 * to be given back by vd_policy_free. A folder or file that can't be read or breaks the rules of
 * docs/policy.md gives a policy too, one that denies: vd_policy_fault says why. (So that nobody
 * goes on without a policy because loading it failed.) Errors: VD_ENOMEM, VD_EINVAL.
 */
VD_API int vd_policy_load(struct vd_policy **out, const char *dir, struct vd_error *err);
/** NULL is allowed. */
VD_API void vd_policy_free(struct vd_policy *policy);
/** What is wrong with the rules: "FILE:LINE: what". NULL: nothing. Borrowed. */
VD_API const char *vd_policy_fault(const struct vd_policy *policy);

/** What a rule does. */
enum vd_effect {
	VD_EFFECT_ALLOW = 1,
	VD_EFFECT_DENY,
	VD_EFFECT_READ_ONLY, /**< allows actions that don't write, denies those that do */
};
/** "allow", "deny", "read-only". A static string; "unknown" for other values. */
VD_API const char *vd_effect_name(enum vd_effect effect);

/** A rule of a policy. Borrowed from it. */
struct vd_rule {
	const char *id;   /**< "critical-cve"; "builtin:validity" */
	const char *file; /**< where it stands; NULL: built in */
	int line;
	enum vd_effect effect;
	const char *actions; /**< their names with blanks between them; "*": all that are asked */
	const char *when;    /**< its condition as a query, an XPath, or "" (always); of a built-in
				rule, in words */
	const char *reason;
};
/** Rule `i`, from 0, in the order in which they are asked; NULL behind the last one. */
VD_API const struct vd_rule *vd_policy_rule(const struct vd_policy *policy, size_t i);

/** All that a decision depends on. Set `size`, leave 0 what there is nothing of. */
struct vd_policy_input {
	uint32_t size; /**< sizeof(struct vd_policy_input) */
	enum vd_purpose action;
	int64_t time;                /**< seconds since 1970 */
	struct vd_fact_run metadata; /**< of the documents, derived anew (vd_meta_get_facts) */
	struct vd_fact_run image;    /**< of the file: image.*, metadata.* (vd_image_facts) */
	struct vd_fact_run host;     /**< vd_host_facts */
	vd_document_fn document;     /**< for conditions in XPath; NULL: those can't be evaluated */
	void *user;
};
/** How a rule that was asked came out. */
enum vd_rule_outcome {
	VD_RULE_OTHER_ACTION = 1, /**< doesn't speak of this action */
	VD_RULE_NOT_MET,
	VD_RULE_MET,
	VD_RULE_FAILED, /**< couldn't be evaluated: denies */
};
/** A rule that was asked, in order; the last one decided, if any did. */
struct vd_rule_step {
	const struct vd_rule *rule;
	enum vd_rule_outcome outcome;
	const char *detail; /**< in words: the facts that met it, or what went wrong; or "" */
};
/** A decision, with its reasons. Texts are "" where there is nothing to say; lines of them are
 *  separated by "\n". */
struct vd_decision {
	uint32_t size;
	enum vd_purpose action;
	int64_t time;
	enum vd_effect effect;
	bool is_allowed;  /**< the action may go on (an override is not counted here) */
	const char *rule; /**< its id; "": none met, "policy": the rules are broken */
	const char *file; /**< where it stands; "": built in */
	int line;
	const char *reason;  /**< for people */
	const char *facts;   /**< "cve.open = CVE-2026-1234 (critical)": those that it rests on */
	const char *remedy;  /**< what would have to change for it to be allowed */
	const char *nearest; /**< of several alternatives the one that came nearest, and what it
				lacks */
	const struct vd_rule_step *steps;
	size_t n_steps;
};
/** Decide. *out is the caller's, to be given back by vd_decision_free before the policy. A denial
 *  is a decision, not an error. Errors: VD_ENOMEM, VD_EINVAL. */
VD_API int vd_policy_decide(const struct vd_policy *policy, const struct vd_policy_input *input,
			    struct vd_decision **out, struct vd_error *err);
/** NULL is allowed. */
VD_API void vd_decision_free(struct vd_decision *decision);
/** One line: "denied by rule critical-cve (10-patches.xml:7): REASON". Returns what snprintf does.
 */
VD_API int vd_decision_format(const struct vd_decision *decision, char *buf, size_t size);

#ifdef __cplusplus
}
#endif
#endif
