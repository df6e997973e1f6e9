/* SPDX-License-Identifier: MIT */
/* Clean-up attributes for memory and descriptors; goto is left for undoing what is on disk. */
#ifndef VD_BASE_CLEANUP_H
#define VD_BASE_CLEANUP_H

#include <unistd.h>

#include "base/alloc.h"

static inline void vd_cleanup_free(void *p)
{
	vd_free(*(void **)p);
}

static inline void vd_cleanup_free_aligned(void *p)
{
	vd_free_aligned(*(void **)p);
}

static inline void vd_cleanup_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define VD_AUTO_FREE         __attribute__((cleanup(vd_cleanup_free)))
#define VD_AUTO_FREE_ALIGNED __attribute__((cleanup(vd_cleanup_free_aligned)))
#define VD_AUTO_FD           __attribute__((cleanup(vd_cleanup_fd)))

/** Hand on what a VD_AUTO_* variable holds, so that its clean-up finds nothing. */
#define VD_TAKE(p)                                                                                 \
	__extension__({                                                                            \
		__typeof__(p) vd_taken_ = (p);                                                     \
		(p) = NULL;                                                                        \
		vd_taken_;                                                                         \
	})

#endif
