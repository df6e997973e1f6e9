/* SPDX-License-Identifier: MIT */
/* A sparse file in memory: see store.h. A hash of pages; a slot without bytes is a page of zeros,
 * which hides what the base has there. */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE    4096u
#define NO_PAGE UINT64_MAX

struct slot {
	uint64_t page; /* NO_PAGE: free */
	uint8_t *bytes;
};

struct store {
	pthread_rwlock_t lock;
	const struct store *base;
	uint64_t base_limit; /* from here on the base isn't seen; multiple of PAGE */
	uint64_t length;
	struct slot *slots;
	size_t n_slots, n_used; /* n_slots: power of two */
};

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

static uint64_t round_up(uint64_t x)
{
	return (x + PAGE - 1) / PAGE * PAGE;
}

static struct slot *slots_new(size_t n)
{
	struct slot *slots = must(malloc(n * sizeof(*slots)));

	for (size_t i = 0; i < n; i++)
		slots[i] = (struct slot){NO_PAGE, NULL};
	return slots;
}

struct store *store_new(const struct store *base)
{
	struct store *store = must(calloc(1, sizeof(*store)));

	pthread_rwlock_init(&store->lock, NULL);
	store->base = base;
	store->n_slots = 64;
	store->slots = slots_new(store->n_slots);
	store->length = base ? base->length : 0;
	store->base_limit = round_up(store->length);
	return store;
}

void store_free(struct store *store)
{
	if (!store)
		return;
	for (size_t i = 0; i < store->n_slots; i++)
		free(store->slots[i].bytes);
	free(store->slots);
	pthread_rwlock_destroy(&store->lock);
	free(store);
}

static struct slot *slot_find(const struct store *store, uint64_t page)
{
	size_t mask = store->n_slots - 1;
	size_t i = (size_t)(page * 0x9e3779b97f4a7c15u >> 32) & mask;

	while (store->slots[i].page != NO_PAGE && store->slots[i].page != page)
		i = (i + 1) & mask;
	return &store->slots[i];
}

static const uint8_t *page_look(const struct store *store, uint64_t page)
{
	while (store) {
		const struct slot *slot = slot_find(store, page);

		if (slot->page == page)
			return slot->bytes;
		if (page * PAGE >= store->base_limit)
			return NULL;
		store = store->base;
	}
	return NULL;
}

static void grow_slots(struct store *store)
{
	struct slot *old = store->slots;
	size_t n_old = store->n_slots;

	store->n_slots *= 2;
	store->slots = slots_new(store->n_slots);
	for (size_t i = 0; i < n_old; i++)
		if (old[i].page != NO_PAGE)
			*slot_find(store, old[i].page) = old[i];
	free(old);
}

/* The page's own slot; made without bytes if `is_new` comes back true. */
static struct slot *slot_own(struct store *store, uint64_t page, bool *is_new)
{
	struct slot *slot = slot_find(store, page);

	*is_new = slot->page != page;
	if (!*is_new)
		return slot;
	if (++store->n_used * 2 > store->n_slots) {
		grow_slots(store);
		slot = slot_find(store, page);
	}
	slot->page = page;
	return slot;
}

static uint8_t *page_own(struct store *store, uint64_t page)
{
	const uint8_t *old = page_look(store, page);
	bool is_new;
	struct slot *slot = slot_own(store, page, &is_new);

	if (!slot->bytes) {
		slot->bytes = must(calloc(1, PAGE));
		if (old)
			memcpy(slot->bytes, old, PAGE);
	}
	return slot->bytes;
}

static size_t part_of_page(uint64_t offset, uint64_t len)
{
	uint64_t room = PAGE - offset % PAGE;

	return (size_t)(len < room ? len : room);
}

static void read_locked(const struct store *store, uint8_t *buf, size_t len, uint64_t offset)
{
	while (len) {
		size_t n = part_of_page(offset, len);
		const uint8_t *bytes = page_look(store, offset / PAGE);

		if (bytes)
			memcpy(buf, bytes + offset % PAGE, n);
		else
			memset(buf, 0, n);
		buf += n;
		offset += n;
		len -= n;
	}
}

static void write_locked(struct store *store, const uint8_t *buf, size_t len, uint64_t offset)
{
	if (len && offset + len > store->length)
		store->length = offset + len;
	while (len) {
		size_t n = part_of_page(offset, len);

		memcpy(page_own(store, offset / PAGE) + offset % PAGE, buf, n);
		buf += n;
		offset += n;
		len -= n;
	}
}

static void zero_locked(struct store *store, uint64_t offset, uint64_t len)
{
	uint64_t limit = round_up(store->length);

	if (offset >= limit)
		return;
	if (len > limit - offset)
		len = limit - offset;
	while (len) {
		size_t n = part_of_page(offset, len);
		uint64_t page = offset / PAGE;

		if (n < PAGE) {
			if (page_look(store, page))
				memset(page_own(store, page) + offset % PAGE, 0, n);
		} else if (page_look(store, page)) {
			bool is_new;
			struct slot *slot = slot_own(store, page, &is_new);

			free(slot->bytes);
			slot->bytes = NULL;
		}
		offset += n;
		len -= n;
	}
}

static void truncate_locked(struct store *store, uint64_t length)
{
	if (length < store->length) {
		zero_locked(store, length, round_up(store->length) - length);
		if (store->base_limit > round_up(length))
			store->base_limit = round_up(length);
	}
	store->length = length;
}

void store_read(const struct store *store, void *buf, size_t len, uint64_t offset)
{
	pthread_rwlock_rdlock((pthread_rwlock_t *)&store->lock);
	read_locked(store, buf, len, offset);
	pthread_rwlock_unlock((pthread_rwlock_t *)&store->lock);
}

