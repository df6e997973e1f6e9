/* SPDX-License-Identifier: MIT */
/*
 * What a change makes of the metadata table, and where in the region its content can go. Entries of
 * others keep their bytes and their order. New content takes pages that no item is in, neither of
 * the table before the change nor of the one after it.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/sabotage.h"
#include "format/vhdx/vhdx_items.h"

int vhdx_item_plan_init(struct vhdx_item_plan *plan, const struct vd_item_change *changes, size_t n,
			struct vd_error *err)
{
	const size_t n_entries = VHDX_ITEMS_MAX;

	memset(plan, 0, sizeof(*plan));
	plan->changes = changes;
	plan->n = n;
	plan->was = vd_malloc(VHDX_TABLE_SIZE);
	plan->will = vd_malloc(VHDX_TABLE_SIZE);
	plan->change_of = vd_malloc(n_entries * sizeof(*plan->change_of));
	plan->from = vd_calloc(n_entries, sizeof(*plan->from));
	plan->entry_of = vd_malloc(n * sizeof(*plan->entry_of));
	plan->buffer = vd_malloc_aligned(VHDX_PAGE, VHDX_ITEM_BUFFER);
	if (!plan->was || !plan->will || !plan->change_of || !plan->from || !plan->entry_of ||
	    !plan->buffer)
		return vd_no_memory(err, VHDX_TABLE_SIZE, "a change of metadata items");
	for (size_t i = 0; i < n; i++)
		plan->entry_of[i] = VHDX_NO_CHANGE;
	return 0;
}

void vhdx_item_plan_free(struct vhdx_item_plan *plan)
{
	vd_free(plan->was);
	vd_free(plan->will);
	vd_free(plan->change_of);
	vd_free(plan->from);
	vd_free(plan->entry_of);
	vd_free_aligned(plan->buffer);
	vhdx_params_free(&plan->after);
}

static uint32_t find_change(const struct vhdx_item_plan *plan, const struct vhdx_disk_item *entry)
{
	struct vd_guid id = vd_guid_from_disk(entry->id);

	if (!(vd_get32(entry->flags) & VHDX_ITEM_USER))
		return VHDX_NO_CHANGE;
	for (uint32_t i = 0; i < plan->n; i++)
		if (!memcmp(plan->changes[i].id, id.b, sizeof(id.b)))
			return i;
	return VHDX_NO_CHANGE;
}

static void put_entry(struct vhdx_item_plan *plan, uint32_t at, uint32_t which)
{
	const struct vd_item_change *change = &plan->changes[which];
	struct vhdx_disk_item *entry = &vhdx_table_items(plan->will)[at];
	struct vd_guid id;

	memcpy(id.b, change->id, sizeof(id.b));
	memset(entry, 0, sizeof(*entry));
	vd_guid_to_disk(id, entry->id);
	entry->len = vd_put32(change->length);
	entry->flags = vd_put32(change->flags);
	plan->change_of[at] = which;
	plan->entry_of[which] = at;
}

/* The bounds of the format, and our own on what all user items take. */
static int check_bounds(const struct vhdx_item_plan *plan, uint64_t before, struct vd_error *err)
{
	const struct vhdx_disk_item *entries = vhdx_table_items(plan->will);
	uint32_t n_user = 0;
	uint64_t total = 0;

	for (uint32_t i = 0; i < plan->n_entries; i++) {
		if (!(vd_get32(entries[i].flags) & VHDX_ITEM_USER))
			continue;
		n_user++;
		total += vd_get32(entries[i].len);
	}
	if (n_user > VHDX_USER_ITEMS_MAX)
		return vd_error_set(err, VD_ENOSPC, 0, VD_NO_OFFSET,
				    "there would be %u user metadata items; a VHDX has at most %u "
				    "(MS-VHDX 2.6.1.1)",
				    n_user, VHDX_USER_ITEMS_MAX);
	if (total > VD_ITEM_TOTAL_MAX && total > before)
		return vd_error_set(err, VD_ENOSPC, 0, VD_NO_OFFSET,
				    "all user metadata items together would have %llu bytes, more "
				    "than the %u that are supported",
				    (unsigned long long)total, VD_ITEM_TOTAL_MAX);
	return 0;
}

