/* SPDX-License-Identifier: MIT */
/* What the fuzz targets share: see fuzz.h. */
#include "fuzz.h"

#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_include) && __has_include(<sanitizer/asan_interface.h>)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, n)   ((void)(at), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(at, n) ((void)(at), (void)(n))
#endif

#include <vdisk/error.h>

#include "base/crc32c.h"

const struct fuzz_target *const fuzz_targets[] = {
    &fuzz_headers, &fuzz_regions, &fuzz_metadata, &fuzz_locator,         &fuzz_log,
    &fuzz_bat,     &fuzz_image,   &fuzz_stateful, &fuzz_probe,           &fuzz_utf16,
    &fuzz_layout,  &fuzz_fat,     &fuzz_document, &fuzz_fileindex,       &fuzz_envelope,
    &fuzz_facts,   &fuzz_history, &fuzz_control,  &fuzz_layout_document, &fuzz_policy,
    &fuzz_query,   &fuzz_host,
};
const size_t n_fuzz_targets = sizeof(fuzz_targets) / sizeof(fuzz_targets[0]);
const char *fuzz_seed_dir;

static struct {
	size_t now, peak, blocks;
} memory;
static bool is_deep;

const struct fuzz_target *fuzz_find(const char *name)
{
	for (size_t i = 0; i < n_fuzz_targets; i++)
		if (strcmp(fuzz_targets[i]->name, name) == 0)
			return fuzz_targets[i];
	return NULL;
}

void fuzz_fail(const char *file, int line, const char *condition, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s:%d: %s doesn't hold: ", file, line, condition);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	abort();
}

/* The targets are single-threaded, so these need no lock. */
static void count(void *p)
{
	if (!p)
		return;
	memory.blocks++;
	memory.now += malloc_usable_size(p);
	if (memory.now > memory.peak)
		memory.peak = memory.now;
}

static void uncount(void *p)
{
	if (!p)
		return;
	memory.blocks--;
	memory.now -= malloc_usable_size(p);
}

/*
 * Large blocks are kept for the next request of the same size, poisoned meanwhile: a sanitizer
 * maps each anew, and most of a run would be page faults.
 */
#define LARGE  32768u
#define N_IDLE 32u
static struct {
	void *p;
	size_t size;
} idle[N_IDLE];

static void *take_idle(size_t size)
{
	void *p;

	for (size_t i = 0; i < N_IDLE; i++) {
		if (!idle[i].p || idle[i].size != size)
			continue;
		p = idle[i].p;
		idle[i].p = NULL;
		ASAN_UNPOISON_MEMORY_REGION(p, size);
		return p;
	}
	return NULL;
}

static void put_idle(void *p)
{
	static size_t next;
	size_t i = next++ % N_IDLE;

	if (idle[i].p) {
		ASAN_UNPOISON_MEMORY_REGION(idle[i].p, idle[i].size);
		free(idle[i].p);
	}
	idle[i].p = p;
	idle[i].size = malloc_usable_size(p);
	ASAN_POISON_MEMORY_REGION(p, idle[i].size);
}

static void *hook_alloc(void *user, size_t size)
{
	void *p = size >= LARGE ? take_idle(size) : NULL;

	(void)user;
	if (!p)
		p = malloc(size);
	count(p);
	return p;
}

static void *hook_resize(void *user, void *old, size_t size)
{
	void *p;

	(void)user;
	uncount(old);
	p = realloc(old, size);
	if (p)
		count(p);
	else
		count(old);
	return p;
}

static void hook_release(void *user, void *old)
{
	(void)user;
	uncount(old);
	if (old && malloc_usable_size(old) >= LARGE)
		put_idle(old);
	else
		free(old);
}

void fuzz_init(void)
{
	static const struct vd_allocator counting = {hook_alloc, hook_resize, hook_release, NULL};

	vd_set_allocator(&counting);
}

bool fuzz_run(const struct fuzz_target *target, const uint8_t *data, size_t size)
{
	size_t blocks = memory.blocks, before = memory.now;
	uint8_t *copy = fuzz_exact(data, size);

	is_deep = false;
	memory.peak = memory.now;
	target->run(copy, size);
	free(copy);
	FUZZ_CHECK(memory.blocks == blocks, "the library kept %zu blocks of memory",
		   memory.blocks - blocks);
	FUZZ_CHECK(memory.peak - before <= target->max_memory,
		   "the library held %zu bytes at once, bound %zu", memory.peak - before,
		   target->max_memory);
	return is_deep;
}

void fuzz_deep(void)
{
	is_deep = true;
}

void fuzz_seed(const char *name, const void *data, size_t size)
{
	char path[4096];
	FILE *file;

	if (!fuzz_seed_dir)
		return;
	snprintf(path, sizeof(path), "%s/%s", fuzz_seed_dir, name);
	file = fopen(path, "wb");
	if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0)
		fuzz_fail(__FILE__, __LINE__, path, "the seed can't be written");
}

uint64_t feed_int(struct feed *feed, size_t n_bytes)
{
	uint8_t bytes[8] = {0};

	feed_bytes(feed, bytes, n_bytes);
	return fuzz_get(bytes, n_bytes);
}

size_t feed_bytes(struct feed *feed, void *to, size_t n)
{
	if (n > feed->n)
		n = feed->n;
	if (n)
		memcpy(to, feed->p, n);
	feed->p += n;
	feed->n -= n;
	return n;
}

uint8_t *fuzz_exact(const void *bytes, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);

	if (!copy)
		abort();
	if (n)
		memcpy(copy, bytes, n);
	return copy;
}

void fuzz_put(uint8_t *at, uint64_t value, size_t n_bytes)
{
	for (size_t i = 0; i < n_bytes; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

uint64_t fuzz_get(const uint8_t *at, size_t n_bytes)
{
	uint64_t value = 0;

	for (size_t i = 0; i < n_bytes; i++)
		value |= (uint64_t)at[i] << 8 * i;
	return value;
}

void fuzz_seal(uint8_t *bytes, size_t len, size_t field)
{
	fuzz_put(bytes + field, vd_crc32c_without(bytes, len, field), 4);
}

bool fuzz_is_utf8(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	while (*p) {
		unsigned int n = *p < 0x80 ? 0 : *p < 0xe0 ? 1 : *p < 0xf0 ? 2 : 3;
		unsigned int low = 0x80, high = 0xbf;

		if ((*p >= 0x80 && *p < 0xc2) || *p > 0xf4)
			return false;
		if (*p == 0xe0)
			low = 0xa0;
		else if (*p == 0xed)
			high = 0x9f;
		else if (*p == 0xf0)
			low = 0x90;
		else if (*p == 0xf4)
			high = 0x8f;
		p++;
		for (unsigned int i = 0; i < n; i++, p++, low = 0x80, high = 0xbf)
			if (*p < low || *p > high)
				return false;
	}
	return true;
}
