/* SPDX-License-Identifier: MIT */
/*
 * A new image: [identifier, headers, region tables] [log] [metadata] [BAT] [blocks], each part at
 * a multiple of 1 MiB. Only what isn't zero is written. The identifier comes last, after a sync:
 * a file that a crash left half made isn't taken for a VHDX.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/utf16.h"
#include "format/vhdx/vhdx_layout.h"
#include "format/vhdx/vhdx_ondisk.h"

#define METADATA_LEN (2u << 20)
#define DEFAULT_LOG  (8u << 20)
#define BAT_CHUNK    VD_MIB

/* Where the items stand in their region. The page of the size holds all that is small. */
#define OFF_PARAMS   65536u
#define OFF_SIZE     (OFF_PARAMS + 8)
#define OFF_DISK_ID  (OFF_PARAMS + 16)
#define OFF_LOGICAL  (OFF_PARAMS + 32)
#define OFF_PHYSICAL (OFF_PARAMS + 36)
#define OFF_LOCATOR  (OFF_PARAMS + VHDX_PAGE)
#define LOCATOR_ROOM 16384u
#define OFF_ITEMS    (OFF_LOCATOR + LOCATOR_ROOM)
#define ITEM_PIECE   (256u << 10)

/* The image to be. */
struct plan {
	struct vhdx_params params;
	struct vhdx_geometry geometry;
	struct vhdx_regions regions;
	struct vhdx_header header;
	struct vd_parent_hint hint;
	const struct vd_item_change *items; /* of the parent, for the metadata region */
	size_t n_items;
	uint64_t blocks_off; /* first block */
	uint64_t len;        /* of the file */
	bool is_fixed;
};

static int check_number(uint64_t value, uint64_t least, uint64_t most, uint64_t multiple,
			const char *what, struct vd_error *err)
{
	if (value >= least && value <= most && value % multiple == 0)
		return 0;
	return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
			    "%s %" PRIu64 ", expected a multiple of %" PRIu64 " from %" PRIu64
			    " to %" PRIu64,
			    what, value, multiple, least, most);
}

static int check_sector(uint32_t size, const char *which, struct vd_error *err)
{
	if (size == 512 || size == 4096)
		return 0;
	return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
			    "%s sector size %" PRIu32 ", expected 512 or 4096", which, size);
}

static int plan_params(struct plan *plan, const struct vd_create_opts *opts,
		       const struct vd_format_parent *parent, struct vd_error *err)
{
	struct vhdx_params *params = &plan->params;
	int rc;

	params->has_parent = parent != NULL;
	params->leave_allocated = plan->is_fixed;
	params->virtual_size = opts->virtual_size;
	if (!params->virtual_size && parent)
		params->virtual_size = parent->virtual_size;
	params->block_size = opts->block_size ? opts->block_size : 2u << 20;
	params->logical_sector_size = opts->logical_sector_size;
	if (!params->logical_sector_size)
		params->logical_sector_size = parent ? parent->logical_sector_size : 512;
	params->physical_sector_size = opts->physical_sector_size;
	if (!params->physical_sector_size)
		params->physical_sector_size = parent ? parent->physical_sector_size : 4096;

	rc = check_sector(params->logical_sector_size, "logical", err);
	if (!rc)
		rc = check_sector(params->physical_sector_size, "physical", err);
	if (!rc && parent && parent->logical_sector_size != params->logical_sector_size)
		rc = vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				  "logical sector size %" PRIu32 ", but the parent has %" PRIu32
				  ": they must be the same",
				  params->logical_sector_size, parent->logical_sector_size);
	if (!rc)
		rc = check_number(params->virtual_size, params->logical_sector_size, VHDX_MAX_SIZE,
				  params->logical_sector_size, "virtual disk size", err);
	if (!rc && (!vd_is_pow2(params->block_size) || params->block_size < VD_MIB ||
		    params->block_size > 256 * VD_MIB))
		rc = vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				  "block size %" PRIu32
				  ", expected a power of two from 1 MiB to 256 MiB",
				  params->block_size);
	return rc;
}

/* A path with '/' as Windows writes it. False: a VHDX can't name it. */
static bool put_path(char *out, size_t size, const char *prefix, const char *path)
{
	uint8_t utf16[2 * sizeof(((struct vd_parent_hint *)NULL)->relative_path)];
	size_t len;
	int n = snprintf(out, size, "%s%s", prefix, path);

	if (n < 0 || (size_t)n >= size || strchr(path, '\\') ||
	    !vd_utf8_to_utf16(out, utf16, sizeof(utf16), &len)) {
		out[0] = '\0';
		return false;
	}
	for (char *c = out; *c; c++)
		if (*c == '/')
			*c = '\\';
	return true;
}

