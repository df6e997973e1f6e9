/* SPDX-License-Identifier: MIT */
/* What the file itself says, as facts: image.* and metadata.*. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <vdisk/image.h>
#include <vdisk/sys/io.h>

#include "base/guid.h"

static int add_number(struct vd_fact_set *set, const char *field, uint64_t n, struct vd_error *err)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, n);
	return vd_fact_set_add(set, field, text, 0, err);
}

static int add_id(struct vd_fact_set *set, const char *field, const uint8_t id[16],
		  struct vd_error *err)
{
	char text[VD_GUID_TEXT];
	struct vd_guid guid;

	memcpy(guid.b, id, sizeof(guid.b));
	if (vd_guid_is_nil(guid))
		return 0;
	vd_guid_format(guid, text);
	return vd_fact_set_add(set, field, text, 0, err);
}

static int add_text(struct vd_fact_set *set, const char *field, const char *text,
		    struct vd_error *err)
{
	/* A path needn't be UTF-8; nobody can ask for one that isn't. */
	int ret = *text ? vd_fact_set_add(set, field, text, 0, NULL) : 0;

	return ret == VD_EINVAL || !ret ? 0 : vd_error_set(err, ret, 0, VD_NO_OFFSET, "no memory");
}

static int add_parent(struct vd_disk *disk, struct vd_fact_set *set, struct vd_error *err)
{
	struct vd_parent_hint hint;
	const char *path;

	if (vd_disk_get_parent_hint(disk, &hint, NULL))
		return 0;
	path = *hint.relative_path ? hint.relative_path : hint.absolute_win32_path;
	return add_text(set, "image.parent", path, err);
}

static int add_file(struct vd_disk *disk, struct vd_fact_set *set, struct vd_error *err)
{
	struct vd_disk_info info = {.size = sizeof(info)};
	const char *path = vd_disk_path(disk), *name = strrchr(path, '/');
	struct vd_io *io = vd_disk_io(disk);
	uint64_t bytes;
	int ret;

	vd_disk_get_info(disk, &info);
	ret = add_text(set, "image.path", path, err);
	if (!ret)
		ret = add_text(set, "image.name", name ? name + 1 : path, err);
	if (!ret)
		ret = add_text(set, "image.format", info.format, err);
	if (!ret)
		ret = add_text(set, "image.type", vd_disk_type_name(info.type), err);
	if (!ret)
		ret = add_number(set, "image.virtual-size", info.virtual_size, err);
	if (!ret && info.block_size)
		ret = add_number(set, "image.block-size", info.block_size, err);
	if (!ret)
		ret = add_number(set, "image.sector-size", info.logical_sector_size, err);
	if (!ret)
		ret = add_id(set, "image.disk-id", info.disk_id, err);
	if (!ret)
		ret = add_id(set, "image.data-id", info.data_write_id, err);
	if (!ret)
		ret = vd_fact_set_add(set, "image.dirty-log", info.has_dirty_log ? "true" : "false",
				      0, err);
	if (!ret && info.has_parent)
		ret = add_parent(disk, set, err);
	if (!ret && !vd_io_length(io, &bytes, NULL))
		ret = add_number(set, "image.file-size", bytes, err);
	if (!ret && !vd_io_allocated(io, &bytes, NULL))
		ret = add_number(set, "image.allocated-size", bytes, err);
	return ret;
}

/* Documents and attachments: what the library writes for itself comes and goes. */
static uint64_t count_records(struct vd_meta *meta)
{
	const struct vd_record *record;
	uint64_t n = 0;

	for (size_t i = 0; (record = vd_meta_record(meta, i)); i++)
		n += record->type == VD_RECORD_DOCUMENT || record->type == VD_RECORD_ATTACHMENT;
	return n;
}

static int add_metadata(struct vd_meta *meta, struct vd_fact_set *set, struct vd_error *err)
{
	struct vd_meta_info info = {.size = sizeof(info)};
	const char *place;
	bool is_damaged;
	const struct vd_fact *facts;
	size_t n;
	int ret;

	/* Where no stored facts fit, damage shows when they are derived, not before. */
	(void)vd_meta_get_facts(meta, false, &facts, &n, NULL);
	vd_meta_get_info(meta, &info);
	place = !info.has_ours ? "none" : info.place == VD_META_ITEMS ? "items" : "sidecar";
	is_damaged = info.n_damaged || info.mismatch;
	ret = vd_fact_set_add(set, "metadata.place", place, 0, err);
	if (!ret)
		ret =
		    vd_fact_set_add(set, "metadata.damaged", is_damaged ? "true" : "false", 0, err);
	if (!ret)
		ret = add_number(set, "metadata.records", count_records(meta), err);
	return ret;
}

int vd_image_add_facts(struct vd_disk *disk, struct vd_meta *meta, struct vd_fact_set *set,
		       struct vd_error *err)
{
	int ret = add_file(disk, set, err);

	if (!ret && meta)
		ret = add_metadata(meta, set, err);
	return ret;
}

int vd_meta_bring_document(void *meta, const char *kind, char **bytes, size_t *len,
			   struct vd_error *err)
{
	return vd_meta_get_document(meta, kind, bytes, len, err);
}
