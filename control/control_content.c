/* SPDX-License-Identifier: MIT */
/*
 * Content that is too much for a line travels as a file in memory, sealed: its length and bytes
 * can't change any more, and reading it waits for nobody. So the one who reads it needn't trust the
 * one who sent it; of any other descriptor (a pipe, a file of a slow or of this very mount) he
 * would have to.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static int failed(int sys_errno, struct vd_error *err)
{
	return vd_error_set(err, vd_code_from_errno(sys_errno), sys_errno, VD_NO_OFFSET,
			    "content for the control channel: %s", strerror(sys_errno));
}

int control_content_new(struct control_content *content, struct vd_error *err)
{
	content->length = 0;
	content->fd = memfd_create("vdisk-content", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return content->fd < 0 ? failed(errno, err) : 0;
}

int control_content_add(struct control_content *content, const void *bytes, size_t len,
			struct vd_error *err)
{
	if (len > CONTROL_CONTENT_MAX - content->length)
		return vd_error_set(err, VD_ENOSPC, 0, VD_NO_OFFSET,
				    "more than %u MiB for one request of the control channel",
				    CONTROL_CONTENT_MAX >> 20);
	while (len) {
		ssize_t n = pwrite(content->fd, bytes, len, (off_t)content->length);

		if (n < 0 && errno != EINTR)
			return failed(errno, err);
		if (n > 0) {
			bytes = (const char *)bytes + n;
			len -= (size_t)n;
			content->length += (uint64_t)n;
		}
	}
	return 0;
}

int control_content_seal(struct control_content *content, struct vd_error *err)
{
	return fcntl(content->fd, F_ADD_SEALS, SEALS) ? failed(errno, err) : 0;
}

int control_content_take(struct control_content *content, int fd, struct vd_error *err)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	*content = (struct control_content){.fd = -1};
	if (fd < 0)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "no descriptor of the content came with the request");
	if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st))
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "the content isn't a sealed file in memory (memfd_create)");
	if (st.st_size < 0 || (uint64_t)st.st_size > CONTROL_CONTENT_MAX)
		return vd_error_set(err, VD_ENOSPC, 0, VD_NO_OFFSET, "content of more than %u MiB",
				    CONTROL_CONTENT_MAX >> 20);
	content->fd = fd;
	content->length = (uint64_t)st.st_size;
	return 0;
}

int control_content_read(const struct control_content *content, uint64_t at, void *buf, size_t len,
			 struct vd_error *err)
{
	if (at > content->length || len > content->length - at)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "the stretch lies outside of the content");
	while (len) {
		ssize_t n = pread(content->fd, buf, len, (off_t)at);

		if (n == 0 || (n < 0 && errno != EINTR))
			return failed(n ? errno : EIO, err);
		if (n > 0) {
			buf = (char *)buf + n;
			len -= (size_t)n;
			at += (uint64_t)n;
		}
	}
	return 0;
}

void control_content_close(struct control_content *content)
{
	if (content->fd >= 0)
		close(content->fd);
	content->fd = -1;
}
