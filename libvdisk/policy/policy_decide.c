/* SPDX-License-Identifier: MIT */
/*
 * A decision: the first rule that speaks of the action and whose condition holds. It depends on
 * nothing but the rules and what is handed in; it fails closed: a condition that can't be
 * evaluated denies, and so do rules that are broken.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "policy/policy_rules.h"

/** What is handed out, with what it owns. */
struct decision {
	struct vd_decision view;
	struct vd_rule_step *steps; /* detail: own */
	char *reason, *facts, *remedy, *nearest;
};

void policy_verdict_free(struct policy_verdict *verdict)
{
	policy_text_free(&verdict->detail);
	policy_text_free(&verdict->reason);
	policy_text_free(&verdict->facts);
	policy_text_free(&verdict->remedy);
	policy_text_free(&verdict->nearest);
}

void vd_decision_free(struct vd_decision *decision)
{
	struct decision *d = (struct decision *)decision;

	if (!d)
		return;
	for (size_t i = 0; i < d->view.n_steps; i++)
		vd_free((void *)(uintptr_t)d->steps[i].detail);
	vd_free(d->steps);
	vd_free(d->reason);
	vd_free(d->facts);
	vd_free(d->remedy);
	vd_free(d->nearest);
	vd_free(d);
}

/* ---- asking one rule ---- */

/** The evaluation itself failed; without memory there is no decision at all. */
static int fail(struct policy_verdict *verdict, const struct vd_error *why, struct vd_error *err)
{
	if (why->code == VD_ENOMEM)
		return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "%s", why->text);
	verdict->outcome = VD_RULE_FAILED;
	policy_text_value(&verdict->detail, why->text);
	return 0;
}

/** Facts of a damaged document are missing. What is allowed because they are mustn't be, and what
 * is denied by them is denied; unless the rule says what it makes of damage. */
static bool is_unsure(const struct policy_rule *rule, const struct vd_policy_input *input,
		      bool is_match)
{
	const struct vd_query_node *root = vd_query_root(rule->query);
	const char *damaged = policy_fact_value(input->image, "metadata.damaged");
	bool allows =
	    rule->view.effect == VD_EFFECT_ALLOW ||
	    (rule->view.effect == VD_EFFECT_READ_ONLY && !vd_purpose_writes(input->action));

	return is_match == allows && damaged && strcmp(damaged, "true") == 0 &&
	       policy_query_rests_on_absence(root, !is_match) &&
	       !policy_query_asks(root, "metadata.damaged");
}

static int ask_query(const struct policy_rule *rule, const struct vd_policy_input *input,
		     struct policy_verdict *verdict, struct vd_error *err)
{
	const char *action = vd_purpose_name(input->action);
	struct vd_fact asked = {"action", action, action, 0};
	struct policy_hits hits = {.input = input};
	struct vd_query_subject subject = {
	    .size = sizeof(subject),
	    .n_runs = 4,
	    .runs = {input->metadata, input->image, input->host, {&asked, 1}},
	    .now = input->time,
	    .hit = policy_hits_hear,
	    .user = &hits};
	struct vd_query_answer answer = {.size = sizeof(answer)};
	struct vd_error own = VD_ERROR_INIT;
	int ret = vd_query_match(rule->query, &subject, &answer, &own);

	verdict->facts = hits.facts;
	verdict->remedy = hits.remedy;
	if (ret)
		return fail(verdict, &own, err);
	verdict->outcome = answer.is_match ? VD_RULE_MET : VD_RULE_NOT_MET;
	if (is_unsure(rule, input, answer.is_match)) {
		verdict->outcome = VD_RULE_FAILED;
		policy_text_add(
		    &verdict->detail,
		    "it asks what isn't there, and metadata that is damaged could say so");
	}
	return 0;
}

static int ask_xpath(const struct policy_rule *rule, const struct vd_policy_input *input,
		     struct policy_verdict *verdict, struct vd_error *err)
{
	struct vd_error own = VD_ERROR_INIT;
	struct vd_xpath *xpath = NULL;
	size_t n_damaged = 0;
	bool is_match = false;
	int ret;

