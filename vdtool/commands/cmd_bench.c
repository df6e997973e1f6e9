/* SPDX-License-Identifier: MIT */
/*
 * vdtool bench: the requests of `qemu-img bench`, in its order. Depth N keeps N requests in flight
 * in a queue (vdisk/queue.h), whose engine the library chooses; depth 1 is a loop of plain calls.
 * With --flush-interval the requests run in rounds, and each round ends in a flush.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <vdisk/queue.h>

#include "image.h"
#include "metadata.h"
#include "output.h"

#define MAX_DEPTH  1024
#define MAX_BUFFER ((uint64_t)1 << 30)
#define MAX_MEMORY ((uint64_t)4 << 30)

struct bench {
	struct vd_disk *disk;
	struct vd_image *image; /* NULL: only read, and no metadata is needed */
	const char *path;
	uint64_t count, size, offset, step, disk_size, flush_interval;
	unsigned depth;
	uint8_t pattern;
	bool is_write, is_flushed_each, is_unsafe, is_drained;
	uint64_t next;      /* request to be taken */
	uint64_t round_end; /* requests up to here belong to this round */
	uint64_t checksum;  /* of what was read */
	uint64_t n_bytes;
	int rc; /* of the first failure */
	struct vd_error err;
	struct place *places; /* `depth` of them */
	uint8_t *memory;      /* their buffers */
	struct vd_queue *queue;
};

