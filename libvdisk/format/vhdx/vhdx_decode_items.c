/* SPDX-License-Identifier: MIT */
/*
 * The metadata table and the items that the specification names: from bytes to meaning
 * (MS-VHDX 2.6). Reserved fields are ignored here; only vhdx_check speaks of them.
 */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/sabotage.h"
#include "format/vhdx/vhdx_layout.h"
#include "format/vhdx/vhdx_ondisk.h"

static bool is_item(const struct vhdx_item *item, struct vd_guid id)
{
	return !(item->flags & VHDX_ITEM_USER) && vd_guid_is_equal(item->id, id);
}

static bool is_standard(const struct vhdx_item *item)
{
	return is_item(item, vhdx_item_params) || is_item(item, vhdx_item_virtual_size) ||
	       is_item(item, vhdx_item_disk_id) || is_item(item, vhdx_item_logical_sector) ||
	       is_item(item, vhdx_item_physical_sector) || is_item(item, vhdx_item_locator);
}

/* Items of Windows that change nothing in how the disk reads. */
static bool is_harmless(const struct vhdx_item *item)
{
	return is_item(item, vhdx_item_chs) || is_item(item, vhdx_item_pmem_label);
}

/* One entry on its own; `at`: where it stands in the file. */
static int check_entry(const struct vhdx_item *item, uint32_t index, uint64_t at,
		       uint32_t region_len, struct vd_error *err)
{
	if (item->len == 0) {
		if (item->off == 0)
			return 0;
		return vd_error_set(err, VD_ECORRUPT, 0, at + 16,
				    "metadata table: entry %" PRIu32
				    " is empty but has offset %" PRIu32 " (must be 0)",
				    index, item->off);
	}
	if (item->len > VHDX_MAX_ITEM)
		return vd_error_set(err, VD_ECORRUPT, 0, at + 20,
				    "metadata table: entry %" PRIu32 " is %" PRIu32
				    " bytes long, at most 1 MiB is allowed",
				    index, item->len);
	if (item->off < VHDX_TABLE_SIZE)
		return vd_error_set(err, VD_ECORRUPT, 0, at + 16,
				    "metadata table: entry %" PRIu32 " has offset %" PRIu32
				    ", inside the table (must be at least 65536)",
				    index, item->off);
	if (!vd_is_within(item->off, item->len,
			  (uint64_t)region_len + VD_SABOTAGED(DECODE_ITEM_BOUND)))
		return vd_error_set(err, VD_ECORRUPT, 0, at + 16,
				    "metadata table: entry %" PRIu32 " ([%" PRIu32 ", +%" PRIu32
				    ")) ends behind its region of %" PRIu32 " bytes",
				    index, item->off, item->len, region_len);
	return 0;
}

static int check_unique(const struct vhdx_item *items, uint32_t index, uint64_t at,
			struct vd_error *err)
{
	const struct vhdx_item *item = &items[index];

	for (uint32_t i = 0; i < index; i++) {
		if (vd_guid_is_equal(items[i].id, item->id) &&
		    !((items[i].flags ^ item->flags) & VHDX_ITEM_USER)) {
			char id[VD_GUID_TEXT];

			vd_guid_format(item->id, id);
			return vd_error_set(err, VD_ECORRUPT, 0, at,
					    "metadata table: entries %" PRIu32 " and %" PRIu32
					    " are both item %s",
					    i, index, id);
		}
		if (vd_is_overlap(items[i].off, items[i].len, item->off, item->len) &&
		    !VD_SABOTAGED(DECODE_ITEM_APART))
			return vd_error_set(
			    err, VD_ECORRUPT, 0, at + 16,
			    "metadata table: entry %" PRIu32 " overlaps entry %" PRIu32, index, i);
	}
	return 0;
}

/* May an image with this item be opened at all? */
static int check_known(const struct vhdx_item *item, uint64_t at, uint32_t *n_unknown,
		       struct vd_error *err)
{
	char id[VD_GUID_TEXT];

	if (is_standard(item))
		return 0;
	if (is_item(item, vhdx_item_incomplete))
		return vd_error_set(err, VD_ECORRUPT, 0, at,
				    "the image is marked as incomplete: the program that was "
				    "filling it didn't finish; make it again");
	vd_guid_format(item->id, id);
	if ((item->flags & VHDX_ITEM_REQUIRED) && !is_harmless(item))
		return vd_error_set(err, VD_EUNSUPPORTED, 0, at,
				    "%s item %s is marked as required and isn't known: the image "
				    "needs a newer program",
				    item->flags & VHDX_ITEM_USER ? "user metadata" : "metadata",
				    id);
	(*n_unknown)++;
	return 0;
}

static int decode_entries(const struct vhdx_disk_item *disk, uint32_t n,
			  const struct vhdx_region *region, struct vhdx_params *params,
			  struct vd_error *err)
{
	uint64_t at = region->off + sizeof(struct vhdx_disk_table);
	uint32_t n_user = 0;

	for (uint32_t i = 0; i < n; i++, at += sizeof(*disk)) {
		struct vhdx_item *item = &params->items[i];
		int rc;

		item->id = vd_guid_from_disk(disk[i].id);
		item->off = vd_get32(disk[i].off);
		item->len = vd_get32(disk[i].len);
		item->flags = vd_get32(disk[i].flags);
		rc = check_entry(item, i, at, region->len, err);
		if (!rc)
			rc = check_unique(params->items, i, at, err);
		if (!rc)
			rc = check_known(item, at, &params->n_unknown, err);
		if (rc)
			return rc;
		n_user += item->flags & VHDX_ITEM_USER;
		params->n_items = i + 1;
	}
	if (n_user > VHDX_USER_ITEMS_MAX)
		return vd_error_set(
		    err, VD_ECORRUPT, 0, region->off + 10,
		    "metadata table: %" PRIu32 " user items, at most 1024 are allowed", n_user);
	return 0;
}

