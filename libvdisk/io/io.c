/* SPDX-License-Identifier: MIT */
/* A vd_io from opening to closing: owners, permission, poison, cancelling, counters. */
#include "io/io.h"

#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/deadline.h"
#include "base/message.h"
#include "base/sabotage.h"

/* Tables may be older than we are: what they don't have is NULL. */
#define OPS_MIN_SIZE offsetof(struct vd_io_ops, readv)

static int check_ops(const struct vd_io_ops *ops, struct vd_error *err)
{
	if (!ops->read || !ops->write || !ops->sync || !ops->length || !ops->truncate ||
	    !ops->close)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "a table of struct vd_io_ops needs all members up to close");
	if (ops->align > 1 && (!vd_is_pow2(ops->align) || ops->align > VD_IO_BOUNCE_MAX))
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "alignment %u of a store is not a power of two up to %zu",
				    ops->align, VD_IO_BOUNCE_MAX);
	return 0;
}

int vd_io_new(struct vd_io **out, const struct vd_io_ops *ops, void *state, const char *name,
	      bool is_writable, struct vd_error *err)
{
	struct vd_io *io = vd_malloc_aligned(_Alignof(struct vd_io), sizeof(*io));
	char *copy = vd_strdup(name ? name : "image");
	uint32_t flags = is_writable ? 0 : VD_IO_F_READONLY;

	if (!io || !copy) {
		vd_free_aligned(io);
		vd_free(copy);
		ops->close(state);
		return vd_no_memory(err, sizeof(*io), "a store");
	}
	memset(io, 0, sizeof(*io));
	io->ops = *ops;
	io->state = state;
	io->name = copy;
	io->align = io->mem_align = ops->align > 1 ? ops->align : 1;
	io->granule = 1;
	if (io->align > 1)
		flags |= VD_IO_F_ALIGN;
	atomic_init(&io->flags, flags);
	atomic_init(&io->n_refs, 1);
	pthread_mutex_init(&io->mutex, NULL);
	vd_cond_init(&io->changed);
	*out = io;
	return 0;
}

int vd_io_open_ops(struct vd_io **out, const struct vd_io_ops *ops, void *state, const char *name,
		   bool is_writable, struct vd_error *err)
{
	struct vd_io_ops known = {0};
	int ret;

	if (!ops || ops->size < OPS_MIN_SIZE)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "a table of struct vd_io_ops says its size is %u, at least "
				    "%zu are needed",
				    ops ? ops->size : 0, OPS_MIN_SIZE);
	memcpy(&known, ops, ops->size < sizeof(known) ? ops->size : sizeof(known));
	ret = check_ops(&known, err);
	if (ret) {
		if (known.close)
			known.close(state);
		return ret;
	}
	return vd_io_new(out, &known, state, name, is_writable, err);
}

struct vd_io *vd_io_ref(struct vd_io *io)
{
	atomic_fetch_add_explicit(&io->n_refs, 1, memory_order_relaxed);
	return io;
}

void vd_io_close(struct vd_io *io)
{
	if (!io || atomic_fetch_sub_explicit(&io->n_refs, 1, memory_order_acq_rel) > 1)
		return;
	if (io->under)
		vd_io_close(io->under);
	else
		io->ops.close(io->state);
	vd_free_aligned(atomic_load(&io->spare));
	pthread_cond_destroy(&io->changed);
	pthread_mutex_destroy(&io->mutex);
	vd_free(io->name);
	vd_free_aligned(io);
}

const char *vd_io_name(const struct vd_io *io)
{
	return io->name;
}

bool vd_io_is_writable(const struct vd_io *io)
{
	return !(atomic_load_explicit(&io->flags, memory_order_relaxed) & VD_IO_F_READONLY);
}

bool vd_io_is_device(const struct vd_io *io)
{
	return io->is_device;
}

uint32_t vd_io_align(const struct vd_io *io)
{
	return io->align;
}

int vd_io_descriptor(const struct vd_io *io)
{
	for (; io->under; io = io->under)
		if (io->base)
			return -1;
	return io->ops.descriptor ? io->ops.descriptor(io->state) : -1;
}

bool vd_io_is_poisoned(const struct vd_io *io)
{
	while (io->under)
		io = io->under;
	return (atomic_load(&io->flags) & VD_IO_F_POISONED) != 0;
}

static const char *words(int sys_errno, char *buf, size_t size)
{
	return strerror_r(sys_errno, buf, size);
}

/* A store's EINVAL is no mistake of our caller, and what is too large for the host is a lack of
 * room there. */
