/* SPDX-License-Identifier: MIT */
/* Queues: opening and closing, taking requests, reporting completions. How a request is carried
 * out is in disk_queue_run.c. */
#include <limits.h>
#include <string.h>

#include "base/alloc.h"
#include "base/message.h"
#include "disk/disk_queue.h"
#include "disk/disk_rw.h"

#define DEFAULT_DEPTH    128u
#define THREADS_BESIDE   4u /* io_uring */
#define THREADS_ALONE    16u
#define MAX_BUFFERS      1024u
#define MAX_BUFFER       ((size_t)1 << 30)
#define OPTS_MIN_SIZE    (2 * sizeof(uint32_t))
#define REQUEST_MIN_SIZE sizeof(struct vd_request)

const char *vd_engine_name(enum vd_engine engine)
{
	switch (engine) {
	case VD_ENGINE_AUTO:
		return "auto";
	case VD_ENGINE_IO_URING:
		return "io_uring";
	case VD_ENGINE_THREADS:
		return "threads";
	}
	return "unknown";
}

static int take_opts(struct vd_queue_opts *own, const struct vd_queue_opts *opts,
		     struct vd_error *err)
{
	*own = (struct vd_queue_opts)VD_QUEUE_OPTS_INIT;
	if (opts && opts->size < OPTS_MIN_SIZE)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "struct vd_queue_opts says its size is %u: start from "
				    "VD_QUEUE_OPTS_INIT",
				    opts->size);
	if (opts)
		memcpy(own, opts, vd_min64(opts->size, sizeof(*own)));
	if (own->depth > VD_QUEUE_MAX_DEPTH || own->n_threads > VD_QUEUE_MAX_THREADS)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "a queue of depth %u with %u threads: at most %u and %u",
				    own->depth, own->n_threads, VD_QUEUE_MAX_DEPTH,
				    VD_QUEUE_MAX_THREADS);
	if ((unsigned)own->engine > VD_ENGINE_THREADS)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "engine %u is not known",
				    (unsigned)own->engine);
	if (!own->depth)
		own->depth = DEFAULT_DEPTH;
	return 0;
}

static int open_ring(struct vd_queue *queue, const struct vd_queue_opts *opts, struct vd_error *err)
{
	static _Atomic bool was_said;
	struct vd_error own = VD_ERROR_INIT;
	int ret;

	if (opts->engine == VD_ENGINE_THREADS)
		return 0;
	ret = vd_ring_open(&queue->ring, opts->depth, opts->eventfd, &own);
	if (!ret)
		return 0;
	if (opts->engine == VD_ENGINE_IO_URING || ret != VD_EUNSUPPORTED)
		return vd_error_set(err, ret, own.sys_errno, own.offset, "%s", own.text);
	if (!atomic_exchange(&was_said, true))
		vd_message(VD_MESSAGE_INFO, "%s; queues use threads", own.text);
	return 0;
}

static int open_pool(struct vd_queue *queue, const struct vd_queue_opts *opts, struct vd_error *err)
{
	uint32_t n = opts->n_threads;

	if (!n && queue->ring)
		n = THREADS_BESIDE;
	else if (!n)
		n = opts->depth < THREADS_ALONE ? opts->depth : THREADS_ALONE;
	return vd_pool_open(&queue->pool, n, opts->eventfd, err);
}

int vd_queue_open(struct vd_queue **out, struct vd_disk *disk, const struct vd_queue_opts *opts,
		  struct vd_error *err)
{
	struct vd_queue_opts own;
	struct vd_queue *queue;
	int ret = take_opts(&own, opts, err);

	if (ret)
		return ret;
	queue = vd_calloc(1, sizeof(*queue));
	if (queue)
		queue->slots = vd_calloc(own.depth, sizeof(*queue->slots));
	if (!queue || !queue->slots) {
		vd_free(queue);
		return vd_no_memory(err, own.depth * sizeof(struct vd_slot), "a queue");
	}
	queue->disk = disk;
	queue->depth = own.depth;
	queue->ready.last = &queue->ready.first;
	queue->reported.last = &queue->reported.first;
	for (uint32_t i = own.depth; i--;) {
		queue->slots[i].queue = queue;
		queue->slots[i].next = queue->free;
		queue->free = &queue->slots[i];
	}
	ret = open_ring(queue, &own, err);
	if (!ret)
		ret = open_pool(queue, &own, err);
	if (ret) {
		vd_queue_close(queue);
		return ret;
	}
	*out = queue;
	return 0;
}

