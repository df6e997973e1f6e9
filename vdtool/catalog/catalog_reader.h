/* SPDX-License-Identifier: MIT */
/*
 * Images that `catalog sync` has to read: several threads open them and gather their facts; the
 * thread that writes the catalog takes them in the order in which it asked for them.
 */
#ifndef VDTOOL_CATALOG_READER_H
#define VDTOOL_CATALOG_READER_H

#include <vdisk/image.h>

#include "catalog.h"

/** An image that is read. */
struct catalog_reading {
	char *path;
	struct catalog_key key; /**< before it was opened */
	uint64_t folder;        /**< device of its folder */
	unsigned attempt;       /**< from 0 */
	int64_t started;        /**< ns since 1970, as files get their times */
	struct vd_image *image; /**< open, unless `code` */
	struct vd_fact_set *file_facts;
	struct vd_fact_run runs[2];
	bool has_files; /**< there is a file index: reading it takes the facts away */
	int code;
	struct vd_error err;
};
struct catalog_reader;

int catalog_reader_create(struct catalog_reader **out, unsigned n_threads, struct vd_error *err);
/** What was put and not taken is dropped. */
void catalog_reader_free(struct catalog_reader *reader);
bool catalog_reader_is_full(const struct catalog_reader *reader);
bool catalog_reader_is_empty(const struct catalog_reader *reader);
/** Have it read. Not when it is full. Takes `reading` over, which was allocated by malloc. */
void catalog_reader_put(struct catalog_reader *reader, struct catalog_reading *reading);
/** The one that was put first, when it has been read; NULL: none is left, or (without `waits`) it
 *  is still being read. To be given back. */
struct catalog_reading *catalog_reader_take(struct catalog_reader *reader, bool waits);
/** Close the image; path and key stay, for another attempt. */
void catalog_reading_close(struct catalog_reading *reading);
void catalog_reading_free(struct catalog_reading *reading);

#endif
