/* SPDX-License-Identifier: MIT */
/* Looking into one image: does it fit? For search_direct.c; a thread has a looker of its own. */
#ifndef VDTOOL_SEARCH_LOOK_H
#define VDTOOL_SEARCH_LOOK_H

#include <vdisk/image.h>

#include "search.h"

struct search_looker {
	struct search_evidence evidence; /**< first: both callbacks get the same `user` */
	const struct search_plan *plan;
	const char *path; /**< of the image that is looked into */
	struct vd_xpath *xpath;
	struct vd_image *image, *index; /**< `index`: the same once more, for its file index */
	struct vd_fact_set *file_facts;
	uint32_t timeout_ms;
};
/** What was found. Facts are valid until search_look_end. */
struct search_found {
	bool is_match, lacks_file_index;
	struct vd_fact_run runs[2];
};

/** Zeroed before. --xpath is compiled, so this can fail. */
int search_looker_init(struct search_looker *looker, const struct search_plan *plan,
		       struct vd_error *err);
void search_looker_free(struct search_looker *looker);
/** Does it fit? `modified`: when the file was, seconds since 1970. Says nothing. In any case
 *  search_look_end follows. */
int search_look(struct search_looker *looker, const char *path, int64_t modified,
		struct search_found *found, struct vd_error *err);
void search_look_end(struct search_looker *looker);
/** --timeout, or the usual time for an image. */
uint32_t search_timeout_ms(const struct tool_args *args);

#endif
