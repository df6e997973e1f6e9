/* SPDX-License-Identifier: MIT */
/*
 * How a request is carried out.
 *
 *   begin -> resolved without waiting -> kernel --all of it--> released -> ready
 *     |                                    `--in part--> pool (the rest) ----^
 *     |--> anything else -> pool (a call of disk.h) -> ready
 *     `--> zeros, refusals -> ready
 *
 * Only writes in place go to the kernel: those whose release takes no lock. So the thread that uses
 * the queue never waits for others who wait for it to release what it has pinned.
 */
#include <limits.h>

#include "disk/disk_queue.h"
#include "disk/disk_rw.h"

static bool is_write(const struct vd_slot *slot)
{
	return slot->request.op == VD_REQUEST_WRITE;
}

/* The caller's memory as a vector. */
static const struct iovec *vector_of(struct vd_slot *slot, int *n_iov)
{
	const struct vd_request *request = &slot->request;

	if (!request->buf) {
		*n_iov = request->n_iov;
		return request->iov;
	}
	*n_iov = 1;
	slot->flat = (struct iovec){request->buf, (size_t)request->length};
	return &slot->flat;
}

static void ready(struct vd_queue *queue, struct vd_slot *slot, int result)
{
	slot->result = result;
	slot->state = VD_SLOT_READY;
	vd_slots_put(&queue->ready, slot);
}

/* Complete within the submit. */
static void ready_at_once(struct vd_queue *queue, struct vd_slot *slot, int result)
{
	queue->stats.n_inline++;
	ready(queue, slot, result);
	vd_pool_notify(queue->pool);
}

static void to_pool(struct vd_queue *queue, struct vd_slot *slot, void (*run)(struct vd_job *))
{
	slot->state = VD_SLOT_IN_POOL;
	slot->job.run = run;
	queue->n_in_pool++;
	vd_pool_add(queue->pool, &slot->job);
}

static int call_disk(struct vd_slot *slot, struct vd_error *err)
{
	const struct vd_request *request = &slot->request;
	struct vd_disk *disk = slot->queue->disk;
	const struct iovec *iov;
	uint32_t flags = request->flags & VD_REQUEST_KEEP_SPACE ? VD_ZERO_KEEP_SPACE : 0;
	int n_iov;

	switch (request->op) {
	case VD_REQUEST_READ:
		iov = vector_of(slot, &n_iov);
		return vd_disk_readv(disk, iov, n_iov, request->offset, err);
	case VD_REQUEST_WRITE:
		iov = vector_of(slot, &n_iov);
		return vd_disk_writev(disk, iov, n_iov, request->offset, err);
	case VD_REQUEST_WRITE_ZEROES:
		return vd_disk_write_zeroes(disk, request->offset, request->length, flags, err);
	case VD_REQUEST_DISCARD:
		return vd_disk_discard(disk, request->offset, request->length, err);
	case VD_REQUEST_FLUSH:
		return vd_disk_flush(disk, err);
	}
	return VD_EINVAL;
}

static int say_canceled(struct vd_error *err)
{
	return vd_error_set(err, VD_ECANCELED, 0, VD_NO_OFFSET,
			    "the request was canceled (vd_queue_cancel)");
}

/* In the pool: all of a request. Its deadline counts from the submit. */
static void run_request(struct vd_job *job)
{
	struct vd_slot *slot = (struct vd_slot *)job;

	vd_deadline = slot->deadline;
	if (atomic_load_explicit(&slot->is_canceled, memory_order_relaxed))
		slot->result = say_canceled(&slot->err);
	else
		slot->result = call_disk(slot, &slot->err);
	if (!slot->result && (slot->request.flags & VD_REQUEST_FUA))
		slot->result = vd_disk_flush(slot->queue->disk, &slot->err);
	vd_deadline = 0;
}

/* In the pool: what the kernel did in part or not at all. */
static void run_rest(struct vd_job *job)
{
	struct vd_slot *slot = (struct vd_slot *)job;

	vd_deadline = slot->deadline;
	for (uint32_t i = 0; i < slot->n_pieces && !slot->result; i++) {
		struct vd_piece *piece = &slot->pieces[i];

		if (!piece->is_left)
			continue;
		if (atomic_load_explicit(&slot->is_canceled, memory_order_relaxed))
			slot->result = say_canceled(&slot->err);
		else
			slot->result = vd_transfer_do(&piece->transfer, &slot->err);
		piece->is_done = !slot->result;
	}
	vd_deadline = 0;
}

/* Let go of the mappings. What was written as a whole is part of the disk, whatever became of the
 * other pieces. */
static void release_pieces(struct vd_slot *slot)
{
	for (uint32_t i = 0; i < slot->n_pieces; i++) {
		struct vd_piece *piece = &slot->pieces[i];
		enum vd_outcome outcome = VD_OUTCOME_READ;
		int ret;

		if (is_write(slot))
			outcome = piece->is_done ? VD_OUTCOME_WRITTEN : VD_OUTCOME_FAILED;
		ret = piece->holder->ops->release(piece->holder->state, &piece->mapping, outcome,
						  slot->result ? NULL : &slot->err);
		if (ret && !slot->result)
			slot->result = ret;
	}
	slot->n_pieces = 0;
}

