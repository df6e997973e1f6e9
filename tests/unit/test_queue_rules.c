/* SPDX-License-Identifier: MIT */
/* What a queue promises beside moving data: refusals, callbacks, eventfd, order of flushes,
 * cancelling, deadlines. */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#include "hook.h"
#include "queue_rig.h"

#define DEPTH 8

static uint8_t bytes[256 << 10], back[256 << 10];

static enum vd_engine engine_of(void **state)
{
	enum vd_engine engine = *(enum vd_engine *)*state;

	rig_need(engine);
	return engine;
}

static void bad_requests_are_not_taken(void **state)
{
	enum vd_engine engine = engine_of(state);
	struct vd_disk *disk = rig_open(RIG_DYNAMIC);
	struct vd_queue *queue = rig_queue(disk, engine, DEPTH, 1);
	struct iovec iov[2] = {{bytes, 100}, {bytes, 412}};
	struct vd_request good = rig_request(VD_REQUEST_READ, NULL, 512, 0, NULL), r;
	struct vd_error err = VD_ERROR_INIT;

	good.iov = iov;
	good.n_iov = 2;
#define REFUSED(change, word)                                                                      \
	do {                                                                                       \
		r = good;                                                                          \
		change;                                                                            \
		assert_int_equal(vd_queue_submit(queue, &r, &err), VD_EINVAL);                     \
		assert_non_null(strstr(err.text, word));                                           \
	} while (0)
	REFUSED(r.size = 8, "size");
	REFUSED(r.op = (enum vd_request_op)0, "op is not known");
	REFUSED(r.op = (enum vd_request_op)6, "op is not known");
	REFUSED(r.flags = VD_REQUEST_FUA, "flags");
	REFUSED(r.flags = 0x80, "flags");
	REFUSED(r.length = 511, "`length` bytes");
	REFUSED(r.n_iov = -1, "`length` bytes");
	REFUSED(r.iov = NULL, "no memory");
	REFUSED(r.length = UINT64_MAX, "more bytes than memory");
	REFUSED(r.buffer = 1, "registered");
	REFUSED((r.buf = bytes, r.buffer = 1), "registered");
	REFUSED(r.op = VD_REQUEST_FLUSH, "range");
	assert_int_equal(vd_queue_reap(queue, NULL, 8, 8, -1), 0);
	assert_int_equal(rig_one(queue, good, NULL, 0), 0);
	vd_queue_close(queue);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
}

static void other_failures_come_as_completions(void **state)
{
	enum vd_engine engine = engine_of(state);
	struct vd_disk *disk = rig_open(RIG_DYNAMIC);
	struct vd_queue *queue = rig_queue(disk, engine, DEPTH, 1);
	char text[VD_ERROR_TEXT_MAX];

	assert_int_equal(rig_one(queue,
				 rig_request(VD_REQUEST_WRITE, bytes, 512, RIG_SIZE - 511, bytes),
				 text, sizeof(text)),
			 VD_ERANGE);
	assert_non_null(strstr(text, "beyond the end"));
	assert_int_equal(rig_write(queue, bytes, 0, RIG_SIZE), 0);
	vd_queue_close(queue);
	assert_int_equal(vd_disk_close(disk, NULL), 0);

	disk = rig_reopen(rig_path(RIG_DYNAMIC), 0);
	queue = rig_queue(disk, engine, DEPTH, 1);
	assert_int_equal(rig_write(queue, bytes, 512, 0), VD_EROFS);
	assert_int_equal(rig_flush(queue), 0);
	vd_queue_close(queue);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
}

static void options_are_checked(void **state)
{
	struct vd_queue_opts opts = VD_QUEUE_OPTS_INIT;
	struct vd_disk *disk = rig_open(RIG_MEMORY);
	struct vd_queue *queue = NULL;

	(void)state;
	opts.size = 4;
	assert_int_equal(vd_queue_open(&queue, disk, &opts, NULL), VD_EINVAL);
	opts.size = sizeof(opts);
	opts.depth = VD_QUEUE_MAX_DEPTH + 1;
	assert_int_equal(vd_queue_open(&queue, disk, &opts, NULL), VD_EINVAL);
	opts.depth = 1;
	opts.engine = (enum vd_engine)7;
	assert_int_equal(vd_queue_open(&queue, disk, &opts, NULL), VD_EINVAL);
	opts.engine = VD_ENGINE_AUTO;
	opts.n_threads = VD_QUEUE_MAX_THREADS + 1;
	assert_int_equal(vd_queue_open(&queue, disk, &opts, NULL), VD_EINVAL);
	assert_int_equal(vd_queue_open(&queue, disk, NULL, NULL), 0);
	vd_queue_close(queue);
	vd_queue_close(NULL);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
}

