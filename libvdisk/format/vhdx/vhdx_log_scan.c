/* SPDX-License-Identifier: MIT */
/*
 * What is in a log: its valid entries, and which run of them is the active sequence (MS-VHDX
 * 2.3.2, 2.3.3). No sector of an entry but its first begins with "loge", so entries never overlap
 * and a failed one ends where the next may begin: the work is linear in the log whatever it holds.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/crc32c.h"
#include "base/sabotage.h"
#include "format/vhdx/vhdx_ondisk.h"
#include "format/vhdx/vhdx_replay.h"

#define CHUNK_SECTORS 256u

/* A log being read: a piece of it, and what was found. */
struct scan {
	struct vhdx_replay ring; /* io, log_off, n_sectors */
	uint8_t log_id[16];      /* as on disk */
	uint8_t *chunk;
	uint32_t first, n; /* sectors in the chunk */
	struct vhdx_log_entry *entries;
	uint32_t n_entries, room;
};

int vhdx_log_read(const struct vhdx_replay *replay, uint32_t sector, uint32_t n, uint8_t *bytes,
		  struct vd_error *err)
{
	while (n) {
		uint32_t at = sector % replay->n_sectors;
		uint32_t run = (uint32_t)vd_min64(n, replay->n_sectors - at);
		int rc = vd_io_read(replay->io, bytes, (size_t)run * VHDX_PAGE,
				    replay->log_off + (uint64_t)at * VHDX_PAGE, err);

		if (rc)
			return rc;
		bytes += (size_t)run * VHDX_PAGE;
		sector += run;
		n -= run;
	}
	return 0;
}

/* One sector, by way of the chunk. Numbers behind the end of the log wrap. */
static int get_sector(struct scan *scan, uint32_t sector, const uint8_t **bytes,
		      struct vd_error *err)
{
	sector %= scan->ring.n_sectors;
	if (sector < scan->first || sector >= scan->first + scan->n) {
		int rc;

		scan->n = 0;
		scan->first = sector;
		rc = vhdx_log_read(&scan->ring, sector,
				   (uint32_t)vd_min64(CHUNK_SECTORS, scan->ring.n_sectors - sector),
				   scan->chunk, err);
		if (rc)
			return rc;
		scan->n = (uint32_t)vd_min64(CHUNK_SECTORS, scan->ring.n_sectors - sector);
	}
	*bytes = scan->chunk + (size_t)(sector - scan->first) * VHDX_PAGE;
	return 0;
}

static uint32_t desc_sectors(uint32_t n_descs)
{
	return (uint32_t)vd_div_up(sizeof(struct vhdx_disk_entry) +
				       (uint64_t)n_descs * sizeof(struct vhdx_disk_desc),
				   VHDX_PAGE);
}

/* The header of an entry. Its checksum comes later. */
static bool decode_entry(const struct scan *scan, const struct vhdx_disk_entry *disk,
			 uint32_t sector, struct vhdx_log_entry *entry)
{
	uint32_t len = vd_get32(disk->len), tail = vd_get32(disk->tail);

	if (memcmp(disk->signature, VHDX_ENTRY_SIGNATURE, 4) != 0)
		return false;
	entry->seq = vd_get64(disk->seq);
	entry->flushed_off = vd_get64(disk->flushed_off);
	entry->last_off = vd_get64(disk->last_off);
	entry->sector = sector;
	entry->n_sectors = len / VHDX_PAGE;
	entry->tail = tail / VHDX_PAGE;
	entry->n_descs = vd_get32(disk->n_descs);
	return memcmp(disk->log_id, scan->log_id, 16) == 0 && entry->seq > 0 && len > 0 &&
	       len % VHDX_PAGE == 0 && entry->n_sectors <= scan->ring.n_sectors &&
	       tail % VHDX_PAGE == 0 && entry->tail < scan->ring.n_sectors &&
	       entry->n_descs <= UINT32_MAX / sizeof(struct vhdx_disk_desc) - 2 &&
	       desc_sectors(entry->n_descs) <= entry->n_sectors;
}

