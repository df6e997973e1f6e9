/* SPDX-License-Identifier: MIT */
#include "base/span.h"

#include <string.h>

bool vd_is_zero(const void *p, size_t len)
{
	const uint8_t *at = p;

	/* The first 16 bytes by hand, the rest by comparing the area with itself, shifted. */
	for (size_t i = 0; i < 16; i++, len--) {
		if (!len)
			return true;
		if (at[i])
			return false;
	}
	return memcmp(at, at + 16, len) == 0;
}
