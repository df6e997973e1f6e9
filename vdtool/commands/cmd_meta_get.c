/* SPDX-License-Identifier: MIT */
/* vdtool meta get, meta list, fields: what is stored, and what could be. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <vdisk/query.h>

#include "metadata.h"
#include "output.h"

/* ---- get ---- */

struct found {
	json_t *fields; /* NULL: print */
	const char *asked;
	uint64_t n;
	bool is_group; /* "hardware.*": show the names too */
};

static int hear_value(void *user, const char *field, const char *value)
{
	struct found *found = user;

	/* A field that has others below it ("cve.open") is asked for alone. */
	if (!found->is_group && strcmp(field, found->asked) != 0)
		return 0;
	found->n++;
	if (found->fields) {
		json_t *values = json_object_get(found->fields, field);
		json_t *holder = tool_json_object(NULL);

		if (!values) {
			values = json_array();
			json_object_set_new(found->fields, field, values);
		}
		tool_json_set_text(holder, "value", value);
		json_array_append(values, json_object_get(holder, "value"));
		json_decref(holder);
		return 0;
	}
	if (found->is_group) {
		tool_print_safe(stdout, field);
		putchar('=');
	}
	tool_print_safe(stdout, value);
	putchar('\n');
	return 0;
}

static int get_field(struct vd_meta *meta, const char *path, const char *name)
{
	struct vd_error err = VD_ERROR_INIT;
	struct found found = {.asked = name};
	int rc;

	found.is_group = vd_field_find(name) == NULL;
	if (tool_json_is_on())
		found.fields = json_object();
	rc = vd_meta_get_field(meta, name, hear_value, &found, &err);
	if (rc) {
		json_decref(found.fields);
		return tool_fail_image(path, &err);
	}
	if (found.fields) {
		json_t *object = tool_json_object(path);

		json_object_set_new(object, "fields", found.fields);
		tool_json_put(object);
	}
	return TOOL_DONE;
}

static int get_document(struct vd_meta *meta, const char *path, const char *kind)
{
	struct vd_error err = VD_ERROR_INIT;
	char *bytes;
	size_t len;

	if (vd_meta_get_document(meta, kind, &bytes, &len, &err))
		return tool_fail_image(path, &err);
	if (tool_json_is_on()) {
		json_t *object = tool_json_object(path);

		tool_json_set_text(object, "kind", kind);
		tool_json_set_text(object, "document", bytes);
		tool_json_put(object);
	} else {
		tool_print_document(bytes, len);
	}
	vd_meta_free(bytes);
	return TOOL_DONE;
}

int cmd_meta_get(const struct tool_args *args)
{
	const char *path = args->operands[0], *name = args->operands[1];
	struct vd_error err = VD_ERROR_INIT;
	struct vd_image *image;
	int exit_code;

	if (tool_meta_look(&image, path, args, &err))
		return tool_fail_image(path, &err);
	if (vd_category_find(name) || strchr(name, ':'))
		exit_code = get_document(vd_image_meta(image), path, name);
	else
		exit_code = get_field(vd_image_meta(image), path, name);
	vd_image_close(image, NULL);
	return exit_code;
}

/* ---- list ---- */

static json_t *record_to_json(const struct vd_record *r)
{
	char id[TOOL_UUID_TEXT], digest[65];
	json_t *item = tool_json_object(NULL);

	tool_json_set_text(item, "type", tool_record_name(r->type));
	tool_json_set_text(item, "kind", r->kind);
	tool_json_set_text(item, "name", r->name[0] ? r->name : NULL);
	tool_json_set_text(item, "media_type", r->media_type[0] ? r->media_type : NULL);
	tool_json_set_text(item, "scope", r->is_disk_scope ? "disk" : "file");
	tool_json_set_text(item, "id", tool_uuid_format(r->id, id));
	tool_json_set_number(item, "parts", r->n_parts);
	tool_json_set_number(item, "stored_length", r->stored_len);
	tool_json_set_number(item, "length", r->raw_len);
	tool_hex(r->digest, sizeof(r->digest), digest);
	tool_json_set_text(item, "blake2b", r->type == VD_RECORD_FOREIGN ? NULL : digest);
	tool_json_set_text(item, "damage",
			   r->damage ? r->damage_text ? r->damage_text : vd_code_name(r->damage)
				     : NULL);
	return item;
}

static void print_record(const struct vd_record *r)
{
	char id[TOOL_UUID_TEXT], bytes[TOOL_SIZE_TEXT];

	printf("  %-10s  %-4s  %10s  ", tool_record_name(r->type),
	       r->is_disk_scope ? "disk" : "file", tool_size_format(r->raw_len, bytes));
	tool_print_safe(stdout, r->type == VD_RECORD_FOREIGN      ? tool_uuid_format(r->id, id)
				: r->type == VD_RECORD_ATTACHMENT ? r->name
								  : r->kind);
	if (r->type == VD_RECORD_ATTACHMENT && r->media_type[0]) {
		fputs("  ", stdout);
		tool_print_safe(stdout, r->media_type);
	}
	if (r->n_parts > 1)
		printf("  (%" PRIu32 " parts)", r->n_parts);
	if (r->damage) {
		fputs("  damaged: ", stdout);
		tool_print_safe(stdout, r->damage_text ? r->damage_text : vd_code_name(r->damage));
	}
	putchar('\n');
}

