/* SPDX-License-Identifier: MIT */
#include "base/deadline.h"

#include <errno.h>
#include <time.h>

_Thread_local uint64_t vd_deadline;
_Thread_local bool vd_no_wait;

uint64_t vd_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int vd_deadline_check_slow(struct vd_error *err)
{
	if (vd_now_ns() < vd_deadline)
		return 0;
	return vd_error_set(err, VD_ETIMEDOUT, ETIMEDOUT, VD_NO_OFFSET,
			    "the deadline of this call has passed");
}

int vd_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	int ret;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	ret = pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
	return ret;
}

int vd_deadline_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, struct vd_error *err)
{
	struct timespec until = {(time_t)(vd_deadline / 1000000000u),
				 (long)(vd_deadline % 1000000000u)};

	if (!vd_deadline) {
		pthread_cond_wait(cond, mutex);
		return 0;
	}
	if (pthread_cond_timedwait(cond, mutex, &until) == ETIMEDOUT)
		return vd_deadline_check_slow(err);
	return 0;
}