static void a_full_queue_says_so(void **state)
{
	enum vd_engine engine = engine_of(state);
	struct vd_disk *disk = rig_open(RIG_DYNAMIC);
	struct vd_queue *queue = rig_queue(disk, engine, 4, 1);
	struct vd_request request = rig_request(VD_REQUEST_READ, bytes, 4096, 0, bytes);
	struct vd_completion done[8];
	struct vd_error err = VD_ERROR_INIT;

	for (int i = 0; i < 4; i++)
		rig_submit(queue, request);
	assert_int_equal(vd_queue_submit(queue, &request, &err), VD_EBUSY);
	assert_non_null(strstr(err.text, "4 requests are in flight"));
	vd_queue_drain(queue);
	assert_int_equal(vd_queue_submit(queue, &request, &err), VD_EBUSY);
	assert_int_equal(vd_queue_reap(queue, done, 3, 3, -1), 3);
	rig_submit(queue, request);
	assert_int_equal(vd_queue_reap(queue, done, 8, 8, -1), 2);
	vd_queue_close(queue);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
}

struct chain {
	struct vd_queue *queue;
	int n, n_failed;
};

static void go_on(void *user, const struct vd_completion *completion)
{
	struct chain *chain = user;
	struct vd_request request = rig_request(VD_REQUEST_READ, back, 4096, 0, chain);

	chain->n_failed += completion->result != 0;
	assert_int_equal(completion->result != 0, completion->err != NULL);
	request.done = go_on;
	request.offset = ++chain->n % 2 ? RIG_SIZE : (uint64_t)chain->n * 4096;
	if (chain->n < 50)
		rig_submit(chain->queue, request);
}

static void callbacks_run_in_reap_and_may_submit(void **state)
{
	enum vd_engine engine = engine_of(state);
	struct vd_disk *disk = rig_open(RIG_DYNAMIC);
	struct chain chain = {.queue = rig_queue(disk, engine, 1, 1)};
	struct vd_request request = rig_request(VD_REQUEST_READ, back, 4096, 0, &chain);

	request.done = go_on;
	rig_submit(chain.queue, request);
	vd_queue_drain(chain.queue);
	assert_int_equal(chain.n, 0);
	/* A depth of 1: the place is free again when the callback runs. */
	assert_int_equal(vd_queue_reap(chain.queue, NULL, 1000, 50, 20000), 50);
	assert_int_equal(chain.n, 50);
	assert_int_equal(chain.n_failed, 25);
	vd_queue_close(chain.queue);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
}

static void the_eventfd_tells_of_completions(void **state)
{
	enum vd_engine engine = engine_of(state);
	struct vd_queue_opts opts = VD_QUEUE_OPTS_INIT;
	struct vd_disk *disk = rig_open(RIG_DYNAMIC);
	struct vd_queue *queue;
	struct vd_completion done[DEPTH];
	struct pollfd fd = {.fd = eventfd(0, EFD_CLOEXEC), .events = POLLIN};
	uint64_t count;
	/* Done by the kernel, by the pool, at once as zeros, and refused. */
	const uint64_t places[] = {0, 5 * RIG_MIB, 7 * RIG_MIB, RIG_SIZE};
	const enum vd_request_op ops[] = {VD_REQUEST_READ, VD_REQUEST_WRITE, VD_REQUEST_READ,
					  VD_REQUEST_READ};

	assert_int_equal(vd_disk_write(disk, bytes, 4096, 0, NULL), 0);
	opts.eventfd = fd.fd;
	opts.engine = engine;
	assert_int_equal(vd_queue_open(&queue, disk, &opts, NULL), 0);
	for (int i = 0; i < 4; i++) {
		uint32_t n = 0;

		assert_int_equal(poll(&fd, 1, 0), 0);
		rig_submit(queue, rig_request(ops[i], back, 4096, places[i], back));
		while (!n) {
			assert_int_equal(poll(&fd, 1, 20000), 1);
			assert_int_equal(read(fd.fd, &count, sizeof(count)), sizeof(count));
			n = vd_queue_reap(queue, done, DEPTH, 0, 0);
		}
		assert_int_equal(n, 1);
		assert_int_equal(done[0].result, i == 3 ? VD_ERANGE : 0);
	}
	vd_queue_close(queue);
	close(fd.fd);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
}