	if (!input->document) {
		verdict->outcome = VD_RULE_FAILED;
		policy_text_add(&verdict->detail,
				"the documents, which an XPath asks, aren't at hand");
		return 0;
	}
	ret = vd_xpath_compile(&xpath, rule->view.when, &own);
	if (!ret)
		ret = vd_xpath_match(xpath, input->document, input->user, &is_match, &n_damaged,
				     &own);
	vd_xpath_free(xpath);
	if (ret)
		return fail(verdict, &own, err);
	verdict->outcome = is_match ? VD_RULE_MET : VD_RULE_NOT_MET;
	if (!is_match && n_damaged) {
		verdict->outcome = VD_RULE_FAILED;
		policy_text_add(&verdict->detail, "%zu of the documents that it asks %s damaged",
				n_damaged, n_damaged == 1 ? "is" : "are");
	}
	return 0;
}

static int ask(const struct policy_rule *rule, const struct vd_policy_input *input,
	       struct policy_verdict *verdict, struct vd_error *err)
{
	if (!(rule->action_bits & 1u << input->action)) {
		verdict->outcome = VD_RULE_OTHER_ACTION;
		return 0;
	}
	if (rule->builtin)
		return rule->builtin->ask(input, verdict, err);
	if (rule->query)
		return ask_query(rule, input, verdict, err);
	if (rule->is_xpath)
		return ask_xpath(rule, input, verdict, err);
	verdict->outcome = VD_RULE_MET;
	return 0;
}

/* ---- the decision ---- */

static int no_memory(struct vd_error *err)
{
	return vd_no_memory(err, sizeof(struct decision), "a decision");
}

/** Texts of the view are those that the decision owns. */
static int finish(struct decision *d, struct policy_verdict *verdict, struct vd_error *err)
{
	d->reason = policy_text_take(&verdict->reason);
	d->facts = policy_text_take(&verdict->facts);
	d->remedy = policy_text_take(&verdict->remedy);
	d->nearest = policy_text_take(&verdict->nearest);
	if (!d->reason || !d->facts || !d->remedy || !d->nearest)
		return no_memory(err);
	d->view.reason = d->reason;
	d->view.facts = d->facts;
	d->view.remedy = d->remedy;
	d->view.nearest = d->nearest;
	d->view.steps = d->steps;
	return 0;
}

static void decide_broken(struct decision *d, const struct vd_policy *policy,
			  struct policy_verdict *verdict)
{
	d->view.effect = VD_EFFECT_DENY;
	d->view.rule = "policy";
	policy_text_add(&verdict->reason, "the rules can't be used: ");
	policy_text_words(&verdict->reason, policy->fault);
	policy_text_add(&verdict->remedy, "mend the rules; `vdtool policy list` reads them all");
}

/** The rule has spoken. */
static void decide_by(struct decision *d, const struct policy_rule *rule,
		      struct policy_verdict *verdict)
{
	bool has_failed = verdict->outcome == VD_RULE_FAILED;

	d->view.effect = has_failed ? VD_EFFECT_DENY : rule->view.effect;
	d->view.is_allowed =
	    d->view.effect == VD_EFFECT_ALLOW ||
	    (d->view.effect == VD_EFFECT_READ_ONLY && !vd_purpose_writes(d->view.action));
	d->view.rule = rule->view.id;
	d->view.file = rule->view.file ? rule->view.file : "";
	d->view.line = rule->view.line;
	if (has_failed) {
		policy_text_free(&verdict->reason);
		policy_text_add(&verdict->reason, "its condition can't be evaluated: ");
		policy_text_words(&verdict->reason, policy_text_string(&verdict->detail));
	} else if (!rule->builtin) {
		policy_text_words(&verdict->reason, rule->view.reason);
	} else if (!verdict->reason.len) {
		policy_text_add(&verdict->reason, "%s", rule->view.reason);
	}
	if (rule->remedy[0]) {
		policy_text_free(&verdict->remedy);
		policy_text_words(&verdict->remedy, rule->remedy);
	}
	if (d->view.is_allowed)
		policy_text_free(&verdict->remedy);
}

