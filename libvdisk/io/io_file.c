/* SPDX-License-Identifier: MIT */
/*
 * Files and block devices. Opening never waits and never touches a device that isn't a disk: the
 * kind of the file is asked before it is opened and again of the descriptor.
 */
#include "io/io.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/message.h"

static ssize_t file_read(void *state, void *buf, size_t len, uint64_t offset)
{
	const struct vd_file *file = state;
	ssize_t n = pread(file->fd, buf, len, (off_t)offset);

	return n < 0 ? -errno : n;
}

static ssize_t file_write(void *state, const void *buf, size_t len, uint64_t offset)
{
	const struct vd_file *file = state;
	ssize_t n = pwrite(file->fd, buf, len, (off_t)offset);

	return n < 0 ? -errno : n;
}

static ssize_t file_readv(void *state, const struct iovec *iov, int n_iov, uint64_t offset)
{
	const struct vd_file *file = state;
	ssize_t n = preadv(file->fd, iov, n_iov, (off_t)offset);

	return n < 0 ? -errno : n;
}

static ssize_t file_writev(void *state, const struct iovec *iov, int n_iov, uint64_t offset)
{
	const struct vd_file *file = state;
	ssize_t n = pwritev(file->fd, iov, n_iov, (off_t)offset);

	return n < 0 ? -errno : n;
}

/* fdatasync writes a changed length too; only times may be lost. */
static int file_sync(void *state)
{
	const struct vd_file *file = state;

	if (file->is_unsynced)
		return 0;
	return fdatasync(file->fd) ? -errno : 0;
}

static int file_length(void *state, uint64_t *length)
{
	const struct vd_file *file = state;
	struct stat st;

	if (file->is_device)
		return ioctl(file->fd, BLKGETSIZE64, length) ? -errno : 0;
	if (fstat(file->fd, &st))
		return -errno;
	*length = (uint64_t)st.st_size;
	return 0;
}

static int file_truncate(void *state, uint64_t length)
{
	const struct vd_file *file = state;

	return ftruncate(file->fd, (off_t)length) ? -errno : 0;
}

static void file_close(void *state)
{
	struct vd_file *file = state;
	int odd_fd = atomic_load(&file->odd_fd);

	if (odd_fd >= 0)
		close(odd_fd);
	close(file->fd);
	vd_free(file);
}

static int file_descriptor(void *state)
{
	return ((const struct vd_file *)state)->fd;
}

static const struct vd_io_ops file_ops = {
    .size = sizeof(struct vd_io_ops),
    .read = file_read,
    .write = file_write,
    .sync = file_sync,
    .length = file_length,
    .truncate = file_truncate,
    .close = file_close,
    .readv = file_readv,
    .writev = file_writev,
    .punch = vd_file_punch,
    .zero = vd_file_zero,
    .allocate = vd_file_allocate,
    .next_data = vd_file_next_data,
    .copy = vd_file_copy,
    .clone = vd_file_clone,
    .lock = vd_file_lock,
    .descriptor = file_descriptor,
    .allocated = vd_file_allocated,
};

static const char *kind_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "a folder";
	case S_IFIFO:
		return "a FIFO";
	case S_IFSOCK:
		return "a socket";
	case S_IFCHR:
		return "a character device";
	default:
		return "of an unknown kind";
	}
}

static int check_kind(const char *name, mode_t mode, struct vd_error *err)
{
	if (S_ISREG(mode) || S_ISBLK(mode))
		return 0;
	return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
			    "%s: is %s; an image is a file or a block device", name, kind_of(mode));
}

static int fail_open(const char *name, const char *doing, int sys_errno, struct vd_error *err)
{
	int code = vd_code_from_errno(sys_errno);
	char buf[128];

	if (sys_errno == EWOULDBLOCK)
		code = VD_EBUSY;
	if (sys_errno == EBUSY)
		return vd_error_set(
		    err, VD_EBUSY, EBUSY, VD_NO_OFFSET,
		    "%s: can't %s: the device is mounted, or another program has it", name, doing);
	if (sys_errno == ELOOP || sys_errno == ENAMETOOLONG)
		code = VD_ENOENT;
	return vd_error_set(err, code, sys_errno, VD_NO_OFFSET, "%s: can't %s: %s", name, doing,
			    strerror_r(sys_errno, buf, sizeof(buf)));
}