static void a_flush_makes_reported_writes_durable(void **state)
{
	enum vd_engine engine = engine_of(state);
	struct vd_disk *disk = rig_open(RIG_DYNAMIC);
	struct vd_queue *queue = rig_queue(disk, engine, DEPTH, 2);
	struct vd_disk_stats before = {.size = sizeof(before)}, after = before;
	struct vd_request fua = rig_request(VD_REQUEST_WRITE, bytes, 4096, 8192, bytes);
	char copy[4400];

	memset(bytes, 0x61, sizeof(bytes));
	assert_int_equal(rig_write(queue, bytes, 4096, 0), 0);
	assert_int_equal(rig_flush(queue), 0);
	vd_disk_get_stats(disk, &before);
	assert_int_equal(before.n_commits, 1);
	/* In place, so only a sync is due; without any change, none. */
	assert_int_equal(rig_write(queue, bytes, 4096, 4096), 0);
	assert_int_equal(rig_flush(queue), 0);
	vd_disk_get_stats(disk, &after);
	assert_int_equal(after.n_syncs, before.n_syncs + 1);
	assert_int_equal(rig_flush(queue), 0);
	vd_disk_get_stats(disk, &before);
	assert_int_equal(after.n_syncs, before.n_syncs);
	fua.flags = VD_REQUEST_FUA;
	assert_int_equal(rig_one(queue, fua, NULL, 0), 0);
	vd_disk_get_stats(disk, &after);
	assert_int_equal(after.n_syncs, before.n_syncs + 1);
	/* As after a power cut: what the file holds now. */
	snprintf(copy, sizeof(copy), "%s", scratch_path("queue-cut.img"));
	assert_int_equal(scratch_run("cp '%s' '%s'", rig_path(RIG_DYNAMIC), copy), 0);
	vd_queue_close(queue);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
	disk = rig_reopen(copy, VD_OPEN_NO_LOCK);
	assert_int_equal(vd_disk_read(disk, back, 12288, 0, NULL), 0);
	assert_memory_equal(back, bytes, 12288);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
}

/* A store whose reads wait until they are let go. */
struct gate {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool is_open;
	int n_waiting;
};

static int wait_at_gate(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len)
{
	struct gate *gate = hook->user;

	(void)len;
	if (call != HOOK_READ || offset < 8 * RIG_MIB)
		return 0;
	pthread_mutex_lock(&gate->mutex);
	gate->n_waiting++;
	pthread_cond_broadcast(&gate->changed);
	while (!gate->is_open)
		pthread_cond_wait(&gate->changed, &gate->mutex);
	pthread_mutex_unlock(&gate->mutex);
	return 0;
}

static void await(struct gate *gate, int n)
{
	pthread_mutex_lock(&gate->mutex);
	while (gate->n_waiting < n)
		pthread_cond_wait(&gate->changed, &gate->mutex);
	pthread_mutex_unlock(&gate->mutex);
}

static void open_gate(struct gate *gate)
{
	pthread_mutex_lock(&gate->mutex);
	gate->is_open = true;
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->mutex);
}

static struct vd_disk *gated_disk(struct hook *hook, struct gate *gate)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_disk *disk;
	struct vd_io *io;

	*gate = (struct gate){PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0};
	*hook = (struct hook){.before = wait_at_gate, .user = gate};
	opts.flags = VD_OPEN_WRITE;
	opts.format = VD_FORMAT_RAW;
	assert_int_equal(vd_io_open_memory(&hook->under, RIG_SIZE, NULL), 0);
	io = hook_io(hook);
	assert_int_equal(vd_disk_open_io(&disk, io, &opts, NULL), 0);
	vd_io_close(io);
	return disk;
}