int vhdx_items_decode(struct vd_span table, const struct vhdx_region *region,
		      struct vhdx_params *params, struct vd_error *err)
{
	const struct vhdx_disk_table *disk = (const void *)table.p;
	uint32_t n;

	if (table.len < VHDX_TABLE_SIZE || memcmp(disk->signature, VHDX_METADATA_SIGNATURE, 8) != 0)
		return vd_error_set(err, VD_ECORRUPT, 0, region->off,
				    "no metadata table at %" PRIu64
				    ": the signature \"metadata\" isn't there",
				    region->off);
	n = vd_get16(disk->n_entries);
	if (n > VHDX_ITEMS_MAX)
		return vd_error_set(err, VD_ECORRUPT, 0, region->off + 10,
				    "metadata table: %" PRIu32 " entries, at most 2047 are allowed",
				    n);
	vd_free(params->items);
	params->n_items = params->n_unknown = 0;
	params->items = vd_calloc(n + 1, sizeof(*params->items));
	if (!params->items)
		return vd_no_memory(err, n * sizeof(*params->items), "the metadata table");
	return decode_entries((const void *)(table.p + sizeof(*disk)), n, region, params, err);
}

static int decode_params(const struct vhdx_disk_params *disk, uint64_t at,
			 struct vhdx_params *params, struct vd_error *err)
{
	uint32_t flags = vd_get32(disk->flags);

	params->block_size = vd_get32(disk->block_size);
	if (!vd_is_pow2(params->block_size) || params->block_size < VD_MIB ||
	    params->block_size > 256 * VD_MIB)
		return vd_error_set(err, VD_ECORRUPT, 0, at,
				    "block size %" PRIu32
				    ", expected a power of two from 1 MiB to 256 MiB",
				    params->block_size);
	params->leave_allocated = flags & VHDX_PARAMS_LEAVE_BLOCKS;
	params->has_parent = flags & VHDX_PARAMS_HAS_PARENT;
	return 0;
}

static int decode_sector(struct vd_le32 disk, uint64_t at, const char *which, uint32_t *size,
			 struct vd_error *err)
{
	*size = vd_get32(disk);
	if (*size != 512 && *size != 4096)
		return vd_error_set(err, VD_ECORRUPT, 0, at,
				    "%s sector size %" PRIu32 ", expected 512 or 4096", which,
				    *size);
	return 0;
}

static int decode_size(struct vd_le64 disk, uint64_t at, struct vhdx_params *params,
		       struct vd_error *err)
{
	params->virtual_size = vd_get64(disk);
	if (params->virtual_size == 0 || params->virtual_size > VHDX_MAX_SIZE)
		return vd_error_set(err, VD_ECORRUPT, 0, at,
				    "virtual disk size %" PRIu64 ", expected 1 sector to 64 TiB",
				    params->virtual_size);
	return 0;
}

static int decode_locator(struct vd_span content, uint64_t at, struct vhdx_params *params,
			  struct vd_error *err)
{
	if (!params->parent)
		params->parent = vd_calloc(1, sizeof(*params->parent));
	if (!params->parent)
		return vd_no_memory(err, sizeof(*params->parent), "the parent locator");
	return vhdx_locator_decode(content, at, params->parent, err);
}

/* Longer items than these are read as far as they are known. */
static int check_len(struct vd_span content, size_t len, uint64_t at, const char *what,
		     struct vd_error *err)
{
	if (content.len >= len)
		return 0;
	return vd_error_set(err, VD_ECORRUPT, 0, at,
			    "metadata item \"%s\" has %zu bytes, expected %zu", what, content.len,
			    len);
}

int vhdx_item_decode(const struct vhdx_item *item, struct vd_span content,
		     const struct vhdx_region *region, struct vhdx_params *params,
		     struct vd_error *err)
{
	uint64_t at = region->off + item->off;
	const void *p = content.p;
	int rc;

	if (is_item(item, vhdx_item_params)) {
		rc =
		    check_len(content, sizeof(struct vhdx_disk_params), at, "file parameters", err);
		return rc ? rc : decode_params(p, at, params, err);
	}
	if (is_item(item, vhdx_item_virtual_size)) {
		rc = check_len(content, 8, at, "virtual disk size", err);
		return rc ? rc : decode_size(*(const struct vd_le64 *)p, at, params, err);
	}
	if (is_item(item, vhdx_item_logical_sector)) {
		rc = check_len(content, 4, at, "logical sector size", err);
		return rc ? rc
			  : decode_sector(*(const struct vd_le32 *)p, at, "logical",
					  &params->logical_sector_size, err);
	}
	if (is_item(item, vhdx_item_physical_sector)) {
		rc = check_len(content, 4, at, "physical sector size", err);
		return rc ? rc
			  : decode_sector(*(const struct vd_le32 *)p, at, "physical",
					  &params->physical_sector_size, err);
	}
	if (is_item(item, vhdx_item_disk_id)) {
		rc = check_len(content, 16, at, "virtual disk ID", err);
		if (!rc)
			params->disk_id = vd_guid_from_disk(p);
		return rc;
	}
	if (is_item(item, vhdx_item_locator))
		return decode_locator(content, at, params, err);
	return 0;
}