/* Descriptors [from, from + n) of an entry, all in one sector. */
static bool check_descs(const struct vhdx_disk_desc *descs, uint32_t n, uint64_t seq,
			uint32_t *n_data)
{
	for (uint32_t i = 0; i < n; i++) {
		bool is_data = memcmp(descs[i].signature, VHDX_DATA_DESC_SIGNATURE, 4) == 0;

		if (!is_data && memcmp(descs[i].signature, VHDX_ZERO_DESC_SIGNATURE, 4) != 0)
			return false;
		if (vd_get64(descs[i].seq) != seq)
			return false;
		*n_data += is_data;
	}
	return true;
}

/* One sector behind the first: descriptors or data. */
static bool check_sector(const uint8_t *bytes, const struct vhdx_log_entry *entry, uint32_t index,
			 uint32_t *n_data)
{
	const uint32_t per_sector = VHDX_PAGE / sizeof(struct vhdx_disk_desc);
	const struct vhdx_disk_data *data = (const void *)bytes;

	if (index < desc_sectors(entry->n_descs)) {
		/* The first sector holds two less: the header takes their place. */
		uint32_t before = index * per_sector - 2;
		uint32_t n = (uint32_t)vd_min64(per_sector, entry->n_descs - before);

		return check_descs((const void *)bytes, n, entry->seq, n_data);
	}
	if (VD_SABOTAGED(DECODE_LOG_TORN))
		return memcmp(data->signature, VHDX_DATA_SIGNATURE, 4) == 0;
	return memcmp(data->signature, VHDX_DATA_SIGNATURE, 4) == 0 &&
	       vd_get32(data->seq_high) == (uint32_t)(entry->seq >> 32) &&
	       vd_get32(data->seq_low) == (uint32_t)entry->seq;
}

/*
 * Is there a valid entry at `sector`? *n_seen is how many sectors were looked at and can't begin
 * an entry themselves (at least 1).
 */
static int check_entry(struct scan *scan, uint32_t sector, struct vhdx_log_entry *entry,
		       bool *is_valid, uint32_t *n_seen, struct vd_error *err)
{
	const uint32_t in_first =
	    (VHDX_PAGE - sizeof(struct vhdx_disk_entry)) / sizeof(struct vhdx_disk_desc);
	uint32_t n_data = 0, checksum, crc;
	const uint8_t *bytes;
	int rc = get_sector(scan, sector, &bytes, err);

	*is_valid = false;
	*n_seen = 1;
	if (rc || !decode_entry(scan, (const void *)bytes, sector, entry) ||
	    !check_descs((const void *)(bytes + sizeof(struct vhdx_disk_entry)),
			 (uint32_t)vd_min64(entry->n_descs, in_first), entry->seq, &n_data))
		return rc;
	checksum = vd_get32(((const struct vhdx_disk_entry *)(const void *)bytes)->checksum);
	crc = vd_crc32c_without(bytes, VHDX_PAGE, offsetof(struct vhdx_disk_entry, checksum));
	for (uint32_t i = 1; i < entry->n_sectors; i++) {
		rc = get_sector(scan, sector + i, &bytes, err);
		if (rc || !check_sector(bytes, entry, i, &n_data))
			return rc;
		crc = vd_crc32c(crc, bytes, VHDX_PAGE);
		*n_seen = i + 1;
	}
	*is_valid = (crc == checksum || VD_SABOTAGED(DECODE_LOG_CRC)) &&
		    (desc_sectors(entry->n_descs) + n_data == entry->n_sectors ||
		     VD_SABOTAGED(DECODE_LOG_DESCS));
	return 0;
}

static int keep_entry(struct scan *scan, const struct vhdx_log_entry *entry, struct vd_error *err)
{
	if (scan->n_entries == scan->room) {
		uint32_t room = scan->room ? 2 * scan->room : 64;
		void *larger = vd_realloc(scan->entries, room * sizeof(*entry));

		if (!larger)
			return vd_no_memory(err, room * sizeof(*entry), "the entries of the log");
		scan->entries = larger;
		scan->room = room;
	}
	scan->entries[scan->n_entries++] = *entry;
	return 0;
}

