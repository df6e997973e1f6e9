/* SPDX-License-Identifier: MIT */
/* Check the metadata table and the items that the specification names (MS-VHDX 2.6). */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "format/vhdx/vhdx_check.h"
#include "format/vhdx/vhdx_ondisk.h"

#define HEADER "MS-VHDX 2.6.1.1"
#define ENTRY  "MS-VHDX 2.6.1.2"
#define KNOWN  "MS-VHDX 2.6.2"

/* What the specification says of each item that it names. */
static const struct known_item {
	const struct vd_guid *id;
	const char *name, *section;
	uint32_t len; /* 0: varies */
	uint32_t flags;
	bool is_optional;
} known_items[] = {
    {&vhdx_item_params, "file parameters", "MS-VHDX 2.6.2.1", 8, VHDX_ITEM_REQUIRED, false},
    {&vhdx_item_virtual_size, "virtual disk size", "MS-VHDX 2.6.2.2", 8,
     VHDX_ITEM_REQUIRED | VHDX_ITEM_VIRTUAL_DISK, false},
    {&vhdx_item_disk_id, "virtual disk ID", "MS-VHDX 2.6.2.3", 16,
     VHDX_ITEM_REQUIRED | VHDX_ITEM_VIRTUAL_DISK, false},
    {&vhdx_item_logical_sector, "logical sector size", "MS-VHDX 2.6.2.4", 4,
     VHDX_ITEM_REQUIRED | VHDX_ITEM_VIRTUAL_DISK, false},
    {&vhdx_item_physical_sector, "physical sector size", "MS-VHDX 2.6.2.5", 4,
     VHDX_ITEM_REQUIRED | VHDX_ITEM_VIRTUAL_DISK, false},
    {&vhdx_item_locator, "parent locator", "MS-VHDX 2.6.2.6", 0, VHDX_ITEM_REQUIRED, true},
};
#define N_KNOWN (sizeof(known_items) / sizeof(known_items[0]))

static const struct known_item *find_known(const struct vhdx_item *item)
{
	for (size_t i = 0; i < N_KNOWN && !(item->flags & VHDX_ITEM_USER); i++)
		if (vd_guid_is_equal(*known_items[i].id, item->id))
			return &known_items[i];
	return NULL;
}

static const char *item_name(const struct vhdx_item *item, char text[VD_GUID_TEXT])
{
	const struct known_item *known = find_known(item);

	if (known)
		return known->name;
	vd_guid_format(item->id, text);
	return text;
}

static void check_bounds(struct vhdx_checker *c, const struct vhdx_item *item, const char *name,
			 uint64_t at)
{
	uint32_t region_len = c->regions.metadata.len;

	if (item->len == 0) {
		if (item->off)
			vhdx_report(c, VD_FINDING_ERROR, "vhdx-item-empty", ENTRY, at + 16,
				    "offset 0 for an empty item",
				    "item %s has length 0 and offset %" PRIu32, name, item->off);
		return;
	}
	if (item->len > VHDX_MAX_ITEM)
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-item-length", ENTRY, at + 20,
			    "at most 1 MiB", "item %s has length %" PRIu32, name, item->len);
	if (item->off < VHDX_TABLE_SIZE)
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-item-offset", ENTRY, at + 16,
			    "at least 65,536", "item %s has offset %" PRIu32, name, item->off);
	if (!vd_is_within(item->off, item->len, region_len))
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-item-beyond-region", ENTRY, at + 16,
			    "an item within its region",
			    "item %s is [%" PRIu32 ", +%" PRIu32 ") in a region of %" PRIu32
			    " bytes",
			    name, item->off, item->len, region_len);
}

