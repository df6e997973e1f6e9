/* SPDX-License-Identifier: MIT */
/*
 * From a store to decoded structures, each with one read or few: an image may lie far away, and
 * looking at many of them must not cost more than it has to.
 */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/utf16.h"
#include "format/vhdx/vhdx_layout.h"
#include "format/vhdx/vhdx_ondisk.h"

/* Items within this distance are fetched together. */
#define WINDOW VHDX_TABLE_SIZE

int vhdx_slots_read(struct vd_io *io, struct vhdx_headers *headers, struct vd_error *err)
{
	VD_AUTO_FREE uint8_t *bytes = vd_malloc(VHDX_HEADER_SIZE);

	memset(headers, 0, sizeof(*headers));
	if (!bytes)
		return vd_no_memory(err, VHDX_HEADER_SIZE, "the headers");
	for (int slot = 0; slot < 2; slot++) {
		int rc = vd_io_read(io, bytes, VHDX_HEADER_SIZE, VHDX_HEADER_OFF(slot), err);

		if (rc)
			return rc;
		headers->is_valid[slot] =
		    vhdx_header_decode(vd_span(bytes, VHDX_HEADER_SIZE), &headers->slot[slot]);
	}
	return vhdx_headers_choose(headers, err);
}

int vhdx_headers_read(struct vd_io *io, struct vhdx_headers *headers, struct vd_error *err)
{
	int rc = vhdx_creator_read(io, NULL, 0, err);

	memset(headers, 0, sizeof(*headers));
	return rc ? rc : vhdx_slots_read(io, headers, err);
}

static int check_log(const struct vhdx_region *region, const struct vhdx_header *header,
		     struct vd_error *err)
{
	char id[VD_GUID_TEXT];

	if (!vd_is_overlap(region->off, region->len, header->log_off, header->log_len))
		return 0;
	vd_guid_format(region->id, id);
	return vd_error_set(err, VD_ECORRUPT, 0, region->off,
			    "region %s at %" PRIu64 " overlaps the log at %" PRIu64, id,
			    region->off, header->log_off);
}

/* The first table, and if it can't be used or `both` are wanted, the second. */
static int decode_tables(struct vd_io *io, uint8_t *bytes, bool both, struct vhdx_regions *regions,
			 struct vd_error *err)
{
	const uint8_t *second = both ? bytes + VHDX_REGIONS_SIZE : bytes;
	size_t len = (both ? 2 : 1) * (size_t)VHDX_REGIONS_SIZE;
	int rc = vd_io_read(io, bytes, len, VHDX_REGIONS_OFF(0), err);

	if (!rc)
		rc = vhdx_regions_decode(vd_span(bytes, VHDX_REGIONS_SIZE), VHDX_REGIONS_OFF(0),
					 regions, &regions->is_valid[0], err);
	if (rc || (regions->is_valid[0] && !both))
		return rc;
	if (!both)
		rc = vd_io_read(io, bytes, len, VHDX_REGIONS_OFF(1), err);
	if (!rc && !regions->is_valid[0])
		return vhdx_regions_decode(vd_span(second, VHDX_REGIONS_SIZE), VHDX_REGIONS_OFF(1),
					   regions, &regions->is_valid[1], err);
	if (rc)
		return rc;
	regions->is_valid[1] = vhdx_regions_is_valid(vd_span(second, VHDX_REGIONS_SIZE));
	regions->differ = regions->is_valid[1] && memcmp(bytes, second, VHDX_REGIONS_SIZE) != 0;
	return 0;
}

static int read_regions(struct vd_io *io, const struct vhdx_header *header, bool both,
			struct vhdx_regions *regions, struct vd_error *err)
{
	size_t len = (both ? 2 : 1) * (size_t)VHDX_REGIONS_SIZE;
	VD_AUTO_FREE uint8_t *bytes = vd_malloc(len);
	int rc;

