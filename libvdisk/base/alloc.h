/* SPDX-License-Identifier: MIT */
/*
 * Memory through the caller's hooks (vd_set_allocator). A size that an image had a say in is
 * bounded before it comes here.
 */
#ifndef VD_BASE_ALLOC_H
#define VD_BASE_ALLOC_H

#include "base/private.h"
#include <stddef.h>

#include <vdisk/error.h>

VD_PRIVATE void *vd_malloc(size_t size);
/** Zeroed. NULL also if n * size overflows. */
VD_PRIVATE void *vd_calloc(size_t n, size_t size);
VD_PRIVATE void *vd_realloc(void *old, size_t size);
VD_PRIVATE void vd_free(void *p);
VD_PRIVATE char *vd_strdup(const char *s);
/** Aligned to `align` (a power of two). Only vd_free_aligned takes it back. */
VD_PRIVATE void *vd_malloc_aligned(size_t align, size_t size);
VD_PRIVATE void vd_free_aligned(void *p);
/** Fill *err with "out of memory (N bytes for WHAT)" and return VD_ENOMEM. */
VD_PRIVATE int vd_no_memory(struct vd_error *err, size_t size, const char *what);

#endif
