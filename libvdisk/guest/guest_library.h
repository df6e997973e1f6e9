/* SPDX-License-Identifier: MIT */
/* Libraries of others that are loaded when they are first needed, and may be missing. */
#ifndef VD_GUEST_LIBRARY_H
#define VD_GUEST_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

/** A function, and where in a structure the pointer to it has its place. */
struct guest_symbol {
	const char *name;
	size_t at;
};

/** Load the library for good, and fill `functions`. False: it isn't there, or lacks one. */
bool guest_library_load(const char *soname, const struct guest_symbol *symbols, size_t n,
			void *functions);

#endif
