/* SPDX-License-Identifier: MIT */
/*
 * query.h - the query language and its one evaluator: does what is known of an image fit?
 *
 * A query is parsed once and asked of many images: by a search that looks into each, by a catalog
 * whose database only pre-selects, by a policy. All of them get the same answer, since all of them
 * ask vd_query_match. The language is specified in docs/search.md.
 *
 * A query is immutable once parsed: any number of threads may match with it at the same time.
 * Queries may come from strangers: length, depth and number of terms are bounded, and matching
 * takes time in proportion to query times facts, also with globs.
 */
#ifndef VDISK_QUERY_H
#define VDISK_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdisk/error.h>
#include <vdisk/meta.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vd_query;

#define VD_QUERY_TEXT_MAX  (64u << 10) /**< bytes of a query */
#define VD_QUERY_DEPTH_MAX 64u         /**< parentheses, NOTs and braces within each other */
#define VD_QUERY_TERMS_MAX 4096u

/* ---- fields that no document has ---- */

/** Field `i`, from 0, of those that aren't written in documents but can be asked: image.* (the file
 *  itself), metadata.*, host.* (where it is to run) and action. NULL behind the last one. Static;
 *  their `category` is NULL. */
VD_API const struct vd_field *vd_query_field_at(size_t i);
/** Any field by its full name: of a document (vd_field_find), or one of these. NULL: none. */
VD_API const struct vd_field *vd_query_field_find(const char *name);

/* ---- parsing ---- */

#define VD_QUERY_HOST                                                                              \
	0x1u /**< host.* and action may be asked (in policies); otherwise they are unknown fields  \
	      */

/** Options of vd_query_parse. Start from VD_QUERY_OPTS_INIT; NULL means just that. */
struct vd_query_opts {
	uint32_t size;  /**< sizeof(struct vd_query_opts) */
	uint32_t flags; /**< VD_QUERY_* */
};
#define VD_QUERY_OPTS_INIT                                                                         \
	{                                                                                          \
		sizeof(struct vd_query_opts), 0                                                    \
	}

/**
 * Parse a query (UTF-8, NUL-terminated). *out is the caller's, to be given back by vd_query_free.
 * VD_EINVAL: it breaks the grammar, names an unknown field, or compares with a value that isn't of
 * the field's type; err->offset is the byte of the text where that is, and the text of the error
 * says what would be right there. VD_ERANGE: over the bounds above.
 */
VD_API int vd_query_parse(struct vd_query **out, const char *text, const struct vd_query_opts *opts,
			  struct vd_error *err);
/** NULL is allowed. */
VD_API void vd_query_free(struct vd_query *query);
/** The query written anew in one canonical form (parentheses only where needed, values quoted where
 *  needed, symbols for word forms): parsing that gives the same query. Borrowed. */
VD_API const char *vd_query_text(const struct vd_query *query);

/* ---- what a query consists of: for those who pre-select ---- */

/** What a node is. */
enum vd_query_kind {
	VD_QUERY_ALL = 1, /**< "*": everything fits */
	VD_QUERY_AND,     /**< all children */
	VD_QUERY_OR,      /**< one of the children */
	VD_QUERY_NOT,     /**< not the only child */
	VD_QUERY_ENTRY,   /**< "field{...}": one entry of a list for which the child holds */
	VD_QUERY_WORD,    /**< a word or phrase, in any document but the history */
	VD_QUERY_TERM,    /**< a field and what is wanted of it */
	VD_QUERY_FILE,    /**< "file:GLOB": a path of the file index */
	VD_QUERY_SHA256,  /**< "sha256:HEX": a file of the file index */
};
/** How a term compares. */
enum vd_query_op {
	VD_QUERY_HAS = 1, /**< ":" */
	VD_QUERY_EQ,
	VD_QUERY_NE,
	VD_QUERY_LT,
	VD_QUERY_LE,
	VD_QUERY_GT,
	VD_QUERY_GE,
};
/** A node of a query. Borrowed from it. All texts are "" where there is nothing to say. */
struct vd_query_node {
	enum vd_query_kind kind;
	size_t offset; /**< where in the text it begins */
	const struct vd_query_node *const *children;
	size_t n_children;
	const char *field; /**< TERM: full name, or a prefix that ends with "."; ENTRY: the prefix,
			      with its "." */
	bool is_prefix;    /**< all fields below that prefix are meant */
	enum vd_query_op op;
	const char *value; /**< as written, unquoted */
	const char *key;  /**< the value, in normal form, as the keys of facts are (vd_fact.key); ""
			     for  globs, prefixes and times relative to now */
	bool is_glob;     /**< value has unquoted * ? or [; then a backslash stands before those
			     that mean themselves */
	bool is_phrase;   /**< has white space */
	bool is_presence; /**< "field:*" */
	enum vd_query_op pair_op; /**< of "package:openssl<3.0.11" the "<"; 0: no pair */
	const char *pair_value;   /**< and the "3.0.11" */
};
/** The query as a tree. Borrowed until vd_query_free. */
VD_API const struct vd_query_node *vd_query_root(const struct vd_query *query);

/* ---- matching ---- */

