/* SPDX-License-Identifier: MIT */
/* Recognises what holds other things: LVM2, LUKS, members of md and ZFS, BitLocker. */
#include "guest/guest_probe.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "base/checked.h"
#include "base/span.h"
#include "guest/guest_bytes.h"

/* ---- LVM2 physical volumes ---- */

enum {
	LVM_SECTOR = 8, /* of the label: which one it is */
	LVM_CRC = 16,
	LVM_HEADER = 20, /* offset of the physical volume's header, from the label */
	LVM_LEN = 512,
	LVM_ID_LEN = 32,
};
#define LVM_CRC_START 0xf597a6cfu

static bool look_lvm2(struct vd_probe *probe, uint64_t at, struct vd_filesystem *fs)
{
	static const uint8_t group_ends[] = {6, 10, 14, 18, 22, 26, 32};
	const uint8_t *p = vd_probe_at(probe, at, LVM_LEN);
	uint32_t header;
	size_t n = 0;

	if (!p || memcmp(p + 24, "LVM2 001", 8) || vd_le64_at(p + LVM_SECTOR) != at / 512)
		return false;
	/* Neither inverted before nor after, as zlib's would be. */
	if (vd_le32_at(p + LVM_CRC) !=
	    ~(uint32_t)crc32(~LVM_CRC_START & 0xffffffffu, p + LVM_HEADER, LVM_LEN - LVM_HEADER))
		return false;
	header = vd_le32_at(p + LVM_HEADER);
	if (!vd_is_within(header, LVM_ID_LEN + 8, LVM_LEN))
		return false;
	for (size_t i = 0, group = 0; i < LVM_ID_LEN; i++) {
		uint8_t c = p[header + i];

		if (i == group_ends[group]) {
			fs->uuid[n++] = '-';
			group++;
		}
		fs->uuid[n++] = c > 0x20 && c < 0x7f ? (char)c : '?';
	}
	strcpy(fs->version, "LVM2 001");
	fs->size = vd_le64_at(p + header + LVM_ID_LEN);
	return true;
}

const struct vd_probe_row vd_probe_lvm2 = {"lvm2",
					   {{0, "LABELONE", 8},
					    {512, "LABELONE", 8},
					    {1024, "LABELONE", 8},
					    {1536, "LABELONE", 8},
					    {0, NULL, 0}},
					   look_lvm2};

/* ---- LUKS ---- */

static bool look_luks(struct vd_probe *probe, uint64_t at, struct vd_filesystem *fs)
{
	const uint8_t *p = vd_probe_at(probe, at, 512);
	uint32_t version;

	if (!p)
		return false;
	version = vd_be16_at(p + 6);
	/* The second header of LUKS2 stands in when the first is gone; LUKS1 has none. */
	if (version < 1 || version > 2 || (at && version != 2))
		return false;
	snprintf(fs->version, sizeof(fs->version), "LUKS%u", version);
	vd_guest_text(fs->uuid, 41, p + 168, 40);
	if (version == 2)
		vd_guest_text(fs->label, sizeof(fs->label), p + 24, 48);
	return true;
}

const struct vd_probe_row vd_probe_luks = {"luks",
					   {{0, "LUKS\xba\xbe", 6},
					    {0x4000, "SKUL\xba\xbe", 6},
					    {0x8000, "SKUL\xba\xbe", 6},
					    {0x10000, "SKUL\xba\xbe", 6},
					    {0, NULL, 0}},
					   look_luks};

/* ---- BitLocker ---- */

static bool look_bitlocker(struct vd_probe *probe, uint64_t at, struct vd_filesystem *fs)
{
	/* "To Go" keeps a FAT's boot sector and has this GUID, as others have in another place. */
	static const uint8_t guid[16] = {0x3b, 0xd6, 0x67, 0x49, 0x29, 0x2e, 0xd8, 0x4a,
					 0x83, 0x99, 0xf6, 0xa3, 0x39, 0xe3, 0xd0, 0x01};
	const uint8_t *p = vd_probe_at(probe, 0, 512);

	(void)at;
	if (!p || vd_le16_at(p + 510) != 0xaa55)
		return false;
	if (!memcmp(p + 3, "MSWIN4.1", 8)) {
		if (memcmp(p + 424, guid, sizeof(guid)) != 0)
			return false;
		strcpy(fs->version, "To Go");
	} else if (p[1] == 0x52) {
		strcpy(fs->version, "Vista");
	} else {
		strcpy(fs->version, "7");
	}
	return true;
}

const struct vd_probe_row vd_probe_bitlocker = {
    "bitlocker", {{3, "-FVE-FS-", 8}, {3, "MSWIN4.1", 8}, {0, NULL, 0}}, look_bitlocker};

/* ---- md ---- */

#define MD_MAGIC 0xa92b4efcu
enum {
	MD_MAJOR = 4,
	MD_UUID = 16,
	MD_NAME = 32,
	MD_SUPER_OFFSET = 144,
	MD_CHECKSUM = 216,
	MD_MAX_DEVICES = 220,
	MD_FIXED = 256,
	MD0_MINOR = 8,
	MD0_UUID_0 = 20,
	MD0_UUID_1 = 52,
	MD0_LEN = 4096,
};

/* Version 1: the sum of all words, the checksum counted as zero, with the carry folded in. */
static bool is_sealed_md(const uint8_t *p, size_t len)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i + 4 <= len; i += 4)
		sum += i == MD_CHECKSUM ? 0 : vd_le32_at(p + i);
	if (len - i == 2)
		sum += vd_le16_at(p + i);
	return (uint32_t)((sum & 0xffffffff) + (sum >> 32)) == vd_le32_at(p + MD_CHECKSUM);
}

