/* SPDX-License-Identifier: MIT */
/* The document content: titles that are hard to compare, systems, partitions, packages. */
#include "corpus.h"

#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* As written, and as a fact. */
static const char *const titles[12][2] = {
    {"Web Server", "Web Server"},
    {"web \n\t server", "web server"},
    {"Größenwahn GmbH: Straße 7", "Größenwahn GmbH: Straße 7"},
    {"GRÖSSENWAHN strasse", "GRÖSSENWAHN strasse"},
    {"ＦＵＬＬ Ｗｉｄｔｈ server", "ＦＵＬＬ Ｗｉｄｔｈ server"},
    {"İstanbul mail-server", "İstanbul mail-server"},
    {"Cafe\u0301 (de\u0301compose\u0301)", "Cafe\u0301 (de\u0301compose\u0301)"},
    {"a*b [test] {x} \"q\" \\back", "a*b [test] {x} \"q\" \\back"},
    {"  x<y & z>=3 'tis  ", "x<y & z>=3 'tis"},
    {"emoji 🚀 rocket👩‍💻dev", "emoji 🚀 rocket👩‍💻dev"},
    {"AND OR NOT", "AND OR NOT"},
    {"numéro ½ ﬁle ①②", "numéro ½ ﬁle ①②"},
};
static const char *const versions[10] = {"1.0",  "1.0~rc1", "1.00",  "1.0.1", "1.0a",
					 "1.10", "1.9",     "2:1.0", "1.0-1", "1.0+b2"};
static const char *const vendors[5] = {"ACME, Inc.", "O'Reilly & Söhne", "Ｖendor Three",
				       "vendor-four", "Vendor \"Five\""};
static const char *const authors[7] = {
    "Ada Lovelace", "Grace Hopper", "J. R. \"Bob\" Dobbs", "Ådne Ørjan <a@b.no>", "山田 太郎",
    "root",         "ada"};

struct system {
	const char *id, *name, *version, *build, *codename, *edition, *family, *arch, *kernel;
};
static const struct system systems[5] = {
    {"debian12", "Debian GNU/Linux", "12.5", NULL, "bookworm", NULL, "linux", "x86_64",
     "6.1.0-18-amd64"},
    {"debian13", "Debian GNU/Linux", "13.0", NULL, "trixie", NULL, "linux", "aarch64",
     "6.12.0-1-arm64"},
    {"ubuntu22.04", "Ubuntu", "22.04", NULL, "Jammy Jellyfish", NULL, "linux", "x86_64",
     "5.15.0-97-generic"},
    {"win2k22", "Windows Server 2022", "10.0.20348", "20348.2402", NULL, "Server Core", "winnt",
     "x86_64", NULL},
    {"alpine3.19", "Alpine Linux", "3.19.1", NULL, NULL, NULL, "linux", "x86_64", "6.6.7-0-virt"},
};

static void optional_attr(struct corpus_doc *doc, const char *name, const char *field,
			  const char *value)
{
	if (value)
		corpus_attr(doc, name, field, 0, "%s", value);
}

static void write_system(struct corpus_doc *doc)
{
	const struct system *s;

	if (doc->i % 6 == 5)
		return;
	s = &systems[doc->i % 6];
	fputs("  <os", doc->xml);
	/* Attributes have no order: another one than the schema's is right too. */
	optional_attr(doc, "version", "os.version", s->version);
	optional_attr(doc, "id", "os.id", s->id);
	optional_attr(doc, "name", "os.name", s->name);
	optional_attr(doc, "build", "os.build", s->build);
	optional_attr(doc, "codename", "os.codename", s->codename);
	optional_attr(doc, "edition", "os.edition", s->edition);
	optional_attr(doc, "family", "os.family", s->family);
	optional_attr(doc, "arch", "os.arch", s->arch);
	optional_attr(doc, "kernel", "os.kernel", s->kernel);
	corpus_attr(doc, "hostname", "os.hostname", 0, "host-%03u.example.org", doc->i);
	fputs("/>\n", doc->xml);
}

