/* SPDX-License-Identifier: MIT */
/*
 * An open image and its chain of parents, inside the disk layer. Members are read-only after
 * opening unless they are atomic or a lock is named.
 */
#ifndef VD_DISK_DISK_H
#define VD_DISK_DISK_H

#include <pthread.h>
#include <stdatomic.h>

#include <vdisk/disk.h>
#include <vdisk/sys/format.h>

#include "base/checked.h"
#include "base/deadline.h"
#include "base/gate.h"
#include "io/io_place.h"

#define VD_MAX_LISTENERS     8
#define VD_DEFAULT_DEPTH     256u
#define VD_DEFAULT_CACHE     ((size_t)16 << 20)
#define VD_MAX_SECTOR        4096u
#define VD_ATTENTION_TIMEOUT 0x1u /* a call has a deadline */
#define VD_ATTENTION_CANCEL  0x2u /* calls end */

#define vd_likely(x)         __builtin_expect(!!(x), 1)
#define vd_unlikely(x)       __builtin_expect(!!(x), 0)

struct vd_listener {
	vd_event_fn fn;
	void *user;
};

struct vd_disk {
	/* All that a read looks at, in one cache line. */
	_Alignas(64) const struct vd_format_ops *ops;
	void *state;
	struct vd_disk *parent;
	uint64_t size;
	struct vd_io *io;
	struct vd_skip *skip;       /* NULL unless there are two parents or more */
	_Atomic uint32_t attention; /* VD_ATTENTION_* */
	_Atomic uint32_t timeout_ms;
	uint32_t sector_size;
	bool is_writable;
	bool has_parent; /* differencing, whether or not the parent is open */

	/* Colder from here on. */
	struct vd_error parent_err; /* why there is no parent though one was asked for */
	char *path;                 /* as it was opened by; "" for a store */
	char *folder; /* real, absolute; NULL: the image has no place in the file system */
	struct vd_identity identity; /* of the file, to find cycles */
	uint32_t flags;              /* VD_OPEN_* */
	struct vd_disk_info info;
	pthread_mutex_t edge_lock; /* read-modify-write of sectors of a differencing image */
	_Atomic bool is_poisoned;
	_Atomic bool was_announced; /* listeners agreed to the first change */
	pthread_mutex_t announce_lock;
	pthread_cond_t announce_cond;
	bool is_announcing; /* under announce_lock, as is the next */
	pthread_t announcer;
	_Atomic uint64_t n_zeroes, n_discards, n_flushes;
	_Atomic uint32_t n_listeners;
	struct vd_listener listeners[VD_MAX_LISTENERS];
	struct vd_gate tallies; /* only its counters are used */
};

/* disk_open.c */

/** Read options of any size into *own, with defaults filled in, and check them. */
int vd_open_opts_take(struct vd_open_opts *own, const struct vd_open_opts *opts,
		      struct vd_error *err);
/** Lock, probe and open one image, without its parents. `path` may be NULL. Takes no reference
 *  from the caller. `format` NULL: probe. */
int vd_disk_open_one(struct vd_disk **out, struct vd_io *io, const char *path,
		     const struct vd_open_opts *opts, struct vd_error *err);
/** Open the file for opts->flags. */
int vd_disk_open_store(struct vd_io **out, const char *path, const struct vd_open_opts *opts,
		       struct vd_error *err);
/** Lock as flags say. */
int vd_disk_lock(struct vd_io *io, uint32_t flags, struct vd_error *err);
/** The format of the store: what `told` says, if that isn't wrong, else what it shows. */
int vd_disk_choose_format(const struct vd_format_ops **ops, struct vd_io *io, const char *told,
			  struct vd_error *err);
/** Close without flushing first: what the formats' close does is all. */
int vd_disk_free(struct vd_disk *disk, struct vd_error *err);

/* disk_chain.c: open the parents of `top`, as far as opts allow. */
int vd_chain_open(struct vd_disk *top, const struct vd_open_opts *opts, struct vd_error *err);

/* disk_event.c */

/** Tell the listeners. Only VD_EVENT_WILL_WRITE's answer counts. */
int vd_disk_tell(struct vd_disk *disk, enum vd_event_kind kind, uint64_t start, uint64_t length,
		 struct vd_error *err);
int vd_disk_announce_slow(struct vd_disk *disk, struct vd_error *err);
/** Before any change that a guest can see: ask the listeners, once, under no lock. */
static inline int vd_disk_announce(struct vd_disk *disk, struct vd_error *err)
{
	if (vd_likely(atomic_load_explicit(&disk->was_announced, memory_order_acquire)))
		return 0;
	return vd_disk_announce_slow(disk, err);
}

