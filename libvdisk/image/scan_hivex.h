/* SPDX-License-Identifier: MIT */
/*
 * libhivex (LGPL-2.1), loaded when a Windows registry is to be read and not before, so that nothing
 * of ours needs it.
 */
#ifndef VD_IMAGE_SCAN_HIVEX_H
#define VD_IMAGE_SCAN_HIVEX_H

#if __has_include(<hivex.h>)
#define VD_HAS_HIVEX 1
#include <hivex.h>

struct scan_hivex {
	__typeof__(hivex_open) *open;
	__typeof__(hivex_close) *close;
	__typeof__(hivex_root) *root;
	__typeof__(hivex_node_get_child) *child;
	__typeof__(hivex_node_get_value) *value;
	__typeof__(hivex_value_value) *bytes;
};

/** The functions, or NULL if the library isn't installed. Loaded once, never unloaded. */
const struct scan_hivex *scan_hivex(void);
#endif

#endif
