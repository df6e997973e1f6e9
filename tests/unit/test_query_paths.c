/* SPDX-License-Identifier: MIT */
/* Which paths of a file index a pattern fits: the section "Files" of docs/search.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <vdisk/query.h>

#define N_OF(table) (sizeof(table) / sizeof(*(table)))

static const char *const paths[] = {"/",
				    "/etc",
				    "/etc/passwd",
				    "/mnt/etc/Passwd.conf",
				    "/usr/lib/x/y/libz.so.1",
				    "/B\xc3\xbc"
				    "cher/\xe2\x91\xa0.TXT"};

static bool has_path(const char *text)
{
	struct vd_query *query;
	struct vd_error err;
	bool has = false;

	if (vd_query_parse(&query, text, NULL, &err))
		fail_msg("%s: %s", text, err.text);
	for (size_t i = 0; i < N_OF(paths); i++) {
		const struct vd_query_node *node = vd_query_root(query);
		bool is_one = vd_query_match_file(node, paths[i], NULL, NULL);
		char *key;

		assert_int_equal(vd_query_key(paths[i], &key, NULL), 0);
		assert_int_equal(vd_query_match_file(node, paths[i], key, NULL), is_one);
		vd_meta_free(key);
		has |= is_one;
	}
	vd_query_free(query);
	return has;
}

static void files_are_found_by_patterns(void **state)
{
	static const char *const found[] = {"file:/etc/passwd",
					    "file:etc/passwd",
					    "file:passwd",
					    "file:PASSWD",
					    "file:*.conf",
					    "file:etc/*.conf",
					    "file:/mnt/**",
					    "file:/**/passwd",
					    "file:/etc/**/passwd",
					    "file:**/y/*.so.?",
					    "file:lib/**/libz*",
					    "file:/usr/**/lib/**/y/**",
					    "file:p?sswd",
					    "file:[op]asswd",
					    "file:b\xc3\x9c"
					    "cher/1.txt",
					    "file:*.[s-u]xt",
					    "file:/",
					    "file:**",
					    "file:l**1",
					    "file:/usr/**1",
					    "file:\"passwd\"",
					    "file:lib/*/y/libz.so.1"};
	static const char *const missed[] = {
	    "file:/passwd",   "file:asswd",         "file:/etc/pass",
	    "file:/*.conf",   "file:/mnt/*.conf",   "file:/usr/*/libz.so.1",
	    "file:lib?x/y",   "file:/etc[/]passwd", "file:\"*\"",
	    "file:/usr/**/z", "file:x/**/x",        "file:tc/passwd"};

	(void)state;
	for (size_t i = 0; i < N_OF(found); i++)
		if (!has_path(found[i]))
			fail_msg("%s found nothing", found[i]);
	for (size_t i = 0; i < N_OF(missed); i++)
		if (has_path(missed[i]))
			fail_msg("%s", missed[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(files_are_found_by_patterns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
