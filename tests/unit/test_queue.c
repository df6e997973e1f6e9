/* SPDX-License-Identifier: MIT */
/* Random requests through a queue, many in flight, on each kind of image and with each engine: what
 * the disk shows is what a copy in memory says. */
#include "queue_rig.h"

#define DEPTH    32
#define N_STEPS  1500
#define MAX_LEN  (96u << 10)
#define MAX_IOV  20
#define BIG_LEN  (3 * RIG_MIB + 12345)
#define BIG_EACH 150 /* one of so many requests is big */

struct flight {
	bool is_used;
	enum vd_request_op op;
	uint64_t offset, length;
	uint8_t *memory; /* its slot of the registered memory, or one of its own */
	struct iovec iov[MAX_IOV];
	uint32_t generation;
};

struct life {
	struct vd_disk *disk;
	struct vd_queue *queue;
	uint8_t *model; /* of the disk */
	uint8_t *pool;  /* DEPTH registered buffers of MAX_LEN */
	uint64_t random;
	uint32_t generation, n_flying, most_flying;
	uint64_t n_reads, n_writes, n_zeroes, n_discards, n_flushes;
	struct flight flights[DEPTH];
};

/* A byte for each place and generation. */
static uint8_t byte_at(uint64_t place, uint32_t generation)
{
	uint64_t x = (place + 1) * 0x9E3779B97F4A7C15u ^ (uint64_t)generation * 0xBF58476D1CE4E5B9u;

	return (uint8_t)(x >> 40);
}

static bool meets_another(const struct life *life, uint64_t offset, uint64_t length)
{
	/* Units of 4096 bytes stay apart: with O_DIRECT that is what the order is about. */
	uint64_t start = offset & ~4095ull, end = (offset + length + 4095) & ~4095ull;

	for (int i = 0; i < DEPTH; i++) {
		const struct flight *f = &life->flights[i];

		if (f->is_used && f->length &&
		    start < ((f->offset + f->length + 4095) & ~4095ull) &&
		    (f->offset & ~4095ull) < end)
			return true;
	}
	return false;
}

static void check_discarded(struct life *life, const struct flight *f)
{
	uint8_t *buf = malloc(f->length);

	assert_int_equal(vd_disk_read(life->disk, buf, f->length, f->offset, NULL), 0);
	for (uint64_t i = 0; i < f->length; i++) {
		uint8_t *known = &life->model[f->offset + i];

		if (buf[i] != *known && buf[i] != 0)
			fail_msg("byte %llu is %u after a discard",
				 (unsigned long long)(f->offset + i), buf[i]);
		*known = buf[i];
	}
	free(buf);
}

static void land(struct life *life, const struct vd_completion *completion)
{
	struct flight *f = completion->user;
	uint8_t *known = life->model + f->offset;

	if (completion->result)
		fail_msg("op %d of %llu bytes at %llu: %s", f->op, (unsigned long long)f->length,
			 (unsigned long long)f->offset, completion->err->text);
	switch (f->op) {
	case VD_REQUEST_READ:
		life->n_reads++;
		if (memcmp(f->memory, known, f->length) != 0)
			fail_msg("%llu bytes at %llu read wrong", (unsigned long long)f->length,
				 (unsigned long long)f->offset);
		break;
	case VD_REQUEST_WRITE:
		life->n_writes++;
		memcpy(known, f->memory, f->length);
		break;
	case VD_REQUEST_WRITE_ZEROES:
		life->n_zeroes++;
		memset(known, 0, f->length);
		break;
	case VD_REQUEST_DISCARD:
		life->n_discards++;
		check_discarded(life, f);
		break;
	case VD_REQUEST_FLUSH:
		life->n_flushes++;
		break;
	}
	if (f->memory < life->pool || f->memory >= life->pool + (size_t)DEPTH * MAX_LEN)
		free(f->memory);
	f->is_used = false;
	life->n_flying--;
}

static void reap(struct life *life, uint32_t min)
{
	struct vd_completion done[DEPTH];
	uint32_t n = vd_queue_reap(life->queue, done, DEPTH, min, 30000);

	assert_true(n >= min);
	for (uint32_t i = 0; i < n; i++)
		land(life, &done[i]);
}

