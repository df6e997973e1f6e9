/* SPDX-License-Identifier: MIT */
/* Recognises NTFS and ReFS. Numbers are the offsets of fields. */
#include "guest/guest_probe.h"

#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "guest/guest_bytes.h"

/* ---- NTFS ---- */

enum {
	NTFS_SECTOR_SIZE = 11,
	NTFS_CLUSTER_SECTORS = 13,
	NTFS_SECTORS = 40,
	NTFS_MFT = 48,
	NTFS_RECORD_CLUSTERS = 64,
	NTFS_SERIAL = 72,
	/* of a record of the MFT */
	RECORD_FIXUPS = 4,
	RECORD_N_FIXUPS = 6,
	RECORD_FIRST = 20,
	RECORD_USED = 24,
	/* of an attribute */
	ATTR_LEN = 4,
	ATTR_IS_ELSEWHERE = 8,
	ATTR_VALUE_LEN = 16,
	ATTR_VALUE = 20,
};
#define NTFS_VOLUME      3u /* number of the record that describes the volume */
#define ATTR_NAME        0x60u
#define ATTR_INFORMATION 0x70u
#define ATTR_END         0xffffffffu
#define MAX_ATTRIBUTES   64u

/* A number of units; above `most`, of which it is the complement: a power of two. */
static uint32_t ntfs_size(uint8_t value, uint8_t most, uint32_t unit)
{
	uint32_t shift = 256u - value;

	if (value <= most)
		return unit * value;
	return shift < 32 ? 1u << shift : 0;
}

/* The last two bytes of each 512 lie in the head of the record; put them back. */
static bool ntfs_fix(uint8_t *record, uint32_t size)
{
	uint32_t at = vd_le16_at(record + RECORD_FIXUPS), n = vd_le16_at(record + RECORD_N_FIXUPS);

	if (memcmp(record, "FILE", 4) || n != size / 512 + 1 || !vd_is_within(at, n * 2, size))
		return false;
	for (uint32_t i = 1; i < n; i++) {
		uint8_t *end = record + i * 512 - 2;

		if (memcmp(end, record + at, 2) != 0)
			return false;
		memcpy(end, record + at + 2 * i, 2);
	}
	return true;
}

static void ntfs_attributes(const uint8_t *record, uint32_t size, struct vd_filesystem *fs)
{
	uint32_t at = vd_le16_at(record + RECORD_FIRST);
	uint32_t used = (uint32_t)vd_min64(size, vd_le32_at(record + RECORD_USED));

	for (unsigned int i = 0; i < MAX_ATTRIBUTES && vd_is_within(at, 24, used); i++) {
		const uint8_t *p = record + at;
		uint32_t type = vd_le32_at(p), len = vd_le32_at(p + ATTR_LEN);
		uint32_t value = vd_le16_at(p + ATTR_VALUE), n = vd_le32_at(p + ATTR_VALUE_LEN);

		if (type == ATTR_END || len < 24 || !vd_is_within(at, len, used))
			return;
		at += len;
		if (p[ATTR_IS_ELSEWHERE] || !vd_is_within(value, n, len))
			continue;
		if (type == ATTR_NAME)
			vd_guest_text_utf16(fs->label, sizeof(fs->label), p + value, n, false);
		if (type == ATTR_INFORMATION && n >= 12) {
			snprintf(fs->version, sizeof(fs->version), "%u.%u", p[value + 8],
				 p[value + 9]);
			fs->is_dirty = p[value + 10] & 1;
		}
	}
}

static bool look_ntfs(struct vd_probe *probe, uint64_t at, struct vd_filesystem *fs)
{
	const uint8_t *p = vd_probe_at(probe, 0, 512), *record;
	uint32_t sector, cluster, record_size;
	uint64_t sectors, mft;
	uint8_t fixed[4096];

	(void)at;
	if (!p || vd_le16_at(p + 510) != 0xaa55)
		return false;
	sector = vd_le16_at(p + NTFS_SECTOR_SIZE);
	cluster = ntfs_size(p[NTFS_CLUSTER_SECTORS], 0x80, 1);
	cluster = cluster <= 4096 ? cluster * sector : 0;
	record_size = ntfs_size(p[NTFS_RECORD_CLUSTERS], 0x7f, cluster);
	sectors = vd_le64_at(p + NTFS_SECTORS);
	if (!vd_is_pow2(sector) || sector < 256 || sector > 4096 || !vd_is_pow2(cluster) ||
	    cluster > 2 * VD_MIB || !sectors || sectors >> 50)
		return false;
	if (!vd_is_pow2(record_size) || record_size < 512 || record_size > sizeof(fixed))
		return false;
	fs->block_size = cluster;
	fs->size = sectors * sector;
	snprintf(fs->uuid, sizeof(fs->uuid), "%016llX",
		 (unsigned long long)vd_le64_at(p + NTFS_SERIAL));
	/* The first records of the MFT are never moved away from its first. */
	mft = vd_le64_at(p + NTFS_MFT);
	if (mft > fs->size / cluster)
		return false;
	record = vd_probe_at(probe, mft * cluster + NTFS_VOLUME * record_size, record_size);
	if (!record)
		return !probe->rc;
	memcpy(fixed, record, record_size);
	if (ntfs_fix(fixed, record_size))
		ntfs_attributes(fixed, record_size, fs);
	return true;
}

const struct vd_probe_row vd_probe_ntfs = {"ntfs", {{3, "NTFS    ", 8}, {0, NULL, 0}}, look_ntfs};

/* ---- ReFS ---- */

enum {
	REFS_SECTORS = 24,
	REFS_SECTOR_SIZE = 32,
	REFS_CLUSTER_SECTORS = 36,
	REFS_MAJOR = 40,
	REFS_MINOR = 41,
	REFS_SERIAL = 56,
};

static bool look_refs(struct vd_probe *probe, uint64_t at, struct vd_filesystem *fs)
{
	const uint8_t *p = vd_probe_at(probe, at - 3, 512);
	uint64_t sector, cluster;

	if (!p)
		return false;
	sector = vd_le32_at(p + REFS_SECTOR_SIZE);
	cluster = sector * vd_le32_at(p + REFS_CLUSTER_SECTORS);
	if (!vd_is_pow2(sector) || sector < 512 || sector > 4096 || !vd_is_pow2(cluster) ||
	    cluster > VD_MIB || !vd_mul64(vd_le64_at(p + REFS_SECTORS), sector, &fs->size))
		return false;
	fs->block_size = (uint32_t)cluster;
	snprintf(fs->version, sizeof(fs->version), "%u.%u", p[REFS_MAJOR], p[REFS_MINOR]);
	snprintf(fs->uuid, sizeof(fs->uuid), "%016llX",
		 (unsigned long long)vd_le64_at(p + REFS_SERIAL));
	return true;
}

const struct vd_probe_row vd_probe_refs = {
    "refs", {{3, "ReFS\0\0\0\0", 8}, {0, NULL, 0}}, look_refs};