/* One of the requests in flight. */
struct place {
	uint8_t *buf;
	uint64_t number;
	size_t len;
	bool is_busy, is_flushing; /* its write is complete, the flush after it isn't */
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
	if (bench->rc)
		return;
	bench->err = *err;
	bench->rc = rc;
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

static size_t length_at(const struct bench *bench, uint64_t at)
{
	uint64_t left = bench->disk_size - at;

	return left < bench->size ? (size_t)left : (size_t)bench->size;
}

/** With --no-drain a flush goes on beside the writes of the others. */
static bool is_flush_due(const struct bench *bench, uint64_t number)
{
	return bench->is_write && !bench->is_drained &&
	       (bench->count - number - 1) % bench->flush_interval == 0;
}

static int do_request(struct bench *bench, uint64_t number, uint8_t *buf, struct vd_error *err)
{
	uint64_t at = place_of(bench, number);
	size_t len = length_at(bench, at);
	int rc;

	bench->n_bytes += len;
	if (!bench->is_write) {
		rc = vd_disk_read(bench->disk, buf, len, at, err);
		bench->checksum += checksum_of(buf, len, number);
		return rc;
	}
	rc = vd_disk_write(bench->disk, buf, len, at, err);
	if (!rc && (bench->is_flushed_each || is_flush_due(bench, number)))
		rc = vd_disk_flush(bench->disk, err);
	return rc;
}

static void run_loop(struct bench *bench)
{
	struct vd_error err = VD_ERROR_INIT;
	int rc = 0;

	while (!rc && bench->next < bench->round_end)
		rc = do_request(bench, bench->next++, bench->places[0].buf, &err);
	if (rc)
		keep_failure(bench, rc, &err);
}

static void submit(struct bench *bench, const struct vd_request *request)
{
	struct place *place = request->user;
	struct vd_error err = VD_ERROR_INIT;
	int rc = vd_queue_submit(bench->queue, request, &err);

	place->is_busy = rc == 0;
	if (rc)
		keep_failure(bench, rc, &err);
}

static void submit_next(struct bench *bench, struct place *place)
{
	struct vd_request request = VD_REQUEST_INIT;

	place->number = bench->next++;
	request.offset = place_of(bench, place->number);
	place->len = length_at(bench, request.offset);
	place->is_flushing = false;
	request.op = bench->is_write ? VD_REQUEST_WRITE : VD_REQUEST_READ;
	request.flags = VD_REQUEST_MORE | (bench->is_flushed_each ? VD_REQUEST_FUA : 0);
	request.buffer = 1 + (uint32_t)(place - bench->places);
	request.length = place->len;
	request.buf = place->buf;
	request.user = place;
	submit(bench, &request);
}

static void submit_flush(struct bench *bench, struct place *place)
{
	struct vd_request request = VD_REQUEST_INIT;

	request.op = VD_REQUEST_FLUSH;
	request.user = place;
	place->is_flushing = true;
	submit(bench, &request);
}

/** A request is complete: what follows from it. */
static void finish(struct bench *bench, const struct vd_completion *completion)
{
	struct place *place = completion->user;

	place->is_busy = false;
	if (completion->result) {
		keep_failure(bench, completion->result, completion->err);
		return;
	}
	if (place->is_flushing)
		return;
	bench->n_bytes += place->len;
	if (!bench->is_write)
		bench->checksum += checksum_of(place->buf, place->len, place->number);
	else if (is_flush_due(bench, place->number))
		submit_flush(bench, place);
}

/** Keep `depth` requests in flight until the round is over. */
static void run_queue(struct bench *bench)
{
	struct vd_completion done[64];
	uint32_t n;

	do {
		for (unsigned i = 0; i < bench->depth && !bench->rc; i++) {
			if (bench->next == bench->round_end)
				break;
			if (!bench->places[i].is_busy)
				submit_next(bench, &bench->places[i]);
		}
		n = vd_queue_reap(bench->queue, done, 64, 1, -1);
		for (uint32_t i = 0; i < n; i++)
			finish(bench, &done[i]);
	} while (n);
}

static void run_round(struct bench *bench)
{
	if (bench->queue)
		run_queue(bench);
	else
		run_loop(bench);
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

/** Memory and, for more than one request at a time, the queue. */
static int prepare(struct bench *bench, struct vd_error *err)
{
	size_t each = (size_t)(bench->size + 4095) & ~(size_t)4095;
	struct vd_queue_opts opts = VD_QUEUE_OPTS_INIT;
	struct iovec *buffers = calloc(bench->depth, sizeof(*buffers));
	int rc = 0;

	opts.depth = bench->depth;
	bench->places = calloc(bench->depth, sizeof(*bench->places));
	if (each <= SIZE_MAX / bench->depth)
		bench->memory = aligned_alloc(4096, each * bench->depth);
	if (!buffers || !bench->places || !bench->memory)
		rc = vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
	for (unsigned i = 0; i < bench->depth && !rc; i++) {
		bench->places[i].buf = bench->memory + i * each;
		memset(bench->places[i].buf, bench->is_write ? bench->pattern : 0, each);
		buffers[i] = (struct iovec){bench->places[i].buf, bench->size};
	}
	if (!rc && bench->depth > 1)
		rc = vd_queue_open(&bench->queue, bench->disk, &opts, err);
	if (!rc && bench->depth > 1)
		rc = vd_queue_register_buffers(bench->queue, buffers, bench->depth, err);
	free(buffers);
	return rc;
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
	if (number_or(args, OPT_DEPTH, 64) - 1 >= MAX_DEPTH)
		return tool_usage(args->command, "--depth: from 1 to %d", MAX_DEPTH);
	bench->depth = (unsigned)number_or(args, OPT_DEPTH, 64);
	if (bench->size == 0 || bench->size > MAX_BUFFER)
		return tool_usage(args->command, "--buffer-size: from 1 byte to 1 GiB");
	if (bench->size * bench->depth > MAX_MEMORY)
		return tool_usage(args->command, "--depth times --buffer-size: at most 4 GiB");
	if (bench->flush_interval && !bench->is_write)
		return tool_usage(args->command, "--flush-interval is for --write");
	if (!bench->is_drained && !bench->flush_interval)
		return tool_usage(args->command, "--no-drain is for --flush-interval");
	if (bench->flush_interval && bench->flush_interval < bench->depth)
		return tool_usage(args->command, "--flush-interval can't be less than --depth");
	if (args->is_set[OPT_NATIVE])
		tool_note("-n makes no difference: the engine is chosen by itself");
	return TOOL_DONE;
}

static void report(const struct bench *bench, double seconds)
{
	const char *engine = bench->queue ? vd_engine_name(vd_queue_engine(bench->queue)) : "loop";
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

/** Writing is an edit, which the history of the image may want to know of. */
static int open_disk(struct bench *bench, const struct tool_args *args, uint32_t flags,
		     struct vd_error *err)
{
	int rc;

	if (!bench->is_write)
		return tool_image_open(&bench->disk, bench->path, args, flags, err);
	rc = tool_open_for(&bench->image, bench->path, VD_PURPOSE_EDIT, args,
			   flags & ~VD_OPEN_WRITE, "--write", err);
	if (!rc)
		bench->disk = vd_image_disk(bench->image);
	return rc;
}

static int close_disk(struct bench *bench, int exit_code)
{
	if (bench->image)
		return tool_image_end(bench->image, bench->path, exit_code);
	return tool_exit_worse(exit_code, tool_image_close(bench->disk, bench->path));
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
	if (open_disk(&bench, args, flags, &err))
		return tool_fail(bench.path, &err);
	bench.disk_size = vd_disk_size(bench.disk);
	if (bench.disk_size == 0) {
		close_disk(&bench, TOOL_DONE);
		return tool_say(TOOL_FAILED, bench.path, "the disk is empty");
	}
	bench.rc = prepare(&bench, &bench.err);
	start = tool_now();
	if (!bench.rc)
		run_all(&bench);
	seconds = tool_now() - start;
	if (bench.rc)
		exit_code = tool_fail(bench.path, &bench.err);
	else
		report(&bench, seconds);
	vd_queue_close(bench.queue);
	free(bench.places);
	free(bench.memory);
	return close_disk(&bench, exit_code);
}