/* Flat, from registered memory, or in pieces, some of them empty. */
static void shape(struct life *life, struct flight *f, struct vd_request *request)
{
	uint64_t how = rnd_below(&life->random, 3), at = 0;
	int n = 0;

	request->buf = f->memory;
	if (how == 0 && f->length <= MAX_LEN)
		request->buffer = 1 + (uint32_t)(f - life->flights);
	if (how != 1)
		return;
	while (at < f->length && n < MAX_IOV - 1) {
		uint64_t len = rnd_below(&life->random, f->length - at) + 1;

		if (rnd_below(&life->random, 2))
			len = (len + 511) & ~511ull;
		if (len > f->length - at)
			len = f->length - at;
		if (rnd_below(&life->random, 8) == 0)
			len = 0;
		f->iov[n++] = (struct iovec){f->memory + at, len};
		at += len;
	}
	f->iov[n++] = (struct iovec){f->memory + at, f->length - at};
	request->buf = NULL;
	request->iov = f->iov;
	request->n_iov = n;
}

static enum vd_request_op choose_op(struct life *life)
{
	uint64_t dice = rnd_below(&life->random, 100);

	return dice < 45   ? VD_REQUEST_READ
	       : dice < 85 ? VD_REQUEST_WRITE
	       : dice < 91 ? VD_REQUEST_WRITE_ZEROES
	       : dice < 95 ? VD_REQUEST_DISCARD
			   : VD_REQUEST_FLUSH;
}

static void choose_range(struct life *life, struct flight *f)
{
	bool is_big = rnd_below(&life->random, BIG_EACH) == 0;
	uint64_t align = rnd_below(&life->random, 4) == 0 ? 1 : 4096;

	f->offset = rnd_below(&life->random, RIG_SIZE / align) * align;
	f->length = rnd_below(&life->random, is_big ? BIG_LEN : MAX_LEN) + 1;
	f->length = align > 1 ? (f->length + align - 1) & ~(align - 1) : f->length;
	if (!is_big && f->length > MAX_LEN)
		f->length = MAX_LEN;
	if (f->length > RIG_SIZE - f->offset)
		f->length = RIG_SIZE - f->offset;
}

/* False: it would have met another one. */
static bool take_off(struct life *life, struct flight *f)
{
	struct vd_request request = VD_REQUEST_INIT;

	f->op = choose_op(life);
	f->offset = f->length = 0;
	if (f->op != VD_REQUEST_FLUSH)
		choose_range(life, f);
	if (f->length && meets_another(life, f->offset, f->length))
		return false;
	f->memory = life->pool + (size_t)(f - life->flights) * MAX_LEN;
	if (f->length > MAX_LEN)
		f->memory = aligned_alloc(4096, (f->length + 4095) & ~4095ull);
	request.op = f->op;
	request.offset = f->offset;
	request.length = f->length;
	request.user = f;
	if (f->op == VD_REQUEST_READ || f->op == VD_REQUEST_WRITE)
		shape(life, f, &request);
	f->generation = ++life->generation;
	for (uint64_t i = 0; f->op == VD_REQUEST_WRITE && i < f->length; i++)
		f->memory[i] = byte_at(f->offset + i, f->generation);
	if (f->op == VD_REQUEST_WRITE && rnd_below(&life->random, 20) == 0)
		request.flags |= VD_REQUEST_FUA;
	if (f->op == VD_REQUEST_WRITE_ZEROES && rnd_below(&life->random, 2))
		request.flags |= VD_REQUEST_KEEP_SPACE;
	if (rnd_below(&life->random, 2))
		request.flags |= VD_REQUEST_MORE;
	rig_submit(life->queue, request);
	f->is_used = true;
	life->n_flying++;
	if (life->n_flying > life->most_flying)
		life->most_flying = life->n_flying;
	return true;
}

static void compare_all(struct life *life)
{
	uint8_t *buf = malloc(RIG_SIZE);

	assert_int_equal(vd_disk_read(life->disk, buf, RIG_SIZE, 0, NULL), 0);
	assert_memory_equal(buf, life->model, RIG_SIZE);
	free(buf);
}

static void live(struct life *life)
{
	for (int i = 0; i < N_STEPS; i++) {
		struct flight *f = NULL;

		for (int k = 0; k < DEPTH && !f; k++)
			if (!life->flights[k].is_used)
				f = &life->flights[k];
		if (f)
			take_off(life, f);
		if (!f || rnd_below(&life->random, 40) == 0)
			reap(life, f ? 0 : 1);
	}
	while (life->n_flying)
		reap(life, 1);
	assert_int_equal(vd_queue_reap(life->queue, NULL, 1, 1, -1), 0);
}