static int code_of(int sys_errno)
{
	switch (sys_errno) {
	case EINVAL:
	case ENOENT:
	case EEXIST:
		return VD_EIO;
	case EFBIG:
		return VD_ENOSPC;
	default:
		return vd_code_from_errno(sys_errno);
	}
}

int vd_io_fail(const struct vd_io *io, const char *doing, uint64_t offset, uint64_t len, int result,
	       struct vd_error *err)
{
	char buf[128];

	if (offset == VD_NO_OFFSET)
		return vd_error_set(err, code_of(-result), -result, offset, "%s: can't %s: %s",
				    io->name, doing, words(-result, buf, sizeof(buf)));
	return vd_error_set(err, code_of(-result), -result, offset,
			    "%s: can't %s %llu bytes at offset %llu: %s", io->name, doing,
			    (unsigned long long)len, (unsigned long long)offset,
			    words(-result, buf, sizeof(buf)));
}

bool vd_io_note_lack(struct vd_io *io, uint32_t what)
{
	return !(atomic_fetch_or(&io->lacks, what) & what);
}

int vd_io_check_go_on(struct vd_io *io, struct vd_error *err)
{
	if (atomic_load_explicit(&io->flags, memory_order_relaxed) & VD_IO_F_CANCELED)
		return vd_error_set(err, VD_ECANCELED, ECANCELED, VD_NO_OFFSET,
				    "%s: the operation was cancelled", io->name);
	return vd_deadline_check(err);
}

static int say_poisoned(struct vd_io *io, struct vd_error *err)
{
	int sys_errno = atomic_load(&io->poison_errno);
	char buf[128];

	return vd_error_set(err, VD_EPOISONED, sys_errno, VD_NO_OFFSET,
			    "%s: an earlier sync failed (%s), so written data may be lost; nothing "
			    "more is written until it is opened again",
			    io->name, words(sys_errno, buf, sizeof(buf)));
}

int vd_io_check_change(struct vd_io *io, struct vd_error *err)
{
	uint32_t flags = atomic_load_explicit(&io->flags, memory_order_relaxed);

	if (flags & VD_IO_F_READONLY)
		return vd_error_set(err, VD_EROFS, 0, VD_NO_OFFSET, "%s: opened for reading only",
				    io->name);
	if (flags & VD_IO_F_POISONED)
		return say_poisoned(io, err);
	return vd_io_check_go_on(io, err);
}

/*
 * The kernel tells a lost write to one fsync of a descriptor only: a second sync that ran beside
 * the failing one could come back with 0 before the store is marked. So one at a time.
 */
static int sync_begin(struct vd_io *io, struct vd_error *err)
{
	int ret = 0;

	pthread_mutex_lock(&io->mutex);
	while (io->is_syncing && !ret)
		ret = vd_deadline_wait(&io->changed, &io->mutex, err);
	if (!ret)
		ret = vd_io_check_change(io, err);
	if (!ret)
		io->is_syncing = true;
	pthread_mutex_unlock(&io->mutex);
	return ret;
}

static void sync_end(struct vd_io *io, int result)
{
	pthread_mutex_lock(&io->mutex);
	if (result) {
		atomic_store(&io->poison_errno, -result);
		if (!VD_SABOTAGED(POISON))
			atomic_fetch_or(&io->flags, VD_IO_F_POISONED);
	}
	io->is_syncing = false;
	pthread_cond_broadcast(&io->changed);
	pthread_mutex_unlock(&io->mutex);
}

int vd_io_sync(struct vd_io *io, struct vd_error *err)
{
	int result, ret;
	char buf[128];

	if (!vd_io_is_writable(io))
		return 0;
	if (io->under) {
		ret = vd_io_check_change(io, err);
		return ret ? ret : vd_io_sync(io->under, err);
	}
	ret = sync_begin(io, err);
	if (ret)
		return ret;
	result = io->ops.sync(io->state);
	vd_io_count(&vd_io_own_stripe(io)->n_syncs, 1);
	sync_end(io, result);
	if (!result)
		return 0;
	return vd_error_set(err, VD_EIO, -result, VD_NO_OFFSET,
			    "%s: sync failed: %s; what was written since the last sync may be "
			    "lost, and nothing more is written until it is opened again",
			    io->name, words(-result, buf, sizeof(buf)));
}

