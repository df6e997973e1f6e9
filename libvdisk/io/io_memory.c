/* SPDX-License-Identifier: MIT */
/*
 * A sparse store in memory: pages of 4 KiB in a radix tree that is as high as the highest page
 * written asks for. Length costs nothing, holes are exact to the page, an empty store is one
 * small allocation.
 */
#include "io/io.h"

#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"

#define PAGE_SHIFT 12
#define PAGE       ((uint64_t)1 << PAGE_SHIFT)
#define FAN_SHIFT  6
#define FAN        ((uint64_t)1 << FAN_SHIFT)
#define MAX_HEIGHT ((63 - PAGE_SHIFT + FAN_SHIFT - 1) / FAN_SHIFT)

struct node {
	void *slots[FAN]; /* nodes, or pages in the lowest level */
	unsigned n_used;
};

struct memory {
	pthread_rwlock_t lock;
	uint64_t length;
	uint64_t n_pages;
	unsigned height; /* levels of nodes; 0: no page at all */
	struct node *root;
};

/* How many pages a tree, or a slot at that height above the pages, covers. */
static uint64_t span_of(unsigned height)
{
	return (uint64_t)1 << height * FAN_SHIFT;
}

static uint8_t *find_page(const struct memory *m, uint64_t page)
{
	void *at = m->root;

	if (!m->height || (m->height < MAX_HEIGHT && page >= span_of(m->height)))
		return NULL;
	for (unsigned level = m->height; level-- && at;)
		at = ((struct node *)at)->slots[page >> level * FAN_SHIFT & (FAN - 1)];
	return at;
}

static bool grow_height(struct memory *m, uint64_t page)
{
	while (!m->height || (m->height < MAX_HEIGHT && page >= span_of(m->height))) {
		struct node *root = vd_calloc(1, sizeof(*root));

		if (!root)
			return false;
		if (m->root) {
			root->slots[0] = m->root;
			root->n_used = 1;
		}
		m->root = root;
		m->height++;
	}
	return true;
}

/* Nodes without pages that a failure leaves behind are found and freed like others. */
static uint8_t *make_page(struct memory *m, uint64_t page, bool is_whole)
{
	struct node *at = m->root;
	void **slot;

	if (!grow_height(m, page))
		return NULL;
	at = m->root;
	for (unsigned level = m->height; --level; at = *slot) {
		slot = &at->slots[page >> level * FAN_SHIFT & (FAN - 1)];
		if (!*slot) {
			*slot = vd_calloc(1, sizeof(struct node));
			if (!*slot)
				return NULL;
			at->n_used++;
		}
	}
	slot = &at->slots[page & (FAN - 1)];
	if (!*slot) {
		*slot = is_whole ? vd_malloc(PAGE) : vd_calloc(1, PAGE);
		if (!*slot)
			return NULL;
		at->n_used++;
		m->n_pages++;
	}
	return *slot;
}

/* Free the pages [first, last) below a node that covers from page `base`. */
static void free_pages(struct memory *m, struct node *node, unsigned level, uint64_t base,
		       uint64_t first, uint64_t last)
{
	uint64_t step = span_of(level);

	for (uint64_t i = 0; i < FAN && node->n_used; i++) {
		uint64_t start = base + i * step;

		if (!node->slots[i] || start >= last || start + step <= first)
			continue;
		if (level) {
			struct node *child = node->slots[i];

			free_pages(m, child, level - 1, start, first, last);
			if (child->n_used)
				continue;
		} else {
			m->n_pages--;
		}
		vd_free(node->slots[i]);
		node->slots[i] = NULL;
		node->n_used--;
	}
}

static void free_range(struct memory *m, uint64_t first, uint64_t last)
{
	if (!m->root || first >= last)
		return;
	free_pages(m, m->root, m->height - 1, 0, first, last);
	if (m->root->n_used)
		return;
	vd_free(m->root);
	m->root = NULL;
	m->height = 0;
}

static void zero_part(struct memory *m, uint64_t start, uint64_t end)
{
	uint8_t *page = find_page(m, start >> PAGE_SHIFT);

	if (page && start < end)
		memset(page + start % PAGE, 0, (size_t)(end - start));
}

/* Pages that lie wholly in the range go, the others are zeroed where they are touched. */
static void zero_range(struct memory *m, uint64_t start, uint64_t end)
{
	uint64_t first = vd_align_up(start, PAGE), last = vd_align_down(end, PAGE);

	if (first > last) { /* within one page */
		zero_part(m, start, end);
		return;
	}
	zero_part(m, start, first);
	free_range(m, first >> PAGE_SHIFT, last >> PAGE_SHIFT);
	zero_part(m, last, end);
}

/* The first page at or behind `page`; UINT64_MAX if there is none. */
static uint64_t next_page(const struct node *node, unsigned level, uint64_t base, uint64_t page)
{
	uint64_t step = span_of(level);

	for (uint64_t i = page > base ? (page - base) / step : 0; i < FAN; i++) {
		uint64_t found = base + i * step;

		if (!node->slots[i])
			continue;
		if (level)
			found = next_page(node->slots[i], level - 1, found, page);
		if (found != UINT64_MAX)
			return found;
	}
	return UINT64_MAX;
}

