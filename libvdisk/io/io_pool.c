/* SPDX-License-Identifier: MIT */
/*
 * The threads of a queue. Jobs are taken in the order in which they came and handed back through a
 * list of finished ones, to the one thread that uses the queue. That thread sleeps on a condition
 * variable or, when a ring may wake it as well, in poll() on a descriptor that the pool writes to.
 */
#include "io/io_engine.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/deadline.h"

struct vd_pool {
	pthread_mutex_t mutex;
	pthread_cond_t work;     /* jobs came, or the end */
	pthread_cond_t finished; /* jobs ended */
	struct vd_job *first, **last;
	struct vd_job *done_first, **done_last;
	_Atomic bool has_done; /* done_first isn't NULL, to be asked without the lock */
	bool is_closing;
	bool is_polled; /* somebody waits in poll() */
	int eventfd;    /* the caller's, or -1 */
	int wake_fd;
	uint32_t n_idle, n_threads;
	pthread_t threads[];
};

/* An eventfd that is full is as readable as can be: nothing to do about a failure. */
static void wake(int fd)
{
	uint64_t one = 1;
	ssize_t n;

	do
		n = write(fd, &one, sizeof(one));
	while (n < 0 && errno == EINTR);
}

static struct vd_job *pop(struct vd_pool *pool)
{
	struct vd_job *job = pool->first;

	pool->first = job->next;
	if (!pool->first)
		pool->last = &pool->first;
	return job;
}

/* Under the lock, which it lets go to write to descriptors. */
static void put_done(struct vd_pool *pool, struct vd_job *job)
{
	bool is_polled = pool->is_polled;

	job->next = NULL;
	*pool->done_last = job;
	pool->done_last = &job->next;
	atomic_store_explicit(&pool->has_done, true, memory_order_release);
	pool->is_polled = false;
	pthread_cond_signal(&pool->finished);
	if (!is_polled && pool->eventfd < 0)
		return;
	pthread_mutex_unlock(&pool->mutex);
	if (is_polled)
		wake(pool->wake_fd);
	vd_pool_notify(pool);
	pthread_mutex_lock(&pool->mutex);
}

static void *work(void *arg)
{
	struct vd_pool *pool = arg;

	pthread_mutex_lock(&pool->mutex);
	for (;;) {
		struct vd_job *job;

		while (!pool->first && !pool->is_closing) {
			pool->n_idle++;
			pthread_cond_wait(&pool->work, &pool->mutex);
			pool->n_idle--;
		}
		if (!pool->first)
			break;
		job = pop(pool);
		pthread_mutex_unlock(&pool->mutex);
		job->run(job);
		pthread_mutex_lock(&pool->mutex);
		put_done(pool, job);
	}
	pthread_mutex_unlock(&pool->mutex);
	return NULL;
}

