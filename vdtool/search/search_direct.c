/* SPDX-License-Identifier: MIT */
/*
 * Searching without a catalog: one thread walks the folders, several look into the images that it
 * finds, through a queue of bounded length; the caller's thread watches them. One that a file
 * system holds for longer than the time for an image is given up: its image is told as skipped,
 * another thread takes its place, and the search goes on. What it finds later is dropped.
 *
 * Locks: `lock` guards queue and threads, `out` everything that is told; never both at once.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "image.h"
#include "output.h"
#include "search_look.h"
#include "walk.h"

#define QUEUE_LEN   256u
#define JOBS_MAX    256u
#define HUNG_MAX    64u /* threads that may be given up */
#define TIMEOUT     30u /* s */
#define GRACE       1.0 /* s: the library's own deadline gets to speak first */
#define WATCH_MS    100
#define STOPPED     1
#define WORKERS_MAX (JOBS_MAX + HUNG_MAX)

/** An image that waits to be looked into. */
struct job {
	char *path;
	int64_t modified;
};

enum worker_state { WORKER_NONE, WORKER_RUNS, WORKER_ENDED, WORKER_HUNG };

struct worker {
	struct search *search;
	pthread_t thread;
	enum worker_state state;
	const char *path; /* of the image that it looks into, while `since` counts */
	double since;     /* 0: not with an image */
};

struct search {
	const struct search_plan *plan;
	search_hit_fn hit;
	void *user;
	struct search_stats *stats;
	uint32_t timeout_ms;

	pthread_mutex_t lock;
	pthread_cond_t can_take, can_put, changed;
	struct job queue[QUEUE_LEN];
	size_t first, n;
	bool is_walked; /* nothing more is put into the queue */
	bool is_ended;  /* nobody goes on */
	bool has_failed;
	struct worker workers[WORKERS_MAX];
	size_t n_workers, n_hung;

	pthread_t walker;
	enum worker_state walker_state;
	bool is_waiting; /* the walker waits for room in the queue */
	uint64_t n_seen, n_seen_before;
	double seen_since;

	pthread_mutex_t out;
};

uint32_t search_timeout_ms(const struct tool_args *args)
{
	uint64_t seconds = args->is_set[OPT_TIMEOUT] ? args->number[OPT_TIMEOUT] : TIMEOUT;

	return seconds > UINT32_MAX / 1000 ? UINT32_MAX : (uint32_t)seconds * 1000;
}

/** As many as processors that we may use. */
static size_t count_jobs(const struct tool_args *args)
{
	cpu_set_t set;
	size_t n = 1;

	if (args->is_set[OPT_JOBS])
		n = (size_t)args->number[OPT_JOBS];
	else if (sched_getaffinity(0, sizeof(set), &set) == 0)
		n = (size_t)CPU_COUNT(&set);
	return n < 1 ? 1 : n > JOBS_MAX ? JOBS_MAX : n;
}

static void end(struct search *search, bool has_failed)
{
	pthread_mutex_lock(&search->lock);
	search->has_failed |= has_failed;
	search->is_ended = true;
	pthread_cond_broadcast(&search->can_take);
	pthread_cond_broadcast(&search->can_put);
	pthread_mutex_unlock(&search->lock);
}

/* ---- the walker ---- */

/** Into the queue, when there is room. */
static int put_job(void *user, const struct walk_image *image)
{
	struct search *search = user;
	struct job job = {strdup(image->path), image->st.st_mtime};
	bool is_ended;

	if (!job.path)
		return -1;
	pthread_mutex_lock(&search->lock);
	search->is_waiting = true;
	while (search->n == QUEUE_LEN && !search->is_ended)
		pthread_cond_wait(&search->can_put, &search->lock);
	search->is_waiting = false;
	search->seen_since = tool_now();
	is_ended = search->is_ended || search->is_walked;
	if (!is_ended) {
		search->queue[(search->first + search->n++) % QUEUE_LEN] = job;
		pthread_cond_signal(&search->can_take);
	}
	pthread_mutex_unlock(&search->lock);
	if (is_ended)
		free(job.path);
	return is_ended ? STOPPED : 0;
}

static void tell_problem(void *user, const char *path, int error)
{
	struct search *search = user;
	char buf[128];

	pthread_mutex_lock(&search->out);
	search->stats->n_skipped++;
	if (error == ELOOP)
		tool_say(0, path,
			 "isn't looked into: it lies within itself, or too many folders deep");
	else
		tool_say(0, path, "can't be looked into: %s", strerror_r(error, buf, sizeof(buf)));
	pthread_mutex_unlock(&search->out);
}

