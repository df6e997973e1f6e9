/* SPDX-License-Identifier: MIT */
/*
 * Changes of structures that stand in one log entry (I8): pages of the metadata table, of both
 * region tables. All pages are held before the first is changed, and until it is known what
 * became of the entry: a change that wasn't committed is taken back, so that no later commit
 * brings it after all.
 */
#include <endian.h>
#include <string.h>

#include "base/sabotage.h"
#include "format/vhdx/vhdx.h"

static uint64_t word_of(const uint8_t *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, 8);
	return le64toh(word);
}

/* Let the words of the held pages that differ be those of `to`. */
static void put(struct vhdx *v, struct vhdx_edit *edit, bool is_back)
{
	for (int i = 0; i < edit->n_parts; i++) {
		const uint8_t *from = edit->part[i].was, *to = edit->part[i].will;

		for (size_t at = 0; at < edit->part[i].len; at += 8)
			if (memcmp(from + at, to + at, 8) != 0)
				vhdx_txn_set(v, &edit->txn, edit->part[i].off + at,
					     word_of((is_back ? from : to) + at));
	}
}

int vhdx_edit_stage(struct vhdx *v, struct vhdx_edit *edit, struct vd_error *err)
{
	int ret = 0;

	for (int i = 0; i < edit->n_parts && !ret; i++)
		for (size_t at = 0; at < edit->part[i].len && !ret; at += VHDX_PAGE)
			if (memcmp(edit->part[i].was + at, edit->part[i].will + at, VHDX_PAGE) != 0)
				ret = vhdx_txn_hold(v, &edit->txn, edit->part[i].off + at, err);
	if (ret) {
		vhdx_txn_end(&edit->txn);
		return ret;
	}
	put(v, edit, false);
	edit->is_staged = true;
	return 0;
}

void vhdx_edit_end(struct vhdx *v, struct vhdx_edit *edit)
{
	pthread_mutex_lock(&v->map_lock);
	if (edit->is_staged && !edit->is_committed && !VD_SABOTAGED(ITEM_UNDO))
		put(v, edit, true);
	vhdx_txn_end(&edit->txn);
	edit->is_staged = false;
	pthread_mutex_unlock(&v->map_lock);
}
