/* SPDX-License-Identifier: MIT */
/*
 * Images with metadata under test, in the private folder of the test. Each call that the library
 * refuses fails the test with the library's words, unless the test wants a code.
 */
#ifndef TEST_METABOX_H
#define TEST_METABOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdisk/disk.h>
#include <vdisk/item.h>
#include <vdisk/meta.h>

struct metabox {
	char path[512];
	struct vd_disk *disk;
	struct vd_meta *meta;
	struct vd_error err;
};

/** A new image of 64 MiB called `name`, opened for writing as all of its metadata. */
void metabox_create(struct metabox *box, const char *name, const char *format);
/** flags: VD_OPEN_*; its metadata for writing if the disk is, or `is_beside`. */
void metabox_open(struct metabox *box, uint32_t flags, bool is_beside, const char *sidecar_dir);
void metabox_close(struct metabox *box);
/** Close and open again as before the first time: for reading, taking no lock. */
void metabox_look(struct metabox *box);
void metabox_edit(struct metabox *box);

void metabox_commit(struct metabox *box);
void metabox_set(struct metabox *box, const char *field, const char *value);
void metabox_add(struct metabox *box, const char *field, const char *value);
/** All values of a field, each followed by '|'; "" if there is none. Static memory. */
const char *metabox_get(struct metabox *box, const char *field);
void metabox_log(struct metabox *box, const char *operation);
/** Attach `len` bytes made from `seed`: incompressible, or of one value if seed is 0. */
int metabox_attach(struct metabox *box, const char *kind, const char *name, size_t len,
		   uint32_t seed, struct vd_error *err);
/** The attachment holds just these bytes. */
bool metabox_holds(struct metabox *box, const char *name, size_t len, uint32_t seed);
const struct vd_record *metabox_record(struct metabox *box, enum vd_record_type type,
				       const char *name_or_kind);
/** The item of a key ("content", "attachment:x\n#2"): its bytes (free()), its entry in *item. NULL:
 *  there is none. */
uint8_t *metabox_item(struct metabox *box, const char *key, struct vd_item *item);
/** Put an item under the id of a key, past the metadata layer. */
void metabox_put_item(struct metabox *box, const char *key, const void *bytes, uint32_t len,
		      uint32_t flags);
/** Make the digests of an item of one part, which isn't deflated, right again. */
void metabox_seal(uint8_t *item, uint32_t len);
void metabox_key_id(const char *key, uint8_t id[16]);

#endif
