/* SPDX-License-Identifier: MIT */
/* The built-in rules on what an image says of itself: for each the image that it denies, and its
 * twin that it lets pass. */
#include "judge_rig.h"

/* ---- which actions ---- */

static void test_actions(void **state)
{
	static const struct {
		enum vd_purpose action;
		bool is_asked;
	} all[] = {
	    {VD_PURPOSE_INSPECT, false}, {VD_PURPOSE_SEARCH, false},  {VD_PURPOSE_MAP, false},
	    {VD_PURPOSE_CHECK, false},   {VD_PURPOSE_MOUNT_RO, true}, {VD_PURPOSE_MOUNT_RW, true},
	    {VD_PURPOSE_RUN, true},      {VD_PURPOSE_CONVERT, false}, {VD_PURPOSE_EXPORT, false},
	    {VD_PURPOSE_COMPACT, false}, {VD_PURPOSE_EDIT, false}};
	struct judge j;

	(void)state;
	judge_begin(&j, NULL);
	says(j.image, "metadata.damaged", "true", 0);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		j.action = all[i].action;
		if (all[i].is_asked)
			assert_denied(&j, "builtin:metadata");
		else
			assert_allowed(&j);
	}
	judge_end(&j);
}

/* Nothing said, nothing demanded: an image of which only the file is known. */
static void test_silence(void **state)
{
	struct judge j;

	(void)state;
	judge_begin(&j, NULL);
	assert_allowed(&j);
	says(j.image, "metadata.damaged", "false", 0);
	says(j.image, "metadata.place", "none", 0);
	says(j.host, "host.arch", "x86_64", 0);
	assert_allowed(&j);
	judge_end(&j);
}

static void test_metadata(void **state)
{
	struct judge j;

	(void)state;
	judge_begin(&j, NULL);
	says(j.image, "metadata.damaged", "false", 0);
	says(j.image, "metadata.place", "sidecar", 0);
	assert_allowed(&j);
	judge_end(&j);
	judge_begin(&j, NULL);
	says(j.image, "metadata.damaged", "true", 0);
	says(j.image, "metadata.place", "sidecar", 0);
	assert_denied(&j, "builtin:metadata");
	assert_string_equal(j.decision->facts, "metadata.damaged = true\nmetadata.place = sidecar");
	assert_holds(j.decision->remedy, "meta list");
	judge_end(&j);
}

/* ---- validity ---- */

static void test_expires(void **state)
{
	struct judge j;

	(void)state;
	judge_begin(&j, NULL);
	says(j.document, "expires", "2026-11-23T10:00:00Z", 0);
	j.time = NOON - 1;
	assert_allowed(&j);
	/* Not to be used *from* then on. */
	j.time = NOON;
	assert_denied(&j, "builtin:validity");
	assert_string_equal(j.decision->facts, "expires = 2026-11-23T10:00:00Z");
	assert_holds(j.decision->remedy, "meta set IMAGE expires=");
	says(j.document, "validity.reason", "the licence ends", 0);
	j.time = NOON + 3 * 86400;
	assert_denied(&j, "builtin:validity");
	assert_string_equal(j.decision->reason,
			    "it expired at 2026-11-23T10:00:00Z, 3 days ago: the licence ends");
	judge_end(&j);
}

static void test_starts(void **state)
{
	struct judge j;

	(void)state;
	judge_begin(&j, NULL);
	says(j.document, "starts", "2026-11-23T10:00:00Z", 0);
	j.time = NOON;
	assert_allowed(&j);
	j.time = NOON - 60;
	assert_denied(&j, "builtin:validity");
	assert_holds(j.decision->reason, "it isn't valid before 2026-11-23T10:00:00Z, which is in "
					 "1 minute");
	assert_string_equal(j.decision->facts, "starts = 2026-11-23T10:00:00Z");
	judge_end(&j);
}

