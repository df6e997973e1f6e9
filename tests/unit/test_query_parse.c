/* SPDX-License-Identifier: MIT */
/* The grammar of queries: what is understood, where errors are, and that the canonical text says
 * the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <vdisk/query.h>

#define N_OF(table) (sizeof(table) / sizeof(*(table)))

static struct vd_query *parse(const char *text)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_query *query;

	if (vd_query_parse(&query, text, NULL, &err))
		fail_msg("%s: at %d: %s", text, (int)err.offset, err.text);
	return query;
}

/** The same tree, but for where its pieces stand. */
static void is_same(const struct vd_query_node *a, const struct vd_query_node *b)
{
	assert_int_equal(a->kind, b->kind);
	assert_string_equal(a->field, b->field);
	assert_string_equal(a->value, b->value);
	assert_string_equal(a->key, b->key);
	assert_string_equal(a->pair_value, b->pair_value);
	assert_int_equal(a->op, b->op);
	assert_int_equal(a->pair_op, b->pair_op);
	assert_int_equal(a->is_glob, b->is_glob);
	assert_int_equal(a->is_phrase, b->is_phrase);
	assert_int_equal(a->is_prefix, b->is_prefix);
	assert_int_equal(a->is_presence, b->is_presence);
	assert_int_equal(a->n_children, b->n_children);
	for (size_t i = 0; i < a->n_children; i++)
		is_same(a->children[i], b->children[i]);
}

static void goes_round(const struct vd_query *query)
{
	struct vd_query *again = parse(vd_query_text(query));

	assert_string_equal(vd_query_text(again), vd_query_text(query));
	is_same(vd_query_root(query), vd_query_root(again));
	vd_query_free(again);
}

static void is_canonically(const char *text, const char *canonical)
{
	struct vd_query *query = parse(text);

	assert_string_equal(vd_query_text(query), canonical);
	goes_round(query);
	vd_query_free(query);
}