/** Ask rules until one has spoken. */
static int ask_all(struct decision *d, const struct vd_policy *policy,
		   const struct vd_policy_input *input, struct policy_verdict *verdict,
		   struct vd_error *err)
{
	bool is_asked = vd_purpose_asks(input->action);

	for (size_t i = 0; i < policy->n_rules && is_asked; i++) {
		const struct policy_rule *rule = &policy->rules[i];
		struct vd_rule_step *step = &d->steps[i];
		const char *detail;
		int ret;

		policy_verdict_free(verdict);
		ret = ask(rule, input, verdict, err);
		if (ret)
			return ret;
		detail =
		    policy_text_string(verdict->detail.len ? &verdict->detail : &verdict->facts);
		if (verdict->outcome == VD_RULE_NOT_MET && !verdict->detail.len)
			detail = "";
		*step = (struct vd_rule_step){&rule->view, verdict->outcome, vd_strdup(detail)};
		d->view.n_steps = i + 1;
		if (!step->detail)
			return no_memory(err);
		if (verdict->outcome == VD_RULE_MET || verdict->outcome == VD_RULE_FAILED) {
			decide_by(d, rule, verdict);
			return 0;
		}
	}
	policy_verdict_free(verdict);
	d->view.effect = VD_EFFECT_ALLOW;
	d->view.is_allowed = true;
	return 0;
}

int vd_policy_decide(const struct vd_policy *policy, const struct vd_policy_input *input,
		     struct vd_decision **out, struct vd_error *err)
{
	struct policy_verdict verdict = {.outcome = VD_RULE_NOT_MET};
	struct vd_policy_input own = {.size = 0};
	struct decision *d;
	int ret = 0;

	if (!policy || !input || input->size < offsetof(struct vd_policy_input, metadata))
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "a policy has no input");
	memcpy(&own, input, input->size < sizeof(own) ? input->size : sizeof(own));
	if (strcmp(vd_purpose_name(own.action), "unknown") == 0)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "%d is no action",
				    (int)own.action);
	d = vd_calloc(1, sizeof(*d));
	if (!d)
		return no_memory(err);
	d->view = (struct vd_decision){.size = sizeof(d->view),
				       .action = own.action,
				       .time = own.time,
				       .rule = "",
				       .file = ""};
	d->steps = vd_calloc(policy->n_rules + 1, sizeof(*d->steps));
	if (!d->steps)
		ret = no_memory(err);
	else if (vd_purpose_asks(own.action) && policy->fault)
		decide_broken(d, policy, &verdict);
	else
		ret = ask_all(d, policy, &own, &verdict, err);
	if (!ret)
		ret = finish(d, &verdict, err);
	policy_verdict_free(&verdict);
	if (ret) {
		vd_decision_free(&d->view);
		return ret;
	}
	*out = &d->view;
	return 0;
}

int vd_decision_format(const struct vd_decision *decision, char *buf, size_t size)
{
	const char *verb = decision->is_allowed ? "allowed" : "denied";
	const char *colon = decision->reason[0] ? ": " : "";
	bool is_read_only = decision->effect == VD_EFFECT_READ_ONLY && !decision->is_allowed;

	if (!decision->rule[0])
		return snprintf(buf, size, "allowed: no rule speaks against it");
	if (strcmp(decision->rule, "policy") == 0)
		return snprintf(buf, size, "%s%s%s", verb, colon, decision->reason);
	if (!decision->file[0])
		return snprintf(buf, size, "%s by rule %s%s%s", verb, decision->rule, colon,
				decision->reason);
	return snprintf(buf, size, "%s by rule %s (%s:%d)%s%s%s", verb, decision->rule,
			decision->file, decision->line,
			is_read_only ? ", which allows only to read" : "", colon, decision->reason);
}
