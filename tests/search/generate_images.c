/* SPDX-License-Identifier: MIT */
/*
 * generate_images FOLDER [N]: FOLDER/images with N (1,000) small images, each with documents that
 * are written here as XML. Beside them, straight from the same tables and not by reading back:
 *   FOLDER/paths   path of each image, a line each, line feeds as \n
 *   FOLDER/facts   image, field, value, entry (0: none), parted by tabs
 *   FOLDER/files   image, path, SHA-256 or -
 * The same N makes the same images.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "corpus/corpus.h"

static const struct {
	const char *kind;
	void (*write)(struct corpus_doc *doc);
} documents[] = {
    {"content", corpus_content}, {"hardware", corpus_hardware},
    {"host", corpus_host},       {"validity", corpus_validity},
    {"rights", corpus_rights},   {"patches", corpus_patches},
    {"network", corpus_network}, {"tags", corpus_tags},
    {"state", corpus_state},     {"configuration", corpus_configuration},
};
#define N_DOCUMENTS (sizeof(documents) / sizeof(documents[0]))

static FILE *create(const char *folder, const char *name)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	if (!f)
		corpus_die(path, "can't be written");
	return f;
}

static void name_image(char *path, size_t size, const char *folder, unsigned i)
{
	bool is_raw = corpus_place(i) == CORPUS_SIDECAR || corpus_place(i) == CORPUS_ALIEN ||
		      corpus_place(i) == CORPUS_NAKED;
	const char *fmt = i % 50 == 49    ? "%s/images/d%u/Größe %04u x.%s"
			  : i % 100 == 74 ? "%s/images/d%u/line\nfeed%04u.%s"
					  : "%s/images/d%u/img%04u.%s";

	snprintf(path, size, fmt, folder, i % 10, i, is_raw ? "raw" : "vhdx");
}

/* What the file itself says. */
static void file_facts(struct corpus_doc *doc, const char *path, size_t n_records)
{
	enum corpus_place place = corpus_place(doc->i);
	bool is_raw = place == CORPUS_SIDECAR || place == CORPUS_ALIEN || place == CORPUS_NAKED;
	struct stat st;

	if (stat(path, &st))
		corpus_die(path, "is gone");
	corpus_fact(doc, "image.path", 0, "%s", path);
	corpus_fact(doc, "image.name", 0, "%s", strrchr(path, '/') + 1);
	corpus_fact(doc, "image.format", 0, "%s", is_raw ? "raw" : "vhdx");
	corpus_fact(doc, "image.type", 0, "dynamic");
	corpus_fact(doc, "image.virtual-size", 0, "%llu",
		    (unsigned long long)corpus_virtual_size(doc->i));
	corpus_fact(doc, "image.file-size", 0, "%llu", (unsigned long long)st.st_size);
	corpus_fact(doc, "image.sector-size", 0, "%u", is_raw ? 512 : corpus_sector_size(doc->i));
	if (!is_raw) {
		corpus_fact(doc, "image.block-size", 0, "%u", corpus_block_size(doc->i));
		corpus_fact(doc, "image.disk-id", 0, "da7a0000-0000-4000-8000-0000%08x",
			    __builtin_bswap32(doc->i + 1));
	}
	corpus_fact(doc, "image.modified", 0, "%s",
		    corpus_time_normal(CORPUS_NOW - (int64_t)doc->i * 3600));
	corpus_fact(doc, "image.dirty-log", 0, "false");
	corpus_fact(doc, "metadata.place", 0, "%s",
		    place >= CORPUS_NAKED                              ? "none"
		    : place == CORPUS_SIDECAR || place == CORPUS_ALIEN ? "sidecar"
								       : "items");
	corpus_fact(doc, "metadata.damaged", 0, "%s",
		    place == CORPUS_DAMAGED || place == CORPUS_ALIEN ? "true" : "false");
	corpus_fact(doc, "metadata.records", 0, "%zu", n_records);
	if (place == CORPUS_COMMITTED && doc->i % 10 == 4)
		corpus_fact(doc, "history.length", 0, "%u", 1 + doc->i % 3);
}

/* What comes before the tags of the fourth kind of damaged image. */
static void begin_damaged(struct corpus_doc *doc)
{
	if (doc->i / 20 % 4 == 3)
		fputs("<!DOCTYPE tags [<!ENTITY e 'x'>]>\n", doc->xml);
}

static size_t write_documents(unsigned i, FILE *facts, FILE *files, struct corpus_record *records)
{
	size_t n = 0;

	memset(records, 0, (N_DOCUMENTS + 2) * sizeof(*records));
	for (size_t k = 0; k < N_DOCUMENTS; k++) {
		struct corpus_doc doc = {i, NULL, facts, (unsigned)k * 1000};
		bool is_damaged =
		    corpus_place(i) == CORPUS_DAMAGED && !strcmp(documents[k].kind, "tags");

		if (is_damaged)
			doc.facts = NULL;
		doc.xml = open_memstream(&records[n].bytes, &records[n].len);
		if (is_damaged)
			begin_damaged(&doc);
		documents[k].write(&doc);
		fclose(doc.xml);
		records[n].kind = documents[k].kind;
		if (records[n].len)
			n++;
		else
			free(records[n].bytes);
	}
	records[n].bytes = (char *)corpus_index(i, files, &records[n].len);
	if (records[n].bytes) {
		records[n].kind = "";
		records[n].name = ".vdisk/files";
		records[n++].media = "application/vnd.vdisk.files";
	}
	if (corpus_has_metadata(i) && i % 9 == 0) {
		records[n].kind = "urn:example:vendor";
		records[n].bytes = strdup("<v:thing xmlns:v=\"urn:example:vendor\" "
					  "title=\"unseenvendor\"><tag>web</tag></v:thing>\n");
		records[n].len = strlen(records[n].bytes);
		n++;
	}
	return n;
}

int main(int argc, char **argv)
{
	unsigned n_images = argc > 2 ? (unsigned)atoi(argv[2]) : 1000;
	FILE *facts, *files, *paths;
	char path[4096];

	if (argc < 2 || sodium_init() < 0)
		corpus_die("operands", "which folder?");
	snprintf(path, sizeof(path), "%s/images", argv[1]);
	mkdir(path, 0755);
	for (unsigned d = 0; d < 10; d++) {
		snprintf(path, sizeof(path), "%s/images/d%u", argv[1], d);
		mkdir(path, 0755);
	}
	facts = create(argv[1], "facts");
	files = create(argv[1], "files");
	paths = create(argv[1], "paths");
	for (unsigned i = 0; i < n_images; i++) {
		struct corpus_record records[N_DOCUMENTS + 2];
		struct corpus_doc doc = {i, NULL, facts, 0};
		size_t n;

		name_image(path, sizeof(path), argv[1], i);
		for (const char *p = path; *p; p++)
			fputs(*p == '\n' ? "\\n" : (char[]){*p, '\0'}, paths);
		fputc('\n', paths);
		n = write_documents(i, facts, files, records);
		corpus_write(i, path, records, n);
		file_facts(&doc, path, n);
		for (size_t k = 0; k < n; k++)
			free(records[k].bytes);
	}
	if (fclose(facts) || fclose(files) || fclose(paths))
		corpus_die(argv[1], "can't be written");
	return 0;
}
