/* SPDX-License-Identifier: MIT */
/* XPath over the documents of an image: what it sees, and that it is bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <vdisk/query.h>

#include "base/alloc.h"

#define CONTENT                                                                                    \
	"<content xmlns='urn:libvdisk:content:1'><title>Web server</title>"                        \
	"<os id='debian12' version='12.5'/><v:x xmlns:v='urn:example:v'>vendor</v:x></content>"
#define PATCHES                                                                                    \
	"<p:patches xmlns:p='urn:libvdisk:patches:1'>"                                             \
	"<p:open id='CVE-2026-1' severity='critical'/><p:open id='CVE-2026-2'/></p:patches>"

struct shelf {
	const char *content, *patches;
	char *large; /* instead of the content */
	int answer;  /* to all that aren't here */
};

static int bring(void *user, const char *kind, char **bytes, size_t *len, struct vd_error *err)
{
	const struct shelf *shelf = user;
	const char *text = NULL;

	if (strcmp(kind, "content") == 0)
		text = shelf->large ? shelf->large : shelf->content;
	else if (strcmp(kind, "patches") == 0)
		text = shelf->patches;
	if (!text)
		return vd_error_set(err, shelf->answer, 0, VD_NO_OFFSET, "not here");
	*bytes = vd_strdup(text);
	*len = strlen(text);
	return *bytes ? 0 : VD_ENOMEM;
}

static struct shelf usual = {CONTENT, PATCHES, NULL, VD_ENOENT};

static struct vd_error err;

static int ask(const char *text, struct shelf *shelf, bool *is_match, size_t *n_damaged)
{
	struct vd_xpath *xpath;
	int ret;

	if (vd_xpath_compile(&xpath, text, &err))
		fail_msg("%s: %s", text, err.text);
	ret = vd_xpath_match(xpath, bring, shelf, is_match, n_damaged, &err);
	if (ret)
		assert_int_equal(ret, err.code);
	vd_xpath_free(xpath);
	return ret;
}

static void fits(const char *text, bool wanted)
{
	size_t n_damaged = 9;
	bool is_match = !wanted;

	assert_int_equal(ask(text, &usual, &is_match, &n_damaged), 0);
	if (is_match != wanted)
		fail_msg("%s is %s", text, is_match ? "true" : "false");
	assert_int_equal(n_damaged, 0);
}

static void expressions_see_all_documents(void **state)
{
	(void)state;
	fits("//patches:open[@severity='critical']", true);
	fits("//patches:open[@severity='low']", false);
	fits("/content:content/content:os/@id = 'debian12'", true);
	fits("//content:os[starts-with(@id, 'debian') and @version > 12.4]", true);
	fits("//open", false);
	fits("//content:open", false);
	fits("//*[local-name() = 'x']", true);
	fits("//comment()", false);
	fits("//patches:open[2]/@id[. = \"CVE-2026-2\"]", true);
	fits("child::content:content/descendant::content:title", true);
}

static void answers_become_true_or_false(void **state)
{
	(void)state;
	fits("true()", true);
	fits("false()", false);
	fits("0", false);
	fits("0 div 0", false);
	fits("-0.5", true);
	fits("''", false);
	fits("' '", true);
	fits("count(//patches:open) - 2 * count(/patches:patches)", false);
	fits("string(//content:title)", true);
}

static void is_refused(const char *text, uint64_t offset, const char *why)
{
	struct vd_xpath *xpath;

	if (vd_xpath_compile(&xpath, text, &err) != VD_EINVAL)
		fail_msg("%s was taken", text);
	if (err.offset != offset || !strstr(err.text, why))
		fail_msg("%s: %d, %s", text, (int)err.offset, err.text);
}

static void errors_have_their_place(void **state)
{
	(void)state;
	is_refused("", 0, "");
	is_refused("//content:os[", 13, "XPath");
	is_refused("//content:os]", 12, "XPath");
	is_refused("//foo:os", 2, "prefix foo");
	is_refused("//content:os[@id = $x]", 19, "variables");
	is_refused("1 + document('/etc/passwd')", 4, "function document");
	is_refused("unparsed-text('x')", 0, "function unparsed-text");
	is_refused("content:read()", 8, "function read");
	is_refused("a = 'b", 4, "quote");
	is_refused("\"a", 0, "quote");
}

static void expressions_are_bounded(void **state)
{
	static char text[20000];
	struct vd_xpath *xpath;

	(void)state;
	memset(text, '1', 16385);
	assert_int_equal(vd_xpath_compile(&xpath, text, &err), VD_ERANGE);
	memset(text, '(', 65);
	text[65] = '\0';
	assert_int_equal(vd_xpath_compile(&xpath, text, &err), VD_ERANGE);
	assert_int_equal(err.offset, 64);
	memset(text, '[', 65);
	assert_int_equal(vd_xpath_compile(&xpath, text, &err), VD_ERANGE);
	memset(text, 0, sizeof(text));
	strcpy(text, "1");
	for (int i = 0; i < 8000; i++)
		strcat(text + 2 * i, "+1");
	/* As deep as it is long: taken or not, but neither crash nor hang. */
	if (!vd_xpath_compile(&xpath, text, &err)) {
		bool is_match;
		int ret = vd_xpath_match(xpath, bring, &usual, &is_match, NULL, &err);

		assert_true(ret == 0 || ret == VD_ERANGE);
		vd_xpath_free(xpath);
	}
}

