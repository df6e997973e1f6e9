/* SPDX-License-Identifier: MIT */
/* CRC-32C (Castagnoli), as MS-VHDX 2 wants it: reflected 0x82F63B78, initial value and final xor
 * ~0. */
#ifndef VD_BASE_CRC32C_H
#define VD_BASE_CRC32C_H

#include "base/private.h"
#include <stddef.h>
#include <stdint.h>

/** CRC of `len` bytes; start with crc = 0, go on with the value returned. */
VD_PRIVATE uint32_t vd_crc32c(uint32_t crc, const void *p, size_t len);
/** CRC of a structure whose own 4-byte checksum field at `field` counts as zero. */
uint32_t vd_crc32c_without(const void *p, size_t len, size_t field);

#endif
