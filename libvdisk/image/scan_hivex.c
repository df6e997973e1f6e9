// SPDX-License-Identifier: MIT
/* Loading libhivex (scan_hivex.h). */
#include "image/scan_hivex.h"

#ifdef VD_HAS_HIVEX
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define SONAME "libhivex.so.0"

static struct scan_hivex functions;
static bool is_loaded;

static void load(void)
{
	static const struct {
		const char *name;
		size_t at;
	} symbols[] = {
	    {"hivex_open", offsetof(struct scan_hivex, open)},
	    {"hivex_close", offsetof(struct scan_hivex, close)},
	    {"hivex_root", offsetof(struct scan_hivex, root)},
	    {"hivex_node_get_child", offsetof(struct scan_hivex, child)},
	    {"hivex_node_get_value", offsetof(struct scan_hivex, value)},
	    {"hivex_value_value", offsetof(struct scan_hivex, bytes)},
	};
	void *library = dlopen(SONAME, RTLD_NOW | RTLD_LOCAL);

	if (!library)
		return;
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		void *symbol = dlsym(library, symbols[i].name);

		if (!symbol)
			return;
		*(void **)((char *)&functions + symbols[i].at) = symbol;
	}
	is_loaded = true;
}

const struct scan_hivex *scan_hivex(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, load);
	return is_loaded ? &functions : NULL;
}
#endif
