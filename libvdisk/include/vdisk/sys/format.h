/* SPDX-License-Identifier: MIT */
/*
 * sys/format.h - what a disk format offers to the disk layer (for those who extend libvdisk).
 *
 * A format turns virtual offsets of one image into offsets of its store. It knows nothing of
 * other images: for what isn't stored here it answers VD_STATE_PARENT, and the disk layer asks
 * the parent. All functions but open, create and close may be called from many threads at once.
 */
#ifndef VDISK_SYS_FORMAT_H
#define VDISK_SYS_FORMAT_H

#include <vdisk/disk.h>
#include <vdisk/item.h>
#include <vdisk/sys/io.h>
#include <vdisk/sys/space.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How the disk layer opens an image. */
struct vd_format_open {
	uint32_t flags;     /**< VD_OPEN_* */
	size_t cache_bytes; /**< > 0 */
	bool was_probed;
};

/** What a new image gets from its parent, resolved by the disk layer. */
struct vd_format_parent {
	uint64_t virtual_size;
	uint32_t logical_sector_size, physical_sector_size, block_size;
	uint8_t data_write_id[16]; /**< RFC 4122 order */
	uint8_t disk_id[16]; /**< the child shows the same disk; all zero: it gets one of its own */
	const char *relative_path; /**< from the new image's folder, with '/' */
	const char *absolute_path; /**< with '/' */
	/** Items that the child takes over; `fill` brings their content. */
	const struct vd_item_change *items;
	size_t n_items;
};

#define VD_FORMAT_ZERO_DISCARD 0x2u /**< vd_disk_discard; else the range must read as zero */

struct vd_format_ops {
	uint32_t size;
	const char *name;
	/** The store is of this format. `head` holds its first bytes, `tail` its last 512. */
	bool (*probe)(const uint8_t *head, size_t n_head, const uint8_t *tail, size_t n_tail);
	/** The format keeps a reference to `io`. */
	int (*open)(void **state, struct vd_io *io, const struct vd_format_open *how,
		    struct vd_error *err);
	/** Flush, mark clean, free. */
	int (*close)(void *state, struct vd_error *err);
	/** Fill an empty store. opts holds no zeros any more where defaults exist. */
	int (*create)(struct vd_io *io, const struct vd_create_opts *opts,
		      const struct vd_format_parent *parent, struct vd_error *err);
	void (*get_info)(void *state, struct vd_disk_info *info);
	void (*get_stats)(void *state, struct vd_disk_stats *stats);
	/** NULL if the format has no parents. */
	int (*get_parent_hint)(void *state, struct vd_parent_hint *hint, struct vd_error *err);
	/**
	 * As vd_disk_resolve, for a range within the disk. A write to a stretch that is partly the
	 * parent's is for whole sectors.
	 */
	int (*resolve)(void *state, uint64_t start, uint64_t length, enum vd_access access,
		       struct vd_mapping *mapping, struct vd_error *err);
	int (*release)(void *state, struct vd_mapping *mapping, enum vd_outcome outcome,
		       struct vd_error *err);
	/** The next stretch for map: as resolve for reading, but pins nothing and joins blocks. */
	int (*extent)(void *state, uint64_t start, uint64_t limit, struct vd_extent *extent,
		      struct vd_error *err);
	/** flags: VD_ZERO_KEEP_SPACE, VD_FORMAT_ZERO_DISCARD. Sector-aligned if there is a parent.
	 */
	int (*zero)(void *state, uint64_t start, uint64_t length, uint32_t flags,
		    struct vd_error *err);
	int (*flush)(void *state, struct vd_error *err);
	int (*count_blocks)(void *state, struct vd_block_counts *counts, struct vd_error *err);
	/** VD_OPEN_LOOK: has the image changed since it was opened, so that what was read may be
	 * torn? */
	int (*look_again)(void *state, bool *has_changed, struct vd_error *err);
	int (*check)(struct vd_io *io, vd_finding_fn fn, void *user, uint64_t *n_errors,
		     struct vd_error *err);

	/* User metadata items (vdisk/item.h), NULL if the format has none. change_items announces
	 * nothing: a listener of VD_EVENT_WILL_WRITE may be the caller. */
	int (*list_items)(void *state, struct vd_item **items, size_t *n, struct vd_error *err);
	int (*read_item)(void *state, const uint8_t id[16], void *buf, uint32_t len,
			 uint32_t offset, struct vd_error *err);
	int (*change_items)(void *state, const struct vd_item_change *changes, size_t n,
			    struct vd_error *err);
	/* The space of the file, as in vdisk/sys/space.h; all of them or none. */
	int (*get_space)(void *state, struct vd_space_info *info, struct vd_error *err);
	int (*list_use)(void *state, vd_use_fn fn, void *user, struct vd_error *err);
	int (*move)(void *state, enum vd_use use, uint64_t number, uint64_t from, uint64_t to,
		    uint32_t hold_ms, struct vd_move_result *result, struct vd_error *err);
	int (*drop)(void *state, uint64_t number, enum vd_drop how, uint32_t hold_ms,
		    uint64_t *n_dropped, struct vd_error *err);
	int (*punch)(void *state, uint64_t number, uint32_t unit, uint32_t hold_ms,
		     uint64_t *n_punched, struct vd_error *err);
	int (*cut)(void *state, uint64_t keep, uint64_t *length, struct vd_error *err);
};

#ifdef __cplusplus
}
#endif
#endif
