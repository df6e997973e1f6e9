/* SPDX-License-Identifier: MIT */
/*
 * What the two ways of searching share: images looked at one by one (search_direct.c), and a
 * catalog (catalog_search.c). Both tell their hits through the same function; printing is done once
 * (search_print.c).
 */
#ifndef VDTOOL_SEARCH_H
#define VDTOOL_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdisk/query.h>

#include "options/options.h"

/** An image that was found. Valid during the call. */
struct search_hit {
	const char *path;
	const struct vd_fact *facts; /**< that made terms true, without doubles */
	size_t n_facts;
	const struct vd_fact_run *runs; /**< all that is known of the image: what --format and
					  --sort pick from */
	size_t n_runs;
};
/** A non-zero answer ends the search. Called by one thread at a time. */
typedef int (*search_hit_fn)(void *user, const struct search_hit *hit);

/** What a search has seen. */
struct search_stats {
	uint64_t n_images; /**< looked at */
	uint64_t n_found;
	uint64_t n_skipped;  /**< couldn't be read; told on stderr */
	uint64_t n_no_index; /**< were asked for a file and have no file index */
	bool is_stopped;     /**< by a hit's answer or a signal */
	bool has_hung; /**< the file system holds threads of ours: the process must end without
			  freeing what they may still look at */
};

/** What is searched for, and where. */
struct search_plan {
	const struct vd_query *query;
	int64_t now;
	const char *const *paths; /**< operands; with a catalog: only what lies below these */
	size_t n_paths;
	const struct tool_args *args; /**< the options of `search` */
};

/** Look into each image below the paths, in parallel. Returns an exit code, after saying. */
int search_direct(const struct search_plan *plan, search_hit_fn hit, void *user,
		  struct search_stats *stats);
/** Ask the catalog at args' --catalog. Returns an exit code, after saying. */
int search_catalog(const struct search_plan *plan, search_hit_fn hit, void *user,
		   struct search_stats *stats);

/** Facts that made an image fit, gathered without doubles: what vd_query_hit_fn tells. */
struct search_evidence {
	struct vd_fact *facts; /**< texts of their own */
	size_t n, room;
	bool is_full; /**< over SEARCH_EVIDENCE_MAX, or no memory: some were left out */
};
#define SEARCH_EVIDENCE_MAX 64u
/** A vd_query_hit_fn whose `user` is a struct search_evidence. */
void search_evidence_add(void *user, const struct vd_query_node *node, const struct vd_fact *fact);
/** Forget them; the memory stays. */
void search_evidence_clear(struct search_evidence *evidence);
void search_evidence_free(struct search_evidence *evidence);

#endif
