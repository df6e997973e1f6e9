/* SPDX-License-Identifier: MIT */
/* GUIDs, by libuuid; only the mixed-endian form of the disk is ours. */
#include "base/guid.h"

#include <string.h>
#include <uuid/uuid.h>

/* Bytes 0-3, 4-5 and 6-7 are each turned round; the same both ways. */
static void swap_groups(const uint8_t from[16], uint8_t to[16])
{
	static const uint8_t order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};

	for (int i = 0; i < 16; i++)
		to[i] = from[order[i]];
}

struct vd_guid vd_guid_from_disk(const uint8_t disk[16])
{
	struct vd_guid guid;

	swap_groups(disk, guid.b);
	return guid;
}

void vd_guid_to_disk(struct vd_guid guid, uint8_t disk[16])
{
	swap_groups(guid.b, disk);
}

void vd_guid_format(struct vd_guid guid, char text[VD_GUID_TEXT])
{
	uuid_unparse_lower(guid.b, text);
}

bool vd_guid_parse(const char *text, struct vd_guid *guid)
{
	char bare[VD_GUID_TEXT];
	size_t len = strlen(text);

	if (len == VD_GUID_TEXT + 1 && text[0] == '{' && text[len - 1] == '}') {
		text++;
		len -= 2;
	}
	if (len != VD_GUID_TEXT - 1)
		return false;
	memcpy(bare, text, len);
	bare[len] = '\0';
	return uuid_parse(bare, guid->b) == 0;
}

struct vd_guid vd_guid_random(void)
{
	struct vd_guid guid;

	uuid_generate_random(guid.b);
	return guid;
}

struct vd_guid vd_guid_derive(struct vd_guid space, const char *name)
{
	struct vd_guid guid;

	uuid_generate_sha1(guid.b, space.b, name, strlen(name));
	return guid;
}

bool vd_guid_is_equal(struct vd_guid a, struct vd_guid b)
{
	return memcmp(a.b, b.b, 16) == 0;
}

bool vd_guid_is_nil(struct vd_guid guid)
{
	return uuid_is_null(guid.b);
}
