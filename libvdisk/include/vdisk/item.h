/* SPDX-License-Identifier: MIT */
/*
 * item.h - user metadata items: what vendors keep in the metadata region of a VHDX
 * (MS-VHDX 2.6.1.2, entries with IsUser set), as raw bytes under a GUID.
 *
 * This is the mechanism below vdisk/meta.h: it knows no envelope and no document. Items of
 * others are listed, read and carried along byte for byte, whatever is done to one's own.
 * All functions are thread-safe on one handle.
 */
#ifndef VDISK_ITEM_H
#define VDISK_ITEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdisk/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vd_disk;

#define VD_ITEM_USER         0x1u /**< always set here: system items have functions of their own */
#define VD_ITEM_VIRTUAL_DISK 0x2u /**< belongs to the disk's content: copied into new children */
#define VD_ITEM_REQUIRED     0x4u /**< seen in files of others; never written */

#define VD_ITEM_MAX          (1u << 20)  /**< bytes of one item (MS-VHDX 2.6.1.2) */
#define VD_ITEM_TOTAL_MAX    (32u << 20) /**< bytes of all user items together: our own bound */

/** An item as the metadata table shows it. */
struct vd_item {
	uint8_t id[16];  /**< RFC 4122 order */
	uint32_t flags;  /**< VD_ITEM_* */
	uint32_t length; /**< bytes, <= VD_ITEM_MAX */
	uint64_t offset; /**< in the file, 0 if empty; as of now */
};

/**
 * All user items, in the order of the table. *items is the caller's, to be given back to
 * vd_items_free; NULL with *n = 0 if there are none. Reads nothing: the opening did.
 * VD_EUNSUPPORTED: the image's format has no items; VD_ENOMEM.
 */
VD_API int vd_disk_list_items(struct vd_disk *disk, struct vd_item **items, size_t *n,
			      struct vd_error *err);
/** Give back what vd_disk_list_items handed out. NULL is allowed. */
VD_API void vd_items_free(struct vd_item *items);

/**
 * Bytes [offset, offset + len) of the user item `id`. VD_ENOENT: there is none; VD_ERANGE: it is
 * shorter; VD_EUNSUPPORTED as above. Reads from the file each time: nothing of it is kept. Through
 * VD_OPEN_LOOK, bytes may be others by now if another program changes items: who needs to know
 * keeps a digest in the item.
 */
VD_API int vd_disk_read_item(struct vd_disk *disk, const uint8_t id[16], void *buf, uint32_t len,
			     uint32_t offset, struct vd_error *err);

/** What is to become of one item. Borrowed during vd_disk_change_items, with what it points to. */
struct vd_item_change {
	uint8_t id[16];   /**< RFC 4122 order */
	uint32_t flags;   /**< VD_ITEM_USER, with or without VD_ITEM_VIRTUAL_DISK */
	bool is_removal;  /**< the item is to go; no error if it isn't there */
	uint32_t length;  /**< bytes of the new content, <= VD_ITEM_MAX */
	const void *data; /**< the new content, or NULL: `fill` brings it */
	/** Bring bytes [offset, offset + len) of the new content: called in order, in pieces, in
	 *  the thread that makes the change. A negative answer ends the whole change with that
	 *  code. It may read from the disk, but not change items. */
	int (*fill)(void *user, void *buf, uint32_t len, uint32_t offset, struct vd_error *err);
	void *user;
};

/**
 * Make all of these changes, or none: durable when it returns 0; a crash at any moment leaves all
 * items as before or all as wanted. The payload of the disk isn't touched, DataWriteGuid stays
 * (children remain valid), FileWriteGuid changes once per opening. Content that changes place
 * together is put in one run of the region where that is possible, in the order given. Grows the
 * metadata region where needed. Callers are served one after the other; the image may be written
 * to meanwhile.
 * Errors: VD_EROFS, VD_EUNSUPPORTED (no items in this format), VD_EINVAL (an id twice, too long,
 * VD_ITEM_REQUIRED), VD_ENOSPC (bounds of the format or of the library, or the host is full; the
 * text says which), VD_EPOISONED. After a failure all items are as before; only if a sync failed
 * (the handle is poisoned then) nobody knows before the next opening, which shows all as before or
 * all as wanted.
 */
VD_API int vd_disk_change_items(struct vd_disk *disk, const struct vd_item_change *changes,
				size_t n, struct vd_error *err);

#ifdef __cplusplus
}
#endif
#endif
