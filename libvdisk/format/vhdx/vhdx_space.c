/* SPDX-License-Identifier: MIT */
/*
 * The space map: which MiB of the file hold something. Built from the BAT when it is first
 * needed, and then kept up to date. Free doesn't mean zero (a crash or another writer may have
 * left bytes there), so a second bitmap tells what is known to read as zero.
 */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/sabotage.h"
#include "format/vhdx/vhdx.h"

#define MAX_FILE  (128 * VD_TIB) /* beyond this an offset is nonsense: twice the largest disk */
#define GROW_MIB  64             /* the file grows by at least so much: fewer ftruncate calls */
#define BAT_CHUNK (1u << 20)

static bool get_bit(const uint64_t *bits, uint64_t i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

static void put_bits(uint64_t *bits, uint64_t at, uint64_t n, bool on)
{
	for (uint64_t i = at; i < at + n; i++) {
		if (on)
			bits[i / 64] |= (uint64_t)1 << (i % 64);
		else
			bits[i / 64] &= ~((uint64_t)1 << (i % 64));
	}
}

/* Let the bitmaps reach to n_mib. */
static int resize(struct vhdx_space *space, uint64_t n_mib, struct vd_error *err)
{
	uint64_t room = vd_align_up(vd_max64(n_mib, space->room + space->room / 2), 64);
	uint64_t *grown;

	if (n_mib <= space->room)
		return 0;
	grown = vd_realloc(space->used, room / 8);
	if (!grown)
		return vd_no_memory(err, room / 8, "the space map");
	space->used = grown;
	grown = vd_realloc(space->zeroed, room / 8);
	if (!grown)
		return vd_no_memory(err, room / 8, "the space map");
	space->zeroed = grown;
	memset((char *)space->used + space->room / 8, 0, (room - space->room) / 8);
	memset((char *)space->zeroed + space->room / 8, 0, (room - space->room) / 8);
	space->room = room;
	return 0;
}

static int runs_reserve(struct vhdx_runs *runs, size_t n, struct vd_error *err)
{
	size_t room = runs->n + n > 2 * runs->room ? runs->n + n : 2 * runs->room;
	struct vhdx_run *grown;

	if (runs->n + n <= runs->room)
		return 0;
	grown = vd_realloc(runs->run, room * sizeof(*grown));
	if (!grown)
		return vd_no_memory(err, room * sizeof(*grown), "freed space");
	runs->run = grown;
	runs->room = room;
	return 0;
}

static void runs_add(struct vhdx_runs *runs, uint64_t at, uint64_t n)
{
	struct vhdx_run *last = runs->n ? &runs->run[runs->n - 1] : NULL;

	if (last && last->at + last->n == at)
		last->n += n;
	else
		runs->run[runs->n++] = (struct vhdx_run){at, n};
}

/* Append `from` to `to`; if memory is short the space stays taken until the next opening. */
static void runs_move(struct vhdx_runs *to, struct vhdx_runs *from)
{
	if (!to->n) {
		struct vhdx_runs empty = *to;

		*to = *from;
		*from = empty;
	} else if (!runs_reserve(to, from->n, NULL)) {
		for (size_t i = 0; i < from->n; i++)
			runs_add(to, from->run[i].at, from->run[i].n);
	}
	from->n = 0;
}

/* Mark [off, off + len) as taken by `what` number `which`. */
static int take(struct vhdx *v, uint64_t off, uint64_t len, const char *what, uint64_t which,
		struct vd_error *err)
{
	struct vhdx_space *space = &v->space;
	uint64_t at = off / VD_MIB, n = vd_div_up(len, VD_MIB);
	int ret;

	if (!vd_is_within(off, len, MAX_FILE))
		return vd_error_set(err, VD_ECORRUPT, 0, off,
				    "%s %llu at offset %llu: lies beyond any possible file", what,
				    (unsigned long long)which, (unsigned long long)off);
	ret = resize(space, at + n, err);
	if (ret)
		return ret;
	for (uint64_t i = at; i < at + n; i++)
		if (get_bit(space->used, i))
			return vd_error_set(
			    err, VD_ECORRUPT, 0, off,
			    "%s %llu at offset %llu overlaps something else; nothing was changed, "
			    "`vdtool check` tells more",
			    what, (unsigned long long)which, (unsigned long long)off);
	put_bits(space->used, at, n, true);
	space->n_mib = vd_max64(space->n_mib, at + n);
	return 0;
}

static int take_entry(struct vhdx *v, uint64_t index, uint64_t entry, struct vd_error *err)
{
	uint64_t per_chunk = ((uint64_t)1 << v->geo.ratio_bits) + 1;
	enum vhdx_state state = VHDX_ENTRY_STATE(entry);
	uint64_t off = VHDX_ENTRY_OFF(entry), n = v->params.block_size;

	if (index % per_chunk == per_chunk - 1) {
		if (!v->params.has_parent || state != VHDX_PRESENT)
			return 0;
		return take(v, off, VHDX_BITMAP_SIZE, "sector bitmap block", index / per_chunk,
			    err);
	}
	/* UNDEFINED and UNMAPPED may keep a claim on space (a soft anchor). Behind the last block
	 * the table has slack, whose content means nothing. */
	if (index - index / per_chunk >= v->geo.n_blocks || state == VHDX_NOT_PRESENT ||
	    state == VHDX_ZERO || (!vhdx_is_stored(state) && off == 0))
		return 0;
	return take(v, off, n, "payload block", index - index / per_chunk, err);
}

static int take_bat(struct vhdx *v, struct vd_error *err)
{
	uint64_t at = v->regions.bat.off, end = at + 8 * v->geo.n_entries;
	VD_AUTO_FREE struct vd_le64 *chunk = vd_malloc(BAT_CHUNK);
	int ret;

	if (!chunk)
		return vd_no_memory(err, BAT_CHUNK, "reading the BAT");
	while (at < end) {
		uint64_t data, data_end, n;

		ret = vd_io_next_data(v->io, at, end, &data, &data_end, err);
		if (ret)
			return ret;
		if (data >= end)
			break;
		at = vd_align_down(data, 8);
		n = vd_min64(vd_min64(vd_align_up(data_end, 8), end) - at, BAT_CHUNK);
		ret = vd_io_read(v->io, chunk, n, at, err);
		for (uint64_t i = 0; !ret && i < n / 8; i++) {
			uint64_t entry = vd_get64(chunk[i]);

			if (entry)
				ret = take_entry(v, (at - v->regions.bat.off) / 8 + i, entry, err);
		}
		if (ret)
			return ret;
		at += n;
	}
	return 0;
}

static int take_structures(struct vhdx *v, struct vd_error *err)
{
	const struct vhdx_header *header = &v->headers.slot[v->headers.current];
	int ret = take(v, 0, VHDX_HEAD_END, "header section", 0, err);

	if (!ret)
		ret = take(v, header->log_off, header->log_len, "log", 0, err);
	if (!ret)
		ret = take(v, v->regions.bat.off, v->regions.bat.len, "BAT region", 0, err);
	if (!ret)
		ret = take(v, v->regions.metadata.off, v->regions.metadata.len, "metadata region",
			   0, err);
	for (uint32_t i = 0; !ret && i < v->regions.n_unknown; i++)
		ret = take(v, v->regions.unknown[i].off, v->regions.unknown[i].len,
			   "unknown region", i, err);
	return ret;
}

int vhdx_space_build(struct vhdx *v, struct vd_error *err)
{
	struct vhdx_space *space = &v->space;
	uint64_t len = atomic_load(&v->file_len);
	int ret;

	if (space->is_built)
		return 0;
	if (space->room) /* left by an attempt that failed */
		memset(space->used, 0, space->room / 8);
	space->n_mib = 0;
	ret = take_structures(v, err);
	if (!ret)
		ret = take_bat(v, err);
	if (!ret)
		ret = resize(space, vd_div_up(len, VD_MIB), err);
	if (ret)
		return ret;
	v->bytes_beyond_end =
	    space->n_mib * VD_MIB > len ? space->n_mib * VD_MIB - vd_align_up(len, VD_MIB) : 0;
	space->n_mib = vd_max64(space->n_mib, vd_div_up(len, VD_MIB));
	if (space->n_mib * VD_MIB != len) {
		/* Blocks beyond the end read as zero; make that so before anything is written. */
		ret = vhdx_space_extend(v, space->n_mib * VD_MIB, err);
		if (ret)
			return ret;
	}
	space->least_fail = UINT64_MAX;
	space->is_built = true;
	return 0;
}

int vhdx_space_extend(struct vhdx *v, uint64_t end, struct vd_error *err)
{
	int ret;

	end = vd_align_up(end, VD_MIB);
	if (end <= atomic_load(&v->file_len))
		return 0;
	ret = vd_io_truncate(v->file, end, err);
	if (!ret)
		atomic_store(&v->file_len, end);
	return ret;
}

/* The first free run of n MiB at or behind `from`; the start of the free tail if there is none. */
static uint64_t search(const struct vhdx_space *space, uint64_t from, uint64_t n, bool *is_found)
{
	uint64_t start = from, i = from;

	while (i < space->n_mib) {
		if (i % 64 == 0 && space->used[i / 64] == UINT64_MAX) {
			i += 64;
			start = i;
			continue;
		}
		if (get_bit(space->used, i)) {
			start = i + 1;
		} else if (i + 1 - start >= n) {
			*is_found = true;
			return start;
		}
		i++;
	}
	*is_found = false;
	return vd_min64(start, space->n_mib);
}

/* Let the file end at n_mib at least, with some more to come. */
static int grow(struct vhdx *v, uint64_t n_mib, struct vd_error *err)
{
	struct vhdx_space *space = &v->space;
	uint64_t wanted = vd_max64(n_mib, space->n_mib + GROW_MIB), old = space->n_mib;
	int ret;

	if (n_mib > MAX_FILE / VD_MIB)
		return vd_error_set(err, VD_ENOSPC, EFBIG, VD_NO_OFFSET,
				    "the file would grow beyond %llu TiB",
				    (unsigned long long)(MAX_FILE / VD_TIB));
	ret = resize(space, wanted, err);
	if (ret)
		return ret;
	ret = vhdx_space_extend(v, wanted * VD_MIB, NULL);
	if (ret && wanted > n_mib) {
		wanted = n_mib;
		ret = vhdx_space_extend(v, wanted * VD_MIB, err);
	}
	if (ret)
		return ret;
	space->n_mib = wanted;
	put_bits(space->zeroed, old, wanted - old, true);
	return 0;
}

int vhdx_space_alloc(struct vhdx *v, uint64_t n, bool must_be_zero, uint64_t *off, bool *is_zero,
		     struct vd_error *err)
{
	struct vhdx_space *space = &v->space;
	uint64_t at, from = n >= space->least_fail ? space->first_try : 0;
	bool is_found = false;
	int ret;

	for (;;) {
		at = search(space, from, n, &is_found);
		if (!is_found)
			break;
		*is_zero = true;
		for (uint64_t i = at; i < at + n; i++)
			*is_zero = *is_zero && get_bit(space->zeroed, i);
		if (*is_zero || !must_be_zero)
			break;
		from = at + 1;
	}
	if (!is_found) {
		if (must_be_zero) { /* fresh space only: the free tail may hold anything */
			while (at < space->n_mib && !get_bit(space->zeroed, at))
				at++;
		}
		if (at + n > space->n_mib) {
			ret = grow(v, at + n, err);
			if (ret)
				return ret;
		}
		*is_zero = true;
		for (uint64_t i = at; i < at + n; i++)
			*is_zero = *is_zero && get_bit(space->zeroed, i);
	}
	if (!must_be_zero && n <= space->least_fail) {
		space->least_fail = n;
		space->first_try = at;
	}
	put_bits(space->used, at, n, true);
	put_bits(space->zeroed, at, n, false);
	*off = at * VD_MIB;
	return 0;
}

static void make_free(struct vhdx_space *space, uint64_t at, uint64_t n, bool is_zero)
{
	put_bits(space->used, at, n, false);
	put_bits(space->zeroed, at, n, is_zero);
	if (at <= space->first_try) {
		space->first_try = 0;
		space->least_fail = UINT64_MAX;
	}
}

void vhdx_space_cancel(struct vhdx *v, uint64_t off, uint64_t n)
{
	make_free(&v->space, off / VD_MIB, n, VD_SABOTAGED(F1_CANCEL));
}

int vhdx_space_reserve(struct vhdx *v, struct vd_error *err)
{
	int ret = runs_reserve(&v->space.dirty, 1, err);

	return ret ? ret : runs_reserve(&v->space.quarantine, 1, err);
}

void vhdx_space_release(struct vhdx *v, uint64_t off, uint64_t n)
{
	if (VD_SABOTAGED(I7_REUSE))
		make_free(&v->space, off / VD_MIB, n, false);
	else
		runs_add(&v->space.dirty, off / VD_MIB, n);
	v->n_freed++;
}

bool vhdx_space_take(struct vhdx *v, uint64_t off, uint64_t n, bool *is_zero)
{
	struct vhdx_space *space = &v->space;
	uint64_t at = off / VD_MIB;

	/* Behind the end, for what has to step aside: only right behind it. */
	if (at > space->n_mib || (at + n > space->n_mib && grow(v, at + n, NULL)))
		return false;
	*is_zero = true;
	for (uint64_t i = at; i < at + n; i++) {
		if (get_bit(space->used, i))
			return false;
		*is_zero = *is_zero && get_bit(space->zeroed, i);
	}
	put_bits(space->used, at, n, true);
	put_bits(space->zeroed, at, n, false);
	return true;
}

void vhdx_space_moved(struct vhdx *v, uint64_t off, uint64_t n)
{
	if (VD_SABOTAGED(M3_EARLY))
		make_free(&v->space, off / VD_MIB, n,
			  vd_io_punch(v->file, off, n * VD_MIB, NULL) == 0);
	else
		runs_add(&v->space.dirty, off / VD_MIB, n);
}

bool vhdx_space_is_draining(struct vhdx *v)
{
	bool is_draining;

	pthread_mutex_lock(&v->map_lock);
	is_draining = v->space.draining.n || v->space.committed.n || v->space.is_punching;
	pthread_mutex_unlock(&v->map_lock);
	return is_draining;
}

int vhdx_space_cut(struct vhdx *v, uint64_t keep, struct vd_error *err)
{
	struct vhdx_space *space = &v->space;
	uint64_t end = space->n_mib;
	int ret;

	while (end > keep && !get_bit(space->used, end - 1))
		end--;
	if (end == space->n_mib)
		return 0;
	ret = vd_io_truncate(v->file, end * VD_MIB, err);
	if (ret)
		return ret;
	atomic_store(&v->file_len, end * VD_MIB);
	space->n_mib = end;
	space->opened_mib = vd_min64(space->opened_mib, end);
	space->first_try = 0;
	space->least_fail = UINT64_MAX;
	return 0;
}

void vhdx_space_freeze(struct vhdx *v)
{
	runs_move(&v->space.frozen, &v->space.dirty);
}

void vhdx_space_thaw(struct vhdx *v)
{
	runs_move(&v->space.dirty, &v->space.frozen);
}

void vhdx_space_committed(struct vhdx *v)
{
	runs_move(&v->space.committed, &v->space.frozen);
}

void vhdx_space_quarantine(struct vhdx *v, uint64_t off, uint64_t n)
{
	if (VD_SABOTAGED(REGION_LAP))
		make_free(&v->space, off / VD_MIB, n, false);
	else
		runs_add(&v->space.quarantine, off / VD_MIB, n);
}

void vhdx_space_lap_ended(struct vhdx *v)
{
	struct vhdx_runs *runs = &v->space.quarantine;

	for (size_t i = 0; i < runs->n; i++)
		vhdx_cache_forget(v, runs->run[i].at * VD_MIB, runs->run[i].n * VD_MIB);
	/* Kept apart: vhdx_space_reserve has made room here. */
	if (!runs_reserve(&v->space.committed, runs->n, NULL))
		for (size_t i = 0; i < runs->n; i++)
			runs_add(&v->space.committed, runs->run[i].at, runs->run[i].n);
	runs->n = 0;
}

/* Give the host its space back, then let it be allocated again: the F2 of the commit that uses it
 * makes the hole durable. */
static void punch_and_free(struct vhdx *v, struct vhdx_runs *runs)
{
	struct vhdx_space *space = &v->space;

	for (size_t i = 0; i < runs->n; i++) {
		uint64_t at = runs->run[i].at, n = runs->run[i].n;
		bool is_zero = vd_io_punch(v->file, at * VD_MIB, n * VD_MIB, NULL) == 0;

		pthread_mutex_lock(&v->map_lock);
		make_free(space, at, n, is_zero);
		pthread_mutex_unlock(&v->map_lock);
	}
}

void vhdx_space_reap(struct vhdx *v, bool is_closing)
{
	struct vhdx_space *space = &v->space;

	pthread_mutex_lock(&v->map_lock);
	while (!space->is_punching && (space->draining.n || space->committed.n)) {
		struct vhdx_runs ready;

		if (!space->draining.n) {
			runs_move(&space->draining, &space->committed);
			vd_grace_begin(&v->gate, &space->grace);
		}
		if (!is_closing && !VD_SABOTAGED(GATE) && !vd_grace_poll(&v->gate, &space->grace))
			break;
		ready = space->draining;
		memset(&space->draining, 0, sizeof(space->draining));
		space->is_punching = true;
		pthread_mutex_unlock(&v->map_lock);
		punch_and_free(v, &ready);
		vd_free(ready.run);
		pthread_mutex_lock(&v->map_lock);
		space->is_punching = false;
	}
	pthread_mutex_unlock(&v->map_lock);
}

int vhdx_space_trim(struct vhdx *v, struct vd_error *err)
{
	struct vhdx_space *space = &v->space;
	uint64_t end = space->n_mib;
	int ret;

	if (!space->is_built)
		return 0;
	while (end > space->opened_mib && !get_bit(space->used, end - 1))
		end--;
	if (end == space->n_mib)
		return 0;
	ret = vd_io_truncate(v->file, end * VD_MIB, err);
	if (ret)
		return ret;
	atomic_store(&v->file_len, end * VD_MIB);
	space->n_mib = end;
	return vd_io_sync(v->file, err);
}

void vhdx_space_free(struct vhdx *v)
{
	struct vhdx_space *space = &v->space;

	vd_free(space->used);
	vd_free(space->zeroed);
	vd_free(space->dirty.run);
	vd_free(space->frozen.run);
	vd_free(space->committed.run);
	vd_free(space->draining.run);
	vd_free(space->quarantine.run);
}
