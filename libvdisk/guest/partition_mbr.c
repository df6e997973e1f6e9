/* SPDX-License-Identifier: MIT */
/*
 * The master boot record, and the chain of extended boot records behind it. Numbers are given as
 * Linux gives them: the four slots are 1 to 4, used logical partitions 5, 6, ... along the chain.
 */
#include "guest/partition_table.h"

#include <stdio.h>
#include <string.h>

#include "base/checked.h"

static bool is_extended(uint8_t type)
{
	return type == 0x05 || type == 0x0f || type == 0x85;
}

static bool is_used(const struct mbr_ondisk_entry *entry)
{
	return entry->type && vd_get32(entry->count);
}

static bool is_marked(const struct mbr_ondisk *mbr)
{
	return mbr->mark[0] == 0x55 && mbr->mark[1] == 0xaa;
}

bool mbr_is_plausible(const struct mbr_ondisk *mbr)
{
	if (!is_marked(mbr))
		return false;
	for (size_t i = 0; i < 4; i++)
		if (mbr->entries[i].status & 0x7f)
			return false;
	return true;
}

bool mbr_is_empty(const struct mbr_ondisk *mbr)
{
	for (size_t i = 0; i < 4; i++)
		if (is_used(&mbr->entries[i]))
			return false;
	return true;
}

bool mbr_is_protective(const struct mbr_ondisk *mbr, bool *is_hybrid)
{
	bool is_protective = false;

	*is_hybrid = false;
	if (!is_marked(mbr))
		return false;
	for (size_t i = 0; i < 4; i++) {
		if (mbr->entries[i].type == MBR_TYPE_GPT)
			is_protective = true;
		else if (is_used(&mbr->entries[i]))
			*is_hybrid = true;
	}
	return is_protective;
}

static void add(struct partition_table *table, uint32_t number, uint64_t first,
		const struct mbr_ondisk_entry *entry)
{
	struct vd_partition *p = partition_add(table, number, first, vd_get32(entry->count));

	if (!p)
		return;
	snprintf(p->type, sizeof(p->type), "0x%02x", entry->type);
	snprintf(p->type_name, sizeof(p->type_name), "%s", mbr_type_name(entry->type));
	p->attributes = entry->status >> 7;
	if (number <= 4)
		table->is_container[number] = is_extended(entry->type);
}

/* One record of the chain: adds what it describes; *next is the sector of the next one, 0: none.
 * All but the next one's place counts from the record itself. */
static void read_record(struct partition_table *table, const struct mbr_ondisk *record,
			uint64_t own, const struct mbr_ondisk_entry *container, uint32_t *number,
			uint64_t *next)
{
	uint64_t start = vd_get32(container->first), count = vd_get32(container->count);

	*next = 0;
	for (size_t i = 0; i < 4; i++) {
		const struct mbr_ondisk_entry *entry = &record->entries[i];
		uint64_t first = own + vd_get32(entry->first);

		if (!is_used(entry))
			continue;
		if (is_extended(entry->type)) {
			if (!*next)
				*next = start + vd_get32(entry->first);
			continue;
		}
		if (first < start || !vd_is_within(first - start, vd_get32(entry->count), count)) {
			/* The last two entries are free for anything, also for junk. */
			if (i > 1)
				continue;
			partition_problem(
			    table, "logical partition %u isn't within the extended one", *number);
		}
		add(table, (*number)++, first, entry);
	}
}

static int read_chain(struct partition_table *table, const struct mbr_ondisk_entry *container,
		      uint32_t *number, struct vd_error *err)
{
	uint64_t start = vd_get32(container->first), count = vd_get32(container->count);
	uint64_t at = start, seen[VD_GUEST_MAX_PARTITIONS];

	for (size_t n = 0; n < VD_GUEST_MAX_PARTITIONS; n++) {
		struct mbr_ondisk record;
		int ret;

		for (size_t i = 0; i < n; i++) {
			if (seen[i] == at) {
				partition_problem(table, "the chain of logical partitions leads "
							 "back into itself");
				return 0;
			}
		}
		seen[n] = at;
		if (at < start || at - start >= count ||
		    !vd_guest_view_has(&table->disk, at * table->sector_size, sizeof(record))) {
			partition_problem(table,
					  "the chain of logical partitions leads to sector "
					  "%llu, out of the extended one",
					  (unsigned long long)at);
			return 0;
		}
		ret = vd_guest_view_read(&table->disk, &record, sizeof(record),
					 at * table->sector_size, "extended boot record", err);
		if (ret)
			return ret;
		if (!is_marked(&record)) {
			partition_problem(table, "sector %llu isn't an extended boot record",
					  (unsigned long long)at);
			return 0;
		}
		read_record(table, &record, at, container, number, &at);
		if (!at)
			return 0;
	}
	partition_problem(table, "there are more than %u logical partitions",
			  VD_GUEST_MAX_PARTITIONS);
	return 0;
}

int mbr_read(struct partition_table *table, const struct mbr_ondisk *mbr, struct vd_error *err)
{
	uint32_t number = 5;
	int ret = 0;

	table->layout.scheme = VD_SCHEME_MBR;
	snprintf(table->layout.disk_uuid, sizeof(table->layout.disk_uuid), "%08x",
		 vd_get32(mbr->signature));
	for (uint32_t i = 0; i < 4; i++)
		if (is_used(&mbr->entries[i]))
			add(table, i + 1, vd_get32(mbr->entries[i].first), &mbr->entries[i]);
	for (uint32_t i = 0; i < 4 && !ret; i++)
		if (is_used(&mbr->entries[i]) && is_extended(mbr->entries[i].type))
			ret = read_chain(table, &mbr->entries[i], &number, err);
	return ret;
}