/* The relative path is tried first by everybody, and survives that both images move together. The
 * absolute one is for libvhdi, which knows no other and looks for its last part beside the child:
 * "\\?\srv\base.vhdx" has the form that MS-VHDX 2.6.2.6.3 asks for, but names no drive. */
static int plan_parent(struct plan *plan, const struct vd_format_parent *parent,
		       struct vd_error *err)
{
	struct vd_parent_hint *hint = &plan->hint;
	const char *relative = parent->relative_path ? parent->relative_path : "";
	const char *absolute = parent->absolute_path ? parent->absolute_path : "";
	bool is_dotted = strncmp(relative, "./", 2) == 0 || strncmp(relative, "../", 3) == 0;
	struct vd_guid linkage;

	memcpy(linkage.b, parent->data_write_id, sizeof(linkage.b));
	hint->linkage[0] = '{';
	vd_guid_format(linkage, hint->linkage + 1);
	memcpy(hint->linkage + VD_GUID_TEXT, "}", 2);
	if (*relative && !put_path(hint->relative_path, sizeof(hint->relative_path),
				   is_dotted ? "" : "./", relative))
		return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
				    "a VHDX can't name its parent \"%s\": the path must be UTF-8 "
				    "without a backslash and shorter than %zu bytes",
				    relative, sizeof(hint->relative_path) - 2);
	if (*absolute)
		put_path(hint->absolute_win32_path, sizeof(hint->absolute_win32_path), "//?",
			 absolute);
	if (!hint->relative_path[0] && !hint->absolute_win32_path[0])
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "a differencing image needs the path of its parent");
	return 0;
}

/* Equal options make equal files: with a given disk ID the other GUIDs follow from it. */
static void plan_ids(struct plan *plan, const struct vd_create_opts *opts,
		     const struct vd_format_parent *parent)
{
	char name[64];

	if (!opts->disk_id) {
		if (parent)
			memcpy(plan->params.disk_id.b, parent->disk_id, 16);
		if (vd_guid_is_nil(plan->params.disk_id))
			plan->params.disk_id = vd_guid_random();
		plan->header.file_write_id = vd_guid_random();
		plan->header.data_write_id = vd_guid_random();
		return;
	}
	memcpy(plan->params.disk_id.b, opts->disk_id, 16);
	/* A child may have the disk ID of its parent; the linkage tells their GUIDs apart. */
	snprintf(name, sizeof(name), "file-write %s", plan->hint.linkage);
	plan->header.file_write_id = vd_guid_derive(plan->params.disk_id, name);
	snprintf(name, sizeof(name), "data-write %s", plan->hint.linkage);
	plan->header.data_write_id = vd_guid_derive(plan->params.disk_id, name);
}

/* Whole pages for each, so that one can change without touching another; at most 1,024 of 1 MiB. */
static uint64_t items_room(const struct plan *plan)
{
	uint64_t room = 0;

	for (size_t i = 0; i < plan->n_items; i++)
		room += vd_align_up(plan->items[i].length, VHDX_PAGE);
	return room;
}

/* Changes need room for old and new content beside each other. */
static uint32_t metadata_len(const struct plan *plan)
{
	uint64_t room = vd_align_up(OFF_ITEMS + 2 * items_room(plan), VD_MIB);

	return (uint32_t)vd_max64(METADATA_LEN, room);
}

static int plan_layout(struct plan *plan, const struct vd_create_opts *opts, struct vd_error *err)
{
	uint32_t log_len = opts->log_size ? opts->log_size : DEFAULT_LOG;
	int rc = check_number(log_len, VD_MIB, VHDX_MAX_LOG, VD_MIB, "log size", err);

	if (rc)
		return rc;
	plan->header.seq = 1;
	plan->header.version = 1;
	plan->header.log_len = log_len;
	plan->header.log_off = VHDX_HEAD_END;
	plan->regions.metadata.id = vhdx_region_metadata;
	plan->regions.metadata.off = plan->header.log_off + log_len;
	plan->regions.metadata.len = metadata_len(plan);
	plan->regions.bat.id = vhdx_region_bat;
	plan->regions.bat.off = plan->regions.metadata.off + plan->regions.metadata.len;
	plan->regions.bat.len = (uint32_t)vd_align_up(plan->geometry.n_entries * 8, VD_MIB);
	plan->blocks_off = plan->regions.bat.off + plan->regions.bat.len;
	plan->len = plan->blocks_off;
	if (plan->is_fixed)
		plan->len += plan->geometry.n_blocks << plan->geometry.block_bits;
	return 0;
}

