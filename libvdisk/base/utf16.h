/* SPDX-License-Identifier: MIT */
/* UTF-16LE, as VHDX stores text, to and from UTF-8. */
#ifndef VD_BASE_UTF16_H
#define VD_BASE_UTF16_H

#include "base/private.h"
#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

/**
 * UTF-16LE bytes to NUL-terminated UTF-8. Stops at U+0000 if `stop_at_nul`. False: odd length,
 * lone surrogate, U+0000 inside, or it doesn't fit; *utf8 then holds what came before.
 */
VD_PRIVATE bool vd_utf16_to_utf8(struct vd_span utf16, bool stop_at_nul, char *utf8, size_t size);
/** UTF-8 to UTF-16LE without a terminator; *len in bytes. False: invalid UTF-8 or no room. */
VD_PRIVATE bool vd_utf8_to_utf16(const char *utf8, uint8_t *utf16, size_t size, size_t *len);

#endif
