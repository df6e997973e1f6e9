/* SPDX-License-Identifier: MIT */
/*
 * What can only be timed inside a process. Prints one row a line, fields separated by '|':
 * work | ours | peer | ratio | target | met. Called by tests/bench/run, which makes the files.
 */
#include "bench_rows.h"

/* Rows: reads against pread, CPU over pread, two threads against one. */
static void bench_reads(const char *image, const char *raw, uint64_t n)
{
	double ours[64], floor_s[64], cpu[64], cpu_floor[64], two[64], two_floor[64];
	struct reader disk = {.fd = -1, .disk = open_disk(image, 0), .n = n};
	struct reader plain = {.fd = open(raw, O_RDONLY | O_CLOEXEC), .n = n};
	uint64_t sum, sum_raw, sum_two;
	char a[96], b[96];

	disk.size = plain.size = vd_disk_size(disk.disk);
	if (plain.fd < 0)
		fail(raw, NULL);
	time_readers(&plain, 1, CLOCK_MONOTONIC, &sum_raw);
	time_readers(&disk, 1, CLOCK_MONOTONIC, &sum);
	if (sum != sum_raw)
		fail("what was read differs", NULL);
	for (int i = 0; i < n_rounds; i++) {
		floor_s[i] = time_readers(&plain, 1, CLOCK_MONOTONIC, &sum_raw);
		ours[i] = time_readers(&disk, 1, CLOCK_MONOTONIC, &sum);
		two[i] = time_readers(&disk, 2, CLOCK_MONOTONIC, &sum_two);
		two_floor[i] = time_readers(&plain, 2, CLOCK_MONOTONIC, &sum_two);
		cpu_floor[i] = time_readers(&plain, 1, CLOCK_PROCESS_CPUTIME_ID, &sum_raw);
		cpu[i] = time_readers(&disk, 1, CLOCK_PROCESS_CPUTIME_ID, &sum);
	}
	double o = median(ours, n_rounds), f = median(floor_s, n_rounds), t = median(two, n_rounds);
	double over = (median(cpu, n_rounds) - median(cpu_floor, n_rounds)) / (double)n * 1e9;

	snprintf(a, sizeof(a), "%.3f s (sum %llx)", o, (unsigned long long)sum);
	snprintf(b, sizeof(b), "pread loop %.3f s", f);
	row("reads of 4 KiB, stride 2 MiB + 4 KiB, hot, in process", a, b, f / o, ">= 0.9x",
	    f / o >= 0.9);
	snprintf(a, sizeof(a), "%.0f ns over pread", over);
	row("CPU time of one such read", a, "-", over / 60, "<= 60 ns", over <= 60);
	snprintf(a, sizeof(a), "2 x %llu in %.3f s", (unsigned long long)n, t);
	/* What the kernel gives two threads on one descriptor is the most there is to have. */
	snprintf(b, sizeof(b), "1 x in %.3f s; pread loops %.2fx", o,
		 2 * f / median(two_floor, n_rounds));
	row("two threads on one handle, reads a second", a, b, 2 * o / t, ">= 1.8x",
	    2 * o / t >= 1.8);
	close_disk(disk.disk);
	close(plain.fd);
}

static void bench_chain(const char *image, const char *chain, uint64_t n)
{
	double one[64], many[64];
	struct reader single = {.fd = -1, .disk = open_disk(image, 0), .n = n};
	struct reader top = {.fd = -1, .disk = open_disk(chain, 0), .n = n};
	uint64_t sum, sum_top;
	char a[96], b[96];

	single.size = top.size = vd_disk_size(single.disk);
	time_readers(&single, 1, CLOCK_MONOTONIC, &sum);
	time_readers(&top, 1, CLOCK_MONOTONIC, &sum_top);
	if (sum != sum_top)
		fail("the chain reads other bytes", NULL);
	for (int i = 0; i < n_rounds; i++) {
		one[i] = time_readers(&single, 1, CLOCK_MONOTONIC, &sum);
		many[i] = time_readers(&top, 1, CLOCK_MONOTONIC, &sum_top);
	}
	double o = median(one, n_rounds), m = median(many, n_rounds);

	snprintf(a, sizeof(a), "%.3f s", m);
	snprintf(b, sizeof(b), "single image %.3f s", o);
	row("the same reads through a chain of 16", a, b, o / m, ">= 0.8x", o / m >= 0.8);
	close_disk(single.disk);
	close_disk(top.disk);
}