void store_write(struct store *store, const void *buf, size_t len, uint64_t offset)
{
	pthread_rwlock_wrlock(&store->lock);
	write_locked(store, buf, len, offset);
	pthread_rwlock_unlock(&store->lock);
}

void store_zero(struct store *store, uint64_t offset, uint64_t len)
{
	pthread_rwlock_wrlock(&store->lock);
	zero_locked(store, offset, len);
	pthread_rwlock_unlock(&store->lock);
}

void store_truncate(struct store *store, uint64_t length)
{
	pthread_rwlock_wrlock(&store->lock);
	truncate_locked(store, length);
	pthread_rwlock_unlock(&store->lock);
}

uint64_t store_length(const struct store *store)
{
	uint64_t length;

	pthread_rwlock_rdlock((pthread_rwlock_t *)&store->lock);
	length = store->length;
	pthread_rwlock_unlock((pthread_rwlock_t *)&store->lock);
	return length;
}

bool store_next_data(const struct store *store, uint64_t offset, uint64_t *start, uint64_t *end)
{
	uint64_t n_pages, page;

	pthread_rwlock_rdlock((pthread_rwlock_t *)&store->lock);
	n_pages = round_up(store->length) / PAGE;
	for (page = offset / PAGE; page < n_pages && !page_look(store, page); page++)
		;
	*start = page * PAGE > offset ? page * PAGE : offset;
	for (; page < n_pages && page_look(store, page); page++)
		;
	*end = page * PAGE < store->length ? page * PAGE : store->length;
	pthread_rwlock_unlock((pthread_rwlock_t *)&store->lock);
	return *start < *end;
}

size_t store_n_pages(const struct store *store)
{
	return store->n_used;
}

uint64_t store_hash(const struct store *store)
{
	uint64_t hash = 0xcbf29ce484222325u ^ store->length, start, end;
	uint8_t page[PAGE];

	for (uint64_t at = 0; store_next_data(store, at, &start, &end); at = end) {
		for (uint64_t p = start; p < end; p += PAGE) {
			uint64_t any = 0, h = p;

			store_read(store, page, PAGE, p);
			for (size_t i = 0; i < PAGE; i += 8) {
				uint64_t word;

				memcpy(&word, page + i, 8);
				any |= word;
				h = (h ^ word) * 0x100000001b3u;
			}
			if (any)
				hash = (hash ^ h) * 0x100000001b3u;
		}
	}
	return hash;
}

bool store_save(const struct store *store, const char *path)
{
	uint64_t start, end;
	uint8_t page[PAGE];
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool ok = fd >= 0 && ftruncate(fd, (off_t)store_length(store)) == 0;

	for (uint64_t at = 0; ok && store_next_data(store, at, &start, &end); at = end) {
		for (uint64_t p = start; ok && p < end; p += PAGE) {
			size_t n = end - p < PAGE ? (size_t)(end - p) : PAGE;

			store_read(store, page, n, p);
			ok = pwrite(fd, page, n, (off_t)p) == (ssize_t)n;
		}
	}
	if (fd >= 0 && close(fd) != 0)
		ok = false;
	return ok;
}

bool store_load(struct store *store, const char *path)
{
	uint8_t page[PAGE];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	bool ok = fd >= 0 && fstat(fd, &st) == 0;

	if (ok) {
		store_truncate(store, 0);
		store_truncate(store, (uint64_t)st.st_size);
	}
	for (off_t at = 0; ok && (at = lseek(fd, at, SEEK_DATA)) >= 0;) {
		off_t end = lseek(fd, at, SEEK_HOLE);

		while (ok && at < end) {
			size_t n = end - at < (off_t)PAGE ? (size_t)(end - at) : PAGE;

			ok = pread(fd, page, n, at) == (ssize_t)n;
			store_write(store, page, n, (uint64_t)at);
			at += (off_t)n;
		}
	}
	if (fd >= 0)
		close(fd);
	return ok;
}

static ssize_t io_read(void *state, void *buf, size_t len, uint64_t offset)
{
	uint64_t length = store_length(state);

	if (offset >= length)
		return 0;
	if (len > length - offset)
		len = (size_t)(length - offset);
	store_read(state, buf, len, offset);
	return (ssize_t)len;
}

static ssize_t io_write(void *state, const void *buf, size_t len, uint64_t offset)
{
	store_write(state, buf, len, offset);
	return (ssize_t)len;
}

static int io_sync(void *state)
{
	(void)state;
	return 0;
}

static int io_length(void *state, uint64_t *length)
{
	*length = store_length(state);
	return 0;
}

static int io_truncate(void *state, uint64_t length)
{
	store_truncate(state, length);
	return 0;
}

static void io_close(void *state)
{
	(void)state;
}

static int io_zero(void *state, uint64_t offset, uint64_t len)
{
	store_zero(state, offset, len);
	return 0;
}

static int io_next_data(void *state, uint64_t offset, uint64_t *start, uint64_t *end)
{
	return store_next_data(state, offset, start, end) ? 0 : -ENXIO;
}

struct vd_io *store_io(struct store *store, bool is_writable)
{
	static const struct vd_io_ops ops = {
	    .size = sizeof(ops),
	    .read = io_read,
	    .write = io_write,
	    .sync = io_sync,
	    .length = io_length,
	    .truncate = io_truncate,
	    .close = io_close,
	    .punch = io_zero,
	    .zero = io_zero,
	    .next_data = io_next_data,
	};
	struct vd_io *io = NULL;

	return vd_io_open_ops(&io, &ops, store, "store", is_writable, NULL) == 0 ? io : NULL;
}