int vhdx_log_scan(struct vd_io *io, const struct vhdx_header *header,
		  struct vhdx_log_entry **entries, uint32_t *n, struct vd_error *err)
{
	struct scan scan = {.ring = {.io = io, .log_off = header->log_off}};
	VD_AUTO_FREE uint8_t *chunk = vd_malloc((size_t)CHUNK_SECTORS * VHDX_PAGE);
	int rc = 0;

	*entries = NULL;
	*n = 0;
	if (!chunk)
		return vd_no_memory(err, (size_t)CHUNK_SECTORS * VHDX_PAGE, "the log");
	scan.ring.n_sectors = header->log_len / VHDX_PAGE;
	scan.chunk = chunk;
	vd_guid_to_disk(header->log_id, scan.log_id);
	for (uint32_t sector = 0, n_seen; !rc && sector < scan.ring.n_sectors; sector += n_seen) {
		struct vhdx_log_entry entry = {.next = VHDX_NO_ENTRY, .head = VHDX_NO_ENTRY};
		bool is_valid;

		rc = check_entry(&scan, sector, &entry, &is_valid, &n_seen, err);
		if (!rc && is_valid)
			rc = keep_entry(&scan, &entry, err);
	}
	if (rc) {
		vd_free(scan.entries);
		return rc;
	}
	*entries = scan.entries;
	*n = scan.n_entries;
	return 0;
}

/* Index of the entry that begins at `sector`. */
static uint32_t find_entry(const struct vhdx_log_entry *entries, uint32_t n, uint32_t sector)
{
	uint32_t low = 0, high = n;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (entries[mid].sector < sector)
			low = mid + 1;
		else
			high = mid;
	}
	return low < n && entries[low].sector == sector ? low : VHDX_NO_ENTRY;
}

/* Give all entries of the run that begins at `i` their head. Each is visited once. */
static void find_head(struct vhdx_log_entry *entries, uint32_t i)
{
	uint32_t end = i, head;

	while (entries[end].head == VHDX_NO_ENTRY && entries[end].next != VHDX_NO_ENTRY)
		end = entries[end].next;
	head = entries[end].head == VHDX_NO_ENTRY ? end : entries[end].head;
	for (; entries[i].head == VHDX_NO_ENTRY; i = entries[i].next) {
		entries[i].head = head;
		if (entries[i].next == VHDX_NO_ENTRY)
			break;
	}
}

/*
 * The specification walks over the log and takes runs of entries whose sequence numbers count up;
 * a run is valid if its head's Tail is one of its entries; the highest head wins, the first found
 * of equal ones. A run that begins later in the same chain has the same head, so it is enough to
 * ask of every head whether the chain from its Tail leads to it.
 */
bool vhdx_log_choose(struct vhdx_log_entry *entries, uint32_t n, uint32_t n_sectors,
		     uint32_t *first, uint32_t *head)
{
	bool is_found = false;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t next =
		    find_entry(entries, n, (entries[i].sector + entries[i].n_sectors) % n_sectors);

		/* No cycles: the numbers only grow. */
		if (next != VHDX_NO_ENTRY && entries[i].seq != UINT64_MAX &&
		    entries[next].seq == entries[i].seq + 1)
			entries[i].next = next;
	}
	for (uint32_t i = 0; i < n; i++)
		find_head(entries, i);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t tail;

		if (entries[i].head != i)
			continue;
		tail = find_entry(entries, n, entries[i].tail);
		if (VD_SABOTAGED(DECODE_LOG_TAIL))
			tail = i;
		if (tail == VHDX_NO_ENTRY || entries[tail].head != i)
			continue;
		if (!is_found || entries[i].seq > entries[*head].seq) {
			*head = i;
			*first = tail;
			is_found = true;
		}
	}
	return is_found;
}
