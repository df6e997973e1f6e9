/* SPDX-License-Identifier: MIT */
/*
 * A third evaluator of the query language, written from docs/search.md alone, to be compared with
 * the other two: it reads lists of facts instead of images, copies what it could share, compares
 * everything with everything, and never frees. What it borrows is Unicode's tables (utf8proc).
 */
#ifndef TEST_SEARCH_NAIVE_H
#define TEST_SEARCH_NAIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- what is known of images ---- */

struct naive_field {
	char *name, *type, *choices;
};
struct naive_fact {
	unsigned field; /* index into naive.fields */
	unsigned group;
	char *value, *key;
};
struct naive_file {
	char *path, *key, *sha256;
};
struct naive_image {
	struct naive_fact *facts;
	size_t n_facts;
	struct naive_file *files;
	size_t n_files; /* 0: it has no index */
	char *path;
};
struct naive {
	struct naive_field *fields;
	size_t n_fields;
	struct naive_image *images;
	size_t n_images;
	int64_t now;
};
extern struct naive naive;

/** Read FOLDER/paths, facts, files, and the list of fields (name, type, choices). */
void naive_load(const char *folder, const char *fields);
_Noreturn void naive_die(const char *what, const char *why);
void *naive_memory(size_t size);
char *naive_text(const char *from, size_t len);

/* ---- queries ---- */

enum naive_kind { ALL, AND, OR, NOT, ENTRY, WORD, TERM, FILES, SHA256 };
enum naive_op { HAS = 1, EQ, NE, LT, LE, GT, GE };

/* A text of a query: what it is, and which of its bytes were escaped. */
struct naive_value {
	char *text, *key;
	bool *is_plain; /* a byte that no escape or quote protects */
	size_t len, offset;
	bool is_quoted, is_glob;
};
struct naive_query {
	enum naive_kind kind;
	struct naive_query *a, *b; /* AND and OR have two children, NOT and ENTRY one */
	bool *fields;              /* of the vocabulary: those that are meant */
	char *prefix;              /* ENTRY: name of the field */
	enum naive_op op, pair_op; /* pair_op 0: no pair */
	struct naive_value value, pair_value;
};
/** NULL: it is wrong at byte *offset. */
struct naive_query *naive_parse(const char *text, size_t *offset);
bool naive_match(const struct naive_query *query, const struct naive_image *image);

/* ---- values ---- */

/** NFKC, case folded, until nothing changes. NULL: no UTF-8. */
char *naive_key(const char *text);
/** Text of this type as a number, if it can be read so: number, size, time (seconds). */
bool naive_number(const struct naive_field *field, const char *text, int64_t now, bool is_typed,
		  __int128 *number);
/** The value can be read by the type of the field, for this operator. */
bool naive_is_readable(const struct naive_field *field, const struct naive_value *value,
		       enum naive_op op);
/** The value, readable by the field's type, in its normal form. */
char *naive_normal(const struct naive_field *field, const char *text);
/** Place of a word among those that have an order, or -1. */
int naive_rank(const struct naive_field *field, const char *word);

/* ---- patterns ---- */

/** `is_path`: stars stop at "/" and two of them don't. */
bool naive_glob(const struct naive_value *pattern, const char *key, bool is_path);
/** Where a "[" stands that has no "]"; or (size_t)-1. */
size_t naive_open_bracket(const struct naive_value *pattern);
/** Code points of a text, ended by -1. */
int32_t *naive_points(const char *text);
bool naive_is_alnum(int32_t point);

/* ---- versions ---- */

/** By the type of a package URL; NULL: part by part. */
int naive_version(const char *type, const char *a, const char *b);

/* A package URL in its parts; NULL where there is none. */
struct naive_purl {
	char *type, *namespace, *name, *version;
	char *before_version, *before_qualifiers;
};
struct naive_purl naive_purl(const char *text);

#endif
