/* SPDX-License-Identifier: MIT */
/* What fits: each row of the table of values in docs/search.md, pairs, entries, words, files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <vdisk/query.h>

#define NOW         1795408445 /* 2026-11-23T04:34:05Z */
#define N_OF(table) (sizeof(table) / sizeof(*(table)))

static const struct {
	const char *field, *value;
	uint32_t group;
} image[] = {
    {"title", "Web Server of the M\xc3\xbcnchen lab", 0},
    {"description", "first line\n  second\tline", 0},
    {"author",
     "Stra\xc3\x9f"
     "e",
     0},
    {"author", "\xef\xbc\xa1nn", 0},                      /* full-width A */
    {"vendor", "I\xcc\x87stanbul e\xcc\x81t\xc3\xa9", 0}, /* dots and accents of their own */
    {"version", "2.10.1", 0},
    {"url", "http://a.example/b?c=d", 0},
    {"created", "2026-05-01T00:00:00Z", 0},
    {"os.id", "debian12", 0},
    {"os.version", "12.5", 0},
    {"os.family", "linux", 0},
    {"license", "MIT OR Apache-2.0", 0},
    {"hardware.memory", "4294967296", 0},
    {"hardware.cpu.count", "2", 0},
    {"grace", "604800", 0},
    {"patched", "2026-09-01T12:00:00Z", 0},
    {"expires", "2026-12-01T00:00:00Z", 0},
    {"partition.number", "1", 5},
    {"partition.bootable", "true", 5},
    {"partition.uuid", "6f1d3c0e-9b5a-4a51-8a3e-3f0a6b1c2d3e", 5},
    {"partition.number", "2", 6},
    {"partition.bootable", "false", 6},
    {"filesystem.type", "ext4", 8},
    {"filesystem.mount", "/", 8},
    {"filesystem.type", "vfat", 9},
    {"filesystem.mount", "/boot/efi", 9},
    {"tag", "env=prod", 0},
    {"tag", "kernel=5.10.0", 0},
    {"tag", "web-server", 0},
    {"package", "pkg:deb/debian/openssl@3.0.11-1~deb12u2?arch=amd64", 1},
    {"package.license", "Apache-2.0", 1},
    {"package", "pkg:deb/debian/bash@5.2.15-2", 2},
    {"package", "pkg:npm/%40babel/core@7.0.0-rc.1", 0},
    {"package", "pkg:rpm/fedora/curl@8.0-1.fc39?epoch=0#x", 0},
    {"package", "pkg:golang/example.org/a/Tool@v1.2.0%2Binc", 0},
    {"package", "pkg:generic/bare", 0},
    {"cve.open", "CVE-2026-1", 3},
    {"cve.open.severity", "critical", 3},
    {"cve.open.package", "pkg:deb/debian/openssl@3.0.11", 3},
    {"cve.open", "CVE-2026-2", 4},
    {"cve.open.severity", "low", 4},
    {"cve.open.package", "pkg:deb/debian/bash@5.2", 4},
    {"cve.open-x", "not a field", 4},
    {"history.operation", "secret word", 0},
    {"image.name", "db-01.vhdx", 0},
    {"image.path", "/srv/images/db-01.vhdx", 0},
    {"nobody.knows", "unheard", 0},
};

struct rig {
	struct vd_fact_set *set, *host;
	struct vd_query_subject subject;
};

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	assert_int_equal(vd_fact_set_create(&rig->set, NULL), 0);
	assert_int_equal(vd_fact_set_create(&rig->host, NULL), 0);
	for (size_t i = 0; i < N_OF(image); i++)
		assert_int_equal(
		    vd_fact_set_add(rig->set, image[i].field, image[i].value, image[i].group, NULL),
		    0);
	assert_int_equal(vd_fact_set_add(rig->host, "host.memory", "8589934592", 0, NULL), 0);
	assert_int_equal(vd_fact_set_add(rig->host, "action", "mount-ro", 0, NULL), 0);
	rig->subject.size = sizeof(rig->subject);
	rig->subject.n_runs = 2;
	rig->subject.runs[0].facts = vd_fact_set_facts(rig->set, &rig->subject.runs[0].n);
	rig->subject.runs[1].facts = vd_fact_set_facts(rig->host, &rig->subject.runs[1].n);
	rig->subject.now = NOW;
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	vd_fact_set_free(rig->set);
	vd_fact_set_free(rig->host);
	free(rig);
	return 0;
}