static void bench_open(const char *image)
{
	double each[64];
	char a[96];

	for (int i = 0; i < n_rounds; i++) {
		double start = seconds(CLOCK_MONOTONIC);

		for (int k = 0; k < 100; k++)
			close_disk(open_disk(image, 0));
		each[i] = (seconds(CLOCK_MONOTONIC) - start) / 100;
	}
	double m = median(each, n_rounds) * 1e3;

	snprintf(a, sizeof(a), "%.3f ms", m);
	row("open + close a 1 TiB image", a, "-", m / 0.3, "<= 0.3 ms", m <= 0.3);
}

/* Random reads over the BAT of a 64 TiB image: how many reads a miss costs, how much memory. */
static void bench_huge(const char *image, uint64_t n)
{
	struct vd_disk *disk = open_disk(image, 0);
	struct vd_disk_stats stats = {.size = sizeof(stats)};
	struct vd_error err = VD_ERROR_INIT;
	struct vd_io_stats before, after;
	uint64_t x = 88172645463325252u, size = vd_disk_size(disk);
	struct rusage usage;
	char buf[512], a[96];

	vd_io_get_stats(vd_disk_io(disk), &before);
	for (uint64_t i = 0; i < n; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		if (vd_disk_read(disk, buf, sizeof(buf), x % (size / 512) * 512, &err))
			fail("read", &err);
	}
	vd_io_get_stats(vd_disk_io(disk), &after);
	vd_disk_get_stats(disk, &stats);
	getrusage(RUSAGE_SELF, &usage);
	double per_miss = (double)(after.n_reads - before.n_reads) /
			  (double)(stats.n_cache_misses ? stats.n_cache_misses : 1);

	snprintf(a, sizeof(a), "%.2f preads a miss", per_miss);
	row("random reads over the BAT of 64 TiB", a, "-", per_miss / 2, "<= 2", per_miss <= 2);
	snprintf(a, sizeof(a), "%.1f MiB resident", (double)usage.ru_maxrss / 1024);
	row("memory after 10^6 of them", a, "-", (double)usage.ru_maxrss / 1024 / 64, "<= 64 MiB",
	    usage.ru_maxrss <= 64 * 1024);
	close_disk(disk);
}

