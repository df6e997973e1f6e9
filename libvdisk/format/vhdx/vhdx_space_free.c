/* SPDX-License-Identifier: MIT */
/*
 * Space on its way back: from the change that frees it, through the commit that makes that durable
 * (I7) and the end of the log's lap where entries write to it, past the last reader who resolved it
 * before, to the host and to the next who needs space. And the end of the file.
 *
 *   dirty  --freeze--> frozen  --committed--> committed --> draining --punch--> free
 *   logged --freeze--> (frozen) --committed--> quarantine --lap ended--^
 */
#include <string.h>

#include "base/alloc.h"
#include "base/sabotage.h"
#include "format/vhdx/vhdx_space.h"

#define PUNCH_MIB 64 /* of free space at once: others may allocate in between */

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

int vhdx_space_reserve(struct vhdx *v, struct vd_error *err)
{
	int ret = runs_reserve(&v->space.dirty, 1, err);

	return ret ? ret : runs_reserve(&v->space.logged, 1, err);
}

void vhdx_space_release(struct vhdx *v, uint64_t off, uint64_t n)
{
	if (VD_SABOTAGED(I7_REUSE))
		vhdx_space_make_free(&v->space, off / VD_MIB, n, false);
	else
		runs_add(&v->space.dirty, off / VD_MIB, n);
	v->n_freed++;
}

void vhdx_space_moved(struct vhdx *v, uint64_t off, uint64_t n, bool is_logged)
{
	if (VD_SABOTAGED(M3_EARLY))
		vhdx_space_make_free(&v->space, off / VD_MIB, n,
				     vd_io_punch(v->file, off, n * VD_MIB, NULL) == 0);
	else
		runs_add(is_logged ? &v->space.logged : &v->space.dirty, off / VD_MIB, n);
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

	while (end > keep && !vhdx_bit_get(space->used, end - 1))
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

/* The next stretch behind *at that is free, and not known to be zero; it becomes ours. */
static bool take_unknown(struct vhdx_space *space, uint64_t *at, uint64_t *n)
{
	uint64_t i = *at;

	for (; i < space->n_mib; i++) {
		if (i % 64 == 0 && (space->used[i / 64] | space->zeroed[i / 64]) == UINT64_MAX)
			i += 63;
		else if (!vhdx_bit_get(space->used, i) && !vhdx_bit_get(space->zeroed, i))
			break;
	}
	*at = i;
	for (*n = 0; i < space->n_mib && *n < PUNCH_MIB; i++, (*n)++)
		if (vhdx_bit_get(space->used, i) || vhdx_bit_get(space->zeroed, i))
			break;
	vhdx_bits_put(space->used, *at, *n, true);
	return *n > 0;
}

void vhdx_space_punch_free(struct vhdx *v)
{
	uint64_t at = 0, n, start, end;
	bool is_zero = true;

	pthread_mutex_lock(&v->map_lock);
	while (is_zero && take_unknown(&v->space, &at, &n)) {
		pthread_mutex_unlock(&v->map_lock);
		is_zero =
		    !vd_io_next_data(v->file, at * VD_MIB, (at + n) * VD_MIB, &start, &end, NULL) &&
		    (start == (at + n) * VD_MIB ||
		     !vd_io_punch(v->file, at * VD_MIB, n * VD_MIB, NULL));
		pthread_mutex_lock(&v->map_lock);
		vhdx_space_make_free(&v->space, at, n, is_zero);
		at += n;
	}
	pthread_mutex_unlock(&v->map_lock);
}

void vhdx_space_freeze(struct vhdx *v)
{
	runs_move(&v->space.frozen, &v->space.dirty);
	runs_move(&v->space.frozen_logged, &v->space.logged);
}

void vhdx_space_thaw(struct vhdx *v)
{
	runs_move(&v->space.dirty, &v->space.frozen);
	runs_move(&v->space.logged, &v->space.frozen_logged);
}

void vhdx_space_committed(struct vhdx *v)
{
	runs_move(&v->space.committed, &v->space.frozen);
	runs_move(&v->space.quarantine, &v->space.frozen_logged);
}

void vhdx_space_quarantine(struct vhdx *v, uint64_t off, uint64_t n)
{
	if (VD_SABOTAGED(REGION_LAP))
		vhdx_space_make_free(&v->space, off / VD_MIB, n, false);
	else if (!runs_reserve(&v->space.quarantine, 1, NULL))
		runs_add(&v->space.quarantine, off / VD_MIB, n);
}

void vhdx_space_lap_ended(struct vhdx *v)
{
	struct vhdx_runs *runs = &v->space.quarantine;

	for (size_t i = 0; i < runs->n; i++)
		vhdx_cache_forget(v, runs->run[i].at * VD_MIB, runs->run[i].n * VD_MIB);
	/* If memory is short it stays taken until the next opening. */
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
		vhdx_space_make_free(space, at, n, is_zero);
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
	while (end > space->opened_mib && !vhdx_bit_get(space->used, end - 1))
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
	vd_free(space->logged.run);
	vd_free(space->frozen_logged.run);
}
