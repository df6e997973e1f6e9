/* SPDX-License-Identifier: MIT */
/*
 * Queries. Input: the text of one, host.* allowed if its length is odd.
 * Properties: it is understood, or there is an error whose place lies in the text; the canonical
 * text is the same query: it has the same canonical text, and fits the same images; matching ends,
 * and facts are told only of what fits.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vdisk/query.h>

#include "fuzz.h"

#define NOW 1795408445 /* 2026-11-23T04:34:05Z */

static const struct vd_fact first[] = {
    {"author",
     "Stra\xc3\x9f"
     "e",
     "strasse", 0},
    {"cve.open", "CVE-2026-1", "cve-2026-1", 1},
    {"cve.open", "CVE-2026-2", "cve-2026-2", 2},
    {"cve.open.package", "pkg:deb/debian/a%40b@1.0-1?arch=x", "pkg:deb/debian/a%40b@1.0-1?arch=x",
     1},
    {"cve.open.severity", "critical", "critical", 1},
    {"cve.open.severity", "low", "low", 2},
    {"description", "one\n two  three", "one\n two  three", 0},
    {"expires", "2026-12-01T00:00:00Z", "2026-12-01t00:00:00z", 0},
    {"hardware.memory", "4294967296", "4294967296", 0},
    {"os.id", "debian12", "debian12", 0},
    {"os.version", "12.5", "12.5", 0},
    {"package", "pkg:deb/debian/openssl@3.0.11-1~deb12u2",
     "pkg:deb/debian/openssl@3.0.11-1~deb12u2", 3},
    {"package", "pkg:npm/%40a/b@1.0.0-rc.1", "pkg:npm/%40a/b@1.0.0-rc.1", 0},
    {"package", "pkg:rpm/c@1:2-3", "pkg:rpm/c@1:2-3", 0},
    {"package.license", "MIT", "mit", 3},
    {"tag", "env=prod", "env=prod", 0},
    {"tag", "kernel=5.10", "kernel=5.10", 0},
    {"title", "Web server", "web server", 0},
};
static const struct vd_fact second[] = {
    {"action", "run", "run", 0},
    {"host.memory", "8589934592", "8589934592", 0},
    {"image.name", "a.vhdx", "a.vhdx", 0},
    {"image.path", "/srv/a.vhdx", "/srv/a.vhdx", 0},
};
static const char *const paths[] = {"/etc/passwd", "/usr/lib/a/b.conf", "/A b"};

struct outcome {
	bool is_match, lacks;
	size_t n_hits, n_asked;
};

static int ask_files(void *user, const struct vd_query_node *node, char *path, size_t size,
		     struct vd_error *err)
{
	struct outcome *outcome = user;

	(void)err;
	outcome->n_asked++;
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		if (vd_query_match_file(node, paths[i], NULL, NULL)) {
			strncpy(path, paths[i], size - 1);
			return 1;
		}
	}
	return 0;
}

static void hear(void *user, const struct vd_query_node *node, const struct vd_fact *fact)
{
	struct outcome *outcome = user;

	FUZZ_CHECK(node->kind >= VD_QUERY_WORD && fact->field && fact->value, "kind %d",
		   (int)node->kind);
	outcome->n_hits++;
}

static struct outcome match(const struct vd_query *query, bool with_files, bool with_hits)
{
	struct vd_query_answer answer = {.size = sizeof(answer)};
	struct vd_query_subject subject = {
	    .size = sizeof(subject),
	    .n_runs = 2,
	    .runs = {{first, sizeof(first) / sizeof(*first)},
		     {second, sizeof(second) / sizeof(*second)}},
	    .now = NOW,
	    .files = with_files ? ask_files : NULL,
	    .hit = with_hits ? hear : NULL,
	};
	struct outcome outcome = {.n_hits = 0};
	struct vd_error err;

	subject.user = &outcome;
	FUZZ_CHECK(vd_query_match(query, &subject, &answer, &err) == 0, "%s", err.text);
	outcome.is_match = answer.is_match;
	outcome.lacks = answer.lacks_file_index;
	FUZZ_CHECK(outcome.is_match || !outcome.n_hits, "%zu facts of no match", outcome.n_hits);
	return outcome;
}

