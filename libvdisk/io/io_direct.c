/* SPDX-License-Identifier: MIT */
/* O_DIRECT: can it be had, what alignment does it want, and how to write where it can't reach. */
#include "io/io.h"

#include <assert.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"

/* struct statx has had these since Linux 6.1; not every libc's headers know. */
#define ASK_DIOALIGN  0x2000u
#define AT_MEM_ALIGN  0x98
#define AT_OFFS_ALIGN 0x9c
static_assert(sizeof(struct statx) == 256, "the kernel's struct statx is 256 bytes");

enum answer { ANSWER_NO, ANSWER_YES, ANSWER_UNKNOWN };

static enum answer ask_statx(int fd, uint32_t *align, uint32_t *mem_align)
{
	struct statx stx;

	memset(&stx, 0, sizeof(stx));
	if (statx(fd, "", AT_EMPTY_PATH, ASK_DIOALIGN, &stx) || !(stx.stx_mask & ASK_DIOALIGN))
		return ANSWER_UNKNOWN;
	memcpy(mem_align, (const char *)&stx + AT_MEM_ALIGN, sizeof(*mem_align));
	memcpy(align, (const char *)&stx + AT_OFFS_ALIGN, sizeof(*align));
	return *align ? ANSWER_YES : ANSWER_NO;
}

/* The smallest aligned read that isn't refused. An empty file refuses none: take 4096 then. */
static enum answer try_reads(int fd, uint32_t *align, uint32_t *mem_align)
{
	VD_AUTO_FREE_ALIGNED uint8_t *buf = vd_malloc_aligned(8192, 8192);
	struct stat st;
	uint32_t first;

	if (!buf || fstat(fd, &st))
		return ANSWER_NO;
	first = st.st_size >= 4096 ? 512 : 4096;
	for (uint32_t a = first; a <= 4096; a *= 2) {
		if (pread(fd, buf + a, a, a < 4096 ? a : 0) >= 0) {
			*align = *mem_align = a;
			return ANSWER_YES;
		}
		if (errno != EINVAL)
			break;
	}
	return ANSWER_NO;
}

static enum answer find_alignment(int fd, bool is_device, uint32_t *align, uint32_t *mem_align)
{
	enum answer answer = ask_statx(fd, align, mem_align);
	int sector;

	if (answer != ANSWER_UNKNOWN)
		return answer;
	if (is_device && !ioctl(fd, BLKSSZGET, &sector) && sector > 0) {
		*align = *mem_align = (uint32_t)sector;
		return ANSWER_YES;
	}
	return try_reads(fd, align, mem_align);
}

bool vd_direct_begin(int fd, bool is_device, uint32_t *align, uint32_t *mem_align)
{
	int status = fcntl(fd, F_GETFL);
	uint32_t a, m;

	if (status < 0 || (!(status & O_DIRECT) && fcntl(fd, F_SETFL, status | O_DIRECT)))
		return false;
	if (find_alignment(fd, is_device, &a, &m) != ANSWER_YES || !vd_is_pow2(a) ||
	    a > VD_IO_BOUNCE_MAX) {
		fcntl(fd, F_SETFL, status & ~O_DIRECT);
		return false;
	}
	/* Memory that a unit of the file can start anywhere in has to be aligned to both. */
	if (!vd_is_pow2(m))
		m = a;
	*align = a > m ? a : m;
	*mem_align = m;
	return *align <= VD_IO_BOUNCE_MAX;
}

/* The same file by way of the page cache. The kernel keeps the two coherent. */
static int odd_fd_of(struct vd_file *file)
{
	int fd = atomic_load(&file->odd_fd), none = -1;
	char path[48];

	if (fd >= 0)
		return fd;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file->fd);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || atomic_compare_exchange_strong(&file->odd_fd, &none, fd))
		return fd;
	close(fd);
	return none;
}

ssize_t vd_file_write_odd(void *state, const void *buf, size_t len, uint64_t offset)
{
	struct vd_file *file = state;
	int fd = odd_fd_of(file), status = -1;
	ssize_t n;

	if (fd < 0) {
		/* Without /proc or the right to open it again: lift O_DIRECT for a moment. That
		 * others then pass through the page cache as well does no harm. */
		fd = file->fd;
		status = fcntl(fd, F_GETFL);
		if (status < 0 || fcntl(fd, F_SETFL, status & ~O_DIRECT))
			return -errno;
	}
	n = pwrite(fd, buf, len, (off_t)offset);
	if (n < 0)
		n = -errno;
	if (status >= 0 && fcntl(fd, F_SETFL, status))
		return -errno;
	return n;
}