int vhdx_item_plan_table(struct vhdx_item_plan *plan, struct vd_error *err)
{
	const struct vhdx_disk_item *old = vhdx_table_items(plan->was);
	struct vhdx_disk_item *new = vhdx_table_items(plan->will);
	uint32_t n_old = vd_get16(((struct vhdx_disk_table *)(void *)plan->was)->n_entries), n = 0;
	struct vhdx_disk_table *head = (void *)plan->will;
	uint64_t before = 0;

	memcpy(plan->will, plan->was, VHDX_TABLE_SIZE);
	for (uint32_t i = 0; i < n_old && i < VHDX_ITEMS_MAX; i++) {
		uint32_t which = find_change(plan, &old[i]);

		if (vd_get32(old[i].flags) & VHDX_ITEM_USER)
			before += vd_get32(old[i].len);
		if (which == VHDX_NO_CHANGE) {
			new[n] = old[i];
			plan->change_of[n] = VHDX_NO_CHANGE;
			plan->from[n++] = vd_get32(old[i].off);
		} else if (!plan->changes[which].is_removal) {
			put_entry(plan, n++, which);
		}
	}
	for (uint32_t i = 0; i < plan->n; i++) {
		if (plan->changes[i].is_removal || plan->entry_of[i] != VHDX_NO_CHANGE)
			continue;
		if (n == VHDX_ITEMS_MAX)
			return vd_error_set(err, VD_ENOSPC, 0, VD_NO_OFFSET,
					    "the metadata table is full: it has %u entries "
					    "(MS-VHDX 2.6.1.1)",
					    VHDX_ITEMS_MAX);
		put_entry(plan, n++, i);
	}
	if (n < n_old)
		memset(&new[n], 0, (n_old - n) * sizeof(*new));
	plan->n_entries = n;
	head->n_entries = vd_put16((uint16_t)n);
	return check_bounds(plan, before, err);
}

static void mark(uint8_t *used, uint64_t n_pages, uint64_t off, uint64_t len)
{
	for (uint64_t i = off / VHDX_PAGE; len && i <= (off + len - 1) / VHDX_PAGE && i < n_pages;
	     i++)
		used[i] = 1;
}

/* The first unused run of `n` pages, or 0. */
static uint64_t find_run(const uint8_t *used, uint64_t n_pages, uint64_t n)
{
	uint64_t start = VHDX_TABLE_PAGES;

	for (uint64_t i = start; i < n_pages; i++) {
		if (used[i])
			start = i + 1;
		else if (i + 1 - start >= n)
			return start;
	}
	return 0;
}

static void put_place(const struct vhdx_item_plan *plan, uint32_t which, uint64_t page)
{
	vhdx_table_items(plan->will)[plan->entry_of[which]].off =
	    vd_put32((uint32_t)(page * VHDX_PAGE));
}

/* In one run if there is one, else each where it fits. */
static bool find_places(const struct vhdx_item_plan *plan, uint8_t *used, uint64_t n_pages)
{
	uint64_t total = 0, run;

	for (size_t i = 0; i < plan->n; i++)
		if (!plan->changes[i].is_removal)
			total += vhdx_item_room(plan->changes[i].length) / VHDX_PAGE;
	run = find_run(used, n_pages, total);
	for (uint32_t i = 0; i < plan->n; i++) {
		uint64_t n = vhdx_item_room(plan->changes[i].length) / VHDX_PAGE;
		uint64_t at = run ? run : find_run(used, n_pages, n);

		if (plan->changes[i].is_removal || !n)
			continue;
		if (!at)
			return false;
		put_place(plan, i, at);
		mark(used, n_pages, at * VHDX_PAGE, n * VHDX_PAGE);
		run += run ? n : 0;
	}
	return true;
}

int vhdx_item_plan_places(struct vhdx_item_plan *plan, const struct vhdx_region *region,
			  bool *has_room, struct vd_error *err)
{
	uint64_t n_pages = region->len / VHDX_PAGE;
	uint8_t *table = VD_SABOTAGED(ITEM_REUSE) ? plan->will : plan->was;
	uint32_t n = vd_get16(((struct vhdx_disk_table *)(void *)table)->n_entries);
	VD_AUTO_FREE uint8_t *used = vd_calloc(1, n_pages + 1);

	if (!used)
		return vd_no_memory(err, n_pages, "the map of the metadata region");
	for (uint32_t i = 0; i < n && i < VHDX_ITEMS_MAX; i++) {
		const struct vhdx_disk_item *entry = &vhdx_table_items(table)[i];

		if (vd_get32(entry->off))
			mark(used, n_pages, vd_get32(entry->off), vd_get32(entry->len));
	}
	plan->region = *region;
	*has_room = find_places(plan, used, n_pages);
	return 0;
}
