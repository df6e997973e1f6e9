/* SPDX-License-Identifier: MIT */
/*
 * The table of formats, and recognising them. A format that this library doesn't open has a name
 * here too, so that it is refused by name and never taken for raw.
 */
#ifndef VD_FORMAT_FORMATS_H
#define VD_FORMAT_FORMATS_H

#include <vdisk/sys/format.h>

extern const struct vd_format_ops vhdx_format_ops;
extern const struct vd_format_ops raw_format_ops;

/** How much of the first and last bytes is looked at. */
#define VD_PROBE_HEAD 4096u
#define VD_PROBE_TAIL 512u

/** The format of that name, NULL if this library doesn't have it. */
const struct vd_format_ops *vd_format_find(const char *name);

/**
 * The name of the format that these bytes show, "raw" if none. `head` holds the first n_head
 * bytes of the store, `tail` its last n_tail. A static string.
 */
const char *vd_format_recognise(const uint8_t *head, size_t n_head, const uint8_t *tail,
				size_t n_tail);

/** The same for a store: reads VD_PROBE_HEAD bytes of it and, if need be, VD_PROBE_TAIL. */
int vd_format_probe(struct vd_io *io, const char **name, struct vd_error *err);

#endif