	memset(regions, 0, sizeof(*regions));
	if (!bytes)
		return vd_no_memory(err, len, "the region tables");
	rc = decode_tables(io, bytes, both, regions, err);
	if (!rc && !regions->is_valid[0] && !regions->is_valid[1])
		rc = vd_error_set(err, VD_ECORRUPT, 0, VHDX_REGIONS_OFF(0),
				  "neither region table (at 192 KiB and 256 KiB) has a valid "
				  "signature and checksum");
	if (!rc)
		rc = check_log(&regions->bat, header, err);
	if (!rc)
		rc = check_log(&regions->metadata, header, err);
	for (uint32_t i = 0; !rc && i < regions->n_unknown; i++)
		rc = check_log(&regions->unknown[i], header, err);
	if (rc)
		vhdx_regions_free(regions);
	return rc;
}

int vhdx_regions_read(struct vd_io *io, const struct vhdx_header *header,
		      struct vhdx_regions *regions, struct vd_error *err)
{
	return read_regions(io, header, true, regions, err);
}

int vhdx_regions_look(struct vd_io *io, const struct vhdx_header *header,
		      struct vhdx_regions *regions, struct vd_error *err)
{
	return read_regions(io, header, false, regions, err);
}

void vhdx_regions_free(struct vhdx_regions *regions)
{
	vd_free(regions->unknown);
	memset(regions, 0, sizeof(*regions));
}

void vhdx_params_free(struct vhdx_params *params)
{
	vd_free(params->items);
	vd_free(params->parent);
	memset(params, 0, sizeof(*params));
}

/* The items whose content is read. Their order is that of `wanted` in vhdx_params_read. */
static const struct vd_guid *const wanted_ids[] = {
    &vhdx_item_params,         &vhdx_item_virtual_size,    &vhdx_item_disk_id,
    &vhdx_item_logical_sector, &vhdx_item_physical_sector, &vhdx_item_locator,
};
static const char *const wanted_names[] = {
    "file parameters",     "virtual disk size",    "virtual disk ID",
    "logical sector size", "physical sector size", "parent locator",
};
#define N_WANTED  6
#define I_LOCATOR 5

static const struct vhdx_item *find_item(const struct vhdx_params *params, struct vd_guid id)
{
	for (uint32_t i = 0; i < params->n_items; i++)
		if (!(params->items[i].flags & VHDX_ITEM_USER) &&
		    vd_guid_is_equal(params->items[i].id, id))
			return &params->items[i];
	return NULL;
}

/* Sort by offset, so that neighbours are fetched together. NULLs last. */
static void sort_items(const struct vhdx_item *items[N_WANTED])
{
	for (int i = 1; i < N_WANTED; i++) {
		const struct vhdx_item *item = items[i];
		int j = i;

		for (; j > 0 && item && (!items[j - 1] || items[j - 1]->off > item->off); j--)
			items[j] = items[j - 1];
		items[j] = item;
	}
}

/* Fetch and decode items[0] and those behind it that lie in the same window; *n: how many. */
static int read_items(struct vd_io *io, const struct vhdx_region *region,
		      const struct vhdx_item *const *items, int n_items, uint8_t *window, int *n,
		      struct vhdx_params *params, struct vd_error *err)
{
	const struct vhdx_item *first = items[0];
	VD_AUTO_FREE uint8_t *large = NULL;
	uint32_t end = first->off + first->len;
	int rc;

	/* Only a parent locator may be that large; vhdx_items_decode has bounded it to 1 MiB. */
	if (first->len > WINDOW) {
		window = large = vd_malloc(first->len);
		if (!large)
			return vd_no_memory(err, first->len, "a metadata item");
	}
	for (*n = 1; *n < n_items && items[*n]; (*n)++) {
		uint32_t next_end = items[*n]->off + items[*n]->len;

		if (large || next_end - first->off > WINDOW)
			break;
		end = next_end;
	}
	rc = vd_io_read(io, window, end - first->off, region->off + first->off, err);
	for (int i = 0; !rc && i < *n; i++)
		rc = vhdx_item_decode(items[i],
				      vd_span(window + (items[i]->off - first->off), items[i]->len),
				      region, params, err);
	return rc;
}

/* What single items can't tell. */
static int check_params(const struct vhdx_regions *regions, const struct vhdx_params *params,
			struct vd_error *err)
{
	uint64_t at = regions->metadata.off;
	struct vhdx_geometry g;