static void *run_walker(void *arg)
{
	struct search *search = arg;
	const struct tool_args *args = search->plan->args;
	struct walk_opts opts = {.stays_on_fs = args->is_set[OPT_ONE_FS],
				 .excludes = args->excludes,
				 .n_excludes = args->n_excludes,
				 .n_seen = &search->n_seen};
	int rc = walk_tree(search->plan->paths, search->plan->n_paths, &opts, put_job, tell_problem,
			   search);

	pthread_mutex_lock(&search->lock);
	if (search->walker_state == WORKER_RUNS) {
		search->walker_state = WORKER_ENDED;
		search->has_failed |= rc < 0;
		search->is_walked = true;
		pthread_cond_broadcast(&search->can_take);
		pthread_cond_signal(&search->changed);
	}
	pthread_mutex_unlock(&search->lock);
	return NULL;
}

/* ---- those who look into images ---- */

/** The next image; false: there is none, or the thread was given up. */
static bool take_job(struct search *search, struct worker *worker, struct job *job)
{
	bool has;

	pthread_mutex_lock(&search->lock);
	while (!search->n && !search->is_walked && !search->is_ended)
		pthread_cond_wait(&search->can_take, &search->lock);
	has = search->n && !search->is_ended;
	if (has) {
		*job = search->queue[search->first];
		search->first = (search->first + 1) % QUEUE_LEN;
		search->n--;
		worker->path = job->path;
		worker->since = tool_now();
		if (search->n == QUEUE_LEN / 2) /* not a wake-up for each */
			pthread_cond_signal(&search->can_put);
	}
	pthread_mutex_unlock(&search->lock);
	return has;
}

/** Its time is not counted any more. False: it was given up, and isn't heard. */
static bool is_in_time(struct search *search, struct worker *worker)
{
	bool is;

	pthread_mutex_lock(&search->lock);
	is = worker->state == WORKER_RUNS;
	worker->since = 0;
	worker->path = NULL;
	pthread_mutex_unlock(&search->lock);
	return is;
}

static void tell(struct search *search, const struct search_looker *looker, const char *path,
		 const struct search_found *found, int rc, const struct vd_error *err)
{
	struct search_stats *stats = search->stats;
	struct search_hit hit = {path, looker->evidence.facts, looker->evidence.n, found->runs, 2};
	bool is_stopped;

	pthread_mutex_lock(&search->out);
	if (!stats->is_stopped && !(rc == VD_ENOENT && err->sys_errno == ENOENT)) {
		stats->n_images++;
		stats->n_no_index += found->lacks_file_index;
		if (rc) {
			stats->n_skipped++;
			tool_fail(path, err);
		} else if (found->is_match) {
			stats->n_found++;
			stats->is_stopped = search->hit(search->user, &hit) != 0;
		}
	}
	is_stopped = stats->is_stopped;
	pthread_mutex_unlock(&search->out);
	if (is_stopped)
		end(search, false);
}

static void *run_worker(void *arg)
{
	struct worker *worker = arg;
	struct search *search = worker->search;
	struct search_looker looker = {0};
	struct vd_error err = VD_ERROR_INIT;
	struct search_found found;
	int rc;
	struct job job;
	bool is_ours = !search_looker_init(&looker, search->plan, &err);

	if (!is_ours)
		end(search, true);
	while (is_ours && take_job(search, worker, &job)) {
		err = (struct vd_error)VD_ERROR_INIT;
		rc = search_look(&looker, job.path, job.modified, &found, &err);
		is_ours = is_in_time(search, worker);
		if (is_ours)
			tell(search, &looker, job.path, &found, rc, &err);
		search_look_end(&looker);
		free(job.path);
	}
	search_looker_free(&looker);
	pthread_mutex_lock(&search->lock);
	if (worker->state == WORKER_RUNS) {
		worker->state = WORKER_ENDED;
		pthread_cond_signal(&search->changed);
	}
	pthread_mutex_unlock(&search->lock);
	return NULL;
}

/** With the lock held. */
static bool start_worker(struct search *search)
{
	struct worker *worker = &search->workers[search->n_workers];

	worker->search = search;
	worker->state = WORKER_RUNS;
	if (pthread_create(&worker->thread, NULL, run_worker, worker) != 0) {
		worker->state = WORKER_NONE;
		return false;
	}
	search->n_workers++;
	return true;
}

/* ---- watching ---- */

static void tell_hung(struct search *search, const char *path, const char *what)
{
	pthread_mutex_lock(&search->out);
	search->stats->n_images += path != NULL;
	search->stats->n_skipped++;
	search->stats->has_hung = true;
	tool_say(0, path, "%s: no answer from the file system within %u s", what,
		 search->timeout_ms / 1000);
	pthread_mutex_unlock(&search->out);
}

/** A worker that is over its time is given up; another takes its place. Returns the path of its
 *  image, to be freed, or NULL. With the lock held. */