static const char *place_name(const struct vd_meta_info *info)
{
	return info->place == VD_META_ITEMS     ? "items"
	       : info->place == VD_META_SIDECAR ? "sidecar"
						: "nowhere";
}

static int list(const char *path, const struct tool_args *args)
{
	struct vd_meta_info info = {.size = sizeof(info)};
	struct vd_error err = VD_ERROR_INIT;
	const struct vd_record *record;
	struct vd_image *image;
	struct vd_meta *meta;
	json_t *records = NULL;
	char bytes[TOOL_SIZE_TEXT];

	if (tool_meta_look(&image, path, args, &err))
		return tool_fail_image(path, &err);
	meta = vd_image_meta(image);
	vd_meta_get_info(meta, &info);
	if (tool_json_is_on()) {
		records = json_array();
	} else {
		tool_print_safe(stdout, path);
		printf("   %zu records, %s stored", info.n_records,
		       tool_size_format(info.stored_bytes, bytes));
		if (info.sidecar && info.place == VD_META_SIDECAR) {
			fputs(" in ", stdout);
			tool_print_safe(stdout, info.sidecar);
		}
		putchar('\n');
	}
	for (size_t i = 0; (record = vd_meta_record(meta, i)); i++) {
		if (records)
			json_array_append_new(records, record_to_json(record));
		else
			print_record(record);
	}
	if (info.mismatch)
		tool_note("%s: %s", info.sidecar, info.mismatch);
	if (records) {
		json_t *object = tool_json_object(path);

		tool_json_set_text(object, "place", place_name(&info));
		tool_json_set_text(object, "sidecar", info.sidecar);
		tool_json_set_text(object, "mismatch", info.mismatch);
		tool_json_set_number(object, "stored_length", info.stored_bytes);
		json_object_set_new(object, "records", records);
		tool_json_put(object);
	}
	vd_image_close(image, NULL);
	return TOOL_DONE;
}

int cmd_meta_list(const struct tool_args *args)
{
	return tool_each_image(args, list);
}

/* ---- fields ---- */

/** Of documents first, then those that only searches and policies know. */
static const struct vd_field *field_at(size_t i)
{
	static size_t n_documents;

	while (vd_field_at(n_documents))
		n_documents++;
	return i < n_documents ? vd_field_at(i) : vd_query_field_at(i - n_documents);
}

/** The document that holds it, or what else is asked. */
static const char *field_home(const struct vd_field *field)
{
	bool is_file =
	    strncmp(field->name, "image.", 6) == 0 || strncmp(field->name, "metadata.", 9) == 0;

	if (field->category)
		return field->category->name;
	return is_file ? "(image)" : "(host)";
}

static bool is_asked(const struct vd_field *field, const struct tool_args *args)
{
	for (int i = 0; i < args->n_operands; i++) {
		const char *name = args->operands[i];
		size_t n = strlen(name);

		if ((field->category && strcmp(field->category->name, name) == 0) ||
		    (strncmp(field->name, name, n) == 0 &&
		     (field->name[n] == '\0' || field->name[n] == '.')))
			return true;
	}
	return args->n_operands == 0;
}

static json_t *field_to_json(const struct vd_field *field)
{
	json_t *item = tool_json_object(NULL);

	tool_json_set_text(item, "name", field->name);
	tool_json_set_text(item, "type", vd_field_type_name(field->type));
	tool_json_set_text(item, "category", field->category ? field->category->name : NULL);
	json_object_set_new(item, "list", json_boolean(field->is_list));
	json_object_set_new(item, "derived", json_boolean(field->is_derived));
	tool_json_set_text(item, "choices", field->choices);
	tool_json_set_text(item, "summary", field->summary);
	return item;
}

static void print_field(const struct vd_field *field, int width)
{
	printf("%-*s  %-7s  %-13s  %s%s", width, field->name, vd_field_type_name(field->type),
	       field_home(field), field->summary,
	       field->is_derived && field->category ? " (derived)"
	       : field->is_list                     ? " (list)"
						    : "");
	if (field->choices)
		printf(" [%s]", field->choices);
	putchar('\n');
}

int cmd_fields(const struct tool_args *args)
{
	const struct vd_field *field;
	json_t *fields = tool_json_is_on() ? json_array() : NULL;
	size_t n = 0;
	int width = 5;

	for (size_t i = 0; (field = field_at(i)); i++) {
		if (is_asked(field, args) && (int)strlen(field->name) > width)
			width = (int)strlen(field->name);
	}
	for (size_t i = 0; (field = field_at(i)); i++) {
		if (!is_asked(field, args))
			continue;
		if (n++ == 0 && !fields)
			printf("%-*s  %-7s  %-13s  %s\n", width, "FIELD", "TYPE", "DOCUMENT",
			       "MEANING");
		if (fields)
			json_array_append_new(fields, field_to_json(field));
		else
			print_field(field, width);
	}
	if (n == 0) {
		json_decref(fields);
		return tool_say(TOOL_FAILED, args->n_operands ? args->operands[0] : NULL,
				"no such field; `vdtool fields` lists them");
	}
	if (fields) {
		json_t *object = tool_json_object(NULL);

		json_object_set_new(object, "fields", fields);
		tool_json_put(object);
	}
	return TOOL_DONE;
}
