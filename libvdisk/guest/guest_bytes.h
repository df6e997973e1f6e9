/* SPDX-License-Identifier: MIT */
/*
 * Numbers and text out of superblocks. The caller holds as many bytes as it reads (vd_probe_at, or
 * a buffer that it filled itself).
 */
#ifndef VD_GUEST_BYTES_H
#define VD_GUEST_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline uint16_t vd_le16_at(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t vd_le32_at(const uint8_t *p)
{
	return (uint32_t)vd_le16_at(p) | (uint32_t)vd_le16_at(p + 2) << 16;
}

static inline uint64_t vd_le64_at(const uint8_t *p)
{
	return (uint64_t)vd_le32_at(p) | (uint64_t)vd_le32_at(p + 4) << 32;
}

static inline uint16_t vd_be16_at(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t vd_be32_at(const uint8_t *p)
{
	return (uint32_t)vd_be16_at(p) << 16 | vd_be16_at(p + 2);
}

static inline uint64_t vd_be64_at(const uint8_t *p)
{
	return (uint64_t)vd_be32_at(p) << 32 | vd_be32_at(p + 4);
}

/** Bytes up to the first NUL as UTF-8: what isn't valid, and control characters, become U+FFFD.
 *  What doesn't fit is cut off between characters. */
void vd_guest_text(char *text, size_t size, const uint8_t *p, size_t len);
/** The same for UTF-16 (len in bytes), little- or big-endian; lone surrogates become U+FFFD. */
void vd_guest_text_utf16(char *text, size_t size, const uint8_t *p, size_t len, bool is_big);
/** Cut off blanks at the end. */
void vd_guest_text_trim(char *text);
/** One character behind the `n` bytes of text; how many it has then. Without room: n. */
size_t vd_guest_text_put(char *text, size_t size, size_t n, uint32_t c);
/** 16 bytes as they stand, RFC 4122. */
void vd_guest_text_uuid(char text[static 37], const uint8_t *p);

#endif
