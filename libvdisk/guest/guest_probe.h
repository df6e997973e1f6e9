/* SPDX-License-Identifier: MIT */
/*
 * What recognises a file system: a row of magic bytes and a function that looks closer. A row's
 * function gets its bytes from vd_probe_at only, which never leaves the stretch.
 */
#ifndef VD_GUEST_PROBE_H
#define VD_GUEST_PROBE_H

#include <vdisk/guest.h>

#include "guest/guest_disk.h"

struct vd_probe {
	const struct vd_guest_view *view;
	uint8_t *head; /* the first bytes, where nearly all superblocks lie */
	size_t n_head;
	uint8_t *scratch; /* bytes from elsewhere, until the next vd_probe_at */
	struct vd_error *err;
	int rc; /* a read that failed: the probe is over */
};

#define VD_PROBE_SCRATCH 65536u

/** [offset, offset + len) of the stretch, len <= VD_PROBE_SCRATCH; NULL if it isn't within or can't
 *  be read. Valid until the next call. */
const uint8_t *vd_probe_at(struct vd_probe *probe, uint64_t offset, size_t len);

struct vd_probe_magic {
	uint32_t at;
	const char *bytes; /* NULL ends the list */
	uint8_t len;
};

struct vd_probe_row {
	const char *type;
	/** One of these must be there. None: look() is always asked. */
	struct vd_probe_magic magics[8];
	/** True: it is one, and *fs is filled (type is filled already and may be made more exact).
	 *  `at` is where the magic that was found lies. */
	bool (*look)(struct vd_probe *probe, uint64_t at, struct vd_filesystem *fs);
};

extern const struct vd_probe_row vd_probe_mdraid, vd_probe_lvm2, vd_probe_zfs, vd_probe_luks,
    vd_probe_bitlocker, vd_probe_xfs, vd_probe_btrfs, vd_probe_ext, vd_probe_swap, vd_probe_ntfs,
    vd_probe_exfat, vd_probe_refs, vd_probe_fat, vd_probe_iso9660, vd_probe_squashfs;

/** The stretch begins with a boot sector that has no room for a partition table: what stands
 *  there are instructions. */
int vd_probe_is_boot_sector(const struct vd_guest_view *view, bool *is_one, struct vd_error *err);
/** vd_guest_probe on a view. */
int vd_probe_view(const struct vd_guest_view *view, struct vd_filesystem *fs, struct vd_error *err);

#endif
