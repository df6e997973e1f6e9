/* SPDX-License-Identifier: MIT */
/*
 * Stamped data: every 512 bytes carry where they belong (LBA), which write they come from
 * (generation) and which run (seed), and the rest of the sector follows from these, so that a
 * misplaced, stale or torn sector can't look right. Generation 0 stands for zeros.
 */
#ifndef TEST_STAMP_H
#define TEST_STAMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STAMP_SECTOR 512u

struct stamp {
	uint64_t lba, generation, seed;
};

enum stamp_kind {
	STAMP_ZERO,   /* all zero */
	STAMP_WHOLE,  /* a stamp, every byte of it */
	STAMP_BROKEN, /* neither: torn, or somebody else's data */
};

/** Bytes [offset, offset + len) of a disk, multiples of 512. */
void stamp_fill(void *buf, size_t len, uint64_t offset, uint64_t generation, uint64_t seed);
/** What one sector is. *found is set for STAMP_WHOLE. */
enum stamp_kind stamp_read(const void *sector, struct stamp *found);
/** The sector holds `lba` of `generation` (0: zeros) and `seed`. */
bool stamp_is(const void *sector, uint64_t lba, uint64_t generation, uint64_t seed);
/** "LBA 7 holds LBA 9 of generation 3, seed 1" / "LBA 7 holds zeros" / "LBA 7 holds bytes of no
 *  stamp (de ad be ef ...)". Returns text. */
char *stamp_describe(const void *sector, uint64_t lba, char *text, size_t size);
/** All of a range is of one generation; else text tells the first sector that isn't. */
bool stamp_verify(const void *buf, size_t len, uint64_t offset, uint64_t generation, uint64_t seed,
		  char *text, size_t size);

/** Numbers for tests: splitmix64. The same seed gives the same numbers everywhere. */
uint64_t rnd(uint64_t *state);
/** 0 <= result < n. */
uint64_t rnd_below(uint64_t *state, uint64_t n);

#endif
