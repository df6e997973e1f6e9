/* SPDX-License-Identifier: MIT */
/* How versions are ordered. Those of Debian are compared with dpkg by search/versions_dpkg. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <vdisk/query.h>

#define N_OF(table) (sizeof(table) / sizeof(*(table)))

static void is_order(enum vd_version_scheme scheme, const char *a, char op, const char *b)
{
	int want = op == '<' ? -1 : op == '>', got = vd_version_compare(scheme, a, b);
	int back = vd_version_compare(scheme, b, a);

	if (got != want || back != -want)
		fail_msg("\"%s\" %c \"%s\" came out as %d and %d", a, op, b, got, back);
}

/** Each before all that follow. */
static void is_chain(enum vd_version_scheme scheme, const char *const *chain, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		is_order(scheme, chain[i], '=', chain[i]);
		for (size_t k = i + 1; k < n; k++)
			is_order(scheme, chain[i], '<', chain[k]);
	}
}

static void debian_versions(void **state)
{
	static const char *const chain[] = {"~~",        "~~a",   "~",          "",
					    "0.9~rc2",   "0.9",   "1.0~~",      "1.0~beta1~svn1",
					    "1.0~beta1", "1.0",   "1.0-1~bpo1", "1.0-1",
					    "1.0-1+b1",  "1.0-2", "1.0-10",     "1.0a",
					    "1.0+dfsg",  "1.0.1", "1.2",        "1.10",
					    "1:0.1",     "2:0",   "10:0"};

	(void)state;
	is_chain(VD_VERSION_DEB, chain, N_OF(chain));
	is_order(VD_VERSION_DEB, "1.0", '=', "0:1.0");
	is_order(VD_VERSION_DEB, "1.0", '=', "1.0-0");
	is_order(VD_VERSION_DEB, "1.00", '=', "1.0");
	is_order(VD_VERSION_DEB, "1.0-1-2", '>', "1.0-1");
	is_order(VD_VERSION_DEB, "99999999999999999999999:1", '<', "100000000000000000000000:0");
	/* Not by the policy, but ordered all the same. */
	is_order(VD_VERSION_DEB, "x:1", '>', "x");
	is_order(VD_VERSION_DEB, "\xc3\xa4", '>', "z");
}

static void rpm_versions(void **state)
{
	static const struct {
		const char *a;
		char op;
		const char *b;
	} table[] = {
	    {"1.0", '=', "1.0"},
	    {"1.0", '<', "2.0"},
	    {"2.0.1", '>', "2.0"},
	    {"2.0.1a", '>', "2.0.1"},
	    {"5.5p1", '<', "5.5p2"},
	    {"5.5p10", '>', "5.5p1"},
	    {"10xyz", '<', "10.1xyz"},
	    {"xyz10", '<', "xyz10.1"},
	    {"xyz.4", '<', "8"},
	    {"xyz.4", '<', "2"},
	    {"5.5p2", '<', "5.6p1"},
	    {"5.6p1", '<', "6.5p1"},
	    {"6.0.rc1", '>', "6.0"},
	    {"10b2", '>', "10a1"},
	    {"10a2", '<', "10b2"},
	    {"1.0aa", '>', "1.0a"},
	    {"10.0001", '=', "10.1"},
	    {"10.0001", '<', "10.0039"},
	    {"4.999.9", '<', "5.0"},
	    {"20101121", '<', "20101122"},
	    {"2_0", '=', "2.0"},
	    {"a", '=', "a"},
	    {"a+", '=', "a_"},
	    {"+a", '=', "_a"},
	    {"+", '=', "_"},
	    {"1.0~rc1", '<', "1.0"},
	    {"1.0~rc1", '<', "1.0~rc2"},
	    {"1.0~rc1~git1", '<', "1.0~rc1"},
	    {"1.0^", '>', "1.0"},
	    {"1.0^git1", '<', "1.01"},
	    {"1.0^git1", '<', "1.0^git2"},
	    {"1.0^20160101", '<', "1.0.1"},
	    {"1.0^20160101^git1", '>', "1.0^20160101"},
	    {"1.0~rc1^git1", '>', "1.0~rc1"},
	    {"1.0^git1~pre", '<', "1.0^git1"},
	    /* epochs and releases */
	    {"1:1.0", '>', "2.0"},
	    {"0:1.0", '=', "1.0"},
	    {"1.0-1", '<', "1.0-2"},
	    {"1.0-1", '=', "1.0"},
	    {"1.0-9.el9", '<', "1.0-10.el9"},
	    {"1:1.1.1k-6.el8_5", '<', "1:1.1.1k-7.el8_6"},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(table); i++)
		is_order(VD_VERSION_RPM, table[i].a, table[i].op, table[i].b);
}

