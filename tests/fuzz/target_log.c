/* SPDX-License-Identifier: MIT */
/*
 * The log: scan, view, replay. Input: flags (bit 0: checksums are made right after the changes too;
 * bit 1: a longer log), then records of 16 bytes: an entry, a
 * descriptor of the entry before it, or bytes to change in the finished log; checksums are made
 * right afterwards unless the entry says otherwise.
 * Property: a replay is accepted exactly if log_model, an independent reading of the
 * specification, accepts it; then the read-only view shows what the replay writes, both show what
 * the model says, replaying twice changes nothing more, and the log itself stays as it is.
 */
#include <stdlib.h>
#include <string.h>

#include "format/vhdx/vhdx_layout.h"
#include "fuzz.h"
#include "log_model.h"
#include "stamp.h"
#include "vhdxgen.h"

#define LOG_OFF    GEN_MIB
#define TARGET_OFF (4 * GEN_MIB)
#define FILE_LEN   (8 * GEN_MIB)
#define MAX_FILE   (64 * GEN_MIB)
#define ID         "a0000000-0001-4002-8003-000000000004"
#define MAX_DESCS  200u
#define N_SAMPLES  (2 * MAX_DESCS)

/* One run. */
struct world {
	struct store *base; /* with the log */
	uint8_t *log;
	uint32_t log_len;
	struct vhdx_header header;
	struct log_model model;
	uint64_t samples[N_SAMPLES]; /* pages to look at */
	size_t n_samples;
};

static struct gen_desc descs[MAX_DESCS];
static struct gen_entry entry;

static void emit(struct world *w)
{
	if (entry.seq)
		gen_entry_emit(&entry, ID, w->base, LOG_OFF, w->log_len);
	memset(&entry, 0, sizeof(entry));
}

static void begin_entry(struct world *w, struct feed *feed)
{
	uint8_t flags = (uint8_t)feed_int(feed, 1);

	emit(w);
	entry.descs = descs;
	entry.at = (uint32_t)feed_int(feed, 1) * 4096 % w->log_len;
	entry.tail = (uint32_t)feed_int(feed, 1) * 4096 % w->log_len + (flags & 1);
	entry.seq = feed_int(feed, 2);
	if (flags & 2)
		entry.seq |= 0xffffffff00000000;
	entry.is_bad = flags & 4;
	entry.log_id = flags & 8 ? GEN_NIL : NULL;
	entry.n_extra_descs = flags & 16 ? 1 : 0;
	entry.n_extra_bytes = flags & 32 ? 4096 : 0;
	if (flags & 64)
		entry.data_seq = entry.seq + 1;
	entry.flushed_off = feed_int(feed, 2) * 65536;
	entry.last_off = feed_int(feed, 2) * 65536 + (flags & 128);
	feed_int(feed, 6);
}

static void add_desc(struct world *w, struct feed *feed, bool is_zero)
{
	struct gen_desc *d = &descs[entry.n_descs];
	uint64_t flags = feed_int(feed, 1), off, len;

	d->fill = (uint8_t)feed_int(feed, 1);
	off = feed_int(feed, 4);
	len = feed_int(feed, 4);
	feed_int(feed, 5);
	if (entry.n_descs == MAX_DESCS - 1 || !entry.seq)
		return;
	d->is_zero = is_zero;
	/* Most of them hit each other. */
	d->off = flags & 1 ? off * 512 : TARGET_OFF + off % 64 * 4096;
	d->off <<= flags & 2 ? 12 : 0;
	d->len = flags & 4 ? len * 512 : len % 32 * 4096;
	d->len <<= flags & 8 ? 12 : 0;
	d->seq = flags & 16 ? entry.seq + 1 : 0;
	d->page = NULL;
	entry.n_descs++;
	if (w->n_samples + 2 > N_SAMPLES)
		return;
	w->samples[w->n_samples++] = d->off;
	w->samples[w->n_samples++] = d->off + d->len;
}

static void change_log(const struct world *w, struct feed *feed)
{
	uint64_t width = feed_int(feed, 1) % 8 + 1, off = feed_int(feed, 4) % (w->log_len - 8);
	uint64_t value = feed_int(feed, 8);

	feed_int(feed, 2);
	fuzz_put(w->log + off, value, width);
}