/* Counts that don't depend on the machine: syncs and log bytes of allocating writes. */
static void bench_commits(const char *image)
{
	struct vd_disk *disk = open_disk(image, VD_OPEN_WRITE);
	struct vd_disk_stats first = {.size = sizeof(first)}, last = first;
	struct vd_error err = VD_ERROR_INIT;
	char buf[PIECE], a[96];
	int n_flushes = 200, n_writes = 0;

	memset(buf, 7, sizeof(buf));
	if (vd_disk_write(disk, buf, PIECE, 0, &err) || vd_disk_flush(disk, &err))
		fail("first flush", &err);
	vd_disk_get_stats(disk, &first);
	for (int i = 0; i < n_flushes; i++) {
		for (int k = 0; k < 10; k++, n_writes++)
			if (vd_disk_write(disk, buf, PIECE, (uint64_t)(n_writes + 1) << 21, &err))
				fail("write", &err);
		if (vd_disk_flush(disk, &err))
			fail("flush", &err);
	}
	vd_disk_get_stats(disk, &last);
	double syncs =
	    (double)(last.n_syncs - first.n_syncs - 4 * (last.n_log_laps - first.n_log_laps)) /
	    n_flushes;
	/* 10 neighbouring entries lie in one page of the BAT, now and then in two. */
	double bytes = (double)(last.n_log_bytes - first.n_log_bytes) / n_flushes;

	snprintf(a, sizeof(a), "%.2f (+ 4 for each of %llu laps)", syncs,
		 (unsigned long long)(last.n_log_laps - first.n_log_laps));
	row("syncs a flush that has allocations", a, "-", syncs / 2, "<= 2", syncs <= 2);
	snprintf(a, sizeof(a), "%.0f bytes", bytes);
	row("log bytes a flush of 10 neighbouring blocks", a, "-", bytes / 8192,
	    "4 KiB + 4 KiB a page", bytes <= 8192 * 1.1);
	vd_disk_get_stats(disk, &first);
	for (int i = 0; i < n_flushes; i++)
		if (vd_disk_write(disk, buf, PIECE, (uint64_t)i << 21, &err) ||
		    vd_disk_flush(disk, &err))
			fail("overwrite", &err);
	vd_disk_get_stats(disk, &last);
	syncs = (double)(last.n_syncs - first.n_syncs) / n_flushes;
	snprintf(a, sizeof(a), "%.2f", syncs);
	row("syncs a flush without allocations", a, "-", syncs, "<= 1", syncs <= 1);
	close_disk(disk);
}

/* Threads that write and flush at once, each to blocks of its own. */
struct storm {
	struct vd_disk *disk;
	uint64_t first;
	int n_flushes;
};

static void *storm_loop(void *arg)
{
	struct storm *s = arg;
	struct vd_error err = VD_ERROR_INIT;
	uint64_t *buf = aligned_alloc(PIECE, PIECE);

	for (int i = 0; i < s->n_flushes; i++) {
		uint64_t block = s->first + (uint64_t)i;

		for (size_t k = 0; k < PIECE / 8; k++)
			buf[k] = block + 1;
		if (vd_disk_write(s->disk, buf, PIECE, block << 21, &err) ||
		    vd_disk_flush(s->disk, &err))
			fail("write and flush", &err);
	}
	free(buf);
	return NULL;
}

/* Flushes a second, each after an allocating write; what was written is read again. */
static double time_storm(struct vd_disk *disk, uint64_t first, int n_threads, int n_flushes)
{
	struct vd_error err = VD_ERROR_INIT;
	struct storm storms[16];
	pthread_t thread[16];
	uint64_t *buf = aligned_alloc(PIECE, PIECE);
	double start = seconds(CLOCK_MONOTONIC), end;

	for (int i = 0; i < n_threads; i++) {
		storms[i] = (struct storm){disk, first + (uint64_t)(i * n_flushes), n_flushes};
		if (pthread_create(&thread[i], NULL, storm_loop, &storms[i]))
			fail("pthread_create", NULL);
	}
	for (int i = 0; i < n_threads; i++)
		pthread_join(thread[i], NULL);
	end = seconds(CLOCK_MONOTONIC);
	for (uint64_t block = first; block < first + (uint64_t)(n_threads * n_flushes); block++)
		if (vd_disk_read(disk, buf, PIECE, block << 21, &err) || buf[0] != block + 1 ||
		    buf[PIECE / 8 - 1] != block + 1)
			fail("what was written isn't there", &err);
	free(buf);
	return n_threads * n_flushes / (end - start);
}

static void bench_storm(const char *image)
{
	struct vd_disk *disk = open_disk(image, VD_OPEN_WRITE | VD_OPEN_DIRECT);
	double one[64], many[64];
	uint64_t block = 0;
	char a[96], b[96];

	for (int i = 0; i < n_rounds; i++) {
		one[i] = time_storm(disk, block, 1, 160);
		many[i] = time_storm(disk, block + 160, 16, 10);
		block += 320;
	}
	double o = median(one, n_rounds), m = median(many, n_rounds);

	snprintf(a, sizeof(a), "%.0f flushes/s", m);
	snprintf(b, sizeof(b), "1 thread %.0f flushes/s", o);
	row("flush storm: 16 threads write (allocating) and flush", a, b, m / o, "> 1x", m > o);
	close_disk(disk);
}

