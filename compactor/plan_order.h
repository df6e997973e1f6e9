/* SPDX-License-Identifier: MIT */
/* From "what stays" to moves, one after the other (a part of plan.c). */
#ifndef COMPACT_PLAN_ORDER_H
#define COMPACT_PLAN_ORDER_H

#include "plan.h"

/** One more move; -1: no memory. */
int plan_add_move(struct plan *plan, enum plan_kind kind, uint64_t number, uint64_t from,
		  uint64_t to);
/** Find places below plan->end_then for what doesn't stay, and an order in which each is free when
 * its turn comes. Where things stand in each other's way one of them steps aside behind the end. */
int order_moves(struct plan *plan, const struct plan_item *items, size_t n, uint64_t b,
		const bool *keeps);

#endif
