/* SPDX-License-Identifier: MIT */
/* How what a search finds comes out: a line for people, JSON, --format, --exec, or just a number.
 */
#ifndef VDTOOL_SEARCH_PRINT_H
#define VDTOOL_SEARCH_PRINT_H

#include "search.h"

struct search_print;

/** As the options of `search` say. Returns an exit code, after saying what is wrong with them. */
int search_print_begin(struct search_print **out, const struct search_plan *plan);
/** A search_hit_fn whose `user` is a struct search_print. */
int search_print_hit(void *user, const struct search_hit *hit);
/** What --sort has kept back, and --count. Returns an exit code: 1 if a command of --exec failed.
 */
int search_print_end(struct search_print *print, const struct search_stats *stats);
/** NULL is allowed. */
void search_print_free(struct search_print *print);

/** What a line for people says beside the path, already harmless; at most `width` columns (0: all
 *  of it). To be freed; NULL: no memory. search_evidence_text.c */
char *search_evidence_text(const struct vd_query *query, const struct search_hit *hit,
			   size_t width);
/** What a fact that made "cve.open{...}" true is of: the fact of the entry itself, a CVE's id.
 * NULL: the query asks for no such entry. */
const struct vd_fact *search_entry_of(const struct vd_query *query, const struct search_hit *hit,
				      const struct vd_fact *fact);
/** Columns that harmless text takes. */
size_t search_text_width(const char *text);

/** From here on a child does the work; its parent waits for it, and doesn't return.
 *  search_apart.c */
void search_apart(void);
/** End with this exit code although there are threads that can't be ended. */
_Noreturn void search_apart_leave(int exit_code);

/** --format, taken apart. search_format.c */
struct search_format;
/** Says what is wrong; returns an exit code. */
int search_format_parse(struct search_format **out, const struct tool_command *command,
			const char *text);
void search_format_free(struct search_format *format);
/** Write a hit so. */
void search_format_put(FILE *f, const struct search_format *format, const struct search_hit *hit);
/** Hears each value of a field. */
typedef void (*search_value_fn)(void *user, const char *value);
void search_each_value(const struct search_hit *hit, const char *field, search_value_fn fn,
		       void *user);

/** --exec: run the command for an image. 0, or how it failed (128 + n for a signal); -1: it can't
 *  be run at all, which was said. search_exec.c */
int search_exec(char *const *words, int n_words, const char *path);
/** The words say where the path goes? Says so if not; returns an exit code. */
int search_exec_check(const struct tool_args *args);

#endif
