/* SPDX-License-Identifier: MIT */
/*
 * See search_look.h. Of an image its headers, its metadata table, facts are read: no payload, no
 * BAT, no lock. The file index is read through an opening of its own, since reading an attachment
 * may load the metadata anew, and the facts that are being compared would go with it.
 */
#include <string.h>

#include "metadata.h"
#include "output.h"
#include "search_look.h"

int search_looker_init(struct search_looker *looker, const struct search_plan *plan,
		       struct vd_error *err)
{
	const struct tool_args *args = plan->args;

	looker->plan = plan;
	looker->timeout_ms = search_timeout_ms(args);
	if (!args->is_set[OPT_XPATH])
		return 0;
	return vd_xpath_compile(&looker->xpath, args->text[OPT_XPATH], err);
}

void search_looker_free(struct search_looker *looker)
{
	search_look_end(looker);
	search_evidence_free(&looker->evidence);
	vd_xpath_free(looker->xpath);
	looker->xpath = NULL;
}

static int open_image(const struct search_looker *looker, struct vd_image **out,
		      struct vd_error *err)
{
	struct vd_open_opts disk = VD_OPEN_OPTS_INIT;
	struct vd_image_opts opts = VD_IMAGE_OPTS_INIT;

	disk.flags = VD_OPEN_NO_PARENTS;
	disk.timeout_ms = looker->timeout_ms;
	opts.disk = &disk;
	opts.sidecar_dir = tool_sidecar_dir(looker->plan->args);
	return vd_image_open(out, looker->path, VD_PURPOSE_SEARCH, NULL, &opts, err);
}

/* ---- the file index ---- */

#define FOUND 1

struct index_look {
	const struct vd_query_node *node;
	char *path;
	size_t size;
};

static int look_at_entry(void *user, const struct vd_indexed_file *file)
{
	const struct index_look *look = user;

	if (!vd_query_match_file(look->node, file->path, NULL, file->sha256))
		return 0;
	if (look->size) {
		strncpy(look->path, file->path, look->size - 1);
		look->path[look->size - 1] = '\0';
	}
	return FOUND; /* one is enough: the rest isn't read */
}

static int look_at_files(void *user, const struct vd_query_node *node, char *path, size_t size,
			 struct vd_error *err)
{
	struct search_looker *looker = user;
	struct index_look look = {node, path, size};
	int rc = looker->index ? 0 : open_image(looker, &looker->index, err);

	if (rc)
		return rc;
	return vd_meta_read_file_index(vd_image_meta(looker->index), look_at_entry, &look, err);
}

/* ---- one image ---- */

static int add_file_facts(struct search_looker *looker, int64_t modified, struct vd_error *err)
{
	char text[TOOL_TIME_TEXT];
	int rc = vd_fact_set_create(&looker->file_facts, err);

	if (!rc)
		rc = vd_image_add_facts(vd_image_disk(looker->image), vd_image_meta(looker->image),
					looker->file_facts, err);
	if (!rc)
		rc = vd_fact_set_add(looker->file_facts, "image.modified",
				     tool_time_format(modified, text), 0, err);
	return rc;
}

static int gather(struct search_looker *looker, int64_t modified, struct search_found *found,
		  struct vd_error *err)
{
	struct vd_fact_run *runs = found->runs;
	int rc =
	    vd_meta_get_facts(vd_image_meta(looker->image), false, &runs[0].facts, &runs[0].n, err);

	if (!rc)
		rc = add_file_facts(looker, modified, err);
	if (!rc)
		runs[1].facts = vd_fact_set_facts(looker->file_facts, &runs[1].n);
	return rc;
}

static int match(struct search_looker *looker, struct search_found *found, struct vd_error *err)
{
	struct vd_query_subject subject = {.size = sizeof(subject)};
	struct vd_query_answer answer = {.size = sizeof(answer)};
	int rc;

	subject.n_runs = 2;
	memcpy(subject.runs, found->runs, sizeof(found->runs));
	subject.now = looker->plan->now;
	subject.files = look_at_files;
	subject.hit = search_evidence_add;
	subject.user = looker;
	rc = vd_query_match(looker->plan->query, &subject, &answer, err);
	found->is_match = !rc && answer.is_match;
	found->lacks_file_index = !rc && answer.lacks_file_index;
	return rc;
}

int search_look(struct search_looker *looker, const char *path, int64_t modified,
		struct search_found *found, struct vd_error *err)
{
	bool fits = true;
	int rc;

	_Static_assert(offsetof(struct search_looker, evidence) == 0,
		       "what hears of hits gets the looker");
	memset(found, 0, sizeof(*found));
	looker->path = path;
	rc = open_image(looker, &looker->image, err);
	/* Before the facts: reading documents may take them away. */
	if (!rc && looker->xpath)
		rc = vd_xpath_match(looker->xpath, vd_meta_bring_document,
				    vd_image_meta(looker->image), &fits, NULL, err);
	if (rc || !fits)
		return rc;
	rc = gather(looker, modified, found, err);
	return rc ? rc : match(looker, found, err);
}

void search_look_end(struct search_looker *looker)
{
	search_evidence_clear(&looker->evidence);
	vd_fact_set_free(looker->file_facts);
	looker->file_facts = NULL;
	vd_image_close(looker->index, NULL);
	looker->index = NULL;
	vd_image_close(looker->image, NULL);
	looker->image = NULL;
}
