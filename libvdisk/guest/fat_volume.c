/* SPDX-License-Identifier: MIT */
/* The clusters of FAT and exFAT, and the table that chains them. */
#include "guest/fat_volume.h"

#include <string.h>
#include <utf8proc.h>

#include "base/checked.h"
#include "guest/guest_bytes.h"

#define MAX_FAT12 4084u
#define MAX_FAT16 65524u
#define MAX_FAT32 0x0ffffff5u

static bool is_sector_size(uint32_t size)
{
	return vd_is_pow2(size) && size >= 512 && size <= 4096;
}

static bool is_fat_boot(const struct fat_ondisk_boot *boot)
{
	if (boot->mark[0] != 0x55 || boot->mark[1] != 0xaa)
		return false;
	if (boot->jump[0] != 0xeb && boot->jump[0] != 0xe9)
		return false;
	if (!memcmp(boot->oem, "NTFS    ", 8) || !memcmp(boot->oem, "EXFAT   ", 8))
		return false;
	return is_sector_size(vd_get16(boot->sector_size)) && vd_is_pow2(boot->cluster_sectors) &&
	       vd_get16(boot->n_reserved) && boot->n_fats && boot->n_fats <= 4 &&
	       (boot->media == 0xf0 || boot->media >= 0xf8);
}

/* Which of several FATs counts, and is another one kept like it? */
static void choose_fat(struct fat_geometry *geo, const struct fat_ondisk_boot *boot, uint64_t start)
{
	uint32_t flags = geo->bits == 32 ? vd_get16(boot->u.fat32.flags) : 0;
	uint32_t active = flags & 0x80 ? flags & 0xf : 0;

	if (active >= boot->n_fats)
		active = 0;
	geo->fat = start + active * geo->fat_len;
	if (!(flags & 0x80) && boot->n_fats > 1)
		geo->other_fat = start + geo->fat_len;
}

bool fat_decode(struct fat_geometry *geo, const struct fat_ondisk_boot *boot)
{
	uint64_t n_sectors, fat_sectors, fats, root_sectors, before, count, most;
	uint32_t info;

	memset(geo, 0, sizeof(*geo));
	if (!is_fat_boot(boot))
		return false;
	geo->sector_size = vd_get16(boot->sector_size);
	geo->cluster_size = geo->sector_size * boot->cluster_sectors;
	n_sectors = vd_get16(boot->n_sectors_16);
	if (!n_sectors)
		n_sectors = vd_get32(boot->n_sectors_32);
	fat_sectors = vd_get16(boot->fat_sectors_16);
	if (!fat_sectors) {
		geo->bits = 32;
		fat_sectors = vd_get32(boot->u.fat32.fat_sectors_32);
	}
	fats = fat_sectors * boot->n_fats;
	root_sectors = vd_div_up(vd_get16(boot->n_root_entries) * 32ull, geo->sector_size);
	before = vd_get16(boot->n_reserved) + fats + root_sectors;
	if (!fat_sectors || before >= n_sectors)
		return false;
	count = (n_sectors - before) / boot->cluster_sectors;
	if (!geo->bits)
		geo->bits = count > MAX_FAT12 ? 16 : 12;
	most = geo->bits == 12 ? MAX_FAT12 : geo->bits == 16 ? MAX_FAT16 : MAX_FAT32;
	if (!count || count > most || (geo->bits != 32 && !root_sectors))
		return false;
	geo->fat_len = fat_sectors * geo->sector_size;
	/* Clusters without an entry can't be used. */
	if (geo->fat_len * 8 / geo->bits < 3)
		return false;
	geo->n_clusters = (uint32_t)vd_min64(count, geo->fat_len * 8 / geo->bits - 2);
	geo->size = n_sectors * geo->sector_size;
	choose_fat(geo, boot, (uint64_t)vd_get16(boot->n_reserved) * geo->sector_size);
	geo->heap = before * geo->sector_size;
	if (geo->bits == 32) {
		geo->root_cluster = vd_get32(boot->u.fat32.root_cluster);
		info = vd_get16(boot->u.fat32.info_sector);
		if (info && info < vd_get16(boot->n_reserved))
			geo->info = (uint64_t)info * geo->sector_size;
		return vd_get16(boot->u.fat32.version) == 0;
	}
	geo->root = geo->heap - root_sectors * geo->sector_size;
	geo->root_len = vd_get16(boot->n_root_entries) * 32ull;
	return true;
}

