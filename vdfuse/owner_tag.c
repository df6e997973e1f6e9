/* SPDX-License-Identifier: MIT */
/*
 * Edits of tags as `vdtool tag` has them: +word, key=value in place of others of that key, -word or
 * -key. They depend on the tags there are, so they are made here, where nobody comes in between.
 */
#include <stdlib.h>
#include <string.h>

#include "owner_tag.h"

struct tags {
	char **all;
	size_t n;
};

static int keep_tag(void *user, const char *field, const char *value)
{
	struct tags *tags = user;
	char **all = realloc(tags->all, (tags->n + 1) * sizeof(*all));

	(void)field;
	if (!all)
		return VD_ENOMEM;
	tags->all = all;
	all[tags->n] = strdup(value);
	if (!all[tags->n])
		return VD_ENOMEM;
	tags->n++;
	return 0;
}

static bool has_key(const char *tag, const char *key, size_t n)
{
	return !strncmp(tag, key, n) && tag[n] == '=';
}

static int remove_tags(struct vd_meta *meta, const struct tags *tags, const char *what,
		       struct vd_error *err)
{
	size_t n = strlen(what);
	int rc = 0;

	for (size_t i = 0; i < tags->n && !rc; i++)
		if (!strcmp(tags->all[i], what) || has_key(tags->all[i], what, n))
			rc = vd_meta_set_field(meta, "tag", VD_FIELD_REMOVE, tags->all[i], err);
	return rc;
}

static int add_tag(struct vd_meta *meta, const struct tags *tags, const char *what,
		   struct vd_error *err)
{
	const char *equals = strchr(what, '=');
	bool is_there = false;
	int rc = 0;

	for (size_t i = 0; i < tags->n && !rc; i++) {
		if (!strcmp(tags->all[i], what))
			is_there = true;
		else if (equals && has_key(tags->all[i], what, (size_t)(equals - what)))
			rc = vd_meta_set_field(meta, "tag", VD_FIELD_REMOVE, tags->all[i], err);
	}
	if (!rc && !is_there)
		rc = vd_meta_set_field(meta, "tag", VD_FIELD_ADD, what, err);
	return rc;
}

int owner_tag_edit(struct vd_meta *meta, const char *edit, struct vd_error *err)
{
	struct tags tags = {NULL, 0};
	int rc = vd_meta_get_field(meta, "tag", keep_tag, &tags, err);

	if (rc == VD_ENOENT)
		rc = 0;
	if (!rc && (!edit[0] || (edit[0] != '-' && edit[0] != '+' && !strchr(edit, '=')) ||
		    ((edit[0] == '-' || edit[0] == '+') && !edit[1])))
		rc = vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				  "\"%.80s\" isn't an edit of tags: +word, key=value or -word",
				  edit);
	if (!rc && edit[0] == '-')
		rc = remove_tags(meta, &tags, edit + 1, err);
	else if (!rc)
		rc = add_tag(meta, &tags, edit + (edit[0] == '+'), err);
	for (size_t i = 0; i < tags.n; i++)
		free(tags.all[i]);
	free(tags.all);
	return rc;
}
