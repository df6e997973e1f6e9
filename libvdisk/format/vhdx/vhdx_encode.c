/* SPDX-License-Identifier: MIT */
/* From meaning to bytes: headers, region tables, log entries, parent locators. */
#include <string.h>

#include "base/crc32c.h"
#include "base/utf16.h"
#include "format/vhdx/vhdx_layout.h"
#include "format/vhdx/vhdx_ondisk.h"

void vhdx_header_encode(const struct vhdx_header *header, uint8_t bytes[VHDX_HEADER_SIZE])
{
	struct vhdx_disk_header *disk = (void *)bytes;

	memset(disk, 0, sizeof(*disk));
	memcpy(disk->signature, VHDX_HEADER_SIGNATURE, 4);
	disk->seq = vd_put64(header->seq);
	vd_guid_to_disk(header->file_write_id, disk->file_write_id);
	vd_guid_to_disk(header->data_write_id, disk->data_write_id);
	vd_guid_to_disk(header->log_id, disk->log_id);
	disk->log_version = vd_put16(header->log_version);
	disk->version = vd_put16(header->version);
	disk->log_len = vd_put32(header->log_len);
	disk->log_off = vd_put64(header->log_off);
	disk->checksum = vd_put32(vd_crc32c(0, disk, sizeof(*disk)));
}

static void put_region(const struct vhdx_region *region, bool is_required,
		       struct vhdx_disk_region *disk)
{
	vd_guid_to_disk(region->id, disk->id);
	disk->off = vd_put64(region->off);
	disk->len = vd_put32(region->len);
	disk->required = vd_put32(is_required ? VHDX_REGION_REQUIRED : 0);
}

void vhdx_regions_encode(const struct vhdx_regions *regions, uint8_t bytes[VHDX_REGIONS_SIZE])
{
	struct vhdx_disk_regions *disk = (void *)bytes;
	struct vhdx_disk_region *entries = (void *)(bytes + sizeof(*disk));

	memset(bytes, 0, VHDX_REGIONS_SIZE);
	memcpy(disk->signature, VHDX_REGIONS_SIGNATURE, 4);
	disk->n_entries = vd_put32(2 + regions->n_unknown);
	/* Required even where it was not: QEMU forgets the bit, VirtualBox insists on it. */
	put_region(&regions->bat, true, &entries[0]);
	put_region(&regions->metadata, true, &entries[1]);
	for (uint32_t i = 0; i < regions->n_unknown; i++)
		put_region(&regions->unknown[i], regions->unknown[i].is_required, &entries[2 + i]);
	disk->checksum = vd_put32(vd_crc32c(0, bytes, VHDX_REGIONS_SIZE));
}

/* Bytes that the header and `n` descriptors take, whole sectors. */
static size_t descs_size(size_t n)
{
	size_t bytes = sizeof(struct vhdx_disk_entry) + n * sizeof(struct vhdx_disk_desc);

	return (size_t)vd_align_up(bytes, VHDX_PAGE);
}

size_t vhdx_entry_size(size_t n)
{
	return descs_size(n) + n * VHDX_PAGE;
}

void vhdx_entry_encode(uint8_t *bytes, uint64_t seq, uint32_t tail, struct vd_guid log_id,
		       uint64_t flushed_off, uint64_t last_off, const uint64_t *offs,
		       const uint8_t (*pages)[VHDX_PAGE], size_t n)
{
	struct vhdx_disk_entry *entry = (void *)bytes;
	struct vhdx_disk_desc *descs = (void *)(bytes + sizeof(*entry));
	struct vhdx_disk_data *data = (void *)(bytes + descs_size(n));

	memset(bytes, 0, descs_size(n));
	memcpy(entry->signature, VHDX_ENTRY_SIGNATURE, 4);
	entry->len = vd_put32((uint32_t)vhdx_entry_size(n));
	entry->tail = vd_put32(tail);
	entry->seq = vd_put64(seq);
	entry->n_descs = vd_put32((uint32_t)n);
	vd_guid_to_disk(log_id, entry->log_id);
	entry->flushed_off = vd_put64(flushed_off);
	entry->last_off = vd_put64(last_off);
	for (size_t i = 0; i < n; i++) {
		memcpy(descs[i].signature, VHDX_DATA_DESC_SIGNATURE, 4);
		memcpy(descs[i].leading, pages[i], 8);
		memcpy(descs[i].trailing, pages[i] + VHDX_PAGE - 4, 4);
		descs[i].off = vd_put64(offs[i]);
		descs[i].seq = vd_put64(seq);
		memcpy(data[i].signature, VHDX_DATA_SIGNATURE, 4);
		data[i].seq_high = vd_put32((uint32_t)(seq >> 32));
		memcpy(data[i].data, pages[i] + 8, sizeof(data[i].data));
		data[i].seq_low = vd_put32((uint32_t)seq);
	}
	entry->checksum = vd_put32(vd_crc32c(0, bytes, vhdx_entry_size(n)));
}

/* One text as UTF-16LE behind what is there already. */
static bool put_text(const char *text, uint8_t *bytes, size_t size, size_t *end,
		     struct vd_le32 *off, struct vd_le16 *len)
{
	size_t n;

	if (!vd_utf8_to_utf16(text, bytes + *end, size - *end, &n) || n > UINT16_MAX)
		return false;
	*off = vd_put32((uint32_t)*end);
	*len = vd_put16((uint16_t)n);
	*end += n;
	return true;
}

bool vhdx_locator_encode(const struct vd_parent_hint *hint, uint8_t *bytes, size_t size,
			 size_t *len)
{
	const char *const pairs[][2] = {
	    {"parent_linkage", hint->linkage},
	    {"parent_linkage2", hint->linkage2},
	    {"relative_path", hint->relative_path},
	    {"volume_path", hint->volume_path},
	    {"absolute_win32_path", hint->absolute_win32_path},
	};
	struct vhdx_disk_locator *disk = (void *)bytes;
	struct vhdx_disk_pair *entries = (void *)(bytes + sizeof(*disk));
	uint16_t n = 0;
	size_t end;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		n = (uint16_t)(n + (pairs[i][1][0] != '\0'));
	end = sizeof(*disk) + n * sizeof(*entries);
	if (end > size)
		return false;
	memset(bytes, 0, end);
	vd_guid_to_disk(vhdx_locator_type, disk->type);
	disk->n_pairs = vd_put16(n);
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		if (!pairs[i][1][0])
			continue;
		if (!put_text(pairs[i][0], bytes, size, &end, &entries->key_off,
			      &entries->key_len) ||
		    !put_text(pairs[i][1], bytes, size, &end, &entries->value_off,
			      &entries->value_len))
			return false;
		entries++;
	}
	*len = end;
	return true;
}
