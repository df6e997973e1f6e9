/* SPDX-License-Identifier: MIT */
/* Watching a block, so that it can be moved, freed or punched while guests write. */
#ifndef VD_VHDX_MOVE_H
#define VD_VHDX_MOVE_H

#include <vdisk/sys/space.h>

#include "format/vhdx/vhdx.h"

/** A few microseconds of sleep, while waiting for others to leave a gate. */
void vhdx_nap(void);

/*
 * With move.role held. begin: from now on writers to the block say that they came, and whoever
 * came before has left. hold: writers wait, and those inside have left (VD_EBUSY after limit_ms;
 * the watch goes on). *since: when holding began. end: nothing is watched any more.
 */
int vhdx_watch_begin(struct vhdx *v, uint64_t block, struct vd_error *err);
int vhdx_watch_hold(struct vhdx *v, uint64_t block, uint32_t limit_ms, uint64_t *since,
		    struct vd_error *err);
/** Has a writer come since the last time this was asked? */
bool vhdx_watch_was_written(struct vhdx *v);
void vhdx_watch_end(struct vhdx *v);

int vhdx_move_bitmap(struct vhdx *v, uint64_t chunk, uint64_t from, uint64_t to,
		     struct vd_move_result *result, struct vd_error *err);

/* What the format offers (vdisk/sys/space.h). */
int vhdx_get_space(void *state, struct vd_space_info *info, struct vd_error *err);
int vhdx_list_use(void *state, vd_use_fn fn, void *user, struct vd_error *err);
int vhdx_move(void *state, enum vd_use use, uint64_t number, uint64_t from, uint64_t to,
	      uint32_t hold_ms, struct vd_move_result *result, struct vd_error *err);
int vhdx_drop(void *state, uint64_t number, enum vd_drop how, uint32_t hold_ms, uint64_t *n_dropped,
	      struct vd_error *err);
int vhdx_punch(void *state, uint64_t number, uint32_t unit, uint32_t hold_ms, uint64_t *n_punched,
	       struct vd_error *err);
int vhdx_cut(void *state, uint64_t keep, uint64_t *length, struct vd_error *err);

#endif
