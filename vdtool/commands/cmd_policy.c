/* SPDX-License-Identifier: MIT */
/* vdtool policy check and explain: what the rules say of an image, and why. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "metadata.h"
#include "output.h"
#include "policed.h"
#include "policy_case.h"

/* ---- JSON ---- */

/** A text of several lines as a list. */
static void set_lines(json_t *object, const char *key, const char *lines)
{
	json_t *list = json_array();

	while (*lines) {
		size_t len = strcspn(lines, "\n");
		char *line = strndup(lines, len);
		json_t *holder = tool_json_object(NULL);

		tool_json_set_text(holder, "line", line);
		json_array_append(list, json_object_get(holder, "line"));
		json_decref(holder);
		free(line);
		lines += len + (lines[len] == '\n');
	}
	json_object_set_new(object, key, list);
}

static const char *outcome_name(enum vd_rule_outcome outcome)
{
	switch (outcome) {
	case VD_RULE_OTHER_ACTION:
		return "other action";
	case VD_RULE_NOT_MET:
		return "not met";
	case VD_RULE_MET:
		return "met";
	case VD_RULE_FAILED:
		return "can't be evaluated";
	}
	return "unknown";
}

static json_t *steps_to_json(const struct vd_decision *decision)
{
	json_t *steps = json_array();

	for (size_t i = 0; i < decision->n_steps; i++) {
		const struct vd_rule_step *s = &decision->steps[i];
		json_t *step = tool_json_object(NULL);

		tool_json_set_text(step, "rule", s->rule->id);
		tool_json_set_text(step, "file", s->rule->file);
		tool_json_set_number(step, "line", (uint64_t)s->rule->line);
		tool_json_set_text(step, "outcome", outcome_name(s->outcome));
		set_lines(step, "detail", s->detail);
		json_array_append_new(steps, step);
	}
	return steps;
}

void policy_decision_to_json(json_t *object, const struct vd_decision *decision, bool with_steps)
{
	json_object_set_new(object, "allowed", json_boolean(decision->is_allowed));
	tool_json_set_text(object, "effect", vd_effect_name(decision->effect));
	tool_json_set_text(object, "rule", decision->rule[0] ? decision->rule : NULL);
	tool_json_set_text(object, "file", decision->file[0] ? decision->file : NULL);
	tool_json_set_number(object, "line", (uint64_t)decision->line);
	tool_json_set_text(object, "reason", decision->reason);
	set_lines(object, "facts", decision->facts);
	set_lines(object, "remedy", decision->remedy);
	set_lines(object, "nearest", decision->nearest);
	if (with_steps)
		json_object_set_new(object, "steps", steps_to_json(decision));
}

static void put_json(const char *path, const struct policy_case *c,
		     const struct vd_decision *decision, bool with_steps)
{
	json_t *object = tool_json_object(path);
	char when[TOOL_TIME_TEXT];

	tool_json_set_text(object, "action", vd_purpose_name(c->input.action));
	tool_json_set_text(object, "time", tool_time_format(c->input.time, when));
	policy_decision_to_json(object, decision, with_steps);
	tool_json_put(object);
}

/* ---- text ---- */

static void print_check(const char *path, const struct vd_decision *decision)
{
	int len = vd_decision_format(decision, NULL, 0);
	char *text = len < 0 ? NULL : malloc((size_t)len + 1);

	tool_print_safe(stdout, path);
	fputs(": ", stdout);
	if (text) {
		vd_decision_format(decision, text, (size_t)len + 1);
		tool_print_safe(stdout, text);
	}
	putchar('\n');
	free(text);
}

/** Lines, each behind `indent` blanks; the first behind `first`. */
static void print_lines(const char *first, int indent, const char *lines, const char *end)
{
	bool is_first = true;

	while (*lines) {
		size_t len = strcspn(lines, "\n");
		char *line = strndup(lines, len);

		printf("%*s%s", is_first ? 6 : indent, "", is_first ? first : "");
		tool_print_safe(stdout, line ? line : "");
		lines += len + (lines[len] == '\n');
		printf("%s\n", *lines ? "" : end);
		is_first = false;
		free(line);
	}
}

static void print_place(const struct vd_rule *rule)
{
	if (!rule->file)
		return;
	fputs(" (", stdout);
	tool_print_safe(stdout, rule->file);
	printf(":%d)", rule->line);
}

static void print_steps(const struct vd_decision *decision, bool is_verbose)
{
	for (size_t i = 0; i < decision->n_steps; i++) {
		const struct vd_rule_step *s = &decision->steps[i];
		bool is_note = s->outcome == VD_RULE_NOT_MET && s->detail[0];

		if (!is_verbose && !is_note)
			continue;
		printf("%6zu  ", i + 1);
		tool_print_safe(stdout, s->rule->id);
		if (is_verbose)
			print_place(s->rule);
		printf(": %s\n", outcome_name(s->outcome));
		if (is_note)
			print_lines("  ", 8, s->detail, "");
	}
}

