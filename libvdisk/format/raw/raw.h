/* SPDX-License-Identifier: MIT */
/* A raw image: the file's bytes are the disk's. Shared between raw.c and its guard. */
#ifndef VD_FORMAT_RAW_H
#define VD_FORMAT_RAW_H

#include <pthread.h>
#include <stdatomic.h>

#include "format/formats.h"

#define RAW_SECTOR 512u

/*
 * The guard of a probed raw image. A guest that writes another format's signature into its disk
 * would make the next program that probes the image believe it, and with it the paths of backing
 * files that the guest has made up. So the bytes that probing looks at are written through here:
 * each change is first merged into a copy and refused if the result looks like another format.
 */
struct raw_guard {
	struct vd_io *under; /* borrowed: the raw image's own store */
	struct vd_io *door;  /* a store over `under` at the same offsets; writing to it checks */
	pthread_mutex_t lock;
	uint64_t size;       /* of the virtual disk */
	uint64_t head_end;   /* guarded: [0, head_end) */
	uint64_t tail_start; /* and [tail_start, size) */
};

int raw_guard_open(struct raw_guard **out, struct vd_io *under, uint64_t size,
		   struct vd_error *err);
void raw_guard_close(struct raw_guard *guard);
/** Whether `start` lies in a guarded zone. *end: where what holds for `start` ends. */
bool raw_guard_covers(const struct raw_guard *guard, uint64_t start, uint64_t *end);
/** Zero a range that lies in one zone. */
int raw_guard_zero(struct raw_guard *guard, uint64_t offset, uint64_t len, enum vd_io_zero how,
		   struct vd_error *err);

struct raw_state {
	struct vd_io *io;
	struct raw_guard *guard; /* NULL: format was told, or read-only */
	uint64_t size;           /* of the virtual disk: file_length up to whole sectors */
	uint64_t file_length;    /* when it was opened */
	bool is_fixed;           /* no holes when it was opened */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	_Atomic bool is_dirty; /* written to since the last sync began */
	bool is_syncing;
	uint64_t n_begun, n_done; /* syncs; n_done: the last one that succeeded */
	_Atomic uint64_t n_syncs;
};

#endif
