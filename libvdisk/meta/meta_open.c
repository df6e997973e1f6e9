/* SPDX-License-Identifier: MIT */
/* Handles of metadata. */
#include <string.h>

#include "base/alloc.h"
#include "meta/meta_handle.h"

static int take_opts(struct vd_meta *meta, const struct vd_meta_opts *opts, struct vd_error *err)
{
	struct vd_meta_opts own = VD_META_OPTS_INIT;

	if (opts && opts->size < 2 * sizeof(uint32_t))
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "struct vd_meta_opts says its size is %u: start from "
				    "VD_META_OPTS_INIT",
				    opts->size);
	if (opts)
		memcpy(&own, opts, opts->size < sizeof(own) ? opts->size : sizeof(own));
	if (own.flags & ~VD_META_WRITE)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "flags 0x%x of metadata are not known",
				    own.flags & ~VD_META_WRITE);
	meta->opts = own;
	meta->opts.sidecar_dir = NULL;
	meta->is_writable = own.flags & VD_META_WRITE;
	if (!own.sidecar_dir)
		return 0;
	meta->sidecar_dir = vd_strdup(own.sidecar_dir);
	return meta->sidecar_dir ? 0 : vd_no_memory(err, strlen(own.sidecar_dir), "a path");
}

static int check_access(const struct vd_meta *meta, struct vd_error *err)
{
	struct vd_disk_info info = {.size = sizeof(info)};

	vd_disk_get_info(meta->disk, &info);
	if (!meta->is_writable || meta->place != VD_META_ITEMS || !info.is_read_only)
		return 0;
	return vd_error_set(err, VD_EROFS, 0, VD_NO_OFFSET,
			    "the metadata lies in the image, which was opened for reading only; a "
			    "sidecar in another folder can be written");
}

int vd_meta_open(struct vd_meta **out, struct vd_disk *disk, const struct vd_meta_opts *opts,
		 struct vd_error *err)
{
	struct vd_meta *meta;
	int ret = meta_digest_init(err);

	if (ret)
		return ret;
	meta = vd_calloc(1, sizeof(*meta));
	if (!meta)
		return vd_no_memory(err, sizeof(*meta), "metadata");
	meta->disk = disk;
	ret = take_opts(meta, opts, err);
	if (!ret)
		ret = meta_place(meta, err);
	if (!ret)
		ret = check_access(meta, err);
	if (!ret && meta->place == VD_META_SIDECAR)
		ret = meta_open_sidecar(meta, err);
	if (!ret)
		ret = meta_load(meta, err);
	if (ret) {
		vd_meta_close(meta);
		return ret;
	}
	*out = meta;
	return 0;
}

void vd_meta_close(struct vd_meta *meta)
{
	if (!meta)
		return;
	for (size_t i = 0; i < meta->n_records; i++)
		meta_record_free(meta->records[i]);
	vd_free(meta->records);
	vd_free(meta->shown_of);
	vd_free(meta->pending);
	vd_free(meta->window.bytes);
	vd_items_free(meta->items);
	meta_facts_free(&meta->stored);
	meta_facts_free(&meta->derived);
	if (meta->own)
		vd_disk_close(meta->own, NULL);
	vd_free(meta->sidecar_dir);
	vd_free(meta->sidecar);
	vd_free(meta->mismatch);
	vd_free(meta->trouble);
	vd_free(meta);
}

void vd_meta_free(void *p)
{
	vd_free(p);
}
