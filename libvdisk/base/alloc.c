/* SPDX-License-Identifier: MIT */
/* Memory through replaceable hooks. */
#include "base/alloc.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void *libc_alloc(void *user, size_t size)
{
	(void)user;
	return malloc(size);
}

static void *libc_resize(void *user, void *old, size_t size)
{
	(void)user;
	return realloc(old, size);
}

static void libc_release(void *user, void *old)
{
	(void)user;
	free(old);
}

static const struct vd_allocator libc_allocator = {libc_alloc, libc_resize, libc_release, NULL};
static struct vd_allocator hooks = {libc_alloc, libc_resize, libc_release, NULL};

void vd_set_allocator(const struct vd_allocator *allocator)
{
	hooks = allocator ? *allocator : libc_allocator;
}

void *vd_malloc(size_t size)
{
	return hooks.alloc(hooks.user, size ? size : 1);
}

void *vd_calloc(size_t n, size_t size)
{
	size_t total;
	void *p;

	if (__builtin_mul_overflow(n, size, &total))
		return NULL;
	/* Large zeroed areas come from the kernel untouched: don't fault them in. */
	if (hooks.alloc == libc_alloc)
		return calloc(n ? n : 1, size ? size : 1);
	p = vd_malloc(total);
	if (p)
		memset(p, 0, total);
	return p;
}

void *vd_realloc(void *old, size_t size)
{
	return old ? hooks.resize(hooks.user, old, size ? size : 1) : vd_malloc(size);
}

void vd_free(void *p)
{
	if (p)
		hooks.release(hooks.user, p);
}

char *vd_strdup(const char *s)
{
	size_t size = strlen(s) + 1;
	char *copy = vd_malloc(size);

	return copy ? memcpy(copy, s, size) : NULL;
}

/* The start of the underlying block stands in the word before the aligned one. */
void *vd_malloc_aligned(size_t align, size_t size)
{
	size_t total;
	uintptr_t at;
	char *base;

	if (align < sizeof(void *))
		align = sizeof(void *);
	if (__builtin_add_overflow(size, align + sizeof(void *), &total))
		return NULL;
	base = vd_malloc(total);
	if (!base)
		return NULL;
	at = ((uintptr_t)base + sizeof(void *) + align - 1) & ~(uintptr_t)(align - 1);
	((void **)at)[-1] = base;
	return (void *)at;
}

void vd_free_aligned(void *p)
{
	if (p)
		vd_free(((void **)p)[-1]);
}

int vd_no_memory(struct vd_error *err, size_t size, const char *what)
{
	return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory (%zu bytes for %s)",
			    size, what);
}
