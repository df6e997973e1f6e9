/* SPDX-License-Identifier: MIT */
/* Several queues on one disk, each with a thread of its own, and plain calls beside them. Under
 * TSan this is also about the pool and the queue's own thread. */
#include <pthread.h>
#include <stdatomic.h>

#include "queue_rig.h"

#define N_QUEUES 3
#define DEPTH    8
#define N_ROUNDS 60
#define PIECE    (16u << 10)

struct worker {
	pthread_t thread;
	struct vd_disk *disk;
	enum vd_engine engine;
	uint32_t number;
	_Alignas(4096) uint8_t bufs[DEPTH][PIECE];
	char text[VD_ERROR_TEXT_MAX + 64];
	uint64_t n_in_kernel, n_in_pool;
};

static void fail_with(struct worker *w, const char *what, const char *text)
{
	if (!w->text[0])
		snprintf(w->text, sizeof(w->text), "%s: %s", what, text);
}

/* Pieces are dealt out in turn, so that queues share blocks. */
static uint64_t place_of(const struct worker *w, uint32_t piece)
{
	return (uint64_t)(piece * N_QUEUES + w->number) * PIECE;
}

static void do_all(struct worker *w, struct vd_queue *queue, enum vd_request_op op, uint32_t first)
{
	struct vd_completion done[DEPTH];
	uint32_t n = 0;

	for (uint32_t i = 0; i < DEPTH; i++) {
		struct vd_request request =
		    rig_request(op, w->bufs[i], PIECE, place_of(w, first + i), w);
		struct vd_error err = VD_ERROR_INIT;

		request.flags = i + 1 < DEPTH ? VD_REQUEST_MORE : 0;
		if (vd_queue_submit(queue, &request, &err))
			fail_with(w, "submit", err.text);
	}
	while (n < DEPTH) {
		uint32_t got = vd_queue_reap(queue, done, DEPTH, 1, 60000);

		for (uint32_t i = 0; i < got; i++)
			if (done[i].result)
				fail_with(w, "request", done[i].err->text);
		n += got ? got : DEPTH;
	}
}

static void *use_queue(void *arg)
{
	struct worker *w = arg;
	struct vd_queue *queue = rig_queue(w->disk, w->engine, DEPTH, 2);
	struct vd_queue_stats stats = {.size = sizeof(stats)};
	struct vd_request flush = rig_request(VD_REQUEST_FLUSH, NULL, 0, 0, NULL);
	char text[200];

	for (uint32_t round = 0; round < N_ROUNDS && !w->text[0]; round++) {
		uint32_t first = round % 20 * DEPTH;

		for (uint32_t i = 0; i < DEPTH; i++)
			stamp_fill(w->bufs[i], PIECE, place_of(w, first + i), round + 1, w->number);
		do_all(w, queue, VD_REQUEST_WRITE, first);
		if (round % 7 == 3 && (vd_queue_submit(queue, &flush, NULL) ||
				       vd_queue_reap(queue, NULL, 1, 1, 60000) != 1))
			fail_with(w, "flush", "");
		memset(w->bufs, 0, sizeof(w->bufs));
		do_all(w, queue, VD_REQUEST_READ, first);
		for (uint32_t i = 0; i < DEPTH; i++)
			if (!stamp_verify(w->bufs[i], PIECE, place_of(w, first + i), round + 1,
					  w->number, text, sizeof(text)))
				fail_with(w, "data", text);
	}
	vd_queue_get_stats(queue, &stats);
	w->n_in_kernel = stats.n_kernel;
	w->n_in_pool = stats.n_pool;
	vd_queue_close(queue);
	return NULL;
}

struct discarder {
	struct vd_disk *disk;
	_Atomic bool is_over;
	_Atomic uint64_t n;
};

