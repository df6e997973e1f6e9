/* SPDX-License-Identifier: MIT */
/*
 * Files of rules. Input: the bytes of one.
 * Properties: it loads, or has a fault that names the file; with a fault, every action that asks
 * is denied; each rule that is listed is whole; a decision is the same the second time, rests on
 * the last of its steps, and has texts that are UTF-8 without control characters but line feeds;
 * and an action that no rule speaks of is allowed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "fuzz.h"
#include "policy/policy_rules.h"

#define FILE_NAME "10-fuzz.xml"
#define MAX_ASKED 64 /* rules; more would only take longer */

static const char document[] =
    "<patches xmlns='urn:libvdisk:patches:1'><open id='CVE-1' severity='critical'/></patches>";

static int bring(void *user, const char *kind, char **bytes, size_t *len, struct vd_error *err)
{
	(void)user;
	if (strcmp(kind, "history") == 0)
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET, "damaged");
	if (strcmp(kind, "patches") != 0)
		return vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET, "none");
	*bytes = vd_strdup(document);
	*len = sizeof(document) - 1;
	return 0;
}

/* As sorted as vd_meta_get_facts gives them. */
static const struct vd_fact facts[] = {
    {"cve.open", "CVE-1", "cve-1", 4},
    {"cve.open.package", "pkg:deb/debian/openssl@3.0.11", "pkg:deb/debian/openssl@3.0.11", 4},
    {"cve.open.severity", "critical", "critical", 4},
    {"expires", "2026-12-01T00:00:00Z", "2026-12-01t00:00:00z", 0},
    {"hardware.memory", "1073741824", "1073741824", 9},
    {"tag", "a\x1b[2J\nb", "a\x1b[2j\nb", 0},
    {"tag", "web", "web", 0},
};
static const struct vd_fact host[] = {
    {"host.arch", "x86_64", "x86_64", 0},
    {"host.memory", "4294967296", "4294967296", 0},
};

static void check_text(const char *text, bool may_have_lines)
{
	FUZZ_CHECK(text && fuzz_is_utf8(text), "no text");
	for (const char *p = text; *p; p++)
		FUZZ_CHECK((unsigned char)*p >= 0x20 || (*p == '\n' && may_have_lines),
			   "a control character: %s", text);
}

static bool is_same(const struct vd_decision *a, const struct vd_decision *b)
{
	return a->effect == b->effect && a->is_allowed == b->is_allowed && a->line == b->line &&
	       strcmp(a->rule, b->rule) == 0 && strcmp(a->reason, b->reason) == 0 &&
	       strcmp(a->facts, b->facts) == 0 && strcmp(a->remedy, b->remedy) == 0 &&
	       strcmp(a->nearest, b->nearest) == 0 && a->n_steps == b->n_steps;
}

static void check_decision(const struct vd_policy *policy, const struct vd_decision *d)
{
	const struct vd_rule_step *last = d->n_steps ? &d->steps[d->n_steps - 1] : NULL;

	check_text(d->reason, true);
	check_text(d->facts, true);
	check_text(d->remedy, true);
	check_text(d->nearest, true);
	for (size_t i = 0; i < d->n_steps; i++)
		FUZZ_CHECK(d->steps[i].rule == vd_policy_rule(policy, i), "step %zu", i);
	if (vd_policy_fault(policy)) {
		FUZZ_CHECK(!d->is_allowed && strcmp(d->rule, "policy") == 0, "broken, yet allowed");
	} else if (d->rule[0]) {
		FUZZ_CHECK(last && strcmp(last->rule->id, d->rule) == 0, "another rule");
		FUZZ_CHECK(last->outcome == VD_RULE_MET || last->outcome == VD_RULE_FAILED,
			   "it wasn't met");
		FUZZ_CHECK(last->outcome == VD_RULE_MET || !d->is_allowed, "failed, yet allowed");
	} else {
		FUZZ_CHECK(d->is_allowed && !vd_policy_rule(policy, d->n_steps), "not all asked");
	}
}

static void decide(const struct vd_policy *policy, enum vd_purpose action)
{
	struct vd_policy_input input = {.size = sizeof(input),
					.action = action,
					.time = 1795428000,
					.metadata = {facts, sizeof(facts) / sizeof(*facts)},
					.host = {host, sizeof(host) / sizeof(*host)},
					.document = bring};
	struct vd_decision *first, *second;
	struct vd_error err;
	char line[200];

	FUZZ_CHECK(vd_policy_decide(policy, &input, &first, &err) == 0, "%s", err.text);
	check_decision(policy, first);
	FUZZ_CHECK(vd_policy_decide(policy, &input, &second, &err) == 0, "%s", err.text);
	FUZZ_CHECK(is_same(first, second), "another decision");
	FUZZ_CHECK(vd_decision_format(first, line, sizeof(line)) > 0, "no line");
	vd_decision_free(first);
	vd_decision_free(second);
}