static void write_partitions(struct corpus_doc *doc)
{
	static const char *const schemes[3] = {"gpt", "mbr", "hybrid"};
	unsigned i = doc->i;

	fputs("  <partitions", doc->xml);
	corpus_attr(doc, "scheme", "partition.scheme", 0, "%s", schemes[i % 3]);
	corpus_attr(doc, "id", "partition.table", 0, "%08x", i * 2654435761u);
	fputs(">\n", doc->xml);
	for (unsigned k = 1; k <= 1 + i % 3; k++) {
		unsigned group = ++doc->last_group;

		fputs("    <partition", doc->xml);
		corpus_attr(doc, "number", "partition.number", group, "%u", k);
		corpus_attr(doc, "start", "partition.start", group, "%u", k << 20);
		corpus_attr(doc, "size", "partition.size", group, "%llu",
			    (unsigned long long)k * (1 + i % 5) << 30);
		corpus_attr(doc, "type", "partition.type", group, "0x%02x", 0x80 + k);
		corpus_attr(doc, "uuid", "partition.uuid", group,
			    "%08x-0000-4000-8000-00000000000%u", i, k);
		if (k > 1)
			corpus_attr(doc, "name", "partition.name", group, "Part %u of %s", k,
				    i % 2 ? "Größe" : "SIZE");
		corpus_attr(doc, "bootable", "partition.bootable", group, "%s",
			    k == 1 + i % 2 ? "true" : "false");
		fputs("/>\n", doc->xml);
	}
	fputs("  </partitions>\n", doc->xml);
}

static void write_filesystems(struct corpus_doc *doc)
{
	static const char *const types[5] = {"ext4", "xfs", "ntfs", "vfat", "swap"};
	static const char *const mounts[4] = {"", "/", "/boot", "C:"};
	unsigned i = doc->i;

	fputs("  <filesystems>\n", doc->xml);
	for (unsigned k = 1; k <= 1 + i % 3; k++) {
		unsigned group = ++doc->last_group;

		fputs("    <filesystem", doc->xml);
		corpus_attr(doc, "type", "filesystem.type", group, "%s", types[(i + k) % 5]);
		if (types[(i + k) % 5][0] == 'v')
			corpus_attr(doc, "version", "filesystem.version", group, "FAT32");
		corpus_attr(doc, "partition", "filesystem.partition", group, "%u", k);
		corpus_attr(doc, "label", "filesystem.label", group, "Label %u", i % 10);
		corpus_attr(doc, "size", "filesystem.size", group, "%llu", 1000000000ull * k);
		corpus_attr(doc, "used", "filesystem.used", group, "%llu", 1000000ull * i);
		corpus_attr(doc, "mount", "filesystem.mount", group, "%s", mounts[k]);
		if (i % 5 == 0)
			corpus_attr(doc, "dirty", "filesystem.dirty", group, "%s",
				    k == 2 ? "true" : "false");
		fputs("/>\n", doc->xml);
	}
	fputs("  </filesystems>\n", doc->xml);
}

static void package(struct corpus_doc *doc, const char *purl, const char *license)
{
	unsigned group = license ? ++doc->last_group : 0;

	fputs("    <package", doc->xml);
	if (license)
		corpus_attr(doc, "license", "package.license", group, "%s", license);
	fputs(">", doc->xml);
	corpus_text(doc, purl);
	fputs("</package>\n", doc->xml);
	corpus_fact(doc, "package", group, "%s", purl);
}

static void versioned(struct corpus_doc *doc, const char *name, const char *version,
		      const char *rest)
{
	char purl[512];

	snprintf(purl, sizeof(purl), "pkg:%s@%s%s", name, version, rest);
	package(doc, purl, NULL);
}

static void numbered(struct corpus_doc *doc, const char *fmt, unsigned number)
{
	char purl[512], *at;

	snprintf(purl, sizeof(purl), "%s", fmt);
	at = strchr(purl, '#');
	snprintf(at, sizeof(purl) - (size_t)(at - purl), "%u%s", number, strchr(fmt, '#') + 1);
	package(doc, purl, NULL);
}

static void write_openssl(struct corpus_doc *doc)
{
	static const char *const deb[8] = {"3.0.11-1~deb12u2", "3.0.9-1",    "3.0.12-1",
					   "1:1.0-1",          "3.0.11-1",   "3.0.11-1%2Bb1",
					   "3.0.11",           "3.0~beta1-1"};
	unsigned i = doc->i;
	char purl[256];

	if (i % 2)
		return;
	snprintf(purl, sizeof(purl), "pkg:deb/debian/openssl@%s%s", deb[i / 2 % 8],
		 i % 4 ? "" : "?arch=amd64");
	package(doc, purl,
		i % 8 == 2   ? "Apache-2.0"
		: i % 8 == 6 ? "MIT AND (GPL-2.0-or-later OR BSD-3-Clause)"
			     : NULL);
	if (i % 16 == 0)
		package(doc, "pkg:deb/debian/openssl@1.1.1w-0%2Bdeb11u1", NULL);
}

