/* SPDX-License-Identifier: MIT */
/* Recognises ext2/3/4, XFS, btrfs and swap. Numbers are the offsets of fields. */
#include "guest/guest_probe.h"

#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/crc32c.h"
#include "base/span.h"
#include "guest/guest_bytes.h"

/* size = blocks * unit; false if that is more than a disk can have. */
static bool set_size(struct vd_filesystem *fs, uint64_t blocks, uint64_t n_free, uint32_t unit)
{
	uint64_t size;

	if (!vd_mul64(blocks, unit, &size) || !size)
		return false;
	fs->size = size;
	fs->block_size = unit;
	if (n_free <= blocks)
		fs->used = (blocks - n_free) * unit;
	return true;
}

/* ---- ext2, ext3, ext4 ---- */

enum {
	EXT_SUPERBLOCK = 1024,
	EXT_BLOCKS = 4,
	EXT_FREE_BLOCKS = 12,
	EXT_LOG_BLOCK_SIZE = 24,
	EXT_STATE = 58,
	EXT_MINOR = 62,
	EXT_REVISION = 76,
	EXT_COMPAT = 92,
	EXT_INCOMPAT = 96,
	EXT_RO_COMPAT = 100,
	EXT_UUID = 104,
	EXT_LABEL = 120,
	EXT_BLOCKS_HIGH = 336,
	EXT_FREE_BLOCKS_HIGH = 344,
	EXT_CHECKSUM = 1020,
};
#define EXT_STATE_CLEAN    0x1u
#define EXT_STATE_ERRORS   0x2u
#define EXT_HAS_JOURNAL    0x4u /* compat */
#define EXT_RECOVER        0x4u /* incompat, as the next ones */
#define EXT_JOURNAL_DEVICE 0x8u
#define EXT_64BIT          0x80u
#define EXT_METADATA_CSUM  0x400u /* ro_compat, as the next one */
#define EXT_ORPHAN_PRESENT 0x10000u
/* What ext3 knows: filetype, recover, meta_bg; sparse_super, large_file, btree_dir. */
#define EXT3_INCOMPAT  0x16u
#define EXT3_RO_COMPAT 0x07u

static const char *ext_type(uint32_t compat, uint32_t incompat, uint32_t ro_compat)
{
	if (incompat & EXT_JOURNAL_DEVICE)
		return "jbd";
	if (incompat & ~EXT3_INCOMPAT || ro_compat & ~EXT3_RO_COMPAT)
		return "ext4";
	return compat & EXT_HAS_JOURNAL ? "ext3" : "ext2";
}

static bool look_ext(struct vd_probe *probe, uint64_t at, struct vd_filesystem *fs)
{
	const uint8_t *p = vd_probe_at(probe, EXT_SUPERBLOCK, 1024);
	uint32_t compat, incompat, ro_compat, log_size, state;
	uint64_t blocks, n_free;

	(void)at;
	if (!p)
		return false;
	compat = vd_le32_at(p + EXT_COMPAT);
	incompat = vd_le32_at(p + EXT_INCOMPAT);
	ro_compat = vd_le32_at(p + EXT_RO_COMPAT);
	log_size = vd_le32_at(p + EXT_LOG_BLOCK_SIZE);
	state = vd_le16_at(p + EXT_STATE);
	if (log_size > 6)
		return false;
	if (ro_compat & EXT_METADATA_CSUM &&
	    vd_le32_at(p + EXT_CHECKSUM) != ~vd_crc32c(0, p, EXT_CHECKSUM))
		return false;
	blocks = vd_le32_at(p + EXT_BLOCKS);
	n_free = vd_le32_at(p + EXT_FREE_BLOCKS);
	if (incompat & EXT_64BIT) {
		blocks |= (uint64_t)vd_le32_at(p + EXT_BLOCKS_HIGH) << 32;
		n_free |= (uint64_t)vd_le32_at(p + EXT_FREE_BLOCKS_HIGH) << 32;
	}
	if (!set_size(fs, blocks, n_free, 1024u << log_size))
		return false;
	strcpy(fs->type, ext_type(compat, incompat, ro_compat));
	snprintf(fs->version, sizeof(fs->version), "%u.%u", vd_le32_at(p + EXT_REVISION) & 0xffff,
		 vd_le16_at(p + EXT_MINOR));
	vd_guest_text(fs->label, sizeof(fs->label), p + EXT_LABEL, 16);
	vd_guest_text_uuid(fs->uuid, p + EXT_UUID);
	fs->is_dirty = !(state & EXT_STATE_CLEAN) || state & EXT_STATE_ERRORS ||
		       incompat & EXT_RECOVER || ro_compat & EXT_ORPHAN_PRESENT;
	return true;
}

const struct vd_probe_row vd_probe_ext = {
    "ext2", {{EXT_SUPERBLOCK + 56, "\x53\xef", 2}, {0, NULL, 0}}, look_ext};

/* ---- XFS ---- */

enum {
	XFS_BLOCK_SIZE = 4,
	XFS_BLOCKS = 8,
	XFS_UUID = 32,
	XFS_VERSION = 100,
	XFS_SECTOR_SIZE = 102,
	XFS_LABEL = 108,
	XFS_FREE_BLOCKS = 144,
	XFS_INCOMPAT = 216,
	XFS_CHECKSUM = 224,
};
#define XFS_NEEDS_REPAIR 0x10u

/* The CRC of all the sector, its own field counted as zero. */
static bool is_sealed_xfs(const uint8_t *p, uint32_t sector_size)
{
	static const uint8_t zero[4];
	uint32_t crc = vd_crc32c(0, p, XFS_CHECKSUM);

	crc = vd_crc32c(crc, zero, 4);
	crc = vd_crc32c(crc, p + XFS_CHECKSUM + 4, sector_size - XFS_CHECKSUM - 4);
	return crc == vd_le32_at(p + XFS_CHECKSUM);
}

