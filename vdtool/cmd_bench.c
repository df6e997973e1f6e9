/* SPDX-License-Identifier: MIT */
/*
 * vdtool bench: the requests of `qemu-img bench`, in its order. Depth N is N threads that take the
 * next request from a common counter; depth 1 is a loop without threads. With --flush-interval the
 * requests run in rounds, and each round ends in a flush.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "output.h"

#define MAX_DEPTH  1024
#define MAX_BUFFER ((uint64_t)1 << 30)

struct bench {
	struct vd_disk *disk;
	const char *path;
	uint64_t count, size, offset, step, disk_size, flush_interval;
	unsigned depth;
	uint8_t pattern;
	bool is_write, is_flushed_each, is_unsafe, is_drained;
	_Atomic uint64_t next;     /* request to be taken */
	uint64_t round_end;        /* requests up to here belong to this round */
	_Atomic uint64_t checksum; /* of what was read */
	_Atomic uint64_t n_bytes;
	_Atomic int rc; /* of the first failure */
	struct vd_error err;
	pthread_mutex_t err_mutex;
};

/** Fast, because it is part of the time: four sums that are then mixed with the request's number,
 *  so that neither data nor requests can be swapped unnoticed. */
static uint64_t checksum_of(const uint8_t *buf, size_t len, uint64_t number)
{
	typedef uint64_t words __attribute__((vector_size(32), aligned(1), may_alias));
	words sum = {1, 2, 3, 4};
	uint64_t mixed = number + 1, tail = 0;

	for (; len >= sizeof(words); buf += sizeof(words), len -= sizeof(words))
		sum += *(const words *)buf;
	memcpy(&tail, buf, len < 8 ? len : 8);
	for (size_t i = 8; i < len; i++)
		tail = tail * 31 + buf[i];
	for (int i = 0; i < 4; i++) {
		mixed = (mixed ^ sum[i]) * UINT64_C(0x9e3779b97f4a7c15);
		mixed ^= mixed >> 29;
	}
	mixed = (mixed ^ tail) * UINT64_C(0xbf58476d1ce4e5b9);
	return mixed ^ mixed >> 32;
}

static void keep_failure(struct bench *bench, int rc, const struct vd_error *err)
{
	pthread_mutex_lock(&bench->err_mutex);
	if (!bench->rc) {
		bench->err = *err;
		bench->rc = rc;
	}
	pthread_mutex_unlock(&bench->err_mutex);
}

/** Where request `number` begins. In 128 bits: the product may not fit into 64. */
static uint64_t place_of(const struct bench *bench, uint64_t number)
{
	uint64_t product, sum;

	if (!__builtin_mul_overflow(number, bench->step, &product) &&
	    !__builtin_add_overflow(product, bench->offset, &sum))
		return sum % bench->disk_size;
	return (uint64_t)(((unsigned __int128)number * bench->step + bench->offset) %
			  bench->disk_size);
}

static int do_request(struct bench *bench, uint64_t number, uint8_t *buf, uint64_t *sum,
		      uint64_t *n_bytes, struct vd_error *err)
{
	uint64_t at = place_of(bench, number);
	uint64_t left = bench->disk_size - at;
	size_t len = left < bench->size ? (size_t)left : (size_t)bench->size;
	int rc;

	*n_bytes += len;
	if (!bench->is_write) {
		rc = vd_disk_read(bench->disk, buf, len, at, err);
		*sum += checksum_of(buf, len, number);
		return rc;
	}
	rc = vd_disk_write(bench->disk, buf, len, at, err);
	if (!rc && bench->is_flushed_each)
		rc = vd_disk_flush(bench->disk, err);
	/* With --no-drain the flush goes on beside the writes of the others. */
	if (!rc && !bench->is_drained && (bench->count - number - 1) % bench->flush_interval == 0)
		rc = vd_disk_flush(bench->disk, err);
	return rc;
}

