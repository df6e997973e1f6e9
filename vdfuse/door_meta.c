/* SPDX-License-Identifier: MIT */
/*
 * meta/ and info.json. Documents are meta/CATEGORY.xml, a vendor's by its namespace, attachments
 * meta/attachments/NAME; what a file name can't hold comes as %XX. Content is fixed at the opening.
 */
#include "door_own.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vdisk/meta.h>

/* An attachment in memory. Longer ones are taken out with `vdtool meta extract`. */
#define BYTES_MAX (64u << 20)

static bool is_shown(const struct vd_record *record, bool attachments)
{
	return record->type == (attachments ? VD_RECORD_ATTACHMENT : VD_RECORD_DOCUMENT);
}

/* False if it gets too long for a file's name. */
static bool make_name(const struct vd_record *record, char name[300])
{
	bool is_document = record->type == VD_RECORD_DOCUMENT;
	const char *from = is_document ? record->kind : record->name;
	size_t n = 0;

	for (const unsigned char *p = (const unsigned char *)from; *p; p++) {
		if (n > 247)
			return false;
		if (*p < 0x20 || *p == 0x7f || *p == '/' || *p == '%' || (*p == '.' && n == 0))
			n += (size_t)snprintf(name + n, 4, "%%%02X", *p);
		else
			name[n++] = (char)*p;
	}
	name[n] = '\0';
	if (is_document)
		strcpy(name + n, ".xml");
	return n > 0;
}

/* With the metadata locked: the record behind a name, or the i-th one shown if name is NULL. */
static const struct vd_record *find_record(struct vd_meta *meta, bool attachments, size_t i,
					   const char *wanted, char name[300])
{
	const struct vd_record *record;

	for (size_t k = 0; (record = vd_meta_record(meta, k)); k++) {
		if (!is_shown(record, attachments) || !make_name(record, name))
			continue;
		if (wanted ? !strcmp(name, wanted) : i-- == 0)
			return record;
	}
	return NULL;
}

static bool look(struct door *door, bool attachments, size_t i, const char *wanted,
		 struct door_meta_file *file)
{
	struct vd_image *image = owner_image(door->owner);
	const struct vd_record *record;

	vd_image_lock_meta(image);
	record = find_record(vd_image_meta(image), attachments, i, wanted, file->name);
	if (record)
		file->size = record->raw_len;
	vd_image_unlock_meta(image);
	return record != NULL;
}

bool door_meta_at(struct door *door, bool attachments, size_t i, struct door_meta_file *file)
{
	return look(door, attachments, i, NULL, file);
}

bool door_meta_find(struct door *door, bool attachments, const char *name,
		    struct door_meta_file *file)
{
	return look(door, attachments, 0, name, file);
}

/* Names are kept with "a" or "d" before them. */
fuse_ino_t door_meta_inode(struct door *door, bool attachments, const char *name)
{
	char key[302];
	fuse_ino_t ino = 0;
	char **names;

	snprintf(key, sizeof(key), "%c%.300s", attachments ? 'a' : 'd', name);
	pthread_mutex_lock(&door->lock);
	for (size_t i = 0; i < door->n_names && !ino; i++)
		if (!strcmp(door->names[i], key))
			ino = INODE_NAME + i;
	if (!ino && door->n_names < NAMES_MAX) {
		names = realloc(door->names, (door->n_names + 1) * sizeof(*names));
		if (names) {
			door->names = names;
			names[door->n_names] = strdup(key);
			if (names[door->n_names])
				ino = INODE_NAME + door->n_names++;
		}
	}
	pthread_mutex_unlock(&door->lock);
	return ino;
}

bool door_meta_name(struct door *door, fuse_ino_t ino, bool *attachments, const char **name)
{
	const char *key = NULL;

	pthread_mutex_lock(&door->lock);
	if (ino >= INODE_NAME && ino - INODE_NAME < door->n_names)
		key = door->names[ino - INODE_NAME];
	pthread_mutex_unlock(&door->lock);
	if (!key)
		return false;
	*attachments = key[0] == 'a';
	*name = key + 1;
	return true;
}

struct sink {
	char *bytes;
	size_t len, room;
};

static int collect(void *user, const void *buf, size_t len, struct vd_error *err)
{
	struct sink *sink = user;

	if (len > sink->room - sink->len)
		return vd_error_set(err, VD_ERANGE, 0, VD_NO_OFFSET, "longer than it said");
	memcpy(sink->bytes + sink->len, buf, len);
	sink->len += len;
	return 0;
}

static int extract(struct vd_meta *meta, const struct vd_record *record, char **bytes, size_t *len,
		   struct vd_error *err)
{
	struct sink sink = {.room = (size_t)record->raw_len};
	char name[300];
	int rc;

	if (record->raw_len > BYTES_MAX)
		return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
				    "too long to be shown as a file: use vdtool meta extract");
	sink.bytes = malloc(sink.room + 1);
	if (!sink.bytes)
		return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
	snprintf(name, sizeof(name), "%s", record->name);
	rc = vd_meta_extract(meta, name, collect, &sink, err);
	if (rc) {
		free(sink.bytes);
		return rc;
	}
	*bytes = sink.bytes;
	*len = sink.len;
	return 0;
}

static int get_document(struct vd_meta *meta, const struct vd_record *record, char **bytes,
			size_t *len, struct vd_error *err)
{
	char kind[300], *text;
	int rc;

	snprintf(kind, sizeof(kind), "%s", record->kind);
	rc = vd_meta_get_document(meta, kind, &text, len, err);
	if (rc)
		return rc;
	*bytes = malloc(*len + 1);
	if (*bytes)
		memcpy(*bytes, text, *len);
	vd_meta_free(text);
	return *bytes ? 0 : vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
}

int door_meta_read(struct door *door, bool attachments, const char *name, char **bytes, size_t *len,
		   struct vd_error *err)
{
	struct vd_image *image = owner_image(door->owner);
	const struct vd_record *record;
	char found[300];
	int rc;

	vd_image_lock_meta(image);
	record = find_record(vd_image_meta(image), attachments, 0, name, found);
	if (!record)
		rc = vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET, "no such file");
	else if (attachments)
		rc = extract(vd_image_meta(image), record, bytes, len, err);
	else
		rc = get_document(vd_image_meta(image), record, bytes, len, err);
	vd_image_unlock_meta(image);
	return rc;
}

int door_info_read(struct door *door, char **bytes, size_t *len, struct vd_error *err)
{
	json_t *info = owner_describe(door->owner);
	char *text = json_dumps(info, JSON_INDENT(2));

	json_decref(info);
	if (!text)
		return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
	*len = strlen(text) + 1;
	text[*len - 1] = '\n'; /* in place of the NUL: its length is known */
	*bytes = text;
	return 0;
}
