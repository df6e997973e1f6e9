/* SPDX-License-Identifier: MIT */
/* vd_compact: the order of the steps, and the pace. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <vdisk/sys/io.h>

#include "compact.h"

#define DEFAULT_HOLD_MS 50
#define PAUSE_NS        ((uint64_t)10000000)
#define NS              ((uint64_t)1000000000)
/* A guest that is slow for other reasons mustn't keep a compaction from ending. */
#define STEP_EVERY_NS NS
#define BOTH_LISTS    (VD_COMPACT_FREE_SPACE | VD_COMPACT_LAYOUT)
#define KNOWN_FLAGS   (BOTH_LISTS | VD_COMPACT_ZERO_SCAN | VD_COMPACT_DRY_RUN | VD_COMPACT_ALONE)

const char *vd_compact_level_name(enum vd_compact_level level)
{
	switch (level) {
	case VD_COMPACT_PUNCH:
		return "punch";
	case VD_COMPACT_PACK:
		return "pack";
	case VD_COMPACT_DEFRAG:
		return "defrag";
	}
	return "unknown";
}

uint64_t compact_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS + (uint64_t)now.tv_nsec;
}

/* How long to wait so that rate and share are kept. */
static uint64_t debt_ns(const struct compaction *c, uint64_t now)
{
	uint64_t spent = now - c->started_ns, due = 0;

	if (c->opts.max_rate)
		due = c->result->bytes_copied / c->opts.max_rate * NS +
		      c->result->bytes_copied % c->opts.max_rate * NS / c->opts.max_rate;
	if (c->opts.busy_percent && c->opts.busy_percent < 100) {
		uint64_t share = c->busy_ns / c->opts.busy_percent * 100;

		due = share > due ? share : due;
	}
	return due > spent ? due - spent : 0;
}

static int look_at_clock(const struct compaction *c, uint64_t now, struct vd_error *err)
{
	if (!c->opts.max_time_s || now - c->started_ns < c->opts.max_time_s * NS)
		return 0;
	return vd_error_set(
	    err, VD_ETIMEDOUT, 0, VD_NO_OFFSET,
	    "stopped after %u s, as asked; what is done stays, run it again to go on",
	    c->opts.max_time_s);
}

/* Is the guest slow, and have we not been waiting for it too long? */
static bool waits_for_guest(const struct compaction *c, uint64_t waited)
{
	return c->opts.latency_us && c->opts.max_latency_us && waited < STEP_EVERY_NS &&
	       c->opts.latency_us(c->opts.user) > c->opts.max_latency_us;
}

int compact_pause(struct compaction *c, struct vd_error *err)
{
	uint64_t now = compact_now_ns(), waited = 0;

	c->busy_ns += now - c->step_ns;
	c->progress.n_moved = c->result->n_moves;
	c->progress.bytes_copied = c->result->bytes_copied;
	for (;;) {
		uint64_t wait = debt_ns(c, now);
		int ret = look_at_clock(c, now, err);
		struct timespec nap;

		if (ret)
			return ret;
		if (c->opts.progress && c->opts.progress(c->opts.user, &c->progress))
			return vd_error_set(err, VD_ECANCELED, 0, VD_NO_OFFSET,
					    "the compaction was canceled; what is done stays");
		bool for_guest = !wait && waits_for_guest(c, waited);

		if (for_guest)
			wait = PAUSE_NS;
		if (!wait)
			break;
		wait = wait < PAUSE_NS ? wait : PAUSE_NS;
		nap = (struct timespec){0, (long)wait};
		nanosleep(&nap, NULL);
		wait = compact_now_ns() - now;
		now += wait;
		waited += for_guest ? wait : 0;
	}
	c->result->waited_ns += waited;
	c->step_ns = now;
	return 0;
}

static int add_use(void *user, const struct vd_use_range *range)
{
	struct compaction *c = user;

	if (c->n_uses == c->uses_room) {
		size_t room = c->uses_room ? 2 * c->uses_room : 256;
		struct vd_use_range *grown = realloc(c->uses, room * sizeof(*grown));

		if (!grown)
			return VD_ENOMEM;
		c->uses = grown;
		c->uses_room = room;
	}
	c->uses[c->n_uses++] = *range;
	return 0;
}