static void write_packages(struct corpus_doc *doc)
{
	static const char *const rpm[7] = {"5.2.15-3.fc38", "5.2.15-10.fc38", "5.2.15", "1%3A5.1-1",
					   "5.2.15~rc1-1",  "5.2.15^git1-1",  "5.2.a-1"};
	static const char *const semver[9] = {
	    "1.0.0",         "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta",
	    "1.0.0-beta.11", "1.0.0-rc.1",  "1.0.0+build5",  "1.10.0",
	    "latest"};
	static const char *const pypi[4] = {"2.31.0", "2.31.0rc1", "2.4", "2.31"};
	unsigned i = doc->i;

	fputs("  <software>\n", doc->xml);
	write_openssl(doc);
	if (i % 6 == 2)
		numbered(doc, "pkg:deb/ubuntu/libssl3@3.0.2-0ubuntu1.#", i / 6 % 20);
	if (i % 3 == 1)
		versioned(doc, "rpm/fedora/bash", rpm[i / 3 % 7], "");
	if (i % 5 == 2)
		versioned(doc, "npm/left-pad", semver[i / 5 % 9], "");
	if (i % 7 == 3)
		versioned(doc, "pypi/requests", pypi[i / 7 % 4], "");
	if (i % 6 == 4)
		numbered(doc, "pkg:apk/alpine/musl@1.2.4-r#?arch=x86_64", i / 6 % 11);
	if (i % 8 == 0)
		numbered(doc, "pkg:cargo/serde@1.0.#", i / 8 % 13);
	if (i % 10 == 7)
		package(doc, "pkg:generic/tool", NULL);
	if (i % 9 == 1)
		package(doc, "pkg:golang/github.com/foo/bar@v1.2.3#sub/dir", NULL);
	if (i % 12 == 5)
		package(doc, "pkg:nuget/Newtonsoft.Json@13.0.1", NULL);
	fputs("  </software>\n", doc->xml);
}

static void write_head(struct corpus_doc *doc)
{
	unsigned i = doc->i;
	int64_t created = 1704067200 + (int64_t)i * CORPUS_DAY;
	char text[512];

	corpus_element_as(doc, "title", "title", titles[i % 12][0], titles[i % 12][1]);
	if (i % 3 == 0) {
		snprintf(
		    text, sizeof(text),
		    "line one of batch%u\n\tsecond  line: <xml> & done\n  IBM-\u00c4gypten_%u  ",
		    i % 16, i % 5);
		corpus_element(doc, "description", "description", text);
	}
	corpus_element_as(doc, "created", "created", corpus_time(created, i),
			  corpus_time_normal(created));
	corpus_element(doc, "version", "version", versions[i % 10]);
	if (i % 4 == 0) {
		snprintf(text, sizeof(text), "rev-%u", i % 30);
		corpus_element(doc, "revision", "revision", text);
	}
	if (i % 2 == 0)
		corpus_element(doc, "vendor", "vendor", vendors[i / 2 % 5]);
	for (unsigned k = 0; k < i % 3; k++)
		corpus_element(doc, "author", "author", authors[(i + k) % COUNT(authors)]);
	if (i % 5 == 1) {
		snprintf(text, sizeof(text), "https://Example.org/img/%u?x=1&y=2", i);
		corpus_element(doc, "url", "url", text);
	}
	if (i % 6 == 0)
		corpus_element(doc, "base", "base", "Debian 12 (bookworm) base");
}

void corpus_content(struct corpus_doc *doc)
{
	if (!corpus_has_metadata(doc->i))
		return;
	fputs(
	    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<content xmlns=\"urn:libvdisk:content:1\""
	    " xmlns:v=\"urn:example:vendor\" v:hint=\"unseenattribute\">\n",
	    doc->xml);
	write_head(doc);
	write_system(doc);
	if (doc->i % 4 == 1) {
		write_partitions(doc);
		write_filesystems(doc);
	}
	write_packages(doc);
	if (doc->i % 9 == 0)
		fputs("  <v:title>unseenelement</v:title>\n", doc->xml);
	fputs("</content>\n", doc->xml);
}
