/* SPDX-License-Identifier: MIT */
/*
 * The built-in rules, and those of them on damaged metadata, validity and patches. They ask only
 * what the image itself says; nothing said demands nothing.
 */
#include <string.h>

#include "base/alloc.h"
#include "policy/policy_rules.h"
#include "xml/field_value.h"

const struct policy_builtin policy_builtins[POLICY_N_BUILTINS] = {
    {"builtin:metadata", "metadata that is damaged, or a sidecar of another image",
     "its metadata is damaged, or belongs to another image", policy_ask_metadata},
    {"builtin:validity", "a time before starts, or from expires (and grace) on",
     "it isn't valid at this time", policy_ask_validity},
    {"builtin:hardware", "hardware, of whose alternatives none fits the host",
     "this host isn't a machine that it can run on", policy_ask_hardware},
    {"builtin:host", "compatible.os or compatible.hypervisor, of which none is the host's",
     "this host's OS or hypervisor isn't one that it can run on", policy_ask_host},
    {"builtin:patches", "cve.open of severity critical that isn't just under investigation",
     "it has a critical vulnerability", policy_ask_patches},
};

/* ---- metadata ---- */

int policy_ask_metadata(const struct vd_policy_input *input, struct policy_verdict *verdict,
			struct vd_error *err)
{
	const char *damaged = policy_fact_value(input->image, "metadata.damaged");
	const char *place = policy_fact_value(input->image, "metadata.place");

	(void)err;
	verdict->outcome = VD_RULE_NOT_MET;
	if (!damaged || strcmp(damaged, "true") != 0)
		return 0;
	verdict->outcome = VD_RULE_MET;
	policy_text_add(&verdict->facts, "metadata.damaged = true");
	if (place) {
		policy_text_add(&verdict->facts, "\nmetadata.place = ");
		policy_text_value(&verdict->facts, place);
	}
	policy_text_add(&verdict->remedy,
			"`meta list` shows what is wrong; put it back (meta import), or take it "
			"away (meta remove, meta strip)");
	return 0;
}

/* ---- validity ---- */

/** A value that its type doesn't allow can't have come from a document. */
static int unreadable(struct policy_verdict *verdict, const struct vd_fact *fact)
{
	verdict->outcome = VD_RULE_FAILED;
	policy_text_value(&verdict->detail, fact->field);
	policy_text_add(&verdict->detail, " = ");
	policy_text_value(&verdict->detail, fact->value);
	policy_text_add(&verdict->detail, " can't be read");
	return 0;
}

static void deny_time(const struct vd_policy_input *input, struct policy_verdict *verdict,
		      const struct vd_fact *fact, int64_t limit, bool is_expired)
{
	const char *why = policy_fact_value(input->metadata, "validity.reason");
	uint64_t apart = is_expired ? (uint64_t)input->time - (uint64_t)limit
				    : (uint64_t)limit - (uint64_t)input->time;

	verdict->outcome = VD_RULE_MET;
	policy_text_add(&verdict->facts, "%s = ", is_expired ? "expires" : "starts");
	policy_text_value(&verdict->facts, fact->value);
	policy_text_add(&verdict->reason, is_expired ? "it expired at " : "it isn't valid before ");
	policy_text_time(&verdict->reason, limit);
	policy_text_add(&verdict->reason, is_expired ? ", " : ", which is in ");
	policy_text_duration(&verdict->reason, apart);
	policy_text_add(&verdict->reason, is_expired ? " ago" : "");
	if (why) {
		policy_text_add(&verdict->reason, ": ");
		policy_text_value(&verdict->reason, why);
	}
	policy_text_add(&verdict->remedy, is_expired ? "prolong it: `meta set IMAGE "
						       "expires=+90d`"
						     : "wait, or `meta set IMAGE starts=TIME`");
}

/** How long it is tolerated after it has expired. *fact is the one that says so, or NULL. */
static int get_grace(const struct vd_policy_input *input, struct policy_verdict *verdict,
		     const struct vd_fact **fact, uint64_t *grace)
{
	size_t at = 0;

	*grace = 0;
	*fact = policy_fact_next(input->metadata, "grace", &at);
	if (*fact && !policy_number((*fact)->value, grace))
		return unreadable(verdict, *fact), VD_EINVAL;
	return 0;
}

