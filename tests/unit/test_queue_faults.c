/* SPDX-License-Identifier: MIT */
/* Stores that fail under a queue, memory that runs out, and what is left when a queue is closed:
 * nothing. */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include "fault.h"
#include "queue_rig.h"

#define DEPTH 8

static uint8_t bytes[64 << 10], back[64 << 10];

static struct vd_disk *faulty_disk(struct fault *fault)
{
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_disk *disk;
	struct vd_io *io;

	*fault = (struct fault){.store = store_new(NULL), .call = FAULT_N_CALLS};
	io = fault_io(fault);
	create.virtual_size = RIG_SIZE;
	create.block_size = 1 << 20;
	opts.flags = VD_OPEN_WRITE;
	assert_int_equal(vd_disk_create_io(io, &create, NULL), 0);
	assert_int_equal(vd_disk_open_io(&disk, io, &opts, NULL), 0);
	vd_io_close(io);
	return disk;
}

static void a_full_host_may_be_tried_again(void **state)
{
	char text[VD_ERROR_TEXT_MAX];
	struct fault fault;
	struct vd_disk *disk = faulty_disk(&fault);
	struct vd_queue *queue = rig_queue(disk, VD_ENGINE_AUTO, DEPTH, 1);
	struct vd_request request = rig_request(VD_REQUEST_WRITE, bytes, 8192, 4096, bytes);

	(void)state;
	memset(bytes, 0x42, sizeof(bytes));
	assert_int_equal(rig_write(queue, bytes, 512, 5 * RIG_MIB), 0);
	fault_arm(&fault, FAULT_WRITE, 1, ENOSPC);
	assert_int_equal(rig_one(queue, request, text, sizeof(text)), VD_ENOSPC);
	assert_non_null(strstr(text, "can't write"));
	fault_arm(&fault, FAULT_WRITE, 1, EIO);
	assert_int_equal(rig_one(queue, request, NULL, 0), VD_EIO);
	fault_disarm(&fault);
	assert_int_equal(rig_one(queue, request, NULL, 0), 0);
	assert_int_equal(rig_flush(queue), 0);
	assert_int_equal(rig_read(queue, back, 8192, 4096), 0);
	assert_memory_equal(back, bytes, 8192);
	vd_queue_close(queue);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
	store_free(fault.store);
}

static void a_failed_sync_poisons(void **state)
{
	struct fault fault;
	struct vd_disk *disk = faulty_disk(&fault);
	struct vd_queue *queue = rig_queue(disk, VD_ENGINE_AUTO, DEPTH, 2);

	(void)state;
	assert_int_equal(rig_write(queue, bytes, 512, 0), 0);
	fault_arm(&fault, FAULT_SYNC, 1, EIO);
	assert_int_equal(rig_flush(queue), VD_EIO);
	fault_disarm(&fault);
	assert_int_equal(rig_flush(queue), VD_EPOISONED);
	assert_int_equal(rig_write(queue, bytes, 512, 0), VD_EPOISONED);
	assert_int_equal(rig_read(queue, back, 512, 0), 0);
	vd_queue_close(queue);
	assert_true(vd_disk_close(disk, NULL) != 0);
	store_free(fault.store);
}

/* The same by the kernel: files may not grow beyond a limit. */
static void the_kernels_refusals_are_told(void **state)
{
	enum vd_engine engine = *(enum vd_engine *)*state;
	struct rlimit limit, low;
	struct vd_queue *queue;
	struct vd_disk *disk;
	char text[VD_ERROR_TEXT_MAX];
	struct vd_request request = rig_request(VD_REQUEST_WRITE, bytes, 4096, 8 * RIG_MIB, bytes);

	rig_need(engine);
	disk = rig_open(RIG_RAW);
	queue = rig_queue(disk, engine, DEPTH, 1);
	assert_int_equal(rig_write(queue, bytes, 4096, 0), 0);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	low = limit;
	low.rlim_cur = 4 * RIG_MIB;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	assert_int_equal(rig_one(queue, request, text, sizeof(text)), VD_ENOSPC);
	assert_non_null(strstr(text, "can't write 4096 bytes at offset 8388608"));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(rig_one(queue, request, NULL, 0), 0);
	vd_queue_close(queue);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
}