static void check_flags(struct vhdx_checker *c, const struct vhdx_item *item, uint64_t at)
{
	const uint32_t all = VHDX_ITEM_USER | VHDX_ITEM_VIRTUAL_DISK | VHDX_ITEM_REQUIRED;
	const struct known_item *known = find_known(item);
	bool is_required = item->flags & VHDX_ITEM_REQUIRED;
	char text[VD_GUID_TEXT];
	const char *name = item_name(item, text);

	if (item->flags & ~all)
		vhdx_report(c, VD_FINDING_WARNING, "vhdx-item-reserved", ENTRY, at + 24,
			    "reserved bits 0", "item %s has flags %08" PRIx32, name, item->flags);
	if (known && (item->flags & all) != known->flags)
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-item-flags", KNOWN, at + 24,
			    known->flags & VHDX_ITEM_VIRTUAL_DISK
				? "flags 6 (IsVirtualDisk, IsRequired)"
				: "flags 4 (IsRequired)",
			    "item %s has flags %08" PRIx32, name, item->flags);
	if (known)
		return;
	if (vd_guid_is_equal(item->id, vhdx_item_incomplete) && !(item->flags & VHDX_ITEM_USER))
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-item-incomplete", ENTRY, at,
			    "an image that was filled to its end",
			    "the image is marked as incomplete");
	else if (item->flags & VHDX_ITEM_USER && is_required)
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-item-user-required", ENTRY, at + 24,
			    "user items that aren't required", "user item %s is marked as required",
			    name);
	else if (is_required && !vd_guid_is_equal(item->id, vhdx_item_chs) &&
		 !vd_guid_is_equal(item->id, vhdx_item_pmem_label))
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-item-unknown", ENTRY, at,
			    "only required items that are known",
			    "unknown item %s is marked as required", name);
	else if (!(item->flags & VHDX_ITEM_USER))
		vhdx_report(c, VD_FINDING_NOTE, "vhdx-item-unknown", ENTRY, at,
			    "items of MS-VHDX 2.6.2", "item %s, carried along", name);
}

static void check_pairs(struct vhdx_checker *c, const struct vhdx_item *items, uint32_t index,
			uint64_t at)
{
	const struct vhdx_item *item = &items[index];
	bool is_twice = false, is_over = false;
	char text[VD_GUID_TEXT];

	/* One of each is enough to say. */
	for (uint32_t i = 0; i < index; i++) {
		if (!is_twice && vd_guid_is_equal(items[i].id, item->id) &&
		    !((items[i].flags ^ item->flags) & VHDX_ITEM_USER)) {
			is_twice = true;
			vhdx_report(c, VD_FINDING_ERROR, "vhdx-item-duplicate", ENTRY, at,
				    "each item once", "item %s is there again, as entry %" PRIu32,
				    item_name(item, text), index);
		}
		if (!is_over && vd_is_overlap(items[i].off, items[i].len, item->off, item->len)) {
			is_over = true;
			vhdx_report(c, VD_FINDING_ERROR, "vhdx-item-overlap", ENTRY, at + 16,
				    "space of its own",
				    "metadata table: entry %" PRIu32 " overlaps entry %" PRIu32,
				    index, i);
		}
	}
}

