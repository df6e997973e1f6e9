/* SPDX-License-Identifier: MIT */
/*
 * The metadata region gets a new place, with room for twice what it holds (docs/vhdx.md, R1 to R4):
 *
 *   space, zero and within the file -> content and table written there -> one log entry with the
 *   changed pages of both region tables -> (end of the lap) the old place is free
 *
 * What changes with it, items and their table, is simply written to the new place: the entry makes
 * all of it count at once. Unknown regions stay where they are.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/crc32c.h"
#include "base/sabotage.h"
#include "format/vhdx/vhdx_items.h"

#define LEAST_REGION (2 * VD_MIB)
#define MOST_REGION  VD_GIB

int vhdx_region_plan(struct vhdx_item_plan *plan, struct vd_error *err)
{
	struct vhdx_disk_item *entries = vhdx_table_items(plan->will);
	uint64_t at = VHDX_TABLE_SIZE, wanted;

	for (uint32_t i = 0; i < plan->n_entries; i++) {
		if (plan->change_of[i] != VHDX_NO_CHANGE || !vd_get32(entries[i].len))
			continue;
		entries[i].off = vd_put32((uint32_t)at);
		at += vhdx_item_room(vd_get32(entries[i].len));
	}
	/* New content in the order in which it was given. */
	for (size_t i = 0; i < plan->n; i++) {
		if (plan->changes[i].is_removal || !plan->changes[i].length)
			continue;
		entries[plan->entry_of[i]].off = vd_put32((uint32_t)at);
		at += vhdx_item_room(plan->changes[i].length);
	}
	if (at > MOST_REGION)
		return vd_error_set(err, VD_ENOSPC, 0, VD_NO_OFFSET,
				    "a metadata region of %llu bytes would be needed, more than "
				    "the %llu that are supported",
				    (unsigned long long)at, (unsigned long long)MOST_REGION);
	wanted = vd_align_up(2 * at - VHDX_TABLE_SIZE, VD_MIB);
	plan->region.len = (uint32_t)vd_max64(vd_min64(wanted, MOST_REGION), LEAST_REGION);
	plan->is_moving = true;
	return 0;
}

/* R1. */
int vhdx_region_alloc(struct vhdx *v, struct vhdx_item_plan *plan, struct vd_error *err)
{
	bool is_zero;
	int ret;

	pthread_mutex_lock(&v->map_lock);
	ret = vhdx_space_reserve(v, err);
	if (!ret)
		ret = vhdx_space_alloc(v, plan->region.len / VD_MIB, !VD_SABOTAGED(REGION_ZERO),
				       &plan->region.off, &is_zero, err);
	pthread_mutex_unlock(&v->map_lock);
	return ret;
}

void vhdx_region_drop(struct vhdx *v, const struct vhdx_item_plan *plan)
{
	uint64_t n = plan->region.len / VD_MIB;

	pthread_mutex_lock(&v->map_lock);
	/* An entry that may yet come back names it: free with the next one. */
	if (!atomic_load(&v->commit.is_doubtful))
		vhdx_space_cancel(v, plan->region.off, n);
	else if (!vhdx_space_reserve(v, NULL))
		vhdx_space_release(v, plan->region.off, n);
	pthread_mutex_unlock(&v->map_lock);
}

static int copy_item(struct vhdx *v, const struct vhdx_item_plan *plan, uint32_t from, uint32_t to,
		     uint32_t len, struct vd_error *err)
{
	for (uint32_t at = 0, n; at < len; at += n) {
		int ret;

		n = (uint32_t)vd_min64(len - at, VHDX_ITEM_BUFFER);
		ret =
		    vd_io_read(v->file, plan->buffer, n, v->regions.metadata.off + from + at, err);
		if (!ret)
			ret =
			    vd_io_write(v->file, plan->buffer, n, plan->region.off + to + at, err);
		if (ret)
			return ret;
	}
	return 0;
}

/* R2, but for the sync, which is the commit's (F2). */
int vhdx_region_fill(struct vhdx *v, const struct vhdx_item_plan *plan, struct vd_error *err)
{
	const struct vhdx_disk_item *entries = vhdx_table_items(plan->will);
	int ret = 0;

	for (uint32_t i = 0; i < plan->n_entries && !ret; i++)
		if (plan->change_of[i] == VHDX_NO_CHANGE)
			ret = copy_item(v, plan, plan->from[i], vd_get32(entries[i].off),
					vd_get32(entries[i].len), err);
	if (!ret)
		ret = vd_io_write(v->file, plan->will, VHDX_TABLE_SIZE, plan->region.off, err);
	return ret;
}

/* The copy that counts, with the region's new place and a new checksum. */
static int make_table(const struct vhdx_item_plan *plan, const uint8_t *was, uint8_t *will,
		      struct vd_error *err)
{
	struct vhdx_disk_regions *head = (void *)will;
	struct vhdx_disk_region *entries = (void *)(will + sizeof(*head));
	uint32_t n = vd_get32(((const struct vhdx_disk_regions *)(const void *)was)->n_entries);

	memcpy(will, was, VHDX_REGIONS_SIZE);
	for (uint32_t i = 0; i < n && i < VHDX_REGIONS_MAX; i++) {
		if (!vd_guid_is_equal(vd_guid_from_disk(entries[i].id), vhdx_region_metadata))
			continue;
		entries[i].off = vd_put64(plan->region.off);
		entries[i].len = vd_put32(plan->region.len);
		entries[i].required = vd_put32(VHDX_REGION_REQUIRED);
		if (VD_SABOTAGED(REGION_CRC))
			return 0;
		head->checksum = vd_put32(0);
		head->checksum = vd_put32(vd_crc32c(0, will, VHDX_REGIONS_SIZE));
		return 0;
	}
	return vd_error_set(err, VD_ECORRUPT, 0, VHDX_REGIONS_OFF(0),
			    "the region table names no metadata region any more: something else "
			    "writes to the image");
}

/* R3: both copies become the one that counts. */
int vhdx_region_switch(struct vhdx *v, const struct vhdx_item_plan *plan, bool *is_committed,
		       struct vd_error *err)
{
	VD_AUTO_FREE uint8_t *was = vd_malloc(2 * VHDX_REGIONS_SIZE);
	VD_AUTO_FREE uint8_t *will = vd_malloc(VHDX_REGIONS_SIZE);
	struct vhdx_edit edit = {.n_parts = 2};
	int ret;

	if (!was || !will)
		return vd_no_memory(err, (size_t)3 * VHDX_REGIONS_SIZE, "the region tables");
	ret = vhdx_words_read(v, was, (size_t)2 * VHDX_REGIONS_SIZE, VHDX_REGIONS_OFF(0), err);
	if (!ret)
		ret = make_table(plan, v->regions.is_valid[0] ? was : was + VHDX_REGIONS_SIZE, will,
				 err);
	if (ret)
		return ret;
	for (int copy = 0; copy < 2; copy++) {
		edit.part[copy].off = VHDX_REGIONS_OFF(copy);
		edit.part[copy].len = VHDX_REGIONS_SIZE;
		edit.part[copy].was = was + (size_t)copy * VHDX_REGIONS_SIZE;
		edit.part[copy].will = will;
	}
	if (VD_SABOTAGED(REGION_SPLIT)) {
		struct vhdx_edit first = edit;

		first.n_parts = 1;
		ret = vhdx_commit_edit(v, &first, err);
		edit.n_parts = 1;
		edit.part[0] = edit.part[1];
	}
	if (!ret)
		ret = vhdx_commit_edit(v, &edit, err);
	*is_committed = edit.is_committed;
	return ret;
}
