/* SPDX-License-Identifier: MIT */
/* Files that travel with the image: taken in and given out piece by piece, named by a document. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "meta/meta_handle.h"

/* Categories whose documents name files, and the fields that do. */
static const struct file_list {
	const char *kind, *name, *media_type, *size, *digest, *uri;
} file_lists[] = {
    {"configuration", "configuration.file", "configuration.file.media-type",
     "configuration.file.size", "configuration.file.digest", "configuration.file.uri"},
    {"state", "state.file", "state.file.media-type", "state.file.size", "state.file.digest",
     "state.file.uri"},
};
#define N_FILE_LISTS (sizeof(file_lists) / sizeof(file_lists[0]))

static int find_list(const char *kind, const struct file_list **list, struct vd_error *err)
{
	*list = NULL;
	if (!kind || !*kind)
		return 0;
	for (size_t i = 0; i < N_FILE_LISTS; i++)
		if (!strcmp(file_lists[i].kind, kind))
			*list = &file_lists[i];
	if (*list)
		return 0;
	return vd_error_set(
	    err, VD_EINVAL, 0, VD_NO_OFFSET,
	    "documents of category %.100s name no files; configuration and state do", kind);
}

static int check_name(const char *name, struct vd_error *err)
{
	if (meta_path_is_safe(name, strlen(name)))
		return 0;
	return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
			    "%.200s: isn't a name that a file can be attached by: a relative path "
			    "in UTF-8 without \".\" and \"..\", at most %u bytes",
			    name, META_NAME_MAX);
}

/* The line of a file in its document. */
static int name_file(struct vd_meta *meta, const struct file_list *list,
		     const struct vd_reference *ref, struct vd_error *err)
{
	const struct vd_category *category = vd_category_find(list->kind);
	char size[24], digest[80];
	const struct vd_doc_pair pairs[] = {
	    {list->name, ref->name},
	    {list->media_type, ref->media_type && *ref->media_type ? ref->media_type : NULL},
	    {list->size, size},
	    {list->digest, digest},
	    {list->uri, ref->uri && *ref->uri ? ref->uri : NULL},
	};
	struct meta_record *r;
	size_t n;
	int ret;

	if (!category)
		return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
				    "there is no category %s", list->kind);
	snprintf(size, sizeof(size), "%llu", (unsigned long long)ref->length);
	n = (size_t)snprintf(digest, sizeof(digest), "blake2b-256:");
	for (int i = 0; i < 32; i++)
		n += (size_t)snprintf(digest + n, sizeof(digest) - n, "%02x", ref->digest[i]);
	ret = meta_require_doc(meta, category, &r, err);
	if (!ret)
		ret = vd_doc_set_entry(r->doc, pairs, sizeof(pairs) / sizeof(pairs[0]), err);
	if (!ret)
		meta_set_ahead(meta, r);
	return ret;
}

/* Take `name` out of a document's list; no error if it isn't there. */
static int unname_file(struct vd_meta *meta, const struct file_list *list, const char *name,
		       struct vd_error *err)
{
	int ret = vd_meta_set_field(meta, list->name, VD_FIELD_REMOVE, name, NULL);

	if (!ret || ret == VD_ENOENT || ret == VD_EINVAL || ret == VD_ECORRUPT)
		return 0;
	return vd_error_set(err, ret, 0, VD_NO_OFFSET,
			    "%.200s can't be taken out of the list of files", name);
}

int meta_forget_file(struct vd_meta *meta, const char *name, struct vd_error *err)
{
	const struct meta_record *r = meta_find(meta, VD_RECORD_ATTACHMENT, "", name);

	for (size_t i = 0; r && i < N_FILE_LISTS; i++)
		if (!strcmp(file_lists[i].kind, r->kind))
			return unname_file(meta, &file_lists[i], name, err);
	return 0;
}

/* One part from the source: as much as fits, less only at the end. */
static int64_t fill_part(vd_source_fn source, void *user, uint8_t *part, struct vd_error *err)
{
	size_t have = 0;
	int64_t n = 1;

	while (n > 0 && have < META_PART_MAX) {
		n = source(user, part + have, META_PART_MAX - have, err);
		if (n < 0)
			return n;
		if ((uint64_t)n > META_PART_MAX - have)
			return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
					    "the source brings more bytes than it was asked for");
		have += (size_t)n;
	}
	return (int64_t)have;
}

static int take_in(struct meta_packer *packer, vd_source_fn source, void *user,
		   struct meta_content *content, struct vd_error *err)
{
	VD_AUTO_FREE uint8_t *part = vd_malloc(META_PART_MAX);
	int64_t n = META_PART_MAX;
	int ret = 0;

	if (!part)
		return vd_no_memory(err, META_PART_MAX, "a file");
	while (!ret && n == META_PART_MAX) {
		n = fill_part(source, user, part, err);
		if (n < 0)
			return (int)n;
		if (n)
			ret = meta_packer_add(packer, part, (uint32_t)n, err);
	}
	return ret ? ret : meta_packer_finish(packer, content, err);
}

/* Put the file in, in the place of one of that name. */
static int put_file(struct vd_meta *meta, const char *kind, const char *name, const char *media,
		    struct meta_content *content, struct vd_error *err)
{
	VD_AUTO_FREE char *new_kind = vd_strdup(kind), *new_media = vd_strdup(media);
	struct meta_record *r;
	int ret;

