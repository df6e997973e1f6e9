/* SPDX-License-Identifier: MIT */
/*
 * copies IMAGE FOLDER FIRST N: N copies of a small image, FOLDER/dNNNN/iNN.vhdx, a hundred a
 * folder, numbered from FIRST. Only what isn't a hole is written: many in a second, without a
 * process each.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECES_MAX 64

struct piece {
	off_t offset;
	size_t len;
	char *bytes;
};

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

/* What the file holds between its holes. */
static int take_pieces(int fd, struct piece *pieces)
{
	off_t at = 0, end;
	int n = 0;

	while (n < PIECES_MAX && (at = lseek(fd, at, SEEK_DATA)) >= 0) {
		struct piece *piece = &pieces[n++];

		end = lseek(fd, at, SEEK_HOLE);
		piece->offset = at;
		piece->len = (size_t)(end - at);
		piece->bytes = malloc(piece->len);
		if (!piece->bytes || pread(fd, piece->bytes, piece->len, at) != end - at)
			die("read");
		at = end;
	}
	return n;
}

static void write_copy(const char *path, off_t size, const struct piece *pieces, int n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || ftruncate(fd, size))
		die(path);
	for (int i = 0; i < n; i++) {
		if (pwrite(fd, pieces[i].bytes, pieces[i].len, pieces[i].offset) !=
		    (ssize_t)pieces[i].len)
			die(path);
	}
	close(fd);
}

int main(int argc, char **argv)
{
	struct piece pieces[PIECES_MAX];
	struct stat st;
	char path[4096];
	int fd, n, first, count;

	if (argc != 5)
		return 2;
	fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		die(argv[1]);
	n = take_pieces(fd, pieces);
	first = atoi(argv[3]);
	count = atoi(argv[4]);
	mkdir(argv[2], 0777);
	for (int i = first; i < first + count; i++) {
		snprintf(path, sizeof(path), "%s/d%04d", argv[2], i / 100);
		mkdir(path, 0777);
		snprintf(path, sizeof(path), "%s/d%04d/i%02d.vhdx", argv[2], i / 100, i % 100);
		write_copy(path, st.st_size, pieces, n);
	}
	return 0;
}
