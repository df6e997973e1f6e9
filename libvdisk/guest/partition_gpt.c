/* SPDX-License-Identifier: MIT */
/*
 * GPT: two headers, each with its own copy of the entries, all under CRC-32. The first that can be
 * trusted is used; whether the other agrees is told.
 */
#include "guest/partition_table.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/guid.h"
#include "base/span.h"
#include "guest/guest_bytes.h"

#define MAX_ENTRIES_LEN VD_MIB
#define MAX_HEADER_LEN  512u

/* One header and its entries. */
struct gpt_copy {
	struct gpt_ondisk_header header;
	uint8_t *entries;
	size_t entries_len;
	const char *fault; /* NULL: it can be trusted */
};

static uint32_t header_crc(const uint8_t *sector, uint32_t len)
{
	static const uint8_t zero[4];
	uLong crc = crc32(0, sector, offsetof(struct gpt_ondisk_header, crc));

	crc = crc32(crc, zero, sizeof(zero));
	crc = crc32(crc, sector + offsetof(struct gpt_ondisk_header, reserved),
		    len - (uInt)offsetof(struct gpt_ondisk_header, reserved));
	return (uint32_t)crc;
}

/* Bounds, then the CRC, then what the fields mean. */
static const char *header_fault(struct gpt_copy *copy, const uint8_t *sector, uint64_t own)
{
	const struct gpt_ondisk_header *h = &copy->header;
	uint32_t len, entry_len;

	memcpy(&copy->header, sector, sizeof(copy->header));
	if (memcmp(h->signature, "EFI PART", 8) != 0)
		return "missing";
	len = vd_get32(h->header_len);
	if (len < sizeof(*h) || len > MAX_HEADER_LEN)
		return "damaged (its length)";
	if (header_crc(sector, len) != vd_get32(h->crc))
		return "damaged (its CRC)";
	if (vd_get64(h->own) != own)
		return "not in its place";
	entry_len = vd_get32(h->entry_len);
	if (entry_len < sizeof(struct gpt_ondisk_entry) || entry_len % 8 ||
	    (uint64_t)entry_len * vd_get32(h->n_entries) > MAX_ENTRIES_LEN)
		return "broken (the size of its table)";
	copy->entries_len = (size_t)entry_len * vd_get32(h->n_entries);
	return NULL;
}

static int read_entries(const struct partition_table *table, uint32_t sector_size,
			struct gpt_copy *copy, struct vd_error *err)
{
	uint64_t at;
	int ret;

	if (!vd_mul64(vd_get64(copy->header.entries), sector_size, &at) ||
	    !vd_guest_view_has(&table->disk, at, copy->entries_len)) {
		copy->fault = "broken (its table lies beyond the disk)";
		return 0;
	}
	copy->entries = vd_malloc(copy->entries_len ? copy->entries_len : 1);
	if (!copy->entries)
		return vd_no_memory(err, copy->entries_len, "a partition table");
	ret = vd_guest_view_read(&table->disk, copy->entries, copy->entries_len, at,
				 "partition table", err);
	if (!ret && (uint32_t)crc32(0, copy->entries, (uInt)copy->entries_len) !=
			vd_get32(copy->header.entries_crc))
		copy->fault = "without its table (whose CRC is wrong)";
	return ret;
}

static int read_copy(const struct partition_table *table, uint32_t sector_size, uint64_t own,
		     struct gpt_copy *copy, struct vd_error *err)
{
	uint8_t sector[MAX_HEADER_LEN];
	uint64_t at;
	int ret;

	memset(copy, 0, sizeof(*copy));
	if (!vd_mul64(own, sector_size, &at) ||
	    !vd_guest_view_has(&table->disk, at, sizeof(sector))) {
		copy->fault = "missing";
		return 0;
	}
	ret = vd_guest_view_read(&table->disk, sector, sizeof(sector), at, "GPT header", err);
	if (ret)
		return ret;
	copy->fault = header_fault(copy, sector, own);
	return copy->fault ? 0 : read_entries(table, sector_size, copy, err);
}