static char *give_up_worker(struct search *search, double limit, double now)
{
	for (size_t i = 0; i < search->n_workers; i++) {
		struct worker *worker = &search->workers[i];
		char *path;

		if (worker->state != WORKER_RUNS || !worker->since || now - worker->since < limit)
			continue;
		path = strdup(worker->path);
		worker->state = WORKER_HUNG;
		if (++search->n_hung > HUNG_MAX || !path || !start_worker(search))
			search->is_ended = search->has_failed = true;
		return path;
	}
	return NULL;
}

/** The walker too, if it sees nothing new. With the lock held. */
static bool give_up_walker(struct search *search, double limit, double now)
{
	uint64_t n_seen = __atomic_load_n(&search->n_seen, __ATOMIC_RELAXED);

	if (search->walker_state != WORKER_RUNS || search->is_waiting ||
	    n_seen != search->n_seen_before) {
		search->n_seen_before = n_seen;
		search->seen_since = now;
		return false;
	}
	if (now - search->seen_since < limit)
		return false;
	search->walker_state = WORKER_HUNG;
	search->is_walked = true;
	pthread_cond_broadcast(&search->can_take);
	return true;
}

static bool is_anyone_left(const struct search *search)
{
	bool is = search->walker_state == WORKER_RUNS;

	for (size_t i = 0; i < search->n_workers && !is; i++)
		is = search->workers[i].state == WORKER_RUNS;
	return is;
}

static void wait_a_little(struct search *search)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += WATCH_MS * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	pthread_cond_timedwait(&search->changed, &search->lock, &until);
}

/** Until all threads have ended or were given up. */
static void watch(struct search *search)
{
	double limit = search->timeout_ms / 1000.0 + GRACE;

	pthread_mutex_lock(&search->lock);
	while (is_anyone_left(search)) {
		double now = tool_now();
		char *path = give_up_worker(search, limit, now);
		bool is_walker = !path && give_up_walker(search, limit, now);

		if (!path && !is_walker) {
			wait_a_little(search);
			continue;
		}
		pthread_mutex_unlock(&search->lock);
		tell_hung(search, path, path ? "given up" : "the rest of the folders");
		free(path);
		if (search->n_hung > HUNG_MAX)
			end(search, true);
		pthread_mutex_lock(&search->lock);
	}
	pthread_mutex_unlock(&search->lock);
}

static void join(struct search *search)
{
	for (size_t i = 0; i < search->n_workers; i++) {
		if (search->workers[i].state == WORKER_ENDED)
			pthread_join(search->workers[i].thread, NULL);
	}
	if (search->walker_state == WORKER_ENDED)
		pthread_join(search->walker, NULL);
}

static bool start(struct search *search)
{
	size_t n = count_jobs(search->plan->args);

	pthread_mutex_lock(&search->lock);
	search->seen_since = tool_now();
	search->walker_state = WORKER_RUNS;
	if (pthread_create(&search->walker, NULL, run_walker, search) != 0)
		search->walker_state = WORKER_NONE;
	while (search->n_workers < n && start_worker(search))
		;
	pthread_mutex_unlock(&search->lock);
	return search->walker_state != WORKER_NONE && search->n_workers;
}

static void search_free(struct search *search)
{
	for (; search->n; search->n--, search->first++)
		free(search->queue[search->first % QUEUE_LEN].path);
	pthread_mutex_destroy(&search->lock);
	pthread_mutex_destroy(&search->out);
	pthread_cond_destroy(&search->can_take);
	pthread_cond_destroy(&search->can_put);
	pthread_cond_destroy(&search->changed);
	free(search);
}

int search_direct(const struct search_plan *plan, search_hit_fn hit, void *user,
		  struct search_stats *stats)
{
	struct search *search = calloc(1, sizeof(*search));
	bool has_failed;

	memset(stats, 0, sizeof(*stats));
	if (!search)
		return tool_say(TOOL_FAILED, NULL, "out of memory");
	search->plan = plan;
	search->hit = hit;
	search->user = user;
	search->stats = stats;
	search->timeout_ms = search_timeout_ms(plan->args);
	pthread_mutex_init(&search->lock, NULL);
	pthread_mutex_init(&search->out, NULL);
	pthread_cond_init(&search->can_take, NULL);
	pthread_cond_init(&search->can_put, NULL);
	pthread_cond_init(&search->changed, NULL);
	if (!start(search))
		end(search, true);
	watch(search);
	join(search);
	has_failed = search->has_failed;
	if (!stats->has_hung)
		search_free(search);
	return has_failed ? tool_say(TOOL_FAILED, NULL,
				     "the search was given up: there is no memory, no thread, or "
				     "too many images hang")
			  : TOOL_DONE;
}
