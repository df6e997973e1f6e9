/* SPDX-License-Identifier: MIT */
/* Failing calls: see fault.h. */
#include "fault.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vdisk/error.h>

const char *fault_call_name(enum fault_call call)
{
	static const char *const names[] = {"read",  "write",    "sync",   "truncate",
					    "punch", "allocate", "length", "memory"};

	return call <= FAULT_N_CALLS ? names[call] : "?";
}

void fault_arm(struct fault *fault, enum fault_call call, uint64_t nth, int error)
{
	fault->call = call;
	fault->nth = nth;
	fault->error = error;
	fault->n_hit = 0;
}

void fault_disarm(struct fault *fault)
{
	fault->call = FAULT_N_CALLS;
}

/* 0, or the -errno that this call has to give. */
static int strike(struct fault *fault, enum fault_call call)
{
	fault->n_calls[call]++;
	if (fault->call != call || !fault->nth)
		return 0;
	if (fault->nth > 1) {
		fault->nth--;
		return 0;
	}
	fault->n_hit++;
	if (!fault->is_sticky)
		fault->nth = 0;
	return -fault->error;
}

static ssize_t on_read(void *state, void *buf, size_t len, uint64_t offset)
{
	struct fault *fault = state;
	uint64_t length = store_length(fault->store);
	int rc = strike(fault, FAULT_READ);

	if (rc)
		return rc;
	if (offset >= length)
		return 0;
	if (len > length - offset)
		len = (size_t)(length - offset);
	store_read(fault->store, buf, len, offset);
	return (ssize_t)len;
}

static ssize_t on_write(void *state, const void *buf, size_t len, uint64_t offset)
{
	struct fault *fault = state;
	int rc = strike(fault, FAULT_WRITE);

	if (rc && fault->is_short)
		store_write(fault->store, buf, len / 2, offset);
	if (rc)
		return rc;
	store_write(fault->store, buf, len, offset);
	return (ssize_t)len;
}

static int on_sync(void *state)
{
	return strike(state, FAULT_SYNC);
}

static int on_length(void *state, uint64_t *length)
{
	*length = store_length(((struct fault *)state)->store);
	return strike(state, FAULT_LENGTH);
}

static int on_truncate(void *state, uint64_t length)
{
	int rc = strike(state, FAULT_TRUNCATE);

	if (!rc)
		store_truncate(((struct fault *)state)->store, length);
	return rc;
}

static int on_zero(void *state, uint64_t offset, uint64_t len)
{
	int rc = strike(state, FAULT_PUNCH);

	if (!rc)
		store_zero(((struct fault *)state)->store, offset, len);
	return rc;
}

static int on_allocate(void *state, uint64_t offset, uint64_t len)
{
	struct store *store = ((struct fault *)state)->store;
	int rc = strike(state, FAULT_ALLOCATE);

	if (!rc && offset + len > store_length(store))
		store_truncate(store, offset + len);
	return rc;
}

static int on_next_data(void *state, uint64_t offset, uint64_t *start, uint64_t *end)
{
	struct store *store = ((struct fault *)state)->store;

	return store_next_data(store, offset, start, end) ? 0 : -ENXIO;
}

static void on_close(void *state)
{
	(void)state;
}

struct vd_io *fault_io(struct fault *fault)
{
	static const struct vd_io_ops ops = {
	    .size = sizeof(ops),
	    .read = on_read,
	    .write = on_write,
	    .sync = on_sync,
	    .length = on_length,
	    .truncate = on_truncate,
	    .close = on_close,
	    .punch = on_zero,
	    .zero = on_zero,
	    .allocate = on_allocate,
	    .next_data = on_next_data,
	};
	struct vd_io *io = NULL;

	return vd_io_open_ops(&io, &ops, fault, "faulty", true, NULL) == 0 ? io : NULL;
}

static _Atomic size_t n_blocks;
static _Atomic uint64_t countdown, n_hits;
static atomic_bool is_sticky_fault;

static bool refuse(void)
{
	uint64_t left = atomic_load(&countdown);

	if (!left)
		return false;
	if (left > 1) {
		atomic_fetch_sub(&countdown, 1);
		return false;
	}
	if (!atomic_load(&is_sticky_fault))
		atomic_store(&countdown, 0);
	atomic_fetch_add(&n_hits, 1);
	return true;
}

static void *mem_alloc(void *user, size_t size)
{
	void *p = refuse() ? NULL : malloc(size);

	(void)user;
	if (p)
		atomic_fetch_add(&n_blocks, 1);
	return p;
}

