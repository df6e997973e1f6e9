/* SPDX-License-Identifier: MIT */
/* Decisions: order, effects, conditions that fail, explanations; and that nothing but the input
 * has a say in them. */
#include <time.h>

#include "fault.h"
#include "judge_rig.h"

static void test_first_rule_decides(void **state)
{
	struct judge j;

	(void)state;
	judge_begin(&j, POLICY(RULE("other", "edit", "deny", "")
				   RULE("not-met", "run", "deny", WHEN("tag:secret"))
				       RULE("yes", "run convert", "allow", WHEN("tag:web"))
					   RULE("never-asked", "*", "deny", "")));
	says(j.document, "tag", "web", 0);
	/* What a site allows isn't asked of the built-in rules any more. */
	says(j.document, "expires", "2020-01-01T00:00:00Z", 0);
	assert_decision(&j, true, "yes");
	assert_int_equal(j.decision->effect, VD_EFFECT_ALLOW);
	assert_int_equal(j.decision->n_steps, 3);
	assert_int_equal(j.decision->steps[0].outcome, VD_RULE_OTHER_ACTION);
	assert_int_equal(j.decision->steps[1].outcome, VD_RULE_NOT_MET);
	assert_int_equal(j.decision->steps[2].outcome, VD_RULE_MET);
	assert_string_equal(j.decision->steps[2].rule->id, "yes");
	assert_string_equal(j.decision->steps[2].detail, "tag = web");
	assert_string_equal(j.decision->facts, "tag = web");
	assert_string_equal(j.decision->file, "rules.d/10-test.xml");
	assert_int_equal(j.decision->line, 4);
	j.action = VD_PURPOSE_EDIT;
	assert_denied(&j, "other");
	j.action = VD_PURPOSE_MOUNT_RO;
	assert_denied(&j, "never-asked");
	judge_end(&j);
}

static void test_none_allows(void **state)
{
	char text[64];
	struct judge j;

	(void)state;
	judge_begin(&j, POLICY(RULE("a", "export", "deny", "")));
	assert_allowed(&j);
	assert_string_equal(j.decision->reason, "");
	assert_int_equal(j.decision->n_steps, 6);
	vd_decision_format(j.decision, text, sizeof(text));
	assert_string_equal(text, "allowed: no rule speaks against it");
	judge_end(&j);
}

/* What doesn't write is allowed, the rest denied; a rule further down has no say. */
static void test_read_only(void **state)
{
	static const enum vd_purpose all[] = {
	    VD_PURPOSE_MOUNT_RO, VD_PURPOSE_MOUNT_RW, VD_PURPOSE_RUN, VD_PURPOSE_CONVERT,
	    VD_PURPOSE_EXPORT,   VD_PURPOSE_COMPACT,  VD_PURPOSE_EDIT};
	char text[256];
	struct judge j;

	(void)state;
	judge_begin(&j, POLICY(RULE("archive", "*", "read-only",
				    WHEN("tag:archive") "<reason>kept as it is</reason>")
				   RULE("all", "*", "deny", "")));
	says(j.document, "tag", "archive", 0);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		j.action = all[i];
		assert_decision(&j, !vd_purpose_writes(all[i]), "archive");
		assert_int_equal(j.decision->effect, VD_EFFECT_READ_ONLY);
	}
	assert_false(j.decision->is_allowed);
	vd_decision_format(j.decision, text, sizeof(text));
	assert_string_equal(text, "denied by rule archive (rules.d/10-test.xml:2), which allows "
				  "only to read: kept as it is");
	judge_end(&j);
}