static int make_plan(struct plan *plan, const struct vd_create_opts *opts,
		     const struct vd_format_parent *parent, struct vd_error *err)
{
	int rc;

	if ((opts->type == VD_TYPE_DIFFERENCING) != (parent != NULL) &&
	    opts->type != VD_TYPE_UNKNOWN)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    parent ? "only a differencing image has a parent"
					   : "a differencing image needs a parent");
	plan->is_fixed = opts->type == VD_TYPE_FIXED;
	rc = plan_params(plan, opts, parent, err);
	if (!rc && parent)
		rc = plan_parent(plan, parent, err);
	if (rc)
		return rc;
	vhdx_geometry_init(&plan->geometry, &plan->params);
	plan_ids(plan, opts, parent);
	return plan_layout(plan, opts, err);
}

static void put_item(uint8_t *region, struct vd_guid id, uint32_t off, uint32_t len, uint32_t flags)
{
	struct vhdx_disk_table *table = (void *)region;
	struct vhdx_disk_item *items = (void *)(region + sizeof(*table));
	uint16_t n = vd_get16(table->n_entries);

	vd_guid_to_disk(id, items[n].id);
	items[n].off = vd_put32(off);
	items[n].len = vd_put32(len);
	items[n].flags = vd_put32(flags);
	table->n_entries = vd_put16((uint16_t)(n + 1));
}

static int write_item(const struct plan *plan, const struct vd_item_change *item, uint32_t off,
		      uint8_t *piece, struct vd_io *io, struct vd_error *err)
{
	for (uint32_t at = 0, n; at < item->length; at += n) {
		int rc;

		n = (uint32_t)vd_min64(item->length - at, ITEM_PIECE);
		rc = item->fill(item->user, piece, n, at, err);
		if (!rc)
			rc = vd_io_write(io, piece, n, plan->regions.metadata.off + off + at, err);
		if (rc)
			return rc;
	}
	return 0;
}

/* What the child takes over: content, and entries of the table in `region`. */
static int write_items(const struct plan *plan, uint8_t *region, struct vd_io *io,
		       struct vd_error *err)
{
	VD_AUTO_FREE uint8_t *piece = plan->n_items ? vd_malloc(ITEM_PIECE) : NULL;
	uint32_t off = OFF_ITEMS;

	if (plan->n_items && !piece)
		return vd_no_memory(err, ITEM_PIECE, "the parent's metadata items");
	for (size_t i = 0; i < plan->n_items; i++) {
		const struct vd_item_change *item = &plan->items[i];
		struct vd_guid id;
		int rc = write_item(plan, item, off, piece, io, err);

		if (rc)
			return rc;
		memcpy(id.b, item->id, sizeof(id.b));
		put_item(region, id, item->length ? off : 0, item->length, item->flags);
		off += (uint32_t)vd_align_up(item->length, VHDX_PAGE);
	}
	return 0;
}

static int write_metadata(const struct plan *plan, struct vd_io *io, struct vd_error *err)
{
	const uint32_t of_disk = VHDX_ITEM_VIRTUAL_DISK | VHDX_ITEM_REQUIRED;
	const struct vhdx_params *params = &plan->params;
	size_t len = OFF_PARAMS + VHDX_PAGE + (params->has_parent ? LOCATOR_ROOM : 0), locator_len;
	VD_AUTO_FREE uint8_t *bytes = vd_calloc(1, len);
	struct vhdx_disk_params file_params;
	int rc;

	if (!bytes)
		return vd_no_memory(err, len, "the metadata region");
	memcpy(bytes, VHDX_METADATA_SIGNATURE, 8);
	put_item(bytes, vhdx_item_params, OFF_PARAMS, 8, VHDX_ITEM_REQUIRED);
	put_item(bytes, vhdx_item_virtual_size, OFF_SIZE, 8, of_disk);
	put_item(bytes, vhdx_item_disk_id, OFF_DISK_ID, 16, of_disk);
	put_item(bytes, vhdx_item_logical_sector, OFF_LOGICAL, 4, of_disk);
	put_item(bytes, vhdx_item_physical_sector, OFF_PHYSICAL, 4, of_disk);
	file_params.block_size = vd_put32(params->block_size);
	file_params.flags = vd_put32((params->leave_allocated ? VHDX_PARAMS_LEAVE_BLOCKS : 0) |
				     (params->has_parent ? VHDX_PARAMS_HAS_PARENT : 0));
	memcpy(bytes + OFF_PARAMS, &file_params, sizeof(file_params));
	*(struct vd_le64 *)(bytes + OFF_SIZE) = vd_put64(params->virtual_size);
	vd_guid_to_disk(params->disk_id, bytes + OFF_DISK_ID);
	*(struct vd_le32 *)(bytes + OFF_LOGICAL) = vd_put32(params->logical_sector_size);
	*(struct vd_le32 *)(bytes + OFF_PHYSICAL) = vd_put32(params->physical_sector_size);
	if (params->has_parent) {
		if (!vhdx_locator_encode(&plan->hint, bytes + OFF_LOCATOR, LOCATOR_ROOM,
					 &locator_len))
			return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
					    "the parent locator takes more than %u bytes",
					    LOCATOR_ROOM);
		put_item(bytes, vhdx_item_locator, OFF_LOCATOR, (uint32_t)locator_len,
			 VHDX_ITEM_REQUIRED);
	}
	rc = write_items(plan, bytes, io, err);
	return rc ? rc : vd_io_write(io, bytes, len, plan->regions.metadata.off, err);
}