static bool ask(const struct vd_query_subject *subject, const char *text)
{
	struct vd_query_answer answer = {.size = sizeof(answer)};
	struct vd_query_opts opts = VD_QUERY_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_query *query;

	opts.flags = VD_QUERY_HOST;
	if (vd_query_parse(&query, text, &opts, &err) ||
	    vd_query_match(query, subject, &answer, &err))
		fail_msg("%s: at %d: %s", text, (int)err.offset, err.text);
	vd_query_free(query);
	return answer.is_match;
}

/** NULL ends each list. */
static void all_fit(const struct rig *rig, bool wanted, const char *const *list)
{
	for (; *list; list++) {
		if (ask(&rig->subject, *list) != wanted)
			fail_msg("%s %s", *list, wanted ? "doesn't fit" : "fits");
	}
}
#define FIT(...)      all_fit(*state, true, (const char *const[]){__VA_ARGS__, NULL})
#define DONT_FIT(...) all_fit(*state, false, (const char *const[]){__VA_ARGS__, NULL})

static void words(void **state)
{
	FIT("web", "WEB", "server", "\"web server\"", "\" web \t server \"", "second",
	    "\"line second\"", "12.5", "debian12", "openssl", "apache", "CVE-2026-1", "critical",
	    "db", "vhdx", "01", "example", "\"b?c=d\"", "\"b?c\"", "env", "prod", "2.10.1", "10.1",
	    "*", "deb*", "?eb", "[c-d]ritical", "*bian12", "m\xc3\xbcnchen", "M\xc3\x9cNCHEN");
	DONT_FIT("we", "erver", "ebian12", "secret", "srv", "unheard", "4294967296", "true",
		 "\"server web\"", "web* NOT web", "5.1", "e?", "[!c-d]ritical", "\"we*\"", "\"*\"",
		 "2026-09-01");
}

static void unicode_is_folded(void **state)
{
	FIT("strasse", "STRASSE",
	    "stra\xc3\x9f"
	    "e",
	    "STRA\xe1\xba\x9e"
	    "E",
	    "author:strasse", "ann", "author:ANN", "author=\xef\xbc\xa1\xef\xbd\x8e\xef\xbd\x8e",
	    "\xc4\xb0stanbul", "vendor:\"\xc4\xb0STANBUL\"", "\xc3\xa9t\xc3\xa9",
	    "E\xcc\x81T\xc3\x89", "author:STRA\xc3\x9f*", "author:*[\xc3\x9f]* OR author:*ss?",
	    "author:[\xef\xbc\xa1]*", "author:[A-B]nn",
	    "title:M\xc3\x9c*NCHEN* OR title:*M\xc3\x9cNCHEN*");
	DONT_FIT("stanbul", "istanbul", "\xc3\xa9t", "t\xc3\xa9", "nchen", "author:[\xc3\x9f]*",
		 "strase");
}

static void texts(void **state)
{
	FIT("title:web", "title:\"server of\"", "title:\"Web Server\"",
	    "title=\"web \t server of the m\xc3\xbcnchen lab\"", "description:\"line second\"",
	    "description=\"First line\n  second\tline\"", "title:*lab", "title:web*", "title:*",
	    "title!=x", "author!=x", "url:http://a.example/b?c=d", "url=http://a.example/b?c=d",
	    "os.id:DEBIAN12", "license:or", "title:we[a-c]*");
	DONT_FIT("title:we", "title:\"web of\"", "title=web", "title:*web", "title=*",
		 "title!=\"web server of the m\xc3\xbcnchen lab\"", "author!=ann",
		 "description=\"First line second line\"", "os.id:debian", "title:\"web*\"",
		 "title:web-server", "license:Apache");
}

static void tags(void **state)
{
	FIT("tag:env=prod", "tag:ENV", "tag:env", "tag:web-server", "tag:env=*", "tag=env=prod",
	    "tag:kernel>=5.9", "tag:kernel<5.10.1", "tag:kern*>5", "tag:kernel before 6",
	    "tag!=env");
	DONT_FIT("tag:prod", "tag=env", "tag:web", "tag:env=pro", "tag:kernel<5.9",
		 "tag:env=prod=x", "tag:web-server<5", "tag:web-server>=0", "tag:k<9",
		 "tag:*rod<1");
}

