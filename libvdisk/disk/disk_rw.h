/* SPDX-License-Identifier: MIT */
/* What reading and writing share with zeroing (the edges of sectors of a differencing image) and
 * with queues (places in the caller's memory). */
#ifndef VD_DISK_RW_H
#define VD_DISK_RW_H

#include "disk/disk.h"

#include <string.h>

/** Where in the caller's vector we are. */
struct vd_cursor {
	const struct iovec *iov;
	int n;
	size_t skip; /* bytes of iov[0] that are done */
};

static inline void vd_cursor_advance(struct vd_cursor *at, size_t len)
{
	at->skip += len;
	while (at->n && at->skip >= at->iov->iov_len) {
		at->skip -= at->iov->iov_len;
		at->iov++;
		at->n--;
	}
}

/** The next bytes, up to `len` of them, as at most `max` pieces. Returns how many bytes. */
static inline size_t vd_cursor_cut(const struct vd_cursor *at, size_t len, struct iovec *parts,
				   int max, int *n_parts)
{
	size_t total = 0, skip = at->skip;
	int n = 0;

	for (int i = 0; i < at->n && n < max && total < len; i++, skip = 0) {
		size_t part = at->iov[i].iov_len - skip;

		if (part > len - total)
			part = len - total;
		if (!part)
			continue;
		parts[n++] = (struct iovec){(char *)at->iov[i].iov_base + skip, part};
		total += part;
	}
	*n_parts = n;
	return total;
}

/** The next `len` bytes become zero; goes on behind them. */
static inline void vd_cursor_zero(struct vd_cursor *at, size_t len)
{
	while (len) {
		struct iovec part;
		int n;
		size_t total = vd_cursor_cut(at, len, &part, 1, &n);

		if (!n)
			return;
		memset(part.iov_base, 0, total);
		vd_cursor_advance(at, total);
		len -= total;
	}
}

/** A range as part of a sector, whole sectors, part of a sector. Without a parent it is all
 *  `middle`. */
struct vd_split {
	uint64_t head, middle, tail;
};
void vd_disk_split(const struct vd_disk *disk, uint64_t offset, uint64_t len,
		   struct vd_split *split);
/** Write zeros inside one sector of a differencing image. */
int vd_disk_zero_edge(struct vd_disk *disk, size_t len, uint64_t offset, struct vd_error *err);

#endif