static inline bool vd_disk_has_listeners(struct vd_disk *disk)
{
	return atomic_load_explicit(&disk->n_listeners, memory_order_acquire) != 0;
}

/**
 * A public call of a handle that wants attention: sets the thread's deadline. `own` goes to
 * vd_call_end, which puts the former deadline back.
 */
struct vd_call {
	bool is_timed;
	uint64_t former;
};
int vd_call_begin_slow(struct vd_disk *disk, struct vd_call *call, struct vd_error *err);

static inline int vd_call_begin(struct vd_disk *disk, struct vd_call *call, struct vd_error *err)
{
	call->is_timed = false;
	if (vd_likely(!atomic_load_explicit(&disk->attention, memory_order_relaxed)))
		return 0;
	return vd_call_begin_slow(disk, call, err);
}

static inline void vd_call_end(const struct vd_call *call)
{
	if (vd_unlikely(call->is_timed))
		vd_deadline = call->former;
}

/** Between the steps of a long call. */
static inline int vd_call_check(struct vd_disk *disk, struct vd_error *err)
{
	if (vd_unlikely(atomic_load_explicit(&disk->attention, memory_order_relaxed) &
			VD_ATTENTION_CANCEL))
		return vd_error_set(err, VD_ECANCELED, 0, VD_NO_OFFSET, "the call was canceled");
	return vd_deadline_check(err);
}

/* disk_skip.c: once the chain is open. */
int vd_skip_init(struct vd_disk *top, struct vd_error *err);
void vd_skip_free(struct vd_disk *top);
/** The parent to ask about `start` first: those above it have nothing there. *len may become
 *  shorter; *depth is where the parent stands. */
struct vd_disk *vd_skip_to(const struct vd_disk *top, uint64_t start, uint64_t *len,
			   uint32_t *depth);

/* disk_map.c */

/** VD_ERANGE with a text. */
int vd_range_error(const struct vd_disk *disk, uint64_t start, uint64_t len, struct vd_error *err);
/** VD_EROFS, VD_EPOISONED or 0. */
int vd_disk_may_write(const struct vd_disk *disk, struct vd_error *err);

/**
 * Who has the bytes from `start` on: walks down the chain. *holder is the image whose format
 * gave the mapping, and takes it back. A pin in an image above the holder isn't kept: the
 * stretch isn't stored there, so there is nothing to move or free.
 */
static inline int vd_chain_resolve(struct vd_disk *top, uint64_t start, uint64_t len,
				   struct vd_mapping *mapping, struct vd_disk **holder,
				   struct vd_error *err)
{
	struct vd_disk *disk = top;
	uint32_t depth = 0;

	for (;;) {
		struct vd_disk *parent = disk->parent;
		int ret = disk->ops->resolve(disk->state, start, len, VD_ACCESS_READ, mapping, err);

		if (vd_unlikely(ret)) {
			if (depth)
				vd_error_prefix(err, ret, "parent %s", disk->path);
			return ret;
		}
		if (vd_likely(mapping->state != VD_STATE_PARENT) || !parent)
			break;
		if (vd_unlikely(start >= parent->size)) {
			/* A parent that is shorter than its child reads as zero behind its end. */
			mapping->state = VD_STATE_ZERO;
			mapping->io = NULL;
			break;
		}
		len = vd_min64(mapping->length, parent->size - start);
		disk->ops->release(disk->state, mapping, VD_OUTCOME_READ, NULL);
		depth++;
		disk = depth == 1 && top->skip ? vd_skip_to(top, start, &len, &depth) : parent;
	}
	mapping->depth = depth;
	*holder = disk;
	return 0;
}

/* disk_path.c: names; only vd_path_folder touches files */

/** A path out of an image, as one of Linux: '\' becomes '/'. False if it can't be one (a drive, a
 *  volume, a share) or doesn't fit. */
bool vd_path_from_hint(const char *hint, char *path, size_t size);
/** Join `folder` (absolute) and `path` unless that is absolute, and take out ".", ".." and empty
 *  parts by the letter. False if it doesn't fit. */
bool vd_path_join(const char *folder, const char *path, char *joined, size_t size);
/** What is left of `path` below `root`, both absolute and clean; NULL if it lies outside. */
const char *vd_path_below(const char *root, const char *path);
/** The way from the folder `from` to `to`, both absolute and clean. */
bool vd_path_relative(const char *from, const char *to, char *relative, size_t size);
/** realpath of the folder that `path` lies in, whether or not `path` exists. The caller frees it
 *  with vd_free. */
int vd_path_folder(char **folder, const char *path, struct vd_error *err);

#endif