static void words_of_lists_and_others(void **state)
{
	FIT("cve.open.severity:critical", "cve.open.severity=Critical", "cve.open.severity>low",
	    "cve.open.severity<=low", "cve.open.severity<high", "cve.open.severity:c*",
	    "cve.open.severity!=high", "partition.bootable:yes", "partition.bootable=false",
	    "partition.uuid:\"{6F1D3C0E-9B5A-4A51-8A3E-3F0A6B1C2D3E}\"", "action:MOUNT-RO",
	    "partition.uuid:6f1d3c0e*", "partition.bootable:t*");
	DONT_FIT("cve.open.severity:high", "cve.open.severity>critical", "cve.open.severity<low",
		 "cve.open.severity!=critical", "action:run",
		 "partition.uuid:00000000-9b5a-4a51-8a3e-3f0a6b1c2d3e", "cve.open.severity:crit?");
}

static void numbers_and_times(void **state)
{
	FIT("hardware.memory:4G", "hardware.memory=4294967296", "hardware.memory>=4GiB",
	    "hardware.memory<4.5G", "hardware.memory!=4GB", "hardware.memory:42*", "grace:7d",
	    "grace>6d", "partition.number>1", "partition.number<2", "created:2026-05-01",
	    "created:2026-05*", "created<2026-05-02", "created after 2026-04-30T23:59:59Z",
	    "patched before now", "patched<now-80d", "patched>now-90d", "expires<+30d",
	    "expires>now", "os.version:12.5", "os.version:12.05", "os.version>12",
	    "os.version<12.10", "version>2.9", "host.memory>8G OR host.memory:8G");
	DONT_FIT("hardware.memory:4GB", "hardware.memory>4G", "hardware.memory!=4G",
		 "partition.number>2", "created:2026-05-02", "created>2026-05-01",
		 "created!=2026-05-01", "expires<now", "patched<now-90d", "os.version:12",
		 "os.version>=13", "version<2.9", "expires:now", "grace:8d");
}

static void relative_times_move_with_the_clock(void **state)
{
	struct rig *rig = *state;

	assert_false(ask(&rig->subject, "expires<now"));
	rig->subject.now = NOW + 30 * 86400;
	assert_true(ask(&rig->subject, "expires<now"));
	assert_true(ask(&rig->subject, "expires<2026-12-02"));
	rig->subject.now = INT64_MAX;
	assert_true(ask(&rig->subject, "expires<+30d"));
	rig->subject.now = INT64_MIN;
	assert_false(ask(&rig->subject, "expires<now-30d"));
	assert_true(ask(&rig->subject, "expires>now-30d"));
	rig->subject.now = NOW;
}

static void packages(void **state)
{
	FIT("package:openssl", "package:OpenSSL", "package:debian/openssl",
	    "package:deb/debian/openssl", "package:pkg:deb/debian/openssl",
	    "package:pkg:deb/debian/openssl@3.0.11-1~deb12u2",
	    "package:\"PKG:DEB/debian/openssl@3.0.11-1~deb12u2?arch=amd64\"",
	    "package=\"pkg:deb/debian/openssl@3.0.11-1~deb12u2?arch=amd64\"", "package:open*",
	    "package:*/debian/b?sh", "package:pkg:deb/*", "package:@babel/core",
	    "package:npm/@babel/core", "package:core", "package:example.org/a/tool", "package:tool",
	    "package:generic/bare", "package:bare", "package:*", "package!=pkg:deb/x",
	    "package:@babel/*");
	DONT_FIT("package:ssl", "package:debian", "package:deb/openssl", "package:openssl@3.0.11",
		 "package:pkg:deb/debian/opens", "package:pkg:deb/debian/openssl@3.0.11",
		 "package=pkg:deb/debian/openssl", "package:a/tool", "package:pkg:deb/*/openssl",
		 "package:\"open*\"", "package:babel/core");
}

