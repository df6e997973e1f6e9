/* SPDX-License-Identifier: MIT */
/*
 * Raw images: byte n of the disk is byte n of the file or block device. A file that doesn't end
 * with a whole sector of 512 bytes is a disk of the next whole number of sectors, whose missing
 * bytes read as zero and are added by the first write to them.
 */
#include "format/raw/raw.h"

#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/deadline.h"

static int raw_open(void **state, struct vd_io *io, const struct vd_format_open *how,
		    struct vd_error *err)
{
	struct raw_state *raw = vd_calloc(1, sizeof(*raw));
	uint64_t allocated;
	int ret;

	if (!raw)
		return vd_no_memory(err, sizeof(*raw), "a raw image");
	ret = vd_io_length(io, &raw->file_length, err);
	if (!ret && raw->file_length > INT64_MAX - RAW_SECTOR)
		ret = vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
				   "a raw image of %llu bytes is more than files can be",
				   (unsigned long long)raw->file_length);
	raw->size = vd_align_up(raw->file_length, RAW_SECTOR);
	if (!ret && how->was_probed && how->flags & VD_OPEN_WRITE)
		ret = raw_guard_open(&raw->guard, io, raw->size, err);
	if (ret) {
		vd_free(raw);
		return ret;
	}
	raw->is_fixed = vd_io_is_device(io) || vd_io_allocated(io, &allocated, NULL) ||
			allocated >= raw->file_length;
	raw->io = vd_io_ref(io);
	pthread_mutex_init(&raw->lock, NULL);
	vd_cond_init(&raw->changed);
	*state = raw;
	return 0;
}

/* Syncs are shared: a flush needs one that began after it was called, no matter who runs it. */
static int raw_flush(void *state, struct vd_error *err)
{
	struct raw_state *raw = state;
	uint64_t want;
	int ret = 0;

	pthread_mutex_lock(&raw->lock);
	want = raw->n_begun + 1;
	while (!ret && raw->n_done < want) {
		uint64_t own;

		if (raw->is_syncing) {
			ret = vd_deadline_wait(&raw->changed, &raw->lock, err);
			continue;
		}
		raw->is_syncing = true;
		own = ++raw->n_begun;
		pthread_mutex_unlock(&raw->lock);
		atomic_store(&raw->is_dirty, false);
		ret = vd_io_sync(raw->io, err);
		if (ret)
			atomic_store(&raw->is_dirty, true);
		atomic_fetch_add(&raw->n_syncs, 1);
		pthread_mutex_lock(&raw->lock);
		raw->is_syncing = false;
		if (!ret)
			raw->n_done = own;
		pthread_cond_broadcast(&raw->changed);
	}
	pthread_mutex_unlock(&raw->lock);
	return ret;
}

static int raw_close(void *state, struct vd_error *err)
{
	struct raw_state *raw = state;
	int ret = atomic_load(&raw->is_dirty) ? raw_flush(raw, err) : 0;

	raw_guard_close(raw->guard);
	pthread_cond_destroy(&raw->changed);
	pthread_mutex_destroy(&raw->lock);
	vd_io_close(raw->io);
	vd_free(raw);
	return ret;
}

static int raw_create(struct vd_io *io, const struct vd_create_opts *opts,
		      const struct vd_format_parent *parent, struct vd_error *err)
{
	int ret;

	if (parent)
		return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
				    "a raw image can't have a parent; use format vhdx");
	if (opts->block_size)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "a raw image has no blocks: leave block_size 0");
	ret = vd_io_truncate(io, opts->virtual_size, err);
	if (!ret && opts->type == VD_TYPE_FIXED)
		ret = vd_io_allocate(io, 0, opts->virtual_size, err);
	return ret;
}

static void raw_get_info(void *state, struct vd_disk_info *info)
{
	struct raw_state *raw = state;

	info->type = raw->is_fixed ? VD_TYPE_FIXED : VD_TYPE_DYNAMIC;
	info->virtual_size = raw->size;
	info->logical_sector_size = RAW_SECTOR;
	info->physical_sector_size = RAW_SECTOR;
}

static void raw_get_stats(void *state, struct vd_disk_stats *stats)
{
	struct raw_state *raw = state;

	stats->n_syncs = atomic_load(&raw->n_syncs);
}