/* Make right what the changes made wrong. */
static void seal_entries(const struct world *w)
{
	for (uint32_t i = 0; i < w->log_len / 4096; i++) {
		uint8_t *p = w->log + (size_t)i * 4096, *copy;
		size_t len = (size_t)fuzz_get(p + 8, 4);

		if (memcmp(p, "loge", 4) != 0 || len < 4096 || len % 4096 || len > w->log_len)
			continue;
		copy = malloc(len);
		FUZZ_CHECK(copy, "no memory");
		for (size_t n = 0; n < len; n += 4096)
			memcpy(copy + n, w->log + ((size_t)i * 4096 + n) % w->log_len, 4096);
		fuzz_seal(copy, len, 4);
		memcpy(p + 4, copy + 4, 4);
		free(copy);
	}
}

static void build(struct world *w, struct feed *feed)
{
	uint8_t ee[4096], flags = (uint8_t)feed_int(feed, 1);
	struct feed again = *feed;
	uint8_t id[16];

	memset(ee, 0xee, sizeof(ee));
	w->log_len = (flags & 2 ? 512 : 64) * 4096;
	w->base = store_new(NULL);
	store_truncate(w->base, FILE_LEN);
	for (uint64_t i = 0; i < 64; i++)
		store_write(w->base, ee, sizeof(ee), TARGET_OFF + i * 4096);
	while (feed->n >= 16) {
		uint64_t kind = feed_int(feed, 1) % 4;

		if (kind == 0)
			begin_entry(w, feed);
		else if (kind < 3)
			add_desc(w, feed, kind == 2);
		else
			feed_int(feed, 8), feed_int(feed, 7);
	}
	emit(w);
	w->log = malloc(w->log_len);
	FUZZ_CHECK(w->log, "no memory");
	store_read(w->base, w->log, w->log_len, LOG_OFF);
	for (; again.n >= 16; feed_int(&again, 8), feed_int(&again, 8)) {
		struct feed record = again;

		if (feed_int(&record, 1) % 4 == 3)
			change_log(w, &record);
	}
	if (flags & 1)
		seal_entries(w);
	store_write(w->base, w->log, w->log_len, LOG_OFF);
	gen_guid(ID, id);
	w->header = (struct vhdx_header){.seq = 1,
					 .log_id = vd_guid_from_disk(id),
					 .version = 1,
					 .log_len = w->log_len,
					 .log_off = LOG_OFF};
	w->model =
	    (struct log_model){.log = w->log, .n_sectors = w->log_len / 4096, .log_off = LOG_OFF};
	memcpy(w->model.log_id, id, 16);
	log_model_read(&w->model);
}

/* Does the model say that it can be replayed? */
static bool is_wanted(const struct world *w)
{
	return w->model.has_sequence && !w->model.is_refused && w->model.flushed_off <= FILE_LEN &&
	       w->model.last_off <= (uint64_t)128 << 40;
}

/* A page as the model has it. */
static void model_page(const struct world *w, uint64_t off, uint8_t page[4096])
{
	store_read(w->base, page, 4096, off);
	for (size_t i = 0; i < w->model.n_writes; i++) {
		const struct log_write *write = &w->model.writes[i];

		if (off >= write->off && off < write->off + write->len)
			log_write_page(write, page);
	}
}

static void check_page(const struct world *w, struct vd_io *io, uint64_t off, const char *what)
{
	uint8_t want[4096], found[4096];

	off &= ~(uint64_t)4095;
	if (off >= (uint64_t)128 << 40)
		return;
	model_page(w, off, want);
	FUZZ_CHECK(vd_io_read(io, found, sizeof(found), off, NULL) == 0, "%s can't be read", what);
	FUZZ_CHECK(memcmp(want, found, sizeof(want)) == 0,
		   "%s shows %02x at %llu, the specification says %02x", what, found[100],
		   (unsigned long long)off, want[100]);
}

static void check_content(const struct world *w, struct vd_io *io, const char *what)
{
	for (uint64_t i = 0; i < 66; i++)
		check_page(w, io, TARGET_OFF - 4096 + i * 4096, what);
	for (size_t i = 0; i < w->n_samples; i++) {
		check_page(w, io, w->samples[i], what);
		check_page(w, io, w->samples[i] - 1, what);
	}
}

