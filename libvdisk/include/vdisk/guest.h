/* SPDX-License-Identifier: MIT */
/*
 * guest.h - what lies on a virtual disk: partitions, file systems, and files, read without running
 * or mounting anything. Read-only throughout, and over hostile data: every length is bounded,
 * every chain has an end, and what can't be read is said, not guessed.
 *
 * Offsets and lengths are bytes of the virtual disk unless another origin is named. A handle is for
 * one thread at a time; several handles on one disk may be used side by side, functions without one
 * by any threads. Callbacks run in the caller's thread. Besides the errors named, what reads a disk
 * gives what vd_disk_read gives, and VD_ECORRUPT where a guest's structures break their rules.
 */
#ifndef VDISK_GUEST_H
#define VDISK_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdisk/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vd_disk;

/** How the disk is divided. */
enum vd_scheme {
	VD_SCHEME_NONE = 0, /**< a file system on the whole disk, or nothing known */
	VD_SCHEME_MBR = 1,
	VD_SCHEME_GPT = 2,
	VD_SCHEME_HYBRID = 3, /**< a GPT with an MBR that names some of its partitions */
};
/** "none", "mbr", "gpt", "hybrid". A static string. */
VD_API const char *vd_scheme_name(enum vd_scheme scheme);

#define VD_GUEST_MAX_PARTITIONS 256u /**< of a disk; more are left out, which `problem` tells */

/** What a probe found on a stretch of disk. Strings are UTF-8, "" where unknown. */
struct vd_filesystem {
	char type[16];    /**< "ext4", "xfs", "btrfs", "ntfs", "vfat", "exfat", "swap", "lvm2",
			     "luks", "iso9660", ...; "" if none was recognised */
	char version[16]; /**< "FAT32", "LUKS2", ... */
	char label[256];
	char uuid[64];       /**< as the system shows it: RFC 4122, or "ABCD-1234" for FAT */
	uint32_t block_size; /**< 0: unknown, as the next ones */
	uint64_t size;       /**< bytes that the file system takes itself to have */
	uint64_t used;       /**< bytes; VD_UNKNOWN if its superblock doesn't say */
	bool is_dirty;       /**< not cleanly unmounted, or a journal waits to be replayed */
};
#define VD_UNKNOWN UINT64_MAX

/** A partition, and what its beginning shows. Strings are UTF-8. */
struct vd_partition {
	uint32_t number; /**< as the guest counts: 1.., 5.. for logical ones; 0: the whole disk */
	uint64_t start, length;
	char type[40];       /**< "0x83", or the GPT type's GUID */
	char type_name[48];  /**< "Linux filesystem data", ...; "" if not known */
	char uuid[40];       /**< the partition's own; "" for MBR */
	char name[128];      /**< GPT: its name, UTF-8 */
	uint64_t attributes; /**< GPT attributes; MBR: 1 if active */
	struct vd_filesystem filesystem;
};

/** How a disk is divided, and what stands where. */
struct vd_layout {
	enum vd_scheme scheme;
	char disk_uuid[40];  /**< GPT's disk GUID, or the MBR's signature in hex */
	const char *problem; /**< NULL, or what is wrong ("the first GPT header is damaged; the
				second one was used"); belongs to the layout */
	size_t n_partitions;
	struct vd_partition
	    *partitions; /**< by start; if scheme is NONE, one that is the whole disk */
};
/** Read the tables and probe each partition. A disk without either gives SCHEME_NONE. *out is the
 * caller's (vd_layout_free) and doesn't need the disk. Damaged tables are told in `problem`;
 * VD_EIO if the disk can't be read. */
VD_API int vd_guest_read_layout(struct vd_layout **out, struct vd_disk *disk, struct vd_error *err);
/** Give a layout back, with all that belongs to it. NULL is allowed. */
VD_API void vd_layout_free(struct vd_layout *layout);
/** Probe one stretch: what is it? *fs is filled and borrows nothing. Nothing recognised: 0, with
 *  type "". VD_ERANGE: the stretch isn't within the disk. */
VD_API int vd_guest_probe(struct vd_disk *disk, uint64_t start, uint64_t length,
			  struct vd_filesystem *fs, struct vd_error *err);

/* ---- files ---- */

/** What a name in a folder stands for. */
enum vd_file_type {
	VD_FILE_OTHER = 0, /**< a device, a socket, ... */
	VD_FILE_REGULAR = 1,
	VD_FILE_FOLDER = 2,
	VD_FILE_SYMLINK = 3,
};
/** A file as its inode tells. */
struct vd_file_info {
	enum vd_file_type type;
	uint64_t size;  /**< bytes */
	int64_t mtime;  /**< seconds since 1970 */
	uint32_t mode;  /**< permission bits, 0 where the file system has none */
	uint64_t inode; /**< a number that tells files of this file system apart */
};

struct vd_guest_fs;
/**
 * Open the file system on [start, start + length) for reading files. *out is the caller's, to be
 * closed by vd_guest_fs_close; `disk` is borrowed and must stay open longer. VD_EUNSUPPORTED: its
 * type can't be read by this build (the text says which can). A journal that waits to be replayed
 * isn't: files are read as the blocks show them, and vd_guest_fs_is_dirty says so. Metadata is kept
 * in memory: what a guest writes meanwhile is seen late, in part, or as damage.
 */
