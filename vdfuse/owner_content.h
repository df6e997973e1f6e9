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

/** A copy of the stretch that `where` names by `at` and `length`, of what came as `fd`; to be
 * freed, a NUL follows. VD_ENOSPC: more than `max`. */
int owner_content_copy(int fd, const json_t *where, size_t max, char **bytes, size_t *len,
		       struct vd_error *err);

#endif