/** A run of facts, sorted by field, key, value, as vd_meta_get_facts and vd_fact_set_facts give. */
struct vd_fact_run {
	const struct vd_fact *facts;
	size_t n;
};
#define VD_QUERY_RUNS_MAX 4u

/** Does the file index of the image have what `node` (VD_QUERY_FILE or _SHA256) asks? 1: yes, 0:
 *  no, VD_ENOENT: the image has no file index; or another VD_E*, which ends the matching. *path, of
 *  `size` bytes, may be filled with what was found. vd_query_match_file answers for one entry. */
typedef int (*vd_query_files_fn)(void *user, const struct vd_query_node *node, char *path,
				 size_t size, struct vd_error *err);
/** Hears a fact that made a term true (not one below a NOT), and which; only if the query as a
 * whole is true, and at most 16 facts of a term or entries of a list. Valid during the call; what
 * was found in the file index comes as the field "file". */
typedef void (*vd_query_hit_fn)(void *user, const struct vd_query_node *node,
				const struct vd_fact *fact);

/** An image, as a query sees it. Set `size`, leave the rest 0 where there is nothing. */
struct vd_query_subject {
	uint32_t size; /**< sizeof(struct vd_query_subject) */
	uint32_t n_runs;
	struct vd_fact_run runs[VD_QUERY_RUNS_MAX]; /**< of documents, of the file, of a host ... */
	int64_t now; /**< seconds since 1970: what "now-90d" counts from. 0 means 1970 */
	vd_query_files_fn files; /**< NULL: no image has a file index */
	vd_query_hit_fn hit;     /**< may be NULL */
	void *user;
};
/** The answer. */
struct vd_query_answer {
	uint32_t size; /**< set by the caller */
	bool is_match;
	bool lacks_file_index; /**< a file term was asked, and there was no file index: it counted
				  as false */
};
/**
 * Does the image fit? A pure function of query and subject. A comparison on an absent field is
 * false, and NOT turns it round. File terms are asked last, and only if the answer hangs on them.
 * Errors: those of `files`; VD_ENOMEM. Thread-safe.
 */
VD_API int vd_query_match(const struct vd_query *query, const struct vd_query_subject *subject,
			  struct vd_query_answer *answer, struct vd_error *err);
/** Does one entry of a file index fit a VD_QUERY_FILE or VD_QUERY_SHA256 node? `key` is
 *  vd_query_key of the path, or NULL to have it made. Thread-safe; without memory: no. */
VD_API bool vd_query_match_file(const struct vd_query_node *node, const char *path, const char *key,
				const uint8_t *sha256);
/** Would this fact alone make `node` (VD_QUERY_TERM or _WORD) true, wherever it stands in the
 * query? Of
 *  "!=": is it one of those that must not be there? 1, 0, VD_ENOMEM. For those who pre-select by
 *  values. Thread-safe. */
VD_API int vd_query_test_fact(const struct vd_query_node *node, const struct vd_fact *fact,
			      int64_t now, struct vd_error *err);
/** A text as the keys of facts are: NFKC, case folded. *key is the caller's (vd_meta_free).
 *  VD_EINVAL: not UTF-8. */
VD_API int vd_query_key(const char *text, char **key, struct vd_error *err);

/** How versions are ordered. */
enum vd_version_scheme {
	VD_VERSION_PARTS = 0, /**< part by part, numbers as numbers, "~" before everything */
	VD_VERSION_DEB,       /**< Debian Policy 5.6.12 */
	VD_VERSION_RPM,       /**< [epoch:]version[-release], rpmvercmp; a release that one of both
				 lacks isn't compared */
	VD_VERSION_SEMVER,    /**< Semantic Versioning 2.0, 11; VD_VERSION_PARTS if one isn't one */
};
/** The scheme of a package URL's type ("deb", "rpm", "npm" ...); PARTS for those not known. */
VD_API enum vd_version_scheme vd_version_scheme_of(const char *purl_type);
/** < 0, 0, > 0. Total over all texts. */
VD_API int vd_version_compare(enum vd_version_scheme scheme, const char *a, const char *b);

/* ---- XPath, the way out ---- */

struct vd_xpath;

/** Bring a document of an image, by category or vendor's namespace: 0, VD_ENOENT (there is none),
 *  or another VD_E*. *bytes is given back with vd_meta_free. */
typedef int (*vd_document_fn)(void *user, const char *kind, char **bytes, size_t *len,
			      struct vd_error *err);
/**
 * Compile an XPath 1.0 expression. Prefixes of names: each category's own name (content:os,
 * patches:open ...). VD_EINVAL with err->offset; VD_ERANGE over 16 KiB. Not thread-safe afterwards:
 * one thread at a time.
 */
VD_API int vd_xpath_compile(struct vd_xpath **out, const char *text, struct vd_error *err);
/** NULL is allowed. */
VD_API void vd_xpath_free(struct vd_xpath *xpath);
/** Is it true (a node, true, a number but 0, a text but "") in one of the image's documents of our
 *  categories? Operations and time are bounded: VD_ERANGE. Damaged documents are passed over,
 *  which *n_damaged (may be NULL) counts. */
VD_API int vd_xpath_match(struct vd_xpath *xpath, vd_document_fn document, void *user,
			  bool *is_match, size_t *n_damaged, struct vd_error *err);

#ifdef __cplusplus
}
#endif
#endif
