/* SPDX-License-Identifier: MIT */
/* The documents that say what one may expect: validity, rights, patches, tags. */
#include "corpus.h"

#include <string.h>

static void open_root(struct corpus_doc *doc, const char *name)
{
	fprintf(doc->xml, "<%s xmlns=\"urn:libvdisk:%s:1\">\n", name, name);
}

static void time_element(struct corpus_doc *doc, const char *name, int64_t when)
{
	corpus_element_as(doc, name, name, corpus_time(when, doc->i / 3), corpus_time_normal(when));
}

void corpus_validity(struct corpus_doc *doc)
{
	int64_t i = doc->i;
	char text[64];

	if (!corpus_has_metadata(doc->i) || i % 3 == 2)
		return;
	open_root(doc, "validity");
	time_element(doc, "starts", CORPUS_NOW + (i - 800) * CORPUS_DAY);
	if (i % 3 == 0)
		time_element(doc, "expires", CORPUS_NOW + (i - 500) * CORPUS_DAY);
	if (i % 6 == 0) {
		snprintf(text, sizeof(text), "%u", (unsigned)(604800 * (1 + i / 6 % 4)));
		corpus_element(doc, "grace", "grace", text);
	}
	if (i % 9 == 0)
		corpus_element(doc, "reason", "validity.reason",
			       "contract ends; ask \"Ops\" <ops@example.org>");
	fputs("</validity>\n", doc->xml);
}

void corpus_rights(struct corpus_doc *doc)
{
	static const char *const licenses[4] = {
	    "MIT", "Apache-2.0", "GPL-2.0-only WITH Classpath-exception-2.0", "LicenseRef-ACME"};
	unsigned i = doc->i;

	if (!corpus_has_metadata(i) || i % 7)
		return;
	open_root(doc, "rights");
	corpus_element(doc, "license", "license", licenses[i / 7 % 4]);
	corpus_element(doc, "issuer", "issuer", "ACME Hosting");
	corpus_element(doc, "holder", "holder", "Example University");
	if (i % 2)
		corpus_element(doc, "holder", "holder", "Example Hospital");
	corpus_element(doc, "permit", "permit", "mount-ro");
	if (i % 3)
		corpus_element(doc, "permit", "permit", "run");
	if (i % 5 == 0)
		corpus_element(doc, "deny", "deny", "export");
	fputs("</rights>\n", doc->xml);
}

static void write_open(struct corpus_doc *doc, unsigned c)
{
	static const char *const severities[7] = {"unknown", "none",     "low", "medium",
						  "high",    "critical", NULL};
	unsigned i = doc->i, score = (i * 3 + c * 11) % 101;
	const char *severity = severities[(i + c) % 7];
	/* The third says no more than its id: an entry of one fact has no group. */
	unsigned group = c == 2 ? 0 : ++doc->last_group;

	fputs("  <open", doc->xml);
	corpus_attr(doc, "id", "cve.open", group, "CVE-2026-%u", 1000 + (i + c * 37) % 50);
	if (c != 2) {
		if (severity)
			corpus_attr(doc, "severity", "cve.open.severity", group, "%s", severity);
		corpus_attr(doc, "score", "cve.open.score", group, "%u.%u", score / 10, score % 10);
		corpus_attr(doc, "status", "cve.open.status", group, "%s",
			    i % 2 ? "affected" : "under_investigation");
		corpus_attr(doc, "package", "cve.open.package", group, "%s",
			    c ? "pkg:npm/left-pad@1.0.0" : "pkg:deb/debian/openssl@3.0.11-1");
		if (c == 0)
			corpus_attr(doc, "fixed-in", "cve.open.fixed-in", group, "3.0.%u-1",
				    12 + i % 3);
	}
	fputs("/>\n", doc->xml);
}

void corpus_patches(struct corpus_doc *doc)
{
	int64_t patched = CORPUS_NOW - (int64_t)(doc->i % 200) * CORPUS_DAY;
	unsigned i = doc->i, group;

	if (!corpus_has_metadata(i) || i % 5 > 2)
		return;
	open_root(doc, "patches");
	fprintf(doc->xml, "  <scan time=\"%s\"", corpus_time(patched, i));
	corpus_fact(doc, "patched", 0, "%s", corpus_time_normal(patched));
	corpus_attr(doc, "tool", "patched.tool", 0, "vdtool 0.1.0");
	fprintf(doc->xml, "/>\n  <baseline>debian-12.%u</baseline>\n", i % 9);
	corpus_fact(doc, "baseline", 0, "debian-12.%u", i % 9);
	fprintf(doc->xml, "  <installed>KB50344%02u</installed>\n", i % 100);
	corpus_fact(doc, "installed", 0, "KB50344%02u", i % 100);
	if (i % 4 == 2) {
		group = ++doc->last_group;
		fputs("  <missing", doc->xml);
		corpus_attr(doc, "severity", "missing.severity", group, "%s",
			    i % 8 == 2 ? "critical" : "low");
		fputs(">DSA-5901-1</missing>\n", doc->xml);
		corpus_fact(doc, "missing", group, "DSA-5901-1");
	}
	for (unsigned c = 0; c < i % 4; c++)
		write_open(doc, c);
	if (i % 2) {
		fputs("  <fixed", doc->xml);
		corpus_attr(doc, "id", "cve.fixed", 0, "CVE-2024-6387");
		fputs("/>\n", doc->xml);
	}
	fputs("</patches>\n", doc->xml);
}

static void tag(struct corpus_doc *doc, const char *value)
{
	corpus_element(doc, "tag", "tag", value);
}

static void write_words(struct corpus_doc *doc)
{
	static const char *const folding[7] = {"Straße", "STRASSE",      "İx",    "ｆｕｌｌ",
					       "full",   "e\u0301clair", "ÉCLAIR"};
	static const char *const odd[10] = {"weird<tag", "a*b",  "[x]", "SELECT'--", "x\"y",
					    "a:b",       "a\\b", "(p)", "{c}",       "a?b"};
	unsigned i = doc->i;

	tag(doc, "all");
	tag(doc, folding[i % 7]);
	if (i % 5 == 0)
		tag(doc, "web");
	if (i % 10 == 1)
		tag(doc, "WEB");
	if (i % 17 == 0)
		tag(doc, "🚀");
	if (i % 19 < 10)
		tag(doc, odd[i % 19]);
}

void corpus_tags(struct corpus_doc *doc)
{
	static const char *const versions[6] = {"1.9", "1.10", "2.0~rc1", "2.0", "10", "1.9.0"};
	unsigned i = doc->i;
	char text[64];

	if (!corpus_has_metadata(i))
		return;
	open_root(doc, "tags");
	write_words(doc);
	if (i % 3 < 2)
		tag(doc, i % 3 ? "env=test" : "env=prod");
	else if (i % 2)
		tag(doc, "Env=Dev");
	if (i % 2 == 0) {
		snprintf(text, sizeof(text), "ver=%s", versions[i / 2 % 6]);
		tag(doc, text);
	}
	if (i % 11 == 0)
		tag(doc, "com.example.owner=Team Shop = Ada");
	if (i % 13 == 0)
		tag(doc, "empty=");
	snprintf(text, sizeof(text), "tier=%u", i % 12);
	tag(doc, text);
	/* What makes it damaged: an element without an end. */
	if (corpus_place(i) == CORPUS_DAMAGED && i / 20 % 4 == 2)
		fputs("  <tag>wrong\n", doc->xml);
	fputs("</tags>\n", doc->xml);
}