static void packages_and_versions(void **state)
{
	FIT("package:openssl<3.0.11-1", "package:openssl>=3.0.9",
	    "package:openssl=3.0.11-1~deb12u2", "package:openssl!=3.0.11",
	    "package:openssl before 3.0.12", "package:bash>5.2.9", "package:core<7.0.0",
	    "package:@babel/core>=7.0.0-beta", "package:curl=8.0", "package:curl=8.0-1.fc39",
	    "package:curl<8.0-2", "package:tool=v1.2.0", "package:tool=1.2.0+other",
	    "package:*>8.0-0", "package:\"pkg:deb/debian/bash\">5",
	    "package:pkg:deb/debian/bash before 6", "package:*sh<6");
	DONT_FIT("package:openssl>=3.0.11-1", "package:bash<5.2.15-2", "package:bash!=5.2.15-2",
		 "package:bare<9", "package:bare>=0", "package:bare!=1", "package:nothing<9",
		 "package:core>=7.0.0",
		 /* one package, not two */
		 "package:bash<4 OR package:openssl>5");
}

static void entries(void **state)
{
	FIT("cve.open{severity:critical package:openssl}", "cve.open{.:CVE-2026-2 severity:low}",
	    "cve.open{cve.open:CVE-2026-1 package:openssl<3.1}", "cve.open{NOT severity:critical}",
	    "cve.open{severity>low NOT package:bash}", "filesystem{type:ext4 mount:/}",
	    "filesystem{type:vfat mount:/boot/efi}", "partition{number:1 bootable:yes}",
	    "package{.:openssl license:Apache-2.0}", "package{.:bash NOT license:*}", "tag{.:env}",
	    "os{id:debian12}", "cve.open{*}", "cve.open{package:nothing OR severity:low}");
}

static void entries_are_one(void **state)
{
	DONT_FIT("cve.open{severity:critical package:bash}", "cve.open{severity:low .:CVE-2026-1}",
		 "filesystem{type:ext4 mount:/boot/efi}", "partition{number:1 bootable:no}",
		 "package{.:bash license:*}", "tag{.:env .:web-server}",
		 "os{id:debian12 version:12.5}", "missing{*}", "cve.fixed{NOT .:x}");
}

static void prefixes(void **state)
{
	FIT("os:debian12", "os.*:linux", "os:12.5", "cve:critical", "cve:openssl", "hardware>=4G",
	    "hardware<3", "os:*", "cve.open:CVE-2026-1", "cve.open.*:low", "partition!=3",
	    "filesystem:/", "partition:*", "host>=8G", "image:db*");
	DONT_FIT("os:debian", "hardware>4G", "network:*", "cve.open.*:CVE-2026-1", "os!=linux",
		 "cve.fixed:*", "partition>2");
}

static void absence_is_false(void **state)
{
	DONT_FIT("starts<now", "starts>now", "starts:now", "starts!=now", "starts:*",
		 "missing:x OR missing!=x", "NOT NOT starts:*");
	FIT("NOT starts<now", "NOT starts!=now", "NOT starts:*", "NOT expires<now");
}

static void logic(void **state)
{
	FIT("web OR nothing", "nothing OR web", "web NOT nothing", "NOT (web nothing)",
	    "(nothing OR web) (server OR nothing)", "nothing nowhere OR web", "NOT NOT web");
	DONT_FIT("web nothing", "NOT web", "NOT (web OR nothing)", "web (nothing OR nowhere)");
}

/* ---- files ---- */

struct index {
	struct rig *rig;
	const char *present; /* values of file terms that fit, with blanks around */
	char asked[256], told[512];
	int answer;
};

static int look(void *user, const struct vd_query_node *node, char *path, size_t size,
		struct vd_error *err)
{
	struct index *index = user;
	char name[64];

	snprintf(name, sizeof(name), " %s ", node->value);
	strcat(index->asked, node->value);
	if (index->answer)
		return vd_error_set(err, index->answer, 0, VD_NO_OFFSET, "no");
	if (!strstr(index->present, name))
		return 0;
	snprintf(path, size, "/found/%s", node->value);
	return 1;
}

static void hear(void *user, const struct vd_query_node *node, const struct vd_fact *fact)
{
	struct index *index = user;

	(void)node;
	snprintf(index->told + strlen(index->told), 100, "%s=%s;", fact->field, fact->value);
}

static bool ask_files(struct rig *rig, const char *text, const char *present, const char *asked)
{
	struct index index = {.present = present};
	struct vd_query_answer answer = {.size = sizeof(answer)};
	struct vd_query_subject subject = rig->subject;
	struct vd_query *query;

	subject.files = look;
	subject.user = &index;
	assert_int_equal(vd_query_parse(&query, text, NULL, NULL), 0);
	assert_int_equal(vd_query_match(query, &subject, &answer, NULL), 0);
	if (strcmp(index.asked, asked) != 0)
		fail_msg("%s asked for %s", text, index.asked);
	assert_false(answer.lacks_file_index);
	vd_query_free(query);
	return answer.is_match;
}

