/* SPDX-License-Identifier: MIT */
/* vdtool policy list and test: the rules themselves, and whether they still decide as they did. */
#include <string.h>

#include "metadata.h"
#include "output.h"
#include "policed.h"
#include "policy_case.h"

/* ---- list ---- */

static json_t *rule_to_json(const struct vd_rule *rule)
{
	json_t *object = tool_json_object(NULL);

	tool_json_set_text(object, "id", rule->id);
	tool_json_set_text(object, "file", rule->file);
	tool_json_set_number(object, "line", (uint64_t)rule->line);
	tool_json_set_text(object, "effect", vd_effect_name(rule->effect));
	tool_json_set_text(object, "actions", rule->actions);
	tool_json_set_text(object, "when", rule->when);
	tool_json_set_text(object, "reason", rule->reason);
	return object;
}

static void print_rule(const struct vd_rule *rule)
{
	tool_print_safe(stdout, rule->id);
	if (rule->file) {
		fputs("  ", stdout);
		tool_print_safe(stdout, rule->file);
		printf(":%d", rule->line);
	}
	printf("\n  %s: ", vd_effect_name(rule->effect));
	tool_print_safe(stdout, rule->actions);
	fputs("\n  when: ", stdout);
	tool_print_safe(stdout, rule->when[0] ? rule->when : "always");
	if (rule->reason[0]) {
		fputs("\n  reason: ", stdout);
		tool_print_safe(stdout, rule->reason);
	}
	putchar('\n');
}

int cmd_policy_list(const struct tool_args *args)
{
	struct vd_error err = VD_ERROR_INIT;
	const struct vd_policy *policy;
	const struct vd_rule *rule;
	const char *fault;

	if (tool_policed_rules(&policy, args, &err))
		return tool_fail(NULL, &err);
	fault = vd_policy_fault(policy);
	if (tool_json_is_on()) {
		json_t *object = tool_json_object(NULL), *rules = json_array();

		for (size_t i = 0; (rule = vd_policy_rule(policy, i)); i++)
			json_array_append_new(rules, rule_to_json(rule));
		json_object_set_new(object, "rules", rules);
		tool_json_set_text(object, "fault", fault);
		tool_json_put(object);
	}
	for (size_t i = 0; !tool_json_is_on() && (rule = vd_policy_rule(policy, i)); i++)
		print_rule(rule);
	if (fault)
		return tool_say(TOOL_FAILED, NULL, "%s; so everything that is asked is denied",
				fault);
	return TOOL_DONE;
}

/* ---- test ---- */

/** The decision that was saved. */
struct before {
	bool is_allowed;
	const char *rule; /* "": none */
};

static struct before read_before(const struct policy_case *c)
{
	const json_t *decision = json_object_get(c->saved, "decision");
	const char *rule = json_string_value(json_object_get(decision, "rule"));

	return (struct before){json_is_true(json_object_get(decision, "allowed")),
			       rule ? rule : ""};
}

static void print_outcome(const char *verb, bool is_allowed, const char *rule)
{
	printf("%s %s", verb, is_allowed ? "allowed" : "denied");
	if (rule[0]) {
		fputs(" by rule ", stdout);
		tool_print_safe(stdout, rule);
	}
}

static void tell(const char *file, const struct policy_case *c, const struct before *before,
		 const struct vd_decision *after, bool is_same)
{
	if (tool_json_is_on()) {
		json_t *object = tool_json_object(file);

		json_object_set_new(object, "same", json_boolean(is_same));
		tool_json_set_text(object, "action", vd_purpose_name(c->input.action));
		json_object_set_new(object, "was_allowed", json_boolean(before->is_allowed));
		tool_json_set_text(object, "was_rule", before->rule[0] ? before->rule : NULL);
		policy_decision_to_json(object, after, true);
		tool_json_put(object);
		return;
	}
	tool_print_safe(stdout, file);
	printf(": %s ", vd_purpose_name(c->input.action));
	if (!is_same) {
		print_outcome("was", before->is_allowed, before->rule);
		fputs(", ", stdout);
	}
	print_outcome(is_same ? "still" : "is now", after->is_allowed, after->rule);
	if (!is_same && after->reason[0]) {
		fputs(": ", stdout);
		tool_print_safe(stdout, after->reason);
	}
	putchar('\n');
}

static int test_one(const char *file, const struct tool_args *args)
{
	struct vd_error err = VD_ERROR_INIT;
	const struct vd_policy *policy;
	struct vd_decision *decision;
	struct before before;
	struct policy_case c;
	bool is_same = false;
	int exit_code;

	if (tool_policed_rules(&policy, args, &err))
		return tool_fail(NULL, &err);
	exit_code = policy_case_load(&c, file);
	if (exit_code) {
		tool_json_put_error(file, &tool_last_error);
		return exit_code;
	}
	before = read_before(&c);
	if (policy_case_decide(policy, &c, &decision, &err)) {
		exit_code = tool_fail_image(file, &err);
	} else {
		is_same = before.is_allowed == decision->is_allowed &&
			  strcmp(before.rule, decision->rule) == 0;
		tell(file, &c, &before, decision, is_same);
		exit_code = is_same ? TOOL_DONE : TOOL_DIFFERS;
		policy_decision_free(&c, decision);
	}
	policy_case_free(&c);
	return exit_code;
}

int cmd_policy_test(const struct tool_args *args)
{
	return tool_each_image(args, test_one);
}
