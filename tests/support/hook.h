/* SPDX-License-Identifier: MIT */
/*
 * A vd_io over another one that calls the test before and after each call: to let two things meet
 * at a chosen moment, without luck, or to let a chosen call fail.
 */
#ifndef TEST_HOOK_H
#define TEST_HOOK_H

#include <stdint.h>

#include <vdisk/sys/io.h>

enum hook_call { HOOK_READ, HOOK_WRITE, HOOK_SYNC, HOOK_TRUNCATE, HOOK_PUNCH, HOOK_ZERO };

struct hook {
	struct vd_io *under; /* borrowed */
	/** May be NULL. An answer other than 0 is the -errno of the call, which isn't made. */
	int (*before)(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len);
	/** The call is made, but the library doesn't know yet. The same. */
	int (*after)(struct hook *hook, enum hook_call call, uint64_t offset, uint64_t len);
	void *user;
};

/** NULL if the library fails. */
struct vd_io *hook_io(struct hook *hook);

#endif
