/* SPDX-License-Identifier: MIT */
/*
 * The copy pipeline. The reader cuts the source into chunks along its map: holes and zeros cost
 * nothing; data is read, and runs of non-zero bytes are picked out, so that the writer makes holes
 * of the rest. Where both files lie on a file system that shares extents, data isn't even read.
 * There is one writer, in order of offsets, so that the same source makes the same file.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <vdisk/sys/io.h>

#include "copy_chunk.h"
#include "image.h"

#define N_CHUNKS     4
#define SHARE_MAX    ((uint64_t)64 << 20) /* so that progress moves */
#define WRITE_BEHIND ((uint64_t)32 << 20)

/* A ring: chunks [n_taken, n_filled) wait for the writer. */
struct ring {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct chunk chunks[N_CHUNKS];
	unsigned n_filled, n_taken;
	bool is_stopped; /* the writer has failed */
	struct tool_copy *copy;
	bool is_sharing;
	struct vd_error err;        /* the reader's */
	_Atomic uint64_t n_written; /* bytes */
	uint64_t n_begun;           /* of these are on their way to disk; the reader's */
};

/** Pick out what isn't zero. */
static void find_runs(struct chunk *chunk)
{
	size_t n_zero = LEAST_HOLE; /* zeros before `at` in a row; enough, at the start */
	struct run *run = NULL;     /* the one that goes on */

	chunk->n_runs = 0;
	for (size_t at = 0; at < chunk->length; at += GRANULE) {
		size_t len = chunk->length - at < GRANULE ? (size_t)chunk->length - at : GRANULE;

		if (tool_is_zero(chunk->buf + at, len)) {
			n_zero += len;
			continue;
		}
		if (n_zero >= LEAST_HOLE) {
			run = &chunk->runs[chunk->n_runs++];
			run->offset = at;
		}
		run->length = at + len - run->offset;
		n_zero = 0;
	}
}

/** A chunk to fill; NULL when the writer has given up. */
static struct chunk *ring_free_chunk(struct ring *ring)
{
	struct chunk *chunk = NULL;

	pthread_mutex_lock(&ring->mutex);
	while (ring->n_filled - ring->n_taken == N_CHUNKS && !ring->is_stopped)
		pthread_cond_wait(&ring->changed, &ring->mutex);
	if (!ring->is_stopped)
		chunk = &ring->chunks[ring->n_filled % N_CHUNKS];
	pthread_mutex_unlock(&ring->mutex);
	return chunk;
}

static void ring_push(struct ring *ring)
{
	pthread_mutex_lock(&ring->mutex);
	ring->n_filled++;
	pthread_cond_signal(&ring->changed);
	pthread_mutex_unlock(&ring->mutex);
}

static struct chunk *ring_next(struct ring *ring)
{
	pthread_mutex_lock(&ring->mutex);
	while (ring->n_filled == ring->n_taken)
		pthread_cond_wait(&ring->changed, &ring->mutex);
	pthread_mutex_unlock(&ring->mutex);
	return &ring->chunks[ring->n_taken % N_CHUNKS];
}

static void ring_pop(struct ring *ring, bool stop)
{
	pthread_mutex_lock(&ring->mutex);
	ring->n_taken++;
	ring->is_stopped = stop;
	pthread_cond_signal(&ring->changed);
	pthread_mutex_unlock(&ring->mutex);
}

/** Have the kernel begin with the writing to disk now, beside our copying: only the end of the
 *  conversion syncs, and would else wait for all of it. The reader does it: it has time. */
static void write_behind(struct ring *ring)
{
	struct vd_disk *to = ring->copy->to;
	int fd = to && !ring->copy->is_unsynced ? vd_io_descriptor(vd_disk_io(to)) : -1;
	uint64_t n_written = atomic_load(&ring->n_written);

	if (fd < 0 || n_written - ring->n_begun < WRITE_BEHIND)
		return;
	sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* a hint: its result says nothing */
	ring->n_begun = n_written;
}

/** Hand on a chunk that was read. */
static void push_data(struct ring *ring, struct chunk *chunk, uint64_t offset, size_t length)
{
	chunk->kind = CHUNK_DATA;
	chunk->offset = offset;
	chunk->length = length;
	find_runs(chunk);
	ring_push(ring);
	write_behind(ring);
}

