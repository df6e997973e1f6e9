/* SPDX-License-Identifier: MIT */
/*
 * The file index: all paths of a disk's file systems, as one attachment. docs/scan.md specifies
 * the bytes. Front-coded and cut into chunks that are compressed one by one, so that it is written
 * and read with memory for one chunk.
 */
#ifndef VD_IMAGE_FILEINDEX_H
#define VD_IMAGE_FILEINDEX_H

#include <stdbool.h>

#include "base/bytes.h"
#include <vdisk/image.h>

/** Name and media type of the attachment. */
#define VD_INDEX_NAME       ".vdisk/files"
#define VD_INDEX_MEDIA_TYPE "application/vnd.vdisk.files"
/** The index is kept out if it were longer: attachments share 32 MiB with all else. */
#define VD_INDEX_MAX        (24u << 20)

#define VD_INDEX_MAGIC      "VDFILES1"
#define VD_INDEX_CHUNK_MAX  65536u /**< bytes of a chunk, inflated */
#define VD_INDEX_STORED_MAX 66560u /**< ... as stored: zlib adds little to what it can't shrink */
#define VD_INDEX_PATH_MAX   32768u /**< bytes of a path, with its NUL */

enum vd_index_chunk_kind {
	VD_INDEX_SECTION = 1, /**< a file system begins */
	VD_INDEX_ENTRIES = 2,
	VD_INDEX_END = 3,
};

struct vd_index_header {
	uint8_t magic[8];
	struct vd_le32 version; /**< 1 */
	struct vd_le32 flags;   /**< VD_INDEX_HAS_DIGESTS */
	struct vd_le64 time;    /**< seconds since 1970 */
};
_Static_assert(sizeof(struct vd_index_header) == 24, "as specified");
#define VD_INDEX_HAS_DIGESTS 1u

struct vd_index_chunk {
	struct vd_le32 kind;
	struct vd_le32 n_entries;
	struct vd_le32 raw_len;
	struct vd_le32 stored_len; /**< bytes that follow, a zlib stream */
};
_Static_assert(sizeof(struct vd_index_chunk) == 16, "as specified");

/* ---- writing ---- */

struct vd_index_writer;
int vd_index_writer_open(struct vd_index_writer **out, int64_t time, bool has_digests, size_t max,
			 struct vd_error *err);
void vd_index_writer_close(struct vd_index_writer *writer);
/** The entries that follow are of this file system. mount: where the guest mounts it, or "". */
int vd_index_begin(struct vd_index_writer *writer, uint32_t partition, const char *mount,
		   struct vd_error *err);
/** One file; path within its file system. Paths have to come in order (a folder before what is in
 *  it, names by bytes). VD_ENOSPC: longer than max. */
int vd_index_add(struct vd_index_writer *writer, const struct vd_indexed_file *file,
		 struct vd_error *err);
/** The whole index; borrowed until the close. */
int vd_index_finish(struct vd_index_writer *writer, const uint8_t **bytes, size_t *len,
		    struct vd_error *err);

/* ---- reading ---- */

struct vd_index_reader;
/** Each entry will go to fn, its path with the mount point before it. */
int vd_index_reader_open(struct vd_index_reader **out, vd_index_fn fn, void *user,
			 struct vd_error *err);
void vd_index_reader_close(struct vd_index_reader *reader);
/** The next bytes, however they are cut. A non-zero answer of fn ends it and is returned. */
int vd_index_feed(struct vd_index_reader *reader, const void *bytes, size_t len,
		  struct vd_error *err);
/** There are no more: VD_ECORRUPT if the index isn't at its end. */
int vd_index_end(struct vd_index_reader *reader, struct vd_error *err);

/** The order of paths: by names, so that what is in a folder follows it at once. */
int vd_index_compare(const char *a, const char *b);

#endif