static void what_has_not_begun_can_be_canceled(void **state)
{
	enum vd_engine engine = engine_of(state);
	struct gate gate;
	struct hook hook;
	struct vd_disk *disk = gated_disk(&hook, &gate);
	struct vd_queue *queue = rig_queue(disk, engine, DEPTH, 1);
	struct vd_completion done[DEPTH];
	char names[4];

	for (int i = 0; i < 4; i++)
		rig_submit(queue, rig_request(VD_REQUEST_READ, back, 512, 8 * RIG_MIB, &names[i]));
	await(&gate, 1);
	vd_queue_cancel(queue, &names[2]);
	assert_int_equal(vd_queue_reap(queue, done, DEPTH, 1, 20000), 1);
	assert_ptr_equal(done[0].user, &names[2]);
	assert_int_equal(done[0].result, VD_ECANCELED);
	vd_queue_cancel(queue, NULL);
	assert_int_equal(vd_queue_reap(queue, done, DEPTH, 2, 20000), 2);
	assert_ptr_equal(done[0].user, &names[1]);
	assert_int_equal(done[0].result, VD_ECANCELED);
	assert_ptr_equal(done[1].user, &names[3]);
	/* The first is under way, and goes on. */
	assert_int_equal(vd_queue_reap(queue, done, DEPTH, 1, 20), 0);
	open_gate(&gate);
	assert_int_equal(vd_queue_reap(queue, done, DEPTH, 1, 20000), 1);
	assert_ptr_equal(done[0].user, &names[0]);
	assert_int_equal(done[0].result, 0);
	vd_queue_close(queue);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
	vd_io_close(hook.under);
}

static void the_deadline_counts_from_the_submit(void **state)
{
	enum vd_engine engine = engine_of(state);
	struct gate gate;
	struct hook hook;
	struct vd_disk *disk = gated_disk(&hook, &gate);
	struct vd_queue *queue = rig_queue(disk, engine, DEPTH, 1);
	struct vd_completion done[DEPTH];
	char names[2];

	rig_submit(queue, rig_request(VD_REQUEST_READ, back, 512, 8 * RIG_MIB, &names[0]));
	await(&gate, 1);
	vd_disk_set_timeout(disk, 30);
	rig_submit(queue, rig_request(VD_REQUEST_READ, back, 512, 0, &names[1]));
	vd_disk_set_timeout(disk, 0);
	usleep(60000);
	open_gate(&gate);
	assert_int_equal(vd_queue_reap(queue, done, DEPTH, 2, 20000), 2);
	assert_ptr_equal(done[0].user, &names[0]);
	assert_int_equal(done[0].result, 0);
	assert_int_equal(done[1].result, VD_ETIMEDOUT);
	vd_queue_close(queue);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
	vd_io_close(hook.under);
}

static void closing_waits_for_what_has_begun(void **state)
{
	enum vd_engine engine = engine_of(state);
	struct gate gate;
	struct hook hook;
	struct vd_disk *disk = gated_disk(&hook, &gate);
	struct vd_queue *queue = rig_queue(disk, engine, DEPTH, 1);
	struct vd_request request = rig_request(VD_REQUEST_READ, back, 512, 8 * RIG_MIB, NULL);

	request.done = go_on; /* would crash: its user is NULL */
	for (int i = 0; i < DEPTH; i++)
		rig_submit(queue, request);
	await(&gate, 1);
	open_gate(&gate);
	vd_queue_close(queue);
	assert_true(gate.n_waiting >= 1);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
	vd_io_close(hook.under);
}

static void a_canceled_disk_refuses(void **state)
{
	enum vd_engine engine = engine_of(state);
	struct vd_disk *disk = rig_open(RIG_DYNAMIC);
	struct vd_queue *queue = rig_queue(disk, engine, DEPTH, 1);

	assert_int_equal(rig_write(queue, bytes, 4096, 0), 0);
	vd_disk_cancel(disk);
	assert_int_equal(rig_read(queue, back, 4096, 0), VD_ECANCELED);
	assert_int_equal(rig_write(queue, bytes, 4096, 0), VD_ECANCELED);
	assert_int_equal(rig_flush(queue), VD_ECANCELED);
	vd_disk_resume(disk);
	assert_int_equal(rig_read(queue, back, 4096, 0), 0);
	assert_int_equal(rig_flush(queue), 0);
	vd_queue_close(queue);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
}