static void files_are_asked_last_and_if_needed(void **state)
{
	struct rig *rig = *state;

	assert_true(ask_files(rig, "file:a", " a ", "a"));
	assert_false(ask_files(rig, "NOT file:a", " a ", "a"));
	assert_false(ask_files(rig, "file:a nothing", " a ", ""));
	assert_true(ask_files(rig, "file:a OR web", " a ", ""));
	assert_true(ask_files(rig, "file:a web", " a ", "a"));
	assert_true(ask_files(rig, "file:a OR file:b", " a ", "a"));
	assert_true(ask_files(rig, "file:a OR file:b", " b ", "ab"));
	assert_false(ask_files(rig, "file:a file:b", " b ", "a"));
	assert_false(ask_files(rig, "(file:a OR nothing) (file:b nothing)", " a b ", ""));
	assert_true(ask_files(rig, "(file:a nothing) OR NOT (file:b web) OR file:c", " c ", "b"));
	assert_true(ask_files(rig, "NOT (file:a nothing)", "", ""));
}

static void images_without_file_index_are_told(void **state)
{
	struct rig *rig = *state;
	struct index index = {.answer = VD_ENOENT};
	struct vd_query_answer answer = {.size = sizeof(answer)};
	struct vd_query_subject subject = rig->subject;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_query *query;

	assert_int_equal(vd_query_parse(&query, "web NOT file:a", NULL, NULL), 0);
	assert_int_equal(vd_query_match(query, &subject, &answer, &err), 0);
	assert_true(answer.is_match && answer.lacks_file_index);
	subject.files = look;
	subject.user = &index;
	assert_int_equal(vd_query_match(query, &subject, &answer, &err), 0);
	assert_true(answer.is_match && answer.lacks_file_index);
	assert_int_equal(err.code, 0);
	index.answer = VD_EIO;
	assert_int_equal(vd_query_match(query, &subject, &answer, &err), VD_EIO);
	assert_int_equal(err.code, VD_EIO);
	assert_false(answer.is_match);
	vd_query_free(query);
}

static void digests_are_compared(void **state)
{
	uint8_t digest[32];
	struct vd_query *query;
	char text[80] = "sha256:";

	(void)state;
	for (unsigned i = 0; i < 32; i++) {
		digest[i] = (uint8_t)(i * 7);
		snprintf(text + 7 + 2 * i, 3, "%02X", i * 7);
	}
	assert_int_equal(vd_query_parse(&query, text, NULL, NULL), 0);
	assert_true(vd_query_match_file(vd_query_root(query), "/a", NULL, digest));
	assert_false(vd_query_match_file(vd_query_root(query), "/a", NULL, NULL));
	digest[31] ^= 1;
	assert_false(vd_query_match_file(vd_query_root(query), "/a", NULL, digest));
	vd_query_free(query);
}

/* ---- what is told ---- */

static void told(struct rig *rig, const char *text, const char *wanted)
{
	struct index index = {.present = " a "};
	struct vd_query_answer answer = {.size = sizeof(answer)};
	struct vd_query_subject subject = rig->subject;
	struct vd_query *query;

	subject.files = look;
	subject.hit = hear;
	subject.user = &index;
	assert_int_equal(vd_query_parse(&query, text, NULL, NULL), 0);
	assert_int_equal(vd_query_match(query, &subject, &answer, NULL), 0);
	if (strcmp(index.told, wanted) != 0)
		fail_msg("%s: told %s", text, index.told);
	vd_query_free(query);
}

static void facts_that_made_it_true_are_told(void **state)
{
	struct rig *rig = *state;

	told(rig, "os.id:debian12", "os.id=debian12;");
	told(rig, "os.id:debian12 nothing", "");
	told(rig, "os.id:debian12 OR os.family:linux", "os.id=debian12;os.family=linux;");
	told(rig, "nothing OR os.id:debian12", "os.id=debian12;");
	told(rig, "os.id:debian12 NOT starts:*", "os.id=debian12;");
	told(rig, "NOT NOT os.id:debian12", "");
	told(rig, "debian12", "os.id=debian12;");
	told(rig, "cve.open.severity:*", "cve.open.severity=critical;cve.open.severity=low;");
	told(rig, "cve.open{severity:critical package:openssl}",
	     "cve.open.severity=critical;cve.open.package=pkg:deb/debian/openssl@3.0.11;");
	told(rig, "partition.number!=3", "partition.number=1;partition.number=2;");
	told(rig, "web file:a",
	     "tag=web-server;title=Web Server of the M\xc3\xbcnchen lab;file=/found/a;");
	told(rig, "file:b OR os.id:debian12", "os.id=debian12;");
}

