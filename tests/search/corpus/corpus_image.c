/* SPDX-License-Identifier: MIT */
/*
 * Images around the documents: made in memory and saved, so that a thousand take seconds. Items are
 * written as docs/metadata-format.md says, by this file alone; only images of CORPUS_COMMITTED get
 * their documents through the library, which then writes facts beside them.
 */
#include "corpus.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uuid/uuid.h>
#include <zlib.h>

#include <vdisk/disk.h>
#include <vdisk/item.h>
#include <vdisk/meta.h>

#include "store.h"

#define SPACE       "bfdfeaad-6dde-40f2-af3c-a2b2e53c68ba"
#define HEAD        152u
#define MAX_RECORDS 16u

uint64_t corpus_virtual_size(unsigned i)
{
	if (corpus_place(i) == CORPUS_ITEMS || corpus_place(i) == CORPUS_COMMITTED ||
	    corpus_place(i) == CORPUS_DAMAGED || corpus_place(i) == CORPUS_BARE)
		return (uint64_t)(1 + i % 8) << 30;
	return (uint64_t)(1 + i % 3) << 20;
}

uint32_t corpus_block_size(unsigned i)
{
	return i % 4 == 2 ? 32u << 20 : 2u << 20;
}

uint32_t corpus_sector_size(unsigned i)
{
	return i % 16 == 3 ? 4096 : 512;
}

static void put(uint8_t *p, unsigned n, uint64_t value)
{
	for (unsigned k = 0; k < n; k++, value >>= 8)
		p[k] = (uint8_t)value;
}

/* Everything of a head but its own digest. Returns its length. */
static uint32_t write_head(uint8_t *b, const struct corpus_record *r, unsigned type, bool is_disk)
{
	const char *media = r->media ? r->media : "", *name = r->name ? r->name : "";
	size_t texts = strlen(r->kind) + strlen(name) + strlen(media);
	uint32_t head = (uint32_t)(HEAD + (texts + 7) / 8 * 8);

	memset(b, 0, head);
	memcpy(b, "vdisk\x1amd", 8);
	put(b + 8, 2, 1);
	put(b + 10, 2, head);
	b[12] = (uint8_t)type;
	b[14] = is_disk;
	put(b + 16, 4, 1);
	put(b + 20, 4, 1);
	put(b + 24, 8, r->len);
	put(b + 32, 8, r->len);
	put(b + 40, 8, r->len);
	crypto_generichash(b + 48, 32, (const uint8_t *)r->bytes, r->len, NULL, 0);
	memcpy(b + 80, b + 48, 32);
	put(b + 112, 2, strlen(r->kind));
	put(b + 114, 2, strlen(name));
	put(b + 116, 2, strlen(media));
	snprintf((char *)b + HEAD, texts + 1, "%s%s%s", r->kind, name, media);
	return head;
}

static void seal_head(uint8_t *b, uint32_t head)
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, NULL, 0, 32);
	crypto_generichash_update(&state, b, 120);
	crypto_generichash_update(&state, b + HEAD, head - HEAD);
	crypto_generichash_final(&state, b + 120, 32);
}

/* A record as the change that puts its item in; change->data is malloc'd. */
static void to_item(const struct corpus_record *r, bool is_packed, struct vd_item_change *change)
{
	bool is_file = r->name != NULL, is_subject = !strcmp(r->kind, "subject");
	bool is_disk = strcmp(r->kind, "state") != 0 && !is_subject;
	uint8_t *b = malloc(r->len + 4096 + 1024);
	uLongf packed = r->len ? r->len - 1 : 0;
	uint32_t head = write_head(b, r, is_file ? 4 : is_subject ? 5 : 1, is_disk);
	char key[2048];
	uuid_t space;

	if (is_packed && r->len > 64 &&
	    compress2(b + head, &packed, (const uint8_t *)r->bytes, r->len, 6) == Z_OK) {
		b[13] = 1;
		put(b + 32, 8, packed);
	} else {
		packed = r->len;
		memcpy(b + head, r->bytes, r->len);
	}
	seal_head(b, head);
	memset(change, 0, sizeof(*change));
	snprintf(key, sizeof(key), "%s%s", is_file ? "attachment:" : "",
		 is_file ? r->name : r->kind);
	uuid_parse(SPACE, space);
	uuid_generate_sha1(change->id, space, key, strlen(key));
	change->flags = VD_ITEM_USER | (is_disk ? VD_ITEM_VIRTUAL_DISK : 0);
	change->length = head + (uint32_t)packed;
	change->data = b;
}

/* What is wrong with the tags of a damaged image; the third way is in the document itself, the
 * fourth a document type declaration. */
static void damage(unsigned i, struct vd_item_change *change)
{
	uint8_t *b = (uint8_t *)(uintptr_t)change->data;

	if (i / 20 % 4 == 0)
		b[100] ^= 1; /* in the head, whose digest doesn't fit then */
	else if (i / 20 % 4 == 1)
		b[change->length - 3] ^= 1; /* in the document, below an intact head */
}