static void test_grace(void **state)
{
	struct judge j;

	(void)state;
	judge_begin(&j, NULL);
	says(j.document, "expires", "2026-11-23T10:00:00Z", 0);
	says(j.document, "grace", "3600", 0);
	j.time = NOON + 3599;
	assert_allowed(&j);
	assert_string_equal(j.decision->steps[1].rule->id, "builtin:validity");
	assert_string_equal(j.decision->steps[1].detail,
			    "it expired at 2026-11-23T10:00:00Z; tolerated for 1 second more");
	j.time = NOON + 3600;
	assert_denied(&j, "builtin:validity");
	assert_holds(j.decision->facts, "grace = 3600");
	/* The longest that there can be. */
	judge_end(&j);
	judge_begin(&j, NULL);
	says(j.document, "expires", "0001-01-02T00:00:00Z", 0);
	says(j.document, "grace", "18446744073709551615", 0);
	j.time = INT64_MAX;
	assert_allowed(&j);
	judge_end(&j);
}

/* Facts of no document: they can't be read, so they can't allow. */
static void test_broken_validity(void **state)
{
	struct judge j;

	(void)state;
	judge_begin(&j, NULL);
	says(j.document, "expires", "tomorrow", 0);
	assert_denied(&j, "builtin:validity");
	assert_int_equal(j.decision->steps[1].outcome, VD_RULE_FAILED);
	judge_end(&j);
	judge_begin(&j, NULL);
	says(j.document, "expires", "2026-01-01T00:00:00Z", 0);
	says(j.document, "grace", "99999999999999999999", 0);
	assert_denied(&j, "builtin:validity");
	judge_end(&j);
}

/* ---- patches ---- */

static void test_patches(void **state)
{
	static const struct {
		const char *severity, *status;
		bool is_denied;
	} rows[] = {
	    {"critical", NULL, true},
	    {"critical", "affected", true},
	    {"critical", "under_investigation", false},
	    {"high", "affected", false},
	    {NULL, "affected", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct judge j;

		judge_begin(&j, NULL);
		says(j.document, "cve.open", "CVE-2026-1", 3);
		if (rows[i].severity)
			says(j.document, "cve.open.severity", rows[i].severity, 3);
		if (rows[i].status)
			says(j.document, "cve.open.status", rows[i].status, 3);
		/* Another entry's. */
		says(j.document, "cve.open", "CVE-2026-2", 4);
		says(j.document, "cve.open.status", "under_investigation", 4);
		if (rows[i].is_denied) {
			assert_denied(&j, "builtin:patches");
			assert_string_equal(j.decision->facts, "cve.open = CVE-2026-1 (critical)");
			assert_holds(j.decision->remedy, "update the guest");
		} else {
			assert_allowed(&j);
		}
		judge_end(&j);
	}
}

static void test_many_cves(void **state)
{
	char id[32];
	struct judge j;

	(void)state;
	judge_begin(&j, NULL);
	for (uint32_t i = 1; i <= 100; i++) {
		snprintf(id, sizeof(id), "CVE-2026-%u", i);
		says(j.document, "cve.open", id, i);
		says(j.document, "cve.open.severity", "critical", i);
		says(j.document, "cve.open.package", "pkg:npm/%40scope/name@1", i);
		says(j.document, "cve.open.fixed-in", "2.0", i);
	}
	assert_denied(&j, "builtin:patches");
	assert_holds(j.decision->reason, "100 open critical vulnerabilities");
	assert_holds(j.decision->facts, "and 84 more");
	assert_holds(j.decision->facts, "cve.open = CVE-2026-1 (critical, name)");
	assert_holds(j.decision->remedy, "install name >= 2.0");
	judge_end(&j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_actions),         cmocka_unit_test(test_silence),
	    cmocka_unit_test(test_metadata),        cmocka_unit_test(test_expires),
	    cmocka_unit_test(test_starts),          cmocka_unit_test(test_grace),
	    cmocka_unit_test(test_broken_validity), cmocka_unit_test(test_patches),
	    cmocka_unit_test(test_many_cves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
