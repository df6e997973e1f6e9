/* SPDX-License-Identifier: MIT */
/* The life of an image: transfers of all shapes, what the map claims. See life.h. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "life.h"
#include "stamp.h"

#define MIB ((uint64_t)1 << 20)

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

static bool failed(struct life *life, const char *what, struct window range,
		   const struct vd_error *err)
{
	return life_fail(life, "%s [%" PRIu64 ", +%" PRIu64 "): %s: %s", what, range.offset,
			 range.len, vd_code_name(err->code), err->text);
}

/* Cut `len` bytes anywhere; some pieces are empty. Returns how many pieces. */
static int cut_vector(struct life *life, uint8_t *buf, size_t len, struct iovec *iov, int max)
{
	int n = (int)rnd_below(&life->random, (uint64_t)max) + 1;
	size_t at = 0;

	for (int i = 0; i < n; i++) {
		size_t piece = (size_t)rnd_below(&life->random, (len - at) * 2 / (size_t)n + 2);

		if (piece > len - at || i == n - 1)
			piece = len - at;
		iov[i] = (struct iovec){buf + at, piece};
		at += piece;
	}
	return n;
}

bool life_write_vector(struct life *life)
{
	struct window range = life_range(life, life->max_write);
	uint32_t generation = ++life->w.generation;
	uint8_t *buf = must(malloc((size_t)range.len));
	struct vd_error err = VD_ERROR_INIT;
	struct iovec iov[40];
	int n = cut_vector(life, buf, (size_t)range.len, iov, 40), rc;

	life_tell(life, "writev %" PRIu64 " +%" PRIu64 " in %d parts, generation %" PRIu32,
		  range.offset, range.len, n, generation);
	stamp_fill(buf, (size_t)range.len, range.offset, generation, life->seed);
	rc = vd_disk_writev(life->w.disk, iov, n, range.offset, &err);
	free(buf);
	if (rc < 0)
		return failed(life, "writev", range, &err);
	model_write(life->w.model, range.offset, range.len, generation);
	return true;
}

/* Up to four pieces that begin and end at any byte, in any order, written or zeroed. */
bool life_write_pieces(struct life *life)
{
	struct window range = life_range(life, life->max_write);
	bool is_zero = rnd_below(&life->random, 4) == 0;
	uint32_t generation = is_zero ? 0 : ++life->w.generation;
	uint8_t *buf = must(malloc((size_t)range.len));
	struct vd_error err = VD_ERROR_INIT;
	struct iovec iov[4];
	int n = cut_vector(life, buf, (size_t)range.len, iov, 4), rc = 0;
	int first = (int)rnd_below(&life->random, (uint64_t)n);

	stamp_fill(buf, (size_t)range.len, range.offset, generation, life->seed);
	for (int k = 0; k < n && !rc; k++) {
		const struct iovec *piece = &iov[(first + k) % n];
		uint64_t at = range.offset + (uint64_t)((uint8_t *)piece->iov_base - buf);

		life_tell(life, "%s piece %" PRIu64 " +%zu, generation %" PRIu32,
			  is_zero ? "zero" : "write", at, piece->iov_len, generation);
		if (is_zero)
			rc = vd_disk_write_zeroes(life->w.disk, at, piece->iov_len,
						  rnd(&life->random) & 1 ? VD_ZERO_KEEP_SPACE : 0,
						  &err);
		else
			rc = vd_disk_write(life->w.disk, piece->iov_base, piece->iov_len, at, &err);
	}
	free(buf);
	if (rc < 0)
		return failed(life, "a piece of", range, &err);
	model_write(life->w.model, range.offset, range.len, generation);
	return true;
}

