/* SPDX-License-Identifier: MIT */
/*
 * A sparse file in memory, with copy-on-write over another one: making a thousand variants of an
 * image costs what differs. Thread-safe, except store_new and store_free. Independent of the
 * library's own memory store on purpose.
 */
#ifndef TEST_STORE_H
#define TEST_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdisk/sys/io.h>

struct store;

/** An empty store, or one that shows `base` (borrowed; it may not change or go as long). */
struct store *store_new(const struct store *base);
void store_free(struct store *store);

void store_read(const struct store *store, void *buf, size_t len, uint64_t offset);
void store_write(struct store *store, const void *buf, size_t len, uint64_t offset);
/** Zero a range; doesn't grow the file. */
void store_zero(struct store *store, uint64_t offset, uint64_t len);
void store_truncate(struct store *store, uint64_t length);
uint64_t store_length(const struct store *store);
/** First data at or behind `offset`; false if there is none. */
bool store_next_data(const struct store *store, uint64_t offset, uint64_t *start, uint64_t *end);
/** Pages that this store holds itself (not its base). */
size_t store_n_pages(const struct store *store);
/** FNV-1a over length and content; equal files have equal hashes. */
uint64_t store_hash(const struct store *store);
/** Write it out as a sparse file, or read one. False: errno says why. */
bool store_save(const struct store *store, const char *path);
bool store_load(struct store *store, const char *path);

/** A vd_io on it, without locks; closing it leaves the store. NULL if the library fails. */
struct vd_io *store_io(struct store *store, bool is_writable);

#endif
