/* SPDX-License-Identifier: MIT */
/* Long work on the open image: one job at a time, in a thread of its own. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control.h"
#include "owner_own.h"

struct owner_job {
	const struct owner_job_ops *ops;
	struct owner *owner;
	json_t *params, *result;
	char *content; /* that came beside them, or NULL */
	size_t content_len;
	pthread_t thread;
	_Atomic bool is_cancelled;
	_Atomic uint64_t done, total;
	char what[96]; /* under the owner's lock, as the rest */
	bool is_over;
	int64_t started, ended;
	int code;
	struct vd_error err;
};

struct owner *owner_job_owner(struct owner_job *job)
{
	return job->owner;
}

const json_t *owner_job_params(struct owner_job *job)
{
	return job->params;
}

const char *owner_job_content(struct owner_job *job, size_t *len)
{
	*len = job->content_len;
	return job->content;
}

bool owner_job_is_cancelled(struct owner_job *job)
{
	return job->is_cancelled;
}

void owner_job_progress(struct owner_job *job, uint64_t done, uint64_t total, const char *what)
{
	job->done = done;
	job->total = total;
	if (!what)
		return;
	pthread_mutex_lock(&job->owner->lock);
	snprintf(job->what, sizeof(job->what), "%s", what);
	pthread_mutex_unlock(&job->owner->lock);
}

void owner_job_result(struct owner_job *job, const char *key, json_t *value)
{
	pthread_mutex_lock(&job->owner->lock);
	json_object_set_new(job->result, key, value);
	pthread_mutex_unlock(&job->owner->lock);
}

static void *run_job(void *user)
{
	struct owner_job *job = user;
	struct vd_error err = VD_ERROR_INIT;
	int code = job->ops->run(job, &err);

	pthread_mutex_lock(&job->owner->lock);
	job->is_over = true;
	job->ended = time(NULL);
	job->code = code;
	job->err = err;
	pthread_cond_broadcast(&job->owner->changed);
	pthread_mutex_unlock(&job->owner->lock);
	return NULL;
}

static void drop_job(struct owner_job *job)
{
	json_decref(job->params);
	json_decref(job->result);
	free(job->content);
	free(job);
}

static void free_job(struct owner_job *job)
{
	if (!job)
		return;
	pthread_join(job->thread, NULL);
	drop_job(job);
}

static const struct owner_job_ops *find_kind(const char *name)
{
	for (size_t i = 0; owner_job_kinds[i]; i++)
		if (!strcmp(owner_job_kinds[i]->name, name))
			return owner_job_kinds[i];
	return NULL;
}

/* With the lock held. `content` is taken if this succeeds. */
static int start_job(struct owner *owner, const struct owner_job_ops *ops, const json_t *params,
		     char *content, size_t len, struct vd_error *err)
{
	struct owner_job *job = calloc(1, sizeof(*job));
	sigset_t all, old;
	int rc;

	if (!job)
		return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
	*job = (struct owner_job){.ops = ops, .owner = owner, .started = time(NULL)};
	job->content = content;
	job->content_len = len;
	job->params = json_is_object(params) ? json_deep_copy(params) : json_object();
	job->result = json_object();
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	rc = pthread_create(&job->thread, NULL, run_job, job);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc) {
		job->content = NULL;
		drop_job(job);
		return vd_error_set(err, vd_code_from_errno(rc), rc, VD_NO_OFFSET,
				    "no thread for the job: %s", strerror(rc));
	}
	owner->job = job;
	return 0;
}

static int may_start(const struct owner *owner, const char *name, const struct owner_job_ops *ops,
		     struct vd_error *err)
{
	if (!ops)
		return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
				    "there is no job \"%.40s\" in this build of vdfuse", name);
	if (ops->needs_writing && !owner->is_writable)
		return vd_error_set(err, VD_EROFS, 0, VD_NO_OFFSET,
				    "\"%s\" needs the image open for writing", ops->name);
	return 0;
}

/* With the lock held. */
static int check_free(const struct owner *owner, struct vd_error *err)
{
	if (!owner->job || owner->job->is_over)
		return 0;
	return vd_error_set(err, VD_EBUSY, 0, VD_NO_OFFSET, "\"%s\" is running",
			    owner->job->ops->name);
}

int owner_job_ask(struct owner *owner, const char *name, const json_t *request,
		  struct vd_error *err)
{
	const struct owner_job_ops *ops = find_kind(name);
	const json_t *params = json_object_get(request, "params");
	enum vd_purpose action = ops && ops->action ? ops->action(params) : (enum vd_purpose)0;
	int rc = may_start(owner, name, ops, err);

	if (rc || !action)
		return rc;
	/* An override that stays in the history should have been for something. */
	pthread_mutex_lock(&owner->lock);
	rc = check_free(owner, err);
	pthread_mutex_unlock(&owner->lock);
	return rc ? rc : owner_policy_ask(owner, action, request, false, err);
}

int owner_job_start(struct owner *owner, const char *name, const json_t *params, char *content,
		    size_t len, struct vd_error *err)
{
	const struct owner_job_ops *ops = find_kind(name);
	struct owner_job *last = NULL;
	int rc = may_start(owner, name, ops, err);

	if (rc) {
		free(content);
		return rc;
	}
	pthread_mutex_lock(&owner->lock);
	rc = check_free(owner, err);
	if (!rc) {
		last = owner->job;
		owner->job = NULL;
		rc = start_job(owner, ops, params, content, len, err);
	}
	pthread_mutex_unlock(&owner->lock);
	if (rc)
		free(content);
	free_job(last);
	return rc;
}

int owner_job_cancel(struct owner *owner, struct vd_error *err)
{
	int rc = 0;

	pthread_mutex_lock(&owner->lock);
	if (owner->job && !owner->job->is_over)
		owner->job->is_cancelled = true;
	else
		rc = vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET, "no job is running");
	pthread_mutex_unlock(&owner->lock);
	return rc;
}

static const char *state_name(const struct owner_job *job)
{
	if (!job->is_over)
		return job->is_cancelled ? "cancelling" : "running";
	if (job->code == VD_ECANCELED)
		return "cancelled";
	return job->code ? "failed" : "done";
}

json_t *owner_job_status(struct owner *owner)
{
	json_t *o = json_null();
	struct owner_job *job;

	pthread_mutex_lock(&owner->lock);
	job = owner->job;
	if (job) {
		o = json_object();
		control_set_text(o, "name", job->ops->name);
		control_set_text(o, "state", state_name(job));
		control_set_number(o, "done", job->done);
		control_set_number(o, "total", job->total);
		control_set_text(o, "what", job->what);
		control_set_number(
		    o, "seconds",
		    (uint64_t)((job->is_over ? job->ended : time(NULL)) - job->started));
		if (job->is_over && job->code) {
			control_set_text(o, "code", vd_code_name(job->code));
			control_set_text(o, "error", job->err.text);
		}
		json_object_set_new(o, "result", json_deep_copy(job->result));
	}
	pthread_mutex_unlock(&owner->lock);
	return o;
}

void owner_jobs_end(struct owner *owner)
{
	struct owner_job *job;

	pthread_mutex_lock(&owner->lock);
	job = owner->job;
	owner->job = NULL;
	if (job)
		job->is_cancelled = true;
	pthread_mutex_unlock(&owner->lock);
	free_job(job);
}
