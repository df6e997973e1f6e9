/* SPDX-License-Identifier: MIT */
/*
 * What is in use on a disk, as somebody who knows writes it down for `vdtool compact --layout`: a
 * JSON document (docs/compaction.md). All that it doesn't name is to be dropped, so it is taken
 * only if every word of it is understood, and it is of this disk as it is now.
 */
#ifndef CONTROL_LAYOUT_DOCUMENT_H
#define CONTROL_LAYOUT_DOCUMENT_H

#include <jansson.h>

#include <vdisk/compact.h>

#define LAYOUT_DOCUMENT_MAX (16u << 20) /* bytes */
#define LAYOUT_EXTENTS_MAX  131072u
#define LAYOUT_DIRTY_LOG                                                                           \
	"its log holds changes that aren't in place yet: open it once for writing (vdtool check "  \
	"tells), so that what it holds has a name"

struct layout_document {
	uint8_t disk_id[16], data_write_id[16], generation[16];
	uint64_t virtual_size, sector_size;
	struct vd_compact_extent *extents; /* bytes; in order, none across another, none empty */
	size_t n_extents;
};

/** From somebody else. VD_EINVAL names what is wrong; *doc is to be freed after success only. */
int layout_document_parse(struct layout_document *doc, const char *bytes, size_t len,
			  struct vd_error *err);
void layout_document_free(struct layout_document *doc);
/** VD_EINVAL: it is of another disk. */
int layout_document_is_of(const struct layout_document *doc, const struct vd_disk_info *info,
			  struct vd_error *err);
/** The generation of a disk to which nobody writes: it goes with the FileWriteGuid, but isn't that.
 *  Who takes what an image in use shows may have it of a session that goes on writing. */
void layout_document_at_rest(const struct vd_disk_info *info, uint8_t generation[16]);
/** Of a disk to which nobody writes: is it of that generation? VD_EBUSY: it was written since.
 *  VD_EINVAL: the FileWriteGuid stands in its place. */
int layout_document_is_present(const struct layout_document *doc, const struct vd_disk_info *info,
			       struct vd_error *err);
/** Set the head of a document that is to be made: all members but the extents. */
void layout_document_head(json_t *object, const struct vd_disk_info *info,
			  const uint8_t generation[16]);

#endif