/* The BAT of a fixed image: all blocks in their order. That of others is zeros. */
static int write_bat(const struct plan *plan, struct vd_io *io, struct vd_error *err)
{
	const struct vhdx_geometry *g = &plan->geometry;
	uint64_t n_chunk = vd_min64(BAT_CHUNK / 8, g->n_entries);
	VD_AUTO_FREE struct vd_le64 *chunk = vd_calloc(n_chunk, sizeof(*chunk));
	uint64_t off = plan->blocks_off, in_chunk = 0;

	if (!chunk)
		return vd_no_memory(err, n_chunk * 8, "the BAT");
	for (uint64_t i = 0, n; i < g->n_entries; i += n) {
		int rc;

		n = vd_min64(n_chunk, g->n_entries - i);
		for (uint64_t k = 0; k < n; k++) {
			/* Each R payload entries are followed by one for their sector bitmap. */
			if (in_chunk++ == (uint64_t)1 << g->ratio_bits) {
				in_chunk = 0;
				chunk[k] = vd_put64(VHDX_NOT_PRESENT);
				continue;
			}
			chunk[k] = vd_put64(off | VHDX_PRESENT);
			off += plan->params.block_size;
		}
		rc = vd_io_write(io, chunk, n * 8, plan->regions.bat.off + i * 8, err);
		if (rc)
			return rc;
	}
	return 0;
}

static int write_heads(const struct plan *plan, struct vd_io *io, struct vd_error *err)
{
	VD_AUTO_FREE uint8_t *bytes = vd_malloc(VHDX_REGIONS_SIZE);
	struct vhdx_header header = plan->header;
	int rc = 0;

	if (!bytes)
		return vd_no_memory(err, VHDX_REGIONS_SIZE, "the region table");
	vhdx_regions_encode(&plan->regions, bytes);
	for (int copy = 0; !rc && copy < 2; copy++)
		rc = vd_io_write(io, bytes, VHDX_REGIONS_SIZE, VHDX_REGIONS_OFF(copy), err);
	for (int slot = 0; !rc && slot < 2; slot++, header.seq++) {
		vhdx_header_encode(&header, bytes);
		rc = vd_io_write(io, bytes, VHDX_HEADER_SIZE, VHDX_HEADER_OFF(slot), err);
	}
	return rc;
}

static int write_ident(struct vd_io *io, struct vd_error *err)
{
	struct vhdx_disk_ident ident = {0};
	char creator[64];
	size_t len;

	memcpy(ident.signature, VHDX_IDENT_SIGNATURE, sizeof(ident.signature));
	snprintf(creator, sizeof(creator), "libvdisk %s", vd_version());
	vd_utf8_to_utf16(creator, ident.creator, sizeof(ident.creator), &len);
	return vd_io_write(io, &ident, sizeof(ident), 0, err);
}

int vhdx_create(struct vd_io *io, const struct vd_create_opts *opts,
		const struct vd_format_parent *parent, struct vd_error *err)
{
	struct plan plan = {.items = parent ? parent->items : NULL,
			    .n_items = parent ? parent->n_items : 0};
	int rc = make_plan(&plan, opts, parent, err);

	if (!rc)
		rc = vd_io_truncate(io, plan.len, err);
	if (!rc && plan.is_fixed)
		rc = vd_io_allocate(io, plan.blocks_off, plan.len - plan.blocks_off, err);
	if (!rc && plan.is_fixed)
		rc = write_bat(&plan, io, err);
	if (!rc)
		rc = write_metadata(&plan, io, err);
	if (!rc)
		rc = write_heads(&plan, io, err);
	if (!rc)
		rc = vd_io_sync(io, err);
	if (!rc)
		rc = write_ident(io, err);
	if (!rc)
		rc = vd_io_sync(io, err);
	return rc;
}