/* Both say the same, but for where each stands. */
static bool is_same(const struct gpt_copy *a, const struct gpt_copy *b)
{
	return vd_get32(a->header.n_entries) == vd_get32(b->header.n_entries) &&
	       vd_get32(a->header.entry_len) == vd_get32(b->header.entry_len) &&
	       vd_get32(a->header.entries_crc) == vd_get32(b->header.entries_crc) &&
	       vd_get64(a->header.first_usable) == vd_get64(b->header.first_usable) &&
	       vd_get64(a->header.last_usable) == vd_get64(b->header.last_usable) &&
	       !memcmp(a->header.disk_guid, b->header.disk_guid, 16);
}

static void format_guid(char *text, const uint8_t *guid)
{
	char buf[VD_GUID_TEXT];

	vd_guid_format(vd_guid_from_disk(guid), buf);
	memcpy(text, buf, sizeof(buf));
}

static void add(struct partition_table *table, uint32_t number, const uint8_t *bytes)
{
	struct gpt_ondisk_entry entry;
	struct vd_partition *p;
	uint64_t first, last;

	memcpy(&entry, bytes, sizeof(entry));
	first = vd_get64(entry.first);
	last = vd_get64(entry.last);
	if (last < first || last == UINT64_MAX) {
		partition_problem(table, "partition %u ends before it begins", number);
		return;
	}
	p = partition_add(table, number, first, last - first + 1);
	if (!p)
		return;
	format_guid(p->type, entry.type);
	snprintf(p->type_name, sizeof(p->type_name), "%s", gpt_type_name(p->type));
	format_guid(p->uuid, entry.guid);
	vd_guest_text_utf16(p->name, sizeof(p->name), entry.name, sizeof(entry.name), false);
	p->attributes = vd_get64(entry.attributes);
}

static void take(struct partition_table *table, const struct gpt_copy *copy)
{
	uint32_t len = vd_get32(copy->header.entry_len), n = vd_get32(copy->header.n_entries);

	table->layout.scheme = VD_SCHEME_GPT;
	format_guid(table->layout.disk_uuid, copy->header.disk_guid);
	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *entry = copy->entries + (size_t)i * len;

		if (!vd_is_zero(entry, 16)) /* its type */
			add(table, i + 1, entry);
	}
}

static int read_both(struct partition_table *table, uint32_t sector_size, struct gpt_copy *first,
		     struct gpt_copy *second, struct vd_error *err)
{
	uint64_t last = table->disk.length / sector_size;
	int ret;

	if (last < 3) {
		first->fault = second->fault = "missing";
		return 0;
	}
	last--;
	ret = read_copy(table, sector_size, 1, first, err);
	if (ret)
		return ret;
	ret = read_copy(table, sector_size, last, second, err);
	/* A disk that grew has it where its end was. */
	if (!ret && second->fault && !first->fault && vd_get64(first->header.other) != last) {
		uint64_t other = vd_get64(first->header.other);

		vd_free(second->entries);
		ret = read_copy(table, sector_size, other, second, err);
		if (!ret)
			partition_problem(table,
					  "the second GPT header isn't at the end of the disk");
	}
	return ret;
}

int gpt_read(struct partition_table *table, uint32_t sector_size, bool is_announced, bool *is_found,
	     struct vd_error *err)
{
	struct gpt_copy first = {.fault = "missing"}, second = {.fault = "missing"};
	size_t n_problem = table->n_problem;
	int ret = read_both(table, sector_size, &first, &second, err);

	/* Without an MBR that announces it, only a first header makes it a GPT: the second may be
	 * left from an earlier life. */
	*is_found = !ret && (!first.fault || (is_announced && !second.fault));
	if (*is_found) {
		table->sector_size = sector_size;
		if (first.fault)
			partition_problem(table,
					  "the first GPT header is %s; the second one was used",
					  first.fault);
		else if (second.fault)
			partition_problem(table, "the second GPT header is %s", second.fault);
		else if (!is_same(&first, &second))
			partition_problem(table,
					  "the two GPT headers disagree; the first one was used");
		take(table, first.fault ? &second : &first);
	} else {
		table->n_problem = n_problem;
		table->problem[n_problem] = '\0';
	}
	vd_free(first.entries);
	vd_free(second.entries);
	return ret;
}
