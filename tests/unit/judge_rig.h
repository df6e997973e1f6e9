/* SPDX-License-Identifier: MIT */
/*
 * A policy under test: rules written into a folder of the test, facts put together by hand, and
 * the decision that comes of both. Each program includes this once.
 */
#ifndef TEST_JUDGE_RIG_H
#define TEST_JUDGE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vdisk/policy.h>

#define UNUSED __attribute__((unused))
/* 2026-11-23T10:00:00Z */
#define NOON INT64_C(1795428000)

struct judge {
	struct vd_fact_set *document, *image, *host;
	struct vd_policy *policy;
	struct vd_decision *decision; /* the last one */
	enum vd_purpose action;
	int64_t time;
	vd_document_fn bring;
	void *user;
};

/** Rules: an emptied folder `dir`. */
UNUSED static void rules_begin(const char *dir)
{
	char command[256];

	snprintf(command, sizeof(command), "rm -rf '%s' && mkdir '%s'", dir, dir);
	assert_int_equal(system(command), 0);
}

UNUSED static void rules_write(const char *dir, const char *name, const char *text)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

#define POLICY(inside) "<policy xmlns='urn:libvdisk:policy:1'>\n" inside "\n</policy>\n"
#define RULE(id, actions, effect, inside)                                                          \
	"<rule id='" id "' actions='" actions "' effect='" effect "'>" inside "</rule>\n"
#define WHEN(query) "<when>" query "</when>"

/** The policy of one file. */
UNUSED static struct vd_policy *rules_of(const char *text)
{
	struct vd_policy *policy;

	rules_begin("rules.d");
	rules_write("rules.d", "10-test.xml", text);
	assert_int_equal(vd_policy_load(&policy, "rules.d", NULL), 0);
	return policy;
}

/** text NULL: the built-in rules alone. */
UNUSED static void judge_begin(struct judge *j, const char *text)
{
	*j = (struct judge){.action = VD_PURPOSE_RUN, .time = NOON};
	assert_int_equal(vd_fact_set_create(&j->document, NULL), 0);
	assert_int_equal(vd_fact_set_create(&j->image, NULL), 0);
	assert_int_equal(vd_fact_set_create(&j->host, NULL), 0);
	if (text)
		j->policy = rules_of(text);
	else
		assert_int_equal(vd_policy_load(&j->policy, NULL, NULL), 0);
	if (vd_policy_fault(j->policy))
		fail_msg("%s", vd_policy_fault(j->policy));
}

UNUSED static void judge_end(struct judge *j)
{
	vd_decision_free(j->decision);
	vd_policy_free(j->policy);
	vd_fact_set_free(j->document);
	vd_fact_set_free(j->image);
	vd_fact_set_free(j->host);
}

UNUSED static void says(struct vd_fact_set *set, const char *field, const char *value,
			uint32_t group)
{
	assert_int_equal(vd_fact_set_add(set, field, value, group, NULL), 0);
}

UNUSED static struct vd_policy_input judge_input(struct judge *j)
{
	struct vd_policy_input input = {.size = sizeof(input),
					.action = j->action,
					.time = j->time,
					.document = j->bring,
					.user = j->user};

	input.metadata.facts = vd_fact_set_facts(j->document, &input.metadata.n);
	input.image.facts = vd_fact_set_facts(j->image, &input.image.n);
	input.host.facts = vd_fact_set_facts(j->host, &input.host.n);
	return input;
}

UNUSED static const struct vd_decision *judge(struct judge *j)
{
	struct vd_policy_input input = judge_input(j);
	struct vd_error err = VD_ERROR_INIT;

	vd_decision_free(j->decision);
	j->decision = NULL;
	if (vd_policy_decide(j->policy, &input, &j->decision, &err))
		fail_msg("%s", err.text);
	return j->decision;
}

/** rule "": nothing decides. */
#define assert_decision(j, allowed, id)                                                            \
	do {                                                                                       \
		const struct vd_decision *d_ = judge(j);                                           \
                                                                                                   \
		if (strcmp(d_->rule, id) != 0 || d_->is_allowed != (allowed))                      \
			fail_msg("%s by \"%s\" (%s), not \"%s\"",                                  \
				 d_->is_allowed ? "allowed" : "denied", d_->rule, d_->reason, id); \
	} while (0)
#define assert_allowed(j)    assert_decision(j, true, "")
#define assert_denied(j, id) assert_decision(j, false, id)
#define assert_holds(text, part)                                                                   \
	do {                                                                                       \
		if (!strstr(text, part))                                                           \
			fail_msg("\"%s\" doesn't hold \"%s\"", text, part);                        \
	} while (0)

#endif
