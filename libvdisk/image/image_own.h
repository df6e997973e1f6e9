/* SPDX-License-Identifier: MIT */
/* What the files of image/ share about an image that is open. */
#ifndef VD_IMAGE_IMAGE_OWN_H
#define VD_IMAGE_IMAGE_OWN_H

#include <pthread.h>

#include <vdisk/image.h>

struct vd_image {
	enum vd_purpose purpose;
	struct vd_disk *disk;
	struct vd_meta *meta;
	pthread_mutex_t lock; /* recursive: the only thread may write while it holds it */
	bool has_entry;       /* this opening stands in the history */
	bool is_opening_logged, is_commit_logged; /* entered, but the commit of it failed */
	char *actor, *tool, *operation, *parameters;
};

/** What the options say of who does it with what, for a line in the history. */
struct vd_operation image_operation(const struct vd_image *image);
/** Damaged or full metadata never keeps the disk from being used: is that why a line could not be
 *  entered? `had_changes`: there was something else to commit. */
bool image_cant_remember(int code, bool had_changes);

/** A policy that is asked about an image, once or twice. */
struct image_question {
	const struct vd_policy *policy;
	enum vd_purpose action;
	const struct vd_image_opts *opts;
	struct vd_host *host; /* looked at by us; see image_question_end */
};
/** No rule speaks of the action: whatever is known of the image, it is allowed. */
bool image_question_is_idle(const struct image_question *question);
/**
 * Ask, of what `disk` and `meta` say now. 0: go on; VD_EDENIED: denied, and nobody overrides it.
 * `image` NULL: only a first look, of which `decided` hears nothing but a denial. Otherwise an
 * override is entered in the history of the image, and `decided` hears.
 */
int image_question_ask(struct image_question *question, struct vd_disk *disk, struct vd_meta *meta,
		       struct vd_image *image, struct vd_error *err);
void image_question_end(struct image_question *question);
/** Options as far as the caller knows them, checked. */
int image_take_opts(struct vd_image_opts *own, const struct vd_image_opts *opts,
		    enum vd_purpose purpose, struct vd_error *err);

#endif
