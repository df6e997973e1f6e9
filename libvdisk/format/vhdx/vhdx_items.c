/* SPDX-License-Identifier: MIT */
/*
 * User metadata items as they are: listing and reading. The table was read by the opening. A
 * reader holds items.lock, so that a change frees no content that is being read.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/deadline.h"
#include "format/vhdx/vhdx.h"

int vhdx_items_init(struct vhdx *v, struct vd_error *err)
{
	struct vhdx_item_state *state = &v->items;
	pthread_rwlockattr_t attr;
	int ret;

	/* A change that is committed doesn't wait for readers that come later. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	ret = pthread_rwlock_init(&state->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	if (ret)
		return vd_no_memory(err, sizeof(state->lock), "a lock");
	pthread_mutex_init(&state->turn_lock, NULL);
	vd_cond_init(&state->turn);
	return 0;
}

void vhdx_items_free(struct vhdx *v)
{
	pthread_rwlock_destroy(&v->items.lock);
	pthread_mutex_destroy(&v->items.turn_lock);
	pthread_cond_destroy(&v->items.turn);
}

static void show(const struct vhdx *v, const struct vhdx_item *item, struct vd_item *out)
{
	memcpy(out->id, item->id.b, sizeof(out->id));
	out->flags = item->flags & (VHDX_ITEM_USER | VHDX_ITEM_VIRTUAL_DISK | VHDX_ITEM_REQUIRED);
	out->length = item->len;
	out->offset = item->len ? v->regions.metadata.off + item->off : 0;
}

static int list(const struct vhdx *v, struct vd_item **items, size_t *n, struct vd_error *err)
{
	const struct vhdx_params *params = &v->params;

	for (uint32_t i = 0; i < params->n_items; i++)
		*n += params->items[i].flags & VHDX_ITEM_USER;
	if (!*n)
		return 0;
	*items = vd_calloc(*n, sizeof(**items));
	if (!*items) {
		size_t size = *n * sizeof(**items);

		*n = 0;
		return vd_no_memory(err, size, "the list of items");
	}
	for (uint32_t i = 0, at = 0; i < params->n_items; i++)
		if (params->items[i].flags & VHDX_ITEM_USER)
			show(v, &params->items[i], &(*items)[at++]);
	return 0;
}

int vhdx_list_items(void *state, struct vd_item **items, size_t *n, struct vd_error *err)
{
	struct vhdx *v = state;
	int ret;

	*items = NULL;
	*n = 0;
	pthread_rwlock_rdlock(&v->items.lock);
	ret = list(v, items, n, err);
	pthread_rwlock_unlock(&v->items.lock);
	return ret;
}

static const struct vhdx_item *find(const struct vhdx_params *params, const uint8_t id[16])
{
	for (uint32_t i = 0; i < params->n_items; i++)
		if (params->items[i].flags & VHDX_ITEM_USER &&
		    !memcmp(params->items[i].id.b, id, sizeof(params->items[i].id.b)))
			return &params->items[i];
	return NULL;
}

static int read_item(struct vhdx *v, struct vd_guid id, void *buf, uint32_t len, uint32_t offset,
		     struct vd_error *err)
{
	const struct vhdx_item *item = find(&v->params, id.b);
	char text[VD_GUID_TEXT];

	vd_guid_format(id, text);
	if (!item)
		return vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET,
				    "the image has no user metadata item %s", text);
	if (!vd_is_within(offset, len, item->len))
		return vd_error_set(err, VD_ERANGE, 0, VD_NO_OFFSET,
				    "%u bytes at %u lie beyond the end of metadata item %s, which "
				    "has %u",
				    len, offset, text, item->len);
	if (!len)
		return 0;
	return vd_io_read(v->io, buf, len, v->regions.metadata.off + item->off + offset, err);
}

int vhdx_read_item(void *state, const uint8_t id[16], void *buf, uint32_t len, uint32_t offset,
		   struct vd_error *err)
{
	struct vhdx *v = state;
	struct vd_guid guid;
	int ret;

	memcpy(guid.b, id, sizeof(guid.b));
	pthread_rwlock_rdlock(&v->items.lock);
	ret = read_item(v, guid, buf, len, offset, err);
	pthread_rwlock_unlock(&v->items.lock);
	return ret;
}