static bool emit(struct ring *ring, enum chunk_kind kind, uint64_t offset, uint64_t length, int rc)
{
	struct chunk *chunk = ring_free_chunk(ring);

	if (!chunk)
		return false;
	chunk->kind = kind;
	chunk->offset = offset;
	chunk->length = length;
	chunk->rc = rc;
	ring_push(ring);
	return true;
}

static int read_chunk(struct ring *ring, uint8_t *buf, size_t length, uint64_t offset)
{
	int rc = 0;

	for (size_t at = 0, len; at < length && !rc; at += len) {
		len = length - at < CHUNK_PIECE ? length - at : CHUNK_PIECE;
		rc = vd_disk_read(ring->copy->from, buf + at, len, offset + at, &ring->err);
	}
	return rc;
}

/** Read [offset, offset + length) and emit it. *goes_on is false when nobody wants more. */
static int emit_data(struct ring *ring, uint64_t offset, uint64_t length, bool *goes_on)
{
	while (length) {
		struct chunk *chunk = ring_free_chunk(ring);
		/* Chunks end at multiples of their size, as blocks do. */
		size_t len = CHUNK_SIZE - (size_t)(offset % CHUNK_SIZE);
		int rc;

		*goes_on = chunk != NULL;
		if (!chunk)
			return 0;
		if (len > length)
			len = (size_t)length;
		rc = read_chunk(ring, chunk->buf, len, offset);
		if (rc)
			return rc;
		push_data(ring, chunk, offset, len);
		offset += len;
		length -= len;
	}
	return 0;
}

/** Can the beginning of `extent` be shared? Extents are shared in whole pages of both files. Makes
 *  the extent shorter where its end, or its beginning, has to be copied instead. */
static bool can_share(const struct ring *ring, struct vd_extent *extent)
{
	uint64_t within = extent->start % GRANULE;

	if (!ring->is_sharing || extent->offset == VD_NO_OFFSET ||
	    extent->offset % GRANULE != within)
		return false;
	if (within || extent->length < GRANULE) {
		if (extent->length > GRANULE - within)
			extent->length = GRANULE - within;
		return false;
	}
	extent->length -= extent->length % GRANULE;
	return true;
}

static int read_disk(struct ring *ring)
{
	struct vd_disk *from = ring->copy->from;
	bool goes_on = true;
	uint64_t at = 0;

	while (goes_on && at < ring->copy->size) {
		struct vd_extent extent;
		uint64_t limit = ring->copy->size - at;
		int rc;

		if (ring->is_sharing && limit > SHARE_MAX)
			limit = SHARE_MAX;
		rc = vd_disk_map(from, at, limit, &extent, &ring->err);
		if (rc)
			return rc;
		if (extent.state == VD_STATE_ZERO || extent.state == VD_STATE_HOLE)
			goes_on = emit(ring, CHUNK_ZERO, at, extent.length, 0);
		else if (can_share(ring, &extent))
			goes_on = emit(ring, CHUNK_SHARE, at, extent.length, 0);
		else
			rc = emit_data(ring, at, extent.length, &goes_on);
		if (rc)
			return rc;
		at += extent.length;
	}
	return 0;
}

static int read_stdin(struct ring *ring)
{
	size_t n_read = 0;
	char beyond;
	int rc = 0;

	for (uint64_t at = 0; at < ring->copy->size && !rc; at += n_read) {
		struct chunk *chunk = ring_free_chunk(ring);
		uint64_t left = ring->copy->size - at;
		size_t len = left < CHUNK_SIZE ? (size_t)left : CHUNK_SIZE;

		if (!chunk)
			return 0;
		rc = tool_read_fd(STDIN_FILENO, chunk->buf, len, &n_read);
		if (!rc && n_read < len)
			return vd_error_set(&ring->err, VD_EIO, 0, VD_NO_OFFSET,
					    "ended after %" PRIu64 " bytes of %" PRIu64,
					    at + n_read, ring->copy->size);
		if (!rc)
			push_data(ring, chunk, at, n_read);
	}
	if (!rc)
		rc = tool_read_fd(STDIN_FILENO, &beyond, 1, &n_read);
	if (rc)
		return vd_error_set(&ring->err, vd_code_from_errno(rc), rc, VD_NO_OFFSET, "%s",
				    strerror(rc));
	if (n_read)
		return vd_error_set(&ring->err, VD_EIO, 0, VD_NO_OFFSET,
				    "goes on beyond the size of the disk, %" PRIu64 " bytes",
				    ring->copy->size);
	return 0;
}

