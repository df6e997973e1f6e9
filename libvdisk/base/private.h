/* SPDX-License-Identifier: MIT */
/*
 * What libvdisk.so lends to its own upper libraries (libvdisk-meta, libvdisk-compact), and to
 * nobody else: these names are exported under the version node VDISK_PRIVATE, may change with
 * any release, and the libraries of one release belong together.
 */
#ifndef VD_BASE_PRIVATE_H
#define VD_BASE_PRIVATE_H

#define VD_PRIVATE __attribute__((visibility("default")))

#endif
