/* SPDX-License-Identifier: MIT */
/*
 * A life of a disk. Input: kind of image, how many of the records are changes to it, then records
 * of 16 bytes: changes, and operations: write, zero, discard, flush, reopen, read, look from
 * outside, power cut at a point within the operation before.
 * Property: of an image that wasn't changed the content is always what the model says, live, after
 * reopening and after a power cut (see support/model.h), and the check finds nothing wrong. Of
 * one that was changed: no operation crashes, and none makes a clean image unclean.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz_image.h"
#include "model.h"
#include "record.h"
#include "stamp.h"
#include "vhdxgen.h"

#define MAX_CRASHES 4u
#define MAX_OPS     64u
#define SEED        77u
#define SIZE        (4 * GEN_MIB + 4096 * 3)

struct life {
	struct store *made;   /* the image that it began with */
	struct store *before; /* when the recording began; borrowed */
	struct store *now;
	struct record *record;
	struct vd_io *io;
	struct vd_disk *disk;
	struct model *model; /* NULL: the image was changed, nobody knows its content */
	struct model *mid;   /* within the last operation */
	size_t op_begin;     /* in the recording */
	uint32_t generation;
	bool is_clean;
	/* Gone by power cuts; kept because later stores show through to them. */
	struct store *old_now[MAX_CRASHES], *old_state[MAX_CRASHES];
	struct record *old_record[MAX_CRASHES];
	struct crash *crash[MAX_CRASHES];
	unsigned int n_crashes;
};

static void make_image(struct life *life, unsigned int kind)
{
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_io *io;
	uint8_t id[16];

	life->made = store_new(NULL);
	io = store_io(life->made, true);
	memset(id, 0x1d, sizeof(id));
	create.virtual_size = SIZE;
	create.block_size = 1u << 20 << (kind & 1);
	create.log_size = 1 << 20;
	create.logical_sector_size = kind & 2 ? 4096 : 512;
	create.type = kind & 4 ? VD_TYPE_FIXED : VD_TYPE_DYNAMIC;
	create.disk_id = id;
	FUZZ_CHECK(vd_disk_create_io(io, &create, NULL) == 0, "create");
	vd_io_close(io);
}

static bool begin(struct life *life, struct store *before)
{
	int rc;

	life->before = before;
	life->now = store_new(before);
	life->record = record_new(life->now);
	life->io = record_io(life->record);
	life->disk = fuzz_open(life->io, VD_OPEN_WRITE, &rc);
	FUZZ_CHECK(life->disk || !life->is_clean, "a clean image doesn't open: %d", rc);
	life->op_begin = record_now(life->record);
	return life->disk;
}

static void check_live(const struct life *life)
{
	char text[512];

	if (life->model)
		FUZZ_CHECK(
		    model_check_disk(life->model, MODEL_LIVE, life->disk, text, sizeof(text)), "%s",
		    text);
}

/* A file that nobody has open: is it as it should be? */
static void check_file(const struct life *life, struct store *file, enum model_moment moment,
		       const struct model *model)
{
	struct vd_io *io = store_io(file, false);
	bool is_refused;
	uint64_t n_errors = fuzz_check_image(io, &is_refused);
	struct vd_disk *disk;
	char text[512];
	int rc;

	FUZZ_CHECK(!life->is_clean || (!n_errors && !is_refused), "%llu errors",
		   (unsigned long long)n_errors);
	disk = fuzz_open(io, 0, &rc);
	FUZZ_CHECK(disk || !life->is_clean, "it doesn't open: %d", rc);
	if (disk && model)
		FUZZ_CHECK(model_check_disk(model, moment, disk, text, sizeof(text)), "%s", text);
	if (disk)
		vd_disk_close(disk, NULL);
	vd_io_close(io);
}

struct op {
	unsigned int kind, how;
	uint64_t offset, len, random;
};

static struct op take_op(struct feed *feed, uint64_t size)
{
	struct op op;
	uint64_t len, lba;

	op.kind = (unsigned int)feed_int(feed, 1) % 8;
	op.how = (unsigned int)feed_int(feed, 1);
	len = feed_int(feed, 2);
	lba = feed_int(feed, 4);
	op.random = feed_int(feed, 8);
	op.offset = op.how & 1 ? lba % 64 * (GEN_MIB / 8) : lba * 512;
	op.offset %= size / 512 * 512;
	op.len = op.how & 2 ? (len % 64 + 1) * (GEN_MIB / 8) : (len % 128 + 1) * 512;
	if (op.kind < 2 && op.len > GEN_MIB / 4)
		op.len = GEN_MIB / 4;
	if (op.len > size - op.offset)
		op.len = size - op.offset;
	return op;
}