int compact_list(struct compaction *c, struct vd_error *err)
{
	int ret;

	c->n_uses = 0;
	ret = vd_disk_list_use(c->disk, add_use, c, err);
	if (ret == VD_ENOMEM)
		return vd_error_set(err, ret, 0, VD_NO_OFFSET, "no memory for a list of %zu blocks",
				    c->n_uses);
	return ret ? ret : vd_disk_get_space(c->disk, &c->space, err);
}

int compact_settle(struct compaction *c, struct vd_error *err)
{
	uint64_t length;

	return vd_disk_cut(c->disk, UINT64_MAX, &length, err);
}

static int take_opts(struct compaction *c, const struct vd_compact_opts *opts, struct vd_error *err)
{
	c->opts = (struct vd_compact_opts)VD_COMPACT_OPTS_INIT;
	if (opts && (opts->size < 8 || opts->size > sizeof(c->opts)))
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "vd_compact_opts.size is %u, this library knows up to %zu",
				    opts->size, sizeof(c->opts));
	if (opts)
		memcpy(&c->opts, opts, opts->size);
	if (!c->opts.level)
		c->opts.level = VD_COMPACT_PACK;
	if (!c->opts.hold_ms)
		c->opts.hold_ms = DEFAULT_HOLD_MS;
	if (c->opts.level > VD_COMPACT_DEFRAG || c->opts.busy_percent > 100 ||
	    (c->opts.flags & ~KNOWN_FLAGS) || (c->opts.flags & BOTH_LISTS) == BOTH_LISTS)
		return vd_error_set(
		    err, VD_EINVAL, 0, VD_NO_OFFSET,
		    "vd_compact_opts asks for what there isn't: level %d, flags 0x%x, "
		    "%u percent",
		    (int)c->opts.level, c->opts.flags, c->opts.busy_percent);
	return 0;
}

/* The length stays; all that is free in the file goes back to the host. */
static int punch_only(struct compaction *c, struct vd_error *err)
{
	int ret = c->opts.flags & VD_COMPACT_DRY_RUN ? 0 : compact_settle(c, err);

	c->result->is_complete = !ret;
	return ret;
}

static int run(struct compaction *c, struct vd_error *err)
{
	bool is_dry = c->opts.flags & VD_COMPACT_DRY_RUN;
	int ret = 0;

	if (c->opts.flags & VD_COMPACT_FREE_SPACE)
		ret = compact_free_space(c, err);
	if (!ret && (c->opts.flags & VD_COMPACT_LAYOUT))
		ret = compact_free_layout(c, err);
	if (!ret)
		ret = compact_reclaim(c, err);
	if (!ret && c->opts.level >= VD_COMPACT_PACK)
		ret = compact_pack(c, err);
	else if (!ret)
		ret = punch_only(c, err);
	if (!is_dry) {
		/* Also after a failure: what was done is to count. */
		int ret2 = vd_disk_flush(c->disk, ret ? NULL : err);

		ret = ret ? ret : ret2;
	}
	return ret;
}

int vd_compact(struct vd_disk *disk, const struct vd_compact_opts *opts,
	       struct vd_compact_result *result, struct vd_error *err)
{
	struct vd_compact_result own = {.size = sizeof(own)};
	struct compaction c = {.disk = disk, .result = &own, .space = {.size = sizeof(c.space)}};
	int ret = take_opts(&c, opts, err);

	c.started_ns = c.step_ns = compact_now_ns();
	if (!ret)
		ret = vd_disk_get_space(disk, &c.space, err);
	if (!ret) {
		own.file_before = own.file_after = c.space.file_size;
		own.allocated_before = own.allocated_after = c.space.allocated;
		ret = run(&c, err);
		if (!(c.opts.flags & VD_COMPACT_DRY_RUN) &&
		    !vd_disk_get_space(disk, &c.space, NULL)) {
			own.file_after = c.space.file_size;
			own.allocated_after = c.space.allocated;
		}
		own.shared_extents = compact_shared_extents(disk);
	}
	if (result) {
		uint32_t size = result->size < sizeof(own) ? result->size : (uint32_t)sizeof(own);

		own.size = result->size;
		memcpy(result, &own, size);
	}
	free(c.uses);
	dry_free_drop(&c);
	return ret;
}
