/* SPDX-License-Identifier: MIT */
/* The life of an image: what it is, and what happens next. See life.h. */
#include "life.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scratch.h"
#include "stamp.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

void life_tell(struct life *life, const char *fmt, ...)
{
	char *line = life->lines[life->n_lines++ % LIFE_N_LINES];
	int n = snprintf(line, sizeof(life->lines[0]), "%" PRIu32 ": ", life->step);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line + n, sizeof(life->lines[0]) - (size_t)n, fmt, ap);
	va_end(ap);
	if (getenv("VD_LIFECYCLE_TRACE"))
		fprintf(stderr, "%s\n", line);
}

bool life_fail(struct life *life, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(life->text, sizeof(life->text), fmt, ap);
	va_end(ap);
	return false;
}

const char *life_path(const struct life *life, unsigned depth)
{
	char name[32];

	snprintf(name, sizeof(name), "life-%u.vhdx", life->depth - depth);
	return scratch_path(name);
}

void life_choose_windows(struct life *life)
{
	uint64_t size = life->create.virtual_size;
	uint64_t chunk = (uint64_t)life->create.logical_sector_size << 23;
	uint64_t at = size > 3 * MIB ? (size - 2 * MIB) & ~(uint64_t)4095 : 0;
	uint64_t middle = size > chunk + MIB ? chunk - 2 * MIB : size / 2 & ~(MIB - 1);

	life->w.windows = life->windows;
	life->w.n_windows = size > 8 * MIB ? 3 : 1;
	life->windows[0] = (struct window){0, size > 8 * MIB ? 3 * MIB : size};
	life->windows[1] = (struct window){at, size - at};
	life->windows[2] =
	    (struct window){middle, size - middle < 4 * MIB ? size - middle : 4 * MIB};
}

static void choose_shape(struct life *life)
{
	static const uint32_t blocks[] = {1, 1, 1, 2, 2, 4, 8, 32, 256};
	static const uint32_t logs[] = {1, 1, 1, 2, 3, 8};
	struct vd_create_opts *create = &life->create;
	uint64_t *random = &life->random, size;

	*create = (struct vd_create_opts)VD_CREATE_OPTS_INIT;
	create->type = rnd_below(random, 5) ? VD_TYPE_DYNAMIC : VD_TYPE_FIXED;
	create->logical_sector_size = rnd_below(random, 4) ? 512 : 4096;
	create->physical_sector_size = rnd(random) & 1 ? 512 : 4096;
	create->block_size =
	    blocks[rnd_below(random, create->type == VD_TYPE_FIXED ? 6 : 9)] * (uint32_t)MIB;
	create->log_size = logs[rnd_below(random, 6)] * (uint32_t)MIB;
	switch (create->type == VD_TYPE_FIXED ? rnd_below(random, 2) : rnd_below(random, 6)) {
	case 0:
		size = (rnd_below(random, 200) + 1) * 4096;
		break;
	case 1:
	case 2:
		size = (rnd_below(random, 24) + 1) * MIB;
		break;
	case 3:
	case 4: /* a little more than a chunk: the BAT has a sector bitmap's entry inside */
		size = ((uint64_t)create->logical_sector_size << 23) + rnd_below(random, 6) * MIB;
		break;
	default:
		size = (rnd_below(random, 100) + 1) * GIB;
	}
	if (rnd(random) & 1)
		size += rnd_below(random, 2 * MIB / create->logical_sector_size) *
			create->logical_sector_size;
	create->virtual_size = size;
	life->is_for_qemu = life->has_qemu && create->logical_sector_size == 512;
	life->flush_percent = (uint32_t[]){3, 15, 30, 50}[rnd_below(random, 4)];
	life->is_calm = rnd(random) & 1;
	life->max_write = (uint32_t[]){4096, 65536, 256 << 10, 3 << 20}[rnd_below(random, 4)];
}

bool life_begin(struct life *life, uint64_t seed, struct life_count *count)
{
	struct vd_error err = VD_ERROR_INIT;

	memset(life, 0, sizeof(*life));
	life->seed = life->random = seed;
	life->count = count;
	life->has_qemu = scratch_has("qemu-io") && !getenv("VD_LIFECYCLE_NO_QEMU");
	(void)rnd(&life->random);
	choose_shape(life);
	life_choose_windows(life);
	life->w.model = model_new(life->create.virtual_size, seed);
	unlink(life_path(life, 0));
	life_tell(life,
		  "create %s, %" PRIu64 " bytes, blocks %u MiB, sectors %u/%u, log %u MiB, "
		  "flushes %u%%, writes <= %u",
		  vd_disk_type_name(life->create.type), life->create.virtual_size,
		  life->create.block_size >> 20, life->create.logical_sector_size,
		  life->create.physical_sector_size, life->create.log_size >> 20,
		  life->flush_percent, life->max_write);
	if (vd_disk_create(life_path(life, 0), &life->create, &err) < 0)
		return life_fail(life, "create: %s", err.text);
	return life_check_file(life, life_path(life, 0)) && life_open(life);
}