static void complete(struct vd_queue *queue, struct vd_slot *slot)
{
	struct vd_gate *tallies = &queue->disk->tallies;

	release_pieces(slot);
	if (!slot->result && is_write(slot))
		vd_gate_count(tallies, VD_TALLY_WRITES, VD_TALLY_WRITE_BYTES, slot->request.length);
	else if (!slot->result)
		vd_gate_count(tallies, VD_TALLY_READS, VD_TALLY_READ_BYTES, slot->request.length);
	ready(queue, slot, slot->result);
}

/* All that went to the kernel is back. */
static void kernel_is_done(struct vd_queue *queue, struct vd_slot *slot)
{
	uint32_t n_left = 0;

	for (uint32_t i = 0; i < slot->n_pieces; i++)
		n_left += slot->pieces[i].is_left;
	if (n_left && !slot->result) {
		queue->stats.n_completed_by_pool += n_left;
		to_pool(queue, slot, run_rest);
	} else {
		complete(queue, slot);
	}
}

static void transfer_is_done(struct vd_queue *queue, struct vd_transfer *transfer)
{
	struct vd_slot *slot = transfer->user;
	struct vd_piece *piece = (struct vd_piece *)transfer; /* its first member */
	int ret = vd_transfer_settle(transfer, slot->result ? NULL : &slot->err);

	piece->is_done = !ret;
	piece->is_left = ret == VD_TRANSFER_AGAIN;
	if (ret < 0 && !slot->result)
		slot->result = ret;
	if (--slot->n_in_kernel)
		return;
	queue->n_in_kernel--;
	kernel_is_done(queue, slot);
}

void vd_queue_harvest(struct vd_queue *queue)
{
	struct vd_transfer *transfer;
	struct vd_job *job;

	while (queue->ring && (transfer = vd_ring_take(queue->ring)))
		transfer_is_done(queue, transfer);
	for (job = vd_pool_take(queue->pool); job;) {
		struct vd_slot *slot = (struct vd_slot *)job;

		job = job->next;
		queue->n_in_pool--;
		if (slot->n_pieces)
			complete(queue, slot);
		else
			ready(queue, slot, slot->result);
	}
}

void vd_queue_wait(struct vd_queue *queue, uint64_t until)
{
	if (!queue->n_in_pool) {
		vd_ring_wait(queue->ring, until);
		return;
	}
	if (queue->n_in_kernel)
		vd_ring_submit(queue->ring);
	vd_pool_wait(queue->pool, queue->n_in_kernel ? queue->ring : NULL, until);
}

/* The transfer of a resolved stretch, from or to where `at` stands. False: not one for the ring. */
static bool shape_transfer(struct vd_slot *slot, struct vd_piece *piece, const struct vd_cursor *at)
{
	const struct vd_mapping *mapping = &piece->mapping;
	struct vd_transfer *t = &piece->transfer;
	bool can_use = slot->queue->can_use_buffers && slot->request.buffer;

	*t = (struct vd_transfer){
	    .io = mapping->io,
	    .offset = mapping->io_offset,
	    .len = (size_t)mapping->length,
	    .iov = piece->parts,
	    .buffer = can_use ? (int)slot->request.buffer - 1 : -1,
	    .is_write = is_write(slot),
	    .user = slot,
	};
	piece->is_done = piece->is_left = false;
	if (mapping->length > VD_TRANSFER_MAX)
		return false;
	if (t->len == slot->request.length && !slot->request.buf) {
		t->iov = at->iov;
		t->n_iov = at->n;
	} else if (vd_cursor_cut(at, t->len, piece->parts, VD_PIECE_PARTS, &t->n_iov) != t->len) {
		return false;
	}
	return vd_ring_can(t);
}

static int resolve_piece(struct vd_slot *slot, struct vd_piece *piece, uint64_t offset,
			 uint64_t len)
{
	struct vd_disk *disk = slot->queue->disk;
	int ret;

	if (!is_write(slot))
		return vd_chain_resolve(disk, offset, len, &piece->mapping, &piece->holder, NULL);
	piece->holder = disk;
	ret = disk->ops->resolve(disk->state, offset, len, VD_ACCESS_WRITE, &piece->mapping, NULL);
	piece->mapping.access = VD_ACCESS_WRITE;
	return ret;
}

/* Resolve the request without waiting; zeros are filled in at once. False: that can't be done. */
static bool resolve_all(struct vd_slot *slot)
{
	uint64_t offset = slot->request.offset, left = slot->request.length;
	struct vd_cursor at = {NULL, 0, 0};

	at.iov = vector_of(slot, &at.n);
	while (left) {
		struct vd_piece *piece = &slot->pieces[slot->n_pieces];
		uint64_t len;

		if (slot->n_pieces == VD_SLOT_PIECES || resolve_piece(slot, piece, offset, left))
			return false;
		len = piece->mapping.length;
		if (piece->mapping.state == VD_STATE_DATA) {
			slot->n_pieces++;
			if (!shape_transfer(slot, piece, &at))
				return false;
			vd_cursor_advance(&at, (size_t)len);
		} else {
			piece->holder->ops->release(piece->holder->state, &piece->mapping,
						    VD_OUTCOME_READ, NULL);
			if (piece->mapping.state == VD_STATE_PARENT)
				return false;
			vd_cursor_zero(&at, (size_t)len);
		}
		offset += len;
		left -= len;
	}
	return true;
}

