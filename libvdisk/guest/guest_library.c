/* SPDX-License-Identifier: MIT */
/* Libraries loaded when they are needed: see guest_library.h. */
#include "guest/guest_library.h"

#include <dlfcn.h>

bool guest_library_load(const char *soname, const struct guest_symbol *symbols, size_t n,
			void *functions)
{
	void *library = dlopen(soname, RTLD_NOW | RTLD_LOCAL);

	if (!library)
		return false;
	for (size_t i = 0; i < n; i++) {
		void *symbol = dlsym(library, symbols[i].name);

		if (!symbol)
			return false;
		*(void **)((char *)functions + symbols[i].at) = symbol;
	}
	return true;
}
