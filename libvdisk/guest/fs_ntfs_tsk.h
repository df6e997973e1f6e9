/* SPDX-License-Identifier: MIT */
/*
 * The Sleuth Kit, loaded when an NTFS is to be read and not before. libtsk is under IPL-1.0 and
 * CPL-1.0 and brings C++, curl and OpenSSL along; nothing of ours is linked with it. Its structures
 * are those of the headers that we were built with, so only that SONAME is asked for.
 */
#ifndef VD_GUEST_FS_NTFS_TSK_H
#define VD_GUEST_FS_NTFS_TSK_H

#if __has_include(<tsk/libtsk.h>)
#define VD_HAS_TSK 1
#include <tsk/libtsk.h>

struct ntfs_tsk {
	__typeof__(tsk_img_open_external) *img_open;
	__typeof__(tsk_img_close) *img_close;
	__typeof__(tsk_fs_open_img) *fs_open;
	__typeof__(tsk_fs_close) *fs_close;
	__typeof__(tsk_fs_file_open_meta) *file_open;
	__typeof__(tsk_fs_file_close) *file_close;
	__typeof__(tsk_fs_file_read) *file_read;
	__typeof__(tsk_fs_dir_open_meta) *dir_open;
	__typeof__(tsk_fs_dir_getsize) *dir_size;
	__typeof__(tsk_fs_dir_get_name) *dir_name;
	__typeof__(tsk_fs_dir_close) *dir_close;
	__typeof__(tsk_error_get) *error_text;
	__typeof__(tsk_error_reset) *error_reset;
};

/** The functions, or NULL if the library isn't installed. Loaded once, never unloaded. */
const struct ntfs_tsk *ntfs_tsk(void);
#endif

#endif