/* Time to open an image whose 8 MiB log is full. */
static void bench_replay(const char *image, const char *copy)
{
	double each[64];
	char command[4096], a[96];

	for (int i = 0; i < n_rounds; i++) {
		snprintf(command, sizeof(command), "cp --sparse=always '%s' '%s'", image, copy);
		if (system(command))
			fail("cp", NULL);
		double start = seconds(CLOCK_MONOTONIC);
		struct vd_disk *disk = open_disk(copy, VD_OPEN_WRITE);

		each[i] = (seconds(CLOCK_MONOTONIC) - start) * 1e3;
		struct vd_disk_info info = {.size = sizeof(info)};

		vd_disk_get_info(disk, &info);
		if (!info.has_dirty_log)
			fail("the log was not dirty", NULL);
		close_disk(disk);
	}
	double m = median(each, n_rounds);

	snprintf(a, sizeof(a), "%.1f ms", m);
	row("replay of a full 8 MiB log, synced", a, "-", m / 50, "<= 50 ms", m <= 50);
}

/* Leave an image whose log is nearly full: fill it, and go without closing. */
static void fill_log(const char *image)
{
	struct vd_disk *disk = open_disk(image, VD_OPEN_WRITE);
	struct vd_disk_stats stats = {.size = sizeof(stats)};
	struct vd_error err = VD_ERROR_INIT;
	char buf[512] = {1};
	uint64_t block = 0, size = vd_disk_size(disk) >> 21;

	do {
		for (int i = 0; i < 400; i++, block += 512)
			if (vd_disk_write(disk, buf, sizeof(buf), block % size << 21, &err))
				fail("write", &err);
		if (vd_disk_flush(disk, &err))
			fail("flush", &err);
		vd_disk_get_stats(disk, &stats);
	} while (stats.n_log_bytes < (6u << 20));
	_exit(0);
}

/* A raw file of which each read of the benchmark finds data: 256 KiB at each step, 1 GiB in 8. */
static void scatter(const char *path, uint64_t size)
{
	static uint64_t buf[(256 << 10) / 8];
	uint64_t x = 88172645463325252u;
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, (off_t)size))
		fail(path, NULL);
	for (uint64_t at = 0; at + sizeof(buf) <= size; at += STRIDE) {
		for (size_t i = 0; i < sizeof(buf) / 8; i++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			buf[i] = x;
		}
		if (pwrite(fd, buf, sizeof(buf), (off_t)at) != (ssize_t)sizeof(buf))
			fail("pwrite", NULL);
	}
	if (close(fd))
		fail("close", NULL);
}

int main(int argc, char **argv)
{
	read_rounds();
	if (argc == 5 && !strcmp(argv[1], "reads"))
		bench_reads(argv[2], argv[3], strtoull(argv[4], NULL, 10));
	else if (argc == 5 && !strcmp(argv[1], "chain"))
		bench_chain(argv[2], argv[3], strtoull(argv[4], NULL, 10));
	else if (argc == 3 && !strcmp(argv[1], "open"))
		bench_open(argv[2]);
	else if (argc == 4 && !strcmp(argv[1], "huge"))
		bench_huge(argv[2], strtoull(argv[3], NULL, 10));
	else if (argc == 3 && !strcmp(argv[1], "commits"))
		bench_commits(argv[2]);
	else if (argc == 3 && !strcmp(argv[1], "storm"))
		bench_storm(argv[2]);
	else if (argc == 4 && !strcmp(argv[1], "replay"))
		bench_replay(argv[2], argv[3]);
	else if (argc == 4 && !strcmp(argv[1], "scatter"))
		scatter(argv[2], strtoull(argv[3], NULL, 10));
	else if (argc == 3 && !strcmp(argv[1], "fill-log"))
		fill_log(argv[2]);
	else
		return 2;
	return 0;
}