	if (!new_kind || !new_media)
		return vd_no_memory(err, strlen(kind) + strlen(media), "a file");
	ret = meta_require(meta, VD_RECORD_ATTACHMENT, kind, name, media, &r, err);
	if (!ret)
		ret = meta_check_replaceable(r, err);
	if (!ret && strcmp(r->kind, kind) != 0)
		ret = meta_forget_file(meta, name, err);
	if (ret)
		return ret;
	vd_free(r->kind);
	vd_free(r->media);
	r->pub.kind = r->kind = VD_TAKE(new_kind);
	r->pub.media_type = r->media = VD_TAKE(new_media);
	meta_put(meta, r, content);
	return 0;
}

int vd_meta_attach(struct vd_meta *meta, const char *kind, const char *name, const char *media_type,
		   vd_source_fn source, void *user, struct vd_error *err)
{
	const char *media = media_type ? media_type : "";
	struct vd_reference ref = {.name = name, .media_type = media};
	const struct vd_category *category;
	struct meta_content content = {0};
	const struct file_list *list;
	struct meta_packer packer = {0};
	int ret = meta_check_writable(meta, err);

	if (!ret)
		ret = find_list(kind, &list, err);
	if (!ret)
		ret = check_name(name, err);
	if (ret)
		return ret;
	category = list ? vd_category_find(kind) : NULL;
	ret = meta_packer_init(&packer, VD_RECORD_ATTACHMENT, list ? kind : "", name, media,
			       !category || category->is_disk_scope, err);
	if (!ret)
		ret = take_in(&packer, source, user, &content, err);
	if (!ret) {
		ref.length = content.raw_len;
		memcpy(ref.digest, content.digest, 32);
		ret = list ? name_file(meta, list, &ref, err) : 0;
	}
	if (!ret)
		ret = put_file(meta, list ? kind : "", name, media, &content, err);
	meta_packer_drop(&packer);
	meta_content_free(&content);
	return ret;
}

struct pouring {
	vd_sink_fn sink;
	void *user;
	bool has_begun;
};

static int pour(void *user, const void *buf, size_t len, struct vd_error *err)
{
	struct pouring *p = user;

	p->has_begun = true;
	return p->sink(p->user, buf, len, err);
}

static int find_file(const struct vd_meta *meta, const char *name, struct meta_record **out,
		     struct vd_error *err)
{
	*out = meta_find(meta, VD_RECORD_ATTACHMENT, "", name);
	if (*out && meta_is_there(*out))
		return 0;
	return vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET, "no file %.200s is attached", name);
}

int vd_meta_extract(struct vd_meta *meta, const char *name, vd_sink_fn sink, void *user,
		    struct vd_error *err)
{
	struct pouring p = {sink, user, false};
	VD_AUTO_FREE char *own_name = NULL;
	struct meta_record *r;
	int ret = find_file(meta, name, &r, err);

	if (ret)
		return ret;
	if (r->is_changed)
		return meta_unpack_blobs(&r->fresh, sink, user, err);
	ret = meta_read_parts(meta, r, pour, &p, err);
	/* Somebody else may have put it elsewhere since we looked. */
	if (ret != VD_ECORRUPT || p.has_begun || meta_has_changes(meta) || !meta_look_again(meta))
		return ret;
	/* The name may be that of the record, which goes. */
	own_name = vd_strdup(name);
	if (!own_name)
		return vd_no_memory(err, strlen(name), "a name");
	ret = meta_load(meta, err);
	if (!ret)
		ret = find_file(meta, own_name, &r, err);
	return ret ? ret : meta_read_parts(meta, r, sink, user, err);
}

int vd_meta_refer(struct vd_meta *meta, const char *kind, const struct vd_reference *ref,
		  struct vd_error *err)
{
	const struct file_list *list;
	const struct meta_record *r;
	int ret = meta_check_writable(meta, err);

	if (!ret)
		ret = find_list(kind, &list, err);
	if (!ret)
		ret = check_name(ref->name, err);
	if (ret)
		return ret;
	if (!list || !ref->uri || !*ref->uri)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "a reference needs the category whose document names it, and a "
				    "URI or path");
	r = meta_find(meta, VD_RECORD_ATTACHMENT, "", ref->name);
	if (r && meta_is_there(r))
		return vd_error_set(err, VD_EEXIST, 0, VD_NO_OFFSET,
				    "a file %.200s is attached already; remove it first",
				    ref->name);
	return name_file(meta, list, ref, err);
}

/* Signs of a private key, and what they are of. */
static const struct secret {
	const char *sign, *also, *what;
} secrets[] = {
    {"-----BEGIN OPENSSH PRIVATE KEY-----", NULL, "an OpenSSH private key"},
    {"-----BEGIN PGP PRIVATE KEY BLOCK-----", NULL, "a PGP private key"},
    {"-----BEGIN ", "PRIVATE KEY-----", "a private key (PEM)"},
    {"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----", NULL, "an SSH2 private key"},
    {"PuTTY-User-Key-File-", NULL, "a PuTTY private key"},
    {"AGE-SECRET-KEY-1", NULL, "an age secret key"},
    {"untrusted comment: minisign encrypted secret key", NULL, "a minisign secret key"},
};

const char *vd_meta_looks_secret(const void *bytes, size_t len)
{
	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
		const struct secret *s = &secrets[i];
		const char *at = bytes, *end = at + len;

		while ((at = memmem(at, (size_t)(end - at), s->sign, strlen(s->sign)))) {
			size_t line;

			at += strlen(s->sign);
			line = (size_t)(end - at) < 64 ? (size_t)(end - at) : 64;
			if (!s->also || memmem(at, line, s->also, strlen(s->also)))
				return s->what;
		}
	}
	return NULL;
}
