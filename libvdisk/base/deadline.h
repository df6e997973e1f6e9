/* SPDX-License-Identifier: MIT */
/*
 * The deadline of the call that this thread is in. The disk layer sets it around each public
 * call of a handle with a timeout; the I/O layer and whoever waits for another thread look at it.
 */
#ifndef VD_BASE_DEADLINE_H
#define VD_BASE_DEADLINE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <vdisk/error.h>

/** CLOCK_MONOTONIC nanoseconds; 0: none. */
/* initial-exec: read on every transfer, so spare the call that finds it in a shared library. */
extern _Thread_local uint64_t vd_deadline __attribute__((tls_model("initial-exec")));

/** Set while a thread asks for what can be had without waiting for a lock or a transfer: whoever
 *  would have to wait answers VD_WOULD_WAIT (no code of the interface, no text) and changes
 * nothing. */
extern _Thread_local bool vd_no_wait __attribute__((tls_model("initial-exec")));
#define VD_WOULD_WAIT 2

uint64_t vd_now_ns(void);
/** VD_ETIMEDOUT with a text once the deadline has passed, else 0. */
int vd_deadline_check_slow(struct vd_error *err);
static inline int vd_deadline_check(struct vd_error *err)
{
	return vd_deadline ? vd_deadline_check_slow(err) : 0;
}
/** A condition variable on CLOCK_MONOTONIC. */
int vd_cond_init(pthread_cond_t *cond);
/** Wait on `cond` until it is signalled (0) or the deadline passes (VD_ETIMEDOUT). */
int vd_deadline_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, struct vd_error *err);

#endif
