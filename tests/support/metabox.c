/* SPDX-License-Identifier: MIT */
/* Images with metadata under test: see metabox.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/guid.h"
#include "metabox.h"
#include "scratch.h"

/* The namespace that docs/metadata-format.md gives, once more. */
#define SPACE "bfdfeaad-6dde-40f2-af3c-a2b2e53c68ba"

#define OK(box, call)                                                                              \
	do {                                                                                       \
		int ok_ret_ = (call);                                                              \
		if (ok_ret_)                                                                       \
			fail_msg("%s: %d, %s", #call, ok_ret_, (box)->err.text);                   \
	} while (0)

void metabox_create(struct metabox *box, const char *name, const char *format)
{
	struct vd_create_opts opts = VD_CREATE_OPTS_INIT;

	memset(box, 0, sizeof(*box));
	snprintf(box->path, sizeof(box->path), "%s/%s", scratch_dir(), name);
	remove(box->path);
	opts.format = format;
	opts.virtual_size = 64 << 20;
	if (!strcmp(format, "vhdx"))
		opts.log_size = 1 << 20;
	OK(box, vd_disk_create(box->path, &opts, &box->err));
	metabox_open(box, VD_OPEN_WRITE, true, NULL);
}

void metabox_open(struct metabox *box, uint32_t flags, bool is_beside, const char *sidecar_dir)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_meta_opts meta = VD_META_OPTS_INIT;

	opts.flags = flags;
	meta.flags = flags & VD_OPEN_WRITE || is_beside ? VD_META_WRITE : 0;
	meta.sidecar_dir = sidecar_dir;
	OK(box, vd_disk_open(&box->disk, box->path, &opts, &box->err));
	OK(box, vd_meta_open(&box->meta, box->disk, &meta, &box->err));
}

void metabox_close(struct metabox *box)
{
	vd_meta_close(box->meta);
	box->meta = NULL;
	if (box->disk)
		OK(box, vd_disk_close(box->disk, &box->err));
	box->disk = NULL;
}

void metabox_look(struct metabox *box)
{
	metabox_close(box);
	metabox_open(box, VD_OPEN_LOOK, false, NULL);
}

void metabox_edit(struct metabox *box)
{
	metabox_close(box);
	metabox_open(box, VD_OPEN_WRITE, true, NULL);
}

void metabox_commit(struct metabox *box)
{
	OK(box, vd_meta_commit(box->meta, &box->err));
}

void metabox_set(struct metabox *box, const char *field, const char *value)
{
	OK(box, vd_meta_set_field(box->meta, field, VD_FIELD_SET, value, &box->err));
}

void metabox_add(struct metabox *box, const char *field, const char *value)
{
	OK(box, vd_meta_set_field(box->meta, field, VD_FIELD_ADD, value, &box->err));
}

static int keep(void *user, const char *field, const char *value)
{
	char *text = user;

	(void)field;
	if (strlen(text) + strlen(value) < 4000)
		strcat(strcat(text, value), "|");
	return 0;
}

const char *metabox_get(struct metabox *box, const char *field)
{
	static char text[4096];
	int ret;

	text[0] = '\0';
	ret = vd_meta_get_field(box->meta, field, keep, text, &box->err);
	if (ret && ret != VD_ENOENT)
		fail_msg("%s: %d, %s", field, ret, box->err.text);
	return text;
}

void metabox_log(struct metabox *box, const char *operation)
{
	struct vd_operation op = {.time = 1790000000,
				  .actor = "tester",
				  .host = "here",
				  .tool = "test",
				  .operation = operation,
				  .parameters = "some",
				  .outcome = "ok"};

	OK(box, vd_meta_log(box->meta, &op, &box->err));
}

/* ---- attachments ---- */

struct stream {
	size_t at, len;
	uint32_t seed;
	uint64_t state;
	bool is_wrong;
};

