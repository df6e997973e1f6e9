/* SPDX-License-Identifier: MIT */
/* What lies where in the file, for planners. A snapshot entry by entry; pins nothing. */
#include <string.h>

#include "base/alloc.h"
#include "base/deadline.h"
#include "format/vhdx/vhdx_move.h"

int vhdx_get_space(void *state, struct vd_space_info *info, struct vd_error *err)
{
	struct vhdx *v = state;
	int ret;

	info->file_size = atomic_load(&v->file_len);
	info->granule = VD_MIB;
	info->block_size = v->params.block_size;
	info->bitmap_size = VHDX_BITMAP_SIZE;
	info->n_blocks = v->geo.n_blocks;
	info->can_drop = !v->is_fixed && !v->params.leave_allocated;
	info->log_size = v->headers.slot[v->headers.current].log_len;
	ret = vd_io_allocated(v->file, &info->allocated, err);
	if (ret == VD_EUNSUPPORTED) {
		info->allocated = UINT64_MAX;
		ret = 0;
	}
	return ret;
}

static int tell(vd_use_fn fn, void *user, enum vd_use use, uint64_t off, uint64_t len)
{
	const struct vd_use_range range = {off, len, use, 0, false};

	return fn(user, &range);
}

static int list_structures(struct vhdx *v, vd_use_fn fn, void *user)
{
	const struct vhdx_header *header = &v->headers.slot[v->headers.current];
	uint64_t place = atomic_load(&v->metadata_place);
	int ret = tell(fn, user, VD_USE_STRUCTURE, 0, VHDX_HEAD_END);

	if (!ret)
		ret = tell(fn, user, VD_USE_STRUCTURE, header->log_off, header->log_len);
	if (!ret)
		ret = tell(fn, user, VD_USE_STRUCTURE, v->regions.bat.off, v->regions.bat.len);
	if (!ret)
		ret = tell(fn, user, VD_USE_STRUCTURE, (place >> 12) * VD_MIB,
			   (place & 0xfff) * VD_MIB);
	for (uint32_t i = 0; i < v->regions.n_unknown && !ret; i++)
		ret = tell(fn, user, VD_USE_STRUCTURE, v->regions.unknown[i].off,
			   v->regions.unknown[i].len);
	return ret;
}

static int list_blocks(struct vhdx *v, vd_use_fn fn, void *user, struct vd_error *err)
{
	int ret = 0;

	for (uint64_t block = 0; block < v->geo.n_blocks && !ret; block++) {
		struct vd_use_range range = {.length = v->params.block_size, .number = block};
		uint64_t entry;
		enum vhdx_state state;

		ret = vhdx_word_get(v, vhdx_block_entry_off(v, block), &entry, err);
		if (!ret && entry)
			ret = vhdx_entry_check(v, block, entry, err);
		if (!ret && block % 4096 == 0)
			ret = vd_deadline_check(err);
		state = VHDX_ENTRY_STATE(entry);
		range.offset = VHDX_ENTRY_OFF(entry);
		if (ret || state == VHDX_NOT_PRESENT || state == VHDX_ZERO || !range.offset)
			continue;
		range.use = vhdx_is_stored(state) ? VD_USE_BLOCK : VD_USE_ANCHOR;
		range.is_whole = state == VHDX_PRESENT;
		ret = fn(user, &range);
	}
	return ret;
}

static int list_bitmaps(struct vhdx *v, vd_use_fn fn, void *user, struct vd_error *err)
{
	int ret = 0;

	for (uint64_t chunk = 0; v->params.has_parent && chunk < v->geo.n_chunks && !ret; chunk++) {
		struct vd_use_range range = {
		    .length = VHDX_BITMAP_SIZE, .use = VD_USE_BITMAP, .number = chunk};
		uint64_t entry;

		ret = vhdx_word_get(v, vhdx_entry_off(v, vhdx_bitmap_index(&v->geo, chunk)), &entry,
				    err);
		if (ret || VHDX_ENTRY_STATE(entry) != VHDX_PRESENT)
			continue;
		range.offset = VHDX_ENTRY_OFF(entry);
		ret = fn(user, &range);
	}
	return ret;
}

/* Under map_lock: space that is on its way to a block, or back from one. */
static int gather_busy(struct vhdx *v, struct vhdx_runs *busy, struct vd_error *err)
{
	struct vhdx_space *space = &v->space;
	const struct vhdx_runs *lists[] = {&space->dirty,     &space->frozen, &space->committed,
					   &space->draining,  &space->logged, &space->frozen_logged,
					   &space->quarantine};
	const size_t n_lists = sizeof(lists) / sizeof(lists[0]);
	size_t n = 0;

	for (size_t i = 0; i < n_lists; i++)
		n += lists[i]->n;
	for (int i = 0; i < VHDX_PENDING_BUCKETS; i++)
		for (struct vhdx_pending *p = v->pending[i]; p; p = p->next)
			n += !p->is_published;
	busy->n = 0;
	busy->run = vd_calloc(n + 1, sizeof(*busy->run));
	if (!busy->run)
		return vd_no_memory(err, n * sizeof(*busy->run), "space in use");
	for (size_t i = 0; i < n_lists; i++)
		for (size_t k = 0; k < lists[i]->n; k++)
			busy->run[busy->n++] = lists[i]->run[k];
	for (int i = 0; i < VHDX_PENDING_BUCKETS; i++)
		for (struct vhdx_pending *p = v->pending[i]; p; p = p->next)
			if (!p->is_published)
				busy->run[busy->n++] = (struct vhdx_run){
				    p->off / VD_MIB, v->params.block_size / VD_MIB};
	return 0;
}

int vhdx_list_use(void *state, vd_use_fn fn, void *user, struct vd_error *err)
{
	struct vhdx *v = state;
	struct vhdx_runs busy = {NULL, 0, 0};
	int ret = list_structures(v, fn, user);

	if (!ret)
		ret = list_blocks(v, fn, user, err);
	if (!ret)
		ret = list_bitmaps(v, fn, user, err);
	if (ret)
		return ret;
	pthread_mutex_lock(&v->map_lock);
	ret = gather_busy(v, &busy, err);
	pthread_mutex_unlock(&v->map_lock);
	for (size_t i = 0; i < busy.n && !ret; i++)
		ret = tell(fn, user, VD_USE_BUSY, busy.run[i].at * VD_MIB, busy.run[i].n * VD_MIB);
	vd_free(busy.run);
	return ret;
}