bool exfat_decode(struct fat_geometry *geo, const struct exfat_ondisk_boot *boot)
{
	uint64_t fat_sectors = vd_get32(boot->fat_sectors), n_sectors = vd_get64(boot->n_sectors);
	uint64_t heap = vd_get32(boot->heap_sector), fat = vd_get32(boot->fat_sector);
	uint32_t active = vd_get16(boot->flags) & 1;
	uint64_t heap_sectors;

	memset(geo, 0, sizeof(*geo));
	if (memcmp(boot->oem, "EXFAT   ", 8) || boot->mark[0] != 0x55 || boot->mark[1] != 0xaa ||
	    boot->sector_shift < 9 || boot->sector_shift > 12 ||
	    boot->cluster_shift > 25 - boot->sector_shift || boot->n_fats < 1 || boot->n_fats > 2 ||
	    boot->major != 1 || n_sectors >> (63 - boot->sector_shift))
		return false;
	if (active >= boot->n_fats)
		return false;
	geo->is_exfat = true;
	geo->bits = 32;
	geo->sector_size = 1u << boot->sector_shift;
	geo->cluster_size = geo->sector_size << boot->cluster_shift;
	geo->n_clusters = vd_get32(boot->n_clusters);
	geo->size = n_sectors << boot->sector_shift;
	geo->fat_len = fat_sectors << boot->sector_shift;
	geo->fat = (fat << boot->sector_shift) + active * geo->fat_len;
	geo->heap = heap << boot->sector_shift;
	geo->root_cluster = vd_get32(boot->root_cluster);
	heap_sectors = (uint64_t)geo->n_clusters << boot->cluster_shift;
	return fat >= 24 && geo->n_clusters && geo->n_clusters <= 0xfffffff5 &&
	       fat + fat_sectors * boot->n_fats <= heap &&
	       vd_is_within(heap, heap_sectors, n_sectors) &&
	       ((uint64_t)geo->n_clusters + 2) * 4 <= geo->fat_len &&
	       fat_is_cluster(geo, geo->root_cluster);
}

bool fat_is_cluster(const struct fat_geometry *geo, uint32_t cluster)
{
	return cluster >= 2 && cluster - 2 < geo->n_clusters;
}

uint64_t fat_cluster_at(const struct fat_geometry *geo, uint32_t cluster)
{
	return geo->heap + (uint64_t)(cluster - 2) * geo->cluster_size;
}

/* Two bytes or four of the FAT, through the window. An entry of FAT12 may straddle it. */
static int fat_bytes(struct fat_volume *volume, uint64_t at, uint8_t *bytes, size_t n,
		     struct vd_error *err)
{
	const struct fat_geometry *geo = &volume->geo;
	uint64_t start = at & ~(uint64_t)1023;
	int ret;

	if (!vd_is_within(at, n, geo->fat_len))
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "the FAT of %llu bytes has no entry at %llu",
				    (unsigned long long)geo->fat_len, (unsigned long long)at);
	if (!volume->window_len || at < volume->window_at ||
	    at + n > volume->window_at + volume->window_len) {
		size_t len = (size_t)vd_min64(FAT_WINDOW, geo->fat_len - start);

		volume->window_len = 0;
		ret = vd_guest_view_read(&volume->view, volume->window, len, geo->fat + start,
					 "FAT", err);
		if (ret)
			return ret;
		volume->window_at = start;
		volume->window_len = len;
	}
	memcpy(bytes, volume->window + (at - volume->window_at), n);
	return 0;
}

int fat_entry(struct fat_volume *volume, uint32_t cluster, uint32_t *value, struct vd_error *err)
{
	const struct fat_geometry *geo = &volume->geo;
	uint64_t at = (uint64_t)cluster * geo->bits / 8;
	uint8_t bytes[4] = {0};
	int ret = fat_bytes(volume, at, bytes, geo->bits == 32 ? 4 : 2, err);

	if (ret)
		return ret;
	if (geo->bits == 12)
		*value = cluster & 1 ? vd_le16_at(bytes) >> 4 : vd_le16_at(bytes) & 0xfff;
	else if (geo->bits == 16)
		*value = vd_le16_at(bytes);
	else
		*value = vd_le32_at(bytes) & (geo->is_exfat ? 0xffffffff : 0x0fffffff);
	return 0;
}

bool fat_is_end(const struct fat_geometry *geo, uint32_t value)
{
	if (geo->is_exfat)
		return value == 0xffffffff;
	return value >= (geo->bits == 12 ? 0xff8u : geo->bits == 16 ? 0xfff8u : 0x0ffffff8u);
}

int fat_read_dirty(struct fat_volume *volume, bool *is_dirty, struct vd_error *err)
{
	uint32_t value;
	int ret;

	*is_dirty = false;
	if (volume->geo.bits == 12 || volume->geo.is_exfat)
		return 0;
	ret = fat_entry(volume, 1, &value, err);
	if (!ret) /* "cleanly shut down" and "no errors", where set */
		*is_dirty = volume->geo.bits == 16 ? (value & 0xc000) != 0xc000
						   : (value & 0x0c000000) != 0x0c000000;
	return ret;
}

void fat_chain_init(struct fat_chain *chain, uint32_t first, bool is_row, uint64_t length)
{
	*chain = (struct fat_chain){
	    .first = first, .is_row = is_row, .length = length, .cluster = first, .mark = 0};
}

