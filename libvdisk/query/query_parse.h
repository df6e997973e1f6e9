/* SPDX-License-Identifier: MIT */
/* Reading a query: what query_parse.c (the grammar) takes from query_lex.c (names and values) and
 * query_build.c (nodes). */
#ifndef VD_QUERY_PARSE_H
#define VD_QUERY_PARSE_H

#include "query/query_tree.h"

/** A value as it was written. */
struct raw_value {
	char *bytes;       /* without quotes and backslashes */
	uint8_t *is_plain; /* each byte: it was quoted, or behind a backslash */
	uint32_t *at;      /* each byte: where it stands in the text */
	size_t n, offset;
	bool is_quoted;
};

/** A name, and what it means. */
struct name {
	size_t offset, len; /* as written; with the ".*" */
	bool is_starred;
	const struct vd_field *field; /* NULL: all below the prefix */
	char full[128];               /* the field's name, or the prefix with its "." */
};

struct parser {
	const char *text;
	size_t len, pos;
	struct vd_query *query;
	struct vd_error *err;
	struct raw_value raw;
	unsigned depth;
	const char *entry; /* the prefix, with its "."; NULL: not in an entry */
};

/** Which operators end a value. */
enum split { SPLIT_NONE, SPLIT_PURL, SPLIT_TAG };

int parse_fail(struct parser *p, int code, size_t offset, const char *fmt, ...) VD_PRINTF(4, 5);
/** *err was filled by somebody who doesn't know the query: say where. */
int parse_fail_at(struct parser *p, int code, size_t offset);

/* query_lex.c */

/** Set up p->raw. */
int lex_begin(struct parser *p);
/** UTF-8, without control characters? */
int lex_check(struct parser *p);
void lex_skip_blanks(struct parser *p);
/** Does a bare text end here? */
bool lex_is_end(char c);
/** "<=" at `pos`: its length, or 0. */
size_t lex_op(const struct parser *p, size_t pos, enum vd_query_op *op);
/** A word form at `pos`, with white space around it and a value behind: its length, or 0. */
size_t lex_wordop(const struct parser *p, size_t pos, enum vd_query_op *op);
bool lex_is_keyword(const struct parser *p, size_t pos, const char *which);
/** A name at the current place: its bounds only. False: none. */
bool lex_name(const struct parser *p, struct name *name);
/** What the name means here. */
bool lex_resolve(const struct parser *p, struct name *name);
/** Read a value into p->raw. */
int lex_value(struct parser *p, enum split split);
/** As text, kept by the query. */
char *lex_text(struct parser *p);
/** The value has a * ? or [ that means more. */
bool lex_has_glob(const struct parser *p, size_t *where);
/** As a pattern in its one form: a backslash before what stands for itself. */
int lex_pattern(struct parser *p, const char **out);

/* query_build.c */

struct query_node *build_node(struct parser *p, enum vd_query_kind kind, size_t offset);
/** A term, entry, word or "*" counts. */
int build_count(struct parser *p, size_t offset);
int build_word(struct parser *p, struct query_node **out);
/** From behind the name: an operator and a value. */
int build_term(struct parser *p, const struct name *name, struct query_node **out);
/** "file:" or "sha256:". */
int build_file(struct parser *p, const struct name *name, struct query_node **out);

#endif
