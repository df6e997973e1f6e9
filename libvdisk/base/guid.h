/* SPDX-License-Identifier: MIT */
/*
 * GUIDs. In memory always 16 bytes in the order they are printed (RFC 4122); only
 * vd_guid_from_disk/to_disk know that VHDX stores the first three groups little-endian.
 */
#ifndef VD_BASE_GUID_H
#define VD_BASE_GUID_H

#include "base/private.h"
#include <stdbool.h>
#include <stdint.h>

struct vd_guid {
	uint8_t b[16];
};

#define VD_GUID_TEXT 37 /* with NUL, without braces */

VD_PRIVATE struct vd_guid vd_guid_from_disk(const uint8_t disk[16]);
VD_PRIVATE void vd_guid_to_disk(struct vd_guid guid, uint8_t disk[16]);
/** Lower case, no braces. */
VD_PRIVATE void vd_guid_format(struct vd_guid guid, char text[VD_GUID_TEXT]);
/** Either case, with or without braces. */
VD_PRIVATE bool vd_guid_parse(const char *text, struct vd_guid *guid);
/** Random (version 4). Never nil. */
VD_PRIVATE struct vd_guid vd_guid_random(void);
/** Name-based (version 5) in the namespace `space`. */
VD_PRIVATE struct vd_guid vd_guid_derive(struct vd_guid space, const char *name);
VD_PRIVATE bool vd_guid_is_equal(struct vd_guid a, struct vd_guid b);
VD_PRIVATE bool vd_guid_is_nil(struct vd_guid guid);

#endif
