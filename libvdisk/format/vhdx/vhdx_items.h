/* SPDX-License-Identifier: MIT */
/*
 * The inside of a change of user metadata items: what the table becomes (vhdx_items_plan.c), where
 * new content goes, in the region (vhdx_items_change.c) or in a new one (vhdx_region.c).
 */
#ifndef VD_VHDX_ITEMS_H
#define VD_VHDX_ITEMS_H

#include "format/vhdx/vhdx.h"
#include "format/vhdx/vhdx_ondisk.h"

#define VHDX_TABLE_PAGES (VHDX_TABLE_SIZE / VHDX_PAGE)
#define VHDX_ITEM_BUFFER (256u << 10)
#define VHDX_NO_CHANGE   UINT32_MAX

/** One change, from the tables before and after it to the places of what is new. */
struct vhdx_item_plan {
	const struct vd_item_change *changes;
	size_t n;
	uint8_t *was, *will;       /* the table, 64 KiB each */
	uint32_t n_entries;        /* of `will` */
	uint32_t *change_of;       /* per entry of `will`: index of its change, or VHDX_NO_CHANGE */
	uint32_t *entry_of;        /* per change: index of its entry; VHDX_NO_CHANGE: a removal */
	uint32_t *from;            /* per entry of `will`: offset in the region as it is */
	struct vhdx_region region; /* where all of it will be */
	bool is_moving;            /* that is a new place */
	struct vhdx_params after;  /* `will`, decoded */
	uint8_t *buffer;           /* VHDX_ITEM_BUFFER bytes */
};

static inline struct vhdx_disk_item *vhdx_table_items(uint8_t *table)
{
	return (struct vhdx_disk_item *)(void *)(table + sizeof(struct vhdx_disk_table));
}

/** Bytes that content takes in a region: whole pages, which nothing else is in. */
static inline uint64_t vhdx_item_room(uint32_t len)
{
	return vd_align_up(len, VHDX_PAGE);
}

/* vhdx_items_plan.c */
int vhdx_item_plan_init(struct vhdx_item_plan *plan, const struct vd_item_change *changes, size_t n,
			struct vd_error *err);
void vhdx_item_plan_free(struct vhdx_item_plan *plan);
/** plan->was to plan->will, content without a place yet. */
int vhdx_item_plan_table(struct vhdx_item_plan *plan, struct vd_error *err);
/** Find a place for new content in the region as it is. False: there is too little room. */
int vhdx_item_plan_places(struct vhdx_item_plan *plan, const struct vhdx_region *region,
			  bool *has_room, struct vd_error *err);

/* vhdx_items_change.c: new content to its place in plan->region. */
int vhdx_item_write(struct vhdx *v, const struct vhdx_item_plan *plan, struct vd_error *err);

/* vhdx_region.c: the metadata region gets a larger place (R1 to R4). */
/** Give everything a place in a region that has room, close together. */
int vhdx_region_plan(struct vhdx_item_plan *plan, struct vd_error *err);
/** Take the space for it. vhdx_region_drop gives it back. */
int vhdx_region_alloc(struct vhdx *v, struct vhdx_item_plan *plan, struct vd_error *err);
void vhdx_region_drop(struct vhdx *v, const struct vhdx_item_plan *plan);
/** Copy what stays and write the table, by plain writes. */
int vhdx_region_fill(struct vhdx *v, const struct vhdx_item_plan *plan, struct vd_error *err);
/** Let both region tables name it. */
int vhdx_region_switch(struct vhdx *v, const struct vhdx_item_plan *plan, bool *is_committed,
		       struct vd_error *err);

#endif