/* Nothing was done with them. */
static void drop_pieces(struct vd_slot *slot)
{
	for (uint32_t i = 0; i < slot->n_pieces; i++) {
		struct vd_piece *piece = &slot->pieces[i];

		piece->holder->ops->release(piece->holder->state, &piece->mapping, VD_OUTCOME_READ,
					    NULL);
	}
	slot->n_pieces = 0;
}

/* Can it be a plain transfer at all? */
static bool is_plain(const struct vd_slot *slot)
{
	const struct vd_request *request = &slot->request;
	struct vd_disk *disk = slot->queue->disk;
	struct vd_split split;

	if (request->op == VD_REQUEST_READ)
		return true;
	if (request->op != VD_REQUEST_WRITE || (request->flags & VD_REQUEST_FUA) ||
	    !atomic_load_explicit(&disk->was_announced, memory_order_acquire))
		return false;
	vd_disk_split(disk, request->offset, request->length, &split);
	return !split.head && !split.tail;
}

static void begin_in_kernel(struct vd_queue *queue, struct vd_slot *slot)
{
	slot->state = VD_SLOT_IN_KERNEL;
	slot->n_in_kernel = slot->n_pieces;
	queue->n_in_kernel++;
	queue->stats.n_kernel++;
	queue->stats.n_transfers += slot->n_pieces;
	for (uint32_t i = 0; i < slot->n_pieces; i++) {
		struct vd_piece *piece = &slot->pieces[i];

		if (vd_ring_add(queue->ring, &piece->transfer))
			continue;
		piece->is_left = true;
		slot->n_in_kernel--;
	}
	if (!slot->n_in_kernel) {
		queue->n_in_kernel--;
		kernel_is_done(queue, slot);
	}
}

/* False: the pool has to do it. */
static bool try_kernel(struct vd_queue *queue, struct vd_slot *slot)
{
	int ret = 0;
	bool is_resolved;

	if (!queue->ring || !is_plain(slot))
		return false;
	vd_no_wait = true;
	is_resolved = resolve_all(slot);
	vd_no_wait = false;
	if (!is_resolved) {
		drop_pieces(slot);
		return false;
	}
	for (uint32_t i = 0; i < slot->n_pieces && !ret; i++)
		ret = vd_transfer_check(&slot->pieces[i].transfer, &slot->err);
	if (!ret && slot->n_pieces) {
		begin_in_kernel(queue, slot);
		return true;
	}
	drop_pieces(slot);
	if (!ret)
		vd_gate_count(&queue->disk->tallies, VD_TALLY_READS, VD_TALLY_READ_BYTES,
			      slot->request.length);
	ready_at_once(queue, slot, ret);
	return true;
}

void vd_slot_begin(struct vd_queue *queue, struct vd_slot *slot)
{
	struct vd_disk *disk = queue->disk;
	const struct vd_request *request = &slot->request;
	bool is_flush = request->op == VD_REQUEST_FLUSH;
	struct vd_call call;
	int ret = 0;

	slot->n_pieces = slot->n_in_kernel = 0;
	slot->result = 0;
	atomic_store_explicit(&slot->is_canceled, false, memory_order_relaxed);
	if (!vd_is_within(request->offset, request->length, disk->size))
		ret = vd_range_error(disk, request->offset, request->length, &slot->err);
	else if (request->op != VD_REQUEST_READ && !(is_flush && !disk->is_writable))
		ret = vd_disk_may_write(disk, &slot->err);
	if (!ret)
		ret = vd_call_begin(disk, &call, &slot->err);
	if (ret || (!request->length && !is_flush)) {
		ready_at_once(queue, slot, ret);
		if (!ret)
			vd_call_end(&call);
		return;
	}
	slot->deadline = vd_deadline;
	if (!try_kernel(queue, slot)) {
		queue->stats.n_pool++;
		to_pool(queue, slot, run_request);
	}
	vd_call_end(&call);
}

void vd_slot_cancel(struct vd_queue *queue, struct vd_slot *slot)
{
	atomic_store_explicit(&slot->is_canceled, true, memory_order_relaxed);
	if (slot->state == VD_SLOT_IN_POOL && vd_pool_take_back(queue->pool, &slot->job)) {
		queue->n_in_pool--;
		slot->result = say_canceled(&slot->err);
		if (slot->n_pieces)
			complete(queue, slot);
		else
			ready(queue, slot, slot->result);
		vd_pool_notify(queue->pool);
	} else if (slot->state == VD_SLOT_IN_KERNEL) {
		for (uint32_t i = 0; i < slot->n_pieces; i++)
			vd_ring_cancel(queue->ring, &slot->pieces[i].transfer);
	}
}
