/* SPDX-License-Identifier: MIT */
/* Edits of metadata whose content came beside the request. */
#ifndef VDFUSE_OWNER_CONTENT_H
#define VDFUSE_OWNER_CONTENT_H

#include <vdisk/meta.h>

#include "control.h"

struct owner_content {
	int fd; /* as it came, or -1 */
	bool is_known;
	struct control_content of; /* once it is */
	size_t n_taken;            /* fields that a libvirt domain filled */
};

/** Is `op` one of these? */
bool owner_content_has(const char *op);
/** Make the edit. Not committed. */
int owner_content_edit(struct owner_content *content, struct vd_meta *meta, const char *op,
		       const json_t *edit, struct vd_error *err);

#endif
