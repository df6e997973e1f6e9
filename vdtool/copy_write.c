/* SPDX-License-Identifier: MIT */
/* Chunks to the target: into a disk, or to stdout. See copy_chunk.h. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vdisk/sys/io.h>

#include "copy_chunk.h"
#include "image.h"

#define LEAST_RESERVED ((size_t)256 << 10)

/** Share [at, at + *length) of the source's file; *length becomes how much it was. */
static int share_some(struct tool_copy *copy, uint64_t at, uint64_t *length, struct vd_error *err)
{
	struct vd_mapping source, target;
	uint64_t n_shared = 0;
	int rc, released;

	copy->has_failed_at_source = true;
	rc = vd_disk_resolve(copy->from, at, *length, VD_ACCESS_READ, &source, err);
	if (rc)
		return rc;
	*length = source.length;
	if (source.state != VD_STATE_DATA)
		return vd_disk_release(copy->from, &source, VD_OUTCOME_READ, err);
	copy->has_failed_at_source = false;
	rc = vd_disk_resolve(copy->to, at, *length, VD_ACCESS_WRITE, &target, err);
	if (rc == 0) {
		*length = target.length;
		rc = vd_io_copy(source.io, source.io_offset, target.io, target.io_offset, *length,
				&n_shared, err);
		released =
		    vd_disk_release(copy->to, &target, rc ? VD_OUTCOME_FAILED : VD_OUTCOME_WRITTEN,
				    rc ? NULL : err);
		rc = rc ? rc : released;
	}
	vd_disk_release(copy->from, &source, VD_OUTCOME_READ, NULL);
	copy->bytes_shared += n_shared;
	copy->bytes_written += *length - n_shared;
	return rc;
}

/** A long run. Its space is reserved in one piece before it is written: with delayed allocation the
 *  kernel would count each of its blocks (a third of the work of writing them: measured, ext4). */
static int write_reserved(struct vd_disk *to, const uint8_t *buf, size_t length, uint64_t offset,
			  struct vd_error *err)
{
	while (length) {
		struct vd_mapping target;
		int released, fd, rc;

		rc = vd_disk_resolve(to, offset, length, VD_ACCESS_WRITE, &target, err);
		if (rc)
			return rc;
		fd = vd_io_descriptor(target.io);
		/* A hint. Where it can't be done writing does without, and says if the host is
		 * full. */
		if (fd >= 0)
			fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)target.io_offset,
				  (off_t)target.length);
		for (size_t at = 0, len; at < target.length && !rc; at += len) {
			len = (size_t)target.length - at;
			len = len < CHUNK_PIECE ? len : CHUNK_PIECE;
			rc = vd_io_write(target.io, buf + at, len, target.io_offset + at, err);
		}
		released = vd_disk_release(to, &target, rc ? VD_OUTCOME_FAILED : VD_OUTCOME_WRITTEN,
					   rc ? NULL : err);
		if (rc || released)
			return rc ? rc : released;
		buf += target.length;
		offset += target.length;
		length -= (size_t)target.length;
	}
	return 0;
}

static int write_run(struct tool_copy *copy, const uint8_t *buf, size_t length, uint64_t offset,
		     struct vd_error *err)
{
	/* Only where the source ends inside a sector is something left. */
	size_t whole = length < LEAST_RESERVED ? 0 : length - length % GRANULE;
	int rc = write_reserved(copy->to, buf, whole, offset, err);

	if (!rc && whole < length)
		rc = vd_disk_write(copy->to, buf + whole, length - whole, offset + whole, err);
	copy->bytes_written += length;
	return rc;
}

static int write_to_disk(struct tool_copy *copy, const struct chunk *chunk, struct vd_error *err)
{
	int rc = 0;

	for (size_t i = 0; chunk->kind == CHUNK_DATA && i < chunk->n_runs && !rc; i++) {
		const struct run *run = &chunk->runs[i];

		rc = write_run(copy, chunk->buf + run->offset, run->length,
			       chunk->offset + run->offset, err);
	}
	for (uint64_t done = 0; chunk->kind == CHUNK_SHARE && done < chunk->length && !rc;) {
		uint64_t length = chunk->length - done;

		rc = share_some(copy, chunk->offset + done, &length, err);
		done += length;
	}
	return rc;
}

/** Zeros to stdout: a hole where it is a fresh part of a file. 0 or an errno. */
static int zeros_to_stdout(uint64_t length, bool is_end)
{
	static const uint8_t zeros[64 << 10];
	struct stat st;
	off_t at = lseek(STDOUT_FILENO, 0, SEEK_CUR);
	int flags = fcntl(STDOUT_FILENO, F_GETFL);

	if (at >= 0 && flags >= 0 && !(flags & O_APPEND) && fstat(STDOUT_FILENO, &st) == 0 &&
	    S_ISREG(st.st_mode) && st.st_size <= at) {
		if (lseek(STDOUT_FILENO, (off_t)length, SEEK_CUR) < 0)
			return errno;
		return is_end && ftruncate(STDOUT_FILENO, at + (off_t)length) != 0 ? errno : 0;
	}
	for (int rc; length; length -= rc ? 0 : length < sizeof(zeros) ? length : sizeof(zeros)) {
		rc = tool_write_fd(STDOUT_FILENO, zeros,
				   length < sizeof(zeros) ? (size_t)length : sizeof(zeros));
		if (rc)
			return rc;
	}
	return 0;
}

/** The chunk's bytes, in order. 0 or an errno. */
static int chunk_to_stdout(const struct chunk *chunk, bool is_end)
{
	size_t n_runs = chunk->kind == CHUNK_DATA ? chunk->n_runs : 0;
	uint64_t done = 0;
	int rc = 0;

	for (size_t i = 0; i < n_runs && !rc; i++) {
		const struct run *run = &chunk->runs[i];

		if (run->offset > done)
			rc = zeros_to_stdout(run->offset - done, false);
		if (!rc)
			rc = tool_write_fd(STDOUT_FILENO, chunk->buf + run->offset, run->length);
		done = run->offset + run->length;
	}
	return rc || done == chunk->length ? rc : zeros_to_stdout(chunk->length - done, is_end);
}

int tool_chunk_write(struct tool_copy *copy, const struct chunk *chunk, struct vd_error *err)
{
	int rc;

	if (copy->to)
		return write_to_disk(copy, chunk, err);
	rc = chunk_to_stdout(chunk, chunk->offset + chunk->length == copy->size);
	if (rc) {
		copy->sys_errno = rc;
		return vd_error_set(err, vd_code_from_errno(rc), rc, VD_NO_OFFSET, "%s",
				    strerror(rc));
	}
	copy->bytes_written += chunk->length;
	return 0;
}
