/* SPDX-License-Identifier: MIT */
/* What surrounds the calls of a handle: listeners, deadlines, cancelling, counters. */
#include <string.h>

#include "base/sabotage.h"
#include "disk/disk.h"

int vd_disk_add_listener(struct vd_disk *disk, vd_event_fn fn, void *user, struct vd_error *err)
{
	uint32_t n = atomic_load(&disk->n_listeners);

	if (n == VD_MAX_LISTENERS)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "the disk has %d listeners already, which is the most",
				    VD_MAX_LISTENERS);
	disk->listeners[n] = (struct vd_listener){fn, user};
	atomic_store_explicit(&disk->n_listeners, n + 1, memory_order_release);
	return 0;
}

int vd_disk_tell(struct vd_disk *disk, enum vd_event_kind kind, uint64_t start, uint64_t length,
		 struct vd_error *err)
{
	uint32_t n = atomic_load_explicit(&disk->n_listeners, memory_order_acquire);
	struct vd_event event = {kind, start, length};

	for (uint32_t i = 0; i < n; i++) {
		struct vd_error own = VD_ERROR_INIT;
		int ret = disk->listeners[i].fn(disk->listeners[i].user, disk, &event, &own);

		if (!ret || kind != VD_EVENT_WILL_WRITE)
			continue;
		if (ret > 0)
			ret = VD_EDENIED;
		return vd_error_set(err, ret, own.sys_errno, own.offset, "%s",
				    own.text[0] ? own.text : "a listener refused the first write");
	}
	return 0;
}

/* Whoever comes while another thread asks waits for the answer; after a refusal it asks anew. */
int vd_disk_announce_slow(struct vd_disk *disk, struct vd_error *err)
{
	int ret = 0;

	pthread_mutex_lock(&disk->announce_lock);
	if (disk->is_announcing && pthread_equal(disk->announcer, pthread_self()))
		ret = vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				   "a listener of VD_EVENT_WILL_WRITE may not write to the disk");
	while (!ret && disk->is_announcing)
		ret = vd_deadline_wait(&disk->announce_cond, &disk->announce_lock, err);
	if (!ret && !atomic_load(&disk->was_announced)) {
		disk->is_announcing = true;
		disk->announcer = pthread_self();
		pthread_mutex_unlock(&disk->announce_lock);
		if (!VD_SABOTAGED(ANNOUNCE))
			ret = vd_disk_tell(disk, VD_EVENT_WILL_WRITE, 0, disk->size, err);
		pthread_mutex_lock(&disk->announce_lock);
		disk->is_announcing = false;
		atomic_store(&disk->was_announced, !ret);
		pthread_cond_broadcast(&disk->announce_cond);
	}
	pthread_mutex_unlock(&disk->announce_lock);
	return ret;
}

int vd_call_begin_slow(struct vd_disk *disk, struct vd_call *call, struct vd_error *err)
{
	uint32_t attention = atomic_load_explicit(&disk->attention, memory_order_relaxed);
	uint32_t timeout_ms = atomic_load_explicit(&disk->timeout_ms, memory_order_relaxed);

	if (attention & VD_ATTENTION_CANCEL)
		return vd_error_set(err, VD_ECANCELED, 0, VD_NO_OFFSET,
				    "calls on this disk are canceled (vd_disk_cancel) until "
				    "vd_disk_resume");
	if (timeout_ms) {
		uint64_t own = vd_now_ns() + (uint64_t)timeout_ms * 1000000u;

		call->is_timed = true;
		call->former = vd_deadline;
		/* A call from within another one, of a listener for example, has no more time. */
		vd_deadline = vd_deadline ? vd_min64(vd_deadline, own) : own;
	}
	return 0;
}

void vd_disk_set_timeout(struct vd_disk *disk, uint32_t timeout_ms)
{
	atomic_store(&disk->timeout_ms, timeout_ms);
	if (timeout_ms)
		atomic_fetch_or(&disk->attention, VD_ATTENTION_TIMEOUT);
	else
		atomic_fetch_and(&disk->attention, ~VD_ATTENTION_TIMEOUT);
}

void vd_disk_cancel(struct vd_disk *disk)
{
	atomic_fetch_or(&disk->attention, VD_ATTENTION_CANCEL);
	for (struct vd_disk *d = disk; d; d = d->parent)
		vd_io_cancel(d->io);
}

void vd_disk_resume(struct vd_disk *disk)
{
	for (struct vd_disk *d = disk; d; d = d->parent)
		vd_io_resume(d->io);
	atomic_fetch_and(&disk->attention, ~VD_ATTENTION_CANCEL);
}

void vd_disk_get_stats(const struct vd_disk *disk, struct vd_disk_stats *stats)
{
	struct vd_disk_stats all = {.size = stats->size};

	if (disk->ops->get_stats)
		disk->ops->get_stats(disk->state, &all);
	all.n_reads = vd_gate_tally(&disk->tallies, VD_TALLY_READS);
	all.bytes_read = vd_gate_tally(&disk->tallies, VD_TALLY_READ_BYTES);
	all.n_writes = vd_gate_tally(&disk->tallies, VD_TALLY_WRITES);
	all.bytes_written = vd_gate_tally(&disk->tallies, VD_TALLY_WRITE_BYTES);
	all.n_zeroes = atomic_load(&disk->n_zeroes);
	all.n_discards = atomic_load(&disk->n_discards);
	all.n_flushes = atomic_load(&disk->n_flushes);
	memcpy(stats, &all, vd_min64(stats->size, sizeof(all)));
}