static void begin_direct(struct vd_io *io, struct vd_file *file)
{
	if (!vd_direct_begin(file->fd, file->is_device, &io->align, &io->mem_align)) {
		vd_message(VD_MESSAGE_WARNING,
			   "%s: O_DIRECT can't be had here, the page cache is used", io->name);
		return;
	}
	file->is_direct = true;
	io->write_odd = vd_file_write_odd;
	if (io->align > 1)
		atomic_fetch_or(&io->flags, VD_IO_F_ALIGN);
}

/* Takes over `fd`, which is open as `flags` say, also if it fails. */
static int file_new(struct vd_io **out, int fd, const char *name, uint32_t flags,
		    struct vd_error *err)
{
	VD_AUTO_FD int owned = fd;
	struct vd_file *file;
	struct vd_io *io;
	int sector, status, ret;
	struct stat st;

	status = fcntl(fd, F_GETFL);
	if (status < 0 || fstat(fd, &st))
		return fail_open(name, "look at it", errno, err);
	ret = check_kind(name, st.st_mode, err);
	if (ret)
		return ret;
	file = vd_calloc(1, sizeof(*file));
	if (!file)
		return vd_no_memory(err, sizeof(*file), "a file");
	file->fd = fd;
	owned = -1;
	atomic_init(&file->odd_fd, -1);
	file->is_device = S_ISBLK(st.st_mode);
	file->is_unsynced = flags & VD_IO_NO_SYNC;
	ret = vd_io_new(&io, &file_ops, file, name, (flags & VD_IO_WRITE) != 0, err);
	if (ret)
		return ret;
	io->is_device = file->is_device;
	if (file->is_device && !ioctl(fd, BLKSSZGET, &sector) && sector > 0)
		io->granule = (uint32_t)sector;
	if ((flags & VD_IO_DIRECT) || (status & O_DIRECT))
		begin_direct(io, file);
	*out = io;
	return 0;
}

int vd_io_open_file(struct vd_io **out, const char *path, uint32_t flags, struct vd_error *err)
{
	int how = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	struct stat st;
	int fd, ret;

	if (flags & VD_IO_CREATE) {
		flags |= VD_IO_WRITE;
		how |= O_CREAT | O_EXCL;
	} else {
		if (flags & VD_IO_NO_FOLLOW)
			how |= O_NOFOLLOW;
		if (fstatat(AT_FDCWD, path, &st, flags & VD_IO_NO_FOLLOW ? AT_SYMLINK_NOFOLLOW : 0))
			return fail_open(path, "open it", errno, err);
		if (S_ISLNK(st.st_mode))
			return vd_error_set(err, VD_EDENIED, ELOOP, VD_NO_OFFSET,
					    "%s: is a symbolic link, which is not followed here",
					    path);
		ret = check_kind(path, st.st_mode, err);
		if (ret)
			return ret;
		/* Of a device, O_EXCL keeps out (and off) whoever has it mounted. */
		if ((flags & VD_IO_WRITE) && S_ISBLK(st.st_mode))
			how |= O_EXCL;
	}
	how |= flags & VD_IO_WRITE ? O_RDWR : O_RDONLY;
	fd = open(path, how, 0644);
	if (fd < 0)
		return fail_open(path, flags & VD_IO_CREATE ? "create it" : "open it", errno, err);
	ret = fcntl(fd, F_SETFL, how & O_ACCMODE); /* O_NONBLOCK was for opening only */
	if (!ret)
		ret = file_new(out, fd, path, flags, err);
	else
		close(fd);
	if (ret && (flags & VD_IO_CREATE))
		unlink(path);
	return ret;
}

int vd_io_open_fd(struct vd_io **out, int fd, const char *name, uint32_t flags,
		  struct vd_error *err)
{
	char number[32];
	int status = fcntl(fd, F_GETFL), copy;

	if (!name) {
		snprintf(number, sizeof(number), "descriptor %d", fd);
		name = number;
	}
	if (flags & VD_IO_CREATE)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "%s: an open file can't be created", name);
	if (status < 0)
		return fail_open(name, "use it", errno, err);
	if ((status & O_PATH) || (status & O_ACCMODE) == O_WRONLY)
		return vd_error_set(err, VD_EDENIED, 0, VD_NO_OFFSET, "%s: isn't open for reading",
				    name);
	if ((flags & VD_IO_WRITE) && (status & O_ACCMODE) != O_RDWR)
		return vd_error_set(err, VD_EROFS, 0, VD_NO_OFFSET, "%s: isn't open for writing",
				    name);
	if ((flags & VD_IO_WRITE) && (status & O_APPEND))
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "%s: is open for appending, which ignores offsets", name);
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return fail_open(name, "duplicate it", errno, err);
	return file_new(out, copy, name, flags, err);
}