/* The first few bytes of a known item (all that it has, but for a parent locator). */
static int check_content(struct vhdx_checker *c, const struct vhdx_item *item,
			 const struct known_item *known, struct vd_error *err)
{
	uint64_t at = c->regions.metadata.off + item->off;
	uint32_t len = vd_min64(item->len, VHDX_MAX_ITEM) & UINT32_MAX;
	VD_AUTO_FREE uint8_t *bytes = NULL;
	struct vd_error why = VD_ERROR_INIT;
	int rc;

	if (known->len && item->len != known->len)
		vhdx_report(c, item->len < known->len ? VD_FINDING_ERROR : VD_FINDING_WARNING,
			    "vhdx-item-size", known->section, at, "the size of its structure",
			    "%s has %" PRIu32 " bytes, its structure %" PRIu32, known->name,
			    item->len, known->len);
	if (item->len < known->len || !vd_is_within(item->off, len, c->regions.metadata.len))
		return 0;
	bytes = vd_calloc(1, (size_t)len + 1);
	if (!bytes)
		return vd_no_memory(err, len, "a metadata item");
	rc = vd_io_read(c->view, bytes, len, at, err);
	if (rc)
		return rc;
	rc = vhdx_item_decode(item, vd_span(bytes, len), &c->regions.metadata, &c->params, &why);
	if (rc == VD_ENOMEM)
		return vd_error_set(err, rc, 0, VD_NO_OFFSET, "%s", why.text);
	if (rc && known->id == &vhdx_item_locator)
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-locator-value", "MS-VHDX 2.6.2.6",
			    why.offset, "a locator that names a VHDX", "%s", why.text);
	else if (rc)
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-item-value", known->section, why.offset,
			    "a value that the specification allows", "%s", why.text);
	if (known->id == &vhdx_item_params &&
	    vd_get32(((const struct vhdx_disk_params *)(const void *)bytes)->flags) &
		~(VHDX_PARAMS_LEAVE_BLOCKS | VHDX_PARAMS_HAS_PARENT))
		vhdx_report(c, VD_FINDING_WARNING, "vhdx-params-reserved", "MS-VHDX 2.6.2.1",
			    at + 4, "reserved bits 0",
			    "reserved bits of the file parameters are set");
	if (known->id == &vhdx_item_disk_id && vd_is_zero(bytes, 16))
		vhdx_report(c, VD_FINDING_NOTE, "vhdx-disk-id", "MS-VHDX 2.6.2.3", at,
			    "a GUID of its own", "the virtual disk ID is all zeros");
	if (known->id == &vhdx_item_locator)
		vhdx_check_locator(c, vd_span(bytes, len), at);
	return 0;
}

static int check_entries(struct vhdx_checker *c, const struct vhdx_disk_item *disk, uint32_t n,
			 struct vd_error *err)
{
	uint64_t at = c->regions.metadata.off + sizeof(struct vhdx_disk_table);
	VD_AUTO_FREE struct vhdx_item *items = vd_calloc(n + 1, sizeof(*items));
	bool has[N_KNOWN] = {false};
	uint32_t n_user = 0;

	if (!items)
		return vd_no_memory(err, n * sizeof(*items), "the metadata table");
	for (uint32_t i = 0; i < n; i++, at += sizeof(*disk)) {
		const struct known_item *known;
		char text[VD_GUID_TEXT];
		int rc;

		items[i] = (struct vhdx_item){vd_guid_from_disk(disk[i].id), vd_get32(disk[i].off),
					      vd_get32(disk[i].len), vd_get32(disk[i].flags)};
		check_bounds(c, &items[i], item_name(&items[i], text), at);
		check_flags(c, &items[i], at);
		check_pairs(c, items, i, at);
		if (vd_get32(disk[i].reserved))
			vhdx_report(c, VD_FINDING_WARNING, "vhdx-item-reserved", ENTRY, at + 28,
				    "0", "item %s has a reserved field that isn't 0",
				    item_name(&items[i], text));
		n_user += items[i].flags & VHDX_ITEM_USER;
		known = find_known(&items[i]);
		if (!known || has[known - known_items])
			continue;
		has[known - known_items] = true;
		rc = check_content(c, &items[i], known, err);
		if (rc)
			return rc;
	}
	for (size_t i = 0; i < N_KNOWN; i++)
		if (!has[i] && !known_items[i].is_optional)
			vhdx_report(c, VD_FINDING_ERROR, "vhdx-item-missing", KNOWN,
				    c->regions.metadata.off, "all required items", "no item \"%s\"",
				    known_items[i].name);
	if (n_user > VHDX_USER_ITEMS_MAX)
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-item-user-count", ENTRY,
			    c->regions.metadata.off + 10, "at most 1,024", "%" PRIu32 " user items",
			    n_user);
	return 0;
}