/* The kernel reads less than it was asked for: the end of the file came nearer. */
static void a_short_transfer_is_finished(void **state)
{
	enum vd_engine engine = engine_of(state);
	struct vd_disk *disk = rig_open(RIG_RAW);
	struct vd_queue *queue = rig_queue(disk, engine, DEPTH, 1);
	struct vd_queue_stats stats = {.size = sizeof(stats)};

	memset(bytes, 0x37, sizeof(bytes));
	memset(back, 0xee, sizeof(back));
	assert_int_equal(rig_write(queue, bytes, 65536, RIG_SIZE - 65536), 0);
	assert_int_equal(truncate(rig_path(RIG_RAW), (off_t)(RIG_SIZE - 32768)), 0);
	assert_int_equal(rig_read(queue, back, 65536, RIG_SIZE - 65536), 0);
	assert_memory_equal(back, bytes, 32768);
	memset(bytes, 0, 32768);
	assert_memory_equal(back + 32768, bytes, 32768);
	vd_queue_get_stats(queue, &stats);
	assert_int_equal(stats.n_completed_by_pool, engine == VD_ENGINE_IO_URING ? 1 : 0);
	vd_queue_close(queue);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
}

static void buffers_can_be_registered_anew(void **state)
{
	enum vd_engine engine = engine_of(state);
	struct vd_disk *disk = rig_open(RIG_FIXED);
	struct vd_queue *queue = rig_queue(disk, engine, DEPTH, 1);
	struct iovec buffers[2] = {{bytes, 4096}, {back, 8192}};
	struct vd_request request = rig_request(VD_REQUEST_WRITE, bytes, 4096, 0, bytes);
	struct vd_error err = VD_ERROR_INIT;

	memset(bytes, 0x11, 8192);
	assert_int_equal(vd_queue_register_buffers(queue, buffers, 2, NULL), 0);
	request.buffer = 1;
	assert_int_equal(rig_one(queue, request, NULL, 0), 0);
	request.buf = bytes + 1;
	assert_int_equal(vd_queue_submit(queue, &request, &err), VD_EINVAL);
	request = rig_request(VD_REQUEST_READ, back + 4096, 4096, 0, back);
	request.buffer = 2;
	rig_submit(queue, request);
	assert_int_equal(vd_queue_register_buffers(queue, buffers, 1, &err), VD_EBUSY);
	assert_int_equal(vd_queue_reap(queue, NULL, 1, 1, 20000), 1);
	assert_memory_equal(back + 4096, bytes, 4096);
	assert_int_equal(vd_queue_register_buffers(queue, buffers, 1, NULL), 0);
	assert_int_equal(vd_queue_submit(queue, &request, &err), VD_EINVAL);
	assert_int_equal(vd_queue_register_buffers(queue, NULL, 0, NULL), 0);
	buffers[0].iov_len = 0;
	assert_int_equal(vd_queue_register_buffers(queue, buffers, 1, &err), VD_EINVAL);
	vd_queue_close(queue);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
}

int main(void)
{
	static enum vd_engine engines[] = {VD_ENGINE_IO_URING, VD_ENGINE_THREADS};
#define BOTH(test)                                                                                 \
	cmocka_unit_test_prestate(test, &engines[0]), cmocka_unit_test_prestate(test, &engines[1])
	const struct CMUnitTest tests[] = {
	    BOTH(bad_requests_are_not_taken),
	    BOTH(other_failures_come_as_completions),
	    cmocka_unit_test(options_are_checked),
	    BOTH(a_full_queue_says_so),
	    BOTH(callbacks_run_in_reap_and_may_submit),
	    BOTH(the_eventfd_tells_of_completions),
	    BOTH(a_flush_makes_reported_writes_durable),
	    BOTH(what_has_not_begun_can_be_canceled),
	    BOTH(the_deadline_counts_from_the_submit),
	    BOTH(closing_waits_for_what_has_begun),
	    BOTH(a_canceled_disk_refuses),
	    BOTH(a_short_transfer_is_finished),
	    BOTH(buffers_can_be_registered_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
