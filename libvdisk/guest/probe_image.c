/* SPDX-License-Identifier: MIT */
/* Recognises file systems that are made in one go: ISO 9660 and squashfs. */
#include "guest/guest_probe.h"

#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/span.h"
#include "guest/guest_bytes.h"

/* ---- ISO 9660 ---- */

#define ISO_SECTOR          2048u
#define ISO_FIRST           (16u * ISO_SECTOR)
#define ISO_MAX_DESCRIPTORS 64u
enum {
	ISO_VOLUME = 40,
	ISO_VOLUME_LEN = 32,
	ISO_SECTORS = 80,
	ISO_ESCAPES = 88,
	ISO_BLOCK_SIZE = 128,
	ISO_CREATED = 813,
	ISO_MODIFIED = 830,
	ISO_DATE_LEN = 16, /* digits; then the time zone */
};
enum { ISO_PRIMARY = 1, ISO_SUPPLEMENTARY = 2, ISO_END = 255 };

/* Of all that could tell two discs apart, the second of the last change is what others show. */
static void iso_uuid(struct vd_filesystem *fs, const uint8_t *date)
{
	const char *d = (const char *)date;

	for (size_t i = 0; i < ISO_DATE_LEN; i++)
		if (date[i] < '0' || date[i] > '9')
			return;
	snprintf(fs->uuid, sizeof(fs->uuid), "%.4s-%.2s-%.2s-%.2s-%.2s-%.2s-%.2s", d, d + 4, d + 6,
		 d + 8, d + 10, d + 12, d + 14);
}

static bool iso_is_date(const uint8_t *date)
{
	for (size_t i = 0; i < ISO_DATE_LEN; i++)
		if (date[i] != '0' && date[i] != 0)
			return true;
	return false;
}

static bool iso_is_joliet(const uint8_t *p)
{
	const uint8_t *e = p + ISO_ESCAPES;

	return e[0] == '%' && e[1] == '/' && (e[2] == '@' || e[2] == 'C' || e[2] == 'E');
}

/* Joliet's label has lower case and all of Unicode, but only 16 characters. */
static void iso_joliet_label(struct vd_probe *probe, struct vd_filesystem *fs)
{
	for (uint32_t i = 1; i < ISO_MAX_DESCRIPTORS; i++) {
		const uint8_t *p = vd_probe_at(probe, ISO_FIRST + i * ISO_SECTOR, ISO_SECTOR);
		char label[sizeof(fs->label)];

		if (!p || memcmp(p + 1, "CD001", 5) || p[0] == ISO_END)
			return;
		if (p[0] != ISO_SUPPLEMENTARY || !iso_is_joliet(p))
			continue;
		vd_guest_text_utf16(label, sizeof(label), p + ISO_VOLUME, ISO_VOLUME_LEN, true);
		vd_guest_text_trim(label);
		if (label[0] && strlen(fs->label) <= 16)
			memcpy(fs->label, label, sizeof(label));
		return;
	}
}

static bool look_iso9660(struct vd_probe *probe, uint64_t at, struct vd_filesystem *fs)
{
	const uint8_t *p = vd_probe_at(probe, at - 1, ISO_SECTOR);

	if (!p || p[0] != ISO_PRIMARY)
		return false;
	fs->block_size = vd_le16_at(p + ISO_BLOCK_SIZE);
	fs->size = (uint64_t)vd_le32_at(p + ISO_SECTORS) * fs->block_size;
	fs->used = fs->size;
	vd_guest_text(fs->label, sizeof(fs->label), p + ISO_VOLUME, ISO_VOLUME_LEN);
	vd_guest_text_trim(fs->label);
	iso_uuid(fs, iso_is_date(p + ISO_MODIFIED) ? p + ISO_MODIFIED : p + ISO_CREATED);
	iso_joliet_label(probe, fs);
	return true;
}

const struct vd_probe_row vd_probe_iso9660 = {
    "iso9660", {{ISO_FIRST + 1, "CD001", 5}, {0, NULL, 0}}, look_iso9660};

/* ---- squashfs ---- */

static bool look_squashfs(struct vd_probe *probe, uint64_t at, struct vd_filesystem *fs)
{
	const uint8_t *p = vd_probe_at(probe, at, 96);
	uint32_t major = p ? vd_le16_at(p + 28) : 0;

	if (major != 4) /* what came before 2009 had another layout */
		return false;
	fs->block_size = vd_le32_at(p + 12);
	if (!vd_is_pow2(fs->block_size) || fs->block_size > VD_MIB)
		return false;
	fs->size = vd_le64_at(p + 40);
	fs->used = fs->size;
	snprintf(fs->version, sizeof(fs->version), "%u.%u", major, vd_le16_at(p + 30));
	return true;
}

const struct vd_probe_row vd_probe_squashfs = {
    "squashfs", {{0, "hsqs", 4}, {0, NULL, 0}}, look_squashfs};