static size_t check_rules(const struct vd_policy *policy)
{
	const struct vd_rule *rule;
	size_t n = 0;

	for (; (rule = vd_policy_rule(policy, n)); n++) {
		FUZZ_CHECK(rule->id && rule->id[0] && rule->actions[0] && rule->when &&
			       rule->reason,
			   "rule %zu isn't whole", n);
		FUZZ_CHECK(!rule->file || (strcmp(rule->file, FILE_NAME) == 0 && rule->line > 0),
			   "rule %zu stands nowhere", n);
	}
	FUZZ_CHECK(n <= POLICY_RULES_MAX + POLICY_N_BUILTINS, "%zu rules", n);
	return n;
}

static void run(const uint8_t *data, size_t size)
{
	struct vd_policy *policy;
	struct vd_error err;
	const char *fault;
	size_t n;

	FUZZ_CHECK(policy_load_text(&policy, FILE_NAME, (const char *)data, size, &err) == 0, "%s",
		   err.text);
	fault = vd_policy_fault(policy);
	n = check_rules(policy);
	if (fault) {
		FUZZ_CHECK(n == 0 && strncmp(fault, FILE_NAME ":", strlen(FILE_NAME) + 1) == 0,
			   "%s", fault);
		check_text(fault, false);
	} else {
		fuzz_deep();
	}
	if (n <= MAX_ASKED) {
		decide(policy, VD_PURPOSE_RUN);
		decide(policy, VD_PURPOSE_EXPORT);
	}
	vd_policy_free(policy);
}

#define POLICY(inside) "<policy xmlns='urn:libvdisk:policy:1'>" inside "</policy>"
#define RULE(inside)   POLICY("<rule id='a' actions='run' effect='deny'>" inside "</rule>")
static const struct {
	const char *name, *text;
} seeds[] = {
    {"empty", POLICY("")},
    {"always", POLICY("<rule id='a' actions='*' effect='deny'/>")},
    {"allow", POLICY("<rule id='a' actions='run export' effect='allow'/>")},
    {"read-only", POLICY("<rule id='a' actions='*' effect='read-only'/>")},
    {"when", RULE("<when>cve.open.severity:critical OR patched before now-90d</when>"
		  "<reason>because</reason><remedy>do it</remedy>")},
    {"host", RULE("<when>host.arch:x86_64 AND NOT action:export AND host.memory ge 4G</when>")},
    {"entry", RULE("<when>cve.open{severity:critical package:openssl&lt;3.0.12}</when>")},
    {"hostile-tag", RULE("<when>tag:a*</when>")},
    {"word", RULE("<when>web OR \"a b\"</when>")},
    {"xpath", RULE("<when-xpath>//patches:open[@severity=\"critical\"]</when-xpath>")},
    {"xpath-count", RULE("<when-xpath>count(//patches:*) &gt; 1</when-xpath>")},
    {"xpath-damaged", RULE("<when-xpath>//history:entry</when-xpath>")},
    {"off", POLICY("<off rule='builtin:validity'/><off rule='a'/>"
		   "<rule id='a' actions='run' effect='deny'/>")},
    {"off-none", POLICY("<off rule='builtin:x'/>")},
    {"twice", POLICY("<rule id='a' actions='run' effect='deny'/>"
		     "<rule id='a' actions='run' effect='deny'/>")},
    {"file", RULE("<when>file:**/x</when>")},
    {"foreign", "<p:policy xmlns:p='urn:libvdisk:policy:1' xmlns:v='urn:v' v:a='1'><v:x/>"
		"<p:rule id='a.b' actions=' run\n edit ' effect='deny' v:b='2'><p:when>\n<![CDATA["
		"tag:web]]></p:when><v:y>z</v:y></p:rule></p:policy>"},
    {"unknown", RULE("<unless>tag:web</unless>")},
    {"attribute", POLICY("<rule id='a' actions='run' effect='deny' x='y'/>")},
    {"action", POLICY("<rule id='a' actions='fly' effect='deny'/>")},
    {"xsi", POLICY("<rule xmlns:i='http://www.w3.org/2001/XMLSchema-instance' i:type='x' id='a' "
		   "actions='run' effect='deny'/>")},
    {"doctype", "<!DOCTYPE a [<!ENTITY b 'c'>]>" POLICY("&b;")},
    {"syntax", RULE("<when>tag:x AND\n\n (tag:y</when>")},
};

static void seed(void)
{
	for (size_t i = 0; i < sizeof(seeds) / sizeof(*seeds); i++)
		fuzz_seed(seeds[i].name, seeds[i].text, strlen(seeds[i].text));
}

const struct fuzz_target fuzz_policy = {
    .name = "policy", .run = run, .seed = seed, .max_memory = 16 << 20};
