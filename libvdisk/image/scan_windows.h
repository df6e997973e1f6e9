/* SPDX-License-Identifier: MIT */
/* Which Windows a file system holds, by its registry. Apart from scan.h: it needs libhivex. */
#ifndef VD_IMAGE_SCAN_WINDOWS_H
#define VD_IMAGE_SCAN_WINDOWS_H

#include "image/scan.h"

/** VD_ENOENT: no Windows is there. What can't be read of one that is there is told. */
int vd_scan_read_windows(struct vd_scan *scan, struct vd_guest_fs *fs, struct vd_scan_os *os,
			 struct vd_error *err);

#endif
