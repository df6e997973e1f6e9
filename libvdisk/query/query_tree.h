/* SPDX-License-Identifier: MIT */
/* What the files of query/ share: a parsed query, with all that can be worked out before an image
 * is seen. */
#ifndef VD_QUERY_TREE_H
#define VD_QUERY_TREE_H

#include <vdisk/query.h>

#define QUERY_GLOB_MAX 1024u /* bytes of a pattern */
#define QUERY_HITS_MAX 16u   /* facts told of one term */

struct query_glob;

/** The value of a term, as one field reads it. */
struct operand {
	const struct vd_field *field;
	const char *normal;                 /* in the type's normal form */
	const char *key;                    /* its key */
	const char *words;                  /* the key with white space collapsed; for texts */
	uint64_t number;                    /* number, size; the rank of a word */
	int64_t time;                       /* or its distance from now */
	bool is_relative, is_tag, is_whole; /* whole: begins with "pkg:" */
};

struct query_node {
	struct vd_query_node pub; /* first: children are cast to this */
	size_t index;
	struct operand *operands; /* one; of a prefix, one for each field that can read the value */
	size_t n_operands;
	struct query_glob *glob;
	const char *words; /* of a word: its key with white space collapsed */
	uint8_t digest[32];
	bool has_files; /* a file term is here or below */
	size_t file_index;
};

/** Memory of a query: given back as a whole. */
struct query_chunk {
	struct query_chunk *next;
	size_t used, size;
	char bytes[];
};
struct vd_query {
	struct query_chunk *chunks;
	const struct query_node *root;
	const char *text;
	uint32_t flags;
	size_t n_nodes, n_terms, n_files;
};
/** Zeroed. NULL: no memory, told in *err. */
void *query_alloc(struct vd_query *query, size_t size, struct vd_error *err);
char *query_keep(struct vd_query *query, const char *text, size_t len, struct vd_error *err);

static inline const struct query_node *query_child(const struct query_node *node, size_t i)
{
	return (const struct query_node *)(const void *)node->pub.children[i];
}
static inline bool query_is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* query_fields.c */

const struct vd_field *query_field(const char *name, uint32_t flags);
/** The next field whose name begins with `prefix`; *next starts at 0. */
const struct vd_field *query_field_below(const char *prefix, uint32_t flags, size_t *next);
/** Is a word looked for in it? */
bool query_field_has_words(const char *name);

/* query_term.c */

/** Read the value of a term for its field or fields, by node->pub. VD_EINVAL: not of the type;
 *  VD_EUNSUPPORTED: the type doesn't have the operator. */
int query_read_operands(struct vd_query *query, struct query_node *node,
			const struct vd_field *field, struct vd_error *err);
/** The key of a text, kept by the query. VD_EINVAL, VD_ENOMEM. */
int query_keep_key(struct vd_query *query, const char *text, const char **key,
		   struct vd_error *err);
/** As query_keep_key, with runs of white space made one blank, none at the ends. */
int query_keep_words(struct vd_query *query, const char *text, const char **words,
		     struct vd_error *err);

/* query_text.c */

/** The canonical text; VD_ERANGE: too long. */
int query_write(struct vd_query *query, struct vd_error *err);
bool query_is_keyword(const char *text, size_t len);
/** "before", "lt" ...; 0: it isn't. */
enum vd_query_op query_wordop(const char *text, size_t len);

/* query_glob.c */

/** From a pattern where "\" stands before what is meant as it is. is_path: "*" stops at "/". */
int query_glob_compile(struct vd_query *query, struct query_glob **out, const char *pattern,
		       bool is_path, struct vd_error *err);
bool query_glob_match(const struct query_glob *glob, const char *key, size_t len);
/** A character and its length; bytes that aren't UTF-8 are characters of their own. */
size_t query_char(const char *p, const char *end, int32_t *c);
bool query_is_letter(int32_t c);

/* query_words.c */

/** A word or phrase in a key, with no letter or digit beside it. */
bool query_has_word(const char *key, const char *words);
/** A run of whole words, parted by white space. */
bool query_has_run(const char *key, const char *words);
/** The pattern matches one of the runs of letters and digits. */
bool query_glob_has_word(const struct query_glob *glob, const char *key);

/* query_purl.c */

/** Does the value name the package of this fact? 1, 0, VD_ENOMEM. */
int query_purl_fits(const struct operand *operand, const struct query_glob *glob,
		    const struct vd_fact *fact, struct vd_error *err);
/** *order: its version against `version`. 1; 0: it has none; VD_ENOMEM. */
int query_purl_compare(const char *purl, const char *version, int *order, struct vd_error *err);

/* query_version.c */

/** A text with its length: parts of purls don't end in a NUL. */
struct version_text {
	const char *p, *end;
};
int query_version_order(enum vd_version_scheme scheme, struct version_text a,
			struct version_text b);

/* query_test.c */

/** Is the term true of this fact? (NE counts as EQ.) 1, 0, VD_ENOMEM. */
int query_test(const struct query_node *node, const struct operand *operand,
	       const struct vd_fact *fact, int64_t now, struct vd_error *err);

#endif