VD_API int vd_guest_fs_open(struct vd_guest_fs **out, struct vd_disk *disk, uint64_t start,
			    uint64_t length, struct vd_error *err);
/** Let go of it; the disk stays open. NULL is allowed. */
VD_API void vd_guest_fs_close(struct vd_guest_fs *fs);
/** What the probe found when it was opened. Borrowed until the close. */
VD_API const struct vd_filesystem *vd_guest_fs_info(const struct vd_guest_fs *fs);
/** It wasn't cleanly unmounted, or a journal waits, as of the opening. */
VD_API bool vd_guest_fs_is_dirty(const struct vd_guest_fs *fs);

/** What lies at a path. Paths, here and below, are absolute ("/etc/os-release"), UTF-8, "/" between
 *  parts. Symbolic links are followed, 40 at most, within this file system. FAT, exFAT and NTFS
 *  ignore case. VD_ENOENT: nothing; VD_EINVAL: a path that isn't absolute; VD_ERANGE: too long. */
VD_API int vd_guest_fs_stat(struct vd_guest_fs *fs, const char *path, struct vd_file_info *info,
			    struct vd_error *err);
/** The target of a symbolic link itself, with a NUL, into `size` bytes. VD_ERANGE: they are too
 * few; VD_EINVAL: it is no symbolic link. */
VD_API int vd_guest_fs_readlink(struct vd_guest_fs *fs, const char *path, char *target, size_t size,
				struct vd_error *err);
/** Read up to len bytes of a regular file (else VD_EINVAL) at its byte `offset`; *n_read is less
 * only at the end of the file. */
VD_API int vd_guest_fs_read(struct vd_guest_fs *fs, const char *path, void *buf, size_t len,
			    uint64_t offset, size_t *n_read, struct vd_error *err);
/** The whole of a small file, a NUL behind it; VD_ERANGE if it is longer than `max`. The caller
 * frees *bytes with vd_guest_free. */
VD_API int vd_guest_fs_slurp(struct vd_guest_fs *fs, const char *path, size_t max, char **bytes,
			     size_t *len, struct vd_error *err);
/** Give back what a function of this header handed out for freeing. NULL is allowed. */
VD_API void vd_guest_free(void *p);

/** One name in a folder. `name` isn't a path; it and `info` are valid during the call. A non-zero
 *  answer ends the listing and is returned. */
typedef int (*vd_name_fn)(void *user, const char *name, const struct vd_file_info *info);
/** The names in a folder, sorted by bytes, without "." and "..". Symbolic links are shown, not
 *  followed. VD_EUNSUPPORTED: over the bounds (2^20 names, 64 MiB of them). */
VD_API int vd_guest_fs_list(struct vd_guest_fs *fs, const char *folder, vd_name_fn fn, void *user,
			    struct vd_error *err);

/** An open file, for reading much of it (digests). */
struct vd_guest_file;
/** Hears of one file, folder or link of a walk. `file` is NULL unless it is a regular file; all is
 *  valid only during the call. A non-zero answer ends the walk and is returned. */
typedef int (*vd_walk_fn)(void *user, const char *path, const struct vd_file_info *info,
			  struct vd_guest_file *file);
/** Hears what can't be read and is left out, and why; valid during the call. */
typedef void (*vd_problem_fn)(void *user, const char *path, const struct vd_error *why);
/**
 * Walk the whole tree below `root`, folders before what is in them, names sorted by bytes within a
 * folder. Symbolic links are shown, not followed; each folder is entered once, however many names
 * it has. A folder that can't be read is told through `problem` (may be NULL) and left out; only
 * VD_ENOMEM, VD_ECANCELED and VD_ETIMEDOUT, or a `root` that can't be found, end the walk.
 */
VD_API int vd_guest_fs_walk(struct vd_guest_fs *fs, const char *root, vd_walk_fn fn,
			    vd_problem_fn problem, void *user, struct vd_error *err);
/** As vd_guest_fs_read, of the file that a walk shows, in its callback. */
VD_API int vd_guest_file_read(struct vd_guest_file *file, void *buf, size_t len, uint64_t offset,
			      size_t *n_read, struct vd_error *err);

/** Hears one free stretch of the disk. A non-zero answer ends it and is returned. */
typedef int (*vd_free_fn)(void *user, uint64_t start, uint64_t length);
/** Free space by the file system's own bitmap, as stretches of the *disk*, in order. Refused unless
 *  the file system was clean when it was opened (VD_EBUSY), if the bitmap contradicts itself
 *  (VD_ECORRUPT; stretches may have been told before), and if it is unknown to this build
 *  (VD_EUNSUPPORTED). Whoever acts on it must also know that nobody writes meanwhile. */
VD_API int vd_guest_fs_free_space(struct vd_guest_fs *fs, vd_free_fn fn, void *user,
				  struct vd_error *err);

#ifdef __cplusplus
}
#endif
#endif
