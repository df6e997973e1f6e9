/* SPDX-License-Identifier: MIT */
/* What the programs that print rows share: rounds, medians, loops of reads. */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <vdisk/disk.h>
#include <vdisk/sys/io.h>

#define STRIDE (2101248u)
#define PIECE  4096u

static int n_rounds = 5;

static inline _Noreturn void fail(const char *what, const struct vd_error *err)
{
	fprintf(stderr, "bench: %s: %s\n", what, err ? err->text : "failed");
	exit(1);
}

static inline double seconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static inline int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static inline double median(double *values, int n)
{
	qsort(values, (size_t)n, sizeof(*values), by_value);
	return values[n / 2];
}

static inline struct vd_disk *open_disk(const char *path, uint32_t flags)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk;

	opts.flags = flags;
	if (vd_disk_open(&disk, path, &opts, &err))
		fail(path, &err);
	return disk;
}

static inline void close_disk(struct vd_disk *disk)
{
	struct vd_error err = VD_ERROR_INIT;

	if (vd_disk_close(disk, &err))
		fail("close", &err);
}

/* One way to read: a descriptor, or a disk. */
struct reader {
	int fd;
	struct vd_disk *disk;
	uint64_t size, n, first;
	uint64_t sum;
};

static inline void *read_loop(void *arg)
{
	struct reader *r = arg;
	struct vd_error err = VD_ERROR_INIT;
	uint64_t offset = r->first;
	uint64_t *buf = aligned_alloc(PIECE, PIECE);

	r->sum = 0;
	for (uint64_t i = 0; i < r->n; i++) {
		if (!r->disk && pread(r->fd, buf, PIECE, (off_t)offset) != PIECE)
			fail("pread", NULL);
		if (r->disk && vd_disk_read(r->disk, buf, PIECE, offset, &err))
			fail("read", &err);
		r->sum += buf[0] + 3 * buf[PIECE / 8 - 1];
		offset += STRIDE;
		if (offset + PIECE > r->size)
			offset = r->first;
	}
	free(buf);
	return NULL;
}

/* `n_threads` read loops at once; wall (or CPU) seconds. */
static inline double time_readers(struct reader *r, int n_threads, clockid_t clock, uint64_t *sum)
{
	pthread_t thread[8];
	struct reader own[8];
	double start = seconds(clock), end;

	*sum = 0;
	for (int i = 0; i < n_threads; i++) {
		own[i] = *r;
		own[i].first = (uint64_t)i * PIECE;
		if (n_threads == 1)
			read_loop(&own[i]);
		else if (pthread_create(&thread[i], NULL, read_loop, &own[i]))
			fail("pthread_create", NULL);
	}
	for (int i = 0; i < n_threads && n_threads > 1; i++)
		pthread_join(thread[i], NULL);
	end = seconds(clock);
	for (int i = 0; i < n_threads; i++)
		*sum += own[i].sum;
	return end - start;
}

static inline void row(const char *work, const char *ours, const char *peer, double ratio,
		       const char *target, int is_met)
{
	const char *met = target[0] == '-' ? "-" : is_met ? "yes" : "NO";

	printf("%s|%s|%s|%.2f|%s|%s\n", work, ours, peer, ratio, target, met);
}

/* VD_BENCH_ROUNDS. */
static inline void read_rounds(void)
{
	const char *rounds = getenv("VD_BENCH_ROUNDS");

	if (rounds && atoi(rounds) > 0 && atoi(rounds) <= 64)
		n_rounds = atoi(rounds);
}

#endif
