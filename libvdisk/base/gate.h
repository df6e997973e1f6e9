/* SPDX-License-Identifier: MIT */
/*
 * The gate: counts who holds a mapping, without a lock and without sharing a cache line between
 * threads, and tells when all who held one at some moment have let go. (Sleepable RCU in the
 * sense of McKenney, "Sleepable Read-Copy Update", 2006: two counters per stripe, an index that
 * is flipped.)
 *
 * A reader enters, then reads the map. A writer changes the map, then runs a grace period: when
 * vd_grace_poll says true, nobody is left who entered before vd_grace_begin.
 */
#ifndef VD_BASE_GATE_H
#define VD_BASE_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define VD_GATE_STRIPES 64

/** Counters that a thread can add to without meeting another one on the same cache line. */
enum vd_tally {
	VD_TALLY_READS,
	VD_TALLY_READ_BYTES,
	VD_TALLY_WRITES,
	VD_TALLY_WRITE_BYTES,
	VD_N_TALLIES
};

struct vd_gate_stripe {
	_Alignas(64) _Atomic uint32_t n_inside[2];
	_Atomic uint64_t tally[VD_N_TALLIES];
};

struct vd_gate {
	_Atomic uint32_t flip;
	struct vd_gate_stripe stripes[VD_GATE_STRIPES];
};

/** One grace period. `n_flips` counts its phases; `waiting` are stripes not seen empty yet. */
struct vd_grace {
	uint32_t n_flips;
	uint32_t index;
	uint64_t waiting;
};

/* 0: none yet, else stripe + 1 */
extern _Thread_local uint32_t vd_gate_stripe_of_thread __attribute__((tls_model("initial-exec")));
uint32_t vd_gate_choose_stripe(void);

static inline uint32_t vd_gate_stripe(void)
{
	uint32_t own = vd_gate_stripe_of_thread;

	return own ? own - 1 : vd_gate_choose_stripe();
}

/** Returns the ticket to leave with; any thread may leave with it. */
static inline uint32_t vd_gate_enter(struct vd_gate *gate)
{
	uint32_t stripe = vd_gate_stripe();
	uint32_t index = atomic_load_explicit(&gate->flip, memory_order_relaxed) & 1;

	/* Sequentially consistent: what the reader looks up next is looked up after the count. */
	atomic_fetch_add_explicit(&gate->stripes[stripe].n_inside[index], 1, memory_order_seq_cst);
	return stripe << 1 | index;
}

static inline void vd_gate_leave(struct vd_gate *gate, uint32_t ticket)
{
	atomic_fetch_sub_explicit(&gate->stripes[ticket >> 1].n_inside[ticket & 1], 1,
				  memory_order_release);
}

static inline void vd_gate_count(struct vd_gate *gate, enum vd_tally n, enum vd_tally bytes,
				 uint64_t len)
{
	struct vd_gate_stripe *own = &gate->stripes[vd_gate_stripe()];

	atomic_fetch_add_explicit(&own->tally[n], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&own->tally[bytes], len, memory_order_relaxed);
}

uint64_t vd_gate_tally(const struct vd_gate *gate, enum vd_tally which);
/** Start a grace period; call after the map was changed. One at a time per gate. */
void vd_grace_begin(struct vd_gate *gate, struct vd_grace *grace);
/** True when all who were inside at vd_grace_begin have left. Doesn't wait. */
bool vd_grace_poll(struct vd_gate *gate, struct vd_grace *grace);

#endif
