/* SPDX-License-Identifier: MIT */
/* From one image's metadata to another's. */
#include <string.h>

#include "base/alloc.h"
#include "base/message.h"
#include "meta/meta_handle.h"

struct copying {
	struct meta_packer packer;
	uint8_t *part; /* of META_PART_MAX */
	uint32_t len;
};

static int to_packer(void *user, const void *bytes, size_t len, struct vd_error *err)
{
	struct copying *c = user;
	const uint8_t *at = bytes;

	while (len) {
		uint32_t n = META_PART_MAX - c->len;
		int ret = 0;

		if (n > len)
			n = (uint32_t)len;
		memcpy(c->part + c->len, at, n);
		c->len += n;
		at += n;
		len -= n;
		if (c->len == META_PART_MAX) {
			ret = meta_packer_add(&c->packer, c->part, c->len, err);
			c->len = 0;
		}
		if (ret)
			return ret;
	}
	return 0;
}

static int copy_record(struct vd_meta *to, struct vd_meta *from, struct meta_record *r,
		       struct vd_error *err)
{
	bool is_disk_scope = r->is_changed ? r->fresh.is_disk_scope : r->is_disk_scope;
	struct copying c = {.part = vd_malloc(META_PART_MAX)};
	struct meta_content content;
	struct meta_record *target;
	int ret;

	if (!c.part)
		return vd_no_memory(err, META_PART_MAX, "a record");
	ret = r->is_changed ? 0 : meta_confirm(from, r, err);
	if (!ret)
		ret = meta_packer_init(&c.packer, r->pub.type, r->kind, r->name, r->media,
				       is_disk_scope, err);
	if (!ret)
		ret = r->is_changed ? meta_unpack_blobs(&r->fresh, to_packer, &c, err)
				    : meta_read_parts(from, r, to_packer, &c, err);
	if (!ret && c.len)
		ret = meta_packer_add(&c.packer, c.part, c.len, err);
	if (!ret)
		ret = meta_packer_finish(&c.packer, &content, err);
	vd_free(c.part);
	if (!ret) {
		ret = meta_require(to, r->pub.type, r->kind, r->name, r->media, &target, err);
		if (!ret)
			ret = meta_check_replaceable(target, err);
		if (ret) {
			meta_content_free(&content);
		} else {
			meta_drop_doc(target);
			meta_put(to, target, &content);
		}
	}
	meta_packer_drop(&c.packer);
	return ret;
}

int vd_meta_copy(struct vd_meta *to, struct vd_meta *from, bool with_history, struct vd_error *err)
{
	int ret = meta_check_writable(to, err);
	struct meta_record *own = meta_find(to, VD_RECORD_HISTORY, "history", "");

	/* Which documents hold values that can't be read? */
	if (!ret && meta_derive(from, NULL) == VD_ENOMEM)
		ret = vd_no_memory(err, 0, "facts");
	for (size_t i = 0; !ret && i < from->n_records; i++) {
		struct meta_record *r = from->records[i];
		struct vd_error why = VD_ERROR_INIT;

		ret = meta_settle_doc(from, r, err);
		if (ret || !meta_is_there(r))
			continue;
		if (meta_is_damaged(r)) {
			vd_message(VD_MESSAGE_WARNING, "metadata that isn't copied: %s: %s",
				   r->kind, r->pub.damage_text ? r->pub.damage_text : "damaged");
			continue;
		}
		if (r->pub.type == VD_RECORD_HISTORY &&
		    (!with_history || (own && meta_is_there(own))))
			continue;
		if (r->pub.type == VD_RECORD_DOCUMENT || r->pub.type == VD_RECORD_ATTACHMENT ||
		    r->pub.type == VD_RECORD_HISTORY)
			ret = copy_record(to, from, r, &why);
		/* What is broken isn't carried on, and is no reason to leave the rest. */
		if (ret == VD_ECORRUPT && r->pub.damage) {
			vd_message(VD_MESSAGE_WARNING, "metadata that isn't copied: %s", why.text);
			ret = 0;
		} else if (ret) {
			vd_error_set(err, ret, why.sys_errno, why.offset, "%s", why.text);
		}
	}
	return ret;
}
