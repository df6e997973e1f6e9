/* SPDX-License-Identifier: MIT */
/* See layout_document.h. */
#include "layout_document.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"

#define VERSION    1
#define UUID_CHARS 36u

static const char *const known[] = {"vdisk_layout", "disk_id",      "data_write_id", "generation",
				    "sector_size",  "virtual_size", "extents"};

static int wrong(struct vd_error *err, const char *what)
{
	return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "layout: %s", what);
}

/* Before anything is built: one byte of text may cost a hundred of memory. An extent is an object
 * with one comma inside and one behind it. */
static bool has_too_many_items(const char *bytes, size_t len)
{
	size_t n = 0;
	bool is_in_text = false;

	for (size_t i = 0; i < len; i++) {
		if (bytes[i] == '\\' && is_in_text)
			i++;
		else if (bytes[i] == '"')
			is_in_text = !is_in_text;
		else if (!is_in_text && (bytes[i] == ',' || bytes[i] == '[' || bytes[i] == '{') &&
			 ++n > 3 * LAYOUT_EXTENTS_MAX + 64)
			return true;
	}
	return false;
}

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool read_uuid(const json_t *object, const char *key, uint8_t id[16])
{
	const char *text = control_text(object, key);
	size_t n = 0;

	if (!text || strlen(text) != UUID_CHARS)
		return false;
	for (size_t i = 0; i < UUID_CHARS; i++) {
		int high, low;

		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (text[i] != '-')
				return false;
			continue;
		}
		high = digit_of(text[i]);
		low = digit_of(text[++i]);
		if (high < 0 || low < 0)
			return false;
		id[n++] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static bool read_number(const json_t *object, const char *key, uint64_t *number)
{
	const json_t *value = json_object_get(object, key);
	json_int_t n = json_integer_value(value);

	*number = n < 0 ? 0 : (uint64_t)n;
	return json_is_integer(value) && n >= 0;
}

static int refuse_unknown(json_t *object, const char *const *names, size_t n, struct vd_error *err)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		size_t i = 0;

		while (i < n && strcmp(names[i], key) != 0)
			i++;
		if (i == n)
			return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
					    "layout: \"%.40s\" isn't known here, and what isn't "
					    "understood can't be acted upon",
					    key);
	}
	return 0;
}

static int read_head(struct layout_document *doc, json_t *object, struct vd_error *err)
{
	uint64_t version;
	int rc;

	if (!json_is_object(object) || !read_number(object, known[0], &version))
		return wrong(err, "it isn't a JSON object with a number \"vdisk_layout\"");
	if (version != VERSION)
		return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
				    "layout: version %llu isn't known here, only %d",
				    (unsigned long long)version, VERSION);
	rc = refuse_unknown(object, known, sizeof(known) / sizeof(known[0]), err);
	if (rc)
		return rc;
	if (!read_uuid(object, "disk_id", doc->disk_id) ||
	    !read_uuid(object, "data_write_id", doc->data_write_id) ||
	    !read_uuid(object, "generation", doc->generation))
		return wrong(err,
			     "\"disk_id\", \"data_write_id\" and \"generation\" must be UUIDs");
	if (!read_number(object, "sector_size", &doc->sector_size) ||
	    !read_number(object, "virtual_size", &doc->virtual_size) ||
	    (doc->sector_size != 512 && doc->sector_size != 4096))
		return wrong(err, "\"sector_size\" (512 or 4096) and \"virtual_size\" (bytes) must "
				  "be numbers");
	return 0;
}

static int wrong_extent(struct vd_error *err, size_t i, const char *what)
{
	return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "layout: extent %zu %s", i + 1, what);
}

static int read_extent(struct layout_document *doc, json_t *value, struct vd_error *err)
{
	static const char *const members[] = {"start", "length"};
	uint64_t start, length, n_sectors = doc->virtual_size / doc->sector_size;
	size_t i = doc->n_extents;
	const struct vd_compact_extent *last = i ? &doc->extents[i - 1] : NULL;
	int rc;

	if (!json_is_object(value) || !read_number(value, "start", &start) ||
	    !read_number(value, "length", &length))
		return wrong_extent(err, i, "has no numbers \"start\" and \"length\" (sectors)");
	rc = refuse_unknown(value, members, 2, err);
	if (rc)
		return rc;
	if (!length)
		return wrong_extent(err, i, "is empty");
	if (start > n_sectors || length > n_sectors - start)
		return wrong_extent(err, i, "ends behind the end of the disk");
	if (last && start * doc->sector_size < last->start + last->length)
		return wrong_extent(err, i, "begins before the one before it ends");
	doc->extents[doc->n_extents++] =
	    (struct vd_compact_extent){start * doc->sector_size, length * doc->sector_size};
	return 0;
}