/** From `limit` on it isn't usable, but for the time of grace. */
static void ask_expiry(const struct vd_policy_input *input, struct policy_verdict *verdict,
		       const struct vd_fact *fact, int64_t limit)
{
	const struct vd_fact *tolerated;
	uint64_t grace;

	if (input->time < limit || get_grace(input, verdict, &tolerated, &grace))
		return;
	if ((uint64_t)input->time - (uint64_t)limit < grace) {
		policy_text_line(&verdict->detail);
		policy_text_add(&verdict->detail, "it expired at ");
		policy_text_time(&verdict->detail, limit);
		policy_text_add(&verdict->detail, "; tolerated for ");
		policy_text_duration(&verdict->detail,
				     grace - ((uint64_t)input->time - (uint64_t)limit));
		policy_text_add(&verdict->detail, " more");
		return;
	}
	deny_time(input, verdict, fact, limit, true);
	if (tolerated) {
		policy_text_add(&verdict->facts, "\ngrace = ");
		policy_text_value(&verdict->facts, tolerated->value);
	}
}

int policy_ask_validity(const struct vd_policy_input *input, struct policy_verdict *verdict,
			struct vd_error *err)
{
	static const char *const fields[] = {"starts", "expires"};

	(void)err;
	verdict->outcome = VD_RULE_NOT_MET;
	for (size_t i = 0; i < 2; i++) {
		const struct vd_fact *fact;
		size_t at = 0;
		int64_t limit;

		while ((fact = policy_fact_next(input->metadata, fields[i], &at))) {
			if (vd_time_parse(fact->value, false, 0, &limit))
				return unreadable(verdict, fact);
			if (i == 1)
				ask_expiry(input, verdict, fact, limit);
			else if (input->time < limit)
				deny_time(input, verdict, fact, limit, false);
			if (verdict->outcome != VD_RULE_NOT_MET)
				return 0;
		}
	}
	return 0;
}

/* ---- patches ---- */

#define CVES_TOLD 16u

static void tell_cve(struct policy_verdict *verdict, const struct policy_entries *entry,
		     const char *cve)
{
	const char *package = policy_entry_value(entry, "cve.open.package");

	policy_text_line(&verdict->facts);
	policy_text_add(&verdict->facts, "cve.open = ");
	policy_text_value(&verdict->facts, cve);
	policy_text_add(&verdict->facts, " (critical");
	if (package) {
		policy_text_add(&verdict->facts, ", ");
		policy_text_package(&verdict->facts, package);
	}
	policy_text_add(&verdict->facts, ")");
	policy_text_cve_remedy(&verdict->remedy, package,
			       policy_entry_value(entry, "cve.open.fixed-in"));
}

int policy_ask_patches(const struct vd_policy_input *input, struct policy_verdict *verdict,
		       struct vd_error *err)
{
	struct policy_entries all, entry;
	size_t at = 0, n = 0;
	int ret = policy_entries_gather(&all, input->metadata, "cve.open", err);

	if (ret)
		return ret;
	verdict->outcome = VD_RULE_NOT_MET;
	while (policy_entries_next(&all, &at, &entry)) {
		const char *severity = policy_entry_value(&entry, "cve.open.severity");
		const char *status = policy_entry_value(&entry, "cve.open.status");
		const char *cve = policy_entry_value(&entry, "cve.open");

		if (!cve || !severity || strcmp(severity, "critical") != 0 ||
		    (status && strcmp(status, "affected") != 0))
			continue;
		if (n++ < CVES_TOLD)
			tell_cve(verdict, &entry, cve);
	}
	policy_entries_free(&all);
	if (!n)
		return 0;
	verdict->outcome = VD_RULE_MET;
	if (n > CVES_TOLD)
		policy_text_add(&verdict->facts, "\nand %zu more", n - CVES_TOLD);
	policy_text_add(&verdict->reason, "it has %zu open critical vulnerabilit%s", n,
			n == 1 ? "y" : "ies");
	if (!verdict->remedy.len)
		policy_text_add(&verdict->remedy,
				"update the guest and `meta scan` again, or enter what is known of "
				"it (cve.open.status, cve.not-affected)");
	return 0;
}