static void the_canonical_text_says_the_same(void **state)
{
	static const char *const table[][2] = {
	    {"web", "web"},
	    {"  web\t server\n", "web server"},
	    {"a AND b", "a b"},
	    {"a b OR c d", "a b OR c d"},
	    {"a (b OR c)", "a (b OR c)"},
	    {"((a) (b))", "a b"},
	    {"(a OR b) OR c", "a OR b OR c"},
	    {"(a b) c", "a b c"},
	    {"NOT a b", "NOT a b"},
	    {"NOT(a b)", "NOT (a b)"},
	    {"NOT NOT (a OR b)", "NOT NOT (a OR b)"},
	    {"NOT (a)", "NOT a"},
	    {"*", "*"},
	    {"\"*\"", "\"*\""},
	    {"\\*", "\"*\""},
	    {"\"AND\" or \\NOT", "\"AND\" or \"NOT\""},
	    {"\"web server\"", "\"web server\""},
	    {"\"web\"", "web"},
	    {"web\\ server", "\"web server\""},
	    {"a\"b c\"d", "a \"b c\" d"},
	    {"10:30 C++ a/b", "\"10:30\" C++ a/b"},
	    {"TITLE:Web", "title:Web"},
	    {"title = \"Web Server\"", "title=\"Web Server\""},
	    {"title eq a", "title=a"},
	    {"title!=a", "title!=a"},
	    {"title:a:b=c<d>e!", "title:a:b=c<d>e!"},
	    {"title:\"say \\\"x\\\" \\\\\"", "title:\"say \\\"x\\\" \\\\\""},
	    {"os.version ge 12", "os.version>=12"},
	    {"patched before now-90d", "patched<now-90d"},
	    {"patched after 2026-05-01", "patched>2026-05-01"},
	    {"before", "\"before\""},
	    {"version before", "version \"before\""},
	    {"version before AND x", "version \"before\" x"},
	    {"web before x", "web \"before\" x"},
	    {"hardware.memory >=4G", "hardware.memory>=4G"},
	    {"os:debian", "os:debian"},
	    {"os.*:debian", "os:debian"},
	    {"package.*:MIT", "package.*:MIT"},
	    {"package:openssl<3.0.11", "package:openssl<3.0.11"},
	    {"package:openssl before 3.0.11", "package:openssl<3.0.11"},
	    {"package:open*!=3", "package:open*!=3"},
	    {"package:pkg:deb/a@1?b=c", "package:pkg:deb/a@1?b=c"},
	    {"package:\"pkg:deb/a@1?b=c\"", "package:\"pkg:deb/a@1?b=c\""},
	    {"package:\"pkg:deb/a\"<3", "package:pkg:deb/a lt 3"},
	    {"package=pkg:deb/a", "package=pkg:deb/a"},
	    {"package:\"a<b\"", "package:\"a<b\""},
	    {"tag:env=prod", "tag:env=prod"},
	    {"tag:kernel>=5.10", "tag:kernel>=5.10"},
	    {"tag:kernel before 5.10", "tag:kernel<5.10"},
	    {"tag:kernel eq 5", "tag:kernel \"eq\" 5"},
	    {"tag:*", "tag:*"},
	    {"tag:a\\*", "tag:\"a*\""},
	    {"tag:a\\**", "tag:a\\**"},
	    {"title:[!a-z\\]]*", "title:[!a-z\\]]*"},
	    {"title:a\\ b*", "title:a\\ b*"},
	    {"a\\<b*", "a\\<b*"},
	    {"cve.open{severity:critical package:openssl}",
	     "cve.open{severity:critical package:openssl}"},
	    {"cve.open{cve.open:CVE-2026-1}", "cve.open{.:CVE-2026-1}"},
	    {"network{network:x}", "network{network:x}"},
	    {"network{network.network:x}", "network{network:x}"},
	    {"network{network.*:x}", "network{network.*:x}"},
	    {"cve.open{.:CVE-2026-1 OR NOT cve.open.severity>low}",
	     "cve.open{.:CVE-2026-1 OR NOT severity>low}"},
	    {"cve.open{cve.open.*:x}", "cve.open{cve.open.*:x}"},
	    {"filesystem{ type:ext4 AND mount:/ }", "filesystem{type:ext4 mount:/}"},
	    {"hardware{cpu:avx2 *}", "hardware{cpu:avx2 *}"},
	    {"file:etc/passwd file:**/*.conf", "file:etc/passwd file:**/*.conf"},
	    {"configuration{file:a}", "configuration{file:a}"},
	    {"title:\xc3\x84rger", "title:\xc3\x84rger"},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(table); i++)
		is_canonically(table[i][0], table[i][1]);
}

