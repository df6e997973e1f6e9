/* SPDX-License-Identifier: MIT */
#include "base/gate.h"

_Thread_local uint32_t vd_gate_stripe_of_thread;

uint32_t vd_gate_choose_stripe(void)
{
	static _Atomic uint32_t next;
	uint32_t stripe =
	    atomic_fetch_add_explicit(&next, 1, memory_order_relaxed) % VD_GATE_STRIPES;

	vd_gate_stripe_of_thread = stripe + 1;
	return stripe;
}

uint64_t vd_gate_tally(const struct vd_gate *gate, enum vd_tally which)
{
	uint64_t sum = 0;

	for (int i = 0; i < VD_GATE_STRIPES; i++)
		sum += atomic_load_explicit(&gate->stripes[i].tally[which], memory_order_relaxed);
	return sum;
}

/* Send newcomers to the other counter, and wait for this one to be seen empty on each stripe. */
static void next_phase(struct vd_gate *gate, struct vd_grace *grace)
{
	grace->index = atomic_fetch_add_explicit(&gate->flip, 1, memory_order_seq_cst) & 1;
	grace->waiting = UINT64_MAX;
	grace->n_flips++;
}

void vd_grace_begin(struct vd_gate *gate, struct vd_grace *grace)
{
	grace->n_flips = 0;
	next_phase(gate, grace);
}

/*
 * Two phases, because a reader may have looked at the index before a flip and counted itself
 * after it: whoever was inside at the start stands in one of the two counters, and each of them
 * is seen empty once, on each stripe, after the start.
 */
bool vd_grace_poll(struct vd_gate *gate, struct vd_grace *grace)
{
	for (;;) {
		for (uint64_t left = grace->waiting; left; left &= left - 1) {
			int i = __builtin_ctzll(left);

			if (atomic_load_explicit(&gate->stripes[i].n_inside[grace->index],
						 memory_order_seq_cst) == 0)
				grace->waiting &= ~((uint64_t)1 << i);
		}
		if (grace->waiting)
			return false;
		if (grace->n_flips == 2)
			return true;
		next_phase(gate, grace);
	}
}
