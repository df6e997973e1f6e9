/* SPDX-License-Identifier: MIT */
/* Arithmetic on sizes that come from an image: each returns false instead of overflowing. */
#ifndef VD_BASE_CHECKED_H
#define VD_BASE_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

#define VD_KIB ((uint64_t)1 << 10)
#define VD_MIB ((uint64_t)1 << 20)
#define VD_GIB ((uint64_t)1 << 30)
#define VD_TIB ((uint64_t)1 << 40)

static inline bool vd_add64(uint64_t a, uint64_t b, uint64_t *sum)
{
	return !__builtin_add_overflow(a, b, sum);
}

static inline bool vd_mul64(uint64_t a, uint64_t b, uint64_t *product)
{
	return !__builtin_mul_overflow(a, b, product);
}

/** [offset, offset + len) lies within [0, limit). */
static inline bool vd_is_within(uint64_t offset, uint64_t len, uint64_t limit)
{
	return offset <= limit && len <= limit - offset;
}

/** Two ranges share a byte. Neither may wrap. */
static inline bool vd_is_overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a_len && b_len && a < b + b_len && b < a + a_len;
}

static inline bool vd_is_pow2(uint64_t x)
{
	return x && !(x & (x - 1));
}

static inline uint64_t vd_div_up(uint64_t a, uint64_t b)
{
	return a / b + (a % b != 0);
}

static inline uint64_t vd_align_down(uint64_t x, uint64_t pow2)
{
	return x & ~(pow2 - 1);
}

/** Wraps if x lies within pow2 of the end of the number range; callers bound x first. */
static inline uint64_t vd_align_up(uint64_t x, uint64_t pow2)
{
	return (x + pow2 - 1) & ~(pow2 - 1);
}

static inline uint64_t vd_min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t vd_max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

#endif