static int read_extents(struct layout_document *doc, json_t *list, struct vd_error *err)
{
	size_t n = json_array_size(list), i;
	json_t *value;
	int rc = 0;

	if (!json_is_array(list) || !n)
		return wrong(err, "there are no \"extents\": nothing of the disk would be left");
	if (n > LAYOUT_EXTENTS_MAX)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "layout: more than %u extents; leave out small gaps between "
				    "them",
				    LAYOUT_EXTENTS_MAX);
	doc->extents = calloc(n, sizeof(*doc->extents));
	if (!doc->extents)
		return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
	json_array_foreach(list, i, value)
	{
		rc = read_extent(doc, value, err);
		if (rc)
			break;
	}
	return rc;
}

int layout_document_parse(struct layout_document *doc, const char *bytes, size_t len,
			  struct vd_error *err)
{
	json_error_t why;
	json_t *object;
	int rc;

	*doc = (struct layout_document){0};
	if (len > LAYOUT_DOCUMENT_MAX || has_too_many_items(bytes, len))
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "layout: more than %u MiB or %u extents; leave out small gaps "
				    "between them",
				    LAYOUT_DOCUMENT_MAX >> 20, LAYOUT_EXTENTS_MAX);
	object = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, &why);
	if (!object)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "layout: it isn't JSON: %s at byte %d", why.text, why.position);
	rc = read_head(doc, object, err);
	if (!rc)
		rc = read_extents(doc, json_object_get(object, "extents"), err);
	json_decref(object);
	if (rc)
		layout_document_free(doc);
	return rc;
}

void layout_document_free(struct layout_document *doc)
{
	free(doc->extents);
	*doc = (struct layout_document){0};
}

int layout_document_is_of(const struct layout_document *doc, const struct vd_disk_info *info,
			  struct vd_error *err)
{
	if (memcmp(doc->disk_id, info->disk_id, 16) != 0)
		return wrong(err, "it is of another disk: \"disk_id\" differs");
	if (doc->virtual_size != info->virtual_size ||
	    doc->sector_size != info->logical_sector_size)
		return wrong(err, "it is of a disk of another size, or with other sectors");
	return 0;
}

void layout_document_at_rest(const struct vd_disk_info *info, uint8_t generation[16])
{
	/* The bits that make a UUID a random one stay. */
	static const uint8_t mask[16] = {0x6c, 0x61, 0x79, 0x6f, 0x75, 0x74, 0x00, 0x61,
					 0x00, 0x74, 0x20, 0x72, 0x65, 0x73, 0x74, 0x21};

	for (size_t i = 0; i < sizeof(mask); i++)
		generation[i] = info->file_write_id[i] ^ mask[i];
}

int layout_document_is_present(const struct layout_document *doc, const struct vd_disk_info *info,
			       struct vd_error *err)
{
	uint8_t generation[16];

	layout_document_at_rest(info, generation);
	if (memcmp(doc->generation, info->file_write_id, 16) == 0)
		return wrong(err,
			     "its \"generation\" is the FileWriteGuid, by which it can't be told "
			     "whether somebody went on writing; take that which `vdtool ctl "
			     "IMAGE generation` gives");
	if (memcmp(doc->data_write_id, info->data_write_id, 16) != 0 ||
	    memcmp(doc->generation, generation, 16) != 0 || info->has_dirty_log)
		return vd_error_set(err, VD_EBUSY, 0, VD_NO_OFFSET,
				    "layout: the image was written since it was made, so that it "
				    "isn't known what is in use now");
	return 0;
}

static void put_uuid(json_t *object, const char *key, const uint8_t id[16])
{
	char text[UUID_CHARS + 1], *p = text;

	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		p += snprintf(p, 3, "%02x", id[i]);
	}
	control_set_text(object, key, text);
}

void layout_document_head(json_t *object, const struct vd_disk_info *info,
			  const uint8_t generation[16])
{
	control_set_number(object, "vdisk_layout", VERSION);
	put_uuid(object, "disk_id", info->disk_id);
	put_uuid(object, "data_write_id", info->data_write_id);
	put_uuid(object, "generation", generation);
	control_set_number(object, "sector_size", info->logical_sector_size);
	control_set_number(object, "virtual_size", info->virtual_size);
}