static int start_threads(struct vd_pool *pool, uint32_t n_threads, struct vd_error *err)
{
	sigset_t all, own;
	char buf[128];
	int ret = 0;

	/* Signals are the business of the program's own threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &own);
	while (!ret && pool->n_threads < n_threads) {
		ret = pthread_create(&pool->threads[pool->n_threads], NULL, work, pool);
		if (!ret)
			pthread_setname_np(pool->threads[pool->n_threads++], "vd-queue");
	}
	pthread_sigmask(SIG_SETMASK, &own, NULL);
	if (!ret)
		return 0;
	return vd_error_set(err, ret == ENOMEM ? VD_ENOMEM : VD_EIO, ret, VD_NO_OFFSET,
			    "can't start thread %u of %u of a queue: %s", pool->n_threads + 1,
			    n_threads, strerror_r(ret, buf, sizeof(buf)));
}

int vd_pool_open(struct vd_pool **out, uint32_t n_threads, int eventfd_of_caller,
		 struct vd_error *err)
{
	size_t size = sizeof(struct vd_pool) + n_threads * sizeof(pthread_t);
	struct vd_pool *pool = vd_calloc(1, size);
	int ret;

	if (!pool)
		return vd_no_memory(err, size, "the threads of a queue");
	pthread_mutex_init(&pool->mutex, NULL);
	vd_cond_init(&pool->work);
	vd_cond_init(&pool->finished);
	pool->last = &pool->first;
	pool->done_last = &pool->done_first;
	pool->eventfd = eventfd_of_caller;
	pool->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = pool->wake_fd < 0 ? vd_error_set(err, vd_code_from_errno(errno), errno, VD_NO_OFFSET,
					       "no eventfd can be had for a queue")
				: start_threads(pool, n_threads, err);
	if (ret)
		vd_pool_close(pool);
	else
		*out = pool;
	return ret;
}

void vd_pool_close(struct vd_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->mutex);
	pool->is_closing = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->mutex);
	for (uint32_t i = 0; i < pool->n_threads; i++)
		pthread_join(pool->threads[i], NULL);
	if (pool->wake_fd >= 0)
		close(pool->wake_fd);
	pthread_cond_destroy(&pool->work);
	pthread_cond_destroy(&pool->finished);
	pthread_mutex_destroy(&pool->mutex);
	vd_free(pool);
}

void vd_pool_add(struct vd_pool *pool, struct vd_job *job)
{
	job->next = NULL;
	pthread_mutex_lock(&pool->mutex);
	*pool->last = job;
	pool->last = &job->next;
	if (pool->n_idle)
		pthread_cond_signal(&pool->work);
	pthread_mutex_unlock(&pool->mutex);
}

bool vd_pool_take_back(struct vd_pool *pool, struct vd_job *job)
{
	struct vd_job **at;
	bool is_there;

	pthread_mutex_lock(&pool->mutex);
	for (at = &pool->first; *at && *at != job; at = &(*at)->next)
		;
	is_there = *at != NULL;
	if (is_there) {
		*at = job->next;
		if (pool->last == &job->next)
			pool->last = at;
	}
	pthread_mutex_unlock(&pool->mutex);
	return is_there;
}

struct vd_job *vd_pool_take(struct vd_pool *pool)
{
	struct vd_job *jobs;

	if (!atomic_load_explicit(&pool->has_done, memory_order_acquire))
		return NULL;
	pthread_mutex_lock(&pool->mutex);
	jobs = pool->done_first;
	pool->done_first = NULL;
	pool->done_last = &pool->done_first;
	atomic_store_explicit(&pool->has_done, false, memory_order_relaxed);
	pthread_mutex_unlock(&pool->mutex);
	return jobs;
}

static void wait_in_poll(struct vd_pool *pool, struct vd_ring *ring, uint64_t until)
{
	struct pollfd fds[2] = {{.fd = pool->wake_fd, .events = POLLIN},
				{.fd = vd_ring_descriptor(ring), .events = POLLIN}};
	uint64_t now = until ? vd_now_ns() : 0, left = until > now ? until - now : 0, count;
	struct timespec timeout = {(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
	bool has_done;

	pthread_mutex_lock(&pool->mutex);
	has_done = pool->done_first != NULL;
	pool->is_polled = !has_done;
	pthread_mutex_unlock(&pool->mutex);
	if (has_done)
		return;
	/* Whatever it returns, the caller looks at both. */
	(void)ppoll(fds, 2, until ? &timeout : NULL, NULL);
	pthread_mutex_lock(&pool->mutex);
	pool->is_polled = false;
	pthread_mutex_unlock(&pool->mutex);
	if (read(pool->wake_fd, &count, sizeof(count)) < 0)
		return; /* nothing in it: the ring or the time woke us */
}

void vd_pool_wait(struct vd_pool *pool, struct vd_ring *ring, uint64_t until)
{
	struct timespec end = {(time_t)(until / 1000000000u), (long)(until % 1000000000u)};

	if (ring) {
		wait_in_poll(pool, ring, until);
		return;
	}
	pthread_mutex_lock(&pool->mutex);
	if (!pool->done_first) {
		if (until)
			pthread_cond_timedwait(&pool->finished, &pool->mutex, &end);
		else
			pthread_cond_wait(&pool->finished, &pool->mutex);
	}
	pthread_mutex_unlock(&pool->mutex);
}

void vd_pool_notify(struct vd_pool *pool)
{
	if (pool->eventfd >= 0)
		wake(pool->eventfd);
}