static void matching_is_bounded(void **state)
{
	struct vd_query_subject subject = {.size = sizeof(subject), .n_runs = 1};
	static char text[VD_QUERY_TEXT_MAX + 1], value[60001];
	struct vd_fact_set *set;
	struct timespec from, to;

	(void)state;
	memset(value, 'a', 60000);
	assert_int_equal(vd_fact_set_create(&set, NULL), 0);
	assert_int_equal(vd_fact_set_add(set, "title", value, 0, NULL), 0);
	for (unsigned i = 0; i < 20000; i++) {
		snprintf(text, sizeof(text), "CVE-2026-%u", i);
		assert_int_equal(vd_fact_set_add(set, "cve.open", text, i + 1, NULL), 0);
		assert_int_equal(vd_fact_set_add(set, "cve.open.severity", "low", i + 1, NULL), 0);
	}
	subject.runs[0].facts = vd_fact_set_facts(set, &subject.runs[0].n);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	strcpy(text, "title:");
	for (int i = 0; i < 300; i++)
		strcat(text, "*a?");
	strcat(text, "*b");
	assert_false(ask(&subject, text));
	assert_false(
	    ask(&subject, "cve.open{severity:high} OR cve.open{.:CVE-2026-x severity:low}"));
	assert_true(ask(&subject, "cve.open{.:CVE-2026-19999 severity:low}"));
	memset(text, 'a', 30000);
	memcpy(text, "title:", 6);
	strcpy(text + 30000, "b");
	assert_false(ask(&subject, text));
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	assert_true(to.tv_sec - from.tv_sec < 30);
	vd_fact_set_free(set);
}

static void forged_facts_equal_nothing(void **state)
{
	static const struct vd_fact forged[] = {
	    {"created", "yesterday", "yesterday", 0},
	    {"hardware.memory", "-1", "-1", 0},
	    {"hardware.memory", "99999999999999999999", "99999999999999999999", 0},
	    {"package", "", "", 1},
	    {"package", "pkg:/@?", "pkg:/@?", 1},
	    {"package", "pkg:a/%zz%", "pkg:a/%zz%", 1},
	    {"package", "pkg:deb/%00%ff@%", "pkg:deb/%00%ff@%", 1},
	    {"tag", "=", "=", 0},
	};
	struct vd_query_subject subject = {.size = sizeof(subject), .n_runs = 1};

	(void)state;
	subject.runs[0].facts = forged;
	subject.runs[0].n = N_OF(forged);
	assert_false(ask(&subject, "created<now OR created>=now OR created:2026-01-01"));
	assert_false(ask(&subject, "hardware.memory>=0 OR hardware.memory:1"));
	assert_false(ask(&subject, "package:a OR package:a<3 OR tag:a OR tag:a<1"));
	assert_true(ask(&subject, "created:* hardware.memory!=1 package:* tag:\"=\""));
	assert_true(ask(&subject, "package{.:*}"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(words),
	    cmocka_unit_test(unicode_is_folded),
	    cmocka_unit_test(texts),
	    cmocka_unit_test(tags),
	    cmocka_unit_test(words_of_lists_and_others),
	    cmocka_unit_test(numbers_and_times),
	    cmocka_unit_test(relative_times_move_with_the_clock),
	    cmocka_unit_test(packages),
	    cmocka_unit_test(packages_and_versions),
	    cmocka_unit_test(entries),
	    cmocka_unit_test(entries_are_one),
	    cmocka_unit_test(prefixes),
	    cmocka_unit_test(absence_is_false),
	    cmocka_unit_test(logic),
	    cmocka_unit_test(files_are_asked_last_and_if_needed),
	    cmocka_unit_test(images_without_file_index_are_told),
	    cmocka_unit_test(digests_are_compared),
	    cmocka_unit_test(facts_that_made_it_true_are_told),
	    cmocka_unit_test(matching_is_bounded),
	    cmocka_unit_test(forged_facts_equal_nothing),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