/* Host, action and time are part of what a condition sees. */
static void test_conditions(void **state)
{
	struct judge j;

	(void)state;
	judge_begin(&j, POLICY(RULE("host", "*", "deny", WHEN("host.name:lab* AND action:convert"))
				   RULE("old", "*", "deny", WHEN("patched before now-90d"))
				       RULE("big", "*", "deny", WHEN("image.virtual-size gt 1G"))));
	says(j.host, "host.name", "lab7", 0);
	says(j.document, "patched", "2026-08-25T10:00:00Z", 0);
	says(j.image, "image.virtual-size", "1073741824", 0);
	assert_allowed(&j);
	j.action = VD_PURPOSE_CONVERT;
	assert_denied(&j, "host");
	assert_string_equal(j.decision->facts, "host.name = lab7");
	j.action = VD_PURPOSE_RUN;
	j.time = NOON + 1;
	assert_denied(&j, "old");
	j.time = NOON;
	says(j.image, "image.virtual-size", "1073741825", 0);
	assert_denied(&j, "big");
	judge_end(&j);
}

/* Facts of an entry of a list come with what matters of it, and how it is mended. */
static void test_facts_and_remedy(void **state)
{
	struct judge j;

	(void)state;
	judge_begin(&j,
		    POLICY(RULE("cve", "run", "deny", WHEN("cve.open.severity:critical")) RULE(
			"own", "edit", "deny",
			WHEN("cve.open.severity:critical OR package:bash") "<remedy>ask "
									   "somebody</remedy>")));
	says(j.document, "cve.open", "CVE-2026-1234", 7);
	says(j.document, "cve.open.severity", "critical", 7);
	says(j.document, "cve.open.package", "pkg:deb/debian/openssl@3.0.11-1?arch=amd64", 7);
	says(j.document, "cve.open.fixed-in", "3.0.12", 7);
	says(j.document, "cve.open", "CVE-2026-1", 8);
	says(j.document, "cve.open.severity", "low", 8);
	assert_denied(&j, "cve");
	assert_string_equal(j.decision->facts, "cve.open = CVE-2026-1234 (critical, openssl)");
	assert_string_equal(j.decision->remedy, "install openssl >= 3.0.12 and `meta scan` again");
	j.action = VD_PURPOSE_EDIT;
	says(j.document, "package", "pkg:deb/debian/bash@5", 9);
	assert_denied(&j, "own");
	assert_holds(j.decision->facts, "cve.open = CVE-2026-1234 (critical, openssl)");
	assert_string_equal(j.decision->remedy, "ask somebody");
	judge_end(&j);
}

/* What an image says can neither steer a terminal nor look like another line. */
static void test_hostile_facts(void **state)
{
	char value[2000];
	struct judge j;

	(void)state;
	judge_begin(&j, POLICY(RULE("t", "run", "deny", WHEN("title:*")) RULE(
			    "many", "edit", "deny", WHEN("tag:00* OR tag:01* OR tag:02*"))));
	says(j.document, "title", "a\x1b[2Jb\ncve.open = none", 0);
	assert_denied(&j, "t");
	assert_string_equal(j.decision->facts, "title = a\\x1b[2Jb\\x0acve.open = none");
	memset(value, 'x', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	for (int i = 0; i < 1000; i++) {
		snprintf(value, sizeof(value), "%04d", i);
		value[4] = 'x';
		says(j.document, "tag", value, 0);
	}
	j.action = VD_PURPOSE_EDIT;
	assert_denied(&j, "many");
	assert_in_range(strlen(j.decision->facts), 1000, 16384);
	assert_holds(j.decision->facts, "xxx...");
	assert_holds(j.decision->facts, "and more");
	judge_end(&j);
}

/* A long condition, each term of which many facts meet: it takes seconds at most. */
static void test_many_hits(void **state)
{
	static const char head[] = "<policy xmlns='urn:libvdisk:policy:1'><rule id='a' "
				   "actions='run' effect='deny'><when>tag:none";
	char *text = malloc(100000), value[64];
	struct judge j;
	size_t len;

	(void)state;
	assert_non_null(text);
	len = (size_t)sprintf(text, "%s", head);
	for (int i = 0; i < 4000; i++)
		len += (size_t)sprintf(text + len, " OR package:*");
	strcpy(text + len, "</when></rule></policy>");
	judge_begin(&j, text);
	for (uint32_t i = 1; i < 60000; i++) {
		snprintf(value, sizeof(value), "pkg:deb/debian/p%u@1", i);
		says(j.document, "package", value, i);
	}
	assert_denied(&j, "a");
	assert_holds(j.decision->facts, "package = pkg:deb/debian/p10000@1");
	judge_end(&j);
	free(text);
}

/* ---- XPath ---- */

static const char *patches = "<patches xmlns='urn:libvdisk:patches:1'><open id='CVE-1'/></patches>";

static int bring(void *user, const char *kind, char **bytes, size_t *len, struct vd_error *err)
{
	int *answer = user;

	if (strcmp(kind, "patches") != 0)
		return vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET, "none");
	if (*answer)
		return vd_error_set(err, *answer, 0, VD_NO_OFFSET, "it is broken");
	*bytes = strdup(patches);
	*len = strlen(patches);
	return 0;
}