static size_t count_nodes(const struct vd_query_node *node)
{
	size_t n = 1;

	FUZZ_CHECK(fuzz_is_utf8(node->value) && fuzz_is_utf8(node->key), "a value isn't text");
	for (size_t i = 0; i < node->n_children; i++)
		n += count_nodes(node->children[i]);
	return n;
}

static void compare(const struct vd_query *a, const struct vd_query *b)
{
	struct outcome x, y;

	FUZZ_CHECK(strcmp(vd_query_text(a), vd_query_text(b)) == 0, "%s\nbecame %s",
		   vd_query_text(a), vd_query_text(b));
	FUZZ_CHECK(count_nodes(vd_query_root(a)) == count_nodes(vd_query_root(b)), "%s",
		   vd_query_text(a));
	for (int i = 0; i < 4; i++) {
		x = match(a, i & 1, i & 2);
		y = match(b, i & 1, i & 2);
		FUZZ_CHECK(x.is_match == y.is_match && x.lacks == y.lacks && x.n_hits == y.n_hits &&
			       x.n_asked == y.n_asked,
			   "%s: another answer", vd_query_text(a));
		FUZZ_CHECK(x.is_match == match(a, i & 1, !(i & 2)).is_match, "%s: hits matter",
			   vd_query_text(a));
	}
}

static void run(const uint8_t *data, size_t size)
{
	struct vd_query_opts opts = {sizeof(opts), size % 2 ? VD_QUERY_HOST : 0};
	struct vd_error err = VD_ERROR_INIT;
	struct vd_query *query, *again;
	char *text = malloc(size + 1);
	int ret;

	FUZZ_CHECK(text, "no memory");
	memcpy(text, data, size);
	text[size] = '\0';
	ret = vd_query_parse(&query, text, &opts, &err);
	if (ret) {
		FUZZ_CHECK(ret == VD_EINVAL || ret == VD_ERANGE, "%s", err.text);
		FUZZ_CHECK(err.code == ret && err.offset <= strlen(text) && *err.text, "%s", text);
	} else {
		fuzz_deep();
		ret = vd_query_parse(&again, vd_query_text(query), &opts, &err);
		FUZZ_CHECK(ret == 0, "%s\nbecame %s\n%s", text, vd_query_text(query), err.text);
		compare(query, again);
		vd_query_free(again);
		vd_query_free(query);
	}
	free(text);
}

static const char *const seeds[] = {
    "web \"web server\" NOT strasse",
    "title:web OR title=\"Web server\" OR title!=x",
    "(a b) OR NOT (c OR d*) AND \"AND\"",
    "package:openssl<3.0.12 package:@a/b>=1.0.0-alpha",
    "package:pkg:deb/debian/* before 4 package=pkg:rpm/c@1:2-3",
    "tag:kernel>5 tag:env tag:env=* tag:k*<6",
    "cve.open{severity>=high package:a@b<2 NOT .:CVE-2026-2}",
    "package{cve.open:x}",
    "os:debian12 os.*:12.5 cve.open.*:low",
    "hardware.memory >= 4G expires<+30d expires after now-1w",
    "description:\"two three\" description:[a-o]ne* author:[!x]*",
    "file:etc/* file:**/*.conf NOT file:/usr/**/c",
    "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff OR *",
    "host{memory>=8G} action:run image.name:*.vhdx",
    "\\*\\\"\\\\ a\\ b \"c\\\"\" [\\]\\-\\!]?",
    "os.version eq 12.5 version before title:",
    "NOT NOT NOT ((((*))))",
    "title:\xc4\xb0\xef\xbc\xa1\xe2\x91\xa0*",
};

static void seed(void)
{
	char name[16];

	for (size_t i = 0; i < sizeof(seeds) / sizeof(*seeds); i++) {
		snprintf(name, sizeof(name), "query-%02zu", i);
		fuzz_seed(name, seeds[i], strlen(seeds[i]));
	}
}

const struct fuzz_target fuzz_query = {
    .name = "query", .run = run, .seed = seed, .max_memory = 8u << 20};
