/* SPDX-License-Identifier: MIT */
/* `catalog sync`: bring a catalog up to what the folders hold now. */
#ifndef VDTOOL_CATALOG_SYNC_H
#define VDTOOL_CATALOG_SYNC_H

#include "catalog.h"
#include "catalog_reader.h"
#include "options/options.h"
#include "progress.h"

/** What a sync has seen and done. */
struct sync_counts {
	uint64_t n_images;                              /**< met */
	uint64_t n_unchanged, n_new, n_changed;         /**< not opened; read */
	uint64_t n_moved;                               /**< not opened */
	uint64_t n_vanished, n_away;                    /**< dropped; kept, see docs/catalog.md */
	uint64_t n_unreadable, n_in_motion, n_problems; /**< told */
};

/** A folder (or image) that is synced. */
struct sync_root {
	char *path; /* real */
	bool is_lost;
	uint64_t n_images;
};

struct syncing {
	const struct tool_args *args;
	struct catalog_store *store;
	struct catalog_reader *reader;
	struct catalog_bits seen; /**< images that are there */
	int64_t last_id;          /**< before: those above are of another sync, at the same time */
	struct sync_counts counts;
	struct tool_progress progress;
	struct sync_root *roots, *root;
	size_t n_roots;
	char **problems; /**< paths that couldn't be looked into */
	size_t n_problems;
	char folder[4096]; /* the last one, and its device */
	uint64_t folder_device;
	bool is_in_batch;
	uint64_t n_in_batch;
	double batch_since;
	struct vd_error err; /* of the store: the end */
	int rc;
};

/** Begin a batch if there is none. */
int sync_begin(struct syncing *s);
/** Keep what was done, if it is time; `now`: in any case. */
int sync_commit(struct syncing *s, bool now);
/** The next images that have been read, into the catalog. `all`: wait for all of them. */
int sync_take(struct syncing *s, bool all);
/** Those that were below the roots and aren't any more. */
int sync_drop_vanished(struct syncing *s);
/** lstat(2) of an image and its sidecar; 0 or an errno. */
int sync_stat(const char *path, struct catalog_key *key);

/** The whole. Returns an exit code, after saying. */
int catalog_sync(const struct tool_args *args, struct catalog_store *store,
		 struct sync_counts *counts);

#endif