/* After the change: a sync that began before it doesn't cover it. */
static inline void mark_dirty(struct raw_state *raw)
{
	if (!atomic_load_explicit(&raw->is_dirty, memory_order_relaxed))
		atomic_store(&raw->is_dirty, true);
}

static int raw_resolve(void *state, uint64_t start, uint64_t length, enum vd_access access,
		       struct vd_mapping *mapping, struct vd_error *err)
{
	struct raw_state *raw = state;
	struct vd_io *io = raw->io;

	(void)err;
	if (access == VD_ACCESS_WRITE && raw->guard) {
		uint64_t end;

		if (raw_guard_covers(raw->guard, start, &end))
			io = raw->guard->door;
		length = vd_min64(length, end - start);
	}
	mapping->start = start;
	mapping->length = length;
	mapping->state = VD_STATE_DATA;
	mapping->depth = 0;
	mapping->io = io;
	mapping->io_offset = start;
	mapping->access = access;
	return 0;
}

static int raw_release(void *state, struct vd_mapping *mapping, enum vd_outcome outcome,
		       struct vd_error *err)
{
	struct raw_state *raw = state;

	(void)err;
	/* Also after a failure: some of it may have arrived. */
	if (mapping->access == VD_ACCESS_WRITE && outcome != VD_OUTCOME_READ)
		mark_dirty(raw);
	return 0;
}

/* All of it is stored here; the disk layer asks the host where its holes are. */
static int raw_extent(void *state, uint64_t start, uint64_t limit, struct vd_extent *extent,
		      struct vd_error *err)
{
	(void)state;
	(void)err;
	*extent = (struct vd_extent){start, limit, VD_STATE_DATA, 0, start};
	return 0;
}

static int zero_part(struct raw_state *raw, uint64_t start, uint64_t len, uint32_t flags,
		     bool is_guarded, struct vd_error *err)
{
	enum vd_io_zero how = flags & VD_ZERO_KEEP_SPACE ? VD_IO_ZERO_KEEP : VD_IO_ZERO_PUNCH;
	int ret;

	if (is_guarded)
		return raw_guard_zero(raw->guard, start, len, how, err);
	if (!(flags & VD_FORMAT_ZERO_DISCARD))
		return vd_io_zero(raw->io, start, len, how, err);
	ret = vd_io_punch(raw->io, start, len, NULL);
	/* A hint: where the host has no holes, nothing is lost by leaving it. */
	return ret == VD_EUNSUPPORTED ? 0 : ret ? vd_io_punch(raw->io, start, len, err) : 0;
}

static int raw_zero(void *state, uint64_t start, uint64_t length, uint32_t flags,
		    struct vd_error *err)
{
	struct raw_state *raw = state;
	uint64_t end = start + length, limit = raw->size;
	int ret = 0;

	/* What lies behind the end of the file is zero already. */
	if (raw->file_length != raw->size)
		ret = vd_io_length(raw->io, &limit, err);
	end = vd_min64(end, limit);
	while (!ret && start < end) {
		uint64_t next = end;
		bool is_guarded = raw->guard && raw_guard_covers(raw->guard, start, &next);

		next = vd_min64(next, end);
		ret = zero_part(raw, start, next - start, flags, is_guarded, err);
		start = next;
	}
	mark_dirty(raw);
	return ret;
}

static int raw_check(struct vd_io *io, vd_finding_fn fn, void *user, uint64_t *n_errors,
		     struct vd_error *err)
{
	struct vd_finding finding = {VD_FINDING_NOTE, "raw-length", "", 0, NULL, NULL};
	uint64_t length;
	int ret = vd_io_length(io, &length, err);

	*n_errors = 0;
	if (ret || length % RAW_SECTOR == 0)
		return ret;
	finding.offset = length;
	finding.found = "the file ends inside a sector";
	finding.expected = "a multiple of 512 bytes; the rest of the sector reads as zero";
	fn(user, &finding);
	return 0;
}

const struct vd_format_ops raw_format_ops = {
    .size = sizeof(struct vd_format_ops),
    .name = VD_FORMAT_RAW,
    .open = raw_open,
    .close = raw_close,
    .create = raw_create,
    .get_info = raw_get_info,
    .get_stats = raw_get_stats,
    .resolve = raw_resolve,
    .release = raw_release,
    .extent = raw_extent,
    .zero = raw_zero,
    .flush = raw_flush,
    .check = raw_check,
};
