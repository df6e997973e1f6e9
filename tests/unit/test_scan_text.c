/* SPDX-License-Identifier: MIT */
/* Texts of a guest: cleaned, parsed, put into package URLs and osinfo's ids. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "image/scan.h"

static void cleaned_text_is_one_line(void **state)
{
	static const struct {
		const char *text, *clean;
	} rows[] = {
	    {"", ""},
	    {"  a \t b\r\n", "a b"},
	    {"a\033[1mb", "a\xef\xbf\xbd[1mb"},
	    {"\xff\xc3\xa4", "\xef\xbf\xbd\xc3\xa4"},
	    {"\n\n", ""},
	};
	char to[32];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		vd_scan_clean(to, sizeof(to), rows[i].text, strlen(rows[i].text));
		assert_string_equal(to, rows[i].clean);
	}
	/* Cut between characters. */
	vd_scan_clean(to, 6, "abcd\xc3\xa4z", 7);
	assert_string_equal(to, "abcd");
	vd_scan_clean(to, sizeof(to), "ab\0cd", 5);
	assert_string_equal(to, "ab");
}

static void os_release_is_read_as_a_shell_would(void **state)
{
	static const char text[] = "# ID=none\nXID=no\nID=deb\\ian\nNAME=\"a \\\"b\\\" $c\"\n"
				   "VERSION='1\"2'\nEMPTY=\nLAST=x";
	char to[64];

	(void)state;
	assert_true(vd_scan_shell_value(text, "ID", to, sizeof(to)));
	assert_string_equal(to, "debian");
	assert_true(vd_scan_shell_value(text, "NAME", to, sizeof(to)));
	assert_string_equal(to, "a \"b\" $c");
	assert_true(vd_scan_shell_value(text, "VERSION", to, sizeof(to)));
	assert_string_equal(to, "1\"2");
	assert_true(vd_scan_shell_value(text, "LAST", to, sizeof(to)));
	assert_string_equal(to, "x");
	assert_false(vd_scan_shell_value(text, "EMPTY", to, sizeof(to)));
	assert_false(vd_scan_shell_value(text, "NONE", to, sizeof(to)));
	assert_string_equal(to, "");
}

static void guests_are_named_as_libosinfo_does(void **state)
{
	static const struct {
		const char *distro, *version, *name, *id;
	} rows[] = {
	    {"debian", "12.5", "Debian GNU/Linux", "debian12"},
	    {"ubuntu", "22.04", "Ubuntu", "ubuntu22.04"},
	    {"fedora", "40", "Fedora Linux", "fedora40"},
	    {"alpine", "3.19.1", "Alpine Linux", "alpinelinux3.19"},
	    {"rhel", "9.3", "Red Hat Enterprise Linux", "rhel9.3"},
	    {"centos", "9", "CentOS Stream", "centos-stream9"},
	    {"sles", "15.5", "SLES", "sles15sp5"},
	    {"arch", "", "Arch Linux", "archlinux"},
	    {"other", "1.2", "Other", "other1.2"},
	    {"", "", "", ""},
	    {"debian", "", "Debian", "debian"},
	};
	char id[64];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		vd_scan_osinfo_id(rows[i].distro, rows[i].version, rows[i].name, id, sizeof(id));
		assert_string_equal(id, rows[i].id);
	}
}

static void package_urls_are_encoded(void **state)
{
	char purl[128];

	(void)state;
	assert_true(vd_scan_purl(purl, sizeof(purl), "deb", "Debian", "libstdc++6",
				 "1:12.2.0-14+b1~x", "amd64"));
	assert_string_equal(purl, "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bb1~x?arch=amd64");
	assert_true(vd_scan_purl(purl, sizeof(purl), "apk", "", "a b", "", ""));
	assert_string_equal(purl, "pkg:apk/a%20b");
	assert_false(vd_scan_purl(purl, sizeof(purl), "apk", "x", "", "1", ""));
	assert_string_equal(purl, "");
}

static void what_doesnt_fit_is_no_package_url(void **state)
{
	char purl[64];

	(void)state;
	for (size_t size = 8; size <= 40; size++) {
		memset(purl, 'x', sizeof(purl));
		if (vd_scan_purl(purl, size, "deb", "debian", "a+b", "1+2", "amd64"))
			assert_string_equal(purl, "pkg:deb/debian/a%2Bb@1%2B2?arch=amd64");
		else
			assert_int_equal(purl[0], '\0');
		assert_int_equal(purl[size], 'x');
	}
}

static void forms_are_those_of_the_schemas(void **state)
{
	(void)state;
	assert_true(vd_scan_is_name("debian12"));
	assert_true(vd_scan_is_name("_x.y/z@1"));
	assert_false(vd_scan_is_name("-x"));
	assert_false(vd_scan_is_name("a b"));
	assert_false(vd_scan_is_name(""));
	assert_false(vd_scan_is_name("\xc3\xa4"));
	assert_true(vd_scan_is_version("6.1.0-18-amd64"));
	assert_false(vd_scan_is_version(".1"));
	assert_false(vd_scan_is_version("1/2"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(cleaned_text_is_one_line),
	    cmocka_unit_test(os_release_is_read_as_a_shell_would),
	    cmocka_unit_test(guests_are_named_as_libosinfo_does),
	    cmocka_unit_test(package_urls_are_encoded),
	    cmocka_unit_test(what_doesnt_fit_is_no_package_url),
	    cmocka_unit_test(forms_are_those_of_the_schemas),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
