/* SPDX-License-Identifier: MIT */
/* Queues where io_uring is forbidden: from the start, or while a queue is in use. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "queue_rig.h"

#define DEPTH 8

static uint8_t bytes[4096], back[4096], many[DEPTH][4096];

static char message[VD_ERROR_TEXT_MAX];
static int n_messages;

static void hear(void *user, enum vd_message_level level, const char *text)
{
	(void)user, (void)level;
	snprintf(message, sizeof(message), "%s", text);
	n_messages++;
}

/* From now on this process gets `error` for that system call. */
static void forbid(int number, int error)
{
	struct sock_filter filter[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {4, filter};

	assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static void use_it(struct vd_queue *queue)
{
	for (uint64_t i = 0; i < 200; i++) {
		memset(bytes, (int)i, 4096);
		assert_int_equal(rig_write(queue, bytes, 4096, i * 4096), 0);
		assert_int_equal(rig_read(queue, back, 4096, i * 4096), 0);
		assert_memory_equal(back, bytes, 4096);
	}
}

/* The test goes on in a child, which may be spoiled. */
static bool is_child(void)
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		return true;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return false;
}

static void threads_stand_in_where_io_uring_is_forbidden(void **state)
{
	const int errors[] = {ENOSYS, EPERM};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct vd_queue_opts opts = VD_QUEUE_OPTS_INIT;
		struct vd_queue *queue;
		struct vd_disk *disk;

		if (!is_child())
			continue;
		forbid(SYS_io_uring_setup, errors[i]);
		vd_set_message_hook(hear, NULL);
		disk = rig_open(RIG_FIXED);
		queue = rig_queue(disk, VD_ENGINE_AUTO, DEPTH, 2);
		assert_int_equal(vd_queue_engine(queue), VD_ENGINE_THREADS);
		assert_int_equal(n_messages, 1);
		assert_non_null(strstr(message, "queues use threads"));
		use_it(queue);
		vd_queue_close(queue);
		queue = rig_queue(disk, VD_ENGINE_AUTO, DEPTH, 2);
		assert_int_equal(n_messages, 1);
		vd_queue_close(queue);
		opts.engine = VD_ENGINE_IO_URING;
		assert_int_equal(vd_queue_open(&queue, disk, &opts, NULL), VD_EUNSUPPORTED);
		assert_int_equal(vd_disk_close(disk, NULL), 0);
		_exit(0);
	}
}

/* A program that locks itself up while requests are in line and in flight. */
static void a_ring_that_gets_forbidden_hands_over_to_the_pool(void **state)
{
	struct vd_queue_stats stats = {.size = sizeof(stats)};
	struct vd_request request;
	struct vd_queue *queue;
	struct vd_disk *disk;

	(void)state;
	if (!rig_has_uring())
		skip();
	if (!is_child())
		return;
	disk = rig_open(RIG_FIXED);
	queue = rig_queue(disk, VD_ENGINE_IO_URING, DEPTH, 2);
	use_it(queue);
	memset(many, 0xee, sizeof(many));
	for (int i = 0; i < DEPTH; i++) {
		request = rig_request(VD_REQUEST_READ, many[i], 4096, 7 * 4096, NULL);
		request.flags = VD_REQUEST_MORE;
		rig_submit(queue, request);
		if (i == DEPTH / 2)
			forbid(SYS_io_uring_enter, EPERM);
	}
	assert_int_equal(vd_queue_reap(queue, NULL, 100, 100, 20000), DEPTH);
	memset(bytes, 7, sizeof(bytes));
	for (int i = 0; i < DEPTH; i++)
		assert_memory_equal(many[i], bytes, sizeof(bytes));
	use_it(queue);
	vd_queue_get_stats(queue, &stats);
	assert_true(stats.n_completed_by_pool >= DEPTH);
	vd_queue_close(queue);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
	_exit(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(threads_stand_in_where_io_uring_is_forbidden),
	    cmocka_unit_test(a_ring_that_gets_forbidden_hands_over_to_the_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