static void test_xpath(void **state)
{
	int answer = 0;
	struct judge j;

	(void)state;
	judge_begin(
	    &j, POLICY(RULE("x", "run", "deny", "<when-xpath>//patches:open</when-xpath>")
			   RULE("y", "edit", "allow", "<when-xpath>//patches:fixed</when-xpath>")));
	/* Nobody brings documents: what can't be evaluated denies, an allowing rule too. */
	assert_denied(&j, "x");
	assert_int_equal(j.decision->steps[0].outcome, VD_RULE_FAILED);
	assert_holds(j.decision->reason, "can't be evaluated");
	j.action = VD_PURPOSE_EDIT;
	assert_denied(&j, "y");
	assert_int_equal(j.decision->effect, VD_EFFECT_DENY);
	j.bring = bring;
	j.user = &answer;
	assert_allowed(&j);
	j.action = VD_PURPOSE_RUN;
	assert_denied(&j, "x");
	assert_int_equal(j.decision->steps[0].outcome, VD_RULE_MET);
	/* Damaged, or not there at the moment. */
	answer = VD_ECORRUPT;
	j.action = VD_PURPOSE_EDIT;
	assert_denied(&j, "y");
	assert_holds(j.decision->reason, "damaged");
	answer = VD_EIO;
	assert_denied(&j, "y");
	answer = VD_ENOENT;
	assert_allowed(&j);
	judge_end(&j);
}

/* ---- purity ---- */

static void append(char *to, size_t size, const struct vd_decision *d)
{
	size_t n =
	    (size_t)snprintf(to, size, "%d %d %s %s %d|%s|%s|%s|%s|", d->effect, d->is_allowed,
			     d->rule, d->file, d->line, d->reason, d->facts, d->remedy, d->nearest);

	for (size_t i = 0; i < d->n_steps; i++)
		n += (size_t)snprintf(to + n, size - n, "%s %d %s\n", d->steps[i].rule->id,
				      d->steps[i].outcome, d->steps[i].detail);
	assert_in_range(n, 1, size - 1);
}

static void test_pure(void **state)
{
	static char first[65536], second[65536];
	struct judge j;

	(void)state;
	judge_begin(&j, POLICY(RULE("a", "run", "deny", WHEN("tag:x AND expires before now"))));
	says(j.document, "expires", "2026-11-01T00:00:00Z", 0);
	says(j.document, "grace", "100", 0);
	says(j.document, "hardware.memory", "8589934592", 1);
	says(j.document, "cve.open", "CVE-1", 2);
	says(j.document, "cve.open.severity", "critical", 2);
	append(first, sizeof(first), judge(&j));
	assert_int_equal(setenv("TZ", "Pacific/Auckland", 1), 0);
	assert_int_equal(setenv("LC_ALL", "de_DE.UTF-8", 1), 0);
	assert_int_equal(setenv("SOURCE_DATE_EPOCH", "1", 1), 0);
	tzset();
	assert_int_equal(chdir("/"), 0);
	sleep(1);
	append(second, sizeof(second), judge(&j));
	assert_string_equal(first, second);
	j.time++;
	append(second, sizeof(second), judge(&j));
	judge_end(&j);
}

