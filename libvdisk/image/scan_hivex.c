// SPDX-License-Identifier: MIT
/* Loading libhivex (scan_hivex.h). */
#include "image/scan_hivex.h"

#ifdef VD_HAS_HIVEX
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "guest/guest_library.h"

#define SONAME "libhivex.so.0"

static struct scan_hivex functions;
static bool is_loaded;

static void load(void)
{
	static const struct guest_symbol symbols[] = {
	    {"hivex_open", offsetof(struct scan_hivex, open)},
	    {"hivex_close", offsetof(struct scan_hivex, close)},
	    {"hivex_root", offsetof(struct scan_hivex, root)},
	    {"hivex_node_get_child", offsetof(struct scan_hivex, child)},
	    {"hivex_node_get_value", offsetof(struct scan_hivex, value)},
	    {"hivex_value_value", offsetof(struct scan_hivex, bytes)},
	};

	is_loaded =
	    guest_library_load(SONAME, symbols, sizeof(symbols) / sizeof(symbols[0]), &functions);
}

const struct scan_hivex *scan_hivex(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, load);
	return is_loaded ? &functions : NULL;
}
#endif
