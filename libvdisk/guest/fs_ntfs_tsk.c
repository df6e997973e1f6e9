// SPDX-License-Identifier: MIT
/* Loading libtsk (fs_ntfs_tsk.h). */
#include "guest/fs_ntfs_tsk.h"

#ifdef VD_HAS_TSK
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "guest/guest_library.h"

/* The SONAME that goes with the structures of version 4.11 and 4.12. */
#define SONAME "libtsk.so.19"

static struct ntfs_tsk functions;
static bool is_loaded;

static void load(void)
{
	static const struct guest_symbol symbols[] = {
	    {"tsk_img_open_external", offsetof(struct ntfs_tsk, img_open)},
	    {"tsk_img_close", offsetof(struct ntfs_tsk, img_close)},
	    {"tsk_fs_open_img", offsetof(struct ntfs_tsk, fs_open)},
	    {"tsk_fs_close", offsetof(struct ntfs_tsk, fs_close)},
	    {"tsk_fs_file_open_meta", offsetof(struct ntfs_tsk, file_open)},
	    {"tsk_fs_file_close", offsetof(struct ntfs_tsk, file_close)},
	    {"tsk_fs_file_read", offsetof(struct ntfs_tsk, file_read)},
	    {"tsk_fs_dir_open_meta", offsetof(struct ntfs_tsk, dir_open)},
	    {"tsk_fs_dir_getsize", offsetof(struct ntfs_tsk, dir_size)},
	    {"tsk_fs_dir_get_name", offsetof(struct ntfs_tsk, dir_name)},
	    {"tsk_fs_dir_close", offsetof(struct ntfs_tsk, dir_close)},
	    {"tsk_error_get", offsetof(struct ntfs_tsk, error_text)},
	    {"tsk_error_reset", offsetof(struct ntfs_tsk, error_reset)},
	};

	is_loaded =
	    guest_library_load(SONAME, symbols, sizeof(symbols) / sizeof(symbols[0]), &functions);
}

const struct ntfs_tsk *ntfs_tsk(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, load);
	return is_loaded ? &functions : NULL;
}
#endif