static void put_items(unsigned i, struct vd_disk *disk, const struct corpus_record *records,
		      size_t n)
{
	struct vd_item_change changes[MAX_RECORDS];
	struct vd_error err = VD_ERROR_INIT;

	for (size_t k = 0; k < n; k++) {
		bool is_tags = !strcmp(records[k].kind, "tags");

		to_item(&records[k], i % 3 == 0 && !is_tags, &changes[k]);
		if (is_tags && corpus_place(i) == CORPUS_DAMAGED)
			damage(i, &changes[k]);
	}
	if (n && vd_disk_change_items(disk, changes, n, &err))
		corpus_die("items", err.text);
	for (size_t k = 0; k < n; k++)
		free((void *)(uintptr_t)changes[k].data);
}

struct bytes {
	const char *at;
	size_t left;
};

static int64_t bring(void *user, void *buf, size_t len, struct vd_error *err)
{
	struct bytes *b = user;
	size_t n = len < b->left ? len : b->left;

	(void)err;
	memcpy(buf, b->at, n);
	b->at += n;
	b->left -= n;
	return (int64_t)n;
}

static void commit(unsigned i, struct vd_disk *disk, const struct corpus_record *records, size_t n)
{
	struct vd_operation op = {.time = CORPUS_NOW, .actor = "historian", .host = "historyhost"};
	struct vd_meta_opts opts = VD_META_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_meta *meta;

	op.tool = op.operation = op.outcome = "unseenhistory";
	opts.flags = VD_META_WRITE;
	if (vd_meta_open(&meta, disk, &opts, &err))
		corpus_die("metadata", err.text);
	for (size_t k = 0; k < n; k++) {
		struct bytes source = {records[k].bytes, records[k].len};

		if (records[k].name ? vd_meta_attach(meta, NULL, records[k].name, records[k].media,
						     bring, &source, &err)
				    : vd_meta_set_document(meta, records[k].kind, records[k].bytes,
							   records[k].len, &err))
			corpus_die(records[k].kind, err.text);
	}
	for (unsigned k = 0; i % 10 == 4 && k < 1 + i % 3; k++)
		if (vd_meta_log(meta, &op, &err))
			corpus_die("history", err.text);
	if (vd_meta_commit(meta, &err))
		corpus_die("commit", err.text);
	vd_meta_close(meta);
}

static void write_vhdx(unsigned i, const char *path, uint64_t size,
		       const struct corpus_record *records, size_t n)
{
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_open_opts open = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	uint8_t id[16] = {0xda, 0x7a, 0, 0, 0, 0, 0x40, 0, 0x80};
	struct store *store = store_new(NULL);
	struct vd_disk *disk;

	put(id + 12, 4, i + 1);
	create.virtual_size = size;
	create.block_size = corpus_block_size(i);
	create.logical_sector_size = corpus_sector_size(i);
	create.disk_id = id;
	create.log_size = 1 << 20;
	open.flags = VD_OPEN_WRITE | VD_OPEN_NO_PARENTS;
	if (vd_disk_create_io(store_io(store, true), &create, &err) ||
	    vd_disk_open_io(&disk, store_io(store, true), &open, &err))
		corpus_die(path, err.text);
	if (corpus_place(i) == CORPUS_COMMITTED)
		commit(i, disk, records, n);
	else
		put_items(i, disk, records, n);
	if (vd_disk_close(disk, &err))
		corpus_die(path, err.text);
	if (!store_save(store, path))
		corpus_die(path, "can't be written");
	store_free(store);
}

/* A raw image of zeros, and what stands beside it. */
static void write_raw(unsigned i, const char *path, const struct corpus_record *records, size_t n)
{
	struct corpus_record all[MAX_RECORDS + 1];
	const char *base = strrchr(path, '/') + 1;
	char subject[512], sidecar[4096];
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);

	if (fd < 0 || ftruncate(fd, (off_t)corpus_virtual_size(i)) || close(fd))
		corpus_die(path, "can't be written");
	if (corpus_place(i) == CORPUS_NAKED)
		return;
	snprintf(subject, sizeof(subject), "name: %s\nformat: raw\nsize: %llu\n",
		 corpus_place(i) == CORPUS_ALIEN ? "another.raw" : base,
		 (unsigned long long)corpus_virtual_size(i));
	memset(&all[0], 0, sizeof(all[0]));
	all[0].kind = "subject";
	all[0].bytes = subject;
	all[0].len = strlen(subject);
	memcpy(all + 1, records, n * sizeof(*records));
	snprintf(sidecar, sizeof(sidecar), "%s.vdmeta", path);
	write_vhdx(i, sidecar, corpus_virtual_size(i), all, n + 1);
}

void corpus_write(unsigned i, const char *path, const struct corpus_record *records, size_t n)
{
	struct timespec times[2] = {{CORPUS_NOW, 0}, {CORPUS_NOW - (time_t)i * 3600, 0}};

	if (n > MAX_RECORDS)
		corpus_die(path, "too many records");
	if (corpus_place(i) == CORPUS_SIDECAR || corpus_place(i) == CORPUS_ALIEN ||
	    corpus_place(i) == CORPUS_NAKED)
		write_raw(i, path, records, n);
	else
		write_vhdx(i, path, corpus_virtual_size(i), records, n);
	if (utimensat(AT_FDCWD, path, times, 0))
		corpus_die(path, "has no time");
}