static void make(struct stream *s, uint8_t *to, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (s->at % 8 == 0)
			s->state = s->state * 6364136223846793005u + 1442695040888963407u;
		to[i] = s->seed ? (uint8_t)(s->state >> 8 * (s->at % 8) >> 3) : 'x';
		s->at++;
	}
}

static int64_t bring(void *user, void *buf, size_t len, struct vd_error *err)
{
	struct stream *s = user;
	size_t n = s->len - s->at;

	(void)err;
	/* In pieces that fit no border. */
	if (n > len)
		n = len;
	if (n > 77777)
		n = 77777;
	make(s, buf, n);
	return (int64_t)n;
}

int metabox_attach(struct metabox *box, const char *kind, const char *name, size_t len,
		   uint32_t seed, struct vd_error *err)
{
	struct stream s = {.len = len, .seed = seed, .state = seed};

	return vd_meta_attach(box->meta, kind, name, "application/x-test", bring, &s, err);
}

static int compare(void *user, const void *buf, size_t len, struct vd_error *err)
{
	struct stream *s = user;
	uint8_t want[4096];

	(void)err;
	for (size_t at = 0; at < len; at += sizeof(want)) {
		size_t n = len - at < sizeof(want) ? len - at : sizeof(want);

		make(s, want, n);
		if (s->at > s->len || memcmp(want, (const uint8_t *)buf + at, n) != 0)
			s->is_wrong = true;
	}
	return 0;
}

bool metabox_holds(struct metabox *box, const char *name, size_t len, uint32_t seed)
{
	struct stream s = {.len = len, .seed = seed, .state = seed};
	int ret = vd_meta_extract(box->meta, name, compare, &s, &box->err);

	if (ret)
		print_message("%s: %d, %s\n", name, ret, box->err.text);
	return !ret && !s.is_wrong && s.at == len;
}

/* ---- below ---- */

const struct vd_record *metabox_record(struct metabox *box, enum vd_record_type type,
				       const char *name_or_kind)
{
	const struct vd_record *r;

	for (size_t i = 0; (r = vd_meta_record(box->meta, i)); i++)
		if (r->type == type &&
		    (!strcmp(r->name, name_or_kind) || !strcmp(r->kind, name_or_kind)))
			return r;
	return NULL;
}

void metabox_key_id(const char *key, uint8_t id[16])
{
	struct vd_guid space;

	assert_true(vd_guid_parse(SPACE, &space));
	memcpy(id, vd_guid_derive(space, key).b, 16);
}

uint8_t *metabox_item(struct metabox *box, const char *key, struct vd_item *item)
{
	struct vd_item *items;
	uint8_t *bytes = NULL, id[16];
	size_t n;

	metabox_key_id(key, id);
	OK(box, vd_disk_list_items(box->disk, &items, &n, &box->err));
	for (size_t i = 0; i < n && !bytes; i++) {
		if (memcmp(items[i].id, id, 16) != 0)
			continue;
		*item = items[i];
		bytes = malloc(items[i].length + 1);
		assert_non_null(bytes);
		OK(box, vd_disk_read_item(box->disk, id, bytes, items[i].length, 0, &box->err));
	}
	vd_items_free(items);
	return bytes;
}

void metabox_put_item(struct metabox *box, const char *key, const void *bytes, uint32_t len,
		      uint32_t flags)
{
	struct vd_item_change change = {.flags = flags, .length = len, .data = bytes};

	metabox_key_id(key, change.id);
	OK(box, vd_disk_change_items(box->disk, &change, 1, &box->err));
}

void metabox_seal(uint8_t *item, uint32_t len)
{
	uint8_t input[4096];
	uint32_t head = (uint32_t)(item[10] | item[11] << 8);

	crypto_generichash(item + 48, 32, item + head, len - head, NULL, 0);
	memcpy(item + 80, item + 48, 32);
	memcpy(input, item, 120);
	memcpy(input + 120, item + 152, head - 152);
	crypto_generichash(item + 120, 32, input, head - 32, NULL, 0);
}
