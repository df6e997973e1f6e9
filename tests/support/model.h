/* SPDX-License-Identifier: MIT */
/*
 * What a disk may hold. A sector's value is the generation of the write that it comes from (see
 * stamp.h), 0 for zeros. The model knows what a reader sees now, what the last completed flush
 * made durable, and every change since. After a crash a sector holds the durable value or any
 * later one, never a third thing.
 */
#ifndef TEST_MODEL_H
#define TEST_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vd_disk;
struct model;

struct model *model_new(uint64_t virtual_size, uint64_t seed);
struct model *model_copy(const struct model *model);
void model_free(struct model *model);
uint64_t model_size(const struct model *model);
uint64_t model_seed(const struct model *model);

/** A change is under way: from now on readers may find it, and so may who comes after a crash. */
void model_begin(struct model *model, uint64_t offset, uint64_t len, uint32_t generation);
/** It is done: readers find it and nothing else. */
void model_done(struct model *model, uint64_t offset, uint64_t len, uint32_t generation);
/** Both. */
void model_write(struct model *model, uint64_t offset, uint64_t len, uint32_t generation);
/** It may have happened, sector by sector, or not, and no flush settles it (a failed write, or
 *  the part of a discard that is only a hint). */
void model_unsure(struct model *model, uint64_t offset, uint64_t len, uint32_t generation);
/** A flush that all changes so far came before is complete. */
void model_flushed(struct model *model);
/** A flush begins; what is done by now is settled when it ends, changes beside it are not. */
uint64_t model_flush_begin(const struct model *model);
void model_flush_end(struct model *model, uint64_t ticket);
/** The value that a reader sees now (where nothing is unsure). */
uint32_t model_now(const struct model *model, uint64_t lba);

enum model_moment {
	MODEL_LIVE,  /* read through the handle that wrote */
	MODEL_CRASH, /* after a crash */
};
/** May these bytes be there? False: text says which LBA holds what, and what it should hold. */
bool model_allows(const struct model *model, enum model_moment moment, const void *buf, size_t len,
		  uint64_t offset, char *text, size_t size);
/**
 * Read the whole disk, skipping what vd_disk_map calls zero or hole (and nothing else is allowed
 * there), and ask model_allows. False: text says what is wrong.
 */
bool model_check_disk(const struct model *model, enum model_moment moment, struct vd_disk *disk,
		      char *text, size_t size);
/** The same for a raw file. */
bool model_check_raw(const struct model *model, enum model_moment moment, const char *path,
		     char *text, size_t size);
/** What is there now is the truth: values that were allowed become the only ones. False as
 *  above. */
bool model_adopt(struct model *model, struct vd_disk *disk, char *text, size_t size);
/** Hash of the parts of the disk that were ever changed: two readers that agree agree here. */
uint64_t model_hash_disk(const struct model *model, struct vd_disk *disk);
uint64_t model_hash_raw(const struct model *model, const char *path);

#endif
