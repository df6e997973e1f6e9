/* SPDX-License-Identifier: MIT */
/*
 * What the active sequence of a log writes, as disjoint stretches of the file: of two that
 * overlap, the one written later counts.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/sabotage.h"
#include "format/vhdx/vhdx_ondisk.h"
#include "format/vhdx/vhdx_replay.h"

#define BATCH_SECTORS 32u

/* Is it a place that a log may write to? `at`: of the entry, in the file. */
static int check_target(const struct vhdx_replay *replay, uint64_t at, uint64_t off, uint64_t len,
			struct vd_error *err)
{
	uint64_t log_len = (uint64_t)replay->n_sectors * VHDX_PAGE;

	if (off % VHDX_PAGE || len % VHDX_PAGE)
		return vd_error_set(err, VD_ECORRUPT, 0, at,
				    "log entry at %" PRIu64 " writes to [%" PRIu64 ", +%" PRIu64
				    "), expected multiples of 4 KiB",
				    at, off, len);
	if (off < VHDX_REGIONS_OFF(0))
		return vd_error_set(err, VD_ECORRUPT, 0, at,
				    "log entry at %" PRIu64 " writes to %" PRIu64
				    ": what lies before 192 KiB never goes through the log",
				    at, off);
	if (!vd_is_within(off, len, VHDX_MAX_FILE))
		return vd_error_set(err, VD_ECORRUPT, 0, at,
				    "log entry at %" PRIu64 " writes to [%" PRIu64 ", +%" PRIu64
				    "): no VHDX is that long",
				    at, off, len);
	if (vd_is_overlap(off, len, replay->log_off, log_len) && !VD_SABOTAGED(DECODE_LOG_TARGET))
		return vd_error_set(err, VD_ECORRUPT, 0, at,
				    "log entry at %" PRIu64 " writes to [%" PRIu64 ", +%" PRIu64
				    "), into the log itself",
				    at, off, len);
	return 0;
}

static int grow(struct vhdx_patches *patches, struct vd_error *err)
{
	size_t room = patches->room ? 2 * patches->room : 256;
	void *larger = vd_realloc(patches->all, room * sizeof(*patches->all));

	if (!larger)
		return vd_no_memory(err, room * sizeof(*patches->all), "the index of the log");
	patches->all = larger;
	patches->room = room;
	return 0;
}

/* One descriptor; *data_sector is that of the next data sector of the entry. */
static int add_desc(struct vhdx_patches *patches, const struct vhdx_replay *replay,
		    const struct vhdx_disk_desc *desc, uint64_t at, uint32_t *data_sector,
		    struct vd_error *err)
{
	struct vhdx_patch *patch;
	bool is_data = memcmp(desc->signature, VHDX_DATA_DESC_SIGNATURE, 4) == 0;
	uint64_t off = vd_get64(desc->off), len = is_data ? VHDX_PAGE : vd_get64(desc->zero_len);
	int rc = check_target(replay, at, off, len, err);

	if (!rc && patches->n == patches->room)
		rc = grow(patches, err);
	if (!rc && !is_data && ++patches->n_zeros > VHDX_MAX_ZEROS(replay->n_sectors))
		rc = vd_error_set(err, VD_EUNSUPPORTED, 0, at,
				  "the log zeroes more than %" PRIu32 " stretches of the file",
				  VHDX_MAX_ZEROS(replay->n_sectors));
	if (rc || !len)
		return rc;
	patch = &patches->all[patches->n];
	memset(patch, 0, sizeof(*patch));
	patch->off = off;
	patch->end = off + len;
	patch->order = (uint32_t)patches->n++;
	patch->is_data = is_data;
	if (is_data) {
		patch->sector = (*data_sector)++ % replay->n_sectors;
		memcpy(patch->leading, desc->leading, sizeof(patch->leading));
		memcpy(patch->trailing, desc->trailing, sizeof(patch->trailing));
	}
	return 0;
}

int vhdx_patches_add(struct vhdx_patches *patches, const struct vhdx_replay *replay,
		     const struct vhdx_log_entry *entry, struct vd_error *err)
{
	const uint32_t per_sector = VHDX_PAGE / sizeof(struct vhdx_disk_desc);
	/* The header takes the place of the first two descriptors. */
	uint32_t n_slots = entry->n_descs + 2;
	uint32_t n_sectors = (uint32_t)vd_div_up(n_slots, per_sector);
	uint32_t data_sector = entry->sector + n_sectors;
	uint64_t at = replay->log_off + (uint64_t)entry->sector * VHDX_PAGE;
	VD_AUTO_FREE uint8_t *bytes = vd_malloc((size_t)BATCH_SECTORS * VHDX_PAGE);
	const struct vhdx_disk_desc *descs = (const void *)bytes;

	if (!bytes)
		return vd_no_memory(err, (size_t)BATCH_SECTORS * VHDX_PAGE, "the log");
	for (uint32_t s = 0; s < n_sectors; s += BATCH_SECTORS) {
		uint32_t n = (uint32_t)vd_min64(BATCH_SECTORS, n_sectors - s);
		uint32_t base = s * per_sector;
		int rc = vhdx_log_read(replay, entry->sector + s, n, bytes, err);

		for (uint32_t i = s ? 0 : 2; !rc && i < n * per_sector && base + i < n_slots; i++)
			rc = add_desc(patches, replay, &descs[i], at, &data_sector, err);
		if (rc)
			return rc;
	}
	return 0;
}