static int chain_broken(struct vd_error *err, const struct fat_chain *chain, uint32_t next)
{
	return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
			    "the chain of clusters that begins with %u leads from %u to %u, which "
			    "is %s",
			    chain->first, chain->cluster, next,
			    next == chain->mark ? "back into itself" : "no cluster of the volume");
}

/* One cluster on. A circle is found because each mark, set when the number of steps is a power of
 * two, stays until twice as many are taken. */
static int chain_step(struct fat_volume *volume, struct fat_chain *chain, struct vd_error *err)
{
	uint32_t next;
	int ret;

	if (vd_is_pow2(chain->index + 1ull))
		chain->mark = chain->cluster;
	if (chain->is_row) {
		next = chain->cluster + 1;
	} else {
		ret = fat_entry(volume, chain->cluster, &next, err);
		if (ret)
			return ret;
		if (fat_is_end(&volume->geo, next))
			return VD_ENOENT;
	}
	if (!fat_is_cluster(&volume->geo, next) || next == chain->mark ||
	    chain->index >= volume->geo.n_clusters)
		return chain_broken(err, chain, next);
	chain->cluster = next;
	chain->index++;
	return 0;
}

int fat_chain_seek(struct fat_volume *volume, struct fat_chain *chain, uint64_t offset,
		   struct vd_error *err)
{
	uint64_t index = offset / volume->geo.cluster_size;
	int ret = 0;

	if (index < chain->index)
		fat_chain_init(chain, chain->first, chain->is_row, chain->length);
	if (!fat_is_cluster(&volume->geo, chain->cluster))
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "a file begins with cluster %u; the volume has 2 to %u",
				    chain->first, volume->geo.n_clusters + 1);
	if (chain->is_row && index > chain->index) {
		if (index >= volume->geo.n_clusters ||
		    !fat_is_cluster(&volume->geo, chain->first + (uint32_t)index))
			return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
					    "a file of clusters in a row from %u on goes beyond "
					    "the last one, %u",
					    chain->first, volume->geo.n_clusters + 1);
		chain->index = (uint32_t)index;
		chain->cluster = chain->first + chain->index;
	}
	while (!ret && chain->index < index)
		ret = chain_step(volume, chain, err);
	return ret;
}

int fat_chain_read(struct fat_volume *volume, struct fat_chain *chain, void *buf, size_t len,
		   uint64_t offset, size_t *n_read, struct vd_error *err)
{
	uint32_t cluster_size = volume->geo.cluster_size;
	uint8_t *to = buf;

	*n_read = 0;
	if (offset >= chain->length)
		return 0;
	len = (size_t)vd_min64(len, chain->length - offset);
	while (*n_read < len) {
		uint64_t at = offset + *n_read;
		uint32_t within = (uint32_t)(at % cluster_size);
		size_t n = (size_t)vd_min64(len - *n_read, cluster_size - within);
		int ret = fat_chain_seek(volume, chain, at, err);

		if (ret == VD_ENOENT && chain->length == UINT64_MAX)
			return 0;
		if (ret == VD_ENOENT)
			return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
					    "a file of %llu bytes ends after %u clusters of %u",
					    (unsigned long long)chain->length, chain->index + 1,
					    cluster_size);
		if (!ret)
			ret = vd_guest_view_read(
			    &volume->view, to + *n_read, n,
			    fat_cluster_at(&volume->geo, chain->cluster) + within, "cluster", err);
		if (ret)
			return ret;
		*n_read += n;
	}
	return 0;
}

int64_t fat_time(uint16_t date, uint16_t time)
{
	int64_t year = 1980 + (date >> 9), month = date >> 5 & 15, day = date & 31;
	int64_t era, of_era, days;

	if (month < 1 || month > 12 || day < 1)
		return 0;
	/* Days since 1970-01-01, counted in years that begin with March. */
	year -= month <= 2;
	era = year / 400;
	of_era = year % 400;
	days = of_era * 365 + of_era / 4 - of_era / 100 +
	       (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	days += era * 146097 - 719468;
	return days * 86400 + (time >> 11) * 3600 + (time >> 5 & 63) * 60 + (time & 31) * 2;
}

bool fat_is_same_name(const char *a, const char *b)
{
	const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)a;
	const utf8proc_uint8_t *q = (const utf8proc_uint8_t *)b;

	while (*p && *q) {
		utf8proc_int32_t c, d;
		utf8proc_ssize_t n = utf8proc_iterate(p, -1, &c), m = utf8proc_iterate(q, -1, &d);

		if (n <= 0 || m <= 0 || utf8proc_toupper(c) != utf8proc_toupper(d))
			return false;
		p += n;
		q += m;
	}
	return !*p && !*q;
}

bool fat_is_good_name(const char *name)
{
	return name[0] && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}
