/* SPDX-License-Identifier: MIT */
/*
 * Byte order. On-disk members are these byte-array types, so that a use without conversion
 * doesn't compile.
 */
#ifndef VD_BASE_BYTES_H
#define VD_BASE_BYTES_H

#include <stdint.h>

struct vd_le16 {
	uint8_t b[2];
};
struct vd_le32 {
	uint8_t b[4];
};
struct vd_le64 {
	uint8_t b[8];
};

static inline uint16_t vd_get16(struct vd_le16 v)
{
	return (uint16_t)(v.b[0] | v.b[1] << 8);
}

static inline uint32_t vd_get32(struct vd_le32 v)
{
	return (uint32_t)v.b[0] | (uint32_t)v.b[1] << 8 | (uint32_t)v.b[2] << 16 |
	       (uint32_t)v.b[3] << 24;
}

static inline uint64_t vd_get64(struct vd_le64 v)
{
	uint64_t x = 0;

	for (int i = 7; i >= 0; i--)
		x = x << 8 | v.b[i];
	return x;
}

static inline struct vd_le16 vd_put16(uint16_t x)
{
	return (struct vd_le16){{(uint8_t)x, (uint8_t)(x >> 8)}};
}

static inline struct vd_le32 vd_put32(uint32_t x)
{
	return (struct vd_le32){
	    {(uint8_t)x, (uint8_t)(x >> 8), (uint8_t)(x >> 16), (uint8_t)(x >> 24)}};
}

static inline struct vd_le64 vd_put64(uint64_t x)
{
	struct vd_le64 v;

	for (int i = 0; i < 8; i++)
		v.b[i] = (uint8_t)(x >> 8 * i);
	return v;
}

#endif