/* The last MiB is nobody's: it is written and given back all the time. */
static void *discard_all_the_time(void *arg)
{
	struct discarder *d = arg;
	uint8_t buf[4096] = {1};

	while (!atomic_load(&d->is_over)) {
		if (vd_disk_write(d->disk, buf, sizeof(buf), RIG_SIZE - RIG_MIB, NULL) ||
		    vd_disk_discard(d->disk, RIG_SIZE - RIG_MIB, RIG_MIB, NULL) ||
		    vd_disk_flush(d->disk, NULL))
			break;
		atomic_fetch_add(&d->n, 1);
		usleep(1000);
	}
	return NULL;
}

static void run(enum rig_kind kind, enum vd_engine engine)
{
	static struct worker workers[N_QUEUES];
	struct discarder discarder = {0};
	pthread_t thread;

	rig_need(engine);
	discarder.disk = rig_open(kind);
	assert_int_equal(pthread_create(&thread, NULL, discard_all_the_time, &discarder), 0);
	for (uint32_t i = 0; i < N_QUEUES; i++) {
		memset(&workers[i], 0, sizeof(workers[i]));
		workers[i].disk = discarder.disk;
		workers[i].engine = engine;
		workers[i].number = i;
		assert_int_equal(pthread_create(&workers[i].thread, NULL, use_queue, &workers[i]),
				 0);
	}
	for (uint32_t i = 0; i < N_QUEUES; i++) {
		pthread_join(workers[i].thread, NULL);
		if (workers[i].text[0])
			fail_msg("queue %u: %s", i, workers[i].text);
		assert_true(workers[i].n_in_pool > 0);
		if (engine == VD_ENGINE_IO_URING && kind != RIG_MEMORY)
			assert_true(workers[i].n_in_kernel > 0);
	}
	atomic_store(&discarder.is_over, true);
	pthread_join(thread, NULL);
	assert_true(atomic_load(&discarder.n) > 0);
	assert_int_equal(vd_disk_close(discarder.disk, NULL), 0);
}

static void queues_share_a_dynamic_image(void **state)
{
	run(RIG_DYNAMIC, *(enum vd_engine *)*state);
}

static void queues_share_a_child(void **state)
{
	run(RIG_CHILD, *(enum vd_engine *)*state);
}

static void queues_share_an_image_with_o_direct(void **state)
{
	run(RIG_DIRECT, *(enum vd_engine *)*state);
}

static void queues_share_a_store_in_memory(void **state)
{
	run(RIG_MEMORY, *(enum vd_engine *)*state);
}

/* One thread submits, the next one reaps: handing a queue on is allowed. */
static void *reap_two(void *arg)
{
	return (void *)(uintptr_t)vd_queue_reap(arg, NULL, 2, 2, 60000);
}

static void a_queue_can_be_handed_on(void **state)
{
	enum vd_engine engine = *(enum vd_engine *)*state;
	static uint8_t buf[2][PIECE];
	struct vd_queue *queue;
	struct vd_disk *disk;
	pthread_t thread;
	void *n;

	rig_need(engine);
	disk = rig_open(RIG_FIXED);
	queue = rig_queue(disk, engine, DEPTH, 2);
	for (int i = 0; i < 20; i++) {
		rig_submit(queue, rig_request(VD_REQUEST_READ, buf[0], PIECE, 0, NULL));
		rig_submit(queue, rig_request(VD_REQUEST_FLUSH, NULL, 0, 0, NULL));
		assert_int_equal(pthread_create(&thread, NULL, reap_two, queue), 0);
		pthread_join(thread, &n);
		assert_int_equal((uintptr_t)n, 2);
	}
	vd_queue_close(queue);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
}

int main(void)
{
	static enum vd_engine engines[] = {VD_ENGINE_IO_URING, VD_ENGINE_THREADS};
#define BOTH(test)                                                                                 \
	cmocka_unit_test_prestate(test, &engines[0]), cmocka_unit_test_prestate(test, &engines[1])
	const struct CMUnitTest tests[] = {
	    BOTH(queues_share_a_dynamic_image),
	    BOTH(queues_share_a_child),
	    BOTH(queues_share_an_image_with_o_direct),
	    BOTH(queues_share_a_store_in_memory),
	    BOTH(a_queue_can_be_handed_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
