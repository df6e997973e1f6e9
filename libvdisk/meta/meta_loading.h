/* SPDX-License-Identifier: MIT */
/* What meta_load.c and meta_directory.c share while a directory is read. */
#ifndef VD_META_LOADING_H
#define VD_META_LOADING_H

#include "meta/meta_handle.h"

struct loading {
	struct vd_meta *meta;
	bool *is_claimed; /* of each item */
	bool has_more;    /* records that the directory doesn't know */
	bool is_misfit;   /* there is one, and it doesn't fit */
};

/** Index of the item of this id; n_items: there is none. */
size_t meta_find_item(const struct vd_meta *meta, struct vd_guid id);
/** A record begins with this item. One of the same key that only waits to be stored becomes it. */
int meta_begin_record(struct loading *ld, enum vd_record_type type, struct vd_span kind,
		      struct vd_span name, struct vd_span media, size_t index,
		      struct meta_record **out, struct vd_error *err);
int meta_add_part(struct meta_record *r, const struct vd_item *item, struct vd_error *err);
/** Take records from the directory, if it fits; else take none. */
int meta_use_directory(struct loading *ld, bool *fits, struct vd_error *err);

#endif
