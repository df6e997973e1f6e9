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
#include "format/vhdx/vhdx_space.h"

#define MAX_FILE  (128 * VD_TIB) /* beyond this an offset is nonsense: twice the largest disk */
#define GROW_MIB  64             /* the file grows by at least so much: fewer ftruncate calls */
#define BAT_CHUNK (1u << 20)

void vhdx_bits_put(uint64_t *bits, uint64_t at, uint64_t n, bool on)
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
	uint64_t room = vd_min64(space->room + space->room / 2, MAX_FILE / VD_MIB);
	uint64_t *grown;

	if (n_mib <= space->room)
		return 0;
	room = vd_align_up(vd_max64(n_mib, room), 64);
	grown = vd_realloc(space->used, room / 8);
	if (!grown)
		return vd_no_memory(err, room / 8, "the space map");
	space->used = grown;
	if (space->zeroed) {
		grown = vd_realloc(space->zeroed, room / 8);
		if (!grown)
			return vd_no_memory(err, room / 8, "the space map");
		space->zeroed = grown;
		memset((char *)space->zeroed + space->room / 8, 0, (room - space->room) / 8);
	}
	memset((char *)space->used + space->room / 8, 0, (room - space->room) / 8);
	space->room = room;
	return 0;
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
		if (vhdx_bit_get(space->used, i))
			return vd_error_set(
			    err, VD_ECORRUPT, 0, off,
			    "%s %llu at offset %llu overlaps something else; nothing was changed, "
			    "`vdtool check` tells more",
			    what, (unsigned long long)which, (unsigned long long)off);
	vhdx_bits_put(space->used, at, n, true);
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
	/* Nothing is known to be zero yet: the bitmap comes when the other one has its size. */
	if (!space->zeroed) {
		space->zeroed = vd_calloc(space->room / 64, sizeof(*space->zeroed));
		if (!space->zeroed)
			return vd_no_memory(err, space->room / 8, "the space map");
	}
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
		if (vhdx_bit_get(space->used, i)) {
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
	vhdx_bits_put(space->zeroed, old, wanted - old, true);
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
			*is_zero = *is_zero && vhdx_bit_get(space->zeroed, i);
		if (*is_zero || !must_be_zero)
			break;
		from = at + 1;
	}
	if (!is_found) {
		if (must_be_zero) { /* fresh space only: the free tail may hold anything */
			while (at < space->n_mib && !vhdx_bit_get(space->zeroed, at))
				at++;
		}
		if (at + n > space->n_mib) {
			ret = grow(v, at + n, err);
			if (ret)
				return ret;
		}
		*is_zero = true;
		for (uint64_t i = at; i < at + n; i++)
			*is_zero = *is_zero && vhdx_bit_get(space->zeroed, i);
	}
	if (!must_be_zero && n <= space->least_fail) {
		space->least_fail = n;
		space->first_try = at;
	}
	vhdx_bits_put(space->used, at, n, true);
	vhdx_bits_put(space->zeroed, at, n, false);
	*off = at * VD_MIB;
	return 0;
}

void vhdx_space_make_free(struct vhdx_space *space, uint64_t at, uint64_t n, bool is_zero)
{
	vhdx_bits_put(space->used, at, n, false);
	vhdx_bits_put(space->zeroed, at, n, is_zero);
	if (at <= space->first_try) {
		space->first_try = 0;
		space->least_fail = UINT64_MAX;
	}
}

void vhdx_space_cancel(struct vhdx *v, uint64_t off, uint64_t n)
{
	vhdx_space_make_free(&v->space, off / VD_MIB, n, VD_SABOTAGED(F1_CANCEL));
}

int vhdx_space_take(struct vhdx *v, uint64_t off, uint64_t n, bool *is_zero, struct vd_error *err)
{
	struct vhdx_space *space = &v->space;
	uint64_t at = off / VD_MIB;
	int ret;

	/* Behind the end, for what has to step aside: only right behind it. */
	bool is_free = at <= space->n_mib;

	for (uint64_t i = at; i < vd_min64(at + n, space->n_mib); i++)
		is_free = is_free && !vhdx_bit_get(space->used, i);
	if (!is_free)
		return vd_error_set(err, VD_EEXIST, 0, off,
				    "file offset %llu isn't free any more, or lies behind the end",
				    (unsigned long long)off);
	ret = at + n > space->n_mib ? grow(v, at + n, err) : 0;
	if (ret)
		return ret;
	*is_zero = true;
	for (uint64_t i = at; i < at + n; i++)
		*is_zero = *is_zero && vhdx_bit_get(space->zeroed, i);
	vhdx_bits_put(space->used, at, n, true);
	vhdx_bits_put(space->zeroed, at, n, false);
	return 0;
}

void vhdx_space_give_back(struct vhdx *v, uint64_t off, uint64_t n)
{
	bool is_zero = vd_io_punch(v->file, off, n * VD_MIB, NULL) == 0;

	pthread_mutex_lock(&v->map_lock);
	vhdx_space_make_free(&v->space, off / VD_MIB, n, is_zero);
	pthread_mutex_unlock(&v->map_lock);
}