/* Sectors against the model, then any bytes of them, as one buffer and as a vector. */
bool life_read(struct life *life)
{
	struct window range = life_range(life, MIB);
	size_t len = (size_t)range.len, from = (size_t)rnd_below(&life->random, range.len);
	size_t part = (size_t)rnd_below(&life->random, range.len - from + 1);
	uint8_t *whole = must(malloc(len)), *other = must(malloc(len + 1));
	struct vd_error err = VD_ERROR_INIT;
	struct iovec iov[24];
	int n = cut_vector(life, other, part, iov, 24);
	bool ok;

	life_tell(life, "read %" PRIu64 " +%zu, and %zu +%zu of it", range.offset, len, from, part);
	memset(other, 0xa5, len + 1);
	if (vd_disk_read(life->w.disk, whole, len, range.offset, &err) < 0 ||
	    vd_disk_readv(life->w.disk, iov, n, range.offset + from, &err) < 0)
		ok = failed(life, "read", range, &err);
	else if (!model_allows(life->w.model, MODEL_LIVE, whole, len, range.offset, life->text,
			       sizeof(life->text)))
		ok = false;
	else if (memcmp(other, whole + from, part) != 0 || other[part] != 0xa5)
		ok = life_fail(life, "readv at %" PRIu64 " +%zu gives other bytes than read",
			       range.offset + from, part);
	else
		ok = true;
	free(whole);
	free(other);
	return ok;
}

/* The part of an extent within a window: the bytes that it promises, against the model. */
static bool check_part(struct life *life, const struct vd_extent *extent, struct window part,
		       int fd)
{
	uint8_t *buf = must(malloc(MIB));
	char text[800];
	bool ok = true;

	for (uint64_t done = 0, n; ok && done < part.len; done += n) {
		uint64_t at = part.offset + done;
		off_t offset = (off_t)(extent->offset + (at - extent->start));

		n = part.len - done < MIB ? part.len - done : MIB;
		memset(buf, 0, (size_t)n);
		if (extent->state == VD_STATE_DATA && pread(fd, buf, (size_t)n, offset) < 0)
			ok = life_fail(life, "pread at %jd", (intmax_t)offset);
		else if (!model_allows(life->w.model, MODEL_LIVE, buf, (size_t)n, at, text,
				       sizeof(text)))
			ok = life_fail(life,
				       "map: %" PRIu64 " +%" PRIu64
				       " is %s at depth %u, offset 0x%" PRIx64 ": %s",
				       extent->start, extent->length, vd_state_name(extent->state),
				       extent->depth, extent->offset, text);
	}
	free(buf);
	return ok;
}

/* Data is what lies in the file; for the rest only the windows can be other than zero. */
static bool check_extent(struct life *life, const struct vd_extent *extent, const int *fds)
{
	uint64_t end = extent->start + extent->length;
	bool ok = true;

	if (extent->state == VD_STATE_PARENT)
		return life_fail(life, "map: a parent that is open is said not to be");
	if (extent->state == VD_STATE_DATA) {
		if (extent->depth > life->depth || extent->offset == VD_NO_OFFSET)
			return life_fail(life, "map: data at depth %u, offset %" PRIu64,
					 extent->depth, extent->offset);
		return check_part(life, extent, (struct window){extent->start, extent->length},
				  fds[extent->depth]);
	}
	for (size_t i = 0; ok && i < life->w.n_windows; i++) {
		const struct window *window = &life->windows[i];
		uint64_t from = extent->start > window->offset ? extent->start : window->offset;
		uint64_t to =
		    window->offset + window->len < end ? window->offset + window->len : end;

		if (from < to)
			ok = check_part(life, extent, (struct window){from, to - from}, -1);
	}
	return ok;
}

bool life_map(struct life *life)
{
	int fds[LIFE_MAX_DEPTH + 1];
	struct vd_error err = VD_ERROR_INIT;
	uint64_t size = life->create.virtual_size;
	bool ok = true;

	life_tell(life, "map");
	for (unsigned i = 0; i <= life->depth; i++)
		fds[i] = open(life_path(life, i), O_RDONLY | O_CLOEXEC);
	for (uint64_t at = 0; ok && at < size;) {
		struct vd_extent extent;

		if (vd_disk_map(life->w.disk, at, size - at, &extent, &err) < 0)
			ok = failed(life, "map", (struct window){at, size - at}, &err);
		else if (extent.start != at || !extent.length || extent.length > size - at)
			ok = life_fail(life, "map at %" PRIu64 " answers %" PRIu64 " +%" PRIu64, at,
				       extent.start, extent.length);
		else
			ok = check_extent(life, &extent, fds);
		at += extent.length;
		life->count->extents++;
	}
	for (unsigned i = 0; i <= life->depth; i++)
		close(fds[i]);
	return ok;
}