/** Take requests until the round is over. */
static void *work(void *arg)
{
	struct bench *bench = arg;
	struct vd_error err = VD_ERROR_INIT;
	uint8_t *buf = aligned_alloc(4096, (bench->size + 4095) & ~(uint64_t)4095);
	uint64_t sum = 0, n_bytes = 0;
	int rc = buf ? 0 : vd_error_set(&err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");

	if (buf)
		memset(buf, bench->is_write ? bench->pattern : 0, bench->size);
	while (!rc && !atomic_load_explicit(&bench->rc, memory_order_relaxed)) {
		uint64_t number = atomic_fetch_add_explicit(&bench->next, 1, memory_order_relaxed);

		if (number >= bench->round_end)
			break;
		rc = do_request(bench, number, buf, &sum, &n_bytes, &err);
	}
	if (rc)
		keep_failure(bench, rc, &err);
	atomic_fetch_add(&bench->checksum, sum);
	atomic_fetch_add(&bench->n_bytes, n_bytes);
	free(buf);
	return NULL;
}

static void run_round(struct bench *bench)
{
	pthread_t threads[MAX_DEPTH];
	unsigned n_threads = 0;

	if (bench->depth == 1) {
		work(bench);
		return;
	}
	while (n_threads < bench->depth) {
		int rc = pthread_create(&threads[n_threads], NULL, work, bench);
		struct vd_error err = VD_ERROR_INIT;

		if (rc) {
			rc = vd_error_set(&err, vd_code_from_errno(rc), rc, VD_NO_OFFSET,
					  "can't start thread %u: %s", n_threads + 1, strerror(rc));
			keep_failure(bench, rc, &err);
			break;
		}
		n_threads++;
	}
	while (n_threads)
		pthread_join(threads[--n_threads], NULL);
}

static void flush(struct bench *bench)
{
	struct vd_error err = VD_ERROR_INIT;
	int rc = bench->rc ? 0 : vd_disk_flush(bench->disk, &err);

	if (rc)
		keep_failure(bench, rc, &err);
}

/** QEMU flushes when the number of requests that remain is a multiple of the interval. */
static void run_all(struct bench *bench)
{
	uint64_t done = 0;

	while (done < bench->count && !bench->rc) {
		uint64_t left = bench->count - done, round = left;

		if (bench->flush_interval && bench->is_drained)
			round = left % bench->flush_interval ? left % bench->flush_interval
							     : bench->flush_interval;
		bench->next = done;
		done += round;
		bench->round_end = done;
		run_round(bench);
		if (bench->flush_interval && bench->is_drained)
			flush(bench);
	}
	if (bench->is_write && !bench->is_unsafe)
		flush(bench);
}

static uint64_t number_or(const struct tool_args *args, enum tool_option_id id, uint64_t otherwise)
{
	return args->is_set[id] ? args->number[id] : otherwise;
}

static int fill(struct bench *bench, const struct tool_args *args, uint32_t *flags)
{
	const char *cache = args->is_set[OPT_CACHE] ? args->text[OPT_CACHE] : "writeback";

	bench->count = number_or(args, OPT_COUNT, 75000);
	bench->size = number_or(args, OPT_BUFFER_SIZE, 4096);
	bench->step = number_or(args, OPT_STEP_SIZE, bench->size);
	bench->offset = args->number[OPT_OFFSET];
	bench->flush_interval = args->number[OPT_FLUSH_INTERVAL];
	bench->pattern = (uint8_t)args->number[OPT_PATTERN];
	bench->is_write = args->is_set[OPT_WRITE];
	bench->is_drained = !args->is_set[OPT_NO_DRAIN];
	bench->is_flushed_each =
	    strcmp(cache, "writethrough") == 0 || strcmp(cache, "directsync") == 0;
	bench->is_unsafe = strcmp(cache, "unsafe") == 0;
	*flags = bench->is_write ? VD_OPEN_WRITE : 0;
	if (strcmp(cache, "none") == 0 || strcmp(cache, "directsync") == 0)
		*flags |= VD_OPEN_DIRECT;
	if (number_or(args, OPT_DEPTH, 64) > MAX_DEPTH)
		return tool_usage(args->command, "--depth: at most %d", MAX_DEPTH);
	bench->depth = (unsigned)number_or(args, OPT_DEPTH, 64);
	if (bench->size == 0 || bench->size > MAX_BUFFER)
		return tool_usage(args->command, "--buffer-size: from 1 byte to 1 GiB");
	if (bench->flush_interval && !bench->is_write)
		return tool_usage(args->command, "--flush-interval is for --write");
	if (!bench->is_drained && !bench->flush_interval)
		return tool_usage(args->command, "--no-drain is for --flush-interval");
	if (bench->flush_interval && bench->flush_interval < bench->depth)
		return tool_usage(args->command, "--flush-interval can't be less than --depth");
	if (args->is_set[OPT_NATIVE])
		tool_note("-n makes no difference: requests run in threads");
	return TOOL_DONE;
}

static void report(const struct bench *bench, double seconds)
{
	const char *engine = bench->depth == 1 ? "loop" : "threads";
	double rate = seconds > 0 ? (double)bench->count / seconds : 0;
	double bytes = seconds > 0 ? (double)bench->n_bytes / seconds : 0;
	char rate_text[TOOL_SIZE_TEXT];

	if (tool_json_is_on()) {
		json_t *object = tool_json_object(bench->path);
		char sum[20];

		snprintf(sum, sizeof(sum), "%016" PRIx64, bench->checksum);
		tool_json_set_text(object, "engine", engine);
		tool_json_set_text(object, "operation", bench->is_write ? "write" : "read");
		tool_json_set_number(object, "requests", bench->count);
		tool_json_set_number(object, "depth", bench->depth);
		tool_json_set_number(object, "bytes", bench->n_bytes);
		json_object_set_new(object, "seconds", json_real(seconds));
		json_object_set_new(object, "requests_per_second", json_real(rate));
		tool_json_set_text(object, "checksum", bench->is_write ? NULL : sum);
		tool_json_put(object);
		return;
	}
	printf("%" PRIu64 " %s of %" PRIu64 " bytes, %u at a time (engine: %s)\n", bench->count,
	       bench->is_write ? "writes" : "reads", bench->size, bench->depth, engine);
	printf("Run completed in %.3f seconds: %.0f requests/s, %s/s\n", seconds, rate,
	       tool_size_format((uint64_t)bytes, rate_text));
	if (!bench->is_write)
		printf("checksum of what was read: %016" PRIx64 "\n", bench->checksum);
}

int cmd_bench(const struct tool_args *args)
{
	struct bench bench = {.path = args->operands[0], .err = VD_ERROR_INIT};
	struct vd_error err = VD_ERROR_INIT;
	uint32_t flags;
	double start, seconds;
	int exit_code = fill(&bench, args, &flags);

	if (exit_code)
		return exit_code;
	if (tool_image_open(&bench.disk, bench.path, args, flags, &err))
		return tool_fail(bench.path, &err);
	pthread_mutex_init(&bench.err_mutex, NULL);
	bench.disk_size = vd_disk_size(bench.disk);
	if (bench.disk_size == 0) {
		vd_disk_close(bench.disk, NULL);
		return tool_say(TOOL_FAILED, bench.path, "the disk is empty");
	}
	start = tool_now();
	run_all(&bench);
	seconds = tool_now() - start;
	if (bench.rc)
		exit_code = tool_fail(bench.path, &bench.err);
	else
		report(&bench, seconds);
	return tool_exit_worse(exit_code, tool_image_close(bench.disk, bench.path));
}
