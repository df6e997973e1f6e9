/* SPDX-License-Identifier: MIT */
/* The rows of queues, as bench_core.c has those of plain calls: bench_queue IMAGE RAW-FILE READS.
 */
#include <vdisk/queue.h>

#include "bench_rows.h"

/* The same reads, `depth` of them in flight in a queue. */
static double time_queue(struct vd_disk *disk, enum vd_engine engine, uint32_t depth, uint64_t n,
			 clockid_t clock, uint64_t *sum)
{
	struct vd_queue_opts opts = VD_QUEUE_OPTS_INIT;
	struct vd_completion done[64];
	struct vd_error err = VD_ERROR_INIT;
	struct vd_queue *queue;
	uint64_t *memory = aligned_alloc(PIECE, (size_t)depth * PIECE);
	uint64_t offset = 0, size = vd_disk_size(disk), n_done = 0, n_begun = 0;
	double start;

	opts.engine = engine;
	opts.depth = depth;
	if (vd_queue_open(&queue, disk, &opts, &err))
		fail("open a queue", &err);
	*sum = 0;
	start = seconds(clock);
	for (uint32_t n_free = depth, n_got = 0; n_done < n; n_done += n_got) {
		for (uint32_t i = 0; i < n_free && n_begun < n; i++, n_begun++) {
			struct vd_request request = VD_REQUEST_INIT;

			request.flags = VD_REQUEST_MORE;
			request.offset = offset;
			request.length = PIECE;
			request.buf =
			    n_begun < depth ? memory + n_begun * (PIECE / 8) : done[i].user;
			request.user = request.buf;
			if (vd_queue_submit(queue, &request, &err))
				fail("submit", &err);
			offset = offset + STRIDE + PIECE > size ? 0 : offset + STRIDE;
		}
		n_got = n_free = vd_queue_reap(queue, done, 64, 1, -1);
		for (uint32_t i = 0; i < n_got; i++) {
			const uint64_t *buf = done[i].user;

			if (done[i].result)
				fail("read", done[i].err);
			*sum += buf[0] + 3 * buf[PIECE / 8 - 1];
		}
	}
	start = seconds(clock) - start;
	vd_queue_close(queue);
	free(memory);
	return start;
}

/* Rows: a queue against a pread loop, hot; what a request costs in CPU time; without the page
 * cache, against one pread at a time. */
static void bench_queue(const char *image, const char *raw, uint64_t n)
{
	double ours[64], pool[64], floor_s[64], cpu[64], cpu_floor[64], direct[64], alone[64];
	struct vd_disk *disk = open_disk(image, 0), *past = open_disk(image, VD_OPEN_DIRECT);
	struct reader plain = {.fd = open(raw, O_RDONLY | O_CLOEXEC), .n = n};
	struct reader cold = {.fd = open(raw, O_RDONLY | O_CLOEXEC | O_DIRECT), .n = n / 50};
	uint64_t sum, sum_raw;
	char a[96], b[96];
	struct vd_queue *queue;

	plain.size = cold.size = vd_disk_size(disk);
	if (plain.fd < 0 || cold.fd < 0 || vd_queue_open(&queue, disk, NULL, NULL))
		fail(raw, NULL);
	enum vd_engine engine = vd_queue_engine(queue);
	vd_queue_close(queue);
	time_readers(&plain, 1, CLOCK_MONOTONIC, &sum_raw);
	time_queue(disk, engine, 32, n, CLOCK_MONOTONIC, &sum);
	if (sum != sum_raw)
		fail("what was read differs", NULL);
	for (int i = 0; i < n_rounds; i++) {
		floor_s[i] = time_readers(&plain, 1, CLOCK_MONOTONIC, &sum_raw);
		ours[i] = time_queue(disk, engine, 32, n, CLOCK_MONOTONIC, &sum);
		pool[i] = time_queue(disk, VD_ENGINE_THREADS, 32, n, CLOCK_MONOTONIC, &sum);
		cpu_floor[i] = time_readers(&plain, 1, CLOCK_PROCESS_CPUTIME_ID, &sum_raw);
		cpu[i] = time_queue(disk, engine, 32, n, CLOCK_PROCESS_CPUTIME_ID, &sum);
		alone[i] = time_readers(&cold, 1, CLOCK_MONOTONIC, &sum_raw);
		direct[i] = time_queue(past, engine, 32, cold.n, CLOCK_MONOTONIC, &sum);
		if (sum != sum_raw)
			fail("what was read past the cache differs", NULL);
	}
	double o = median(ours, n_rounds), f = median(floor_s, n_rounds),
	       p = median(pool, n_rounds);
	double over = (median(cpu, n_rounds) - median(cpu_floor, n_rounds)) / (double)n * 1e9;

	snprintf(a, sizeof(a), "%.3f s (%s)", o, vd_engine_name(engine));
	snprintf(b, sizeof(b), "pread loop %.3f s, queue of threads %.3f s", f, p);
	row("the same reads, 32 in flight in a queue, hot", a, b, f / o, "-", 1);
	snprintf(a, sizeof(a), "%.0f ns over pread", over);
	row("CPU time of one such request", a, "-",
	    median(cpu, n_rounds) / median(cpu_floor, n_rounds), "-", 1);
	o = median(direct, n_rounds), f = median(alone, n_rounds);
	snprintf(a, sizeof(a), "%.3f s (%s)", o, vd_engine_name(engine));
	snprintf(b, sizeof(b), "pread loop %.3f s", f);
	row("a 50th of them with O_DIRECT, 32 in flight", a, b, f / o, "-", 1);
	close_disk(disk);
	close_disk(past);
	close(plain.fd);
	close(cold.fd);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	read_rounds();
	bench_queue(argv[1], argv[2], strtoull(argv[3], NULL, 10));
	return 0;
}