static double seconds_of(const char *text, struct shelf *shelf, int wanted)
{
	struct timespec from, to;
	bool is_match;
	int ret;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	ret = ask(text, shelf, &is_match, NULL);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	if (ret != wanted)
		fail_msg("%s: %d", text, ret);
	return (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec);
}

static void operations_are_counted(void **state)
{
	struct shelf large = {NULL, NULL, vd_malloc(1 << 20), VD_ENOENT};
	size_t n;

	(void)state;
	n = (size_t)sprintf(large.large, "<content xmlns='urn:libvdisk:content:1'>");
	while (n < 40000)
		n += (size_t)sprintf(large.large + n, "<a>xy</a>");
	sprintf(large.large + n, "</content>");
	/* What people ask goes through; what would take 10^9 operations and more is cut off. */
	assert_true(seconds_of("//content:a[. = 'z']", &large, 0) < 10);
	assert_true(seconds_of("//*[//*[//*[//*]] = 'z']", &large, VD_ERANGE) < 30);
	assert_true(seconds_of("count(//*/following::*/preceding::*) = 7", &large, VD_ERANGE) < 30);
	assert_true(seconds_of("//*[contains(., 'z')]", &large, 0) < 10);
	/* It is none of the expression's: the next document is as good as before. */
	fits("//content:title", true);
	vd_free(large.large);
}

/* Few operations, each of which takes the text of the whole document: they have a time. */
static void time_is_counted(void **state)
{
	struct shelf large = {NULL, NULL, vd_malloc((1 << 20) + 1), VD_ENOENT};
	size_t n;

	(void)state;
	n = (size_t)sprintf(large.large, "<content xmlns='urn:libvdisk:content:1'>");
	while (n < 400000)
		n += (size_t)sprintf(large.large + n, "<a/>x");
	memset(large.large + n, 'x', (1 << 20) - 10 - n);
	strcpy(large.large + (1 << 20) - 10, "</content>");
	assert_true(seconds_of("//content:a[contains(string(/), 'z')]", &large, VD_ERANGE) < 10);
	assert_true(seconds_of("//content:a/parent::*[contains(., 'z')]", &large, VD_ERANGE) < 10);
	assert_non_null(strstr(err.text, "more than 2 s in a document"));
	assert_true(seconds_of("//content:a[. = 'z']", &large, 0) < 10);
	fits("//content:title", true);
	vd_free(large.large);
}

/* The clock in brackets changes nothing of what is in them. */
static void brackets_mean_what_they_say(void **state)
{
	(void)state;
	fits("//patches:open[position() = 2]/@id = 'CVE-2026-2'", true);
	fits("//patches:open[last()]/@id = 'CVE-2026-2'", true);
	fits("//patches:open[1 + 1]/@id = 'CVE-2026-2'", true);
	fits("//patches:open[ 2 ]/@id = 'CVE-2026-2'", true);
	fits("//patches:open[count(//patches:open[@id])]/@id = 'CVE-2026-2'", true);
	fits("//patches:open[@id][2]", true);
	fits("//patches:open[@id[. = 'CVE-2026-2']][2]", false);
	fits("(//patches:open)[last() - 1]/@id[. != '][']", true);
	fits("//patches:open['']", false);
	fits("//patches:open[0]", false);
	fits("//patches:open[3]", false);
}

static void damaged_documents_are_passed_over(void **state)
{
	struct shelf shelf = {"<content", PATCHES, NULL, VD_ENOENT};
	bool is_match = false;
	size_t n_damaged = 0;

	(void)state;
	assert_int_equal(ask("//patches:open", &shelf, &is_match, &n_damaged), 0);
	assert_true(is_match);
	assert_int_equal(n_damaged, 1);
	shelf.content = PATCHES; /* under the wrong name */
	shelf.patches = "<!DOCTYPE p [<!ENTITY a 'b'>]>" PATCHES;
	assert_int_equal(ask("//*", &shelf, &is_match, &n_damaged), 0);
	assert_false(is_match);
	assert_int_equal(n_damaged, 2);
	shelf = (struct shelf){NULL, NULL, NULL, VD_ECORRUPT};
	assert_int_equal(ask("//*", &shelf, &is_match, &n_damaged), 0);
	assert_false(is_match);
	assert_true(n_damaged > 8);
	shelf.answer = VD_EIO;
	assert_int_equal(ask("//*", &shelf, &is_match, NULL), VD_EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(expressions_see_all_documents),
	    cmocka_unit_test(answers_become_true_or_false),
	    cmocka_unit_test(errors_have_their_place),
	    cmocka_unit_test(expressions_are_bounded),
	    cmocka_unit_test(operations_are_counted),
	    cmocka_unit_test(time_is_counted),
	    cmocka_unit_test(brackets_mean_what_they_say),
	    cmocka_unit_test(damaged_documents_are_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