/* Replay into a copy of the file, twice. */
static void check_apply(struct world *w, uint64_t view_len)
{
	struct store *copy = store_new(w->base);
	struct vd_io *io = store_io(copy, true);
	uint8_t *log = malloc(w->log_len);
	uint64_t first = 0;

	for (int i = 0; i < 2; i++) {
		struct vhdx_replay *replay;

		FUZZ_CHECK(vhdx_replay_scan(&replay, io, &w->header, NULL) == 0, "scan %d", i);
		FUZZ_CHECK(vhdx_replay_seq(replay) == w->model.seq, "sequence %llu",
			   (unsigned long long)vhdx_replay_seq(replay));
		FUZZ_CHECK(vhdx_replay_apply(replay, io, NULL) == 0, "apply %d", i);
		vhdx_replay_free(replay);
		FUZZ_CHECK(store_length(copy) == view_len, "%llu bytes, the view %llu",
			   (unsigned long long)store_length(copy), (unsigned long long)view_len);
		if (i == 0)
			first = store_hash(copy);
	}
	FUZZ_CHECK(store_hash(copy) == first, "a second replay changes the file");
	check_content(w, io, "the replayed file");
	store_read(copy, log, w->log_len, LOG_OFF);
	FUZZ_CHECK(memcmp(log, w->log, w->log_len) == 0, "the replay changed the log");
	free(log);
	vd_io_close(io);
	store_free(copy);
}

/* What the view calls a hole reads as zero. */
static void check_holes(struct vd_io *view, uint64_t len)
{
	static const uint8_t zeros[4096];
	uint64_t at = 0, start, end, allocated;

	for (int i = 0; i < 200 && at < len; i++, at = end) {
		uint8_t page[4096];

		FUZZ_CHECK(vd_io_next_data(view, at, len, &start, &end, NULL) == 0, "next data");
		FUZZ_CHECK(start >= at && end >= start && end <= len, "data [%llu, %llu)",
			   (unsigned long long)start, (unsigned long long)end);
		if (start == end)
			end = len;
		if (start - at < sizeof(page))
			continue;
		FUZZ_CHECK(vd_io_read(view, page, sizeof(page), at, NULL) == 0 &&
			       memcmp(page, zeros, sizeof(page)) == 0,
			   "the hole at %llu isn't zero", (unsigned long long)at);
		FUZZ_CHECK(vd_io_read(view, page, sizeof(page), start - sizeof(page), NULL) == 0 &&
			       memcmp(page, zeros, sizeof(page)) == 0,
			   "the hole before %llu isn't zero", (unsigned long long)start);
	}
	FUZZ_CHECK(vd_io_allocated(view, &allocated, NULL) <= 0, "allocated");
}

static void check_world(struct world *w)
{
	struct vd_io *io = store_io(w->base, false), *view;
	struct vhdx_replay *replay;
	struct vd_error err = VD_ERROR_INIT;
	int rc = vhdx_replay_scan(&replay, io, &w->header, &err);
	uint64_t len;

	FUZZ_CHECK(w->model.is_ambiguous || (rc == 0) == is_wanted(w),
		   "the specification says %s, the library %d: %s", is_wanted(w) ? "yes" : "no", rc,
		   err.text);
	if (rc == 0) {
		FUZZ_CHECK(vhdx_replay_view(&view, replay, io, NULL) == 0, "no view");
		FUZZ_CHECK(vd_io_length(view, &len, NULL) == 0 && len >= FILE_LEN, "length");
		if (!w->model.is_ambiguous) {
			FUZZ_CHECK(len >= w->model.last_off, "shorter than the log says");
			check_content(w, view, "the view");
			check_holes(view, len);
			if (len <= MAX_FILE)
				check_apply(w, len);
			fuzz_deep();
		}
		vd_io_close(view);
	}
	vd_io_close(io);
}

static void run(const uint8_t *data, size_t size)
{
	struct feed feed = {data, size};
	struct world w = {0};

	memset(&entry, 0, sizeof(entry));
	build(&w, &feed);
	check_world(&w);
	log_model_free(&w.model);
	free(w.log);
	store_free(w.base);
}

/* Seeds are put together from these. */
static uint8_t seed_data[4096];
static size_t seed_len;

static void put_entry(uint8_t flags, uint8_t at, uint8_t tail, uint16_t seq, uint16_t flushed)
{
	uint8_t *p = seed_data + seed_len;

	memset(p, 0, 16);
	p[1] = flags;
	p[2] = at;
	p[3] = tail;
	fuzz_put(p + 4, seq, 2);
	fuzz_put(p + 6, flushed, 2);
	fuzz_put(p + 8, 128, 2);
	seed_len += 16;
}

static void put_desc(bool is_zero, uint8_t flags, uint8_t fill, uint32_t off, uint32_t len)
{
	uint8_t *p = seed_data + seed_len;

	memset(p, 0, 16);
	p[0] = is_zero ? 2 : 1;
	p[1] = flags;
	p[2] = fill;
	fuzz_put(p + 3, off, 4);
	fuzz_put(p + 7, len, 4);
	seed_len += 16;
}