void vd_queue_close(struct vd_queue *queue)
{
	if (!queue)
		return;
	if (queue->pool) {
		vd_queue_cancel(queue, NULL);
		vd_queue_drain(queue);
	}
	vd_pool_close(queue->pool);
	vd_ring_close(queue->ring);
	vd_free(queue->buffers);
	vd_free(queue->slots);
	vd_free(queue);
}

enum vd_engine vd_queue_engine(const struct vd_queue *queue)
{
	return queue->ring ? VD_ENGINE_IO_URING : VD_ENGINE_THREADS;
}

static int no_sense(struct vd_error *err, const char *what)
{
	return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "a request makes no sense: %s", what);
}

static bool is_registered(const struct vd_queue *queue, const struct vd_request *request)
{
	const struct iovec *buffer;
	uintptr_t at = (uintptr_t)request->buf, start;

	if (request->buffer > queue->n_buffers)
		return false;
	buffer = &queue->buffers[request->buffer - 1];
	start = (uintptr_t)buffer->iov_base;
	return at >= start && vd_is_within(at - start, request->length, buffer->iov_len);
}

static int check_memory(const struct vd_queue *queue, const struct vd_request *request,
			struct vd_error *err)
{
	size_t total;

	if (request->length > SSIZE_MAX)
		return no_sense(err, "more bytes than memory has");
	if (request->buf && request->buffer && !is_registered(queue, request))
		return no_sense(err, "its data doesn't lie in the registered buffer that it names");
	if (request->buf)
		return 0;
	if (request->buffer)
		return no_sense(err, "a vector with a registered buffer");
	if (!request->iov && request->length)
		return no_sense(err, "no memory");
	if (!vd_iov_total(request->iov, request->iov ? request->n_iov : 0, &total) ||
	    total != request->length)
		return no_sense(err, "the pieces of its vector are not `length` bytes together");
	return 0;
}

static int check_request(const struct vd_queue *queue, const struct vd_request *request,
			 struct vd_error *err)
{
	uint32_t known = VD_REQUEST_MORE;

	if (request->size < REQUEST_MIN_SIZE)
		return no_sense(err, "its size is too small; start from VD_REQUEST_INIT");
	switch (request->op) {
	case VD_REQUEST_WRITE_ZEROES:
		known |= VD_REQUEST_KEEP_SPACE;
		/* fallthrough */
	case VD_REQUEST_WRITE:
		known |= VD_REQUEST_FUA;
		break;
	case VD_REQUEST_READ:
	case VD_REQUEST_DISCARD:
		break;
	case VD_REQUEST_FLUSH:
		if (request->offset || request->length)
			return no_sense(err, "a flush with a range");
		break;
	default:
		return no_sense(err, "its op is not known");
	}
	if (request->flags & ~known)
		return no_sense(err, "flags that its op doesn't have");
	if (request->op == VD_REQUEST_READ || request->op == VD_REQUEST_WRITE)
		return check_memory(queue, request, err);
	return 0;
}

/* What was reported by an earlier call can be used again. */
static void recycle(struct vd_queue *queue)
{
	struct vd_slot *slot;

	while (!queue->is_reaping && (slot = vd_slots_get(&queue->reported))) {
		slot->next = queue->free;
		queue->free = slot;
	}
}

int vd_queue_submit(struct vd_queue *queue, const struct vd_request *request, struct vd_error *err)
{
	struct vd_slot *slot;
	int ret = check_request(queue, request, err);

	if (ret)
		return ret;
	recycle(queue);
	slot = queue->free;
	if (!slot)
		return vd_error_set(err, VD_EBUSY, 0, VD_NO_OFFSET,
				    "%u requests are in flight, which is the depth of the queue",
				    queue->depth);
	queue->free = slot->next;
	slot->request = *request;
	queue->stats.n_submitted++;
	queue->stats.n_in_flight++;
	vd_slot_begin(queue, slot);
	if (queue->ring && !(request->flags & VD_REQUEST_MORE))
		vd_ring_submit(queue->ring);
	return 0;
}