/* The ends of time: no overflow, and times that lie beyond them aren't reached. */
static void test_extreme_times(void **state)
{
	static const int64_t times[] = {INT64_MIN, INT64_MIN + 1, -1, 0, INT64_MAX - 1, INT64_MAX};
	struct judge j;

	(void)state;
	judge_begin(&j, POLICY(RULE("a", "run", "deny",
				    WHEN("patched before now-90d AND patched after +30d"))));
	says(j.document, "patched", "2026-08-25T10:00:00Z", 0);
	says(j.document, "starts", "2026-08-25T10:00:00Z", 0);
	says(j.document, "expires", "2026-12-25T10:00:00Z", 0);
	says(j.document, "grace", "60", 0);
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		j.time = times[i];
		assert_denied(&j, "builtin:validity");
		assert_string_equal(j.decision->remedy, times[i] > NOON
							    ? "prolong it: `meta set IMAGE "
							      "expires=+90d`"
							    : "wait, or `meta set IMAGE "
							      "starts=TIME`");
	}
	judge_end(&j);
}

static void test_arguments(void **state)
{
	struct vd_policy_input input = {.size = sizeof(input), .action = (enum vd_purpose)99};
	struct vd_decision *decision;
	struct judge j;

	(void)state;
	judge_begin(&j, NULL);
	assert_int_equal(vd_policy_decide(j.policy, &input, &decision, NULL), VD_EINVAL);
	input.action = (enum vd_purpose)0;
	assert_int_equal(vd_policy_decide(j.policy, &input, &decision, NULL), VD_EINVAL);
	input.size = 0;
	assert_int_equal(vd_policy_decide(j.policy, &input, &decision, NULL), VD_EINVAL);
	vd_decision_free(NULL);
	judge_end(&j);
}

/* The line is cut where the room ends, and says how long it is. */
static void test_format(void **state)
{
	char text[24], whole[256];
	struct judge j;
	int n;

	(void)state;
	judge_begin(&j, NULL);
	says(j.document, "expires", "2026-11-23T10:00:00Z", 0);
	assert_denied(&j, "builtin:validity");
	n = vd_decision_format(j.decision, whole, sizeof(whole));
	assert_string_equal(whole, "denied by rule builtin:validity: it expired at "
				   "2026-11-23T10:00:00Z, 0 seconds ago");
	assert_int_equal(n, strlen(whole));
	assert_int_equal(vd_decision_format(j.decision, text, sizeof(text)), n);
	assert_int_equal(strncmp(text, whole, 23), 0);
	assert_int_equal(strlen(text), 23);
	judge_end(&j);
}

/* To be judged by one rule: an image with a tag, in whose metadata there may be damage. */
static void begin_damaged(struct judge *j, const char *rule, bool is_damaged)
{
	char text[512];

	snprintf(text, sizeof(text), POLICY("%s"), rule);
	judge_begin(j, text);
	says(j->document, "tag", "x", 0);
	says(j->image, "metadata.damaged", is_damaged ? "true" : "false", 0);
}

/* And a rule that would deny because of what could stand in a damaged document does deny. */
static void test_what_damage_could_hide(void **state)
{
	static const struct {
		const char *rule; /* that denies */
		bool is_unsure;
	} rows[] = {
	    {RULE("a", "convert", "deny", WHEN("tag:secret")), true},
	    {RULE("a", "convert", "deny", WHEN("title:* AND NOT tag:x")), true},
	    {RULE("a", "convert", "deny", WHEN("NOT tag:x")), false},
	    {RULE("a", "convert", "deny", WHEN("host.arch:aarch64")), false},
	    {RULE("a", "convert", "deny", WHEN("tag:secret AND metadata.damaged:false")), false},
	    {RULE("a", "mount-rw", "deny", WHEN("tag:secret")), false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int is_damaged = 0; is_damaged < 2; is_damaged++) {
			struct judge j;

			begin_damaged(&j, rows[i].rule, is_damaged);
			j.action = VD_PURPOSE_CONVERT;
			if (is_damaged && rows[i].is_unsure)
				assert_denied(&j, "a");
			else
				assert_allowed(&j);
			judge_end(&j);
		}
	}
}

