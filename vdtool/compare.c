/* SPDX-License-Identifier: MIT */
/*
 * Compare two disks along their maps: where both have nothing, nothing is read; where one has
 * nothing, the other must be zero.
 */
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "image.h"

#define PIECE ((size_t)1 << 20)

/** How much from `at` on is stored (true) or reads as zero (false); beyond the end: zero. */
static int look(struct vd_disk *disk, uint64_t at, uint64_t limit, bool *is_data, uint64_t *length,
		struct vd_error *err)
{
	struct vd_extent extent;
	int rc;

	*is_data = false;
	*length = limit;
	if (at >= vd_disk_size(disk))
		return 0;
	if (limit > vd_disk_size(disk) - at)
		limit = vd_disk_size(disk) - at;
	rc = vd_disk_map(disk, at, limit, &extent, err);
	if (rc)
		return rc;
	*is_data = extent.state != VD_STATE_ZERO && extent.state != VD_STATE_HOLE;
	*length = extent.length;
	return 0;
}

static size_t first_difference(const uint8_t *a, const uint8_t *b, size_t len)
{
	size_t i = 0;

	while (i < len && a[i] == b[i])
		i++;
	return i;
}

static size_t first_nonzero(const uint8_t *a, size_t len)
{
	size_t i = 0;

	while (i < len && !a[i])
		i++;
	return i;
}

/** Compare [at, at + len), of which disk k is stored if is_data[k]. */
static int compare_piece(struct vd_disk *const disks[2], const bool is_data[2], uint64_t at,
			 size_t len, uint8_t *buf[2], struct tool_difference *difference,
			 int *which, struct vd_error *err)
{
	size_t same = len;

	for (int k = 0; k < 2; k++) {
		int rc = is_data[k] ? vd_disk_read(disks[k], buf[k], len, at, err) : 0;

		*which = k;
		if (rc)
			return rc;
		difference->bytes_read += is_data[k] ? len : 0;
	}
	if (is_data[0] && is_data[1]) {
		if (memcmp(buf[0], buf[1], len) != 0)
			same = first_difference(buf[0], buf[1], len);
	} else if (!tool_is_zero(buf[is_data[1]], len)) {
		same = first_nonzero(buf[is_data[1]], len);
	}
	difference->is_different = same < len;
	difference->offset = at + same;
	return 0;
}

static int compare_all(struct vd_disk *const disks[2], uint8_t *buf[2],
		       struct tool_progress *progress, struct tool_difference *difference,
		       int *which, struct vd_error *err)
{
	uint64_t size[2] = {vd_disk_size(disks[0]), vd_disk_size(disks[1])};
	uint64_t end = size[0] > size[1] ? size[0] : size[1];
	uint64_t left[2] = {0, 0}; /* of the stretch that each is in */
	bool is_data[2] = {false, false};

	for (uint64_t at = 0; at < end && !difference->is_different;) {
		uint64_t len;
		int rc;

		for (int k = 0; k < 2; k++) {
			if (left[k])
				continue;
			*which = k;
			rc = look(disks[k], at, end - at, &is_data[k], &left[k], err);
			if (rc)
				return rc;
		}
		len = left[0] < left[1] ? left[0] : left[1];
		if (is_data[0] || is_data[1]) {
			if (len > PIECE)
				len = PIECE;
			rc = compare_piece(disks, is_data, at, (size_t)len, buf, difference, which,
					   err);
			if (rc)
				return rc;
		}
		left[0] -= len;
		left[1] -= len;
		at += len;
		tool_progress_update(progress, at);
	}
	return 0;
}

int tool_compare(struct vd_disk *const disks[2], struct tool_progress *progress,
		 struct tool_difference *difference, int *which, struct vd_error *err)
{
	uint8_t *memory = malloc(2 * PIECE);
	uint8_t *buf[2] = {memory, memory ? memory + PIECE : NULL};
	int rc;

	*difference = (struct tool_difference){false, 0, 0};
	*which = 0;
	if (!memory)
		return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
	rc = compare_all(disks, buf, progress, difference, which, err);
	free(memory);
	return rc;
}
