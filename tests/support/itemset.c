/* SPDX-License-Identifier: MIT */
/* User metadata items under test: see itemset.h. */
#include "itemset.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stamp.h"

#define N_HUGE 3 /* items that may be so */

struct item_moment {
	size_t begin, end;
	struct itemset after;
};

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

void itemset_id(uint32_t name, uint8_t id[16])
{
	static const uint8_t base[16] = {0xd1, 0xce, 0x17, 0xe5, 0x7e, 0x57, 0x4a, 0x11,
					 0x80, 0x01, 0x02, 0x03, 0,    0,    0,    0};

	memcpy(id, base, 16);
	for (int i = 0; i < 4; i++)
		id[12 + i] = (uint8_t)(name >> (24 - 8 * i));
}

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 31) * 0x9E3779B97F4A7C15u;
	return x ^ x >> 29;
}

void itemset_content(uint8_t *buf, size_t len, uint64_t offset, uint32_t name, uint32_t generation)
{
	uint64_t seed = ((uint64_t)name << 32 | generation) * 2654435761u + 1;

	for (size_t i = 0, n; i < len; i += n) {
		uint64_t at = offset + i, word = htole64(mix(seed + at / 8));

		n = 8 - at % 8 < len - i ? 8 - (size_t)(at % 8) : len - i;
		memcpy(buf + i, (const uint8_t *)&word + at % 8, n);
	}
}

static int bring(void *user, void *buf, uint32_t len, uint32_t offset, struct vd_error *err)
{
	const struct itemset_one *one = user;

	(void)err;
	itemset_content(buf, len, offset, one->name, one->generation);
	return 0;
}

struct vd_item_change itemset_put(const struct itemset_one *one)
{
	struct vd_item_change change = {
	    .flags = one->flags, .length = one->len, .fill = bring, .user = (void *)(uintptr_t)one};

	itemset_id(one->name, change.id);
	return change;
}

struct vd_item_change itemset_remove(uint32_t name)
{
	struct vd_item_change change = {.is_removal = true};

	itemset_id(name, change.id);
	return change;
}

void itemset_apply(struct itemset *set, const struct itemset_one *one, bool is_removal)
{
	size_t i = 0;

	while (i < set->n && set->at[i].name != one->name)
		i++;
	if (!is_removal) {
		set->at[i] = *one;
		set->n += i == set->n;
	} else if (i < set->n) {
		set->n--;
		memmove(&set->at[i], &set->at[i + 1], (set->n - i) * sizeof(set->at[0]));
	}
}

int itemset_change(const struct itemset *to, uint32_t gone, struct vd_disk *disk,
		   struct vd_error *err)
{
	struct vd_item_change changes[9] = {itemset_remove(gone)};

	for (size_t i = 0; i < to->n && i < 8; i++)
		changes[1 + i] = itemset_put(&to->at[i]);
	return vd_disk_change_items(disk, changes, 1 + to->n, err);
}

static bool is_whole(const struct itemset_one *one, const struct vd_item *item,
		     struct vd_disk *disk, char *text, size_t size)
{
	struct vd_error err = VD_ERROR_INIT;
	uint8_t *got, *wanted, id[16];
	bool ok;

	itemset_id(one->name, id);
	if (memcmp(item->id, id, 16) != 0 || item->flags != one->flags ||
	    item->length != one->len) {
		snprintf(text, size,
			 "item %" PRIu32 " of %" PRIu32 " bytes should stand where one of %" PRIu32
			 " bytes is",
			 one->name, one->len, item->length);
		return false;
	}
	got = must(malloc(2 * (size_t)one->len + 1));
	wanted = got + one->len;
	itemset_content(wanted, one->len, 0, one->name, one->generation);
	ok = vd_disk_read_item(disk, id, got, one->len, 0, &err) == 0;
	if (!ok)
		snprintf(text, size, "item %" PRIu32 ": %s", one->name, err.text);
	for (uint32_t i = 0; ok && memcmp(got, wanted, one->len) != 0; i++) {
		if (got[i] == wanted[i])
			continue;
		snprintf(text, size,
			 "item %" PRIu32 ", generation %" PRIu32 ", of %" PRIu32
			 " bytes at 0x%" PRIx64 ": byte %" PRIu32 " is 0x%02x",
			 one->name, one->generation, one->len, item->offset, i, got[i]);
		ok = false;
	}
	free(got);
	return ok;
}