/* Facts of a damaged document are missing: what asks for their absence can't be told. */
static void test_absence_of_what_is_damaged(void **state)
{
	static const struct {
		const char *rule; /* that allows */
		bool is_unsure;
	} rows[] = {
	    {RULE("a", "run", "allow", WHEN("NOT expires before now")), true},
	    {RULE("a", "run", "allow", WHEN("tag:x AND NOT (title:* OR expires:*)")), true},
	    {RULE("a", "run", "allow", WHEN("tag!=gold")), true},
	    {RULE("a", "run", "allow", WHEN("NOT secret")), true},
	    {RULE("a", "run", "allow", WHEN("NOT cve.open{severity:critical}")), true},
	    {RULE("a", "run", "allow", WHEN("tag:x")), false},
	    {RULE("a", "run", "allow", WHEN("NOT NOT tag:x")), false},
	    {RULE("a", "run", "allow", WHEN("tag:x NOT host.arch:aarch64 NOT action:edit")), false},
	    {RULE("a", "run", "allow", WHEN("NOT title:* AND metadata.damaged:true")), false},
	    {RULE("a", "run", "allow", ""), false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int is_damaged = 0; is_damaged < 2; is_damaged++) {
			struct judge j;

			begin_damaged(&j, rows[i].rule, is_damaged);
			if (is_damaged && rows[i].is_unsure) {
				assert_denied(&j, "a");
				assert_holds(j.decision->reason, "can't be evaluated");
				assert_holds(j.decision->reason, "damaged");
			} else if (is_damaged || !strstr(rows[i].rule, "damaged:true")) {
				assert_decision(&j, true, "a");
			}
			judge_end(&j);
		}
	}
}

/* Without memory there is no decision; never another one. */
static void test_without_memory(void **state)
{
	static char first[65536], other[65536];
	struct vd_decision *decision;
	struct vd_policy_input input;
	struct judge j;
	size_t n_blocks;
	int ret = VD_ENOMEM;
	uint64_t n = 0;

	(void)state;
	judge_begin(&j, POLICY(RULE("a", "run", "deny", WHEN("tag:x OR expires after now"))));
	says(j.document, "expires", "2027-11-01T00:00:00Z", 0);
	says(j.document, "hardware.memory", "8589934592", 1);
	says(j.document, "hardware.cpu.feature", "avx2", 1);
	says(j.document, "hardware.memory", "4294967296", 2);
	j.action = VD_PURPOSE_MOUNT_RO;
	append(first, sizeof(first), judge(&j));
	assert_string_equal(j.decision->rule, "builtin:hardware");
	input = judge_input(&j);
	fault_memory_watch();
	n_blocks = fault_memory_blocks();
	for (; ret == VD_ENOMEM; n++) {
		fault_memory_fail(n + 1, true);
		ret = vd_policy_decide(j.policy, &input, &decision, NULL);
		fault_memory_fail(0, false);
		if (!ret) {
			append(other, sizeof(other), decision);
			vd_decision_free(decision);
		}
	}
	assert_int_equal(fault_memory_blocks(), n_blocks);
	assert_int_equal(ret, 0);
	assert_string_equal(first, other);
	assert_true(n > 8);
	judge_end(&j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_first_rule_decides),
	    cmocka_unit_test(test_none_allows),
	    cmocka_unit_test(test_read_only),
	    cmocka_unit_test(test_conditions),
	    cmocka_unit_test(test_facts_and_remedy),
	    cmocka_unit_test(test_hostile_facts),
	    cmocka_unit_test(test_many_hits),
	    cmocka_unit_test(test_xpath),
	    cmocka_unit_test(test_absence_of_what_is_damaged),
	    cmocka_unit_test(test_what_damage_could_hide),
	    cmocka_unit_test(test_extreme_times),
	    cmocka_unit_test(test_arguments),
	    cmocka_unit_test(test_format),
	    cmocka_unit_test(test_without_memory),
	    cmocka_unit_test(test_pure), /* leaves the folder */
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
