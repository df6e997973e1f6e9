/* SPDX-License-Identifier: MIT */
/*
 * The thousand images that searches are tested with. What image i says follows from i by simple
 * arithmetic, so that a test can tell who has to be found without asking anybody. The rules are
 * told at the top of tests/search/golden.txt.
 */
#ifndef TEST_SEARCH_CORPUS_H
#define TEST_SEARCH_CORPUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CORPUS_NOW 1782864000 /* 2026-07-01T00:00:00Z */
#define CORPUS_DAY 86400

/* What kind of image i is. */
enum corpus_place {
	CORPUS_ITEMS,     /* documents as items, written by our own hand, without a facts record */
	CORPUS_COMMITTED, /* documents given to the library, which wrote facts too */
	CORPUS_DAMAGED,   /* items, the tags among them damaged */
	CORPUS_SIDECAR,   /* raw, with a sidecar */
	CORPUS_ALIEN,     /* raw, with the sidecar of another image */
	CORPUS_NAKED,     /* raw, without metadata */
	CORPUS_BARE,      /* VHDX without metadata */
};
enum corpus_place corpus_place(unsigned i);
bool corpus_has_metadata(unsigned i);
bool corpus_has_index(unsigned i);

/* A document being written, and the facts that it says, which are written beside. */
struct corpus_doc {
	unsigned i;
	FILE *xml, *facts; /* facts may be NULL: nobody will see them */
	unsigned last_group;
};

/** One line of facts.tsv: image, field, value, entry. Line feeds, tabs and backslashes of the value
 *  are written with a backslash. */
void corpus_fact(struct corpus_doc *doc, const char *field, unsigned group, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/** Text of an element, escaped in one of the ways that XML has. */
void corpus_text(struct corpus_doc *doc, const char *text);
/** An element whose text is the value of a field, and the same spelled otherwise. */
void corpus_element(struct corpus_doc *doc, const char *tag, const char *field, const char *value);
void corpus_element_as(struct corpus_doc *doc, const char *tag, const char *field,
		       const char *written, const char *value);
/** An attribute. */
void corpus_attr(struct corpus_doc *doc, const char *name, const char *field, unsigned group,
		 const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/** A time as `how` % 4 writes it, and in its normal form. Static memory. */
const char *corpus_time(int64_t seconds, unsigned how);
const char *corpus_time_normal(int64_t seconds);

/* Each writes its document, if image doc->i has it; doc->xml stays empty otherwise. */
void corpus_content(struct corpus_doc *doc);
void corpus_hardware(struct corpus_doc *doc);
void corpus_host(struct corpus_doc *doc);
void corpus_validity(struct corpus_doc *doc);
void corpus_rights(struct corpus_doc *doc);
void corpus_patches(struct corpus_doc *doc);
void corpus_network(struct corpus_doc *doc);
void corpus_tags(struct corpus_doc *doc);
void corpus_configuration(struct corpus_doc *doc);
void corpus_state(struct corpus_doc *doc);

/** Bytes of the file index of image i (free()); its lines go to `files`: image, path, digest. */
uint8_t *corpus_index(unsigned i, FILE *files, size_t *len);

/** A document, or an attachment (kind "", `name`), to be put into an image. */
struct corpus_record {
	const char *kind, *name, *media;
	char *bytes;
	size_t len;
};
/** Write image i to `path`, with these records. Ends the program if it can't. */
void corpus_write(unsigned i, const char *path, const struct corpus_record *records, size_t n);
/** Bytes of its virtual disk, block, sector. */
uint64_t corpus_virtual_size(unsigned i);
uint32_t corpus_block_size(unsigned i);
uint32_t corpus_sector_size(unsigned i);
_Noreturn void corpus_die(const char *what, const char *why);

#endif