/* The slot is free before the callback runs, so that it can submit. */
static void call_back(struct vd_queue *queue, struct vd_slot *slot)
{
	struct vd_completion completion = {slot->request.user, slot->result, NULL};
	vd_completion_fn done = slot->request.done;

	if (slot->result) {
		struct vd_error err = slot->err;

		completion.err = &err;
		slot->next = queue->free;
		queue->free = slot;
		done(completion.user, &completion);
		return;
	}
	slot->next = queue->free;
	queue->free = slot;
	done(completion.user, &completion);
}

static uint32_t report(struct vd_queue *queue, struct vd_completion **at, uint32_t max)
{
	struct vd_slot *slot;
	uint32_t n = 0;

	while (n < max && (slot = vd_slots_get(&queue->ready))) {
		slot->state = VD_SLOT_FREE;
		queue->stats.n_in_flight--;
		n++;
		if (slot->request.done) {
			call_back(queue, slot);
			continue;
		}
		if (*at)
			*(*at)++ = (struct vd_completion){slot->request.user, slot->result,
							  slot->result ? &slot->err : NULL};
		vd_slots_put(&queue->reported, slot);
	}
	return n;
}

static bool is_active(const struct vd_queue *queue)
{
	return queue->n_in_kernel || queue->n_in_pool;
}

uint32_t vd_queue_reap(struct vd_queue *queue, struct vd_completion *completions, uint32_t max,
		       uint32_t min, int timeout_ms)
{
	uint64_t until = timeout_ms < 0 ? 0 : vd_now_ns() + (uint64_t)timeout_ms * 1000000u;
	uint32_t n = 0;

	recycle(queue);
	queue->is_reaping = true;
	min = min < max ? min : max;
	for (;;) {
		if (queue->ring)
			vd_ring_submit(queue->ring);
		vd_queue_harvest(queue);
		n += report(queue, &completions, max - n);
		if (n >= min || (!queue->ready.first && !is_active(queue)))
			break;
		if (until && (!timeout_ms || vd_now_ns() >= until))
			break;
		vd_queue_wait(queue, until);
	}
	queue->is_reaping = false;
	return n;
}

void vd_queue_drain(struct vd_queue *queue)
{
	vd_queue_harvest(queue);
	while (is_active(queue)) {
		vd_queue_wait(queue, 0);
		vd_queue_harvest(queue);
	}
}

void vd_queue_cancel(struct vd_queue *queue, const void *user)
{
	for (uint32_t i = 0; i < queue->depth; i++) {
		struct vd_slot *slot = &queue->slots[i];

		if ((slot->state == VD_SLOT_IN_KERNEL || slot->state == VD_SLOT_IN_POOL) &&
		    (!user || slot->request.user == user))
			vd_slot_cancel(queue, slot);
	}
	if (queue->ring)
		vd_ring_submit(queue->ring);
}

static int check_buffers(const struct vd_queue *queue, const struct iovec *buffers, uint32_t n,
			 struct vd_error *err)
{
	if (is_active(queue) || queue->ready.first)
		return vd_error_set(err, VD_EBUSY, 0, VD_NO_OFFSET,
				    "buffers can't be registered while requests are in flight");
	if (n > MAX_BUFFERS)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "%u buffers to register, at most %u are possible", n,
				    MAX_BUFFERS);
	for (uint32_t i = 0; i < n; i++)
		if (!buffers[i].iov_base || !buffers[i].iov_len || buffers[i].iov_len > MAX_BUFFER)
			return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
					    "buffer %u to register has %zu bytes; from 1 byte to "
					    "1 GiB are possible",
					    i, buffers[i].iov_len);
	return 0;
}

int vd_queue_register_buffers(struct vd_queue *queue, const struct iovec *buffers, uint32_t n,
			      struct vd_error *err)
{
	struct iovec *copy = NULL;
	int ret = check_buffers(queue, buffers, n, err);

	if (ret)
		return ret;
	if (n) {
		copy = vd_calloc(n, sizeof(*copy));
		if (!copy)
			return vd_no_memory(err, n * sizeof(*copy), "a list of buffers");
		memcpy(copy, buffers, n * sizeof(*copy));
	}
	vd_free(queue->buffers);
	queue->buffers = copy;
	queue->n_buffers = n;
	queue->can_use_buffers = queue->ring && vd_ring_register(queue->ring, copy, n);
	return 0;
}

void vd_queue_get_stats(const struct vd_queue *queue, struct vd_queue_stats *stats)
{
	struct vd_queue_stats all = queue->stats;

	all.size = stats->size;
	memcpy(stats, &all, vd_min64(stats->size, sizeof(all)));
}