int vd_io_length(struct vd_io *io, uint64_t *length, struct vd_error *err)
{
	int result, ret;

	if (io->under) {
		*length = io->length;
		return 0;
	}
	do {
		ret = vd_io_check_go_on(io, err);
		if (ret)
			return ret;
		result = io->ops.length(io->state, length);
	} while (result == -EINTR);
	return result ? vd_io_fail(io, "tell the length", VD_NO_OFFSET, 0, result, err) : 0;
}

static int refuse_truncate(struct vd_io *io, uint64_t length, struct vd_error *err)
{
	uint64_t now;
	int ret = vd_io_length(io, &now, err);

	if (ret || now == length)
		return ret;
	return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
			    "%s: is a %s of %llu bytes, its length can't be changed to %llu",
			    io->name, io->under ? "part of another store" : "block device",
			    (unsigned long long)now, (unsigned long long)length);
}

int vd_io_truncate(struct vd_io *io, uint64_t length, struct vd_error *err)
{
	struct vd_io_range range;
	int result, ret = vd_io_check_change(io, err);

	if (ret)
		return ret;
	if (io->under || io->is_device)
		return refuse_truncate(io, length, err);
	if (length > VD_IO_MAX_OFFSET)
		return vd_error_set(err, VD_ERANGE, 0, VD_NO_OFFSET, "%s: no store can be so long",
				    io->name);
	ret = vd_io_range_enter(io, &range, 0, UINT64_MAX, true, err);
	if (ret)
		return ret;
	do {
		result = io->ops.truncate(io->state, length);
		vd_io_count(&vd_io_own_stripe(io)->n_truncates, 1);
	} while (result == -EINTR && !(ret = vd_io_check_change(io, err)));
	vd_io_range_leave(io, &range);
	if (result && !ret)
		ret = vd_io_fail(io, "change the length", VD_NO_OFFSET, 0, result, err);
	return ret;
}

int vd_io_lock(struct vd_io *io, enum vd_io_lock lock, struct vd_error *err)
{
	int ret;

	while (io->under)
		io = io->under;
	ret = io->ops.lock ? io->ops.lock(io->state, lock, err) : -EOPNOTSUPP;
	if (ret == -EOPNOTSUPP) {
		if (lock != VD_IO_LOCK_NONE && vd_io_note_lack(io, VD_IO_LACKS_LOCKS))
			vd_message(VD_MESSAGE_WARNING,
				   "%s: no locks can be had here: nothing keeps other programs "
				   "from changing it meanwhile",
				   io->name);
		return 0;
	}
	return ret ? vd_error_prefix(err, ret, "%s", io->name) : 0;
}

void vd_io_holder(struct vd_io *io, char *text, size_t size)
{
	int fd, odd_fd = -1;

	if (!size)
		return;
	text[0] = '\0';
	while (io->under)
		io = io->under;
	fd = vd_io_descriptor(io);
	if (io->write_odd)
		odd_fd = atomic_load(&((struct vd_file *)io->state)->odd_fd);
	if (fd < 0 || !vd_holder_find(fd, odd_fd, -1, text, size))
		text[0] = '\0';
}

void vd_io_cancel(struct vd_io *io)
{
	atomic_fetch_or(&io->flags, VD_IO_F_CANCELED);
	if (io->ops.cancel)
		io->ops.cancel(io->state);
	pthread_mutex_lock(&io->mutex);
	pthread_cond_broadcast(&io->changed);
	pthread_mutex_unlock(&io->mutex);
}

void vd_io_resume(struct vd_io *io)
{
	atomic_fetch_and(&io->flags, ~VD_IO_F_CANCELED);
}

void vd_io_get_stats(const struct vd_io *io, struct vd_io_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	for (size_t i = 0; i < VD_IO_STRIPES; i++) {
		const struct vd_io_stripe *s = &io->stripes[i];

		stats->n_reads += atomic_load_explicit(&s->n_reads, memory_order_relaxed);
		stats->bytes_read += atomic_load_explicit(&s->bytes_read, memory_order_relaxed);
		stats->n_writes += atomic_load_explicit(&s->n_writes, memory_order_relaxed);
		stats->bytes_written +=
		    atomic_load_explicit(&s->bytes_written, memory_order_relaxed);
		stats->n_syncs += atomic_load_explicit(&s->n_syncs, memory_order_relaxed);
		stats->n_punches += atomic_load_explicit(&s->n_punches, memory_order_relaxed);
		stats->n_truncates += atomic_load_explicit(&s->n_truncates, memory_order_relaxed);
		stats->n_bounced += atomic_load_explicit(&s->n_bounced, memory_order_relaxed);
	}
}