static void semantic_versions(void **state)
{
	/* The chain of section 11 of the specification, and around it. */
	static const char *const chain[] = {
	    "0.9.9",         "1.0.0-0",      "1.0.0-alpha",   "1.0.0-alpha.1", "1.0.0-alpha.beta",
	    "1.0.0-beta",    "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1",    "1.0.0",
	    "1.0.1-0.3.7",   "1.0.1",        "1.9.0",         "1.10.0",        "1.11.0",
	    "2.0.0-x-y-z.-", "2.0.0"};

	(void)state;
	is_chain(VD_VERSION_SEMVER, chain, N_OF(chain));
	is_order(VD_VERSION_SEMVER, "1.0.0+1", '=', "1.0.0+2.exp");
	is_order(VD_VERSION_SEMVER, "1.0.0-a+1", '<', "1.0.0");
	is_order(VD_VERSION_SEMVER, "v1.2.0-rc1", '<', "v1.2.0");
	is_order(VD_VERSION_SEMVER, "v1.2.0", '=', "1.2.0");
	is_order(VD_VERSION_SEMVER, "1.0.0-99999999999999999999", '<',
		 "1.0.0-100000000000000000000");
	/* One that isn't such a version: part by part. */
	is_order(VD_VERSION_SEMVER, "1.0", '<', "1.0.0");
	is_order(VD_VERSION_SEMVER, "1.0.0-01", '=', "1.0.0-1");
	is_order(VD_VERSION_SEMVER, "1.0.0-", '=', "1.0.0");
	is_order(VD_VERSION_SEMVER, "1.0.0.1", '>', "1.0.0-rc");
}

static void versions_part_by_part(void **state)
{
	static const char *const chain[] = {
	    "~~",  "~",   "",     "a",     "b",   "0",     "1~rc1",  "1", "1.a",
	    "1.b", "1.0", "1.0a", "1.0.1", "1.9", "1.10a", "1.10.0", "2", "18446744073709551616"};

	(void)state;
	is_chain(VD_VERSION_PARTS, chain, N_OF(chain));
	is_order(VD_VERSION_PARTS, "1.02", '=', "1.2");
	is_order(VD_VERSION_PARTS, "1..2-", '=', "1+2");
	is_order(VD_VERSION_PARTS, "1a2", '=', "1.a.2");
	is_order(VD_VERSION_PARTS, "1.A", '<', "1.a");
	is_order(VD_VERSION_PARTS, "1.z", '<', "1.\xc3\xa4");
	is_order(VD_VERSION_PARTS, "1.\xff", '<', "1.0");
}

static void each_order_is_one(void **state)
{
	static const char pieces[] = "019aZ~^.+-_:v \xc3";
	char text[48][8];

	(void)state;
	srand(7);
	for (size_t i = 0; i < N_OF(text); i++) {
		size_t n = (size_t)(rand() % 7);

		for (size_t k = 0; k < n; k++)
			text[i][k] = pieces[(size_t)rand() % (sizeof(pieces) - 1)];
		text[i][n] = '\0';
	}
	for (int s = VD_VERSION_PARTS; s <= VD_VERSION_SEMVER; s++) {
		for (size_t a = 0; a < N_OF(text); a++) {
			for (size_t b = 0; b < N_OF(text); b++) {
				int order = vd_version_compare(s, text[a], text[b]);

				assert_int_equal(order, -vd_version_compare(s, text[b], text[a]));
				/* Releases that aren't compared, and mixes of semantic and
				 * other versions, make no chains. */
				for (size_t c = 0; s < VD_VERSION_RPM && c < N_OF(text); c++)
					if (order <= 0 &&
					    vd_version_compare(s, text[b], text[c]) <= 0)
						assert_true(
						    vd_version_compare(s, text[a], text[c]) <= 0);
			}
		}
	}
}

static void the_type_of_a_package_says_how(void **state)
{
	(void)state;
	assert_int_equal(vd_version_scheme_of("deb"), VD_VERSION_DEB);
	assert_int_equal(vd_version_scheme_of("rpm"), VD_VERSION_RPM);
	assert_int_equal(vd_version_scheme_of("npm"), VD_VERSION_SEMVER);
	assert_int_equal(vd_version_scheme_of("swift"), VD_VERSION_SEMVER);
	assert_int_equal(vd_version_scheme_of("apk"), VD_VERSION_PARTS);
	assert_int_equal(vd_version_scheme_of(""), VD_VERSION_PARTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(debian_versions),   cmocka_unit_test(rpm_versions),
	    cmocka_unit_test(semantic_versions), cmocka_unit_test(versions_part_by_part),
	    cmocka_unit_test(each_order_is_one), cmocka_unit_test(the_type_of_a_package_says_how),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
