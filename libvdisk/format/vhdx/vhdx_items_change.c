/* SPDX-License-Identifier: MIT */
/*
 * Changing user metadata items, all or none:
 *
 *   session (I1) -> content by plain writes to pages of the region that no item is in, and that no
 *   entry of the log writes to (I7: only the table's pages are logged) -> one commit: F2 makes the
 *   content durable, one entry has all changed pages of the table (I8) -> F4: it counts, and what
 *   was replaced or removed is unused space
 *
 * Without enough unused space the whole region moves (vhdx_region.c). One change at a time has the
 * turn; flushes of the payload share commits with it.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/deadline.h"
#include "base/sabotage.h"
#include "format/vhdx/vhdx_items.h"

#define MAX_CHANGES 4096u

static int refuse(struct vd_error *err, const struct vd_item_change *change, const char *why)
{
	struct vd_guid id;
	char text[VD_GUID_TEXT];

	memcpy(id.b, change->id, sizeof(id.b));
	vd_guid_format(id, text);
	return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "metadata item %s: %s", text, why);
}

static int check_change(const struct vd_item_change *change, struct vd_error *err)
{
	if (change->is_removal)
		return 0;
	if (change->flags & VHDX_ITEM_REQUIRED)
		return refuse(err, change, "a user item can't be required (MS-VHDX 2.6.1.2)");
	if (!(change->flags & VHDX_ITEM_USER) ||
	    change->flags & ~(VHDX_ITEM_USER | VHDX_ITEM_VIRTUAL_DISK))
		return refuse(err, change,
			      "its flags must be VD_ITEM_USER, with or without "
			      "VD_ITEM_VIRTUAL_DISK");
	if (change->length > VHDX_MAX_ITEM)
		return refuse(err, change, "it would be longer than 1 MiB (MS-VHDX 2.6.1.2)");
	if (change->length && !change->data && !change->fill)
		return refuse(err, change, "there is neither content nor who brings it");
	return 0;
}

static int check_changes(const struct vd_item_change *changes, size_t n, struct vd_error *err)
{
	int ret = 0;

	if (n > MAX_CHANGES)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "%zu changes of metadata items at once; at most %u can be "
				    "made",
				    n, MAX_CHANGES);
	for (size_t i = 0; i < n && !ret; i++) {
		ret = check_change(&changes[i], err);
		for (size_t j = 0; j < i && !ret; j++)
			if (!memcmp(changes[i].id, changes[j].id, sizeof(changes[i].id)))
				ret = refuse(err, &changes[i], "it is there twice in one change");
	}
	return ret;
}

static int take_turn(struct vhdx *v, struct vd_error *err)
{
	struct vhdx_item_state *state = &v->items;
	int ret = 0;

	pthread_mutex_lock(&state->turn_lock);
	if (state->is_changing && pthread_equal(state->changer, pthread_self()))
		ret = vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				   "metadata items can't be changed by who brings the content of "
				   "such a change");
	while (state->is_changing && !ret)
		ret = vd_deadline_wait(&state->turn, &state->turn_lock, err);
	if (!ret) {
		state->is_changing = true;
		state->changer = pthread_self();
	}
	pthread_mutex_unlock(&state->turn_lock);
	return ret;
}

static void give_turn(struct vhdx *v)
{
	pthread_mutex_lock(&v->items.turn_lock);
	v->items.is_changing = false;
	pthread_cond_broadcast(&v->items.turn);
	pthread_mutex_unlock(&v->items.turn_lock);
}

/* One item's content, in pieces, with zeros up to the end of its last page. */
static int write_one(struct vhdx *v, const struct vhdx_item_plan *plan,
		     const struct vd_item_change *change, uint64_t to, struct vd_error *err)
{
	for (uint32_t at = 0, n; at < change->length; at += n) {
		size_t room;
		int ret = 0;

		n = (uint32_t)vd_min64(change->length - at, VHDX_ITEM_BUFFER);
		room = (size_t)vhdx_item_room(n);
		if (change->data)
			memcpy(plan->buffer, (const uint8_t *)change->data + at, n);
		else
			ret = change->fill(change->user, plan->buffer, n, at, err);
		if (ret < 0)
			return ret;
		memset(plan->buffer + n, 0, room - n);
		ret = vd_io_write(v->file, plan->buffer, room, to + at, err);
		if (ret)
			return ret;
	}
	return 0;
}

int vhdx_item_write(struct vhdx *v, const struct vhdx_item_plan *plan, struct vd_error *err)
{
	const struct vhdx_disk_item *entries = vhdx_table_items(plan->will);
	int ret = 0;

	for (size_t i = 0; i < plan->n && !ret; i++) {
		uint32_t at = plan->entry_of[i];

		if (at != VHDX_NO_CHANGE && plan->changes[i].length)
			ret = write_one(v, plan, &plan->changes[i],
					plan->region.off + vd_get32(entries[at].off), err);
	}
	return ret;
}