static void *reader(void *arg)
{
	struct ring *ring = arg;
	int rc = ring->copy->from ? read_disk(ring) : read_stdin(ring);

	emit(ring, CHUNK_LAST, 0, 0, rc);
	return NULL;
}

/** The writer's side: until the last chunk or a failure. */
static int write_all(struct ring *ring, struct vd_error *err)
{
	struct tool_copy *copy = ring->copy;
	bool is_last = false;
	int rc = 0;

	while (!is_last && !rc) {
		struct chunk *chunk = ring_next(ring);

		is_last = chunk->kind == CHUNK_LAST;
		copy->has_failed_at_source = is_last;
		if (is_last) {
			rc = chunk->rc;
			if (rc && err)
				*err = ring->err;
		} else {
			rc = tool_chunk_write(copy, chunk, err);
			atomic_store(&ring->n_written, copy->bytes_written);
			tool_progress_update(copy->progress, chunk->offset + chunk->length);
		}
		ring_pop(ring, rc != 0);
	}
	return rc;
}

/** Do both files lie on one file system of those that share extents? Elsewhere a copy through the
 *  kernel is no faster than ours, which also finds zeros. */
static bool is_sharing_possible(const struct tool_copy *copy)
{
	static const long sharing[] = {0x58465342 /* XFS */, 0x9123683e /* btrfs */,
				       (long)0xca451a4e /* bcachefs */};
	struct stat from, to;
	struct statfs fs;
	int from_fd, to_fd;

	if (!copy->from || !copy->to)
		return false;
	from_fd = vd_io_descriptor(vd_disk_io(copy->from));
	to_fd = vd_io_descriptor(vd_disk_io(copy->to));
	if (from_fd < 0 || to_fd < 0 || fstat(from_fd, &from) != 0 || fstat(to_fd, &to) != 0 ||
	    from.st_dev != to.st_dev || fstatfs(to_fd, &fs) != 0)
		return false;
	for (size_t i = 0; i < sizeof(sharing) / sizeof(sharing[0]); i++) {
		if (fs.f_type == sharing[i])
			return true;
	}
	return false;
}

static int run_threads(struct ring *ring, struct vd_error *err)
{
	sigset_t all, old;
	pthread_t thread;
	int rc;

	/* Signals come to the writer's thread, where waiting for them makes sense. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&thread, NULL, reader, ring);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc)
		return vd_error_set(err, vd_code_from_errno(rc), rc, VD_NO_OFFSET,
				    "can't start a thread: %s", strerror(rc));
	rc = write_all(ring, err);
	if (rc && !ring->copy->from)
		pthread_cancel(thread); /* it may wait for stdin for ever */
	pthread_join(thread, NULL);
	return rc;
}

int tool_copy_run(struct tool_copy *copy, struct vd_error *err)
{
	struct ring *ring = calloc(1, sizeof(*ring));
	uint8_t *memory = aligned_alloc(4096, N_CHUNKS * CHUNK_SIZE);
	int rc;

	if (ring && memory) {
		pthread_mutex_init(&ring->mutex, NULL);
		pthread_cond_init(&ring->changed, NULL);
		ring->copy = copy;
		ring->is_sharing = is_sharing_possible(copy);
		for (size_t i = 0; i < N_CHUNKS; i++)
			ring->chunks[i].buf = memory + i * CHUNK_SIZE;
		if (copy->from && vd_io_descriptor(vd_disk_io(copy->from)) >= 0)
			posix_fadvise(vd_io_descriptor(vd_disk_io(copy->from)), 0, 0,
				      POSIX_FADV_SEQUENTIAL);
		rc = run_threads(ring, err);
	} else {
		rc = vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
	}
	free(memory);
	free(ring);
	return rc;
}