static void begin(struct life *life, enum rig_kind kind, enum vd_engine engine)
{
	struct iovec buffers[DEPTH];

	memset(life, 0, sizeof(*life));
	life->random = 77 + (uint64_t)kind;
	life->disk = rig_open(kind);
	life->queue = rig_queue(life->disk, engine, DEPTH, engine == VD_ENGINE_THREADS ? 6 : 3);
	assert_int_equal(vd_queue_engine(life->queue), engine);
	life->model = calloc(1, RIG_SIZE);
	life->pool = aligned_alloc(4096, (size_t)DEPTH * MAX_LEN);
	assert_int_equal(vd_disk_read(life->disk, life->model, RIG_SIZE, 0, NULL), 0);
	for (size_t i = 0; i < DEPTH; i++)
		buffers[i] = (struct iovec){life->pool + i * MAX_LEN, MAX_LEN};
	assert_int_equal(vd_queue_register_buffers(life->queue, buffers, DEPTH, NULL), 0);
}

static void check_counts(struct life *life, enum rig_kind kind, enum vd_engine engine)
{
	struct vd_queue_stats stats = {.size = sizeof(stats)};
	struct vd_disk_stats disk = {.size = sizeof(disk)};

	vd_queue_get_stats(life->queue, &stats);
	vd_disk_get_stats(life->disk, &disk);
	assert_int_equal(stats.n_in_flight, 0);
	assert_int_equal(stats.n_submitted, stats.n_inline + stats.n_kernel + stats.n_pool);
	assert_true(life->most_flying >= DEPTH / 2);
	assert_true(stats.n_pool > 0);
	if (engine == VD_ENGINE_IO_URING && kind != RIG_MEMORY)
		assert_true(stats.n_kernel > (uint64_t)N_STEPS / 20);
	else
		assert_int_equal(stats.n_kernel, 0);
	/* The first read of the whole disk, and those after discards, are the test's own. */
	assert_int_equal(disk.n_reads, life->n_reads + life->n_discards + 1);
	assert_int_equal(disk.n_writes, life->n_writes);
	assert_int_equal(disk.n_zeroes, life->n_zeroes);
	assert_int_equal(disk.n_discards, life->n_discards);
	print_message("%s, %s: %llu requests, %llu by the kernel (%llu transfers, %llu finished by "
		      "the pool), %llu by the pool, up to %u in flight\n",
		      rig_name(kind), vd_engine_name(engine), (unsigned long long)stats.n_submitted,
		      (unsigned long long)stats.n_kernel, (unsigned long long)stats.n_transfers,
		      (unsigned long long)stats.n_completed_by_pool,
		      (unsigned long long)stats.n_pool, life->most_flying);
}

static void run_life(enum rig_kind kind, enum vd_engine engine)
{
	struct life life;
	uint64_t n_errors = 0;

	rig_need(engine);
	begin(&life, kind, engine);
	live(&life);
	check_counts(&life, kind, engine);
	assert_int_equal(rig_flush(life.queue), 0);
	vd_queue_close(life.queue);
	compare_all(&life);
	assert_int_equal(vd_disk_close(life.disk, NULL), 0);
	if (kind != RIG_MEMORY) {
		life.disk = rig_reopen(rig_path(kind), 0);
		compare_all(&life);
		assert_int_equal(vd_disk_close(life.disk, NULL), 0);
		if (kind != RIG_RAW)
			assert_int_equal(
			    vd_disk_check(rig_path(kind), NULL, NULL, NULL, &n_errors, NULL), 0);
		assert_int_equal(n_errors, 0);
	}
	free(life.model);
	free(life.pool);
}

struct row {
	enum rig_kind kind;
	enum vd_engine engine;
	char name[64];
};

static void test_row(void **state)
{
	const struct row *row = *state;

	run_life(row->kind, row->engine);
}

int main(void)
{
	static struct row rows[2 * RIG_N_KINDS];
	struct CMUnitTest tests[2 * RIG_N_KINDS];

	for (int i = 0; i < 2 * RIG_N_KINDS; i++) {
		struct row *row = &rows[i];

		row->kind = (enum rig_kind)(i / 2);
		row->engine = i % 2 ? VD_ENGINE_THREADS : VD_ENGINE_IO_URING;
		snprintf(row->name, sizeof(row->name), "random requests, %s, %s",
			 rig_name(row->kind), vd_engine_name(row->engine));
		tests[i] = (struct CMUnitTest){row->name, test_row, NULL, NULL, row};
	}
	return _cmocka_run_group_tests("queue", tests, 2 * RIG_N_KINDS, NULL, NULL);
}
