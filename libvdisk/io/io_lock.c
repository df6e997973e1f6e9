/* SPDX-License-Identifier: MIT */
/*
 * Locks as QEMU takes them (its file-posix driver), so that QEMU and we keep each other out.
 * Byte 100 + p of the file is read-locked by who uses permission p, byte 200 + p by who doesn't
 * share it with others; p: 0 consistent read, 1 write, 2 write unchanged, 3 resize. All are read
 * locks of the open file description, which never block each other: who wants in takes its own,
 * then asks whether anybody holds one that it can't live with, and withdraws if so. Two that come
 * at once may both withdraw, but never both stay.
 */
#include "io/io.h"

#include <fcntl.h>
#include <string.h>

#define USED(p)     (100 + (p))
#define UNSHARED(p) (200 + (p))

enum permission { READ = 0, WRITE = 1, RESIZE = 3 }; /* the ones that matter here */

struct rule {
	off_t held[5];    /* ended by 0 */
	off_t refused[6]; /* nobody may hold these */
};

static const struct rule rules[] = {
    [VD_IO_LOCK_NONE] = {{0}, {0}},
    [VD_IO_LOCK_SHARED] = {{USED(READ), UNSHARED(WRITE), UNSHARED(RESIZE), 0},
			   {UNSHARED(READ), USED(WRITE), USED(RESIZE), 0}},
    /* Five bytes held: the list is full and has no end mark. */
    [VD_IO_LOCK_EXCLUSIVE] = {{USED(READ), USED(WRITE), USED(RESIZE), UNSHARED(WRITE),
			       UNSHARED(RESIZE)},
			      {UNSHARED(READ), UNSHARED(WRITE), UNSHARED(RESIZE), USED(WRITE),
			       USED(RESIZE), 0}},
};

static const off_t all_bytes[] = {USED(READ),     USED(WRITE),     USED(RESIZE),
				  UNSHARED(READ), UNSHARED(WRITE), UNSHARED(RESIZE)};

static int set_lock(int fd, off_t byte, short type)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
	int ret;

	do {
		ret = fcntl(fd, F_OFD_SETLK, &lock);
	} while (ret && errno == EINTR);
	return ret ? -errno : 0;
}

/* 1: somebody else holds the byte. */
static int ask_lock(int fd, off_t byte)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

	if (fcntl(fd, F_OFD_GETLK, &lock))
		return -errno;
	return lock.l_type != F_UNLCK;
}

static bool holds(enum vd_io_lock lock, off_t byte)
{
	for (size_t i = 0; i < 5 && rules[lock].held[i]; i++)
		if (rules[lock].held[i] == byte)
			return true;
	return false;
}

/* Hold what `lock` holds and, where `other` is given, that too. */
static int hold(int fd, enum vd_io_lock lock, enum vd_io_lock other)
{
	for (size_t i = 0; i < sizeof(all_bytes) / sizeof(all_bytes[0]); i++) {
		off_t byte = all_bytes[i];
		int ret;

		if (holds(lock, byte) || holds(other, byte))
			ret = set_lock(fd, byte, F_RDLCK);
		else
			ret = set_lock(fd, byte, F_UNLCK);
		if (ret == -EAGAIN || ret == -EACCES) /* a write lock, not of QEMU's kind */
			return (int)byte;
		if (ret)
			return ret;
	}
	return 0;
}

/* The first byte that somebody holds against `lock`; 0: none. */
static int find_conflict(int fd, enum vd_io_lock lock)
{
	for (size_t i = 0; i < 6 && rules[lock].refused[i]; i++) {
		int ret = ask_lock(fd, rules[lock].refused[i]);

		if (ret)
			return ret < 0 ? ret : (int)rules[lock].refused[i];
	}
	return 0;
}

static int say_busy(int fd, enum vd_io_lock lock, int byte, struct vd_error *err)
{
	const char *why = byte == USED(WRITE) || byte == USED(RESIZE)
			      ? "which has it open for writing"
			  : lock == VD_IO_LOCK_EXCLUSIVE ? "which doesn't share it with a writer"
							 : "which doesn't share it";
	char who[128];

	/* The lock is held, and no process that we may look into has the file. */
	if (!vd_holder_find(fd, -1, byte, who, sizeof(who)))
		return vd_error_set(err, VD_EBUSY, 0, VD_NO_OFFSET,
				    "in use, and by no process that can be seen here: by another "
				    "host, another user or within a container, %s",
				    why);
	return vd_error_set(err, VD_EBUSY, 0, VD_NO_OFFSET, "in use by %s, %s", who, why);
}

int vd_file_lock(void *state, enum vd_io_lock lock, struct vd_error *err)
{
	struct vd_file *file = state;
	char buf[128];
	int result;

	if ((unsigned)lock > VD_IO_LOCK_EXCLUSIVE)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "no such kind of lock: %d",
				    (int)lock);
	/* Keep the old ones until the new ones are sure. */
	result = hold(file->fd, lock, file->lock);
	if (!result)
		result = find_conflict(file->fd, lock);
	if (result) {
		hold(file->fd, file->lock, VD_IO_LOCK_NONE);
	} else {
		hold(file->fd, lock, VD_IO_LOCK_NONE);
		file->lock = lock;
		return 0;
	}
	if (result > 0)
		return say_busy(file->fd, lock, result, err);
	if (vd_io_is_unsupported(result) || result == -EINVAL || result == -ENOLCK)
		return -EOPNOTSUPP;
	return vd_error_set(err, VD_EIO, -result, VD_NO_OFFSET, "can't be locked: %s",
			    strerror_r(-result, buf, sizeof(buf)));
}