/* Somewhere in a window; long ones are rare. */
struct window life_range(struct life *life, uint64_t max)
{
	static const uint32_t units[] = {512, 512, 512, 4096, 4096, 65536, 1 << 20};
	const struct window *window = &life->windows[rnd_below(&life->random, life->w.n_windows)];
	uint64_t unit = units[rnd_below(&life->random, 7)], start, len;

	start = rnd_below(&life->random, (window->len + unit - 1) / unit) * unit;
	if (unit > max)
		max = unit;
	if (rnd(&life->random) & 1)
		max = unit * 4 < max ? unit * 4 : max;
	len = (rnd_below(&life->random, max / unit) + 1) * unit;
	if (rnd_below(&life->random, 8) == 0 && start >= 512) /* up to where it began */
		start -= 512;
	if (len > window->len - start)
		len = window->len - start;
	return (struct window){window->offset + start, len};
}

/* Blocks as wholes, if that isn't too much. */
static struct window block_range(struct life *life)
{
	struct window range = life_range(life, 2 * MIB);
	uint64_t block = life->create.block_size, end = range.offset + range.len;

	if (block > 32 * MIB || rnd(&life->random) & 1)
		return range;
	range.offset -= range.offset % block;
	end = (end + block - 1) / block * block;
	if (end > life->create.virtual_size)
		end = life->create.virtual_size;
	range.len = end - range.offset;
	return range;
}

bool life_change(struct life *life)
{
	struct workload *w = &life->w;
	uint64_t dice = rnd_below(&life->random, 100);
	struct window range;
	uint32_t flags;
	bool ok;

	if (dice < life->flush_percent) {
		life_tell(life, "flush");
		ok = workload_flush(w);
	} else if (dice % 10 == 8) {
		range = block_range(life);
		flags = rnd(&life->random) & 1 ? VD_ZERO_KEEP_SPACE : 0;
		life_tell(life, "zero %" PRIu64 " +%" PRIu64 "%s", range.offset, range.len,
			  flags ? ", keeping space" : "");
		ok = workload_zero(w, range.offset, range.len, flags);
	} else if (dice % 10 == 9) {
		range = block_range(life);
		life_tell(life, "discard %" PRIu64 " +%" PRIu64, range.offset, range.len);
		ok = workload_discard(w, range.offset, range.len);
	} else {
		range = life_range(life, life->max_write);
		life_tell(life, "write %" PRIu64 " +%" PRIu64 ", generation %" PRIu32, range.offset,
			  range.len, w->generation + 1);
		ok = workload_write(w, range.offset, (size_t)range.len);
	}
	return ok || life_fail(life, "%s", w->text);
}

bool life_step(struct life *life)
{
	uint64_t dice = rnd_below(&life->random, 200);

	life->step++;
	life->count->steps++;
	life->w.n_trace = 0; /* only a recording needs the trace */
	if (life->is_calm && dice >= 66 && dice < 95 && rnd_below(&life->random, 8))
		dice = 199;
	if (dice < 22)
		return life_write_vector(life);
	if (dice < 44)
		return life_write_pieces(life);
	if (dice < 60)
		return life_read(life);
	if (dice < 66)
		return life_map(life);
	if (dice < 74)
		return life_reopen(life);
	if (dice < 80)
		return life_view(life);
	if (dice < 86)
		return life_cut(life);
	if (dice < 88)
		return life_make_child(life);
	if (dice < 92)
		return life_qemu(life);
	if (dice < 95)
		return life_threads(life);
	if (dice < 98)
		return life_clash(life);
	return life_change(life);
}

bool life_end(struct life *life)
{
	life->step++;
	return life_map(life) && life_reopen(life) && life_close(life);
}

void life_free(struct life *life, bool keep)
{
	/* After a failure. What the handle still wants to write mustn't spoil the evidence. */
	if (life->w.disk && keep)
		(void)scratch_run("cp --sparse=always '%s' '%s.open'", life_path(life, 0),
				  life_path(life, 0));
	vd_disk_close(life->w.disk, NULL);
	workload_free_trace(&life->w);
	model_free(life->w.model);
	for (unsigned i = 0; !keep && i <= life->depth; i++)
		unlink(life_path(life, i));
}
