/* SPDX-License-Identifier: MIT */
/*
 * Which file system is it? One row each. Containers come first: a member of a RAID 1 with its
 * superblock at the end, or a LUKS device, may begin with what looks like a file system.
 */
#include "guest/guest_probe.h"

#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/cleanup.h"

/* Up to the end of btrfs's superblock. */
#define HEAD (68 * VD_KIB)

static const struct vd_probe_row *const rows[] = {
    &vd_probe_mdraid, &vd_probe_lvm2, &vd_probe_luks,    &vd_probe_bitlocker, &vd_probe_xfs,
    &vd_probe_btrfs,  &vd_probe_ext,  &vd_probe_ntfs,    &vd_probe_exfat,     &vd_probe_refs,
    &vd_probe_fat,    &vd_probe_swap, &vd_probe_iso9660, &vd_probe_squashfs,  &vd_probe_zfs,
};
/* Of these, who occupies the place of a partition table. */
static const struct vd_probe_row *const boot_sectors[] = {
    &vd_probe_bitlocker, &vd_probe_ntfs, &vd_probe_exfat, &vd_probe_refs, &vd_probe_fat,
};

const uint8_t *vd_probe_at(struct vd_probe *probe, uint64_t offset, size_t len)
{
	if (vd_is_within(offset, len, probe->n_head))
		return probe->head + offset;
	if (probe->rc || len > VD_PROBE_SCRATCH || !vd_guest_view_has(probe->view, offset, len))
		return NULL;
	probe->rc =
	    vd_guest_view_read(probe->view, probe->scratch, len, offset, "probing", probe->err);
	return probe->rc ? NULL : probe->scratch;
}

static void clear(struct vd_filesystem *fs)
{
	memset(fs, 0, sizeof(*fs));
	fs->used = VD_UNKNOWN;
}

static bool look(const struct vd_probe_row *row, struct vd_probe *probe, uint64_t at,
		 struct vd_filesystem *fs)
{
	clear(fs);
	memcpy(fs->type, row->type, strlen(row->type) + 1);
	if (row->look(probe, at, fs) && !probe->rc)
		return true;
	clear(fs);
	return false;
}

static bool try_row(const struct vd_probe_row *row, struct vd_probe *probe,
		    struct vd_filesystem *fs)
{
	const size_t n_magics = sizeof(row->magics) / sizeof(row->magics[0]);

	if (!row->magics[0].bytes)
		return look(row, probe, 0, fs);
	for (size_t i = 0; i < n_magics && row->magics[i].bytes; i++) {
		const struct vd_probe_magic *magic = &row->magics[i];
		const uint8_t *p = vd_probe_at(probe, magic->at, magic->len);

		if (p && !memcmp(p, magic->bytes, magic->len) && look(row, probe, magic->at, fs))
			return true;
	}
	return false;
}

static int run_rows(const struct vd_guest_view *view, const struct vd_probe_row *const *list,
		    size_t n, struct vd_filesystem *fs, struct vd_error *err)
{
	size_t n_head = (size_t)vd_min64(view->length, HEAD);
	VD_AUTO_FREE uint8_t *bytes = vd_malloc(n_head + VD_PROBE_SCRATCH);
	struct vd_probe probe = {.view = view, .err = err, .head = bytes, .n_head = n_head};

	clear(fs);
	if (!bytes)
		return vd_no_memory(err, n_head + VD_PROBE_SCRATCH, "probing");
	probe.scratch = bytes + n_head;
	probe.rc = vd_guest_view_read(view, bytes, n_head, 0, "probing", err);
	for (size_t i = 0; i < n && !probe.rc; i++)
		if (try_row(list[i], &probe, fs))
			break;
	return probe.rc;
}

int vd_probe_is_boot_sector(const struct vd_guest_view *view, bool *is_one, struct vd_error *err)
{
	struct vd_filesystem fs;
	int ret =
	    run_rows(view, boot_sectors, sizeof(boot_sectors) / sizeof(boot_sectors[0]), &fs, err);

	*is_one = !ret && fs.type[0];
	return ret;
}

int vd_probe_view(const struct vd_guest_view *view, struct vd_filesystem *fs, struct vd_error *err)
{
	return run_rows(view, rows, sizeof(rows) / sizeof(rows[0]), fs, err);
}

int vd_guest_probe(struct vd_disk *disk, uint64_t start, uint64_t length, struct vd_filesystem *fs,
		   struct vd_error *err)
{
	struct vd_guest_view view;
	int ret = vd_guest_view_init(&view, disk, start, length, err);

	return ret ? ret : vd_probe_view(&view, fs, err);
}