static void put_change(uint32_t off, uint64_t value, uint8_t width)
{
	uint8_t *p = seed_data + seed_len;

	memset(p, 0, 16);
	p[0] = 3;
	p[1] = (uint8_t)(width - 1);
	fuzz_put(p + 2, off, 4);
	fuzz_put(p + 6, value, 8);
	seed_len += 16;
}

static void begin(uint8_t flags)
{
	seed_data[0] = flags;
	seed_len = 1;
}

static void end(const char *name)
{
	fuzz_seed(name, seed_data, seed_len);
}

/* Three entries from sector 250 on, round the end of the ring. */
static void put_run(uint8_t flags)
{
	put_entry(0, 250, 250, 5, 128);
	put_desc(false, 0, 0xaa, 1, 0);
	put_desc(true, 0, 0, 3, 4);
	put_entry(flags, 252, 250, 6, 128);
	put_desc(false, 0, 0xbb, 4, 0);
	put_desc(false, 0, 0xb1, 5, 0);
	put_desc(false, 0, 0xb2, 1, 0);
	put_entry(0, 0, 250, 7, 128);
	put_desc(true, 0, 0, 5, 1);
	put_desc(false, 0, 0xcc, 7, 0);
}

static void seed_targets(void)
{
	static const struct {
		const char *name;
		uint8_t flags;
		uint32_t off, len;
		bool is_zero;
	} all[] = {
	    {"into-log", 1, 1536 * 2, 0, false},
	    {"round-log", 1 | 4, 2040, 16, true},
	    {"before", 1, 256, 0, false},
	    {"odd", 1, 8193, 0, false},
	    {"odd-zero", 4, 0, 7, true},
	    {"far", 1 | 2, 0xffffffff, 0, false},
	    {"very-far", 3, 0x0fffffff, 0, true},
	    {"nothing", 0, 3, 0, true},
	    {"behind", 1, 40000, 0, false},
	    {"zero-behind", 1 | 4, 16000, 4096, true},
	    {"zero-all", 1 | 4 | 8, 8192, 0x00800000, true},
	    {"sequence", 16, 0, 0, false},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		begin(0);
		put_entry(0, 0, 0, 1, 128);
		put_desc(all[i].is_zero, all[i].flags, 0x11, all[i].off, all[i].len);
		put_desc(false, 0, 0x22, 2, 0);
		end(all[i].name);
	}
}

static void seed(void)
{
	begin(0);
	put_run(0);
	end("run");
	for (int bit = 0; bit < 8; bit++) {
		char name[] = "run-0";

		name[4] = (char)('0' + bit);
		begin(0);
		put_run((uint8_t)(1 << bit));
		end(name);
	}
	begin(0);
	put_entry(0, 10, 9, 5, 128); /* no such tail */
	put_desc(false, 0, 0x33, 2, 0);
	end("tail");
	put_entry(0, 20, 20, 4, 128);
	put_desc(false, 0, 0x44, 2, 0);
	end("two-runs");
	begin(0);
	put_entry(0, 0, 0, 1, 129); /* the file is shorter */
	put_desc(false, 0, 0x33, 2, 0);
	end("cut-off");
	begin(0);
	put_entry(2, 0, 0, 0xffff, 128);
	put_desc(false, 0, 0x33, 2, 0);
	put_entry(0, 2, 0, 1, 128);
	put_desc(false, 0, 0x34, 2, 0);
	end("last-number");
	begin(0);
	put_entry(0, 0, 0, 1, 128);
	end("empty");
	begin(2);
	put_entry(0, 0, 0, 1, 128);
	for (uint8_t i = 0; i < 130; i++)
		put_desc(i % 3 == 0, 0, i, i * 7u, 1);
	end("many");
	begin(1);
	put_run(0);
	put_change(58 * 4096 + 24, 3, 4);
	end("changed-count");
	begin(1);
	put_run(0);
	put_change(59 * 4096 + 4092, 3, 4);
	end("changed-data");
	begin(1);
	put_run(0);
	put_change(56, (uint64_t)130 << 40, 8);
	end("changed-last");
	begin(1);
	put_run(0);
	put_change(60 * 4096 + 64 + 32, 0x6f72657a, 4); /* "zero" */
	end("changed-kind");
	seed_targets();
}

const struct fuzz_target fuzz_log = {
    .name = "log", .run = run, .record = 16, .head = 1, .seed = seed, .max_memory = 8 << 20};