/* Where everything goes, and that the table which comes of it is one that we would open. */
static int make_plan(struct vhdx *v, struct vhdx_item_plan *plan, struct vd_error *err)
{
	bool has_room;
	int ret = vhdx_words_read(v, plan->was, VHDX_TABLE_SIZE, v->regions.metadata.off, err);

	if (!ret)
		ret = vhdx_item_plan_table(plan, err);
	if (!ret)
		ret = vhdx_item_plan_places(plan, &v->regions.metadata, &has_room, err);
	if (!ret && !has_room)
		ret = vhdx_region_plan(plan, err);
	if (!ret)
		ret = vhdx_items_decode(vd_span(plan->will, VHDX_TABLE_SIZE), &plan->region,
					&plan->after, err);
	return ret;
}

/* It is committed: what readers see from now on. */
static void publish(struct vhdx *v, struct vhdx_item_plan *plan)
{
	struct vhdx_region old = v->regions.metadata;
	struct vhdx_item *items = v->params.items;

	pthread_rwlock_wrlock(&v->items.lock);
	pthread_mutex_lock(&v->map_lock);
	v->params.items = plan->after.items;
	v->params.n_items = plan->after.n_items;
	v->params.n_unknown = plan->after.n_unknown;
	plan->after.items = items;
	if (plan->is_moving) {
		v->regions.metadata.off = plan->region.off;
		v->regions.metadata.len = plan->region.len;
		atomic_store(&v->metadata_place, vhdx_region_place(&v->regions.metadata));
		vhdx_space_quarantine(v, old.off, old.len / VD_MIB); /* R4 */
	}
	pthread_mutex_unlock(&v->map_lock);
	pthread_rwlock_unlock(&v->items.lock);
}

/* In the region as it is. */
static int change_in_place(struct vhdx *v, const struct vhdx_item_plan *plan, bool *is_committed,
			   struct vd_error *err)
{
	struct vhdx_edit edit = {
	    .part = {{v->regions.metadata.off, VHDX_TABLE_SIZE, plan->was, plan->will}},
	    .n_parts = 1};
	int ret = VD_SABOTAGED(ITEM_EARLY) ? 0 : vhdx_item_write(v, plan, err);

	if (!ret)
		ret = vhdx_commit_edit(v, &edit, err);
	*is_committed = edit.is_committed;
	if (VD_SABOTAGED(ITEM_EARLY) && !ret)
		ret = vhdx_item_write(v, plan, err);
	return ret;
}

static int change_and_move(struct vhdx *v, struct vhdx_item_plan *plan, bool *is_committed,
			   struct vd_error *err)
{
	int ret = vhdx_region_alloc(v, plan, err);

	if (ret)
		return ret;
	if (!VD_SABOTAGED(REGION_EARLY))
		ret = vhdx_region_fill(v, plan, err);
	if (!ret)
		ret = vhdx_item_write(v, plan, err);
	if (!ret)
		ret = vhdx_region_switch(v, plan, is_committed, err);
	if (!ret && VD_SABOTAGED(REGION_EARLY))
		ret = vhdx_region_fill(v, plan, err);
	if (ret && !*is_committed)
		vhdx_region_drop(v, plan);
	return ret;
}

static int change(struct vhdx *v, struct vhdx_item_plan *plan, struct vd_error *err)
{
	bool is_committed = false;
	int ret = make_plan(v, plan, err);

	if (ret || !memcmp(plan->was, plan->will, VHDX_TABLE_SIZE))
		return ret;
	if (!VD_SABOTAGED(ITEM_SESSION))
		ret = vhdx_session_begin(
		    v, VD_SABOTAGED(ITEM_DATA_ID) ? VHDX_SESSION_DATA : VHDX_SESSION_FILE, err);
	if (ret)
		return ret;
	/* Nothing may overlap the region, and the file must reach to its end. */
	pthread_mutex_lock(&v->map_lock);
	ret = vhdx_space_build(v, err);
	pthread_mutex_unlock(&v->map_lock);
	/* Unused pages may hold what an entry names that was given up: have it overwritten. */
	if (!ret && atomic_load(&v->commit.is_doubtful))
		ret = vhdx_commit(v, err);
	if (!ret)
		ret = plan->is_moving ? change_and_move(v, plan, &is_committed, err)
				      : change_in_place(v, plan, &is_committed, err);
	if (is_committed)
		publish(v, plan);
	/* A header that could not be written after the commit point is made good by the next
	 * commit. */
	return is_committed && !vd_io_is_poisoned(v->file) ? 0 : ret;
}

int vhdx_change_items(void *state, const struct vd_item_change *changes, size_t n,
		      struct vd_error *err)
{
	struct vhdx *v = state;
	struct vhdx_item_plan plan;
	int ret = 0;

	if (!v->is_writable)
		ret =
		    vd_error_set(err, VD_EROFS, 0, VD_NO_OFFSET, "the image was opened read-only");
	if (!ret)
		ret = check_changes(changes, n, err);
	if (ret || !n)
		return ret;
	ret = take_turn(v, err);
	if (ret)
		return ret;
	ret = vhdx_item_plan_init(&plan, changes, n, err);
	if (!ret)
		ret = change(v, &plan, err);
	vhdx_item_plan_free(&plan);
	give_turn(v);
	return ret;
}