static void must(const struct life *life, int rc, const char *what)
{
	FUZZ_CHECK(rc == 0 || !life->is_clean, "%s answers %d", what, rc);
	FUZZ_CHECK(rc != VD_ENOMEM && rc != VD_EINVAL && rc != VD_EPOISONED, "%s answers %d", what,
		   rc);
}

static void do_write(struct life *life, const struct op *op)
{
	uint8_t *bytes = malloc((size_t)op->len);
	uint32_t generation = ++life->generation;

	FUZZ_CHECK(bytes, "no memory");
	stamp_fill(bytes, (size_t)op->len, op->offset, generation, SEED);
	if (life->mid)
		model_begin(life->mid, op->offset, op->len, generation);
	must(life, vd_disk_write(life->disk, bytes, (size_t)op->len, op->offset, NULL), "a write");
	if (life->model)
		model_write(life->model, op->offset, op->len, generation);
	free(bytes);
}

static void do_zero(struct life *life, const struct op *op)
{
	if (life->mid)
		model_begin(life->mid, op->offset, op->len, 0);
	must(life,
	     vd_disk_write_zeroes(life->disk, op->offset, op->len,
				  op->how & 4 ? VD_ZERO_KEEP_SPACE : 0, NULL),
	     "a zeroing");
	if (life->model)
		model_write(life->model, op->offset, op->len, 0);
}

/* Each sector reads as before or as zero from now on. */
static void do_discard(struct life *life, const struct op *op)
{
	uint8_t *bytes = malloc((size_t)op->len);

	FUZZ_CHECK(bytes, "no memory");
	if (life->mid)
		model_unsure(life->mid, op->offset, op->len, 0);
	must(life, vd_disk_discard(life->disk, op->offset, op->len, NULL), "a discard");
	must(life, vd_disk_read(life->disk, bytes, (size_t)op->len, op->offset, NULL), "a read");
	for (uint64_t at = 0; life->model && at < op->len; at += 512) {
		if (stamp_is(bytes + at, 0, 0, 0))
			model_write(life->model, op->offset + at, 512, 0);
		else
			model_unsure(life->model, op->offset + at, 512, 0);
	}
	free(bytes);
}

static bool do_reopen(struct life *life)
{
	int rc;

	must(life, vd_disk_close(life->disk, NULL), "closing");
	life->disk = NULL;
	if (life->model)
		model_flushed(life->model);
	check_file(life, life->now, MODEL_LIVE, life->model);
	life->disk = fuzz_open(life->io, VD_OPEN_WRITE, &rc);
	FUZZ_CHECK(life->disk || !life->is_clean, "it doesn't open again: %d", rc);
	return life->disk;
}

static void adopt(struct life *life)
{
	char text[512];

	if (life->model)
		FUZZ_CHECK(model_adopt(life->model, life->disk, text, sizeof(text)), "%s", text);
}

/* The power fails within the operation before, or right behind it. */
static bool do_crash(struct life *life, const struct op *op)
{
	size_t now = record_now(life->record), n = now - life->op_begin, at;
	unsigned int i = life->n_crashes;
	uint64_t random = op->random;
	struct model *model = life->model;
	struct crash *crash;

	if (i == MAX_CRASHES)
		return true;
	at = life->op_begin + (size_t)rnd_below(&random, n + 1);
	if (at < now && life->mid)
		model = life->mid;
	else
		at = now;
	crash = crash_new(life->record, life->before);
	crash_advance(crash, at);
	life->n_crashes++;
	life->crash[i] = crash;
	life->old_now[i] = life->now;
	life->old_record[i] = life->record;
	life->old_state[i] =
	    crash_state(crash, (enum crash_kind)(op->how % CRASH_N_KINDS), &random);
	check_file(life, life->old_state[i], MODEL_CRASH, model);
	vd_disk_close(life->disk, NULL);
	vd_io_close(life->io);
	if (model) {
		model = model_copy(model);
		model_free(life->model);
		life->model = model;
	}
	if (!begin(life, life->old_state[i]))
		return false;
	adopt(life);
	return true;
}

static bool step(struct life *life, const struct op *op, bool is_crash_next)
{
	bool ok = true;

	if (op->kind == 6) {
		ok = do_crash(life, op);
		model_free(life->mid);
		life->mid = NULL;
		return ok;
	}
	model_free(life->mid);
	life->mid = life->model && is_crash_next ? model_copy(life->model) : NULL;
	life->op_begin = record_now(life->record);
	switch (op->kind) {
	case 0:
	case 1:
		do_write(life, op);
		break;
	case 2:
		do_zero(life, op);
		break;
	case 3:
		do_discard(life, op);
		break;
	case 4:
		must(life, vd_disk_flush(life->disk, NULL), "a flush");
		if (life->model)
			model_flushed(life->model);
		break;
	case 5:
		ok = do_reopen(life);
		break;
	default:
		check_live(life);
		break;
	}
	return ok;
}