static int compare_off(const void *a, const void *b)
{
	const struct vhdx_patch *x = a, *y = b;

	return (x->off > y->off) - (x->off < y->off);
}

/* A heap of indices, the patch with the highest order on top. */
struct heap {
	const struct vhdx_patch *all;
	uint32_t *at;
	size_t n;
};

static bool is_later(const struct heap *heap, size_t a, size_t b)
{
	if (VD_SABOTAGED(DECODE_LOG_ORDER))
		return heap->all[heap->at[a]].order < heap->all[heap->at[b]].order;
	return heap->all[heap->at[a]].order > heap->all[heap->at[b]].order;
}

static void swap(struct heap *heap, size_t a, size_t b)
{
	uint32_t t = heap->at[a];

	heap->at[a] = heap->at[b];
	heap->at[b] = t;
}

static void push(struct heap *heap, uint32_t patch)
{
	size_t i = heap->n++;

	heap->at[i] = patch;
	for (; i && is_later(heap, i, (i - 1) / 2); i = (i - 1) / 2)
		swap(heap, i, (i - 1) / 2);
}

static void pop(struct heap *heap)
{
	size_t i = 0;

	heap->at[0] = heap->at[--heap->n];
	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= heap->n)
			return;
		if (child + 1 < heap->n && is_later(heap, child + 1, child))
			child++;
		if (!is_later(heap, child, i))
			return;
		swap(heap, i, child);
		i = child;
	}
}

/* [pos, end) shows `patch`. Zeros join with zeros before them. */
static void emit(struct vhdx_replay *replay, const struct vhdx_patch *patch, uint64_t pos,
		 uint64_t end)
{
	struct vhdx_patch *last =
	    replay->n_patches ? &replay->patches[replay->n_patches - 1] : NULL;

	if (last && !patch->is_data && !last->is_data && last->end == pos) {
		last->end = end;
		return;
	}
	replay->patches[replay->n_patches] = *patch;
	replay->patches[replay->n_patches].off = pos;
	replay->patches[replay->n_patches++].end = end;
}

/* Sweep over the file from patch to patch; the latest of those that cover a place shows there. */
static void sweep(const struct vhdx_patches *patches, struct heap *heap, struct vhdx_replay *replay)
{
	uint64_t pos = 0;
	size_t i = 0;

	for (;;) {
		const struct vhdx_patch *top;
		uint64_t end;

		while (heap->n && heap->all[heap->at[0]].end <= pos)
			pop(heap);
		if (!heap->n) {
			if (i == patches->n)
				return;
			pos = vd_max64(pos, patches->all[i].off);
		}
		while (i < patches->n && patches->all[i].off <= pos)
			push(heap, (uint32_t)i++);
		top = &heap->all[heap->at[0]];
		if (top->end <= pos)
			continue;
		end = top->end;
		if (i < patches->n)
			end = vd_min64(end, patches->all[i].off);
		emit(replay, top, pos, end);
		pos = end;
	}
}

int vhdx_patches_settle(struct vhdx_patches *patches, struct vhdx_replay *replay,
			struct vd_error *err)
{
	VD_AUTO_FREE uint32_t *at = vd_calloc(patches->n + 1, sizeof(*at));
	struct heap heap = {patches->all, at, 0};

	/* Each patch begins one stretch and ends one, so there are at most twice as many. */
	replay->patches = vd_calloc(2 * patches->n + 1, sizeof(*replay->patches));
	if (!at || !replay->patches)
		return vd_no_memory(err, 2 * patches->n * sizeof(*replay->patches),
				    "the index of the log");
	if (patches->n)
		qsort(patches->all, patches->n, sizeof(*patches->all), compare_off);
	sweep(patches, &heap, replay);
	return 0;
}

const struct vhdx_patch *vhdx_patch_find(const struct vhdx_replay *replay, uint64_t off)
{
	size_t low = 0, high = replay->n_patches;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (replay->patches[mid].end <= off)
			low = mid + 1;
		else
			high = mid;
	}
	return low < replay->n_patches ? &replay->patches[low] : NULL;
}

int vhdx_patch_load(const struct vhdx_replay *replay, const struct vhdx_patch *patch,
		    uint8_t page[VHDX_PAGE], struct vd_error *err)
{
	int rc = vhdx_log_read(replay, patch->sector, 1, page, err);

	memcpy(page, patch->leading, sizeof(patch->leading));
	memcpy(page + VHDX_PAGE - sizeof(patch->trailing), patch->trailing,
	       sizeof(patch->trailing));
	return rc;
}
