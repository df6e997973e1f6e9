/* SPDX-License-Identifier: MIT */
/* Recognises FAT12, FAT16, FAT32 and exFAT, and finds their labels in the top folder. */
#include "guest/guest_probe.h"

#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "guest/fat_volume.h"
#include "guest/guest_bytes.h"

/* Entries that are looked through for the label: what mkfs and people write comes early. */
#define MAX_ENTRIES 65536u

static void format_serial(struct vd_filesystem *fs, uint32_t serial)
{
	snprintf(fs->uuid, sizeof(fs->uuid), "%04X-%04X", serial >> 16, serial & 0xffff);
}

/* Walk over the entries of the top folder until `fn` has seen enough. */
static void each_root_entry(struct vd_probe *probe, struct fat_volume *volume,
			    bool (*fn)(const uint8_t *entry, struct vd_filesystem *fs),
			    struct vd_filesystem *fs)
{
	const struct fat_geometry *geo = &volume->geo;
	struct fat_chain chain;
	uint8_t entries[512];

	fat_chain_init(&chain, geo->root_cluster, false, UINT64_MAX);
	for (uint64_t at = 0; at < MAX_ENTRIES * 32; at += sizeof(entries)) {
		size_t n = sizeof(entries);
		int rc;

		if (geo->root_len && at + n > geo->root_len)
			return;
		rc = geo->root_len ? vd_guest_view_read(&volume->view, entries, n, geo->root + at,
							"top folder", NULL)
				   : fat_chain_read(volume, &chain, entries, n, at, &n, NULL);
		if (rc == VD_ECORRUPT)
			return; /* it has its type; whoever opens it will hear of this */
		if (rc) {
			probe->rc = vd_error_set(probe->err, rc, 0, VD_NO_OFFSET,
						 "the top folder of a FAT can't be read");
			return;
		}
		for (size_t i = 0; i + 32 <= n; i += 32)
			if (entries[i] == 0 || fn(entries + i, fs))
				return;
		if (n < sizeof(entries))
			return;
	}
}

static bool take_fat_label(const uint8_t *entry, struct vd_filesystem *fs)
{
	uint8_t name[11];

	if (entry[0] == 0xe5 || (entry[11] & 0x3f) == FAT_ATTR_LONG ||
	    (entry[11] & (FAT_ATTR_LABEL | FAT_ATTR_FOLDER)) != FAT_ATTR_LABEL)
		return false;
	memcpy(name, entry, sizeof(name));
	if (name[0] == 0x05) /* stands for 0xe5, which means "deleted" */
		name[0] = 0xe5;
	vd_guest_text(fs->label, sizeof(fs->label), name, sizeof(name));
	vd_guest_text_trim(fs->label);
	return true;
}

/* FAT32 counts its free clusters. */
static void read_fat_info(struct vd_probe *probe, const struct fat_geometry *geo,
			  struct vd_filesystem *fs)
{
	const uint8_t *p = geo->info ? vd_probe_at(probe, geo->info, 512) : NULL;
	uint32_t n_free;

	if (!p || vd_le32_at(p) != 0x41615252 || vd_le32_at(p + 484) != 0x61417272)
		return;
	n_free = vd_le32_at(p + 488);
	if (n_free <= geo->n_clusters)
		fs->used = (uint64_t)(geo->n_clusters - n_free) * geo->cluster_size;
}

static bool look_fat(struct vd_probe *probe, uint64_t at, struct vd_filesystem *fs)
{
	const uint8_t *p = vd_probe_at(probe, 0, 512);
	const struct fat_ondisk_extra *extra;
	struct fat_ondisk_boot boot;
	struct fat_volume volume = {.view = *probe->view};
	bool is_dirty;
	int rc;

	(void)at;
	if (!p)
		return false;
	memcpy(&boot, p, sizeof(boot));
	if (!fat_decode(&volume.geo, &boot))
		return false;
	extra = volume.geo.bits == 32 ? &boot.u.fat32.extra : &boot.u.fat16;
	snprintf(fs->version, sizeof(fs->version), "FAT%u", volume.geo.bits);
	fs->block_size = volume.geo.cluster_size;
	fs->size = volume.geo.size;
	fs->is_dirty = extra->state & 3;
	if (extra->signature == 0x29 || extra->signature == 0x28)
		format_serial(fs, vd_get32(extra->serial));
	read_fat_info(probe, &volume.geo, fs);
	rc = fat_read_dirty(&volume, &is_dirty, NULL);
	if (rc && rc != VD_ECORRUPT)
		probe->rc = vd_error_set(probe->err, rc, 0, VD_NO_OFFSET, "a FAT can't be read");
	fs->is_dirty = fs->is_dirty || (!rc && is_dirty);
	each_root_entry(probe, &volume, take_fat_label, fs);
	return true;
}

const struct vd_probe_row vd_probe_fat = {"vfat", {{510, "\x55\xaa", 2}, {0, NULL, 0}}, look_fat};

static bool take_exfat_label(const uint8_t *entry, struct vd_filesystem *fs)
{
	if (entry[0] != EXFAT_LABEL)
		return false;
	vd_guest_text_utf16(fs->label, sizeof(fs->label), entry + 2, vd_min64(entry[1], 11) * 2,
			    false);
	return true;
}

/* The sum over the first eleven sectors, without what may change; the twelfth repeats it. */
static bool is_sealed_exfat(struct vd_probe *probe, uint32_t sector_size)
{
	const uint8_t *p = vd_probe_at(probe, 0, 12 * (size_t)sector_size);
	uint32_t sum = 0;

	if (!p)
		return false;
	for (size_t i = 0; i < 11 * (size_t)sector_size; i++)
		if (i != 106 && i != 107 && i != 112)
			sum = (sum >> 1 | sum << 31) + p[i];
	return vd_le32_at(p + 11 * (size_t)sector_size) == sum;
}

static bool look_exfat(struct vd_probe *probe, uint64_t at, struct vd_filesystem *fs)
{
	const uint8_t *p = vd_probe_at(probe, 0, 512);
	struct fat_volume volume = {.view = *probe->view};
	struct exfat_ondisk_boot boot;

	(void)at;
	if (!p)
		return false;
	memcpy(&boot, p, sizeof(boot));
	if (!exfat_decode(&volume.geo, &boot) || !is_sealed_exfat(probe, volume.geo.sector_size))
		return false;
	snprintf(fs->version, sizeof(fs->version), "%u.%u", boot.major, boot.minor);
	fs->block_size = volume.geo.cluster_size;
	fs->size = volume.geo.size;
	fs->is_dirty = vd_get16(boot.flags) & 6;
	format_serial(fs, vd_get32(boot.serial));
	each_root_entry(probe, &volume, take_exfat_label, fs);
	return true;
}

const struct vd_probe_row vd_probe_exfat = {
    "exfat", {{3, "EXFAT   ", 8}, {0, NULL, 0}}, look_exfat};