static ssize_t memory_read(void *state, void *buf, size_t len, uint64_t offset)
{
	struct memory *m = state;
	uint8_t *to = buf;

	pthread_rwlock_rdlock(&m->lock);
	len = offset < m->length ? (size_t)vd_min64(len, m->length - offset) : 0;
	for (size_t done = 0; done < len;) {
		uint64_t at = offset + done, within = at % PAGE;
		size_t n = (size_t)vd_min64(len - done, PAGE - within);
		const uint8_t *page = find_page(m, at >> PAGE_SHIFT);

		if (page)
			memcpy(to + done, page + within, n);
		else
			memset(to + done, 0, n);
		done += n;
	}
	pthread_rwlock_unlock(&m->lock);
	return (ssize_t)len;
}

static ssize_t memory_write(void *state, const void *buf, size_t len, uint64_t offset)
{
	struct memory *m = state;
	const uint8_t *from = buf;
	size_t done = 0;

	if (!vd_io_is_sane(offset, len))
		return -EFBIG;
	pthread_rwlock_wrlock(&m->lock);
	while (done < len) {
		uint64_t at = offset + done, within = at % PAGE;
		size_t n = (size_t)vd_min64(len - done, PAGE - within);
		uint8_t *page = make_page(m, at >> PAGE_SHIFT, n == PAGE);

		if (!page)
			break;
		memcpy(page + within, from + done, n);
		done += n;
	}
	m->length = vd_max64(m->length, done ? offset + done : 0);
	pthread_rwlock_unlock(&m->lock);
	return done || !len ? (ssize_t)done : -ENOMEM;
}

static int memory_sync(void *state)
{
	(void)state;
	return 0;
}

static int memory_length(void *state, uint64_t *length)
{
	struct memory *m = state;

	pthread_rwlock_rdlock(&m->lock);
	*length = m->length;
	pthread_rwlock_unlock(&m->lock);
	return 0;
}

static int memory_truncate(void *state, uint64_t length)
{
	struct memory *m = state;

	pthread_rwlock_wrlock(&m->lock);
	if (length < m->length)
		zero_range(m, length, vd_align_up(m->length, PAGE));
	m->length = length;
	pthread_rwlock_unlock(&m->lock);
	return 0;
}

static void memory_close(void *state)
{
	struct memory *m = state;

	free_range(m, 0, UINT64_MAX);
	pthread_rwlock_destroy(&m->lock);
	vd_free(m);
}

static int memory_punch(void *state, uint64_t offset, uint64_t len)
{
	struct memory *m = state;

	pthread_rwlock_wrlock(&m->lock);
	zero_range(m, offset, offset + len);
	pthread_rwlock_unlock(&m->lock);
	return 0;
}

static int memory_allocate(void *state, uint64_t offset, uint64_t len)
{
	(void)state, (void)offset, (void)len;
	return 0;
}

static int memory_next_data(void *state, uint64_t offset, uint64_t *start, uint64_t *end)
{
	struct memory *m = state;
	uint64_t page = UINT64_MAX, last = offset >> PAGE_SHIFT;

	pthread_rwlock_rdlock(&m->lock);
	if (m->root && (m->height >= MAX_HEIGHT || last < span_of(m->height)))
		page = next_page(m->root, m->height - 1, 0, last);
	if (page != UINT64_MAX) {
		for (last = page + 1; find_page(m, last);)
			last++;
		*start = vd_max64(page << PAGE_SHIFT, offset);
		*end = vd_min64(last << PAGE_SHIFT, m->length);
	}
	pthread_rwlock_unlock(&m->lock);
	return page == UINT64_MAX ? -ENXIO : 0;
}

/* Nobody else can reach it. */
static int memory_lock(void *state, enum vd_io_lock lock, struct vd_error *err)
{
	(void)state, (void)lock, (void)err;
	return 0;
}

static int memory_allocated(void *state, uint64_t *bytes)
{
	struct memory *m = state;

	pthread_rwlock_rdlock(&m->lock);
	*bytes = m->n_pages << PAGE_SHIFT;
	pthread_rwlock_unlock(&m->lock);
	return 0;
}

static const struct vd_io_ops memory_ops = {
    .size = sizeof(struct vd_io_ops),
    .read = memory_read,
    .write = memory_write,
    .sync = memory_sync,
    .length = memory_length,
    .truncate = memory_truncate,
    .close = memory_close,
    .punch = memory_punch,
    .zero = memory_punch,
    .allocate = memory_allocate,
    .next_data = memory_next_data,
    .lock = memory_lock,
    .allocated = memory_allocated,
};

int vd_io_open_memory(struct vd_io **out, uint64_t length, struct vd_error *err)
{
	struct memory *m;

	if (length > VD_IO_MAX_OFFSET - PAGE)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "no store can be so long");
	m = vd_calloc(1, sizeof(*m));
	if (!m)
		return vd_no_memory(err, sizeof(*m), "a store in memory");
	m->length = length;
	pthread_rwlock_init(&m->lock, NULL);
	return vd_io_new(out, &memory_ops, m, "memory", true, err);
}