static void errors_point_at_the_character(void **state)
{
	static const struct {
		const char *text;
		uint64_t offset;
		const char *why;
	} table[] = {
	    {"", 0, "empty query"},
	    {"  ", 2, "missing"},
	    {"a AND", 5, "term is missing"},
	    {"a OR OR b", 5, "term is missing"},
	    {"NOT", 3, "term is missing"},
	    {"(a", 2, ") is missing"},
	    {"a)", 1, "without its partner"},
	    {"a }", 2, "without its partner"},
	    {"(a}", 2, ") is missing"},
	    {"()", 1, "term is missing"},
	    {"a foo:b", 2, "no field foo"},
	    {"foo=b", 0, "no field foo"},
	    {"foo{a:b}", 0, "no field foo"},
	    {"os.*{id:a}", 0, "no field os.*"},
	    {"title:", 6, "value is missing"},
	    {"title: a", 6, "value is missing"},
	    {"title= AND b", 7, "value is missing"},
	    {"title=)", 6, "value is missing"},
	    {"title:\"\"", 6, "empty"},
	    {"title:\"a", 6, "second \""},
	    {"a \"b\\\"", 2, "second \""},
	    {"a\\", 2, "next character"},
	    {"a [b", 2, "["},
	    {"title:x[a", 7, "["},
	    {"= a", 0, "operator"},
	    {"a :b", 2, "operator"},
	    {"{a:b}", 0, "behind the name"},
	    {"title<a", 5, "no order"},
	    {"title lt a", 6, "no order"},
	    {"package<3", 7, "FIELD:NAME<VERSION"},
	    {"tag>3", 3, "tag:KEY<VALUE"},
	    {"os.version>=1*", 12, "not a version"},
	    {"package:a<3*", 10, "pattern"},
	    {"package:a< 3", 10, "missing"},
	    {"package:<3", 8, "missing"},
	    {"package:pkg:deb", 8, "package URL"},
	    {"package=openssl", 8, "package URL"},
	    {"hardware.memory:much", 16, "size"},
	    {"hardware.memory:\"much\"", 16, "size"},
	    {"created before tomorrow", 15, "time"},
	    {"cve.open.severity:severe", 18, "critical"},
	    {"partition.bootable:maybe", 19, "true or false"},
	    {"cve.open{severity:low", 21, "} is missing"},
	    {"cve.open{severity:low)", 21, "} is missing"},
	    {"cve.open{word}", 9, "words can't"},
	    {"cve.open{\"a b\"}", 9, "words can't"},
	    {"cve.open{nothing:a}", 9, "no field nothing below cve.open"},
	    {"cve.open{title:a}", 9, "no field title below cve.open"},
	    {"cve.open{file:a}", 9, "no field file"},
	    {"filesystem{.:a}", 11, "no field ."},
	    {"cve.open{fixed{.:a}}", 9, "entry can't"},
	    {"file=a", 0, "no field file"},
	    {"sha256:12", 7, "64 hexadecimal"},
	    {"host.arch:x86_64", 0, "no field host.arch"},
	    {"host:x86_64", 0, "no field host"},
	    {"action:run", 0, "no field action"},
	    {"a \xff", 2, "UTF-8"},
	    {"a\x01", 1, "control"},
	    {"\"\xc2\xa0\"", 0, "white space"},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(table); i++) {
		struct vd_error err = VD_ERROR_INIT;
		struct vd_query *query;
		int ret = vd_query_parse(&query, table[i].text, NULL, &err);

		if (ret != VD_EINVAL || err.code != ret || err.offset != table[i].offset ||
		    !strstr(err.text, table[i].why))
			fail_msg("%s: %d at %d: %s", table[i].text, ret, (int)err.offset, err.text);
		assert_int_equal(vd_query_parse(&query, table[i].text, NULL, NULL), ret);
	}
}

static void the_host_is_asked_only_where_there_is_one(void **state)
{
	struct vd_query_opts opts = VD_QUERY_OPTS_INIT;
	struct vd_query *query;
	size_t n = 0;

	(void)state;
	opts.flags = VD_QUERY_HOST;
	assert_int_equal(vd_query_parse(&query,
					"host.cpu.feature:avx2 action:run host.gpu{memory>=8G} "
					"host:x86_64",
					&opts, NULL),
			 0);
	assert_string_equal(vd_query_text(query), "host.cpu.feature:avx2 action:run "
						  "host.gpu{memory>=8G} host:x86_64");
	vd_query_free(query);
	for (const struct vd_field *f; (f = vd_query_field_at(n)); n++) {
		assert_null(f->category);
		assert_null(vd_field_find(f->name));
		assert_ptr_equal(vd_query_field_find(f->name), f);
	}
	assert_int_equal(n, 46);
	assert_ptr_equal(vd_query_field_find("title"), vd_field_find("title"));
	assert_null(vd_query_field_find("host"));
	assert_null(vd_query_field_find(NULL));
}

static int size_of(const char *unit, size_t n, const char *end, uint64_t *offset)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_query *query = NULL;
	size_t len = strlen(unit);
	char *text = calloc(n + 1, len + 16);
	int ret;

	assert_non_null(text);
	for (size_t i = 0; i < n; i++)
		memcpy(text + i * len, unit, len);
	strcat(text + n * len, end);
	ret = vd_query_parse(&query, text, NULL, &err);
	*offset = err.offset;
	if (!ret)
		goes_round(query);
	vd_query_free(query);
	free(text);
	return ret;
}

