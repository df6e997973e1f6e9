// SPDX-License-Identifier: MIT
/*
 * vd_image_scan: look at the disk, and merge what was found into the image's documents. Nothing
 * is committed here. A failure half-way leaves documents as they were: they are put in last.
 */
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "image/scan.h"
#include "xml/doc_merge.h"

/* The document as it is, or a new one. */
static int current_document(struct vd_doc **doc, struct vd_meta *meta, const char *kind,
			    struct vd_error *err)
{
	struct vd_error why = VD_ERROR_INIT;
	char *bytes = NULL;
	size_t len = 0;
	int rc = vd_meta_get_document(meta, kind, &bytes, &len, &why);

	if (rc == VD_ENOENT)
		return vd_doc_create(doc, vd_category_find(kind), err);
	if (!rc)
		rc = vd_doc_parse(doc, bytes, len, &why);
	vd_meta_free(bytes);
	return rc ? vd_error_set(err, rc, why.sys_errno, why.offset,
				 "the document %s can't be read, so nothing is merged into it "
				 "(`meta remove` takes it away): %s",
				 kind, why.text)
		  : 0;
}

static int merge_into(struct vd_meta *meta, const char *kind, const char *fresh_text,
		      size_t fresh_len, bool overrules, struct vd_error *err)
{
	struct vd_doc *doc = NULL, *fresh = NULL;
	char *bytes VD_AUTO_FREE = NULL;
	size_t len;
	int rc = current_document(&doc, meta, kind, err);

	if (!rc)
		rc = vd_doc_parse(&fresh, fresh_text, fresh_len, err);
	if (!rc)
		rc = vd_doc_merge(doc, fresh, overrules, err);
	if (!rc)
		rc = vd_doc_format(doc, &bytes, &len, err);
	if (!rc)
		rc = vd_meta_set_document(meta, kind, bytes, len, err);
	vd_doc_free(fresh);
	vd_doc_free(doc);
	return rc;
}

static int write_down(struct vd_scan *scan, struct vd_meta *meta, struct vd_error *err)
{
	char *content VD_AUTO_FREE = NULL, *patches VD_AUTO_FREE = NULL;
	size_t content_len, patches_len;
	int rc = vd_scan_content(scan, &content, &content_len, err);

	if (!rc)
		rc = merge_into(meta, "content", content, content_len, false, err);
	/* Without a guest whose packages were read, nothing was learnt about patches. */
	if (rc || !scan->has_packages)
		return rc;
	rc = vd_scan_patches(scan, &patches, &patches_len, err);
	/* Who looked last says when. */
	return rc ? rc : merge_into(meta, "patches", patches, patches_len, true, err);
}

int vd_image_scan(struct vd_image *image, const struct vd_scan_opts *opts,
		  struct vd_scan_result *result, struct vd_error *err)
{
	struct vd_scan_opts given = {.size = sizeof(given)};
	struct vd_scan_result found = {.size = sizeof(found)};
	struct vd_scan scan = {.opts = &given, .result = &found};
	int rc;

	if (opts)
		memcpy(&given, opts, opts->size < sizeof(given) ? opts->size : sizeof(given));
	scan.disk = vd_image_disk(image);
	scan.now = (int64_t)time(NULL);
	rc = vd_scan_look(&scan, err);
	vd_image_lock_meta(image);
	if (!rc && (given.flags & (VD_SCAN_FILES | VD_SCAN_DIGESTS)))
		rc = vd_scan_index_files(&scan, vd_image_meta(image), err);
	if (!rc)
		rc = write_down(&scan, vd_image_meta(image), err);
	vd_image_unlock_meta(image);
	vd_scan_free(&scan);
	if (result) {
		uint32_t size = result->size < sizeof(found) ? result->size : sizeof(found);

		found.size = result->size;
		memcpy(result, &found, size);
	}
	return rc;
}
