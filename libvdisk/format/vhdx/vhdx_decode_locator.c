/* SPDX-License-Identifier: MIT */
/*
 * The parent locator (MS-VHDX 2.6.2.6): keys and values that say which image the parent is and
 * where it was. What they say is the attacker's: nothing here is opened or believed, only bounded.
 */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/message.h"
#include "base/sabotage.h"
#include "base/utf16.h"
#include "format/vhdx/vhdx_layout.h"
#include "format/vhdx/vhdx_ondisk.h"

/* A bound of ours: the specification names five keys. Keeps comparing all pairs cheap. */
#define PAIRS_MAX 128u

/* UTF-16 text of a pair, bounds checked, without U+0000. */
static int take_text(struct vd_span item, uint64_t at, uint32_t index, const char *what,
		     uint32_t off, uint16_t len, struct vd_span *text, struct vd_error *err)
{
	if (VD_SABOTAGED(DECODE_KEY_BOUND))
		item.len = SIZE_MAX;
	if (len == 0 || len % 2 || off < sizeof(struct vhdx_disk_locator) ||
	    !vd_span_sub(item, off, len, text))
		return vd_error_set(err, VD_ECORRUPT, 0, at,
				    "parent locator: %s of pair %" PRIu32 " ([%" PRIu32
				    ", +%u)) isn't a text within its %zu bytes",
				    what, index, off, len, item.len);
	for (size_t i = 0; i < text->len; i += 2)
		if (!text->p[i] && !text->p[i + 1])
			return vd_error_set(err, VD_ECORRUPT, 0, at + off,
					    "parent locator: %s of pair %" PRIu32
					    " holds a NUL character",
					    what, index);
	return 0;
}

static bool is_key(struct vd_span key, const char *name)
{
	if (key.len != 2 * strlen(name))
		return false;
	for (size_t i = 0; i < key.len; i++)
		if (key.p[i] != (i % 2 ? 0 : (uint8_t)name[i / 2]))
			return false;
	return true;
}

/* A value as UTF-8 into `out`. One that is too long counts as absent: half a path is worse. */
static int take_value(struct vd_span value, uint64_t at, const char *name, char *out, size_t size,
		      struct vd_error *err)
{
	size_t room = value.len / 2 * 3 + 1;
	VD_AUTO_FREE char *utf8 = vd_malloc(room);

	if (!utf8)
		return vd_no_memory(err, room, "the parent locator");
	if (!vd_utf16_to_utf8(value, false, utf8, room))
		return vd_error_set(err, VD_ECORRUPT, 0, at,
				    "parent locator: %s isn't valid UTF-16", name);
	if (strlen(utf8) < size)
		memcpy(out, utf8, strlen(utf8) + 1);
	else
		vd_message(VD_MESSAGE_WARNING,
			   "parent locator: %s has %zu bytes and is ignored, at most %zu are "
			   "supported",
			   name, strlen(utf8), size - 1);
	return 0;
}

static int take_pair(struct vd_span key, struct vd_span value, uint64_t at,
		     struct vd_parent_hint *hint, struct vd_error *err)
{
	const struct {
		const char *name;
		char *out;
		size_t size;
	} known[] = {
	    {"parent_linkage", hint->linkage, sizeof(hint->linkage)},
	    {"parent_linkage2", hint->linkage2, sizeof(hint->linkage2)},
	    {"relative_path", hint->relative_path, sizeof(hint->relative_path)},
	    {"volume_path", hint->volume_path, sizeof(hint->volume_path)},
	    {"absolute_win32_path", hint->absolute_win32_path, sizeof(hint->absolute_win32_path)},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (is_key(key, known[i].name))
			return take_value(value, at, known[i].name, known[i].out, known[i].size,
					  err);
	return 0;
}

static int decode_pairs(struct vd_span item, uint64_t at, const struct vhdx_disk_pair *pairs,
			uint32_t n, struct vd_parent_hint *hint, struct vd_error *err)
{
	struct vd_span keys[PAIRS_MAX], value;

	for (uint32_t i = 0; i < n; i++) {
		int rc = take_text(item, at, i, "key", vd_get32(pairs[i].key_off),
				   vd_get16(pairs[i].key_len), &keys[i], err);

		if (!rc)
			rc = take_text(item, at, i, "value", vd_get32(pairs[i].value_off),
				       vd_get16(pairs[i].value_len), &value, err);
		if (rc)
			return rc;
		for (uint32_t j = 0; j < i; j++)
			if (keys[j].len == keys[i].len &&
			    memcmp(keys[j].p, keys[i].p, keys[i].len) == 0 &&
			    !VD_SABOTAGED(DECODE_KEY_TWICE))
				return vd_error_set(err, VD_ECORRUPT, 0, at,
						    "parent locator: pairs %" PRIu32 " and %" PRIu32
						    " have the same key",
						    j, i);
		rc = take_pair(keys[i], value, at + vd_get32(pairs[i].value_off), hint, err);
		if (rc)
			return rc;
	}
	return 0;
}

int vhdx_locator_decode(struct vd_span content, uint64_t at, struct vd_parent_hint *hint,
			struct vd_error *err)
{
	const struct vhdx_disk_locator *disk = (const void *)content.p;
	struct vd_guid type, linkage;
	uint32_t n;
	int rc;

	memset(hint, 0, sizeof(*hint));
	if (content.len < sizeof(*disk))
		return vd_error_set(err, VD_ECORRUPT, 0, at,
				    "parent locator: %zu bytes, its header alone takes 20",
				    content.len);
	type = vd_guid_from_disk(disk->type);
	if (!vd_guid_is_equal(type, vhdx_locator_type)) {
		char id[VD_GUID_TEXT];

		vd_guid_format(type, id);
		return vd_error_set(err, VD_EUNSUPPORTED, 0, at,
				    "parent locator of type %s; only a VHDX as parent is known",
				    id);
	}
	n = vd_get16(disk->n_pairs);
	if (n > PAIRS_MAX)
		return vd_error_set(err, VD_EUNSUPPORTED, 0, at + 18,
				    "parent locator: %" PRIu32
				    " keys and values, at most %u are supported",
				    n, PAIRS_MAX);
	if (sizeof(*disk) + n * sizeof(struct vhdx_disk_pair) > content.len)
		return vd_error_set(err, VD_ECORRUPT, 0, at + 18,
				    "parent locator: %" PRIu32
				    " keys and values don't fit into its %zu bytes",
				    n, content.len);
	rc = decode_pairs(content, at, (const void *)(content.p + sizeof(*disk)), n, hint, err);
	if (rc)
		return rc;
	if (!hint->linkage[0])
		return vd_error_set(err, VD_ECORRUPT, 0, at,
				    "parent locator: the key parent_linkage is missing");
	if (!vd_guid_parse(hint->linkage, &linkage))
		return vd_error_set(err, VD_ECORRUPT, 0, at,
				    "parent locator: parent_linkage is \"%s\", expected a GUID",
				    hint->linkage);
	return 0;
}