static void queries_are_bounded(void **state)
{
	uint64_t offset;

	(void)state;
	assert_int_equal(size_of("a", VD_QUERY_TEXT_MAX, "", &offset), 0);
	assert_int_equal(size_of("a", VD_QUERY_TEXT_MAX, "b", &offset), VD_ERANGE);
	assert_int_equal(size_of("a ", VD_QUERY_TERMS_MAX, "", &offset), 0);
	assert_int_equal(size_of("a ", VD_QUERY_TERMS_MAX, "b", &offset), VD_ERANGE);
	assert_int_equal(offset, 2 * VD_QUERY_TERMS_MAX);
	assert_int_equal(size_of("NOT ", VD_QUERY_DEPTH_MAX, "a", &offset), 0);
	assert_int_equal(size_of("NOT ", VD_QUERY_DEPTH_MAX + 1, "a", &offset), VD_ERANGE);
	assert_int_equal(offset, 4 * VD_QUERY_DEPTH_MAX);
	assert_int_equal(size_of("(", VD_QUERY_DEPTH_MAX + 1, "a", &offset), VD_ERANGE);
	assert_int_equal(offset, VD_QUERY_DEPTH_MAX);
	assert_int_equal(size_of("NOT (", 33, "a", &offset), VD_ERANGE);
	assert_int_equal(size_of("?", 1024, "", &offset), 0);
	assert_int_equal(size_of("?", 1025, "", &offset), VD_ERANGE);
	/* Quoted, it would be longer than a query may be. */
	assert_int_equal(size_of("\\)", VD_QUERY_TEXT_MAX / 2, "", &offset), 0);
	assert_int_equal(size_of("\\\"", VD_QUERY_TEXT_MAX / 2, "", &offset), VD_ERANGE);
}

static const char *piece(unsigned *seed)
{
	static const char *const pieces[] = {
	    "a",
	    "web",
	    "AND",
	    "OR",
	    "NOT",
	    "(",
	    ")",
	    " ",
	    " ",
	    "\"a b\"",
	    "*",
	    "?",
	    "[a-c]",
	    "\\",
	    "\\*",
	    "title:",
	    "title=",
	    "tag:",
	    "tag:k<2",
	    "package:",
	    "package:a>=1",
	    "pkg:deb/a",
	    "cve.open{",
	    "}",
	    ".:CVE-1",
	    "severity:",
	    "low",
	    " before ",
	    "patched<",
	    "now-3d",
	    "os:",
	    "os.*:",
	    "<",
	    "=",
	    "!=",
	    ":",
	    "hardware.memory>",
	    "4G",
	    "file:**/",
	    "\xc3\x9f",
	    "version ",
	    "1.0",
	};

	*seed = *seed * 1103515245u + 12345u;
	return pieces[(*seed >> 16) % N_OF(pieces)];
}

static void random_queries_go_round(void **state)
{
	unsigned seed = 42, n_parsed = 0;

	(void)state;
	for (int i = 0; i < 60000; i++) {
		struct vd_error err = VD_ERROR_INIT;
		struct vd_query *query;
		char text[256] = "";

		for (unsigned n = 1 + (seed >> 8) % 7; n; n--)
			strcat(text, piece(&seed));
		if (vd_query_parse(&query, text, NULL, &err)) {
			if (err.offset > strlen(text) || !*err.text)
				fail_msg("%s: at %d: %s", text, (int)err.offset, err.text);
			continue;
		}
		n_parsed++;
		goes_round(query);
		vd_query_free(query);
	}
	printf("count: random queries whose canonical text is the same query %u\n", n_parsed);
	assert_true(n_parsed > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_canonical_text_says_the_same),
	    cmocka_unit_test(errors_point_at_the_character),
	    cmocka_unit_test(the_host_is_asked_only_where_there_is_one),
	    cmocka_unit_test(queries_are_bounded),
	    cmocka_unit_test(random_queries_go_round),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