static bool look_xfs(struct vd_probe *probe, uint64_t at, struct vd_filesystem *fs)
{
	const uint8_t *p = vd_probe_at(probe, at, 512);
	uint32_t block_size, sector_size, version;

	if (!p)
		return false;
	block_size = vd_be32_at(p + XFS_BLOCK_SIZE);
	sector_size = vd_be16_at(p + XFS_SECTOR_SIZE);
	version = vd_be16_at(p + XFS_VERSION) & 0xf;
	if (!vd_is_pow2(block_size) || block_size < 512 || block_size > 65536 ||
	    !vd_is_pow2(sector_size) || sector_size < 512 || sector_size > 32768 || version > 5)
		return false;
	p = vd_probe_at(probe, at, sector_size);
	if (!p || (version == 5 && !is_sealed_xfs(p, sector_size)))
		return false;
	if (!set_size(fs, vd_be64_at(p + XFS_BLOCKS), vd_be64_at(p + XFS_FREE_BLOCKS), block_size))
		return false;
	snprintf(fs->version, sizeof(fs->version), "V%u", version);
	vd_guest_text(fs->label, sizeof(fs->label), p + XFS_LABEL, 12);
	vd_guest_text_uuid(fs->uuid, p + XFS_UUID);
	fs->is_dirty = version == 5 && vd_be32_at(p + XFS_INCOMPAT) & XFS_NEEDS_REPAIR;
	return true;
}

const struct vd_probe_row vd_probe_xfs = {"xfs", {{0, "XFSB", 4}, {0, NULL, 0}}, look_xfs};

/* ---- btrfs ---- */

enum {
	BTRFS_SUPERBLOCK = 65536,
	BTRFS_LEN = 4096,
	BTRFS_UUID = 32,
	BTRFS_OWN_PLACE = 48,
	BTRFS_MAGIC = 64,
	BTRFS_LOG_ROOT = 96,
	BTRFS_SIZE = 112,
	BTRFS_USED = 120,
	BTRFS_SECTOR_SIZE = 144,
	BTRFS_CHECKSUM_TYPE = 196,
	BTRFS_LABEL = 299,
};

static bool look_btrfs(struct vd_probe *probe, uint64_t at, struct vd_filesystem *fs)
{
	const uint8_t *p = vd_probe_at(probe, at - BTRFS_MAGIC, BTRFS_LEN);

	if (!p || vd_le64_at(p + BTRFS_OWN_PLACE) != BTRFS_SUPERBLOCK)
		return false;
	/* CRC-32C; the others (xxhash, SHA-256, BLAKE2) aren't looked at. */
	if (vd_le16_at(p + BTRFS_CHECKSUM_TYPE) == 0 &&
	    vd_le32_at(p) != vd_crc32c(0, p + 32, BTRFS_LEN - 32))
		return false;
	fs->block_size = vd_le32_at(p + BTRFS_SECTOR_SIZE);
	fs->size = vd_le64_at(p + BTRFS_SIZE);
	if (vd_le64_at(p + BTRFS_USED) <= fs->size)
		fs->used = vd_le64_at(p + BTRFS_USED);
	vd_guest_text(fs->label, sizeof(fs->label), p + BTRFS_LABEL, 256);
	vd_guest_text_uuid(fs->uuid, p + BTRFS_UUID);
	fs->is_dirty = vd_le64_at(p + BTRFS_LOG_ROOT) != 0;
	return true;
}

const struct vd_probe_row vd_probe_btrfs = {
    "btrfs", {{BTRFS_SUPERBLOCK + BTRFS_MAGIC, "_BHRfS_M", 8}, {0, NULL, 0}}, look_btrfs};

/* ---- swap ---- */

enum {
	SWAP_HEADER = 1024,
	SWAP_VERSION = 0,
	SWAP_LAST_PAGE = 4,
	SWAP_UUID = 12,
	SWAP_LABEL = 28,
};

static bool look_swap(struct vd_probe *probe, uint64_t at, struct vd_filesystem *fs)
{
	const uint8_t *magic = vd_probe_at(probe, at, 10);
	uint32_t page = (uint32_t)at + 10;
	const uint8_t *p;

	if (!magic)
		return false;
	/* A system that sleeps wrote its memory here. */
	if (magic[0] != 'S' || magic[1] != 'W') {
		strcpy(fs->type, "swsuspend");
		fs->is_dirty = true;
	}
	p = vd_probe_at(probe, SWAP_HEADER, 128);
	if (!p || vd_le32_at(p + SWAP_VERSION) != 1 || !vd_le32_at(p + SWAP_LAST_PAGE))
		return false;
	fs->block_size = page;
	fs->size = ((uint64_t)vd_le32_at(p + SWAP_LAST_PAGE) + 1) * page;
	strcpy(fs->version, "1");
	vd_guest_text(fs->label, sizeof(fs->label), p + SWAP_LABEL, 16);
	if (!vd_is_zero(p + SWAP_UUID, 16))
		vd_guest_text_uuid(fs->uuid, p + SWAP_UUID);
	return true;
}

const struct vd_probe_row vd_probe_swap = {"swap",
					   {{4096 - 10, "SWAPSPACE2", 10},
					    {8192 - 10, "SWAPSPACE2", 10},
					    {16384 - 10, "SWAPSPACE2", 10},
					    {32768 - 10, "SWAPSPACE2", 10},
					    {65536 - 10, "SWAPSPACE2", 10},
					    {4096 - 10, "S1SUSPEND", 9},
					    {4096 - 10, "LINHIB0001", 10},
					    {0, NULL, 0}},
					   look_swap};
