/* SPDX-License-Identifier: MIT */
#ifndef VDFUSE_OWNER_TAG_H
#define VDFUSE_OWNER_TAG_H

#include <vdisk/meta.h>

/** "+word", "key=value", "-word", "-key". Not committed. */
int owner_tag_edit(struct vd_meta *meta, const char *edit, struct vd_error *err);

#endif