static uint32_t submit_mix(struct vd_queue *queue)
{
	static const enum vd_request_op ops[] = {VD_REQUEST_READ, VD_REQUEST_WRITE,
						 VD_REQUEST_WRITE_ZEROES, VD_REQUEST_DISCARD,
						 VD_REQUEST_FLUSH};
	uint32_t n_taken = 0;

	for (uint64_t i = 0; i < DEPTH; i++) {
		struct vd_request request =
		    rig_request(ops[i % 5], bytes + 4096 * i, 4096, i * RIG_MIB, NULL);

		if (request.op == VD_REQUEST_FLUSH)
			request.offset = request.length = 0;
		n_taken += !vd_queue_submit(queue, &request, NULL);
	}
	return n_taken;
}

static void closing_with_requests_in_flight_leaks_nothing(void **state)
{
	enum vd_engine engine = *(enum vd_engine *)*state;
	size_t n_before;

	rig_need(engine);
	fault_memory_watch();
	n_before = fault_memory_blocks();
	for (int i = 0; i < 30; i++) {
		struct vd_disk *disk = rig_open(i % 2 ? RIG_CHILD : RIG_MEMORY);
		struct vd_queue *queue = rig_queue(disk, engine, DEPTH, 3);

		assert_int_equal(submit_mix(queue), DEPTH);
		if (i % 3 == 1)
			vd_queue_reap(queue, NULL, 4, 2, 20000);
		vd_queue_close(queue);
		assert_int_equal(vd_disk_close(disk, NULL), 0);
	}
	assert_int_equal(fault_memory_blocks(), n_before);
	vd_set_allocator(NULL);
}

static void out_of_memory_is_a_result(void **state)
{
	enum vd_engine engine = *(enum vd_engine *)*state;
	struct vd_queue *queue = NULL;
	struct vd_disk *disk;
	uint64_t nth;
	int ret = VD_ENOMEM;

	rig_need(engine);
	fault_memory_watch();
	disk = rig_open(RIG_DYNAMIC);
	for (nth = 1; ret == VD_ENOMEM; nth++) {
		struct vd_queue_opts opts = VD_QUEUE_OPTS_INIT;

		opts.engine = engine;
		fault_memory_fail(nth, false);
		ret = vd_queue_open(&queue, disk, &opts, NULL);
		fault_memory_fail(0, false);
	}
	assert_int_equal(ret, 0);
	assert_true(nth > 3);
	/* Requests whose calls get no memory fail, and only those. */
	for (nth = 1; nth < 12; nth++) {
		struct vd_completion done[DEPTH];
		uint32_t n;

		fault_memory_fail(nth, true);
		n = submit_mix(queue);
		assert_int_equal(n, DEPTH);
		assert_int_equal(vd_queue_reap(queue, done, DEPTH, n, 20000), n);
		fault_memory_fail(0, false);
		for (uint32_t i = 0; i < n; i++)
			assert_true(done[i].result == 0 || done[i].result == VD_ENOMEM);
	}
	assert_int_equal(rig_write(queue, bytes, 4096, 0), 0);
	vd_queue_close(queue);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
	assert_int_equal(fault_memory_blocks(), 0);
	vd_set_allocator(NULL);
}

int main(void)
{
	static enum vd_engine engines[] = {VD_ENGINE_IO_URING, VD_ENGINE_THREADS};
#define BOTH(test)                                                                                 \
	cmocka_unit_test_prestate(test, &engines[0]), cmocka_unit_test_prestate(test, &engines[1])
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_full_host_may_be_tried_again),
	    cmocka_unit_test(a_failed_sync_poisons),
	    BOTH(the_kernels_refusals_are_told),
	    BOTH(closing_with_requests_in_flight_leaks_nothing),
	    BOTH(out_of_memory_is_a_result),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