	if (params->virtual_size % params->logical_sector_size)
		return vd_error_set(err, VD_ECORRUPT, 0, at,
				    "virtual disk size %" PRIu64
				    " isn't a multiple of the logical sector (%" PRIu32 ")",
				    params->virtual_size, params->logical_sector_size);
	if (params->has_parent && !params->parent)
		return vd_error_set(err, VD_ECORRUPT, 0, at,
				    "the image is differencing but has no parent locator");
	if (!params->has_parent && params->parent)
		return vd_error_set(err, VD_ECORRUPT, 0, at,
				    "the image has a parent locator but isn't differencing");
	vhdx_geometry_init(&g, params);
	if (g.n_entries > regions->bat.len / 8)
		return vd_error_set(err, VD_ECORRUPT, 0, regions->bat.off,
				    "BAT region of %" PRIu32 " bytes, but %" PRIu64
				    " entries of 8 bytes are needed",
				    regions->bat.len, g.n_entries);
	return 0;
}

/* Most tables have a few entries: their first page will do, the rest is read only where it counts.
 */
static int read_table(struct vd_io *io, const struct vhdx_region *region, uint8_t *window,
		      struct vd_error *err)
{
	const struct vhdx_disk_table *disk = (const void *)window;
	int rc = vd_io_read(io, window, VHDX_PAGE, region->off, err);

	if (rc)
		return rc;
	if (sizeof(*disk) + vd_get16(disk->n_entries) * sizeof(struct vhdx_disk_item) <=
	    VHDX_PAGE) {
		memset(window + VHDX_PAGE, 0, VHDX_TABLE_SIZE - VHDX_PAGE);
		return 0;
	}
	return vd_io_read(io, window + VHDX_PAGE, VHDX_TABLE_SIZE - VHDX_PAGE,
			  region->off + VHDX_PAGE, err);
}

static int read_params(struct vd_io *io, const struct vhdx_regions *regions, uint8_t *window,
		       struct vhdx_params *params, struct vd_error *err)
{
	const struct vhdx_item *wanted[N_WANTED];
	int rc = read_table(io, &regions->metadata, window, err);

	if (!rc)
		rc = vhdx_items_decode(vd_span(window, VHDX_TABLE_SIZE), &regions->metadata, params,
				       err);
	if (rc)
		return rc;
	for (int i = 0; i < N_WANTED; i++) {
		wanted[i] = find_item(params, *wanted_ids[i]);
		if ((!wanted[i] || !wanted[i]->len) && i != I_LOCATOR)
			return vd_error_set(err, VD_ECORRUPT, 0, regions->metadata.off,
					    "the metadata table has no item \"%s\"",
					    wanted_names[i]);
	}
	sort_items(wanted);
	for (int i = 0, n = 1; i < N_WANTED && wanted[i]; i += n) {
		rc = read_items(io, &regions->metadata, &wanted[i], N_WANTED - i, window, &n,
				params, err);
		if (rc)
			return rc;
	}
	return check_params(regions, params, err);
}

int vhdx_params_read(struct vd_io *io, const struct vhdx_regions *regions,
		     struct vhdx_params *params, struct vd_error *err)
{
	VD_AUTO_FREE uint8_t *window = vd_malloc(WINDOW);
	int rc;

	memset(params, 0, sizeof(*params));
	if (!window)
		return vd_no_memory(err, WINDOW, "the metadata table");
	rc = read_params(io, regions, window, params, err);
	if (rc)
		vhdx_params_free(params);
	return rc;
}

int vhdx_creator_read(struct vd_io *io, char *creator, size_t size, struct vd_error *err)
{
	struct vhdx_disk_ident ident;
	int rc = vd_io_read(io, &ident, sizeof(ident), 0, err);

	if (rc)
		return rc;
	if (memcmp(ident.signature, VHDX_IDENT_SIGNATURE, 8) != 0)
		return vd_error_set(err, VD_ECORRUPT, 0, 0,
				    "not a VHDX: the signature \"vhdxfile\" isn't at its start");
	/* Informational: of an ill-formed text, the part before the fault will do. */
	if (creator)
		vd_utf16_to_utf8(vd_span(ident.creator, sizeof(ident.creator)), true, creator,
				 size);
	return 0;
}