static const char *deed(enum vd_purpose action)
{
	switch (action) {
	case VD_PURPOSE_MOUNT_RO:
		return "to mount it: ";
	case VD_PURPOSE_MOUNT_RW:
		return "to mount it for writing: ";
	case VD_PURPOSE_RUN:
		return "to run it: ";
	case VD_PURPOSE_CONVERT:
		return "to convert it: ";
	case VD_PURPOSE_EXPORT:
		return "to export it: ";
	case VD_PURPOSE_COMPACT:
		return "to compact it: ";
	default:
		return "to edit it: ";
	}
}

static void print_head(const char *path, const struct vd_decision *decision)
{
	tool_print_safe(stdout, path);
	printf("\n%s %s: ", decision->is_allowed ? "ALLOW" : "DENY ",
	       vd_purpose_name(decision->action));
	if (!decision->rule[0]) {
		puts("no rule speaks against it");
		return;
	}
	if (strcmp(decision->rule, "policy") != 0) {
		fputs("rule ", stdout);
		tool_print_safe(stdout, decision->rule);
	}
	if (decision->file[0]) {
		fputs(" (", stdout);
		tool_print_safe(stdout, decision->file);
		printf(":%d)", decision->line);
	}
	if (strcmp(decision->rule, "policy") == 0)
		tool_print_safe(stdout, decision->reason);
	putchar('\n');
}

static void print_explained(const char *path, const struct vd_decision *decision, bool is_verbose)
{
	bool is_policy = strcmp(decision->rule, "policy") == 0;

	print_head(path, decision);
	if (decision->effect == VD_EFFECT_READ_ONLY)
		printf("      it allows only to read\n");
	if (!is_policy)
		print_lines("", 6, decision->reason, "");
	print_lines("", 6, decision->facts, "");
	print_lines("nearest: ", 15, decision->nearest, "");
	if (!decision->is_allowed && decision->remedy[0])
		print_lines(deed(decision->action), 6 + (int)strlen(deed(decision->action)),
			    decision->remedy, ", or --override=REASON");
	else if (!decision->is_allowed)
		printf("      %s--override=REASON\n", deed(decision->action));
	print_steps(decision, is_verbose);
}

/* ---- the commands ---- */

typedef int (*tell_fn)(const char *path, const struct tool_args *args, struct policy_case *c,
		       const struct vd_policy *policy, const struct vd_decision *decision);

static int ask(const char *path, const struct tool_args *args, tell_fn tell)
{
	const struct vd_policy *policy;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_decision *decision;
	struct policy_case c;
	int exit_code;

	if (tool_policed_rules(&policy, args, &err) || policy_case_look(&c, path, args, &err))
		return tool_fail_image(path, &err);
	if (policy_case_decide(policy, &c, &decision, &err)) {
		exit_code = tool_fail_image(path, &err);
	} else {
		exit_code = tool_exit_worse(decision->is_allowed ? TOOL_DONE : TOOL_DENIED,
					    tell(path, args, &c, policy, decision));
		policy_decision_free(&c, decision);
	}
	policy_case_free(&c);
	return exit_code;
}

static int tell_check(const char *path, const struct tool_args *args, struct policy_case *c,
		      const struct vd_policy *policy, const struct vd_decision *decision)
{
	(void)args;
	(void)policy;
	if (tool_json_is_on())
		put_json(path, c, decision, false);
	else
		print_check(path, decision);
	return TOOL_DONE;
}

static int tell_explain(const char *path, const struct tool_args *args, struct policy_case *c,
			const struct vd_policy *policy, const struct vd_decision *decision)
{
	if (tool_json_is_on())
		put_json(path, c, decision, true);
	else
		print_explained(path, decision, args->is_set[OPT_VERBOSE]);
	if (!args->is_set[OPT_SAVE])
		return TOOL_DONE;
	return policy_case_save(args->text[OPT_SAVE], path, c, policy, decision);
}

static int check_one(const char *path, const struct tool_args *args)
{
	return ask(path, args, tell_check);
}

static int explain_one(const char *path, const struct tool_args *args)
{
	return ask(path, args, tell_explain);
}

int cmd_policy_check(const struct tool_args *args)
{
	return tool_each_image(args, check_one);
}

int cmd_policy_explain(const struct tool_args *args)
{
	if (args->is_set[OPT_SAVE] && args->n_operands > 1)
		return tool_usage(args->command, "--save wants one IMAGE");
	return tool_each_image(args, explain_one);
}