bool itemset_is_shown(const struct itemset *set, struct vd_disk *disk, char *text, size_t size)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_item *items;
	bool ok = true;
	size_t n;

	if (vd_disk_list_items(disk, &items, &n, &err) < 0) {
		snprintf(text, size, "list: %s", err.text);
		return false;
	}
	if (n != set->n) {
		snprintf(text, size, "%zu items where %zu should be", n, set->n);
		ok = false;
	}
	for (size_t i = 0; i < n && ok; i++)
		ok = is_whole(&set->at[i], &items[i], disk, text, size);
	vd_items_free(items);
	return ok;
}

static size_t now(const struct item_life *life)
{
	return life->record ? record_now(life->record) : 0;
}

static void remember(struct item_life *life, size_t begin)
{
	struct item_moment *moment;

	life->moments =
	    must(realloc(life->moments, (life->n_moments + 1) * sizeof(*life->moments)));
	moment = &life->moments[life->n_moments++];
	moment->begin = begin;
	moment->end = now(life);
	moment->after = life->now;
}

void item_life_begin(struct item_life *life)
{
	remember(life, 0);
	life->moments[0].end = 0;
}

void item_life_end(struct item_life *life)
{
	free(life->moments);
	life->moments = NULL;
	life->n_moments = 0;
}

static uint32_t random_len(struct item_life *life, bool may_be_huge)
{
	uint32_t most = life->max_len;

	if (life->huge_len && may_be_huge && rnd_below(&life->random, 3))
		return life->huge_len / 2 + (uint32_t)rnd_below(&life->random, life->huge_len / 2) +
		       1;
	switch (rnd_below(&life->random, 8)) {
	case 0:
		return 0;
	case 1:
		return (uint32_t)rnd_below(&life->random, 4) + 4095;
	case 2:
	case 3:
		return (uint32_t)rnd_below(&life->random, 600);
	default:
		return (uint32_t)rnd_below(&life->random, most) + 1;
	}
}

bool item_life_change(struct item_life *life, struct vd_disk *disk)
{
	size_t n = (size_t)rnd_below(&life->random, 4) + 1, begin = now(life), n_changes = 0;
	struct itemset *after = must(malloc(sizeof(*after)));
	struct vd_item_change changes[4];
	struct itemset_one ones[4];
	int rc;

	*after = life->now;
	for (size_t i = 0; i < n; i++) {
		struct itemset_one *one = &ones[n_changes];
		bool is_removal = rnd_below(&life->random, 4) == 0, is_twice = false;

		one->name = 1000 + (uint32_t)rnd_below(&life->random, life->n_names);
		one->len = random_len(life, one->name < 1000 + N_HUGE);
		one->generation = ++life->generation;
		one->flags = VD_ITEM_USER | (rnd(&life->random) & 1 ? VD_ITEM_VIRTUAL_DISK : 0);
		for (size_t k = 0; k < n_changes; k++)
			is_twice = is_twice || ones[k].name == one->name;
		if (is_twice)
			continue;
		changes[n_changes++] = is_removal ? itemset_remove(one->name) : itemset_put(one);
		itemset_apply(after, one, is_removal);
	}
	rc = vd_disk_change_items(disk, changes, n_changes, &life->err);
	if (rc >= 0) {
		life->now = *after;
		remember(life, begin);
	} else {
		snprintf(life->text, sizeof(life->text), "change of items: %s: %s",
			 vd_code_name(life->err.code), life->err.text);
	}
	free(after);
	return rc >= 0;
}

bool item_life_allows(const struct item_life *life, size_t moment, struct vd_disk *disk, char *text,
		      size_t size)
{
	size_t i = life->n_moments - 1;
	char other[300];

	while (i && life->moments[i].end > moment)
		i--;
	if (itemset_is_shown(&life->moments[i].after, disk, text, size))
		return true;
	if (i + 1 == life->n_moments || life->moments[i + 1].begin >= moment)
		return false;
	if (itemset_is_shown(&life->moments[i + 1].after, disk, other, sizeof(other)))
		return true;
	snprintf(text + strlen(text), size - strlen(text),
		 "; nor as after the change under way: %s", other);
	return false;
}
