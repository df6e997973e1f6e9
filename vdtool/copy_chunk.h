/* SPDX-License-Identifier: MIT */
/*
 * What the reader of the copy pipeline (copy.c) hands to its writer (copy_write.c): a piece of the
 * disk, of which only the runs that aren't zero are written.
 */
#ifndef VDTOOL_COPY_CHUNK_H
#define VDTOOL_COPY_CHUNK_H

#include <stddef.h>

#include "copy.h"

#define CHUNK_SIZE ((size_t)1 << 20) /* no block is smaller, so that none is cut in its middle */
/* Of one call; bigger ones are slower on ext4 (measured). */
#define CHUNK_PIECE ((size_t)128 << 10)
#define GRANULE     ((size_t)4096)     /* zeros are looked for in pieces of this size ... */
#define LEAST_HOLE  ((size_t)32 << 10) /* ... and skipped when so many come in a row */
#define MAX_RUNS    (CHUNK_SIZE / LEAST_HOLE + 1)

enum chunk_kind {
	CHUNK_ZERO,  /* the range reads as zero */
	CHUNK_DATA,  /* it is in buf */
	CHUNK_SHARE, /* it is in the source's file, for vd_io_copy */
	CHUNK_LAST,  /* nothing more comes; rc says whether all is well */
};

struct run {
	size_t offset, length; /* within the chunk */
};

struct chunk {
	enum chunk_kind kind;
	uint64_t offset, length;
	uint8_t *buf;
	struct run runs[MAX_RUNS];
	size_t n_runs;
	int rc;
};

/** Write it to the target. 0 or VD_E*; copy->bytes_* tell what came of it. */
int tool_chunk_write(struct tool_copy *copy, const struct chunk *chunk, struct vd_error *err);

#endif
