/* SPDX-License-Identifier: MIT */
/* The object `metadata` of inspect --json, from an image's facts; see metadata.h. */
#include <stdlib.h>
#include <string.h>

#include "facts.h"
#include "metadata.h"
#include "output.h"

static json_t *value_to_json(const struct vd_field *field, const char *value)
{
	json_t *holder, *text;
	char *end;

	if (field->type == VD_FIELD_NUMBER || field->type == VD_FIELD_SIZE) {
		unsigned long long number = strtoull(value, &end, 10);

		if (*value >= '0' && *value <= '9' && !*end && number <= INT64_MAX)
			return json_integer((json_int_t)number);
	}
	if (field->type == VD_FIELD_BOOL)
		return json_boolean(strcmp(value, "true") == 0);
	holder = tool_json_object(NULL);
	tool_json_set_text(holder, "v", value);
	text = json_incref(json_object_get(holder, "v"));
	json_decref(holder);
	return text;
}

/** The object of a category within `metadata`, made if it isn't there. */
static json_t *category_object(json_t *metadata, const char *name)
{
	json_t *object = json_object_get(metadata, name);

	if (!object) {
		object = json_object();
		json_object_set_new(metadata, name, object);
	}
	return object;
}

static void facts_to_json(json_t *metadata, const struct tool_facts *facts)
{
	for (size_t i = 0; i < facts->n; i++) {
		const struct vd_fact *fact = &facts->all[i];
		const struct vd_field *field = vd_field_find(fact->field);
		json_t *object, *list;

		if (!field || strcmp(field->category->name, "tags") == 0 ||
		    strcmp(field->category->name, "history") == 0)
			continue;
		object = category_object(metadata, field->category->name);
		if (!field->is_list) {
			json_object_set_new(object, field->name, value_to_json(field, fact->value));
			continue;
		}
		list = json_object_get(object, field->name);
		if (!list) {
			list = json_array();
			json_object_set_new(object, field->name, list);
		}
		json_array_append_new(list, value_to_json(field, fact->value));
	}
}

static json_t *attachment_to_json(const struct vd_record *r)
{
	json_t *item = tool_json_object(NULL);
	char digest[65];

	tool_json_set_text(item, "name", r->name);
	tool_json_set_text(item, "media_type", r->media_type[0] ? r->media_type : NULL);
	tool_json_set_number(item, "length", r->raw_len);
	tool_hex(r->digest, sizeof(r->digest), digest);
	tool_json_set_text(item, "blake2b", digest);
	return item;
}

/** Documents without facts have their key too; attachments, and what is damaged. */
static void records_to_json(json_t *metadata, struct vd_meta *meta)
{
	json_t *attachments = json_array(), *damaged = json_array();
	const struct vd_record *r;

	for (size_t i = 0; (r = vd_meta_record(meta, i)); i++) {
		if (r->damage) {
			json_t *item = tool_json_object(NULL);

			tool_json_set_text(item, "type", tool_record_name(r->type));
			tool_json_set_text(item, "kind", r->name[0] ? r->name : r->kind);
			tool_json_set_text(item, "text",
					   r->damage_text ? r->damage_text
							  : vd_code_name(r->damage));
			json_array_append_new(damaged, item);
		} else if (r->type == VD_RECORD_ATTACHMENT) {
			json_array_append_new(attachments, attachment_to_json(r));
		} else if (r->type == VD_RECORD_DOCUMENT && !vd_category_find(r->kind)) {
			json_t *object = tool_json_object(NULL);

			tool_json_set_number(object, "length", r->raw_len);
			json_object_set_new(metadata, r->kind, object);
		} else if (r->type == VD_RECORD_DOCUMENT && strcmp(r->kind, "tags") != 0) {
			category_object(metadata, r->kind);
		}
	}
	json_object_set_new(metadata, "attachments", attachments);
	json_object_set_new(metadata, "damaged", damaged);
}

json_t *tool_summary_to_json(struct vd_meta *meta)
{
	struct vd_meta_info info = {.size = sizeof(info)};
	struct tool_facts facts = {NULL, 0};
	json_t *metadata;

	vd_meta_get_info(meta, &info);
	if (!info.has_ours && !info.n_damaged)
		return json_null();
	if (vd_meta_get_facts(meta, false, &facts.all, &facts.n, NULL))
		facts = (struct tool_facts){NULL, 0};
	metadata = json_object();
	json_object_set_new(metadata, "tags", tool_tags_to_json(&facts));
	facts_to_json(metadata, &facts);
	records_to_json(metadata, meta);
	json_object_set_new(metadata, "signatures", json_array());
	tool_json_set_number(metadata, "history_len", info.n_history);
	tool_json_set_text(metadata, "sidecar",
			   info.place == VD_META_SIDECAR ? info.sidecar : NULL);
	tool_json_set_text(metadata, "mismatch", info.mismatch);
	return metadata;
}