static void *mem_resize(void *user, void *old, size_t size)
{
	void *p = refuse() ? NULL : realloc(old, size);

	(void)user;
	if (p && !old)
		atomic_fetch_add(&n_blocks, 1);
	return p;
}

static void mem_release(void *user, void *old)
{
	(void)user;
	if (old)
		atomic_fetch_sub(&n_blocks, 1);
	free(old);
}

void fault_memory_watch(void)
{
	static const struct vd_allocator allocator = {mem_alloc, mem_resize, mem_release, NULL};

	vd_set_allocator(&allocator);
}

size_t fault_memory_blocks(void)
{
	return atomic_load(&n_blocks);
}

void fault_memory_fail(uint64_t nth, bool is_sticky)
{
	atomic_store(&is_sticky_fault, is_sticky);
	atomic_store(&n_hits, 0);
	atomic_store(&countdown, nth);
}

uint64_t fault_memory_hits(void)
{
	return atomic_load(&n_hits);
}

void fault_hold_minimum(const char *name, const unsigned points[FAULT_N_CALLS], unsigned memory)
{
	const char *top = getenv("TOP");
	char path[4096], wanted[300], now[300];
	bool is_there = false;
	int n = snprintf(now, sizeof(now), "%s:", name);
	FILE *file;

	for (enum fault_call call = 0; call <= FAULT_N_CALLS; call++)
		n += snprintf(now + n, sizeof(now) - (size_t)n, " %u %s,",
			      call < FAULT_N_CALLS ? points[call] : memory, fault_call_name(call));
	now[n - 1] = '\0';
	print_message("%s\n", now);
	snprintf(path, sizeof(path), "%s/tests/fault/injection_points.txt", top ? top : ".");
	file = fopen(path, "r");
	if (!file)
		fail_msg("%s can't be read (TOP is the source tree)", path);
	while (fgets(wanted, sizeof(wanted), file)) {
		size_t len = strlen(name);
		char *at = wanted + len;

		if (strncmp(wanted, name, len) != 0 || *at++ != ':')
			continue;
		is_there = true;
		for (enum fault_call call = 0; call <= FAULT_N_CALLS; call++) {
			unsigned long least = strtoul(at, &at, 10);

			if ((call < FAULT_N_CALLS ? points[call] : memory) < least)
				fail_msg("%s: only %s; there were %s", name, now, wanted);
			at = strchr(at, ',') ? strchr(at, ',') + 1 : at;
		}
	}
	fclose(file);
	if (!is_there)
		fail_msg("%s has no line of '%s'", path, name);
}

void fault_strike_begin(struct fault *fault, const struct fault_strike *strike)
{
	fault->is_sticky = strike->is_sticky;
	fault->is_short = strike->nth % 2 == 0;
	if (strike->call == FAULT_N_CALLS)
		fault_memory_fail(strike->nth, strike->is_sticky);
	else
		fault_arm(fault, strike->call, strike->nth, strike->error);
}

bool fault_strike_end(struct fault *fault, const struct fault_strike *strike)
{
	bool is_hit = strike->call == FAULT_N_CALLS ? fault_memory_hits() > 0 : fault->n_hit > 0;

	fault_memory_fail(0, false);
	fault_disarm(fault);
	return is_hit;
}

static bool is_right_code(const struct fault_strike *strike, int code)
{
	if (strike->call == FAULT_N_CALLS)
		return code == VD_ENOMEM;
	if (strike->call == FAULT_SYNC && (code == VD_EIO || code == VD_EPOISONED))
		return true;
	return code == (strike->error == ENOSPC ? VD_ENOSPC : VD_EIO);
}

void fault_strike_judge(const struct fault_strike *strike, bool is_hit, const char *name,
			const struct vd_error *failure)
{
	const char *call = fault_call_name(strike->call);

	if (failure && !is_hit)
		fail_msg("%s: fails without a fault: %s", name, failure->text);
	if (failure && (!is_right_code(strike, failure->code) || !failure->text[0]))
		fail_msg("%s: %s %" PRIu64 " fails with errno %d, the answer is %s: %s", name, call,
			 strike->nth, strike->error, vd_code_name(failure->code), failure->text);
	if (!failure && is_hit && strike->call == FAULT_SYNC)
		fail_msg("%s: sync %" PRIu64 " fails, and the answer is success", name,
			 strike->nth);
}

unsigned fault_strike_all(struct fault_strike strike,
			  bool (*once)(const struct fault_strike *strike, const void *operation),
			  const void *operation)
{
	unsigned n = 0;

	for (strike.nth = 1; once(&strike, operation); strike.nth++)
		assert_true(++n < 5000);
	return n;
}
