/* SPDX-License-Identifier: MIT */
/*
 * User metadata items under test. Content is made from an item's id, a generation and the place in
 * it, so that old, foreign and torn content can't look right. A set knows what an image shows now;
 * a life makes random changes and knows what may be there after a power cut at any moment of a
 * recording: the items before a change, or those after it, never some of each.
 */
#ifndef TEST_ITEMSET_H
#define TEST_ITEMSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdisk/disk.h>
#include <vdisk/item.h>

#include "record.h"

#define ITEMSET_MAX 1024

struct itemset {
	struct itemset_one {
		uint32_t name; /* what its id is made from */
		uint32_t flags, len, generation;
	} at[ITEMSET_MAX]; /* in the order of the table */
	size_t n;
};

/** The id of item `name`, and its content. */
void itemset_id(uint32_t name, uint8_t id[16]);
void itemset_content(uint8_t *buf, size_t len, uint64_t offset, uint32_t name, uint32_t generation);
/** A change that puts it there; itemset_apply keeps `set` up to date. `one` is what the change's
 *  content is made from and has to stay until it is made. */
struct vd_item_change itemset_put(const struct itemset_one *one);
struct vd_item_change itemset_remove(uint32_t name);
void itemset_apply(struct itemset *set, const struct itemset_one *one, bool is_removal);
/** Change a disk to show these items (up to 8), and `gone` no more, in one go. */
int itemset_change(const struct itemset *to, uint32_t gone, struct vd_disk *disk,
		   struct vd_error *err);
/** The disk shows these items, whole, and no others. False: text says what is wrong. */
bool itemset_is_shown(const struct itemset *set, struct vd_disk *disk, char *text, size_t size);

struct item_life {
	/* set by the caller */
	struct record *record; /* NULL: times are all 0 */
	uint64_t random;
	uint32_t n_names;  /* items 1000 to 1000 + n_names come and go; others stay as they are */
	uint32_t max_len;  /* of most */
	uint32_t huge_len; /* of the first three, mostly; 0: none */
	struct itemset now;
	/* its own */
	uint32_t generation;
	struct item_moment *moments;
	size_t n_moments;
	struct vd_error err;
	char text[600];
};

/** A random change of one to four items. False: life->text tells what went wrong. */
bool item_life_change(struct item_life *life, struct vd_disk *disk);
/** May the disk show what it shows, after a power cut at `moment`? */
bool item_life_allows(const struct item_life *life, size_t moment, struct vd_disk *disk, char *text,
		      size_t size);
/** Start with an image that shows life->now. */
void item_life_begin(struct item_life *life);
void item_life_end(struct item_life *life);

#endif
