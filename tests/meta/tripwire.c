/* SPDX-License-Identifier: MIT */
/*
 * A file system that shows the files of one folder and notices who reads what:
 *
 *   tripwire FOLDER MOUNTPOINT RULES LOG      in the foreground, until it is unmounted
 *
 * RULES has a line "NAME OFFSET LENGTH" for each range that nobody may read; a read that touches
 * one fails with EIO. With "!" before NAME it is never answered instead (LOG: "hang"). LOG gets a
 * line "read NAME OFFSET LENGTH" or "trip NAME OFFSET LENGTH" for each. Nothing can be written.
 * Reads arrive as they were asked for (direct I/O, no read-ahead); what a mapping of a file touches
 * arrives too.
 */
#define FUSE_USE_VERSION 34
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define N_WIRES 256u

struct wire {
	char name[256];
	uint64_t from, len;
	bool hangs;
};

static struct wire wires[N_WIRES];
static size_t n_wires;
static int folder, log_fd;

static const struct wire *find_wire(const char *name, uint64_t from, uint64_t len)
{
	for (size_t i = 0; i < n_wires; i++) {
		const struct wire *w = &wires[i];

		if (!strcmp(w->name, name) && from < w->from + w->len && w->from < from + len)
			return w;
	}
	return NULL;
}

static int trip_getattr(const char *path, struct stat *st, struct fuse_file_info *file)
{
	(void)file;
	return fstatat(folder, path[1] ? path + 1 : ".", st, AT_SYMLINK_NOFOLLOW) ? -errno : 0;
}

static int trip_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t from,
			struct fuse_file_info *file, enum fuse_readdir_flags flags)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	(void)path, (void)from, (void)file, (void)flags;
	if (!dir)
		return -errno;
	while ((entry = readdir(dir)))
		fill(buf, entry->d_name, NULL, 0, 0);
	closedir(dir);
	return 0;
}

static int trip_open(const char *path, struct fuse_file_info *file)
{
	int fd;

	if ((file->flags & O_ACCMODE) != O_RDONLY)
		return -EROFS;
	fd = openat(folder, path + 1, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	file->fh = (uint64_t)fd;
	file->direct_io = 1;
	return 0;
}

static int trip_release(const char *path, struct fuse_file_info *file)
{
	(void)path;
	close((int)file->fh);
	return 0;
}

static int trip_read(const char *path, char *buf, size_t len, off_t offset,
		     struct fuse_file_info *file)
{
	const struct wire *wire = find_wire(path + 1, (uint64_t)offset, len);
	ssize_t n;

	/* One line by one write: nothing stays in memory if this ends. */
	if (dprintf(log_fd, "%s %s %jd %zu\n",
		    !wire         ? "read"
		    : wire->hangs ? "hang"
				  : "trip",
		    path + 1, (intmax_t)offset, len) < 0)
		return -EIO;
	while (wire && wire->hangs)
		pause();
	if (wire)
		return -EIO;
	n = pread((int)file->fh, buf, len, offset);
	return n < 0 ? -errno : (int)n;
}

static const struct fuse_operations operations = {
    .getattr = trip_getattr,
    .readdir = trip_readdir,
    .open = trip_open,
    .release = trip_release,
    .read = trip_read,
};

static int read_rules(const char *path)
{
	FILE *f = fopen(path, "re");
	struct wire w;
	int n = 3;

	if (!f)
		return -1;
	while (n == 3 && n_wires < N_WIRES) {
		n = fscanf(f, "%255s %" SCNu64 " %" SCNu64, w.name, &w.from, &w.len);
		w.hangs = n == 3 && w.name[0] == '!';
		if (w.hangs)
			memmove(w.name, w.name + 1, strlen(w.name));
		if (n == 3)
			wires[n_wires++] = w;
	}
	fclose(f);
	/* A rule that is not understood would be a wire that is missing. */
	return n == EOF ? 0 : -1;
}

int main(int argc, char **argv)
{
	char *args[] = {argv[0], "-f", "-s", "-o", "fsname=tripwire,attr_timeout=0", NULL, NULL};

	if (argc != 5 || read_rules(argv[3])) {
		fprintf(stderr,
			"usage: tripwire FOLDER MOUNTPOINT RULES LOG; a rule is NAME OFFSET "
			"LENGTH\n");
		return 2;
	}
	folder = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	log_fd = open(argv[4], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (folder < 0 || log_fd < 0) {
		perror("tripwire");
		return 1;
	}
	args[5] = argv[2];
	return fuse_main(6, args, &operations, NULL);
}
