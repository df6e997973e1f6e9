/* SPDX-License-Identifier: MIT */
/*
 * Documents and files that a client hands in: stretches of one sealed file in memory, which the
 * edits of the request name by `at` and `length`. All edits of a request are one commit, so that
 * a whole import is.
 */
#include <stdlib.h>
#include <string.h>

#include <vdisk/image.h>

#include "owner_content.h"

struct stretch {
	const struct control_content *of;
	uint64_t at, end;
};

static int find_stretch(struct owner_content *content, const json_t *edit, struct stretch *s,
			struct vd_error *err)
{
	json_int_t at = json_integer_value(json_object_get(edit, "at"));
	json_int_t length = json_integer_value(json_object_get(edit, "length"));
	int rc = content->is_known ? 0 : control_content_take(&content->of, content->fd, err);

	if (rc)
		return rc;
	content->is_known = true;
	if (at < 0 || length < 0 || (uint64_t)at > content->of.length ||
	    (uint64_t)length > content->of.length - (uint64_t)at)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "\"at\" and \"length\" lie outside of the content");
	*s = (struct stretch){&content->of, (uint64_t)at, (uint64_t)at + (uint64_t)length};
	return 0;
}

static int read_stretch(const struct stretch *s, size_t max, char **bytes, size_t *len,
			struct vd_error *err)
{
	int rc;

	*bytes = NULL;
	*len = (size_t)(s->end - s->at);
	if (*len > max)
		return vd_error_set(err, VD_ENOSPC, 0, VD_NO_OFFSET,
				    "a document of more than %zu KiB", max >> 10);
	*bytes = malloc(*len + 1);
	if (!*bytes)
		return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
	(*bytes)[*len] = '\0';
	rc = control_content_read(s->of, s->at, *bytes, *len, err);
	if (rc) {
		free(*bytes);
		*bytes = NULL;
	}
	return rc;
}

int owner_content_copy(int fd, const json_t *where, size_t max, char **bytes, size_t *len,
		       struct vd_error *err)
{
	struct owner_content content = {.fd = fd};
	struct stretch s;
	int rc = find_stretch(&content, where, &s, err);

	*bytes = NULL;
	return rc ? rc : read_stretch(&s, max, bytes, len, err);
}

static int64_t bring(void *user, void *buf, size_t len, struct vd_error *err)
{
	struct stretch *s = user;
	int rc;

	if (len > s->end - s->at)
		len = (size_t)(s->end - s->at);
	rc = control_content_read(s->of, s->at, buf, len, err);
	s->at += rc ? 0 : len;
	return rc ? rc : (int64_t)len;
}

static bool read_digest(const json_t *edit, uint8_t digest[32])
{
	static const char digits[] = "0123456789abcdef";
	const char *text = control_text(edit, "blake2b");

	if (!text || strlen(text) != 64)
		return false;
	for (size_t i = 0; i < 64; i++) {
		const char *digit = strchr(digits, text[i]);

		if (!digit)
			return false;
		digest[i / 2] = (uint8_t)(digest[i / 2] << 4 | (digit - digits));
	}
	return true;
}

/* What arrived is what was sent off once: an import knows the digests of its records. */
static int check_digest(struct vd_meta *meta, const json_t *edit, enum vd_record_type type,
			const char *key, struct vd_error *err)
{
	const struct vd_record *r;
	uint8_t want[32];

	if (!json_object_get(edit, "blake2b"))
		return 0;
	if (!read_digest(edit, want))
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "\"blake2b\" isn't 64 hexadecimal digits");
	for (size_t i = 0; (r = vd_meta_record(meta, i)); i++) {
		const char *name = type == VD_RECORD_ATTACHMENT ? r->name : r->kind;

		if (r->type == type && name && !strcmp(name, key) &&
		    !memcmp(r->digest, want, sizeof(want)))
			return 0;
	}
	return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
			    "%.200s was changed since the export: its digest isn't that of the "
			    "manifest",
			    key);
}

static int put_document(struct owner_content *content, struct vd_meta *meta, const json_t *edit,
			struct vd_error *err)
{
	const char *kind = control_text(edit, "category");
	struct stretch s;
	char *bytes;
	size_t len;
	int rc = find_stretch(content, edit, &s, err);