static void live(struct life *life, struct feed *feed)
{
	uint64_t size = vd_disk_size(life->disk);

	/* A changed image may say that it is any size. */
	if (size > 64 * GEN_MIB || size < 512)
		return;
	for (unsigned int i = 0; i < MAX_OPS && feed->n >= FUZZ_RECORD; i++) {
		struct op op = take_op(feed, size);
		bool is_crash_next = feed->n >= FUZZ_RECORD && feed->p[0] % 8 == 6;

		if (!step(life, &op, is_crash_next))
			return;
	}
	check_live(life);
	do_reopen(life);
	if (life->model)
		fuzz_deep();
}

static void clean_up(struct life *life)
{
	if (life->disk)
		vd_disk_close(life->disk, NULL);
	vd_io_close(life->io);
	record_free(life->record);
	store_free(life->now);
	for (unsigned int i = life->n_crashes; i-- > 0;) {
		store_free(life->old_state[i]);
		crash_free(life->crash[i]);
		record_free(life->old_record[i]);
		store_free(life->old_now[i]);
	}
	model_free(life->mid);
	model_free(life->model);
	store_free(life->made);
}

static void run(const uint8_t *data, size_t size)
{
	struct feed feed = {data, size}, changes;
	struct life life = {0};
	struct vd_io *io;
	bool is_refused;

	make_image(&life, (unsigned int)feed_int(&feed, 1));
	changes = feed;
	changes.n = (size_t)feed_int(&feed, 1) % 8 * FUZZ_RECORD;
	changes.p = feed.p;
	if (changes.n > feed.n)
		changes.n = feed.n / FUZZ_RECORD * FUZZ_RECORD;
	feed.p += changes.n;
	feed.n -= changes.n;
	if (changes.n) {
		fuzz_patch(life.made, &changes);
		fuzz_fix(life.made, 0);
	} else {
		life.model = model_new(SIZE, SEED);
	}
	io = store_io(life.made, false);
	life.is_clean = fuzz_check_image(io, &is_refused) == 0 && !is_refused;
	vd_io_close(io);
	FUZZ_CHECK(life.is_clean || !life.model, "a new image isn't clean");
	if (begin(&life, life.made))
		live(&life, &feed);
	clean_up(&life);
}

static void put_op(uint8_t *at, unsigned int kind, unsigned int how, uint32_t lba, uint16_t len,
		   uint64_t random)
{
	at[0] = (uint8_t)kind;
	at[1] = (uint8_t)how;
	fuzz_put(at + 2, len, 2);
	fuzz_put(at + 4, lba, 4);
	fuzz_put(at + 8, random, 8);
}

static void seed(void)
{
	uint8_t data[2 + 30 * FUZZ_RECORD] = {0};
	uint64_t random = 1;

	for (unsigned int kind = 0; kind < 8; kind++) {
		char name[] = "life-0", changed[] = "changed-0";

		data[0] = (uint8_t)kind;
		data[1] = 0;
		name[5] = (char)('0' + kind);
		changed[8] = (char)('0' + kind);
		for (unsigned int i = 0; i < 30; i++)
			put_op(data + 2 + i * FUZZ_RECORD, (unsigned int)rnd_below(&random, 8),
			       (unsigned int)rnd_below(&random, 8), (uint32_t)rnd(&random),
			       (uint16_t)rnd(&random), rnd(&random));
		fuzz_seed(name, data, sizeof(data));
		data[1] = 1;
		fuzz_put_record(data + 2, AT_BAT, 8, (5 + kind) * GEN_MIB | 6, 8, 1);
		fuzz_seed(changed, data, sizeof(data));
	}
	data[0] = data[1] = 0;
	put_op(data + 2, 0, 0, 8, 8, 0);
	put_op(data + 18, 4, 0, 0, 0, 0);
	put_op(data + 34, 6, 2, 0, 0, 1);
	fuzz_seed("write-flush-crash", data, 50);
	put_op(data + 34, 3, 3, 0, 8, 1);
	put_op(data + 50, 6, 4, 0, 0, 9);
	fuzz_seed("discard-crash", data, 66);
	put_op(data + 34, 2, 3, 0, 8, 1);
	fuzz_seed("zero-crash", data, 66);
	put_op(data + 34, 5, 0, 0, 0, 1);
	fuzz_seed("close-crash", data, 66);
}

const struct fuzz_target fuzz_stateful = {.name = "stateful",
					  .run = run,
					  .record = FUZZ_RECORD,
					  .head = 2,
					  .seed = seed,
					  .max_memory = 64 << 20};