static bool look_md1(struct vd_probe *probe, uint64_t at, unsigned int minor,
		     struct vd_filesystem *fs)
{
	const uint8_t *p = vd_probe_at(probe, at, MD_FIXED);
	uint32_t n_devices;

	if (!p || vd_le32_at(p) != MD_MAGIC || vd_le32_at(p + MD_MAJOR) != 1 ||
	    vd_le64_at(p + MD_SUPER_OFFSET) != at / 512)
		return false;
	n_devices = vd_le32_at(p + MD_MAX_DEVICES);
	if (n_devices > 1920)
		return false;
	p = vd_probe_at(probe, at, MD_FIXED + 2 * (size_t)n_devices);
	if (!p || !is_sealed_md(p, MD_FIXED + 2 * (size_t)n_devices))
		return false;
	snprintf(fs->version, sizeof(fs->version), "1.%u", minor);
	vd_guest_text(fs->label, sizeof(fs->label), p + MD_NAME, 32);
	vd_guest_text_uuid(fs->uuid, p + MD_UUID);
	return true;
}

static bool look_md0(struct vd_probe *probe, uint64_t at, struct vd_filesystem *fs)
{
	const uint8_t *p = vd_probe_at(probe, at, MD0_LEN);
	uint8_t uuid[16];

	if (!p || vd_le32_at(p) != MD_MAGIC || vd_le32_at(p + MD_MAJOR) != 0)
		return false;
	/* Of its four words, each in the order of the machine, the first stands alone. */
	for (size_t i = 0; i < 16; i++)
		uuid[i] =
		    i < 4 ? p[MD0_UUID_0 + 3 - i] : p[MD0_UUID_1 + (i - 4) / 4 * 4 + 3 - i % 4];
	snprintf(fs->version, sizeof(fs->version), "0.%u", vd_le32_at(p + MD0_MINOR) & 0xffff);
	vd_guest_text_uuid(fs->uuid, uuid);
	return true;
}

static bool look_mdraid(struct vd_probe *probe, uint64_t at, struct vd_filesystem *fs)
{
	uint64_t length = probe->view->length;

	(void)at;
	if (look_md1(probe, 4096, 2, fs) || look_md1(probe, 0, 1, fs))
		return true;
	if (length >= 64 * VD_KIB &&
	    (look_md1(probe, vd_align_down(length / 512 - 16, 8) * 512, 0, fs) ||
	     look_md0(probe, vd_align_down(length, 65536) - 65536, fs)))
		return true;
	return false;
}

const struct vd_probe_row vd_probe_mdraid = {"mdraid", {{0, NULL, 0}}, look_mdraid};

/* ---- ZFS ---- */

#define ZFS_MAGIC     0x00bab10cu
#define ZFS_LABEL     (256 * VD_KIB)
#define ZFS_UBERS     (128 * VD_KIB)
#define ZFS_PAIRS     (16 * VD_KIB)
#define ZFS_PAIRS_LEN 4096u
#define ZFS_MIN_UBERS 4

/* The first two facts of the label's list that matter: the pool's name and GUID. XDR: each pair is
 * its size, the size in memory, a name, a type, a count, the value. */
static void read_zfs_pairs(const uint8_t *p, size_t len, struct vd_filesystem *fs)
{
	size_t at = 12; /* encoding, then version and flags of the list */

	for (unsigned int i = 0; i < 64 && at + 16 <= len; i++) {
		uint32_t size = vd_be32_at(p + at), n_name = vd_be32_at(p + at + 8);
		size_t value = at + 12 + vd_align_up(n_name & 0xffff, 4) + 8;

		if (size < 24 || size > len - at || n_name > size || value + 8 > at + size)
			return;
		if (n_name == 4 && !memcmp(p + at + 12, "name", 4)) {
			uint32_t n = vd_be32_at(p + value);

			if (n <= at + size - value - 4)
				vd_guest_text(fs->label, sizeof(fs->label), p + value + 4, n);
		} else if (n_name == 9 && !memcmp(p + at + 12, "pool_guid", 9)) {
			snprintf(fs->uuid, sizeof(fs->uuid), "%llu",
				 (unsigned long long)vd_be64_at(p + value));
		}
		at += size;
	}
}

static bool look_zfs(struct vd_probe *probe, uint64_t at, struct vd_filesystem *fs)
{
	unsigned int n_ubers = 0;
	uint64_t newest = 0;
	const uint8_t *p;

	(void)at;
	if (probe->view->length < 4 * ZFS_LABEL)
		return false;
	for (uint64_t half = 0; half < 2; half++) {
		p = vd_probe_at(probe, ZFS_UBERS + half * 65536, 65536);
		for (size_t i = 0; p && i < 65536; i += 1024) {
			bool is_little = vd_le64_at(p + i) == ZFS_MAGIC;

			if (!is_little && vd_be64_at(p + i) != ZFS_MAGIC)
				continue;
			newest = vd_max64(newest, is_little ? vd_le64_at(p + i + 8)
							    : vd_be64_at(p + i + 8));
			n_ubers++;
		}
	}
	if (n_ubers < ZFS_MIN_UBERS)
		return false;
	snprintf(fs->version, sizeof(fs->version), "%llu", (unsigned long long)newest);
	p = vd_probe_at(probe, ZFS_PAIRS, ZFS_PAIRS_LEN);
	if (p)
		read_zfs_pairs(p, ZFS_PAIRS_LEN, fs);
	return true;
}

const struct vd_probe_row vd_probe_zfs = {"zfs", {{0, NULL, 0}}, look_zfs};
