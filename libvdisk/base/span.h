/* SPDX-License-Identifier: MIT */
/* Bytes on their way into a decoder: a pointer that never travels without its length. */
#ifndef VD_BASE_SPAN_H
#define VD_BASE_SPAN_H

#include "base/private.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vd_span {
	const uint8_t *p;
	size_t len;
};

static inline struct vd_span vd_span(const void *p, size_t len)
{
	return (struct vd_span){(const uint8_t *)p, len};
}

/** The part [offset, offset + len) of s; false if it doesn't lie within. */
static inline bool vd_span_sub(struct vd_span s, uint64_t offset, uint64_t len,
			       struct vd_span *part)
{
	if (offset > s.len || len > s.len - offset)
		return false;
	part->p = s.p + offset;
	part->len = (size_t)len;
	return true;
}

VD_PRIVATE bool vd_is_zero(const void *p, size_t len);

#endif
