/* SPDX-License-Identifier: MIT */
/* A libvirt domain fills hardware and network: nobody should type what stands there already. */
#include <string.h>

#include <vdisk/image.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "xml/libvirt.h"

#define MAX_FIELDS 32  /* kinds of fields that a domain gives values for */
#define MAX_VALUES 256 /* of all of them; a machine has no more */

struct filling {
	struct vd_meta *meta;
	struct vd_error *err;
	const struct vd_field *seen[MAX_FIELDS];
	size_t n_seen, n_told, n_set;
};

static bool was_seen(struct filling *filling, const struct vd_field *field)
{
	for (size_t i = 0; i < filling->n_seen; i++) {
		if (filling->seen[i] == field)
			return true;
	}
	if (filling->n_seen < MAX_FIELDS)
		filling->seen[filling->n_seen++] = field;
	return false;
}

static int is_same(void *user, const char *field, const char *value)
{
	(void)field;
	return strcmp(user, value) == 0;
}

/** The first value of a list replaces what was there, the next ones join it, each once. */
static int take(void *user, const char *name, const char *value)
{
	struct filling *filling = user;
	const struct vd_field *field = vd_field_find(name);
	struct vd_error own = VD_ERROR_INIT;
	enum vd_field_edit edit = VD_FIELD_SET;
	VD_AUTO_FREE char *copy = vd_strdup(value);
	int ret;

	if (!copy)
		return vd_no_memory(filling->err, strlen(value) + 1, "a value");
	if (!field || filling->n_told++ >= MAX_VALUES)
		return 0;
	if (was_seen(filling, field)) {
		if (!field->is_list ||
		    vd_meta_get_field(filling->meta, name, is_same, copy, NULL) == 1)
			return 0;
		edit = VD_FIELD_ADD;
	}
	ret = vd_meta_set_field(filling->meta, name, edit, value, &own);
	if (ret == VD_EINVAL)
		return 0; /* libvirt has values that we have no word for */
	if (ret)
		return vd_error_set(filling->err, ret, own.sys_errno, own.offset, "%s", own.text);
	filling->n_set++;
	return 0;
}

/** A network document that is there stays: somebody may have put addresses and roles in. */
static int take_network(struct filling *filling, const char *bytes, size_t len,
			struct vd_error *err)
{
	size_t old_len;
	char *old = NULL;
	int ret = vd_meta_get_document(filling->meta, "network", &old, &old_len, NULL);

	vd_meta_free(old);
	if (ret != VD_ENOENT)
		return 0;
	ret = vd_meta_set_document(filling->meta, "network", bytes, len, err);
	if (!ret)
		filling->n_set++;
	return ret;
}

int vd_meta_take_libvirt(struct vd_meta *meta, const char *bytes, size_t len, size_t *n_fields,
			 struct vd_error *err)
{
	struct filling filling = {.meta = meta, .err = err};
	VD_AUTO_FREE char *network = NULL;
	size_t network_len = 0;
	int ret = vd_libvirt_read(bytes, len, take, &filling, &network, &network_len, err);

	if (!ret && network)
		ret = take_network(&filling, network, network_len, err);
	if (n_fields)
		*n_fields = filling.n_set;
	return ret;
}
