/* SPDX-License-Identifier: MIT */
/* Files and block devices: holes, reserved space, copies within the kernel. */
#include "io/io.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* The kernel zeroes what a range covers of its first and last block. */
static int change_space(const struct vd_file *file, int mode, uint64_t offset, uint64_t len)
{
	return fallocate(file->fd, mode, (off_t)offset, (off_t)len) ? -errno : 0;
}

int vd_file_punch(void *state, uint64_t offset, uint64_t len)
{
	return change_space(state, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len);
}

int vd_file_zero(void *state, uint64_t offset, uint64_t len)
{
	return change_space(state, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, len);
}

int vd_file_allocate(void *state, uint64_t offset, uint64_t len)
{
	const struct vd_file *file = state;

	/* All the space of a device is there. */
	return file->is_device ? 0 : change_space(file, FALLOC_FL_KEEP_SIZE, offset, len);
}

/* Moves the file position, which nothing else uses. */
static int64_t seek(const struct vd_file *file, uint64_t offset, int whence)
{
	off_t at = lseek(file->fd, (off_t)offset, whence);

	return at < 0 ? -errno : at;
}

int vd_file_next_data(void *state, uint64_t offset, uint64_t *start, uint64_t *end)
{
	const struct vd_file *file = state;

	if (file->is_device)
		return -EOPNOTSUPP;
	/* A hole punched between the two questions makes the data end where it starts: ask again.
	 */
	for (int tries = 0; tries < 100; tries++) {
		int64_t data = seek(file, offset, SEEK_DATA), hole;

		if (data < 0)
			return data == -EINVAL ? -EOPNOTSUPP : (int)data;
		hole = seek(file, (uint64_t)data, SEEK_HOLE);
		if (hole == -ENXIO) /* the file became shorter */
			continue;
		if (hole < 0)
			return (int)hole;
		if (hole > data) {
			*start = (uint64_t)data;
			*end = (uint64_t)hole;
			return 0;
		}
	}
	return -EOPNOTSUPP;
}

static bool can_clone(const struct vd_file *from, uint64_t offset, uint64_t to_offset, uint64_t len)
{
	struct stat st;

	/* Saves a call that must fail; clones have to be of whole blocks. */
	return !fstat(from->fd, &st) && st.st_blksize > 0 &&
	       (offset | to_offset | len) % (uint64_t)st.st_blksize == 0;
}

int vd_file_clone(void *state, uint64_t offset, void *to_state, uint64_t to_offset, uint64_t len)
{
	const struct vd_file *from = state, *to = to_state;
	struct file_clone_range range = {
	    .src_fd = from->fd,
	    .src_offset = offset,
	    .src_length = len,
	    .dest_offset = to_offset,
	};

	if (from->is_device || to->is_device || !can_clone(from, offset, to_offset, len))
		return -EOPNOTSUPP;
	return ioctl(to->fd, FICLONERANGE, &range) ? -errno : 0;
}

ssize_t vd_file_copy(void *state, uint64_t offset, void *to_state, uint64_t to_offset, uint64_t len)
{
	const struct vd_file *from = state, *to = to_state;
	loff_t in = (loff_t)offset, out = (loff_t)to_offset;
	ssize_t n;

	if (from->is_device || to->is_device)
		return -EOPNOTSUPP;
	/* Its copying by hand would go through the page cache, and wants alignment of its own. */
	if (from->is_direct || to->is_direct)
		return -EOPNOTSUPP;
	n = copy_file_range(from->fd, &in, to->fd, &out, len, 0);
	if (n >= 0)
		return n;
	switch (errno) {
	case EXDEV:
	case EINVAL:
	case ENOSYS:
	case EPERM:
	case ETXTBSY:
	case EBADF:
		return -EOPNOTSUPP;
	default:
		return -errno;
	}
}

int vd_file_allocated(void *state, uint64_t *bytes)
{
	const struct vd_file *file = state;
	struct stat st;

	if (file->is_device)
		return ioctl(file->fd, BLKGETSIZE64, bytes) ? -errno : 0;
	if (fstat(file->fd, &st))
		return -errno;
	*bytes = (uint64_t)st.st_blocks * 512;
	return 0;
}