/* What holds between items and regions, for those that decoded well. */
static void check_together(struct vhdx_checker *c)
{
	const struct vhdx_params *p = &c->params;
	uint64_t at = c->regions.metadata.off;
	struct vhdx_geometry g;

	if (p->logical_sector_size && p->virtual_size % p->logical_sector_size)
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-size-multiple", "MS-VHDX 2.6.2.2", at,
			    "a multiple of the logical sector size",
			    "virtual disk size %" PRIu64 ", sectors of %" PRIu32, p->virtual_size,
			    p->logical_sector_size);
	if (p->has_parent && !p->parent)
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-locator-missing", "MS-VHDX 2.6.2.6", at,
			    "a parent locator", "a differencing image without parent locator");
	if (!p->has_parent && p->parent)
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-locator-extra", "MS-VHDX 2.6.2.6", at,
			    "HasParent set, or no locator",
			    "a parent locator in an image without parent");
	if (p->parent && p->parent->linkage[0] && !p->parent->relative_path[0] &&
	    !p->parent->volume_path[0] && !p->parent->absolute_win32_path[0])
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-locator-path", "MS-VHDX 2.6.2.6.3", at,
			    "relative_path, volume_path or absolute_win32_path",
			    "a parent locator that names no path");
	if (!vd_is_pow2(p->block_size) || p->block_size < VD_MIB || p->block_size > 256 * VD_MIB ||
	    (p->logical_sector_size != 512 && p->logical_sector_size != 4096) || !p->virtual_size ||
	    p->virtual_size > VHDX_MAX_SIZE)
		return;
	vhdx_geometry_init(&g, p);
	if (g.n_entries > c->regions.bat.len / 8)
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-bat-length", "MS-VHDX 2.5",
			    c->regions.bat.off, "room for all entries",
			    "BAT region of %" PRIu32 " bytes for %" PRIu64 " entries",
			    c->regions.bat.len, g.n_entries);
}

/* The parameters as a reader takes them. What keeps it from that must have been found above. */
static int read_params(struct vhdx_checker *c, uint64_t n_errors_before, struct vd_error *err)
{
	struct vd_error why = VD_ERROR_INIT;
	int rc;

	vhdx_params_free(&c->params);
	rc = vhdx_params_read(c->view, &c->regions, &c->params, &why);
	c->has_params = rc == 0;
	if (!rc)
		return 0;
	if (rc != VD_ECORRUPT && rc != VD_EUNSUPPORTED)
		return vd_error_set(err, rc, why.sys_errno, why.offset, "%s", why.text);
	if (c->n_errors == n_errors_before)
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-metadata", "MS-VHDX 2.6", why.offset,
			    "metadata that can be used", "%s", why.text);
	return 0;
}

int vhdx_check_metadata(struct vhdx_checker *c, struct vd_error *err)
{
	VD_AUTO_FREE uint8_t *bytes = vd_malloc(VHDX_TABLE_SIZE);
	const struct vhdx_disk_table *table = (const void *)bytes;
	uint64_t at = c->regions.metadata.off, n_errors_before = c->n_errors;
	int rc;

	if (!bytes)
		return vd_no_memory(err, VHDX_TABLE_SIZE, "the metadata table");
	rc = vd_io_read(c->view, bytes, VHDX_TABLE_SIZE, at, err);
	if (rc)
		return rc;
	if (memcmp(table->signature, VHDX_METADATA_SIGNATURE, 8) != 0) {
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-metadata-signature", HEADER, at,
			    "the signature \"metadata\"", "another signature");
		return 0;
	}
	if (vd_get16(table->n_entries) > VHDX_ITEMS_MAX) {
		vhdx_report(c, VD_FINDING_ERROR, "vhdx-metadata-count", HEADER, at + 10,
			    "at most 2,047", "metadata table with %u entries",
			    vd_get16(table->n_entries));
		return 0;
	}
	if (vd_get16(table->reserved) || !vd_is_zero(table->reserved2, sizeof(table->reserved2)))
		vhdx_report(c, VD_FINDING_WARNING, "vhdx-metadata-reserved", HEADER, at + 8,
			    "zeros", "reserved fields of the metadata table aren't 0");
	rc = check_entries(c, (const void *)(bytes + sizeof(*table)), vd_get16(table->n_entries),
			   err);
	if (rc)
		return rc;
	check_together(c);
	return read_params(c, n_errors_before, err);
}