	if (!rc && !kind)
		rc = vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				  "a document needs a \"category\"");
	if (!rc)
		rc = read_stretch(&s, VD_META_DOCUMENT_MAX, &bytes, &len, err);
	if (rc)
		return rc;
	rc = vd_meta_set_document(meta, kind, bytes, len, err);
	free(bytes);
	return rc ? rc : check_digest(meta, edit, VD_RECORD_DOCUMENT, kind, err);
}

/* Refuse all if a document isn't what the client saw; without "length" there was none. */
static int expect_document(struct owner_content *content, struct vd_meta *meta, const json_t *edit,
			   struct vd_error *err)
{
	const char *kind = control_text(edit, "category");
	bool is_expected = json_object_get(edit, "length");
	char *want = NULL, *have = NULL;
	size_t want_len = 0, have_len = 0;
	struct stretch s;
	bool is_same;
	int rc = is_expected ? find_stretch(content, edit, &s, err) : 0;

	if (!rc && is_expected)
		rc = read_stretch(&s, VD_META_DOCUMENT_MAX, &want, &want_len, err);
	if (rc)
		return rc;
	rc = vd_meta_get_document(meta, kind ? kind : "", &have, &have_len, err);
	is_same = rc ? rc == VD_ENOENT && !want
		     : want && have_len == want_len && !memcmp(have, want, want_len);
	vd_meta_free(have);
	free(want);
	if (rc && rc != VD_ENOENT)
		return rc;
	return is_same ? 0
		       : vd_error_set(err, VD_EBUSY, 0, VD_NO_OFFSET,
				      "the document was changed by somebody else meanwhile");
}

static int attach(struct owner_content *content, struct vd_meta *meta, const json_t *edit,
		  struct vd_error *err)
{
	const char *name = control_text(edit, "name");
	struct stretch s;
	int rc = find_stretch(content, edit, &s, err);

	if (!rc)
		rc = vd_meta_attach(meta, control_text(edit, "kind"), name ? name : "",
				    control_text(edit, "media_type"), bring, &s, err);
	return rc ? rc : check_digest(meta, edit, VD_RECORD_ATTACHMENT, name, err);
}

static int refer(struct vd_meta *meta, const json_t *edit, struct vd_error *err)
{
	const char *name = control_text(edit, "name");
	struct vd_reference ref = {.name = name ? name : "",
				   .media_type = control_text(edit, "media_type"),
				   .uri = control_text(edit, "uri")};
	json_int_t length = json_integer_value(json_object_get(edit, "length"));

	if (length < 0 || !read_digest(edit, ref.digest))
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "a reference needs \"length\" and \"blake2b\"");
	ref.length = (uint64_t)length;
	return vd_meta_refer(meta, control_text(edit, "kind"), &ref, err);
}

/* What it says of the machine; what says nothing is no failure. */
static int take_libvirt(struct owner_content *content, struct vd_meta *meta, const json_t *edit,
			struct vd_error *err)
{
	struct stretch s;
	size_t len, n = 0;
	char *bytes;
	int rc = find_stretch(content, edit, &s, err);

	if (!rc)
		rc = read_stretch(&s, VD_META_DOCUMENT_MAX, &bytes, &len, err);
	if (rc)
		return rc;
	if (!vd_meta_take_libvirt(meta, bytes, len, &n, NULL))
		content->n_taken += n;
	free(bytes);
	return 0;
}

bool owner_content_has(const char *op)
{
	return !strcmp(op, "document") || !strcmp(op, "expect") || !strcmp(op, "attach") ||
	       !strcmp(op, "refer") || !strcmp(op, "libvirt");
}

int owner_content_edit(struct owner_content *content, struct vd_meta *meta, const char *op,
		       const json_t *edit, struct vd_error *err)
{
	if (!strcmp(op, "document"))
		return put_document(content, meta, edit, err);
	if (!strcmp(op, "expect"))
		return expect_document(content, meta, edit, err);
	if (!strcmp(op, "attach"))
		return attach(content, meta, edit, err);
	if (!strcmp(op, "refer"))
		return refer(meta, edit, err);
	return take_libvirt(content, meta, edit, err);
}
