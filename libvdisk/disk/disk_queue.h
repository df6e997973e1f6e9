/* SPDX-License-Identifier: MIT */
/* The inside of a queue, shared by the files disk_queue*.c. Touched by the thread that uses the
 * queue; a slot that is in the pool, by a thread of the pool. */
#ifndef VD_DISK_DISK_QUEUE_H
#define VD_DISK_DISK_QUEUE_H

#include <vdisk/queue.h>

#include "disk/disk.h"
#include "io/io_engine.h"

#define VD_SLOT_PIECES 4 /* transfers of one request; with more it goes to the pool */
#define VD_PIECE_PARTS 8 /* iovecs of one transfer, likewise */

enum vd_slot_state { VD_SLOT_FREE, VD_SLOT_IN_KERNEL, VD_SLOT_IN_POOL, VD_SLOT_READY };

/* A resolved stretch of a request, and its transfer. */
struct vd_piece {
	struct vd_transfer transfer;
	struct vd_mapping mapping;
	struct vd_disk *holder; /* who takes the mapping back */
	struct iovec parts[VD_PIECE_PARTS];
	bool is_done, is_left; /* the kernel did it; the pool has to */
};

/* A request in flight. */
struct vd_slot {
	struct vd_job job; /* first: the pool's jobs are slots */
	struct vd_slot *next;
	struct vd_queue *queue;
	enum vd_slot_state state;
	_Atomic bool is_canceled;
	int result;
	uint64_t deadline; /* 0: none */
	struct vd_request request;
	struct iovec flat; /* request.buf as a vector */
	uint32_t n_pieces, n_in_kernel;
	struct vd_piece pieces[VD_SLOT_PIECES];
	struct vd_error err;
};

/* First in, first out. */
struct vd_slot_list {
	struct vd_slot *first, **last;
};

struct vd_queue {
	struct vd_disk *disk;
	struct vd_ring *ring; /* NULL: the pool does everything */
	struct vd_pool *pool;
	uint32_t depth;
	uint32_t n_in_kernel, n_in_pool; /* slots */
	struct vd_slot *free;
	struct vd_slot_list ready;    /* complete, not reported */
	struct vd_slot_list reported; /* somebody may still read their errors */
	bool is_reaping;
	struct iovec *buffers; /* registered */
	uint32_t n_buffers;
	bool can_use_buffers; /* the kernel knows them */
	struct vd_queue_stats stats;
	struct vd_slot *slots; /* `depth` of them */
};

static inline void vd_slots_put(struct vd_slot_list *list, struct vd_slot *slot)
{
	slot->next = NULL;
	*list->last = slot;
	list->last = &slot->next;
}

static inline struct vd_slot *vd_slots_get(struct vd_slot_list *list)
{
	struct vd_slot *slot = list->first;

	if (slot) {
		list->first = slot->next;
		if (!list->first)
			list->last = &list->first;
	}
	return slot;
}

/* disk_queue_run.c */

/** Begin the slot's request: it goes to the kernel or the pool, or is complete at once. */
void vd_slot_begin(struct vd_queue *queue, struct vd_slot *slot);
/** Take in what the kernel and the pool have finished. */
void vd_queue_harvest(struct vd_queue *queue);
/** Wait for either, until a moment (0: any time). */
void vd_queue_wait(struct vd_queue *queue, uint64_t until);
/** See vd_queue_cancel. */
void vd_slot_cancel(struct vd_queue *queue, struct vd_slot *slot);

#endif
